"""A made-up photograph, and faces in it: whole numbers and simple shapes, so that it is the same everywhere."""

import numpy as np


def _wave(k, period):
    return np.abs(k % (2 * period) - period) * 255 // period


def made_up(width, height):
    """A colourful picture, uint8 (height, width, 3): the one that tests/goldens/i_ffhq_alignment.npz was made from."""
    y, x = np.mgrid[:height, :width]
    channels = [_wave(3 * x + y, 97), _wave(x * y // 16 - 2 * y, 211), _wave(x * x // 64 + 5 * y, 331)]
    return np.stack(channels, -1).astype(np.uint8)


def smooth(width, height):
    """One without fine detail, floats in [0, 1] (height, width, 3): what resampling hardly changes."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    return np.stack([0.5 + 0.4 * np.sin(x / 9 + c) * np.cos(y / 11 - c) for c in range(3)], -1)


def face(centre, distance, turn=0.0):
    """Five points of an upright face whose eyes lie so far apart, turned clockwise by so many radians."""
    points = np.array([[-0.5, 0], [0.5, 0], [0, 0.5], [-0.4, 1.1], [0.4, 1.1]]) * distance
    c, s = np.cos(turn), np.sin(turn)
    return np.asarray(centre) + points @ np.array([[c, s], [-s, c]])
