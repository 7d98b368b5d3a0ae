"""What the page shows, without the page: pictures, what D says of them, and the training pictures nearest to them."""

import hashlib
import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from doggan.cache import Cache, cache_key, kept
from doggan.data.batches import choose
from doggan.data.imageset import ImageSet
from doggan.errors import DogganError
from doggan.explore.activations import predicted
from doggan.explore.interpolate import slerp
from doggan.explore.overfit import logits
from doggan.explore.subject import open_training
from doggan.play.directions import POINTS, mean_response, principal_directions
from doggan.play.nearest import NearestPixels, Neighbor
from doggan.plots import display_name
from doggan.runs import Run, load_generator
from doggan.runs.build import build_discriminator
from doggan.sampling import draw_z, filled, is_conditional, latent_dim, quantise, sample_pictures
from doggan.training.checkpoints import restore_discriminator

DIRECTIONS = 6
REFERENCES = 256  # training pictures, and samples, that an opinion is compared with


@dataclass(frozen=True)
class Dog:
    """What decides a picture.

    Attributes:
        seed: of z, not negative.
        label: the class, where the run is conditional; None for the one that `doggan.sample` draws by the seed.
        truncation: see `doggan.sampling.draw_z`.
        moves: how far along each direction of the studio, in standard deviations of z; missing ones are 0.
    """

    seed: int = 0
    label: int | None = None
    truncation: float | None = None
    moves: tuple[float, ...] = ()


@dataclass(frozen=True)
class Opinion:
    """What D says of a picture.

    Attributes:
        logit: the higher the more real.
        above_samples, above_training: shares of samples and of training pictures that D gives a lower logit, equal ones
            counted half; the second is None without training pictures.
    """

    logit: float
    above_samples: float
    above_training: float | None

    @property
    def probability(self) -> float:
        """Of being real: the sigmoid of the logit."""
        return math.exp(-math.log1p(math.exp(-self.logit))) if self.logit > -700 else 0.0


@dataclass(frozen=True)
class View:
    """A picture, uint8 [H, W, C], its class, what D says of it, and what it is near to, where that can be known."""

    picture: NDArray[np.uint8]
    label: int | None
    opinion: Opinion
    neighbor: Neighbor | None


class Studio:
    """A run's networks from one checkpoint, its training pictures, and what is known of them; several threads may ask.

    Attributes:
        run, step, weights: the run, and its checkpoint's step and weights in words.
        generator, discriminator: the networks.
        training: the pictures the run was trained on; None where they are not to be had.
        missing: why, in a sentence; "" where they are.
        directions: float64 [K, D], see `doggan.play.directions`.
        of_samples, of_training: logits that D gives to samples and to training pictures, float32, in order; the second
            is empty without these.
    """

    def __init__(
        self,
        run: Run,
        *,
        real: str | Path | None = None,
        checkpoint: str = "best",
        raw: bool = False,
        bn_samples: int = 0,
        cache: Cache | None = None,
        progress: bool = False,
    ) -> None:
        """Load the networks and the pictures, and look at both; that takes seconds, the first time.

        Args:
            run: the run.
            real: the `.npz` it was trained on; None for where it was then.
            checkpoint: "best", "newest" or a step number.
            raw, bn_samples: of the generator; see `doggan.runs.load_generator`.
            cache: keeps the directions and D's opinions; None computes them.
            progress: show bars.

        Raises:
            DogganError: the run has no such checkpoint; or `real` is not what it was trained on.
        """
        path = run.checkpoints.find(checkpoint)
        self.run = run
        self.generator, self.step, self.weights = load_generator(
            run, checkpoint, raw=raw, bn_samples=bn_samples, progress=progress
        )
        self.discriminator = build_discriminator(run.config, run.image_shape, run.classes)
        restore_discriminator(self.discriminator, path)
        self.training, self.missing = _training(run, real)
        self._nearest = None if self.training is None else NearestPixels(self.training.images)
        self._lock = threading.Lock()
        identity = (hashlib.sha256(path.read_bytes()).hexdigest(), self.weights, keras.backend.backend())
        self.directions = self._find_directions(cache, identity, progress)
        self.of_samples, self.of_training = self._ask_of_references(cache, identity)
        self.view(Dog())  # compiles both networks for a single picture

    @property
    def noun(self) -> str:
        """What the run's pictures are of, for the page."""
        return "dog" if self.run.config.recipe.startswith("dogs") else "picture"

    def z(self, dog: Dog) -> NDArray[np.float32]:
        """Its z, float32 [D]: that of the seed, truncated, then moved along the directions.

        Raises:
            DogganError: the seed or the truncation is out of range.
        """
        start = draw_z(1, latent_dim(self.generator), dog.seed, dog.truncation)[0]
        moves = np.asarray(dog.moves, np.float64)
        if not moves.any():
            return start
        return (start + moves @ self.directions[: len(moves)]).astype(np.float32)

    def label(self, dog: Dog) -> int | None:
        """Its class; None where the networks are told none."""
        if self.run.classes is None:
            return None
        drawn = self.run.draw_classes(1, dog.seed) if dog.label is None else None
        return dog.label if drawn is None else int(drawn[0])

    def picture(self, z: NDArray[np.float32], label: int | None) -> NDArray[np.uint8]:
        """The generator's picture, uint8 [H, W, C].

        It is computed alone, in a batch of one, as quickly as possible. In larger batches backends may add up in
        another order, which can change a value that lies between two levels by one level.

        Args:
            z: float32 [D].
            label: the class, exactly where the run is conditional.

        Raises:
            DogganError: the generator returns NaN or infinity.
        """
        classes = None if label is None else np.array([label], np.int32)
        with self._lock:
            made: Any = self.generator.predict_on_batch(filled(1, z[None], classes))
        return quantise(made)[0]

    def opinion(self, picture: NDArray[np.uint8], label: int | None) -> Opinion:
        """What D says of a picture, uint8 [H, W, C], of that class."""
        classes = np.array([label], np.int32) if is_conditional(self.discriminator) else None
        with self._lock:
            logit = float(predicted(self.discriminator, picture[None], classes, batch_size=1)[0, 0])
        above_training = _share_below(self.of_training, logit) if len(self.of_training) else None
        return Opinion(logit, _share_below(self.of_samples, logit), above_training)

    def nearest(self, picture: NDArray[np.uint8]) -> Neighbor | None:
        """The training picture nearest to a picture, uint8 [H, W, C]; None where there are none."""
        return None if self._nearest is None else self._nearest(picture)

    def view(self, dog: Dog) -> View:
        """A picture with what is known of it."""
        return self._view(self.z(dog), self.label(dog))

    def morph(self, a: Dog, b: Dog, t: float) -> View:
        """What lies between two pictures: at `t` of the great circle from the z of one to that of the other.

        Networks are told whole classes, so where these differ the class changes halfway, from a's to b's.
        """
        z = slerp(self.z(a), self.z(b), t).astype(np.float32)
        return self._view(z, self.label(a if t < 0.5 else b))

    def class_name(self, label: int | None) -> str:
        """A class that the networks are told as a person writes it; "" for none."""
        return "" if label is None or self.run.classes is None else display_name(self.run.classes.names[label])

    def neighbor_name(self, neighbor: Neighbor) -> str:
        """The class of a training picture as a person writes it; "" where the pictures have none."""
        if self.training is None or self.training.labels is None:
            return ""
        return display_name(self.training.class_names[self.training.labels[neighbor.index]])

    def _view(self, z: NDArray[np.float32], label: int | None) -> View:
        picture = self.picture(z, label)
        return View(picture, label, self.opinion(picture, label), self.nearest(picture))

    def _find_directions(self, cache: Cache | None, identity: tuple[str, ...], progress: bool) -> NDArray[np.float64]:
        def compute() -> dict[str, NDArray[Any]]:
            classes = self.run.draw_classes(POINTS, 0)
            return {"response": mean_response(self.generator, classes, progress=progress)}

        found = kept(cache, cache_key("play response 1", *identity, POINTS), compute)
        return principal_directions(found["response"], DIRECTIONS)

    def _ask_of_references(
        self, cache: Cache | None, identity: tuple[str, ...]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """D's logits of samples and of training pictures, in order."""

        def compute() -> dict[str, NDArray[Any]]:
            told = is_conditional(self.discriminator)
            classes = self.run.draw_classes(REFERENCES, 0)
            samples = sample_pictures(self.generator, REFERENCES, seed=0, classes=classes)
            found = {"samples": logits(self.discriminator, samples, classes if told else None)}
            if self.training is not None:
                n = len(self.training)
                some = self.training.select(choose(n, min(n, REFERENCES), self.run.config.seed))
                found["training"] = logits(self.discriminator, some.images, some.labels if told else None)
            return {name: np.sort(values) for name, values in found.items()}

        here = "" if self.training is None else self.run.data_hash
        found = kept(cache, cache_key("play logits 1", *identity, here, REFERENCES), compute)
        return found["samples"], found.get("training", np.zeros(0, np.float32))


def _training(run: Run, real: str | Path | None) -> tuple[ImageSet | None, str]:
    """The training pictures; or None, and why they are not to be had where nobody said where they are."""
    try:
        return open_training(run.folder, real)[1], ""
    except DogganError as error:
        if real is not None:
            raise
        return None, str(error)


def _share_below(values: NDArray[np.float32], logit: float) -> float:
    """The share of `values`, in order, that are below `logit`, equal ones counted half."""
    ends = (np.searchsorted(values, np.float32(logit), side) for side in ("left", "right"))
    return float(sum(int(end) for end in ends) / (2 * len(values)))
