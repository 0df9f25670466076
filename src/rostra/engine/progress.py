"""One progress display for every long job: stage, steps per second, time left, the key metric."""

__all__ = ["progress", "progress_bar", "silence"]

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
Advance = Callable[[int, str], None]
"""Called with the number of steps done since the last call and a short text such as "loss 0.31"."""

_silent = False


def silence(silent: bool = True) -> None:
    """Switch the display off (``--quiet``, workers) or on again for this process."""
    global _silent
    _silent = silent


@contextmanager
def progress_bar(stage: str, total: int) -> Iterator[Advance]:
    """Show on standard error how far a job is; gives the function that says so.

    Silent when standard error is not a terminal, and after :func:`silence`.

    Args:
        stage: what is being done, such as "fit".
        total: number of steps.
    """
    if _silent or not sys.stderr.isatty():
        yield lambda steps, metric: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[metric]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task(stage, total=total, rate="", metric="")

        def advance(steps: int, metric: str) -> None:
            speed = display.tasks[0].speed
            display.update(task, advance=steps, metric=metric, rate=f"{speed:.1f}/s" if speed else "")

        yield advance


def progress(items: Iterable[T], stage: str, *, total: int, metric: Callable[[], str] = lambda: "") -> Iterator[T]:
    """Iterate over items behind a :func:`progress_bar`.

    Args:
        items: what to iterate over.
        stage: what is being done.
        total: number of items.
        metric: gives the short text that is shown after each item.
    """
    with progress_bar(stage, total) as advance:
        for item in items:
            yield item
            advance(1, metric())
