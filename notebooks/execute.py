"""Execute the notebooks and save them with clean outputs: `python notebooks/execute.py [NAME.ipynb ...]`.

All of them by default, in the order of the tour, in one folder, so that later ones find the run of the second. It is a
temporary one unless `--folder` names one to keep, where an interrupted call goes on with the runs that are there.

An output is cleaned so that a notebook stays small and says nothing of the machine: what was written to stderr (bars,
banners) is left out, long texts lose their middle, pictures are scaled down and stored as JPEG where that is smaller.
Needs nbclient and ipykernel: `pip install -e '.[test]'`.
"""

import argparse
import base64
import copy
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

FOLDER = Path(__file__).parent
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LINES = 32  # of a text that are kept
LOG = "WARNING:tensorflow:"  # begins lines that TensorFlow writes to stdout in a kernel
WIDTH = 800  # pixels of a picture
QUALITY = 70  # of JPEG

# The kernel's photographs are drawn, and its hours are minutes.
ELSEWHERE: dict[str, dict[str, Any]] = {
    "kaggle_kernel.ipynb": {
        "INPUT": "kaggle/input",
        "OUTPUT": "kaggle/working",
        "HOURS": 0.05,
        "RECIPE": "dogs-demo",
        "CROP": "square",
        "SETTINGS": {"train.sample_every": 5},
    }
}


def code_cells(
    notebook: NotebookNode, values: Mapping[str, Any] | None = None, skip: Sequence[str] = ("kaggle",)
) -> list[NotebookNode]:
    """Its code cells without those that have a tag of `skip`.

    Args:
        notebook: nothing in it is changed.
        values: assigned at the end of the cell that is tagged `parameters`.
        skip: tags.
    """
    cells = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code" or set(tags) & set(skip):
            continue
        cell = copy.deepcopy(cell)
        if "parameters" in tags:
            cell.source += "".join(f"\n{name} = {value!r}" for name, value in (values or {}).items())
        cells.append(cell)
    return cells


def execute(path: Path, folder: Path, values: Mapping[str, Any] | None = None) -> NotebookNode:
    """The notebook with the outputs of its cells, executed in `folder` by a kernel; the file stays as it is.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    executed = nbformat.v4.new_notebook(metadata=notebook.metadata, cells=code_cells(notebook, values))
    # Without the backend that a test or a server chose: in a kernel, figures belong into the notebook.
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    client = NotebookClient(executed, timeout=None, record_timing=False, resources={"metadata": {"path": str(folder)}})
    client.execute(env=environment | {"TF_CPP_MIN_LOG_LEVEL": "3"})
    results = {cell.id: cell for cell in executed.cells}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            result = results.get(cell.id)
            cell.outputs = [] if result is None else cleaned(result.outputs)
            cell.execution_count = None if result is None else result.execution_count
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def cleaned(outputs: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Outputs without stderr, TensorFlow's log, long texts and large pictures."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            if output.name == "stderr":
                continue
            if kept and kept[-1].output_type == "stream":
                kept[-1].text += output.text
                continue
        elif "image/png" in output.get("data", {}):
            output = with_small_picture(copy.deepcopy(output))
        kept.append(output)
    for output in kept:
        if output.output_type == "stream":
            lines = output.text.splitlines(keepends=True)
            output.text = shortened([line for line in lines if not line.startswith(LOG)])
    return [output for output in kept if output.get("text") != ""]


def shortened(lines: Sequence[str]) -> str:
    """The text of lines without its middle, if there are many."""
    half = LINES // 2
    left_out = len(lines) - 2 * half
    if left_out > 0:
        lines = [*lines[:half], f"[… {left_out} lines …]\n", *lines[-half:]]
    return "".join(lines)


def with_small_picture(output: NotebookNode) -> NotebookNode:
    """The output with its PNG as wide as it is shown, at most `WIDTH` pixels, and as a JPEG where that is smaller."""
    shown = output.metadata.pop("image/png", {})
    width = min(WIDTH, shown.get("width", WIDTH))
    with Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))) as opened:
        picture = opened.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    picture = Image.alpha_composite(white, picture).convert("RGB")
    if picture.width > width:
        height = round(picture.height * width / picture.width)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    png = _encoded(picture, "PNG", optimize=True)
    jpeg = _encoded(picture, "JPEG", quality=QUALITY, optimize=True)
    kind, data = ("image/png", png) if len(png) <= len(jpeg) else ("image/jpeg", jpeg)
    del output.data["image/png"]
    output.data[kind] = base64.b64encode(data).decode()
    if shown:
        output.metadata[kind] = shown
    return output


def _encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def draw_input(folder: Path, photographs: int = 800) -> None:
    """What a kernel finds in its input, drawn."""
    from doggan.data.synthetic import draw_tree

    place = folder / "kaggle" / "input" / "generative-dog-images"
    if not place.exists():
        draw_tree(place, photographs, layout="kaggle", progress=False)


def main() -> None:
    """Execute what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", metavar="NAME.ipynb", help="by default all")
    parser.add_argument("--folder", type=Path, help="where they are executed; a temporary folder by default")
    arguments = parser.parse_args()
    paths = [FOLDER / Path(name).name for name in arguments.notebooks] or NOTEBOOKS
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            print(path.name, flush=True)
            if path.name in ELSEWHERE:
                draw_input(folder)
            nbformat.write(execute(path, folder, ELSEWHERE.get(path.name)), path)


if __name__ == "__main__":
    main()
