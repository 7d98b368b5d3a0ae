"""What each ingredient of a recipe for dogs is worth: the same budget of images with it and without it.

    doggan prepare CROPS --dataset folder --crop whole --size 32 --holdout 0.1 -o dogs32.npz
    python benchmarks/ablation.py dogs32.npz --work FOLDER --weights inception-2015-12-05_features.npz

A row is some settings on top of another row's, written as `doggan train --set` takes them (`--list` prints them all).
Each is trained with every seed on the training pictures and scored on samples of its last state: FID, KID, memorization
distance, precision and recall against real crops, by Inception. A row is called better or worse than the one it is
built on only where their ranges over the seeds do not overlap.

`--scale small` is for two cores: pictures of 32×32, every network narrow and one layer shorter, batches of 32 and
rates four times as high, because there are some thousand steps and not forty thousand; 2,000 samples against 5,000
training crops, by Inception in bfloat16. KID, which is unbiased, ranks there, and FID stands beside it. `--scale full`
is for a GPU: pictures of 64×64, the recipes as they are, 10,000 samples against all training crops, in float32. The row
of real dogs is of held-out ones, as many as there are samples, or all of them.

What is done is kept in FOLDER, one JSON file for each row and seed; a row is done again where its settings or the
budget changed. A FOLDER is for one DATA. The table is printed at the end, and by `--table` without training anything.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from ablation_rows import Row, Scale, config_of, rows
from numpy.typing import NDArray

from doggan.config import Config
from doggan.data.batches import choose
from doggan.data.imageset import ImageSet
from doggan.recipes import flatten

FLOOR = "real dogs, held out"


def done_key(config: Config, row: Row, scale: Scale) -> str:
    """What a result depends on, so that one of other settings is not taken for it."""
    default = flatten(Config())
    settings = {key: value for key, value in flatten(config).items() if default.get(key) != value}
    return hashlib.sha256(repr((sorted(settings.items()), row.truncated, scale)).encode()).hexdigest()


def result_path(work: Path, name: str, seed: int) -> Path:
    """Where the result of a row with a seed is kept."""
    plain = "".join(c if c.isalnum() or c == "." else "-" for c in name.replace("−", "minus").replace("+", "plus"))
    return work / f"{plain}.{seed}.json"


def read_result(work: Path, name: str, seed: int, scale: Scale) -> dict[str, Any] | None:
    """The result that is kept of a row with a seed, None where there is none of these settings."""
    path = result_path(work, name, seed)
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text())
    return result if result["key"] == key_of(name, seed, scale) else None


def key_of(name: str, seed: int, scale: Scale) -> str:
    """`done_key` of a row by its name."""
    if name == FLOOR:
        return done_key(Config(), Row(FLOOR), scale)
    return done_key(config_of(name, scale, seed), rows()[name], scale)


def truncated_pictures(generator: Any, n: int, seed: int, classes: Any) -> NDArray[np.uint8]:
    """Samples uint8 [n, H, W, C] by `(255 * x).astype(uint8)` of x in [0, 1]."""
    from doggan.sampling import draw_z, latent_dim

    z = draw_z(n, latent_dim(generator), seed)
    made = generator.predict(z if classes is None else [z, classes], batch_size=100, verbose=0)
    return (255 * (made + 1) / 2).astype(np.uint8)


def work_on(name: str, seed: int, options: argparse.Namespace, scale: Scale) -> None:
    """Train a row with a seed, score it and write its result."""
    from doggan import runs
    from doggan.startup import load_keras

    load_keras()
    from doggan.evaluation import Generated, score
    from doggan.metrics.cache import FeatureCache
    from doggan.metrics.extractors import load_extractor
    from doggan.metrics.protocols import crops_set
    from doggan.runs.build import build_discriminator, build_generator
    from doggan.runs.catalog import gflop_of
    from doggan.sampling import sample_pictures

    data = ImageSet.load(options.data)
    seconds, config = 0.0, None
    if name == FLOOR:
        heldout = data.heldout()
        pictures = heldout.select(choose(len(heldout), scale.samples, seed)).images
    else:
        config = config_of(name, scale, seed)
        # Of these settings: what was trained with others is not taken for it.
        folder = result_path(options.work, name, seed).with_suffix(f".{key_of(name, seed, scale)[:8]}")
        run = (
            runs.Run.open(folder)
            if (folder / "config.json").exists()
            else runs.start_run(folder, config, data, options.data)
        )
        started = time.monotonic()
        runs.train(run, data, progress=False).raise_if_interrupted()
        seconds = time.monotonic() - started
        generator, _, _ = runs.load_generator(run, "newest", bn_samples=min(config.sampling.bn_samples, scale.samples))
        asked = run.draw_classes(scale.samples, seed)
        if rows()[name].truncated:
            pictures = truncated_pictures(generator, scale.samples, seed, asked)
        else:
            pictures = sample_pictures(generator, scale.samples, seed=seed, classes=asked)
    real = data.training()
    if scale.real:
        real = real.select(choose(len(real), scale.real, 0))
    extractor = load_extractor("inception", options.weights, precision=scale.precision)
    cache = FeatureCache(options.work / "features")
    found = score(Generated(pictures), crops_set(real, "train", options.data), extractor, cache=cache)
    result = {"key": key_of(name, seed, scale), "name": name, "seed": seed, "seconds": seconds, **found.as_dict()}
    if config is not None:
        networks = [build(config, run.image_shape, run.classes) for build in (build_generator, build_discriminator)]
        result["gflop"] = gflop_of(config, *networks)
    result_path(options.work, name, seed).write_text(json.dumps(result, indent=1))
    from doggan import plots

    plots.save_png(result_path(options.work, name, seed).with_suffix(".png"), plots.grid(pictures[:64]))


def run_all(names: list[str], options: argparse.Namespace, scale: Scale) -> bool:
    """Every row with every seed that is not done, `--jobs` at a time in processes of their own; whether all ended."""
    missing = [
        (name, seed)
        for seed in options.seeds
        for name in names
        if read_result(options.work, name, seed, scale) is None and not (name == FLOOR and seed != options.seeds[0])
    ]
    threads = str(max(1, (os.cpu_count() or 1) // options.jobs))
    environment = os.environ | {"TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads}

    def start(job: tuple[str, int]) -> bool:
        name, seed = job
        command = [sys.executable, __file__, *sys.argv[1:], "--job", name, "--job-seed", str(seed)]
        log = result_path(options.work, name, seed).with_suffix(".log")
        started = time.monotonic()
        with log.open("wb") as file:
            status = subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT).returncode
        what = "done" if status == 0 else f"FAILED, see {log}"
        print(f"{name}, seed {seed}: {what} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        return status == 0

    with ThreadPoolExecutor(options.jobs) as pool:
        return all(list(pool.map(start, missing)))


COLUMNS = {
    "KID × 10³": ("kid", 1e3, 2),
    "FID": ("fid", 1.0, 1),
    "distance": ("memorization_distance", 1.0, 3),
    "precision": ("precision", 1.0, 3),
    "recall": ("recall", 1.0, 3),
}


def print_table(names: list[str], options: argparse.Namespace, scale: Scale) -> None:
    """Mean and range over the seeds, and what the ranges of KID say of a row and its base."""
    table = rows()
    found = {
        name: [r for seed in options.seeds if (r := read_result(options.work, name, seed, scale)) is not None]
        for name in [*table, FLOOR]
    }
    print(f"| row | compared with | GFLOP an image | {' | '.join(COLUMNS)} | by KID |\n|{'---|' * (len(COLUMNS) + 4)}")
    for name in names:
        if not found[name]:
            continue
        base = table[name].base if name in table else ""
        cells = [cell(found[name], *column) for column in COLUMNS.values()]
        gflop = f"{found[name][0]['gflop']:.3f}" if "gflop" in found[name][0] else ""
        verdict = compared(found[name], found[base]) if base and found[base] else ""
        print(f"| {name} | {base} | {gflop} | {' | '.join(cells)} | {verdict} |")


def cell(results: list[dict[str, Any]], key: str, factor: float, digits: int) -> str:
    """ "mean (least to most)" of a score."""
    values = [factor * result["scores"][key] for result in results]
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def compared(results: list[dict[str, Any]], base: list[dict[str, Any]]) -> str:
    """Whether all of one are below all of the other; nothing is said of single runs."""
    ours, theirs = ([result["scores"]["kid"] for result in group] for group in (results, base))
    if min(len(ours), len(theirs)) < 2:
        return "one seed"
    if max(ours) < min(theirs):
        return "better"
    return "worse" if min(ours) > max(theirs) else "ranges overlap"


def draw_sheets(path: Path, names: list[str], options: argparse.Namespace, scale: Scale) -> None:
    """The samples of some rows side by side, those of the first seed that is done, with its KID."""
    from doggan.plots.sheets import read_png
    from doggan.plots.style import INK, new_figure, save

    found = []
    for name in names:
        for seed in options.seeds:
            result = read_result(options.work, name, seed, scale)
            if result is not None:
                found.append((name, result, read_png(result_path(options.work, name, seed).with_suffix(".png"))))
                break
    columns = min(len(found), 2)
    lines = -(-len(found) // columns)
    figure = new_figure(4.4 * columns, 4.7 * lines)
    for i, (name, result, sheet) in enumerate(found, 1):
        axes = figure.add_subplot(lines, columns, i)
        axes.imshow(sheet, interpolation="nearest")
        kid = 1e3 * result["scores"]["kid"]
        axes.set_title(f"{name}: KID {kid:.0f} · 10⁻³", loc="left", fontsize=10, color=INK)
        axes.axis("off")
    figure.tight_layout()
    save(figure, path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="crops, of `doggan prepare`")
    parser.add_argument("--work", type=Path, help="folder for everything it makes")
    parser.add_argument("--weights", type=Path, help="of Inception")
    parser.add_argument("--scale", choices=["small", "full"], default="small")
    parser.add_argument("--epochs", type=int, help="of every row; 3, at full scale 60")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--samples", type=int, help="2,000, at full scale 10,000")
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time, on cores of their own")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="these rows")
    parser.add_argument("--list", action="store_true", help="print the rows and their settings")
    parser.add_argument("--table", action="store_true", help="print what is done, and train nothing")
    parser.add_argument("--sheets", type=Path, metavar="PNG", help="also draw the samples of the rows side by side")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--job-seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.list:
        for row in rows().values():
            print(f"{row.name}: {row.recipe or row.base} {' '.join(row.settings)}{' truncated' * row.truncated}")
        return 0
    if options.data is None or options.work is None:
        parser.error("give DATA and --work")
    small = options.scale == "small"
    scale = Scale(
        small,
        options.epochs or (3 if small else 60),
        options.samples or (2000 if small else 10_000),
        5000 if small else 0,
        "bfloat16" if small else "float32",
    )
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.job:
        work_on(options.job, options.job_seed, options, scale)
        return 0
    names = options.only or [FLOOR, *rows()]
    unknown = set(names) - set(rows()) - {FLOOR}
    if unknown:
        parser.error(f"there is no row {', '.join(sorted(unknown))}; --list prints them")
    ended = options.table or run_all(names, options, scale)
    print_table(names, options, scale)
    if options.sheets is not None:
        draw_sheets(options.sheets, names, options, scale)
    return 0 if ended else 1


if __name__ == "__main__":
    sys.exit(main())
