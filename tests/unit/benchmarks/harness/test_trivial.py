"""The trivial network and the device that sleeps."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.stand_in import Sleeper, best_images_per_s
from benchmarks.harness.trivial import write_model
from matcaps.service.backends.cpu import CpuSession


def test_the_trivial_network_and_the_sleeper_give_the_same_answers(tmp_path: Path) -> None:
    """The service's CPU session opens the network; all outputs of both are equal."""
    session = CpuSession(write_model(tmp_path))
    images = np.full((2, 1, 48, 48), 100, np.uint8)
    images[1] = 7
    expected = session.run(images)
    np.testing.assert_allclose(expected["activations"][:, 0], [0.100, 0.007], atol=1e-6)
    found = Sleeper(0.0, 0.0).run(images)
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-6)


def test_the_sleepers_throughput_is_that_of_full_batches() -> None:
    """64 images in 2 ms and 0.1 ms each."""
    assert best_images_per_s(2.0, 0.1, batch=64) == pytest.approx(64 / 8.4e-3)
