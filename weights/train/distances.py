"""Signed distances of the six shapes, and of a whole scene; compiled with numba.

Every shape stands on y = 0 and scales with its radius r. `flat` is a layout as scenes.layout makes it.
"""
import math

import numba

BOUND = 1.5            # radius, in r, of a sphere around any shape, centred CENTRE * r above the ground
CENTRE = 0.9
OBJECT, OBJECT_FLOATS = 14, 11    # where the objects start in a layout, and how far they are apart

jit = numba.njit(fastmath=True)


@jit
def box(r, x, y, z):
    """Rounded cube."""
    half, rounding = 0.70 * r, 0.08 * r
    x, y, z = abs(x) - half, abs(y - 0.78 * r) - half, abs(z) - half
    outside = math.sqrt(max(x, 0.0) ** 2 + max(y, 0.0) ** 2 + max(z, 0.0) ** 2)
    return outside + min(max(x, max(y, z)), 0.0) - rounding


@jit
def sphere(r, x, y, z):
    y -= 0.92 * r
    return math.sqrt(x * x + y * y + z * z) - 0.92 * r


@jit
def cylinder(r, x, y, z):
    """With a rounded rim."""
    side = math.sqrt(x * x + z * z) - 0.66 * r
    y = abs(y - 0.85 * r) - 0.79 * r
    return min(max(side, y), 0.0) + math.sqrt(max(side, 0.0) ** 2 + max(y, 0.0) ** 2) - 0.06 * r


@jit
def cone(x, y, z, radius, height):
    """Base on y = 0. The distance to the slanted line and to the base, in the half-plane (distance from axis, y)."""
    line_x, line_y = radius, -height
    point_x, point_y = math.sqrt(x * x + z * z), y - height
    along = (point_x * line_x + point_y * line_y) / (line_x * line_x + line_y * line_y)
    along = min(max(along, 0.0), 1.0)
    slant_x, slant_y = point_x - line_x * along, point_y - line_y * along
    across = min(max(point_x / line_x, 0.0), 1.0)
    base_x, base_y = point_x - line_x * across, point_y - line_y
    square = min(slant_x * slant_x + slant_y * slant_y, base_x * base_x + base_y * base_y)
    side = max(point_y * line_x - point_x * line_y, line_y - point_y)
    return math.sqrt(square) * (1.0 if side > 0 else -1.0)


@jit
def pyramid(x, y, z, half, height):
    """Square base on y = 0 with half-side `half`; exact enough outside, a bound inside."""
    x, z = abs(x), abs(z)
    if z > x:
        x, z = z, x
    length = math.sqrt(height * height + half * half)
    edge_x, edge_y = -half / length, height / length
    from_x = x - half
    along = min(max(from_x * edge_x + y * edge_y, 0.0), length)
    face_x, face_y = half + edge_x * along, edge_y * along
    beside = max(z - max(face_x, 0.0), 0.0)
    distance = math.sqrt((x - face_x) ** 2 + (y - face_y) ** 2 + beside * beside)
    if y < 0.0 and x < half:
        return -y
    if from_x * height + y * half < 0.0 and y > 0.0:
        return -min(distance, y)
    return distance


@jit
def ring(r, x, y, z):
    """Upright torus, axis along z."""
    y -= 0.97 * r
    around = math.sqrt(x * x + y * y) - 0.71 * r
    return math.sqrt(around * around + z * z) - 0.26 * r


@jit
def shape_distance(shape, r, x, y, z):
    """shape: index into scenes.SHAPES."""
    if shape == 0:
        return box(r, x, y, z)
    if shape == 1:
        return sphere(r, x, y, z)
    if shape == 2:
        return cylinder(r, x, y, z)
    if shape == 3:
        return cone(x, y - 0.03 * r, z, 0.88 * r, 1.78 * r) - 0.03 * r
    if shape == 4:
        return pyramid(x, y - 0.03 * r, z, 0.80 * r, 1.52 * r) - 0.03 * r
    return ring(r, x, y, z)


@jit
def object_distance(flat, k, x, y, z):
    """Distance to object k, in world coordinates."""
    start = OBJECT + k * OBJECT_FLOATS
    x, y, z = x - flat[start + 2], y - flat[start + 3], z - flat[start + 4]
    cos, sin = flat[start + 5], flat[start + 6]
    return shape_distance(int(flat[start]), flat[start + 1], cos * x + sin * z, y, -sin * x + cos * z)


@jit
def marching_distance(flat, k, x, y, z):
    """As object_distance, but far away the cheap distance to the bounding sphere."""
    start = OBJECT + k * OBJECT_FLOATS
    r = flat[start + 1]
    dx, dy, dz = x - flat[start + 2], y - flat[start + 3] - CENTRE * r, z - flat[start + 4]
    bound = math.sqrt(dx * dx + dy * dy + dz * dz) - BOUND * r
    if bound > 0.35 * r:
        return bound + 0.02 * r
    return object_distance(flat, k, x, y, z)


@jit
def scene_distance(flat, x, y, z):
    distance = object_distance(flat, 0, x, y, z)
    if flat[6] > 1.5:
        distance = min(distance, object_distance(flat, 1, x, y, z))
    return distance
