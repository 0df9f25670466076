"""``rostra coin``: flips."""

__all__ = ["app"]

import typer

from rostra.engine.commands import JsonOutput, Seed, emit

app = typer.Typer(help="Coin: flips a fair coin.")


@app.callback()
def about() -> None:
    """Flips a fair coin."""


@app.command()
def flip(times: int = 1, seed: Seed = 0, json_output: JsonOutput = False) -> None:
    """Flip the coin.

    Example: rostra coin flip --times 3
    """
    from .coin import flip as flip_coin

    sides = ["heads" if heads else "tails" for heads in flip_coin(times, seed)]
    emit(sides, " ".join(sides), json_output)
