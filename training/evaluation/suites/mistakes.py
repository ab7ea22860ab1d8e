"""The suite mistakes: a page of the pictures that are classified wrongly, and of those that look alike."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from matcaps.training.data import ImageSet, sample
from matcaps.training.evaluation.gallery import Card, cards, page, table
from matcaps.training.evaluation.lookalikes import Pair, nearest_pairs, same_pictures
from matcaps.training.evaluation.report import Report, columns

SHOWN = 200  # mistakes on the page
PRINTED = 10  # mistakes and pairs in the printed tables
PAIRS = 30  # on the page
COMPARED = 3000  # pictures whose primary capsules are compared

_NOTE = "Where a picture lies in the wrong class folder, move it and train again."


class Mistake(NamedTuple):
    """A picture that is classified wrongly: its file, its class, the predicted one, and the activations by class."""

    file: str
    label: str
    predicted: str
    activations: dict[str, float]


def mistakes(
    activations: Tensor,
    images: ImageSet,
    every: ImageSet,
    sketches_of: Callable[[Tensor], Tensor | None],
    subject: str,
) -> Report:
    """The pictures that are classified wrongly, most confident first, and the pairs of classes that look alike.

    Args:
        activations: Of the images, float32 [n, classes].
        images: Images that the network was not trained on.
        every: The pictures to find pairs in: these and those that it was trained on.
        sketches_of: Finds what ``nearest_pairs`` compares, for images [n, channels, height, width]; the CNN has
            no capsules, so None.
        subject: Name of what is evaluated.
    """
    predicted = activations.argmax(1)
    confidence = activations.amax(1)
    wrong = [row for row in confidence.argsort(descending=True).tolist() if predicted[row] != images.labels[row]]
    found = [
        Mistake(
            _name(images, row),
            images.classes[images.labels[row]],
            images.classes[predicted[row]],
            dict(zip(images.classes, activations[row].tolist(), strict=True)),
        )
        for row in wrong
    ]
    same = same_pictures(every)
    compared = sample(every, COMPARED)
    features = sketches_of(compared.images)
    pairs = [] if features is None else nearest_pairs(features, compared, PAIRS)

    share = f"{len(wrong)} of {len(images)} pictures are classified wrongly ({len(wrong) / len(images):.2%})"
    printed = [share]
    if wrong:
        rows = [["", "is", "taken for", "activation"]]
        rows += [
            [_short(of.file), of.label, of.predicted, f"{of.activations[of.predicted]:.3f}"] for of in found[:PRINTED]
        ]
        printed.append(columns(rows))
    if same:
        rows = [["the same picture in several classes", ""]]
        rows += [[", ".join(_short(_name(every, row)) for row in group), ""] for group in same[:PRINTED]]
        printed.append(columns(rows))
    if pairs:
        rows = [["pictures of two classes that look alike", "", "distance"]]
        rows += [
            [*(_short(_name(compared, row)) for row in (of.first, of.second)), f"{of.distance:.2f}"]
            for of in pairs[:PRINTED]
        ]
        printed.append(columns(rows))
    content: dict[str, Any] = {
        "images": len(images),
        "wrong": len(wrong),
        "mistakes": [of._asdict() for of in found],
        "same_pictures": [[_name(every, row) for row in group] for group in same],
        "pairs": [
            {"first": _name(compared, of.first), "second": _name(compared, of.second), "distance": of.distance}
            for of in pairs
        ],
        "compared": len(compared),
    }
    written = page(
        f"Mistakes of {subject}",
        [_mistakes(wrong, found, images, share), _same(same, every), _alike(pairs, compared, len(every))],
    )
    return Report("\n\n".join(printed), content, page=written)


def _mistakes(wrong: list[int], found: list[Mistake], images: ImageSet, share: str) -> tuple[str, str, str]:
    text = f"{share}; most confident first. {_NOTE}"
    if len(wrong) > SHOWN:
        text += f" The first {SHOWN} are shown; the JSON beside this page names all."
    shown = [
        Card(images.images[row], f"{of.label}, taken for {of.predicted}", of.file, of.activations)
        for row, of in zip(wrong[:SHOWN], found, strict=False)
    ]
    return "Classified wrongly", text, cards(shown) if shown else ""


def _same(groups: list[list[int]], images: ImageSet) -> tuple[str, str, str]:
    if not groups:
        return "The same picture in several classes", "There are none.", ""
    rows: list[list[Card | str]] = [
        [str(len(group)), *(_card(images, row) for row in group[:4])] for group in groups[:PAIRS]
    ]
    text = (
        f"Pictures that several classes have, pixel for pixel: {len(groups)}. Only one of their classes can be right."
    )
    return "The same picture in several classes", text, table(["copies", "the first of them"], rows)


def _alike(pairs: list[Pair], images: ImageSet, among: int) -> tuple[str, str, str]:
    text = (
        "Each picture was paired with its nearest neighbour in another class, by the poses of the primary capsules. "
        "The distance is 1 for an average pair of two classes."
    )
    if len(images) < among:
        text += f" {len(images)} pictures, drawn from {among}, were compared."
    if not pairs:
        text = "No pairs were found."
    rows: list[list[Card | str]] = [
        [f"{of.distance:.2f}", _card(images, of.first), _card(images, of.second)] for of in pairs
    ]
    return "Pictures of two classes that look alike", text, table(["distance", "", ""], rows) if pairs else ""


def _card(images: ImageSet, row: int) -> Card:
    return Card(images.images[row], images.classes[images.labels[row]], _name(images, row), {})


def _name(images: ImageSet, row: int) -> str:
    return images.files[row] if images.files else f"{images.name}, image {row}"


def _short(name: str) -> str:
    """A file with its folder alone, for narrow tables."""
    return "/".join(Path(name).parts[-2:])
