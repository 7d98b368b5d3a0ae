"""The operations of a network in NumPy, written from their definitions, for tests of whole networks."""

import numpy as np


def conv(x, kernel, bias=None, groups=1):
    """Convolution "same" of [B, H, W, C] with an odd kernel [k, k, C / groups, D]."""
    k, (_, height, width, channels) = kernel.shape[0], x.shape
    padded = np.pad(x, [(0, 0), (k // 2, k // 2), (k // 2, k // 2), (0, 0)])
    parts = []
    for g in range(groups):
        inputs = padded[..., g * channels // groups : (g + 1) * channels // groups]
        weights = kernel[..., g * kernel.shape[-1] // groups : (g + 1) * kernel.shape[-1] // groups]
        parts.append(sum(inputs[:, i : i + height, j : j + width] @ weights[i, j] for i in range(k) for j in range(k)))
    out = np.concatenate(parts, axis=-1)
    return out if bias is None else out + bias


def relu(x, slope=0.0):
    return np.where(x > 0, x, slope * x)


def nearest(x):
    """Twice as wide and high, each pixel four times."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def bilinear(x):
    """Twice as wide and high: ¾ of the nearer and ¼ of the farther pixel along each axis, the border repeated."""
    for axis in (1, 2):
        first, last = x.take([0], axis), x.take([-1], axis)
        n = x.shape[axis]
        before = np.concatenate([first, x.take(range(n - 1), axis)], axis)
        after = np.concatenate([x.take(range(1, n), axis), last], axis)
        pair = np.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = pair.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])
    return x


def pooled(x):
    """Half as wide and high, means of four."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def sigma(kernel):
    """The largest singular value of a kernel as a matrix with the output channels as columns."""
    return np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


def weights_of(model):
    """Every variable as float64 by "layer/name"."""
    return {"/".join(v.path.split("/")[-2:]): np.asarray(v.value, np.float64) for v in model.variables}
