"""The networks, and the same weights at work without torch."""

import numpy as np
import pytest
import torch

from rostra.engine.errors import InputError
from rostra.methods.bustle.dsl import OPERATIONS
from rostra.methods.bustle.generation import generate
from rostra.methods.bustle.model import PremiseNetwork, ValueNetwork
from rostra.methods.bustle.reference import search
from rostra.methods.bustle.scorer import PremiseScorer, ValueScorer, added_weight, nearest_columns
from rostra.methods.bustle.signatures import example_signature
from rostra.methods.bustle.synthesizer import load_scorer
from rostra.methods.bustle.training import TrainingConfig, train_premises, train_values

ROWS = [("Ada Lovelace", "1815"), ("Alan Turing", "1912")]
OUTPUTS = ["Ada", "Alan"]


def state_of(network):
    return {name: value.numpy() for name, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def data():
    return generate(search, seed=3, max_expressions=20_000)


def test_the_network_is_the_papers():
    """5 x 2 embedding, 412 -> 64 -> 64 -> 1: 30,667 parameters; drawn as Keras draws them."""
    network = ValueNetwork()
    assert sum(p.numel() for p in network.parameters()) == 30_667
    network.initialise(0)
    assert network.embedding.weight.abs().max() <= 0.05
    assert all(not layer.bias.any() for layer in network.dense if hasattr(layer, "bias"))
    again = ValueNetwork()
    again.initialise(0)
    torch.testing.assert_close(network.embedding.weight, again.embedding.weight)


def test_table_lookup_equals_the_network():
    """The first layer as a sum of table rows gives the network's probabilities to 1e-5."""
    network = ValueNetwork()
    network.initialise(1)
    rng = np.random.default_rng(0)
    examples = rng.integers(0, 5, 160).astype(np.uint8)
    values = rng.integers(0, 5, (50, 46)).astype(np.uint8)
    scorer = ValueScorer.from_arrays(state_of(network), {})
    whole = np.concatenate([np.broadcast_to(examples, (50, 160)), values], axis=1)
    with torch.no_grad():
        wanted = torch.sigmoid(network(torch.as_tensor(whole, dtype=torch.int32))).numpy()
    np.testing.assert_allclose(scorer.probabilities(examples, values), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("probability", "added"),
    [(0.0, 6), (0.05, 5), (0.1, 5), (0.25, 3), (0.35, 2), (0.4, 2), (0.5, 1), (0.6, 1), (0.61, 0)],
)
def test_weights_added_at_the_edges(probability, added):
    """The spec's table, in float64: 0.4 is not above 0.4, 0.6 not above 0.6."""
    assert added_weight(np.array([probability])).tolist() == [added]


class Certain:
    """New values with given signatures."""

    level = 2

    def __init__(self, signatures):
        self._signatures = signatures

    def __len__(self):
        return len(self._signatures)

    def signatures(self):
        return np.unique(self._signatures, axis=0, return_inverse=True)


def test_equal_signatures_are_scored_once_and_alike():
    """Weights by the cache are those of scoring each row; a second level reuses the first's."""
    scorer = load_scorer("default")
    rng = np.random.default_rng(0)
    few = rng.integers(0, 4, (7, 46)).astype(np.uint8)
    values = few[rng.integers(0, 7, 200)]
    reweight = scorer.reweight(ROWS, OUTPUTS)
    examples = np.array(example_signature(ROWS, OUTPUTS), dtype=np.uint8)
    wanted = added_weight(scorer.probabilities(examples, values))
    assert len(set(wanted.tolist())) > 1
    np.testing.assert_array_equal(reweight(Certain(values)), wanted)
    np.testing.assert_array_equal(reweight(Certain(values[::-1])), wanted[::-1])


def test_a_sure_model_leaves_the_search_as_it_is():
    """With all probabilities 1 nothing is added: same solution, tried and unique as without a model."""
    plain = search(ROWS, OUTPUTS, max_expressions=20_000)
    sure = search(ROWS, OUTPUTS, max_expressions=20_000, reweight=lambda new: np.zeros(len(new), dtype=int))
    assert (str(plain.expression), plain.tried, plain.unique) == (str(sure.expression), sure.tried, sure.unique)


def test_training_learns_and_keeps_the_best_epoch(data):
    """The validation loss falls below chance; the state kept is that of its least; a seed repeats it."""
    config = TrainingConfig(epochs=12, patience=4, batch_size=32)
    model = train_values(data, seed=0, config=config)
    assert model.history[:, 1].min() < np.log(2) - 0.05
    assert model.recipe["best_epoch"] == model.history[:, 1].argmin() + 1
    again = train_values(data, seed=0, config=config)
    for name, value in model.state.items():
        torch.testing.assert_close(again.state[name], value, rtol=0, atol=0)


def test_a_saved_model_scores_as_before(data, tmp_path):
    """Through its folder; another kind of model, or none, is refused."""
    config = TrainingConfig(epochs=1)
    model = train_values(data, seed=0, config=config)
    model.save(tmp_path / "values")
    train_premises(data, seed=0, config=config).save(tmp_path / "premises")
    loaded = ValueScorer.load(tmp_path / "values")
    fresh = ValueScorer.from_arrays(model.arrays(), model.recipe)
    np.testing.assert_array_equal(loaded.table, fresh.table)
    assert loaded.recipe["items"] == len(data)
    with pytest.raises(InputError, match="holds a 'bustle-premises' model"):
        ValueScorer.load(tmp_path / "premises")
    with pytest.raises(InputError, match="does not exist"):
        ValueScorer.load(tmp_path / "absent")
    assert len(PremiseScorer.load(tmp_path / "premises").operations(ROWS, OUTPUTS)) == len(OPERATIONS) - 2


@pytest.mark.parametrize("labels", ["target", "subexpression"])
def test_premises_look_at_the_examples_alone(data, labels):
    """22 probabilities, equal to the network's; the two least are dropped and the order is kept."""
    model = train_premises(data, seed=0, labels=labels, config=TrainingConfig(epochs=2))
    scorer = PremiseScorer.from_arrays(model.arrays())
    network = PremiseNetwork()
    network.load_state_dict(model.state)
    signature = np.array([*example_signature(ROWS, OUTPUTS), *[3] * 46], dtype=np.int32)
    with torch.no_grad():
        wanted = torch.sigmoid(network(torch.as_tensor(signature[None])))[0].numpy()
    found = scorer.probabilities(ROWS, OUTPUTS)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    kept = scorer.operations(ROWS, OUTPUTS, dropped=3)
    out = {OPERATIONS[number] for number in np.argsort(found)[:3]}
    assert list(kept) == [operation for operation in OPERATIONS if operation not in out]


def test_the_nearest_columns_are_chosen_for_the_model():
    """Of more than three, those that share the longest texts with the output; up to three, all."""
    rows = [("x", "Ada Lovelace", "y", "Ada", "London"), ("z", "Alan Turing", "w", "Alan", "Maida Vale")]
    assert nearest_columns(rows, ["Ada, London", "Alan, Maida Vale"]) == [1, 3, 4]
    assert nearest_columns([("a", "b")], ["c"]) == [0, 1]


def test_too_few_items_are_refused(data):
    """A split needs something on both sides."""
    from dataclasses import replace

    few = replace(data, **{name: value[:4] for name, value in vars(data).items()})
    with pytest.raises(InputError, match="4 items are too few to train on"):
        train_values(few, seed=0)
