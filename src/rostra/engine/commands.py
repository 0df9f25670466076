"""What the verbs of all methods share: common options, output, preparation."""

__all__ = ["Device", "JsonOutput", "Quiet", "Seed", "Threads", "emit", "list_option", "number_list", "prepare"]

import csv
import json
import math
import warnings
from typing import Annotated, Any

import typer

from .errors import InputError
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
    """Print the result of a verb: one JSON document, where a number that is not finite is null, or text for people."""
    typer.echo(json.dumps(_finite(found), indent=1, allow_nan=False) if as_json else text)


def _finite(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _finite(value) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [_finite(value) for value in found]
    return None if isinstance(found, float) and not math.isfinite(found) else found


def list_option(text: str) -> list[str]:
    """The names in "a,b,c"; one that holds a comma stands in double quotes."""
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), []) if name.strip()]


def number_list(
    option: str,
    text: str,
    *,
    whole: bool = False,
    low: float | None = None,
    high: float | None = None,
    example: str = "1,5,20",
) -> list[Any]:
    """The numbers in "a,b,c", at least one: ints if ``whole``, floats otherwise.

    Args:
        option: its name, for the message: "--k".
        text: what was given.
        whole: refuse numbers with a point or an exponent.
        low: smallest allowed.
        high: largest allowed.
        example: numbers that would be right, for the message.

    Raises:
        InputError: if there is none, or one is no number, not finite, not whole, or outside the bounds.
    """
    kind = int if whole else float
    try:
        numbers = [kind(part) for part in list_option(text)]
    except ValueError:
        numbers = []
    least, most = -math.inf if low is None else low, math.inf if high is None else high
    if numbers and all(least <= number <= most and abs(number) < math.inf for number in numbers):
        return numbers
    wanted = "whole numbers" if whole else "numbers"
    if low is not None and high is not None:
        wanted += f" from {low:g} to {high:g}"
    elif low is not None:
        wanted += f" of at least {low:g}"
    elif high is not None:
        wanted += f" of at most {high:g}"
    raise InputError(f"{option} must be {wanted}, such as {example}; got '{text}'")
