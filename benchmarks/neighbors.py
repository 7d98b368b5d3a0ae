"""Time and memory of the nearest of 22,000 training pictures for 10,000 samples, by pixels and by features.

    python benchmarks/neighbors.py [--samples 10000] [--real 22000]

The pictures and features are random: neither time nor memory depends on them. Each measure runs in a process of its
own, whose peak of resident memory is printed beside what it was before the search: libraries, pictures or features.
"""

import argparse
import multiprocessing
import resource
import time

import numpy as np


def peak() -> float:
    """Of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def search(measure: str, samples: int, real: int) -> None:
    from doggan.metrics.memorization import nearest
    from doggan.metrics.pixel_distance import nearest_pixels

    rng = np.random.default_rng(0)
    if measure == "cosine":
        sets = [rng.random((n, 2048), np.float32) for n in (samples, real)]
    else:
        sets = [rng.integers(0, 256, (n, 64, 64, 3), np.uint8) for n in (samples, real)]
    before, start = peak(), time.perf_counter()
    if measure == "cosine":
        nearest(*sets)
    else:
        nearest_pixels(*sets, measure)
    print(
        f"{measure}: {time.perf_counter() - start:.0f} s, peak {peak():.0f} MiB ({before:.0f} MiB before the search)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--real", type=int, default=22_000)
    arguments = parser.parse_args()
    for measure in ("l1", "l2", "cosine"):
        process = multiprocessing.get_context("spawn").Process(
            target=search, args=(measure, arguments.samples, arguments.real)
        )
        process.start()
        process.join()


if __name__ == "__main__":
    main()
