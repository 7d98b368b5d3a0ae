"""`doggan recipes`: everything of every recipe, on terminals of any width, in a pipe, and as JSON."""

import io
import json
import re
import sys

import pytest

from doggan.recipes import load_about, recipe_names
from doggan.runs import catalog
from doggan.runs.catalog import RecipeRow

LONG = "MiFID 90.5 at epoch 120, 64.8 at 200, 60.99 at 280; best 55.87"
ROWS = [
    RecipeRow("dogs", "Stanford Dogs + breeds", "Jolicoeur-Martineau 2018, at 64×64", 6256675, 1148545, 10.36414, LONG),
    RecipeRow("mnist-second", "MNIST", "Goodfellow et al. 2014, as tutorials have it", 56288, 5985, 0.0370432, "none"),
]
NUMBERS = (("6,256,675", "1,148,545", "10.36"), ("56,288", "5,985", "0.037"))


@pytest.fixture
def two_recipes(monkeypatch):
    """As if there were two, without building any network."""
    monkeypatch.setattr(catalog, "describe_recipes", lambda: ROWS)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def on_terminal(monkeypatch, doggan, two_recipes):
    """columns → the lines that `doggan recipes` prints on a terminal so wide, without its colours."""

    def run(columns):
        for name in ("FORCE_COLOR", "LINES"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", str(columns))
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        assert doggan("recipes")[0] == 0
        return re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()

    return run


def words(text):
    return sorted(re.findall(r"[^\s:]+", text))


def test_json_has_all_recipes_and_the_numbers_of_the_mlp_by_hand(doggan):
    status, out, _ = doggan("recipes", "--json")
    assert status == 0
    listed = json.loads(out)
    assert [each["name"] for each in listed] == recipe_names()
    assert all(each["source"] == load_about(each["name"]).source for each in listed)
    assert all(
        min(each[key] for key in ("generator_parameters", "discriminator_parameters", "gflop")) > 0 for each in listed
    )
    mlp = next(each for each in listed if each["name"] == "mnist-gan")
    g_kernels = 100 * 128 + 128 * 256 + 256 * 512 + 512 * 1024 + 1024 * 1024
    d_kernels = 1024 * 1024 + 1024 * 512 + 512 * 256 + 256 * 1
    g_back = 2 * g_kernels - 100 * 128
    d_back = 2 * d_kernels - 1024 * 1024
    # D's update: G makes a fake, D judges it and a real picture, and both go back. G's: from z to the fake and back.
    macs = (g_kernels + 2 * d_kernels + 2 * d_back) + (g_kernels + 2 * d_kernels + g_back)
    assert mlp == {
        "name": "mnist-gan",
        "data": "MNIST",
        "source": "Goodfellow et al. 2014, as MNIST tutorials have it",
        "generator_parameters": g_kernels + (128 + 256 + 512 + 1024 + 1024) + 2 * (128 + 256 + 512 + 1024),
        "discriminator_parameters": d_kernels + 1024 + 512 + 256 + 1,
        "gflop": pytest.approx(2 * macs / 1e9),
        "score": "none published",
    }


def test_in_a_pipe_every_recipe_is_one_line_and_columns_stand_below_each_other(doggan, two_recipes):
    status, out, _ = doggan("recipes")
    assert status == 0
    heading, *lines = out.splitlines()
    assert len(lines) == len(ROWS)
    for line, row, numbers in zip(lines, ROWS, NUMBERS, strict=True):
        assert re.split(r" {2,}", line) == [row.name, row.data, row.source, *numbers, row.score]
        for text, name in ((row.data, "data"), (row.source, "source  "), (row.score, "source's score")):
            assert line.index(text) == heading.index(name)
        for number, name in zip(numbers, ("G weights", "D weights", "GFLOP"), strict=True):
            assert line.index(number) + len(number) == heading.index(name) + len(name)


@pytest.mark.parametrize("columns", [60, 80, 96, 100, 200])
def test_on_a_terminal_nothing_is_wider_than_it_and_nothing_is_lost(on_terminal, columns):
    lines = on_terminal(columns)
    assert max(map(len, lines)) <= columns
    wide = columns >= 96
    assert (sum(any(number in line for number in NUMBERS[0]) for line in lines) == 1) == wide
    printed = words("\n".join(lines[1:] if wide else lines))
    for row, numbers in zip(ROWS, NUMBERS, strict=True):
        for text in (row.name, row.data, row.source, row.score, *numbers):
            for word in words(text):
                assert any(word in found for found in printed), word


def test_a_pipe_that_takes_ascii_only_gets_it(doggan, two_recipes, monkeypatch):
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", pipe)
    assert doggan("recipes")[0] == 0
    pipe.seek(0)
    assert "at 64?64" in pipe.read()
