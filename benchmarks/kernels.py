"""Kernels of one decision on a GPU: `python benchmarks/kernels.py [--envs 16384] [FIELD=VALUE ...]`.

Prints the environment steps a second under random actions, without a learner, and each kernel's share of the time
(torch's profiler). Under Nsight Compute, `--step` shows one physics step, kernel by kernel:

    ncu --profile-from-start off --metrics dram__throughput.avg.pct_of_peak_sustained_elapsed,\\
    sm__throughput.avg.pct_of_peak_sustained_elapsed python benchmarks/kernels.py --step sim.robot=go1
"""

import argparse
import time

import torch
from rich.console import Console
from rich.table import Table

from mapush_stack.envs.factory import make_env
from mapush_stack.training import config as configuration

WARM_UP, TIMED, SHOWN = 16, 10, 25


def physics_step(engine):
    """Run one physics step outside of the CUDA graph, between the marks that Nsight Compute looks for."""
    torch.cuda.synchronize()
    torch.cuda.cudart().cudaProfilerStart()
    with engine._warp.ScopedDevice(engine._wp_device):
        engine._mjw.step(engine._m, engine._d)
    torch.cuda.synchronize()
    torch.cuda.cudart().cudaProfilerStop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--envs", type=int, default=16384)
    parser.add_argument("--step", action="store_true", help="only run one physics step, for Nsight Compute")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_intermixed_args()
    if arguments.step:  # of MuJoCo Warp: that of planar robots is otherwise one kernel
        arguments.overrides.append("sim.planar.fused=false")
    settings = configuration.load("default", "", [f"sim.num_envs={arguments.envs}", *arguments.overrides])
    task, thing = settings.task, settings.object
    env = make_env(task, thing, settings.sim, settings.training.seed)
    env.reset()
    generator = torch.Generator(device=env.device).manual_seed(0)
    shape = (env.num_envs, env.spec.num_agents, env.spec.action_size)
    for _ in range(WARM_UP):
        action = 2 * torch.rand(shape, device=env.device, generator=generator) - 1
        env.step(action)
    if arguments.step:
        physics_step(env.simulator.engine)
        return
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(TIMED):
        env.step(action)
    torch.cuda.synchronize()
    rate = TIMED * settings.task.action_repeat * env.num_envs / (time.perf_counter() - begun)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        env.step(action)
        torch.cuda.synchronize()
    kernels = sorted(profile.key_averages(), key=lambda kernel: -kernel.device_time_total)
    total = sum(kernel.device_time_total for kernel in kernels)
    launches = sum(kernel.count for kernel in kernels)
    table = Table(title=f"{rate:,.0f} env-steps/s; one decision: {total / 1e3:.1f} ms in {launches:,} kernels")
    for heading in ("share", "ms", "launches", "kernel"):
        table.add_column(heading, justify="left" if heading == "kernel" else "right")
    for kernel in kernels[:SHOWN]:
        cells = (f"{kernel.device_time_total / total:.1%}", f"{kernel.device_time_total / 1e3:.2f}", f"{kernel.count}")
        table.add_row(*cells, kernel.key[:80])
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
