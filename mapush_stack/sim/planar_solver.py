"""Warp functions: MuJoCo's convex problem for a planar scene, by Newton's method.

A world's unknowns are accelerations: of the object's centre of mass (3), its rotation in the arena frame (3), and x, y
and yaw of each robot. They minimise the same cost as MuJoCo's (its documentation, "Computation"; pyramidal cones).
"""

from functools import lru_cache
from typing import Any, Tuple

import warp as wp

from . import planar_contacts as contacts
from .planar_contacts import WIDTH, Scene, load3, store3

LINE_STEPS = 12
"""Newton steps of the search along a line; the cost is quadratic in pieces, so that two or three are enough."""


@wp.func
def metric(scene: Scene, row: int, world: int, miss: wp.vec3) -> wp.mat33:
    """The rows of a contact's pyramid that push, as one quadratic form of its normal and two tangents.

    `miss` is by how much the contact's acceleration is above the wanted one, in the same axes.
    """
    friction, stiffness = scene.table[row + contacts.FRICTION, world], scene.table[row + contacts.STIFFNESS, world]
    one, two = friction * miss[1], friction * miss[2]
    a = wp.where(miss[0] + one < 0.0, stiffness, 0.0)
    b = wp.where(miss[0] - one < 0.0, stiffness, 0.0)
    c = wp.where(miss[0] + two < 0.0, stiffness, 0.0)
    d = wp.where(miss[0] - two < 0.0, stiffness, 0.0)
    first, second, slip = friction * (a - b), friction * (c - d), friction * friction
    return wp.mat33(a + b + c + d, first, second, first, slip * (a + b), 0.0, second, 0.0, slip * (c + d))


@wp.func
def axes(scene: Scene, row: int, world: int) -> wp.mat33:
    """Normal, first and second tangent of a contact, as rows."""
    normal, tangent = load3(scene, row + contacts.NORMAL, world), load3(scene, row + contacts.TANGENT, world)
    return wp.matrix_from_rows(normal, tangent, wp.cross(normal, tangent))


@wp.func
def slope(scene: Scene, world: int, count: int, at: float, linear: float, square: float) -> wp.vec2:
    """First and second derivative of the cost along the search direction, `at` steps of it from the present point.

    `linear` and `square` are the derivatives of the part without contacts, at the present point.
    """
    first, second = linear + at * square, square
    for contact in range(count):
        row = contact * WIDTH
        along = load3(scene, row + contacts.SEARCH, world)
        miss = load3(scene, row + contacts.MISS, world) + at * along
        form = metric(scene, row, world, miss)
        first += wp.dot(along, form * miss)
        second += wp.dot(along, form * along)
    return wp.vec2(first, second)


@wp.func
def line_search(scene: Scene, world: int, count: int, start: float, linear: float, square: float) -> float:
    """How far to go along the search direction, where the cost falls by `start` at first: to where it is least."""
    low, high, at = float(0.0), float(-1.0), float(1.0)
    for _step in range(LINE_STEPS):
        found = slope(scene, world, count, at, linear, square)
        if wp.abs(found[0]) <= -1.0e-4 * start:
            return at
        if found[0] < 0.0:
            low = at
        else:
            high = at
        at = at - found[0] / found[1]
        if high > 0.0 and (at <= low or at >= high):
            at = 0.5 * (low + high)
    return at


@wp.func
def lever(arm: wp.vec3) -> wp.mat33:
    """How x, y and yaw of a robot move a point of it that is at `arm`."""
    return wp.mat33(1.0, 0.0, -arm[1], 0.0, 1.0, arm[0], 0.0, 0.0, 0.0)


@lru_cache(maxsize=None)
def types(robots: int) -> Tuple[Any, Any, Any, Any]:
    """Warp's types for a number of robots: a Jacobian, a Hessian, a pose and a motion."""
    size = 6 + 3 * robots
    matrices = (wp.types.matrix(shape=(rows, size), dtype=wp.float32) for rows in (3, size))
    return (*matrices, wp.types.vector(length=size + 1, dtype=wp.float32), wp.types.vector(size, wp.float32))


@lru_cache(maxsize=None)
def solver(robots: int) -> Any:
    """The Warp function that finds a world's accelerations, for a number of robots."""
    jacobian_type, matrix_type, _, vector_type = types(robots)
    size = 6 + 3 * robots

    @wp.func
    def jacobian(scene: Scene, row: int, world: int) -> jacobian_type:
        """How the unknowns move a contact's first body relative to its second, in the contact's axes."""
        base = axes(scene, row, world)
        plus, minus = int(scene.table[row + contacts.PLUS, world]), int(scene.table[row + contacts.MINUS, world])
        arm, other = load3(scene, row + contacts.ARM, world), load3(scene, row + contacts.OTHER_ARM, world)
        found = jacobian_type(0.0)
        if plus < 0:
            turning = -(base * wp.skew(arm))
            for i in range(3):
                for j in range(3):
                    found[i, j] = base[i, j]
                    found[i, 3 + j] = turning[i, j]
        for robot in range(robots):
            own = wp.mat33(0.0)
            if robot == plus:
                own = base * lever(arm)
            if robot == minus:
                own = -(base * lever(other))
            for i in range(3):
                for j in range(3):
                    found[i, 6 + 3 * robot + j] = own[i, j]
        return found

    @wp.func
    def descent(matrix: matrix_type, gradient: vector_type) -> vector_type:
        """The negative of `matrix` to the power of -1 times `gradient`, by Cholesky's factors."""
        factor, found = matrix, -gradient
        for j in range(size):
            pivot = factor[j, j]
            for k in range(j):
                pivot -= factor[j, k] * factor[j, k]
            inverse = 1.0 / wp.sqrt(wp.max(pivot, 1.0e-12))
            factor[j, j] = inverse
            for i in range(j + 1, size):
                value = factor[i, j]
                for k in range(j):
                    value -= factor[i, k] * factor[j, k]
                factor[i, j] = value * inverse
        for i in range(size):
            value = found[i]
            for k in range(i):
                value -= factor[i, k] * found[k]
            found[i] = value * factor[i, i]
        for back in range(size):
            value = found[size - 1 - back]
            for k in range(size - back, size):
                value -= factor[k, size - 1 - back] * found[k]
            found[size - 1 - back] = value * factor[size - 1 - back, size - 1 - back]
        return found

    @wp.func
    def masses(scene: Scene, turn: wp.mat33) -> matrix_type:
        """The mass matrix."""
        matrix = matrix_type(0.0)
        inertia = turn * scene.inertia * wp.transpose(turn)
        for i in range(3):
            matrix[i, i] = scene.mass
            for j in range(3):
                matrix[3 + i, 3 + j] = inertia[i, j]
            for robot in range(robots):
                matrix[6 + 3 * robot + i, 6 + 3 * robot + i] = scene.robot_mass[i]
        return matrix

    @wp.func
    def weighed(scene: Scene, mass: matrix_type, motion: vector_type) -> vector_type:
        """`mass`, the mass matrix, times `motion`."""
        forces = vector_type()
        for i in range(3):
            forces[i] = scene.mass * motion[i]
            for j in range(3):
                forces[3 + i] += mass[3 + i, 3 + j] * motion[3 + j]
            for robot in range(robots):
                forces[6 + 3 * robot + i] = scene.robot_mass[i] * motion[6 + 3 * robot + i]
        return forces

    @wp.func
    def with_contact(start: matrix_type, moving: jacobian_type, form: wp.mat33) -> matrix_type:
        """`start`, the lower half of a Hessian, with that of a contact: in the rows of the bodies that it moves."""
        hessian = start
        pulled = form * moving
        if moving[0, 0] != 0.0 or moving[0, 1] != 0.0 or moving[0, 2] != 0.0:
            for i in range(6):
                for j in range(i + 1):
                    hessian[i, j] += (
                        moving[0, i] * pulled[0, j] + moving[1, i] * pulled[1, j] + moving[2, i] * pulled[2, j]
                    )
        for robot in range(robots):
            k = 6 + 3 * robot
            if moving[0, k] != 0.0 or moving[0, k + 1] != 0.0 or moving[1, k + 1] != 0.0:
                for i in range(k, k + 3):
                    for j in range(i + 1):
                        hessian[i, j] += (
                            moving[0, i] * pulled[0, j] + moving[1, i] * pulled[1, j] + moving[2, i] * pulled[2, j]
                        )
        return hessian

    @wp.func
    def solve(
        scene: Scene, world: int, count: int, turn: wp.mat33, free: vector_type, start: vector_type
    ) -> vector_type:
        """The accelerations; `free` are those without contacts, and the search begins at `start`."""
        if count == 0:
            return free
        found = start
        mass = masses(scene, turn)
        for contact in range(count):
            row = contact * WIDTH
            store3(
                scene,
                row + contacts.MISS,
                world,
                load3(scene, row + contacts.MISS, world) + jacobian(scene, row, world) * found,
            )
        for _step in range(scene.iterations):
            smooth = weighed(scene, mass, found - free)
            gradient, hessian = vector_type(smooth), matrix_type(mass)  # copies
            for contact in range(count):
                row = contact * WIDTH
                moving, miss = jacobian(scene, row, world), load3(scene, row + contacts.MISS, world)
                form = metric(scene, row, world, miss)
                gradient += wp.transpose(moving) * (form * miss)
                hessian = with_contact(hessian, moving, form)
            if wp.length(gradient) < scene.tolerance:
                return found
            search = descent(hessian, gradient)
            for contact in range(count):
                row = contact * WIDTH
                store3(scene, row + contacts.SEARCH, world, jacobian(scene, row, world) * search)
            square = wp.dot(search, weighed(scene, mass, search))
            far = line_search(scene, world, count, wp.dot(search, gradient), wp.dot(search, smooth), square)
            found += far * search
            for contact in range(count):
                row = contact * WIDTH
                moved = load3(scene, row + contacts.MISS, world) + far * load3(scene, row + contacts.SEARCH, world)
                store3(scene, row + contacts.MISS, world, moved)
        return found

    return solve
