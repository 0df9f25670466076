"""The data registry: what a data set is, where it may come from, and whether it is what it should be.

Sources are asked in this order: the mirror ``$ROSTRA_DATA/NAME``, the user's cache, the original
address. Every source yields the same columns; which one was used goes into the evidence.
"""

__all__ = ["Dataset", "Loaded", "RemoteFile", "cache_folder", "fetch", "find", "load"]

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError
from .files import write_atomically

MIRROR_VARIABLE = "ROSTRA_DATA"
RECORDED = "recorded.json"


@dataclass(frozen=True)
class RemoteFile:
    """One file at its original address; without a known hash, the hash at first use is recorded."""

    url: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        """Its file name."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Dataset:
    """One data set.

    Attributes:
        name: as in ``rostra datasets get NAME`` and in the mirror.
        title, licence, columns: for people.
        size: bytes of the original files.
        mirror: file name -> SHA-256 of the files in the mirror's folder of this name.
        read_mirror: reads a folder with those files.
        original: the files at their original addresses.
        read_original: reads a folder with those files; yields what ``read_mirror`` yields.
    """

    name: str
    title: str
    licence: str
    columns: str
    size: int
    mirror: Mapping[str, str]
    read_mirror: Callable[[Path], Any]
    original: tuple[RemoteFile, ...]
    read_original: Callable[[Path], Any]


@dataclass(frozen=True)
class Loaded:
    """A data set in memory, and where it came from.

    Attributes:
        value: what the data set's reader returns.
        source: "mirror", "cache" or "original".
        sha256: file name -> hash of what was read.
        verified: whether every hash was known beforehand; else it was recorded at first use.
    """

    value: Any
    source: str
    sha256: dict[str, str]
    verified: bool

    @property
    def provenance(self) -> dict[str, Any]:
        """What goes into the evidence."""
        return {"source": self.source, "sha256": self.sha256, "verified": self.verified}


def cache_folder() -> Path:
    """The user's folder for fetched data (``platformdirs``)."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("rostra")) / "datasets"


def find(dataset: Dataset) -> tuple[str, Path] | None:
    """("mirror" or "cache", folder) of the first source that has all files, or None."""
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror:
        folder = Path(mirror) / dataset.name
        if all((folder / name).is_file() for name in dataset.mirror):
            return "mirror", folder
    folder = cache_folder() / dataset.name
    if all((folder / remote.name).is_file() for remote in dataset.original):
        return "cache", folder
    return None


def load(dataset: Dataset) -> Loaded:
    """Read a data set from the first source that has it, fetching the original if none has.

    Raises:
        InputError: for a wrong hash (both are named) or an address that cannot be reached.
    """
    place = find(dataset)
    if place is None:
        return _read_original(dataset, fetch(dataset), "original")
    source, folder = place
    if source == "cache":
        return _read_original(dataset, folder, source)
    hashes = {name: _checked(folder / name, expected) for name, expected in dataset.mirror.items()}
    return Loaded(dataset.read_mirror(folder), source, hashes, verified=True)


def fetch(dataset: Dataset) -> Path:
    """Download the original files into the cache (those that are not there yet); returns the folder."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    folder = cache_folder() / dataset.name
    for remote in dataset.original:
        if (folder / remote.name).is_file():
            continue
        try:
            pooch.retrieve(
                remote.url,
                known_hash=remote.sha256 and f"sha256:{remote.sha256}",
                fname=remote.name,
                path=folder,
                progressbar=False,
            )
        except ValueError as error:  # pooch names both hashes and deletes the download
            raise InputError(" ".join(str(error).split())) from None
        except OSError as error:
            raise InputError(
                f"data set '{dataset.name}' is not at hand and {remote.url} cannot be reached "
                f"({type(error).__name__}); set {MIRROR_VARIABLE} to a mirror, or put the file into '{folder}'"
            ) from None
    return folder


def _read_original(dataset: Dataset, folder: Path, source: str) -> Loaded:
    record = folder / RECORDED
    try:
        recorded = json.loads(record.read_text()) if record.is_file() else {}
        if not isinstance(recorded, dict):
            raise ValueError
    except ValueError:
        raise InputError(f"'{record}' is damaged; delete it to record the hashes again") from None
    hashes = {
        remote.name: _checked(folder / remote.name, remote.sha256 or recorded.get(remote.name))
        for remote in dataset.original
    }
    if hashes != recorded:
        with write_atomically(record) as temporary:
            temporary.write_text(json.dumps(hashes, indent=1))
    verified = all(remote.sha256 for remote in dataset.original)
    return Loaded(dataset.read_original(folder), source, hashes, verified)


def _checked(path: Path, expected: str | None) -> str:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if expected is not None and digest != expected:
        raise InputError(f"'{path}' has SHA-256 {digest}, expected {expected}; delete it and fetch it again")
    return digest
