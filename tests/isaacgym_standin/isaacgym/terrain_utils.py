"""The stand-in's floor is flat: nobody looks at the mesh."""

import numpy as np


def convert_heightfield_to_trimesh(heights, horizontal_scale, vertical_scale, slope_threshold=None):
    return np.zeros((3, 3), dtype=np.float32), np.zeros((1, 3), dtype=np.uint32)
