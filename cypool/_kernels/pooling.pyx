# cython: language_level=3
include "types.pxi"
include "reductions.pxi"
include "small/vectors.pxi"
include "rows.pxi"
include "engine.pxi"
include "scatter.pxi"
