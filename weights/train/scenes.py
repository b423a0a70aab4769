"""What can be seen: objects, grounds, relations and lights, and how a described scene is laid out in space.

A *scene* is a dictionary of words: {"objects": [...], "relation": ..., "ground": ..., "light": ...}.
A *layout* is the scene as the renderer wants it: one flat array of LAYOUT_SIZE floats, so that the same scene can be
rendered again at any size and in any crop.
"""
import hashlib
import math

import numpy as np

SHAPES = ["cube", "sphere", "cylinder", "cone", "pyramid", "ring"]
COLORS = ["red", "orange", "yellow", "green", "blue", "purple", "white", "black"]
SIZES = ["small", "large"]
MATERIALS = ["matte", "shiny"]
RELATIONS = ["left", "top", "front"]      # A left of B, A on top of B, A in front of B
GROUNDS = ["white floor", "grey floor", "wooden table", "chessboard", "grass"]
LIGHTS = ["daylight", "sunset", "moonlight", "underwater"]

# Surface colours in linear RGB, in the order of COLORS.
LINEAR_RGB = np.array([[0.72, 0.020, 0.020], [0.90, 0.22, 0.008], [0.92, 0.66, 0.015], [0.025, 0.36, 0.045],
                       [0.015, 0.085, 0.68], [0.24, 0.025, 0.44], [0.88, 0.88, 0.88], [0.014, 0.014, 0.016]])
# What each light multiplies linear RGB by: the key light's colour, then the sky's. Mild, so that colours can be told.
LIGHT_RGB = {"daylight": [1, 1, 1, 1, 1, 1], "sunset": [1.22, 0.68, 0.34, 0.90, 0.66, 0.66],
             "moonlight": [0.35, 0.46, 0.82, 0.26, 0.36, 0.66], "underwater": [0.48, 0.93, 0.81, 0.39, 0.81, 0.87]}
DAYLIGHT_SHARE = 0.65
RADIUS = {"small": 0.40, "large": 0.62}
# Heights, in radii, of the shapes that may carry another.
TOP_HEIGHT = {"cube": 1.56, "sphere": 1.84, "cylinder": 1.70, "ring": 1.94}

# Layout: SCENE_FLOATS of the scene, then FLOATS_PER_OBJECT for each of two objects:
#   camera azimuth, elevation, distance; light azimuth, elevation; ground; number of objects; texture offset;
#   red, green, blue of the key light, the same of the sky
#   shape, radius, x, y, z, cos yaw, sin yaw, red, green, blue, shiny
SCENE_FLOATS = 14
FLOATS_PER_OBJECT = 11
LAYOUT_SIZE = SCENE_FLOATS + 2 * FLOATS_PER_OBJECT
DEGREE = math.pi / 180

# A label is eleven small integers: shape, colour, size, material of A and of B, relation, ground, light; -1 = absent.
LABEL_NAMES = ["shape_a", "color_a", "size_a", "material_a", "shape_b", "color_b", "size_b", "material_b",
               "relation", "ground", "light"]
# Classes of each label, one more than the words where the thing may be absent.
LABEL_CLASSES = [7, 9, 3, 3, 7, 9, 3, 3, 4, 5, 4]


def combination(first, second, relation):
    return f"{first['color']} {first['shape']}|{relation}|{second['color']} {second['shape']}"


def held_out(first, second, relation):
    """One combination in ten never occurs in training; its captions are the test."""
    digest = hashlib.md5(combination(first, second, relation).encode()).hexdigest()
    return int(digest[:8], 16) % 10 == 0


def sample_scene(rng, held=None, two_share=0.62):
    """held: None = any scene, False = training combinations only, True = held-out ones only (always two objects).
    The light is daylight; `sample_light` draws another."""
    while True:
        two = held is True or rng.random() < two_share
        first = _sample_object(rng)
        scene = {"objects": [first], "relation": None, "ground": rng.choice(GROUNDS), "light": LIGHTS[0]}
        if not two:
            return scene
        second = _sample_object(rng)
        relation = rng.choice(RELATIONS)
        if relation == "top" and second["shape"] not in TOP_HEIGHT:
            continue
        if first["shape"] == second["shape"] and first["color"] == second["color"]:
            continue
        if held is not None and held_out(first, second, relation) != held:
            continue
        scene["objects"].append(second)
        scene["relation"] = relation
        return scene


def sample_light(rng, daylight_share=DAYLIGHT_SHARE):
    """To be drawn from a generator of its own, so that scenes are the same with and without."""
    return LIGHTS[0] if rng.random() < daylight_share else rng.choice(LIGHTS[1:])


def _sample_object(rng):
    return {"shape": rng.choice(SHAPES), "color": rng.choice(COLORS), "size": rng.choice(SIZES),
            "material": rng.choice(MATERIALS)}


def layout(rng, scene):
    """Places the objects and jitters camera, light, colours and textures."""
    flat = np.zeros(LAYOUT_SIZE)
    flat[0] = rng.uniform(-9, 9) * DEGREE
    flat[1] = rng.uniform(27, 35) * DEGREE
    flat[2] = rng.uniform(6.9, 7.5)
    flat[3] = rng.uniform(-62, -34) * DEGREE
    flat[4] = rng.uniform(48, 60) * DEGREE
    flat[5] = GROUNDS.index(scene["ground"])
    flat[6] = len(scene["objects"])
    flat[7] = rng.uniform(0, 20)
    flat[8:14] = LIGHT_RGB[scene["light"]]
    radii = [RADIUS[thing["size"]] * rng.uniform(0.94, 1.06) for thing in scene["objects"]]
    positions = _positions(rng, scene, radii)
    if scene["relation"] == "front":
        flat[0] *= 0.4                    # a turned camera would shear the pair sideways
    for k, thing in enumerate(scene["objects"]):
        yaw = _yaw(rng, thing["shape"])
        color = LINEAR_RGB[COLORS.index(thing["color"])] * (1 + rng.uniform(-0.06, 0.06))
        start = SCENE_FLOATS + k * FLOATS_PER_OBJECT
        flat[start:start + FLOATS_PER_OBJECT] = [
            SHAPES.index(thing["shape"]), radii[k], *positions[k], math.cos(yaw), math.sin(yaw), *color,
            thing["material"] == "shiny"]
    return flat


def _positions(rng, scene, radii):
    if len(radii) == 1:
        return [(rng.uniform(-0.35, 0.35), 0.0, rng.uniform(-0.25, 0.35))]
    if scene["relation"] == "left":
        gap = (radii[0] + radii[1]) * rng.uniform(0.98, 1.2) + 0.08
        middle = rng.uniform(-0.10, 0.10) + (radii[0] - radii[1]) * 0.5
        depth = rng.uniform(-0.1, 0.3)
        return [(middle - gap / 2, 0.0, depth + rng.uniform(-0.15, 0.15)),
                (middle + gap / 2, 0.0, depth + rng.uniform(-0.15, 0.15))]
    if scene["relation"] == "top":
        x, z = rng.uniform(-0.35, 0.35), rng.uniform(-0.2, 0.3)
        lift = TOP_HEIGHT[scene["objects"][1]["shape"]] * radii[1]
        return [(x + rng.uniform(-.05, .05) * radii[1], lift, z), (x, 0.0, z)]
    # In front: B stays visible beside or above A.
    side = rng.choice([-1, 1]) * rng.uniform(0.16, 0.30) * (1 + (radii[0] > radii[1]) * 0.7)
    x = rng.uniform(-0.2, 0.2)
    apart = (radii[0] + radii[1]) * rng.uniform(1.15, 1.35) + 0.15
    depth = rng.uniform(-0.1, 0.15)
    return [(x + side, 0.0, depth + apart * 0.55), (x - side, 0.0, depth - apart * 0.45)]


def _yaw(rng, shape):
    limits = {"cube": (-38, 38), "pyramid": (12, 52), "ring": (-42, 42)}
    if shape not in limits:
        return 0.0
    return rng.uniform(*limits[shape]) * DEGREE


def labels(scene):
    row = []
    for k in range(2):
        if k < len(scene["objects"]):
            thing = scene["objects"][k]
            row += [SHAPES.index(thing["shape"]), COLORS.index(thing["color"]), SIZES.index(thing["size"]),
                    MATERIALS.index(thing["material"])]
        else:
            row += [-1] * 4
    relation = RELATIONS.index(scene["relation"]) if scene["relation"] else -1
    return row + [relation, GROUNDS.index(scene["ground"]), LIGHTS.index(scene["light"])]


def scene_from_labels(row):
    things = [{"shape": SHAPES[row[k]], "color": COLORS[row[k + 1]], "size": SIZES[row[k + 2]],
               "material": MATERIALS[row[k + 3]]} for k in (0, 4) if row[k] >= 0]
    return {"objects": things, "relation": RELATIONS[row[8]] if row[8] >= 0 else None, "ground": GROUNDS[row[9]],
            "light": LIGHTS[row[10]]}
