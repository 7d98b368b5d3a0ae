"""What is printed while a run trains: the live part, the lines above it, and the lines alone of a log."""

import io
import itertools
import re
import sys

import numpy as np
import pytest
from rich.console import Console
from run_checks import assert_equal_runs

from doggan.runs import train
from doggan.runs.display import Display, Speed
from doggan.runs.figures import Figures
from doggan.runs.history import epoch_line
from doggan.runs.panel import Panel, Score, Status, bars, duration
from doggan.runs.readings import Readings

STATS = ("g_loss", "d_loss", "d_real", "d_fake")
LOGS = {name + end: value for name in STATS for end, value in (("", 0.75), ("_mean", 0.5), ("_std", 0.125))}
READINGS = Readings(2e-4, 4e-4, (1.5, 0.5), np.arange(20.0), np.zeros(20))


class Terminal(io.StringIO):
    """A terminal that can move its cursor up and erase lines: all that the display may ask of it."""

    encoding = "utf-8"

    def isatty(self):
        return True

    def screen(self):
        """The lines as a person sees them in the end, those scrolled away too; the cursor must be visible."""
        lines, row, column, cursor = [""], 0, 0, True
        for code, mode, text in re.findall(r"\x1b\[([0-9;?]*)([A-Za-z])|([^\x1b])", self.getvalue()):
            if mode == "A":
                row -= int(code or 1)
                assert row >= 0
            elif (code, mode) == ("2", "K"):
                lines[row] = ""
            elif mode in "hl" and mode:
                assert code == "?25"
                cursor = mode == "h"
            elif mode:
                assert mode == "m", f"\\x1b[{code}{mode}"
            elif text == "\n":
                row, column = row + 1, 0
                lines += [""] * (row == len(lines))
            elif text == "\r":
                column = 0
            else:
                lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + 1 :]
                column += 1
        assert cursor
        return [line.rstrip() for line in lines]


class Clock:
    """Seconds that pass when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def terminal(monkeypatch):
    """() → a terminal, from now on stdout. (Not from here on: pytest puts its own there before the test.)"""
    for name in ("NO_COLOR", "FORCE_COLOR", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")

    def install():
        stdout = Terminal()
        monkeypatch.setattr(sys, "stdout", stdout)
        return stdout

    return install


def status(**known):
    return Status(epochs=3, steps_per_epoch=100, batch_size=8, stats=STATS, step=0, **known)


def unread():
    raise AssertionError("the networks are read for a live part only")


def drawn(shown, width, **options):
    console = Console(width=width, file=io.StringIO(), force_terminal=True, **options)
    console.print(Panel(shown))
    return console.file.getvalue()


FULL = {
    "logs": LOGS,
    "readings": READINGS,
    "score_name": "random-kid",
    "last": Score(100, 0.0625),
    "best": Score(50, 0.03125),
    "saved": 150,
    "speed": 2.5,
    "epoch_left": 75.0,
    "run_left": 90_000.0,
    "saved_ago": 42.0,
}


@pytest.mark.parametrize("width", [60, 80, 116, 160])
def test_the_live_part_shows_everything_in_any_width(width):
    shown = status(**FULL)
    shown.step = 175
    text = re.sub(r"\x1b\[[0-9;]*m", "", drawn(shown, width))
    assert max(map(len, text.splitlines())) <= width
    assert len(text.splitlines()) == (12 if width < 116 else 7)
    squeezed = re.sub(r"\s+", " ", text)
    for part in (
        *("epoch 2/3", "75/100", "1.4 kimg", "20.0 images/s", "left 1:15, run 1 d 1 h"),
        *("g_loss 0.750 0.500 ± 0.125", "D(real) 0.750 0.500 ± 0.125 0 ▁▁▂▂▃", "█ 1", "D(fake)"),
        *("G 2.00e-04 D 4.00e-04", "σ in D 1.50 0.50", "random-kid 0.0625 at step 100, best 0.0312 at 50"),
        "checkpoint step 150, 0:42 ago",
    ):
        assert part in squeezed


def test_the_live_part_shows_what_else_is_reported_and_leaves_out_what_is_not_known():
    shown = status(logs=LOGS | {"penalty": 7.0, "penalty_mean": 5.0, "penalty_std": 0.0})
    assert not re.search(r"penalty|σ|lr|checkpoint|kid", drawn(shown, 80))
    shown.stats = (*STATS, "penalty", "augment_p")
    assert re.search(r"penalty\s+7.000\s+5.000 ± 0.000", drawn(shown, 80))
    assert "augment p" in drawn(shown, 80)
    assert "? images/s  left ?, run ?" in drawn(shown, 80)


def test_colours_are_left_out_where_they_are_not_wanted(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[3" in drawn(status(**FULL), 80)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*[349][0-7]", drawn(status(**FULL), 80))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "?"), (float("inf"), "?"), (0.4, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"),
     (86399, "23:59:59"), (86400, "1 d 0 h"), (2 * 86400 + 5 * 3600, "2 d 5 h")],
)  # fmt: skip
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_bars():
    assert bars(np.array([0, 1, 50, 100, 1000, 0])) == " ▁▁▁█ "
    assert bars(np.array([0, 1, 4, 8])) == " ▁▄█"
    assert bars(np.zeros(3)) == "   "


def test_the_speed_is_that_of_the_last_seconds():
    speed = Speed()
    assert speed.value is None
    speed.restart(0.0, 0)
    assert speed.value is None
    for second in range(1, 31):  # 2 steps a second, and 4 of them from the 15th second on
        speed.mark(float(second), 2 * second + 2 * max(0, second - 15))
    assert speed.value == pytest.approx(4)
    speed.restart(100.0, 90)
    speed.mark(130.0, 93)  # a call that takes longer than the window
    assert speed.value == pytest.approx(0.1)


def test_a_log_gets_a_line_a_minute_and_no_more(capsys):
    clock, shown = Clock(), status()
    display = Display(shown, unread, clock=clock)
    for step in range(1, 151):
        clock.now += 1
        display.advance(step, LOGS)
        if step == 100:
            display.say("epoch 1/3")
    display.close()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  g_loss")[0] for line in lines] == [
        "  step 60/100 of epoch 1/3  0.5 kimg  8.0 images/s",
        "epoch 1/3",  # and a minute from there
    ]
    assert lines[0].endswith("g_loss 0.500  d_loss 0.500  D(real) 0.50  D(fake) 0.50  left 0:40, run 4:00")
    assert "\x1b" not in "".join(lines)


def test_scores_and_ends_of_epochs_are_no_slow_steps(capsys):
    clock, shown = Clock(), status()
    display = Display(shown, unread, clock=clock)
    for step in range(1, 101):
        clock.now += 0.1
        display.advance(step, LOGS)
    clock.now += 90
    display.resume()
    clock.now += 0.1
    display.advance(101, LOGS)
    assert shown.speed == pytest.approx(10)
    # Of the whole run they are a part: the first 101 steps, without the one that compiles, took 100 s.
    assert shown.run_left == pytest.approx(199 * 100 / 100, rel=0.02)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_quiet_prints_nothing(terminal, capsys):
    stdout = terminal()
    display = Display(status(), unread, progress=False)
    display.say("a line")
    display.resume()
    display.advance(1, LOGS)
    display.close()
    assert stdout.getvalue() == ""
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("PYTHONIOENCODING", "ascii")])
def test_a_terminal_that_cannot_show_it_gets_lines(terminal, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    if value == "ascii":
        monkeypatch.setattr(Terminal, "encoding", "ascii")
    stdout = terminal()
    display = Display(status(), unread)
    display.advance(1, LOGS)
    display.say("a line")
    display.close()
    assert stdout.getvalue() == "a line\n"


def test_a_log_without_some_characters_gets_others(monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    row = {"epoch": 1, "step": 100, "kimg": 0.8, "g_lr": 2e-4} | {name: LOGS[f"{name}_mean"] for name in STATS}
    Display(status(), unread).say(epoch_line(row | {"g_loss_std": 0.125, "d_loss_std": 0.25}, 3))
    assert b"g_loss 0.500 ? 0.125  d_loss 0.500 ? 0.250" in stdout.buffer.getvalue()


def test_force_color_does_not_make_a_log_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    display = Display(status(), unread)
    display.advance(1, LOGS)
    display.say("a line")
    display.close()
    assert capsys.readouterr().out == "a line\n"


def test_lines_stay_above_the_live_part_which_is_gone_in_the_end(terminal, monkeypatch):
    stdout = terminal()
    monkeypatch.setattr(sys, "stderr", stdout)
    clock = Clock()
    display = Display(status(), lambda: READINGS, clock=clock)
    display.say("  a line of two words, longer than the terminal is wide  " + "x" * 60)
    assert "epoch" not in stdout.getvalue()
    for step in (1, 2, 3):
        clock.now += 1
        display.advance(step, LOGS)
        seen = stdout.screen()
        assert f"{step}/100" in seen[seen.index("─" * 80) + 1]
        assert "checkpoint" not in seen[-1]
    display.say("said [bold]as it is[/bold] :dog:")
    print("printed")
    print("a warning", file=sys.stderr)
    display.close()
    print("after")
    assert [line for line in stdout.screen() if line] == [
        "  a line of two words, longer than the terminal is wide",
        "    " + "x" * 60,
        "said [bold]as it is[/bold] :dog:",
        "printed",
        "a warning",
        "after",
    ]
    assert sys.stdout is stdout


def test_stderr_stays_where_it_was_sent(terminal, capsys):
    stdout = terminal()
    display = Display(status(), lambda: READINGS, clock=Clock())
    display.advance(1, LOGS)
    print("a warning", file=sys.stderr)
    display.close()
    assert capsys.readouterr().err == "a warning\n"
    assert "a warning" not in stdout.getvalue()


def test_it_is_redrawn_twice_a_second_and_reads_the_networks_now_and_then(terminal):
    stdout = terminal()
    clock, read = Clock(), []
    display = Display(status(), lambda: read.append(clock.now) or READINGS, clock=clock)
    for step in range(1, 1001):  # 20 s
        clock.now += 0.02
        display.advance(step, LOGS)
    display.close()
    assert 35 <= stdout.getvalue().count("images/s") <= 41
    assert len(read) == 2


@pytest.mark.usefixtures("fast")
def test_what_is_shown_changes_nothing_of_the_run(start, tiny_images, monkeypatch, terminal):
    """Also where the networks are read and sampled after every call, inside epochs too."""
    stdout = terminal()
    settings = (
        *("train.epochs=1", "train.score_every=1", "generator.base_size=16"),
        *("generator.widths=[4]", "generator.strides=[2]", "generator.batch_norm=[true]", "generator.dropout=[0.5]"),
        *("discriminator.widths=[4]", "discriminator.strides=[2]", "discriminator.batch_norm=[true]"),
        "discriminator.dropout=[0.2]",
    )
    plain, shown = start("plain", *settings), start("shown", *settings)
    train(plain, tiny_images, progress=False)
    assert stdout.getvalue() == ""
    monkeypatch.setattr("doggan.runs.display._READ", 0.0)
    monkeypatch.setattr("doggan.runs.display._REDRAW", 0.0)
    monkeypatch.setattr("doggan.runs.recorder._REFRESH", 0.0)
    draw, drawn_at = Figures.draw_latest, []
    monkeypatch.setattr(Figures, "draw_latest", lambda self: drawn_at.append(draw(self)))
    train(shown, tiny_images, progress=True)
    assert_equal_runs(plain, shown)
    assert len(drawn_at) == 4
    assert (shown.folder / "samples" / "latest.png").read_bytes() == shown.sheets()[1].read_bytes()
    lines = stdout.screen()
    assert [line.split("  ")[0] for line in lines if line.startswith("epoch")] == ["epoch 0/1", "epoch 1/1"]
    everything = stdout.getvalue()
    steps = [int(step) for step in re.findall(r"(\d)/4\b", everything)]
    assert [step for step, _ in itertools.groupby(steps)] == [1, 2, 3, 4]
    assert re.search(r"σ in D.*\d\.\d\d  \d\.\d\d", everything)
    assert "█" in everything
