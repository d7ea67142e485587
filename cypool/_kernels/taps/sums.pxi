# Sums over windows, with weights.


cdef inline void take(Real* y, const Real* x, Py_ssize_t stride, Py_ssize_t lanes) noexcept nogil:
    """y[i] = x[i * stride]"""
    cdef Py_ssize_t i
    if stride == 2 and lanes == VECTOR // sizeof(Real):
        take_even(<char*> y, <const char*> x, sizeof(Real))
    else:
        for i in range(lanes):
            y[i] = x[i * stride]


cdef inline void add_taken(Real* lane, const Real* weight, const Real* x, Py_ssize_t stride, bint wide,
                           Py_ssize_t lanes) noexcept nogil:
    """lane[i] += weight * x[i * stride]; wide: each lane has its own weight."""
    cdef Py_ssize_t i
    cdef Real more[16]
    cdef Real one = weight[0]
    if stride == 1:
        for i in range(lanes):
            lane[i] += (weight[i] if wide else one) * x[i]
    else:
        take(more, x, stride, lanes)
        for i in range(lanes):
            lane[i] += (weight[i] if wide else one) * more[i]


cdef struct Places:         # of vectors that are worked on side by side
    Py_ssize_t x[SIDE]
    Py_ssize_t y[SIDE]


cdef inline void sum_lanes(Real* y, const Real* x, const Places* at, Py_ssize_t stride, const Real* weight,
                           Py_ssize_t w_step, const Py_ssize_t* offset, Py_ssize_t taps, bint wide, int side,
                           Py_ssize_t lanes) noexcept nogil:
    """y[i] = sum over taps of weight * x[offset + i * stride], for up to four vectors that share offset and weight, in
    local arrays that stay in registers."""
    cdef Py_ssize_t i, t
    cdef Real a[16]
    cdef Real b[16]
    cdef Real e[16]
    cdef Real f[16]
    for i in range(lanes):
        a[i] = 0
    for i in range(lanes):
        b[i] = 0
    for i in range(lanes):
        e[i] = 0
    for i in range(lanes):
        f[i] = 0
    for t in range(taps):
        add_taken(a, weight, x + offset[t] + at.x[0], stride, wide, lanes)
        if side > 1:
            add_taken(b, weight, x + offset[t] + at.x[1], stride, wide, lanes)
        if side > 2:
            add_taken(e, weight, x + offset[t] + at.x[2], stride, wide, lanes)
            add_taken(f, weight, x + offset[t] + at.x[3], stride, wide, lanes)
        weight += w_step
    for i in range(lanes):
        y[at.y[0] + i] = a[i]
    if side > 1:
        for i in range(lanes):
            y[at.y[1] + i] = b[i]
    if side > 2:
        for i in range(lanes):
            y[at.y[2] + i] = e[i]
        for i in range(lanes):
            y[at.y[3] + i] = f[i]


cdef inline void sum_along(Real* y, const Real* x, Py_ssize_t n, Py_ssize_t stride, const Real* weight,
                           const Py_ssize_t* offset, Py_ssize_t taps, Py_ssize_t lanes) noexcept nogil:
    """A row, at least `lanes` long: where it is no whole number of vectors the last one begins among those before."""
    cdef Py_ssize_t done = 0
    cdef Places at
    cdef int i
    while done < n:
        for i in range(SIDE):
            at.y[i] = min(done + i * lanes, n - lanes)
            at.x[i] = at.y[i] * stride
        if done + 2 * lanes < n:
            sum_lanes(y, x, &at, stride, weight, 1, offset, taps, False, 4, lanes)
            done += 4 * lanes
        elif done + lanes < n:
            sum_lanes(y, x, &at, stride, weight, 1, offset, taps, False, 2, lanes)
            done += 2 * lanes
        else:
            sum_lanes(y, x, &at, stride, weight, 1, offset, taps, False, 1, lanes)
            done += lanes


cdef inline void sum_any(Real* y, const Real* x, Py_ssize_t n, Py_ssize_t stride, const Real* weight,
                         const Py_ssize_t* offset, Py_ssize_t taps) noexcept nogil:
    if n >= VECTOR // sizeof(Real):
        sum_along(y, x, n, stride, weight, offset, taps, VECTOR // sizeof(Real))
    elif n >= 4:
        sum_along(y, x, n, stride, weight, offset, taps, 4)
    else:
        sum_along(y, x, n, stride, weight, offset, taps, 1)


# One function for each literal.

cdef void sum_near(Real* y, const Real* x, Py_ssize_t n, const Real* weight, const Py_ssize_t* offset,
                   Py_ssize_t taps) noexcept nogil:
    sum_any(y, x, n, 1, weight, offset, taps)


cdef void sum_halves(Real* y, const Real* x, Py_ssize_t n, const Real* weight, const Py_ssize_t* offset,
                     Py_ssize_t taps) noexcept nogil:
    sum_any(y, x, n, 2, weight, offset, taps)


cdef void sum_apart(Real* y, const Real* x, Py_ssize_t n, Py_ssize_t stride, const Real* weight,
                    const Py_ssize_t* offset, Py_ssize_t taps) noexcept nogil:
    sum_along(y, x, n, stride, weight, offset, taps, 1)


cdef inline void sum_across(Real* y, Py_ssize_t y_step, const Real* x, Py_ssize_t x_step, Py_ssize_t n, Py_ssize_t c,
                            const Real* weight, const Py_ssize_t* offset, Py_ssize_t taps,
                            Py_ssize_t lanes) noexcept nogil:
    cdef Py_ssize_t done = 0, k
    cdef Places at
    cdef int i
    while done < n:
        for i in range(SIDE):
            at.x[i], at.y[i] = min(done + i, n - 1) * x_step, min(done + i, n - 1) * y_step
        k = 0
        while k < c:
            k = min(k, c - lanes)
            sum_lanes(y + k, x + k, &at, 1, weight + k, c, offset, taps, True, 4, lanes)
            k += lanes
        done += SIDE


cdef void sum_channels(Real* y, Py_ssize_t y_step, const Real* x, Py_ssize_t x_step, Py_ssize_t n, Py_ssize_t c,
                       const Real* weight, const Py_ssize_t* offset, Py_ssize_t taps) noexcept nogil:
    """n elements, so far apart, of c channels with weights of their own."""
    if c >= VECTOR // sizeof(Real):
        sum_across(y, y_step, x, x_step, n, c, weight, offset, taps, VECTOR // sizeof(Real))
    elif c >= 4:
        sum_across(y, y_step, x, x_step, n, c, weight, offset, taps, 4)
    else:
        sum_across(y, y_step, x, x_step, n, c, weight, offset, taps, 1)


cdef void in_turn(Real* y, const Real* line, Py_ssize_t pitch, Py_ssize_t phases, Py_ssize_t n) noexcept nogil:
    """y[m * phases + p] = line[p * pitch + m], n in all."""
    cdef Py_ssize_t i = 0, m, p, width = VECTOR // sizeof(Real)
    if phases == 2 and n >= 2 * width:
        while i < n / 2:
            m = min(i, n / 2 - width)
            zip_two(<char*> (y + 2 * m), <const char*> (line + m), <const char*> (line + pitch + m), sizeof(Real))
            i += width
        if n % 2:
            y[n - 1] = line[n / 2]
        return
    for p in range(phases):
        i = p
        while i < n:
            y[i] = line[p * pitch + i / phases]
            i += phases


cdef void sum_row(const Job* job, Real* y, const Real* x, Real* line) noexcept nogil:
    cdef const Axis* w = &job.axis[2]
    cdef const Real* weight = <const Real*> job.weight
    cdef Py_ssize_t p, i, n, first, taps, pitch = job.turns[2], c = job.c
    cdef Real* to = y
    if job.wide > 1:
        for p in range(min(w.phases, w.out)):
            first, taps = job.first[p], job.first[p + 1] - job.first[p]
            sum_channels(y + p * c, w.phases * c, x, w.step * c, (w.out - p + w.phases - 1) / w.phases, c,
                         weight + first * c, job.offset + first, taps)
        return
    if c > 1 and (w.phases > 1 or w.step > 1):
        for i in range(w.out):
            p = i % w.phases
            first, taps = job.first[p], job.first[p + 1] - job.first[p]
            sum_near(y + i * c, x + i / w.phases * w.step * c, c, weight + first, job.offset + first, taps)
        return
    for p in range(w.phases):
        first, taps = job.first[p], job.first[p + 1] - job.first[p]
        n = (w.out - p + w.phases - 1) / w.phases
        if w.phases > 1:
            to = line + p * pitch
        if w.step == 1:
            sum_near(to, x, n * c, weight + first, job.offset + first, taps)
        elif w.step == 2:
            sum_halves(to, x, n, weight + first, job.offset + first, taps)
        else:
            sum_apart(to, x, n, w.step, weight + first, job.offset + first, taps)
    if w.phases > 1:
        in_turn(y, line, pitch, w.phases, w.out)


cdef void sum_planes(Job* job, const Real* x, const Real* weights, Real* y, Real* room, Real* line) noexcept nogil:
    cdef const Axis* d = &job.axis[0]
    cdef const Axis* h = &job.axis[1]
    cdef Py_ssize_t plane, pd, ph, md, mh, m0, m1, od, oh, group, known = -1
    cdef Py_ssize_t size = d.size * h.size * job.axis[2].size * job.c, row = job.axis[2].out * job.c
    cdef const Real* base
    for plane in range(job.planes):
        group = plane % job.groups
        m0 = 0
        while m0 < job.turns[1]:
            m1 = band_end(job, m0)
            base = ready(job, room, x + plane * size, m0, m1)
            for pd in range(d.phases):
                for ph in range(h.phases):
                    if known != (group * d.phases + pd) * h.phases + ph:
                        known = (group * d.phases + pd) * h.phases + ph
                        compose(job, weights + group * job.window * job.wide, pd, ph)
                    for md in range(job.turns[0]):
                        od = md * d.phases + pd
                        if od >= d.out:
                            break
                        for mh in range(m0, m1):
                            oh = mh * h.phases + ph
                            if oh >= h.out:
                                break
                            sum_row(job, y + ((plane * d.out + od) * h.out + oh) * row,
                                    base + md * d.step * job.plane + (mh - m0) * h.step * job.row, line)
            m0 = m1
