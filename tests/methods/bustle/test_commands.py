"""``rostra bustle`` as a user runs it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import openpyxl
import pytest

from rostra.methods.bustle.evaluator import evaluate_formula

PEOPLE = """name,e-mail,surname
Ada Lovelace,ada@example.org,Lovelace
Alan Turing,alan@example.com,Turing
Grace Hopper,grace@example.net,
Emmy Noether,emmy@example.org,
"""


@pytest.fixture(scope="session", autouse=True)
def compiled():
    """The compiled search is there before a command is timed out waiting for it."""
    from rostra.methods.bustle import core

    core.warm_up()


@pytest.fixture
def people(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE, encoding="utf-8")
    return path


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def assert_refused(done, message, status=2):
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_a_csv_becomes_a_workbook_with_live_formulas(rostra, people, tmp_path):
    """Formulas in the empty cells give the right texts; all cells are texts; examples stay."""
    done = rostra("bustle", "fill", people, "--out", "people.xlsx", "--inputs", "name")
    assert done.returncode == 0, done.stderr
    assert "filled 2 from 2 examples" in done.stdout
    sheet = openpyxl.load_workbook(tmp_path / "people.xlsx").active
    assert sheet["C2"].value == "Lovelace"
    assert sheet["C4"].data_type == "f"
    for row, surname in ((4, "Hopper"), (5, "Noether")):
        assert sheet[f"A{row}"].number_format == "@"
        assert evaluate_formula(sheet[f"C{row}"].value, {f"A{row}": sheet[f"A{row}"].value}) == surname


def test_a_csv_becomes_a_csv_with_values(rostra, people, tmp_path):
    """Values in the file, the formula on the screen; --json has both."""
    done = rostra("bustle", "fill", people, "--out", "done.csv", "--inputs", "A", "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["columns"]
    assert found["target"] == "surname"
    assert found["inputs"] == ["name"]
    assert found["filled"] == 2
    assert found["without_value"] == []
    assert found["formula"].startswith("=")
    rows = read_csv(tmp_path / "done.csv")
    assert [row[2] for row in rows] == ["surname", "Lovelace", "Turing", "Hopper", "Noether"]


def test_several_columns_are_filled_from_the_file_as_it_was(rostra, tmp_path):
    """Each has its own formula, over the given columns, not over one that was just made."""
    (tmp_path / "people.csv").write_text(
        "name,born,surname,year\nAda Lovelace,10/12/1815,Lovelace,1815\nAlan Turing,23/06/1912,Turing,1912\n"
        "Grace Hopper,09/12/1906,,\nEmmy Noether,23/03/1882,,\n",
        encoding="utf-8",
    )
    done = rostra("bustle", "fill", "people.csv", "--out", "people.csv2.csv", "--target", "surname,year", "--json")
    assert done.returncode == 0, done.stderr
    assert [column["inputs"] for column in json.loads(done.stdout)["columns"]] == [["name", "born"]] * 2
    rows = read_csv(tmp_path / "people.csv2.csv")
    assert [row[2:] for row in rows[3:]] == [["Hopper", "1906"], ["Noether", "1882"]]
    done = rostra("bustle", "fill", "people.csv", "--out", "people.xlsx", "--target", "C,D")
    assert done.returncode == 0, done.stderr
    sheet = openpyxl.load_workbook(tmp_path / "people.xlsx").active
    for row, wanted in ((4, ("Hopper", "1906")), (5, ("Noether", "1882"))):
        cells = {f"{letter}{row}": sheet[f"{letter}{row}"].value for letter in "AB"}
        assert tuple(evaluate_formula(sheet[f"{letter}{row}"].value, cells) for letter in "CD") == wanted
    assert rostra("bustle", "fill", "people.csv", "--out", "unnamed.csv").returncode == 0  # both have the same gaps
    assert read_csv(tmp_path / "unnamed.csv") == rows
    (tmp_path / "gaps.csv").write_text(
        "name,title,surname\nAda Lovelace,,Lovelace\nAlan Turing,Dr,\n", encoding="utf-8"
    )
    assert_refused(rostra("bustle", "fill", "gaps.csv", "--out", "o.csv"), "--target")


def test_rows_where_the_formula_has_no_value_are_named(rostra, tmp_path):
    """They stay empty, and the number is that of the spreadsheet's row."""
    (tmp_path / "people.csv").write_text(PEOPLE + "Plato,plato@example.org,\n", encoding="utf-8")
    done = rostra("bustle", "fill", "people.csv", "--out", "done.csv", "--inputs", "name")
    assert done.returncode == 0, done.stderr
    assert "no value in row 6" in done.stdout


def test_examples_on_the_command_line(rostra):
    """A formula, its result on a further row, and all forms in JSON."""
    arguments = ("bustle", "synthesize", "2019-11-23 => 2019/11/23", "2020-03-07 => 2020/03/07")
    done = rostra(*arguments, "--apply", "2021-01-30")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ['=SUBSTITUTE(A2,"-","/")', "  2021-01-30 => 2021/01/30"]
    (found,) = json.loads(rostra(*arguments, "--json").stdout)["solutions"]
    assert found["expression"] == 'SUBSTITUTE(var_0, "-", "/")'
    assert found["sheets"] == '=SUBSTITUTE(A2,"-","/")'
    assert found["python"].count("def formula") == 1
    two = rostra("bustle", "synthesize", "a | b => ab", "c | d => cd", "--model", "none")
    assert two.stdout.strip() == "=A2&B2"


def test_a_formula_that_is_not_found_is_status_1_and_writes_nothing(rostra, people, tmp_path):
    """One line with what was tried; no output."""
    people.write_text("a,b\nx1,q9\ny2,z7\nw,\n", encoding="utf-8")
    done = rostra("bustle", "fill", people, "--out", "out.xlsx", "--max-expressions", "1000")
    assert_refused(done, "no formula found among 1,000 expressions", status=1)
    assert not (tmp_path / "out.xlsx").exists()


def test_bad_input_is_one_line(rostra, people, tmp_path):
    """Status 2, what is wrong and what would be right, nothing written."""
    fill = ("bustle", "fill")
    assert_refused(rostra(*fill, "absent.csv", "--out", "o.xlsx"), "'absent.csv' does not exist")
    assert_refused(rostra(*fill, people, "--out", "o.pdf"), "give a name that ends in .xlsx (formulas) or .csv")
    assert_refused(rostra(*fill, people, "--out", people), "is the input itself")
    assert_refused(rostra(*fill, people, "--out", "o.xlsx", "--target", "age"), "no column 'age'")
    assert_refused(rostra(*fill, people, "--out", "o.xlsx", "--model", "absent"), "'absent' does not exist")
    assert_refused(rostra(*fill, people, "--out", "o.xlsx", "--timeout", "0"), "timeout must be above 0")
    assert_refused(rostra("bustle", "synthesize", "a b"), "has no '=>'")
    assert_refused(rostra("bustle", "synthesize", "a => A", "a => B"), "rows 1 and 2 have the same inputs")
    assert_refused(rostra("bustle", "synthesize", "a => A", "--apply", "b | c"), "has 2 inputs, the examples have 1")
    assert_refused(rostra("bustle", "bench", "--arms", "magic"), "--arms are of none, heuristics, model, both")
    assert_refused(rostra("bustle", "bench", "--model", "none"), "the arms 'model' and 'both' need a model")
    assert_refused(rostra("bustle", "train", "--out", people), "is a file; a model is saved as a folder")
    assert list(tmp_path.iterdir()) == [people]


def test_training_and_bench(rostra, tmp_path):
    """A small model is trained, saved with its recipe, and used; counts, lines and plots are written."""
    done = rostra(
        "bustle", "train", "--out", "model", "--searches", "3", "--max-expressions", "20000", "--epochs", "2", "--json"
    )
    assert done.returncode == 0, done.stderr
    recipe = json.loads(done.stdout)
    assert recipe["num_searches"] == 3
    assert recipe["epochs_run"] == 2
    done = rostra("bustle", "bench", "--budget", "3000", "--model", "model", "--out", "bench", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["arms"]) == {"none", "heuristics", "model", "both"}
    for arm, counts in found["arms"].items():
        tasks = [task for task in found["tasks"] if task["arm"] == arm]
        assert counts["tasks"] == len(tasks) == 40
        assert counts["solved"] == sum(task["solved"] for task in tasks)
        assert all(task["tried"] <= 3000 for task in tasks)
    lines = (tmp_path / "bench" / "tasks.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 160
    assert {path.name for path in (tmp_path / "bench").glob("*.svg")} == {
        "solved-by-tried.svg",
        "solved-by-seconds.svg",
    }


@pytest.mark.skipif(os.name != "posix", reason="sends an interrupt")
def test_ctrl_c_leaves_no_output(people, tmp_path):
    """A search that is interrupted ends at once, with one word and no file."""
    people.write_text("a,b\nx1,q9\ny2,z7\nw,\n", encoding="utf-8")
    command = [Path(sys.executable).with_name("rostra"), "bustle", "fill", people, "--out", tmp_path / "o.xlsx"]
    options = ["--timeout", "60", "--max-expressions", str(10**9)]
    with subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever started the tests in the background may have had interrupts ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        time.sleep(5)  # well inside the search
        running.send_signal(signal.SIGINT)
        try:
            _, error = running.communicate(timeout=30)
        finally:
            running.kill()
    assert running.returncode == 1, error
    assert "stopped" in error
    assert "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["people.csv"]
