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


cdef void write_index(const Job* job, const Tile* t, Py_ssize_t d, Py_ssize_t h, const char* tap) noexcept nogil:
    """Ordinals become what the caller asked for."""
    cdef Py_ssize_t i, c, plane = t.a if job.channels > job.inner else t.a * job.b + t.b
    cdef Py_ssize_t row = ((plane * job.axis[0].out + d) * job.axis[1].out + h) * job.axis[2].out + t.w0
    cdef char* out = job.index + row * job.channels * job.index_width
    cdef int64_t* flat
    cdef int64_t base
    if job.channels == job.inner:
        job.rows.ordinals(out, tap, (t.w1 - t.w0) * job.inner, job.index_width)
    else:
        out += t.b * job.inner * job.index_width
        for i in range(t.w1 - t.w0):
            job.rows.ordinals(out + i * job.channels * job.index_width, tap + i * job.inner * job.rows.size, job.inner,
                              job.index_width)
    if job.index_width == 8:
        for i in range(t.w1 - t.w0):
            flat = <int64_t*> out + i * job.channels
            base = (origin_of(&job.axis[0], d) * job.plane_d + origin_of(&job.axis[1], h) * job.plane_h
                    + origin_of(&job.axis[2], t.w0 + i))
            for c in range(job.inner):
                flat[c] = base + tap_offset(job, flat[c])


cdef inline bint packed_output(const Job* job, const char* out, Py_ssize_t columns) noexcept nogil:
    """Whether a row of the output stands side by side, and where numbers of its size may be written."""
    return (<size_t> out % <size_t> job.y.size == 0 and (job.y.w == job.y.size * job.inner or columns == 1)
            and (job.y.c == job.y.size or job.inner == 1))


cdef void finish_row(const Job* job, Scratch* s, const Tile* t, Py_ssize_t d, Py_ssize_t h, char* value,
                     const char* tap, bint divided) noexcept nogil:
    """Divide, convert and write one row of reduced windows; value may be the output itself."""
    cdef Py_ssize_t columns = t.w1 - t.w0
    cdef Py_ssize_t n = columns * job.inner
    cdef char* out = output(job, t, d, h)
    cdef double* divisor = NULL
    if job.divided and not divided:
        divisor_row(job, s, d, h, t.w0, t.w1)
        divisor = s.divisor
        if job.rows.floating:
            job.rows.divide(value, divisor, s.row_uniform, n)
    if value != out:
        if packed_output(job, out, columns):
            job.rows.store(out, value, divisor, n, job.y.code)
        else:
            job.rows.store(s.raw, value, divisor, n, job.y.code)
            scatter_bytes(out, s.raw, columns, job.y.w, job.inner, job.y.c, job.y.size)
    if job.index_width:
        write_index(job, t, d, h, tap)


cdef void finish_rows(const Job* job, Scratch* s, const Tile* t, Py_ssize_t row, Py_ssize_t n, Block y,
                      Py_ssize_t thin, Block x) noexcept nogil:
    """Rows row..row+n of the tile, y.row elements apart; only every thin-th window of a row was asked for."""
    cdef Py_ssize_t rows = t.h1 - t.h0, out = t.w1 - t.w0, i, d, h, size = job.rows.size
    cdef bint divided = False
    cdef char* value
    cdef char* tap
    cdef int buffer
    if job.fixed_divisor != 0 and job.divided and job.rows.floating:
        job.rows.divide(y.value, &job.fixed_divisor, True, (n - 1) * y.row + ((out - 1) * thin + 1) * job.inner)
        divided = True
    if y.buffer < 0 and not job.index_width and (divided or not job.divided):
        return                                      # everything stands where it belongs
    for i in range(n):
        d = t.d0 + (row + i) / rows
        h = t.h0 + (row + i) % rows
        value = at(y.value, i * y.row, size)
        tap = at(y.tap, i * y.row, size)
        if thin > 1:
            buffer = fresh_block(job, s, y.buffer, x.buffer, -1).buffer
            job.rows.gather(s.value[buffer], value, thin, job.inner, out)
            value = s.value[buffer]
            if tap != NULL:
                job.rows.gather(s.tap[buffer], tap, thin, job.inner, out)
                tap = s.tap[buffer]
        finish_row(job, s, t, d, h, value, tap, divided)


cdef inline Block rows_from(const Job* job, Block x, Py_ssize_t row, Py_ssize_t rows) noexcept nogil:
    """The block from some row on, of planes of so many rows."""
    cdef Py_ssize_t i = (row / rows) * x.plane + (row % rows) * x.row
    x.value = at(x.value, i, job.rows.size)
    x.tap = at(x.tap, i, job.rows.size)
    return x


cdef void reduce_by_windows(const Job* job, Scratch* s, const Tile* t, Block x) noexcept nogil:
    """Width, window by window: no padding needed."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t size = job.rows.size, inner = job.inner, rows = t.h1 - t.h0, out = t.w1 - t.w0, row, i, xi
    cdef Block y = fresh_block(job, s, x.buffer, -1, -1)
    cdef Block z
    cdef Window w
    y.row = out * inner
    for row in range((t.d1 - t.d0) * rows):
        z = rows_from(job, x, row, rows)
        if job.y.direct:
            y.value = output(job, t, t.d0 + row / rows, t.h0 + row % rows)
            y.buffer = -1
        for i in range(out):
            w = window(axis, t.w0 + i)
            xi = (w.first - t.in_w) * inner
            if inner == 1 and w.count >= LANES and axis.dilation == 1:
                job.rows.total(at(y.value, i, size), at(y.tap, i, size), at(z.value, xi, size), at(z.tap, xi, size),
                               w.count, 1, 0, w.lead, job.policy)
            elif w.count > 0:
                job.rows.fold(at(y.value, i * inner, size), at(y.tap, i * inner, size), at(z.value, xi, size),
                              at(z.tap, xi, size), w.count, axis.dilation * inner, 1, inner, w.lead, 1, job.policy)
            else:
                job.rows.fill(at(y.value, i * inner, size), at(y.tap, i * inner, size), inner, job.policy)
        finish_rows(job, s, t, row, 1, y, 1, x)


cdef void fold_mended(const Job* job, const Tile* t, Block x, Block y, Py_ssize_t rows) noexcept nogil:
    """Rows of a plane as one long run, no padding between them. Windows that reach over a row's ends, into its
    neighbours, are done again, a column at a time."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t size = job.rows.size, reach_over = (axis.kernel - 1) * axis.dilation, i
    cdef Window w
    job.rows.fold(at(y.value, axis.padding, size), at(y.tap, axis.padding, size), x.value, x.tap, axis.kernel,
                  axis.dilation, 1, rows * axis.size - reach_over, 0, 1, job.policy)
    for i in range(reach_over):
        if i >= axis.padding:                       # columns at the far end
            i += axis.size - reach_over
        w = window(axis, i)
        job.rows.mend(at(y.value, i, size), at(y.tap, i, size), at(x.value, w.first, size), at(x.tap, w.first, size),
                      w.count, axis.dilation, axis.size, rows, w.lead, job.policy)


cdef void reduce_flat(const Job* job, Scratch* s, const Tile* t, Block x, Py_ssize_t pitch, Way way) noexcept nogil:
    """Width, all windows of all rows in flat passes; those that wrap from one row into the next are never written."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t inner = job.inner, out = t.w1 - t.w0, rows = t.h1 - t.h0, planes = t.d1 - t.d0
    cdef Py_ssize_t stride = axis.stride if inner == 1 and way != SLIDE else 1
    cdef Py_ssize_t thin = axis.stride / stride         # outputs still to be thinned out
    cdef Py_ssize_t n = planes * rows                   # rows of one pass
    cdef Py_ssize_t y_h = job.y.h if job.axis[1].out > 1 else job.y.d
    cdef Py_ssize_t row, y_row = x.row / stride
    cdef bint in_place
    cdef Block y, z
    if out * inner >= LONG or x.row % stride or x.row != pitch * inner:
        n = 1
    elif x.plane != rows * x.row:
        n = rows
    in_place = job.y.direct and thin == 1 and (n == 1 or (
        y_row == out * inner and y_row * job.rows.size == y_h and (n == rows or job.y.d == rows * y_h)))
    row = 0
    while row < planes * rows:
        z = rows_from(job, x, row, rows)
        if way == SLIDE:
            y = slide(job, s, z, (n - 1) * x.row + span(axis, out) * inner, axis.kernel, axis.dilation * inner, 1)
        else:
            y = fresh_block(job, s, x.buffer, -1, -1)
            if in_place:
                y.value = output(job, t, t.d0 + row / rows, t.h0 + row % rows)
                y.buffer = -1
            if way == MENDED:
                fold_mended(job, t, z, y, n)
            else:
                job.rows.fold(y.value, y.tap, z.value, z.tap, axis.kernel, axis.dilation * inner, stride,
                              (n - 1) * y_row + ((out - 1) * thin + 1) * inner, 0, 1, job.policy)
        y.row = y_row
        finish_rows(job, s, t, row, n, y, thin, x)
        row += n


cdef Way choose_way(const Job* job) noexcept nogil:
    """How the windows along a row are reduced. It follows from the windows alone: no result depends on tiles."""
    cdef const Axis* axis = &job.axis[2]
    if axis.first != NULL:
        return BY_WINDOWS                           # irregular
    if job.inner > 1 and axis.stride > 1 and job.inner >= 8 and not axis.slide:
        return BY_WINDOWS                           # every window spans whole channel vectors
    if job.inner == 1 and axis.kernel >= LANES and axis.dilation == 1 and axis.stride * 8 >= axis.kernel:
        return BY_WINDOWS                           # long, and shares little with its neighbours
    if axis.kernel * axis.dilation > 4 * axis.size + 64:
        return BY_WINDOWS                           # mostly padding
    if axis.slide:
        return SLIDE
    if job.inner == 1 and axis.stride == 1 and axis.out == axis.size and 2 <= axis.kernel <= 7 and axis.size < LONG \
            and axis.size > (axis.kernel - 1) * axis.dilation:
        return MENDED
    return PADDED


cdef void pool_tile(const Job* job, Scratch* s, Py_ssize_t index) noexcept nogil:
    cdef Tile t
    cdef Block block
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t origin, pitch, rest = index
    cdef Way way = choose_way(job)
    t.w0 = (rest % job.tiles_w) * job.tile_w
    rest /= job.tiles_w
    t.h0 = (rest % job.tiles_h) * job.tile_h
    rest /= job.tiles_h
    t.d0 = (rest % job.tiles_d) * job.tile_d
    rest /= job.tiles_d
    t.b = rest % job.b
    t.a = rest / job.b
    t.w1 = min(t.w0 + job.tile_w, axis.out)
    t.h1 = min(t.h0 + job.tile_h, job.axis[1].out)
    t.d1 = min(t.d0 + job.tile_d, job.axis[0].out)
    reach(&job.axis[0], t.d0, t.d1, &t.in_d, &t.in_d1)
    reach(&job.axis[1], t.h0, t.h1, &t.in_h, &t.in_h1)
    reach(axis, t.w0, t.w1, &t.in_w, &t.in_w1)
    t.left = 0
    pitch = t.in_w1 - t.in_w
    if way == SLIDE or way == PADDED:
        origin = t.w0 * axis.stride - axis.padding
        t.left = t.in_w - origin if t.in_w1 > t.in_w else 0
        pitch = max(span(axis, t.w1 - t.w0), t.left + pitch)
        if job.inner == 1 and way == PADDED and (t.h1 - t.h0) * (t.d1 - t.d0) > 1:
            pitch = ceil_div(pitch, axis.stride) * axis.stride
    block = source_block(job, s, &t)
    block = reduce_depth(job, s, &t, block)
    block = reduce_height(job, s, &t, block, pitch)
    if way == BY_WINDOWS:
        reduce_by_windows(job, s, &t, block)
    else:
        reduce_flat(job, s, &t, block, pitch, way)
