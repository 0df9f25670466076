"""Networks: fully-connected ones, alone and in batches, and the paper's convolutional ones."""

__all__ = ["ACTIVATIONS", "ChannelNet", "FCEnsemble", "HybridNet", "PooledConv", "activation_function", "plain_network"]

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from rostra.engine.ensemble import seeded_normal, seeded_uniform
from rostra.engine.errors import InputError

Activation = str | Callable[[Tensor], Tensor]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "quadratic": torch.square,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "identity": lambda z: z,
}


def activation_function(activation: Activation) -> Callable[[Tensor], Tensor]:
    """The function of that name, or the callable itself.

    Raises:
        InputError: for an unknown name.
    """
    if callable(activation):
        return activation
    if activation not in ACTIVATIONS:
        raise InputError(f"activation must be one of {', '.join(ACTIVATIONS)}, or a function; got '{activation}'")
    return ACTIVATIONS[activation]


class FCEnsemble(nn.Module):
    """Fully-connected nets x -> W_L s(W_(L-1) ... s(W_1 x)) of L x S copies, copy (l, s) on data set s.

    Args:
        copies: (L, S).
        dimension: D.
        hidden: widths.
        activation: see :func:`activation_function`.
        bias: whether the layers have biases (the paper's have none; they break no symmetry).
    """

    def __init__(
        self, copies: tuple[int, int], dimension: int, hidden: Sequence[int], activation: Activation, bias: bool = False
    ) -> None:
        super().__init__()
        self.copies, self.dimension, self.hidden = copies, dimension, tuple(hidden)
        self.activation = activation
        self.function = activation_function(activation)
        sizes = [dimension, *hidden, 1]
        count = copies[0] * copies[1]
        self.weights = nn.ParameterList([nn.Parameter(torch.zeros(count, out, into)) for into, out in pairwise(sizes)])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(count, out)) for out in sizes[1:]] if bias else [])

    @torch.no_grad()
    def initialise(self, seeds: Sequence[int], init: str) -> None:
        """Draw the weights of set s's copies from ``seeds[s]``: all learning rates start from the same net.

        Args:
            seeds: one a data set.
            init: "gaussian", N(0, 1 / inputs) in every layer, whose law a rotation of the inputs leaves alone; or
                "kaiming_uniform", torch's default for linear layers, whose law it does not.
        """
        for layer, weight in enumerate(self.weights):
            shape = weight.shape[1:]
            scale = shape[1] ** -0.5
            if init == "gaussian":
                drawn = seeded_normal(seeds, shape, scale, stream=layer)
            elif init == "kaiming_uniform":
                drawn = seeded_uniform(seeds, shape, scale, stream=layer)
            else:
                raise InputError(f"init must be 'gaussian' or 'kaiming_uniform', got '{init}'")
            weight.copy_(drawn.repeat(self.copies[0], 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (L, S, n) for x of shape (S, n, D)."""
        values = x.repeat(self.copies[0], 1, 1) if self.copies[0] > 1 else x
        last = len(self.weights) - 1
        for layer, weight in enumerate(self.weights):
            values = values @ weight.mT
            if len(self.biases):
                values = values + self.biases[layer][:, None]
            if layer < last:
                values = self.function(values)
        return values.view(*self.copies, -1)


class _Elementwise(nn.Module):
    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.function = activation_function(activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def plain_network(ensemble: FCEnsemble, copy: int) -> nn.Sequential:
    """One copy as an ordinary torch module: (n, D) -> (n, 1)."""
    layers: list[nn.Module] = []
    for number, weight in enumerate(ensemble.weights):
        out, into = weight.shape[1:]
        linear = nn.Linear(into, out, bias=len(ensemble.biases) > 0, dtype=weight.dtype)
        with torch.no_grad():
            linear.weight.copy_(weight[copy])
            if len(ensemble.biases):
                linear.bias.copy_(ensemble.biases[number][copy])
        layers += [linear, _Elementwise(ensemble.activation)]
    return nn.Sequential(*layers[:-1])


class PooledConv(nn.Module):
    """The paper's ConvNet (section 3.1): one filter, squares summed over r blocks, a linear output.

    f(x) = sum_i a_i ||[w * x]_block i||^2 / (D/r) + b with a circular convolution; r = 2 and one tap for halves,
    r = D for diag, r = 1 and two taps for texture. The division keeps features of size 1, whatever D.

    Args:
        dimension: D.
        blocks: r, which divides D.
        taps: length of the filter.
        squared: False leaves the squares out (for onehot).
    """

    def __init__(self, dimension: int, blocks: int = 2, taps: int = 1, squared: bool = True) -> None:
        super().__init__()
        if blocks < 1 or dimension % blocks:
            raise InputError(f"blocks must divide D: D = {dimension}, blocks = {blocks}")
        if not 1 <= taps <= dimension:
            raise InputError(f"taps must be 1 to D = {dimension}, got {taps}")
        self.blocks, self.squared = blocks, squared
        drawn = torch.randn(taps)
        self.filter = nn.Parameter(drawn / drawn.norm())  # near 0 its gradient vanishes, and it would not learn
        self.weight = nn.Parameter(torch.zeros(blocks))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n, 1) for x of shape (n, D)."""
        moved = [tap * x.roll(shift, dims=1) for shift, tap in enumerate(self.filter)]
        values = torch.stack(moved).sum(0)
        if self.squared:
            values = values.square()
        pooled = values.view(len(x), self.blocks, -1).mean(2)
        return (pooled @ self.weight + self.bias)[:, None]


def _convolutions(channels: Sequence[int], activation: Activation, circular: bool, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number, (into, out) in enumerate(pairwise(channels)):
        layers.append(nn.Conv2d(into, out, 3, padding=1, padding_mode="circular" if circular else "zeros"))
        if number < len(channels) - 2:
            layers += [nn.BatchNorm2d(out)] * norm + [_Elementwise(activation)]
    return nn.Sequential(*layers)


class ChannelNet(nn.Module):
    """Figure 1's ConvNet: 3x3 convolutions of 10 channels, a 3x3 convolution to one, global average pooling.

    Args:
        image: (channels, height, width) of the input.
        layers: convolutions, 2 or more.
        width: hidden channels.
        activation: "quadratic", "relu" or a function.
        circular: wrap the image around instead of padding it with zeros.
        norm: batch normalisation before each activation.
    """

    def __init__(
        self,
        image: tuple[int, int, int],
        layers: int = 2,
        width: int = 10,
        activation: Activation = "quadratic",
        *,
        circular: bool = False,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.image = image
        self.convolutions = _convolutions([image[0], *[width] * (layers - 1), 1], activation, circular, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n, 1) for x of shape (n, D)."""
        return self.convolutions(x.view(-1, *self.image)).mean(dim=(1, 2, 3))[:, None]


class HybridNet(nn.Module):
    """Figure 1's hybrid: one Gaussian fully-connected layer as wide as the input, then a :class:`ChannelNet`.

    The first layer makes it as blind to rotations as a fully-connected net.
    """

    def __init__(self, image: tuple[int, int, int], width: int = 10, activation: Activation = "quadratic") -> None:
        super().__init__()
        size = image[0] * image[1] * image[2]
        self.mixing = nn.Linear(size, size, bias=False)
        nn.init.normal_(self.mixing.weight, std=size**-0.5)
        self.net = ChannelNet(image, 2, width, activation)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n, 1) for x of shape (n, D)."""
        return self.net(self.mixing(x))
