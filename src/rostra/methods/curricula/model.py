"""The networks that a study names; the batched one is :class:`.training.StackedMLP`."""

__all__ = ["NETWORKS"]

from collections.abc import Callable, Mapping

from torch import nn

from rostra.fields.vision.networks import MLP, VGG, PaperFC, SmallCNN, resnet18, resnet50

NETWORKS: Mapping[str, Callable[[tuple[int, ...], int], nn.Module]] = {
    "cnn": lambda image, classes: SmallCNN(image, classes),
    "cnn-plain": lambda image, classes: SmallCNN(image, classes, norm=False),
    "module-mlp": lambda image, classes: MLP(image, classes),
    "fc": lambda image, classes: PaperFC(image, classes),
    "resnet18": lambda image, classes: resnet18(classes, image[0]),
    "resnet50": lambda image, classes: resnet50(classes, image[0]),
    "vgg11": lambda image, classes: VGG(11, norm=False, classes=classes),
    "vgg11-bn": lambda image, classes: VGG(11, norm=True, classes=classes),
}
"""Name -> network of an image (channels, height, width) and a number of classes."""
