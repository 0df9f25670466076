"""``rostra vcnet`` as a user runs it."""

import json
import os
import resource
import signal

import numpy as np
import pandas as pd
import pytest

from rostra.methods.vcnet.data import make_simulation

FAST = ("--epochs", "20", "--lr", "0.001", "--bootstrap", "3")


@pytest.fixture(scope="session")
def trial_csv(tmp_path_factory):
    """The simulation in natural units: a dose in mg, an outcome in points, a category."""
    sample = make_simulation(150, 50, seed=0).train
    table = pd.DataFrame(sample.X, columns=[f"x{i}" for i in range(1, 7)])
    table["clinic"] = np.where(table["x2"] > 0.5, "north", "south")
    table["dose"], table["relief"] = 500 * sample.treatment, 300 + 100 * sample.y
    path = tmp_path_factory.mktemp("data") / "trial.csv"
    table.to_csv(path, index=False)
    return path


def fit(rostra, csv, *options, out="model", treatment="dose", outcome="relief", **settings):
    return rostra(
        "vcnet", "fit", csv, "--treatment", treatment, "--outcome", outcome, "--out", out, *options, **settings
    )


def assert_refused(done, message, status=2):
    assert done.returncode == status
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_from_a_csv_to_a_curve_and_its_picture(rostra, trial_csv, tmp_path):
    """Two commands; the table has the columns of the contract, in natural units."""
    done = fit(rostra, trial_csv, *FAST)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "rostra vcnet curve model" in done.stdout
    done = rostra("vcnet", "curve", "model", "--out", "curve.csv", "--plot", "curve.png", "--grid", "21")
    assert done.returncode == 0, done.stderr
    curve = pd.read_csv(tmp_path / "curve.csv")
    assert list(curve.columns) == ["t", "dose_response", "lower", "upper", "n_eff", "extrapolation"]
    assert len(curve) == 21
    table = pd.read_csv(trial_csv)
    np.testing.assert_allclose(curve["t"].iloc[[0, -1]], [table["dose"].min(), table["dose"].max()], rtol=1e-6)
    assert curve["dose_response"].between(table["relief"].min(), table["relief"].max()).all()
    assert (curve["lower"] < curve["upper"]).all()
    assert curve["extrapolation"].iloc[[0, -1]].all()
    assert not curve["extrapolation"].iloc[10]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("estimator", ["vcnet", "drnet-tr", "tarnet"])
def test_every_network_has_its_curve(rostra, trial_csv, estimator, tmp_path):
    """With --json, standard output is one document; without a bootstrap the band is empty."""
    done = fit(
        rostra, trial_csv, "--epochs", "5", "--lr", "0.001", "--bootstrap", "0", "--estimator", estimator, "--json"
    )
    found = json.loads(done.stdout)
    assert found["rows"] == 150
    assert found["covariates"] == [*(f"x{i}" for i in range(1, 7)), "clinic=south"]
    done = rostra(
        "vcnet", "curve", "model", "--out", "curve.csv", "--plot", "curve.svg", "--json", "--diagnostics", "why.png"
    )
    assert done.stderr == ""
    assert json.loads(done.stdout)["bootstrap"] == 0
    assert pd.read_csv(tmp_path / "curve.csv")["lower"].isna().all()
    assert "<svg" in (tmp_path / "curve.svg").read_text()
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")


def test_options_choose_the_columns_and_the_scale(rostra, trial_csv):
    """Covariates by name or by exclusion, a range, ranks, the simultaneous band."""
    chosen = fit(
        rostra, trial_csv, *FAST, "--covariates", "x1, x2", "--t-range", "0,500", "--t-scale", "rank", "--json"
    )
    found = json.loads(chosen.stdout)
    assert found["covariates"] == ["x1", "x2"]
    assert found["treatment_range"] == [0, 500]
    excluded = fit(rostra, trial_csv, *FAST, "--exclude", "clinic,x6", "--json")
    assert json.loads(excluded.stdout)["covariates"] == [f"x{i}" for i in range(1, 6)]
    done = rostra(
        "vcnet", "curve", "model", "--out", "curve.csv", "--simultaneous", "--level", "0.9", "--estimator", "plugin"
    )
    assert done.returncode == 0, done.stderr


def test_a_preset_takes_doses_as_they_are(rostra, trial_csv):
    """The paper's settings want doses in 0 to 1, and say so."""
    assert_refused(fit(rostra, trial_csv, "--preset", "simulation"), "lie outside t_range (0, 1)")


def test_the_same_seed_gives_the_same_curve(rostra, trial_csv, tmp_path):
    """To the last digit of the table."""
    for name in ("one", "two"):
        fit(rostra, trial_csv, *FAST, "--seed", "4", out=name)
        rostra("vcnet", "curve", name, "--out", f"{name}.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_bad_tables_are_refused_and_leave_nothing(rostra, trial_csv, tmp_path):
    """One line each, status 2, no model folder."""
    table = pd.read_csv(trial_csv)
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("dose,relief,x1\n")
    (tmp_path / "latin.csv").write_bytes("dose,relief,ort\n1,2,Zürich\n".encode("latin-1"))
    table.head(20).to_csv(tmp_path / "short.csv", index=False)
    table.assign(dose=table["dose"].round(-3)).to_csv(tmp_path / "few.csv", index=False)
    table.assign(x1=table["x1"].where(table.index != 3)).to_csv(tmp_path / "holes.csv", index=False)
    for name, message in {
        "absent.csv": "does not exist",
        "empty.csv": "is empty",
        "header.csv": "has a header but no rows",
        "latin.csv": "not UTF-8",
        "short.csv": "are too few for a curve",
        "few.csv": "distinct value",
        "holes.csv": "missing values in 'x1' (1)",
    }.items():
        assert_refused(fit(rostra, tmp_path / name, *FAST), message)
    assert_refused(fit(rostra, trial_csv, treatment="dosis"), "no column named 'dosis'")
    assert_refused(fit(rostra, trial_csv, "--covariates", "x1,dose"), "also among the covariates")
    assert_refused(fit(rostra, trial_csv, "--impute", "mean"), "impute must be 'median'")
    assert_refused(fit(rostra, trial_csv, "--t-range", "low"), "a range is LOW,HIGH")
    assert_refused(fit(rostra, trial_csv, "--device", "abacus"), "device 'abacus' cannot be used")
    assert_refused(fit(rostra, trial_csv, "--bootstrap", "1"), "--bootstrap must be 0 (no band) or at least 2, got 1")
    assert_refused(fit(rostra, trial_csv, "--lr", "-1"), "lr must be above 0")
    assert not (tmp_path / "model").exists()
    assert fit(rostra, tmp_path / "holes.csv", *FAST, "--impute", "median").returncode == 0


def test_bad_models_and_places_are_refused(rostra, trial_csv, tmp_path):
    """Missing, truncated or foreign models; outputs that cannot be written; no half-written file."""
    assert fit(rostra, trial_csv, *FAST).returncode == 0
    document = json.loads((tmp_path / "model" / "rostra.json").read_text())
    assert_refused(rostra("vcnet", "curve", "absent", "--out", "c.csv"), "'absent' does not exist")
    assert_refused(rostra("vcnet", "curve", "model", "--out", "model"), "is a folder")
    assert_refused(rostra("vcnet", "curve", "model", "--out", "/proc/c.csv"), "cannot write to '/proc/c.csv'")
    assert_refused(
        rostra("vcnet", "curve", "model", "--out", "c.csv", "--plot", "c.gif"), "must end in one of .png, .svg, .pdf"
    )
    assert_refused(
        rostra("vcnet", "curve", "model", "--out", "c.csv", "--level", "95"), "level must lie between 0 and 1"
    )
    (tmp_path / "model" / "rostra.json").write_text(json.dumps(document | {"kind": "sensei"}))
    assert_refused(rostra("vcnet", "curve", "model", "--out", "c.csv"), "holds a 'sensei' model")
    (tmp_path / "model" / "rostra.json").write_text(json.dumps(document))
    tensors = tmp_path / "model" / document["tensors"]
    tensors.write_bytes(tensors.read_bytes()[:-100])
    assert_refused(rostra("vcnet", "curve", "model", "--out", "c.csv"), "truncated or damaged")
    assert not (tmp_path / "c.csv").exists()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    assert_refused(fit(rostra, trial_csv, *FAST, out="thesis"), "holds other files")
    assert_refused(fit(rostra, trial_csv, *FAST, out=trial_csv), "is a file; a model is saved as a folder")


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX file size limits")
def test_a_full_disk_is_status_1_and_keeps_the_old_model(rostra, trial_csv, tmp_path):
    """The earlier model answers as before; nothing half-written is left."""
    assert fit(rostra, trial_csv, *FAST).returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    done = fit(rostra, trial_csv, *FAST, "--seed", "9", preexec_fn=small_files)
    assert_refused(done, "no space left", status=1)
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before


def test_help_shows_an_example(rostra):
    """Of every verb, one that is complete."""
    for verb in ("fit", "curve"):
        shown = rostra("vcnet", verb, "--help").stdout
        assert f"Example: rostra vcnet {verb}" in " ".join(shown.split())


def test_a_preset_keeps_its_own_settings_unless_told(rostra, tmp_path):
    """Batch size of the preset; a learning rate that is given wins; what a preset fixes is refused."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(120, 3)), columns=["a", "b", "y"]).assign(t=rng.uniform(size=120))
    table.to_csv(tmp_path / "unit.csv", index=False)

    def run(*options):
        return rostra(
            "vcnet", "fit", "unit.csv", "--treatment", "t", "--outcome", "y", "--out", "model",
            "--epochs", "2", "--bootstrap", "0", "--preset", "news", *options,
        )  # fmt: skip

    assert run("--lr", "0.001").returncode == 0
    content = json.loads((tmp_path / "model" / "rostra.json").read_text())["content"]
    assert content["config"]["batch_size"] == 500
    assert content["config"]["lr"] == 0.001
    assert_refused(run("--t-scale", "rank"), "--preset news takes doses as they are, in 0 to 1; leave --t-scale out")


def test_a_missing_model_leaves_no_folder_behind(rostra, tmp_path):
    """The model is read before a place for the curve is made."""
    assert_refused(rostra("vcnet", "curve", "absent", "--out", "new/place/c.csv"), "'absent' does not exist")
    assert not (tmp_path / "new").exists()
