"""Which pictures training never sees."""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from doggan.data.imageset import HELDOUT, TRAIN


def is_heldout(source_id: str, holdout: float) -> bool:
    """Whether a photograph is held out: a function of its id and the share, of nothing else.

    The first 64 bits of SHA-256 of the id, as a number in [0, 1), are compared with the share; so a larger
    share holds out the same photographs and some more.
    """
    digest = hashlib.sha256(source_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < holdout


def split_of(source_ids: Iterable[str], holdout: float) -> NDArray[np.uint8]:
    """The split of pictures from these photographs: uint8 [N], `HELDOUT` where `is_heldout`, else `TRAIN`."""
    return np.array([HELDOUT if is_heldout(name, holdout) else TRAIN for name in source_ids], np.uint8)
