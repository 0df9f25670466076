"""``rostra sample-efficiency``."""

__all__ = ["app"]

import typer

app = typer.Typer(help="Sample efficiency: how many examples a learner needs, and which symmetries it cannot see.")
