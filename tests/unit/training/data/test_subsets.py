"""Held-out images are drawn by seed and never trained on, and no image is lost."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matcaps.training.data.dataset import ImageSet
from matcaps.training.data.subsets import hold_out


def numbered(count: int, *, classes: int = 3, cameras: int = 1) -> ImageSet:
    """Images with their number in ``info``; label, instance and pair follow from it."""
    number = torch.arange(count)
    thing = number // cameras
    info = {"number": number, "instance": thing // classes % 5}
    if cameras > 1:
        info["pair"] = thing
    pixels = torch.zeros(count, 1, 2, 2, dtype=torch.uint8)
    return ImageSet("toys", tuple(f"class {label}" for label in range(classes)), pixels, thing % classes, info)


def numbers(images: ImageSet) -> list[int]:
    """The numbers of the images."""
    return [int(number) for number in images.info["number"]]


@settings(deadline=None)
@given(
    way=st.one_of(
        st.builds(lambda value: {"rows": value}, st.integers(1, 29).map(lambda half: 2 * half)),
        st.builds(lambda value: {"share": value}, st.floats(0.01, 0.99)),
        st.builds(lambda values: {"instances": tuple(values)}, st.sets(st.integers(0, 4), min_size=1, max_size=4)),
    ),
    cameras=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**31),
)
def test_every_image_is_either_trained_on_or_held_out(way: dict[str, Any], cameras: int, seed: int) -> None:
    """Each image is on exactly one side; both sides keep the order, and neither is empty."""
    images = numbered(60, cameras=cameras)
    training, held = (numbers(side) for side in hold_out(images, **way, seed=seed))
    assert training
    assert held
    assert sorted(training + held) == list(range(60))
    assert training == sorted(training)
    assert held == sorted(held)


@pytest.mark.parametrize("way", [{"rows": 20}, {"share": 0.3}])
def test_the_seed_decides_which_images_are_held_out(way: dict[str, Any]) -> None:
    """The same seed draws the same images, another seed others."""
    images = numbered(60)
    first, again, other = (numbers(hold_out(images, **way, seed=seed)[1]) for seed in (5, 5, 6))
    assert first == again
    assert first != other


@pytest.mark.parametrize("rows", [1, 30, 59])
def test_the_given_number_of_rows_is_held_out(rows: int) -> None:
    """From one image to all but one."""
    assert len(hold_out(numbered(60), rows=rows)[1]) == rows


@pytest.mark.parametrize(("share", "count"), [(0.001, 1), (0.25, 5), (0.5, 10), (0.999, 19)])
def test_every_class_gives_the_same_share(share: float, count: int) -> None:
    """Each class holds out the share, at least one image, and keeps at least one."""
    training, held = hold_out(numbered(60), share=share)
    assert held.labels.bincount(minlength=3).tolist() == [count] * 3
    assert training.labels.bincount(minlength=3).tolist() == [20 - count] * 3


@pytest.mark.parametrize(("instances", "others"), [((2,), [0, 1, 3, 4]), ((0, 2, 3), [1, 4])])
def test_instances_are_held_out_in_every_class(instances: tuple[int, ...], others: list[int]) -> None:
    """All images of the instances are held out in each category, and no others."""
    training, held = hold_out(numbered(60), instances=instances)
    assert held.info["instance"].unique().tolist() == list(instances)
    assert held.labels.unique().tolist() == [0, 1, 2]
    assert training.info["instance"].unique().tolist() == others


@settings(deadline=None)
@given(st.integers(1, 29), st.integers(0, 2**31))
def test_rows_never_split_a_pair(half: int, seed: int) -> None:
    """Rows drawn from pairs are whole pairs."""
    _, held = hold_out(numbered(60, cameras=2), rows=2 * half, seed=seed)
    assert held.info["pair"].tolist() == [pair for pair in held.info["pair"].unique().tolist() for _ in "LR"]
    assert len(held) == 2 * half


@pytest.mark.parametrize(
    ("ways", "fact"),
    [
        ({}, "hold out one of instances, rows or share, got none"),
        ({"rows": 3, "instances": (2,)}, "hold out one of instances, rows or share, got instances, rows"),
        ({"rows": 0}, "between 1 and 59 of the 60 images of toys can be held out, got 0"),
        ({"rows": -1}, "between 1 and 59 of the 60 images of toys can be held out, got -1"),
        ({"rows": 60}, "between 1 and 59 of the 60 images of toys can be held out, got 60"),
        ({"share": 0.0}, "the share to hold out must lie between 0 and 1, got 0.0"),
        ({"share": 1.0}, "the share to hold out must lie between 0 and 1, got 1.0"),
        ({"share": float("nan")}, "the share to hold out must lie between 0 and 1, got nan"),
        ({"instances": (4, 7)}, "toys has no instance 7; there are 0, 1, 2, 3, 4"),
    ],
)
def test_hold_out_rejects_impossible_arguments(ways: dict[str, Any], fact: str) -> None:
    """No way or several, an impossible number or an unknown instance are rejected with the value."""
    with pytest.raises(ValueError, match=r"hold|held|instance") as error:
        hold_out(numbered(60), **ways)
    assert fact in str(error.value)


def test_hold_out_rejects_splitting_a_pair() -> None:
    """An odd number of rows of a set of pairs is rejected."""
    with pytest.raises(ValueError, match="3 images of toys cannot be held out without splitting a pair"):
        hold_out(numbered(60, cameras=2), rows=3)


def test_hold_out_rejects_a_class_of_one_image() -> None:
    """A class that would be left without images to train on is named."""
    with pytest.raises(ValueError, match="class class 2 of toys needs 2 images to hold one out, got 1"):
        hold_out(numbered(5), share=0.5)


def test_hold_out_rejects_all_instances() -> None:
    """Holding out every instance is rejected, since no training image would be left."""
    with pytest.raises(ValueError, match="toys has only instance 0: no training image would be left"):
        hold_out(numbered(3), instances=(0,))
    with pytest.raises(ValueError, match="toys has only instances 0, 1: no training image would be left"):
        hold_out(numbered(6), instances=(0, 1))


def test_hold_out_rejects_an_instance_where_there_are_none() -> None:
    """A set without instances is rejected, and the error says what can be held out."""
    plain = ImageSet("digits", ("0",), torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match="digits has no instances to hold out; hold out rows or a share"):
        hold_out(plain, instances=(1,))
