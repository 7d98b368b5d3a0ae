import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_extractor import FakeExtractor
from PIL import Image

from doggan.data.imageset import ImageSet, hash_images
from doggan.errors import DogganError
from doggan.evaluation import Evaluation, Generated, evaluate, score, scoring
from doggan.evaluation.generated import Sampled
from doggan.metrics.cache import FeatureCache
from doggan.metrics.extractors import RandomExtractor
from doggan.metrics.frechet import frechet_distance, statistics
from doggan.metrics.memorization import memorization_distance, nearest
from doggan.metrics.pace import TimeUp
from doggan.metrics.pictures import Pixels
from doggan.metrics.protocols import RealSet, crops_set, folder_set, kaggle_set
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
    assert "(memorization distance 0.0000 to 12 training images, ε 0.1)" in str(result)
    assert result.scores["mifid"] >= 0


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


def test_too_few_are_refused_before_the_features(photographs: list[Path], images: np.ndarray) -> None:
    extractor = FakeExtractor()
    with pytest.raises(DogganError, match="'prdc' needs at least 6 generated images, and there are 5"):
        score(Generated(images[:5]), kaggle_set(photographs), extractor)
    with pytest.raises(DogganError, match="'kid' needs at least 3 real images, and there are 2"):
        score(Generated(images), kaggle_set(photographs[:2]), extractor, metrics=("fid", "kid"))
    assert extractor.sizes == []


def test_too_few_real_ones_are_refused_before_anything_is_sampled(tiny_images: ImageSet, tmp_path: Path) -> None:
    tiny_images.select(slice(0, 4)).save(tmp_path / "real.npz")
    with pytest.raises(DogganError, match="'prdc' needs at least 6 real images, and there are 4"):
        evaluate(tmp_path / "absent", tmp_path / "real.npz", extractor="random")


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
    result = Evaluation(
        *(values, metrics, Named(), "kaggle", 10_000, 20_579, 0, 1, 18_522, "training"),
        sampled=Sampled("best", 12_000, 3, "averaged weights"),
        standing="better than 49% of …",
        notes=("a", "b"),
    )
    made = "inception-2015-12-05 pool_3, protocol kaggle, 10,000 generated against 20,579 real (1 unreadable left out)"
    assert str(result).splitlines() == [
        f"fid 61.5500: {made} images",
        f"mifid 61.5500 (memorization distance 0.2189 to 18,522 training images, ε 0.1): {made} images",
        f"kid 0.012346 ± 0.000400: {made} images",
        f"precision 0.7000, recall 0.1250, density 1.1000, coverage 0.5000: {made} images",
        "inception_score 5.2500 ± 0.1000: inception-2015-12-05 pool_3, protocol kaggle, 10,000 generated images",
        "mifid 61.5500 is better than 49% of …",
        "generated pictures: sampled from step 12,000 (checkpoint best, averaged weights) with seed 3",
        "note: a",
        "note: b",
    ]
    record = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert record["scores"] == values
    assert (record["extractor"], record["protocol"], record["n_real"]) == (Named.name, "kaggle", 20_579)
    assert (record["n_distance"], record["distance_to"]) == (18_522, "training")
    assert (record["epsilon"], record["tiny"]) == (0.1, 1e-15)
    assert record["sampled"] == {"checkpoint": "best", "step": 12_000, "seed": 3, "weights": "averaged weights"}


def test_heldout_pictures_measure_quality_and_training_pictures_memorization(
    tiny_images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator that repeats training pictures does not hide behind a comparison with held-out ones."""
    heldout, training = tiny_images.heldout(), tiny_images.training()
    drawn: list = []
    monkeypatch.setattr(scoring, "draw_evidence", lambda path, pairs, *rest: drawn.extend([*pairs, rest[0]]))
    generated = Generated(training.images[3:15])
    result = score(
        *(generated, crops_set(tiny_images, "heldout"), FakeExtractor()),
        metrics=("fid", "mifid", "kid"),
        evidence=tmp_path / "x.png",
    )
    assert result.scores["memorization_distance"] == pytest.approx(0, abs=1e-12)
    against_heldout = score(generated, crops_set(heldout_only(heldout)), FakeExtractor(), metrics=("fid", "kid"))
    for name in ("fid", "kid"):
        assert result.scores[name] == against_heldout.scores[name]
    assert "to 32 training images" in str(result)
    assert "held-out split), 12 generated against 8 real images" in str(result)
    assert (result.n_real, result.n_distance) == (8, 32)
    assert sorted(pair.real_name for pair in drawn[:-1]) == sorted(f"photo-{i}" for i in range(3, 15))
    for pair in drawn[:-1]:
        np.testing.assert_array_equal(pair.generated, pair.real)
    assert drawn[-1] == "The 12 of 12 generated pictures nearest to one of 32 training ones"


def heldout_only(heldout: ImageSet) -> ImageSet:
    """The held-out pictures as a set of their own."""
    return replace(heldout, split=np.zeros(len(heldout), np.uint8))


def test_training_pictures_are_looked_at_only_where_a_distance_is_wanted(tiny_images: ImageSet) -> None:
    extractor = FakeExtractor()
    generated = Generated(tiny_images.heldout().images)
    score(generated, crops_set(tiny_images, "heldout"), extractor, metrics=("fid", "kid"))
    assert sum(extractor.sizes) == 16
    scores = score(generated, crops_set(tiny_images, "heldout"), extractor, metrics=("mifid",)).scores
    assert sum(extractor.sizes) == 16 + 16 + 32
    fake, training = extractor.features(generated.images), extractor.features(tiny_images.training().images)
    assert scores["memorization_distance"] == memorization_distance(fake, training) > 1e-3
    none_left = tiny_images.heldout()
    assert score(generated, crops_set(none_left, "heldout"), extractor, metrics=("kid",)).n_distance == 0
    with pytest.raises(DogganError, match=r"held-out split\) has none beside it; choose the split 'all'"):
        score(generated, crops_set(none_left, "heldout"), extractor, metrics=("mifid",))


def test_nasnet_is_private_style(photographs: list[Path], images: np.ndarray) -> None:
    class NASNetLike(FakeExtractor):
        prefix = "nasnet-"

    result = score(Generated(images), kaggle_set(photographs), NASNetLike(), metrics=("kid",))
    (note,) = result.as_dict()["notes"]
    assert note.startswith("a private-style score: ")
    assert note.endswith("were never published")
    assert f"note: {note}" in str(result).splitlines()


class TestStanding:
    """Only what the competition itself computed is placed among its scores."""

    @staticmethod
    def standing(
        monkeypatch: pytest.MonkeyPatch,
        real: RealSet,
        published: bool | None = True,
        *,
        n: int = 10,
        metric: str = "mifid",
    ) -> str | None:
        extractor = FakeExtractor()
        if published is not None:
            extractor.published = published
        monkeypatch.setattr(scoring, "COUNT", 10)
        monkeypatch.setattr(scoring, "_ALL_PHOTOGRAPHS", range(11, 13))
        rng = np.random.default_rng(0)
        generated = Generated(rng.integers(0, 256, (n, *real.size, 3), dtype=np.uint8))
        return score(generated, real, extractor, metrics=(metric,)).standing

    def test_of_the_competitions_own_score(self, monkeypatch, photographs) -> None:
        values = {"mifid": 61.55, "memorization_distance": 0.2}
        monkeypatch.setattr(scoring, "compute", lambda *arguments, **options: values)
        for n in (12, 11):
            assert self.standing(monkeypatch, kaggle_set(photographs[:n])) == str(standing(61.55))

    def test_not_of_anything_else(self, monkeypatch, photographs, tiny_images) -> None:
        kaggle = kaggle_set(photographs)
        assert self.standing(monkeypatch, kaggle) is not None
        assert self.standing(monkeypatch, kaggle, published=False) is None
        assert self.standing(monkeypatch, kaggle, published=None) is None
        assert self.standing(monkeypatch, kaggle, n=9) is None
        assert self.standing(monkeypatch, kaggle, metric="fid") is None
        assert self.standing(monkeypatch, kaggle_set(photographs[2:])) is None
        assert self.standing(monkeypatch, kaggle_set([*photographs, photographs[0]])) is None
        assert self.standing(monkeypatch, folder_set(photographs)) is None
        assert self.standing(monkeypatch, crops_set(tiny_images.select(slice(0, 12)))) is None

    def test_the_competition_had_20579(self) -> None:
        assert range(20_000, 20_580 + 1) == scoring._ALL_PHOTOGRAPHS


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


def test_the_nearest_are_looked_for_once(
    photographs: list[Path], images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(*features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        calls.append(features)
        return nearest(*features)

    expected = score(Generated(images), kaggle_set(photographs), FakeExtractor(), metrics=("mifid",)).scores
    monkeypatch.setattr(scoring, "nearest", counted)
    monkeypatch.setattr("doggan.metrics.scores.nearest", counted)
    evidence = tmp_path / "x.png"
    result = score(Generated(images), kaggle_set(photographs), FakeExtractor(), metrics=("mifid",), evidence=evidence)
    assert len(calls) == 1
    assert result.scores == expected
    assert evidence.exists()


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
    assert result.scores["random-memorization_distance"] > 1e-3  # copies of held-out pictures, which nobody saw
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
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DogganError, match=r"x\.png cannot be written .*; name another PNG file"):
        evaluate(tmp_path / "absent", tmp_path / "absent", extractor="random", evidence=tmp_path / "file" / "x.png")
    with pytest.raises(DogganError, match="is a folder and has no split 'train'"):
        evaluate(tmp_path / "absent", tmp_path, extractor="random", split="train")


def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    evidence = tmp_path / "new" / "x.png"
    with pytest.raises(DogganError, match="absent does not exist"):
        evaluate(tmp_path / "absent", tmp_path / "absent", extractor="random", evidence=evidence)
    assert list(evidence.parent.iterdir()) == []


def test_with_the_network(shared_data: Path, real_crops: np.ndarray) -> None:
    """FID and distance of 12 crops to 16 others, from the features that PyTorch computed of them."""
    from doggan.metrics.inception import find_inception, load_inception

    with np.load(shared_data / "reference/features-500.npz") as file:
        tiles, features = file["tile"], file["features"].astype(np.float64)
    fake, true = features[:12], features[12:28]
    # With X the centred rows over √(N − 1), tr √(C1 C2) is the sum of the singular values of X1 X2ᵀ.
    x, y = ((rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1) for rows in (fake, true))
    trace = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    fid = ((fake.mean(axis=0) - true.mean(axis=0)) ** 2).sum() + (x**2).sum() + (y**2).sum() - 2 * trace
    cosine = (fake / np.linalg.norm(fake, axis=1)[:, None]) @ (true / np.linalg.norm(true, axis=1)[:, None]).T
    distance = (1 - cosine).min(axis=1).mean()
    assert (fid, distance) == pytest.approx((202.5531, 0.3251672), rel=1e-6)

    inception = load_inception(find_inception(shared_data))
    real = RealSet("crops", "crops of the reference", Pixels(real_crops[tiles[12:28]]), (64, 64))
    result = score(Generated(real_crops[tiles[:12]]), real, inception, metrics=("mifid", "fid"))
    assert result.scores["fid"] == pytest.approx(fid, rel=1e-4)
    assert result.scores["mifid"] == pytest.approx(fid, rel=1e-4)
    assert result.scores["memorization_distance"] == pytest.approx(distance, rel=1e-4)
    conditions = "inception-2015-12-05 pool_3, protocol crops of the reference, 12 generated against 16 real images"
    assert conditions in str(result)
