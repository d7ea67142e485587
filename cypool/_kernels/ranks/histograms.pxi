# Histograms: of a window, which slides along a row; and of every column, which slide down.


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
