"""What Python programs and notebooks call, by the same nouns as the command line; all of it is at the top of `doggan`.

Each function imports what it needs, Keras first of all, so that `import doggan` takes no time.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from doggan.startup import load_devices, load_keras

if TYPE_CHECKING:
    from doggan.config import Config
    from doggan.data.imageset import ImageSet
    from doggan.data.summary import DatasetSummary, PrepareSummary
    from doggan.evaluation import Evaluation
    from doggan.runs import Run
    from doggan.runs.submit import Submitted
    from doggan.training.gan import GAN


def prepare(
    source: str | Path, out: str | Path | None = None, *, dataset: str = "stanford-dogs", **options: Any
) -> "PrepareSummary | DatasetSummary":
    """Make one `.npz` file of pictures out of photographs, or of another data set.

    Args:
        source: the folder or file that holds the data set.
        out: the file to write; by default `dogs64.npz`, say, in the current folder.
        dataset: "stanford-dogs" (a crop of every boxed dog), "mnist", "cifar10" or "folder".
        options: size, crop, holdout, fast_decode, strict, workers, progress; see
            `doggan.data.datasets.prepare_dataset`.

    Returns:
        What was written, in counts; its `str` is a report in a few lines, its `out` the file.

    Raises:
        DogganError: an argument is out of range, or `source` or `out` cannot be used.
    """
    from doggan.data.datasets import prepare_dataset

    return prepare_dataset(dataset, source, out, **options)


def load_images(path: str | Path) -> "ImageSet":
    """The pictures that `prepare` wrote.

    Args:
        path: the `.npz`.

    Returns:
        `images` uint8 [N, H, W, C], `labels`, `class_names`, `boxes`, and which of them are held out.

    Raises:
        DogganError: the file is missing, damaged or of another kind.
    """
    from doggan.data.imageset import ImageSet

    return ImageSet.load(path)


def load_recipe(recipe: str, settings: Mapping[str, Any] | None = None) -> "Config":
    """The resolved configuration of a recipe.

    >>> config = load_recipe("dogs-demo", {"train.epochs": 2, "augment.policy": ["color", "translation"]})
    >>> config.train.epochs, config.augment.policy
    (2, ('color', 'translation'))

    Args:
        recipe: the name of a recipe of the package, or the path of a TOML file.
        settings: other values by dotted key.

    Raises:
        DogganError: an unknown recipe or setting (the nearest is named), a wrong type, or a value out of range.
    """
    from doggan.recipes import as_settings
    from doggan.recipes import load_recipe as load

    return load(recipe, as_settings(settings or {}))


def build(recipe: str, images: "ImageSet", settings: Mapping[str, Any] | None = None) -> "GAN":
    """Both networks of a recipe for some pictures, compiled: a `keras.Model` to look at, or to `fit` by yourself.

    Args:
        recipe, settings: as for `load_recipe`.
        images: what it would be trained on; their size, number and classes decide the networks and the schedules.

    Returns:
        The GAN, freshly initialised; its `generator` and `discriminator` are `keras.Model`s too.

    Raises:
        DogganError: settings contradict each other, or do not fit the pictures.
    """
    load_keras()
    from doggan import runs
    from doggan.runs.build import classes_of, training_images

    config = load_recipe(recipe, settings)
    training = training_images(config, images)
    plan = runs.plan_data(config, training)
    shape = (plan.image_size, plan.image_size, training.image_shape[-1])
    return runs.build_gan(config, shape, plan.steps_per_epoch, classes=classes_of(config, training))


def train(
    data: str | Path | None = None,
    recipe: str = "dogs-dcgan",
    settings: Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    resume: "str | Path | Run | None" = None,
    weights: str | Path | None = None,
    hours: float | None = None,
    devices: int | None = 1,
    progress: bool = True,
) -> "Run":
    """Train a recipe, or continue a run; everything about it is in the run's folder.

    Args:
        data: the `.npz` that `prepare` wrote; with `resume` only where that has moved since.
        recipe, settings: as for `load_recipe`; a run that is continued has its own.
        out: the run folder; a new one in `runs/` by default.
        resume: the run to continue, exactly where it stopped.
        weights: the file of the network, where the run is scored on Inception's features.
        hours: stop cleanly after so long.
        devices: how many to train on; None for all.
        progress: show how it goes.

    Returns:
        The run.

    Raises:
        DogganError: nothing is named to train on; settings do not fit the pictures, or the folder holds a run.
        Interrupted: Ctrl-C or SIGTERM ended training; the run is saved, and `resume` continues it.
    """
    import time

    deadline = None if hours is None else time.monotonic() + 3600 * hours
    used = load_devices(devices)
    from doggan import runs
    from doggan.errors import DogganError

    file = None if weights is None else Path(weights)
    if resume is not None:
        run = open_run(resume)
        images = load_images(data or run.data_path)
    elif data is None:
        raise DogganError("Name the .npz that `prepare` wrote, or the run to resume.")
    else:
        images, config = load_images(data), load_recipe(recipe, settings)
        folder = runs.next_folder(Path("runs"), config.recipe) if out is None else Path(out)
        run = runs.start_run(folder, config, images, Path(data), weights=file, devices=used)
    outcome = runs.train(run, images, weights=file, deadline=deadline, progress=progress, devices=used)
    if progress:
        print(f"{run.folder}: {outcome}")
    outcome.raise_if_interrupted()
    return run


def open_run(run: "str | Path | Run") -> "Run":
    """The run in a folder.

    Args:
        run: the folder; a run that is open already is returned as it is.

    Raises:
        DogganError: there is none in that folder, or it was written by a newer doggan.
    """
    load_keras()
    from doggan.runs import Run

    return run if isinstance(run, Run) else Run.open(run)


def sample(
    run: "str | Path | Run",
    n: int = 64,
    *,
    class_name: str | None = None,
    checkpoint: str = "best",
    seed: int = 0,
    truncation: float | None = None,
) -> NDArray[np.uint8]:
    """Pictures from a run's generator.

    Args:
        run: the run, or its folder.
        n: how many.
        class_name: only pictures of this class, where the networks are told classes.
        checkpoint: "best", "newest" or a step number.
        seed: decides z and, where `class_name` is None, the classes.
        truncation: draw z again beyond so many standard deviations.

    Returns:
        uint8 [n, H, W, C], RGB or grey.

    Raises:
        DogganError: the run has no such checkpoint or class.
    """
    from doggan import runs
    from doggan.sampling import sample_pictures

    opened = open_run(run)
    generator, *_ = runs.load_generator(opened, checkpoint)
    if class_name is None:
        classes = opened.draw_classes(n, seed)
    else:
        classes = np.full(n, opened.find_classes([class_name])[0], np.int32)
    return sample_pictures(generator, n, seed=seed, classes=classes, truncation=truncation)


def evaluate(
    source: "str | Path | Run",
    real: str | Path,
    *,
    metrics: Sequence[str] = ("fid", "mifid", "kid", "prdc"),
    extractor: str = "inception",
    cache: bool = True,
    **options: Any,
) -> "Evaluation":
    """Score generated pictures by the protocol that `real` decides.

    Args:
        source: a run, its folder, a zip or folder of pictures, or an `.npz`.
        real: the folder of the competition's photographs (protocol kaggle), another folder, or the `.npz` that
            `prepare` wrote (crops).
        metrics: some of "fid", "mifid", "kid", "prdc", "is".
        extractor: what makes the features: "inception", or "random", "nasnet", "vgg19".
        cache: keep features in the user's cache folder.
        options: weights, precision, split, count, seed, checkpoint, evidence, progress and more; see
            `doggan.evaluation.evaluate`.

    Returns:
        The scores with what they were made with; its `str` is a line for each.

    Raises:
        DogganError: something is missing, damaged or does not fit.
    """
    load_keras()
    from doggan import evaluation
    from doggan.metrics.cache import FeatureCache
    from doggan.runs import Run

    place = source.folder if isinstance(source, Run) else source
    kept = FeatureCache() if cache else None
    return evaluation.evaluate(place, real, metrics=metrics, extractor=extractor, cache=kept, **options)


def submit(run: "str | Path | Run", out: str | Path = "images.zip", **options: Any) -> "Submitted":
    """Write the zip of 10,000 pictures that the competition takes, and check it.

    Args:
        run: the run, or its folder.
        out: the zip to write.
        options: count, checkpoint, raw, bn_samples, truncation, seed, progress; see `doggan.runs.submit.submit`.

    Returns:
        What was written; its `str` is two lines.

    Raises:
        DogganError: the run has no such checkpoint, or makes pictures that the competition does not take.
    """
    from doggan.runs.submit import submit as submit_run

    return submit_run(open_run(run), out, **options)


def report(run: "str | Path | Run", out: str | Path | None = None, **options: Any) -> Path:
    """Write one page about a run that needs nothing beside it: settings, samples through time, curves, scores.

    Args:
        run: the run, or its folder; it need not be finished.
        out: the page to write; `report.html` in the run's folder by default.
        options: see `doggan.reporting.write_report`.

    Returns:
        The page.

    Raises:
        DogganError: there is no run in that folder.
        OSError: the page cannot be written.
    """
    from doggan.reporting import write_report

    return write_report(open_run(run), out, **options)
