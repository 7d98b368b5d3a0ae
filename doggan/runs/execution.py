"""Where the batches of a run are made, and how many of its steps run in one call of the compiled function."""

import keras

from doggan.devices import ONE, Devices
from doggan.errors import DogganError

_STEPS_ON_ACCELERATOR = 32  # enough that Python, which comes between two calls, is not waited for


def made_on_device(place: str, accelerator: bool, devices: Devices = ONE) -> bool:
    """Whether the pictures lie on the device and the step makes the batches.

    Args:
        place: `data.place`: "host", "device", or "auto", which is the device where it is an accelerator; but the host
            where several processes train under TensorFlow, which shares out plain batches only.
        accelerator: whether the backend computes on one.
        devices: those that train.

    Raises:
        DogganError: the device is asked for, and TensorFlow cannot.
    """
    only_plain = devices.processes > 1 and keras.backend.backend() == "tensorflow"
    if place == "device" and only_plain:
        raise DogganError("data.place=device does not go with several processes under TensorFlow; set data.place=auto.")
    return place == "device" or (place == "auto" and accelerator and not only_plain)


def steps_wanted(setting: int, accelerator: bool) -> int:
    """Steps in one call, at most.

    Args:
        setting: `train.steps_per_execution`; 0 is one on a CPU and 32 on an accelerator.
        accelerator: whether the backend computes on one.
    """
    return setting or (_STEPS_ON_ACCELERATOR if accelerator else 1)


def next_fit(wanted: int, left: int) -> tuple[int, int]:
    """Steps in one call and steps in the next `fit`, where so many are left in the epoch.

    A `fit` takes whole calls only: what they leave of an epoch is a last call of its own, of fewer steps.
    """
    per_call = min(wanted, left)
    return per_call, left // per_call * per_call
