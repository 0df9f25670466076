"""The claims: what they name is there, and a claim's parts say what they should."""

import numpy as np
import pytest

from rostra.engine.claims import Context
from rostra.engine.errors import InputError
from rostra.methods.sample_efficiency.claims import CLAIMS, regression
from rostra.methods.sample_efficiency.data import DATASETS, cifar_task
from rostra.methods.sample_efficiency.objective import onehot_law, orthogonal_pairs_law
from rostra.methods.sample_efficiency.protocol import onehot_errors, pairs_errors
from rostra.methods.sample_efficiency.training import FCConfig


def test_studies_have_settings_for_each_arm():
    for claim in CLAIMS:
        for scale in claim.scales.values():
            if isinstance(scale.settings.get("arms"), dict) and claim.run.__name__ in ("studies", "textures"):
                assert set(scale.settings["arms"]) == set(claim.arms)


@pytest.mark.parametrize("activation", ["quadratic", "relu", "tanh"])
def test_fc_nets_err_on_half_of_what_they_have_not_seen(activation):
    """Theorem 4.1's exact law, within three binomial standard deviations."""
    config = FCConfig(hidden=(32,), activation=activation, steps=500)
    found = pairs_errors(8, [0.5, 1.0], activation, config, 0.1, range(40), "cpu")
    wrong, count = (sum(record["unseen"][i] for record in found) for i in (0, 1))
    assert min(min(record["train"]) for record in found) == 1.0
    # points of one draw share its coins through the training set; the variance is at most the coins' own twofold
    assert abs(wrong / count - 0.5) < 3 * 0.5 * np.sqrt(2 / count)
    mean = np.mean([record["errors"][1.0] for record in found])
    assert abs(mean - orthogonal_pairs_law(28, 28)) < 0.04


def test_the_convnet_learns_the_same_points_at_once():
    found = pairs_errors(8, [1.0], "conv", FCConfig(), 0.1, range(20), "cpu")
    assert sum(record["unseen"][0] for record in found) < 0.05 * sum(record["unseen"][1] for record in found)


def test_onehot_law():
    config = FCConfig(hidden=(16,), activation="identity", steps=200)
    found = onehot_errors(16, [4, 16], "fc_linear", config, 0.3, 0, 150, "cpu")
    for n, error in found.items():
        assert abs(error - onehot_law(n, 16)) < 0.03


def test_the_law_arm_is_the_law(tmp_path):
    settings = {"draws": {"8": 1}, "fractions": [0.4]}
    context = Context("cpu", tmp_path)
    (row,) = regression(settings, "law", [0], context)
    assert row["error"] == pytest.approx(0.6)
    assert row["error_full"] == 0.0
    (row,) = regression(settings, "conv", [0], context)
    assert row["error_full"] < 1e-8


def test_cifar_labels_are_nearly_balanced(mirror):
    """The share that the specification measured: 47 % after standardisation."""
    task = cifar_task(DATASETS[0].read_mirror(mirror / "cifar10"), 8, 5000)
    y = task.sample(5000, 0)[1]
    assert 0.42 < (y > 0).mean() < 0.52
    assert task.sample(10, 0, test=True)[0].shape == (10, 192)


def test_pictures_are_pooled_to_divisors_of_their_side_only(mirror):
    with pytest.raises(InputError, match="side must divide 32, got 5"):
        cifar_task(DATASETS[0].read_mirror(mirror / "cifar10"), 5, 10)
