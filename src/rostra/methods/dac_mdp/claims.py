"""The paper's claims about DAC-MDP, as runs. Margins, costs and numbers of neighbours are fixed here, before any run.

The full text of the paper gives its results for CartPole as figures and for Atari as a table that needs its data sets;
neither is quoted. The unit of every interval is the log: one seed, one log.
"""

__all__ = ["CLAIMS"]

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rostra.engine.claims import Claim, Context, Row, Scale
from rostra.engine.errors import JobError
from rostra.engine.stats import Law, NonInferiority, Superiority, Threshold

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

MODERATE = 1.0
"""The cost that the authors' scripts take, in units of CartPole's reward per unit of its raw state."""


FIRST_GAME = 1_000_000
"""Seeds of the episodes that policies play begin here: no log has them."""


def _play(policy: Any, simulator: Any, episodes: int, seed: int, *, limit: int, noise: Any = 0.0) -> Any:
    """All episodes at once, the same for every policy of a seed."""
    from rostra.fields.rl.evaluation import evaluate

    from .environments import SimulatorVectorEnv

    return evaluate(policy, SimulatorVectorEnv(simulator, episodes, limit, noise), episodes, FIRST_GAME + seed)


# ------------------------------------------------------- CartPole: cost and neighbours


def cartpole(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """Logs of CartPole, an arm each: "random", "optimal", "mixed"; "noisy random" is seen, and played, with noise.

    A row for each number of transitions, neighbours k and cost C, with the mean return of its policy. Metrics of the
    seed, the same in all its rows, are means over the rest of the grid: ``caution`` (C = 1 less C = 0, of k above 1:
    with one neighbour and no cost nearly all states have one value, and ties decide), ``excess`` (C = 1 less the
    largest C), ``lead`` (C = 1 less the log's own mean return), ``smoothing`` (k = 5 less k = 1, at C = 1) and
    ``smoothing_wide`` (the largest k less k = 1, at C = 1).
    """
    import numpy as np

    from .agent import DACMDP
    from .data import cartpole_log
    from .environments import CartPole

    noise = settings["noise"] if arm.startswith("noisy") else 0.0
    costs, neighbours = settings["costs"], settings["k"]
    kind: Any = arm.removeprefix("noisy ")
    for seed in seeds:
        log = cartpole_log(kind, max(settings["n"]), seed, noise)
        rows: list[Row] = []
        for n in settings["n"]:
            built = DACMDP(k=max(neighbours), scale=None).build(log.head(n))
            for k in neighbours:
                narrow, before = built.narrowed(k), None
                for cost in costs:
                    before = narrow.solve(cost=cost, initial=before)
                    played = _play(before.act, CartPole(), settings["episodes"], seed, limit=500, noise=noise)
                    rows.append({"seed": seed, "n": n, "k": k, "cost": cost, "return": played.mean})

        def mean(cost: float, chosen: Sequence[int] = neighbours, rows: list[Row] = rows) -> float:
            return float(np.mean([row["return"] for row in rows if row["cost"] == cost and row["k"] in chosen]))

        several = [k for k in neighbours if k > 1]
        of_seed = {
            "caution": mean(MODERATE, several) - mean(0.0, several),
            "excess": mean(MODERATE) - mean(max(costs)),
            "lead": mean(MODERATE) - float(log.episode_returns().mean()),
            "smoothing": mean(MODERATE, [5]) - mean(MODERATE, [1]),
            "smoothing_wide": mean(MODERATE, [max(neighbours)]) - mean(MODERATE, [1]),
        }
        for row in rows:
            yield row | of_seed


def draw_returns(rows: Mapping[str, Sequence[Row]]) -> "Figure":
    """Mean return over k and cost, a panel a log: means over seeds and numbers of transitions."""
    import pandas as pd

    from .plots import draw_heat_map

    table = pd.DataFrame([{"log": arm, **row} for arm, found in rows.items() for row in found])
    grouped = table.groupby(["log", "k", "cost", "seed"], sort=False)["return"].mean().reset_index()
    cells = grouped.groupby(["log", "k", "cost"], sort=False)["return"].agg(["mean", "sem"]).reset_index()
    return draw_heat_map(cells.rename(columns={"sem": "standard_error"}))


_CARTPOLE: dict[str, Any] = {
    "k": [1, 5, 20],
    "costs": [0.0, 0.1, 1.0, 10.0, 100.0, 1000.0],
    "episodes": 100,
    "noise": [0.05, 0.05, 0.02, 0.05],
}
_CARTPOLE_SCALES = {
    "smoke": Scale({**_CARTPOLE, "n": [5000], "costs": [0.0, 1.0, 1000.0], "k": [1, 5], "episodes": 20}, seeds=1),
    "laptop": Scale({**_CARTPOLE, "n": [10_000, 50_000, 100_000]}, seeds=5),
    "paper": Scale({**_CARTPOLE, "n": [100_000]}, seeds=5),
}
_KINDS = ("random", "mixed", "optimal", "noisy random")


# ------------------------------------------------------- the room with two goals


def zero_shot(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """One build for each log, solved for another objective in each arm.

    Arms "..., slipping" are played with a tenth of the actions drawn at random. ``far`` and ``near``: share of episodes
    that end in the far and in the near goal; ``right``: share of right turns; ``steps``; ``effort``: time of this
    solve over that of the build.
    """
    import numpy as np

    from .agent import DACMDP
    from .data import heading_room_log
    from .environments import GOAL_REWARDS, HeadingRoom

    questions: dict[str, dict[str, Any]] = {
        "long horizon": {"gamma": 0.99},
        "short horizon": {"gamma": 0.8},
        "no right turns": {"gamma": 0.99, "forbid": [1]},
        "right turns cost": {"gamma": 0.99, "reward": lambda before, actions, after: np.where(actions == 1, -0.2, 0.0)},
        "expecting slips": {"gamma": 0.99, "slip": 0.1},
    }
    DACMDP(k=5, scale=None).fit(heading_room_log(500, 0))  # compiles, where nothing has yet
    for seed in seeds:
        log = heading_room_log(settings["n"], seed)
        random = np.random.default_rng([seed, 5])
        act: Any
        if arm == "random actions":
            act, effort = _turn_at_random(random), 0.0
        else:
            model = DACMDP(k=5, cost=1.0, scale=None).build(log)
            objective, _, slipping = arm.partition(", ")
            solution = model.solve(**questions[objective])
            act, effort = solution.act, solution.seconds / model.build_seconds_
            if slipping:
                act = _slipping(act, random)
        played = _play(act, HeadingRoom(), settings["episodes"], seed, limit=150)
        assert played.action_shares is not None
        yield {
            "seed": seed,
            "far": float((played.returns == GOAL_REWARDS[1]).mean()),
            "near": float((played.returns == GOAL_REWARDS[0]).mean()),
            "right": float(played.action_shares[1]),
            "steps": float(played.lengths.mean()),
            "effort": effort,
        }


def _turn_at_random(random: "np.random.Generator") -> Any:
    """The behaviour of the logs: half of the actions go forward."""
    import numpy as np

    return lambda observations: np.minimum(random.integers(0, 4, len(observations)), 2)


def _slipping(act: Any, random: "np.random.Generator") -> Any:
    """A hand that takes a random action one time in ten."""
    import numpy as np

    def policy(observations: Any) -> Any:
        slips = random.random(len(observations)) < 0.1
        return np.where(slips, random.integers(0, 3, len(observations)), act(observations))

    return policy


def draw_goals(rows: Mapping[str, Sequence[Row]]) -> "Figure":
    """Shares of the goals and of right turns for each objective."""
    import numpy as np
    import pandas as pd

    from .plots import draw_zero_shot

    names = {"far": "far goal (10)", "near": "near goal (1)", "right": "right turns, of all actions"}
    table = [
        {
            "objective": arm,
            "outcome": title,
            "share": float(np.mean([row[metric] for row in found])),
            "standard_error": float(np.std([row[metric] for row in found], ddof=1) / np.sqrt(len(found)))
            if len(found) > 1
            else float("nan"),
        }
        for arm, found in rows.items()
        for metric, title in names.items()
    ]
    return draw_zero_shot(pd.DataFrame(table), "share")


_OBJECTIVES = (
    "long horizon",
    "short horizon",
    "no right turns",
    "right turns cost",
    "long horizon, slipping",
    "expecting slips, slipping",
    "random actions",
)


# ------------------------------------------------------- learned features


def learned(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """MinAtar: a log of a partly trained DQN, and what each offline method makes of it, by game.

    ``return``: raw game score; ``score``: over the mean of the log's own episodes, so that games weigh alike. Arms:
    "dqn", "bcq", "cql" trained on the log; "dac on dqn", "dac on bcq": DAC-MDP on the features of those very networks;
    "behaviour": the log itself.
    """
    from .agent import DACMDP
    from .sweeps import cost_unit

    for seed in seeds:
        for game in settings["games"]:
            log = _kept_log(settings, game, seed, context)
            own = float(log.episode_returns().mean())
            if own <= 0:
                raise JobError(f"the log of {game}, seed {seed}, earned nothing: scores cannot be told in its units")
            if arm == "behaviour":
                found = own
            else:
                encoder = _kept_encoder(settings, game, arm.removeprefix("dac on "), seed, log, context)
                act = encoder.act
                if arm.startswith("dac on "):
                    model = DACMDP(encoder, k=settings["k"], gamma=settings["training"]["gamma"]).build(log)
                    act = model.solve(cost=settings["relative_cost"] * cost_unit(model)).act
                found = _score(act, settings, game, seed)
            yield {"seed": seed, "game": game, "return": found, "score": found / own}


def _score(act: Any, settings: Mapping[str, Any], game: str, seed: int) -> float:
    """Mean score of episodes that are the same for every method of a seed; 0.1 % of actions are random, as the authors'
    evaluations have it, or a policy may wait for ever."""
    import numpy as np

    from rostra.fields.rl.evaluation import evaluate

    random = np.random.default_rng([seed, 23])

    def policy(observations: Any) -> Any:
        actions = np.array(act(observations))
        explore = random.random(len(actions)) < 1e-3
        actions[explore] = random.integers(0, settings["actions"][game], int(explore.sum()))
        return actions

    found = evaluate(
        policy, f"MinAtar/{game}-v1", settings["episodes"], FIRST_GAME + seed, max_steps=settings["max_steps"]
    )
    return found.mean


def _kept_log(settings: Mapping[str, Any], game: str, seed: int, context: Context) -> Any:
    """The log of a seed, played once and kept beside the results."""
    from rostra.fields.rl.transitions import TransitionDataset

    with context.kept("dac_mdp", ["log", *_recipe(settings), game, seed]) as place:
        path = place.with_suffix(".npz")
        if not path.exists():
            _play_log(settings, game, seed).save(path)
        return TransitionDataset.load(path)


def _play_log(settings: Mapping[str, Any], game: str, seed: int) -> Any:
    """Four of five episodes with 20 % random actions, the others with 0.1 %: as the authors' code makes its logs."""
    from contextlib import closing

    from rostra.fields.rl.collection import collect, epsilon_greedy
    from rostra.fields.rl.environments import make_envs

    from .baselines import train_by_playing
    from .encoders import EncoderConfig

    env_id = f"MinAtar/{game}-v1"
    player = train_by_playing(env_id, settings["playing"], seed, EncoderConfig(**settings["training"], seed=seed))
    with closing(make_envs(env_id, 8)) as envs:
        behaviour = epsilon_greedy(player.act, envs.single_action_space, [0.2, 0.2, 0.2, 0.2, 1e-3])
        return collect(behaviour, envs, settings["n"], seed)


def _kept_encoder(settings: Mapping[str, Any], game: str, kind: str, seed: int, log: Any, context: Context) -> Any:
    from rostra.engine.checkpoints import DOCUMENT

    from . import encoders

    with context.kept("dac_mdp", ["encoder", kind, *_recipe(settings), game, seed]) as folder:
        if not (folder / DOCUMENT).exists():
            train = getattr(encoders, f"train_{kind}")
            train(log, encoders.EncoderConfig(**settings["training"], seed=seed)).save(folder)
        return encoders.TrainedEncoder.load(folder)


def _recipe(settings: Mapping[str, Any]) -> list[Any]:
    """What a log, and all that is trained on it, depends on."""
    return [settings["playing"], settings["n"], settings["training"]]


_MINATAR: dict[str, Any] = {
    "games": ["Breakout", "Asterix"],
    "actions": {"Breakout": 3, "Asterix": 5},
    "playing": 60_000,
    "n": 40_000,
    "training": {
        "steps": 8_000,
        "batch_size": 32,
        "lr": 2.5e-4,
        "adam_epsilon": 1e-5,
        "gamma": 0.99,
        "target_period": 1000,
        "tau": 1.0,
    },
    "k": 5,
    "relative_cost": 0.3,
    "episodes": 30,
    "max_steps": 2500,
}


# ------------------------------------------------------- scale


def scale(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """Build and solve a random walk of n steps through [0, 1]^8 with four actions, k = 5.

    ``seconds`` of both, ``build`` and ``solve``; ``memory``, the largest of the process, in MB; ``bound``, the
    certified error of a value.
    """
    import numpy as np

    from rostra.engine.runtime import peak_memory_mb
    from rostra.fields.rl.transitions import TransitionDataset

    from .agent import DACMDP

    DACMDP(k=5).fit(_walk(500, 0))  # compiles
    for seed in seeds:
        log: TransitionDataset = _walk(settings["n"][arm], seed)
        model = DACMDP(k=5, cost=1.0, gamma=0.99).fit(log)
        found = model.solution_
        yield {
            "seed": seed,
            "n": len(log),
            "build": model.build_seconds_,
            "solve": found.seconds,
            "seconds": model.build_seconds_ + found.seconds,
            "memory": peak_memory_mb(),
            "bound": found.error_bound,
            "value": float(np.mean(found.values)),
        }


def _walk(n: int, seed: int) -> Any:
    """Episodes of 200 steps: each action moves along its own direction; reward near a corner."""
    import numpy as np

    from rostra.fields.rl.transitions import TransitionDataset

    random = np.random.default_rng(seed)
    length, walkers = 200, -(-n // 200)
    moves = np.random.default_rng(0).normal(size=(4, 8)) * 0.05
    place = random.random((walkers, 8))
    states = np.empty((walkers, length + 1, 8), np.float32)
    actions = random.integers(0, 4, (walkers, length))
    states[:, 0] = place
    for step in range(length):
        place = np.abs(place + moves[actions[:, step]] + 0.01 * random.normal(size=place.shape))
        place = 1 - np.abs(1 - place)  # reflected at both ends
        states[:, step + 1] = place
    before, after = states[:, :-1].reshape(-1, 8)[:n], states[:, 1:].reshape(-1, 8)[:n]
    rewards = np.exp(-4 * ((after - 1) ** 2).sum(1))
    episodes = np.repeat(np.arange(walkers), length)[:n]
    timeouts = np.arange(n) % length == length - 1
    timeouts[-1] = True
    return TransitionDataset.from_arrays(
        before, actions.ravel()[:n], rewards, after, np.zeros(n, bool), timeouts, episodes, 4
    )


def draw_seconds(rows: Mapping[str, Sequence[Row]]) -> "Figure":
    """Build and solve over the length of the log."""
    import pandas as pd

    from .plots import draw_scale

    table = pd.DataFrame([row for found in rows.values() for row in found])
    return draw_scale(table.rename(columns={"build": "build_seconds", "solve": "solve_seconds"}))


# ------------------------------------------------------- pessimism


def pessimism(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """The chain on [0, 1] whose Q* has Lipschitz constant 10: the largest excess of a planned value over a grid.

    ``over_optimum``: planned value less V*; ``above``: share of the grid where it is larger than V*; ``over_return``:
    planned value less the true return of the planned policy, for which no bound is known. Arms: "cost C".
    """
    import numpy as np

    from .agent import DACMDP
    from .data import CHAIN_DISCOUNT, chain_log, chain_optimal_value, chain_return

    places = np.linspace(0, 1, 400)
    for seed in seeds:
        for n in settings["n"]:
            for k in settings["k"]:
                model = DACMDP(k=k, cost=float(arm.split()[1]), gamma=CHAIN_DISCOUNT, scale=None, dtype="float64")
                model.fit(chain_log(n, seed), tol=1e-10)
                planned = model.q_values(places[:, None]).max(1)
                yield {
                    "seed": seed,
                    "n": n,
                    "k": k,
                    "over_return": float((planned - chain_return(model.act, places)).max()),
                    "over_optimum": float((planned - chain_optimal_value(places)).max()),
                    "above": float((planned > chain_optimal_value(places) + 1e-8).mean()),
                }


# ------------------------------------------------------- the claims

CLAIMS = (
    Claim(
        name="cost",
        statement="The cost has a sweet spot: none exploits gaps of the log, a moderate one is good, a huge one hurts.",
        source="Section 6 (CartPole): figures over C, k and kinds of logs",
        paper={},
        metric="caution",
        unit="return with C = 1 less return with C = 0, mean over k > 1 and N",
        arms=_KINDS[:3],
        scales={
            name: Scale(scale.settings, scale.seeds, arms=_KINDS[:1] if name == "smoke" else None)
            for name, scale in _CARTPOLE_SCALES.items()
        },
        comparisons=(
            *(Threshold(kind, "caution", 0.0) for kind in _KINDS[:3]),
            *(Threshold(kind, "excess", 0.0) for kind in ("random", "mixed")),
            Threshold("random", "lead", 0.0),
        ),
        run=cartpole,
        index=("seed", "n", "k", "cost"),
        note=(
            "Raw states. 'Huge' is C = 1000; it is compared on random and mixed logs alone, since it imitates the log, "
            "and imitating an optimal log is optimal. 'Good' is better than the log itself, on random logs."
        ),
        figure=draw_returns,
    ),
    Claim(
        name="neighbours",
        statement="Averaging over several neighbours helps on random and noisy logs.",
        source="Section 6 (CartPole): figures over k",
        paper={},
        metric="smoothing",
        unit="return with k = 5 less return with k = 1, both at C = 1",
        arms=_KINDS,
        scales={
            name: Scale(scale.settings, scale.seeds, arms=("random", "noisy random") if name == "smoke" else None)
            for name, scale in _CARTPOLE_SCALES.items()
        },
        comparisons=(
            Threshold("random", "smoothing", 0.0),
            Threshold("noisy random", "smoothing", 0.0),
        ),
        run=cartpole,
        index=("seed", "n", "k", "cost"),
        note=(
            "The claim speaks of random and noisy logs. On logs of a good policy, which hold few failures, averaging "
            "can hurt badly: 'optimal' and 'mixed' are shown beside it, and no single k is right for all."
        ),
        figure=draw_returns,
    ),
    Claim(
        name="zero_shot",
        statement="One built model answers other objectives at once: horizon, fewer actions, a penalty, caution.",
        source="Section 6 (three-dimensional room)",
        paper={},
        metric="far",
        unit="share of episodes that end in the far goal",
        arms=_OBJECTIVES,
        scales={
            "smoke": Scale({"n": 20_000, "episodes": 50}, seeds=1),
            "laptop": Scale({"n": 60_000, "episodes": 200}, seeds=5, chunk=5),
        },
        comparisons=(
            Superiority("long horizon", "random actions", "far"),
            Superiority("short horizon", "long horizon", "near"),
            Law("no right turns", "right", 0.0, 0.0),
            NonInferiority("no right turns", "long horizon", "far", margin=0.05),
            Superiority("right turns cost", "long horizon", "right", lower_is_better=True),
            NonInferiority("right turns cost", "long horizon", "far", margin=0.05),
            NonInferiority("expecting slips, slipping", "long horizon, slipping", "far", margin=0.05),
            *(
                Threshold(arm, "effort", 0.5, lower_is_better=True)
                for arm in ("short horizon", "no right turns", "right turns cost", "expecting slips, slipping")
            ),
        ),
        run=zero_shot,
        note=(
            "A room with a near goal of reward 1 and a far one of 10, in place of the paper's first-person rooms, "
            "which need a renderer. 'effort' is the time of a new solution over that of the build: at most half, so "
            "that asking again is worth its name. Paper scale, in those rooms, is not built."
        ),
        figure=draw_goals,
    ),
    Claim(
        name="learned_features",
        statement="On features of a network trained on the log, the plan is at least as good as that network's policy.",
        source="Section 6 (Atari): table of scores",
        paper={},
        metric="score",
        unit="score over that of the log, mean over games",
        arms=("dac on dqn", "dqn", "dac on bcq", "bcq", "cql", "behaviour"),
        scales={
            "smoke": Scale(
                {
                    **_MINATAR,
                    "games": ["Breakout"],
                    "playing": 1200,
                    "n": 1500,
                    "training": {**_MINATAR["training"], "steps": 200, "target_period": 100},
                    "episodes": 2,
                    "max_steps": 200,
                },
                seeds=1,
                arms=("dac on dqn", "dqn"),
            ),
            "laptop": Scale({**_MINATAR, "games": ["Breakout"]}, seeds=5),
            "paper": Scale({**_MINATAR, "playing": 5_000_000, "n": 1_000_000, "episodes": 100}, seeds=5),
        },
        comparisons=(
            NonInferiority("dac on dqn", "dqn", "score", margin=0.1),
            NonInferiority("dac on bcq", "bcq", "score", margin=0.1),
        ),
        run=learned,
        index=("seed", "game"),
        note=(
            "MinAtar in place of Atari; the paper's table needs logs that only a download has. Breakout alone at "
            "laptop scale, for want of time. All offline methods get the same log and as many minibatches. DAC-MDP "
            "takes k = 5, after one try on a seed that is not reported (1 and 20 were worse, costs alike); CQL "
            "(alpha 1) was not tuned: it is shown, not compared."
        ),
    ),
    Claim(
        name="scale",
        statement="Logs of a million transitions are built and solved on one machine.",
        source="Sections 4 and 6: an implementation that scales to millions of states",
        paper={},
        metric="seconds",
        unit="seconds of build and solve on two cores",
        arms=("small", "large"),
        scales={
            "smoke": Scale({"n": {"large": 50_000}}, seeds=1, arms=("large",), threads=2),
            "laptop": Scale({"n": {"small": 100_000, "large": 1_000_000}}, seeds=5, threads=2),
            "paper": Scale({"n": {"small": 100_000, "large": 10_000_000}}, seeds=5, threads=2),
        },
        comparisons=(
            Threshold("large", "seconds", 300.0, lower_is_better=True),
            Threshold("large", "memory", 4000.0, lower_is_better=True),
        ),
        run=scale,
        note=(
            "Small is 100,000 transitions, large a million (at paper scale ten). Bounds: five minutes, and 4,000 MB "
            "for the whole process, log included. The log is a set of random walks, easy for a KD tree; data that "
            "fill eight dimensions take several times as long (see the benchmark)."
        ),
        figure=draw_seconds,
    ),
    Claim(
        name="pessimism",
        statement="At a cost of the Lipschitz constant of Q*, planned values are below the optimum; at none, not.",
        source="Section 4; the lower bound holds for deterministic environments",
        paper={},
        metric="over_optimum",
        unit="largest planned value less the optimum",
        arms=("cost 10", "cost 3", "cost 0"),
        scales={
            "smoke": Scale({"n": [20, 100], "k": [1, 5]}, seeds=2, chunk=2),
            "laptop": Scale({"n": [20, 100, 1000], "k": [1, 5]}, seeds=20, chunk=20),
        },
        comparisons=(
            Law("cost 10", "above", 0.0, 0.0),
            Threshold("cost 0", "over_optimum", 0.0),
        ),
        run=pessimism,
        index=("seed", "n", "k"),
        note=(
            "L = 10 here. The bound is for every log and every state, so the law allows no exception. The return of "
            "the plan itself may be lower than planned: it takes a step by the nearest pairs, which lead elsewhere."
        ),
    ),
)
