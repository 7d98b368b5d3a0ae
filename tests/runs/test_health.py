"""What is a collapse and what is not, seen step by step and in real training."""

from types import SimpleNamespace

import numpy as np
import pytest

from doggan.config import Train
from doggan.data.imageset import ImageSet
from doggan.runs import train
from doggan.runs.health import DIVERGED, FORMED, GRACE, LOOK_EVERY, STREAK, UNIFORM, WON, Health

REAL = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype(np.uint8)
LOW = WON / 10


class Trained:
    """`Health` as `fit` would call it, with samples whose distances are a share of the real ones."""

    def __init__(self, on_collapse="stop", loss="bce", step=0, total=10**6, begun=None, steps=1):
        self.share, self.looks, self.said = 1.0, [], []
        config = Train(on_collapse=on_collapse, loss=loss)
        self.health = Health(config, self.sample, REAL, step, total, begun, self.said.append)
        self.model = SimpleNamespace(stop_training=False, steps_per_execution=steps, weights=[])
        self.health.set_model(self.model)

    def sample(self, n):
        assert n == len(REAL)
        self.looks.append(self.health.step)
        return np.rint(127.5 + self.share * (REAL - 127.5)).astype(np.uint8)

    def call(self, d_loss=1.0, times=1, mean=1.0):
        for _ in range(times):
            logs = {"g_loss": 1.0, "d_loss": d_loss, "g_loss_mean": 1.0, "d_loss_mean": mean}
            self.health.on_train_batch_end(0, logs)
        return self.health


def test_a_discriminator_has_won_after_so_many_steps_in_a_row():
    trained = Trained()
    assert not trained.call(LOW, STREAK - 1).collapse
    trained.call(1.0)
    health = trained.call(LOW, STREAK - 1)
    assert health.collapse is None
    assert not trained.model.stop_training
    trained.call(LOW)
    assert health.collapse == "the discriminator has won: d_loss is 0.0001, below 0.001 for 200 steps"
    assert trained.model.stop_training
    assert health.sound_until == STREAK  # where the streak began: STREAK - 1 low steps and a high one had come before


def test_a_call_of_several_steps_counts_them_all():
    assert not Trained(steps=32).call(LOW, 6).collapse
    assert Trained(steps=32).call(LOW, 7).low_steps == 7 * 32
    assert Trained(steps=32).call(LOW, 7).collapse


def test_a_loss_without_a_floor_falls_as_low_as_it_likes():
    health = Trained(loss="wasserstein").call(-30.0, STREAK)
    assert health.collapse is None
    assert not health.suspicious
    assert Trained(loss="hinge").call(0.0, STREAK).collapse


def test_samples_are_looked_at_by_global_steps():
    trained = Trained(step=LOOK_EVERY - 1)
    trained.call(times=LOOK_EVERY + 1)
    assert trained.looks == [LOOK_EVERY, 2 * LOOK_EVERY]
    in_calls = Trained(step=LOOK_EVERY - 30, steps=32)
    in_calls.call(times=8)
    assert in_calls.looks == [LOOK_EVERY + 2, LOOK_EVERY + 2 + 32 * 7]


def looked(trained, *shares):
    for trained.share in shares:
        trained.call(times=LOOK_EVERY)
    return trained.health


def test_uniform_samples_are_a_collapse_once_they_were_not():
    health = looked(trained := Trained(), 0.01, UNIFORM + 0.1, UNIFORM - 0.1)
    assert health.collapse is None  # it has not yet formed
    assert not health.suspicious
    assert health.varied_at == 2 * LOOK_EVERY
    looked(trained, FORMED + 0.05, UNIFORM + 0.05)
    assert health.collapse is None
    looked(trained, UNIFORM - 0.05)
    assert trained.model.stop_training
    assert health.collapse.startswith("the samples are nearly the same: the mean distance of 16 is 0.15 of that")
    assert health.sound_until == 5 * LOOK_EVERY


def test_uniform_samples_are_a_collapse_when_they_never_differed():
    shares = [0.01] * (GRACE // LOOK_EVERY - 1)
    health = looked(trained := Trained(), *shares)
    assert health.collapse is None
    looked(trained, 0.01)
    assert health.collapse
    assert health.sound_until == 0


@pytest.mark.parametrize("real", [REAL[:1], np.repeat(REAL[:1], 4, axis=0)])
def test_pictures_that_cannot_differ_are_not_compared_with(real):
    trained = Trained(step=GRACE)
    trained.health = Health(Train(), trained.sample, real, GRACE, 10**6, None, trained.said.append)
    trained.health.set_model(trained.model)
    trained.call(times=LOOK_EVERY)
    assert trained.looks == []


def test_what_a_resumed_run_must_know_is_in_the_state():
    whole, first = Trained(), Trained()
    for trained in (whole, first):
        looked(trained, 0.5, 0.3)
        trained.call(LOW, 150)
    second = Trained(step=first.health.step, begun=first.health.state)
    second.share = first.share
    for trained in (whole, second):
        trained.call(LOW, 49)
        assert trained.health.collapse is None
        assert trained.health.suspicious
    assert whole.health.state == second.health.state
    assert {name: float(value) for name, value in whole.health.state.items() if name != "health_uniform"} == {
        "health_low_steps": 199,
        "health_formed": 1,
        "health_varied_at": 400,
    }
    for trained in (whole, second):
        assert trained.call(LOW).collapse
    assert whole.health.sound_until == second.health.sound_until == 400
    assert all(name.startswith("health_") for name in whole.health.state)


def test_a_checkpoint_within_a_streak_is_suspicious_but_for_the_last():
    trained = Trained(total=10)
    assert trained.call(LOW).suspicious
    assert not trained.call(1.0).suspicious
    assert trained.call(LOW, 7).suspicious
    assert not trained.call(LOW).suspicious  # training is over
    assert not Trained(on_collapse="ignore").call(LOW).suspicious


def test_losses_that_are_no_numbers_end_training_also_where_a_collapse_is_ignored():
    for on_collapse in ("stop", "rollback", "ignore"):
        trained = Trained(on_collapse)
        health = trained.call(mean=np.nan)
        assert health.collapse == DIVERGED
        assert health.diverged
        assert health.suspicious
        assert trained.model.stop_training


@pytest.mark.both_backends
def test_weights_and_samples_that_are_no_numbers_end_training():
    import keras

    from doggan.errors import DogganError

    trained = Trained()
    trained.model.weights = [keras.Variable([1.0, np.inf])]
    trained.health.on_epoch_end(0)
    assert trained.health.collapse == DIVERGED

    def broken(n):
        raise DogganError("NaN")

    trained = Trained()
    trained.health.sample = broken
    assert trained.call(times=LOOK_EVERY).collapse == DIVERGED


def test_a_collapse_that_is_ignored_is_said_once():
    trained = Trained("ignore")
    health = trained.call(LOW, 3 * STREAK)
    assert health.collapse is None
    assert not trained.model.stop_training
    assert trained.said == [
        "step 200: the discriminator has won: d_loss is 0.0001, below 0.001 for 200 steps; going on, as "
        "train.on_collapse=ignore says"
    ]


# Networks of one or two layers: a step takes some milliseconds.
SMALL = (
    *("generator.base_size=8", "generator.base_depth=16", "generator.widths=[16,8]", "generator.strides=[2,2]"),
    *("generator.kernel=4", "generator.dropout=[0,0]", "generator.bn.momentum=0.9", "generator.init.std=0.05"),
    *("discriminator.widths=[8,16]", "discriminator.dropout=[0,0]", "discriminator.kernel=4"),
    *("g_optimizer.lr=1e-3", "d_optimizer.lr=5e-4"),
    *("train.score_every=0", "train.sample_every=0", "train.checkpoint_minutes=0"),
)

QUICK = ("train.epochs=2", "train.batch_size=4")  # 400 steps an epoch


def image_set(images):
    n = len(images)
    return ImageSet(
        images=images,
        labels=None,
        class_names=(),
        source_ids=np.array([f"picture-{i}" for i in range(n)]),
        boxes=np.zeros((n, 4), np.int32),
        split=np.zeros(n, np.uint8),
    )


@pytest.fixture(scope="module")
def discs():
    """1,600 pictures 32×32 of a disc on a ground, of two colours."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:32, :32]
    centre, radius = rng.uniform(10, 22, (1600, 2, 1, 1)), rng.uniform(5, 12, (1600, 1, 1))
    inside = (y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2 < radius**2
    colours = rng.integers(0, 256, (2, 1600, 1, 1, 3))
    return image_set(np.where(inside[..., None], *colours).astype(np.uint8))


@pytest.fixture
def trained(tmp_path, tiny_recipe, capfd):
    """pictures, overrides → the outcome of a run on them, its folder, and what it said on stderr."""
    from doggan.recipes import load_recipe
    from doggan.runs import start_run

    def train_on(images, *overrides):
        config = load_recipe(str(tiny_recipe), (*SMALL, *overrides))
        run = start_run(tmp_path / "run", config, images, tmp_path / "data.npz")
        outcome = train(run, images, progress=False)
        lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("step ")]
        return outcome, run.folder, lines

    return train_on


@pytest.mark.usefixtures("fast")
def test_a_generator_forced_to_one_picture_is_found(trained, discs, monkeypatch):
    monkeypatch.setattr("doggan.runs.health.GRACE", 400)
    outcome, folder, lines = trained(
        discs, *QUICK, "train.on_collapse=stop", "g_optimizer.lr=0", "generator.init.std=1e-6"
    )
    assert outcome.collapsed
    assert outcome.step == 400
    assert lines == [f"step 400: {outcome.stopped_by}; the run ends here"]
    assert "samples are nearly the same" in lines[0]
    assert not (folder / "rollback.json").exists()
    assert not (folder / "checkpoints" / "step-00000400.npz").exists()


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("per_call", [1, 16])
def test_a_discriminator_forced_to_be_perfect_is_found(trained, discs, per_call):
    outcome, _, lines = trained(
        discs, *QUICK, "train.on_collapse=stop", "labels=published", "g_optimizer.lr=0",
        "d_optimizer.lr=0.01", "discriminator.spectral_norm=false", f"train.steps_per_execution={per_call}",
    )  # fmt: skip
    assert outcome.collapsed
    assert STREAK <= outcome.step < 2 * STREAK
    assert "the discriminator has won" in lines[0]
    assert str(outcome).endswith(
        "start a new run with lower rates (g_optimizer.lr, d_optimizer.lr), with penalty.r1, or with augment.policy"
    )


@pytest.mark.usefixtures("fast")
def test_healthy_training_is_left_alone(trained, discs, monkeypatch):
    """Looked at four times as often as usual, and no grace but that they have differed once."""
    monkeypatch.setattr("doggan.runs.health.LOOK_EVERY", 50)
    outcome, folder, lines = trained(discs, "train.epochs=2")
    assert str(outcome) == "trained all 400 steps"
    assert lines == []
    assert not (folder / "rollback.json").exists()
    with np.load(folder / "checkpoints" / "step-00000400.npz") as file:
        assert file["extra.health_formed"] == 1
        assert file["extra.health_varied_at"] == 400


@pytest.mark.slow
@pytest.mark.usefixtures("fast")
def test_a_healthy_run_of_2000_steps_on_real_dogs_is_left_alone(trained, real_crops):
    dogs = image_set(np.ascontiguousarray(real_crops[:8000, ::2, ::2]))
    outcome, folder, lines = trained(dogs, "train.epochs=2")
    assert str(outcome) == "trained all 2000 steps"
    assert lines == []
    assert not (folder / "rollback.json").exists()
    with np.load(folder / "checkpoints" / "step-00002000.npz") as file:
        assert file["extra.health_varied_at"] == 2000
