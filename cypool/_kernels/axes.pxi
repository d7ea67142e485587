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


cdef inline bint single(const Axis* axis) noexcept nogil:
    """Whether the windows are the single elements, in order."""
    return axis.first == NULL and axis.kernel == 1 and axis.stride == 1 and axis.size == axis.out


cdef inline Py_ssize_t origin_of(const Axis* axis, Py_ssize_t i) noexcept nogil:
    """Where tap 0 of window i lies (or would lie)."""
    return axis.first[i] if axis.first != NULL else i * axis.stride - axis.padding


cdef inline Py_ssize_t span(const Axis* axis, Py_ssize_t windows) noexcept nogil:
    """Positions that neighbouring windows reach, padding included."""
    return (windows - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1


cdef void reach(const Axis* axis, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t* lo, Py_ssize_t* hi) noexcept nogil:
    """The inputs [lo, hi) that the windows [i0, i1) read; none, where a gradient reached nothing."""
    cdef Py_ssize_t i
    if axis.first == NULL:
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
    if not along.padded and origin < 0:
        lead = ceil_div(-origin, along.dilation)
    return max(min(along.kernel, ceil_div(end - origin, along.dilation)) - lead, 0)


cdef void divisor_row(const Job* job, Scratch* s, Py_ssize_t d, Py_ssize_t h, Py_ssize_t w0,
                      Py_ssize_t w1) noexcept nogil:
    """Put the divisors of the windows (d, h, w0..w1) into the scratch row, unless they are there."""
    cdef Py_ssize_t i, c, inner = job.inner
    cdef int64_t product
    cdef double value
    if job.fixed_divisor != 0:
        s.divisor[0] = job.fixed_divisor
        s.row_uniform = True
        if job.rows.floating or s.row_last == w1 - w0:
            return
        for i in range((w1 - w0) * inner):
            s.divisor[i] = job.fixed_divisor
        s.row_last = w1 - w0
        return
    product = taps_counted(&job.divisor[0], d) * taps_counted(&job.divisor[1], h)
    if product == s.row_product and w0 == s.row_first and w1 == s.row_last:
        return
    s.row_uniform = True
    for i in range(w0, w1):
        value = <double> (product * taps_counted(&job.divisor[2], i))
        if value == 0:                              # a window of nothing: its sum is zero
            value = 1
        for c in range(inner):
            s.divisor[(i - w0) * inner + c] = value
        if value != s.divisor[0]:
            s.row_uniform = False
    s.row_product, s.row_first, s.row_last = product, w0, w1
