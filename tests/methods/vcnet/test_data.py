"""Data-generating processes: their true curves and published moments."""

import itertools

import numpy as np
import pytest

from rostra.engine.datasets import load
from rostra.methods.vcnet.data import DATASETS, make_confounded, make_ihdp, make_news, make_simulation

IHDP, NEWS = DATASETS


def test_the_simulation_has_its_analytic_curve():
    """Over many rows the curve is cos(2 pi (t - 1/2)) (t^2 + 0.496849)."""
    data = make_simulation(10, 400_000, seed=0)
    t = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(data.dose_response(t), [-0.4968, 0.0, 0.7468, 0.0, -1.4968], atol=3e-3)


def test_the_simulation_has_its_measured_moments():
    """Quantiles of the dose, spread of the outcome, and variance of the curve at the doses."""
    data = make_simulation(100, 100_000, seed=1)
    quantiles = np.quantile(data.test.treatment, [0.01, 0.1, 0.5, 0.9, 0.99])
    np.testing.assert_allclose(quantiles, [0.04, 0.12, 0.45, 0.92, 0.99], atol=0.012)
    assert data.test.y.std() == pytest.approx(0.86, abs=0.02)
    assert data.dose_response(data.test.treatment).var() == pytest.approx(0.43, abs=0.02)


def test_the_truth_is_that_of_the_test_rows():
    """Against the population curve the difference is the sampling error of 200 covariates, not 0."""
    data = make_simulation(seed=3)
    difference = data.dose_response(np.array([0.5]))[0] - 0.746849
    assert 1e-4 < abs(difference) < 0.1
    assert data.train.X.shape == (500, 6)
    assert data.test.X.shape == (200, 6)


@pytest.mark.parametrize("make", [make_simulation, make_confounded])
def test_a_seed_gives_one_data_set(make):
    """Same seed, same rows; another seed, other rows."""
    np.testing.assert_array_equal(make(50, 20, seed=4).train.y, make(50, 20, seed=4).train.y)
    assert not np.array_equal(make(50, 20, seed=4).train.y, make(50, 20, seed=5).train.y)


def test_the_confounded_benchmark_defeats_a_curve_without_covariates():
    """A spline of y on t alone is far off; one with the covariates is right."""
    data = make_confounded(1000, 300, seed=0)
    grid = np.linspace(0.1, 0.9, 41)
    truth = data.dose_response(grid)

    def spline(t):
        return np.stack([t**k for k in range(6)], axis=1)

    naive = spline(grid) @ np.linalg.lstsq(spline(data.train.treatment), data.train.y, rcond=None)[0]
    design = np.hstack([spline(data.train.treatment), data.train.X])
    fit = np.linalg.lstsq(design, data.train.y, rcond=None)[0]
    adjusted = spline(grid) @ fit[:6] + (data.test.X @ fit[6:]).mean()
    assert np.mean((naive - truth) ** 2) > 0.5
    assert np.mean((adjusted - truth) ** 2) < 0.02


def test_ihdp_has_its_measured_moments(mirror):
    """psi(0.5), the mean noise-free dose and the factors of both variants, on the real covariates."""
    covariates = load(IHDP).value
    assert covariates.shape == (747, 25)
    half = np.array([0.5])
    np.testing.assert_allclose(make_ihdp(covariates).dose_response(half), -2.6433, atol=1e-4)
    np.testing.assert_allclose(make_ihdp(covariates, variant="original").dose_response(half), -5.3043, atol=1e-4)
    data = make_ihdp(covariates)
    assert len(data.train.y) == 471
    assert len(data.test.y) == 276
    scaled = (covariates - covariates.min(axis=0)) / covariates.max(axis=0)
    np.testing.assert_allclose(scaled.max(axis=0)[:6], [0.784, 0.444, 0.867, 0.75, 0.876, 0.674], atol=1e-3)
    np.testing.assert_allclose(scaled[:, [3, *range(6, 15)]].mean(), 0.292336, atol=1e-6)


def test_ihdp_seeds_split_one_draw_unless_redrawn(mirror):
    """Two seeds share doses and outcomes; with ``redraw`` they do not."""
    covariates = load(IHDP).value

    def pairs(**options):
        data = make_ihdp(covariates, **options)
        return np.sort(np.concatenate([data.train.treatment, data.test.treatment]))

    np.testing.assert_array_equal(pairs(seed=1), pairs(seed=2))
    assert not np.array_equal(pairs(seed=1, redraw=True), pairs(seed=2, redraw=True))
    assert not np.array_equal(make_ihdp(covariates, seed=1).test.y, make_ihdp(covariates, seed=2).test.y)


def test_ihdp_refuses_other_tables():
    """One line that says what would be right."""
    with pytest.raises(ValueError, match="25 covariates"):
        make_ihdp(np.zeros((5, 3)))
    with pytest.raises(ValueError, match="variant must be one of code, original"):
        make_ihdp(np.eye(25), variant="paper")


def test_news_has_its_measured_moments(mirror):
    """Quantiles of the dose, share of doses at 1, and variance of the curve, on the real word counts."""
    matrix = load(NEWS).value
    assert matrix.shape == (3000, 498)
    assert matrix.sum(axis=1).min() > 0
    assert np.count_nonzero(matrix) / matrix.size == pytest.approx(0.11, abs=0.005)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        data = make_news(matrix, seed=0)
    t = np.concatenate([data.train.treatment, data.test.treatment])
    np.testing.assert_allclose(np.quantile(t, [0.1, 0.5, 0.9]), [0.08, 0.46, 0.98], atol=0.02)
    assert np.mean(t.astype(np.float32) == 1) == pytest.approx(0.02, abs=0.01)
    assert data.dose_response(t).var() == pytest.approx(0.64, abs=0.08)


def test_data_sets_read_the_same_from_mirror_and_original(tmp_path, mirror):
    """The LDA-C files of the original give the matrix that the mirror gives."""
    with np.load(mirror / "news" / "nyt_bow.npz", allow_pickle=False) as file:
        pointers, indices, counts, words = file["indptr"], file["indices"], file["counts"], file["vocab"]
    lines = []
    for start, stop in itertools.pairwise(pointers):
        pairs = " ".join(f"{w}:{c}" for w, c in zip(indices[start:stop], counts[start:stop], strict=True))
        lines.append(f"{stop - start} {pairs}\n")
    (tmp_path / "nyt.ldac").write_text("".join(lines))
    (tmp_path / "nyt.tokens").write_text("\n".join(words) + "\n", encoding="utf-8")
    np.testing.assert_array_equal(NEWS.read_original(tmp_path), NEWS.read_mirror(mirror / "news"))
