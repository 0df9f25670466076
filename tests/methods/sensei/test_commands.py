"""``rostra sensei`` as a user runs it."""

import json

import numpy as np
import pandas as pd
import pytest
from hiring import people

FIT = ("sensei", "fit", "people.csv", "--label", "outcome", "--sensitive", "sex")
QUICK = ("--iterations", "60", "--batch-size", "64", "--hidden", "8")


@pytest.fixture
def table(tmp_path):
    X, y = people(300)
    X.assign(outcome=y).to_csv(tmp_path / "people.csv", index=False)
    return tmp_path / "people.csv"


def assert_refused(done, message):
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr


def test_fit_then_audit(rostra, table, tmp_path):
    """The page and the document are there; what is printed is what the document says."""
    done = rostra(*FIT, "--out", "model", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "fitted sensei to 300 rows, 4 features; saved to model" in done.stdout
    assert "sex=woman 0." in done.stdout
    flips = ("--flip", "title: Mr<->Ms", "--flip", "sex")
    done = rostra("sensei", "audit", "model", "people.csv", *flips, "--out", "report", "--resamples", "50", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert json.loads((tmp_path / "report" / "audit.json").read_text()) == document
    assert [found["flip"] for found in document["flips"]] == ["title: Mr<->Ms", "sex: man<->woman"]
    assert "Fairness audit" in (tmp_path / "report" / "audit.html").read_text(encoding="utf-8")
    told = rostra("sensei", "audit", "model", "people.csv", *flips, "--resamples", "50").stdout
    value = document["flips"][0]["consistency"]["value"]
    assert f"one answer for title: Mr<->Ms: {value:.3f}" in told
    assert "page: audit.html" in told


@pytest.mark.parametrize("method", ["baseline", "project", "clp", "sensr"])
def test_every_method_from_the_command_line(rostra, table, method):
    """And its audit."""
    done = rostra(*FIT, "--out", "m", "--method", method, "--flip", "title", *QUICK, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["method"] == method
    done = rostra("sensei", "audit", "m", "people.csv", "--flip", "title", "--resamples", "20", "--json")
    assert json.loads(done.stdout)["loss_ratio"]["mean"] > 0


def test_groups_that_are_no_inputs_are_compared(rostra, table, tmp_path):
    """A column that was left out of the fit; columns in another order and more of them do no harm."""
    assert rostra(*FIT, "--out", "m", "--exclude", "veteran", *QUICK).returncode == 0
    frame = pd.read_csv(table)
    frame[frame.columns[::-1]].assign(id=range(300)).to_csv(tmp_path / "more.csv", index=False)
    done = rostra("sensei", "audit", "m", "more.csv", "--groups", "veteran", "--resamples", "20", "--json")
    assert done.returncode == 0, done.stderr
    assert [(g["column"], g["group"]) for g in json.loads(done.stdout)["gaps"]] == [
        ("sex", "woman"),
        ("veteran", "True"),
    ]


def test_what_cannot_be_told_is_null(rostra, table, tmp_path):
    """A table with one label has no balanced accuracy; the document stays JSON."""
    assert rostra(*FIT, "--out", "m", *QUICK).returncode == 0
    frame = pd.read_csv(table)
    frame[frame["outcome"] == "hire"].to_csv(tmp_path / "hired.csv", index=False)
    done = rostra("sensei", "audit", "m", "hired.csv", "--resamples", "20", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout, parse_constant=pytest.fail)["balanced_accuracy"]["value"] is None
    assert (
        "balanced accuracy: cannot be told" in rostra("sensei", "audit", "m", "hired.csv", "--resamples", "20").stdout
    )


def test_a_front(rostra, table, tmp_path):
    """Every model in the table, means in the document, a picture."""
    done = rostra(
        "sensei", "sweep", "people.csv", "--label", "outcome", "--sensitive", "sex", "--flip", "title: Mr<->Ms",
        "--rho", "1,10", "--seeds", "2", "--out", "front", *QUICK, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [(line["method"], line["rho"]) for line in document["front"]] == [
        ("baseline", None), ("project", None), ("sensei", 1.0), ("sensei", 10.0),
    ]  # fmt: skip
    models = pd.read_csv(tmp_path / "front" / "front.csv")
    assert len(models) == 8
    mean = models[models["rho"] == 10.0]["title: Mr<->Ms"].mean()
    assert document["front"][3]["title: Mr<->Ms"] == pytest.approx(mean, abs=1e-6)
    assert (tmp_path / "front" / "front.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("--label", "result"), "no column named 'result'; there are: 'skill', 'sex'"),
        (("--sensitive", "gender"), "no column named 'gender'"),
        (("--sensitive", "outcome"), "the label 'outcome' is also sensitive"),
        (("--sensitive", "skill"), "sensitive column 'skill' holds 300 different values; make groups of it"),
        (("--sensitive", ""), "--sensitive must name at least one column"),
        (("--exclude", "skill,title,veteran"), "X has no column besides the sensitive ones"),
        (("--label", "skill"), "label 'skill' has 300 values; a classifier is for classes"),
        (("--rho", "-1"), "rho must be at least 0, got -1.0"),
        (("--eps", "0"), "eps must be above 0, got 0.0"),
        (("--hidden", "8,x"), "--hidden must hold whole numbers"),
        (("--exclude", "age"), "no column named 'age'"),
        (("--flip", "skill"), "cannot flip 'skill': the categories are 'sex', 'title', 'veteran'"),
        (("--out", "people.csv"), "is a file; a model is saved as a folder"),
    ],
)
def test_wrong_input_is_one_line(rostra, table, tmp_path, changes, message):
    """And nothing is written."""
    arguments = [*FIT, "--out", "model", *QUICK]
    if changes[0] in arguments:
        arguments[arguments.index(changes[0]) + 1] = changes[1]
    else:
        arguments += changes
    assert_refused(rostra(*arguments), message)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sex": "man"}, "sensitive column 'sex' holds one value only"),
        ({"empty": None}, "no value at all in 'empty'; leave it out with --exclude empty"),
        ({"outcome": "hire"}, "y holds one class only ('hire')"),
        ({"outcome": None}, "label 'outcome' is missing in 300 rows (first in row 1)"),
        ({"title": [f"t{i}" for i in range(300)]}, "column 'title' holds 300 different texts"),
    ],
)
def test_wrong_tables_are_one_line(rostra, table, tmp_path, change, message):
    pd.read_csv(table).assign(**change).to_csv(table, index=False)
    assert_refused(rostra(*FIT, "--out", "model", *QUICK), message)
    assert not (tmp_path / "model").exists()


def test_a_column_without_a_value_is_named_even_where_gaps_are_filled(rostra, table):
    pd.read_csv(table).assign(empty=None).to_csv(table, index=False)
    assert_refused(rostra(*FIT, "--out", "m", *QUICK, "--impute", "median"), "no value at all in 'empty'; leave it out")
    assert rostra(*FIT, "--out", "m", *QUICK, "--exclude", "empty").returncode == 0


def test_audits_that_cannot_be_made_are_one_line(rostra, table, tmp_path):
    """Another table, unknown labels, a damaged model, a wrong flip; earlier results stay."""
    assert rostra(*FIT, "--out", "model", *QUICK).returncode == 0
    frame = pd.read_csv(table)
    frame.drop(columns="title").to_csv(tmp_path / "other.csv", index=False)
    assert_refused(rostra("sensei", "audit", "model", "other.csv", "--out", "r"), "title")
    frame.assign(outcome=np.where(frame.index == 4, "maybe", frame["outcome"])).to_csv(tmp_path / "l.csv", index=False)
    assert_refused(rostra("sensei", "audit", "model", "l.csv"), "row 5 has the label 'maybe'")
    assert_refused(rostra("sensei", "audit", "model", "people.csv", "--label", "result"), "no column named 'result'")
    assert_refused(rostra("sensei", "audit", "model", "people.csv", "--flip", "title: Mr<->Dr"), "has no value 'Dr'")
    assert_refused(rostra("sensei", "audit", "absent", "people.csv"), "'absent' does not exist")
    assert_refused(rostra("sensei", "audit", "model", "people.csv", "--threshold", "inf"), "needs finite numbers")
    assert rostra("sensei", "audit", "model", "people.csv", "--groups", ",", "--resamples", "9").returncode == 0
    (tmp_path / "audit.json").unlink()
    assert not (tmp_path / "audit.json").exists()
    assert not (tmp_path / "r").exists()
    (tensors,) = (tmp_path / "model").glob("*.safetensors")
    tensors.write_bytes(b"x")
    assert_refused(rostra("sensei", "audit", "model", "people.csv"), "is truncated or damaged")
