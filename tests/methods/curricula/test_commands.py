import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from rostra.fields.vision.images import ImageSet, write_image_folder
from rostra.methods.curricula.noise import inject_label_noise


@pytest.fixture
def checked(rostra):
    """The command, which must end with the given status."""

    def run(*arguments, status=0):
        done = rostra(*arguments)
        assert done.returncode == status, done.stderr
        return done

    return run


@pytest.fixture
def photos(tmp_path):
    """A folder of images, a fifth of which lie in the wrong sub-folder, and a table of the right ones."""
    images, y = load_digits(n_class=4, return_X_y=True)
    images = (images.reshape(-1, 1, 8, 8) * 15.9).astype(np.uint8)
    noisy = inject_label_noise(y, 0.2, "uniform")
    classes = ("nought", "one", "two", "three")
    write_image_folder(ImageSet(images, noisy.labels, classes, tuple(map(str, range(len(y))))), tmp_path / "photos")
    names = [f"{classes[label]}/{number:06d}.png" for number, label in enumerate(noisy.labels)]
    pd.DataFrame({"id": names, "label": [classes[label] for label in y]}).to_csv(tmp_path / "truth.csv", index=False)
    return tmp_path


QUICK = ("--steps", "80", "--repeats", "1", "--batch-size", "32")


def test_wrong_labels_of_a_folder_are_found(checked, photos):
    done = checked(
        "curricula", "score", photos / "photos", "--truth", photos / "truth.csv", "--out", photos / "scores.csv",
        "--contact-sheet", photos / "sheet.png", *QUICK, "--json",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["auc"] > 0.95
    assert found["precision"] > 0.8
    assert (photos / "sheet.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(photos / "scores.csv")
    assert list(table.columns) == ["id", "label", "score", "predicted", "spread"]
    assert len(table) == found["examples"]


def test_scores_agree(checked, photos):
    for scorer in ("cv-loss", "learned-iteration"):
        done = checked(
            "curricula", "score", photos / "photos", "--scorer", scorer, "--out", photos / f"{scorer}.csv", *QUICK
        )
        assert "looks like" in done.stdout
    both = ("curricula", "agree", photos / "cv-loss.csv", photos / "learned-iteration.csv")
    [found] = json.loads(checked(*both, "--json").stdout)
    done = checked(*both, "--families", "mlp,mlp", "--plot", photos / "agree.png", "--out", photos / "agree.csv")
    assert "families: mlp and mlp" in done.stdout
    assert (photos / "agree.png").stat().st_size > 10_000
    assert pd.read_csv(photos / "agree.csv")["spearman"].tolist() == pytest.approx([found["spearman"]] * 2)
    assert found["spearman"] > 0.5
    assert found["low"] < found["spearman"] < found["high"]


def test_a_study_of_a_table(checked, tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(240, 3)), columns=["x1", "x2", "x3"])
    table["kind"] = np.where(table["x1"] > 0, "up", "down")
    table.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "study.toml").write_text("label_smoothing = 1\n")
    options = ("--label", "kind", "--out", tmp_path / "study", "--workers", "1")
    refused = checked(
        "curricula", "study", tmp_path / "table.csv", "--spec", tmp_path / "study.toml", *options, status=2
    )
    assert "a study has no setting 'label_smoothing'" in refused.stderr
    (tmp_path / "study.toml").write_text(
        "seeds = 2\nhidden = 8\nrepeats = 1\na = [0.8]\nb = [0.4]\n[training]\ntotal_steps = 30\n"
    )
    done = checked(
        "curricula", "study", tmp_path / "table.csv", "--spec", tmp_path / "study.toml", "--batch-size", "32",
        *options, "--json",
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert [row["order"] for row in report] == ["curriculum", "anti-curriculum", "random"]
    assert all(row["standard"] > 0.7 for row in report)
    assert {path.name for path in (tmp_path / "study").glob("*.csv")} == {"trainings.csv", "report.csv"}


@pytest.fixture
def table(tmp_path):
    """A CSV whose ids look like numbers, and whose classes too; one column is no feature."""
    rng = np.random.default_rng(0)
    found = pd.DataFrame({"id": [f"{i:04d}" for i in range(120)], "x": rng.normal(size=120), "name": "n"})
    found["name"] = [f"person {i}" for i in range(120)]
    found["label"] = np.where(found["x"] > 0, "01", "00")
    found.to_csv(tmp_path / "table.csv", index=False)
    found[["id", "label"]].to_csv(tmp_path / "truth.csv", index=False)
    return tmp_path / "table.csv"


def test_ids_and_labels_stay_as_they_stand(checked, table, tmp_path):
    """ "0007" is no number: neither where examples are named, nor where their right labels are."""
    options = ("--exclude", "name", *QUICK)
    done = checked("curricula", "score", table, "--truth", "truth.csv", "--out", "s.csv", *options, "--json")
    found = json.loads(done.stdout)
    assert (found["wrong"], found["auc"]) == (0, None)
    scores = pd.read_csv(tmp_path / "s.csv", dtype=str)
    assert scores["id"].tolist() == [f"{i:04d}" for i in range(120)]
    assert set(scores["label"]) == {"00", "01"}
    done = checked(
        "curricula", "study", table, "--scores", "s.csv", "--exclude", "name", "--steps", "5", "--batch-size", "32",
        "--seeds", "1", "--a", "0.5", "--b", "0.5", "--out", "study", "--workers", "1",
    )  # fmt: skip
    assert "matched: the best of as many searches in standard training" in done.stdout
    assert (tmp_path / "study" / "pacing.png").read_bytes().startswith(b"\x89PNG")
    done = checked("curricula", "agree", "s.csv", "s.csv", status=2)
    assert "a file of scores is named twice" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "table.csv"], "leave it out with --exclude name"),
        (["score", "table.csv", "--exclude", "name,x"], "has no column beside the label"),
        (["score", "table.csv", "--exclude", "name", "--network", "cnn"], "network 'cnn' takes images"),
        (["score", "table.csv", "--exclude", "name", "--lr", "1e9"], "not finite: a training diverged"),
        (["score", "table.csv", "--exclude", "name", "--noise", "0.2", "--truth", "truth.csv"], "give one of them"),
        (["study", "table.csv", "--exclude", "name", "--network", "json:dumps"], "network 'json:dumps' cannot take"),
        (["study", "table.csv", "--exclude", "name", "--scores", "s.csv", "--noise", "0.2"], "made of other labels"),
        (["study", "table.csv", "--exclude", "name", "--b", "0"], "must lie in (0, 1], got 0.0"),
    ],
)  # fmt: skip
def test_what_a_table_cannot_give_is_told_before_any_work(checked, table, arguments, message):
    done = checked("curricula", *arguments, "--out", table.with_name("out"), status=2)
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not list(table.parent.glob("out/*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "nowhere"], "'nowhere'"),
        (["agree", "one.csv"], "agree needs two files of scores or more"),
        (["study", "digits", "--a", "much"], "--a must be numbers, such as 0.2,0.4; got 'much'"),
        (["study", "digits", "--order", "anti"], "orders must be of curriculum, anti-curriculum, random"),
        (["study", "digits", "--network", "transformer"], "there is no network 'transformer'"),
    ],
)
def test_wrong_input_is_one_line(checked, tmp_path, arguments, message):
    done = checked("curricula", *arguments, *(["--out", tmp_path / "out"] if arguments[0] != "agree" else []), status=2)
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
