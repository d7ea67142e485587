# Which calls the loops of small windows take.


cdef inline bint rolls_along(const Job* job) noexcept nogil:
    """Whether windows of pixels share two of three with the next."""
    cdef const Axis* axis = &job.axis[2]
    return job.inner > 1 and axis.kernel == 3 and axis.stride == 1 and axis.dilation == 1


cdef bint pool_small(const Job* job, Scratch* s, const Tile* t, Vec* tag, Folding* r) noexcept nogil:
    """A tile of small windows; false if it must be done again by the passes."""
    if Folding is Sum:
        if job.axis[2].phases == 2:
            return spread_pairs(job, s, t, tag, r)
    if rolls_along(job):
        return rolled_channels(job, s, t, tag, r)
    if job.inner > 1:
        return of_channels(job, s, t, tag, r)
    if job.axis[2].stride == 1:
        return one_apart(job, s, t, tag, r)
    return strided(job, s, t, tag, r)


cdef inline SmallTile small_of(Vec* tag, bint adds) noexcept nogil:
    if Vec in RealVec:
        if adds:
            return <SmallTile> pool_small[Vec, Sum]
    elif adds:
        return NULL
    return <SmallTile> pool_small[Vec, Max]


cdef SmallTile small_loop(int element, bint adds, bint named) noexcept nogil:
    """The loop for numbers of a kind, or NULL. named: ordinals as well."""
    if named:
        if element == F32:
            return <SmallTile> with_ordinals[Floats]
        return <SmallTile> with_ordinals[Doubles] if element == F64 else NULL
    if element == F32:
        return small_of(<Floats*> NULL, adds)
    if element == F64:
        return small_of(<Doubles*> NULL, adds)
    if element == U8:
        return small_of(<Bytes*> NULL, adds)
    if element == U16:
        return small_of(<Shorts*> NULL, adds)
    return NULL


cdef inline Py_ssize_t vector_lanes(const Job* job) noexcept nogil:
    """Numbers that a vector holds."""
    return sizeof(Floats) / job.rows.size


cdef inline bint is_spread(const Job* job) noexcept nogil:
    """Whether results along a row take turns, two by two, and are sums of few numbers."""
    cdef Py_ssize_t rows = 1
    cdef int i
    for i in range(3):
        if (job.axis[i].first != NULL or job.axis[i].phases > 2 or job.axis[i].kernel > 4 * job.axis[i].phases
                or job.axis[i].dilation > 1):
            return False
        rows *= ceil_div(job.axis[i].kernel, job.axis[i].phases)
    return job.inner == 1 and job.axis[2].phases == 2 and job.axis[2].kernel > 1 and rows <= 16


cdef bint is_small(const Job* job, bint adds) noexcept nogil:
    """Whether the windows of a call are for the loops of small windows: where these are faster. No result depends on
    it: sums are those of the passes, depth first, then height, then width."""
    cdef const Axis* axis = job.axis
    cdef Py_ssize_t taps = axis[0].kernel * axis[1].kernel * axis[2].kernel
    cdef int i
    if axis[2].phases > 1:
        return adds and is_spread(job)
    for i in range(3):
        if axis[i].first != NULL or axis[i].phases > 1 or axis[i].kernel > MOST_TAPS:
            return False
    if axis[0].kernel * axis[1].kernel > MOST_ROWS or job.whole or job.index_width > 1:
        return False
    if job.index_width and job.inner > 1:
        return job.inner >= vector_lanes(job) and taps <= 9 * axis[0].stride * axis[1].stride * axis[2].stride
    if job.index_width and axis[2].stride == 1:
        return (1 < axis[1].kernel <= 7 and axis[2].kernel <= 7 and axis[0].kernel == 1
                and axis[1].stride == 1 and axis[1].dilation == 1 and axis[2].dilation == 1)
    if job.index_width:
        return (axis[2].stride == 2
                and 2 * (axis[2].kernel - 1) * axis[2].dilation <= axis[2].stride * vector_lanes(job))
    if rolls_along(job):
        return axis[0].kernel == 1 and axis[1].kernel <= 5 and job.inner >= 2 * vector_lanes(job)
    if job.inner > 1 and adds and (axis[1].kernel > axis[1].stride or axis[2].kernel > axis[2].stride):
        if job.x_high - job.x_low < STREAM / 4 or axis[1].stride == 1:
            return False                            # what windows share is in the caches
    if job.inner > 1:                               # whole vectors of channels, and few enough taps to take each anew
        return taps <= 9 and job.inner >= 2 * vector_lanes(job)
    if axis[2].stride == 1:
        if axis[2].dilation > 1 or axis[0].kernel > 1 or axis[1].stride > 1 or axis[1].dilation > 1:
            return False
        if axis[2].kernel == 3 and axis[1].kernel == 3:
            return True
        return not adds and axis[1].kernel > 6 and axis[2].kernel > 6 and axis[2].size <= 16        # one strip a plane
    return axis[2].stride in (2, 4) and 2 * (axis[2].kernel - 1) * axis[2].dilation <= (
        axis[2].stride * vector_lanes(job))


cdef bint packed(const Array* x, Py_ssize_t inner, Py_ssize_t columns) noexcept nogil:
    """Whether rows can be worked on where they are, native and without gaps."""
    return (not x.swapped and (x.w == x.size * inner or columns == 1) and (x.c == x.size or inner == 1))


cdef void choose_small(Job* job, int element, bint adds) noexcept nogil:
    """Set a job up for a small loop, if there is one for it."""
    cdef int exponent
    job.small = small_loop(element, adds, job.index_width == 1) if is_small(job, adds) else NULL
    job.small_apart = job.x.code != job.y.code or job.x.size != job.rows.size or job.x.code == F16 or (
        job.x.code == BF16 or job.nan or job.divide_source or not packed(&job.x, job.inner, job.axis[2].size)
        or not packed(&job.y, job.inner, job.axis[2].out))
    job.finish = AS_IT_IS
    if job.divided and job.fixed_divisor == 0:
        job.finish = UNLIKE
    elif job.divided:
        job.finish = SCALED if fabs(frexp(job.fixed_divisor, &exponent)) == 0.5 else QUOTIENTS
    set_flips(job, job.falling, job.as_signed)


cdef void set_flips(Job* job, bint falling, bint as_signed) noexcept nogil:
    job.falling = falling
    job.fill = -0.0 if not job.rows.taps and job.rows.floating else INFINITY if falling else -INFINITY
    job.flip_bits = (UINT64_MAX if falling else 0) ^ (
        (<uint64_t> 1) << (8 * job.rows.size - 1) if as_signed else 0)


cdef bint pool_apart(const Job* job, Scratch* s, const Tile* t, Block x) noexcept nogil:
    """A tile of small windows whose rows were loaded as elements: between two places in scratch memory."""
    cdef Job near = job[0]
    cdef Block y = fresh_block(job, s, x.buffer, -1)
    cdef Py_ssize_t size = job.rows.size
    near.x.d, near.x.h, near.x.a, near.x.b = x.plane * size, x.row * size, 0, 0
    near.x.data = x.value - t.in_d * near.x.d - t.in_h * near.x.h - t.in_w * job.inner * size
    if x.buffer >= 0:
        near.x_low, near.x_high = x.value, x.value + job.room * size + SPARE
    if not job.y.direct:
        y.row = (t.w1 - t.w0) * job.inner
        y.plane = (t.h1 - t.h0) * y.row
        near.y.d, near.y.h, near.y.a, near.y.b, near.y.size = y.plane * size, y.row * size, 0, 0, size
        near.y.data = y.value - t.d0 * near.y.d - t.h0 * near.y.h - t.w0 * job.inner * size
    near.y.streamed = near.fetched = False
    set_flips(&near, False, False)                  # they were turned over as they were loaded
    if not job.small(&near, s, t, NULL, NULL):
        return False
    if job.y.direct:
        return True
    write_rows(job, s, t, y)
    return True
