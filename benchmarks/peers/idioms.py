"""Operators without windows in plain NumPy: of each, the idioms in use, named, the fastest of which counts.

As in `irregular.py`, what follows from the other arrays is computed inside the call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Ways = Iterator[tuple[str, Callable[[np.ndarray], np.ndarray]]]


def _mask(case: Any, mask: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """What counts (N, L), and the same with x's axes."""
    which = mask if mask.dtype == bool else np.arange(case.shape[axis]) < mask[:, None]
    return which, np.expand_dims(which, 2 if axis == 1 else 1)


def _cut(x: np.ndarray, mask: np.ndarray, axis: int) -> list[np.ndarray]:
    return [sequence[:length] if axis == 1 else sequence[:, :length] for sequence, length in zip(x, mask, strict=True)]


def masked_avg_pool(case: Any, mask: Any = None, offsets: Any = None, axis: int = 1) -> Ways:
    def product(x: np.ndarray) -> np.ndarray:
        which, wide = _mask(case, mask, axis)
        return (x * wide).sum(axis) / which.sum(1)[:, None]

    def matrices(x: np.ndarray) -> np.ndarray:
        which, _ = _mask(case, mask, axis)
        weights = which.astype(x.dtype)
        y = weights[:, None] @ x if axis == 1 else x @ weights[:, :, None]
        return y.squeeze(axis) / which.sum(1)[:, None]

    def masked(x: np.ndarray) -> np.ndarray:
        _, wide = _mask(case, mask, axis)
        return np.ma.masked_array(x, ~np.broadcast_to(wide, x.shape)).mean(axis).filled(0)

    if offsets is not None:
        yield "add.reduceat", lambda x: np.add.reduceat(x, offsets[:-1]) / np.diff(offsets)[:, None]
        yield "slices", lambda x: np.stack([part.mean(0) for part in np.split(x, offsets[1:-1])])
        return
    yield "mask * x", product
    yield "matmul", matrices
    yield "mean(where=)", lambda x: x.mean(axis, where=_mask(case, mask, axis)[1])
    yield "numpy.ma", masked
    if mask.dtype != bool:
        yield "slices", lambda x: np.stack([part.mean(axis - 1) for part in _cut(x, mask, axis)])


def masked_max_pool(case: Any, mask: Any = None, offsets: Any = None, axis: int = 1) -> Ways:
    def masked(x: np.ndarray) -> np.ndarray:
        _, wide = _mask(case, mask, axis)
        return np.ma.masked_array(x, ~np.broadcast_to(wide, x.shape)).max(axis).filled(0)

    if offsets is not None:
        yield "maximum.reduceat", lambda x: np.maximum.reduceat(x, offsets[:-1])
        yield "slices", lambda x: np.stack([part.max(0) for part in np.split(x, offsets[1:-1])])
        return
    yield "where + max", lambda x: np.where(_mask(case, mask, axis)[1], x, np.float32(-np.inf)).max(axis)
    yield "max(where=)", lambda x: x.max(axis, where=_mask(case, mask, axis)[1], initial=-np.inf)
    yield "numpy.ma", masked
    if mask.dtype != bool:
        yield "slices", lambda x: np.stack([part.max(axis - 1) for part in _cut(x, mask, axis)])


def k_max_pool1d(case: Any, k: int) -> Ways:
    def indices(x: np.ndarray) -> np.ndarray:
        chosen = np.argpartition(x, -k, -1)[..., -k:]
        chosen.sort(-1)
        return np.take_along_axis(x, chosen, -1)

    yield "argpartition + sort + take_along_axis", indices


def dynamic_k_max_pool1d(case: Any, k_top: int, layer: int, num_layers: int) -> Ways:
    yield from k_max_pool1d(case, max(k_top, -(-(num_layers - layer) * case.shape[2] // num_layers)))


def dynamic_pool2d(case: Any, output_size: int) -> Ways:
    def begins(elements: int) -> np.ndarray:
        """Of blocks, the last of which have one element more."""
        size, more = divmod(elements, output_size)
        place = np.arange(output_size)
        return place * size + np.maximum(place - (output_size - more), 0)

    def runs(x: np.ndarray) -> np.ndarray:
        across = np.minimum.reduceat(x, begins(x.shape[3]), axis=3)
        return np.minimum.reduceat(across, begins(x.shape[2]), axis=2)

    def loops(x: np.ndarray) -> np.ndarray:
        y = np.empty(case.result, x.dtype)
        rows, columns = ([*begins(elements), elements] for elements in x.shape[2:])
        for i in range(output_size):
            for j in range(output_size):
                y[..., i, j] = x[..., rows[i]:rows[i + 1], columns[j]:columns[j + 1]].min((2, 3))
        return y

    yield "minimum.reduceat", runs
    yield "slices", loops


def _reduced(case: Any, ids: np.ndarray, segments: int, ufunc: np.ufunc, least: float) -> Ways:
    """What all reductions have; segments without rows are 0."""
    features = case.shape[1]

    def scattered(x: np.ndarray) -> np.ndarray:
        y = np.full((segments, features), least, x.dtype)
        ufunc.at(y, ids, x)
        return y if least == 0 else np.where(np.isinf(y), 0, y)

    def runs(x: np.ndarray) -> np.ndarray:
        order = None if case.rising else np.argsort(ids, kind="stable")
        rising, rows = (ids, x) if order is None else (ids[order], x[order])
        begin = np.flatnonzero(np.concatenate([[True], rising[1:] != rising[:-1]]))
        y = np.zeros((segments, features), x.dtype)
        y[rising[begin]] = ufunc.reduceat(rows, begin)
        return y

    yield f"{ufunc.__name__}.at", scattered
    yield f"{'' if case.rising else 'argsort + '}{ufunc.__name__}.reduceat", runs


def segment_sum(case: Any, segment_ids: np.ndarray, num_segments: int) -> Ways:
    def counted(x: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(segment_ids, column, num_segments) for column in x.T], 1)

    yield "bincount", counted
    yield from _reduced(case, segment_ids, num_segments, np.add, 0)


def segment_mean(case: Any, segment_ids: np.ndarray, num_segments: int) -> Ways:
    for name, way in segment_sum(case, segment_ids, num_segments):
        def divided(x: np.ndarray, way: Callable = way) -> np.ndarray:
            return way(x) / np.maximum(np.bincount(segment_ids, minlength=num_segments), 1)[:, None]

        yield name, divided


def segment_max(case: Any, segment_ids: np.ndarray, num_segments: int) -> Ways:
    yield from _reduced(case, segment_ids, num_segments, np.maximum, -np.inf)


def segment_min(case: Any, segment_ids: np.ndarray, num_segments: int) -> Ways:
    yield from _reduced(case, segment_ids, num_segments, np.minimum, np.inf)


def _max_unpool(case: Any, indices: np.ndarray, kernel_size: int) -> Ways:
    def put(x: np.ndarray) -> np.ndarray:
        y = np.zeros((*case.shape[:2], kernel_size ** (x.ndim - 2) * x[0, 0].size), x.dtype)
        np.put_along_axis(y, indices.reshape(*y.shape[:2], -1), x.reshape(*y.shape[:2], -1), -1)
        return y.reshape(case.result)

    yield "put_along_axis", put


def avg_unpool2d(case: Any, kernel_size: int, scale: str = "adjoint") -> Ways:
    volume = np.float32(kernel_size**2 if scale == "adjoint" else 1)

    def repeated(x: np.ndarray) -> np.ndarray:
        part = x if volume == 1 else x / volume
        return part.repeat(kernel_size, 3).repeat(kernel_size, 2)

    def broadcast(x: np.ndarray) -> np.ndarray:
        part, (n, c, h, w) = x if volume == 1 else x / volume, x.shape
        whole = np.broadcast_to(part[:, :, :, None, :, None], (n, c, h, kernel_size, w, kernel_size))
        return whole.reshape(case.result)

    yield "repeat", repeated
    yield "broadcast_to", broadcast


IDIOMS: dict[str, Callable[..., Ways]] = {
    function.__name__: function
    for function in (masked_avg_pool, masked_max_pool, k_max_pool1d, dynamic_k_max_pool1d, dynamic_pool2d, segment_sum,
                     segment_mean, segment_max, segment_min, avg_unpool2d)
} | dict.fromkeys(("max_unpool1d", "max_unpool2d", "max_unpool3d"), _max_unpool)
