"""Downloads the public data sets from their official hosts and verifies each file against a published checksum."""

import errno
from pathlib import Path
from typing import Any, NamedTuple

import pooch
from tqdm import tqdm

from matcaps.training.writing import WriteError, writing

TIMEOUT_S = 30.0  # without a byte from the server
CHUNK_BYTES = 1 << 16


class Source(NamedTuple):
    """Where a data set is published.

    Attributes:
        base_url: The URL of the folder that holds the files.
        files: The SHA-256 of each file, by name.
    """

    base_url: str
    files: dict[str, str]


# All sums are those of the TensorFlow Datasets project (github.com/tensorflow/datasets): smallNORB from
# tensorflow_datasets/datasets/smallnorb/checksums.tsv, the other two from tensorflow_datasets/url_checksums/mnist.txt
# and fashion_mnist.txt.
SOURCES = {
    "smallnorb": Source(
        "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/",
        {
            "smallnorb-5x46789x9x18x6x2x96x96-training-dat.mat.gz": (
                "5ffd6272a07d32695ee1082a26a41a93a37aab8c28da047f8c34ed348d214873"
            ),
            "smallnorb-5x46789x9x18x6x2x96x96-training-cat.mat.gz": (
                "2784e542c1922060691090952b6cd6278879a216c90f81476f0f00256d42cdaa"
            ),
            "smallnorb-5x46789x9x18x6x2x96x96-training-info.mat.gz": (
                "de7eb932ebe7a4ee16217fead60660d0eb3d23632c2f4d1c51f88c501c17bf32"
            ),
            "smallnorb-5x01235x9x18x6x2x96x96-testing-dat.mat.gz": (
                "cf7104eed3e51174d2f65b66d1e5878b9da233b886f161b0d88f4510ba2c7474"
            ),
            "smallnorb-5x01235x9x18x6x2x96x96-testing-cat.mat.gz": (
                "ecaf6d5bb8c3bc5eab9cf0258f6d2198dd474e016e374836fc097f2e5ff509ff"
            ),
            "smallnorb-5x01235x9x18x6x2x96x96-testing-info.mat.gz": (
                "16adf314226327ee006d1a44db8cfef52773c06c829951d5653a9f6f310248a2"
            ),
        },
    ),
    "mnist": Source(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        {
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion-mnist": Source(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
}


def download(name: str, to: Path, *, base_url: str | None = None, progress: bool = True) -> Path:
    """Download the missing files of a public data set, both splits, and return the folder ``to/name``.

    Args:
        name: smallnorb, mnist or fashion-mnist.
        to: Folder that holds the data sets, one folder each.
        base_url: A mirror of the same files.
        progress: Show a progress bar for each file.

    Raises:
        ValueError: The name is unknown, or a file does not have the published checksum.
        OSError: A file cannot be downloaded or written.
    """
    if name not in SOURCES:
        raise ValueError(f"the data set must be one of {', '.join(SOURCES)}, got {name}")
    source = SOURCES[name]
    if base_url is not None:
        source = source._replace(base_url=base_url)
    fetch(source, to / name, progress=progress)
    return to / name


def fetch(source: Source, folder: Path, *, progress: bool = True) -> None:
    """Download a source's files into a folder.

    A file appears under its name only when it is complete and its checksum is right. A file with the right checksum is
    kept, any other is replaced.

    Raises:
        ValueError: A file does not have the published checksum.
        OSError: A file cannot be downloaded or written.
    """
    for name, sha256 in source.files.items():
        url = source.base_url.rstrip("/") + "/" + name
        try:
            pooch.retrieve(url, f"sha256:{sha256}", name, folder, downloader=_Downloader(name, progress))
        except PermissionError as error:  # pooch words it anew, without its number
            raise WriteError(errno.EACCES, f"cannot write into {folder}: permission denied") from error
        except OSError as error:
            if error.errno is not None:  # of this machine; the exceptions of requests have no number
                with writing(folder / name):
                    raise
            raise OSError(f"{url} cannot be downloaded: {error}") from error
        except ValueError as error:
            raise ValueError(f"{url} does not have the published checksum: {error}") from error


class _Downloader:
    """Downloads a URL to a file that everyone may read; closes the progress bar and the connection on errors too."""

    def __init__(self, name: str, progress: bool) -> None:
        self.name = name
        self.progress = progress

    def __call__(self, url: str, path: str, _: object) -> None:
        # pooch tests the bar as a bool, which tqdm supports only with a total; the total is not known yet.
        with tqdm(desc=self.name, total=1, unit="B", unit_scale=True, disable=not self.progress) as bar:
            hooks = {"response": self.close_refusal}
            get = pooch.HTTPDownloader(progressbar=bar, chunk_size=CHUNK_BYTES, timeout=TIMEOUT_S, hooks=hooks)
            get(url, path, None)
        Path(path).chmod(0o644)  # temporary files are readable by their owner only

    @staticmethod
    def close_refusal(response: Any, **_: object) -> None:
        """Close the connection of an error response: pooch raises on it and leaves it open."""
        if not response.ok:
            response.close()
