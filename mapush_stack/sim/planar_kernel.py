"""One Warp kernel that steps a planar scene: contacts, MuJoCo's convex problem by Newton's method, integration.

A world's unknowns are accelerations: of the object's centre of mass (3), its rotation in the arena frame (3), and x, y
and yaw of each robot. They minimise the same cost as MuJoCo's (its documentation, "Computation"; pyramidal cones).
"""

from functools import lru_cache
from typing import Any

import warp as wp

from .planar_contacts import (
    ARM,
    FRICTION,
    MINUS,
    MISS,
    NORMAL,
    OTHER_ARM,
    PLUS,
    SEARCH,
    STIFFNESS,
    TANGENT,
    WIDTH,
    Scene,
    load3,
    object_on_floor,
    robot_on_object,
    robot_on_robot,
    store3,
)

LINE_STEPS = 12
"""Newton steps of the search along a line; the cost is quadratic in pieces, so that two or three are enough."""


@wp.func
def weights(miss: wp.vec3, friction: float, stiffness: float) -> wp.vec4:
    """Stiffness of each row of a contact's pyramid, zero where it does not push.

    `miss` is by how much the contact's acceleration is above the wanted one: normal, first and second tangent.
    """
    one, two = friction * miss[1], friction * miss[2]
    return wp.vec4(
        wp.where(miss[0] + one < 0.0, stiffness, 0.0),
        wp.where(miss[0] - one < 0.0, stiffness, 0.0),
        wp.where(miss[0] + two < 0.0, stiffness, 0.0),
        wp.where(miss[0] - two < 0.0, stiffness, 0.0),
    )


@wp.func
def metric(weight: wp.vec4, friction: float) -> wp.mat33:
    """The rows of a pyramid as one quadratic form of a contact's normal and two tangents."""
    one, two = friction * (weight[0] - weight[1]), friction * (weight[2] - weight[3])
    slip = friction * friction
    total = weight[0] + weight[1] + weight[2] + weight[3]
    first, second = slip * (weight[0] + weight[1]), slip * (weight[2] + weight[3])
    return wp.mat33(total, one, two, one, first, 0.0, two, 0.0, second)


@wp.func
def frame(table: wp.array2d[float], row: int, world: int) -> wp.mat33:
    """Normal, first and second tangent of a contact, as rows."""
    normal, tangent = load3(table, row + NORMAL, world), load3(table, row + TANGENT, world)
    return wp.matrix_from_rows(normal, tangent, wp.cross(normal, tangent))


@wp.func
def lever(arm: wp.vec3) -> wp.mat33:
    """How x, y and yaw of a robot move a point of it that is at `arm`."""
    return wp.mat33(1.0, 0.0, -arm[1], 0.0, 1.0, arm[0], 0.0, 0.0, 0.0)


@wp.func
def slope(table: wp.array2d[float], world: int, count: int, at: float, linear: float, square: float) -> wp.vec2:
    """First and second derivative of the cost along the search direction, `at` steps of it from the present point.

    `linear` and `square` are the derivatives of the part without contacts, at the present point.
    """
    first = linear + at * square
    second = square
    for contact in range(count):
        row = contact * WIDTH
        along = load3(table, row + SEARCH, world)
        miss = load3(table, row + MISS, world) + at * along
        friction = table[row + FRICTION, world]
        form = metric(weights(miss, friction, table[row + STIFFNESS, world]), friction)
        first += wp.dot(along, form * miss)
        second += wp.dot(along, form * along)
    return wp.vec2(first, second)


@wp.func
def line_search(table: wp.array2d[float], world: int, count: int, linear: float, square: float) -> float:
    """How far to go along the search direction: where the cost is least."""
    low, high = float(0.0), float(-1.0)
    at = float(1.0)
    wanted = float(0.0)
    for step in range(LINE_STEPS):
        found = slope(table, world, count, at, linear, square)
        if step == 0:
            wanted = 1.0e-4 * wp.abs(slope(table, world, count, 0.0, linear, square)[0])
        if wp.abs(found[0]) <= wanted:
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
def rotated(motion: wp.vec3, c: float, s: float) -> wp.vec3:
    """Velocity or acceleration of x, y and yaw in axes that are turned by an angle with this cosine and sine."""
    return wp.vec3(c * motion[0] + s * motion[1], c * motion[1] - s * motion[0], motion[2])


@wp.func
def servo(scene: Scene, command: wp.vec3, motion: wp.vec3) -> wp.vec3:
    """Forces of a robot's three velocity servos, for a motion in its own frame."""
    return wp.max(-scene.limit, wp.min(scene.limit, wp.cw_mul(scene.gain, command - motion)))


@wp.func
def with_servos(scene: Scene, force: wp.vec3, acceleration: wp.vec3) -> wp.vec3:
    """A robot's acceleration in a step that is implicit in the servos that are not at their limit, in its own frame."""
    found = acceleration
    for axis in range(3):
        gain = wp.where(wp.abs(force[axis]) < scene.limit[axis], scene.gain[axis], 0.0)
        found[axis] = found[axis] / (1.0 + scene.dt * gain / scene.robot_mass[axis])
    return found


@wp.func
def object_rotation(scene: Scene, spin: wp.vec3, acceleration: wp.vec3) -> wp.vec3:
    """The object's rotational acceleration, in its own frame, in a step that is implicit in the gyroscopic torque."""
    turning = scene.inertia * spin
    matrix = scene.inertia + scene.dt * (wp.skew(spin) * scene.inertia - wp.skew(turning))
    return wp.inverse(matrix) * (scene.inertia * acceleration)


@wp.func
def turned(attitude: wp.quat, spin: wp.vec3, dt: float) -> wp.quat:
    """An attitude after `dt` of a rotation in the body's own frame."""
    rate = wp.length(spin)
    return wp.normalize(attitude * wp.quat_from_axis_angle(wp.normalize(spin), rate * dt))


@lru_cache(maxsize=None)
def solver(robots: int) -> Any:
    """The Warp function that finds a world's accelerations, for a number of robots."""
    size = 6 + 3 * robots
    Vector = wp.types.vector(length=size, dtype=wp.float32)
    Matrix = wp.types.matrix(shape=(size, size), dtype=wp.float32)

    @wp.func
    def relative(table: wp.array2d[float], row: int, world: int, motion: Vector) -> wp.vec3:
        """`motion` of the contact's first body relative to its second, in the contact's frame."""
        plus, minus = int(table[row + PLUS, world]), int(table[row + MINUS, world])
        arm, other_arm = load3(table, row + ARM, world), load3(table, row + OTHER_ARM, world)
        moved = wp.vec3(0.0)
        if plus < 0:
            moved = wp.vec3(motion[0], motion[1], motion[2])
            moved += wp.cross(wp.vec3(motion[3], motion[4], motion[5]), arm)
        for robot in range(robots):
            own = wp.vec3(motion[6 + 3 * robot], motion[7 + 3 * robot], motion[8 + 3 * robot])
            if robot == plus:
                moved += lever(arm) * own
            if robot == minus:
                moved -= lever(other_arm) * own
        return frame(table, row, world) * moved

    @wp.func
    def with_force(table: wp.array2d[float], row: int, world: int, start: Vector) -> Vector:
        """`start`, a gradient, with the force of a contact taken off."""
        gradient = start
        friction = table[row + FRICTION, world]
        miss = load3(table, row + MISS, world)
        form = metric(weights(miss, friction, table[row + STIFFNESS, world]), friction)
        force = wp.transpose(frame(table, row, world)) * (form * miss)
        plus, minus = int(table[row + PLUS, world]), int(table[row + MINUS, world])
        arm, other_arm = load3(table, row + ARM, world), load3(table, row + OTHER_ARM, world)
        if plus < 0:
            torque = wp.cross(arm, force)
            for axis in range(3):
                gradient[axis] += force[axis]
                gradient[3 + axis] += torque[axis]
        for robot in range(robots):
            pull = wp.vec3(0.0)
            if robot == plus:
                pull = wp.transpose(lever(arm)) * force
            if robot == minus:
                pull = -(wp.transpose(lever(other_arm)) * force)
            for axis in range(3):
                gradient[6 + 3 * robot + axis] += pull[axis]
        return gradient

    @wp.func
    def with_contact(table: wp.array2d[float], row: int, world: int, start: Matrix) -> Matrix:
        """`start`, the lower half of a Hessian, with that of a contact."""
        hessian = start
        friction = table[row + FRICTION, world]
        form = metric(weights(load3(table, row + MISS, world), friction, table[row + STIFFNESS, world]), friction)
        axes = frame(table, row, world)
        form = wp.transpose(axes) * form * axes
        plus, minus = int(table[row + PLUS, world]), int(table[row + MINUS, world])
        arm, other = load3(table, row + ARM, world), lever(load3(table, row + OTHER_ARM, world))
        twisted = wp.skew(arm) * form
        if plus < 0:
            turning = -(twisted * wp.skew(arm))
            for i in range(3):
                for j in range(3):
                    hessian[i, j] += form[i, j]
                    hessian[3 + i, j] += twisted[i, j]
                    hessian[3 + i, 3 + j] += turning[i, j]
        pulled = wp.transpose(other) * form
        own = pulled * other
        twist = pulled * wp.skew(arm)
        mine = wp.transpose(lever(arm)) * form
        both = mine * lever(arm)
        cross = mine * other
        for robot in range(robots):
            for i in range(3):
                for j in range(3):
                    if robot == minus:
                        hessian[6 + 3 * robot + i, 6 + 3 * robot + j] += own[i, j]
                        if plus < 0:
                            hessian[6 + 3 * robot + i, j] -= pulled[i, j]
                            hessian[6 + 3 * robot + i, 3 + j] += twist[i, j]
                    if robot == plus:
                        hessian[6 + 3 * robot + i, 6 + 3 * robot + j] += both[i, j]
                        for second in range(robot):
                            if second == minus:
                                hessian[6 + 3 * robot + i, 6 + 3 * second + j] -= cross[i, j]
        return hessian

    @wp.func
    def descent(matrix: Matrix, gradient: Vector) -> Vector:
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
    def weighed(scene: Scene, inertia: wp.mat33, motion: Vector) -> Vector:
        """The mass matrix times `motion`."""
        forces = motion
        torque = inertia * wp.vec3(motion[3], motion[4], motion[5])
        for axis in range(3):
            forces[axis] = scene.mass * motion[axis]
            forces[3 + axis] = torque[axis]
        for robot in range(robots):
            for axis in range(3):
                forces[6 + 3 * robot + axis] = scene.robot_mass[axis] * motion[6 + 3 * robot + axis]
        return forces

    @wp.func
    def masses(scene: Scene, inertia: wp.mat33) -> Matrix:
        """The mass matrix."""
        matrix = Matrix(0.0)
        for i in range(3):
            matrix[i, i] = scene.mass
            for j in range(3):
                matrix[3 + i, 3 + j] = inertia[i, j]
        for robot in range(robots):
            for axis in range(3):
                matrix[6 + 3 * robot + axis, 6 + 3 * robot + axis] = scene.robot_mass[axis]
        return matrix

    @wp.func
    def solve(
        scene: Scene, table: wp.array2d[float], world: int, count: int, inertia: wp.mat33, free: Vector, start: Vector
    ) -> Vector:
        """The accelerations; `free` are those without contacts, and the search begins at `start`."""
        if count == 0:
            return free
        found = start
        for contact in range(count):
            row = contact * WIDTH
            store3(table, row + MISS, world, load3(table, row + MISS, world) + relative(table, row, world, found))
        for _step in range(scene.iterations):
            smooth = weighed(scene, inertia, found - free)
            gradient = smooth
            for contact in range(count):
                gradient = with_force(table, contact * WIDTH, world, gradient)
            if wp.length(gradient) < scene.tolerance:
                return found
            hessian = masses(scene, inertia)
            for contact in range(count):
                hessian = with_contact(table, contact * WIDTH, world, hessian)
            search = descent(hessian, gradient)
            for contact in range(count):
                row = contact * WIDTH
                store3(table, row + SEARCH, world, relative(table, row, world, search))
            square = wp.dot(search, weighed(scene, inertia, search))
            far = line_search(table, world, count, wp.dot(search, smooth), square)
            found += far * search
            for contact in range(count):
                row = contact * WIDTH
                moved = load3(table, row + MISS, world) + far * load3(table, row + SEARCH, world)
                store3(table, row + MISS, world, moved)
        return found

    return solve


@lru_cache(maxsize=None)
def stepper(robots: int) -> Any:
    """The Warp kernel that steps worlds with a number of robots, a thread a world."""
    size = 6 + 3 * robots
    Vector = wp.types.vector(length=size, dtype=wp.float32)
    Robots = wp.types.matrix(shape=(robots, 3), dtype=wp.float32)
    solve = solver(robots)

    @wp.kernel(enable_backward=False, module="unique")
    def step(
        scene: Scene,
        friction: wp.array[wp.vec3],
        control: wp.array2d[float],
        substeps: int,
        table: wp.array2d[float],
        qpos: wp.array2d[float],
        qvel: wp.array2d[float],
        warm: wp.array2d[float],
        path_qpos: wp.array3d[float],
        path_qvel: wp.array3d[float],
    ):
        world = wp.tid()
        mu = friction[world]
        origin = wp.vec3(qpos[world, 0], qpos[world, 1], qpos[world, 2])
        attitude = wp.normalize(wp.quat(qpos[world, 4], qpos[world, 5], qpos[world, 6], qpos[world, 3]))
        moving = wp.vec3(qvel[world, 0], qvel[world, 1], qvel[world, 2])
        own_spin = wp.vec3(qvel[world, 3], qvel[world, 4], qvel[world, 5])
        poses, motions, commands, forces = Robots(), Robots(), Robots(), Robots()
        bases, axes = Robots(), Robots()
        for robot in range(robots):
            for k in range(3):
                poses[robot, k] = qpos[world, 7 + 3 * robot + k]
                motions[robot, k] = qvel[world, 6 + 3 * robot + k]
                commands[robot, k] = control[world, 3 * robot + k]
        found = Vector()
        for k in range(size):
            found[k] = warm[world, k]
        for time in range(path_qpos.shape[0]):
            for _sub in range(substeps):
                turn = wp.quat_to_matrix(attitude)
                spin = turn * own_spin
                offset = turn * scene.centre
                centre = origin + offset
                pull = wp.cross(spin, offset)
                speed = moving + pull
                free = Vector()
                whirl = scene.gravity - wp.cross(spin, pull)
                spun = turn * (scene.inverse_inertia * (-wp.cross(own_spin, scene.inertia * own_spin)))
                for k in range(3):
                    free[k] = whirl[k]
                    free[3 + k] = spun[k]
                count = object_on_floor(scene, table, world, origin, turn, centre, speed, spin, mu[0])
                number = int(
                    robots
                )  # a variable, lest Warp unrolls the loop and the search for contacts is there twice
                for robot in range(number):
                    base = wp.vec3(poses[robot, 0], poses[robot, 1], scene.height)
                    axis = wp.vec3(wp.cos(poses[robot, 2]), wp.sin(poses[robot, 2]), 0.0)
                    bases[robot] = base
                    axes[robot] = axis
                    force = servo(scene, commands[robot], rotated(motions[robot], axis[0], axis[1]))
                    forces[robot] = force
                    pushed = rotated(wp.cw_div(force, scene.robot_mass), axis[0], -axis[1])
                    for k in range(3):
                        free[6 + 3 * robot + k] = pushed[k]
                    count = robot_on_object(
                        scene, table, world, count, robot, base, axis, motions[robot],
                        origin, turn, centre, speed, spin, mu[1],
                    )  # fmt: skip
                    for other in range(robot):
                        count = robot_on_robot(
                            scene, table, world, count, other, robot,
                            bases[other], axes[other], motions[other], base, axis, motions[robot], mu[2],
                        )  # fmt: skip
                found = solve(scene, table, world, count, turn * scene.inertia * wp.transpose(turn), free, found)
                # The steps in velocity, then in position.
                twist = object_rotation(scene, own_spin, wp.transpose(turn) * wp.vec3(found[3], found[4], found[5]))
                turning = turn * twist
                push = wp.vec3(found[0], found[1], found[2])
                push -= scene.dt * (wp.cross(turning, pull) + wp.cross(spin, wp.cross(turning, offset)))
                moving += scene.dt * (push - wp.cross(turning, offset))
                own_spin += scene.dt * twist
                origin += scene.dt * moving
                attitude = turned(attitude, own_spin, scene.dt)
                for robot in range(robots):
                    own = wp.vec3(found[6 + 3 * robot], found[7 + 3 * robot], found[8 + 3 * robot])
                    own = with_servos(scene, forces[robot], rotated(own, axes[robot, 0], axes[robot, 1]))
                    motions[robot] = motions[robot] + scene.dt * rotated(own, axes[robot, 0], -axes[robot, 1])
                    poses[robot] = poses[robot] + scene.dt * motions[robot]
            for k in range(3):
                path_qpos[time, world, k] = origin[k]
                path_qvel[time, world, k] = moving[k]
                path_qvel[time, world, 3 + k] = own_spin[k]
                path_qpos[time, world, 4 + k] = attitude[k]
            path_qpos[time, world, 3] = attitude[3]
            for robot in range(robots):
                for k in range(3):
                    path_qpos[time, world, 7 + 3 * robot + k] = poses[robot, k]
                    path_qvel[time, world, 6 + 3 * robot + k] = motions[robot, k]
        last = path_qpos.shape[0] - 1
        for k in range(size):
            warm[world, k] = found[k]
            qvel[world, k] = path_qvel[last, world, k]
        for k in range(size + 1):
            qpos[world, k] = path_qpos[last, world, k]

    return step
