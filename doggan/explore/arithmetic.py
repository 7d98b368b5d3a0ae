"""Arithmetic on z: groups of samples that share something, their mean z, and the pictures of sums and differences.

Reference: Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks, ICLR 2016, https://arxiv.org/abs/1511.06434, section 6.3.2; the figure is its figure 7.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.explore.chosen import rounded, sample_numbers, unrounded_pictures
from doggan.plots.arithmetic import arithmetic_figure, numbered_sheet
from doggan.plots.sheets import display_name
from doggan.runs import Run, load_generator
from doggan.sampling import draw_z, latent_dim, sample_pictures

NOISE = 0.25
_NEIGHBOURS = 8
_STREAM = 3  # keeps the noise apart from z and classes, which have the same seed
_GROUP = 12  # samples that the figure has room for


@dataclass(frozen=True)
class Group:
    """Samples that are added or taken away.

    Attributes:
        sign: 1 or −1.
        numbers: of the samples: rows of `draw_z`.
    """

    sign: int
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Arithmetic:
    """What comes of groups of samples.

    Attributes:
        groups: in their order.
        samples: for each group uint8 [k, H, W, C].
        means: the picture of each group's mean z, uint8 [G, H, W, C].
        z: the result, Σ plus − Σ minus of the mean z, float32 [D].
        result: its picture, uint8 [H, W, C].
        neighbours: the pictures of z with noise, uint8 [8, H, W, C].
        pixel_means: the mean picture of each group, uint8 [G, H, W, C].
        pixels: the same arithmetic on these, uint8 [H, W, C].
    """

    groups: tuple[Group, ...]
    samples: tuple[NDArray[np.uint8], ...]
    means: NDArray[np.uint8]
    z: NDArray[np.float32]
    result: NDArray[np.uint8]
    neighbours: NDArray[np.uint8]
    pixel_means: NDArray[np.uint8]
    pixels: NDArray[np.uint8]


def order_groups(plus: Sequence[tuple[int, ...]], minus: Sequence[tuple[int, ...]]) -> tuple[Group, ...]:
    """Groups as a formula is read: the first that is added, those that are taken away, the others that are added."""
    added, taken = [Group(1, numbers) for numbers in plus], [Group(-1, numbers) for numbers in minus]
    return (*added[:1], *taken, *added[1:])


def combine(groups: Sequence[Group], z: NDArray[np.floating]) -> NDArray[np.float64]:
    """Σ plus − Σ minus of the mean z of each group: float64 [D].

    A mean of k independent normal z has variance 1/k in each place, so with three samples in each of three groups
    the result has variance 1 in each place, and in expectation the squared length of a single z, whatever the signs.
    Other numbers make it longer or shorter than what the generator was trained on, if no sample is in two groups.

    Args:
        groups: at least one.
        z: [N, D], of all samples.
    """
    return sum(
        (group.sign * z[list(group.numbers)].mean(0, dtype=np.float64) for group in groups), np.zeros(z.shape[1])
    )


def arithmetic(
    generator: keras.Model,
    groups: Sequence[Group],
    z: NDArray[np.float32],
    label: int | None = None,
    *,
    noise: float = NOISE,
    seed: int = 0,
) -> Arithmetic:
    """Add and subtract groups of samples in z, and in pixels for comparison.

    Pixels are counted from −1 to 1, as the networks have them, which matters where the signs do not sum to one; what
    leaves this range is cut.

    Args:
        generator: z [B, D], or z and classes [B] → pictures [B, H, W, C] in [-1, 1].
        groups: at least one.
        z: float32 [N, D], of all samples.
        label: the class of all pictures, where the generator is conditional.
        noise: neighbours of the result have uniform noise in ±noise added to every place of z.
        seed: decides the noise.

    Raises:
        DogganError: the generator returns NaN or infinity.
    """
    total = combine(groups, z)
    rng = np.random.default_rng((seed, _STREAM))
    around = total + rng.uniform(-noise, noise, (_NEIGHBOURS, len(total)))
    means = [combine([Group(1, group.numbers)], z) for group in groups]
    chosen = [z[list(group.numbers)] for group in groups]
    rows = np.concatenate([*chosen, means, [total], around])
    pictures = unrounded_pictures(generator, rows, None if label is None else np.full(len(rows), label, np.int32))
    ends = np.cumsum([len(part) for part in chosen] + [len(groups), 1])
    *samples, of_means, of_total, of_around = np.split(pictures, ends)
    pixel_means = np.stack([part.mean(0) for part in samples])
    signs = np.array([group.sign for group in groups])
    pixels = 127.5 + np.tensordot(signs, pixel_means - np.float32(127.5), 1)
    return Arithmetic(
        tuple(groups),
        tuple(rounded(part) for part in samples),
        rounded(of_means),
        total.astype(np.float32),
        rounded(of_total[0]),
        rounded(of_around),
        rounded(pixel_means),
        rounded(pixels.clip(0, 255)),
    )


def draw_arithmetic(
    run: Run,
    path: Path,
    *,
    plus: Sequence[str] = (),
    minus: Sequence[str] = (),
    n: int = 64,
    noise: float = NOISE,
    class_name: str | None = None,
    which: str = "best",
    raw: bool = False,
    seed: int = 0,
) -> str:
    """Draw the arithmetic of groups of a run's samples; without groups, its samples with their numbers.

    Args:
        run, path: the run, and the PNG to write.
        plus, minus: a group each, "3,7,9"; see `sample_numbers`.
        n: samples to choose from.
        noise: see `arithmetic`.
        class_name: of a conditional run: all pictures are of this class; None for the first that has pictures.
        which, raw: checkpoint, and whether its generator's weights are those as trained; see `load_generator`.
        seed: decides z and noise.

    Returns:
        What was drawn, in lines.

    Raises:
        DogganError: there is nothing to add; a number is none of a sample, a group is too large; the run has no such
            checkpoint, or its networks know no such class.
        OSError: the file cannot be written.
    """
    if minus and not plus:
        raise DogganError("There is nothing to take --minus from; name a group by --plus too.")
    groups = order_groups([_group(text, "--plus", n) for text in plus], [_group(text, "--minus", n) for text in minus])
    label = _label(run, class_name)
    kind = "" if run.classes is None or label is None else f" of class {display_name(run.classes.names[label])}"
    generator, step, weights = load_generator(run, which, raw=raw)
    of = f"{kind} of step {step:,} of {run.folder.resolve().name}"
    made = f"{kind} of step {step}, {weights}: {path}"
    if not groups:
        classes = None if label is None else np.full(n, label, np.int32)
        numbered_sheet(path, sample_pictures(generator, n, seed=seed, classes=classes), f"{n} samples{of}")
        return (
            f"{n} numbered samples{made}\nchoose some that share something, and give groups of them by --plus and "
            "--minus, as in --plus 3,7,9 --minus 1,4,8 --plus 2,5,6"
        )
    z = draw_z(n, latent_dim(generator), seed)
    found = arithmetic(generator, groups, z, label, noise=noise, seed=seed)
    arithmetic_figure(path, found, f"Arithmetic on samples{of}", noise)
    length, usual = np.linalg.norm(found.z), np.sqrt(len(found.z))
    formula = " ".join(
        f"{'+' if group.sign > 0 else '−'} mean({','.join(map(str, group.numbers))})" for group in groups
    )
    return (
        f"z = {formula.removeprefix('+ ')}, of length {length:.2f} (a sample's is about {usual:.2f})\n"
        f"{len(groups)} group{'s' * (len(groups) > 1)} of samples{made}"
    )


def _group(text: str, option: str, n: int) -> tuple[int, ...]:
    numbers = tuple(sample_numbers(text, option, n))
    if len(numbers) > _GROUP:
        raise DogganError(f"{option} names {len(numbers)} samples, and a group has room for {_GROUP}; name fewer.")
    return numbers


def _label(run: Run, class_name: str | None) -> int | None:
    labels = run.find_classes([class_name] if class_name is not None else [])
    return labels[0] if labels else None
