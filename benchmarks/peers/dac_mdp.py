"""Runs in the peers' own environment: a derived MDP by quantecon and by pymdptoolbox.

`python dac_mdp.py DATA.npz` prints, by solver, {"values": [...], "seconds": ..., "setup": ...} as JSON. The file
holds `successors` (N, A, k), `reward` (N, A), `terminal` (N,), `gamma` and `epsilon`. CPU seconds are those of the
solver alone, at its second run on the problem: imports, compilation and what makes the matrices are `setup`.
"""

import json
import sys
import time
import warnings

import numpy as np
from scipy import sparse

SWEEPS = 1_000_000


def absorbing(data):
    """(successors, reward) as tabular solvers take them: an end state leads to itself and is paid nothing."""
    ends = np.flatnonzero(data["terminal"])
    successors, reward = data["successors"].copy(), data["reward"].astype(np.float64)
    successors[ends] = ends[:, None, None]
    reward[ends] = 0
    return successors, reward


def matrix(successors, states):
    """P(s' | pair), (pairs, states), from the successors of pairs (pairs, k)."""
    pairs, k = successors.shape
    found = sparse.csr_matrix(
        (np.full(pairs * k, 1 / k), successors.ravel(), np.arange(pairs + 1) * k), (pairs, states)
    )
    found.sum_duplicates()
    return found


def corrected(values, problem, gamma):
    """The values that belong to values at which the span of a sweep's changes has settled.

    pymdptoolbox stops there, which is enough for a good policy; the values themselves may all be off by one number.
    """
    _, after = problem._bellmanOperator(np.asarray(values))
    change = after - values
    return after + gamma / (1 - gamma) * (change.min() + change.max()) / 2


def toolbox(name, data):
    from mdptoolbox import mdp

    successors, reward = absorbing(data)
    start = time.process_time()
    transitions = [matrix(successors[:, action], len(reward)) for action in range(reward.shape[1])]
    made = [getattr(mdp, name)(transitions, reward, float(data["gamma"]), epsilon=float(data["epsilon"]))]
    setup = time.process_time() - start
    made.append(getattr(mdp, name)(transitions, reward, float(data["gamma"]), epsilon=float(data["epsilon"])))
    for problem in made:
        start = time.process_time()
        problem.run()
        seconds = time.process_time() - start
    return corrected(np.array(problem.V), problem, float(data["gamma"])), seconds, setup


def quantecon(method, data):
    from quantecon.markov import DiscreteDP

    successors, reward = absorbing(data)
    states, actions = reward.shape
    start = time.process_time()
    transitions = matrix(successors.reshape(states * actions, -1), states)
    pairs = np.repeat(np.arange(states), actions), np.tile(np.arange(actions), states)
    problem = DiscreteDP(reward.ravel(), transitions, float(data["gamma"]), *pairs)
    setup = time.process_time() - start
    for _ in range(2):
        start = time.process_time()
        found = problem.solve(method, epsilon=float(data["epsilon"]), max_iter=SWEEPS)
        seconds = time.process_time() - start
    return found.v, seconds, setup


SOLVERS = {
    "quantecon, value iteration": (quantecon, "value_iteration"),
    "quantecon, modified policy iteration": (quantecon, "modified_policy_iteration"),
    "pymdptoolbox, value iteration": (toolbox, "ValueIteration"),
    "pymdptoolbox, modified policy iteration": (toolbox, "PolicyIterationModified"),
}


def main():
    warnings.simplefilter("ignore")
    data = np.load(sys.argv[1])
    data = {name: data[name] for name in data.files}
    answers = {}
    for name, (solve, method) in SOLVERS.items():
        values, seconds, setup = solve(method, data)
        answers[name] = {"values": values.tolist(), "seconds": seconds, "setup": setup}
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
