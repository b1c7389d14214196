"""A simulator in a few lines of torch, for tests that need none of MuJoCo: no forces, no contacts.

Robots move as commanded; an object within reach of a robot moves along with it.
"""

import torch

from mapush_stack.sim.simulator import Simulator
from mapush_stack.task.config import CONTROL_DT
from mapush_stack.task.geometry import rotate
from mapush_stack.task.robot import RobotTask
from mapush_stack.task.state import SimState

REACH = 0.8


class KinematicSimulator(Simulator):
    def __init__(self, num_envs, num_robots):
        self.num_envs, self.robots = num_envs, (RobotTask(),) * num_robots
        self.device = torch.device("cpu")
        self._tensors = {
            "robots": torch.zeros(num_envs, num_robots, 3),
            "robot_velocities": torch.zeros(num_envs, num_robots, 3),
            "object": torch.zeros(num_envs, 3),
            "object_velocity": torch.zeros(num_envs, 2),
            "broken": torch.zeros(num_envs, dtype=torch.bool),
        }

    def reset(self, env_ids, start, mask=None):
        if mask is not None:
            env_ids, start = env_ids[mask], start.at(mask)
        tensors = self._tensors
        tensors["robots"][env_ids] = torch.cat((start.robot_pos[..., :2], start.robot_rpy[..., 2:]), dim=-1)
        tensors["robot_velocities"][env_ids] = 0.0
        tensors["object"][env_ids] = torch.cat((start.object_pos[..., :2], start.object_rpy[..., 2:]), dim=-1)
        tensors["object_velocity"][env_ids] = 0.0
        tensors["broken"][env_ids] = False

    def break_down(self, env_ids):
        """From now on these environments report numbers that are not finite."""
        self._tensors["broken"][env_ids] = True

    def step(self, commands, repeat=1):
        states = []
        for _ in range(repeat):
            tensors = self._tensors
            linear = rotate(commands[..., :2], tensors["robots"][..., 2])
            velocities = torch.cat((linear, commands[..., 2:]), dim=-1)
            distance = torch.linalg.vector_norm(tensors["robots"][..., :2] - tensors["object"][:, None, :2], dim=-1)
            near = (distance < REACH).unsqueeze(-1)
            pushed = (linear * near).sum(1) / near.sum(1).clamp_min(1)
            tensors["robots"] = tensors["robots"] + CONTROL_DT * velocities
            tensors["robot_velocities"] = velocities
            tensors["object"] = tensors["object"] + CONTROL_DT * torch.nn.functional.pad(pushed, (0, 1))
            tensors["object_velocity"] = pushed
            states.append(self.state())
        return SimState.stack(states)

    def state(self):
        tensors = self._tensors
        robots, velocities = tensors["robots"], tensors["robot_velocities"]
        zero, object_zero = torch.zeros_like(robots[..., :1]), torch.zeros(self.num_envs, 1)
        return SimState(
            robot_pos=torch.cat((robots[..., :2], zero + 0.28), dim=-1),
            robot_rpy=torch.cat((zero, zero, robots[..., 2:]), dim=-1),
            robot_lin_vel=torch.cat((velocities[..., :2], zero), dim=-1),
            robot_ang_vel=torch.cat((zero, zero, velocities[..., 2:]), dim=-1),
            object_pos=torch.cat((tensors["object"][:, :2], object_zero + 0.25), dim=-1),
            object_rpy=torch.cat((object_zero, object_zero, tensors["object"][:, 2:]), dim=-1),
            object_lin_vel=torch.cat((tensors["object_velocity"], object_zero), dim=-1),
            object_ang_vel=torch.zeros(self.num_envs, 3),
            senses=robots[..., :0],
            healthy=~tensors["broken"],
        )

    def state_dict(self):
        return {name: tensor.clone() for name, tensor in self._tensors.items()}

    def load_state_dict(self, state):
        self._tensors = {name: tensor.clone() for name, tensor in state.items()}
