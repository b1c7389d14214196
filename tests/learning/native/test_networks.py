import math

import torch

from mapush_stack.learning.config import NetworkConfig
from mapush_stack.learning.native.networks import GaussianActor, mlp
from tests.conftest import small_config

SIGNS = ([1.0, -1.0, 1.0, -1.0, 1.0], [1.0, -1.0, -1.0])


def policy(**changes):
    return small_config().learner.policy.model_copy(update=changes)


def actor(mirror=SIGNS, **changes) -> GaussianActor:
    made = GaussianActor(policy(**changes), 5, 3, mirror, torch.Generator().manual_seed(1))
    for parameter in made.net.parameters():
        parameter.data.normal_(generator=torch.Generator().manual_seed(2))
    return made


def test_the_mean_is_equivariant_under_reflection():
    made, seen = actor(), torch.randn(20, 5)
    reflected = made(seen * torch.tensor(SIGNS[0]))
    assert torch.allclose(reflected, made(seen) * torch.tensor(SIGNS[1]), atol=1e-5)
    assert made(seen).abs().max() <= 1.0


def test_without_mirror_and_squash_the_mean_is_the_networks():
    made, seen = actor(mirror=None, squash=False), torch.randn(4, 5)
    assert torch.equal(made(seen), made.net(seen))


def test_log_prob_and_entropy_are_the_normal_distributions():
    made = actor()
    made.log_std.data = torch.tensor([-0.5, 0.0, -1.0])
    mean, action = torch.randn(7, 3), torch.randn(7, 3)
    normal = torch.distributions.Normal(mean, made.log_std.exp())
    assert torch.allclose(made.log_prob(mean, action), normal.log_prob(action).sum(-1), atol=1e-5)
    assert torch.allclose(made.entropy(), normal.entropy()[0].sum(), atol=1e-5)


def test_the_standard_deviation_stays_within_its_bounds():
    made = actor(log_std_min=-1.0, log_std_init=-0.5, log_std_max=0.0)
    made.log_std.data = torch.tensor([-9.0, -0.3, 4.0])
    made.project()
    assert torch.allclose(made.log_std.data, torch.tensor([-1.0, -0.3, 0.0]))


def test_layers_follow_the_configuration():
    config = NetworkConfig(hidden=[8, 6], activation="relu", layer_norm=True, last_activation=False, input_norm=True)
    kinds = [type(layer).__name__ for layer in mlp(config, 4, 2, 0.01, torch.Generator())]
    assert kinds == ["LayerNorm", "Linear", "ReLU", "LayerNorm", "Linear", "LayerNorm", "Linear"]


def test_weights_are_orthogonal_and_depend_on_the_generator_alone():
    config = NetworkConfig(hidden=[8], activation="tanh", layer_norm=False, last_activation=True, input_norm=False)
    torch.manual_seed(0)
    one = mlp(config, 4, 2, 0.01, torch.Generator().manual_seed(3))
    torch.manual_seed(1)
    two = mlp(config, 4, 2, 0.01, torch.Generator().manual_seed(3))
    for a, b in zip(one.parameters(), two.parameters()):
        assert torch.equal(a, b)
    weight = one[0].weight / (5 / 3)
    assert torch.allclose(weight.T @ weight, torch.eye(4), atol=1e-5)
    head = one[-1].weight / 0.01
    assert torch.allclose(head @ head.T, torch.eye(2), atol=1e-5)


def test_harls_standard_deviation_is_a_sigmoid_below_its_bound():
    made = actor(std="sigmoid", log_std_min=-3.0, log_std_init=-1.0064, log_std_max=math.log(0.5))
    # HARL's parameter starts at 1 and stands for 0.5 * sigmoid(1).
    assert torch.allclose(made.log_std, torch.ones(3), atol=1e-3)
    assert torch.allclose(made.log_deviation().exp(), 0.5 * torch.sigmoid(made.log_std))
    made.log_std.data = torch.tensor([-9.0, -0.3, 40.0])
    made.project()
    assert torch.allclose(made.log_deviation(), torch.tensor([-3.0, math.log(0.5 / (1 + math.exp(0.3))), -0.693147]))
    mean, action = torch.randn(7, 3), torch.randn(7, 3)
    normal = torch.distributions.Normal(mean, made.log_deviation().exp())
    assert torch.allclose(made.log_prob(mean, action), normal.log_prob(action).sum(-1), atol=1e-4)
    assert torch.allclose(made.entropy(), normal.entropy()[0].sum(), atol=1e-5)
