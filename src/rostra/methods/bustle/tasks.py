"""Tasks: columns to fill from a few examples. The paper's two sets, and forty of everyday tables.

The everyday set belongs to this package. Its people and firms are invented, each task has a short
program in the language, and every constant of that program can be extracted from the task's examples.
"""

__all__ = ["DATASETS", "SETS", "Row", "Task", "load_tasks"]

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from rostra.engine.datasets import Dataset, RemoteFile, load
from rostra.engine.errors import InputError

TaskSet = Literal["everyday", "bustle38", "sygus"]
SETS: tuple[TaskSet, ...] = get_args(TaskSet)


@dataclass(frozen=True)
class Row:
    """Inputs of one row and the output that belongs to them."""

    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Task:
    """A column to fill.

    Attributes:
        name: unique in its set.
        description: what the column holds; may be empty.
        train: rows that a search may see.
        test: held-out rows; none for SyGuS.
        reference: a program of the language that solves it, for the everyday set.
    """

    name: str
    description: str
    train: tuple[Row, ...]
    test: tuple[Row, ...] = ()
    reference: str | None = None

    @property
    def inputs(self) -> list[tuple[str, ...]]:
        """Inputs of the train rows."""
        return [row.inputs for row in self.train]

    @property
    def outputs(self) -> list[str]:
        """Outputs of the train rows."""
        return [row.output for row in self.train]


def load_tasks(name: TaskSet) -> tuple[Task, ...]:
    """The tasks of a set: "everyday" (40), "bustle38" (the paper's own) or "sygus" (89).

    The paper's sets are read from the mirror ``$ROSTRA_DATA/bustle``, the user's cache or their original
    address; use :func:`rostra.engine.datasets.load` with ``DATASETS`` to learn which it was.

    Raises:
        InputError: if there is no such set, or it is neither at hand nor within reach.
    """
    if name == "everyday":
        file = resources.files(__package__).joinpath("everyday.json")
        return _mirrored(json.loads(file.read_text(encoding="utf-8")))
    if name not in SETS:
        raise InputError(f"no set of tasks '{name}'; choose {', '.join(SETS)}")
    tasks: Mapping[str, tuple[Task, ...]] = load(DATASETS[0]).value
    return tasks[name]


def _rows(examples: Iterable[Mapping[str, Any]]) -> tuple[Row, ...]:
    return tuple(Row(tuple(example["inputs"]), example["output"]) for example in examples)


def _mirrored(tasks: Iterable[Mapping[str, Any]]) -> tuple[Task, ...]:
    return tuple(
        Task(
            task["name"],
            task.get("description", ""),
            _rows(task["train"]),
            _rows(task["test"]),
            task.get("reference"),
        )
        for task in tasks
    )


def _original(tasks: Iterable[Mapping[str, Any]], *, held_out: bool) -> tuple[Task, ...]:
    """Tasks as CrossBeam's repository has them; SyGuS has no held-out rows, there the train rows are repeated."""
    return tuple(
        Task(
            task["name"].removesuffix(".sl"),
            task["description"] if held_out else "",
            _rows(task["trainExamples"]),
            _rows(task["testExamples"]) if held_out else (),
        )
        for task in tasks
    )


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _read_mirror(folder: Path) -> dict[str, tuple[Task, ...]]:
    return {name: _mirrored(_json(folder / f"{name}.json")) for name in ("bustle38", "sygus")}


def _read_original(folder: Path) -> dict[str, tuple[Task, ...]]:
    return {
        "bustle38": _original(_json(folder / "new_benchmarks.json"), held_out=True),
        "sygus": _original(_json(folder / "sygus_benchmarks.json"), held_out=False),
    }


_CROSSBEAM = "https://raw.githubusercontent.com/google-research/crossbeam/main/crossbeam/data/"

DATASETS = (
    Dataset(
        name="bustle",
        title="Program-synthesis tasks of the BUSTLE paper: its own 38, and 89 of SyGuS",
        licence="Apache-2.0 (the 38 tasks and the collection); none stated for SyGuS's files",
        columns="127 tasks of 1 to 3 input columns and one output, all texts",
        size=162_905,
        mirror={
            "bustle38.json": "92f32614fab11d01b3591029ad932c2f3a76ff64f00f6a344c5c61bc743cab38",
            "sygus.json": "2597dc318cf3eaea7a6bf560cc82e038e5d3a7b0820c150a65e2d150c94d7f06",
        },
        read_mirror=_read_mirror,
        original=(
            RemoteFile(_CROSSBEAM + "new/new_benchmarks.json"),
            RemoteFile(_CROSSBEAM + "sygus/sygus_benchmarks.json"),
        ),
        read_original=_read_original,
    ),
)
