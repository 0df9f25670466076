"""The coin."""

__all__ = ["flip"]

import random


def flip(times: int, seed: int) -> list[bool]:
    """Heads or tails, ``times`` times; heads is True."""
    draw = random.Random(seed)
    return [draw.random() < 0.5 for _ in range(times)]
