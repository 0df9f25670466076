"""The result store: append-only rows, one writer, nothing lost.

A folder holds ``rows/METHOD.jsonl`` (one JSON object a row), ``failures.jsonl``, and what is made
from them: ``results/``, ``figures/`` and ``report.html``. The rows of a trial are written together
and the last one says so; on opening, whatever follows the last such row is the torn tail of a
killed run and is cut off.
"""

__all__ = ["ResultStore", "row_key"]

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from .errors import InputError

MADE_HERE = ("rows", "results", "figures", "networks", "report.html", "failures.jsonl")


def row_key(method: str, run: str, arm: str, settings: Mapping[str, Any], seed: int) -> str:
    """Key of a seed's rows: a hash of everything that defines them. Claims with the same key share rows."""
    text = json.dumps([method, run, arm, dict(settings), seed], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class ResultStore:
    """The rows of one output folder, open for one writer.

    Args:
        folder: made if it is not there.
        fresh: move what earlier runs left into ``folder/previous/TIME`` and start anew.

    Raises:
        InputError: if the folder cannot be written, another run holds it, or a row is damaged.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / ".lock", timeout=0)
            self._lock.acquire()
        except Timeout:
            raise InputError(
                f"another run is writing to '{folder}'; wait for it, or choose another folder with --out"
            ) from None
        except OSError as error:
            raise InputError(f"cannot write to '{folder}' ({error.strerror}); choose another with --out") from None
        try:
            if fresh:
                self._set_aside()
            (folder / "rows").mkdir(exist_ok=True)
            self._rows: dict[str, list[dict[str, Any]]] = {}
            for path in sorted((folder / "rows").glob("*.jsonl")):
                self._open(path)
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()

    def rows(self, key: str) -> list[dict[str, Any]]:
        """The stored records of a key; empty if its trial has not finished."""
        return self._rows.get(key, [])

    def append(self, method: str, records: Iterable[Mapping[str, Any]]) -> None:
        """Write the rows of one finished trial, each with its ``key``; on disk when this returns."""
        complete: list[dict[str, Any]] = [{**record, "last": False} for record in records]
        complete[-1]["last"] = True
        path = self.folder / "rows" / f"{method}.jsonl"
        _append(path, "".join(_line(record) for record in complete))
        for record in complete:
            self._rows.setdefault(record["key"], []).append(record)

    def append_failure(self, failure: Mapping[str, Any]) -> None:
        """Record a trial that did not finish."""
        _append(self.folder / "failures.jsonl", _line({**failure, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}))

    def _open(self, path: Path) -> None:
        data = path.read_bytes()
        records: list[dict[str, Any]] = []
        whole = trial_start = offset = 0
        for number, line in enumerate(data.splitlines(keepends=True), 1):
            offset += len(line)
            try:
                record = json.loads(line)
                key, last = record["key"], record["last"]
            except (ValueError, KeyError, TypeError):
                if offset == len(data):
                    break  # the torn last line of a killed run
                raise InputError(
                    f"'{path}' is damaged in line {number}; mend or move the file, or start anew with --fresh"
                ) from None
            if not line.endswith(b"\n"):
                break
            records.append(record)
            if last:
                for finished in records[trial_start:]:
                    self._rows.setdefault(finished["key"], []).append(finished)
                trial_start, whole = len(records), offset
            del key
        if whole < len(data):
            os.truncate(path, whole)

    def _set_aside(self) -> None:
        present = [self.folder / name for name in MADE_HERE if (self.folder / name).exists()]
        if not present:
            return
        aside = self.folder / "previous" / time.strftime("%Y%m%d-%H%M%S")
        number = 1
        while aside.exists():
            number += 1
            aside = aside.with_name(f"{time.strftime('%Y%m%d-%H%M%S')}-{number}")
        aside.mkdir(parents=True)
        for path in present:
            path.rename(aside / path.name)


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, separators=(",", ":"), allow_nan=True) + "\n"


def _append(path: Path, text: str) -> None:
    """Append in one piece; if that fails (a full disk), put the file back as it was."""
    before = path.stat().st_size if path.exists() else 0
    try:
        with open(path, "ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        if path.exists():
            os.truncate(path, before)
        raise
