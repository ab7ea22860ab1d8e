"""The suite routing reports what routing does in the network."""

import math
from dataclasses import replace

import pytest
import torch

from matcaps.model import CapsNet, standardise, tiny
from matcaps.training.data import ImageSet
from matcaps.training.evaluation.suites.routing import BINS, DEAD_BELOW, entropies, routing


@pytest.fixture
def images(network: CapsNet) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (70, 1, 24, 24), generator=generator, dtype=torch.uint8)
    return ImageSet("random", network.config.classes, pixels, torch.zeros(70, dtype=torch.int64))


def test_assignments_are_uniform_first_and_sharpen(network: CapsNet, images: ImageSet) -> None:
    """In the first iteration each child's assignments are uniform over its parents, later less so."""
    with torch.no_grad():
        output = network.forward_standardised(standardise(images.images, network.config))
        found = entropies(network.class_caps, output.conv_caps_2)
    children = math.prod(output.conv_caps_2.activations.shape)
    assert found[0] == pytest.approx(children * math.log(3), rel=1e-5)
    assert found[2] < found[1] < found[0]


def test_the_last_entropy_is_that_of_the_network(network: CapsNet, images: ImageSet) -> None:
    """The last entropy is that of the assignments that the network returns."""
    with torch.no_grad():
        output = network.forward_standardised(standardise(images.images, network.config))
        *_, last = entropies(network.class_caps, output.conv_caps_2)
    assert last == pytest.approx(float(torch.special.entr(output.class_assignments.double()).sum()), rel=1e-5)


def test_the_report_has_every_layer_and_activation(network: CapsNet, images: ImageSet) -> None:
    """Relative entropies start at 1, and every activation is in a histogram."""
    content = routing(network, images, progress=False).content
    assert all(values[0] == 1.0 and len(values) == 3 for values in content["entropy_by_iteration"].values())
    with torch.no_grad():
        output = network(images.images)
    counts = {name: sum(values) for name, values in content["activation_histograms"].items()}
    assert counts["primary_caps"] == math.prod(output.primary_caps.activations.shape)
    assert counts["class_caps"] == math.prod(output.activations.shape)
    assert all(len(values) == BINS for values in content["activation_histograms"].values())


def test_a_layer_without_competition_has_no_entropy(images: ImageSet) -> None:
    """Where each type competes by itself for a single position, no assignment can sharpen, and no ratio is reported."""
    torch.manual_seed(0)
    network = CapsNet(replace(tiny(), routing=replace(tiny().routing, competition="positions")))
    assert network.conv_caps_2.windows.parent_sites == 1
    report = routing(network, images, progress=False)
    assert set(report.content["entropy_by_iteration"]) == {"conv_caps_1", "class_caps"}
    assert all(values[0] == 1.0 for values in report.content["entropy_by_iteration"].values())
    (row,) = (line for line in report.table.splitlines() if line.startswith("conv_caps_2"))
    assert row.split()[1:4] == ["–"] * 3


def test_dead_capsules_are_counted(network: CapsNet, images: ImageSet) -> None:
    """A type that never exceeds the bound is a third of the three types of its layer."""
    beta = network.conv_caps_1.beta_a
    before = beta.detach().clone()
    try:
        with torch.no_grad():
            beta[1] = -1e4
            highest = network(images.images).conv_caps_1.activations.amax((0, 1))
        assert (highest < DEAD_BELOW).tolist() == [False, True, False]
        assert routing(network, images, progress=False).content["dead"]["conv_caps_1"] == pytest.approx(1 / 3)
    finally:
        with torch.no_grad():
            beta.copy_(before)
