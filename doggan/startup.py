"""A quiet start of Keras: its backends write banners before any setting of theirs can stop it."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from doggan.errors import DogganError

if TYPE_CHECKING:
    from doggan.devices import Devices


def load_keras() -> None:
    """Import Keras, its backend and what is needed to know the devices, without TensorFlow's banners on stderr."""
    with _without_banners():
        _import_keras()


def load_devices(wanted: int | None) -> "Devices":
    """The same for what trains: the devices to train on; see `doggan.devices.open_devices`."""
    with _without_banners():
        from doggan.devices import open_devices

        devices = open_devices(wanted)  # before anything computes, as asking for accelerators does
        _import_keras()
    return devices


def _import_keras() -> None:
    import doggan.training.gan  # noqa: F401  refuses a backend that it cannot train on
    from doggan.training.backend import has_accelerator

    has_accelerator()


@contextmanager
def _without_banners() -> Iterator[None]:
    """Hold back what is written to stderr within, and show it should an import fail.

    Raises:
        DogganError: Keras or its backend is not installed.
    """
    # Those that TensorFlow writes later, about CPU features and missing GPUs: who wants them sets this to 0.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except ModuleNotFoundError as error:
            raise DogganError(
                f"Keras or its backend is not installed ({error}); pip install tensorflow, or 'doggan[jax]' and set "
                "KERAS_BACKEND=jax."
            ) from None
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
