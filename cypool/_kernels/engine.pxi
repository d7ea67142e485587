# The engine: one call is cut into tiles of output, and each tile is reduced axis by axis.
#
#   source        the tile's input rows: read in place, or loaded into scratch as elements
#   depth         rows of planes folded onto each other
#   height        rows of one plane folded onto each other, and padded for what follows
#   width         the row slides along itself
#   finish        divide, convert, write
#
# An array is seen as (a, b, d, h, w, c): a and b are batch axes, c the channels of channels-last data. A batch axis
# may also stand in for a missing d or h: then its windows are single elements, and small planes share a tile.
# Nothing here knows what is reduced: `Rows` does. Nothing here knows padding modes or ceil mode: `Axis` holds what
# they come to.

from cython.parallel cimport prange

cimport numpy as cnp

import numpy as np

cnp.import_array()

include "job.pxi"
include "axes.pxi"
include "source.pxi"
include "passes.pxi"
include "width.pxi"
include "planes.pxi"
include "small/blocks.pxi"
include "small/one_apart.pxi"
include "small/strided.pxi"
include "small/channels.pxi"
include "small/ordinals.pxi"
include "small/choice.pxi"
include "tiles.pxi"
include "plan.pxi"
