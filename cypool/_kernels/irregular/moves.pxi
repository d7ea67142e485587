# Moves: elements to the positions of a plane that indices name, or from there; rows to where ids say. Numbers are moved
# as bits, whatever they mean.

ctypedef fused Bits:
    uint8_t
    uint16_t
    uint32_t
    uint64_t


cdef struct Moves:
    Py_ssize_t planes, items, volume, inner     # inner: channels side by side, each with positions of its own
    const int64_t* index    # (planes, items, inner), positions; or
    const uint8_t* ordinal  # as many taps of windows: item i's is at base[i] + offset[tap]
    const int64_t* base
    const int64_t* offset
    Py_ssize_t taps


cdef inline const int64_t* positions(const Moves* m, int64_t* room, Py_ssize_t k, Py_ssize_t i,
                                     Py_ssize_t n) noexcept nogil:
    """Where items i to i + n of a plane lie, the first of which is number k of all; none, if one is outside."""
    cdef const int64_t* at = NULL
    cdef const uint8_t* ordinal
    cdef const int64_t* base
    cdef Py_ssize_t j, c
    cdef int64_t outside = 0
    if m.index != NULL:
        at = m.index + k * m.inner
    else:
        ordinal, base = m.ordinal + k * m.inner, m.base + i
        for j in range(n * m.inner):
            outside |= m.taps - 1 - <int64_t> ordinal[j]
        if outside < 0:
            return NULL
        if m.inner == 1:
            for j in range(n):
                room[j] = base[j] + m.offset[ordinal[j]]
        else:
            for j in range(n):
                for c in range(m.inner):
                    room[j * m.inner + c] = base[j] + m.offset[ordinal[j * m.inner + c]]
        at = room
    for j in range(n * m.inner):
        outside |= at[j] | (m.volume - 1 - at[j])           # either is negative
    return at if outside >= 0 else <const int64_t*> NULL


cdef inline void move_some(const Moves* m, Bits* whole, Bits* items, const int64_t* at, Py_ssize_t n, Py_ssize_t inner,
                           Py_ssize_t first, Py_ssize_t stop, bint away) noexcept nogil:
    """Items to the positions first to stop, or from all."""
    cdef Py_ssize_t j, c
    for j in range(n):
        for c in range(inner):
            if not away:
                items[j * inner + c] = whole[at[j * inner + c] * inner + c]
            elif stop - first == m.volume or first <= at[j * inner + c] < stop:
                whole[at[j * inner + c] * inner + c] = items[j * inner + c]


cdef inline bint move_plane(const Moves* m, Bits* whole, Bits* items, Py_ssize_t plane, Py_ssize_t first,
                            Py_ssize_t stop, bint away) noexcept nogil:
    """Items of one plane to positions first to stop of it, in their order, or from all positions; false, and no more
    moved, if a position lies outside the plane."""
    cdef int64_t[BLOCK] room
    cdef const int64_t* at
    cdef Py_ssize_t i = 0, n, k, step = max(<Py_ssize_t> 1, BLOCK / m.inner)
    whole += plane * m.volume * m.inner
    if m.inner > BLOCK and m.index == NULL:
        return False                                # Python passes positions then
    while i < m.items:
        n = min(step, m.items - i)
        k = plane * m.items + i
        at = positions(m, <int64_t*> room, k, i, n)
        if at == NULL:
            return False
        if m.inner == 1:
            move_some(m, whole, items + k, at, n, 1, first, stop, away)
        else:
            move_some(m, whole, items + k * m.inner, at, n, m.inner, first, stop, away)
        i += n
    return True


cdef bint place_share(const Moves* m, Bits* whole, Bits* items, Py_ssize_t share, Py_ssize_t cuts) noexcept nogil:
    cdef Py_ssize_t plane = share / cuts
    cdef Py_ssize_t first = m.volume * (share % cuts) / cuts, stop = m.volume * (share % cuts + 1) / cuts
    memset(whole + (plane * m.volume + first) * m.inner, 0, (stop - first) * m.inner * sizeof(Bits))
    return move_plane(m, whole, items, plane, first, stop, True)


cdef void describe_moves(Moves* m, Py_ssize_t planes, Py_ssize_t volume, Py_ssize_t items, Py_ssize_t inner, index,
                         const int64_t[::1] base, const int64_t[::1] offset) except *:
    cdef const int64_t[::1] positions
    cdef const uint8_t[::1] ordinals
    memset(m, 0, sizeof(Moves))
    m.planes, m.volume, m.items, m.inner = planes, volume, items, inner
    if base is None:
        positions = index
        m.index = &positions[0]
    else:
        ordinals = index
        m.ordinal, m.base, m.offset, m.taps = &ordinals[0], &base[0], &offset[0], offset.shape[0]


def place(Bits[:, :, ::1] whole, const Bits[:, :, ::1] items, index, const int64_t[::1] base,
          const int64_t[::1] offset, int threads):
    """whole = 0 but at the positions of the items, of which the last of several at one stays; False if one is outside.

    whole: (planes, volume, inner); items: (planes, items, inner); index: int64 positions of them all, or uint8 ordinals
    with `base` and `offset` (see `Moves`), which are None else. Nothing is empty.
    """
    cdef Moves m
    cdef Py_ssize_t share, cuts
    cdef bint inside = True
    describe_moves(&m, whole.shape[0], whole.shape[1], items.shape[1], whole.shape[2], index, base, offset)
    cuts = 1 if m.planes >= threads else min(<Py_ssize_t> threads, m.volume)
    for share in prange(m.planes * cuts, nogil=True, schedule="static", num_threads=threads):
        inside &= place_share(&m, &whole[0, 0, 0], <Bits*> &items[0, 0, 0], share, cuts)
    return inside


def pick(const Bits[:, :, ::1] whole, Bits[:, :, ::1] items, index, const int64_t[::1] base,
         const int64_t[::1] offset, int threads):
    """The items that `place` would put where they are; False if a position is outside."""
    cdef Moves m
    cdef Py_ssize_t plane
    cdef bint inside = True
    describe_moves(&m, whole.shape[0], whole.shape[1], items.shape[1], whole.shape[2], index, base, offset)
    for plane in prange(m.planes, nogil=True, schedule="static", num_threads=threads):
        inside &= move_plane(&m, <Bits*> &whole[0, 0, 0], &items[0, 0, 0], plane, 0, 0, False)
    return inside


# ---------------------------------------------------------------------------- rows

cdef inline void copy_lines(char* y, const char* x, size_t size) noexcept nogil:
    """A memcpy of short rows, without the call."""
    while size >= 64:
        memcpy(y, x, 64)
        y += 64
        x += 64
        size -= 64
    if size > 0:
        memcpy(y, x, size)


def take_rows(const uint8_t[:, ::1] x, cnp.ndarray ids, codes, uint8_t[:, ::1] y, int threads):
    """y[t] = x[ids[0, t, 0]], rows of bytes; or zeros where that is negative."""
    cdef Source source
    cdef Py_ssize_t share, shares = 8 * threads, rows = y.shape[0]
    describe(&source, ids, codes, False, <int64_t> 0)
    for share in prange(shares, nogil=True, schedule="dynamic", chunksize=1, num_threads=threads):
        take_share(&source, <const char*> &x[0, 0], <char*> &y[0, 0], y.shape[1], rows * share / shares,
                   rows * (share + 1) / shares)


cdef void take_share(const Source* ids, const char* x, char* y, Py_ssize_t size, Py_ssize_t t,
                     Py_ssize_t stop) noexcept nogil:
    cdef int64_t[512] room
    cdef const int64_t* id
    cdef Py_ssize_t n, i, pitch = 0
    cdef int64_t s
    while t < stop:
        n = min(<Py_ssize_t> 512, stop - t)
        id = block(ids, <int64_t*> room, 0, t, n, 0, 1, &pitch)
        for i in range(n):
            s = id[i * pitch]
            if s < 0:
                memset(y + (t + i) * size, 0, size)
            else:
                copy_lines(y + (t + i) * size, x + s * size, size)
        t += n
