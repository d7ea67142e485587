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
