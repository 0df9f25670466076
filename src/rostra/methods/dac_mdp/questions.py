"""What-if questions as a person types them: 'action==1:-0.2', 'obs[0]>1.5 & action==2:-1', 'next_obs[2]>0.2'."""

__all__ = ["carried_over", "conditions", "ends", "penalties"]

import functools
import operator
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rostra.engine.errors import InputError
from rostra.fields.rl.transitions import TransitionDataset

if TYPE_CHECKING:
    from .solution import Solution

_OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_TERM = re.compile(r"\s*(action|obs|next_obs)(?:\[(\d+)\])?\s*(==|!=|>=|<=|>|<)\s*([-+\d.eE]+)\s*")
_FORM = "write it as action==1, obs[0]>1.5 or next_obs[2]<0, and join conditions by &"


def conditions(text: str, log: TransitionDataset) -> NDArray[np.bool_]:
    """Where all conditions of a text hold, (N,).

    Args:
        text: conditions joined by "&": a name, a comparison and a number. Names: ``action`` (``action[i]`` of
            continuous ones), ``obs[i]`` and ``next_obs[i]``, number i of the flattened state before and after.
        log: the transitions.

    Raises:
        InputError: for a text of another form, or a number i that a state does not have.
    """
    found = np.ones(len(log), bool)
    for term in text.split("&"):
        match = _TERM.fullmatch(term)
        if match is None:
            raise InputError(f"cannot read the condition '{term.strip()}'; {_FORM}")
        name, place, comparison, value = match.groups()
        try:
            wanted = float(value)
        except ValueError:
            raise InputError(f"'{value}' in '{term.strip()}' is no number") from None
        found &= _OPERATORS[comparison](_column(log, name, place, term.strip()), wanted)
    return found


def penalties(texts: Sequence[str], log: TransitionDataset) -> NDArray[np.float64]:
    """What texts "CONDITIONS:AMOUNT" add to the logged rewards, (N,).

    Raises:
        InputError: for a text of another form.
    """
    total = np.zeros(len(log))
    for text in texts:
        condition, colon, amount = text.rpartition(":")
        try:
            added = float(amount)
        except ValueError:
            colon = ""
        if not colon or not np.isfinite(added):
            raise InputError(f"cannot read the penalty '{text}'; write CONDITION:AMOUNT, such as action==1:-0.2")
        total[conditions(condition, log)] += added
    return total


def ends(texts: Sequence[str], log: TransitionDataset) -> NDArray[np.bool_]:
    """Transitions that lead to a state where one of the texts holds of ``obs``, (N,).

    Raises:
        InputError: for a text of another form, or one that speaks of actions or next states.
    """
    found = np.zeros(len(log), bool)
    for text in texts:
        if "action" in text or "next_obs" in text:
            raise InputError(f"an end state is told by obs[i] alone, got '{text}'")
        found |= conditions(text.replace("obs", "next_obs"), log)
    return found


def carried_over(solution: "Solution") -> dict[str, Any]:
    """What a solution was asked, as :meth:`.DACMDP.solve` takes it: gamma, cost, slip, reward, terminal, mask."""
    log, allowed = solution.model.dataset_, solution.allowed
    masks = [mask for mask in (allowed.actions, allowed.core) if mask is not None]
    return {
        "gamma": solution.gamma,
        "cost": solution.cost,
        "slip": solution.slip,
        "reward": solution.rewards - log.rewards,
        "terminal": solution.problem.terminal,
        "mask": functools.reduce(np.logical_and, masks[::-1]) if masks else None,
    }


def _column(log: TransitionDataset, name: str, place: str | None, term: str) -> NDArray[np.float64]:
    if name == "action":
        columns = log.actions.reshape(len(log), -1)
    else:
        rows = log.source if name == "obs" else log.successor
        columns = log.states.reshape(len(log.states), -1)[rows]
    if place is None and columns.shape[1] > 1:
        raise InputError(f"'{term}' must say which number of {columns.shape[1]}: {name}[0] and so on")
    if int(place or 0) >= columns.shape[1]:
        raise InputError(f"'{term}': {name} has numbers 0 to {columns.shape[1] - 1}")
    return columns[:, int(place or 0)].astype(float)
