"""Audits and fronts: numbers by hand, intervals, worst cases."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
from hiring import QUICK, people
from sklearn.base import clone

from rostra import SenSeIClassifier
from rostra.engine.errors import InputError
from rostra.engine.files import plain
from rostra.methods.sensei.audit import AuditSettings, audit, loss_ratio
from rostra.methods.sensei.flips import Flip
from rostra.methods.sensei.front import front
from rostra.methods.sensei.metrics import FairMetric
from rostra.methods.sensei.model import Classifier
from rostra.methods.sensei.page import write_page

TITLES = Flip("title", ("Mr", "Ms"))
FAST = AuditSettings(resamples=100, steps=50, rows=200)


@pytest.fixture(scope="module")
def models():
    X, y = people(800)
    return {
        method: SenSeIClassifier(sensitive="sex", method=method, **QUICK).fit(X[:600], y[:600])
        for method in ("baseline", "sensei")
    }


@pytest.fixture(scope="module")
def rows():
    X, y = people(800)
    return X[600:].reset_index(drop=True), y[600:]


def test_an_audits_numbers_are_those_of_the_answers(models, rows):
    """Each again by hand, from predictions on copies."""
    X, y = rows
    model = models["baseline"]
    document = audit(model, X, y, [TITLES, Flip("sex", ("man", "woman"))], FAST)
    predicted = model.predict(X)
    assert document["rows"] == 200
    assert document["accuracy"]["value"] == pytest.approx((predicted == y).mean())
    each = [(predicted == y)[y == name].mean() for name in ("hire", "reject")]
    assert document["balanced_accuracy"]["value"] == pytest.approx(np.mean(each))
    mr, ms = (model.predict(X.assign(title=title)) for title in ("Mr", "Ms"))
    assert document["flips"][0]["consistency"]["value"] == pytest.approx((mr == ms).mean())
    assert document["flips"][0]["flip"] == "title: Mr<->Ms"
    assert document["flips"][0]["rows_that_hold"] == 200
    man, woman = (model.predict(X.assign(sex=sex)) for sex in ("man", "woman"))
    assert document["sensitive"]["consistency"]["value"] == pytest.approx((man == woman).mean())
    assert document["sensitive"]["combinations"] == 2
    change = np.abs(np.subtract(*(model.predict_proba(X.assign(title=t))[:, 0] for t in ("Mr", "Ms"))))
    assert document["flips"][0]["score_change"]["mean"] == pytest.approx(change.mean())
    assert sum(document["flips"][0]["score_change"]["counts"]) == 200
    inside = (X["sex"] == "woman").to_numpy()
    gap = [
        (predicted == y)[inside & (y == c)].mean() - (predicted == y)[~inside & (y == c)].mean() for c in model.classes_
    ]
    (found,) = document["gaps"]
    assert (found["column"], found["group"], found["rows"]) == ("sex", "woman", int(inside.sum()))
    assert list(found["recall_gaps"].values()) == pytest.approx(gap)
    assert found["rms"]["value"] == pytest.approx(math.sqrt(np.mean(np.square(gap))))
    assert found["largest"]["value"] == pytest.approx(max(map(abs, gap)))
    json.dumps(document, default=plain, allow_nan=False)


def test_only_rows_that_hold_a_value(models):
    """The share among them stands beside the share of all."""
    X, y = people(100, seed=5)
    X.loc[:39, "title"] = "Dr"
    model = SenSeIClassifier(sensitive="sex", method="baseline", **{**QUICK, "iterations": 30}).fit(X, y)
    found = audit(model, X, y, [TITLES], FAST)["flips"][0]
    assert found["rows_that_hold"] == 60
    mr, ms = (model.predict(X.assign(title=title)) for title in ("Mr", "Ms"))
    assert found["consistency_where_held"]["value"] == pytest.approx((mr == ms)[40:].mean())


def test_intervals_hold_the_value_and_shrink_with_the_rows(models, rows):
    """Percentiles of a bootstrap over rows: about 2 x 1.96 standard errors wide."""
    X, y = rows
    found = audit(models["sensei"], X, y, [], AuditSettings(resamples=400, steps=1, rows=10))["accuracy"]
    low, high = found["interval"]
    assert low <= found["value"] <= high
    error = math.sqrt(found["value"] * (1 - found["value"]) / len(y))
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.3)


def test_a_fair_model_passes_where_a_plain_one_does_not(models, rows):
    """The loss ratio of the baseline is far larger, and its answers flip more."""
    X, y = rows
    plain_one, fair = (audit(models[name], X, y, [TITLES], AuditSettings(resamples=2))["loss_ratio"] for name in models)
    assert plain_one["lower_bound"] > 1.5 * fair["lower_bound"]
    assert plain_one["flipped"] > fair["flipped"]
    assert not plain_one["passes"]


def test_the_loss_ratio_of_a_linear_model_by_hand():
    """Logits (w x, 0): gradient ascent on log(1 + exp(-w x)) with the price lambda delta^2, row by row."""
    network = Classifier(1, 1, (), 2).double()
    network.layers[0].weight.data.copy_(torch.tensor([[[2.0, 0.0]]]))
    x, y = np.array([[0.5], [-1.0]]), np.array([0, 0])
    settings = AuditSettings(steps=200, lr=0.05, noise=0.0, dual=1.0)
    found = loss_ratio(network, x, y, FairMetric.euclidean(1), settings)
    wanted = []
    for value in x[:, 0]:
        moved = value
        for _ in range(2000):  # the fixed point: -2 sigmoid(-2 x') = 2 (x' - x)
            moved = value - 1 / (1 + math.exp(2 * moved))
        wanted.append(math.log1p(math.exp(-2 * moved)) / math.log1p(math.exp(-2 * value)))
    np.testing.assert_allclose(found.ratios, wanted, rtol=1e-4)
    assert found.mean == pytest.approx(np.mean(wanted), rel=1e-4)
    assert found.lower_bound == pytest.approx(found.mean - 1.6448536 * found.sd / math.sqrt(2), rel=1e-6)


def test_a_projected_model_is_attacked_as_it_is_used(rows):
    """Moves along the ignored directions change nothing."""
    X, y = people(600)
    model = SenSeIClassifier(sensitive="sex", method="project", metric="euclidean", **QUICK).fit(X, y)
    free = AuditSettings(steps=50, dual=1e6, noise=5.0, rows=100, resamples=2)
    found = loss_ratio(model.network_, model.inputs(X)[:100], (y[:100] == "reject").astype(int), model.metric_, free)
    np.testing.assert_allclose(found.ratios[np.isfinite(found.ratios)], 1.0, atol=0.05)


def test_rows_are_attacked_alone():
    """The worst case of a row does not depend on how many others are audited."""
    network = Classifier(1, 2, (4,), 2)
    network.initialise([0])
    x, y = np.random.default_rng(0).standard_normal((50, 2)), np.zeros(50, dtype=int)
    settings = AuditSettings(noise=0.0, steps=20)
    many = loss_ratio(network, x, y, FairMetric.euclidean(2, ignore=[0]), settings).ratios
    few = loss_ratio(network, x[:3], y[:3], FairMetric.euclidean(2, ignore=[0]), settings).ratios
    np.testing.assert_allclose(many[:3], few, rtol=1e-5)


def test_rows_without_a_finite_ratio_are_counted():
    """A loss of 0 in float32 has no ratio."""
    network = Classifier(1, 1, (), 2)
    network.layers[0].weight.data.copy_(torch.tensor([[[100.0, 0.0]]]))
    x, y = np.array([[9.0], [0.01], [0.02]]), np.zeros(3, dtype=int)
    found = loss_ratio(network, x, y, FairMetric.euclidean(1), AuditSettings(steps=5, noise=0.0))
    assert (found.rows, found.not_finite) == (3, 1)
    with pytest.raises(InputError, match="fewer than two rows have a finite loss ratio"):
        loss_ratio(network, x[:2], y[:2], FairMetric.euclidean(1), AuditSettings(steps=5, noise=0.0))


def test_tables_that_the_model_does_not_know_are_refused(models, rows):
    X, y = rows
    model = models["sensei"]
    with pytest.raises(InputError, match="row 3 has the label 'maybe'; the model knows 'hire', 'reject'"):
        audit(model, X, np.where(np.arange(200) == 2, "maybe", y))
    with pytest.raises(ValueError, match="feature names"):
        audit(model, X.drop(columns="title"), y)
    with pytest.raises(InputError, match="199 labels for 200 rows"):
        audit(model, X, y[:-1])
    with pytest.raises(InputError, match="at least 2 resamples"):
        AuditSettings(resamples=1)
    with pytest.raises(InputError, match="an audit needs finite numbers"):
        AuditSettings(dual=math.inf)
    with pytest.raises(InputError, match="lr and threshold above 0"):
        AuditSettings(lr=0)


def test_the_page_shows_what_the_document_says(models, rows, tmp_path):
    """Every value of the document, and the plots, in one file without a link."""
    X, y = rows
    document = audit(models["sensei"], X, y, [TITLES], FAST)
    write_page(document, tmp_path / "audit.html", model="m & n", data="rows.csv", history=models["sensei"].history_)
    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "title: Mr ↔ Ms" in page
    assert "m &amp; n" in page
    assert not re.search(r"(href|src)=.https?:", page)
    for value in (document["accuracy"]["value"], document["loss_ratio"]["lower_bound"]):
        assert f"{value:.2f}"[:4] in page
    bare = audit(models["baseline"], X, y, [], FAST)
    write_page(bare, tmp_path / "bare.html", model="m", data="d", history=models["baseline"].history_)
    assert "No flip was declared" in (tmp_path / "bare.html").read_text(encoding="utf-8")


def test_a_front_measures_every_model_of_the_grid():
    """A row a model, measured on rows that were held out; all copies of a method in one program."""
    X, y = people(500)
    estimator = SenSeIClassifier(sensitive="sex", **{**QUICK, "iterations": 40})
    found = front(
        X,
        y,
        estimator,
        methods=("baseline", "clp", "sensr", "sensei"),
        rho=(0.0, 5.0),
        eps=(0.03, 0.3),
        seeds=2,
        flips=["title: Mr<->Ms"],
    )
    assert found.groupby("method").size().to_dict() == {"baseline": 2, "clp": 4, "sensr": 4, "sensei": 8}
    assert {"accuracy", "balanced_accuracy", "title: Mr<->Ms", "sensitive", "gap_rms sex=woman"} <= set(found.columns)
    zero = found[(found["method"] == "sensei") & (found["rho"] == 0.0) & (found["seed"] == 1)]
    base = found[(found["method"] == "baseline") & (found["seed"] == 1)]
    assert zero["title: Mr<->Ms"].nunique() == 1
    assert zero["accuracy"].iloc[0] == base["accuracy"].iloc[0]
    assert isinstance(found, pd.DataFrame)
    numbered = X[["skill"]].set_axis([1], axis=1).assign(x=1).drop(columns="x")
    numbered[2], numbered[3] = (X["sex"] == "man").astype(int), X["veteran"].astype(int)
    columns = front(
        numbered, y, SenSeIClassifier(sensitive=[2], **{**QUICK, "iterations": 5}), methods=["baseline"], seeds=1
    )
    assert "gap_rms 2=1" in columns
    rare = X.assign(title=np.where(np.arange(500) == 7, "Dr", X["title"]))
    with pytest.warns(UserWarning, match="merged into 'other': 'Dr'"):
        found = front(rare, y, clone(estimator).set_params(sensitive=["sex", "title"]), methods=["sensei"], seeds=2)
    assert len(found) == 6
    with pytest.raises(InputError, match="at least one method"):
        front(X, y, estimator, methods=())
