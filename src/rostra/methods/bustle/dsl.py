"""The language that BUSTLE searches: 22 spreadsheet operations and the expressions made of them.

What the operations do is in ``semantics.py``; this module only says what can be written.
"""

__all__ = [
    "CONSTANTS",
    "OPERATIONS",
    "Call",
    "Constant",
    "Expression",
    "Input",
    "Operation",
    "Type",
    "Value",
    "renumbered",
    "result_type",
    "weight",
]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Type = Literal["str", "int", "bool"]
Value = str | int | bool


@dataclass(frozen=True)
class Operation:
    """A function of the language.

    Attributes:
        name: as a spreadsheet calls it; SUBSTITUTE and FIND exist with and without their last argument.
        arguments: types of the arguments.
        result: type of the result.
    """

    name: str
    arguments: tuple[Type, ...]
    result: Type


OPERATIONS = (
    Operation("ADD", ("int", "int"), "int"),
    Operation("CONCATENATE", ("str", "str"), "str"),
    Operation("EXACT", ("str", "str"), "bool"),
    Operation("FIND", ("str", "str"), "int"),
    Operation("FIND", ("str", "str", "int"), "int"),
    Operation("GT", ("int", "int"), "bool"),
    Operation("GTE", ("int", "int"), "bool"),
    Operation("IF", ("bool", "str", "str"), "str"),
    Operation("LEFT", ("str", "int"), "str"),
    Operation("LEN", ("str",), "int"),
    Operation("LOWER", ("str",), "str"),
    Operation("MID", ("str", "int", "int"), "str"),
    Operation("MINUS", ("int", "int"), "int"),
    Operation("PROPER", ("str",), "str"),
    Operation("REPLACE", ("str", "int", "int", "str"), "str"),
    Operation("REPT", ("str", "int"), "str"),
    Operation("RIGHT", ("str", "int"), "str"),
    Operation("SUBSTITUTE", ("str", "str", "str"), "str"),
    Operation("SUBSTITUTE", ("str", "str", "str", "int"), "str"),
    Operation("TO_TEXT", ("int",), "str"),
    Operation("TRIM", ("str",), "str"),
    Operation("UPPER", ("str",), "str"),
)
"""In the order in which the search tries them: it decides which of two equal expressions is found first."""

CONSTANTS: tuple[str | int, ...] = ("", 0, 1, 2, 3, 99)
"""Constants that every search has; further ones are extracted from the examples."""


@dataclass(frozen=True)
class Input:
    """The cell of an input column, counted from 0."""

    index: int

    def __str__(self) -> str:
        return f"var_{self.index}"


@dataclass(frozen=True)
class Constant:
    """A text or a whole number."""

    value: str | int

    def __str__(self) -> str:
        return '"' + self.value.replace('"', '""') + '"' if isinstance(self.value, str) else str(self.value)


@dataclass(frozen=True)
class Call:
    """An operation applied to expressions."""

    operation: Operation
    arguments: tuple["Expression", ...]

    def __str__(self) -> str:
        return f"{self.operation.name}({', '.join(map(str, self.arguments))})"


Expression = Input | Constant | Call


def weight(expression: Expression) -> int:
    """Number of inputs, constants and operations in an expression (before any re-weighting)."""
    if isinstance(expression, Call):
        return 1 + sum(map(weight, expression.arguments))
    return 1


def renumbered(expression: Expression, columns: Sequence[int]) -> Expression:
    """The expression with input i replaced by input ``columns[i]``."""
    match expression:
        case Input(index):
            return Input(columns[index])
        case Call(operation, arguments):
            return Call(operation, tuple(renumbered(argument, columns) for argument in arguments))
        case _:
            return expression


def result_type(expression: Expression) -> Type:
    """Type of an expression's value; inputs are texts."""
    match expression:
        case Call(operation, _):
            return operation.result
        case Constant(int()):
            return "int"
        case _:
            return "str"
