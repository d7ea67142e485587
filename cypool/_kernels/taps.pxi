# Taps: sums over windows whose taps have given weights, and the sums of products that are their weights' gradient.
#
# An array is seen as (planes, D, H, W, c), C-contiguous: c is 1, or the channels of channels-last data. Along each axis
# the results come in *phases*: result m * phases + p reads x at m * step + offset, for the taps that phase p has.
# Windows have one phase; their adjoint, which spreads a gradient, has one for each element of a stride. So both are
# the same sums, whose taps are offsets and weights that hold for many rows of results.
#
# Where x is extended (padding, or the elements at its edges once more), bands of its rows are copied with that around
# them; else rows are read where they are. Every sum runs over the taps in the same order, in as many lanes, in every
# build.

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

include "shuffles.pxi"

cdef enum:
    VECTOR = 64             # bytes
    BAND = 1 << 16          # elements of extended rows that are copied at once, about
    RUN = 4096              # products that are added up in lanes before these go into a sum in double
    SIDE = 4                # taps whose products are added up side by side

ctypedef fused Real:
    float
    double


cdef struct Axis:
    Py_ssize_t size, out, kernel, phases, step
    const int64_t* first    # of each phase's taps, and behind the last one's
    const int64_t* tap      # their places in the window
    const int64_t* offset   # of what they read in extended x
    # Elements of extended x before and behind x, and which of x they are copies of; -1: zeros.
    Py_ssize_t before, behind
    const int64_t* sources
    Py_ssize_t span         # elements from the first to the last that a result may read, both counted


cdef struct Job:
    Axis axis[3]            # d, h, w
    Py_ssize_t planes, c
    # Weights: (groups, window, wide); plane i has those of group i % groups, and wide is 1 or c.
    Py_ssize_t groups, window, wide
    Py_ssize_t taps         # of the window, those that reach a result
    bint extended
    Py_ssize_t turns[3]     # most m of an axis
    Py_ssize_t band         # turns along h that are worked on at once
    Py_ssize_t row, plane   # elements from one row of what is read to the next, and from plane to plane
    # The taps of the rows at hand, those of each phase along w together.
    Py_ssize_t* offset
    Py_ssize_t* first       # of each phase along w, and behind the last
    char* weight            # begins with a vector, for one that lies on two lines of the cache takes twice as long
    char* memory            # what it is a part of


# ---------------------------------------------------------------------------- what is read

cdef inline void copy_row(Real* y, const Real* x, Py_ssize_t n) noexcept nogil:
    """A memcpy of short rows, without the call."""
    cdef Py_ssize_t i = 0, width = VECTOR // sizeof(Real)
    if n < width:
        for i in range(n):
            y[i] = x[i]
        return
    while i < n:
        memcpy(y + min(i, n - width), x + min(i, n - width), VECTOR)
        i += width


cdef void extend_row(const Job* job, Real* y, const Real* x) noexcept nogil:
    """x with what is before and behind it; no x: zeros."""
    cdef const Axis* w = &job.axis[2]
    cdef Py_ssize_t i, k, source, c = job.c, before = w.before * c
    cdef Real* to = y
    if x == NULL:
        memset(y, 0, job.row * sizeof(Real))
        return
    copy_row(y + before, x, w.size * c)
    for i in range(w.before + w.behind):
        source = w.sources[i] * c
        if i == w.before:
            to += w.size * c
        for k in range(c):
            to[k] = x[source + k] if source >= 0 else 0
        to += c


cdef inline Py_ssize_t source_of(const Axis* axis, Py_ssize_t place) noexcept nogil:
    """Which element is at this place of the extended axis; -1: none."""
    if place < axis.before:
        return axis.sources[place]
    if place < axis.before + axis.size:
        return place - axis.before
    return axis.sources[place - axis.size]


cdef inline bint lies_inside(const Job* job, Py_ssize_t m0, Py_ssize_t m1) noexcept nogil:
    """Whether turns m0 to m1 along h read nothing but x, whose rows are not extended themselves."""
    cdef const Axis* h = &job.axis[1]
    return (job.axis[2].before + job.axis[2].behind == 0 and job.axis[0].size == 1
            and job.axis[0].before + job.axis[0].behind == 0 and m0 * h.step >= h.before
            and (m1 - 1) * h.step + h.span <= h.before + h.size)


cdef inline Py_ssize_t band_end(const Job* job, Py_ssize_t m0) noexcept nogil:
    """Where the band of turns from m0 on ends: it does, or does not, read x as it is."""
    cdef const Axis* h = &job.axis[1]
    cdef Py_ssize_t m1 = min(job.turns[1], m0 + job.band)
    cdef Py_ssize_t inner0 = (h.before + h.step - 1) / h.step, inner1 = (h.before + h.size - h.span) / h.step + 1
    if not job.extended:
        return job.turns[1]
    if lies_inside(job, m0, m0 + 1):
        return min(job.turns[1], inner1)
    return min(m1, inner0) if lies_inside(job, inner0, inner0 + 1) and m0 < inner0 else m1


cdef const Real* ready(const Job* job, Real* room, const Real* x, Py_ssize_t m0, Py_ssize_t m1) noexcept nogil:
    """What turns m0 to m1 along h read of a plane."""
    cdef const Axis* d = &job.axis[0]
    cdef const Axis* h = &job.axis[1]
    cdef Py_ssize_t i, j, plane, row, start = m0 * h.step
    if not job.extended:
        return x + start * job.row
    if lies_inside(job, m0, m1):
        return x + (start - h.before) * job.row
    for i in range(d.before + d.size + d.behind):
        plane = source_of(d, i)
        for j in range((m1 - m0 - 1) * h.step + h.span):
            row = source_of(h, start + j)
            extend_row(job, room + i * job.plane + j * job.row,
                       <const Real*> NULL if plane < 0 or row < 0 else
                       x + (plane * h.size + row) * job.axis[2].size * job.c)
    return room


cdef void compose(Job* job, const Real* weights, Py_ssize_t pd, Py_ssize_t ph) noexcept nogil:
    """Offsets and weights of the taps that rows in these phases have."""
    cdef const Axis* d = &job.axis[0]
    cdef const Axis* h = &job.axis[1]
    cdef const Axis* w = &job.axis[2]
    cdef Py_ssize_t p, i, j, k, q, tap, n = 0
    cdef Real* weight = <Real*> job.weight
    for p in range(w.phases):
        job.first[p] = n
        for i in range(d.first[pd], d.first[pd + 1]):
            for j in range(h.first[ph], h.first[ph + 1]):
                for k in range(w.first[p], w.first[p + 1]):
                    tap = (d.tap[i] * h.kernel + h.tap[j]) * w.kernel + w.tap[k]
                    job.offset[n] = d.offset[i] * job.plane + h.offset[j] * job.row + w.offset[k] * job.c
                    if weights != NULL:
                        for q in range(job.wide):
                            weight[n * job.wide + q] = weights[tap * job.wide + q]
                    n += 1
    job.first[w.phases] = n


# ---------------------------------------------------------------------------- sums over windows

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


# ---------------------------------------------------------------------------- sums of products

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


# ---------------------------------------------------------------------------- what Python hands over

cdef const int64_t* numbers(const int64_t[::1] x) noexcept:
    return <const int64_t*> NULL if x.shape[0] == 0 else <const int64_t*> &x[0]


cdef inline char* aligned(void* memory) noexcept nogil:
    """The first whole vector of memory that has room for one more."""
    return <char*> memory + (VECTOR - <size_t> memory % VECTOR) % VECTOR


cdef int prepare(Job* job, Py_ssize_t size, axes) except -1:
    """The job's memory, which `finish` frees; `axes`: for each (size, out, kernel, phases, step, before, behind, span,
    first, tap, offset, sources), see `Axis`."""
    cdef Axis* axis
    cdef Py_ssize_t taps
    cdef int i
    job.taps, job.window, job.extended = 1, 1, False
    for i in range(3):
        axis = &job.axis[i]
        (axis.size, axis.out, axis.kernel, axis.phases, axis.step, axis.before, axis.behind, axis.span) = axes[i][:8]
        axis.first, axis.tap = numbers(axes[i][8]), numbers(axes[i][9])
        axis.offset, axis.sources = numbers(axes[i][10]), numbers(axes[i][11])
        job.turns[i] = (axis.out + axis.phases - 1) / axis.phases
        job.extended = job.extended or axis.before > 0 or axis.behind > 0
        job.taps *= len(axes[i][9])
        job.window *= axis.kernel
    axis = &job.axis[1]
    job.row = (job.axis[2].before + job.axis[2].size + job.axis[2].behind) * job.c
    job.band, job.plane = job.turns[1], axis.size * job.row
    if job.extended:
        taps = job.axis[0].before + job.axis[0].size + job.axis[0].behind       # planes at once
        job.band = min(job.band, max(<Py_ssize_t> 1, (BAND / (taps * job.row) - axis.span) / axis.step + 1))
        job.plane = ((job.band - 1) * axis.step + axis.span) * job.row
    job.offset = <Py_ssize_t*> malloc((job.taps + 1) * sizeof(Py_ssize_t))
    job.first = <Py_ssize_t*> malloc((job.axis[2].phases + 1) * sizeof(Py_ssize_t))
    job.memory = <char*> malloc(job.taps * job.wide * size + VECTOR)
    job.weight = aligned(job.memory)
    if job.offset == NULL or job.first == NULL or job.memory == NULL:
        finish(job)
        raise MemoryError("no memory for taps to be had")
    return 0


cdef void finish(Job* job) noexcept nogil:
    free(job.offset)
    free(job.first)
    free(job.memory)


cdef Py_ssize_t room_for(const Job* job) noexcept nogil:
    """Elements of extended rows, and a vector more."""
    return (job.axis[0].before + job.axis[0].size + job.axis[0].behind) * job.plane * job.extended + VECTOR


def gather(const Real[:, :, :, :, ::1] x, const Real[:, :, ::1] weights, Real[:, :, :, :, ::1] y, axes):
    """The sums over x's windows, or their adjoint, into y; weights: (groups, taps, 1 or channels)."""
    cdef Job job
    cdef Real* room
    cdef Real* line
    job.planes, job.c = x.shape[0], x.shape[4]
    job.groups, job.wide = weights.shape[0], weights.shape[2]
    prepare(&job, sizeof(Real), axes)
    room = <Real*> malloc(room_for(&job) * sizeof(Real))
    line = <Real*> malloc((job.turns[2] * job.axis[2].phases + VECTOR) * sizeof(Real))
    try:
        if room == NULL or line == NULL:
            raise MemoryError("no memory for rows to be had")
        with nogil:
            sum_planes(&job, &x[0, 0, 0, 0, 0], &weights[0, 0, 0], &y[0, 0, 0, 0, 0],
                       <Real*> aligned(room), line)
    finally:
        free(line)
        free(room)
        finish(&job)


def sums(const Real[:, :, :, :, ::1] x, const Real[:, :, :, :, ::1] d, double[:, :, ::1] made, axes):
    """made += for each tap the sum over windows of d * x; made: (groups, taps, channels)."""
    cdef Job job
    cdef Real* room
    job.planes, job.c = x.shape[0], x.shape[4]
    job.groups, job.wide = made.shape[0], made.shape[2]
    prepare(&job, sizeof(Real), axes)
    room = <Real*> malloc(room_for(&job) * sizeof(Real))
    try:
        if room == NULL:
            raise MemoryError("no memory for rows to be had")
        with nogil:
            multiply_planes(&job, &x[0, 0, 0, 0, 0], &d[0, 0, 0, 0, 0], &made[0, 0, 0], <Real*> aligned(room))
    finally:
        free(room)
        finish(&job)
