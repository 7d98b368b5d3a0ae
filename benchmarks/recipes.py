"""Every recipe of the package at its full width, on real files and by the command line: does it work, and how fast?

    python benchmarks/recipes.py --data FOLDER --work FOLDER [--only NAME ...] [--python PYTHON]

FOLDER of `--data` holds `mnist/` (the four idx files), `cifar10/*.bin.gz` (binary records),
`facades/facades-120.zip` (pictures) and `stanford-dogs/` (`all-dogs-450.zip` and `annotation.tar.xz`). Each data set is
prepared once. A recipe then goes the whole way of a user:

* `train`: 20 steps over two epochs or more, with the recipe's own networks, batches and losses; only how long it
  trains, on how many pictures, and how often it draws, saves and scores is set. When the first epoch is in metrics.csv
  and its checkpoint is there, the process gets SIGINT, and must end with status 130;
* `train --resume` to the last step;
* `sample`, where the networks are told classes also of one class; `evaluate`, against the held-out pictures where there
  are such; of dogs `submit` and `check`.

A row of the table comes as soon as its recipe is done; the last lines of what failed are printed after the table. The
time of a step is the median over the epochs but those that begin a process, which trace the step. The exit status is 1
if a recipe failed.
"""

import argparse
import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from PIL import Image
from prepare import unpack as unpack_dogs

from doggan.config import Config
from doggan.data.imageset import ImageSet
from doggan.recipes import load_about, load_recipe, recipe_names
from doggan.startup import load_keras

STEPS, SUBMITTED = 20, 100
SUBMITTED_SIDE = 64  # pixels
SCORED = 64  # pictures
KID = "random-kid"
LAST_LINES = 15
COLUMNS = ("recipe", "data", "parameters of G + D", "s a step", "images/s", "stopped at", f"{KID}, step 0 → {STEPS}",
           "status")  # fmt: skip


class Failure(Exception):
    """A command did not do what it should; the message says which, and how it ended."""


@dataclass(frozen=True)
class Doggan:
    """The command, run by `python` in `work`, with the cache there too."""

    python: str
    work: Path

    def start(self, log: Path, *arguments: object) -> "subprocess.Popen[bytes]":
        """A process that writes what it says into `log`."""
        with log.open("wb") as file:
            return subprocess.Popen(
                [self.python, "-m", "doggan", *map(str, arguments)],
                cwd=self.work,
                env={**os.environ, "DOGGAN_CACHE": str(self.work / "cache")},
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def __call__(self, *arguments: object) -> str:
        """What the command prints.

        Raises:
            Failure: its exit status is not 0.
        """
        log = self.work / "command.log"
        status = self.start(log, *arguments).wait()
        said = log.read_text()
        check(status == 0, f"doggan {arguments[0]} ended with status {status}", said)
        return said


def check(holds: bool, what: str, said: str = "") -> None:
    """Raise `Failure` with the end of what was said, if it does not hold."""
    if not holds:
        raise Failure("\n    ".join([what, *said.rstrip().splitlines()[-LAST_LINES:]]))


def prepared(name: str, data: Path, doggan: Doggan) -> Path:
    """The .npz that a recipe is meant for, of "mnist", "cifar10", "folder" or "dogs", dogs in its framing."""
    kind = name.partition("-")[0]
    crop = load_recipe(name).data.crop
    size = load_about(name).image[0]
    framing = ["--size", size, *(["--crop", crop] if crop != "any" else [])] if kind == "dogs" else []
    out = doggan.work / "-".join(map(str, [kind, *framing[1::2]]))
    out = out.with_name(f"{out.name}.npz")
    if out.exists():
        return out
    if kind == "mnist":
        source, dataset = data / "mnist", "mnist"
    elif kind == "cifar10":
        (source,), dataset = (data / "cifar10").glob("*.bin.gz"), "cifar10"
    else:
        source, dataset = doggan.work / kind, {"folder": "folder", "dogs": "stanford-dogs"}[kind]
        shutil.rmtree(source, ignore_errors=True)  # of a run before that was stopped here
        if kind == "dogs":
            unpack_dogs(data, source, copies=1)
        else:
            with zipfile.ZipFile(data / "facades" / "facades-120.zip") as archive:
                archive.extractall(source)
    print(doggan("prepare", source, "--dataset", dataset, *framing, "-o", out, "--quiet"), end="", file=sys.stderr)
    return out


def epochs_of(config: Config, pictures: int) -> tuple[int, int]:
    """(epochs, steps in each) that make `STEPS` with this recipe's batches."""
    batch = config.train.batch_size * config.train.d_steps
    per_epoch = next(steps for steps in (5, 4, 2, 1) if steps * batch <= max(pictures, batch))
    return STEPS // per_epoch, per_epoch


def metrics(run: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv so far."""
    path = run / "metrics.csv"
    return list(csv.DictReader(path.open())) if path.exists() else []


def train(doggan: Doggan, data: Path, run: Path, config: Config, pictures: int) -> tuple[int | None, list[float]]:
    """Train, stop, resume to the end.

    Returns:
        The step it was stopped at, None if it was at its end before it could be, and the times of its steps.
    """
    epochs, per_epoch = epochs_of(config, pictures)
    settings = {
        "data.n_images": per_epoch * config.train.batch_size * config.train.d_steps,
        "train.epochs": epochs,
        "train.checkpoint_every": 1,
        "train.sample_every": 1,
        "train.score_every": epochs,
        "train.score_samples": SCORED,
    }
    options = [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]
    log = doggan.work / "train.log"
    process = doggan.start(log, "train", data, "--recipe", config.recipe, "--out", run, *options)
    while process.poll() is None:
        has_epoch = any(int(row["epoch"]) >= 1 for row in metrics(run))
        if has_epoch and any((run / "checkpoints").glob("*")):
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.02)
    status, said = process.wait(), log.read_text()
    stopped = None
    if f"trained all {STEPS} steps" not in said:
        check(status == 130, f"doggan train ended with status {status}, not with 130 after SIGINT", said)
        stopped = int(said.partition("stopped at step ")[2].split()[0])
        check(per_epoch <= stopped < STEPS, f"it stopped at step {stopped}", said)
    said = doggan("train", "--resume", run)
    check(f"trained all {STEPS} steps" in said, "doggan train --resume did not end with the last step", said)
    begun = {1} | ({stopped // per_epoch + 1} if stopped is not None else set())
    whole = [row for row in metrics(run) if row["seconds"] and int(row["epoch"]) not in begun | {0}]
    return stopped, [float(row["seconds"]) / per_epoch for row in whole]


def check_picture(path: Path, frames: int = 1) -> None:
    """Refuse a picture that is not there, cannot be read, or has fewer frames."""
    check(path.exists(), f"{path.name} is missing")
    with Image.open(path) as picture:
        picture.load()
        check(getattr(picture, "n_frames", 1) >= frames, f"{path.name} has fewer than {frames} frames")


def use(doggan: Doggan, data: Path, run: Path, config: Config, images: ImageSet) -> None:
    """What one does with a trained run."""
    check_picture(run / "samples.gif", frames=2)
    sheet = run / "sheet.png"
    doggan("sample", run, "--out", sheet)
    check_picture(sheet)
    if config.generator.condition != "none" and "--class" in doggan("sample", "--help"):
        of_one = run / "class.png"
        doggan("sample", run, "--class", images.class_names[0], "--n", 16, "--out", of_one)
        check_picture(of_one)
    # KID takes time with the square of the pictures: minutes for the 60,000 that MNIST trains on.
    split = "heldout" if len(images.heldout()) else "train"
    # On so few z: a recipe's own thousands take half an hour of two cores.
    few = ["--bn-samples", SCORED] if config.sampling.bn_samples else []
    said = doggan("evaluate", run, "--real", data, "--split", split, "--extractor", "random", "--metrics", "kid,fid",
                  "--count", SCORED, *few, "--json", "--quiet")  # fmt: skip
    scores = json.loads(said.splitlines()[-1])
    check(all(math.isfinite(value) for value in numbers(scores)), "a score is not a number", said)
    if config.recipe.startswith("dogs-") and images.image_shape[0] == SUBMITTED_SIDE:
        archive = run / "images.zip"
        doggan("submit", run, "--count", SUBMITTED, "--out", archive, *few, "--quiet")
        doggan("check", archive, "--count", SUBMITTED)


def numbers(value: Any) -> list[float]:
    """All of them in what JSON gave."""
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, int | float) else []


def parameters(run: Path) -> str:
    """Of both networks, in millions."""
    load_keras()
    from doggan.runs import Run
    from doggan.runs.build import build_discriminator, build_generator

    opened = Run.open(run)
    networks = [build(opened.config, opened.image_shape, opened.classes) for build in
                (build_generator, build_discriminator)]  # fmt: skip
    return " + ".join(f"{network.count_params() / 1e6:.2f}" for network in networks) + " M"


def row_of(name: str, data: Path, doggan: Doggan) -> tuple[object, ...]:
    """Do all with one recipe, and say how it went."""
    config, images = load_recipe(name), ImageSet.load(data)
    height, width, channels = images.image_shape
    run = doggan.work / "runs" / name
    shutil.rmtree(run, ignore_errors=True)
    stopped, times = train(doggan, data, run, config, len(images.training()))
    use(doggan, data, run, config, images)
    seconds, batch = median(times), config.train.batch_size * config.train.d_steps
    scores = [float(row[KID]) for row in metrics(run) if row[KID]]
    return (
        name,
        f"{data.stem}, {len(images.training()):,} of {width}×{height}×{channels}",
        parameters(run),
        f"{seconds:.2f}",
        f"{batch / seconds:.0f}",
        "too quick" if stopped is None else stopped,
        f"{scores[0]:.3f} → {scores[-1]:.3f}",
        "works",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the real files")
    parser.add_argument("--work", type=Path, required=True, help="where data sets and runs go")
    parser.add_argument("--only", nargs="+", choices=recipe_names(), metavar="NAME", help="these recipes")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with doggan")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    doggan = Doggan(options.python, work)

    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    failed = {}
    for name in options.only or recipe_names():
        try:
            row = row_of(name, prepared(name, options.data.resolve(), doggan), doggan)
        except Exception as error:  # whatever it is, the other recipes are tried
            failed[name] = error
            row = (name, *[""] * (len(COLUMNS) - 2), "FAILED")
        print(f"| {' | '.join(map(str, row))} |", flush=True)
    print(f"\nworking: {len(options.only or recipe_names()) - len(failed)}, failed: {len(failed)}")
    for name, error in failed.items():
        print(f"\n{name}: {type(error).__name__}: {error}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
