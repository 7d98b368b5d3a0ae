"""What every command line needs around it: errors as sentences and exit codes."""

import errno
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from doggan import startup
from doggan.cli.sections import EXIT_MISTAKE
from doggan.errors import DogganError, Interrupted

if TYPE_CHECKING:
    from doggan.devices import Devices

EXIT_COLLAPSED = 3
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
_EXIT_SIGNAL = {"SIGINT": 130, "SIGTERM": 143}

_opened: "list[Devices]" = []  # by the command


def main(command: click.Command) -> None:
    """Run a command line; a user's mistake is one sentence on stderr and exit status 2."""
    try:
        command.main(standalone_mode=False)
    except DogganError as error:
        click.echo(f"doggan: {error}", err=True)
        _leave(EXIT_MISTAKE)
    except click.ClickException as error:
        click.echo(_in_a_line(error), err=True)
        _leave(EXIT_MISTAKE)
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


def _in_a_line(error: click.ClickException) -> str:
    """What was typed wrong, and where to read what is right."""
    context = getattr(error, "ctx", None)
    command = "doggan" if context is None else context.command_path
    message = " ".join(error.format_message().split()).removesuffix(".")
    return f"{command}: {message}; see {command} --help"


def _leave(code: int) -> NoReturn:
    """Exit; without the farewell of JAX's processes to each other, which waits minutes for those that still train."""
    if any(devices.processes > 1 for devices in _opened):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def load_devices(wanted: int | None) -> "Devices":
    """`doggan.startup.load_devices` for a command, which says what it waits for."""
    if any(name in os.environ for name in ("TF_CONFIG", "JAX_NUM_PROCESSES")):
        click.echo("waiting for the other processes", err=True)
    devices = startup.load_devices(wanted)
    _opened.append(devices)
    return devices
