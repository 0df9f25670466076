"""Files that are either whole or absent."""

__all__ = ["plain", "write_atomically", "writable"]

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError


def writable(path: Path) -> Path:
    """Check, before any work, that a file can be written at ``path``; :func:`write_atomically` makes its folder.

    Raises:
        InputError: if its folder cannot be made or written to, or ``path`` is a folder.
    """
    try:
        if path.is_dir():
            raise InputError(f"'{path}' is a folder; give the name of a file")
        nearest = path.parent
        while not nearest.exists():
            nearest = nearest.parent
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise InputError(f"cannot write to '{path}' ({error.strerror}); choose another place") from None
    return path


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Give the name of a temporary file beside ``path``; at the end of the block it takes its place.

    If the block raises, the temporary file is removed and what stood at ``path`` is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """A NumPy number or array as Python's: the ``default`` of ``json.dumps``.

    Raises:
        TypeError: for anything else, which JSON cannot hold.
    """
    if not hasattr(value, "tolist"):
        raise TypeError(f"JSON cannot hold a {type(value).__name__}")
    return value.tolist()
