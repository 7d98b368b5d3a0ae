"""The tables and sheets of a run for TensorBoard."""

import importlib.util
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.runs.history import STATS, Row
from doggan.training.histogram import BINS

_PACKAGE = "tensorboardX"
_GROUPS = {
    **dict.fromkeys(("g_loss", "d_loss"), "losses"),
    **dict.fromkeys((name for name in STATS if not name.endswith("loss")), "discriminator"),
    **dict.fromkeys(("g_lr", "d_lr"), "rates"),
}
_FLUSH_SECONDS = 5
_PROGRESS = ("epoch", "step", "kimg", "seconds")
_MOST_SHEETS = 10  # of those that are there already: TensorBoard shows so many of a tag unless told otherwise


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
    """Writes by step: scalars (`losses/g_loss`, `rates/g_lr`, `spectral_norm/sigma_1`, `scores/random-kid` and so on),
    histograms of D's probabilities (`verdicts/d_real`, `verdicts/d_fake`), and `samples`.

    Args:
        folder: of the event file. An earlier one in it is replaced by what the run holds, so that a run which was
            killed beyond its last checkpoint and resumed has no step twice. (An event file is a log that grows, and
            therefore the one file of a run that is not written atomically.)
        rows: what metrics.csv holds already.
        verdicts: what histograms.csv holds already.
        sheets: step → sample sheet, as far as there are; some of them, if there are many.
    """

    def __init__(
        self,
        folder: Path,
        rows: Iterable[Row],
        verdicts: Iterable[Row] = (),
        sheets: Mapping[int, Path] | None = None,
    ) -> None:
        from tensorboardX import SummaryWriter

        for path in folder.glob("events.out.tfevents.*"):
            path.unlink()
        self._writer = SummaryWriter(logdir=str(folder), flush_secs=_FLUSH_SECONDS)
        for row in rows:
            self.write(row, int(row["step"]))
        for row in verdicts:
            self.write_verdicts(row)
        steps = sorted(sheets or {})
        chosen = sorted(set(np.linspace(0, len(steps) - 1, _MOST_SHEETS).round().astype(int))) if steps else []
        for i in chosen:
            self.write_sheet(_read_png((sheets or {})[steps[i]]), steps[i])

    def write(self, row: Row, step: int) -> None:
        """Add the numbers of a row of metrics.csv that are known."""
        for name, value in row.items():
            spread = name.removesuffix("_std") in STATS and name not in STATS
            if name not in _PROGRESS and not spread and not math.isnan(value):
                group = "spectral_norm" if name.startswith("sigma_") else _GROUPS.get(name, "scores")
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def write_verdicts(self, row: Row) -> None:
        """Add a row of histograms.csv."""
        edges = np.linspace(0, 1, BINS + 1)
        middles = (edges[1:] + edges[:-1]) / 2
        for name in ("d_real", "d_fake"):
            counts = np.array([row[f"{name}_{i:02d}"] for i in range(BINS)])
            self._writer.add_histogram_raw(
                f"verdicts/{name}",
                min=0.0,
                max=1.0,
                num=counts.sum(),
                sum=counts @ middles,
                sum_squares=counts @ middles**2,
                bucket_limits=edges[1:].tolist(),
                bucket_counts=counts.tolist(),
                global_step=int(row["step"]),
            )

    def write_sheet(self, sheet: NDArray[np.uint8], step: int) -> None:
        """Add a sample sheet, uint8 [H, W, 3]."""
        self._writer.add_image("samples", sheet, step, dataformats="HWC")

    def close(self) -> None:
        """Finish the file; until then the last seconds may lack."""
        self._writer.close()


def _read_png(path: Path) -> NDArray[np.uint8]:
    import imageio.v3 as imageio

    return imageio.imread(path, plugin="pillow", mode="RGB")
