"""Nearest neighbours: exact by KD tree in few dimensions and by comparison with all points in many, or approximate.

Points that are equal are kept once, and each stands for all its rows: a log of a discrete environment holds the same
state thousands of times. Distances are Euclidean, not squared, and computed anew for the points that were found.
"""

__all__ = ["INDEXES", "NeighbourIndex", "distinct_rows"]

import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from rostra.engine.errors import InputError

INDEXES = ("auto", "exact", "kdtree", "faiss", "hnsw", "ivf")
TREE_DIMENSIONS = 8
"""Up to here a KD tree beats comparison with all points."""
EXACT_POINTS = 200_000
"""Up to here "auto" is exact."""
RECALL = 0.98
"""Least share of true neighbours that an approximate index must find."""
RECALL_QUERIES = 1000
FEW_POINTS = 4096
"""Up to here all points are looked at again for every query whose last neighbour is not the only one so near."""
BLOCK = 1 << 16
"""Queries at a time."""

Array = NDArray[np.floating]
Rows = NDArray[np.int64]


class NeighbourIndex:
    """The k rows of a set of points that are nearest to a query.

    Args:
        points: shape (n, d), finite, n at least 1.
        kind: "kdtree", "faiss" (all points compared), "hnsw" or "ivf" (approximate); "exact" takes one of the first
            two by dimension; "auto" is exact up to 200,000 points or in at most 8 dimensions, and "ivf" beyond.

    Attributes:
        kind: what "auto" and "exact" became.
        recall: measured share of the true neighbours that are found; 1 if exact.

    Raises:
        InputError: for another kind.
    """

    def __init__(self, points: Array, kind: str = "auto") -> None:
        if kind not in INDEXES:
            raise InputError(f"index must be one of {', '.join(INDEXES)}; got '{kind}'")
        count, dimension = points.shape
        if kind == "auto":
            kind = "exact" if count <= EXACT_POINTS or dimension <= TREE_DIMENSIONS else "ivf"
        self.kind = ("kdtree" if dimension <= TREE_DIMENSIONS else "faiss") if kind == "exact" else kind
        self.count = count
        first, inverse = distinct_rows(points)
        self._points = np.ascontiguousarray(points[first])
        self._members = np.argsort(inverse, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(inverse, minlength=len(first)))])
        self.recall = 1.0
        self._centre = self._points.mean(0)
        if self.kind == "kdtree":
            self._tree = KDTree(self._points, leafsize=32, balanced_tree=False, compact_nodes=True)
        else:
            self._library = _faiss_index(self.kind, self._points - self._centre)
            if self.kind != "faiss":
                self._tune()

    def search(self, queries: Array, k: int) -> tuple[Rows, Array]:
        """Rows and distances, nearest first, shape (Q, min(k, n)) each.

        Of equally distant rows the lower ones are taken. Where all of many points are compared, or the index is
        approximate, this holds among the points that were fetched, which are twice as many as asked for.

        Args:
            queries: shape (Q, d).
            k: at least 1.
        """
        k = min(k, self.count)
        rows = np.empty((len(queries), k), np.int64)
        distances = np.empty((len(queries), k), np.float64)
        for start in range(0, len(queries), BLOCK):
            block = slice(start, start + BLOCK)
            rows[block], distances[block] = self._search_block(queries[block], k)
        return rows, distances

    def _search_block(self, queries: Array, k: int) -> tuple[Rows, Array]:
        from .kernels import expand_neighbours

        wanted = min(k, len(self._points))
        more = min(wanted + 1, len(self._points))
        distances: Any
        found: Any
        if self.kind == "kdtree":
            distances, found = self._tree.query(queries, np.arange(1, more + 1), workers=torch.get_num_threads())
        else:
            found, distances = self._ask_library(queries, more)
        rows, nearest = expand_neighbours(found[:, :wanted], distances[:, :wanted], self._starts, self._members, k)
        if more > wanted and (self.kind == "kdtree" or (self.kind == "faiss" and len(self._points) <= FEW_POINTS)):
            for query in np.flatnonzero(distances[:, wanted] == distances[:, wanted - 1]):
                own = self._as_near(queries[query], distances[query, wanted])
                lengths = self._lengths(queries[query], own)
                order = np.argsort(lengths, kind="stable")
                found_here = expand_neighbours(own[None, order], lengths[None, order], self._starts, self._members, k)
                rows[query], nearest[query] = found_here[0][0], found_here[1][0]
        return rows, nearest

    def _as_near(self, query: Array, distance: float) -> Rows:
        """Distinct points up to a distance, where more of them are equally near than were asked for."""
        reach = distance * (1 + 1e-12)
        if self.kind == "kdtree":
            return np.array(sorted(self._tree.query_ball_point(query, reach)), np.int64)
        return np.flatnonzero(self._lengths(query, np.arange(len(self._points))) <= reach)

    def _lengths(self, query: Array, points: Rows) -> Array:
        return np.sqrt(((self._points[points].astype(np.float64) - query) ** 2).sum(1))

    def _ask_library(self, queries: Array, wanted: int) -> tuple[Rows, Array]:
        """The library works in single precision on |x|^2 + |y|^2 - 2 x y: some more are fetched, and measured anew."""
        more = min(2 * wanted, len(self._points))
        shifted = np.ascontiguousarray(queries - self._centre, np.float32)
        _, found = self._library.search(shifted, more)
        missing = np.flatnonzero((found < 0).any(1))  # an approximate index may come back with fewer
        if len(missing):
            found[missing] = _faiss_index("faiss", self._points - self._centre).search(shifted[missing], more)[1]
        distances = np.empty(found.shape)
        for start in range(0, len(queries), 1024):
            block = slice(start, start + 1024)
            difference = self._points[found[block]].astype(np.float64) - queries[block, None]
            distances[block] = np.sqrt((difference**2).sum(-1))
        order = np.argsort(distances, axis=1, kind="stable")[:, :wanted]
        return np.take_along_axis(found, order, 1), np.take_along_axis(distances, order, 1)

    def _tune(self) -> None:
        """Search wider until the recall on a sample of the points is high enough; it stays as `recall`."""
        chosen = np.random.default_rng(0).choice(len(self._points), min(RECALL_QUERIES, len(self._points)), False)
        sample = np.ascontiguousarray(self._points[chosen] - self._centre, np.float32)
        k = min(10, len(self._points))
        _, truth = _faiss_index("faiss", self._points - self._centre).search(sample, k)
        setting, most = ("efSearch", 4096) if self.kind == "hnsw" else ("nprobe", int(self._library.nlist))
        target: Any = self._library.hnsw if self.kind == "hnsw" else self._library
        width = 32 if self.kind == "hnsw" else 1
        while True:
            setattr(target, setting, min(width, most))
            _, found = self._library.search(sample, k)
            self.recall = float(np.mean([len(set(a) & set(b)) / k for a, b in zip(found, truth, strict=True)]))
            if self.recall >= RECALL or width >= most:
                break
            width *= 2
        if self.recall < RECALL:
            warnings.warn(
                f"the index '{self.kind}' finds {self.recall:.1%} of the true neighbours; index='exact' finds all",
                stacklevel=3,
            )


def distinct_rows(points: NDArray[Any]) -> tuple[Rows, Rows]:
    """Where each distinct row stands first, (U,), and which of these every row is, (n,); in order of first rows.

    Rows are told apart by a hash of their bytes (-0 is 0), which is checked: a collision falls back on sorting.
    """
    flat = np.ascontiguousarray(points.reshape(len(points), -1))
    if flat.dtype.kind == "f":
        flat = flat + flat.dtype.type(0)
    hashes = np.zeros(len(flat), np.uint64)
    multiplier = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        for column in flat.T:
            hashes = (hashes ^ pd.util.hash_array(np.ascontiguousarray(column), categorize=False)) * multiplier
    inverse, _ = pd.factorize(hashes)
    inverse = inverse.astype(np.int64)
    seen = np.maximum.accumulate(inverse)  # numbers are given in order of appearance
    first = np.flatnonzero(np.concatenate([[True], inverse[1:] > seen[:-1]]))
    if np.array_equal(flat, flat[first][inverse]):
        return first, inverse
    _, first, inverse = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[inverse.ravel()]


def _faiss_index(kind: str, points: Array) -> Any:
    try:
        import faiss
    except ImportError:
        raise InputError(
            f"the index '{kind}' needs faiss: pip install 'rostra[rl]' (or index='kdtree', slow in many dimensions)"
        ) from None
    faiss.omp_set_num_threads(torch.get_num_threads())
    count, dimension = points.shape
    found: Any
    data = np.ascontiguousarray(points, np.float32)
    if kind == "hnsw":
        found = faiss.IndexHNSWFlat(dimension, 32)
        faiss.omp_set_num_threads(1)  # links made by several threads would differ from run to run
        found.add(data)
        faiss.omp_set_num_threads(torch.get_num_threads())
        return found
    if kind == "ivf":
        lists = max(1, min(int(4 * np.sqrt(count)), count // 39))  # its k-means wants 39 points a centre
        found = faiss.IndexIVFFlat(faiss.IndexFlatL2(dimension), dimension, lists)
        found.train(data)
        found.add(data)
        return found
    found = faiss.IndexFlatL2(dimension)
    found.add(data)
    return found
