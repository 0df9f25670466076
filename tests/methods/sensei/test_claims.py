"""The claims' runs measure what they say."""

import numpy as np
import pytest

from rostra.engine.claims import Context
from rostra.engine.errors import InputError
from rostra.methods.sensei import text
from rostra.methods.sensei.claims import CLAIMS, audits, certificate, fronts, names, table_arms
from rostra.methods.sensei.evaluation import hypervolume

SMOKE = {claim.name: claim.scales["smoke"].settings for claim in CLAIMS}


@pytest.fixture
def context(tmp_path):
    return Context("cpu", tmp_path)


def fair_package():
    pytest.importorskip("fairlearn", reason="needs the extra 'fair'")


def test_an_arm_is_measured_on_rows_that_it_did_not_see(context):
    """All measures, one row a seed; SenSeI is more consistent than the baseline."""
    rows = {arm: list(table_arms(SMOKE["adult"], arm, [0, 1], context)) for arm in ("baseline", "sensei", "project")}
    assert [row["seed"] for row in rows["sensei"]] == [0, 1]
    assert {"accuracy", "balanced_accuracy", "s_con", "gr_con", "gap_rms_gender", "lambda"} <= set(rows["sensei"][0])
    mean = {arm: np.mean([row["s_con"] for row in found]) for arm, found in rows.items()}
    assert mean["sensei"] > mean["baseline"] + 0.05
    assert mean["project"] > mean["baseline"]
    assert all(row["gr_con"] == 1.0 for row in rows["project"])
    again = list(table_arms(SMOKE["adult"], "sensei", [1], context))
    assert again[0]["s_con"] == pytest.approx(rows["sensei"][1]["s_con"], abs=0.02)


def test_projected_copies_are_projected_after_the_flip(context):
    """Else the groups' consistency would be below 1, which it is by definition."""
    (row,) = table_arms(SMOKE["compas"], "project", [3], context)
    assert row["sex_flip"] == 1.0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fairlearn's, about pandas
def test_reductions_answer_without_the_sensitive_columns(context):
    """fairlearn's comparator: groups get one answer, rates are close, and the seed fixes the draws."""
    fair_package()
    settings = {**SMOKE["adult"], "table": "mixture"}
    (found,) = table_arms(settings, "reductions", [0], context)
    assert found["gr_con"] == 1.0
    assert found["gap_rms_gender"] < 0.1
    assert found["balanced_accuracy"] > 0.6
    assert list(table_arms(settings, "reductions", [0], context)) == [found]


def test_a_front_is_its_grid(context):
    """A point a model, and the area that they dominate."""
    (row,) = fronts(SMOKE["front"], "sensei", [0], context)
    assert len(row["front"]) == 4
    assert row["hypervolume"] == pytest.approx(hypervolume(row["front"], (0.4, 0.0)))


def test_every_arm_is_audited_by_one_metric(context):
    """And by EXPLORE besides."""
    (row,) = audits(SMOKE["audit"], "sensei", [0], context)
    assert {"lower_bound", "ratio", "median", "lower_bound_explore", "accuracy"} <= set(row)
    assert row["lower_bound"] <= row["ratio"]


def test_the_certificate_compares_training_with_fresh_rows(context):
    """The relative difference is that of the two values; more rows, less of it."""
    few, many = (list(certificate(SMOKE["certificate"], arm, range(6), context)) for arm in ("n100", "n1000"))
    for row in few:
        assert row["relative"] == pytest.approx(abs(row["train"] - row["test"]) / row["test"])
        assert row["covered"] in (0.0, 1.0)
    assert np.mean([row["relative"] for row in many]) < np.mean([row["relative"] for row in few])


def test_names_are_judged_by_a_classifier_of_words(context):
    """Embeddings of unit length, names of both sexes in turns, shares relative to the baseline of the seed."""
    fair_package()
    data = text.load_name_sentiment(300, 40)
    assert data.words.shape == (300, 384)
    assert data.names.shape == (80, 2, 384)
    np.testing.assert_allclose(np.linalg.norm(data.names, axis=2), 1.0, atol=1e-5)
    assert data.female[:4].tolist() == [0, 1, 0, 1]
    (base,) = names(SMOKE["names"], "baseline", [0], context)
    assert base["gap_share"] == base["spread_share"] == 1.0
    (fair,) = names(SMOKE["names"], "sensei", [0], context)
    assert fair["spread_share"] < 1.0


def test_scores_of_names_by_hand():
    """Log odds: two men at 1 and 3, two women at 0 and 2 in one sentence; none differ in the other."""
    data = text.NameSentiment(
        words=np.array([[1.0], [-1.0], [2.0]]),
        positive=np.array([1, 0, 0]),
        names=np.array([[[1.0], [5.0]], [[0.0], [5.0]], [[3.0], [5.0]], [[2.0], [5.0]]]),
        female=np.array([0, 1, 0, 1]),
    )
    found = text.name_measures(data, lambda x: np.column_stack([np.zeros(len(x)), x[:, 0]]), np.arange(3), np.arange(4))
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["gap"] == pytest.approx((1.0 + 0.0) / 2)
    assert found["spread"] == pytest.approx((np.std([1, 0, 3, 2]) + 0.0) / 2)


def test_a_missing_extra_is_named(monkeypatch):
    """With the command that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "vaderSentiment.vaderSentiment", None)
    text.load_name_sentiment.cache_clear()
    with pytest.raises(InputError, match=r"pip install 'rostra\[fair\]'"):
        text.load_name_sentiment(10, 10)
