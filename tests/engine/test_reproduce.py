"""From claims to evidence: what is run, what is run again, what is found."""

import json
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import toy

from rostra.engine.errors import InputError
from rostra.engine.reproduce import EXECUTORS, load_evidence, reproduce, shipped_evidence
from rostra.engine.stats import Equivalence, Law, NonInferiority, Superiority, Threshold

DOCUMENT = {
    "schema_version", "method", "claim", "scale", "statement", "source", "paper", "arms", "comparisons", "verdict",
    "settings", "seconds", "device", "threads", "versions", "commit", "data", "command",
}  # fmt: skip
MORE = {"note", "metric", "unit", "missing_seeds", "cpu_seconds"}
ARM = {"metric", "mean", "interval", "seeds"}
COMPARISON = {
    "arm", "against", "metric", "kind", "margin", "effect", "interval", "level", "interval_method", "verdict",
}  # fmt: skip

GOOD_OVER_BAD = Superiority("good", over="bad", metric="score")
BAD_OVER_GOOD = Superiority("bad", over="good", metric="score")
TOO_CLOSE = Threshold("good", metric="score", bound=1.0)


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Trials run in this process unless a test asks for workers."""
    monkeypatch.setitem(EXECUTORS, "here", toy.run_here)


def run(out, *claims, scale="laptop", **options):
    """Reproduce toy claims; gives the evidence by name."""
    found = reproduce([("toy", claim) for claim in claims], scale=scale, out=out, **{"executor": "here", **options})
    return {document["claim"]: document for document in found}


def marks(out):
    return toy.executions(out / "networks")


def stored(out):
    return [json.loads(line) for line in (out / "rows" / "toy.jsonl").read_text().splitlines()]


def check_contract(document):
    """The fields that users and tools rely on, with values that the contract allows."""
    assert set(document) == DOCUMENT | MORE
    assert document["schema_version"] == 1
    assert document["scale"] in ("smoke", "laptop", "paper")
    assert document["verdict"] in (
        ("ran", "inconclusive") if document["scale"] == "smoke" else ("holds", "fails", "inconclusive")
    )
    for arm in document["arms"].values():
        assert set(arm) >= ARM
        assert arm["seeds"] >= 1
        if arm["interval"] is not None:
            low, high = arm["interval"]
            assert low <= arm["mean"] + 1e-9
            assert arm["mean"] <= high + 1e-9
    for comparison in document["comparisons"]:
        assert set(comparison) >= COMPARISON
        assert comparison["level"] == 0.95
        assert comparison["arm"] in document["arms"]
        assert comparison["against"] is None or comparison["against"] in document["arms"]


def test_evidence_has_the_fields_of_the_contract(tmp_path):
    comparisons = (
        GOOD_OVER_BAD,
        NonInferiority("good", to="bad", metric="score", margin=0.5),
        Equivalence("good", to="bad", metric="score", margin=1.5),
        Threshold("bad", metric="score", bound=0.5, lower_is_better=True),
        Law("good", metric="cost", value=1.0, tolerance=0.0),
    )
    claim = toy.make_claim(comparisons=comparisons, note="A toy.")
    document = run(tmp_path, claim, command="rostra reproduce toy")["better"]
    check_contract(document)
    assert document["verdict"] == "holds"
    assert document["command"] == "rostra reproduce toy"
    assert document["paper"] == {"good": 0.9}
    assert [comparison["margin"] for comparison in document["comparisons"]] == [None, 0.5, 1.5, None, 0.0]
    assert all(comparison["effect"] >= 0 for comparison in document["comparisons"])
    assert document["arms"]["good"]["seeds"] == 6
    assert {**toy.SETTINGS, "seeds": 6}.items() <= document["settings"].items()


def test_evidence_on_disk_is_what_was_returned_as_strict_json(tmp_path):
    document = run(tmp_path, toy.make_claim())["better"]
    text = (tmp_path / "results" / "toy.better.laptop.json").read_text()

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    assert json.loads(text, parse_constant=refuse) == json.loads(json.dumps(document))
    assert load_evidence(tmp_path / "results") == [json.loads(text)]


def test_means_are_those_of_the_rows(tmp_path):
    document = run(tmp_path, toy.make_claim())["better"]
    for arm in toy.ARMS:
        values = [toy.score(toy.SETTINGS, arm, seed) for seed in range(6)]
        assert document["arms"][arm]["mean"] == pytest.approx(sum(values) / 6)
        assert document["arms"][arm]["values"] == pytest.approx(values, rel=1e-5)


def test_several_rows_of_a_seed_count_as_one_value(tmp_path):
    """Three doses a seed are not three independent seeds."""
    claim = toy.make_claim(run=toy.measure_at_doses, index=("seed", "dose"))
    document = run(tmp_path, claim)["better"]
    assert len(stored(tmp_path)) == 2 * 6 * 3
    assert document["arms"]["good"]["seeds"] == 6
    assert document["comparisons"][0]["count"] == 6
    values = [toy.score(toy.SETTINGS, "good", seed) for seed in range(6)]
    assert document["arms"]["good"]["values"] == pytest.approx(values, rel=1e-5)


@pytest.mark.parametrize(
    ("comparisons", "verdict"),
    [
        ((GOOD_OVER_BAD,), "holds"),
        ((GOOD_OVER_BAD, Threshold("good", metric="score", bound=0.5)), "holds"),
        ((BAD_OVER_GOOD,), "fails"),
        ((GOOD_OVER_BAD, BAD_OVER_GOOD), "fails"),
        ((TOO_CLOSE,), "inconclusive"),
        ((GOOD_OVER_BAD, TOO_CLOSE), "inconclusive"),
        ((TOO_CLOSE, BAD_OVER_GOOD), "fails"),
    ],
)
def test_a_claim_holds_if_all_comparisons_do_and_fails_if_one_does(tmp_path, comparisons, verdict):
    document = run(tmp_path, toy.make_claim(comparisons=comparisons))["better"]
    assert document["verdict"] == verdict
    assert len(document["comparisons"]) == len(comparisons)


def test_a_smoke_run_says_only_that_it_ran(tmp_path):
    """Whatever the comparisons would say."""
    for comparisons in ((GOOD_OVER_BAD,), (BAD_OVER_GOOD,)):
        document = run(tmp_path, toy.make_claim(comparisons=comparisons), scale="smoke")["better"]
        check_contract(document)
        assert document["verdict"] == "ran"
        assert {comparison["verdict"] for comparison in document["comparisons"]} == {"ran"}


def test_few_seeds_decide_nothing(tmp_path):
    assert run(tmp_path, toy.make_claim(), seeds=4)["better"]["verdict"] == "inconclusive"


def test_claims_with_the_same_run_share_rows(tmp_path):
    found = run(tmp_path, toy.make_claim("first"), toy.make_claim("second", comparisons=(BAD_OVER_GOOD,)))
    assert (found["first"]["verdict"], found["second"]["verdict"]) == ("holds", "fails")
    assert marks(tmp_path) == {(arm, seed): 1 for arm in toy.ARMS for seed in range(6)}
    assert len(stored(tmp_path)) == 12


@pytest.mark.parametrize(("first", "second"), [((3, 2), (6, 2)), ((6, 1), (6, 3)), ((5, 4), (3, 2))])
def test_claims_share_rows_whatever_their_number_and_blocks_of_seeds(tmp_path, first, second):
    """(seeds, chunk) of two claims with the same run: no seed is run twice, and each row is there once."""
    claims = [toy.make_claim(name, seeds=seeds, chunk=chunk) for name, (seeds, chunk) in
              (("first", first), ("second", second))]  # fmt: skip
    found = run(tmp_path, *claims)
    seeds = max(first[0], second[0])
    assert marks(tmp_path) == {(arm, seed): 1 for arm in toy.ARMS for seed in range(seeds)}
    assert len(stored(tmp_path)) == 2 * seeds
    for name, (count, _) in (("first", first), ("second", second)):
        assert found[name]["arms"]["good"]["seeds"] == count
        assert found[name]["missing_seeds"] == {}


def test_claims_with_other_settings_share_nothing(tmp_path):
    run(tmp_path, toy.make_claim("first"), toy.make_claim("second", settings={"noise": 0.2}))
    assert set(marks(tmp_path).values()) == {2}


def test_a_scale_may_leave_out_arms(tmp_path):
    """Comparisons with an arm that did not run are left out, and the claim is not said to hold."""
    claim = toy.make_claim(comparisons=(GOOD_OVER_BAD, Threshold("good", metric="score", bound=0.5)))
    scales = {name: replace(scale, arms=("good",)) for name, scale in claim.scales.items()}
    document = run(tmp_path, replace(claim, scales=scales))["better"]
    assert list(document["arms"]) == ["good"]
    assert [comparison["kind"].lower() for comparison in document["comparisons"]] == ["threshold"]
    assert document["verdict"] == "inconclusive"
    assert document["missing_seeds"] == {}


def test_a_second_run_repeats_no_trial_and_finds_the_same(tmp_path):
    first = run(tmp_path, toy.make_claim(chunk=4))
    rows = (tmp_path / "rows" / "toy.jsonl").read_bytes()
    assert run(tmp_path, toy.make_claim(chunk=4)) == first
    assert set(marks(tmp_path).values()) == {1}
    assert (tmp_path / "rows" / "toy.jsonl").read_bytes() == rows


def test_more_seeds_later_run_only_the_new_ones(tmp_path):
    run(tmp_path, toy.make_claim(chunk=4), seeds=6)
    document = run(tmp_path, toy.make_claim(chunk=4), seeds=10)["better"]
    assert document["arms"]["good"]["seeds"] == 10
    assert marks(tmp_path) == {(arm, seed): 1 for arm in toy.ARMS for seed in range(10)}


def test_fewer_seeds_later_run_nothing(tmp_path):
    run(tmp_path, toy.make_claim())
    document = run(tmp_path, toy.make_claim(), seeds=5)["better"]
    assert document["arms"]["good"]["seeds"] == 5
    assert set(marks(tmp_path).values()) == {1}


def rewrite_provenance(out, count, **changes):
    """Make the first rows of a store look as if another commit or device had made them."""
    records = stored(out)
    for record in records[:count]:
        record["provenance"] |= changes
    (out / "rows" / "toy.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"commit": "0123456789" * 4}, "by commit 0123456"),
        ({"commit": "0123456789" * 4 + "-dirty"}, "by commit 0123456-dirty"),
        ({"commit": "0" * 40, "device": "cuda"}, "by commit 0000000 on cuda"),
        ({"device": "cuda"}, "on cuda"),
    ],
)
def test_rows_of_another_commit_or_device_are_announced_once_a_claim(tmp_path, changes, words):
    """Whether a run adds to them or only reads them; the evidence lists every commit and device."""
    run(tmp_path, toy.make_claim())
    rewrite_provenance(tmp_path, 4, **changes)
    for seeds, total in ((6, 12), (8, 16)):
        said = []
        document = run(tmp_path, toy.make_claim(), seeds=seeds, announce=said.append)["better"]
        assert said == [
            f"toy.better: 4 of {total} rows were made {words}; --fresh makes them anew",
            "toy.better: holds",
        ]
        for name, value in changes.items():
            assert value in document[name]
            assert len(document[name]) == 2


def test_rows_of_this_commit_and_device_are_not_announced(tmp_path):
    said = []
    for _ in range(2):
        run(tmp_path, toy.make_claim(), announce=said.append)
    assert said == ["toy.better: holds"] * 2


def test_fresh_runs_everything_again(tmp_path):
    run(tmp_path, toy.make_claim())
    run(tmp_path, toy.make_claim(), fresh=True)
    assert marks(tmp_path) == {(arm, seed): 1 for arm in toy.ARMS for seed in range(6)}
    assert len(list((tmp_path / "previous").rglob("toy.jsonl"))) == 1


def trouble(chunk=1, seeds=6, **what):
    return toy.make_claim(run=toy.measure_with_trouble, settings={"trouble": what}, chunk=chunk, seeds=seeds)


def failures(out):
    return [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]


def test_failed_trials_leave_the_claim_inconclusive_and_are_recorded(tmp_path):
    said = []
    document = run(tmp_path, trouble(**{"good.2": ("raise", 99)}), announce=said.append)["better"]
    check_contract(document)
    assert document["missing_seeds"] == {"good": 1}
    assert document["verdict"] == "inconclusive"
    assert document["arms"]["good"]["seeds"] == 5
    assert document["arms"]["bad"]["seeds"] == 6
    attempts = failures(tmp_path)
    assert [(attempt["arm"], attempt["seeds"]) for attempt in attempts] == [("good", [2])] * 2
    assert all("RuntimeError: seed 2 went wrong" in attempt["reason"] for attempt in attempts)
    assert [line for line in said if "RuntimeError: seed 2 went wrong" in line]
    assert all("\n" not in line for line in said)


def test_a_trial_that_succeeds_at_the_second_attempt_is_not_missing(tmp_path):
    document = run(tmp_path, trouble(**{"good.2": ("raise", 1)}))["better"]
    assert document["missing_seeds"] == {}
    assert document["verdict"] == "holds"
    assert len(failures(tmp_path)) == 1


def test_a_failed_trial_is_tried_again_by_the_next_run(tmp_path):
    claim = trouble(**{"good.2": ("raise", 2)})
    assert run(tmp_path, claim)["better"]["missing_seeds"] == {"good": 1}
    document = run(tmp_path, claim)["better"]
    assert document["verdict"] == "holds"
    assert marks(tmp_path)["good", 2] == 3
    assert sum(marks(tmp_path).values()) == 14


def test_a_failed_block_of_seeds_is_missing_as_a_whole(tmp_path):
    document = run(tmp_path, trouble(chunk=4, **{"good.2": ("raise", 99)}))["better"]
    assert document["missing_seeds"] == {"good": 4}


def test_an_arm_that_always_fails_is_missing(tmp_path):
    document = run(tmp_path, trouble(**{f"good.{seed}": ("raise", 99) for seed in range(6)}))["better"]
    check_contract(document)
    assert list(document["arms"]) == ["bad"]
    assert document["comparisons"] == []
    assert document["missing_seeds"] == {"good": 6}
    assert document["verdict"] == "inconclusive"


def test_a_claim_whose_trials_all_fail_is_inconclusive_at_every_scale(tmp_path):
    what = {f"{arm}.{seed}": ("raise", 99) for arm in toy.ARMS for seed in range(2)}
    for scale in ("smoke", "laptop"):
        document = run(tmp_path, trouble(seeds=2, **what), scale=scale)["better"]
        check_contract(document)
        assert document["verdict"] == "inconclusive"
        assert document["missing_seeds"] == {"good": 2, "bad": 2}


def test_arms_that_share_no_finished_seed_leave_the_claim_inconclusive(tmp_path):
    """Each arm finished another seed, so there is no pair to compare; that is no reason to break off."""
    document = run(tmp_path, trouble(seeds=2, **{"good.0": ("raise", 99), "bad.1": ("raise", 99)}))["better"]
    check_contract(document)
    assert document["verdict"] == "inconclusive"
    assert document["missing_seeds"] == {"good": 1, "bad": 1}


@pytest.mark.parametrize("what", ["nan", "stray"])
def test_rows_that_cannot_be_used_cost_their_own_trial_only(tmp_path, what):
    """A metric that is not finite, or a row of a seed that nobody asked for; the other claim is concluded."""
    bad = replace(trouble(**{"good.2": (what, 99)}), name="troubled")
    found = run(tmp_path, bad, toy.make_claim("sound"))
    assert found["sound"]["verdict"] == "holds"
    assert found["troubled"]["verdict"] == "inconclusive"
    assert found["troubled"]["missing_seeds"] == {"good": 1}
    assert [attempt["seeds"] for attempt in failures(tmp_path)] == [[2], [2]]


def test_no_worker_is_left_when_a_claim_is_wrong(tmp_path):
    """A comparison of a metric that no row has: the error comes out, and nothing keeps the process from ending."""
    claim = toy.make_claim(comparisons=(Superiority("good", over="bad", metric="no_such_metric"),))
    with pytest.raises(KeyError, match="no_such_metric") as caught:
        run(tmp_path, claim, executor="local", workers=2)
    assert caught.tb is not None  # its frames still hold the executor
    assert multiprocessing.active_children() == []


def test_a_claim_is_written_as_soon_as_its_rows_are_there(tmp_path):
    """A run that is stopped later has already left the evidence of what it finished."""
    said = []

    def look(line):
        said.append((line, (tmp_path / "results" / "toy.first.laptop.json").exists(), len(stored(tmp_path))))

    second = toy.make_claim("second", settings={"noise": 0.2})
    run(tmp_path, toy.make_claim("first"), second, announce=look)
    assert said == [("toy.first: holds", True, 12), ("toy.second: holds", True, 24)]


def driver(out):
    environment = {**os.environ, "PYTHONPATH": str(Path(toy.__file__).parent)}
    return subprocess.Popen([sys.executable, toy.__file__, str(out)], env=environment)


def comparable(document):
    return {name: document[name] for name in ("arms", "comparisons", "verdict", "settings", "missing_seeds")}


def test_a_sweep_that_was_killed_goes_on_and_repeats_no_finished_trial(tmp_path):
    """kill -9 after some trials; the next run adds the others, and finds what an undisturbed run finds."""
    out, rows = tmp_path / "out", tmp_path / "out" / "rows" / "toy.jsonl"
    with driver(out) as process:
        try:
            toy.wait_for(lambda: rows.exists() and rows.read_bytes().count(b"\n") >= 4, "four finished trials")
        finally:
            process.kill()
    finished = {(record["arm"], record["row"]["seed"]) for record in stored(out)}
    assert 4 <= len(finished) < 12
    before = rows.read_bytes()
    (out / "networks" / "gate").touch()

    with driver(out) as process:
        assert process.wait(timeout=90) == 0
    assert rows.read_bytes().startswith(before)
    assert len(stored(out)) == 12
    assert {pair: marks(out)[pair] for pair in finished} == dict.fromkeys(finished, 1)

    gated = toy.make_claim(run=toy.measure_up_to_a_gate, settings={"free": 6})
    undisturbed = run(tmp_path / "undisturbed", gated)["better"]
    (found,) = load_evidence(out / "results")
    undisturbed["settings"]["free"] = found["settings"]["free"]
    assert comparable(found) == comparable(json.loads(json.dumps(undisturbed)))
    assert found["verdict"] == "holds"


def test_evidence_of_a_newer_version_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"schema_version": 99}')
    with pytest.raises(InputError, match=r"a\.json' has schema 99; update Rostra"):
        load_evidence(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "3", '{"schema_version": "x"}', '{"schema_version": 1}'])
def test_a_file_that_is_no_evidence_is_named(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json' is not evidence"):
        load_evidence(tmp_path)


def test_a_folder_that_is_not_there_holds_no_evidence(tmp_path):
    assert load_evidence(tmp_path / "nowhere") == []


def test_shipped_evidence_is_valid():
    documents = shipped_evidence()
    if not documents:
        pytest.skip("this version ships no evidence")
    for document in documents:
        check_contract(document)
        assert document["command"].startswith("rostra reproduce")
    names = [(document["method"], document["claim"], document["scale"]) for document in documents]
    assert len(set(names)) == len(names)


def test_a_claim_without_the_scale_is_left_out_and_said_so(tmp_path):
    """And where no claim has it, that is wrong input, before anything is written."""
    whole = toy.make_claim("whole")
    small = toy.make_claim("small", scales={"smoke": whole.scales["smoke"], "laptop": whole.scales["laptop"]})
    said = []
    found = run(tmp_path / "out", whole, small, scale="paper", announce=said.append)
    assert set(found) == {"whole"}
    assert "toy.small: left out, it has no scale 'paper'" in said
    with pytest.raises(InputError, match=r"'toy\.small' has no scale 'paper'; it has: smoke, laptop"):
        run(tmp_path / "none", small, scale="paper")
    assert not (tmp_path / "none").exists()
