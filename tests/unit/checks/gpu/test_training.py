"""The check of recorded steps, rehearsed on a CPU where nothing is recorded: it passes, and sees what is wrong."""

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


def config(**values: Any) -> TrainConfig:
    optimisation = OptimisationConfig(average_share=0.1)
    return TrainConfig(DataConfig("shapes"), tiny(), RunConfig(Path("nowhere")), optimisation=optimisation, **values)


@pytest.mark.parametrize("values", [{}, {"loss": LossConfig("spread")}, {"architecture": "cnn"}])
def test_a_rehearsal_passes(values: dict[str, Any]) -> None:
    """Steps that are launched both times, through a checkpoint in the middle, are the same."""
    assert compare("rehearsal", config(**values), CPU)


@pytest.mark.parametrize("stale", ["images", "labels", "partner_labels", "share", "margin"])
def test_stale_inputs_are_seen(stale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If what should be recorded kept any one input of its first step, the check would say so."""
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
    assert not compare("forgetful", config(loss=LossConfig("spread")), CPU)


def test_what_is_no_number_is_not_passed_over() -> None:
    """Wherever it stands among others that are right."""
    right, wrong = torch.ones(3), torch.tensor([1.0, torch.nan, 1.0])
    assert apart([right, right], [right, right]) == 0.0
    assert not apart([right, wrong, right], [right] * 3) <= 1.0
