"""Passes by hand beside torch's own."""

import pytest
import torch
from torch import nn

from mapush_stack.learning.native.perceptron import Perceptron


@pytest.fixture(params=[True, False], ids=["tanh everywhere", "a layer without"])
def layers(request):
    torch.manual_seed(1)
    between = [nn.Tanh()] if request.param else []
    return [nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 8), *between, nn.Linear(8, 3)]


def loss(net, x):
    """Two passes at once, the second of as many rows as the first."""
    return (net(x) ** 2).sum() + (net(0.5 * x) ** 3).sum()


@pytest.mark.parametrize("fast", [False, True])
def test_outputs_and_gradients_are_those_of_torch(layers, fast):
    own, torchs = Perceptron(layers, fast), nn.Sequential(*layers)
    x = (3 * torch.randn(20, 5)).requires_grad_()
    for _ in range(2):  # the second time in the memory of the first
        for net in (own, torchs):
            net.gradients = torch.autograd.grad(loss(net, x), [x, *net.parameters()])
        for one, other in zip(own.gradients, torchs.gradients):
            assert torch.allclose(one, other, rtol=1e-5, atol=1e-5) if fast else torch.equal(one, other)
    with torch.no_grad():
        rows = x.detach().view(2, 10, 5)
        assert torch.allclose(own(rows), torchs(rows), rtol=0.0, atol=1e-6 * fast)
    assert torch.allclose(own(rows), torchs(rows), rtol=0.0, atol=1e-6 * fast)


def test_memory_is_used_again_and_never_by_two_passes(layers):
    net, x = Perceptron(layers), torch.randn(20, 5)
    for _ in range(3):
        torch.autograd.grad(loss(net, x), list(net.parameters()))
    assert len(net._free[20]) == 2


def test_other_activations_are_left_to_torch():
    layers = [nn.Linear(5, 16), nn.ELU(), nn.LayerNorm(16), nn.Linear(16, 3)]
    x = torch.randn(4, 5)
    assert torch.equal(Perceptron(layers)(x), nn.Sequential(*layers)(x))
