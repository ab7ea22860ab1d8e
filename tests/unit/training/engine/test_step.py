"""A step changes weights, average and rate; a non-finite step changes none; optimizer states fit any device."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from matcaps.model import tiny
from matcaps.model.network import CapsNet
from matcaps.training.config import OptimisationConfig, TrainConfig
from matcaps.training.data.loader import Batch
from matcaps.training.engine import checkpoint
from matcaps.training.engine.ema import ModelEma
from matcaps.training.engine.loss import loss_of
from matcaps.training.engine.step import Outcome, Step, adam, restore_optimizer
from tests.support.options import tiny_run

CONFIG = tiny_run(optimisation=OptimisationConfig(learning_rate=0.01))


def batch() -> Batch:
    """Eight images with labels."""
    draws = torch.Generator().manual_seed(0)
    images = 255.0 * torch.rand(8, 1, 20, 20, generator=draws)
    labels = torch.randint(3, (8,), generator=draws)
    return Batch(images, labels, labels, torch.tensor(1.0), torch.tensor(0.2))


def made(config: TrainConfig = CONFIG) -> tuple[CapsNet, AdamW, OneCycleLR, ModelEma, Step]:
    torch.manual_seed(0)
    network = CapsNet(config.network).train()
    optimizer, average = adam(network, config.optimisation), ModelEma(network, 4.0)
    schedule = OneCycleLR(optimizer, config.optimisation.learning_rate, 40, cycle_momentum=False)
    return network, optimizer, schedule, average, Step(network, optimizer, schedule, average, config, capture=True)


def test_steps_bring_the_loss_down() -> None:
    """A step returns its loss, the norm of its gradient and the number of correct images."""
    *_, step = made()
    outcomes = [Outcome(*step(batch()).tolist()) for _ in range(20)]
    assert outcomes[-1].loss < 0.8 * outcomes[0].loss
    assert outcomes[-1].correct > outcomes[0].correct
    assert all(0.0 < outcome.gradient_norm < 100.0 for outcome in outcomes)


@pytest.mark.parametrize("precision", ["mixed", "float32"])
def test_mixed_precision_rounds_the_loss(precision: Literal["mixed", "float32"]) -> None:
    """With bfloat16 on the processor the loss is rounded; otherwise it is that of float32."""
    network, *_, step = made(replace(CONFIG, run=replace(CONFIG.run, precision=precision)))
    given = batch()
    with torch.no_grad():
        logits = copy.deepcopy(network)(given.images).logits
    exact = float(loss_of(logits, given.labels, given.margin, CONFIG.loss))
    found = Outcome(*step(given).tolist()).loss
    assert found == pytest.approx(exact, rel=0.02)
    capabilities: dict[str, object] = dict(getattr(torch.cpu, "get_capabilities", dict)())
    rounded = precision == "mixed" and capabilities.get("avx512_bf16")
    assert (found != exact) == bool(rounded)


def test_the_loss_of_mixed_images_is_mixed() -> None:
    """It is the mean of the losses of both labels, weighted by the share."""
    config = replace(CONFIG, run=replace(CONFIG.run, precision="float32"))
    network, *_, step = made(config)
    given = batch()._replace(partner_labels=(batch().labels + 1) % 3, share=torch.tensor(0.25))
    with torch.no_grad():
        logits = copy.deepcopy(network)(given.images).logits
    own, partners = (
        float(loss_of(logits, of, given.margin, config.loss)) for of in (given.labels, given.partner_labels)
    )
    assert own != pytest.approx(partners, rel=0.01)
    assert Outcome(*step(given).tolist()).loss == pytest.approx(0.25 * own + 0.75 * partners, rel=1e-5)


def test_a_step_advances_the_schedule_and_the_average() -> None:
    """A step raises the rate, and moves the average a quarter of the way to the new weights."""
    network, optimizer, schedule, average, step = made()
    before = copy.deepcopy(average.network.state_dict())
    rate = optimizer.param_groups[0]["lr"]
    step(batch())
    assert schedule.last_epoch == 1
    assert optimizer.param_groups[0]["lr"] > rate
    for name, values in network.named_parameters():
        expected = torch.lerp(before[name], values.detach(), 0.25)
        torch.testing.assert_close(average.network.get_parameter(name), expected)


def test_a_non_finite_step_changes_no_weight() -> None:
    """It changes no weight, average, moment or rate, and returns a non-finite outcome."""
    network, optimizer, schedule, average, step = made()
    step(batch())
    weights = [values.clone() for values in (*network.parameters(), *average.network.parameters())]
    moments = copy.deepcopy(optimizer.state_dict()["state"])
    outcome = step(batch()._replace(images=torch.full((8, 1, 20, 20), torch.inf)))
    assert not outcome.isfinite().all()
    assert all(map(torch.equal, weights, (*network.parameters(), *average.network.parameters())))
    torch.testing.assert_close(optimizer.state_dict()["state"], moments, rtol=0, atol=0)
    assert schedule.last_epoch == 1


def test_an_optimizer_state_moves_between_gpu_and_cpu(tmp_path: Path) -> None:
    """A saved state with a rate on the device is restored on a CPU, and the other way round."""
    network = CapsNet(CONFIG.network)
    rate = torch.tensor(0.01)
    like_gpu = AdamW(network.parameters(), rate, fused=True, capturable=False)
    network(batch().images).logits.sum().backward()
    like_gpu.step()
    rate.fill_(0.003)
    checkpoint.save(tmp_path / "last.pt", network, optimizer=like_gpu.state_dict())
    saved = checkpoint.load(tmp_path / "last.pt")["optimizer"]

    plain = adam(network, CONFIG.optimisation)
    restore_optimizer(plain, saved)
    group = plain.param_groups[0]
    assert isinstance(group["lr"], float)
    assert abs(group["lr"] - 0.003) < 1e-8
    assert not group["fused"]
    plain.step()

    rate = torch.tensor(0.01)
    back = AdamW(network.parameters(), rate, fused=True, capturable=False)
    restore_optimizer(back, plain.state_dict())
    assert back.param_groups[0]["lr"] is rate  # a schedule changes it in place
    assert abs(rate - 0.003) < 1e-8
    assert back.param_groups[0]["fused"]
    back.step()


def test_restored_moments_have_the_memory_layout_of_their_parameters() -> None:
    """A fused optimizer takes the same step with saved moments of another memory layout."""
    several = replace(CONFIG, network=replace(tiny(), pooled_channels=3))  # with one channel all layouts are equal
    ends = []
    for other_order in (False, True):
        network, optimizer, *_ = made(several)
        fused = AdamW(network.parameters(), 0.01, fused=True)
        network(batch().images).logits.square().sum().backward()
        optimizer.step()
        saved = copy.deepcopy(optimizer.state_dict())
        if other_order:
            for state in saved["state"].values():
                state["exp_avg"], state["exp_avg_sq"] = state["exp_avg"].contiguous(), state["exp_avg_sq"].contiguous()
        restore_optimizer(fused, saved)
        fused.step()
        ends.append(list(network.parameters()))
    torch.testing.assert_close(*ends)
