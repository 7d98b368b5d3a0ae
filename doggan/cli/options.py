"""Arguments that several commands share."""

from collections.abc import Callable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

PATH = click.Path(path_type=Path)


def _lazily(name: str) -> Callable[..., list[CompletionItem]]:
    """A function of `doggan.cli.completion`, imported when the shell asks."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from doggan.cli import completion

        found: list[CompletionItem] = getattr(completion, name)(ctx, param, incomplete)
        return found

    return complete


complete_runs, complete_data = _lazily("complete_runs"), _lazily("complete_data")
complete_recipes, complete_settings = _lazily("complete_recipes"), _lazily("complete_settings")
run_argument = click.argument("run", type=PATH, shell_complete=complete_runs)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, and nothing else.")
quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress bars, no epoch lines.")
checkpoint_option = click.option("--checkpoint", default="best", help='"best", "newest", or a step number.')
truncation_option = click.option("--truncation", type=click.FloatRange(min=0, min_open=True), default=None,
                           help="Draw z again beyond so many standard deviations.")  # fmt: skip
seed_option = click.option("--seed", type=click.IntRange(min=0), default=0, help="Decides z.")
raw_option = click.option("--raw-generator", "raw", is_flag=True, help="The weights as trained, not their average.")
bn_samples_option = click.option("--bn-samples", type=click.IntRange(min=0), default=None, help="Fresh z to "
                                 "re-estimate batch norm's statistics on; 0 takes those saved. By default what the "
                                 "recipe says.")  # fmt: skip
plain_bn_samples_option = click.option("--bn-samples", type=click.IntRange(min=0), default=0, help="Fresh z to "
                                       "re-estimate batch norm's statistics on; 0 takes those saved.")  # fmt: skip
set_option = click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", shell_complete=complete_settings,
                          help="Another value for a setting; "
                          "may be repeated.")  # fmt: skip
override_option = click.option("--override", "overrides", multiple=True, metavar="KEY=VALUE",
                               shell_complete=complete_settings, help="With --resume: change a setting from here on, "
                               "where that is safe; may be repeated.")  # fmt: skip
on_collapse_option = click.option("--on-collapse", type=click.Choice(["rollback", "stop", "ignore"]), default=None,
                                  help="Short for --set (with --resume: --override) train.on_collapse=.")  # fmt: skip
weights_option = click.option("--weights", type=PATH, default=None, help="File of the network that scores; found by "
                              "itself in the cache or Kaggle's input.")  # fmt: skip


def _devices(context: click.Context, parameter: click.Parameter, value: str) -> int | None:
    if value == "all":
        return None
    if value.isdigit() and int(value) > 0:
        return int(value)
    raise click.BadParameter(f"{value!r} is neither a number of devices nor 'all'.")


devices_option = click.option("--devices", default="1", metavar="N|all", callback=_devices,
                              help="Devices of this machine to train on; without an accelerator, parts of the "
                              "processor.")  # fmt: skip


def options_given(*names: str) -> str:
    """Those of the options that the user typed, as typed."""
    context = click.get_current_context()
    return ", ".join(
        {"raw": "--raw-generator"}.get(name, "--" + name.replace("_", "-"))
        for name in names
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    )
