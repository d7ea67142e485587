"""Objects cut out of a feature map: boxes that are rounded, and boxes that are not.

A detector computes one feature map of a picture, here 1/16 of its size, and cuts every object out of that map: a box
becomes 8 x 8 numbers. Boxes lie anywhere; an element of the map is 16 pixels. There are two ways:

* ``roi_pool`` rounds a box's corners to whole elements and takes maxima. While a box moves its crop stays the same, and
  then one of its sides jumps by 16 pixels.
* ``roi_align`` rounds nothing: it samples between the elements, and its crop moves as the box does. ``aligned=True``
  says that an element lies in the middle of its 16 x 16 pixels; without, all crops are half an element off.

The map here has the photograph's three colours, made by average pooling, and one feature more: the horizontal position
of each element, in pixels. It is pooled like any other feature, and so the crop itself tells where it was taken. A box
around the head moves to the right, pixel by pixel.

    python examples/crops.py [folder]

prints the measurements and saves crops.png into the folder.
"""

import sys
from pathlib import Path

import numpy as np

import cypool
from cypool.pictures import read_picture

PHOTOGRAPH = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "astronaut.jpg"
CELL = 16                                           # pixels of an element of the map, along each side
HEAD = (148.0, 12.0, 306.0, 188.0)                  # x1, y1, x2, y2 in pixels
BINS = 8
SHIFTS = np.arange(49)                              # pixels to the right


def features():
    """The photograph and its map: red, green, blue, and each element's position, rising and falling."""
    pixels = np.moveaxis(read_picture(PHOTOGRAPH).pixels / 255, -1, 0)[None]
    across = np.broadcast_to(np.arange(pixels.shape[-1]) + 0.5, pixels[:, :1].shape)
    return pixels, cypool.avg_pool2d(np.concatenate([pixels, across, -across], axis=1), CELL)


def moved(box, shifts):
    """The same box at several places, as rows for image 0."""
    return np.array([(0, box[0] + shift, box[1], box[2] + shift, box[3]) for shift in shifts])


def place(crops):
    """Where crops were taken: the middle between the least and the greatest position in each bin, over all bins."""
    return (crops[:, 3] - crops[:, 4]).mean(axis=(1, 2)) / 2


def rms(colours):
    """The root of the mean square of each crop."""
    return np.sqrt((colours**2).mean(axis=(1, 2, 3)))


def main(folder="."):
    pixels, maps = features()
    boxes = moved(HEAD, SHIFTS)
    middle = (boxes[:, 1] + boxes[:, 3]) / 2
    exact = cypool.roi_align(pixels, boxes, BINS, aligned=True)         # of every pixel, without a map
    crops = {"roi_pool": cypool.roi_pool(maps, boxes, BINS, 1 / CELL),
             "roi_align": cypool.roi_align(maps, boxes, BINS, 1 / CELL),
             "roi_align, aligned": cypool.roi_align(maps, boxes, BINS, 1 / CELL, aligned=True)}
    results = {}
    print(f"A box around the head moves {SHIFTS[-1]} pixels, 1 at a time; an element of the map is {CELL} pixels")
    print("                   different   too far right, pixels   largest step   largest change   error")
    print("                   crops          from      to         in pixels      of colours       of colours")
    for name, crop in crops.items():
        colours, off, step = crop[:, :3], place(crop) - middle, np.diff(place(crop))
        change, error = rms(np.diff(colours, axis=0)), rms(colours - exact)
        different = 1 + np.count_nonzero(change > 1e-9)
        results[name] = {"different": different, "off": off, "step": step, "change": change, "error": error}
        print(f"{name:18} {different:7} {off.min():13.2f} {off.max():8.2f} {step.max():14.2f} {change.max():15.3f} "
              f"{error.mean():15.3f}")
    draw(pixels, maps, boxes, {"photograph": exact, **crops}).savefig(Path(folder) / "crops.png")
    return results


def draw(pixels, maps, boxes, crops):
    """The map with its boxes; crops of some of them; where each crop was taken, and how it changes."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    inks = dict(zip(crops, ("black", "#d1495b", "#e0a11f", "#2f6fde"), strict=True))
    figure = Figure(figsize=(9, 7.2), dpi=120, layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(4, 3.2))
    left, right = above.subfigures(1, 2, width_ratios=(3.2, 5.8))

    axes = left.subplots()
    axes.imshow(np.moveaxis(maps[0, :3], 0, -1), extent=(0, 512, 512, 0), interpolation="nearest")
    x1, y1, x2, y2 = HEAD
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=inks["roi_align, aligned"], linewidth=2))
    first, last = np.rint(np.array(HEAD).reshape(2, 2) / CELL) * CELL
    axes.add_patch(Rectangle(first, *(last + CELL - first), fill=False, edgecolor=inks["roi_pool"], linewidth=2,
                             linestyle=(0, (4, 2))))
    axes.set(xlim=(96, 384), ylim=(288, 0), xticks=range(96, 385, 48), yticks=range(0, 289, 48))
    axes.set_title("the map, the box (solid)\nand what roi_pool reads (dashed)", size=10)

    shown = SHIFTS[: CELL + 1 : CELL // 4]
    for row, (name, panels) in enumerate(zip(crops, right.subplots(4, len(shown)), strict=True)):
        for shift, axes in zip(shown, panels, strict=True):
            axes.imshow(np.moveaxis(crops[name][shift, :3], 0, -1).clip(0, 1), interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            if row == 0:
                axes.set_title(f"+{shift} pixels" if shift else "the box", size=10)
        panels[0].set_ylabel(name.replace(", ", ",\n"), size=10, color=inks[name], rotation=0, ha="right", va="center")

    seen, changing = below.subplots(1, 2)
    seen.plot(SHIFTS, SHIFTS, color="black", linewidth=5, alpha=0.15, label="the box")
    for name in list(crops)[1:]:
        start = (boxes[0, 1] + boxes[0, 3]) / 2
        seen.plot(SHIFTS, place(crops[name]) - start, color=inks[name], label=name)
        changing.plot(SHIFTS[1:], rms(np.diff(crops[name][:, :3], axis=0)), color=inks[name])
    seen.legend(frameon=False, fontsize=9)
    seen.set(xlabel="the box has moved, pixels", ylabel="the crop was taken, pixels")
    changing.set(xlabel="the box has moved, pixels", ylabel="change of the crop with 1 pixel")
    for axes in (seen, changing):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main(*sys.argv[1:])
