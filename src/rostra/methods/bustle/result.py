"""What a search gives back, whichever program ran it, and what it shows of each level on its way."""

__all__ = ["NewValues", "Reason", "Reweight", "SearchResult", "SeenValues", "Task", "make_task"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .constants import extract_constants
from .dsl import CONSTANTS, OPERATIONS, Call, Constant, Expression, Input, Type, Value, result_type

Vector = tuple[Value, ...]
"""Results of an expression on the examples."""

Reason = Literal["solved", "expressions", "timeout", "weight"]
"""Why a search ended: enough solutions, or a budget was used up, or nothing is left up to the largest weight."""


@dataclass(frozen=True)
class Task:
    """Examples, and the values of weight 1 that a search starts from.

    Attributes:
        rows: inputs of each example.
        outputs: wanted results.
        leaves: inputs and constants, in the order of the search.
        vectors: their results on the examples.
    """

    rows: tuple[tuple[str, ...], ...]
    outputs: tuple[str, ...]
    leaves: tuple[Input | Constant, ...]
    vectors: tuple[Vector, ...]


def make_task(rows: Sequence[Sequence[str]], outputs: Sequence[str], constants: Sequence[str | int] = ()) -> Task:
    """The values of weight 1: inputs, constants of every search, extracted ones, the user's own.

    Args:
        rows: inputs of each example, shape (examples, inputs).
        outputs: wanted result of each example, at least one.
        constants: further constants.
    """
    if not outputs or len(rows) != len(outputs):
        raise ValueError(f"{len(rows)} rows of inputs and {len(outputs)} outputs; give at least one of each, as many")
    leaves: list[Input | Constant] = [Input(i) for i in range(len(rows[0]))]
    fixed = [*CONSTANTS, *extract_constants(rows, outputs)]
    leaves += map(Constant, fixed + [c for c in dict.fromkeys(constants) if c not in fixed])
    vectors = tuple(
        tuple(row[leaf.index] for row in rows) if isinstance(leaf, Input) else (leaf.value,) * len(rows)
        for leaf in leaves
    )
    return Task(tuple(map(tuple, rows)), tuple(outputs), tuple(leaves), vectors)


class NewValues(Protocol):
    """Values that a level found first, in the order found: all of them, or one batch after another."""

    def __len__(self) -> int: ...

    @property
    def level(self) -> int:
        """Weight of the level."""

    def signatures(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Property signatures of the values against the outputs (paper, section 3.2).

        Returns:
            The different signatures, shape (signatures, 46), codes; and which of them each value has,
            shape (values,). There are far fewer signatures than values.
        """

    def vector(self, index: int) -> Vector:
        """Results of a value on the examples."""


Reweight = Callable[[NewValues], NDArray[Any]]
"""Gives what to add to the weight of each new value, at least 0: shape (values,), whole numbers."""


@dataclass(frozen=True)
class SeenValues:
    """All values of a search by number: the leaves, then what operations made, in the order found.

    Attributes:
        leaves: inputs and constants; their numbers come first.
        operations: index into ``OPERATIONS`` of the operation that made a value, -1 for leaves; shape (values,).
        arguments: numbers of its arguments, -1 where there is none; shape (values, 4).
        vector: results of a value on the examples, by its number.
    """

    leaves: tuple[Input | Constant, ...]
    operations: NDArray[np.int8]
    arguments: NDArray[np.int32]
    vector: Callable[[int], Vector]

    def __len__(self) -> int:
        return len(self.operations)

    def expression(self, number: int) -> Expression:
        """The expression that gave the value first."""
        if number < len(self.leaves):
            return self.leaves[number]
        operation = OPERATIONS[self.operations[number]]
        arguments = self.arguments[number, : len(operation.arguments)]
        return Call(operation, tuple(self.expression(int(argument)) for argument in arguments))

    def type(self, number: int) -> Type:
        """Type of the value."""
        if number < len(self.leaves):
            return result_type(self.leaves[number])
        return OPERATIONS[self.operations[number]].result


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        solutions: expressions that give the outputs, in the order found.
        weights: weight of the level at which each was found.
        found_at: number of expressions tried up to each of them.
        tried: expressions tried in all, with those that failed or were known.
        unique: different vectors of results seen, those of weight 1 included.
        weight: weight of the last level that was begun.
        seconds: wall time.
        reason: why the search ended.
        values: all values seen.
    """

    solutions: tuple[Expression, ...]
    weights: tuple[int, ...]
    found_at: tuple[int, ...]
    tried: int
    unique: int
    weight: int
    seconds: float
    reason: Reason
    values: SeenValues

    @property
    def expression(self) -> Expression | None:
        """The first solution."""
        return self.solutions[0] if self.solutions else None
