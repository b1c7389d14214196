"""Rates of Isaac Gym's API over MuJoCo: of a bare scene, and of MAPush's whole environment.

    MAPUSH_SRC=... mapush gym run [--engine warp] -- python benchmarks/gym_api.py [--envs 256] [--steps 100] [--scene]

Counts environment steps of 0.02 s, four physics steps each, with random actions. The scene is two of MAPush's Go1 and
its cuboid on a plane; torques of a position controller, joint states in each physics step, roots and contact forces in
each step. `--scene` leaves MAPush's environment out, which also needs its walking networks (`mapush gym walker`).
"""

import argparse
import os
import sys
import time
from pathlib import Path

from isaacgym import gymapi, gymtorch

import torch  # isort: skip (Isaac Gym's programs import it after isaacgym)

STANCE = [0.1, 0.8, -1.5, -0.1, 0.8, -1.5, 0.1, 1.0, -1.5, -0.1, 1.0, -1.5] * 2


def rate(step, count, envs):
    """Environment steps a second of `step`, after some to warm up."""
    for number in range(count + 20):
        if number == 20:
            finish()
            begun = time.perf_counter()
        step()
    finish()
    return envs * count / (time.perf_counter() - begun)


def finish():
    """Wait for the GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def scene(source, envs, on_gpu):
    """A step of the bare scene."""
    gym, params = gymapi.acquire_gym(), gymapi.SimParams()
    params.dt, params.substeps, params.up_axis, params.use_gpu_pipeline = 0.005, 1, gymapi.UP_AXIS_Z, on_gpu
    params.gravity = gymapi.Vec3(0, 0, -9.81)
    sim, plane = gym.create_sim(0, -1, gymapi.SIM_PHYSX, params), gymapi.PlaneParams()
    plane.normal, plane.static_friction = gymapi.Vec3(0, 0, 1), 0.1
    gym.add_ground(sim, plane)
    options = gymapi.AssetOptions()
    options.collapse_fixed_joints, options.replace_cylinder_with_capsule = True, True
    options.angular_damping, options.default_dof_drive_mode = 0.0, int(gymapi.DOF_MODE_EFFORT)
    robot = gym.load_asset(sim, str(source / "resources/robots/go1/urdf"), "go1.urdf", options)
    cuboid = gym.load_asset(sim, str(source / "resources/objects/cuboid"), "SmallBox.urdf", gymapi.AssetOptions())
    for number in range(envs):
        env = gym.create_env(sim, gymapi.Vec3(), gymapi.Vec3(), 1)
        for asset, x, y, z in ((robot, 0, 0, 0.42), (robot, 0, 1, 0.42), (cuboid, 1.2, 0.5, 0.4)):
            gym.create_actor(env, asset, gymapi.Transform(gymapi.Vec3(x, y, z)), "actor", number, 0)
    gym.prepare_sim(sim)
    dofs = gymtorch.wrap_tensor(gym.acquire_dof_state_tensor(sim)).view(envs, 24, 2)
    for acquire in (gym.acquire_actor_root_state_tensor, gym.acquire_net_contact_force_tensor):
        gymtorch.wrap_tensor(acquire(sim))
    stance = torch.tensor(STANCE, device=dofs.device)
    dofs[..., 0] = stance
    gym.set_dof_state_tensor(sim, gymtorch.unwrap_tensor(dofs))

    def step():
        target = stance + 0.3 * torch.randn_like(dofs[..., 0])
        for _ in range(4):
            torque = (20 * (target - dofs[..., 0]) - 0.5 * dofs[..., 1]).clamp(-25, 25)
            gym.set_dof_actuation_force_tensor(sim, gymtorch.unwrap_tensor(torque.contiguous()))
            gym.simulate(sim)
            gym.refresh_dof_state_tensor(sim)
        gym.refresh_actor_root_state_tensor(sim)
        gym.refresh_net_contact_force_tensor(sim)

    return step


def mapush(source, envs, on_gpu):
    """A step of MAPush's own environment."""
    os.chdir(source)
    sys.path.insert(0, str(source))
    from mqe.envs.utils import custom_cfg, make_mqe_env

    device = "cuda:0" if on_gpu else "cpu"
    arguments = argparse.Namespace(
        task="go1push_mid", num_envs=envs, seed=1, headless=True, record_video=False, sim_device=device, subscenes=0,
        physics_engine=gymapi.SIM_PHYSX, use_gpu=on_gpu, use_gpu_pipeline=on_gpu, num_threads=0,
    )  # fmt: skip
    env, _ = make_mqe_env(arguments.task, arguments, custom_cfg=custom_cfg(arguments))
    env.reset()
    return lambda: env.step(torch.randn(envs, 2, 3, device=device).clip(-1, 1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--envs", type=int, default=256)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--scene", action="store_true")
    arguments = parser.parse_args()
    source, on_gpu = Path(os.environ["MAPUSH_SRC"]).resolve(), os.environ.get("MAPUSH_GYM") == "warp"
    for make in (scene,) if arguments.scene else (scene, mapush):
        begun = time.perf_counter()
        step = make(source, arguments.envs, on_gpu)
        made, done = time.perf_counter() - begun, rate(step, arguments.steps, arguments.envs)
        what = f"{make.__name__}, {arguments.envs} environments, ready after {made:.1f} s"
        print(f"{what}: {done:,.0f} environment steps a second", flush=True)


if __name__ == "__main__":
    main()
