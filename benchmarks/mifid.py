"""MiFID of 10,000 generated against 20,000 real feature rows: the package's arithmetic and the evaluator's.

    python benchmarks/mifid.py [--generated 10000] [--real 20000] [--dimensions 2048] [--repeats 3]

Features are synthetic: rectified, of decaying variance along 512 directions, with noise. Both contestants get the
same rows, in turns, each time in a process of its own:

* doggan: `statistics`, `frechet_distance` and `memorization_distance` on the float32 features;
* evaluator: the released scorer's arithmetic on the float64 array that it keeps its predictions in: `np.cov`, SciPy's
  `sqrtm` of the product, the whole matrix of cosines.

Printed are the medians of the seconds and of the peak memory: in all, and what came on top once the inputs lay in
memory (the process's largest resident size before and after, so Linux only). The scores must agree.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from doggan.metrics.frechet import frechet_distance, statistics
from doggan.metrics.memorization import memorization_distance, mifid

Features = NDArray[np.floating]


def evaluator_fid(generated: Features, real: Features) -> float:
    """The Fréchet distance by a general matrix square root."""
    mu1, mu2 = generated.mean(axis=0), real.mean(axis=0)
    sigma1, sigma2 = np.cov(generated, rowvar=False), np.cov(real, rowvar=False)
    root = sqrtm(sigma1.dot(sigma2))
    if not np.isfinite(root).all():
        offset = 1e-6 * np.eye(len(sigma1))
        root = sqrtm((sigma1 + offset).dot(sigma2 + offset))
    difference = mu1 - mu2
    return float(difference.dot(difference) + np.trace(sigma1) + np.trace(sigma2) - 2 * np.trace(root.real))


def evaluator_distance(generated: Features, real: Features) -> float:
    """The memorization distance by the whole matrix."""

    def unit(features: Features) -> Features:
        kept = features[features.sum(axis=1) != 0]
        return np.nan_to_num(kept / np.linalg.norm(kept, ord=2, axis=1, keepdims=True))

    distance = 1.0 - np.abs(np.matmul(unit(generated), unit(real).T))
    return float(np.mean(np.min(distance, axis=1)))


def doggan_fid(generated: Features, real: Features) -> float:
    """The package's own."""
    return frechet_distance(*statistics(real), *statistics(generated))


CONTESTANTS: dict[str, tuple[type, Callable[..., float], Callable[..., float]]] = {
    "evaluator": (np.float64, evaluator_fid, evaluator_distance),
    "doggan": (np.float32, doggan_fid, memorization_distance),
}


def synthetic(rows: int, dimensions: int, seed: int, shift: float) -> NDArray[np.float32]:
    """Features like those behind a ReLU."""
    directions = np.random.default_rng(0).standard_normal((512, dimensions), np.float32)
    directions *= np.exp(-np.arange(512, dtype=np.float32) / 100)[:, None] / 10
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((rows, 512), np.float32) @ directions
    features += 0.05 * rng.standard_normal((rows, dimensions), np.float32) + np.float32(0.2 + shift)
    return np.maximum(features, 0, out=features)


def peak() -> float:
    """The largest resident size of this process so far, in MB."""
    # Not getrusage's ru_maxrss: that starts with the size of the process that forked this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return float(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def measure(name: str, folder: Path, dimensions: int) -> dict[str, float]:
    """One contestant, once, in this process."""
    dtype, fid_of, distance_of = CONTESTANTS[name]
    inputs = []
    for part in ("generated", "real"):
        with (folder / part).open("rb") as file:
            rows = np.empty((file.seek(0, 2) // (4 * dimensions), dimensions), dtype)
            file.seek(0)
            for i in range(len(rows)):  # row by row, so that nothing but the array itself counts as its memory
                rows[i] = np.fromfile(file, np.float32, dimensions)
        inputs.append(rows)
    before = peak()
    start = time.perf_counter()
    fid = fid_of(*inputs)
    middle = time.perf_counter()
    distance = distance_of(*inputs)
    end = time.perf_counter()
    return {
        "fid": fid,
        "distance": distance,
        "fid_seconds": middle - start,
        "distance_seconds": end - middle,
        "seconds": end - start,
        "peak": peak(),
        "on_top": peak() - before,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generated", type=int, default=10_000)
    parser.add_argument("--real", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure[0], Path(options.measure[1]), options.dimensions)))
        return

    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        synthetic(options.generated, options.dimensions, 1, 0.02).tofile(f"{folder}/generated")
        synthetic(options.real, options.dimensions, 2, 0.0).tofile(f"{folder}/real")
        for _ in range(options.repeats):
            for name, results in rounds.items():
                command = [sys.executable, __file__, f"--dimensions={options.dimensions}", "--measure", name, folder]
                results.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))

    print(
        f"{options.generated:,} × {options.real:,} rows of {options.dimensions}, {options.repeats} rounds, "
        f"NumPy {np.__version__}, SciPy {scipy.__version__}"
    )
    middle = {name: {key: median(r[key] for r in results) for key in results[0]} for name, results in rounds.items()}
    for name, r in middle.items():
        parts = f"FID {r['fid_seconds']:4.1f} s, distance {r['distance_seconds']:4.1f} s"
        print(
            f"{name:10} {r['seconds']:5.1f} s ({parts}), "
            f"peak {r['peak']:6,.0f} MB, {r['on_top']:6,.0f} MB on top of the inputs; "
            f"FID {r['fid']:.10f}, distance {r['distance']:.12f}, MiFID {mifid(r['fid'], r['distance']):.8f}"
        )
    for key in ("fid", "distance"):
        theirs, ours = middle["evaluator"][key], middle["doggan"][key]
        if abs(theirs - ours) > 1e-8 * abs(theirs):
            raise SystemExit(f"the contestants disagree on the {key}: {theirs!r} and {ours!r}")
    pairs = list(zip(rounds["evaluator"], rounds["doggan"], strict=True))
    for key, what in (("seconds", "time"), ("on_top", "memory on top of the inputs"), ("peak", "peak memory")):
        print(f"{what}: the evaluator needs {median(e[key] / d[key] for e, d in pairs):.2f}× doggan's")


if __name__ == "__main__":
    main()
