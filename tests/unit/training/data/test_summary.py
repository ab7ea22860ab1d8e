"""A run on a folder says how many images each class has, and what is doubtful about them."""

import torch

from matcaps.training.data import ImageSet
from matcaps.training.data.summary import describe


def images_of(*counts: int, first: int = 0) -> ImageSet:
    """So many images of an ant, a bee and a cat, each of another grey level from ``first`` on."""
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    levels = first + torch.arange(len(labels)).to(torch.uint8)
    files = tuple(f"pets/{number}.png" for number in range(len(labels)))
    return ImageSet("pets", ("ant", "bee", "cat"), levels[:, None, None, None].expand(-1, 1, 2, 2), labels, files=files)


def test_the_table_counts_each_class() -> None:
    """One line for each class, and one for all; nothing is doubtful."""
    assert describe(images_of(4, 10, 40), images_of(1, 2, 10, first=100)).splitlines() == [
        "class  training  held out",
        "ant           4         1",
        "bee          10         2",
        "cat          40        10",
        "all          54        13",
    ]


def test_a_class_of_more_than_ten_times_the_smallest_is_warned_of() -> None:
    """The warning names both classes and both numbers; exactly ten times is no warning."""
    held_out = images_of(1, 1, 1, first=200)
    assert "warning" not in describe(images_of(30, 3, 4), held_out)
    (line,) = [line for line in describe(images_of(4, 3, 31), held_out).splitlines() if line.startswith("warning")]
    assert line.startswith("warning: cat has 31 training images and bee 3, more than 10 times as many")


def test_held_out_images_that_are_trained_on_are_warned_of() -> None:
    """The warning counts them and names the first three files."""
    training = images_of(5, 5, 5)
    (line,) = [line for line in describe(training, images_of(2, 2, 2, first=13)).splitlines() if "warning" in line]
    assert line.startswith("warning: 2 held-out images are training images too")
    assert line.endswith(": pets/0.png, pets/1.png")
    assert describe(training, images_of(2, 2, 2)).endswith(": pets/0.png, pets/1.png, pets/2.png, …")
