import pytest
import torch

from mapush_stack.locomotion import hardware
from mapush_stack.locomotion.gait import Proprioception


@pytest.mark.parametrize(("delay", "followed"), [(0.0, 3.0), (0.02, 2.0), (0.04, 1.0), (0.01, 2.5), (0.03, 1.5)])
def test_motors_follow_the_action_of_their_delay(delay, followed):
    actions = torch.tensor([3.0, 2.0, 1.0]).view(1, 3, 1).expand(2, 3, 12)
    assert torch.allclose(hardware.late(actions, torch.tensor([delay, 0.0]))[0], torch.full((12,), followed))


def test_every_sense_has_noise_of_its_own_size():
    body = Proprioception(*(torch.zeros(4000, size) for size in (3, 3, 3, 12, 12)))
    draws = torch.rand(4000, hardware.NUMBERS, generator=torch.Generator().manual_seed(0))
    for level in (0.0, 1.0, 2.0):
        for sense, width in zip(hardware.noisy(body, draws, torch.full((4000,), level)), hardware.NOISE):
            assert sense.abs().max() == pytest.approx(level * float(width), rel=0.01)
            assert abs(sense.mean()) <= 0.03 * level * float(width)
