"""The restated operator does the work that it is compared on, and unequal work stops the benchmark."""

import importlib.util

import numpy as np
import pytest
import torch

from rostra.methods.dac_mdp import DACMDP, solvers
from rostra.methods.dac_mdp.data import cartpole_log, continuous_cartpole_log
from rostra.methods.dac_mdp.kernels import share_of, sweeps_for


@pytest.fixture(scope="module")
def example(benchmark_module):
    """The authors' example on a log of 400."""
    with benchmark_module.threads(1):
        return benchmark_module.built_example(400)


@pytest.fixture(scope="module")
def peer_script(benchmark_module):
    """What runs in the peers' environment; its solvers are not installed here."""
    spec = importlib.util.spec_from_file_location("peer_dac_mdp", benchmark_module.PEERS / "dac_mdp.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_restated_operator_is_the_librarys_sweep(benchmark_module, example):
    """From the solution, and from values that are no solution."""
    model, solution = example
    problem = solution.problem
    operator = benchmark_module.Operator.of(model.tables_, solution.rewards, benchmark_module.COST, problem.terminal)
    assert problem.terminal.any()
    for values in (solution.values, np.where(problem.terminal, 0, np.arange(len(solution.values), dtype=np.float32))):
        found, policy = np.zeros_like(values), np.zeros(len(values), np.int32)
        share = share_of(benchmark_module.GAMMA, problem.successors, problem.weights)
        sweeps_for(problem.successors, problem.weights).jacobi(values, found, policy, *problem, share, np.float32(0))
        theirs, _ = operator.sweep(torch.as_tensor(values))
        np.testing.assert_allclose(theirs, found, rtol=1e-5, atol=1e-5)
        lean = operator.lean_sweep(operator.averaged(), torch.as_tensor(values))
        np.testing.assert_allclose(lean, found, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [("uniform", "concat", None), ("inverse", "delta", "standard")])
def test_the_plain_example_finds_the_librarys_values(benchmark_module, kind):
    """In both settings. Its k-means sees all of so small a log, as ours."""
    [make] = [make for make in benchmark_module.MODELS if (make().weights, make().sa_encoder, make().scale) == kind]
    with benchmark_module.threads(1):
        model = make().fit(continuous_cartpole_log(400, 0))
        solution = model.solution_
        values, change = benchmark_module.plain_example(model.dataset_, make())
    assert change <= solvers.TOL
    bound = benchmark_module.error_bound(change, benchmark_module.GAMMA)
    np.testing.assert_allclose(values, solution.values, atol=2 * (solution.error_bound + bound))


def test_the_plain_search_finds_the_librarys_neighbours(benchmark_module):
    """Also where one neighbour is asked for."""
    log = cartpole_log("random", 300, 0)
    for k in (1, 5):
        ours = DACMDP(k=k).build(log).tables_
        theirs = benchmark_module.plain_discrete_tables(log, k)
        np.testing.assert_allclose(theirs.distances, ours.distances, atol=1e-5)


def test_rows_are_named_and_compared(benchmark_module, example):
    model, solution = example
    scattered = benchmark_module.with_random_successors(solution.problem, model.tables_)
    rows = benchmark_module.one_sweep(solution, solution.problem, model.tables_, "real successors", 1e10, 2, 2)
    rows += benchmark_module.one_sweep(solution, *scattered, "random successors", 1e10, 2, 2)
    rows.append(benchmark_module.one_solve(solution, model.tables_, 1))
    rows += benchmark_module.several_problems(solution, 1, 3)
    rows += [benchmark_module.build_and_solve(400, 1, make) for make in benchmark_module.MODELS]
    rows.append(benchmark_module.acting(500, 100, 1))
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert min(row.ours, row.peer, row.ratio) > 0
        assert row.unit
        assert row.note
    assert rows[-1].ratio == pytest.approx(rows[-1].ours / rows[-1].peer)  # more is better


def test_a_sweep_that_does_other_work_is_refused(benchmark_module, example, monkeypatch):
    """No comparison of unequal work is printed."""
    model, solution = example
    sweep = benchmark_module.Operator.sweep
    monkeypatch.setattr(benchmark_module.Operator, "sweep", lambda self, values: sweep(self, values, 0.98))
    with pytest.raises(SystemExit, match="a sweep, real: the peer's result is another one"):
        benchmark_module.one_sweep(solution, solution.problem, model.tables_, "real", 1e10, 1, 1)


def test_a_peer_that_acts_by_other_values_is_refused(benchmark_module, monkeypatch):
    q_values = benchmark_module.PlainLookAhead.q_values
    monkeypatch.setattr(benchmark_module.PlainLookAhead, "q_values", lambda self, seen: q_values(self, seen) + 1)
    with pytest.raises(SystemExit, match="Q: the peer's result is another one"):
        benchmark_module.acting(300, 20, 1)


def answers(data, off=0.0):
    """A tabular solver's answer, from our own value iteration."""
    problem = solvers.Problem(*(data[name] for name in solvers.Problem._fields))
    solved = solvers.solve_values(problem, data["gamma"], method="jacobi")
    return {"a solver": {"values": (solved.values + off).tolist(), "seconds": 1.0, "setup": 0.5}}


def test_a_tabular_solver_that_agrees_gets_its_row(benchmark_module):
    (row,) = benchmark_module.tabular(300, 2, answers)
    assert row.name == "a solver"
    assert row.peer == 1000
    assert row.ratio > 0


def test_a_tabular_solver_of_another_problem_is_refused(benchmark_module):
    with pytest.raises(SystemExit, match="a solver: the peer's result is another one"):
        benchmark_module.tabular(300, 1, lambda data: answers(data, off=1.0))


def test_a_peer_that_cannot_run_says_why(benchmark_module, monkeypatch, tmp_path):
    """An environment without NumPy, for one."""
    import sys

    script = tmp_path / "dac_mdp.py"
    script.write_text("import a_package_that_is_not_there\n")
    monkeypatch.setattr(benchmark_module, "PEERS", tmp_path)
    monkeypatch.setattr(benchmark_module, "peer_python", lambda method: sys.executable)
    with pytest.raises(SystemExit, match=r"the peer did not run: ModuleNotFoundError.*not_there"):
        benchmark_module.ask_peers({"gamma": 0.99})


def test_peers_get_the_derived_mdp(peer_script):
    """As matrices: chances sum to 1, successors that occur twice count twice, an end state stays and is paid 0."""
    data = {
        "successors": np.array([[[1, 1], [0, 2]], [[0, 1], [2, 2]], [[0, 0], [1, 2]]], np.int32),
        "reward": np.arange(6, dtype=np.float32).reshape(3, 2) + 1,
        "terminal": np.array([False, False, True]),
    }
    successors, reward = peer_script.absorbing(data)
    first = peer_script.matrix(successors[:, 0], 3).toarray()
    second = peer_script.matrix(successors[:, 1], 3).toarray()
    np.testing.assert_array_equal(first, [[0, 1, 0], [0.5, 0.5, 0], [0, 0, 1]])
    np.testing.assert_array_equal(second, [[0.5, 0, 0.5], [0, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(reward, [[1, 2], [3, 4], [0, 0]])
    assert data["reward"][2, 0] == 5  # the caller's own


def test_a_large_log_is_a_log_of_walks(benchmark_module):
    log = benchmark_module.walk_log(3000, 0, 0.02)
    assert len(log) == 3000
    assert log.action_count == benchmark_module.WALK_ACTIONS
    assert log.observation_shape == (benchmark_module.WALK_DIMENSION,)
    assert int(log.timeouts.sum()) == 3
    np.testing.assert_array_equal(log.next_observations[:999], log.observations[1:1000])
