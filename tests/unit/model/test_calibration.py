"""The calibration of the classes changes activations alone, and never their order."""

import pytest
import torch

from matcaps.model import CapsNet, tiny
from matcaps.model.calibration import Calibration


def test_a_new_network_is_not_calibrated() -> None:
    """Slope 1 and offset 0 leave the logits as they are."""
    logits = torch.tensor([[1.5, -2.0]])
    assert torch.equal(Calibration()(logits), logits)


def test_a_calibrated_network_has_the_same_poses_and_order() -> None:
    """Only the class logits change, by the affine map; the capsules below and the poses are equal bit for bit."""
    torch.manual_seed(0)
    network = CapsNet(tiny()).eval()
    images = torch.randint(256, (3, 1, 24, 24), dtype=torch.uint8)
    with torch.no_grad():
        before = network(images)
        network.calibration.set(2.5, -1.25)
        after = network(images)
    torch.testing.assert_close(after.logits, 2.5 * before.logits - 1.25)
    assert torch.equal(after.activations, after.logits.sigmoid())
    assert torch.equal(after.logits.argsort(), before.logits.argsort())
    for one, other in ((after.poses, before.poses), (after.conv_caps_2.activations, before.conv_caps_2.activations)):
        assert torch.equal(one, other)


def test_calibration_is_part_of_the_weights() -> None:
    """A network that is rebuilt from the weights is calibrated alike; no parameter was added."""
    network, other = CapsNet(tiny()), CapsNet(tiny())
    network.calibration.set(3.0, -7.0)
    other.load_state_dict(network.state_dict())
    assert (float(other.calibration.slope), float(other.calibration.offset)) == (3.0, -7.0)
    assert not list(network.calibration.parameters())


def test_a_second_map_follows_the_first() -> None:
    """A network that was calibrated twice maps its logits as one after the other."""
    once, both, logits = Calibration(), Calibration(), torch.tensor([[-2.0, 0.5, 3.0]])
    once.set(2.0, -3.0)
    both.set(2.0, -3.0)
    both.then(1.5, 4.0)
    assert both(logits).equal(once(logits) * 1.5 + 4.0)


@pytest.mark.parametrize(("slope", "offset"), [(0.0, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (1.0, float("inf"))])
def test_a_calibration_that_is_not_increasing_is_refused(slope: float, offset: float) -> None:
    """The message names both numbers."""
    with pytest.raises(ValueError, match=f"got {slope} and {offset}"):
        Calibration().set(slope, offset)
