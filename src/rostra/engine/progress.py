"""One progress display for every long job: stage, steps per second, time left, the key metric."""

__all__ = ["progress", "silence"]

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")

_silent = False


def silence(silent: bool = True) -> None:
    """Switch the display off (``--quiet``, workers) or on again for this process."""
    global _silent
    _silent = silent


def progress(
    items: Iterable[T],
    stage: str,
    *,
    total: int | None = None,
    metric: Callable[[], str] | None = None,
    every: int = 1,
) -> Iterator[T]:
    """Iterate over items and show how far the job is, on standard error.

    Silent when standard error is not a terminal, and after :func:`silence`.

    Args:
        items: what to iterate over.
        stage: what is being done, such as "fit".
        total: number of items; taken from ``items`` if it has a length.
        metric: called at each refresh; a short text such as "loss 0.31".
        every: items between two refreshes.
    """
    if _silent or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    if total is None and isinstance(items, Sized):
        total = len(items)
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
        done = 0
        for done, item in enumerate(items, 1):
            yield item
            if done % every == 0 or done == total:
                speed = display.tasks[task].speed
                display.update(
                    task,
                    completed=done,
                    rate=f"{speed:.1f}/s" if speed else "",
                    metric=metric() if metric else "",
                )
        display.update(task, completed=done)
