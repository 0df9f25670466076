"""Training of the two networks: random searches for data, then plain supervised learning."""

__all__ = ["BustleTrainer", "TrainedModel", "generate_many", "train_premises", "train_values"]

import importlib.metadata
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rostra.engine.checkpoints import save_checkpoint
from rostra.engine.errors import InputError
from rostra.engine.progress import progress, progress_bar
from rostra.engine.runtime import cores, resolve_device

from .generation import TrainingSet, generate
from .model import PremiseNetwork, ValueNetwork
from .scorer import KIND, PREMISE_KIND

VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained.

    Attributes:
        lr: learning rate of Adam.
        batch_size: items a step.
        epochs: passes over the items at most.
        patience: passes without a lower validation loss after which training ends; None never ends early.
    """

    lr: float = 1e-3
    batch_size: int = 256
    epochs: int = 20
    patience: int | None = 3


@dataclass(frozen=True)
class TrainedModel:
    """A trained network, for saving and for searches.

    Attributes:
        kind: "bustle" for a value network, "bustle-premises" for a premise network.
        state: parameters by name.
        recipe: settings, seeds, sizes and versions that made it.
        history: training loss, validation loss and validation accuracy by epoch, (epochs, 3).
    """

    kind: str
    state: dict[str, Tensor]
    recipe: dict[str, Any]
    history: NDArray[np.float64]

    def save(self, folder: str | Path) -> None:
        """Write a folder that ``synthesize(model=folder)`` or :meth:`PremiseScorer.load` reads.

        Raises:
            InputError: if it holds other files or cannot be written.
        """
        save_checkpoint(Path(folder), self.kind, self.state, {"recipe": self.recipe})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The parameters as arrays, for :meth:`ValueScorer.from_arrays`."""
        return {name: value.numpy() for name, value in self.state.items()}


class BustleTrainer:
    """Makes a model from nothing: random searches, then training (paper, sections 3.3 and 4.2).

    Args:
        num_searches: random searches that give the data.
        max_expressions: budget of each search.
        seed: of the searches, the split, the order and the weights.
        config: of the training.
        device: torch device; None takes CUDA where there is one.
        workers: searches at a time; None takes a process for each core.

    Attributes:
        data_: the items, after ``fit``.
        model_: the trained model.
    """

    def __init__(
        self,
        num_searches: int = 300,
        max_expressions: int = 1_000_000,
        seed: int = 0,
        *,
        config: TrainingConfig | None = None,
        device: str | None = None,
        workers: int | None = None,
    ) -> None:
        self.num_searches = num_searches
        self.max_expressions = max_expressions
        self.seed = seed
        self.config = config or TrainingConfig()
        self.device = device
        self.workers = workers

    def fit(self, data: TrainingSet | None = None) -> Self:
        """Search and train; ``data`` from earlier searches saves the first half.

        Raises:
            InputError: if the searches gave too few items to train on.
        """
        if data is None:
            if self.num_searches < 1 or self.max_expressions < 1:
                raise InputError("num_searches and max_expressions must be at least 1")
            data = generate_many(
                self.num_searches, seed=self.seed, max_expressions=self.max_expressions, workers=self.workers
            )
        self.data_ = data
        made = {"num_searches": self.num_searches, "max_expressions": self.max_expressions}
        self.model_ = train_values(data, seed=self.seed, config=self.config, device=self.device, made=made)
        return self


def generate_many(searches: int, *, seed: int, max_expressions: int, workers: int | None = None) -> TrainingSet:
    """Items of many random searches; search i of a seed is the same whatever else runs.

    Args:
        searches: how many.
        seed: of the searches.
        max_expressions: budget of each.
        workers: processes; None takes one for each core.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(searches, np.uint64)]
    jobs = [(one, max_expressions) for one in seeds]
    count = min(searches, workers or cores())
    if count == 1:
        parts = list(progress(map(_generate_one, jobs), "searches", total=searches))
    else:
        with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
            parts = list(progress(pool.map(_generate_one, jobs), "searches", total=searches))
    return TrainingSet.joined(parts)


def _generate_one(job: tuple[int, int]) -> TrainingSet:
    from .synthesizer import best_search

    seed, max_expressions = job
    return generate(best_search(wait=True), seed=seed, max_expressions=max_expressions)


def train_values(
    data: TrainingSet,
    *,
    seed: int,
    config: TrainingConfig | None = None,
    device: str | None = None,
    made: dict[str, Any] | None = None,
) -> TrainedModel:
    """Train a value network by binary cross-entropy on its logit, and keep the epoch of least validation loss.

    Args:
        data: balanced items.
        seed: of the split, the order and the weights.
        config: learning rate, batch size, epochs.
        device: torch device.
        made: how the data were made, for the recipe.
    """
    config = config or TrainingConfig()
    network = ValueNetwork()
    network.initialise(seed)
    labels = torch.as_tensor(data.labels, dtype=torch.float32)

    def loss(logits: Tensor, wanted: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(logits, wanted)

    def accuracy(logits: Tensor, wanted: Tensor) -> Tensor:
        return ((logits > 0) == (wanted > 0.5)).float().mean()

    state, history = _fit(network, data, labels, loss, accuracy, seed=seed, config=config, device=device)
    return TrainedModel(KIND, state, _recipe(data, seed, config, history, made), history)


def train_premises(
    data: TrainingSet,
    *,
    seed: int,
    labels: Literal["target", "subexpression"] = "target",
    config: TrainingConfig | None = None,
    device: str | None = None,
) -> TrainedModel:
    """Train a premise network: which operations a task's expression uses, from its examples (paper, section 4.3).

    Args:
        data: items.
        seed: of the split, the order and the weights.
        labels: operations of the target expression, or of the value, as in the authors' released code.
        config: learning rate, batch size, epochs.
        device: torch device.
    """
    config = config or TrainingConfig()
    network = PremiseNetwork()
    network.initialise(seed)
    used = data.target_operations if labels == "target" else data.part_operations

    def loss(logits: Tensor, wanted: Tensor) -> Tensor:
        smoothed = wanted * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / 2
        return functional.binary_cross_entropy_with_logits(logits, smoothed)

    def accuracy(logits: Tensor, wanted: Tensor) -> Tensor:
        return ((logits > 0) == (wanted > 0.5)).float().mean()

    wanted = torch.as_tensor(used, dtype=torch.float32)
    state, history = _fit(network, data, wanted, loss, accuracy, seed=seed, config=config, device=device)
    return TrainedModel(PREMISE_KIND, state, _recipe(data, seed, config, history, {"labels": labels}), history)


LABEL_SMOOTHING = 0.1


def _fit(
    network: nn.Module,
    data: TrainingSet,
    labels: Tensor,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    accuracy_of: Callable[[Tensor, Tensor], Tensor],
    *,
    seed: int,
    config: TrainingConfig,
    device: str | None,
) -> tuple[dict[str, Tensor], NDArray[np.float64]]:
    """The state of least validation loss, and the history (epochs, 3)."""
    place = resolve_device(device)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data), generator=generator)
    held_out, kept = torch.tensor_split(order, [int(VALIDATION_SHARE * len(data))])
    if len(held_out) < 1:
        raise InputError(f"{len(data)} items are too few to train on; make more searches with larger budgets")
    signatures = torch.as_tensor(data.signatures, dtype=torch.int32).to(place)
    labels, network = labels.to(place), network.to(place)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.lr, eps=1e-7)
    best, state, history = float("inf"), _copied(network), []
    with progress_bar("training", config.epochs) as advance:
        for _ in range(config.epochs):
            total = 0.0
            for batch in _batches(kept, config.batch_size, generator):
                loss = loss_of(network(signatures[batch]), labels[batch])
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
                total += loss.item() * len(batch)
            with torch.no_grad():
                logits = network(signatures[held_out])
                validation = loss_of(logits, labels[held_out]).item()
                accuracy = accuracy_of(logits, labels[held_out]).item()
            history.append((total / len(kept), validation, accuracy))
            if validation < best or config.patience is None:
                best, state, chosen = validation, _copied(network), len(history)
            elif len(history) - chosen >= config.patience:
                break
            advance(1, f"validation loss {validation:.3f}")
    return state, np.array(history)


def _batches(rows: Tensor, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    yield from torch.split(rows[torch.randperm(len(rows), generator=generator)], size)


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def _recipe(
    data: TrainingSet, seed: int, config: TrainingConfig, history: NDArray[np.float64], made: dict[str, Any] | None
) -> dict[str, Any]:
    best = int(history[:, 1].argmin()) if config.patience is not None else len(history) - 1
    return {
        **(made or {}),
        "seed": seed,
        "items": len(data),
        **asdict(config),
        "epochs_run": len(history),
        "best_epoch": best + 1,
        "validation_loss": round(float(history[best, 1]), 4),
        "validation_accuracy": round(float(history[best, 2]), 4),
        "rostra": importlib.metadata.version("rostra"),
    }
