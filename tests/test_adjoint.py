"""Gradients of sums where windows leave gaps: strides beyond kernels, dilations, kernels near the input's size."""

import numpy as np
import pytest

import cypool


def by_definition(grad, sizes, kernel, stride, padding, dilation):
    result = np.zeros(sizes)
    axes = range(len(sizes))
    for window in np.ndindex(*grad.shape):
        for tap in np.ndindex(*kernel):
            place = tuple(window[a] * stride[a] - padding[a] + tap[a] * dilation[a] for a in axes)
            if all(0 <= place[a] < sizes[a] for a in axes):
                result[place] += grad[window]
    return result


@pytest.mark.parametrize("channels", [1, 9])
@pytest.mark.parametrize("seed", range(4))
def test_sums_go_back_where_they_came_from(seed, channels, isa):
    rng = np.random.default_rng(seed)
    tried = 0
    while tried < 60:
        ndim = int(rng.integers(1, 4))
        sizes, kernel, stride, dilation = (tuple(rng.integers(1, most, ndim).tolist()) for most in (9, 4, 5, 4))
        padding = tuple(int(rng.integers(0, (k - 1) * d + 1)) for k, d in zip(kernel, dilation, strict=True))
        window = {
            "kernel_size": kernel,
            "stride": stride,
            "padding": padding,
            "ceil_mode": bool(rng.integers(2)),
            "dilation": dilation,
        }
        try:
            outputs = cypool.output_shape((1, 1, *sizes), **window)[2:]
        except ValueError:  # no window, or one without elements
            continue
        tried += 1
        grad = rng.standard_normal(outputs)
        expected = by_definition(grad, sizes, kernel, stride, padding, dilation)
        backward = getattr(cypool, f"sum_pool{ndim}d_backward")
        first = backward(np.broadcast_to(grad, (1, channels, *outputs)), (1, channels, *sizes), **window)
        last = backward(
            np.broadcast_to(grad[..., None], (1, *outputs, channels)),
            (1, *sizes, channels),
            **window,
            data_format="channels_last",
        )
        for channel in range(channels):
            np.testing.assert_allclose(first[0, channel], expected, atol=1e-12, err_msg=str((sizes, window)))
            np.testing.assert_allclose(last[0, ..., channel], expected, atol=1e-12, err_msg=str((sizes, window)))
