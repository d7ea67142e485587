"""Pooling for NumPy arrays, forward and backward: exact, fast, and in need of nothing but NumPy."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _version

from cypool.adaptive import global_avg_pool, global_avg_pool_backward, global_max_pool, global_max_pool_backward
from cypool.config import get_num_threads, set_num_threads, show_config
from cypool.layers import (
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    MinPool1d,
    MinPool2d,
    MinPool3d,
    Sequential,
    SumPool1d,
    SumPool2d,
    SumPool3d,
)
from cypool.windowed import (
    avg_pool1d,
    avg_pool1d_backward,
    avg_pool2d,
    avg_pool2d_backward,
    avg_pool3d,
    avg_pool3d_backward,
    max_pool1d,
    max_pool1d_backward,
    max_pool2d,
    max_pool2d_backward,
    max_pool3d,
    max_pool3d_backward,
    min_pool1d,
    min_pool1d_backward,
    min_pool2d,
    min_pool2d_backward,
    min_pool3d,
    min_pool3d_backward,
    output_shape,
    sum_pool1d,
    sum_pool1d_backward,
    sum_pool2d,
    sum_pool2d_backward,
    sum_pool3d,
    sum_pool3d_backward,
)

try:
    __version__ = _version("cypool")
except PackageNotFoundError:            # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [name for name in dir() if not name.startswith("_") and name not in (
    "adaptive", "arguments", "config", "dimensions", "dispatch", "layers", "windowed", "windows")]
