"""The paper's claims about curricula, as runs. Margins and seeds are fixed here, before any run.

In the studies, an arm's strategy is chosen by the validation accuracy of each seed, and standard training is tried as
often as there are strategies, with the same choice. Standard runs differ in weights and batches, strategies of a seed
in their pacing alone: if the match favours anybody, it is standard training.
"""

__all__ = ["CLAIMS"]

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rostra.engine.claims import Claim, Context, Row, Scale
from rostra.engine.stats import Equivalence, NonInferiority, Superiority, Threshold

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .training import TrainingConfig

_SELECTED = (
    "selected: test accuracy of the pacing function (for standard training: of the run) that is best in validation, "
    "seed by seed; standard training is run as often as there are pacing functions. The paper has plots only; its "
    "scale here is on CIFAR-10, also where it has CIFAR-100."
)
CHOICES = 11
"""Stream of draws of a seed."""
_ORDERS = ("curriculum", "anti-curriculum", "random")


# ------------------------------------------------------- studies


def strategies(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """A row a training, as :func:`.study.study_rows` gives it, with what a choice by validation makes of the seed.

    An arm "ORDER at NOISE" has that share of noisy labels. Metrics of a seed, the same in all its rows: ``selected``,
    the test accuracy of the row that is best in validation, and its ``selected_a`` and ``selected_b``; with pacing
    functions on either side of a = 1, ``held_back``: the final test accuracy of the best that never shows all data
    less that of the best that does, each the best in final validation. Ties are broken by draws of the seed.
    """
    import numpy as np

    from .study import study_rows

    order, _, noise = arm.partition(" at ")
    study = {**settings, "noise": float(noise)} if noise else settings
    for seed in seeds:
        rows = list(study_rows(study, order, [seed], context))
        shuffled = [rows[i] for i in np.random.default_rng([seed, CHOICES]).permutation(len(rows))]
        best = max(shuffled, key=lambda row: row["val_best"])
        chosen = {"selected": best["test_at_best_val"], "selected_a": best["a"], "selected_b": best["b"]}
        sides = [[row for row in shuffled if (row["a"] > 1) is never] for never in (True, False)]
        if all(sides):
            never, full = (max(side, key=lambda row: row["val_final"])["test_final"] for side in sides)
            chosen["held_back"] = never - full
        for row in rows:
            yield row | chosen


def draw_strategies(rows: Mapping[str, Sequence[Row]]) -> "Figure":
    """Every strategy of a study, a panel for each share of noise."""
    import pandas as pd

    from .plots import draw_studies

    panels: dict[str, list[dict[str, Any]]] = {}
    for arm, found in rows.items():
        order, _, noise = arm.partition(" at ")
        panels.setdefault(noise and f"noise {noise}", []).extend({"order": order, **row} for row in found)
    return draw_studies({title: pd.DataFrame(found) for title, found in panels.items()})


def _study(a: Sequence[float], b: Sequence[float], data: str, steps: int, **more: Any) -> dict[str, Any]:
    training = {"total_steps": steps, "batch_size": 64, "lr": 0.1, "evaluations": 10}
    score = {"total_steps": 200, "batch_size": 64, "lr": 0.05, "evaluations": 1}
    families = more.pop("families", ["step"])
    return {
        "data": {"set": data},
        "families": families,
        "a": list(a),
        "b": list(b),
        "standard_runs": len(families) * len(a) * len(b),
        "training": training | more.pop("training", {}),
        "score_training": score | more.pop("score_training", {}),
        "val_labels": "clean",
        **more,
    }


_PAPER_A, _PAPER_B = (0.01, 0.1, 0.2, 0.4, 0.8, 1.6), (0.0025, 0.1, 0.2, 0.4, 0.8)
_SMALL: dict[str, Any] = {"hidden": 64, "training": {"batch_size": 32}, "repeats": 1}


def _paper(steps: int, **more: Any) -> dict[str, Any]:
    """ResNet-50 on 45,000 images of CIFAR-10, the whole grid (section 4). The scores are ResNet-18's after 30 epochs of
    33,750 images, three quarters of them, in batches of 256."""
    return _study(
        _PAPER_A,
        _PAPER_B,
        "cifar10-whole",
        steps,
        families=["linear", "quadratic", "root", "step", "exp", "log"],
        network="resnet50",
        training={"batch_size": 128, "weight_decay": 5e-4, "augment": True, "evaluations": 50},
        score_network="resnet18",
        score_training={"total_steps": 3_960, "batch_size": 256, "lr": 0.1, "augment": True},
        repeats=10,
        min_size=256,
        **more,
    )


def _noise_arms(shares: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{order} at {share}" for share in shares for order in ("standard", *_ORDERS))


# ------------------------------------------------------- what is hard to whom


def agreements(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """Spearman correlation of two difficulties of the same examples, ``spearman``; arms "NETWORK SCORE and NETWORK
    SCORE"; where both sides are alike, their networks start from other weights."""
    from scipy.stats import spearmanr

    from .data import load_data

    data = load_data(settings["data"], context)
    sides = [side.split() for side in arm.split(" and ")]
    for seed in seeds:
        found = [
            _difficulty(settings, network, score, data, 2 * seed + place, context)
            for place, (network, score) in enumerate(sides)
        ]
        yield {"seed": seed, "spearman": float(spearmanr(*found).statistic)}


def _difficulty(settings: Mapping[str, Any], network: str, score: str, data: Any, seed: int, context: Context) -> Any:
    """Of the training examples; "late" is the loss after a training ``late_factor`` times as long."""
    from .study import StudySpec, kept_scores

    config = _config(settings, settings["steps"] * (settings["late_factor"] if score == "late" else 1))
    spec = StudySpec(network=network, training=config, folds=4, repeats=settings["repeats"])
    return kept_scores(spec, data, {"early": "loss", "late": "loss"}.get(score, score), 1, seed, context)


def _config(settings: Mapping[str, Any], steps: int) -> "TrainingConfig":
    from .training import TrainingConfig

    return TrainingConfig(steps, settings["batch_size"], settings["lr"], evaluations=min(15, steps))


def orders_learned(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """Train by an order with step pacing. ``spearman``: of the losses at the end with the scores behind the order;
    ``learned``: of the learned iterations with them."""
    import numpy as np
    import torch
    from scipy.stats import spearmanr

    from .data import load_data
    from .objective import cross_entropy, learned_iteration
    from .ordering import make_order
    from .pacing import PacingFunction, prefix_sizes
    from .study import StudySpec, difficulty, make_copies
    from .training import Plan, train_plans

    data = load_data(settings["data"], context)
    config = _config(settings, settings["steps"])
    spec = StudySpec(network=settings["network"], training=config, repeats=settings["repeats"])
    n = len(data.y)
    x, y = data.x.to(context.device), torch.as_tensor(data.y, device=context.device)
    for seed in seeds:
        scores = difficulty(spec, data, seed, context)
        order = np.arange(n) if arm == "standard" else make_order(scores, arm, data.y, seed)
        pacing = None if arm == "standard" else PacingFunction("step", settings["a"], settings["b"])
        sizes = prefix_sizes(pacing, config.total_steps, n, 2 * config.batch_size)
        logits: list[torch.Tensor] = []

        def measure(nets: Any, which: slice, numbers: Sequence[int], logits: list[torch.Tensor] = logits) -> Any:
            logits.append(nets.logits(which, x)[0])
            return [{}]

        train_plans(
            make_copies(spec, data, config, context.device), [Plan(seed, order, sizes)], x, y[None], config, measure
        )
        found = {
            "spearman": cross_entropy(logits[-1], y).cpu().numpy(),
            "learned": learned_iteration(np.stack([(own.argmax(1) == y).cpu().numpy() for own in logits])),
        }
        yield {"seed": seed, **{name: float(spearmanr(values, scores).statistic) for name, values in found.items()}}


_SMOKE_VISION: dict[str, Any] = {
    "data": {"set": "digits"},
    "steps": 60,
    "batch_size": 32,
    "lr": 0.05,
    "repeats": 1,
    "late_factor": 5,
}
_LAPTOP_VISION: dict[str, Any] = {
    "data": {"set": "cifar10"},
    "steps": 750,
    "batch_size": 64,
    "lr": 0.05,
    "repeats": 2,
    "late_factor": 8,
}
_LEARNED: dict[str, Any] = {"network": "cnn", "a": 0.8, "b": 0.2}
_IMPLICIT_ARMS = (
    "cnn learned-iteration and cnn learned-iteration",
    "cnn learned-iteration and cnn-plain learned-iteration",
    "cnn learned-iteration and mlp learned-iteration",
    "mlp learned-iteration and mlp learned-iteration",
)
_SCORER_ARMS = (
    "cnn early and cnn cv-loss",
    "cnn early and cnn learned-iteration",
    "cnn learned-iteration and cnn cv-loss",
    "mlp early and mlp cv-loss",
    "mlp late and mlp cv-loss",
)


CLAIMS = (
    Claim(
        name="implicit",
        statement="Networks learn examples in orders of their own that agree, more within a family than between "
        "convolutional and fully-connected nets.",
        source="Wu, Dyer, Neyshabur (2021), figure 2",
        paper={},
        metric="spearman",
        unit="Spearman correlation of learned iterations",
        arms=_IMPLICIT_ARMS,
        scales={"smoke": Scale(_SMOKE_VISION, seeds=1), "laptop": Scale(_LAPTOP_VISION, seeds=5)},
        comparisons=(
            *(Threshold(arm, metric="spearman", bound=0.3) for arm in _IMPLICIT_ARMS),
            Superiority(_IMPLICIT_ARMS[0], over=_IMPLICIT_ARMS[2], metric="spearman", paired=False),
            Superiority(_IMPLICIT_ARMS[1], over=_IMPLICIT_ARMS[2], metric="spearman", paired=False),
        ),
        run=agreements,
        note="CIFAR-10 at 16 x 16, 8,000 images, two small families. The paper has 142 trainings and shows "
        "images only; there is no paper scale.",
    ),
    Claim(
        name="scorers",
        statement="Loss early in training, learned iteration and cross-validated loss agree on what is hard; the loss "
        "of a network that has memorised its data agrees less.",
        source="Wu, Dyer, Neyshabur (2021), figure 3",
        paper={},
        metric="spearman",
        unit="Spearman correlation of scores",
        arms=_SCORER_ARMS,
        scales={"smoke": Scale(_SMOKE_VISION, seeds=1), "laptop": Scale(_LAPTOP_VISION, seeds=5)},
        comparisons=(
            *(Threshold(arm, metric="spearman", bound=0.3) for arm in _SCORER_ARMS[:4]),
            Superiority(_SCORER_ARMS[3], over=_SCORER_ARMS[4], metric="spearman", paired=False),
        ),
        run=agreements,
        note="late: the loss after a training eight times as long, of the network that memorises here, the "
        "fully-connected one. There is no paper scale.",
    ),
    Claim(
        name="learned_order",
        statement="Showing hard examples first changes the order in which they are learned; showing easy ones first, "
        "or a random order, does not.",
        source="Wu, Dyer, Neyshabur (2021), figure 3",
        paper={},
        metric="spearman",
        unit="Spearman correlation of the final losses with the loss c-score",
        arms=("standard", *_ORDERS),
        scales={
            "smoke": Scale({**_SMOKE_VISION, **_LEARNED}, seeds=1),
            "laptop": Scale({**_LAPTOP_VISION, **_LEARNED}, seeds=5),
        },
        comparisons=(
            Superiority("standard", over="anti-curriculum", metric="spearman"),
            Equivalence("curriculum", to="standard", metric="spearman", margin=0.05),
            Equivalence("random", to="standard", metric="spearman", margin=0.05),
        ),
        run=orders_learned,
        note="Step pacing, a = 0.8, b = 0.2. learned: the same by learned iterations. There is no paper scale.",
    ),
    Claim(
        name="standard",
        statement="With clean labels and enough time no order helps: the best of each search is as good as the best of "
        "as many standard trainings.",
        source="Wu, Dyer, Neyshabur (2021), figure 5",
        paper={},
        metric="selected",
        unit="test accuracy of the choice by validation",
        arms=("standard", *_ORDERS),
        scales={
            "smoke": Scale(_study((0.8, 1.6), (0.2, 0.4), "digits", 100, **_SMALL), seeds=2),
            "laptop": Scale(_study(_PAPER_A, _PAPER_B, "mnist", 2370), seeds=20),
            "paper": Scale(_paper(35_200), seeds=5),
        },
        comparisons=tuple(Equivalence(order, to="standard", metric="selected", margin=0.005) for order in _ORDERS),
        run=strategies,
        index=("seed", "family", "a", "b", "run"),
        figure=draw_strategies,
        note=f"Ten seeds did not decide between standard and random orders; twenty were asked. {_SELECTED}",
    ),
    Claim(
        name="short_budget",
        statement="With little time easy-first beats standard training; hard-first does not.",
        source="Wu, Dyer, Neyshabur (2021), figure 6",
        paper={},
        metric="selected",
        unit="test accuracy of the choice by validation",
        arms=("standard", *_ORDERS),
        scales={
            "smoke": Scale(_study((0.8, 1.6), (0.4,), "digits", 20, **_SMALL), seeds=2),
            "laptop": Scale(
                _study(
                    (0.8, 1.6),
                    (0.2, 0.4),
                    "cifar10",
                    60,
                    network="cnn",
                    families=["step", "linear"],
                    training={"lr": 0.05},
                    score_training={"total_steps": 250},
                    repeats=1,
                ),
                seeds=12,
            ),
            "paper": Scale(_paper(352), seeds=5),
        },
        comparisons=(
            Superiority("curriculum", over="standard", metric="selected"),
            Superiority("curriculum", over="random", metric="selected"),
            Superiority("curriculum", over="anti-curriculum", metric="selected"),
            NonInferiority("standard", to="anti-curriculum", metric="selected", margin=0.005),
        ),
        run=strategies,
        index=("seed", "family", "a", "b", "run"),
        figure=draw_strategies,
        note=f"Half an epoch on CIFAR-10 at 16 x 16. On easy data easy-first hurts: do not expect this everywhere. "
        f"{_SELECTED}",
    ),
    Claim(
        name="label_noise",
        statement="With wrong labels in the data easy-first beats standard training, random and hard-first orders; "
        "with few or many of them the best pacing never shows all data.",
        source="Wu, Dyer, Neyshabur (2021), figures 7 and 8",
        paper={},
        metric="selected",
        unit="test accuracy of the choice by validation",
        arms=_noise_arms(("0.2", "0.4", "0.6")),
        scales={
            "smoke": Scale(
                _study((0.8, 1.6), (0.2, 0.4), "digits", 200, **_SMALL), seeds=2, arms=_noise_arms(("0.6",))
            ),
            "laptop": Scale(_study(_PAPER_A, _PAPER_B, "mnist", 500), seeds=10),
            "paper": Scale(_paper(35_200), seeds=5),
        },
        comparisons=(
            *(
                Superiority(f"curriculum at {share}", over=f"{other} at {share}", metric="selected")
                for share in ("0.2", "0.4", "0.6")
                for other in ("standard", "random", "anti-curriculum")
            ),
            *(Threshold(f"curriculum at {share}", metric="held_back", bound=0.0) for share in ("0.2", "0.6")),
        ),
        run=strategies,
        index=("seed", "family", "a", "b", "run"),
        figure=draw_strategies,
        note="A share of the training labels is shuffled; scores are made of the noisy labels; validation is clean, as "
        "in the paper. held_back (figure 8): final accuracy of the best pacing with a above 1 less that of the best "
        f"with a below 1; it was added after a first run of the others. {_SELECTED}",
    ),
    Claim(
        name="shrink",
        statement="Removing examples over time does not help, in whatever order.",
        source="Wu, Dyer, Neyshabur (2021), text; the formula of the removal is ours",
        paper={},
        metric="selected",
        unit="test accuracy of the choice by validation",
        arms=("standard", *_ORDERS),
        scales={
            "smoke": Scale(_study((0.8,), (0.2, 0.4), "digits", 100, direction="shrink", **_SMALL), seeds=2),
            "laptop": Scale(
                _study((0.2, 0.8), (0.2, 0.8), "mnist", 500, families=["step", "linear"], direction="shrink"), seeds=10
            ),
            "paper": Scale(_paper(35_200, direction="shrink"), seeds=5),
        },
        comparisons=tuple(NonInferiority("standard", to=order, metric="selected", margin=0.005) for order in _ORDERS),
        run=strategies,
        index=("seed", "family", "a", "b", "run"),
        figure=draw_strategies,
        note=_SELECTED,
    ),
)
