# Passes: the windows of one axis, tap by tap or by doubling; depth and height.


cdef inline Block fresh_block(const Job* job, Scratch* s, int used, int used_too, int used_still) noexcept nogil:
    """A block in a buffer that is none of three."""
    cdef Block block
    cdef int i = 0
    while i == used or i == used_too or i == used_still:
        i += 1
    block.buffer = i
    block.value = s.value[i]
    block.tap = s.tap[i] if job.rows.taps else NULL
    block.plane = block.row = 0
    return block


cdef inline char* at(char* base, Py_ssize_t element, Py_ssize_t size) noexcept nogil:
    return NULL if base == NULL else base + element * size


cdef void fold_axis(const Job* job, const Axis* axis, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t in0,
                    Block x, Py_ssize_t x_pitch, Block y, Py_ssize_t y_pitch,
                    Py_ssize_t lines, Py_ssize_t x_line, Py_ssize_t y_line, Py_ssize_t n,
                    int64_t ordinal) noexcept nogil:
    """Windows i0..i1 of `lines` parallel lines of vectors of n elements, tap by tap.

    Vectors lie x_pitch and y_pitch apart along the axis, lines x_line and y_line apart. Where neighbours touch in
    memory, one long run replaces many short ones.
    """
    cdef Py_ssize_t i, line, run, size = job.rows.size
    cdef Window w, v
    cdef Py_ssize_t xi, yi
    if lines > 1 and x_line == n and y_line == n:
        n *= lines
        lines = 1
    for line in range(lines):
        i = i0
        while i < i1:
            w = window(axis, i)
            run = 1
            if x_pitch == n and y_pitch == n and axis.stride == 1 and axis.first == NULL:
                while i + run < i1:
                    v = window(axis, i + run)
                    if v.first != w.first + run or v.count != w.count or v.lead != w.lead:
                        break
                    run += 1
            xi = line * x_line + (w.first - in0) * x_pitch
            yi = line * y_line + (i - i0) * y_pitch
            if w.count > 0:
                job.rows.fold(at(y.value, yi, size), at(y.tap, yi, size), at(x.value, xi, size), at(x.tap, xi, size),
                              w.count, axis.dilation * x_pitch, 1, n * run, w.lead * ordinal, ordinal, job.policy)
            else:
                job.rows.fill(at(y.value, yi, size), at(y.tap, yi, size), n * run, job.policy)
            i += run


cdef Block slide(const Job* job, Scratch* s, Block x, Py_ssize_t n, Py_ssize_t kernel, Py_ssize_t step,
                 int64_t ordinal) noexcept nogil:
    """y[i] = reduction over j < kernel of x[i + j * step], for every i that stays within n: by doubling.

    After a pass of width w, element i holds w taps. Max and min end with one overlapping pass; sums join the widths
    that make up the kernel in binary, so each tap is added once, pairwise.
    """
    cdef Py_ssize_t size = job.rows.size, width = 1, done = 0, left = n - (kernel - 1) * step
    cdef Block m = x, joined, y
    joined.buffer = -1
    while True:
        if not job.rows.doubles and kernel & width:
            if done == 0 and kernel == width:
                return m
            if done == 0:
                joined = fresh_block(job, s, m.buffer, x.buffer, -1)
                job.rows.fold(joined.value, joined.tap, m.value, m.tap, 1, 0, 1, left, 0, 0, job.policy)
            else:
                job.rows.merge(joined.value, joined.tap, at(m.value, done * step, size), at(m.tap, done * step, size),
                               left, job.policy)
            done += width
            if done == kernel:
                return joined
        if 2 * width > kernel:
            break
        y = fresh_block(job, s, m.buffer, joined.buffer, x.buffer)
        job.rows.fold(y.value, y.tap, m.value, m.tap, 2, width * step, 1, n - (2 * width - 1) * step,
                      0, width * ordinal, job.policy)
        m = y
        width *= 2
    if width < kernel:
        y = fresh_block(job, s, m.buffer, x.buffer, -1)
        job.rows.fold(y.value, y.tap, m.value, m.tap, 2, (kernel - width) * step, 1, left,
                      0, (kernel - width) * ordinal, job.policy)
        m = y
    return m


cdef Block padded_block(const Job* job, Scratch* s, const Axis* axis, Py_ssize_t i0, Py_ssize_t i1,
                        Py_ssize_t in0, Py_ssize_t in1, Block x, Py_ssize_t x_pitch, Py_ssize_t y_pitch,
                        Py_ssize_t lines, Py_ssize_t x_line, Py_ssize_t y_line, Py_ssize_t offset,
                        Py_ssize_t n, Py_ssize_t room) noexcept nogil:
    """Every vector that windows i0..i1 reach, padding included, evenly laid out for `slide`."""
    cdef Block y = fresh_block(job, s, x.buffer, -1, -1)
    cdef Py_ssize_t i, line, xi, yi, size = job.rows.size
    cdef Py_ssize_t origin = origin_of(axis, i0)
    job.rows.fill(y.value, y.tap, room, job.policy)
    for line in range(lines):
        for i in range(in0, in1):
            xi = line * x_line + (i - in0) * x_pitch
            yi = line * y_line + (i - origin) * y_pitch + offset
            job.rows.fold(at(y.value, yi, size), at(y.tap, yi, size), at(x.value, xi, size), at(x.tap, xi, size),
                          1, 0, 1, n, 0, 0, job.policy)
    return y


cdef Block reduce_depth(const Job* job, Scratch* s, const Tile* t, Block x) noexcept nogil:
    cdef const Axis* axis = &job.axis[0]
    cdef Py_ssize_t columns = (t.in_w1 - t.in_w) * job.inner
    cdef Py_ssize_t rows = t.in_h1 - t.in_h
    cdef int64_t ordinal = job.axis[1].kernel * job.axis[2].kernel
    cdef Block y
    if single(axis):
        return x
    if axis.slide:
        y = padded_block(job, s, axis, t.d0, t.d1, t.in_d, t.in_d1, x, x.plane, rows * columns, rows, x.row, columns,
                         0, columns, span(axis, t.d1 - t.d0) * rows * columns)
        y = slide(job, s, y, span(axis, t.d1 - t.d0) * rows * columns, axis.kernel,
                  axis.dilation * rows * columns, ordinal)
        y.row = columns
        y.plane = axis.stride * rows * columns
        return y
    y = fresh_block(job, s, x.buffer, -1, -1)
    y.row = columns
    y.plane = rows * columns
    fold_axis(job, axis, t.d0, t.d1, t.in_d, x, x.plane, y, y.plane, rows, x.row, y.row, columns, ordinal)
    return y


cdef Block reduce_height(const Job* job, Scratch* s, const Tile* t, Block x, Py_ssize_t pitch) noexcept nogil:
    """Rows of pitch columns: t.left padded ones, the tile's, then padded ones again."""
    cdef const Axis* axis = &job.axis[1]
    cdef Py_ssize_t size = job.rows.size, planes = t.d1 - t.d0, rows = t.h1 - t.h0
    cdef Py_ssize_t columns = (t.in_w1 - t.in_w) * job.inner
    cdef Py_ssize_t left = t.left * job.inner, right, length, i
    cdef int64_t ordinal = job.axis[2].kernel
    cdef Block y, z
    pitch *= job.inner
    if single(axis) and pitch == columns:
        return x
    if axis.slide:
        length = span(axis, rows) * pitch
        y = padded_block(job, s, axis, t.h0, t.h1, t.in_h, t.in_h1, x, x.row, pitch, planes, x.plane, length,
                         left, columns, planes * length)
        y = slide(job, s, y, planes * length, axis.kernel, axis.dilation * pitch, ordinal)
        y.row = axis.stride * pitch
        y.plane = length
        return y
    y = fresh_block(job, s, x.buffer, -1, -1)
    y.row = pitch
    y.plane = rows * pitch
    if pitch > columns:
        right = pitch - columns - left
        job.rows.fill(y.value, y.tap, left, job.policy)
        for i in range(planes * rows):              # the padding right of a row and left of the next one
            job.rows.fill(at(y.value, i * pitch + left + columns, size), at(y.tap, i * pitch + left + columns, size),
                          right + (left if i + 1 < planes * rows else 0), job.policy)
    z = y
    z.value = at(y.value, left, size)
    z.tap = at(y.tap, left, size)
    fold_axis(job, axis, t.h0, t.h1, t.in_h, x, x.row, z, y.row, planes, x.plane, y.plane, columns, ordinal)
    return y
