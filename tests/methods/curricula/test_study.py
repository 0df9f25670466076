import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rostra.engine.claims import Context
from rostra.engine.errors import InputError
from rostra.methods.curricula import study
from rostra.methods.curricula.data import load_data
from rostra.methods.curricula.study import CurriculumStudy, StudySpec, judge_study, study_rows
from rostra.methods.curricula.training import TrainingConfig, plan_batches

QUICK = TrainingConfig(total_steps=40, batch_size=32, evaluations=4)
SPEC = StudySpec(a=(0.5, 1.6), b=(0.4,), seeds=2, hidden=16, training=QUICK, repeats=1, noise=0.6, standard_runs=2)


def test_a_study_of_noisy_digits_runs_goes_on_and_says_that_easy_first_helps(tmp_path):
    result = CurriculumStudy(SPEC, {"set": "digits"}).run(tmp_path, workers=1)
    counts = result.table["order"].value_counts().to_dict()
    assert counts == {"curriculum": 4, "anti-curriculum": 4, "random": 4, "standard": 4}
    means = result.table.groupby("order")["test_at_best_val"].mean()
    assert means["curriculum"] > means["random"] > means["anti-curriculum"]
    assert result.table["noise_auc"].min() > 0.7
    before = (tmp_path / "rows" / "curricula.jsonl").read_bytes()
    again = CurriculumStudy(SPEC, {"set": "digits"}).run(tmp_path, workers=1)
    assert (tmp_path / "rows" / "curricula.jsonl").read_bytes() == before
    pd.testing.assert_frame_equal(again.table, result.table)
    assert set(result.report()["order"]) == {"curriculum", "anti-curriculum", "random"}
    assert len(result.best_pacing()) == 3


def test_scores_are_made_once_for_all_orders_and_not_for_standard_training(tmp_path, monkeypatch):
    made = []
    plain = study.score_examples
    monkeypatch.setattr(study, "score_examples", lambda *a, **k: made.append(k["seed"]) or plain(*a, **k))
    settings = {**SPEC.to_settings(), "data": {"set": "digits"}}
    context = Context("cpu", tmp_path / "networks")
    rows = {arm: list(study_rows(settings, arm, [0, 1], context)) for arm in ("standard", "random")}
    assert made == []
    rows |= {arm: list(study_rows(settings, arm, [0, 1], context)) for arm in ("curriculum", "anti-curriculum")}
    assert made == [0, 1]
    assert {row["noise_auc"] for row in rows["curriculum"]} == {row["noise_auc"] for row in rows["anti-curriculum"]}
    list(study_rows({**settings, "noise": 0.2}, "curriculum", [0], context))
    assert made == [0, 1, 0]  # other labels, other scores


@pytest.mark.parametrize("scorer", ["learned-iteration", "el2n"])
def test_a_study_by_another_score(tmp_path, scorer):
    settings = {**replace(SPEC, scorer=scorer, repeats=2).to_settings(), "data": {"set": "digits"}}
    rows = list(study_rows(settings, "curriculum", [0], Context("cpu", tmp_path)))
    assert rows[0]["noise_auc"] > 0.7


def test_a_study_of_arrays_with_scores_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6))
    y = (x[:, 0] > 0).astype(int)
    spec = StudySpec(
        ("random",), a=(0.5,), b=(0.5,), seeds=1, standard_runs=2, hidden=8, training=QUICK, scorer="given"
    )
    result = CurriculumStudy.on_arrays(spec, tmp_path, x, y, scores=-np.abs(x[:, 0])).run(tmp_path, workers=1)
    assert result.table["test_final"].min() > 0.8
    assert list(result.table["shared"].unique()) == [0.0]


def made_up(rng, shift=0.0, seeds=3, runs=30):
    """A study in which curricula are ``shift`` better than standard training, and other orders alike."""

    def row(order, seed, a, b, run, accuracy):
        values = {"test_at_best_val": accuracy, "val_best": accuracy + rng.normal(0, 0.01)}
        return {"order": order, "seed": seed, "family": "step", "a": a, "b": b, "run": run, **values}

    rows = [
        row(order, seed, a, b, 0, rng.normal(0.8 + shift * (order == "curriculum"), 0.01))
        for order in ("curriculum", "random")
        for seed in range(seeds)
        for a in range(1, 7)
        for b in (0.1, 0.2, 0.4, 0.6, 0.8)
    ]
    rows += [row("standard", seed, 0, 1, run, rng.normal(0.8, 0.01)) for seed in range(seeds) for run in range(runs)]
    return pd.DataFrame(rows)


def test_orders_that_do_nothing_are_said_to_help_in_one_report_of_twenty():
    rng = np.random.default_rng(3)
    said, beyond_mean, count = 0, 0, 150
    for _ in range(count):
        report = judge_study(made_up(rng, runs=4), reps=600)
        said += (report["p_holm"] < 0.05).any()
        beyond_mean += (report["best"] > report["standard"]).all()
    assert beyond_mean > 0.95 * count  # the best of thirty looks better all the same
    assert said / count < 0.05 + 3 * np.sqrt(0.05 * 0.95 / count)


def test_an_order_that_helps_is_told_three_ways():
    report = judge_study(made_up(np.random.default_rng(3), shift=0.05, seeds=10)).set_index("order")
    helped = report.loc["curriculum"]
    assert helped["p_holm"] < 0.01
    assert helped["low"] > 0
    assert 0.04 < helped["honest_low"] < 0.05 < helped["honest_high"] < 0.065
    assert helped["over_random"] == pytest.approx(0.05, abs=0.005)
    assert 0.04 < helped["over_random_low"] < helped["over_random_high"] < 0.06
    assert report.loc["random", "p_holm"] > 0.05
    assert np.isnan(report.loc["random", "over_random"])


def test_only_training_and_validation_labels_are_spoilt():
    data = load_data({"set": "digits"}, Context("cpu", Path()))
    for val_labels in ("noisy", "clean"):
        noisy, wrong = study.spoilt(replace(SPEC, val_labels=val_labels), data, 3)
        assert (noisy.y != data.y).tolist() == wrong.tolist()
        assert 0.4 < wrong.mean() < 0.65
        assert (noisy.y_val != data.y_val).any() == (val_labels == "noisy")
        assert (noisy.y_test == data.y_test).all()
        assert noisy.x is data.x


def test_all_orders_of_a_seed_start_from_the_weights_of_its_first_standard_run(tmp_path, monkeypatch):
    """And have its batches wherever their prefixes allow: with everything shown from the start only the order's
    permutation tells them apart, so one and the same training comes out where it is undone."""
    started = {}
    plain = study.make_copies

    def spied(spec, data, config, device):
        make = plain(spec, data, config, device)
        return lambda seeds: started.setdefault(now[0], list(seeds)) and make(seeds)

    monkeypatch.setattr(study, "make_copies", spied)
    settings = {**replace(SPEC, noise=0.0, b=(1.0,)).to_settings(), "data": {"set": "digits"}}
    rows = {}
    for arm in ("standard", "curriculum", "anti-curriculum", "random"):
        now = [arm]
        monkeypatch.setattr(study, "kept_scores", lambda spec, data, *_: np.arange(len(data.y), dtype=float))
        rows[arm] = list(study_rows(settings, arm, [7], Context("cpu", tmp_path)))
    assert started["standard"][0] == 7
    assert started["curriculum"] == started["anti-curriculum"] == started["random"] == [7]
    data = load_data({"set": "digits"}, Context("cpu", Path()))
    plans, _ = study._ordered_plans(replace(SPEC, b=(1.0,)), data, "curriculum", 7, np.arange(len(data.y), dtype=float))
    standard, _ = study._standard_plans(SPEC, len(data.y), 7)
    for own, theirs in zip(plan_batches(plans[0], QUICK), plan_batches(standard[0], QUICK), strict=True):
        assert (own == plans[0].order[theirs]).all()


def test_other_contents_of_the_same_files_are_another_study(tmp_path):
    """A label that was mended counts: rows are keyed by what the files hold."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(200, 4)), columns=list("abcd"))
    spec = StudySpec(("random",), a=(0.5,), b=(0.5,), seeds=1, standard_runs=2, hidden=8, training=QUICK)
    found = []
    for labels in (table["a"] > 0, table["b"] > 0):
        table.assign(label=labels).to_csv(tmp_path / "data.csv", index=False)
        found.append(CurriculumStudy(spec, {"path": str(tmp_path / "data.csv")}).run(tmp_path / "out", workers=1))
    assert not found[0].table.equals(found[1].table)
    lines = (tmp_path / "out" / "rows" / "curricula.jsonl").read_text().splitlines()
    assert len(lines) == 2 * len(found[0].table)


def test_a_trial_that_fails_leaves_a_report_of_the_others(tmp_path, rostra):
    """The network of the third trial of a seed cannot be made; the other seed's orders are judged all the same."""
    (tmp_path / "fragile.py").write_text(
        "import os, torch\n"
        "def make():\n"
        "    if torch.initial_seed() == 1_000_001:\n"  # the second standard run of seed 1
        "        raise RuntimeError('no such weights')\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))\n"
    )
    done = rostra(
        "curricula", "study", "digits", "--network", "fragile:make", "--seeds", "3", "--a", "0.5", "--b", "0.5",
        "--steps", "10", "--batch-size", "32", "--order", "random", "--out", "study", "--workers", "1",
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "the report lacks seeds of trials that failed (standard: 1)" in done.stderr
    assert "no such weights" in (tmp_path / "study" / "failures.jsonl").read_text()
    assert pd.read_csv(tmp_path / "study" / "report.csv")["order"].tolist() == ["random"]


def test_examples_are_standardised_by_the_training_part(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(50, 9, 300), "label": rng.integers(0, 2, 300), "id": np.arange(300)})
    table.to_csv(tmp_path / "data.csv", index=False)
    data = load_data({"path": str(tmp_path / "data.csv")}, Context("cpu", tmp_path))
    assert data.x.shape == (len(data.y), 1)
    assert abs(float(data.x.mean())) < 1e-6
    assert float(data.x.std(correction=0)) == pytest.approx(1)
    assert abs(float(data.x_test.mean())) > 1e-4


def test_settings_survive_a_round_trip():
    spec = StudySpec(score_training=TrainingConfig(total_steps=9, evaluations=1))
    settings = spec.to_settings()
    assert StudySpec.from_settings(settings) == spec


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StudySpec(orders=("anti",)), "orders must be of curriculum"),
        (lambda: StudySpec(a=()), "a study needs one family"),
        (lambda: StudySpec(families=("cubic",)).pacings, "no pacing family 'cubic'"),
        (lambda: StudySpec(val_labels="mixed"), "val_labels must be one of noisy, clean; got 'mixed'"),
        (lambda: StudySpec(folds=1), "folds must be a whole number of 2 or more, got 1"),
        (lambda: StudySpec(repeats=0), "repeats must be a whole number of 1 or more, got 0"),
        (lambda: StudySpec(standard_runs=1), "standard_runs must be a whole number of 2 or more, got 1"),
        (lambda: StudySpec(seeds=2.5), "seeds must be a whole number of 1 or more, got 2.5"),
        (lambda: StudySpec(hidden=0), "hidden must be a whole number of 1 or more, got 0"),
        (lambda: StudySpec(min_size=-5), "min_size must be a whole number of 1 or more, or left out, got -5"),
        (lambda: StudySpec(direction="up"), "direction must be one of grow, shrink; got 'up'"),
        (lambda: StudySpec(noise=3.0), r"must lie in \[0, 1\], got 3.0"),
        (lambda: StudySpec(noise_kind="x"), "noise_kind must be one of permute, uniform, pair; got 'x'"),
        (lambda: StudySpec(scorer="given", noise=0.2), "made of other labels than the noisy ones"),
        (lambda: StudySpec(scorer="magic"), "scorer must be one of cv-loss, c-score, .*; got 'magic'"),
        (lambda: TrainingConfig(momentum="a"), "momentum must be a number from 0"),
        (lambda: TrainingConfig(lr=0.0), "lr must be a number from 0"),
        (lambda: TrainingConfig(total_steps=5), "10 evaluations need as many steps; total_steps is 5"),
        (lambda: StudySpec.from_settings({"learning_rate": 1}), "a study has no setting 'learning_rate'"),
        (lambda: StudySpec.from_settings({"training": {"steps": 1}}), "settings cannot be used"),
    ],
)
def test_wrong_input_is_told(make, message):
    with pytest.raises(InputError, match=message):
        make()
