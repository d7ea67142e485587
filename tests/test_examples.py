"""Worked examples that everyone knows, and the tables of checked values."""

import numpy as np
import pytest

import cypool


def test_textbook_maximum(isa):
    x = np.array([[1, 3, 2, 4], [5, 2, 3, 1], [4, 6, 2, 7], [8, 3, 1, 5]])
    y, indices = cypool.max_pool2d(x[None], 2, 2, return_indices=True)
    assert y.tolist() == [[[5, 4], [8, 7]]]
    assert indices.tolist() == [[[4, 3], [12, 11]]]
    assert y.dtype == x.dtype


def test_one_to_sixteen(isa):
    x = np.arange(1, 17).reshape(1, 1, 4, 4)
    assert cypool.max_pool2d(x, 2).tolist() == [[[[6, 8], [14, 16]]]]
    assert cypool.min_pool2d(x, 2).tolist() == [[[[1, 3], [9, 11]]]]
    assert cypool.sum_pool2d(x, 2).tolist() == [[[[14, 22], [46, 54]]]]
    average = cypool.avg_pool2d(x, 2)
    assert average.tolist() == [[[[3.5, 5.5], [11.5, 13.5]]]] and average.dtype == np.float64
    assert cypool.global_max_pool(x).tolist() == [[[[16]]]]
    assert cypool.global_avg_pool(x, keepdims=False).tolist() == [[8.5]]


def test_stride_beyond_the_kernel(isa):
    x = np.arange(25.0).reshape(1, 5, 5)
    assert cypool.max_pool2d(x, 2, 3).tolist() == [[[6, 9], [21, 24]]]
    assert cypool.output_shape((1, 1, 5, 5), 2, 3) == (1, 1, 2, 2)


def test_ceil_average_in_2d(isa):
    x = np.arange(1.0, 17).reshape(1, 1, 4, 4)
    wanted = [[14 / 9, 20 / 6, 2], [38 / 6, 11, 6], [4.5, 7.5, 4]]
    np.testing.assert_allclose(cypool.avg_pool2d(x, 3, 2, 1, True)[0, 0], wanted, rtol=1e-15)


# Kernel, stride, padding, ceil mode, padding counted, result; of 1 2 3 4 5.
AVERAGES = [
    (4, 3, 2, True, True, [0.75, 3.5, 5 / 3]),
    (4, 3, 2, True, False, [1.5, 3.5, 5]),
    (3, 2, 1, False, True, [1, 3, 3]),
    (3, 2, 1, False, False, [1.5, 3, 4.5]),
    (4, 3, "same", False, True, [2, 4]),
    (4, 3, 0, True, True, [2.5, 4.5]),
    (2, 2, "valid", True, True, [1.5, 3.5, 5]),
]


@pytest.mark.parametrize(("kernel", "stride", "padding", "ceil_mode", "include", "wanted"), AVERAGES)
def test_padded_averages(kernel, stride, padding, ceil_mode, include, wanted, isa):
    x = np.arange(1.0, 6)[None, None]
    got = cypool.avg_pool1d(x, kernel, stride, padding, ceil_mode, include)
    np.testing.assert_allclose(got[0, 0], wanted, rtol=1e-15)
    column = x.reshape(1, 1, 5, 1)
    pads = padding if isinstance(padding, str) else (padding, 0)
    got = cypool.avg_pool2d(column, (kernel, 1), (stride, 1), pads, ceil_mode, include)
    np.testing.assert_allclose(got[0, 0, :, 0], wanted, rtol=1e-15)


@pytest.mark.parametrize(
    ("kernel", "padding", "wanted"), [(2, (1, 1), [1.5, 3.5, 5.5, 6]), (3, (1, 2), [3, 7 / 3, 5.5])]
)
def test_dilated_ceil_averages(kernel, padding, wanted, isa):
    x = np.arange(1.0, 8)[None, None]
    got = cypool.avg_pool1d(x, kernel, 2, [padding], True, dilation=3)
    np.testing.assert_allclose(got[0, 0], wanted, rtol=1e-15)


def test_kernel_wider_than_the_input_in_ceil_mode(isa):
    x = np.array([[[1.0, 2.0]]])
    assert cypool.max_pool1d(x, 3, 2, ceil_mode=True).tolist() == [[[2]]]
    assert cypool.avg_pool1d(x, 3, 2, ceil_mode=True).tolist() == [[[1.5]]]
    volume = x.reshape(1, 1, 2, 1, 1)
    assert cypool.avg_pool3d(volume, (3, 1, 1), (2, 1, 1), ceil_mode=True).item() == 1.5


def test_first_of_equals_and_signed_zeros(isa):
    x = np.array([[[-0.0, 0.0, 0.0, -0.0, 7, 7]]])
    y, indices = cypool.max_pool1d(x, 2, return_indices=True)
    assert indices.tolist() == [[[0, 2, 4]]]
    assert np.signbit(y).tolist() == [[[True, False, False]]]


def test_padding_beyond_half_the_kernel(isa):
    """Frameworks refuse it; the contract asks only for one tap inside each window."""
    x = np.array([[[1.0, 2.0, 3.0]]])
    y, indices = cypool.max_pool1d(x, 3, 1, 2, return_indices=True)
    assert y.tolist() == [[[1, 2, 3, 3, 3]]] and indices.tolist() == [[[0, 1, 2, 2, 2]]]
    assert cypool.max_pool1d(x, 3, 1, [(2, 0)]).tolist() == [[[1, 2, 3]]]
    assert cypool.sum_pool1d(x, 3, 1, 2).tolist() == [[[1, 3, 6, 5, 3]]]


def test_gradient_of_overlapping_maxima(isa):
    """The element that two windows choose receives both gradients."""
    x = np.array([[[1.0, 5.0, 2.0, 4.0, 3.0]]])
    y, indices = cypool.max_pool1d(x, 3, 1, return_indices=True)
    assert y.tolist() == [[[5, 5, 4]]]
    got = cypool.max_pool1d_backward(np.array([[[1.0, 10.0, 100.0]]]), indices, x.shape)
    assert got.tolist() == [[[0, 11, 0, 100, 0]]]
