"""Draws a layout: a deterministic sphere tracer without Monte-Carlo noise, so that a crop at any size shows the same
scene.

Soft shadow of one key light, ambient occlusion, gloss, five procedural grounds; key light and sky have the colours of
the scene's light. Five milliseconds for 64 pixels on a core.
"""
import math

import numpy as np

from weights.train.distances import (BOUND, CENTRE, OBJECT, OBJECT_FLOATS, jit, marching_distance, object_distance,
                                     scene_distance)
from weights.train.grounds import ground_color, smooth_step

FOCAL = 4.5
KEY, SKY = 8, 11       # where their colours are in a layout
LOOK_AT = 0.72         # height of the point that the camera looks at
HIT = 0.0006


def render(flat, size=64, samples=None, box=(0.0, 0.0, 1.0, 1.0)):
    """The rectangle `box` (x0, y0, x1, y1 in 0..1, y down) of the picture as uint8 [size, size, 3].

    samples: rays per pixel and axis; by default 3 for small pictures, 2 for large ones.
    """
    return render_box(flat, size, size, *(float(edge) for edge in box), samples or (3 if size <= 96 else 2))


@jit
def coverage(flat, size, samples=2):
    """uint8 [size, size]: the share of a pixel's rays that meet an object, 255 = all."""
    out = np.empty((size, size), np.uint8)
    eye = camera_position(flat)
    for j in range(size):
        for i in range(size):
            hits = 0
            for a in range(samples):
                for b in range(samples):
                    u, v = (i + (b + 0.5) / samples) / size, (j + (a + 0.5) / samples) / size
                    ray = camera_ray(flat, eye, 2 * u - 1, 1 - 2 * v)
                    hits += first_hit(flat, eye, ray, ground_distance(eye, ray))[0] >= 0
            out[j, i] = 255 * hits // (samples * samples)
    return out


@jit
def light_direction(flat):
    return (math.cos(flat[4]) * math.sin(flat[3]), math.sin(flat[4]), math.cos(flat[4]) * math.cos(flat[3]))


@jit
def shadow(flat, x, y, z, light, sharpness):
    """1 = lit, 0 = dark: the smallest sharpness * distance / t along the ray to the light, over all objects."""
    lx, ly, lz = light
    result = 1.0
    for k in range(int(flat[6])):
        start = OBJECT + k * OBJECT_FLOATS
        r = flat[start + 1]
        bound = BOUND * r
        ox, oy, oz = flat[start + 2] - x, flat[start + 3] + CENTRE * r - y, flat[start + 4] - z
        nearest = ox * lx + oy * ly + oz * lz
        if nearest < -bound:
            continue
        end = nearest + bound
        if ox * ox + oy * oy + oz * oz - nearest * nearest > (bound + end / sharpness) ** 2:
            continue
        t = max(nearest - bound - 0.5 * r, 0.012)
        for _ in range(48):
            distance = object_distance(flat, k, x + lx * t, y + ly * t, z + lz * t)
            if distance < HIT:
                return 0.0
            result = min(result, sharpness * distance / t)
            t += min(max(distance * 0.7, 0.012), 0.13)
            if t > end:
                break
    return result * result * (3 - 2 * result)


@jit
def first_hit(flat, eye, ray, far):
    """Index of the nearest object before `far` (or -1) and the distance to it."""
    hit, nearest = -1, 1e9
    for k in range(int(flat[6])):
        start = OBJECT + k * OBJECT_FLOATS
        r = flat[start + 1]
        ox, oy, oz = eye[0] - flat[start + 2], eye[1] - flat[start + 3] - CENTRE * r, eye[2] - flat[start + 4]
        b = ox * ray[0] + oy * ray[1] + oz * ray[2]
        root = b * b - (ox * ox + oy * oy + oz * oz - (BOUND * r) ** 2)
        if root <= 0:
            continue
        root = math.sqrt(root)
        t = max(-b - root, 0.0)
        end = min(-b + root, min(far, nearest))
        for _ in range(96):
            if t >= end:
                break
            distance = marching_distance(flat, k, eye[0] + ray[0] * t, eye[1] + ray[1] * t, eye[2] + ray[2] * t)
            if distance < HIT + 0.0001 * t:
                hit, nearest = k, t
                break
            t += distance * 0.97
    return hit, nearest


@jit
def shade_ground(flat, x, z, light):
    """Linear colour of the ground at (x, z): key light, sky, a pool of light that fades with distance."""
    ground = int(flat[5])
    red, green, blue = ground_color(ground, flat[7], x, z)
    lit = shadow(flat, x, 0.001, z, light, 5.0)
    open_sky = 1.0 - 0.62 * math.exp(-5.5 * max(scene_distance(flat, x, 0.0, z), 0.0))
    pool = 0.72 + 0.28 * math.exp(-0.045 * (x * x + z * z))
    key, ambient = 1.02 * light[1] * lit, 0.34 * open_sky
    gloss = 0.0
    if ground == 3 or ground == 2:
        gloss = (0.05 if ground == 3 else 0.025) * open_sky * (0.6 + 0.4 * lit)
    red *= key * 1.02 * flat[KEY] + ambient * 0.97 * flat[SKY]
    green *= key * flat[KEY + 1] + ambient * flat[SKY + 1]
    blue *= key * 0.96 * flat[KEY + 2] + ambient * 1.08 * flat[SKY + 2]
    return red * pool + gloss * flat[SKY], green * pool + gloss * flat[SKY + 1], blue * pool + gloss * flat[SKY + 2]


@jit
def normal_at(flat, k, x, y, z):
    """Gradient of the distance by four taps of a tetrahedron."""
    e = 0.0015
    a = marching_distance(flat, k, x + e, y - e, z - e)
    b = marching_distance(flat, k, x - e, y - e, z + e)
    c = marching_distance(flat, k, x - e, y + e, z - e)
    d = marching_distance(flat, k, x + e, y + e, z + e)
    nx, ny, nz = a - b - c + d, -a - b + c + d, -a + b - c + d
    scale = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-20)
    return nx * scale, ny * scale, nz * scale


@jit
def occlusion(flat, x, y, z, normal):
    """1 = open, 0 = buried: how much nearer than expected things are, at four points along the normal."""
    blocked, weight = 0.0, 1.0
    for i in range(4):
        reach = 0.03 + 0.10 * i
        height = y + normal[1] * reach
        distance = min(scene_distance(flat, x + normal[0] * reach, height, z + normal[2] * reach), height)
        blocked += weight * max(reach - distance, 0.0)
        weight *= 0.72
    return min(max(1.0 - 1.25 * blocked, 0.0), 1.0)


@jit
def shade_object(flat, k, x, y, z, ray, light):
    """Linear colour of object k at a point of its surface."""
    start = OBJECT + k * OBJECT_FLOATS
    normal = normal_at(flat, k, x, y, z)
    nx, ny, nz = normal
    facing = max(nx * light[0] + ny * light[1] + nz * light[2], 0.0)
    lit = 0.0
    if facing > 0:
        lit = shadow(flat, x + nx * 0.01, y + ny * 0.01, z + nz * 0.01, light, 7.0)
    open_sky = occlusion(flat, x, y, z, normal)
    ground = (0.35, 0.35, 0.33)
    if flat[5] != 3.0:
        ground = ground_color(int(flat[5]), flat[7], x, z)
    key = 1.10 * facing * lit
    fill = 0.16 * max(0.75 * nx + 0.2 * ny + 0.5 * nz, 0.0)
    sky = 0.34 * (0.5 + 0.5 * ny) * open_sky
    bounce = 0.42 * (0.5 - 0.5 * ny) * (0.35 + 0.65 * open_sky)
    key_red, key_green, key_blue = flat[KEY], flat[KEY + 1], flat[KEY + 2]
    sky_red, sky_green, sky_blue = flat[SKY], flat[SKY + 1], flat[SKY + 2]
    red = flat[start + 7] * ((key * 1.03 + bounce * ground[0]) * key_red + (fill + sky * 0.95) * sky_red)
    green = flat[start + 8] * ((key + bounce * ground[1]) * key_green + (fill + sky) * sky_green)
    blue = flat[start + 9] * ((key * 0.95 + bounce * ground[2]) * key_blue + (fill + sky * 1.10) * sky_blue)
    toward = -(ray[0] * nx + ray[1] * ny + ray[2] * nz)
    rim = (1.0 - min(max(toward, 0.0), 1.0)) ** 4
    mirror_y = ray[1] + 2 * toward * ny
    glance = max((ray[0] + 2 * toward * nx) * light[0] + mirror_y * light[1]
                 + (ray[2] + 2 * toward * nz) * light[2], 0.0)
    if flat[start + 10] > 0.5:
        spot = (1.9 * glance ** 90 + 0.30 * glance ** 12) * lit
        dome = (0.10 + 0.50 * smooth_step(-0.05, 0.9, mirror_y)) if mirror_y > -0.05 else 0.10
        dome *= (0.07 + 0.55 * rim) * (0.3 + 0.7 * open_sky)
        return (red * 0.95 + spot * key_red + dome * sky_red, green * 0.95 + spot * key_green + dome * sky_green,
                blue * 0.95 + spot * key_blue + dome * 1.1 * sky_blue)
    glow, edge = 0.020 * glance ** 6 * lit, 0.045 * rim * open_sky
    return (red + glow * key_red + edge * sky_red, green + glow * key_green + edge * sky_green,
            blue + glow * key_blue + edge * sky_blue)


@jit
def tone(linear):
    """Soft shoulder above 0.6, then sRGB."""
    value = max(linear, 0.0) * 1.06
    if value > 0.6:
        value = 0.6 + 0.42 * (1.0 - math.exp(-(value - 0.6) / 0.42))
    value = min(value, 1.0)
    return 12.92 * value if value < 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


@jit
def ground_distance(eye, ray):
    return -eye[1] / ray[1] if ray[1] < -1e-4 else 1e9


@jit
def trace(flat, eye, ray, light):
    to_ground = ground_distance(eye, ray)
    hit, t = first_hit(flat, eye, ray, to_ground)
    if hit < 0:
        return shade_ground(flat, eye[0] + ray[0] * to_ground, eye[2] + ray[2] * to_ground, light)
    return shade_object(flat, hit, eye[0] + ray[0] * t, eye[1] + ray[1] * t, eye[2] + ray[2] * t, ray, light)


@jit
def camera_position(flat):
    level = flat[2] * math.cos(flat[1])
    return level * math.sin(flat[0]), LOOK_AT + flat[2] * math.sin(flat[1]), level * math.cos(flat[0])


@jit
def camera_ray(flat, eye, px, py):
    """Unit direction through the picture point (px, py) in -1..1, y up."""
    distance = flat[2]
    fx, fy, fz = -eye[0] / distance, (LOOK_AT - eye[1]) / distance, -eye[2] / distance
    rx, rz = math.cos(flat[0]), -math.sin(flat[0])
    ux, uy, uz = -rz * fy, rz * fx - rx * fz, rx * fy
    dx, dy, dz = fx * FOCAL + rx * px + ux * py, fy * FOCAL + uy * py, fz * FOCAL + rz * px + uz * py
    scale = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
    return dx * scale, dy * scale, dz * scale


@jit
def render_box(flat, width, height, x0, y0, x1, y1, samples):
    out = np.empty((height, width, 3), np.uint8)
    eye = camera_position(flat)
    light = light_direction(flat)
    scale = 255.0 / (samples * samples)
    for j in range(height):
        for i in range(width):
            red = green = blue = 0.0
            for a in range(samples):
                v = y0 + (y1 - y0) * (j + (a + 0.5) / samples) / height
                for b in range(samples):
                    u = x0 + (x1 - x0) * (i + (b + 0.5) / samples) / width
                    color = trace(flat, eye, camera_ray(flat, eye, 2 * u - 1, 1 - 2 * v), light)
                    red += tone(color[0])
                    green += tone(color[1])
                    blue += tone(color[2])
            out[j, i, 0] = int(scale * red + 0.5)
            out[j, i, 1] = int(scale * green + 0.5)
            out[j, i, 2] = int(scale * blue + 0.5)
    return out
