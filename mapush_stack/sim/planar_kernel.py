"""One Warp kernel that steps a planar scene: contacts, accelerations, integration; and the robots' work."""

from functools import lru_cache
from typing import Any

import warp as wp

from . import planar_contacts as contacts
from . import planar_obstacles as obstacles
from .planar_contacts import Body, Scene, load3
from .planar_cost import pull, types
from .planar_solver import solver


@wp.func
def servo(scene: Scene, command: wp.vec3, body: Body, robot: int) -> wp.vec3:
    """Forces of a robot's three velocity servos, in its own frame."""
    motion, limit = wp.transpose(body.turn) * (body.speed + body.spin), scene.limit[robot]
    return wp.max(-limit, wp.min(limit, wp.cw_mul(scene.gain[robot], command - motion)))


@wp.func
def with_servos(scene: Scene, force: wp.vec3, body: Body, robot: int, acceleration: wp.vec3) -> wp.vec3:
    """A robot's acceleration in a step that is implicit in the servos that are not at their limit."""
    own, gains, limit = wp.transpose(body.turn) * acceleration, scene.gain[robot], scene.limit[robot]
    for k in range(3):
        gain = wp.where(wp.abs(force[k]) < limit[k], gains[k], 0.0)
        own[k] = own[k] / (1.0 + scene.dt * gain / scene.robot_mass[k])
    return body.turn * own


@wp.func
def with_gyroscope(scene: Scene, spin: wp.vec3, acceleration: wp.vec3) -> wp.vec3:
    """The object's rotational acceleration in a step that is implicit in the gyroscopic torque, in its own frame."""
    matrix = scene.inertia + scene.dt * (wp.skew(spin) * scene.inertia - wp.skew(scene.inertia * spin))
    return wp.inverse(matrix) * (scene.inertia * acceleration)


@wp.func
def add_work(scene: Scene, world: int, count: int, before: Body, after: Body, time: int, work: wp.array3d[float]):
    """Add the work of each robot on the object in a step, see `sim/work.py`.

    The object was at `before`, where the contacts were found, and is at `after`.
    """
    for contact in range(count):
        robot = int(scene.table[contact, contacts.MINUS, world])
        if robot >= 0 and scene.table[contact, contacts.PLUS, world] < 0.0:
            force = -pull(scene, contact, world)
            arm = before.centre + load3(scene, contact, contacts.ARM, world) - after.centre
            work[time, world, robot] += scene.dt * wp.dot(force, after.speed + wp.cross(after.spin, arm))


@lru_cache(maxsize=None)
def stepper(robots: int, own: bool = False, around: bool = False) -> Any:
    """The Warp kernel that steps worlds with a number of robots, a thread a world.

    `own`: with objects of their own; `around`: with obstacles.
    """
    _, pose_type, vector_type = types(robots)
    solve = solver(robots)

    @wp.func
    def robot_body(scene: Scene, pose: pose_type, motion: vector_type, robot: int) -> Body:
        """A robot of a world."""
        found = Body()
        at, rate = 7 + 3 * robot, 6 + 3 * robot
        c, s = wp.cos(pose[at + 2]), wp.sin(pose[at + 2])
        found.centre = wp.vec3(pose[at], pose[at + 1], scene.height)
        found.turn = wp.mat33(c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0)
        found.speed = wp.vec3(motion[rate], motion[rate + 1], 0.0)
        found.spin = wp.vec3(0.0, 0.0, motion[rate + 2])
        return found

    @wp.func
    def object_body(scene: Scene, pose: pose_type, motion: vector_type) -> Body:
        """The object of a world."""
        found = Body()
        found.turn = wp.quat_to_matrix(wp.normalize(wp.quat(pose[4], pose[5], pose[6], pose[3])))
        found.spin = found.turn * wp.vec3(motion[3], motion[4], motion[5])
        offset = found.turn * scene.centre
        found.centre = wp.vec3(pose[0], pose[1], pose[2]) + offset
        found.speed = wp.vec3(motion[0], motion[1], motion[2]) + wp.cross(found.spin, offset)
        return found

    @wp.func
    def find_contacts(
        scene: Scene, world: int, thing: Body, pose: pose_type, motion: vector_type, friction: wp.vec3
    ) -> int:
        """Write a world's contacts into the table; how many there are."""
        count = contacts.object_on_floor(scene, world, thing, friction[0])
        if wp.static(around):
            rough = wp.max(friction[0], scene.obstacle_friction)
            count = obstacles.object_on_obstacles(scene, world, count, thing, rough)
        number = int(robots)  # a variable, lest Warp unrolls the loop and the search is in the kernel many times
        for robot in range(number):
            own = robot_body(scene, pose, motion, robot)
            count = contacts.robot_on_object(scene, world, count, thing, own, robot, friction[1])
            if wp.static(around):
                rough = wp.max(friction[2], scene.obstacle_friction)
                count = obstacles.robot_on_obstacles(scene, world, count, own, robot, rough)
            for other in range(robot):
                two = robot_body(scene, pose, motion, other)
                count = contacts.robot_on_robot(scene, world, count, own, two, robot, other, friction[2])
        return count

    @wp.func
    def free_accelerations(
        scene: Scene, world: int, thing: Body, pose: pose_type, motion: vector_type, control: wp.array2d[wp.vec3]
    ) -> vector_type:
        """The accelerations without contacts: those of joints, so that an orbit is a force."""
        free, spin = vector_type(), wp.vec3(motion[3], motion[4], motion[5])
        fall = scene.gravity - wp.cross(thing.spin, wp.cross(thing.spin, thing.turn * scene.centre))
        whirl = thing.turn * (wp.inverse(scene.inertia) * -wp.cross(spin, scene.inertia * spin))
        for k in range(3):
            free[k] = fall[k]
            free[3 + k] = whirl[k]
        number = int(robots)
        for robot in range(number):
            own = robot_body(scene, pose, motion, robot)
            pushed = own.turn * wp.cw_div(servo(scene, control[world, robot], own, robot), scene.robot_mass)
            for k in range(3):
                free[6 + 3 * robot + k] = pushed[k]
        return free

    @wp.func
    def accelerated(
        scene: Scene, world: int, thing: Body, pose: pose_type, before: vector_type, control: wp.array2d[wp.vec3],
        found: vector_type,
    ) -> vector_type:  # fmt: skip
        """The motion after a step with the accelerations `found`, implicit in servos and gyroscopic forces."""
        motion, offset = vector_type(before), thing.turn * scene.centre
        spinning = wp.transpose(thing.turn) * wp.vec3(found[3], found[4], found[5])
        twist = with_gyroscope(scene, wp.vec3(before[3], before[4], before[5]), spinning)
        turning, orbit = thing.turn * twist, wp.cross(thing.spin, offset)
        push = wp.vec3(found[0], found[1], found[2]) - wp.cross(turning, offset)
        push -= scene.dt * (wp.cross(turning, orbit) + wp.cross(thing.spin, wp.cross(turning, offset)))
        for k in range(3):
            motion[k] += scene.dt * push[k]
            motion[3 + k] += scene.dt * twist[k]
        number = int(robots)
        for robot in range(number):
            own = robot_body(scene, pose, before, robot)
            pushed = wp.vec3(found[6 + 3 * robot], found[7 + 3 * robot], found[8 + 3 * robot])
            pushed = with_servos(scene, servo(scene, control[world, robot], own, robot), own, robot, pushed)
            for k in range(3):
                motion[6 + 3 * robot + k] += scene.dt * pushed[k]
        return motion

    @wp.func
    def moved(scene: Scene, before: pose_type, motion: vector_type) -> pose_type:
        """The pose after a step with this motion."""
        pose, spin = pose_type(before), wp.vec3(motion[3], motion[4], motion[5])
        turn = wp.quat_from_axis_angle(wp.normalize(spin), wp.length(spin) * scene.dt)
        attitude = wp.normalize(wp.normalize(wp.quat(pose[4], pose[5], pose[6], pose[3])) * turn)
        pose[3] = attitude[3]
        for k in range(3):
            pose[k] += scene.dt * motion[k]
            pose[4 + k] = attitude[k]
        for k in range(3 * robots):
            pose[7 + k] += scene.dt * motion[6 + k]
        return pose

    # Fast arithmetic leaves out the code for numbers at the edges of single precision: what remains fits into the
    # instruction cache of a GPU, which makes it four times as fast. On a CPU it changes nothing.
    @wp.kernel(enable_backward=False, module="unique", module_options={"fast_math": True})
    def step(
        scene: Scene,
        first: int,
        substeps: int,
        friction: wp.array[wp.vec3],
        control: wp.array2d[wp.vec3],
        qpos: wp.array[pose_type],
        qvel: wp.array[vector_type],
        warm: wp.array[vector_type],
        path_qpos: wp.array2d[pose_type],
        path_qvel: wp.array2d[vector_type],
        work: wp.array3d[float],
    ):
        world = first + wp.tid()
        if wp.static(own):
            scene.mass = scene.masses[world]
            scene.inertia = scene.inertias[world]
            scene.centre = scene.centres[world]
            scene.inverse_weight = 1.0 / scene.mass
        pose, motion, found = pose_type(qpos[world]), vector_type(qvel[world]), vector_type(warm[world])
        for time in range(path_qpos.shape[0]):
            for robot in range(work.shape[2]):
                work[time, world, robot] = 0.0
            for _sub in range(substeps):
                thing = object_body(scene, pose, motion)
                count = find_contacts(scene, world, thing, pose, motion, friction[world])
                free = free_accelerations(scene, world, thing, pose, motion, control)
                found = solve(scene, world, count, thing.turn, free, found)
                motion = accelerated(scene, world, thing, pose, motion, control, found)
                pose = moved(scene, pose, motion)
                if work.shape[2] > 0:
                    add_work(scene, world, count, thing, object_body(scene, pose, motion), time, work)
            path_qpos[time, world] = pose
            path_qvel[time, world] = motion
        qpos[world] = pose
        qvel[world] = motion
        warm[world] = found

    return step
