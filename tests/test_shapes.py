"""``output_shape`` against counted windows and the frameworks' formulas."""

import itertools

import numpy as np
import pytest
import reference
from cases import DATA_FORMATS, PADDINGS, random_geometry, random_shape
from operators import WINDOWED, ids

import cypool


def in_layout(shape, spatial, ndim, data_format):
    """``shape`` with its spatial part replaced."""
    if data_format == "channels_first":
        return (*shape[: len(shape) - ndim], *spatial)
    return (*shape[: len(shape) - ndim - 1], *spatial, shape[-1])


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("op", WINDOWED, ids=ids(WINDOWED))
def test_random_geometry(op, data_format):
    rng = np.random.default_rng(op.ndim)
    for _ in range(100):
        spatial, window = random_geometry(rng, op.ndim, 30)
        # Output shapes are asked with a batch: three axes are a batched 1D shape, not an unbatched 2D one.
        shape = random_shape(rng, spatial, data_format, batched=True)
        axes = reference.geometry(spatial, **window)
        wanted = in_layout(shape, [ax.o for ax in axes], op.ndim, data_format)
        got = cypool.output_shape(shape, **window, data_format=data_format)
        assert got == wanted and isinstance(got, tuple), (shape, window)
        assert all(type(n) is int for n in got)
        assert op.forward(np.zeros(shape, np.float32), **window, data_format=data_format).shape == wanted


def expected_length(n, k, s, p, d, ceil_mode):
    """PyTorch's formula as it is written."""
    reach = d * (k - 1) + 1
    o = (n + 2 * p - reach + (s - 1 if ceil_mode else 0)) // s + 1
    if ceil_mode and (o - 1) * s >= n + p:
        o -= 1
    return o


def test_every_small_geometry_follows_pytorch():
    for n, k, s, d, ceil_mode in itertools.product(range(1, 9), range(1, 5), range(1, 5), (1, 2, 3), (False, True)):
        for p in range((k - 1) * d + 1):
            wanted = expected_length(n, k, s, p, d, ceil_mode)
            try:
                reference.geometry((n,), k, s, p, d, ceil_mode)
            except ValueError:
                with pytest.raises(ValueError, match="kernel_size|padding|dilation"):
                    cypool.output_shape((1, 1, n), k, s, p, d, ceil_mode)
            else:
                assert cypool.output_shape((1, 1, n), k, s, p, d, ceil_mode) == (1, 1, wanted)


@pytest.mark.parametrize("padding", PADDINGS)
def test_named_paddings(padding):
    for n, k, s, d in itertools.product(range(1, 14), range(1, 5), range(1, 6), (1, 2)):
        reach = (k - 1) * d + 1
        if padding == "valid":
            if n < reach:
                with pytest.raises(ValueError, match="kernel_size"):
                    cypool.output_shape((1, 1, n), k, s, padding, d)
                continue
            wanted = -(-(n - reach + 1) // s)
        elif d > n:
            continue
        else:
            wanted = -(-n // s)
        assert cypool.output_shape((1, 1, n), k, s, padding, d) == (1, 1, wanted)
        if padding != "valid":
            assert cypool.output_shape((1, 1, n), k, s, padding, d, True) == (1, 1, wanted)


def test_pytorch_layers_shapes():
    """Layers of published networks."""
    shape = cypool.output_shape
    assert shape((1, 96, 55, 55), 3, 2) == (1, 96, 27, 27)  # AlexNet
    assert shape((1, 64, 112, 112), 3, 2, 1) == (1, 64, 56, 56)  # ResNet
    assert shape((1, 64, 112, 112), 3, 2, ceil_mode=True) == (1, 64, 56, 56)  # GoogLeNet
    assert shape((8, 224, 224, 64), 2, data_format="channels_last") == (8, 112, 112, 64)  # VGG
    assert shape((1, 512, 20, 20), 13, 1, "same") == (1, 512, 20, 20)  # YOLO
    assert shape((2, 3, 16, 224, 224), (1, 3, 3), (1, 2, 2), (0, 1, 1)) == (2, 3, 16, 112, 112)  # I3D


def test_ceil_windows_start_before_the_end_padding():
    assert cypool.output_shape((1, 1, 5), 2, 2, 0, 1, True) == (1, 1, 3)
    assert cypool.output_shape((1, 1, 2), 3, 2, 0, 1, True) == (1, 1, 1)  # wider than the input by less than a stride
    assert cypool.output_shape((1, 1, 4), 2, 3, 1, 1, True) == (1, 1, 2)  # a third window would start in the padding
    with pytest.raises(ValueError, match="kernel_size"):
        cypool.output_shape((1, 1, 2), 4, 2, 0, 1, True)


def test_unusual_spellings():
    wanted = (1, 1, 3, 2)
    for kernel in ((2, 3), [2, 3], np.array([2, 3]), (np.int8(2), np.uint64(3))):
        assert cypool.output_shape((1, 1, 6, 8), kernel) == wanted
    assert cypool.output_shape([1, 1, np.int64(6), 8], (2, 3)) == wanted
    assert cypool.output_shape((1, 1, 6, 8), (2, 3), None, [(0, 1), (1, 0)]) == (1, 1, 3, 3)
    assert cypool.output_shape((0, 0, 6, 8), 2) == (0, 0, 3, 4)
    assert cypool.output_shape((1, 1, 10**12), 2) == (1, 1, 5 * 10**11)  # no table of windows is made
