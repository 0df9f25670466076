"""``rostra sample-efficiency`` as a user runs it."""

import json

import numpy as np
import pandas as pd
import pytest

ROOM = "sample-efficiency"


def assert_refused(done, message):
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr


def test_exponent_prints_intervals_and_draws(rostra, tmp_path):
    arguments = (ROOM, "exponent", "--d", "6,8,16,24", "--seeds", "2", "--learner", "kernel,conv", "--out", "found")
    done = rostra(*arguments)
    assert done.returncode == 0, done.stderr
    assert "kernel: beta = " in done.stdout
    assert "n* of kernel over conv: " in done.stdout
    for name in ("curves.png", "collapse.png", "n_star.png", "curves.csv", "n_star.csv", "conv.json"):
        assert (tmp_path / "found" / name).stat().st_size > 200
    again = rostra(*arguments, "--json")
    studies = json.loads(again.stdout)
    assert [study["learner"] for study in studies] == ["kernel", "conv"]
    assert 1.4 < studies[0]["exponent"] < 2.6
    assert_refused(rostra(*arguments, "--target", "0.8"), "holds another study")


def test_curves_of_figure_one(rostra, tmp_path):
    done = rostra(
        *(ROOM, "curves", "--task", "channels", "--d", "12", "--learner", "fc,conv-net"),
        *("--n", "50,100", "--seeds", "1", "--out", "figure", "--json"),
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"fc", "conv-net"}
    table = pd.read_csv(tmp_path / "figure" / "curves.csv")
    assert sorted(set(table["n"])) == [50, 100]
    assert (tmp_path / "figure" / "curves.png").is_file()


def test_curves_that_were_stopped_go_on(rostra, tmp_path):
    """Trainings that ended are not run again, a torn line is; more sizes are added to what is there."""
    arguments = (ROOM, "curves", "--learner", "fc", "--d", "8", "--seeds", "2", "--out", "out", "--json")

    def scores_of(*more):
        done = rostra(*arguments, *more)
        assert done.returncode == 0, done.stderr
        found = pd.DataFrame(**json.loads(done.stdout)["fc"]).set_index(["n", "seed"])["score"]
        return found.to_dict()

    first = scores_of("--n", "16,32")
    file = tmp_path / "out" / "fc.curves.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    assert len(lines) == 1 + 4
    forged = json.loads(lines[1]) | {"score": 0.123}
    file.write_text(lines[0] + json.dumps(forged) + "\n" + lines[2] + lines[3] + lines[4][:20])
    again = scores_of("--n", "16,32,64")
    assert again == {**first, (16, 0): 0.123, (64, 0): again[64, 0], (64, 1): again[64, 1]}
    assert len(file.read_text().splitlines()) == 1 + 6
    assert_refused(rostra(*arguments, "--n", "16", "--task", "diag"), "holds another study")


OWN = """
from sklearn.linear_model import LogisticRegression

def train(X, y, X_test, seed):
    return X_test @ (X.T @ y)

model = LogisticRegression()
"""


def test_equivariance_of_the_zoo_and_of_ones_own(rostra, tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    done = rostra(
        *(ROOM, "equivariance", "--algorithm", "sgd,adam,mine.py:train,mine.py:model"),
        *("--group", "orthogonal,permutation", "--out", "table"),
    )
    assert done.returncode == 0, done.stderr
    lines = {line[:44].strip(): line[44:].split() for line in done.stdout.splitlines()}
    assert [cell for cell in lines["FC, SGD"] if cell in "+-"] == ["+", "+"]
    assert [cell for cell in lines["FC, Adam"] if cell in "+-"] == ["-", "+"]
    assert [cell for cell in lines["mine.py:train"] if cell in "+-"] == ["+", "+"]
    assert (tmp_path / "table" / "equivariance.png").is_file()
    done = rostra(*(ROOM, "equivariance", "--algorithm", "conv", "--group", "orthogonal"), "--mode", "distributional")
    assert "- p 0.0" in done.stdout


def test_rotate_a_table(rostra, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 6))
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(town=rng.choice(["x", "y", "z"], 200))
    frame.assign(ill=np.where(X[:, 2] > 0, "yes", "no")).to_csv(tmp_path / "patients.csv", index=False)
    done = rostra(ROOM, "rotate", "patients.csv", "--label", "ill", "--model", "forest,logistic", "--out", "r.csv")
    assert done.returncode == 0, done.stderr
    assert "200 rows, 9 features" in done.stdout
    table = pd.read_csv(tmp_path / "r.csv").set_index("model")
    assert table.loc["forest", "verdict"] == "uses the basis"
    assert table.loc["logistic", "verdict"] == "does not use the basis"
    np.savez(tmp_path / "points.npz", X=X, y=(X[:, 2] > 0).astype(int))
    found = json.loads(rostra(ROOM, "rotate", "points.npz", "--model", "fc", "--rotations", "1", "--json").stdout)
    assert found[0]["raw"] > 0.8


def test_wrong_input_gives_one_line(rostra, tmp_path):
    (tmp_path / "three.csv").write_text("a,b,y\n" + "1,2,p\n2,1,q\n0,0,r\n" * 5)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    for arguments, message in (
        (("exponent", "--task", "halfs"), "there is no task 'halfs'"),
        (("exponent", "--d", "7,8"), "needs an even D"),
        (("exponent", "--d", "few"), "--d must be whole numbers"),
        (("exponent", "--learner", "net"), "there is no learner 'net'"),
        (("curves", "--learner", "conv-net"), "learner 'conv-net' needs images"),
        (("equivariance", "--algorithm", "sdg"), "there is no algorithm 'sdg'"),
        (("equivariance", "--group", "rotations"), "there is no group 'rotations'"),
        (("equivariance", "--algorithm", "broken.py:f"), "does not run (ZeroDivisionError"),
        (("equivariance", "--algorithm", "none.py:f"), "'none.py' does not exist"),
        (("equivariance", "--device", "cuda"), "runs on the cpu"),
        (("rotate", "three.csv"), "--label must name"),
        (("rotate", "three.csv", "--label", "z"), "no column named 'z'"),
        (("rotate", "three.csv", "--label", "y"), "two values, got 3"),
        (("rotate", "three.csv", "--label", "y", "--impute", "mean"), "--impute must be median"),
    ):
        assert_refused(rostra(ROOM, *arguments), message)


@pytest.mark.parametrize("verb", ["curves", "exponent", "equivariance", "rotate"])
def test_help_shows_an_example(rostra, verb):
    assert f"rostra {ROOM} {verb}" in rostra(ROOM, verb, "--help").stdout
