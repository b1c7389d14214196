"""The simulator and the device of a training: by its configuration, or by its checkpoint."""

from __future__ import annotations

from ..errors import UserError
from ..sim.config import SimConfig
from ..sim.simulator import Backend
from ..sim.simulators import WARP, choose, name_of
from .checkpoint import ENV, Checkpoint
from .config import ExperimentConfig
from .run_directory import RunDirectory


def simulation(config: ExperimentConfig) -> SimConfig:
    """The `sim` of a training, in which planar robots on a CPU may have the kernel.

    They have it from `training.kernel_from` steps on, where Warp is installed.

    Raises:
        UserError: what is asked for cannot be had here.

    """
    sim, least = config.sim, config.training.kernel_from
    if sim.backend != "auto" or least is None or config.total_steps < least or choose(sim).device.type != "cpu":
        return sim
    family = config.object.family is not None
    return sim if family else WARP.instead_of_mujoco(sim, config.team_kinds, config.object.body)


def place(config: ExperimentConfig) -> Backend:
    """Where a training of this configuration runs, and why there.

    Raises:
        UserError: what is asked for cannot be had here.

    """
    sim = simulation(config)
    found = choose(sim)
    return found if sim is config.sim else found._replace(reason="a kernel for planar robots")


def as_before(config: ExperimentConfig, run: RunDirectory, saved: Checkpoint) -> ExperimentConfig:
    """`config` with the simulator of the checkpoint `saved` of `run`, whatever `auto` means here.

    Raises:
        UserError: that one cannot run here.

    """
    sim, prefix = config.sim, f"{ENV}simulator."
    try:
        if sim.backend == "auto":
            name = name_of({key[len(prefix) :] for key in saved.training if key.startswith(prefix)})
            device = "cpu" if name == "mujoco" else run.device()
            if device:
                device = sim.device if device in sim.device else device  # cuda:1 is one
                sim = sim.model_copy(update={"backend": name, "device": device})
        then = choose(sim)
    except UserError as error:
        raise UserError(
            f"{run.path} cannot be resumed here: {error}, in a new run from its weights: mapush train --from {run.path}"
        ) from None
    return config if then[:2] == place(config)[:2] else config.model_copy(update={"sim": sim})
