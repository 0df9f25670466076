"""Networks whose features carry DeepAveragers to images: one body, a head of Q-values and a head of imitation logits.

The sizes are those of the discrete BCQ that the authors take their representations from (section 2.8 of our
specification); the one for small grids is the usual network of MinAtar.
"""

__all__ = ["GRID_SIDE", "TwoHeadNetwork", "atari_network", "grid_network", "network_for", "vector_network"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rostra.engine.errors import InputError

GRID_SIDE = 16
"""Largest height and width, in cells, of what counts as a small grid."""
FRAME_SIDE = 84
"""Height and width of Atari's frames after the usual preprocessing."""


class Standardize(nn.Module):
    """Vectors to mean 0 and standard deviation 1 by feature, as measured on a log: (n, d), any dtype -> float32.

    Starts as the identity. The measured values are buffers: they are saved with the network.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))

    def forward(self, x: Tensor) -> Tensor:
        """Shift and scale; shape (n, d)."""
        return (x.float() - self.mean) / self.scale


class Cells(nn.Module):
    """Grids of cells, channel last, (n, height, width, c), bool or numbers -> (n, c, height, width), float32."""

    def forward(self, x: Tensor) -> Tensor:
        """Move the channels in front."""
        return x.permute(0, 3, 1, 2).float()


class Frames(nn.Module):
    """Stacked grey frames, (n, c, 84, 84), uint8 -> float32 in [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """Scale to [0, 1]."""
        return x.float() / 255


class TwoHeadNetwork(nn.Module):
    """Observations (n, *shape) -> Q-values and imitation logits, (n, A) each.

    Both heads see the output of one body. The Q-values say what an action is worth; the softmax of the logits, how
    likely the log's policy is to take it.

    Args:
        body: (n, *shape) -> (n, inputs of a hidden part).
        q_hidden, imitation_hidden: -> (n, width), each head's own part before its last linear layer.
        width: features of a head.
        actions: A.
    """

    def __init__(
        self, body: nn.Module, q_hidden: nn.Module, imitation_hidden: nn.Module, width: int, actions: int
    ) -> None:
        super().__init__()
        self.body = body
        self.q_hidden, self.q_last = q_hidden, nn.Linear(width, actions)
        self.imitation_hidden, self.imitation_last = imitation_hidden, nn.Linear(width, actions)

    def features(self, x: Tensor, head: str = "q") -> Tensor:
        """Activations before the last linear layer of a head, "q" or "imitation"; shape (n, width), at least 0."""
        hidden = self.q_hidden if head == "q" else self.imitation_hidden
        return hidden(self.body(x))

    def q_values(self, x: Tensor) -> Tensor:
        """Q-values alone, shape (n, A): half the work where the heads are apart."""
        return self.q_last(self.features(x))

    def imitation_logits(self, x: Tensor) -> Tensor:
        """Imitation logits alone, shape (n, A)."""
        return self.imitation_last(self.features(x, "imitation"))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Q-values and imitation logits, shape (n, A) each; the body is gone through once."""
        common = self.body(x)
        return self.q_last(self.q_hidden(common)), self.imitation_last(self.imitation_hidden(common))


def vector_network(inputs: int, actions: int, hidden: int = 256) -> TwoHeadNetwork:
    """For vectors (n, inputs): two separate networks inputs - 256 - 256 - A; features (n, 256)."""

    def layers() -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())

    return TwoHeadNetwork(Standardize(inputs), layers(), layers(), hidden, actions)


def grid_network(shape: Sequence[int], actions: int, hidden: int = 128) -> TwoHeadNetwork:
    """For small grids (n, height, width, c): 16 filters of 3 x 3, then 128 units that both heads share, the features.

    Args:
        shape: (height, width, c); height and width at least 3.
        actions: A.
        hidden: features.
    """
    height, width, channels = shape
    cells = 16 * (height - 2) * (width - 2)
    body = nn.Sequential(
        Cells(), nn.Conv2d(channels, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(cells, hidden), nn.ReLU()
    )
    return TwoHeadNetwork(body, nn.Identity(), nn.Identity(), hidden, actions)


def atari_network(actions: int, channels: int = 4, hidden: int = 512) -> TwoHeadNetwork:
    """For stacked frames (n, channels, 84, 84), uint8: DQN's convolutions, then 512 units a head; features (n, 512)."""
    body = nn.Sequential(
        Frames(),
        nn.Conv2d(channels, 32, 8, stride=4),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.Flatten(),
    )

    def head() -> nn.Module:
        return nn.Sequential(nn.Linear(3136, hidden), nn.ReLU())

    return TwoHeadNetwork(body, head(), head(), hidden, actions)


def network_for(shape: Sequence[int], actions: int) -> TwoHeadNetwork:
    """The untrained network for observations of a shape; weights come from torch's generator.

    Args:
        shape: of one observation: (d,), a vector; (c, 84, 84), stacked frames; (height, width, c) with sides of 3 to
            16, a small grid.
        actions: A.

    Raises:
        InputError: for any other shape.
    """
    match tuple(shape):
        case (inputs,):
            return vector_network(inputs, actions)
        case (channels, side, other) if side == other == FRAME_SIDE:
            return atari_network(actions, channels)
        case (height, width, _) if min(height, width) >= 3 and max(height, width) <= GRID_SIDE:
            return grid_network(shape, actions)
        case other_shape:
            raise InputError(
                f"no network for observations of shape {other_shape}: expected a vector (d,), frames (c, 84, 84) or a "
                f"grid (height, width, c) with sides of 3 to {GRID_SIDE}; reshape or resize them, or train an encoder "
                "of your own: any function of a batch of observations is one"
            )
