"""Augmentation: windows of the images, drawn by seed, plain or warped, brighter or darker, never out of 0–255."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from matcaps.training.data.augmentation import Augment, mix


def drawn(seed: int = 0) -> torch.Generator:
    """A generator with a seed."""
    return torch.Generator().manual_seed(seed)


def noise(batch: int, channels: int, size: int, low: int = 0, high: int = 256) -> Tensor:
    """Images in which every window differs from every other."""
    return torch.randint(low, high, (batch, channels, size, size), dtype=torch.uint8, generator=drawn(99))


def windows(image: Tensor, crop: int) -> Tensor:
    """All sub-windows of an image [channel, row, column], [window, channel, crop, crop]."""
    grid = image.unfold(1, crop, 1).unfold(2, crop, 1)
    return grid.permute(1, 2, 0, 3, 4).flatten(0, 1)


@settings(deadline=None)
@given(size=st.integers(1, 9), less=st.integers(0, 8), channels=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_every_crop_is_a_window_of_its_image(size: int, less: int, channels: int, seed: int) -> None:
    """Without brightness and contrast each result is a window of its own image, the same in all channels."""
    images = noise(6, channels, size)
    crop = max(1, size - less)
    for image, result in zip(images, Augment(crop)(images, drawn(seed)), strict=True):
        assert (windows(image, crop) == result).flatten(1).all(1).any()


@settings(deadline=None)
@given(size=st.integers(1, 7), shift=st.integers(0, 4), seed=st.integers(0, 2**31))
def test_a_shift_repeats_the_edge(size: int, shift: int, seed: int) -> None:
    """A shifted image is a window of the same size of itself with its edge pixels repeated."""
    images = noise(6, 2, size)
    padded = functional.pad(images.float(), [shift] * 4, mode="replicate")
    for image, result in zip(padded, Augment(size, shift)(images, drawn(seed)), strict=True):
        assert (windows(image, size) == result).flatten(1).all(1).any()


def test_every_window_is_drawn() -> None:
    """Crops come from everywhere in the image, its first and its last row and column included."""
    images = torch.arange(9, dtype=torch.uint8).view(1, 1, 3, 3).expand(400, 1, 3, 3)
    tops = Augment(2)(images, drawn())[:, 0, 0, 0]
    counts = tops.to(torch.int64).bincount(minlength=5)
    assert counts[[0, 1, 3, 4]].sum() == 400
    assert counts[[0, 1, 3, 4]].min() > 60


def test_images_are_drawn_for_themselves() -> None:
    """The same image twice in a batch becomes two variants."""
    images = noise(1, 1, 12).expand(8, 1, 12, 12)
    results = Augment(8, brightness=30.0, contrast=(0.5, 1.5))(images, drawn())
    assert len(results.flatten(1).unique(dim=0)) == 8


def test_the_seed_decides() -> None:
    """Generators of the same seed give the same result bit for bit, another seed gives another."""
    augment, images = Augment(8, brightness=30.0, contrast=(0.5, 1.5)), noise(4, 2, 12)
    first, again, other = (augment(images, drawn(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@settings(deadline=None)
@given(size=st.integers(1, 9), channels=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_nothing_to_vary_is_the_identity(size: int, channels: int, seed: int) -> None:
    """With a crop as large as the image and no shift, brightness or contrast, pixels are unchanged to rounding."""
    images = noise(3, channels, size)
    assert (Augment(size)(images, drawn(seed)) - images.float()).abs().max() < 1e-4


def test_contrast_keeps_the_mean() -> None:
    """Where nothing is clipped, contrast keeps an image's mean and multiplies its spread by a factor in its range."""
    images = noise(50, 2, 16, low=100, high=156)
    results = Augment(16, contrast=(0.5, 1.5))(images, drawn())
    before, after = images.float().flatten(1), results.flatten(1)
    assert torch.allclose(before.mean(1), after.mean(1), atol=1e-3)
    factors = after.std(1) / before.std(1)
    assert factors.min() >= 0.5 - 1e-4
    assert factors.max() <= 1.5 + 1e-4
    assert factors.max() - factors.min() > 0.7


def test_brightness_moves_all_pixels_alike() -> None:
    """Where nothing is clipped, brightness adds one number to all pixels of an image, in its range either way."""
    images = noise(50, 2, 16, low=100, high=156)
    shifts = (Augment(16, brightness=40.0)(images, drawn()) - images.float()).flatten(1)
    assert (shifts.amax(1) - shifts.amin(1)).max() < 1e-3
    assert shifts.abs().max() <= 40.0 + 1e-3
    assert shifts.min() < -25.0
    assert shifts.max() > 25.0


@settings(deadline=None)
@given(brightness=st.floats(0.0, 1000.0), high=st.floats(1.0, 50.0), seed=st.integers(0, 2**31))
def test_pixels_stay_in_range(brightness: float, high: float, seed: int) -> None:
    """Whatever the settings, pixels are finite numbers in 0–255 with the shape of the crop."""
    results = Augment(6, 1, brightness, (0.1, high))(noise(5, 2, 8), drawn(seed))
    assert results.shape == (5, 2, 6, 6)
    assert results.dtype == torch.float32
    assert results.isfinite().all()
    assert results.min() >= 0.0
    assert results.max() <= 255.0


def test_the_images_are_left_alone() -> None:
    """Augmentation makes new tensors: the data set in memory does not change."""
    images = noise(4, 1, 8)
    before = images.clone()
    Augment(8, 1, 50.0, (0.5, 2.0))(images, drawn()).zero_()
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("settings_", "fact"),
    [
        ({"crop": 0}, "found 0, 0 and 0.0"),
        ({"crop": 4, "shift": -1}, "found 4, -1 and 0.0"),
        ({"crop": 4, "brightness": -2.0}, "found 4, 0 and -2.0"),
        ({"crop": 4, "contrast": (1.5, 0.5)}, "contrast must be a range of positive factors, found (1.5, 0.5)"),
        ({"crop": 4, "contrast": (0.0, 0.5)}, "contrast must be a range of positive factors, found (0.0, 0.5)"),
        ({"crop": 4, "warp": 0.5}, "or shapes would fold, found 0.5"),
        ({"crop": 4, "rotation": 270.0}, "between 0 and 180 degrees, found 270.0"),
        ({"crop": 4, "elastic": 2.5}, "or many shapes would fold, found 2.5"),
    ],
)
def test_impossible_settings_are_refused(settings_: dict[str, Any], fact: str) -> None:
    """A setting that makes no sense is refused at construction with the value found."""
    with pytest.raises(ValueError, match="must") as error:
        Augment(**settings_)
    assert fact in str(error.value)


def test_an_image_smaller_than_the_crop_is_refused() -> None:
    """An image that the crop does not fit into is refused with both sizes."""
    with pytest.raises(ValueError, match="images must have at least 9×9 pixels, found 8×8"):
        Augment(9)(noise(1, 1, 8), drawn())


@settings(deadline=None)
@given(size=st.integers(2, 9), less=st.integers(0, 8), seed=st.integers(0, 2**31))
def test_no_warp_is_the_crop(size: int, less: int, seed: int) -> None:
    """As warps, turns and elastic fields go to nothing, a crop becomes the plain one of the same draws."""
    images, crop = noise(4, 2, size), max(1, size - less)
    plain = Augment(crop)(images, drawn(seed))
    for bent in (Augment(crop, warp=1e-9), Augment(crop, rotation=1e-7), Augment(crop, elastic=1e-9)):
        torch.testing.assert_close(bent(images, drawn(seed)), plain, atol=1e-2, rtol=0.0)


def test_a_warp_is_linear_about_the_centre() -> None:
    """Of an image whose grey rises evenly, each warp shows an even slope, another one each, its centre unmoved."""
    column = torch.arange(64.0).expand(1, 1, 64, 64) * 3.0
    results = Augment(32, warp=0.2)(column.to(torch.uint8).expand(40, 1, 64, 64), drawn())[:, 0]
    inner = results[:, 8:24, 8:24]  # sees nothing beyond the image's edge
    right, down = inner.diff(dim=2), inner.diff(dim=1)
    for slope in (right, down):
        assert (slope.flatten(1).amax(1) - slope.flatten(1).amin(1)).max() < 1e-2
    assert 2.4 - 1e-2 < right.min() < 2.6
    assert 3.4 < right.max() < 3.6 + 1e-2
    assert -0.6 - 1e-2 < down.min() < -0.4
    # The centre of a window lies between two pixels: at whole steps of 3 from the first window's centre.
    centres = results[:, 15:17, 15:17].mean((1, 2)) / 3.0
    torch.testing.assert_close((centres - 15.5).round(), centres - 15.5, atol=1e-2, rtol=0.0)


def test_a_turn_keeps_lengths() -> None:
    """Of an image whose grey rises evenly to the right, each shows the same slope in a direction of its own."""
    column = (torch.arange(64.0) * 3.0).to(torch.uint8).expand(300, 2, 64, 64)
    results = Augment(32, rotation=60.0)(column, drawn())
    assert torch.equal(results[:, 0], results[:, 1])
    inner = results[:, 0, 8:24, 8:24]
    right, down = inner.diff(dim=2).mean((1, 2)), inner.diff(dim=1).mean((1, 2))
    torch.testing.assert_close(right.hypot(down), torch.full((300,), 3.0), atol=1e-2, rtol=0.0)
    angles = torch.atan2(down, right).rad2deg()
    assert -60.0 - 0.5 < angles.min() < -57.0
    assert 57.0 < angles.max() < 60.0 + 0.5
    assert abs(angles.mean()) < 5.0


def test_an_elastic_field_is_smooth() -> None:
    """Of an image whose grey rises evenly, each is bent in its own way: by its deviation, hardly between neighbours."""
    column = (torch.arange(64.0) * 3.0).to(torch.uint8).expand(200, 2, 64, 64)
    images = Augment(32, elastic=1.5)(column, drawn())
    plain = Augment(32)(column, drawn())
    moved = (images - plain) / 3.0  # pixels to the right
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert 0.9 < moved.std(0).mean() < 1.6  # between its points a field is a mean of theirs
    assert abs(moved.mean()) < 0.1
    assert moved.diff(dim=2).square().mean().sqrt() < 0.25 * 1.5
    assert moved.diff(dim=3).square().mean().sqrt() < 0.25 * 1.5


def test_beyond_the_edge_its_pixels_repeat() -> None:
    """A warp that looks beyond an even image sees no other grey there."""
    images = torch.full((20, 1, 16, 16), 77, dtype=torch.uint8)
    assert (Augment(16, warp=0.4)(images, drawn()) - 77.0).abs().max() < 1e-3


def test_a_mirror_swaps_the_cameras() -> None:
    """About half of the images are flipped left to right, channels in the opposite order; the others are not."""
    images = noise(200, 2, 8)
    results = Augment(8, mirror=True)(images, drawn())
    flipped = (results - images.flip(1, 3).float()).abs().flatten(1).amax(1) < 1e-3
    same = (results - images.float()).abs().flatten(1).amax(1) < 1e-3
    assert (flipped ^ same).all()
    assert 70 < int(flipped.sum()) < 130


def test_a_mixture_is_the_weighted_mean() -> None:
    """Each image of a batch is mixed with its partner by the share stated, and the seed decides."""
    images = noise(16, 2, 4).float()
    mixture, again = mix(images, 0.4, drawn(1)), mix(images, 0.4, drawn(1))
    assert 0.0 <= mixture.share <= 1.0
    assert sorted(mixture.partners.tolist()) == list(range(16))
    expected = mixture.share * images + (1.0 - mixture.share) * images[mixture.partners]
    torch.testing.assert_close(mixture.images, expected)
    assert torch.equal(mixture.images, again.images)


def test_shares_come_from_a_beta_distribution() -> None:
    """Shares have the mean 1/2 and the variance 1 / (8 α + 4) of Beta(α, α)."""
    generator, images = drawn(), torch.zeros(2, 1, 1, 1)
    shares = torch.tensor([mix(images, 0.5, generator).share for _ in range(4000)])
    assert abs(shares.mean() - 0.5) < 0.02
    assert abs(shares.var() - 1.0 / 8.0) < 0.01


def test_no_mixture_draws_nothing() -> None:
    """With α = 0 images are themselves, and the generator is left as it was."""
    images, generator = noise(4, 1, 4).float(), drawn(3)
    mixture = mix(images, 0.0, generator)
    assert torch.equal(mixture.images, images)
    assert mixture.share == 1.0
    assert torch.equal(generator.get_state(), drawn(3).get_state())
