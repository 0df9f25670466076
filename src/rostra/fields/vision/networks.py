"""Networks for small images, as plain modules: (B, C, H, W) -> logits (B, classes).

They are the variants that are usual for 32 x 32 pixels: stems without stride. Convolutions start from He et al.'s
normal distribution (fan-out), batch norms from the identity, linear layers from torch's default.
"""

__all__ = [
    "MLP",
    "VGG",
    "DenseNet",
    "EfficientNetB0",
    "PaperFC",
    "ResNet",
    "SmallCNN",
    "WideResNet",
    "densenet121",
    "efficientnet_b0",
    "resnet18",
    "resnet50",
]

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from rostra.engine.errors import InputError


def _initialise(network: nn.Module) -> None:
    """He, Zhang, Ren, Sun, "Delving deep into rectifiers", 2015: N(0, 2 / fan-out) for convolutions; biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _check_images(x: Tensor, channels: int, least: int, network: str) -> None:
    if x.ndim != 4 or x.shape[1] != channels or min(x.shape[2:]) < least:
        raise InputError(
            f"{network} takes images of the shape (B, {channels}, H, W) with H and W at least {least}, "
            f"got {tuple(x.shape)}"
        )


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=bias)


class MLP(nn.Module):
    """Linear layers with ReLU between them, on the pixels in a row.

    Args:
        image: (C, H, W).
        classes: logits.
        hidden: widths; none makes it linear.
    """

    def __init__(self, image: Sequence[int], classes: int, hidden: Sequence[int] = (128,)) -> None:
        super().__init__()
        channels, height, width = image
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise([channels * height * width, *hidden]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear([channels * height * width, *hidden][-1], classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (B, classes)."""
        logits: Tensor = self.layers(x)
        return logits


class SmallCNN(nn.Module):
    """For each width a 3 x 3 convolution, batch norm, ReLU and 2 x 2 max-pooling; then a linear layer.

    Args:
        image: (C, H, W); H and W at least 2 to the power of the number of widths.
        classes: logits.
        widths: channels of the convolutions.
        norm: whether there are batch norms; without them the convolutions have biases.

    Raises:
        InputError: for images that are too small.
    """

    def __init__(
        self, image: Sequence[int], classes: int, widths: Sequence[int] = (16, 32), *, norm: bool = True
    ) -> None:
        super().__init__()
        channels, height, width = image
        shrink = 2 ** len(widths)
        if min(height, width) < shrink:
            raise InputError(
                f"{len(widths)} poolings need images of at least {shrink} x {shrink}, got {height} x {width}; "
                "take fewer widths or larger images"
            )
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([channels, *widths]):
            layers.append(_conv(inputs, outputs, 3, bias=not norm))
            layers += [nn.BatchNorm2d(outputs)] if norm else []
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        last = [channels, *widths][-1]
        self.head = nn.Linear(last * (height // shrink) * (width // shrink), classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (B, classes)."""
        logits: Tensor = self.head(self.features(x).flatten(1))
        return logits


class PaperFC(nn.Module):
    """A 1 x 1 convolution to 20 channels, ReLU, 2 x 2 max-pooling, a hidden layer with ReLU, a linear layer.

    The fully-connected network of Wu, Dyer, Neyshabur, "When do curricula work?", 2021, figure 2; on 32 x 32 pixels
    the hidden layer has 5,120 inputs.

    Args:
        image: (C, H, W); H and W at least 2.
        classes: logits.
        hidden: 500 or 1,000 in the paper.

    Raises:
        InputError: for images that are too small.
    """

    def __init__(self, image: Sequence[int], classes: int, hidden: int = 500) -> None:
        super().__init__()
        channels, height, width = image
        if min(height, width) < 2:
            raise InputError(f"the pooling needs images of at least 2 x 2, got {height} x {width}")
        self.mix = nn.Conv2d(channels, 20, kernel_size=1)
        self.hidden = nn.Linear(20 * (height // 2) * (width // 2), hidden)
        self.head = nn.Linear(hidden, classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (B, classes)."""
        pooled = max_pool2d(torch.relu(self.mix(x)), 2)
        logits: Tensor = self.head(torch.relu(self.hidden(pooled.flatten(1))))
        return logits


class _ResidualBlock(nn.Module):
    """relu(F(x) + x): F is two 3 x 3 convolutions, or 1 x 1, 3 x 3, 1 x 1 that widen fourfold (bottleneck)."""

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        self.outputs = 4 * width if bottleneck else width
        narrow_wide = [(width, 1, 1), (width, 3, stride), (self.outputs, 1, 1)]
        plan = narrow_wide if bottleneck else [(width, 3, stride), (width, 3, 1)]
        layers: list[nn.Module] = []
        previous = inputs
        for outputs, kernel, step in plan:
            layers += [_conv(previous, outputs, kernel, step), nn.BatchNorm2d(outputs), nn.ReLU()]
            previous = outputs
        self.residual = nn.Sequential(*layers[:-1])
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != self.outputs:
            self.shortcut = nn.Sequential(_conv(inputs, self.outputs, 1, stride), nn.BatchNorm2d(self.outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.residual(x) + self.shortcut(x))


class ResNet(nn.Module):
    """He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2016, for small images.

    A 3 x 3 stem without pooling; stages whose width doubles and whose resolution halves from the second on;
    1 x 1 convolutions where a shortcut changes shape; global average pooling; a linear layer.

    Args:
        classes: logits.
        blocks: of each stage.
        bottleneck: blocks of 1 x 1, 3 x 3, 1 x 1 convolutions.
        width: channels of the stem and the first stage.
        channels: of the images, whose height and width are at least 2 to the power of the number of halvings.
    """

    def __init__(
        self, classes: int, blocks: Sequence[int], *, bottleneck: bool = False, width: int = 64, channels: int = 3
    ) -> None:
        super().__init__()
        self.channels, self.least = channels, 2 ** (len(blocks) - 1)
        self.stem = nn.Sequential(_conv(channels, width, 3), nn.BatchNorm2d(width), nn.ReLU())
        layers: list[nn.Module] = []
        current = width
        for stage, count in enumerate(blocks):
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                layer = _ResidualBlock(current, width * 2**stage, stride, bottleneck)
                layers.append(layer)
                current = layer.outputs
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(current, classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (B, classes)."""
        _check_images(x, self.channels, self.least, "this ResNet")
        logits: Tensor = self.head(self.blocks(self.stem(x)).mean(dim=(2, 3)))
        return logits


def resnet18(classes: int, channels: int = 3) -> ResNet:
    """ResNet-18 for small images: 11.2 million parameters."""
    return ResNet(classes, (2, 2, 2, 2), channels=channels)


def resnet50(classes: int, channels: int = 3) -> ResNet:
    """ResNet-50 for small images: 23.5 million parameters."""
    return ResNet(classes, (3, 4, 6, 3), bottleneck=True, channels=channels)


class _WideBlock(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))); where the shape changes, the shortcut starts after the first ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.residual = nn.Sequential(
            _conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs), nn.ReLU(), _conv(outputs, outputs, 3)
        )
        self.shortcut = None if stride == 1 and inputs == outputs else _conv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.first(x)
        found: Tensor = self.residual(activated) + (x if self.shortcut is None else self.shortcut(activated))
        return found


class WideResNet(nn.Module):
    """Zagoruyko, Komodakis, "Wide residual networks", 2016: WRN-depth-widen, without dropout.

    Args:
        depth: 6 n + 4, such as 28, with n blocks in each of three stages.
        widen: factor of the stages' 16, 32 and 64 channels.
        classes: logits.
        channels: of the images, whose height and width are at least 4.

    Raises:
        InputError: for another depth.
    """

    def __init__(self, depth: int, widen: int, classes: int, channels: int = 3) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise InputError(f"depth must be 6 n + 4, such as 10, 16, 22 or 28; got {depth}")
        self.channels = channels
        layers: list[nn.Module] = [_conv(channels, 16, 3)]
        current = 16
        for stage in range(3):
            outputs = 16 * 2**stage * widen
            for block in range((depth - 4) // 6):
                layers.append(_WideBlock(current, outputs, stride=2 if stage > 0 and block == 0 else 1))
                current = outputs
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(current), nn.ReLU())
        self.head = nn.Linear(current, classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (B, classes)."""
        _check_images(x, self.channels, 4, "WideResNet")
        logits: Tensor = self.head(self.features(x).mean(dim=(2, 3)))
        return logits


_VGG_REPEATS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(nn.Module):
    """Simonyan, Zisserman, "Very deep convolutional networks", 2015, with one linear layer instead of three.

    Five stages of 3 x 3 convolutions (with biases) of 64, 128, 256, 512 and 512 channels, each followed by 2 x 2
    max-pooling; what larger images than 32 x 32 leave is averaged.

    Args:
        depth: 11, 13, 16 or 19.
        norm: whether each convolution is followed by a batch norm.
        classes: logits.
        channels: of the images, whose height and width are at least 32.

    Raises:
        InputError: for another depth.
    """

    def __init__(self, depth: int, norm: bool, classes: int, channels: int = 3) -> None:
        super().__init__()
        if depth not in _VGG_REPEATS:
            raise InputError(f"depth must be one of {', '.join(map(str, _VGG_REPEATS))}; got {depth}")
        self.channels = channels
        layers: list[nn.Module] = []
        current = channels
        for width, repeats in zip((64, 128, 256, 512, 512), _VGG_REPEATS[depth], strict=True):
            for _ in range(repeats):
                layers.append(_conv(current, width, 3, bias=True))
                layers += [nn.BatchNorm2d(width)] if norm else []
                layers.append(nn.ReLU())
                current = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(current, classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (B, classes)."""
        _check_images(x, self.channels, 32, "VGG")
        logits: Tensor = self.head(self.features(x).mean(dim=(2, 3)))
        return logits


class _DenseLayer(nn.Module):
    """Appends ``growth`` channels to x: norm, ReLU, 1 x 1 convolution, norm, ReLU, 3 x 3 convolution."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.added = nn.Sequential(
            *(nn.BatchNorm2d(inputs), nn.ReLU(), _conv(inputs, 4 * growth, 1)),
            *(nn.BatchNorm2d(4 * growth), nn.ReLU(), _conv(4 * growth, growth, 3)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.added(x)], dim=1)


class DenseNet(nn.Module):
    """Huang, Liu, van der Maaten, Weinberger, "Densely connected convolutional networks", 2017: DenseNet-BC.

    A 3 x 3 stem of twice the growth; dense blocks; between them 1 x 1 convolutions to half the channels and 2 x 2
    average pooling.

    Args:
        classes: logits.
        blocks: layers of each block.
        growth: channels that a layer adds.
        channels: of the images, whose height and width are at least 2 to the power of the number of halvings.
    """

    def __init__(self, classes: int, blocks: Sequence[int], growth: int = 32, channels: int = 3) -> None:
        super().__init__()
        self.channels, self.least = channels, 2 ** (len(blocks) - 1)
        current = 2 * growth
        layers: list[nn.Module] = [_conv(channels, current, 3)]
        for number, count in enumerate(blocks):
            if number:
                layers += [nn.BatchNorm2d(current), nn.ReLU(), _conv(current, current // 2, 1), nn.AvgPool2d(2)]
                current //= 2
            layers += [_DenseLayer(current + i * growth, growth) for i in range(count)]
            current += count * growth
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(current), nn.ReLU())
        self.head = nn.Linear(current, classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (B, classes)."""
        _check_images(x, self.channels, self.least, "this DenseNet")
        logits: Tensor = self.head(self.features(x).mean(dim=(2, 3)))
        return logits


def densenet121(classes: int, channels: int = 3) -> DenseNet:
    """DenseNet-121 for small images: 7.0 million parameters."""
    return DenseNet(classes, (6, 12, 24, 16), channels=channels)


class _MobileBlock(nn.Module):
    """Widen (1 x 1), filter each channel, weigh the channels by their means, narrow (1 x 1), add x where it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, drop: float) -> None:
        super().__init__()
        width, squeezed = inputs * expansion, max(1, inputs // 4)
        widen = [_conv(inputs, width, 1), nn.BatchNorm2d(width), nn.SiLU()] if expansion > 1 else []
        self.filter = nn.Sequential(
            *widen, _conv(width, width, kernel, stride, groups=width), nn.BatchNorm2d(width), nn.SiLU()
        )
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            *(_conv(width, squeezed, 1, bias=True), nn.SiLU(), _conv(squeezed, width, 1, bias=True), nn.Sigmoid()),
        )
        self.narrow = nn.Sequential(_conv(width, outputs, 1), nn.BatchNorm2d(outputs))
        self.adds, self.drop = stride == 1 and inputs == outputs, drop

    def forward(self, x: Tensor) -> Tensor:
        filtered = self.filter(x)
        found: Tensor = self.narrow(filtered * self.weigh(filtered))
        if not self.adds:
            return found
        if self.training and self.drop:  # stochastic depth: an image skips the block with this probability
            kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop
            found = found * kept / (1 - self.drop)
        return x + found


_EFFICIENT_STAGES = (  # expansion, outputs, blocks, kernel, stride of the first block
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)


class EfficientNetB0(nn.Module):
    """Tan, Le, "EfficientNet", 2019, table 1, for small images: a stem without stride, no last 1 x 1 convolution.

    Dropout and stochastic depth (rising linearly to it) draw from torch's global generator in training.

    Args:
        classes: logits.
        channels: of the images, whose height and width are at least 16.
        dropout: before the linear layer.
        drop_path: probability with which an image skips the last block.
    """

    def __init__(self, classes: int, channels: int = 3, *, dropout: float = 0.2, drop_path: float = 0.2) -> None:
        super().__init__()
        self.channels = channels
        layers: list[nn.Module] = [_conv(channels, 32, 3), nn.BatchNorm2d(32), nn.SiLU()]
        current, done, total = 32, 0, sum(stage[2] for stage in _EFFICIENT_STAGES)
        for expansion, outputs, blocks, kernel, stride in _EFFICIENT_STAGES:
            for block in range(blocks):
                step = stride if block == 0 else 1
                layers.append(_MobileBlock(current, outputs, kernel, step, expansion, drop_path * done / total))
                current, done = outputs, done + 1
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(current, classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (B, classes)."""
        _check_images(x, self.channels, 16, "EfficientNet")
        logits: Tensor = self.head(self.dropout(self.features(x).mean(dim=(2, 3))))
        return logits


def efficientnet_b0(classes: int, channels: int = 3) -> EfficientNetB0:
    """EfficientNet-B0 for small images: 3.6 million parameters."""
    return EfficientNetB0(classes, channels)
