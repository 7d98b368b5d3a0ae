"""`doggan play`."""

import ipaddress
import threading
from pathlib import Path
from typing import Any

import click

from doggan.cli.options import (
    PATH,
    checkpoint_option,
    complete_data,
    plain_bn_samples_option,
    quiet_option,
    raw_option,
    run_argument,
)
from doggan.startup import load_keras


@click.command()
@run_argument
@click.option("--real", type=PATH, default=None, metavar="NPZ", shell_complete=complete_data,
              help="The prepared pictures that it was trained on, where they have moved.")  # fmt: skip
@click.option("--host", default="127.0.0.1", help="The address to listen on; the default answers to this machine only.")
@click.option("--port", type=click.IntRange(1, 65535), default=7860, help="The first port to try.")
@click.option("--open/--no-open", "open_browser", default=False, help="Show the page in your browser.")
@click.option("--no-cache", is_flag=True, help="Neither use nor keep what was computed before.")
@checkpoint_option
@raw_option
@plain_bn_samples_option
@quiet_option
def play(run: Path, host: str, port: int, open_browser: bool, no_cache: bool, quiet: bool, **options: Any) -> None:
    """Play with the latent space of a RUN, on a page in your browser.

    Move a picture along the directions in z that change pictures most, truncate z, choose the class, morph one picture
    into another; beside each is the nearest training picture, and what the discriminator says of it. Needs
    doggan[play]. Nothing leaves this machine.

    \b
    Examples:
      doggan play runs/00000-dogs-dcgan --open
      doggan play runs/00001-mnist-cgan --checkpoint newest --port 8080
    """
    from doggan.play.server import load_gradio, serve

    load_gradio()  # before the long work, which would be for nothing without it
    load_keras()
    from doggan.cache import ExploreCache
    from doggan.play.page import build_page
    from doggan.play.studio import Studio
    from doggan.runs import Run

    studio = Studio(Run.open(run), cache=None if no_cache else ExploreCache(), progress=not quiet, **options)
    if studio.missing:
        click.echo(f"No nearest training pictures: {studio.missing}")
    page = build_page(studio)
    address = serve(page, host=host, port=port, open_browser=open_browser)
    try:
        click.echo(f"{run} at {address} (Ctrl-C ends it)")
        if not _is_loopback(host):
            click.echo(f"Anybody on the network who reaches {host} can use this page.")
        _wait_for_interrupt()
    except KeyboardInterrupt:
        click.echo("")
    finally:
        page.close(verbose=False)


def _wait_for_interrupt() -> None:
    threading.Event().wait()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
