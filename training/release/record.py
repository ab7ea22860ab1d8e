"""What an artefact says of its training: the recipe, and the error on images that it never saw."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from matcaps.training.config import WHERE, TrainConfig, plain
from matcaps.training.data import KNOWN
from matcaps.training.evaluation.metrics import Evaluation

# What a record has no use for: the data set and what was held out of it are told otherwise, shapes by the artefact.
ELSEWHERE = WHERE | {"data", "architecture", "network", "held_out_instance", "keep_epochs"}
OF_THE_ARTEFACT = {"classes", "channels", "image_size"}
# In what a final model and the runs that it is judged by may differ.
FREE = WHERE | {"held_out_instance", "seed", "keep_epochs"}


class Judged(NamedTuple):
    """A run, and what it does on the images that it held out."""

    config: TrainConfig
    evaluation: Evaluation


def training_record(config: TrainConfig, saved: dict[str, Any], judged: Sequence[Judged]) -> dict[str, Any]:
    """What an artefact says of its training.

    Args:
        config: Of its run.
        saved: The run's checkpoint.
        judged: The run itself where it held images out; where it held none, runs of the same recipe that did, each
            seed's the same instances. The record has their error over all images together, the mean of all seeds.
    """
    by_instance = any(evaluation.by_instance for _, evaluation in judged)
    images = sum(evaluation.images for _, evaluation in judged)
    seeds = {other.config.seed for other in judged} or {config.seed}
    error = sum(evaluation.error * evaluation.images for _, evaluation in judged) / images if judged else None
    recipe = plain(config)
    return {
        "data_set": config.data if config.data in KNOWN else f"folder {Path(config.data).resolve().name}",
        "protocol": _protocol(config, judged, seeds, by_instance=by_instance),
        "held_out_instance": config.held_out_instance if by_instance else None,
        "steps": saved["progress"]["step"],
        **{name: value for name, value in recipe.items() if name not in ELSEWHERE},
        **{name: value for name, value in recipe["network"].items() if name not in OF_THE_ARTEFACT},
        "resolution": config.network.input_size,
        "validation_error": None if error is None else round(error, 6),
        "validation_images": images // len(seeds),
        "commit": saved["commit"],
    }


def refuse_other_recipes(config: TrainConfig, others: Sequence[TrainConfig]) -> None:
    """Make sure that runs differ in nothing but what they were judged by, and where they stand.

    Raises:
        ValueError: One does; the message says in what.
    """
    for other in others:
        options = (field.name for field in fields(TrainConfig) if field.name not in FREE)
        if differing := [name for name in options if getattr(other, name) != getattr(config, name)]:
            raise ValueError(f"{other.run_folder} was trained with another {', '.join(differing)}")


def _protocol(config: TrainConfig, judged: Sequence[Judged], seeds: set[int], *, by_instance: bool) -> str:
    """What was held out, of whom."""
    if by_instance or not judged:
        protocol = "all instances, nothing held out"
        if config.held_out_instance is not None:
            protocol = f"instance {config.held_out_instance} of each category held out"
        elif judged:
            instances = sorted({str(other.held_out_instance) for other, _ in judged})
            one = (
                f"instance {instances[0]}"
                if len(instances) == 1
                else f"instances {', '.join(instances)}, one at a time,"
            )
            protocol = f"all instances; the error is that of the same recipe with {one} held out"
            if len(seeds) > 1:
                protocol += f", the mean of seeds {', '.join(map(str, sorted(seeds)))}"
    else:
        protocol = f"{judged[0].evaluation.images} images held out, drawn by seed {config.seed}"
    for name in ("elevation", "lighting"):
        if values := getattr(config, f"{name}s"):
            protocol += f"; trained on {name}s {', '.join(map(str, values))} alone"
    return protocol
