"""Scoring functions (section 2 of the paper): how hard is each example? Higher = harder everywhere.

Every scorer takes ``model_fn() -> module``, examples ``X``, shape (n, ...), with labels ``y``, 0 to C - 1, shape (n,),
or a data set of pairs (row, label) in place of both; and optionally ``train_fn(model, X, y, seed)``, which trains in
place; without one, SGD with momentum and a cosine does. Modules map (B, ...) to logits (B, C), on the CPU.
"""

__all__ = [
    "HISTORY_SCORES",
    "LOGIT_SCORES",
    "LearnedIterationRecorder",
    "Scores",
    "TrainFunction",
    "agreement",
    "cv_folds",
    "score_cscore",
    "score_cv_loss",
    "score_cv_loss_sklearn",
    "score_el2n",
    "score_histories",
    "score_loss",
]

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from rostra.engine.ensemble import seeded_generator
from rostra.engine.errors import InputError
from rostra.engine.files import write_atomically
from rostra.engine.progress import progress, progress_bar
from rostra.fields.vision.augmentation import random_crop_flip

from . import objective
from .ordering import check_scores
from .training import Copies, ModuleCopies, Plan, TrainingConfig, train_plans

TrainFunction = Callable[[nn.Module, Tensor, Tensor, int], Any]
ModelFunction = Callable[[], nn.Module]
Examples = ArrayLike | Tensor | Dataset[Any]
Values = NDArray[np.float64]
FOLDS, REPEATS = 4, 10
"""Of the paper's loss c-score."""
FOLD_STREAM, RESAMPLES, CROP_STREAM = 8, 9, 10

LOGIT_SCORES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "loss": objective.cross_entropy,
    "margin": objective.margin,
    "entropy": lambda logits, y: objective.entropy(logits),
    "el2n": objective.error_norm,
}
"""Name -> score of examples by one model's outputs and the labels."""
HISTORY_SCORES: Mapping[str, Callable[[ArrayLike], Values]] = {
    "learned-iteration": objective.learned_iteration,
    "forgetting": objective.forgetting_counts,
}
"""Name -> score of examples by whether they were right at each snapshot."""


@dataclass(frozen=True)
class Scores:
    """Scores of a data set, and how they came about.

    Attributes:
        values: higher = harder, shape (n,).
        scorer: its name.
        spread: standard deviation over repetitions, shape (n,), or None.
        predicted: the class that held-out models favour, shape (n,), or None.
        about: settings; the hash of the labels under "labels".
    """

    values: Values
    scorer: str
    spread: Values | None = None
    predicted: NDArray[np.int64] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.values, dtype=dtype)

    def __len__(self) -> int:
        return len(self.values)

    def save(self, path: Path) -> None:
        """Write an NPZ file without pickle."""
        arrays: dict[str, Any] = {"values": self.values, "about": json.dumps({"scorer": self.scorer, **self.about})}
        arrays |= {} if self.spread is None else {"spread": self.spread}
        arrays |= {} if self.predicted is None else {"predicted": self.predicted}
        with write_atomically(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: if it is another file.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                about = json.loads(str(arrays["about"]))
                spread = arrays.get("spread")
                predicted = arrays.get("predicted")
                return cls(arrays["values"], about.pop("scorer"), spread, predicted, about)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"'{path}' holds no saved scores ({error})") from None


def _tensors(X: Examples, y: ArrayLike | Tensor | None) -> tuple[Tensor, Tensor]:
    """Rows (n, ...) in floating point and labels (n,)."""
    if isinstance(X, Dataset):
        if y is not None:
            raise InputError("a data set holds its labels; leave out y")
        pairs = [X[number] for number in range(len(X))]  # type: ignore[arg-type]
        X, y = torch.stack([torch.as_tensor(row) for row, _ in pairs]), [int(label) for _, label in pairs]
    if y is None:
        raise InputError("labels are missing: give y, or a data set of pairs (row, label)")
    numbers = y.numpy(force=True) if isinstance(y, Tensor) else np.asarray(y)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or len(numbers) == 0 or numbers.min() < 0:
        raise InputError("labels must be whole numbers from 0, one an example")
    rows, labels = torch.as_tensor(X), torch.as_tensor(numbers)
    if len(rows) != len(labels):
        raise InputError(f"there are {len(labels)} labels for {len(rows)} examples")
    if not rows.is_floating_point():
        rows = rows.float()
    if not torch.isfinite(rows).all():
        raise InputError("X holds values that are not finite numbers; fill or drop them")
    return rows, labels.long()


def check_trained(scores: Scores) -> Scores:
    """Scores that a search can use.

    Raises:
        InputError: if some are not finite, since a training diverged.
    """
    bad = int((~np.isfinite(scores.values)).sum())
    if bad:
        raise InputError(f"{bad} of {len(scores)} scores are not finite: a training diverged; take a lower lr")
    return scores


def _about(y: Tensor, seed: int, config: TrainingConfig | None = None, **more: Any) -> dict[str, Any]:
    labels = hashlib.sha256(y.cpu().numpy().astype(np.int64).tobytes()).hexdigest()
    return {"labels": labels, "seed": seed, **(config.__dict__ if config else {}), **more}


def model_seed(seed: int, number: int) -> int:
    """Of a network that only scores: none that a study trains has the same, so scores know nothing of its batches."""
    return 10**9 + 1000 * seed + number


def _made(model_fn: ModelFunction, seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return model_fn()


@torch.no_grad()
def _logits(model: nn.Module, X: Tensor) -> Tensor:
    model.eval()
    return torch.cat([model(part) for part in torch.split(X, 1000)])


def _trained(
    model_fn: ModelFunction, train_fn: TrainFunction | None, X: Tensor, y: Tensor, seed: int, config: TrainingConfig
) -> nn.Module:
    """One model, trained on all of X."""
    if train_fn is None:
        everything = np.arange(len(X))
        plan = Plan(seed, everything, np.full(config.total_steps, len(X)))
        run = train_plans(lambda seeds: ModuleCopies(seeds, model_fn, config), [plan], X, y[None], config)
        assert isinstance(run.copies, ModuleCopies)
        return run.copies.modules[0]
    model = _made(model_fn, seed)
    train_fn(model, X, y, seed)
    return model


def score_loss(
    model_fn: ModelFunction,
    X: Examples,
    y: ArrayLike | Tensor | None = None,
    *,
    train_fn: TrainFunction | None = None,
    config: TrainingConfig | None = None,
    kind: str = "loss",
    seed: int = 0,
) -> Scores:
    """Difficulty by a reference model that was trained on the same data.

    Stop early (the paper takes epoch 10): a model that has memorised its data has no loss left to tell them apart.

    Args:
        model_fn, train_fn: see the module.
        X, y: examples and labels 0 to C - 1.
        config: of the training without ``train_fn``.
        kind: "loss", "margin", "entropy" or "el2n".
        seed: of weights and batches.
    """
    _check_kind(kind, LOGIT_SCORES)
    rows, labels = _tensors(X, y)
    config = config or TrainingConfig()
    logits = _logits(_trained(model_fn, train_fn, rows, labels, seed, config), rows)
    values = score_logits(logits, labels, kind)
    return check_trained(Scores(values, kind, predicted=logits.argmax(1).numpy(), about=_about(labels, seed, config)))


def _check_kind(kind: str, known: Mapping[str, Any]) -> None:
    if kind not in known:
        raise InputError(f"kind must be one of {', '.join(known)}; got '{kind}'")


def score_logits(logits: Tensor, y: Tensor, kind: str) -> Values:
    """A score of each example from one model's outputs: "loss", "margin", "entropy" or "el2n"."""
    _check_kind(kind, LOGIT_SCORES)
    return LOGIT_SCORES[kind](logits, y).double().cpu().numpy()


def score_el2n(
    model_fn: ModelFunction,
    X: Examples,
    y: ArrayLike | Tensor | None = None,
    *,
    train_fn: TrainFunction | None = None,
    config: TrainingConfig | None = None,
    models: int = 10,
    seed: int = 0,
) -> Scores:
    """EL2N (Paul et al., 2021): length of the error early in training, averaged over models."""
    rows, labels = _tensors(X, y)
    config = config or TrainingConfig(total_steps=100)
    if train_fn is None:
        return logit_scores(
            lambda seeds: ModuleCopies(seeds, model_fn, config), rows, labels, config, models, "el2n", seed
        )
    logits = torch.stack(
        [
            _logits(_trained(model_fn, train_fn, rows, labels, model_seed(seed, number), config), rows)
            for number in progress(range(models), "el2n", total=models)
        ]
    )
    values = [score_logits(own, labels, "el2n") for own in logits]
    return _mean_scores(values, "el2n", logits, _about(labels, seed, config, models=models))


def cv_folds(n: int, folds: int, repeats: int, seed: int) -> NDArray[np.int64]:
    """Fold of each example in every repetition, shape (repeats, n).

    Raises:
        InputError: for fewer than 2 folds, or more than examples.
    """
    if not 2 <= folds <= n or repeats < 1:
        raise InputError(f"folds must be from 2 to the number of examples, repeats 1 or more; got {folds}, {repeats}")
    rng = np.random.default_rng([seed, FOLD_STREAM])
    return np.stack([rng.permutation(np.arange(n) % folds) for _ in range(repeats)])


def score_cv_loss(
    model_fn: ModelFunction,
    X: Examples,
    y: ArrayLike | Tensor | None = None,
    *,
    train_fn: TrainFunction | None = None,
    config: TrainingConfig | None = None,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    official: bool = False,
    seed: int = 0,
) -> Scores:
    """The loss c-score, which the paper's sweeps use: the loss of models that have not seen the example.

    In each repetition the data are cut into folds, and each fold is scored by a model trained on the others.

    Args:
        model_fn, train_fn, X, y, config, seed: as in :func:`score_loss`.
        folds, repeats: the paper has 4 and 10.
        official: as the authors' code: the learning rate stays as it is (their schedule is never stepped), and images
            are scored as random crops and flips.

    Raises:
        InputError: for folds that cannot be made, or ``official`` with anything but images (n, C, H, W).
    """
    rows, labels = _tensors(X, y)
    config = config or TrainingConfig()
    config = replace(config, cosine=False) if official else config

    def shown(repeat: int) -> Tensor:
        draws = seeded_generator(seed * 1000 + repeat, CROP_STREAM)
        return random_crop_flip(rows, generator=draws) if official else rows

    if train_fn is None:
        return cv_scores(
            lambda seeds: ModuleCopies(seeds, model_fn, config),
            rows,
            labels,
            config,
            folds,
            repeats,
            seed,
            shown,
        )
    of_folds = cv_folds(len(rows), folds, repeats, seed)
    logits = []
    for repeat in progress(range(repeats), "cv-loss", total=repeats):
        found: Tensor | None = None
        for fold in range(folds):
            out = torch.as_tensor(of_folds[repeat] == fold)
            own_seed = model_seed(seed, repeat * folds + fold)
            model = _made(model_fn, own_seed)
            train_fn(model, rows[~out], labels[~out], own_seed)
            held_out = _logits(model, shown(repeat)[out])
            found = held_out.new_zeros(len(rows), held_out.shape[1]) if found is None else found
            found[out] = held_out
        assert found is not None
        logits.append(found)
    return _cv_result(torch.stack(logits), labels, _about(labels, seed, folds=folds, repeats=repeats))


def cv_scores(
    copies: Callable[[Sequence[int]], Copies],
    X: Tensor,
    y: Tensor,
    config: TrainingConfig,
    folds: int,
    repeats: int,
    seed: int,
    shown: Callable[[int], Tensor] | None = None,
    kind: str = "cv-loss",
) -> Scores:
    """:func:`score_cv_loss` with all its trainings at once.

    Args:
        copies, X, y, config, folds, repeats, seed: as there; ``copies`` makes networks of seeds.
        shown: what models are asked for in a repetition, if not X.
        kind: "cv-loss", or "c-score": the share of repetitions whose model gets the example wrong.
    """
    of_folds = cv_folds(len(X), folds, repeats, seed)
    plans = []
    for repeat in range(repeats):
        for fold in range(folds):
            kept = np.flatnonzero(of_folds[repeat] != fold)
            number = repeat * folds + fold
            plans.append(Plan(model_seed(seed, number), kept, np.full(config.total_steps, len(kept)), root=number))
    with progress_bar(kind, len(plans) * config.total_steps) as advance:
        run = train_plans(copies, plans, X, y[None], config, advance=advance)
    logits = torch.stack(
        [
            _held_out_logits(run.copies, X if shown is None else shown(repeat), of_folds[repeat], repeat, folds)
            for repeat in range(repeats)
        ]
    )
    return _cv_result(logits, y, _about(y, seed, config, folds=folds, repeats=repeats), kind)


def _held_out_logits(copies: Copies, X: Tensor, of_folds: NDArray[np.int64], repeat: int, folds: int) -> Tensor:
    """Each example's outputs of the model that has not seen it, (n, C)."""
    found: Tensor | None = None
    for fold in range(folds):
        out = torch.as_tensor(of_folds == fold, device=X.device)
        number = repeat * folds + fold
        part = copies.logits(slice(number, number + 1), X[out])[0]
        found = part.new_zeros(len(X), part.shape[1]) if found is None else found
        found[out] = part
    assert found is not None
    return found


def _cv_result(logits: Tensor, y: Tensor, about: dict[str, Any], kind: str = "cv-loss") -> Scores:
    """Of the held-out outputs of each repetition, (repeats, n, C)."""
    if kind == "c-score":
        values = (logits.argmax(-1) != y).double().cpu().numpy()
    else:
        values = objective.cross_entropy(logits, y).double().cpu().numpy()
    return _mean_scores(list(values), kind, logits, about)


def score_cscore(
    model_fn: ModelFunction,
    X: Examples,
    y: ArrayLike | Tensor | None = None,
    *,
    train_fn: TrainFunction | None = None,
    config: TrainingConfig | None = None,
    share: float = 0.75,
    models: int = 40,
    seed: int = 0,
) -> Scores:
    """1 - c-score (Jiang et al., 2021): how often models that have not seen an example get it wrong.

    Args:
        model_fn, train_fn, X, y, config, seed: as in :func:`score_loss`.
        share: of the data that each model is trained on, in (0, 1).
        models: number of random subsets.

    Raises:
        InputError: if there are so few models that one of the examples was always trained on.
    """
    rows, labels = _tensors(X, y)
    config = config or TrainingConfig()
    if not 0 < share < 1 or models < 1:
        raise InputError(f"share must lie between 0 and 1 and models be 1 or more, got {share} and {models}")
    rng = np.random.default_rng([seed, FOLD_STREAM])
    held_out = np.ones((models, len(rows)), dtype=bool)
    for own in held_out:
        own[rng.choice(len(rows), round(share * len(rows)), replace=False)] = False
    uncovered = int((~held_out.any(0)).sum())
    if uncovered:
        raise InputError(f"{uncovered} examples are in every training set; use more models than {models}")
    wrong = np.zeros(len(rows))
    for number in progress(range(models), "c-score", total=models):
        out = torch.as_tensor(held_out[number])
        model = _trained(model_fn, train_fn, rows[~out], labels[~out], model_seed(seed, number), config)
        wrong[held_out[number]] += (_logits(model, rows[out]).argmax(1) != labels[out]).numpy()
    about = _about(labels, seed, config, share=share, models=models)
    return Scores(wrong / held_out.sum(0), "c-score", about=about)


def score_cv_loss_sklearn(
    estimator: Any, X: ArrayLike, y: ArrayLike, *, folds: int = FOLDS, repeats: int = REPEATS, seed: int = 0
) -> Scores:
    """The loss c-score by any scikit-learn classifier with ``predict_proba``.

    Raises:
        InputError: if it has no ``predict_proba``.
    """
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedKFold

    if not hasattr(estimator, "predict_proba"):
        raise InputError(f"{type(estimator).__name__} has no predict_proba; give a classifier with probabilities")
    features, labels = np.asarray(X), np.asarray(y)
    classes, numbers = np.unique(labels, return_inverse=True)
    losses = np.empty((repeats, len(labels)))
    chances = np.zeros((len(labels), len(classes)))
    for repeat in progress(range(repeats), "cv-loss", total=repeats):
        for kept, out in StratifiedKFold(folds, shuffle=True, random_state=seed * 1000 + repeat).split(
            features, labels
        ):
            fitted = clone(estimator).fit(features[kept], labels[kept])
            found = np.zeros((len(out), len(classes)))
            found[:, np.searchsorted(classes, fitted.classes_)] = fitted.predict_proba(features[out])
            losses[repeat, out] = -np.log(np.maximum(found[np.arange(len(out)), numbers[out]], 1e-12))
            chances[out] += found
    about = _about(torch.as_tensor(numbers), seed, folds=folds, repeats=repeats)
    return Scores(losses.mean(0), "cv-loss", losses.std(0), chances.argmax(1), about)


class LearnedIterationRecorder:
    """Notes in any training loop which examples are right, for learned iterations and forgetting counts.

    Call :meth:`update` with the examples of each batch (or of the whole data set), and :meth:`snapshot` at the end of
    each epoch; an example that was not updated since the last snapshot keeps its state.

    Args:
        n: examples.
    """

    def __init__(self, n: int) -> None:
        self._now = np.zeros(n, dtype=bool)
        self._snapshots: list[NDArray[np.bool_]] = []

    def update(self, indices: ArrayLike | Tensor, correct: ArrayLike | Tensor) -> None:
        """Note whether these examples were right; both of shape (batch,)."""
        self._now[np.asarray(indices)] = np.asarray(correct, dtype=bool)

    def snapshot(self) -> None:
        """Close an epoch."""
        self._snapshots.append(self._now.copy())

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Shape (snapshots, n).

        Raises:
            InputError: before the first snapshot.
        """
        if not self._snapshots:
            raise InputError("there is no snapshot yet; call snapshot() at the end of each epoch")
        return np.stack(self._snapshots)

    def scores(self) -> Values:
        """Learned iteration of each example."""
        return objective.learned_iteration(self.correct)

    def forgetting(self) -> Values:
        """Forgetting counts."""
        return objective.forgetting_counts(self.correct)


def score_histories(
    model_fn: ModelFunction,
    X: Examples,
    y: ArrayLike | Tensor | None = None,
    *,
    config: TrainingConfig | None = None,
    models: int = 1,
    kind: str = "learned-iteration",
    seed: int = 0,
) -> Scores:
    """Learned iteration or forgetting counts, averaged over models; one training each, so ten times cheaper than CV.

    Args:
        model_fn, X, y, seed: as in :func:`score_loss`.
        config: of the training; its ``evaluations`` are the snapshots.
        models: trainings.
        kind: "learned-iteration" or "forgetting".
    """
    _check_kind(kind, HISTORY_SCORES)
    rows, labels = _tensors(X, y)
    config = config or TrainingConfig(evaluations=15)
    return history_scores(lambda seeds: ModuleCopies(seeds, model_fn, config), rows, labels, config, models, kind, seed)


def history_scores(
    copies: Callable[[Sequence[int]], Copies],
    X: Tensor,
    y: Tensor,
    config: TrainingConfig,
    models: int,
    kind: str,
    seed: int,
) -> Scores:
    """:func:`score_histories` with all its trainings at once."""
    plans = _standard_plans(len(X), config, models, seed)
    correct: list[list[NDArray[np.bool_]]] = [[] for _ in range(models)]
    last: list[Tensor] = [X.new_empty(0)] * models

    def measure(nets: Copies, which: slice, numbers: Sequence[int]) -> list[dict[str, float]]:
        for number, logits in zip(numbers, nets.logits(which, X), strict=True):
            correct[number].append((logits.argmax(1) == y).cpu().numpy())
            last[number] = logits
        return [{} for _ in numbers]

    with progress_bar(kind, models * config.total_steps) as advance:
        train_plans(copies, plans, X, y[None], config, measure, advance)
    values = [HISTORY_SCORES[kind](np.stack(history)) for history in correct]
    return _mean_scores(values, kind, torch.stack(last), _about(y, seed, config, models=models))


def logit_scores(
    copies: Callable[[Sequence[int]], Copies],
    X: Tensor,
    y: Tensor,
    config: TrainingConfig,
    models: int,
    kind: str,
    seed: int,
) -> Scores:
    """A score of :data:`LOGIT_SCORES` after training on the same data, averaged over models, trained at once."""
    plans = _standard_plans(len(X), config, models, seed)
    with progress_bar(kind, models * config.total_steps) as advance:
        run = train_plans(copies, plans, X, y[None], config, advance=advance)
    logits = torch.stack([run.copies.logits(slice(number, number + 1), X)[0] for number in range(models)])
    values = [score_logits(own, y, kind) for own in logits]
    return _mean_scores(values, kind, logits, _about(y, seed, config, models=models))


def _standard_plans(n: int, config: TrainingConfig, models: int, seed: int) -> list[Plan]:
    """Trainings on all n examples, from weights of their own."""
    everything, sizes = np.arange(n), np.full(config.total_steps, n)
    return [Plan(model_seed(seed, number), everything, sizes, root=number) for number in range(models)]


def _mean_scores(values: Sequence[Values], scorer: str, logits: Tensor, about: dict[str, Any]) -> Scores:
    """Mean and deviation over models, (n,) each, and the class that they favour; logits: (models, n, C)."""
    predicted = torch.softmax(logits, -1).mean(0).argmax(-1).cpu().numpy()
    return check_trained(Scores(np.mean(values, 0), scorer, np.std(values, 0), predicted, about))


def agreement(
    scores: Mapping[str, ArrayLike], resamples: int = 500, seed: int = 0, families: Sequence[str] | None = None
) -> pd.DataFrame:
    """Spearman correlation of every two scores, with bootstrap intervals over the examples.

    Args:
        scores: by name; all of one length.
        resamples: of the bootstrap.
        seed: of its draws.
        families: of the networks behind the scores, one each. Then a row is the mean over all pairs of two families
            (or over those within one), which is how the paper compares architectures (figure 2).

    Returns:
        Columns first, second, spearman, low, high (95 %).

    Raises:
        InputError: for fewer than two scores, scores of unequal length, or not one family a score.
    """
    from scipy.stats import rankdata

    names = list(scores)
    if len(names) < 2:
        raise InputError("agreement needs two scores or more")
    if families is not None and len(families) != len(names):
        raise InputError(f"there are {len(families)} families for {len(names)} scores; give one each")
    n = len(np.asarray(scores[names[0]]))
    values = np.stack([check_scores(scores[name], n) for name in names])
    rng = np.random.default_rng([seed, RESAMPLES])
    found = _correlations(rankdata(values, axis=1))
    resampled = np.stack([_correlations(rankdata(values[:, rng.integers(0, n, n)], axis=1)) for _ in range(resamples)])
    groups: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for pair in itertools.combinations(range(len(names)), 2):
        of = names if families is None else families
        first, second = sorted((of[pair[0]], of[pair[1]]), key=list(of).index)
        groups.setdefault((first, second), []).append(pair)
    rows = []
    for (first, second), pairs in groups.items():
        i, j = zip(*pairs, strict=True)
        low, high = np.quantile(resampled[:, i, j].mean(1), (0.025, 0.975))
        rows.append({"first": first, "second": second, "spearman": found[i, j].mean(), "low": low, "high": high})
    return pd.DataFrame(rows)


def _correlations(ranks: Values) -> Values:
    centred = ranks - ranks.mean(1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    scaled = np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 0)
    return scaled @ scaled.T
