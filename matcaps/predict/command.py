"""``matcaps predict FILE…``: options, and the run from files to lines."""

import argparse
import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from matcaps.predict.output import Output
from matcaps.predict.pictures import STANDARD_INPUT, find, read
from matcaps.predict.place import Answer, Place, PlaceError, RefusedError
from matcaps.service.engine.versions import EXPECTED, parse_version
from matcaps.service.settings import Settings

URL = "http://127.0.0.1:8000"
SUCCESS, FAILED, BAD_OPTIONS, INTERRUPTED = 0, 1, 2, 130
EXTRAS = {"httpx": "client", "onnxruntime": "cpu"}
EPILOG = f"""
Where the model runs: in this process, if the folder of models is there; otherwise at the service at {URL}.
--local and --url say it. In this process the settings MATCAPS_MODELS, MATCAPS_DEFAULT_MODEL, MATCAPS_DEVICE and
MATCAPS_THREADS count, as for matcaps serve. The API key of a service is read from the variable MATCAPS_API_KEY.

A stereo model takes two files for each answer, left and right.

The exit status is 0 if every picture got an answer, 1 if one did not, and 2 for wrong options. Each failure is a line
on standard error.
"""


class Parser(argparse.ArgumentParser):
    """Its errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_OPTIONS, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    options = _parse(arguments)
    try:
        return asyncio.run(_run(options))
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader has seen enough, as in ``matcaps predict … | head -1``
        return SUCCESS
    except PlaceError as error:
        return _fail(str(error), FAILED)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        other = "; or ask a service by --url" if error.name == "onnxruntime" else ""
        return _fail(f"needs the package {error.name}: pip install 'matcaps[{EXTRAS[error.name]}]'{other}", FAILED)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(
        "matcaps predict",
        description="Ask a model about pictures: print the class with the highest activation of each.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a picture, a folder with its subfolders, or - for standard input"
    )
    parser.add_argument("--model", metavar="NAME", help="name of the model; by default that of the service")
    parser.add_argument("--version", type=_version, metavar="N", help="its version; by default the highest")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", type=_url, help="ask the service at this URL; needs matcaps[client]")
    where.add_argument("--local", action="store_true", help="ask in this process; needs matcaps[cpu] or matcaps[gpu]")
    where.add_argument("--models", type=Path, metavar="FOLDER", help="as --local, with this folder of models")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="print a line of JSON for each answer: the files, and what /predict answers"
    )
    form.add_argument("--top", type=_number, default=1, metavar="N", help="classes in a row of the table; default 1")
    parser.add_argument(
        "--timeout", type=_seconds, default=30.0, metavar="S", help="seconds for each answer of a service; default 30"
    )
    options = parser.parse_args(arguments)
    if options.files.count(STANDARD_INPUT) > 1:
        parser.error("standard input (-) may be named once")
    return options


async def _run(options: argparse.Namespace) -> int:
    found = find(options.files)
    place = await _place(options)
    try:
        size = place.title.pictures
        if len(found.files) % size:
            raise PlaceError(
                f"{place.title.model} takes pairs of pictures (left, right): expected an even number of files, "
                f"got {len(found.files)}"
            )
        samples = [tuple(found.files[start : start + size]) for start in range(0, len(found.files), size)]
        with Output(place.title, samples, options.top, options.json).open() as output:
            for line in found.failures:
                output.failure(line)
            async for files, answer in _answers(place, samples):
                if isinstance(answer, str):
                    output.refuse(files, answer)
                else:
                    output.answer(files, answer)
        return FAILED if output.failed else SUCCESS
    finally:
        await place.close()


async def _place(options: argparse.Namespace) -> Place:
    if options.url is None:
        settings = _settings(options.models)
        if options.local or options.models is not None or settings.models.is_dir():
            from matcaps.predict.local import Local  # needs onnxruntime

            return Local(settings, options.model, options.version)
    try:
        from matcaps.predict.remote import Remote  # needs httpx
    except ModuleNotFoundError as error:
        if options.url or error.name != "httpx":
            raise
        raise PlaceError(
            f"there is no folder of models at {settings.models}; name one by --models, or a service by --url, which "
            f"needs pip install 'matcaps[client]'"
        ) from None

    key = os.environ.get("MATCAPS_API_KEY", "").strip() or None
    try:
        return await Remote.open(options.url or URL, key, options.timeout, options.model, options.version)
    except PlaceError as error:
        if options.url:
            raise
        raise PlaceError(
            f"there is no folder of models at {settings.models}, and {error}; name a folder by --models, or a service "
            f"by --url"
        ) from None


def _settings(models: Path | None) -> Settings:
    try:
        return Settings() if models is None else Settings(models=models)
    except ValidationError as error:
        first = error.errors()[0]
        name = f"MATCAPS_{'.'.join(map(str, first['loc']))}".upper()
        raise PlaceError(f"{name}: {first['msg'].removeprefix('Value error, ')}, got {first['input']!r}") from None


async def _answers(
    place: Place, samples: Sequence[tuple[str, ...]]
) -> AsyncIterator[tuple[tuple[str, ...], Answer | str]]:
    """The answer for each sample, or why there is none, in order; a few are asked at the same time."""
    running: deque[tuple[tuple[str, ...], asyncio.Task[Answer | str]]] = deque()
    waiting = iter(samples)
    try:
        while True:
            while len(running) < place.at_once and (files := next(waiting, None)) is not None:
                running.append((files, asyncio.create_task(_answer(place, files))))
            if not running:
                return
            files, task = running[0]
            yield files, await task
            running.popleft()
    finally:
        for _, task in running:
            task.cancel()


async def _answer(place: Place, files: tuple[str, ...]) -> Answer | str:
    try:
        contents = [await asyncio.to_thread(read, file) for file in files]
    except OSError as error:
        named = f"{error.filename}: " if len(files) > 1 and error.filename else ""
        return f"{named}{error.strerror}"
    try:
        return await place.predict(contents)
    except RefusedError as error:
        return str(error)


def _url(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected a URL, got an empty word")
    return text


def _version(text: str) -> int:
    version = parse_version(text)
    if version is None:
        raise argparse.ArgumentTypeError(f"expected {EXPECTED}, got {text!r}")
    return version


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0):
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text[:9])


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text!r}")
    return seconds


def _fail(text: str, status: int) -> int:
    print(f"matcaps predict: {text}", file=sys.stderr)
    return status
