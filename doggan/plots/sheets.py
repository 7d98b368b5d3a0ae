"""Sheets of pictures, and the histogram of their classes."""

import math
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from doggan.data.imageset import HELDOUT, ImageSet
from doggan.errors import DogganError
from doggan.files import atomic_path
from doggan.plots.style import BLUE, DPI, INK, ORANGE, dress, new_figure, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def grid(images: NDArray[np.uint8], columns: int | None = None, gap: int = 2, scale: int = 1) -> NDArray[np.uint8]:
    """Lay pictures out in rows, from left to right, on white.

    Args:
        images: uint8 [N, H, W, C], C = 3 (RGB) or 1 (grey), N > 0.
        columns: pictures in a row; by default the smallest square that holds all.
        gap: white pixels between pictures (none around them).
        scale: every pixel becomes scale×scale.

    Returns:
        uint8 [rows·H·scale + (rows − 1)·gap, columns·W·scale + (columns − 1)·gap, 3], RGB.

    Raises:
        ValueError: there are no pictures, or they have neither one nor three channels.
    """
    n, height, width, channels = images.shape
    if n == 0 or channels not in (1, 3):
        raise ValueError(f"a grid needs pictures with 1 or 3 channels, not {images.shape}")
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    height, width = height * scale, width * scale
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = image.repeat(scale, axis=0).repeat(scale, axis=1)
    return sheet


def save_png(path: str | Path, picture: NDArray[np.uint8]) -> None:
    """Write uint8 [H, W, 3], RGB, as a PNG file.

    Raises:
        OSError: the file cannot be written.
    """
    data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def read_png(path: Path) -> NDArray[np.uint8]:
    """A picture that `save_png` wrote, uint8 [H, W, 3], RGB.

    Raises:
        OSError: the file cannot be read.
    """
    import imageio.v3 as imageio

    return imageio.imread(path, plugin="pillow", mode="RGB")


def display_name(class_name: str) -> str:
    """A class name as a person writes it: without the synset, spaces for underscores, a capital first.

    >>> display_name("n02098105-soft-coated_wheaten_terrier")
    'Soft-coated wheaten terrier'
    """
    name = re.sub(r"^n\d{8}-", "", class_name).replace("_", " ").strip()
    return name[:1].upper() + name[1:]


def balanced_choice(labels: NDArray[np.int32], n: int, seed: int) -> NDArray[np.intp]:
    """Choose `n` items (or all, if fewer) with as equal a number from every class as there are items for it.

    Args:
        labels: int32 [N].
        n: how many.
        seed: decides which items, and which classes where `n` is less than their number.

    Returns:
        Indices into `labels`, ordered by label and then by position.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    _, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    rank = np.arange(len(labels)) - np.repeat(starts, counts)  # the item's turn within its class
    turn = np.repeat(rng.permutation(len(starts)), counts)  # the class's turn within a round
    chosen = np.sort(by_class[np.lexsort((turn, rank))[:n]])
    return chosen[np.argsort(labels[chosen], kind="stable")]


def representatives(image_set: ImageSet, n: int, seed: int) -> ImageSet:
    """`n` pictures of a set (or all), chosen by `balanced_choice`; without labels at random, in their order.

    Raises:
        DogganError: the set is empty.
    """
    if not len(image_set):
        raise DogganError("There are no pictures to draw; prepare a data set that has some.")
    labels = np.zeros(len(image_set), np.int32) if image_set.labels is None else image_set.labels
    return image_set.select(balanced_choice(labels, n, seed))


def labelled_sheet(path: str | Path, image_set: ImageSet, n: int = 64, seed: int = 0) -> None:
    """Write a sheet of `n` pictures, enlarged to about 128 pixels, with the class under each.

    Classes are equally represented (`balanced_choice`); without labels the choice is random and nothing is
    written under the pictures.

    Raises:
        DogganError: the set is empty.
        OSError: the file cannot be written.
    """
    chosen = representatives(image_set, n, seed)
    labels = chosen.labels
    scale = max(1, round(128 / image_set.image_shape[1]))
    side, gap, text, title, margin = image_set.image_shape[1] * scale, 14, 44, 64, 24
    height = image_set.image_shape[0] * scale + (text if labels is not None else gap)
    columns = math.ceil(math.sqrt(len(chosen)))
    rows = math.ceil(len(chosen) / columns)
    width_px = 2 * margin + columns * (side + gap) - gap
    height_px = title + rows * height + margin

    canvas = np.full((height_px, max(width_px, 400), 3), 255, np.uint8)
    figure = new_figure(canvas.shape[1] / DPI, height_px / DPI)
    for place in range(len(chosen)):
        y, x = title + place // columns * height, margin + place % columns * (side + gap)
        picture = grid(chosen.images[place : place + 1], scale=scale)
        canvas[y : y + len(picture), x : x + side] = picture
        if labels is not None:
            name = display_name(chosen.class_names[labels[place]])
            lines = textwrap.wrap(name, max(8, side // 7), max_lines=2, placeholder="…")
            draw_text(figure, canvas, x, y + len(picture) + 4, "\n".join(lines), size=6)
    counted = f"{len(chosen):,} of {len(image_set):,} pictures"
    if labels is not None:
        counted += f" · {len(np.unique(labels))} of {len(image_set.class_names)} classes"
    draw_text(figure, canvas, margin, margin - 4, counted, size=10, weight="bold")
    figure.figimage(canvas, zorder=-1)
    save(figure, path)


def augmented_sheet(
    path: str | Path, real: NDArray[np.uint8], views: NDArray[np.uint8], title: str, explanation: str
) -> None:
    """Write a row per picture, enlarged to about 96 pixels: the real one, and apart from it what was made of it.

    Args:
        path: the PNG.
        real: uint8 [N, H, W, C], N > 0.
        views: uint8 [N, n, H, W, C], n > 0.
        title: the first line.
        explanation: of the views, above them.

    Raises:
        OSError: the file cannot be written.
    """
    scale = max(1, round(96 / real.shape[2]))
    gap, apart, head, margin = 6, 24, 100, 24
    columns = grid(views.reshape(-1, *real.shape[1:]), views.shape[1], gap, scale)
    left = grid(real, 1, gap, scale)
    start = margin + left.shape[1] + apart

    canvas = np.full((head + left.shape[0] + margin, max(start + columns.shape[1] + margin, 900), 3), 255, np.uint8)
    canvas[head : head + left.shape[0], margin : margin + left.shape[1]] = left
    canvas[head : head + left.shape[0], start : start + columns.shape[1]] = columns
    figure = new_figure(canvas.shape[1] / DPI, canvas.shape[0] / DPI)
    draw_text(figure, canvas, margin, margin - 4, title, size=10, weight="bold")
    for x, text in ((margin, "real"), (start, explanation)):
        draw_text(figure, canvas, x, head - 10, text, size=7.5, va="baseline")
    figure.figimage(canvas, zorder=-1)
    save(figure, path)


def class_histogram(path: str | Path, image_set: ImageSet) -> None:
    """Write a bar per class with its number of pictures, largest first; the held-out part of each is marked.

    Raises:
        DogganError: the set has no labels.
        OSError: the file cannot be written.
    """
    if image_set.labels is None:
        raise DogganError(f"There are no classes to count for {path}: this data set has no labels.")
    classes = len(image_set.class_names)
    heldout = np.bincount(image_set.labels[image_set.split == HELDOUT], minlength=classes)
    total = np.bincount(image_set.labels, minlength=classes)
    order = np.argsort(-total, kind="stable")

    panels = math.ceil(classes / 40)
    per_panel = math.ceil(classes / panels)
    figure = new_figure(max(6.0, 4.2 * panels), 1.3 + 0.21 * per_panel)
    for panel in range(panels):
        axes = figure.add_subplot(1, panels, panel + 1)
        part = order[panel * per_panel : (panel + 1) * per_panel]
        places = np.arange(len(part))
        axes.barh(places, (total - heldout)[part], color=BLUE, label="training")
        if heldout.any():
            axes.barh(places, heldout[part], left=(total - heldout)[part], color=ORANGE, label="held out")
        for place, count in zip(places.tolist(), total[part].tolist(), strict=True):
            axes.text(count, place, f" {count:,}", va="center", fontsize=6.5, color=INK)
        names = [textwrap.shorten(display_name(image_set.class_names[i]), 30, placeholder="…") for i in part]
        axes.set_yticks(places, names, parse_math=False)
        axes.set_ylim(per_panel - 0.4, -0.6)
        axes.set_xlim(0, max(1, total.max()) * 1.13)
        dress(axes, "", "pictures", None)
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0)
    if heldout.any():
        figure.axes[-1].legend(loc="lower right", fontsize=8, frameon=False)
    summary = f"{len(image_set):,} pictures of {classes} classes"
    if heldout.any():
        summary += f", {heldout.sum():,} of them held out"
    figure.suptitle(summary, x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK)
    figure.set_layout_engine("constrained")
    save(figure, path)


def draw_text(
    figure: "Figure",
    canvas: NDArray[np.uint8],
    x: int,
    y: int,
    text: str,
    size: float,
    weight: str = "normal",
    va: str = "top",
    colour: str = INK,
) -> None:
    """Text from pixel x on, its top (or what `va` says) at pixel y of a canvas that fills the figure."""
    height, width = canvas.shape[:2]
    figure.text(
        x / width,
        1 - y / height,
        text,
        va=va,
        fontsize=size,
        fontweight=weight,
        color=colour,
        linespacing=1.1,
        parse_math=False,  # a class may be named a$b
    )
