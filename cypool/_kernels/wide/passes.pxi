# Passes: the windows of one axis, tap by tap or by a chain of narrower ones; depth and height.


cdef inline Block buffer_block(const Job* job, Scratch* s, int i) noexcept nogil:
    cdef Block block
    block.buffer = i
    block.value = s.value[i]
    block.tap = s.tap[i] if job.rows.taps else NULL
    block.plane = block.row = 0
    return block


cdef inline Block fresh_block(const Job* job, Scratch* s, int used, int used_too) noexcept nogil:
    """A block in a buffer that is neither of two."""
    cdef int i = 0
    while i == used or i == used_too:
        i += 1
    return buffer_block(job, s, i)


cdef inline Grid grid_of(Py_ssize_t n, Py_ssize_t rows, Py_ssize_t x_row, Py_ssize_t y_row, Py_ssize_t planes,
                         Py_ssize_t x_plane, Py_ssize_t y_plane, Py_ssize_t x_spare, Py_ssize_t y_spare) noexcept nogil:
    cdef Grid g = line(n)
    g.rows, g.x_row, g.y_row = rows, x_row, y_row
    g.planes, g.x_plane, g.y_plane = planes, x_plane, y_plane
    g.x_spare, g.y_spare = x_spare, y_spare
    return g


cdef inline Block moved(const Job* job, Block x, Py_ssize_t elements) noexcept nogil:
    x.value = at(x.value, elements, job.rows.size)
    x.tap = at(x.tap, elements, job.rows.size)
    return x


cdef inline Py_ssize_t spare(const Job* job, Block x) noexcept nogil:
    """Elements behind a block that may be touched."""
    return (SPARE - VECTOR) / job.rows.size if x.buffer >= 0 else 0


cdef void fold_axis(const Job* job, const Axis* axis, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t in0,
                    Block x, Py_ssize_t x_pitch, Block y, Py_ssize_t y_pitch,
                    Py_ssize_t lines, Py_ssize_t x_line, Py_ssize_t y_line, Py_ssize_t n,
                    int64_t ordinal, bint spill) noexcept nogil:
    """Windows i0..i1 of `lines` parallel lines of vectors of n elements, tap by tap, windows alike at once.

    Vectors lie x_pitch and y_pitch apart along the axis, lines x_line and y_line apart. `spill`: vectors of y may be
    written beyond their end.
    """
    cdef Py_ssize_t i = i0, end, xi, yi, r, q0, size = job.rows.size
    cdef Window w
    cdef Axis phase
    cdef Grid g
    if axis.phases > 1:
        for r in range(axis.phases):
            phase = phase_of(axis, r)
            q0 = ceil_div(i0 + axis.padding - r, axis.phases)
            yi = q0 * axis.phases + r - axis.padding - i0
            fold_axis(job, &phase, q0, ceil_div(i1 + axis.padding - r, axis.phases), in0, x, x_pitch,
                      moved(job, y, yi * y_pitch), y_pitch * axis.phases, lines, x_line, y_line, n, ordinal, spill)
        return
    while i < i1:
        end = alike(axis, i, i1)
        w = window(axis, i)
        xi = (w.first - in0) * x_pitch
        yi = (i - i0) * y_pitch
        g = grid_of(n, end - i, axis.stride * x_pitch, y_pitch, lines, x_line, y_line,
                    spare(job, x), spare(job, y) if spill else NO_SPILL)
        if w.count > 0:
            job.rows.fold(at(y.value, yi, size), at(y.tap, yi, size), at(x.value, xi, size), at(x.tap, xi, size),
                          w.count, axis.dilation * x_pitch, 1, &g, w.lead * ordinal, ordinal, job.policy)
        else:
            job.rows.fill(at(y.value, yi, size), at(y.tap, yi, size), &g, job.policy)
        i = end


cdef void roll_axis(const Job* job, const Axis* axis, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t in0, Py_ssize_t in1,
                    Block x, Py_ssize_t x_pitch, Block y, Py_ssize_t y_pitch, Block rest, Py_ssize_t n,
                    int64_t ordinal) noexcept nogil:
    """Wide windows i0..i1 of vectors of n elements, of which in0..in1 are there; `rest` is room."""
    cdef Rolling g
    g.kernel, g.stride, g.begin, g.windows = axis.kernel, axis.stride, i0 * axis.stride, i1 - i0
    g.low, g.high = in0 + axis.padding, in1 + axis.padding
    g.n, g.x_pitch, g.y_pitch, g.beyond, g.ordinal = n, x_pitch, y_pitch, x.buffer >= 0, ordinal
    job.rows.roll(y.value, y.tap, x.value, x.tap, rest.value, rest.tap, &g, job.policy)


cdef void roll_lines(const Job* job, Scratch* s, const Axis* axis, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t in0,
                     Py_ssize_t in1, Block x, Py_ssize_t x_pitch, Block y, Py_ssize_t y_pitch, Py_ssize_t lines,
                     Py_ssize_t x_line, Py_ssize_t y_line, Py_ssize_t n, int64_t ordinal) noexcept nogil:
    """So, along parallel lines; those that touch are one."""
    cdef Block rest = fresh_block(job, s, x.buffer, y.buffer)
    cdef Py_ssize_t i
    if x_line == n and y_line == n:
        n *= lines
        lines = 1
    for i in range(lines):
        roll_axis(job, axis, i0, i1, in0, in1, moved(job, x, i * x_line), x_pitch, moved(job, y, i * y_line), y_pitch,
                  rest, n, ordinal)


cdef Block slide(const Job* job, Scratch* s, const Axis* axis, Py_ssize_t links, Block x, Py_ssize_t n,
                 Py_ssize_t pitch, int64_t ordinal) noexcept nogil:
    """Windows from every i on that stays within n, taps `pitch` elements apart: so many links of the chain."""
    cdef Py_ssize_t size = job.rows.size, i, taps, step, left = n
    cdef Block m = x, y
    cdef Grid g
    for i in range(links):
        taps = axis.link[2 * i]
        step = axis.link[2 * i + 1]
        if taps == 1:
            left = n - step * pitch
            job.rows.merge(m.value, m.tap, at(x.value, step * pitch, size), at(x.tap, step * pitch, size), left,
                           job.policy)
            continue
        left -= (taps - 1) * step * pitch
        y = fresh_block(job, s, m.buffer, x.buffer)
        g = line(left)
        job.rows.fold(y.value, y.tap, m.value, m.tap, taps, step * pitch, 1, &g, 0, step * ordinal, job.policy)
        m = y
    return m


cdef Block padded_block(const Job* job, Scratch* s, const Axis* axis, Py_ssize_t i0, Py_ssize_t i1,
                        Py_ssize_t in0, Py_ssize_t in1, Block x, Py_ssize_t x_pitch, Py_ssize_t y_pitch,
                        Py_ssize_t lines, Py_ssize_t x_line, Py_ssize_t y_line, Py_ssize_t offset,
                        Py_ssize_t n, Py_ssize_t room) noexcept nogil:
    """Every vector that windows i0..i1 reach, padding included, evenly laid out for `slide`."""
    cdef Block y = fresh_block(job, s, x.buffer, -1)
    cdef Py_ssize_t yi = (in0 - origin_of(axis, i0)) * y_pitch + offset, size = job.rows.size
    cdef Grid g = line(room)
    job.rows.fill(y.value, y.tap, &g, job.policy)
    g = grid_of(n, in1 - in0, x_pitch, y_pitch, lines, x_line, y_line, spare(job, x), NO_SPILL)
    job.rows.fold(at(y.value, yi, size), at(y.tap, yi, size), x.value, x.tap, 1, 0, 1, &g, 0, 0, job.policy)
    return y


cdef Block reduce_depth(const Job* job, Scratch* s, const Tile* t, Block x) noexcept nogil:
    cdef const Axis* axis = &job.axis[0]
    cdef Py_ssize_t columns = (t.in_w1 - t.in_w) * job.inner
    cdef Py_ssize_t rows = t.in_h1 - t.in_h
    cdef int64_t ordinal = job.axis[1].kernel * job.axis[2].kernel
    cdef Block y
    if single(axis):
        return x
    if chained(axis):
        y = padded_block(job, s, axis, t.d0, t.d1, t.in_d, t.in_d1, x, x.plane, rows * columns, rows, x.row, columns,
                         0, columns, span(axis, t.d1 - t.d0) * rows * columns)
        y = slide(job, s, axis, axis.links, y, span(axis, t.d1 - t.d0) * rows * columns,
                  axis.dilation * rows * columns, ordinal)
        y.row = columns
        y.plane = axis.stride * rows * columns
        return y
    y = fresh_block(job, s, x.buffer, -1)
    y.row = columns
    y.plane = rows * columns
    if axis.rolls:
        roll_lines(job, s, axis, t.d0, t.d1, t.in_d, t.in_d1, x, x.plane, y, y.plane, rows, x.row, y.row, columns,
                   ordinal)
    else:
        fold_axis(job, axis, t.d0, t.d1, t.in_d, x, x.plane, y, y.plane, rows, x.row, y.row, columns, ordinal,
                  axis.phases == 1 and alike(axis, t.d0, t.d1) == t.d1)
    return y


cdef Block reduce_height(const Job* job, Scratch* s, const Tile* t, Block x) noexcept nogil:
    """Rows of t.pitch columns: t.left padded ones, the tile's, then padded ones again."""
    cdef const Axis* axis = &job.axis[1]
    cdef Py_ssize_t size = job.rows.size, planes = t.d1 - t.d0, rows = t.h1 - t.h0
    cdef Py_ssize_t columns = (t.in_w1 - t.in_w) * job.inner, pitch = t.pitch * job.inner
    cdef Py_ssize_t left = t.left * job.inner, length
    cdef int64_t ordinal = job.axis[2].kernel
    cdef Block y, z
    cdef Grid g
    if single(axis) and pitch == columns:
        return x
    if chained(axis):
        length = span(axis, rows) * pitch
        y = padded_block(job, s, axis, t.h0, t.h1, t.in_h, t.in_h1, x, x.row, pitch, planes, x.plane, length,
                         left, columns, planes * length)
        y = slide(job, s, axis, axis.links, y, planes * length, axis.dilation * pitch, ordinal)
        y.row = axis.stride * pitch
        y.plane = length
        return y
    y = fresh_block(job, s, x.buffer, -1)
    y.row = pitch
    y.plane = rows * pitch
    if left > 0:                                    # the tile's columns begin with a vector
        y.value = at(y.value, VECTOR / size - left % (VECTOR / size), size)
        y.tap = at(y.tap, VECTOR / size - left % (VECTOR / size), size)
    z = y
    z.value = at(y.value, left, size)
    z.tap = at(y.tap, left, size)
    if axis.rolls:
        roll_lines(job, s, axis, t.h0, t.h1, t.in_h, t.in_h1, x, x.row, z, y.row, planes, x.plane, y.plane, columns,
                   ordinal)
    else:
        fold_axis(job, axis, t.h0, t.h1, t.in_h, x, x.row, z, y.row, planes, x.plane, y.plane, columns, ordinal,
                  t.spill)
    if left > 0:
        g = grid_of(left, planes * rows, 0, pitch, 1, 0, 0, 0, 0)
        job.rows.fill(y.value, y.tap, &g, job.policy)
    if t.right > 0:
        g = grid_of(t.right * job.inner, planes * rows, 0, pitch, 1, 0, 0, 0, 0)
        job.rows.fill(at(y.value, left + columns, size), at(y.tap, left + columns, size), &g, job.policy)
    return y
