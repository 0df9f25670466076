"""``rostra bustle``: formulas from a few filled cells."""

__all__ = ["app"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rostra.engine.commands import Device, JsonOutput, Quiet, Seed, Threads, emit, list_option, prepare
from rostra.engine.errors import InputError, JobError

if TYPE_CHECKING:
    from .synthesizer import Bustle

app = typer.Typer(help="BUSTLE: spreadsheet formulas from a few filled cells of a column.")

MaxExpressions = Annotated[int, typer.Option(min=1, help="Expressions to try at most.")]
Timeout = Annotated[float, typer.Option(help="Seconds to search at most.")]
Model = Annotated[str, typer.Option(help="'default', 'none', or a folder made by 'rostra bustle train'.")]
Heuristics = Annotated[bool, typer.Option(help="Prefer texts that are like the outputs.")]
Constants = Annotated[str, typer.Option(help="Texts that the formula may use beside those found, a,b,c.")]
NothingRandom = Annotated[int, typer.Option(help="Changes nothing: a search draws nothing at random.")]
NoDevice = Annotated[str | None, typer.Option(help="Changes nothing: a search runs on the CPU.")]


@app.command()
def fill(
    data: Annotated[Path, typer.Argument(help="CSV or XLSX file with columns that are partly filled.")],
    out: Annotated[Path, typer.Option(help="Result: .xlsx with live formulas, or .csv with values.")],
    target: Annotated[str, typer.Option(help="Columns to fill, a,b,c; default: those filled in some rows.")] = "",
    inputs: Annotated[str, typer.Option(help="Columns the formula may use, a,b,c; default: those to the left.")] = "",
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook; default: the one that opens.")] = None,
    max_expressions: MaxExpressions = 30_000_000,
    timeout: Timeout = 10.0,
    model: Model = "default",
    heuristics: Heuristics = True,
    constants: Constants = "",
    quote_formulas: Annotated[bool, typer.Option(help="CSV: an apostrophe before values like '=A1'.")] = False,
    device: NoDevice = None,
    seed: NothingRandom = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Find the formula behind the filled cells of a column, and fill the others; of several columns one by one.

    Example: rostra bustle fill people.csv --out people.xlsx
    """
    prepare(quiet=quiet, threads=None)
    from .filling import fill_file
    from .synthesizer import SynthesisFailure

    bustle = _bustle(max_expressions, timeout, model, heuristics, constants)
    try:
        columns = fill_file(
            data,
            out,
            bustle,
            targets=list_option(target),
            inputs=list_option(inputs),
            sheet=sheet,
            quote_formulas=quote_formulas,
        )
    except SynthesisFailure as failure:
        raise JobError(str(failure)) from None
    found, lines = [], []
    for column in columns:
        found.append(
            {
                "target": column.target,
                "inputs": list(column.inputs),
                "formula": column.formula,
                "expression": str(column.program),
                "examples": column.examples,
                "filled": column.filled,
                "without_value": list(column.without_value),
                "notices": list(column.notices),
                **_taken(column.program),
            }
        )
        lines += [f"{column.target}: {column.formula}", f"  filled {column.filled} from {column.examples} examples"]
        if column.without_value:
            rows = ", ".join(map(str, column.without_value[:10])) + (", ..." if len(column.without_value) > 10 else "")
            lines.append(f"  no value in row {rows}; fill one of them by hand and run again")
        lines += [f"  note: {notice}" for notice in column.notices]
    emit({"out": str(out), "columns": found}, "\n".join([*lines, f"written to {out}"]), json_output)


@app.command()
def synthesize(
    examples: Annotated[list[str], typer.Argument(help="Examples 'INPUT => OUTPUT', or 'A | B => OUTPUT'.")],
    apply: Annotated[
        list[str] | None, typer.Option(help="Further input, 'A' or 'A | B', to run the formula on.")
    ] = None,
    solutions: Annotated[int, typer.Option(min=1, help="Formulas to show at most.")] = 1,
    dialect: Annotated[Literal["excel", "sheets-bustle"], typer.Option(help="What operations mean.")] = "excel",
    max_expressions: MaxExpressions = 3_000_000,
    timeout: Timeout = 10.0,
    model: Model = "default",
    heuristics: Heuristics = True,
    constants: Constants = "",
    device: NoDevice = None,
    seed: NothingRandom = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Find formulas for examples on the command line. Spaces beside => and | do not count.

    Example: rostra bustle synthesize "Ada Lovelace => AL" "Alan Turing => AT" --apply "Grace Hopper"
    """
    prepare(quiet=quiet, threads=None)
    bustle = _bustle(max_expressions, timeout, model, heuristics, constants, dialect)
    pairs = [_example(text) for text in examples]
    rows, outputs = [row for row, _ in pairs], [output for _, output in pairs]
    others = [_columns(text) for text in apply or []]
    for other in others:
        if len(other) != len(rows[0]):
            raise InputError(f"--apply {' | '.join(other)!r} has {len(other)} inputs, the examples have {len(rows[0])}")
    programs = _found(bustle, rows, outputs, solutions, others or None)
    found = [
        {
            "expression": str(program),
            "excel": program.to_excel(),
            "sheets": program.to_sheets(),
            "python": program.to_python(),
            "applied": program.run(others),
            **_taken(program),
        }
        for program in programs
    ]
    lines = []
    for program in programs:
        lines.append(program.to_excel())
        for other, value in zip(others, program.run(others), strict=True):
            lines.append(f"  {' | '.join(other)} => {'(no value)' if value is None else value}")
    emit({"solutions": found}, "\n".join(lines), json_output)


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    searches: Annotated[int, typer.Option(min=1, help="Random searches that give the data.")] = 300,
    max_expressions: Annotated[int, typer.Option(min=1, help="Expressions of each search.")] = 1_000_000,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the data at most.")] = 20,
    patience: Annotated[int, typer.Option(min=0, help="Passes without gain before the end; 0: never.")] = 3,
    lr: Annotated[float, typer.Option(help="Learning rate of Adam.")] = 1e-3,
    batch_size: Annotated[int, typer.Option(min=1, help="Items a step.")] = 256,
    workers: Annotated[int | None, typer.Option(min=1, help="Searches at a time; default: one a core.")] = None,
    device: Device = None,
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Train a model of which values are worth combining. The paper: --searches 1000 --lr 1e-5 --epochs 1000.

    Example: rostra bustle train --out model
    """
    prepare(quiet=quiet, threads=threads)
    from rostra.engine.checkpoints import check_folder

    from .training import BustleTrainer, TrainingConfig

    check_folder(out)
    config = TrainingConfig(lr=lr, batch_size=batch_size, epochs=epochs, patience=patience or None)
    trainer = BustleTrainer(searches, max_expressions, seed, config=config, device=device, workers=workers)
    model = trainer.fit().model_
    model.save(out)
    recipe = model.recipe
    text = (
        f"trained on {recipe['items']:,} items: validation loss {recipe['validation_loss']:.3f}, accuracy "
        f"{recipe['validation_accuracy']:.3f}; saved to {out}\nnext: rostra bustle bench --model {out}"
    )
    emit({"model": str(out), **recipe}, text, json_output)


@app.command()
def bench(
    tasks: Annotated[Literal["everyday", "bustle38", "sygus"], typer.Option("--set", help="Tasks.")] = "everyday",
    budget: Annotated[int, typer.Option(min=1, help="Expressions a task.")] = 1_000_000,
    timeout: Annotated[float | None, typer.Option(help="Seconds a task; default: no limit.")] = None,
    arms: Annotated[str, typer.Option(help="Of none, heuristics, model, both; a,b,c.")] = "none,heuristics,model,both",
    model: Model = "default",
    out: Annotated[Path | None, typer.Option(help="Folder for tasks.jsonl and two plots.")] = None,
    device: NoDevice = None,
    seed: NothingRandom = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Solve a set of tasks in the paper's language, and count.

    Example: rostra bustle bench --set bustle38 --budget 1000000
    """
    prepare(quiet=quiet, threads=None)
    from .bench import run_bench, summary, write_bench

    chosen = list_option(arms)
    unknown = [arm for arm in chosen if arm not in ("none", "heuristics", "model", "both")]
    if unknown or not chosen:
        raise InputError(f"--arms are of none, heuristics, model, both; got {arms!r}")
    if out is not None:
        _folder(out)
    results = run_bench(tasks, chosen, budget=budget, timeout=timeout, scorer=_scorer(model))
    if out is not None:
        write_bench(results, out)
    table = summary(results)
    lines = [f"{'arm':12} {'solved':>8} {'general':>8} {'tried':>14} {'seconds':>8}"]
    for arm, row in table.items():
        solved = f"{row['solved']}/{row['tasks']}"
        lines.append(f"{arm:12} {solved:>8} {row['generalises']:>8} {row['tried']:>14,} {row['seconds']:>8.1f}")
    if out is not None:
        lines.append(f"tasks and plots written to {out}")
    documents = [{"arm": arm, **result.document()} for arm, found in results.items() for result in found]
    emit({"set": tasks, "budget": budget, "arms": table, "tasks": documents}, "\n".join(lines), json_output)


def _bustle(
    max_expressions: int,
    timeout: float,
    model: str,
    heuristics: bool,
    constants: str,
    dialect: Literal["excel", "sheets-bustle"] = "excel",
) -> "Bustle":
    from .synthesizer import Bustle

    return Bustle(
        max_expressions=max_expressions,
        timeout=timeout,
        model=_scorer(model),
        heuristics=heuristics,
        dialect=dialect,
        constants=list_option(constants),
    )


def _scorer(model: str) -> Any:
    from .synthesizer import load_scorer

    return load_scorer(None if model == "none" else model)


def _found(bustle: "Bustle", rows: Any, outputs: Any, solutions: int = 1, others: Any = None) -> Any:
    from .synthesizer import SynthesisFailure

    try:
        return bustle.synthesize(rows, outputs, n_solutions=solutions, unlabelled=others)
    except SynthesisFailure as failure:
        raise JobError(str(failure)) from None


def _taken(program: Any) -> dict[str, Any]:
    stats = program.stats
    return {"tried": stats.tried, "unique": stats.unique, "seconds": round(stats.seconds, 3), "weight": program.weight}


def _example(text: str) -> tuple[tuple[str, ...], str]:
    inputs, arrow, output = text.partition("=>")
    if not arrow:
        raise InputError(f"the example {text!r} has no '=>'; write 'INPUT => OUTPUT'")
    return _columns(inputs), output.strip(" ")


def _columns(text: str) -> tuple[str, ...]:
    return tuple(part.strip(" ") for part in text.split("|"))


def _folder(out: Path) -> None:
    """Make a folder for results, or say why not."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make folder '{out}' ({error.strerror}); choose another place") from None
