# cython: language_level=3
# The engine: one call is cut into tiles of output. Windows of a few taps go straight from input to output; other tiles
# are reduced axis by axis:
#
#   source        the tile's input rows: read in place, or loaded into scratch as elements
#   depth         rows of planes folded onto each other
#   height        rows of one plane folded onto each other, and padded for what follows
#   width         the row slides along itself
#   finish        divide, convert, write
#
# An array is seen as (a, b, d, h, w, c): a and b are batch axes, c the channels of channels-last data. A batch axis
# may also stand in for a missing d or h: then its windows are single elements, and small planes share a tile.
# Only `rows` and `small` know what is reduced. Nothing here knows padding modes or ceil mode: `Axis` holds what they
# come to.

from cython.parallel cimport prange

cimport numpy as cnp

import numpy as np

cnp.import_array()

include "numbers/halves.pxi"
include "numbers/types.pxi"
include "numbers/shuffles.pxi"
include "rows/reductions.pxi"
include "small/vectors.pxi"
include "rows/fold.pxi"
include "rows/roll.pxi"
include "rows/others.pxi"
include "rows/table.pxi"
include "job/job.pxi"
include "means/rows.pxi"
include "job/axes.pxi"
include "wide/source.pxi"
include "wide/passes.pxi"
include "wide/width.pxi"
include "wide/planes.pxi"
include "small/blocks.pxi"
include "small/one_apart.pxi"
include "small/strided.pxi"
include "small/spread.pxi"
include "small/channels.pxi"
include "small/ordinals.pxi"
include "small/choice.pxi"
include "job/tiles.pxi"
include "job/plan.pxi"
include "means/tiles.pxi"
include "means/plan.pxi"
include "gradients/gather.pxi"
include "gradients/scatter.pxi"
