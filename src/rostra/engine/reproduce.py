"""From claims to evidence: plan the trials that are missing, run them, judge, write what was found."""

__all__ = ["EXECUTORS", "load_evidence", "reproduce", "shipped_evidence"]

import contextlib
import functools
import json
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from .claims import Claim, Row, Scale
from .cluster import check_cluster, run_ray
from .errors import InputError
from .files import write_atomically
from .methods import command_name
from .progress import progress
from .results import ResultStore, row_key
from .runtime import commit
from .stats import Comparison, Judgement, estimate, judge
from .trials import Outcome, Trial, run_local

SCHEMA_VERSION = 1
EXECUTORS: dict[str, Callable[..., Generator[tuple[Trial, Outcome]]]] = {"local": run_local, "ray": run_ray}
"""Name -> executor."""

FIELDS = {  # of an evidence document
    "schema_version",
    "method",
    "claim",
    "scale",
    "statement",
    "source",
    "note",
    "paper",
    "metric",
    "unit",
    "arms",
    "comparisons",
    "verdict",
    "missing_seeds",
    "settings",
    "seconds",
    "cpu_seconds",
    "device",
    "threads",
    "versions",
    "commit",
    "data",
    "command",
}

Evidence = dict[str, Any]


def reproduce(
    claims: Sequence[tuple[str, Claim]],
    *,
    scale: str,
    out: Path,
    seeds: int | None = None,
    executor: str = "local",
    address: str | None = None,
    workers: int | None = None,
    device: str = "cpu",
    fresh: bool = False,
    command: str = "",
    announce: Callable[[str], None] = lambda _: None,
) -> list[Evidence]:
    """Run claims and write ``out/results/METHOD.CLAIM.SCALE.json`` for each.

    Trials that ``out`` already holds are not run again. A trial that fails twice leaves its claim
    "inconclusive", with the number of seeds that are missing.

    Args:
        claims: (method, claim) pairs.
        scale: "smoke", "laptop" or "paper".
        out: output folder; one run at a time may write to it.
        seeds: number of seeds instead of the scale's own.
        executor: a name in ``EXECUTORS``.
        address: of the Ray cluster, for the executor "ray"; see :func:`~rostra.engine.cluster.run_ray`.
        workers: trials at a time; None means as many as there are cores for, and one on a GPU.
        device: torch device of the trials.
        fresh: set earlier results aside first.
        command: how the run was started, for the evidence.
        announce: called with one line for every claim that is concluded, for one that rests on rows of
            another commit or device, and for every failed attempt.

    Returns:
        The evidence of every claim that has the scale, in order.

    Raises:
        InputError: if no claim has the scale.
    """
    run = EXECUTORS[executor]
    if executor == "ray":
        run = functools.partial(run, address=check_cluster(address, device))
    plan = [
        (method, claim, _sized(claim.scales[scale], seeds)) for method, claim in _with_scale(claims, scale, announce)
    ]
    with ResultStore(out, fresh=fresh) as store:
        pending: list[set[str]] = []
        trials: dict[tuple[str, ...], Trial] = {}
        for method, claim, size in plan:
            missing = _missing_seeds(method, claim, size, store)
            pending.append(set(missing))
            planned = {key for keys in trials for key in keys}
            trials |= _plan_trials(method, claim, size, missing, planned, device, out / "networks")
        evidence: dict[int, Evidence] = {}

        def conclude() -> None:
            for number, (method, claim, size) in enumerate(plan):
                if not pending[number] and number not in evidence:
                    records = _records_of(method, claim, size, store)
                    if others := _made_elsewhere(records, device):
                        announce(f"{method}.{claim.name}: {others}; --fresh makes them anew")
                    evidence[number] = _conclude(method, claim, scale, size, records, out, command)
                    announce(f"{method}.{claim.name}: {evidence[number]['verdict']}")

        conclude()
        failed = _execute(trials, run, workers, store, pending, conclude, announce)
        for keys in pending:
            keys -= failed
        conclude()
    return [evidence[number] for number in range(len(plan))]


def _with_scale(
    claims: Sequence[tuple[str, Claim]], scale: str, announce: Callable[[str], None]
) -> list[tuple[str, Claim]]:
    """The claims that have the scale; says which have not."""
    found = [(method, claim) for method, claim in claims if scale in claim.scales]
    lacking = [(method, claim) for method, claim in claims if scale not in claim.scales]
    if claims and not found:
        method, claim = lacking[0]
        raise InputError(
            f"'{command_name(method)}.{claim.name}' has no scale '{scale}'; it has: {', '.join(claim.scales)}"
        )
    for method, claim in lacking:
        announce(f"{method}.{claim.name}: left out, it has no scale '{scale}'")
    return found


def _sized(scale: Scale, seeds: int | None) -> Scale:
    return scale if seeds is None else replace(scale, seeds=seeds)


def _key(method: str, claim: Claim, arm: str, settings: Mapping[str, Any], seed: int) -> str:
    return row_key(method, claim.run.__name__, arm, settings, seed)


def _missing_seeds(method: str, claim: Claim, size: Scale, store: ResultStore) -> dict[str, tuple[str, int]]:
    """Key -> (arm, seed) of what the store does not hold."""
    wanted = {
        _key(method, claim, arm, size.settings, seed): (arm, seed)
        for arm in size.arms or claim.arms
        for seed in range(size.seeds)
    }
    return {key: pair for key, pair in wanted.items() if not store.rows(key)}


def _plan_trials(
    method: str,
    claim: Claim,
    size: Scale,
    missing: Mapping[str, tuple[str, int]],
    planned: set[str],
    device: str,
    folder: Path,
) -> dict[tuple[str, ...], Trial]:
    """Trials, by the keys of the seeds they run; seeds that another claim's trials run are left to them.

    Blocks of ``chunk`` seeds are the same in every run.
    """
    blocks: dict[tuple[int, str], list[tuple[str, int]]] = {}
    for key, (arm, seed) in missing.items():
        if key not in planned:
            blocks.setdefault((seed // size.chunk, arm), []).append((key, seed))
    order = list(size.arms or claim.arms)
    return {
        tuple(key for key, _ in block): Trial(
            method, claim.run, arm, size.settings, tuple(seed for _, seed in block), device, size.threads, folder
        )
        for (_, arm), block in sorted(blocks.items(), key=lambda item: (item[0][0], order.index(item[0][1])))
    }


def _execute(
    trials: Mapping[tuple[str, ...], Trial],
    executor: Callable[..., Generator[tuple[Trial, Outcome]]],
    workers: int | None,
    store: ResultStore,
    pending: Sequence[set[str]],
    conclude: Callable[[], None],
    announce: Callable[[str], None],
) -> set[str]:
    """Run trials and store their rows; returns the keys of those that failed."""
    failed: set[str] = set()
    latest: list[str] = []  # what the progress display shows next
    keys_of = {id(trial): keys for keys, trial in trials.items()}

    def on_failure(trial: Trial, reason: str) -> None:
        store.append_failure({**_describe(trial), "reason": reason})
        announce(f"{trial.method} {trial.arm}, seeds {_span(trial.seeds)}: {reason.strip().splitlines()[-1]}")

    for threads in sorted({trial.threads for trial in trials.values()}):
        group = [trial for trial in trials.values() if trial.threads == threads]
        # closed even if what follows raises: its workers would keep this process from ending
        with contextlib.closing(executor(group, workers, on_failure)) as running:
            for trial, outcome in progress(running, "trials", total=len(group), metric=latest.pop):
                keys = keys_of[id(trial)]
                latest.append(f"{trial.method} {trial.arm}, seeds {_span(trial.seeds)}")
                if outcome.failure is not None:
                    failed.update(keys)
                    continue
                store.append(trial.method, _records(trial, dict(zip(trial.seeds, keys, strict=True)), outcome))
                for waiting in pending:
                    waiting.difference_update(keys)
                conclude()
    return failed


def _span(seeds: Sequence[int]) -> str:
    return f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]}-{seeds[-1]}"


def _describe(trial: Trial) -> dict[str, Any]:
    described = {"method": trial.method, "run": trial.run.__name__, "arm": trial.arm, "settings": dict(trial.settings)}
    return {**described, "seeds": list(trial.seeds)}


def _records(trial: Trial, keys: Mapping[int, str], outcome: Outcome) -> Iterator[dict[str, Any]]:
    """What is stored for each row; a trial's seconds are shared out over its rows."""
    provenance = dict(outcome.provenance)
    for name in ("wall_seconds", "cpu_seconds"):
        provenance[name] = round(provenance[name] / len(outcome.rows), 4)
    for row in outcome.rows:
        yield {
            "key": keys[row["seed"]],
            "method": trial.method,
            "run": trial.run.__name__,
            "arm": trial.arm,
            "settings": dict(trial.settings),
            "row": row,
            "provenance": provenance,
        }


def _records_of(method: str, claim: Claim, size: Scale, store: ResultStore) -> list[dict[str, Any]]:
    """What the store holds of a claim, by arm and seed."""
    return [
        record
        for arm in size.arms or claim.arms
        for seed in range(size.seeds)
        for record in store.rows(_key(method, claim, arm, size.settings, seed))
    ]


def _made_elsewhere(records: Sequence[Mapping[str, Any]], device: str) -> str:
    """How many rows another commit or device made than this run's, in words; "" if none."""
    places: list[str] = []
    count = 0
    for made in (record["provenance"] for record in records):
        place = []
        if made["commit"] != commit():
            place.append(f"by {_short(made['commit'])}")
        if made["device"] != device and device != "auto":  # what "auto" means, the nodes of a cluster know
            place.append(f"on {made['device']}")
        count += bool(place)
        if place and " ".join(place) not in places:
            places.append(" ".join(place))
    return f"{count} of {len(records)} rows were made {' or '.join(places)}" if count else ""


def _short(commit: str | None) -> str:
    """A commit as people write it; what was changed in it since stays marked."""
    if commit is None:
        return "an unknown commit"
    name, dash, changed = commit.partition("-")
    return f"commit {name[:7]}{dash}{changed}"


def _conclude(
    method: str,
    claim: Claim,
    scale: str,
    size: Scale,
    records: Sequence[Mapping[str, Any]],
    out: Path,
    command: str,
) -> Evidence:
    """Judge a claim by its rows; write its evidence and its figure."""
    rows: dict[str, list[Row]] = {
        arm: [record["row"] for record in records if record["arm"] == arm] for arm in size.arms or claim.arms
    }
    missing = {arm: size.seeds - len({row["seed"] for row in rows[arm]}) for arm in rows}
    comparisons, verdicts = [], []
    for comparison in claim.comparisons:
        arms = [arm for arm in (comparison.arm, _other(comparison)) if arm]
        if not all(rows.get(arm) for arm in arms):
            continue
        values = {arm: _values(rows[arm], comparison.metric) for arm in arms}
        if getattr(comparison, "paired", False) and not set.intersection(*map(set, values.values())):
            continue
        judgement = judge(comparison, values)
        comparisons.append(_comparison_record(comparison, judgement, scale))
        verdicts.append(judgement.verdict)
    evidence: Evidence = {
        "schema_version": SCHEMA_VERSION,
        "method": method,
        "claim": claim.name,
        "scale": scale,
        "statement": claim.statement,
        "source": claim.source,
        "note": claim.note,
        "paper": dict(claim.paper),
        "metric": claim.metric,
        "unit": claim.unit,
        "arms": {arm: _arm_record(rows[arm], claim) for arm in rows if rows[arm]},
        "comparisons": comparisons,
        "verdict": _verdict(
            verdicts, scale, complete=len(verdicts) == len(claim.comparisons) and not any(missing.values())
        ),
        "missing_seeds": {arm: count for arm, count in missing.items() if count},
        "settings": {**size.settings, "seeds": size.seeds, "chunk": size.chunk},
        "seconds": round(sum(record["provenance"]["wall_seconds"] for record in records), 1),
        "cpu_seconds": round(sum(record["provenance"]["cpu_seconds"] for record in records), 1),
        **{name: _common(records, name) for name in ("device", "threads", "versions", "commit", "data")},
        "command": command,
    }
    name = f"{method}.{claim.name}.{scale}"
    with write_atomically(out / "results" / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(evidence, indent=1, allow_nan=False) + "\n")
    if claim.figure is not None and all(rows.values()):
        from .plots import save_svg

        with write_atomically(out / "figures" / f"{name}.svg") as temporary:
            save_svg(claim.figure(rows), temporary)
    return evidence


def _other(comparison: Comparison) -> str | None:
    return getattr(comparison, "over", None) or getattr(comparison, "to", None)


def _values(rows: Sequence[Row], metric: str) -> dict[int, float]:
    """The metric by seed; where a seed has several rows (doses, sizes), their mean."""
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        by_seed.setdefault(row["seed"], []).append(float(row[metric]))
    return {seed: math.fsum(values) / len(values) for seed, values in by_seed.items()}


def _arm_record(rows: Sequence[Row], claim: Claim) -> dict[str, Any]:
    metric = claim.metric
    values = _values(rows, metric)
    others = [name for name, value in rows[0].items() if isinstance(value, (int, float)) and name != metric]
    found = estimate(np.array([values[seed] for seed in sorted(values)]))
    return {
        "metric": metric,
        "mean": found.mean,
        "interval": found.interval,
        "interval_method": found.method,
        "seeds": found.count,
        "values": [float(f"{values[seed]:.6g}") for seed in sorted(values)],
        "other_means": {
            name: math.fsum(_values(rows, name).values()) / len(values) for name in others if name not in claim.index
        },
    }


def _comparison_record(comparison: Comparison, judgement: Judgement, scale: str) -> dict[str, Any]:
    stated = asdict(comparison)
    return {
        "arm": comparison.arm,
        "against": _other(comparison),
        "metric": comparison.metric,
        "kind": type(comparison).__name__,
        "margin": stated.get("margin", stated.get("tolerance")),
        "bound": stated.get("bound", stated.get("value")),
        "lower_is_better": stated.get("lower_is_better"),
        "paired": stated.get("paired"),
        "effect": judgement.effect,
        "interval": judgement.interval,
        "level": 0.95,
        "interval_method": judgement.method,
        "count": judgement.count,
        "verdict": "ran" if scale == "smoke" else judgement.verdict,
    }


def _verdict(verdicts: Sequence[str], scale: str, *, complete: bool) -> str:
    """The verdict of a claim: it holds if every comparison does, and fails if one does."""
    if scale == "smoke":
        return "ran" if verdicts or complete else "inconclusive"
    if not complete:
        return "inconclusive"
    if "fails" in verdicts:
        return "fails"
    return "holds" if all(verdict == "holds" for verdict in verdicts) else "inconclusive"


def _common(records: Sequence[Mapping[str, Any]], name: str) -> Any:
    """The value that all records share, or the list of those they have."""
    distinct: list[Any] = []
    for record in records:
        if record["provenance"][name] not in distinct:
            distinct.append(record["provenance"][name])
    return distinct[0] if len(distinct) == 1 else distinct


def load_evidence(folder: Path) -> list[Evidence]:
    """Every evidence document in a folder, in order of file name.

    Raises:
        InputError: if a file is not such a document.
    """
    documents = []
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["schema_version"] > SCHEMA_VERSION:
                raise InputError(f"'{path}' has schema {document['schema_version']}; update Rostra")
            if not document.keys() >= FIELDS:
                raise KeyError
            documents.append(document)
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"'{path}' is not evidence written by rostra reproduce") from None
    return documents


def shipped_evidence() -> list[Evidence]:
    """The evidence that came with this version: package data, or ``results/`` of the source tree."""
    package = Path(__file__).parents[1]
    for folder in (package / "results", package.parents[1] / "results"):
        if folder.is_dir():
            return load_evidence(folder)
    return []
