"""Learners as scikit-learn estimators, and the exact risk minimiser."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.strategies import integers
from sklearn.utils.estimator_checks import parametrize_with_checks

from rostra.engine.errors import InputError
from rostra.methods.sample_efficiency import ConvClassifier, ConvERM, FCClassifier
from rostra.methods.sample_efficiency.estimator import fit_ratio
from rostra.methods.sample_efficiency.model import ChannelNet, HybridNet, PooledConv
from rostra.methods.sample_efficiency.protocol import texture_erm_errors
from rostra.methods.sample_efficiency.tasks import channels, diag, halves, onehot, rotate, texture


@parametrize_with_checks(
    [
        FCClassifier(hidden=(8,), activation="relu", steps=50, lr=0.3, bias=True, device="cpu"),
        ConvClassifier(blocks=1, steps=50, device="cpu"),
        ConvERM(features=np.square),
    ],
    expected_failed_checks=lambda estimator: (
        {"check_classifiers_train": "squares cannot tell blobs apart by their side"}
        if not isinstance(estimator, FCClassifier)
        else {}
    ),
)
def test_scikit_learns_suite(estimator, check):
    check(estimator)


@given(n=integers(2, 60), seed=integers(0, 300))
def test_the_risk_minimiser_makes_no_mistake_where_none_is_needed(n, seed):
    X, y = halves(8).sample(n, seed, dtype=np.float64)
    assert ConvERM().fit(X, y).score(X, y) == 1.0


@given(seed=integers(0, 300))
def test_the_ratio_threshold_makes_the_fewest_mistakes(seed):
    """Against every threshold, on labels that nothing separates."""
    rng = np.random.default_rng(seed)
    features, signs = rng.exponential(size=(15, 2)), rng.choice([-1, 1], size=15)
    weight, bias = fit_ratio(features, signs)
    mistakes = (np.where(features @ weight + bias >= 0, 1, -1) != signs).sum()
    ratios = features[:, 0] / features[:, 1]
    thresholds = [-1.0, *ratios]
    assert mistakes == min(int((np.where(ratios > t, 1, -1) != signs).sum()) for t in thresholds)


def test_the_threshold_lies_in_the_middle_of_the_gap():
    weight, _ = fit_ratio(np.array([[1.0, 2], [3, 2], [1, 4], [5, 2]]), np.array([-1, 1, -1, 1]))
    assert -weight[1] / weight[0] == pytest.approx((0.5 + 1.5) / 2)


@pytest.mark.parametrize("label", [-1, 1, "yes"])
def test_one_class_is_answered(label):
    X = np.ones((1, 4))
    for model in (ConvERM(), FCClassifier(steps=3), ConvClassifier(steps=3)):
        assert model.fit(X, [label]).predict(np.zeros((3, 4))).tolist() == [label] * 3


def test_conv_accuracy_does_not_depend_on_the_dimension():
    """About .97 from sixteen examples, at D = 8 as at D = 128."""
    for dimension in (8, 128):
        task = halves(dimension)
        X_test, y_test = task.sample(2000, 0, test=True)
        scores = [ConvERM().fit(*task.sample(16, seed, dtype=float)).score(X_test, y_test) for seed in range(40)]
        assert abs(np.mean(scores) - 0.967) < 0.015


def test_a_rotation_destroys_the_convnet_and_not_the_fc_net():
    task, turned = halves(8), rotate(halves(8), 0)
    scores = {}
    for name, each in (("plain", task), ("turned", turned)):
        X_test, y_test = each.sample(3000, 0, test=True)
        for model in (ConvERM(), FCClassifier(steps=200, device="cpu")):
            kind = type(model).__name__
            runs = [model.fit(*each.sample(200, seed)).score(X_test, y_test) for seed in range(4)]
            scores[name, kind] = np.mean(runs)
    assert scores["plain", "ConvERM"] > 0.98
    assert scores["turned", "ConvERM"] < 0.8
    assert abs(scores["plain", "FCClassifier"] - scores["turned", "FCClassifier"]) < 0.03


def test_texture_convnets_error_is_two_to_the_minus_n():
    """It errs, on half, only while one class has not been seen."""
    draws = 2000
    for n, error in texture_erm_errors(8, [1, 2, 3, 4, 5, 6], 0, draws).items():
        law = 0.5 if n == 1 else 2.0**-n
        chance = 1.0 if n == 1 else 2.0 ** (1 - n)  # of seeing one class alone
        assert abs(error - law) <= 4 * 0.5 * np.sqrt(chance * (1 - chance) / draws) + 1e-12


def test_permuted_pixels_break_the_texture_convnet():
    order = np.random.default_rng(0).permutation(32)
    X, y = texture(32).test_set(0, 0)
    model = ConvERM(texture(32).conv_features, "margin")
    assert model.fit(X, y).score(X, y) == 1.0
    assert model.fit(X[:, order], y).score(X[:, order], y) < 0.8


def test_the_papers_convnet_by_gradient_descent():
    for task, options in (
        (halves(16), {"blocks": 2}),
        (diag(6), {"blocks": 6}),
        (texture(16), {"blocks": 1, "taps": 2}),
        (onehot(16), {"blocks": 1, "squared": False}),
    ):
        X, y = task.sample(200, 1)
        model = ConvClassifier(**options, lr=0.3, device="cpu").fit(X, y)
        assert model.score(*task.test_set(2000, 1)) > 0.95, task.name
        assert model.train_accuracy_ > 0.97


def test_image_nets():
    task = channels(48)
    X, _ = task.sample(5, 0)
    for net in (ChannelNet(task.image), ChannelNet(task.image, 3, norm=True, circular=True), HybridNet(task.image)):
        assert net(torch.as_tensor(X)).shape == (5, 1)
    rolled = torch.as_tensor(X).view(5, 3, 4, 4).roll((1, 2), dims=(2, 3)).reshape(5, 48)
    circular = ChannelNet(task.image, circular=True)
    assert torch.allclose(circular(torch.as_tensor(X)), circular(rolled), atol=1e-5)
    zeros = ChannelNet(task.image)
    assert not torch.allclose(zeros(torch.as_tensor(X)), zeros(rolled), atol=1e-5)


def test_pooled_conv_is_the_papers_formula():
    net = PooledConv(6, blocks=2, taps=2)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([1.0, -2.0]))
    x = torch.randn(3, 6)
    w, previous = net.filter, x.roll(1, dims=1)
    hidden = (w[0] * x + w[1] * previous) ** 2
    expected = hidden[:, :3].mean(1) - 2 * hidden[:, 3:].mean(1)
    assert torch.allclose(net(x)[:, 0], expected, atol=1e-6)
    with pytest.raises(InputError, match="blocks must divide D"):
        PooledConv(7, 2)
    with pytest.raises(InputError, match="taps must be"):
        PooledConv(4, 2, 5)


def test_wrong_input_is_refused():
    X, y = halves(5 + 1).sample(20, 0)
    with pytest.raises(InputError, match="D must be even"):
        ConvERM().fit(X[:, :5], y)
    with pytest.raises(InputError, match="method must be"):
        ConvERM(method="luck").fit(X, y)
    with pytest.raises(ValueError, match="binary"):
        FCClassifier().fit(X, np.arange(20) % 3)
    with pytest.raises(ValueError, match="NaN"):
        FCClassifier().fit(np.where(X > 2, np.nan, X) * np.nan, y)


def test_divergence_warns():
    X, y = halves(8).sample(100, 0)
    with pytest.warns(UserWarning, match="training diverged at lr="):
        FCClassifier(lr=1e9, clip_norm=None, optimizer="sgd", steps=30).fit(X, y)
