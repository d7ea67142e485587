"""Receptive fields against a trace: which inputs an output really depends on."""

import numpy as np
import pytest
from cases import refused

import cypool


def traced(layers, size):
    """For each output of the last layer the first and last position it reaches, on padding as well; by brute force."""
    reach = [(i, i) for i in range(size)]
    step = 1
    for layer in layers:
        k, s, p, d = (layer.get(key, default) for key, default in
                      (("kernel_size", 1), ("stride", 1), ("padding", 0), ("dilation", 1)))
        before, after = p[0] if isinstance(p, list) else (p, p)
        n = len(reach)
        extended = {i: reach[i] for i in range(n)}
        for i in range(-before, 0):                                # padding lies where elements would
            extended[i] = tuple(v + i * step for v in reach[0])
        for i in range(n, n + after + s + (k - 1) * d):
            extended[i] = tuple(v + (i - n + 1) * step for v in reach[-1])
        windows = (n + before + after - (k - 1) * d - 1) // s + 1
        if layer.get("ceil_mode"):
            windows = min(-(-(n + before + after - (k - 1) * d - 1) // s) + 1, (n + before - 1) // s + 1)
        made = []
        for i in range(windows):
            taps = [extended[i * s - before + j * d] for j in range(k)]
            made.append((min(t[0] for t in taps), max(t[1] for t in taps)))
        step *= s
        reach = made
    return reach


def test_against_a_trace():
    rng = np.random.default_rng(0)
    for _ in range(200):
        layers = []
        for _ in range(int(rng.integers(1, 5))):
            k, d = int(rng.integers(1, 5)), int(rng.integers(1, 3))
            most = (k - 1) * d + 1
            layers.append({"kernel_size": k, "stride": int(rng.integers(1, 4)), "dilation": d,
                           "padding": [tuple(int(v) for v in rng.integers(0, most, 2))],
                           "ceil_mode": bool(rng.random() < 0.3)})
        try:
            fields = cypool.receptive_field(layers, 60)
        except ValueError:
            continue
        for count, found in enumerate(fields, 1):
            reach = traced(layers[:count], 60)
            assert found.output == len(reach)
            for i, (first, last) in enumerate(reach):
                assert first == found.start + i * found.jump and last == first + found.size - 1


def test_known_networks():
    stack = [{"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 3, "stride": 2, "padding": 1},
             {"kernel_size": 5, "padding": 4, "dilation": 2}]
    found = cypool.receptive_field(stack)[-1]
    assert (found.size, found.jump, found.start, found.output) == (39, 4, -19, None)
    assert found.start + 4 * found.jump == -3 and found.start + 4 * found.jump + found.size - 1 == 35
    vgg = [layer for n in (2, 2, 3, 3, 3) for layer in [{"kernel_size": 3, "padding": 1}] * n + [cypool.MaxPool2d(2)]]
    assert cypool.receptive_field(vgg, 224)[-1].size == 212 and cypool.receptive_field(vgg, 224)[-1].output == 7


def test_layers_and_tables():
    layers = [cypool.MaxPool2d((3, 2), (2, 1), (1, 0)), {"name": "conv", "kernel_size": 3, "padding": "same"},
              cypool.AvgPool2d(2)]
    fields = cypool.receptive_field(layers, (32, 20))
    assert [f.layer for f in fields] == ["MaxPool2d", "conv", "AvgPool2d"]
    x = np.zeros((1, 1, 32, 20))
    y = layers[2](layers[0](x))
    assert fields[-1].output == y.shape[2:]
    assert fields[0].size == (3, 2) and fields[0].jump == (2, 1) and fields[0].start == (-1, 0)
    lines = str(fields).splitlines()
    assert len(lines) == 4 and lines[0].split() == ["layer", "size", "jump", "start", "output"]
    assert len({len(line) for line in lines}) == 1
    assert cypool.receptive_field(cypool.Sequential(cypool.MaxPool1d(3, 2)))[0].size == 3
    assert cypool.receptive_field([]) == ()


@pytest.mark.parametrize(("layers", "size", "error", "mention"), [
    (3, None, TypeError, "layers"),
    ("conv", None, TypeError, "layers"),
    ([3], None, TypeError, "layers"),
    ([{}], None, ValueError, "layers"),
    ([{"kernel_size": 3, "pad": 1}], None, ValueError, "layers"),
    ([{"kernel_size": 0}], None, ValueError, "kernel_size"),
    ([{"kernel_size": 2.0}], None, TypeError, "kernel_size"),
    ([{"kernel_size": (3, 3)}, {"kernel_size": (3, 3, 3)}], None, ValueError, "layers"),
    ([{"kernel_size": 3, "padding": "same"}], None, ValueError, "input_size"),
    ([{"kernel_size": 9}], 8, ValueError, "input_size"),
    ([cypool.GlobalAvgPool()], 8, ValueError, "layers"),
])
def test_hostile_arguments(layers, size, error, mention):
    with refused(error, mention):
        cypool.receptive_field(layers, size)
