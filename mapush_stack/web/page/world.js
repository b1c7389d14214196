// One team in MuJoCo: the scene, the exported policies that drive it, and what the pointer does to it.

import { Guide } from "./guide.js";

const CONTROL_DT = 0.02;
const TALL = 0.25; // m, half the height of obstacles

/** A graph of `mapush export`: `step` gives its outputs by name; an output `next_x` is the next input `x`. */
class Graph {
  constructor(ort, session, about) {
    Object.assign(this, { ort, session, about, memory: {} });
  }

  forget() {
    this.memory = {};
  }

  async step(rows, values) {
    const feeds = {};
    for (const [name, { shape }] of Object.entries(this.about.inputs)) {
      const dims = shape.map(size => (size === "N" ? rows : size));
      const data = values[name] ?? this.memory[name] ?? new Float32Array(dims.reduce((a, b) => a * b, 1));
      feeds[name] = new this.ort.Tensor("float32", Float32Array.from(data), dims);
    }
    const found = await this.session.run(feeds);
    for (const name of Object.keys(this.about.outputs)) {
      if (name.startsWith("next_")) this.memory[name.slice(5)] = found[name].data;
    }
    return found;
  }
}

/** The policy of a team: every robot's graph, and the walking policies of robots on legs. */
export class Policy {
  static async load(ort, folder) {
    const about = await (await fetch(`${folder}/policy.json`)).json();
    const policy = new Policy();
    policy.about = about;
    policy.graphs = {};
    for (const name of Object.keys(about.graphs)) {
      const bytes = new Uint8Array(await (await fetch(`${folder}/${name}`)).arrayBuffer());
      const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
      policy.graphs[name] = new Graph(ort, session, about.graphs[name]);
    }
    return policy;
  }

  /** Commands of all robots, three numbers each, for poses [x, y, yaw] and what each robot sees of the way. */
  async commands(robots, object, { target, ways }) {
    const commands = [];
    for (const [number, { graph }] of this.about.robots.entries()) {
      const own = [...robots.slice(number), ...robots.slice(0, number)].flat();
      const found = await this.graphs[graph].step(1, { robots: own, object, target, way: ways?.[number] });
      commands.push(Array.from(found.command.data));
    }
    return commands;
  }
}

export class World {
  static async load(mujoco, ort, name) {
    const folder = `teams/${name}`;
    const world = new World();
    const [xml, facts, policy] = await Promise.all([
      fetch(`${folder}/scene.xml`).then(answer => answer.text()),
      fetch(`${folder}/team.json`).then(answer => answer.json()),
      Policy.load(ort, folder),
    ]);
    Object.assign(world, { mujoco, facts, policy, own: policy, name });
    world.model = mujoco.MjModel.from_xml_string(xml);
    world.data = new mujoco.MjData(world.model);
    world.bodies = [world.body("object"), ...facts.robots.map(robot => world.body(robot.body))];
    world.reset(0);
    return world;
  }

  body(name) {
    return this.mujoco.mj_name2id(this.model, this.mujoco.mjtObj.mjOBJ_BODY.value, name);
  }

  /** Put everything where start number `number` has it. */
  reset(number) {
    const start = this.facts.starts[number % this.facts.starts.length];
    this.mujoco.mj_resetData(this.model, this.data);
    this.data.qpos.set(start.qpos);
    this.data.qvel.set(start.qvel);
    this.target = [...start.target];
    this.steps = 0;
    this.seconds = 0;
    this.done = false;
    this.pull = null;
    this.wanted = this.facts.robots.map(() => [0, 0, 0]);
    this.guide = this.facts.way ? new Guide(this.facts.way, start, this.facts.decision_steps * CONTROL_DT) : null;
    this.guide?.aim(this.target);
    this.placeObstacles();
    for (const graph of Object.values(this.own.graphs)) graph.forget();
    this.mujoco.mj_kinematics(this.model, this.data);
  }

  placeObstacles() {
    const { model, data } = this;
    for (const [number, { centre, yaw, half, round }] of (this.guide?.obstacles ?? []).entries()) {
      const body = this.body(`obstacle${number}`), mocap = model.body_mocapid[body];
      data.mocap_pos.set([...centre, TALL], 3 * mocap);
      data.mocap_quat.set([Math.cos(0.5 * yaw), 0, 0, Math.sin(0.5 * yaw)], 4 * mocap);
      model.geom_size.set(round ? [half[0], TALL, 0] : [...half, TALL], 3 * model.body_geomadr[body]);
    }
  }

  /** [x, y, yaw] of a body; kinematics must be those of the present joint positions. */
  pose(body) {
    const { xpos, xmat } = this.data;
    return [xpos[3 * body], xpos[3 * body + 1], Math.atan2(xmat[9 * body + 3], xmat[9 * body])];
  }

  distance() {
    const [x, y] = this.pose(this.bodies[0]);
    return Math.hypot(x - this.target[0], y - this.target[1]);
  }

  moveGoal(x, y) {
    const [low, high] = this.guide?.bounds() ?? [[-8, -8], [8, 8]];
    this.target = [x, y].map((value, axis) => Math.max(low[axis], Math.min(high[axis], value)));
    this.guide?.aim(this.target);
    this.done = false;
    this.seconds = 0;
  }

  /** One control step of 0.02 s: decide, walk, and step the physics. */
  async step() {
    const { mujoco, model, data, facts } = this;
    mujoco.mj_kinematics(model, data);
    if (this.steps % facts.decision_steps === 0) {
      const [object, ...robots] = this.bodies.map(body => this.pose(body));
      const idle = this.done || !this.policy;
      if (this.steps) this.guide?.wait(object.slice(0, 2));
      const seen = this.guide?.look(object.slice(0, 2), robots) ?? { target: this.target };
      this.wanted = idle ? robots.map(() => [0, 0, 0]) : await this.policy.commands(robots, object, seen);
    }
    for (const [number, robot] of facts.robots.entries()) {
      const walker = this.own.about.robots[number].walker;
      if (!walker) data.ctrl.set(this.wanted[number], robot.ctrl);
    }
    await this.walk();
    this.apply();
    for (let substep = 0; substep < facts.substeps; substep++) mujoco.mj_step(model, data);
    this.steps += 1;
    if (!this.done) this.seconds += CONTROL_DT;
    mujoco.mj_kinematics(model, data);
    this.done ||= this.distance() < facts.success_distance;
  }

  /** Joint targets of the robots on legs, by one call of the walking policy for all of a kind. */
  async walk() {
    const kinds = {};
    for (const [number, { walker }] of this.own.about.robots.entries()) {
      if (walker) (kinds[walker] ??= []).push(number);
    }
    for (const [walker, numbers] of Object.entries(kinds)) {
      const sensed = { linear_velocity: [], angular_velocity: [], gravity: [], joint_pos: [], joint_vel: [], command: [] };
      for (const number of numbers) this.sense(number, sensed);
      const { joint_targets } = await this.own.graphs[walker].step(numbers.length, sensed);
      for (const [row, number] of numbers.entries()) {
        this.data.ctrl.set(joint_targets.data.subarray(12 * row, 12 * row + 12), this.facts.robots[number].ctrl);
      }
    }
  }

  sense(number, sensed) {
    const { qpos, qvel, xmat } = this.data;
    const { qpos: place, qvel: speed } = this.facts.robots[number];
    const turn = xmat.slice(9 * this.bodies[1 + number], 9 * this.bodies[1 + number] + 9);
    const inBase = v => [0, 1, 2].map(axis => turn[axis] * v[0] + turn[3 + axis] * v[1] + turn[6 + axis] * v[2]);
    sensed.linear_velocity.push(...inBase(qvel.slice(speed, speed + 3)));
    sensed.angular_velocity.push(...qvel.slice(speed + 3, speed + 6));
    sensed.gravity.push(...inBase([0, 0, -1]));
    sensed.joint_pos.push(...qpos.slice(place + 7, place + 19));
    sensed.joint_vel.push(...qvel.slice(speed + 6, speed + 18));
    sensed.command.push(...this.wanted[number]);
  }

  /** The pointer's spring: `pull` is {body, x, y}. */
  apply() {
    const { data } = this;
    data.xfrc_applied.fill(0);
    if (!this.pull) return;
    const { body, x, y } = this.pull;
    const [atX, atY] = this.pose(body);
    const away = [x - atX, y - atY];
    const force = Math.min(60 * Math.hypot(...away), 80) / (Math.hypot(...away) || 1);
    data.xfrc_applied.set([force * away[0], force * away[1], 0], 6 * body);
  }

  /** Joint positions after each of `count` control steps from start `number`, for tests. */
  async record(number, count) {
    this.reset(number);
    const path = [];
    for (let step = 0; step < count; step++) {
      await this.step();
      path.push(Array.from(this.data.qpos));
    }
    return path;
  }
}
