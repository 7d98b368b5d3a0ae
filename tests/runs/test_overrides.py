"""Resuming with other settings: refused with the differences, but for those that are safe and asked for."""

import csv
import json
from dataclasses import asdict

import pytest

from doggan.errors import DogganError
from doggan.recipes import flatten, load_recipe, override
from doggan.runs import Run, start_run
from doggan.runs.overrides import SAFE, changes, check_changes, identity, why_not
from doggan.runs.resume import override_run


@pytest.fixture
def run(tmp_path, tiny_images, tiny_recipe):
    return start_run(tmp_path / "run", load_recipe(str(tiny_recipe)), tiny_images, tmp_path / "tiny.npz")


def test_every_setting_is_safe_or_has_a_reason(tiny_recipe):
    config = load_recipe(str(tiny_recipe))
    keys = flatten(config)
    assert keys.keys() >= SAFE
    for key in keys:
        assert (why_not(config, key) is None) == (key in SAFE), key
    assert "trained so far" in why_not(config, "g_optimizer.lr")
    assert "on the disk" in why_not(config, "generator.bn.momentum")


def test_changes_name_each_setting_by_its_dotted_key():
    old, new = load_recipe("dogs-dcgan"), load_recipe("dogs-dcgan", ("train.epochs=3", "generator.bn.momentum=0.9"))
    assert changes(old, new) == {"generator.bn.momentum": (0.99, 0.9), "train.epochs": (280, 3)}
    assert changes(old, old) == {}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ((), "lr.schedule=cosine"),
        (("lr.schedule=constant",), None),
        (("lr.schedule=constant", "instance_noise.std=0.1"), "instance noise fades"),
        (("lr.schedule=constant", "penalty.r1=1", "penalty.final=0.1"), "penalties fall with the length"),
    ],
)
def test_the_length_may_change_where_nothing_depends_on_it(tiny_recipe, settings, reason):
    config = load_recipe(str(tiny_recipe), settings)
    longer = override(config, ("train.epochs=9",))
    if reason is None:
        check_changes(config, longer, epochs_done=4)
        assert identity(config, "hash") == identity(longer, "hash")
        with pytest.raises(DogganError, match=r"train.epochs=9 is less than the 9.25 epochs"):
            check_changes(config, longer, epochs_done=9.25)
    else:
        with pytest.raises(DogganError, match=reason):
            check_changes(config, longer, epochs_done=4)


def test_all_that_cannot_change_is_named_with_its_reason(run, tiny_images):
    before = (run.folder / "config.json").read_bytes()
    with pytest.raises(DogganError, match=r"cannot change seed: .*; nor g_optimizer.lr: .*; nor train.samples: "):
        override_run(run, ("train.samples=9", "seed=2", "train.keep=5", "g_optimizer.lr=0.1"), tiny_images)
    for settings, message in (
        (("train.keeps=5",), "there is no setting train.keeps .did you mean train.keep"),
        (("train.keep",), "--override 'train.keep' is not of the form"),
        (("train.keep=0",), "at least 1"),
        (("train.on_collapse=explode",), "rollback, stop, ignore"),
    ):
        with pytest.raises(DogganError, match=message):
            override_run(run, settings, tiny_images)
    assert (run.folder / "config.json").read_bytes() == before


def test_settings_that_do_not_fit_each_other_are_refused_before_they_are_written(
    tmp_path, tiny_images, tiny_recipe, monkeypatch
):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "empty"))
    config = load_recipe(str(tiny_recipe), ("train.score_every=0", "train.extractor=inception"))
    run = start_run(tmp_path / "run", config, tiny_images, tmp_path / "tiny.npz")
    before = (run.folder / "config.json").read_bytes()
    with pytest.raises(DogganError, match="doggan download inception"):
        override_run(run, ("train.score_every=1",), tiny_images)
    assert (run.folder / "config.json").read_bytes() == before


def test_what_changed_is_written_with_the_step(run, tiny_images):
    changed = override_run(run, ("train.keep=5", "train.score_every=2"), tiny_images)  # 2 is what it was
    assert changed.config.train.keep == changed.checkpoints.keep == 5
    (run.folder / "checkpoints").mkdir()
    (run.folder / "checkpoints" / "step-00000006.npz").touch()
    again = override_run(Run.open(run.folder), ("train.on_collapse=stop", "train.keep=3"), tiny_images)
    assert Run.open(run.folder) == again
    record = json.loads((run.folder / "config.json").read_text())
    assert record["config"]["train"]["keep"] == 3
    assert record["overrides"] == [
        {"step": 0, "settings": {"train.keep": {"from": 2, "to": 5}}},
        {
            "step": 6,
            "settings": {
                "train.keep": {"from": 5, "to": 3},
                "train.on_collapse": {"from": "rollback", "to": "stop"},
            },
        },
    ]
    assert {key: record["config"][key] for key in record["config"] if key != "train"} == {
        key: value for key, value in json.loads(json.dumps(asdict(run.config))).items() if key != "train"
    }


def test_an_override_that_changes_nothing_checks_and_writes_nothing(run):
    before = (run.folder / "config.json").stat().st_mtime_ns
    assert override_run(run, ("train.keep=2",), data=None) is run
    assert (run.folder / "config.json").stat().st_mtime_ns == before


def test_other_settings_are_refused_with_the_command_that_changes_the_safe_ones(run, tiny_recipe):
    with pytest.raises(DogganError) as error:
        run.check_settings(load_recipe(str(tiny_recipe), ("train.keep=9", "g_optimizer.lr=0.1", "data.place=host")))
    assert "data.place: auto → host; g_optimizer.lr: 0.0002 → 0.1; train.keep: 2 → 9" in str(error.value)
    assert f"`doggan train --resume {run.folder} --override data.place=host --override train.keep=9`" in str(
        error.value
    )
    with pytest.raises(DogganError) as error:
        run.check_settings(load_recipe(str(tiny_recipe), ("seed=3",)))
    assert "--override" not in str(error.value)


def test_the_identity_is_that_of_the_weights(tiny_recipe):
    config = load_recipe(str(tiny_recipe))
    assert identity(config, "a") == identity(override(config, ("train.keep=9", "train.tensorboard=true")), "a")
    assert identity(config, "a") != identity(config, "b")
    for setting in ("seed=1", "train.epochs=5", "generator.bn.momentum=0.4"):
        assert identity(config, "a") != identity(override(config, (setting,)), "a")


@pytest.mark.usefixtures("fast")
def test_the_command_resumes_with_equal_settings_and_overrides_safe_ones(doggan, tiny_images, tiny_recipe, tmp_path):
    data, run = tmp_path / "tiny.npz", tmp_path / "run"
    tiny_images.save(data)
    one_layer = [word for name in ("generator.base_size=16", "generator.widths=[4]", "generator.strides=[2]",
                                   "generator.batch_norm=[true]", "generator.dropout=[0]", "discriminator.widths=[4]",
                                   "discriminator.strides=[2]", "discriminator.batch_norm=[true]",
                                   "discriminator.dropout=[0]") for word in ("--set", name)]  # fmt: skip
    settings = ("--set", "train.epochs=1", "--set", "train.score_every=0", "--set", "lr.schedule=constant",
                "--set", "train.sample_every=0", *one_layer)  # fmt: skip
    assert doggan("train", data, "-r", tiny_recipe, "-o", run, *settings, "--quiet", "--on-collapse", "stop")[0] == 0
    assert Run.open(run).config.train.on_collapse == "stop"

    resume = ("train", "--resume", run, "--quiet")
    status, _, err = doggan(*resume, "-r", tiny_recipe, *settings)
    assert status == 2
    assert "train.on_collapse: stop → rollback" in err
    assert doggan(*resume, "-r", tiny_recipe, *settings, "--set", "train.on_collapse=stop")[0] == 0
    assert doggan(*resume, "--set", "train.epochs=1")[0] == 0
    status, _, err = doggan(*resume, "--set", "train.epochs=2")
    assert status == 2
    assert f"(train.epochs: 1 → 2); resume it without changing them, change what may be changed by `doggan train " \
           f"--resume {run} --override train.epochs=2`, or start a new run" in err  # fmt: skip

    status, out, _ = doggan(*resume, "--override", "train.epochs=2", "--on-collapse", "ignore")
    assert status == 0
    assert "trained all 8 steps" in out
    record = json.loads((run / "config.json").read_text())
    assert record["overrides"] == [
        {
            "step": 4,
            "settings": {
                "train.epochs": {"from": 1, "to": 2},
                "train.on_collapse": {"from": "stop", "to": "ignore"},
            },
        }
    ]
    status, _, err = doggan(*resume, "--override", "train.epochs=1")
    assert status == 2
    assert "less than the 2 epochs" in err
    status, out, _ = doggan(*resume, "--override", "train.epochs=3", "--override", "train.score_every=1")
    assert status == 0
    with (run / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [int(row["step"]) for row in table] == [0, 4, 8, 12]
    assert [row["random-kid"] != "" for row in table] == [False, False, True, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x.npz", "--override", "train.keep=3"), "for a new one use --set"),
        (("--resume", "r", "--out", "b", "--dry-run"), "leave out --out, --dry-run"),
        (("x.npz", "--on-collapse", "explode"), "'explode' is not one of"),
    ],
)
def test_options_that_do_not_go_together_are_refused(doggan, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, _, err = doggan("train", *arguments)
    assert status == 2
    assert message in err
