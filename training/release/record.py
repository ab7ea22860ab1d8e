"""The training record of an artefact: the recipe, and the error on held-out images."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matcaps.training.config import TrainConfig, differences, to_json
from matcaps.training.data import KNOWN, name_instances
from matcaps.training.evaluation.metrics import Evaluation
from matcaps.training.recipes import RECIPES


class EvaluatedRun(NamedTuple):
    """A run, and its evaluation on the images that it held out."""

    config: TrainConfig
    evaluation: Evaluation


def training_record(config: TrainConfig, saved: dict[str, Any], evaluated: Sequence[EvaluatedRun]) -> dict[str, Any]:
    """The training record: one flat dict of JSON values.

    Args:
        config: Configuration of the run.
        saved: The run's checkpoint.
        evaluated: The run itself if it held images out. Otherwise runs of the same recipe that did, with the same
            instances for each seed. The record has the error over all their images, as the mean over seeds.
    """
    by_instance = any(evaluation.by_instance for _, evaluation in evaluated)
    images = sum(evaluation.images for _, evaluation in evaluated)
    seeds = {other.seed for other, _ in evaluated} or {config.seed}
    error = sum(evaluation.error * evaluation.images for _, evaluation in evaluated) / images if evaluated else None
    options = to_json(config)
    loss, network = options["loss"], options["network"]
    for name in ("classes", "channels", "image_size"):
        del network[name]  # in the artefact's other metadata
    data = config.data
    return {
        "data_set": data.name if data.name in KNOWN else f"folder {Path(data.name).resolve().name}",
        "protocol": _describe_split(config, evaluated, seeds, by_instance=by_instance),
        "held_out_instances": list(data.held_out_instances) if by_instance and data.held_out_instances else None,
        "elevations": list(data.elevations),
        "lightings": list(data.lightings),
        "held_out_rows": data.held_out_rows,
        "seed": config.seed,
        "start_from": config.start_from.resolve().name if config.start_from else None,
        "steps": saved["progress"]["step"],
        **options["optimisation"],
        "loss": loss.pop("kind"),
        **loss,
        **options["augmentation"],
        **network,
        "resolution": config.network.input_size,
        "validation_error": None if error is None else round(error, 6),
        "validation_images": images // len(seeds),
        "command": training_command(config),
        "commit": saved["commit"],
    }


def training_command(config: TrainConfig) -> str:
    """The command that trains by a configuration: the closest recipe, and the options that differ from it.

    The options of the run's folder, device and checkpoints are left out, and so is the path of a folder of images.
    """
    recipes = {name: recipe for name, recipe in RECIPES.items() if recipe.data.name == config.data.name}
    recipes = recipes or {"folder": RECIPES["folder"]}
    changes = {name: differences(recipe, config) for name, recipe in recipes.items()}
    recipe = min(changes, key=lambda name: len(changes[name]))
    words = ["matcaps", "train", recipe]
    for name, (_, value) in changes[recipe].items():
        if name == "network.classes":  # the names of the folders
            continue
        parent, _, leaf = name.replace("_", "-").rpartition(".")
        prefix = f"--{parent}." if parent else "--"
        if name == "data":
            value = Path(value).name
        if isinstance(value, bool):
            words.append(f"{prefix}{leaf if value else f'no-{leaf}'}")
        else:
            words += [f"{prefix}{leaf}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)


def _describe_split(
    config: TrainConfig, evaluated: Sequence[EvaluatedRun], seeds: set[int], *, by_instance: bool
) -> str:
    """One sentence on what was held out, and by which runs."""
    if by_instance or not evaluated:
        text = "all instances, nothing held out"
        if config.data.held_out_instances is not None:
            text = f"{name_instances(config.data.held_out_instances)} of each category held out"
        elif evaluated:
            ways = sorted({other.data.held_out_instances or () for other, _ in evaluated})
            held_out = name_instances(ways[0])
            if len(ways) > 1 and all(len(way) == 1 for way in ways):
                held_out = f"{name_instances([instance for way in ways for instance in way])}, one at a time,"
            elif len(ways) > 1:
                held_out = f"instances {'; '.join(', '.join(map(str, way)) for way in ways)}, by one run each,"
            text = f"all instances; the error is that of the same recipe with {held_out} held out"
            if len(seeds) > 1:
                text += f", the mean of seeds {', '.join(map(str, sorted(seeds)))}"
    else:
        text = f"{evaluated[0].evaluation.images} images held out, drawn by seed {config.seed}"
    for name, values in (("elevations", config.data.elevations), ("lightings", config.data.lightings)):
        if values:
            text += f"; trained on {name} {', '.join(map(str, values))} alone"
    return text
