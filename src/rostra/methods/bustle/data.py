"""Where ``rostra datasets`` looks for the data sets of this method."""

__all__ = ["DATASETS"]

from .tasks import DATASETS
