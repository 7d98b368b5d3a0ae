"""What every test may use."""

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")


# Files with a few long tests, which must not begin last where two processes share the files.
LONGEST = ("test_jax", "test_devices", "test_demo", "test_parity", "test_kill", "test_memory")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photographs and reference values, which is not part of the repository."""
    folder = Path(os.environ.get("DOGGAN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / "stanford-dogs").is_dir():
        pytest.skip(f"real data not at {folder}; set DOGGAN_TEST_DATA to the folder that holds stanford-dogs/")
    return folder


@pytest.fixture(scope="session")
def real_crops(shared_data):
    """10,290 crops of real dogs, uint8 [N, 64, 64, 3]; only to be read."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("unpack", shared_data / "unpack.py")
    assert spec is not None
    assert spec.loader is not None
    unpack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unpack)
    return unpack.crops("a")[0]


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Nothing is read from the user's cache, nor written into it; the processes that tests start inherit this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOGGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def doggan(monkeypatch, capsys):
    """Run the command in this process: (exit status, stdout, stderr)."""
    from doggan import cli

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["doggan", *map(str, arguments)])
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def tiny_images():
    """An `ImageSet` of 40 pictures 32×32: 32 for training, 8 held out, in two classes of other brightness."""
    import numpy as np

    from doggan.data.imageset import ImageSet

    rng = np.random.default_rng(1)
    labels = (np.arange(40) % 2).astype(np.int32)
    images = rng.integers(0, 120, (40, 32, 32, 3)) + 100 * labels[:, None, None, None]
    return ImageSet(
        images=images.astype(np.uint8),
        labels=labels,
        class_names=("dark", "light"),
        source_ids=np.array([f"photo-{i}" for i in range(40)]),
        boxes=np.zeros((40, 4), np.int32),
        split=(np.arange(40) >= 32).astype(np.uint8),
    )


TINY = """
[generator]
latent_dim = 6
base_size = 8
base_depth = 4
widths = [8, 4]
strides = [2, 2]
batch_norm = [true, true]
dropout = [0.5, 0.0]
bn.momentum = 0.5  # after a few steps its pictures differ already
init.std = 0.2

[discriminator]
widths = [4, 8]
strides = [2, 2]
batch_norm = [false, true]
dropout = [0.0, 0.2]

[train]
epochs = 4
batch_size = 8
samples = 4
score_every = 2
score_samples = 16
"""


@pytest.fixture(scope="session")
def tiny_toml(tmp_path_factory) -> Path:
    """`tiny_recipe`, for fixtures that outlive a test."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture
def tiny_recipe(tmp_path) -> Path:
    """A recipe file for 32×32 pictures that trains in seconds: 4 epochs of 4 steps on `tiny_images`."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture
def tiny64_recipe(tmp_path) -> Path:
    """A recipe file for 64×64 pictures, as `prepare` makes them, that takes a step in milliseconds."""
    text = TINY.replace("base_size = 8", "base_size = 4").replace("strides = [2, 2]", "strides = [4, 4]")
    path = tmp_path / "tiny64.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="session")
def dog_tree(tmp_path_factory) -> Path:
    """A synthetic Stanford-Dogs tree of 24 photographs; only to be read."""
    from doggan.data.synthetic import draw_tree

    folder = tmp_path_factory.mktemp("dogs") / "stanford-dogs"
    draw_tree(folder, 24, seed=0, progress=False)
    return folder


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, dog_tree, tiny_toml):
    """A run that trained 3 epochs on the drawn dogs of `dog_tree`, 32×32, told their breeds; only to be read."""
    import doggan

    folder = tmp_path_factory.mktemp("finished")
    prepared = doggan.prepare(dog_tree, folder / "dogs32.npz", size=32, holdout=0.25, progress=False)
    told = {"generator.condition": "embedding", "discriminator.condition": "projection", "train.epochs": 3}
    return doggan.train(prepared.out, str(tiny_toml), told, out=folder / "run", progress=False)


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window; `browser.new_page()` is a page in it."""
    import shutil

    playwright = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium on the PATH; install it (Debian: apt-get install chromium) to test pages in it")
    quiet = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync")
    with playwright.sync_playwright() as engine:
        opened = engine.chromium.launch(executable_path=path, args=[*quiet, "--no-first-run", "--disable-gpu"])
        yield opened
        opened.close()
