import pytest
import torch
from torch import nn

from mapush_stack.learning.native.optimizer import ClippedAdam


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))


def loss_of(net, scale=1.0):
    return scale * (net(torch.arange(6.0).view(2, 3)) ** 2).sum()


@pytest.mark.skipif(torch.__version__ >= "2", reason="there torch.optim imports the compiler, 11 s: see the slow test")
def test_it_is_torchs_adam_with_torchs_clipping():
    check_against_torch()


@pytest.mark.slow
def test_it_is_any_torchs_adam_with_its_clipping():
    check_against_torch()


def check_against_torch():
    ours, theirs = network(), network()
    optimizer = ClippedAdam(ours, lr=0.01, eps=1e-5, max_grad_norm=0.5)
    reference = torch.optim.Adam(theirs.parameters(), lr=0.01, eps=1e-5)
    for _ in range(20):
        norms = optimizer.step(loss_of(ours))
        reference.zero_grad()
        loss_of(theirs).backward()
        before = nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        reference.step()
        assert float(norms[0]) == pytest.approx(float(before), rel=1e-4)
        for one, other in zip(ours.parameters(), theirs.parameters()):
            assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e12])
def test_the_applied_gradient_never_exceeds_the_bound(scale):
    net = network()
    optimizer = ClippedAdam(net, lr=0.0, eps=1e-5, max_grad_norm=0.7)
    norms = optimizer.step(loss_of(net, scale))
    applied = optimizer.state_dict()["first"].norm() / (1.0 - 0.9)
    assert float(applied) <= 0.7 * (1 + 1e-5)
    assert float(norms[1]) == pytest.approx(float(applied), rel=1e-4)
    assert float(norms[0]) >= float(norms[1]) * (1 - 1e-5)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_left_out(poison):
    net = network()
    optimizer = ClippedAdam(net, lr=0.1, eps=1e-5, max_grad_norm=1.0)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    norms = optimizer.step(loss_of(net) * poison)
    assert not norms[0].isfinite() and float(norms[1]) == 0.0
    for old, new in zip(before, net.parameters()):
        assert torch.equal(old, new)


def test_state_survives():
    first, second = network(), network()
    one = ClippedAdam(first, 0.01, 1e-5, 1.0)
    for _ in range(3):
        one.step(loss_of(first))
    other = ClippedAdam(second, 0.01, 1e-5, 1.0)
    second.load_state_dict(first.state_dict())
    other.load_state_dict(one.state_dict())
    one.step(loss_of(first))
    other.step(loss_of(second))
    for a, b in zip(first.parameters(), second.parameters()):
        assert torch.equal(a, b)


def test_loading_weights_after_taking_over_a_network_reaches_the_optimizer():
    net, source = network(), nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
    optimizer = ClippedAdam(net, 0.01, 1e-5, 1.0)
    net.load_state_dict(source.state_dict())
    optimizer.step(loss_of(net))
    changed = [not torch.equal(a, b) for a, b in zip(net.parameters(), source.parameters())]
    near = [torch.allclose(a, b, atol=0.02) for a, b in zip(net.parameters(), source.parameters())]
    assert any(changed) and all(near)
