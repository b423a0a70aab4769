"""Procedural grounds: plain floors, planks, a chessboard, grass; compiled with numba."""
import math

from weights.train.distances import jit


@jit
def hashed(ix, iy):
    """A fixed pseudo-random number in 0..1 for each pair of integers."""
    h = (ix * 374761393 + iy * 668265263) & 0xffffffff
    h = ((h ^ (h >> 13)) * 1274126177) & 0xffffffff
    return ((h ^ (h >> 16)) & 0xffff) / 65535.0


@jit
def value_noise(x, y):
    ix, iy = int(math.floor(x)), int(math.floor(y))
    u, v = x - ix, y - iy
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    near = hashed(ix, iy) * (1 - u) + hashed(ix + 1, iy) * u
    far = hashed(ix, iy + 1) * (1 - u) + hashed(ix + 1, iy + 1) * u
    return near * (1 - v) + far * v


@jit
def smooth_step(low, high, x):
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@jit
def planks(offset, x, z):
    """Boards along x, 0.62 wide, with grain that differs from board to board."""
    across = (z + offset) / 0.62
    board = math.floor(across)
    across -= board
    along = x + 7.3 * board + offset
    bend = value_noise(along * 1.6, across * 5 + 17 * board)
    rings = 0.5 + 0.5 * math.sin((across * 3.2 + 1.6 * bend + 0.35 * math.sin(along * 0.9 + board)) * 6.2832)
    fibre = value_noise(along * 3.0, across * 42 + 31 * board)
    tone = 0.80 + 0.096 * rings + 0.14 * (fibre - 0.5) + 0.16 * (hashed(int(board), 7) - 0.5)
    gap = smooth_step(0.0, 0.025, across) * smooth_step(0.0, 0.025, 1 - across)
    tone *= 0.35 + 0.65 * gap
    return 0.50 * tone, 0.245 * tone * tone ** 0.15, 0.092 * tone * tone ** 0.3


@jit
def chessboard(offset, x, z):
    if (int(math.floor(x / 0.8 + offset)) + int(math.floor(z / 0.8 + offset))) & 1 == 0:
        return 0.78, 0.76, 0.70
    return 0.045, 0.045, 0.050


@jit
def grass(offset, x, z):
    patches = (0.55 * value_noise(x * 2.2 + offset, z * 2.2) + 0.30 * value_noise(x * 9 + 3, z * 6 + offset)
               + 0.25 * value_noise(x * 34 + offset, z * 15))
    blades = value_noise(x * 120 + 9 * z, z * 26 + offset)
    tone = 0.55 + 0.55 * patches + 0.30 * (blades - 0.5)
    return 0.135 * tone, 0.30 * tone, 0.030 * tone


@jit
def ground_color(ground, offset, x, z):
    """Linear RGB of ground number `ground` (scenes.GROUNDS); `offset` shifts the texture."""
    if ground == 0:
        return 0.80, 0.80, 0.82
    if ground == 1:
        return 0.17, 0.175, 0.185
    if ground == 2:
        return planks(offset, x, z)
    if ground == 3:
        return chessboard(offset, x, z)
    return grass(offset, x, z)
