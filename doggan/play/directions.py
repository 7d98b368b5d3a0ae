"""Directions in z along which a generator's pictures change most, and alike wherever one starts.

The response of a generator G at z is its Jacobian J(z): how each pixel follows each entry of z. Averaged over z it
says what moves the same way in all pictures; its right singular vectors, by falling singular value, are orthogonal
directions ordered by the change they cause. (By Stein's identity E J(z) = E G(z) zᵀ, so they are also those of the
linear regression of pictures on z.) Nothing of the network is looked into, so this works for all of them, for a z in
parts and for one that is made uniform, too.

It is a relative of two methods that do look into it: the principal components of a layer's activations, mapped back to
z by regression (Härkönen et al.: GANSpace, NeurIPS 2020, https://arxiv.org/abs/2004.02546), and the singular vectors of
the first kernel (Shen, Zhou: Closed-Form Factorization of Latent Semantics in GANs, CVPR 2021,
https://arxiv.org/abs/2007.06600).
"""

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from doggan.explore.chosen import unrounded_pictures
from doggan.sampling import draw_z, latent_dim

POINTS = 8  # z at which the response is measured
_SIDE = 16  # pictures are pooled to it: what changes at large, not in a pixel


def mean_response(
    generator: keras.Model,
    classes: NDArray[np.int32] | None = None,
    *,
    points: int = POINTS,
    step: float = 0.1,
    seed: int = 0,
    progress: bool = False,
) -> NDArray[np.float64]:
    """How pooled pictures follow z, on average: float64 [D, pixels], levels of 255 for a step of 1 in each entry of z.

    Args:
        generator: z [B, D], or z and classes [B] → pictures [B, H, W, C] in [-1, 1].
        classes: int32 [points], where the generator is conditional.
        points: z where the response is measured.
        step: of z, for the difference quotients.
        seed: decides these z.
        progress: show a bar.

    Raises:
        DogganError: the generator returns NaN or infinity.
    """
    size = latent_dim(generator)
    starts = draw_z(points, size, seed)
    total: NDArray[np.float64] | float = 0.0
    for i in tqdm(range(points), desc="directions", disable=not progress):
        around = starts[i] + np.concatenate([np.zeros((1, size)), step * np.eye(size)])
        held = None if classes is None else np.full(len(around), classes[i], np.int32)
        here, *moved = _pooled(unrounded_pictures(generator, around, held))
        total = total + (np.stack(moved) - here) / step
    return np.asarray(total) / points


def principal_directions(response: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Orthogonal directions of length 1 by falling response, float64 [min(n, D), D].

    The sign of each is such that pictures become lighter along it, or, where they do not change on the whole, that its
    largest entry is positive.

    Args:
        response: [D, pixels]; see `mean_response`.
        n: how many, at most.
    """
    directions = np.linalg.svd(response, full_matrices=response.shape[1] < response.shape[0])[0].T[:n]
    lighter = (directions @ response).sum(1)
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1)[:, 0]
    decisive = np.abs(lighter) > 1e-9 * np.abs(response).sum()
    return directions * np.where(np.where(decisive, lighter, largest) < 0, -1.0, 1.0)[:, None]


def _pooled(pictures: NDArray[np.float32]) -> NDArray[np.float64]:
    """[N, H, W, C] → [N, pixels], means over blocks, at most 16 along a side (more where it has no such divisor)."""
    n, side, _, channels = pictures.shape
    edge = next(k for k in range(max(1, side // _SIDE), side + 1) if side % k == 0)
    blocks = pictures.reshape(n, side // edge, edge, side // edge, edge, channels)
    return blocks.mean((2, 4), dtype=np.float64).reshape(n, -1)
