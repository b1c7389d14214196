"""The exact shortest way around polygons, by a visibility graph."""

import heapq
import math

from mapush_stack.task.obstacles import outlines


def shortest_way(shapely, course, number, room):
    """Its length from start to goal of a course, with this clearance, m."""
    grown = [shapely.Polygon(one.tolist()).buffer(room, quad_segs=8) for one in outlines(course.layout.at(number))]
    closed = shapely.unary_union(grown)
    inside = closed.buffer(-1e-3)  # a way may touch the edge
    shapely.prepare(inside)
    rings = [ring for part in getattr(closed, "geoms", [closed]) for ring in (part.exterior, *part.interiors)]
    points = [(0.0, 0.0), tuple(course.goal[number].tolist())]
    points += [point for ring in rings for point in ring.coords[:-1]]
    best, queue, done = {0: 0.0}, [(0.0, 0)], set()
    while queue:
        length, one = heapq.heappop(queue)
        if one == 1:
            return length
        if one in done:
            continue
        done.add(one)
        left = [other for other in range(len(points)) if other not in done]
        lines = shapely.linestrings([(points[one], points[other]) for other in left])
        for other, blocked in zip(left, shapely.intersects(inside, lines)):
            further = length + math.dist(points[one], points[other])
            if not blocked and further < best.get(other, math.inf):
                best[other] = further
                heapq.heappush(queue, (further, other))
    return math.inf
