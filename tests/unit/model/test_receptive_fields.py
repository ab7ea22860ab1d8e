"""Which pixels each capsule sees, and the coordinates that follow from it."""

from dataclasses import replace

import pytest
import torch

from matcaps.model.config import CapsNetConfig, small_norb_small, tiny
from tests.support.networks import CONFIGS, build, pictures


def test_grids_of_32_pixels_are_those_of_the_paper() -> None:
    """The paper's 32×32 crop makes grids of 14, 6 and 4."""
    for config in (small_norb_small(), replace(small_norb_small(), pooled_channels=32)):
        assert [field.grid for field in build(config).fields.values()] == [14, 6, 4]


@pytest.mark.parametrize("config", [replace(tiny(), crop_size=crop) for crop in (17, 20, 23, 24)])
def test_receptive_fields_are_where_gradients_come_from(config: CapsNetConfig) -> None:
    """With one iteration, in which windows do not compete, a site depends on its receptive field only."""
    config = replace(config, routing=replace(config.routing, iterations=1))
    network = build(config, torch.float64)
    for name, field in network.fields.items():
        # After standardising: through it every pixel changes every other one.
        crop = torch.randn(2, 1, config.crop_size, config.crop_size, dtype=torch.float64, requires_grad=True)
        features = network.primary_caps.by_site(network.stem(crop))
        layers = {"primary_caps": features.poses}
        first = network.conv_caps_1(features)
        layers["conv_caps_1"] = first.poses
        second = network.conv_caps_2(type(features)(first.activation_logits.sigmoid(), first.poses))
        layers["conv_caps_2"] = second.poses
        for row in range(field.grid):
            for column in range(field.grid):
                site = layers[name][0, row * field.grid + column].square().sum()
                (gradient,) = torch.autograd.grad(site, crop, retain_graph=True)
                touched = gradient[0, 0] != 0
                top, left = row * field.stride, column * field.stride
                expected = torch.zeros_like(touched)
                expected[top : top + field.size, left : left + field.size] = True
                assert torch.equal(touched, expected)


@pytest.mark.parametrize(("crop", "blocks"), [(18, 0), (19, 0), (20, 0), (24, 0), (19, 1), (24, 2)])
def test_receptive_fields_over_maxima_reach_beyond_the_edge(crop: int, blocks: int) -> None:
    """A primary capsule sees 14×14 pixels from 4 outside on, and 4 more on each side for a residual block.

    Maxima depend on one pixel of several, so the pixels of many images together are the field.
    """
    network = build(replace(tiny(), crop_size=crop, pooled_channels=3, residual_blocks=blocks), torch.float64)
    field = network.fields["primary_caps"]
    assert (field.grid, field.size, field.stride, field.start) == (crop // 2 - 2, 14 + 8 * blocks, 2, -4 - 4 * blocks)
    pixels = torch.randn(40, 1, crop, crop, dtype=torch.float64, requires_grad=True)
    poses = network.primary_caps.by_site(network.residual(network.stem(network.pooled(pixels)))).poses
    for row in range(field.grid):
        for column in range(field.grid):
            site = poses[:, row * field.grid + column].square().sum()
            (gradient,) = torch.autograd.grad(site, pixels, retain_graph=True)
            touched = (gradient != 0).any(0)[0]
            top, left = (max(0, field.start + index * field.stride) for index in (row, column))
            bottom, right = (field.start + index * field.stride + field.size for index in (row, column))
            expected = torch.zeros_like(touched)
            expected[top:bottom, left:right] = True
            assert torch.equal(touched, expected)


@pytest.mark.parametrize("config", CONFIGS)
def test_coordinates_are_receptive_field_centres(config: CapsNetConfig) -> None:
    """Coordinates are row and column of the receptive field's centre, as fractions of the crop."""
    network = build(config)
    field = network.fields["conv_caps_2"]
    coordinates = network.class_caps.windows.coordinates
    assert coordinates is not None
    for site, (row, column) in enumerate(coordinates.tolist()):
        corner = divmod(site, field.grid)
        centre = [(field.start + index * field.stride + field.size / 2) / config.input_size for index in corner]
        assert [row, column] == pytest.approx(centre)
        assert 0 < row < 1
        assert 0 < column < 1
    assert len(coordinates) == field.grid**2
    for layer in (network.conv_caps_1, network.conv_caps_2):
        assert layer.windows.coordinates is None


def test_coordinates_of_32_pixels_are_those_of_the_paper() -> None:
    """The paper's last grid sees 17 pixels at a site, 4 apart: centres at 8.5, 12.5, 16.5 and 20.5 of 32."""
    coordinates = build(small_norb_small()).class_caps.windows.coordinates
    assert coordinates is not None
    assert (32 * coordinates[::4, 0]).tolist() == [8.5, 12.5, 16.5, 20.5]
    assert (32 * coordinates[:4, 1]).tolist() == [8.5, 12.5, 16.5, 20.5]


def test_without_coordinate_addition_the_layers_below_stay_the_same() -> None:
    """The class layer has no coordinates then, and only its results change."""
    config = replace(tiny(), coordinate_addition=False)
    network = build(config)
    assert network.class_caps.windows.coordinates is None
    with torch.no_grad():
        without, with_them = network(pictures(config)), build(tiny())(pictures(config))
    assert torch.equal(without.conv_caps_2.poses, with_them.conv_caps_2.poses)
    assert not torch.equal(without.poses, with_them.poses)
