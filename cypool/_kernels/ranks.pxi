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
# Windows that reach over an end of a row, and those that leave NaN out, go SINGLY in any case.

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
    """
    int cypool_thread() nogil

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

ctypedef fused Count:
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
    uint64_t rank, of       # of m taps the one at rank (m - 1) / of is wanted
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
    bint nan                # the tile holds NaN


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


# ---------------------------------------------------------------------------- keys

cdef inline Key bits_reversed(Key k) noexcept nogil:
    """The other byte order."""
    cdef uint64_t u
    if Key is int16_t:
        return <int16_t> (((<uint16_t> k) >> 8) | ((<uint16_t> k) << 8))
    elif Key is int32_t:
        u = <uint32_t> k
        return <int32_t> <uint32_t> (u >> 24 | (u >> 8 & 0xFF00) | (u << 8 & 0xFF0000ULL) | (u << 24 & 0xFF000000ULL))
    elif Key is int64_t:
        u = <uint64_t> k
        u = (u >> 32) | (u << 32)
        u = ((u >> 16) & 0x0000FFFF0000FFFFULL) | ((u & 0x0000FFFF0000FFFFULL) << 16)
        return <int64_t> (((u >> 8) & 0x00FF00FF00FF00FFULL) | ((u & 0x00FF00FF00FF00FFULL) << 8))
    else:
        return k


cdef inline Key magnitude(Key tag) noexcept nogil:
    """All bits but the sign."""
    if Key is int16_t:
        return 0x7FFF
    elif Key is int32_t:
        return 0x7FFFFFFF
    elif Key is int64_t:
        return 0x7FFFFFFFFFFFFFFFLL
    else:
        return 0x7F


cdef inline Key ordered(Key bits) noexcept nogil:
    """A float's bits as an integer that compares as it does, and back: negative ones are turned round."""
    return <Key> (bits ^ ((bits >> (8 * sizeof(Key) - 1)) & magnitude(bits)))


cdef inline Key key_of(Key bits, const Job* job) noexcept nogil:
    if job.swapped:
        bits = bits_reversed(bits)
    if not job.floating:
        return <Key> (bits ^ <Key> job.flip)
    if (bits & magnitude(bits)) > <Key> job.infinity:
        return <Key> job.nan
    return ordered(bits)


cdef inline Key bits_of(Key k, const Job* job) noexcept nogil:
    return ordered(k) if job.floating else <Key> (k ^ <Key> job.flip)


cdef inline Key read(const char* x, const Job* job, Key tag) noexcept nogil:
    cdef Key bits
    memcpy(&bits, x, sizeof(Key))
    return key_of(bits, job)


cdef inline void write(char* y, Key k, const Job* job) noexcept nogil:
    k = bits_of(k, job)
    memcpy(y, &k, sizeof(Key))


cdef inline bint make_keys(Key* y, const Key* x, Py_ssize_t n, const Job* job) noexcept nogil:
    """Bits become keys, in place (x is y) or on the way; whether there was NaN."""
    cdef Py_ssize_t i
    cdef Key bits, found = 0, flip = <Key> job.flip, infinity = <Key> job.infinity, nan = <Key> job.nan
    if job.swapped:
        for i in range(n):
            y[i] = bits_reversed(x[i])
        x = y
    if not job.floating:
        if flip != 0 or x != y:
            for i in range(n):
                y[i] = <Key> (x[i] ^ flip)
        return False
    for i in range(n):
        bits = x[i]
        found |= <Key> ((bits & magnitude(bits)) > infinity)
        y[i] = nan if (bits & magnitude(bits)) > infinity else ordered(bits)
    return found != 0


cdef inline void gather_run(Key* y, const char* x, Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    """y = n stored numbers, so many bytes apart."""
    cdef Py_ssize_t i, size = sizeof(Key)
    if step == size:
        memcpy(y, x, n * size)
    elif step == 2 * size:
        for i in range(n):
            memcpy(y + i, x + i * 2 * sizeof(Key), sizeof(Key))
    else:
        for i in range(n):
            memcpy(y + i, x + i * step, sizeof(Key))


cdef inline void scatter_run(char* y, const Key* x, Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    cdef Py_ssize_t i, size = sizeof(Key)
    if step == size:
        memcpy(y, x, n * size)
    else:
        for i in range(n):
            memcpy(y + i * step, x + i, sizeof(Key))


# ---------------------------------------------------------------------------- one window

cdef inline void sort_few(Key* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef Key value
    for i in range(1, n):
        value, j = x[i], i
        while j > 0 and x[j - 1] > value:
            x[j] = x[j - 1]
            j -= 1
        x[j] = value


cdef inline uint64_t unsigned(Key k) noexcept nogil:
    """A key as a number from 0 on, in the same order."""
    if Key is int16_t:
        return <uint16_t> k ^ <uint16_t> 0x8000
    elif Key is int32_t:
        return <uint32_t> k ^ 0x80000000ULL
    elif Key is int64_t:
        return <uint64_t> k ^ 0x8000000000000000ULL
    else:
        return k


cdef inline Key key_from(uint64_t u, Key tag) noexcept nogil:
    if Key is int16_t:
        return <int16_t> <uint16_t> (u ^ 0x8000)
    elif Key is int32_t:
        return <int32_t> <uint32_t> (u ^ 0x80000000ULL)
    elif Key is int64_t:
        return <int64_t> (u ^ 0x8000000000000000ULL)
    else:
        return <uint8_t> u


cdef Key* sort_many(Key* x, Key* other, Py_ssize_t n, int64_t* digit) noexcept nogil:
    """Sort, digit by digit, the last one first, back and forth between two buffers; where the result is."""
    cdef Key* y = other
    cdef Key* was
    cdef Py_ssize_t i, place, count
    cdef int shift
    for shift in range(0, 8 * <int> sizeof(Key), 8):
        memset(digit, 0, 256 * sizeof(int64_t))
        for i in range(n):
            digit[(unsigned(x[i]) >> shift) & 255] += 1
        if digit[(unsigned(x[0]) >> shift) & 255] == n:
            continue                                # all alike
        place = 0
        for i in range(256):
            count = digit[i]
            digit[i] = place
            place += count
        for i in range(n):
            count = (unsigned(x[i]) >> shift) & 255
            y[digit[count]] = x[i]
            digit[count] += 1
        was = x
        x = y
        y = was
    return x


cdef inline Py_ssize_t digit_of(int64_t* digit, Py_ssize_t* rank) noexcept nogil:
    """The digit that holds a rank, which becomes that among the keys with this digit."""
    cdef Py_ssize_t i = 0
    while digit[i] <= rank[0]:
        rank[0] -= digit[i]
        i += 1
    return i


cdef Key select(Key* x, Py_ssize_t n, Py_ssize_t rank, int64_t* digit) noexcept nogil:
    """The key of a rank, found digit by digit, the first one first, among those that have the digits so far."""
    cdef Py_ssize_t i, kept
    cdef uint64_t found
    cdef int shift = 8 * <int> sizeof(Key)
    while n > FEW and shift > 0:
        shift -= 8
        memset(digit, 0, 256 * sizeof(int64_t))
        for i in range(n):
            digit[(unsigned(x[i]) >> shift) & 255] += 1
        found = digit_of(digit, &rank)
        if digit[found] == n:
            continue
        kept = 0
        for i in range(n):
            x[kept] = x[i]
            kept += ((unsigned(x[i]) >> shift) & 255) == found
        n = kept
    if n <= FEW:
        sort_few(x, n)
    return x[rank]                                  # of many, all are equal by now


cdef inline Py_ssize_t gather(const Job* job, Key* y, const char* x, Taps d, Taps h, Taps w) noexcept nogil:
    """The taps of a window that count, side by side: NaN and what is ignored may be left out. How many."""
    cdef Py_ssize_t i, j, k, n = 0
    cdef const char* row
    cdef Key value
    cdef bint leave = job.omit and job.floating or job.ignoring
    cdef Key out = <Key> (job.ignored if job.ignoring else job.nan)
    for i in range(d.count):
        for j in range(h.count):
            row = (x + (d.first + i * job.axis[0].dilation) * job.x.step[2]
                   + (h.first + j * job.axis[1].dilation) * job.x.step[3] + w.first * job.x.step[4])
            for k in range(w.count):
                value = read(row, job, out)
                row += job.axis[2].dilation * job.x.step[4]
                y[n] = value
                n += not (leave and value == out)
    return n


cdef Py_ssize_t count_digits(const Job* job, const char* x, Taps d, Taps h, Taps w, uint64_t found, int shift,
                             int64_t* digit, Key tag) noexcept nogil:
    """The next digit of every tap that has the digits found so far; shift: where those end. How many taps are NaN."""
    cdef Py_ssize_t i, j, k, nan = 0
    cdef const char* row
    cdef uint64_t u
    cdef Key value
    for i in range(d.count):
        for j in range(h.count):
            row = (x + (d.first + i * job.axis[0].dilation) * job.x.step[2]
                   + (h.first + j * job.axis[1].dilation) * job.x.step[3] + w.first * job.x.step[4])
            for k in range(w.count):
                value = read(row, job, tag)
                row += job.axis[2].dilation * job.x.step[4]
                u = unsigned(value)
                nan += job.floating and value == <Key> job.nan
                if shift >= 8 * <int> sizeof(Key) or (u >> shift) == found:
                    digit[(u >> (shift - 8)) & 255] += 1
    return nan


cdef Key select_in_place(const Job* job, const char* x, Taps d, Taps h, Taps w, int64_t* digit,
                         Key tag) noexcept nogil:
    """As `select`, of a window too large to be gathered."""
    cdef Py_ssize_t nan, rank = 0, taps = d.count * h.count * w.count
    cdef uint64_t found = 0
    cdef int shift = 8 * <int> sizeof(Key)
    while shift > 0:
        memset(digit, 0, 256 * sizeof(int64_t))
        nan = count_digits(job, x, d, h, w, found, shift, digit, tag)
        if shift == 8 * <int> sizeof(Key):
            if nan > 0 and (nan == taps or not job.omit):
                return <Key> job.nan
            rank = wanted(job, taps - nan)          # NaN comes last
        found = (found << 8) | <uint64_t> digit_of(digit, &rank)
        shift -= 8
    return key_from(found, tag)


cdef Key most_frequent(Key* x, Key* other, Py_ssize_t n, int64_t* digit) noexcept nogil:
    cdef Py_ssize_t i, start = 0, most = 0
    cdef Key best = x[0]
    if n <= FEW:
        sort_few(x, n)
    else:
        x = sort_many(x, other, n, digit)
    for i in range(1, n + 1):
        if i == n or x[i] != x[start]:
            if i - start > most:                    # of labels as frequent the first, the smallest, stays
                most, best = i - start, x[start]
            start = i
    return best


cdef Key singly(const Job* job, Scratch* s, const char* x, Taps d, Taps h, Taps w, Key tag) noexcept nogil:
    """The result for one window; x: its channel's first element."""
    cdef Key* keys = <Key*> s.keys
    cdef Py_ssize_t i, n, taps = d.count * h.count * w.count
    if taps > job.room:
        return select_in_place(job, x, d, h, w, s.digit, tag)
    n = gather(job, keys, x, d, h, w)
    if n == 0:
        return <Key> (job.ignored if job.mode else job.nan)
    if job.mode:
        return most_frequent(keys, <Key*> s.other, n, s.digit)
    if job.floating and not job.omit:
        for i in range(n):
            if keys[i] == <Key> job.nan:
                return <Key> job.nan
    return select(keys, n, wanted(job, n), s.digit)


cdef void singly_along(const Job* job, Scratch* s, const char* x, char* y, Taps d, Taps h, Py_ssize_t w0,
                       Py_ssize_t w1, Py_ssize_t c0, Py_ssize_t c1, Key tag) noexcept nogil:
    """The windows w0..w1 of a row, channels c0..c1; x, y: of column and channel 0."""
    cdef Py_ssize_t i, c
    cdef Taps w
    for i in range(w0, w1):
        w = valid(&job.axis[2], i)
        for c in range(c0, c1):
            write(y + i * job.y.step[4] + c * job.y.step[5],
                  singly(job, s, x + c * job.x.step[5], d, h, w, tag), job)


# ---------------------------------------------------------------------------- histograms

cdef struct Histogram:
    uint32_t* fine
    uint32_t* coarse
    Py_ssize_t at, below    # a key, and how many are smaller


cdef inline void count_column(const Job* job, Histogram* hist, const char* x, Taps d, Taps h, bint enter,
                              Key tag) noexcept nogil:
    """Add a column's taps, or take them out."""
    cdef Py_ssize_t i, j
    cdef uint32_t change = 1 if enter else <uint32_t> -1
    cdef Py_ssize_t below = 0, at = hist.at, key
    cdef Py_ssize_t step = job.axis[1].dilation * job.x.step[3]
    cdef const char* place
    for i in range(d.count):
        place = x + (d.first + i * job.axis[0].dilation) * job.x.step[2] + h.first * job.x.step[3]
        for j in range(h.count):
            key = <Py_ssize_t> unsigned(read(place, job, tag))
            place += step
            hist.fine[key] += change
            if Key is int16_t:
                hist.coarse[key >> 8] += change
            below += key < at
    hist.below += below if enter else -below


cdef inline Py_ssize_t at_rank(Histogram* hist, Py_ssize_t rank, Key tag) noexcept nogil:
    """The key of a rank, looked for from the last one on."""
    cdef Py_ssize_t at = hist.at, below = hist.below
    while below > rank:
        if Key is int16_t:
            if at & 255 == 0 and below - <Py_ssize_t> hist.coarse[(at >> 8) - 1] > rank:
                below -= hist.coarse[(at >> 8) - 1]
                at -= 256
                continue
        at -= 1
        below -= hist.fine[at]
    while below + <Py_ssize_t> hist.fine[at] <= rank:
        if Key is int16_t:
            if at & 255 == 0 and below + <Py_ssize_t> hist.coarse[at >> 8] <= rank:
                below += hist.coarse[at >> 8]
                at += 256
                continue
        below += hist.fine[at]
        at += 1
    hist.at, hist.below = at, below
    return at


cdef void histogram_along(const Job* job, Scratch* s, const char* x, char* y, Taps d, Taps h, Key tag) noexcept nogil:
    """A row of windows of one channel: columns enter and leave. The histogram is empty before and after."""
    cdef Histogram hist
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t i, first = 0, count = 0, taps, nan, step = axis.dilation
    cdef Py_ssize_t nan_at = <Py_ssize_t> unsigned(<Key> job.nan)
    cdef Taps w
    cdef Key result
    hist.fine, hist.coarse, hist.at, hist.below = s.fine, s.coarse, 0, 0
    for i in range(axis.out):
        w = valid(axis, i)
        while count > 0 and first < w.first:
            count_column(job, &hist, x + first * job.x.step[4], d, h, False, tag)
            first += step
            count -= 1
        if count == 0:
            first = w.first
        while count < w.count:
            count_column(job, &hist, x + (first + count * step) * job.x.step[4], d, h, True, tag)
            count += 1
        taps = d.count * h.count * count
        nan = hist.fine[nan_at] if job.floating else 0
        if nan > 0 and (nan == taps or not job.omit):
            result = <Key> job.nan
        else:
            result = key_from(at_rank(&hist, wanted(job, taps - nan), tag), tag)
        write(y + i * job.y.step[4], result, job)
    while count > 0:
        count_column(job, &hist, x + first * job.x.step[4], d, h, False, tag)
        first += step
        count -= 1


cdef inline void change_columns(const Job* job, uint8_t* columns, const uint8_t* step, const char* enters,
                                const char* leaves, Py_ssize_t n) noexcept nogil:
    """A row of n keys enters the columns' histograms, one leaves them; either may be NULL. step: 256 noughts, then as
    many ones."""
    cdef Py_ssize_t i, k, far = job.x.step[4]
    cdef uint8_t flip = <uint8_t> job.flip
    cdef const uint8_t* more
    cdef const uint8_t* less
    for i in range(n):
        more = step if enters == NULL else step + 256 - (<uint8_t> ((<const uint8_t*> enters)[i * far] ^ flip))
        less = step if leaves == NULL else step + 256 - (<uint8_t> ((<const uint8_t*> leaves)[i * far] ^ flip))
        for k in range(256):
            columns[256 * i + k] += more[k] - less[k]


cdef inline void slide_columns(const Job* job, const uint8_t* columns, const uint8_t* none, Py_ssize_t first, char* y,
                               Py_ssize_t rows, Py_ssize_t w0, Py_ssize_t w1, Count rank) noexcept nogil:
    """A row of windows: the sum of the columns' histograms, the first of which is of column `first`, slides along.
    Every bin counts all keys up to its own, so the key of a rank is the number of bins that do not reach it."""
    cdef const Axis* axis = &job.axis[2]
    cdef Count total[256]
    cdef Py_ssize_t i, k, at = 0, end = 0, start, stop, known = -1
    cdef uint8_t key
    cdef const uint8_t* more
    cdef const uint8_t* less
    for k in range(256):
        total[k] = 0
    for i in range(w0, w1):
        start = i * axis.stride - axis.padding
        stop = min(axis.size, start + axis.kernel)
        start = max(<Py_ssize_t> 0, start)
        if at == end:
            at = end = start
        while end < stop or at < start:             # neighbouring windows share half their columns at least
            more = less = none
            if end < stop:
                more = columns + (end - first) * 256
                end += 1
            if at < start:
                less = columns + (at - first) * 256
                at += 1
            for k in range(256):
                total[k] += <Count> (<Count> more[k] - <Count> less[k])
        if stop - start != known:
            known = stop - start
            rank = <Count> wanted(job, rows * known)
        key = 0
        for k in range(256):
            key += total[k] <= rank
        write(y + i * job.y.step[4], key, job)


cdef void columns_tile(const Job* job, Scratch* s, const Tile* t, Py_ssize_t c) noexcept nogil:
    """A tile of one channel, by histograms of columns."""
    cdef uint8_t* step = <uint8_t*> s.columns
    cdef uint8_t* columns = step + 512
    cdef char* y
    cdef const char* x
    cdef const char* enters
    cdef const char* leaves
    cdef Taps d = valid(&job.axis[0], t.d), h, w = valid(&job.axis[2], t.w1 - 1)
    cdef Py_ssize_t first = valid(&job.axis[2], t.w0).first, n = w.first + w.count - first
    cdef Py_ssize_t o, i, at = 0, end = 0, leave, enter
    for i in range(512):
        step[i] = 1 if i >= 256 else 0
    memset(columns, 0, 256 * n)
    for o in range(t.h0, t.h1):
        h = valid(&job.axis[1], o)
        for i in range(d.count):
            x = (t.x + (d.first + i * job.axis[0].dilation) * job.x.step[2] + first * job.x.step[4]
                 + c * job.x.step[5])
            leave, enter = at, max(end, h.first)
            while leave < min(end, h.first) or enter < h.first + h.count:
                leaves = x + leave * job.x.step[3] if leave < min(end, h.first) else NULL
                enters = x + enter * job.x.step[3] if enter < h.first + h.count else NULL
                change_columns(job, columns, step, enters, leaves, n)
                leave += 1
                enter += 1
        at, end = h.first, h.first + h.count
        y = t.y + t.d * job.y.step[2] + o * job.y.step[3] + c * job.y.step[5]
        if job.axis[0].kernel * job.axis[1].kernel * job.axis[2].kernel < 256:
            slide_columns(job, columns, step, first, y, d.count * h.count, t.w0, t.w1, <uint8_t> 0)
        else:
            slide_columns(job, columns, step, first, y, d.count * h.count, t.w0, t.w1, <uint16_t> 0)


# ---------------------------------------------------------------------------- rows of windows

# Vectors of keys stand in local arrays that nothing else can point to, so the compiler keeps them in registers.

cdef inline void pull(Key* v, const Key* x) noexcept nogil:
    cdef Py_ssize_t k, lanes = VECTOR / sizeof(Key)
    for k in range(lanes):
        v[k] = x[k]


cdef inline void sort_two(Key* v, int i, int j) noexcept nogil:
    """The smaller ones into vector i, the larger ones into vector j."""
    cdef Py_ssize_t k, lanes = VECTOR / sizeof(Key)
    cdef Key* a = v + i * lanes
    cdef Key* b = v + j * lanes
    cdef Key low, high
    for k in range(lanes):
        low = a[k] if a[k] < b[k] else b[k]
        high = b[k] if a[k] < b[k] else a[k]
        a[k], b[k] = low, high


cdef inline void least(Key* v, int i, int j) noexcept nogil:
    """The smaller ones into vector i."""
    cdef Py_ssize_t k, lanes = VECTOR / sizeof(Key)
    cdef Key* a = v + i * lanes
    cdef Key* b = v + j * lanes
    for k in range(lanes):
        a[k] = a[k] if a[k] < b[k] else b[k]


cdef inline void most(Key* v, int i, int j) noexcept nogil:
    """The larger ones into vector i."""
    cdef Py_ssize_t k, lanes = VECTOR / sizeof(Key)
    cdef Key* a = v + i * lanes
    cdef Key* b = v + j * lanes
    for k in range(lanes):
        a[k] = b[k] if a[k] < b[k] else a[k]


cdef inline void exchange(const Key* a, const Key* b, Key* low, Key* high, Py_ssize_t n) noexcept nogil:
    """The smaller and the larger ones of two rows, in whole vectors. Both are read before either is written."""
    cdef Py_ssize_t i = 0, lanes = VECTOR / sizeof(Key)
    cdef Key v[2 * VECTOR]
    while i < n:
        pull(v, a + i)
        pull(v + lanes, b + i)
        sort_two(v, 0, 1)
        if low != NULL:
            pull(low + i, v)
        if high != NULL:
            pull(high + i, v + lanes)
        i += lanes


cdef inline void median_of_9(char** x, Key* y, Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    """Of three rows and columns, `step` keys apart: the columns are sorted, and then it is the median of the largest of
    the smallest, the median of the middle ones, and the smallest of the largest."""
    cdef Py_ssize_t i = 0, lanes = VECTOR / sizeof(Key)
    cdef int r, c
    cdef Key v[9 * VECTOR]
    while i < n:
        for r in range(3):
            for c in range(3):
                pull(v + (3 * r + c) * lanes, <const Key*> x[r] + i + c * step)
        for c in range(3):
            sort_two(v, c, 3 + c)
            sort_two(v, 3 + c, 6 + c)
            sort_two(v, c, 3 + c)
        most(v, 0, 1)
        most(v, 0, 2)
        sort_two(v, 3, 4)
        least(v, 4, 5)
        most(v, 3, 4)
        least(v, 6, 7)
        least(v, 6, 8)
        sort_two(v, 0, 3)
        least(v, 3, 6)
        most(v, 0, 3)
        pull(y + i, v)
        i += lanes


cdef inline void sort_columns(char** x, char** y, Py_ssize_t n, Key tag) noexcept nogil:
    """The columns of five rows, sorted."""
    cdef Py_ssize_t i = 0, lanes = VECTOR / sizeof(Key)
    cdef int r
    cdef Key v[5 * VECTOR]
    while i < n:
        for r in range(5):
            pull(v + r * lanes, <const Key*> x[r] + i)
        sort_two(v, 0, 3)
        sort_two(v, 1, 4)
        sort_two(v, 0, 2)
        sort_two(v, 1, 3)
        sort_two(v, 0, 1)
        sort_two(v, 2, 4)
        sort_two(v, 1, 2)
        sort_two(v, 3, 4)
        sort_two(v, 2, 3)
        for r in range(5):
            pull(<Key*> y[r] + i, v + r * lanes)
        i += lanes


cdef inline void merge_columns(char** column, char** y, Py_ssize_t n, Py_ssize_t step, Key tag) noexcept nogil:
    """Two sorted columns of five, `step` keys apart, as one of ten."""
    cdef Py_ssize_t i = 0, lanes = VECTOR / sizeof(Key)
    cdef int r
    cdef Key v[10 * VECTOR]
    while i < n:
        for r in range(5):
            pull(v + r * lanes, <const Key*> column[r] + i)
        for r in range(5):
            pull(v + (5 + r) * lanes, <const Key*> column[r] + i + step)
        sort_two(v, 0, 5)
        sort_two(v, 4, 9)
        sort_two(v, 4, 5)
        sort_two(v, 2, 7)
        sort_two(v, 2, 4)
        sort_two(v, 7, 5)
        sort_two(v, 1, 6)
        sort_two(v, 3, 8)
        sort_two(v, 3, 6)
        sort_two(v, 1, 2)
        sort_two(v, 3, 4)
        sort_two(v, 6, 7)
        sort_two(v, 8, 5)
        pull(<Key*> y[0] + i, v)
        pull(<Key*> y[1] + i, v + lanes)
        pull(<Key*> y[2] + i, v + 2 * lanes)
        pull(<Key*> y[3] + i, v + 3 * lanes)
        pull(<Key*> y[4] + i, v + 4 * lanes)
        pull(<Key*> y[5] + i, v + 6 * lanes)
        pull(<Key*> y[6] + i, v + 7 * lanes)
        pull(<Key*> y[7] + i, v + 8 * lanes)
        pull(<Key*> y[8] + i, v + 5 * lanes)
        pull(<Key*> y[9] + i, v + 9 * lanes)
        i += lanes


cdef inline void median_of_25(char** ten, char** five, Key* y, Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    """Of two sorted tens, `step` keys apart, and a sorted five behind them. Of the tens only the middle six of all
    twenty can be the median."""
    cdef Py_ssize_t i = 0, lanes = VECTOR / sizeof(Key)
    cdef int r
    cdef Key v[25 * VECTOR]
    while i < n:
        for r in range(5):                          # five turns are unrolled, ten are not, and go through memory
            pull(v + r * lanes, <const Key*> ten[r] + i)
        for r in range(5):
            pull(v + (5 + r) * lanes, <const Key*> ten[5 + r] + i)
        for r in range(5):
            pull(v + (10 + r) * lanes, <const Key*> ten[r] + i + step)
        for r in range(5):
            pull(v + (15 + r) * lanes, <const Key*> ten[5 + r] + i + step)
        most(v, 10, 0)
        least(v, 8, 18)
        sort_two(v, 8, 10)
        sort_two(v, 4, 14)
        most(v, 8, 4)
        least(v, 14, 10)
        most(v, 12, 2)
        least(v, 6, 16)
        sort_two(v, 6, 12)
        most(v, 8, 6)
        sort_two(v, 12, 14)
        most(v, 11, 1)
        least(v, 9, 19)
        sort_two(v, 9, 11)
        sort_two(v, 5, 15)
        most(v, 9, 5)
        least(v, 15, 11)
        most(v, 13, 3)
        least(v, 7, 17)
        sort_two(v, 7, 13)
        sort_two(v, 7, 9)
        least(v, 13, 15)
        sort_two(v, 7, 8)
        sort_two(v, 9, 12)
        sort_two(v, 13, 14)                         # the six: 7, 8, 9, 12, 13, 14
        for r in range(5):
            pull(v + (20 + r) * lanes, <const Key*> five[r] + i + 2 * step)
        most(v, 13, 20)
        most(v, 12, 21)
        most(v, 9, 22)
        most(v, 8, 23)
        most(v, 7, 24)
        least(v, 14, 13)
        least(v, 12, 9)
        least(v, 8, 7)
        least(v, 14, 12)
        least(v, 14, 8)
        pull(y + i, v + 14 * lanes)
        i += lanes


cdef void run_square(const Job* job, int square, char** row, Py_ssize_t n, Key tag) noexcept nogil:
    """The median of three or five rows and columns, for n windows: the rows are the inputs, then scratch."""
    cdef Py_ssize_t c = job.tile_c, step = job.across[3] * c        # from one column of taps to the next
    if square == 3:
        median_of_9(row, <Key*> row[3], n * c, step)
    else:
        sort_columns(row, row + 5, n * c + 4 * step, tag)
        merge_columns(row + 5, row + 10, n * c + 2 * step, step, tag)
        median_of_25(row + 10, row + 5, <Key*> row[20], n * c, 2 * step)


cdef inline void run_network(const Job* job, const Steps* net, char** row, Py_ssize_t n, Key tag) noexcept nogil:
    """The steps of a network, for n windows."""
    cdef const int32_t* step = net.step
    cdef Py_ssize_t i, c = job.tile_c, keys
    cdef const Key* a
    cdef const Key* b
    for i in range(net.steps):
        a = <const Key*> row[step[0]] + step[1] * c
        b = <const Key*> row[step[2]] + step[3] * c
        keys = (n + step[6]) * c
        if step[5] < 0:
            exchange(a, b, <Key*> row[step[4]], NULL, keys)
        elif step[4] < 0:
            exchange(a, b, NULL, <Key*> row[step[5]], keys)
        else:
            exchange(a, b, <Key*> row[step[4]], <Key*> row[step[5]], keys)
        step += STEP


cdef void mark_nan(const Job* job, char** row, Py_ssize_t rows, Key* mark, Py_ssize_t n) noexcept nogil:
    """Which of n keys belong to windows with NaN."""
    cdef Py_ssize_t r, j, i
    cdef Key nan = <Key> job.nan
    cdef const Key* x
    memset(mark, 0, n * sizeof(Key))
    for r in range(rows):
        for j in range(job.axis[2].kernel):
            x = <const Key*> row[r * job.sorts + job.across[2 * j]] + job.across[2 * j + 1] * job.tile_c
            for i in range(n):
                mark[i] |= <Key> (x[i] == nan)


cdef inline void pairs(const Job* job, char** tap, Py_ssize_t taps, Key* y, Py_ssize_t n) noexcept nogil:
    """The most frequent of each window's taps, the smallest of those as frequent; in whole vectors."""
    cdef Py_ssize_t at, part, i, j, k, lanes = VECTOR / sizeof(Key)
    cdef Key first[VECTOR]
    cdef Key value[VECTOR]
    cdef Key other[VECTOR]
    cdef Key count[VECTOR]
    cdef Key best[VECTOR]
    cdef Key most[VECTOR]
    cdef Key differ, ignored = <Key> job.ignored
    for part in range((n + lanes - 1) / lanes):
        at = part * lanes
        differ = 0
        for k in range(lanes):
            first[k] = (<const Key*> tap[0])[at + k]
            most[k] = 0
        for j in range(1, taps):
            for k in range(lanes):
                most[k] |= <Key> ((<const Key*> tap[j])[at + k] ^ first[k])
        for k in range(lanes):
            differ |= most[k]
        if differ == 0:                             # labels are large: mostly all taps are one
            for k in range(lanes):
                y[at + k] = first[k]
            continue
        for k in range(lanes):
            best[k] = ignored
            most[k] = 0
        for i in range(taps):
            for k in range(lanes):
                value[k] = (<const Key*> tap[i])[at + k]
                count[k] = 0
            for j in range(taps):
                for k in range(lanes):
                    other[k] = (<const Key*> tap[j])[at + k]
                for k in range(lanes):
                    count[k] += 1 if other[k] == value[k] else 0
            if job.ignoring:
                for k in range(lanes):
                    count[k] = 0 if value[k] == ignored else count[k]
            for k in range(lanes):
                other[k] = 1 if count[k] > most[k] else 0
            for k in range(lanes):
                other[k] = 1 if count[k] == most[k] and count[k] > 0 and value[k] < best[k] else other[k]
            for k in range(lanes):
                best[k] = value[k] if other[k] != 0 else best[k]
            for k in range(lanes):
                most[k] = count[k] if count[k] > most[k] else most[k]
        for k in range(lanes):
            y[at + k] = best[k]


cdef inline void put(const Job* job, char* y, Key* x, Py_ssize_t n, Py_ssize_t channels) noexcept nogil:
    """Write the keys of n windows beside each other; they are not needed any more."""
    cdef Py_ssize_t i, size = sizeof(Key), all = n * job.tile_c
    cdef Key flip = <Key> job.flip
    cdef bint at_once = (job.y.step[4] == job.tile_c * size and (job.tile_c == 1 or job.y.step[5] == size)
                         and channels == job.tile_c and <size_t> y % <size_t> size == 0)
    cdef Key* to = <Key*> y if at_once else x
    if job.floating:
        for i in range(all):
            to[i] = ordered(x[i])
    elif flip != 0 or at_once:
        for i in range(all):
            to[i] = <Key> (x[i] ^ flip)
    if at_once:
        return
    if job.tile_c == 1:
        scatter_run(y, x, n, job.y.step[4])
    else:
        for i in range(n):
            scatter_run(y + i * job.y.step[4], x + i * job.tile_c, channels, job.y.step[5])


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
        if make_keys(to, <const Key*> from_ if at_once else to, n * job.tile_c, job):
            s.nan = True


cdef void load_tile(const Job* job, Scratch* s, const Tile* t, Key tag) noexcept nogil:
    """Every row that the tile's windows read, once."""
    cdef const Axis* axis = &job.axis[1]
    cdef Taps d = valid(&job.axis[0], t.d), h
    cdef Py_ssize_t i, j, o, row, plane, place, first = first_row(job, t)
    s.nan = False
    memset(s.known, 0, job.tile_rows)
    for o in range(t.h0, t.h1):
        h = valid(axis, o)
        for j in range(h.count):
            row = h.first + j * axis.dilation
            place = j if job.tile_h == 1 else row - first
            if s.known[place]:
                continue
            s.known[place] = 1
            for i in range(d.count):
                plane = d.first + i * job.axis[0].dilation
                load_row(job, s, <Key*> s.tile + (i * job.tile_rows + place) * job.pitch,
                         t.x + plane * job.x.step[2] + row * job.x.step[3], t,
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
        load_tile(job, s, &t, tag)
        for o in range(t.h0, t.h1):
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
