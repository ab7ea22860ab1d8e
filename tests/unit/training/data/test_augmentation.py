"""Augmented images are random windows of the images, distorted, brighter or darker, and stay in 0–255."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from matcaps.training.config import AugmentationConfig
from matcaps.training.data.augmentation import Augment, mix


def drawn(seed: int = 0) -> torch.Generator:
    """A generator with a seed."""
    return torch.Generator().manual_seed(seed)


def augment(crop: int, **options: Any) -> Augment:
    """Random variants with a crop and some options."""
    return Augment(crop, AugmentationConfig(**options))


def noise(batch: int, channels: int, size: int, low: int = 0, high: int = 256) -> Tensor:
    """Images in which every window differs from every other."""
    return torch.randint(low, high, (batch, channels, size, size), dtype=torch.uint8, generator=drawn(99))


def windows(image: Tensor, crop: int) -> Tensor:
    """All sub-windows of an image [channel, row, column], [window, channel, crop, crop]."""
    grid = image.unfold(1, crop, 1).unfold(2, crop, 1)
    return grid.permute(1, 2, 0, 3, 4).flatten(0, 1)


@settings(deadline=None, max_examples=40)
@given(size=st.integers(1, 9), less=st.integers(0, 8), channels=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_every_crop_is_a_window_of_its_image(size: int, less: int, channels: int, seed: int) -> None:
    """Without brightness and contrast each result is a window of its own image, the same in all channels."""
    images = noise(6, channels, size)
    crop = max(1, size - less)
    for image, result in zip(images, augment(crop)(images, drawn(seed)), strict=True):
        assert (windows(image, crop) == result).flatten(1).all(1).any()


@settings(deadline=None, max_examples=40)
@given(size=st.integers(1, 7), shift=st.integers(0, 4), seed=st.integers(0, 2**31))
def test_a_shift_repeats_the_edge(size: int, shift: int, seed: int) -> None:
    """A shifted image is a window of the same size of itself with its edge pixels repeated."""
    images = noise(6, 2, size)
    padded = functional.pad(images.float(), [shift] * 4, mode="replicate")
    for image, result in zip(padded, augment(size, shift=shift)(images, drawn(seed)), strict=True):
        assert (windows(image, size) == result).flatten(1).all(1).any()


def test_every_window_is_drawn() -> None:
    """Crops come from everywhere in the image, including its first and last row and column."""
    images = torch.arange(9, dtype=torch.uint8).view(1, 1, 3, 3).expand(400, 1, 3, 3)
    tops = augment(2)(images, drawn())[:, 0, 0, 0]
    counts = tops.to(torch.int64).bincount(minlength=5)
    assert counts[[0, 1, 3, 4]].sum() == 400
    assert counts[[0, 1, 3, 4]].min() > 60


def test_each_image_has_its_own_draw() -> None:
    """The same image twice in a batch becomes two variants."""
    images = noise(1, 1, 12).expand(8, 1, 12, 12)
    results = augment(8, brightness=30.0, contrast=(0.5, 1.5))(images, drawn())
    assert len(results.flatten(1).unique(dim=0)) == 8


def test_the_seed_decides() -> None:
    """Generators of the same seed give the same result bit for bit, another seed gives another."""
    variant, images = augment(8, brightness=30.0, contrast=(0.5, 1.5)), noise(4, 2, 12)
    first, again, other = (variant(images, drawn(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@settings(deadline=None, max_examples=40)
@given(size=st.integers(1, 9), channels=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_no_options_are_the_identity(size: int, channels: int, seed: int) -> None:
    """With a crop as large as the image and no shift, brightness or contrast, pixels are unchanged to rounding."""
    images = noise(3, channels, size)
    assert (augment(size)(images, drawn(seed)) - images.float()).abs().max() < 1e-4


def test_contrast_keeps_the_mean() -> None:
    """Where nothing is clipped, contrast keeps an image's mean and multiplies its spread by a factor in its range."""
    images = noise(50, 2, 16, low=100, high=156)
    results = augment(16, contrast=(0.5, 1.5))(images, drawn())
    before, after = images.float().flatten(1), results.flatten(1)
    assert torch.allclose(before.mean(1), after.mean(1), atol=1e-3)
    factors = after.std(1) / before.std(1)
    assert factors.min() >= 0.5 - 1e-4
    assert factors.max() <= 1.5 + 1e-4
    assert factors.max() - factors.min() > 0.7


def test_brightness_moves_all_pixels_alike() -> None:
    """Where nothing is clipped, brightness adds one number in its range to all pixels of an image."""
    images = noise(50, 2, 16, low=100, high=156)
    shifts = (augment(16, brightness=40.0)(images, drawn()) - images.float()).flatten(1)
    assert (shifts.amax(1) - shifts.amin(1)).max() < 1e-3
    assert shifts.abs().max() <= 40.0 + 1e-3
    assert shifts.min() < -25.0
    assert shifts.max() > 25.0


@settings(deadline=None, max_examples=40)
@given(brightness=st.floats(0.0, 1000.0), high=st.floats(1.0, 50.0), seed=st.integers(0, 2**31))
def test_pixels_stay_in_range(brightness: float, high: float, seed: int) -> None:
    """With any options, pixels are finite numbers in 0–255 with the shape of the crop."""
    results = augment(6, shift=1, brightness=brightness, contrast=(0.1, high))(noise(5, 2, 8), drawn(seed))
    assert results.shape == (5, 2, 6, 6)
    assert results.dtype == torch.float32
    assert results.isfinite().all()
    assert results.min() >= 0.0
    assert results.max() <= 255.0


def test_the_data_set_is_not_changed() -> None:
    """Augmentation returns new tensors."""
    images = noise(4, 1, 8)
    before = images.clone()
    augment(8, shift=1, brightness=50.0, contrast=(0.5, 2.0))(images, drawn()).zero_()
    assert torch.equal(images, before)


def test_a_crop_without_pixels_is_rejected() -> None:
    """The crop must have at least one pixel."""
    with pytest.raises(ValueError, match="crop must be at least 1 pixel, got 0"):
        augment(0)


def test_an_image_smaller_than_the_crop_is_rejected() -> None:
    """An image that the crop does not fit into is rejected with both sizes."""
    with pytest.raises(ValueError, match="images must have at least 9×9 pixels, got 8×8"):
        augment(9)(noise(1, 1, 8), drawn())


@settings(deadline=None, max_examples=40)
@given(size=st.integers(2, 9), less=st.integers(0, 8), seed=st.integers(0, 2**31))
def test_weak_distortions_approach_the_plain_crop(size: int, less: int, seed: int) -> None:
    """With almost no warp, rotation or elastic field a crop is the plain one of the same draws."""
    images, crop = noise(4, 2, size), max(1, size - less)
    plain = augment(crop)(images, drawn(seed))
    for bent in (augment(crop, warp=1e-9), augment(crop, rotation=1e-7), augment(crop, elastic=1e-9)):
        torch.testing.assert_close(bent(images, drawn(seed)), plain, atol=1e-2, rtol=0.0)


def test_a_warp_is_linear_about_the_centre() -> None:
    """A linear ramp stays linear under a warp, with a new slope, and its centre does not move."""
    column = torch.arange(64.0).expand(1, 1, 64, 64) * 3.0
    results = augment(32, warp=0.2)(column.to(torch.uint8).expand(40, 1, 64, 64), drawn())[:, 0]
    inner = results[:, 8:24, 8:24]  # lies inside the image
    right, down = inner.diff(dim=2), inner.diff(dim=1)
    for slope in (right, down):
        assert (slope.flatten(1).amax(1) - slope.flatten(1).amin(1)).max() < 1e-2
    assert 2.4 - 1e-2 < right.min() < 2.6
    assert 3.4 < right.max() < 3.6 + 1e-2
    assert -0.6 - 1e-2 < down.min() < -0.4
    # The centre of a window lies between two pixels, at a multiple of 3 grey levels from the first window's centre.
    centres = results[:, 15:17, 15:17].mean((1, 2)) / 3.0
    torch.testing.assert_close((centres - 15.5).round(), centres - 15.5, atol=1e-2, rtol=0.0)


def test_a_rotation_keeps_lengths() -> None:
    """A linear ramp keeps its slope under a rotation, in a new direction."""
    column = (torch.arange(64.0) * 3.0).to(torch.uint8).expand(300, 2, 64, 64)
    results = augment(32, rotation=60.0)(column, drawn())
    assert torch.equal(results[:, 0], results[:, 1])
    inner = results[:, 0, 8:24, 8:24]
    right, down = inner.diff(dim=2).mean((1, 2)), inner.diff(dim=1).mean((1, 2))
    torch.testing.assert_close(right.hypot(down), torch.full((300,), 3.0), atol=1e-2, rtol=0.0)
    angles = torch.atan2(down, right).rad2deg()
    assert -60.0 - 0.5 < angles.min() < -57.0
    assert 57.0 < angles.max() < 60.0 + 0.5
    assert abs(angles.mean()) < 5.0


def test_an_elastic_field_is_smooth() -> None:
    """An elastic field moves pixels by its standard deviation, and neighbours by nearly the same."""
    column = (torch.arange(64.0) * 3.0).to(torch.uint8).expand(200, 2, 64, 64)
    images = augment(32, elastic=1.5)(column, drawn())
    plain = augment(32)(column, drawn())
    moved = (images - plain) / 3.0  # pixels to the right
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert 0.9 < moved.std(0).mean() < 1.6  # between its points a field is interpolated
    assert abs(moved.mean()) < 0.1
    assert moved.diff(dim=2).square().mean().sqrt() < 0.25 * 1.5
    assert moved.diff(dim=3).square().mean().sqrt() < 0.25 * 1.5


def test_edge_pixels_repeat_beyond_the_edge() -> None:
    """A warp that reaches beyond a uniform image finds the same grey there."""
    images = torch.full((20, 1, 16, 16), 77, dtype=torch.uint8)
    assert (augment(16, warp=0.4)(images, drawn()) - 77.0).abs().max() < 1e-3


def test_a_mirror_swaps_the_cameras() -> None:
    """About half of the images are flipped left to right with swapped channels; the others are unchanged."""
    images = noise(200, 2, 8)
    results = augment(8, mirror=True)(images, drawn())
    flipped = (results - images.flip(1, 3).float()).abs().flatten(1).amax(1) < 1e-3
    same = (results - images.float()).abs().flatten(1).amax(1) < 1e-3
    assert (flipped ^ same).all()
    assert 70 < int(flipped.sum()) < 130


def test_a_mirror_keeps_colours() -> None:
    """RGB images are flipped left to right, and red stays red."""
    images = noise(200, 3, 8)
    results = augment(8, mirror=True)(images, drawn())
    flipped = (results - images.flip(3).float()).abs().flatten(1).amax(1) < 1e-3
    same = (results - images.float()).abs().flatten(1).amax(1) < 1e-3
    assert (flipped ^ same).all()
    assert 70 < int(flipped.sum()) < 130


LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]


@settings(deadline=None, max_examples=20)
@given(hue=st.floats(0.0, 180.0), low=st.floats(0.0, 1.0), high=st.floats(1.0, 1.5), seed=st.integers(0, 2**31))
def test_hue_and_saturation_keep_the_luma(hue: float, low: float, high: float, seed: int) -> None:
    """Where nothing is clipped, hue and saturation change colours, not luma; grey pixels do not change."""
    images = noise(8, 3, 5, low=115, high=141)
    images[:, :, 0] = images[:, :1, 0]
    results = augment(5, hue=hue, saturation=(low, high))(images, drawn(seed))
    torch.testing.assert_close((results * LUMA).sum(1), (images * LUMA).sum(1), atol=0.05, rtol=0.0)
    torch.testing.assert_close(results[:, :, 0], images[:, :, 0].float(), atol=0.05, rtol=0.0)


def test_saturation_moves_colours_away_from_grey() -> None:
    """A factor of 0 gives the luma in all channels; others multiply the distance from it."""
    images = noise(60, 3, 5, low=100, high=156)
    luma = (images * LUMA).sum(1, keepdim=True)
    grey = augment(5, saturation=(0.0, 0.0))(images, drawn())
    torch.testing.assert_close(grey, luma.expand_as(images), atol=0.05, rtol=0.0)
    results = augment(5, saturation=(0.5, 1.5))(images, drawn())
    factors = ((results - luma).flatten(1).norm(dim=1) / (images - luma).flatten(1).norm(dim=1)).sort().values
    assert 0.49 < factors[0] < 0.6
    assert 1.4 < factors[-1] < 1.51
    torch.testing.assert_close(augment(5, saturation=(1.0, 1.0))(images, drawn()), images.float(), atol=1e-3, rtol=0.0)


def test_a_third_of_a_turn_makes_red_greenish_or_bluish() -> None:
    """Hues turn either way by up to the given angle, and different images by different angles."""
    images = torch.tensor([160, 100, 100], dtype=torch.uint8).view(1, 3, 1, 1).expand(200, 3, 4, 4)
    results = augment(4, hue=120.0)(images, drawn())[:, :, 0, 0]
    highest = results.argmax(1).bincount(minlength=3)
    assert highest.min() > 20
    assert highest[0] > 60
    weak = augment(4, hue=10.0)(images, drawn())[:, :, 0, 0]
    assert (weak.argmax(1) == 0).all()
    assert len(weak.unique(dim=0)) == 200


@pytest.mark.parametrize("options", [{"hue": 10.0}, {"saturation": (0.5, 1.0)}])
@pytest.mark.parametrize(("channels", "words"), [(1, "of 1 channel$"), (2, "of 2 channels$")])
def test_hue_and_saturation_are_for_rgb(options: dict[str, Any], channels: int, words: str) -> None:
    """Grey images and stereo pairs have no colours to change."""
    with pytest.raises(ValueError, match=f"--hue and --saturation change the colours of RGB images .*{words}"):
        augment(4, **options)(noise(2, channels, 4), drawn())


def test_a_mixture_is_the_weighted_mean() -> None:
    """Each image is mixed with its partner by the returned share, and the seed decides."""
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


def test_mixup_of_zero_draws_nothing() -> None:
    """With α = 0 the images and the generator are unchanged."""
    images, generator = noise(4, 1, 4).float(), drawn(3)
    mixture = mix(images, 0.0, generator)
    assert torch.equal(mixture.images, images)
    assert mixture.share == 1.0
    assert torch.equal(generator.get_state(), drawn(3).get_state())
