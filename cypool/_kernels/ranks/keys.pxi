# Keys: numbers as integers that compare as they do, and back; runs of them read and written.


cdef inline Key bits_reversed(Key k) noexcept nogil:
    """The other byte order."""
    cdef uint64_t u
    if Key is int16_t:
        return <int16_t> (((<uint16_t> k) >> 8) | ((<uint16_t> k) << 8))
    elif Key is int32_t:
        u = <uint32_t> k
        return <int32_t> <uint32_t> (u >> 24 | (u >> 8 & 0xFF00) | (u << 8 & 0xFF0000ULL) | (u << 24 & 0xFF000000ULL))
    elif Key is int64_t:
        u = <uint64_t> k
        u = (u >> 32) | (u << 32)
        u = ((u >> 16) & 0x0000FFFF0000FFFFULL) | ((u & 0x0000FFFF0000FFFFULL) << 16)
        return <int64_t> (((u >> 8) & 0x00FF00FF00FF00FFULL) | ((u & 0x00FF00FF00FF00FFULL) << 8))
    else:
        return k


cdef inline Key magnitude(Key tag) noexcept nogil:
    """All bits but the sign."""
    if Key is int16_t:
        return 0x7FFF
    elif Key is int32_t:
        return 0x7FFFFFFF
    elif Key is int64_t:
        return 0x7FFFFFFFFFFFFFFFLL
    else:
        return 0x7F


cdef inline Key ordered(Key bits) noexcept nogil:
    """A float's bits as an integer that compares as it does, and back: negative ones are turned round."""
    return <Key> (bits ^ ((bits >> (8 * sizeof(Key) - 1)) & magnitude(bits)))


cdef inline Key key_of(Key bits, const Job* job) noexcept nogil:
    if job.swapped:
        bits = bits_reversed(bits)
    if not job.floating:
        return <Key> (bits ^ <Key> job.flip)
    if (bits & magnitude(bits)) > <Key> job.infinity:
        return <Key> job.nan
    return ordered(bits)


cdef inline Key bits_of(Key k, const Job* job) noexcept nogil:
    return ordered(k) if job.floating else <Key> (k ^ <Key> job.flip)


cdef inline Key read(const char* x, const Job* job, Key tag) noexcept nogil:
    cdef Key bits
    memcpy(&bits, x, sizeof(Key))
    return key_of(bits, job)


cdef inline void write(char* y, Key k, const Job* job) noexcept nogil:
    k = bits_of(k, job)
    memcpy(y, &k, sizeof(Key))


cdef inline bint make_keys(Key* y, const Key* x, Py_ssize_t n, const Job* job) noexcept nogil:
    """Bits become keys, in place (x is y) or on the way; whether there was NaN."""
    cdef Py_ssize_t i
    cdef Key bits, found = 0, flip = <Key> job.flip, infinity = <Key> job.infinity, nan = <Key> job.nan
    if job.swapped:
        for i in range(n):
            y[i] = bits_reversed(x[i])
        x = y
    if not job.floating:
        if flip != 0 or x != y:
            for i in range(n):
                y[i] = <Key> (x[i] ^ flip)
        return False
    for i in range(n):
        bits = x[i]
        found |= <Key> ((bits & magnitude(bits)) > infinity)
        y[i] = nan if (bits & magnitude(bits)) > infinity else ordered(bits)
    return found != 0


cdef inline void gather_run(Key* y, const char* x, Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    """y = n stored numbers, so many bytes apart."""
    cdef Py_ssize_t i, size = sizeof(Key)
    if step == size:
        memcpy(y, x, n * size)
    elif step == 2 * size:
        for i in range(n):
            memcpy(y + i, x + i * 2 * sizeof(Key), sizeof(Key))
    else:
        for i in range(n):
            memcpy(y + i, x + i * step, sizeof(Key))


cdef inline void scatter_run(char* y, const Key* x, Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    cdef Py_ssize_t i, size = sizeof(Key)
    if step == size:
        memcpy(y, x, n * size)
    else:
        for i in range(n):
            memcpy(y + i * step, x + i, sizeof(Key))
