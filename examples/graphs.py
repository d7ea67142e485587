"""Graphs: a batch of them pooled to one vector each, and one level of a Graph U-Net, down and up.

A batch of graphs is one long list of nodes, and for each node the number of its graph. To pool the graphs is to reduce
segments: ``segment_mean``, ``segment_max``, ``segment_sum``. The batch here has four families, rings, stars, grids and
wheels, in six sizes each. A node knows its degree, the mean degree of its neighbours, and the share of its neighbours'
pairs that are neighbours too. Segments help with these as well: a degree is the sum of ones over a node's edges.
Which pooling tells the families apart? Each graph is asked for the family of the one nearest to it.

A Graph U-Net makes one graph smaller. ``topk_pool`` keeps the nodes of highest score, each times the tanh of its score,
and the edges between them. Here the graph is a map of towns and roads, and crossroads are kept. As these are seldom
neighbours the map falls to pieces; the remedy of Gao and Ji is to join before what is two steps apart. On the way up
the kept nodes go back to their places by their indices, and the others take the mean of the neighbours that have one.

    python examples/graphs.py [folder]

prints the measurements and saves graphs.png into the folder. With SciPy the edges can be a sparse matrix too.
"""

import sys
from pathlib import Path

import numpy as np

import cypool

try:
    from scipy import sparse
except ImportError:
    sparse = None

FAMILIES = {                                        # edges of a graph of n nodes
    "rings": lambda n: [(i, (i + 1) % n) for i in range(n)],
    "stars": lambda n: [(0, i) for i in range(1, n)],
    "grids": lambda n: [(i, i + 1) for i in range(n) if i % 3 < 2] + [(i, i + 3) for i in range(n - 3)],
    "wheels": lambda n: [(0, i) for i in range(1, n)] + [(i, i % (n - 1) + 1) for i in range(1, n)],
}
SIZES = (9, 12, 15, 18, 21, 24)


def batch():
    """All graphs as one: edges (2, E) in both directions, the graph of each node, the family of each graph."""
    sizes = SIZES * len(FAMILIES)
    makers = np.repeat(list(FAMILIES.values()), len(SIZES))
    first = np.cumsum([0, *sizes])
    edges = np.concatenate([np.array(make(n)) + at for make, n, at in zip(makers, sizes, first, strict=False)]).T
    return (np.concatenate([edges, edges[::-1]], axis=1), np.repeat(np.arange(len(sizes)), sizes),
            np.repeat(np.arange(len(FAMILIES)), len(SIZES)))


def neighbours(edges, nodes):
    """The adjacency as a matrix of bool."""
    matrix = np.zeros((nodes, nodes), bool)
    matrix[tuple(edges)] = True
    return matrix


def describe(edges, nodes):
    """Features of each node: degree, mean degree of neighbours, share of their pairs that are neighbours."""
    begin, end = edges
    degree = cypool.segment_sum(np.ones(len(end)), end, nodes)
    around = cypool.segment_mean(degree[begin], end, nodes)
    near = neighbours(edges, nodes)
    closed = (near.astype(float) @ near * near).sum(axis=1)
    return np.stack([degree, around, closed / np.maximum(degree * (degree - 1), 1)], axis=1)


def recognised(pooled, families):
    """How many graphs are of the family of the graph nearest to them."""
    scaled = (pooled - pooled.mean(axis=0)) / pooled.std(axis=0)
    distance = np.linalg.norm(scaled[:, None] - scaled, axis=-1)
    np.fill_diagonal(distance, np.inf)
    return np.count_nonzero(families[distance.argmin(axis=1)] == families)


def map_of_roads(towns=60, seed=7):
    """Towns anywhere, and a road between two where no third is nearer to both: edges and places."""
    places = np.random.default_rng(seed).random((towns, 2))
    distance = np.linalg.norm(places[:, None] - places, axis=-1)
    third = np.maximum(distance[:, None], distance)                     # from i and j the farther one to k
    return np.array(np.nonzero((third >= distance[..., None]).all(axis=-1) & (distance > 0))), places


def two_steps(edges, nodes):
    """The edges, and those between nodes that have a common neighbour."""
    near = neighbours(edges, nodes)
    return np.array(np.nonzero((near | near @ near) & ~np.eye(nodes, dtype=bool)))


def pieces(edges, nodes):
    """How many pieces a graph has: every node takes the least number around, until none changes."""
    label, before = np.arange(nodes), None
    while not np.array_equal(label, before):
        before, label = label, np.minimum(label, cypool.segment_min(label[edges[0]], edges[1], nodes, empty=nodes))
    return len(np.unique(label))


def u_net_level(edges, places):
    """Down to half of the nodes, and up again."""
    nodes = len(places)
    signal = np.exp(-8 * ((places - 0.5) ** 2).sum(axis=1))             # what the nodes hold: most in the middle
    p = np.array([1, -0.5, 0])                                          # learned in a network; here: to stand out
    scores = describe(edges, nodes) @ p / np.linalg.norm(p)
    pooled, idx, kept = cypool.topk_pool(signal, scores, 0.5, edges=edges)
    wide = cypool.topk_pool(signal, scores, 0.5, edges=two_steps(edges, nodes))[2]
    back = np.full(nodes, np.nan)
    back[idx] = pooled
    begin, end = edges[:, np.isfinite(back[edges[0]])]                  # the edges from nodes that have a value
    filled = np.where(np.isfinite(back), back, cypool.segment_mean(back[begin], end, nodes))
    if sparse is not None:
        matrix = cypool.topk_pool(signal, scores, 0.5, edges=sparse.csr_array(neighbours(edges, nodes)))[2]
        same = np.array_equal(matrix.toarray(), neighbours(kept, len(idx)))
        print(f"SciPy's sparse adjacency: {'the same' if same else 'other'} edges")
    return {"signal": signal, "pooled": pooled, "idx": idx, "kept": kept, "wide": wide, "back": back, "filled": filled}


def main(folder="."):
    edges, ids, families = batch()
    x = describe(edges, len(ids))
    pools = {"mean": cypool.segment_mean(x, ids), "maximum": cypool.segment_max(x, ids),
             "sum": cypool.segment_sum(x, ids)}
    right = {name: recognised(pooled, families) for name, pooled in pools.items()}
    print(f"{len(families)} graphs, {len(ids)} nodes in all; of the family of the graph nearest to them are:")
    print("   ".join(f"{name} {count} of {len(families)}" for name, count in right.items()))
    roads, places = map_of_roads()
    level = u_net_level(roads, places)
    graphs = {"before": (roads, len(places)), "pooled": (level["kept"], len(level["idx"])),
              "two steps": (level["wide"], len(level["idx"]))}
    for name, (edges, nodes) in graphs.items():
        print(f"{name:9} {nodes} nodes, {len(edges[0]) // 2} edges, pieces: {pieces(edges, nodes)}")
    error = np.abs(level["filled"] - level["signal"])
    errors = error[level["idx"]].mean(), np.delete(error, level["idx"]).mean()
    print("back      {:.3f} off where nodes were kept, {:.3f} elsewhere, of {:.3f} on average".format(
        *errors, level["signal"].mean()))
    draw(pools, right, families, roads, places, level).savefig(Path(folder) / "graphs.png")
    parts = {name: pieces(*graph) for name, graph in graphs.items()}
    return {"right": right, "pieces": parts, "errors": errors, **level}


def draw(pools, right, families, roads, places, level):
    """Above, the batch under each pooling; below, the U-Net level."""
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.8), dpi=120, layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(3.1, 2.6))
    for axes, (name, pooled) in zip(above.subplots(1, 3), pools.items(), strict=True):
        for family, (label, mark) in enumerate(zip(FAMILIES, "o*sD", strict=True)):
            axes.plot(*pooled[families == family, :2].T, mark, label=label, markersize=10 if mark == "*" else 7,
                      alpha=0.75, markeredgewidth=0)
        axes.set_xscale("log", base=2, subs=[1.5])                      # marks at 2, 3, 4, 6, 8, ...
        axes.set_yscale("log", base=2, subs=[1.5])
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("{x:g}")
        axes.set(xlabel=f"{name} of degree", ylabel=f"{name} of neighbours' degree")
        axes.set_title(f"{name}: {right[name]} of {len(families)}", size=11, weight="bold")
    above.axes[0].legend(frameon=False, fontsize=9, loc="upper right", labelspacing=0.3)

    panels = {"before": (places, roads, level["signal"]),
              "pooled": (places[level["idx"]], level["kept"], level["pooled"]),
              "back": (places, roads, level["back"]), "filled": (places, roads, level["filled"])}
    for axes, (name, (at, edges, values)) in zip(below.subplots(1, 4), panels.items(), strict=True):
        if name == "pooled":
            steps = level["wide"][:, level["wide"][0] < level["wide"][1]]
            axes.add_collection(LineCollection(at[steps.T], colors="#d1495b", linestyles=[(0, (3, 2))], zorder=0))
        axes.add_collection(LineCollection(at[edges.T], colors="0.25", zorder=1))
        axes.scatter(*at.T, s=34, color="white", edgecolors="0.2", linewidths=0.7)      # those without a value
        axes.scatter(*at.T, s=34, c=values, cmap="viridis_r", vmin=0, vmax=1, edgecolors="0.2", linewidths=0.7)
        axes.set(aspect="equal", xticks=[], yticks=[], xlim=(-0.04, 1.04), ylim=(-0.04, 1.04))
        axes.set_title(f"{name}: {len(at)} nodes", size=11, weight="bold")
        axes.spines[:].set_visible(False)
    return figure


if __name__ == "__main__":
    main(*sys.argv[1:])
