"""What the replicas of a training step share.

Under `tf.distribute` every device runs the step on its own rows of the batch, and what should be of the whole batch
must be asked for: the functions here do so, and may be differentiated, twice too. On JAX the step is one program over
the whole batch, which the compiler divides; there, and on a single device, they return what they are given.

Replicas count their rows in the order of their numbers: replica i has rows i·B to (i + 1)·B of the n·B.
"""

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops


def count() -> int:
    """The replicas that run this code side by side: 1 outside of a step."""
    context = _context()
    return 1 if context is None else int(context.num_replicas_in_sync)


def planned() -> bool:
    """Whether steps will be run by several replicas of `tf.distribute`."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def own_rows(x: Any) -> Any:
    """This replica's rows [B, ...] of what all replicas hold alike, [n · B, ...]."""
    n = count()
    if n == 1:
        return x
    index = _context().replica_id_in_sync_group
    return ops.reshape(x, (n, x.shape[0] // n, *x.shape[1:]))[index]  # keeps the shape static, as slices would not


def gather(x: Any) -> Any:
    """[B, ...] of every replica → [n · B, ...], alike on all of them."""
    n = count()
    if n == 1:
        return x
    # As a sum with zeros: `all_gather` fails under a condition.
    here = ops.equal(ops.arange(n), _context().replica_id_in_sync_group)
    rows = ops.where(ops.reshape(here, (n, *(1,) * len(x.shape))), x[None], ops.zeros_like(x[None]))
    return ops.reshape(_all_reduce("SUM", rows), (n * x.shape[0], *x.shape[1:]))


def mean(x: Any) -> Any:
    """The mean over the replicas of a tensor that has the same shape on each, or of each of a list of them."""
    return x if count() == 1 else _all_reduce("MEAN", x)


def assign(pairs: Iterable[tuple[keras.Variable, Any]]) -> None:
    """Assign values that every replica has computed alike: each keeps its own, and nothing travels."""
    variables, values = zip(*pairs, strict=True)
    if count() == 1:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return

    def on_each(strategy: Any, values: Any) -> None:
        for variable, value in zip(variables, values, strict=True):
            strategy.extended.update(variable.value, lambda copy, own: copy.assign(own), args=(value,))

    _context().merge_call(on_each, args=(values,))


def _all_reduce(how: str, x: Any) -> Any:
    import tensorflow as tf

    return _context().all_reduce(tf.distribute.ReduceOp[how], x)


def _context() -> Any:
    """TensorFlow's replica context; None outside of one, and on JAX."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    return tf.distribute.get_replica_context()
