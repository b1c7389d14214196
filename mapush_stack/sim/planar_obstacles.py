"""Warp functions: the contacts of a planar scene with obstacles, upright boxes and cylinders that stand still."""

import warp as wp

from . import planar_contacts as contacts
from .planar_contacts import Body, Scene

Section = wp.types.matrix(shape=(3, 2), dtype=wp.float32)
"""An upright box from above: its centre, a unit vector along its first side, half its sides."""
Points = wp.types.matrix(shape=(2, 3), dtype=wp.float32)
"""Two places, x and y, with their distances."""


@wp.func
def turned(vector: wp.vec2, turn: wp.vec2) -> wp.vec2:
    """A vector turned by an angle, given as cosine and sine."""
    return wp.vec2(turn[0] * vector[0] - turn[1] * vector[1], turn[1] * vector[0] + turn[0] * vector[1])


@wp.func
def turned_back(vector: wp.vec2, turn: wp.vec2) -> wp.vec2:
    """A vector turned by the negative of an angle."""
    return wp.vec2(turn[0] * vector[0] + turn[1] * vector[1], turn[0] * vector[1] - turn[1] * vector[0])


@wp.func
def far(scene: Scene, world: int, number: int, point: wp.vec2, reach: float) -> bool:
    """Whether an obstacle is further from a point than `reach`."""
    half = scene.obstacle_half[world, number]
    offset = turned_back(point - scene.obstacle_place[world, number], scene.obstacle_turn[world, number])
    beyond = wp.vec2(wp.max(wp.abs(offset[0]) - half[0], 0.0), wp.max(wp.abs(offset[1]) - half[1], 0.0))
    return wp.length_sq(beyond) > reach * reach


@wp.func
def disc_and_box(centre: wp.vec2, radius: float, box: Section) -> Points:
    """Where a disc is nearest to a box: the point of the box with their distance, and the direction to the disc."""
    turn = box[1]
    offset, half = turned_back(centre - box[0], turn), box[2]
    edge = wp.vec2(wp.clamp(offset[0], -half[0], half[0]), wp.clamp(offset[1], -half[1], half[1]))
    away = offset - edge
    dist = wp.length(away)
    if dist > 0.0:
        away = away / dist
    else:  # the centre is within: out by the nearest side
        across = wp.abs(offset[0]) - half[0] > wp.abs(offset[1]) - half[1]
        away = wp.where(across, wp.vec2(wp.sign(offset[0]), 0.0), wp.vec2(0.0, wp.sign(offset[1])))
        dist = wp.max(wp.abs(offset[0]) - half[0], wp.abs(offset[1]) - half[1])
        edge = edge - dist * away
    place, direction = box[0] + turned(edge, turn), turned(away, turn)
    return Points(place[0], place[1], dist - radius, direction[0], direction[1], 0.0)


@wp.func
def overlap(one: Section, other: Section, number: int) -> wp.vec3:
    """How far apart boxes are along an axis, two of each box, with that direction from `other` to `one`."""
    owner = wp.where(number < 2, other, one)
    axis = wp.where(number % 2 == 0, owner[1], wp.vec2(-owner[1][1], owner[1][0]))
    offset = wp.dot(one[0] - other[0], axis)
    axis = wp.where(offset < 0.0, -axis, axis)
    first, second = turned_back(axis, one[1]), turned_back(axis, other[1])
    reach = wp.dot(wp.vec2(wp.abs(first[0]), wp.abs(first[1])), one[2])
    reach += wp.dot(wp.vec2(wp.abs(second[0]), wp.abs(second[1])), other[2])
    return wp.vec3(axis[0], axis[1], wp.abs(offset) - reach)


@wp.func
def clipped(still: Section, moving: Section, normal: wp.vec2) -> Points:
    """Ends of the side of `moving` that faces `still`, within the side of `still` that has this normal.

    With their distances from this side.
    """
    inward = turned_back(normal, moving[1])
    half, face = moving[2], wp.vec2(0.0, 0.0)
    along = wp.vec2(0.0, 0.0)
    if wp.abs(inward[0]) > wp.abs(inward[1]):
        face[0] = -wp.sign(inward[0]) * half[0]
        along[1] = half[1]
    else:
        face[1] = -wp.sign(inward[1]) * half[1]
        along[0] = half[0]
    first = moving[0] + turned(face - along, moving[1])
    step = 2.0 * turned(along, moving[1])
    # The part of this side that is between the two sides of `still`.
    across = wp.vec2(-normal[1], normal[0])
    own = turned_back(normal, still[1])
    sideways = wp.where(wp.abs(own[0]) > wp.abs(own[1]), still[2][1], still[2][0])
    deep = wp.where(wp.abs(own[0]) > wp.abs(own[1]), still[2][0], still[2][1])
    start, slant = wp.dot(first - still[0], across), wp.dot(step, across)
    low, high = float(0.0), float(1.0)
    if wp.abs(slant) > 1.0e-9:
        one, two = (-sideways - start) / slant, (sideways - start) / slant
        low, high = wp.max(wp.min(one, two), 0.0), wp.min(wp.max(one, two), 1.0)
    found = Points(0.0)
    for end in range(2):
        place = first + wp.where(end == 0, low, high) * step
        found[end] = wp.vec3(place[0], place[1], wp.where(high < low, 1.0, wp.dot(place - still[0], normal) - deep))
    return found


@wp.func
def box_on_box(
    scene: Scene, world: int, found: int, thing: Body, box: Section, still: Section, height: float, friction: float
) -> int:
    """Append the contacts of a section of the object at a height with a box that stands still."""
    count = int(found)
    best, least = int(0), wp.vec3(0.0, 0.0, -1.0e6)
    for number in range(4):
        axis = overlap(box, still, number)
        if axis[2] > least[2] + wp.where(number == 2, 1.0e-6, 0.0):
            best, least = number, axis
    if least[2] >= 0.0:
        return count
    normal = wp.vec2(least[0], least[1])
    points = clipped(still, box, normal)
    if best > 1:
        points = clipped(box, still, -normal)
    back = wp.where(best < 2, -0.5, 0.5)
    for end in range(2):
        point = points[end]
        place = wp.vec2(point[0], point[1]) + back * point[2] * normal
        count = contacts.add_contact(
            scene, world, count, point[2], wp.vec3(place[0], place[1], height), wp.vec3(normal[0], normal[1], 0.0),
            friction, scene.inverse_weight, thing, Body(), -1, -1,
        )  # fmt: skip
    return count


@wp.func
def section_on_obstacle(
    scene: Scene, world: int, found: int, thing: Body, box: Section, is_box: bool, number: int, height: float,
    friction: float,
) -> int:  # fmt: skip
    """Append the contacts of a section of the object, a box or a disc, with an obstacle."""
    place, half = scene.obstacle_place[world, number], scene.obstacle_half[world, number]
    still = wp.matrix_from_rows(place, scene.obstacle_turn[world, number], half)
    if is_box and not scene.obstacle_round[number]:
        return box_on_box(scene, world, found, thing, box, still, height, friction)
    near, direction, dist, at = Points(0.0), wp.vec2(0.0, 0.0), float(0.0), wp.vec2(0.0, 0.0)
    if is_box:  # on a cylinder
        near = disc_and_box(place, half[0], box)
        direction = -wp.vec2(near[1][0], near[1][1])
        dist = near[0][2]
        at = wp.vec2(near[0][0], near[0][1]) - 0.5 * dist * direction
    elif not scene.obstacle_round[number]:
        near = disc_and_box(box[0], box[2][0], still)
        direction = wp.vec2(near[1][0], near[1][1])
        dist = near[0][2]
        at = wp.vec2(near[0][0], near[0][1]) + 0.5 * dist * direction
    else:
        away = box[0] - place
        direction = wp.normalize(away)
        dist = wp.length(away) - half[0] - box[2][0]
        at = place + (half[0] + 0.5 * dist) * direction
    return contacts.add_contact(
        scene, world, found, dist, wp.vec3(at[0], at[1], height), wp.vec3(direction[0], direction[1], 0.0),
        friction, scene.inverse_weight, thing, Body(), -1, -1,
    )  # fmt: skip


@wp.func
def object_on_obstacles(scene: Scene, world: int, found: int, thing: Body, friction: float) -> int:
    """Append the contacts of the object with obstacles, at the lower and the upper end of each part of it."""
    count, row = int(found), world * scene.stride
    for part in range(scene.size.shape[1]):
        middle, size = thing.centre + thing.turn * scene.place[row, part], scene.size[row, part]
        turn = contacts.part_turn(scene, world, thing, part)
        is_box = scene.is_box[part]
        reach, tall = wp.length(wp.vec2(size[0], size[1])), size[2]
        half = wp.vec2(size[0], size[1])
        if not is_box:
            reach, tall = size[0], size[1]
            half = wp.vec2(size[0], size[0])
        ahead = wp.normalize(wp.vec2(turn[0, 0], turn[1, 0]))
        upright = tall * wp.vec3(turn[0, 2], turn[1, 2], turn[2, 2])
        if middle[2] - tall > scene.obstacle_height:
            continue
        for number in range(scene.obstacle_round.shape[0]):
            if not far(scene, world, number, wp.vec2(middle[0], middle[1]), reach + 0.1):
                for end in range(2):
                    place = middle + (2.0 * float(end) - 1.0) * upright
                    box = wp.matrix_from_rows(wp.vec2(place[0], place[1]), ahead, half)
                    count = section_on_obstacle(scene, world, count, thing, box, is_box, number, place[2], friction)
    return count


@wp.func
def robot_on_obstacles(scene: Scene, world: int, found: int, robot: Body, number: int, friction: float) -> int:
    """Append the contacts of robot `number` with obstacles."""
    count = int(found)
    axis = wp.vec3(robot.turn[0, 0], robot.turn[1, 0], 0.0)
    middle = robot.centre + scene.shift * axis
    flat, reach = wp.vec2(middle[0], middle[1]), scene.radius + scene.half_length
    for obstacle in range(scene.obstacle_round.shape[0]):
        if not far(scene, world, obstacle, flat, reach):
            place, turn = scene.obstacle_place[world, obstacle], scene.obstacle_turn[world, obstacle]
            half, tall = scene.obstacle_half[world, obstacle], 0.5 * scene.obstacle_height
            size = wp.vec3(half[0], half[1], tall)
            is_box = not scene.obstacle_round[obstacle]
            if not is_box:
                size = wp.vec3(half[0], tall, 0.0)
            axes = wp.mat33(turn[0], -turn[1], 0.0, turn[1], turn[0], 0.0, 0.0, 0.0, 1.0)
            sides, dist, pos, normal = contacts.capsule_on_part(
                scene, middle, axis, wp.vec3(place[0], place[1], tall), axes, size, is_box
            )
            for side in range(sides):
                count = contacts.add_contact(
                    scene, world, count, dist[side], pos[side], -normal[side], friction, scene.robot_inverse_weight,
                    robot, Body(), number, -1,
                )  # fmt: skip
    return count
