# Small windows of channels that lie side by side: a vector of channels takes tap after tap, and two go side by side, so
# that neither waits for the other.


cdef inline void take_tap(const char* at, bint first, Vec* y, Vec* z, const Vec* k, Vec* seen,
                          const Folding* r) noexcept nogil:
    cdef Vec x
    v_load(&x, at)
    turn_block(&x, k, r)
    note_nan(seen, &x, r)
    if first:
        y[0] = x
    else:
        absorb(y, &x, r)
    v_load(&x, at + sizeof(Vec))
    turn_block(&x, k, r)
    note_nan(seen, &x, r)
    if first:
        z[0] = x
    else:
        absorb(z, &x, r)


cdef inline void window_of_channels(const char* base, const WindowRows* rows, Py_ssize_t taps, Py_ssize_t step, Vec* y,
                                    Vec* z, const Vec* k, Vec* nans, const Folding* r) noexcept nogil:
    """Planes, then rows, then along: sums in the order of the passes. Maxima in the window's."""
    cdef Py_ssize_t j, m, n
    cdef Vec a, b, c, d, seen = nans[0]
    cdef const char* at
    if Folding is Max:
        for m in range(rows.planes):
            for n in range(rows.rows):
                at = base + m * rows.plane + n * rows.row
                for j in range(taps):
                    take_tap(at + j * step, m + n + j == 0, &a, &b, k, &seen, r)
    else:
        for j in range(taps):
            for n in range(rows.rows):
                at = base + j * step + n * rows.row
                if rows.planes == 1 and j == 0:
                    take_tap(at, n == 0, &a, &b, k, &seen, r)
                elif rows.planes == 1:
                    take_tap(at, n == 0, &c, &d, k, &seen, r)
                else:
                    take_tap(at, True, y, z, k, &seen, r)
                    for m in range(1, rows.planes):
                        take_tap(at + m * rows.plane, False, y, z, k, &seen, r)
                    if n == 0:
                        c, d = y[0], z[0]
                    else:
                        absorb(&c, y, r)
                        absorb(&d, z, r)
            if rows.planes > 1 and j == 0:
                a, b = c, d
            elif j > 0:
                absorb(&a, &c, r)
                absorb(&b, &d, r)
    y[0], z[0], nans[0] = a, b, seen


cdef inline void column_of_channels(const char* at, const WindowRows* rows, bint inside, Vec* y, Vec* z, const Vec* k,
                                    Vec* seen, Vec* least, const Folding* r) noexcept nogil:
    """The rows of one pixel, or padding."""
    cdef Py_ssize_t m, n
    cdef Vec a, b
    y[0] = z[0] = k[FILL]
    turn_block(y, k, r)
    turn_block(z, k, r)
    if not inside:
        return
    for n in range(rows.rows):
        take_tap(at + n * rows.row, True, &a, &b, k, seen, r)
        for m in range(1, rows.planes):
            take_tap(at + n * rows.row + m * rows.plane, False, &a, &b, k, seen, r)
        if n == 0:
            y[0], z[0] = a, b
        else:
            absorb(y, &a, r)
            absorb(z, &b, r)
    note_zero(least, y, k, r)
    note_zero(least, z, k, r)


cdef bint rolled_channels(const Job* job, Scratch* s, const Tile* t, Vec* tag, const Folding* r) noexcept nogil:
    """Windows of three pixels, one apart: what two of them came to stays in registers."""
    cdef Py_ssize_t width = lanes_of(tag), pixel = job.inner * number_size(tag), columns = job.axis[2].size
    cdef Py_ssize_t i, c, d, h, last = 2 - job.axis[2].padding
    cdef const char* base
    cdef char* out
    cdef WindowRows rows
    cdef Strip p = strip_of(job, s, t)
    cdef Window depth
    cdef Vec y, z, a, b, e, f, g, q, nans, least
    cdef Vec k[KEPT]
    set_constants(job, k, r)
    nans, least = k[NANS], k[LEAST]
    p.plain = not p.streamed
    for d in range(t.d0, t.d1):
        depth = window(&job.axis[0], d)
        for h in range(t.h0, t.h1):
            rows = clipped_rows(job, &p, t, 0, &depth, h)
            if rows.rows == 0 or rows.planes == 0:
                return False                        # for the passes, which know what nothing comes to
            c = 0
            while c < job.inner:
                if c + 2 * width > job.inner:
                    c = job.inner - 2 * width       # vectors that overlap those before
                base = rows.first + c * number_size(tag)
                out = output_of(job, t, d, t.w0 * job.inner + c, number_size(tag)) + (h - t.h0) * job.y.h
                i = t.w0 + last - 2
                column_of_channels(base + i * pixel, &rows, <size_t> i < <size_t> columns, &a, &b, k, &nans, &least, r)
                i += 1
                column_of_channels(base + i * pixel, &rows, <size_t> i < <size_t> columns, &e, &f, k, &nans, &least, r)
                for i in range(t.w0 + last, t.w1 + last):
                    column_of_channels(base + i * pixel, &rows, <size_t> i < <size_t> columns, &g, &q, k, &nans,
                                       &least, r)
                    y, z = a, b
                    absorb(&y, &e, r)
                    absorb(&z, &f, r)
                    absorb(&y, &g, r)
                    absorb(&z, &q, r)
                    a, b, e, f = e, f, g, q
                    if p.finish == UNLIKE:
                        v_set(&k[BY], row_divisor(job, d, h) * max(taps_counted(&job.divisor[2], i - last), 1))
                    put_block(&p, out, &y, width, k, r)
                    put_block(&p, out + sizeof(Vec), &z, width, k, r)
                    out += pixel
                c += 2 * width
    k[NANS], k[LEAST] = nans, least
    return blameless(k, r)


cdef bint of_channels(const Job* job, Scratch* s, const Tile* t, Vec* tag, const Folding* r) noexcept nogil:
    cdef Py_ssize_t width = lanes_of(tag), size = number_size(tag), i, c, j, d, h
    cdef Py_ssize_t step = job.axis[2].dilation * job.inner * size
    cdef const char* base
    cdef char* out
    cdef WindowRows rows
    cdef Strip p = strip_of(job, s, t)
    cdef Window depth, along
    cdef Vec y, z, nans
    cdef Vec k[KEPT]
    set_constants(job, k, r)
    nans = k[NANS]
    p.plain = not p.streamed
    for d in range(t.d0, t.d1):
        depth = window(&job.axis[0], d)
        for h in range(t.h0, t.h1):
            rows = clipped_rows(job, &p, t, 0, &depth, h)
            out = output_of(job, t, d, t.w0 * job.inner, size) + (h - t.h0) * job.y.h
            for i in range(t.w0, t.w1):
                along = window(&job.axis[2], i)
                if along.count == 0 or rows.rows == 0 or rows.planes == 0:
                    return False                    # for the passes, which know what nothing comes to
                base = rows.first + along.first * job.inner * size
                if job.fetched:                     # what the next row of windows needs there
                    for j in range(job.axis[1].stride):
                        fetch_far(base + (rows.rows + j) * p.row, job.axis[2].stride * job.inner * size)
                if p.finish == UNLIKE:
                    v_set(&k[BY], row_divisor(job, d, h) * max(taps_counted(&job.divisor[2], i), 1))
                c = 0
                while c < job.inner:
                    if c + 2 * width > job.inner:
                        c = job.inner - 2 * width   # blocks that overlap those before
                    window_of_channels(base + c * size, &rows, along.count, step, &y, &z, k, &nans, r)
                    put_block(&p, out + c * size, &y, width, k, r)
                    put_block(&p, out + (c + width) * size, &z, width, k, r)
                    c += 2 * width
                out += job.inner * size
    k[NANS] = nans
    return blameless(k, r)
