"""How often a released artefact errs, beside what its record says."""

from matcaps.training.data import ImageSet
from matcaps.training.evaluation.metrics import compare
from matcaps.training.evaluation.report import Report, columns
from matcaps.training.evaluation.suites.standard import by_class, confusion_picture, counts, error_row
from matcaps.training.evaluation.suites.viewpoint import beside_familiar
from matcaps.training.release.artefact import Artefact


def released(artefact: Artefact, images: ImageSet, split: str, *, progress: bool = True) -> Report:
    """The error with its confidence interval and the confusions.

    Where the record names the elevations or lightings that were trained on, the others have an error of their own.

    Args:
        artefact: What is judged.
        images: By what it is judged.
        split: Which images of their set they are, for the report.
        progress: Whether a bar shows how far it is.

    Raises:
        ValueError: The images have another size than the artefact takes, or classes that it does not know.
    """
    images = images.among(artefact.classes)
    if tuple(images.images.shape[1:]) != artefact.shape:
        raise ValueError(
            f"{images.name} has images {list(images.images.shape[1:])}, {artefact.path} takes {list(artefact.shape)}"
        )
    predicted = artefact.predict(images.images, progress=progress)
    found = compare(predicted, images)
    record = artefact.training
    rows = [["", "error", "95 % interval"], error_row("judged here", found.error, found.interval)]
    if record.get("validation_error") is not None:
        rows.append([f"its record, of {record.get('validation_images', '?')}", f"{record['validation_error']:.2%}", ""])
    table = f"{len(images)} images of {images.name}, {split}\n\n{columns(rows)}"
    if "protocol" in record:
        table += f"\n\nof its training: {record['protocol']}"
    content = {
        "artefact": str(artefact.path),
        "data_set": images.name,
        "split": split,
        **counts(found, images.classes),
        "training": record,
    }
    familiar = {column: record.get(f"{column}s") for column in ("elevation", "lighting")}
    for column, (errors, its_table) in beside_familiar(predicted, images, familiar).items():
        table += f"\n\n{its_table}"
        content[column] = errors._asdict()
    return Report(f"{table}\n\n{by_class(found, images.classes)}", content, confusion_picture(found, images.classes))
