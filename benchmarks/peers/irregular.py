"""Operators without windows in PyTorch: of each, the ways that it can be composed, named, the fastest of which counts.

What follows from the other arrays (indices, weights, lengths, where segments begin) is computed inside the call, as
boxes, masks and ids are others in each. Every function yields a name and a function of x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

Ways = Iterator[tuple[str, Callable[[Any], Any]]]


# ---------------------------------------------------------------------------- regions

def _rows(x: Any, groups: int = 1) -> Any:
    """The elements of maps as rows of channels: a view if these lie together. With groups, those of one after another.
    """
    n, channels, height, width = x.shape
    rows = x.reshape(n, channels // groups, groups, height * width).permute(0, 2, 3, 1)
    return rows.reshape(-1, channels // groups)


def _bins(y: Any, boxes: int, size: int) -> Any:
    """Rows of channels, one a bin, as (boxes, channels, size, size)."""
    return y.view(boxes, size, size, -1).permute(0, 3, 1, 2)


def _begins(torch: Any, case: Any, boxes: Any, groups: int = 1) -> Any:
    """The first row of each box's map (boxes, 1), of the groups of its bins (boxes, bins)."""
    volume = case.shape[2] * case.shape[3]
    return ((boxes[:, :1].long() * groups + torch.arange(groups)) * volume)


def _edges(boxes: Any, size: int, scale: float, aligned: bool) -> list[tuple[Any, Any]]:
    """Where boxes begin and how large their bins are, down and across."""
    corner = boxes[:, 1:] * scale - (0.5 if aligned else 0)
    extent = corner[:, 2:] - corner[:, :2]
    extent = extent if aligned else extent.clamp(min=1)
    return [(corner[:, axis], extent[:, axis] / size) for axis in (1, 0)]


def _corners(torch: Any, at: Any, elements: int) -> tuple[Any, Any]:
    """Positions of two elements and their weights, along a last axis; beside the map the nearest, farther out nothing.
    """
    inside = (at >= -1) & (at <= elements)
    at = at.clamp(0, elements - 1)
    low = at.floor().long()
    share = at - low
    weight = torch.stack([1 - share, share], -1) * inside[..., None]
    return torch.stack([low, (low + 1).clamp(max=elements - 1)], -1), weight


def _grid(torch: Any, case: Any, boxes: Any, size: int, scale: float, samples: int, aligned: bool) -> list[Any]:
    """Positions and weights of each axis's elements: (boxes, size, samples, 2)."""
    place, step = torch.arange(size)[:, None], torch.arange(samples) + 0.5
    return [_corners(torch, _at(begin[:, None, None], each[:, None, None], place, step, samples), elements)
            for (begin, each), elements in zip(_edges(boxes, size, scale, aligned), case.shape[2:], strict=True)]


def _at(begin: Any, each: Any, place: Any, step: Any, samples: Any) -> Any:
    """Where samples are, rounded as torchvision rounds it."""
    return begin + place * each + step * each / samples


def _sampled(torch: Any, case: Any, boxes: Any, size: int, scale: float, samples: int, aligned: bool) -> tuple:
    """Elements of every bin (boxes, bins, samples of both axes * 4), on one plane, and their weights."""
    (y, wy), (x, wx) = _grid(torch, case, boxes, size, scale, samples, aligned)

    def outer(down: Any, across: Any) -> tuple:
        return down.flatten(2)[:, :, None, :, None], across.flatten(2)[:, None, :, None, :]

    (y, x), (wy, wx) = outer(y, x), outer(wy, wx)
    return (y * case.shape[3] + x).reshape(len(boxes), size * size, -1), (wy * wx).reshape(len(boxes), size * size, -1)


def _ragged(torch: Any, case: Any, boxes: Any, size: int, scale: float, aligned: bool) -> tuple:
    """The same with a sample for each element that a bin is high or wide: all elements, weights, bins' begins."""
    edges = _edges(boxes, size, scale, aligned)
    counts = [each.ceil().clamp(min=0).long() for _, each in edges]
    parts = [(counts[0][:, None, None] * counts[1][:, None, None]).expand(-1, size, size).reshape(-1)]
    begin = parts[0].cumsum(0) - parts[0]
    bag = torch.repeat_interleave(parts[0])
    sample = torch.arange(len(bag)) - begin[bag]
    box, place = bag // (size * size), bag % (size * size)
    across = counts[1][box]
    found = []
    for (low, each), bins, step, count, elements in zip(
            edges, (place // size, place % size), (sample // across, sample % across), counts, case.shape[2:],
            strict=True):
        at = _at(low[box], each[box], bins, step + 0.5, count[box])
        found.append(_corners(torch, at, elements))
    (y, wy), (x, wx) = found
    index = (y[:, :, None] * case.shape[3] + x[:, None, :]).flatten(1)
    weight = (wy[:, :, None] * wx[:, None, :]).flatten(1) / parts[0][bag][:, None]
    return index + _begins(torch, case, boxes)[box], weight, 4 * begin


def roi_align(torch: Any, case: Any, boxes: Any, output_size: int, spatial_scale: float, sampling_ratio: int = -1,
              aligned: bool = False, mode: str = "avg") -> Ways:
    functional, n = torch.nn.functional, output_size
    fixed = partial(_sampled, torch, case, boxes, n, spatial_scale, sampling_ratio, aligned)

    def bags(x: Any) -> Any:
        index, weight = fixed()
        index = (index + _begins(torch, case, boxes)[:, :, None]).flatten(0, 1)
        weight = weight.flatten(0, 1) / sampling_ratio**2
        return _bins(functional.embedding_bag(index, _rows(x), per_sample_weights=weight, mode="sum"), len(boxes), n)

    def ragged_bags(x: Any) -> Any:
        index, weight, begin = _ragged(torch, case, boxes, n, spatial_scale, aligned)
        y = functional.embedding_bag(index.flatten(), _rows(x), begin, per_sample_weights=weight.flatten(), mode="sum")
        return _bins(y, len(boxes), n)

    def sampler(x: Any) -> Any:
        """Boxes lie on the map, so that a border that goes on is right."""
        place = (torch.arange(n * sampling_ratio) + 0.5) / sampling_ratio
        (y, high), (left, wide) = _edges(boxes, n, spatial_scale, aligned)
        down, across = (2 * (begin[:, None] + place * each[:, None]) / (elements - 1) - 1
                        for begin, each, elements in ((y, high, case.shape[2]), (left, wide, case.shape[3])))
        size = (len(boxes), n * sampling_ratio, n * sampling_ratio)
        grid = torch.stack([across[:, None, :].expand(size), down[:, :, None].expand(size)], -1).flatten(0, 1)[None]
        y = functional.grid_sample(x, grid, padding_mode="border", align_corners=True)
        y = functional.avg_pool2d(y, sampling_ratio)
        return y.reshape(-1, len(boxes), n, n).transpose(0, 1)

    def corners(x: Any) -> Any:
        """The largest of all elements around samples, each times its weight."""
        index, weight = fixed()
        index, rows = index + _begins(torch, case, boxes)[:, :, None], _rows(x)
        y = None
        for i in range(index.shape[2]):
            part = rows.index_select(0, index[:, :, i].flatten()) * weight[:, :, i].reshape(-1, 1)
            y = part if y is None else torch.maximum(y, part)
        return _bins(y, len(boxes), n)

    if mode == "onnx_max":
        yield "index_select + maximum", corners
    elif sampling_ratio > 0:
        yield "embedding_bag", bags
        if case.shape[0] == 1:
            yield "grid_sample", sampler
    else:
        yield "embedding_bag", ragged_bags


def _rounded(torch: Any, boxes: Any, scale: float) -> Any:
    """Corners, to the nearest element, halves away from zero."""
    return (boxes[:, 1:] * scale + 0.5).floor().long()


def roi_pool(torch: Any, case: Any, boxes: Any, output_size: int, spatial_scale: float,
             rounding: str = "torchvision") -> Ways:
    def crops(x: Any) -> Any:
        """Boxes lie on the map, where their bins are those of adaptive pooling."""
        corners, image = _rounded(torch, boxes, spatial_scale).tolist(), boxes[:, 0].long().tolist()
        parts = [x[i, :, top:bottom + 1, left:right + 1]
                 for i, (left, top, right, bottom) in zip(image, corners, strict=True)]
        return torch.stack([torch.nn.functional.adaptive_max_pool2d(part, output_size) for part in parts])

    if rounding == "torchvision":
        yield "adaptive_max_pool2d of crops", crops


def ps_roi_pool(torch: Any, case: Any, boxes: Any, output_size: int, spatial_scale: float) -> Ways:
    n = output_size

    def ends(low: Any, size: Any, elements: int) -> tuple[Any, Any]:
        place = torch.arange(n + 1)
        begin, end = place[:-1] * size[:, None] // n, -(-place[1:] * size[:, None] // n)
        return (begin + low[:, None]).clamp(0, elements), (end + low[:, None]).clamp(0, elements)

    def bags(x: Any) -> Any:
        corner = _rounded(torch, boxes, spatial_scale)
        size = (corner[:, 2:] - corner[:, :2]).clamp(min=1)
        (top, bottom), (left, right) = (ends(corner[:, axis], size[:, axis], elements)
                                        for axis, elements in ((1, case.shape[2]), (0, case.shape[3])))
        wide = (right - left)[:, None, :].expand(-1, n, n).flatten()
        count = (bottom - top)[:, :, None].expand(-1, n, n).flatten() * wide
        begin = count.cumsum(0) - count
        bag = torch.repeat_interleave(count)
        step = torch.arange(len(bag)) - begin[bag]
        first = (_begins(torch, case, boxes, n * n).view(-1, n, n)
                 + top[:, :, None] * case.shape[3] + left[:, None, :]).flatten()
        index = first[bag] + step // wide[bag] * case.shape[3] + step % wide[bag]
        return _bins(torch.nn.functional.embedding_bag(index, _rows(x, n * n), begin, mode="mean"), len(boxes), n)

    yield "embedding_bag", bags


def ps_roi_align(torch: Any, case: Any, boxes: Any, output_size: int, spatial_scale: float,
                 sampling_ratio: int) -> Ways:
    n = output_size

    def bags(x: Any) -> Any:
        index, weight = _sampled(torch, case, boxes, n, spatial_scale, sampling_ratio, True)
        index = (index + _begins(torch, case, boxes, n * n)[:, :, None]).flatten(0, 1)
        weight = weight.flatten(0, 1) / sampling_ratio**2
        y = torch.nn.functional.embedding_bag(index, _rows(x, n * n), per_sample_weights=weight, mode="sum")
        return _bins(y, len(boxes), n)

    yield "embedding_bag", bags


# ---------------------------------------------------------------------------- sequences

def _mask(torch: Any, case: Any, mask: Any, axis: int) -> tuple[Any, Any]:
    """What counts (N, L), and the same with x's axes."""
    which = mask if mask.dtype == torch.bool else torch.arange(case.shape[axis]) < mask[:, None]
    return which, which.unsqueeze(2 if axis == 1 else 1)


def _cut(x: Any, mask: Any, axis: int) -> list[Any]:
    return [sequence.narrow(axis - 1, 0, length) for sequence, length in zip(x, mask.tolist(), strict=True)]


def masked_avg_pool(torch: Any, case: Any, mask: Any = None, offsets: Any = None, axis: int = 1) -> Ways:
    def product(x: Any) -> Any:
        which, wide = _mask(torch, case, mask, axis)
        return (x * wide).sum(axis) / which.sum(1, keepdim=True)

    def matrices(x: Any) -> Any:
        which, wide = _mask(torch, case, mask, axis)
        weights = which.to(x.dtype)
        y = weights[:, None] @ x if axis == 1 else x @ weights[:, :, None]
        return y.squeeze(axis) / which.sum(1, keepdim=True)

    def slices(x: Any) -> Any:
        return torch.stack([part.mean(axis - 1) for part in _cut(x, mask, axis)])

    if offsets is not None:
        yield from _ragged_sequences(torch, offsets, "mean")
        return
    yield "mask * x", product
    yield "matmul", matrices
    if mask.dtype != torch.bool:
        yield "slices", slices


def masked_max_pool(torch: Any, case: Any, mask: Any = None, offsets: Any = None, axis: int = 1) -> Ways:
    def filled(x: Any) -> Any:
        return x.masked_fill(~_mask(torch, case, mask, axis)[1], float("-inf")).amax(axis)

    def filled_max(x: Any) -> Any:
        return x.masked_fill(~_mask(torch, case, mask, axis)[1], float("-inf")).max(axis).values

    def slices(x: Any) -> Any:
        return torch.stack([part.amax(axis - 1) for part in _cut(x, mask, axis)])

    if offsets is not None:
        yield from _ragged_sequences(torch, offsets, "max")
        return
    yield "masked_fill + amax", filled
    yield "masked_fill + max", filled_max
    if mask.dtype != torch.bool:
        yield "slices", slices


def _ragged_sequences(torch: Any, offsets: Any, kind: str) -> Ways:
    """No sequence is empty. Nested tensors are left out: theirs takes seconds."""
    reduce = torch.mean if kind == "mean" else torch.amax

    def slices(x: Any) -> Any:
        return torch.stack([reduce(part, 0) for part in x.split(offsets.diff().tolist())])

    def bags(x: Any) -> Any:
        return torch.nn.functional.embedding_bag(torch.arange(len(x)), x, offsets[:-1], mode=kind)

    yield "slices", slices
    yield "segment_reduce", lambda x: torch.segment_reduce(x, kind, offsets=offsets)
    yield "embedding_bag", bags


def k_max_pool1d(torch: Any, case: Any, k: int) -> Ways:
    def indices(x: Any) -> Any:
        return x.gather(-1, x.topk(k, -1, sorted=False).indices.sort(-1).values)

    yield "topk + sort + gather", indices


def dynamic_k_max_pool1d(torch: Any, case: Any, k_top: int, layer: int, num_layers: int) -> Ways:
    yield from k_max_pool1d(torch, case, max(k_top, -(-(num_layers - layer) * case.shape[2] // num_layers)))


def dynamic_pool2d(torch: Any, case: Any, output_size: int) -> Ways:
    def along(x: Any, axis: int) -> Any:
        """The first blocks, and those that have one element more."""
        size, more = divmod(x.shape[axis], output_size)
        few = (output_size - more) * size
        parts = [(x.narrow(axis, 0, few), size), (x.narrow(axis, few, x.shape[axis] - few), size + 1)]
        return torch.cat([part.unflatten(axis, (-1, each)).amin(axis + 1) for part, each in parts if part.numel()],
                         axis)

    yield "unflatten + amin", lambda x: along(along(x, 3), 2)
    yield "unflatten + amin of rows first", lambda x: along(along(x, 2), 3)


# ---------------------------------------------------------------------------- segments

def _counts(torch: Any, ids: Any, segments: int) -> Any:
    return torch.bincount(ids, minlength=segments)


def _reduced(torch: Any, case: Any, ids: Any, segments: int, scatter: str, kind: str) -> Ways:
    """What all reductions have; segments without rows are 0."""
    features = case.shape[1]

    def scattered(x: Any) -> Any:
        to = torch.zeros(segments, features)
        return to.scatter_reduce(0, ids[:, None].expand(-1, features), x, scatter, include_self=False)

    def runs(x: Any) -> Any:
        lengths = _counts(torch, ids, segments)
        y = torch.segment_reduce(x, kind, lengths=lengths)
        return y if kind == "sum" else y.masked_fill((lengths == 0)[:, None], 0)

    def bags(x: Any) -> Any:
        """A copy of nothing but ids: rows are read where they are."""
        order, rising = (torch.arange(len(ids)), ids) if case.rising else reversed(ids.sort(stable=True))
        begin = torch.searchsorted(rising, torch.arange(segments))
        return torch.nn.functional.embedding_bag(order, x, begin, mode=kind)

    yield "scatter_reduce", scattered
    if case.rising:
        yield "segment_reduce", runs
    if kind != "min":
        yield "embedding_bag", bags


def segment_sum(torch: Any, case: Any, segment_ids: Any, num_segments: int) -> Ways:
    yield "index_add", lambda x: torch.zeros(num_segments, case.shape[1]).index_add(0, segment_ids, x)
    yield from _reduced(torch, case, segment_ids, num_segments, "sum", "sum")


def segment_mean(torch: Any, case: Any, segment_ids: Any, num_segments: int) -> Ways:
    def divided(x: Any) -> Any:
        total = torch.zeros(num_segments, case.shape[1]).index_add(0, segment_ids, x)
        return total / _counts(torch, segment_ids, num_segments).clamp(min=1)[:, None]

    yield "index_add", divided
    yield from _reduced(torch, case, segment_ids, num_segments, "mean", "mean")


def segment_max(torch: Any, case: Any, segment_ids: Any, num_segments: int) -> Ways:
    yield from _reduced(torch, case, segment_ids, num_segments, "amax", "max")


def segment_min(torch: Any, case: Any, segment_ids: Any, num_segments: int) -> Ways:
    yield from _reduced(torch, case, segment_ids, num_segments, "amin", "min")


def topk_pool(torch: Any, case: Any, scores: Any, segment_ids: Any, ratio: float) -> Ways:
    def by_graph(x: Any) -> Any:
        order = scores.argsort(descending=True, stable=True)
        order = order[segment_ids[order].argsort(stable=True)]
        count = torch.bincount(segment_ids)
        begin, graph = count.cumsum(0) - count, segment_ids[order]
        kept = order[torch.arange(len(order)) - begin[graph] < (ratio * count).ceil()[graph]]
        return x.index_select(0, kept) * scores[kept].tanh()[:, None]

    yield "argsort + index_select", by_graph


# ---------------------------------------------------------------------------- unpooling

def _max_unpool(torch: Any, case: Any, indices: Any, kernel_size: int) -> Ways:
    ndim = len(case.shape) - 2
    unpool = getattr(torch.nn.functional, f"max_unpool{ndim}d")

    def scattered(x: Any) -> Any:
        y = torch.zeros(*case.shape[:2], kernel_size**ndim * x[0, 0].numel())
        return y.scatter_(2, indices.flatten(2), x.flatten(2)).view(case.result)

    yield f"max_unpool{ndim}d", lambda x: unpool(x, indices, kernel_size)
    yield "scatter", scattered


def avg_unpool2d(torch: Any, case: Any, kernel_size: int, scale: str = "adjoint") -> Ways:
    volume = kernel_size**2 if scale == "adjoint" else 1

    def nearest(x: Any) -> Any:
        return torch.nn.functional.interpolate(x if volume == 1 else x / volume, scale_factor=kernel_size,
                                               mode="nearest")

    def repeated(x: Any) -> Any:
        """Each element of rows, then rows, as a view that is copied once."""
        n, c, h, w = x.shape
        whole = (x if volume == 1 else x / volume)[:, :, :, None, :, None].expand(-1, -1, -1, kernel_size, -1,
                                                                                 kernel_size)
        return whole.reshape(n, c, h * kernel_size, w * kernel_size)

    yield "interpolate", nearest
    yield "expand", repeated


WAYS: dict[str, Callable[..., Ways]] = {
    function.__name__: function
    for function in (roi_align, roi_pool, ps_roi_pool, ps_roi_align, masked_avg_pool, masked_max_pool, k_max_pool1d,
                     dynamic_k_max_pool1d, dynamic_pool2d, segment_sum, segment_mean, segment_max, segment_min,
                     topk_pool, avg_unpool2d)
} | dict.fromkeys(("max_unpool1d", "max_unpool2d", "max_unpool3d"), _max_unpool)
