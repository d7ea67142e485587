# cython: language_level=3
include "ranks.pxi"
