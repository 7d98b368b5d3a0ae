"""Every setting of a run with its default, as dataclasses. Loading them from TOML is in `doggan.recipes`."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation of one network (Keras' defaults)."""

    epsilon: float = 1e-3
    momentum: float = 0.99


@dataclass(frozen=True)
class Init:
    """Truncated normal initialisation of every kernel: values beyond two standard deviations are drawn again."""

    mean: float = 0.0
    std: float = 0.02


@dataclass(frozen=True)
class Generator:
    """z → Dense → a base map → transposed convolutions → Dense(channels, tanh) per pixel.

    The pictures have side `base_size` times the product of `strides`. A tuple per layer has one entry for each of
    `widths`.
    """

    network: str = "dcgan"
    latent_dim: int = 128
    base_size: int = 4
    base_depth: int = 128
    widths: tuple[int, ...] = (512, 256, 128, 64, 32)
    strides: tuple[int, ...] = (1, 2, 2, 2, 2)
    kernel: int = 5
    spectral_norm: bool = False
    batch_norm: tuple[bool, ...] = (True, True, True, True, True)
    dropout: tuple[float, ...] = (0.5, 0.5, 0.0, 0.0, 0.0)
    slope: float = 0.0  # of the negative side: 0 is ReLU
    bn: BatchNorm = field(default_factory=BatchNorm)
    init: Init = field(default_factory=Init)


@dataclass(frozen=True)
class Discriminator:
    """Convolutions → Flatten → Dense 1, a logit. A tuple per layer has one entry for each of `widths`."""

    network: str = "dcgan"
    widths: tuple[int, ...] = (64, 64, 128, 256)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    kernel: int = 5
    spectral_norm: bool = True
    batch_norm: tuple[bool, ...] = (False, True, True, True)
    dropout: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    slope: float = 0.2
    bn: BatchNorm = field(default_factory=BatchNorm)
    init: Init = field(default_factory=Init)


@dataclass(frozen=True)
class LabelNoise:
    """The discriminator's targets where `labels = "intended"`: first flipped, then smoothed by the new class."""

    flip: float = 0.05  # share of the batch whose labels are exchanged
    real: tuple[float, float] = (0.7, 1.0)
    fake: tuple[float, float] = (0.0, 0.3)


@dataclass(frozen=True)
class Optimizer:
    """Adam of one network; `lr` is the rate before the schedule."""

    lr: float = 2e-4
    beta_1: float = 0.5
    beta_2: float = 0.999
    epsilon: float = 1e-7


@dataclass(frozen=True)
class Schedule:
    """lr(step) = base · ½ (1 + cos(π · step / total)) for "cosine"; the base rate throughout for "constant"."""

    schedule: str = "cosine"  # cosine | constant


@dataclass(frozen=True)
class Data:
    """What happens to the pictures on their way into the step."""

    n_images: int = 0  # use only this many training pictures (a fixed random choice); 0 uses all
    flip: bool = True  # mirror half of them
    zoom: float = 0.0  # cut a window down to 1 / (1 + zoom) of the side, then resize
    random_crop: bool = False  # pictures larger than the network's: a random window instead of an error


@dataclass(frozen=True)
class Train:
    """Length of the run and what it leaves behind. Intervals are in epochs but for `score_kimg`.

    The scores rank checkpoints; `extractor` says what features they are made of: "random" is cheap, and "inception",
    which needs its weights and takes far longer, gives the numbers people know, though not with their sample counts.
    The metric mifid also needs the features of all training pictures, once. `--dry-run` measures what scoring costs.
    """

    epochs: int = 280
    batch_size: int = 128
    loss: str = "bce"
    sample_every: int = 1  # sample sheet and loss figures
    samples: int = 64  # pictures on the sheet, from a fixed z
    checkpoint_every: int = 1
    keep: int = 2  # newest checkpoints kept, beside the best
    extractor: str = "random"  # random | inception
    metrics: tuple[str, ...] = ("kid",)  # of fid, mifid, kid, prdc, is; the first chooses the best checkpoint
    score_every: int = 5  # 0 never; where anything is scored, so are the untrained and the last state
    score_kimg: float = 0.0  # also whenever so many thousand more pictures were seen, inside epochs too; 0 never
    score_samples: int = 1000
    tensorboard: bool = False  # the table's numbers as scalars in tensorboard/ too


@dataclass(frozen=True)
class Config:
    """One run, resolved. `recipe` is the name it started from; `seed` decides everything random."""

    recipe: str = "dogs-dcgan"
    seed: int = 0
    labels: str = "intended"  # intended | published: hard 1 and 0, which is what the published code does
    data: Data = field(default_factory=Data)
    generator: Generator = field(default_factory=Generator)
    discriminator: Discriminator = field(default_factory=Discriminator)
    label_noise: LabelNoise = field(default_factory=LabelNoise)
    g_optimizer: Optimizer = field(default_factory=Optimizer)
    d_optimizer: Optimizer = field(default_factory=Optimizer)
    lr: Schedule = field(default_factory=Schedule)
    train: Train = field(default_factory=Train)
