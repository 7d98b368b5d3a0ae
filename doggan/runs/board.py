"""The tables and sheets of a run for TensorBoard."""

import importlib.util
import itertools
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from doggan.errors import DogganError
from doggan.plots.sheets import read_png
from doggan.runs.history import STATS, Row, bin_columns
from doggan.training.histogram import BINS

_PACKAGE = "tensorboardX"
_GROUPS = {
    **dict.fromkeys(("g_loss", "d_loss"), "losses"),
    **dict.fromkeys((name for name in STATS if not name.endswith("loss")), "discriminator"),
    **dict.fromkeys(("g_lr", "d_lr"), "rates"),
}
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

    What a method is given is on the disk when it returns. (tensorboardX's own `SummaryWriter` writes in a thread, and
    waits for ever where a full disk has ended that.)

    Args:
        folder: of the event file. An earlier one in it is replaced by what the run holds, so that a run which was
            killed beyond its last checkpoint and resumed has no step twice. (An event file is a log that grows, and
            therefore the one file of a run that is not written atomically.)
        rows: what metrics.csv holds already.
        verdicts: what histograms.csv holds already.
        sheets: step → sample sheet, as far as there are; some of them, if there are many.

    Raises:
        OSError: the file cannot be written, as on a full disk; it names the folder. So do the methods.
    """

    def __init__(
        self,
        folder: Path,
        rows: Iterable[Row],
        verdicts: Iterable[Row] = (),
        sheets: Mapping[int, Path] | None = None,
    ) -> None:
        from tensorboardX.event_file_writer import EventsWriter

        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("events.out.tfevents.*"):
            path.unlink()
        self._folder = folder
        self._writer = EventsWriter(str(folder / "events"))
        scalars = ((int(row["step"]), summary) for row in rows for summary in _scalars(row))
        histograms = ((int(row["step"]), summary) for row in verdicts for summary in _histograms(row))
        pictures = ((step, _picture(read_png(path))) for step, path in _some(sheets or {}))
        self._write(itertools.chain(scalars, histograms, pictures))

    def write(self, row: Row, step: int) -> None:
        """Add the numbers of a row of metrics.csv that are known."""
        self._write((step, summary) for summary in _scalars(row))

    def write_verdicts(self, row: Row) -> None:
        """Add a row of histograms.csv."""
        self._write((int(row["step"]), summary) for summary in _histograms(row))

    def write_sheet(self, sheet: NDArray[np.uint8], step: int) -> None:
        """Add a sample sheet, uint8 [H, W, 3]."""
        self._write([(step, _picture(sheet))])

    def close(self) -> None:
        """Finish the file."""
        with self._naming_the_folder():
            self._writer.close()

    def _write(self, summaries: Iterable[tuple[int, Any]]) -> None:
        from tensorboardX.proto.event_pb2 import Event

        with self._naming_the_folder():
            for step, summary in summaries:
                self._writer.write_event(Event(wall_time=time.time(), step=step, summary=summary))
            self._writer.flush()

    @contextmanager
    def _naming_the_folder(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._folder)) from error


def _scalars(row: Row) -> Iterator[Any]:
    from tensorboardX.summary import scalar

    for name, value in row.items():
        spread = name.removesuffix("_std") in STATS and name not in STATS
        if name not in _PROGRESS and not spread and not math.isnan(value):
            group = "spectral_norm" if name.startswith("sigma_") else _GROUPS.get(name, "scores")
            yield scalar(f"{group}/{name}", value)


def _histograms(row: Row) -> Iterator[Any]:
    from tensorboardX.summary import histogram_raw

    edges = np.linspace(0, 1, BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    for name in ("d_real", "d_fake"):
        counts = np.array([row[column] for column in bin_columns(name)])
        yield histogram_raw(
            f"verdicts/{name}",
            min=0.0,
            max=1.0,
            num=counts.sum(),
            sum=counts @ middles,
            sum_squares=counts @ middles**2,
            bucket_limits=edges[1:].tolist(),
            bucket_counts=counts.tolist(),
        )


def _picture(sheet: NDArray[np.uint8]) -> Any:
    from tensorboardX.summary import image

    return image("samples", sheet, dataformats="HWC")


def _some(sheets: Mapping[int, Path]) -> Iterator[tuple[int, Path]]:
    steps = sorted(sheets)
    chosen = sorted(set(np.linspace(0, len(steps) - 1, _MOST_SHEETS).round().astype(int))) if steps else []
    return ((steps[i], sheets[steps[i]]) for i in chosen)
