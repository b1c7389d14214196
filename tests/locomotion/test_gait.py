import math

import pytest
import torch

from mapush_stack.locomotion import gait, kinematics


def test_the_clock_runs_while_walking_and_rests_while_standing():
    state = gait.at_rest((2,), torch.device("cpu"))
    command = torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.03, 0.02]])
    for _ in range(7):
        state = gait.advance(state, torch.ones(2, 12), command, torch.zeros(2, 50))
    assert state.phase.tolist() == pytest.approx([7 * gait.CONTROL_DT * gait.STEP_FREQUENCY, 0.0])
    stopped = gait.advance(state, torch.ones(2, 12), torch.zeros(2, 3), torch.zeros(2, 50))
    assert stopped.phase.tolist() == [0.0, 0.0]


def test_a_small_command_is_seen_as_none():
    body = gait.Proprioception(*(torch.zeros(1, size) for size in (3, 3, 3, 12, 12)))
    state = gait.at_rest((1,), torch.device("cpu"))
    seen = [gait.observe(body, torch.tensor([command]), state) for command in ([0.03, 0.0, 0.0], [0.0, 0.0, 0.0])]
    assert seen[0].shape == (1, gait.SIGHTED.size) and torch.equal(*seen)
    assert not torch.equal(gait.observe(body, torch.tensor([[0.06, 0.0, 0.0]]), state), seen[0])


def test_a_zero_action_is_the_stance():
    assert torch.allclose(gait.joint_targets(torch.zeros(12)), torch.tensor(gait.STANCE))


def test_feet_of_straight_legs_hang_below_the_hips():
    feet = kinematics.foot_positions(torch.zeros(12))
    assert torch.allclose(feet[:, 2], torch.full((4,), -0.426), atol=1e-6)
    assert torch.allclose(feet[:, 1].abs(), torch.full((4,), 0.04675 + 0.08), atol=1e-6)


def test_feet_turn_about_the_hip_joint():
    angles = torch.tensor([math.pi / 2, 0.0, 0.0] * 4)
    left, right = kinematics.foot_positions(angles)[:2]
    # A quarter turn about x swings the left leg out to the left and up to the side's offset.
    assert left.tolist() == pytest.approx([0.1881, 0.04675 + 0.426, 0.08], abs=1e-6)
    assert right.tolist() == pytest.approx([0.1881, -0.04675 + 0.426, -0.08], abs=1e-6)


def test_a_history_holds_the_frames_just_before_the_oldest_first():
    view = gait.View(3, linear_velocity=False)
    state = gait.at_rest((1,), torch.device("cpu"), view)
    frames = []
    for number in range(4):
        senses = (torch.full((1, size), float(number + 1)) for size in (3, 3, 3, 12, 12))
        seen = gait.observe(gait.Proprioception(*senses), torch.tensor([[0.5, 0.0, 0.0]]), state, view)
        assert seen.shape == (1, view.size) and view.frame_size == gait.SIGHTED.size - 3
        frames.append(seen[:, -view.frame_size :])
        state = gait.advance(state, torch.full((1, 12), 10.0 + number), torch.tensor([[0.5, 0.0, 0.0]]), seen)
        if number == 1:
            assert not seen[:, : view.frame_size].any()
    assert torch.equal(seen, torch.cat(frames[1:], dim=-1)) and (frames[2] != frames[3]).any()
