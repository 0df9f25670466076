"""Declared flips: copies of people that differ in one attribute only."""

__all__ = ["MAX_COMBINATIONS", "Flip", "combinations", "parse_flip"]

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rostra.engine.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from rostra.fields.tabular.encoding import TableEncoder

MAX_COMBINATIONS = 64


@dataclass(frozen=True)
class Flip:
    """A column and the values that should not matter there.

    Attributes:
        column: of the table as the user has it.
        values: at least two of its values.
    """

    column: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.column}: {'<->'.join(self.values)}"

    def copies(self, table: "pd.DataFrame") -> "list[pd.DataFrame]":
        """The table once for each value, with that value in every row."""
        return [table.assign(**{self.column: value}) for value in self.values]

    def swapped(self, table: "pd.DataFrame", encoder: "TableEncoder") -> "pd.DataFrame":
        """The table with each of the values replaced by the next; rows with other values stay as they are."""
        following = dict(zip(self.values, (*self.values[1:], self.values[0]), strict=True))
        levels = encoder.levels_of(table[self.column], encoder[self.column])
        return table.assign(**{self.column: levels.map(following).fillna(levels)})

    def holds(self, table: "pd.DataFrame", encoder: "TableEncoder") -> "pd.Series[bool]":
        """Which rows hold one of the values, as the encoder knows them."""
        return encoder.levels_of(table[self.column], encoder[self.column]).isin(self.values)


def parse_flip(text: str, levels: Mapping[str, Sequence[str]]) -> Flip:
    """A flip from "column: A<->B", or from "column" for all its values.

    Args:
        text: as the user wrote it.
        levels: values of each column that is a category.

    Raises:
        InputError: for a column that is no category, or values that it does not have.
    """
    text = text.strip()
    # a name may hold a colon itself: the longest known name that the text begins with
    names = [name for name in levels if text == name or (text + ":")[len(name) :].lstrip().startswith(":")]
    names = [name for name in names if text.startswith(name)]
    if not names:
        asked = text.partition(":")[0].strip()
        raise InputError(f"cannot flip '{asked}': the categories are {', '.join(map(repr, levels))}")
    column = max(names, key=len)
    colon, rest = text != column, text[len(column) :].lstrip().removeprefix(":")
    known = tuple(levels[column])
    values = tuple(value.strip() for value in rest.split("<->")) if colon else known
    if len(values) < 2 or len(set(values)) < len(values):
        raise InputError(f"a flip is 'column: A<->B' with two or more different values, got '{text}'")
    unknown = [value for value in values if value not in known]
    if unknown:
        raise InputError(f"column '{column}' has no value {unknown[0]!r}; it has: {', '.join(map(repr, known))}")
    return Flip(column, values)


def combinations(table: "pd.DataFrame", flips: Sequence[Flip]) -> "list[pd.DataFrame]":
    """The table once for every combination of the flips' values.

    Raises:
        InputError: for more than 64 combinations.
    """
    count = 1
    for flip in flips:
        count *= len(flip.values)
    if count > MAX_COMBINATIONS:
        raise InputError(
            f"{' and '.join(flip.column for flip in flips)} have {count} combinations of values; "
            f"at most {MAX_COMBINATIONS} are compared"
        )
    columns = [flip.column for flip in flips]
    return [
        table.assign(**dict(zip(columns, values, strict=True)))
        for values in itertools.product(*(flip.values for flip in flips))
    ]
