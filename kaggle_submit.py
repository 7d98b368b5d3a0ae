"""The whole path under Kaggle's rules: prepare, train within a time budget, write images.zip, score it.

In a kernel, with the package installed from a wheel under /kaggle/input:

    !python kaggle_submit.py --hours 8.5

Reads the input only, needs no internet, leaves images.zip at the top of the output and well under 500 files in all.
Run again with the same output, it continues where it stopped.
"""

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import keras

from doggan import cli
from doggan.cli.options import devices_option
from doggan.config import Config
from doggan.data.archives import extract
from doggan.data.imageset import ImageSet
from doggan.data.layout import find_layout
from doggan.data.prepare import prepare
from doggan.devices import ONE, Devices, open_devices
from doggan.errors import DogganError
from doggan.evaluation import Evaluation, Generated, score
from doggan.metrics.inception import Inception, find_inception, load_inception
from doggan.metrics.pace import TimeUp
from doggan.metrics.protocols import kaggle_set
from doggan.metrics.scores import check_metrics
from doggan.recipes import load_recipe
from doggan.runs import Run, build_generator, load_generator, scores_wanted, start_run, train
from doggan.runs.fitting import made_size
from doggan.sampling import BATCH_SIZE, generate, sampling_rate
from doggan.submission import check_submission, read_submission, write_submission
from doggan.training.statistics import batch_norms, reestimate

MOST_SHEETS = 200  # sample sheets; with the rest, far below the 500 files that Kaggle keeps
SCORING_SHARE = 0.25  # of the budget: scoring that would take more is left out
CLOSING = 20.0  # seconds for what training does after its last score: sheet, figures, checkpoints, GIF
ENDING = 90.0  # seconds for the matrix work that follows the last network pass, on two slow cores
PICTURES_PER_SECOND = 1000  # encoded, written and checked, beside the forward pass; two slow cores do more
MARGIN = 1.2  # on every estimate of time
METRICS = ("mifid", "fid")  # what the competition scored; others take time that the budget does not reserve
ARCHIVES = ("all-dogs.zip", "annotation.zip")  # how the competition's data may lie in the input, in any case
MOST_UNPACKED = 4_000_000_000  # bytes of one archive


@dataclass(frozen=True)
class Reserve:
    """Seconds kept free at the end of the budget: to close the run and write the zip, and to score it."""

    sampling: float
    scoring: float

    @property
    def seconds(self) -> float:
        return self.sampling + self.scoring


def kaggle_submit(
    source: Path,
    output: Path,
    *,
    hours: float,
    recipe: str = "dogs-dcgan",
    overrides: tuple[str, ...] = (),
    count: int = 10_000,
    bn_samples: int | None = None,
    devices: Devices = ONE,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Evaluation | None:
    """Prepare → train → submit → score within `hours` of wall clock from now.

    Training and its own scores end when what is left is needed for sampling and scoring the zip. The zip is always
    written whole, even if the budget ends while sampling; scoring is left out, and says so, where it would not end in
    time.

    Args:
        source: holds the photographs and annotations, and the Inception weights for the score, which the recipe may use
            while training too; only read.
        output: gets images.zip, the prepared crops and the run folder.
        hours: wall-clock budget.
        recipe, overrides: what to train; see `doggan.recipes.load_recipe`.
        count: pictures in the zip.
        bn_samples: z that batch norm's statistics are re-estimated on before sampling; 0 takes those of training, None
            does what the recipe says.
        devices: those to train on.
        progress: show bars and epoch lines.
        say: takes each line of the report.

    Returns:
        The score, or None where there was no network or no time for it.

    Raises:
        DogganError: the input lacks what the recipe needs, or the generator has no batch norm to re-estimate; nothing
            was trained then.
        Interrupted: Ctrl-C or SIGTERM ended training; the zip is written, and not scored.
    """
    deadline = time.monotonic() + 3600 * hours
    output.mkdir(parents=True, exist_ok=True)
    config = _with_few_sheets(recipe, overrides)
    if bn_samples is None:
        bn_samples = config.sampling.bn_samples
    zip_path = output / "images.zip"
    inception = _find_network(source, config, say)
    with _unpacked(source, say) as folder:
        data_path, size, crop = _framing(config, output)
        if not data_path.exists():
            say(str(prepare(folder, data_path, size=size, crop=crop, progress=progress)))
        data = ImageSet.load(data_path)
        photographs = list(find_layout(folder).photographs.values())

        weights = inception.source if inception is not None and _trains_with_inception(config) else None
        run = _open_run(output / "run", config, data, data_path, weights, devices)
        reserve = _reserve(run, inception, count, bn_samples, len(photographs), deadline, say)
        until = deadline - reserve.seconds
        outcome = train(run, data, weights=weights, deadline=until, progress=progress, devices=devices)
        say(str(outcome))
        _write_zip(run, zip_path, count, bn_samples, progress, say)
        outcome.raise_if_interrupted()
        if inception is None or reserve.scoring == 0:
            return None
        return _score(zip_path, count, photographs, inception, deadline - ENDING, progress, say)


def _with_few_sheets(recipe: str, overrides: tuple[str, ...]) -> Config:
    """The recipe, with sample sheets so rarely that they stay far below the number of files that Kaggle keeps."""
    config = load_recipe(recipe, overrides)
    if config.train.sample_every == 0:
        return config
    sample_every = max(config.train.sample_every, math.ceil(config.train.epochs / MOST_SHEETS))
    return load_recipe(recipe, (*overrides, f"train.sample_every={sample_every}"))


def _framing(config: Config, output: Path) -> tuple[Path, int, str]:
    """The file of prepared pictures, their side and their crop rule, as the recipe is meant for them."""
    crop = "square" if config.data.crop == "any" else config.data.crop
    size = config.data.size or made_size(config) or 64
    name = "dogs64.npz" if (size, crop) == (64, "square") else f"dogs{size}-{crop}.npz"
    return output / name, size, crop


def _trains_with_inception(config: Config) -> bool:
    return config.train.extractor == "inception" and scores_wanted(config)


def _open_run(
    folder: Path, config: Config, data: ImageSet, data_path: Path, weights: Path | None, devices: Devices
) -> Run:
    """The run of an earlier call with the same output, or a new one."""
    if not (folder / "config.json").exists():
        return start_run(folder, config, data, data_path, weights=weights, devices=devices)
    run = Run.open(folder)
    run.check_settings(config)
    return run


def _write_zip(run: Run, path: Path, count: int, bn_samples: int, progress: bool, say: Callable[[str], None]) -> None:
    generator, step, weights = load_generator(run, bn_samples=bn_samples, progress=progress)
    seed = run.config.seed
    write_submission(
        generate(generator, count, seed=seed, classes=run.draw_classes(count, seed), progress=progress), path, count
    )
    try:
        say(f"{check_submission(path, count)} (step {step}, {weights})")
    except DogganError as error:  # pictures that repeat: the zip stays, so that the kernel still has an output
        say(str(error))


def _score(
    zip_path: Path,
    count: int,
    photographs: list[Path],
    inception: Inception,
    deadline: float,
    progress: bool,
    say: Callable[[str], None],
) -> Evaluation | None:
    try:
        generated = Generated(read_submission(zip_path, count))
        result = score(
            generated, kaggle_set(photographs), inception, metrics=METRICS, progress=progress, deadline=deadline
        )
    except TimeUp as error:
        say(f"not scored, the time is up: {error}")
        return None
    except DogganError as error:  # one picture only, or photographs that cannot be read: the zip is there all the same
        say(f"not scored: {error}")
        return None
    say(str(result))
    return result


@contextmanager
def _unpacked(source: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """`source`; or, where it holds the competition's zips instead of folders, a temporary folder with their content."""
    archives = {path.name.lower(): path for path in sorted(source.rglob("*.zip")) if path.name.lower() in ARCHIVES}
    if len(archives) < len(ARCHIVES):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="doggan-") as folder:
        for name, path in archives.items():
            say(f"unpacking {path}")
            inside = Path(folder) / name.removesuffix(".zip")
            inside.mkdir()
            extract(path, inside, limit=MOST_UNPACKED)
        yield Path(folder)


def _find_network(source: Path, config: Config, say: Callable[[str], None]) -> Inception | None:
    """What scores the zip, or None. A score is not worth losing the submission for, unless training needs it too."""
    needed = _trains_with_inception(config)
    path = find_inception(source)
    if path is None:
        missing = f"no Inception weights under {source}; add the data set with classify_image_graph_def.pb"
        if needed:
            raise DogganError(f"There are {missing}, or leave train.extractor=inception out.")
        say(f"not scored: {missing}")
        return None
    try:
        network = load_inception(path)
    except DogganError as error:
        if needed:
            raise
        say(f"not scored: {error}")
        return None
    if needed:
        check_metrics(config.train.metrics, network)
    return network


def _reserve(
    run: Run,
    inception: Inception | None,
    count: int,
    bn_samples: int,
    n_photographs: int,
    deadline: float,
    say: Callable[[str], None],
) -> Reserve:
    """How long sampling and scoring the zip will take, by trying each on a few pictures.

    The scores of training are not among it: `train` ends them by the deadline that it is given.
    """
    generator = build_generator(run.config, run.image_shape, run.classes)
    rate = sampling_rate(generator)
    pictures = count + run.config.train.samples
    sampling = MARGIN * (pictures / rate + count / PICTURES_PER_SECOND + CLOSING)
    if bn_samples:
        sampling += MARGIN * _reestimating(run, generator, bn_samples, rate)
    if inception is None:
        return Reserve(sampling, 0.0)
    left = deadline - time.monotonic() - sampling
    few = next(generate(generator, 50, seed=0, classes=run.draw_classes(50, 0), batch_size=50))
    inception.features(few)  # compiles
    start = time.monotonic()
    inception.features(few)
    scoring = MARGIN * (time.monotonic() - start) / len(few) * (count + n_photographs) + ENDING
    if scoring > SCORING_SHARE * left:
        say(f"not scored: it would take about {scoring / 60:.0f} of the {left / 60:.0f} minutes")
        return Reserve(sampling, 0.0)
    return Reserve(sampling, scoring)


def _reestimating(run: Run, generator: keras.Model, bn_samples: int, rate: float) -> float:
    """Seconds to re-estimate batch norm: compiling, by trying it; then a pass per layer, the whole network at most."""
    start = time.monotonic()
    # In a few calls each, or TensorFlow warns of compiling at every other one.
    reestimate(generator, BATCH_SIZE, seed=0, batch_size=BATCH_SIZE // 4, classes=run.draw_classes(BATCH_SIZE, 0))
    return time.monotonic() - start + len(batch_norms(generator)) * bn_samples / rate


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--input", "source", type=click.Path(path_type=Path), default=Path("/kaggle/input"), help="Only read.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("/kaggle/working"), help="Gets images.zip.")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), default=8.5, help="Wall-clock budget.")
@click.option("--recipe", default="dogs-dcgan", help="Name of a recipe, or a .toml file.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting; may be repeated.")
@click.option("--count", type=click.IntRange(min=1), default=10_000, help="Pictures in the zip.")
@click.option("--bn-samples", type=click.IntRange(min=0), default=None, help="z to re-estimate batch norm on; 0: do "
              "not. By default what the recipe says.")  # fmt: skip
@devices_option
@click.option("--quiet", "-q", is_flag=True, help="No bars, no epoch lines.")
def command(
    source: Path,
    output: Path,
    hours: float,
    recipe: str,
    overrides: tuple[str, ...],
    count: int,
    bn_samples: int | None,
    devices: int | None,
    quiet: bool,
) -> None:
    """Prepare, train within the budget, write images.zip and score it."""
    kaggle_submit(
        source,
        output,
        hours=hours,
        recipe=recipe,
        overrides=overrides,
        count=count,
        bn_samples=bn_samples,
        devices=open_devices(devices),
        progress=not quiet,
        say=lambda text: click.echo(text),
    )


if __name__ == "__main__":
    cli.main(command)
