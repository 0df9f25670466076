"""The classifier: many copies of a small network with ReLU layers, and the gradient in its inputs by hand."""

__all__ = ["Classifier"]

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rostra.engine.ensemble import BatchedLinear, seeded_uniform

from .objective import LogitGradient


class Classifier(nn.Module):
    """Logits of K classes by dense layers with ReLU, for many independent copies.

    Args:
        copies: number of networks.
        inputs: number of features d.
        hidden: widths of the hidden layers; none gives a linear classifier.
        classes: K.
    """

    def __init__(self, copies: int, inputs: int, hidden: Sequence[int], classes: int) -> None:
        super().__init__()
        widths = [inputs, *hidden, classes]
        self.layers = nn.ModuleList(BatchedLinear(copies, a, b) for a, b in itertools.pairwise(widths))

    def initialise(self, seeds: Sequence[int]) -> None:
        """Draw the weights of copy i from seed i, by the rule of ``torch.nn.Linear``."""
        for stream, layer in enumerate(self.linear()):
            bound = 1 / math.sqrt(layer.weight.shape[1])
            layer.weight.data.copy_(seeded_uniform(seeds, layer.weight.shape[1:], bound, stream=2 * stream))
            layer.bias.data.copy_(seeded_uniform(seeds, layer.bias.shape[1:], bound, stream=2 * stream + 1))

    def linear(self) -> list[BatchedLinear]:
        """The layers, from input to output."""
        return [layer for layer in self.layers if isinstance(layer, BatchedLinear)]

    def forward(self, x: Tensor) -> Tensor:
        """Logits: (copies, rows, d) -> (copies, rows, K)."""
        *inner, last = self.linear()
        for layer in inner:
            x = torch.relu(layer(x))
        logits: Tensor = last(x)
        return logits

    @torch.no_grad()
    def input_gradient(self, x: Tensor, logit_gradient: LogitGradient) -> Tensor:
        """Gradient in the inputs of something whose gradient in the logits is known.

        Two products and a mask a layer: no graph is kept, and weights get no gradient.

        Args:
            x: inputs with rows last, shape (copies, d, rows).
            logit_gradient: (copies, K, rows) -> (copies, K, rows).

        Returns:
            Shape (copies, d, rows).
        """
        *inner, last = self.linear()
        hidden = []
        for layer in inner:
            x = torch.baddbmm(layer.bias.mT, layer.weight.mT, x).relu_()
            hidden.append(x)
        gradient = logit_gradient(torch.baddbmm(last.bias.mT, last.weight.mT, x))
        gradient = torch.bmm(last.weight, gradient)
        for layer, h in zip(reversed(inner), reversed(hidden), strict=True):
            gradient = torch.bmm(layer.weight, torch.ops.aten.threshold_backward(gradient, h, 0.0))
        return gradient
