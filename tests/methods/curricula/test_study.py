from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rostra.engine.claims import Context
from rostra.engine.errors import InputError
from rostra.methods.curricula import study
from rostra.methods.curricula.study import CurriculumStudy, StudySpec, judge_study, study_rows
from rostra.methods.curricula.training import TrainingConfig

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


def test_orders_that_do_nothing_are_not_said_to_help():
    rng = np.random.default_rng(3)
    rows = [
        {"order": order, "seed": seed, "family": "step", "a": a, "b": b, "run": 0, "test_at_best_val": t, "val_best": v}
        for order in ("curriculum", "random")
        for seed in range(3)
        for a in range(1, 7)
        for b in (0.1, 0.2, 0.4, 0.6, 0.8)
        for t, v in [rng.normal(0.8, 0.01, 2)]
    ]
    rows += [
        {"order": "standard", "seed": s, "family": "", "a": 0, "b": 1, "run": 0, "test_at_best_val": t, "val_best": t}
        for s, t in enumerate(rng.normal(0.8, 0.01, 90))
    ]
    report = judge_study(pd.DataFrame(rows))
    assert (report["best"] > report["standard"] + 0.005).all()  # the best of thirty looks better
    assert (report["p_holm"] > 0.05).all()
    assert (report["honest"] - report["standard"]).abs().max() < 0.015


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
        (lambda: StudySpec(val_labels="mixed"), "val_labels must be 'noisy' or 'clean'"),
        (lambda: StudySpec.from_settings({"learning_rate": 1}), "a study has no setting 'learning_rate'"),
        (lambda: StudySpec.from_settings({"training": {"steps": 1}}), "settings cannot be used"),
    ],
)
def test_wrong_input_is_told(make, message):
    with pytest.raises(InputError, match=message):
        make()
