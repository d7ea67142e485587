"""Regions of interest: boxes of feature maps pooled to one size, for detection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from cypool import arguments, dispatch
from cypool.irregular import Result, add_chosen, number_of, readable
from cypool.pieces import PIECE, real_of
from cypool.windowed import Array, Format

OutputSize = SupportsIndex | Sequence[SupportsIndex]
Boxes = ArrayLike | Sequence[ArrayLike]
Mode = Literal["avg", "max", "onnx_max"]
Rounding = Literal["torchvision", "onnx"]

#: Coordinates on the map, at most: up to here float32 tells neighbouring elements apart.
FARTHEST = 2**24
#: Samples of a bin along each axis, at most, where callers choose them.
MOST_SAMPLES = 2**10
#: Samples along an axis of a box, at most.
MOST_TAKEN = 2**22
#: Bins along each axis, at most.
MOST_BINS = 2**16


# ---------------------------------------------------------------------------- arguments

def _boxes(boxes: Any, images: int | None) -> tuple[Array, Array]:
    """The image of each box, and its coordinates (K, 4): x1, y1, x2, y2, in float32 or float64."""
    if isinstance(boxes, (list, tuple)) and (not boxes or _is_table(boxes[0])):
        parts = [_coordinates(f"boxes[{i}]", part, 4) for i, part in enumerate(boxes)]
        if images is not None and len(parts) != images:
            raise ValueError(f"boxes must hold one array for each of {images} images, got {len(parts)}")
        image = np.repeat(np.arange(len(parts), dtype=np.int64), [len(part) for part in parts])
        return image, np.concatenate(parts) if parts else np.empty((0, 4), np.float32)
    rows = _coordinates("boxes", boxes, 5)
    first = rows[:, 0]
    last = np.inf if images is None else images - 1
    wrong = first[~((first >= 0) & (first <= last) & (first == np.floor(first)))]
    if wrong.size:
        raise ValueError(f"boxes must begin with a batch index of at least 0 and less than {images}, got {wrong[0]}")
    return first.astype(np.int64), rows[:, 1:]


def _is_table(value: Any) -> bool:
    """Whether a list's first item is the boxes of an image, not one box."""
    return hasattr(value, "ndim") and value.ndim == 2 or isinstance(value, (list, tuple)) and (
        not value or isinstance(value[0], (list, tuple)) or hasattr(value[0], "__len__"))


def _coordinates(name: str, value: Any, columns: int) -> Array:
    given = arguments.array(name, value)
    if given.size == 0 and given.ndim < 2:
        given = np.empty((0, columns), np.float32)
    arguments.check_dtype(name, given.dtype, arguments.NUMBERS)
    if given.ndim != 2 or given.shape[1] != columns:
        raise ValueError(f"{name} must have shape (K, {columns}), got shape {given.shape}")
    real = np.float32 if arguments.dtype_name(given.dtype) in ("float16", "bfloat16", "float32") else np.float64
    with np.errstate(all="ignore"):
        return given.astype(real)


class _Call:
    """A call's arguments, checked: the map, its boxes, and the bins.

    Arrays of results are (boxes, channels, *bins) or (boxes, *bins, channels).
    """

    def __init__(self, shape: tuple[int, ...], boxes: Any, output_size: Any, spatial_scale: Any, data_format: Any,
                 num_threads: Any, apart: bool = False) -> None:
        self.last = arguments.channels_last(data_format, 2)
        if len(shape) != 4:
            raise ValueError("x must have a batch axis, a channel axis and two spatial axes, got shape "
                             f"{shape}")
        self.shape = shape
        self.images, self.channels = shape[0], shape[-1 if self.last else 1]
        self.height, self.width = arguments.spatial("x", shape, self.last)
        if max(self.height, self.width) > FARTHEST:
            raise ValueError(f"x must have at most {FARTHEST} elements along each spatial axis, got shape {shape}")
        self.image, self.corners = _boxes(boxes, self.images)
        self.bins = arguments.bins("output_size", output_size, 2, MOST_BINS)
        self.scale = arguments.number("spatial_scale", spatial_scale)
        if not 0 < self.scale < math.inf:
            raise ValueError(f"spatial_scale must be positive and finite, got {arguments.show(spatial_scale)}")
        with np.errstate(all="ignore"):
            factor = self.corners.dtype.type(self.scale)
            if not 0 < factor < np.inf:
                raise ValueError(f"spatial_scale must be a number that {self.corners.dtype} boxes allow, "
                                 f"got {arguments.show(spatial_scale)}")
            scaled = self.corners * factor
        wrong = ~(np.abs(scaled) <= FARTHEST)
        if wrong.any():
            raise ValueError(f"boxes must be finite and, scaled, at most {FARTHEST} in size, "
                             f"got {self.corners[wrong][0]} with spatial_scale={self.scale}")
        self.scaled = scaled
        self.threads = arguments.threads(num_threads)
        self.made = self.channels
        if apart:
            self.made, rest = divmod(self.channels, self.bins[0] * self.bins[1])
            if rest:
                raise ValueError("x must have a channel for each bin, a multiple of "
                                 f"{self.bins[0]} * {self.bins[1]}, got {self.channels} channels")

    @property
    def full(self) -> tuple[int, ...]:
        """The shape of results."""
        boxes = len(self.image)
        return arguments.shape("the result", (boxes, *self.bins, self.made) if self.last else
                               (boxes, self.made, *self.bins))

    @property
    def work(self) -> int:
        return 4 * math.prod(self.full)

    def grad(self, grad_output: Any) -> Array:
        grad = arguments.array("grad_output", grad_output)
        arguments.check_dtype("grad_output", grad.dtype, arguments.FLOATS)
        if grad.shape != self.full:
            raise ValueError(f"grad_output must have the shape of the forward's output {self.full}, got {grad.shape}")
        return grad

    def results(self, y: Array, channels: slice = slice(None)) -> Array:
        """A view of some channels of results as (boxes, groups, bins, c), see regions.pxi."""
        made = y.shape[-1 if self.last else 1]
        groups, c = (1, made) if self.last else (made, 1)
        y = y.reshape(len(self.image), groups, self.bins[0] * self.bins[1], c)
        return y[..., channels] if self.last else y[:, channels]

    def map(self, x: Array) -> Array:
        """A view of a map as (images, groups, H * W, c)."""
        channels = x.shape[-1 if self.last else 1]
        groups, c = (1, channels) if self.last else (channels, 1)
        return x.reshape(x.shape[0], groups, self.height * self.width, c)

    def slices(self, x: Array, number: np.dtype[Any], step: int = 1) -> list[slice]:
        """Channels to work on at once, `step` of which belong together: all, where x can be read as it is."""
        if readable(x, number):
            return [slice(0, self.channels)]
        some = max(step, PIECE // (self.height * self.width * max(1, self.images)) // step * step)
        return [slice(c, min(self.channels, c + some)) for c in range(0, self.channels, some)]

    def named(self, x: Array, number: np.dtype[Any]) -> tuple[Any, Array]:
        """The images that boxes name, where x has to be converted, else all; and which of them each box is on."""
        if readable(x, number):
            return slice(None), self.image
        images, image = np.unique(self.image, return_inverse=True)
        return (slice(None), self.image) if images.size == self.images else (images, image.astype(np.int64))

    def of(self, a: Array, channels: slice) -> Array:
        """Some channels of an array."""
        return a[..., channels] if self.last else a[:, channels]

    @property
    def threads_used(self) -> int:
        return dispatch.threads_for(self.work, self.threads)


def _bins(low: Array, size: Array, bins: int, elements: int, single: bool) -> Array:
    """Begin and end of each bin along an axis, (boxes, bins, 2), cut to the map."""
    place = np.arange(bins + 1, dtype=np.int64)
    if single:                                      # as frameworks do, in float32
        each = (size.astype(np.float32) / np.float32(bins))[:, None]
        begin = np.floor(place[:-1].astype(np.float32) * each).astype(np.int64)
        end = np.ceil(place[1:].astype(np.float32) * each).astype(np.int64)
    else:
        begin = place[:-1] * size[:, None] // bins
        end = -(-place[1:] * size[:, None] // bins)
    return np.ascontiguousarray(np.clip(np.stack([begin, end], -1) + low[:, None, None], 0, elements))


def _rounded(a: Array) -> Array:
    """To the nearest integer, halves away from zero."""
    return (np.copysign(np.floor(np.abs(a.astype(np.float64)) + 0.5), a)).astype(np.int64)


def _ends(c: _Call, both: int, single: bool) -> tuple[Array, Array]:
    """Rows and columns of the bins; both: 1 where boxes hold their last element."""
    corner = _rounded(c.scaled)
    size = np.maximum(corner[:, 2:] - corner[:, :2] + both, 1)
    return (_bins(corner[:, 1], size[:, 1], c.bins[0], c.height, single),
            _bins(corner[:, 0], size[:, 0], c.bins[1], c.width, single))


# ---------------------------------------------------------------------------- roi_pool

def roi_pool(x: ArrayLike, boxes: Boxes, output_size: OutputSize, spatial_scale: float = 1.0,
             return_indices: bool = False, *, rounding: Rounding = "torchvision",
             data_format: Format = "channels_first", out: Array | None = None, num_threads: int | None = None) -> Any:
    """Max pooling of boxes to one size, on the elements of the map.

    A box's corners are scaled and rounded, halves away from zero; its last row and column belong to it, and it has one
    at least. Of `size` elements along an axis bin ``i`` has those from ``floor(i * size / output_size)`` up to
    ``ceil((i + 1) * size / output_size)``, as far as they are on the map.

    Parameters
    ----------
    x : array_like, shape (N, C, H, W)
        Integers or floats: feature maps.
    boxes : array_like, shape (K, 5), or list of N array_like, shape (L, 4)
        Rows ``(batch index, x1, y1, x2, y2)``, or ``(x1, y1, x2, y2)`` for each image; finite.
    output_size : int or sequence of two
        Bins along height and width, (PH, PW).
    spatial_scale : float
        Elements of the map for one unit of the boxes, such as 1 / 16.
    return_indices : bool
        Also return where on its plane each maximum was.
    rounding : {"torchvision", "onnx"}
        Corners are rounded alike. "torchvision" divides boxes into bins by its formula, exactly; "onnx" does so in
        float32, as ONNX Runtime (and torchvision on float32 maps) do, where a quotient that should be an integer may
        come out above it.
    data_format : {"channels_first", "channels_last"}, or "NCHW" or "NHWC"
    out, num_threads
        As for :func:`cypool.max_pool2d`.

    Returns
    -------
    y : ndarray, shape (K, C, PH, PW), or (K, PH, PW, C)
        Of x's dtype. Bins beside the map give 0.
    indices : ndarray of int64, only with `return_indices`
        Flat positions on the plane, -1 for bins beside the map. Of equal elements the first is chosen, of several NaN
        the last.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If boxes are of another shape, not finite or too large, or of no image; if a size is below 1 or the scale not
        positive.

    See Also
    --------
    roi_pool_backward, roi_align, ps_roi_pool

    References
    ----------
    .. [1] R. Girshick, "Fast R-CNN", 2015.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.arange(1.0, 36.0).reshape(1, 1, 5, 7)
    >>> cypool.roi_pool(x, [[0, 1, 1, 4, 3]], 2)
    array([[[[17., 19.],
             [24., 26.]]]])
    """
    given = arguments.array("x", x)
    arguments.check_dtype("x", given.dtype, arguments.NUMBERS)
    wanted = arguments.flag("return_indices", return_indices)
    if not isinstance(rounding, str) or rounding not in ("torchvision", "onnx"):
        raise (ValueError if isinstance(rounding, str) else TypeError)(
            f"rounding must be 'torchvision' or 'onnx', got {arguments.show(rounding)}")
    c = _Call(given.shape, boxes, output_size, spatial_scale, data_format, num_threads)
    y = arguments.out_array(out, c.full, arguments.native(given.dtype), given, *arguments.arrays(boxes))
    index = np.empty(y.shape, np.int64) if wanted else None
    if y.size:
        _pool_maxima(c, given, *_ends(c, 1, rounding == "onnx"), y, index)
    return (y, index) if wanted else y


def _pool_maxima(c: _Call, x: Array, rows: Array, columns: Array, y: Array, index: Array | None) -> None:
    number = number_of(x.dtype)
    flip = np.uint64(1 << 63) if x.dtype.kind == "u" and x.dtype.itemsize == 8 else None
    result = Result(y, number)
    pool = dispatch.irregular_kernels().pool_regions
    images, image = c.named(x, number)
    for channels in c.slices(x, number):
        part = c.of(x, channels)[images]
        part = part if flip is None else (part ^ flip).view(np.int64)
        made = c.results(result.made, channels)
        places = None if index is None else c.results(index, channels)
        pool(c.map(np.ascontiguousarray(part, number)), c.width, image, rows, columns, made, places, c.threads_used)
    if flip is not None:                            # empty bins are 0, not the least number
        empty = ((rows[..., 1] <= rows[..., 0])[:, :, None] | (columns[..., 1] <= columns[..., 0])[:, None])
        empty = empty[..., None] if c.last else empty[:, None]
        np.copyto(result.made, np.int64(-(1 << 63)), where=empty)
    result.done(flip is not None)


def roi_pool_backward(grad_output: ArrayLike, indices: ArrayLike, boxes: Boxes, input_shape: Sequence[SupportsIndex], *,
                      data_format: Format = "channels_first", out: Array | None = None,
                      num_threads: int | None = None) -> Array:
    """The gradient of :func:`roi_pool` with respect to the map: each goes to its bin's maximum.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    indices : array_like of int, shaped like grad_output
        The forward's; -1 brings nothing. Every one is checked.
    boxes : array_like, or list of array_like
        The forward's, of which the batch indices count.
    input_shape : sequence of int
        The forward's input shape.
    data_format, out, num_threads
        As for :func:`cypool.max_pool2d`.

    Returns
    -------
    grad_x : ndarray
        Of grad_output's dtype. Where bins chose the same element their gradients are added, in the order of the boxes.

    Raises
    ------
    TypeError, ValueError
        As :func:`roi_pool` and :func:`cypool.max_pool2d_backward`.

    See Also
    --------
    roi_pool

    References
    ----------
    .. [1] R. Girshick, "Fast R-CNN", 2015.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x, boxes = np.array([[[[1.0, 4.0], [3.0, 2.0]]]]), [[0, 0, 0, 1, 1], [0, 1, 0, 1, 1]]
    >>> y, indices = cypool.roi_pool(x, boxes, 1, return_indices=True)
    >>> cypool.roi_pool_backward(np.ones_like(y), indices, boxes, x.shape)
    array([[[[0., 2.],
             [0., 0.]]]])
    """
    grad = arguments.array("grad_output", grad_output)
    shape = arguments.shape("input_shape", input_shape, 4)
    last = arguments.channels_last(data_format, 2)
    bins = (grad.shape[1:3] if last else grad.shape[2:]) if grad.ndim == 4 else (1, 1)
    c = _Call(shape, boxes, tuple(max(n, 1) for n in bins), 1.0, data_format, num_threads)
    grad = c.grad(grad)
    index = arguments.chosen(indices, grad.shape)
    result = arguments.out_array(out, shape, arguments.native(grad.dtype), grad, index, *arguments.arrays(boxes))
    to = Result(result, result.dtype)
    if not add_chosen(c.results(grad), c.results(index), c.image, c.map(to.made), c.threads):
        arguments.refuse_indices(index, c.height * c.width, "elements of a plane")
    to.done()
    return result


# ---------------------------------------------------------------------------- roi_align

def _samples(c: _Call, sampling_ratio: Any, aligned: bool) -> tuple[Array, Array]:
    """Where samples are: (y, height of a bin, x, width of a bin) of each box, and samples of a bin down and across."""
    ratio = arguments.index("sampling_ratio", sampling_ratio)
    if ratio > MOST_SAMPLES:
        raise ValueError(f"sampling_ratio must be at most {MOST_SAMPLES}, got {ratio}")
    if ratio * max(c.bins) > MOST_TAKEN:
        raise ValueError(f"sampling_ratio times output_size must be at most {MOST_TAKEN}, "
                         f"got {ratio} with output_size {c.bins}")
    real = c.scaled.dtype.type                      # in the boxes' own type: how many samples there are hangs on it
    corner = c.scaled - real(0.5 if aligned else 0)
    size = corner[:, 2:] - corner[:, :2]
    if not aligned:
        size = np.maximum(size, real(1))
    each = size[:, ::-1] / np.array(c.bins, real)   # height, width
    edges = np.stack([corner[:, 1], each[:, 0], corner[:, 0], each[:, 1]], 1).astype(np.float64)
    grid = np.full(each.shape, ratio, np.int64) if ratio > 0 else np.maximum(np.ceil(each), 0).astype(np.int64)
    return np.ascontiguousarray(edges), np.ascontiguousarray(grid)


def _work(c: _Call, x: Array | None, samples: tuple[Array, Array] | None, ends: tuple[Array, Array] | None, area: str,
          y: Array, grad_x: Array | None = None) -> None:
    """The kernel: forward into y; or from y, the gradient, into grad_x."""
    if y.size == 0:
        if grad_x is not None:
            grad_x[...] = 0
        return
    real = real_of(y)
    edges, grid = samples or (None, None)
    rows, columns = ends or (None, None)
    step = c.bins[0] * c.bins[1] if area == "apart" else 1
    to, images, image = Result(y if grad_x is None else grad_x, real), slice(None), c.image
    if grad_x is None and x is not None:
        images, image = c.named(x, real)
    for channels in c.slices(to.made if x is None else x, real, step):
        results = slice(channels.start // step, channels.stop // step)
        part = None if x is None else c.map(np.ascontiguousarray(c.of(x, channels)[images], real))
        grad_part = whole = None
        if grad_x is None:
            seen = c.results(to.made, results)
        else:
            seen = c.results(y, results) if readable(y, real) else c.results(
                np.ascontiguousarray(c.of(y, results), real))
            whole = c.of(to.made, channels)
            grad_part = c.map(whole if whole.flags.c_contiguous else np.empty(whole.shape, real))
        if c.last and area == "apart":
            seen = seen.transpose(0, 3, 2, 1)
        dispatch.irregular_kernels().work_areas(part, c.width, image, edges, grid, rows, columns, c.bins[1], area,
                                                c.scaled.dtype == np.float32, seen, grad_part, c.threads_used)
        if whole is not None and grad_part is not None and not np.may_share_memory(grad_part, whole):
            whole[...] = grad_part.reshape(whole.shape)
    to.done()


def _float_map(x: Any) -> Array:
    given = arguments.array("x", x)
    arguments.check_dtype("x", given.dtype, arguments.FLOATS)
    return given


def _mode(mode: Any) -> str:
    if not isinstance(mode, str) or mode not in ("avg", "max", "onnx_max"):
        raise (ValueError if isinstance(mode, str) else TypeError)(
            f"mode must be 'avg', 'max' or 'onnx_max', got {arguments.show(mode)}")
    return mode


def roi_align(x: ArrayLike, boxes: Boxes, output_size: OutputSize, spatial_scale: float = 1.0,
              sampling_ratio: SupportsIndex = -1, aligned: bool = False, *, mode: Mode = "avg",
              data_format: Format = "channels_first", out: Array | None = None,
              num_threads: int | None = None) -> Array:
    """Pooling of boxes to one size, sampled between the elements of the map: nothing is rounded.

    A box ``(x1, y1, x2, y2)``, scaled, is cut into bins of equal size, in each of which ``g_h * g_w`` samples lie on a
    regular grid. With ``b`` a bin's height, sample ``a`` of bin ``p`` is at
    ``y1 * spatial_scale - offset + (p + (a + 0.5) / g_h) * b``, and so across. Its value is interpolated between the
    four elements around; up to one element beside the map the nearest ones count, farther out it is 0.

    Parameters
    ----------
    x : array_like of float, shape (N, C, H, W)
        Feature maps.
    boxes, output_size, spatial_scale
        As for :func:`roi_pool`.
    sampling_ratio : int
        ``g_h = g_w``, at most 1024; 0 or less: one sample for each element that a bin is high or wide, begun ones
        included.
    aligned : bool
        Whether elements lie in the middle of their squares, offset 0.5, as in ONNX's "half_pixel"; without, offset 0,
        boxes are at least 1 element high and wide.
    mode : {"avg", "max", "onnx_max"}
        The average of a bin's samples, or the largest one; "onnx_max", as ONNX computes it: the largest of the four
        elements around each sample, each times its weight.
    data_format, out, num_threads
        As for :func:`roi_pool`.

    Returns
    -------
    y : ndarray, shape (K, C, PH, PW), or (K, PH, PW, C)
        Of x's dtype. A box without size has no sample with ``aligned`` and ``sampling_ratio <= 0``: that gives 0.

    Raises
    ------
    TypeError, ValueError
        As :func:`roi_pool`.

    See Also
    --------
    roi_align_backward, roi_pool, ps_roi_align

    References
    ----------
    .. [1] K. He, G. Gkioxari, P. Dollar, R. Girshick, "Mask R-CNN", 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.arange(1.0, 36.0).reshape(1, 1, 5, 7)
    >>> cypool.roi_align(x, [[0, 1, 1, 4, 3]], 2, aligned=True, sampling_ratio=2)
    array([[[[ 9.25, 10.75],
             [16.25, 17.75]]]])
    """
    given, which = _float_map(x), _mode(mode)
    c = _Call(given.shape, boxes, output_size, spatial_scale, data_format, num_threads)
    samples = _samples(c, sampling_ratio, arguments.flag("aligned", aligned))
    y = arguments.out_array(out, c.full, arguments.native(given.dtype), given, *arguments.arrays(boxes))
    _work(c, given, samples, None, which, y)
    return y


def roi_align_backward(grad_output: ArrayLike, x: ArrayLike | Sequence[SupportsIndex], boxes: Boxes,
                       output_size: OutputSize, spatial_scale: float = 1.0, sampling_ratio: SupportsIndex = -1,
                       aligned: bool = False, *, mode: Mode = "avg", data_format: Format = "channels_first",
                       out: Array | None = None, num_threads: int | None = None) -> Array:
    """The gradient of :func:`roi_align` with respect to the map; boxes count as constants.

    An average's goes to the elements around each sample, by their weights; a maximum's to those around the largest
    sample, the first of equal ones, or with "onnx_max" to the one element.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    x : array_like of float; or its shape, for averages
        The forward's.
    boxes, output_size, spatial_scale, sampling_ratio, aligned, mode, data_format
        The forward's.
    out, num_threads
        As for :func:`roi_pool`.

    Returns
    -------
    grad_x : ndarray
        Of x's dtype; where x is a shape, of grad_output's.

    Raises
    ------
    TypeError, ValueError
        As :func:`roi_align`; ValueError if grad_output does not have the forward's output's shape.

    See Also
    --------
    roi_align

    References
    ----------
    .. [1] K. He, G. Gkioxari, P. Dollar, R. Girshick, "Mask R-CNN", 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> grad = np.array([[[[4.0]]]])
    >>> cypool.roi_align_backward(grad, (1, 1, 2, 3), [[0, 0, 0, 1, 1]], 1, sampling_ratio=1)
    array([[[[1., 1., 0.],
             [1., 1., 0.]]]])
    """
    which, grad = _mode(mode), arguments.array("grad_output", grad_output)
    given = None
    if which == "avg" and (isinstance(x, (tuple, list)) and all(np.ndim(n) == 0 for n in x)):
        shape, dtype = arguments.shape("x", x, 4), grad.dtype
    else:
        given = _float_map(x)
        shape, dtype = given.shape, given.dtype
    c = _Call(shape, boxes, output_size, spatial_scale, data_format, num_threads)
    samples = _samples(c, sampling_ratio, arguments.flag("aligned", aligned))
    grad = c.grad(grad)
    result = arguments.out_array(out, shape, arguments.native(dtype), grad, *arguments.arrays(given, boxes))
    if dtype.name == "float64" and grad.dtype.name != "float64":
        grad = grad.astype(np.float64)
    _work(c, None if which == "avg" else given, samples, None, which, grad, result)
    return result


# ---------------------------------------------------------------------------- a channel for each bin

def ps_roi_pool(x: ArrayLike, boxes: Boxes, output_size: OutputSize, spatial_scale: float = 1.0, *,
                data_format: Format = "channels_first", out: Array | None = None,
                num_threads: int | None = None) -> Array:
    """Position-sensitive averages: every bin of a box has channels of its own, as in R-FCN.

    ``y[k, c, i, j]`` is the average of channel ``(c * PH + i) * PW + j`` of x over bin ``(i, j)`` of box k. Corners are
    scaled and rounded, halves away from zero; the last row and column do not belong to the box, which has one at least.
    Bins are those of :func:`roi_pool`.

    Parameters
    ----------
    x : array_like of float, shape (N, C * PH * PW, H, W)
        Feature maps.
    boxes, output_size, spatial_scale
        As for :func:`roi_pool`; output_size is (PH, PW).
    data_format, out, num_threads
        As for :func:`roi_pool`.

    Returns
    -------
    y : ndarray, shape (K, C, PH, PW), or (K, PH, PW, C)
        Of x's dtype. Bins beside the map give 0.

    Raises
    ------
    TypeError, ValueError
        As :func:`roi_pool`; ValueError if x's channels are not a multiple of PH * PW.

    See Also
    --------
    ps_roi_pool_backward, ps_roi_align, roi_pool

    References
    ----------
    .. [1] J. Dai, Y. Li, K. He, J. Sun, "R-FCN: Object detection via region-based fully convolutional networks", 2016.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.arange(4.0).repeat(16).reshape(1, 4, 4, 4)
    >>> cypool.ps_roi_pool(x, [[0, 0, 0, 4, 4]], 2)
    array([[[[0., 1.],
             [2., 3.]]]])
    """
    given = _float_map(x)
    c = _Call(given.shape, boxes, output_size, spatial_scale, data_format, num_threads, True)
    y = arguments.out_array(out, c.full, arguments.native(given.dtype), given, *arguments.arrays(boxes))
    _work(c, given, None, _ends(c, 0, False), "apart", y)
    return y


def ps_roi_pool_backward(grad_output: ArrayLike, boxes: Boxes, input_shape: Sequence[SupportsIndex],
                         output_size: OutputSize | None = None, spatial_scale: float = 1.0, *,
                         data_format: Format = "channels_first", out: Array | None = None,
                         num_threads: int | None = None) -> Array:
    """The gradient of :func:`ps_roi_pool` with respect to the map: an equal part for each element of a bin.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    boxes
        The forward's.
    input_shape : sequence of int
        The forward's input shape.
    output_size : optional
        The forward's, which grad_output tells as well.
    spatial_scale, data_format
        The forward's.
    out, num_threads
        As for :func:`roi_pool`.

    Returns
    -------
    grad_x : ndarray
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`ps_roi_pool`.

    See Also
    --------
    ps_roi_pool

    References
    ----------
    .. [1] J. Dai, Y. Li, K. He, J. Sun, "R-FCN: Object detection via region-based fully convolutional networks", 2016.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> grad = np.array([[[[4.0]]]])
    >>> cypool.ps_roi_pool_backward(grad, [[0, 0, 0, 2, 1]], (1, 1, 2, 3))
    array([[[[2., 2., 0.],
             [0., 0., 0.]]]])
    """
    grad, c = _apart_backward(grad_output, boxes, input_shape, output_size, spatial_scale, data_format, num_threads)
    result = arguments.out_array(out, c.shape, arguments.native(grad.dtype), grad, *arguments.arrays(boxes))
    _work(c, None, None, _ends(c, 0, False), "apart", grad, result)
    return result


def _apart_backward(grad_output: Any, boxes: Any, input_shape: Any, output_size: Any, spatial_scale: Any,
                    data_format: Any, num_threads: Any) -> tuple[Array, _Call]:
    grad = arguments.array("grad_output", grad_output)
    if grad.ndim != 4:
        raise ValueError(f"grad_output must have four axes, got shape {grad.shape}")
    last = arguments.channels_last(data_format, 2)
    size = output_size if output_size is not None else grad.shape[1:3] if last else grad.shape[2:]
    shape = arguments.shape("input_shape", input_shape, 4)
    c = _Call(shape, boxes, size, spatial_scale, data_format, num_threads, True)
    return c.grad(grad), c


def ps_roi_align(x: ArrayLike, boxes: Boxes, output_size: OutputSize, spatial_scale: float = 1.0,
                 sampling_ratio: SupportsIndex = -1, *, data_format: Format = "channels_first",
                 out: Array | None = None, num_threads: int | None = None) -> Array:
    """Position-sensitive averages of samples: :func:`ps_roi_pool` as :func:`roi_align` samples.

    ``y[k, c, i, j]`` is the average of the samples of bin ``(i, j)`` of box k on channel ``(c * PH + i) * PW + j``. The
    offset is 0.5 and boxes may be of any size, as with ``aligned``.

    Parameters
    ----------
    x : array_like of float, shape (N, C * PH * PW, H, W)
        Feature maps.
    boxes, output_size, spatial_scale
        As for :func:`ps_roi_pool`.
    sampling_ratio
        As for :func:`roi_align`.
    data_format, out, num_threads
        As for :func:`roi_pool`.

    Returns
    -------
    y : ndarray, shape (K, C, PH, PW), or (K, PH, PW, C)
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`ps_roi_pool`.

    See Also
    --------
    ps_roi_align_backward, ps_roi_pool, roi_align

    References
    ----------
    .. [1] J. Dai, Y. Li, K. He, J. Sun, "R-FCN: Object detection via region-based fully convolutional networks", 2016.
    .. [2] K. He, G. Gkioxari, P. Dollar, R. Girshick, "Mask R-CNN", 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> x = np.arange(4.0).repeat(16).reshape(1, 4, 4, 4)
    >>> cypool.ps_roi_align(x, [[0, 0, 0, 4, 4]], 2)
    array([[[[0., 1.],
             [2., 3.]]]])
    """
    given = _float_map(x)
    c = _Call(given.shape, boxes, output_size, spatial_scale, data_format, num_threads, True)
    samples = _samples(c, sampling_ratio, True)
    y = arguments.out_array(out, c.full, arguments.native(given.dtype), given, *arguments.arrays(boxes))
    _work(c, given, samples, None, "apart", y)
    return y


def ps_roi_align_backward(grad_output: ArrayLike, boxes: Boxes, input_shape: Sequence[SupportsIndex],
                          output_size: OutputSize | None = None, spatial_scale: float = 1.0,
                          sampling_ratio: SupportsIndex = -1, *, data_format: Format = "channels_first",
                          out: Array | None = None, num_threads: int | None = None) -> Array:
    """The gradient of :func:`ps_roi_align` with respect to the map; boxes count as constants.

    Parameters
    ----------
    grad_output, boxes, input_shape, output_size, spatial_scale
        As for :func:`ps_roi_pool_backward`.
    sampling_ratio, data_format
        The forward's.
    out, num_threads
        As for :func:`roi_pool`.

    Returns
    -------
    grad_x : ndarray
        Of grad_output's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`ps_roi_align`.

    See Also
    --------
    ps_roi_align

    References
    ----------
    .. [1] J. Dai, Y. Li, K. He, J. Sun, "R-FCN: Object detection via region-based fully convolutional networks", 2016.
    .. [2] K. He, G. Gkioxari, P. Dollar, R. Girshick, "Mask R-CNN", 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import cypool
    >>> grad = np.array([[[[4.0]]]])
    >>> cypool.ps_roi_align_backward(grad, [[0, 0, 0, 2, 2]], (1, 1, 2, 2), sampling_ratio=1)
    array([[[[1., 1.],
             [1., 1.]]]])
    """
    grad, c = _apart_backward(grad_output, boxes, input_shape, output_size, spatial_scale, data_format, num_threads)
    samples = _samples(c, sampling_ratio, True)
    result = arguments.out_array(out, c.shape, arguments.native(grad.dtype), grad, *arguments.arrays(boxes))
    _work(c, None, samples, None, "apart", grad, result)
    return result
