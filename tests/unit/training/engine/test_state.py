"""A run may begin with the weights of another run of the same network."""

from dataclasses import replace

import pytest
import torch

from matcaps.model import CapsNet
from matcaps.training.baselines import ConvNet
from matcaps.training.engine.start import Start
from matcaps.training.engine.state import State
from tests.support.options import tiny_run

CPU = torch.device("cpu")
SHORT = replace(tiny_run().optimisation, average_share=0.5)


def test_run_begins_with_the_weights_of_a_trained_network() -> None:
    """The network, its average, the batch statistics and the calibration start there."""
    config = tiny_run(optimisation=SHORT)
    torch.manual_seed(1)
    trained = CapsNet(config.network)
    trained.calibration.set(2.0, -1.0)
    state = State(config, 10, CPU)
    state.start_from(Start("other", "c0ffee", trained))
    expected = trained.state_dict()
    assert state.result is not state.network
    for network in (state.network, state.result):
        found = network.state_dict()
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert found[name].equal(values), name


def test_weights_of_another_network_are_refused() -> None:
    """The error names the options that differ, with both values."""
    config = tiny_run()
    state = State(config, 10, CPU)
    with pytest.raises(ValueError, match="another network: stem_channels is 4, theirs 16"):
        state.start_from(Start("other", "", CapsNet(replace(config.network, stem_channels=16))))
    with pytest.raises(ValueError, match="expected weights of capsules, got those of CNN"):
        state.start_from(Start("other", "", ConvNet(config.network)))
