# Ranks: medians, other ranks and modes of windows.
#
# Numbers become *keys*, integers of the same width that compare as the numbers do; so four types do for all dtypes, and
# NaN is the largest key. An array is seen as (a, b, d, h, w, c), as in engine.pxi. A call is cut into tiles of outputs,
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


include "ranks_keys.pxi"
include "ranks_select.pxi"
include "ranks_histograms.pxi"
include "ranks_rows.pxi"


# ---------------------------------------------------------------------------- tiles

cdef inline Py_ssize_t first_row(const Job* job, const Tile* t) noexcept nogil:
    """No window of the tile reads a row before this one."""
    return max(<Py_ssize_t> 0, t.h0 * job.axis[1].stride - job.axis[1].padding)


cdef inline Key smallest(Key tag) noexcept nogil:
    return 0 if Key is uint8_t else <Key> ~magnitude(tag)


cdef void pad(const Job* job, Key* y, Py_ssize_t n, Py_ssize_t column, Py_ssize_t row) noexcept nogil:
    """Columns before or behind the input; row: its number among the rows that a window may hold."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t i, c, missing
    cdef Key value
    for i in range(n):
        missing = ceil_div(-column if column < 0 else column - axis.size + 1, axis.dilation)
        value = 0
        if job.smallest != NULL and missing < axis.kernel:
            value = smallest(value) if row < job.smallest[missing] else <Key> ~smallest(value)
        for c in range(job.tile_c):
            y[i * job.tile_c + c] = value
        column += axis.stride


cdef void load_row(const Job* job, Scratch* s, Key* y, const char* x, const Tile* t, Py_ssize_t row) noexcept nogil:
    """One row of the input as keys, sorted by what taps of neighbouring windows have in common; x: of column 0."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t i, k, low, high, length, n, channels = t.c1 - t.c0, size = sizeof(Key)
    cdef bint at_once                           # numbers stand side by side, aligned
    cdef const char* from_
    cdef Key* to
    for i in range(job.sorts):
        to = y + job.sort[3 * i + 2]
        length = t.w1 - t.w0 + job.sort[3 * i + 1]
        # position u holds column (w0 + u) * stride + first
        low = min(max(<Py_ssize_t> 0, ceil_div(-job.sort[3 * i], axis.stride) - t.w0), length)
        high = max(low, min(length, ceil_div(axis.size - job.sort[3 * i], axis.stride) - t.w0))
        n = high - low
        pad(job, to, low, t.w0 * axis.stride + job.sort[3 * i], row)
        pad(job, to + high * job.tile_c, length - high, (t.w0 + high) * axis.stride + job.sort[3 * i], row)
        memset(to + length * job.tile_c, 0, VECTOR)
        if n == 0:
            continue
        to += low * job.tile_c
        from_ = x + ((t.w0 + low) * axis.stride + job.sort[3 * i]) * job.x.step[4]
        at_once = (axis.stride * job.x.step[4] == job.tile_c * size and (job.tile_c == 1 or job.x.step[5] == size)
                   and channels == job.tile_c and <size_t> from_ % <size_t> size == 0)
        if not at_once and job.tile_c == 1:
            gather_run(to, from_, n, axis.stride * job.x.step[4])
        elif not at_once:
            for k in range(n):
                gather_run(to + k * job.tile_c, from_ + k * axis.stride * job.x.step[4], channels, job.x.step[5])
                memset(to + k * job.tile_c + channels, 0, (job.tile_c - channels) * size)
        if at_once:                                 # the next row is fetched meanwhile
            for k in range(n * job.tile_c * size / VECTOR):
                fetch(from_ + job.x.step[3] + k * VECTOR, 0)
        if make_keys(to, <const Key*> from_ if at_once else to, n * job.tile_c, job):
            s.nan = True


cdef void load_rows(const Job* job, Scratch* s, const Tile* t, Py_ssize_t o, Key tag) noexcept nogil:
    """The rows that the tile's windows o along h read, unless they are there."""
    cdef const Axis* axis = &job.axis[1]
    cdef Taps d = valid(&job.axis[0], t.d), h = valid(axis, o)
    cdef Py_ssize_t i, j, row, plane, place, first = first_row(job, t)
    for j in range(h.count):
        row = h.first + j * axis.dilation
        place = j if job.tile_h == 1 else row - first
        if s.known[place]:
            continue
        s.known[place] = 1
        for i in range(d.count):
            plane = d.first + i * job.axis[0].dilation
            load_row(job, s, <Key*> s.tile + (i * job.tile_rows + place) * job.pitch,
                     t.x + plane * job.x.step[2] + row * job.x.step[3] + t.c0 * job.x.step[5], t,
                     plane / job.axis[0].dilation % job.axis[0].kernel * axis.kernel
                     + row / axis.dilation % axis.kernel)


cdef void row_of_windows(const Job* job, Scratch* s, const Tile* t, Py_ssize_t o, Key tag) noexcept nogil:
    """The tile's windows o along h, by the network for so many rows of taps, or by pairs."""
    cdef Taps d = valid(&job.axis[0], t.d), h = valid(&job.axis[1], o)
    cdef Py_ssize_t first = first_row(job, t)
    cdef Py_ssize_t rows = d.count * h.count, inputs = rows * job.sorts, kernel = job.axis[2].kernel
    cdef bint padded = job.smallest != NULL and rows == job.axis[0].kernel * job.axis[1].kernel
    cdef Py_ssize_t low = t.w0 if padded else min(max(t.w0, job.inner0), t.w1)
    cdef Py_ssize_t high = t.w1 if padded else max(low, min(t.w1, job.inner1))
    cdef Py_ssize_t i, j, k, at, n, place
    cdef const Steps* net = NULL
    cdef char* y = t.y + t.d * job.y.step[2] + o * job.y.step[3]
    cdef Key* result = <Key*> s.out
    cdef Key* base
    if job.way == NETWORK:
        net = job.network + rows
        if net.result < 0:
            low = high = t.w1
    singly_along(job, s, t.x, y, d, h, t.w0, low, t.c0, t.c1, tag)
    singly_along(job, s, t.x, y, d, h, high, t.w1, t.c0, t.c1, tag)
    for i in range(job.lines):
        s.row[inputs + i] = s.lines + i * job.line * sizeof(Key)
    at = low
    while at < high:
        n = min(job.block, high - at)
        for i in range(d.count):
            for j in range(h.count):
                place = j if job.tile_h == 1 else h.first + j * job.axis[1].dilation - first
                base = <Key*> s.tile + (i * job.tile_rows + place) * job.pitch + (at - t.w0) * job.tile_c
                if net == NULL:
                    for k in range(kernel):
                        s.row[(i * h.count + j) * kernel + k] = <char*> (
                            base + job.sort[3 * job.across[2 * k] + 2] + job.across[2 * k + 1] * job.tile_c)
                else:
                    for k in range(job.sorts):
                        s.row[(i * h.count + j) * job.sorts + k] = <char*> (base + job.sort[3 * k + 2])
        if net == NULL:
            pairs(job, s.row, rows * kernel, result, n * job.tile_c)
        else:
            if net.square > 0:
                run_square(job, net.square, s.row, n, tag)
            else:
                run_network(job, net, s.row, n, tag)
            result = <Key*> s.row[net.result] + net.shift * job.tile_c
            if net.result < inputs:                 # windows of one tap: others need it as it is
                memcpy(s.out, result, n * job.tile_c * sizeof(Key))
                result = <Key*> s.out
            if s.nan:
                mark_nan(job, s.row, rows, <Key*> s.mark, n * job.tile_c)
                for i in range(n * job.tile_c):
                    result[i] = <Key> job.nan if (<Key*> s.mark)[i] else result[i]
        put(job, y + at * job.y.step[4] + t.c0 * job.y.step[5], result, n, t.c1 - t.c0)
        if s.nan and job.omit:
            for i in range(n):
                for k in range(t.c1 - t.c0):
                    if (<Key*> s.mark)[i * job.tile_c + k]:
                        singly_along(job, s, t.x, y, d, h, at + i, at + i + 1, t.c0 + k, t.c0 + k + 1, tag)
        at += n


cdef void run_tile(const Job* job, Scratch* s, Py_ssize_t index, Key tag) noexcept nogil:
    cdef Tile t
    cdef Py_ssize_t o, c
    cdef Taps d, h
    t.c0 = index % job.tiles_c * job.tile_c
    index /= job.tiles_c
    t.w0 = index % job.tiles_w * job.tile_w
    index /= job.tiles_w
    t.h0 = index % job.tiles_h * job.tile_h
    index /= job.tiles_h
    t.d = index % job.axis[0].out
    index /= job.axis[0].out
    t.b = index % job.b
    t.a = index / job.b
    t.c1, t.w1 = min(t.c0 + job.tile_c, job.c), min(t.w0 + job.tile_w, job.axis[2].out)
    t.h1 = min(t.h0 + job.tile_h, job.axis[1].out)
    t.x = job.x.data + t.a * job.x.step[0] + t.b * job.x.step[1]
    t.y = job.y.data + t.a * job.y.step[0] + t.b * job.y.step[1]
    if job.way == NETWORK or job.way == PAIRS:
        s.nan = False
        memset(s.known, 0, job.tile_rows)
        for o in range(t.h0, t.h1):
            load_rows(job, s, &t, o, tag)
            row_of_windows(job, s, &t, o, tag)
        return
    if job.way == COLUMNS:
        for c in range(t.c0, t.c1):
            columns_tile(job, s, &t, c)
        return
    d = valid(&job.axis[0], t.d)
    for o in range(t.h0, t.h1):
        h = valid(&job.axis[1], o)
        if job.way == SINGLY:
            singly_along(job, s, t.x, t.y + t.d * job.y.step[2] + o * job.y.step[3], d, h, t.w0, t.w1, t.c0, t.c1, tag)
        else:
            for c in range(t.c0, t.c1):
                histogram_along(job, s, t.x + c * job.x.step[5],
                                t.y + t.d * job.y.step[2] + o * job.y.step[3] + c * job.y.step[5], d, h, tag)


# ---------------------------------------------------------------------------- threads

cdef inline size_t rounded(size_t bytes) noexcept nogil:
    """Up to whole vectors."""
    return (bytes + VECTOR - 1) & ~(<size_t> VECTOR - 1)


cdef size_t lay_out(Scratch* s, const Job* job, char* memory) noexcept nogil:
    """Deal out a thread's scratch memory; how much there has to be."""
    cdef char* start = memory
    cdef size_t line = rounded(job.block * job.tile_c * job.size) + VECTOR
    cdef Py_ssize_t rows = job.axis[0].kernel * job.axis[1].kernel
    s.tile = s.lines = s.out = s.mark = s.known = NULL
    s.row = NULL
    if job.way == NETWORK or job.way == PAIRS:
        s.tile = memory
        memory += rounded(job.axis[0].kernel * job.tile_rows * job.pitch * job.size) + VECTOR
        s.lines = memory
        memory += rounded(job.lines * job.line * job.size)
        s.out = memory
        s.mark = memory + line
        memory += 2 * line
        s.row = <char**> memory
        memory += rounded((rows * max(job.sorts, job.axis[2].kernel) + job.lines) * sizeof(char*))
        s.known = memory
        memory += rounded(job.tile_rows)
    s.keys = memory
    memory += rounded((job.room + 1) * job.size)
    s.other = memory
    if job.mode:
        memory += rounded((job.room + 1) * job.size)
    s.digit = <int64_t*> memory
    memory += 256 * sizeof(int64_t)
    s.columns = memory
    if job.way == COLUMNS:
        memory += 256 * (job.pitch + 2)
    s.fine = <uint32_t*> memory
    s.coarse = s.fine
    if job.way == HISTOGRAM:
        s.coarse = s.fine + (1 << (8 * job.size))
        memory += (257 << (8 * (job.size - 1))) * sizeof(uint32_t)
        memory = start + rounded(memory - start)
    return memory - start


cdef void run_share(const Job* job, char* memory, size_t each, Py_ssize_t share, Py_ssize_t shares) noexcept nogil:
    """One of the shares that the tiles are dealt out in, in the running thread's scratch memory."""
    cdef Scratch s
    cdef Py_ssize_t tile
    lay_out(&s, job, <char*> rounded(<size_t> memory) + each * <size_t> cypool_thread())
    if job.way == HISTOGRAM:
        memset(s.fine, 0, (257 << (8 * (job.size - 1))) * sizeof(uint32_t))
    for tile in range(job.tiles * share / shares, job.tiles * (share + 1) / shares):
        if job.size == 1:
            run_tile(job, &s, tile, <uint8_t> 0)
        elif job.size == 2:
            run_tile(job, &s, tile, <int16_t> 0)
        elif job.size == 4:
            run_tile(job, &s, tile, <int32_t> 0)
        else:
            run_tile(job, &s, tile, <int64_t> 0)


cdef int run_job(const Job* job, int threads) except -1 nogil:
    """Work off the tiles."""
    cdef Py_ssize_t share, shares
    cdef Scratch s
    cdef size_t each = lay_out(&s, job, NULL)
    cdef char* memory
    threads = <int> min(<Py_ssize_t> threads, job.tiles)
    memory = <char*> malloc(each * <size_t> threads + VECTOR)
    if memory == NULL:
        with gil:
            raise MemoryError(f"no {each * threads} bytes of scratch memory to be had")
    if threads == 1:
        run_share(job, memory, each, 0, 1)
    else:
        shares = min(job.tiles, <Py_ssize_t> 8 * threads)
        for share in prange(shares, schedule="dynamic", chunksize=1, num_threads=threads):
            run_share(job, memory, each, share, shares)
    free(memory)
    return 0


# ---------------------------------------------------------------------------- what Python hands over

cdef void describe(Array* array, cnp.ndarray x, const int* roles) noexcept:
    cdef int i
    array.data = <char*> cnp.PyArray_DATA(x)
    memset(array.step, 0, sizeof(array.step))
    for i in range(cnp.PyArray_NDIM(x)):
        array.step[roles[i]] = cnp.PyArray_STRIDE(x, i)


cdef class Plan:
    """A call's windows and how their ranks are found.

    Parameters
    ----------
    axes : three sequences ``(size, out, kernel, stride, padding, dilation)`` for d, h, w
    roles : which of (a, b, d, h, w, c) each axis of an array is
    keys : ``(swapped, floating, flip, infinity, nan)``, see `Job`
    what : ``(mode, omit, rank, of, ignored)``; ignored may be None
    way : "network", "pairs", "columns", "histogram" or "singly"
    sorts : int64 array of rows ``(first column, most shift, place)``
    across : int64 array of rows ``(sort, shift)``, one for each tap along w
    networks : list of ``(steps, result row, result shift, square)`` or None, by the number of rows of taps
    smallest : int64 array, see `Job`, or an empty one
    sizes : ``(tile_h, tile_w, tile_c, pitch, tile_rows, block, line, lines, room, first and end of full windows)``
    """

    cdef Job job                            # without the arrays
    cdef int role[6]
    cdef object kept
    cdef Steps* network

    def __cinit__(self):
        self.network = NULL

    def __dealloc__(self):
        free(self.network)

    def __init__(self, axes, roles, keys, what, str way, const int64_t[:, ::1] sorts, const int64_t[:, ::1] across,
                 list networks, const int64_t[::1] smallest, sizes):
        cdef Job* job = &self.job
        cdef const int32_t[:, ::1] steps
        cdef int i
        memset(job, 0, sizeof(Job))
        for i in range(3):
            (job.axis[i].size, job.axis[i].out, job.axis[i].kernel, job.axis[i].stride, job.axis[i].padding,
             job.axis[i].dilation) = axes[i]
        for i, part in enumerate(roles):
            self.role[i] = part
        job.swapped, job.floating, job.flip, job.infinity, job.nan = keys
        job.mode, job.omit, job.rank, job.of = what[:4]
        job.ignoring = what[4] is not None
        job.ignored = what[4] if job.ignoring else 0
        job.way = {"network": NETWORK, "pairs": PAIRS, "columns": COLUMNS, "histogram": HISTOGRAM,
                   "singly": SINGLY}[way]
        (job.tile_h, job.tile_w, job.tile_c, job.pitch, job.tile_rows, job.block, job.line, job.lines, job.room,
         job.inner0, job.inner1) = sizes
        self.kept = sorts, across, networks, smallest
        if smallest.shape[0] > 0:
            job.smallest = &smallest[0]
        job.sorts = sorts.shape[0]
        if job.sorts > 0:
            job.sort, job.across = &sorts[0, 0], &across[0, 0]
        free(self.network)
        self.network = <Steps*> malloc((len(networks) + 1) * sizeof(Steps))
        if self.network == NULL:
            raise MemoryError("no memory for networks to be had")
        for i, network in enumerate(networks):
            memset(self.network + i, 0, sizeof(Steps))
            self.network[i].result = -1
            if network is not None:
                steps = network[0]
                self.network[i].steps = steps.shape[0]
                if steps.shape[0] > 0:
                    self.network[i].step = &steps[0, 0]
                self.network[i].result, self.network[i].shift, self.network[i].square = network[1:]
        job.network = self.network

    def run(self, cnp.ndarray x, cnp.ndarray y, int threads):
        """The ranks of x's windows into y."""
        cdef Job job = self.job
        cdef Py_ssize_t dims[6]
        cdef int i
        if cnp.PyArray_SIZE(y) == 0:
            return
        for i in range(6):
            dims[i] = 1
        for i in range(cnp.PyArray_NDIM(x)):
            dims[self.role[i]] = cnp.PyArray_DIM(x, i)
        job.a, job.b, job.c = dims[0], dims[1], dims[5]
        job.size = cnp.PyArray_ITEMSIZE(x)
        describe(&job.x, x, self.role)
        describe(&job.y, y, self.role)
        job.tiles_h = ceil_div(job.axis[1].out, job.tile_h)
        job.tiles_w = ceil_div(job.axis[2].out, job.tile_w)
        job.tiles_c = ceil_div(job.c, job.tile_c)
        job.tiles = job.a * job.b * job.axis[0].out * job.tiles_h * job.tiles_w * job.tiles_c
        with nogil:
            run_job(&job, threads)
