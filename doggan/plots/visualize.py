"""What features respond to, a row for each."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from doggan.plots.sheets import draw_text, grid
from doggan.plots.style import DPI, new_figure, save

if TYPE_CHECKING:
    from doggan.explore.visualize import Visualized

_PICTURE = 72  # pixels, about
_GAP, _APART, _MARGIN, _HEAD, _LABEL = 3, 26, 26, 150, 108
_QUANTILE = 0.995
_CAPTION = (
    "A row for each feature; its response is the largest activation of its map.\n"
    "Gradients: grey is zero, the full contrast the 99.5th percentile of their sizes in each picture."
)


def visualize_figure(path: str | Path, found: "Visualized", title: str) -> None:
    """Write a row for each feature: real pictures, guided gradients, those of the untrained network, the generator's.

    Gradients are grey where they are zero; in each picture the 99.5th percentile of their sizes is the full contrast.

    Args:
        path: the PNG.
        found: at least one feature.
        title: the first line.

    Raises:
        OSError: the file cannot be written.
    """
    k, top, height, width, _ = found.pictures.shape
    scale = max(1, round(_PICTURE / width))
    made = np.stack([found.maximised.start, found.maximised.end], axis=1)
    blocks = {
        f"the {top} training pictures that it\nresponds to most": found.pictures,
        "pixels that speak for it\n(guided backpropagation)": _as_pictures(found.gradients),
        "the same in the network\nbefore training": _as_pictures(found.untrained),
        "generator: a z drawn,\nand the best from there": made,
    }
    gap = 34  # between rows, with a line of text
    rows_height = k * (height * scale + gap)
    x = _MARGIN + _LABEL
    places = []
    for pictures in blocks.values():
        places.append(x)
        x += pictures.shape[1] * (width * scale + _GAP) - _GAP + _APART
    x += 60  # for the last column's words
    canvas = np.full((_HEAD + rows_height + 20, x, 3), 255, np.uint8)
    figure = new_figure(canvas.shape[1] / DPI, canvas.shape[0] / DPI)
    draw_text(figure, canvas, _MARGIN, 18, title, 10, "bold")
    draw_text(figure, canvas, _MARGIN, 46, _CAPTION, 7.5)
    for place, (name, pictures) in zip(places, blocks.items(), strict=True):
        for line, text in enumerate(name.split("\n")):  # each by its baseline, which tall letters do not move
            draw_text(figure, canvas, place, _HEAD - 28 + line * 17, text, 7, va="baseline")
        for row in range(k):
            y = _HEAD + row * (height * scale + gap)
            strip = grid(pictures[row], pictures.shape[1], _GAP, scale)
            canvas[y : y + strip.shape[0], place : place + strip.shape[1]] = strip
    for row in range(k):
        y = _HEAD + row * (height * scale + gap)
        draw_text(figure, canvas, _MARGIN, y + height * scale // 2, f"feature {found.features[row]}", 7.5, va="center")
        below = y + height * scale + 4
        real = found.responses[row]
        draw_text(figure, canvas, places[0], below, f"responses {real[0]:.3g} to {real[-1]:.3g}", 6.5)
        said = f"{found.maximised.before[row]:.3g} → {found.maximised.after[row]:.3g}"
        draw_text(figure, canvas, places[-1], below, said, 6.5)
    figure.figimage(canvas, zorder=-1)
    save(figure, path)


def _as_pictures(gradients: NDArray[np.float32]) -> NDArray[np.uint8]:
    """float32 [K, T, H, W, C] → uint8, grey where zero."""
    sizes = np.quantile(np.abs(gradients), _QUANTILE, axis=(2, 3, 4), keepdims=True)
    scaled = gradients / np.maximum(sizes, 1e-12)
    return np.rint(127.5 + 127.5 * np.clip(scaled, -1, 1)).astype(np.uint8)
