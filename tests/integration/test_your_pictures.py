"""The walk-through of docs/your-pictures.md works as it stands: from a folder of pictures to an answer by curl."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from matcaps.cli import main
from matcaps.training.data.formats.folder import load_folder
from matcaps.training.data.summary import describe
from tests.support.drawings import draw
from tests.support.options import TINY
from tests.support.runs import metadata_of

PAGE = Path(__file__).parents[2] / "docs" / "your-pictures.md"
KINDS = {"ball": "circle", "book": "square", "cup": "cross"}
# A smaller network and fewer steps; the export of three routing iterations takes half a minute.
SHORTER = [*TINY, "--network.image-size=24", "--network.routing.iterations=1", "--epochs=30", "--learning-rate=0.01"]
SHORTER.append("--network.routing.competition=positions")  # so that it is seen to reach the artefact
LIMIT_S = 60.0
MESSAGE = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)  # the first column of the table of messages


def commands() -> list[list[str]]:
    """The commands of the page that a reader runs, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


@contextmanager
def serving(arguments: list[str]) -> Iterator[str]:
    """Run ``matcaps serve`` on a free port until the end of the block; yields its address."""
    command = [sys.executable, "-m", "matcaps", *arguments, "--port=0", "--device=cpu", "--threads=1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    yield found.group()
                    break
            else:
                raise AssertionError("the service ended by itself")
        finally:
            process.terminate()
            process.stderr.read()


def normalised(*texts: str) -> list[str]:
    """The texts with one word for every number."""
    return [re.sub(r"\d+", "N", text) for text in texts]


def faults(train: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is printed about pictures with every fault of the page's table, and about a run that is there already."""
    assert main(train[1:]) == 1
    for name in ("broken.jpg", "other.gif"):
        Path("pictures", "cup", name).write_bytes(b"no picture")
    with pytest.raises(ValueError, match="cannot be read") as error:
        load_folder(Path("pictures"), 8)
    Path("pictures", "cup", "broken.jpg").unlink()
    images = load_folder(Path("pictures"), 8)
    images = replace(images, classes=("ball", "cup"), labels=images.labels.clamp_max(1))
    table = describe(images.subset(torch.tensor([0, *([50] * 300)])), images)
    captured = capsys.readouterr()
    return f"{captured.out}{captured.err}{error.value}{table}"


def test_the_walk_through_ends_with_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command succeeds in the order of the page, with a shorter training; the answer is the right class."""
    random = np.random.default_rng(0)
    for kind, shape in KINDS.items():
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for number in range(20):
            draw(shape, random).save(tmp_path / "pictures" / kind / f"IMG_{number:04}.jpg", quality=95)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(PAGE.parents[1]))

    train, judge, show, release, serve, ask = commands()
    assert main([*train[1:], *SHORTER]) == 0
    printed = capsys.readouterr().out
    assert "next: matcaps evaluate runs/folder\n" in printed
    table = re.search(r"^class .*?^all .*?$", printed, re.MULTILINE | re.DOTALL)
    assert table is not None
    assert table.group() in PAGE.read_text()
    for command in (judge, show, release):
        assert main(command[1:]) == 0
    assert "12 images" in capsys.readouterr().out
    for name in ("standard.png", "mistakes.html"):
        assert (tmp_path / "runs" / "folder" / name).is_file()
    metadata = metadata_of(tmp_path / "served" / "things" / "1")
    assert metadata["classes"] == ["ball", "book", "cup"]
    assert metadata["training"]["routing"]["competition"] == "positions"
    assert main([*release[1:], "--version", "1"]) == 1
    assert "never overwritten" in capsys.readouterr().err
    assert ask[0] == "curl"
    with serving(serve[1:]) as address:
        ask[-1] = ask[-1].replace("http://127.0.0.1:8000", address)
        answer = subprocess.run(ask, capture_output=True, timeout=LIMIT_S, check=True).stdout
    found = json.loads(answer)
    assert found["model"] == {"name": "things", "version": 1}
    assert found["predictions"][0]["label"] == "ball"
    assert found["predictions"][0]["activations"].keys() == KINDS.keys()

    messages = normalised(*MESSAGE.findall(PAGE.read_text()))
    assert len(messages) == 5
    printed = normalised(faults(train, capsys))[0]
    assert [message for message in messages if message not in printed] == []
