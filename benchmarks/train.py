"""How many images a second a training step of dogs-dcgan takes on this CPU, against the same step in PyTorch.

    python benchmarks/train.py --torch-python PYTHON [--batch 64] [--rounds 7] [--steps 4]

The networks are the full-width ones, with spectral norm, label noise and the average of the generator, in float32.
Every contestant runs in a process of its own with all cores; in a round they work in turn, `--steps` steps each, so
that whatever else the machine does touches all of them. Printed are the medians of the rounds and of the ratios within
a round.

* doggan: what `doggan train` runs, `build_gan` and `fit` on real batches of random uint8 pictures;
* doggan, one batch: the same on one batch over and over, to see what the input costs;
* with `--torch-python`, an interpreter that has PyTorch: the same algorithm on the same networks (torch_dcgan.py), with
  kernels and pictures channels_last and contiguous; the loop most people write, with a second D(fake) for the generator
  (channels_last); with `--compile`, the first of them by torch.compile.

The last column is the share of what a matrix product of 4096×4096 by TensorFlow reaches in the same round, by the
arithmetic that the simultaneous step needs; the usual loop does more of it, and gets no credit for that.
"""

import argparse
import os
import sys
import time
from statistics import median
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from contest import (
    SIZE,
    Contestant,
    Prepared,
    agreed_sizes,
    narrowed,
    passed_on,
    product_rate,
    random_pictures,
    serve,
    starting,
    step_gflop,
    timed,
)

from doggan.config import Config

PEAK = "matrix product"
OURS = ("doggan", "doggan, one batch")
TORCH: dict[str, dict[str, Any]] = {
    "PyTorch channels_last": {},
    "PyTorch contiguous": {"channels_last": False},
    "PyTorch usual loop": {"update": "alternating"},
    "PyTorch compiled": {"compiled": True},
}
RIVAL = "PyTorch channels_last"
GOAL_RATIO, GOAL_SHARE = 1.25, 0.85


def doggan(options: argparse.Namespace, one_batch: bool) -> Prepared:
    import keras
    import tensorflow as tf

    from doggan.data.batches import BatchPlan, batches
    from doggan.runs.build import build_gan

    class Clock(keras.callbacks.Callback):
        """The steps alone: a whole run is one `fit`, which begins and ends once."""

        def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            if batch == 0:
                self.begin = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            self.end = time.perf_counter()

    config = narrowed(Config(), options.width_divisor)
    images = random_pictures(options.pictures)
    plan = BatchPlan(len(images), options.batch, config.seed, SIZE, SIZE, config.data.flip, config.data.zoom)
    gan = build_gan(config, images.shape[1:], plan.steps_per_epoch)
    data = batches(images, plan)
    if one_batch:
        data = tf.data.Dataset.from_tensors(next(iter(data))).repeat()

    def steps() -> float:
        clock = Clock()
        gan.fit(data, steps_per_epoch=options.steps, verbose=0, shuffle=False, callbacks=[clock])
        return options.steps * options.batch / (clock.end - clock.begin)

    def read() -> None:
        for _ in data.take(options.input_batches):
            pass

    steps()
    sizes = [sum(int(np.prod(v.shape)) for v in net.trainable_variables) for net in (gan.generator, gan.discriminator)]
    return {"parameters": sizes}, {
        "train": steps,
        "input": lambda: timed(options.input_batches * options.batch, read),
    }


def pytorch(options: argparse.Namespace, setup: dict[str, Any]) -> Prepared:
    import torch
    from torch_dcgan import Trainer

    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    images = torch.from_numpy(np.ascontiguousarray(random_pictures(options.pictures).transpose(0, 3, 1, 2)))
    trainer = Trainer(narrowed(Config(), options.width_divisor), images, options.batch, **setup)

    def steps() -> None:
        for _ in range(options.steps):
            trainer.step()

    steps()
    sizes = [sum(p.numel() for p in parameters) for parameters in (trainer.g_parameters, trainer.d_parameters)]
    return {"parameters": sizes}, {"train": lambda: timed(options.steps * options.batch, steps)}


def prepare(options: argparse.Namespace) -> Prepared:
    """The contestant that this process is."""
    if options.serve == PEAK:
        return {}, {"train": product_rate()}
    if options.serve in OURS:
        return doggan(options, one_batch=options.serve != OURS[0])
    return pytorch(options, TORCH[options.serve])


def report(rounds: list[dict[str, float]], names: list[str], gflop: float) -> None:
    """The table, and the goals."""

    def ratio(name: str, other: str) -> float:
        return median(r[name] / r[other] for r in rounds)

    def share(name: str) -> float:
        return median(r[name] * gflop / r[PEAK] for r in rounds)

    print(f"matrix product: {median(r[PEAK] for r in rounds):.0f} GFLOP/s in float32\n")
    print(f"| {'contestant':21} | images/s | of {RIVAL} | of the matrix product |")
    print("|---|---|---|---|")
    for name in names:
        against = f"{ratio(name, RIVAL):.2f}×" if RIVAL in names else ""
        rate = median(r[name] for r in rounds)
        print(f"| {name:21} | {rate:8.2f} | {against:24} | {share(name):21.0%} |")
    ours, constant = OURS
    print()
    if RIVAL in names:
        print(f"doggan is {ratio(ours, RIVAL):.2f}× as fast as {RIVAL} (goal {GOAL_RATIO}×)")
    print(f"doggan reaches {share(ours):.0%} of the matrix product's rate (goal {GOAL_SHARE:.0%})")
    alone, times = median(r["input"] for r in rounds), ratio("input", ours)
    print(f"real batches: {ratio(ours, constant):.3f} of the rate with one batch")
    print(f"the input alone: {alone:,.0f} images/s, {times:,.0f} times what the step takes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", help="an interpreter with PyTorch")
    parser.add_argument("--compile", action="store_true", help="also PyTorch's torch.compile, which needs a compiler")
    parser.add_argument("--batch", type=int, default=64, help="images a step")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4, help="steps of each contestant in a round")
    parser.add_argument("--pictures", type=int, default=4096, help="random pictures the batches are drawn from")
    parser.add_argument("--input-batches", type=int, default=100, help="batches read where the input runs alone")
    parser.add_argument("--width-divisor", type=int, default=1, help="divides every width, for a quick look")
    parser.add_argument("--only", nargs="+", choices=[*TORCH], help="doggan and these")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(lambda: prepare(options))
        return

    arguments = passed_on(options, ("batch", "steps", "pictures", "input_batches", "width_divisor"))
    names = [(name, sys.executable) for name in (PEAK, *OURS)]
    if options.torch_python:
        names += [(name, options.torch_python) for name in TORCH if options.compile or "compiled" not in TORCH[name]]
    if options.only:
        names = [(name, python) for name, python in names if name in (PEAK, *OURS, *options.only)]
    running = starting(Contestant(name, __file__, python, arguments) for name, python in names)
    generator, discriminator = agreed_sizes(running)
    rounds = []
    for _ in range(options.rounds):
        figures = {one.name: one.measure("train") for one in running}
        figures["input"] = next(one for one in running if one.name == OURS[0]).measure("input")
        rounds.append(figures)
    for one in running:
        one.close()

    print(f"{options.rounds} rounds of {options.steps} steps of {options.batch} images, {os.cpu_count()} cores")
    print(f"trainable parameters: G {generator:,}, D {discriminator:,}, the same for all contestants")
    parts = step_gflop(narrowed(Config(), options.width_divisor), SIZE)
    gflop = sum(parts.values())
    print(f"{gflop:.2f} GFLOP per image and step, of convolutions and dense layers:")
    for name, part in parts.items():
        print(f"  {part:.2f} {name}")
    report(rounds, [one.name for one in running if one.name != PEAK], gflop)


if __name__ == "__main__":
    main()
