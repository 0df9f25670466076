"""The claims: what they name is there, and a choice by validation is what it says."""

import numpy as np
import pytest

from rostra.engine.claims import Context
from rostra.methods.curricula import study
from rostra.methods.curricula.claims import CLAIMS, agreements, draw_strategies, orders_learned, strategies
from rostra.methods.curricula.data import SETS
from rostra.methods.curricula.model import NETWORKS
from rostra.methods.curricula.study import StudySpec


def test_standard_training_is_tried_as_often_as_there_are_strategies():
    """And trained as long, with the same choice by validation: selection favours nobody."""
    for claim in CLAIMS:
        if claim.run is strategies:
            for scale in claim.scales.values():
                settings = scale.settings
                count = len(settings["families"]) * len(settings["a"]) * len(settings["b"])
                assert settings["standard_runs"] == count


def test_settings_of_every_study_can_be_used():
    """Paper scale, which nobody has run here, included: networks, scores and pacing functions are there."""
    for claim in CLAIMS:
        if claim.run is strategies:
            for scale in claim.scales.values():
                spec = StudySpec.from_settings({name: v for name, v in scale.settings.items() if name != "data"})
                assert scale.settings["data"]["set"] in SETS
                assert {spec.network, spec.score_network or spec.network} <= {"mlp", *NETWORKS}
                assert len(spec.pacings) == spec.standard_runs
    assert len(spec.pacings) == 180  # the last is a paper scale: the whole grid


def test_cifar_as_the_paper_has_it(mirror, tmp_path):
    """45,000 images of equal classes for training, 5,000 for validation, standardised by channel."""
    data = SETS["cifar10-whole"](Context("cpu", tmp_path))
    assert (tuple(data.x.shape), len(data.y_val), len(data.y_test)) == ((45_000, 3, 32, 32), 5_000, 10_000)
    assert np.bincount(data.y).tolist() == [4_500] * 10
    assert data.x[:, 1].mean().abs() < 1e-3
    assert data.x_test.mean().abs() < 0.05


def made_up_rows(seed, noise):
    """Strategies on either side of a = 1; test accuracies that no other row has."""
    val_best = {(0.5, 0.2): 0.7, (0.5, 0.4): 0.9, (1.6, 0.2): 0.8, (1.6, 0.4): 0.6}
    val_final = {(0.5, 0.2): 0.65, (0.5, 0.4): 0.6, (1.6, 0.2): 0.5, (1.6, 0.4): 0.55}
    for number, (a, b) in enumerate(val_best):
        yield {
            "seed": seed, "a": a, "b": b, "val_best": val_best[a, b], "val_final": val_final[a, b],
            "test_at_best_val": seed + number / 100, "test_final": noise + seed + number / 10,
        }  # fmt: skip


def test_the_choice_by_validation(monkeypatch, tmp_path):
    monkeypatch.setattr(
        study, "study_rows", lambda settings, order, seeds, context: made_up_rows(seeds[0], settings["noise"])
    )
    rows = list(strategies({"noise": 0.0}, "curriculum at 0.4", [3, 5], Context("cpu", tmp_path)))
    assert [row["seed"] for row in rows] == [3] * 4 + [5] * 4
    for row in rows:
        assert row["selected"] == row["seed"] + 0.01
        assert (row["selected_a"], row["selected_b"]) == (0.5, 0.4)
        assert row["held_back"] == pytest.approx(0.3 - 0.0)  # the fourth less the first, by final validation
    assert rows[0]["test_final"] == 3.4  # the share of noise came from the arm's name


def test_a_network_agrees_with_itself_only_where_both_sides_start_alike(tmp_path):
    """Both sides of an arm have weights of their own, so even alike networks agree less than wholly."""
    settings = {**CLAIMS[0].scales["smoke"].settings, "steps": 20}
    [row] = agreements(settings, "mlp early and mlp early", [0], Context("cpu", tmp_path))
    assert 0.3 < row["spearman"] < 0.999


def test_late_loss_is_of_a_longer_training(monkeypatch, tmp_path):
    asked = []

    def scored(spec, data, scorer, **options):
        asked.append((scorer, spec.training.total_steps))
        return study.Scores(np.arange(5.0), scorer)

    monkeypatch.setattr(study, "score_examples", scored)
    settings = CLAIMS[1].scales["smoke"].settings
    list(agreements(settings, "mlp late and cnn cv-loss", [0], Context("cpu", tmp_path)))
    assert asked == [("loss", settings["steps"] * settings["late_factor"]), ("cv-loss", settings["steps"])]


def test_hard_first_is_learned_otherwise(tmp_path):
    claim = next(claim for claim in CLAIMS if claim.name == "learned_order")
    found = {
        arm: next(iter(orders_learned(claim.scales["smoke"].settings, arm, [0], Context("cpu", tmp_path))))["spearman"]
        for arm in ("standard", "anti-curriculum")
    }
    assert found["standard"] > found["anti-curriculum"] + 0.1


def test_the_figure_has_a_panel_for_each_share_of_noise():
    def row(seed, b):
        return {"seed": seed, "family": "step", "a": 0.8, "b": b, "test_at_best_val": 0.1 * seed + b}

    rows = {
        f"{order} at {noise}": [row(seed, b) for seed in (0, 1) for b in (0.2, 0.4)]
        for noise in ("0.2", "0.6")
        for order in ("standard", "curriculum")
    }
    panels = draw_strategies(rows).axes
    assert [panel.get_title(loc="left") for panel in panels] == ["noise 0.2", "noise 0.6"]
    means = [line for line in panels[0].lines if line.get_marker() == "o"]
    assert means[0].get_ydata().tolist() == pytest.approx([0.25, 0.45])
