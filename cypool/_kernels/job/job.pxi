# Job: everything that the engine knows of one call.

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define cypool_thread() omp_get_thread_num()
    #else
    #define cypool_thread() 0
    #endif
    """
    int cypool_thread() nogil


cdef struct Axis:
    # Window i reads i * stride - padding + j * dilation for j < kernel, wherever that lies in [0, size) ...
    Py_ssize_t size, out, kernel, stride, padding, dilation
    # ... or, from a table, count[i] taps from first[i] on, dilation apart.
    const int64_t* first
    const int64_t* count
    # ... or, with more than one phase, result i sums the elements whose windows it was in: that of element m is the
    # kernel results from m * phases - padding on.
    Py_ssize_t phases
    const int64_t* link     # a wide window is a chain of narrow ones: pairs (taps, step), see windows.chain
    Py_ssize_t links        # or none
    bint rolls              # or the rest of one block and the beginning of the next, see `roll`


cdef struct Window:
    Py_ssize_t first, count, lead       # lead: taps cut off before the first


cdef struct Divisor:
    Py_ssize_t size, kernel, stride, padding, after, dilation
    bint padded             # padding counts
    const int64_t* count    # or, from a table, so many


cdef struct Array:
    char* data
    Py_ssize_t a, b, d, h, w, c         # strides in bytes
    int code                # storage
    Py_ssize_t size         # bytes of a stored number
    bint swapped            # the other byte order
    bint direct             # rows can be used in place, as elements
    bint streamed           # rows are written past the caches


cdef struct Mean            # means/rows.pxi


cdef enum Way:              # how the windows along a row are reduced
    GROUPED                 # tap by tap, those at the ends apart from those that reach over no end
    PICKED                  # narrow windows from a table: from all windows of their size, those that are wanted
    PHASED                  # so, phase by phase; then the phases take turns
    PADDED                  # tap by tap, over rows with padding between them
    ROLLED                  # by blocks, the row turned upright
    SLIDE                   # by a chain of narrow windows, over rows with padding between them


cdef enum Finish:           # what small windows do with a sum
    AS_IT_IS
    SCALED                  # multiply by the divisor's inverse, which is exact
    QUOTIENTS               # divide
    UNLIKE                  # divide each by its own


# (job, scratch, tile, -, -): pools a tile, or gives back false if it must be done by the passes: small/choice.pxi
ctypedef bint (*SmallTile)(const void*, void*, const void*, void*, void*) noexcept nogil


cdef struct Job:
    Rows rows
    SmallTile small         # or NULL
    bint small_apart        # it works in scratch memory: see `pool_apart`
    Finish finish
    bint fetched            # the input is larger than the second cache
    double fill             # what the loops of small windows take for padding, of floats
    uint64_t flip_bits      # and of integers, which these bits turn over
    const char* x_low       # where x begins and ends
    const char* x_high
    const Mean* mean        # what weights are, or NULL
    const Job* blind        # the same for tiles that need no care (NaN, -0.0), or NULL
    bint turned             # numbers are turned over as they are loaded, and back: see `turn_over`
    bint as_signed, falling
    const void* policy
    Axis axis[3]            # d, h, w
    Divisor divisor[3]
    bint divided, divide_source
    double fixed_divisor    # or 0
    int nan                 # 0, or 1: NaN becomes 0, 2: NaN becomes 1 and all else 0
    bint far                # the input is too large for the caches, and rows of it are folded onto each other
    bint whole              # every window is the whole plane
    Py_ssize_t a, b, inner
    Py_ssize_t channels     # of the caller's array: more than inner where they are dealt out over b
    Py_ssize_t plane_d, plane_h         # steps of the flat index along d and h
    Way way
    Array x, y
    char* index             # C-contiguous, in y's layout
    int index_width         # 0 none, 1 or 4 bytes: ordinals, 8: flat positions
    const int64_t* offset   # flat offset of each tap of a full window, or NULL: computed
    Py_ssize_t tile_d, tile_h, tile_w   # outputs of a tile
    Py_ssize_t tiles_d, tiles_h, tiles_w, tiles
    Py_ssize_t room         # elements in each scratch buffer
    Py_ssize_t raw_room     # bytes of the row that is gathered before it is loaded
    Py_ssize_t count_room, by_room


cdef enum:
    BUFFERS = 4
    MORE_BUFFERS = 5        # for means: see means/tiles.pxi
    SPARE = 9 * VECTOR      # bytes behind each: rows are worked in whole vectors, and the first may be moved by one
    STREAM = 1 << 26        # bytes of input and output together from which on the caches hold neither
    REUSED = 1 << 25        # bytes below which malloc hands out used memory again; above, new pages
    CHUNK = 2048            # elements of a whole plane that are reduced at once
    WIDEST = 256            # taps of windows that roll: their sums are that many additions
    AHEAD = 8192            # bytes before they are used, rows of small windows are fetched ...
    FETCHED = 1 << 20       # ... from so many bytes of input on, which the second cache does not hold
    MOST_TAPS = 13          # of small windows, along an axis
    MOST_ROWS = 64          # rows that they read
    RING = 13               # rows above that they keep
    LONG = 192              # elements from which on a row is better done on its own


cdef struct Scratch:
    char* value[BUFFERS + MORE_BUFFERS]
    char* tap[BUFFERS + MORE_BUFFERS]
    char* raw
    double* counts          # taps counted along w, as last computed for windows first..last
    Py_ssize_t counts_first, counts_last
    double* by              # what the tile's rows are divided by, beside that


cdef struct Tile:
    Py_ssize_t a, b
    Py_ssize_t d0, d1, h0, h1, w0, w1   # outputs
    Py_ssize_t in_d, in_d1, in_h, in_h1, in_w, in_w1        # the inputs they reach
    Py_ssize_t left, right  # padded columns before and behind them
    Py_ssize_t pitch        # columns from row to row after the height pass
    bint spill              # whether that pass may write rows in whole vectors


cdef struct Block:          # rows of elements: in a scratch buffer, or (buffer -1) in the caller's array
    char* value
    char* tap               # or NULL: no taps met yet
    Py_ssize_t plane, row   # elements from plane to plane, from row to row
    int buffer
