"""Compiled loops for two-layer nets on a CPU: quadratic forms, and the moments that gradients are made of.

A matrix library computes all of a symmetric matrix, and writes every product to memory before the next operation reads
it. Here one triangle is computed, and what is made of four rows of a product is made while it is in the cache.

Data sets lie in tiles, (S, tiles, D, rows), whose last is filled up with points of zeros. Copy c of a net is of data
set c modulo S, as in an ensemble. All arrays are float32, or all float64. Bits do not depend on the number of threads.
"""

__all__ = ["add_active_moments", "quadratic_forms", "quadratic_outputs", "tiled", "weighted_moments"]

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from rostra.engine.runtime import share_threads_with_numba

TILE_ROWS = 512
"""At most, of a tile: with 48 numbers a row it takes 98 KB in float32, a part of a core's cache."""
TOGETHER = 4
"""Rows of a product that are computed at once: 4 x 4 sums (or vectors of them) stay in registers while they grow."""
CHUNK = 8
"""Tiles whose moments one thread sums up."""
FAST = {"contract", "reassoc", "nsz", "arcp"}  # sums in any order; infinities and NaN are kept


def tiled(x: Tensor) -> Tensor:
    """Points (S, n, D) in tiles."""
    sets, n, dimension = x.shape
    rows = _rows(n)
    tiles = x.new_empty(sets, ceil(n / rows), dimension, rows)
    with _loops() as loops:
        loops.fill(tiles.numpy(), x.numpy())
    return tiles


def quadratic_forms(tiles: Tensor, matrices: Tensor) -> Tensor:
    """x_i^T M x_i of all points, shape (copies, tiles * rows): 0 for the points that fill up.

    Args:
        tiles: of :func:`tiled`.
        matrices: M, symmetric, shape (copies, D, D).
    """
    _check(matrices, (len(matrices), tiles.shape[2], tiles.shape[2]))
    found = tiles.new_empty(len(matrices), tiles.shape[1], tiles.shape[3])
    with _loops() as loops:
        loops.forms(tiles.numpy(), matrices.numpy(), found.numpy())
    return found.flatten(1)


def quadratic_outputs(x: Tensor, matrices: Tensor) -> Tensor:
    """x_i^T M x_i of points (S, n, D) that are asked for once, shape (copies, n), without their tiles in memory."""
    _, n, dimension = x.shape
    _check(matrices, (len(matrices), dimension, dimension))
    found = x.new_empty(len(matrices), n)
    with _loops() as loops:
        loops.outputs(x.numpy(), matrices.numpy(), found.numpy(), _rows(n))
    return found


def weighted_moments(tiles: Tensor, weights: Tensor) -> Tensor:
    """X^T diag(delta) X, shape (copies, D, D).

    Args:
        tiles: of :func:`tiled`.
        weights: delta, shape (copies, tiles * rows), any finite number for the points that fill up.
    """
    _, count, dimension, rows = tiles.shape
    _check(weights, (len(weights), count * rows))
    found = tiles.new_empty(len(weights), dimension, dimension)
    with _loops() as loops:
        loops.moments(tiles.numpy(), weights.view(-1, count, rows).numpy(), found.numpy())
    return found


def add_active_moments(active: Tensor, slopes: Tensor, columns: Tensor, moments: Tensor) -> None:
    """Add the sum of slope_i x_i over the points at which a ReLU unit is active, to ``moments``.

    Args:
        active: the units' outputs, shape (S, m, rows).
        slopes: shape (S, 1, rows).
        columns: points, shape (S, D, rows).
        moments: shape (S, m, D).
    """
    sets, units, rows = active.shape
    _check(slopes, (sets, 1, rows))
    _check(columns, (sets, moments.shape[2], rows))
    _check(moments, (sets, units, moments.shape[2]))
    with _loops() as loops:
        loops.active_moments(*(part.numpy() for part in (active, slopes.contiguous(), columns, moments)))


def _rows(n: int) -> int:
    """Of a tile of n points: whole lines of the cache, and tiles of about equal size."""
    return 16 * ceil(n / ceil(n / TILE_ROWS) / 16)


def _check(part: Tensor, shape: tuple[int, ...]) -> None:
    """Compiled loops would write beside an array of another shape."""
    if part.shape != shape:
        raise ValueError(f"shape {tuple(part.shape)} where {shape} was expected")


# ------------------------------------------------------- the loops


class Loops(NamedTuple):
    """Compiled; what they find is written to their last arrays (``outputs``: the last but one)."""

    fill: Any
    forms: Any
    outputs: Any
    moments: Any
    active_moments: Any


_ONE_AT_A_TIME = threading.Lock()
"""Of the parallel loops: some of the layers that numba shares work by end a process in which two run at once."""


@contextmanager
def _loops() -> Iterator[Loops]:
    """On torch's threads. On one they never start OpenMP's, after which a process could not be forked any more."""
    if torch.get_num_threads() == 1:
        yield _ALONE
        return
    with _ONE_AT_A_TIME:
        share_threads_with_numba()
        yield _SHARED


@njit(fastmath=FAST, inline="always")
def _add_products(totals, weights, columns, count):
    """totals (4, rows) += weights (4, count) times columns (count, rows)."""
    t0, t1, t2, t3 = totals[0], totals[1], totals[2], totals[3]
    whole = count - count % 4
    for j in range(0, whole, 4):
        a00, a01, a02, a03 = weights[0, j], weights[0, j + 1], weights[0, j + 2], weights[0, j + 3]
        a10, a11, a12, a13 = weights[1, j], weights[1, j + 1], weights[1, j + 2], weights[1, j + 3]
        a20, a21, a22, a23 = weights[2, j], weights[2, j + 1], weights[2, j + 2], weights[2, j + 3]
        a30, a31, a32, a33 = weights[3, j], weights[3, j + 1], weights[3, j + 2], weights[3, j + 3]
        x0, x1, x2, x3 = columns[j], columns[j + 1], columns[j + 2], columns[j + 3]
        for r in range(columns.shape[1]):
            t0[r] += a00 * x0[r] + a01 * x1[r] + a02 * x2[r] + a03 * x3[r]
            t1[r] += a10 * x0[r] + a11 * x1[r] + a12 * x2[r] + a13 * x3[r]
            t2[r] += a20 * x0[r] + a21 * x1[r] + a22 * x2[r] + a23 * x3[r]
            t3[r] += a30 * x0[r] + a31 * x1[r] + a32 * x2[r] + a33 * x3[r]
    for j in range(whole, count):
        b0, b1, b2, b3 = weights[0, j], weights[1, j], weights[2, j], weights[3, j]
        x0 = columns[j]
        for r in range(columns.shape[1]):
            t0[r] += b0 * x0[r]
            t1[r] += b1 * x0[r]
            t2[r] += b2 * x0[r]
            t3[r] += b3 * x0[r]


@njit(fastmath=FAST, inline="always")
def _add_moments(totals, weighted, columns, count):
    """totals (4, count) += weighted (4, rows) times the first columns (count, rows), transposed."""
    y0, y1, y2, y3 = weighted[0], weighted[1], weighted[2], weighted[3]
    zero = columns.dtype.type(0)
    whole = count - count % 4
    for j in range(0, whole, 4):
        x0, x1, x2, x3 = columns[j], columns[j + 1], columns[j + 2], columns[j + 3]
        a00 = a01 = a02 = a03 = a10 = a11 = a12 = a13 = zero
        a20 = a21 = a22 = a23 = a30 = a31 = a32 = a33 = zero
        for r in range(columns.shape[1]):
            v0, v1, v2, v3 = x0[r], x1[r], x2[r], x3[r]
            w0, w1, w2, w3 = y0[r], y1[r], y2[r], y3[r]
            a00 += w0 * v0
            a01 += w0 * v1
            a02 += w0 * v2
            a03 += w0 * v3
            a10 += w1 * v0
            a11 += w1 * v1
            a12 += w1 * v2
            a13 += w1 * v3
            a20 += w2 * v0
            a21 += w2 * v1
            a22 += w2 * v2
            a23 += w2 * v3
            a30 += w3 * v0
            a31 += w3 * v1
            a32 += w3 * v2
            a33 += w3 * v3
        for k, part in enumerate(
            ((a00, a01, a02, a03), (a10, a11, a12, a13), (a20, a21, a22, a23), (a30, a31, a32, a33))
        ):
            totals[k, j] += part[0]
            totals[k, j + 1] += part[1]
            totals[k, j + 2] += part[2]
            totals[k, j + 3] += part[3]
    for j in range(whole, count):
        x0 = columns[j]
        b0 = b1 = b2 = b3 = zero
        for r in range(columns.shape[1]):
            b0 += y0[r] * x0[r]
            b1 += y1[r] * x0[r]
            b2 += y2[r] * x0[r]
            b3 += y3[r] * x0[r]
        totals[0, j] += b0
        totals[1, j] += b1
        totals[2, j] += b2
        totals[3, j] += b3


@njit(fastmath=FAST, inline="always")
def _fill(tile, points, start):
    """tile (D, rows) = the points (n, D) from ``start`` on, and zeros."""
    n, dimension = points.shape
    rows = min(tile.shape[1], n - start)
    for j in range(dimension):
        column = tile[j]
        for r in range(rows):
            column[r] = points[start + r, j]
        column[rows:] = 0


@njit(fastmath=FAST, inline="always")
def _fill_triangle(triangle, matrix):
    """The triangle T with x^T T x = x^T M x."""
    for i in range(len(matrix)):
        for j in range(i):
            triangle[i, j] = 2 * matrix[i, j]
        triangle[i, i] = matrix[i, i]


@njit(fastmath=FAST, inline="always")
def _tile_forms(total, tile, triangle, products):
    """total (rows,) = x^T T x of a tile; ``products`` (4, rows) to work in."""
    dimension, rows = tile.shape
    total[:] = 0
    for i in range(0, dimension, TOGETHER):
        products[:] = 0
        _add_products(products, triangle[i : i + TOGETHER], tile, min(i + TOGETHER, dimension))
        for k in range(i, min(i + TOGETHER, dimension)):
            product, column = products[k - i], tile[k]
            for r in range(rows):
                total[r] += product[r] * column[r]


@njit(fastmath=FAST, inline="always")
def _add_tile_moments(triangle, tile, weight, weighted):
    """triangle += that of the tile's X^T diag(weight) X; ``weighted`` (4, rows) to work in."""
    dimension, rows = tile.shape
    for i in range(0, dimension, TOGETHER):
        for k in range(i, min(i + TOGETHER, dimension)):
            own, column = weighted[k - i], tile[k]
            for r in range(rows):
                own[r] = weight[r] * column[r]
        _add_moments(triangle[i : i + TOGETHER], weighted, tile, min(i + TOGETHER, dimension))


@njit
def _height(dimension):
    """Rows of a triangle: groups of four, the last filled up."""
    return TOGETHER * ((dimension + TOGETHER - 1) // TOGETHER)


def _built(parallel: bool) -> Loops:
    """The loops, compiled for one thread or for several."""
    items = prange if parallel else range  # also tells the two apart in numba's cache

    @njit(cache=True, nogil=True, parallel=parallel, fastmath=FAST)
    def fill(tiles, x):
        sets, count, _, rows = tiles.shape
        for item in items(sets * count):
            s, t = item // count, item % count
            _fill(tiles[s, t], x[s], t * rows)

    @njit(cache=True, nogil=True, parallel=parallel, fastmath=FAST)
    def forms(tiles, matrices, found):
        sets, count, dimension, rows = tiles.shape
        triangles = np.zeros((len(matrices), _height(dimension), dimension), tiles.dtype)
        for c in items(len(matrices)):
            _fill_triangle(triangles[c], matrices[c])
        for item in items(len(matrices) * count):
            c, t = item // count, item % count
            products = np.empty((TOGETHER, rows), tiles.dtype)
            _tile_forms(found[c, t], tiles[c % sets, t], triangles[c], products)

    @njit(cache=True, nogil=True, parallel=parallel, fastmath=FAST)
    def outputs(x, matrices, found, rows):
        sets, n, dimension = x.shape
        count = (n + rows - 1) // rows
        triangles = np.zeros((len(matrices), _height(dimension), dimension), x.dtype)
        for c in items(len(matrices)):
            _fill_triangle(triangles[c], matrices[c])
        for item in items(sets * count):
            s, start = item // count, item % count * rows
            tile, products, total = (
                np.empty((dimension, rows), x.dtype),
                np.empty((TOGETHER, rows), x.dtype),
                np.empty(rows, x.dtype),
            )
            _fill(tile, x[s], start)
            for c in range(s, len(matrices), sets):
                _tile_forms(total, tile, triangles[c], products)
                for r in range(min(rows, n - start)):
                    found[c, start + r] = total[r]

    @njit(cache=True, nogil=True, parallel=parallel, fastmath=FAST)
    def moments(tiles, weights, found):
        sets, count, dimension, rows = tiles.shape
        chunks = (count + CHUNK - 1) // CHUNK
        triangles = np.zeros((len(weights), chunks, _height(dimension), dimension), tiles.dtype)
        for item in items(len(weights) * chunks):
            c, chunk = item // chunks, item % chunks
            weighted = np.zeros((TOGETHER, rows), tiles.dtype)
            for t in range(chunk * CHUNK, min(count, (chunk + 1) * CHUNK)):
                _add_tile_moments(triangles[c, chunk], tiles[c % sets, t], weights[c, t], weighted)
        for c in items(len(weights)):
            for i in range(dimension):
                for j in range(i + 1):
                    total = triangles[c, 0, i, j]
                    for chunk in range(1, chunks):
                        total += triangles[c, chunk, i, j]
                    found[c, i, j] = total
                    found[c, j, i] = total

    @njit(cache=True, nogil=True, parallel=parallel, fastmath=FAST)
    def active_moments(active, slopes, columns, moments):
        sets, units, rows = active.shape
        dimension = columns.shape[1]
        zero = active.dtype.type(0)
        groups = (units + TOGETHER - 1) // TOGETHER
        for item in items(sets * groups):
            s, i = item // groups, item % groups * TOGETHER
            weighted = np.zeros((TOGETHER, rows), active.dtype)
            totals = np.zeros((TOGETHER, dimension), active.dtype)
            for k in range(i, min(i + TOGETHER, units)):
                own, unit, slope = weighted[k - i], active[s, k], slopes[s, 0]
                for r in range(rows):
                    own[r] = slope[r] if unit[r] > 0 else zero
            _add_moments(totals, weighted, columns[s], dimension)
            for k in range(i, min(i + TOGETHER, units)):
                for j in range(dimension):
                    moments[s, k, j] += totals[k - i, j]

    return Loops(fill, forms, outputs, moments, active_moments)


_ALONE, _SHARED = _built(parallel=False), _built(parallel=True)
