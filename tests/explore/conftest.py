"""Runs that were not trained, which is enough for what looks at their networks."""

import numpy as np
import pytest

from doggan.data.imageset import ImageSet

TOLD = """
[generator]
latent_dim = 6
base_size = 8
base_depth = 4
widths = [8, 8]
strides = [2, 2]
batch_norm = [true, true]
dropout = [0.0, 0.0]
condition = "one_hot"
init.std = 0.5

[discriminator]
widths = [8, 8]
strides = [2, 2]
batch_norm = [false, true]
dropout = [0.0, 0.0]
condition = "projection"

[train]
epochs = 1
batch_size = 8
samples = 4
score_every = 0
"""


@pytest.fixture(scope="session")
def told_run(tmp_path_factory):
    """A run before its first step, whose networks are told classes."""
    from doggan.recipes import load_recipe
    from doggan.runs import start_run
    from doggan.runs.build import build_gan

    folder = tmp_path_factory.mktemp("runs")
    recipe = folder / "told.toml"
    recipe.write_text(TOLD)
    images = ImageSet(
        images=np.zeros((16, 32, 32, 3), np.uint8),
        labels=(np.arange(16) % 2).astype(np.int32),
        class_names=("n02113624-toy_poodle", "n02099601-golden_retriever"),
        source_ids=np.array([f"photo-{i}" for i in range(16)]),
        boxes=np.zeros((16, 4), np.int32),
        split=np.zeros(16, np.uint8),
    )
    started = start_run(folder / "told", load_recipe(str(recipe)), images, folder / "tiny.npz")
    started.checkpoints.save(build_gan(started.config, started.image_shape, 2, classes=started.classes))
    return started.folder


@pytest.fixture(scope="session")
def start_untrained(tmp_path_factory, tiny_toml):
    """Pictures uint8 [N, 32, 32, 3], the first of two classes in turn, and how many train → a conditional run on them.

    It has the checkpoint of before its first step; the others are held out.
    """
    from doggan.recipes import load_recipe
    from doggan.runs import start_run
    from doggan.runs.build import build_gan, plan_data

    def start(pictures, n_training):
        folder, n = tmp_path_factory.mktemp("runs"), len(pictures)
        images = ImageSet(
            images=pictures.astype(np.uint8),
            labels=(np.arange(n) % 2).astype(np.int32),
            class_names=("dark", "light"),
            source_ids=np.array([f"photo-{i}" for i in range(n)]),
            boxes=np.zeros((n, 4), np.int32),
            split=(np.arange(n) >= n_training).astype(np.uint8),
        )
        images.save(folder / "tiny.npz")
        settings = ("train.score_every=0", "generator.condition=one_hot", "discriminator.condition=one_hot")
        config = load_recipe(str(tiny_toml), settings)
        run = start_run(folder / "run", config, images, folder / "tiny.npz")
        plan = plan_data(config, images.training())
        run.checkpoints.save(build_gan(config, run.image_shape, plan.steps_per_epoch, classes=run.classes))
        return run

    return start
