import torch

from mapush_stack.learning.native.value_norm import ValueNorm

CPU = torch.device("cpu")


def test_the_first_update_is_unbiased():
    norm = ValueNorm(0.99999, CPU)
    values = 5.0 + 3.0 * torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    norm.update(values)
    normalized = norm.normalize(values)
    assert abs(float(normalized.mean())) < 0.02 and abs(float(normalized.std()) - 1) < 0.02


def test_denormalize_inverts_normalize():
    norm = ValueNorm(0.95, CPU)
    norm.update(torch.tensor([1.0, 5.0, -2.0]))
    norm.update(torch.tensor([0.0, 2.0]))
    values = torch.tensor([-3.0, 0.0, 7.0])
    assert torch.allclose(norm.denormalize(norm.normalize(values)), values, atol=1e-5)


def test_it_follows_a_slow_transcription():
    norm, beta = ValueNorm(0.9, CPU), 0.9
    mean = square = weight = 0.0
    for values in ([1.0, 2.0], [4.0, 8.0], [0.0, 1.0]):
        norm.update(torch.tensor(values))
        mean = beta * mean + (1 - beta) * sum(values) / 2
        square = beta * square + (1 - beta) * sum(v * v for v in values) / 2
        weight = beta * weight + (1 - beta)
    centre, spread = mean / weight, (square / weight - (mean / weight) ** 2) ** 0.5
    assert torch.allclose(norm.normalize(torch.tensor(3.0)), torch.tensor((3.0 - centre) / spread), atol=1e-5)


def test_constant_returns_do_not_divide_by_zero():
    norm = ValueNorm(0.95, CPU)
    norm.update(torch.full((10,), 2.0))
    assert norm.normalize(torch.tensor(2.1)).isfinite()


def test_state_survives():
    norm, copy = ValueNorm(0.95, CPU), ValueNorm(0.95, CPU)
    norm.update(torch.tensor([1.0, 5.0]))
    copy.load_state_dict(norm.state_dict())
    assert torch.equal(norm.normalize(torch.tensor(2.0)), copy.normalize(torch.tensor(2.0)))


def test_no_norm_changes_nothing():
    norm = ValueNorm(None, CPU)
    norm.update(torch.tensor([100.0]))
    assert float(norm.normalize(torch.tensor(3.0))) == float(norm.denormalize(torch.tensor(3.0))) == 3.0
