"""Property signatures (paper, section 3.2): cheap facts about values, the input of the model.

Every property is summed up over the examples in one code: true on all, false on all, mixed, or of
another type than the value. Digits and letters are the ASCII ones, also in texts of several lines.
"""

__all__ = [
    "ALL_FALSE",
    "ALL_TRUE",
    "EXAMPLE_CODES",
    "MIXED",
    "TYPE_MISMATCH",
    "VALUE_CODES",
    "example_signature",
    "property_signature",
    "value_signature",
]

from collections.abc import Callable, Sequence
from typing import Any

from .dsl import Value

ALL_TRUE, ALL_FALSE, MIXED, TYPE_MISMATCH, EMPTY = range(5)
"""Codes; EMPTY is never given, it only keeps the paper's embedding of five rows."""

MAX_INPUTS = 3
"""Input columns that a signature has room for."""

_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TO_LOWER = str.maketrans(_UPPER, _UPPER.lower())
_TO_UPPER = str.maketrans(_UPPER.lower(), _UPPER)
_DIGITS = frozenset("0123456789")
_LETTERS = frozenset(_UPPER + _UPPER.lower())


def _lower(text: str) -> str:
    return text.translate(_TO_LOWER)


_TEXT: tuple[Callable[[str], bool], ...] = (
    lambda text: not text,
    lambda text: len(text) == 1,
    lambda text: len(text) <= 5,
    lambda text: text == _lower(text),
    lambda text: text == text.translate(_TO_UPPER),
    lambda text: " " in text,
    lambda text: "," in text,
    lambda text: "." in text,
    lambda text: "-" in text,
    lambda text: "/" in text,
    lambda text: any(c in _DIGITS for c in text),
    lambda text: bool(text) and all(c in _DIGITS for c in text),
    lambda text: any(c in _LETTERS for c in text),
    lambda text: bool(text) and all(c in _LETTERS for c in text),
)
_NUMBER: tuple[Callable[[int], bool], ...] = (
    lambda number: number == 0,
    lambda number: number == 1,
    lambda number: number == 2,
    lambda number: number < 0,
    lambda number: 0 < number <= 3,
    lambda number: 3 < number <= 9,
    lambda number: number > 9,
)
_TRUTH: tuple[Callable[[bool], bool], ...] = (lambda truth: truth,)
_TEXT_TO_OUTPUT: tuple[Callable[[str, str], bool], ...] = (
    lambda text, output: text in output,
    lambda text, output: output.startswith(text),
    lambda text, output: output.endswith(text),
    lambda text, output: output in text,
    lambda text, output: text.startswith(output),
    lambda text, output: text.endswith(output),
    lambda text, output: _lower(text) in _lower(output),
    lambda text, output: _lower(output).startswith(_lower(text)),
    lambda text, output: _lower(output).endswith(_lower(text)),
    lambda text, output: _lower(output) in _lower(text),
    lambda text, output: _lower(text).startswith(_lower(output)),
    lambda text, output: _lower(text).endswith(_lower(output)),
    lambda text, output: text == output,
    lambda text, output: _lower(text) == _lower(output),
    lambda text, output: len(text) == len(output),
    lambda text, output: len(text) < len(output),
    lambda text, output: len(text) > len(output),
)
_NUMBER_TO_OUTPUT: tuple[Callable[[int, str], bool], ...] = (
    lambda number, output: number < len(output),
    lambda number, output: number <= len(output),
    lambda number, output: number == len(output),
    lambda number, output: number >= len(output),
    lambda number, output: number > len(output),
    lambda number, output: abs(number - len(output)) <= 1,
    lambda number, output: abs(number - len(output)) <= 3,
)

SINGLE_CODES = len(_TEXT) + len(_NUMBER) + len(_TRUTH)
VALUE_CODES = SINGLE_CODES + len(_TEXT_TO_OUTPUT) + len(_NUMBER_TO_OUTPUT)
EXAMPLE_CODES = MAX_INPUTS * VALUE_CODES + SINGLE_CODES


def property_signature(
    rows: Sequence[Sequence[str]], outputs: Sequence[str], vector: Sequence[Value] | None
) -> list[int]:
    """The model's input: :func:`example_signature`, then :func:`value_signature`; 206 codes.

    Args:
        rows: inputs of each example, at most three.
        outputs: wanted result of each example.
        vector: results of a value on the examples; None stands for no value.
    """
    return example_signature(rows, outputs) + value_signature(vector, outputs)


def example_signature(rows: Sequence[Sequence[str]], outputs: Sequence[str]) -> list[int]:
    """160 codes: for each of three inputs its own properties and those against the output, then the output's own."""
    columns = [*zip(*rows, strict=True)]
    if len(columns) > MAX_INPUTS:
        raise ValueError(f"{len(columns)} input columns; a signature has room for {MAX_INPUTS}")
    if not all(isinstance(text, str) for column in [*columns, outputs] for text in column):
        raise TypeError("inputs and outputs must be texts")
    codes: list[int] = []
    for slot in range(MAX_INPUTS):
        codes += value_signature(columns[slot] if slot < len(columns) else None, outputs)
    return codes + _single(outputs)


def value_signature(vector: Sequence[Value] | None, outputs: Sequence[str]) -> list[int]:
    """46 codes: a value's own properties, then those against the output."""
    return _single(vector) + _compare(vector, outputs)


def _single(vector: Sequence[Value] | None) -> list[int]:
    kind = None if vector is None else type(vector[0])  # bool is a subclass of int: compare the class itself
    codes = []
    for type_, properties in ((str, _TEXT), (int, _NUMBER), (bool, _TRUTH)):
        codes += [_code(p, vector) if kind is type_ and vector is not None else TYPE_MISMATCH for p in properties]
    return codes


def _compare(vector: Sequence[Value] | None, outputs: Sequence[str]) -> list[int]:
    kind = None if vector is None else type(vector[0])
    codes = []
    for type_, properties in ((str, _TEXT_TO_OUTPUT), (int, _NUMBER_TO_OUTPUT)):
        codes += [
            _code(p, vector, outputs) if kind is type_ and vector is not None else TYPE_MISMATCH for p in properties
        ]
    return codes


def _code(holds: Callable[..., Any], *columns: Sequence[Value]) -> int:
    outcomes = [bool(holds(*values)) for values in zip(*columns, strict=True)]
    return ALL_TRUE if all(outcomes) else MIXED if any(outcomes) else ALL_FALSE
