"""A walking policy for the stand-in's robots, in the files of MAPush's."""

import torch

JOINTS = [f"{leg}_{joint}_joint" for leg in ("FL", "FR", "RL", "RR") for joint in ("hip", "thigh", "calf")]
"""Isaac Gym's order."""
_COMMANDS = 29 * 70 + 3
"""Where the commands of the newest of 30 observations of 70 numbers begin."""


class Body(torch.nn.Module):
    """Poses joints so that the differences of the pairs in `puppet` are the commanded velocity."""

    def __init__(self, puppet):
        super().__init__()
        self.first = _COMMANDS
        weights = torch.zeros(12, 3)
        for axis, pair in enumerate(puppet):
            for joint, sign in zip(pair, (1.0, -1.0)):
                # MAPush's action scale is 0.25; half of the difference is the other joint's.
                weights[JOINTS.index(joint), axis] = sign * 0.5 / 0.25
        self.register_buffer("weights", weights)
        self.register_buffer("scales", torch.tensor([2.0, 2.0, 0.25]))

    def forward(self, history_and_latent):
        commands = history_and_latent[:, self.first : self.first + 3] / self.scales
        return commands @ self.weights.t()


class Adaptation(torch.nn.Module):
    def forward(self, history):
        return torch.zeros(history.shape[0], 2, device=history.device)


def save(folder):
    from isaacgym.gymapi import PUPPET

    torch.jit.script(Body(PUPPET)).save(str(folder / "body_latest.jit"))
    torch.jit.script(Adaptation()).save(str(folder / "adaptation_module_latest.jit"))
