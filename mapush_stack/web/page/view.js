// Draws the geoms of a MuJoCo model with three.js, and says what is under the pointer.

import * as THREE from "three";
import { OrbitControls } from "./lib/OrbitControls.js";

const SHOWN = 2; // group of geoms that are drawn, see sim/drawing.py
const [PLANE, SPHERE, CAPSULE, CYLINDER, BOX, MESH] = [0, 2, 3, 5, 6, 7];
const LEAST_SHARP = 0.5; // pixels drawn for one of the page
const FLOOR = 0x8f9aa5;
const GREEN = new THREE.Color(0.2, 0.76, 0.36);

export class View {
  constructor(canvas) {
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: !onSoftware(), powerPreference: "high-performance" });
    this.sharpness = Math.min(devicePixelRatio, 1.5);
    this.scene = new THREE.Scene();
    // No floor is drawn but its lines: to fill the picture is what software renderers spend most time on.
    this.scene.background = new THREE.Color(FLOOR);
    this.scene.fog = new THREE.Fog(FLOOR, 12, 40);
    this.renderer.localClippingEnabled = true;
    this.camera = new THREE.PerspectiveCamera(45, 1, 0.1, 100);
    this.camera.up.set(0, 0, 1);
    this.orbit = new OrbitControls(this.camera, canvas);
    this.orbit.maxPolarAngle = 1.45;
    this.orbit.minDistance = 2;
    this.orbit.maxDistance = 20;
    const sun = new THREE.DirectionalLight(0xffffff, 2.2);
    sun.position.set(-3, 4, 8);
    this.scene.add(new THREE.HemisphereLight(0xffffff, 0x8a949e, 1.6), sun);
    this.ray = new THREE.Raycaster();
    this.floor = new THREE.Plane(new THREE.Vector3(0, 0, 1), 0);
    this.parts = new THREE.Group();
    this.scene.add(this.parts);
    addEventListener("resize", () => this.resize());
    this.resize();
  }

  resize() {
    this.renderer.setPixelRatio(this.sharpness);
    this.renderer.setSize(innerWidth, innerHeight, false);
    this.camera.aspect = innerWidth / innerHeight;
    this.camera.updateProjectionMatrix();
  }

  /** Draw fewer pixels where the machine cannot keep up. */
  adapt(framesPerSecond) {
    if (framesPerSecond > 30 || this.sharpness <= LEAST_SHARP) return;
    this.sharpness = Math.max(LEAST_SHARP, 0.75 * this.sharpness);
    this.resize();
  }

  /** Look at a world from behind, so that its target is ahead. */
  aim(world) {
    const [x, y] = world.target;
    const length = Math.hypot(x, y);
    const back = (innerWidth < innerHeight ? 8.5 : 5.5) + 0.75 * Math.max(length - 3, 0);
    this.orbit.target.set(0.5 * x, 0.5 * y, 0.1);
    this.camera.position.set(0.5 * x - (back * x) / length, 0.5 * y - (back * y) / length, 0.75 * back);
    this.orbit.update();
  }

  show(world) {
    for (const part of this.parts.children) part.geometry.dispose();
    this.parts.clear();
    this.meshes = [];
    const { model } = world;
    const goal = world.body("goal");
    for (let geom = 0; geom < model.ngeom; geom++) {
      if (model.geom_group[geom] !== SHOWN || model.geom_type[geom] === PLANE) continue;
      const body = model.geom_bodyid[geom];
      const [red, green, blue] = model.geom_rgba.slice(4 * geom, 4 * geom + 3);
      const colour = new THREE.Color().setRGB(red, green, blue, THREE.SRGBColorSpace);
      const faint = body === goal && model.geom_size[3 * geom] > 0.2; // the disc, which reaches into the floor
      const looks = { color: colour, transparent: faint, opacity: faint ? 0.4 : 1, clippingPlanes: faint ? [this.floor] : [] };
      const mesh = new THREE.Mesh(shape(model, geom), new THREE.MeshLambertMaterial(looks));
      mesh.matrixAutoUpdate = false;
      mesh.userData = { geom, body, changes: body === goal || body === world.bodies[0], colour };
      this.parts.add(mesh);
      this.meshes.push(mesh);
    }
    this.parts.add(new THREE.LineSegments(floorLines(), new THREE.LineBasicMaterial({ color: 0x9fa9b3 })));
    this.goal = goal;
    this.mocap = model.body_mocapid[goal];
  }

  draw(world) {
    const { data, mujoco, model } = world;
    data.mocap_pos.set([world.target[0], world.target[1], 0], 3 * this.mocap);
    mujoco.mj_kinematics(model, data);
    const { geom_xpos: at, geom_xmat: turn } = data;
    for (const mesh of this.meshes) {
      const { geom, changes, colour } = mesh.userData;
      const p = 3 * geom, r = 9 * geom;
      mesh.matrix.set(
        turn[r], turn[r + 1], turn[r + 2], at[p],
        turn[r + 3], turn[r + 4], turn[r + 5], at[p + 1],
        turn[r + 6], turn[r + 7], turn[r + 8], at[p + 2],
        0, 0, 0, 1,
      );
      mesh.matrixWorldNeedsUpdate = true;
      if (changes) mesh.material.color.copy(world.done ? GREEN : colour);
    }
    this.orbit.update();
    this.renderer.render(this.scene, this.camera);
  }

  point(event) {
    const where = new THREE.Vector2((2 * event.clientX) / innerWidth - 1, 1 - (2 * event.clientY) / innerHeight);
    this.ray.setFromCamera(where, this.camera);
  }

  /** The body under the pointer; -1 for none. */
  pick(event) {
    this.point(event);
    const [hit] = this.ray.intersectObjects(this.meshes, false);
    return hit ? hit.object.userData.body : -1;
  }

  /** [x, y] of the floor under the pointer; null above the horizon. */
  floorAt(event) {
    this.point(event);
    const found = this.ray.ray.intersectPlane(this.floor, new THREE.Vector3());
    return found && [found.x, found.y];
  }
}

/** Whether WebGL runs on the CPU. */
function onSoftware() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  return /swiftshader|llvmpipe|software/i.test(info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "");
}

/** A line every metre; in short pieces, because SwiftShader leaves out lines that reach behind the camera. */
function floorLines() {
  const ends = [];
  for (let side = -20; side <= 20; side++) {
    for (let at = -20; at < 20; at += 2) ends.push(side, at, 0, side, at + 2, 0, at, side, 0, at + 2, side, 0);
  }
  return new THREE.BufferGeometry().setAttribute("position", new THREE.Float32BufferAttribute(ends, 3));
}

function shape(model, geom) {
  const [a, b, c] = model.geom_size.slice(3 * geom, 3 * geom + 3);
  switch (model.geom_type[geom]) {
    case SPHERE: return new THREE.SphereGeometry(a, 20, 14);
    case CAPSULE: return new THREE.CapsuleGeometry(a, 2 * b, 6, 14).rotateX(Math.PI / 2);
    case CYLINDER: return new THREE.CylinderGeometry(a, a, 2 * b, 40).rotateX(Math.PI / 2);
    case BOX: return new THREE.BoxGeometry(2 * a, 2 * b, 2 * c);
    case MESH: return meshShape(model, model.geom_dataid[geom]);
    default: return new THREE.BufferGeometry();
  }
}

function meshShape(model, mesh) {
  const first = model.mesh_vertadr[mesh], face = model.mesh_faceadr[mesh];
  const geometry = new THREE.BufferGeometry();
  const vertices = model.mesh_vert.slice(3 * first, 3 * (first + model.mesh_vertnum[mesh]));
  geometry.setAttribute("position", new THREE.BufferAttribute(Float32Array.from(vertices), 3));
  geometry.setIndex(Array.from(model.mesh_face.slice(3 * face, 3 * (face + model.mesh_facenum[mesh]))));
  geometry.computeVertexNormals();
  return geometry;
}
