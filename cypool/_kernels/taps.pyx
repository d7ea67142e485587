# cython: language_level=3
include "taps.pxi"
