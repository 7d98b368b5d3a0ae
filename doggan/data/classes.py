"""The classes of a data set, as conditional networks need them: names, how frequent each is, and draws of them."""

import difflib
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from doggan.data.imageset import ImageSet
from doggan.errors import DogganError

_STREAM = 2  # keeps the draws of classes apart from those of z, which have the same seed
_SHOWN = 12  # class names in a message


@dataclass(frozen=True)
class Classes:
    """The classes of the pictures that a run trains on.

    Attributes:
        names: one for each class, in label order.
        counts: training pictures of each; at least one class has some.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, images: ImageSet) -> "Classes | None":
        """Those of a set of pictures; None where it has no labels."""
        if images.labels is None:
            return None
        counts = np.bincount(images.labels, minlength=len(images.class_names))
        return cls(images.class_names, tuple(counts.tolist()))

    def __len__(self) -> int:
        return len(self.names)

    def shares(self, how: str = "data") -> NDArray[np.float64]:
        """Probability of each class, float64 [len(self)], sum 1.

        Args:
            how: "data": in proportion to its pictures; "uniform": the same for every class that has pictures.
        """
        weights = np.array(self.counts, np.float64)
        if how == "uniform":
            weights = (weights > 0).astype(np.float64)
        return weights / weights.sum()

    def draw(self, n: int, seed: int, how: str = "data") -> NDArray[np.int32]:
        """Classes int32 [n] of the probabilities `shares(how)`; entry i depends on `seed`, `how` and i only."""
        return choose_by(self.shares(how), np.random.default_rng((seed, _STREAM)).random(n))

    def spread(self, n: int) -> NDArray[np.int32]:
        """Classes int32 [n] for a sheet: all that have pictures in turn; where n is too few, some at even distances."""
        shown = np.flatnonzero(self.counts)
        places = np.arange(n)
        return shown[places % len(shown) if n >= len(shown) else places * len(shown) // n].astype(np.int32)

    def find(self, name: str) -> int:
        """The label of a class by its name, in upper or lower case, with or without its synset and underscores.

        Raises:
            DogganError: there is no such class, or several; the nearest names are said.
        """
        wanted = _plain(name)
        found = [label for label, known in enumerate(self.names) if wanted in (_plain(known), _plain(known, True))]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(self.names[label] for label in found)
            raise DogganError(f"{name!r} is the name of several classes: {names}; give one of them in full.")
        plain = {_plain(known, True): known for known in self.names}
        close = [plain[match] for match in difflib.get_close_matches(wanted, plain, n=3, cutoff=0.5)]
        known = close or [*self.names[:_SHOWN], *(["…"] if len(self) > _SHOWN else [])]
        raise DogganError(f"There is no class {name!r}; {'near it are' if close else 'there are'} {', '.join(known)}.")


def choose_by(shares: NDArray[np.float64], draws: NDArray[np.floating]) -> NDArray[np.int32]:
    """Classes int32 [n] of probabilities `shares`, from draws [n] uniform in [0, 1)."""
    return np.searchsorted(boundaries(shares), draws, side="right").astype(np.int32)


def boundaries(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where in [0, 1) one class ends and the next begins, float64 [classes − 1]; a draw's class is how many it passed.

    A class without a share is never drawn: the ends of the last ones are moved beyond 1.
    """
    ends = np.cumsum(shares)[:-1]
    last = int(np.flatnonzero(shares)[-1])
    ends[last:] = 2.0
    return ends


def _plain(name: str, without_synset: bool = False) -> str:
    name = re.sub(r"^n\d{8}-", "", name) if without_synset else name
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()
