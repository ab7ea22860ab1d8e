"""``matcaps predict`` over model files, in this process and at a service on a socket."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from structlog.testing import capture_logs

from matcaps.cli import main
from matcaps.service.keys import digest
from tests.support.doubles import FakeSession, grey, make_model, write_model
from tests.support.listening import listening

ROOT = Path(__file__).parents[3]


class Case(NamedTuple):
    """A folder of model files, the address of a service with the same models, and a folder of pictures."""

    models: Path
    address: str
    pictures: Path

    @property
    def places(self) -> dict[str, list[str]]:
        """The options for each place."""
        return {"local": [f"--models={self.models}"], "remote": ["--url", self.address]}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """Two models, of single pictures (the default) and of pairs, and two versions of the first."""
    models, pictures = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("pictures")
    write_model(models, "smallnorb", 1)
    write_model(models, "smallnorb", 3)
    write_model(models, "stereo", 2, make_model(channels=2))
    for level in (10, 60, 200):
        (pictures / f"{level:03}.png").write_bytes(grey(level, 30, 20))
    sessions = {"smallnorb/1": FakeSession(), "smallnorb/3": FakeSession(), "stereo/2": FakeSession(channels=2)}
    with listening(tmp_path_factory.mktemp("served"), sessions) as running, capture_logs():
        yield Case(models, running.address, pictures)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the settings of the person who runs the tests."""
    for name in [name for name in os.environ if name.startswith("MATCAPS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MATCAPS_DEVICE", "cpu")
    monkeypatch.setenv("MATCAPS_THREADS", "1")


def lines(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err.splitlines()


@pytest.mark.parametrize("place", ["local", "remote"])
@pytest.mark.parametrize(
    ("model", "size"), [([], 1), (["--model=smallnorb", "--version=1"], 1), (["--model=stereo"], 2)]
)
def test_json_is_what_the_service_answers(
    case: Case, capsys: pytest.CaptureFixture[str], place: str, model: list[str], size: int
) -> None:
    """Each line has the files and the answer of raw HTTP to the same files, number by number."""
    files = sorted(map(str, case.pictures.iterdir()))[: 2 if size == 2 else 3]
    assert main(["predict", *files, *case.places[place], *model, "--json"]) == 0
    printed, errors = lines(capsys)
    assert errors == []
    parameters = dict(word.removeprefix("--").split("=") for word in model)
    for number, line in enumerate(printed):
        answer, mine = json.loads(line), files[number * size : (number + 1) * size]
        form = [("images", ("a", Path(file).read_bytes(), "image/png")) for file in mine]
        expected = httpx.post(f"{case.address}/predict", params=parameters, files=form, trust_env=False).json()
        assert answer.pop("files") == mine
        if place == "remote":
            assert len(answer.pop("id")) == len(expected["id"])
        del expected["id"]
        assert answer == expected
    assert len(printed) == len(files) // size


@pytest.mark.parametrize("place", ["local", "remote"])
def test_the_table_names_model_and_place(case: Case, capsys: pytest.CaptureFixture[str], place: str) -> None:
    """A folder's pictures are rows under the model, with as many classes as asked."""
    assert main(["predict", str(case.pictures), *case.places[place], "--top", "2"]) == 0
    printed, errors = lines(capsys)
    where = f"in this process ({case.models})" if place == "local" else f"at {case.address}"
    assert printed[0] == f"model smallnorb/3, {where}"
    assert printed[1].split() == ["file", "label", "activation", "2.", "activation"]
    assert printed[3].split() == [str(case.pictures / "060.png"), "airplane", "0.0620", "human", "0.0610"]
    assert (len(printed), errors) == (5, [])


@pytest.mark.parametrize("place", ["local", "remote"])
def test_each_failure_is_a_line_and_the_rest_is_answered(
    case: Case, capsys: pytest.CaptureFixture[str], tmp_path: Path, place: str
) -> None:
    """Missing, broken and unsupported files and an empty folder fail, each by itself; the status is 1."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.png").write_bytes(grey(1)[:40])
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    good = str(case.pictures / "010.png")
    words = [good, *(str(tmp_path / name) for name in ("empty", "broken.png", "a.gif", "missing.png")), good]
    assert main(["predict", *words, *case.places[place], "--json"]) == 1
    printed, errors = lines(capsys)
    assert [json.loads(line)["files"] for line in printed] == [[good], [good]]
    reasons = {
        "empty": "no pictures in this folder",
        "broken.png": "not a readable PNG image",
        "a.gif": "the image is GIF",
        "missing.png": "No such file or directory",
    }
    assert len(errors) == len(reasons)
    for line, (name, reason) in zip(errors, reasons.items(), strict=True):
        assert line.startswith(f"{tmp_path / name}: ")
        assert reason in line


@pytest.mark.parametrize("place", ["local", "remote"])
def test_a_stereo_model_takes_pairs(case: Case, capsys: pytest.CaptureFixture[str], place: str) -> None:
    """An odd number of files is one error before anything is asked; a pair with a missing file names it."""
    options = [*case.places[place], "--model", "stereo"]
    assert main(["predict", str(case.pictures), *options]) == 1
    expected = "stereo/2 takes pairs of pictures (left, right): expected an even number of files, got 3"
    assert lines(capsys) == ([], [f"matcaps predict: {expected}"])
    left, missing = str(case.pictures / "010.png"), str(case.pictures / "nowhere.png")
    assert main(["predict", left, missing, *options]) == 1
    assert lines(capsys)[1] == [f"{left}, {missing}: {missing}: No such file or directory"]


@pytest.mark.parametrize("place", ["local", "remote"])
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--model", "cat"], "no model 'cat'"),
        (["--version", "9"], "smallnorb has no version 9; there are 1, 3"),
    ],
)
def test_an_unknown_model_is_one_line(
    case: Case, capsys: pytest.CaptureFixture[str], place: str, options: list[str], reason: str
) -> None:
    """Nothing is asked, and the line names what there is."""
    assert main(["predict", "a.png", *case.places[place], *options]) == 1
    printed, [error] = lines(capsys)
    assert printed == []
    assert error.startswith(f"matcaps predict: {reason}")


def test_a_version_that_cannot_be_served_is_passed_over(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """As at the service the highest version that can be served answers; a line says why not the highest."""
    write_model(tmp_path, "smallnorb", 1)
    write_model(tmp_path, "smallnorb", 2, b"broken")
    picture = tmp_path / "a.png"
    picture.write_bytes(grey(40))
    assert main(["predict", str(picture), "--models", str(tmp_path), "--json"]) == 0
    [line], [error] = lines(capsys)
    assert json.loads(line)["model"] == {"name": "smallnorb", "version": 1}
    assert error.startswith("matcaps predict: smallnorb/2 cannot be served: not an ONNX file")
    assert main(["predict", str(picture), "--models", str(tmp_path), "--version", "2"]) == 1
    assert lines(capsys)[1] == [error]


def test_the_place_follows_from_the_folder_of_models(
    case: Case, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the folder is, the model runs here; elsewhere the usual service is asked, and the error names both."""
    picture = str(case.pictures / "010.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("matcaps.predict.command.URL", "http://127.0.0.1:1")
    assert main(["predict", picture]) == 1
    assert lines(capsys)[1] == [
        "matcaps predict: there is no folder of models at model_repository, and cannot reach http://127.0.0.1:1: "
        "Connection refused; name a folder by --models, or a service by --url"
    ]
    monkeypatch.setattr("matcaps.predict.command.URL", case.address)
    assert main(["predict", picture]) == 0
    assert lines(capsys)[0][0].endswith(f"at {case.address}")
    (tmp_path / "model_repository").symlink_to(case.models)
    assert main(["predict", picture]) == 0
    assert lines(capsys)[0][0].endswith("in this process (model_repository)")
    monkeypatch.setenv("MATCAPS_DEFAULT_MODEL", "nothing")
    assert main(["predict", picture, "--local"]) == 1
    assert "no model 'nothing' in model_repository; there are smallnorb, stereo" in lines(capsys)[1][0]
    monkeypatch.setenv("MATCAPS_THREADS", "many")
    assert main(["predict", picture, "--local"]) == 1
    assert lines(capsys)[1][0].startswith("matcaps predict: MATCAPS_THREADS: ")


def test_the_key_comes_from_the_environment(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With MATCAPS_API_KEY the service answers; without it one line has the service's reason."""
    keys, picture = tmp_path / "keys", tmp_path / "a.png"
    keys.write_text(f"ann sha256:{digest('secret')}\n")
    picture.write_bytes(grey(1))
    with listening(tmp_path / "served", {"norb/1": FakeSession()}, api_keys=keys) as running, capture_logs():
        assert main(["predict", str(picture), "--url", running.address]) == 1
        assert "key" in lines(capsys)[1][0]
        monkeypatch.setenv("MATCAPS_API_KEY", "secret\n")
        assert main(["predict", str(picture), "--url", running.address]) == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "the following arguments are required: FILE"),
        (["a", "--url", "http://a", "--local"], "argument --local: not allowed with argument --url"),
        (["a", "--json", "--top", "2"], "argument --top: not allowed with argument --json"),
        (["a", "--top", "0"], "argument --top: expected a number of at least 1, got '0'"),
        (["a", "--version", "07"], "argument --version: expected an integer from 1"),
        (["a", "--timeout", "nan"], "argument --timeout: expected seconds above 0, got 'nan'"),
        (["-", "b", "-"], "standard input (-) may be named once"),
        (["a", "--url="], "argument --url: expected a URL, got an empty word"),
        (["a", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_a_wrong_option_is_one_line(capsys: pytest.CaptureFixture[str], words: list[str], reason: str) -> None:
    """The status is 2."""
    with pytest.raises(SystemExit) as exit_:
        main(["predict", *words])
    printed, [error] = lines(capsys)
    assert (exit_.value.code, printed) == (2, [])
    assert error.startswith(f"matcaps predict: {reason}")
    assert error.endswith("; see matcaps predict --help")


@pytest.mark.parametrize(
    ("package", "module", "options", "extra"),
    [
        ("httpx", "matcaps.predict.remote", ["--url", "http://127.0.0.1:1"], "client"),
        ("onnxruntime", "matcaps.predict.local", ["--models", "."], "cpu"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    package: str,
    module: str,
    options: list[str],
    extra: str,
) -> None:
    """Asking a service needs httpx, and asking here needs onnxruntime; one line says what to install."""

    class Missing:
        """Stands in for a module that imports the package."""

        def __getattr__(self, name: str) -> Any:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setitem(sys.modules, module, Missing())
    assert main(["predict", "a.png", *options]) == 1
    [error] = lines(capsys)[1]
    assert error.startswith(f"matcaps predict: needs the package {package}: pip install 'matcaps[{extra}]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("matcaps.predict.command.URL", "http://127.0.0.1:1")
    assert main(["predict", "a.png"]) == 1
    [error] = lines(capsys)[1]
    assert error.startswith("matcaps predict: there is no folder of models at model_repository")


def test_standard_input_is_answered_without_torch(case: Case) -> None:
    """The picture comes through a pipe; neither torch nor httpx nor the training side is imported."""
    program = (
        "import sys\n"
        "from matcaps.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "loaded = {'torch', 'onnx', 'httpx', 'matcaps.model', 'matcaps.training'} & set(sys.modules)\n"
        "print('loaded:', sorted(loaded), file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "predict", "-", f"--models={case.models}"],
        cwd=ROOT,
        input=grey(70),
        capture_output=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1].split() == [b"-", b"airplane", b"0.0720"]
    assert done.stderr == b"loaded: []\n"


def test_a_reader_that_has_seen_enough_ends_the_command(case: Case) -> None:
    """With the other end of the pipe closed the command ends without a traceback, and with status 0."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "matcaps", "predict", str(case.pictures), f"--models={case.models}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
