"""Sampling: z is a function of its arguments, truncation follows its distribution, rounding is rounding."""

import keras
import numpy as np
import pytest
from scipy import stats

from doggan.errors import DogganError
from doggan.sampling import draw_z, generate, quantise, sample_of_classes, sample_pictures, sampling_rate


@pytest.fixture
def generator():
    """A generator whose pictures differ for every z: 5 numbers → 8×8 RGB in (-1, 1)."""
    keras.utils.set_random_seed(1)
    z = keras.Input((5,))
    x = keras.layers.Dense(8 * 8 * 3, activation="tanh", kernel_initializer="random_normal")(z)
    return keras.Model(z, keras.layers.Reshape((8, 8, 3))(keras.layers.Dropout(0.5)(x)))


def test_z_is_standard_normal_float32():
    z = draw_z(5000, 4, seed=3)
    assert z.shape == (5000, 4)
    assert z.dtype == np.float32
    assert stats.kstest(z.ravel(), "norm").pvalue > 0.01


@pytest.mark.parametrize("truncation", [None, 0.7])
def test_z_depends_on_seed_and_row_only(truncation):
    long, short = (draw_z(n, 7, seed=3, truncation=truncation) for n in (50, 20))
    np.testing.assert_array_equal(long[:20], short)
    assert not np.array_equal(draw_z(20, 7, seed=4, truncation=truncation), short)
    assert len(np.unique(long)) == long.size


@pytest.mark.parametrize("t", [0.01, 0.5, 1.0, 2.0])
def test_truncation_is_the_truncated_normal(t):
    z = draw_z(4000, 5, seed=0, truncation=t)
    assert z.dtype == np.float32
    assert np.abs(z).max() <= np.float32(t)
    assert stats.kstest(z.ravel(), stats.truncnorm(-t, t).cdf).pvalue > 0.01


def test_truncation_keeps_what_lies_within():
    plain, cut = draw_z(500, 5, seed=2), draw_z(500, 5, seed=2, truncation=1.0)
    within = np.abs(plain) <= 1
    np.testing.assert_array_equal(cut[within], plain[within])
    np.testing.assert_array_equal(draw_z(500, 5, seed=2, truncation=30.0), plain)


@pytest.mark.parametrize("truncation", [0.0, -1.0, float("nan")])
def test_truncation_must_be_positive(truncation):
    with pytest.raises(DogganError, match="truncation must be a positive number"):
        draw_z(2, 2, seed=0, truncation=truncation)


def test_negative_seed_is_refused():
    with pytest.raises(DogganError, match="seed must not be negative, and is -1"):
        draw_z(2, 2, seed=-1)


def test_quantise_rounds():
    # 0 ↦ 127.5 (either neighbour); 0.002 ↦ 127.755; -0.002 ↦ 127.245; truncation would give 127 for both.
    levels = quantise(np.array([-1.0, -0.995, -0.002, 0.002, 0.999, 1.0], np.float32))
    np.testing.assert_array_equal(levels, [0, 1, 127, 128, 255, 255])
    assert levels.dtype == np.uint8


def test_quantise_inverts_normalisation_and_clips():
    every = np.arange(256)
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(quantise((every / 127.5 - 1).astype(dtype)), every)
    np.testing.assert_array_equal(quantise(np.array([-1.5, 1.5])), [0, 255])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_quantise_refuses_what_is_not_a_number(bad):
    with pytest.raises(DogganError, match="The generator returns NaN"):
        quantise(np.array([0.0, bad]))


@pytest.mark.both_backends
def test_generate_does_not_depend_on_the_batch_size(generator):
    by_three, by_seven = (
        np.concatenate(list(generate(generator, 10, seed=5, batch_size=b, truncation=1.5))) for b in (3, 7)
    )
    assert by_three.shape == (10, 8, 8, 3)
    assert by_three.dtype == np.uint8
    # Matrix products of different heights may differ in the last bit, and so a value on an edge by a level.
    assert np.abs(by_three.astype(int) - by_seven).max() <= 1
    assert len(np.unique(by_three.reshape(10, -1), axis=0)) == 10


@pytest.mark.both_backends
def test_generate_is_inference_on_the_drawn_z(generator):
    images = np.concatenate(list(generate(generator, 4, seed=9, batch_size=2)))
    kernel, bias = (np.asarray(w) for w in generator.layers[1].get_weights())
    expected = quantise(np.tanh(draw_z(4, 5, seed=9) @ kernel + bias)).reshape(4, 8, 8, 3)
    assert np.abs(images.astype(int) - expected).max() <= 1


@pytest.mark.both_backends
def test_generate_follows_the_weights(generator):
    before = np.concatenate(list(generate(generator, 2, seed=0, batch_size=2)))
    generator.set_weights([w * 2 for w in generator.get_weights()])
    after = np.concatenate(list(generate(generator, 2, seed=0, batch_size=2)))
    assert (before != after).mean() > 0.5


def test_last_batch_is_short_and_nothing_may_be_asked_for(generator):
    assert [len(b) for b in generate(generator, 10, seed=0, batch_size=4)] == [4, 4, 2]
    assert list(generate(generator, 0, seed=0)) == []
    with pytest.raises(DogganError, match="batch size must be at least 1"):
        next(generate(generator, 1, seed=0, batch_size=0))


def test_progress_is_quiet_unless_asked_for(generator, capfd):
    list(generate(generator, 4, seed=0, batch_size=2))
    assert capfd.readouterr() == ("", "")
    list(generate(generator, 4, seed=0, batch_size=2, progress=True))
    assert "4/4" in capfd.readouterr().err


def test_sampling_rate_counts_pictures(generator, monkeypatch):
    seconds = iter(range(100))  # a clock that moves one second at every look
    monkeypatch.setattr("doggan.sampling.time.perf_counter", lambda: next(seconds))
    # Looks: start 0; 1 < 2.5 after the first batch; 2; 3 ends the loop with three batches; 4 is the divisor.
    assert sampling_rate(generator, batch_size=6, seconds=2.5) == pytest.approx(3 * 6 / 4)


@pytest.fixture
def conditional():
    """z [B, 5], classes [B] → a grey picture whose every pixel is tanh(its class − 1)."""
    z, classes = keras.Input((5,)), keras.Input((), dtype="int32")
    table = keras.layers.Embedding(
        3, 4, embeddings_initializer=lambda shape, dtype: np.repeat([[-1.0], [0], [1]], 4, 1)
    )
    x = keras.layers.Add()([table(classes), keras.layers.Dense(4, kernel_initializer="zeros")(z)])
    return keras.Model([z, classes], keras.layers.Reshape((2, 2, 1))(keras.layers.Activation("tanh")(x)))


@pytest.mark.both_backends
def test_pictures_are_of_the_classes_asked_for(conditional):
    level = quantise(np.tanh(np.array([-1.0, 0, 1])))
    classes = np.array([2, 0, 1, 1, 2], np.int32)
    pictures = sample_pictures(conditional, 5, seed=0, classes=classes, batch_size=2)
    np.testing.assert_array_equal(pictures[:, 0, 0, 0], level[classes])
    rows = sample_of_classes(conditional, [2, 0], 3, seed=0)
    assert rows.shape == (2, 3, 2, 2, 1)
    assert rows[:, :, 0, 0, 0].tolist() == [[level[2]] * 3, [level[0]] * 3]


def test_classes_are_asked_for_exactly_where_there_are_some(generator, conditional):
    with pytest.raises(ValueError, match="exactly where the generator is conditional"):
        next(generate(conditional, 2, seed=0))
    with pytest.raises(ValueError, match="exactly where the generator is conditional"):
        next(generate(generator, 2, seed=0, classes=np.zeros(2, np.int32)))
    with pytest.raises(ValueError, match="3 classes for 2 pictures"):
        next(generate(conditional, 2, seed=0, classes=np.zeros(3, np.int32)))
    assert sampling_rate(conditional, batch_size=2, seconds=0.01) > 0
