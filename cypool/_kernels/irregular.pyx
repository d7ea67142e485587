# cython: language_level=3
# Pooling whose windows are data: rows of segments and sequences, boxes of regions, positions of unpooling. What callers
# pass as boxes, ids and lengths has been checked before; positions are checked here.
include "numbers/halves.pxi"
include "numbers/shuffles.pxi"
include "irregular/source.pxi"
include "irregular/rows.pxi"
include "irregular/segments.pxi"
include "irregular/moves.pxi"
include "irregular/regions.pxi"
include "irregular/areas.pxi"
