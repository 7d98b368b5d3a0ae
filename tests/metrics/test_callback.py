"""The scoring callback on a bare `fit`: when it scores, what it scores, and that training does not notice."""

import csv

import cv2
import keras
import numpy as np
import pytest
from fake_extractor import FakeExtractor

from doggan.errors import DogganError
from doggan.metrics.callback import ScoreCallback, Scorer
from doggan.metrics.extractors import RandomExtractor
from doggan.metrics.kid import kid
from doggan.metrics.random_features import random_features
from doggan.metrics.scores import compute
from doggan.training.backend import to_numpy
from doggan.training.gan import GAN

BATCH, STEPS = 8, 5


def pictures(n, seed, shape=(8, 8, 1)):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def tiny_gan(steps_per_execution=1):
    """Fakes = z W as 8×8 pictures; logit = x v."""
    generator = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(64, activation="tanh"), keras.layers.Reshape((8, 8, 1))]
    )
    discriminator = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    rng = np.random.default_rng(0)
    for network in (generator, discriminator):
        network.set_weights([rng.normal(size=w.shape).astype("float32") * 0.1 for w in network.get_weights()])
    gan = GAN(generator, discriminator, seed=1)
    gan.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.01), steps_per_execution=steps_per_execution)
    return gan


def fit(gan, *callbacks, epochs=4):
    def batches():
        rng = np.random.default_rng(2)
        while True:
            batch = rng.uniform(-1, 1, (BATCH, 8, 8, 1)).astype("float32")
            yield (batch,) if keras.backend.backend() == "jax" else batch

    data = batches()
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        data = tf.data.Dataset.from_generator(batches, output_signature=tf.TensorSpec((BATCH, 8, 8, 1)))
    return gan.fit(data, steps_per_epoch=STEPS, epochs=epochs, callbacks=list(callbacks), verbose=0, shuffle=False)


def sampler(gan, steps):
    """n → pictures from a fixed z; `steps` records what the model's own counter said at each call."""
    z = np.random.default_rng(3).normal(size=(20, 3)).astype("float32")

    def sample(n):
        steps.append(int(to_numpy(gan.step)))
        return np.rint((np.asarray(gan.generator.predict_on_batch(z[:n])) + 1) * 127.5).astype(np.uint8)

    return sample


def scoring(gan, steps=None, **options):
    scorer = options.pop("scorer", None) or Scorer(FakeExtractor(), pictures(30, 4))
    sample = sampler(gan, [] if steps is None else steps)
    return ScoreCallback(scorer, sample, steps_per_epoch=STEPS, batch_size=BATCH, samples=20, **options)


def test_scores_are_those_of_the_features():
    real, training, generated = pictures(30, 0), pictures(40, 1), pictures(20, 2)
    extractor = FakeExtractor()
    scorer = Scorer(extractor, real, ("mifid", "kid"), training=training)
    features = [extractor.features(np.repeat(images, 3, axis=-1)) for images in (generated, real, training)]
    expected = compute(features[0], features[1], extractor, ("mifid", "kid"), training=features[2])
    assert scorer(generated) == pytest.approx(expected, rel=1e-9)
    assert [name for group in scorer.names for name in group] == list(expected)


def test_the_distance_is_to_training_pictures_and_the_rest_to_real_ones():
    real, training = pictures(30, 0), pictures(40, 1)
    scores = Scorer(FakeExtractor(), real, ("fid", "mifid"), training=training)
    copies, unseen = scores(training), scores(real)
    assert copies["memorization_distance"] == pytest.approx(0, abs=1e-6)
    assert unseen["memorization_distance"] > 0.01
    assert unseen["fid"] == pytest.approx(0, abs=1e-3)
    assert copies["fid"] > 1


def test_features_of_real_pictures_are_computed_once():
    extractor = FakeExtractor()
    scorer = Scorer(extractor, pictures(30, 0), training=pictures(40, 1))
    for seed in range(3):
        scorer(pictures(20, seed))
    assert extractor.sizes == [20, 30, 20, 20]  # and without MiFID those of training pictures never


def test_less_is_better_but_for_the_inception_score():
    class WithLogits(FakeExtractor):
        def logits(self, features):
            return features[:, :4]

    kid, score = (Scorer(WithLogits(), pictures(30, 0), (metric, "prdc")) for metric in ("kid", "is"))
    assert kid.rank({"kid": 0.1, "precision": 1}) < kid.rank({"kid": 0.2, "precision": 1})
    assert score.rank({"inception_score": 5.0}) < score.rank({"inception_score": 4.0})


@pytest.mark.parametrize(
    ("metrics", "message"),
    [(("prdc", "kid"), "'prdc' cannot"), (("is",), "logits"), (("lpips",), "no metric 'lpips'"), ((), "No metric")],
)
def test_what_cannot_be_had_is_refused_before_training(metrics, message):
    with pytest.raises(DogganError, match=message):
        Scorer(FakeExtractor(), pictures(30, 0), metrics)


def test_other_sizes_than_the_real_ones_are_refused():
    with pytest.raises(ValueError, match="16"):
        Scorer(FakeExtractor(), pictures(30, 0))(pictures(20, 1, (16, 16, 1)))


def test_the_cheap_score_is_kid_on_random_features():
    real, fake = pictures(20, 0, (32, 32, 3)), pictures(10, 1, (32, 32, 3))[:, ::-1] // 2
    expected = kid(random_features(real), random_features(fake)).value
    assert Scorer(RandomExtractor(), real)(fake)["random-kid"] == pytest.approx(expected, rel=1e-9)


def test_the_cheap_score_ranks_what_a_person_ranks(real_crops):
    """Real crops < a little blurred < much blurred < grey < noise; likewise tints and shuffled blocks."""
    rng = np.random.default_rng(0)
    crops = rng.permutation(real_crops)
    real, others = crops[:500], crops[500:800]

    def blurred(sigma):
        return np.stack([cv2.GaussianBlur(x, (0, 0), sigma) for x in others])

    def tinted(by):
        return np.clip(others * np.array([1 + by, 1, 1 - by]), 0, 255).astype(np.uint8)

    def shuffled(side):
        n = 64 // side
        blocks = others.reshape(-1, n, side, n, side, 3).transpose(0, 1, 3, 2, 4, 5)
        mixed = [rng.permutation(x) for x in blocks.reshape(-1, n * n, side, side, 3)]
        return np.reshape(mixed, (-1, n, n, side, side, 3)).transpose(0, 1, 3, 2, 4, 5).reshape(others.shape)

    scorer = Scorer(RandomExtractor(), real, ("kid",))

    def score(images):
        return scorer(images)["random-kid"]

    same = score(others)
    assert abs(same) < 0.05
    grey = score(np.full_like(others, 128))
    noise = score(rng.integers(0, 256, others.shape, dtype=np.uint8))
    assert same + 0.1 < score(blurred(0.8)) < score(blurred(2)) < grey < noise
    assert same + 0.1 < score(tinted(0.15)) < score(tinted(0.4)) < grey
    assert same + 0.1 < score(shuffled(8)) < score(shuffled(2)) < noise


@pytest.mark.parametrize(
    ("epochs", "kimg", "due"),
    [
        (1, 0.0, [0, 5, 10, 15, 20]),
        (3, 0.0, [0, 15]),
        (0, 0.04, [0, 5, 10, 15, 20]),  # 40 pictures are five steps
        (0, 0.03, [0, 4, 8, 12, 15, 19]),  # 30, 60, 90, 120, 150 are passed by 32, 64, 96, 120, 152
        (0, 0.001, list(range(21))),
        (4, 0.1, [0, 13, 20]),
        (0, 0.0, []),
    ],
)
def test_when_a_score_is_due(epochs, kimg, due):
    callback = ScoreCallback(
        Scorer(FakeExtractor(), pictures(30, 0)),
        lambda n: pictures(n, 1),
        steps_per_epoch=STEPS,
        batch_size=BATCH,
        every_epochs=epochs,
        every_kimg=kimg,
    )
    assert [step for step in range(21) if callback.due(step)] == due


def test_intervals_are_not_negative():
    with pytest.raises(ValueError, match="every_kimg=-1"):
        scoring(tiny_gan(), every_kimg=-1)


@pytest.mark.both_backends
def test_fit_is_scored_inside_epochs_and_after_the_last_step_and_does_not_notice():
    plain, watched, steps, reported = tiny_gan(), tiny_gan(), [], []
    callback = scoring(watched, steps, every_epochs=3, every_kimg=0.1, report=reported.append)
    fit(plain)
    fit(watched, callback)
    assert [scored.step for scored in callback.scored] == [0, 13, 15, 20]
    assert [scored.kimg for scored in callback.scored] == [0, 0.104, 0.12, 0.16]
    assert steps == [0, 13, 15, 20]  # the weights that were sampled from are those of the step
    assert len({scored.values["kid"] for scored in callback.scored}) == 4
    assert reported == callback.scored
    assert callback.best == min(callback.scored[1:], key=lambda scored: scored.values["kid"])
    for a, b in zip(plain.saved_variables().values(), watched.saved_variables().values(), strict=True):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b))


@pytest.mark.both_backends
def test_what_falls_due_within_a_call_is_scored_after_it():
    gan, steps = tiny_gan(steps_per_execution=STEPS), []
    callback = scoring(gan, steps, every_epochs=0, every_kimg=0.06)  # due at steps 8 and 15
    fit(gan, callback)
    assert [scored.step for scored in callback.scored] == steps == [0, 10, 15, 20]


def test_what_fell_due_within_the_last_call_before_a_resume_is_scored_at_its_begin():
    for scored_at, expected in ((5, [10, 15]), (8, [15]), (10, [15])):
        gan = tiny_gan()
        options = {"every_epochs": 0, "every_kimg": 0.06, "step": 10, "scored_at": scored_at, "total_steps": 15}
        callback = scoring(gan, **options)
        fit(gan, callback, epochs=1)
        assert [scored.step for scored in callback.scored] == expected


def test_keras_own_callbacks_see_the_scores(tmp_path):
    gan = tiny_gan()
    callback = scoring(gan)
    keeper = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.weights.h5", monitor="kid", mode="min", save_best_only=True, save_weights_only=True
    )
    history = fit(gan, callback, keras.callbacks.CSVLogger(str(tmp_path / "metrics.csv")), keeper)
    expected = [scored.values["kid"] for scored in callback.scored[1:]]
    assert len(expected) == 4
    assert history.history["kid"] == expected
    with (tmp_path / "metrics.csv").open() as file:
        assert [float(row["kid"]) for row in csv.DictReader(file)] == pytest.approx(expected)
    assert keeper.best == callback.best.values["kid"]


def test_logs_have_scores_where_there_are_any():
    gan = tiny_gan()
    callback = scoring(gan, every_epochs=2)
    history = fit(gan, callback, epochs=5)
    assert [scored.step for scored in callback.scored] == [0, 10, 20, 25]
    assert history.history["kid"] == [scored.values["kid"] for scored in callback.scored[1:]]


class StopAt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        self.model.stop_training = self.left <= 0


def test_a_fit_that_stops_early_is_scored_where_it_stops():
    gan = tiny_gan()
    callback = scoring(gan, every_epochs=2, total_steps=20)
    fit(gan, StopAt(7), callback)
    assert [scored.step for scored in callback.scored] == [0, 7]


def test_a_fit_that_ends_before_the_last_step_is_not_scored_there():
    gan = tiny_gan()
    callback = scoring(gan, every_epochs=4, total_steps=20)
    fit(gan, callback, epochs=1)
    assert [scored.step for scored in callback.scored] == [0]
    fit(gan, callback, epochs=3)
    assert [scored.step for scored in callback.scored] == [0, 20]


def test_going_on_scores_what_was_due_and_missed_and_nothing_twice():
    for scored_at, expected in ((None, [10, 15]), (10, [15])):
        gan = tiny_gan()
        callback = scoring(gan, every_epochs=2, step=10, scored_at=scored_at, total_steps=15)
        fit(gan, callback, epochs=1)
        assert [scored.step for scored in callback.scored] == expected


def test_a_model_that_diverged_is_not_scored():
    gan = tiny_gan()
    gan.generator.set_weights([np.full_like(w, np.nan) for w in gan.generator.get_weights()])
    callback = scoring(gan, total_steps=20)
    history = fit(gan, callback)
    assert callback.scored == []
    assert callback.best is None
    assert "kid" not in history.history


def test_real_pictures_are_ready_before_the_first_step():
    gan, extractor = tiny_gan(), FakeExtractor()
    callback = scoring(gan, scorer=Scorer(extractor, pictures(30, 4)), every_epochs=2, step=5, total_steps=20)
    callback.on_train_begin()  # nothing is due at step 5
    assert extractor.sizes == [30]


def test_what_is_owed_is_scored_and_what_is_not_allowed_is_not():
    gan, allowed = tiny_gan(), [True, False, True]  # asked at steps 5, 10 and 15
    callback = scoring(gan, step=5, every_epochs=2, owed=True, allowed=lambda: allowed.pop(0), total_steps=15)
    fit(gan, callback, epochs=2)
    assert [scored.step for scored in callback.scored] == [5, 15]
    assert allowed == []
