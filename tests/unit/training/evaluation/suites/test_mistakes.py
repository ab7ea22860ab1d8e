"""Mistakes are ranked by confidence, and the classes that look alike are named."""

import torch

from matcaps.training.data import ImageSet
from matcaps.training.evaluation.suites.mistakes import SHOWN, mistakes


def pets(labels: list[int], *, files: bool = True) -> ImageSet:
    """Pictures of cats and dogs, no two alike."""
    images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 3, 3).contiguous()
    names = tuple(f"/a/pets/{'cat' if not label else 'dog'}/{number}.png" for number, label in enumerate(labels))
    return ImageSet("pets", ("cat", "dog"), images, torch.tensor(labels), files=names if files else ())


def test_mistakes_are_listed_most_confident_first() -> None:
    """Right answers are left out, however confident."""
    activations = torch.tensor([[0.9, 0.1], [0.3, 0.4], [0.8, 0.2], [0.6, 0.99]])
    report = mistakes(activations, pets([0, 0, 1, 0]), pets([0, 0, 1, 0]), lambda _: None, "runs/x")
    found = report.content["mistakes"]
    assert [(of["file"], of["label"], of["predicted"]) for of in found] == [
        ("/a/pets/cat/3.png", "cat", "dog"),
        ("/a/pets/dog/2.png", "dog", "cat"),
        ("/a/pets/cat/1.png", "cat", "dog"),
    ]
    assert report.table.splitlines()[0] == "3 of 4 pictures are classified wrongly (75.00%)"
    assert report.table.splitlines()[3].split() == ["cat/3.png", "cat", "dog", "0.990"]
    assert report.figure is None
    assert report.page is not None
    assert report.page.index("cat/3.png") < report.page.index("dog/2.png")


def test_the_page_of_a_perfect_network_is_short() -> None:
    """It says that nothing is wrong, and that nothing looks alike."""
    report = mistakes(torch.eye(2), pets([0, 1]), pets([0, 1]), lambda _: None, "runs/x")
    assert report.table == "0 of 2 pictures are classified wrongly (0.00%)"
    assert report.page is not None
    assert report.page.count("<img") == 0


def test_pairs_and_copies_are_named() -> None:
    """A copy in another class and the nearest neighbours are in the table, the JSON and the page."""
    every = pets([0, 1, 0, 1], files=False)
    every.images[3] = every.images[0]
    features = torch.tensor([[0.0], [5.0], [4.5], [0.0]])
    report = mistakes(torch.eye(2), pets([0, 1]), every, lambda pictures: features[: len(pictures)], "runs/x")
    assert report.content["same_pictures"] == [["pets, image 0", "pets, image 3"]]
    first = report.content["pairs"][0]
    assert (first["first"], first["second"]) == ("pets, image 1", "pets, image 2")
    assert "pets, image 0, pets, image 3" in report.table
    assert report.page is not None
    assert report.page.count("<img") == 2 + 2 * len(report.content["pairs"])


def test_a_page_shows_a_bounded_number_of_mistakes() -> None:
    """The JSON has all of them."""
    images = pets([0] * (SHOWN + 5))
    report = mistakes(torch.tensor([[0.2, 0.8]]).expand(SHOWN + 5, -1), images, images, lambda _: None, "runs/x")
    assert len(report.content["mistakes"]) == SHOWN + 5
    assert report.page is not None
    assert report.page.count("<img") == SHOWN
    assert f"The first {SHOWN} are shown" in report.page
