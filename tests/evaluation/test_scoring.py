import json
import time
from pathlib import Path

import numpy as np
import pytest
from fake_extractor import FakeExtractor
from PIL import Image

from doggan.data.imageset import ImageSet, hash_images
from doggan.errors import DogganError
from doggan.evaluation import Evaluation, Generated, evaluate, score, scoring
from doggan.metrics.cache import FeatureCache
from doggan.metrics.extractors import RandomExtractor
from doggan.metrics.frechet import frechet_distance, statistics
from doggan.metrics.memorization import memorization_distance
from doggan.metrics.pace import TimeUp
from doggan.metrics.protocols import RealSet, crops_set, kaggle_set
from doggan.metrics.standing import standing


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for i in range(12):
        path = tmp_path / "photographs" / f"dog {i}.jpg"
        path.parent.mkdir(exist_ok=True)
        small = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(small).resize((90 + i, 70)).save(path)
        paths.append(path)
    return paths


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (10, 64, 64, 3), dtype=np.uint8)


def test_kaggle_against_the_kernels_own_lines(photographs: list[Path], images: np.ndarray) -> None:
    result = score(Generated(images), kaggle_set(photographs), FakeExtractor(), metrics=("fid", "mifid"))
    squashed = np.stack([np.asarray(Image.open(p).resize((64, 64), Image.Resampling.LANCZOS)) for p in photographs])
    real, fake = FakeExtractor().features(squashed), FakeExtractor().features(images)
    fid = frechet_distance(*statistics(real), *statistics(fake))
    assert result.scores["fid"] == pytest.approx(fid)
    distance = memorization_distance(fake, real)
    assert result.scores["memorization_distance"] == pytest.approx(distance)
    assert distance > 0.1
    assert result.scores["mifid"] == pytest.approx(fid)
    assert (result.n_generated, result.n_real, result.n_real_skipped, result.protocol) == (10, 12, 0, "kaggle")


def test_copies_are_punished(photographs: list[Path]) -> None:
    real = kaggle_set(photographs)
    copies = real.pictures.read(slice(0, 12)).images
    result = score(Generated(copies), real, FakeExtractor(), metrics=("mifid",))
    distance = result.scores["memorization_distance"]
    assert distance == pytest.approx(0, abs=1e-12)
    assert "(memorization distance 0.0000, ε 0.1)" in str(result)


def test_unreadable_photographs_are_counted(photographs: list[Path], images: np.ndarray) -> None:
    whole = score(Generated(images), kaggle_set(photographs[2:]), FakeExtractor())
    photographs[0].write_bytes(photographs[0].read_bytes()[:900])
    photographs[1].write_text("not a picture")
    result = score(Generated(images, n_skipped=3), kaggle_set(photographs), FakeExtractor())
    assert result.scores == pytest.approx(whole.scores)
    assert (result.n_real, result.n_real_skipped) == (10, 2)
    assert "10 generated (3 unreadable left out) against 10 real (2 unreadable left out) images" in str(result)
    for path in photographs[3:]:
        path.write_text("")
    with pytest.raises(DogganError, match="Only 1 of 12 real pictures can be read"):
        score(Generated(images), kaggle_set(photographs), FakeExtractor())


def test_crops(tiny_images: ImageSet) -> None:
    fake = tiny_images.heldout().images
    result = score(Generated(fake), crops_set(tiny_images), RandomExtractor(), metrics=("kid", "prdc"))
    name = hash_images(tiny_images.training().images)[:8]
    conditions = f"random-conv, protocol crops {name} (crop rule unknown, training split), 8 generated against 32 real"
    for line, begin in zip(str(result).splitlines(), ("random-kid ", "random-precision "), strict=True):
        assert line.startswith(begin)
        assert line.endswith(f": {conditions} images")


def test_a_line_per_metric() -> None:
    class Named(FakeExtractor):
        name = "inception-2015-12-05 pool_3"

    values = {
        "fid": 61.55,
        "mifid": 61.55,
        "memorization_distance": 0.21894,
        "kid": 0.0123456,
        "kid_standard_error": 0.0004,
        "precision": 0.7,
        "recall": 0.125,
        "density": 1.1,
        "coverage": 0.5,
        "inception_score": 5.25,
        "inception_score_std": 0.1,
    }
    metrics = ("fid", "mifid", "kid", "prdc", "is")
    result = Evaluation(values, metrics, Named(), "kaggle", 10_000, 20_579, 0, 1, "better than 49% of …", ("a", "b"))
    made = "inception-2015-12-05 pool_3, protocol kaggle, 10,000 generated against 20,579 real (1 unreadable left out)"
    assert str(result).splitlines() == [
        f"fid 61.5500: {made} images",
        f"mifid 61.5500 (memorization distance 0.2189, ε 0.1): {made} images",
        f"kid 0.012346 ± 0.000400: {made} images",
        f"precision 0.7000, recall 0.1250, density 1.1000, coverage 0.5000: {made} images",
        "inception_score 5.2500 ± 0.1000: inception-2015-12-05 pool_3, 10,000 generated images",
        "mifid 61.5500 is better than 49% of …",
        "note: a",
        "note: b",
    ]
    record = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert record["scores"] == values
    assert (record["extractor"], record["protocol"], record["n_real"]) == (Named.name, "kaggle", 20_579)


class TestStanding:
    """Only what the competition itself computed is placed among its scores."""

    @staticmethod
    def standing(monkeypatch: pytest.MonkeyPatch, real: RealSet, name: str, *, n: int = 10, metric: str = "mifid"):
        extractor = FakeExtractor()
        extractor.name = name
        monkeypatch.setattr(scoring, "COUNT", 10)
        monkeypatch.setattr(scoring, "_FEWEST_PHOTOGRAPHS", 12)
        rng = np.random.default_rng(0)
        generated = Generated(rng.integers(0, 256, (n, *real.size, 3), dtype=np.uint8))
        return score(generated, real, extractor, metrics=(metric,)).standing

    def test_of_the_competitions_own_score(self, monkeypatch, photographs) -> None:
        monkeypatch.setattr(scoring, "compute", lambda *arguments: {"mifid": 61.55, "memorization_distance": 0.2})
        line = self.standing(monkeypatch, kaggle_set(photographs), "inception-2015-12-05 pool_3")
        assert line == str(standing(61.55))

    def test_not_of_anything_else(self, monkeypatch, photographs, tiny_images) -> None:
        published, kaggle = "inception-2015-12-05 pool_3", kaggle_set(photographs)
        assert self.standing(monkeypatch, kaggle, published + " bfloat16") is None
        assert self.standing(monkeypatch, kaggle, published, n=9) is None
        assert self.standing(monkeypatch, kaggle, published, metric="fid") is None
        assert self.standing(monkeypatch, kaggle_set(photographs[1:]), published) is None
        assert self.standing(monkeypatch, crops_set(tiny_images), published) is None


def test_few_images_are_noted(photographs: list[Path], images: np.ndarray) -> None:
    real = kaggle_set(photographs)
    (note,) = score(Generated(images), real, FakeExtractor(), metrics=("fid",)).notes
    assert note.startswith("10 images are not more than the 384 dimensions")
    assert score(Generated(images), real, FakeExtractor(), metrics=("kid",)).notes == ()


def test_time_up_before_the_deadline(photographs: list[Path], images: np.ndarray) -> None:
    many = Generated(np.tile(images, (40, 1, 1, 1)))
    begin = time.monotonic()
    with pytest.raises(TimeUp, match="images remain"):
        score(many, kaggle_set(photographs), FakeExtractor(0.005), deadline=begin + 1.2)
    assert time.monotonic() - begin < 1.2


def test_the_cache_is_used_for_both_sets(photographs: list[Path], images: np.ndarray, tmp_path: Path) -> None:
    cache, extractor = FeatureCache(tmp_path / "features"), FakeExtractor()
    first = score(Generated(images), kaggle_set(photographs), extractor, cache=cache)
    assert sum(extractor.sizes) == 22
    again = score(Generated(images), kaggle_set(photographs), extractor, cache=cache)
    assert sum(extractor.sizes) == 22
    assert again.scores == first.scores


def test_a_cache_in_trouble_is_noted(photographs: list[Path], images: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = FeatureCache(tmp_path / "file" / "x")
    result = score(Generated(images), kaggle_set(photographs), FakeExtractor(), metrics=("kid",), cache=cache)
    assert "features cannot be kept" in result.notes[0]


def test_evidence_shows_each_copy_beside_its_photograph(
    photographs: list[Path], images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs[1].write_text("unreadable: indices shift by one")
    real = kaggle_set(photographs)
    copies = real.pictures.read(slice(0, 12)).images
    drawn: list = []
    monkeypatch.setattr(scoring, "draw_evidence", lambda path, pairs, *rest: drawn.extend(pairs))
    generated = Generated(np.concatenate([images, copies[[7, 3]]]), tuple("abcdefghijkl"))
    score(generated, real, FakeExtractor(), metrics=("fid",), evidence=tmp_path / "x.png")
    assert len(drawn) == 12
    assert {(pair.generated_name, pair.real_name) for pair in drawn[:2]} == {("k", "dog 8"), ("l", "dog 4")}
    for pair in drawn[:2]:
        np.testing.assert_array_equal(pair.generated, pair.real)
        assert pair.distance == pytest.approx(0, abs=1e-12)
    distances = [pair.distance for pair in drawn]
    assert distances == sorted(distances)


def test_evaluate_is_the_whole_command(tiny_images: ImageSet, tmp_path: Path) -> None:
    tiny_images.save(tmp_path / "real.npz")
    np.savez(tmp_path / "fake.npz", images=tiny_images.heldout().images)
    result = evaluate(
        tmp_path / "fake.npz",
        tmp_path / "real.npz",
        metrics=("mifid", "kid"),
        extractor="random",
        split="heldout",
        evidence=tmp_path / "evidence.png",
    )
    assert result.scores["random-memorization_distance"] == pytest.approx(0, abs=1e-6)
    assert "held-out split" in result.protocol
    with Image.open(tmp_path / "evidence.png") as picture:
        assert picture.width >= 900


def test_what_cannot_be_had_is_said_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(DogganError, match="needs the logits of Inception"):
        evaluate(tmp_path / "absent", tmp_path / "absent", metrics=("is",), extractor="random")
    with pytest.raises(DogganError, match="no metric 'fad'"):
        evaluate(tmp_path / "absent", tmp_path / "absent", metrics=("fad",), extractor="random")
    with pytest.raises(DogganError, match="is a folder; name the PNG"):
        evaluate(tmp_path / "absent", tmp_path / "absent", extractor="random", evidence=tmp_path)


def test_with_the_network(photographs: list[Path], images: np.ndarray, shared_data: Path) -> None:
    from doggan.metrics.inception import find_inception, load_inception

    inception = load_inception(find_inception(shared_data))
    result = score(Generated(images[:4]), kaggle_set(photographs[:4]), inception, metrics=("mifid", "fid"))
    assert result.scores["fid"] > 100  # noise against smooth colours
    assert 0.1 < result.scores["memorization_distance"] < 1
    assert "inception-2015-12-05 pool_3, protocol kaggle, 4 generated against 4 real images" in str(result)
