// The way around obstacles: planner and distances as guidance/ and task/obstacles.py have them.

const CELL = 0.25; // m, side of a cell of the grid
const NEVER = 1e6; // s, arrival time where no way leads
const SETTLED = 1e-6; // s, arrival times are final when no sweep changes one by more
const STRIDE = 0.5 * CELL; // m, length of a step along the way
const FAR = 2.5; // m along the way to the second point that robots see
const REACH = 2; // m, obstacles further away are not seen
const [STILL, RETREAT] = [0.2, 3]; // m in which an object stands still, s for which it then goes back
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

/** A point in the frame of an obstacle, for a box and the middle of a round one. */
function inFrame({ centre, yaw }, [x, y]) {
  const [dx, dy] = [x - centre[0], y - centre[1]], [cos, sin] = [Math.cos(yaw), Math.sin(yaw)];
  return [cos * dx + sin * dy, cos * dy - sin * dx];
}

/** Distance of a point to an obstacle, m; negative inside. */
function distance(obstacle, point) {
  const { half, round } = obstacle, [x, y] = inFrame(obstacle, point);
  if (round) return Math.hypot(x, y) - half[0];
  const [beyondX, beyondY] = [Math.abs(x) - half[0], Math.abs(y) - half[1]];
  return Math.hypot(Math.max(beyondX, 0), Math.max(beyondY, 0)) + Math.min(Math.max(beyondX, beyondY), 0);
}

/** From the nearest point of an obstacle to a point. */
function outside(obstacle, point) {
  const { yaw, half, round } = obstacle, [x, y] = inFrame(obstacle, point);
  const share = round ? Math.min(half[0] / Math.max(Math.hypot(x, y), 1e-6), 1) : 0;
  const edge = round ? [share * x, share * y] : [clamp(x, -half[0], half[0]), clamp(y, -half[1], half[1])];
  const [dx, dy] = [x - edge[0], y - edge[1]], [cos, sin] = [Math.cos(yaw), Math.sin(yaw)];
  return [cos * dx - sin * dy, sin * dx + cos * dy];
}

/** The planned speed by clearance, m/s. */
function speed(room, [low, high]) {
  if (room < 0.3 * low) return 1e-3;
  if (room < low) return (0.05 * room) / low;
  return 0.05 + 0.95 * clamp((room - low) / Math.max(high - low, 1e-6), 0, 1);
}

export class Guide {
  /** `way` is that of team.json, `start` one of its starts; a decision takes `decision` seconds. */
  constructor({ arena, slow, look_ahead, patience }, { obstacles, corner }, decision) {
    Object.assign(this, { obstacles, corner, lookAhead: look_ahead });
    [this.patience, this.retreat] = [patience / decision, Math.round(RETREAT / decision)];
    [this.width, this.depth] = arena.map(side => Math.ceil(side / CELL));
    this.pace = Float64Array.from({ length: this.width * this.depth }, (_, cell) => {
      const middle = [Math.floor(cell / this.depth), cell % this.depth].map((at, axis) => corner[axis] + CELL * (at + 0.5));
      return speed(Math.min(...obstacles.map(obstacle => distance(obstacle, middle))), slow);
    });
    [this.anchor, this.waited, this.back] = [[0, 0], 0, 0];
  }

  /** A point in cells, seen from the middle of the first one. */
  inCells(point) {
    return point.map((value, axis) => (value - this.corner[axis]) / CELL - 0.5);
  }

  /** Corners of the arena. */
  bounds() {
    return [this.corner, [this.corner[0] + CELL * this.width, this.corner[1] + CELL * this.depth]];
  }

  /** Plan to another goal: the arrival time from every cell, by fast sweeping. */
  aim(goal) {
    const { width, depth, pace } = this, [x, y] = (this.goal = this.inCells(goal));
    this.times = new Float64Array(width * depth).fill(NEVER);
    const [cellX, cellY] = [clamp(Math.round(x), 0, width - 1), clamp(Math.round(y), 0, depth - 1)];
    for (let i = Math.max(cellX - 2, 0); i <= Math.min(cellX + 2, width - 1); i++) {
      for (let j = Math.max(cellY - 2, 0); j <= Math.min(cellY + 2, depth - 1); j++) {
        this.times[i * depth + j] = (CELL * Math.hypot(i - x, j - y)) / pace[cellX * depth + cellY];
      }
    }
    let changed = NEVER;
    while (changed > SETTLED) changed = Math.max(...[[1, 1], [-1, -1], [-1, 1], [1, -1]].map(way => this.sweep(...way)));
  }

  /** Update all cells in one direction along each axis, by Godunov's scheme; returns the largest change. */
  sweep(alongX, alongY) {
    const { width, depth, pace, times } = this;
    let changed = 0;
    for (let i = alongX > 0 ? 0 : width - 1; i >= 0 && i < width; i += alongX) {
      for (let j = alongY > 0 ? 0 : depth - 1; j >= 0 && j < depth; j += alongY) {
        const cell = i * depth + j, step = CELL / pace[cell];
        const a = Math.min(i > 0 ? times[cell - depth] : NEVER, i < width - 1 ? times[cell + depth] : NEVER);
        const b = Math.min(j > 0 ? times[cell - 1] : NEVER, j < depth - 1 ? times[cell + 1] : NEVER);
        const apart = Math.min(Math.abs(a - b), step);
        const time = Math.min(a, b) + 0.5 * (apart + Math.sqrt(2 * step * step - apart * apart));
        changed = Math.max(changed, times[cell] - time);
        times[cell] = Math.min(times[cell], time);
      }
    }
    return changed;
  }

  /** The point at this length along the way. */
  follow(point, length) {
    const { width, depth, times, goal } = this, step = STRIDE / CELL;
    let [x, y] = this.inCells(point);
    for (let left = Math.max(Math.round(length / STRIDE), 1); left > 0; left--) {
      const [i, j] = [clamp(Math.floor(x), 0, width - 2), clamp(Math.floor(y), 0, depth - 2)], cell = i * depth + j;
      const [low, right, above] = [times[cell], times[cell + depth], times[cell + 1]];
      const twist = times[cell + depth + 1] - above - (right - low);
      const slope = [right - low + twist * clamp(y - j, 0, 1), above - low + twist * clamp(x - i, 0, 1)];
      const straight = [goal[0] - x, goal[1] - y], last = Math.hypot(...straight) < 1;
      const way = last ? straight : slope.map(value => -value), long = Math.max(Math.hypot(...way), 1e-9);
      const share = last ? Math.min(step / long, 1) : step / long;
      [x, y] = [x + share * way[0], y + share * way[1]];
    }
    return [x, y].map((value, axis) => this.corner[axis] + (value + 0.5) * CELL);
  }

  /** Away from the obstacle nearest to a point: 1 long at its edge, 0 at REACH and inside. */
  away(point) {
    const distances = this.obstacles.map(obstacle => distance(obstacle, point));
    const vector = outside(this.obstacles[distances.indexOf(Math.min(...distances))], point);
    const length = Math.hypot(...vector);
    return vector.map(value => (value / Math.max(length, 1e-6)) * Math.max(1 - length / REACH, 0));
  }

  /** A decision is over: count how long the object has stood still, and how long it still goes back. */
  wait(place) {
    if (!this.patience) return;
    const moved = Math.hypot(place[0] - this.anchor[0], place[1] - this.anchor[1]) > STILL;
    if (moved) this.anchor = place;
    this.waited = moved || this.back ? 0 : this.waited + 1;
    const stuck = this.waited > this.patience;
    this.back = stuck ? this.retreat : Math.max(this.back - 1, 0);
    if (stuck) this.waited = 0;
  }

  /** The team's next target, and what each robot sees of the way. */
  look(place, robots) {
    let target = this.follow(place, this.lookAhead);
    if (this.back) target = target.map((value, axis) => 2 * place[axis] - value);
    const far = this.follow(target, FAR - this.lookAhead);
    const seen = [...far, ...this.away(place), Math.hypot(...this.away(far))];
    return { target, ways: robots.map(robot => [...seen, ...this.away(robot)]) };
  }
}
