"""The benchmark that a file here is about."""

import importlib.util
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark_module(request):
    """``benchmarks/NAME.py`` for ``test_NAME.py``: they are no package, so each is read from its file."""
    name = request.path.stem.removeprefix("test_")
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
