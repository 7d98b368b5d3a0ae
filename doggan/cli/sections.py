"""A group of commands whose help is a table of contents; modules are imported when a command of theirs is asked for."""

import difflib
import importlib
import sys
from collections import UserDict
from collections.abc import Iterator, Mapping
from typing import Any

import click

EXIT_MISTAKE = 2

# heading → command → the module that has it, and what it does
Sections = Mapping[str, Mapping[str, tuple[str, str]]]

SECTIONS: Sections = {
    "data": {
        "download": ("doggan.cli.data", "Fetch a data set, or a network that scores."),
        "prepare": ("doggan.cli.data", "Make one .npz of pictures out of photographs."),
        "look": ("doggan.cli.data", "Draw a sheet of them, and count their breeds."),
    },
    "train": {
        "recipes": ("doggan.cli.recipes", "List what can be trained, and what it costs."),
        "train": ("doggan.cli.training", "Train a recipe, or go on with a run."),
        "runs": ("doggan.cli.listing", "List runs with state, score and its course."),
        "compare": ("doggan.cli.report", "What differs between runs, side by side."),
        "report": ("doggan.cli.report", "One page about a run, with everything in it."),
    },
    "pictures": {
        "sample": ("doggan.cli.sampling", "Draw a sheet of pictures from a run."),
        "play": ("doggan.cli.play", "Move through a run's latent space, in a browser."),
        "explore": ("doggan.cli.explore", "Is it memorising, and what has it learned?"),
    },
    "hand in": {
        "submit": ("doggan.cli.sampling", "Write images.zip from a run, and check it."),
        "check": ("doggan.cli.sampling", "Is a zip what the competition accepts?"),
        "evaluate": ("doggan.cli.scoring", "FID, MiFID, KID, precision and recall."),
    },
    "try": {
        "demo": ("doggan.cli.training", "The whole path on drawn dogs, in minutes."),
        "toy": ("doggan.cli.toy", "A GAN in one dimension beside its theory."),
        "completion": ("doggan.cli.completion", "Have the shell complete commands and runs."),
    },
}


class Contents(click.Group):
    """A group that has the commands of `sections` in their order, each imported when it is asked for."""

    def __init__(self, *args: Any, sections: Sections, **options: Any) -> None:
        super().__init__(*args, **{"no_args_is_help": False} | options)
        self.sections = sections
        self.commands = _Lazily({name: row[0] for section in sections.values() for name, row in section.items()})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, in the order of the walk."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As any group's; where nothing is asked for, the contents are shown on stderr."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            sys.exit(EXIT_MISTAKE)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        """As any group's; an unknown command is told with the nearest that there is."""
        name = args[0]
        if not name.startswith("-") and name not in self.commands and not ctx.resilient_parsing:
            close = difflib.get_close_matches(name, self.commands, n=1)
            ctx.fail(f"There is no command {name!r}" + (f"; did you mean {close[0]}?" if close else ""))
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The sections in place of options, which every program has."""
        headings, names = (max(map(len, column)) + 2 for column in (self.sections, self.commands))
        formatter.write("\n")
        for heading, section in self.sections.items():
            for i, (name, (_, what)) in enumerate(section.items()):
                formatter.write(f"  {heading if i == 0 else '':<{headings}}{name:<{names}}{what}\n")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As it is written, line by line."""
        if self.epilog:
            formatter.write(f"\n{self.epilog}\n")


class _Lazily(UserDict[str, click.Command]):
    """Commands by name; `places` are the modules that have them."""

    def __init__(self, places: Mapping[str, str]) -> None:
        super().__init__()
        self.places = places

    def __missing__(self, name: str) -> click.Command:
        if name not in self.places:
            raise KeyError(name)
        command: click.Command = getattr(importlib.import_module(self.places[name]), name)
        self[name] = command
        return command

    def __contains__(self, name: object) -> bool:
        return name in self.places or name in self.data

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.places, *self.data)))

    def __len__(self) -> int:
        return len({*self.places, *self.data})
