"""Where the public data sets are published, and the checksums of their files."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Source(NamedTuple):
    """Where a data set is published.

    Attributes:
        base_url: The URL of the folder that holds the files: the original host.
        files: The SHA-256 of each file, by name.
        mirrors: Other places, in the order in which they are tried: folders that hold the same files, or zip archives
            that hold them as they are or unpacked.
        unpacked: The MD5 of each file without ``.gz``, by its name without ``.gz``, where it is published.
    """

    base_url: str
    files: dict[str, str]
    mirrors: tuple[str, ...] = ()
    unpacked: Mapping[str, str] = MappingProxyType({})


# All SHA-256 sums are those of the TensorFlow Datasets project (github.com/tensorflow/datasets): smallNORB from
# tensorflow_datasets/datasets/smallnorb/checksums.tsv, the other two from tensorflow_datasets/url_checksums/mnist.txt
# and fashion_mnist.txt. The MD5 sums of the unpacked matrices stand in several public loaders of smallNORB; both splits
# have the same categories. The names of the archives are those of a public loader; the archives were not seen.
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
        (
            "https://huggingface.co/datasets/randall-lab/small-norb/resolve/main/smallnorb-train.zip",
            "https://huggingface.co/datasets/randall-lab/small-norb/resolve/main/smallnorb-test.zip",
        ),
        {
            "smallnorb-5x46789x9x18x6x2x96x96-training-dat.mat": "8138a0902307b32dfa0025a36dfa45ec",
            "smallnorb-5x46789x9x18x6x2x96x96-training-cat.mat": "fd5120d3f770ad57ebe620eb61a0b633",
            "smallnorb-5x46789x9x18x6x2x96x96-training-info.mat": "19faee774120001fc7e17980d6960451",
            "smallnorb-5x01235x9x18x6x2x96x96-testing-dat.mat": "e9920b7f7b2869a8f1a12e945b2c166c",
            "smallnorb-5x01235x9x18x6x2x96x96-testing-cat.mat": "fd5120d3f770ad57ebe620eb61a0b633",
            "smallnorb-5x01235x9x18x6x2x96x96-testing-info.mat": "7c5b871cc69dcadec1bf6a18141f5edc",
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
        ("https://ossci-datasets.s3.amazonaws.com/mnist/",),
    ),
    "fashion-mnist": Source(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
        ("https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",),
    ),
}
