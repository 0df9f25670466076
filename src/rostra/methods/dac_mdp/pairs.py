"""Which logged pairs are near to a state and each of its candidate actions.

With discrete actions the candidates are the actions, and only pairs with the same action are neighbours: one index an
action. With continuous ones a state's candidates come from action models, and neighbours are near in a joint space of
states and actions.
"""

__all__ = [
    "CombinedActions",
    "ContinuousPairs",
    "DiscretePairs",
    "KMeansActions",
    "LookUp",
    "NearestActions",
    "Tables",
    "build_tables",
    "check_memory",
    "distances_within",
    "memory_needed",
]

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rostra.engine.errors import InputError
from rostra.engine.progress import progress_bar
from rostra.engine.runtime import available_memory

from .index import NeighbourIndex, distinct_rows

Array = NDArray[np.floating]
BLOCK_PAIRS = 1 << 18
"""Queries at a time in a build."""
SPARE = 256 << 20
"""Bytes that Python and its libraries take besides."""


class LookUp(NamedTuple):
    """Neighbours of states and their candidate actions."""

    rows: NDArray[np.integer]
    """(n, A, k), logged transitions."""
    distances: Array
    """(n, A, k)."""
    counts: NDArray[np.int64]
    """(A,), how many of the k are neighbours: fewer where an action was logged less often, 0 where never."""
    actions: NDArray[Any]
    """(A,) ids of the actions, or (n, A, m) candidates."""

    @property
    def used(self) -> NDArray[np.bool_] | None:
        """Which entries are neighbours, (A, k); None: all."""
        k = self.rows.shape[2]
        return None if (self.counts >= k).all() else np.arange(k) < self.counts[:, None]


class OwnNeighbours(NamedTuple):
    """Neighbours of every logged pair."""

    rows: NDArray[np.integer]
    """(N, k), logged transitions."""
    distances: Array
    """(N, k)."""
    used: NDArray[np.bool_]
    """(N, k), which entries are neighbours."""


class Pairs(Protocol):
    """What a build and a look-up ask."""

    @property
    def candidate_count(self) -> int:
        """A."""

    @property
    def recall(self) -> float:
        """Share of the true neighbours that are found."""

    def look_up(self, features: Array, k: int) -> LookUp:
        """Neighbours of states (n, d) and all their candidate actions."""

    def own_neighbours(self, k: int) -> OwnNeighbours:
        """Neighbours of every logged pair, itself among them."""


class DiscretePairs:
    """An index of the logged states of each action.

    Args:
        features: of the logged states, (N, d).
        actions: (N,).
        action_count: A.
        kind: of the indexes.
    """

    def __init__(self, features: Array, actions: NDArray[np.int64], action_count: int, kind: str) -> None:
        self._features = features
        self._rows = [np.flatnonzero(actions == action) for action in range(action_count)]
        self._indexes = [NeighbourIndex(features[rows], kind) if len(rows) else None for rows in self._rows]
        self.candidate_count = action_count
        self.recall = min((index.recall for index in self._indexes if index), default=1.0)

    def look_up(self, features: Array, k: int) -> LookUp:
        """See :class:`Pairs`."""
        n = len(features)
        rows = np.zeros((n, self.candidate_count, k), np.int32)
        distances = np.zeros(rows.shape, features.dtype)
        counts = np.zeros(self.candidate_count, np.int64)
        for action, (own, index) in enumerate(zip(self._rows, self._indexes, strict=True)):
            if index is None:
                continue
            found, distance = index.search(features, k)
            counts[action] = found.shape[1]
            rows[:, action, : counts[action]] = own[found]
            distances[:, action, : counts[action]] = distance
        return LookUp(rows, distances, counts, np.arange(self.candidate_count))

    def own_neighbours(self, k: int) -> OwnNeighbours:
        """See :class:`Pairs`."""
        rows = np.zeros((len(self._features), k), np.int64)
        distances, used = np.zeros(rows.shape, self._features.dtype), np.zeros(rows.shape, bool)
        for own, index in zip(self._rows, self._indexes, strict=True):
            if index is not None:
                found, distance = index.search(self._features[own], k)
                there = found.shape[1]
                rows[own, :there], distances[own, :there], used[own, :there] = own[found], distance, True
        return OwnNeighbours(rows, distances, used)


# ------------------------------------------------------- continuous actions


@dataclass(frozen=True)
class NearestActions:
    """A state's candidates: the actions at the logged states nearest to it."""

    count: int = 5

    def __add__(self, other: "ActionModel") -> "CombinedActions":
        return CombinedActions((self, other))

    def fit(self, features: Array, actions: Array, kind: str) -> Callable[[Array], Array]:
        """The candidates (n, count, m) of states (n, d), from the logged states (N, d) and their actions (N, m)."""
        index, count = NeighbourIndex(features, kind), min(self.count, len(actions))
        return lambda states: actions[index.search(states, count)[0]]


@dataclass(frozen=True)
class KMeansActions:
    """Candidates that all states share: centres of the logged actions, by k-means on a sample of at most 10,000."""

    count: int = 10
    seed: int = 0

    def __add__(self, other: "ActionModel") -> "CombinedActions":
        return CombinedActions((self, other))

    def fit(self, features: Array, actions: Array, kind: str) -> Callable[[Array], Array]:
        """See :meth:`NearestActions.fit`."""
        from sklearn.cluster import KMeans

        generator = np.random.default_rng(self.seed)
        sample = actions if len(actions) <= 10_000 else actions[generator.choice(len(actions), 10_000, replace=False)]
        count = min(self.count, len(np.unique(sample, axis=0)))
        centres = KMeans(count, n_init=1, random_state=self.seed).fit(sample).cluster_centers_.astype(actions.dtype)
        order = np.lexsort(centres.T[::-1])
        return lambda states: np.broadcast_to(centres[order], (len(states), *centres.shape))


@dataclass(frozen=True)
class CombinedActions:
    """The candidates of several models, one after another."""

    models: tuple[Any, ...]

    def __add__(self, other: "ActionModel") -> "CombinedActions":
        return CombinedActions((*self.models, other))

    def fit(self, features: Array, actions: Array, kind: str) -> Callable[[Array], Array]:
        """See :meth:`NearestActions.fit`."""
        fitted = [model.fit(features, actions, kind) for model in self.models]
        return lambda states: np.concatenate([candidates(states) for candidates in fitted], axis=1)


ActionModel = NearestActions | KMeansActions | CombinedActions
PairEncoder = Callable[[Array, Array], Array]
"""Features (n, d) and actions (n, m) -> embeddings (n, e) of the pairs."""


class ContinuousPairs:
    """An index of embedded pairs.

    Args:
        features: of the logged states, (N, d).
        next_features: of their next states, (N, d).
        actions: (N, m).
        action_model: gives each state's candidates.
        encoder: "concat": state_weight * s beside action_weight * a. "delta": the next state that the nearest logged
            pair in that space predicts, s + (s'_i - s_i). A function of features and actions: its embeddings.
        weights: (state_weight, action_weight).
        kind: of the indexes.
    """

    def __init__(
        self,
        features: Array,
        next_features: Array,
        actions: Array,
        action_model: ActionModel,
        encoder: str | PairEncoder,
        weights: tuple[float, float],
        kind: str,
    ) -> None:
        self._features = features
        self._candidates = action_model.fit(features, actions, kind)
        state_weight, action_weight = (features.dtype.type(weight) for weight in weights)

        def concat(states: Array, chosen: Array) -> Array:
            return np.concatenate([state_weight * states, action_weight * chosen], axis=1)

        if callable(encoder):
            self._embed: PairEncoder = encoder
        elif encoder == "concat":
            self._embed = concat
        elif encoder == "delta":
            nearest, moves = NeighbourIndex(concat(features, actions), kind), next_features - features
            self._embed = lambda states, chosen: states + moves[nearest.search(concat(states, chosen), 1)[0][:, 0]]
        else:
            raise InputError(f"sa_encoder must be 'concat', 'delta' or a function, got '{encoder}'")
        self._own = self._embed(features, actions)
        self._index = NeighbourIndex(self._own, kind)
        self.candidate_count = self._candidates(features[:1]).shape[1]
        self.recall = self._index.recall

    def look_up(self, features: Array, k: int) -> LookUp:
        """See :class:`Pairs`."""
        candidates = self._candidates(features)
        n, count, size = candidates.shape
        states = np.repeat(features, count, axis=0)
        embedded = self._embed(states, candidates.reshape(n * count, size))
        if embedded.ndim != 2 or len(embedded) != n * count or embedded.shape[1] != self._own.shape[1]:
            raise InputError(
                f"sa_encoder gave shape {embedded.shape} for {n * count} pairs; expected ({n * count}, "
                f"{self._own.shape[1]})"
            )
        found, distances = self._index.search(embedded, k)
        shape = (n, count, found.shape[1])
        counts = np.full(count, found.shape[1])
        return LookUp(
            _padded(found.reshape(shape), k).astype(np.int32),
            _padded(distances.reshape(shape).astype(features.dtype), k),
            counts,
            candidates,
        )

    def own_neighbours(self, k: int) -> OwnNeighbours:
        """See :class:`Pairs`."""
        found, distances = self._index.search(self._own, k)
        return OwnNeighbours(found, distances.astype(self._features.dtype), np.ones(found.shape, bool))


def _padded(values: NDArray[Any], k: int) -> NDArray[Any]:
    missing = k - values.shape[2]
    return np.pad(values, ((0, 0), (0, 0), (0, missing))) if missing else values


# ------------------------------------------------------- tables of all core states


class Tables(NamedTuple):
    """Neighbours of every core state and candidate action, arrays or memory-mapped files."""

    successors: NDArray[np.int32]
    """(N, A, k): a neighbour's transition is the core state that it leads to."""
    distances: Array
    """(N, A, k)."""
    counts: NDArray[np.int64]
    """(A,), see :class:`LookUp`."""
    actions: NDArray[Any]
    """(A,) ids, or (N, A, m) candidates."""


def memory_needed(
    n: int, candidates: int, k: int, itemsize: int, *, weighted: bool, dimension: int, action_size: int = 0
) -> dict[str, int]:
    """Bytes of the parts of a model of n transitions: "tables" may lie on disk, "rest" may not.

    Args:
        n, candidates, k: transitions, actions or candidates of a state, neighbours.
        itemsize: bytes of a number.
        weighted: whether each neighbour's weight is stored.
        dimension: of the features.
        action_size: numbers of a candidate action that is stored for each state; 0 of discrete actions.
    """
    pairs = n * candidates
    # features as they are encoded and scaled, those of logged states, and an index's own; of up to 2 n states
    features = 8 * n * dimension * itemsize
    return {
        "tables": pairs * k * (4 + itemsize),
        "rest": pairs * (2 * itemsize + action_size * itemsize + (k * itemsize if weighted else 0)) + features + SPARE,
    }


def check_memory(needed: dict[str, int], memory_map: Path | None) -> None:
    """Refuse a build that cannot fit, before any work.

    Raises:
        MemoryError: with the estimate and the remedy.
    """
    memory, gib = available_memory(), 2**30
    total = needed["rest"] + (0 if memory_map else needed["tables"])
    if total > memory:
        remedy = "a smaller k, a part of the log" + (
            "" if memory_map else ", or memory_map=FOLDER, which keeps them on disk"
        )
        raise MemoryError(
            f"the derived MDP needs about {total / gib:.3g} GiB (neighbour tables {needed['tables'] / gib:.3g}) and "
            f"this machine has {memory / gib:.3g}; take {remedy}"
        )
    if memory_map and needed["tables"] > (free := shutil.disk_usage(memory_map).free):
        raise MemoryError(
            f"the neighbour tables need {needed['tables'] / gib:.3g} GiB and '{memory_map}' has {free / gib:.3g} free; "
            "take another folder or a smaller k"
        )


def build_tables(pairs: Pairs, core: Callable[[slice], Array], n: int, k: int, memory_map: Path | None) -> Tables:
    """Search the neighbours of all core states, in blocks.

    Args:
        pairs: the log.
        core: features of some core states, (rows, d).
        n: number of core states.
        k: neighbours.
        memory_map: a folder; the two large tables are written to a new one in it, which stays. None keeps them in
            memory.
    """
    shape = (n, pairs.candidate_count, k)
    folder = None if memory_map is None else Path(tempfile.mkdtemp(prefix="tables-", dir=memory_map))

    def table(name: str, kind: Any) -> NDArray[Any]:
        if folder is None:
            return np.empty(shape, kind)
        return np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, shape)

    successors, distances = table("successors", np.int32), table("distances", core(slice(1)).dtype)
    actions: list[NDArray[Any]] = []
    size = max(1, BLOCK_PAIRS // pairs.candidate_count)
    with progress_bar("neighbours", n) as advance:
        for rows in (slice(start, min(n, start + size)) for start in range(0, n, size)):
            features = core(rows)
            distinct, which = distinct_rows(features)
            found = pairs.look_up(features[distinct], k)
            successors[rows], distances[rows] = found.rows[which], found.distances[which]
            if found.actions.ndim > 1:
                actions.append(found.actions[which])
            advance(rows.stop - rows.start, "")
    return Tables(successors, distances, found.counts, np.concatenate(actions) if actions else found.actions)


def distances_within(pairs: Pairs) -> Array:
    """Distance of every logged pair to the nearest other one, (N,); NaN where there is no other."""
    found = pairs.own_neighbours(2)
    return np.where(found.used[:, 1], found.distances[:, 1], np.nan)
