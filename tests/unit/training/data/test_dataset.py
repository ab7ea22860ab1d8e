"""An image set is consistent, and a subset keeps its columns together."""

from typing import Any

import pytest
import torch

from matcaps.training.data import ImageSet

FITTING: dict[str, Any] = {
    "name": "toys",
    "classes": ("cube", "ball", "cone"),
    "images": torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 1, 4, 4),
    "labels": torch.tensor([0, 1, 2, 1, 0]),
    "info": {"instance": torch.arange(5)},
}


@pytest.mark.parametrize(
    ("changed", "fact"),
    [
        ({"images": torch.zeros(5, 1, 4, 4)}, "images must be uint8 [n, channels, height, width], got torch.float32"),
        ({"images": torch.zeros(5, 4, 4, dtype=torch.uint8)}, "got torch.uint8 [5, 4, 4]"),
        ({"labels": torch.zeros(4, dtype=torch.int64)}, "labels must be int64 [5], one per image"),
        ({"labels": torch.zeros(5, dtype=torch.int32)}, "got torch.int32 [5]"),
        ({"labels": torch.tensor([0, 1, 2, 3, 0])}, "labels must lie in 0–2, got 0–3"),
        ({"labels": torch.tensor([0, 1, 2, -1, 0])}, "labels must lie in 0–2, got -1–2"),
        ({"info": {"age": torch.zeros(5, 1, dtype=torch.int64)}}, "age must be int64 [5], one per image"),
        ({"classes": ("cube", "ball", "cube")}, "classes must have different names"),
        ({"classes": ()}, "classes must have different names"),
        ({"files": ("1.png",)}, "files must be 5, one per image, got 1"),
    ],
)
def test_a_set_that_does_not_fit_together_is_rejected(changed: dict[str, Any], fact: str) -> None:
    """The error has the set's name and the wrong value."""
    with pytest.raises(ValueError, match=r"^toys: ") as error:
        ImageSet(**{**FITTING, **changed})
    assert fact in str(error.value)


@pytest.mark.parametrize(
    "rows", [torch.tensor([1, 3]), torch.tensor([False, True, False, True, False])], ids=["indices", "booleans"]
)
def test_a_subset_keeps_columns_together(rows: torch.Tensor) -> None:
    """A subset takes images, labels, info and files of the same rows, and keeps name and classes."""
    subset = ImageSet(**FITTING, files=tuple(f"{number}.png" for number in range(5))).subset(rows)
    assert len(subset) == 2
    assert subset.images[:, 0, 0, 0].tolist() == subset.info["instance"].tolist() == [1, 3]
    assert subset.labels.tolist() == [1, 1]
    assert subset.files == ("1.png", "3.png")
    assert (subset.name, subset.classes) == ("toys", FITTING["classes"])


def test_a_subset_is_in_the_order_of_its_rows() -> None:
    """Indices order the subset, and may name an image twice."""
    assert ImageSet(**FITTING).subset(torch.tensor([4, 0, 4])).info["instance"].tolist() == [4, 0, 4]
