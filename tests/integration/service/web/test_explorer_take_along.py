"""What the explorer page lets its reader take along gives the same numbers elsewhere."""

import ast
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.support.browser import unavailable, visit
from tests.support.doubles import FakeSession, encoded, output_shapes
from tests.support.explorer import LAYERS, Explorer
from tests.support.listening import listening

NAME = """it's "my" plane; 1, 2.png"""
PICTURE = encoded(Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("models")
    with listening(folder, {"norb/1": FakeSession(), "stereo/1": FakeSession(channels=2)}) as running:
        yield running.address


@pytest.fixture
def explorer(browser: Browser, address: str) -> Iterator[Explorer]:
    """A page with a picture whose name is hard to quote."""
    with visit(browser, address, permissions=["clipboard-read", "clipboard-write"]) as page:
        explorer = Explorer(page)
        explorer.open()
        explorer.upload({"name": NAME, "mimeType": "image/png", "buffer": PICTURE})
        yield explorer


def copied(explorer: Explorer, form: str) -> str:
    """The text that the button puts into the clipboard."""
    explorer.page.get_by_role("button", name=f"Copy as {form}").click()
    explorer.page.locator("#take-note").get_by_text("Copied").wait_for()
    text: str = explorer.page.evaluate("navigator.clipboard.readText()")
    return text


def downloaded(explorer: Explorer, button: str) -> tuple[str, bytes]:
    """The name and the content of the file that a button downloads."""
    with explorer.page.expect_download() as download:
        explorer.page.get_by_role("button", name=button).click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


@pytest.mark.parametrize("model", ["norb", "stereo"])
def test_the_copied_command_gets_the_same_answer(explorer: Explorer, tmp_path: Path, model: str) -> None:
    """In a shell, in the folder of the picture."""
    if shutil.which("curl") is None:
        unavailable("needs curl; as root on Debian, scripts/test installs it")
    explorer.page.locator("#model").select_option(model)
    explorer.upload({"name": NAME, "mimeType": "image/png", "buffer": PICTURE})
    (tmp_path / NAME).write_bytes(PICTURE)
    command = ["sh", "-c", copied(explorer, "curl")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30)
    (prediction,) = json.loads(done.stdout)["predictions"]
    assert prediction["activations"] == pytest.approx(explorer.activations(), abs=1e-6)


def test_the_copied_program_gets_the_same_answer(explorer: Explorer, tmp_path: Path) -> None:
    """Also of a changed picture, which is downloaded beside it."""
    (tmp_path / NAME).write_bytes(PICTURE)
    for change in (None, "#brightness"):
        if change is not None:
            with explorer.answered():
                explorer.page.locator(change).fill("50")
            name, content = downloaded(explorer, "Picture as sent")
            (tmp_path / name).write_bytes(content)
        command = [sys.executable, "-c", copied(explorer, "Python")]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30)
        label, _, activations = done.stdout.partition(" ")
        shown = explorer.activations()
        assert label == next(iter(shown))
        assert ast.literal_eval(activations) == pytest.approx(shown, abs=1e-6)


def test_the_arrays_are_those_of_the_answer(explorer: Explorer) -> None:
    """numpy reads all outputs, and the credit of the chosen class, which sums to 1 in each layer."""
    name, content = downloaded(explorer, "Arrays (npz)")
    assert name == "norb.npz"
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = dict(file)
    credit = {layer: arrays.pop(f"{layer}_credit") for layer in LAYERS}
    assert {name: array.shape for name, array in arrays.items()} == {
        name: (1, *shape) for name, shape in output_shapes().items()
    }
    assert sorted(arrays["activations"][0]) == pytest.approx(sorted(explorer.activations().values()))
    assert [shares.sum() for shares in credit.values()] == pytest.approx([1, 1, 1], abs=1e-5)


def test_the_figure_is_a_picture_with_content(explorer: Explorer) -> None:
    """A PNG that is wide enough for a slide, and not of one colour."""
    name, content = downloaded(explorer, "All of this as PNG")
    assert name.endswith(".png")
    with Image.open(io.BytesIO(content)) as figure:
        assert figure.format == "PNG"
        assert figure.width >= 1200
        assert len(figure.convert("L").getcolors() or []) > 20
