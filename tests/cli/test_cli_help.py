"""The help: a table of contents that fits a screen, and for each command examples that can be typed."""

import re
import shlex
import subprocess
import sys

import click
import pytest

from doggan.cli import cli
from doggan.cli.explore import explore
from doggan.cli.sections import SECTIONS


def commands(group=cli, path=("doggan",)):
    """(words, command) of every command but groups."""
    context = click.Context(group, info_name=" ".join(path))
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = dict(commands())


def help_of(command, words=("doggan",)):
    settings = cli.context_settings | {"max_content_width": 80, "terminal_width": 80}
    return command.get_help(click.Context(command, info_name=" ".join(words), **settings))


def examples_in(text):
    block = text[text.index("Examples:") :].splitlines()[1:]
    lines = []
    for line in block:
        if not line.strip():
            break
        lines.append(line.strip())
    return lines


def test_the_contents_fit_a_screen():
    lines = help_of(cli).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith("...") for line in lines[1:])


def test_commands_are_in_the_order_of_the_walk():
    text = help_of(cli)
    told = re.findall(r"^(?:  [a-z ]{10}| {12})([a-z]+) ", text, re.MULTILINE)
    assert told == [name for section in SECTIONS.values() for name in section]
    assert all(heading in text for heading in SECTIONS)


@pytest.mark.parametrize("group", [cli, explore], ids=["doggan", "explore"])
def test_every_command_of_the_contents_exists_and_has_one_whole_line(group):
    lines = help_of(group).splitlines()
    assert list(group.commands) == group.list_commands(click.Context(group))
    for name, (_, what) in (row for section in group.sections.values() for row in section.items()):
        assert group.commands[name].name == name
        assert what.endswith((".", "?"))
        (line,) = [line for line in lines if re.match(rf"  .*\b{name} +{re.escape(what)}$", line)]
        assert len(line) <= 80


def test_commands_of_others_can_be_added():
    from doggan.cli.sections import Contents

    group = Contents("mine", sections={"all": {"toy": ("doggan.cli.toy", "A toy.")}})
    group.add_command(click.Command("more"))
    assert group.list_commands(click.Context(group)) == ["toy", "more"]
    assert len(group.commands) == 2
    assert group.get_command(click.Context(group), "none") is None


def test_explore_shows_an_example():
    (line,) = [line for line in help_of(explore).splitlines() if line.startswith("Example: ")]
    _, _, name, *rest = line.removeprefix("Example: ").split()
    explore.commands[name].make_context(name, rest)


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_command_s_help_is_narrow_and_has_examples(words):
    text = help_of(ALL[words], words)
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) <= 100
    assert "Examples:" in text
    assert any(" ".join(words) in example for example in examples_in(text))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_examples_can_be_typed(words):
    for line in examples_in(help_of(ALL[words], words)):
        typed = re.search(r"doggan ([^|&>)]*)", line)[1]
        name, *rest = shlex.split(typed, comments=True)
        command = cli.get_command(click.Context(cli), name)
        if isinstance(command, click.Group):
            name, *rest = rest
            command = command.get_command(click.Context(command), name)
        command.make_context(name, rest, resilient_parsing=False)  # raises for what does not exist or fit


def test_options_are_explained():
    for words, command in ALL.items():
        for option in (param for param in command.params if isinstance(param, click.Option)):
            assert option.help, (words, option.name)
            assert option.help.endswith("."), (words, option.name)


def test_help_needs_no_keras():
    code = (
        "import sys; from doggan.cli import cli; cli(['--help'], standalone_mode=False); print('keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["trian"], "doggan: There is no command 'trian'; did you mean train?; see doggan --help"),
        (["train", "--epochs", "3"], "doggan train: No such option '--epochs'"),
        (["explore", "neighbors"], "doggan explore neighbors: Missing argument 'SOURCE'; see doggan explore neighbors"),
        (["prepare", "x", "--size", "63"], "doggan prepare: Invalid value for '--size'"),
    ],
)
def test_what_is_typed_wrong_is_one_line_and_2(doggan, typed, said):
    status, out, err = doggan(*typed)
    assert (status, out) == (2, "")
    assert err.startswith(said)
    assert err.count("\n") == 1


@pytest.mark.parametrize(("typed", "said"), [([], "From photographs of dogs"), (["explore"], "What a run has learned")])
def test_no_command_is_the_contents(doggan, typed, said):
    status, out, err = doggan(*typed)
    assert (status, out) == (2, "")
    assert said in err


def test_what_nobody_expected_is_a_traceback_and_1(tmp_path):
    """As the program, since `main` lets it pass."""
    code = "from doggan.cli import main; import doggan.listing as x; x.list_runs = None; main()"
    done = subprocess.run([sys.executable, "-c", code, "runs", tmp_path], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "TypeError" in done.stderr
