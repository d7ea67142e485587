"""Mixtures of pooling: of max and average by a learned, a gated or a drawn proportion, and trees of learned filters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cypool import arguments, windowed
from cypool.calls import Operands, Part, cast, learned, operands
from cypool.dimensions import dimensions, plain
from cypool.dispatch import Pooling, add_chosen, reduce_windows
from cypool.pieces import Piece, each, forward_pieces, real_of
from cypool.weighted import correlate, correlate_backward, tap_weights
from cypool.windowed import Array, Format, IntOrInts, NanPolicy, Padding, fit
from cypool.windows import adjoint


@dataclass
class Both:
    """The maximum and the average of each window, in what the mixture is computed in; and which taps the maxima were:
    ordinals of a byte where that will do, else flat positions."""

    most: Array
    mean: Array
    chosen: Array | None


def both(c: Operands, real: np.dtype[Any], indices: bool = False) -> Both:
    most = np.empty(c.full, arguments.native(c.x.dtype))
    chosen = np.empty(c.full, np.uint8 if c.windows.taps <= 256 else np.int64) if indices else None
    which = ("omit_" if c.policy == "omit" else "") + ("arg_max" if indices else "max")
    Pooling(c.x.shape, c.x.dtype, c.full, most.dtype, c.windows, which, c.last)(c.x, most, chosen, False, c.threads)
    mean = np.empty(c.full, real)
    if c.policy == "omit":
        windowed.add_present(c.windows, "valid", c.last, c.x, mean, None, False, c.threads)
    else:
        reduce_windows(c.x, mean, c.windows, "sum", last=c.last, divide="valid", num_threads=c.threads)
    return Both(most.astype(real, copy=False), mean, chosen)


def spread_both(c: Operands, full: Array, for_most: Array, for_mean: Array, chosen: Array, *more: Array) -> None:
    """The gradient of x from those of the maxima and the averages, and what else is to be added, into `full`."""
    windows = adjoint(c.windows)
    once = np.empty(arguments.with_spatial(c.x.shape, windows.shape, c.last), for_mean.dtype)
    reduce_windows(for_mean, once, windows, "sum", last=c.last, divide="valid", forward=c.windows,
                   num_threads=c.threads)
    result = full if full.dtype == for_most.dtype else np.empty(full.shape, for_most.dtype)
    add_chosen(for_most, chosen, result, c.windows if chosen.dtype == np.uint8 else None, last=c.last,
               num_threads=c.threads)
    result += once
    for part in more:
        result += part
    if result is not full:
        full[...] = result


# ---------------------------------------------------------------------------- mixed

def proportion(c: Operands, alpha: Any) -> Any:
    """alpha, ready to broadcast to x."""
    n, channels = c.x.shape[0], c.channels
    value = arguments.parameter("alpha", alpha, (channels,), (n, channels))
    if not isinstance(value, np.ndarray):
        return value
    return c.per_channel(value) if value.ndim == 1 else value.reshape(
        (n, *(1,) * c.ndim, channels) if c.last else (n, channels, *(1,) * c.ndim))


def mix(c: Operands, alpha: Any, out: Any) -> Array:
    real = real_of(c.x)
    y, full = c.out(out)
    whole = cast(np.asarray(proportion(c, alpha)), real)

    def work(piece: Piece, threads: int | None) -> None:
        x = piece.cut(c.x, piece.inputs)
        shape = arguments.with_spatial(x.shape, piece.windows.shape, c.last)
        parts = both(replace(c, x=x, windows=piece.windows, full=shape, threads=threads), real)
        a = piece.cut(whole, slice(None)) if whole.ndim else whole
        most, mean = parts.most, parts.mean
        most *= a
        mean *= 1 - a
        if np.any((a == 0) | (a == 1)):                 # what has no part may be infinite
            most, mean = np.where(a == 0, 0, most), np.where(a == 1, 0, mean)
        np.add(most, mean, out=piece.cut(full, piece.outputs), casting="same_kind")

    each(work, forward_pieces(c.x.shape, c.windows, c.last), c.x.size, c.threads)
    return y


def _mixed_pool(ndim: int, x: ArrayLike, alpha: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None,
                padding: Padding = 0, dilation: IntOrInts = 1, ceil_mode: bool = False, *,
                data_format: Format = "channels_first", nan_policy: NanPolicy = "propagate", out: Array | None = None,
                num_threads: int | None = None) -> Array:
    """A mixture of max and average pooling over {n}D windows: ``y = alpha * max + (1 - alpha) * average``.

    Parameters
    ----------
    x : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
    alpha : float, or array_like of shape (C,) or (N, C)
        For all, for each channel, or for each batch element's channels.
    kernel_size, stride, padding, dilation, ceil_mode, data_format, nan_policy, out, num_threads
        As for :func:`cypool.max_pool{n}d`. Padding is not part of the average.

    Returns
    -------
    y : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d`; ValueError for an alpha of another shape, or one that is not finite.

    See Also
    --------
    mixed_pool{n}d_backward, random_mixed_pool{n}d, gated_pool{n}d

    References
    ----------
    .. [1] C.-Y. Lee, P. W. Gallagher, Z. Tu, "Generalizing pooling functions in convolutional neural networks: mixed,
       gated, and tree", 2016.

    Examples
    --------
    {example}
    """
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, nan_policy, num_threads)
    return mix(c, alpha, out)


def _mixed_pool_backward(ndim: int, grad_output: ArrayLike, x: ArrayLike, alpha: ArrayLike, kernel_size: IntOrInts,
                         stride: IntOrInts | None = None, padding: Padding = 0, dilation: IntOrInts = 1,
                         ceil_mode: bool = False, *, data_format: Format = "channels_first",
                         out: Array | None = None, num_threads: int | None = None) -> tuple[Array, Any]:
    """The gradients of :func:`mixed_pool{n}d` with respect to its input and to alpha.

    The maximum gets ``alpha`` of each gradient, the N elements of the window share ``1 - alpha`` of it; and
    ``dy / dalpha = max - average``.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    x : array_like of float
        The forward's input.
    alpha, kernel_size, stride, padding, dilation, ceil_mode, data_format
        The forward's.
    out : ndarray, optional
        For grad_x.
    num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    grad_x : ndarray
        Of x's dtype.
    grad_alpha : float, or ndarray shaped like alpha

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.mixed_pool{n}d`; ValueError if grad_output does not have the output's shape.

    See Also
    --------
    mixed_pool{n}d

    References
    ----------
    .. [1] C.-Y. Lee, P. W. Gallagher, Z. Tu, "Generalizing pooling functions in convolutional neural networks: mixed,
       gated, and tree", 2016.

    Examples
    --------
    {example}
    """
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, num_threads=num_threads)
    grad = c.grad(grad_output)
    real = real_of(c.x)
    a = cast(np.asarray(proportion(c, alpha)), real)
    result, full = c.grad_out(out, grad)
    spatial = tuple(range(1, 1 + ndim) if c.last else range(2, 2 + ndim))
    made = np.zeros(arguments.with_spatial(c.x.shape, (1,) * ndim, c.last))

    def work(part: Part, threads: int | None) -> None:
        own, d = part.call(threads), part.cut(grad).astype(real, copy=False)
        most_part = part.cut(a) if a.ndim else a
        parts = both(own, real, indices=True)
        assert parts.chosen is not None
        spread_both(own, part.cut(full), d * most_part, d * (1 - most_part), parts.chosen)
        parts.most -= parts.mean
        parts.most *= d
        part.cut(made)[...] = parts.most.sum(axis=spatial, dtype=np.float64, keepdims=True)

    each(work, c.parts(), c.x.size, c.threads)
    made = made.sum(axis=tuple(i for i in range(made.ndim) if a.ndim == 0 or a.shape[i] == 1))
    return result, learned(made, alpha)


mixed_pool1d, mixed_pool2d, mixed_pool3d = dimensions(_mixed_pool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 3.0, 5.0, 9.0]).reshape({row}4)
    >>> cypool.mixed_pool{n}d(x, 0.25, {pair}).ravel()
    array([2.25, 7.5 ])
    """)

mixed_pool1d_backward, mixed_pool2d_backward, mixed_pool3d_backward = dimensions(_mixed_pool_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 3.0, 5.0, 9.0]).reshape({row}4)
    >>> grad_x, grad_alpha = cypool.mixed_pool{n}d_backward(np.ones(({row}2)), x, 0.25, {pair})
    >>> grad_x.ravel(), float(grad_alpha)
    (array([0.375, 0.625, 0.375, 0.625]), 3.0)
    """)


def _random_mixed_pool(ndim: int, x: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None,
                       padding: Padding = 0, dilation: IntOrInts = 1, ceil_mode: bool = False, *,
                       training: bool = True, rng: np.random.Generator | int | None = None,
                       alpha: ArrayLike | None = None, data_format: Format = "channels_first",
                       nan_policy: NanPolicy = "propagate", out: Array | None = None,
                       num_threads: int | None = None) -> tuple[Array, Any]:
    """Max or average pooling over {n}D windows, drawn for every channel of every batch element.

    In training each gets 0 or 1 for ``alpha`` with equal probability, and ``y = alpha * max + (1 - alpha) * average``;
    else alpha is 0.5 unless given.

    Parameters
    ----------
    x : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
    training : bool
    rng : numpy.random.Generator, int or None
        What draws, or its seed; None: a new one each time.
    alpha : float, or array_like of shape (C,) or (N, C), optional
        In place of 0.5 where there is no training; in training it is not looked at.
    kernel_size, stride, padding, dilation, ceil_mode, data_format, nan_policy, out, num_threads
        As for :func:`cypool.max_pool{n}d`. Padding is not part of the average.

    Returns
    -------
    y : ndarray
        Of x's dtype.
    alpha : ndarray of shape (N, C), or as given
        What :func:`mixed_pool{n}d_backward` takes for the gradient.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.mixed_pool{n}d`.

    See Also
    --------
    mixed_pool{n}d, mixed_pool{n}d_backward

    References
    ----------
    .. [1] D. Yu, H. Wang, P. Chen, Z. Wei, "Mixed pooling for convolutional neural networks", 2014.

    Examples
    --------
    {example}
    """
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, nan_policy, num_threads)
    generator = arguments.generator(rng)
    if arguments.flag("training", training):
        alpha = generator.integers(0, 2, (c.x.shape[0], c.channels)).astype(np.float64)
    elif alpha is None:
        alpha = 0.5
    return mix(c, alpha, out), alpha


random_mixed_pool1d, random_mixed_pool2d, random_mixed_pool3d = dimensions(_random_mixed_pool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 3.0, 5.0, 9.0]).reshape({row}4)
    >>> y, alpha = cypool.random_mixed_pool{n}d(x, {pair}, rng=0)
    >>> y.ravel(), alpha
    (array([3., 9.]), array([[1.]]))
    """)


# ---------------------------------------------------------------------------- gated

def sigmoid(z: Array) -> Array:
    """``1 / (1 + exp(-z))``, in place."""
    np.exp(np.negative(z, out=z), out=z)
    z += 1
    return np.divide(1, z, out=z)


def added_up(parts: list[Part], made: list[Array], w: Array) -> Array:
    """The gradient of weights, from those of the parts."""
    total = np.zeros(w.shape)
    for part, gradient in zip(parts, made, strict=True):
        here = part.weights(total)
        here += gradient
    return total


def _gated_pool(ndim: int, x: ArrayLike, gate_weights: ArrayLike, kernel_size: IntOrInts,
                stride: IntOrInts | None = None, padding: Padding = 0, dilation: IntOrInts = 1,
                ceil_mode: bool = False, *, data_format: Format = "channels_first", out: Array | None = None,
                num_threads: int | None = None) -> Array:
    """A mixture of max and average pooling over {n}D windows, the proportion a function of the window itself.

    ``y = g * max + (1 - g) * average`` with ``g = sigmoid(sum over taps of gate_weights * x)``.

    Parameters
    ----------
    x : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
    gate_weights : array_like of float, of the kernel's shape, or with an axis for the channels before that
        The same for all channels, or for each its own.
    kernel_size, stride, padding, dilation, ceil_mode, data_format, out, num_threads
        As for :func:`cypool.max_pool{n}d`. Padding is 0 for the gate, and not part of the average.

    Returns
    -------
    y : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d`; ValueError for weights of another shape.

    See Also
    --------
    gated_pool{n}d_backward, mixed_pool{n}d, tree_pool{n}d

    References
    ----------
    .. [1] C.-Y. Lee, P. W. Gallagher, Z. Tu, "Generalizing pooling functions in convolutional neural networks: mixed,
       gated, and tree", 2016.

    Examples
    --------
    {example}
    """
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, num_threads=num_threads)
    w = tap_weights("gate_weights", gate_weights, c.kernel, c.channels)
    real = real_of(c.x, w)
    y, full = c.out(out, w)

    def work(part: Part, threads: int | None) -> None:
        own = part.call(threads)
        g = sigmoid(correlate(own, part.weights(w), real, np.empty(own.full, real)))
        parts = both(own, real)
        parts.most *= g
        np.subtract(1, g, out=g)
        parts.mean *= g
        np.add(parts.most, parts.mean, out=part.cut(full), casting="same_kind")

    each(work, c.parts(), c.x.size, c.threads)
    return y


def _gated_pool_backward(ndim: int, grad_output: ArrayLike, x: ArrayLike, gate_weights: ArrayLike,
                         kernel_size: IntOrInts, stride: IntOrInts | None = None, padding: Padding = 0,
                         dilation: IntOrInts = 1, ceil_mode: bool = False, *,
                         data_format: Format = "channels_first", out: Array | None = None,
                         num_threads: int | None = None) -> tuple[Array, Array]:
    """The gradients of :func:`gated_pool{n}d` with respect to its input and its gate's weights.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    x : array_like of float
        The forward's input.
    gate_weights, kernel_size, stride, padding, dilation, ceil_mode, data_format
        The forward's.
    out : ndarray, optional
        For grad_x.
    num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    grad_x, grad_gate_weights : ndarray
        Shaped like x and the weights, and of their dtypes.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.gated_pool{n}d`; ValueError if grad_output does not have the output's shape.

    See Also
    --------
    gated_pool{n}d

    References
    ----------
    .. [1] C.-Y. Lee, P. W. Gallagher, Z. Tu, "Generalizing pooling functions in convolutional neural networks: mixed,
       gated, and tree", 2016.

    Examples
    --------
    {example}
    """
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, num_threads=num_threads)
    w = tap_weights("gate_weights", gate_weights, c.kernel, c.channels)
    real, grad = real_of(c.x, w), c.grad(grad_output)
    result, full = c.grad_out(out, grad, w)

    def work(part: Part, threads: int | None) -> Array:
        own, weights, d = part.call(threads), part.weights(w), part.cut(grad).astype(real, copy=False)
        g = sigmoid(correlate(own, weights, real, np.empty(own.full, real)))
        parts = both(own, real, indices=True)
        assert parts.chosen is not None
        through = np.empty(own.x.shape, real)
        most, mean = d * g, d * (1 - g)
        made = correlate_backward(own, weights, mean * g * (parts.most - parts.mean), real, through)
        spread_both(own, part.cut(full), most, mean, parts.chosen, through)
        return made

    parts = c.parts()
    made = added_up(parts, each(work, parts, c.x.size, c.threads), w)
    return result, cast(made, arguments.native(w.dtype))


gated_pool1d, gated_pool2d, gated_pool3d = dimensions(_gated_pool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 3.0, 5.0, 9.0]).reshape({row}4)
    >>> weights = np.array([1.0, -0.5]).reshape({pair})
    >>> cypool.gated_pool{n}d(x, weights, {pair}).ravel().round(4)
    array([2.3775, 8.2449])
    """)

gated_pool1d_backward, gated_pool2d_backward, gated_pool3d_backward = dimensions(_gated_pool_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 3.0, 5.0, 9.0]).reshape({row}4)
    >>> weights = np.zeros(2).reshape({pair})
    >>> grad_x, grad_weights = cypool.gated_pool{n}d_backward(np.ones(({row}2)), x, weights, {pair})
    >>> grad_x.ravel(), grad_weights.ravel()
    (array([0.25, 0.75, 0.25, 0.75]), array([2.75, 5.25]))
    """)


# ---------------------------------------------------------------------------- tree

@dataclass
class Tree:
    """A tree's weights, checked, and what each node makes of the windows."""

    leaves: Array
    gates: Array
    real: np.dtype[Any]


def tree(c: Operands, leaf_weights: Any, gate_weights: Any) -> Tree:
    given = arguments.array("leaf_weights", leaf_weights)
    count = given.shape[0] if given.ndim else 0
    if count < 2 or count & (count - 1):
        raise ValueError("leaf_weights must hold a power of two of leaves, at least 2, along its first axis, "
                         f"got shape {given.shape}")
    leaves = tap_weights("leaf_weights", leaf_weights, c.kernel, c.channels, (count,))
    gates = tap_weights("gate_weights", gate_weights, c.kernel, c.channels, (count - 1,))
    return Tree(leaves, gates, real_of(c.x, leaves, gates))


def of_part(t: Tree, part: Part) -> Tree:
    """The weights of a part's channels."""
    leaves, gates = ([part.weights(w) for w in weights] for weights in (t.leaves, t.gates))
    return Tree(np.stack(leaves), np.stack(gates), t.real)


def climb(c: Operands, t: Tree) -> tuple[list[Array], list[Array]]:
    """The value of every node, breadth first, leaves last; and the gate of each that has one."""
    inner = len(t.gates)

    def product(weights: Array) -> Array:
        return correlate(c, weights, t.real, np.empty(c.full, t.real))

    gates = [sigmoid(product(w)) for w in t.gates]
    values: list[Any] = [None] * inner + [product(w) for w in t.leaves]
    for i in reversed(range(inner)):
        values[i] = gates[i] * values[2 * i + 1]
        values[i] += (1 - gates[i]) * values[2 * i + 2]
    return values, gates


def _tree_pool(ndim: int, x: ArrayLike, leaf_weights: ArrayLike, gate_weights: ArrayLike, kernel_size: IntOrInts,
               stride: IntOrInts | None = None, padding: Padding = 0, dilation: IntOrInts = 1, ceil_mode: bool = False,
               *, data_format: Format = "channels_first", out: Array | None = None,
               num_threads: int | None = None) -> Array:
    """Learned filters over {n}D windows, mixed in a binary tree.

    A leaf is ``sum over taps of leaf_weights * x``; a node above is ``g * left + (1 - g) * right`` with
    ``g = sigmoid(sum over taps of gate_weights * x)``; y is the root.

    Parameters
    ----------
    x : array_like of float, shape (N, C, {spatial}) or (C, {spatial})
    leaf_weights : array_like of float, a power of two of leaves, each of the kernel's shape
    gate_weights : array_like of float, one less, each of the kernel's shape
        Breadth first: the root, the two nodes below it, and so on.
    kernel_size, stride, padding, dilation, ceil_mode, data_format, out, num_threads
        As for :func:`cypool.max_pool{n}d`. Padding is 0.

    Returns
    -------
    y : ndarray
        Of x's dtype.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.max_pool{n}d`; ValueError for weights of other shapes.

    See Also
    --------
    tree_pool{n}d_backward, gated_pool{n}d, weighted_pool{n}d

    References
    ----------
    .. [1] C.-Y. Lee, P. W. Gallagher, Z. Tu, "Generalizing pooling functions in convolutional neural networks: mixed,
       gated, and tree", 2016.

    Examples
    --------
    {example}
    """
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, num_threads=num_threads)
    t = tree(c, leaf_weights, gate_weights)
    y, full = c.out(out, t.leaves, t.gates)

    def work(part: Part, threads: int | None) -> None:
        part.cut(full)[...] = climb(part.call(threads), of_part(t, part))[0][0]

    each(work, c.parts(), c.x.size, c.threads)
    return y


def _tree_pool_backward(ndim: int, grad_output: ArrayLike, x: ArrayLike, leaf_weights: ArrayLike,
                        gate_weights: ArrayLike, kernel_size: IntOrInts, stride: IntOrInts | None = None,
                        padding: Padding = 0, dilation: IntOrInts = 1, ceil_mode: bool = False, *,
                        data_format: Format = "channels_first", out: Array | None = None,
                        num_threads: int | None = None) -> tuple[Array, Array, Array]:
    """The gradients of :func:`tree_pool{n}d` with respect to its input, its leaves and its gates.

    Parameters
    ----------
    grad_output : array_like of float
        The gradient of the forward's output.
    x : array_like of float
        The forward's input.
    leaf_weights, gate_weights, kernel_size, stride, padding, dilation, ceil_mode, data_format
        The forward's.
    out : ndarray, optional
        For grad_x.
    num_threads
        As for :func:`cypool.max_pool{n}d`.

    Returns
    -------
    grad_x, grad_leaf_weights, grad_gate_weights : ndarray
        Shaped like x and the weights, and of their dtypes.

    Raises
    ------
    TypeError, ValueError
        As :func:`cypool.tree_pool{n}d`; ValueError if grad_output does not have the output's shape.

    See Also
    --------
    tree_pool{n}d

    References
    ----------
    .. [1] C.-Y. Lee, P. W. Gallagher, Z. Tu, "Generalizing pooling functions in convolutional neural networks: mixed,
       gated, and tree", 2016.

    Examples
    --------
    {example}
    """
    c = operands(ndim, x, fit(kernel_size, stride, padding, dilation, ceil_mode), data_format, num_threads=num_threads)
    t, grad = tree(c, leaf_weights, gate_weights), c.grad(grad_output)
    result, full = c.grad_out(out, grad, t.leaves, t.gates)

    def work(part: Part, threads: int | None) -> tuple[list[Array], list[Array]]:
        own, here, leaves, gradients = part.call(threads), of_part(t, part), [], []
        total, through = np.zeros(own.x.shape, t.real), np.empty(own.x.shape, t.real)
        values, gates = climb(own, here)
        down: dict[int, Array] = {0: part.cut(grad).astype(t.real, copy=False)}
        for i in range(len(values)):
            d = down.pop(i)
            if i < len(gates):
                g, left, right = gates[i], values[2 * i + 1], values[2 * i + 2]
                down[2 * i + 1], down[2 * i + 2] = d * g, d * (1 - g)
                back = down[2 * i + 2] * g
                back *= left - right
                gradients.append(correlate_backward(own, here.gates[i], back, t.real, through))
            else:
                leaves.append(correlate_backward(own, here.leaves[i - len(gates)], d, t.real, through))
            total += through
        part.cut(full)[...] = total
        return leaves, gradients

    parts = c.parts()
    made = each(work, parts, c.x.size, c.threads)
    made_leaves = np.stack([added_up(parts, [m[0][i] for m in made], w) for i, w in enumerate(t.leaves)])
    made_gates = np.stack([added_up(parts, [m[1][i] for m in made], w) for i, w in enumerate(t.gates)])
    return (result, cast(made_leaves, arguments.native(t.leaves.dtype)),
            cast(made_gates, arguments.native(t.gates.dtype)))


tree_pool1d, tree_pool2d, tree_pool3d = dimensions(_tree_pool, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 3.0, 5.0, 9.0]).reshape({row}4)
    >>> leaves = np.array([[1.0, 0.0], [0.0, 1.0]]).reshape((2, *np.broadcast_shapes({pair})))
    >>> gates = np.zeros_like(leaves[:1])
    >>> cypool.tree_pool{n}d(x, leaves, gates, {pair}).ravel()
    array([2., 7.])
    """)

tree_pool1d_backward, tree_pool2d_backward, tree_pool3d_backward = dimensions(_tree_pool_backward, plain, """
    >>> import numpy as np
    >>> import cypool
    >>> x = np.array([1.0, 3.0, 5.0, 9.0]).reshape({row}4)
    >>> leaves = np.array([[1.0, 0.0], [0.0, 1.0]]).reshape((2, *np.broadcast_shapes({pair})))
    >>> gates = np.zeros_like(leaves[:1])
    >>> grads = cypool.tree_pool{n}d_backward(np.ones(({row}2)), x, leaves, gates, {pair})
    >>> [grad.ravel() for grad in grads]
    [array([0.5, 0.5, 0.5, 0.5]), array([3., 6., 3., 6.]), array([ -5.5, -10.5])]
    """)
