# Which calls the loops of small windows take.


cdef bint pool_small(const Job* job, Scratch* s, const Tile* t, Block64* tag, Folding* r) noexcept nogil:
    """A tile of small windows; false if it must be done again by the passes."""
    if job.inner > 1:
        return of_channels(job, s, t, tag, r)
    if job.axis[2].stride == 1:
        return one_apart(job, s, t, tag, r)
    return strided(job, s, t, tag, r)


cdef inline SmallTile small_of(Block64* tag, bint adds) noexcept nogil:
    if Block64 is Floats or Block64 is Doubles or Block64 is Halves or Block64 is Brains:
        if adds:
            return <SmallTile> pool_small[Block64, Sum]
    elif adds:
        return NULL
    return <SmallTile> pool_small[Block64, Max]


cdef SmallTile small_loop(int code, bint adds) noexcept nogil:
    """The loop for numbers that are stored so, or NULL."""
    if code == F32:
        return small_of(<Floats*> NULL, adds)
    if code == F64:
        return small_of(<Doubles*> NULL, adds)
    if code == F16:
        return small_of(<Halves*> NULL, adds)
    if code == BF16:
        return small_of(<Brains*> NULL, adds)
    if code == U8 or code == I8:
        return small_of(<Bytes*> NULL, adds)
    if code == U16 or code == I16:
        return small_of(<Shorts*> NULL, adds)
    return NULL


cdef bint is_small(const Job* job, bint adds) noexcept nogil:
    """Whether the windows of a call are for the loops of small windows: where these are faster. No result depends on
    it: sums are those of the passes, depth first, then height, then width."""
    cdef const Axis* axis = job.axis
    cdef int i
    for i in range(3):
        if axis[i].first != NULL or axis[i].phases > 1 or axis[i].kernel > MOST_TAPS:
            return False
    if axis[0].kernel * axis[1].kernel > MOST_ROWS or job.whole or job.index_width or job.nan or job.divide_source:
        return False
    if job.divided and job.fixed_divisor == 0:
        return False
    if (job.x.code != job.y.code or job.x.swapped or job.x.w != job.x.size * job.inner and axis[2].size > 1
            or job.y.w != job.y.size * job.inner and axis[2].out > 1
            or job.inner > 1 and (job.x.c != job.x.size or job.y.c != job.y.size)):
        return False
    if job.inner > 1:                               # whole blocks of channels, and few enough taps to take each anew
        return (not adds and axis[0].kernel * axis[1].kernel * axis[2].kernel <= 9
                and job.inner >= 2 * VECTOR / (4 if job.x.code == F16 or job.x.code == BF16 else job.x.size))
    if axis[2].stride == 1:
        if axis[2].dilation > 1 or axis[0].kernel > 1 or axis[1].stride > 1 or axis[1].dilation > 1:
            return False
        if axis[2].kernel == 3 and axis[1].kernel == 3:
            return True
        return not adds and axis[1].kernel > 6 and axis[2].kernel > 6 and axis[2].size <= 16        # one strip a plane
    return axis[2].stride in (2, 4) and (axis[2].kernel - 1) * axis[2].dilation < 8 * axis[2].stride


cdef void choose_small(Job* job, bint adds) noexcept nogil:
    """Set a job up for a small loop, if there is one for it."""
    cdef int exponent
    cdef uint64_t sign = (<uint64_t> 1) << (8 * job.x.size - 1)
    job.small = small_loop(job.x.code, adds) if is_small(job, adds) else NULL
    job.finish = AS_IT_IS
    if job.divided:
        job.finish = SCALED if fabs(frexp(job.fixed_divisor, &exponent)) == 0.5 else QUOTIENTS
    job.fill = -0.0 if adds else INFINITY if job.falling else -INFINITY
    job.flip_bits = (UINT64_MAX if job.falling else 0) ^ (sign if job.as_signed else 0)
