"""``rostra dac-mdp`` as a user runs it."""

import json

import numpy as np
import pandas as pd
import pytest

from rostra.fields.rl.transitions import TransitionDataset
from rostra.methods.dac_mdp import DACMDP
from rostra.methods.dac_mdp.data import cartpole_log, continuous_cartpole_log

FAST = ("--episodes", "10")


@pytest.fixture(scope="session")
def log_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("logs") / "log.npz"
    cartpole_log("random", 5000, seed=0).save(path)
    return path


@pytest.fixture(scope="session")
def model(log_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "model"
    DACMDP(scale=None).fit(TransitionDataset.load(log_file)).save(folder)
    return folder


def assert_refused(done, message, status=2):
    assert done.returncode == status
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_from_playing_to_a_policy_and_another_question(rostra, tmp_path):
    """The four commands of the page, each telling what it did."""
    done = rostra("dac-mdp", "collect", "CartPole-v1", "--steps", "5000", "--out", "log.npz")
    assert done.returncode == 0, done.stderr
    assert "5000 transitions in" in done.stdout
    assert "next: rostra dac-mdp fit log.npz" in done.stdout
    done = rostra("dac-mdp", "fit", "log.npz", "--out", "model", "--scale", "none", "--plot", "model.png")
    assert done.returncode == 0, done.stderr
    assert "solved in" in done.stdout
    assert (tmp_path / "model.png").read_bytes().startswith(b"\x89PNG")
    done = rostra("dac-mdp", "evaluate", "model", "--env", "CartPole-v1", *FAST, "--json")
    found = json.loads(done.stdout)
    assert found["mean_return"] > 100  # random actions last for 22 steps
    done = rostra(
        "dac-mdp", "resolve", "model", "--gamma", "0.9", "--forbid", "1", "--env", "CartPole-v1", *FAST, "--json",
        "--out", "forbidden",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["after"]["gamma"] == 0.9
    assert found["after"]["action_shares"] == [1.0, 0.0]
    assert found["after"]["episodes"]["action_shares"] == [1.0, 0.0]
    assert found["after"]["episodes"]["mean_return"] < 15 < found["before"]["episodes"]["mean_return"]
    assert found["changed_actions"] > 0.2
    again = json.loads(rostra("dac-mdp", "evaluate", "forbidden", "--env", "CartPole-v1", *FAST, "--json").stdout)
    assert again["mean_return"] == found["after"]["episodes"]["mean_return"]
    kept = json.loads(rostra("dac-mdp", "resolve", "forbidden", "--cost", "2", "--json").stdout)
    assert kept["after"]["forbidden"] == [1]  # what was asked before stays
    assert kept["after"]["gamma"] == 0.9
    freed = json.loads(rostra("dac-mdp", "resolve", "forbidden", "--anew", "--json").stdout)
    assert freed["after"]["forbidden"] == []


def test_resolve_prints_what_changed(rostra, model):
    done = rostra("dac-mdp", "resolve", model, "--penalty", "action==1:-0.2", "--slip", "0.1", "--end", "obs[0]>1")
    assert done.returncode == 0, done.stderr
    assert "another action in" in done.stdout
    for line in ("discount", "slip", "mean value", "planned action 1"):
        assert line in done.stdout


def test_penalties_and_ends_stay_with_an_answer(rostra, model):
    done = rostra(
        "dac-mdp", "resolve", model, "--penalty", "action==1:-1", "--end", "obs[0]>1", "--out", "asked", "--json"
    )
    asked = json.loads(done.stdout)["after"]
    again = json.loads(rostra("dac-mdp", "resolve", "asked", "--json").stdout)
    assert again["before"]["mean_value"] == asked["mean_value"]
    assert again["after"]["mean_value"] == pytest.approx(asked["mean_value"], abs=0.2)
    twice = json.loads(rostra("dac-mdp", "resolve", "asked", "--penalty", "action==1:-1", "--json").stdout)
    assert twice["after"]["mean_value"] < asked["mean_value"] - 1


def test_a_plan_in_which_all_states_end(rostra, model):
    done = rostra("dac-mdp", "resolve", model, "--end", "obs[0]>-100")
    assert done.returncode == 0, done.stderr
    found = json.loads(rostra("dac-mdp", "resolve", model, "--end", "obs[0]>-100", "--json").stdout)
    assert found["after"]["mean_value"] == 0


def test_states_with_numbers_alone(rostra):
    """FrozenLake's states are names, not places: neighbouring numbers are not near each other."""
    assert rostra("dac-mdp", "collect", "FrozenLake-v1", "--steps", "500", "--out", "log.npz").returncode == 0
    done = rostra("dac-mdp", "fit", "log.npz", "--out", "model", "--scale", "none", "--k", "1", "--json")
    found = json.loads(done.stdout)
    assert found["observation_shape"] == [16]
    assert rostra("dac-mdp", "evaluate", "model", "--env", "FrozenLake-v1", *FAST).returncode == 0


def test_equal_seeds_print_equal_numbers(rostra, model):
    played = [
        json.loads(rostra("dac-mdp", "evaluate", model, "--env", "CartPole-v1", *FAST, "--seed", seed, "--json").stdout)
        for seed in ("3", "3", "4")
    ]
    assert played[0] == played[1] != played[2]


def test_without_an_environment_the_log_judges(rostra, model):
    done = rostra("dac-mdp", "evaluate", model)
    assert done.returncode == 0, done.stderr
    assert "fitted Q evaluation" in done.stdout
    assert "the plan itself expects" in done.stdout


def test_a_sweep_writes_its_table_its_picture_and_its_best_model(rostra, log_file, tmp_path):
    done = rostra(
        "dac-mdp", "sweep", log_file, "--k", "1,5", "--cost", "0,1", "--scale", "none", "--env", "CartPole-v1",
        *FAST, "--out", "table.csv", "--plot", "heat.png", "--save", "best", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    table = pd.read_csv(tmp_path / "table.csv")
    assert len(table) == found["compared"] == 4
    assert found["best"]["mean"] == pytest.approx(table["mean"].max())
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")
    again = rostra("dac-mdp", "evaluate", "best", "--env", "CartPole-v1", *FAST, "--json")
    assert json.loads(again.stdout)["mean_return"] == pytest.approx(found["best"]["mean"])


def test_a_sweep_takes_the_index_and_the_folder_for_tables(rostra, log_file, tmp_path):
    done = rostra(
        "dac-mdp", "sweep", log_file, "--k", "1,3", "--cost", "0", "--env", "CartPole-v1", *FAST,
        "--index", "kdtree", "--memory-map", "tables", "--save", "best",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert any(path.is_file() for path in (tmp_path / "tables").rglob("*"))
    assert json.loads((tmp_path / "best" / "rostra.json").read_text())["content"]["settings"]["index"] == "kdtree"


def test_a_sweep_without_an_environment_is_judged_from_the_log(rostra, log_file):
    done = rostra("dac-mdp", "sweep", log_file, "--k", "5", "--relative-cost", "0.1,1")
    assert done.returncode == 0, done.stderr
    assert "value by fitted Q evaluation" in done.stdout


def test_a_csv_with_names_of_its_own(rostra, tmp_path):
    log = cartpole_log("random", 500, seed=1)
    table = pd.DataFrame(log.observations, columns=["x", "speed", "angle", "spin"])
    table["push"], table["gain"] = log.actions, log.rewards
    table["terminal"], table["timeout"] = log.terminals, log.timeouts
    table.to_csv(tmp_path / "plant.csv", index=False)
    done = rostra(
        "dac-mdp", "fit", "plant.csv", "--observations", "x,speed,angle,spin", "--action", "push", "--reward", "gain",
        "--out", "model", "--k", "3",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model" / "rostra.json").exists()
    done = rostra("dac-mdp", "fit", "plant.csv", "--observations", "x,push", "--action", "kick", "--out", "other")
    assert_refused(done, "kick")


def test_a_minari_data_set_goes_through(rostra, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    done = rostra("dac-mdp", "collect", "CartPole-v1", "--steps", "600", "--out", "minari:mine/cartpole-v0")
    assert done.returncode == 0, done.stderr
    done = rostra("dac-mdp", "fit", "minari:mine/cartpole-v0", "--out", "model", "--json")
    assert json.loads(done.stdout)["transitions"] == 600
    assert_refused(rostra("dac-mdp", "fit", "minari:mine/other-v0", "--out", "model2"), "minari download")


def test_continuous_actions(rostra, tmp_path):
    continuous_cartpole_log(2000, seed=0).save(tmp_path / "log.npz")
    done = rostra("dac-mdp", "fit", "log.npz", "--out", "model", "--scale", "none", "--plot", "model.png")
    assert done.returncode == 0, done.stderr
    done = rostra("dac-mdp", "evaluate", "model", "--env", "rostra/ContinuousCartPole-v0", *FAST, "--json")
    assert json.loads(done.stdout)["mean_return"] > 30  # random actions last for 16 steps
    done = rostra("dac-mdp", "sweep", "log.npz", "--k", "1", "--cost", "1")
    assert_refused(done, "takes discrete actions")
    assert_refused(rostra("dac-mdp", "evaluate", "model"), "takes discrete actions")
    assert_refused(rostra("dac-mdp", "resolve", "model", "--forbid", "3"), "cannot be forbidden")


def test_features_of_a_network_are_saved_with_the_model(rostra, log_file):
    done = rostra("dac-mdp", "fit", log_file, "--out", "model", "--encoder", "bcq", "--encoder-steps", "300")
    assert done.returncode == 0, done.stderr
    done = rostra("dac-mdp", "evaluate", "model", "--env", "CartPole-v1", *FAST)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--k", "0"), "k must be a whole number of 1 or more"),
        (("--cost", "-1"), "cost must be 0 or more"),
        (("--gamma", "1"), "gamma must be at least 0 and below 1"),
        (("--plot", "model.txt"), "must end in one of"),
        (("--observations", "x"), "columns of a CSV"),
    ],
)
def test_settings_out_of_range(rostra, log_file, tmp_path, options, message):
    assert_refused(rostra("dac-mdp", "fit", log_file, "--out", "model", *options), message)
    assert not (tmp_path / "model").exists()


def test_a_model_that_does_not_fit_is_refused_in_one_line(rostra, tmp_path):
    n = 200_000
    log = TransitionDataset.from_arrays(
        np.zeros((n, 1)), np.zeros(n, int), np.zeros(n), np.zeros((n, 1)), np.zeros(n), None, None, 50_000
    )
    log.save(tmp_path / "log.npz")
    done = rostra("dac-mdp", "fit", "log.npz", "--out", "model", "--k", "20")
    assert_refused(done, "memory_map=FOLDER, which keeps them on disk")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--forbid", "2"), "cannot forbid action 2; there are 0 to 1"),
        (("--forbid", "left"), "--forbid"),
        (("--forbid", "1.5"), "--forbid"),
        (("--penalty", "action==1:-1e39"), "too large for float32"),
        (("--forbid", "0,1"), "no action is allowed after transition"),
        (("--penalty", "action=1:-1"), "cannot read the condition 'action=1'"),
        (("--penalty", "action==1"), "cannot read the penalty"),
        (("--penalty", "obs>1:-1"), "must say which number of 4"),
        (("--penalty", "obs[7]>1:-1"), "obs has numbers 0 to 3"),
        (("--end", "action==1"), "an end state is told by obs[i] alone"),
        (("--slip", "2"), "slip must be in 0 to 1"),
        (("--gamma", "1.5"), "gamma must be"),
        (
            (
                "--env",
                "CartPole-v99",
            ),
            "no environment 'CartPole-v99'",
        ),
    ],
)
def test_questions_out_of_range(rostra, model, options, message):
    assert_refused(rostra("dac-mdp", "resolve", model, *options), message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("collect", "NoSuchEnv-v0", "--out", "log.npz"), "no environment 'NoSuchEnv-v0'"),
        (("collect", "CartPole-v1", "--out", "log.txt"), "--out must be FILE.npz or minari:ID"),
        (("collect", "CartPole-v1", "--out", "log.npz", "--policy", "balance", "--epsilon", "2"), "--epsilon"),
        (("collect", "CartPole-v1", "--out", "log.npz", "--epsilon", "0.5"), "--policy random is random already"),
        (
            ("collect", "rostra/ContinuousCartPole-v0", "--out", "log.npz", "--policy", "balance"),
            "controller of CartPole",
        ),
        (("collect", "CartPole-v1", "--out", "minari:bad"), "is no name of a Minari data set"),
        (("collect", "MountainCar-v0", "--out", "log.npz", "--policy", "balance"), "controller of CartPole"),
        (("fit", "nowhere.npz", "--out", "model"), "nowhere.npz"),
        (("evaluate", "nowhere"), "does not exist"),
        (("sweep", "LOG", "--k", ""), "--k"),
        (("sweep", "LOG", "--k", "1.5"), "--k"),
        (("sweep", "LOG", "--k", "nan"), "--k"),
        (("sweep", "LOG", "--cost", "a"), "--cost"),
        (("sweep", "LOG", "--gamma", "0.9,0.99"), "give one gamma"),
        (("sweep", "LOG", "--gamma", "0.9,0.99", "--plot", "heat.png"), "give one --gamma"),
    ],
)
def test_what_cannot_be_done_says_so_in_one_line(rostra, log_file, words, message):
    assert_refused(rostra("dac-mdp", *(log_file if word == "LOG" else word for word in words)), message)


def test_penalties_with_several_conditions(rostra, model, log_file):
    done = rostra("dac-mdp", "resolve", model, "--penalty", "obs[2]>0.05 & action==0:-5", "--json")
    changed = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert changed["after"]["mean_value"] < changed["before"]["mean_value"]
    assert changed["changed_actions"] > 0
