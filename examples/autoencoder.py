"""Down and up again: what maxima with indices keep of a photograph, and what averages keep.

A convolutional autoencoder halves its feature maps a few times and then doubles them again. The pooling decides what
is left to double. This example sends a photograph there and back, through one to four levels of 2 x 2, two ways:

* *averages*: ``AvgPool2d`` down, ``AvgUnpool2d`` up, which copies each average to its window;
* *maxima*: ``MaxPool2d`` down, ``MaxUnpool2d`` up, which puts each maximum back where it was and 0 elsewhere. Where it
  was is one byte, the ordinal of a tap in its window: ``MaxPool2d.indices``.

Averages suit what is flat. Maxima suit what is sparse, such as features behind a ReLU: here light details and dark
details, ``relu(d)`` and ``relu(-d)``, of what a blur takes off the photograph, ``d = x - blur(x)``. A decoder that
subtracts the one from the other has the edges back, each at its pixel. Averages of light and dark cancel there.

Last, two 5 x 5 filters, one before the features and one after the unpooling, learn from the gradient of the error of
what came back. It passes the unpooling and the pooling by the layers' ``backward``.

    python examples/autoencoder.py [folder]

prints the measurements and saves autoencoder.png into the folder.
"""

import sys
from pathlib import Path

import numpy as np

import cypool
from cypool.pictures import LUMINANCE, read_picture

PHOTOGRAPH = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "astronaut.jpg"
LEVELS = (1, 2, 3, 4)


class Maxima:
    """Max pooling some levels down, and up again by the indices."""

    def __init__(self, levels):
        self.pools = [cypool.MaxPool2d(2) for _ in range(levels)]
        self.unpools = [cypool.MaxUnpool2d(2) for _ in range(levels)]

    def __call__(self, x):
        for pool in self.pools:
            x = pool(x)
        for pool, unpool in zip(reversed(self.pools), self.unpools, strict=True):
            x = unpool(x, pool.indices)
        return x

    def backward(self, grad):
        for layer in [*reversed(self.unpools), *reversed(self.pools)]:
            grad = layer.backward(grad)
        return grad


class Averages(cypool.Sequential):
    """Average pooling some levels down, and up again: scale="copy" repeats each average, "adjoint" shares it out."""

    def __init__(self, levels, scale="copy"):
        super().__init__(*[cypool.AvgPool2d(2) for _ in range(levels)],
                         *[cypool.AvgUnpool2d(2, scale=scale) for _ in range(levels)])


def photograph():
    """Brightness from 0 to 1, shape (1, 1, 512, 512)."""
    return (read_picture(PHOTOGRAPH).pixels @ np.array(LUMINANCE) / 255).astype(np.float32)[None, None]


def split(details):
    """The features: light details and dark ones, each at least 0."""
    return np.maximum(np.concatenate([details, -details], axis=1), 0)


def merge(features):
    """The decoder: light minus dark."""
    return features[:, :1] - features[:, 1:]


def psnr(got, x):
    """Peak signal to noise ratio in decibels; the peak is 1."""
    return -10 * np.log10(np.mean((got - x) ** 2))


def kept(got, details):
    """The share of the energy of details that is in what came back: 1 less that of the error."""
    return 1 - float(((got - details) ** 2).sum() / (details**2).sum())


def learn(trip, details, steps=20, rate=0.2):
    """Gradient descent on a filter before the features and one after the trip; what comes back in the end."""
    nothing = np.zeros((5, 5), np.float32)
    nothing[2, 2] = 1                               # both filters begin as ones that change nothing
    before, after = (cypool.WeightedPool2d(nothing, stride=1, padding=2) for _ in range(2))
    rate = 2 * rate / (details**2).sum()
    for _ in range(steps):
        filtered = before(details)
        got = after(merge(trip(split(filtered))))
        grad = after.backward(got - details)
        grad = trip.backward(np.concatenate([grad, -grad], axis=1)) * (split(filtered) > 0)
        before.backward(merge(grad))                # the gradient of split is merge
        for layer in (before, after):
            layer.parameters["weights"] -= rate * layer.gradients["weights"]
    return after(merge(trip(split(before(details)))))


def main(folder="."):
    x = photograph()
    details = x - cypool.blur_pool2d(x, 5, stride=1)
    results, pictures = {}, {}
    print("        photograph, dB              details kept        filters learned     bytes of indices")
    print("levels  averages  adjoint  maxima   averages   maxima   averages   maxima   ordinals    int64")
    for levels in LEVELS:
        averages, adjoint, maxima = Averages(levels), Averages(levels, "adjoint"), Maxima(levels)
        photographs = averages(x), adjoint(x), maxima(x)
        edges = [merge(trip(split(details))) for trip in (averages, maxima)]
        learned = [learn(trip, details) for trip in (averages, maxima)]
        decibels = [psnr(picture, x) for picture in photographs]
        shares = [kept(picture, details) for picture in edges + learned]
        indices = [pool.indices for pool in maxima.pools]
        size = sum(index.nbytes for index in indices), 8 * sum(index.size for index in indices)
        print("{:6} {:9.1f} {:8.1f} {:7.1f} {:10.1%} {:8.1%} {:10.1%} {:8.1%} {:10} {:8}".format(
            levels, *decibels, *shares, *size))
        results[levels] = {"decibels": decibels, "kept": shares, "bytes": size}
        pictures[levels] = photographs[0], photographs[2], *edges, learned[1]
    draw(x, details, pictures).savefig(Path(folder) / "autoencoder.png")
    return results


def draw(x, details, pictures):
    """The face, there and back: a row for each way and map, a column for each number of levels."""
    from matplotlib.figure import Figure

    rows = ["photograph,\naverages", "photograph,\nmaxima", "details,\naverages", "details,\nmaxima",
            "details,\nmaxima,\nfilters\nlearned"]
    face = (0, 0, slice(64, 160), slice(176, 272))
    width, height, panel = 1130, 1190, 2 * 96       # in dots, so that a pixel is 2 x 2 dots
    figure = Figure(figsize=(width / 120, height / 120), dpi=120)
    for row, name in enumerate(rows):
        whole, limit = (x, (0, 1)) if row < 2 else (details, (-0.15, 0.15))
        for column in (0, *LEVELS):
            left, bottom = 132 + column * (panel + 8), height - 30 - row * (panel + 40) - panel
            axes = figure.add_axes((left / width, bottom / height, panel / width, panel / height), xticks=[], yticks=[])
            shown = pictures[column][row] if column else whole
            axes.imshow(shown[face], cmap="gray", vmin=limit[0], vmax=limit[1], interpolation="nearest")
            if row == 0:
                axes.set_title(f"{column} level{'s' * (column > 1)}" if column else "before", size=11, weight="bold")
            if column:
                number = f"{psnr(shown, x):.1f} dB" if row < 2 else f"{kept(shown, details):.1%} kept"
                axes.set_xlabel(number, size=9.5, labelpad=3)
            else:
                axes.set_ylabel(name, size=10.5, rotation=0, ha="right", va="center", labelpad=7)
    return figure


if __name__ == "__main__":
    main(*sys.argv[1:])
