"""Reading many photographs at once, their results in order."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2
from tqdm import tqdm

_CHUNK = 8  # photographs per task: enough to hide a task's cost, few enough to stop at once

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    read: Callable[[Item], Result], items: Sequence[Item], workers: int | None, progress: bool
) -> Iterator[Result]:
    """The results of `read` in order of `items`.

    Stops soon, leaving no thread behind, when the caller stops or fails, and raises what `read` raises.

    Args:
        read: called from several threads at once.
        items: one per photograph.
        workers: threads; as many as there are cores where None.
        progress: show a progress bar.
    """
    chunks = [items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK)]
    # Threads, because decoding and resizing hold no lock and make up nearly all of the time.
    with (
        _opencv_single_threaded(),
        ThreadPoolExecutor(workers or _cores()) as pool,
        tqdm(total=len(items), unit="photo", disable=not progress) as bar,
    ):
        try:
            for results in pool.map(lambda chunk: [read(item) for item in chunk], chunks):
                yield from results
                bar.update(len(results))
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _opencv_single_threaded() -> Iterator[None]:
    """Keep OpenCV from splitting each small resize over threads of its own, which compete with ours."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
