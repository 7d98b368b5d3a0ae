"""What the benchmarks share: contestants in processes of their own, and how much arithmetic a training step is."""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from doggan.config import Config

ROOT = Path(__file__).resolve().parents[1]
SIZE = 64  # of the pictures of dogs-dcgan

Measures = dict[str, Callable[[], float]]  # what a contestant can be asked for
Prepared = tuple[dict[str, Any], Measures]  # its facts first


class Layer(NamedTuple):
    """Multiply-adds of one layer's forward pass on one image, and whether it is the first of its network."""

    name: str
    macs: int
    first: bool


def narrowed(config: Config, divisor: int) -> Config:
    """The configuration with every width divided, for quick runs."""

    def narrow(widths: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(max(1, width // divisor) for width in widths)

    generator = dataclasses.replace(
        config.generator,
        base_depth=max(1, config.generator.base_depth // divisor),
        widths=narrow(config.generator.widths),
    )
    discriminator = dataclasses.replace(config.discriminator, widths=narrow(config.discriminator.widths))
    return dataclasses.replace(config, generator=generator, discriminator=discriminator)


def generator_layers(config: Config, channels: int = 3) -> list[Layer]:
    """A transposed convolution multiplies its kernel with each of its input's pixels, k²·c_in·c_out of them."""
    g = config.generator
    size, depth = g.base_size, g.base_depth
    layers = [Layer("dense", g.latent_dim * size * size * depth, True)]
    for i, (width, stride) in enumerate(zip(g.widths, g.strides, strict=True)):
        layers.append(Layer(f"conv_{i + 1}", size * size * g.kernel**2 * depth * width, False))
        size, depth = size * stride, width
    return [*layers, Layer("image", size * size * depth * channels, False)]


def discriminator_layers(config: Config, size: int, channels: int = 3) -> list[Layer]:
    """A convolution multiplies its kernel for each of its output's pixels."""
    d = config.discriminator
    depth = channels
    layers = []
    for i, (width, stride) in enumerate(zip(d.widths, d.strides, strict=True)):
        size = -(-size // stride)
        layers.append(Layer(f"conv_{i + 1}", size * size * d.kernel**2 * depth * width, i == 0))
        depth = width
    return [*layers, Layer("logit", size * size * depth, False)]


def step_gflop(config: Config, size: int) -> dict[str, float]:
    """GFLOP of a simultaneous step per image, that is for one real picture and one fake, by what they are spent on.

    Counted are the multiplications and additions (two per multiply-add) of convolutions and dense layers; padding
    counts as pixels. A backward pass costs a forward pass for the gradient of the weights and another for that of the
    input. The first layer's input needs none, but for the discriminator's where the generator learns through it. Not
    counted, together some per cent: batch normalisation, activations, dropout, spectral norm, Adam, the average.
    """
    generator, discriminator = generator_layers(config), discriminator_layers(config, size)
    g, d = (sum(layer.macs for layer in layers) for layers in (generator, discriminator))
    g_first, d_first = (sum(layer.macs for layer in layers if layer.first) for layers in (generator, discriminator))
    macs = {
        "G forward": g,
        "D forward, real and fake": 2 * d,
        "d_loss backward through D, real and fake": 2 * (d + d - d_first),
        "g_loss backward through D to the fake": d,
        "g_loss backward through G": g + g - g_first,
    }
    return {name: 2 * count / 1e9 for name, count in macs.items()}


class Contestant:
    """A process that measures when asked, so that interpreters and backends can take turns.

    Attributes:
        name: handed to `script --serve`.
        facts: what it said of itself when it was ready; None where it does not run here.
    """

    def __init__(
        self, name: str, script: str, python: str, arguments: list[str], environment: dict[str, str] | None = None
    ) -> None:
        self.name = name
        # The interpreter with PyTorch need not have doggan installed.
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        quiet = None if os.environ.get("VERBOSE") else subprocess.DEVNULL
        self._process = subprocess.Popen(
            [python, script, "--serve", name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=quiet,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONPATH": path, **(environment or {})},
        )
        said = self._process.stdout.readline()  # waits: nobody else is at work
        self.facts: dict[str, Any] | None = json.loads(said) if said else None

    def measure(self, what: str) -> float:
        """One measurement of this kind, a rate."""
        self._process.stdin.write(f"{what}\n")
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.name} stopped while it measured {what!r} (VERBOSE=1 shows why)")
        return json.loads(answer)

    def close(self) -> None:
        """Let the process end."""
        self._process.stdin.close()
        self._process.wait()


def serve(prepare: Callable[[], Prepared]) -> None:
    """In the contestant's process: one answer for each line that comes in.

    Args:
        prepare: gives the contestant's facts and what it can measure, after a warm-up.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the libraries print
    facts, measures = prepare()
    print(json.dumps(facts), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(measures[line.strip()]()), file=answers, flush=True)


def starting(candidates: Iterable[Contestant]) -> list[Contestant]:
    """Those that run here, in their order; the others are named."""
    running = []
    for candidate in candidates:
        if candidate.facts is None:
            print(f"{candidate.name} does not run here (VERBOSE=1 shows why)")
        else:
            running.append(candidate)
    return running


def passed_on(options: argparse.Namespace, keys: Iterable[str]) -> list[str]:
    """These options as the command line of a contestant."""
    return [text for key in keys for text in (f"--{key.replace('_', '-')}", str(getattr(options, key)))]


def agreed_sizes(running: Iterable[Contestant]) -> tuple[int, int]:
    """Trainable parameters of G and D, the same in all contestants that say theirs."""
    sizes = {tuple(one.facts["parameters"]) for one in running if "parameters" in one.facts}
    if len(sizes) != 1:
        raise SystemExit(f"the contestants' networks differ in size: {sorted(sizes)}")
    return sizes.pop()


def random_pictures(count: int) -> np.ndarray:
    """uint8 [N, 64, 64, 3]."""
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def product_rate(precision: str = "float32") -> Callable[[], float]:
    """Measures the GFLOP a second of a product of 4096×4096 matrices by TensorFlow, after a warm-up."""
    import tensorflow as tf

    side, products = 4096, 3
    a = tf.cast(tf.random.normal((side, side)), precision)

    def work() -> None:
        for _ in range(products):
            (a @ a).numpy()

    work()
    return lambda: timed(products * 2 * side**3, work) / 1e9


def timed(units: float, work: Callable[[], object]) -> float:
    """Units a second."""
    start = time.perf_counter()
    work()
    return units / (time.perf_counter() - start)
