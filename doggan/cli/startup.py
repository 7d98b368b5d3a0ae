"""What every command line needs around it: errors as sentences and exit codes, and a quiet start of Keras."""

import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import click

from doggan.errors import DogganError, Interrupted

if TYPE_CHECKING:
    from doggan.devices import Devices

EXIT_MISTAKE = 2
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
_EXIT_SIGNAL = {"SIGINT": 130, "SIGTERM": 143}

_opened: "list[Devices]" = []  # by the command

# TensorFlow writes banners about CPU features and missing GPUs to stderr; a user who wants them sets this themselves.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main(command: click.Command) -> None:
    """Run a command line; a user's mistake is one sentence on stderr and exit status 2."""
    try:
        command.main(standalone_mode=False)
    except DogganError as error:
        click.echo(f"doggan: {error}", err=True)
        _leave(EXIT_MISTAKE)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Interrupted as error:
        click.echo(f"doggan: stopped by {error}", err=True)
        sys.exit(_EXIT_SIGNAL[str(error)])
    except (KeyboardInterrupt, click.Abort):
        click.echo("doggan: interrupted", err=True)
        _leave(_EXIT_SIGNAL["SIGINT"])
    except OSError as error:
        remedy = "; free some space, or choose another place, and run the command again"
        cannot_write = error.errno in _CANNOT_WRITE
        click.echo(f"doggan: {error}{remedy if cannot_write else ''}", err=True)
        _leave(EXIT_MISTAKE)
    except Exception as error:
        if not any(devices.processes > 1 for devices in _opened):
            raise
        click.echo(
            f"doggan: training with other processes ended ({type(error).__name__}: {error}); see what they say, and "
            "start all of them again with --resume",
            err=True,
        )
        _leave(EXIT_MISTAKE)


def _leave(code: int) -> NoReturn:
    """Exit; without the farewell of JAX's processes to each other, which waits minutes for those that still train."""
    if any(devices.processes > 1 for devices in _opened):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def load_keras() -> None:
    """Import Keras, its backend and what is needed to know the devices, without TensorFlow's banners on stderr."""
    with _without_banners():
        _import_keras()


def load_devices(wanted: int | None) -> "Devices":
    """The same for a command that trains: the devices to train on; see `doggan.devices.open_devices`."""
    if any(name in os.environ for name in ("TF_CONFIG", "JAX_NUM_PROCESSES")):
        click.echo("waiting for the other processes", err=True)
    with _without_banners():
        from doggan.devices import open_devices

        devices = open_devices(wanted)
        _import_keras()
    _opened.append(devices)
    return devices


def _import_keras() -> None:
    import doggan.training.gan  # noqa: F401  refuses a backend that it cannot train on
    from doggan.training.backend import has_accelerator

    has_accelerator()


@contextmanager
def _without_banners() -> Iterator[None]:
    """TensorFlow writes them before any setting of its own can stop it. Should an import fail, they are shown."""
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
