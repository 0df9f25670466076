"""The classifier: many copies of a small network with ReLU layers, and the gradient in its inputs by hand."""

__all__ = ["Classifier", "InputGradient"]

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

    def input_gradient(self, x: Tensor, logit_gradient: LogitGradient) -> Tensor:
        """:class:`InputGradient` for a single use."""
        return InputGradient(self)(x, logit_gradient)


class InputGradient:
    """Gradient in the inputs of something whose gradient in the logits is known, of a network that does not change.

    Two products and a mask a layer: no graph is kept, and weights get no gradient. Calls with inputs of one shape use
    the same memory, so a result lasts until the next call.
    """

    def __init__(self, network: Classifier) -> None:
        # views are made once: in a step of small products they would cost as much as the products
        *self.inner, self.last = [
            (layer.bias.detach().mT, layer.weight.detach().mT, layer.weight.detach()) for layer in network.linear()
        ]
        self.memory: dict[tuple[str, int], Tensor] = {}

    @torch.no_grad()
    def __call__(self, x: Tensor, logit_gradient: LogitGradient) -> Tensor:
        """The gradient.

        Args:
            x: inputs with rows last, shape (copies, d, rows).
            logit_gradient: (copies, K, rows) -> (copies, K, rows).

        Returns:
            Shape (copies, d, rows).
        """
        hidden = []
        for number, (bias, transposed, _) in enumerate(self.inner):
            place = "forward", number
            x = self.memory[place] = torch.baddbmm(bias, transposed, x, out=self.memory.get(place)).relu_()
            hidden.append(x)
        bias, transposed, weight = self.last
        gradient = logit_gradient(torch.baddbmm(bias, transposed, x))
        for number in reversed(range(len(hidden))):
            place = "backward", number
            gradient = self.memory[place] = torch.bmm(weight, gradient, out=self.memory.get(place))
            torch.ops.aten.threshold_backward.grad_input(gradient, hidden[number], 0.0, grad_input=gradient)
            weight = self.inner[number][2]
        place = "inputs", 0
        gradient = self.memory[place] = torch.bmm(weight, gradient, out=self.memory.get(place))
        return gradient
