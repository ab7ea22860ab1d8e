"""The whole network: shapes, receptive fields, and invariances."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from matcaps.model.config import CapsNetConfig, mnist, small_norb_small, tiny
from matcaps.model.network import CapsNet, Prediction
from matcaps.model.pixels import area_shares, standardise

SHRUNK = replace(tiny(), crop_size=24, resolution=18)
POOLED = replace(tiny(channels=2), pooled_channels=3)
DEEP = replace(POOLED, residual_blocks=2)
UNNORMED = replace(tiny(), residual_blocks=1, batch_norm=False)
CROPPED = [replace(tiny(), crop_size=crop) for crop in (24, 17)]
BY_TYPE = replace(tiny(), crop_size=24, routing=replace(tiny().routing, competition="positions"))
CONFIGS = [tiny(), tiny(channels=2), *CROPPED, SHRUNK, POOLED, DEEP, UNNORMED, BY_TYPE]


def build(config: CapsNetConfig, dtype: torch.dtype = torch.float32) -> CapsNet:
    """A network in evaluation mode, always with the same weights."""
    torch.manual_seed(0)
    return CapsNet(config).to(dtype).eval()


def pictures(config: CapsNetConfig, batch: int = 2, size: int | None = None) -> Tensor:
    """Random pixels in 0–255, as floats."""
    generator = torch.Generator().manual_seed(1)
    size = size or config.image_size
    return torch.randint(0, 256, (batch, config.channels, size, size), generator=generator).float()


def all_parts(prediction: Prediction) -> list[Tensor]:
    """Every tensor of a prediction."""
    layers = prediction.primary_caps, prediction.conv_caps_1, prediction.conv_caps_2
    return [
        prediction.logits,
        prediction.activations,
        prediction.poses,
        prediction.class_assignments,
        *(tensor for layer in layers for tensor in layer),
    ]


@pytest.mark.parametrize("config", [*CONFIGS, small_norb_small(), mnist()])
def test_shapes_follow_from_the_config(config: CapsNetConfig) -> None:
    """Each layer has its grid's sites and its types, and the classes have one capsule each."""
    network = build(config)
    with torch.no_grad():
        prediction = network(pictures(config))
    types = {
        "primary_caps": config.primary_types,
        "conv_caps_1": config.conv_types_1,
        "conv_caps_2": config.conv_types_2,
    }
    for name, count in types.items():
        layer, sites = getattr(prediction, name), network.fields[name].grid ** 2
        assert layer.activations.shape == (2, sites, count)
        assert layer.poses.shape == (2, sites, count, 4, 4)
    classes = len(config.classes)
    assert prediction.logits.shape == prediction.activations.shape == (2, classes)
    assert prediction.poses.shape == (2, classes, 4, 4)
    sites = network.fields["conv_caps_2"].grid ** 2
    assert prediction.class_assignments.shape == (2, sites, config.conv_types_2, classes)


@pytest.mark.parametrize("config", [tiny(), BY_TYPE])
def test_assignments_come_only_if_asked_for(config: CapsNetConfig) -> None:
    """They change no other result; without them the assignments of the convolutional layers are None."""
    network, image = build(config), pictures(config)
    with torch.no_grad():
        without, having = network(image), network(image, assignments=True)
    assert without.conv_caps_1_assignments is None
    assert without.conv_caps_2_assignments is None
    assert all(torch.equal(*pair) for pair in zip(all_parts(without), all_parts(having), strict=True))
    for name, below in (("conv_caps_1", "primary_caps"), ("conv_caps_2", "conv_caps_1")):
        layer, children = getattr(having, name), getattr(having, below)
        found = getattr(having, f"{name}_assignments")
        sites, types = layer.activations.shape[1:]
        assert found.shape == (2, sites, 9, children.activations.shape[2], types)
    torch.testing.assert_close(having.pixels, standardise(image, config), rtol=0, atol=0)


def test_grids_of_32_pixels_are_those_of_the_paper() -> None:
    """The paper's 32×32 crop makes grids of 14, 6 and 4."""
    for config in (small_norb_small(), replace(small_norb_small(), pooled_channels=32)):
        assert [field.grid for field in build(config).fields.values()] == [14, 6, 4]


@pytest.mark.parametrize("config", CONFIGS)
def test_activations_are_logistic_and_assignments_are_shares(config: CapsNetConfig) -> None:
    """Activations lie in [0, 1], and what each capsule gives to the classes sums to 1."""
    with torch.no_grad():
        prediction = build(config)(pictures(config))
    torch.testing.assert_close(prediction.activations, prediction.logits.sigmoid())
    for layer in (prediction.primary_caps, prediction.conv_caps_1, prediction.conv_caps_2):
        assert ((layer.activations >= 0) & (layer.activations <= 1)).all()
    shares = prediction.class_assignments
    assert (shares >= 0).all()
    torch.testing.assert_close(shares.sum(-1), torch.ones(shares.shape[:-1]))


@pytest.mark.parametrize("config", [replace(tiny(), crop_size=24), BY_TYPE])
def test_types_compete_by_themselves_in_the_convolutional_layers_alone(config: CapsNetConfig) -> None:
    """There each reached child has assignments of 1 for each parent type; the class layer has 1 for all classes."""
    network = build(config)
    with torch.no_grad():
        prediction = network(pictures(config))
        first = network.conv_caps_1(prediction.primary_caps, assignments=True)
        second = network.conv_caps_2(prediction.conv_caps_1, assignments=True)
    for caps, routed in ((network.conv_caps_1, first), (network.conv_caps_2, second)):
        child_types, parent_types = caps.weights.shape[1:3]
        each = parent_types if config.routing.competition == "positions" else 1
        assert routed.assignments is not None
        expected = 2 * caps.windows.reached_sites * child_types * each
        assert float(routed.assignments.sum()) == pytest.approx(expected, rel=1e-5)
    assert float(prediction.class_assignments.sum()) == pytest.approx(2 * 2 * 2 * config.conv_types_2, rel=1e-5)


@pytest.mark.parametrize("size", [20, 21, 24, 31])
def test_the_network_sees_the_central_crop(size: int) -> None:
    """The pixels around the central crop change nothing."""
    config = tiny()
    image = pictures(config, size=size)
    margin = (size - config.crop_size) // 2
    inside = slice(margin, margin + config.crop_size)
    crop = image[:, :, inside, inside]
    torch.testing.assert_close(standardise(image, config), standardise(crop, config), rtol=0, atol=0)
    elsewhere = torch.full_like(image, 255.0)
    elsewhere[:, :, inside, inside] = crop
    torch.testing.assert_close(standardise(elsewhere, config), standardise(crop, config), rtol=0, atol=0)


def test_autocast_does_not_round_pixels() -> None:
    """Under autocast pixels are standardised to the same bits."""
    image = pictures(SHRUNK)
    with torch.autocast("cpu", torch.bfloat16):
        found = standardise(image, SHRUNK)
    torch.testing.assert_close(found, standardise(image, SHRUNK), rtol=0, atol=0)


def test_a_crop_is_shrunk_by_averaging_areas() -> None:
    """12 pixels from 24 are means of blocks, 18 from 24 are weighted by the areas they cover."""
    image = pictures(SHRUNK).double()
    halves = image.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1))
    shares = area_shares(24, 12, torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(shares @ image @ shares.T, halves)
    shares = area_shares(24, 18, torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(shares.sum(1), torch.ones(18).double())
    torch.testing.assert_close(shares.sum(0), torch.full((24,), 18 / 24).double())
    shrunk = shares @ image @ shares.T
    first = image[:, :, :2, :2] * torch.tensor([[9, 3], [3, 1]]) / 16
    torch.testing.assert_close(shrunk[:, :, 0, 0], first.sum((2, 3)))
    centred = shrunk - shrunk.mean((1, 2, 3), keepdim=True)
    expected = centred / centred.square().mean((1, 2, 3), keepdim=True).sqrt()
    torch.testing.assert_close(standardise(image, SHRUNK, torch.float64), expected)


def test_bytes_and_floats_give_the_same_results() -> None:
    """The artefact takes uint8 images and augmentation returns floats; the results are the same."""
    network, image = build(tiny()), pictures(tiny())
    with torch.no_grad():
        as_bytes, as_floats = network(image.to(torch.uint8)), network(image)
    assert all(torch.equal(*pair) for pair in zip(all_parts(as_bytes), all_parts(as_floats), strict=True))


@pytest.mark.parametrize(("contrast", "brightness"), [(0.5, 0.0), (1.0, 40.0), (0.25, -20.0), (3.0, 500.0)])
def test_contrast_and_brightness_change_nothing(contrast: float, brightness: float) -> None:
    """An image with other contrast and brightness is standardised to the same input."""
    config = tiny(channels=2)
    image = pictures(config).double()
    standard = standardise(image, config, torch.float64)
    torch.testing.assert_close(standardise(contrast * image + brightness, config, torch.float64), standard)
    torch.testing.assert_close(standard.mean((1, 2, 3)), torch.zeros(2).double())
    torch.testing.assert_close(standard.square().mean((1, 2, 3)), torch.ones(2).double())


def test_both_cameras_are_standardised_together() -> None:
    """A difference in brightness between the channels is kept."""
    config = tiny(channels=2)
    image = pictures(config)
    image[:, 1] /= 2
    standard = standardise(image, config)
    assert (standard[:, 0].mean((1, 2)) > standard[:, 1].mean((1, 2)) + 0.5).all()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("level", [0, 77, 255])
def test_even_images_have_finite_results_and_gradients(level: int, training: bool) -> None:
    """A black, grey or white image is standardised to zeros, and no result or gradient is infinite or NaN."""
    network = build(tiny()).train(training)
    image = torch.full((2, 1, 24, 24), float(level), requires_grad=True)
    assert (standardise(image, network.config) == 0).all()
    prediction = network(image)
    assert all(part.isfinite().all() for part in all_parts(prediction))
    (prediction.logits.sum() + prediction.poses.sum()).backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("config", [tiny(), POOLED, DEEP])
def test_every_parameter_has_a_gradient(config: CapsNetConfig) -> None:
    """On random images in training mode no parameter's gradient is zero."""
    network = build(config).train()
    prediction = network(pictures(config, batch=4))
    (prediction.logits.square().sum() + prediction.poses.square().sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("config", [replace(tiny(), crop_size=crop) for crop in (17, 20, 23, 24)])
def test_receptive_fields_are_where_gradients_come_from(config: CapsNetConfig) -> None:
    """With one iteration, in which windows do not compete, a site depends on its receptive field only."""
    config = replace(config, routing=replace(config.routing, iterations=1))
    network = build(config, torch.float64)
    for name, field in network.fields.items():
        # After standardising: through it every pixel changes every other one.
        crop = torch.randn(2, 1, config.crop_size, config.crop_size, dtype=torch.float64, requires_grad=True)
        features = network.primary_caps(network.stem(crop))
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
    poses = network.primary_caps(network.residual(network.stem(network.pooled(pixels)))).poses
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


@pytest.mark.parametrize(
    ("shape", "found"),
    [((1, 2, 24, 24), "2 of 24×24"), ((1, 1, 19, 24), "1 of 19×24"), ((1, 1, 24, 8), "1 of 24×8")],
)
def test_images_of_a_wrong_shape_are_an_error_that_names_it(shape: tuple[int, ...], found: str) -> None:
    """The error says what was expected and what was found."""
    with pytest.raises(ValueError, match=f"1 channels and at least 20×20 pixels, found {found}"):
        build(tiny())(torch.zeros(shape, dtype=torch.uint8))


@pytest.mark.parametrize("config", [*CONFIGS, small_norb_small()])
def test_float32_agrees_with_float64(config: CapsNetConfig) -> None:
    """In evaluation mode float32 differs by at most 1e-4 of the largest element."""
    image = pictures(config)
    with torch.no_grad():
        found, truth = build(config)(image), build(config, torch.float64)(image.double())
    for part, exact in zip(all_parts(found), all_parts(truth), strict=True):
        assert (part - exact).abs().max() <= 1e-4 * exact.abs().max().clamp_min(1)


def test_images_of_a_batch_do_not_influence_each_other() -> None:
    """In evaluation mode an image's results do not depend on the rest of the batch."""
    network, image = build(tiny(), torch.float64), pictures(tiny(), batch=3).double()
    with torch.no_grad():
        together = network(image)
        for example in range(3):
            alone = network(image[example : example + 1])
            for part, whole in zip(all_parts(alone), all_parts(together), strict=True):
                torch.testing.assert_close(part, whole[example : example + 1])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-12)])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_layout_of_memory_changes_nothing(batch: int, dtype: torch.dtype, tolerance: float) -> None:
    """An image's channels lie side by side; values and gradients are those of channels one after the other."""
    image, found = pictures(DEEP, batch).to(dtype), []
    seen: list[Tensor] = []
    for channels_last in (True, False):
        network = build(DEEP, dtype).train()
        if not channels_last:
            for parameter in network.parameters():
                parameter.data = parameter.data.contiguous()
        network.residual.register_forward_hook(lambda *call: seen.append(call[-1]))
        prediction = network(image)
        (prediction.logits.square().sum() + prediction.poses.square().sum()).backward()
        gradients = [parameter.grad for parameter in network.parameters()]
        found.append([part.detach() for part in (*all_parts(prediction), *gradients) if part is not None])
    assert [features.is_contiguous(memory_format=torch.channels_last) for features in seen] == [True, False]
    for side_by_side, one_by_one in zip(*found, strict=True):
        largest = float(one_by_one.abs().max())
        torch.testing.assert_close(side_by_side, one_by_one, rtol=0.0, atol=tolerance * max(1.0, largest))


def test_gradients_of_a_single_image_are_those_of_the_same_image_twice() -> None:
    """A batch of one has the gradient that the image has in a larger batch."""
    network, image = build(tiny(), torch.float64), pictures(tiny(), batch=1).double()
    found = []
    for copies in (1, 2):
        batch = image.repeat(copies, 1, 1, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(network(batch).poses.square().sum(), batch)
        found.append(gradient[0])
    torch.testing.assert_close(*found)
