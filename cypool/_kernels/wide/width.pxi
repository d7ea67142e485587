# Width: rows slide along themselves, then results are divided, converted and written.


cdef inline char* output(const Job* job, const Tile* t, Py_ssize_t d, Py_ssize_t h) noexcept nogil:
    return (job.y.data + t.a * job.y.a + t.b * job.y.b + d * job.y.d + h * job.y.h + t.w0 * job.y.w)


cdef inline int64_t tap_offset(const Job* job, int64_t tap) noexcept nogil:
    """How far a tap of a window lies from its first one, as a flat position."""
    cdef int64_t w, h
    if job.offset != NULL:
        return job.offset[tap]
    w = tap % job.axis[2].kernel
    tap /= job.axis[2].kernel
    h = tap % job.axis[1].kernel
    tap /= job.axis[1].kernel
    return (tap * job.axis[0].dilation * job.plane_d + h * job.axis[1].dilation * job.plane_h
            + w * job.axis[2].dilation)


cdef inline int64_t flat_origin(const Job* job, Py_ssize_t d, Py_ssize_t h, Py_ssize_t w) noexcept nogil:
    """The flat position of a window's first tap."""
    return (origin_of(&job.axis[0], d) * job.plane_d + origin_of(&job.axis[1], h) * job.plane_h
            + origin_of(&job.axis[2], w))


cdef void write_index(const Job* job, const Tile* t, Py_ssize_t d, Py_ssize_t h, Py_ssize_t rows,
                      const char* tap) noexcept nogil:
    """Ordinals become what the caller asked for; several rows at once if they are whole and bytes or words."""
    cdef Py_ssize_t i, c, plane = t.a if job.channels > job.inner else t.a * job.b + t.b
    cdef Py_ssize_t row = ((plane * job.axis[0].out + d) * job.axis[1].out + h) * job.axis[2].out + t.w0
    cdef char* out = job.index + row * job.channels * job.index_width
    cdef int64_t* flat
    cdef int64_t base
    if job.channels == job.inner:
        job.rows.ordinals(out, tap, rows * (t.w1 - t.w0) * job.inner, job.index_width)
    else:
        out += t.b * job.inner * job.index_width
        for i in range(t.w1 - t.w0):
            job.rows.ordinals(out + i * job.channels * job.index_width, tap + i * job.inner * job.rows.size, job.inner,
                              job.index_width)
    if job.index_width == 8:
        for i in range(t.w1 - t.w0):
            flat = <int64_t*> out + i * job.channels
            base = flat_origin(job, d, h, t.w0 + i)
            for c in range(job.inner):
                flat[c] = base + tap_offset(job, flat[c])


cdef inline bint packed_output(const Job* job, const char* out, Py_ssize_t columns) noexcept nogil:
    """Whether a row of the output stands side by side, and where numbers of its size may be written."""
    return (<size_t> out % <size_t> job.y.size == 0 and (job.y.w == job.y.size * job.inner or columns == 1)
            and (job.y.c == job.y.size or job.inner == 1))


cdef inline Block output_block(const Job* job, const Tile* t) noexcept nogil:
    """The tile's rows in the caller's array, which takes elements as they are."""
    cdef Block y
    y.value = output(job, t, t.d0, t.h0)
    y.tap = NULL
    y.plane = job.y.d / job.rows.size
    y.row = job.y.h / job.rows.size if job.axis[1].out > 1 else y.plane
    y.buffer = -1
    return y


cdef inline Block result_block(const Job* job, Scratch* s, const Tile* t, int used) noexcept nogil:
    """Where reduced rows go: into the output, or into a buffer that is none of these."""
    cdef Block y
    if job.y.direct and not job.rows.taps:
        return output_block(job, t)
    y = fresh_block(job, s, used, -1)
    y.row = (t.w1 - t.w0) * job.inner
    y.plane = (t.h1 - t.h0) * y.row
    return y


cdef inline Py_ssize_t result_spare(const Job* job, const Tile* t, Block y) noexcept nogil:
    """How far rows may be written beyond their end; in the output, no further than where the next one begins."""
    cdef Py_ssize_t n = (t.w1 - t.w0) * job.inner, rows = t.h1 - t.h0
    if y.buffer >= 0:
        return spare(job, y)
    return 0 if (rows == 1 or y.row == n) and (t.d1 - t.d0 == 1 or y.plane == rows * n) else NO_SPILL


cdef void divide_rows(const Job* job, Scratch* s, const Tile* t, Block y, Py_ssize_t w0, Py_ssize_t w1) noexcept nogil:
    """Divide windows w0..w1 of a tile's rows; y is where the first of them stands."""
    cdef Grid g = grid_of((w1 - w0) * job.inner, t.h1 - t.h0, 0, y.row, t.d1 - t.d0, 0, y.plane, 0, 0)
    set_divisors(job, s, t, w0, False, &g)
    job.rows.divide(y.value, &g)


cdef void write_rows(const Job* job, Scratch* s, const Tile* t, Block y) noexcept nogil:
    """Convert and write reduced rows; of integers, the quotients."""
    cdef Py_ssize_t columns = t.w1 - t.w0, n = columns * job.inner, d, h, run
    cdef bint quotients = job.divided and not job.rows.floating
    cdef const double* counts = <const double*> count_row(job, s, t.w0, t.w1) if quotients else NULL
    cdef char* out
    cdef char* value
    for d in range(t.d0, t.d1):
        h = t.h0
        while h < t.h1:
            out = output(job, t, d, h)
            value = at(y.value, (d - t.d0) * y.plane + (h - t.h0) * y.row, job.rows.size)
            run = t.h1 - h if (counts == NULL and y.row == n and job.y.h == n * job.y.size
                                    and packed_output(job, out, columns)) else 1
            if job.turned:
                job.rows.turn_over(value, job.as_signed, job.falling, run * n)
            if job.y.streamed:
                stream(out, value, run * n * job.y.size)
            elif packed_output(job, out, columns):
                job.rows.store(out, value, counts, row_divisor(job, d, h) if quotients else 0, run * n, job.y.code)
            else:
                job.rows.store(s.raw, value, counts, row_divisor(job, d, h) if quotients else 0, n, job.y.code)
                scatter_bytes(out, s.raw, columns, job.y.w, job.inner, job.y.c, job.y.size)
            h += run


cdef inline bint divided_on_the_way(const Job* job) noexcept nogil:
    """Whether the last fold divides. A power of two multiplies its inverse, which is no trouble afterwards."""
    cdef int exponent
    return (job.divided and job.rows.floating and not job.whole and job.way != PICKED and job.way != ROLLED
            and fabs(frexp(job.fixed_divisor, &exponent)) != 0.5)


cdef void finish(const Job* job, Scratch* s, const Tile* t, Block y) noexcept nogil:
    """Divide, convert and write the reduced rows of a tile, unless they are where they belong."""
    cdef Py_ssize_t d, h, columns = t.w1 - t.w0, together = 1
    if job.divided and job.rows.floating and not divided_on_the_way(job):
        divide_rows(job, s, t, y, t.w0, t.w1)
    if y.buffer >= 0:
        write_rows(job, s, t, y)
    if job.index_width:
        if (columns == job.axis[2].out and y.row == columns * job.inner and job.channels == job.inner
                and job.index_width < 8):
            together = t.h1 - t.h0
        for d in range(t.d0, t.d1):
            h = t.h0
            while h < t.h1:
                write_index(job, t, d, h, together,
                            at(y.tap, (d - t.d0) * y.plane + (h - t.h0) * y.row, job.rows.size))
                h += together


cdef void fold_width(const Job* job, Scratch* s, const Tile* t, Py_ssize_t first, Py_ssize_t windows, Py_ssize_t taps,
                     Py_ssize_t spacing, int64_t lead, Block x, Py_ssize_t x_spare, Block y,
                     Py_ssize_t y_spare) noexcept nogil:
    """So many windows of as many taps, from the first on, the taps `spacing` apart, in every row of the tile."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t size = job.rows.size, inner = job.inner, rows = t.h1 - t.h0, planes = t.d1 - t.d0, plane
    cdef Py_ssize_t stride = axis.stride if inner == 1 else 1, step = spacing * axis.dilation * inner, goes = 0
    cdef Grid g
    if inner == 1 or axis.stride == 1:
        g = grid_of(windows * inner, rows, x.row, y.row, planes, x.plane, y.plane, x_spare, y_spare)
    else:                                           # every window is a row of channels
        g = grid_of(inner, windows, axis.stride * inner, inner, rows, x.row, y.row, x_spare, y_spare)
        goes = planes
    if divided_on_the_way(job):
        set_divisors(job, s, t, first, goes != 0, &g)
    goes = max(goes, 1)
    for plane in range(goes):
        if taps > 0:
            job.rows.fold(at(y.value, plane * y.plane, size), at(y.tap, plane * y.plane, size),
                          at(x.value, plane * x.plane, size), at(x.tap, plane * x.plane, size),
                          taps, step, stride, &g, lead, spacing, job.policy)
            if g.by_plane == 1 and job.divisor[0].kernel > 1:       # windows are rows
                g.by += rows
        else:
            job.rows.fill(at(y.value, plane * y.plane, size), at(y.tap, plane * y.plane, size), &g, job.policy)


cdef void reduce_grouped(const Job* job, Scratch* s, const Tile* t, Block x) noexcept nogil:
    """Width, windows alike at once: no padding needed."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t rows = t.h1 - t.h0, i = t.w0, end, row, y_spare
    cdef bint lanes = job.inner == 1 and axis.dilation == 1 and axis.stride * 8 >= axis.kernel and x.tap == NULL
    cdef Block y = result_block(job, s, t, x.buffer)
    cdef Block from_x, to_y
    cdef Window w
    y_spare = result_spare(job, t, y) if alike(axis, t.w0, t.w1) == t.w1 else NO_SPILL
    while i < t.w1:
        end = alike(axis, i, t.w1)
        w = window(axis, i)
        from_x = moved(job, x, (w.first - t.in_w) * job.inner)
        to_y = moved(job, y, (i - t.w0) * job.inner)
        if lanes and w.count >= LANES:
            for row in range((t.d1 - t.d0) * rows):
                job.rows.total(at(to_y.value, (row / rows) * y.plane + (row % rows) * y.row, job.rows.size),
                               at(to_y.tap, (row / rows) * y.plane + (row % rows) * y.row, job.rows.size),
                               at(from_x.value, (row / rows) * x.plane + (row % rows) * x.row, job.rows.size),
                               w.count, end - i, axis.stride, w.lead, job.policy)
            if divided_on_the_way(job):
                divide_rows(job, s, t, to_y, i, end)
        else:
            fold_width(job, s, t, i, end - i, w.count, 1, w.lead, from_x, spare(job, x), to_y, y_spare)
        i = end
    finish(job, s, t, y)


cdef void reduce_picked(const Job* job, Scratch* s, const Tile* t, Block x) noexcept nogil:
    """Width, narrow windows from a table, of a few sizes: all windows of each size, then those that are wanted."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t rows = t.h1 - t.h0, planes = t.d1 - t.d0, columns = t.in_w1 - t.in_w, i, place
    cdef Py_ssize_t size = job.rows.size
    cdef int64_t least = axis.kernel, most = 0, taps
    cdef Block y = result_block(job, s, t, x.buffer)
    cdef Block z = fresh_block(job, s, x.buffer, y.buffer)
    cdef bint joined = x.buffer >= 0 and x.plane == rows * x.row    # windows over the ends of rows are not wanted
    cdef Grid g
    z.row = x.row if joined else columns
    z.plane = rows * z.row
    for i in range(t.w0, t.w1):
        least, most = min(least, axis.count[i]), max(most, axis.count[i])
    for taps in range(least, most + 1):
        g = grid_of(x.row if joined else columns - taps + 1, rows, x.row, z.row, planes, x.plane, z.plane,
                    spare(job, x), spare(job, z))
        if taps > 0:
            job.rows.fold(z.value, z.tap, x.value, x.tap, taps, 1, 1, &g, 0, 1, job.policy)
        else:
            job.rows.fill(z.value, z.tap, &g, job.policy)
        g = grid_of(1, rows, z.row, y.row, planes, z.plane, y.plane, 0, 0)
        for i in range(t.w0, t.w1):
            if axis.count[i] == taps:
                place = axis.first[i] - t.in_w if taps > 0 else 0       # one without elements begins nowhere
                job.rows.pick(at(y.value, i - t.w0, size), at(z.value, place, size), &g)
                if job.rows.taps:
                    job.rows.pick(at(y.tap, i - t.w0, size), at(z.tap, place, size), &g)
    finish(job, s, t, y)


cdef inline Py_ssize_t turned(const Job* job) noexcept nogil:
    """How many rows are turned upright at once: two vectors of them."""
    return 2 * VECTOR / job.rows.size


cdef void reduce_rolled(const Job* job, Scratch* s, const Tile* t, Block x) noexcept nogil:
    """Width, wide windows: rows of channels roll as they are, single numbers are turned upright before, and back."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t rows = t.h1 - t.h0, planes = t.d1 - t.d0, columns = t.in_w1 - t.in_w, out = t.w1 - t.w0
    cdef Py_ssize_t pitch = turned(job), d, h, n
    cdef int last = BUFFERS - 1
    cdef Block y = result_block(job, s, t, x.buffer), upright, rest, rolled, from_x, to_y
    if job.inner > 1:
        for d in range(planes):
            roll_lines(job, s, axis, t.w0, t.w1, t.in_w, t.in_w1, moved(job, x, d * x.plane), job.inner,
                       moved(job, y, d * y.plane), job.inner, rows, x.row, y.row, job.inner, 1)
        finish(job, s, t, y)
        return
    if x.plane == rows * x.row and y.plane == rows * y.row:
        rows *= planes
        planes = 1
    upright = fresh_block(job, s, x.buffer, y.buffer)
    while last == x.buffer or last == y.buffer or last == upright.buffer:
        last -= 1
    rolled = buffer_block(job, s, last)
    rest = moved(job, upright, columns * pitch)     # behind the rows that stand there
    if x.tap == NULL:
        upright.tap = NULL
    for d in range(planes):
        h = 0
        while h < rows:
            n = min(pitch, rows - h)
            from_x, to_y = moved(job, x, d * x.plane + h * x.row), moved(job, y, d * y.plane + h * y.row)
            job.rows.turn(upright.value, from_x.value, n, columns, x.row, pitch)
            if x.tap != NULL:
                job.rows.turn(upright.tap, from_x.tap, n, columns, x.row, pitch)
            roll_axis(job, axis, t.w0, t.w1, t.in_w, t.in_w1, upright, pitch, rolled, pitch, rest, n, 1)
            job.rows.turn(to_y.value, rolled.value, out, n, pitch, y.row)
            if job.rows.taps:
                job.rows.turn(to_y.tap, rolled.tap, out, n, pitch, y.row)
            h += n
    finish(job, s, t, y)


cdef void reduce_phased(const Job* job, Scratch* s, const Tile* t, Block x) noexcept nogil:
    """Width, a gradient: windows one element apart, then a result of each phase in turn. There are two sorts of phases
    at most, those whose windows have one element more and those whose have one less."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t rows = t.h1 - t.h0, planes = t.d1 - t.d0, columns = t.w1 - t.w0, d, h
    cdef Py_ssize_t size = job.rows.size, q0 = first_turn(axis, t.w0), windows = end_turn(axis, t.w1) - q0
    cdef Py_ssize_t skip = t.w0 + axis.padding - q0 * axis.phases
    cdef Py_ssize_t taps = ceil_div(axis.kernel, axis.phases), firsts = axis.kernel % axis.phases
    cdef Block y = result_block(job, s, t, x.buffer), more = x, less
    cdef Grid g
    if job.inner > 1:
        for d in range(planes):
            fold_axis(job, axis, t.w0, t.w1, t.in_w, moved(job, x, d * x.plane), job.inner,
                      moved(job, y, d * y.plane), job.inner, rows, x.row, y.row, job.inner, 0, False)
        finish(job, s, t, y)
        return
    if taps > 1 or x.buffer < 0:                    # the caller's rows must not be read beyond their end
        more = fresh_block(job, s, x.buffer, y.buffer)
        more.row, more.plane = t.pitch, rows * t.pitch
        g = grid_of(windows, rows, x.row, more.row, planes, x.plane, more.plane, spare(job, x), spare(job, more))
        job.rows.fold(more.value, NULL, x.value, NULL, taps, 1, 1, &g, 0, 0, job.policy)
    less = moved(job, x, 1)
    if firsts == 0:
        firsts = axis.phases
    elif taps != 2 or x.buffer < 0:
        less = moved(job, fresh_block(job, s, x.buffer, y.buffer), planes * rows * t.pitch)         # behind the others
        less.row, less.plane = t.pitch, rows * t.pitch
        g = grid_of(windows, rows, x.row, less.row, planes, x.plane, less.plane, spare(job, x), spare(job, less))
        if taps == 1:                               # results in no window
            job.rows.fill(less.value, NULL, &g, job.policy)
        else:
            job.rows.fold(less.value, NULL, at(x.value, 1, size), NULL, taps - 1, 1, 1, &g, 0, 0, job.policy)
    for d in range(planes):
        for h in range(rows):
            job.rows.interleave(at(y.value, d * y.plane + h * y.row, size),
                                at(more.value, d * more.plane + h * more.row, size),
                                at(less.value, d * less.plane + h * less.row, size), firsts, axis.phases, skip, columns)
    finish(job, s, t, y)


cdef void reduce_padded(const Job* job, Scratch* s, const Tile* t, Block x) noexcept nogil:
    """Width, all windows of all rows, padding between the rows."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t out = t.w1 - t.w0, rows = t.h1 - t.h0, planes = t.d1 - t.d0, taps = axis.kernel, spacing = 1
    cdef Py_ssize_t links = axis.links
    cdef Block y
    if job.way == SLIDE:
        taps = 1
        if axis.link[2 * links - 2] > 1:            # the last link goes straight to the windows
            links -= 1
            taps, spacing = axis.link[2 * links], axis.link[2 * links + 1]
        y = slide(job, s, axis, links, x, (planes - 1) * x.plane + (rows - 1) * x.row + span(axis, out) * job.inner,
                  axis.dilation * job.inner, 1)
        y.row, y.plane = x.row, x.plane
        x = y
    if (taps == 1 and axis.stride == 1 and x.buffer >= 0 and not divided_on_the_way(job)
            and (x.tap != NULL if job.rows.taps else not job.y.direct)):
        y = x                                       # rows are what they should be
    else:
        y = result_block(job, s, t, x.buffer)
        fold_width(job, s, t, t.w0, out, taps, spacing, 0, x, spare(job, x), y, result_spare(job, t, y))
    finish(job, s, t, y)


cdef void slide_rows(const Job* job, Scratch* s, const Tile* t, Block x) noexcept nogil:
    """As many rows at once as lie evenly; long ones one by one, while they are in the first cache."""
    cdef Py_ssize_t rows = t.h1 - t.h0, d = t.d0
    cdef bint alone = (t.w1 - t.w0) * job.inner >= LONG or rows > 1 and x.row != t.pitch * job.inner
    cdef bint together = not alone and (t.d1 - t.d0 == 1 or x.plane == rows * x.row)
    cdef Tile u = t[0]
    while d < t.d1:
        u.d0, u.d1 = d, t.d1 if together else d + 1
        u.h0 = t.h0
        while u.h0 < t.h1:
            u.h1 = u.h0 + 1 if alone else t.h1
            reduce_padded(job, s, &u, moved(job, x, (d - t.d0) * x.plane + (u.h0 - t.h0) * x.row))
            u.h0 = u.h1
        d = u.d1


cdef Way choose_way(const Job* job) noexcept nogil:
    """How the windows along a row are reduced. It follows from the windows alone: no result depends on tiles."""
    cdef const Axis* axis = &job.axis[2]
    if axis.phases > 1:
        return PHASED
    if axis.first != NULL and job.inner == 1 and axis.kernel < LANES and axis.dilation == 1:
        return PICKED
    if axis.first != NULL:
        return GROUPED                              # irregular
    if job.inner >= 8 and axis.links == 0:
        return GROUPED                              # every window spans whole channel vectors
    if job.inner == 1 and axis.kernel >= LANES and axis.dilation == 1 and axis.stride * 8 >= axis.kernel:
        return GROUPED                              # long, and shares little with its neighbours
    if axis.kernel * axis.dilation > 4 * axis.size + 64:
        return GROUPED                              # mostly padding
    if axis.rolls and (job.inner * job.rows.size >= VECTOR or job.inner == 1 and 4 <= job.rows.size <= 8
                       and 2 * job.axis[0].out * job.axis[1].out >= turned(job)):
        return ROLLED                               # enough rows for a vector, or channels
    if axis.links > 0:
        return SLIDE
    if axis.out * job.inner >= LONG and single(&job.axis[0]) and single(&job.axis[1]):
        return GROUPED                              # nothing was loaded: a padded copy costs more than the ends
    return PADDED
