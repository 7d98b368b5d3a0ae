"""From a configuration to networks, optimizers and the plan of the data."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import keras
import numpy as np
from numpy.typing import NDArray

from doggan.config import Augment, Config
from doggan.data.batches import BatchPlan, choose
from doggan.data.classes import Classes
from doggan.data.device import DevicePictures
from doggan.data.imageset import ImageSet, hash_images
from doggan.devices import Devices
from doggan.errors import DogganError
from doggan.losses import LOSSES, PAIRED, SQUASHABLE, UNDECIDED_AT_ZERO
from doggan.metrics.callback import check_first
from doggan.metrics.random_features import MAX_SIDE, MIN_SIDE
from doggan.metrics.scores import METRICS
from doggan.nets import FAMILIES, family
from doggan.runs.board import check_tensorboard
from doggan.runs.fitting import check_classes, check_crop, check_networks, check_size, conditional, picture_size
from doggan.training.augment import POLICY
from doggan.training.fake_classes import FakeClasses
from doggan.training.gan import GAN
from doggan.training.optimizers import check_optimizer, make_optimizer

TRAINING_EXTRACTORS = ("random", "inception")  # NASNet is too slow while training
_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def training_images(config: Config, data: ImageSet) -> ImageSet:
    """The pictures a configuration trains on: the training split, or `data.n_images` of it.

    Raises:
        DogganError: there are none.
    """
    images = data.training()
    if len(images) == 0:
        raise DogganError("The image set has no training pictures; prepare it with a smaller --holdout.")
    if 0 < config.data.n_images < len(images):
        return images.select(choose(len(images), config.data.n_images, config.seed))
    return images


def data_hash(config: Config, images: ImageSet) -> str:
    """What tells the training pictures of a run from others; for conditional networks with their labels."""
    return hash_images(images.images, labels_of(config, images))


def classes_of(config: Config, images: ImageSet) -> Classes | None:
    """The classes that a run's networks are told; None where they are told none.

    Args:
        config: as `plan_data` has checked it.
        images: those the run trains on.
    """
    return Classes.of(images) if conditional(config) else None


def labels_of(config: Config, images: ImageSet) -> NDArray[np.int32] | None:
    """What the networks are told of the pictures, if anything: their labels."""
    return images.labels if conditional(config) else None


def plan_data(config: Config, images: ImageSet) -> BatchPlan:
    """The order and augmentation of the data, with every setting checked against the others and the pictures.

    Raises:
        DogganError: settings contradict each other, or the pictures are too few for a batch, not square, or not of the
            size the generator makes.
    """
    _named(LOSSES, config.train.loss, "train.loss")
    check_classes(config, images)
    height, _, channels = images.image_shape
    size = picture_size(config, images)
    check_networks(config, (size, size, channels), len(images.class_names))
    check_crop(config, images)
    check_size(config, images, size)
    _check_step(config)
    check_augment(config)
    _check_scores(config, size)
    if config.train.tensorboard:
        check_tensorboard()
    batch_size = config.train.batch_size * config.train.d_steps
    if len(images) < batch_size:
        per_step = f" for each of {config.train.d_steps} D steps" if config.train.d_steps > 1 else ""
        raise DogganError(
            f"There are {len(images)} training pictures, fewer than one batch of {config.train.batch_size}{per_step}; "
            "lower train.batch_size."
        )
    plan = BatchPlan(
        n_images=len(images),
        batch_size=batch_size,
        seed=config.seed,
        stored_size=height,
        image_size=size,
        flip=config.data.flip,
        zoom=config.data.zoom,
    )
    total = plan.steps_per_epoch * config.train.epochs
    check_optimizer(config.g_optimizer, config.lr, total, "g_optimizer")
    check_optimizer(config.d_optimizer, config.lr, total, "d_optimizer")
    return plan


def build_generator(config: Config, image_shape: tuple[int, int, int], classes: Classes | None = None) -> keras.Model:
    """The generator of a configuration, freshly initialised.

    Args:
        config: as `plan_data` has checked it.
        image_shape: of the pictures the networks see.
        classes: that conditional networks are told.

    Raises:
        DogganError: it does not map what it should to what it should.
    """
    settings = config.generator
    network = _built(config, "generator", image_shape, classes)
    inputs = [(settings.latent_dim,)] + [()] * conditional(config)
    _check_shapes(network, "generator", settings.network, inputs, image_shape)
    return network


def build_discriminator(
    config: Config, image_shape: tuple[int, int, int], classes: Classes | None = None
) -> keras.Model:
    """The discriminator of a configuration, freshly initialised; see `build_generator`."""
    network = _built(config, "discriminator", image_shape, classes)
    inputs = [image_shape] + [()] * conditional(config)
    _check_shapes(network, "discriminator", config.discriminator.network, inputs, (1,))
    return network


def check_own_networks(config: Config, image_shape: tuple[int, int, int], classes: Classes | None) -> None:
    """Build the networks that are not of the package, to refuse what is wrong with them before a run begins.

    Raises:
        DogganError: as `build_generator`.
    """
    if config.generator.network not in FAMILIES:
        build_generator(config, image_shape, classes)
    if config.discriminator.network not in FAMILIES:
        build_discriminator(config, image_shape, classes)


def _built(config: Config, section: str, image_shape: tuple[int, int, int], classes: Classes | None) -> keras.Model:
    settings = getattr(config, section)
    with _precision(config):
        build = getattr(family(settings.network, section), section)
        network: keras.Model = build(settings, image_shape, len(classes) if classes else 0, config.seed)
    if not isinstance(network, keras.Model):
        raise DogganError(
            f"{section}.network = {settings.network!r}: the function `{section}` returns a {type(network).__name__}; "
            "it must return a keras.Model."
        )
    return network


def _check_shapes(
    network: keras.Model, section: str, name: str, inputs: Sequence[tuple[int, ...]], output: tuple[int, ...]
) -> None:
    """Refuse a network that somebody wrote for something else.

    Raises:
        DogganError: its inputs or its output have other shapes.
    """
    takes = [tuple(each.shape[1:]) for each in network.inputs]
    gives = tuple(network.output_shape[1:])
    if takes != list(inputs) or gives != output:
        raise DogganError(
            f"{section}.network = {name!r} maps {takes} to {gives} where {list(inputs)} to {output} is wanted (shapes "
            "without the batch); mend it, or the settings."
        )


def build_gan(
    config: Config,
    image_shape: tuple[int, int, int],
    steps_per_epoch: int,
    pictures: DevicePictures | None = None,
    classes: Classes | None = None,
) -> GAN:
    """Both networks, their optimizers and the loss, compiled and ready for `fit`.

    Args:
        config: as `plan_data` has checked it.
        image_shape: of the pictures the networks see.
        steps_per_epoch: for the schedules.
        pictures: the data set on the device; None where `fit` is given pictures.
        classes: that conditional networks are told; see `classes_of`.
    """
    total = steps_per_epoch * config.train.epochs
    gan = GAN(
        build_generator(config, image_shape, classes),
        build_discriminator(config, image_shape, classes),
        labels=config.labels,
        label_noise=config.label_noise,
        fake_classes=None if classes is None else _fake_classes(config.train.fake_labels, classes),
        update=config.train.update,
        d_steps=config.train.d_steps,
        reuse_z=config.train.reuse_z,
        augment=config.augment,
        instance_noise=config.instance_noise,
        penalty=config.penalty,
        ema=config.ema,
        replay=config.train.replay,
        seed=config.seed,
        total_steps=total,
        pictures=pictures,
    )
    scaled = config.train.precision == "float16"
    d_updates = config.train.d_steps + (1 / config.train.replay if config.train.replay else 0)
    gan.compile(
        make_optimizer(config.g_optimizer, config.lr, total, "g_optimizer", loss_scaling=scaled),
        make_optimizer(
            config.d_optimizer, config.lr, total, "d_optimizer", loss_scaling=scaled, updates_per_step=d_updates
        ),
        loss=config.train.loss,
        squash=config.train.squash,
    )
    return gan


def _fake_classes(how: str, classes: Classes) -> FakeClasses:
    return FakeClasses(None if how == "batch" else classes.shares(how))


@contextmanager
def _precision(config: Config) -> Iterator[None]:
    """Layers made within compute in `train.precision`; their weights stay float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[config.train.precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def check_devices(config: Config, devices: Devices) -> None:
    """Refuse what cannot be divided between the devices.

    Raises:
        DogganError: the batch, or the replay buffer.
    """
    for name, size in (("batch_size", config.train.batch_size), ("replay", config.train.replay)):
        if size % devices.replicas:
            raise DogganError(
                f"train.{name} = {size} cannot be divided between {devices.replicas} devices; choose a multiple."
            )


def scores_wanted(config: Config) -> bool:
    """Whether the run is scored at all."""
    return config.train.score_every > 0 or config.train.score_kimg > 0


def _check_step(config: Config) -> None:
    train = config.train
    if train.d_steps > 1 and train.update != "alternating":
        raise DogganError(
            f"train.d_steps = {train.d_steps} needs train.update=alternating; simultaneous updates are one for one."
        )
    if train.reuse_z and train.update != "alternating":
        raise DogganError("train.reuse_z needs train.update=alternating; simultaneous updates share their z anyway.")
    if train.squash and train.loss not in SQUASHABLE:
        raise DogganError(
            f"train.squash is for the loss {', '.join(SQUASHABLE)}, and not for {train.loss}; set it to false."
        )
    if train.fake_labels != "batch" and not conditional(config):
        raise DogganError(
            f"train.fake_labels = {train.fake_labels} is for conditional networks, and these are told no classes; "
            "leave it out, or set generator.condition and discriminator.condition."
        )
    if config.sampling.classes != "data" and not conditional(config):
        raise DogganError(
            f"sampling.classes = {config.sampling.classes} is for conditional networks, and these are told no classes; "
            "leave it out, or set generator.condition and discriminator.condition."
        )
    if config.sampling.bn_samples and config.generator.network == "r3gan":
        raise DogganError("sampling.bn_samples is for batch norm, which r3gan has not; leave it out.")
    if train.replay and conditional(config):
        raise DogganError(
            f"train.replay = {train.replay} forgets the classes of its fakes; conditional networks need train.replay=0."
        )
    if train.replay and train.loss in PAIRED:
        raise DogganError(
            f"train.replay = {train.replay} does not go with the loss {train.loss}, which pairs real pictures with "
            "fakes; set train.replay=0."
        )
    # r3gan has no spectral norm to switch off.
    bounded = config.discriminator.spectral_norm and config.discriminator.network != "r3gan"
    if train.loss == "wasserstein" and not (bounded or config.penalty.gp > 0):
        raise DogganError(
            "The loss wasserstein needs a D of bounded slope; set discriminator.spectral_norm=true (of other networks "
            "than r3gan) or penalty.gp=10."
        )
    penalty = config.penalty
    if penalty.final != 1 and not (penalty.r1 > 0 or penalty.r2 > 0 or penalty.gp > 0):
        raise DogganError(
            f"penalty.final = {penalty.final} is where penalties end, and there are none; set penalty.r1, r2 or gp."
        )
    if penalty.interval > 1 and not (penalty.r1 > 0 or penalty.r2 > 0 or penalty.gp > 0):
        raise DogganError(
            f"penalty.interval = {penalty.interval} spaces penalties, and there are none; set penalty.r1, r2 or gp."
        )


def check_augment(config: Config) -> None:
    """Refuse settings of `augment` and `instance_noise` that contradict each other or the loss.

    Raises:
        DogganError: they do; or `augment.policy` names an unknown operation.
    """
    if config.instance_noise.std > 0 and config.instance_noise.until == 0:
        raise DogganError("instance_noise.until = 0 fades the noise before the first step; raise it, or set std=0.")
    augment, loss = config.augment, config.train.loss
    for name in augment.policy:
        _named(POLICY, name, "augment.policy")
    if len(set(augment.policy)) < len(augment.policy):
        raise DogganError(f"augment.policy = {list(augment.policy)} names an operation twice.")
    if not augment.policy and augment != Augment():
        raise DogganError("The settings of augment change nothing without operations; set augment.policy too.")
    if augment.probability == 0:
        raise DogganError("augment.probability = 0 never applies augment.policy; raise it, or leave the policy out.")
    if augment.target > 0 and augment.probability < 1:
        raise DogganError("augment.target adapts the probability, so leave augment.probability out.")
    if augment.target >= 1:
        raise DogganError(f"augment.target = {augment.target} is a mean sign that D never exceeds; the paper has 0.6.")
    if augment.target > 0 and augment.kimg <= 0:
        raise DogganError("augment.kimg must be positive where augment.target is set; the paper has 500.")
    if augment.target > 0 and loss not in UNDECIDED_AT_ZERO:
        raise DogganError(
            f"augment.target goes by the sign of D(real), which says nothing under the loss {loss}; set train.loss to "
            f"one of {', '.join(sorted(UNDECIDED_AT_ZERO))}, or augment.target=0."
        )


def _check_scores(config: Config, size: int) -> None:
    train = config.train
    if train.extractor not in TRAINING_EXTRACTORS:
        raise DogganError(f"train.extractor = {train.extractor!r} is not one of {', '.join(TRAINING_EXTRACTORS)}.")
    for metric in train.metrics:
        if metric not in METRICS:
            raise DogganError(f"train.metrics: {metric!r} is not one of {', '.join(METRICS)}.")
    if not train.metrics or len(set(train.metrics)) < len(train.metrics):
        raise DogganError(f"train.metrics = {list(train.metrics)} must name at least one metric, and each only once.")
    check_first(train.metrics[0])
    if train.extractor != "random" or not scores_wanted(config):
        return
    if "is" in train.metrics:
        raise DogganError(
            "The Inception Score needs Inception: set train.extractor=inception, or leave metric 'is' out."
        )
    if not MIN_SIDE <= size <= MAX_SIDE:
        raise DogganError(
            f"The random extractor works on pictures of {MIN_SIDE} to {MAX_SIDE} px and these are {size} px; set "
            "train.score_every=0 and train.score_kimg=0, or train.extractor=inception."
        )


def _named(registry: Mapping[str, object], name: str, key: str) -> None:
    if name not in registry:
        raise DogganError(f"{key} = {name!r} is not one of {', '.join(registry)}.")
