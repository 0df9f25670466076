"""Training data by search: random inputs, every value that a search reaches, and what it is made of."""

__all__ = ["TrainingSet", "collect", "generate", "random_rows"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rostra.engine.files import write_atomically

from .dsl import OPERATIONS
from .result import SearchResult, SeenValues
from .signatures import EXAMPLE_CODES, VALUE_CODES, property_signature

CHARACTER_SETS = (
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "abcdefghijklmnopqrstuvwxyz",
    "0123456789",
    " ",
    ".,-+_@$/",
)
UNREACHABLE_OUTPUTS = ("~", "&", "=", "^")
"""Characters that no random input holds: a search for them runs until its budget is used up."""
TARGETS_PER_SEARCH = 100
ATTEMPTS = 1000
"""Draws of a negative before a target is given up: every part of the search may be a part of it."""

Search = Callable[..., SearchResult]


@dataclass(frozen=True)
class TrainingSet:
    """Labelled values.

    Attributes:
        signatures: model inputs, (items, 206), codes.
        labels: 1 if the value is a part of its target, else 0; (items,).
        target_operations: which operations the target uses, (items, 22).
        part_operations: which operations the value uses, (items, 22).
    """

    signatures: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    target_operations: NDArray[np.bool_]
    part_operations: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)

    def save(self, path: Path) -> None:
        """Write a compressed file of arrays."""
        with write_atomically(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **vars(self))

    @classmethod
    def load(cls, path: Path) -> "TrainingSet":
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**arrays)

    @classmethod
    def joined(cls, parts: Sequence["TrainingSet"]) -> "TrainingSet":
        """All items of several sets, in order."""
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})


def generate(search: Search, *, seed: int, max_expressions: int = 1_000_000) -> TrainingSet:
    """Items of one search with random inputs, heuristics on (paper, section 3.3).

    Args:
        search: the compiled search or the reference, with the arguments of ``reference.search``.
        seed: of every draw.
        max_expressions: budget of the search.
    """
    rng = np.random.default_rng(seed)
    rows = random_rows(rng)
    outputs = UNREACHABLE_OUTPUTS[: len(rows)]
    result = search(rows, outputs, max_expressions=max_expressions, heuristics=True)
    return collect(rows, result.values, rng)


def random_rows(rng: np.random.Generator) -> list[tuple[str, ...]]:
    """Inputs of 2 to 4 examples: 1 to 3 columns, each made of random strings by one of up to two formats."""
    examples = int(rng.integers(2, 5))
    inputs = int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))
    formats = []
    for _ in range(rng.integers(1, 3)):
        slots = rng.integers(1, 4, size=inputs)
        symbols = rng.integers(0, slots.sum(), size=slots.sum())
        formats.append(np.split(symbols, np.cumsum(slots)[:-1]))
    most = max(int(symbols.max()) for one in formats for symbols in one) + 1
    persistent = {number: random_string(rng) for number in range(most) if rng.random() < 0.25}
    rows = []
    for _ in range(examples):
        text = {number: persistent.get(number) or random_string(rng) for number in range(most)}
        chosen = formats[rng.integers(len(formats))]
        rows.append(tuple("".join(text[int(number)] for number in symbols) for symbols in chosen))
    return rows


def random_string(rng: np.random.Generator) -> str:
    """1 to 10 characters from the sets that are usable, each with probability 1/4; lower case if none is."""
    usable = [characters for characters in CHARACTER_SETS if rng.random() < 0.25] or [CHARACTER_SETS[1]]
    return "".join(str(rng.choice(list(usable[rng.integers(len(usable))]))) for _ in range(rng.integers(1, 11)))


def collect(rows: Sequence[Sequence[str]], values: SeenValues, rng: np.random.Generator) -> TrainingSet:
    """A part and a stranger for each of up to 100 texts that a search made.

    A target's parts are the proper sub-expressions that operations made; a positive is one of
    them. A negative is a part of another target that is none of this one's.

    Args:
        rows: inputs of each example.
        values: all values of the search.
        rng: of the draws.
    """
    made = np.flatnonzero(values.operations >= 0)
    texts = made[[OPERATIONS[operation].result == "str" for operation in values.operations[made]]]
    targets = [int(number) for number in rng.permutation(texts)[:TARGETS_PER_SEARCH]]
    parts = {target: _parts(values, target) for target in targets}
    targets = [target for target in targets if parts[target]]
    items: dict[str, list[Any]] = {name: [] for name in TrainingSet.__annotations__}
    for target in targets:
        positive = parts[target][rng.integers(len(parts[target]))]
        negative = _stranger(targets, parts, target, rng)
        if negative is None:
            continue
        outputs = [str(text) for text in values.vector(target)]
        for part, label in ((positive, 1), (negative, 0)):
            items["signatures"].append(property_signature(rows, outputs, values.vector(part)))
            items["labels"].append(label)
            items["target_operations"].append(_operations_in(values, [target, *parts[target]]))
            items["part_operations"].append(_operations_in(values, [part, *_parts(values, part)]))
    codes, count = EXAMPLE_CODES + VALUE_CODES, len(OPERATIONS)
    return TrainingSet(
        np.array(items["signatures"], dtype=np.uint8).reshape(-1, codes),
        np.array(items["labels"], dtype=np.uint8),
        np.array(items["target_operations"], dtype=np.bool_).reshape(-1, count),
        np.array(items["part_operations"], dtype=np.bool_).reshape(-1, count),
    )


def _parts(values: SeenValues, target: int) -> list[int]:
    """Numbers of the target's proper sub-expressions that operations made, in ascending order."""
    found: set[int] = set()
    waiting = [target]
    while waiting:
        for argument in values.arguments[waiting.pop()].tolist():
            if argument >= len(values.leaves) and argument not in found:
                found.add(argument)
                waiting.append(argument)
    return sorted(found)


def _stranger(targets: Sequence[int], parts: dict[int, list[int]], target: int, rng: np.random.Generator) -> int | None:
    """A part of a random target that is no part of this one; None where there seems to be none."""
    own = {target, *parts[target]}
    for _ in range(ATTEMPTS):
        others = parts[targets[int(rng.integers(len(targets)))]]
        part = others[int(rng.integers(len(others)))]
        if part not in own:
            return part
    return None


def _operations_in(values: SeenValues, numbers: Sequence[int]) -> NDArray[np.bool_]:
    used = np.zeros(len(OPERATIONS), dtype=np.bool_)
    used[values.operations[list(numbers)]] = True
    return used
