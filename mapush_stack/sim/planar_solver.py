"""Warp functions: MuJoCo's convex problem for a planar scene (`sim/planar_cost.py`), by Newton's method."""

from functools import lru_cache
from typing import Any

import warp as wp

from . import planar_contacts as contacts
from .planar_contacts import Scene, add3, load3, store3
from .planar_cost import cost, pyramid, spring, types

LINE_STEPS = 12
"""Newton steps of the search along a line; the cost is quadratic in pieces, so that two or three are enough."""


@wp.func
def slope(scene: Scene, world: int, count: int, at: float, linear: float, square: float) -> wp.vec2:
    """First and second derivative of the cost along the search direction, `at` steps of it from the present point.

    `linear` and `square` are the derivatives of the part without contacts, at the present point.
    """
    first, second = linear + at * square, square
    for contact in range(count):
        friction, stiffness = spring(scene, contact, world)
        along = pyramid(friction, load3(scene, contact, contacts.SEARCH, world))
        short = pyramid(friction, load3(scene, contact, contacts.MISS, world)) + at * along
        for k in range(4):
            pulled = wp.where(short[k] < 0.0, stiffness * along[k], 0.0)
            first += pulled * short[k]
            second += pulled * along[k]
    return wp.vec2(first, second)


@wp.func
def line_search(scene: Scene, world: int, count: int, start: float, linear: float, square: float) -> float:
    """How far to go along the search direction, where the cost falls by `start` at first: to where it is least."""
    low, high, at = float(0.0), float(-1.0), float(1.0)
    steps = int(LINE_STEPS)  # a variable, lest Warp unrolls the loop: code that fits the instruction cache is faster
    for _step in range(steps):
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


@lru_cache(maxsize=None)
def solver(robots: int) -> Any:
    """The Warp function that finds a world's accelerations, for a number of robots."""
    matrix_type, _, vector_type = types(robots)
    at_contact, weighed, with_pull, masses, with_contact = cost(robots)
    size = 6 + 3 * robots

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
    def solve(
        scene: Scene, world: int, count: int, turn: wp.mat33, free: vector_type, start: vector_type
    ) -> vector_type:
        """The accelerations; `free` are those without contacts, and the search begins at `start`."""
        if count == 0:
            return free
        found = vector_type(start)
        inertia = turn * scene.inertia * wp.transpose(turn)
        for contact in range(count):
            add3(scene, contact, contacts.MISS, world, at_contact(scene, contact, world, found))
        for _step in range(scene.iterations):
            smooth = weighed(scene, inertia, found - free)
            gradient = vector_type(smooth)
            for contact in range(count):
                gradient = with_pull(gradient, scene, contact, world)
            if wp.length(gradient) < scene.tolerance:
                return found
            hessian = masses(scene, inertia)
            for contact in range(count):
                hessian = with_contact(hessian, scene, contact, world)
            search = descent(hessian, gradient)
            for contact in range(count):
                store3(scene, contact, contacts.SEARCH, world, at_contact(scene, contact, world, search))
            square = wp.dot(search, weighed(scene, inertia, search))
            far = line_search(scene, world, count, wp.dot(search, gradient), wp.dot(search, smooth), square)
            found += far * search
            for contact in range(count):
                add3(scene, contact, contacts.MISS, world, far * load3(scene, contact, contacts.SEARCH, world))
        return found

    return solve
