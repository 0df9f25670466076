"""A table as covariates, treatment and outcome, with every problem said in one line."""

__all__ = ["Table", "split_table"]

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from rostra.engine.errors import InputError
from rostra.fields.tabular.encoding import TableEncoder
from rostra.fields.tabular.tables import check_names, number_column


@dataclass(frozen=True)
class Table:
    """What a fit needs.

    Attributes:
        X: numeric covariates with their names; categories one-hot as "column=value".
        treatment: doses.
        y: outcomes.
    """

    X: pd.DataFrame
    treatment: "pd.Series[float]"
    y: "pd.Series[float]"


def split_table(
    table: pd.DataFrame,
    *,
    treatment: str,
    outcome: str,
    covariates: Sequence[str] = (),
    exclude: Sequence[str] = (),
    impute: str | None = None,
) -> Table:
    """Take a table apart into covariates, treatment and outcome.

    Args:
        table: as read.
        treatment, outcome: names of columns of numbers.
        covariates: names of the covariates; none means all other columns.
        exclude: names of columns to leave out.
        impute: None, or "median": fills missing covariates with the column's median, or the
            category "missing".

    Raises:
        InputError: for names that are not there or used twice, columns that are not numbers, too
            many categories, or missing values.
    """
    if impute not in (None, "median"):
        raise InputError(f"impute must be 'median', got {impute!r}")
    check_names(table, [treatment, outcome, *covariates, *exclude])
    if treatment == outcome:
        raise InputError(f"column '{treatment}' cannot be both treatment and outcome")
    for role, name in (("treatment", treatment), ("outcome", outcome)):
        if name in covariates:
            raise InputError(f"the {role} '{name}' is also among the covariates; take it out of --covariates")
    left_out = {treatment, outcome, *exclude}
    chosen = list(covariates) or [name for name in table.columns if name not in left_out]
    if not chosen:
        raise InputError("no covariates are left; a curve is adjusted for at least one")
    doses, y = (number_column(table[name], name) for name in (treatment, outcome))
    columns = table[chosen]
    encoder = TableEncoder.fitted(columns, impute=impute is not None)
    return Table(encoder.transform(columns), doses, y)
