"""Randomness as a function of (seed, step), so that nothing about it needs to be saved or kept in step.

`keras.random` draws from a `SeedGenerator`, which counts in a variable. Here the counter is the training step
itself: inside `step_scope(seed, step)` every `uniform` and `normal` is a fresh stream that depends on the seed, the
step and how many were asked for before it in this step, and on nothing else. Resuming a run at a step, or
running it on several replicas, then gives the same draws without any bookkeeping.

Where several replicas run a step (`doggan.replicas`), a draw is made for all of them, and each takes its rows: together
they draw what a single device would.

The generators of the backends differ. To compare them, the draws of a step can be handed in instead.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from doggan import replicas

_STREAMS = 1024  # streams per step; a step asks for a handful


class Asked(NamedTuple):
    """A draw that a step asked for: "uniform" in [0, 1) or standard "normal", float32 of this shape."""

    kind: str
    shape: tuple[int, ...]


class _Scope:
    def __init__(self, seed: int, step: Any, draws: Sequence[Any] | None) -> None:
        self.seed, self.step, self.draws = seed, step, draws
        self.asked: list[Asked] = []

    def draw(self, kind: str, shape: tuple[int, ...]) -> Any:
        stream = len(self.asked)
        self.asked.append(Asked(kind, shape))
        if self.draws is not None:
            if stream >= len(self.draws) or tuple(self.draws[stream].shape) != shape:
                raise ValueError(f"draw {stream} of this step must be {kind} of shape {shape}")
            return ops.convert_to_tensor(self.draws[stream], "float32")
        if stream >= _STREAMS:
            raise RuntimeError(f"more than {_STREAMS} random streams in one step")
        seed, n = StepSeed(self.seed, stream, self.step), replicas.count()
        return replicas.own_rows(_draw(kind, shape if n == 1 else (n * shape[0], *shape[1:]), seed))


def _draw(kind: str, shape: tuple[int, ...], seed: "StepSeed") -> Any:
    if keras.backend.backend() != "tensorflow":
        return getattr(keras.random, kind)(shape, dtype="float32", seed=seed)
    import tensorflow as tf

    # Left to itself TensorFlow takes another algorithm under XLA: the same seed would not be the same run.
    return getattr(tf.random, f"stateless_{kind}")(shape, seed.next(), dtype="float32", alg="philox")


class _Scopes(threading.local):
    """The open scopes, innermost last; per thread, since `tf.distribute` traces each replica in its own."""

    def __init__(self) -> None:
        self.open: list[_Scope] = []


_scopes = _Scopes()


class StepSeed(keras.random.SeedGenerator):
    """A seed for `keras.random` that is a function of (seed, stream, step) and owns no variable."""

    def __init__(self, seed: int, stream: int, step: Any) -> None:
        # Not calling the parent: it would create the state variable that this class exists to avoid.
        (mixed,) = np.random.SeedSequence((seed % 2**64, stream)).generate_state(1)
        self.seed = int(mixed) >> 1  # 31 bits, which both backends take
        self.step = step

    def next(self, ordered: bool = True) -> Any:
        """The seed as the backend's pair of integers; the same at every call."""
        dtype = "uint32" if keras.backend.backend() == "jax" else "int32"
        return ops.stack([ops.cast(self.seed, dtype), ops.cast(self.step, dtype)])


@contextmanager
def step_scope(seed: int, step: Any, draws: Sequence[Any] | None = None) -> Iterator[list[Asked]]:
    """Make `uniform` and `normal` functions of the step; yields the list of what they are asked for, as it grows.

    Args:
        seed: of the run.
        step: a Python integer or a scalar tensor.
        draws: what `uniform` and `normal` return, in the order they are called; None draws.
    """
    scope = _Scope(seed, step, draws)
    _scopes.open.append(scope)
    try:
        yield scope.asked
    finally:
        _scopes.open.pop()
    if draws is not None and len(draws) > len(scope.asked):
        raise ValueError(f"this step makes {len(scope.asked)} draws, and {len(draws)} were handed in")


def _innermost() -> _Scope:
    if not _scopes.open:
        raise RuntimeError("draws are functions of a training step: open a step_scope around them")
    return _scopes.open[-1]


def in_step_scope() -> bool:
    """Whether a `step_scope` is open."""
    return bool(_scopes.open)


def uniform(shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Any:
    """float32 of this shape, uniform in [low, high): the next draw of the innermost `step_scope`."""
    return low + (high - low) * _innermost().draw("uniform", shape)


def normal(shape: tuple[int, ...]) -> Any:
    """float32 of this shape, standard normal: the next draw of the innermost `step_scope`."""
    return _innermost().draw("normal", shape)


def alternatives(*branches: Callable[[], Any]) -> list[Callable[[], Any]]:
    """The branches of a condition, each of which draws as if it were the only one, however often it is traced.

    What one asks for must be how the other begins: handed-in draws are those of the longer one.
    """
    scope = _innermost()
    asked = scope.asked
    start = len(asked)

    def alone(branch: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> Any:
            before = asked[start:]
            del asked[start:]
            _scopes.open.append(scope)  # the branches of several replicas run in threads of their own
            try:
                result = branch()
            finally:
                _scopes.open.pop()
            if len(before) > len(asked) - start:
                asked[start:] = before
            return result

        return run

    return [alone(branch) for branch in branches]
