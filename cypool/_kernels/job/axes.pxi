# Axes: which taps a window reads, which inputs a tile reaches, and what an average divides by.


cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a / b if a <= 0 else (a - 1) / b + 1


cdef inline Window window(const Axis* axis, Py_ssize_t i) noexcept nogil:
    cdef Window w
    cdef Py_ssize_t origin, end
    if axis.first != NULL:
        w.first = axis.first[i]
        w.count = axis.count[i]
        w.lead = 0
        return w
    origin = i * axis.stride - axis.padding
    if axis.dilation == 1:
        w.lead = -origin if origin < 0 else 0
        end = min(axis.kernel, axis.size - origin)
    else:
        w.lead = ceil_div(-origin, axis.dilation) if origin < 0 else 0
        end = min(axis.kernel, ceil_div(axis.size - origin, axis.dilation))
    w.first = origin + w.lead * axis.dilation
    w.count = max(end - w.lead, 0)
    return w


cdef inline Axis phase_of(const Axis* axis, Py_ssize_t r) noexcept nogil:
    """Windows one element apart: window q makes result q * phases + r - padding."""
    cdef Axis p
    memset(&p, 0, sizeof(Axis))
    p.size, p.out, p.stride, p.dilation, p.phases = axis.size, axis.out, 1, 1, 1
    p.kernel = max(ceil_div(axis.kernel - r, axis.phases), 0)
    p.padding = p.kernel - 1
    return p


cdef inline Py_ssize_t first_turn(const Axis* axis, Py_ssize_t i) noexcept nogil:
    """The windows of an axis with phases that make result i and those after it begin with this one ..."""
    return (i + axis.padding) / axis.phases


cdef inline Py_ssize_t end_turn(const Axis* axis, Py_ssize_t i) noexcept nogil:
    """... and those that make results before i end before this one."""
    return (i - 1 + axis.padding) / axis.phases + 1


cdef inline bint single(const Axis* axis) noexcept nogil:
    """Whether the windows are the single elements, in order."""
    return axis.first == NULL and axis.kernel == 1 and axis.stride == 1 and axis.size == axis.out


cdef inline bint covered(const Axis* axis) noexcept nogil:
    """Whether there is one window, and it is the whole axis."""
    return (axis.first == NULL and axis.out == 1 and axis.kernel == axis.size and axis.padding == 0
            and axis.dilation == 1 and axis.phases == 1)


cdef inline bint chained(const Axis* axis) noexcept nogil:
    """Whether wide windows along depth or height are a chain of narrow ones."""
    return axis.links > 0 and not axis.rolls


cdef inline Py_ssize_t alike(const Axis* axis, Py_ssize_t i, Py_ssize_t end) noexcept nogil:
    """Where the run of windows ends that follow window i, each one stride further on, with as many taps."""
    cdef Py_ssize_t j = i + 1, last = axis.size + axis.padding - (axis.kernel - 1) * axis.dilation - 1
    if axis.first != NULL:
        while j < end and axis.count[j] == axis.count[i] and axis.first[j] == axis.first[j - 1] + axis.stride:
            j += 1
    elif i * axis.stride >= axis.padding and i * axis.stride <= last:           # a full window
        j = min(end, last / axis.stride + 1)
    return j


cdef inline Py_ssize_t origin_of(const Axis* axis, Py_ssize_t i) noexcept nogil:
    """Where tap 0 of window i lies (or would lie)."""
    return axis.first[i] if axis.first != NULL else i * axis.stride - axis.padding


cdef inline Py_ssize_t span(const Axis* axis, Py_ssize_t windows) noexcept nogil:
    """Positions that neighbouring windows reach, padding included."""
    return (windows - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1


cdef void reach(const Axis* axis, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t* lo, Py_ssize_t* hi) noexcept nogil:
    """The inputs [lo, hi) that the windows [i0, i1) read; none, where a gradient reached nothing."""
    cdef Py_ssize_t i
    if axis.phases > 1:
        lo[0] = max(ceil_div(i0 + axis.padding - axis.kernel + 1, axis.phases), 0)
        hi[0] = min(axis.size, end_turn(axis, i1))
    elif axis.first == NULL:
        lo[0] = i0 * axis.stride - axis.padding
        hi[0] = min(axis.size, lo[0] + span(axis, i1 - i0))
        lo[0] = max(lo[0], 0)
    else:
        lo[0] = axis.size
        hi[0] = 0
        for i in range(i0, i1):
            if axis.count[i] > 0:
                lo[0] = min(lo[0], axis.first[i])
                hi[0] = max(hi[0], axis.first[i] + (axis.count[i] - 1) * axis.dilation + 1)
    lo[0] = min(lo[0], axis.size)
    hi[0] = max(lo[0], hi[0])


cdef inline int64_t taps_counted(const Divisor* along, Py_ssize_t i) noexcept nogil:
    """How many taps of window i an average counts along one axis."""
    cdef Py_ssize_t origin = i * along.stride - along.padding
    cdef Py_ssize_t end = along.size + along.after if along.padded else along.size
    cdef Py_ssize_t lead = 0
    if along.count != NULL:
        return along.count[i]
    if along.dilation == 1:                         # dividing takes long
        lead = -origin if not along.padded and origin < 0 else 0
        return max(min(along.kernel, end - origin) - lead, 0)
    if not along.padded and origin < 0:
        lead = ceil_div(-origin, along.dilation)
    return max(min(along.kernel, ceil_div(end - origin, along.dilation)) - lead, 0)


cdef double row_divisor(const Job* job, Py_ssize_t d, Py_ssize_t h) noexcept nogil:
    """What the windows (d, h, ...) are divided by: all of it, or what is left to multiply by `count_row`."""
    if job.fixed_divisor != 0:
        return job.fixed_divisor
    return max(<double> taps_counted(&job.divisor[0], d) * taps_counted(&job.divisor[1], h), 1)


cdef const void* count_row(const Job* job, Scratch* s, Py_ssize_t w0, Py_ssize_t w1) noexcept nogil:
    """How many taps of the windows w0..w1 are counted along w, as elements (as doubles where those are integers);
    at least 1: the sum of nothing is zero. NULL: all alike, and fixed. They may be read in whole vectors."""
    cdef Py_ssize_t i, c
    cdef double count
    cdef double* row = s.counts
    if job.fixed_divisor != 0:
        return NULL
    if w0 != s.counts_first or w1 != s.counts_last:
        for i in range(w0, w1):
            count = max(<double> taps_counted(&job.divisor[2], i), 1)
            if job.rows.floating and job.rows.size == 4:
                for c in range((i - w0) * job.inner, (i - w0 + 1) * job.inner):
                    (<float*> row)[c] = <float> count
            else:
                for c in range((i - w0) * job.inner, (i - w0 + 1) * job.inner):
                    row[c] = count
        s.counts_first, s.counts_last = w0, w1
    return row


cdef void set_divisors_of(const Job* job, Scratch* s, Py_ssize_t d0, Py_ssize_t d1, Py_ssize_t h0, Py_ssize_t h1,
                          Grid* g) noexcept nogil:
    """What the rows of a grid are divided by, columns apart."""
    cdef Py_ssize_t d, h, step = 0 if job.divisor[0].kernel == 1 else h1 - h0       # from plane to plane
    for d in range(d0, d1 if step else d0 + 1):
        for h in range(h0, h1):
            s.by[(d - d0) * (h1 - h0) + h - h0] = row_divisor(job, d, h)
    g.by, g.by_plane, g.by_row = s.by, step, 1


cdef void set_divisors(const Job* job, Scratch* s, const Tile* t, Py_ssize_t w, bint windows, Grid* g) noexcept nogil:
    """What a grid of the tile's results is divided by. Its rows are those of the tile, from window w on; or, if so
    said, each is a window, and its planes are the rows."""
    if job.fixed_divisor != 0:
        g.by = &job.fixed_divisor
        return
    set_divisors_of(job, s, t.d0, t.d1, t.h0, t.h1, g)
    g.counts = <const char*> count_row(job, s, t.w0, t.w1) + (w - t.w0) * job.inner * job.rows.size
    if windows:
        g.by_plane, g.by_row, g.counts_row = 1, 0, job.inner
