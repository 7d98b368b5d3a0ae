"""Where the batches of a run are made, and how many of its steps run in one call of the compiled function."""

_STEPS_ON_ACCELERATOR = 32  # enough that Python, which comes between two calls, is not waited for


def made_on_device(place: str, accelerator: bool) -> bool:
    """Whether the pictures lie on the device and the step makes the batches.

    Args:
        place: `data.place`: "host", "device", or "auto", which is the device where it is an accelerator.
        accelerator: whether the backend computes on one.
    """
    return place == "device" or (place == "auto" and accelerator)


def steps_wanted(setting: int, accelerator: bool) -> int:
    """Steps in one call, at most.

    Args:
        setting: `train.steps_per_execution`; 0 is one on a CPU and 32 on an accelerator.
        accelerator: whether the backend computes on one.
    """
    return setting or (_STEPS_ON_ACCELERATOR if accelerator else 1)


def steps_per_call(wanted: int, steps: int) -> int:
    """The largest divisor of `steps` that is at most `wanted`, both positive.

    Calls of any other number do not end where the epoch does: Keras runs the last one whole.
    """
    return max(k for k in range(1, min(wanted, steps) + 1) if steps % k == 0)
