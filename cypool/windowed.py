"""Windowed pooling: max, min, average and sum over sliding windows, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from cypool import arguments, dispatch
from cypool.dimensions import dimensions, plain, remembered
from cypool.windows import Windows, adjoint, counted, regular, same_padding

Format = Literal["channels_first", "channels_last", "NCL", "NLC", "NCHW", "NHWC", "NCDHW", "NDHWC"]
NanPolicy = Literal["propagate", "omit", "raise"]
IntOrInts = arguments.IntOrInts
Padding = arguments.Padding
Array = NDArray[Any]


# ---------------------------------------------------------------------------- shared steps

def place(sizes: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, dilation: Any,
          ceil_mode: Any) -> Windows:
    """The windows that a caller's arguments describe, checked."""
    ndim = len(sizes)
    kernel = arguments.per_axis("kernel_size", kernel_size, ndim, 1)
    strides = kernel if stride is None else arguments.per_axis("stride", stride, ndim, 1)
    dilations = arguments.per_axis("dilation", dilation, ndim, 1)
    pads = arguments.pads(padding, ndim)
    ceil_mode = arguments.flag("ceil_mode", ceil_mode)
    if isinstance(pads, str):
        pads = tuple(same_padding(n, k, s, d, pads == "same_upper")
                     for n, k, s, d in zip(sizes, kernel, strides, dilations, strict=True))
    windows = regular(sizes, kernel, strides, pads, dilations, ceil_mode)
    if not windows.valid:
        arguments.check_windows(windows, ceil_mode)
    return windows


#: The windows for spatial axes of these sizes.
Fit = Callable[[tuple[int, ...]], Windows]


def fit(kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any) -> Fit:
    return lambda sizes: place(sizes, kernel_size, stride, padding, dilation, ceil_mode)


class Call(dispatch.Ready):
    """A forward call made ready: what follows from its arguments, and from x's shape and dtype.

    Parameters
    ----------
    run : callable ``(x, y, index, used, num_threads)``
        `dispatch.Pooling` or its like, for arrays with a batch axis and every spatial axis.
    windows : Windows
    x_shape, y_shape : tuple of int
        With those axes.
    shape : tuple of int
        The result's own.
    dtype : dtype
        Of the result.
    form : dtype or type, optional
        Of the indices: int64 for flat positions, else ordinals.
    refuse_nan : bool
    """

    __slots__ = ("dtype", "form", "refuse_nan", "run", "shape", "windows", "x_shape", "y_shape")

    def __init__(self, run: Callable[..., None], windows: Windows, x_shape: tuple[int, ...], y_shape: tuple[int, ...],
                 shape: tuple[int, ...], dtype: np.dtype[Any], form: Any, refuse_nan: bool) -> None:
        self.run, self.windows, self.x_shape, self.y_shape = run, windows, x_shape, y_shape
        self.shape, self.dtype, self.form, self.refuse_nan = shape, dtype, form, refuse_nan

    @property
    def counted_in(self) -> Windows | None:
        """What the indices count in, if they are ordinals; None for flat positions."""
        return None if self.form is np.int64 else self.windows

    def __call__(self, x: Array, out: Any = None, num_threads: Any = None) -> Any:
        """y, or y and indices."""
        if self.refuse_nan:
            arguments.refuse_nan(x)
        threads = None if num_threads is None else arguments.threads(num_threads)
        y = np.empty(self.shape, self.dtype) if out is None else arguments.out_array(out, self.shape, self.dtype, x)
        index = None if self.form is None else np.empty(self.shape, self.form)
        self.run(x if x.ndim == len(self.x_shape) else x.reshape(self.x_shape),
                 y if y.ndim == len(self.y_shape) else y.reshape(self.y_shape),      # a view: only axes of length 1
                 index, out is not None, threads)
        if index is not None:
            return y, index
        if isinstance(self.run, dispatch.Pooling) and self.shape == self.y_shape and not self.refuse_nan:
            self.run.shorten(self, self.shape, self.dtype)
        return y


def result_shape(given: tuple[int, ...], batch: tuple[int, ...], spatial: tuple[int, ...], last: bool,
                 keepdims: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape of a result with all its axes, and with those alone that the caller wants."""
    full = arguments.with_spatial(batch, spatial, last)
    return full, full[len(full) - len(given):] if keepdims else arguments.with_spatial(batch, (), last)


def choose(x: Any, ndim: int, which: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any,
           data_format: Any, nan_policy: Any, form: Any, keepdims: bool = True) -> Any:
    """A call of max or min over windows of one size."""
    return choose_in(x, ndim, which, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, nan_policy,
                     form, keepdims)


def choose_in(x: Any, ndim: int, which: str, windows_for: Fit, data_format: Any, nan_policy: Any, form: Any,
              keepdims: bool = True) -> Any:
    """A call of max or min; form: of the indices, if they are wanted."""
    arguments.check_dtype("x", x.dtype, arguments.ORDERED)
    policy = arguments.nan_policy(nan_policy, x.dtype)
    last = arguments.channels_last(data_format, ndim)
    batch = arguments.batched_shape("x", x.shape, ndim)
    windows = windows_for(arguments.spatial("x", batch, last))
    full, shape = result_shape(x.shape, batch, windows.shape, last, keepdims)
    if form is np.uint8 and windows.taps > 256:
        form = np.int32 if windows.taps < 2**31 else np.int64
    dtype = arguments.native(x.dtype)
    reduction = ("omit_" if policy == "omit" else "") + ("" if form is None else "arg_") + which
    pooling = dispatch.Pooling(batch, x.dtype, full, dtype, windows, reduction, last)
    return Call(pooling, windows, batch, full, shape, dtype, form, policy == "raise")


def scatter(ndim: int, grad_output: ArrayLike, indices: Any, input_shape: Any, data_format: Any, out: Any,
            num_threads: Any, windows: Windows | None = None) -> Array:
    """The gradient of operators that choose elements; indices are flat positions, or ordinals within `windows`."""
    grad = arguments.array("grad_output", grad_output)
    arguments.check_dtype("grad_output", grad.dtype, arguments.FLOATS)
    last = arguments.channels_last(data_format, ndim)
    batch = arguments.batched("grad_output", grad, ndim)
    shape = arguments.shape("input_shape", input_shape, grad.ndim)
    full = shape if batch is grad else (1, *shape)
    index = arguments.indices(indices, grad.shape, as_they_are=windows is not None)
    if arguments.with_spatial(full, (), last) != arguments.with_spatial(batch.shape, (), last):
        raise ValueError("input_shape must have the batch and channels of grad_output, "
                         f"got {shape} with grad_output of shape {grad.shape}")
    volume = int(np.prod(arguments.spatial("input_shape", full, last), dtype=object))
    threads = arguments.threads(num_threads)
    result = arguments.out_array(out, shape, arguments.native(grad.dtype), grad, index)
    if not dispatch.add_chosen(batch, index, result if batch is grad else result[None], windows, last=last,
                               used=out is not None, num_threads=threads):
        wrong = index[(index < 0) | (index >= volume)]
        raise ValueError(f"indices must be at least 0 and less than the input's spatial volume {volume}, "
                         f"got {wrong[0] if wrong.size else 'ordinals of other windows'}")
    return result


def add(x: Any, ndim: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any,
        divide: dispatch.Divide, data_format: Any, nan_policy: Any, dtype: Any, keepdims: bool = True) -> Any:
    """A call of sums over windows of one size."""
    return add_in(x, ndim, fit(kernel_size, stride, padding, dilation, ceil_mode), divide, data_format, nan_policy,
                  dtype, keepdims)


def add_in(x: Any, ndim: int, windows_for: Fit, divide: dispatch.Divide, data_format: Any, nan_policy: Any, dtype: Any,
           keepdims: bool = True) -> Any:
    """A call of sums, divided as `divide` says: see `dispatch.Divide`."""
    arguments.check_dtype("x", x.dtype, arguments.NUMBERS)
    policy = arguments.nan_policy(nan_policy, x.dtype)
    last = arguments.channels_last(data_format, ndim)
    batch = arguments.batched_shape("x", x.shape, ndim)
    windows = windows_for(arguments.spatial("x", batch, last))
    natural = arguments.native(x.dtype)
    if natural.kind in "iu":
        natural = np.dtype(np.float64 if divide is not None else np.int64 if natural.kind == "i" else np.uint64)
    chosen = arguments.result_dtype(dtype, natural, arguments.NUMBERS)
    full, shape = result_shape(x.shape, batch, windows.shape, last, keepdims)
    pooling: Callable[..., None] = dispatch.Pooling(batch, x.dtype, full, chosen, windows, "sum", last, divide=divide)
    if policy == "omit":
        pooling = partial(add_present, windows, divide, last)
    return Call(pooling, windows, batch, full, shape, chosen, None, policy == "raise")


def add_present(windows: Windows, divide: dispatch.Divide, last: bool, x: Array, y: Array, index: None, used: bool,
                threads: int | None) -> None:
    """Sums or averages of what is not NaN: one pass adds it up, one counts what is missing."""
    exact = windows.taps > 2**24 or "float64" in (x.dtype.name, y.dtype.name) or y.dtype.kind in "iu"
    total = np.empty(y.shape, np.float64 if exact else np.float32)
    missing = np.empty_like(total)
    dispatch.reduce_windows(x, total, windows, "sum", last=last, nan=1, num_threads=threads)
    if divide is not None:
        dispatch.reduce_windows(x, missing, windows, "sum", last=last, nan=2, num_threads=threads)
        present = taps(windows, False, last) - missing
        by = taps(windows, divide == "padded", last) - missing if isinstance(divide, str) else divide
        with np.errstate(divide="ignore", invalid="ignore"):
            np.divide(total, by, out=total)
        total[present == 0] = np.nan
    if y.dtype.kind in "iu":
        limits = np.iinfo(y.dtype)
        total = np.nan_to_num(np.rint(total), nan=0.0, posinf=np.inf, neginf=-np.inf)
        low, high = total <= limits.min, total >= limits.max
        y[...] = np.where(low | high, 0, total).astype(y.dtype)
        y[low], y[high] = limits.min, limits.max
    else:
        with np.errstate(over="ignore"):
            y[...] = total


def taps(windows: Windows, padded: bool, last: bool) -> Array:
    """How many taps an average counts in each window, ready to broadcast."""
    ndim = len(windows.axes)
    product = np.ones((1,) * ndim)
    for i, axis in enumerate(windows.axes):
        product = product * counted(axis, padded).reshape((-1,) + (1,) * (ndim - 1 - i))
    return product[..., None] if last else product


def spread(ndim: int, grad_output: ArrayLike, input_shape: Any, windows_for: Fit, divide: dispatch.Divide,
           data_format: Any, out: Any, num_threads: Any) -> Array:
    """The gradient of sums and averages: sums over the adjoint windows."""
    grad = arguments.array("grad_output", grad_output)
    arguments.check_dtype("grad_output", grad.dtype, arguments.FLOATS)
    last = arguments.channels_last(data_format, ndim)
    batch = arguments.batched("grad_output", grad, ndim)
    shape = arguments.shape("input_shape", input_shape, grad.ndim)
    full = shape if batch is grad else (1, *shape)
    windows = windows_for(arguments.spatial("input_shape", full, last))
    if batch.shape != arguments.with_spatial(full, windows.shape, last):
        expected = arguments.with_spatial(full, windows.shape, last)
        raise ValueError(f"grad_output must have the shape of the forward's output {expected[-grad.ndim:]}, "
                         f"got {grad.shape}")
    threads = arguments.threads(num_threads)
    result = arguments.out_array(out, shape, arguments.native(grad.dtype), grad)
    if grad.size == 0:
        result[...] = 0
        return result
    if not windows.whole and dispatch.add_chosen(batch, None, result if batch is grad else result[None], windows,
                                                 last=last, divide=divide, used=out is not None, num_threads=threads):
        return result
    once = arguments.with_spatial(full, adjoint(windows).shape, last)
    target = np.empty(once, result.dtype) if once != full else result if batch is grad else result[None]
    dispatch.reduce_windows(batch, target, adjoint(windows), "sum", last=last,
                            divide=divide, forward=None if divide is None else windows, num_threads=threads)
    if once != full:
        result[...] = target if batch is grad else target[0]
    return result


# ---------------------------------------------------------------------------- shapes

def output_shape(input_shape: Sequence[SupportsIndex], kernel_size: IntOrInts, stride: IntOrInts | None = None,
                 padding: Padding = 0, dilation: IntOrInts = 1, ceil_mode: bool = False, *,
                 data_format: Format = "channels_first") -> tuple[int, ...]:
    """The shape that pooling gives an array of `input_shape`.

    Along an axis of `size` elements, with ``extent = (kernel_size - 1) * dilation + 1``, there are::

        floor((size + before + after - extent) / stride) + 1

    windows; in ceil mode the division is rounded up, and the last window is left out if it would start beyond the
    input and the padding before it.

    Parameters
    ----------
    input_shape : sequence of int
        With a batch and a channel axis; one, two or three spatial axes.
    kernel_size, stride, padding, dilation, ceil_mode, data_format
        As for :func:`cypool.max_pool2d`.

    Returns
    -------
    tuple of int

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool2d`.

    Examples
    --------
    >>> import cypool
    >>> cypool.output_shape((8, 64, 112, 112), 3, stride=2, padding=1)
    (8, 64, 56, 56)
    """
    shape = arguments.shape("input_shape", input_shape)
    last = arguments.channels_last(data_format, len(shape) - 2)
    if not 3 <= len(shape) <= 5:
        raise ValueError("input_shape must have a batch axis, a channel axis and one to three spatial axes, "
                         f"got {shape}")
    windows = place(arguments.spatial("input_shape", shape, last), kernel_size, stride, padding, dilation, ceil_mode)
    return arguments.with_spatial(shape, windows.shape, last)


# ---------------------------------------------------------------------------- max and min

def _max_pool(ndim: int, x: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None, padding: Padding = 0,
              dilation: IntOrInts = 1, ceil_mode: bool = False, return_indices: bool = False, *,
              data_format: Format = "channels_first", nan_policy: NanPolicy = "propagate", out: Array | None = None,
              num_threads: int | None = None) -> Any:
    """Max pooling over {n}D windows.

    ``y[n, c, i] = max over taps j of x[n, c, i * stride - padding + j * dilation]``, over the taps that lie in the
    input: padding is never chosen.

    Parameters
    ----------
    x : array_like, shape (N, C, {spatial}) or (C, {spatial})
        Bool, integers or floats, any strides and byte order. Never modified, never copied as a whole.
    kernel_size : int or sequence of int
        Taps of a window along each axis.
    stride : int or sequence of int, optional
        Elements from one window to the next; the kernel size by default.
    padding : int, sequence of int, sequence of (before, after), "valid", "same", "same_upper" or "same_lower"
        Elements added around the input, fewer than a window's extent. "same" gives ``ceil(size / stride)`` windows.
    dilation : int or sequence of int
        Elements from one tap to the next.
    ceil_mode : bool
        Also keep a last window that overhangs the far edge, as PyTorch and ONNX do.
    return_indices : bool
        Also return where in its plane each maximum was.
    data_format : {{"channels_first", "channels_last"}}, or such as "NCHW" and "NHWC"
        Whether x is (N, C, {spatial}) or (N, {spatial}, C).
    nan_policy : {{"propagate", "omit", "raise"}}
        Whether NaN wins, is left out (a window of NaN alone gives NaN), or is an error.
    out : ndarray, optional
        Where to put y: of its shape and dtype, not overlapping x.
    num_threads : int, optional
        See :func:`cypool.set_num_threads`. The result does not depend on it.

    Returns
    -------
    y : ndarray
        Of x's dtype.
    indices : ndarray of int64, only with `return_indices`
        Flat positions within one channel's spatial volume, padding not counted. Of equal elements the first is
        chosen, of several NaN the last, in row-major order; 0.0 and -0.0 are equal.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If a value is wrong: sizes below 1, padding of a window's extent or more, no window, or one without elements.

    See Also
    --------
    max_pool{n}d_backward, min_pool{n}d, avg_pool{n}d

    References
    ----------
    .. [1] K. Yamaguchi, K. Sakamoto, T. Akabane, Y. Fujimoto, "A neural network for speaker-independent isolated word
       recognition", 1990.

    Examples
    --------
    {example}
    """
    return choose(x, ndim, "max", kernel_size, stride, padding, dilation, ceil_mode, data_format, nan_policy,
                  np.int64 if arguments.flag("return_indices", return_indices) else None)


def _min_pool(ndim: int, x: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None, padding: Padding = 0,
              dilation: IntOrInts = 1, ceil_mode: bool = False, return_indices: bool = False, *,
              data_format: Format = "channels_first", nan_policy: NanPolicy = "propagate", out: Array | None = None,
              num_threads: int | None = None) -> Any:
    """Min pooling over {n}D windows: as :func:`max_pool{n}d`, with the smallest element of each window.

    ``y[n, c, i] = min over taps j of x[n, c, i * stride - padding + j * dilation]``.

    Parameters
    ----------
    x : array_like, shape (N, C, {spatial}) or (C, {spatial})
        Bool, integers or floats.
    kernel_size, stride, padding, dilation, ceil_mode, return_indices
        As for :func:`max_pool{n}d`.
    data_format, nan_policy, out, num_threads
        As for :func:`max_pool{n}d`.

    Returns
    -------
    y : ndarray
        Of x's dtype.
    indices : ndarray of int64, only with `return_indices`

    Raises
    ------
    TypeError, ValueError
        As :func:`max_pool{n}d`.

    See Also
    --------
    min_pool{n}d_backward, max_pool{n}d

    References
    ----------
    .. [1] J. Serra, "Image Analysis and Mathematical Morphology", 1982 (erosion by a flat element).

    Examples
    --------
    {example}
    """
    return choose(x, ndim, "min", kernel_size, stride, padding, dilation, ceil_mode, data_format, nan_policy,
                  np.int64 if arguments.flag("return_indices", return_indices) else None)


def _max_pool_backward(ndim: int, grad_output: ArrayLike, indices: ArrayLike, input_shape: Sequence[SupportsIndex], *,
                       data_format: Format = "channels_first", out: Array | None = None,
                       num_threads: int | None = None) -> Array:
    """The gradient of :func:`max_pool{n}d` with respect to its input.

    ``grad_input[indices[i]] += grad_output[i]``: windows that chose the same element add up.

    Parameters
    ----------
    grad_output : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
        The gradient of the forward's output.
    indices : array_like of int, shaped like grad_output
        The forward's. Every one is checked.
    input_shape : sequence of int
        The forward's input shape, with as many axes as grad_output.
    data_format, out, num_threads
        As for :func:`max_pool{n}d`.

    Returns
    -------
    grad_input : ndarray
        Of grad_output's dtype; float16 and bfloat16 are added up in float32 and rounded once.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If shapes do not agree, or an index lies outside the input's spatial volume.

    See Also
    --------
    max_pool{n}d

    References
    ----------
    .. [1] J. Weng, N. Ahuja, T. S. Huang, "Cresceptron: a self-organizing neural network which grows adaptively", 1992.

    Examples
    --------
    {example}
    """
    return scatter(ndim, grad_output, indices, input_shape, data_format, out, num_threads)


def _min_pool_backward(ndim: int, grad_output: ArrayLike, indices: ArrayLike, input_shape: Sequence[SupportsIndex], *,
                       data_format: Format = "channels_first", out: Array | None = None,
                       num_threads: int | None = None) -> Array:
    """The gradient of :func:`min_pool{n}d` with respect to its input: as :func:`max_pool{n}d_backward`.

    Parameters
    ----------
    grad_output : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
    indices : array_like of int, shaped like grad_output
    input_shape : sequence of int
    data_format, out, num_threads
        As for :func:`max_pool{n}d`.

    Returns
    -------
    grad_input : ndarray

    Raises
    ------
    TypeError, ValueError
        As :func:`max_pool{n}d_backward`.

    See Also
    --------
    min_pool{n}d

    References
    ----------
    .. [1] J. Serra, "Image Analysis and Mathematical Morphology", 1982.

    Examples
    --------
    {example}
    """
    return scatter(ndim, grad_output, indices, input_shape, data_format, out, num_threads)


# ---------------------------------------------------------------------------- average and sum

def _avg_pool(ndim: int, x: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None, padding: Padding = 0,
              ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: SupportsIndex | None = None, *,
              dilation: IntOrInts = 1, data_format: Format = "channels_first", nan_policy: NanPolicy = "propagate",
              dtype: DTypeLike | None = None, out: Array | None = None, num_threads: int | None = None) -> Array:
    """Average pooling over {n}D windows.

    ``y[n, c, i] = sum over taps j of x[n, c, i * stride - padding + j * dilation] / divisor``, where the divisor is
    the number of the window's taps that lie in the input, or in the input and its padding with `count_include_pad`
    ("same" padding is never counted), or `divisor_override`.

    Parameters
    ----------
    x : array_like, shape (N, C, {spatial}) or (C, {spatial})
        Integers or floats, any strides and byte order. Never modified, never copied as a whole.
    kernel_size, stride, padding, ceil_mode
        As for :func:`max_pool{n}d`.
    count_include_pad : bool
        Whether padding counts in the divisor. Taps that overhang the padding in ceil mode never do.
    divisor_override : int, optional
        Divide by this instead.
    dilation : int or sequence of int
        Elements from one tap to the next.
    data_format : {{"channels_first", "channels_last"}}, or such as "NCHW" and "NHWC"
        Whether x is (N, C, {spatial}) or (N, {spatial}, C).
    nan_policy : {{"propagate", "omit", "raise"}}
        "omit" takes NaN out of the sum and of the divisor (but not of `divisor_override`).
    dtype : dtype, optional
        Of the result: x's own for floats, float64 for integers by default. An integer dtype gets the average rounded
        half to even and saturated; NaN becomes 0.
    out : ndarray, optional
        Where to put y: of its shape and dtype, not overlapping x.
    num_threads : int, optional
        See :func:`cypool.set_num_threads`. The result does not depend on it.

    Returns
    -------
    y : ndarray
        float16 and bfloat16 are added up in float32, integers exactly.

    Raises
    ------
    TypeError, ValueError
        As :func:`max_pool{n}d`; ValueError also if `divisor_override` is 0.

    See Also
    --------
    avg_pool{n}d_backward, sum_pool{n}d, max_pool{n}d

    References
    ----------
    .. [1] Y. LeCun, B. Boser, J. S. Denker, D. Henderson, R. E. Howard, W. Hubbard, L. D. Jackel, "Handwritten digit
       recognition with a back-propagation network", 1990.

    Examples
    --------
    {example}
    """
    return add(x, ndim, kernel_size, stride, padding, dilation, ceil_mode,             # type: ignore[no-any-return]
               divide(count_include_pad, divisor_override, padding), data_format, nan_policy, dtype)


def divide(count_include_pad: Any, divisor_override: Any, padding: Any) -> dispatch.Divide:
    """What an average divides by: a number, or its "valid" taps, or "padded" ones as well."""
    include = arguments.flag("count_include_pad", count_include_pad)
    override = arguments.divisor(divisor_override)
    if override is None:
        return "padded" if include and not (isinstance(padding, str) and padding != "valid") else "valid"
    return override


def _avg_pool_backward(ndim: int, grad_output: ArrayLike, input_shape: Sequence[SupportsIndex], kernel_size: IntOrInts,
                       stride: IntOrInts | None = None, padding: Padding = 0, ceil_mode: bool = False,
                       count_include_pad: bool = True, divisor_override: SupportsIndex | None = None, *,
                       dilation: IntOrInts = 1, data_format: Format = "channels_first", out: Array | None = None,
                       num_threads: int | None = None) -> Array:
    """The gradient of :func:`avg_pool{n}d` with respect to its input.

    Each element gets ``grad_output[i] / divisor[i]`` from every window i that it is in.

    Parameters
    ----------
    grad_output : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
        The gradient of the forward's output.
    input_shape : sequence of int
        The forward's input shape, with as many axes as grad_output.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation
        The forward's.
    data_format, out, num_threads
        As for :func:`avg_pool{n}d`.

    Returns
    -------
    grad_input : ndarray
        Of grad_output's dtype; float16 and bfloat16 are added up in float32 and rounded once.

    Raises
    ------
    TypeError, ValueError
        As :func:`avg_pool{n}d`; ValueError also if shapes do not agree.

    See Also
    --------
    avg_pool{n}d

    References
    ----------
    .. [1] Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition", 1998.

    Examples
    --------
    {example}
    """
    return spread(ndim, grad_output, input_shape, fit(kernel_size, stride, padding, dilation, ceil_mode),
                  divide(count_include_pad, divisor_override, padding), data_format, out, num_threads)


def _sum_pool(ndim: int, x: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None, padding: Padding = 0,
              ceil_mode: bool = False, *, dilation: IntOrInts = 1, data_format: Format = "channels_first",
              nan_policy: NanPolicy = "propagate", dtype: DTypeLike | None = None, out: Array | None = None,
              num_threads: int | None = None) -> Array:
    """Sum pooling over {n}D windows: as :func:`avg_pool{n}d`, without the division.

    ``y[n, c, i] = sum over taps j of x[n, c, i * stride - padding + j * dilation]``.

    Parameters
    ----------
    x : array_like, shape (N, C, {spatial}) or (C, {spatial})
        Integers or floats.
    kernel_size, stride, padding, ceil_mode, dilation, data_format, nan_policy, out, num_threads
        As for :func:`avg_pool{n}d`.
    dtype : dtype, optional
        Of the result: x's own for floats, int64 or uint64 for integers by default. Integers saturate, they never wrap
        around.

    Returns
    -------
    y : ndarray

    Raises
    ------
    TypeError, ValueError
        As :func:`max_pool{n}d`.

    See Also
    --------
    sum_pool{n}d_backward, avg_pool{n}d

    References
    ----------
    .. [1] F. C. Crow, "Summed-area tables for texture mapping", 1984.

    Examples
    --------
    {example}
    """
    return add(x, ndim, kernel_size, stride, padding, dilation, ceil_mode, None,       # type: ignore[no-any-return]
               data_format, nan_policy, dtype)


def _sum_pool_backward(ndim: int, grad_output: ArrayLike, input_shape: Sequence[SupportsIndex], kernel_size: IntOrInts,
                       stride: IntOrInts | None = None, padding: Padding = 0, ceil_mode: bool = False, *,
                       dilation: IntOrInts = 1, data_format: Format = "channels_first", out: Array | None = None,
                       num_threads: int | None = None) -> Array:
    """The gradient of :func:`sum_pool{n}d` with respect to its input: each element gets ``grad_output[i]`` from every
    window i that it is in.

    Parameters
    ----------
    grad_output : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
    input_shape : sequence of int
    kernel_size, stride, padding, ceil_mode, dilation
        The forward's.
    data_format, out, num_threads
        As for :func:`sum_pool{n}d`.

    Returns
    -------
    grad_input : ndarray

    Raises
    ------
    TypeError, ValueError
        As :func:`avg_pool{n}d_backward`.

    See Also
    --------
    sum_pool{n}d

    References
    ----------
    .. [1] F. C. Crow, "Summed-area tables for texture mapping", 1984.

    Examples
    --------
    {example}
    """
    return spread(ndim, grad_output, input_shape, fit(kernel_size, stride, padding, dilation, ceil_mode), None,
                  data_format, out, num_threads)


# ---------------------------------------------------------------------------- the public functions

_LINE = """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[[1.0, 3.0, 2.0, 4.0, 5.0]]])
    """
_MAP = """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([[[[1.0, 3.0, 2.0, 4.0], [5.0, 2.0, 3.0, 1.0], [4.0, 6.0, 2.0, 7.0], [8.0, 3.0, 1.0, 5.0]]]])
    """
_CUBE = """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.arange(16.0).reshape(1, 1, 2, 2, 4)
    """


def _examples(line: str, image: str, cube: str) -> tuple[str, str, str]:
    return _LINE + line, _MAP + image, _CUBE + cube


max_pool1d, max_pool2d, max_pool3d = dimensions(_max_pool, remembered, _examples(
    """>>> cypool.max_pool1d(x, 2)
    array([[[3., 4.]]])
    >>> cypool.max_pool1d(x, 2, ceil_mode=True)
    array([[[3., 4., 5.]]])""",
    """>>> cypool.max_pool2d(x, 2)
    array([[[[5., 4.],
             [8., 7.]]]])
    >>> y, indices = cypool.max_pool2d(x, 2, return_indices=True)
    >>> indices
    array([[[[ 4,  3],
             [12, 11]]]])""",
    """>>> cypool.max_pool3d(x, 2)
    array([[[[[13., 15.]]]]])"""))

min_pool1d, min_pool2d, min_pool3d = dimensions(_min_pool, remembered, _examples(
    """>>> cypool.min_pool1d(x, 3, stride=1)
    array([[[1., 2., 2.]]])""",
    """>>> cypool.min_pool2d(x, 2)
    array([[[[1., 1.],
             [3., 1.]]]])""",
    """>>> cypool.min_pool3d(x, 2)
    array([[[[[0., 2.]]]]])"""))

max_pool1d_backward, max_pool2d_backward, max_pool3d_backward = dimensions(_max_pool_backward, plain, _examples(
    """>>> y, indices = cypool.max_pool1d(x, 3, stride=1, return_indices=True)
    >>> cypool.max_pool1d_backward(np.ones_like(y), indices, x.shape)
    array([[[0., 1., 0., 1., 1.]]])""",
    """>>> y, indices = cypool.max_pool2d(x, 2, return_indices=True)
    >>> cypool.max_pool2d_backward(np.ones_like(y), indices, x.shape)
    array([[[[0., 0., 0., 1.],
             [1., 0., 0., 0.],
             [0., 0., 0., 1.],
             [1., 0., 0., 0.]]]])""",
    """>>> y, indices = cypool.max_pool3d(x, 2, return_indices=True)
    >>> cypool.max_pool3d_backward(y, indices, x.shape)[0, 0, 1, 1]
    array([ 0., 13.,  0., 15.])"""))

min_pool1d_backward, min_pool2d_backward, min_pool3d_backward = dimensions(_min_pool_backward, plain, _examples(
    """>>> y, indices = cypool.min_pool1d(x, 3, stride=1, return_indices=True)
    >>> cypool.min_pool1d_backward(np.ones_like(y), indices, x.shape)
    array([[[1., 0., 2., 0., 0.]]])""",
    """>>> y, indices = cypool.min_pool2d(x, 2, return_indices=True)
    >>> cypool.min_pool2d_backward(np.ones_like(y), indices, x.shape)[0, 0, 0]
    array([1., 0., 0., 0.])""",
    """>>> y, indices = cypool.min_pool3d(x, 2, return_indices=True)
    >>> cypool.min_pool3d_backward(np.ones_like(y), indices, x.shape)[0, 0, 0, 0]
    array([1., 0., 1., 0.])"""))

avg_pool1d, avg_pool2d, avg_pool3d = dimensions(_avg_pool, remembered, _examples(
    """>>> cypool.avg_pool1d(x, 3, stride=2, padding=1)
    array([[[1.33333333, 3.        , 3.        ]]])
    >>> cypool.avg_pool1d(x, 3, stride=2, padding=1, count_include_pad=False)
    array([[[2. , 3. , 4.5]]])""",
    """>>> cypool.avg_pool2d(x, 2)
    array([[[[2.75, 2.5 ],
             [5.25, 3.75]]]])
    >>> cypool.avg_pool2d(x.astype(np.uint8), 2, dtype=np.uint8)    # half to even
    array([[[[3, 2],
             [5, 4]]]], dtype=uint8)""",
    """>>> cypool.avg_pool3d(x, 2)
    array([[[[[6.5, 8.5]]]]])"""))

avg_pool1d_backward, avg_pool2d_backward, avg_pool3d_backward = dimensions(_avg_pool_backward, plain, _examples(
    """>>> cypool.avg_pool1d_backward(np.ones((1, 1, 4)), x.shape, 2, stride=1)
    array([[[0.5, 1. , 1. , 1. , 0.5]]])""",
    """>>> cypool.avg_pool2d_backward(np.ones((1, 1, 2, 2)), x.shape, 2)[0, 0, 0]
    array([0.25, 0.25, 0.25, 0.25])""",
    """>>> cypool.avg_pool3d_backward(np.ones((1, 1, 1, 1, 2)), x.shape, 2)[0, 0, 0, 0]
    array([0.125, 0.125, 0.125, 0.125])"""))

sum_pool1d, sum_pool2d, sum_pool3d = dimensions(_sum_pool, remembered, _examples(
    """>>> cypool.sum_pool1d(x, 2, stride=1)
    array([[[4., 5., 6., 9.]]])""",
    """>>> cypool.sum_pool2d(x, 2)
    array([[[[11., 10.],
             [21., 15.]]]])""",
    """>>> cypool.sum_pool3d(x, 2)
    array([[[[[52., 68.]]]]])"""))

sum_pool1d_backward, sum_pool2d_backward, sum_pool3d_backward = dimensions(_sum_pool_backward, plain, _examples(
    """>>> cypool.sum_pool1d_backward(np.ones((1, 1, 4)), x.shape, 2, stride=1)
    array([[[1., 2., 2., 2., 1.]]])""",
    """>>> cypool.sum_pool2d_backward(np.ones((1, 1, 2, 2)), x.shape, 2)[0, 0, 0]
    array([1., 1., 1., 1.])""",
    """>>> cypool.sum_pool3d_backward(np.ones((1, 1, 1, 1, 2)), x.shape, 2)[0, 0, 0, 0]
    array([1., 1., 1., 1.])"""))
