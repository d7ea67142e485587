# Means: tiles whose elements become weights as they are loaded, are summed up as any others, and become results as they
# are stored; and gradients, which are sums over the adjoint windows times a function of the element.


cdef enum:
    SECOND = BUFFERS        # scratch memory beyond the passes': the second sum's source, ...
    RESULT, OTHER           # ... both results, ...
    LOADED, MORE            # ... and rows of arrays that are not elements as they stand
    AT_ONCE = 512           # elements that are weighed at once


cdef const char* elements_of(const Job* job, Scratch* s, const Array* x, bint direct, int buffer, const char* row,
                             Py_ssize_t n) noexcept nogil:
    """A row of n columns of an array, as elements: where it is, or in a buffer."""
    cdef Job near
    if direct:
        return row
    near = job[0]
    near.x = x[0]
    load_run(&near, s, s.value[buffer], row, n, x.w)
    return s.value[buffer]


cdef inline char* place_in(const Array* x, const Tile* t, Py_ssize_t d, Py_ssize_t h, Py_ssize_t w) noexcept nogil:
    return x.data + t.a * x.a + t.b * x.b + d * x.d + h * x.h + w * x.w


cdef inline bint follow(const Job* job, const Array* x, bint direct, Py_ssize_t columns) noexcept nogil:
    """Whether the rows of a plane follow each other; if they are used where they are, without gaps."""
    return x.h == columns * x.w and (not direct or x.w == job.inner * job.rows.size)


cdef Array in_scratch(const Job* job, Scratch* s, const Tile* t, int buffer) noexcept nogil:
    """A tile's results, in scratch memory, as if that were a caller's array."""
    cdef Array y
    cdef Py_ssize_t size = job.rows.size
    y.code, y.size, y.swapped, y.direct, y.streamed = job.mean.code, size, False, True, False
    y.a = y.b = 0
    y.c, y.w = size, job.inner * size
    y.h = (t.w1 - t.w0) * y.w
    y.d = (t.h1 - t.h0) * y.h
    y.data = s.value[buffer] - t.d0 * y.d - t.h0 * y.h - t.w0 * y.w
    return y


cdef Block results_in(const Job* job, Scratch* s, const Tile* t, int buffer) noexcept nogil:
    """The same as a block."""
    cdef Block y = buffer_block(job, s, buffer)
    y.row = (t.w1 - t.w0) * job.inner
    y.plane = (t.h1 - t.h0) * y.row
    return y


cdef void write_to(const Job* job, Scratch* s, const Tile* t, const Array* y, int buffer) noexcept nogil:
    """A tile's results from scratch memory into an array, if there is one."""
    cdef Job near = job[0]
    if y.data != NULL:
        near.y = y[0]
        write_rows(&near, s, t, results_in(job, s, t, buffer))


cdef bint load_weights(const Job* job, Scratch* s, const Tile* t, Block* w, Block* v) noexcept nogil:
    """The weights of a tile's elements, and their values times weights; whether some values are tiny. Rows that are not
    cut are loaded as a whole: if they follow each other they are one."""
    cdef const Mean* mean = job.mean
    cdef Py_ssize_t d, h, turn, first = t.in_w, columns = t.in_w1 - t.in_w, rows = t.in_h1 - t.in_h, run = 1
    cdef Py_ssize_t place, size = job.rows.size
    cdef const char* x
    cdef const char* z
    cdef bint tiny = False
    if job.tiles_w == 1:
        first, columns = 0, job.axis[2].size
        if follow(job, &job.x, mean.x_direct, columns) and (
                mean.z.data == NULL or follow(job, &mean.z, mean.z_direct, columns)):
            run = max(rows, <Py_ssize_t> 1)
    w.row = v.row = columns * job.inner
    w.plane = v.plane = rows * w.row
    for d in range(t.in_d, t.in_d1):
        for turn in range(rows / run):
            h = turn * run
            x = elements_of(job, s, &job.x, mean.x_direct, LOADED, place_in(&job.x, t, d, t.in_h + h, first),
                            run * columns)
            z = x                                   # not looked at
            if mean.z.data != NULL:
                z = elements_of(job, s, &mean.z, mean.z_direct, MORE, place_in(&mean.z, t, d, t.in_h + h, first),
                                run * columns)
            place = (d - t.in_d) * w.plane + h * w.row
            tiny |= weigh_ahead(mean, at(w.value, place, size), at(v.value, place, size), x, z, size,
                                run * columns * job.inner)
    w[0] = moved(job, w[0], (t.in_w - first) * job.inner)
    v[0] = moved(job, v[0], (t.in_w - first) * job.inner)
    return tiny


cdef inline void fetch_ahead(const char* x, bint direct, Py_ssize_t bytes) noexcept nogil:
    """Elements come from memory, one after the other: those further on are fetched while these are worked on."""
    if direct:
        fetch(x + AHEAD, bytes)


cdef bint weigh_ahead(const Mean* mean, char* w, char* v, const char* x, const char* z, Py_ssize_t size,
                      Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0, part
    cdef bint tiny = False
    while i < n:
        part = min(n - i, <Py_ssize_t> AT_ONCE)
        fetch_ahead(x + i * size, mean.x_direct, part * size)
        fetch_ahead(z + i * size, mean.z_direct, part * size)
        tiny |= mean.weigh(w + i * size, v + i * size, x + i * size, z + i * size, part, mean)
        i += part
    return tiny


cdef void incline_ahead(const Mean* mean, char* a, char* b, const char* x, const char* z, Py_ssize_t size,
                        Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0, part
    while i < n:
        part = min(n - i, <Py_ssize_t> AT_ONCE)
        fetch_ahead(x + i * size, mean.x_direct, part * size)
        fetch_ahead(z + i * size, mean.z_direct, part * size)
        mean.incline(a + i * size, b + i * size, x + i * size, z + i * size, part, mean)
        i += part


cdef void sum_up(const Job* job, Scratch* s, const Tile* t, Block x, Array y) noexcept nogil:
    """A tile's sums, as elements. Passes use what they like of the buffers but those beyond theirs."""
    cdef Job near = job[0]
    near.y = y
    near.y.direct = True
    reduce_tile(&near, s, t, x)


cdef void mean_tile(const Job* job, Scratch* s, const Tile* t) noexcept nogil:
    cdef const Mean* mean = job.mean
    cdef Py_ssize_t d, h, n = (t.w1 - t.w0) * job.inner, row
    cdef Block w = buffer_block(job, s, 0), v = buffer_block(job, s, SECOND)
    cdef const void* counts = NULL
    cdef bint tiny, off = False
    tiny = load_weights(job, s, t, &w, &v)
    sum_up(job, s, t, w, in_scratch(job, s, t, RESULT))
    write_to(job, s, t, &mean.s, RESULT)
    if mean.paired:
        sum_up(job, s, t, v, in_scratch(job, s, t, OTHER))
        write_to(job, s, t, &mean.t, OTHER)
    if mean.counted:
        counts = count_row(job, s, t.w0, t.w1)
    if counts == NULL:                              # all alike
        off = mean.conclude(s.value[RESULT], s.value[OTHER], job.fixed_divisor if mean.counted else 1, NULL, tiny,
                            (t.d1 - t.d0) * (t.h1 - t.h0) * n, mean)
    else:
        for d in range(t.d0, t.d1):
            for h in range(t.h0, t.h1):
                row = ((d - t.d0) * (t.h1 - t.h0) + h - t.h0) * n * job.rows.size
                off |= mean.conclude(s.value[RESULT] + row, s.value[OTHER] + row, row_divisor(job, d, h), counts, tiny,
                                     n, mean)
    if off:
        mean.off[0] = 1
    write_to(job, s, t, &job.y, RESULT)


cdef void slope_tile(const Job* job, Scratch* s, const Tile* t) noexcept nogil:
    """A tile of gradients: sums over the windows that an element is in, times what follows from the element."""
    cdef const Mean* mean = job.mean
    cdef Job near = job[0]
    cdef Py_ssize_t d, h, turn, columns = t.w1 - t.w0, rows = t.h1 - t.h0, run = 1
    cdef const char* x
    cdef const char* z
    cdef bint logits = mean.logits.data != NULL
    cdef Array a = job.y, b = mean.for_z
    if not mean.y_direct:
        a = in_scratch(job, s, t, RESULT)
    if not mean.for_z_direct:
        b = in_scratch(job, s, t, OTHER)
    sum_up(job, s, t, source_block(job, s, t), a)
    if mean.paired:
        near.x = mean.z
        sum_up(&near, s, t, source_block(&near, s, t), b)
    if (columns == job.axis[2].out and follow(job, &a, True, columns) and follow(job, &b, True, columns)
            and follow(job, &mean.x, mean.x_direct, columns)
            and (not logits or follow(job, &mean.logits, mean.z_direct, columns))):
        run = rows
    for d in range(t.d0, t.d1):
        for turn in range(rows / run):
            h = t.h0 + turn * run
            x = elements_of(job, s, &mean.x, mean.x_direct, LOADED, place_in(&mean.x, t, d, h, t.w0), run * columns)
            z = x                                   # not looked at
            if logits:
                z = elements_of(job, s, &mean.logits, mean.z_direct, MORE, place_in(&mean.logits, t, d, h, t.w0),
                                run * columns)
            incline_ahead(mean, place_in(&a, t, d, h, t.w0), place_in(&b, t, d, h, t.w0), x, z, job.rows.size,
                          run * columns * job.inner)
    if not mean.y_direct:
        write_to(job, s, t, &job.y, RESULT)
    if logits and not mean.for_z_direct:
        write_to(job, s, t, &mean.for_z, OTHER)
