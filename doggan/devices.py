"""The devices a run is trained on: one, several of a machine, or those of several machines.

The engines are `tf.distribute` (MirroredStrategy, MultiWorkerMirroredStrategy) and `keras.distribution.DataParallel` on
JAX. Each device takes its rows of every batch, and gradients, batch norm's moments and all else that is of the batch
are those of the whole: training is the same run on any number of devices, up to rounding.

Several processes are started by whoever has the machines, with the same command each, and find each other by the
variables that TensorFlow and JAX read: `TF_CONFIG`, or `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and
`JAX_PROCESS_ID`. All of them train; process 0, the chief, also samples, scores and writes.
"""

import json
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import keras
import numpy as np

from doggan.errors import DogganError

T = TypeVar("T")

_JAX_VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


@dataclass(frozen=True)
class Devices:
    """What a run is trained on.

    Attributes:
        replicas: devices of all processes together.
        process, processes: the number of this process, from 0, and how many there are.
        engine: the `tf.distribute` strategy or the `keras.distribution`; None for a single device.
    """

    replicas: int = 1
    process: int = 0
    processes: int = 1
    engine: Any = None

    @property
    def chief(self) -> bool:
        """Whether this process is the one that writes."""
        return self.process == 0

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Networks made within lie on all devices, and `fit` within trains on them."""
        if self.engine is None:
            yield
        elif keras.backend.backend() == "tensorflow":
            with self.engine.scope():
                yield
        else:
            before = keras.distribution.distribution()
            keras.distribution.set_distribution(self.engine)
            try:
                yield
            finally:
                keras.distribution.set_distribution(before)

    def alone(self, task: Callable[[], T]) -> T:
        """The result of `task`, which is done on one device of this process, without the others, also within `scope`.

        Networks that it makes lie there, and may be used there only. A second Ctrl-C waits for it.
        """
        if self.engine is None:
            return task()
        # Both libraries keep the scope by thread.
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(task).result()

    def highest(self, number: int) -> int:
        """The highest of what the processes say, told to all of them; every process must ask, and waits for the others.

        Decisions that are not functions of the step (the time, a signal) are made by it, so that all go the same way.
        """
        return number if self.processes == 1 else max(int(said) for said in self._said_by_all(number))

    def chief_first(self, task: Callable[[], T]) -> T:
        """The result of `task`, which every process does, the chief before the others; where it fails, all do.

        Raises:
            DogganError: by the task; or it failed in the chief, which says why.
        """
        if self.chief:
            try:
                result = task()
            except BaseException:
                self.highest(1)
                raise
            self.highest(0)
            return result
        if self.highest(0):
            raise DogganError("Process 0 could not go on, and says why; start all processes again when that is mended.")
        return task()

    def check_same(self, text: str, what: str) -> None:
        """Refuse to go on where the processes do not all say the same.

        Args:
            text: of this process.
            what: it is about, in the plural.

        Raises:
            DogganError: in all processes.
        """
        number = zlib.crc32(text.encode()) >> 1
        if self.highest(number) != -self.highest(-number):
            raise DogganError(
                f"The processes found different {what}; start all with the same command, and in one folder they share."
            )

    @cached_property
    def _said_by_all(self) -> Callable[[int], Any]:
        """A number of this process → those of all of them, at least once each; compiled once."""
        if keras.backend.backend() == "jax":
            from jax.experimental import multihost_utils

            return lambda number: multihost_utils.process_allgather(np.int32(number))
        import tensorflow as tf

        def on_replica(number: Any) -> Any:
            # A copy on the replica's own device, which the gathering goes by.
            return tf.distribute.get_replica_context().all_gather(tf.identity(number)[None], axis=0)

        @tf.function
        def everywhere(number: Any) -> Any:
            return self.engine.experimental_local_results(self.engine.run(on_replica, args=(number,)))[0]

        return lambda number: everywhere(tf.constant(number))


ONE = Devices()


def open_devices(wanted: int | None = 1) -> Devices:
    """The devices to train on; to be called before anything is computed.

    Where there is no accelerator, the processor is divided into so many virtual devices: for trying out what runs on
    several, and slower than one.

    Args:
        wanted: how many of this machine; None for all.

    Raises:
        DogganError: there are fewer, the backend has begun to compute, or the variables that tell of other processes
            do not make sense.
    """
    return _open_jax(wanted) if keras.backend.backend() == "jax" else _open_tensorflow(wanted)


def _open_tensorflow(wanted: int | None) -> Devices:
    import tensorflow as tf

    if "JAX_NUM_PROCESSES" in os.environ:
        raise DogganError("JAX_NUM_PROCESSES is set, and KERAS_BACKEND is tensorflow; unset it, or use jax.")
    process, processes = _tensorflow_cluster()
    accelerators = tf.config.list_physical_devices("GPU")
    n = _how_many(wanted, len(accelerators))
    if accelerators and n < len(accelerators):
        _before_computing(lambda: tf.config.set_visible_devices(accelerators[:n], "GPU"))
    if n > 1 and not accelerators:
        (cpu,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration()] * n
        _before_computing(lambda: tf.config.set_logical_device_configuration(cpu, parts))
    if processes > 1:
        if n > 1 and not accelerators:
            raise DogganError(f"--devices {n} of a processor do not go with several processes; leave --devices out.")
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        return Devices(strategy.num_replicas_in_sync, process, processes, strategy)
    if n == 1:
        return ONE
    kind = "GPU" if accelerators else "CPU"
    return Devices(n, engine=tf.distribute.MirroredStrategy([f"{kind}:{i}" for i in range(n)]))


def _tensorflow_cluster() -> tuple[int, int]:
    """(this process, processes) by TF_CONFIG."""
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return 0, 1
    try:
        told = json.loads(text)
        workers = len(told["cluster"]["worker"])
        kind, index = told["task"]["type"], int(told["task"]["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise DogganError(
            f"TF_CONFIG is not understood ({error!r}); it is "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, or unset.'
        ) from None
    if set(told["cluster"]) != {"worker"} or kind != "worker" or not 0 <= index < workers:
        raise DogganError(f"TF_CONFIG must name workers only, and one of the {workers} as this task; it is {text}.")
    return index, workers


def _open_jax(wanted: int | None) -> Devices:
    import jax

    if "TF_CONFIG" in os.environ:
        raise DogganError("TF_CONFIG is set, and KERAS_BACKEND is jax; unset it, or use tensorflow.")
    process, processes = _jax_cluster()
    if wanted is not None and wanted > 1 and "JAX_NUM_CPU_DEVICES" not in os.environ:
        _before_computing(lambda: jax.config.update("jax_num_cpu_devices", wanted))
    if processes > 1:
        address = os.environ[_JAX_VARIABLES[0]]
        try:
            jax.distributed.initialize(address, processes, process)
        except (RuntimeError, ValueError) as error:
            raise DogganError(f"Process {process} does not reach process 0 at {address} ({error}).") from None
    local = jax.local_devices()
    n = _how_many(wanted, 0 if local[0].platform == "cpu" else len(local))
    if len(local) < n:
        raise DogganError(f"--devices {n} are wanted, and this machine has {len(local)}.")
    if n * processes == 1:
        return ONE
    of_each = ([device for device in jax.devices() if device.process_index == i] for i in range(processes))
    names = [f"{device.platform}:{device.id}" for devices in of_each for device in devices[:n]]
    engine = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
    return Devices(len(names), process, processes, engine)


def _jax_cluster() -> tuple[int, int]:
    """(this process, processes) by JAX's variables."""
    told = [name for name in _JAX_VARIABLES if name in os.environ]
    if not told:
        return 0, 1
    if len(told) < len(_JAX_VARIABLES):
        raise DogganError(f"Of {', '.join(_JAX_VARIABLES)} only {', '.join(told)} is set; set all three, or none.")
    _, processes, process = (os.environ[name] for name in _JAX_VARIABLES)
    if not (processes.isdigit() and process.isdigit() and int(process) < int(processes)):
        raise DogganError(
            f"JAX_PROCESS_ID = {process} must be a number below JAX_NUM_PROCESSES = {processes}, and at least 0."
        )
    return int(process), int(processes)


def _how_many(wanted: int | None, accelerators: int) -> int:
    if wanted is None:
        return max(accelerators, 1)
    if accelerators and wanted > accelerators:
        raise DogganError(f"--devices {wanted} are wanted, and this machine has {accelerators}.")
    return wanted


def _before_computing(configure: Callable[[], Any]) -> None:
    try:
        configure()
    except RuntimeError as error:
        raise DogganError(f"The devices must be chosen before anything is computed ({error}).") from None
