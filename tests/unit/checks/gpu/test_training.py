"""The check of captured steps, rehearsed on a CPU, where nothing is captured."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from checks.gpu.training import apart, compare
from matcaps.model import tiny
from matcaps.training.config import DataConfig, LossConfig, OptimisationConfig, RunConfig, TrainConfig
from matcaps.training.data.loader import Batch
from matcaps.training.engine.step import Step

CPU = torch.device("cpu")
STEPS, BATCH = 4, 2


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks of this size take longer on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def config(**values: Any) -> TrainConfig:
    optimisation = OptimisationConfig(average_share=0.1)
    return TrainConfig(DataConfig("shapes"), tiny(), RunConfig(Path("nowhere")), optimisation=optimisation, **values)


@pytest.mark.parametrize("values", [{}, {"loss": LossConfig("spread")}, {"architecture": "cnn"}])
def test_equal_steps_pass_the_check(values: dict[str, Any]) -> None:
    """Launched steps equal themselves, also after a checkpoint in the middle."""
    assert compare("rehearsal", config(**values), CPU, STEPS, BATCH)


@pytest.mark.parametrize("stale", ["images", "labels", "partner_labels", "share", "margin"])
def test_a_stale_input_fails_the_check(stale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A captured graph must not keep any input of its first step."""
    honest = Step.__call__

    def forgetful(self: Step, batch: Batch) -> Tensor:
        if self._forgets and batch.images.isfinite().all():  # type: ignore[attr-defined]
            first = self.__dict__.setdefault("_first", getattr(batch, stale))
            batch = batch._replace(**{stale: first})
        return honest(self, batch)

    made = Step.__init__

    def making(self: Step, *given: Any, capture: bool) -> None:
        made(self, *given, capture=capture)
        self._forgets = capture  # type: ignore[attr-defined]

    monkeypatch.setattr(Step, "__call__", forgetful)
    monkeypatch.setattr(Step, "__init__", making)
    assert not compare("forgetful", config(loss=LossConfig("spread")), CPU, STEPS, BATCH)


def test_a_difference_that_is_not_a_number_is_not_ignored() -> None:
    """It counts at any position among right tensors."""
    right, wrong = torch.ones(3), torch.tensor([1.0, torch.nan, 1.0])
    assert apart([right, right], [right, right]) == 0.0
    assert not apart([right, wrong, right], [right] * 3) <= 1.0
