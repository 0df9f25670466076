"""Solvers against dense linear algebra, against each other, and against the laws that they promise."""

import socket
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import torch
import torch.distributed as distributed
from hypothesis import given, settings
from hypothesis import strategies as st

from rostra.engine.errors import InputError, JobError
from rostra.methods.dac_mdp import objective, solvers
from rostra.methods.dac_mdp.solvers import Problem, policy_values, solve_many, solve_sharded, solve_values

GAMMA = 0.9


def random_problem(seed, n=60, actions=3, k=4, kind=np.float64, weighted=False, forbidden=0.2, ends=0.1):
    generator = np.random.default_rng(seed)
    reward = generator.normal(size=(n, actions)).astype(kind)
    reward[generator.random((n, actions)) < forbidden] = -np.inf
    reward[:, 0] = np.where(np.isfinite(reward).any(1), reward[:, 0], 0)  # one action is allowed everywhere
    weights = generator.random((n, actions, k)).astype(kind)
    weights = weights / weights.sum(-1, keepdims=True) if weighted else np.empty((0, 0, 0), kind)
    successors = generator.integers(0, n, (n, actions, k)).astype(np.int32)
    return Problem(successors, weights, reward, generator.random(n) < ends)


def transitions(problem):
    """P(s' | s, a) as a dense array; nothing follows an end state."""
    n, actions, k = problem.successors.shape
    weights = problem.weights if problem.weights.size else np.full((n, actions, k), 1 / k)
    dense = np.zeros((n, actions, n))
    states = np.arange(n)
    for action, m in product(range(actions), range(k)):
        np.add.at(dense, (states, action, problem.successors[:, action, m]), weights[:, action, m])
    dense[problem.terminal] = 0
    return dense


def exact_values(problem, gamma, slip=0.0):
    """Policy iteration, each policy by a linear system."""
    dense, n = transitions(problem), len(problem.terminal)
    reward = np.where(problem.terminal[:, None], 0, problem.reward)
    allowed = np.isfinite(reward)
    policy = np.argmax(reward, 1)
    for _ in range(1000):
        chance = allowed * (slip / allowed.sum(1, keepdims=True))
        chance[np.arange(n), policy] += 1 - slip
        values = np.linalg.solve(
            np.eye(n) - gamma * np.einsum("sa,sat->st", chance, dense),
            (chance * np.where(allowed, reward, 0)).sum(1),
        )
        found = np.argmax(reward + gamma * dense @ values, 1)
        if (found == policy).all():
            return values
        policy = found
    raise AssertionError("policy iteration does not end")


WAYS = [
    ("modified", "numba"),
    ("gauss-seidel", "numba"),
    ("jacobi", "numba"),
    ("jacobi", "numpy"),
    ("jacobi", "torch"),
]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("method", "backend"), WAYS)
def test_the_error_is_within_the_bound_that_is_reported(method, backend, weighted, kind):
    for seed in range(4):
        problem = random_problem(seed, kind=kind, weighted=weighted)
        exact = exact_values(
            Problem(*(part.astype(np.float64) if part.dtype.kind == "f" else part for part in problem)), GAMMA
        )
        for tol in (1.0, 1e-2, 1e-4):
            found = solve_values(problem, GAMMA, tol=tol, method=method, backend=backend)
            assert np.abs(found.values - exact).max() <= found.error_bound
            assert found.change <= tol
            assert found.error_bound <= GAMMA / (1 - GAMMA) * tol + 1e-3
    assert found.values.dtype == kind
    q = problem.reward + GAMMA * transitions(problem) @ found.values
    gap = q.max(1) - q[np.arange(len(q)), found.policy]
    assert gap[~problem.terminal].max() < 1e-3  # the policy is greedy


@pytest.mark.parametrize(("method", "backend"), WAYS)
def test_a_start_that_is_too_high_ends_at_the_same_values(method, backend):
    """Values that fall must count as changes."""
    problem = random_problem(0)
    exact = exact_values(problem, GAMMA)
    found = solve_values(problem, GAMMA, tol=1e-8, method=method, backend=backend, initial=np.full(60, 500.0))
    assert np.abs(found.values - exact).max() < 1e-6


@pytest.mark.parametrize(("method", "backend"), WAYS)
@pytest.mark.parametrize("slip", [0.1, 1.0])
def test_a_slip_is_the_exact_value_of_a_hand_that_slips(method, backend, slip):
    """With slip 1 these are the values of uniformly random actions."""
    problem = random_problem(3)
    found = solve_values(problem, GAMMA, slip=slip, tol=1e-9, method=method, backend=backend)
    assert np.allclose(found.values, exact_values(problem, GAMMA, slip), atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), gamma=st.floats(0, 0.99))
def test_a_sweep_contracts_and_keeps_order(seed, gamma):
    problem = random_problem(seed, n=20)
    generator = np.random.default_rng(seed)
    low = np.where(problem.terminal, 0, generator.normal(size=20))
    high = np.where(problem.terminal, 0, low + generator.random(20))
    sweeps = [
        solvers._NumpySweep(problem, gamma, slip=0.0)(values, np.zeros(20, np.int32))[0] for values in (low, high)
    ]
    assert np.abs(sweeps[1] - sweeps[0]).max() <= gamma * np.abs(high - low).max() + 1e-12
    assert (sweeps[1] >= sweeps[0] - 1e-12).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_several_problems_at_once_are_each_alone(weighted):
    alone = [random_problem(7, weighted=weighted)._replace(reward=random_problem(7 + b).reward) for b in range(5)]
    together = alone[0]._replace(reward=np.stack([problem.reward for problem in alone], axis=2))
    gammas, slips = [0.5, 0.9, 0.9, 0.8, 0.0], [0.0, 0.0, 0.3, 1.0, 0.0]
    found = solve_many(together, gammas, slip=slips, tol=1e-10)
    for problem, own, gamma, slip in zip(alone, found, gammas, slips, strict=True):
        single = solve_values(problem, gamma, slip=slip, tol=1e-10, method="gauss-seidel")
        assert np.allclose(own.values, single.values, atol=1e-8)
        assert (own.policy == single.policy)[~problem.terminal].all()


def test_backward_sweeps_carry_a_reward_through_a_chain_at_once():
    n = 1000
    successors = np.minimum(np.arange(n) + 1, n - 1).astype(np.int32).reshape(n, 1, 1)
    reward = np.zeros((n, 1))
    reward[n - 2] = 1
    problem = Problem(successors, np.empty((0, 0, 0)), reward, np.arange(n) == n - 1)
    found = solve_values(problem, 0.999, tol=1e-12, method="gauss-seidel")
    assert found.sweeps == 2
    assert np.allclose(found.values[: n - 1], 0.999 ** np.arange(n - 2, -1, -1.0))


def test_values_of_a_policy_solve_its_linear_system():
    problem = random_problem(5)
    policy = np.argmax(np.isfinite(problem.reward), 1).astype(np.int32)
    states = np.arange(60)
    dense = transitions(problem)[states, policy]
    reward = np.where(problem.terminal, 0, problem.reward[states, policy])
    exact = np.linalg.solve(np.eye(60) - GAMMA * dense, reward)
    assert np.allclose(policy_values(problem, policy, GAMMA, tol=1e-10), exact, atol=1e-8)


def _sharded(rank, port, processes, folder):
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=processes)
    for name, problem, slip in (("plain", random_problem(11, n=101), 0.0), ("slip", random_problem(12, n=4), 0.2)):
        found = solve_values(problem, GAMMA, slip=slip, tol=1e-9, backend="torch.distributed")
        np.savez(f"{folder}/{name}{rank}.npz", values=found.values, policy=found.policy, bound=found.error_bound)
    distributed.destroy_process_group()


def test_two_processes_find_what_one_finds(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_sharded, (port, 2, str(tmp_path)), nprocs=2)
    for name, problem, slip in (("plain", random_problem(11, n=101), 0.0), ("slip", random_problem(12, n=4), 0.2)):
        alone = solve_values(problem, GAMMA, slip=slip, tol=1e-9, backend="torch")
        for rank in range(2):
            found = np.load(tmp_path / f"{name}{rank}.npz")
            assert np.array_equal(found["values"], alone.values)
            assert np.array_equal(found["policy"], alone.policy)
            assert float(found["bound"]) == pytest.approx(alone.error_bound)


@pytest.mark.parametrize("count", [1, 2])
def test_parallel_loops_run_on_the_threads_of_torch_and_leave_them_as_they_were(count):
    """In a process of its own: numba's first parallel loop, once in a process, gives torch all cores."""
    script = f"""
import torch
torch.set_num_threads({count})
from rostra.methods.dac_mdp import DACMDP
from rostra.methods.dac_mdp.data import cartpole_log
log = cartpole_log("random", 300, seed=0)
DACMDP(k=5, cost=1.0).fit(log).act(log.states[:1])
import numba
print(torch.get_num_threads(), numba.get_num_threads() == min({count}, numba.config.NUMBA_NUM_THREADS))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout == f"{count} True\n", done.stderr


def test_what_cannot_be_solved_says_so():
    problem = random_problem(0, kind=np.float32)
    with pytest.raises(InputError, match="method must be one of modified"):
        solve_values(problem, GAMMA, method="newton")
    with pytest.raises(InputError, match="backend must be one of numba"):
        solve_values(problem, GAMMA, backend="jax")
    with pytest.raises(InputError, match="below what float32 can tell"):
        solve_values(problem, GAMMA, tol=1e-9)
    with pytest.raises(InputError, match="tol must be above 0"):
        solve_values(problem, GAMMA, tol=0)
    with pytest.raises(JobError, match="after 2 sweeps"):
        solve_values(problem, GAMMA, tol=1e-4, method="jacobi", max_sweeps=2)
    with pytest.raises(JobError, match="after 2 sweeps"):
        solve_many(problem._replace(reward=problem.reward[:, :, None]), [GAMMA], tol=1e-4, max_sweeps=2)
    with pytest.raises(InputError, match="init_process_group"):
        solve_sharded(problem, GAMMA)


def test_rounding_is_part_of_the_bound():
    """Where nothing changes any more, single precision is what is left."""
    for seed in range(20):
        problem = random_problem(seed, kind=np.float32, weighted=True)
        exact = exact_values(
            Problem(*(part.astype(np.float64) if part.dtype.kind == "f" else part for part in problem)), 0.99
        )
        found = solve_values(problem, 0.99, tol=1e-5 * np.abs(exact).max())
        rounding = found.error_bound - 0.99 / 0.01 * found.change
        assert 0 < rounding < 1e-3 * np.abs(exact).max()
        assert np.abs(found.values - exact).max() <= found.error_bound


def test_large_values_stop_where_single_precision_does():
    problem = random_problem(0, kind=np.float32)
    large = problem._replace(reward=problem.reward * np.float32(1e6))
    found = solve_values(large, GAMMA)
    exact = exact_values(
        Problem(*(part.astype(np.float64) if part.dtype.kind == "f" else part for part in large)), GAMMA
    )
    assert np.abs(found.values - exact).max() <= found.error_bound < 1e-3 * np.abs(exact).max()


@pytest.mark.parametrize("kind", objective.WEIGHTS)
def test_weights_sum_to_one_over_those_that_are_used(kind):
    distances = np.array([[0.0, 1.0, 2.0], [1.0, 1.0, 5.0]])
    used = np.array([[True, True, False], [True, True, True]])
    weights = objective.neighbour_weights(distances, kind, used=used)
    assert np.allclose(weights.sum(-1), 1)
    assert weights[0, 2] == 0
    assert weights[1, 0] == weights[1, 1]
    assert not objective.neighbour_weights(distances, kind, used=np.zeros((2, 3), bool)).any()


def test_an_exact_hit_takes_practically_all_weight():
    weights = objective.neighbour_weights(np.array([0.0, 0.01, 1.0]), "inverse")
    assert weights[0] > 1 - 1e-5


def test_official_weights_are_uniform_at_no_cost_and_sharpen_with_it():
    distances = np.array([0.5, 1.0, 2.0])
    assert np.allclose(objective.neighbour_weights(distances, "official", cost=0), 1 / 3)
    assert objective.neighbour_weights(distances, "official", cost=10)[0] > 0.5
    with pytest.raises(InputError, match="weights must be one of"):
        objective.neighbour_weights(distances, "gaussian")
