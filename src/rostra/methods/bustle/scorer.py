"""A trained network at work in a search: probabilities of values, and what they do to weights.

Needs no torch. The first layer is linear in the embeddings, and there are five of them: its
product with each is a table, and the layer a sum of 206 of its rows. The examples' 160 rows are
the same for a whole search; of the values' 46 codes few combinations differ, so the network runs
once for each.
"""

__all__ = ["Clock", "PremiseScorer", "ValueScorer", "added_weight", "columns_by_likeness", "nearest_columns"]

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rostra.engine.checkpoints import load_arrays, rebuilding

from .constants import longest_common_substring
from .dsl import OPERATIONS, Operation
from .result import NewValues, Reweight
from .signatures import EXAMPLE_CODES, MAX_INPUTS, VALUE_CODES, example_signature

Floats = NDArray[np.float64]

KIND = "bustle"
PREMISE_KIND = "bustle-premises"


def added_weight(probability: Floats) -> NDArray[np.int64]:
    """Weight added to values of these probabilities: 0 above 0.6, 1 above 0.4, then 2 to 6 (paper, section 3.3)."""
    low = np.trunc(10 * (0.4 - probability) + 2).astype(np.int64)
    return np.where(probability > 0.6, 0, np.where(probability > 0.4, 1, low))


@dataclass(frozen=True)
class ValueScorer:
    """A trained :class:`~rostra.methods.bustle.model.ValueNetwork`.

    Attributes:
        table: first layer's product with the embedding of each outcome of each property, (206, 5, width).
        bias: of the first layer, (width,).
        layers: weights (inputs, outputs) and biases (outputs,) of the layers after it.
        recipe: how it was trained.
    """

    table: Floats
    bias: Floats
    layers: tuple[tuple[Floats, Floats], ...]
    recipe: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model saved by ``rostra bustle train``.

        Raises:
            InputError: if the folder is missing, damaged, or holds something else.
        """
        arrays, content = load_arrays(folder, KIND)
        with rebuilding(folder):
            return cls.from_arrays(arrays, content.get("recipe", {}))

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], recipe: dict[str, Any]) -> Self:
        """From the state of the network, by name of the parameter."""
        (table, bias), *layers = _tabulated(arrays)
        return cls(table, bias, tuple(layers), recipe)

    def probabilities(self, examples: NDArray[np.uint8], values: NDArray[np.uint8]) -> Floats:
        """Probability that each value is part of the solution: (values,).

        Args:
            examples: signature of the examples, (160,).
            values: signatures of the values, (values, 46).
        """
        first = self.bias + self.table[np.arange(EXAMPLE_CODES), examples].sum(0)
        chosen = np.eye(self.table.shape[1])[values].reshape(len(values), -1)  # a product is faster than rows picked
        hidden = first + chosen @ self.table[EXAMPLE_CODES:].reshape(chosen.shape[1], -1)
        return _sigmoid(_forward(hidden, self.layers)[:, 0])

    def reweight(self, rows: Sequence[Sequence[str]], outputs: Sequence[str]) -> Reweight:
        """What a search on these examples asks at the end of each level.

        A signature has room for three inputs: of more, those that share the longest texts with the
        output are taken.
        """
        columns = nearest_columns(rows, outputs)
        examples = np.array(example_signature([[row[c] for c in columns] for row in rows], outputs), dtype=np.uint8)
        known: dict[bytes, int] = {}  # signature -> added weight

        def added(new: NewValues) -> NDArray[np.int64]:
            signatures, which = new.signatures()
            names = [signature.tobytes() for signature in signatures]
            unknown = [i for i, name in enumerate(names) if name not in known]
            if unknown:
                found = added_weight(self.probabilities(examples, signatures[unknown]))
                known.update(zip((names[i] for i in unknown), found.tolist(), strict=True))
            return np.array([known[name] for name in names], dtype=np.int64)[which]

        return added


class Clock:
    """Measures what a re-weighting takes, signatures and network apart."""

    def __init__(self) -> None:
        self.signatures = 0.0
        self.model = 0.0

    def timed(self, ask: Reweight) -> Reweight:
        """The same re-weighting, measured."""

        def reweight(new: NewValues) -> Any:
            before, start = self.signatures, time.perf_counter()
            added = ask(_Timed(new, self))
            self.model += time.perf_counter() - start - (self.signatures - before)
            return added

        return reweight


class _Timed:
    """New values whose signatures are timed."""

    def __init__(self, new: NewValues, clock: Clock) -> None:
        self._new = new
        self._clock = clock

    def __len__(self) -> int:
        return len(self._new)

    @property
    def level(self) -> int:
        return self._new.level

    def vector(self, index: int) -> Any:
        return self._new.vector(index)

    def signatures(self) -> Any:
        start = time.perf_counter()
        found = self._new.signatures()
        self._clock.signatures += time.perf_counter() - start
        return found


@dataclass(frozen=True)
class PremiseScorer:
    """A trained :class:`~rostra.methods.bustle.model.PremiseNetwork`. Attributes as of :class:`ValueScorer`."""

    table: Floats
    bias: Floats
    layers: tuple[tuple[Floats, Floats], ...]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model saved after ``train_premises``.

        Raises:
            InputError: if the folder is missing, damaged, or holds something else.
        """
        arrays, _ = load_arrays(folder, PREMISE_KIND)
        with rebuilding(folder):
            return cls.from_arrays(arrays)

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        """From the state of the network, by name of the parameter."""
        (table, bias), *layers = _tabulated(arrays)
        return cls(table, bias, tuple(layers))

    def probabilities(self, rows: Sequence[Sequence[str]], outputs: Sequence[str]) -> Floats:
        """Probability that each operation is in the solution: (22,)."""
        columns = nearest_columns(rows, outputs)
        codes = example_signature([[row[c] for c in columns] for row in rows], outputs)
        first = self.bias + self.table[np.arange(EXAMPLE_CODES), codes].sum(0) + self.table[EXAMPLE_CODES:, 0].sum(0)
        return _sigmoid(_forward(first[None], self.layers)[0])

    def operations(
        self, rows: Sequence[Sequence[str]], outputs: Sequence[str], *, dropped: int = 2
    ) -> tuple[Operation, ...]:
        """The operations without the ``dropped`` least probable ones."""
        order = np.argsort(self.probabilities(rows, outputs), kind="stable")
        out = set(order[:dropped].tolist())
        return tuple(operation for number, operation in enumerate(OPERATIONS) if number not in out)


def nearest_columns(rows: Sequence[Sequence[str]], outputs: Sequence[str]) -> list[int]:
    """The at most three input columns that share the longest texts with the outputs, in their own order."""
    return sorted(columns_by_likeness(rows, outputs)[:MAX_INPUTS])


def columns_by_likeness(rows: Sequence[Sequence[str]], outputs: Sequence[str]) -> list[int]:
    """All input columns, those first that share the longest texts with the outputs."""
    shared = [
        sum(len(longest_common_substring(text, output)) for text, output in zip(column, outputs, strict=True))
        for column in zip(*rows, strict=True)
    ]
    return sorted(range(len(shared)), key=lambda number: (-shared[number], number))


def _tabulated(arrays: dict[str, NDArray[Any]]) -> list[tuple[Floats, Floats]]:
    """The first layer as a table over (property, outcome), the others as they are; in float64."""
    embedding = arrays["embedding.weight"].astype(np.float64)  # (5, e)
    numbers = sorted({int(name.split(".")[1]) for name in arrays if name.startswith("dense.")})
    weights = [arrays[f"dense.{number}.weight"].astype(np.float64).T for number in numbers]
    biases = [arrays[f"dense.{number}.bias"].astype(np.float64) for number in numbers]
    properties = EXAMPLE_CODES + VALUE_CODES
    first = weights[0].reshape(properties, embedding.shape[1], -1)
    table = np.einsum("oe,pew->pow", embedding, first)
    return [(table, biases[0]), *zip(weights[1:], biases[1:], strict=True)]


def _forward(hidden: Floats, layers: Sequence[tuple[Floats, Floats]]) -> Floats:
    """The layers after the first, whose output (rows, width) is given before its ReLU."""
    for weight, bias in layers:
        hidden = np.maximum(hidden, 0.0) @ weight + bias
    return hidden


def _sigmoid(logits: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -logits))
