"""The networks are the published ones: their sizes, their shapes, and what they refuse."""

import math

import pytest
import torch
from torch import nn

from rostra.engine.errors import InputError
from rostra.fields.vision.networks import (
    MLP,
    VGG,
    PaperFC,
    ResNet,
    SmallCNN,
    WideResNet,
    densenet121,
    efficientnet_b0,
    resnet18,
    resnet50,
)

SMALL = {
    "mlp": lambda: MLP((3, 32, 32), 7, (20, 10)),
    "linear": lambda: MLP((3, 32, 32), 7, ()),
    "cnn": lambda: SmallCNN((3, 32, 32), 7),
    "cnn-plain": lambda: SmallCNN((3, 32, 32), 7, norm=False),
    "paper-fc": lambda: PaperFC((3, 32, 32), 7, 50),
    "resnet": lambda: ResNet(7, (1, 1, 1, 1), width=8),
    "resnet-bottleneck": lambda: ResNet(7, (1, 2), bottleneck=True, width=8),
    "wide-resnet": lambda: WideResNet(10, 2, 7),
    "vgg": lambda: VGG(11, norm=False, classes=7),
    "vgg-norm": lambda: VGG(13, norm=True, classes=7),
    "densenet": lambda: densenet121(7),
    "efficientnet": lambda: efficientnet_b0(7),
}


def size(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_logits_and_gradients(name):
    """Logits of each image; every parameter is used; an image's logits do not depend on its neighbours."""
    torch.manual_seed(0)
    network = SMALL[name]()
    x = torch.randn(4, 3, 32, 32)
    logits = network(x)
    assert logits.shape == (4, 7)
    nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name
    network.eval()
    with torch.no_grad():
        assert torch.allclose(network(x)[:2], network(x[:2]), atol=1e-4)


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (lambda: resnet18(10), 11_173_962),
        (lambda: resnet50(10), 23_520_842),
        (lambda: ResNet(10, (9, 9, 9), width=16), 855_770),  # ResNet-56 with 1 x 1 shortcuts
        (lambda: WideResNet(28, 10, 10), 36_479_194),
        (lambda: WideResNet(16, 4, 10), 2_748_890),
        (lambda: VGG(11, norm=True, classes=10), 9_231_114),
        (lambda: VGG(16, norm=True, classes=10), 14_728_266),
        (lambda: VGG(19, norm=True, classes=10), 20_040_522),
        (lambda: densenet121(10), 6_956_298),
        (lambda: efficientnet_b0(10), 3_598_598),
    ],
    ids=[
        "resnet18",
        "resnet50",
        "resnet56",
        "wrn-28-10",
        "wrn-16-4",
        "vgg11-bn",
        "vgg16-bn",
        "vgg19-bn",
        "densenet121",
        "efficientnet-b0",
    ],
)
def test_published_numbers_of_parameters(make, parameters):
    """CIFAR variants with 10 classes."""
    with torch.device("meta"):
        network = make()
    assert size(network) == parameters


def test_sizes_by_hand():
    assert size(MLP((1, 28, 28), 10)) == 784 * 128 + 128 + 128 * 10 + 10
    assert size(PaperFC((3, 32, 32), 10)) == 3 * 20 + 20 + 5120 * 500 + 500 + 500 * 10 + 10
    assert size(SmallCNN((1, 28, 28), 10)) == 9 * 16 + 32 + 9 * 16 * 32 + 64 + 32 * 7 * 7 * 10 + 10
    assert size(SmallCNN((1, 28, 28), 10, norm=False)) == 9 * 16 + 16 + 9 * 16 * 32 + 32 + 32 * 7 * 7 * 10 + 10
    bare, normed = VGG(11, norm=False, classes=10), VGG(11, norm=True, classes=10)
    assert size(normed) - size(bare) == 2 * (64 + 128 + 2 * 256 + 4 * 512)


@pytest.mark.parametrize("image", [(1, 8, 8), (3, 28, 20), (2, 33, 64)])
def test_other_images(image):
    """Grey, small, not square, odd."""
    x = torch.randn(2, *image)
    channels = image[0]
    for network in (
        MLP(image, 3),
        SmallCNN(image, 3),
        PaperFC(image, 3, 9),
        ResNet(3, (1, 1, 1, 1), width=4, channels=channels),
        WideResNet(10, 1, 3, channels),
    ):
        assert network(x).shape == (2, 3)


def test_larger_images_than_vgg_was_made_for():
    network = VGG(11, norm=True, classes=3, channels=1).eval()
    assert network(torch.randn(1, 1, 64, 70)).shape == (1, 3)


def test_images_that_are_too_small_or_of_other_channels():
    with pytest.raises(InputError, match="3 poolings need images of at least 8 x 8, got 7 x 9"):
        SmallCNN((3, 7, 9), 2, (4, 4, 4))
    with pytest.raises(InputError, match="at least 2 x 2, got 1 x 5"):
        PaperFC((3, 1, 5), 2)
    for network, least in (
        (ResNet(2, (1, 1, 1, 1), width=4), 8),
        (WideResNet(10, 1, 2), 4),
        (VGG(11, norm=False, classes=2), 32),
        (densenet121(2), 8),
        (efficientnet_b0(2), 16),
    ):
        assert network.eval()(torch.zeros(1, 3, least, least)).shape == (1, 2)
        with pytest.raises(InputError, match=rf"\(B, 3, H, W\) with H and W at least {least}, got \(1, 3, {least - 1}"):
            network(torch.zeros(1, 3, least - 1, 40))
        with pytest.raises(InputError, match=r"got \(1, 1, 40, 40\)"):
            network(torch.zeros(1, 1, 40, 40))


def test_depths_that_do_not_exist():
    with pytest.raises(InputError, match="one of 11, 13, 16, 19; got 12"):
        VGG(12, norm=True, classes=2)
    for depth in (4, 27):
        with pytest.raises(InputError, match=f"6 n \\+ 4.*got {depth}"):
            WideResNet(depth, 1, 2)


def test_convolutions_start_with_the_variance_of_fan_out():
    torch.manual_seed(0)
    for network in (resnet18(10), VGG(11, norm=True, classes=10)):
        for module in network.modules():
            if isinstance(module, nn.Conv2d) and module.weight.numel() > 10_000:
                expected = math.sqrt(2 / (module.out_channels * math.prod(module.kernel_size)))
                assert abs(module.weight.std().item() / expected - 1) < 0.05


def test_stochastic_depth_keeps_the_mean():
    """In training, an image skips a block or has it scaled; in evaluation nothing is drawn."""
    torch.manual_seed(0)
    network = efficientnet_b0(4).eval()
    x = torch.randn(1, 3, 16, 16)
    assert torch.equal(network(x), network(x))
    block = next(layer for layer in network.features[::-1] if getattr(layer, "adds", False))
    assert block.drop == pytest.approx(0.2 * 14 / 16)
    inputs = torch.randn(1, block.narrow[1].num_features, 2, 2)
    with torch.no_grad():
        whole = block(inputs) - inputs
        block.training = True  # its norms stay as they are
        drawn = block(inputs.expand(4000, -1, -1, -1)) - inputs
    skipped = (drawn.flatten(1) == 0).all(dim=1)
    assert abs(skipped.float().mean() - block.drop) < 0.025
    assert torch.allclose(drawn[~skipped][0], whole[0] / (1 - block.drop), atol=1e-4)
