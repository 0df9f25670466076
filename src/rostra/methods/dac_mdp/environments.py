"""Environments of the claims: cart-poles and a room with two goals, many copies in one array.

A simulator (:class:`CartPole`, :class:`HeadingRoom`) is the physics, on arrays with a row a copy: the only place where
it stands. :class:`SimulatorEnv` and :class:`SimulatorVectorEnv` are its two faces for Gymnasium.
"""

__all__ = [
    "GOALS",
    "GOAL_RADIUS",
    "GOAL_REWARDS",
    "CartPole",
    "HeadingRoom",
    "Simulator",
    "SimulatorEnv",
    "SimulatorVectorEnv",
    "register_environments",
]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, SupportsFloat, cast

import numpy as np
from numpy.typing import NDArray

from rostra.engine.errors import InputError

try:
    import gymnasium
    from gymnasium import spaces
    from gymnasium.utils import seeding
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.vector.utils import batch_space
except ImportError:
    raise InputError("environments need gymnasium: pip install 'rostra[rl]'") from None

Array = NDArray[np.float64]
States = NDArray[np.float64]
Observations = NDArray[np.float32]
Booleans = NDArray[np.bool_]
Noise = float | Sequence[float]

# Barto, Sutton, Anderson (1983), in the form of Gymnasium's CartPole-v1; SI units.
GRAVITY, CART_MASS, POLE_MASS, HALF_LENGTH, STEP_SECONDS = 9.8, 1.0, 0.1, 0.5, 0.02
TOTAL_MASS, POLE_MOMENT = CART_MASS + POLE_MASS, POLE_MASS * HALF_LENGTH
TRACK_END, FALLEN = 2.4, np.deg2rad(12.0)
DISCRETE_FORCE, CONTINUOUS_FORCE = 10.0, 30.0

TURN = np.deg2rad([30.0, -30.0, 0.0])
"""Change of the heading by action: left, right, forward."""
STRIDE, STRIDE_NOISE, HEADING_NOISE = 0.06, 0.1, 0.05
HEADING_WEIGHT = 0.2
"""Of the heading's cosine and sine in an observation: half a turn weighs as much as 0.4 of the room's side."""
GOALS = np.array([[0.35, 0.5], [0.9, 0.9]])
GOAL_REWARDS = np.array([1.0, 10.0])
GOAL_RADIUS = 0.08
NORMALS_AT_ONCE = 64
_ONLY = np.zeros(1, dtype=np.int64)


class Simulator(Protocol):
    """Physics of one environment, for many copies at once."""

    @property
    def normals(self) -> int:
        """Standard normal numbers that a step of one copy takes, at least 0."""
        ...

    def spaces(self) -> "tuple[spaces.Box, spaces.Discrete | spaces.Box]":
        """Space of the observations and space of the actions of one copy."""
        ...

    def start(self, count: int, rng: np.random.Generator) -> States:
        """States at the start of ``count`` episodes, shape (count, S)."""
        ...

    def step(self, states: States, actions: NDArray[Any], normals: Array) -> tuple[States, Array, Booleans]:
        """One step of n copies.

        Args:
            states: (n, S); not changed.
            actions: integers, (n,), or numbers, (n, A).
            normals: standard normal numbers, (n, ``normals``).

        Returns:
            States after the actions, (n, S), a new array; rewards, (n,); whether the episode has come to its own end,
            (n,).
        """
        ...

    def observe(self, states: States) -> Observations:
        """What an agent sees of each state, without noise, shape (n, D)."""
        ...


@dataclass(frozen=True)
class CartPole:
    """A pole on a cart (Barto, Sutton, Anderson 1983), as Gymnasium's CartPole-v1.

    State and observation: position (m), velocity (m/s), angle (rad), angular velocity (rad/s); an episode ends when
    the cart is farther than 2.4 m from the middle or the pole leans more than 12 degrees.

    Attributes:
        continuous: False: actions 0 and 1 push with 10 N to the left and to the right, and every step pays 1. True,
            as in the authors' code: actions in [-1, 1], shape (n, 1), push with 30 N times the action (outside of it:
            with the nearest in it), and every step but the one that fails pays 1.
    """

    continuous: bool = False
    normals: ClassVar[int] = 0

    def spaces(self) -> "tuple[spaces.Box, spaces.Discrete | spaces.Box]":
        """Box of shape (4,), and two actions or a box of shape (1,)."""
        # Finite, so that nothing has to guess a scale: at 30 N over the 4.8 m of track and the 24 degrees of the pole
        # the cart stays below 17.5 m/s and the pole below 7.3 rad/s.
        bound = np.array([2 * TRACK_END, 20.0, 2 * FALLEN, 10.0], dtype=np.float32)
        action = spaces.Box(-1.0, 1.0, (1,), np.float32) if self.continuous else spaces.Discrete(2)
        return spaces.Box(-bound, bound, dtype=np.float32), action

    def start(self, count: int, rng: np.random.Generator) -> States:
        """Uniform in [-0.05, 0.05] in every coordinate, shape (count, 4)."""
        return rng.uniform(-0.05, 0.05, (count, 4))

    def step(self, states: States, actions: NDArray[Any], normals: Array) -> tuple[States, Array, Booleans]:
        """One Euler step of 0.02 s; nothing is random."""
        if self.continuous:
            force = CONTINUOUS_FORCE * np.clip(actions[:, 0], -1.0, 1.0).astype(np.float64)
        else:
            force = np.where(actions == 1, DISCRETE_FORCE, -DISCRETE_FORCE)
        velocity, angle, spin = states[:, 1], states[:, 2], states[:, 3]
        cosine, sine = np.cos(angle), np.sin(angle)
        push = (force + POLE_MOMENT * spin**2 * sine) / TOTAL_MASS
        spin_rate = (GRAVITY * sine - cosine * push) / (HALF_LENGTH * (4 / 3 - POLE_MASS * cosine**2 / TOTAL_MASS))
        acceleration = push - POLE_MOMENT * spin_rate * cosine / TOTAL_MASS
        rates = np.stack([velocity, acceleration, spin, spin_rate], axis=1)
        after = states + STEP_SECONDS * rates
        failed = (np.abs(after[:, 0]) > TRACK_END) | (np.abs(after[:, 2]) > FALLEN)
        rewards = np.where(failed, 0.0, 1.0) if self.continuous else np.ones(len(states))
        return after, rewards, failed

    def observe(self, states: States) -> Observations:
        """The state, in single precision."""
        return states.astype(np.float32)


@dataclass(frozen=True)
class HeadingRoom:
    """A walker in the unit square that turns or goes forward, with a near small goal and a far large one.

    A stand-in that runs on a laptop for the first-person room of Shrestha et al. (2021). State: x, y, heading (rad).
    Actions: 0 left (30 degrees counter-clockwise), 1 right, 2 forward (0.06, shortened or lengthened by a normal 10 %).
    Every action shakes the heading by a normal 0.05 rad; walls stop. Goals: a disc of radius 0.08 around (0.35, 0.5)
    pays 1, one around (0.9, 0.9) pays 10, and both end the episode; everything else pays 0.
    Observation: x, y, and 0.2 times the heading's cosine and sine.

    Attributes:
        start_width: an episode starts uniformly in x < start_width with any y and heading, outside the goals; in
            (0, 1].
    """

    start_width: float = 0.3
    normals: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not 0 < self.start_width <= 1:
            raise InputError(f"start_width is {self.start_width}; it must lie above 0 and be at most 1")

    def spaces(self) -> "tuple[spaces.Box, spaces.Discrete | spaces.Box]":
        """Box of shape (4,), and three actions."""
        low = np.array([0.0, 0.0, -HEADING_WEIGHT, -HEADING_WEIGHT], dtype=np.float32)
        high = np.array([1.0, 1.0, HEADING_WEIGHT, HEADING_WEIGHT], dtype=np.float32)
        return spaces.Box(low, high, dtype=np.float32), spaces.Discrete(3)

    def start(self, count: int, rng: np.random.Generator) -> States:
        """Uniform in the start strip, shape (count, 3)."""
        width = np.array([self.start_width, 1.0, 2 * np.pi])
        states = rng.random((count, 3)) * width
        while (inside := self._goals_reached(states).any(axis=1)).any():
            states[inside] = rng.random((int(inside.sum()), 3)) * width
        return states

    def step(self, states: States, actions: NDArray[Any], normals: Array) -> tuple[States, Array, Booleans]:
        """Turn, then walk along the new heading."""
        heading = (states[:, 2] + TURN[actions] + HEADING_NOISE * normals[:, 0]) % (2 * np.pi)
        stride = np.where(actions == 2, STRIDE * (1 + STRIDE_NOISE * normals[:, 1]), 0.0)
        position = states[:, :2] + stride[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        after = np.concatenate([np.clip(position, 0.0, 1.0), heading[:, None]], axis=1)
        reached = self._goals_reached(after)
        rewards: Array = reached @ GOAL_REWARDS
        return after, rewards, np.asarray(reached.any(axis=1))

    def observe(self, states: States) -> Observations:
        """Position and weighted direction, shape (n, 4)."""
        direction = HEADING_WEIGHT * np.stack([np.cos(states[:, 2]), np.sin(states[:, 2])], axis=1)
        return np.concatenate([states[:, :2], direction], axis=1).astype(np.float32)

    @staticmethod
    def _goals_reached(states: States) -> Booleans:
        distances = np.linalg.norm(states[:, None, :2] - GOALS, axis=2)
        return distances < GOAL_RADIUS


class NormalStreams:
    """Standard normal draws for many copies, each from a stream of its own, in blocks: no loop over copies a step.

    Args:
        count: copies.
        width: numbers a draw, D.
    """

    def __init__(self, count: int, width: int) -> None:
        self.width = width
        self._generators: list[np.random.Generator | None] = [None] * count
        self._blocks = np.empty((count, NORMALS_AT_ONCE, width))
        self._next = np.full(count, NORMALS_AT_ONCE)

    def renew(self, copy: int, rng: np.random.Generator) -> None:
        """Let the next draw of a copy be the next one of a generator."""
        self._generators[copy] = rng
        self._next[copy] = NORMALS_AT_ONCE

    def draw(self, copies: NDArray[np.int64]) -> Array:
        """One draw for each of these copies, shape (len(copies), D)."""
        if not self.width:
            return np.empty((len(copies), 0))
        for copy in copies[self._next[copies] == NORMALS_AT_ONCE].tolist():
            generator = self._generators[copy]
            assert generator is not None, "reset comes before step"
            generator.standard_normal(out=self._blocks[copy])
            self._next[copy] = 0
        drawn: Array = self._blocks[copies, self._next[copies]]
        self._next[copies] += 1
        return drawn


class SimulatorEnv(gymnasium.Env[Observations, Any]):
    """One copy of a simulator.

    Args:
        simulator: the physics.
        observation_noise: standard deviation of normal noise on the observations, in their own units: one for all
            coordinates, or one each. It has its own stream: a noisy and a clean copy of one seed go through the same
            states.
        render_mode: None; nothing is drawn.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own declaration

    def __init__(self, simulator: Simulator, observation_noise: Noise = 0.0, render_mode: None = None) -> None:
        self.simulator = simulator
        self.observation_noise = observation_noise
        self.render_mode = render_mode
        self.observation_space, self.action_space = _noisy_spaces(simulator, observation_noise)  # type: ignore[assignment]
        self._copies = SimulatorVectorEnv(simulator, 1, None, observation_noise)
        self._stream: np.random.Generator | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Start an episode; the observation has shape (D,)."""
        super().reset(seed=seed)
        if self.np_random is not self._stream:
            self._stream = self.np_random
            self._copies.take_stream(0, self._stream)
        return self._copies.begin(_ONLY).copy()[0], {}

    def step(self, action: Any) -> tuple[Observations, SupportsFloat, bool, bool, dict[str, Any]]:
        """Observation of shape (D,), reward, terminated, False (the time limit is Gymnasium's wrapper), no info."""
        observations, rewards, terminated = self._copies.advance(np.asarray(action)[None])
        return observations[0].copy(), float(rewards[0]), bool(terminated[0]), False, {}


class SimulatorVectorEnv(VectorEnv[Observations, NDArray[Any], NDArray[Any]]):
    """Many copies of a simulator in one array, each reset in the step that ends its episode.

    It gives what Gymnasium's SyncVectorEnv of as many :class:`SimulatorEnv` gives with ``AutoresetMode.SAME_STEP``,
    number by number: seeds (one, or one a copy), ``infos["final_obs"]`` and ``options["reset_mask"]`` are the same.

    Args:
        simulator, observation_noise, render_mode: as for :class:`SimulatorEnv`.
        num_envs: copies, n.
        max_episode_steps: an episode of so many steps is truncated; None: never.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 - as above

    def __init__(
        self,
        simulator: Simulator,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        observation_noise: Noise = 0.0,
        render_mode: None = None,
    ) -> None:
        self.simulator = simulator
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        self.observation_noise = observation_noise
        self.render_mode = render_mode
        self.single_observation_space, self.single_action_space = _noisy_spaces(simulator, observation_noise)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._all = np.arange(num_envs)
        [width] = self.single_observation_space.shape
        self._scale = np.broadcast_to(np.asarray(observation_noise, dtype=np.float64), (width,))
        self._starts: list[np.random.Generator | None] = [None] * num_envs
        self._without_stream = num_envs
        self._physics = NormalStreams(num_envs, simulator.normals)
        self._sensors = NormalStreams(num_envs, width if self._scale.any() else 0)
        self._states = np.zeros((num_envs, simulator.start(1, np.random.default_rng(0)).shape[1]))
        self._observations = np.zeros((num_envs, width), dtype=np.float32)
        self._steps = np.zeros(num_envs, dtype=np.int64)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Start an episode in every copy, or in those of ``options["reset_mask"]``; observations of shape (n, D).

        Args:
            seed: of the first copy, the others' being the next numbers; or one a copy, None for a stream to go on.
            options: may have ``reset_mask``, bool, (n,).
        """
        seeds = [seed] * self.num_envs if seed is None else seed
        if isinstance(seeds, int | np.integer):
            seeds = [int(seeds) + copy for copy in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise InputError(f"{len(seeds)} seeds for {self.num_envs} environments; give one seed, or one for each")
        mask = (options or {}).get("reset_mask")
        copies = self._all if mask is None else np.flatnonzero(mask)
        for copy in copies.tolist():
            if seeds[copy] is not None or self._starts[copy] is None:
                self.take_stream(copy, seeding.np_random(seeds[copy])[0])
        return self.begin(copies).copy(), {}

    def step(self, actions: NDArray[Any]) -> tuple[Observations, Array, Booleans, Booleans, dict[str, Any]]:
        """Observations of shape (n, D); rewards, terminations, truncations of shape (n,); infos.

        Where an episode ended, the observation is the first of the next one, and ``infos["final_obs"]`` has the last.
        """
        observations, rewards, terminations = self.advance(np.asarray(actions))
        truncations = np.zeros(self.num_envs, dtype=np.bool_)
        if self.max_episode_steps is not None:
            truncations = self._steps >= self.max_episode_steps
        ended = terminations | truncations
        if not ended.any():
            return observations.copy(), rewards, terminations, truncations, {}
        final = np.full(self.num_envs, None, dtype=object)
        over = np.flatnonzero(ended)
        for copy in over.tolist():
            final[copy] = observations[copy].copy()
        infos = {"final_obs": final, "_final_obs": ended, "final_info": {}, "_final_info": ended.copy()}
        return self.begin(over).copy(), rewards, terminations, truncations, infos

    def take_stream(self, copy: int, rng: np.random.Generator) -> None:
        """Let a generator feed a copy from now on: its starts, its physics, and by a child its sensors."""
        self._without_stream -= self._starts[copy] is None
        self._starts[copy] = rng
        self._physics.renew(copy, rng)
        if self._sensors.width:
            self._sensors.renew(copy, rng.spawn(1)[0])

    def begin(self, copies: NDArray[np.int64]) -> Observations:
        """Start an episode in some copies; the observations of all, shape (n, D), as a view."""
        for copy in copies.tolist():
            generator = self._starts[copy]
            assert generator is not None
            self._states[copy] = self.simulator.start(1, generator)[0]
        self._steps[copies] = 0
        self._observe(copies)
        return self._observations

    def advance(self, actions: NDArray[Any]) -> tuple[Observations, Array, Booleans]:
        """One step of all copies without any reset: observations (a view), rewards, terminations."""
        _check_actions(actions, self.action_space)
        if self._without_stream:
            raise gymnasium.error.ResetNeeded("call reset before step")
        normals = self._physics.draw(self._all)
        self._states, rewards, terminations = self.simulator.step(self._states, actions, normals)
        self._steps += 1
        self._observe(self._all)
        return self._observations, rewards, terminations

    def _observe(self, copies: NDArray[np.int64]) -> None:
        """Read the sensors of some copies: once a state, so that its reading stays what it was."""
        seen = self.simulator.observe(self._states[copies])
        if self._sensors.width:
            seen = (seen + self._scale * self._sensors.draw(copies)).astype(np.float32)
        self._observations[copies] = seen


def register_environments() -> None:
    """Make the environments known to Gymnasium; again does no harm.

    ``rostra/CartPole-v0`` (500 steps; CartPole-v1, reset in the same step, with optional ``observation_noise``),
    ``rostra/ContinuousCartPole-v0`` (500 steps), ``rostra/HeadingRoom-v0`` (150 steps). ``gymnasium.make`` and
    ``gymnasium.make_vec`` both know them.
    """
    simulators: dict[str, tuple[Simulator, int]] = {
        "rostra/CartPole-v0": (CartPole(), 500),
        "rostra/ContinuousCartPole-v0": (CartPole(continuous=True), 500),
        "rostra/HeadingRoom-v0": (HeadingRoom(), 150),
    }
    for name, (simulator, limit) in simulators.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point=f"{__name__}:SimulatorEnv",
                vector_entry_point=cast("Any", SimulatorVectorEnv),
                max_episode_steps=limit,
                kwargs={"simulator": simulator},
            )


def _noisy_spaces(simulator: Simulator, noise: Noise) -> "tuple[spaces.Box, spaces.Discrete | spaces.Box]":
    """Spaces of a simulator; the observations are unbounded where normal noise lies on them."""
    observation, action = simulator.spaces()
    scale = np.broadcast_to(np.asarray(noise, dtype=np.float64), observation.shape)
    if not (np.isfinite(scale) & (scale >= 0)).all():
        raise InputError(f"observation_noise is {noise}; it must be standard deviations, finite and at least 0")
    low = np.where(scale > 0, -np.inf, observation.low).astype(np.float32)
    high = np.where(scale > 0, np.inf, observation.high).astype(np.float32)
    return spaces.Box(low, high, dtype=np.float32), action


def _check_actions(actions: NDArray[Any], space: spaces.Space[Any]) -> None:
    """Whether a batch of actions can be taken.

    Raises:
        InputError: for another shape, another kind of number, or a number out of range or not finite.
    """
    if isinstance(space, spaces.MultiDiscrete):
        last = int(space.nvec[0]) - 1
        if actions.shape != space.shape or actions.dtype.kind not in "iu":
            raise InputError(f"actions must be integers of shape {space.shape}, not {actions.dtype} {actions.shape}")
        if actions.min() < 0 or actions.max() > last:
            raise InputError(f"actions must lie in 0 to {last}; found {actions.min()} to {actions.max()}")
    elif actions.shape != space.shape or actions.dtype.kind not in "fiu":
        raise InputError(f"actions must be numbers of shape {space.shape}, not {actions.dtype} {actions.shape}")
    elif not np.isfinite(actions).all():
        raise InputError("actions hold NaN or infinity")
