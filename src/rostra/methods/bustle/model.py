"""The networks: which values of a search are worth combining early, and which operations a task needs.

Training uses these modules. A search asks the same weights through ``scorer.py``, which needs no torch.
"""

__all__ = ["PremiseNetwork", "ValueNetwork"]

import torch
from torch import Tensor, nn

from .dsl import OPERATIONS
from .signatures import EXAMPLE_CODES, VALUE_CODES

SIGNATURE_CODES = EXAMPLE_CODES + VALUE_CODES
PROPERTY_OUTCOMES = 5


class ValueNetwork(nn.Module):
    """Logit of "this value is part of an expression that maps the inputs to the output" (paper, section 3.3).

    Args:
        embedding: width of the embedding of a property's outcome; one table for all properties.
        hidden: widths of the dense layers.
    """

    def __init__(self, embedding: int = 2, hidden: tuple[int, ...] = (64, 64)) -> None:
        super().__init__()
        self.embedding = nn.Embedding(PROPERTY_OUTCOMES, embedding)
        self.dense = _dense(SIGNATURE_CODES * embedding, (*hidden, 1))

    def initialise(self, seed: int) -> None:
        """Draw the weights as Keras does: embedding uniform to 0.05, kernels Glorot uniform, biases 0."""
        _initialise(self, seed)

    def forward(self, signatures: Tensor) -> Tensor:
        """Codes (rows, 206), whole numbers from 0 to 4, to logits (rows,)."""
        logits: Tensor = self.dense(self.embedding(signatures).flatten(1)).squeeze(1)
        return logits


class PremiseNetwork(nn.Module):
    """Logit of each operation's being in the expression of a task, from the examples alone (premise selection).

    Args:
        embedding: width of the embedding of a property's outcome.
        hidden: widths of the dense layers.
    """

    def __init__(self, embedding: int = 4, hidden: tuple[int, ...] = (512, 256, 128)) -> None:
        super().__init__()
        self.embedding = nn.Embedding(PROPERTY_OUTCOMES, embedding)
        self.dense = _dense(SIGNATURE_CODES * embedding, (*hidden, len(OPERATIONS)))

    def initialise(self, seed: int) -> None:
        """Draw the weights as Keras does."""
        _initialise(self, seed)

    def forward(self, signatures: Tensor) -> Tensor:
        """Codes (rows, 206), of which the value's 46 are not looked at, to logits (rows, 22)."""
        examples_only = signatures.clone()
        examples_only[:, EXAMPLE_CODES:] = 0
        logits: Tensor = self.dense(self.embedding(examples_only).flatten(1))
        return logits


def _dense(inputs: int, widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers[:-1])


def _initialise(network: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.Embedding):
            nn.init.uniform_(layer.weight, -0.05, 0.05, generator=generator)
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
