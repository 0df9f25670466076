"""The networks, for many copies at once: trunk, density head, and outcome heads that vary with the dose.

VCNet, DRNet and TARNet are one network with three bases of the dose. Where VCNet's weights are
splines of the dose, those of DRNet and TARNet (Schwab et al. 2020) are constant in each of five
bins, and the dose enters their layers as one more input.
"""

__all__ = ["DoseResponseNetwork", "VaryingCoefficientLinear"]

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rostra.engine.ensemble import BatchedLinear, seeded_normal


class VaryingCoefficientLinear(nn.Module):
    """A linear layer whose weights are functions of the dose (paper, equation 3).

    W(t) = sum_k phi_k(t) W_k and b(t) = sum_k phi_k(t) (c_k + t v_k); the term in v is there only
    with ``dose_input``.

    Args:
        copies: number of independent layers.
        inputs, outputs: width of the input and of the output.
        basis: number of basis functions phi_k.
        dose_input: the dose is one more input (DRNet, TARNet).
    """

    def __init__(self, copies: int, inputs: int, outputs: int, basis: int, *, dose_input: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(copies, basis, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(copies, basis, outputs))
        self.dose_weight = nn.Parameter(torch.zeros(copies, basis, outputs)) if dose_input else None

    def forward(self, h: Tensor, phi: Tensor, t: Tensor) -> Tensor:
        """Each row at its own dose.

        Args:
            h: shape (copies, rows, inputs).
            phi: basis at the doses, shape (copies, rows, basis).
            t: doses in [0, 1], shape (copies, rows, 1).

        Returns:
            Shape (copies, rows, outputs).
        """
        h, phi, t = h.mT, phi.mT, t.mT  # rows last
        shift = torch.bmm(self.bias.mT, phi)
        if self.dose_weight is not None:
            shift = shift + t * torch.bmm(self.dose_weight.mT, phi)
        if self.weight.shape[3] == 1:  # a narrow output: project to one number a basis function, then mix
            projected = torch.bmm(self.weight.squeeze(3), h)
            return (shift + (projected * phi).sum(1, keepdim=True)).mT
        outer = (phi.unsqueeze(2) * h.unsqueeze(1)).flatten(1, 2)
        return torch.baddbmm(shift, self.weight.flatten(1, 2).mT, outer).mT

    def at(self, phi: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The ordinary layers that this layer is at given doses.

        Args:
            phi: basis at the doses, shape (doses, basis).
            t: doses in [0, 1], shape (doses,).

        Returns:
            Weights (copies, doses, inputs, outputs) and biases (copies, doses, 1, outputs).
        """
        weight = torch.einsum("gk,rkio->rgio", phi, self.weight)
        bias = torch.einsum("gk,rko->rgo", phi, self.bias)
        if self.dose_weight is not None:
            bias = bias + t[:, None] * torch.einsum("gk,rko->rgo", phi, self.dose_weight)
        return weight, bias.unsqueeze(2)


class DoseResponseNetwork(nn.Module):
    """Trunk z = f(x), density nodes of t given x, and the outcome mu(t, x), for many copies.

    Args:
        copies: number of independent networks.
        covariates: number of covariates p, at least 1.
        hidden: widths of the trunk's layers.
        head: widths of the outcome head's hidden layers.
        density_intervals: B; the density has B + 1 nodes.
        basis: number of basis functions of the dose.
        dose_inputs: for each layer of the head, whether the dose is one more input.
    """

    def __init__(
        self,
        copies: int,
        covariates: int,
        hidden: Sequence[int],
        head: Sequence[int],
        density_intervals: int,
        basis: int,
        dose_inputs: Sequence[bool],
    ) -> None:
        super().__init__()
        self.covariates = covariates
        trunk = [covariates, *hidden]
        self.trunk = nn.ModuleList(BatchedLinear(copies, a, b) for a, b in itertools.pairwise(trunk))
        self.density = BatchedLinear(copies, trunk[-1], density_intervals + 1)
        widths = [trunk[-1], *head, 1]
        head_layers = [
            VaryingCoefficientLinear(copies, a, b, basis, dose_input=dose_input)
            for (a, b), dose_input in zip(itertools.pairwise(widths), dose_inputs, strict=True)
        ]
        self.head = nn.ModuleList(head_layers)

    def initialise(self, seeds: Sequence[int], head_std: float) -> None:
        """Draw the weights of copy i from seed i; biases stay zero.

        Standard deviation 0.01 in trunk and density head, ``head_std`` in the outcome head (1 for
        VCNet, 0.01 for DRNet and TARNet), and 1 where the dose is an input: the sizes of the
        authors' code, without which training does not reach the reported errors.
        """
        for stream, (name, parameter) in enumerate(self.named_parameters()):
            if name.endswith("bias"):
                continue
            std = 0.01
            if name.startswith("head"):
                std = 1.0 if name.endswith("dose_weight") else head_std
            parameter.data.copy_(seeded_normal(seeds, parameter.shape[1:], std, stream=stream))

    def _head_layers(self) -> list[VaryingCoefficientLinear]:
        return [layer for layer in self.head if isinstance(layer, VaryingCoefficientLinear)]

    def features(self, x: Tensor) -> Tensor:
        """z = f(x): (copies, rows, covariates) -> (copies, rows, width)."""
        for layer in self.trunk:
            x = torch.relu(layer(x))
        return x

    def density_nodes(self, z: Tensor) -> Tensor:
        """Values of g(. | x) at 0, 1/B, ..., 1; they sum to 1; (copies, rows, B + 1)."""
        return torch.softmax(self.density(z).mT, dim=1).mT

    def outcome(self, z: Tensor, phi: Tensor, t: Tensor) -> Tensor:
        """mu(t, x) with each row at its own dose: (copies, rows).

        Args:
            z: features, shape (copies, rows, width).
            phi: basis at the doses, shape (copies, rows, basis).
            t: doses in [0, 1], shape (copies, rows, 1).
        """
        *inner, last = self._head_layers()
        for layer in inner:
            z = torch.relu(layer(z, phi, t))
        return last(z, phi, t).squeeze(2)

    def head_at(self, phi: Tensor, t: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The head as ordinary layers at given doses, for :meth:`outcome_curves`.

        Contracting the weights with the basis first, once for all rows, costs a basis-length
        factor less than :meth:`outcome`.

        Args:
            phi: basis at the doses, shape (doses, basis).
            t: doses in [0, 1], shape (doses,).
        """
        return [layer.at(phi, t) for layer in self._head_layers()]

    def outcome_curves(self, z: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """mu(t, x) of every row at every dose: (copies, doses, rows).

        Args:
            z: features, shape (copies, rows, width).
            layers: what :meth:`head_at` gives for the doses.
        """
        h = z.unsqueeze(1)
        *inner, (last_weight, last_bias) = layers
        for weight, bias in inner:
            h = torch.relu(torch.matmul(h, weight) + bias)
        return (torch.matmul(h, last_weight) + last_bias).squeeze(3)
