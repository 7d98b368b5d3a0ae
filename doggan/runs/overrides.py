"""Which settings of a run may change while it is resumed, and why the others may not.

Those that may do not change the weights, but for train.steps_per_execution and data.place: other compiled functions
round otherwise.
"""

import hashlib
import json

from doggan.config import Config
from doggan.errors import DogganError
from doggan.recipes import flatten

SAFE = frozenset(
    f"train.{name}"
    for name in (
        *("sample_every", "checkpoint_every", "checkpoint_minutes", "keep", "score_every", "score_kimg"),
        *("steps_per_execution", "tensorboard", "on_collapse"),
    )
) | {"data.place", "data.crop", "data.size", "sampling.bn_samples"}
_LENGTH = "train.epochs"
_WEIGHTS = "what was trained so far was trained with the old one, and the weights would be neither's"
_SCORES = "the scores before and after could not be compared"
_REASONS = {
    "recipe": "it is the name of what the run started from",
    "seed": "everything random so far followed from it",
    "generator": "the weights on the disk are of the network as it was",
    "discriminator": "the weights on the disk are of the network as it was",
    "data.n_images": "the run would go on with other pictures",
    "train.batch_size": "steps and epochs are counted in it",
    "train.d_steps": "steps and epochs are counted in it",
    "train.samples": "the sample sheets of a run are of one size",
    "sampling.classes": _SCORES,
    "train.extractor": _SCORES,
    "train.metrics": _SCORES,
    "train.score_samples": _SCORES,
}


def identity(config: Config, data_hash: str) -> str:
    """A digest of all that decides the weights at any step, up to rounding: runs that share it share checkpoints.

    Args:
        config: the settings when the run was made.
        data_hash: of its training pictures.
    """
    settings = {key: value for key, value in flatten(config).items() if why_not(config, key) is not None}
    text = json.dumps([settings, data_hash], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def why_not(config: Config, key: str) -> str | None:
    """Why a setting, by its dotted key, cannot change in a run with this configuration; None where it can."""
    if key in SAFE:
        return None
    if key == _LENGTH:
        if config.lr.schedule != "constant":
            return f"the rates fall with the length of the run (lr.schedule={config.lr.schedule})"
        if config.instance_noise.std > 0:
            return "instance noise fades with the length of the run"
        if config.penalty.final != 1:
            return f"penalties fall with the length of the run (penalty.final={config.penalty.final})"
        return None
    return _REASONS.get(key, _REASONS.get(key.partition(".")[0], _WEIGHTS))


def changes(old: Config, new: Config) -> dict[str, tuple[object, object]]:
    """key → (old value, new value) of every setting in which two configurations differ."""
    before, after = flatten(old), flatten(new)
    return {key: (before[key], after[key]) for key in before if before[key] != after[key]}


def check_changes(old: Config, new: Config, epochs_done: float) -> None:
    """Refuse changes that a run cannot be resumed with.

    Args:
        old, new: the configurations.
        epochs_done: epochs trained, parts of one included.

    Raises:
        DogganError: names every setting that cannot change, with the reason.
    """
    reasons = {key: why_not(old, key) for key in changes(old, new)}
    refused = [f"{key}: {reason}" for key, reason in reasons.items() if reason is not None]
    if refused:
        raise DogganError(f"--override cannot change {'; nor '.join(refused)}. Start a new run for it.")
    if new.train.epochs < epochs_done:
        raise DogganError(
            f"--override train.epochs={new.train.epochs} is less than the {epochs_done:g} epochs that the run has "
            "done; give at least as many."
        )
