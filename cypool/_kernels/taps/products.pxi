# Sums of products: the weights' gradient.


cdef inline void add_products(Real* lane, const Real* d, const Real* x, Py_ssize_t stride,
                              Py_ssize_t lanes) noexcept nogil:
    cdef Py_ssize_t i
    cdef Real more[16]
    take(more, x, stride, lanes)
    for i in range(lanes):
        lane[i] += d[i] * more[i]


cdef inline void add_kept(Real* lane, const Real* d, const Real* x, const Real* keep, Py_ssize_t stride,
                          Py_ssize_t lanes) noexcept nogil:
    cdef Py_ssize_t i
    cdef Real more[16]
    take(more, x, stride, lanes)
    for i in range(lanes):
        more[i] = d[i] * more[i]
    for i in range(lanes):
        lane[i] += more[i] if keep[i] > 0 else <Real> 0


cdef inline void multiply(double* made, const Real* d, const Real* x, Py_ssize_t rows, Py_ssize_t d_row,
                          Py_ssize_t x_row, Py_ssize_t count, Py_ssize_t d_step, Py_ssize_t x_step, Py_ssize_t stride,
                          Py_ssize_t rest, const Py_ssize_t* offset, Py_ssize_t side, Py_ssize_t lanes) noexcept nogil:
    """made[t * lanes + i] += sums of d[i] * x[offset[t] + i * stride] for one tap or SIDE of them, which go side by
    side, so that none waits for another. Each row has `count` vectors, so far apart, and `rest` lanes more: the last
    ones of a vector whose others have been added before."""
    cdef Py_ssize_t i, j, k
    cdef Real sums[4][16]
    cdef Real g[16]
    cdef Real keep[16]
    cdef const Real* from_d
    cdef const Real* from_x
    for j in range(side):
        for i in range(lanes):
            sums[j][i] = 0
    for i in range(lanes):
        keep[i] = 1 if i >= lanes - rest else 0
    for j in range(rows):
        from_d, from_x = d + j * d_row, x + j * x_row
        for k in range(count):
            for i in range(lanes):
                g[i] = from_d[i]
            add_products(sums[0], g, from_x + offset[0], stride, lanes)
            if side == SIDE:
                add_products(sums[1], g, from_x + offset[1], stride, lanes)
                add_products(sums[2], g, from_x + offset[2], stride, lanes)
                add_products(sums[3], g, from_x + offset[3], stride, lanes)
            from_d += d_step
            from_x += x_step
        if rest > 0:
            from_d -= lanes - rest
            from_x -= (lanes - rest) * stride
            for i in range(lanes):
                g[i] = from_d[i]
            add_kept(sums[0], g, from_x + offset[0], keep, stride, lanes)
            if side == SIDE:
                add_kept(sums[1], g, from_x + offset[1], keep, stride, lanes)
                add_kept(sums[2], g, from_x + offset[2], keep, stride, lanes)
                add_kept(sums[3], g, from_x + offset[3], keep, stride, lanes)
    for j in range(side):
        for i in range(lanes):
            made[j * lanes + i] += sums[j][i]


cdef inline void multiply_rows(double* made, const Real* d, const Real* x, Py_ssize_t rows, Py_ssize_t d_row,
                               Py_ssize_t x_row, Py_ssize_t n, Py_ssize_t stride, const Py_ssize_t* offset,
                               Py_ssize_t side, Py_ssize_t lanes) noexcept nogil:
    """made[t] += the sum over rows of n products."""
    cdef double lane[64]
    cdef Py_ssize_t i, j
    for i in range(side * lanes):
        lane[i] = 0
    multiply(lane, d, x, rows, d_row, x_row, n / lanes, lanes, lanes * stride, stride, n % lanes, offset, side, lanes)
    for j in range(side):
        for i in range(1, lanes):
            lane[j * lanes] += lane[j * lanes + i]
        made[j] += lane[j * lanes]


cdef inline void multiply_any(double* made, const Real* d, const Real* x, Py_ssize_t rows, Py_ssize_t d_row,
                              Py_ssize_t x_row, Py_ssize_t n, Py_ssize_t stride, const Py_ssize_t* offset,
                              Py_ssize_t side) noexcept nogil:
    if n >= VECTOR // sizeof(Real):
        multiply_rows(made, d, x, rows, d_row, x_row, n, stride, offset, side, VECTOR // sizeof(Real))
    elif n >= 4:
        multiply_rows(made, d, x, rows, d_row, x_row, n, stride, offset, side, 4)
    else:
        multiply_rows(made, d, x, rows, d_row, x_row, n, stride, offset, side, 1)


# One function for each literal.

cdef void multiply_near(double* made, const Real* d, const Real* x, Py_ssize_t rows, Py_ssize_t d_row,
                        Py_ssize_t x_row, Py_ssize_t n, const Py_ssize_t* offset, bint several) noexcept nogil:
    if several:
        multiply_any(made, d, x, rows, d_row, x_row, n, 1, offset, SIDE)
    else:
        multiply_any(made, d, x, rows, d_row, x_row, n, 1, offset, 1)


cdef void multiply_halves(double* made, const Real* d, const Real* x, Py_ssize_t rows, Py_ssize_t d_row,
                          Py_ssize_t x_row, Py_ssize_t n, const Py_ssize_t* offset, bint several) noexcept nogil:
    if several:
        multiply_any(made, d, x, rows, d_row, x_row, n, 2, offset, SIDE)
    else:
        multiply_any(made, d, x, rows, d_row, x_row, n, 2, offset, 1)


cdef void multiply_apart(double* made, const Real* d, const Real* x, Py_ssize_t rows, Py_ssize_t d_row,
                         Py_ssize_t x_row, Py_ssize_t n, Py_ssize_t stride, const Py_ssize_t* offset,
                         Py_ssize_t taps) noexcept nogil:
    cdef Py_ssize_t t
    for t in range(taps):
        multiply_any(made + t, d, x, rows, d_row, x_row, n, stride, offset + t, 1)


cdef void multiply_channels(double* made, const Real* d, const Real* x, Py_ssize_t n, Py_ssize_t c, Py_ssize_t x_step,
                            const Py_ssize_t* offset, bint several) noexcept nogil:
    """made[t * c + k] += the sum over n elements of channel k."""
    cdef Py_ssize_t k = 0, i, j
    cdef double lane[64]
    while k < c:
        memset(lane, 0, sizeof(lane))
        if k + VECTOR // <Py_ssize_t> sizeof(Real) <= c:
            if several:
                multiply(lane, d + k, x + k, 1, 0, 0, n, c, x_step, 1, 0, offset, SIDE, VECTOR // sizeof(Real))
            else:
                multiply(lane, d + k, x + k, 1, 0, 0, n, c, x_step, 1, 0, offset, 1, VECTOR // sizeof(Real))
            for j in range(SIDE if several else 1):
                for i in range(VECTOR // sizeof(Real)):
                    made[j * c + k + i] += lane[j * (VECTOR // sizeof(Real)) + i]
            k += VECTOR // sizeof(Real)
        else:
            if several:
                multiply(lane, d + k, x + k, 1, 0, 0, n, c, x_step, 1, 0, offset, SIDE, 1)
            else:
                multiply(lane, d + k, x + k, 1, 0, 0, n, c, x_step, 1, 0, offset, 1, 1)
            for j in range(SIDE if several else 1):
                made[j * c + k] += lane[j]
            k += 1


cdef void multiply_run(const Job* job, double* made, const Real* d, const Real* x, Py_ssize_t rows,
                       Py_ssize_t n) noexcept nogil:
    """made += for every tap the sums over rows of n products each, and for every channel its own."""
    cdef const Axis* w = &job.axis[2]
    cdef Py_ssize_t t = 0, k, step, c = job.c
    cdef Py_ssize_t d_row = w.out * c, x_row = job.axis[1].step * job.row
    cdef bint several
    while t < job.taps:
        several = t + SIDE <= job.taps
        step = SIDE if several else 1
        if c > 1:
            for k in range(rows):
                multiply_channels(made + t * c, d + k * d_row, x + k * x_row, n, c, w.step * c, job.offset + t,
                                  several)
        elif w.step == 1:
            multiply_near(made + t, d, x, rows, d_row, x_row, n, job.offset + t, several)
        elif w.step == 2:
            multiply_halves(made + t, d, x, rows, d_row, x_row, n, job.offset + t, several)
        else:
            multiply_apart(made + t, d, x, rows, d_row, x_row, n, w.step, job.offset + t, step)
        t += step


cdef void multiply_planes(Job* job, const Real* x, const Real* d, double* made, Real* room) noexcept nogil:
    cdef const Axis* deep = &job.axis[0]
    cdef const Axis* h = &job.axis[1]
    cdef Py_ssize_t plane, od, oh, m0, m1, at, rows, c = job.c, out = job.axis[2].out
    cdef Py_ssize_t size = deep.size * h.size * job.axis[2].size * c
    cdef Py_ssize_t run = RUN, some = max(1, run / out) if c == 1 else 1
    cdef const Real* base
    cdef double* to
    compose(job, <const Real*> NULL, 0, 0)
    for plane in range(job.planes):
        to = made + plane % job.groups * job.taps * c
        m0 = 0
        while m0 < h.out:
            m1 = band_end(job, m0)
            base = ready(job, room, x + plane * size, m0, m1)
            for od in range(deep.out):
                oh = m0
                while oh < m1:
                    rows, at = min(some, m1 - oh), 0
                    while at < out:
                        multiply_run(job, to, d + (((plane * deep.out + od) * h.out + oh) * out + at) * c,
                                     base + od * deep.step * job.plane + (oh - m0) * h.step * job.row
                                     + at * job.axis[2].step * c, rows, min(run, out - at))
                        at += run
                    oh += rows
            m0 = m1
