"""Transfers one file over HTTP: complete and at a useful rate, or an error."""

import time
from collections.abc import Callable
from pathlib import Path

import requests
import urllib3
from tqdm import tqdm

TIMEOUT_S = 30.0  # without a byte from the server
CHUNK_BYTES = 1 << 16
WINDOW_S = 60.0
SLOWEST_BYTES_PER_S = 2_000  # over a window; the largest file would take a day


class Downloader:
    """Downloads a URL to a file that everyone may read; closes the progress bar and the connection on errors too.

    Args:
        name: Shown at the progress bar.
        progress: Whether there is one.
        clock: Seconds that only grow.
    """

    def __init__(self, name: str, progress: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.progress = progress
        self.clock = clock

    def __call__(self, url: str, path: str, _: object = None) -> None:
        """Download a URL; pooch calls this.

        Raises:
            OSError: The URL cannot be read to its end, or the server is too slow; or the file cannot be written, and
                then the error has a number.
        """
        as_it_is = {"Accept-Encoding": "identity"}  # checksums are those of the files, not of what they are packed in
        try:
            with (
                requests.get(url, stream=True, timeout=TIMEOUT_S, headers=as_it_is) as response,
                Path(path).open("wb") as file,
            ):
                response.raise_for_status()
                size = int(response.headers.get("Content-Length", 0))
                with tqdm(
                    desc=self.name, total=size or None, unit="B", unit_scale=True, disable=not self.progress
                ) as bar:
                    self._copy(response.raw, file.write, bar.update)
        except urllib3.exceptions.HTTPError as error:
            raise OSError(str(error)) from error
        Path(path).chmod(0o644)  # temporary files are readable by their owner only

    def _copy(
        self, source: urllib3.BaseHTTPResponse, write: Callable[[bytes], object], report: Callable[[int], object]
    ) -> None:
        begin, received = self.clock(), 0
        while chunk := source.read1(CHUNK_BYTES):  # what has arrived: a whole chunk may be long in coming
            write(chunk)
            report(len(chunk))
            received += len(chunk)
            passed = self.clock() - begin
            if passed >= WINDOW_S:
                if received < SLOWEST_BYTES_PER_S * passed:
                    raise OSError(f"the server sent {received} bytes in {passed:.0f} s")
                begin, received = self.clock(), 0
