"""The table of a run as TensorBoard scalars."""

import importlib.util
import math
from collections.abc import Iterable
from pathlib import Path

from doggan.errors import DogganError
from doggan.runs.history import STATS, Row

_PACKAGE = "tensorboardX"
_GROUPS = {
    **dict.fromkeys(("g_loss", "d_loss"), "losses"),
    **dict.fromkeys((name for name in STATS if not name.endswith("loss")), "discriminator"),
    **dict.fromkeys(("g_lr", "d_lr"), "rates"),
}
_FLUSH_SECONDS = 5
_PROGRESS = ("epoch", "step", "kimg", "seconds")


def check_tensorboard() -> None:
    """Make sure that the package which writes event files is there.

    Raises:
        DogganError: it is not.
    """
    if importlib.util.find_spec(_PACKAGE) is None:
        raise DogganError(
            f"train.tensorboard=true needs the package {_PACKAGE}, which is not installed; "
            "pip install 'doggan[tensorboard]', or set train.tensorboard=false."
        )


class Board:
    """Writes rows of the table as scalars by step: `losses/g_loss`, `rates/g_lr`, `scores/random-kid` and so on.

    Args:
        folder: of the event file. An earlier one in it is replaced by `rows`, so that a run which was killed beyond
            its last checkpoint and resumed has no step twice. (An event file is a log that grows, and therefore the
            one file of a run that is not written atomically.)
        rows: what the table holds already.
    """

    def __init__(self, folder: Path, rows: Iterable[Row]) -> None:
        from tensorboardX import SummaryWriter

        for path in folder.glob("events.out.tfevents.*"):
            path.unlink()
        self._writer = SummaryWriter(logdir=str(folder), flush_secs=_FLUSH_SECONDS)
        for row in rows:
            self.write(row, int(row["step"]))

    def write(self, row: Row, step: int) -> None:
        """Add the numbers of a row that are known."""
        for name, value in row.items():
            spread = name.removesuffix("_std") in STATS and name not in STATS
            if name not in _PROGRESS and not spread and not math.isnan(value):
                self._writer.add_scalar(f"{_GROUPS.get(name, 'scores')}/{name}", value, step)

    def close(self) -> None:
        """Finish the file; until then the last seconds may lack."""
        self._writer.close()
