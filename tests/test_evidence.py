from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from doggan.plots.evidence import Pair, draw_evidence


def pairs(n: int, side: int) -> list[Pair]:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, n, side, side, 3), dtype=np.uint8)
    return [Pair(a[i], b[i], f"{i}$a$", "n02085620_10074-a-very-long-name", 0.05 * i) for i in range(n)]


@pytest.mark.parametrize(("n", "side"), [(12, 64), (1, 32), (5, 200)])
def test_every_picture_is_there_pixel_by_pixel(tmp_path: Path, n: int, side: int) -> None:
    path = tmp_path / "evidence.png"
    shown = pairs(n, side)
    draw_evidence(path, shown, "A title", "inception-2015-12-05 pool_3", 0.1)
    sheet = np.asarray(Image.open(path).convert("RGB"))
    scale = max(1, round(128 / side))
    for pair in shown:
        for image in (pair.generated, pair.real):
            large = image.repeat(scale, axis=0).repeat(scale, axis=1)
            corner = (sheet[:, :, None] == large[0, 0]).all(axis=-1).squeeze()
            places = [
                (y, x)
                for y, x in np.argwhere(corner)
                if np.array_equal(sheet[y : y + side * scale, x : x + side * scale], large)
            ]
            assert len(places) == 1


def test_only_what_is_below_epsilon_is_orange(tmp_path: Path) -> None:
    def orange(epsilon: float) -> int:
        path = tmp_path / "evidence.png"
        blank = [Pair(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8), "a", "b", 0.15)]
        draw_evidence(path, blank, "A title", "x", epsilon)
        return int((np.asarray(Image.open(path).convert("RGB")) == (0xD5, 0x5E, 0x00)).all(axis=-1).sum())

    assert orange(0.1) == 0
    assert orange(0.25) > 50


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pairs"):
        draw_evidence(tmp_path / "x.png", [], "", "", 0.1)
