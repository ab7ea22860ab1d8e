"""Runs on disk, taken up to be asked, compared or released."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from matcaps.training.config import TrainConfig, resolved, restore
from matcaps.training.data import ImageSet, load
from matcaps.training.engine import checkpoint
from matcaps.training.engine.checkpoint import Network
from matcaps.training.provenance import fingerprint
from matcaps.training.release.record import refuse_other_recipes
from matcaps.training.splits import Fold, held_out_folds, split


class Run(NamedTuple):
    """A run as it stands.

    Attributes:
        network: What is judged, on the CPU.
        config: Of the run, with the folders as they are now.
        saved: All that its checkpoint holds.
    """

    network: Network
    config: TrainConfig
    saved: dict[str, Any]

    def split(self) -> tuple[ImageSet, ImageSet]:
        """What it trained on, and what it held out.

        Raises:
            ValueError: They were drawn from other images than are there now.
        """
        training, held_out = split(self.config)
        before = self.saved.get("images")  # runs of before do not know theirs
        if "instance" not in training.info and before not in (None, fingerprint(training, held_out)):
            raise ValueError(
                f"{self.config.data} holds other images than when {self.config.run_folder} was trained: "
                "what it held out then cannot be told from what it learned"
            )
        return training, held_out

    def held_out(self) -> ImageSet:
        """What it never trained on."""
        return self.split()[1]

    def test(self) -> ImageSet:
        """The official test split."""
        network = self.config.network
        stereo = network.channels == 2
        return load(self.config.data, self.config.root, "test", stereo=stereo, size=network.image_size)


def open_run(folder: Path, root: Path | None, *, ended: bool = False) -> Run:
    """The run of a folder; of one that is not at its end a line says so, and where ``ended`` it is refused.

    Args:
        folder: Of the run.
        root: Holds the data sets now; the folder that the run was trained from if absent.
        ended: Whether only a run that is at its end will do.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: It is damaged, or the run is not at its end.
    """
    saved = checkpoint.load(folder / "last.pt")
    step, steps = saved["progress"]["step"], saved["schedule"]["total_steps"]
    if step < steps:
        standing = f"{folder} stands at step {step} of {steps} (train … --resume goes on)"
        if ended:
            raise ValueError(f"{standing}: only the end of a run is released, or judged beside others")
        print(f"note: {standing}")
    config = resolved(replace(restore(saved["config"]), run_folder=folder))
    return Run(checkpoint.rebuild(saved), config if root is None else replace(config, root=root), saved)


def open_baseline(folder: Path, beside: Run) -> Run:
    """The CNN that capsules are put beside.

    It must have held out the same images, or it would be judged by what it was trained on.

    Raises:
        ValueError: The one holds no capsules, the other no CNN, or they were trained on different images.
    """
    if beside.config.architecture != "capsules":
        raise ValueError(f"{beside.config.run_folder} holds a CNN; a baseline stands beside capsules")
    run = open_run(folder, beside.config.root)
    if run.config.architecture != "cnn":
        raise ValueError(f"{folder} holds capsules; a baseline is trained with --architecture cnn")
    names = ["data", "elevations", "lightings", "held_out_instance"]
    if beside.config.data != "smallnorb":
        names = ["data", "held_out_rows", "seed"]  # by which the rows are drawn
        run.split()  # refuses where they were drawn from others
    own, its = vars(beside.config), vars(run.config)
    if differing := [f"{name} {its[name]}, not {own[name]}" for name in names if its[name] != own[name]]:
        raise ValueError(
            f"{folder} was trained on other images than {beside.config.run_folder}: {', '.join(differing)}"
        )
    return run


def open_epochs(folder: Path) -> dict[str, Network]:
    """The networks of all epochs of a run, by file name.

    Raises:
        FileNotFoundError: None was kept.
    """
    paths = sorted(folder.glob("epoch-*.pt"))
    if not paths:
        raise FileNotFoundError(f"no epoch-*.pt in {folder}; train with --keep-epochs")
    return {path.name: checkpoint.rebuild(checkpoint.load(path)) for path in paths}


def open_folds(folder: Path, root: Path | None) -> dict[Fold, Run]:
    """The runs of one recipe that a folder holds, a folder each, by what each of them held out.

    Raises:
        FileNotFoundError: There is none.
        ValueError: They cannot be pooled.
    """
    runs = [open_run(path.parent, root, ended=True) for path in sorted(folder.glob("*/last.pt"))]
    if not runs:
        raise FileNotFoundError(f"no run in a folder of {folder}: */last.pt")
    configs = [run.config for run in runs]
    refuse_other_recipes(configs[0], configs)
    return dict(zip(held_out_folds(configs), runs, strict=True))
