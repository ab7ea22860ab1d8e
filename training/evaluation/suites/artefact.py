"""The suite standard, for a released artefact: its error, beside the one in its training record."""

from matcaps.training.data import ImageSet
from matcaps.training.evaluation.metrics import compare
from matcaps.training.evaluation.report import Report, columns
from matcaps.training.evaluation.suites.standard import by_class, confusion_figure, counts, error_row
from matcaps.training.evaluation.suites.viewpoint import errors_by_viewpoint
from matcaps.training.release.artefact import Artefact


def standard_of_artefact(artefact: Artefact, images: ImageSet, split: str, *, progress: bool = True) -> Report:
    """Error with its confidence interval, and confusion matrix.

    If the training record names elevations or lightings, the error at the others is separate.

    Args:
        artefact: The artefact.
        images: Images that it was not trained on.
        split: What they are, for the report: held-out, test or folder.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: The images have another size than the artefact takes, or classes that it does not have.
    """
    images = images.among(artefact.classes)
    if tuple(images.images.shape[1:]) != artefact.shape:
        raise ValueError(
            f"{images.name} has images {list(images.images.shape[1:])}, {artefact.path} takes {list(artefact.shape)}"
        )
    predicted = artefact.predict(images.images, progress=progress)
    found = compare(predicted, images)
    record = artefact.training
    rows = [["", "error", "95 % interval"], error_row("measured now", found.error, found.interval)]
    if record.get("validation_error") is not None:
        label = f"in its training record, of {record.get('validation_images', '?')} images"
        rows.append([label, f"{record['validation_error']:.2%}", ""])
    table = f"{len(images)} images of {images.name}, {split}\n\n{columns(rows)}"
    if "protocol" in record:
        table += f"\n\nits training: {record['protocol']}"
    content = {
        "artefact": str(artefact.path),
        "data_set": images.name,
        "split": split,
        **counts(found, images.classes),
        "training": record,
    }
    familiar = {column: record.get(f"{column}s") for column in ("elevation", "lighting")}
    for column, (errors, its_table) in errors_by_viewpoint(predicted, images, familiar).items():
        table += f"\n\n{its_table}"
        content[column] = errors._asdict()
    return Report(f"{table}\n\n{by_class(found, images.classes)}", content, confusion_figure(found, images.classes))
