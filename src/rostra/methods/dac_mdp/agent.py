"""DAC-MDP: a policy from a log of transitions, by solving the finite MDP that the log spans."""

__all__ = ["DACMDP", "DACMDPContinuous"]

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from rostra.engine.checkpoints import check_folder, load_arrays, rebuilding, save_checkpoint
from rostra.engine.errors import InputError
from rostra.engine.progress import Advance, progress_bar
from rostra.engine.runtime import resolve_device, share_threads_with_numba
from rostra.fields.rl.transitions import TransitionDataset

from . import objective
from .index import INDEXES
from .pairs import (
    ActionModel,
    ContinuousPairs,
    DiscretePairs,
    KMeansActions,
    NearestActions,
    PairEncoder,
    Pairs,
    Tables,
    build_tables,
    check_memory,
    distances_within,
    memory_needed,
)
from .solution import Allowed, Mask, Solution
from .solvers import MAX_SWEEPS, Problem, solve_values

KIND = "dac-mdp"
MAPPED = ("successors", "distances")
"""Tables that a memory map keeps; a saved model names its folder."""
ENCODE_ROWS = 4096
"""Observations that an encoder gets at a time."""
FAR_QUANTILE = 0.99
"""A pair is far from the data if it is farther than this share of logged pairs are from each other."""

Array = NDArray[np.floating]
Encoder = Callable[[Any], Any] | torch.nn.Module
Bonus = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], ArrayLike]


class DACMDP:
    """Offline planning by averaging: DeepAveragers (Shrestha et al. 2021), for discrete actions.

    ``fit`` builds the derived MDP (which is the slow part) and solves it; ``solve`` asks it another question: another
    discount, cost, reward, end states, forbidden actions, or a hand that slips. ``solution_`` is what ``fit`` found.

    Args:
        encoder: observations (n, *shape) -> features (n, d): a function, a torch module (run without gradients), or
            what :func:`.train_dqn` and its like return. None: the observations themselves, flattened.
        k: neighbours of a pair. Averaging smooths over chance; on narrow logs 1 may be the safer choice.
        cost: C, reward lost per unit of distance to a neighbour: caution. In units of reward per scaled feature.
        weights: of neighbours: "uniform", the paper's; "inverse" or "official": see :func:`.neighbour_weights`.
        gamma: discount, in [0, 1).
        scale: "standard" divides each feature by its standard deviation over the log; None keeps them; an array (d,)
            divides by it. Fixed by ``fit``, and saved.
        index: "auto", "exact", "kdtree", "faiss", "hnsw" or "ivf": see :class:`.NeighbourIndex`.
        dtype: "float32", or "float64" for tight tolerances.
        device: of encoders that are torch modules, and of the backend "torch".
        memory_map: a folder where the tables of neighbours are kept instead of in memory. Each build makes a folder of
            its own in it, which stays until its user deletes it; a saved model refers to it.

    Attributes (after ``fit`` or ``build``):
        dataset_: the log.
        features_: of its states, scaled, (M, d).
        scale_: what features were divided by, (d,).
        tables_: neighbours of every core state and action.
        solution_: of ``fit``.
        build_seconds_: time that the build took.

    Raises:
        InputError: for arguments out of range.
    """

    def __init__(
        self,
        encoder: Encoder | None = None,
        k: int = 5,
        cost: float = 1.0,
        weights: str = "uniform",
        gamma: float = 0.99,
        scale: str | ArrayLike | None = "standard",
        index: str = "auto",
        dtype: str = "float32",
        device: str = "cpu",
        memory_map: str | Path | None = None,
    ) -> None:
        if k < 1 or k != int(k):
            raise InputError(f"k must be a whole number of 1 or more, got {k}")
        if weights not in objective.WEIGHTS:
            raise InputError(f"weights must be one of {', '.join(objective.WEIGHTS)}; got '{weights}'")
        if isinstance(scale, str) and scale != "standard":
            raise InputError(f"scale must be 'standard', None or an array, got '{scale}'")
        if index not in INDEXES:
            raise InputError(f"index must be one of {', '.join(INDEXES)}; got '{index}'")
        if dtype not in ("float32", "float64"):
            raise InputError(f"dtype must be 'float32' or 'float64', got '{dtype}'")
        self.encoder, self.k, self.cost, self.weights, self.gamma = encoder, int(k), cost, weights, gamma
        self.scale, self.index, self.dtype, self.device = scale, index, dtype, str(resolve_device(device))
        self.memory_map = None if memory_map is None else Path(memory_map)
        _check_question(gamma, cost, 0.0)

    # ------------------------------------------------- build

    def fit(self, dataset: TransitionDataset, **question: Any) -> Self:
        """Build the derived MDP of a log, and solve it.

        Args:
            dataset: the log.
            question: as :meth:`solve` takes it.

        Raises:
            InputError: for a log or question that cannot be used.
            MemoryError: before any work, if the tables would not fit.
        """
        self.build(dataset)
        self.solution_ = self.solve(**question)
        return self

    def build(self, dataset: TransitionDataset) -> Self:
        """Encode the log's states and search the neighbours of all core states."""
        start = time.perf_counter()
        self._check_log(dataset)
        if self.memory_map is not None:
            if self.memory_map.exists() and not self.memory_map.is_dir():
                raise InputError(f"memory_map '{self.memory_map}' is a file; give a folder")
            self.memory_map.mkdir(parents=True, exist_ok=True)
        self.dataset_ = dataset
        probe = self._encode(dataset.states[:1])
        needed = memory_needed(
            len(dataset),
            self._candidates_expected(dataset),
            self.k,
            np.dtype(self.dtype).itemsize,
            weighted=self.weights != "uniform",
            dimension=probe.shape[1],
            action_size=0 if dataset.is_discrete else dataset.actions.shape[1],
        )
        check_memory(needed, self.memory_map)
        raw = self._encode_all(dataset.states, probe.shape[1])
        self.scale_ = self._scale_of(raw, dataset.source)
        self.features_ = raw / self.scale_
        self._pairs = self._pairs_of(dataset)
        self.tables_ = build_tables(self._pairs, self._core_features, len(dataset), self.k, self.memory_map)
        self.build_seconds_ = time.perf_counter() - start
        return self

    def _check_log(self, dataset: TransitionDataset) -> None:
        if not dataset.is_discrete:
            raise InputError("the log has continuous actions; take DACMDPContinuous")

    def _candidates_expected(self, dataset: TransitionDataset) -> int:
        return cast("int", dataset.action_count)

    def _pairs_of(self, dataset: TransitionDataset) -> Pairs:
        assert dataset.action_count is not None
        missing = [
            str(action)
            for action, count in enumerate(np.bincount(dataset.actions, minlength=dataset.action_count))
            if not count
        ]
        if missing:
            _warn(f"action {', '.join(missing)} was never logged: it cannot be planned with (Q = -inf)")
        return DiscretePairs(self.features_[dataset.source], dataset.actions, dataset.action_count, self.index)

    def narrowed(self, k: int) -> Self:
        """The same build with fewer neighbours, which are the first of those that were found; nothing is searched.

        Raises:
            InputError: for more neighbours than there are.
        """
        if not 1 <= k <= self.k:
            raise InputError(f"k must be in 1 to {self.k}, what was built; got {k}")
        other, found = self._unsolved(), self.tables_
        other.k = k
        other.tables_ = found._replace(
            successors=np.ascontiguousarray(found.successors[:, :, :k]),
            distances=np.ascontiguousarray(found.distances[:, :, :k]),
            counts=np.minimum(found.counts, k),
        )
        return other

    # ------------------------------------------------- solve

    def solve(
        self,
        *,
        gamma: float | None = None,
        cost: float | None = None,
        reward: Bonus | ArrayLike | None = None,
        mask: Mask | ArrayLike | None = None,
        forbid: Sequence[int] = (),
        slip: float = 0.0,
        terminal: Callable[[NDArray[Any]], ArrayLike] | ArrayLike | None = None,
        tol: float | None = None,
        method: str = "modified",
        backend: str = "numba",
        initial: Solution | Array | None = None,
        max_sweeps: int = MAX_SWEEPS,
        advance: Advance | None = None,
    ) -> Solution:
        """Solve the derived MDP that was built, for any question; neighbours and distances stay.

        Args:
            gamma, cost: None: those of the model.
            reward: added to the logged rewards: an array (N,), or a function of all logged observations (N, *shape),
                actions (N,) and next observations that gives one.
            mask: which actions are allowed: bool of shape (A,), or (N, A) at core states (elsewhere that of the nearest
                core state), or a function of observations (n, *shape) that gives (n, A). In planning and in acting.
            forbid: actions that are not allowed anywhere.
            slip: probability that a random allowed action happens in place of the chosen one.
            terminal: more end states: bool of shape (N,) for the state that each transition leads to, or a function of
                observations that gives it.
            tol, method, backend, max_sweeps: see :func:`.solve_values`.
            initial: a solution or its values to start from, such as that of a question that is not far.
            advance: told of every sweep; None: a progress display of its own.

        Raises:
            InputError: for a question out of range, or a core state where no action is allowed.
        """
        if not hasattr(self, "tables_"):
            raise InputError("the model is not built yet; call fit(log) or build(log) first")
        start = time.perf_counter()
        gamma, cost = self.gamma if gamma is None else gamma, self.cost if cost is None else cost
        _check_question(gamma, cost, slip)
        rewards = self._rewards(reward)
        ended = self._ended(terminal)
        allowed = self._allowed(mask, forbid)
        weights = self._core_weights(cost)
        means = self._allowed_rewards(rewards, cost, weights, allowed)
        stuck = ~ended & ~np.isfinite(means).any(1)
        if stuck.any():
            raise InputError(
                f"no action is allowed after transition {int(stuck.argmax())} ({int(stuck.sum())} such states); allow "
                "one there, or declare it an end state"
            )
        problem = Problem(self.tables_.successors, weights, means, ended)
        values = initial.values if isinstance(initial, Solution) else initial
        options: dict[str, Any] = {"slip": slip, "tol": tol, "method": method, "backend": backend}
        options |= {"device": self.device, "initial": values, "max_sweeps": max_sweeps}
        if advance is not None:
            solved = solve_values(problem, gamma, **options, advance=advance)
        else:
            with progress_bar("solve", 0) as shown:
                solved = solve_values(problem, gamma, **options, advance=shown)
        return Solution(
            self._unsolved(),  # which stays as it is when this model is built anew
            problem,
            solved.values,
            solved.policy,
            solved.error_bound,
            solved.sweeps,
            time.perf_counter() - start,
            gamma,
            cost,
            slip,
            rewards,
            allowed,
        )

    def act(self, observations: ArrayLike, **options: Any) -> Any:
        """Actions by ``solution_``; see :meth:`.Solution.act`."""
        return self._solved().act(observations, **options)

    def q_values(self, observations: ArrayLike, **options: Any) -> Array:
        """Q by ``solution_``; see :meth:`.Solution.q_values`."""
        return self._solved().q_values(observations, **options)

    def explain(self, observation: ArrayLike, **options: Any) -> Any:
        """Where a Q of ``solution_`` comes from; see :meth:`.Solution.explain`."""
        return self._solved().explain(observation, **options)

    def _unsolved(self) -> Self:
        """The same build, which later ones of this model do not change."""
        other = copy.copy(self)
        other.__dict__.pop("solution_", None)
        return other

    def _solved(self) -> Solution:
        if not hasattr(self, "solution_"):
            raise InputError("the model is not solved yet; call fit(log) first")
        return self.solution_

    def coverage(self) -> dict[str, Any]:
        """How far the plan's pairs are from the data.

        Returns:
            ``threshold``: the 99 % quantile of the distances between a logged pair and the nearest other one;
            ``far``: share of (core state, action) whose nearest neighbour is farther, by action; ``share``: of all;
            ``recall``: share of the true neighbours that the index finds.
        """
        within = distances_within(self._pairs)
        # a log in which no pair has another of its action says nothing: everything else is far from it
        threshold = float(np.nanquantile(within, FAR_QUANTILE)) if np.isfinite(within).any() else 0.0
        there = self.tables_.counts > 0
        alive = ~self.dataset_.terminals
        nearest = self.tables_.distances[:, :, 0][alive]
        far = (nearest > threshold).mean(0) if alive.any() else np.zeros(len(there))
        far = np.where(there, far, 1.0)
        return {
            "threshold": threshold,
            "far": far.tolist(),
            "share": float(far.mean()),
            "recall": self._pairs.recall,
        }

    # ------------------------------------------------- what a question needs

    def _rewards(self, bonus: Bonus | ArrayLike | None) -> Array:
        data = self.dataset_
        if bonus is None:
            return data.rewards.copy()  # a read-only array would have the loops compiled once more
        found = np.asarray(
            bonus(data.observations, data.actions, data.next_observations) if callable(bonus) else bonus, float
        )
        if found.shape != (len(data),):
            raise InputError(f"reward must have one number a transition, shape ({len(data)},); got {found.shape}")
        if not np.isfinite(found).all():
            raise InputError(f"reward is not finite at transition {int((~np.isfinite(found)).argmax())}")
        return data.rewards + found

    def _ended(self, terminal: Callable[[NDArray[Any]], ArrayLike] | ArrayLike | None) -> NDArray[np.bool_]:
        data = self.dataset_
        if terminal is None:
            return data.terminals.copy()
        found = np.asarray(terminal(data.next_observations) if callable(terminal) else terminal)
        if found.shape != (len(data),) or found.dtype != bool:
            raise InputError(f"terminal must be bool of shape ({len(data)},); got {found.dtype} of shape {found.shape}")
        return data.terminals | found

    def _allowed(self, mask: Mask | ArrayLike | None, forbid: Sequence[int]) -> Allowed:
        n, count, _ = self.tables_.successors.shape
        actions = np.ones(count, bool)
        if len(forbid) and self.dataset_.action_count is None:
            raise InputError("actions without numbers cannot be forbidden by one; give a mask of states' candidates")
        for action in forbid:
            if action != int(action) or not 0 <= action < count:
                raise InputError(f"cannot forbid action {action}; there are 0 to {count - 1}")
            actions[int(action)] = False
        if mask is None or callable(mask):
            return Allowed(actions if len(forbid) else None, None, mask)
        found = np.asarray(mask)
        if found.dtype != bool or found.shape not in ((count,), (n, count)):
            raise InputError(
                f"mask must be bool of shape ({count},) or ({n}, {count}); got {found.dtype} of shape {found.shape}"
            )
        if found.ndim == 1:
            return Allowed(actions & found)
        return Allowed(actions if len(forbid) else None, found)

    def _core_weights(self, cost: float) -> Array:
        """(N, A, k), or empty for 1 / k each."""
        counts, k = self.tables_.counts, self.tables_.successors.shape[2]
        full = bool(((counts == k) | (counts == 0)).all())
        if full and (self.weights == "uniform" or (self.weights == "official" and cost == 0)):
            return np.empty((0, 0, 0), self.dtype)
        used = None if full else np.arange(k) < counts[:, None]
        found = np.empty(self.tables_.distances.shape, self.dtype)
        for rows in (slice(start, start + 65_536) for start in range(0, len(found), 65_536)):
            found[rows] = self._weights_of(self.tables_.distances[rows], used, cost)
        return found

    def _weights_of(self, distances: Array, used: NDArray[np.bool_] | None, cost: float) -> Array:
        return objective.neighbour_weights(distances, self.weights, cost=cost, used=used)

    def _allowed_rewards(self, rewards: Array, cost: float, weights: Array, allowed: Allowed) -> Array:
        """(N, A), penalised; -inf where an action is not allowed or was never logged."""
        means = self._mean_rewards(rewards, cost, weights)
        if not np.isfinite(means).all():
            raise InputError(f"rewards, or cost times distance, are too large for {self.dtype}; take smaller units")
        means[:, self.tables_.counts == 0] = -np.inf
        data = self.dataset_
        at_core = allowed.at_core(lambda rows: data.states[data.successor[rows]], *means.shape)
        if at_core is not None:
            means[~at_core] = -np.inf
        return means

    def _mean_rewards(self, rewards: Array, cost: float, weights: Array) -> Array:
        """(N, A), penalised."""
        from .kernels import mean_rewards

        share_threads_with_numba()
        found = np.empty(self.tables_.successors.shape[:2], self.dtype)
        mean_rewards(rewards, self.tables_.successors, self.tables_.distances, weights, float(cost), found)
        return found

    # ------------------------------------------------- observations

    def _core_features(self, rows: slice | NDArray[np.int64]) -> Array:
        return self.features_[self.dataset_.successor[rows]]

    def _batch(self, observations: ArrayLike) -> tuple[NDArray[Any], bool]:
        """(a batch of observations, whether one alone was given)."""
        found, shape = np.asarray(observations), self.dataset_.observation_shape
        single = found.shape == shape
        if not single and found.shape[1:] != shape:
            raise InputError(f"observations must have shape {('n', *shape)}, got {found.shape}".replace("'n'", "n"))
        batch = found[None] if single else found
        if batch.dtype.kind == "f" and not np.isfinite(batch).all():
            bad = ~np.isfinite(batch.reshape(len(batch), -1)).all(1)
            raise InputError(f"observation {int(bad.argmax())} is not finite")
        return batch, single

    def features_of(self, observations: NDArray[Any]) -> Array:
        """Scaled features (n, d) of a batch of observations (n, *shape)."""
        return self._features_of(self._batch(observations)[0])

    def _features_of(self, batch: NDArray[Any]) -> Array:
        return self._encode_all(batch, len(self.scale_)) / self.scale_

    def _encode_all(self, observations: NDArray[Any], dimension: int) -> Array:
        if self.encoder is None:
            return self._encode(observations)
        found = np.empty((len(observations), dimension), self.dtype)
        with progress_bar("encode", len(observations)) as advance:
            for start in range(0, len(observations), ENCODE_ROWS):
                rows = slice(start, start + ENCODE_ROWS)
                own = self._encode(observations[rows])
                if own.shape[1] != dimension:
                    raise InputError(f"the encoder gave {dimension} features, then {own.shape[1]}")
                found[rows] = own
                advance(len(own), "")
        return found

    def _encode(self, observations: NDArray[Any]) -> Array:
        if self.encoder is None:
            return observations.reshape(len(observations), prod(observations.shape[1:])).astype(self.dtype)
        if isinstance(self.encoder, torch.nn.Module):
            module = self.encoder.to(self.device).eval()
            batch = torch.as_tensor(np.array(observations), device=self.device)
            parameter = next(module.parameters(), None)
            if parameter is not None and batch.is_floating_point():
                batch = batch.to(parameter.dtype)
            with torch.no_grad():
                found = module(batch).cpu().numpy()
        else:
            found = np.asarray(self.encoder(observations))
        if found.ndim != 2 or len(found) != len(observations):
            raise InputError(
                f"the encoder gave shape {found.shape} for {len(observations)} observations; expected "
                f"({len(observations)}, d)"
            )
        if not np.isfinite(found).all():
            raise InputError(f"the encoder's features of observation {_first_bad(found)} are not finite")
        return found.astype(self.dtype)

    def _scale_of(self, raw: Array, source: NDArray[np.int64]) -> Array:
        if self.scale is None:
            return np.ones(raw.shape[1], self.dtype)
        if isinstance(self.scale, str):
            own = raw[source]
            deviation = own.std(0, dtype=np.float64)
            rounding = 1e3 * np.finfo(self.dtype).eps * np.abs(own).max(0)  # a constant column deviates by so much
            return np.where(deviation > rounding, deviation, 1.0).astype(self.dtype)
        found = np.asarray(self.scale, self.dtype)
        if found.shape != raw.shape[1:] or not (found > 0).all() or not np.isfinite(found).all():
            raise InputError(f"scale must hold {raw.shape[1]} numbers above 0, one a feature; got {self.scale}")
        return found

    # ------------------------------------------------- files

    def save(self, folder: str | Path, notes: dict[str, Any] | None = None) -> None:
        """Write the model, its log and its solution into a folder.

        An encoder of :mod:`.encoders` is saved with it; any other is the caller's, and given to :meth:`load` again.

        Args:
            folder: made if it is not there; a model in it is replaced.
            notes: what JSON can hold; ``notes_`` after loading.

        Raises:
            InputError: if the folder cannot be used, or actions are masked by a function, which no file can hold.
        """
        from .encoders import TrainedEncoder

        solution = self._solved()
        if solution.allowed.function is not None:
            raise InputError("a mask that is a function cannot be saved; solve with an array, or save before")
        check_folder(Path(folder))
        encoder = "none" if self.encoder is None else "own"
        tensors: dict[str, torch.Tensor] = {}
        encoder_content: dict[str, Any] = {}
        if isinstance(self.encoder, TrainedEncoder):
            encoder = "trained"
            found, encoder_content = self.encoder.state()
            tensors |= {f"encoder.{name}": value for name, value in found.items()}
        data = self.dataset_
        columns = ("states", "source", "successor", "actions", "rewards", "terminals", "timeouts", "episodes")
        arrays = {f"log.{name}": getattr(data, name) for name in columns}
        arrays |= {"features": self.features_, "scale": self.scale_}
        tables = self.tables_._asdict()
        folder_of_tables = None
        if isinstance(self.tables_.successors, np.memmap):
            folder_of_tables = str(Path(str(self.tables_.successors.filename)).resolve().parent)
            tables = {name: value for name, value in tables.items() if name not in MAPPED}
        arrays |= {f"tables.{name}": value for name, value in tables.items()}
        arrays |= {"solution.values": solution.values, "solution.policy": solution.policy}
        arrays |= {"solution.rewards": solution.rewards, "solution.terminal": solution.problem.terminal}
        for name, mask in (("actions", solution.allowed.actions), ("core", solution.allowed.core)):
            if mask is not None:
                arrays[f"solution.allowed.{name}"] = mask
        tensors |= {
            name: torch.from_numpy(np.array(value)) for name, value in arrays.items()
        }  # torch takes no read-only array
        content = {
            "class": type(self).__name__,
            "settings": self._settings(),
            "encoder": encoder,
            "encoder_content": encoder_content,
            "tables": folder_of_tables,
            "action_count": data.action_count,
            "build_seconds": self.build_seconds_,
            "solution": {
                name: getattr(solution, name) for name in ("error_bound", "sweeps", "seconds", "gamma", "cost", "slip")
            },
            "notes": notes or {},
        }
        save_checkpoint(Path(folder), KIND, tensors, content)

    def _settings(self) -> dict[str, Any]:
        return {
            "k": self.k,
            "cost": self.cost,
            "weights": self.weights,
            "gamma": self.gamma,
            "scale": self.scale
            if self.scale is None or isinstance(self.scale, str)
            else np.asarray(self.scale).tolist(),
            "index": self.index,
            "dtype": self.dtype,
        }

    @classmethod
    def load(cls, folder: str | Path, *, encoder: Encoder | None = None, device: str = "cpu") -> Self:
        """Read a saved model back, with its solution.

        Args:
            folder: of :meth:`save`.
            encoder: the one that the model was fitted with, unless it was saved with it.
            device: as in the class.

        Raises:
            InputError: if the folder is missing or damaged, holds another kind of model, or an encoder is missing.
        """
        arrays, content = load_arrays(Path(folder), KIND)
        with rebuilding(folder):
            return cls._rebuilt(folder, arrays, content, encoder, device)

    @classmethod
    def _rebuilt(
        cls, folder: str | Path, arrays: dict[str, Any], content: dict[str, Any], encoder: Any, device: str
    ) -> Self:
        kinds = {kind.__name__: kind for kind in (DACMDP, DACMDPContinuous)}
        kind = kinds[content["class"]]
        if not issubclass(kind, cls):
            raise InputError(f"'{folder}' holds a model of continuous actions; load it with {kind.__name__}")
        if content["encoder"] == "trained":
            from .encoders import TrainedEncoder

            prefix = "encoder."
            tensors = {
                name.removeprefix(prefix): torch.as_tensor(value)
                for name, value in arrays.items()
                if name.startswith(prefix)
            }
            encoder = TrainedEncoder.from_state(tensors, content["encoder_content"], device=device)
        elif content["encoder"] == "own" and encoder is None:
            raise InputError(f"the model in '{folder}' was fitted with an encoder of its user's; give encoder=")
        model = kind(encoder, device=device, **kind._restored(content["settings"]))
        log = {name.removeprefix("log."): value for name, value in arrays.items() if name.startswith("log.")}
        model.dataset_ = TransitionDataset(**log, action_count=content["action_count"])
        model.scale_, model.features_ = arrays["scale"], arrays["features"]
        if content["tables"] is not None:
            arrays |= {f"tables.{name}": _mapped(Path(content["tables"]) / f"{name}.npy") for name in MAPPED}
        model.tables_ = Tables(**{name: arrays[f"tables.{name}"] for name in Tables._fields})
        model._pairs = model._pairs_of(model.dataset_)
        model.build_seconds_, model.notes_ = content["build_seconds"], content["notes"]
        asked = content["solution"]
        allowed = Allowed(arrays.get("solution.allowed.actions"), arrays.get("solution.allowed.core"))
        rewards = arrays["solution.rewards"]
        weights = model._core_weights(asked["cost"])
        means = model._allowed_rewards(rewards, asked["cost"], weights, allowed)
        problem = Problem(model.tables_.successors, weights, means, arrays["solution.terminal"])
        model.solution_ = Solution(
            model,
            problem,
            arrays["solution.values"],
            arrays["solution.policy"],
            rewards=rewards,
            allowed=allowed,
            **asked,
        )
        return cast("Self", model)

    @classmethod
    def _restored(cls, settings: dict[str, Any]) -> dict[str, Any]:
        return settings

    notes_: dict[str, Any]


class DACMDPContinuous(DACMDP):
    """:class:`DACMDP` for continuous actions: each core state has candidate actions, as in the authors' later code.

    Args:
        encoder, k, cost, weights, gamma, scale, index, dtype, device, memory_map: as in :class:`DACMDP`, but weights
            are "inverse": a pair's neighbours have other actions too, and uniform weights wash their differences out.
        action_model: gives the candidates of a state; None: ``NearestActions(5) + KMeansActions(10)``.
        sa_encoder: "concat", "delta", or a function of features (n, d) and actions (n, m) that gives embeddings (n, e)
            of pairs: see :class:`.ContinuousPairs`.
        pair_weights: of the state's features and of the action in "concat", and in the search of "delta".
    """

    def __init__(
        self,
        encoder: Encoder | None = None,
        k: int = 5,
        cost: float = 1.0,
        weights: str = "inverse",
        gamma: float = 0.99,
        scale: str | ArrayLike | None = "standard",
        index: str = "auto",
        dtype: str = "float32",
        device: str = "cpu",
        memory_map: str | Path | None = None,
        *,
        action_model: ActionModel | None = None,
        sa_encoder: str | PairEncoder = "delta",
        pair_weights: tuple[float, float] = (2.0, 1.0),
    ) -> None:
        super().__init__(encoder, k, cost, weights, gamma, scale, index, dtype, device, memory_map)
        if isinstance(sa_encoder, str) and sa_encoder not in ("concat", "delta"):
            raise InputError(f"sa_encoder must be 'concat', 'delta' or a function, got '{sa_encoder}'")
        self.action_model = NearestActions(5) + KMeansActions(10) if action_model is None else action_model
        self.sa_encoder, self.pair_weights = sa_encoder, pair_weights

    def _check_log(self, dataset: TransitionDataset) -> None:
        if dataset.is_discrete:
            raise InputError("the log has discrete actions; take DACMDP")

    def _candidates_expected(self, dataset: TransitionDataset) -> int:
        return sum(model.count for model in _models(self.action_model))

    def _pairs_of(self, dataset: TransitionDataset) -> Pairs:
        return ContinuousPairs(
            self.features_[dataset.source],
            self.features_[dataset.successor],
            dataset.actions.astype(self.dtype),
            self.action_model,
            self.sa_encoder,
            self.pair_weights,
            self.index,
        )

    def _settings(self) -> dict[str, Any]:
        if callable(self.sa_encoder):
            raise InputError("a model whose sa_encoder is a function cannot be saved")
        models = [{"model": type(model).__name__, **asdict(model)} for model in _models(self.action_model)]
        own = {"action_model": models, "sa_encoder": self.sa_encoder, "pair_weights": list(self.pair_weights)}
        return super()._settings() | own

    @classmethod
    def _restored(cls, settings: dict[str, Any]) -> dict[str, Any]:
        from .pairs import CombinedActions

        kinds = {"NearestActions": NearestActions, "KMeansActions": KMeansActions}
        models: list[Any] = []
        for own in settings["action_model"]:
            given = dict(own)
            models.append(kinds[given.pop("model")](**given))
        weights = tuple(settings["pair_weights"])
        return settings | {"action_model": CombinedActions(tuple(models)), "pair_weights": weights}


def _models(model: ActionModel) -> list[Any]:
    from .pairs import CombinedActions

    return [own for part in model.models for own in _models(part)] if isinstance(model, CombinedActions) else [model]


def _check_question(gamma: float, cost: float, slip: float) -> None:
    if not 0 <= gamma < 1:
        raise InputError(f"gamma must be at least 0 and below 1, got {gamma}")
    if not 0 <= cost < np.inf:
        raise InputError(f"cost must be 0 or more, and finite; got {cost}")
    if not 0 <= slip <= 1:
        raise InputError(f"slip must be in 0 to 1, got {slip}")


def _mapped(path: Path) -> NDArray[Any]:
    try:
        return cast("NDArray[Any]", np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError):
        raise InputError(f"the model's table '{path}' is not there or damaged; fit it again") from None


def _first_bad(values: Array) -> int:
    return int((~np.isfinite(values)).any(1).argmax())


def _warn(text: str) -> None:
    import warnings

    warnings.warn(text, stacklevel=4)
