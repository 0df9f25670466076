"""A third party's package adds a method: it is installed, and is there like our own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("plugin")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment in which the plug-in is installed; built from a copy, with nothing fetched."""
    copy, site = tmp_path_factory.mktemp("source") / "plugin", tmp_path_factory.mktemp("site")
    shutil.copytree(SOURCE, copy)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(copy)], check=True, timeout=120)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}


def test_it_is_listed_with_its_claims(rostra, environment):
    found = rostra("list", "--json", env=environment)
    assert found.returncode == 0, found.stderr
    methods = {method["name"]: method for method in json.loads(found.stdout)}
    assert {"coin", "vcnet"} <= set(methods)
    assert methods["coin"]["summary"] == "Flips a fair coin."
    assert [claim["name"] for claim in methods["coin"]["claims"]] == ["fair"]
    assert "coin" not in rostra("list").stdout


@pytest.fixture
def announce(tmp_path):
    """Announce a module as a plug-in, as an installer does: gives the environment that holds it."""

    def announce(name, module, text):
        site = tmp_path / "site"
        folder = site / f"{module}-1.0.dist-info"
        folder.mkdir(parents=True)
        (site / f"{module}.py").write_text(text)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[rostra.methods]\n{name} = {module}\n")
        return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}

    return announce


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
        ("raise RuntimeError('one\\ntwo')", "RuntimeError: one two"),
        ("", "AttributeError: module 'broken' has no attribute 'METHOD'"),
    ],
    ids=["missing import", "error", "no METHOD"],
)
def test_a_broken_one_is_left_out_with_a_warning_and_the_others_stay(rostra, announce, text, reason):
    found = rostra("list", "--json", env=announce("bad", "broken", text))
    assert found.returncode == 0, found.stderr
    assert found.stderr == f"warning: plug-in 'bad' (broken) is left out ({reason})\n"
    assert json.loads(found.stdout) == json.loads(rostra("list", "--json").stdout)


def test_one_with_the_name_of_a_built_in_method_does_not_take_its_place(rostra, announce):
    text = "from rostra.engine.methods import Method\nMETHOD = Method('Other', 'f', 's', 'p')\n"
    found = rostra("list", "--json", env=announce("vcnet", "other", text))
    assert found.returncode == 0, found.stderr
    assert found.stderr == "warning: plug-in 'vcnet' (other) is left out (rostra.methods.vcnet has that name)\n"
    assert json.loads(found.stdout) == json.loads(rostra("list", "--json").stdout)


def test_its_verbs_run(rostra, environment):
    found = rostra("coin", "flip", "--times", "3", "--json", env=environment)
    assert found.returncode == 0, found.stderr
    sides = json.loads(found.stdout)
    assert len(sides) == 3
    assert set(sides) <= {"heads", "tails"}
    assert "flip" in rostra("coin", "--help", env=environment).stdout


def test_its_claims_are_reproduced_and_reported(rostra, environment, tmp_path):
    out = tmp_path / "out"
    found = rostra("reproduce", "coin", "--scale", "laptop", "--out", out, "--json", "--quiet", env=environment)
    assert found.returncode == 0, found.stderr
    (document,) = json.loads(found.stdout)
    assert (document["method"], document["claim"], document["verdict"]) == ("coin", "fair", "holds")
    assert document["arms"]["coin"]["seeds"] == 20
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "coin.fair" in page
    assert "A coin shows heads half of the time." in page


def test_claims_that_cannot_be_imported_are_left_out(rostra, announce, tmp_path):
    """The method stays, with a warning; so do all others."""
    method = "from rostra.engine.methods import Method\nMETHOD = Method('Half', 'tests', 'Half works.', 'None.')\n"
    environment = announce("half", "half", method)
    package = tmp_path / "site" / "half"
    package.mkdir()
    (package / "__init__.py").write_text(method)
    (package / "claims.py").write_text("import not_there")
    found = rostra("list", "--json", env=environment)
    assert found.returncode == 0, found.stderr
    assert found.stderr == (
        "warning: plug-in 'half' (half.claims) is left out (ModuleNotFoundError: No module named 'not_there')\n"
    )
    assert {"half", "vcnet"} <= {entry["name"] for entry in json.loads(found.stdout)}
