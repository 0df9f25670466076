"""A fair coin, as a method of Rostra."""

__all__ = ["METHOD"]

from rostra.engine.methods import Method

METHOD = Method(
    title="Coin",
    field="probability",
    summary="Flips a fair coin.",
    paper="Doe. Coins. 2021.",
)
