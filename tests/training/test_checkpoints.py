"""Checkpoints: whole, exact, and honest about what they do not fit."""

import json

import keras
import numpy as np
import pytest

from doggan.config import Ema
from doggan.errors import DogganError
from doggan.recipes import config_from_dict
from doggan.training.backend import to_numpy
from doggan.training.checkpoints import (
    Checkpoints,
    describe_weights,
    has_average,
    restore,
    restore_discriminator,
    restore_generator,
)
from doggan.training.gan import GAN

pytestmark = pytest.mark.both_backends


def make_gan(width=4, ema=None):
    generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(width), keras.layers.BatchNormalization()])
    discriminator = keras.Sequential([keras.Input((width,)), keras.layers.Dense(1)])
    gan = GAN(generator, discriminator, ema=ema)
    gan.compile(keras.optimizers.Adam(), keras.optimizers.Adam())
    return gan


def scramble(gan, seed):
    rng = np.random.default_rng(seed)
    for variable in gan.saved_variables().values():
        variable.assign(rng.integers(0, 100, variable.shape).astype(variable.dtype))


def values(gan):
    return {key: to_numpy(variable) for key, variable in gan.saved_variables().items()}


def test_every_variable_comes_back_bit_for_bit(tmp_path):
    gan, other = make_gan(), make_gan()
    scramble(gan, 0)
    path = Checkpoints(tmp_path).save(gan)
    restore(other, path)
    before, after = values(gan), values(other)
    assert set(before) == set(after)
    assert sum(key.startswith("g_optimizer") for key in before) == 2 + 2 * 4  # iterations, rate, moments of 4 weights
    assert any("moving_variance" in key for key in before)
    for key in before:
        np.testing.assert_array_equal(before[key], after[key])
        assert before[key].dtype == after[key].dtype


def test_the_newest_and_the_best_are_kept(tmp_path):
    gan, checkpoints = make_gan(), Checkpoints(tmp_path, keep=2)
    for step, score in ((1, 0.5), (2, 0.2), (3, None), (4, 0.3), (5, float("nan"))):
        gan.step.assign(step)
        if score is not None:
            assert checkpoints.save_best(gan, score) is (step < 3)
        checkpoints.save(gan)
    assert [step for step, _ in checkpoints.saved()] == [4, 5]
    assert checkpoints.best() == (2, 0.2)
    generator = make_gan().generator
    assert restore_generator(generator, checkpoints.find("best"))[0] == 2
    assert restore_generator(generator, checkpoints.find("newest"))[0] == 5
    assert restore_generator(generator, checkpoints.find("4"))[0] == 4
    with pytest.raises(DogganError, match="it has 4, 5, best"):
        checkpoints.find("7")


def test_without_a_score_the_best_is_the_newest(tmp_path):
    gan, checkpoints = make_gan(), Checkpoints(tmp_path)
    with pytest.raises(DogganError, match="none at all"):
        checkpoints.find("best")
    gan.step.assign(3)
    assert checkpoints.save(gan) == checkpoints.find("best")


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_taken(tmp_path, capsys):
    gan, checkpoints = make_gan(), Checkpoints(tmp_path)
    for step in (1, 2):
        gan.step.assign(step)
        last = checkpoints.save(gan)
    damaged = bytearray(last.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 200] = bytes(200)
    last.write_bytes(bytes(damaged))
    assert restored_step(checkpoints) == 1
    assert "is damaged" in capsys.readouterr().err
    assert (tmp_path / "step-00000002.npz.damaged").exists()
    last.write_bytes(b"")
    assert restored_step(checkpoints) == 1


def restore_newest(checkpoints, gan):
    """As `train` does it."""
    path = checkpoints.newest()
    return None if path is None else restore(gan, path, checkpoints.identity)


def restored_step(checkpoints):
    gan = make_gan()
    assert restore_newest(checkpoints, gan) is not None
    return int(to_numpy(gan.step))


def test_whatever_was_done_to_the_newest_the_one_before_it_is_taken_and_said_once(tmp_path, capsys):
    gan, checkpoints = make_gan(), Checkpoints(tmp_path, keep=3)
    for step in (1, 2):
        gan.step.assign(step)
        last = checkpoints.save(gan)
    content = last.read_bytes()

    def flip(at):
        return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]

    ways = [lambda at=at: last.write_bytes(flip(at)) for at in range(3, len(content), len(content) // 6)]
    ways += [lambda at=at: last.write_bytes(content[:at]) for at in range(0, len(content), len(content) // 6)]
    for number, spoil in enumerate((*ways, last.mkdir), start=1):
        spoil()
        assert restored_step(checkpoints) == 1
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        assert "is damaged" in said[0]
        assert "the one before it is used" in said[0]
        assert checkpoints.find("newest").name == "step-00000001.npz"
        assert len(list(tmp_path.glob("step-00000002.npz.damaged*"))) == number
    last.write_bytes(content)
    assert restored_step(checkpoints) == 2


def test_bad_ones_can_be_set_aside_before_several_processes_restore(tmp_path, capsys):
    gan, checkpoints = make_gan(), Checkpoints(tmp_path, keep=9, identity="this")
    for step, identity in ((1, "this"), (2, "this"), (3, "other"), (4, "this")):
        gan.step.assign(step)
        last = Checkpoints(tmp_path, 9, identity).save(gan)
    last.write_bytes(last.read_bytes()[:-5])
    assert checkpoints.newest() == tmp_path / "step-00000002.npz"
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert [step for step, _ in checkpoints.saved()] == [1, 2]
    assert restored_step(checkpoints) == 2
    assert capsys.readouterr().err == ""


def test_the_newest_inside_an_epoch_pushes_out_none_at_the_end_of_one(tmp_path):
    gan, checkpoints = make_gan(), Checkpoints(tmp_path, keep=2)
    kept = []
    for step in range(8):
        gan.step.assign(step)
        checkpoints.save(gan, within=step % 3 > 0)
        kept.append([step for step, _ in checkpoints.saved()])
    assert kept == [[0], [0, 1], [0, 2], [0, 3], [0, 3, 4], [0, 3, 5], [3, 6], [3, 6, 7]]
    assert checkpoints.find("7").name == "step-00000007-within.npz"
    assert restored_step(checkpoints) == 7


@pytest.mark.parametrize("keep", [1, 2])
def test_one_more_is_kept_to_go_back_to_where_the_newest_may_be_unsound(tmp_path, keep):
    """As samples are looked at every 5 steps, and epochs have 2."""
    gan, checkpoints = make_gan(), Checkpoints(tmp_path, keep=keep)
    for step in range(21):
        gan.step.assign(step)
        sound = step // 5 * 5
        checkpoints.save(gan, within=step % 2 > 0, sound=sound)
        kept = [saved for saved, _ in checkpoints.saved()]
        newest = list(range(0, step + 1, 2))[-keep:]
        assert kept == sorted({sound // 2 * 2, *newest, step})


def test_another_run_s_checkpoint_is_set_aside(tmp_path, capsys):
    gan = make_gan()
    for step, identity in ((1, "this"), (2, None), (3, "other")):  # as an older doggan wrote the second
        gan.step.assign(step)
        Checkpoints(tmp_path, 9, identity).save(gan)
    Checkpoints(tmp_path, 9, "other").save_best(gan, 0.1)
    mine = Checkpoints(tmp_path, 9, "this")
    assert restored_step(mine) == 2
    assert "is another run's" in capsys.readouterr().err
    assert (tmp_path / "step-00000003.npz.foreign").exists()
    assert mine.best() is None
    assert (tmp_path / "best.npz.foreign").exists()
    (tmp_path / "step-00000002.npz").unlink()
    for _ in range(2):  # and not from the start, over the tables, the second time
        with pytest.raises(DogganError, match="damaged or another run's"):
            restore_newest(Checkpoints(tmp_path, 9, "third"), make_gan())
        assert mine.saved() == []


def test_the_best_is_the_last_resort_and_nothing_left_is_an_error(tmp_path):
    gan, checkpoints = make_gan(), Checkpoints(tmp_path)
    gan.step.assign(5)
    checkpoints.save_best(gan, 0.1)
    checkpoints.save(gan).write_bytes(b"gone")
    assert restored_step(checkpoints) == 5
    (tmp_path / "best.npz").write_bytes(b"gone")
    for _ in range(2):
        with pytest.raises(DogganError, match=r"Every checkpoint in .* is damaged"):
            restore_newest(checkpoints, make_gan())


def test_a_damaged_best_does_not_end_a_run(tmp_path, capsys):
    gan, checkpoints = make_gan(), Checkpoints(tmp_path)
    checkpoints.save_best(gan, 0.1)
    (tmp_path / "best.npz").write_bytes(b"gone")
    gan.step.assign(1)
    assert checkpoints.save_best(gan, 0.2)
    assert checkpoints.best() == (1, 0.2)
    assert "best.npz is damaged" in capsys.readouterr().err


def test_extras_come_back(tmp_path):
    gan, checkpoints = make_gan(), Checkpoints(tmp_path)
    checkpoints.save(gan, extras={"g_loss": np.array([1.5, 2.5]), "seconds": np.array(3.0)})
    extras = restore_newest(checkpoints, make_gan())
    np.testing.assert_array_equal(extras["g_loss"], [1.5, 2.5])
    assert extras["seconds"] == 3.0


def test_an_older_checkpoint_has_no_histograms_and_is_continued_with_empty_ones(tmp_path):
    gan, other = make_gan(), make_gan()
    scramble(gan, 6)
    scramble(other, 7)
    old = {key: value for key, value in values(gan).items() if not key.startswith("histogram.")}
    assert len(old) == len(values(gan)) - 2
    path = tmp_path / "step-00000009.npz"
    np.savez(path, meta=np.array('{"format_version": 1, "score": null}'), **old)
    assert restore_newest(Checkpoints(tmp_path, identity="this"), other) == {}
    for key, value in values(other).items():
        np.testing.assert_array_equal(value, old.get(key, np.zeros_like(value)))
    del old["step"]
    np.savez(path, meta=np.array('{"format_version": 1, "score": null}'), **old)
    with pytest.raises(DogganError, match="another recipe: step is missing"):
        restore(other, path)


def test_a_newer_format_is_not_taken_for_damage(tmp_path):
    path = tmp_path / "step-00000001.npz"
    np.savez(path, meta=np.array('{"format_version": 99, "score": null}'), step=np.int32(1))
    with pytest.raises(DogganError, match="newer doggan"):
        restore_newest(Checkpoints(tmp_path), make_gan())
    assert path.exists()


def test_an_empty_folder_restores_nothing(tmp_path):
    assert restore_newest(Checkpoints(tmp_path / "absent"), make_gan()) is None


def test_another_network_is_refused_before_anything_is_assigned(tmp_path):
    gan = make_gan()
    scramble(gan, 1)
    path = Checkpoints(tmp_path).save(gan)
    other = make_gan(width=5)
    before = values(other)
    with pytest.raises(DogganError, match=r"another recipe: generator.000.kernel has shape \(3, 4\)"):
        restore(other, path)
    for key, value in values(other).items():
        np.testing.assert_array_equal(value, before[key])


def weights(net):
    return [to_numpy(variable) for variable in net.variables]


def test_samples_come_from_the_average_where_there_is_one_unless_asked_for_the_generator(tmp_path):
    gan = make_gan(ema=Ema())
    scramble(gan, 2)
    gan.step.assign(7)
    path = Checkpoints(tmp_path).save(gan)
    assert has_average(path)
    for raw, source in ((False, gan.average.generator), (True, gan.generator)):
        generator = make_gan().generator
        assert restore_generator(generator, path, raw=raw) == (7, not raw)
        for found, saved in zip(weights(generator), weights(source), strict=True):
            np.testing.assert_array_equal(found, saved)
    assert np.abs(weights(gan.generator)[0] - weights(gan.average.generator)[0]).max() > 0


def test_a_discriminator_comes_back_alone_and_no_other_one(tmp_path):
    gan, discriminator = make_gan(ema=Ema()), make_gan().discriminator
    scramble(gan, 8)
    gan.step.assign(9)
    path = Checkpoints(tmp_path).save(gan)
    assert restore_discriminator(discriminator, path) == 9
    for found, saved in zip(weights(discriminator), weights(gan.discriminator), strict=True):
        np.testing.assert_array_equal(found, saved)
    with pytest.raises(DogganError, match=r"another recipe: discriminator.000.kernel has shape \(4, 1\)"):
        restore_discriminator(make_gan(width=5).discriminator, path)


def test_an_average_comes_back_bit_for_bit(tmp_path):
    gan, other = make_gan(ema=Ema()), make_gan(ema=Ema())
    scramble(gan, 3)
    restore(other, Checkpoints(tmp_path).save(gan))
    for found, saved in zip(weights(other.average.generator), weights(gan.average.generator), strict=True):
        np.testing.assert_array_equal(found, saved)


def test_without_an_average_samples_come_from_the_generator(tmp_path):
    gan, generator = make_gan(ema=Ema(half_life=0.0)), make_gan().generator
    scramble(gan, 4)
    path = Checkpoints(tmp_path).save(gan)
    assert not has_average(path)
    assert restore_generator(generator, path)[1] is False
    np.testing.assert_array_equal(weights(generator)[0], weights(gan.generator)[0])


def test_a_run_that_keeps_an_average_does_not_continue_without_it(tmp_path):
    """As a checkpoint of a doggan that kept none would have it: one sentence, and its remedy works."""
    gan, checkpoints = make_gan(), Checkpoints(tmp_path)
    scramble(gan, 5)
    checkpoints.save(gan)
    remedy = {"ema": {"half_life": 0.0}}
    with pytest.raises(DogganError, match=f'holds no average .* add {json.dumps(remedy)[1:-1]} to "config"'):
        restore_newest(checkpoints, make_gan(ema=Ema()))
    again = make_gan(ema=config_from_dict(remedy, "config.json").ema)
    assert restore_newest(checkpoints, again) is not None
    np.testing.assert_array_equal(weights(again.generator)[0], weights(gan.generator)[0])


def test_what_samples_are_drawn_with_is_said():
    assert describe_weights(False) == "weights as trained"
    assert describe_weights(True) == "averaged weights"
    assert describe_weights(True, bn_samples=10_000) == "averaged weights, batch norm re-estimated on 10,000 z"


def test_a_damaged_checkpoint_is_said_to_be_damaged_whatever_is_asked_of_it(tmp_path):
    (tmp_path / "best.npz").write_bytes(b"gone")
    for ask in (
        has_average,
        lambda path: restore_generator(make_gan().generator, path),
        lambda path: restore_discriminator(make_gan().discriminator, path),
    ):
        with pytest.raises(DogganError, match="is damaged"):
            ask(tmp_path / "best.npz")
