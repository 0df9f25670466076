"""Representations learned from the log alone: DQN, discrete BCQ and behaviour cloning, frozen as encoders.

DeepAveragers takes the activations before a network's last linear layer as the space in which neighbours are looked
for. The losses and settings are those of the discrete BCQ that comes with the authors' code (specification, section
2.8). CQL (Kumar et al., 2020) is a comparator.
"""

__all__ = [
    "ATARI",
    "SMALL_TASKS",
    "EncoderConfig",
    "TrainedEncoder",
    "allowed_greedy",
    "conservative_gap",
    "imitation_loss",
    "targets",
    "train_bc",
    "train_bcq",
    "train_cql",
    "train_dqn",
]

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, smooth_l1_loss

from rostra.engine.checkpoints import load_checkpoint, rebuilding, save_checkpoint
from rostra.engine.errors import InputError
from rostra.engine.progress import progress_bar
from rostra.engine.runtime import keep_freed_memory, resolve_device
from rostra.fields.rl.transitions import TransitionDataset

from .model import Frames, Standardize, TwoHeadNetwork, network_for

Method = Literal["dqn", "bcq", "bc", "cql"]
Batch = NDArray[Any]

KIND = "dac-mdp-encoder"
BLOCK = 250
"""Steps whose rows are drawn together, and after which the loss is looked at: no other step waits for the device."""
RESIDENT_BYTES = 4 * 2**30
"""Largest table of states that moves to an accelerator as a whole; larger ones go there batch by batch."""
ROWS_AT_ONCE = 2048
"""Observations that go through a trained network together."""


@dataclass(frozen=True)
class EncoderConfig:
    """Training on a log; defaults: the authors' settings for small tasks. :data:`ATARI` has those for Atari.

    Attributes:
        steps: minibatches; the number is ours, the authors stop by evaluation.
        batch_size: transitions a step, drawn with replacement.
        lr, adam_epsilon: of Adam.
        gamma: discount, in [0, 1).
        threshold: BCQ's, in [0, 1): an action counts if it is more likely than this share of the most likely one.
        imitation_penalty: weight of the mean squared logit.
        target_period: steps between updates of the target network.
        tau: how far such an update goes, in (0, 1]: target <- target + tau (online - target); 1 copies.
        reward_clip: rewards are clipped to [-reward_clip, reward_clip]; None takes them as they are.
        standardize: vectors enter with mean 0 and standard deviation 1, as measured on the log (ours).
        seed: of the first weights and the minibatches.
    """

    steps: int = 50_000
    batch_size: int = 64
    lr: float = 3e-4
    adam_epsilon: float = 1e-8
    gamma: float = 0.99
    threshold: float = 0.3
    imitation_penalty: float = 1e-2
    target_period: int = 1
    tau: float = 0.005
    reward_clip: float | None = None
    standardize: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "target_period"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number of at least 1, got {value!r}")
        for name in ("lr", "adam_epsilon"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InputError(f"{name} must be above 0, got {value!r}")
        for name in ("gamma", "threshold"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise InputError(f"{name} must be at least 0 and below 1, got {value!r}")
        if not 0 < self.tau <= 1:
            raise InputError(f"tau must be above 0 and at most 1, got {self.tau!r}")
        if not 0 <= self.imitation_penalty < math.inf:
            raise InputError(f"imitation_penalty must be at least 0, got {self.imitation_penalty!r}")
        if self.reward_clip is not None and not self.reward_clip > 0:
            raise InputError(f"reward_clip must be above 0 or None, got {self.reward_clip!r}")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(f"seed must be a whole number of at least 0, got {self.seed!r}")


SMALL_TASKS = EncoderConfig()
"""The authors' settings for small tasks, such as CartPole."""
ATARI = EncoderConfig(
    steps=1_000_000,
    batch_size=32,
    lr=6.25e-5,
    adam_epsilon=1.5e-4,
    target_period=8000,
    tau=1.0,
    reward_clip=1.0,
)
"""The authors' settings for Atari: hard copies of the target network and clipped rewards."""


# ---------------------------------------------------------------------- the losses


def allowed_greedy(q: Tensor, logits: Tensor, threshold: float) -> Tensor:
    """Best action among those that the log's policy is likely to take: BCQ's rule, shape (n,), int64.

    Args:
        q: Q-values, shape (n, A).
        logits: imitation logits, shape (n, A); p is their softmax.
        threshold: in [0, 1); actions with p(a) / max p > threshold are allowed. 0 allows all: plain argmax.

    Returns:
        Actions; of equal Q-values the first.
    """
    if threshold == 0:
        return q.argmax(1)
    # p(a) / max p is the exponential of the logits' difference: the softmax itself is not needed
    allowed = logits - logits.amax(1, keepdim=True) > math.log(threshold)
    return q.masked_fill(~allowed, -math.inf).argmax(1)


def targets(rewards: Tensor, discounts: Tensor, next_q: Tensor, best: Tensor) -> Tensor:
    """What Q(s, a) should be: r + gamma (1 - d) Q_target(s', a*), shape (n,).

    Args:
        rewards: shape (n,).
        discounts: gamma (1 - d), shape (n,): 0 where s' is an end state, gamma elsewhere, also after a timeout.
        next_q: of the target network at s', shape (n, A).
        best: a*, chosen by the online network (double DQN), shape (n,), int64.
    """
    return rewards + discounts * next_q.gather(1, best[:, None])[:, 0]


def imitation_loss(logits: Tensor, actions: Tensor, penalty: float) -> Tensor:
    """Negative log-likelihood of the logged actions, plus penalty times the mean squared logit; scalar.

    Args:
        logits: shape (n, A).
        actions: shape (n,), int64.
        penalty: the authors' 1e-2 keeps the logits small.
    """
    return cross_entropy(logits, actions) + penalty * logits.square().mean()


def conservative_gap(q: Tensor, taken: Tensor) -> Tensor:
    """CQL(H)'s regulariser (Kumar et al., 2020, equation 4): mean of logsumexp_a Q(s, a) - Q(s, logged a); scalar.

    Args:
        q: shape (n, A).
        taken: Q of the logged actions, shape (n,).
    """
    return (q.logsumexp(1) - taken).mean()


# ---------------------------------------------------------------------- what a user holds


@dataclass(eq=False)
class TrainedEncoder:
    """A trained network: an encoder for :class:`.DACMDP`, and a policy to compare with.

    Calling it is :meth:`features`. Observations are batches (n, *observation_shape) in the dtype of the log.

    Attributes:
        method: "dqn", "bcq", "bc" or "cql".
        config: what it was trained with.
        network: on the device that it was trained on or loaded to.
        observation_shape: of one observation.
        action_count: A.
        losses: mean training loss of every 250 steps.
    """

    method: Method
    config: EncoderConfig
    network: TwoHeadNetwork
    observation_shape: tuple[int, ...]
    action_count: int
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.network.requires_grad_(False).eval()
        self._random = np.random.default_rng(self.config.seed)

    def __call__(self, observations: ArrayLike) -> NDArray[np.float32]:
        """As :meth:`features`."""
        return self.features(observations)

    def features(self, observations: ArrayLike) -> NDArray[np.float32]:
        """Activations before the last linear layer of the Q head (of the imitation head for "bc"): (n, d), float32.

        Raises:
            InputError: for observations of another shape, or frames that are not uint8.
        """
        head = "imitation" if self.method == "bc" else "q"
        found = [self.network.features(part, head) for part in self._batches(observations)]
        return torch.cat(found).float().cpu().numpy()

    def q_values(self, observations: ArrayLike) -> NDArray[np.float32]:
        """Q-values, shape (n, A), float32. BCQ's are not masked by its threshold.

        Raises:
            InputError: for "bc", which learns none, or as :meth:`features`.
        """
        if self.method == "bc":
            raise InputError("behaviour cloning learns no Q-values; train with train_dqn, train_bcq or train_cql")
        return torch.cat([self.network.q_values(part) for part in self._batches(observations)]).cpu().numpy()

    def act(
        self, observations: ArrayLike, epsilon: float = 0.0, random: np.random.Generator | None = None
    ) -> NDArray[np.int64]:
        """Actions by the rule of the training, shape (n,), int64.

        "dqn" and "cql": the largest Q-value; "bcq": the largest among the actions over the threshold; "bc": the most
        likely action.

        Args:
            observations: shape (n, *observation_shape).
            epsilon: probability of a random action instead, in [0, 1]; the authors evaluate at 1e-3.
            random: where those come from; None: the encoder's own generator, which starts from its seed.

        Raises:
            InputError: as :meth:`features`, or for epsilon outside [0, 1].
        """
        if not 0 <= epsilon <= 1:
            raise InputError(f"epsilon must be at least 0 and at most 1, got {epsilon!r}")
        found = []
        for part in self._batches(observations):
            if self.method == "bc":
                found.append(self.network.imitation_logits(part).argmax(1))
            elif self.method == "bcq":
                q, logits = self.network(part)
                found.append(allowed_greedy(q, logits, self.config.threshold))
            else:
                found.append(self.network.q_values(part).argmax(1))
        actions = torch.cat(found).cpu().numpy()
        if epsilon == 0:
            return actions
        draws = self._random if random is None else random
        others = draws.integers(self.action_count, size=len(actions))
        return np.where(draws.random(len(actions)) < epsilon, others, actions)

    def _batches(self, observations: ArrayLike) -> Iterator[Tensor]:
        """The observations, checked, in parts on the device; without gradients while the parts are worked on."""
        rows = np.asarray(observations)
        shape = self.observation_shape
        if rows.shape[1:] != shape or rows.ndim == 0:
            hint = "; put one observation into a batch: observation[None]" if rows.shape == shape else ""
            raise InputError(f"observations have shape {rows.shape}; expected (n, {', '.join(map(str, shape))}){hint}")
        _check_frames(self.network, rows)
        device = next(self.network.parameters()).device
        for start in range(0, max(len(rows), 1), ROWS_AT_ONCE):
            yield torch.tensor(rows[start : start + ROWS_AT_ONCE], device=device)

    def save(self, folder: str | Path) -> None:
        """Write the encoder to a folder (safetensors and JSON), replacing one that is there.

        Raises:
            InputError: if the folder holds other files or cannot be written.
        """
        tensors, content = self.state()
        save_checkpoint(Path(folder), KIND, tensors, content)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights, and what JSON can hold: all that :meth:`from_state` needs."""
        content = {
            "method": self.method,
            "config": asdict(self.config),
            "observation_shape": list(self.observation_shape),
            "action_count": self.action_count,
            "losses": self.losses,
        }
        return self.network.state_dict(), content

    @classmethod
    def from_state(
        cls, tensors: Mapping[str, Tensor], content: Mapping[str, Any], *, device: str | None = "cpu"
    ) -> Self:
        """The encoder that :meth:`state` describes.

        Raises:
            InputError: if the device cannot be used.
        """
        shape, actions = tuple(content["observation_shape"]), content["action_count"]
        network = network_for(shape, actions)
        network.load_state_dict(tensors)
        config = EncoderConfig(**content["config"])
        return cls(content["method"], config, network.to(resolve_device(device)), shape, actions, content["losses"])

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = "cpu") -> Self:
        """Read an encoder back.

        Raises:
            InputError: if the folder is missing, damaged or holds something else, or the device cannot be used.
        """
        resolve_device(device)  # before anything is read
        tensors, content = load_checkpoint(Path(folder), KIND)
        with rebuilding(folder):
            return cls.from_state(tensors, content, device=device)


# ---------------------------------------------------------------------- training


def train_dqn(
    dataset: TransitionDataset, config: EncoderConfig = SMALL_TASKS, *, device: str | None = "cpu"
) -> TrainedEncoder:
    """Q-values by double DQN on the log: r + gamma (1 - d) Q_target(s', argmax_a Q(s', a)), smooth L1 loss.

    It is BCQ at threshold 0, without the imitation head. An episode that ended by a timeout goes on in the target.

    Args:
        dataset: a log with discrete actions.
        config: ``threshold`` and ``imitation_penalty`` are not used.
        device: a torch device; None takes CUDA where there is one.

    Returns:
        The encoder; on a CPU the same for the same seed and number of threads.

    Raises:
        InputError: for continuous actions, observations without a network of ours, or a loss that is not finite.
    """
    return _train("dqn", dataset, config, device)


def train_bcq(
    dataset: TransitionDataset, config: EncoderConfig = SMALL_TASKS, *, device: str | None = "cpu"
) -> TrainedEncoder:
    """Q-values by discrete BCQ (Fujimoto et al., 2019): only actions that the log makes likely count in the target.

    Loss: smooth L1(Q(s, a), r + gamma (1 - d) Q_target(s', a*)) + NLL(log-softmax(i), a) + 1e-2 mean(i^2), with a*
    the argmax of the online Q over actions with p(a) / max p > threshold; p and i are those of the online network.

    Arguments, result and errors as :func:`train_dqn`.
    """
    return _train("bcq", dataset, config, device)


def train_bc(
    dataset: TransitionDataset, config: EncoderConfig = SMALL_TASKS, *, device: str | None = "cpu"
) -> TrainedEncoder:
    """Behaviour cloning: BCQ's imitation head alone. The features are that head's; rewards are not looked at.

    Arguments, result and errors as :func:`train_dqn`.
    """
    return _train("bc", dataset, config, device)


def train_cql(
    dataset: TransitionDataset, config: EncoderConfig = SMALL_TASKS, alpha: float = 1.0, *, device: str | None = "cpu"
) -> TrainedEncoder:
    """Q-values by DQN with CQL(H)'s regulariser (Kumar et al., 2020): loss + alpha (logsumexp_a Q(s, a) - Q(s, a)).

    A comparator, not of the paper. ``alpha`` is at least 0; at 0 it is :func:`train_dqn`.

    Other arguments, result and errors as :func:`train_dqn`.
    """
    if not 0 <= alpha < math.inf:
        raise InputError(f"alpha must be at least 0, got {alpha!r}")
    return _train("cql", dataset, config, device, alpha)


def _train(
    method: Method, dataset: TransitionDataset, config: EncoderConfig, device: str | None, alpha: float = 0.0
) -> TrainedEncoder:
    """The loop of all four."""
    if dataset.action_count is None:
        raise InputError(
            f"train_{method} needs discrete actions, and this log has continuous ones: turn them into numbers of bins, "
            "or use the observations themselves as features"
        )
    where = resolve_device(device)
    keep_freed_memory()
    network = _new_network(dataset, dataset.action_count, config).to(where)
    target = copy.deepcopy(network).requires_grad_(False)
    online: list[Tensor] = list(network.parameters())
    behind: list[Tensor] = list(target.parameters())
    optimiser = torch.optim.Adam(online, lr=config.lr, eps=config.adam_epsilon, fused=True)

    rewards = dataset.rewards
    if config.reward_clip is not None:
        rewards = rewards.clip(-config.reward_clip, config.reward_clip)
    # what the next state's value counts; a timeout cuts the log, not the task: it does not lower it
    discounts = config.gamma * (1.0 - dataset.terminals)
    table = None
    if where.type != "cpu" and dataset.states.nbytes <= RESIDENT_BYTES:
        table = torch.tensor(dataset.states, device=where)

    def columns(values: NDArray[Any], dtype: torch.dtype) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=where)

    random = np.random.default_rng(config.seed)
    losses: list[float] = []
    with progress_bar(f"train {method}", config.steps) as advance:
        for start in range(0, config.steps, BLOCK):
            steps = min(BLOCK, config.steps - start)
            rows = random.integers(len(dataset), size=(steps, config.batch_size))
            block_actions = columns(dataset.actions[rows], torch.int64)
            block_rewards = columns(rewards[rows], torch.float32)
            block_discounts = columns(discounts[rows], torch.float32)
            ends = [dataset.source[rows]] if method == "bc" else [dataset.source[rows], dataset.successor[rows]]
            total = torch.zeros((), device=where)
            for step, observations in enumerate(_state_batches(dataset.states, np.hstack(ends), table, where)):
                actions = block_actions[step]
                if method == "bc":
                    loss = imitation_loss(network.imitation_logits(observations), actions, config.imitation_penalty)
                else:
                    states, successors = observations.chunk(2)
                    with torch.no_grad():
                        if method == "bcq":
                            next_q, next_logits = network(successors)
                            best = allowed_greedy(next_q, next_logits, config.threshold)
                        else:
                            best = network.q_values(successors).argmax(1)
                        wanted = targets(block_rewards[step], block_discounts[step], target.q_values(successors), best)
                    if method == "bcq":
                        q, logits = network(states)
                    else:
                        q = network.q_values(states)
                    taken = q.gather(1, actions[:, None])[:, 0]
                    loss = smooth_l1_loss(taken, wanted)
                    if method == "bcq":
                        loss = loss + imitation_loss(logits, actions, config.imitation_penalty)
                    elif method == "cql":
                        loss = loss + alpha * conservative_gap(q, taken)
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
                if (start + step + 1) % config.target_period == 0 and method != "bc":
                    with torch.no_grad():
                        torch._foreach_lerp_(behind, online, config.tau)
                total += loss.detach()
            losses.append(float(total) / steps)
            advance(steps, f"loss {losses[-1]:.4g}")
            if not math.isfinite(losses[-1]) or not all(bool(torch.isfinite(part).all()) for part in online):
                raise InputError(
                    f"the loss of train_{method} is no longer finite after {start + steps} steps at lr {config.lr:g}; "
                    "lower lr, or bring rewards to order 1 (reward_clip)"
                )
    return TrainedEncoder(method, config, network, dataset.observation_shape, dataset.action_count, losses)


def _new_network(dataset: TransitionDataset, actions: int, config: EncoderConfig) -> TwoHeadNetwork:
    """The network for the log's observations, its weights from the seed; the caller's generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        network = network_for(dataset.observation_shape, actions)
    _check_frames(network, dataset.states)
    if config.standardize and isinstance(network.body, Standardize):
        scale = dataset.states.std(0, dtype=np.float64)
        scale[scale == 0] = 1.0
        network.body.mean.copy_(torch.tensor(dataset.states.mean(0, dtype=np.float64)))
        network.body.scale.copy_(torch.tensor(scale))
    return network


def _check_frames(network: TwoHeadNetwork, observations: Batch) -> None:
    """Frames are whole numbers from 0 to 255: others would be scaled twice."""
    first = next(network.body.children(), None)
    if isinstance(first, Frames) and observations.dtype != np.uint8:
        raise InputError(
            f"frames must be uint8 (0 to 255), got {observations.dtype}; keep them as the emulator gives them"
        )


def _state_batches(
    states: Batch, rows: NDArray[np.int64], table: Tensor | None, device: torch.device
) -> Iterator[Tensor]:
    """The states of one batch after the other, on the device: rows (steps, n) -> (n, *shape) a step.

    Args:
        states: shape (M, *shape); may be a memory map.
        rows: of ``states``.
        table: the states on the device; None takes each batch from ``states``.
        device: where batches go.
    """
    if table is not None:
        yield from (table[batch] for batch in torch.tensor(rows, device=device))
        return
    for batch in rows:
        yield torch.from_numpy(states.take(batch, axis=0)).to(device)
