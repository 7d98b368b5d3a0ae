"""How fast `doggan submit` writes images.zip: against its forward pass alone and against one z at a time.

    python benchmarks/submit.py [--count 1000] [--single 100] [--repeats 5]

Three ways to use the full-width reference generator with random weights, taken in turn `--repeats` times so
that whatever else the machine does touches all of them:

* forward: the batched, compiled forward pass and nothing else;
* doggan: `generate` and `write_submission`, the whole way to the zip;
* one by one: one z at a time through the model, PIL, a folder of temporary files, then the zip, as the
  reference kernel did it. It is slow, so it makes `--single` images instead of `--count`.

Printed are the medians of images per second and of the ratios within each round.
"""

import argparse
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image

from doggan.config import Generator
from doggan.nets.dcgan import generator as build_generator
from doggan.sampling import BATCH_SIZE, draw_z, generate
from doggan.submission import check_submission, write_submission


def forward_alone(generator: keras.Model, count: int, batch_size: int) -> None:
    """The forward pass in batches; its output is thrown away."""
    z = draw_z(count, generator.input_shape[-1], seed=0)
    for start in range(0, count, batch_size):
        generator.predict_on_batch(z[start : start + batch_size])


def doggan_way(generator: keras.Model, count: int, batch_size: int, path: Path) -> None:
    """What `doggan submit` does."""
    write_submission(generate(generator, count, seed=0, batch_size=batch_size), path, count)


def one_by_one(generator: keras.Model, count: int, path: Path) -> None:
    """The reference kernel's way: eager calls with one z, PIL, temporary files, deflate."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(count):
            z = rng.standard_normal((1, generator.input_shape[-1])).astype(np.float32)
            image = np.asarray(generator(z, training=False))[0]
            file = Path(folder) / f"{i}.png"
            Image.fromarray((255 * (image + 1) / 2).astype(np.uint8)).save(file)
            archive.write(file, file.name)


def rate(count: int, work: Callable[[], None]) -> float:
    """Images per second."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="images per round (a submission has 10,000)")
    parser.add_argument("--single", type=int, default=100, help="images per round, one by one")
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    keras.utils.set_random_seed(0)
    generator = build_generator(Generator(), (64, 64, 3))
    with tempfile.TemporaryDirectory() as folder:
        path, reference = Path(folder) / "images.zip", Path(folder) / "reference.zip"
        ways: dict[str, Callable[[], float]] = {
            "forward": lambda: rate(options.count, lambda: forward_alone(generator, options.count, options.batch_size)),
            "doggan": lambda: rate(
                options.count, lambda: doggan_way(generator, options.count, options.batch_size, path)
            ),
            "one by one": lambda: rate(options.single, lambda: one_by_one(generator, options.single, reference)),
        }
        forward_alone(generator, options.batch_size, options.batch_size)  # compiles
        one_by_one(generator, 2, reference)
        rounds = [{name: way() for name, way in ways.items()} for _ in range(options.repeats)]
        start = time.perf_counter()
        check_submission(path, options.count)
        checking = options.count / (time.perf_counter() - start)

    print(f"{options.repeats} rounds of {options.count} images, batch size {options.batch_size}")
    for name in ways:
        print(f"{name:12} {median(r[name] for r in rounds):8.1f} images/s")
    print(f"{'check':12} {checking:8.1f} images/s")
    print(f"doggan takes {median(r['forward'] / r['doggan'] for r in rounds):.2f} × the forward pass's time")
    print(f"doggan is {median(r['doggan'] / r['one by one'] for r in rounds):.1f} × as fast as one by one")


if __name__ == "__main__":
    main()
