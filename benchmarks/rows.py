"""What the benchmarks of all methods print."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass
class Row:
    """One comparison; a ratio above 1 means that ours is better."""

    name: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    note: str


def parse_arguments(description: str) -> argparse.Namespace:
    """``--quick`` and ``--json``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="less of each measurement, within 60 seconds")
    parser.add_argument("--json", action="store_true", help="print the rows as one JSON document")
    return parser.parse_args()


def print_rows(rows: Sequence[Row], *, as_json: bool) -> None:
    """A table for people, or one JSON document."""
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    for row in rows:
        peer, ratio = ("-" if value is None else f"{value:.4g}" for value in (row.peer, row.ratio))
        print(f"{row.name:44s} {row.ours:10.4g} {peer:>10s} {row.unit:7s} {ratio:>8s}  {row.note}")
