"""The search in plain Python: bottom-up enumeration as in the paper (section 2), the oracle of the compiled one."""

__all__ = ["heuristic_weight", "levenshtein", "search"]

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .dsl import OPERATIONS, Call, Expression, Operation, Type, result_type
from .result import Reason, Reweight, SearchResult, SeenValues, Task, Vector, make_task
from .semantics import Dialect, EvaluationError, function
from .signatures import VALUE_CODES, value_signature

MAX_LENGTH, MAX_NUMBER = 99, 100
"""From these on, the result of an operation is too large to be kept."""


@dataclass(frozen=True, slots=True)
class _Value:
    number: int
    vector: Vector
    type: Type
    operation: int = -1
    arguments: tuple["_Value", ...] = ()


@dataclass(frozen=True)
class _NewValues:
    values: Sequence[_Value]
    outputs: tuple[str, ...]
    level: int

    def __len__(self) -> int:
        return len(self.values)

    def vector(self, index: int) -> Vector:
        return self.values[index].vector

    def signatures(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        rows = [tuple(value_signature(value.vector, self.outputs)) for value in self.values]
        number = {row: i for i, row in enumerate(dict.fromkeys(rows))}
        codes = np.array(list(number), dtype=np.uint8).reshape(-1, VALUE_CODES)
        return codes, np.array([number[row] for row in rows], dtype=np.int64)


def search(
    rows: Sequence[Sequence[str]],
    outputs: Sequence[str],
    *,
    max_expressions: int = 1_000_000,
    timeout: float | None = None,
    max_weight: int = 100,
    dialect: Dialect = "sheets-bustle",
    heuristics: bool = False,
    reweight: Reweight | None = None,
    reweighting_fraction: float = 1.0,
    operations: Sequence[Operation] = OPERATIONS,
    constants: Sequence[str | int] = (),
    n_solutions: int = 1,
    accept: Callable[[Expression], bool] | None = None,
    official: bool = False,
    stop: Callable[[], bool] | None = None,
) -> SearchResult:
    """Enumerate expressions by weight, keep the first one of each vector of results, until one gives the outputs.

    Args:
        rows: inputs of each example, shape (examples, inputs).
        outputs: wanted result of each example.
        max_expressions: expressions to try at most; failed and known ones count.
        timeout: seconds at most.
        max_weight: largest weight.
        dialect: what the operations mean.
        heuristics: add to the weight of texts by their edit distance to the outputs.
        reweight: gives what to add to the weights of a level's new values.
        reweighting_fraction: fraction of either budget after which ``reweight`` is no longer asked.
        operations: those to use; the order is always that of the language.
        constants: further constants.
        n_solutions: go on until so many expressions give the outputs. A solution is never an argument of
            a later expression: that would only wrap it.
        accept: whether an expression that gives the outputs is a solution; None takes all.
        official: do not look whether an input or constant already is the output, as in the authors' program.
        stop: asked now and then; the search ends as if its time were up when it says yes.
    """
    start = time.perf_counter()
    task = make_task(rows, outputs, constants)
    values = [_Value(i, vector, result_type(task.leaves[i])) for i, vector in enumerate(task.vectors)]
    buckets: list[dict[Type, list[_Value]]] = [{"str": [], "int": [], "bool": []} for _ in range(max_weight + 2)]
    seen: dict[Type, set[Vector]] = {"str": set(), "int": set(), "bool": set()}  # 1 == True in Python: not one set
    for value in values:
        buckets[1][value.type].append(value)
        seen[value.type].add(value.vector)

    solutions: list[tuple[Expression, int, int]] = []
    if not official:
        for leaf, vector in zip(task.leaves, task.vectors, strict=True):
            if vector == task.outputs and len(solutions) < n_solutions and (accept is None or accept(leaf)):
                solutions.append((leaf, 1, 0))
    tried, level = 0, 1

    def result(reason: Reason) -> SearchResult:
        expressions, weights, found_at = zip(*solutions, strict=True) if solutions else ((), (), ())
        unique, seconds = sum(map(len, seen.values())), time.perf_counter() - start
        seen_values = _seen_values(task, values)
        return SearchResult(expressions, weights, found_at, tried, unique, level, seconds, reason, seen_values)

    if len(solutions) >= n_solutions:
        return result("solved")
    if tried >= max_expressions:
        return result("expressions")

    chosen = [(i, operation) for i, operation in enumerate(OPERATIONS) if operation in operations]
    for level in range(2, max_weight + 1):
        first_new = len(values)
        for index, operation in chosen:
            compute, kind = function(operation, dialect), operation.result
            known = seen[kind]
            for weights in compositions(level - 1, len(operation.arguments)):
                if (timeout is not None and time.perf_counter() - start > timeout) or (stop is not None and stop()):
                    return result("timeout")
                pools = [buckets[w][t] for w, t in zip(weights, operation.arguments, strict=True)]
                for arguments in product(*pools):
                    tried += 1
                    try:
                        vector = tuple(map(compute, *[argument.vector for argument in arguments]))
                    except EvaluationError:
                        vector = ()
                    if vector and not _too_large(vector, kind):
                        if kind == "str" and vector == task.outputs:
                            known.add(vector)
                            call = Call(operation, tuple(_expression(task, argument) for argument in arguments))
                            if accept is None or accept(call):
                                solutions.append((call, level, tried))
                            if len(solutions) == n_solutions:
                                return result("solved")
                        elif vector not in known:
                            known.add(vector)
                            values.append(_Value(len(values), vector, kind, index, arguments))
                    if tried == max_expressions:
                        return result("expressions")
                    if timeout is not None and not tried % 16384 and time.perf_counter() - start > timeout:
                        return result("timeout")

        new = values[first_new:]
        deltas = np.zeros(len(new), dtype=np.int64)
        spent = tried / max_expressions
        if timeout is not None:
            spent = max(spent, (time.perf_counter() - start) / timeout)
        if reweight is not None and new and spent <= reweighting_fraction:
            deltas += np.asarray(reweight(_NewValues(new, task.outputs, level)), dtype=np.int64)
        for value, delta in zip(new, deltas.tolist(), strict=True):
            weight = level + delta
            if heuristics and value.type == "str":
                weight += heuristic_weight(list(map(str, value.vector)), task.outputs, level) - level
            if weight <= max_weight:
                buckets[weight][value.type].append(value)
    return result("weight")


def compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to write a number as an ordered sum of positive parts, in ascending lexicographic order."""
    if parts == 1:
        if total > 0:
            yield (total,)
        return
    for first in range(1, total - parts + 2):
        for rest in compositions(total - first, parts - 1):
            yield (first, *rest)


def heuristic_weight(results: Sequence[str], outputs: Sequence[str], weight: int) -> int:
    """Weight of a text by its likeness to the outputs: the paper's comparator without learning."""
    distance = 0.0
    for text, output in zip(results, outputs, strict=True):
        edits = levenshtein(text, output)
        if edits:  # two empty texts have no ratio; they are equal
            distance = max(distance, 2 * edits / (len(output) + len(text) + edits))
    part = all(text in output for text, output in zip(results, outputs, strict=True))
    return max(weight, weight + 1 + math.floor(3 * distance) - (2 if part else 0))


def levenshtein(a: str, b: str) -> int:
    """Least number of insertions, deletions and replacements of one character that turn one text into the other."""
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        current = [i]
        for j, y in enumerate(b, start=1):
            current.append(min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (x != y)))
        previous = current
    return previous[-1]


def _too_large(vector: Vector, kind: Type) -> bool:
    if kind == "str":
        return max(map(len, vector)) >= MAX_LENGTH  # type: ignore[arg-type]
    return kind == "int" and (max(vector) >= MAX_NUMBER or min(vector) <= -MAX_NUMBER)  # type: ignore[operator]


def _expression(task: Task, value: _Value) -> Expression:
    if value.operation < 0:
        return task.leaves[value.number]
    return Call(OPERATIONS[value.operation], tuple(_expression(task, argument) for argument in value.arguments))


def _seen_values(task: Task, values: Sequence[_Value]) -> SeenValues:
    operations = np.array([value.operation for value in values], dtype=np.int8)
    numbers = [[argument.number for argument in value.arguments] for value in values]
    arguments = np.array([[*row, *[-1] * (4 - len(row))] for row in numbers], dtype=np.int32)
    return SeenValues(task.leaves, operations, arguments, lambda number: values[number].vector)
