from __future__ import annotations

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from frostline.imaging import chroma_and_saturated, chroma_image

chroma_reference = partial(chroma_and_saturated, compiled=False)

positive = st.floats(0.05, 1.0)
directions = st.tuples(positive, positive, positive)
codes = st.one_of(st.integers(0, 65535), st.sampled_from([0, 1, 2, 65534, 65535]))
images = arrays(np.uint16, st.tuples(st.integers(1, 5), st.integers(1, 9), st.just(3)), elements=codes)


@settings(max_examples=300, deadline=None)
@given(
    images,
    directions,
    st.floats(6.0, 11.0),
    st.sampled_from(["linear", "log"]),
    st.sampled_from([8, 16]),
    st.booleans(),
)
def test_the_compiled_pass_is_within_one_code_of_numpy(image, isd, anchor, encode, bits, mask):
    fast, saturated = chroma_and_saturated(image, isd, anchor, encode, bits, mask)
    slow, expected = chroma_reference(image, isd, anchor, encode, bits, mask)
    assert (fast.shape, fast.dtype, saturated) == (slow.shape, slow.dtype, expected)
    assert np.abs(fast.astype(int) - slow).max() <= 1
    assert np.array_equal(fast == 0, slow == 0) or encode == "linear"


@settings(max_examples=60, deadline=None)
@given(images, st.integers(0, 2**32 - 1), st.sampled_from(["linear", "log"]), st.sampled_from([8, 16]), st.booleans())
def test_a_map_of_directions_is_within_one_code_of_numpy(image, seed, encode, bits, mask):
    maps = np.random.default_rng(seed).uniform(0.05, 1.0, image.shape)
    form = (10.4, encode, bits, mask)
    fast, slow = (f(image, maps, *form)[0].astype(int) for f in (chroma_and_saturated, chroma_reference))
    assert np.abs(fast - slow).max() <= 1
    single = chroma_image(image, maps[0, 0], 10.4, encode)
    same = chroma_image(image, np.broadcast_to(maps[0, 0], image.shape), 10.4, encode)
    assert np.array_equal(single, same)


@pytest.mark.parametrize("encode", ["linear", "log"])
@pytest.mark.parametrize("per_pixel", [False, True])
def test_images_larger_than_a_block_are_whole_to_the_last_pixel(encode: str, per_pixel: bool):
    rng = np.random.default_rng(3)
    image = rng.integers(0, 65536, (37, 91, 3)).astype(np.uint16)
    isd = rng.uniform(0.3, 1, image.shape) if per_pixel else (0.68, 0.58, 0.45)
    fast = chroma_image(image, isd, encode=encode).astype(int)
    assert np.abs(fast - chroma_reference(image, isd, encode=encode)[0]).max() <= 1
    assert np.array_equal(
        chroma_image(image[:, ::2], isd if not per_pixel else isd[:, ::2], encode=encode), fast[:, ::2]
    )


def test_saturated_pixels_are_counted_and_masked_whole_where_asked():
    image = np.full((50, 60, 3), 9000, np.uint16)
    image[7, 3, 1] = image[49, 59, 2] = image[20, 20, 0] = 65535
    for source in (image, image.astype(np.float32)):
        kept, count = chroma_and_saturated(source, (1, 1, 1))
        masked, again = chroma_and_saturated(source, (1, 1, 1), mask_saturated=True)
        assert count == again == 3
        assert (kept != 0).all() and np.argwhere((masked == 0).all(axis=2)).tolist() == [[7, 3], [20, 20], [49, 59]]
        assert np.array_equal(masked[0], kept[0])


def test_the_compiled_code_is_kept_on_disk_and_imports_stay_light():
    program = (
        "import sys, numpy as np, frostline.imaging as im\n"
        "print([m for m in ('cv2', 'numba', 'rawpy', 'torch', 'matplotlib') if m in sys.modules])\n"
        "im.chroma_image(np.ones((1, 1, 3), np.uint16), (1, 1, 1))\n"
        "from frostline.imaging import fused\n"
        "print(sum(fused._run.stats.cache_hits.values()))\n"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "1"]
