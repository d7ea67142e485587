"""Norms and generalised means: the Lp norm, the generalised mean and log-sum-exp of each window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cypool import arguments, dispatch, fused, means
from cypool.adaptive import dimension, whole_window
from cypool.calls import Operands, learned, operands
from cypool.dimensions import dimensions, plain
from cypool.windowed import Array, Fit, Format, IntOrInts, NanPolicy, Padding, fit


class Lp(means.Power):
    """``(sum of |x| ** p) ** (1 / p)``."""

    def kinds(self, p: Any, learned: bool = False) -> fused.Kinds | None:
        return fused.Kinds(fused.SIZES, fused.NOTHING, fused.ROOT, fused.OF_POWERS, p) if p in fused.POWERS else None

    def u(self, x: Array, z: Any, p: Any) -> Array:
        return means.inverse_where_negative(np.abs(x), p)

    def weights(self, x: Array, z: Any, p: Any) -> Array:
        return means.power(x, p) if p in (2, 4) else super().weights(x, z, p)

    def result(self, s: Array, t: Any, count: Any, unit: Any, p: Any) -> Array:
        return self.root(s, unit, p)

    def gradients(self, x: Array, w: Array, unit: Any, p: Any, by_s: Callable[[], Array],
                  by_y: Callable[[], Array]) -> tuple[Array, ...]:
        if unit is None and np.ndim(p) == 0 and p in (2, 4):
            return (means.power(x, p - 1) * by_y(),)
        slopes = self.slopes(np.abs(x), w)
        return (means.signed(slopes, x) * by_y(),)

    def slope(self, x: Array) -> Any:
        return np.sign(x)


class SignedLp(means.Mean):
    """PyTorch's: ``(sum of x ** p / taps * kernel) ** (1 / p)``, without absolute values."""

    scales = False
    uses_count = True

    def __init__(self, kernel: int) -> None:
        self.kernel = kernel

    def weigh(self, u: Array, unit: Any, p: Any) -> Array:
        return means.power(u, p)

    def result(self, s: Array, t: Any, count: Any, unit: Any, p: Any) -> Array:
        return means.power(s * (self.kernel / count), 1 / p)

    def gradients(self, x: Array, w: Array, unit: Any, p: Any, by_s: Callable[[], Array],
                  by_y: Callable[[], Array]) -> tuple[Array, ...]:
        return (means.power(x, p - 1) * by_y(),)


class GeM(means.Power):
    """``(mean of max(x, eps) ** p) ** (1 / p)``."""

    uses_count = True

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def kinds(self, p: Any, learned: bool = False) -> fused.Kinds | None:
        if p not in fused.POWERS:
            return None
        value = fused.LOGARITHMS if learned else fused.NOTHING
        return fused.Kinds(fused.CLAMPED, value, fused.ROOT, fused.OF_CLAMPED, p, eps=self.eps)

    def u(self, x: Array, z: Any, p: Any) -> Array:
        return means.inverse_where_negative(means.at_least(x, self.eps), p)

    def result(self, s: Array, t: Any, count: Any, unit: Any, p: Any) -> Array:
        return self.root(s / count, unit, p)

    def gradients(self, x: Array, w: Array, unit: Any, p: Any, by_s: Callable[[], Array],
                  by_y: Callable[[], Array]) -> tuple[Array, ...]:
        slopes = self.slopes(means.at_least(x, self.eps), w)
        slopes *= x >= self.eps
        return (slopes * by_y(),)

    def slope(self, x: Array) -> Any:
        return x >= self.eps

    def value(self, x: Array) -> Array:
        return np.asarray(np.log(means.at_least(x, self.eps)))

    def parameter(self, d: Array, s: Array, t: Array, y: Array, p: Any) -> Array:
        return np.where(d == 0, 0, d * y / p * (t / s - np.log(y)))


class LogSumExp(means.Exponential):
    """``log(mean of exp(p x)) / p``; a logarithm near 1 needs all its bits."""

    wide = True
    uses_count = True

    def kinds(self, p: Any, learned: bool = False) -> fused.Kinds | None:
        if not 2.0**-100 <= abs(p) <= 2.0**100:
            return None
        value = fused.ELEMENTS if learned else fused.LESS_ONE
        wide = learned and abs(p) < 0.5             # the gradient of p is a difference, twice divided by it
        return fused.Kinds(fused.EXPONENTIALS, value, fused.LOGARITHM, fused.OF_WEIGHTS, factor=p, wide=wide)

    def u(self, x: Array, z: Any, p: Any) -> Array:
        return np.asarray(x * p)

    def extreme(self, largest_u: Array, p: Any) -> tuple[Array, Array]:
        return ~np.isfinite(largest_u), largest_u / p

    def result(self, s: Array, t: Any, count: Any, unit: Any, p: Any) -> Array:
        return np.asarray((np.log(s / count) + (0 if unit is None else unit)) / p)

    def gradients(self, x: Array, w: Array, unit: Any, p: Any, by_s: Callable[[], Array],
                  by_y: Callable[[], Array]) -> tuple[Array, ...]:
        return (w * by_s(),)

    def parameter(self, d: Array, s: Array, t: Array, y: Array, p: Any) -> Array:
        return np.asarray(d * (t / s - y) / p)


def run(c: Operands, mean: means.Mean, p: Any, out: Any, keepdims: bool = True) -> Array:
    """The result of a call of one of these means."""
    y, full = c.out(out, keepdims=keepdims)
    means.forward(means.Job(mean, c.x, None, p, c.windows, c.last, c.policy == "omit"), full, c.threads)
    return y


def run_backward(c: Operands, mean: means.Mean, p: Any, grad_output: Any, out: Any) -> tuple[Array, Any]:
    """The gradient of x, and the parameter's in p's shape."""
    grad = c.grad(grad_output)
    result, full = c.grad_out(out, grad)
    made = means.backward(means.Job(mean, c.x, None, p, c.windows, c.last), grad, (full,), c.threads)
    return result, made


# ---------------------------------------------------------------------------- Lp

def power_of(norm_type: Any) -> float:
    p = arguments.number("norm_type", norm_type)
    if p == 0:
        raise ValueError(f"norm_type must not be 0, got {arguments.show(norm_type)}")
    return p


def lp(x: Any, ndim: int, norm_type: Any, windows_for: Fit, torch_compat: Any, data_format: Any, nan_policy: Any,
       out: Any, num_threads: Any, keepdims: bool = True) -> Array:
    c, p = operands(ndim, x, windows_for, data_format, nan_policy, num_threads), power_of(norm_type)
    compat = arguments.flag("torch_compat", torch_compat)
    if np.isinf(p):
        y, full = c.out(out, keepdims=keepdims)
        which = ("omit_" if c.policy == "omit" else "") + ("max" if p > 0 else "min")
        dispatch.reduce_windows(np.abs(c.x), full, c.windows, which, last=c.last, num_threads=c.threads)
        return y
    return run(c, SignedLp(c.windows.taps) if compat else Lp(), p, out, keepdims)


def lp_backward(grad_output: Any, x: Any, ndim: int, norm_type: Any, windows_for: Fit, torch_compat: Any,
                data_format: Any, out: Any, num_threads: Any, drops: bool = False) -> Array:
    c, p = operands(ndim, x, windows_for, data_format, num_threads=num_threads, drops=drops), power_of(norm_type)
    compat = arguments.flag("torch_compat", torch_compat)
    if np.isinf(p):
        grad = c.grad(grad_output)
        result, full = c.grad_out(out, grad)
        size, chosen = np.abs(c.x), np.empty(c.full, np.int64)
        values = np.empty(c.full, arguments.native(c.x.dtype))
        pooling = dispatch.Pooling(c.x.shape, size.dtype, c.full, values.dtype, c.windows,
                                            "arg_max" if p > 0 else "arg_min", c.last)
        pooling(size, values, chosen, False, c.threads)
        dispatch.add_chosen(grad, chosen, full, None, last=c.last, num_threads=c.threads)
        np.multiply(result, np.sign(c.x.reshape(c.given)), out=result, where=result != 0)
        return result
    return run_backward(c, SignedLp(c.windows.taps) if compat else Lp(), p, grad_output, out)[0]


def _lp_pool(ndim: int, x: ArrayLike, norm_type: float, kernel_size: IntOrInts, stride: IntOrInts | None = None,
             ceil_mode: bool = False, *, padding: Padding = 0, dilation: IntOrInts = 1, torch_compat: bool = False,
             data_format: Format = "channels_first", nan_policy: NanPolicy = "propagate", out: Array | None = None,
             num_threads: int | None = None) -> Array:
    """The Lp norm of {n}D windows.

    ``y = (sum over taps of |x| ** p) ** (1 / p)`` for ``p = norm_type``: 1 sums sizes, 2 is the Euclidean norm,
    infinity the largest size. No power overflows or vanishes where the norm itself does not.

    Parameters
    ----------
    x : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
    norm_type : float
        p: any number but 0 and NaN; infinite ones as well.
    torch_compat : bool
        Compute what PyTorch does instead: ``(sum of x ** p * kernel / taps) ** (1 / p)``, `kernel` being the taps of a
        full window. It takes no absolute values (odd powers may cancel, or give NaN), scales windows at the edge up,
        and overflows where powers do.
    kernel_size, stride, ceil_mode, padding, dilation, data_format, nan_policy, out, num_threads
        As for :func:`cypool.max_pool{n}d`. Padding adds nothing.

    Returns
    -------
    y : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d`; ValueError for a `norm_type` of 0 or NaN.

    See Also
    --------
    lp_pool{n}d_backward, global_lp_pool, gem_pool{n}d

    References
    ----------
    .. [1] P. Sermanet, S. Chintala, Y. LeCun, "Convolutional neural networks applied to house numbers digit
       classification", 2012.

    Examples
    --------
    {example}
    """
    return lp(x, ndim, norm_type, fit(kernel_size, stride, padding, dilation, ceil_mode), torch_compat, data_format,
              nan_policy, out, num_threads)


def _lp_pool_backward(ndim: int, grad_output: ArrayLike, x: ArrayLike, norm_type: float, kernel_size: IntOrInts,
                      stride: IntOrInts | None = None, ceil_mode: bool = False, *, padding: Padding = 0,
                      dilation: IntOrInts = 1, torch_compat: bool = False, data_format: Format = "channels_first",
                      out: Array | None = None, num_threads: int | None = None) -> Array:
    """The gradient of :func:`lp_pool{n}d` with respect to its input.

    ``dy / dx = sign(x) * (|x| / y) ** (p - 1)``, and 0 where y or x is 0; for infinite p the gradient goes to the
    first element of that size.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    x : array_like of float
        The forward's input.
    norm_type, kernel_size, stride, ceil_mode, padding, dilation, torch_compat, data_format
        The forward's.
    out, num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    grad_x : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.lp_pool{n}d`; ValueError if grad_output does not have the output's shape.

    See Also
    --------
    lp_pool{n}d

    References
    ----------
    .. [1] P. Sermanet, S. Chintala, Y. LeCun, "Convolutional neural networks applied to house numbers digit
       classification", 2012.

    Examples
    --------
    {example}
    """
    return lp_backward(grad_output, x, ndim, norm_type, fit(kernel_size, stride, padding, dilation, ceil_mode),
                       torch_compat, data_format, out, num_threads)


lp_pool1d, lp_pool2d, lp_pool3d = dimensions(_lp_pool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([3.0, -4.0, 0.0, 1.0]).reshape({row}4)
    >>> cypool.lp_pool{n}d(x, 2, {pair}).ravel()
    array([5., 1.])
    """)

lp_pool1d_backward, lp_pool2d_backward, lp_pool3d_backward = dimensions(_lp_pool_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([3.0, -4.0, 0.0, 1.0]).reshape({row}4)
    >>> cypool.lp_pool{n}d_backward(np.full(({row}2), 5.0), x, 2, {pair}).ravel()
    array([ 3., -4.,  0.,  5.])
    """)


def whole(name: str, x: Any, data_format: Any) -> tuple[Array, int, Fit]:
    """An array, its spatial axes, and the window that is all of them."""
    given = arguments.array(name, x)
    ndim = dimension(name, given.ndim)
    return given, ndim, fit(*whole_window(name, given.shape, data_format))


def global_lp_pool(x: ArrayLike, norm_type: float, *, keepdims: bool = True, data_format: Format = "channels_first",
                   nan_policy: NanPolicy = "propagate", out: Array | None = None,
                   num_threads: int | None = None) -> Array:
    """The Lp norm of each channel: ``y = (sum of |x| ** p) ** (1 / p)`` for ``p = norm_type``.

    Parameters
    ----------
    x : array_like of float, shape (N, C, ...) with one to three spatial axes
    norm_type : float
        p: any number but 0 and NaN; infinite ones as well.
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
        As :func:`cypool.lp_pool2d`.

    See Also
    --------
    global_lp_pool_backward, lp_pool2d, global_gem_pool

    References
    ----------
    .. [1] P. Sermanet, S. Chintala, Y. LeCun, "Convolutional neural networks applied to house numbers digit
       classification", 2012.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.global_lp_pool(np.array([[[3.0, -4.0, 0.0]]]), 2, keepdims=False)
    array([[5.]])
    """
    given, ndim, windows_for = whole("x", x, data_format)
    return lp(given, ndim, norm_type, windows_for, False, data_format, nan_policy, out, num_threads,
              arguments.flag("keepdims", keepdims))


def global_lp_pool_backward(grad_output: ArrayLike, x: ArrayLike, norm_type: float, *,
                            data_format: Format = "channels_first", out: Array | None = None,
                            num_threads: int | None = None) -> Array:
    """The gradient of :func:`global_lp_pool` with respect to its input.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output, its spatial axes kept or dropped.
    x : array_like of float
        The forward's input.
    norm_type : float
        The forward's.
    data_format, out, num_threads
        As for :func:`cypool.max_pool2d`.

    Returns
    -------
    grad_x : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.lp_pool2d_backward`.

    See Also
    --------
    global_lp_pool

    References
    ----------
    .. [1] P. Sermanet, S. Chintala, Y. LeCun, "Convolutional neural networks applied to house numbers digit
       classification", 2012.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.global_lp_pool_backward(np.array([[5.0]]), np.array([[[3.0, -4.0, 0.0]]]), 2)
    array([[[ 3., -4.,  0.]]])
    """
    given, ndim, windows_for = whole("x", x, data_format)
    return lp_backward(grad_output, given, ndim, norm_type, windows_for, False, data_format, out, num_threads, True)


# ---------------------------------------------------------------------------- GeM

def exponent(name: str, p: Any, c: Operands) -> float | Array:
    """A parameter that must not be 0, ready to broadcast."""
    value = arguments.parameter(name, p, (c.channels,))
    if np.any(np.equal(value, 0)):
        raise ValueError(f"{name} must not be 0, got {arguments.show(p)}")
    return c.per_channel(value) if isinstance(value, np.ndarray) else value


def least(eps: Any) -> float:
    value = arguments.number("eps", eps)
    if not 0 < value < np.inf:
        raise ValueError(f"eps must be positive and finite, got {arguments.show(eps)}")
    return value


def _gem_pool(ndim: int, x: ArrayLike, p: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None,
              padding: Padding = 0, dilation: IntOrInts = 1, ceil_mode: bool = False, *, eps: float = 1e-6,
              data_format: Format = "channels_first", nan_policy: NanPolicy = "propagate", out: Array | None = None,
              num_threads: int | None = None) -> Array:
    """The generalised mean of {n}D windows.

    ``y = (mean over taps of max(x, eps) ** p) ** (1 / p)``: 1 is the average, larger p come nearer to the maximum.

    Parameters
    ----------
    x : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
    p : float, or array_like of shape (C,)
        The exponent, for all channels or for each; not 0.
    eps : float
        Smaller elements count as this one.
    kernel_size, stride, padding, dilation, ceil_mode, data_format, nan_policy, out, num_threads
        As for :func:`cypool.max_pool{n}d`. Padding is not part of the mean.

    Returns
    -------
    y : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d`; ValueError for an exponent that is 0 or not finite.

    See Also
    --------
    gem_pool{n}d_backward, global_gem_pool, lp_pool{n}d

    References
    ----------
    .. [1] F. Radenović, G. Tolias, O. Chum, "Fine-tuning CNN image retrieval with no human annotation", 2018.

    Examples
    --------
    {example}
    """
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, nan_policy, num_threads)
    return run(c, GeM(least(eps)), exponent("p", p, c), out)


def _gem_pool_backward(ndim: int, grad_output: ArrayLike, x: ArrayLike, p: ArrayLike, kernel_size: IntOrInts,
                       stride: IntOrInts | None = None, padding: Padding = 0, dilation: IntOrInts = 1,
                       ceil_mode: bool = False, *, eps: float = 1e-6, data_format: Format = "channels_first",
                       out: Array | None = None, num_threads: int | None = None) -> tuple[Array, Any]:
    """The gradients of :func:`gem_pool{n}d` with respect to its input and its exponent.

    With N taps, ``dy / dx = (max(x, eps) / y) ** (p - 1) / N`` where x is at least eps, else 0; and
    ``dy / dp = y / p * (sum(x ** p * log x) / sum(x ** p) - log y)``.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    x : array_like of float
        The forward's input.
    p, kernel_size, stride, padding, dilation, ceil_mode, eps, data_format
        The forward's.
    out : ndarray, optional
        For grad_x.
    num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    grad_x : ndarray
        Of x's dtype.
    grad_p : float, or ndarray of shape (C,)

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.gem_pool{n}d`; ValueError if grad_output does not have the output's shape.

    See Also
    --------
    gem_pool{n}d

    References
    ----------
    .. [1] F. Radenović, G. Tolias, O. Chum, "Fine-tuning CNN image retrieval with no human annotation", 2018.

    Examples
    --------
    {example}
    """
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, num_threads=num_threads)
    grad, made = run_backward(c, GeM(least(eps)), exponent("p", p, c), grad_output, out)
    return grad, learned(made, p)


gem_pool1d, gem_pool2d, gem_pool3d = dimensions(_gem_pool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 7.0, 4.0, 4.0]).reshape({row}4)
    >>> cypool.gem_pool{n}d(x, 2, {pair}).ravel()
    array([5., 4.])
    """)

gem_pool1d_backward, gem_pool2d_backward, gem_pool3d_backward = dimensions(_gem_pool_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 7.0, 4.0, 4.0]).reshape({row}4)
    >>> grad_x, grad_p = cypool.gem_pool{n}d_backward(np.ones(({row}2)), x, 2, {pair})
    >>> grad_x.ravel(), round(float(grad_p), 3)
    (array([0.1, 0.7, 0.5, 0.5]), 0.744)
    """)


def global_gem_pool(x: ArrayLike, p: ArrayLike, *, eps: float = 1e-6, keepdims: bool = True,
                    data_format: Format = "channels_first", nan_policy: NanPolicy = "propagate",
                    out: Array | None = None, num_threads: int | None = None) -> Array:
    """The generalised mean of each channel: ``y = (mean of max(x, eps) ** p) ** (1 / p)``.

    Parameters
    ----------
    x : array_like of float, shape (N, C, ...) with one to three spatial axes
    p : float, or array_like of shape (C,)
        The exponent, for all channels or for each; not 0. The paper starts at 3.
    eps : float
        Smaller elements count as this one.
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
        As :func:`cypool.gem_pool2d`.

    See Also
    --------
    global_gem_pool_backward, gem_pool2d, global_lp_pool

    References
    ----------
    .. [1] F. Radenović, G. Tolias, O. Chum, "Fine-tuning CNN image retrieval with no human annotation", 2018.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> cypool.global_gem_pool(np.array([[[1.0, 2.0, 3.0, 4.0]]]), 3, keepdims=False)
    array([[2.92401774]])
    """
    given, ndim, windows_for = whole("x", x, data_format)
    c = operands(ndim, given, windows_for, data_format, nan_policy, num_threads)
    return run(c, GeM(least(eps)), exponent("p", p, c), out, arguments.flag("keepdims", keepdims))


def global_gem_pool_backward(grad_output: ArrayLike, x: ArrayLike, p: ArrayLike, *, eps: float = 1e-6,
                             data_format: Format = "channels_first", out: Array | None = None,
                             num_threads: int | None = None) -> tuple[Array, Any]:
    """The gradients of :func:`global_gem_pool` with respect to its input and its exponent.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output, its spatial axes kept or dropped.
    x : array_like of float
        The forward's input.
    p, eps, data_format
        The forward's.
    out : ndarray, optional
        For grad_x.
    num_threads
        As for :func:`cypool.max_pool2d`.

    Returns
    -------
    grad_x : ndarray
        Of x's dtype.
    grad_p : float, or ndarray of shape (C,)

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.gem_pool2d_backward`.

    See Also
    --------
    global_gem_pool

    References
    ----------
    .. [1] F. Radenović, G. Tolias, O. Chum, "Fine-tuning CNN image retrieval with no human annotation", 2018.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[[1.0, 2.0, 3.0, 4.0]]])
    >>> grad_x, grad_p = cypool.global_gem_pool_backward(np.ones((1, 1)), x, 3)
    >>> grad_x.round(4), round(float(grad_p), 4)
    (array([[[0.0292, 0.117 , 0.2632, 0.4678]]]), 0.1621)
    """
    given, ndim, windows_for = whole("x", x, data_format)
    c = operands(ndim, given, windows_for, data_format, num_threads=num_threads, drops=True)
    grad, made = run_backward(c, GeM(least(eps)), exponent("p", p, c), grad_output, out)
    return grad, learned(made, p)


# ---------------------------------------------------------------------------- log-sum-exp

def _lse_pool(ndim: int, x: ArrayLike, r: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None,
              padding: Padding = 0, dilation: IntOrInts = 1, ceil_mode: bool = False, *,
              data_format: Format = "channels_first", nan_policy: NanPolicy = "propagate", out: Array | None = None,
              num_threads: int | None = None) -> Array:
    """The log-sum-exp mean of {n}D windows: a smooth maximum.

    ``y = log(mean over taps of exp(r * x)) / r``: small r come near the average, large r near the maximum.

    Parameters
    ----------
    x : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
    r : float, or array_like of shape (C,)
        For all channels or for each; not 0. Negative ones come near the minimum.
    kernel_size, stride, padding, dilation, ceil_mode, data_format, nan_policy, out, num_threads
        As for :func:`cypool.max_pool{n}d`. Padding is not part of the mean.

    Returns
    -------
    y : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d`; ValueError for an r that is 0 or not finite.

    See Also
    --------
    lse_pool{n}d_backward, soft_pool{n}d, gem_pool{n}d

    References
    ----------
    .. [1] P. O. Pinheiro, R. Collobert, "From image-level to pixel-level labeling with convolutional networks", 2015.

    Examples
    --------
    {example}
    """
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, nan_policy, num_threads)
    return run(c, LogSumExp(), exponent("r", r, c), out)


def _lse_pool_backward(ndim: int, grad_output: ArrayLike, x: ArrayLike, r: ArrayLike, kernel_size: IntOrInts,
                       stride: IntOrInts | None = None, padding: Padding = 0, dilation: IntOrInts = 1,
                       ceil_mode: bool = False, *, data_format: Format = "channels_first", out: Array | None = None,
                       num_threads: int | None = None) -> tuple[Array, Any]:
    """The gradients of :func:`lse_pool{n}d` with respect to its input and to r.

    With ``w = exp(r x) / sum of exp(r x)`` over the window, ``dy / dx = w`` and ``dy / dr = (sum of w x - y) / r``.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    x : array_like of float
        The forward's input.
    r, kernel_size, stride, padding, dilation, ceil_mode, data_format
        The forward's.
    out : ndarray, optional
        For grad_x.
    num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    grad_x : ndarray
        Of x's dtype.
    grad_r : float, or ndarray of shape (C,)

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.lse_pool{n}d`; ValueError if grad_output does not have the output's shape.

    See Also
    --------
    lse_pool{n}d

    References
    ----------
    .. [1] P. O. Pinheiro, R. Collobert, "From image-level to pixel-level labeling with convolutional networks", 2015.

    Examples
    --------
    {example}
    """
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, num_threads=num_threads)
    grad, made = run_backward(c, LogSumExp(), exponent("r", r, c), grad_output, out)
    return grad, learned(made, r)


lse_pool1d, lse_pool2d, lse_pool3d = dimensions(_lse_pool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 2.0, 900.0, 990.0]).reshape({row}4)
    >>> cypool.lse_pool{n}d(x, 2, {pair}).ravel().round(3)
    array([  1.717, 989.653])
    """)

lse_pool1d_backward, lse_pool2d_backward, lse_pool3d_backward = dimensions(_lse_pool_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 2.0, 3.0, 3.0]).reshape({row}4)
    >>> grad_x, grad_r = cypool.lse_pool{n}d_backward(np.ones(({row}2)), x, 2, {pair})
    >>> grad_x.ravel().round(4), round(float(grad_r), 4)
    (array([0.1192, 0.8808, 0.5   , 0.5   ]), 0.082)
    """)
