import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.engine.errors import InputError
from rostra.methods.curricula.pacing import FAMILIES, PacingFunction, prefix_sizes

STEPS = [0, 1, 100, 3520, 17600, 28160, 35200]
OFFICIAL = {  # values of the authors' function at N = 45000, T = 35200, cut at N
    ("linear", 0.8, 0.2): [9000, 9001, 9127, 13500, 31500, 45000, 45000],
    ("linear", 1.6, 0.4): [18000, 18000, 18047, 19687, 26437, 31500, 34875],
    ("quadratic", 0.8, 0.2): [9000, 9000, 9000, 9562, 23062, 45000, 45000],
    ("quadratic", 1.6, 0.4): [18000, 18000, 18000, 18105, 20636, 24750, 28546],
    ("root", 0.8, 0.2): [9000, 9214, 11145, 21727, 37460, 45000, 45000],
    ("root", 0.1, 0.0025): [112, 869, 7678, 45000, 45000, 45000, 45000],
    ("step", 0.8, 0.2): [9000, 9000, 9000, 9000, 9000, 45000, 45000],
    ("step", 1.6, 0.4): [18000] * 7,
    ("exp", 0.8, 0.2): [9000, 9000, 9000, 9004, 9845, 45000, 45000],
    ("exp", 1.6, 0.4): [18000, 18000, 18000, 18001, 18026, 18180, 18633],
    ("log", 0.8, 0.2): [9000, 11080, 24739, 37515, 43308, 45000, 45000],
    ("log", 1.6, 0.4): [18000, 18891, 27967, 37515, 41859, 43128, 43731],
}


@pytest.mark.parametrize(("values", "expected"), OFFICIAL.items(), ids=lambda value: str(value))
def test_sizes_are_those_of_the_authors_code(values, expected):
    assert PacingFunction(*values)(STEPS, 35200, 45000).tolist() == expected


@given(
    family=st.sampled_from(FAMILIES),
    a=st.one_of(st.just(0.0), st.floats(1e-6, 3)),
    b=st.floats(1e-3, 1),
    total_steps=st.integers(1, 400),
    n=st.integers(1, 5000),
)
def test_sizes_grow_from_the_start_share_to_everything(family, a, b, total_steps, n):
    pacing = PacingFunction(family, a, b)
    sizes = pacing.sizes(total_steps, n)
    assert (np.diff(sizes) >= 0).all()
    assert sizes.min() >= 1
    assert sizes.max() <= n
    if a > 0 and b < 1:
        assert sizes[0] == max(1, int(np.floor(b * n)))
    assert (sizes[np.arange(total_steps + 1) >= a * total_steps] == n).all()
    assert [int(pacing(t, total_steps, n)) for t in range(total_steps + 1)] == sizes.tolist()


def test_one_size_is_that_of_all_sizes():
    pacing = PacingFunction("exp", 0.8, 0.2)
    assert [pacing.size(t, 50, 1000) for t in range(51)] == pacing.sizes(50, 1000).tolist()


def test_everything_at_once_where_the_data_need_not_grow():
    for pacing in (PacingFunction("exp", 0, 0.1), PacingFunction("log", 0.5, 1)):
        assert (pacing.sizes(10, 7) == 7).all()


def test_a_shrinking_prefix_is_the_growing_one_backwards():
    pacing = PacingFunction("linear", 0.8, 0.2)
    grown = pacing.sizes(100, 50)
    assert prefix_sizes(pacing, 100, 50, 1, "shrink").tolist() == grown[:0:-1].tolist()


def test_a_function_of_ones_own_and_the_floor():
    sizes = prefix_sizes(lambda t, total, n: 1 + t, 10, 100, 4)
    assert sizes.tolist() == [4, 4, 4, 4, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PacingFunction("cubic", 1, 1), "no pacing family 'cubic'; there are: linear, quadratic"),
        (lambda: PacingFunction("step", -0.1, 0.5), "a, the share .* must be 0 or more, got -0.1"),
        (lambda: PacingFunction("step", float("nan"), 0.5), "got nan"),
        (lambda: PacingFunction("step", 1, 0), r"b, .* must lie in \(0, 1\], got 0"),
        (lambda: prefix_sizes(None, 3, 3, 1, "down"), "direction must be one of grow, shrink; got"),
        (lambda: prefix_sizes(lambda t, total, n: t, 3, 3, 1), "gave 0 at step 0; it must give a size from 1 to 3"),
    ],
)
def test_wrong_pacing_is_told(make, message):
    with pytest.raises(InputError, match=message):
        make()
