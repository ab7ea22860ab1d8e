"""The whole network: shapes, shares, gradients, and what changes no result."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from matcaps.model.config import CapsNetConfig, mnist, small_norb_small, tiny
from matcaps.model.pixels import standardise
from tests.support.networks import BY_TYPE, CONFIGS, DEEP, POOLED, all_parts, build, pictures


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


def test_bytes_and_floats_give_the_same_results() -> None:
    """The artefact takes uint8 images and augmentation returns floats; the results are the same."""
    network, image = build(tiny()), pictures(tiny())
    with torch.no_grad():
        as_bytes, as_floats = network(image.to(torch.uint8)), network(image)
    assert all(torch.equal(*pair) for pair in zip(all_parts(as_bytes), all_parts(as_floats), strict=True))


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
