"""`doggan prepare --dataset`: each set by its name, its defaults, and options that it does not use."""

import struct

import click
import numpy as np
import pytest
from PIL import Image

from doggan.cli.data import prepare as prepare_command
from doggan.data.datasets import DATASETS, default_out, prepare_dataset
from doggan.data.faults import Fault, Reason
from doggan.data.imageset import ImageSet
from doggan.data.summary import DatasetSummary
from doggan.errors import DogganError


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sources(here, dog_tree):
    """A small source for each data set."""
    rng = np.random.default_rng(0)
    folders = {name: here / name for name in ("mnist", "cifar10", "folder")}
    for folder in folders.values():
        folder.mkdir()
    for part, count in (("train", 4), ("t10k", 2)):
        pixels = rng.integers(0, 256, count * 784, np.uint8).tobytes()
        images = b"\0\0\x08\x03" + struct.pack(">III", count, 28, 28) + pixels
        (folders["mnist"] / f"{part}-images-idx3-ubyte").write_bytes(images)
        labels = b"\0\0\x08\x01" + struct.pack(">I", count) + bytes(range(count))
        (folders["mnist"] / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    (folders["cifar10"] / "data_batch_x.bin").write_bytes(bytes(3 * 3073))
    for i in range(5):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(folders["folder"] / f"{i}.png")
    return folders | {"stanford-dogs": dog_tree}


@pytest.mark.parametrize(
    ("name", "out", "shape", "said"),
    [
        ("stanford-dogs", "dogs64.npz", (64, 64, 3), "24 photographs and 24 annotations (stanford layout)"),
        ("mnist", "mnist32.npz", (32, 32, 1), "6 grey pictures of 32×32 (mnist), crop whole, 10 classes: 4 for tr"),
        ("cifar10", "cifar10-32.npz", (32, 32, 3), "3 RGB pictures of 32×32 (cifar10), crop whole, 10 classes: 3"),
        ("folder", "folder64.npz", (64, 64, 3), "5 RGB pictures of 64×64 (folder), crop center, no labels: 5 for"),
    ],
)
def test_each_by_its_name_with_its_defaults(doggan, sources, here, name, out, shape, said):
    status, printed, err = doggan("prepare", sources[name], "--dataset", name, "--quiet")
    assert (status, err) == (0, "")
    assert said in printed
    images = ImageSet.load(here / out)
    assert images.image_shape == shape
    assert [path.name for path in here.glob("*.npz")] == [out]


@pytest.mark.parametrize("name", DATASETS)
def test_each_in_another_size_and_place(doggan, sources, here, name):
    arguments = ("prepare", sources[name], "--dataset", name, "--size", 96, "--crop", "whole", "--holdout", 0.5, "-q")
    assert doggan(*arguments, "-o", here / "new" / "x.npz")[0] == 0
    images = ImageSet.load(here / "new" / "x.npz")
    assert images.image_shape[:2] == (96, 96)
    assert images.crop == "whole"
    assert doggan(*arguments)[0] == 0
    (out,) = here.glob("*.npz")
    assert out.name in {"dogs96.npz", "mnist96.npz", "cifar10-96.npz", "folder96.npz"}


def test_look_draws_grey_and_unlabelled_sets(doggan, sources, here):
    for name, out, drawn in (
        ("mnist", "mnist32.npz", {"sheet.png", "breeds.png"}),
        ("folder", "folder64.npz", {"sheet.png"}),
    ):
        doggan("prepare", sources[name], "--dataset", name, "-q")
        status, printed, _ = doggan("look", out, "-o", here / f"look-{name}")
        assert status == 0
        assert {path.name for path in (here / f"look-{name}").iterdir()} == drawn
    assert "5 pictures of 64 px, 0 classes" in printed


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mnist", ("--crop", "square"), "The data set mnist has no crop 'square'; choose from whole."),
        ("mnist", ("--strict",), "The data set mnist does not use --strict; leave that out."),
        ("mnist", ("--workers", 2, "--fast-decode"), "mnist does not use --fast-decode, --workers; leave that out."),
        ("cifar10", ("--strict",), "The data set cifar10 does not use --strict"),
        ("folder", ("--fast-decode",), "The data set folder does not use --fast-decode"),
        ("folder", ("--crop", "box"), "The data set folder has no crop 'box'; choose from center, whole."),
        ("stanford-dogs", ("--crop", "center"), "stanford-dogs has no crop 'center'; choose from square, reference"),
        ("cats", (), "'cats' is not one of"),
    ],
)
def test_what_a_data_set_does_not_use_is_refused(doggan, sources, here, name, options, message):
    status, _, err = doggan("prepare", sources.get(name, here), "--dataset", name, "-q", *options)
    assert status == 2
    assert message in err
    assert "Traceback" not in err
    assert not list(here.glob("*.npz"))


@pytest.mark.parametrize("name", DATASETS)
def test_mistakes_are_one_sentence(doggan, sources, here, name):
    for arguments, message in (
        ((here / "absent",), "absent does not exist"),
        ((sources[name], "-o", here), "is a folder; name a file in it, such as"),
        ((sources[name], "-o", here / "folder" / "0.png" / "x.npz"), "is not a writable folder"),
    ):
        status, _, err = doggan("prepare", *arguments, "--dataset", name, "-q")
        assert status == 2
        assert message in err
        assert len(err.splitlines()) == 1


def test_the_command_names_every_data_set_and_crop():
    options = {option.name: option for option in prepare_command.params}
    assert isinstance(options["dataset"].type, click.Choice)
    assert list(options["dataset"].type.choices) == list(DATASETS)
    assert set(options["crop"].type.choices) == {crop for dataset in DATASETS.values() for crop in dataset.crops}


def test_unknown_names_list_the_known_ones(tmp_path):
    with pytest.raises(DogganError, match="no data set called 'cats'; choose from stanford-dogs, mnist, cifar10, fold"):
        prepare_dataset("cats", tmp_path)


def test_the_default_file_is_called_as_the_folder(here):
    assert str(default_out("folder", here / "my pictures", 64)) == "my pictures64.npz"
    assert str(default_out("folder", here / "facades-120", 32)) == "facades-120-32.npz"
    (here / "birds").mkdir()
    assert str(default_out("folder", here / "birds" / ".." / "birds", 64)) == "birds64.npz"


def test_faults_of_a_folder_are_in_the_summary(doggan, sources):
    (sources["folder"] / "broken.jpg").write_bytes(b"x")
    status, printed, _ = doggan("prepare", sources["folder"], "--dataset", "folder", "-q")
    assert status == 0
    assert f"skipped: 1 × {Reason.UNREADABLE_PHOTOGRAPH}: broken\n" in printed
    status, _, err = doggan("prepare", sources["folder"], "--dataset", "folder", "-q", "--strict")
    assert status == 2
    assert "broken.jpg: broken: photograph that is truncated" in err


def test_the_summary_in_words(tmp_path):
    summary = DatasetSummary(
        out=tmp_path / "x.npz",
        dataset="folder",
        training=1200,
        heldout=34,
        classes=1,
        size=64,
        channels=1,
        crop="center",
        faults=tuple(Fault(Reason.TWICE, f"a/{i}") for i in range(12)),
        seconds=0.5,
    )
    assert str(summary).splitlines() == [
        "1,234 grey pictures of 64×64 (folder), crop center, 1 class: 1,200 for training, 34 held out",
        "skipped: 12 × second file with the same id: " + ", ".join(f"a/{i}" for i in range(10)) + " and 2 more",
        f"{tmp_path / 'x.npz'} in 0.5 s, 2,468 pictures a second",
    ]


def test_the_command_offers_what_there_is():
    from doggan.cli.data import download, prepare
    from doggan.data.sources import SOURCES

    def choices(command, name):
        return list(next(option.type.choices for option in command.params if option.name == name))

    assert choices(prepare, "dataset") == list(DATASETS)
    assert set(choices(prepare, "crop")) == {crop for dataset in DATASETS.values() for crop in dataset.crops}
    assert set(choices(download, "name")) == {*SOURCES, "nasnet"}
