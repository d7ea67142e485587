"""Unpooling, the way back: maxima put where they were, averages spread over their windows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from cypool import arguments, dispatch, windows
from cypool.dimensions import dimensions, plain
from cypool.pieces import cut_planes, planes
from cypool.windowed import Array, Fit, Format, IntOrInts, add_in, spread
from cypool.windows import Windows, regular

OutputSize = Sequence[SupportsIndex] | None
Scale = Literal["adjoint", "copy"]

#: Channels side by side of which the kernel puts positions down at once (BLOCK in source.pxi).
MOST_CHANNELS = 1 << 12


# ---------------------------------------------------------------------------- windows

def _unpooled(counts: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, size: Any) -> Windows:
    """The windows that pooling an array of the size wanted has: as many as `counts`."""
    ndim = len(counts)
    kernel = arguments.per_axis("kernel_size", kernel_size, ndim, 1)
    strides = kernel if stride is None else arguments.per_axis("stride", stride, ndim, 1)
    pads = arguments.per_axis("padding", padding, ndim, 0)
    if any(p >= k for p, k in zip(pads, kernel, strict=True)):
        raise ValueError("padding must leave every window at least one element: less than kernel_size on each axis, "
                         f"got padding={pads} with kernel_size={kernel}")
    usual = tuple((n - 1) * s + k - 2 * p for n, s, k, p in zip(counts, strides, kernel, pads, strict=True))
    sizes = usual if size is None else _sizes(size, usual, strides)
    if any(n < 1 or n > arguments.LARGEST for n in sizes):
        raise ValueError(f"padding must leave an output of at least one element on each axis, got sizes {sizes} "
                         f"with kernel_size={kernel}, stride={strides}, padding={pads}")
    return _windows(sizes, counts, kernel, strides, pads)


@lru_cache(maxsize=1024)
def _windows(sizes: tuple[int, ...], counts: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...],
             pads: tuple[int, ...]) -> Windows:
    """So many windows of an array of these sizes: pooling in floor mode would leave out one that overhangs."""
    windows = regular(sizes, kernel, strides, tuple((p, p) for p in pads), (1,) * len(sizes), True)
    return Windows(tuple(axis if axis.out == n else replace(axis, out=n)
                         for axis, n in zip(windows.axes, counts, strict=True)))


def _sizes(size: Any, usual: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    """output_size, checked: less than a stride from the usual size."""
    ndim = len(usual)
    given = arguments.shape("output_size", size)
    if len(given) not in (ndim, ndim + 2):
        raise ValueError(f"output_size must have {ndim} entries, or {ndim + 2} with batch and channels, got {given}")
    given = given[-ndim:]
    for n, u, s in zip(given, usual, strides, strict=True):
        if not u - s < n < u + s:
            raise ValueError(f"output_size must be less than a stride {strides} from {usual} on each axis, got {given}")
    return given


def _fits(windows: Windows) -> Windows:
    """The same windows, if each has an element."""
    if not windows.valid or any((a.out - 1) * a.stride - a.padding >= a.size for a in windows.axes):
        raise ValueError("output_size must leave every window at least one element, got "
                         f"{tuple(axis.size for axis in windows.axes)}")
    return windows


# ---------------------------------------------------------------------------- max

class _Placed:
    """The checked arguments of max unpooling: its windows, and where indices point.

    A whole is an array of the unpooled size, items are what is placed in it.
    """

    def __init__(self, ndim: int, name: str, items: tuple[int, ...], indices: Any, kernel_size: Any, stride: Any,
                 padding: Any, size: Any, data_format: Any) -> None:
        self.last = arguments.channels_last(data_format, ndim)
        self.items = arguments.batched_shape(name, items, ndim)
        windows = _unpooled(arguments.spatial(name, self.items, self.last), kernel_size, stride, padding, size)
        self.whole = arguments.shape("the result", arguments.with_spatial(
            self.items, tuple(axis.size for axis in windows.axes), self.last))
        self.given = self.whole[len(self.whole) - len(items):]
        self.locate(indices, items, windows)

    def locate(self, indices: Any, items: tuple[int, ...], windows: Windows | None) -> None:
        """Indices of uint8 are ordinals of taps, others flat positions."""
        index = arguments.array("indices", indices)
        self.base = self.offset = None
        if index.dtype == np.uint8 and windows is not None:
            if index.shape != items:
                raise ValueError(f"indices must have the shape of x {items}, got {index.shape}")
            if windows.taps > 256:
                raise ValueError(f"indices must not be uint8, which are ordinals, for windows of more than 256 taps, "
                                 f"got windows of {windows.taps}")
            _refuse_padding(index.reshape(self.items), windows, self.last)
            self.base, self.offset = _places(windows)
            if self.last and self.items[-1] > MOST_CHANNELS:
                index = self.offset[np.minimum(index, windows.taps - 1)] + np.where(
                    index < windows.taps, self.base.reshape(*windows.shape, 1), -(1 << 62))
                self.base = self.offset = None
        else:
            index = arguments.indices(index, items, False)
        self.index = index.reshape(self.items)

    def flat(self, a: Array) -> Array:
        """A view as (planes, elements, channels side by side)."""
        sizes = a.shape[1:-1] if self.last else a.shape[2:]
        lead, inner = (a.shape[0], a.shape[-1]) if self.last else (a.shape[0] * a.shape[1], 1)
        return a.reshape(lead, math.prod(sizes), inner)

    def pieces(self, whole: Array, items: Array) -> Iterator[tuple[Array, Array, Array]]:
        """Whole, items and indices of some planes at a time, all C-contiguous: (planes, elements, channels)."""
        contiguous = all(a.flags.c_contiguous and a.flags.aligned for a in (whole, items, self.index))
        everything = [(slice(0, self.whole[0]), slice(None))]
        for batch, channels in everything if contiguous else planes(self.whole, self.last):
            parts = [cut_planes(a, batch, channels, self.last) for a in (whole, items, self.index)]
            first, second, third = (self.flat(np.ascontiguousarray(part)) for part in parts)
            yield first, second, third
            if not np.may_share_memory(first, whole) and whole.flags.writeable:
                parts[0][...] = first.reshape(parts[0].shape)
            if not np.may_share_memory(second, items) and items.flags.writeable:
                parts[1][...] = second.reshape(parts[1].shape)

    def move(self, whole: Array, items: Array, back: bool, threads: int | None) -> None:
        """Place the items in the whole, or pick them there."""
        kernels, used = dispatch.irregular_kernels(), dispatch.threads_for(max(whole.size, items.size), threads)
        move = kernels.pick if back else kernels.place
        bits = np.dtype(f"u{whole.dtype.itemsize}")
        for w, i, index in self.pieces(whole, items):
            if not w.size or not i.size:
                w[...] = 0
                continue
            flat = index.ravel()
            if not move(w.view(bits), i.view(bits), flat, self.base, self.offset, used):
                wrong = flat[(flat < 0) | (flat >= w.shape[1])] if self.base is None else flat
                raise ValueError(f"indices must be at least 0 and less than the output's spatial volume {w.shape[1]}, "
                                 f"got {wrong[0] if self.base is None else 'ordinals of other windows'}")


def _places(windows: Windows) -> tuple[Array, Array]:
    """The flat position of each window's first tap, and how far each tap is from it."""
    base, offset = np.zeros((1,), np.int64), np.zeros((1,), np.int64)
    for axis in windows.axes:
        first = np.arange(axis.out) * axis.stride - axis.padding if axis.table is None else axis.table[0]
        base = np.add.outer(base * axis.size, first).ravel()
        offset = np.add.outer(offset * axis.size, np.arange(axis.kernel) * axis.dilation).ravel()
    return base, offset


def _refuse_padding(index: Array, lies: Windows, last: bool) -> None:
    """Ordinals of taps on padding are wrong, though their flat positions may be some element's."""
    for i, axis in enumerate(lies.axes):
        first = np.arange(axis.out) * axis.stride - axis.padding
        low, high = np.maximum(0, -first), np.minimum(axis.kernel, axis.size - first)
        cut = np.flatnonzero((low > 0) | (high < axis.kernel))
        if not cut.size:
            continue
        place = i + (1 if last else 2)
        part = np.take(index, cut, axis=place)
        tap = part.astype(np.int16) // math.prod(a.kernel for a in lies.axes[i + 1 :]) % axis.kernel
        shape = tuple(cut.size if k == place else 1 for k in range(index.ndim))
        wrong = part[(tap < low[cut].reshape(shape)) | (tap >= high[cut].reshape(shape))]
        if wrong.size:
            raise ValueError(f"indices must be ordinals of taps on elements, got {wrong[0]}, a tap on padding")


def portable(index: Array, lies: Windows, data_format: Format) -> Array:
    """Ordinals as unpooling takes them: as they are, where kernel size, stride and padding tell what they mean; else as
    flat positions."""
    if index.dtype == np.uint8 and all(axis.table is None and axis.dilation == 1 and axis.padding == axis.after
                                       for axis in lies.axes):
        return index
    ndim = len(lies.axes)
    base, offset = _places(lies)
    if arguments.channels_last(data_format, ndim):
        base = base[:, None]
    shape = index.shape[index.ndim - ndim - 1:] if base.ndim > 1 else index.shape[index.ndim - ndim:]
    return offset[index] + base.reshape(*lies.shape, *shape[ndim:] and (1,))


def _max_unpool(ndim: int, x: ArrayLike, indices: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None,
                padding: IntOrInts = 0, output_size: OutputSize = None, *, data_format: Format = "channels_first",
                out: Array | None = None, num_threads: int | None = None) -> Array:
    """Put maxima back where they were; everything else is 0.

    ``y[n, c, indices[n, c, i]] = x[n, c, i]``. Of several elements at one place the last in row-major order stays.

    Parameters
    ----------
    x : array_like, shape (N, C, {spatial}) or (C, {spatial})
        Bool, integers or floats, any strides and byte order: such as what :func:`max_pool{n}d` gave.
    indices : array_like of int, shaped like x
        Flat positions within one channel's spatial volume of the result, as :func:`max_pool{n}d` gives them. Indices of
        uint8 are ordinals of taps within their windows, as the layer keeps them (`MaxPool{n}d.indices`).
    kernel_size, stride, padding : int or sequence of int
        Those of the pooling; the stride is the kernel size by default.
    output_size : sequence of int, optional
        Sizes of the result, with or without batch and channels: less than a stride from
        ``(n - 1) * stride + kernel_size - 2 * padding``, the default.
    data_format, out, num_threads
        As for :func:`max_pool{n}d`.

    Returns
    -------
    y : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an index is outside, or output_size too far from the default.

    See Also
    --------
    max_unpool{n}d_backward, max_pool{n}d, avg_unpool{n}d

    References
    ----------
    .. [1] M. D. Zeiler, G. W. Taylor, R. Fergus, "Adaptive deconvolutional networks for mid and high level feature
       learning", 2011.

    Examples
    --------
    {example}
    """
    given, threads = arguments.array("x", x), arguments.threads(num_threads)
    arguments.check_dtype("x", given.dtype, arguments.ORDERED)
    placed = _Placed(ndim, "x", given.shape, indices, kernel_size, stride, padding, output_size, data_format)
    dtype = arguments.native(given.dtype)
    y = arguments.out_array(out, placed.given, dtype, given, placed.index)
    items = given.astype(dtype, copy=False).reshape(placed.items)
    placed.move(y.reshape(placed.whole), items, False, threads)
    return y


class _Picked(_Placed):
    """The checked arguments of its gradient."""

    def __init__(self, ndim: int, grad: Array, indices: Any, kernel_size: Any, stride: Any, padding: Any,
                 data_format: Any) -> None:
        self.last = arguments.channels_last(data_format, ndim)
        self.whole = arguments.batched_shape("grad_output", grad.shape, ndim)
        sizes = arguments.spatial("grad_output", self.whole, self.last)
        index = arguments.array("indices", indices)
        self.items = arguments.batched_shape("indices", index.shape, ndim)
        without = [arguments.with_spatial(shape, (), self.last) for shape in (self.items, self.whole)]
        if index.ndim != grad.ndim or without[0] != without[1]:
            raise ValueError("indices must have the batch and channels of grad_output, "
                             f"got shape {index.shape} with grad_output of shape {grad.shape}")
        windows = None
        if index.dtype == np.uint8:
            if kernel_size is None:
                raise TypeError("kernel_size must be the forward's where indices are uint8, ordinals, got None")
            windows = _unpooled(arguments.spatial("indices", self.items, self.last), kernel_size, stride, padding,
                                sizes)
        self.locate(index, index.shape, windows)


def _max_unpool_backward(ndim: int, grad_output: ArrayLike, indices: ArrayLike, kernel_size: IntOrInts | None = None,
                         stride: IntOrInts | None = None, padding: IntOrInts = 0, *,
                         data_format: Format = "channels_first", out: Array | None = None,
                         num_threads: int | None = None) -> Array:
    """The gradient of :func:`max_unpool{n}d` with respect to its input.

    ``grad_x[n, c, i] = grad_output[n, c, indices[n, c, i]]``: also for an element that another one at the same place
    replaced, as in PyTorch.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    indices : array_like of int
        The forward's. Every one is checked.
    kernel_size, stride, padding : int or sequence of int, for ordinals only
        The forward's.
    data_format, out, num_threads
        As for :func:`max_pool{n}d`.

    Returns
    -------
    grad_x : ndarray, shaped like indices
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`max_unpool{n}d`.

    See Also
    --------
    max_unpool{n}d

    References
    ----------
    .. [1] M. D. Zeiler, G. W. Taylor, R. Fergus, "Adaptive deconvolutional networks for mid and high level feature
       learning", 2011.

    Examples
    --------
    {example}
    """
    grad, threads = arguments.array("grad_output", grad_output), arguments.threads(num_threads)
    arguments.check_dtype("grad_output", grad.dtype, arguments.FLOATS)
    picked = _Picked(ndim, grad, indices, kernel_size, stride, padding, data_format)
    dtype = arguments.native(grad.dtype)
    result = arguments.out_array(out, picked.items[len(picked.items) - grad.ndim:], dtype, grad, picked.index)
    picked.move(grad.astype(dtype, copy=False).reshape(picked.whole), result.reshape(picked.items), True, threads)
    return result


# ---------------------------------------------------------------------------- average

def _scale(scale: Any, count_include_pad: Any) -> dispatch.Divide:
    """What elements are divided by as they are spread."""
    counted = arguments.flag("count_include_pad", count_include_pad)
    if not isinstance(scale, str) or scale not in ("adjoint", "copy"):
        raise (ValueError if isinstance(scale, str) else TypeError)(
            f"scale must be 'adjoint' or 'copy', got {arguments.show(scale)}")
    if scale == "copy":
        return None
    return "padded" if counted else "valid"


def _fit(counts: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, size: Any) -> Fit:
    windows = _fits(_unpooled(counts, kernel_size, stride, padding, size))
    return lambda sizes: windows


def _avg_unpool(ndim: int, x: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None,
                padding: IntOrInts = 0, output_size: OutputSize = None, *, scale: Scale = "adjoint",
                count_include_pad: bool = True, data_format: Format = "channels_first", out: Array | None = None,
                num_threads: int | None = None) -> Array:
    """Spread each element over the window that it was the average of; where windows overlap, parts are added.

    With ``scale="adjoint"`` every element is divided by what :func:`avg_pool{n}d` divides by, so that this is its
    adjoint; with ``"copy"`` each element of the window gets it whole: without overlaps the nearest element.

    Parameters
    ----------
    x : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
    kernel_size, stride, padding, output_size
        As for :func:`max_unpool{n}d`.
    scale : {{"adjoint", "copy"}}
        Whether elements are divided.
    count_include_pad : bool
        Whether the divisor counts padding.
    data_format, out, num_threads
        As for :func:`avg_pool{n}d`.

    Returns
    -------
    y : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`max_unpool{n}d`.

    See Also
    --------
    avg_unpool{n}d_backward, avg_pool{n}d, max_unpool{n}d

    References
    ----------
    .. [1] A. Dosovitskiy, J. T. Springenberg, T. Brox, "Learning to generate chairs with convolutional neural
       networks", 2015: unpooling without switches.

    Examples
    --------
    {example}
    """
    given = arguments.array("x", x)
    arguments.check_dtype("x", given.dtype, arguments.FLOATS)
    last = arguments.channels_last(data_format, ndim)
    batch = arguments.batched_shape("x", given.shape, ndim)
    divide = _scale(scale, count_include_pad)
    fit = _fit(arguments.spatial("x", batch, last), kernel_size, stride, padding, output_size)
    whole = arguments.with_spatial(batch, tuple(axis.size for axis in fit(()).axes), last)
    return spread(ndim, given, arguments.shape("the result", whole)[len(whole) - given.ndim:], fit, divide, data_format,
                  out, num_threads)


def _avg_unpool_backward(ndim: int, grad_output: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None,
                         padding: IntOrInts = 0, output_size: OutputSize = None, *, input_size: OutputSize = None,
                         scale: Scale = "adjoint", count_include_pad: bool = True,
                         data_format: Format = "channels_first", out: Array | None = None,
                         num_threads: int | None = None) -> Array:
    """The gradient of :func:`avg_unpool{n}d` with respect to its input: averages, or sums where it copied.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    kernel_size, stride, padding, output_size
        The forward's; grad_output tells output_size, which may be left out.
    input_size : sequence of int, optional
        Spatial sizes of the forward's input: needed where pooling the output would make fewer windows, as after an
        output_size that is less than the default.
    scale, count_include_pad, data_format
        The forward's.
    out, num_threads
        As for :func:`avg_pool{n}d`.

    Returns
    -------
    grad_x : ndarray
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`avg_unpool{n}d`.

    See Also
    --------
    avg_unpool{n}d

    References
    ----------
    .. [1] A. Dosovitskiy, J. T. Springenberg, T. Brox, "Learning to generate chairs with convolutional neural
       networks", 2015: unpooling without switches.

    Examples
    --------
    {example}
    """
    grad = arguments.array("grad_output", grad_output)
    arguments.check_dtype("grad_output", grad.dtype, arguments.FLOATS)
    last = arguments.channels_last(data_format, ndim)
    sizes = arguments.spatial("grad_output", arguments.batched_shape("grad_output", grad.shape, ndim), last)
    if output_size is not None and arguments.shape("output_size", output_size)[-ndim:] != sizes:
        raise ValueError(f"output_size must be that of grad_output {sizes}, got {arguments.show(output_size)}")
    if input_size is None:
        counts = _counts(sizes, kernel_size, stride, padding)
    else:
        counts = arguments.shape("input_size", input_size, ndim)
    fit = _fit(counts, kernel_size, stride, padding, sizes)
    call = add_in(grad, ndim, fit, _scale(scale, count_include_pad), data_format, "propagate", None)
    return call(grad, out, num_threads)                                                # type: ignore[no-any-return]


def _counts(sizes: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any) -> tuple[int, ...]:
    """How many windows there are in floor mode."""
    ndim = len(sizes)
    kernel = arguments.per_axis("kernel_size", kernel_size, ndim, 1)
    strides = kernel if stride is None else arguments.per_axis("stride", stride, ndim, 1)
    pads = arguments.per_axis("padding", padding, ndim, 0)
    counts = tuple(windows.output_size(n, k, s, p, p, 1, False)
                   for n, k, s, p in zip(sizes, kernel, strides, pads, strict=True))
    if any(count < 1 for count in counts):
        raise ValueError(f"kernel_size must not reach beyond the padded gradient, got {kernel} for sizes {sizes} "
                         f"with padding={pads}")
    return counts


# ---------------------------------------------------------------------------- 1D, 2D, 3D

max_unpool1d, max_unpool2d, max_unpool3d = dimensions(_max_unpool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 4.0, 3.0, 2.0]).reshape({row}4)
    >>> y, indices = cypool.max_pool{n}d(x, {pair}, return_indices=True)
    >>> cypool.max_unpool{n}d(y, indices, {pair}).ravel()
    array([0., 4., 3., 0.])
    """)

max_unpool1d_backward, max_unpool2d_backward, max_unpool3d_backward = dimensions(_max_unpool_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> grad = np.array([1.0, 2.0, 3.0, 4.0]).reshape({row}4)
    >>> cypool.max_unpool{n}d_backward(grad, np.array([1, 2]).reshape({row}2)).ravel()
    array([2., 3.])
    """)

avg_unpool1d, avg_unpool2d, avg_unpool3d = dimensions(_avg_unpool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 4.0]).reshape({row}2)
    >>> cypool.avg_unpool{n}d(x, {pair}).ravel()
    array([0.5, 0.5, 2. , 2. ])
    >>> cypool.avg_unpool{n}d(x, {pair}, scale="copy").ravel()
    array([1., 1., 4., 4.])
    """)

avg_unpool1d_backward, avg_unpool2d_backward, avg_unpool3d_backward = dimensions(_avg_unpool_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> grad = np.array([1.0, 2.0, 3.0, 4.0]).reshape({row}4)
    >>> cypool.avg_unpool{n}d_backward(grad, {pair}).ravel()
    array([1.5, 3.5])
    """)
