"""``matcaps folds RECIPE [options]``: train the runs that ``matcaps evaluate folds`` judges a smallNORB recipe by."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import tyro

from matcaps.training.cli import command
from matcaps.training.config import TrainConfig, differences, from_json
from matcaps.training.data import name_instances
from matcaps.training.engine import checkpoint
from matcaps.training.engine.loop import train
from matcaps.training.recipes import DESCRIPTIONS, RECIPES

# Each pair is trained on, and the three other instances are held out: every toy is judged by three runs of a seed.
TRAINED_ON = ((4, 6), (6, 7), (7, 8), (8, 9), (4, 9))
INSTANCES = (4, 6, 7, 8, 9)

if TYPE_CHECKING:
    Recipe = TrainConfig
else:
    _OF_SMALLNORB = {name: recipe for name, recipe in RECIPES.items() if recipe.data.name == "smallnorb"}
    Recipe = Annotated[
        tyro.extras.subcommand_type_from_defaults(_OF_SMALLNORB, DESCRIPTIONS),
        tyro.conf.arg(name=""),
    ]


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    return command.run("folds", folds_command, arguments, interrupted="interrupted; the same command continues")


def folds_command(config: Recipe, seeds: tuple[int, ...] = (0, 1)) -> None:
    """Train a smallNORB recipe on five pairs of instances for each seed, one run after the other.

    The runs lie in folders below --run-folder. The same command skips finished runs and resumes an interrupted one.

    Args:
        config: the recipe and its options
        seeds: seeds of the runs; two decide whether a recipe is kept
    """
    runs = plan(config, seeds)
    for number, run in enumerate(runs, 1):
        step, steps = progress(run)
        state = "finished" if 0 < step == steps else f"continues at step {step} of {steps}" if step else "starts"
        held_out = name_instances(run.data.held_out_instances or ())
        where = run.run.folder
        print(f"run {number} of {len(runs)}, {where}: seed {run.seed}, {held_out} held out: {state}", flush=True)
        if state != "finished":
            train(replace(run, run=replace(run.run, resume=step > 0)))
    print(f"all {len(runs)} runs are finished; next: matcaps evaluate folds {config.run.folder}")


def plan(config: TrainConfig, seeds: tuple[int, ...]) -> list[TrainConfig]:
    """The runs of a recipe: five for each seed, in a folder each below that of the recipe.

    Raises:
        ValueError: Seeds are missing or repeated, or an option is set that differs from run to run.
    """
    recipe = RECIPES["smallnorb"]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"--seeds must name one seed or several different ones, got {seeds}")
    if config.seed != recipe.seed:
        raise ValueError(f"matcaps folds has --seeds instead of --seed, got --seed {config.seed}")
    if config.data.held_out_instances != recipe.data.held_out_instances:
        raise ValueError("matcaps folds holds out three instances at a time; --held-out-instances is for matcaps train")
    runs = []
    for seed in seeds:
        for pair in TRAINED_ON:
            folder = config.run.folder / f"seed-{seed}-trained-on-{pair[0]}-{pair[1]}"
            held_out = tuple(instance for instance in INSTANCES if instance not in pair)
            data, run = replace(config.data, held_out_instances=held_out), replace(config.run, folder=folder)
            runs.append(replace(config, data=data, run=run, seed=seed))
    return runs


def progress(config: TrainConfig) -> tuple[int, int]:
    """The steps that a run has taken, and all of its steps; 0 and 0 if it has no checkpoint.

    Raises:
        ValueError: The folder holds a run with other options, or its checkpoint is damaged.
    """
    last = config.run.folder / "last.pt"
    if not last.exists():
        return 0, 0
    saved = checkpoint.load_run(last)
    step = saved["progress"]["step"]
    with checkpoint.naming(last):
        before = from_json(saved["config"]) if step else config
    if differing := differences(before, config):
        changes = ", ".join(f"{name} was {was}, now {now}" for name, (was, now) in differing.items())
        raise ValueError(f"{config.run.folder} holds a run with other options: {changes}")
    return step, saved["schedule"]["total_steps"]
