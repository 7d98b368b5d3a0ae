"""`doggan evaluate` against the competition's evaluator: its steps from the files to the score, by its own means."""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.linalg import sqrtm

from doggan.cli import cli
from doggan.metrics.inception import find_inception
from doggan.submission import write_submission

GENERATED, PHOTOGRAPHS = 120, 150


def evaluator(generated: list[Path], real: list[Path], graph) -> tuple[float, float]:
    """FID and distance as the public kernel computes them, with TensorFlow's session and SciPy's matrix root."""

    def features(files: list[Path]) -> np.ndarray:
        images = [np.array(Image.open(file).resize((64, 64), Image.Resampling.LANCZOS)) for file in files]
        return graph.features(np.array(images), 50).astype(np.float64)

    def unit(rows: np.ndarray) -> np.ndarray:
        kept = rows[rows.sum(axis=1) != 0]
        return np.nan_to_num(kept / np.linalg.norm(kept, ord=2, axis=1, keepdims=True))

    fake, true = features(generated), features(real)
    mu1, mu2 = fake.mean(axis=0), true.mean(axis=0)
    sigma1, sigma2 = np.cov(fake, rowvar=False), np.cov(true, rowvar=False)
    root = sqrtm(sigma1 @ sigma2)
    assert np.isfinite(root).all()  # else the kernel adds 1e-6 to both diagonals, which takes 0.036 off
    assert np.allclose(np.diagonal(root).imag, 0, atol=1e-3)
    fid = (mu1 - mu2) @ (mu1 - mu2) + np.trace(sigma1) + np.trace(sigma2) - 2 * np.trace(root.real)
    distance = np.mean(np.min(1.0 - np.abs(unit(fake) @ unit(true).T), axis=1))
    return float(fid), float(distance)


@pytest.mark.slow
def test_four_digits(shared_data: Path, real_crops: np.ndarray, tmp_path: Path, monkeypatch) -> None:
    """From a zip of crops and a folder of photographs; the graph is made of the published weights."""
    pytest.importorskip("tensorflow")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "metrics"))
    from inception_graph import GraphRunner, graph_of, published_numbers, random_logits

    weights = find_inception(shared_data)
    assert weights is not None
    write_submission([real_crops[:: len(real_crops) // GENERATED][:GENERATED]], tmp_path / "images.zip", GENERATED)
    for archive, folder in (
        (tmp_path / "images.zip", "generated"),
        (shared_data / "stanford-dogs/all-dogs-450.zip", "real"),
    ):
        with zipfile.ZipFile(archive) as file:
            pictures = [name for name in file.namelist() if name.endswith((".png", ".jpg"))]
            for name in pictures[:PHOTOGRAPHS]:
                path = tmp_path / folder / Path(name).name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(file.read(name))
    result = CliRunner().invoke(
        cli,
        [
            *("evaluate", str(tmp_path / "images.zip"), "--real", str(tmp_path / "real")),
            *("--weights", str(weights), "--metrics", "mifid,fid", "--json", "--quiet"),
        ],
        catch_exceptions=False,
    )
    assert result.exit_code == 0
    ours = json.loads(result.stdout)
    assert (ours["n_generated"], ours["n_real"]) == (GENERATED, PHOTOGRAPHS)
    graph = GraphRunner(graph_of(published_numbers(weights), random_logits()))
    files = {name: sorted((tmp_path / name).iterdir()) for name in ("generated", "real")}
    fid, distance = evaluator(files["generated"], files["real"], graph)
    print(f"evaluator: FID {fid:.6f}, distance {distance:.8f}; ours {ours['scores']}", file=sys.stderr)
    assert ours["scores"]["memorization_distance"] == pytest.approx(distance, rel=1e-5)
    assert ours["scores"]["fid"] == pytest.approx(fid, rel=1e-4)
    assert ours["scores"]["mifid"] == pytest.approx(fid / (1 + 1e-15), rel=1e-4)
