"""Warp functions: the contacts of a planar scene, as MuJoCo finds and weighs them."""

from typing import Tuple

import warp as wp

from .gpu import parts_of_mujoco_warp

with parts_of_mujoco_warp():
    from mujoco_warp._src.collision_primitive_core import capsule_box, capsule_capsule, sphere_cylinder
    from mujoco_warp._src.math import orthogonals

NORMAL, TANGENT, ARM, OTHER_ARM, MISS, SEARCH, FRICTION, STIFFNESS, PLUS, MINUS = 0, 3, 6, 9, 12, 15, 18, 19, 20, 21
"""Rows of a contact in the table of contacts; those of three coordinates begin there."""
WIDTH = 22
"""How many there are."""


Pair = wp.types.matrix(shape=(2, 3), dtype=wp.float32)
"""Two points or directions."""


@wp.struct
class Scene:
    """What all worlds share, in m, kg, s; `sim/planar_engine.py` takes it from MuJoCo's model.

    The arrays of the object's parts have one row, or if the worlds have objects of their own (`stride` is 1) one each;
    then the kernel takes mass, inertia and centre from `masses`, `inertias` and `centres`. The servos' `gain` and
    `limit` have a row for each robot. `full` counts the contacts of each world for which the table had no `room`.
    Obstacles have rows of worlds.
    """

    dt: float
    gravity: wp.vec3
    mass: float
    inertia: wp.mat33
    centre: wp.vec3
    robot_mass: wp.vec3
    gain: wp.array[wp.vec3]
    limit: wp.array[wp.vec3]
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
    stride: int
    size: wp.array2d[wp.vec3]
    place: wp.array2d[wp.vec3]
    turned: bool
    turn: wp.array2d[wp.vec2]
    masses: wp.array[float]
    inertias: wp.array[wp.mat33]
    centres: wp.array[wp.vec3]
    table: wp.array3d[float]
    room: int
    full: wp.array[int]
    obstacle_round: wp.array[bool]
    obstacle_place: wp.array2d[wp.vec2]
    obstacle_turn: wp.array2d[wp.vec2]
    obstacle_half: wp.array2d[wp.vec2]
    obstacle_height: float
    obstacle_friction: float


@wp.struct
class Body:
    """Where the object or a robot is and how it moves: centre of mass, axes, velocity, rotation."""

    centre: wp.vec3
    turn: wp.mat33
    speed: wp.vec3
    spin: wp.vec3


@wp.func
def load3(scene: Scene, contact: int, row: int, world: int) -> wp.vec3:
    """Three rows of a contact."""
    table = scene.table
    return wp.vec3(table[contact, row, world], table[contact, row + 1, world], table[contact, row + 2, world])


@wp.func
def store3(scene: Scene, contact: int, row: int, world: int, value: wp.vec3):
    """Write three rows of a contact."""
    for k in range(3):
        scene.table[contact, row + k, world] = value[k]


@wp.func
def add3(scene: Scene, contact: int, row: int, world: int, value: wp.vec3):
    """Add to three rows of a contact."""
    store3(scene, contact, row, world, load3(scene, contact, row, world) + value)


@wp.func
def add_contact(
    scene: Scene, world: int, count: int, dist: float, pos: wp.vec3, normal: wp.vec3, friction: float, weight: float,
    one: Body, two: Body, plus: int, minus: int,
) -> int:  # fmt: skip
    """Append a contact if its bodies overlap; the new number of contacts.

    Body `one` is the object (`plus` is -1) or robot `plus`; `two` stands still (`minus` is -1) or is robot `minus`.
    `weight` is the sum of MuJoCo's `body_invweight0`. The four rows of the pyramid have one stiffness.
    """
    if dist >= 0.0:
        return count
    if count >= scene.room:
        scene.full[world] += 1
        return count
    first, second = orthogonals(normal)
    depth = wp.min(-dist / scene.impedance[2], 1.0)
    share = wp.where(depth < 0.5, 2.0 * depth * depth, 1.0 - 2.0 * (1.0 - depth) * (1.0 - depth))
    impedance = scene.impedance[0] + share * (scene.impedance[1] - scene.impedance[0])
    slip = friction * friction
    compliance = weight * (1.0 + slip) * 2.0 * slip * (1.0 - impedance) / impedance
    arm, other = pos - one.centre, pos - two.centre
    velocity = one.speed + wp.cross(one.spin, arm) - two.speed - wp.cross(two.spin, other)
    miss = scene.damping * wp.vec3(wp.dot(normal, velocity), wp.dot(first, velocity), wp.dot(second, velocity))
    miss[0] = miss[0] + scene.stiffness * impedance * dist
    store3(scene, count, NORMAL, world, normal)
    store3(scene, count, TANGENT, world, first)
    store3(scene, count, ARM, world, arm)
    store3(scene, count, OTHER_ARM, world, other)
    store3(scene, count, MISS, world, miss)
    scene.table[count, FRICTION, world] = friction
    scene.table[count, STIFFNESS, world] = 1.0 / wp.max(compliance, 1.0e-15)
    scene.table[count, PLUS, world] = float(plus)
    scene.table[count, MINUS, world] = float(minus)
    return count + 1


@wp.func
def part_turn(scene: Scene, world: int, thing: Body, part: int) -> wp.mat33:
    """The axes of a part of the object, which may be turned about the object's upright axis."""
    if not scene.turned:
        return thing.turn
    turn = scene.turn[world * scene.stride, part]
    return thing.turn * wp.mat33(turn[0], -turn[1], 0.0, turn[1], turn[0], 0.0, 0.0, 0.0, 1.0)


@wp.func
def corner(size: wp.vec3, number: int) -> wp.vec3:
    """One of the eight corners of a box, in MuJoCo's order."""
    x = wp.where((number & 1) != 0, size[0], -size[0])
    y = wp.where((number & 2) != 0, size[1], -size[1])
    return wp.vec3(x, y, wp.where((number & 4) != 0, size[2], -size[2]))


@wp.func
def rim_point(turn: wp.mat33, size: wp.vec3, number: int) -> wp.vec3:
    """Where an upright cylinder may stand, from its centre: its lowest point, or one a third of a turn on.

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
def object_on_floor(scene: Scene, world: int, thing: Body, friction: float) -> int:
    """Find the contacts of the object with the floor, four for each part at most; how many there are."""
    count, row = int(0), world * scene.stride
    for part in range(scene.size.shape[1]):
        full = count + 4
        feet = wp.where(scene.is_box[part], 8, 3)
        size, turn = scene.size[row, part], part_turn(scene, world, thing, part)
        for foot in range(feet):
            pos = thing.centre + thing.turn * scene.place[row, part]
            if scene.is_box[part]:
                pos += turn * corner(size, foot)
            else:
                pos += rim_point(thing.turn, size, foot)
            dist = pos[2]
            pos[2] = 0.5 * dist
            if count < full:
                up = wp.vec3(0.0, 0.0, 1.0)
                weight = scene.inverse_weight
                count = add_contact(scene, world, count, dist, pos, up, friction, weight, thing, Body(), -1, -1)
    return count


@wp.func
def apart(away: wp.vec3, axis: wp.vec3, radius: float, half: float, turn: wp.mat33, size: wp.vec3) -> bool:
    """Whether a face of a box has a capsule, `away` from its centre, wholly outside."""
    back = wp.transpose(turn)
    return wp.max(wp.abs(back * away) - half * wp.abs(back * axis) - size) > radius


@wp.func
def nearest(middle: wp.vec3, axis: wp.vec3, half: float, place: wp.vec3, upright: wp.vec3) -> wp.vec3:
    """The point of a capsule's axis that is nearest to the axis of a cylinder."""
    away = middle - place
    cosine = wp.dot(axis, upright)
    along = (cosine * wp.dot(upright, away) - wp.dot(axis, away)) / wp.max(1.0 - cosine * cosine, 1.0e-6)
    return middle + wp.clamp(along, -half, half) * axis


@wp.func
def capsule_on_part(
    scene: Scene, middle: wp.vec3, axis: wp.vec3, place: wp.vec3, turn: wp.mat33, size: wp.vec3, is_box: bool
) -> Tuple[int, wp.vec2, Pair, Pair]:
    """Where a robot's capsule meets a box or a cylinder: how many contacts, distances, places, normals."""
    radius, half = scene.radius, scene.half_length
    sides = int(0)
    dist, pos, normal = wp.vec2(), Pair(0.0), Pair(0.0)
    if not is_box:
        upright = wp.vec3(turn[0, 2], turn[1, 2], turn[2, 2])
        point = nearest(middle, axis, half, place, upright)
        deep, spot, outward = sphere_cylinder(point, radius, place, upright, size[0], size[1])
        dist[0] = deep
        pos[0] = spot
        normal[0] = outward
        sides = 1
    elif not apart(middle - place, axis, radius, half, turn, size):
        dist, pos, normal = capsule_box(middle, axis, radius, half, place, turn, size)
        sides = 2
    return sides, dist, pos, normal


@wp.func
def robot_on_object(
    scene: Scene, world: int, found: int, thing: Body, robot: Body, number: int, friction: float
) -> int:
    """Append the contacts of robot `number` with the object; the new number of contacts."""
    count = int(found)
    axis = wp.vec3(robot.turn[0, 0], robot.turn[1, 0], 0.0)
    middle = robot.centre + scene.shift * axis
    weight = scene.inverse_weight + scene.robot_inverse_weight
    row = world * scene.stride
    for part in range(scene.size.shape[1]):
        place = thing.centre + thing.turn * scene.place[row, part]
        size, turn = scene.size[row, part], part_turn(scene, world, thing, part)
        sides, dist, pos, normal = capsule_on_part(scene, middle, axis, place, turn, size, scene.is_box[part])
        for side in range(sides):
            count = add_contact(
                scene, world, count, dist[side], pos[side], normal[side], friction, weight, thing, robot, -1, number
            )
    return count


@wp.func
def robot_on_robot(
    scene: Scene, world: int, found: int, one: Body, two: Body, plus: int, minus: int, friction: float
) -> int:
    """Append the contacts of robot `minus` with robot `plus`, whose number is larger; the new number of contacts."""
    count = int(found)
    radius, half = scene.radius, scene.half_length
    near = 2.0 * (radius + half + wp.abs(scene.shift))
    if wp.length_sq(one.centre - two.centre) > near * near:
        return count
    one_axis, two_axis = wp.vec3(one.turn[0, 0], one.turn[1, 0], 0.0), wp.vec3(two.turn[0, 0], two.turn[1, 0], 0.0)
    one_middle, two_middle = one.centre + scene.shift * one_axis, two.centre + scene.shift * two_axis
    dist, pos, normals = capsule_capsule(two_middle, two_axis, radius, half, one_middle, one_axis, radius, half)
    sides = int(2)
    for side in range(sides):
        normal = normals[side]
        if dist[side] < 1.0e-5 - 2.0 * radius:  # the axes cross: MuJoCo takes the normal of both
            normal = wp.vec3(0.0, 0.0, 1.0)
        weight = 2.0 * scene.robot_inverse_weight
        count = add_contact(scene, world, count, dist[side], pos[side], normal, friction, weight, one, two, plus, minus)
    return count
