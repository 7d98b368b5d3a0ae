"""What digits a run on MNIST draws, as a classifier sees them that was trained on real ones.

    doggan prepare --dataset mnist MNIST
    doggan train mnist32.npz --recipe mnist-cgan --out RUN
    python benchmarks/digits.py mnist32.npz RUN [RUN ...]

A small convolutional network learns the 60,000 training digits until it is right for 98% of the 10,000 held-out ones;
it is kept beside the data, for the next call. Of each run 1,000 samples of its best checkpoint (or --checkpoint) are
classified. Counted are the digits they are, of which each should be at least 3%; and in conditional runs how many are
the digit that was asked for, which should be 90%. The exit status is 1 where one of these is missed.
"""

import argparse
import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from doggan.data.imageset import ImageSet
from doggan.runs import Run, load_generator
from doggan.sampling import sample_pictures

ACCURACY, FEWEST, AGREEMENT = 0.98, 0.03, 0.9
MOST_EPOCHS = 10


def classifier(data: ImageSet, path: Path) -> keras.Model:
    """The network kept at `path`, or a new one that is trained and kept there."""
    if path.exists():
        return keras.saving.load_model(path)
    network = keras.Sequential(
        [
            keras.Input(data.image_shape),
            layers.Rescaling(1 / 255),
            *(
                part
                for width in (16, 32)
                for part in (layers.Conv2D(width, 3, activation="relu"), layers.MaxPooling2D())
            ),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile("adam", loss, metrics=["accuracy"], jit_compile=False)
    training = data.training()
    for _ in range(MOST_EPOCHS):
        network.fit(training.images, training.labels, batch_size=128, verbose=0)
        if accuracy(network, data) >= ACCURACY:
            break
    network.save(path)
    return network


def digits_of(network: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The digit that each picture is, int64 [N]."""
    return np.argmax(network.predict(images, batch_size=500, verbose=0), axis=1)


def accuracy(network: keras.Model, data: ImageSet) -> float:
    """The share of held-out digits that are recognised."""
    heldout = data.heldout()
    return float((digits_of(network, heldout.images) == heldout.labels).mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="mnist32.npz of `doggan prepare --dataset mnist`")
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--checkpoint", default="best")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="not the sheets' and scores', which is the run's")
    options = parser.parse_args()

    data = ImageSet.load(options.data)
    network = classifier(data, options.data.with_suffix(".classifier.keras"))
    on_real = accuracy(network, data)
    print(f"The classifier is right for {on_real:.2%} of the held-out digits (wanted: {ACCURACY:.0%}).\n")
    print(f"| recipe | step | {' | '.join(map(str, range(10)))} | fewest | the digit asked for |")
    print("|---|---|" + "---|" * 12)
    missed = on_real < ACCURACY
    for folder in options.runs:
        run = Run.open(folder)
        generator, step, _ = load_generator(run, options.checkpoint)
        asked = run.draw_classes(options.samples, options.seed)
        found = digits_of(network, sample_pictures(generator, options.samples, seed=options.seed, classes=asked))
        shares = np.bincount(found, minlength=10) / len(found)
        agreement = None if asked is None else float((found == asked).mean())
        columns = " | ".join(f"{share:.1%}" for share in shares)
        right = "" if agreement is None else f"{agreement:.1%}"
        print(f"| `{run.config.recipe}` | {step:,} | {columns} | {shares.min():.1%} | {right} |", flush=True)
        missed |= bool(shares.min() < FEWEST) or (agreement is not None and agreement < AGREEMENT)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
