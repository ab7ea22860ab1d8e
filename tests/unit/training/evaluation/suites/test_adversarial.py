"""Attacks stay within ε and raise the loss, for capsules and for the CNN."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from matcaps.model import CapsNet, standardise, tiny
from matcaps.training.baselines import ConvNet
from matcaps.training.data import ImageSet
from matcaps.training.engine.checkpoint import Network
from matcaps.training.engine.predict import predict
from matcaps.training.evaluation.suites.adversarial import adversarial, attack


@pytest.fixture(params=["capsules", "cnn"])
def attacked(request: pytest.FixtureRequest, network: CapsNet) -> Network:
    """Both kinds of network."""
    torch.manual_seed(1)
    return network if request.param == "capsules" else ConvNet(tiny()).eval()


@pytest.fixture
def pixels() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return standardise(torch.randint(0, 256, (24, 1, 24, 24), generator=generator, dtype=torch.uint8), tiny())


def loss(network: Network, pixels: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return float(functional.cross_entropy(network.forward_standardised(pixels).logits, labels))


def test_no_epsilon_changes_nothing(attacked: Network, pixels: Tensor) -> None:
    """ε = 0 leaves every image as it is."""
    assert torch.equal(attack(attacked, pixels, torch.zeros(24, dtype=torch.int64), 0.0, 10), pixels)


@pytest.mark.parametrize("steps", [1, 10])
def test_no_pixel_changes_by_more_than_epsilon(attacked: Network, pixels: Tensor, steps: int) -> None:
    """The largest change is ε, to rounding."""
    labels = torch.arange(24) % 3
    change = (attack(attacked, pixels, labels, 0.1, steps) - pixels).abs().amax()
    assert 0.1 - 1e-5 < change < 0.1 + 1e-5


def test_attacks_raise_the_loss(attacked: Network, pixels: Tensor) -> None:
    """FGSM raises the loss of the true class, BIM raises it more, and noise of the same size raises it far less."""
    with torch.no_grad():
        labels = attacked.forward_standardised(pixels).logits.argmax(1)
    before = loss(attacked, pixels, labels)
    fast, iterated = (loss(attacked, attack(attacked, pixels, labels, 0.2, steps), labels) for steps in (1, 10))
    noise = pixels + 0.2 * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0)).sign()
    assert before < fast <= iterated
    assert loss(attacked, noise, labels) - before < 0.5 * (fast - before)


def test_the_report_has_every_network_and_attack(network: CapsNet) -> None:
    """Accuracy at ε = 0 is that of the network, and falls with ε."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 1, 24, 24), generator=generator, dtype=torch.uint8)
    labelled = ImageSet("random", network.config.classes, images, predict(network, images))
    torch.manual_seed(1)
    networks: dict[str, Network] = {"capsules": network, "CNN": ConvNet(tiny()).eval()}
    report = adversarial(networks, labelled, epsilons=(0.0, 0.5), progress=False)
    of_capsules = report.content["accuracy"]["capsules"]
    assert of_capsules["FGSM"][0] == of_capsules["BIM"][0] == 1.0
    assert of_capsules["BIM"][1] <= of_capsules["FGSM"][1] < 1.0
    assert "CNN BIM" in report.table
