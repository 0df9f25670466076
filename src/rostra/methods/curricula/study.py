"""A fair study: orders x pacing functions x seeds against standard training that was tried as often.

A trial is one seed of one arm: a tree of all its pacing functions, in which what they share is trained once. The
engine runs trials, on this machine or a cluster, keeps their rows and goes on after a kill.
"""

__all__ = [
    "SCORERS",
    "STANDARD",
    "CurriculumStudy",
    "StudyResult",
    "StudySpec",
    "judge_study",
    "score_examples",
    "study_rows",
]

import hashlib
import itertools
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from rostra.engine.claims import Claim, Context, Row, Scale
from rostra.engine.errors import InputError, JobError
from rostra.engine.files import write_atomically
from rostra.engine.stats import estimate

from .baselines import holm, matched_baseline, selection_test
from .data import StudyData, fingerprint, load_data
from .noise import NOISES, inject_label_noise
from .objective import noise_auc
from .ordering import ORDERS, RANDOM, check_scores, make_order
from .pacing import DIRECTIONS, PacingFunction, prefix_sizes
from .scorers import HISTORY_SCORES, LOGIT_SCORES, Scores, cv_scores, history_scores, logit_scores
from .training import Copies, ModuleCopies, Plan, StackedMLP, TrainingConfig, train_plans

STANDARD = "standard"
GIVEN = "given"
CV_SCORES = ("cv-loss", "c-score")
SCORERS = (*CV_SCORES, *HISTORY_SCORES, *LOGIT_SCORES)
BOOTSTRAP = 12
"""Stream of draws of a seed."""
METRICS = ("test_at_best_val", "test_final", "test_best", "val_best")


@dataclass(frozen=True)
class StudySpec:
    """What a study tries.

    Attributes:
        orders: of :data:`.ORDERS`.
        families, a, b: pacing functions: every family with every a and b.
        seeds: seeds of each strategy, 0 to seeds - 1; they fix weights, batches, noise and scores alike for all orders.
        standard_runs: standard trainings a seed, at least 2; they are the baseline that the best of a search must beat.
        network: "mlp" (one hidden layer), "cnn", "resnet18" or another of :data:`.NETWORKS`, or "module:function".
        score_network: behind the scores; None takes ``network``.
        hidden: width of the mlp.
        training: of every network.
        noise, noise_kind: share of training labels that are spoiled, and how; see :func:`.inject_label_noise`.
        val_labels: "noisy" spoils the validation labels, too, as a practitioner has them; "clean" is the paper's.
        scorer: one of :data:`SCORERS`, or "given" for scores of one's own.
        score_training: of the models behind the scores; None takes ``training``.
        folds: of "cv-loss".
        repeats: of "cv-loss"; trainings that the other scores are averaged over.
        balance: keep classes in equal numbers in every prefix.
        direction: "grow" or "shrink".
        min_size: least size of a prefix; None: two batches.
    """

    orders: tuple[str, ...] = ORDERS
    families: tuple[str, ...] = ("step",)
    a: tuple[float, ...] = (0.1, 0.4, 0.8, 1.6)
    b: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8)
    seeds: int = 5
    standard_runs: int = 3
    network: str = "mlp"
    score_network: str | None = None
    hidden: int = 128
    training: TrainingConfig = field(default_factory=TrainingConfig)
    noise: float = 0.0
    noise_kind: str = "permute"
    val_labels: str = "noisy"
    scorer: str = "cv-loss"
    score_training: TrainingConfig | None = None
    folds: int = 4
    repeats: int = 3
    balance: bool = True
    direction: str = "grow"
    min_size: int | None = None

    def __post_init__(self) -> None:
        unknown = [order for order in self.orders if order not in ORDERS]
        if unknown or not self.orders:
            raise InputError(f"orders must be of {', '.join(ORDERS)}; got {', '.join(unknown) or 'none'}")
        least_of = {"seeds": 1, "standard_runs": 2, "hidden": 1, "folds": 2, "repeats": 1}
        for name, least in least_of.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InputError(f"{name} must be a whole number of {least} or more, got {value}")
        if self.min_size is not None and (not isinstance(self.min_size, int) or self.min_size < 1):
            raise InputError(f"min_size must be a whole number of 1 or more, or left out, got {self.min_size}")
        choices = {
            "noise_kind": NOISES,
            "val_labels": ("noisy", "clean"),
            "scorer": (*SCORERS, GIVEN),
            "direction": DIRECTIONS,
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}; got '{getattr(self, name)}'")
        if not isinstance(self.noise, int | float) or not 0 <= self.noise <= 1:
            raise InputError(f"noise, the share of labels to spoil, must lie in [0, 1], got {self.noise}")
        if self.noise and self.scorer == GIVEN:
            raise InputError("scores of one's own were made of other labels than the noisy ones; leave one of them out")
        if not self.pacings:
            raise InputError("a study needs one family, one a and one b or more")

    @property
    def pacings(self) -> list[PacingFunction]:
        """Every family with every a and b."""
        return [PacingFunction(*values) for values in itertools.product(self.families, self.a, self.b)]

    def to_settings(self) -> dict[str, Any]:
        """As JSON values; ``seeds`` and ``orders`` are the engine's business."""
        found = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in ("orders", "seeds")}
        found["training"] = dict(self.training.__dict__)
        found["score_training"] = None if self.score_training is None else dict(self.score_training.__dict__)
        return json.loads(json.dumps(found))

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "StudySpec":
        """From what a file or :meth:`to_settings` holds.

        Raises:
            InputError: for a name that is none, or a value of another kind.
        """
        known = {item.name for item in fields(cls)}
        unknown = sorted(settings.keys() - known)
        if unknown:
            raise InputError(f"a study has no setting '{unknown[0]}'; it has: {', '.join(sorted(known))}")
        values = dict(settings)
        try:
            for name in ("training", "score_training"):
                if values.get(name) is not None:
                    values[name] = TrainingConfig(**values[name])
            for name in ("orders", "families", "a", "b"):
                if name in values:
                    values[name] = tuple(values[name]) if isinstance(values[name], list | tuple) else (values[name],)
            return cls(**values)
        except TypeError as error:
            raise InputError(f"a study's settings cannot be used: {error}") from None


# ------------------------------------------------------- one trial: a seed of an arm


def make_copies(
    spec: StudySpec, data: StudyData, config: TrainingConfig, device: str
) -> Callable[[Sequence[int]], Copies]:
    """A function of seeds that makes the study's networks."""
    if spec.network == "mlp":
        inputs = int(np.prod(data.x.shape[1:]))
        return lambda seeds: StackedMLP(seeds, inputs, spec.hidden, data.classes, config, device)
    make = network_maker(spec.network, tuple(data.x.shape[1:]), data.classes)
    return lambda seeds: ModuleCopies(seeds, make, config, device)


def network_maker(name: str, image: tuple[int, ...], classes: int) -> Callable[[], nn.Module]:
    """A function that makes the network of that name; "module:function" is called without arguments.

    Raises:
        InputError: for a name that is none, or a network of images where examples are rows of numbers.
    """
    from .model import NETWORKS

    if ":" in name:
        module, _, function = name.partition(":")
        try:
            made = getattr(import_module(module), function)
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(f"network '{name}' cannot be imported ({error}); give module:function") from None
        if not callable(made):
            raise InputError(f"network '{name}' is no function; give module:function that makes a network")
        return made
    if name not in NETWORKS:
        raise InputError(
            f"there is no network '{name}'; there are: mlp, {', '.join(NETWORKS)}, or give module:function"
        )
    if len(image) != 3:
        raise InputError(f"network '{name}' takes images, and these are rows of {image[0]} numbers; take mlp")
    return lambda: NETWORKS[name](image, classes)


def spoilt(spec: StudySpec, data: StudyData, seed: int) -> tuple[StudyData, NDArray[np.bool_]]:
    """The data with a seed's noise in their training labels (and, if the study says so, in those for validation), and
    which training labels are wrong."""
    noisy = inject_label_noise(data.y, spec.noise, spec.noise_kind, seed)
    val = data.y_val
    if spec.val_labels == "noisy":
        val = inject_label_noise(val, spec.noise, spec.noise_kind, seed + 1_000_000).labels
    return replace(data, y=noisy.labels, y_val=val), noisy.wrong


def difficulty(spec: StudySpec, data: StudyData, seed: int, context: Context) -> NDArray[np.float64]:
    """Scores of the labels that a learner sees (clean ones would leak), made once for all arms of a seed."""
    if spec.scorer == GIVEN:
        if data.scores is None:
            raise InputError("scorer 'given' needs scores; give them with the data")
        return check_scores(data.scores, len(data.y))
    scoring = replace(spec, training=spec.score_training or spec.training, network=spec.score_network or spec.network)
    return kept_scores(scoring, data, spec.scorer, spec.repeats, seed, context)


def kept_scores(
    spec: StudySpec, data: StudyData, scorer: str, models: int, seed: int, context: Context
) -> NDArray[np.float64]:
    """:func:`score_examples`, kept in the run's folder under a hash of all that the scores depend on."""
    settings = {name: getattr(spec, name) for name in ("network", "hidden", "folds", "repeats")}
    parts = [hashlib.sha256(part.tobytes()).hexdigest() for part in (data.x.cpu().numpy(), data.y)]
    asked = [settings, asdict(spec.training), scorer, models, seed, context.device, *parts]
    with context.kept("curricula", asked) as place:
        path = place.with_suffix(".npz")
        if not path.exists():
            score_examples(spec, data, scorer, models=models, seed=seed, device=context.device).save(path)
        return Scores.load(path).values


def measure_on(data: StudyData, device: str) -> Callable[[Copies, slice, Sequence[int]], list[dict[str, float]]]:
    """Accuracy on validation and test data, and whether outputs are finite."""
    x_val, x_test = data.x_val.to(device), data.x_test.to(device)
    y_val, y_test = torch.as_tensor(data.y_val, device=device), torch.as_tensor(data.y_test, device=device)

    def measure(nets: Copies, which: slice, plans: Sequence[int]) -> list[dict[str, float]]:
        val, test = nets.logits(which, x_val), nets.logits(which, x_test)
        right_val = (val.argmax(-1) == y_val).double().mean(1).tolist()
        right_test = (test.argmax(-1) == y_test).double().mean(1).tolist()
        finite = torch.isfinite(test).flatten(1).all(1).tolist()
        return [
            {"val": v if ok else 0.0, "test": t if ok else 0.0, "finite": float(ok)}
            for v, t, ok in zip(right_val, right_test, finite, strict=True)
        ]

    return measure


def summary(measures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The three test accuracies of a training (section 2.6), its best and last validation accuracy, and whether it
    diverged."""
    val, test = ([entry[name] for entry in measures] for name in ("val", "test"))
    return {
        "test_at_best_val": test[int(np.argmax(val))],
        "test_final": test[-1],
        "test_best": max(test),
        "val_best": max(val),
        "val_final": val[-1],
        "diverged": float(measures[-1]["finite"] < 1),
    }


def study_rows(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """Every pacing function (for "standard": every run) of an arm, a row each.

    Index: ``seed``, ``family``, ``a``, ``b``, ``run``. Metrics: those of :func:`summary`; ``shared``, share of the
    seed's steps that other plans had done already; with noise, and an order by scores, ``noise_auc``: how well the
    scores tell wrong labels.
    """
    spec = StudySpec.from_settings({name: value for name, value in settings.items() if name != "data"})
    clean = load_data(settings["data"], context)
    config = spec.training
    x = clean.x.to(context.device)
    for seed in seeds:
        data, wrong = spoilt(spec, clean, seed)
        more: dict[str, float] = {}
        if arm == STANDARD:
            plans, index = _standard_plans(spec, len(data.y), seed)
        else:
            scores = difficulty(spec, data, seed, context) if arm != RANDOM else np.arange(len(data.y), dtype=float)
            plans, index = _ordered_plans(spec, data, arm, seed, scores)
            if wrong.any() and arm != RANDOM:
                more["noise_auc"] = noise_auc(scores, wrong)
        run = train_plans(
            make_copies(spec, data, config, context.device),
            plans,
            x,
            torch.as_tensor(data.y, device=context.device)[None],
            config,
            measure_on(data, context.device),
        )
        more["shared"] = 1 - run.steps / run.steps_apart
        for place, measures in zip(index, run.measures, strict=True):
            yield {"seed": seed, **place, **summary(measures), **more}


def _standard_plans(spec: StudySpec, n: int, seed: int) -> tuple[list[Plan], list[dict[str, Any]]]:
    """Standard trainings and their index columns; the first has the weights and batches of the seed's strategies."""
    everything = np.full(spec.training.total_steps, n)
    plans = [Plan(seed + 1_000_000 * run, np.arange(n), everything, root=run) for run in range(spec.standard_runs)]
    return plans, [{"family": "", "a": 0.0, "b": 1.0, "run": run} for run in range(spec.standard_runs)]


def _ordered_plans(
    spec: StudySpec, data: StudyData, order: str, seed: int, scores: NDArray[np.float64]
) -> tuple[list[Plan], list[dict[str, Any]]]:
    """A training for each pacing function, and their index columns."""
    n, config = len(data.y), spec.training
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ties: accuracy-like scores have them
        permutation = make_order(scores, order, data.y if spec.balance else None, seed)
    least = 2 * config.batch_size if spec.min_size is None else spec.min_size
    plans = [
        Plan(seed, permutation, prefix_sizes(pacing, config.total_steps, n, least, spec.direction))
        for pacing in spec.pacings
    ]
    return plans, [{"family": p.family, "a": p.a, "b": p.b, "run": 0} for p in spec.pacings]


def score_examples(
    spec: StudySpec, data: StudyData, scorer: str, *, models: int = 5, seed: int = 0, device: str = "cpu"
) -> Scores:
    """Difficulty of ``data.x`` by the study's network.

    Args:
        spec: its network, training, folds and repeats are used.
        data: only the training part is.
        scorer: one of :data:`SCORERS`.
        models: trainings that scores other than those of cross-validation are averaged over.
        seed: of weights and batches.
        device: of the networks.

    Raises:
        InputError: for an unknown scorer, or a batch larger than the data.
    """
    if scorer not in SCORERS:
        raise InputError(f"there is no scorer '{scorer}'; there are: {', '.join(SCORERS)}")
    config = spec.training
    if config.batch_size > len(data.y):
        raise InputError(f"batch_size {config.batch_size} is above the number of examples, {len(data.y)}")
    copies = make_copies(spec, data, config, device)
    x, y = data.x.to(device), torch.as_tensor(data.y, device=device)
    if scorer in CV_SCORES:
        return cv_scores(copies, x, y, config, spec.folds, spec.repeats, seed, kind=scorer)
    score = history_scores if scorer in HISTORY_SCORES else logit_scores
    return score(copies, x, y, config, models, scorer, seed)


# ------------------------------------------------------- a whole study


def check_work(spec: StudySpec, data: StudyData, device: str = "cpu") -> None:
    """Refuse what no trial could do, before any starts.

    Raises:
        InputError: for batches larger than the data, missing scores, or a network that cannot take the examples.
    """
    for config in (spec.training, spec.score_training or spec.training):
        if config.batch_size > len(data.y):
            raise InputError(f"batch_size {config.batch_size} is above the number of training examples, {len(data.y)}")
    if spec.scorer == GIVEN and data.scores is None:
        raise InputError("scorer 'given' needs scores; give them with the data")
    for name in {spec.network, spec.score_network or spec.network}:
        copies = make_copies(replace(spec, network=name), data, spec.training, device)
        try:
            shape = tuple(copies([0]).logits(slice(0, 1), data.x[:2].to(device)).shape[1:])
        except (RuntimeError, TypeError, AttributeError, ValueError) as error:
            raise InputError(
                f"network '{name}' cannot take examples of the shape {tuple(data.x.shape[1:])}: "
                f"{(str(error) or type(error).__name__).splitlines()[0]}"
            ) from None
        if shape != (min(2, len(data.x)), data.classes):
            raise InputError(
                f"network '{name}' gives outputs of the shape {shape} for 2 examples; it must give one for each of "
                f"the {data.classes} classes"
            )


class CurriculumStudy:
    """Train every strategy and the standard runs, and judge the strategies fairly.

    Args:
        spec: what to try.
        data: description for :func:`.load_data`, such as {"path": "photos"}; or arrays, see :meth:`on_arrays`.
    """

    def __init__(self, spec: StudySpec, data: Mapping[str, Any]) -> None:
        self.spec, self.data = spec, dict(data)

    @classmethod
    def on_arrays(
        cls,
        spec: StudySpec,
        out: Path,
        X: ArrayLike,
        y: ArrayLike,
        *,
        scores: ArrayLike | None = None,
        **parts: ArrayLike,
    ) -> "CurriculumStudy":
        """A study of arrays, which are kept as ``out/data-HASH.npz`` so that workers can read them.

        Args:
            spec: what to try.
            out: folder of the study.
            X: uint8 images (n, C, H, W), or rows of numbers (n, D).
            y: labels 0 to C - 1.
            scores: of the training examples, for the scorer "given".
            **parts: X_val, y_val, X_test, y_test; those that are missing are cut off from X, a tenth of each class.
        """
        arrays: dict[str, Any] = {
            "X": np.asarray(X),
            "y": np.asarray(y),
            **{name: np.asarray(part) for name, part in parts.items()},
        }
        if scores is not None:
            arrays["scores"] = check_scores(scores, len(arrays["y"]))
        digest = hashlib.sha256(b"".join(name.encode() + part.tobytes() for name, part in sorted(arrays.items())))
        path = out / f"data-{digest.hexdigest()[:16]}.npz"
        if not path.exists():
            with write_atomically(path) as temporary, open(temporary, "wb") as file:
                np.savez_compressed(file, **arrays)
        return cls(spec, {"path": str(path.resolve())})

    def run(
        self,
        out: Path,
        *,
        executor: str = "local",
        address: str | None = None,
        workers: int | None = None,
        device: str = "cpu",
        announce: Callable[[str], None] = lambda _: None,
    ) -> "StudyResult":
        """Run what ``out`` does not hold yet; see :func:`rostra.engine.reproduce.reproduce` for the arguments.

        Trials that fail twice are left out, and named in the result.

        Raises:
            InputError: for settings or data that no trial could use.
            JobError: if so many trials failed that no seed is whole.
        """
        from rostra.engine.reproduce import reproduce
        from rostra.engine.results import ResultStore, row_key

        # what the files hold is a part of the settings: rows of other contents are other rows
        hashes = {name: fingerprint(Path(self.data[name])) for name in ("path", "scores") if self.data.get(name)}
        settings = {**self.spec.to_settings(), "data": {**self.data, **({"sha256": hashes} if hashes else {})}}
        check_work(self.spec, load_data(self.data, Context("cpu", out)))  # here, not in every worker
        arms = (STANDARD, *self.spec.orders)
        claim = Claim(
            name="study",
            statement="A study of orders and pacing functions.",
            source="",
            paper={},
            metric="test_at_best_val",
            unit="accuracy",
            arms=arms,
            scales={"laptop": Scale(settings, seeds=self.spec.seeds)},
            comparisons=(),
            run=study_rows,
            index=("seed", "family", "a", "b", "run"),
        )
        [evidence] = reproduce(
            [("curricula", claim)],
            scale="laptop",
            out=out,
            executor=executor,
            address=address,
            workers=workers,
            device=device,
            announce=lambda line: None if line.startswith("curricula.study") else announce(line),
        )
        with ResultStore(out) as store:
            rows = [
                {"order": arm, **record["row"]}
                for arm in arms
                for seed in range(self.spec.seeds)
                for record in store.rows(row_key("curricula", study_rows.__name__, arm, settings, seed))
            ]
        table = pd.DataFrame(rows, columns=None if rows else ["order", "seed"])
        missing = dict(evidence["missing_seeds"])
        if not shared_seeds(table, arms):
            raise JobError(f"no seed ended for every order; '{out / 'failures.jsonl'}' says why")
        return StudyResult(table, self.spec, missing)


@dataclass(frozen=True)
class StudyResult:
    """The trainings of a study, and what they say.

    Attributes:
        table: a row a training: order, seed, family, a, b, run, and the metrics of :func:`study_rows`.
        spec: what was tried.
        missing: seeds whose trial failed twice, by order; the report rests on the seeds that no order lacks.
    """

    table: pd.DataFrame
    spec: StudySpec
    missing: Mapping[str, int] = field(default_factory=dict)

    def report(self, metric: str = "test_at_best_val") -> pd.DataFrame:
        """One row an order; see :func:`judge_study`."""
        seeds = shared_seeds(self.table, (STANDARD, *self.spec.orders))
        return judge_study(self.table[self.table["seed"].isin(seeds)], metric)

    def best_pacing(self, metric: str = "val_best") -> pd.DataFrame:
        """The pacing function of each order that is best on average, by validation accuracy unless told otherwise."""
        strategies = self.table[self.table["order"] != STANDARD]
        means = strategies.groupby(["order", "family", "a", "b"], as_index=False)[list(METRICS)].mean()
        return means.loc[means.groupby("order")[metric].idxmax()].reset_index(drop=True)


def shared_seeds(table: pd.DataFrame, orders: Sequence[str]) -> list[int]:
    """Seeds that every order has."""
    return sorted(set.intersection(*(set(table.loc[table["order"] == order, "seed"]) for order in orders)))


def judge_study(table: pd.DataFrame, metric: str = "test_at_best_val", reps: int = 10_000) -> pd.DataFrame:
    """Does the best strategy of an order beat the best of as many standard trainings?

    Args:
        table: a row a training, as :class:`StudyResult` has it.
        metric: higher is better.
        reps: draws of the null law.

    Returns:
        A row an order. ``best`` of all strategies' means over the seeds, and ``strategy``, which; ``matched``, the mean
        of the best of as many searches without any effect; ``gain`` with ``low`` and ``high`` (95 %), the one-sided
        ``p_value``, and ``p_holm`` for all orders together. ``honest_gain``: the test accuracy on each seed of the
        strategy that was best in validation on the other seeds, less that of the seed's standard runs, averaged, with
        ``honest_low`` and ``honest_high`` (95 %; none below 2 seeds). ``over_random`` with ``over_random_low`` and
        ``over_random_high``: less the random order at the same pacing function and seed, averaged, with a bootstrap
        over the strategies. ``standard``, the mean of the standard runs.
    """
    standard = table[table["order"] == STANDARD]
    of_seeds = standard.groupby("seed")[metric].mean()
    rows = []
    for order, part in table[table["order"] != STANDARD].groupby("order", sort=False):
        means = part.groupby(["family", "a", "b"])[metric].mean()
        null = matched_baseline(
            standard[metric], len(means), part["seed"].nunique(), reps=reps, strata=standard["seed"]
        )
        found = selection_test(float(means.max()), null)
        family, a, b = list(means.index)[int(means.to_numpy().argmax())]
        honest = estimate(np.array([value - of_seeds[seed] for seed, value in honest_choice(part, metric).items()]))
        row = {
            "order": order,
            "strategy": PacingFunction(family, a, b).name,
            "best": found.best,
            "matched": found.expected,
            "gain": found.gain,
            "low": found.interval[0],
            "high": found.interval[1],
            "p_value": found.p_value,
            "honest_gain": honest.mean,
            "honest_low": honest.interval[0] if honest.interval else None,
            "honest_high": honest.interval[1] if honest.interval else None,
            "standard": float(standard[metric].mean()),
        }
        if RANDOM in set(table["order"]) and order != RANDOM:
            names = ("over_random", "over_random_low", "over_random_high")
            row |= dict(zip(names, over_random(table, str(order), metric), strict=True))
        rows.append(row)
    report = pd.DataFrame(rows)
    corrected = holm(dict(zip(report["order"], report["p_value"], strict=True)))
    report.insert(8, "p_holm", [corrected[order] for order in report["order"]])
    return report


def over_random(table: pd.DataFrame, order: str, metric: str, resamples: int = 2000) -> tuple[float, float, float]:
    """Mean of an order less the random one at the same pacing function and seed, and its bootstrap interval over
    the pacing functions (95 %). It tells the order from the growth of the data, and needs no standard runs."""
    place = ["family", "a", "b", "seed"]
    values = {name: part.set_index(place)[metric] for name, part in table.groupby("order")}
    by_strategy = (values[order] - values[RANDOM]).groupby(["family", "a", "b"]).mean().to_numpy()
    rng = np.random.default_rng([0, BOOTSTRAP])
    drawn = by_strategy[rng.integers(0, len(by_strategy), (resamples, len(by_strategy)))].mean(1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(by_strategy.mean()), float(low), float(high)


def honest_choice(part: pd.DataFrame, metric: str) -> dict[int, float]:
    """By seed: the metric of the strategy whose validation accuracy is best on all other seeds. Unbiased by the choice.

    With one seed only, the choice is by the validation accuracy of that seed.
    """
    val = part.pivot_table(index=["family", "a", "b"], columns="seed", values="val_best")
    test = part.pivot_table(index=["family", "a", "b"], columns="seed", values=metric)
    found = {}
    for seed in map(int, val.columns):
        others = val.drop(columns=seed) if val.shape[1] > 1 else val
        chosen = int(others.mean(axis=1).to_numpy().argmax())
        found[seed] = float(test[seed].to_numpy()[chosen])
    return found
