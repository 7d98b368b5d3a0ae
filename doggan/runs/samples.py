"""Samples of a run while it trains."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from doggan import plots
from doggan.devices import Devices
from doggan.runs.build import build_generator
from doggan.runs.folder import Run
from doggan.sampling import sample_pictures
from doggan.training.backend import to_numpy
from doggan.training.gan import GAN


def sampler(run: Run, gan: GAN, devices: Devices) -> Callable[..., NDArray[np.uint8]]:
    """(n, classes) → pictures of the networks as they are, always from the same z; classes as in the data if None.

    Where several devices train, by a copy of the generator that lies on one of them.
    """
    seed = run.config.seed
    copied = devices.engine is not None
    generator = gan.sampler
    if copied:
        generator = devices.alone(lambda: build_generator(run.config, run.image_shape, run.classes))

    def sample(n: int, classes: NDArray[np.int32] | None = None) -> NDArray[np.uint8]:
        asked = run.draw_classes(n, seed) if classes is None else classes
        values = [to_numpy(variable) for variable in gan.sampler.weights] if copied else None

        def draw() -> NDArray[np.uint8]:
            if values is not None:
                generator.set_weights(values)
            return sample_pictures(generator, n, seed=seed, classes=asked)

        return devices.alone(draw)

    return sample


def sheet_drawer(run: Run, sample: Callable[..., NDArray[np.uint8]]) -> Callable[[], NDArray[np.uint8]]:
    """Draws the sheet of a run; where its networks are told classes, with one in each column if all find a place."""
    n = run.config.train.samples
    if run.classes is None:
        return lambda: plots.grid(sample(n))
    asked = run.classes.spread(n)
    shown = int(np.count_nonzero(run.classes.counts))
    return lambda: plots.grid(sample(n, asked), shown if shown <= n else None)
