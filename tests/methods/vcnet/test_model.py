"""Networks: what they must equal."""

import numpy as np
import pytest
import torch

from rostra.methods.vcnet import objective
from rostra.methods.vcnet.basis import hat_functions
from rostra.methods.vcnet.model import VaryingCoefficientLinear
from rostra.methods.vcnet.training import VCNetConfig

MODELS = ["vcnet", "drnet", "tarnet", "mlp"]


def drawn(config, copies=2, covariates=3):
    network = config.network(copies, covariates).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.5
    return network


def doses_and_rows(rows=40, copies=2, covariates=3):
    rng = np.random.default_rng(1)
    t = np.concatenate([[0.0, 1.0], rng.uniform(size=rows - 2)])
    x = torch.from_numpy(rng.standard_normal((copies, rows, covariates)))
    return t, x


@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize("dose_input", [False, True])
def test_a_layer_is_the_sum_of_its_basis_functions(outputs, dose_input):
    """Equation 3, written out with loops."""
    layer = VaryingCoefficientLinear(2, 3, outputs, 4, dose_input=dose_input).double()
    rng = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
    h, phi, t = (torch.randn(2, 5, k, generator=rng, dtype=torch.float64) for k in (3, 4, 1))
    expected = torch.zeros(2, 5, outputs, dtype=torch.float64)
    for r in range(2):
        for i in range(5):
            for k in range(4):
                inner = h[r, i] @ layer.weight[r, k] + layer.bias[r, k]
                if dose_input:
                    inner = inner + t[r, i] * layer.dose_weight[r, k]
                expected[r, i] += phi[r, i, k] * inner
    torch.testing.assert_close(layer(h, phi, t), expected)


def test_a_layer_with_constant_weights_is_a_linear_layer():
    """Only the constant basis function has weights: nn.Linear."""
    layer = VaryingCoefficientLinear(1, 3, 2, 3, dose_input=False)
    linear = torch.nn.Linear(3, 2)
    layer.weight.data[0, 0], layer.bias.data[0, 0] = linear.weight.T, linear.bias
    h, t = torch.randn(1, 9, 3), torch.rand(9)
    phi = torch.stack([torch.ones(9), t, t**2], dim=1)[None]
    torch.testing.assert_close(layer(h, phi, t[None, :, None]), linear(h))


@pytest.mark.parametrize("model", MODELS)
def test_curves_equal_row_by_row_outcomes(model):
    """At every grid dose, contracting the weights first gives what each row at that dose gives."""
    config = VCNetConfig(model=model, head=(6, 5))
    network = drawn(config)
    t, x = doses_and_rows()
    grid = np.array([0.0, 0.2, 0.33, 0.5, 0.8, 1.0])
    z = network.features(x)
    layers = network.head_at(torch.from_numpy(config.dose_basis(grid)), torch.from_numpy(grid))
    curves = network.outcome_curves(z, layers)
    for number, dose in enumerate(grid):
        phi = torch.from_numpy(config.dose_basis(np.full(len(t), dose))).expand(2, -1, -1)
        one_dose = torch.full((2, len(t), 1), dose, dtype=torch.float64)
        torch.testing.assert_close(curves[:, number], network.outcome(z, phi, one_dose))


@pytest.mark.parametrize("model", ["drnet", "tarnet"])
def test_heads_are_separate_networks(model):
    """A row passes through the head of its bin: relu(W h + t v + b), with the dose again in DRNet's last layer."""
    config = VCNetConfig(model=model)
    network = drawn(config, copies=1)
    t, x = doses_and_rows(copies=1)
    z = network.features(x)
    phi = torch.from_numpy(config.dose_basis(t))[None]
    found = network.outcome(z, phi, torch.from_numpy(t)[None, :, None])[0]
    first, last = network.head
    for i, dose in enumerate(t):
        head = min(int(dose / 0.2 + 1e-12), 4)
        hidden = torch.relu(z[0, i] @ first.weight[0, head] + first.bias[0, head] + dose * first.dose_weight[0, head])
        expected = hidden @ last.weight[0, head] + last.bias[0, head]
        if model == "drnet":
            expected = expected + dose * last.dose_weight[0, head]
        else:
            assert last.dose_weight is None
        torch.testing.assert_close(found[i], expected[0])


def test_initial_weights_have_the_sizes_of_the_paper():
    """0.01 in trunk and density, 1 in VCNet's head and for the dose, 0.01 in the other heads; biases 0."""
    for model, head_std in (("vcnet", 1.0), ("drnet", 0.01)):
        config = VCNetConfig(model=model, hidden=(200, 200), head=(200,))
        network = config.network(1, 50)
        network.initialise([7], config.head_std)
        for name, parameter in network.named_parameters():
            std = parameter.std().item()
            if name.endswith("bias"):
                assert not parameter.any()
            elif name.endswith("dose_weight"):
                assert std == pytest.approx(1.0, rel=0.6)
            else:
                assert std == pytest.approx(head_std if name.startswith("head") else 0.01, rel=0.1)


def test_a_copy_depends_on_its_own_seed_alone():
    """The same seed gives the same weights in any ensemble."""
    config = VCNetConfig()
    one, three = config.network(1, 3), config.network(3, 3)
    one.initialise([5], 1.0)
    three.initialise([4, 5, 6], 1.0)
    for a, b in zip(one.parameters(), three.parameters(), strict=True):
        torch.testing.assert_close(a[0], b[1])
    assert not torch.equal(three.head[0].weight[0], three.head[0].weight[1])


def test_density_interpolates_its_nodes_and_normalises():
    """g(k/B) is node k, at 0 and 1 too; nodes sum to 1; divided by its integral it integrates to 1."""
    config = VCNetConfig(n_grid=10)
    network = drawn(config)
    _, x = doses_and_rows()
    nodes = network.density_nodes(network.features(x)).detach()
    torch.testing.assert_close(nodes.sum(2), torch.ones(2, 40, dtype=torch.float64))
    for k in range(11):
        hats = torch.from_numpy(hat_functions(np.full((2, 40), k / 10), 10))
        torch.testing.assert_close(objective.interpolate_density(nodes, hats), nodes[..., k])
    fine = np.linspace(0, 1, 2001)
    values = (nodes @ torch.from_numpy(hat_functions(fine, 10)).T).numpy()
    np.testing.assert_allclose(np.trapezoid(values, fine, axis=2), objective.node_integral(nodes), rtol=1e-5)
