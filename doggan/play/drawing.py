"""The parts of the page that show something, as HTML: pictures, the gauge of D's opinion, the two ends of a morph."""

import base64
import re
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from doggan.play.studio import Dog, Opinion, Studio, View
from doggan.plots.style import BLUE, ORANGE

_WIDTH, _HEIGHT, _BINS = 320, 72, 32  # of the gauge
_SMOOTH = np.array([1, 2, 3, 2, 1]) / 9  # over its bins


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """A picture uint8 [H, W, 1 or 3] as a PNG file."""
    return bytes(cv2.imencode(".png", picture[..., ::-1])[1])


def heading(studio: Studio) -> str:
    """What is on the page: the run, its checkpoint, its pictures."""
    height, width, _ = studio.run.image_shape
    facts = [f"step {studio.step:,}, {studio.weights}", f"{width} × {height} px"]
    if studio.run.classes is not None:
        facts.append(f"told {len(studio.run.classes)} classes")
    if studio.training is not None:
        facts.append(f"{len(studio.training):,} training pictures")
    return f"<h1>{escape(_run_name(studio))}</h1><p>{escape(' · '.join(facts))}</p>"


def dog_stage(studio: Studio, dog: Dog) -> str:
    """The picture of these settings, with all that is known of it."""
    view = studio.view(dog)
    moved = any(dog.moves)
    caption = f"seed {dog.seed}" + (", moved" if moved else "")
    return _stage(studio, view, caption, f"seed-{dog.seed}" + ("-moved" if moved else ""))


def morph_stage(studio: Studio, a: Dog, b: Dog, t: float) -> str:
    """The picture between two, with all that is known of it."""
    caption = f"{t:.0%} from A to B"
    return _stage(studio, studio.morph(a, b, t), caption, f"seed-{a.seed}-to-{b.seed}-at-{100 * t:.0f}")


def morph_ends(studio: Studio, a: Dog, b: Dog) -> str:
    """The pictures at both ends of a morph, side by side."""
    return f'<div class="ends">{_end(studio, "A", a)}{_end(studio, "B", b)}</div>'


def _end(studio: Studio, name: str, dog: Dog) -> str:
    label = studio.label(dog)
    what = f"{name}: seed {dog.seed}" + (", moved" if any(dog.moves) else "")
    breed = studio.class_name(label)
    lines = escape(what) + (f"<br>{escape(breed)}" if breed else "")
    image = _image(studio.picture(studio.z(dog), label), ", ".join(filter(None, [what, breed])))
    return f"<figure>{image}<figcaption>{lines}</figcaption></figure>"


def _stage(studio: Studio, view: View, caption: str, name: str) -> str:
    breed = studio.class_name(view.label)
    parts = [_run_name(studio), f"step-{studio.step}", name, breed]
    file = re.sub(r"[^\w.-]+", "-", "-".join(filter(None, parts))) + ".png"
    shown = " · ".join(filter(None, [breed, caption]))
    return (
        f'<div class="stage"><figure class="made">{_image(view.picture, f"Generated {studio.noun}: {shown}")}'
        f'<figcaption><span>{escape(shown)}</span><a class="download" download="{escape(file)}" '
        f'href="{_url(view.picture)}">Download PNG</a></figcaption></figure>'
        f"<section class='near'><h2>Nearest training {studio.noun}</h2>{_nearest(studio, view)}</section>"
        f"<section class='opinion'><h2>D’s opinion of it</h2>{_opinion(studio, view.opinion)}</section></div>"
    )


def _nearest(studio: Studio, view: View) -> str:
    if studio.training is None or view.neighbor is None:
        return f'<p class="missing">{escape(studio.missing)}</p>'
    breed = studio.neighbor_name(view.neighbor)
    image = _image(studio.training.images[view.neighbor.index], f"Nearest training {studio.noun}: {breed}".rstrip(": "))
    named = f"<strong>{escape(breed)}</strong><br>" if breed else ""
    source = escape(str(studio.training.source_ids[view.neighbor.index]))
    distance = f"{view.neighbor.distance:.1f} levels apart<br>(L2 of pixels, 0 to 255)"
    return f'<figure>{image}<figcaption title="{source}">{named}{distance}</figcaption></figure>'


def _opinion(studio: Studio, opinion: Opinion) -> str:
    above = [_compared(ORANGE, opinion.above_samples, "of random samples")]
    if opinion.above_training is not None:
        above.insert(0, _compared(BLUE, opinion.above_training, "of training pictures"))
    logit = f"{opinion.logit:+.2f}".replace("-", "−")
    return (
        f'<p class="verdict"><strong>{opinion.probability:.0%} real</strong><span>logit {logit}</span></p>'
        f"{_gauge(studio, opinion)}<p>More real to D than</p><ul>{''.join(above)}</ul>"
    )


def _compared(colour: str, share: float, what: str) -> str:
    return f'<li><i style="background:{colour}"></i><strong>{share:.0%}</strong> {what}</li>'


def _gauge(studio: Studio, opinion: Opinion) -> str:
    """How D's logits of training pictures and of samples are distributed, and where this one lies."""
    kinds = [(studio.of_samples, ORANGE)]
    if len(studio.of_training):
        kinds.insert(0, (studio.of_training, BLUE))
    low, high = min(float(values[0]) for values, _ in kinds), max(float(values[-1]) for values, _ in kinds)
    margin = 0.08 * (high - low) or 0.5
    low, high = low - margin, high + margin
    areas = []
    for values, colour in kinds:
        shares = np.convolve(np.histogram(values, _BINS, (low, high))[0] / len(values), _SMOOTH, "same")
        areas.append((shares, colour))
    tallest = max(float(shares.max()) for shares, _ in areas)
    shapes = "".join(_area(shares / tallest, colour) for shares, colour in areas)
    x = f"{_WIDTH * min(max((opinion.logit - low) / (high - low), 0.0), 1.0):.1f}"
    words = f"Distribution of D’s logits, from {low:.2f} to {high:.2f}; this one is {opinion.logit:.2f}"
    below = _HEIGHT + 22
    return (
        f'<svg viewBox="0 0 {_WIDTH} {below}" role="img" aria-label="{words}">{shapes}'
        f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{_HEIGHT}" y2="{_HEIGHT}"/>'
        f'<line class="mark" x1="{x}" x2="{x}" y1="0" y2="{_HEIGHT}"/>'
        f'<path class="mark" d="M{x} {_HEIGHT}l-5 8h10z"/>'
        f'<text x="0" y="{below}">fake</text><text x="{_WIDTH}" y="{below}" text-anchor="end">real</text></svg>'
    )


def _area(heights: NDArray[np.float64], colour: str) -> str:
    xs = (np.arange(len(heights)) + 0.5) * _WIDTH / len(heights)
    points = " ".join(f"{x:.1f},{_HEIGHT * (1 - 0.94 * height):.1f}" for x, height in zip(xs, heights, strict=True))
    return f'<polygon points="0,{_HEIGHT} {points} {_WIDTH},{_HEIGHT}" fill="{colour}" stroke="{colour}"/>'


def _image(picture: NDArray[np.uint8], words: str) -> str:
    return f'<img src="{_url(picture)}" alt="{escape(words)}">'


def _url(picture: NDArray[np.uint8]) -> str:
    return f"data:image/png;base64,{base64.b64encode(png_bytes(picture)).decode()}"


def _run_name(studio: Studio) -> str:
    return studio.run.folder.resolve().name
