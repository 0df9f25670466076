"""Compiled loops for two-layer nets on a CPU: quadratic forms, and the moments that gradients are made of.

A matrix library computes all of a symmetric matrix, and writes every product to memory before the next operation reads
it. Here one triangle is computed, and what is made of four rows of a product is made while it is in the cache.
"""

__all__ = ["add_active_moments", "quadratic_forms", "tiled", "weighted_moments"]

from math import ceil

import numpy as np
from numba import njit, prange
from torch import Tensor

from rostra.engine.runtime import share_threads_with_numba

TILE_ROWS = 512
"""At most, of a tile: with 48 numbers a row it takes 98 KB in float32, a part of a core's cache."""
TOGETHER = 4
"""Rows of a product that are computed at once: 4 x 4 numbers, or vectors of them, fit into a core's registers."""
FAST = {"contract", "reassoc", "nsz", "arcp"}  # sums in any order; infinities and NaN are kept


def tiled(x: Tensor) -> Tensor:
    """Points (S, n, D) as tiles (S, tiles, D, rows), whose last is filled up with points of zeros."""
    sets, n, dimension = x.shape
    tiles = ceil(n / TILE_ROWS)
    rows = 16 * ceil(n / tiles / 16)
    padded = x.new_zeros(sets, tiles * rows, dimension)
    padded[:, :n] = x
    return padded.view(sets, tiles, rows, dimension).mT.contiguous()


def quadratic_forms(tiles: Tensor, matrices: Tensor) -> Tensor:
    """x_i^T M x_i of all points, shape (copies, tiles * rows): 0 for the points that fill up.

    Args:
        tiles: of :func:`tiled`, float32 or float64.
        matrices: M, symmetric, shape (copies, D, D); copy c is of data set c modulo S, as in an ensemble.
    """
    share_threads_with_numba()
    found = tiles.new_empty(len(matrices), tiles.shape[1], tiles.shape[3])
    _quadratic_forms(tiles.numpy(), matrices.numpy(), found.numpy())
    return found.flatten(1)


def weighted_moments(tiles: Tensor, weights: Tensor) -> Tensor:
    """X^T diag(delta) X, shape (copies, D, D).

    Args:
        tiles: of :func:`tiled`, float32 or float64.
        weights: delta, shape (copies, tiles * rows), any finite number for the points that fill up.
    """
    share_threads_with_numba()
    _, count, dimension, rows = tiles.shape
    found = tiles.new_zeros(len(weights), dimension, dimension)
    _weighted_moments(tiles.numpy(), weights.view(-1, count, rows).numpy(), found.numpy())
    return found


def add_active_moments(active: Tensor, slopes: Tensor, columns: Tensor, moments: Tensor) -> None:
    """Add the sum of slope_i x_i over the points at which a ReLU unit is active, to ``moments``.

    Args:
        active: the units' outputs, shape (S, m, rows).
        slopes: shape (S, 1, rows).
        columns: points, shape (S, D, rows).
        moments: shape (S, m, D).
    """
    share_threads_with_numba()
    _add_active_moments(*(part.numpy() for part in (active, slopes, columns, moments)))


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


@njit(cache=True, nogil=True, parallel=True, fastmath=FAST)
def _quadratic_forms(tiles, matrices, found):
    sets, count, dimension, rows = tiles.shape
    height = TOGETHER * ((dimension + TOGETHER - 1) // TOGETHER)
    for c in prange(len(matrices)):
        triangle = np.zeros((height, dimension), tiles.dtype)  # x^T M x = x^T triangle x
        for i in range(dimension):
            for j in range(i):
                triangle[i, j] = 2 * matrices[c, i, j]
            triangle[i, i] = matrices[c, i, i]
        products = np.empty((TOGETHER, rows), tiles.dtype)
        for tile in range(count):
            columns, total = tiles[c % sets, tile], found[c, tile]
            total[:] = 0
            for i in range(0, dimension, TOGETHER):
                products[:] = 0
                _add_products(products, triangle[i : i + TOGETHER], columns, min(i + TOGETHER, dimension))
                for k in range(i, min(i + TOGETHER, dimension)):
                    product, column = products[k - i], columns[k]
                    for r in range(rows):
                        total[r] += product[r] * column[r]


@njit(cache=True, nogil=True, parallel=True, fastmath=FAST)
def _weighted_moments(tiles, weights, found):
    sets, count, dimension, rows = tiles.shape
    height = TOGETHER * ((dimension + TOGETHER - 1) // TOGETHER)
    for c in prange(len(weights)):
        triangle = np.zeros((height, dimension), tiles.dtype)
        weighted = np.zeros((TOGETHER, rows), tiles.dtype)
        for tile in range(count):
            columns, weight = tiles[c % sets, tile], weights[c, tile]
            for i in range(0, dimension, TOGETHER):
                for k in range(i, min(i + TOGETHER, dimension)):
                    own, column = weighted[k - i], columns[k]
                    for r in range(rows):
                        own[r] = weight[r] * column[r]
                _add_moments(triangle[i : i + TOGETHER], weighted, columns, min(i + TOGETHER, dimension))
        for i in range(dimension):
            for j in range(i + 1):
                found[c, i, j] = triangle[i, j]
                found[c, j, i] = triangle[i, j]


@njit(cache=True, nogil=True, parallel=True, fastmath=FAST)
def _add_active_moments(active, slopes, columns, moments):
    sets, units, rows = active.shape
    dimension = columns.shape[1]
    zero = active.dtype.type(0)
    groups = (units + TOGETHER - 1) // TOGETHER
    for number in prange(sets * groups):
        s, i = number // groups, number % groups * TOGETHER
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
