"""What the verbs of all methods share: common options, output, preparation."""

__all__ = ["Device", "JsonOutput", "Quiet", "Seed", "Threads", "emit", "list_option", "prepare"]

import csv
import json
import warnings
from typing import Annotated, Any

import typer

from .progress import silence

Device = Annotated[str | None, typer.Option(help="torch device; default: CUDA if there is one, else cpu.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random draw.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Cores to use; default: all.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress display.")]
JsonOutput = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def prepare(*, quiet: bool, threads: int | None) -> None:
    """Apply the common options, before the verb imports anything heavy."""
    from .runtime import set_threads

    silence(quiet)
    set_threads(threads)
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"


def emit(found: Any, text: str, as_json: bool) -> None:
    """Print the result of a verb: one JSON document, or text for people."""
    typer.echo(json.dumps(found, indent=1) if as_json else text)


def list_option(text: str) -> list[str]:
    """The names in "a,b,c"; one that holds a comma stands in double quotes."""
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), []) if name.strip()]
