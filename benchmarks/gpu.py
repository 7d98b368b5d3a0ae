"""How fast dogs-dcgan trains and samples on a GPU, against the same networks and algorithm in compiled PyTorch.

    python benchmarks/gpu.py [--batch 128 256 512] [--torch-python PYTHON] [--weights FILE]
    python benchmarks/gpu.py --smoke

It wants JAX and PyTorch with their GPU parts, in this interpreter or PyTorch in another; TensorFlow takes part where it
is installed. `--smoke` runs everything once, tiny, also without a GPU, and its figures mean nothing; it takes some
minutes, most of them torch.compile's, and `--only` leaves contestants out.

The networks are the full-width ones, with spectral norm, label noise and the average of the generator; the pictures
(random ones) lie on the device as uint8, and the step makes its batches. Every contestant runs in a process of its own;
in a round they work in turn, `--steps` steps each, until the device is done. Printed are the medians of the rounds and
of the ratios within a round.

* doggan on JAX and on TensorFlow with XLA, `--steps-per-call` steps in one call, in bfloat16 and float32;
* PyTorch: both networks by torch.compile, channels_last, bfloat16 by autocast (torch_dcgan.py); the same with the whole
  step captured in a CUDA graph, which takes Python out of the way there too; the loop most people write; and float32.

Shares are of the arithmetic that the simultaneous step needs: of the chip's dense rate in half precision as its maker
gives it, and of what a product of square matrices by JAX reaches in the same precision and the same round. Where the
chip has them, float32 is computed with TensorFloat-32 by everyone. With `--weights` it ends with Inception features per
second by batch size.
"""

import argparse
import importlib.util
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
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
    random_pictures,
    serve,
    starting,
    step_gflop,
    timed,
)

from doggan.config import Config

# Dense TFLOP/s in half precision, in tensor cores where there are any; the first name found in the device's counts.
CHIPS = {
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "A10": 125.0,
    "V100": 125.0,
    "T4": 65.0,
    "P100": 21.2,
}
GOAL = 2.0
PEAKS = {"matrix product bfloat16": "bfloat16", "matrix product float32": "float32"}
JAX = {"doggan JAX bfloat16": "bfloat16", "doggan JAX float32": "float32"}
TENSORFLOW = {"doggan TensorFlow bfloat16": "bfloat16", "doggan TensorFlow float32": "float32"}
TORCH: dict[str, dict[str, Any]] = {
    "PyTorch bfloat16": {"half": True, "compiled": True},
    "PyTorch bfloat16 CUDA graph": {"half": True, "compiled": True, "capturable": True},
    "PyTorch bfloat16 usual loop": {"half": True, "compiled": True, "update": "alternating"},
    "PyTorch float32": {"compiled": True},
}
OURS, RIVAL = "doggan JAX bfloat16", "PyTorch bfloat16"
INCEPTION = {"Inception bfloat16": "bfloat16", "Inception float32": "float32"}
SAMPLE_BATCH = 500


def doggan(options: argparse.Namespace, precision: str) -> Prepared:
    import keras
    from keras import ops

    from doggan.data.batches import BatchPlan, batches
    from doggan.data.device import DevicePictures
    from doggan.runs.build import build_gan
    from doggan.runs.stop import Stop
    from doggan.sampling import generate

    config = narrowed(Config(), options.width_divisor)
    config = replace(config, train=replace(config.train, precision=precision))
    images = random_pictures(options.pictures)
    plan = BatchPlan(len(images), options.batch, config.seed, SIZE, SIZE, config.data.flip, config.data.zoom)
    gan = build_gan(config, images.shape[1:], plan.steps_per_epoch, DevicePictures(images, plan))
    gan.set_steps_per_execution(options.steps_per_call)

    def steps() -> None:
        data = batches(images, plan, on_device=True)
        # `Stop` reads the losses after every call, as it does in a run.
        gan.fit(data, steps_per_epoch=options.steps, callbacks=[Stop()], verbose=0, shuffle=False)
        ops.convert_to_numpy(gan.step)  # waits for the device

    def sample() -> None:
        for _ in generate(gan.sampler, options.samples, seed=0, batch_size=min(SAMPLE_BATCH, options.samples)):
            pass

    def gigabytes() -> float:
        """Of device memory at most, or 0 where the backend does not say."""
        if keras.backend.backend() == "jax":
            import jax

            return ((jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)) / 1e9
        import tensorflow as tf

        on_gpu = tf.config.list_physical_devices("GPU")
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9 if on_gpu else 0.0

    start = time.perf_counter()
    steps()
    first = time.perf_counter() - start
    steps()
    sample()
    sizes = [sum(int(np.prod(v.shape)) for v in net.trainable_variables) for net in (gan.generator, gan.discriminator)]
    return {"parameters": sizes, "first": first}, {
        "train": lambda: timed(options.steps * options.batch, steps),
        "sample": lambda: timed(options.samples, sample),
        "memory": gigabytes,
    }


def pytorch(options: argparse.Namespace, setup: dict[str, Any]) -> Prepared:
    import torch
    from torch_dcgan import Trainer

    on_gpu = torch.cuda.is_available()
    wait: Callable[[], object] = torch.cuda.synchronize if on_gpu else (lambda: None)
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    images = torch.from_numpy(np.ascontiguousarray(random_pictures(options.pictures).transpose(0, 3, 1, 2)))
    config = narrowed(Config(), options.width_divisor)
    trainer = Trainer(config, images.to("cuda" if on_gpu else "cpu"), options.batch, **setup)

    start = time.perf_counter()
    step = trainer.captured() if setup.get("capturable") else trainer.step

    def steps() -> None:
        for _ in range(options.steps):
            step()
        wait()

    def sample() -> None:
        for _ in trainer.sample(options.samples, min(SAMPLE_BATCH, options.samples)):
            pass

    steps()
    first = time.perf_counter() - start
    steps()
    sample()
    sizes = [sum(p.numel() for p in parameters) for parameters in (trainer.g_parameters, trainer.d_parameters)]
    return {"parameters": sizes, "first": first}, {
        "train": lambda: timed(options.steps * options.batch, steps),
        "sample": lambda: timed(options.samples, sample),
        "memory": lambda: torch.cuda.max_memory_allocated() / 1e9 if on_gpu else 0.0,
    }


def matrix_product(options: argparse.Namespace, precision: str) -> Prepared:
    """TFLOP a second of a product of square matrices by JAX; it also says which chip this is."""
    import jax

    side, products = options.matrix, 20
    a = jax.random.normal(jax.random.key(0), (side, side), precision)
    product = jax.jit(lambda x: x @ a)

    def work() -> None:
        x = a
        for _ in range(products):
            x = product(x)
        x.block_until_ready()

    work()
    facts = {"chip": jax.devices()[0].device_kind, "versions": f"JAX {jax.__version__}"}
    return facts, {"train": lambda: timed(products * 2 * side**3, work) / 1e12}


def inception(options: argparse.Namespace, precision: str) -> Prepared:
    """Features of 64×64 images a second, for each of `--feature-batches`."""
    from doggan.metrics.extractors import load_extractor

    extractor = load_extractor("inception", options.weights, precision=precision)

    def work(batch_size: int) -> Callable[[], object]:
        images = random_pictures(batch_size * options.feature_repeats)
        return lambda: extractor.features(images, batch_size=batch_size)

    works = {batch_size: work(batch_size) for batch_size in options.feature_batches}
    for each in works.values():
        each()  # compiles
    return {}, {
        str(batch_size): lambda each=each, n=batch_size * options.feature_repeats: timed(n, each)
        for batch_size, each in works.items()
    }


def prepare(options: argparse.Namespace) -> Prepared:
    """The contestant that this process is."""
    name = options.serve
    if name in PEAKS:
        return matrix_product(options, PEAKS[name])
    if name in INCEPTION:
        return inception(options, INCEPTION[name])
    if name in TORCH:
        return pytorch(options, TORCH[name])
    return doggan(options, {**JAX, **TENSORFLOW}[name])


def start_one(name: str, options: argparse.Namespace, batch: int) -> Contestant:
    """The contestant in its process, which shares the device's memory with the others'."""
    environment = {
        "KERAS_BACKEND": "tensorflow" if name in TENSORFLOW else "jax",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }
    keys = ["steps", "steps_per_call", "pictures", "samples", "width_divisor", "matrix", "feature_repeats"]
    arguments = [*passed_on(options, keys), "--batch", str(batch)]
    arguments += ["--feature-batches", *map(str, options.feature_batches)]
    if options.weights:
        arguments += ["--weights", str(options.weights)]
    python = options.torch_python if name in TORCH else sys.executable
    return Contestant(name, __file__, python, arguments, environment)


def chip_peak(chip: str) -> float | None:
    """Dense half-precision TFLOP/s of the chip, None for one not listed."""
    return next((rate for name, rate in CHIPS.items() if name in chip), None)


def training(options: argparse.Namespace, batch: int) -> None:
    """Rounds and table at one batch size."""
    names = [*PEAKS, *JAX, *(TENSORFLOW if importlib.util.find_spec("tensorflow") else ()), *TORCH]
    if options.only:
        names = [name for name in names if name in (*PEAKS, *options.only)]
    running = starting(start_one(name, options, batch) for name in names)
    generator, discriminator = agreed_sizes(running)
    chip = next((one.facts["chip"] for one in running if one.name in PEAKS), "an unknown chip")
    racing = [one for one in running if one.name not in PEAKS]
    rounds = [{one.name: one.measure("train") for one in running} for _ in range(options.rounds)]
    samples = [{one.name: one.measure("sample") for one in racing} for _ in range(options.rounds)]
    memory = {one.name: one.measure("memory") for one in racing}
    for one in running:
        one.close()

    gflop = sum(step_gflop(narrowed(Config(), options.width_divisor), SIZE).values())
    peak = chip_peak(chip)
    print(f"\n## Batches of {batch} on {chip}: {options.rounds} rounds of {options.steps} steps\n")
    print(f"G {generator:,} and D {discriminator:,} trainable parameters; {gflop:.2f} GFLOP per image and step")
    for name in PEAKS:
        if name in rounds[0]:
            print(f"{name}: {median(r[name] for r in rounds):.1f} TFLOP/s")
    print(f"half precision by the chip's maker: {f'{peak:.1f} TFLOP/s, dense' if peak else 'not known here'}\n")

    def ratio(name: str, other: str) -> str:
        return f"{median(r[name] / r[other] for r in rounds):.2f}×" if other in rounds[0] else ""

    def share(name: str) -> str:
        limit = next(limit for limit, precision in PEAKS.items() if precision in name)
        if limit not in rounds[0]:
            return ""
        return f"{median(r[name] * gflop / 1e3 / r[limit] for r in rounds):.0%}"

    columns = ("images/s", f"of {RIVAL}", "of the chip", "of the product", "samples/s", "memory", "first steps")
    print(f"| {'contestant':27} | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for one in racing:
        rate, sampling = (median(r[one.name] for r in each) for each in (rounds, samples))
        of_chip = f"{rate * gflop / 1e3 / peak:.0%}" if peak and "bfloat16" in one.name else ""
        print(
            f"| {one.name:27} | {rate:8,.0f} | {ratio(one.name, RIVAL):19} | {of_chip:11} | {share(one.name):14} "
            f"| {sampling:9,.0f} | {memory[one.name]:3.1f} GB | {one.facts['first']:9.1f} s |"
        )
    if OURS in rounds[0]:
        print()
        for name in TORCH:
            if name in rounds[0]:
                goal = f" (goal {GOAL}×)" if name == RIVAL else ""
                print(f"{OURS} is {ratio(OURS, name)} as fast as {name}{goal}")


def features(options: argparse.Namespace) -> None:
    """Inception features by batch size."""
    running = starting(start_one(name, options, batch=1) for name in INCEPTION)
    sizes = [str(size) for size in options.feature_batches]
    rounds = [{(one.name, size): one.measure(size) for one in running for size in sizes} for _ in range(options.rounds)]
    for one in running:
        one.close()
    print("\n## Inception features of 64×64 images on JAX, images/s by batch size\n")
    print(f"| | {' | '.join(sizes)} |")
    print("|---" * (len(sizes) + 1) + "|")
    for one in running:
        print(f"| {one.name} | {' | '.join(f'{median(r[one.name, size] for r in rounds):,.0f}' for size in sizes)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[128], help="images a step; a table for each")
    parser.add_argument("--torch-python", default=sys.executable, help="an interpreter with PyTorch")
    parser.add_argument("--weights", type=Path, help="of Inception, to measure its features too")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=256, help="steps of each contestant in a round")
    parser.add_argument("--steps-per-call", type=int, default=32, help="of doggan; divides --steps")
    parser.add_argument("--pictures", type=int, default=10_000, help="random pictures on the device")
    parser.add_argument("--samples", type=int, default=10_000, help="pictures sampled in a round")
    parser.add_argument("--matrix", type=int, default=8192, help="side of the matrices multiplied")
    parser.add_argument("--feature-batches", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--feature-repeats", type=int, default=8, help="batches in a round")
    parser.add_argument("--width-divisor", type=int, default=1, help="divides every width")
    parser.add_argument(
        "--only", nargs="+", choices=[*JAX, *TENSORFLOW, *TORCH], help="these contestants and no others"
    )
    parser.add_argument("--smoke", action="store_true", help="everything once and tiny, also on a CPU")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.smoke:
        options.batch, options.rounds, options.steps, options.steps_per_call = [4], 1, 2, 2
        options.pictures, options.samples, options.width_divisor, options.matrix = 64, 8, 64, 256
        options.feature_batches, options.feature_repeats = [2], 1
    if options.steps % options.steps_per_call:
        parser.error("--steps must be a multiple of --steps-per-call")
    if options.serve:
        options.batch = options.batch[0]
        serve(lambda: prepare(options))
        return
    for batch in options.batch:
        training(options, batch)
    if options.weights:
        features(options)


if __name__ == "__main__":
    main()
