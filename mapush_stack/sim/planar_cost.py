"""Warp functions: the cost that the accelerations of a planar scene minimise, its gradient and its Hessian.

A world's unknowns are accelerations: of the object's centre of mass (3), its rotation in the arena frame (3), and x, y
and yaw of each robot. The cost is MuJoCo's (its documentation, "Computation"; pyramidal cones).
"""

from functools import lru_cache
from typing import Any, NamedTuple, Tuple

import warp as wp

from . import planar_contacts as contacts
from .planar_contacts import Scene, load3


@wp.func
def pyramid(friction: float, value: wp.vec3) -> wp.vec4:
    """The four rows of a contact's pyramid: the normal with either sign of `friction` times each tangent."""
    one, two = friction * value[1], friction * value[2]
    return wp.vec4(value[0] + one, value[0] - one, value[0] + two, value[0] - two)


@wp.func
def spring(scene: Scene, contact: int, world: int) -> Tuple[float, float]:
    """Friction and stiffness of a contact."""
    return scene.table[contact, contacts.FRICTION, world], scene.table[contact, contacts.STIFFNESS, world]


@wp.func
def ends(scene: Scene, contact: int, world: int) -> Tuple[int, int, wp.vec3, wp.vec3]:
    """The bodies of a contact, see `add_contact`, and where it is, from the centre of mass of each."""
    plus, minus = int(scene.table[contact, contacts.PLUS, world]), int(scene.table[contact, contacts.MINUS, world])
    return plus, minus, load3(scene, contact, contacts.ARM, world), load3(scene, contact, contacts.OTHER_ARM, world)


@wp.func
def metric(scene: Scene, contact: int, world: int, miss: wp.vec3) -> wp.mat33:
    """The rows of a contact's pyramid that push, as one quadratic form of its normal and two tangents.

    `miss` is by how much the contact's acceleration is above the wanted one, in the same axes.
    """
    friction, stiffness = spring(scene, contact, world)
    short = pyramid(friction, miss)
    a, b = wp.where(short[0] < 0.0, stiffness, 0.0), wp.where(short[1] < 0.0, stiffness, 0.0)
    c, d = wp.where(short[2] < 0.0, stiffness, 0.0), wp.where(short[3] < 0.0, stiffness, 0.0)
    first, second, slip = friction * (a - b), friction * (c - d), friction * friction
    return wp.mat33(a + b + c + d, first, second, first, slip * (a + b), 0.0, second, 0.0, slip * (c + d))


@wp.func
def axes(scene: Scene, contact: int, world: int) -> wp.mat33:
    """Normal, first and second tangent of a contact, as rows."""
    normal, tangent = load3(scene, contact, contacts.NORMAL, world), load3(scene, contact, contacts.TANGENT, world)
    return wp.matrix_from_rows(normal, tangent, wp.cross(normal, tangent))


@wp.func
def pull(scene: Scene, contact: int, world: int) -> wp.vec3:
    """The force of a contact on its second body, N; the opposite one is on its first body."""
    miss = load3(scene, contact, contacts.MISS, world)
    return wp.transpose(axes(scene, contact, world)) * (metric(scene, contact, world, miss) * miss)


@wp.func
def effect(force: wp.vec3, arm: wp.vec3) -> wp.vec3:
    """What a force that acts at `arm` does to x, y and yaw of a robot: two forces and a torque."""
    return wp.vec3(force[0], force[1], arm[0] * force[1] - arm[1] * force[0])


@wp.func
def column(matrix: wp.mat33, j: int) -> wp.vec3:
    """A column of a matrix."""
    return wp.vec3(matrix[0, j], matrix[1, j], matrix[2, j])


@lru_cache(maxsize=None)
def types(robots: int) -> Tuple[Any, Any, Any]:
    """Warp's types for a number of robots: a Hessian, a pose and a motion."""
    size = 6 + 3 * robots
    pose, motion = wp.types.vector(size + 1, wp.float32), wp.types.vector(size, wp.float32)
    return wp.types.matrix(shape=(size, size), dtype=wp.float32), pose, motion


class Cost(NamedTuple):
    """Warp functions for a number of robots."""

    at_contact: Any
    weighed: Any
    with_pull: Any
    masses: Any
    with_contact: Any


@lru_cache(maxsize=None)
def cost(robots: int) -> Cost:
    """The functions for a number of robots."""
    matrix_type, _, vector_type = types(robots)

    @wp.func
    def at_contact(scene: Scene, contact: int, world: int, motion: vector_type) -> wp.vec3:
        """How a contact's first body accelerates there relative to its second, in the contact's axes."""
        plus, minus, arm, other = ends(scene, contact, world)
        found = wp.vec3()
        if plus < 0:
            found = wp.vec3(motion[0], motion[1], motion[2])
            found += wp.cross(wp.vec3(motion[3], motion[4], motion[5]), arm)
        for robot in range(robots):
            x, y, yaw = motion[6 + 3 * robot], motion[7 + 3 * robot], motion[8 + 3 * robot]
            if robot == plus:
                found += wp.vec3(x - yaw * arm[1], y + yaw * arm[0], 0.0)
            if robot == minus:
                found -= wp.vec3(x - yaw * other[1], y + yaw * other[0], 0.0)
        return axes(scene, contact, world) * found

    @wp.func
    def weighed(scene: Scene, inertia: wp.mat33, motion: vector_type) -> vector_type:
        """The mass matrix times `motion`; `inertia` is the object's, in the arena frame."""
        forces = vector_type()
        torque = inertia * wp.vec3(motion[3], motion[4], motion[5])
        for i in range(3):
            forces[i] = scene.mass * motion[i]
            forces[3 + i] = torque[i]
            for robot in range(robots):
                forces[6 + 3 * robot + i] = scene.robot_mass[i] * motion[6 + 3 * robot + i]
        return forces

    @wp.func
    def with_pull(start: vector_type, scene: Scene, contact: int, world: int) -> vector_type:
        """`start`, the cost's gradient, with that of a contact."""
        gradient, force = vector_type(start), pull(scene, contact, world)
        plus, minus, arm, other = ends(scene, contact, world)
        torque, one, two = wp.cross(arm, force), effect(force, arm), effect(force, other)
        for i in range(3):
            if plus < 0:
                gradient[i] += force[i]
                gradient[3 + i] += torque[i]
            for robot in range(robots):
                if robot == plus:
                    gradient[6 + 3 * robot + i] += one[i]
                if robot == minus:
                    gradient[6 + 3 * robot + i] -= two[i]
        return gradient

    @wp.func
    def masses(scene: Scene, inertia: wp.mat33) -> matrix_type:
        """The lower half of the mass matrix."""
        matrix = matrix_type(0.0)
        for i in range(3):
            matrix[i, i] = scene.mass
            for j in range(i + 1):
                matrix[3 + i, 3 + j] = inertia[i, j]
            for robot in range(robots):
                matrix[6 + 3 * robot + i, 6 + 3 * robot + i] = scene.robot_mass[i]
        return matrix

    @wp.func
    def with_contact(start: matrix_type, scene: Scene, contact: int, world: int) -> matrix_type:
        """`start`, the lower half of the cost's Hessian, with that of a contact.

        `stiff`, `turned` and `driven` have the forces that accelerations of the object, its rotation and a robot call
        up at the contact, one column an unknown.
        """
        hessian, base = matrix_type(start), axes(scene, contact, world)
        form = metric(scene, contact, world, load3(scene, contact, contacts.MISS, world))
        plus, minus, arm, other = ends(scene, contact, world)
        stiff = wp.transpose(base) * (form * base)
        if plus < 0:
            turned = wp.matrix_from_rows(wp.cross(arm, stiff[0]), wp.cross(arm, stiff[1]), wp.cross(arm, stiff[2]))
            for j in range(3):
                torque = wp.cross(arm, column(turned, j))
                for i in range(j, 3):
                    hessian[i, j] += stiff[i, j]
                    hessian[3 + i, 3 + j] += torque[i]
                for i in range(3):
                    hessian[3 + i, j] += turned[j, i]
        for robot in range(robots):
            if robot == plus or robot == minus:  # noqa: SIM109, Warp has no `in`
                lever = wp.where(robot == plus, arm, other)
                driven = wp.matrix_from_rows(effect(stiff[0], lever), effect(stiff[1], lever), effect(stiff[2], lever))
                for j in range(3):
                    force = column(driven, j)
                    own, torque = effect(force, lever), wp.cross(arm, force)
                    for i in range(j, 3):
                        hessian[6 + 3 * robot + i, 6 + 3 * robot + j] += own[i]
                    if plus < 0:
                        for i in range(3):
                            hessian[6 + 3 * robot + j, i] -= force[i]
                            hessian[6 + 3 * robot + j, 3 + i] -= torque[i]
                    for two in range(robot):  # `minus` is less than `plus`
                        if two == minus and robot == plus:
                            beside = effect(force, other)
                            for i in range(3):
                                hessian[6 + 3 * robot + j, 6 + 3 * two + i] -= beside[i]
        return hessian

    return Cost(at_contact, weighed, with_pull, masses, with_contact)
