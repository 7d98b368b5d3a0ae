"""The pages of the API, made of the docstrings: python docs/build_api.py [FOLDER]

Needs pdoc (pip install 'doggan[docs]'). The first page is `doggan`, with the ten functions of `doggan.api`; every other
module has a page too.
"""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from pkgutil import walk_packages

import doggan
from doggan.startup import load_keras

# JAX's side of the step cannot be imported beside TensorFlow's; the commands have `doggan COMMAND --help`.
_LEFT_OUT = ("doggan.training.engine_", "doggan.cli")


def modules() -> list[str]:
    """The names of what gets a page."""
    found = (module.name for module in walk_packages(doggan.__path__, "doggan."))
    return ["doggan", *(name for name in found if not name.startswith(_LEFT_OUT))]


def build(folder: Path, names: Sequence[str] = ()) -> None:
    """Write pages into `folder`, of all `modules` where none are named; what pdoc would only warn of is an error."""
    load_keras()
    import pdoc

    pdoc.render.configure(docformat="google", footer_text=f"doggan {doggan.__version__}")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning, module="pdoc")
        # Naming a package adds its modules too, unless it says itself what is public: all are named, some so twice.
        warnings.filterwarnings("ignore", message="The module specification")
        pdoc.pdoc(*(names or modules()), output_directory=folder)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "build/docs")
    build(target)
    print(target / "index.html")
