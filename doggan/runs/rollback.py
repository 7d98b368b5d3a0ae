"""Going back, once, to before a collapse, and on from there with lower rates."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doggan.config import Config
from doggan.errors import DogganError
from doggan.files import write_text
from doggan.runs.folder import Run
from doggan.runs.health import Health
from doggan.training.checkpoints import examine

FACTOR = 0.5  # of both learning rates
_NAME = "rollback.json"


@dataclass(frozen=True)
class Rollback:
    """That a run was rolled back; kept in its `rollback.json`, and with it whatever makes a resumed run the same one.

    Attributes:
        from_step: where the collapse was found.
        to_step: of the checkpoint it went back to.
        reason: the collapse in words.
        factor: of both learning rates, from `to_step` on.
        to_remove: files, relative to the run folder, of the steps between that are still there. Empty once all are
            gone, since what training writes then may have the same names.
    """

    from_step: int
    to_step: int
    reason: str
    factor: float = FACTOR
    to_remove: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path) -> "Rollback | None":
        """That of the run in `folder`, or None.

        Raises:
            DogganError: the file is damaged.
        """
        path = folder / _NAME
        if not path.exists():
            return None
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return cls(**record | {"to_remove": tuple(record["to_remove"])})
        except (ValueError, TypeError, KeyError):
            raise DogganError(f"{path} does not say how the run was rolled back; start a new run.") from None

    def finish(self, folder: Path) -> None:
        """Remove what is to be removed. A process killed while it does is finished by the next one."""
        if not self.to_remove:
            return
        for name in self.to_remove:
            (folder / name).unlink(missing_ok=True)
        dataclasses.replace(self, to_remove=()).write(folder)

    def write(self, folder: Path) -> None:
        """Write the file."""
        write_text(folder / _NAME, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    def slowed(self, config: Config) -> Config:
        """The configuration with the lower rates."""
        g, d = (
            dataclasses.replace(optimizer, lr=optimizer.lr * self.factor)
            for optimizer in (config.g_optimizer, config.d_optimizer)
        )
        return dataclasses.replace(config, g_optimizer=g, d_optimizer=d)


def settings_of(run: Run) -> Config:
    """The configuration to train `run` by: its own, or one with lower rates since it was rolled back.

    A rollback that a kill interrupted is finished first.
    """
    rollback = Rollback.of(run.folder)
    if rollback is None:
        return run.config
    rollback.finish(run.folder)
    return rollback.slowed(run.config)


def roll_back(run: Run, health: Health, steps_per_epoch: int) -> int | None:
    """Go back to before a collapse: what lies in the run folder is then as if training had just come to that step.

    The table and the scalars are cut when training goes on, as for a run that was killed beyond its last checkpoint.

    Args:
        run: as it lies on disk.
        health: says what collapsed, and until when it was sound: the newest checkpoint up to there is taken, or, if
            there is none, the oldest of all.
        steps_per_epoch: of the data.

    Returns:
        The step gone back to; or None, and nothing is done, where the run was rolled back before or has no checkpoint
        that is whole and all numbers.
    """
    assert health.collapse is not None
    if Rollback.of(run.folder) is not None:
        return None
    files = [path for _, path in run.checkpoints.saved()] + [run.checkpoints.folder / "best.npz"]
    found = {path: examine(path, run.checkpoints.identity) for path in files if path.exists()}
    sound = {step for step, numbers in filter(None, found.values()) if numbers}
    if not sound:
        return None
    to_step = max((step for step in sound if step <= health.sound_until), default=min(sound))
    beyond = [path for path, state in found.items() if state is not None and (state[0] > to_step or not state[1])]
    beyond += [path for epoch, path in run.sheets().items() if epoch * steps_per_epoch > to_step]
    names = tuple(str(path.relative_to(run.folder)) for path in beyond)
    rollback = Rollback(health.step, to_step, health.collapse, to_remove=names)
    rollback.write(run.folder)  # from here on it has happened
    rollback.finish(run.folder)
    return to_step
