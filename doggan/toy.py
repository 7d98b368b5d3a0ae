"""A GAN in one dimension, where both densities are known and the theory can be checked on it.

Goodfellow et al. 2014, "Generative Adversarial Networks", arXiv:1406.2661. D and G play for the value

    V(G, D) = E log D(x) + E log(1 − D(G(z))),    D a probability, x ~ p_data, z ~ N(0, 1)

Proposition 1: for a fixed G the best D is D*(x) = p_data(x) / (p_data(x) + p_g(x)). Theorem 1, by way of
V(G, D*) = −log 4 + 2 JSD(p_data, p_g): the best G has p_g = p_data, where the value is −log 4 and D* is ½. Proposition
2: training gets there, if D is kept near D*.

Distributions are masses here: how much of p_data and p_g falls into each bin of a fine grid, float64 [bins] of sum 1,
what lies outside of the grid in its outermost bins.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, xlog1py, xlogy

from doggan.errors import DogganError
from doggan.plots.toy import toy_figure
from doggan.training.gan import GAN

Masses = NDArray[np.float64]

EDGES = np.linspace(-6.0, 6.0, 401)  # of the bins
MIDDLES = (EDGES[1:] + EDGES[:-1]) / 2
WEIGHTS, MEANS, STDS = np.array([0.35, 0.65]), np.array([-1.0, 2.0]), np.array([0.5, 0.8])  # p_data, two normals
BATCH = 512
D_STEPS = 2
G_RATE, D_RATE = 3e-4, 5e-3  # D has to keep near D*
ROUND = 100  # steps between two measurements


@dataclass(frozen=True)
class Moment:
    """Both distributions and D at one moment of training.

    Attributes:
        step: how many were trained.
        real, fake: masses of p_data and p_g.
        d: D in the middles of the bins, in (0, 1), [bins].
    """

    step: int
    real: Masses
    fake: Masses
    d: Masses

    @cached_property
    def best(self) -> Masses:
        """D* for this p_g, [bins]."""
        return best_discriminator(self.real, self.fake)

    @cached_property
    def deviation(self) -> float:
        """Mean |D − D*|, x from ½ (p_data + p_g): in [0, 1]."""
        return float(np.sum((self.real + self.fake) / 2 * np.abs(self.d - self.best)))

    @cached_property
    def value(self) -> float:
        """V(G, D) ≤ `best_value`."""
        return value(self.real, self.fake, self.d)

    @cached_property
    def best_value(self) -> float:
        """V(G, D*), in [−log 4, 0]."""
        # Not by `value`: where p_g is a rest of 1e-17, D* rounds to 1, which costs −∞.
        return float(-np.log(4) + 2 * self.jsd)

    @cached_property
    def jsd(self) -> float:
        """JSD(p_data, p_g), in [0, log 2]."""
        return jensen_shannon(self.real, self.fake)


@dataclass(frozen=True)
class ToyResult:
    """What training came to.

    Attributes:
        picture: the PNG.
        moments: from before the first step on, every `ROUND` steps.
        fixed: the moment up to which only D was trained, against a fixed G.
        seconds: it took.
    """

    picture: Path
    moments: tuple[Moment, ...]
    fixed: Moment
    seconds: float

    @property
    def end(self) -> Moment:
        """The last moment."""
        return self.moments[-1]

    def __str__(self) -> str:
        start, fixed, end = self.moments[0], self.fixed, self.end
        return (
            f"{fixed.step} steps of D alone, then {end.step - fixed.step} of both, in {self.seconds:.0f} s\n"
            f"mean |D − D*|: {start.deviation:.4f} at the start, {fixed.deviation:.4f} after D alone, "
            f"{end.deviation:.4f} at the end\n"
            f"value V(G, D): {fixed.value:.4f} after D alone, {end.value:.4f} at the end; −log 4 = {-np.log(4):.4f}\n"
            f"JSD(p_data, p_g): {fixed.jsd:.4f} after D alone, {end.jsd:.4f} at the end\n"
            f"picture: {self.picture}"
        )


def toy(out: Path, *, seed: int = 0, alone: int = 1000, steps: int = 5000, progress: bool = True) -> ToyResult:
    """Train a one-dimensional GAN, compare it with the theory at every `ROUND` steps, and draw that.

    p_data is a mixture of two normals. D is a perceptron with two hidden layers of 32, G the sum of z and another that
    begins at zero, so that p_g begins as the standard normal. The loss is bce with hard labels. First D is trained
    alone against the untrained G, where D* is far from ½; then both in turn. In either part the learning rates fall to
    zero by half a cosine.

    Args:
        out: the PNG to write.
        seed: not negative; decides the first weights, x and z.
        alone: steps of D alone, a multiple of `ROUND`.
        steps: of both, after those; a multiple of `ROUND`.
        progress: show a bar.

    Raises:
        DogganError: `out` is a folder.
        ValueError: `alone` or `steps` is no positive multiple of `ROUND`.
        OSError: the picture cannot be written.
    """
    started = time.monotonic()
    out = Path(out)
    if out.is_dir():
        raise DogganError(f"{out} is a folder; name the PNG file to write.")
    if min(alone, steps) < ROUND or alone % ROUND or steps % ROUND:
        raise ValueError(f"steps are positive multiples of {ROUND}, not {alone} and {steps}")
    from tqdm import tqdm

    moments = []
    with tqdm(total=alone + steps, desc="training", unit=" steps", disable=not progress) as bar:
        for moment in train(seed, alone, steps):
            moments.append(moment)
            bar.update(moment.step - bar.n)
    at = {moment.step: moment for moment in moments}
    shown = {
        "Untrained": at[0],
        "D trained alone, G fixed": at[alone],
        "Soon after G began": at[alone + ROUND],
        "At the end": at[alone + steps],
    }
    toy_figure(out, MIDDLES, moments, shown)
    return ToyResult(out, tuple(moments), at[alone], time.monotonic() - started)


def train(seed: int, alone: int, steps: int) -> Iterator[Moment]:
    """The training of `toy`: the moment before the first step, then one every `ROUND` steps."""
    generator, discriminator = _generator(2 * seed), _discriminator(2 * seed + 1)
    gan = GAN(generator, discriminator, labels="published", update="alternating", d_steps=D_STEPS, seed=seed)
    # β₁ as in DCGAN (arXiv:1511.06434).
    g_optimizer, d_optimizer = (keras.optimizers.Adam(0.0, beta_1=0.5) for _ in range(2))
    gan.compile(g_optimizer, d_optimizer, "bce", steps_per_execution=ROUND)
    real = data_masses()

    def moment(step: int) -> Moment:
        d = expit(_apply(discriminator, MIDDLES).astype(np.float64))
        return Moment(step, real, generated_masses(lambda z: _apply(generator, z)), d)

    yield moment(0)
    for step in range(0, alone + steps, ROUND):
        left = 1 - step / alone if step < alone else 1 - (step - alone) / steps
        fall = (1 - np.cos(np.pi * left)) / 2
        # A rate of zero keeps G where it is, and the step stays the one that was compiled.
        g_optimizer.learning_rate = 0.0 if step < alone else G_RATE * fall
        d_optimizer.learning_rate = D_RATE * fall
        x = draw_data(np.random.default_rng((seed, step)), (ROUND, D_STEPS * BATCH, 1))
        gan.fit(_batches(x), steps_per_epoch=ROUND, shuffle=False, verbose=0)
        yield moment(step + ROUND)


def data_masses(edges: NDArray[np.float64] = EDGES) -> Masses:
    """p_data's mass in each bin, from its distribution function."""
    below = ndtr((edges[:, None] - MEANS) / STDS) @ WEIGHTS
    below[0], below[-1] = 0, 1
    return np.diff(below)


def draw_data(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Independent draws from p_data, float32 of this shape."""
    normal = rng.choice(len(WEIGHTS), shape, p=WEIGHTS)
    return (MEANS[normal] + STDS[normal] * rng.standard_normal(shape)).astype(np.float32)


def generated_masses(
    generator: Callable[[NDArray[np.float64]], NDArray[Any]], edges: NDArray[np.float64] = EDGES, cells: int = 100_000
) -> Masses:
    """The mass of p_g, the distribution of x = G(z) for z ~ N(0, 1), in each bin, without sampling.

    z from −6 to 6 is cut into equal cells of known mass Φ(z + δ) − Φ(z) (beyond lie 2e-9), and each is put where G
    takes its middle. A bin is wrong by no more than a cell's mass wherever G crosses one of its ends.

    Args:
        generator: z float64 [cells] → x [cells].
        edges: of the bins, rising.
        cells: how finely z is cut.
    """
    z = np.linspace(-6.0, 6.0, cells + 1)
    below = ndtr(z)
    below[0], below[-1] = 0, 1
    x = generator((z[1:] + z[:-1]) / 2)
    bins = np.searchsorted(edges[1:-1], x)
    masses = np.zeros(len(edges) - 1)
    np.add.at(masses, bins, np.diff(below))
    return masses


def best_discriminator(real: Masses, fake: Masses) -> NDArray[np.float64]:
    """D* = p_data / (p_data + p_g) (proposition 1), [bins]; ½ where there is neither, which V does not count."""
    both = real + fake
    return np.divide(real, both, out=np.full_like(both, 0.5), where=both > 0)


def value(real: Masses, fake: Masses, d: NDArray[np.float64]) -> float:
    """V = E log D(x) + E log(1 − D(G(z))) (equation 1), of D [bins] in [0, 1], with 0 · log 0 = 0; −∞ to 0."""
    return float(np.sum(xlogy(real, d) + xlog1py(fake, -d)))


def jensen_shannon(real: Masses, fake: Masses) -> float:
    """JSD = ½ KL(p_data ‖ m) + ½ KL(p_g ‖ m), m = ½ (p_data + p_g), in nats: from 0 to log 2 where they are apart."""
    m = (real + fake) / 2
    ratios = (np.divide(p, m, out=np.ones_like(m), where=m > 0) for p in (real, fake))
    return float(sum(np.sum(xlogy(p, ratio)) for p, ratio in zip((real, fake), ratios, strict=True)) / 2)


def _hidden(x: Any, seed: int) -> Any:
    """[B, 1] → [B, 32], through two layers with tanh."""
    for layer in range(2):
        kernel = keras.initializers.LecunNormal(seed=5 * seed + 2 * layer)
        # Else every unit would bend at 0, wherever the densities do.
        bias = keras.initializers.RandomNormal(stddev=1.0, seed=5 * seed + 2 * layer + 1)
        x = keras.layers.Dense(32, "tanh", kernel_initializer=kernel, bias_initializer=bias)(x)
    return x


def _generator(seed: int) -> keras.Model:
    """z [B, 1] → x [B, 1], z plus a perceptron that begins at zero: p_g begins as the standard normal."""
    z = keras.Input((1,))
    shift = keras.layers.Dense(1, kernel_initializer="zeros")(_hidden(z, seed))
    return keras.Model(z, keras.layers.Add()([z, shift]))


def _discriminator(seed: int) -> keras.Model:
    """x [B, 1] → logits [B, 1]."""
    x = keras.Input((1,))
    # Not from zero, where D is ½ and V is −log 4 whatever G does.
    start = keras.initializers.LecunNormal(seed=5 * seed + 4)
    return keras.Model(x, keras.layers.Dense(1, kernel_initializer=start)(_hidden(x, seed)))


def _apply(network: keras.Model, x: NDArray[np.float64]) -> NDArray[np.float32]:
    """The network on numbers [n], float32 [n]."""
    return keras.ops.convert_to_numpy(network(x[:, None].astype(np.float32), training=False))[:, 0]


def _batches(x: NDArray[np.float32]) -> Any:
    """What `fit` takes on this backend, from batches float32 [steps, B, 1]."""
    if keras.backend.backend() != "tensorflow":
        return ((batch,) for batch in x)
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x,))
