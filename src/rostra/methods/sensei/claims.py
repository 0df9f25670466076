"""The paper's claims about SenSeI, as runs. Margins and seeds are fixed here, before any run.

Settings were chosen on seeds 100 and 101, on a validation part of the training rows; seeds from 0 on are reported.
"""

__all__ = ["CLAIMS"]

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rostra.engine.claims import Claim, Context, Row, Scale
from rostra.engine.stats import Equivalence, NonInferiority, Superiority, Threshold

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .data import BinaryTable
    from .protocol import Split
    from .training import SenSeIConfig


def _load(name: str, context: Context) -> "BinaryTable":
    from .data import DATASETS, adult_table, compas_table, mixture_table

    if name.startswith("mixture"):
        return mixture_table(2000, measures=("s_con", "gr_con") if name == "mixture" else ("race_flip", "sex_flip"))
    dataset = next(dataset for dataset in DATASETS if dataset.name == name)
    return (adult_table if name == "adult" else compas_table)(context.dataset(dataset))


def _groups(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the sensitive columns, for the gaps."""
    return {"adult": ("gender", "race"), "compas": ("sex", "race")}.get(settings["table"], ("gender",))


def _config(settings: Mapping[str, Any], arm: str) -> "SenSeIConfig":
    """The settings of all arms, then those of this one."""
    from .protocol import with_changes
    from .training import SenSeIConfig

    return with_changes(SenSeIConfig(), {**settings["common"], **settings["arms"][arm]})


def table_arms(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """One split a seed; the models of an arm are trained in one batched program.

    Metrics: ``accuracy``, ``balanced_accuracy``, the table's consistencies (Adult: ``s_con``, ``gr_con`` and
    ``spouse_flip``; COMPAS: ``sex_flip`` and ``race_flip``), ``gap_rms_*`` and ``gap_max_*`` of each sensitive column;
    for arms with an auditor ``lambda`` at the end and ``distance``, the mean fair distance of worst cases over the
    last fifth of training.
    """
    from .protocol import fit_arm, fit_reductions, logistic_subspace, make_split, measured, predictor

    table = _load(settings["table"], context)
    names = dict(zip(table.sensitive, _groups(settings), strict=True))
    splits = [make_split(table, seed) for seed in seeds]
    if arm == "reductions":
        for seed, split in zip(seeds, splits, strict=True):
            predict = fit_reductions(split, settings["arms"][arm]["eps"], seed)
            yield {"seed": seed, **measured(split, predict, names)}
        return
    metrics = [logistic_subspace(split) for split in splits]
    fitted = fit_arm(splits, _config(settings, arm), seeds, metrics, device=context.device)
    last = fitted.history[-max(1, len(fitted.history) // 5) :]
    for copy, (seed, split) in enumerate(zip(seeds, splits, strict=True)):
        row: Row = {"seed": seed, **measured(split, predictor(fitted, copy), names)}
        if fitted.config.attacks:
            row |= {"lambda": float(fitted.dual[copy]), "distance": float(last[:, 1, copy].mean())}
        yield row


def fronts(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """A front a seed: a grid of twelve models, all in one batched program.

    Metric ``hypervolume``: the area under the front of balanced accuracy and consistency, above the reference point.
    ``front`` holds balanced accuracy and consistency of each model.
    """
    import itertools

    from .evaluation import hypervolume
    from .protocol import fit_arm, logistic_subspace, make_split, measured, predictor

    table = _load(settings["table"], context)
    names = dict(zip(table.sensitive, _groups(settings), strict=True))
    grid = list(itertools.product(*settings["grids"][arm]))
    config = _config(settings, arm)
    for seed in seeds:
        split = make_split(table, seed)
        metric = logistic_subspace(split)
        fitted = fit_arm(
            [split] * len(grid),
            config,
            [seed] * len(grid),
            [metric] * len(grid),
            rho=[rho for rho, _ in grid],
            eps=[eps for _, eps in grid],
            device=context.device,
        )
        points = []
        for copy in range(len(grid)):
            found = measured(split, predictor(fitted, copy), names)
            points.append([round(found["balanced_accuracy"], 5), round(found[settings["consistency"]], 5)])
        yield {"seed": seed, "hypervolume": hypervolume(points, tuple(settings["reference"])), "front": points}


def audits(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """inFairness's Adult example: two hidden layers, small minibatches as they come, inputs without sex and race.

    Metrics: ``lower_bound``, ``ratio`` and ``median`` of the loss ratio under the logistic metric, whatever the arm was
    trained with, ``lower_bound_explore`` under EXPLORE; ``accuracy``, ``balanced_accuracy``, ``spouse_flip``.
    """
    import numpy as np

    from .audit import AuditSettings, loss_ratio
    from .metrics import FairMetric, logistic_directions
    from .preparation import draw_pairs
    from .protocol import fit_arm, make_split, measured, predictor

    table = _load(settings["table"], context)
    names = dict(zip(table.sensitive, _groups(settings), strict=True))
    columns = [column for column in range(table.x.shape[1]) if column not in table.sensitive]
    config = _config(settings, arm)
    for seed in seeds:
        split = make_split(table, seed)
        x, y = split.x[split.train][:, columns], table.y[split.train]
        attributes = split.x[split.train][:, list(table.sensitive)]
        directions, _ = logistic_directions(x, attributes=attributes, penalty="l1")
        logistic = FairMetric.subspace(directions)
        first, second, comparable = draw_pairs(x, y, attributes, None, seed)
        explore = FairMetric.explore(first, second, comparable, iterations=settings["explore_iterations"], seed=seed)
        metric = explore if arm.endswith("explore") else logistic
        fitted = fit_arm([split], config, [seed], [metric], columns=columns, device=context.device)
        predict = predictor(fitted, 0, columns)
        tested = split.test[: settings["audited_rows"]]
        shown = measured(split, predict, names)
        rows = np.ascontiguousarray(split.x[tested][:, columns])
        audit = AuditSettings(**settings["audit"], seed=seed)
        under = {
            name: loss_ratio(fitted.network, rows, table.y[tested], by, audit)
            for name, by in (("logistic", logistic), ("explore", explore))
        }
        yield {
            "seed": seed,
            "lower_bound": under["logistic"].lower_bound,
            "ratio": under["logistic"].mean,
            "median": under["logistic"].median,
            "lower_bound_explore": under["explore"].lower_bound,
            **{name: shown[name] for name in settings["shown"]},
        }


def certificate(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """The regulariser on its own training rows and on fresh ones, for training sets of growing size.

    Arms are numbers of training rows. Metrics: ``train`` and ``test``, the value of R at the trained lambda;
    ``covered``, whether the bootstrap interval over fresh rows, as many as the training rows, holds the training value
    (widened by the root of 2, since the training value varies as much);
    ``relative``, |train - test| / test.
    """
    import numpy as np

    from .data import mixture_table
    from .metrics import FairMetric
    from .protocol import fit_arm, regularizer_values

    for seed in seeds:
        n = int(arm.removeprefix("n"))
        table = mixture_table(n, seed=2 * seed)
        fresh = mixture_table(n, seed=2 * seed + 1)
        split = _whole(table)
        metric = FairMetric.euclidean(3, ignore=[0, 2])
        fitted = fit_arm([split], _config(settings, "sensei"), [seed], [metric], device=context.device)
        values = [regularizer_values(fitted, x, metric, seed=seed) for x in (table.x, fresh.x)]
        train, test = (float(v.mean()) for v in values)
        rng = np.random.default_rng(seed)
        means = values[1][rng.integers(n, size=(1000, n))].mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        # the training mean varies as much as the fresh one does: the interval of their difference is sqrt(2) as wide
        centre, half = (low + high) / 2, (high - low) / 2 * np.sqrt(2)
        yield {
            "seed": seed,
            "train": train,
            "test": test,
            "covered": float(abs(train - centre) <= half),
            "relative": abs(train - test) / max(abs(test), 1e-12),
        }


def _whole(table: "BinaryTable") -> "Split":
    import numpy as np

    from .protocol import Split

    rows = np.arange(len(table.y))
    return Split(table, rows, rows, table.x)


def names(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """A classifier of a lexicon's words asked about first names it has not seen.

    The sensitive directions are those in which the other half of the names differ. Metrics: ``accuracy`` on held-out
    words; ``gap`` and ``spread`` of the scores of held-out names (:func:`.text.name_measures`); ``gap_share`` and
    ``spread_share``, relative to those of the baseline of the same seed.
    """
    import numpy as np

    from .metrics import FairMetric
    from .protocol import scorer
    from .text import load_name_sentiment, name_measures
    from .training import TrainingData, train

    data = load_name_sentiment(settings["words"], settings["names"])
    for seed in seeds:
        rng = np.random.default_rng(seed)
        words, people = rng.permutation(len(data.words)), rng.permutation(len(data.names))
        test, kept = np.split(words, [len(words) // 5])
        held_out, seen = np.split(people, [len(people) // 2])
        groups = [data.names[seen, sentence] for sentence in range(data.names.shape[1])]
        metric = FairMetric.svd(groups, settings["directions"])
        rows = TrainingData(data.words[kept][None].astype(np.float32), data.positive[kept][None], 2)
        own, reference = (
            name_measures(
                data,
                scorer(train(rows, _config(settings, name), [seed], metric, device=context.device), 0),
                test,
                held_out,
            )
            for name in (arm, "baseline")
        )
        shares = {f"{name}_share": own[name] / max(reference[name], 1e-12) for name in ("gap", "spread")}
        yield {"seed": seed, **own, **shares}


def draw_front(rows: Mapping[str, Sequence[Row]]) -> "Figure":
    """Balanced accuracy and consistency of all models, every seed; the upper right is best."""
    from rostra.engine.plots import ACCENTS, INK, new_figure

    figure, axes = new_figure(7.0, 4.0)
    for colour, (arm, found) in zip(ACCENTS, rows.items(), strict=False):
        points = [point for row in found for point in row["front"]]
        axes.scatter(
            [x for x, _ in points], [y for _, y in points], s=14, color=colour, alpha=0.6, linewidths=0, label=arm
        )
    axes.set_xlabel("balanced accuracy, test rows")
    axes.set_ylabel("consistency: share of rows with one answer")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


def draw_cost(rows: Mapping[str, Sequence[Row]]) -> "Figure":
    """What each arm's consistency costs, every seed."""
    from rostra.engine.plots import ACCENTS, INK, new_figure

    figure, axes = new_figure(7.0, 3.6)
    first = next(row for found in rows.values() for row in found)
    name = "s_con" if "s_con" in first else "race_flip"
    for number, (arm, found) in enumerate(rows.items()):
        colour, marker = ACCENTS[number % len(ACCENTS)], "os^D"[number // len(ACCENTS)]
        x, y = [row["balanced_accuracy"] for row in found], [row[name] for row in found]
        axes.scatter(x, y, s=20, color=colour, marker=marker, alpha=0.75, linewidths=0, label=arm)
    axes.set_xlabel("balanced accuracy, test rows")
    axes.set_ylabel(f"{name}: share of rows with one answer")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


def draw_dual(rows: Mapping[str, Sequence[Row]]) -> "Figure":
    """Where lambda ends under each rule, and the consistency that goes with it."""
    from rostra.engine.plots import ACCENTS, INK, new_figure

    figure, axes = new_figure(7.0, 3.6)
    for number, (arm, found) in enumerate(rows.items()):
        colour, marker = ACCENTS[number % len(ACCENTS)], "os^D"[number // len(ACCENTS)]
        x, y = [row["lambda"] for row in found], [row["s_con"] for row in found]
        axes.scatter(x, y, s=24, color=colour, marker=marker, alpha=0.8, linewidths=0, label=arm)
    axes.set_xscale("log")
    axes.set_xlabel("lambda at the end of training")
    axes.set_ylabel("share of rows with one answer")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


_TWO_STAGE: dict[str, Any] = {"auditor": "two_stage", "dual_lr": 1.0, "subspace_steps": 20, "full_steps": 20}
_TABLE_ARMS: dict[str, Any] = {
    "baseline": {"method": "baseline"},
    "project": {"method": "project"},
    "clp": {"method": "clp", "rho": 30.0},
    "sensr": {"method": "sensr", **_TWO_STAGE, "subspace_lr": 10.0, "full_lr": 1e-2, "eps": 0.1},
    "sensei": {**_TWO_STAGE, "subspace_lr": 1.0, "full_lr": 1e-3, "eps": 0.01, "rho": 15.0},
    "sensei_noise": {"rho": 5.0},
    "reductions": {"eps": 0.03},
}
_COMMON: dict[str, Any] = {"hidden": [100], "iterations": 1500, "batch_size": 500, "lr": 1e-3}
_SMOKE: dict[str, Any] = {"hidden": [20], "iterations": 200, "batch_size": 100, "lr": 5e-3}
_SMOKE_ARMS = ("baseline", "project", "sensr", "sensei")
_PAPER_ARMS: dict[str, Any] = {
    # released code of SenSR: 50 steps of Adam(10) in the subspace, 40 of Adam(1e-4) around it, ratio rule
    **{
        name: {
            "method": name,
            "auditor": "two_stage",
            "subspace_steps": 50,
            "subspace_lr": 10.0,
            "full_steps": 40,
            "full_lr": 1e-4,
            "eps": 1e-3,
            "dual_update": "ratio",
            "dual_start": 2.0,
            "reduction": "mean",
            "iterations": 12_000,
            "lr": 1e-4,
        }
        for name in ("sensr", "sensei")
    },
    **{name: {"method": name, "iterations": 60_000, "lr": 1e-5} for name in ("baseline", "project")},
    "clp": {"method": "clp", "rho": 5.0, "reduction": "mean", "iterations": 60_000, "lr": 1e-5},
    "reductions": {"eps": 0.03},
}
_ADULT_PAPER = {"baseline": 0.848, "project": 0.868, "sensr": 0.934, "sensei": 0.945}
_RECALLED = "The paper's numbers were recalled, not checked against the publication."


def _table(name: str, common: Mapping[str, Any], arms: Mapping[str, Any]) -> dict[str, Any]:
    return {"table": name, "common": dict(common), "arms": dict(arms)}


_RULES: dict[str, dict[str, Any]] = {
    "ratio": {"dual_update": "ratio"},
    "sgd_0.1": {"dual_lr": 0.1},
    "sgd_1": {"dual_lr": 1.0},
}
_DUAL_ARMS: dict[str, Any] = {
    f"{rule}_eps_{eps}": {"eps": eps, "rho": 5.0, **changes} for eps in (0.01, 0.03) for rule, changes in _RULES.items()
}
_EXAMPLE_ARMS: dict[str, Any] = {
    "baseline": {"method": "baseline"},
    "sensei": {"rho": 5.0, "eps": 0.1, "auditor_steps": 100, "auditor_lr": 1e-3, "dual_update": "ratio"},
    "sensei_explore": {"rho": 25.0, "eps": 0.1, "auditor_steps": 10, "auditor_lr": 1e-2, "dual_update": "ratio"},
}
_AUDIT: dict[str, Any] = {"steps": 500, "lr": 0.02, "noise": 0.1, "dual": 10.0}
_FRONT: dict[str, Any] = {"consistency": "s_con", "reference": [0.7, 0.8]}
_NAMES: dict[str, Any] = {
    "words": 5000,
    "names": 400,
    "directions": 50,
    "common": {"hidden": [300], "iterations": 500, "batch_size": 250, "lr": 1e-3},
    "arms": {
        "baseline": {"method": "baseline"},
        "project": {"method": "project"},
        "sensr": {"method": "sensr", **_TWO_STAGE, "subspace_lr": 0.01, "full_lr": 1e-3, "eps": 1e-4},
        "sensei": {**_TWO_STAGE, "subspace_lr": 0.1, "full_lr": 1e-3, "eps": 1e-3, "rho": 0.1},
    },
}
_CERTIFICATE: dict[str, Any] = {
    "common": {**_SMOKE, "iterations": 500},
    "arms": {"sensei": {"rho": 1.0, "eps": 0.1, "auditor_steps": 40, "auditor_lr": 0.05}},
}

CLAIMS = [
    Claim(
        name="adult",
        statement="On Adult, SenSeI raises the consistency between husbands and wives and lowers gaps between genders, "
        "against the baseline and against SenSR, at a cost in balanced accuracy.",
        source="Yurochkin, Sun (2021), table of the Adult results",
        paper=_ADULT_PAPER,
        metric="s_con",
        unit="share of rows",
        arms=("baseline", "project", "clp", "reductions", "sensr", "sensei", "sensei_noise"),
        scales={
            "smoke": Scale(
                _table("mixture", _SMOKE, {**_TABLE_ARMS, "sensei": {"rho": 5.0}}), seeds=2, chunk=2, arms=_SMOKE_ARMS
            ),
            "laptop": Scale(_table("adult", _COMMON, _TABLE_ARMS), seeds=10, chunk=5),
            "paper": Scale(
                _table("adult", {"hidden": [100], "batch_size": 1000}, _PAPER_ARMS),
                seeds=10,
                chunk=5,
                arms=("baseline", "project", "clp", "reductions", "sensr", "sensei"),
            ),
        },
        comparisons=(
            Superiority("sensei", over="baseline", metric="s_con"),
            Superiority("sensei", over="sensr", metric="s_con"),
            Superiority("sensei", over="baseline", metric="gap_rms_gender", lower_is_better=True),
            Superiority("sensei", over="sensr", metric="gap_rms_gender", lower_is_better=True),
            NonInferiority("sensei", to="baseline", metric="balanced_accuracy", margin=0.065),
        ),
        run=table_arms,
        note=f"{_RECALLED} They cost SenSeI 6.1 points of balanced accuracy, hence the margin of 6.5. Settings of each "
        "method: the largest s_con minus gap_rms_gender on validation rows of two other seeds, at no more than that "
        "cost. CLP is told which counterfactuals are tested; the others are not. sensei_noise is SenSeI with "
        "inFairness's auditor, which stays near the rows. Smoke runs take the synthetic mixture instead.",
        figure=draw_cost,
    ),
    Claim(
        name="front",
        statement="SenSeI's front of accuracy and consistency lies at or above those of SenSR and CLP.",
        source="Yurochkin, Sun (2021), figures of trade-offs",
        paper={},
        metric="hypervolume",
        unit="area above (0.7, 0.8)",
        arms=("sensei", "sensr", "clp"),
        scales={
            "smoke": Scale(
                _table("mixture", _SMOKE, {**_TABLE_ARMS, "sensei": {}, "sensr": {"method": "sensr"}})
                | {"consistency": "s_con", "reference": [0.4, 0.0]}
                | {
                    "grids": {
                        "sensei": [[1.0, 5.0], [0.01, 0.1]],
                        "sensr": [[0.0], [0.01, 0.1]],
                        "clp": [[1.0, 5.0], [1.0]],
                    }
                },
                seeds=2,
                arms=("sensei", "sensr", "clp"),
            ),
            "laptop": Scale(
                _table("adult", _COMMON, _TABLE_ARMS)
                | _FRONT
                | {
                    "grids": {
                        "sensei": [[0.5, 1.0, 2.0, 5.0, 15.0, 50.0], [0.003, 0.01]],
                        "sensr": [
                            [0.0],
                            [1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0],
                        ],
                        "clp": [[0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0, 300.0], [1.0]],
                    }
                },
                seeds=5,
            ),
            "paper": Scale(
                _table("adult", {"hidden": [100], "batch_size": 1000}, _PAPER_ARMS)
                | _FRONT
                | {
                    "grids": {
                        "sensei": [[1.0, 5.0, 20.0, 50.0], [1e-3, 0.01, 0.1]],
                        "sensr": [[0.0], [1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]],
                        "clp": [[0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0, 300.0], [1.0]],
                    }
                },
                seeds=10,
            ),
        },
        comparisons=(
            NonInferiority("sensei", to="sensr", metric="hypervolume", margin=0.001),
            NonInferiority("sensei", to="clp", metric="hypervolume", margin=0.001),
        ),
        run=fronts,
        note="Twelve models a method and a seed, over the weight or the budget, for SenSeI over both. The margin is "
        "about 4 % of a good front's area. CLP is told which counterfactuals are tested; the others are not.",
        figure=draw_front,
    ),
    Claim(
        name="audit",
        statement="Audited by the metric it was trained with, a SenSeI model's loss ratio stays below 1.15; a standard "
        "model's is well above.",
        source="inFairness, Adult example (2.48 standard, 1.04 SenSeI, 1.03 EXPLORE by another audit setting)",
        paper={"baseline": 2.48, "sensei": 1.04, "sensei_explore": 1.03},
        metric="lower_bound",
        unit="loss of worst case / loss",
        arms=("baseline", "sensei", "sensei_explore"),
        scales={
            "smoke": Scale(
                _table("mixture", {**_SMOKE, "class_balanced": False}, _EXAMPLE_ARMS)
                | {
                    "audit": {**_AUDIT, "steps": 50},
                    "audited_rows": 200,
                    "explore_iterations": 50,
                    "shown": ["accuracy"],
                },
                seeds=2,
            ),
            "laptop": Scale(
                _table(
                    "adult",
                    {"hidden": [100, 100], "iterations": 5650, "batch_size": 64, "lr": 1e-3, "class_balanced": False},
                    _EXAMPLE_ARMS,
                )
                | {"audit": _AUDIT, "audited_rows": 5000, "explore_iterations": 1000}
                | {"shown": ["accuracy", "balanced_accuracy", "spouse_flip"]},
                seeds=5,
            ),
        },
        comparisons=(
            Threshold("baseline", metric="lower_bound", bound=1.15),
            Threshold("sensei", metric="lower_bound", bound=1.15, lower_is_better=True),
            Threshold("sensei_explore", metric="lower_bound_explore", bound=1.15, lower_is_better=True),
            Superiority("sensei", over="baseline", metric="lower_bound", lower_is_better=True),
        ),
        run=audits,
        note="The audit ascends each row by itself with lambda 10; inFairness divides the gradient by the number of "
        "rows, so its numbers depend on how many are audited together, and are not comparable. There is no paper "
        "scale: the example's own settings are those of the laptop scale.",
    ),
    Claim(
        name="names",
        statement="A sentiment classifier trained with SenSeI says nearly the same of all names, at equal accuracy.",
        source="nearest testable form of Yurochkin, Sun (2021), Bios and Toxicity",
        paper={},
        metric="spread_share",
        unit="share of the baseline's",
        arms=("baseline", "project", "sensr", "sensei"),
        scales={
            "smoke": Scale(
                {
                    **_NAMES,
                    "words": 300,
                    "names": 40,
                    "directions": 5,
                    "common": {"hidden": [50], "iterations": 100, "batch_size": 100},
                },
                seeds=2,
                arms=("baseline", "sensei"),
            ),
            "laptop": Scale(_NAMES, seeds=5),
        },
        comparisons=(
            Threshold("sensei", metric="gap_share", bound=0.2, lower_is_better=True),
            Threshold("sensei", metric="spread_share", bound=0.2, lower_is_better=True),
            NonInferiority("sensei", to="baseline", metric="accuracy", margin=0.02),
        ),
        run=names,
        note="Bios and Toxicity with BERT features cannot be had here, so there is no paper scale. Gaps and spreads "
        "over names that neither directions nor training have seen; 80 % less than the baseline's was asked for "
        "beforehand. Settings: the least loss of accuracy on seed 100 at which less than a fifth is left.",
    ),
    Claim(
        name="certificate",
        statement="The regulariser's value on the training rows tells its value on fresh rows.",
        source="Yurochkin, Sun (2021), theorem on generalisation",
        paper={},
        metric="relative",
        unit="|train - test| / test",
        arms=("n100", "n1000", "n10000"),
        scales={
            "smoke": Scale(_CERTIFICATE, seeds=2),
            "laptop": Scale(_CERTIFICATE, seeds=20, chunk=5),
        },
        comparisons=(
            Superiority("n10000", over="n100", metric="relative", lower_is_better=True),
            Threshold("n10000", metric="relative", bound=0.1, lower_is_better=True),
            Threshold("n10000", metric="covered", bound=0.75),
        ),
        run=certificate,
        note="On the synthetic mixture with a metric that ignores axis 0 and the group. Where the interval of the "
        "value on fresh rows holds the training value, training did not fit the regulariser to its own rows.",
    ),
    Claim(
        name="compas",
        statement="On COMPAS, SenSeI's answers flip less with sex and race than the baseline's, at little cost.",
        source="not in the paper; the protocol of the published analysis",
        paper={},
        metric="race_flip",
        unit="share of rows",
        arms=("baseline", "project", "clp", "sensr", "sensei"),
        scales={
            "smoke": Scale(
                _table("mixture, flips", _SMOKE, {**_TABLE_ARMS, "sensei": {"rho": 5.0}}),
                seeds=2,
                chunk=2,
                arms=_SMOKE_ARMS,
            ),
            "laptop": Scale(
                _table("compas", {**_COMMON, "iterations": 500}, {**_TABLE_ARMS, "sensei": {"rho": 5.0}}),
                seeds=30,
                chunk=10,
            ),
        },
        comparisons=(
            Superiority("sensei", over="baseline", metric="race_flip"),
            Superiority("sensei", over="baseline", metric="sex_flip"),
            NonInferiority("sensei", to="baseline", metric="balanced_accuracy", margin=0.02),
        ),
        run=table_arms,
        note="5278 people, nine 0/1 features, 500 iterations. Nothing was tuned here: SenSeI has its defaults for the "
        "rest, and SenSR what was chosen on Adult.",
        figure=draw_cost,
    ),
    Claim(
        name="dual",
        statement="With a budget that the auditor can keep, lambda and the model hardly depend on the dual update.",
        source="a question of ours: the released rule has no learning rate and need not settle",
        paper={},
        metric="s_con",
        unit="share of rows",
        arms=tuple(_DUAL_ARMS),
        scales={
            "smoke": Scale(
                _table("mixture", _SMOKE, _DUAL_ARMS), seeds=2, chunk=2, arms=("ratio_eps_0.03", "sgd_0.1_eps_0.03")
            ),
            "laptop": Scale(_table("adult", _COMMON, _DUAL_ARMS), seeds=5, chunk=5),
        },
        comparisons=(
            Equivalence("sgd_0.1_eps_0.03", to="sgd_1_eps_0.03", metric="s_con", margin=0.01),
            Equivalence("sgd_0.1_eps_0.03", to="sgd_1_eps_0.03", metric="balanced_accuracy", margin=0.005),
            Equivalence("sgd_0.1_eps_0.03", to="ratio_eps_0.03", metric="s_con", margin=0.01),
        ),
        run=table_arms,
        note="Adam with steps of 0.1 keeps moving: on Adult its worst cases stay at a mean distance of about 0.0105. "
        "With eps = 0.01 the budget can never be kept, lambda grows for as long as training lasts, and where it "
        "stops is decided by the rule and its rate; with eps = 0.03 there is a value at which it settles.",
        figure=draw_dual,
    ),
]
