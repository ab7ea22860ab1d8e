"""Only paths take ``~`` as the home folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from matcaps.cli import main
from matcaps.training.paths import NoHomeError, with_home

HOME = Path("/home/of/nobody")


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Where the commands leave what they open instead of opening it; the home folder is HOME."""
    found: list[Any] = []

    def stop(*values: Any, **options: Any) -> None:
        found.extend([*values, *options.values()])
        raise ValueError("stopped")

    monkeypatch.setenv("HOME", str(HOME))
    for name in ("train.train", "release.free_version", "download.download", "evaluate.folds.open_folds"):
        monkeypatch.setattr(f"matcaps.training.cli.{name}", stop)
    return found


def test_a_home_folder_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of this user, and that of another one."""
    monkeypatch.setenv("HOME", str(HOME))
    assert with_home("~") == str(HOME)
    assert with_home("~/x/~") == f"{HOME}/x/~"
    assert with_home("~root/x") == f"{Path('~root').expanduser()}/x"
    assert [with_home(path) for path in ("x", "./~", "x~", "/~", "")] == ["x", "./~", "x~", "/~", ""]


def test_a_user_without_a_home_folder_is_rejected() -> None:
    """The error says how to write a folder of that name."""
    expected = r"^~no-such-user is no home folder of a user; write \./~no-such-user/x for a folder of that name$"
    with pytest.raises(NoHomeError, match=expected):
        with_home("~no-such-user/x")


def test_the_folder_of_pictures_and_the_folder_of_the_run_take_a_tilde(called: list[Any]) -> None:
    """It makes no difference whether a value follows ``=`` or a space."""
    assert main(["train", "folder", "--data=~/pictures", "--run-folder", "~/run"]) == 1
    (config,) = called
    assert (config.data.name, config.run.folder) == (f"{HOME}/pictures", HOME / "run")


def test_the_name_of_a_model_keeps_its_tilde(called: list[Any]) -> None:
    """Only the folder of models is a path."""
    assert main(["release", "run", "--name=~x", "--models=~/models"]) == 1
    assert called == [HOME / "models", "~x", None]


def test_targets_take_a_tilde(called: list[Any]) -> None:
    """An argument without an option's name is a path too."""
    assert main(["evaluate", "folds", "~/runs"]) == 1
    assert called == [HOME / "runs", None]
    called.clear()
    assert main(["download", "mnist", "--to=~"]) == 1
    assert called[:2] == ["mnist", HOME]


@pytest.mark.parametrize(
    "words",
    [
        ["train", "folder", "--data=~no-such-user/x"],
        ["train", "folder", "--data=x", "--run-folder=~no-such-user/x"],
        ["evaluate", "~no-such-user/x"],
        ["evaluate", "calibration", "x", "--other=~no-such-user/x"],
        ["release", "x", "--name=x", "--evaluated-by", "y", "~no-such-user/x"],
    ],
)
def test_an_unknown_user_is_one_line(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The command ends with status 2, as for any bad option."""
    assert main(words) == 2
    expected = "~no-such-user is no home folder of a user; write ./~no-such-user/x for a folder of that name"
    assert capsys.readouterr().err == f"matcaps: {expected}\n"
