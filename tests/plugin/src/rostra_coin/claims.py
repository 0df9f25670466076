"""What is claimed of the coin."""

__all__ = ["CLAIMS"]

from rostra.engine.claims import Claim, Scale
from rostra.engine.stats import Law

from .coin import flip


def run(settings, arm, seeds, context):
    """One row a seed: the share of heads."""
    for seed in seeds:
        yield {"seed": seed, "heads": sum(flip(settings["flips"], seed)) / settings["flips"]}


CLAIMS = (
    Claim(
        name="fair",
        statement="A coin shows heads half of the time.",
        source="Doe (2021), table 1",
        paper={"coin": 0.5},
        metric="heads",
        unit="share of flips",
        arms=("coin",),
        scales={
            "smoke": Scale({"flips": 100}, seeds=5, chunk=5),
            "laptop": Scale({"flips": 10_000}, seeds=20, chunk=20),
            "paper": Scale({"flips": 1_000_000}, seeds=20, chunk=5),
        },
        comparisons=(Law("coin", metric="heads", value=0.5, tolerance=0.01),),
        run=run,
    ),
)
