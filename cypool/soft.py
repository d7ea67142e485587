"""Soft pooling: averages of windows with weights from a softmax, of the elements themselves or of given logits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cypool import arguments, fused, means
from cypool.calls import Operands, cast, operands
from cypool.dimensions import dimensions, plain
from cypool.norms import run, run_backward, whole
from cypool.pieces import real_of
from cypool.windowed import Array, Format, IntOrInts, NanPolicy, Padding, fit


class Soft(means.Ratio, means.Exponential):
    """The average with weights ``exp(x)``."""

    def __init__(self, weights_only: bool = False) -> None:
        self.weights_only = weights_only

    def kinds(self, p: Any, learned: bool = False) -> fused.Kinds | None:
        slope = fused.OF_WEIGHTS if self.weights_only else fused.OF_SOFT
        return fused.Kinds(fused.EXPONENTIALS, fused.ELEMENTS, fused.RATIO, slope)

    def gradients(self, x: Array, w: Array, unit: Any, p: Any, by_s: Callable[[], Array],
                  by_y: Callable[[], Array]) -> tuple[Array, ...]:
        each = by_s()
        if self.weights_only:
            return (w * each,)
        grad = x + 1
        grad *= each
        grad -= by_y()
        grad *= w
        return (grad,)


class Attention(means.Ratio, means.Exponential):
    """The average with weights ``exp(z)``."""

    def kinds(self, p: Any, learned: bool = False) -> fused.Kinds | None:
        return fused.Kinds(fused.OF_LOGITS, fused.ELEMENTS, fused.RATIO, fused.OF_ATTENTION)

    def u(self, x: Array, z: Any, p: Any) -> Array:
        return z                                                              # type: ignore[no-any-return]

    def extreme(self, largest_u: Array, p: Any) -> tuple[Array, Array]:
        return ~np.isfinite(largest_u), np.where(largest_u == -np.inf, 0, np.nan)

    def gradients(self, x: Array, w: Array, unit: Any, p: Any, by_s: Callable[[], Array],
                  by_y: Callable[[], Array]) -> tuple[Array, ...]:
        each = by_s()
        if w.shape != x.shape and each.size * math.prod(w.shape[1:]) == x.size:         # one window, one row of weights
            last = x.shape[-1] != w.shape[-1]
            grad_z = means.contracted_channels(x, each, last)
            grad_z -= by_y().sum(axis=-1 if last else 1, keepdims=True)
            grad_z *= w
            return w * each, grad_z
        grad_z = x * each
        grad_z -= by_y()
        grad_z *= w
        return w * each, grad_z


def _soft_pool(ndim: int, x: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None, padding: Padding = 0,
               dilation: IntOrInts = 1, ceil_mode: bool = False, *, weights_only: bool = False,
               data_format: Format = "channels_first", nan_policy: NanPolicy = "propagate", out: Array | None = None,
               num_threads: int | None = None) -> Array:
    """SoftPool over {n}D windows: each element weighs by its exponential.

    ``y = sum of w x`` with ``w = exp(x) / sum of exp(x)`` over the taps of the window. It lies between the average and
    the maximum, and is finite for all finite x.

    Parameters
    ----------
    x : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
    weights_only : bool
        Says which gradient is wanted (see :func:`soft_pool{n}d_backward`); the result is the same.
    kernel_size, stride, padding, dilation, ceil_mode, data_format, nan_policy, out, num_threads
        As for :func:`cypool.max_pool{n}d`. Padding has no weight.

    Returns
    -------
    y : ndarray
        Of x's dtype. The largest element, where that is infinite.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d`.

    See Also
    --------
    soft_pool{n}d_backward, attention_pool{n}d, lse_pool{n}d

    References
    ----------
    .. [1] A. Stergiou, R. Poppe, G. Kalliatakis, "Refining activation downsampling with SoftPool", 2021.

    Examples
    --------
    {example}
    """
    arguments.flag("weights_only", weights_only)
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, nan_policy, num_threads)
    return run(c, Soft(), None, out)


def _soft_pool_backward(ndim: int, grad_output: ArrayLike, x: ArrayLike, kernel_size: IntOrInts,
                        stride: IntOrInts | None = None, padding: Padding = 0, dilation: IntOrInts = 1,
                        ceil_mode: bool = False, *, weights_only: bool = False,
                        data_format: Format = "channels_first", out: Array | None = None,
                        num_threads: int | None = None) -> Array:
    """The gradient of :func:`soft_pool{n}d` with respect to its input: ``dy / dx = w * (1 + x - y)``.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    x : array_like of float
        The forward's input.
    kernel_size, stride, padding, dilation, ceil_mode, data_format
        The forward's.
    weights_only : bool
        Give the paper's gradient instead, which takes the weights as constants: ``w``.
    out, num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    grad_x : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.soft_pool{n}d`; ValueError if grad_output does not have the output's shape.

    See Also
    --------
    soft_pool{n}d

    References
    ----------
    .. [1] A. Stergiou, R. Poppe, G. Kalliatakis, "Refining activation downsampling with SoftPool", 2021.

    Examples
    --------
    {example}
    """
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, num_threads=num_threads)
    return run_backward(c, Soft(arguments.flag("weights_only", weights_only)), None, grad_output, out)[0]


soft_pool1d, soft_pool2d, soft_pool3d = dimensions(_soft_pool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 2.0, 3.0, 4.0, 0.0, -1.0]).reshape({row}6)
    >>> cypool.soft_pool{n}d(x, {pair}).ravel()
    array([ 1.73105858,  3.73105858, -0.26894142])
    """)

soft_pool1d_backward, soft_pool2d_backward, soft_pool3d_backward = dimensions(_soft_pool_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 2.0, 3.0, 4.0]).reshape({row}4)
    >>> grad = np.ones(({row}2))
    >>> cypool.soft_pool{n}d_backward(grad, x, {pair}).ravel().round(4)
    array([0.0723, 0.9277, 0.0723, 0.9277])
    >>> cypool.soft_pool{n}d_backward(grad, x, {pair}, weights_only=True).ravel().round(4)
    array([0.2689, 0.7311, 0.2689, 0.7311])
    """)


# ---------------------------------------------------------------------------- attention

def scores(c: Operands, logits: Any) -> Array:
    """Logits with a batch axis: shaped like x, or with one channel for all."""
    given = arguments.array("logits", logits)
    arguments.check_dtype("logits", given.dtype, arguments.FLOATS)
    one = list(c.given)
    one[-1 if c.last else len(c.given) - c.ndim - 1] = 1
    if given.shape not in (c.given, tuple(one)):
        raise ValueError(f"logits must have the shape of x {c.given}, or one channel, got {given.shape}")
    return given.reshape((1,) * (c.x.ndim - given.ndim) + given.shape)


def attend(c: Operands, logits: Any, missing: Array | None, out: Any, keepdims: bool = True) -> Array:
    z = scores(c, logits)
    y, full = c.out(out, z, keepdims=keepdims)
    means.forward(means.Job(Attention(), c.x, z, None, c.windows, c.last, c.policy == "omit", missing), full, c.threads)
    return y


def attend_backward(c: Operands, grad_output: Any, logits: Any, missing: Array | None, out: Any) -> tuple[Array, Array]:
    z, grad = scores(c, logits), c.grad(grad_output)
    result, full = c.grad_out(out, grad, z)
    for_z = np.empty(z.shape, real_of(z))
    means.backward(means.Job(Attention(), c.x, z, None, c.windows, c.last, missing=missing), grad, (full, for_z),
                   c.threads)
    given = arguments.array("logits", logits)
    return result, cast(for_z, arguments.native(z.dtype)).reshape(given.shape)


def _attention_pool(ndim: int, x: ArrayLike, logits: ArrayLike, kernel_size: IntOrInts,
                    stride: IntOrInts | None = None, padding: Padding = 0, dilation: IntOrInts = 1,
                    ceil_mode: bool = False, *, data_format: Format = "channels_first",
                    nan_policy: NanPolicy = "propagate", out: Array | None = None,
                    num_threads: int | None = None) -> Array:
    """Attention over {n}D windows: averages with weights from a softmax of given logits (local importance pooling).

    ``y = sum of w x`` with ``w = exp(logits) / sum of exp(logits)`` over the taps of the window.

    Parameters
    ----------
    x : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
    logits : array_like of float, shaped like x, or with one channel for all
        Where they are minus infinity, x has no weight; a window of nothing else gives 0.
    kernel_size, stride, padding, dilation, ceil_mode, data_format, nan_policy, out, num_threads
        As for :func:`cypool.max_pool{n}d`. Padding has no weight.

    Returns
    -------
    y : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d`; ValueError for logits of another shape.

    See Also
    --------
    attention_pool{n}d_backward, global_attention_pool, soft_pool{n}d

    References
    ----------
    .. [1] Z. Gao, L. Wang, G. Wu, "LIP: Local importance-based pooling", 2019.

    Examples
    --------
    {example}
    """
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, nan_policy, num_threads)
    return attend(c, logits, None, out)


def _attention_pool_backward(ndim: int, grad_output: ArrayLike, x: ArrayLike, logits: ArrayLike,
                             kernel_size: IntOrInts, stride: IntOrInts | None = None, padding: Padding = 0,
                             dilation: IntOrInts = 1, ceil_mode: bool = False, *,
                             data_format: Format = "channels_first", out: Array | None = None,
                             num_threads: int | None = None) -> tuple[Array, Array]:
    """The gradients of :func:`attention_pool{n}d` with respect to its input and its logits.

    ``dy / dx = w`` and ``dy / dlogits = w * (x - y)``.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    x, logits : array_like of float
        The forward's.
    kernel_size, stride, padding, dilation, ceil_mode, data_format
        The forward's.
    out : ndarray, optional
        For grad_x.
    num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    grad_x, grad_logits : ndarray
        Shaped like x and logits, and of their dtypes.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.attention_pool{n}d`; ValueError if grad_output does not have the output's shape.

    See Also
    --------
    attention_pool{n}d

    References
    ----------
    .. [1] Z. Gao, L. Wang, G. Wu, "LIP: Local importance-based pooling", 2019.

    Examples
    --------
    {example}
    """
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, num_threads=num_threads)
    return attend_backward(c, grad_output, logits, None, out)


attention_pool1d, attention_pool2d, attention_pool3d = dimensions(_attention_pool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 2.0, 3.0, 4.0]).reshape({row}4)
    >>> logits = np.array([0.0, 0.0, 0.0, -np.inf]).reshape({row}4)
    >>> cypool.attention_pool{n}d(x, logits, {pair}).ravel()
    array([1.5, 3. ])
    """)

attention_pool1d_backward, attention_pool2d_backward, attention_pool3d_backward = dimensions(
    _attention_pool_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 2.0, 3.0, 5.0]).reshape({row}4)
    >>> grads = cypool.attention_pool{n}d_backward(np.ones(({row}2)), x, np.zeros_like(x), {pair})
    >>> grads[0].ravel(), grads[1].ravel()
    (array([0.5, 0.5, 0.5, 0.5]), array([-0.25,  0.25, -0.5 ,  0.5 ]))
    """)


def missing_of(c: Operands, mask: Any) -> Array | None:
    """Where a mask leaves positions out, with a channel axis."""
    if mask is None:
        return None
    given = arguments.array("mask", mask)
    if given.dtype != bool:
        raise TypeError(f"mask must hold bools, got {given.dtype}")
    expected = c.given[:-1] if c.last else (c.given[0], *c.given[2:])
    if given.shape != expected:
        raise ValueError(f"mask must have the batch and spatial shape of x {expected}, got {given.shape}")
    return np.expand_dims(~given, -1 if c.last else 1)


def global_attention_pool(x: ArrayLike, logits: ArrayLike, *, mask: ArrayLike | None = None, keepdims: bool = True,
                          data_format: Format = "channels_first", nan_policy: NanPolicy = "propagate",
                          out: Array | None = None, num_threads: int | None = None) -> Array:
    """Attention over all positions: ``y = sum of w x`` with ``w = exp(logits) / sum of exp(logits)``.

    Parameters
    ----------
    x : array_like of float, shape (N, C, ...) with one to three spatial axes
    logits : array_like of float, shaped like x, or with one channel for all
    mask : array_like of bool, optional, of shape (N, ...) with the spatial axes
        Which positions count. What x and logits hold elsewhere, NaN included, is never looked at; where a mask leaves
        none y is 0.
    keepdims : bool
        Whether y keeps the spatial axes, each of length 1.
    data_format, nan_policy, out, num_threads
        As for :func:`cypool.max_pool2d`.

    Returns
    -------
    y : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.attention_pool2d`; ValueError for a mask of another shape, or one with ``nan_policy="omit"``.

    See Also
    --------
    global_attention_pool_backward, attention_pool2d

    References
    ----------
    .. [1] M. Ilse, J. Tomczak, M. Welling, "Attention-based deep multiple instance learning", 2018.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[[1.0, 3.0, np.nan]]])
    >>> cypool.global_attention_pool(x, np.zeros_like(x), mask=[[True, True, False]])
    array([[[2.]]])
    """
    given, ndim, windows_for = whole("x", x, data_format)
    c = operands(ndim, given, windows_for, data_format, nan_policy if mask is None else "propagate", num_threads)
    policy = arguments.nan_policy(nan_policy, given.dtype)
    missing = missing_of(c, mask)
    if missing is not None and policy != "propagate":
        raise ValueError(f"nan_policy must be 'propagate' with a mask, got {policy!r}")
    return attend(c, logits, missing, out, arguments.flag("keepdims", keepdims))


def global_attention_pool_backward(grad_output: ArrayLike, x: ArrayLike, logits: ArrayLike, *,
                                   mask: ArrayLike | None = None, data_format: Format = "channels_first",
                                   out: Array | None = None, num_threads: int | None = None) -> tuple[Array, Array]:
    """The gradients of :func:`global_attention_pool` with respect to its input and its logits.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output, its spatial axes kept or dropped.
    x, logits, mask, data_format
        The forward's.
    out : ndarray, optional
        For grad_x.
    num_threads
        As for :func:`cypool.max_pool2d`.

    Returns
    -------
    grad_x, grad_logits : ndarray
        Shaped like x and logits, and of their dtypes; 0 where the mask leaves a position out.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.attention_pool2d_backward`.

    See Also
    --------
    global_attention_pool

    References
    ----------
    .. [1] M. Ilse, J. Tomczak, M. Welling, "Attention-based deep multiple instance learning", 2018.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[[1.0, 3.0]]])
    >>> cypool.global_attention_pool_backward(np.ones((1, 1)), x, np.zeros_like(x))
    (array([[[0.5, 0.5]]]), array([[[-0.5,  0.5]]]))
    """
    given, ndim, windows_for = whole("x", x, data_format)
    c = operands(ndim, given, windows_for, data_format, num_threads=num_threads, drops=True)
    return attend_backward(c, grad_output, logits, missing_of(c, mask), out)
