"""What every test of a run may use."""

import pytest

from doggan.recipes import load_recipe


@pytest.fixture
def start(tmp_path, tiny_images, tiny_recipe):
    """name, overrides, options → a new tiny run; Keras is loaded when the first one is made."""
    from doggan.runs import start_run

    def make(name, *overrides, **options):
        config = load_recipe(str(tiny_recipe), overrides)
        return start_run(tmp_path / name, config, tiny_images, tmp_path / "tiny.npz", **options)

    return make


@pytest.fixture
def fast(monkeypatch):
    """Without the figures of the losses, which take longer than training such a run."""
    from doggan import plots

    for name in ("epoch_losses", "all_losses", "all_verdicts"):
        monkeypatch.setattr(plots, name, lambda *args: None)
