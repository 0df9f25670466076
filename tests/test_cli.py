"""The command line as a user runs it: a process, its output, its exit status."""

import json
import os
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from rostra.cli import _command, main

SMALL = ("reproduce", "vcnet.targeted", "--scale", "smoke", "--quiet")


def check_refused(process, *words):
    """Wrong input: status 2, one line on standard error, nothing on standard output."""
    assert process.returncode == 2, process.stderr
    assert process.stdout == ""
    (line,) = process.stderr.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


def check_done(process):
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr


def test_the_bare_command_lists_the_methods(rostra):
    found = rostra()
    check_done(found)
    assert "vcnet" in found.stdout
    assert "targeted" in found.stdout
    assert found.stderr == ""
    assert rostra("list").stdout == found.stdout


def test_list_as_json_is_one_document(rostra):
    found = rostra("list", "--json")
    check_done(found)
    methods = {method["name"]: method for method in json.loads(found.stdout)}
    assert {"name", "title", "field", "summary", "paper", "claims"} <= set(methods["vcnet"])
    assert {"beats_heads", "targeted", "continuity"} <= {claim["name"] for claim in methods["vcnet"]["claims"]}
    assert all(claim["statement"] for claim in methods["vcnet"]["claims"])


def test_the_version_is_that_of_the_package(rostra):
    found = rostra("--version")
    check_done(found)
    assert found.stdout == f"rostra {version('rostra')}\n"


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_every_command_and_method(rostra, option):
    found = rostra(option)
    check_done(found)
    for command in ("list", "reproduce", "report", "datasets", "doctor", "vcnet"):
        assert command in found.stdout


@pytest.mark.parametrize("command", [("reproduce",), ("datasets", "get"), ("vcnet", "fit"), ("vcnet", "curve")])
def test_help_of_a_verb_shows_an_example(rostra, command):
    found = rostra(*command, "--help")
    check_done(found)
    assert "Example" in found.stdout
    assert " ".join(["rostra", *command]) in " ".join(found.stdout.split())


def test_help_of_a_method_names_its_verbs(rostra):
    found = rostra("vcnet", "--help")
    check_done(found)
    assert "fit" in found.stdout
    assert "curve" in found.stdout


def test_doctor_says_what_is_here_and_how_to_get_the_rest(rostra):
    found = rostra("doctor")
    check_done(found)
    for word in ("python", "torch", "cpu", "extra", "data", "ROSTRA_DATA", "ray"):
        assert word in found.stdout
    for line in found.stdout.splitlines():
        if line.startswith("extra"):
            assert "installed" in line or "pip install 'rostra[" in line


def test_datasets_are_listed(rostra):
    found = rostra("datasets")
    check_done(found)
    for name in ("ihdp", "news"):
        assert name in found.stdout


def test_datasets_as_json_are_one_document(rostra):
    found = rostra("datasets", "--json")
    check_done(found)
    assert found.stderr == ""
    for dataset in json.loads(found.stdout):
        assert {"name", "title", "licence", "columns", "bytes", "at_hand", "origin"} <= set(dataset)
        assert dataset["licence"]
        assert dataset["origin"]


def test_a_data_set_of_the_mirror_is_verified(rostra, mirror):
    found = rostra("datasets", "get", "ihdp")
    check_done(found)
    assert found.stdout == "ihdp: mirror, verified\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nope",), ["nope"]),
        (("--nope",), ["--nope"]),
        (("list", "--nope"), ["--nope"]),
        (("reproduce", "nope"), ["nope", "vcnet"]),
        (("reproduce", "vcnet.nope"), ["nope", "beats_heads", "targeted", "continuity"]),
        (("reproduce", "vcnet", "nope.claim"), ["nope"]),
        (("reproduce", "vcnet", "--scale", "huge"), ["huge", "smoke", "laptop", "paper"]),
        (("reproduce", "vcnet", "--seeds", "0"), ["--seeds"]),
        (("reproduce", "vcnet", "--seeds", "many"), ["--seeds", "integer"]),
        (("reproduce", "vcnet", "--workers", "0"), ["--workers"]),
        (("reproduce", "vcnet", "--device", "quantum"), ["quantum", "cpu"]),
        (("reproduce", "vcnet", "--executor", "nope"), ["--executor", "nope", "local"]),
        (("reproduce", "--out"), ["--out"]),
        (("report", "nowhere"), ["nowhere", "rostra reproduce"]),
        (("datasets", "nope"), ["nope"]),
        (("datasets", "get"), ["names"]),
        (("datasets", "get", "nope"), ["nope", "ihdp"]),
        (("vcnet",), ["command"]),
        (("vcnet", "nope"), ["nope"]),
        (("vcnet", "fit"), ["data"]),
        (("vcnet", "curve", "nowhere", "--out", "curve.csv"), ["nowhere", "does not exist"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_input_is_one_line_and_leaves_nothing_behind(rostra, tmp_path, arguments, words):
    check_refused(rostra(*arguments), *words)
    assert list(tmp_path.iterdir()) == []


def test_debugging_shows_where_an_error_came_from(rostra):
    found = rostra("reproduce", "nope", env={**os.environ, "ROSTRA_DEBUG": "1"})
    assert found.returncode != 0
    assert "Traceback" in found.stderr
    assert "no method 'nope'" in found.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import rostra; rostra.__version__; dir(rostra)",
        "import sys; sys.argv = ['rostra', '--help']; from rostra.cli import main; main()",
        "import sys; sys.argv = ['rostra', 'list', '--json']; from rostra.cli import main; main()",
    ],
    ids=["import", "help", "list"],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code):
    """Nor does the overview wait for torch."""
    check = "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr)); "
    found = subprocess.run([sys.executable, "-c", check + code], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0
    assert found.stderr == "False\n"


def test_public_names_are_there_when_asked_for():
    code = "import rostra; print([getattr(rostra, name).__name__ for name in rostra.__all__ if name[0] != '_'])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "VCNetRegressor" in found.stdout


def test_an_unknown_public_name_is_an_attribute_error():
    import rostra

    with pytest.raises(AttributeError, match="has no attribute 'Nope'"):
        rostra.Nope  # noqa: B018


def test_reproduce_gives_one_json_document_a_report_and_repeats_nothing(rostra, tmp_path):
    out = tmp_path / "out"
    first = rostra(*SMALL, "--json", "--out", out)
    check_done(first)
    assert first.stderr == ""
    (document,) = json.loads(first.stdout)
    assert (document["method"], document["claim"], document["scale"]) == ("vcnet", "targeted", "smoke")
    assert document["verdict"] == "ran"
    assert document["command"] == "rostra reproduce vcnet.targeted --scale smoke --quiet --json"
    assert document == json.loads((out / "results" / "vcnet.targeted.smoke.json").read_text())
    assert (out / "report.html").is_file()

    rows = (out / "rows" / "vcnet.jsonl").read_bytes()
    again = rostra(*SMALL, "--json", "--out", out)
    check_done(again)
    assert (out / "rows" / "vcnet.jsonl").read_bytes() == rows
    for name in ("arms", "comparisons", "verdict", "seconds"):
        assert json.loads(again.stdout)[0][name] == document[name]

    page = out / "report.html"
    page.unlink()
    check_done(rostra("report", out))
    assert "vcnet.targeted" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["vcnet", "--scale", "laptop"], "rostra reproduce vcnet --scale laptop"),
        (["--out", "/home/me/out", "vcnet"], "rostra reproduce vcnet"),
        (["--out=/home/me/out", "--address=10.0.0.1:6379", "--executor", "ray"], "rostra reproduce --executor ray"),
        (["--address", "10.0.0.1:6379", "--seeds", "5"], "rostra reproduce --seeds 5"),
    ],
)
def test_the_recorded_command_names_no_place_of_this_machine(words, command):
    assert _command(["/home/me/.venv/bin/rostra", "reproduce", *words]) == command


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["reproduce", "vcnet"], "error: stopped; finished work is kept, the same command goes on\n"),
        (
            ["reproduce", "--fresh"],
            "error: stopped; finished work is kept, the same command without --fresh goes on\n",
        ),
        (["vcnet", "fit", "reproduce"], "error: stopped\n"),
        ([], "error: stopped\n"),
    ],
    ids=["reproduce", "reproduce --fresh", "fit", "list"],
)
def test_ctrl_c_promises_to_go_on_only_where_that_is_so(monkeypatch, capsys, words, line):
    app = typer.Typer(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})

    @app.command()
    def work():
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["rostra", *words])
    monkeypatch.setattr("rostra.cli.app", app)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert capsys.readouterr() == ("", line)


def test_a_full_disk_ends_the_run_and_with_room_again_it_goes_on(rostra, tmp_path):
    """Status 1 and one line; no file is left torn, and no process is left behind to wait for."""
    out = tmp_path / "out"
    full = rostra(*SMALL, "--out", out, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
    assert full.returncode == 1
    (line,) = full.stderr.splitlines()
    assert line.startswith("error: no space left")
    assert full.stdout == ""
    assert (out / "rows" / "vcnet.jsonl").read_bytes() == b""
    check_done(rostra(*SMALL, "--out", out))


def test_a_place_that_cannot_be_written_is_refused_before_any_work(rostra, tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/out"):
        check_refused(rostra(*SMALL, "--out", tmp_path / place), "cannot write to", "--out")
    assert Path(tmp_path / "file").read_text() == "mine"


def test_a_reader_that_hangs_up_is_no_error(rostra, tmp_path):
    """``rostra list | head -1`` prints no traceback."""
    command = Path(sys.executable).with_name("rostra")
    with subprocess.Popen(
        [command, "list", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(timeout=60)
