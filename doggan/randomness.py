"""Randomness as a function of (seed, step), so that nothing about it needs to be saved or kept in step.

`keras.random` draws from a `SeedGenerator`, which counts in a variable. Here the counter is the training step
itself: inside `step_scope(seed, step)` every `next_seed()` is a fresh stream that depends on the seed, the
step and how many were asked for before it in this step, and on nothing else. Resuming a run at a step, or
running it on several replicas, then gives the same draws without any bookkeeping.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

_STREAMS = 1024  # streams per step; a step asks for a handful


class _Scopes(threading.local):
    """The open scopes, innermost last; per thread, since `tf.distribute` traces each replica in its own."""

    def __init__(self) -> None:
        self.open: list[_Scope] = []


class _Scope:
    def __init__(self, seed: int, step: Any) -> None:
        self.seed, self.step, self.used = seed, step, 0


_scopes = _Scopes()


class StepSeed(keras.random.SeedGenerator):
    """A seed for `keras.random` that is a function of (seed, stream, step) and owns no variable."""

    def __init__(self, seed: int, stream: int, step: Any) -> None:
        # Not calling the parent: it would create the state variable that this class exists to avoid.
        self.seed = (seed * _STREAMS + stream) % 2**31
        self.step = step

    def next(self, ordered: bool = True) -> Any:
        """The seed as the backend's pair of integers; the same at every call."""
        dtype = "uint32" if keras.backend.backend() == "jax" else "int32"
        return ops.stack([ops.cast(self.seed, dtype), ops.cast(self.step, dtype)])


@contextmanager
def step_scope(seed: int, step: Any) -> Iterator[None]:
    """Make `next_seed` available; `step` may be a Python integer or a scalar tensor."""
    _scopes.open.append(_Scope(seed, step))
    try:
        yield
    finally:
        _scopes.open.pop()


def next_seed() -> StepSeed | None:
    """The next stream of the innermost `step_scope`, or None outside of any."""
    if not _scopes.open:
        return None
    scope = _scopes.open[-1]
    scope.used += 1
    if scope.used >= _STREAMS:
        raise RuntimeError(f"more than {_STREAMS} random streams in one step")
    return StepSeed(scope.seed, scope.used, scope.step)
