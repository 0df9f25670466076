"""Formulas from examples: what a user holds."""

__all__ = ["Bustle", "Program", "SynthesisFailure", "SynthesisStats", "best_search", "synthesize"]

import copy
import functools
import importlib.util
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rostra.engine.errors import InputError

from .dsl import OPERATIONS, Expression, Operation, weight
from .evaluator import FormulaError, evaluate_formula
from .formulas import column_letters, to_excel, to_python, to_sheets
from .reference import MAX_LENGTH
from .reference import search as reference_search
from .result import Reason, SearchResult
from .scorer import Clock, ValueScorer
from .semantics import Dialect, EvaluationError, evaluate

DEFAULT_MODEL = Path(__file__).parent / "default_model"
"""Trained by ``rostra bustle train`` with the recipe that its document holds."""


@dataclass(frozen=True)
class SynthesisStats:
    """What a search took.

    Attributes:
        tried: expressions tried.
        unique: different vectors of results among them.
        seconds: wall time of the search.
        seconds_signatures, seconds_model: of it, property signatures and network.
        reason: why it ended.
        compiled: whether the compiled search ran, or the plain one.
    """

    tried: int
    unique: int
    seconds: float
    seconds_signatures: float
    seconds_model: float
    reason: Reason
    compiled: bool


class SynthesisFailure(Exception):  # noqa: N818 - it is no error of the program's
    """No formula was found within the budget.

    Attributes:
        stats: what the search took.
    """

    def __init__(self, message: str, stats: SynthesisStats) -> None:
        super().__init__(message)
        self.stats = stats


@dataclass(frozen=True)
class Program:
    """A formula that gives all the examples' outputs.

    Attributes:
        expression: in the search's language.
        dialect: what its operations mean.
        stats: what the search took.
    """

    expression: Expression
    dialect: Dialect
    stats: SynthesisStats

    def __str__(self) -> str:
        return str(self.expression)

    @property
    def weight(self) -> int:
        """Number of inputs, constants and operations."""
        return weight(self.expression)

    def run(self, rows: Any, *, errors: Literal["none", "raise"] = "none") -> list[str | None]:
        """Results on rows of inputs.

        Args:
            rows: as for :func:`synthesize`.
            errors: "none" gives None where the formula has no value; "raise" raises there.

        Raises:
            InputError: if the rows are no texts or too narrow.
            EvaluationError: with ``errors="raise"``, where the formula has no value.
        """
        found: list[str | None] = []
        for row in _rows(rows, None):
            try:
                found.append(str(evaluate(self.expression, row, self.dialect)))
            except EvaluationError:
                if errors == "raise":
                    raise EvaluationError(f"{self} has no value for {row!r}") from None
                found.append(None)
            except IndexError:
                raise InputError(f"{self} needs more inputs than the {len(row)} of row {row!r}") from None
        return found

    def to_excel(self, columns: Sequence[str] | None = None, row: int = 2) -> str:
        """The formula as Excel and LibreOffice read it; see :func:`~rostra.methods.bustle.formulas.to_excel`."""
        return to_excel(self.expression, columns=columns, row=row)

    def to_sheets(self, columns: Sequence[str] | None = None, row: int = 2) -> str:
        """The formula as Google Sheets reads it."""
        return to_sheets(self.expression, columns=columns, row=row)

    def to_python(self) -> str:
        """Source of a Python function that does the same and needs nothing else."""
        return to_python(self.expression, dialect=self.dialect)


class Bustle:
    """A synthesizer with its settings (Odena et al., ICLR 2021).

    Args:
        max_expressions: expressions to try at most.
        timeout: seconds at most; None sets no limit.
        model: "default" (ships with Rostra), None (no model), or a folder written by ``rostra bustle train``.
        heuristics: prefer texts that are like the outputs.
        dialect: "excel" (what Excel and LibreOffice both do) or "sheets-bustle" (the paper's program).
        constants: texts and whole numbers that a formula may use beside those found in the examples.
        operations: those that a formula may use.
        verify: evaluate each emitted formula with an independent evaluator, and refuse it if it disagrees
            (dialect "excel").
        compiled: True runs the compiled search, False the plain one, None whichever answers sooner.
    """

    def __init__(
        self,
        *,
        max_expressions: int = 3_000_000,
        timeout: float | None = 10.0,
        model: str | Path | ValueScorer | None = "default",
        heuristics: bool = True,
        dialect: Dialect = "excel",
        constants: Sequence[str | int] = (),
        operations: Sequence[Operation] = OPERATIONS,
        verify: bool = True,
        compiled: bool | None = None,
    ) -> None:
        if max_expressions < 1:
            raise InputError(f"max_expressions must be at least 1, got {max_expressions}")
        if timeout is not None and not timeout > 0:
            raise InputError(f"timeout must be above 0 seconds, got {timeout}")
        if dialect not in ("excel", "sheets-bustle"):
            raise InputError(f"dialect must be 'excel' or 'sheets-bustle', got {dialect!r}")
        for constant in constants:
            if isinstance(constant, bool) or not isinstance(constant, (str, int)):
                raise InputError(f"constants must be texts or whole numbers, got {constant!r}")
        self.max_expressions = max_expressions
        self.timeout = timeout
        self.scorer = load_scorer(model)
        self.heuristics = heuristics
        self.dialect: Dialect = dialect
        self.constants = tuple(constants)
        self.operations = tuple(operations)
        self.verify = verify
        self.compiled = compiled

    def within(self, timeout: float) -> "Bustle":
        """The same synthesizer with another time limit, in seconds."""
        other = copy.copy(self)
        other.timeout = timeout
        return other

    def synthesize(
        self,
        inputs: Any,
        outputs: Any,
        *,
        n_solutions: int = 1,
        unlabelled: Any = None,
        applicable: bool = False,
        coerce: Literal["text"] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> list[Program]:
        """The first formulas, in the order of the search, that give all outputs.

        Args:
            inputs, outputs, n_solutions, unlabelled, applicable, coerce: as for :func:`synthesize`.
            stop: asked now and then; ends the search when it says yes.

        Raises:
            InputError: for unusable examples.
            SynthesisFailure: if there is none within the budget.
        """
        if n_solutions < 1:
            raise InputError(f"n_solutions must be at least 1, got {n_solutions}")
        rows, wanted = check_examples(inputs, outputs, coerce)
        others = [] if unlabelled is None else _rows(unlabelled, coerce)
        search = best_search() if self.compiled is None else chosen_search(self.compiled)
        programs: list[Expression] = []
        behaviours: set[tuple[str | None, ...]] = set()
        partial: list[tuple[int, Expression]] = []  # solutions without a value on some rows, and on how many
        patience = _Patience()

        def accept(expression: Expression) -> bool:
            """Whether a solution is right by the independent evaluator, and differs from those before it."""
            if self.verify and self.dialect == "excel" and not _verified(expression, rows, wanted):
                return False
            if others:
                behaviour = tuple(_result(expression, row, self.dialect) for row in others)
                if applicable and 2 * behaviour.count(None) > len(others):
                    partial.append((behaviour.count(None), expression))
                    patience.begin()
                    return False
                if behaviour in behaviours:
                    return False
                behaviours.add(behaviour)
            programs.append(expression)
            return True

        clock = Clock()
        result = search(
            rows,
            wanted,
            max_expressions=self.max_expressions,
            timeout=self.timeout,
            dialect=self.dialect,
            heuristics=self.heuristics,
            reweight=None if self.scorer is None else clock.timed(self.scorer.reweight(rows, wanted)),
            operations=self.operations,
            constants=self.constants,
            n_solutions=n_solutions,
            accept=accept,
            stop=lambda: patience.ended() or (stop is not None and stop()),
        )
        if not programs and partial:
            programs = [min(partial, key=lambda found: found[0])[1]]
        compiled = search is not reference_search
        stats = SynthesisStats(
            result.tried, result.unique, result.seconds, clock.signatures, clock.model, result.reason, compiled
        )
        if not programs:
            raise SynthesisFailure(_failure(stats), stats)
        return [Program(expression, self.dialect, stats) for expression in programs]


def synthesize(
    inputs: Any,
    outputs: Any,
    *,
    n_solutions: int = 1,
    unlabelled: Any = None,
    applicable: bool = False,
    coerce: Literal["text"] | None = None,
    on_failure: Literal["raise", "none"] = "raise",
    **settings: Any,
) -> Any:
    """A formula that gives the outputs from the inputs.

    Args:
        inputs: texts, rows of texts, an array, or a pandas or polars frame; (examples,) or (examples, columns).
        outputs: wanted result of each example. A missing one (None, NaN) leaves its example out.
        n_solutions: with more than 1, a list of up to so many formulas, smallest first.
        unlabelled: further rows of inputs; of formulas that agree on all of them only the first is given.
        applicable: look for a formula that has a value on at least half of the unlabelled rows: after the first
            that has not, for as long again and a second. If there is none, the one with the fewest gaps is given.
        coerce: "text" turns other cells into text; None refuses them.
        on_failure: "raise", or "none": gives None (an empty list) instead.
        **settings: of :class:`Bustle`, such as ``max_expressions``, ``timeout``, ``model``, ``dialect``.

    Returns:
        A :class:`Program`, or a list of them.

    Raises:
        InputError: for unusable examples.
        SynthesisFailure: if there is none within the budget.
    """
    if on_failure not in ("raise", "none"):
        raise InputError(f"on_failure must be 'raise' or 'none', got {on_failure!r}")
    try:
        programs = Bustle(**settings).synthesize(
            inputs, outputs, n_solutions=n_solutions, unlabelled=unlabelled, applicable=applicable, coerce=coerce
        )
    except SynthesisFailure:
        if on_failure == "raise":
            raise
        programs = []
    if n_solutions > 1:
        return programs
    return programs[0] if programs else None


class _Patience:
    """How long a search goes on after a solution that is not wholly satisfactory."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._end = math.inf

    def begin(self) -> None:
        """A solution was found: as long again as it took, and a second."""
        if self._end == math.inf:
            now = time.perf_counter()
            self._end = now + (now - self._start) + 1.0

    def ended(self) -> bool:
        return time.perf_counter() > self._end


def check_examples(
    inputs: Any, outputs: Any, coerce: Literal["text"] | None = None
) -> tuple[list[tuple[str, ...]], list[str]]:
    """Examples as rows of texts and texts; those with a missing cell are left out.

    Raises:
        InputError: if none is left, they do not fit together, hold something else than texts,
            contradict each other, or an output is too long for the search.
    """
    if coerce not in (None, "text"):
        raise InputError(f"coerce must be 'text' or None, got {coerce!r}")
    rows = _rows(inputs, coerce, missing=True)
    wanted = [cell for (cell,) in _rows(outputs, coerce, missing=True, name="outputs")]
    if len(rows) != len(wanted):
        raise InputError(f"{len(rows)} rows of inputs and {len(wanted)} outputs; there must be as many")
    kept = [
        (number, row, output)
        for number, (row, output) in enumerate(zip(rows, wanted, strict=True), start=1)
        if output is not None and None not in row
    ]
    if not kept:
        raise InputError("no complete example; fill the output of at least one row")
    first: dict[tuple[str, ...], tuple[int, str]] = {}
    for number, row, output in kept:
        earlier, other = first.setdefault(row, (number, output))
        if other != output:
            raise InputError(
                f"rows {earlier} and {number} have the same inputs {row!r} and different outputs "
                f"({other!r}, {output!r}); no formula gives both"
            )
        if len(output) >= MAX_LENGTH:
            raise InputError(
                f"the output of row {number} has {len(output)} characters; at most {MAX_LENGTH - 1} can be made"
            )
    return [row for _, row, _ in kept], [output for _, _, output in kept]


def _rows(cells: Any, coerce: str | None, *, missing: bool = False, name: str = "inputs") -> list[tuple[Any, ...]]:
    """Rows of texts from whatever holds them; with ``missing``, None where a cell is empty (None, NaN)."""
    if hasattr(cells, "iter_rows"):  # polars
        rows: list[Any] = list(cells.iter_rows())
    elif hasattr(cells, "to_numpy"):  # pandas
        rows = list(cells.to_numpy(dtype=object))
    elif isinstance(cells, str):
        raise InputError(f"{name} must be a list with one entry for each row, got the text {cells!r}")
    else:
        rows = list(cells)
    checked = []
    for number, row in enumerate(rows, start=1):
        parts = [row] if isinstance(row, (str, int, float)) or row is None else list(row)
        checked.append(
            tuple(_cell(cell, number, column, coerce, missing, name) for column, cell in enumerate(parts, 1))
        )
    widths = {len(row) for row in checked}
    if len(widths) > 1:
        number = next(i for i, row in enumerate(checked, 1) if len(row) != len(checked[0]))
        raise InputError(f"row {number} of {name} has {len(checked[number - 1])} cells, row 1 has {len(checked[0])}")
    if checked and not checked[0]:
        raise InputError(f"{name} have no columns; a formula needs at least one")
    if name == "outputs" and checked and len(checked[0]) != 1:
        raise InputError(f"outputs have {len(checked[0])} columns; there must be one")
    return checked


def _cell(cell: Any, row: int, column: int, coerce: str | None, missing: bool, name: str) -> str | None:
    if isinstance(cell, str):
        return str(cell)
    absent = cell is None or (isinstance(cell, float) and math.isnan(cell))
    if absent and missing:
        return None
    if absent:
        raise InputError(f"{name}: row {row}, column {column} is empty; fill it")
    if coerce != "text":
        raise InputError(
            f"{name}: row {row}, column {column} holds {cell!r}, no text; write it as text, or pass coerce='text'"
        )
    return str(cell)


def _verified(expression: Expression, rows: Sequence[Sequence[str]], outputs: Sequence[str]) -> bool:
    """Whether the emitted formula gives the outputs by an evaluator that shares no code with the search."""
    names = [column_letters(index) for index in range(len(rows[0]))]
    try:
        formula = to_excel(expression)
        return all(
            evaluate_formula(formula, {f"{name}2": cell for name, cell in zip(names, row, strict=True)}) == output
            for row, output in zip(rows, outputs, strict=True)
        )
    except (FormulaError, InputError):  # too long for a cell, or no value
        return False


def _result(expression: Expression, row: Sequence[str], dialect: Dialect) -> str | None:
    try:
        return str(evaluate(expression, row, dialect))
    except EvaluationError:
        return None


def _failure(stats: SynthesisStats) -> str:
    why = {
        "expressions": "the budget of expressions was used up",
        "timeout": "the time was up",
        "weight": "there is none up to the largest weight",
        "solved": "those that were found did not pass the check",
    }[stats.reason]
    return (
        f"no formula found among {stats.tried:,} expressions in {stats.seconds:.1f} s ({why}); "
        "give other examples, more time, or a constant that the formula needs"
    )


# ---------------------------------------------------------------- which search

Search = Callable[..., SearchResult]


def chosen_search(compiled: bool) -> Search:
    """The compiled search or the plain one.

    Raises:
        InputError: if the compiled one is asked for and numba is missing.
    """
    if not compiled:
        return reference_search
    if importlib.util.find_spec("numba") is None:
        raise InputError("the compiled search needs numba: pip install 'rostra[sheets]'")
    from .core import search

    return search


def best_search(*, wait: bool = False) -> Search:
    """The compiled search where it answers at once; else the plain one, with a notice, while the other compiles.

    Args:
        wait: compile first, however long it takes.
    """
    if importlib.util.find_spec("numba") is None:
        _notice("numba is missing, so the plain search runs, 30 times slower: pip install 'rostra[sheets]'")
        return reference_search
    from . import core

    if wait:
        core.warm_up()
    if core.ready():
        return core.search
    _compile_in_background()
    return reference_search


@functools.cache
def _compile_in_background() -> None:
    from . import core

    _notice("the fast search is being compiled (once, in the background); until then the plain search answers")
    core.start_warm_up()


@functools.cache
def _notice(message: str) -> None:
    print(f"notice: {message}", file=sys.stderr)


@functools.cache
def _default_scorer() -> ValueScorer:
    return ValueScorer.load(DEFAULT_MODEL)


def load_scorer(model: str | Path | ValueScorer | None) -> ValueScorer | None:
    """The model of that name: "default", a folder, or none.

    Raises:
        InputError: if the folder is missing, damaged, or holds something else.
    """
    if model is None or isinstance(model, ValueScorer):
        return model
    return _default_scorer() if model == "default" else ValueScorer.load(Path(model))
