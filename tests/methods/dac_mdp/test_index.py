"""Neighbours against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rostra.engine.errors import InputError
from rostra.methods.dac_mdp.index import INDEXES, RECALL, NeighbourIndex, distinct_rows


def brute_force(points, queries, k):
    distances = np.sqrt(((queries[:, None].astype(float) - points[None].astype(float)) ** 2).sum(-1))
    order = np.lexsort((np.broadcast_to(np.arange(len(points)), distances.shape), distances), axis=1)[:, :k]
    return order, np.take_along_axis(distances, order, 1)


@pytest.mark.parametrize("kind", ["kdtree", "faiss"])
@pytest.mark.parametrize("dimension", [1, 4, 20])
def test_exact_indexes_find_the_neighbours_and_their_distances(kind, dimension):
    """Distances, not their squares."""
    generator = np.random.default_rng(0)
    points = generator.normal(size=(500, dimension)).astype(np.float32) + 30  # far from the origin
    queries = np.concatenate([points[:50], generator.normal(size=(50, dimension)).astype(np.float32) + 30])
    rows, distances = NeighbourIndex(points, kind).search(queries, 7)
    expected, lengths = brute_force(points, queries, 7)
    assert np.allclose(distances, lengths, atol=1e-6)
    assert (rows == expected).mean() > 0.999
    assert (distances[:50, 0] == 0).all()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 40),
    k=st.integers(1, 60),
    kind=st.sampled_from(["kdtree", "faiss"]),
)
def test_equal_points_are_given_by_their_rows(seed, n, k, kind):
    """On a few places with many rows each: of equal distance the lower row, and never more than there are."""
    generator = np.random.default_rng(seed)
    places = generator.normal(size=(5, 3)).astype(np.float32)
    points = places[generator.integers(0, 5, n)]
    queries = np.concatenate([points[:3], generator.normal(size=(4, 3)).astype(np.float32)])
    rows, distances = NeighbourIndex(points, kind).search(queries, k)
    expected, lengths = brute_force(points, queries, min(k, n))
    assert rows.shape == (len(queries), min(k, n))
    assert np.allclose(distances, lengths, atol=1e-6)
    assert np.array_equal(rows, expected)


@pytest.mark.parametrize("kind", ["kdtree", "faiss"])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_equal_distances_on_a_grid_go_to_the_lower_row(kind, k):
    """Where more points are equally near than are asked for."""
    points = np.stack(np.meshgrid(np.arange(5), np.arange(5)), -1).reshape(-1, 2).astype(np.float32)
    points = np.random.default_rng(0).permutation(points)
    rows, distances = NeighbourIndex(points, kind).search(points, k)
    expected, lengths = brute_force(points, points, k)
    assert np.allclose(distances, lengths)
    assert np.array_equal(rows, expected)


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_approximate_indexes_measure_their_recall(kind):
    generator = np.random.default_rng(1)
    points = generator.normal(size=(5000, 12)).astype(np.float32)
    index = NeighbourIndex(points, kind)
    queries = generator.normal(size=(300, 12)).astype(np.float32)
    rows, distances = index.search(queries, 5)
    expected, lengths = brute_force(points, queries, 5)
    found = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(rows, expected, strict=True)])
    assert index.recall >= RECALL
    assert found > RECALL - 0.05
    assert (rows >= 0).all()
    assert (distances >= lengths - 1e-5).all()
    again = NeighbourIndex(points, kind).search(queries, 5)
    assert np.array_equal(rows, again[0])


def test_auto_is_exact_in_few_dimensions_and_on_few_points(monkeypatch):
    points = np.random.default_rng(0).normal(size=(1000, 9)).astype(np.float32)
    assert NeighbourIndex(points[:, :8]).kind == "kdtree"
    assert NeighbourIndex(points).kind == "faiss"
    monkeypatch.setattr("rostra.methods.dac_mdp.index.EXACT_POINTS", 500)
    assert NeighbourIndex(points).kind == "ivf"
    with pytest.raises(InputError, match="index must be one of auto"):
        NeighbourIndex(points, "annoy")
    assert "auto" in INDEXES


def test_distinct_rows_are_told_apart_by_every_bit():
    points = np.array([[0.0, 1], [1, 0], [-0.0, 1], [1, 0], [1, 1e-30]], np.float32)
    first, inverse = distinct_rows(points)
    assert first.tolist() == [0, 1, 4]
    assert inverse.tolist() == [0, 1, 0, 1, 2]


def test_colliding_hashes_change_nothing(monkeypatch):
    points = np.random.default_rng(0).integers(0, 3, (50, 2)).astype(np.float32)
    expected = distinct_rows(points)
    monkeypatch.setattr("pandas.util.hash_array", lambda values, categorize: np.zeros(len(values), np.uint64))
    found = distinct_rows(points)
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
