"""What the claims measure: whole studies by seed, figure 1's nets, and the exact laws' errors."""

__all__ = [
    "StudySettings",
    "channel_accuracy",
    "onehot_errors",
    "pairs_errors",
    "regression_errors",
    "study_rows",
    "texture_erm_errors",
]

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .complexity import crossing, fit_exponent, measure_dimension
from .estimator import ConvClassifier, ConvERM
from .kernels import interpolate, quadratic_forms, relative_error
from .learners import TEST_POINTS, Averaged, ConvERMLearner, ConvLearner, FCLearner, KernelLearner, Learner
from .model import ChannelNet, HybridNet
from .objective import onehot_law, orthogonal_pairs_law, regression_law, traceless_dimension
from .tasks import Task, make_task, onehot, orthogonal_pairs, texture
from .training import FCConfig, outputs, train_on_sets

Array = NDArray[np.float64]


# ------------------------------------------------------- n* and exponents


@dataclass(frozen=True)
class StudySettings:
    """A learner's study.

    Attributes:
        kind: "fc", "kernel", "conv_erm" or "conv_gd".
        options: of the learner; for "fc" those of :class:`.FCConfig`, with ``learning_rates`` and ``width``.
        dimensions: values of D.
        draws: trainings that a seed averages over, for learners whose single curves are rough.
    """

    kind: str
    options: Mapping[str, Any]
    dimensions: Sequence[int]
    draws: int = 1

    def learner(self, device: str) -> Learner:
        """The learner, possibly averaged over draws."""
        options = dict(self.options)
        made: Learner
        if self.kind == "fc":
            rates, width = tuple(options.pop("learning_rates")), options.pop("width", 4)
            if width is None:
                options["hidden"] = tuple(options["hidden"])
            made = FCLearner(FCConfig(**options), rates, width, device=device)
        elif self.kind == "kernel":
            made = KernelLearner(**options)
        elif self.kind == "conv_erm":
            made = ConvERMLearner(**options)
        else:
            made = ConvLearner(**options)
        return made if self.draws == 1 else Averaged(made, self.draws)


def study_rows(
    task_name: str, study: StudySettings, targets: Sequence[float], seeds: Sequence[int], n_max: int, device: str
) -> Iterator[dict[str, Any]]:
    """A row a seed: n* of every dimension from the seed's own curves, and their exponent.

    The sizes are those at which all seeds' curves pass every target. Columns: ``exponent`` and ``n_star_D`` at the
    last target; ``n_star``, of the largest D; ``least_ratio``, the least n* / D; ``slope``, of log n* in the log of
    the error 1 - target at the largest D (with several targets); ``train``, mean training score at the sizes next to
    n*; ``censored`` and ``diverged``, counts; ``curve``, [D, n, score] of every training.
    """
    learner = study.learner(device)
    records: list[dict[str, Any]] = []
    guess: float | None = None
    for number, dimension in enumerate(study.dimensions):
        task, known = make_task(task_name, dimension), dict[tuple[int, int], dict[str, Any]]()
        for target in targets:
            for record in measure_dimension(task, learner, target, seeds, 2, n_max, list(known.values()), guess):
                known[record["n"], record["seed"]] = record
        records += known.values()
        if number + 1 < len(study.dimensions):  # what this one needed tells where to look next
            middle = np.sqrt(min(n for n, _ in known) * max(n for n, _ in known))
            guess = float(middle) * study.dimensions[number + 1] / dimension
    for seed in seeds:
        yield _study_row(study.dimensions, targets, [record for record in records if record["seed"] == seed], seed)


def _study_row(
    dimensions: Sequence[int], targets: Sequence[float], own: Sequence[Mapping[str, Any]], seed: int
) -> dict[str, Any]:
    curves = {
        D: sorted((record["n"], record["score"], record["train"]) for record in own if record["D"] == D)
        for D in dimensions
    }
    found = {
        D: [crossing([n for n, _, _ in curve], np.array([s for _, s, _ in curve]), target) for target in targets]
        for D, curve in curves.items()
    }
    n_star = np.array([found[D][-1][0] for D in dimensions])
    censored = np.array([found[D][-1][1] == "above" for D in dimensions])
    row: dict[str, Any] = {"seed": seed}
    if len(dimensions) > 1:
        row["exponent"] = fit_exponent(np.array(dimensions, dtype=float), n_star, np.ones(len(n_star)), censored)
    row |= {"n_star": float(n_star[-1]), "least_ratio": float((n_star / np.array(dimensions)).min())}
    row |= {f"n_star_{D}": float(n) for D, n in zip(dimensions, n_star, strict=True)}
    if len(targets) > 1:
        errors = np.log([1 - target for target in targets])
        row["slope"] = float(np.polyfit(errors, np.log([n for n, _ in found[dimensions[-1]]]), 1)[0])
    nearest = [
        min(curve, key=lambda point: abs(np.log(point[0] / n)))
        for curve, n in zip(curves.values(), n_star, strict=True)
    ]
    row["train"] = float(np.mean([train for _, _, train in nearest]))
    row |= {"censored": int(censored.sum()), "diverged": sum(record["diverged"] for record in own)}
    row["curve"] = [[D, n, round(score, 4)] for D, curve in curves.items() for n, score, _ in curve]
    return row


# ------------------------------------------------------- figure 1


def channel_accuracy(
    task: Task, net: str, n: int, seeds: Sequence[int], settings: Mapping[str, Any], device: str
) -> list[dict[str, float]]:
    """Test and training accuracy of a net of figure 1 at n points, a record a seed.

    Nets whose first layer is fully connected have the best of their learning rates, chosen on the test set (and of
    their stopping times, where convolutions do not follow); ConvNets have one learning rate and their last step.
    """
    sets = [task.sample(n, seed) for seed in seeds]
    tests = [task.test_set(TEST_POINTS, seed) for seed in seeds]
    if net.startswith("fc"):
        return _fc_accuracy(task, net, sets, tests, seeds, settings, device)
    tuned = net == "hybrid"
    found = []
    for own, test, seed in zip(sets, tests, seeds, strict=True):
        records = []
        for lr in settings["fc_learning_rates"] if tuned else [settings["conv_lr"]]:
            model = ConvClassifier(
                module=lambda _: _channel_net(task, net),
                lr=lr,
                steps=settings["fc_steps" if tuned else "conv_steps"],
                batch_size=settings["batch_size"],
                cosine=True,
                seed=seed,
                device=device,
            )
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "training diverged")
                model.fit(*own)
            record = {"accuracy": float(model.score(*test)), "train": model.train_accuracy_}
            records.append(record | {"diverged": float(model.diverged_)})
        found.append(max(records, key=lambda record: record["accuracy"]))
    return found


def _channel_net(task: Task, net: str) -> torch.nn.Module:
    assert task.image is not None
    kind, _, activation = net.partition("_")
    if kind == "hybrid":
        return HybridNet(task.image)
    norm = activation == "bn"
    return ChannelNet(
        task.image, int(kind.removeprefix("conv")), 10, "relu" if activation == "relu" else "quadratic", norm=norm
    )


def _fc_accuracy(
    task: Task,
    net: str,
    sets: Sequence[tuple[Any, Any]],
    tests: Sequence[tuple[Any, Any]],
    seeds: Sequence[int],
    settings: Mapping[str, Any],
    device: str,
) -> list[dict[str, float]]:
    kind, _, activation = net.partition("_")
    config = FCConfig(
        hidden=(task.dimension,) * (int(kind.removeprefix("fc")) - 1),
        activation=activation or "quadratic",
        steps=settings["fc_steps"],
        batch_size=settings["batch_size"],
        cosine=True,
    )
    run = train_on_sets(sets, tests, config, seeds, settings["fc_learning_rates"], device)
    best = run.test_accuracy.max(axis=(0, 1))
    return [
        {
            "accuracy": float(best[s]),
            "train": float(run.train_accuracy[-1, :, s].max()),
            "diverged": float(run.diverged[:, s].sum()),
        }
        for s in range(len(seeds))
    ]


# ------------------------------------------------------- exact laws


def regression_errors(
    dimension: int, fractions: Sequence[float], target: str, draws: int, seed: int
) -> dict[float, float]:
    """Mean relative error of the traceless interpolant at n = fraction * p points, over draws of points.

    Args:
        dimension: D.
        fractions: of p, the dimension of the traceless matrices.
        target: "halves" (+1 and -1 on the diagonal), "random" (a random traceless matrix), "rank2", or "law".
        draws: to average over.
        seed: of the draws.
    """
    p = traceless_dimension(dimension)
    sizes = {fraction: max(1, round(fraction * p)) for fraction in fractions}
    if target == "law":
        return {fraction: regression_law(n, dimension) for fraction, n in sizes.items()}
    rng = np.random.default_rng([dimension, seed])
    errors: dict[float, list[float]] = {fraction: [] for fraction in fractions}
    for _ in range(draws):
        matrix = _target_matrix(dimension, target, rng)
        x = rng.standard_normal((max(sizes.values()), dimension))
        y = quadratic_forms(x, matrix)
        for fraction, n in sizes.items():
            errors[fraction].append(relative_error(matrix, interpolate(x[:n], y[:n])))
    return {fraction: float(np.mean(values)) for fraction, values in errors.items()}


def _target_matrix(dimension: int, target: str, rng: np.random.Generator) -> Array:
    if target == "halves":
        return np.diag(np.where(np.arange(dimension) < dimension // 2, 1.0, -1.0))
    if target == "rank2":
        u, v = rng.standard_normal((2, dimension))
        return np.outer(u, u) / (u @ u) - np.outer(v, v) / (v @ v)
    random = rng.standard_normal((dimension, dimension))
    symmetric = random + random.T
    return symmetric - np.eye(dimension) * np.trace(symmetric) / dimension


def conv_regression_error(dimension: int, seed: int) -> float:
    """Relative error of least squares on x_i^2, what diag's ConvNet is, at n = D."""
    x, y = make_task("diag_regression", dimension).sample(dimension, seed, dtype=np.float64)
    found = np.linalg.solve(np.square(x), y)
    alpha = np.where(np.arange(dimension) < dimension // 2, 1.0, -1.0)
    return float(np.square(found - alpha).sum() / np.square(alpha).sum())


def pairs_errors(
    half: int, ratios: Sequence[float], arm: str, config: FCConfig, lr: float, seeds: Sequence[int], device: str
) -> list[dict[str, Any]]:
    """Errors on the hard distribution of theorem 4.1 at n = ratio * M, a record a seed (which draws the coins).

    Columns: ``errors`` by ratio, over all points; ``unseen``, mistakes and number of points never drawn; ``train``.
    """
    tasks = [orthogonal_pairs(2 * half, draw=seed) for seed in seeds]
    points = half * (half - 1) // 2
    found: list[dict[str, Any]] = [{"errors": {}, "unseen": [0, 0], "train": []} for _ in seeds]
    for ratio in ratios:
        n = max(1, round(ratio * points))
        if arm == "law":
            for record in found:
                record["errors"][ratio] = orthogonal_pairs_law(n, points)
            continue
        sets = [task.sample(n, seed) for task, seed in zip(tasks, seeds, strict=True)]
        tests = [task.test_set(0, 0) for task in tasks]
        right = _right_answers(arm, tasks, sets, tests, config, lr, seeds, device)
        for record, own, (x, _), (test_x, _) in zip(found, right, sets, tests, strict=True):
            seen = (test_x[:, None] == x[None]).all(2).any(1)
            record["errors"][ratio] = float(1 - own.mean())
            record["unseen"][0] += int((~own[~seen]).sum())
            record["unseen"][1] += int((~seen).sum())
            record["train"].append(float(own[seen].mean()))
    return found


def _right_answers(
    arm: str,
    tasks: Sequence[Task],
    sets: Sequence[tuple[Any, Any]],
    tests: Sequence[tuple[Any, Any]],
    config: FCConfig,
    lr: float,
    seeds: Sequence[int],
    device: str,
) -> list[NDArray[np.bool_]]:
    if arm == "conv":
        models = [ConvERM(task.conv_features, "margin") for task in tasks]
        return [
            np.asarray(model.fit(x.astype(np.float64), y).predict(test_x.astype(np.float64)) == test_y)
            for model, (x, y), (test_x, test_y) in zip(models, sets, tests, strict=True)
        ]
    run = train_on_sets(sets, tests, config, seeds, [lr], device)
    test = torch.as_tensor(np.stack([x for x, _ in tests]), dtype=torch.float32, device=device)
    found = outputs(run.ensemble, test)[0].cpu().numpy() >= 0
    return [own == (y > 0) for own, (_, y) in zip(found, tests, strict=True)]


def onehot_errors(
    dimension: int, sizes: Sequence[int], arm: str, config: FCConfig, lr: float, seed: int, draws: int, device: str
) -> dict[int, float]:
    """Mean error on the one-hot task by n, over draws."""
    if arm == "law":
        return {n: onehot_law(n, dimension) for n in sizes}
    task = onehot(dimension)
    seeds = [seed * draws + draw for draw in range(draws)]
    found = {}
    for n in sizes:
        sets = [task.sample(n, own) for own in seeds]
        tests = [task.test_set(0, own) for own in seeds]
        right = _right_answers(arm, [task] * draws, sets, tests, config, lr, seeds, device)
        found[n] = float(np.mean([1 - own.mean() for own in right]))
    return found


def texture_erm_errors(dimension: int, sizes: Sequence[int], seed: int, draws: int) -> dict[int, float]:
    """Mean error of the ConvNet's risk minimiser on the texture task by n, over draws."""
    task = texture(dimension)
    x, y = task.test_set(0, 0, dtype=np.float64)
    found = {}
    for n in sizes:
        errors = []
        for draw in range(draws):
            points, labels = task.sample(n, seed * draws + draw, dtype=np.float64)
            if len(np.unique(labels)) == 1:
                errors.append(float((y != labels[0]).mean()))
            else:
                errors.append(1 - float(ConvERM(task.conv_features, "margin").fit(points, labels).score(x, y)))
        found[n] = float(np.mean(errors))
    return found
