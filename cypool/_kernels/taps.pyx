# cython: language_level=3
include "numbers/shuffles.pxi"
include "taps/job.pxi"
include "taps/sums.pxi"
include "taps/products.pxi"
include "taps/plan.pxi"
