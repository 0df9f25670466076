"""Training data: balanced, and true to what the search found."""

import numpy as np
import pytest

from rostra.methods.bustle.dsl import OPERATIONS
from rostra.methods.bustle.generation import (
    CHARACTER_SETS,
    UNREACHABLE_OUTPUTS,
    TrainingSet,
    collect,
    generate,
    random_rows,
    random_string,
)
from rostra.methods.bustle.reference import search
from rostra.methods.bustle.result import SeenValues
from rostra.methods.bustle.signatures import ALL_TRUE, TYPE_MISMATCH


@pytest.fixture(scope="module")
def data():
    return generate(search, seed=3, max_expressions=20_000)


def test_classes_are_balanced(data):
    """One positive and one negative a target, side by side."""
    assert len(data) >= 100
    assert data.labels.tolist() == [1, 0] * (len(data) // 2)
    assert data.signatures.shape == (len(data), 206)
    # The two items of a target share the examples' part, whose output is the target.
    np.testing.assert_array_equal(data.signatures[::2, :160], data.signatures[1::2, :160])
    np.testing.assert_array_equal(data.target_operations[::2], data.target_operations[1::2])


def test_a_positive_uses_operations_of_its_target(data):
    """A part's operations are among the target's; the target has one more at least to make it of the part."""
    positive = data.labels == 1
    assert not (data.part_operations[positive] & ~data.target_operations[positive]).any()
    assert data.part_operations.any(axis=1).all()


def test_parts_and_strangers_are_what_they_are_called():
    """Positives are proper parts; negatives are no part of the target, nor the target; no leaves among them."""
    rows = random_rows(np.random.default_rng(1))
    result = search(rows, UNREACHABLE_OUTPUTS[: len(rows)], max_expressions=20_000, heuristics=True)
    asked = []
    values = result.values

    def vector(number):
        asked.append(number)
        return values.vector(number)

    watched = SeenValues(values.leaves, values.operations, values.arguments, vector)
    collect(rows, watched, np.random.default_rng(0))
    triples = np.array(asked).reshape(-1, 3)  # target, positive, negative
    for target, positive, negative in triples:
        inside = parts_of(values, target)
        assert positive in inside
        assert negative not in inside
        assert negative != target
        assert min(positive, negative) >= len(values.leaves)
        assert OPERATIONS[values.operations[target]].result == "str"


def parts_of(values, number):
    found = set()
    for argument in values.arguments[number]:
        if argument >= 0:
            found |= {int(argument)} | parts_of(values, argument)
    return found


def test_a_search_whose_values_are_all_parts_of_one_target_ends():
    """Where nothing can be a negative, there are no items, and no endless loop."""
    rows = [("a",), ("b",)]
    leaves = search(rows, ("~", "&"), max_expressions=1).values.leaves
    upper = next(i for i, o in enumerate(OPERATIONS) if o.name == "UPPER")
    first = len(leaves)
    arguments = np.full((first + 2, 4), -1, dtype=np.int32)
    arguments[first, 0], arguments[first + 1, 0] = 0, first
    operations = np.array([-1] * first + [upper, upper], dtype=np.int8)
    vectors = [("a", "b")] * first + [("A", "B"), ("AA", "BB")]
    values = SeenValues(leaves, operations, arguments, lambda number: vectors[number])
    assert len(collect(rows, values, np.random.default_rng(0))) == 0


def test_random_inputs_are_as_the_paper_draws_them():
    """2 to 4 examples, 1 to 3 inputs, no character of the outputs that must stay out of reach."""
    rng = np.random.default_rng(0)
    drawn = [random_rows(rng) for _ in range(300)]
    assert {len(rows) for rows in drawn} == {2, 3, 4}
    widths = [len(rows[0]) for rows in drawn]
    assert set(widths) == {1, 2, 3}
    assert 0.3 < np.mean([w == 1 for w in widths]) < 0.5
    assert all(len({len(row) for row in rows}) == 1 for rows in drawn)
    text = "".join(cell for rows in drawn for row in rows for cell in row)
    assert not set(text) & set(UNREACHABLE_OUTPUTS)
    lengths = [len(random_string(rng)) for _ in range(500)]
    assert min(lengths) == 1
    assert max(lengths) == 10
    assert set(random_string(rng)) <= set("".join(CHARACTER_SETS))


def test_a_seed_gives_the_same_data(data, tmp_path):
    """Again, and through a file."""
    again = generate(search, seed=3, max_expressions=20_000)
    np.testing.assert_array_equal(again.signatures, data.signatures)
    data.save(tmp_path / "data.npz")
    loaded = TrainingSet.load(tmp_path / "data.npz")
    for name, value in vars(data).items():
        np.testing.assert_array_equal(getattr(loaded, name), value)
    joined = TrainingSet.joined([data, loaded])
    assert len(joined) == 2 * len(data)


def test_absent_inputs_are_a_type_mismatch(data):
    """A slot without a column is code 3 throughout; a present text column is not."""
    rows = random_rows(np.random.default_rng(3))
    slot = data.signatures[0, 46 * len(rows[0]) : 138]
    assert (slot == TYPE_MISMATCH).all()
    assert (data.signatures[0, :14] <= 2).all()
    assert ALL_TRUE in data.signatures[0]
