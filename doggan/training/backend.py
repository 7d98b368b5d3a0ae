"""What is asked of Keras' backend outside of a step."""

from typing import Any

import keras
import numpy as np
from keras import ops


def has_accelerator() -> bool:
    """Whether the backend sees a GPU or TPU."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() != "cpu"
    import tensorflow as tf

    return any(device.device_type in ("GPU", "TPU") for device in tf.config.list_physical_devices())


def to_numpy(variable: Any) -> np.ndarray:
    """A copy of a variable's value on the host."""
    return np.array(ops.convert_to_numpy(ops.convert_to_tensor(variable)))
