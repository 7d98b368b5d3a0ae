"""Distances between rows of features, and groups of rows that are nearly the same; never all distances at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROWS = 512  # distances of so many rows at a time
_PAIRS = 20_000


@dataclass(frozen=True)
class Groups:
    """Groups of near-identical rows: the connected components of "nearer than a threshold", of two rows or more.

    Attributes:
        label: int64 [N], the group of each row, 0 for the largest; −1 for rows that are like no other.
        sizes: int64 [G], from the largest on.
    """

    label: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def grouped(self) -> int:
        """Rows in groups."""
        return int(self.sizes.sum())

    @property
    def largest(self) -> int:
        """Rows in the largest group; 0 without groups."""
        return int(self.sizes.max(initial=0))


def near_identical(rows: NDArray[np.float32], threshold: float) -> Groups:
    """Groups of rows float32 [N, D] of which each is at most `threshold` from another one of its group.

    Single linkage, so a chain of near rows is one group.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(rows)
    component = np.arange(n)
    for start, squares in _blocks(rows):
        first, second = np.nonzero(squares <= threshold**2)
        # What is known already is one edge from each row to its component's number, which is a row of it.
        edges = np.concatenate([first + start, np.arange(n)]), np.concatenate([second, component])
        graph = coo_array((np.ones(len(edges[0]), bool), edges), shape=(n, n))
        _, label = connected_components(graph, directed=False)
        component = np.unique(label, return_index=True)[1][label]
    _, inverse, counts = np.unique(component, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 1]
    number = np.full(len(counts), -1, np.int64)
    number[order] = np.arange(len(order))
    return Groups(number[inverse], counts[order])


def nearest_other(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """The distance of each row float32 [N, D] to the nearest other one, float64 [N]."""
    nearest = np.empty(len(rows))
    for start, squares in _blocks(rows):
        own = np.arange(len(squares))
        squares[own, start + own] = np.inf
        nearest[start : start + len(squares)] = np.sqrt(squares.min(axis=1))
    return nearest


def mean_distance(rows: NDArray[np.float32], seed: int = 0) -> float:
    """Mean distance of 20,000 pairs of different rows float32 [N, D], drawn by `seed`; N ≥ 2."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, len(rows), _PAIRS)
    second = (first + rng.integers(1, len(rows), _PAIRS)) % len(rows)
    total = 0.0
    for start in range(0, _PAIRS, _ROWS):
        part = slice(start, start + _ROWS)
        total += float(np.linalg.norm(rows[first[part]] - rows[second[part]], axis=1).sum(dtype=np.float64))
    return total / _PAIRS


def _blocks(rows: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Squared distances of 512 rows at a time to all, with the number of their first row."""
    # In float64, because the distances of near-identical rows are what float32 rounds away.
    exact = rows.astype(np.float64)
    lengths = np.einsum("nd,nd->n", exact, exact)
    for start in range(0, len(rows), _ROWS):
        part = slice(start, start + _ROWS)
        squares = lengths[part, None] + lengths - 2 * (exact[part] @ exact.T)
        yield start, np.maximum(squares, 0, out=squares)
