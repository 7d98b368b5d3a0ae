"""An extractor for tests of what lies around one: exact, instant, and with a record of what it was asked."""

import time

import numpy as np


class FakeExtractor:
    """The pixels of an 8×8 raster, and their squares, as features: [N, 384] for any size divisible by 8."""

    name = "fake"
    identity = "fake 1"
    prefix = ""
    epsilon = 0.1
    dimensions = 384

    def __init__(self, seconds_per_image: float = 0.0) -> None:
        self.seconds = seconds_per_image
        self.sizes: list[int] = []  # of the batches asked for

    def features(self, images, *, batch_size=None, progress=False, pace=None):
        assert images.dtype == np.uint8
        assert images.shape[-1] == 3
        batch_size = batch_size or 50
        for start in range(0, len(images), batch_size):
            self.sizes.append(len(images[start : start + batch_size]))
            time.sleep(self.seconds * self.sizes[-1])
            if pace is not None:
                pace.advance(self.sizes[-1])
        y, x = images.shape[1] // 8, images.shape[2] // 8
        raster = images[:, y // 2 :: y, x // 2 :: x].reshape(len(images), -1).astype(np.float32) / 255
        return np.concatenate([raster, raster**2], axis=1)
