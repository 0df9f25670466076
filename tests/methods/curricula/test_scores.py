import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from rostra.engine.errors import InputError
from rostra.methods.curricula import objective
from rostra.methods.curricula.baselines import holm, matched_baseline, selection_test, standard_baselines
from rostra.methods.curricula.noise import inject_label_noise
from rostra.methods.curricula.scorers import (
    LearnedIterationRecorder,
    Scores,
    agreement,
    cv_folds,
    score_cscore,
    score_cv_loss,
    score_cv_loss_sklearn,
    score_el2n,
    score_histories,
    score_loss,
)
from rostra.methods.curricula.training import TrainingConfig

CONFIG = TrainingConfig(total_steps=60, batch_size=16, evaluations=10)


def blobs(n=240):
    x, y = make_blobs(n, centers=3, n_features=5, cluster_std=1.0, random_state=0)
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32), y


def net():
    return torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))


def test_learned_iterations_by_hand():
    """Columns: never; always; learned, forgotten, learned again; learned late; right and lost at the end."""
    correct = [[0, 1, 1, 0, 1], [0, 1, 0, 0, 1], [0, 1, 1, 0, 1], [0, 1, 1, 1, 0]]
    assert objective.learned_iteration(correct).tolist() == [5, 1, 3, 4, 5]
    assert objective.forgetting_counts(correct).tolist() == [4, 0, 1, 0, 1]


@given(arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 6))))
def test_learned_iteration_is_the_first_from_which_all_are_right(correct):
    steps = len(correct)
    expected = [next((t + 1 for t in range(steps) if correct[t:, i].all()), steps + 1) for i in range(correct.shape[1])]
    assert objective.learned_iteration(correct).tolist() == expected


def test_scores_of_logits():
    logits = torch.tensor([[10.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    y = torch.tensor([1, 2])
    assert objective.cross_entropy(logits, y).tolist() == pytest.approx([10.0, np.log(3)], abs=1e-3)
    assert objective.margin(logits, y).tolist() == pytest.approx([1.0, 0.0], abs=1e-3)
    assert objective.entropy(logits).tolist() == pytest.approx([0.0, np.log(3)], abs=1e-2)
    assert objective.error_norm(logits, y).tolist() == pytest.approx([2**0.5, (2 / 3) ** 0.5], abs=1e-3)


class Memory(torch.nn.Module):
    """The label of the nearest example that it was shown; sure of it."""

    def __init__(self, classes=3):
        super().__init__()
        self.classes, self.rows, self.labels = classes, None, None

    def learn(self, rows, labels):
        self.rows, self.labels = rows.clone(), labels.clone()

    def forward(self, x):
        nearest = torch.cdist(x, self.rows).argmin(1)
        return 20.0 * torch.nn.functional.one_hot(self.labels[nearest], self.classes).float()


def test_held_out_means_held_out():
    """Labels without rhyme: who has seen an example knows its label, who has not is wrong two times in three. Holds
    for training functions of one's own, for the built-in training, and for c-scores."""
    x, _ = blobs(60)
    y = np.random.default_rng(0).integers(0, 3, 60)
    own = {"train_fn": lambda model, rows, labels, seed: model.learn(rows, labels)}
    assert np.mean(score_loss(Memory, x, y, **own).values) < 1e-3
    assert np.mean(score_cv_loss(Memory, x, y, folds=4, repeats=4, **own).values) > 8
    assert np.mean(score_cscore(Memory, x, y, share=0.5, models=12, **own).values) > 0.5

    def wide():
        return torch.nn.Sequential(torch.nn.Linear(5, 256), torch.nn.ReLU(), torch.nn.Linear(256, 3))

    config = TrainingConfig(total_steps=300, batch_size=16, lr=0.1, evaluations=1)
    assert np.mean(score_loss(wide, x, y, config=config).values) < 0.6
    assert np.mean(score_cv_loss(wide, x, y, config=config, folds=4, repeats=1).values) > 1.3


def test_a_data_set_stands_for_rows_and_labels():
    x, y = blobs(60)
    data = torch.utils.data.TensorDataset(torch.as_tensor(x), torch.as_tensor(y))
    assert (score_loss(net, data, config=CONFIG).values == score_loss(net, x, y, config=CONFIG).values).all()
    with pytest.raises(InputError, match="leave out y"):
        score_loss(net, data, y)


def test_a_training_that_diverged_is_told():
    x, y = blobs(60)
    config = TrainingConfig(total_steps=30, batch_size=16, lr=1e9, evaluations=1)
    with pytest.raises(InputError, match="not finite: a training diverged; take a lower lr"):
        score_cv_loss(net, x, y, config=config, folds=2, repeats=1)


def test_every_example_is_held_out_once_a_repetition_by_a_model_that_has_not_seen_it():
    """A model that remembers its data has no loss on them; held-out losses are far from none."""
    x, _ = blobs(60)
    y = np.random.default_rng(0).integers(0, 3, 60)  # nothing to learn but the examples themselves
    found = score_cv_loss_sklearn(KNeighborsClassifier(1), x, y, folds=4, repeats=3)
    assert np.median(found.values) > 5
    folds = cv_folds(10, 4, 3, 0)
    assert all(sorted(np.bincount(fold)) == [2, 2, 3, 3] for fold in folds)


@pytest.mark.parametrize("train_fn", [None, "own"])
def test_cross_validated_loss_finds_wrong_labels(train_fn):
    x, y = blobs()
    noisy = inject_label_noise(y, 0.3, seed=1)

    def own(model, rows, labels, seed):
        optimizer = torch.optim.Adam(model.parameters(), 0.02)
        for _ in range(40):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(rows), labels).backward()
            optimizer.step()

    found = score_cv_loss(net, x, noisy.labels, config=CONFIG, folds=3, repeats=2, train_fn=own if train_fn else None)
    assert objective.noise_auc(found.values, noisy.wrong) > 0.9
    assert (found.predicted == y).mean() > 0.9
    assert (score_cv_loss_sklearn(LogisticRegression(), x, noisy.labels, repeats=2).predicted == y).mean() > 0.9


@pytest.mark.parametrize(
    "score",
    [
        lambda x, y: score_loss(net, x, y, config=CONFIG),
        lambda x, y: score_loss(net, x, y, config=CONFIG, kind="margin"),
        lambda x, y: score_el2n(net, x, y, config=CONFIG, models=2),
        lambda x, y: score_histories(net, x, y, config=CONFIG, models=2),
        lambda x, y: score_cscore(net, x, y, config=CONFIG, share=0.5, models=12),
    ],
    ids=["loss", "margin", "el2n", "learned-iteration", "c-score"],
)
def test_all_scores_put_wrong_labels_last(score):
    x, y = blobs()
    noisy = inject_label_noise(y, 0.2, seed=1)
    assert objective.noise_auc(score(x, noisy.labels).values, noisy.wrong) > 0.85


def test_a_recorder_in_ones_own_loop():
    recorder = LearnedIterationRecorder(3)
    with pytest.raises(InputError, match="no snapshot yet"):
        recorder.scores()
    for indices, correct in (([0, 1], [1, 0]), ([1, 2], [1, 0]), ([0], [0])):
        recorder.update(torch.tensor(indices), torch.tensor(correct))
        recorder.snapshot()
    assert recorder.scores().tolist() == [4, 2, 4]
    assert recorder.forgetting().tolist() == [1, 0, 3]


def test_agreement_is_spearmans():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    first = rng.random(300)
    scores = {"a": first, "b": first + rng.normal(0, 0.3, 300), "c": -first}
    found = agreement(scores, resamples=200)
    assert found["spearman"].tolist() == pytest.approx(
        [spearmanr(scores[a], scores[b]).statistic for a, b in zip(found["first"], found["second"], strict=True)]
    )
    assert ((found["low"] <= found["spearman"]) & (found["spearman"] <= found["high"])).all()


def test_agreement_of_families_is_the_mean_over_their_pairs():
    rng = np.random.default_rng(0)
    base = rng.random((2, 200))
    scores = {f"{family}{i}": base[f] + rng.normal(0, 0.3, 200) for f, family in enumerate("ab") for i in range(2)}
    pairs = agreement(scores, resamples=50).set_index(["first", "second"])["spearman"]
    found = agreement(scores, resamples=50, families=["conv", "conv", "fc", "fc"])
    assert list(zip(found["first"], found["second"], strict=True)) == [("conv", "conv"), ("conv", "fc"), ("fc", "fc")]
    between = np.mean([pairs[first, second] for first in ("a0", "a1") for second in ("b0", "b1")])
    assert found["spearman"].tolist() == pytest.approx([pairs["a0", "a1"], between, pairs["b0", "b1"]])
    assert ((found["low"] < found["spearman"]) & (found["spearman"] < found["high"])).all()


def test_the_official_cross_validated_loss_is_of_crops_under_a_constant_learning_rate(monkeypatch):
    """An untrained network that looks at one corner only sees other values; the schedule stays flat."""
    images = torch.arange(64.0).view(1, 1, 8, 8).repeat(12, 1, 1, 1) / 64
    y = np.arange(12) % 2
    seen = []

    class Corner(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, x):
            if not self.training:
                seen.append(x[:, 0, 0, 0])
            return torch.stack([self.scale * x[:, 0, 0, 0], x[:, 0, 0, 1]], dim=1)

    config = TrainingConfig(total_steps=4, batch_size=4, evaluations=1)
    rates = []
    plain = torch.optim.SGD.step
    monkeypatch.setattr(
        torch.optim.SGD, "step", lambda self, *a: rates.append(self.param_groups[0]["lr"]) or plain(self, *a)
    )
    found = {}
    for official in (False, True):
        seen.clear()
        rates.clear()
        found[official] = score_cv_loss(Corner, images, y, config=config, folds=2, repeats=2, official=official)
        assert (len(torch.cat(seen).unique()) > 1) is official
        assert (len(set(rates)) == 1) is official
    with pytest.raises(InputError, match=r"images must have the shape \(B, C, H, W\)"):
        score_cv_loss(net, *blobs(20), config=config, folds=2, repeats=1, official=True)


def test_saved_scores_come_back(tmp_path):
    made = Scores(np.arange(3.0), "loss", predicted=np.array([0, 1, 0]), about={"seed": 4})
    made.save(tmp_path / "scores.npz")
    found = Scores.load(tmp_path / "scores.npz")
    assert (found.values == made.values).all()
    assert (found.scorer, found.about, found.predicted.tolist()) == ("loss", {"seed": 4}, [0, 1, 0])
    (tmp_path / "other.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no saved scores"):
        Scores.load(tmp_path / "other.npz")


# ------------------------------------------------------- selection


def test_constants_of_the_best_of_many():
    """E max of 30 normals is 2.0428, the median of the max of 180 is 2.6655; over means of three."""
    runs = np.random.default_rng(0).normal(0, 1, 4000)
    scale = runs.std()
    assert matched_baseline(runs, 30, 3, "gaussian").mean() == pytest.approx(runs.mean() + 1.179 * scale, abs=0.02)
    assert np.median(matched_baseline(runs, 180, 3, "bootstrap")) == pytest.approx(
        runs.mean() + 1.539 * scale, abs=0.03
    )
    assert matched_baseline(runs, 30, 3, "groups", reps=3000).mean() == pytest.approx(1.179 * scale, abs=0.05)
    paper = standard_baselines(runs[:90])
    assert paper["standard1"] < paper["standard2"] < paper["standard3"]


@pytest.mark.parametrize(("runs", "strategies", "seeds"), [(3, 16, 1), (15, 16, 5), (90, 30, 3)])
def test_selection_is_not_taken_for_an_effect(runs, strategies, seeds):
    """Strategies without any effect: their best nearly always beats the mean of standard runs significantly (what one
    must not ask), and its match in five of a hundred searches, however few runs there are."""
    rng = np.random.default_rng(1)
    rejected, naive, searches = 0, 0, 600
    for _ in range(searches):
        standard, found = rng.normal(0, 1, runs), rng.normal(0, 1, (strategies, seeds)).mean(1).max()
        rejected += selection_test(found, matched_baseline(standard, strategies, seeds, reps=600)).p_value < 0.05
        naive += selection_test(found, matched_baseline(standard, 1, seeds, reps=600)).p_value < 0.05
    assert abs(rejected / searches - 0.05) < 3 * np.sqrt(0.05 * 0.95 / searches)
    assert naive / searches > 0.25


def test_what_seeds_have_in_common_cancels():
    """Seeds that differ far more than runs do hide a real effect, unless standard runs are compared seed by seed."""
    rng = np.random.default_rng(4)
    rejected = {shift: {False: 0, True: 0} for shift in (0.0, 3.0)}
    for _ in range(300):
        common = rng.normal(0, 5, 5)
        strata = np.repeat(np.arange(5), 3)
        standard = common[strata] + rng.normal(0, 1, 15)
        means = (common + rng.normal(0, 1, (16, 5))).mean(1).max()
        for shift, counts in rejected.items():
            for stratified in counts:
                null = matched_baseline(standard, 16, 5, reps=400, strata=strata if stratified else None)
                counts[stratified] += selection_test(means + shift, null).p_value < 0.05
    assert rejected[0.0][True] / 300 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert rejected[3.0][True] / 300 > 0.95
    assert rejected[3.0][False] / 300 < 0.5


def test_a_real_effect_is_found():
    rng = np.random.default_rng(2)
    found = selection_test(1.0, matched_baseline(rng.normal(0, 0.1, 90), 30, 3))
    assert found.p_value < 0.001
    assert found.interval[0] > 0.5


def test_holm():
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: matched_baseline([1.0], 3, 3), "2 or more finite results"),
        (lambda: matched_baseline([1.0, 2.0], 3, 2, strata=[0, 1]), "with 2 runs or more each; they have 2, with 1"),
        (lambda: selection_test(np.nan, [1.0]), "needs a finite best result"),
        (lambda: score_loss(net, *blobs(20), kind="magic"), "kind must be one of loss, margin, entropy, el2n"),
        (lambda: score_histories(net, *blobs(20), kind="loss"), "kind must be one of learned-iteration, forgetting"),
        (lambda: score_loss(net, blobs(20)[0]), "labels are missing"),
        (lambda: score_loss(net, blobs(20)[0], ["a"] * 20), "labels must be whole numbers from 0"),
        (lambda: score_loss(net, blobs(20)[0], np.arange(20) - 1), "labels must be whole numbers from 0"),
        (lambda: score_loss(net, blobs(20)[0], blobs(21)[1]), "there are 21 labels for 20 examples"),
        (lambda: matched_baseline(np.ones(8), 3, 3, "groups"), "needs 9 standard runs, got 8"),
        (
            lambda: matched_baseline(np.ones(8), 3, 3, "magic"),
            "method must be one of predictive, groups, gaussian, bootstrap",
        ),
        (lambda: score_cv_loss(net, *blobs(20), folds=1), "folds must be from 2"),
        (lambda: score_cscore(net, *blobs(20), config=CONFIG, models=1), "in every training set; use more models"),
        (lambda: agreement({"a": [1, 2]}), "two scores or more"),
        (lambda: agreement({"a": [1, 2], "b": [1]}), "there are 1 scores for 2 examples"),
        (lambda: agreement({"a": [1, 2], "b": [1, 3]}, families=["a"]), "1 families for 2 scores; give one each"),
        (lambda: score_loss(net, np.full((4, 5), np.nan), [0, 1, 0, 1]), "not finite"),
    ],
)
def test_wrong_input_is_told(make, message):
    with pytest.raises(InputError, match=message):
        make()
