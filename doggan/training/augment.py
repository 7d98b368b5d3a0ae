"""What the discriminator sees instead of the pictures themselves: differentiable augmentation, and instance noise.

A discriminator that sees few pictures learns them by heart. Augmenting the real ones alone would teach the
generator the augmentations; DiffAugment changes real pictures and fakes alike, by operations that gradients flow
through to the generator. Applied with a probability below about 0.8 they do not leak into what is generated (ADA).

References: Zhao, Liu, Lin, Zhu, Han: Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020,
arXiv:2006.10738, whose published code the operations follow; Karras, Aittala, Hellsten, Laine, Lehtinen, Aila: Training
Generative Adversarial Networks with Limited Data, NeurIPS 2020, arXiv:2006.06676.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from doggan.config import Augment, InstanceNoise
from doggan.errors import DogganError
from doggan.randomness import normal, step_scope, uniform

_SHIFT = 0.125  # of the side: the furthest translation
_CUTOUT = 0.5  # of the side: the square cut out


def color(images: Any) -> Any:
    """Brightness + U(−½, ½), then saturation × U(0, 2), then contrast × U(½, 1½), one draw of each per picture.

    Saturation scales a pixel's distance from the mean of its channels (on grey pictures that is zero), contrast that
    from the mean of the picture.

    Args:
        images: float32 [B, H, W, C]; the ranges are meant for values in [-1, 1], which the results can leave.

    Returns:
        float32 [B, H, W, C].
    """
    draws = ops.reshape(uniform((images.shape[0], 3)), (-1, 3, 1, 1, 1))  # [B, 3, 1, 1, 1]
    images = images + (draws[:, 0] - 0.5)
    grey = ops.mean(images, axis=3, keepdims=True)
    images = grey + (images - grey) * (2.0 * draws[:, 1])
    mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
    return mean + (images - mean) * (draws[:, 2] + 0.5)


def translation(images: Any) -> Any:
    """Shift each picture by whole pixels, up to an eighth of each side (rounded) in each direction; zeros come in.

    Args:
        images: float32 [B, H, W, C].

    Returns:
        float32 [B, H, W, C].
    """
    # Each picture is a window of its zero-padded self. Gathering is exact, where products with shifting matrices would
    # be rounded to TF32 on a GPU; and its gradient, a scatter-add, is deterministic, since no index occurs twice.
    batch, height, width, channels = images.shape
    down, right = _part(height, _SHIFT), _part(width, _SHIFT)
    padded = ops.pad(images, ((0, 0), (down, down), (right, right), (0, 0)))
    rows, columns = height + 2 * down, width + 2 * right
    draws = uniform((batch, 2))
    top = _integer(draws[:, 0], 2 * down + 1)[:, None] + ops.arange(height, dtype="int32")  # [B, H]
    left = _integer(draws[:, 1], 2 * right + 1)[:, None] + ops.arange(width, dtype="int32")  # [B, W]
    first = ops.arange(batch, dtype="int32")[:, None] * rows  # [B, 1]
    index = ((first + top) * columns)[:, :, None] + left[:, None, :]  # [B, H, W] into all pixels of all pictures
    return ops.take(ops.reshape(padded, (-1, channels)), index, axis=0)


def cutout(images: Any) -> Any:
    """Zero a rectangle of half of each side (rounded); its centre is anywhere, so part of it may lie outside.

    Args:
        images: float32 [B, H, W, C].

    Returns:
        float32 [B, H, W, C].
    """
    batch, height, width, _ = images.shape
    draws = uniform((batch, 2))
    rows, columns = _cut(draws[:, 0], height), _cut(draws[:, 1], width)  # [B, H], [B, W]
    cut = ops.logical_and(rows[:, :, None], columns[:, None, :])
    return images * ops.cast(ops.logical_not(cut), images.dtype)[..., None]


POLICY: dict[str, Callable[[Any], Any]] = {"color": color, "translation": translation, "cutout": cutout}


def augment(images: Any, policy: tuple[str, ...], probability: Any) -> Any:
    """Apply each operation of the policy, in its order, to each picture independently with `probability`.

    Inside a `step_scope`, which decides the draws: one per operation, and then one that chooses the pictures, which
    is left out where `probability` is the number 1. Their number and shapes do not depend on values.

    Args:
        images: float32 [B, H, W, C] in [-1, 1], B static.
        policy: keys of `POLICY`.
        probability: in [0, 1], a number or a float32 scalar tensor; p of the ADA paper.

    Returns:
        float32 [B, H, W, C]; `color` can leave [-1, 1].

    Raises:
        DogganError: an operation is unknown; the choices are named.
    """
    always = isinstance(probability, int | float) and probability == 1
    for name in policy:
        if name not in POLICY:
            raise DogganError(f"augment.policy: {name!r} is not one of {', '.join(POLICY)}.")
        augmented = POLICY[name](images)
        images = augmented if always else _some(augmented, images, probability)
    return images


def views(
    images: NDArray[np.uint8], config: Augment, noise: InstanceNoise, n: int, seed: int = 0
) -> NDArray[np.float32]:
    """What the discriminator sees of each picture, `n` times, for people to look at.

    Args:
        images: uint8 [N, H, W, C].
        config: policy and probability; where that adapts it is 1, which shows most, and not the 0 that a run starts at.
        noise: of which the standard deviation at the first step.
        n: views of each.
        seed: decides the draws.

    Returns:
        float32 [N, n, H, W, C], about [-1, 1].

    Raises:
        DogganError: an operation is unknown; the choices are named.
    """
    repeated = ops.convert_to_tensor(np.repeat(images, n, axis=0).astype(np.float32) / 127.5 - 1.0)
    with step_scope(seed, 0):
        seen = augment(repeated, config.policy, 1.0 if config.target > 0 else config.probability)
        seen = instance_noise(seen, noise_std(noise, 0, 1))
    return ops.convert_to_numpy(seen).reshape(len(images), n, *images.shape[1:])


def instance_noise(images: Any, std: Any) -> Any:
    """images + std · ε, ε standard normal and independent in every value; inside a `step_scope`, which decides it.

    Noise on real pictures and fakes makes their distributions overlap, so that there is a gradient between them.

    Args:
        images: float32 [B, H, W, C].
        std: a number or a float32 scalar tensor.

    Returns:
        float32 [B, H, W, C].

    References: Sønderby, Caballero, Theis, Shi, Huszár: Amortised MAP Inference for Image Super-Resolution, ICLR 2017,
    arXiv:1610.04490; Arjovsky, Bottou: Towards Principled Methods for Training Generative Adversarial Networks, ICLR
    2017, arXiv:1701.04862.
    """
    return images + std * normal(tuple(images.shape))


def noise_std(config: InstanceNoise, step: Any, total_steps: int) -> Any:
    """std · max(0, 1 − step / (until · total_steps)): the standard deviation of the noise at a step, fading linearly.

    Args:
        config: `std` at the first step, and `until`, the share of the run at which it reaches zero; 0 means no noise.
        step: a number or a scalar tensor, counted from 0.
        total_steps: of the run.

    Returns:
        float32 scalar tensor.
    """
    end = ops.convert_to_tensor(config.until * total_steps, "float32")
    left = ops.maximum(end - ops.cast(step, "float32"), 0.0)
    return config.std * ops.divide_no_nan(left, end)


def _some(augmented: Any, images: Any, probability: Any) -> Any:
    """Each picture's augmented self with `probability`, else the picture."""
    chosen = uniform((images.shape[0], 1)) < probability
    # On rows: TensorFlow's kernel takes a third of the time there that it takes to broadcast over three axes.
    rows = (images.shape[0], -1)
    return ops.reshape(ops.where(chosen, ops.reshape(augmented, rows), ops.reshape(images, rows)), images.shape)


def _part(side: int, share: float) -> int:
    """A share of a side in whole pixels, halves rounded up."""
    return int(side * share + 0.5)


def _integer(draws: Any, n: int) -> Any:
    """int32 in 0 … n − 1, equally likely, from uniform draws in [0, 1)."""
    # The largest float32 below 1, times n, is rounded down: n − n · 2⁻²⁴ is nearer to the float32 below n than to n.
    return ops.cast(draws * n, "int32")


def _cut(draws: Any, side: int) -> Any:
    """bool [B, side]: the stretch of half the side around a centre that is drawn, as far as it lies inside."""
    size = _part(side, _CUTOUT)
    # An even stretch has its centre between two pixels, and the picture one more such place than pixels.
    start = _integer(draws, side + 1 - size % 2) - size // 2
    offset = ops.arange(side, dtype="int32") - start[:, None]
    return ops.logical_and(offset >= 0, offset < size)
