"""SenSeI and SenSR around any network: one step equals inFairness 0.2.3, whose numbers stand here."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rostra.engine.errors import InputError
from rostra.methods.sensei import FairMetric, SenSeI, SenSR, modules
from rostra.methods.sensei.modules import SquaredEuclideanDistance, find_worst_cases

# One pass of inFairness 0.2.3 in float64: rho 5, eps 0.1, 5 auditor steps of 0.1, start noise 0.2 U - 0.1.
W1 = [[0.0, 0.3, -0.27, -0.89], [-0.45, -0.99, 0.06, 1.34], [-0.49, -0.62, 0.49, 0.36]]
B1 = [0.11, -0.93, -0.03]
W2 = [[0.7, -1.34, -0.46], [-1.9, -1.29, -1.84]]
B2 = [-0.24, -1.27]
X = torch.tensor(
    [
        [0.27, 0.16, -0.19, -2.52],
        [-0.54, -0.05, 0.11, -1.53],
        [-0.48, -0.98, -0.81, 1.06],
        [-0.81, -0.03, 0.88, -0.58],
        [-0.11, 0.11, 0.06, -1.23],
    ],
    dtype=torch.float64,
)
Y = torch.tensor([0, 1, 1, 0, 1])
U = torch.tensor(
    [
        [0.64, 0.742, 0.091, 0.541],
        [0.508, 0.871, 0.361, 0.598],
        [0.059, 0.388, 0.323, 0.15],
        [0.816, 0.379, 0.979, 0.59],
        [0.605, 0.638, 0.676, 0.151],
    ],
    dtype=torch.float64,
)
DIRECTIONS = [[1.0, 0.0], [0.0, 0.6], [0.0, 0.8], [0.0, 0.0]]
SENSEI = {
    "worst": [
        [0.298, 0.4110682, -0.4848473, -2.9737049],
        [-0.5384, 0.2078541, -0.1095403, -1.9611035],
        [-0.1263602, -0.5602267, -1.2867087, 0.5505782],
        [-0.3061326, 0.426873, 0.4921866, -0.1002143],
        [-0.089, 0.6260917, -0.3885839, -1.7647153],
    ],
    "lamb": 3.2482883,
    "loss": 22.95102759,
    "grad": [
        [-2.5637649, 3.1818459, -3.0536568, -11.0124673],
        [-4.8289397, -5.7283564, 6.5223496, 6.9528726],
        [-9.1274384, -15.7347703, -9.1040043, 12.0470948],
    ],
}
SENSR = {
    "worst": [
        [0.298, 0.1824188, -0.2455106, -2.4612655],
        [-0.5384, 0.4341782, -0.3642114, -2.0043256],
        [-1.0689693, -1.4404309, -0.392556, 1.3872086],
        [-0.2456349, -0.0259071, 0.9750411, -0.5359837],
        [-0.089, 0.5757321, -0.3647157, -1.7930136],
    ],
    "lamb": 1.27758439,
    "loss": 3.2152171,
    "grad": [
        [-0.315146, 0.5252725, -0.420792, -1.9469755],
        [0.0102817, 0.0138546, 0.0037757, -0.0133427],
        [-0.2780931, -0.3817874, -0.1267686, 0.3806582],
    ],
}


def example_network():
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).double()
    for parameter, values in zip(network.parameters(), (W1, B1, W2, B2), strict=True):
        parameter.data.copy_(torch.tensor(values))
    return network


@pytest.fixture
def same_noise(monkeypatch):
    monkeypatch.setattr(modules.torch, "rand", lambda shape, **_: U.clone())


def close(found, wanted):
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=found.dtype), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("kind", "wanted"), [("sensei", SENSEI), ("sensr", SENSR)])
def test_one_step_is_that_of_infairness(same_noise, kind, wanted):
    """Worst cases, lambda, loss and the gradient of the first layer."""
    network, metric = example_network(), FairMetric.subspace(DIRECTIONS)
    clean = network(X).detach()
    if kind == "sensei":
        module = SenSeI(network, metric, SquaredEuclideanDistance(), cross_entropy, 5.0, 0.1, 5, 0.1)
        objective = lambda at: SquaredEuclideanDistance()(clean, at)  # noqa: E731
    else:
        module = SenSR(network, metric, cross_entropy, 0.1, 1.0, 1.0, 5, 0.1)
        objective = lambda at: cross_entropy(at, Y, reduction="none")  # noqa: E731
    close(find_worst_cases(network, X, objective, metric, 1.0, steps=5, lr=0.1), wanted["worst"])
    response = module(X, Y)
    response.loss.backward()
    assert module.lamb.item() == pytest.approx(wanted["lamb"], rel=1e-5)
    assert response.loss.item() == pytest.approx(wanted["loss"], rel=1e-5)
    close(network[0].weight.grad, wanted["grad"])
    torch.testing.assert_close(response.y_pred, clean)


def test_the_batched_program_takes_the_same_step(same_noise):
    """The table's worst cases by the batched auditor."""
    from rostra.methods.sensei import objective
    from rostra.methods.sensei.auditor import Distances, worst_cases
    from rostra.methods.sensei.model import Classifier

    network = Classifier(1, 4, (3,), 2).double()
    for layer, (weight, bias) in zip(network.layers, ((W1, B1), (W2, B2)), strict=True):
        layer.weight.data.copy_(torch.tensor(weight).mT[None])
        layer.bias.data.copy_(torch.tensor(bias)[None, None])
    rows = X.mT[None].contiguous()
    clean = network(rows.mT).detach().mT
    for gradient, wanted in (
        (objective.invariance_gradient(clean), SENSEI),
        (objective.loss_gradient(Y[None], 2), SENSR),
    ):
        found = worst_cases(
            network,
            rows,
            (0.2 * U - 0.1).mT[None],
            torch.ones(1, dtype=torch.float64),
            Distances.of([FairMetric.subspace(DIRECTIONS)], rows),
            gradient,
            steps=5,
            learning_rate=0.1,
        )
        close(found[0].mT, wanted["worst"])


class Noisy(nn.Module):
    """A network with a frozen layer, dropout and batch statistics."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
        self.body[0].weight.requires_grad_(False)

    def forward(self, x):
        return self.body(x)


def test_the_auditor_leaves_the_network_as_it_was():
    """Parameters, flags, gradients, modes and batch statistics; and the worst case carries no graph."""
    network = Noisy().train()
    flags = [p.requires_grad for p in network.parameters()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.randn(16, 4)
    found = find_worst_cases(
        network, x, lambda at: at.square().sum(1), FairMetric.euclidean(4, ignore=[0]), 1.0, steps=3, lr=0.1
    )
    assert not found.requires_grad
    assert [p.requires_grad for p in network.parameters()] == flags
    assert all(p.grad is None for p in network.parameters())
    assert all(module.training for module in network.modules())
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, state[name])


def test_dropout_and_batch_statistics_do_not_count_as_unfairness():
    """Both passes draw the same masks, and attacked rows leave no mark on batch statistics."""
    torch.manual_seed(0)
    x, y = torch.randn(64, 4), torch.randint(3, (64,))
    dropped = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3))
    fair = SenSeI(dropped, FairMetric.euclidean(4), SquaredEuclideanDistance(), cross_entropy, 1e4, 0.1, 0, 0.1)
    torch.manual_seed(1)
    loss = fair(x, y).loss.item()
    torch.manual_seed(1)
    plain = cross_entropy(dropped(x), y).item()
    assert (loss - plain) / 1e4 < 0.05  # the start noise alone; with other masks it is about 1


@pytest.mark.parametrize("kind", ["sensei", "sensr"])
def test_attacked_rows_leave_no_mark_on_batch_statistics(kind):
    """They are those of one pass over the rows; and the loss can be differentiated."""
    torch.manual_seed(0)
    x, y = torch.randn(64, 4), torch.randint(3, (64,))
    noisy, alone = Noisy().train(), Noisy().train()
    alone.load_state_dict(noisy.state_dict())
    metric = FairMetric.euclidean(4)
    if kind == "sensei":
        fair = SenSeI(noisy, metric, SquaredEuclideanDistance(), cross_entropy, 1.0, 0.1, 2, 0.1)
    else:
        fair = SenSR(noisy, metric, cross_entropy, 0.1, 1.0, 1.0, 2, 0.1)
    fair(x, y).loss.backward()
    alone(x)
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(noisy.state_dict()[name], value)
    assert noisy.body[4].weight.grad.abs().sum() > 0
    assert all(m.track_running_stats for m in noisy.modules() if isinstance(m, nn.BatchNorm1d))


def test_an_ordinary_loop_trains():
    """Training mode gives a loss, evaluation mode logits alone; the regulariser falls."""
    torch.manual_seed(0)
    x = torch.randn(200, 3)
    y = (x[:, 0] + x[:, 1] > 0).long()
    network = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 2))
    metric = FairMetric.euclidean(3, ignore=[0])
    fair = SenSeI(
        network, metric, SquaredEuclideanDistance(), cross_entropy, 2.0, 0.05, 10, 0.2, dual_update="sgd", dual_lr=0.1
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)

    def effect():
        with torch.no_grad():
            return (network(x + torch.tensor([1.0, 0, 0])) - network(x)).square().sum(1).mean().item()

    losses = []
    for _ in range(150):
        optimiser.zero_grad()
        response = fair(x, y)
        response.loss.backward()
        optimiser.step()
        losses.append(effect())
    assert losses[-1] < 0.02
    fair.eval()
    assert fair(x).loss is None
    assert fair(x).y_pred.shape == (200, 2)
    assert "lamb" in fair.state_dict()


def test_what_cannot_be_trained_is_refused():
    network, metric, distance = nn.Linear(3, 1), FairMetric.euclidean(3), SquaredEuclideanDistance()
    with pytest.raises(InputError, match=r"rho must be at least 0 and eps above 0, got -1 and 0\.1"):
        SenSeI(network, metric, distance, cross_entropy, -1, 0.1, 5, 0.1)
    with pytest.raises(InputError, match="needs a loss with the argument reduction"):
        SenSR(network, metric, nn.CrossEntropyLoss(), 0.1, 1.0, 1.0, 5, 0.1)
    with pytest.raises(InputError, match="eps must be above 0"):
        SenSR(network, metric, cross_entropy, 0, 1.0, 1.0, 5, 0.1)
    with pytest.raises(InputError, match="dual_update must be 'ratio' or 'sgd'"):
        SenSeI(network, metric, distance, cross_entropy, 1, 0.1, 5, 0.1, dual_update="adam")
    module = SenSeI(network, metric, distance, cross_entropy, 1, 0.1, 5, 0.1)
    with pytest.raises(InputError, match=r"logits of at least two classes, shape \(rows, classes\), got \(4, 1\)"):
        module(torch.zeros(4, 3), torch.zeros(4, dtype=torch.long))
    with pytest.raises(InputError, match="in training mode SenSeI needs labels"):
        module(torch.zeros(4, 3))


def test_distances_of_all_pairs():
    a, b = torch.randn(3, 2), torch.randn(4, 2)
    distance = SquaredEuclideanDistance()
    every = distance(a, b, itemwise_dist=False)
    assert every.shape == (3, 4)
    torch.testing.assert_close(every[1, 2], (a[1] - b[2]).square().sum())
