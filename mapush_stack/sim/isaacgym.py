"""MAPush's scene and walking controller on Isaac Gym Preview 4 as a simulator.

Root and joint states are Isaac Gym's own tensors, wrapped once; a step copies nothing to the host.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ..errors import UserError
from ..gym_api import activation
from ..task.random import STREAM_JOINTS, uniform
from ..task.state import SimState
from . import gpu, mqe
from .config import SimConfig
from .isaacgym_import import require, stdout_as_stderr
from .robots import ROBOTS
from .rotation import quaternion_from_rpy, rpy_from_quaternion
from .scene_simulator import MAX_SPEED
from .simulator import Backend, SimulationRequest, Simulator, SimulatorKind

_START_SCALE = (0.7, 1.3)
"""Joint angles start at the stance times this (docs/task.md section 4)."""
_MEMORY = (
    "last_locomotion_action",
    "last_two_locomotion_action",
    "history_locomotion_obs",
    "gait_indices",
    "clock_inputs",
    "joint_pos_err_last",
    "joint_pos_err_last_last",
    "joint_vel_last",
    "joint_vel_last_last",
)
"""What MAPush's walking controller and actuator network remember of each robot, `[N * A, ...]`."""


class ContactPairs(NamedTuple):
    """PhysX's room for pairs of shapes that touch, and how much of it a physics step needs."""

    available: int
    """`max_gpu_contact_pairs`, all environments together; the CPU pipeline has no such bound."""
    used: int
    exact: bool
    """False on a GPU, where Isaac Gym does not give its contacts out: `used` then counts bodies that feel a force."""


_spent = False
"""True once this process has had a simulation."""
_simulation: Optional[IsaacGymSimulator] = None
"""This process's simulation while it is open."""


def spent() -> bool:
    """True if this process has had a simulation; Isaac Gym cannot make a second one."""
    return _spent


def contact_pairs() -> Optional[ContactPairs]:
    """How this process's simulation uses its room for contact pairs; None without one, or over MuJoCo."""
    return None if _simulation is None or activation.engine() else _simulation.contact_pairs()


class IsaacGymSimulator(Simulator):
    """Go1 robots that walk by MAPush's controller, and the object.

    A reset clears all that the controller remembers of the episode before, also what MAPush itself leaves.
    """

    masked_reset = False  # Isaac Gym takes a list of the environments to reset, so that their number must be known

    def __init__(self, request: SimulationRequest) -> None:
        """Make the process's one simulation.

        The seed and an environment's number decide how the robots' joints start.

        Raises:
            UserError: Isaac Gym or MAPush is missing or unsuitable, or this process has had a simulation.

        """
        global _spent, _simulation
        require()
        if _spent:
            raise UserError("Isaac Gym has one simulation in a process, and this process has had it; start another one")
        root = mqe.find_source()
        _spent = True
        with tempfile.TemporaryDirectory() as folder, stdout_as_stderr():
            mqe.write_urdf(request.body.parts, Path(folder) / mqe.OBJECT)
            for number in range(0 if request.layout is None else request.sim.num_envs):
                mqe.write_urdf(mqe.obstacle_parts(request, number), Path(folder) / mqe.OBSTACLES.format(number))
            self.task: Any = mqe.make_task(root, Path(folder), request)
        self.num_envs, self.device = request.sim.num_envs, request.device
        self.robots = tuple(ROBOTS[kind].task for kind in request.team)
        self._seed, self._first_env = request.seed, request.first_env
        self._starts = torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)
        self._unsent = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self._sent: Tuple[Tensor, ...] = ()
        self._centre = self.task.env_origins.clone()
        self._centre[:, :2] += self.task.base_init_state_npc[0, :2]
        _simulation = self

    @torch.no_grad()
    def reset(self, env_ids: Tensor, start: SimState, mask: Optional[Tensor] = None) -> None:
        """See `Simulator.reset`; joints start at the stance times U(0.7, 1.3), at rest."""
        if mask is not None:
            env_ids, start = env_ids[mask], start.at(mask)
        if len(env_ids) == 0:
            return
        task, robots = self.task, self.num_robots
        roots = self._roots()
        roots[env_ids, :robots] = self._root_state(
            env_ids, start.robot_pos, start.robot_rpy, start.robot_lin_vel, start.robot_ang_vel
        )
        roots[env_ids, robots] = self._root_state(
            env_ids, start.object_pos, start.object_rpy, start.object_lin_vel, start.object_ang_vel
        )
        low, high = _START_SCALE
        draws = uniform(
            self._seed, STREAM_JOINTS, env_ids + self._first_env, self._starts[env_ids], task.num_actuated_dof
        )
        task.dof_pos[env_ids] = task.default_dof_pos * (low + (high - low) * draws)
        task.dof_vel[env_ids] = 0.0
        self._starts[env_ids] += 1
        robot_ids = task.env_agent_indices[env_ids].flatten()
        for name in _MEMORY:
            getattr(task, name)[robot_ids] = 0.0
        self._send(env_ids)

    @torch.no_grad()
    def step(self, commands: Tensor, repeat: int = 1) -> SimState:
        """See `Simulator.step`."""
        self._unsent.zero_()
        states = []
        for _ in range(repeat):
            self.task.step(commands.reshape(-1, 3))
            states.append(self.state())
        return SimState.stack(states)

    def state(self) -> SimState:
        """See `Simulator.state`; velocities are those that Isaac Gym reports of the root bodies."""
        roots = self._roots()[:, : self.num_robots + 1]
        believable = roots.isfinite().all(-1) & (roots[..., 7:].abs() < MAX_SPEED).all(-1)
        roots = roots.nan_to_num(0.0, 0.0, 0.0)
        pos = roots[..., :3] - self._centre.unsqueeze(1)
        rpy = rpy_from_quaternion(roots[..., 3:7].roll(1, -1))
        robots = slice(None, -1)
        return SimState(
            robot_pos=pos[:, robots],
            robot_rpy=rpy[:, robots],
            robot_lin_vel=roots[:, robots, 7:10],
            robot_ang_vel=roots[:, robots, 10:13],
            object_pos=pos[:, -1],
            object_rpy=rpy[:, -1],
            object_lin_vel=roots[:, -1, 7:10],
            object_ang_vel=roots[:, -1, 10:13],
            senses=pos[:, robots, :0],
            healthy=believable.all(-1),
        )

    def state_dict(self) -> Dict[str, Tensor]:
        """Root and joint states and the controller's memory.

        Isaac Gym does not give its contacts out: a resumed simulation is close to the original, not equal to it.
        """
        return {name: value.clone() for name, value in self._memory().items()}

    @torch.no_grad()
    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        for name, value in self._memory().items():
            value.copy_(state[name])
        self._send(torch.arange(self.num_envs, device=self.device))

    def _memory(self) -> Dict[str, Tensor]:
        own = {"roots": self.task.all_root_states, "joints": self.task.all_dof_states, "starts": self._starts}
        return {**own, **{name: getattr(self.task, name) for name in _MEMORY}}

    def contact_pairs(self) -> ContactPairs:
        """Room for contact pairs, and what the last physics step used of it."""
        task, physx = self.task, self.task.sim_params.physx
        if self.device.type == "cpu":
            contacts = task.gym.get_rigid_contacts(task.sim)
            return ContactPairs(physx.max_gpu_contact_pairs, int((contacts["env0"] != -1).sum()), exact=True)
        task.gym.refresh_net_contact_force_tensor(task.sim)
        touching = (task.contact_forces != 0).any(-1).sum()
        return ContactPairs(physx.max_gpu_contact_pairs, int(touching), exact=False)

    def close(self) -> None:
        """Release the simulation; may be called twice."""
        global _simulation
        task, self.task = self.task, None
        if task is not None:
            _simulation = None
            task.gym.destroy_sim(task.sim)

    def _roots(self) -> Tensor:
        """Isaac Gym's root states `[N, A + 2, 13]`: robots, object, target marker; after them all obstacles as one.

        Quaternions are x, y, z, w.
        """
        states: Tensor = self.task.all_root_states
        return states.view(self.num_envs, -1, 13)

    def _root_state(self, env_ids: Tensor, pos: Tensor, rpy: Tensor, lin_vel: Tensor, ang_vel: Tensor) -> Tensor:
        """Root states `[n, ..., 13]` in Isaac Gym's frame for poses and twists in the arena's.

        Position, roll-pitch-yaw and velocities are `[n, ..., 3]` each.
        """
        centre = self._centre[env_ids].view(-1, *[1] * (pos.dim() - 2), 3)
        return torch.cat((pos + centre, quaternion_from_rpy(rpy).roll(-1, -1), lin_vel, ang_vel), dim=-1)

    def _send(self, env_ids: Tensor) -> None:
        """Send the tensors' rows of environments `env_ids` `[n]` to Isaac Gym.

        Isaac Gym heeds only the last call before a physics step, so each call sends all rows not yet simulated.
        """
        from isaacgym import gymtorch

        task = self.task
        self._unsent[env_ids] = True
        unsent = self._unsent.nonzero().squeeze(-1)
        robots = task.agent_indices[unsent].flatten()
        bodies = torch.cat((task.agent_indices[unsent], task.npc_indices[unsent, :1]), dim=-1).flatten()
        # Isaac Gym reads this memory later, so it is kept.
        self._sent = robots, bodies
        for send, values, actors in (
            (task.gym.set_dof_state_tensor_indexed, task.all_dof_states, robots),
            (task.gym.set_actor_root_state_tensor_indexed, task.all_root_states, bodies),
        ):
            send(task.sim, gymtorch.unwrap_tensor(values), gymtorch.unwrap_tensor(actors), len(actors))
        task.sense()


class IsaacGymKind(SimulatorKind):
    """MAPush's own scene with Go1 robots, on a GPU or on the CPU."""

    bytes_per_env = 40_000
    """Without Isaac Gym's own buffers, which could not be measured: we have no licence."""
    robots = ("go1",)
    max_command = mqe.MAX_COMMAND
    lasting_obstacles = True

    def check(self, sim: SimConfig, team: Sequence[str]) -> None:
        """See `SimulatorKind.check`."""
        super().check(sim, team)
        if sim.of_kind("go1") != sim.of_kind("go1").model_copy(update={"walking_policy": "shipped"}):
            raise ValueError("go1.walking_policy has no effect with backend=isaacgym, which walks by MAPush's own")

    def place(self, device: str) -> Backend:
        """See `SimulatorKind.place`."""
        require()
        return gpu.place("isaacgym", device, gpu.why_not)

    def make(self, request: SimulationRequest) -> IsaacGymSimulator:
        """See `SimulatorKind.make`."""
        return IsaacGymSimulator(request)
