# cython: language_level=3
include "ranks/job.pxi"
include "ranks/keys.pxi"
include "ranks/select.pxi"
include "ranks/histograms.pxi"
include "ranks/rows.pxi"
include "ranks/tiles.pxi"
include "ranks/plan.pxi"
include "ranks/largest.pxi"
