"""The rows of `ablation.py`: what each is, as overrides of a recipe, and how they are made small."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from doggan.config import Config
from doggan.recipes import load_recipe, override


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        settings: on top of those of `recipe`, or where that is "" of `base`.
        base: name of the row it is compared with; "" for none.
        recipe: what it starts from.
        truncated: samples are rounded down to eight bits, as the published code does.
    """

    name: str
    settings: tuple[str, ...] = ()
    base: str = ""
    recipe: str = ""
    truncated: bool = False


REPAIRED = "reference, repaired"
NO_ATTENTION = tuple(
    f"{network}.{setting}"
    for network in ("generator", "discriminator")
    for setting in ("attention=[]", "attention_kind=source")
)
# What dogs-best has beside its networks, back to what the rows before it have.
ONLY_NETWORKS = ("augment.target=0.0", "augment.kimg=500.0", "ema.half_life=10000.0", "lr.schedule=cosine",
                 "g_optimizer.beta_2=0.9", "d_optimizer.beta_2=0.9", "sampling.bn_samples=0",
                 "train.batch_size=128")  # fmt: skip
# Each upward row is compared with the one before.
UPWARD = (
    Row("+ EMA", ("ema.half_life=10000",)),
    Row("+ hinge, TTUR", ("labels=published", "train.loss=hinge", "train.update=alternating", "g_optimizer.lr=1e-4",
                          "d_optimizer.lr=4e-4", "g_optimizer.beta_1=0.0", "d_optimizer.beta_1=0.0",
                          "g_optimizer.beta_2=0.9", "d_optimizer.beta_2=0.9")),
    Row("+ conditioning", ("generator.condition=batch_norm", "discriminator.condition=projection",
                           "discriminator.head=sum", "generator.dropout=[0.0,0.0,0.0,0.0,0.0]",
                           "discriminator.batch_norm=[false,false,false,false]", "generator.spectral_norm=true")),
    Row("+ DiffAugment", ('augment.policy=["color","translation","cutout"]',)),
    Row("+ residual", (*ONLY_NETWORKS, *NO_ATTENTION), recipe="dogs-best"),
    Row("+ attention", ONLY_NETWORKS, recipe="dogs-best"),
    Row("dogs-best", recipe="dogs-best"),
    Row("dogs-r3gan", recipe="dogs-r3gan"),
)  # fmt: skip


def rows() -> dict[str, Row]:
    """All rows by their names, each after its base."""
    table = [
        Row("reference, as published", ("labels=published", "lr.schedule=constant", "ema.half_life=0"),
            recipe="dogs-dcgan", truncated=True),
        Row(REPAIRED, ("ema.half_life=0",), base="reference, as published", recipe="dogs-dcgan"),
        *(
            Row(name, settings, REPAIRED)
            for name, *settings in (
                ("− spectral norm", "discriminator.spectral_norm=false"),
                ("init σ 0.05", "generator.init.std=0.05", "discriminator.init.std=0.05"),
                ("− label smoothing", "label_noise.real=[1.0,1.0]", "label_noise.fake=[0.0,0.0]"),
                ("− label flips", "label_noise.flip=0.0"),
                ("− mirrored pictures", "data.flip=false"),
                ("− cosine decay", "lr.schedule=constant"),
                ("− dropout", "generator.dropout=[0.0,0.0,0.0,0.0,0.0]"),
                ("+ experience replay", "train.replay=32"),
                ("RaSGAN", "train.loss=rasgan"),
                ("RaLSGAN", "train.loss=ralsgan"),
                ("RaHinge", "train.loss=rahinge"),
                ("Wasserstein + SN", "train.loss=wasserstein"),
                ("SAGAN + Wasserstein", "train.loss=wasserstein", "generator.attention=[4]",
                 "discriminator.attention=[2]"),
            )
        ),
    ]  # fmt: skip
    base = REPAIRED
    for row in UPWARD:
        table.append(replace(row, base=base))
        base = row.name
    table += [
        Row(
            "dogs-best, no DiffAugment", ("augment.policy=[]", "augment.target=0.0", "augment.kimg=500.0"), "dogs-best"
        ),
        Row("dogs-best, cosine decay", ("lr.schedule=cosine",), "dogs-best"),
    ]
    return {row.name: row for row in table}


def config_of(name: str, scale: "Scale", seed: int) -> Config:
    """The settings of a row, with those of all it is built on."""
    table = rows()
    chain = [table[name]]
    while not chain[-1].recipe:
        chain.append(table[chain[-1].base])
    settings = tuple(setting for row in reversed(chain) for setting in row.settings)
    config = load_recipe(chain[-1].recipe, settings)
    if scale.small:
        config = override(config, tuple(narrowed(config)))
    quiet = ("train.score_every=0", "train.sample_every=0", "train.on_collapse=ignore", f"seed={seed}")
    return override(config, (*quiet, f"train.epochs={scale.epochs}", f"train.checkpoint_every={scale.epochs}"))


def narrowed(config: Config) -> Iterator[str]:
    """Overrides that make a recipe one for 32×32 pictures, two cores and some thousand steps.

    Generators lose the layer that doubles the side once more, and discriminators one that halves it, or end at half the
    side.
    """
    yield "train.batch_size=32"
    yield "data.crop=any"
    for owner in ("g_optimizer", "d_optimizer"):
        yield f"{owner}.lr={4 * getattr(config, owner).lr}"
    if config.augment.target > 0:
        yield f"augment.kimg={config.augment.kimg / 4}"
    g, d = config.generator, config.discriminator
    shapes: dict[str, dict[str, Any]] = {"generator": {}, "discriminator": {}}
    if g.network == "dcgan":
        shapes["generator"] = {key: getattr(g, key)[:-1] for key in ("strides", "batch_norm", "dropout")}
        shapes["generator"] |= {"widths": shared_out(g.widths[:-1], 4), "base_depth": g.base_depth // 4}
        shapes["discriminator"] = {"widths": shared_out(d.widths, 4)}
    elif g.network == "resnet":
        shapes["generator"] = {"widths": shared_out(g.widths[:-1], 8), "strides": g.strides[:-1]}
        shapes["generator"] |= {"base_depth": g.base_depth // 8}
        shapes["generator"] |= {"latent_dim": g.latent_dim // (len(g.widths) + 1) * len(g.widths)}
        shapes["discriminator"] = {"widths": shared_out(d.widths[:-1], 4), "strides": d.strides[1:]}
    else:
        shapes["generator"] = {"widths": shared_out(g.widths[1:], 8), "strides": g.strides[:-1]}
        shapes["discriminator"] = {"widths": shared_out(d.widths[:-1], 8), "strides": d.strides[1:]}
        shapes["generator"]["group_width"] = shapes["discriminator"]["group_width"] = g.group_width // 2
    if g.attention:
        shapes["generator"]["attention"] = tuple(number - 1 for number in g.attention)
    for section, values in shapes.items():
        yield from (setting(section, key, value) for key, value in values.items())
        if g.network != "r3gan" and (section == "generator" or d.network == "dcgan"):
            yield f"{section}.bn.momentum=0.9"


def shared_out(widths: tuple[int, ...], divisor: int) -> tuple[int, ...]:
    """Every width divided."""
    return tuple(width // divisor for width in widths)


def setting(section: str, key: str, value: tuple[Any, ...] | int) -> str:
    """ "section.key=value", the value as TOML."""
    text = json.dumps(list(value)) if isinstance(value, tuple) else str(value)
    return f"{section}.{key}={text}"


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        small: 32×32 and narrow.
        epochs: of every row.
        samples, real: pictures compared; of the real ones a fixed choice, 0 for all.
        precision: of Inception.
    """

    small: bool
    epochs: int
    samples: int
    real: int
    precision: str
