"""Jacobians and mass matrices of actors, from the places of their bodies."""

from __future__ import annotations

from typing import Dict, List, Tuple

import torch
from torch import Tensor

from ..sim.rotation import rotate_by_quaternion
from .kinematics import multiply
from .layout import Layout
from .simulation import Handle, Simulation
from .support import UnsupportedError


def jacobian(layout: Layout, slot: int) -> Tensor:
    """Velocities of bodies, by speeds of degrees of freedom, `[N, bodies, 6, columns]`, in the world's axes.

    Rows are the velocity of the centre of mass and the spin. A held root has no row; that of a free actor comes first,
    with six columns for its own velocity and spin.
    """
    asset, first = layout.actors[slot].asset, layout.first_body(slot)
    frames = layout.frames()[:, first : first + len(asset.links)]
    pos, turn, centre = frames.tensor_split((3, 7), dim=-1)
    before = 0 if asset.fixed else 6
    found = frames.new_zeros(len(frames), len(asset.links), 6, before + len(asset.joints))
    if not asset.fixed:
        found[:, :, :3, :3] = found[:, :, 3:, 3:6] = torch.eye(3, dtype=found.dtype, device=found.device)
        arm = centre - centre[:, :1]
        for number, unit in enumerate(torch.eye(3, dtype=found.dtype, device=found.device)):
            found[:, :, :3, 3 + number] = torch.cross(unit.expand_as(arm), arm, dim=-1)
    axis: Tensor
    anchor: Tensor
    moves: List[List[int]] = []
    """Columns of the joints at and above each link."""
    columns: List[Tuple[Tensor, Tensor, bool]] = []
    for number, link in enumerate(asset.links):
        if len(link.joints) > 1:
            raise UnsupportedError(f"the Jacobian of {asset.name}, where a body has several joints")
        moves.append(list(moves[link.parent]) if link.parent >= 0 else [])
        for joint in link.joints:
            moves[number].append(len(columns))
            axis, anchor = (
                rotate_by_quaternion(turn[:, number], turn.new_tensor(one).expand_as(pos[:, number]))
                for one in (joint.axis, joint.pos)
            )
            columns.append((axis, pos[:, number] + anchor, joint.kind == "slide"))
        for column in moves[number]:
            axis, anchor, slides = columns[column]
            found[:, number, :3, before + column] = (
                axis if slides else torch.cross(axis, centre[:, number] - anchor, dim=-1)
            )
            found[:, number, 3:, before + column] = 0.0 if slides else axis
    return found[:, 1:] if asset.fixed else found


def mass_matrix(layout: Layout, slot: int) -> Tensor:
    """The mass matrix `[N, columns, columns]` for the columns of `jacobian`, kg, kg m and kg m^2."""
    asset, first = layout.actors[slot].asset, layout.first_body(slot)
    own = slice(first + int(asset.fixed), first + len(asset.links))
    bodies, motion = layout.slots.bodies[own], jacobian(layout, slot)
    field, turn = layout.engine.field, layout.frames()[:, own, 3:7]
    mass, moments = (field(name)[:, bodies].to(motion) for name in ("body_mass", "body_inertia"))
    axes = multiply(turn, field("body_iquat")[:, bodies].to(motion))
    unit = torch.eye(3, dtype=axes.dtype, device=axes.device).expand(*axes.shape[:2], 3, 3)
    spin = rotate_by_quaternion(axes.unsqueeze(-2).expand(*unit.shape[:3], 4), unit)
    """Principal axes of each body in the world, as rows."""
    turned = spin @ motion[..., 3:, :]
    whole = torch.einsum("nb,nbki,nbkj->nij", mass, motion[..., :3, :], motion[..., :3, :])
    whole = whole + torch.einsum("nbk,nbki,nbkj->nij", moments, turned, turned)
    before = motion.shape[-1] - len(asset.joints)
    joints = layout.slots.joint_qvel[layout.dofs_of(slot)]
    whole.diagonal(dim1=1, dim2=2)[:, before:] += field("dof_armature")[:, joints].to(motion)
    return whole


_MAKERS = {"jacobian": jacobian, "mass": mass_matrix}


class MatrixCalls:
    """The calls of `Gym` for the matrices of the actors of a name, one in each environment."""

    def acquire_jacobian_tensor(self, sim: Simulation, name: str) -> Handle:
        """See `jacobian`."""
        return _acquire(sim, "jacobian", name)

    def acquire_mass_matrix_tensor(self, sim: Simulation, name: str) -> Handle:
        """See `mass_matrix`."""
        return _acquire(sim, "mass", name)

    def refresh_jacobian_tensors(self, sim: Simulation) -> bool:
        """Fill the tensors."""
        return _refresh(sim, "jacobian")

    def refresh_mass_matrix_tensors(self, sim: Simulation) -> bool:
        """Fill the tensors."""
        return _refresh(sim, "mass")


def _acquire(sim: Simulation, kind: str, name: str) -> Handle:
    sim.check()
    if len(sim.layouts) > 1:
        raise UnsupportedError(f"a {kind} tensor of environments that differ in their actors")
    names = [actor.name for actor in sim.layouts[0].actors]
    if name not in names:
        raise ValueError(f"no actor is called {name!r}; there are {', '.join(map(repr, names))}")
    matrices: Dict[Tuple[str, int], Handle] = sim.matrices
    key = (kind, names.index(name))
    if key not in matrices:
        matrices[key] = Handle(_MAKERS[kind](sim.layouts[0], key[1]))
    return matrices[key]


def _refresh(sim: Simulation, kind: str) -> bool:
    for (made, slot), handle in sim.matrices.items():
        if made == kind:
            handle.tensor.copy_(_MAKERS[kind](sim.layouts[0], slot))
    return True
