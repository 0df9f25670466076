"""The pictures show what was asked, and can be written."""

import numpy as np
import pandas as pd
import pytest

from rostra.engine.plots import save_picture
from rostra.methods.dac_mdp.plots import draw_heat_map, draw_model, draw_policy_map, draw_scale, draw_zero_shot


def texts(axes):
    return [text.get_text() for text in axes.texts]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def grid(logs=("random", "optimal")):
    rows = [
        {"log": log, "k": k, "cost": cost, "mean": 100.0 * place + 10 * k - cost, "standard_error": 3.0}
        for place, log in enumerate(logs)
        for k in (1, 5)
        for cost in (0, 0.1, 10)
    ]
    return pd.DataFrame(rows)


def test_heat_map_has_a_panel_a_log_and_a_number_a_cell(tmp_path):
    figure = draw_heat_map(grid())
    first, second, bar = figure.axes
    assert (first.get_title(), second.get_title()) == ("random", "optimal")
    assert "10\n±3" in texts(first)
    assert len(texts(first)) == len(texts(second)) == 6
    assert [tick.get_text() for tick in first.get_xticklabels()] == ["0", "0.1", "10"]
    assert bar.get_ylabel() == "mean return"
    # One scale of colours for both; the best cell is framed.
    assert first.images[0].get_clim() == second.images[0].get_clim() == (0.0, 150.0)
    [frame] = first.patches
    assert (frame.get_x() + 0.46, frame.get_y() + 0.46) == pytest.approx((0, 1))
    save_picture(figure, tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 1000


def test_heat_map_without_errors_logs_or_some_cells():
    table = grid(("one",)).drop(columns=["log", "standard_error"]).iloc[:-1]
    figure = draw_heat_map(table, "score")
    assert len(figure.axes) == 2
    assert len(texts(figure.axes[0])) == 5
    assert not any("±" in text for text in texts(figure.axes[0]))


def test_model_says_what_lies_beyond_the_data(rng, tmp_path):
    near, far = np.append(np.zeros(50), rng.random(50)), 1.0 + rng.random(100)
    figure = draw_model(
        rng.normal(size=100), [near, far, []], rng.random(100), reach=1.0, action_names=["left", "right", "jump"]
    )
    assert len(figure.axes) == 3
    labels = legend(figure.axes[1])
    assert labels[:3] == ["left: 50 % exact, 0.0 % beyond", "right: 0 % exact, 100.0 % beyond", "jump: never logged"]
    assert any("99 %" in label for label in labels)
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "V",
        "distance to the nearest logged pair",
        "share of cost in the value",
    ]
    save_picture(figure, tmp_path / "model.svg")


def test_model_of_exact_hits_only():
    figure = draw_model(np.ones(5), [np.zeros(5)], np.zeros(5), reach=0.0)
    assert legend(figure.axes[1])[0] == "0: 100 % exact, 0.0 % beyond"


@pytest.mark.parametrize("directions", [None, "by point", "by action"])
def test_policy_map_shows_actions_and_values(rng, directions):
    n = 300
    actions = np.arange(n) % 3
    arrows = {None: None, "by point": rng.normal(size=(n, 2)), "by action": [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]}
    figure = draw_policy_map(
        rng.random((n, 2)),
        actions,
        rng.random(n),
        directions=arrows[directions],
        action_names=["east", "west", "stay"],
        axis_names=("x", "y"),
    )
    left, right, bar = figure.axes
    assert legend(left) == ["east (33 %)", "west (33 %)", "stay (33 %)"]
    assert (left.get_xlabel(), left.get_ylabel(), bar.get_ylabel()) == ("x", "y", "value")
    assert right.get_xlim() == left.get_xlim()


def test_policy_map_draws_a_sample_of_many_points(rng):
    figure = draw_policy_map(rng.random((20_000, 2)), np.zeros(20_000, dtype=int), rng.random(20_000))
    assert len(figure.axes[1].collections[0].get_offsets()) == 4000


def test_zero_shot_has_a_bar_an_objective_and_outcome(tmp_path):
    rows = [
        {"objective": objective, "outcome": outcome, "share": share, "standard_error": 0.02}
        for objective, shares in {"as logged": (0.02, 0.98), "short horizon": (0.62, 0.34)}.items()
        for outcome, share in zip(("near goal", "far goal"), shares, strict=True)
    ]
    figure = draw_zero_shot(pd.DataFrame(rows))
    [axes] = figure.axes
    assert sorted(patch.get_width() for patch in axes.patches) == [0.02, 0.34, 0.62, 0.98]
    assert legend(axes) == ["near goal", "far goal"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["as logged", "short horizon"]
    draw_zero_shot(pd.DataFrame(rows).drop(columns="standard_error"))


def test_scale_is_logarithmic():
    table = pd.DataFrame(
        {"n": [1000, 1000, 10000], "build_seconds": [0.1, 0.12, 1.2], "solve_seconds": [0.01, 0.01, 0.1]}
    )
    [axes] = draw_scale(table).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert legend(axes) == ["build", "solve", "in proportion to N"]
