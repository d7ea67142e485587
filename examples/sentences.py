"""Sentences of different lengths as vectors of one length: four poolings of words, padded and ragged.

A sentence is a list of word vectors, as long as the sentence. Pooling over the words gives one vector for each
sentence, and sentences can be compared: do the two of a pair, which say nearly the same, come out alike?

* the *mean* counts every word alike, "the" and "of" as well;
* the *maximum* keeps the largest word of each feature;
* *k-max* keeps the three largest of each feature, in the order of the sentence;
* *attention* weighs words by logits, here a third of their letters: long words are rare, and tell more than "the".

A batch of sentences has two forms. *Padded*: an array (sentences, longest, features) with a mask; here the padding is
NaN, and does no harm. *Ragged*: all words one behind the other, and where each sentence begins. Both give the same.

Words get their vectors without any training: each of their letter triples draws a random vector, seeded by its
checksum, and the word is the sum. So "train" and "trains" are neighbours, and all runs see the same numbers.

    python examples/sentences.py [folder]

prints the measurements and saves sentences.png into the folder.
"""

import re
import sys
import zlib
from pathlib import Path

import numpy as np

import cypool

PAIRS = [
    ("The committee postponed its decision until Friday.",
     "A decision was put off by the committee until the end of the week."),
    ("Heavy rain flooded the streets of the old town last night.",
     "Last night the streets of the town were under water after heavy rainfall."),
    ("She learned to play the violin when she was six years old.",
     "At the age of six she was given a violin, and the lessons began."),
    ("Astronomers have found ice beneath the dust of the moon.",
     "There is ice on the moon, the astronomers say: it lies under the dust."),
    ("Both trains to the coast were cancelled because of the storm.",
     "In the storm no train went to the coast."),
    ("The neighbour grows tomatoes and beans behind the house.",
     "Behind the house is a garden with beans and with the tomatoes of the neighbour."),
]
FEATURES = 256
K = 3


def vector(word):
    """The sum of the random vectors of the word's letter triples."""
    whole = f"<{word}>"
    triples = [whole[i : i + 3] for i in range(len(whole) - 2)]
    return sum(np.random.default_rng(zlib.crc32(t.encode())).standard_normal(FEATURES) for t in triples)


def embed(sentences):
    """All words' vectors one behind the other, their logits, and where each sentence begins and ends."""
    split = [re.findall(r"[a-z]+", sentence.lower()) for sentence in sentences]
    words = [word for sentence in split for word in sentence]
    vectors = np.array([vector(word) / np.sqrt(len(word)) for word in words])
    logits = np.array([len(word) / 3 for word in words])
    return vectors, logits, np.cumsum([0, *map(len, split)])


def pad(rows, offsets, filler):
    """The padded form: (sentences, longest, ...), with a filler behind each sentence."""
    lengths = np.diff(offsets)
    mask = np.arange(lengths.max()) < lengths[:, None]
    padded = np.full((*mask.shape, *rows.shape[1:]), filler)
    padded[mask] = rows
    return padded, mask


def padded_pools(words, logits, offsets):
    """Each pooling of the padded form."""
    x, mask = pad(words, offsets, np.nan)
    scores, _ = pad(logits[:, None], offsets, np.nan)
    lowest, _ = pad(words, offsets, -np.inf)            # k-max takes no mask: nothing is below -inf
    return {"mean": cypool.masked_avg_pool(x, mask),
            "maximum": cypool.masked_max_pool(x, mask),
            f"{K}-max": cypool.k_max_pool1d(lowest, K, data_format="channels_last").reshape(len(x), -1),
            "attention": cypool.global_attention_pool(x, scores, mask=mask, keepdims=False,
                                                      data_format="channels_last")}


def ragged_pools(words, logits, offsets):
    """The same from the words as they are; attention is a softmax over segments."""
    ids = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    weights = np.exp(logits - cypool.segment_max(logits, ids)[ids])
    weights /= cypool.segment_sum(weights, ids)[ids]
    sentences = np.split(words, offsets[1:-1])
    return {"mean": cypool.masked_avg_pool(words, offsets=offsets),
            "maximum": cypool.masked_max_pool(words, offsets=offsets),
            f"{K}-max": np.array([cypool.k_max_pool1d(s, K, data_format="channels_last").ravel() for s in sentences]),
            "attention": cypool.segment_sum(weights[:, None] * words, ids)}


def similarities(vectors):
    """Cosines between sentences, of what is left without the mean of all sentences."""
    centred = vectors - vectors.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    return centred @ centred.T


def main(folder="."):
    sentences = [sentence for pair in PAIRS for sentence in pair]
    words, logits, offsets = embed(sentences)
    padded, ragged = padded_pools(words, logits, offsets), ragged_pools(words, logits, offsets)
    n, results = len(sentences), {}
    partner = np.arange(n) ^ 1                          # 0 and 1 are a pair, 2 and 3, ...
    others = ~(np.eye(n, dtype=bool) | np.eye(n, dtype=bool)[partner])
    print(f"{n} sentences of {np.diff(offsets).min()} to {np.diff(offsets).max()} words")
    print("            similarity: pairs   others   partner is nearest   padded and ragged differ by")
    for name, vectors in padded.items():
        matrix = similarities(vectors)
        found = np.count_nonzero((matrix - 2 * np.eye(n)).argmax(axis=1) == partner)
        pairs, rest = matrix[np.arange(n), partner].mean(), matrix[others].mean()
        differ = abs(vectors - ragged[name]).max()
        results[name] = {"matrix": matrix, "pairs": pairs, "others": rest, "found": found, "differ": differ}
        print(f"{name:10} {pairs:19.2f} {rest:8.2f} {found:15} of {n} {differ:23.0e}")
    draw(results).savefig(Path(folder) / "sentences.png")
    return results


def draw(results):
    """A matrix of similarities for each pooling; pairs are framed."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(9, 2.85), dpi=120, layout="constrained")
    panels = figure.subplots(1, len(results))
    for axes, (name, measured) in zip(panels, results.items(), strict=True):
        n = len(measured["matrix"])
        matrix = np.where(np.eye(n), np.nan, measured["matrix"])       # itself is no news
        picture = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
        axes.set_facecolor("0.8")
        for first in range(0, n, 2):
            axes.add_patch(Rectangle((first - 0.5, first - 0.5), 2, 2, fill=False, edgecolor="black", linewidth=1.2))
        axes.set(xticks=np.arange(n) // 2 * 2 + 0.5, yticks=np.arange(n) // 2 * 2 + 0.5,
                 xticklabels=np.arange(n) // 2 + 1, yticklabels=np.arange(n) // 2 + 1)
        axes.tick_params(length=0, labelsize=9)
        axes.set_title(name, size=11, weight="bold")
        axes.set_xlabel(f"pairs {measured['pairs']:.2f}, others {measured['others']:.2f}\n"
                        f"partner found: {measured['found']} of {n}", size=9.5)
    panels[0].set_ylabel("pair of sentences", size=10)
    figure.colorbar(picture, ax=panels, label="similarity", shrink=0.75, aspect=14, ticks=(-1, 0, 1))
    return figure


if __name__ == "__main__":
    main(*sys.argv[1:])
