"""The benchmark compares equal work, or stops."""

import pytest

from rostra.methods.bustle import core, reference
from rostra.methods.bustle.tasks import load_tasks


def test_speeds_are_of_the_same_expressions(benchmark_module):
    """Both searches try the same; the row says how many a second."""
    row = benchmark_module.speed("search", load_tasks("everyday")[:3], 2_000, 2_000, "note", heuristics=True)
    assert row.ratio == pytest.approx(row.ours / row.peer)


def test_a_search_that_does_other_work_is_refused(benchmark_module, monkeypatch):
    """No comparison of unequal work is printed."""
    plain = reference.search
    monkeypatch.setattr(core, "search", lambda *a, **k: plain(*a, **{**k, "heuristics": True}))
    with pytest.raises(SystemExit, match="the searches differ"):
        benchmark_module.speed("search", load_tasks("everyday")[:8], 2_000, 2_000, "note")
