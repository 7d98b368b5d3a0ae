"""Pictures on the way from one z to another: as a sheet, and as an animation."""

import importlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.files import atomic_path
from doggan.plots.gif import write_gif
from doggan.plots.sheets import draw_text, grid, save_png
from doggan.plots.style import BLUE, DPI, FAINT, INK, ORANGE, new_figure, save

if TYPE_CHECKING:
    from doggan.explore.interpolate import Interpolation

_COLOURS = {"spherical": BLUE, "linear": ORANGE}
_PICTURE = 96  # pixels, about
_GAP, _APART, _MARGIN, _HEAD, _FOOT = 6, 44, 28, 150, 76
_NAMES, _PANEL = 130, 330  # widths of the names of the paths, and of the panel of steps
ANIMATIONS = (".gif", ".mp4")


def interpolation_figure(path: str | Path, found: "Interpolation", title: str, names: Sequence[str]) -> None:
    """Write a block for each pair of ends: a row of pictures for each kind of path, and the feature steps beside them.

    All panels have the same scale, from 0; a step is drawn in the middle between its two places.

    Args:
        path: the PNG.
        found: at least one path.
        title: the first line.
        names: of the pairs of ends, above their blocks.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.ticker import MaxNLocator

    kinds, n, shown, height, width, _ = found.pictures.shape
    scale = max(1, round(_PICTURE / width))
    height, width = height * scale, width * scale
    block, caption = kinds * (height + _GAP) - _GAP, 34
    left = _MARGIN + _NAMES
    panel = left + shown * (width + _GAP) - _GAP + 110
    shape = (_HEAD + n * (caption + block + _APART) - _APART + _FOOT, panel + _PANEL + _MARGIN)
    canvas = np.full((*shape, 3), 255, np.uint8)
    figure = new_figure(shape[1] / DPI, shape[0] / DPI)

    draw_text(figure, canvas, _MARGIN, 22, title, 10, "bold")
    explanation = f"steps: distance of {found.extractor} features between neighbours among "
    explanation += f"{found.steps.shape[2] + 1} even places of a path · unrelated samples: {found.unrelated:.3g}"
    draw_text(figure, canvas, _MARGIN, 62, explanation, 7.5)
    for place in range(shown):
        draw_text(figure, canvas, left + place * (width + _GAP), _HEAD - 26, f"t = {place / (shown - 1):.3g}", 7)
    draw_text(figure, canvas, panel, _HEAD - 26, "feature step (number: largest / mean)", 7)

    places = (np.arange(found.steps.shape[2]) + 0.5) / found.steps.shape[2]
    top = float(found.steps.max()) * 1.08 or 1.0
    for i in range(n):
        y = _HEAD + i * (caption + block + _APART)
        draw_text(figure, canvas, _MARGIN, y + 6, names[i], 7.5, "bold")
        for k, kind in enumerate(found.kinds):
            x = (panel + k * _PANEL / 2) / shape[1]
            jump = f"{kind} {found.jumps[k, i]:.2f}"
            figure.text(x, 1 - (y + 8) / shape[0], jump, va="top", fontsize=7, color=_COLOURS[kind])
        y += caption
        axes = figure.add_axes((panel / shape[1], 1 - (y + block) / shape[0], _PANEL / shape[1], block / shape[0]))
        for k, kind in enumerate(found.kinds):
            row = grid(found.pictures[k, i], shown, _GAP, scale)
            at = y + k * (height + _GAP)
            canvas[at : at + height, left : left + row.shape[1]] = row
            draw_text(figure, canvas, _MARGIN, at + height // 2 - 9, kind, 7.5)
            axes.plot(places, found.steps[k, i], color=_COLOURS[kind], linewidth=1.2)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, top)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        axes.tick_params(labelsize=6.5, color=FAINT, labelcolor=INK)
        axes.grid(True, color=FAINT, linewidth=0.6)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(FAINT)
    draw_text(figure, canvas, panel + _PANEL // 2, shape[0] - 30, "t", 7.5)
    figure.figimage(canvas, zorder=-1)
    save(figure, path)


def check_animation(path: Path) -> None:
    """Refuse, before any work is done, a file that `write_animation` cannot write.

    Raises:
        DogganError: it is neither a GIF nor an MP4, or the package that writes MP4 is missing.
    """
    if path.suffix.lower() not in ANIMATIONS:
        raise DogganError(f"{path} is no animation; name a file that ends in {' or '.join(ANIMATIONS)}.")
    if path.suffix.lower() == ".mp4":
        try:
            importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
        except (ImportError, RuntimeError):
            raise DogganError(
                f"{path} needs ffmpeg, which is not there; pip install 'doggan[video]', or name a .gif in its place."
            ) from None


def write_animation(path: str | Path, frames: NDArray[np.uint8], fps: int = 20) -> None:
    """Write frames as a GIF that loops, or as an MP4 (H.264, yuv420p, white to even sizes) by the suffix of the path.

    In a GIF all frames share a palette of 256 colours; see `write_gif`.

    Args:
        path: a .gif or .mp4.
        frames: uint8 [F, H, W, 3], RGB.
        fps: frames a second.

    Raises:
        DogganError: see `check_animation`.
        OSError: the file cannot be written.
    """
    path = Path(path)
    check_animation(path)
    if path.suffix.lower() == ".mp4":
        ffmpeg = importlib.import_module("imageio_ffmpeg")
        even = np.pad(frames, ((0, 0), *((0, side % 2) for side in frames.shape[1:3]), (0, 0)), constant_values=255)
        with atomic_path(path) as temporary:
            size = (even.shape[2], even.shape[1])
            video = ffmpeg.write_frames(str(temporary), size, fps=fps, codec="libx264", quality=8, macro_block_size=2)
            video.send(None)
            for frame in even:
                video.send(np.ascontiguousarray(frame))
            video.close()
        return
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder) / f"{i:05d}.png" for i in range(len(frames))]
        for name, frame in zip(names, frames, strict=True):
            save_png(name, frame)
        write_gif(path, names, seconds=len(frames) / fps, hold=0, max_frames=len(frames))
