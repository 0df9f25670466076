"""The networks that a study names; the batched "mlp" is :class:`.training.StackedMLP`."""

__all__ = ["NETWORKS"]

from collections.abc import Callable, Mapping

from torch import nn

from rostra.fields.vision.networks import (
    MLP,
    VGG,
    PaperFC,
    SmallCNN,
    WideResNet,
    densenet121,
    efficientnet_b0,
    resnet18,
    resnet50,
)

NETWORKS: Mapping[str, Callable[[tuple[int, ...], int], nn.Module]] = {
    "cnn": lambda image, classes: SmallCNN(image, classes),
    "cnn-plain": lambda image, classes: SmallCNN(image, classes, norm=False),
    "module-mlp": lambda image, classes: MLP(image, classes),
    "fc": lambda image, classes: PaperFC(image, classes),
    "resnet18": lambda image, classes: resnet18(classes, image[0]),
    "resnet50": lambda image, classes: resnet50(classes, image[0]),
    "wrn28-10": lambda image, classes: WideResNet(28, 10, classes, image[0]),
    "vgg11": lambda image, classes: VGG(11, norm=False, classes=classes, channels=image[0]),
    "vgg11-bn": lambda image, classes: VGG(11, norm=True, classes=classes, channels=image[0]),
    "vgg19": lambda image, classes: VGG(19, norm=False, classes=classes, channels=image[0]),
    "vgg19-bn": lambda image, classes: VGG(19, norm=True, classes=classes, channels=image[0]),
    "densenet121": lambda image, classes: densenet121(classes, image[0]),
    "efficientnet-b0": lambda image, classes: efficientnet_b0(classes, image[0]),
}
"""Name -> network of an image (channels, height, width) and a number of classes: those of the paper's figure 2, and
the small ones of the claims."""
