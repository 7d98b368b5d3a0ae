"""What every test of a run may use."""

import pytest

from doggan.recipes import load_recipe


@pytest.fixture
def start(tmp_path, tiny_images, tiny_recipe):
    """name, overrides → a new tiny run; Keras is loaded when the first one is made."""
    from doggan.runs import start_run

    def make(name, *overrides):
        return start_run(tmp_path / name, load_recipe(str(tiny_recipe), overrides), tiny_images, tmp_path / "tiny.npz")

    return make
