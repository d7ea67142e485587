# Ranks: medians, other ranks and modes of windows.
#
# Numbers become *keys*, integers of the same width that compare as the numbers do; so four types do for all dtypes, and
# NaN is the largest key. An array is seen as (a, b, d, h, w, c): see pooling.pyx. A call is cut into tiles of outputs,
# whose inputs are loaded as keys, and each row of a tile goes one of these ways:
#
#   NETWORK     rows of keys run through exchanges that Python wrote down: see networks.py
#   PAIRS       mode of few taps: every tap is compared with every other, rows of windows at a time
#   COLUMNS     8 bits: every column has a histogram, which slides down; their sum slides along the row
#   HISTOGRAM   8 and 16 bits: a histogram slides along the row
#   SINGLY      one window after the other: its taps are gathered, then selected or sorted
#
# Windows that leave NaN out go SINGLY in any case, and those at the ends of rows for which no padding would do.

from cython.parallel cimport prange

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cimport numpy as cnp

cnp.import_array()

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define cypool_thread() omp_get_thread_num()
    #else
    #define cypool_thread() 0
    #endif
    #ifdef __GNUC__
    #define cypool_fetch(place, change) __builtin_prefetch(place, change)
    #else
    #define cypool_fetch(place, change) ((void) 0)
    #endif
    """
    int cypool_thread() nogil
    void fetch "cypool_fetch"(const char* place, int change) noexcept nogil

cdef enum:
    VECTOR = 64             # bytes: rows are worked in whole vectors, and have room for one more behind them
    FEW = 32                # keys that are sorted by insertion
    STEP = 7                # numbers of a network's step

cdef enum Way:
    NETWORK, PAIRS, COLUMNS, HISTOGRAM, SINGLY

# 8-bit keys are unsigned, the others signed: that is what the oldest vector instructions can compare.
ctypedef fused Key:
    uint8_t
    int16_t
    int32_t
    int64_t

ctypedef fused Count:       # of taps in a histogram
    uint8_t
    uint16_t


cdef struct Axis:
    # Window i reads i * stride - padding + j * dilation for j < kernel, wherever that lies in [0, size).
    Py_ssize_t size, out, kernel, stride, padding, dilation


cdef struct Taps:           # the valid taps of one window along an axis
    Py_ssize_t first, count


cdef struct Array:
    char* data
    Py_ssize_t step[6]      # bytes along a, b, d, h, w, c


cdef struct Steps:          # a network for windows of so many rows of taps; none: no steps and no result
    const int32_t* step
    Py_ssize_t steps
    int result
    Py_ssize_t shift
    int square              # 3 or 5: the median of so many rows and columns, which is written out here


cdef struct Job:
    Way way
    Axis axis[3]            # d, h, w
    Py_ssize_t a, b, c
    Array x, y
    Py_ssize_t size         # bytes of a number
    bint swapped, floating
    int64_t flip            # turns integers into keys: their sign bit, if the key has the other sign
    int64_t infinity        # floats: the largest bits that are no NaN
    int64_t nan             # and the key of NaN
    bint omit               # NaN is left out
    uint64_t rank, of       # of m taps the one at rank * (m - 1) / of is wanted
    bint mode, ignoring
    int64_t ignored
    const Steps* network    # by the number of valid rows of taps
    const int64_t* sort     # rows of the input come in sorts: (first column, most shift, place in keys)
    Py_ssize_t sorts
    const int64_t* across   # (sort, shift) of each tap along w
    Py_ssize_t tile_h, tile_w, tile_c, tiles_h, tiles_w, tiles_c, tiles
    Py_ssize_t pitch        # keys of a loaded row
    Py_ssize_t tile_rows    # loaded rows of a plane of taps
    Py_ssize_t block        # outputs along w that go through a network at once
    Py_ssize_t line         # keys of a scratch row, room included
    Py_ssize_t lines        # scratch rows
    Py_ssize_t room         # keys that are gathered at once
    Py_ssize_t inner0, inner1           # the windows along w that reach over no end
    # Or over one, of those with all rows of taps: of the column that is the i-th missing one, so many keys are the
    # smallest there is, and the others the largest, so that the rank in full windows is the one that is wanted.
    const int64_t* smallest


cdef struct Tile:
    Py_ssize_t a, b, d, h0, h1, w0, w1, c0, c1
    const char* x           # of the tile's batch elements
    char* y


cdef struct Scratch:
    char* tile
    char* lines
    char* out
    char* mark
    char* known             # which rows are loaded
    char** row              # where each row of a network is
    char* keys
    char* other             # as many again, for sorting
    int64_t* digit
    uint32_t* fine          # a histogram, and sums over 256 of its bins
    uint32_t* coarse
    char* columns           # a histogram for each column
    bint nan                # the tile holds NaN, as far as it is loaded


# ---------------------------------------------------------------------------- windows

cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return (a + b - 1) / b if a > 0 else -((-a) / b)


cdef inline Taps valid(const Axis* axis, Py_ssize_t i) noexcept nogil:
    cdef Taps taps
    cdef Py_ssize_t origin = i * axis.stride - axis.padding
    cdef Py_ssize_t lead = ceil_div(-origin, axis.dilation) if origin < 0 else 0
    taps.first = origin + lead * axis.dilation
    taps.count = min(axis.kernel, ceil_div(axis.size - origin, axis.dilation)) - lead
    return taps


cdef Py_ssize_t wanted(const Job* job, uint64_t taps) noexcept nogil:
    """rank * (taps - 1) / of, rounded down; the product may be too large for a number."""
    cdef uint64_t left = taps - 1, quotient = 0, rest = 0
    cdef int bit
    if (job.rank | left) >> 32 == 0:
        return <Py_ssize_t> (job.rank * left / job.of)
    for bit in range(62, -1, -1):
        quotient <<= 1
        rest <<= 1
        if (left >> bit) & 1:
            rest += job.rank
        quotient += rest / job.of
        rest %= job.of
    return <Py_ssize_t> quotient
