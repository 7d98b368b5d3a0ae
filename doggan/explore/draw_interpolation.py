"""What `doggan explore interpolate` draws, animates and says of a run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.explore.chosen import classes_for, sample_numbers
from doggan.explore.interpolate import PATHS, interpolate, path_length, walk
from doggan.metrics.extractors import load_unrounded
from doggan.plots.interpolation import check_animation, interpolation_figure, write_animation
from doggan.plots.sheets import display_name, grid
from doggan.runs import Run, load_generator
from doggan.sampling import draw_z, latent_dim

_SAMPLES = 10_000  # on the largest sheet that numbers are taken from
_STOPS = 4  # of each walk in the animation


def draw_interpolation(
    run: Run,
    path: Path,
    *,
    n: int = 6,
    between: Sequence[str] = (),
    steps: int = 9,
    kind: str = "both",
    class_name: str | None = None,
    extractor: str = "random",
    weights: Path | None = None,
    pairs: int = 500,
    animation: Path | None = None,
    tiles: int = 16,
    which: str = "best",
    raw: bool = False,
    seed: int = 0,
    progress: bool = False,
) -> str:
    """Draw paths between samples of a run with their feature steps, and say how even they are.

    Args:
        run, path: the run, and the PNG to write.
        n: paths: from sample 0 to 1, from 2 to 3, and so on.
        between: "I,J" for each path, in their place; see `sample_numbers`.
        steps: pictures of a path.
        kind: "spherical", "linear" or "both".
        class_name: of a conditional run: paths in this class; None for a class each. The path length is then of
            classes as frequent as in training.
        extractor, weights: "random" or "inception", and the file of the latter's weights.
        pairs: for the path length; 0 for none.
        animation: a .gif or .mp4 to write too: `tiles` walks, or one for each of `between`, to and fro.
        tiles: see there.
        which, raw: checkpoint, and whether its generator's weights are those as trained; see `load_generator`.
        seed: decides z.
        progress: show bars while features are made.

    Returns:
        What was measured and written, in lines.

    Raises:
        DogganError: a sample, class, checkpoint or weights are missing; see `interpolate` and `check_animation`.
        OSError: a file cannot be written.
    """
    ends = np.array([_pair(text) for text in between] or np.arange(2 * n).reshape(n, 2))
    if animation is not None:
        check_animation(animation)
    classes = classes_for(run, len(ends), class_name)
    network = load_unrounded(extractor, weights)
    generator, step, words = load_generator(run, which, raw=raw)
    z = draw_z(int(ends.max()) + 1, latent_dim(generator), seed)[ends]
    kinds = tuple(PATHS) if kind == "both" else (kind,)
    found = interpolate(
        generator, network, z[:, 0], z[:, 1], classes, kinds=kinds, shown=steps, seed=seed, progress=progress
    )
    names = [f"sample {i} to {j}" for i, j in ends.tolist()]
    if run.classes is not None and classes is not None:
        names = [f"{name} · class {display_name(run.classes.names[c])}" for name, c in zip(names, classes, strict=True)]
    title = f"Between samples of step {step:,} of {run.folder.resolve().name}"
    interpolation_figure(path, found, title, names)
    lines = [str(found)]
    if pairs:
        held = run.draw_classes(pairs, seed) if class_name is None else classes_for(run, pairs, class_name)
        lines.append(str(path_length(generator, network, pairs, held, seed=seed, progress=progress)))
    lines.append(f"{len(ends)} pairs of samples of step {step}, {words}: {path}")
    if animation is not None:
        stops = z if between else _stops(tiles, latent_dim(generator), seed)
        walks = walk(generator, stops, classes_for(run, len(stops), class_name), kind=kinds[0])
        scale = max(1, round(64 / walks.shape[3]))
        write_animation(animation, np.stack([grid(pictures, scale=scale) for pictures in walks]))
        lines.append(f"{len(stops)} walks of {len(walks)} frames: {animation}")
    return "\n".join(lines)


def _pair(text: str) -> list[int]:
    numbers = sample_numbers(text, "--between", _SAMPLES)
    if len(numbers) != 2:
        raise DogganError(f"--between takes two numbers of samples, as in 3,7, and not {text!r}.")
    return numbers


def _stops(tiles: int, dimensions: int, seed: int) -> NDArray[np.float32]:
    """[tiles, stops, dimensions]; the walks begin at the first samples of the sheet."""
    return np.moveaxis(draw_z(_STOPS * tiles, dimensions, seed).reshape(_STOPS, tiles, dimensions), 0, 1)
