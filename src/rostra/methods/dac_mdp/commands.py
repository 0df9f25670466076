"""``rostra dac-mdp``: from a log of transitions to a policy, and to the answers of other questions."""

__all__ = ["app"]

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rostra.engine.commands import Device, JsonOutput, Quiet, Seed, Threads, emit, list_option, number_list, prepare
from rostra.engine.errors import InputError
from rostra.engine.numbers import number

app = typer.Typer(help="DAC-MDP: offline reinforcement learning by solving the MDP that a log spans.")

Log = Annotated[str, typer.Argument(help="Log: FILE.npz, FILE.csv, FILE.parquet or minari:ID.")]
Model = Annotated[Path, typer.Argument(help="Folder saved by 'rostra dac-mdp fit'.")]
Encoder = Literal["raw", "dqn", "bcq", "bc"]
Weights = Literal["uniform", "inverse", "official"]
Index = Literal["auto", "exact", "kdtree", "faiss", "hnsw", "ivf"]
LookUp = Literal["lookahead", "q_average", "nearest_core", "core_average", "soft"]
Scaling = Annotated[Literal["standard", "none"], typer.Option(help="Divide features by their deviation.")]
Features = Annotated[Encoder, typer.Option(help="Features: raw, or those of a network trained on the log.")]
EncoderSteps = Annotated[int, typer.Option(min=1, help="Minibatches of that training.")]
StateColumns = Annotated[str, typer.Option(help="Columns of a CSV; default: obs_*.")]
ActionColumns = Annotated[str, typer.Option(help="Its column of actions (columns: continuous); default: action.")]
RewardColumn = Annotated[str, typer.Option(help="Its column of rewards.")]
WeightKind = Annotated[
    Weights | None, typer.Option(help="Of neighbours; default: uniform, of continuous actions inverse.")
]
IndexKind = Annotated[Index, typer.Option(help="Of neighbours.")]
Episodes = Annotated[int, typer.Option(min=1, help="Episodes to play.")]
MaxSteps = Annotated[int | None, typer.Option(min=1, help="Cut longer episodes; some games have no end.")]
MemoryMap = Annotated[Path | None, typer.Option(help="Folder for tables that do not fit into memory.")]
Environment = Annotated[str | None, typer.Option("--env", help="Gymnasium id, such as CartPole-v1.")]


@app.command()
def collect(
    env: Annotated[str, typer.Argument(help="Gymnasium id, such as CartPole-v1 or MinAtar/Breakout-v1.")],
    out: Annotated[str, typer.Option(help="FILE.npz, or minari:ID for a Minari data set on this machine.")],
    steps: Annotated[int, typer.Option(min=1, help="Transitions to log.")] = 10_000,
    policy: Annotated[
        str, typer.Option(help="random, balance (CartPole's controller), or a model's folder.")
    ] = "random",
    epsilon: Annotated[str, typer.Option(help="Chance of a random action; of a,b,c each episode draws one.")] = "0",
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Play an environment and write the log.

    Example: rostra dac-mdp collect CartPole-v1 --steps 10000 --out log.npz
    """
    prepare(quiet=quiet, threads=threads)
    from rostra.fields.rl.collection import collect as play
    from rostra.fields.rl.collection import epsilon_greedy, random_policy
    from rostra.fields.rl.environments import make_envs
    from rostra.fields.rl.transitions import check_minari_id

    from .agent import DACMDP
    from .data import balance
    from .environments import register_environments

    target = None if out.startswith("minari:") else _log_file(out)
    if target is None:
        check_minari_id(out.removeprefix("minari:"))
    chances = number_list("--epsilon", epsilon, low=0, high=1)
    if policy == "random" and chances != [0]:
        raise InputError("--policy random is random already; --epsilon goes with another policy")
    register_environments()
    with closing(make_envs(env, 8)) as envs:
        behaviour: Any
        if policy == "random":
            behaviour = random_policy(envs.single_action_space)
        else:
            act = balance if policy == "balance" else DACMDP.load(Path(policy), device=_device(device)).act
            if policy == "balance" and (
                envs.single_observation_space.shape != (4,) or getattr(envs.single_action_space, "n", 0) != 2
            ):
                raise InputError("--policy balance is a controller of CartPole: 4 numbers observed and 2 actions")
            behaviour = epsilon_greedy(act, envs.single_action_space, chances)
        log = play(behaviour, envs, steps, seed)
    if target is None:
        log.to_minari(out.removeprefix("minari:"), env=env)
    else:
        log.save(target)
    found = {"log": out, "env": env, "policy": policy, **log.summary()}
    emit(found, f"{_of_log(found)}; written to {out}\nnext: rostra dac-mdp fit {out} --out model", json_output)


@app.command()
def fit(
    log: Log,
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    k: Annotated[int, typer.Option(help="Neighbours of a pair.")] = 5,
    cost: Annotated[float, typer.Option(help="Reward lost per unit of distance to a neighbour.")] = 1.0,
    weights: WeightKind = None,
    gamma: Annotated[float, typer.Option(help="Discount, in [0, 1).")] = 0.99,
    scale: Scaling = "standard",
    encoder: Features = "raw",
    encoder_steps: EncoderSteps = 20_000,
    index: IndexKind = "auto",
    memory_map: MemoryMap = None,
    observations: StateColumns = "",
    action: ActionColumns = "",
    reward: RewardColumn = "reward",
    plot: Annotated[Path | None, typer.Option(help="Picture of values, distances and costs.")] = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Build the derived MDP of a log, solve it, and save the model.

    Example: rostra dac-mdp fit log.npz --out model --k 5 --cost 1
    """
    prepare(quiet=quiet, threads=threads)
    from rostra.engine.checkpoints import check_folder
    from rostra.engine.plots import check_picture, save_picture

    check_folder(out)
    if plot is not None:
        check_picture(plot)
    dataset = _read(log, observations, action, reward)
    model = _model(dataset, encoder, encoder_steps, seed, device)(
        k=k,
        cost=cost,
        **({} if weights is None else {"weights": weights}),
        gamma=gamma,
        scale=None if scale == "none" else scale,
        index=index,
        device=_device(device),
        memory_map=memory_map,
    )
    with _room_for_it():
        model.fit(dataset, backend=_backend(model))
        model.save(out, notes={"log": log})
    coverage = model.coverage()
    solution = model.solution_
    if plot is not None:
        save_picture(_picture(model, coverage["threshold"]), plot)
    found = {
        "model": str(out),
        **dataset.summary(),
        **_of_solution(solution),
        "build_seconds": round(model.build_seconds_, 3),
        "coverage": coverage,
    }
    warning = ""
    if coverage["share"] > 0.1:
        warning = (
            f"\n{coverage['share']:.0%} of the pairs that a plan may use lie farther from the log than 99 % of its own "
            "pairs lie from each other: their values rest on the cost, which a sweep can set"
        )
    emit(
        found,
        f"{_of_log(found)}\nbuilt in {model.build_seconds_:.2f} s, solved in {solution.seconds:.2f} s "
        f"({solution.sweeps} sweeps); mean value {number(found['mean_value'])}, within {number(solution.error_bound)} "
        f"of exact, after a discounted cost of {number(found['mean_penalty'])}{warning}\nsaved to {out}; "
        f"next: rostra dac-mdp evaluate {out} --env ID",
        json_output,
    )


@app.command()
def evaluate(
    model: Model,
    env: Environment = None,
    episodes: Episodes = 100,
    lookup: Annotated[LookUp, typer.Option(help="How an action is found in a state.")] = "lookahead",
    k_pi: Annotated[int | None, typer.Option(help="Neighbours that a look-up asks.")] = None,
    max_steps: MaxSteps = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Play a saved policy; without an environment, estimate its value from the log by fitted Q evaluation.

    Example: rostra dac-mdp evaluate model --env CartPole-v1 --episodes 100
    """
    prepare(quiet=quiet, threads=threads)
    from .agent import DACMDP

    solution = DACMDP.load(model, device=_device(device)).solution_
    if env is None and max_steps is not None:
        raise InputError("--max-steps cuts episodes that are played; it goes with --env")
    if env is None:
        found = _from_the_log(solution, lookup, k_pi, seed)
        text = (
            f"value of the first states by fitted Q evaluation: {number(found['value'])} (standard error "
            f"{number(found['standard_error'])}, residual {number(found['residual'])}); the plan itself expects "
            f"{number(found['planned_value'])}"
        )
    else:
        found = _played(solution, env, episodes, seed, lookup=lookup, k_pi=k_pi, max_steps=max_steps)
        text = _of_episodes(found)
    emit({"model": str(model), "lookup": lookup, **found}, text, json_output)


@app.command()
def resolve(
    model: Model,
    gamma: Annotated[float | None, typer.Option(help="Another discount; default: the model's.")] = None,
    cost: Annotated[float | None, typer.Option(help="Another cost; default: the model's.")] = None,
    forbid: Annotated[str, typer.Option(help="Actions that may not be taken, a,b,c.")] = "",
    penalty: Annotated[list[str] | None, typer.Option(help="'action==1:-0.2', 'obs[0]>1.5 & action==2:-1'.")] = None,
    end: Annotated[list[str] | None, typer.Option(help="More end states: 'obs[2]>0.2'.")] = None,
    slip: Annotated[float | None, typer.Option(help="Chance of a random action in place of the chosen one.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Forget what the model was asked before.")] = False,
    env: Environment = None,
    episodes: Episodes = 100,
    max_steps: MaxSteps = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the answer, as a model of its own.")] = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Ask a saved model another question: it is solved again, not built again. Prints what changed.

    What the model was asked before (penalties, forbidden actions, end states, discount, cost, slip) stays, and what is
    given here comes on top; --anew starts from the model as it was fitted. A penalty adds its amount to the logged
    rewards where all its conditions hold: on the action, on obs[i] (the state before) or next_obs[i] (after).

    Example: rostra dac-mdp resolve model --gamma 0.9 --forbid 1 --env CartPole-v1
    """
    prepare(quiet=quiet, threads=threads)
    from rostra.engine.checkpoints import check_folder

    from .agent import DACMDP
    from .questions import carried_over, ends, penalties

    if out is not None:
        check_folder(out)
    fitted = DACMDP.load(model, device=_device(device))
    before = fitted.solution_
    data = fitted.dataset_
    question: dict[str, Any] = {} if anew else carried_over(before)
    question |= {name: value for name, value in (("gamma", gamma), ("cost", cost), ("slip", slip)) if value is not None}
    if penalty:
        question["reward"] = question.get("reward", 0.0) + penalties(penalty, data)
    if end:
        question["terminal"] = question.get("terminal", data.terminals) | ends(end, data)
    question["forbid"] = number_list("--forbid", forbid, whole=True, low=0) if forbid else []
    after = fitted.solve(**question, initial=before, backend=_backend(fitted))
    alive = ~(before.problem.terminal | after.problem.terminal)
    changed = float((before.policy != after.policy)[alive].mean()) if alive.any() else 0.0
    found: dict[str, Any] = {
        "model": str(model),
        "build_seconds": round(fitted.build_seconds_, 3),
        "before": _of_solution(before),
        "after": _of_solution(after),
        "changed_actions": changed,
    }
    if env is not None:
        for when, solution in (("before", before), ("after", after)):
            found[when]["episodes"] = _played(solution, env, episodes, seed, max_steps=max_steps)
    lines = [
        f"solved again in {after.seconds:.3f} s ({after.sweeps} sweeps); the build took {fitted.build_seconds_:.2f} s",
        f"another action in {changed:.1%} of {int(alive.sum())} core states",
        *_changes(found["before"], found["after"]),
    ]
    if out is not None:
        fitted.solution_, fitted.gamma, fitted.cost = after, after.gamma, after.cost
        fitted.save(out, notes={"model": str(model)})
        lines.append(f"saved to {out}")
        found["out"] = str(out)
    emit(found, "\n".join(lines), json_output)


@app.command()
def sweep(
    log: Log,
    k: Annotated[str, typer.Option(help="Numbers of neighbours, a,b,c.")] = "1,5,20",
    cost: Annotated[str, typer.Option(help="Costs, a,b,c; default: --relative-cost.")] = "",
    relative_cost: Annotated[
        str, typer.Option(help="Costs in units of the mean reward per median neighbour distance.")
    ] = "0,0.01,0.1,1,10",
    gamma: Annotated[str, typer.Option(help="Discounts, a,b,c.")] = "0.99",
    env: Environment = None,
    episodes: Annotated[int, typer.Option(min=2, help="Episodes to play for each setting.")] = 20,
    max_steps: MaxSteps = None,
    weights: WeightKind = None,
    scale: Scaling = "standard",
    encoder: Features = "raw",
    encoder_steps: EncoderSteps = 20_000,
    index: IndexKind = "auto",
    memory_map: MemoryMap = None,
    observations: StateColumns = "",
    action: ActionColumns = "",
    reward: RewardColumn = "reward",
    out: Annotated[Path | None, typer.Option(help="CSV file for the table.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Heat map over k and cost.")] = None,
    save: Annotated[Path | None, typer.Option(help="Folder for the best model.")] = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Solve a log for many k, costs and discounts, and judge each: by playing, or from the log (fitted Q evaluation).

    Example: rostra dac-mdp sweep log.npz --env CartPole-v1 --plot heat.png --save best
    """
    prepare(quiet=quiet, threads=threads)
    from rostra.engine.checkpoints import check_folder
    from rostra.engine.files import writable, write_atomically
    from rostra.engine.plots import check_picture, save_picture

    from .plots import draw_heat_map
    from .sweeps import sweep as run_sweep

    if out is not None:
        writable(out)
    if plot is not None:
        check_picture(plot)
    if save is not None:
        check_folder(save)
    grid: dict[str, list[float]] = {
        "k": number_list("--k", k, whole=True, low=1),
        "gamma": number_list("--gamma", gamma),
    }
    if cost:
        grid["cost"] = number_list("--cost", cost)
    else:
        grid["relative_cost"] = number_list("--relative-cost", relative_cost)
    if plot is not None and len(grid["gamma"]) > 1:
        raise InputError("--plot shows one discount; give one --gamma")
    dataset = _read(log, observations, action, reward)
    model = _model(dataset, encoder, encoder_steps, seed, device)(
        **({} if weights is None else {"weights": weights}),
        scale=None if scale == "none" else scale,
        device=_device(device),
        index=index,
        memory_map=memory_map,
    )
    with _room_for_it():
        found = run_sweep(
            dataset, grid, _id_of(env) or "fqe", model=model, episodes=episodes, seed=seed, max_steps=max_steps
        )
    if out is not None:
        with write_atomically(out) as temporary:
            found.table.to_csv(temporary, index=False, float_format="%.8g")
    label = "mean return" if env else "value by fitted Q evaluation"
    if plot is not None:
        save_picture(draw_heat_map(found.table, label), plot)
    if save is not None:
        best = found.best.model
        best.solution_ = found.best
        best.cost, best.gamma = found.best.cost, found.best.gamma
        best.save(save, notes={"log": log})
    table = found.table
    row = table.iloc[found.best_row]
    shown = table[["k", "cost", "gamma", "mean", "standard_error", "mean_value", "penalty", "seconds"]]
    text = shown.to_string(index=False, float_format=lambda value: f"{value:.4g}", na_rep="–")
    emit(
        {
            "table": table.to_dict(orient="records"),
            "best": row.to_dict(),
            "compared": found.compared,
            "build_seconds": found.build_seconds,
        },
        f"{text}\nbest of {found.compared}: k {row['k']:.0f}, cost {row['cost']:.4g}, gamma {row['gamma']:g}: {label} "
        f"{row['mean']:.4g}, which is optimistic by that choice; built once in {found.build_seconds:.2f} s"
        + (f"; saved to {save}" if save else ""),
        json_output,
    )


# ------------------------------------------------------- parts


def _log_file(text: str) -> Path:
    from rostra.engine.files import writable

    if not text.endswith(".npz"):
        raise InputError(f"--out must be FILE.npz or minari:ID, got '{text}'")
    return writable(Path(text))


def _read(log: str, observations: str, action: str, reward: str) -> Any:
    from rostra.fields.rl.transitions import TransitionDataset, read_log

    if not observations and not action and reward == "reward":
        return read_log(log)
    if not log.endswith((".csv", ".parquet")):
        raise InputError("--observations, --action and --reward name columns of a CSV or Parquet file")
    actions = list_option(action)
    return TransitionDataset.from_csv(
        log,
        observations=list_option(observations) or None,
        action=None if not actions else actions[0] if len(actions) == 1 else actions,
        reward=reward,
    )


def _model(dataset: Any, encoder: str, steps: int, seed: int, device: str | None) -> Any:
    """The class for the log's actions, with its encoder."""
    import functools

    from . import encoders
    from .agent import DACMDP, DACMDPContinuous

    kind = DACMDP if dataset.is_discrete else DACMDPContinuous
    if encoder == "raw":
        return kind
    train = {"dqn": encoders.train_dqn, "bcq": encoders.train_bcq, "bc": encoders.train_bc}[encoder]
    return functools.partial(
        kind, train(dataset, encoders.EncoderConfig(steps=steps, seed=seed), device=_device(device))
    )


def _id_of(env: str | None) -> str | None:
    from .environments import register_environments

    register_environments()
    return env


def _played(
    solution: Any, env: str, episodes: int, seed: int, *, max_steps: int | None = None, **look_up: Any
) -> dict[str, Any]:
    import numpy as np

    from rostra.fields.rl.evaluation import evaluate as play

    generator = np.random.default_rng([seed, 31])  # of the look-up "soft"

    def policy(observations: Any) -> Any:
        return solution.act(observations, generator=generator, **look_up)

    found = play(policy, _id_of(env) or "", episodes, seed, max_steps=max_steps)
    return {"env": env, **found.summary()}


def _from_the_log(solution: Any, lookup: str, k_pi: int | None, seed: int) -> dict[str, Any]:
    from .off_policy import fitted_q_evaluation
    from .sweeps import actions_on_log

    data = solution.model.dataset_
    after, first = actions_on_log(solution, lookup, k_pi)
    encoder = None if solution.model.encoder is None else solution.model.features_of
    found = fitted_q_evaluation(data, after[None], first[None], solution.gamma, encoder=encoder, seed=seed)
    planned = solution.q_values(data.states[data.initial_states()]).max(1)
    return {
        "value": float(found.values[0]),
        "standard_error": float(found.standard_errors[0]),
        "residual": float(found.residuals[0]),
        "planned_value": float(planned.mean()),
        "gamma": solution.gamma,
    }


def _of_solution(solution: Any) -> dict[str, Any]:
    import numpy as np

    alive = ~solution.problem.terminal
    discrete = solution.model.dataset_.action_count
    shares = None
    if discrete is not None and alive.any():
        shares = (np.bincount(solution.policy[alive], minlength=discrete) / alive.sum()).tolist()
    return {
        "gamma": solution.gamma,
        "cost": solution.cost,
        "slip": solution.slip,
        "mean_value": float(solution.values[alive].mean()) if alive.any() else 0.0,
        "mean_penalty": float(solution.penalty[alive].mean()) if alive.any() else 0.0,
        "error_bound": solution.error_bound,
        "sweeps": solution.sweeps,
        "seconds": round(solution.seconds, 4),
        "action_shares": shares,
        "forbidden": [] if solution.allowed.actions is None else np.flatnonzero(~solution.allowed.actions).tolist(),
    }


def _picture(model: Any, reach: float) -> Any:
    import numpy as np

    from .plots import draw_model

    solution, tables = model.solution_, model.tables_
    alive = ~solution.problem.terminal
    nearest = tables.distances[:, :, 0][alive]
    distances = [nearest[:, action] if count else [] for action, count in enumerate(tables.counts)]
    paid = solution.penalty[alive]
    total = paid + np.abs(solution.values[alive])
    share = np.divide(paid, total, out=np.zeros_like(paid), where=total > 0)
    if tables.actions.ndim > 1:  # candidates have no names: one line for all
        distances = [nearest.ravel()]
    return draw_model(
        solution.values[alive], distances, share, reach=reach, action_names=["any"] if len(distances) == 1 else None
    )


def _of_log(found: dict[str, Any]) -> str:
    ends = f"{found['terminals']} ended and {found['timeouts']} were cut"
    return (
        f"{found['transitions']} transitions in {found['episodes']} episodes ({ends}), mean return "
        f"{number(found['mean_return'])}"
    )


def _of_episodes(found: dict[str, Any]) -> str:
    text = (
        f"{found['env']}: mean return {number(found['mean_return'])} ± {number(found['standard_error'])} over "
        f"{found['episodes']} episodes ({number(found['min_return'])} to {number(found['max_return'])}), mean length "
        f"{number(found['mean_length'])}"
    )
    if found["action_shares"] is not None:
        text += "; actions " + ", ".join(f"{i}: {share:.1%}" for i, share in enumerate(found["action_shares"]))
    return text


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """A line for each number that tells two answers apart."""
    both = (before, after)
    lines = [_line("", "before", "after")]
    names = {"gamma": "discount", "cost": "cost", "slip": "slip", "mean_value": "mean value"}
    for name, title in (names | {"mean_penalty": "mean discounted cost"}).items():
        lines.append(_line(title, *(number(own[name]) for own in both)))
    if before["forbidden"] or after["forbidden"]:
        lines.append(_line("forbidden actions", *(", ".join(map(str, own["forbidden"])) or "none" for own in both)))
    if before["action_shares"] and after["action_shares"]:
        lines += [
            _line(f"planned action {action}", *(f"{share:.1%}" for share in shares))
            for action, shares in enumerate(zip(*(own["action_shares"] for own in both), strict=True))
        ]
    if "episodes" in before:
        played = [own["episodes"] for own in both]
        returns = (f"{number(own['mean_return'])} ± {number(own['standard_error'])}" for own in played)
        lines.append(_line(f"return, {played[0]['episodes']} episodes", *returns))
        lines += [
            _line(f"played action {action}", *(f"{own['action_shares'][action]:.1%}" for own in played))
            for action in range(len(played[0]["action_shares"] or []))
        ]
    return lines


def _line(title: str, before: str, after: str) -> str:
    return f"{title:<24}{before:>18}{after:>18}"


def _device(name: str | None) -> str:
    from rostra.engine.runtime import resolve_device

    return str(resolve_device(name))


def _backend(model: Any) -> str:
    """The solver for the model's device."""
    return "numba" if model.device == "cpu" else "torch"


@contextmanager
def _room_for_it() -> Iterator[None]:
    """What does not fit into memory is refused in one line."""
    try:
        yield
    except MemoryError as error:
        raise InputError(
            str(error) or "the model does not fit into memory; take a smaller k, or --memory-map"
        ) from None
