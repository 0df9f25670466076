"""A fixed log of transitions (s, a, r, s'), the input of offline reinforcement learning.

An end state (*terminal*) is worth 0 for ever. An episode that was cut (*timeout*) is not: the state
that it was cut in has a future, which the log does not show. The two are never confused here, and the
last state of one episode is never taken for the predecessor of the first state of the next.
"""

__all__ = ["TransitionDataset", "check_minari_id", "read_log"]

import hashlib
import itertools
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rostra.engine.errors import InputError
from rostra.engine.files import writable, write_atomically

from .environments import MOST_STATES, one_hot

if TYPE_CHECKING:
    import pandas as pd
    from minari import MinariDataset

FORMAT_VERSION = 1
BLOCK_ELEMENTS = 2**22
"""Observations are checked and compared in blocks, so that a log of images needs no second copy in memory."""
ARROW_STEPS = 100_000
"""Minari reads an Arrow episode wrongly from 131,072 states on."""
OBSERVATION_PREFIXES = ("obs_", "observation_")
ACTION_PREFIX = "action_"
NEXT_PREFIX = "next_"


@dataclass(frozen=True, eq=False)
class TransitionDataset:
    """N transitions over a table of M states, in the order of the log. Arrays are read-only.

    Consecutive steps share a state, so the log is stored once: s_i is ``states[source[i]]`` and s'_i is
    ``states[successor[i]]``.

    Attributes:
        states: shape (M, *observation_shape), bool, whole or floating numbers of any width.
        source: rows of ``states``, shape (N,), int64.
        successor: rows of ``states``, shape (N,), int64. That of a terminal transition may be a
            placeholder; no value depends on it.
        actions: shape (N,), int64, for discrete actions; shape (N, m), float32, for continuous ones.
        rewards: shape (N,), float64.
        terminals: whether the episode ended in s'_i, shape (N,), bool.
        timeouts: whether the log of the episode was cut after row i, shape (N,), bool.
        episodes: ids, non-decreasing, shape (N,), int64.
        action_count: number of discrete actions, 0 to action_count - 1; None for continuous ones.

    Raises:
        InputError: if the log is empty, lengths differ, a number is not finite, an action is out of range,
            or a row of ``states`` is not there.
    """

    states: NDArray[Any]
    source: NDArray[np.int64]
    successor: NDArray[np.int64]
    actions: NDArray[Any]
    rewards: NDArray[np.float64]
    terminals: NDArray[np.bool_]
    timeouts: NDArray[np.bool_]
    episodes: NDArray[np.int64]
    action_count: int | None

    def __post_init__(self) -> None:
        states = _numbers("states", self.states)
        if states.ndim < 2:
            raise InputError(f"states must have shape (M, *observation_shape), got {states.shape}")
        count = len(_numbers("source", self.source))
        if count == 0:
            raise InputError("the log is empty; it needs at least one transition")
        _check_finite("states", states)
        source = _indices("source", self.source, count, len(states))
        successor = _indices("successor", self.successor, count, len(states))
        actions, action_count = _actions(self.actions, self.action_count)
        _check_length("actions", actions, count, "source")
        rewards = _column("rewards", self.rewards, count, "source").astype(np.float64, copy=False)
        _check_finite("rewards", rewards)
        terminals = _flags("terminals", self.terminals, count, "source")
        timeouts = _flags("timeouts", self.timeouts, count, "source")
        episodes = _whole("episodes", _column("episodes", self.episodes, count, "source"))
        falls = np.flatnonzero(np.diff(episodes) < 0)
        if falls.size:
            raise InputError(f"episodes[{falls[0] + 1}] is smaller than the id before it; ids must not decrease")
        timeouts = timeouts & ~terminals  # an episode that ended in its last permitted step has ended
        columns = (states, source, successor, actions, rewards, terminals, timeouts, episodes)
        for field, column in zip(fields(self), columns, strict=False):
            frozen = column.view()  # the caller's own array stays writable
            frozen.flags.writeable = False
            object.__setattr__(self, field.name, frozen)
        object.__setattr__(self, "action_count", action_count)

    def __len__(self) -> int:
        return len(self.source)

    @property
    def is_discrete(self) -> bool:
        """Whether actions are numbers 0 to ``action_count`` - 1."""
        return self.action_count is not None

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Shape of one observation."""
        return self.states.shape[1:]

    @property
    def observations(self) -> NDArray[Any]:
        """s_i, gathered: shape (N, *observation_shape)."""
        return self.states[self.source]

    @property
    def next_observations(self) -> NDArray[Any]:
        """s'_i, gathered: shape (N, *observation_shape)."""
        return self.states[self.successor]

    def _starts(self) -> NDArray[np.int64]:
        """Rows at which episodes begin, shape (episodes,)."""
        return np.flatnonzero(np.diff(self.episodes, prepend=self.episodes[0] - 1))

    def episode_returns(self) -> NDArray[np.float64]:
        """Undiscounted sum of the logged rewards of every episode, in order: shape (episodes,), float64."""
        return np.add.reduceat(self.rewards, self._starts())

    def initial_states(self) -> NDArray[np.int64]:
        """Rows of ``states`` in which episodes begin, in order: shape (episodes,), int64."""
        return self.source[self._starts()]

    def summary(self) -> dict[str, Any]:
        """What the log holds, in plain numbers, for people and JSON."""
        counts = None if self.action_count is None else np.bincount(self.actions, minlength=self.action_count).tolist()
        returns = self.episode_returns()
        return {
            "transitions": len(self),
            "states": len(self.states),
            "observation_shape": list(self.observation_shape),
            "observation_dtype": str(self.states.dtype),
            "episodes": len(returns),
            "terminals": int(self.terminals.sum()),
            "timeouts": int(self.timeouts.sum()),
            "mean_return": float(returns.mean()),
            "mean_length": len(self) / len(returns),
            "actions": counts,
            "action_shape": list(self.actions.shape[1:]),
        }

    def select(self, rows: ArrayLike) -> Self:
        """A dataset with only these transitions, and the states that they need.

        The last transition kept of an episode counts as cut by a timeout, unless it is terminal.

        Args:
            rows: row numbers (kept in the order of the log, repeats and all), or a mask of shape (N,), bool.

        Raises:
            InputError: if no row is selected, or one is not in the log.
        """
        chosen = np.asarray(rows)
        if chosen.dtype == bool:
            _check_length("the mask", chosen, len(self), "the log")
            chosen = np.flatnonzero(chosen)
        elif chosen.size and chosen.dtype.kind not in "iu":
            raise InputError(f"rows must be whole numbers or a mask, got {chosen.dtype}")
        if chosen.size == 0:
            raise InputError("no row is selected; a log needs at least one transition")
        chosen = np.sort(chosen.ravel()).astype(np.int64)
        if chosen[0] < 0 or chosen[-1] >= len(self):
            outside = chosen[0] if chosen[0] < 0 else chosen[-1]
            raise InputError(f"row {outside} is not in the log, which has rows 0 to {len(self) - 1}")
        episodes, terminals = self.episodes[chosen], self.terminals[chosen]
        last = np.append(episodes[1:] != episodes[:-1], True)
        states, source, successor = _used_states(self.states, self.source[chosen], self.successor[chosen])
        return type(self)(
            states,
            source,
            successor,
            self.actions[chosen],
            self.rewards[chosen],
            terminals,
            (self.timeouts[chosen] | last) & ~terminals,
            episodes,
            self.action_count,
        )

    def head(self, n: int) -> Self:
        """The first n transitions; all of them if there are no more.

        Raises:
            InputError: if n is less than 1.
        """
        return self.select(np.arange(min(n, len(self))))

    def digest(self) -> str:
        """SHA-256 over all contents, in hexadecimal; the same for a log that was saved and loaded."""
        sha = hashlib.sha256(f"{FORMAT_VERSION} {self.action_count}".encode())
        for name in _ARRAYS:
            column = np.ascontiguousarray(getattr(self, name))
            column = column.astype(column.dtype.newbyteorder("<"), copy=False)
            sha.update(f"{name} {column.dtype.str} {column.shape}".encode())
            sha.update(column.data)
        return sha.hexdigest()

    @classmethod
    def from_arrays(
        cls,
        observations: ArrayLike,
        actions: ArrayLike,
        rewards: ArrayLike,
        next_observations: ArrayLike | None = None,
        terminals: ArrayLike | None = None,
        timeouts: ArrayLike | None = None,
        episodes: ArrayLike | None = None,
        action_count: int | None = None,
    ) -> Self:
        """A log from one row a step, episode after episode.

        An episode ends after a terminal, a timeout, and where the id in ``episodes`` changes; its last
        transition counts as a timeout unless it is terminal. If neither ``timeouts`` nor ``episodes`` are
        given, it also ends where ``next_observations[i]`` is not ``observations[i + 1]``.

        Without ``next_observations`` the successor of a step is the next observation of its episode. The
        last step of an episode that is not terminal has none, and is dropped. A terminal one keeps its own
        observation as a placeholder.

        Args:
            observations: shape (N, *observation_shape), or (N,) for single numbers; the dtype is kept.
            actions: shape (N,), whole numbers, for discrete actions; shape (N, m), floats, for continuous.
            rewards: shape (N,).
            next_observations: as ``observations``. Rows equal to the next observation are stored once.
            terminals: shape (N,), bool or 0 and 1; None means that no episode ended.
            timeouts: shape (N,), bool or 0 and 1. A row that is terminal as well is terminal.
            episodes: ids of any kind, shape (N,); rows of one episode lie together.
            action_count: number of discrete actions; None means the largest logged one plus 1.

        Raises:
            InputError: if the log is empty, lengths or shapes differ, a number is not finite, a discrete action
                is not whole or out of range, or the rows of an episode do not lie together.
        """
        before = _observations("observations", observations)
        count = len(before)
        if count == 0:
            raise InputError("the log is empty; it needs at least one transition")
        for name, values in [
            ("actions", actions),
            ("rewards", rewards),
            ("next_observations", next_observations),
            ("terminals", terminals),
            ("timeouts", timeouts),
            ("episodes", episodes),
        ]:
            if values is not None:
                _check_length(name, _array(name, values), count, "observations")
        _check_finite("observations", before)
        numbered, action_count = _actions(actions, action_count)
        reward = _column("rewards", rewards, count, "observations").astype(np.float64)
        _check_finite("rewards", reward)
        terminal = _flags("terminals", terminals, count, "observations")
        ends = terminal | _flags("timeouts", timeouts, count, "observations")
        ids = None if episodes is None else _column("episodes", episodes, count, "observations", numeric=False)
        after = None
        if next_observations is not None:
            after = _observations("next_observations", next_observations)
            if after.shape != before.shape:
                raise InputError(f"next_observations have shape {after.shape}, observations {before.shape}")
            _check_finite("next_observations", after)
        # follows[i]: whether row i + 1 goes on where row i ended.
        follows = np.ones(count - 1, dtype=bool) if after is None else _equal_rows(after[:-1], before[1:])
        if timeouts is None and episodes is None:
            ends[:-1] |= ~follows
        episode_ids, ends = _episode_ids(ids, ends)
        if after is None:
            successor = np.arange(count) + ~terminal
            kept = np.flatnonzero(~ends | terminal)
            if kept.size == 0:
                raise InputError(
                    "no step has a known successor: every episode is one step long; give next_observations"
                )
            states, source, successor = _used_states(before, kept, successor[kept])
            numbered, reward, terminal = numbered[kept], reward[kept], terminal[kept]
            episode_ids = episode_ids[kept]
            ends = np.append(episode_ids[1:] != episode_ids[:-1], True)
        else:
            apart = ends.copy()  # a successor with a row of its own
            apart[:-1] |= ~follows
            source = np.arange(count) + np.cumsum(apart) - apart
            successor = source + 1  # the row of the next observation where that is the same one
            dtype = np.result_type(before.dtype, after.dtype)
            states = np.empty((count + int(apart.sum()), *before.shape[1:]), dtype)
            states[source] = before
            states[successor[apart]] = after[apart]
        timeout = ends & ~terminal
        return cls(states, source, successor, numbered, reward, terminal, timeout, episode_ids, action_count)

    @classmethod
    def from_d4rl(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """A log from arrays with D4RL's names.

        Args:
            arrays: "observations", "actions", "rewards" and, if they are there, "next_observations",
                "terminals", "timeouts", and "episodes" and "action_count" of :meth:`from_arrays`. Others are
                left out.

        Raises:
            InputError: if one of the first three is missing; else as :meth:`from_arrays`.
        """
        required = ("observations", "actions", "rewards")
        missing = [name for name in required if name not in arrays]
        if missing:
            raise InputError(f"the log has no {' and no '.join(missing)}; it has: {', '.join(arrays) or 'nothing'}")
        optional = ("next_observations", "terminals", "timeouts", "episodes")
        columns = {name: np.asarray(arrays[name]) for name in (*required, *optional) if name in arrays}
        count = int(np.asarray(arrays["action_count"]).item()) if "action_count" in arrays else None
        return cls.from_arrays(**columns, action_count=count)

    @classmethod
    def from_minari(cls, dataset: "MinariDataset") -> Self:
        """A log from a Minari data set.

        Observations of a Discrete space of n states become one-hot float32 rows, shape (n,), as :func:`collect`
        logs them. An episode that Minari marks as neither terminated nor truncated at its last step counts as cut.

        Raises:
            InputError: if observations are neither Box nor Discrete of at most 10,000 states, actions neither
                Discrete (from 0) nor a Box of one axis; if the data set is empty, a number is not finite, or an
                observation no state of its space.
        """
        from gymnasium.spaces import Box, Discrete

        space, actions = dataset.observation_space, dataset.action_space
        name = f"Minari data set '{dataset.id}'"
        if not isinstance(space, Box | Discrete):
            raise InputError(
                f"{name} has observations of space {type(space).__name__}; Box and Discrete can be read: "
                "choose the array that matters, and use TransitionDataset.from_arrays"
            )
        if isinstance(space, Discrete) and space.n > MOST_STATES:
            raise InputError(
                f"{name} has observations of {space.n:,} states, and at most {MOST_STATES:,} are made one-hot: "
                "describe a state by a few numbers, and use TransitionDataset.from_arrays"
            )
        if isinstance(actions, Discrete):
            action_count = int(actions.n)
            usable = actions.start == 0
        else:
            action_count = None
            usable = isinstance(actions, Box) and len(actions.shape) == 1
        if not usable:
            raise InputError(f"{name} has actions {actions}; Discrete from 0 and Box of one axis can be read")
        columns: dict[str, list[NDArray[Any]]] = {name: [] for name in ("states", "actions", "rewards", "ends", "cuts")}
        lengths = []
        for episode in dataset.iterate_episodes():
            length = len(episode.rewards)
            if length == 0:
                continue
            states = np.asarray(episode.observations)
            if len(states) != length + 1:
                raise InputError(f"episode {episode.id} of {name} has {len(states)} observations for {length} steps")
            if isinstance(space, Discrete):
                states = one_hot(space, states)
            else:
                states = states.reshape(len(states), *(space.shape or (1,)))
            _check_finite(f"observations of episode {episode.id}", states)
            lengths.append(length)
            columns["states"].append(states)
            columns["actions"].append(np.asarray(episode.actions))
            columns["rewards"].append(np.asarray(episode.rewards, dtype=np.float64))
            columns["ends"].append(np.asarray(episode.terminations, dtype=bool))
            columns["cuts"].append(np.asarray(episode.truncations, dtype=bool))
        if not lengths:
            raise InputError(f"{name} is empty; a log needs at least one transition")
        if sum(lengths) != dataset.total_steps:  # Minari reads no more than 131,072 states of an Arrow episode
            raise InputError(f"{name} has {dataset.total_steps} steps, but {sum(lengths)} could be read")
        joined = {name: np.concatenate(parts) for name, parts in columns.items()}
        number = np.repeat(np.arange(len(lengths)), lengths)
        source = np.arange(len(number)) + number  # an episode has one state more than steps
        terminal = joined["ends"]
        episodes, ends = _episode_ids(number, terminal | joined["cuts"])
        return cls(
            joined["states"],
            source,
            source + 1,
            joined["actions"],
            joined["rewards"],
            terminal,
            ends & ~terminal,
            episodes,
            action_count,
        )

    def to_minari(self, dataset_id: str, env: str | None = None) -> "MinariDataset":
        """Write the log as a local Minari data set, without loss: observations are a Box, also one-hot ones.

        Args:
            dataset_id: such as "mine/cartpole-v0"; must not exist.
            env: id of the environment that the log is from; None derives the spaces from the log.

        Raises:
            InputError: if the id is malformed or taken, the environment unknown, or minari not installed.
        """
        minari = _minari()
        import gymnasium
        from gymnasium.spaces import Box, Discrete
        from minari.data_collector import EpisodeBuffer
        from minari.dataset.minari_dataset import parse_dataset_id

        if env is not None:
            try:
                gymnasium.spec(env)
            except gymnasium.error.Error as error:
                raise InputError(f"no environment '{env}': {error}") from None
        goes_on = (self.successor[:-1] == self.source[1:]) & (self.episodes[:-1] == self.episodes[1:])
        goes_on &= ~(self.terminals | self.timeouts)[:-1]
        edges = np.flatnonzero(np.concatenate([[True], ~goes_on, [True]]))
        buffers = []
        for start, stop in itertools.pairwise(edges.tolist()):
            rows = slice(start, stop)
            states = np.append(self.source[rows], self.successor[stop - 1])
            truncations = np.zeros(stop - start, dtype=bool)
            truncations[-1] = not self.terminals[stop - 1]
            buffers.append(
                EpisodeBuffer(
                    observations=self.states[states],
                    actions=self.actions[rows],
                    rewards=self.rewards[rows],
                    terminations=self.terminals[rows],
                    truncations=truncations,
                )
            )
        data_format = "arrow" if np.diff(edges).max() < ARROW_STEPS else "hdf5"
        dtype = self.states.dtype
        if dtype.kind == "f":
            low, high = -np.inf, np.inf
        else:
            low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        spaces: dict[str, Any] = {
            "observation_space": Box(low, high, self.observation_shape, dtype.type),
            "action_space": Box(-np.inf, np.inf, self.actions.shape[1:], np.float32)
            if self.action_count is None
            else Discrete(self.action_count),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # asks for an author and the like
            try:
                parse_dataset_id(dataset_id)  # before a folder of that name is made
                return minari.create_dataset_from_buffers(
                    dataset_id, buffers, env=env, data_format=data_format, jpeg_encoding=False, **spaces
                )
            except (ValueError, TypeError) as error:  # TypeError: an id without a version
                reason = f" ({error})" if isinstance(error, ValueError) else ""
                raise InputError(
                    f"cannot make the Minari data set '{dataset_id}'{reason}; give a new id such as mine/log-v0"
                ) from None

    @classmethod
    def from_csv(
        cls,
        path: str | Path,
        observations: Sequence[str] | None = None,
        action: str | Sequence[str] | None = None,
        reward: str = "reward",
        next_observations: Sequence[str] | None = None,
        terminal: str | None = None,
        timeout: str | None = None,
        episode: str | None = None,
        action_count: int | None = None,
    ) -> Self:
        """A log from a CSV or Parquet file, one row a step, episode after episode.

        Args:
            path: of the file; ".parquet" is read as Parquet, all else as CSV.
            observations: columns; None means all that begin with "obs_" or "observation_", in their order.
            action: a column of discrete actions, or the columns of continuous ones; None means "action" or, if
                there is no such column, all that begin with "action_".
            reward: a column.
            next_observations: columns, in the order of ``observations``; None means "next_" and their names, if
                those are there.
            terminal, timeout, episode: columns; None means "terminal", "timeout" and "episode", if they are there.
            action_count: as in :meth:`from_arrays`.

        Raises:
            InputError: if the file cannot be read, or a column is not there or not of numbers; else as
                :meth:`from_arrays`.
        """
        from rostra.fields.tabular.tables import check_names, number_column, quoted

        table = _table(Path(path))
        names = [str(name) for name in table.columns]
        if observations is None:
            observations = [name for name in names if name.startswith(OBSERVATION_PREFIXES)]
            if not observations:
                raise InputError(
                    f"'{path}' has no column that begins with {' or '.join(OBSERVATION_PREFIXES)}; "
                    f"name the columns of the observation; there are: {quoted(names[:20])}"
                )
        if next_observations is None:
            following = [NEXT_PREFIX + name for name in observations]
            absent = [name for name in following if name not in names]
            if absent and len(absent) < len(following):
                raise InputError(f"'{path}' has some columns of the next observation, but not {quoted(absent)}")
            next_observations = None if absent else following
        elif len(next_observations) != len(observations):
            raise InputError(
                f"{len(next_observations)} columns of the next observation are named for {len(observations)} of the "
                "observation; name as many, in the same order"
            )
        if action is None:
            action = [name for name in names if name.startswith(ACTION_PREFIX)] if "action" not in names else "action"
            action = action or "action"
        optional = {
            name: name if column is None and name in names else column
            for name, column in (("terminal", terminal), ("timeout", timeout), ("episode", episode))
        }
        action_columns = [action] if isinstance(action, str) else list(action)
        asked = [*observations, *action_columns, reward, *(next_observations or []), *filter(None, optional.values())]
        check_names(table, asked)

        def matrix(columns: Sequence[str]) -> NDArray[np.float64]:
            return np.stack([number_column(table[name], name).to_numpy() for name in columns], axis=1)

        flags = {
            name: None if optional[name] is None else matrix([str(optional[name])])[:, 0] for name in _FLAG_COLUMNS
        }
        actions = matrix(action_columns)
        return cls.from_arrays(
            matrix(observations),
            actions[:, 0] if isinstance(action, str) else actions,
            matrix([reward])[:, 0],
            None if next_observations is None else matrix(next_observations),
            terminals=flags["terminal"],
            timeouts=flags["timeout"],
            episodes=None if optional["episode"] is None else table[optional["episode"]].to_numpy(),
            action_count=action_count,
        )

    def save(self, path: str | Path) -> None:
        """Write the log as an npz file that NumPy reads without pickle; whole, or not at all.

        Raises:
            InputError: if the file cannot be written there.
        """
        path = writable(Path(path))
        count = -1 if self.action_count is None else self.action_count
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        with write_atomically(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, format_version=FORMAT_VERSION, action_count=count, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what :meth:`save` wrote, or an npz file with the names of :meth:`from_d4rl`.

        Raises:
            InputError: if the file is missing, damaged, of a newer format, or holds no log.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"'{path}' {'is a folder' if path.is_dir() else 'does not exist'}; give an npz file")
        try:
            # Opened here, since NumPy leaves a damaged file open.
            with open(path, "rb") as file:
                archive = np.load(file, allow_pickle=False)
                if not isinstance(archive, np.lib.npyio.NpzFile):
                    raise ValueError("one array only")
                arrays = {name: archive[name] for name in archive.files}
        except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"'{path}' is no npz file that can be read without pickle ({reason})") from None
        try:
            if "states" not in arrays:
                return cls.from_d4rl(arrays)
            missing = [name for name in (*_ARRAYS, "format_version", "action_count") if name not in arrays]
            if missing:
                raise InputError(f"the log has no {' and no '.join(missing)}; save it again")
            version, count = int(arrays["format_version"]), int(arrays["action_count"])
            if version > FORMAT_VERSION:
                raise InputError(f"the log has format {version}, newer than {FORMAT_VERSION}; update Rostra")
            return cls(**{name: arrays[name] for name in _ARRAYS}, action_count=None if count < 0 else count)
        except (InputError, TypeError) as error:
            raise InputError(f"'{path}': {error}") from None


_ARRAYS = tuple(field.name for field in fields(TransitionDataset) if field.name != "action_count")
_FLAG_COLUMNS = ("terminal", "timeout")


def check_minari_id(dataset_id: str) -> None:
    """Check, before any work, that a Minari data set of this name can be made on this machine.

    Raises:
        InputError: if the name is of another form, or taken.
    """
    minari = _minari()
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        parse_dataset_id(dataset_id)
        taken = dataset_id in minari.list_local_datasets()
    except (ValueError, TypeError):
        raise InputError(f"'{dataset_id}' is no name of a Minari data set; give one such as mine/log-v0") from None
    if taken:
        raise InputError(f"the Minari data set '{dataset_id}' is there already; give a new name, or delete it")


def read_log(text: str | Path) -> TransitionDataset:
    """The log in "FILE.npz", "FILE.csv", "FILE.parquet" or "minari:ID".

    A Minari data set is read from this machine, and never downloaded.

    Raises:
        InputError: if it is none of these, is not there, or cannot be read.
    """
    text = str(text)
    if text.startswith("minari:"):
        dataset_id = text.removeprefix("minari:")
        minari = _minari()
        try:
            return TransitionDataset.from_minari(minari.load_dataset(dataset_id, download=False))
        except FileNotFoundError:
            raise InputError(
                f"Minari data set '{dataset_id}' is not on this machine; fetch it: minari download {dataset_id}"
            ) from None
        except InputError:
            raise
        except (ValueError, KeyError, AssertionError) as error:  # of another version of Minari, or damaged
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"Minari data set '{dataset_id}' cannot be read ({reason})") from None
    readers = {
        ".npz": TransitionDataset.load,
        ".csv": TransitionDataset.from_csv,
        ".parquet": TransitionDataset.from_csv,
    }
    suffix = Path(text).suffix.lower()
    if suffix not in readers:
        raise InputError(f"'{text}' is no log; give FILE.npz, FILE.csv, FILE.parquet or minari:ID")
    return readers[suffix](text)


def _minari() -> Any:
    """The package."""
    try:
        import minari
    except ImportError:
        raise InputError("Minari data sets need minari: pip install 'rostra[rl]'") from None
    return minari


def _table(path: Path) -> "pd.DataFrame":
    """A CSV or Parquet file."""
    if path.suffix.lower() != ".parquet":
        from rostra.fields.tabular.tables import read_table

        return read_table(path)
    import pandas as pd

    if not path.is_file():
        raise InputError(f"'{path}' {'is a folder' if path.is_dir() else 'does not exist'}; give a Parquet file")
    try:
        table = pd.read_parquet(path)
    except (ValueError, OSError) as error:  # pyarrow's own errors are of these kinds
        raise InputError(f"'{path}' is no Parquet file that can be read ({str(error).splitlines()[0]})") from None
    if table.empty:
        raise InputError(f"'{path}' has no rows")
    return table


def _array(name: str, values: ArrayLike) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError:
        raise InputError(f"{name} must be one array, with rows of one length") from None


def _numbers(name: str, values: ArrayLike) -> NDArray[Any]:
    """An array of bools or numbers."""
    array = _array(name, values)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} must hold numbers, got {array.dtype}")
    return array


def _observations(name: str, values: ArrayLike) -> NDArray[Any]:
    """Shape (N, *observation_shape); single numbers have shape (1,)."""
    array = _numbers(name, values)
    if array.ndim == 0:
        raise InputError(f"{name} must have one row a step, got a single number")
    return array[:, None] if array.ndim == 1 else array


def _column(name: str, values: ArrayLike, count: int, other: str, *, numeric: bool = True) -> NDArray[Any]:
    """Shape (count,); shape (count, 1) is taken too."""
    array = _numbers(name, values) if numeric else _array(name, values)
    if array.dtype.kind == "O":
        array = array.astype(str)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InputError(f"{name} must have shape (N,), got {array.shape}")
    _check_length(name, array, count, other)
    return array


def _check_length(name: str, array: NDArray[Any], count: int, other: str) -> None:
    length = len(array) if array.ndim else 0
    if length != count:
        raise InputError(f"{name} has {length} rows, but {other} {count}; every step needs one row in each")


def _check_finite(name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind != "f":
        return
    rows = max(1, BLOCK_ELEMENTS // max(1, int(np.prod(array.shape[1:]))))
    for start in range(0, len(array), rows):
        block = array[start : start + rows].reshape(min(rows, len(array) - start), -1)
        finite = np.isfinite(block)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise InputError(f"{name}[{start + row}] holds {block[row, column]}; a log must hold finite numbers only")


def _equal_rows(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether rows are equal in every number, shape (rows,)."""
    equal = np.empty(len(left), dtype=bool)
    rows = max(1, BLOCK_ELEMENTS // max(1, int(np.prod(left.shape[1:]))))
    for start in range(0, len(left), rows):
        block = slice(start, start + rows)
        equal[block] = (left[block] == right[block]).all(axis=tuple(range(1, left.ndim)))
    return equal


def _flags(name: str, values: ArrayLike | None, count: int, other: str) -> NDArray[np.bool_]:
    """Shape (count,), bool; None means that none is set."""
    if values is None:
        return np.zeros(count, dtype=bool)
    array = _column(name, values, count, other)
    wrong = np.flatnonzero((array != 0) & (array != 1))
    if wrong.size:
        raise InputError(f"{name}[{wrong[0]}] is {array[wrong[0]]}; it must be true or false, or 1 or 0")
    return array.astype(bool)


def _whole(name: str, array: NDArray[Any]) -> NDArray[np.int64]:
    """Whole numbers as int64."""
    _check_finite(name, array)
    broken = np.flatnonzero(array != np.floor(array)) if array.dtype.kind == "f" else np.empty(0, np.int64)
    if broken.size:
        raise InputError(f"{name}[{broken[0]}] is {array[broken[0]]}, which is no whole number")
    return array.astype(np.int64)


def _indices(name: str, values: ArrayLike, count: int, states: int) -> NDArray[np.int64]:
    """Rows of the table of states."""
    rows = _whole(name, _column(name, values, count, "source"))
    outside = np.flatnonzero((rows < 0) | (rows >= states))
    if outside.size:
        raise InputError(f"{name}[{outside[0]}] is {rows[outside[0]]}, but there are states 0 to {states - 1}")
    return rows


def _actions(values: ArrayLike, action_count: int | None) -> tuple[NDArray[Any], int | None]:
    """(actions as the dataset keeps them, number of discrete actions or None)."""
    actions = _numbers("actions", values)
    whole = actions.dtype.kind != "f"
    if actions.ndim == 2 and actions.shape[1] == 1 and (whole or action_count is not None):
        actions = actions[:, 0]
    if actions.ndim == 1:
        try:
            numbered = _whole("actions", actions)
        except InputError as error:
            raise InputError(f"{error}; give continuous actions as a matrix, shape (N, m)") from None
        if action_count is None:
            action_count = int(numbered.max(initial=0)) + 1
        outside = np.flatnonzero((numbered < 0) | (numbered >= action_count))
        if outside.size:
            row = outside[0]
            raise InputError(f"actions[{row}] is {numbered[row]}; discrete actions are 0 to {action_count - 1}")
        return numbered, action_count
    if actions.ndim != 2:
        raise InputError(f"actions must have shape (N,) or (N, m), got {actions.shape}")
    if action_count is not None or whole:
        raise InputError(
            f"actions have {actions.shape[1]} whole numbers a row; number the combinations of discrete actions, "
            "or give continuous actions as floats"
        )
    with np.errstate(over="ignore"):  # named below
        continuous = actions.astype(np.float32)
    _check_finite("actions", continuous)
    return continuous, None


def _episode_ids(ids: NDArray[Any] | None, ends: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(ids, last rows) of episodes that end where ``ends`` says, where the given id changes, and with the log.

    Given ids are kept where they can be: numbers that do not decrease, one an episode.
    """
    ends = ends.copy()
    ends[-1] = True
    if ids is not None:
        changes = ids[1:] != ids[:-1]
        firsts = np.append(0, np.flatnonzero(changes) + 1)
        _, first_run = np.unique(ids[firsts], return_index=True)
        again = np.setdiff1d(np.arange(len(firsts)), first_run)
        if again.size:
            row = firsts[again[0]]
            raise InputError(f"episode {ids[row]} comes back in row {row}; sort the log, one episode after the other")
        ends[:-1] |= changes
        if ids.dtype.kind in "iu" and int(ends.sum()) == len(firsts) and bool((np.diff(ids[firsts]) > 0).all()):
            return ids.astype(np.int64), ends
    return np.cumsum(ends) - ends, ends


def _used_states(
    states: NDArray[Any], source: NDArray[np.int64], successor: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """The states that are somebody's, and where they stand now."""
    used = np.zeros(len(states), dtype=bool)
    used[source] = used[successor] = True
    place = np.cumsum(used) - 1
    return states[used], place[source], place[successor]
