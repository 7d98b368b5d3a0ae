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


def next_fit(wanted: int, left: int) -> tuple[int, int]:
    """Steps in one call and steps in the next `fit`, where so many are left in the epoch.

    A `fit` takes whole calls only: what they leave of an epoch is a last call of its own, of fewer steps.
    """
    per_call = min(wanted, left)
    return per_call, left // per_call * per_call
