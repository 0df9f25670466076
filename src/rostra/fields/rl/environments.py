"""Batches of environments by id: Gymnasium's, MinAtar's and Atari's, all with one behaviour at an episode's end.

An environment that ends an episode starts the next one in the same step: the observation that comes
back is the first of the next episode, and the last of the old one stands in ``infos["final_obs"]``.
"""

__all__ = [
    "actions_for",
    "check_envs",
    "final_observations",
    "make_envs",
    "observations_of",
    "one_hot",
    "open_envs",
    "restart",
    "seeds_for",
]

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rostra.engine.errors import InputError

if TYPE_CHECKING:
    from gymnasium import Env
    from gymnasium.spaces import Discrete
    from gymnasium.vector import VectorEnv

EXTRA = "pip install 'rostra[rl]'"
MOST_STATES = 10_000
"""Of a Discrete space: a one-hot row has as many numbers, so that a log of more would not fit in memory."""


def make_envs(env_id: str, num_envs: int, **options: Any) -> "VectorEnv[Any, Any, Any]":
    """A batch of independent environments, stepped together; autoreset mode SAME_STEP.

    - "MinAtar/NAME-v1" (minimal actions) and "-v0" (all six): observations (10, 10, channels), bool; sticky
      actions with probability 0.1. ``sticky_action_prob``, ``difficulty_ramping`` and ``max_episode_steps`` are
      options. Most games have no time limit.
    - "ALE/NAME-v5": the usual preprocessing in compiled code: 4 frames a step, the maximum of the last two, 84 x 84
      grey, a stack of the last 4, up to 30 idle frames at the start, an episode cut after 108,000 frames (27,000
      steps), no end at the loss of a life; observations (4, 84, 84), uint8. Options are those of
      ``ale_py.AtariVectorEnv``: ``reward_clipping`` (here False; True for training), ``repeat_action_probability``
      (0.25, as in v5), ``num_threads`` (0: all cores), ...
    - any other id that Gymnasium knows, many in one array where the environment can do that in this mode; options go
      to the environment, ``max_episode_steps`` among them.

    Observations of a Discrete space are numbers here; policies and logs get them as :func:`observations_of` gives
    them, one-hot.

    Args:
        env_id: the environment's id.
        num_envs: number of sub-environments, at least 1.
        options: arguments of the environment.

    Raises:
        InputError: if the id is unknown, a package is missing, an option is refused, or the spaces cannot be used:
            observations must be Box or Discrete of at most 10,000 states, actions Discrete (from 0) or a Box of one
            axis.
    """
    if num_envs < 1:
        raise InputError(f"num_envs must be at least 1, got {num_envs}")
    gymnasium = _package("gymnasium", env_id)
    same_step = gymnasium.vector.AutoresetMode.SAME_STEP
    if env_id.startswith("ALE/"):
        ale = _package("ale_py", env_id)  # registers its environments
        ale.ALEInterface.setLoggerMode(ale.LoggerMode.Error)  # no banner on standard error
        vectorization = {"vectorization_mode": "vector_entry_point", "autoreset_mode": same_step}
        options = {"reward_clipping": False, **options}
    elif _steps_together(gymnasium.registry.get(env_id), same_step):
        vectorization = {"vectorization_mode": "vector_entry_point"}
    else:
        vectorization = {"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": same_step}}
        options = {"disable_env_checker": True, **options}
    if env_id.startswith("MinAtar/"):
        games = _package("minatar.gym", env_id)
        if "MinAtar/Breakout-v1" not in gymnasium.registry:  # MinAtar registers as a plug-in where it is installed
            games.register_envs()
        vectorization["wrappers"] = (_forgetful,)
    try:
        with warnings.catch_warnings():
            if env_id.startswith("MinAtar/"):  # its v0 is another set of actions, not an older version
                warnings.simplefilter("ignore", DeprecationWarning)
            envs: VectorEnv[Any, Any, Any] = gymnasium.make_vec(env_id, num_envs, **vectorization, **options)
    except gymnasium.error.DependencyNotInstalled as error:
        raise InputError(f"environment '{env_id}' needs a package that is missing ({_line(error)}); {EXTRA}") from None
    except ImportError as error:
        raise InputError(f"environment '{env_id}' cannot be imported ({_line(error)}); {EXTRA}") from None
    except gymnasium.error.Error as error:
        raise InputError(f"no environment '{env_id}': {_line(error)}; gymnasium.pprint_registry() lists them") from None
    except TypeError as error:
        raise InputError(f"environment '{env_id}' refuses an option: {_line(error)}") from None
    try:
        check_envs(envs)
    except InputError:
        envs.close()
        raise
    return envs


def check_envs(envs: "VectorEnv[Any, Any, Any]") -> None:
    """Check that a batch of environments has the spaces and the autoreset mode that are used here.

    Raises:
        InputError: if it has not.
    """
    from gymnasium.spaces import Box, Discrete
    from gymnasium.vector import AutoresetMode

    mode = envs.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise InputError(f"the environments have autoreset mode {mode}; make them with AutoresetMode.SAME_STEP")
    space, actions = envs.single_observation_space, envs.single_action_space
    if not isinstance(space, Box | Discrete):
        raise InputError(
            f"observations of space {type(space).__name__} cannot be used; they must be Box or Discrete: "
            "wrap the environment, for example in gymnasium.wrappers.FlattenObservation"
        )
    if isinstance(space, Discrete) and space.n > MOST_STATES:
        raise InputError(
            f"observations are one of {space.n:,} states, and at most {MOST_STATES:,} are made one-hot: wrap the "
            "environment, for example in gymnasium.wrappers.TransformObservation, to describe a state by a few numbers"
        )
    if isinstance(actions, Discrete):
        if actions.start != 0:
            raise InputError(f"discrete actions must be counted from 0, got {actions}")
    elif not (isinstance(actions, Box) and len(actions.shape) == 1):
        raise InputError(f"actions {actions} cannot be used; they must be Discrete, or a Box of one axis")


@contextmanager
def open_envs(
    environment: "str | VectorEnv[Any, Any, Any]", num_envs: int, **options: Any
) -> "Iterator[VectorEnv[Any, Any, Any]]":
    """Environments by id, closed at the end of the block; or those given, checked, and left open.

    Raises:
        InputError: as :func:`make_envs` and :func:`check_envs`; for options beside environments that exist.
    """
    if isinstance(environment, str):
        envs = make_envs(environment, num_envs, **options)
        try:
            yield envs
        finally:
            envs.close()
        return
    if options:
        raise InputError(f"{', '.join(options)}: options are for environments by id; these are made already")
    check_envs(environment)
    yield environment


def seeds_for(seed: int, count: int) -> list[int]:
    """Seeds of ``count`` episodes or environments, 0 to 2^31 - 1; the first ones do not depend on ``count``.

    Raises:
        InputError: if the seed is negative.
    """
    if seed < 0:
        raise InputError(f"seed must not be negative, got {seed}")
    state: list[int] = (np.random.SeedSequence(seed).generate_state(count) >> 1).tolist()
    return state


def restart(envs: "VectorEnv[Any, Any, Any]", rows: NDArray[np.int64], seeds: list[int]) -> NDArray[Any]:
    """Begin a new episode in some sub-environments; gives the observations of all.

    Args:
        envs: the environments; the others are not touched.
        rows: sub-environments, increasing.
        seeds: one a row.
    """
    mask = np.zeros(envs.num_envs, dtype=bool)
    mask[rows] = True
    every: list[int | None] | NDArray[np.int64]
    if type(envs.unwrapped).__name__ == "AtariVectorEnv":  # takes the seeds of those that restart
        every = np.asarray(seeds, dtype=np.int64)
    else:
        every = [None] * envs.num_envs
        for row, seed in zip(rows.tolist(), seeds, strict=True):
            every[row] = seed
    everywhere = bool(mask.all())
    observations, _ = envs.reset(seed=every, options=None if everywhere else {"reset_mask": mask})  # type: ignore[arg-type]
    return observations_of(envs, observations)


def observations_of(envs: "VectorEnv[Any, Any, Any]", observations: ArrayLike) -> NDArray[Any]:
    """A batch as policies and logs see it, shape (count, *observation_shape); Discrete ones by :func:`one_hot`.

    Raises:
        InputError: if an observation is no state of its Discrete space.
    """
    from gymnasium.spaces import Discrete

    space = envs.single_observation_space
    if isinstance(space, Discrete):
        return one_hot(space, observations)
    batch = np.asarray(observations)
    return batch.reshape(len(batch), *(space.shape or (1,)))


def one_hot(space: "Discrete", states: ArrayLike) -> NDArray[np.float32]:
    """A row of zeros with a 1 for each state: any two states are equally far apart, as their numbers are not.

    Args:
        space: of n states, counted from ``space.start``.
        states: their numbers, count of them in any shape.

    Returns:
        Shape (count, n).

    Raises:
        InputError: if a number is no state of the space.
    """
    numbers = np.asarray(states).ravel()
    places = numbers.astype(np.int64) - int(space.start)
    wrong = np.flatnonzero((places < 0) | (places >= space.n))
    if wrong.size:
        raise InputError(
            f"observation {numbers[wrong[0]]} is no state of the environment, which has {space.start} to "
            f"{space.start + space.n - 1}"
        )
    rows = np.zeros((len(places), int(space.n)), np.float32)
    rows[np.arange(len(places)), places] = 1
    return rows


def final_observations(
    envs: "VectorEnv[Any, Any, Any]", infos: dict[str, Any], rows: NDArray[np.int64]
) -> NDArray[Any]:
    """The last observations of the episodes that ended in this step, in these sub-environments."""
    final = infos["final_obs"]  # an array of arrays, or one array
    return observations_of(envs, np.stack([final[row] for row in rows.tolist()]))


def actions_for(envs: "VectorEnv[Any, Any, Any]", actions: ArrayLike, count: int) -> NDArray[Any]:
    """A policy's answer to ``count`` observations, checked and in the dtype of the action space.

    Raises:
        InputError: if its shape is wrong, or a discrete action does not exist.
    """
    from gymnasium.spaces import Discrete

    space = envs.single_action_space
    chosen = np.asarray(actions)
    shape = (count, *(space.shape or ()))
    if chosen.shape != shape:
        raise InputError(f"the policy gave actions of shape {chosen.shape} for {count} observations, expected {shape}")
    if not isinstance(space, Discrete):
        return chosen.astype(space.dtype, copy=False)
    if chosen.dtype.kind not in "biu":
        raise InputError(f"the policy gave actions of type {chosen.dtype}; discrete actions are whole numbers")
    if chosen.size and (chosen.min() < 0 or chosen.max() >= space.n):
        wrong = chosen.min() if chosen.min() < 0 else chosen.max()
        raise InputError(f"the policy chose action {wrong}; there are 0 to {space.n - 1}")
    return chosen.astype(np.int64, copy=False)


def _steps_together(spec: Any, mode: Any) -> bool:
    """Whether an environment has a batch of its own, in an autoreset mode."""
    entry = getattr(spec, "vector_entry_point", None)
    return getattr(entry, "metadata", {}).get("autoreset_mode") == mode


def _package(name: str, env_id: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(f"environment '{env_id}' needs {name.split('.')[0]}: {EXTRA}") from None


def _line(error: Exception) -> str:
    """An error's message as one line without its full stop."""
    return (" ".join(str(error).split()) or type(error).__name__).rstrip(".")


def _forgetful(env: "Env[Any, Any]") -> "Env[Any, Any]":
    """MinAtar's environment whose sticky action does not stick from one episode to the next.

    Without this, an episode's first actions would depend on what was done before the reset, and the seed alone
    would not repeat it.
    """
    import gymnasium

    class Forgetful(gymnasium.Wrapper[Any, Any, Any, Any]):
        def reset(
            self, *, seed: int | None = None, options: dict[str, Any] | None = None
        ) -> tuple[Any, dict[str, Any]]:
            self.unwrapped.game.last_action = 0  # type: ignore[attr-defined]
            return self.env.reset(seed=seed, options=options)

    return Forgetful(env)
