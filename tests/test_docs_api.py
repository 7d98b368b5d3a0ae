"""The pages of the API are made of the docstrings, without a warning."""

import html
import importlib.util
import re
from pathlib import Path

import pytest

import doggan

pytest.importorskip("pdoc", reason="pdoc is not installed: pip install 'doggan[docs]'")


@pytest.fixture(scope="module")
def build_api():
    spec = importlib.util.spec_from_file_location("build_api", Path(__file__).parents[1] / "docs" / "build_api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_module_but_two_sorts_has_a_page(build_api):
    names = build_api.modules()
    assert {"doggan", "doggan.losses", "doggan.layers.spectral", "doggan.training.gan"} <= set(names)
    assert not [name for name in names if "engine_jax" in name or ".cli" in name]
    assert len(names) > 100


def test_the_first_page_has_the_ten_functions_with_types(build_api, tmp_path):
    build_api.build(tmp_path, ["doggan", "doggan.losses"])
    page = (tmp_path / "doggan.html").read_text(encoding="utf-8")
    found = re.findall(r'<section id="(\w+)">', page)
    assert found == list(doggan.__all__)
    text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", page)))
    assert "load_images(path: str | pathlib.Path) -> doggan.data.imageset.ImageSet" in text
    assert "rasgan" in (tmp_path / "doggan" / "losses.html").read_text(encoding="utf-8")
