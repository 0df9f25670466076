"""The texts that a search may use beside the inputs: what the examples have in common, and usual separators."""

__all__ = ["SEPARATORS", "extract_constants", "longest_common_substring"]

from collections.abc import Sequence
from itertools import combinations

SEPARATORS = " ,.!?()[]<>{}-+_/$#:;@%0"
"""Single characters that become constants where they occur in an example."""


def extract_constants(rows: Sequence[Sequence[str]], outputs: Sequence[str]) -> list[str]:
    """Constants of a task, shortest first, then by code point, so that they depend on nothing else.

    For each two examples of a column (the output is one too) their longest common substring if it
    has at least two characters, and each of :data:`SEPARATORS` that occurs anywhere.

    Args:
        rows: inputs of each example, shape (examples, inputs).
        outputs: wanted result of each example.
    """
    columns = [*zip(*rows, strict=True), tuple(outputs)]
    common = {longest_common_substring(a, b) for column in columns for a, b in combinations(column, 2)}
    found = {text for text in common if len(text) > 1}
    found.update(c for c in SEPARATORS if any(c in text for column in columns for text in column))
    return sorted(found, key=lambda text: (len(text), text))


def longest_common_substring(first: str, second: str) -> str:
    """Of several longest, the one that ends first in ``first``."""
    best, end = 0, 0
    previous = [0] * (len(second) + 1)  # length of the common suffix of first[:i] and second[:j]
    for i, a in enumerate(first, start=1):
        current = [0] * (len(second) + 1)
        for j, b in enumerate(second, start=1):
            if a == b:
                current[j] = previous[j - 1] + 1
                if current[j] > best:
                    best, end = current[j], i
        previous = current
    return first[end - best : end]
