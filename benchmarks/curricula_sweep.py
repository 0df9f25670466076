"""The sweep behind two claims about curricula, on a Ray cluster of two nodes on this machine.

    python benchmarks/curricula_sweep.py --out FOLDER [--scale laptop] [--json]

Starts two nodes of one core each, runs `rostra reproduce curricula.label_noise curricula.standard --executor ray` at
the head's address into FOLDER, and prints rows `name, ours, peer, unit, ratio, note`: trainings a second of wall time,
and the share of optimiser steps that was saved because pacing functions with a common beginning are trained once up to
where they part. A sweep that was stopped goes on; only trainings of this run are counted.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rows import Row, print_rows

CLAIMS = ("label_noise", "standard")
CORES_A_NODE = 1

# In a process of its own, since Ray leaves the files of the nodes that it starts to the garbage collector.
CLUSTER = f"""
import sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": {CORES_A_NODE}, "include_dashboard": False}})
cluster.add_node(num_cpus={CORES_A_NODE})
print("address", cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@contextmanager
def two_nodes() -> Iterator[str]:
    """A cluster; gives the address of its head."""
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("address "):
                yield line.split()[1]
                break
        else:
            raise SystemExit("the cluster did not start; needs Ray: pip install 'rostra[cluster]'")
        process.stdin.close()
        process.wait(timeout=60)


def stored(out: Path, length: int = 0) -> list[dict[str, Any]]:
    """Rows of the two claims' run in ``out``, from a place in the file on."""
    path = out / "rows" / "curricula.jsonl"
    if not path.is_file():
        return []
    with open(path, encoding="utf-8") as file:
        file.seek(length)
        return [record for record in map(json.loads, file) if record["run"] == "strategies"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Two claims about curricula on a Ray cluster of two nodes.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; a run that was stopped goes on")
    parser.add_argument("--scale", default="laptop")
    parser.add_argument("--json", action="store_true", help="print the rows as one JSON document")
    arguments = parser.parse_args()
    path = arguments.out / "rows" / "curricula.jsonl"
    before = path.stat().st_size if path.is_file() else 0
    targets = [f"curricula.{claim}" for claim in CLAIMS]
    with two_nodes() as address:
        command = [str(Path(sys.executable).with_name("rostra")), "reproduce", *targets, "--scale", arguments.scale]
        command += ["--executor", "ray", "--address", address, "--out", str(arguments.out)]
        start = time.perf_counter()
        status = subprocess.run(command, stdout=sys.stderr, check=False).returncode
        seconds = time.perf_counter() - start
    if status not in (0, 1):  # 1: a claim failed, which is a result
        raise SystemExit(f"rostra reproduce ended with status {status}")
    rows = stored(arguments.out, before)
    if not rows:
        raise SystemExit(f"'{arguments.out}' held all trainings before; nothing was measured")
    strategies = [record["row"] for record in rows if not record["arm"].startswith("standard")]
    shared = sum(row["shared"] for row in strategies) / max(1, len(strategies))
    where = (
        f"two Ray nodes of {CORES_A_NODE} core each on one machine, {' and '.join(CLAIMS)} at {arguments.scale} scale"
    )
    all_shared = sum(record["row"]["shared"] for record in rows) / len(rows)
    results = [
        Row(
            "sweep on a cluster",
            len(rows) / seconds,
            None,
            "trainings/s",
            None,
            f"{where}: {len(rows)} trainings in {seconds:.0f} s of wall time, scores and tests included",
        ),
        Row(
            "steps saved by sharing",
            100 * shared,
            None,
            "%",
            None,
            f"of {len(strategies)} trainings by an order; {all_shared:.0%} with the {len(rows) - len(strategies)} "
            "standard trainings, which have nothing in common",
        ),
    ]
    print_rows(results, as_json=arguments.json)


if __name__ == "__main__":
    main()
