"""The sample sheets of a run as an animation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from doggan.errors import DogganError
from doggan.files import atomic_path
from doggan.plots.sheets import read_png
from doggan.plots.style import INK

if TYPE_CHECKING:
    from PIL import Image


def write_gif(
    path: str | Path,
    frame_paths: Sequence[str | Path],
    seconds: float = 8.0,
    hold: float = 1.5,
    captions: Sequence[str] | None = None,
    max_frames: int = 40,
) -> None:
    """Write sheets of one size as an endless animation.

    All frames share one palette of 256 colours taken from all of them, without dithering: dither patterns
    would flicker from frame to frame and make the file a quarter larger. Forty sheets of 8×8 crops of 64
    pixels come to about 6 MB.

    Args:
        path: the GIF.
        frame_paths: pictures of one size, in order.
        seconds: how long the whole sequence is shown; no frame is shown for less than 0.02 s.
        hold: for how many seconds longer the last frame stays.
        captions: one line for each of `frame_paths`, written under it.
        max_frames: of more frames than this, so many are taken at even distances, the first and the last
            among them.

    Raises:
        DogganError: there are no frames, one cannot be read, or their sizes differ.
        ValueError: the number of captions is not the number of frames.
        OSError: the file cannot be written.
    """
    from PIL import Image

    if not frame_paths:
        raise DogganError(f"There are no sheets to make {path} of; train until the first one is written.")
    if captions is not None and len(captions) != len(frame_paths):
        raise ValueError(f"{len(captions)} captions for {len(frame_paths)} frames")
    count = min(len(frame_paths), max_frames)
    chosen = np.linspace(0, len(frame_paths) - 1, count).round().astype(int) if count > 1 else [len(frame_paths) - 1]
    frames = _read_frames([Path(frame_paths[i]) for i in chosen])
    if captions is not None:
        frames = [_captioned(frame, captions[i]) for frame, i in zip(frames, chosen, strict=True)]

    colours = np.concatenate([np.asarray(frame)[::3, ::3].reshape(1, -1, 3) for frame in frames])
    palette = Image.fromarray(colours).quantize(256, Image.Quantize.FASTOCTREE)
    reduced = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    shown = max(20, round(100 * seconds / count) * 10)  # milliseconds; the format counts hundredths of a second
    durations = [shown] * (count - 1) + [shown + round(1000 * hold)]
    with atomic_path(path) as temporary:
        reduced[0].save(temporary, "GIF", save_all=True, append_images=reduced[1:], duration=durations, loop=0)


def _read_frames(paths: Sequence[Path]) -> list["Image.Image"]:
    """RGB pictures of one size."""
    from PIL import Image

    frames: list[Image.Image] = []
    for path in paths:
        try:
            frames.append(Image.fromarray(read_png(path)))
        except OSError as error:
            raise DogganError(f"{path} cannot be read as a frame of the GIF: {error}.") from None
        if frames[-1].size != frames[0].size:
            raise DogganError(f"{path} is not of the same size as {paths[0]}, so they make no GIF; remove one of them.")
    return frames


def _captioned(frame: "Image.Image", caption: str) -> "Image.Image":
    """The frame with a line of text on a white strip under it."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    strip = 24
    picture = Image.new("RGB", (frame.width, frame.height + strip), "white")
    picture.paste(frame)
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), 14)
    ImageDraw.Draw(picture).text((4, frame.height + strip // 2), caption, fill=INK, font=font, anchor="lm")
    return picture
