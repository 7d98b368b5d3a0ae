"""Pictures inside a page: as data, so that it needs nothing beside it."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from doggan.plots import grid
from doggan.plots.sheets import read_png
from doggan.plots.verdicts import shares_of

SHEETS = 30  # of a run on its page, at most
_QUALITY = 88  # of WebP


@dataclass(frozen=True)
class Picture:
    """A picture for an `<img>`.

    Attributes:
        src: a data URI.
        alt: what is to be seen.
        width, height: in pixels.
        caption: beneath it.
    """

    src: str
    alt: str
    width: int
    height: int
    caption: str = ""


def picture(pixels: NDArray[np.uint8], alt: str, caption: str = "", *, exact: bool = True) -> Picture:
    """A picture uint8 [H, W, 1 or 3] to embed: as PNG, or as WebP, a fifth as large, where it need not be `exact`."""
    from PIL import Image

    shown = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    data = io.BytesIO()
    if exact:
        shown.save(data, "PNG", optimize=True)
    else:
        shown.save(data, "WEBP", quality=_QUALITY, method=4)
    kind = "png" if exact else "webp"
    text = base64.b64encode(data.getvalue()).decode("ascii")
    return Picture(f"data:image/{kind};base64,{text}", alt, shown.width, shown.height, caption)


def sheet(images: NDArray[np.uint8], alt: str, caption: str = "", columns: int | None = None) -> Picture:
    """Pictures uint8 [N, H, W, C] as one, in rows."""
    return picture(grid(images, columns), alt, caption)


def sheets_through_time(sheets: dict[int, Path]) -> tuple[list[Picture], list[str]]:
    """Some of a run's sheets at even distances, the first and the last among them, and what could not be read.

    Args:
        sheets: by epoch, in order.

    Returns:
        A picture each, its caption the epoch; and a sentence for each that is damaged.
    """
    epochs = list(sheets)
    places = np.linspace(0, len(epochs) - 1, min(SHEETS, len(epochs))).round().astype(int)
    shown, problems = [], []
    for epoch in (epochs[i] for i in places):
        try:
            pixels = read_png(sheets[epoch])
        except (OSError, SyntaxError, ValueError) as error:
            problems.append(f"{sheets[epoch]} cannot be read ({error}).")
            continue
        alt = f"Samples of the generator after epoch {epoch}, always from the same z"
        shown.append(picture(pixels, alt, f"epoch {epoch}", exact=False))
    return shown, problems


def verdict_strip(epochs: Sequence[float], counts: ArrayLike, of_what: str) -> Picture:
    """How the discriminator judged, epoch by epoch, as a picture a pixel wide for each and a pixel high for each bin.

    The colours are matplotlib's cividis, which is of one order in lightness, of the square root of the share.

    Args:
        epochs: [n], whole numbers, rising, n > 0.
        counts: [n, bins], of probabilities from 0 to 1.
        of_what: "real pictures", say.
    """
    from matplotlib import colormaps

    shares = shares_of(epochs, counts)
    colours = colormaps["cividis"](np.sqrt(np.nan_to_num(shares / (np.nanmax(shares) or 1.0))), bytes=True)
    pixels = np.ascontiguousarray(colours[..., :3].transpose(1, 0, 2)[::-1])
    middles = (np.arange(shares.shape[1]) + 0.5) / shares.shape[1]
    first, last = (float(np.nansum(row * middles)) for row in (shares[0], shares[-1]))
    alt = (
        f"D's probabilities of {of_what}, from 0 at the bottom to 1 at the top, by epoch: the mean goes from "
        f"{first:.2f} to {last:.2f}"
    )
    return picture(pixels, alt, of_what)
