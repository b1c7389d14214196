// The page: choices, the loop in real time, and the pointer.

import loadMujoco from "./lib/mujoco.js";
import * as ort from "./lib/ort.wasm.bundle.min.mjs";
import { View } from "./view.js";
import { World } from "./world.js";

const CONTROL_DT = 0.02;
const MOST_BEHIND = 0.1; // s of simulation that a slow machine leaves out
const NOBODY = "none: they stand";
const element = id => document.getElementById(id);
const state = { world: null, paused: false, start: 0, frames: 0, rate: 0, behind: 0, busy: false };

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = { wasm: new URL("lib/ort-wasm-simd-threaded.wasm", location.href).href };

function options(select, names, chosen) {
  select.replaceChildren(...names.map(name => new Option(name, name, false, name === chosen)));
}

/** Everything that can be chosen: worlds by object and team, loaded when they are first shown. */
class Choices {
  constructor(mujoco, teams) {
    Object.assign(this, { mujoco, byName: teams, names: Object.keys(teams), worlds: {} });
    options(element("object"), [...new Set(this.names.map(name => teams[name].object))]);
    this.listTeams();
  }

  listTeams() {
    const object = element("object").value, before = element("team").value;
    const teams = this.names.filter(name => this.byName[name].object === object).map(name => this.byName[name].team);
    options(element("team"), [...new Set(teams)], teams.includes(before) ? before : (teams.find(team => team === "planar") ?? teams[0]));
    this.listPolicies();
  }

  listPolicies() {
    const object = element("object").value, team = element("team").value;
    const fitting = this.names.filter(name => this.byName[name].object === object);
    const own = fitting.find(name => this.byName[name].team === team);
    options(element("policy"), [...fitting, NOBODY], own);
    this.own = own;
  }

  async world(name) {
    return (this.worlds[name] ??= await World.load(this.mujoco, ort, name));
  }

  async chosen() {
    const world = await this.world(this.own);
    const policy = element("policy").value;
    world.policy = policy === NOBODY ? null : (await this.world(policy)).own;
    return world;
  }
}

async function main() {
  const teams = await (await fetch("teams.json")).json();
  const mujoco = await loadMujoco({ locateFile: file => new URL(`lib/${file}`, location.href).href });
  const view = new View(element("picture"));
  const choices = new Choices(mujoco, teams);

  async function change(restart) {
    element("status").textContent = "Loading the team ...";
    const world = await choices.chosen();
    if (restart) world.reset(state.start);
    if (world !== state.world || (restart && world.guide)) view.show(world);
    if (restart) view.aim(world);
    state.world = world;
  }
  element("object").onchange = () => { choices.listTeams(); change(true); };
  element("team").onchange = () => { choices.listPolicies(); change(true); };
  element("policy").onchange = () => change(false);
  element("reset").onclick = () => { state.start += 1; change(true); };
  element("pause").onclick = () => {
    state.paused = !state.paused;
    element("pause").textContent = state.paused ? "Go on" : "Pause";
  };
  pointer(element("picture"), view);
  await change(true);
  document.documentElement.dataset.ready = "1";
  window.mapush = { state, choices, view, mujoco, change };
  loop(view);
}

/** Drag the goal to move it, the object or a robot to push it. */
function pointer(canvas, view) {
  let dragged = null;
  canvas.addEventListener("pointerdown", event => {
    const world = state.world, body = world ? view.pick(event) : -1;
    if (!world || (body !== view.goal && !world.bodies.includes(body))) return;
    dragged = body;
    view.orbit.enabled = false;
    canvas.setPointerCapture(event.pointerId);
    move(event);
  }, { capture: true });
  const move = event => {
    const at = dragged === null ? null : view.floorAt(event);
    if (!at) return;
    if (dragged === view.goal) state.world.moveGoal(...at);
    else {
      state.world.pull = { body: dragged, x: at[0], y: at[1] };
      state.world.done = false;
    }
  };
  canvas.addEventListener("pointermove", move);
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, () => {
      if (dragged !== null && state.world) state.world.pull = null;
      dragged = null;
      view.orbit.enabled = true;
    });
  }
}

function loop(view) {
  let last = performance.now(), counted = last;
  async function advance(world, seconds) {
    state.busy = true;
    state.behind = Math.min(state.behind + seconds, MOST_BEHIND);
    while (state.behind >= CONTROL_DT && world === state.world) {
      state.behind -= CONTROL_DT;
      await world.step();
    }
    state.busy = false;
  }
  function frame(now) {
    const world = state.world, seconds = ((now - last) / 1000) * Number(element("speed").value);
    last = now;
    if (!state.paused && !state.busy) advance(world, seconds).catch(fail);
    else if (!state.paused) state.behind = Math.min(state.behind + seconds, MOST_BEHIND);
    view.draw(world);
    state.frames += 1;
    if (now - counted > 500) {
      state.rate = (1000 * state.frames) / (now - counted);
      [state.frames, counted] = [0, now];
      view.adapt(state.rate);
      tell(world);
    }
    requestAnimationFrame(frame);
  }
  requestAnimationFrame(frame);
}

function tell(world) {
  const distance = `${world.distance().toFixed(2)} m to the goal`;
  const how = world.done ? `At the goal after ${world.seconds.toFixed(1)} s; move the goal or take a new start` : distance;
  element("status").textContent = `${how} · ${world.seconds.toFixed(1)} s · ${state.rate.toFixed(0)} frames/s`;
}

function fail(error) {
  element("status").textContent = `The demo stopped: ${error?.message ?? error}`;
  state.paused = true;
  console.error(error);
}

if (location.protocol === "file:") {
  element("status").textContent = "Browsers run this from a web server only: python -m http.server -d THIS_FOLDER";
} else main().catch(fail);
