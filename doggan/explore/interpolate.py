"""How a generator's pictures change on the way from one z to another: whether smoothly, or by jumps.

References:
    White: Sampling Generative Networks, 2016, https://arxiv.org/abs/1609.04468 (`slerp`).
    Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
    Networks, ICLR 2016, https://arxiv.org/abs/1511.06434, section 6.1: sharp transitions are a sign of memorisation.
    Karras, Laine, Aila: A Style-Based Generator Architecture for Generative Adversarial Networks, CVPR 2019,
    https://arxiv.org/abs/1812.04948, section 4.1 (`path_length`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from doggan.explore.chosen import rounded, unrounded_pictures
from doggan.metrics.extractors import UnroundedExtractor
from doggan.sampling import draw_z, latent_dim

EPSILON = 1e-3
_POINTS = 33  # of a path, where steps are measured
_PARALLEL = 1e-6  # sine of the angle below which rounding decides the direction
_STREAM = 4  # keeps t apart from z and classes, which have the same seed


def lerp(z0: NDArray[np.floating], z1: NDArray[np.floating], t: float | NDArray[np.floating]) -> NDArray[np.float64]:
    """The point at t of the straight line from z0 to z1.

    Args:
        z0, z1: [..., D].
        t: a number, or [...]; 0 is z0 and 1 is z1.

    Returns:
        float64 [..., D].
    """
    share = np.asarray(t, np.float64)[..., None]
    return (1 - share) * z0 + share * z1


def slerp(z0: NDArray[np.floating], z1: NDArray[np.floating], t: float | NDArray[np.floating]) -> NDArray[np.float64]:
    """The point at t of the great circle from z0 to z1 (White 2016): the angle and the length are linear in t.

    Halfway on a straight line between two normal z the length is smaller by √2 than that of any z a generator was
    trained on; here it is not. Vectors of one direction, and a zero vector, which has none, give the straight line;
    opposite ones have no great circle of their own, and one is chosen for them.

    Args:
        z0, z1: [..., D], D > 1.
        t: a number, or [...]; 0 is z0 and 1 is z1.

    Returns:
        float64 [..., D].
    """
    start, end = np.broadcast_arrays(np.asarray(z0, np.float64), np.asarray(z1, np.float64))
    lengths = np.linalg.norm(start, axis=-1, keepdims=True), np.linalg.norm(end, axis=-1, keepdims=True)
    first, last = (_divided(z, length) for z, length in zip((start, end), lengths, strict=True))
    first, last = np.where(lengths[0] > 0, first, last), np.where(lengths[1] > 0, last, first)
    cosine = (first * last).sum(-1, keepdims=True)
    across = last - cosine * first
    sine = np.linalg.norm(across, axis=-1, keepdims=True)
    across = np.where(sine > _PARALLEL, _divided(across, sine), _perpendicular(first))
    share = np.asarray(t, np.float64)[..., None]
    angle = share * np.arctan2(sine, cosine)
    return lerp(*lengths, t) * (np.cos(angle) * first + np.sin(angle) * across)


PATHS: dict[str, Callable[..., NDArray[np.float64]]] = {"spherical": slerp, "linear": lerp}


def _divided(vectors: NDArray[np.float64], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def _perpendicular(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """A unit vector at right angles to each of `directions` [..., D], which have length 1."""
    axis = np.eye(directions.shape[-1])[np.abs(directions).argmin(-1)]
    across = axis - (axis * directions).sum(-1, keepdims=True) * directions
    return _divided(across, np.linalg.norm(across, axis=-1, keepdims=True))


@dataclass(frozen=True)
class Interpolation:
    """Pictures along N paths of each of K kinds, and how far features move along them.

    Attributes:
        kinds: of the paths, K of "spherical" and "linear".
        pictures: uint8 [K, N, S, H, W, C], at S even places, the ends among them.
        steps: float64 [K, N, P − 1], Euclidean distances between the features of neighbours among P even places.
        unrelated: the mean distance of the features of two independent samples.
        extractor: its name.
    """

    kinds: tuple[str, ...]
    pictures: NDArray[np.uint8]
    steps: NDArray[np.float64]
    unrelated: float
    extractor: str

    @property
    def jumps(self) -> NDArray[np.float64]:
        """The largest step of each path by its mean step, [K, N]: 1 where the picture changes evenly, P − 1 where it
        changes at one place alone; 1 too where it does not change at all."""
        mean, largest = self.steps.mean(-1), self.steps.max(-1)
        return np.divide(largest, mean, out=np.ones_like(mean), where=mean > 0)

    def __str__(self) -> str:
        if not self.unrelated > 0:
            return f"all samples are alike to {self.extractor}, so there are no steps to measure"
        return "\n".join(
            f"{kind}: feature steps of mean {_short(steps.mean())} ({steps.mean() / self.unrelated:.1%} of the "
            f"distance of unrelated samples), largest {_short(steps.max())}; a path's largest by its mean "
            f"{jumps.mean():.2f}, at most {jumps.max():.2f}"
            for kind, steps, jumps in zip(self.kinds, self.steps, self.jumps, strict=True)
        )


def interpolate(
    generator: keras.Model,
    extractor: UnroundedExtractor,
    z0: NDArray[np.float32],
    z1: NDArray[np.float32],
    classes: NDArray[np.int32] | None = None,
    *,
    kinds: Sequence[str] = ("spherical", "linear"),
    shown: int = 9,
    points: int = _POINTS,
    unrelated: int = 64,
    seed: int = 0,
    progress: bool = False,
) -> Interpolation:
    """Follow a generator's pictures from each z0 to its z1.

    The features are of pictures that are not rounded to eight bits, so that small steps are seen.

    Args:
        generator: z [B, D], or z and classes [B] → pictures [B, H, W, C] in [-1, 1].
        extractor: makes the features.
        z0, z1: float32 [N, D], N > 0.
        classes: int32 [N], where the generator is conditional; a path keeps its class.
        kinds: of the paths, keys of `PATHS`.
        shown: pictures of each path, 2 or more.
        points: places of each path where features are taken, 2 or more.
        unrelated: pairs of fresh samples whose distance is what steps are compared with.
        seed: decides these samples.
        progress: show the extractor's bars.

    Raises:
        DogganError: the generator returns NaN or infinity, or the extractor does not work on pictures of its size.
    """
    held = None if classes is None else classes[:, None]
    pictures, steps = [], []
    for kind in kinds:
        path = PATHS[kind]
        shown_z, fine_z = (path(z0[:, None], z1[:, None], np.linspace(0, 1, n)[None]) for n in (shown, points))
        pictures.append(rounded(unrounded_pictures(generator, shown_z, held)))
        features = _features(extractor, unrounded_pictures(generator, fine_z, held), progress)
        steps.append(np.linalg.norm(np.diff(features, axis=1), axis=-1))
    pairs = draw_z(2 * unrelated, latent_dim(generator), seed).reshape(unrelated, 2, -1)
    held = None if classes is None else np.resize(classes, unrelated)[:, None]
    first, second = np.moveaxis(_features(extractor, unrounded_pictures(generator, pairs, held), progress), 1, 0)
    distance = float(np.linalg.norm(first - second, axis=-1).mean())
    return Interpolation(tuple(kinds), np.stack(pictures), np.stack(steps), distance, extractor.name)


@dataclass(frozen=True)
class PathLength:
    """The perceptual path length of a generator; see `path_length`.

    Attributes:
        mean: over the pairs.
        error: the standard error of the mean; NaN for one pair.
        pairs: how many.
        epsilon: the step in t.
        extractor: its name.
    """

    mean: float
    error: float
    pairs: int
    epsilon: float
    extractor: str

    def __str__(self) -> str:
        error = "" if math.isnan(self.error) else f" ± {_short(self.error)}"
        return (
            f"path length {_short(self.mean)}{error} ({self.extractor} in place of LPIPS, so it compares with itself "
            f"only; {self.pairs:,} pairs, ε = {self.epsilon:g})"
        )


def path_length(
    generator: keras.Model,
    extractor: UnroundedExtractor,
    pairs: int,
    classes: NDArray[np.int32] | None = None,
    *,
    seed: int = 0,
    epsilon: float = EPSILON,
    batch_size: int = 256,
    progress: bool = False,
) -> PathLength:
    """Perceptual path length in z (Karras et al. 2019): mean d(G(slerp(z0, z1; t)), G(slerp(z0, z1; t + ε))) / ε².

    z0 and z1 are independent, t is uniform in [0, 1), and d is the *squared* Euclidean distance of an extractor's
    features. The paper has the squared distance of LPIPS, so the number compares only with others by the same
    extractor. It is the mean square speed of the features on a path, and does not depend on ε while ε is small and
    rounding smaller still, which is why pictures are not rounded to eight bits. As in the paper's definition no pairs
    are left out; its released code drops the lowest and highest hundredth.

    Measured on a DCGAN of dog crops: with ε = 10⁻², 10⁻³, 10⁻⁴, 10⁻⁵ it is 1104, 1117, 1118, 1122 ± 41 by the random
    extractor, whose rounding in float32 begins to add to the last, and 10,990, 11,649, 11,587, 11,626 ± 900 by
    Inception. With 10⁻¹ it is 12% and 57% too small, since paths are not straight. So 10⁻³ has room on both sides.

    Args:
        generator: z [B, D], or z and classes [B] → pictures [B, H, W, C] in [-1, 1].
        extractor: makes the features.
        pairs: of z, at least 1.
        classes: int32 [pairs], where the generator is conditional; both pictures of a pair are of one class.
        seed: decides z and t; pair i depends on it and i only.
        epsilon: ε.
        batch_size: pairs whose pictures and features are held at a time; it decides memory.
        progress: show the extractor's bars.

    Raises:
        DogganError: the generator returns NaN or infinity, or the extractor does not work on pictures of its size.
    """
    z = draw_z(2 * pairs, latent_dim(generator), seed).reshape(pairs, 2, -1)
    t = np.random.default_rng((seed, _STREAM)).random(pairs)
    lengths = np.empty(pairs)
    for start in range(0, pairs, batch_size):
        part = slice(start, start + batch_size)
        ends = [slerp(z[part, 0], z[part, 1], t[part] + shift) for shift in (0.0, epsilon)]
        held = None if classes is None else classes[part, None]
        features = _features(extractor, unrounded_pictures(generator, np.stack(ends, axis=1), held), progress)
        lengths[part] = np.square(features[:, 1] - features[:, 0]).sum(-1) / epsilon**2
    error = float(lengths.std(ddof=1) / math.sqrt(pairs)) if pairs > 1 else math.nan
    return PathLength(float(lengths.mean()), error, pairs, epsilon, extractor.name)


def walk(
    generator: keras.Model,
    stops: NDArray[np.float32],
    classes: NDArray[np.int32] | None = None,
    *,
    frames: int = 24,
    kind: str = "spherical",
) -> NDArray[np.uint8]:
    """Pictures on closed ways through z, for an animation that begins again without a jump.

    Args:
        generator: see `interpolate`.
        stops: float32 [N, K, D]: way n goes from stop 0 over stop K − 1 back to stop 0; K > 1.
        classes: int32 [N], where the generator is conditional.
        frames: from one stop to the next.
        kind: of the way between two stops, a key of `PATHS`.

    Returns:
        uint8 [K · frames, N, H, W, C]; frame k · frames is of stop k.
    """
    t = np.arange(frames) / frames
    legs = PATHS[kind](stops[:, :, None], np.roll(stops, -1, axis=1)[:, :, None], t[None, None])  # [N, K, frames, D]
    ways = np.moveaxis(legs.reshape(len(stops), -1, stops.shape[-1]), 0, 1)
    return rounded(unrounded_pictures(generator, ways, classes))


def _features(extractor: UnroundedExtractor, pictures: NDArray[np.float32], progress: bool) -> NDArray[np.float64]:
    """Features float64 [..., D] of pictures float32 [..., H, W, 1 or 3]; grey ones become RGB."""
    flat = pictures.reshape(-1, *pictures.shape[-3:])
    rgb = np.repeat(flat, 3, axis=-1) if flat.shape[-1] == 1 else flat
    return extractor.features(rgb, progress=progress).astype(np.float64).reshape(*pictures.shape[:-3], -1)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"
