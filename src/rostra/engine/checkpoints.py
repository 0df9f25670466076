"""Checkpoints: a folder with one JSON document and one safetensors file. No pickle.

The JSON names the tensor file, and is replaced last and at once: a kill at any moment leaves the
old checkpoint or the new one, never a mixture.
"""

__all__ = ["check_folder", "load_arrays", "load_checkpoint", "rebuilding", "save_checkpoint", "tuples"]

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .files import plain, write_atomically

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

DOCUMENT = "rostra.json"
FORMAT_VERSION = 1


def _ours(path: Path) -> bool:
    """Whether a first save that was killed may have left this file."""
    return path.name.startswith("tensors-") or (path.name.startswith(".") and ".part" in path.name)


def check_folder(folder: Path) -> None:
    """Check, before any work, that a checkpoint can be saved in a folder.

    Raises:
        InputError: if it is a file, holds other files, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"'{folder}' is a file; a model is saved as a folder")
    if folder.is_dir() and not (folder / DOCUMENT).exists() and not all(map(_ours, folder.iterdir())):
        raise InputError(f"folder '{folder}' holds other files; choose an empty or new folder for the model")
    nearest = folder
    while not nearest.exists():
        nearest = nearest.parent
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise InputError(f"cannot write to '{folder}' ({error.strerror}: '{nearest}'); choose another place") from None


def save_checkpoint(folder: Path, kind: str, tensors: Mapping[str, "Tensor"], content: Mapping[str, Any]) -> None:
    """Write a checkpoint, replacing an older one of any kind in the same folder.

    Args:
        folder: made if it is not there.
        kind: what this is, such as "vcnet"; loading asks for the same kind.
        tensors: written as safetensors.
        content: what JSON can hold; NumPy numbers and arrays become Python's.

    Raises:
        InputError: if the folder holds other files, or cannot be written.
        TypeError, ValueError: if JSON cannot hold the content; nothing is written then.
    """
    from safetensors.torch import save

    check_folder(folder)
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    tensor_file = f"tensors-{digest[:16]}.safetensors"
    document = {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "tensors": tensor_file,
        "sha256": digest,
        "content": content,
    }
    text = json.dumps(document, indent=1, allow_nan=False, default=plain)
    folder.mkdir(parents=True, exist_ok=True)
    with write_atomically(folder / tensor_file) as temporary:
        temporary.write_bytes(data)
    with write_atomically(folder / DOCUMENT) as temporary:
        temporary.write_text(text)
    for stale in folder.glob("tensors-*.safetensors"):
        if stale.name != tensor_file:
            stale.unlink()


def load_checkpoint(folder: Path, kind: str) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Read a checkpoint back: (tensors on the CPU, content).

    Raises:
        InputError: if the folder is missing, damaged, of another kind or of a newer format.
    """
    from safetensors.torch import load

    data, content = _read(folder, kind)
    return load(data), content


def load_arrays(folder: Path, kind: str) -> tuple[dict[str, "NDArray[Any]"], dict[str, Any]]:
    """As :func:`load_checkpoint`, but NumPy arrays: needs no torch."""
    from safetensors.numpy import load

    data, content = _read(folder, kind)
    return load(data), content


@contextlib.contextmanager
def rebuilding(folder: Path | str, mend: str = "fit and save the model again") -> Iterator[None]:
    """Around the code that makes a model of what :func:`load_checkpoint` has read; ``mend`` says what helps.

    Raises:
        InputError: for whatever is missing in it, or does not fit.
    """
    try:
        yield
    except InputError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"'{folder}' is damaged or of another version ({reason}); {mend}") from None


def tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they were before JSON made lists of their tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _read(folder: Path, kind: str) -> tuple[bytes, dict[str, Any]]:
    """The tensor file, checked, and the content."""
    path = folder / DOCUMENT
    if not path.is_file():
        missing = "does not exist" if not folder.exists() else f"holds no {DOCUMENT}"
        raise InputError(f"'{folder}' {missing}; expected a folder saved by Rostra")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version = int(document["format_version"])
        if version > FORMAT_VERSION:
            raise InputError(f"'{folder}' has format {version}, newer than {FORMAT_VERSION}; update Rostra")
        found, tensor_file = document["kind"], Path(document["tensors"]).name
        digest, content = document["sha256"], document["content"]
    except InputError:
        raise
    except (ValueError, KeyError, TypeError):
        raise InputError(f"'{path}' is damaged; fit and save the model again") from None
    if found != kind:
        raise InputError(f"'{folder}' holds a '{found}' model; expected one of '{kind}'")
    try:
        data = (folder / tensor_file).read_bytes()
    except OSError:
        raise InputError(f"'{folder}' lacks its file {tensor_file}; fit and save the model again") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise InputError(f"'{folder / tensor_file}' is truncated or damaged; fit and save the model again")
    return data, content
