"""The command that has a shell complete `doggan`, and what is completed: runs, data, recipes, settings."""

import os
from pathlib import Path
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

VARIABLE = "_DOGGAN_COMPLETE"  # is set where a shell asks


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that has SHELL complete commands, options, runs, prepared data, recipes and settings.

    \b
    Examples:
      eval "$(doggan completion bash)"     # the line to put into ~/.bashrc
      eval "$(doggan completion zsh)"      # into ~/.zshrc, after compinit
      doggan completion fish > ~/.config/fish/completions/doggan.fish
    """
    from doggan.cli import cli

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(cli, {}, "doggan", VARIABLE).source())


def complete_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Folders of runs in `runs/`, and below what is typed; where there are none, all folders."""
    typed = Path(incomplete) if incomplete else Path()
    parents = [typed if incomplete.endswith("/") or not incomplete else typed.parent]
    parents += [Path("runs")] if parents[0] == Path() else []
    found = [folder for parent in parents for folder in sorted(parent.glob("*/")) if (folder / "config.json").exists()]
    items = [CompletionItem(str(folder)) for folder in found if _fits(folder, incomplete)]
    return items or [CompletionItem(incomplete, type="dir")]


def complete_data(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The .npz files in the folder that is typed; where there are none, all files."""
    parent = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    found = [path for path in sorted(parent.glob("*.npz")) if str(path).startswith(incomplete)]
    return [CompletionItem(str(path)) for path in found] or [CompletionItem(incomplete, type="file")]


def complete_recipes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Recipes of the package with whose they are, and TOML files of the user."""
    from doggan.recipes import load_about, recipe_names

    items = [CompletionItem(name, help=load_about(name).source) for name in recipe_names()]
    items += [CompletionItem(str(path)) for path in sorted(Path(incomplete).parent.glob("*.toml"))]
    return [item for item in items if item.value.startswith(incomplete)]


def complete_settings(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`key=` for the setting that is begun, and after it the values that there are to choose from."""
    from doggan.config import Config
    from doggan.recipes import choices, flatten

    settings: dict[str, Any] = flatten(Config())
    key, equals, value = incomplete.partition("=")
    if not equals:
        return [CompletionItem(f"{name}=") for name in settings if name.startswith(key)]
    known = ("true", "false") if isinstance(settings.get(key), bool) else choices(key)
    return [CompletionItem(f"{key}={choice}") for choice in known if choice.startswith(value)]


@add_completion_class
class _Bash(BashComplete):
    """Click's; and as bash cuts KEY=VALUE into three words, they are joined again, and it gets what follows the `=`."""

    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", "COMPREPLY+=($value)\n            [[ $value == *= ]] && compopt -o nospace"
    )
    _before = ""  # of the word that is begun, what bash takes for words before it

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is begun, and that one."""
        place = int(os.environ["COMP_CWORD"])
        words = split_arg_string(os.environ["COMP_WORDS"])[1 : place + 1]
        whole: list[str] = []
        for i, word in enumerate(words):
            if whole and "=" in (word, words[i - 1]):
                self._before = whole[-1] + word if word == "=" else whole[-1]
                whole[-1] += word
            else:
                self._before = ""
                whole.append(word)
        if len(words) < place:
            self._before = ""
            return whole, ""
        return whole[:-1], whole[-1]

    def format_completion(self, item: CompletionItem) -> str:
        """As click's script reads it."""
        head, equals, value = item.value.rpartition("=")
        if equals and self._before.endswith(head + equals):
            item = CompletionItem(value, item.type)
        return super().format_completion(item)


def _fits(folder: Path, incomplete: str) -> bool:
    return str(folder).startswith(incomplete) or (not incomplete.count("/") and folder.name.startswith(incomplete))
