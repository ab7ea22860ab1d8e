"""Opens finished runs to evaluate, compare or release them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from matcaps.training.config import TrainConfig, at, differences, from_json, resolved
from matcaps.training.data import KNOWN, ImageSet, load, name_instances
from matcaps.training.data.splits import split
from matcaps.training.engine import checkpoint
from matcaps.training.engine.checkpoint import Network
from matcaps.training.engine.provenance import fingerprint, require_images


class Run(NamedTuple):
    """A run, loaded from its last checkpoint.

    Attributes:
        network: The network to evaluate, on the CPU.
        config: Configuration of the run, with today's folders.
        saved: The whole content of its checkpoint.
    """

    network: Network
    config: TrainConfig
    saved: dict[str, Any]

    def split(self) -> tuple[ImageSet, ImageSet]:
        """The training images, and the held-out images.

        Raises:
            ValueError: The data set has other images than when the run was trained.
        """
        training, held_out = split(self.config)
        # smallNORB is split by instance, which is the same in both of its formats; their pixels may differ.
        if "instance" not in training.info:
            found = fingerprint(training, held_out)
            require_images(self.saved["images"], found, self.config.data.name, f"{self.config.run.folder} was trained")
        return training, held_out

    def held_out(self) -> ImageSet:
        """The held-out images."""
        return self.split()[1]

    def test(self) -> ImageSet:
        """The official test split."""
        data, network = self.config.data, self.config.network
        stereo = network.channels == 2
        return load(data.name, self.config.run.root, "test", stereo=stereo, size=network.image_size)


class Fold(NamedTuple):
    """A run of smallNORB among others of its recipe: its seed and held-out instances."""

    seed: int
    instances: tuple[int, ...]

    def __str__(self) -> str:
        return f"{name_instances(self.instances)} with seed {self.seed}"


def open_run(
    folder: Path,
    root: Path | None,
    data: Path | None = None,
    validation: Path | None = None,
    *,
    finished: bool = False,
) -> Run:
    """Open the run in a folder; an unfinished one prints a note, or is rejected.

    Args:
        folder: Folder of the run.
        root: Folder that holds the data sets; by default the one that the run was trained from.
        data: The new place of the run's folder of images, if it moved.
        validation: The new place of its validation folder, if that moved.
        finished: Whether to reject an unfinished run.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: The checkpoint is damaged or not of this version, the run is unfinished, or it has no folder of
            images or no validation folder whose place could be named.
    """
    path = folder / "last.pt"
    saved = checkpoint.load_run(path)
    with checkpoint.naming(path):
        config = resolved(from_json(saved["config"]))
        network = checkpoint.rebuild(saved)
    if data is not None:
        if config.data.name in KNOWN:
            raise ValueError(
                f"--data is for a run on a folder of images, but {folder} was trained on {config.data.name}; use --root"
            )
        config = at(config, str(data))
    if validation is not None:
        if config.data.validation is None:
            raise ValueError(f"--validation is for a run that was trained with it, but {folder} was trained without")
        config = at(config, config.data.name, validation)
    step, steps = saved["progress"]["step"], saved["schedule"]["total_steps"]
    if step < steps:
        state = f"{folder} is at step {step} of {steps}; matcaps train … --resume continues it"
        if finished:
            raise ValueError(f"{state}; only a finished run can be released or compared")
        print(f"note: {state}")
    where = replace(config.run, folder=folder, root=config.run.root if root is None else root)
    return Run(network, replace(config, run=where), saved)


def open_baseline(folder: Path, beside: Run) -> Run:
    """Open the CNN to compare capsules with; it must have held out the same images.

    Raises:
        ValueError: The baseline is not a CNN, ``beside`` is not capsules, or they were trained on different images.
    """
    if beside.config.architecture != "capsules":
        raise ValueError(f"--baseline compares a CNN with capsules, but {beside.config.run.folder} holds a CNN")
    run = open_run(folder, beside.config.run.root)
    if not {run.config.data.name, beside.config.data.name} & set(KNOWN):
        run = run._replace(
            config=at(run.config, beside.config.data.name, beside.config.data.validation)
        )  # its digest decides
    if run.config.architecture != "cnn":
        raise ValueError(f"the baseline must be trained with --architecture cnn, but {folder} holds capsules")
    if beside.config.data.name != "smallnorb":
        run.split()  # rejects a changed data set
    own, others = _split_options(beside.config), _split_options(run.config)
    if differing := [f"{name} {others[name]}, not {own[name]}" for name in own if others[name] != own[name]]:
        raise ValueError(
            f"{folder} was trained on other images than {beside.config.run.folder}: {', '.join(differing)}"
        )
    return run


def open_epochs(folder: Path) -> dict[str, Network]:
    """The networks of all epochs of a run, by file name.

    Raises:
        FileNotFoundError: The run kept none.
        ValueError: A checkpoint is damaged.
    """
    paths = sorted(folder.glob("epoch-*.pt"))
    if not paths:
        raise FileNotFoundError(f"no epoch-*.pt in {folder}; train with --keep-epochs")
    networks = {}
    for path in paths:
        saved = checkpoint.load_run(path)
        with checkpoint.naming(path):
            networks[path.name] = checkpoint.rebuild(saved)
    return networks


def open_folds(folder: Path, root: Path | None) -> dict[Fold, Run]:
    """Open the runs of one recipe in a folder, one folder each, by seed and held-out instances.

    Raises:
        FileNotFoundError: There are none.
        ValueError: They cannot be pooled.
    """
    runs = [open_run(path.parent, root, finished=True) for path in sorted(folder.glob("*/last.pt"))]
    if not runs:
        raise FileNotFoundError(f"no runs in {folder}: expected NAME/last.pt")
    configs = [run.config for run in runs]
    require_same_recipe(configs[0], configs)
    return dict(zip(held_out_folds(configs), runs, strict=True))


def require_same_recipe(config: TrainConfig, others: Sequence[TrainConfig]) -> None:
    """Check that runs differ only in held-out instances, seed and folder.

    Raises:
        ValueError: A run differs in another option.
    """
    for other in others:
        data = replace(other.data, held_out_instances=config.data.held_out_instances)
        if differing := differences(config, replace(other, data=data, seed=config.seed)):
            values = ", ".join(f"{name} {found}, not {expected}" for name, (expected, found) in differing.items())
            raise ValueError(f"{other.run.folder} was trained with another recipe: {values}")


def held_out_folds(configs: Sequence[TrainConfig]) -> list[Fold]:
    """The seed and held-out instances of each run of a recipe, in their order.

    Raises:
        ValueError: A run held no instance out, two runs are the same fold, seeds held out different instances, or an
            instance was held out more often than another.
    """
    found: dict[Fold, Path] = {}
    for config in configs:
        folder = config.run.folder
        if config.data.name != "smallnorb" or config.data.held_out_instances is None:
            raise ValueError(f"{folder} held out no instance of smallNORB")
        fold = Fold(config.seed, config.data.held_out_instances)
        if fold in found:
            raise ValueError(f"{found[fold]} and {folder} both held out {fold}")
        found[fold] = folder
    ways = sorted({fold.instances for fold in found})
    seeds = sorted({fold.seed for fold in found})
    if missing := [str(fold) for seed in seeds for way in ways if (fold := Fold(seed, way)) not in found]:
        raise ValueError(f"every seed must hold out the same instances; no run held out {'; '.join(missing)}")
    times = Counter(instance for way in ways for instance in way)
    most = max(times.values())
    if lacking := [
        f"instance {instance} is held out by {times[instance]}" for instance in sorted(times) if times[instance] < most
    ]:
        raise ValueError(f"{most} runs of each seed must hold out every instance, but {', '.join(lacking)}")
    return list(found)


def _split_options(config: TrainConfig) -> dict[str, Any]:
    """The options that decide which images a run trains on; smallNORB is split by instance, so without the seed."""
    seed = None if config.data.name == "smallnorb" else config.seed
    return {**asdict(config.data), "channels": config.network.channels, "seed": seed}
