"""Every setting of a run with its default, as dataclasses. Loading them from TOML is in `doggan.recipes`."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation of one network (Keras' defaults)."""

    epsilon: float = 1e-3
    momentum: float = 0.99


@dataclass(frozen=True)
class Init:
    """How every kernel begins.

    Truncated normal: values beyond two standard deviations are drawn again. Orthogonal (Saxe, McClelland, Ganguli 2014,
    arXiv:1312.6120): the matrix [everything else, output channels] has orthonormal rows or columns; it reads no mean
    and no std.
    """

    kind: str = "truncated_normal"  # truncated_normal | orthogonal
    mean: float = 0.0
    std: float = 0.02


@dataclass(frozen=True)
class Generator:
    """From z, and in conditional networks a class, to a picture; which settings `network` reads is in its module.

    Of `dcgan`: z → Dense → a base map → transposed convolutions → a last layer with tanh. The pictures have side
    `base_size` times the product of `strides` and `head_stride`. A tuple per layer has one entry for each of `widths`.
    """

    network: str = "dcgan"  # dcgan | allconv | mlp | resnet | r3gan, or a module of your own; see `doggan.nets`
    latent_dim: int = 128
    z_distribution: str = "normal"  # normal | uniform, in [0, 1]: what the layers see; `z` itself is always normal
    condition: str = "none"  # how it is told the class: none | embedding | one_hot | batch_norm | shared
    embedding_dim: int = 10  # of a class, where condition = "embedding" or "shared"
    hierarchical_z: bool = False  # resnet: z in equal parts, one for the base map, one for the norms of each block
    base_size: int = 4
    base_depth: int = 128
    base_norm: bool = False  # batch norm and activation of the base map, too
    widths: tuple[int, ...] = (512, 256, 128, 64, 32)
    strides: tuple[int, ...] = (1, 2, 2, 2, 2)
    kernel: int = 5
    spectral_norm: bool = False
    batch_norm: tuple[bool, ...] = (True, True, True, True, True)
    dropout: tuple[float, ...] = (0.5, 0.5, 0.0, 0.0, 0.0)
    slope: float = 0.0  # of the negative side: 0 is ReLU
    head: str = "dense"  # the last layer: dense, at every pixel | conv, transposed
    head_stride: int = 1  # of head = "conv"
    attention: tuple[int, ...] = ()  # self-attention after these convolutions, counted from 1
    attention_kind: str = "source"  # source | released; see `doggan.layers.SelfAttention`
    blocks: int = 2  # r3gan: residual blocks at each of `widths`
    group_width: int = 16  # r3gan: channels of a group of the 3×3 convolutions
    expansion: int = 2  # r3gan: channels inside of a block, over those outside
    bn: BatchNorm = field(default_factory=BatchNorm)
    init: Init = field(default_factory=Init)


@dataclass(frozen=True)
class Discriminator:
    """From a picture, and in conditional networks its class, to a logit.

    Of `dcgan`: convolutions → a vector → Dense 1. A tuple per layer has one entry for each of `widths`.
    """

    network: str = "dcgan"
    condition: str = "none"  # how it is told the class: none | embedding | one_hot | projection
    embedding_dim: int = 10  # of a class, where condition = "embedding"
    widths: tuple[int, ...] = (64, 64, 128, 256)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    kernel: int = 5
    spectral_norm: bool = True
    batch_norm: tuple[bool, ...] = (False, True, True, True)
    dropout: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    slope: float = 0.2
    head: str = "flatten"  # from the last map to a vector: flatten | sum, over the positions
    attention: tuple[int, ...] = ()
    attention_kind: str = "source"
    blocks: int = 2  # r3gan: these three as in the generator
    group_width: int = 16
    expansion: int = 2
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
    """The optimizer of one network; `lr` is the rate before the schedule.

    Adam reads the betas, RMSprop `rho` and `momentum`, SGD `momentum`; Adam and RMSprop `epsilon`.
    """

    optimizer: str = "adam"  # adam | rmsprop | sgd
    lr: float = 2e-4
    beta_1: float = 0.5
    beta_2: float = 0.999
    epsilon: float = 1e-7
    rho: float = 0.9
    momentum: float = 0.0
    clip_norm: float = 0.0  # gradients whose norm over all weights is larger are scaled down to it; 0 never


@dataclass(frozen=True)
class Schedule:
    """The course of both learning rates, from their base: "cosine", "linear" (both to `final`), or "constant"."""

    schedule: str = "cosine"  # cosine | linear | constant
    final: float = 0.0  # where cosine and linear end, as a share of the base rate
    warm_up: int = 0  # steps in which the rate rises linearly to what the schedule says, from 1 / warm_up of it


@dataclass(frozen=True)
class Penalty:
    """Gradient penalties on the discriminator, as factors of their terms in d_loss; 0 leaves one out.

    With `train.d_steps` all of a step's updates of D have them, or none.
    """

    r1: float = 0.0  # γ of γ/2 · E‖∇D(real)‖²
    r2: float = 0.0  # γ of the same on fakes
    gp: float = 0.0  # λ of WGAN-GP's λ · E(‖∇D(x̂)‖ − 1)², x̂ between real and fake; for a D without batch norm
    interval: int = 1  # steps between penalties (lazy regularisation: the factors are multiplied by it)
    final: float = 1.0  # share of the factors that is left at the end of the run, where a cosine takes them


@dataclass(frozen=True)
class Augment:
    """Differentiable augmentation of what the discriminator sees, real and fake alike (DiffAugment, ADA)."""

    policy: tuple[str, ...] = ()  # some of color, translation, cutout, in the order of their use
    probability: float = 1.0  # of each, for each picture, where it does not adapt
    target: float = 0.0  # ADA: the mean sign of D(real) that the probability is steered to, from 0; 0 leaves it fixed
    kimg: float = 500.0  # ADA: thousands of images in which the probability can go from 0 to 1


@dataclass(frozen=True)
class InstanceNoise:
    """Normal noise on every picture the discriminator sees, fading linearly to none."""

    std: float = 0.0  # at the first step, of pictures in [-1, 1]
    until: float = 1.0  # share of the run at which it has faded


@dataclass(frozen=True)
class Ema:
    """Exponential moving average of the generator, its batch-norm statistics included, which samples are drawn from."""

    half_life: float = 10_000.0  # in images seen; 0 keeps no average
    ramp_up: float = 0.05  # the half-life is at most this share of the images seen so far; 0 for no ramp


@dataclass(frozen=True)
class Sampling:
    """How pictures are drawn from the generator.

    The first is for `evaluate`, `submit` and kaggle_submit.py, which take their time; not for scores during training.
    """

    bn_samples: int = 0  # z that batch norm's statistics are re-estimated on first; 0 takes those of training
    classes: str = "data"  # conditional: as frequent as in the training pictures ("data"), or all alike ("uniform")


@dataclass(frozen=True)
class Data:
    """What happens to the pictures on their way into the step."""

    crop: str = "any"  # the framing it is meant for, a rule of `doggan prepare --crop`; others are refused
    size: int = 0  # side of the stored pictures it is meant for, with random_crop; 0: the network's
    n_images: int = 0  # use only this many training pictures (a fixed random choice); 0 uses all
    flip: bool = True  # mirror half of them
    zoom: float = 0.0  # cut a window down to 1 / (1 + zoom) of the side, then resize
    random_crop: bool = False  # pictures larger than the network's: a random window instead of an error
    place: str = "auto"  # where batches are made: host | device (all pictures lie there, indices travel) | auto


@dataclass(frozen=True)
class Train:
    """Length of the run and what it leaves behind. Intervals are in epochs where their names say nothing else.

    The scores rank checkpoints; `extractor` says what features they are made of: "random" is cheap, and "inception",
    which needs its weights and takes far longer, gives the numbers people know, though not with their sample counts.
    The metric mifid also needs the features of all training pictures, once. `--dry-run` measures what scoring costs.
    """

    epochs: int = 280
    batch_size: int = 128
    loss: str = "bce"
    squash: bool = False  # lsgan only: least squares of the sigmoid of D's output, in place of the output itself
    fake_labels: str = "batch"  # conditional: classes of the fakes. batch: those of the real pictures | uniform | data
    update: str = "simultaneous"  # simultaneous: both networks from one batch of fakes | alternating: D, then G
    d_steps: int = 1  # alternating: D's updates per G's, each on `batch_size` pictures of its own
    reuse_z: bool = False  # alternating: G learns from the z that D was updated on last, not from new ones
    replay: int = 0  # one fake a step goes into a buffer of this size; once full, D learns from it, and it is emptied
    precision: str = "float32"  # float32 | bfloat16 | float16 (with loss scaling): of the layers' arithmetic
    steps_per_execution: int = 0  # steps in one call of the compiled function, at most; 0: 1 on a CPU, else 32
    sample_every: int = 1  # sample sheet and loss figures
    samples: int = 64  # pictures on the sheet, from a fixed z
    checkpoint_every: int = 1
    checkpoint_minutes: float = 1.0  # also after so long, inside epochs too; 0 never
    keep: int = 2  # newest checkpoints of ends of epochs kept, beside the best and one that is surely sound
    on_collapse: str = "rollback"  # rollback, once, to the last good checkpoint with a lower rate | stop | ignore
    extractor: str = "random"  # random | inception
    metrics: tuple[str, ...] = ("kid",)  # of fid, mifid, kid, prdc, is; the first chooses the best checkpoint
    score_every: int = 5  # 0 never; where anything is scored, so are the untrained and the last state
    score_kimg: float = 0.0  # also whenever so many thousand more pictures were seen, inside epochs too; 0 never
    score_samples: int = 1000
    tensorboard: bool = False  # the table's numbers and D's histograms and the sheets in tensorboard/ too


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
    penalty: Penalty = field(default_factory=Penalty)
    augment: Augment = field(default_factory=Augment)
    instance_noise: InstanceNoise = field(default_factory=InstanceNoise)
    ema: Ema = field(default_factory=Ema)
    sampling: Sampling = field(default_factory=Sampling)
    train: Train = field(default_factory=Train)
