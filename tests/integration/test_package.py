"""The built package: what sdist and wheel hold, and how an installed wheel works beside files of the same names."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import httpx
import pytest

from tests.support.doubles import grey, write_model

ROOT = Path(__file__).parents[2]
LIMIT_S = 60.0
LINKED = ("client", "images", "kernels", "model", "service", "training")
CONSUMER = """
import asyncio

import numpy as np
from numpy.typing import NDArray
from matcaps.client import AsyncClient, Client, MatcapsError, Prediction


def labels(path: str, pixels: NDArray[np.uint8]) -> tuple[str, ...]:
    try:
        with Client(api_key="key") as client:
            found: Prediction = client.predict([path, b"bytes", pixels], model="smallnorb", timeout_s=3.0)
            pairs = client.poses([(path, pixels)], "conv_caps_1", version=1)
            best: float = found.activations.max().item() + pairs.poses[0].sum().item()
            return (*found.labels, str(best), *(model.name for model in client.models()))
    except MatcapsError as error:
        return (error.detail, str(error.status))


async def ready() -> bool:
    async with AsyncClient() as client, asyncio.timeout(3):
        layers: list[tuple[int, int]] = [layer.grid for layer in (await client.model()).layers]
        return bool(layers) and await client.ready()
"""
BUILD = "import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"


class Built(NamedTuple):
    """The two files of a release."""

    sdist: Path
    wheel: Path


class Installed(NamedTuple):
    """A virtual environment with the wheel, and a folder with files of the names of the linked folders."""

    python: Path
    packages: Path
    folder: Path

    def run(self, *words: str) -> str:
        """The standard output of a command that runs in the folder."""
        done = subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        """The folder comes first on the path of every Python process."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MATCAPS_")}
        return {**kept, "PYTHONPATH": str(self.folder)}


def build(kind: str, source: Path, target: Path) -> Path:
    """Build an sdist or a wheel with the installed setuptools, without the network."""
    command = [sys.executable, "-c", BUILD.format(kind=kind), str(target)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [built] = target.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return built


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An sdist of the project's files, and the wheel that is built from this sdist."""
    source, target, unpacked = (tmp_path_factory.mktemp(name) for name in ("source", "target", "unpacked"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("matcaps", *LINKED, "benchmarks", "checks", "deploy", "docs", "examples", "tests"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    sdist = build("sdist", source, target)
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    [project] = unpacked.iterdir()
    return Built(sdist, build("wheel", project, target))


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a new virtual environment, which finds the dependencies in this environment."""
    environment, folder = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("hostile")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, built.wheel], check=True)
    for name in LINKED:
        (folder / f"{name}.py").write_text("raise AssertionError('imported by its top-level name')\n")
    return Installed(python, packages, folder)


def test_the_sdist_holds_only_the_package(built: Built) -> None:
    """The sdist holds matcaps, its metadata, licence and README, and no tests, benchmarks or deployment files."""
    with tarfile.open(built.sdist) as archive:
        top = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    files = {"pyproject.toml", "setup.cfg", "PKG-INFO", "README.md", "LICENSE"}
    assert top == {"matcaps", "matcaps.egg-info", *files}


def test_the_wheel_holds_every_source_file(built: Built) -> None:
    """The wheel that is built from the sdist holds Python, C++ and the web pages, the type marker and the licence."""
    with ZipFile(built.wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    package = {name for name in names if name.startswith("matcaps/")}
    sources = {path for pattern in ("*.py", "*.cpp", "*.h") for path in (ROOT / "matcaps").glob(pattern)}
    for folder in LINKED:
        for pattern in ("*.py", "*.cpp", "*.h"):
            sources |= {ROOT / "matcaps" / path.relative_to(ROOT) for path in (ROOT / folder).rglob(pattern)}
    pages = (path for path in (ROOT / "service" / "web").rglob("*") if path.is_file())
    sources |= {ROOT / "matcaps" / path.relative_to(ROOT) for path in pages if path.suffix != ".pyc"}
    assert package >= {path.relative_to(ROOT).as_posix() for path in sources} | {"matcaps/py.typed"}
    [metadata] = {name.split("/")[0] for name in names - package}
    assert metadata.endswith(".dist-info")
    assert f"{metadata}/licenses/LICENSE" in names


def test_the_wheel_installs_no_other_top_level_name(installed: Installed) -> None:
    """pip installs the package matcaps, its metadata and the command matcaps, and nothing else."""
    [record] = installed.packages.glob("matcaps-*.dist-info/RECORD")
    files = [line.split(",")[0] for line in record.read_text().splitlines()]
    top = {name for name in files if name.split("/")[0] not in ("matcaps", record.parent.name)}
    assert top == {"../../../bin/matcaps"}


def test_imports_find_the_installed_package(installed: Installed) -> None:
    """Beside files of the same names, ``import matcaps.model`` finds the package of the wheel."""
    program = (
        "import matcaps.client, matcaps.images.decode, matcaps.kernels, matcaps.model, matcaps.service, "
        "matcaps.training; "
        "print(matcaps.model.__file__)"
    )
    found = installed.run(str(installed.python), "-c", program).strip()
    assert Path(found) == installed.packages / "matcaps" / "model" / "__init__.py"


def test_type_checkers_read_the_annotations(installed: Installed) -> None:
    """``mypy --strict`` accepts a program that uses the package and the client, and finds wrong arguments in it."""
    check = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed.python)]
    source = "from matcaps.service.keys import digest\n\nhexadecimal: str = digest({})\n"
    right, wrong = installed.folder / "right.py", installed.folder / "wrong.py"
    right.write_text(source.format("'key'") + CONSUMER)
    wrong.write_text(source.format("1") + CONSUMER.replace("[path, b", "[path, 1, b"))
    installed.run(*check, str(right))
    done = subprocess.run(
        [*check, str(wrong)],
        cwd=installed.folder,
        env=installed.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'Argument 1 to "digest" has incompatible type "int"' in done.stdout
    assert 'List item 1 has incompatible type "int"' in done.stdout


def test_the_installed_command_predicts_without_a_service(installed: Installed, tmp_path: Path) -> None:
    """The installed ``matcaps predict`` answers from a folder of models."""
    write_model(tmp_path, "norb", 1)
    picture = tmp_path / "a.png"
    picture.write_bytes(grey(100))
    command = [str(installed.python.with_name("matcaps")), "predict", str(picture), f"--models={tmp_path}"]
    printed = installed.run(*command, "--model=norb").splitlines()
    assert printed[-1].split() == [str(picture), "airplane", "0.1020"]


def test_a_network_of_ones_own_trains_with_the_layers(installed: Installed) -> None:
    """A program that knows the installed package alone trains capsules behind its own stem; its loss falls."""
    program = installed.folder / "own_network.py"
    shutil.copy(ROOT / "tests" / "support" / "own_network.py", program)
    first, last, *shape = installed.run(str(installed.python), "-W", "error", str(program)).split()
    assert float(last) < float(first) / 2
    assert shape == ["2", "3", "4", "6", "3"]


@pytest.fixture
def address(installed: Installed, tmp_path: Path) -> Iterator[str]:
    """The address of the installed command ``matcaps serve``."""
    write_model(tmp_path, "norb", 1)
    command = [str(installed.python.with_name("matcaps")), "serve", "--port=0", "--device=cpu", "--threads=1"]
    process = subprocess.Popen(
        [*command, "--default-model=norb", f"--models={tmp_path}"],
        cwd=installed.folder,
        env=installed.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        log = iter(process.stderr.readline, "")
        line = next((line for line in log if "listening at " in line), None)
        assert line is not None, "the server ended before it listened"
        yield line.partition("listening at ")[2].partition(",")[0]
    finally:
        process.terminate()
        process.wait(LIMIT_S)
        process.stderr.close()


def test_the_installed_command_serves(address: str) -> None:
    """The installed command answers a prediction."""
    with httpx.Client(base_url=address, timeout=LIMIT_S, trust_env=False) as client:
        answer = client.post("/predict", content=grey(100), headers={"content-type": "image/png"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == {"name": "norb", "version": 1}
