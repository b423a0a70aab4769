"""Finds the layout whose picture is nearest to one that the decoder drew.

The decoder bends edges and rounds corners, yet what it draws is nearly a scene: there is one straight cube that is
closest to the bent one. The nearest layout is found by Gauss-Newton steps from the layout that the picture was noised
from, first on 32 pixels, which see further, then on 64. Camera, light, the place of a chessboard, and of each object
size, place, turn and brightness may move; words (shape, colour, material, ground) stay. A third of a second on a core.
"""
import numpy as np

from weights.train import scenes
from weights.train.renderer import render
from weights.train.scenes import DEGREE, FLOATS_PER_OBJECT, SCENE_FLOATS

SIZES = (32, 64)
ROUNDS = 3                 # at each size
PROBE = 0.3                # units: how far a number moves to see what it changes
HELD = 4.0                 # moving by a unit costs as much as a hundredth of all colours this many levels of 255 off
FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1.0, 1e-2, 1e3
CHESSBOARD = scenes.GROUNDS.index("chessboard")
TURNED = [scenes.SHAPES.index(shape) for shape in ("cube", "pyramid", "ring")]
OFFSET = 7
# Units: about as far as one expects a number to move.
CAMERA_AND_LIGHT = [(0, 3 * DEGREE), (1, 2 * DEGREE), (2, 0.15), (3, 6 * DEGREE), (4, 4 * DEGREE)]
OFFSET_UNIT, RADIUS_UNIT, X_UNIT, Z_UNIT, YAW_UNIT, BRIGHTNESS_UNIT = 0.08, 0.03, 0.06, 0.08, 8 * DEGREE, 0.1


def _moves(flat):
    """One function a number: (layout, units) -> None, which moves it there."""
    def add(index, unit):
        def move(layout, units):
            layout[index] += unit * units
        return move

    def turn(start):
        def move(layout, units):
            yaw = np.arctan2(layout[start + 6], layout[start + 5]) + YAW_UNIT * units
            layout[start + 5], layout[start + 6] = np.cos(yaw), np.sin(yaw)
        return move

    def brighten(start):
        def move(layout, units):
            layout[start + 7:start + 10] *= np.exp(BRIGHTNESS_UNIT * units)
        return move

    moves = [add(index, unit) for index, unit in CAMERA_AND_LIGHT]
    if flat[5] == CHESSBOARD:
        moves.append(add(OFFSET, OFFSET_UNIT))
    for k in range(int(flat[6])):
        start = SCENE_FLOATS + k * FLOATS_PER_OBJECT
        moves += [add(start + 1, RADIUS_UNIT), add(start + 2, X_UNIT), add(start + 4, Z_UNIT), brighten(start)]
        if flat[start] in TURNED:
            moves.append(turn(start))
    return moves


def _moved(flat, moves, units):
    """The layout with every number moved; an object that stands on another keeps standing on it."""
    layout = flat.copy()
    for move, amount in zip(moves, units):
        move(layout, amount)
    upper, lower = SCENE_FLOATS, SCENE_FLOATS + FLOATS_PER_OBJECT
    if layout[upper + 3] > 0:
        layout[upper + 3] *= layout[lower + 1] / flat[lower + 1]
    return layout


def smaller(picture, size):
    """[size, size, channels]: the means of square blocks."""
    factor = len(picture) // size
    return picture.reshape(size, factor, size, factor, -1).mean((1, 3))


def fitted(flat, drawn, weights):
    """The layout near `flat` whose picture is nearest to `drawn`, uint8 [64, 64, 3], and how far it is off: the root
    mean square over pixels weighted by `weights` [64, 64], of 255."""
    moves = _moves(flat)
    units = np.zeros(len(moves))
    for size in SIZES:
        aim = smaller(drawn.astype(np.float64), size)
        weight = np.sqrt(smaller(weights[..., None].astype(np.float64), size))
        held = HELD * np.sqrt(3 * weight.size / 100)

        def misses(at):
            picture = (render(_moved(flat, moves, at), size, 2) - aim) * weight
            return np.concatenate([picture.ravel(), held * at])

        here, damping = misses(units), FIRST_DAMPING
        for _ in range(ROUNDS):
            slopes = np.stack([(misses(units + PROBE * row) - here) / PROBE for row in np.eye(len(moves))], 1)
            normal, downhill = slopes.T @ slopes, slopes.T @ here
            while damping < MOST_DAMPING:
                step = np.linalg.solve(normal + damping * np.diag(normal.diagonal()), downhill)
                there = misses(units - step)
                if there @ there < here @ here:
                    units, here = units - step, there
                    damping = max(damping / 10, LEAST_DAMPING)
                    break
                damping *= 10
            else:
                break
    picture = here[:-len(moves)]
    return _moved(flat, moves, units), float(np.sqrt((picture @ picture) / (3 * (weight ** 2).sum())))
