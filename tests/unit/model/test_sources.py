"""Where a network comes from: a folder, the name of a released model, or a repository of the Hub."""

import sys
from pathlib import Path

import pytest
import torch

from matcaps.model import CapsNet, tiny


@pytest.fixture(autouse=True)
def without_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package huggingface_hub is not installed, so nothing can be asked of the Hub."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.delitem(sys.modules, "matcaps.model.hub", raising=False)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models of the current folder, with net/2 and net/10."""
    monkeypatch.chdir(tmp_path)
    for version in (2, 10):
        save(Path("model_repository", "net", str(version)), version)
    Path("model_repository", "net", ".draft-x").mkdir()
    Path("model_repository", "empty").mkdir()
    return tmp_path / "model_repository"


def save(folder: Path, mark: float) -> None:
    """Write a network that ``marked`` knows again."""
    network = CapsNet(tiny())
    torch.nn.init.constant_(network.class_caps.beta_a, mark)
    network.save_pretrained(folder)


def marked(source: str | Path) -> float:
    """The mark of a network."""
    return float(CapsNet.from_pretrained(source).class_caps.beta_a[0].detach())


def test_a_name_is_the_highest_version_of_a_released_model(models: Path) -> None:
    """Versions are numbers, so 10 comes after 2; NAME/VERSION chooses one."""
    assert marked("net") == 10
    assert marked("net/2") == 2


def test_the_folder_of_a_model_is_its_highest_version(models: Path) -> None:
    """The path of a model's folder needs no version, neither as a string nor as a path."""
    assert marked("model_repository/net") == 10
    assert marked(models / "net") == 10


def test_a_local_folder_goes_before_a_released_model(models: Path) -> None:
    """A folder is taken, whatever else has its name."""
    save(Path("net"), 7)
    assert marked("net") == 7
    save(Path("net", "2"), 8)
    assert marked("net/2") == 8
    save(Path("user", "repo"), 9)
    assert marked("user/repo") == 9


def test_the_models_of_the_checkout_have_names_in_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are found beside the source, after those of the current folder."""
    monkeypatch.chdir(tmp_path)
    assert CapsNet.from_pretrained("smallnorb").config.classes[0] == "animal"


def test_an_unknown_name_lists_the_models(models: Path) -> None:
    """Folders without versions are no models."""
    with pytest.raises(FileNotFoundError) as raised:
        CapsNet.from_pretrained("nett")
    assert str(raised.value) == (
        "no folder and no released model 'nett'; the models are fashion-mnist, mnist, net, smallnorb, "
        "smallnorb-elevation, smallnorb-stereo"
    )


def test_without_any_models_a_name_says_where_they_were_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed package has no models beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("matcaps.model.sources.__file__", str(tmp_path / "matcaps" / "model" / "sources.py"))
    with pytest.raises(FileNotFoundError, match="no released model 'net': there is no folder model_repository here"):
        CapsNet.from_pretrained("net")


@pytest.mark.parametrize("source", ["..", "", ".draft-x", "net/", "./net", "~/net", "a/b/c", "/net", Path("net/2")])
def test_what_is_no_name_and_no_folder_is_one_line(source: str | Path, models: Path) -> None:
    """Such a source names neither a model nor a repository."""
    with pytest.raises(FileNotFoundError) as raised:
        CapsNet.from_pretrained(source)
    assert "\n" not in str(raised.value)


def test_a_missing_version_is_named(models: Path) -> None:
    """The versions that are there are listed."""
    with pytest.raises(FileNotFoundError, match="net has no version 3 in model_repository; there are 2, 10"):
        CapsNet.from_pretrained("net/3")


def test_the_highest_version_is_not_replaced_by_a_lower_one(models: Path) -> None:
    """A version without weights, such as one in format 1, is an error that names it."""
    (models / "net" / "11").mkdir()
    with pytest.raises(FileNotFoundError, match=r"model_repository/net/11 lacks config\.json and model\.safetensors"):
        CapsNet.from_pretrained("net")


@pytest.mark.parametrize("source", ["net", "net/2", "model_repository/net/2"])
def test_a_revision_is_refused_for_what_is_local(source: str, models: Path) -> None:
    """Only repositories of the Hub have revisions."""
    with pytest.raises(ValueError, match=f"is for a repository of the Hub, but {source} is the local folder model_r"):
        CapsNet.from_pretrained(source, revision="main")


def test_a_repository_needs_a_package_that_the_error_names(models: Path) -> None:
    """Without the extra, user/repo says what to install, and that nothing here has that name."""
    with pytest.raises(ModuleNotFoundError) as raised:
        CapsNet.from_pretrained("ada/net")
    assert "nothing here is called 'ada/net'" in str(raised.value)
    assert str(raised.value).endswith("needs the package huggingface_hub: pip install 'matcaps[hub]'")
