"""The peers: cypool, a plain copy, and every library on this machine that pools."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec

from .arrays import Copy, NumpySlices, NumpyTextbook, Scipy, Tinybrain
from .base import Peer, Prepared, Settings
from .compilers import Jax, TensorFlow
from .graphs import OnnxRuntime, OpenVINO
from .images import OpenCV, ScikitImage
from .own import Cypool, CypoolChannelsLast
from .pytorch import OneDNN, OneDNNBlocked, PyTorch, PyTorchChannelsLast

__all__ = ["OWN", "PEERS", "Peer", "Present", "Prepared", "Settings", "load"]

PEERS: dict[str, type[Peer]] = {
    peer.key: peer
    for peer in (
        Cypool,
        CypoolChannelsLast,
        Copy,
        PyTorch,
        PyTorchChannelsLast,
        OneDNN,
        OneDNNBlocked,
        OnnxRuntime,
        OpenVINO,
        TensorFlow,
        Jax,
        OpenCV,
        ScikitImage,
        Scipy,
        Tinybrain,
        NumpySlices,
        NumpyTextbook,
    )
}
OWN = ("cypool", "cypool-cl", "copy")  # measured, but nobody's rivals


@dataclass
class Present:
    """The peers that loaded, and why the others did not."""

    peers: dict[str, Peer] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def versions(self) -> dict[str, str]:
        return {peer.name: peer.version for key, peer in self.peers.items() if key not in OWN}


def load(settings: Settings, keys: list[str] | None = None) -> Present:
    """Import the peers asked for (all by default) with their threads set; cypool and the copy always come along."""
    _set_environment(settings.threads)
    wanted = list(PEERS) if keys is None else [key for key in PEERS if key in keys or key in OWN]
    present = Present()
    for key, kind in ((key, PEERS[key]) for key in wanted):
        if settings.backward and not kind.gradients:
            continue
        if not installed(kind):
            present.missing[key] = "not installed"
            continue
        try:
            with _silence():
                present.peers[key] = kind(settings)
        except Exception as error:  # a broken installation must not stop the others
            present.missing[key] = f"{type(error).__name__}: {error}".splitlines()[0]
    return present


def installed(kind: type[Peer]) -> bool:
    """Whether the peer's module can be found, without importing it."""
    try:
        return find_spec(kind.module) is not None
    except (ImportError, ValueError):
        return False


@contextmanager
def _silence() -> Iterator[None]:
    """No chatter while frameworks load: their compiled parts write to the error stream's own descriptor."""
    keep = os.dup(2)
    with open(os.devnull, "w") as nowhere, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(keep, 2)
            os.close(keep)


def _set_environment(threads: int) -> None:
    """Limits that some libraries read only once, when they are imported."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["NPROC"] = str(threads)  # the size of XLA's own thread pool
    eigen = "true" if threads > 1 else "false"
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={threads}"
