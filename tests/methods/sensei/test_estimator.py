"""The classifier as a user of scikit-learn holds it."""

import numpy as np
import pandas as pd
import pytest
import torch
from hiring import QUICK, people
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from rostra import SenSeIClassifier
from rostra.engine.errors import InputError
from rostra.fields.tabular.encoding import TableEncoder
from rostra.methods.sensei import FairMetric
from rostra.methods.sensei.flips import Flip, combinations, parse_flip
from rostra.methods.sensei.preparation import draw_pairs


@pytest.fixture(scope="module")
def table():
    return people()


@pytest.fixture(scope="module")
def fitted(table):
    return SenSeIClassifier(sensitive="sex", **QUICK).fit(*table)


CONFORMING = {"hidden": (20,), "iterations": 300, "batch_size": 64, "lr": 1e-2, "device": "cpu", "auditor_steps": 5}


@parametrize_with_checks([SenSeIClassifier(metric="euclidean", **CONFORMING)])
@pytest.mark.filterwarnings("ignore:lambda or the mean fair distance")
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_scikit_learn_conformance(estimator, check):
    """Without sensitive columns, which the suite does not know of."""
    check(estimator)


def test_answers_depend_less_on_the_proxy(table, fitted):
    """Titles swapped: fewer answers change than the baseline's, though the proxy is not declared."""
    X, y = table
    baseline = SenSeIClassifier(sensitive="sex", method="baseline", **QUICK).fit(X, y)
    flip = Flip("title", ("Mr", "Ms"))

    def changed(model):
        first, second = (model.predict(copy) for copy in flip.copies(X))
        return (first != second).mean()

    assert changed(fitted) < 0.6 * changed(baseline)
    assert fitted.attribute_auc_["sex=woman"] > 0.8
    assert fitted.classes_.tolist() == ["hire", "reject"]
    assert fitted.features_ == ["skill", "sex=woman", "title=Ms", "veteran=True"]


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "sensr"},
        {"method": "clp", "flips": ("title: Mr<->Ms",)},
        {"method": "project"},
        {"metric": "explore"},
        {"metric": "euclidean", "auditor": "two_stage", "subspace_steps": 4, "full_steps": 4},
        {"metric": np.diag([1.0, 0.0, 0.0, 1.0])},
        {"metric": FairMetric.euclidean(4, ignore=[1, 2]), "dual_update": "ratio"},
        {"epochs": 3},
    ],
)
@pytest.mark.filterwarnings("ignore:lambda or the mean fair distance")
def test_every_method_and_metric_fits(table, changes):
    """And answers better than chance."""
    X, y = table
    model = SenSeIClassifier(sensitive=["sex"], **{**QUICK, **changes}).fit(X, y)
    assert model.score(X, y) > 0.6
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)
    assert (model.classes_[model.predict_proba(X).argmax(axis=1)] == model.predict(X)).all()


def test_directions_in_which_comparable_rows_differ(table):
    """metric "svd" takes groups of comparable rows: pairs that differ in sex and title."""
    X, y = table
    twins = pd.concat([X[:200], X[:200].assign(sex="man", title="Mr"), X[:200].assign(sex="woman", title="Ms")])
    labels = np.concatenate([y[:200]] * 3)
    groups = np.tile(np.arange(200), 3)
    model = SenSeIClassifier(sensitive="sex", metric="svd", metric_components=2, **QUICK)
    model.fit(twins, labels, comparable=groups)
    man, woman = (model.inputs(copy) for copy in Flip("sex", ("man", "woman")).copies(X))
    assert model.metric_.distance(torch.tensor(man), torch.tensor(woman)).max() < 1e-3
    with pytest.raises(InputError, match="metric 'svd' needs comparable"):
        clone(model).fit(twins, labels)
    with pytest.raises(InputError, match="a group number for each of the 600 rows"):
        clone(model).fit(twins, labels, comparable=groups[:-1])


def test_pairs_within_groups_are_found_however_many_groups_there_are():
    """Different members of one group, every group with two or more; rows of none and single ones are in no pair."""
    rng = np.random.default_rng(0)
    groups = np.concatenate([np.repeat(np.arange(4000), 2), [4000], np.full(50, -1), np.repeat(4001, 3)])
    order = rng.permutation(len(groups))
    x, y = np.arange(len(groups), dtype=float)[:, None], np.arange(len(groups)) % 2
    first, second, comparable = draw_pairs(x, y, x, groups[order], 0)
    one, other = (values[comparable == 1, 0].astype(int) for values in (first, second))
    assert (one != other).all()
    assert (groups[order][one] == groups[order][other]).all()
    assert set(groups[order][one]) <= {*range(4000), 4001}
    assert len(set(groups[order][one])) > 3000
    trio = np.flatnonzero(groups[order] == 4001)
    assert {(a, b) for a, b in zip(one, other, strict=True) if a in trio} <= {(a, b) for a in trio for b in trio}


def test_sensitive_attributes_apart_from_the_table(table):
    """The other features' directions that tell them; columns of the table are taken from there."""
    X, y = table
    apart = X["sex"].rename("gender")
    model = SenSeIClassifier(**QUICK).fit(X.drop(columns="sex"), y, sensitive_features=apart)
    assert list(model.attribute_auc_) == ["gender=woman"]
    assert model.metric_.directions.shape[1] == 1
    inside = SenSeIClassifier(**QUICK).fit(X, y, sensitive_features=X[["sex"]])
    assert inside.sensitive_ == ("sex",)
    mixed = X[["sex"]].assign(club=np.where(np.arange(600) % 3, "a", "b"))
    half = SenSeIClassifier(**QUICK).fit(X, y, sensitive_features=mixed)
    assert half.sensitive_ == ("sex",)
    assert list(half.attribute_auc_) == ["sex=woman", "club=b"]
    numbers = SenSeIClassifier(**QUICK).fit(
        X[["skill"]].to_numpy(), y, sensitive_features=(X["sex"] == "man").to_numpy()
    )
    assert numbers.metric_.directions.shape[1] == 1
    both = SenSeIClassifier(sensitive="sex", **QUICK).fit(X, y, sensitive_features=X["title"].rename("style"))
    assert list(both.attribute_auc_) == ["sex=woman", "style=Ms"]
    assert both.metric_.directions.shape[1] == 3
    with pytest.raises(InputError, match="whose values are not those of column 'sex' of X"):
        clone(model).fit(X, y, sensitive_features=X["sex"][::-1].reset_index(drop=True))
    with pytest.raises(InputError, match="says the same as the label"):
        clone(model).fit(X.drop(columns="sex"), y, sensitive_features=pd.Series(y, name="result"))
    with pytest.raises(InputError, match="sensitive_features has 599 rows, X has 600"):
        clone(model).fit(X.drop(columns="sex"), y, sensitive_features=apart[:-1])


def test_a_pipeline_and_a_grid_search():
    """Numbers, a sensitive column by position; rho chosen by cross-validation."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((300, 3)), rng.integers(0, 2, 300)])
    y = (X[:, 0] + X[:, 3] > 0.5).astype(int)
    pipeline = make_pipeline(StandardScaler(), SenSeIClassifier(sensitive=[3], **{**QUICK, "iterations": 60}))
    search = GridSearchCV(pipeline, {"senseiclassifier__rho": [0.0, 5.0]}, cv=2).fit(X, y)
    assert search.best_estimator_.predict(X).shape == (300,)
    assert search.best_score_ > 0.7


@pytest.mark.parametrize("labels", [["no", "yes"], [False, True], [3, 7], [-1.0, 1.0]])
def test_a_classifier_is_saved_and_read_back(table, tmp_path, labels):
    """Equal probabilities, labels of the same kind, the notes, and the history."""
    X, y = table
    y = np.array(labels)[(y == "hire").astype(int)]
    model = SenSeIClassifier(sensitive="sex", **QUICK).fit(X, y)
    model.save(tmp_path / "model", notes={"label": "outcome"})
    again = SenSeIClassifier.load(tmp_path / "model")
    np.testing.assert_allclose(again.predict_proba(X), model.predict_proba(X), atol=1e-12)
    assert again.predict(X).tolist() == model.predict(X).tolist()
    assert type(again.predict(X)[0]) is type(model.predict(X)[0])
    assert again.notes_ == {"label": "outcome"}
    assert again.lambda_ == model.lambda_
    assert again.sensitive_ == ("sex",)
    np.testing.assert_array_equal(again.history_, model.history_)
    torch.testing.assert_close(again.metric_.sigma, model.metric_.sigma)
    assert not any(path.suffix in (".pkl", ".pt") for path in (tmp_path / "model").iterdir())


def test_seeds_decide(table):
    """One seed, one model; a generator is advanced."""
    X, y = table
    make = lambda seed: SenSeIClassifier(sensitive="sex", **{**QUICK, "iterations": 20, "random_state": seed})  # noqa: E731
    same = [make(1).fit(X, y).predict_proba(X) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    generator = np.random.RandomState(0)
    first, second = (make(generator).fit(X, y).predict_proba(X) for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("sensitive", "change", "message"),
    [
        (["age"], {}, "no sensitive column 'age'; X has: 'skill', 'sex'"),
        ([9], {}, "sensitive names column 9, but X has 4 columns"),
        (["sex"], {"sex": "man"}, "sensitive column 'sex' holds one value only"),
        (
            ["skill"],
            {},
            "sensitive column 'skill' holds 600 different values; make groups of it, at most 50",
        ),
        (["sex"], {"skill": np.nan}, "no value at all in 'skill'"),
        ([], {}, "metric 'logistic' needs sensitive columns; name them with sensitive="),
        (["sex"], {"title": [f"t{i}" for i in range(600)]}, "column 'title' holds 600 different texts"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(table, sensitive, change, message):
    X, y = table
    with pytest.raises(InputError, match=message):
        SenSeIClassifier(sensitive=sensitive, **QUICK).fit(X.assign(**change), y)


def test_labels_that_cannot_be_used_are_refused(table):
    X, y = table
    model = SenSeIClassifier(sensitive="sex", **QUICK)
    with pytest.raises(InputError, match="y holds one class only"):
        model.fit(X, np.full(600, "hire"))
    with pytest.raises(InputError, match="says the same as the label"):
        model.fit(X, np.where(X["sex"] == "man", 1, 0))
    with pytest.raises(InputError, match=r"y holds 1 missing label \(NaN\), first in row 3"):
        model.fit(X, pd.Series(y).where(np.arange(600) != 2))
    with pytest.raises(InputError, match="y has 599 rows, X has 600"):
        model.fit(X, y[:-1])
    with pytest.raises(InputError, match="impute must be None or 'median'"):
        SenSeIClassifier(sensitive="sex", impute="mean", **QUICK).fit(X, y)
    with pytest.raises(InputError, match="several columns named 'sex'"):
        model.fit(pd.concat([X, X[["sex"]]], axis=1), y)
    with pytest.raises(InputError, match="metric must be one of logistic"):
        SenSeIClassifier(sensitive="sex", metric="fair", **QUICK).fit(X, y)
    with pytest.raises(InputError, match="made for 9 features, the table has 4"):
        SenSeIClassifier(sensitive="sex", metric=FairMetric.euclidean(9), **QUICK).fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"epochs": 2.5}, "epochs must be a whole number of at least 1, got 2.5"),
        ({"full_steps": 2.5}, "full_steps must be a whole number of at least 0, got 2.5"),
        ({"metric": np.eye(3)}, "made for 3 features, the table has 4"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(table, parameters, message):
    X, y = table
    for method in ("sensei", "baseline"):
        with pytest.raises(InputError, match=message):
            SenSeIClassifier(sensitive="sex", **{**QUICK, "method": method, **parameters}).fit(X, y)


def test_warnings_that_a_user_needs(table):
    """An auditor that cannot flip a column, unscaled features, rare levels, lambda that swings."""
    X, y = table
    with pytest.warns(UserWarning, match=r"the auditor reaches 0\.1 at most"):
        SenSeIClassifier(sensitive="sex", **QUICK, auditor_steps=10, auditor_lr=0.01).fit(X, y)
    with pytest.warns(UserWarning, match="features differ much in scale"):
        SenSeIClassifier(sensitive="sex", **QUICK, standardize=False).fit(X.assign(skill=X["skill"] * 100), y)
    rare = X.assign(sex=np.where(np.arange(600) < 5, "other one", X["sex"]))
    with pytest.warns(UserWarning, match="levels with fewer than 30 rows are merged into 'other': 'other one'"):
        model = SenSeIClassifier(sensitive="sex", **QUICK).fit(rare, y)
    assert model.levels_["sex"] == ("man", "other", "woman")


def test_columns_are_named_as_the_table_names_them():
    """A name goes before a position; an array of names serves; numbers read with or without gaps are alike."""
    X, y = people(200)
    numbered = X.set_axis([2, 3, 1, 0], axis=1)
    model = SenSeIClassifier(sensitive=[3], **{**QUICK, "iterations": 5}).fit(numbered, y)
    assert model.sensitive_ == ("3",)
    assert model.levels_["3"] == ("man", "woman")
    array = SenSeIClassifier(sensitive=np.array(["sex"]), **{**QUICK, "iterations": 5}).fit(X, y)
    assert array.sensitive_ == ("sex",)
    coded = X.assign(sex=(X["sex"] == "man").astype(int))
    model = SenSeIClassifier(sensitive="sex", **{**QUICK, "iterations": 5}).fit(coded, y)
    for same in (coded["sex"] * 1.0, (coded["sex"] * 1.0).astype(object), coded["sex"].astype("Float64")):
        np.testing.assert_array_equal(model.predict_proba(coded), model.predict_proba(coded.assign(sex=same)))


def test_levels_of_a_few_rows_teach_nothing():
    """They keep their axis, but no direction is learned from the accidents of one row."""
    X, y = people(300)
    X.loc[3, "sex"] = None
    model = SenSeIClassifier(sensitive="sex", impute="median", **QUICK)
    with pytest.warns(UserWarning, match="merged into 'other': 'missing'"):
        model.fit(X, y)
    assert model.levels_["sex"] == ("man", "other", "woman")
    assert list(model.attribute_auc_) == ["sex=man", "sex=woman"]
    first, second = X.assign(sex="man"), X.assign(sex="other")
    distances = model.metric_.distance(*(torch.tensor(model.inputs(copy)) for copy in (first, second)))
    assert distances.max() < 1e-6


def test_a_damaged_model_is_said_to_be(table, tmp_path):
    """Valid JSON with another architecture; a metric that was given is there again, notes stay."""
    X, y = table
    model = SenSeIClassifier(sensitive="sex", metric=np.eye(4), **{**QUICK, "iterations": 5}).fit(X, y)
    model.save(tmp_path / "m", notes={"label": "y"})
    again = SenSeIClassifier.load(tmp_path / "m")
    assert isinstance(again.metric, FairMetric)
    again.save(tmp_path / "n")
    assert SenSeIClassifier.load(tmp_path / "n").notes_ == {"label": "y"}
    document = tmp_path / "m" / "rostra.json"
    document.write_text(document.read_text().replace('"hidden": [\n    16\n   ]', '"hidden": [\n    17\n   ]'))
    with pytest.raises(InputError, match="is damaged or of another version"):
        SenSeIClassifier.load(tmp_path / "m")


def test_presets_are_the_published_protocols():
    """With changes."""
    model = SenSeIClassifier.from_preset("infairness", sensitive="sex", rho=2.0)
    assert (model.hidden, model.auditor_steps, model.rho, model.sensitive) == ((100, 100), 100, 2.0, "sex")
    assert SenSeIClassifier.from_preset("paper", method="sensr").subspace_lr == 10.0


def test_missing_values_can_be_filled(table):
    """Numbers by the median, texts as a category of their own; new rows too."""
    X, y = table
    holes = X.assign(skill=X["skill"].where(np.arange(600) % 7 > 0), title=X["title"].where(np.arange(600) % 5 > 0))
    model = SenSeIClassifier(sensitive="sex", impute="median", **QUICK).fit(holes, y)
    assert "title=missing" in model.features_
    assert model.predict(holes).shape == (600,)
    with pytest.raises(InputError, match="column 'sex' holds 'child' in row 1"):
        SenSeIClassifier(sensitive="sex", **QUICK).fit(X, y).predict(X.assign(sex="child"))


def test_flips_are_read_as_people_write_them():
    """A column, or values of it; a column name may hold a colon."""
    levels = {"relationship": ("Husband", "Wife", "Own-child"), "a: b": ("x", "y")}
    assert parse_flip("relationship: Husband<->Wife", levels) == Flip("relationship", ("Husband", "Wife"))
    assert parse_flip(" relationship ", levels).values == ("Husband", "Wife", "Own-child")
    assert parse_flip("a: b", levels) == Flip("a: b", ("x", "y"))
    assert parse_flip("a: b: x<->y", levels) == Flip("a: b", ("x", "y"))
    for text, message in {
        "age": "cannot flip 'age': the categories are 'relationship', 'a: b'",
        "relationship: Husband": "two or more different values",
        "relationship: Husband<->Husband": "two or more different values",
        "relationship: Husband<->Boss": "has no value 'Boss'; it has: 'Husband', 'Wife', 'Own-child'",
    }.items():
        with pytest.raises(InputError, match=message):
            parse_flip(text, levels)


def test_copies_swaps_and_combinations():
    """A copy has the value in every row; a swap exchanges values and leaves others; combinations are all of them."""
    table = pd.DataFrame({"r": ["H", "W", "C"], "s": ["m", "w", "m"]})
    flip = Flip("r", ("H", "W"))
    assert [copy["r"].tolist() for copy in flip.copies(table)] == [["H"] * 3, ["W"] * 3]
    encoder = TableEncoder.fitted(table)
    assert flip.swapped(table, encoder)["r"].tolist() == ["W", "H", "C"]
    assert flip.holds(table, encoder).tolist() == [True, True, False]
    every = combinations(table, [flip, Flip("s", ("m", "w"))])
    assert {(copy["r"][0], copy["s"][0]) for copy in every} == {("H", "m"), ("H", "w"), ("W", "m"), ("W", "w")}
    with pytest.raises(InputError, match="at most 64 are compared"):
        combinations(table, [Flip("r", tuple(map(str, range(65))))])
