"""`prepare` on the real photographs, where they are at hand."""

import tarfile
import zipfile
from collections import Counter

import numpy as np
import pytest

from doggan.data.faults import Reason
from doggan.data.imageset import ImageSet
from doggan.data.prepare import prepare


@pytest.fixture(scope="module")
def real_dogs(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    with zipfile.ZipFile(shared_data / "stanford-dogs" / "all-dogs-450.zip") as archive:
        archive.extractall(folder)
    with tarfile.open(shared_data / "stanford-dogs" / "annotation.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_the_real_photographs(real_dogs, tmp_path):
    summary = prepare(real_dogs, tmp_path / "dogs.npz", holdout=0.1, progress=False)
    image_set = ImageSet.load(tmp_path / "dogs.npz")
    assert (summary.photographs, summary.boxes, summary.pictures, summary.classes) == (450, 492, 492, 97)
    assert len(image_set) == 492
    per_photograph = Counter(image_set.source_ids.tolist())
    assert sum(count > 1 for count in per_photograph.values()) == 36
    assert summary.count(Reason.NO_PHOTOGRAPH) == len(summary.faults) == 20_580 - 450
    assert len(str(summary)) < 1000
    assert "black-and-tan_coonhound" in image_set.class_names
    assert {len(box) for box in image_set.boxes.tolist()} == {4}
    widths = image_set.boxes[:, 2] - image_set.boxes[:, 0]
    np.testing.assert_array_equal(widths, image_set.boxes[:, 3] - image_set.boxes[:, 1])


def test_fast_decode_on_the_real_photographs(real_dogs, tmp_path):
    for name, fast_decode in (("exact", False), ("fast", True)):
        prepare(real_dogs, tmp_path / f"{name}.npz", fast_decode=fast_decode, progress=False)
    exact, fast = (ImageSet.load(tmp_path / f"{name}.npz").images.astype(int) for name in ("exact", "fast"))
    assert np.abs(exact - fast).mean() < 2.5
