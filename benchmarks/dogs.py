"""A recipe for dogs trained and scored in pieces that fit a machine lent for minutes; each call goes on with the last.

    doggan prepare CROPS --dataset folder --crop whole --size 64 --holdout 0.1 -o dogs64.npz
    python benchmarks/dogs.py dogs64.npz --recipe dogs-best --work FOLDER --minutes 9        # until there is enough
    python benchmarks/dogs.py dogs64.npz --recipe dogs-best --work FOLDER --score --weights INCEPTION

The first trains for the minutes and prints what it did, the second scores 10,000 samples of the newest state and leaves
in FOLDER `sheet.png`, `curve.png` (the losses), `result.json` and `generator-fp16.npz`: the weights that samples are
drawn from, one array for each variable in the network's order, with the difference that half precision makes to its
pictures. Beside the scores it prints

* the floor: FID between two halves of the real crops, as many as there are samples in the one, the rest in the other;
* whether the samples are nearer to the training crops than held-out dogs are, at equal counts: the mean of
  1 − |cosine| of Inception's features to the nearest training crop.

`--smoke` does both, tiny, on any machine; its scores mean nothing. For a GPU set KERAS_BACKEND=jax and
`--set train.precision=bfloat16`.
"""

import argparse
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray

from doggan import plots, runs
from doggan.data.imageset import HELDOUT, TRAIN, ImageSet
from doggan.recipes import load_recipe
from doggan.startup import load_keras

SMOKE = (
    "train.epochs=2",
    "train.batch_size=16",
    "data.n_images=160",
    "train.score_every=0",
)


def train(options: argparse.Namespace, data: ImageSet) -> None:
    """Go on with the run for some minutes, or begin it."""
    folder = options.work / "run"
    config = load_recipe(options.recipe, tuple(options.set))
    if (folder / "config.json").exists():
        run = runs.Run.open(folder)
        run.check_settings(config)
    else:
        run = runs.start_run(folder, config, data, options.data)
    started = time.monotonic()
    outcome = runs.train(run, data, deadline=started + 60 * options.minutes, progress=not options.quiet)
    print(f"{outcome}\n{time.monotonic() - started:.0f} s with compiling, on {device()}")
    outcome.raise_if_interrupted()


def device() -> str:
    """What Keras computes on, in words."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(gpus[0])["device_name"]) if gpus else "the processor"


def score(options: argparse.Namespace, data: ImageSet) -> None:
    """Score the newest state and write what is to be kept of the run."""
    from doggan.evaluation import Generated
    from doggan.evaluation import score as scored
    from doggan.metrics.cache import FeatureCache, features_of
    from doggan.metrics.extractors import load_extractor
    from doggan.metrics.frechet import frechet_distance, statistics
    from doggan.metrics.memorization import memorization_distance
    from doggan.metrics.pace import Pace
    from doggan.metrics.pictures import Pixels
    from doggan.metrics.protocols import crops_set
    from doggan.sampling import sample_pictures

    run = runs.Run.open(options.work / "run")
    bn_samples = min(run.config.sampling.bn_samples, options.samples)
    generator, step, weights = runs.load_generator(run, "newest", bn_samples=bn_samples, progress=not options.quiet)
    asked = run.draw_classes(options.samples, run.config.seed)
    pictures = sample_pictures(generator, options.samples, seed=run.config.seed, classes=asked)
    plots.save_png(options.work / "sheet.png", plots.grid(pictures[: min(100, len(pictures))]))
    shutil.copy(run.folder / "losses.png", options.work / "curve.png")
    difference = export(generator, options.work / "generator-fp16.npz", pictures, asked, run.config.seed)

    extractor = load_extractor(options.extractor, options.weights, precision=options.inception_precision)
    cache = FeatureCache(options.work / "features")
    real = crops_set(data, "all", options.data)
    found = scored(Generated(pictures), real, extractor, cache=cache, progress=not options.quiet)

    def features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with Pace(len(images), "features", progress=not options.quiet) as pace:
            return features_of(Pixels(images), extractor, pace, cache).rows

    rows, fakes = features(data.images), features(pictures)  # of the cache, which has them by now
    order = np.random.default_rng(0).permutation(len(data))
    half = min(options.samples, len(data) // 2)
    one, other = (statistics(rows[part]) for part in (order[:half], order[half:]))
    floor = frechet_distance(*one, *other)
    heldout, training = rows[data.split == HELDOUT], rows[data.split == TRAIN]
    n = min(len(heldout), options.samples)
    distances = {
        "samples": memorization_distance(fakes[:n], training),
        "heldout": memorization_distance(heldout[:n], training),
    }
    result: dict[str, Any] = {
        "recipe": run.config.recipe,
        "step": step,
        "kimg": step * run.config.train.batch_size * run.config.train.d_steps / 1000,
        "weights": weights,
        "floor_fid": floor,
        "floor_counts": [half, len(data) - half],
        "nearest_training_crop": {"count": n, **distances},
        "fp16_mean_difference_in_levels": difference,
        **found.as_dict(),
    }
    (options.work / "result.json").write_text(json.dumps(result, indent=1))
    print(f"{found}\nstep {step:,}, {result['kimg']:,.0f} thousand images, {weights}")
    print(f"floor: FID {floor:.2f} between {half:,} and {len(data) - half:,} real crops")
    verdict = "samples are nearer: look closer" if distances["samples"] < distances["heldout"] else "no nearer"
    near, far = distances["samples"], distances["heldout"]
    print(f"nearest training crop, {n:,} each: samples {near:.4f}, held-out dogs {far:.4f}: {verdict}")
    size = (options.work / "generator-fp16.npz").stat().st_size / 2**20
    print(f"generator-fp16.npz: {size:.1f} MiB, {difference:.3f} grey levels of mean difference")


def export(generator: Any, path: Path, pictures: NDArray[np.uint8], asked: Any, seed: int) -> float:
    """Write the weights in half precision; the mean difference it makes to some of the pictures, in grey levels."""
    from doggan.sampling import sample_pictures

    halves = [np.asarray(value, np.float16) for value in generator.get_weights()]
    np.savez_compressed(path, **{f"{i:03d}": value for i, value in enumerate(halves)})
    kept = generator.get_weights()
    generator.set_weights(halves)
    n = min(100, len(pictures))
    again = sample_pictures(generator, n, seed=seed, classes=None if asked is None else asked[:n])
    generator.set_weights(kept)
    return float(np.abs(again.astype(float) - pictures[:n]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="crops with some held out, of `doggan prepare`")
    parser.add_argument("--work", type=Path, required=True, help="folder of the run and the results")
    parser.add_argument("--recipe", default="dogs-best")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the run")
    parser.add_argument("--minutes", type=float, default=9.0, help="of training in this call")
    parser.add_argument("--score", action="store_true", help="score, and train no further")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--extractor", default="inception", choices=["inception", "random"])
    parser.add_argument("--inception-precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--weights", type=Path, help="of Inception")
    parser.add_argument("--smoke", action="store_true", help="both, tiny; on random features without --weights")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    load_keras()
    data = ImageSet.load(options.data)
    if not len(data.heldout()):
        parser.error(f"{options.data} has no held-out dogs to compare with; prepare it with --holdout 0.1")
    options.work.mkdir(parents=True, exist_ok=True)
    if options.smoke:
        few = np.r_[np.flatnonzero(data.split == 0)[:160], np.flatnonzero(data.split == 1)[:40]]
        data, options.samples = data.select(few), 60
        options.set += SMOKE
        options.extractor = "inception" if options.weights else "random"
    if options.smoke or not options.score:
        train(options, data)
    if options.smoke or options.score:
        score(options, data)


if __name__ == "__main__":
    main()
