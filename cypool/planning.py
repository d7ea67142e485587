"""Planning: what a stack of convolutions and poolings sees of its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

from cypool import arguments
from cypool.windows import output_size, same_padding

SETTINGS = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")


@dataclass(frozen=True)
class Field:
    """What an output of one layer sees of the stack's input; integers, or one for every axis.

    Attributes
    ----------
    layer : str
    size : int or tuple of int
        Input elements from the first that an output sees to the last.
    jump : int or tuple of int
        Input elements from one output's first to the next one's.
    start : int or tuple of int
        The first element that output 0 sees; negative where it begins on padding.
    output : int or tuple of int, or None
        Outputs of the layer, where the input's size was given.
    """

    layer: str
    size: Any
    jump: Any
    start: Any
    output: Any = None


class Fields(tuple[Field, ...]):
    """One `Field` for every layer; printed as a table."""

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("layer", "size", "jump", "start", "output")]
        rows += [(f.layer, str(f.size), str(f.jump), str(f.start), "" if f.output is None else str(f.output))
                 for f in self]
        if all(f.output is None for f in self):
            rows = [row[:-1] for row in rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in
                                                              zip(row[1:], widths[1:], strict=True))]) for row in rows)


def flattened(layers: Sequence[Any]) -> list[Any]:
    """Layers of sequences within sequences."""
    return [inner for layer in layers for inner in (
        flattened(layer.layers) if isinstance(getattr(layer, "layers", None), tuple) else [layer])]


def settings_of(layer: Any, place: int) -> tuple[str, dict[str, Any]]:
    """A layer's name and window settings."""
    if isinstance(layer, Mapping):
        known = {*SETTINGS, "name"}
        if "kernel_size" not in layer or not set(layer) <= known:
            raise ValueError(f"layers must be mappings with kernel_size and perhaps {', '.join(sorted(known))}, "
                             f"got {arguments.show(dict(layer))}")
        found = {"stride": 1, **layer}
        return str(found.pop("name", f"layer {place}")), found
    settings = getattr(layer, "settings", None)
    if not isinstance(settings, dict):
        raise TypeError(f"layers must be cypool layers or mappings, got {arguments.show(layer)}")
    name = type(layer).__name__
    if "repeats" in settings:                                   # maxima on maxima are maxima of a wider window
        kernel, repeats = settings["kernel_size"], settings["repeats"]
        many = isinstance(kernel, arguments.NESTED)
        pads = [repeats * (k // 2) for k in (kernel if many else [kernel])]
        sizes = [2 * pad + 1 for pad in pads]
        return name, {"kernel_size": sizes if many else sizes[0], "stride": 1, "padding": pads if many else pads[0]}
    if "filter_size" in settings:
        filters = arguments.per_axis("filter_size", settings["filter_size"], layer.ndim, 1)
        return name, {"kernel_size": filters, "stride": settings["stride"],
                      "padding": [((f - 1) // 2, f // 2) for f in filters]}
    if "weights" in layer.parameters:
        kernel = layer.parameters["weights"].shape[-layer.ndim:]
        found = {key: settings[key] for key in SETTINGS if key in settings}
        return name, {**found, "kernel_size": kernel, "stride": kernel if found["stride"] is None else found["stride"]}
    if "kernel_size" in settings and "stride" in settings:
        found = {key: settings[key] for key in SETTINGS if key in settings}
        found["stride"] = found["kernel_size"] if found.get("stride") is None else found["stride"]
        return name, found
    raise ValueError(f"layers must have windows of one size, got {arguments.show(layer)}")


def receptive_field(layers: Sequence[Any], input_size: SupportsIndex | Sequence[SupportsIndex] | None = None) -> Fields:
    """What the outputs of a stack of layers see of its input.

    From layer to layer, with ``extent = (kernel_size - 1) * dilation + 1``, the size of the field grows by
    ``(extent - 1) * jump``, its start moves back by ``padding * jump``, and the jump is multiplied by the stride.
    Output i of a layer sees the elements from ``start + i * jump`` on, `size` of them.

    Parameters
    ----------
    layers : sequence
        Pooling layers of cypool, or mappings with `kernel_size` and, if they are not 1, 0, 1 and False, `stride`,
        `padding`, `dilation` and `ceil_mode`: convolutions count too. A mapping may have a `name`.
    input_size : int, or one int per axis, optional
        Spatial size of the input. "same" padding needs it.

    Returns
    -------
    tuple of Field
        One for each layer, with `layer`, `size`, `jump`, `start` and `output`; integers, or one for each axis where
        the layers or `input_size` tell axes apart. Printed, it is a table.

    Raises
    ------
    TypeError
        If something that must be an integer is none, or a layer is neither a layer nor a mapping.
    ValueError
        If a layer has no window of one size, or its windows do not fit.

    References
    ----------
    .. [1] A. Araujo, W. Norris, J. Sim, "Computing receptive fields of convolutional neural networks", 2019.

    Examples
    --------
    >>> import cypool
    >>> print(cypool.receptive_field([dict(kernel_size=7, stride=2, padding=3), cypool.MaxPool2d(3, 2, 1)], 224))
    layer      size  jump  start  output
    layer 0       7     2     -3     112
    MaxPool2d    11     4     -5      56
    """
    if isinstance(layers, (str, bytes, Mapping)) or not isinstance(layers, Sequence):
        layers = getattr(layers, "layers", layers)              # a Sequential
        if not isinstance(layers, (list, tuple)):
            raise TypeError(f"layers must be a sequence of layers, got {arguments.show(layers)}")
    stack = [settings_of(layer, i) for i, layer in enumerate(flattened(layers))]
    axes = {len(v) for _, found in stack for v in found.values() if isinstance(v, arguments.NESTED)}
    if isinstance(input_size, arguments.NESTED):
        axes.add(len(input_size))
    if len(axes) > 1:
        raise ValueError(f"layers and input_size must agree on the number of axes, got {sorted(axes)}")
    ndim = axes.pop() if axes else 1
    told_apart = ndim != 1 or isinstance(input_size, arguments.NESTED)
    sizes: Any = None if input_size is None else arguments.per_axis("input_size", input_size, ndim, 1)

    def shown(values: Any) -> Any:
        return None if values is None else tuple(values) if told_apart else values[0]

    size, jump, start = [1] * ndim, [1] * ndim, [0] * ndim
    result = []
    for name, found in stack:
        kernel = arguments.per_axis("kernel_size", found["kernel_size"], ndim, 1)
        stride = arguments.per_axis("stride", found.get("stride", 1), ndim, 1)
        dilation = arguments.per_axis("dilation", found.get("dilation", 1), ndim, 1)
        pads = arguments.pads(found.get("padding", 0), ndim)
        ceil_mode = arguments.flag("ceil_mode", found.get("ceil_mode", False))
        if isinstance(pads, str):
            if sizes is None:
                raise ValueError(f"input_size must be given for padding {pads!r}, got None")
            pads = tuple(same_padding(n, k, s, d, pads == "same_upper")
                         for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True))
        for i in range(ndim):
            size[i] += (kernel[i] - 1) * dilation[i] * jump[i]
            start[i] -= pads[i][0] * jump[i]
            jump[i] *= stride[i]
        if sizes is not None:
            sizes = tuple(output_size(n, k, s, before, after, d, ceil_mode) for n, k, s, (before, after), d in
                          zip(sizes, kernel, stride, pads, dilation, strict=True))
            if min(sizes) < 1:
                raise ValueError(f"input_size must leave every layer at least one output, got {sizes} after {name}")
        result.append(Field(name, shown(size), shown(jump), shown(start), shown(sizes)))
    return Fields(result)
