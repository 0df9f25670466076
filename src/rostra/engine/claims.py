"""Claims of papers as executable objects: a statement, arms, settings at each scale, and comparisons."""

__all__ = ["SCALES", "Claim", "Context", "Row", "Scale", "find_claims"]

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .datasets import Dataset, load
from .errors import InputError
from .methods import command_name, installed, submodule

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .stats import Comparison

SCALES = ("smoke", "laptop", "paper")

Row = dict[str, Any]
"""One result: the claim's index columns (whole numbers, numbers or texts) and metrics (numbers)."""


@dataclass(frozen=True)
class Scale:
    """How large a run of a claim is.

    Attributes:
        settings: what the claim's ``run`` gets; JSON values only, since rows are keyed by them.
        seeds: number of seeds, 0 to seeds - 1.
        chunk: seeds a trial; they may share one batched program. Part of the definition, not of
            the executor, so rows do not depend on how many workers ran.
        arms: the arms that run at this scale; None means all.
        threads: cores a trial may use.
    """

    settings: Mapping[str, Any]
    seeds: int
    chunk: int = 1
    arms: tuple[str, ...] | None = None
    threads: int = 1


@dataclass
class Context:
    """What a running trial may ask for.

    Attributes:
        device: name of the torch device.
        folder: where networks that several claims share may be kept.
        data: provenance of every data set that was loaded; goes into the rows.
    """

    device: str
    folder: Path
    data: dict[str, Any] = field(default_factory=dict)

    def dataset(self, dataset: Dataset) -> Any:
        """Load a data set and note where it came from."""
        loaded = load(dataset)
        self.data[dataset.name] = loaded.provenance
        return loaded.value

    @contextmanager
    def kept(self, method: str, key: Any) -> "Iterator[Path]":
        """The place, under a hash of ``key``, of something that several trials need: one makes it, the others wait.

        Args:
            method: Python name of the method.
            key: all that it depends on, as JSON can hold it.

        Yields:
            A path that no other process looks at within the block. Whether something stands there says whether it
            was made before.
        """
        import hashlib
        import json

        from filelock import FileLock

        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20]
        path = self.folder / method / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            yield path


@dataclass(frozen=True)
class Claim:
    """One claim of a paper.

    Two claims with the same ``run`` share the rows that they both need.

    Attributes:
        name: within its method, such as "beats_heads".
        statement: what the paper says, in one sentence.
        source: where: table, figure or section.
        paper: the paper's numbers by arm; empty where it gives none.
        metric: the metric that the scoreboard shows.
        unit: of the metric, for axes and tables.
        arms: the method and its comparators.
        scales: settings of "smoke", "laptop" and "paper".
        comparisons: what must be so for the claim to hold; margins are fixed here.
        run: ``run(settings, arm, seeds, context)`` yields rows, at least one a seed. A module-level
            function: workers import it.
        index: columns of a row that are no metrics.
        note: what the reader must know to weigh the verdict.
        figure: draws the claim's own plot from its rows by arm; None draws none.
    """

    name: str
    statement: str
    source: str
    paper: Mapping[str, float]
    metric: str
    unit: str
    arms: tuple[str, ...]
    scales: Mapping[str, Scale]
    comparisons: tuple["Comparison", ...]
    run: Callable[[Mapping[str, Any], str, Sequence[int], Context], Iterable[Row]]
    index: tuple[str, ...] = ("seed",)
    note: str = ""
    figure: Callable[[Mapping[str, Sequence[Row]]], "Figure"] | None = None


def find_claims(targets: Sequence[str]) -> list[tuple[str, Claim]]:
    """(method, claim) of every target "method" or "method.claim"; no target means all.

    Raises:
        InputError: for a target that is neither.
    """
    chosen: dict[tuple[str, str], Claim] = {}
    for target in targets or [command_name(name) for name in installed()]:
        name, _, wanted = target.partition(".")
        method = name.replace("-", "_")
        module = submodule(method, "claims")
        claims: dict[str, Claim] = {claim.name: claim for claim in module.CLAIMS} if module else {}
        if wanted and wanted not in claims:
            raise InputError(f"'{command_name(method)}' has no claim '{wanted}'; it has: {', '.join(claims)}")
        for claim in claims.values():
            if wanted in ("", claim.name):
                chosen[method, claim.name] = claim
    return [(method, claim) for (method, _), claim in chosen.items()]
