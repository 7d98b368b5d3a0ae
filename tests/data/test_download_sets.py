"""Data sets beside Stanford Dogs: files that are kept as they are, and where the command puts them."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from doggan.data.download import MANIFEST, download
from doggan.data.sources import SOURCES, Archive, Published
from doggan.errors import DogganError


def test_files_that_are_no_archives_are_kept_as_they_are(site, tmp_path, monkeypatch):
    """MNIST on a small scale."""
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        site.files[name] = gzip.compress(os.urandom(20_000))
    published = Published(
        tuple(
            Archive(site.url(name), len(body), hashlib.sha256(body).hexdigest(), unpacked=len(body), is_kept=True)
            for name, body in site.files.items()
        ),
        contents={},
    )
    monkeypatch.setitem(SOURCES["mnist"], "official", published)
    folder = download("mnist", tmp_path, progress=False, say=lambda line: None)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST} == site.files
    assert [path.name for path in tmp_path.iterdir()] == ["mnist"]
    asked = len(site.asked)
    assert download("mnist", tmp_path, progress=False, say=lambda line: None) == folder
    assert len(site.asked) == asked
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DogganError, match="is not a whole download; move it away"):
        download("mnist", tmp_path, progress=False)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_data_sets_go_to_data_by_default(doggan, monkeypatch, tmp_path, name):
    asked = []
    monkeypatch.setattr("doggan.data.download.download", lambda *args, **kwargs: asked.append(args) or tmp_path)
    assert doggan("download", name, "--quiet")[0] == 0
    assert asked == [(name, Path("data"))]


def test_a_source_that_a_data_set_does_not_have(doggan, tmp_path):
    status, _, err = doggan("download", "cifar10", "--source", "kaggle", "--dest", tmp_path)
    assert status == 2
    assert "cifar10 has no source called 'kaggle'; choose from official." in err
