"""Statistics: intervals against values known by hand or from SciPy, and what each comparison decides."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from rostra.engine.stats import (
    BOOTSTRAP_FROM,
    ENOUGH,
    Equivalence,
    Law,
    NonInferiority,
    Superiority,
    Threshold,
    estimate,
    judge,
)

AROUND_ZERO = [-0.2, -0.1, 0.0, 0.1, 0.2]
SPREAD = [-9.0, 8.0, -7.0, 6.0, 2.5]


def by_seed(values):
    return dict(enumerate(values))


def around(centre, noise=AROUND_ZERO):
    return by_seed(centre + v for v in noise)


def same_interval(found, expected):
    """Equal up to rounding, or neither is there."""
    return found == (None if expected is None else pytest.approx(expected, abs=1e-9))


def difference(kind, first, second, **options):
    """Judge a comparison of the arms "a" and "b"."""
    other = {"over": "b"} if kind is Superiority else {"to": "b"}
    return judge(kind("a", metric="m", **other, **options), {"a": by_seed(first), "b": by_seed(second)})


# Tenths: exact enough that rounding decides nothing.
tenths = st.integers(-1000, 1000).map(lambda n: n / 10)
pairs = st.lists(st.tuples(tenths, tenths), min_size=2, max_size=BOOTSTRAP_FROM - 1)


def test_interval_of_five_values_is_the_textbook_one():
    """1 to 5: mean 3, standard error sqrt(2.5 / 5), t(4, 97.5 %) = 2.776445."""
    found = estimate(np.arange(1.0, 6.0))
    half = 2.776445 * np.sqrt(0.5)
    assert found.mean == 3.0
    assert found.interval == pytest.approx((3 - half, 3 + half), rel=1e-6)
    assert (found.method, found.count) == ("Student's t", 5)


def test_bootstrap_begins_at_twenty_values():
    values = np.random.default_rng(1).normal(size=BOOTSTRAP_FROM)
    assert BOOTSTRAP_FROM == 20
    assert estimate(values[:-1]).method == "Student's t"
    assert estimate(values).method == "BCa bootstrap"


def test_bootstrap_interval_is_close_to_students_for_normal_values():
    values = np.random.default_rng(2).normal(10.0, 2.0, size=200)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert estimate(values).interval == pytest.approx((low, high), abs=0.05)


def test_an_estimate_is_the_same_every_time():
    values = np.random.default_rng(3).normal(size=40)
    assert estimate(values) == estimate(values.copy())


def test_one_value_has_no_interval():
    found = estimate(np.array([2.0]))
    assert (found.mean, found.interval, found.count) == (2.0, None, 1)


@pytest.mark.parametrize("count", [2, 10, 30])
@pytest.mark.parametrize("values", [[0.3], [0.1 + 0.2, 0.3]], ids=["equal", "equal up to rounding"])
def test_equal_values_have_no_interval(count, values):
    """That they agree does not tell how far the next one may lie."""
    found = estimate(np.resize(values, count))
    assert found.mean == pytest.approx(0.3)
    assert (found.interval, found.method) == (None, "none: all values are equal")


@pytest.mark.parametrize("ones", [0, 1, 12, 29, 30])
def test_a_share_of_successes_has_the_exact_binomial_interval(ones):
    """Clopper and Pearson: quantiles of beta distributions; all or none still leave room."""
    found = estimate(np.array([1.0] * ones + [0.0] * (30 - ones)))
    low = stats.beta.ppf(0.025, ones, 31 - ones) if ones else 0.0
    high = stats.beta.ppf(0.975, ones + 1, 30 - ones) if ones < 30 else 1.0
    assert found.interval == pytest.approx((low, high))
    assert (found.mean, found.method) == (ones / 30, "exact binomial")


def test_a_threshold_of_a_share_shifts_the_exact_interval():
    """Five successes of five: from 0.025 ** (1 / 5) = 0.478 to 1."""
    found = judge(Threshold("a", metric="m", bound=0.4), {"a": by_seed([1.0] * 5)})
    assert found.interval == pytest.approx((0.025**0.2 - 0.4, 0.6))
    assert (found.effect, found.verdict, found.method) == (0.6, "holds", "exact binomial")
    lower = judge(Threshold("a", metric="m", bound=0.5, lower_is_better=True), {"a": by_seed([0.0] * 5)})
    assert lower.interval == pytest.approx((0.025**0.2 - 0.5, 0.5))
    assert lower.verdict == "inconclusive"


def test_a_difference_of_shares_is_no_share():
    """Pairs that differ by 0 or 1 could differ by -1 too, so the binomial interval is none of theirs."""
    assert difference(Superiority, [1.0] * 6, [0.0, 0.0, 1.0] * 2).method == "Student's t"


def test_resamples_too_degenerate_for_the_bootstrap_fall_back_to_t():
    """The cubes of such small values underflow, and SciPy's interval is nan."""
    rng = np.random.default_rng(6)
    first, second = 1e-120 * rng.normal(size=(2, 30))
    found = estimate(first)
    assert found.method == "Student's t"
    assert found.interval == tuple(stats.ttest_1samp(first, 0.0).confidence_interval(0.95))
    found = difference(Superiority, first, second, paired=False)
    assert found.method == "Welch's t"
    assert found.interval == tuple(stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95))


def test_an_arm_of_equal_values_can_be_compared_unpaired_without_a_warning():
    """An exact arm (every seed scores 1) against a noisy one is an ordinary comparison."""
    found = difference(Superiority, [1.0] * 5, AROUND_ZERO, paired=False)
    half = stats.t.ppf(0.975, 4) * np.sqrt(0.025 / 5)
    assert found.interval == pytest.approx((1 - half, 1 + half))


def test_an_unpaired_difference_is_welchs():
    """Variances 2.5 and 10 over 5 values: standard error sqrt(2.5), 5.882 degrees of freedom."""
    found = difference(Superiority, [1, 2, 3, 4, 5], [2, 4, 6, 8, 10], paired=False)
    half = stats.t.ppf(0.975, 6.25 / 1.0625) * np.sqrt(2.5)
    assert found.effect == -3.0
    assert found.interval == pytest.approx((-3 - half, -3 + half))
    assert found.method == "Welch's t"


def test_unpaired_arms_of_twenty_values_are_bootstrapped():
    rng = np.random.default_rng(4)
    first, second = rng.normal(1.0, 1.0, 60), rng.normal(0.0, 1.0, 40)
    found = difference(Superiority, first, second, paired=False)
    welch = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert found.method == "BCa bootstrap"
    assert found.interval == pytest.approx((welch.low, welch.high), abs=0.05)
    assert found.count == 40


def test_pairing_removes_what_seeds_have_in_common():
    """Seeds differ by 100 and the arms by about 1: only the paired comparison can see it."""
    base = np.arange(5) * 100.0
    first = base + 1 + np.array(AROUND_ZERO)
    assert difference(Superiority, first, base).verdict == "holds"
    assert difference(Superiority, first, base, paired=False).verdict == "inconclusive"


def test_pairs_are_the_seeds_that_both_arms_have():
    first = {0: 1.0, 1: 2.0, 2: 3.0, 9: 1e9}
    second = {2: 0.0, 1: 0.0, 0: 0.0, 7: -1e9}
    found = judge(Superiority("a", over="b", metric="m"), {"a": first, "b": second})
    assert (found.effect, found.count) == (2.0, 3)


@pytest.mark.parametrize(
    ("comparison", "holds", "fails"),
    [
        (Superiority("a", over="b", metric="m"), 1.0, -1.0),
        (Superiority("a", over="b", metric="m", paired=False), 1.0, -1.0),
        (Superiority("a", over="b", metric="m", lower_is_better=True), -1.0, 1.0),
        (NonInferiority("a", to="b", metric="m", margin=0.5), -0.1, -1.0),
        (NonInferiority("a", to="b", metric="m", margin=0.5, lower_is_better=True), 0.1, 1.0),
        (Equivalence("a", to="b", metric="m", margin=0.5), 0.1, 1.0),
        (Equivalence("a", to="b", metric="m", margin=0.5), -0.1, -1.0),
        (Threshold("a", metric="m", bound=-0.5), 0.0, -1.0),
        (Threshold("a", metric="m", bound=0.5, lower_is_better=True), 0.0, 1.0),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, float) else f"{value:g}",
)
class TestIntervalComparisons:
    """Arm "b" is 0; arm "a" lies around a centre."""

    def test_holds_where_the_interval_is_on_the_claimed_side(self, comparison, holds, fails):
        assert judge(comparison, {"a": around(holds), "b": around(0.0, [0.0] * 5)}).verdict == "holds"

    def test_fails_where_the_interval_is_on_the_other_side(self, comparison, holds, fails):
        assert judge(comparison, {"a": around(fails), "b": around(0.0, [0.0] * 5)}).verdict == "fails"

    def test_is_inconclusive_where_the_interval_is_on_both(self, comparison, holds, fails):
        assert judge(comparison, {"a": around(holds, SPREAD), "b": around(0.0, [0.0] * 5)}).verdict == "inconclusive"

    @pytest.mark.parametrize("count", range(1, ENOUGH))
    def test_is_never_decided_by_fewer_than_five_seeds(self, comparison, holds, fails, count):
        """Not even where all seeds agree."""
        for centre in (holds, fails):
            metrics = {"a": by_seed([centre] * count), "b": by_seed([0.0] * count)}
            assert judge(comparison, metrics).verdict == "inconclusive"

    def test_a_value_that_is_not_finite_raises(self, comparison, holds, fails):
        for bad in (float("nan"), float("inf"), float("-inf")):
            values = {**around(holds), 3: bad}
            with pytest.raises(ValueError, match="1 of 5 values are not finite"):
                judge(comparison, {"a": values, "b": around(0.0)})


def test_the_bound_itself_is_not_beyond_the_bound():
    """A share of 1, whose interval ends at 1, does not lie above 1."""
    assert judge(Threshold("a", metric="m", bound=1.0), {"a": by_seed([1.0] * 5)}).verdict == "fails"
    below_zero = Threshold("a", metric="m", bound=0.0, lower_is_better=True)
    assert judge(below_zero, {"a": by_seed([0.0] * 5)}).verdict == "fails"


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("value", [1.0, 0.1])
def test_arms_whose_seeds_all_agree_are_not_compared(paired, value):
    """Better, equal or within the margin in each of five seeds: no interval says how surely."""
    for kind, margin in ((Superiority, {}), (NonInferiority, {"margin": 0.5}), (Equivalence, {"margin": 0.5})):
        for other in (0.0, value):
            found = difference(kind, [value] * 5, [other] * 5, paired=paired, **margin)
            assert (found.verdict, found.interval) == ("inconclusive", None)
            assert found.method == "none: all values are equal"


def test_a_threshold_of_equal_values_is_inconclusive():
    found = judge(Threshold("a", metric="m", bound=0.1), {"a": by_seed([0.3] * 5)})
    assert (found.verdict, found.interval) == ("inconclusive", None)
    assert found.effect == pytest.approx(0.2)


def test_a_law_holds_only_if_every_value_obeys_it():
    law = Law("a", metric="m", value=2.0, tolerance=0.5)
    assert judge(law, {"a": by_seed([1.5, 2.0, 2.5])}).verdict == "holds"
    assert judge(law, {"a": by_seed([2.0] * 99 + [2.75])}).verdict == "fails"


def test_the_effect_of_a_law_is_the_room_left_at_the_worst_value():
    found = judge(Law("a", metric="m", value=2.0, tolerance=0.5), {"a": by_seed([2.0, 2.25, 1.875])})
    assert found.effect == 0.25
    assert found.interval == (0.25, 0.5)


def test_a_law_is_decided_by_one_seed():
    """No interval decides it: one exception breaks it, and one value is all that an exact algorithm gives."""
    law = Law("a", metric="m", value=0.0, tolerance=0.0)
    assert judge(law, {"a": {0: 0.0}}).verdict == "holds"
    assert judge(law, {"a": {0: 1e-300}}).verdict == "fails"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_law_raises_for_a_value_that_is_not_finite(bad):
    with pytest.raises(ValueError, match="not finite"):
        judge(Law("a", metric="m", value=0.0, tolerance=1.0), {"a": {0: 0.0, 1: bad}})


@pytest.mark.parametrize("values", [[], [float("nan")], [1.0, float("nan"), 3.0], [float("inf")] * 30])
def test_an_estimate_of_nothing_or_of_nan_raises(values):
    with pytest.raises(ValueError, match=r"no values|not finite"):
        estimate(np.array(values, dtype=float))


def test_paired_arms_without_a_common_seed_raise():
    with pytest.raises(ValueError, match="no values"):
        judge(Superiority("a", over="b", metric="m"), {"a": {0: 1.0}, "b": {1: 1.0}})


@given(pairs, st.booleans())
def test_swapping_the_arms_of_a_superiority_turns_it_round(pairs, paired):
    first, second = zip(*pairs, strict=True)
    there = difference(Superiority, first, second, paired=paired)
    back = difference(Superiority, second, first, paired=paired)
    assert back.effect == pytest.approx(-there.effect, abs=1e-9)
    assert same_interval(back.interval, there.interval and (-there.interval[1], -there.interval[0]))
    if there.interval and not there.interval[0] <= 0 <= there.interval[1]:
        assert back.verdict == {"holds": "fails", "fails": "holds", "inconclusive": "inconclusive"}[there.verdict]


@given(pairs)
def test_lower_is_better_is_the_claim_about_the_negated_metric(pairs):
    first, second = zip(*pairs, strict=True)
    lower = difference(Superiority, first, second, lower_is_better=True)
    negated = difference(Superiority, [-v for v in first], [-v for v in second])
    assert lower == negated


@given(pairs, st.booleans(), st.integers(-100, 100))
def test_shifting_both_arms_changes_nothing(pairs, paired, shift):
    first, second = zip(*pairs, strict=True)
    for kind, margin in ((Superiority, {}), (NonInferiority, {"margin": 0.25}), (Equivalence, {"margin": 0.25})):
        here = difference(kind, first, second, paired=paired, **margin)
        there = difference(kind, [v + shift for v in first], [v + shift for v in second], paired=paired, **margin)
        assert there.effect == pytest.approx(here.effect, abs=1e-9)
        assert same_interval(there.interval, here.interval)


@given(st.lists(tenths, min_size=2, max_size=BOOTSTRAP_FROM - 1), st.integers(-100, 100))
def test_shifting_the_values_and_the_bound_changes_nothing(values, shift):
    assume(not {0.0, 1.0}.issuperset(values) and not {0.0, 1.0}.issuperset(v + shift for v in values))
    here = judge(Threshold("a", metric="m", bound=0.5), {"a": by_seed(values)})
    there = judge(Threshold("a", metric="m", bound=0.5 + shift), {"a": by_seed(v + shift for v in values)})
    assert there.effect == pytest.approx(here.effect, abs=1e-9)
    assert same_interval(there.interval, here.interval)


@given(pairs, st.booleans())
def test_the_sign_of_the_effect_says_whom_it_favours(pairs, lower):
    first, second = zip(*pairs, strict=True)
    gain = (np.mean(second) - np.mean(first)) if lower else (np.mean(first) - np.mean(second))
    assert difference(Superiority, first, second, lower_is_better=lower).effect == pytest.approx(gain, abs=1e-9)
    threshold = judge(Threshold("a", metric="m", bound=0.0, lower_is_better=lower), {"a": by_seed(first)})
    assert threshold.effect == pytest.approx(-np.mean(first) if lower else np.mean(first), abs=1e-9)


@given(pairs, st.booleans())
def test_a_decided_verdict_is_never_the_one_that_the_effect_contradicts(pairs, paired):
    first, second = zip(*pairs, strict=True)
    found = difference(Superiority, first, second, paired=paired)
    if found.interval is None:
        assert found.verdict == "inconclusive"
        return
    assert found.interval[0] - 1e-9 <= found.effect <= found.interval[1] + 1e-9
    if found.verdict == "holds":
        assert found.effect > 0
    if found.verdict == "fails":
        assert found.effect <= 0


@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_the_seeds_does_not_matter(pairs, random):
    first, second = zip(*pairs, strict=True)
    order = random.sample(range(len(pairs)), len(pairs))
    shuffled = {"a": {i: first[i] for i in order}, "b": {i: second[i] for i in reversed(order)}}
    assert judge(Superiority("a", over="b", metric="m"), shuffled) == difference(Superiority, first, second)


@pytest.mark.parametrize(("count", "runs"), [(5, 2000), (19, 1000), (30, 250)])
def test_the_interval_covers_the_mean_at_about_its_level(count, runs):
    """Within four standard errors of 95 % (and one point, for the bootstrap's own error)."""
    rng = np.random.default_rng(count)
    covered = 0
    for _ in range(runs):
        low, high = estimate(rng.normal(3.0, 2.0, size=count)).interval
        covered += low <= 3.0 <= high
    error = np.sqrt(0.95 * 0.05 / runs)
    assert abs(covered / runs - 0.95) < 4 * error + (0.01 if count >= BOOTSTRAP_FROM else 0.0)


def test_no_difference_is_called_superior_at_most_as_often_as_the_level_says():
    """Two equal arms: one in forty runs is called superior by chance, whether paired or not."""
    rng = np.random.default_rng(5)
    runs, wrong = 1000, {True: 0, False: 0}
    for _ in range(runs):
        first, second = rng.normal(size=(2, 8))
        for paired in wrong:
            wrong[paired] += difference(Superiority, first, second, paired=paired).verdict == "holds"
    limit = 0.025 + 4 * np.sqrt(0.025 * 0.975 / runs)
    assert max(wrong.values()) / runs < limit
