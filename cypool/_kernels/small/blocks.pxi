# Small windows: what their loops share. A loop goes straight from the input to the output, a block (a vector register
# or two) at a time.
#
# Ends of rows are blocks that are loaded in part. A maximum is one instruction a tap; whether there was a NaN is told
# by a sum beside it, and, where taps are not taken in the window's order, whether there was a -0.0 by the least of the
# bits. A tile that has one is done again by the passes, which mind both.
#
# Minima are maxima of what is turned over, bit by bit (`flip_bits`), and so are integers with a sign.


cdef struct Strip:              # what the loops read of a call, copied for every tile: nothing else can point to it
    const char* low             # nothing outside the array is read
    const char* high
    Py_ssize_t columns, rows    # elements of a row, rows of a plane
    Py_ssize_t row              # bytes from row to row
    Py_ssize_t taps, step       # along a row, so many elements apart
    Py_ssize_t out_row          # bytes
    Finish finish
    const char* counts          # taps counted along w, window by window: see `count_row`
    Py_ssize_t full, full_end   # rows of windows that count all taps along h ...
    Py_ssize_t divided_for      # ... and the plane of windows for which the divisor at hand is theirs, or -1
    bint streamed
    Py_ssize_t first            # of a block: the element of a row that tap 0 of its first lane reads
    Py_ssize_t count            # its windows
    const char* limit           # see `spill_limit`
    bint plain                  # nothing to mind when it is stored
    bint inside                 # every tap is an element
    int unseen                  # taps where there may be a NaN that is tap 0 of no window: none, the last one, all


cdef enum:                      # blocks that every loop has at hand, as an array
    FILL                        # what padding holds
    FLIP                        # the bits that turn numbers over
    BY                          # what sums are divided by, or multiplied with
    NANS                        # a sum that is NaN if there was one
    LEAST                       # the least bits, of a -0.0 if there was one
    KEPT


cdef inline void absorb(Vec* y, const Vec* x, const Folding* r) noexcept nogil:
    if Folding is Sum:
        v_add(y, x)
    else:
        v_larger(y, x)


cdef inline void note_nan(Vec* nan, const Vec* x, const Folding* r) noexcept nogil:
    if Folding is Max:
        if Vec in RealVec:
            v_add(nan, x)


cdef inline void keep_least(Vec* least, const Vec* x, const Folding* r) noexcept nogil:
    if Folding is Max:
        if Vec in RealVec:
            v_note_least(least, x)


cdef inline void note_zero(Vec* least, const Vec* x, const Vec* k, const Folding* r) noexcept nogil:
    cdef Vec as_it_was
    if Folding is Max:
        as_it_was = x[0]
        v_turn(&as_it_was, &k[FLIP])
        keep_least(least, &as_it_was, r)


cdef inline void turn_block(Vec* y, const Vec* k, const Folding* r) noexcept nogil:
    if Folding is Max:
        v_turn(y, &k[FLIP])


cdef inline void set_constants(const Job* job, Vec* k, const Folding* r) noexcept nogil:
    if Vec in RealVec:
        v_set(&k[FILL], job.fill)
        v_set(&k[FLIP], -0.0 if job.falling else 0.0)
        v_set(&k[BY], 1)
        if Folding is Sum and job.fixed_divisor != 0:
            v_set(&k[BY], 1 / job.fixed_divisor if job.finish == SCALED else job.fixed_divisor)
    else:
        v_set(&k[FILL], job.flip_bits)
        v_set(&k[FLIP], job.flip_bits)
        v_set(&k[BY], 0)
    v_set(&k[NANS], 0)
    v_set(&k[LEAST], 0)


cdef inline void copy_constants(Vec* k, const Vec* given) noexcept nogil:
    """Into local variables, which nothing else can point to."""
    cdef int i
    for i in range(KEPT):
        k[i] = given[i]


cdef inline bint blameless(const Vec* k, const Folding* r) noexcept nogil:
    """Whether there was neither a NaN nor a -0.0 that matters."""
    if Folding is Max:
        if Vec in RealVec:
            return not v_has_nan(&k[NANS]) and not v_has_negative_zero(&k[LEAST])
    return True


cdef inline void set_divisor(const Job* job, Strip* p, const Tile* t, Py_ssize_t d, Py_ssize_t h, Py_ssize_t i,
                             Vec* k, const Folding* r) noexcept nogil:
    """Where windows differ: what those from (d, h, i) on are divided by."""
    cdef Vec by
    if Folding is Sum:
        if Vec in RealVec:
            if p.finish == UNLIKE and (p.divided_for != d or not p.full <= h < p.full_end):
                v_load(&k[BY], p.counts + (i - t.w0) * number_size(k))
                v_set(&by, row_divisor(job, d, h))
                v_scale(&k[BY], &by)
                p.divided_for = d if p.full <= h < p.full_end else -1


cdef inline void put_block(const Strip* p, char* out, Vec* y, Py_ssize_t count, const Vec* k,
                           const Folding* r) noexcept nogil:
    """Divide or turn back, and store the first `count` numbers."""
    if Folding is Sum:
        if Vec in RealVec:
            if p.finish == SCALED:
                v_scale(y, &k[BY])
            elif p.finish >= QUOTIENTS:
                v_divide(y, &k[BY])
    else:
        v_turn(y, &k[FLIP])
    if p.plain:
        v_store(out, y)
    elif count < lanes_of(y):
        v_store_first(out, y, count, p.limit)
    elif p.streamed and <size_t> out % sizeof(Vec) == 0:
        v_stream(out, y)
    else:
        v_store(out, y)


cdef inline Strip strip_of(const Job* job, Scratch* s, const Tile* t) noexcept nogil:
    cdef const Axis* axis = &job.axis[1]
    cdef Strip p
    p.full, p.divided_for = ceil_div(axis.padding, axis.stride), -1
    p.full_end = (axis.size + axis.padding - (axis.kernel - 1) * axis.dilation - 1) / axis.stride + 1
    p.counts = <const char*> count_row(job, s, t.w0, t.w1) if job.finish == UNLIKE and job.inner == 1 else NULL
    p.low, p.high = job.x_low, job.x_high
    p.columns, p.rows = job.axis[2].size * job.inner, job.axis[1].size
    p.row = job.x.h
    p.taps, p.step = job.axis[2].kernel, job.axis[2].dilation * job.inner
    p.out_row = job.y.h
    p.finish = job.finish
    p.streamed = job.y.streamed and job.y.size >= 4
    return p


cdef inline const char* plane_of(const Job* job, const Tile* t, Py_ssize_t d) noexcept nogil:
    """The plane that the windows of plane d read."""
    return (job.x.data + t.a * job.x.a + t.b * job.x.b
            + (d * job.axis[0].stride - job.axis[0].padding) * job.x.d)


cdef inline char* output_of(const Job* job, const Tile* t, Py_ssize_t d, Py_ssize_t i, Py_ssize_t size) noexcept nogil:
    """Where block i of the first row of a tile's plane is written."""
    return job.y.data + t.a * job.y.a + t.b * job.y.b + d * job.y.d + t.h0 * job.y.h + i * size


cdef inline const char* spill_limit(const Job* job, const Tile* t) noexcept nogil:
    """Where the tile's rows end, if they follow each other in memory: what is written too much behind one of them is
    written over by the next. Else nowhere."""
    cdef Py_ssize_t row = job.axis[2].out * job.inner * job.y.size
    if (t.w1 - t.w0 < job.axis[2].out or job.y.h != row or t.d1 - t.d0 > 1 and (
            t.h1 - t.h0 < job.axis[1].out or job.y.d != job.axis[1].out * row)):
        return NULL
    return job.y.data + t.a * job.y.a + t.b * job.y.b + (t.d1 - 1) * job.y.d + t.h1 * row


cdef struct WindowRows:         # the rows that a row of windows reads: some of some planes
    const char* first
    Py_ssize_t planes, rows
    Py_ssize_t plane, row       # bytes from one to the next


cdef inline WindowRows rows_of(const Job* job, const char* base, const Window* depth,
                               const Window* height) noexcept nogil:
    cdef WindowRows rows
    rows.first = base + depth.first * job.x.d + height.first * job.x.h
    rows.planes, rows.rows = depth.count, height.count
    rows.plane, rows.row = job.axis[0].dilation * job.x.d, job.axis[1].dilation * job.x.h
    return rows


cdef inline WindowRows clipped_rows(const Job* job, const Strip* p, const Tile* t, Py_ssize_t count,
                                    const Window* depth, Py_ssize_t h) noexcept nogil:
    """The rows of windows h; count: of a window that is not cut off, if that is a literal, or 0."""
    cdef Window height
    height.first = h * job.axis[1].stride - job.axis[1].padding
    height.count = count
    if count == 0 or height.first < 0 or height.first + count > p.rows:
        height = window(&job.axis[1], h)
    return rows_of(job, job.x.data + t.a * job.x.a + t.b * job.x.b, depth, &height)
