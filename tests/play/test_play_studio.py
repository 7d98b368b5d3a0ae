"""What the page shows, against the public functions and against arithmetic of its own."""

import json
import shutil

import numpy as np
import pytest

import doggan
from doggan.errors import DogganError
from doggan.metrics.pixel_distance import nearest_pixels
from doggan.play.drawing import dog_stage, heading, png_bytes
from doggan.play.studio import Dog, Opinion, Studio
from doggan.sampling import draw_z


@pytest.mark.parametrize("seed", [0, 7, 123_456])
def test_the_picture_of_a_seed_is_the_first_sample_of_that_seed(studio, finished_run, seed):
    dog = Dog(seed)
    np.testing.assert_array_equal(studio.view(dog).picture, doggan.sample(finished_run, 1, seed=seed)[0])
    assert studio.label(dog) == finished_run.draw_classes(1, seed)[0]


def test_the_class_and_the_truncation_are_those_of_sample(studio, finished_run):
    label = finished_run.find_classes([])[1]
    name = finished_run.classes.names[label]
    expected = doggan.sample(finished_run, 1, class_name=name, seed=4, truncation=0.5)[0]
    view = studio.view(Dog(4, label, 0.5))
    np.testing.assert_array_equal(view.picture, expected)
    assert view.label == label
    assert not np.array_equal(view.picture, studio.view(Dog(4, label)).picture)


def test_settings_decide_the_picture(studio):
    dog = Dog(3, moves=(1.5, 0, -2))
    first = studio.view(dog)
    assert first.picture.dtype == np.uint8
    assert first.picture.shape == studio.run.image_shape
    studio.view(Dog(4))
    np.testing.assert_array_equal(studio.view(dog).picture, first.picture)


def test_moves_go_along_the_directions(studio):
    latent = studio.run.config.generator.latent_dim
    start = draw_z(1, latent, 9)[0]
    np.testing.assert_array_equal(studio.z(Dog(9, moves=(0.0, 0.0))), start)
    moved = studio.z(Dog(9, moves=(2.0, 0.0, -1.0))) - start
    np.testing.assert_allclose(moved, 2 * studio.directions[0] - studio.directions[2], atol=1e-6)
    np.testing.assert_allclose(studio.directions @ studio.directions.T, np.eye(len(studio.directions)), atol=1e-9)


def test_the_first_direction_changes_pictures_more_than_the_last(studio):
    def change(i):
        moves = np.eye(len(studio.directions))[i]
        ends = [studio.view(Dog(seed, 0, moves=tuple(side * moves))).picture for seed in range(8) for side in (-2, 2)]
        pairs = np.array(ends, float).reshape(8, 2, -1)
        return np.linalg.norm(pairs[:, 1] - pairs[:, 0], axis=1).mean()

    assert change(0) > change(len(studio.directions) - 1)


def test_the_nearest_training_picture_is_that_of_the_exhaustive_search(studio):
    views = [studio.view(Dog(seed)) for seed in range(6)]
    distance, index = nearest_pixels(np.stack([view.picture for view in views]), studio.training.images, "l2")
    assert [view.neighbor.index for view in views] == index.tolist()
    np.testing.assert_allclose([view.neighbor.distance for view in views], distance)
    name = studio.training.class_names[studio.training.labels[index[0]]]
    assert studio.neighbor_name(views[0].neighbor).lower() == name.replace("_", " ").lower()


def test_the_opinion_is_that_of_the_checkpoints_discriminator(studio, finished_run):
    """Computed here by Keras' ordinary call, in inference mode."""
    from doggan.runs.build import build_discriminator
    from doggan.training.checkpoints import restore_discriminator

    discriminator = build_discriminator(finished_run.config, finished_run.image_shape, finished_run.classes)
    restore_discriminator(discriminator, finished_run.checkpoints.find("best"))

    def ask(pictures, labels):
        scaled = np.asarray(pictures, np.float32) / 127.5 - 1
        return np.asarray(discriminator([scaled, np.asarray(labels, np.int32)], training=False))[:, 0]

    view = studio.view(Dog(5))
    logit = float(ask([view.picture], [view.label])[0])
    assert view.opinion.logit == pytest.approx(logit, abs=1e-4)
    assert view.opinion.probability == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-4)
    real = ask(studio.training.images, studio.training.labels)
    assert view.opinion.above_training == pytest.approx((real < logit).mean(), abs=1.5 / len(real))
    labels = finished_run.draw_classes(256, 0)
    samples = ask(doggan.sample(finished_run, 256), labels)
    assert view.opinion.above_samples == pytest.approx((samples < logit).mean(), abs=1.5 / 256)


def test_the_probability_is_the_sigmoid_of_any_logit():
    of = [Opinion(logit, 0.0, None).probability for logit in (-1e4, -30.0, 0.0, 2.0, 1e4)]
    assert of == pytest.approx([0, np.exp(-30), 0.5, 1 / (1 + np.exp(-2)), 1], rel=1e-9)


def test_a_morph_ends_at_both_pictures(studio, finished_run):
    labels = finished_run.find_classes([])
    a, b = Dog(1, labels[0], 0.8, (1.0,)), Dog(2, labels[-1])
    for t, dog in ((0, a), (1, b)):
        np.testing.assert_array_equal(studio.morph(a, b, t).picture, studio.view(dog).picture)
    assert [studio.morph(a, b, t).label for t in (0.49, 0.5)] == [labels[0], labels[-1]]
    middle = studio.morph(a, b, 0.4).picture
    assert not np.array_equal(middle, studio.view(a).picture)


def test_without_the_pictures_it_says_so_and_plays_on(studio, finished_run, tmp_path):
    folder = shutil.copytree(finished_run.folder, tmp_path / "moved")
    record = json.loads((folder / "config.json").read_text())
    record["data"]["path"] = str(tmp_path / "gone.npz")
    (folder / "config.json").write_text(json.dumps(record))
    alone = Studio(doggan.open_run(folder))
    assert "gone.npz" in alone.missing
    view = alone.view(Dog(2))
    np.testing.assert_array_equal(view.picture, studio.view(Dog(2)).picture)
    assert view.neighbor is None
    assert view.opinion.above_training is None
    page = dog_stage(alone, Dog(2))
    assert "gone.npz" in page
    assert "of training pictures" not in page
    found = Studio(doggan.open_run(folder), real=finished_run.data_path)
    assert found.missing == ""
    assert found.view(Dog(2)).neighbor == studio.view(Dog(2)).neighbor


def test_other_pictures_are_refused_where_they_are_named(finished_run, tiny_images, tmp_path):
    tiny_images.save(tmp_path / "others.npz")
    with pytest.raises(DogganError, match="trained on other pictures"):
        Studio(finished_run, real=tmp_path / "others.npz")


def test_what_took_long_is_kept(finished_run, tmp_path, monkeypatch, studio):
    from doggan.cache import Cache
    from doggan.play import studio as module

    Studio(finished_run, cache=Cache(tmp_path))
    monkeypatch.setattr(module, "mean_response", None)
    monkeypatch.setattr(module, "sample_pictures", None)
    again = Studio(finished_run, cache=Cache(tmp_path))
    np.testing.assert_array_equal(again.directions, studio.directions)
    np.testing.assert_array_equal(again.of_training, studio.of_training)


def test_grey_pictures_without_classes(tiny_images, tiny_recipe, tmp_path):
    """And the file that the page offers holds the picture, in its own size."""
    import dataclasses

    import cv2

    from doggan.recipes import load_recipe
    from doggan.runs import start_run
    from doggan.runs.build import build_gan

    grey = dataclasses.replace(tiny_images, images=tiny_images.images[..., :1], labels=None, class_names=())
    grey.save(tmp_path / "grey.npz")
    run = start_run(
        tmp_path / "run", load_recipe(str(tiny_recipe), ("train.score_every=0",)), grey, tmp_path / "grey.npz"
    )
    run.checkpoints.save(build_gan(run.config, run.image_shape, 2))
    studio = Studio(run)
    view = studio.view(Dog(1))
    assert view.label is None
    assert view.picture.shape == (32, 32, 1)
    np.testing.assert_array_equal(view.picture, doggan.sample(run, 1, seed=1)[0])
    assert studio.neighbor_name(view.neighbor) == ""
    stored = cv2.imdecode(np.frombuffer(png_bytes(view.picture), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored, view.picture[..., 0])
    assert "classes" not in heading(studio)
    assert "Nearest training picture" in dog_stage(studio, Dog(1))
