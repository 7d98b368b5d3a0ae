"""A run whose networks are told classes: batches carry them, it knows them again, and what does not fit is refused."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image
from run_checks import assert_equal_runs, stop_at, unasked

from doggan.config import Config, Sampling
from doggan.data.classes import Classes
from doggan.data.imageset import ImageSet
from doggan.errors import DogganError
from doggan.recipes import load_recipe
from doggan.runs import Run, load_generator, plan_data, start_run, train
from doggan.runs.fitting import fitting_recipes
from doggan.runs.stop import Stop
from doggan.sampling import sample_of_classes, sample_pictures

CONDITIONAL = ("generator.condition=batch_norm", "discriminator.condition=projection", "discriminator.head=sum")
CONCATENATED = ("generator.condition=one_hot", "discriminator.condition=embedding", "train.fake_labels=uniform")


@pytest.mark.usefixtures("fast")
def test_a_conditional_run_resumes_exactly_and_knows_its_classes(start, tiny_images, monkeypatch):
    whole, parts = start("whole", *CONDITIONAL), start("parts", *CONDITIONAL)
    train(whole, tiny_images, progress=False)
    monkeypatch.setattr(Stop, "on_train_batch_end", stop_at(6))
    monkeypatch.setattr(Stop, "leaves_time", unasked)
    train(parts, tiny_images, progress=False)
    monkeypatch.undo()
    again = Run.open(parts.folder)
    assert again.classes == whole.classes == Classes(("dark", "light"), (16, 16))
    train(again, tiny_images, progress=False)
    assert_equal_runs(whole, again)


def test_samples_are_of_the_classes_that_the_run_says(start, tiny_images):
    few_light = tiny_images.select((np.arange(40) % 2 == 0) | (np.arange(40) < 4))
    given = start("run", *CONDITIONAL)
    config = given.config
    run = start_run(given.folder.parent / "few", config, few_light, given.data_path)
    alike = dataclasses.replace(config, sampling=Sampling(classes="uniform"))
    counts = [
        np.bincount(dataclasses.replace(run, config=each).draw_classes(1000, seed=0))[1] for each in (config, alike)
    ]
    assert counts[0] < 200  # 2 of 18 pictures are light
    assert 400 < counts[1] < 600


@pytest.mark.usefixtures("fast")
def test_where_batches_are_made_does_not_matter(start, tiny_images):
    runs = [start(place, *CONCATENATED, f"data.place={place}", "train.score_every=0") for place in ("host", "device")]
    for run in runs:
        train(run, tiny_images, progress=False)
    weights = [load_generator(run, "newest")[0].get_weights() for run in runs]
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("fast")
def test_it_learns_what_the_classes_are(start, tiny_images):
    """One class is dark and the other light: after some steps the pictures asked for are too."""
    rates = ("g_optimizer.lr=5e-3", "d_optimizer.lr=5e-3", "lr.schedule=constant", "ema.half_life=0")
    run = start(
        "run", *CONDITIONAL, *rates, "train.epochs=40", "train.score_every=0", "labels=published",
        "sampling.bn_samples=20",
    )  # fmt: skip
    train(run, tiny_images, progress=False)
    generator, *_ = load_generator(run, "newest")
    dark, light = sample_of_classes(generator, [0, 1], 16, seed=0)
    assert light.mean() - dark.mean() > 30  # of real ones 100
    mixed = sample_pictures(generator, 16, seed=0, classes=np.arange(16, dtype=np.int32) % 2)
    np.testing.assert_allclose(mixed[1::2], light[1::2], atol=1)
    assert load_generator(run, "newest", bn_samples=None)[2].endswith("batch norm re-estimated on 20 z")


def test_other_labels_are_other_pictures(start, tiny_images):
    run = start("run", *CONDITIONAL)
    swapped = dataclasses.replace(tiny_images, labels=1 - tiny_images.labels)
    with pytest.raises(DogganError, match="was trained on other pictures"):
        train(run, swapped, progress=False)
    unconditional = start("plain")
    assert unconditional.classes is None
    unconditional.check_pictures(unconditional.data_hash)
    assert run.data_hash != unconditional.data_hash


def test_runs_of_an_older_doggan_open(start):
    run = start("run")
    path = run.folder / "config.json"
    record = json.loads(path.read_text())
    del record["classes"]
    for section, key in (("generator", "condition"), ("train", "reuse_z")):
        del record["config"][section][key]
    path.write_text(json.dumps(record))
    assert Run.open(run.folder) == run


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("generator.condition=one_hot",), "either both networks are told the class, or neither"),
        ((*CONDITIONAL, "train.replay=8"), "conditional networks need train.replay=0"),
        (("train.fake_labels=data",), "is for conditional networks"),
        (("train.reuse_z=true",), "train.reuse_z needs train.update=alternating"),
        (("train.squash=true",), "train.squash is for the loss lsgan, and not for bce"),
        ((*CONDITIONAL, "generator.batch_norm=[false, false]"), "needs a layer with batch norm"),
        (("generator.attention=[1]", "generator.widths=[12, 4]"), "needs a multiple of 8"),
        (("generator.attention=[3]",), "must name some of the layers 1 to 2"),
        (("generator.head_stride=2",), "is of generator.head = conv"),
        (
            (
                "generator={ network = 'mlp', widths = [8], batch_norm = [true], dropout = [0.0] }",
                "data.random_crop=true",
            ),
            "data.random_crop cuts pictures .* 'mlp' makes any",
        ),
        (("generator.network=mlp", "generator.widths=[8, 4]"), "is not a setting that generator.network = 'mlp' reads"),
    ],
)
def test_settings_that_do_not_fit(start, overrides, message):
    with pytest.raises(DogganError, match=message):
        start("run", *overrides)


def test_pictures_without_classes_are_answered_with_recipes_that_fit(tiny_images, tmp_path):
    bare = dataclasses.replace(tiny_images, labels=None, class_names=())
    config = Config(recipe="mine", generator=dataclasses.replace(Config().generator, condition="one_hot"))
    config = dataclasses.replace(config, discriminator=dataclasses.replace(config.discriminator, condition="one_hot"))
    with pytest.raises(DogganError, match=r"Recipe mine is told the classes .* a recipe that fits: folder-dcgan\."):
        start_run(tmp_path / "run", config, bare, tmp_path / "bare.npz")
    assert not (tmp_path / "run").exists()


def test_pictures_of_another_framing_are_refused_where_a_recipe_has_one(start, tiny_images):
    boxes = start("boxes", "data.crop=box").config
    for crop in ("", "box", "whole", "center"):  # whole: pictures that were cut out before, as far as one can tell
        plan_data(boxes, dataclasses.replace(tiny_images, crop=crop))
    square = dataclasses.replace(tiny_images, crop="square")
    with pytest.raises(DogganError, match=r"crop 'box' and these are of 'square'; prepare them with --crop box, or"):
        plan_data(boxes, square)
    plan_data(start("any").config, square)
    with pytest.raises(DogganError, match=r"data\.size = 40 is not the 32 px of the networks"):
        plan_data(start("large", "data.size=40").config, square)
    with pytest.raises(DogganError, match=r"stored at 40 px and these have 32; prepare them with --size 40"):
        plan_data(start("stored", "data.size=40", "data.random_crop=true").config, square)


def test_whole_photographs_are_told_from_whole_pictures_by_their_ids(start, tiny_images):
    boxes, whole = start("boxes", "data.crop=box").config, start("whole", "data.crop=whole").config

    def named(form, **changes):
        ids = np.array([form.format(i) for i in range(40)])
        return dataclasses.replace(tiny_images, crop="whole", source_ids=ids, **changes)

    photographs = named("n02085620_{}")
    with pytest.raises(DogganError, match=r"crop 'box' and these are of 'whole'; prepare them with --crop box, or"):
        plan_data(boxes, photographs)
    plan_data(whole, photographs)
    plan_data(boxes, named("n02085620-Chihuahua/n02085620_{}"))  # a folder with classes
    plan_data(boxes, named("n02085620_{}", labels=None, class_names=()))  # a folder without
    plan_data(boxes, named("train-{:05d}"))  # mnist


def test_whole_photographs_at_96_px_are_seen_by_random_windows_of_64(tiny_images):
    config = load_recipe("dogs-best-whole", ("data.size=96", "data.random_crop=true", "train.batch_size=32"))
    photographs = dataclasses.replace(
        tiny_images.training(), images=np.zeros((32, 96, 96, 3), np.uint8), crop="whole",
        source_ids=np.array([f"n02085620_{i}" for i in range(32)]),
    )  # fmt: skip
    plan, again = plan_data(config, photographs), plan_data(config, photographs)
    assert (plan.stored_size, plan.image_size) == (96, 64)
    window = plan.draw(7).window
    np.testing.assert_array_equal(window, again.draw(7).window)
    assert not np.array_equal(window, plan.draw(8).window)
    assert set(np.unique(window[:, :2])) <= set(range(33))  # whole pixels, from edge to edge
    with pytest.raises(DogganError, match=r"data\.size = 96 is not the 64 px of the networks"):
        plan_data(load_recipe("dogs-best-whole", ("data.size=96",)), photographs)


def test_recipes_that_fit(tiny_images):
    many = tiny_images.select(np.arange(640) % 40)
    bare = dataclasses.replace(many, labels=None, class_names=())
    large = dataclasses.replace(bare, images=np.zeros((640, 128, 128, 1), np.uint8))
    told = ["cifar10-csagan", "dogs-cpu", "mnist-cgan", "mnist-lsgan"]
    others = ["cifar10-dcgan", "cifar10-sagan", "folder-dcgan", "mnist-dcgan", "mnist-gan"]
    assert fitting_recipes(many) == sorted([*told, *others])
    assert fitting_recipes(bare) == others
    assert fitting_recipes(large) == ["folder-dcgan", "mnist-gan"]
    assert fitting_recipes(tiny_images) == ["dogs-cpu", "folder-dcgan"]  # the others' batches are larger
    assert fitting_recipes(dataclasses.replace(tiny_images, crop="square")) == ["folder-dcgan"]  # dogs-cpu: boxes


def test_pictures_of_another_size_are_answered_with_recipes_that_fit(tiny_images, tmp_path):
    with pytest.raises(
        DogganError, match=r"are 32 px wide .* recipe dogs-dcgan makes 64 px; .* that fits: dogs-cpu, folder-dcgan"
    ):
        start_run(tmp_path / "run", Config(), tiny_images, tmp_path / "tiny.npz")


def test_the_command_line_samples_by_class(doggan, tiny_images, tiny_recipe, tmp_path):
    images = dataclasses.replace(tiny_images, images=tiny_images.images[..., :1])  # grey, as digits are
    data, run, sheet = tmp_path / "tiny.npz", tmp_path / "run", tmp_path / "sheet.png"
    images.save(data)
    settings = [
        part for setting in (*CONDITIONAL, "train.epochs=2", "train.score_every=1") for part in ("--set", setting)
    ]
    assert doggan("train", data, "-r", tiny_recipe, "-o", run, *settings, "-q")[0] == 0
    status, out, _ = doggan("sample", run, "-o", sheet)
    assert (status, out) == (0, f"8 samples of each of 2 classes of step 8, averaged weights: {sheet}\n")
    with Image.open(sheet) as picture:
        assert picture.height > 2 * 64
    status, out, _ = doggan("sample", run, "-o", sheet, "--class", "Light", "--n", 9)
    assert (status, out) == (0, f"9 samples of class light of step 8, averaged weights: {sheet}\n")
    with Image.open(sheet) as picture:
        assert picture.size == (3 * 32 + 4, 3 * 32 + 4)
    status, _, err = doggan("sample", run, "--class", "grey")
    assert status == 2
    assert "There is no class 'grey'" in err
    with Image.open(run / "samples" / "latest.png") as picture:  # 4 samples: a column for each of the 2 classes
        assert picture.size == (2 * 32 + 2, 2 * 32 + 2)
    status, out, _ = doggan("evaluate", run, "--real", data, "--extractor", "random", "--metrics", "kid", "--count", 50)
    assert status == 0
    status, out, _ = doggan("train", data, "-r", tiny_recipe, *settings, "--dry-run")
    assert status == 0
    assert "discriminator parameters" in out


def test_a_run_without_classes_takes_none(doggan, start, tiny_images):
    run = start("run", "train.epochs=1", "train.score_every=0")
    train(run, tiny_images, progress=False)
    status, _, err = doggan("sample", run.folder, "--class", "dark")
    assert status == 2
    assert "are told no classes; leave out --class" in err


def test_every_class_may_be_absent_but_one(start, tiny_images):
    """`uniform` never asks for a class without pictures."""
    three = ImageSet(tiny_images.images, tiny_images.labels * 2, ("dark", "none", "light"),
                     tiny_images.source_ids, tiny_images.boxes, tiny_images.split)  # fmt: skip
    classes = Classes.of(three.training())
    assert classes.shares("uniform").tolist() == [0.5, 0.0, 0.5]
