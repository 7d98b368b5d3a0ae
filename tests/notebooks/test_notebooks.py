"""Every notebook on drawn dogs: all of its cells in order, with networks and numbers that take seconds.

They run in one process and one folder, as a reader goes through them, because a kernel for each would import
TensorFlow six times; one of them runs in a kernel, too.
"""

import ast
import base64
import importlib.util
import io
import json
import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "notebooks"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))
MOST_BYTES = 700_000
OUTSIDE = re.compile(r"(?<![\w.:/])/(?!kaggle/)(home|root|tmp|usr|work|Users|opt|var|mnt|content)\b|[A-Z]:\\\\")


@pytest.fixture(scope="module")
def tool():
    """notebooks/execute.py."""
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["execute"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["execute"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder that they share."""
    return tmp_path_factory.mktemp("tour")


@pytest.fixture(scope="module")
def values(tool, tiny_toml, home):
    """What is assigned at the end of the parameters of each notebook."""
    text = (
        tiny_toml.read_text().replace("base_size = 8", "base_size = 4").replace("strides = [2, 2]", "strides = [4, 4]")
    )
    recipe = home / "tiny64.toml"
    recipe.write_text(text)
    drawn = {"PHOTOGRAPHS": 48}
    short = {"train.epochs": 1, "train.score_every": 1, "train.checkpoint_every": 1, "train.keep": 20}
    trained = drawn | {"RECIPE": str(recipe), "SETTINGS": short}
    told = {
        "generator.condition": "embedding",
        "generator.attention": [1],
        "discriminator.condition": "projection",
        "discriminator.widths": [8, 8],
        "discriminator.attention": [1],
    }
    return {
        "01_look_at_the_dogs.ipynb": drawn,
        "02_train_a_dcgan.ipynb": trained | {"FIRST_HOURS": 1e-6},
        "03_score_and_submit.ipynb": trained | {"SCORED": 40, "COUNT": 60},
        "04_latent_space_and_memorisation.ipynb": trained | {"SAMPLES": 40},
        "05_attention_and_conditions.ipynb": drawn
        | {"RECIPE": str(tiny_toml), "SETTINGS": short | told, "SAMPLES": 40},
        "kaggle_kernel.ipynb": tool.ELSEWHERE["kaggle_kernel.ipynb"]
        | {"RECIPE": str(recipe), "SETTINGS": short, "COUNT": 60},
    }


def read(name):
    return nbformat.read(FOLDER / name, as_version=4)


def test_there_are_six_and_parameters_for_each(values):
    assert list(values) == NAMES
    assert len(NAMES) == 6


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_notebook_is_valid_small_and_executed(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert (FOLDER / name).stat().st_size < MOST_BYTES
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    run = [cell for cell in code if "kaggle" not in cell.metadata.get("tags", [])]
    assert [cell.execution_count for cell in run] == list(range(1, len(run) + 1))
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    outputs = [output for cell in code for output in cell.outputs]
    assert sum(output.output_type in ("display_data", "execute_result") for output in outputs) >= 2
    assert all(output.output_type != "error" for output in outputs)
    assert all(output.name == "stdout" for output in outputs if output.output_type == "stream")
    assert not any("execution" in cell.metadata for cell in notebook.cells)


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_notebook_names_no_place_on_a_machine(name):
    notebook = read(name)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind in [kind for kind in output.get("data", {}) if kind.startswith("image/")]:
                del output.data[kind]
    found = OUTSIDE.search(json.dumps(notebook, ensure_ascii=False))
    assert found is None, found


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_is_python_and_only_the_kernel_installs(name):
    for cell in read(name).cells:
        if cell.cell_type != "code":
            continue
        if "kaggle" in cell.metadata.get("tags", []):
            assert name == "kaggle_kernel.ipynb"
            assert cell.source.startswith("!pip install ")
            continue
        ast.parse(cell.source)  # no magic, no shell


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    text = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)]+)\)", text)
    documents = re.findall(r"`(docs/[\w.]+)`", text)
    for place in links:
        assert (FOLDER / place).exists(), place
    for place in documents:
        assert (FOLDER.parent / place).exists(), place


@pytest.mark.parametrize("name", NAMES[1:])
def test_it_runs(name, tool, values, home, monkeypatch):
    monkeypatch.chdir(home)
    tool.draw_input(home, photographs=24)
    namespace = {"__name__": "__main__", "display": lambda *shown: None}
    try:
        for cell in tool.code_cells(read(name), values[name]):
            exec(compile(cell.source, f"{name}, {cell.id}", "exec"), namespace)
    finally:
        plt.close("all")
    if name.startswith("03"):
        assert (home / "tour" / "images.zip").exists()
    if name.startswith("kaggle"):
        assert (home / "kaggle" / "working" / "images.zip").exists()


def test_the_first_runs_in_a_kernel_and_its_outputs_are_clean(tool, values, home):
    name = NAMES[0]
    notebook = tool.execute(FOLDER / name, home, values[name])
    nbformat.validate(notebook)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in read(name).cells]
    assert all(output.get("name") != "stderr" for output in outputs)
    pictures = [output for output in outputs if {"image/png", "image/jpeg"} & set(output.get("data", {}))]
    assert len(pictures) == 6


def test_outputs_lose_their_middle_and_the_log(tool):
    text = "".join(f"line {i}\n" for i in range(100)) + tool.LOG + "5 out of the last 6 calls\n"
    parts = [
        nbformat.v4.new_output("stream", name=name, text=part)
        for name, part in (("stdout", text[:300]), ("stderr", "a bar\n"), ("stdout", text[300:]))
    ]
    (output,) = tool.cleaned(parts)
    lines = output.text.splitlines()
    assert len(lines) == tool.LINES + 1
    assert (lines[0], lines[-1]) == ("line 0", "line 99")
    assert lines[tool.LINES // 2] == f"[… {100 - tool.LINES} lines …]"


def test_a_large_picture_becomes_as_small_as_it_is_shown(tool):
    noise = np.random.default_rng(0).integers(0, 256, (300, 1600, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    data = {"image/png": base64.b64encode(file.getvalue()).decode(), "text/plain": "<Image>"}
    (output,) = tool.cleaned(
        [nbformat.v4.new_output("display_data", data=data, metadata={"image/png": {"width": 500}})]
    )
    assert set(output.data) == {"image/jpeg", "text/plain"}
    assert output.metadata == {"image/jpeg": {"width": 500}}
    with Image.open(io.BytesIO(base64.b64decode(output.data["image/jpeg"]))) as picture:
        assert picture.size == (500, 94)
