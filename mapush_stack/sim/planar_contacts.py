"""Warp functions: the contacts of a planar scene, as MuJoCo finds and weighs them."""

import warp as wp
from mujoco_warp._src.collision_primitive_core import (
    capsule_box,
    capsule_capsule,
    sphere_cylinder,
)
from mujoco_warp._src.math import orthogonals

NORMAL, TANGENT, ARM, OTHER_ARM, FRICTION, STIFFNESS, MISS, SEARCH, PLUS, MINUS = 0, 3, 6, 9, 12, 13, 14, 17, 20, 21
"""Rows of a contact in the table of contacts; those of three coordinates begin there."""
WIDTH = 22
"""Rows of one contact."""


@wp.struct
class Scene:
    """What all worlds share. Lengths in m, masses in kg, times in s."""

    dt: float
    gravity: wp.vec3
    mass: float
    inertia: wp.mat33
    inverse_inertia: wp.mat33
    centre: wp.vec3
    robot_mass: wp.vec3
    gain: wp.vec3
    limit: wp.vec3
    height: float
    radius: float
    half_length: float
    shift: float
    stiffness: float
    damping: float
    impedance: wp.vec3
    inverse_weight: float
    robot_inverse_weight: float
    iterations: int
    tolerance: float
    is_box: wp.array[bool]
    size: wp.array[wp.vec3]
    place: wp.array[wp.vec3]


@wp.func
def load3(table: wp.array2d[float], row: int, world: int) -> wp.vec3:
    """Three rows of a world."""
    return wp.vec3(table[row, world], table[row + 1, world], table[row + 2, world])


@wp.func
def store3(table: wp.array2d[float], row: int, world: int, value: wp.vec3):
    """Write three rows of a world."""
    table[row, world] = value[0]
    table[row + 1, world] = value[1]
    table[row + 2, world] = value[2]


@wp.func
def add_contact(
    scene: Scene,
    table: wp.array2d[float],
    world: int,
    count: int,
    dist: float,
    normal: wp.vec3,
    velocity: wp.vec3,
    arm: wp.vec3,
    other_arm: wp.vec3,
    friction: float,
    inverse_weight: float,
    plus: int,
    minus: int,
) -> int:
    """Append a contact if its bodies overlap; the new number of contacts.

    `velocity` is that of the body `plus` relative to `minus`; the arms lead from the bodies' centres to the contact.
    `plus` is -1 for the object, else a robot; `minus` is -1 for the floor. Four rows of a pyramid share the weight.
    """
    if dist >= 0.0:
        return count
    first, second = orthogonals(normal)
    depth = wp.min(-dist / scene.impedance[2], 1.0)
    share = wp.where(depth < 0.5, 2.0 * depth * depth, 1.0 - 2.0 * (1.0 - depth) * (1.0 - depth))
    impedance = scene.impedance[0] + share * (scene.impedance[1] - scene.impedance[0])
    slip = friction * friction
    compliance = inverse_weight * (1.0 + slip) * 2.0 * slip * (1.0 - impedance) / impedance
    row = count * WIDTH
    store3(table, row + NORMAL, world, normal)
    store3(table, row + TANGENT, world, first)
    store3(table, row + ARM, world, arm)
    store3(table, row + OTHER_ARM, world, other_arm)
    table[row + FRICTION, world] = friction
    table[row + STIFFNESS, world] = 1.0 / wp.max(compliance, 1.0e-15)
    miss = scene.damping * wp.vec3(wp.dot(normal, velocity), wp.dot(first, velocity), wp.dot(second, velocity))
    miss[0] = miss[0] + scene.stiffness * impedance * dist
    store3(table, row + MISS, world, miss)
    table[row + PLUS, world] = float(plus)
    table[row + MINUS, world] = float(minus)
    return count + 1


@wp.func
def corner(size: wp.vec3, number: int) -> wp.vec3:
    """One of the eight corners of a box, in MuJoCo's order."""
    return wp.vec3(
        wp.where((number & 1) != 0, size[0], -size[0]),
        wp.where((number & 2) != 0, size[1], -size[1]),
        wp.where((number & 4) != 0, size[2], -size[2]),
    )


@wp.func
def rim_point(turn: wp.mat33, size: wp.vec3, number: int) -> wp.vec3:
    """Where an upright cylinder may stand, from its centre: the lowest point, and two others a third of a turn on.

    That is MuJoCo's choice. The direction of the lowest point is computed from the tilt alone, because what remains of
    1 - cos(tilt) in single precision has no direction.
    """
    axis = wp.vec3(turn[0, 2], turn[1, 2], turn[2, 2])
    if axis[2] > 0.0:
        axis = -axis
    tilt = wp.sqrt(axis[0] * axis[0] + axis[1] * axis[1])
    low = wp.vec3(turn[0, 0], turn[1, 0], turn[2, 0])
    if tilt > 1.0e-12:
        low = wp.vec3(axis[0] * axis[2] / tilt, axis[1] * axis[2] / tilt, -tilt)
    side = wp.cross(low, axis) * (0.5 * wp.sqrt(3.0))
    if number == 1:
        low = side - 0.5 * low
    if number == 2:
        low = -side - 0.5 * low
    return size[0] * low + size[1] * axis


@wp.func
def object_on_floor(
    scene: Scene,
    table: wp.array2d[float],
    world: int,
    origin: wp.vec3,
    turn: wp.mat33,
    centre: wp.vec3,
    speed: wp.vec3,
    spin: wp.vec3,
    friction: float,
) -> int:
    """Find the contacts of the object with the floor, four for each part at most; how many there are."""
    count = int(0)
    for part in range(scene.size.shape[0]):
        place = origin + turn * scene.place[part]
        full = count + 4
        feet = int(3)
        if scene.is_box[part]:
            feet = 8
        for foot in range(feet):
            point = place + rim_point(turn, scene.size[part], foot)
            if scene.is_box[part]:
                point = place + turn * corner(scene.size[part], foot)
            dist = point[2]
            if dist < 0.0 and count < full:
                point[2] = 0.5 * dist
                arm = point - centre
                count = add_contact(
                    scene,
                    table,
                    world,
                    count,
                    dist,
                    wp.vec3(0.0, 0.0, 1.0),
                    speed + wp.cross(spin, arm),
                    arm,
                    wp.vec3(0.0),
                    friction,
                    scene.inverse_weight,
                    -1,
                    -1,
                )
    return count


@wp.func
def cylinder_point(middle: wp.vec3, axis: wp.vec3, half: float, place: wp.vec3, upright: wp.vec3) -> wp.vec3:
    """The point of a capsule's axis that is nearest to the axis of a cylinder."""
    away = middle - place
    cosine = wp.dot(axis, upright)
    along = (cosine * wp.dot(upright, away) - wp.dot(axis, away)) / wp.max(1.0 - cosine * cosine, 1.0e-6)
    return middle + wp.clamp(along, -half, half) * axis


@wp.func
def apart(away: wp.vec3, axis: wp.vec3, radius: float, half: float, turn: wp.mat33, size: wp.vec3) -> bool:
    """Whether a face of a box has a capsule, `away` from its centre, wholly outside."""
    back = wp.transpose(turn)
    gap = wp.abs(back * away) - half * wp.abs(back * axis) - size
    return wp.max(gap) > radius


@wp.func
def robot_on_object(
    scene: Scene,
    table: wp.array2d[float],
    world: int,
    found: int,
    robot: int,
    base: wp.vec3,
    axis: wp.vec3,
    motion: wp.vec3,
    origin: wp.vec3,
    turn: wp.mat33,
    centre: wp.vec3,
    speed: wp.vec3,
    spin: wp.vec3,
    friction: float,
) -> int:
    """Append the contacts of a robot with the object; the new number of contacts.

    The robot is at `base` and looks along `axis`; `motion` is how fast x, y and yaw change.
    """
    count = int(found)
    middle = base + scene.shift * axis
    for part in range(scene.size.shape[0]):
        place = origin + turn * scene.place[part]
        size = scene.size[part]
        dist = wp.vec2(1.0, 1.0)
        sides = int(2)
        first = wp.vec3(0.0)
        second = wp.vec3(0.0)
        first_normal = wp.vec3(0.0)
        second_normal = wp.vec3(0.0)
        if scene.is_box[part]:
            if apart(middle - place, axis, scene.radius, scene.half_length, turn, size):
                continue
            gap, spot, normal = capsule_box(middle, axis, scene.radius, scene.half_length, place, turn, size)
            dist = gap
            first = wp.vec3(spot[0, 0], spot[0, 1], spot[0, 2])
            second = wp.vec3(spot[1, 0], spot[1, 1], spot[1, 2])
            first_normal = wp.vec3(normal[0, 0], normal[0, 1], normal[0, 2])
            second_normal = wp.vec3(normal[1, 0], normal[1, 1], normal[1, 2])
        else:
            upright = wp.vec3(turn[0, 2], turn[1, 2], turn[2, 2])
            near = cylinder_point(middle, axis, scene.half_length, place, upright)
            deep, point, outward = sphere_cylinder(near, scene.radius, place, upright, size[0], size[1])
            dist[0] = deep
            sides = 1
            first = point
            first_normal = outward
        for side in range(sides):
            point = wp.where(side == 0, first, second)
            arm = point - centre
            lever = point - base
            velocity = speed + wp.cross(spin, arm)
            velocity -= wp.vec3(motion[0] - lever[1] * motion[2], motion[1] + lever[0] * motion[2], 0.0)
            count = add_contact(
                scene,
                table,
                world,
                count,
                dist[side],
                wp.where(side == 0, first_normal, second_normal),
                velocity,
                arm,
                lever,
                friction,
                scene.inverse_weight + scene.robot_inverse_weight,
                -1,
                robot,
            )
    return count


@wp.func
def robot_on_robot(
    scene: Scene,
    table: wp.array2d[float],
    world: int,
    found: int,
    one: int,
    two: int,
    base: wp.vec3,
    axis: wp.vec3,
    motion: wp.vec3,
    other: wp.vec3,
    other_axis: wp.vec3,
    other_motion: wp.vec3,
    friction: float,
) -> int:
    """Append the contacts of robot `one` with robot `two`, which has the larger number; the new number of contacts."""
    count = int(found)
    near = 2.0 * (scene.radius + scene.half_length + wp.abs(scene.shift))
    if wp.length_sq(base - other) > near * near:
        return count
    middle = base + scene.shift * axis
    other_middle = other + scene.shift * other_axis
    radius, half = scene.radius, scene.half_length
    dist, spot, normal = capsule_capsule(middle, axis, radius, half, other_middle, other_axis, radius, half)
    sides = int(2)
    for side in range(sides):
        point = wp.vec3(spot[side, 0], spot[side, 1], spot[side, 2])
        direction = wp.vec3(normal[side, 0], normal[side, 1], normal[side, 2])
        if dist[side] < 1.0e-5 - 2.0 * radius:  # the axes cross: MuJoCo takes the normal of both
            direction = wp.vec3(0.0, 0.0, 1.0)
        lever = point - base
        arm = point - other
        velocity = wp.vec3(other_motion[0] - arm[1] * other_motion[2], other_motion[1] + arm[0] * other_motion[2], 0.0)
        velocity -= wp.vec3(motion[0] - lever[1] * motion[2], motion[1] + lever[0] * motion[2], 0.0)
        count = add_contact(
            scene,
            table,
            world,
            count,
            dist[side],
            direction,
            velocity,
            arm,
            lever,
            friction,
            2.0 * scene.robot_inverse_weight,
            two,
            one,
        )
    return count
