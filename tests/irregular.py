"""The list of operators whose windows are data, and their oracle: each by its definition, in slow and obvious loops.

An entry draws calls. A call is an array x, the other arguments by name, and what its function must give.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from cases import FLOATS, shaped

import cypool

LONG = np.longdouble


@dataclass
class Call:
    """x, arguments by name, and from any x of that shape the values and the places that were chosen, or None."""

    shape: tuple
    given: dict
    expected: Any


@dataclass(frozen=True)
class Irregular:
    """An operator.

    ``draw(rng)`` gives a Call. kinds: of numbers it takes; chooses: it has return_indices; beside: what its layer takes
    beside x; backward(g, x, places, given): its gradient, by the public function.
    """

    name: str
    draw: Any
    kinds: str = "fiu"
    chooses: bool = False
    beside: tuple = ()
    backward: Any = None
    integer_mean: bool = False
    sums: bool = False

    @property
    def forward(self):
        return getattr(cypool, self.name)

    @property
    def layer(self):
        return getattr(cypool, "".join(part.capitalize() for part in self.name.split("_")))

    def run(self, x, given, **options):
        """``(y, indices or None)``."""
        if self.chooses and given.get("op") != "avg":
            return self.forward(x, **given, return_indices=True, **options)
        made = self.forward(x, **given, **options)
        return made if isinstance(made, tuple) else (made, None)


# ---------------------------------------------------------------------------- choosing

def best(values, places, least=False):
    """The largest of a list, of equal ones the first, of NaN the last; and its place."""
    at = 0
    for i in range(len(values)):
        if values[i] != values[i] or (values[i] < values[at] if least else values[i] > values[at]):
            at = i
    return values[at], places[at]


def channels_first(y, given, ndim):
    return np.moveaxis(y, -1, y.ndim - ndim - 1) if given.get("data_format") == "channels_last" else y


def channels_back(y, given, ndim):
    return np.moveaxis(y, y.ndim - ndim - 1, -1) if given.get("data_format") == "channels_last" else y


def formatted(rng):
    return {"data_format": str(rng.choice(["channels_first", "channels_last"]))}


# ---------------------------------------------------------------------------- segments

def segments(rng, reduce, chooses=False, least=False):
    rows, count = int(rng.integers(1, 40)), int(rng.integers(1, 9))
    features = [(), (1,), (3,), (16,), (17,), (2, 3), (40,)][rng.integers(7)]
    ids = rng.integers(0, count, rows)
    if rng.random() < 0.5:
        ids.sort()
    given = {"segment_ids": ids.astype(rng.choice(["i1", "i4", "i8", "u2", "u8", ">i4"])), "num_segments": count + 1}

    def expected(x):
        shape = (count + 1, *x.shape[1:])
        y, places = np.zeros(shape, object if x.dtype.kind in "iub" else LONG), np.full(shape, -1)
        for s in range(count + 1):
            which = np.flatnonzero(ids == s)
            for f in np.ndindex(*x.shape[1:]):
                values = [x[(t, *f)] for t in which]
                if values and chooses:
                    y[(s, *f)], places[(s, *f)] = best(values, which, least)
                elif values:
                    y[(s, *f)] = reduce(values)
        return y, places if chooses else None

    return Call((rows, *features), given, expected)


def exact(value):
    return int(value) if isinstance(value, (np.integer, np.bool_)) else LONG(value)


def total(values):
    return sum(map(exact, values))


def mean(values):
    return total(values) / len(values)


# ---------------------------------------------------------------------------- sequences

def masked(rng, reduce, chooses=False):
    n, length = int(rng.integers(1, 5)), int(rng.integers(1, 12))
    before, behind = [((), (3,)), ((), (17,)), ((2,), ()), ((20,), ()), ((2,), (3,)), ((), ())][rng.integers(6)]
    shape, axis = (n, *before, length, *behind), 1 + len(before)
    which = rng.random((n, length)) < 0.6
    form = rng.integers(3)
    given = {"axis": axis if rng.random() < 0.7 else axis - len(shape)}
    if form == 0:
        given["mask"] = which
    elif form == 1:
        lengths = rng.integers(0, length + 1, n)
        which = np.arange(length) < lengths[:, None]
        given["mask"] = lengths.astype(rng.choice(["i8", "u1"]))
    else:
        offsets = np.concatenate([[0], np.sort(rng.integers(0, n * length + 1, n - 1)), [n * length]])
        shape, given = (n * length, *behind), {"offsets": offsets}

    def sequences(x):
        if form == 2:
            return [(x[a:b], np.arange(a, b)) for a, b in zip(offsets, offsets[1:], strict=False)]
        moved = np.moveaxis(x, axis, 1)
        return [(moved[i, which[i]], np.flatnonzero(which[i])) for i in range(n)]

    def expected(x):
        rows = sequences(x)
        rest = rows[0][0].shape[1:]
        y, places = np.zeros((n, *rest), object if x.dtype.kind in "iub" else LONG), np.full((n, *rest), -1)
        for i, (row, at) in enumerate(rows):
            for f in np.ndindex(*rest):
                values = list(row[(slice(None), *f)])
                if values and chooses:
                    y[(i, *f)], places[(i, *f)] = best(values, at)
                elif values:
                    y[(i, *f)] = reduce(values)
        return y, places if chooses else None

    return Call(shape, given, expected)


def k_largest(rng, dynamic=False):
    n, c, length = int(rng.integers(1, 3)), int(rng.choice([1, 3, 17])), int(rng.choice([1, 5, 30, 200]))
    given = formatted(rng)
    k = int(rng.integers(0, length + 1)) if rng.random() < 0.7 else min(length, 40)
    if dynamic:
        top, layers = int(rng.integers(1, length + 1)), int(rng.integers(1, 5))
        layer = int(rng.integers(1, layers + 1))
        k = max(top, math.ceil((layers - layer) * length / layers))
        given |= {"k_top": top, "layer": layer, "num_layers": layers}
    else:
        given["k"] = k

    def expected(x):
        planes = channels_first(x, given, 1)
        y, places = np.empty((*planes.shape[:-1], k), x.dtype), np.empty((*planes.shape[:-1], k), np.int64)
        for at in np.ndindex(*planes.shape[:-1]):
            row = list(planes[at])
            order = sorted(range(length), key=lambda i: (row[i] == row[i], row[i] == row[i] and -exact(row[i]), i))
            places[at] = sorted(order[:k])
            y[at] = [row[i] for i in places[at]]
        return channels_back(y, given, 1), channels_back(places, given, 1)

    return Call(shaped(n, c, (length,), given["data_format"]), given, expected)


def blocks(size, out):
    """Socher's blocks: elements of each, repeated until there are enough."""
    elements = [i for i in range(size) for _ in range(math.ceil(out / size))]
    small, longer = divmod(len(elements), out)
    ends, at = [], 0
    for i in range(out):
        width = small + (i >= out - longer)
        ends.append(elements[at : at + width])
        at += width
    return ends


def dynamic(rng):
    n, c = int(rng.integers(1, 3)), int(rng.choice([1, 3, 17]))
    h, w = (int(v) for v in rng.integers(1, 14, 2))
    size = tuple(int(v) for v in rng.integers(1, 8, 2))
    given = {"output_size": size, "op": str(rng.choice(["min", "max", "avg"])), **formatted(rng)}

    def expected(x):
        planes = channels_first(x, given, 2)
        shape = (*planes.shape[:-2], *size)
        y, places = np.zeros(shape, object if x.dtype.kind in "iub" else LONG), np.zeros(shape, np.int64)
        for at in np.ndindex(*shape):
            cells = [(i, j) for i in blocks(h, size[0])[at[-2]] for j in blocks(w, size[1])[at[-1]]]
            values = [planes[(*at[:-2], i, j)] for i, j in cells]
            if given["op"] == "avg":
                y[at] = mean(values)
            else:
                y[at], places[at] = best(values, [i * w + j for i, j in cells], given["op"] == "min")
        return channels_back(y, given, 2), None if given["op"] == "avg" else channels_back(places, given, 2)

    return Call(shaped(n, c, (h, w), given["data_format"]), given, expected)


# ---------------------------------------------------------------------------- regions

def boxes_of(rng, images, reach):
    count = int(rng.integers(1, 6))
    corner = rng.uniform(-reach / 2, reach * 1.5, (count, 2))
    size = rng.normal(size=(count, 2)) * reach * 0.4 + reach * 0.3
    rows = np.concatenate([rng.integers(0, images, (count, 1)), corner, corner + size], 1)
    return (np.round(rows * 2) / 2 if rng.random() < 0.5 else rows).astype(rng.choice(["f4", "f8"]))


def region(rng, channels=lambda bins, c: c):
    n, c = int(rng.integers(1, 4)), int(rng.choice([1, 2, 5, 17]))
    h, w = (int(v) for v in rng.integers(1, 14, 2))
    size = tuple(int(v) for v in rng.integers(1, 4, 2))
    scale = float(rng.choice([1, 0.5, 0.3]))
    given = {"boxes": boxes_of(rng, n, max(h, w) / scale), "output_size": size, "spatial_scale": scale,
             **formatted(rng)}
    return shaped(n, channels(math.prod(size), c), (h, w), given["data_format"]), given


def away(value):
    """To the nearest integer, halves away from zero."""
    return int(math.copysign(math.floor(abs(float(value)) + 0.5), value))


def scaled(box, scale):
    return [float(v) for v in box[1:] * box.dtype.type(scale)]


def bins(low, size, out, elements):
    """The elements of each bin."""
    return [[t + low for t in range(i * size // out, -(-(i + 1) * size // out)) if 0 <= t + low < elements]
            for i in range(out)]


def box_bins(box, given, h, w, both):
    x1, y1, x2, y2 = (away(v) for v in scaled(box, given["spatial_scale"]))
    tall, broad = given["output_size"]
    return bins(y1, max(y2 - y1 + both, 1), tall, h), bins(x1, max(x2 - x1 + both, 1), broad, w)


def roi_pool(rng):
    shape, given = region(rng)

    def expected(x):
        planes = channels_first(x, given, 2)
        _, c, h, w = planes.shape
        made = (len(given["boxes"]), c, *given["output_size"])
        y, places = np.zeros(made, x.dtype), np.full(made, -1)
        for k, box in enumerate(given["boxes"]):
            down, across = box_bins(box, given, h, w, 1)
            for ch, p, q in np.ndindex(*made[1:]):
                cells = [(i, j) for i in down[p] for j in across[q]]
                if cells:
                    y[k, ch, p, q], places[k, ch, p, q] = best(
                        [planes[int(box[0]), ch, i, j] for i, j in cells], [i * w + j for i, j in cells])
        return channels_back(y, given, 2), channels_back(places, given, 2)

    return Call(shape, given, expected)


def interpolated(plane, y, x):
    """The four parts of a sample; none outside."""
    h, w = plane.shape
    if y < -1 or y > h or x < -1 or x > w:
        return []
    parts = []
    for size, at in ((h, max(y, 0.0)), (w, max(x, 0.0))):
        low = min(int(at), size - 1)
        behind = at - low if low < size - 1 else 0.0
        parts.append([(low, 1 - behind), (min(low + 1, size - 1), behind)])
    return [wy * wx * plane[i, j] for i, wy in parts[0] for j, wx in parts[1]]


def grids(box, given, aligned, ratio):
    """From a box: where the samples of each bin are, (rows, columns)."""
    real = box.dtype.type
    x1, y1, x2, y2 = box[1:] * real(given["spatial_scale"]) - real(0.5 * aligned)
    both = []
    for low, high, out in ((y1, y2, given["output_size"][0]), (x1, x2, given["output_size"][1])):
        size = high - low if aligned else max(high - low, real(1))
        each = size / real(out)
        grid = ratio if ratio > 0 else max(0, math.ceil(each))
        both.append([[float(low + real(p) * each + real(a + 0.5) * each / real(grid)) for a in range(grid)]
                     for p in range(out)])
    return both


def roi_align(rng):
    shape, given = region(rng)
    given |= {"sampling_ratio": int(rng.choice([-1, 0, 1, 2, 3, 10])), "aligned": bool(rng.integers(2)),
              "mode": str(rng.choice(["avg", "avg", "max", "onnx_max"]))}

    def expected(x):
        planes = channels_first(x, given, 2).astype(np.float64)
        y = np.zeros((len(given["boxes"]), planes.shape[1], *given["output_size"]), LONG)
        for k, box in enumerate(given["boxes"]):
            down, across = grids(box, given, given["aligned"], given["sampling_ratio"])
            for ch, p, q in np.ndindex(*y.shape[1:]):
                samples = [interpolated(planes[int(box[0]), ch], v, u) for v in down[p] for u in across[q]]
                if samples and given["mode"] == "avg":
                    y[k, ch, p, q] = sum(sum(s, LONG(0)) for s in samples) / len(samples)
                elif samples and given["mode"] == "max":
                    y[k, ch, p, q] = best([sum(s) for s in samples], samples)[0]
                elif samples:
                    parts = [part for s in samples for part in (s or [0.0])]
                    y[k, ch, p, q] = best(parts, parts)[0]
        return channels_back(y, given, 2), None

    return Call(shape, given, expected)


def apart(rng, sampled):
    shape, given = region(rng, lambda each, c: each * min(c, 3))
    if sampled:
        given["sampling_ratio"] = int(rng.choice([-1, 1, 2, 3]))

    def expected(x):
        planes = channels_first(x, given, 2)
        tall, broad = given["output_size"]
        _, c, h, w = planes.shape
        y = np.zeros((len(given["boxes"]), c // (tall * broad), tall, broad), LONG)
        for k, box in enumerate(given["boxes"]):
            ends = grids(box, given, True, given["sampling_ratio"]) if sampled else box_bins(box, given, h, w, 0)
            for ch, p, q in np.ndindex(*y.shape[1:]):
                plane = planes[int(box[0]), (ch * tall + p) * broad + q].astype(LONG)
                cells = [(i, j) for i in ends[0][p] for j in ends[1][q]]
                if cells:
                    y[k, ch, p, q] = sum(sum(interpolated(plane, i, j)) if sampled else plane[i, j]
                                         for i, j in cells) / len(cells)
        return channels_back(y, given, 2), None

    return Call(shape, given, expected)


# ---------------------------------------------------------------------------- unpooling

def unpooled(rng, ndim):
    """Shape of x, given, and spatial sizes of the result."""
    while True:
        n, c = int(rng.integers(1, 3)), int(rng.choice([1, 2, 17]))
        counts = tuple(int(v) for v in rng.integers(1, (9, 6, 4)[ndim - 1], ndim))
        kernel = rng.integers(1, 4, ndim)
        stride = rng.integers(1, 4, ndim)
        pad = [int(rng.integers(0, k // 2 + 1)) for k in kernel]
        given = {"kernel_size": tuple(map(int, kernel)), "stride": tuple(map(int, stride)), "padding": tuple(pad),
                 **formatted(rng)}
        sizes = [int((o - 1) * s + k - 2 * p) for o, s, k, p in zip(counts, stride, kernel, pad, strict=True)]
        if rng.random() < 0.4:
            sizes = [int(n + rng.integers(1 - s, s)) for n, s in zip(sizes, stride, strict=True)]
            given["output_size"] = sizes if rng.random() < 0.5 else (n, c, *sizes)
        starts = [(o - 1) * s - p for o, s, p in zip(counts, stride, pad, strict=True)]
        if min(sizes) >= 1 and all(at < size for at, size in zip(starts, sizes, strict=True)):
            return shaped(n, c, counts, given["data_format"]), given, tuple(sizes)


def max_unpool(rng, ndim):
    shape, given, sizes = unpooled(rng, ndim)
    given["indices"] = rng.integers(0, math.prod(sizes), shape).astype(rng.choice(["i8", "i4", "u8", ">i8"]))

    def expected(x):
        planes, index = channels_first(x, given, ndim), channels_first(given["indices"], given, ndim)
        y = np.zeros((*planes.shape[:2], math.prod(sizes)), x.dtype)
        for at in np.ndindex(*planes.shape):
            y[(*at[:2], int(index[at]))] = planes[at]
        return channels_back(y.reshape(*planes.shape[:2], *sizes), given, ndim), None

    return Call(shape, given, expected)


def window_cells(i, given, sizes, padded=False):
    """The elements of window i along each axis, or how many lie on padding as well."""
    cells = []
    for at, n, k, s, p in zip(i, sizes, given["kernel_size"], given["stride"], given["padding"], strict=True):
        taps = range(at * s - p, at * s - p + k)
        cells.append([t for t in taps if t < n + p] if padded else [t for t in taps if 0 <= t < n])
    return cells


def avg_unpool(rng, ndim):
    shape, given, sizes = unpooled(rng, ndim)
    given |= {"scale": str(rng.choice(["adjoint", "copy"])), "count_include_pad": bool(rng.integers(2))}

    def expected(x):
        planes = channels_first(x, given, ndim).astype(LONG)
        y = np.zeros((*planes.shape[:2], *sizes), LONG)
        for at in np.ndindex(*planes.shape[2:]):
            cells = window_cells(at, given, sizes)
            count = math.prod(map(len, window_cells(at, given, sizes, given["count_include_pad"])))
            part = planes[(slice(None), slice(None), *at)] / (count if given["scale"] == "adjoint" else 1)
            y[(slice(None), slice(None), *np.ix_(*cells))] += part.reshape(*part.shape, *(1,) * ndim)
        return channels_back(y, given, ndim), None

    return Call(shape, given, expected)


def topk(rng):
    nodes, graphs = int(rng.integers(1, 30)), int(rng.integers(1, 4))
    ids = rng.integers(0, graphs, nodes)
    scores = np.round(rng.normal(size=nodes) * 2) / 2 if rng.random() < 0.5 else rng.normal(size=nodes)
    ratio = [0.5, 1.0, 0.3, 1, 3][rng.integers(5)]
    given = {"scores": scores, "ratio": ratio, "segment_ids": ids}

    def expected(x):
        kept = []
        for g in range(graphs):
            which = sorted(np.flatnonzero(ids == g), key=lambda t: (-scores[t], t))
            kept += which[: ratio if isinstance(ratio, int) else math.ceil(ratio * len(which))]
        kept = np.array(kept, np.int64)
        gate = np.tanh(scores[kept]).reshape(-1, *(1,) * (x.ndim - 1))
        return x[kept].astype(LONG) * gate, kept

    return Call((nodes, *[(), (4,), (2, 3)][rng.integers(3)]), given, expected)


# ---------------------------------------------------------------------------- the list

def _picked(given, *names):
    return {name: given[name] for name in names if name in given}


def _formatted(given):
    return _picked(given, "data_format")


IRREGULAR = [
    Irregular("segment_sum", lambda rng: segments(rng, total), beside=("segment_ids",), sums=True,
              backward=lambda g, x, at, given: cypool.segment_sum_backward(g, given["segment_ids"])),
    Irregular("segment_mean", lambda rng: segments(rng, mean), beside=("segment_ids",), integer_mean=True,
              backward=lambda g, x, at, given: cypool.segment_mean_backward(g, given["segment_ids"])),
    Irregular("segment_max", lambda rng: segments(rng, None, True), "fiub", True, ("segment_ids",),
              lambda g, x, at, given: cypool.segment_max_backward(g, at, x.shape)),
    Irregular("segment_min", lambda rng: segments(rng, None, True, True), "fiub", True, ("segment_ids",),
              lambda g, x, at, given: cypool.segment_min_backward(g, at, x.shape)),
    Irregular("topk_pool", topk, "f", beside=("scores", "segment_ids"),
              backward=lambda g, x, at, given: cypool.topk_pool_backward(g, x, given["scores"], at)[0]),
    Irregular("masked_avg_pool", lambda rng: masked(rng, mean), beside=("mask", "offsets"), integer_mean=True,
              backward=lambda g, x, at, given: cypool.masked_avg_pool_backward(
                  g, given.get("mask"), x.shape, **_picked(given, "offsets", "axis"))),
    Irregular("masked_max_pool", lambda rng: masked(rng, None, True), "fiub", True, ("mask", "offsets"),
              lambda g, x, at, given: cypool.masked_max_pool_backward(g, at, x.shape,
                                                                      **_picked(given, "offsets", "axis"))),
    Irregular("k_max_pool1d", k_largest, "fiub", True,
              backward=lambda g, x, at, given: cypool.k_max_pool1d_backward(g, at, x.shape, **_formatted(given))),
    Irregular("dynamic_k_max_pool1d", lambda rng: k_largest(rng, True), "fiub", True,
              backward=lambda g, x, at, given: cypool.k_max_pool1d_backward(g, at, x.shape, **_formatted(given))),
    Irregular("dynamic_pool2d", dynamic, "fiub", True, integer_mean=True,
              backward=lambda g, x, at, given: cypool.dynamic_pool2d_backward(
                  g, at, x.shape, **_picked(given, "op", "data_format", "output_size"))),
    Irregular("roi_pool", roi_pool, "fiu", True, ("boxes",),
              lambda g, x, at, given: cypool.roi_pool_backward(g, at, given["boxes"], x.shape, **_formatted(given))),
    Irregular("roi_align", roi_align, "f", beside=("boxes",),
              backward=lambda g, x, at, given: cypool.roi_align_backward(g, x, **given)),
    Irregular("ps_roi_pool", lambda rng: apart(rng, False), "f", beside=("boxes",),
              backward=lambda g, x, at, given: cypool.ps_roi_pool_backward(g, input_shape=x.shape, **given)),
    Irregular("ps_roi_align", lambda rng: apart(rng, True), "f", beside=("boxes",),
              backward=lambda g, x, at, given: cypool.ps_roi_align_backward(g, input_shape=x.shape, **given)),
    *(Irregular(f"max_unpool{n}d", lambda rng, n=n: max_unpool(rng, n), "fiub", beside=("indices",),
                backward=lambda g, x, at, given, n=n: getattr(cypool, f"max_unpool{n}d_backward")(
                    g, given["indices"], **_formatted(given))) for n in (1, 2, 3)),
    *(Irregular(f"avg_unpool{n}d", lambda rng, n=n: avg_unpool(rng, n), "f",
                backward=lambda g, x, at, given, n=n: getattr(cypool, f"avg_unpool{n}d_backward")(
                    g, input_size=spatial(x.shape, given, n), **{k: v for k, v in given.items() if k != "output_size"}))
      for n in (1, 2, 3)),
]


def spatial(shape, given, ndim):
    return shape[-1 - ndim : -1] if given["data_format"] == "channels_last" else shape[-ndim:]


def data(rng, shape, dtype):
    """Normal numbers, ties, or integers of the whole range."""
    dtype = np.dtype(dtype)
    if dtype.name in FLOATS:
        x = rng.normal(size=shape) if rng.random() < 0.5 else rng.integers(-3, 4, shape) / 4
        return x.astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if rng.random() < 0.5:
        return rng.integers(0, 4, shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
