"""Which methods are installed. The thirteen are found as a third party's are: by entry point."""

__all__ = ["Method", "command_name", "installed", "lazy_names", "submodule"]

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from .errors import InputError

GROUP = "rostra.methods"
OURS = "rostra.methods."


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


def lazy_names(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package whose names are imported when they are first asked for (PEP 562).

    Args:
        package: its ``__name__``.
        homes: names by the module of the package that defines them.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{home_of[name]}"), name)

    return get


@functools.cache
def installed() -> dict[str, ModuleType]:
    """Python name -> module of every installed method, in order of name. Imports no torch.

    The entry point names a package whose ``METHOD`` is a :class:`Method`, with submodules
    ``commands`` (``app``, a typer application), ``claims`` (``CLAIMS``) and, if it needs data,
    ``data`` (``DATASETS``). A plug-in that cannot be imported, or whose name is taken, is skipped with a
    warning on standard error.
    """
    found: dict[str, ModuleType] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, not _ours(point))):
        if _ours(point):
            found[point.name] = point.load()
        elif point.name in found:
            _warn(point.name, point.value, f"{found[point.name].__name__} has that name")
        else:
            try:
                module = point.load()
                _ = module.METHOD
            except Exception as error:  # whatever a stranger's code raises
                _warn(point.name, point.value, f"{type(error).__name__}: {error}")
            else:
                found[point.name] = module
    return found


def _ours(point: EntryPoint) -> bool:
    return point.value.startswith(OURS)


def _warn(name: str, module: str, reason: str) -> None:
    line = f"warning: plug-in '{name}' ({module}) is left out ({' '.join(reason.split())})"
    print(line, file=sys.stderr)


@functools.cache
def submodule(method: str, name: str) -> ModuleType | None:
    """A submodule of an installed method, such as ``submodule("vcnet", "claims")``; None if it has none.

    That of a plug-in that cannot be imported is left out, with a warning on standard error.

    Raises:
        InputError: if no such method is installed.
    """
    if method not in installed():
        raise InputError(f"no method '{command_name(method)}'; installed: {', '.join(map(command_name, installed()))}")
    package = installed()[method]
    if not hasattr(package, "__path__"):
        return None
    full_name = f"{package.__name__}.{name}"
    if importlib.util.find_spec(full_name) is None:
        return None
    try:
        return importlib.import_module(full_name)
    except Exception as error:  # whatever a stranger's code raises
        if package.__name__.startswith(OURS):
            raise
        _warn(command_name(method), full_name, f"{type(error).__name__}: {error}")
        return None


def command_name(method: str) -> str:
    """A method's name on the command line: ``dac_mdp`` is ``dac-mdp`` there."""
    return method.replace("_", "-")
