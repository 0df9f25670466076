import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.engine.errors import InputError
from rostra.methods.curricula.noise import inject_label_noise
from rostra.methods.curricula.ordering import balance_order, make_order, validation_split


def balanced_by_lists(ranking, labels):
    """Layer by layer, as one would write it down."""
    queues = {}
    for example in ranking:
        queues.setdefault(labels[example], []).append(example)
    place = {example: rank for rank, example in enumerate(ranking)}
    found = []
    while any(queues.values()):
        found += sorted((queue.pop(0) for queue in queues.values() if queue), key=place.__getitem__)
    return found


def test_the_worked_example():
    """What the authors' function gives."""
    ranking, labels = [3, 1, 0, 2, 7, 5, 6, 4, 9, 8], [0, 0, 1, 2, 1, 0, 2, 1, 2, 0]
    assert balance_order(ranking, labels).tolist() == [3, 1, 2, 0, 7, 6, 5, 4, 8, 9]


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=60), seed=st.integers(0, 99))
def test_balance_equals_the_plain_algorithm_and_every_prefix_is_balanced(labels, seed):
    ranking = np.random.default_rng(seed).permutation(len(labels))
    order = balance_order(ranking, labels)
    assert order.tolist() == balanced_by_lists(ranking.tolist(), labels)
    counts = np.bincount(labels)
    for size in range(1, len(labels) + 1):
        of_prefix = np.bincount(np.array(labels)[order[:size]], minlength=len(counts))
        growing = of_prefix[(counts > 0) & (of_prefix < counts)]
        assert not growing.size or of_prefix.max() - growing.min() <= 1


def test_easy_examples_come_first_and_anti_is_the_reverse():
    scores = np.r_[np.full(5, 9.0), np.arange(5)]
    order = make_order(scores, "curriculum")
    assert set(order[:5].tolist()) == {5, 6, 7, 8, 9}
    assert make_order(scores, "anti-curriculum").tolist() == order[::-1].tolist()


def test_ties_are_broken_by_the_seed_not_by_position():
    with pytest.warns(UserWarning, match="all scores are equal"):
        first, second = (make_order(np.zeros(50), seed=seed) for seed in (0, 1))
    assert first.tolist() != list(range(50))
    assert first.tolist() != second.tolist()


def test_random_orders_differ_by_seed_and_leave_the_global_generator_alone():
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    first, again, other = (make_order(np.arange(30), "random", seed=seed) for seed in (1, 1, 2))
    np.random.seed(4)
    assert make_order(np.arange(30), "random", seed=1).tolist() == first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
    np.random.seed(3)
    assert (np.random.get_state()[1] == before).all()


def test_validation_takes_its_share_of_each_class():
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    train, val = validation_split(labels)
    assert np.bincount(labels[val]).tolist() == [10, 5, 1]
    assert sorted([*train, *val]) == list(range(160))
    with pytest.raises(InputError, match="class '2' has 10 examples, too few"):
        validation_split(labels, 0.05)


def test_permuted_labels_keep_their_counts_and_about_the_stated_share_is_wrong():
    y = np.random.default_rng(0).integers(0, 10, 20_000)
    found = inject_label_noise(y, 0.4, seed=3)
    assert (np.bincount(found.labels) == np.bincount(y)).all()
    assert found.wrong.mean() == pytest.approx(0.36, abs=3 * (0.36 * 0.64 / 20_000) ** 0.5)
    assert (found.clean == y).all()
    blocks = inject_label_noise(y, 0.4, official_blocks=True)
    assert all(blocks.wrong[start : start + 5000][2000:].sum() == 0 for start in range(0, 20_000, 5000))


def test_other_noises():
    y = np.arange(1000) % 4
    uniform, pair = inject_label_noise(y, 0.3, "uniform"), inject_label_noise(y, 0.3, "pair")
    assert uniform.wrong.sum() == pair.wrong.sum() == 300
    assert (pair.labels[pair.wrong] == (y[pair.wrong] + 1) % 4).all()
    assert not inject_label_noise(y, 0).wrong.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_order([1, 2], "anti_curr"), "no order 'anti_curr'; there are: curriculum, anti-curriculum"),
        (lambda: make_order([1.0, float("nan"), float("inf")]), r"2 scores are not finite \(first: example 1\)"),
        (lambda: make_order([[1, 2]]), r"one number an example, got an array of shape \(1, 2\)"),
        (lambda: make_order([1, 2], groups=[0]), "1 group labels for 2 examples"),
        (lambda: inject_label_noise([0, 1], 1.2), r"must lie in \[0, 1\], got 1.2"),
        (lambda: inject_label_noise(["a", "b"], 0.2), "labels must be whole numbers from 0"),
        (lambda: inject_label_noise([0, -1], 0.2), "labels must be whole numbers from 0"),
        (lambda: inject_label_noise([0, 0], 0.2, "uniform"), "noise 'uniform' needs two classes or more"),
        (lambda: inject_label_noise([0, 1], 0.2, "swap"), "noise must be one of permute, uniform, pair"),
    ],
)
def test_wrong_input_is_told(make, message):
    with pytest.raises(InputError, match=message):
        make()
