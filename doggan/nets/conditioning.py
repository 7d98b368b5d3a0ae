"""How a network is told the class of a picture, by the name in `condition`.

`embedding` and `one_hot` (Mirza & Osindero 2014, arXiv:1411.1784) put a vector of the class beside the input: beside z
in a generator, beside the picture in a discriminator, there as maps that are the same at every pixel, or in a dense
network beside the flat picture. `batch_norm` gives a generator's normalisations a scale and an offset for each class
(Dumoulin, Shlens, Kudlur 2017, arXiv:1610.07629). `projection` adds to a discriminator's logit the inner product of its
last features with a vector of the class (Miyato, Koyama 2018, arXiv:1802.05637).
`shared` is the generator's of `doggan.nets.resnet`.
"""

from typing import Any

import keras
from keras import layers, ops

from doggan.config import Discriminator, Generator
from doggan.errors import DogganError
from doggan.layers import EmbeddingSN
from doggan.nets.parts import PLAIN, Seeds, check_common, initial, require


def class_input(config: Generator | Discriminator) -> Any:
    """The input of classes int32 [B]; None in a network that is not told them."""
    return None if config.condition == "none" else keras.Input((), dtype="int32", name="classes")


PLAIN_WAYS = ("none", "embedding", "one_hot", "batch_norm", "projection")


def check_condition(
    config: Generator | Discriminator, section: str, n_classes: int, ways: tuple[str, ...] = PLAIN_WAYS
) -> None:
    """Refuse a conditional network without classes, or one that is to be told them in a way it does not have.

    Args:
        config, section: the settings, and what they are called: "generator" or "discriminator".
        n_classes: how many there are.
        ways: values of `condition` that the network has.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    if config.condition not in ways:
        raise DogganError(
            f"{section}.condition = {config.condition} is not a way that {section}.network = {config.network!r} has; "
            f"it has {', '.join(ways)}."
        )
    if config.condition != "none" and n_classes < 1:
        raise DogganError(f"{section}.condition = {config.condition} needs pictures with classes, and these have none.")
    if config.condition not in ("embedding", "shared") and config.embedding_dim != type(config)().embedding_dim:
        embedded = " or ".join(way for way in ways if way in ("embedding", "shared"))
        raise DogganError(
            f"{section}.embedding_dim = {config.embedding_dim} is of {section}.condition = {embedded}; set that too."
        )
    if config.condition == "batch_norm" and not any(config.batch_norm):
        raise DogganError(f"{section}.condition = batch_norm needs a layer with batch norm; set {section}.batch_norm.")


def check_plain_generator(config: Generator, n_classes: int) -> None:
    """Refuse settings of a generator with a fixed plan that contradict each other, or that it does not read.

    Raises:
        DogganError: one sentence that names the key and the remedy.
    """
    require(config.latent_dim >= 1, "generator.latent_dim", config.latent_dim, "must be at least 1")
    check_common(config, "generator", PLAIN | {"latent_dim", "z_distribution"})
    check_condition(config, "generator", n_classes)


def class_vector(classes: Any, config: Generator | Discriminator, n_classes: int, seeds: Seeds) -> Any:
    """What is put beside the input, [B, embedding_dim] or [B, n_classes]; None where the class is told otherwise."""
    if config.condition == "embedding":
        return layers.Embedding(
            n_classes,
            config.embedding_dim,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0, seed=seeds.next()),
            name="class_embedding",
        )(classes)
    if config.condition == "one_hot":
        return OneHot(n_classes, name="class_one_hot")(classes)
    return None


def beside(x: Any, vector: Any) -> Any:
    """x [B, D] with a class vector [B, d] behind it, [B, D + d]; x itself where there is none."""
    return x if vector is None else layers.Concatenate(name="with_class")([x, vector])


def beside_as_maps(image: Any, vector: Any) -> Any:
    """A picture [B, H, W, C] with d maps of a class vector [B, d] behind its channels, each the same at all pixels."""
    if vector is None:
        return image
    height, width = image.shape[1:3]
    maps = layers.Reshape((1, 1, vector.shape[-1]), name="class_map")(vector)
    maps = layers.UpSampling2D((height, width), name="class_maps")(maps)
    return layers.Concatenate(name="with_class")([image, maps])


def projected(logit: Any, features: Any, classes: Any, config: Discriminator, n_classes: int, seeds: Seeds) -> Any:
    """logit + ⟨V[class], features⟩ where `condition` is "projection", else the logit; [B, 1], features [B, D].

    V, [n_classes, D], has spectral norm one where the network's kernels do.
    """
    if config.condition != "projection":
        return logit
    embedding = EmbeddingSN if config.spectral_norm else layers.Embedding
    rows = embedding(
        n_classes,
        features.shape[-1],
        embeddings_initializer=initial(config.init, seeds),
        dtype="float32",
        name="class_embedding",
    )(classes)
    match = layers.Dot(axes=1, dtype="float32", name="projection")([rows, features])
    return layers.Add(dtype="float32", name="logit_of_class")([logit, match])


@keras.saving.register_keras_serializable(package="doggan")
class OneHot(layers.Layer):
    """classes int32 [B] → [B, n_classes], 1 at the class and 0 elsewhere."""

    def __init__(self, n_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n_classes = n_classes

    def call(self, classes: Any) -> Any:
        return ops.one_hot(classes, self.n_classes, dtype=self.compute_dtype)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*shape, self.n_classes)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n_classes": self.n_classes}
