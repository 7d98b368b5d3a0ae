"""Computing in the precision that was asked for, on accelerators too."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def full_float32() -> Iterator[None]:
    """Within it, products and convolutions of float32 are computed in float32.

    On recent GPUs TensorFlow rounds their factors to TF32 (10 bits) unless told otherwise, and on GPUs and TPUs JAX
    rounds them too. On a CPU it changes nothing.
    """
    if keras.backend.backend() == "jax":
        import jax

        with jax.default_matmul_precision("float32"):
            yield
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        before = tf.config.experimental.tensor_float_32_execution_enabled()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            tf.config.experimental.enable_tensor_float_32_execution(before)
    else:
        yield
