"""Imported by the process that conversion workers are forked from, so that they share its memory.

Most of a worker is the compiler that made the single pass, and its tables. Forked from a process that has loaded them
and run the pass once, workers need them neither in memory of their own nor in time.
"""

from __future__ import annotations

import gc
from contextlib import suppress

import numpy as np

from frostline.imaging.chroma import chroma_image

with suppress(Exception):  # what fails here fails again in a worker, where it is reported
    for _bits in (16, 8):
        chroma_image(np.ones((1, 1, 3), np.uint16), (1, 1, 1), bits=_bits)
gc.freeze()  # a collection in a worker would write to, and so copy, all that is shared
