"""Which methods are installed. The thirteen are found as a third party's are: by entry point."""

__all__ = ["Method", "command_name", "installed", "submodule"]

import functools
import importlib
import importlib.util
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import ModuleType

from .errors import InputError

GROUP = "rostra.methods"


@dataclass(frozen=True)
class Method:
    """What the face of a room says about it.

    Attributes:
        title: the method's name for people, such as "VCNet".
        field: the field it belongs to, such as "causal inference".
        summary: what it does, in one line.
        paper: the reference.
    """

    title: str
    field: str
    summary: str
    paper: str


@functools.cache
def installed() -> dict[str, ModuleType]:
    """Python name -> module of every installed method, in order of name. Imports no torch.

    The entry point names a package whose ``METHOD`` is a :class:`Method`, with submodules
    ``commands`` (``app``, a typer application), ``claims`` (``CLAIMS``) and, if it needs data,
    ``data`` (``DATASETS``).
    """
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return {point.name: point.load() for point in points}


def submodule(method: str, name: str) -> ModuleType | None:
    """A submodule of an installed method, such as ``submodule("vcnet", "claims")``; None if it has none.

    Raises:
        InputError: if no such method is installed.
    """
    if method not in installed():
        raise InputError(f"no method '{command_name(method)}'; installed: {', '.join(map(command_name, installed()))}")
    full_name = f"{installed()[method].__name__}.{name}"
    return importlib.import_module(full_name) if importlib.util.find_spec(full_name) else None


def command_name(method: str) -> str:
    """A method's name on the command line: ``dac_mdp`` is ``dac-mdp`` there."""
    return method.replace("_", "-")
