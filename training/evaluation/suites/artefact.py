"""The suite standard, for a released artefact: its error, beside the one in its training record."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from matcaps.training.data import ImageSet
from matcaps.training.evaluation.metrics import compare
from matcaps.training.evaluation.report import Report, columns
from matcaps.training.evaluation.suites.standard import by_class, confusion_figure, counts, error_row
from matcaps.training.evaluation.suites.viewpoint import errors_by_viewpoint


def standard_of_artefact(
    predicted: Tensor, images: ImageSet, split: str, record: Mapping[str, Any], path: Path
) -> Report:
    """Error with its confidence interval, and confusion matrix.

    If the training record names elevations or lightings, the error at the others is separate.

    Args:
        predicted: The classes that the artefact predicts, int64 [n].
        images: The images, which it was not trained on.
        split: What they are: held-out, test or folder.
        record: Its training record; may be empty.
        path: Its file.
    """
    found = compare(predicted, images)
    rows = [["", "error", "95 % interval"], error_row("measured now", found.error, found.interval)]
    if record.get("validation_error") is not None:
        label = f"in its training record, of {record.get('validation_images', '?')} images"
        rows.append([label, f"{record['validation_error']:.2%}", ""])
    table = f"{len(images)} images of {images.name}, {split}\n\n{columns(rows)}"
    if "protocol" in record:
        table += f"\n\nits training: {record['protocol']}"
    content = {
        "artefact": str(path),
        "data_set": images.name,
        "split": split,
        **counts(found, images.classes),
        "training": dict(record),
    }
    familiar = {column: record.get(f"{column}s") for column in ("elevation", "lighting")}
    for column, (errors, its_table) in errors_by_viewpoint(predicted, images, familiar).items():
        table += f"\n\n{its_table}"
        content[column] = errors._asdict()
    return Report(f"{table}\n\n{by_class(found, images.classes)}", content, confusion_figure(found, images.classes))
