"""What several devices would bring, on paper: what they exchange in a training step, against the time of the step.

    python benchmarks/scaling.py [--recipe dogs-dcgan] [--set KEY=VALUE] [--devices 1 2 4 8]
        [--step-seconds S ...] [--measure] [--bandwidth GB/s ...] [--check]

Nothing of this was measured on several accelerators. Counted is what the step of the recipe's own networks asks
`tf.distribute` for; `--check` compares the count with a step that TensorFlow traces on two virtual devices of the
processor. (On JAX the compiler chooses what is exchanged, and merges it; the gradients are the same there.)

The model: in a ring of n devices an all-reduce of S bytes takes

    launch + 2 (n - 1) · hop + 2 (n - 1) / n · S / bandwidth

(the last term: Patarasuk & Yuan, Bandwidth optimal all-reduce algorithms for clusters of workstations, 2009; the launch
of 3.6 µs, and the hops of 0.47 µs by NVLink and 1 µs by PCIe, are those that NCCL reckons with, src/graph/tuning.cc, a
ring with protocol LL; those of Ethernet, by TCP, are nominal, and so are all bandwidths). One all-reduce follows the
other, and none overlaps with computing. The time of a step is taken to be proportional to its batch, which flatters
small batches.
"""

import argparse
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from doggan.config import Config
from doggan.data.batches import BatchPlan, batches
from doggan.devices import Devices, open_devices
from doggan.layers import BatchNormalization
from doggan.layers.spectral import SpectralNorm
from doggan.losses import PAIRED, RELATIVISTIC
from doggan.nets.dcgan import image_size
from doggan.recipes import load_recipe
from doggan.runs.build import build_gan
from doggan.training.gan import GAN

FLOAT = 4  # bytes
LAUNCH = 3.6e-6  # seconds


class Item(NamedTuple):
    """Exchanges of one kind in a step: of each, the bytes that every device has of it."""

    name: str
    payloads: list[int]


class Interconnect(NamedTuple):
    """`bandwidth` in bytes/s in one direction; `hop`, the seconds of a short message from one device to the next."""

    name: str
    bandwidth: float
    hop: float


INTERCONNECTS = (
    Interconnect("NVLink 4 (H100), 450 GB/s", 450e9, 0.47e-6),
    Interconnect("NVLink 3 (A100), 300 GB/s", 300e9, 0.47e-6),
    Interconnect("PCIe 3 x16, 12 GB/s", 12e9, 1e-6),
    Interconnect("100 Gb/s Ethernet", 12.5e9, 25e-6),
    Interconnect("10 Gb/s Ethernet", 1.25e9, 25e-6),
)
HOP = 5e-6  # where only a bandwidth is given


def build(config: Config) -> GAN:
    """The recipe's networks, optimizers and loss."""
    size = image_size(config.generator)
    return build_gan(config, (size, size, 3), steps_per_epoch=1000)


def all_reduces(config: Config, gan: GAN, batch: int, n: int) -> list[Item]:
    """What is all-reduced in one step: the longest one, in which penalties and replay are due where there are such.

    A gathering counts as it is done: a sum with zeros, which has the parts of all devices.

    Args:
        config: of the recipe.
        gan: as `build` makes it.
        batch: pictures on each device in an update of D.
        n: devices.
    """
    g, d = ([_size(layer.moving_mean) * 2 * n for layer in _batch_norms(net)] for net in _networks(gan))
    g_gradients, d_gradients = (sum(map(_size, net.trainable_variables)) for net in _networks(gan))
    shared = gan.update_rule == "simultaneous"
    learns = gan.replay is not None
    fake = FLOAT * math.prod(gan.generator.output_shape[1:])
    relativistic = config.train.loss in RELATIVISTIC
    mean = [FLOAT] if config.train.loss in RELATIVISTIC - PAIRED else []
    slopes = [gan.penalty.r1 > 0, gan.penalty.r2 > 0, gan.penalty.gp > 0]
    between = int(slopes[2])

    # Calls of D on real pictures, fakes and, for WGAN-GP, what is between; a G that is updated apart has its own.
    for_d = gan.d_steps * (2 + between)
    for_g = 0 if shared else 1 + relativistic
    pairs = gan.d_steps + (not shared)  # of D(real) and D(fake) that a loss compares
    row = n * batch * FLOAT
    items = [
        Item("gradients of G", [g_gradients]),
        Item("gradients of D", [d_gradients] * (gan.d_steps + learns)),
        Item("batch norm's moments, forward", g * (1 if shared else pairs) + d * (for_d + for_g + learns)),
        Item("the same, backward", g + d + d * (for_d + learns)),
        Item("the same in the slopes of penalties, and backward", d * 2 * sum(slopes) * gan.d_steps),
        Item("mean logits of the relativistic losses", mean * (2 * pairs + 1 + 2 * gan.d_steps + 3 * learns)),
        Item("which labels are flipped", [row] * (2 * gan.d_steps * (gan.labels == "intended"))),
        Item("the fake that replay keeps", [n * fake] * learns),
        Item("logits, for logs, histograms and ADA", [row, row]),
        Item("losses, for logs", [3 * FLOAT]),
    ]
    return [item for item in items if item.payloads]


def copies(config: Config, gan: GAN) -> list[Item]:
    """What the first device of every machine hands to its others in one step, as `all_reduces`.

    It is what all have computed alike: `tf.distribute` does not know that.
    """
    shared = gan.update_rule == "simultaneous"
    learns = gan.replay is not None
    for_g = 0 if shared else 1 + (config.train.loss in RELATIVISTIC)
    calls = (1 if shared else gan.d_steps + 1, 2 * gan.d_steps + for_g + learns)
    updates = [_size(gan.g_optimizer.iterations)] + [_size(gan.d_optimizer.iterations)] * (gan.d_steps + learns)
    # Newer Keras leaves them on each device until they are read.
    of_logs = [variable for metric in (*gan.stats, *gan.verdicts) for variable in metric.variables]
    counted = [variable for variable in of_logs if getattr(variable, "synchronization", "auto") != "on_read"]
    u, statistics = [], []
    for net, times in zip(_networks(gan), calls, strict=True):
        u += [_size(layer.u) for layer in net.layers if isinstance(layer, SpectralNorm)] * times
        statistics += [_size(layer.moving_mean) for layer in _batch_norms(net)] * 2 * times
    items = [
        Item("spectral norm's u", u),
        Item("batch norm's moving statistics", statistics),
        Item("numbers of steps and updates", [_size(gan.step), *updates]),
        Item("means and histograms for logs", [_size(variable) for variable in counted]),
        Item("the probability of augmentation", [_size(variable) for variable in gan.adaptive_variables]),
        Item("the replay buffer", [_size(gan.replay.images)] * 2 if gan.replay is not None else []),
    ]
    return [item for item in items if item.payloads]


def _networks(gan: GAN) -> tuple[Any, Any]:
    return gan.generator, gan.discriminator


def _batch_norms(network: Any) -> list[Any]:
    return [layer for layer in network.layers if isinstance(layer, BatchNormalization)]


def _size(variable: Any) -> int:
    """Bytes of a variable."""
    return np.dtype(variable.dtype).itemsize * int(np.prod(tuple(variable.shape)))


def payloads(items: list[Item]) -> list[int]:
    """Those of all items."""
    return [size for item in items for size in item.payloads]


def seconds(sizes: list[int], n: int, link: Interconnect) -> tuple[float, float]:
    """Of all-reduces by n > 1 devices, one after the other: those in which bytes travel, and launches and hops."""
    travel = 2 * (n - 1) / n * sum(sizes) / link.bandwidth
    return travel, len(sizes) * (LAUNCH + 2 * (n - 1) * link.hop)


def traced(config: Config, devices: Devices) -> tuple[Counter[int], Counter[int]]:
    """Bytes → how many all-reduces, and copies, of so many a step of this recipe asks TensorFlow for.

    Args:
        config: penalties in every step: it would count those of both branches of a condition.
        devices: several of this process, made by `tf.distribute`.
    """
    import tensorflow as tf

    size, batch = image_size(config.generator), config.train.batch_size * config.train.d_steps // devices.replicas
    with devices.scope(), _recording() as (reduced, copied):
        gan = build(config)

        @tf.function(autograph=False)  # converting the code takes longer than to trace it
        def step(pictures: Any) -> Any:
            return devices.engine.run(gan.step_on, args=(pictures,))

        reduced.clear()
        copied.clear()
        step.get_concrete_function(tf.TensorSpec((batch, size, size, 3)))
    return reduced, copied


@contextmanager
def _recording() -> Iterator[tuple[Counter[int], Counter[int]]]:
    """Counts bytes of what the first replica all-reduces, and of what is copied to all."""
    import tensorflow as tf
    from tensorflow.python.distribute.distribute_lib import ReplicaContextBase, StrategyExtendedV1

    reduced: Counter[int] = Counter()
    copied: Counter[int] = Counter()
    all_reduce, broadcast_to = ReplicaContextBase.all_reduce, StrategyExtendedV1.broadcast_to

    def counting_all_reduce(self: Any, how: Any, value: Any, options: Any = None) -> Any:
        if tf.get_static_value(self.replica_id_in_sync_group) == 0:
            # A list is joined into one, by NCCL and by the collectives of several workers.
            reduced[sum(part.dtype.size * part.shape.num_elements() for part in tf.nest.flatten(value))] += 1
        return all_reduce(self, how, value, options)

    def counting_broadcast(self: Any, tensor: Any, destinations: Any) -> Any:
        copied[tensor.dtype.size * tensor.shape.num_elements()] += 1
        return broadcast_to(self, tensor, destinations)

    ReplicaContextBase.all_reduce, StrategyExtendedV1.broadcast_to = counting_all_reduce, counting_broadcast
    try:
        yield reduced, copied
    finally:
        ReplicaContextBase.all_reduce, StrategyExtendedV1.broadcast_to = all_reduce, broadcast_to


def differences(config: Config, devices: Devices) -> list[str]:
    """Where the count on paper and the step that is traced differ, one line each."""
    gan = build(config)
    batch = config.train.batch_size // devices.replicas
    paper = all_reduces(config, gan, batch, devices.replicas), copies(config, gan)
    lines = []
    for kind, items, found in zip(("all-reduces", "copies"), paper, traced(config, devices), strict=True):
        counted = Counter(payloads(items))
        lines += [
            f"{kind} of {size} bytes: {counted[size]} on paper, {found[size]} in TensorFlow's step"
            for size in sorted(counted | found)
            if counted[size] != found[size]
        ]
    return lines


def measured(config: Config, batch: int, steps: int) -> float:
    """Seconds of a step per picture of `train.batch_size`, on one device, here: the fastest of so many.

    Args:
        config: of the recipe.
        batch: pictures in an update of D.
        steps: after a first one, which compiles.
    """

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, step: int, logs: dict[str, Any] | None = None) -> None:
            ends.append(time.perf_counter())

    ends: list[float] = []
    config = replace(config, train=replace(config.train, batch_size=batch))
    size, together = image_size(config.generator), batch * config.train.d_steps
    images = np.random.default_rng(0).integers(0, 256, (together, size, size, 3), dtype=np.uint8)
    data = batches(images, BatchPlan(together, together, config.seed, size, size))
    build(config).fit(data, steps_per_epoch=steps + 1, verbose=0, shuffle=False, callbacks=[Clock()])
    return float(np.diff(ends).min()) / batch


def table_of_items(title: str, counted: dict[int, list[Item]]) -> None:
    """A line for each item, a pair of columns for each number of devices."""
    numbers = list(counted)
    names = [item.name for item in counted[numbers[0]]]
    print("| " + " | ".join([title, "how many", *(f"bytes, n = {n}" for n in numbers)]) + " |")
    print("|---" * (2 + len(numbers)) + "|")
    for i, name in enumerate([*names, "together"]):
        sizes = [payloads(items if i == len(names) else [items[i]]) for items in counted.values()]
        print("| " + " | ".join([name, str(len(sizes[0])), *(f"{sum(of_n):,}" for of_n in sizes)]) + " |")
    print()


def table_of_times(
    config: Config, gan: GAN, numbers: list[int], links: tuple[Interconnect, ...], steps: list[float]
) -> None:
    """Weak and strong scaling by interconnect: what is exchanged, in ms, and the efficiency."""
    whole = config.train.batch_size
    print(f"Weak: {whole} pictures on each device. Strong: {whole} on all together.")
    print(f"Efficiency, where one device takes {', '.join(f'{1e3 * s:g}' for s in steps)} ms for {whole} pictures:\n")
    columns = [f"{kind}, {1e3 * s:g} ms" for kind in ("weak", "strong") for s in steps]
    print("| " + " | ".join(["interconnect", "n", "ms for bytes", "ms for latency", *columns]) + " |")
    print("|---" * (4 + len(columns)) + "|")
    if 1 in numbers:
        print("| " + " | ".join(["", "1", "0", "0", *["100%"] * len(columns)]) + " |")
    for link in links:
        for n in (n for n in numbers if n > 1):
            cells = [link.name, str(n)]
            each = [seconds(payloads(all_reduces(config, gan, batch, n)), n, link) for batch in (whole, whole // n)]
            travel, latency = each[0]
            cells += [f"{1e3 * travel:.2f}", f"{1e3 * latency:.2f}"]
            for shares, exchange in zip((1, n), map(sum, each), strict=True):
                cells += [f"{s / shares / (s / shares + exchange):.0%}" for s in steps]
            print("| " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="dogs-dcgan", help="a name, or a .toml file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for doggan train")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4, 8], metavar="N")
    parser.add_argument(
        "--step-seconds",
        type=float,
        nargs="+",
        default=[0.01, 0.05, 0.1],
        metavar="S",
        help="what a step of the recipe's batch may take on one device; the defaults are assumed, not measured",
    )
    parser.add_argument("--measure", action="store_true", help="measure that step here, in place of --step-seconds")
    parser.add_argument("--measure-batch", type=int, default=16, help="pictures in the step that is measured")
    parser.add_argument(
        "--bandwidth", type=float, nargs="+", metavar="GB/s", help="in place of the known interconnects"
    )
    parser.add_argument("--hop", type=float, default=HOP * 1e6, metavar="µs", help="latency that goes with --bandwidth")
    parser.add_argument("--check", action="store_true", help="compare the count with TensorFlow's step; nothing else")
    options = parser.parse_args()
    config = load_recipe(options.recipe, tuple(options.set))
    whole = config.train.batch_size
    if bad := [n for n in options.devices if n < 1 or whole % n]:
        parser.error(f"a batch of {whole} cannot be divided between {bad[0]} devices; --set train.batch_size=…")
    if options.check:
        found = differences(config, open_devices(2))
        print("\n".join(found) or f"{config.recipe}: TensorFlow's step on two devices exchanges what is counted here")
        sys.exit(bool(found))

    gan = build(config)
    parameters = [sum(map(_size, net.trainable_variables)) // FLOAT for net in _networks(gan)]
    print(f"{config.recipe}: G {parameters[0]:,} and D {parameters[1]:,} trainable parameters, batches of {whole}\n")
    numbers = [n for n in options.devices if n > 1] or [2]
    weak = {n: all_reduces(config, gan, whole, n) for n in numbers}
    table_of_items(f"all-reduced in a step, {whole} pictures on each of n devices", weak)
    table_of_items("copied within a machine in a step", {numbers[0]: copies(config, gan)})

    steps = options.step_seconds
    if options.measure:
        batch = options.measure_batch
        steps = [whole * measured(config, batch, steps=3)]
        print(f"Measured here, {os.cpu_count()} cores: {steps[0]:.2f} s for {whole} pictures, by batches of {batch}.\n")
    links: tuple[Interconnect, ...] = INTERCONNECTS
    if options.bandwidth:
        links = tuple(Interconnect(f"{b:g} GB/s", b * 1e9, options.hop * 1e-6) for b in options.bandwidth)
    table_of_times(config, gan, options.devices, links, steps)


if __name__ == "__main__":
    main()
