"""What must be so of every claim of every method."""

import pytest

from rostra.engine.claims import find_claims
from rostra.engine.methods import installed, submodule
from rostra.engine.stats import Law

DATA_SETS = {dataset.name for method in installed() for dataset in getattr(submodule(method, "data"), "DATASETS", ())}
OURS = [pytest.param(claim, id=f"{method}.{claim.name}") for method, claim in find_claims([])]


@pytest.mark.parametrize("claim", OURS)
def test_what_a_claim_compares_is_run(claim):
    """Every arm that a comparison or the paper's numbers name is one of the claim's, and runs at laptop scale."""
    named = {comparison.arm for comparison in claim.comparisons}
    named |= {other for c in claim.comparisons if (other := getattr(c, "over", None) or getattr(c, "to", None))}
    assert set(claim.paper) <= set(claim.arms)
    for name, scale in claim.scales.items():
        arms = set(scale.arms or claim.arms)
        assert arms <= set(claim.arms)
        assert name == "smoke" or named <= arms


@pytest.mark.parametrize("claim", OURS)
def test_a_claim_that_an_interval_decides_has_the_seeds_for_one(claim):
    """Five at laptop scale; counts that a deterministic program fixes need no interval. Smoke takes no more."""
    exact = all(isinstance(comparison, Law) and comparison.tolerance == 0 for comparison in claim.comparisons)
    assert exact or claim.scales["laptop"].seeds >= 5
    assert claim.scales["smoke"].seeds <= claim.scales["laptop"].seeds


@pytest.mark.parametrize("claim", OURS)
def test_smoke_needs_no_data_set(claim):
    """What it runs on is generated, or comes with a dependency."""
    settings = str(claim.scales["smoke"].settings)
    assert not [name for name in DATA_SETS if f"'{name}'" in settings]
