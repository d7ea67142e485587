# Small windows one element apart along a row, and along a column: the taps of a row are loads at neighbouring places,
# and the rows above stay in registers, or in a ring, while a strip of blocks goes down.


cdef inline void set_block(Strip* p, Py_ssize_t first, Py_ssize_t count, bint last, Mask* mask,
                           Vec* tag) noexcept nogil:
    """A block of `count` windows whose first one begins at element `first` of a row; each tap's elements."""
    cdef Py_ssize_t j, width = lanes_of(tag)
    p.first, p.count = first, count
    p.plain = count == width and not p.streamed
    p.inside = first >= 0 and first + (p.taps - 1) * p.step + width <= p.columns
    # Elements that are tap 0 of no window are the last tap of some in the last block, unless that is too short.
    p.unseen = 0 if not last else 1 if count >= (p.taps - 1) * p.step else 2
    if not p.inside:
        for j in range(p.taps):
            v_set_mask(&mask[j], tag, max(-(first + j * p.step), 0), min(max(p.columns - first - j * p.step, 0), width))


cdef inline void load_tap(const Strip* p, const char* at, Py_ssize_t j, Vec* y, const Mask* mask,
                          const Vec* k, const Folding* r) noexcept nogil:
    cdef Py_ssize_t place
    if p.inside:
        v_load(y, at)
    else:
        place = p.first + j * p.step
        v_load_some(y, at, mask, &k[FILL], p.low, p.high, max(-place, 0), min(p.columns - place, lanes_of(y)))
    turn_block(y, k, r)


cdef inline void along_row(const Strip* p, Py_ssize_t taps, const char* row, Vec* y, const Mask* mask,
                           const Vec* k, Vec* nans, const Folding* r) noexcept nogil:
    """The taps of one row, one after the other."""
    cdef Py_ssize_t step = p.step * number_size(y), j
    cdef Vec x, z
    row += p.first * number_size(y)
    load_tap(p, row, 0, y, &mask[0], k, r)
    if taps == 3:                                   # a literal
        load_tap(p, row + step, 1, &z, &mask[1], k, r)
        absorb(y, &z, r)
        load_tap(p, row + 2 * step, 2, &x, &mask[2], k, r)
        absorb(y, &x, r)
        if p.unseen:
            note_nan(&x, &z, r)
            note_nan(&x, y, r)
            note_nan(nans, &x, r)
        else:
            note_nan(nans, y, r)
    else:
        for j in range(1, taps):
            row += step
            load_tap(p, row, j, &x, &mask[j], k, r)
            absorb(y, &x, r)
            if p.unseen == 2:
                note_nan(nans, &x, r)
        if p.unseen == 1 and taps > 1:
            note_nan(nans, &x, r)
        note_nan(nans, y, r)                        # where tap 0 is NaN y is, whatever came later


cdef inline void level(const Strip* p, Py_ssize_t taps, const char* plane, Py_ssize_t h, Vec* y, const Mask* mask,
                       const Vec* k, Vec* nans, const Folding* r) noexcept nogil:
    """The taps of input row h, or padding."""
    if <size_t> h >= <size_t> p.rows:
        y[0] = k[FILL]
        turn_block(y, k, r)
    else:
        along_row(p, taps, plane + h * p.row, y, mask, k, nans, r)


cdef inline void roll_down(const Job* job, Scratch* s, const Tile* t, const Strip* given, bint inside, Py_ssize_t i,
                           const Mask* mask, Vec* all_, const Folding* r) noexcept nogil:
    """A strip of windows of 3 x 3, one row apart, through all planes of a tile: the rows above stay in registers. Of
    maxima those of a row are kept, of sums the taps themselves, for columns are added up first. inside: a literal."""
    cdef Strip p = given[0]
    cdef Py_ssize_t d, h, last = 2 - job.axis[1].padding
    cdef const char* plane
    cdef char* out
    cdef Vec x, y, z, x1, x2, y1, y2, z1, z2, nans = all_[NANS]
    cdef Vec k[KEPT]
    cdef Mask own[3]
    copy_constants(k, all_)
    p.inside = inside
    own[0], own[1], own[2] = mask[0], mask[1], mask[2]
    for d in range(t.d0, t.d1):
        plane = plane_of(job, t, d)
        out = output_of(job, t, d, i, number_size(k))
        if Folding is Sum:
            three_taps(&p, plane, t.h0 + last - 2, &y, &y1, &y2, own, k, r)
            three_taps(&p, plane, t.h0 + last - 1, &x, &x1, &x2, own, k, r)
        else:
            level(&p, 3, plane, t.h0 + last - 2, &y, own, k, &nans, r)
            level(&p, 3, plane, t.h0 + last - 1, &x, own, k, &nans, r)
        for h in range(t.h0, t.h1):                 # a window is y, x, z
            if Folding is Sum:
                three_taps(&p, plane, h + last, &z, &z1, &z2, own, k, r)
                v_add(&y, &x)
                v_add(&y, &z)
                v_add(&y1, &x1)
                v_add(&y1, &z1)
                v_add(&y2, &x2)
                v_add(&y2, &z2)
                v_add(&y, &y1)
                v_add(&y, &y2)
            else:
                level(&p, 3, plane, h + last, &z, own, k, &nans, r)
                absorb(&y, &x, r)
                absorb(&y, &z, r)
            set_divisor(job, &p, t, d, h, i, k, r)
            put_block(&p, out, &y, p.count, k, r)
            y, x = x, z
            if Folding is Sum:
                y1, y2, x1, x2 = x1, x2, z1, z2
            out += p.out_row
    all_[NANS] = nans


cdef inline void three_taps(const Strip* p, const char* plane, Py_ssize_t h, Vec* a, Vec* b, Vec* c,
                            const Mask* mask, const Vec* k, const Folding* r) noexcept nogil:
    cdef Py_ssize_t step = p.step * number_size(a)
    cdef const char* row = plane + h * p.row + p.first * number_size(a)
    if <size_t> h >= <size_t> p.rows:
        a[0] = b[0] = c[0] = k[FILL]
    else:
        load_tap(p, row, 0, a, &mask[0], k, r)
        load_tap(p, row + step, 1, b, &mask[1], k, r)
        load_tap(p, row + 2 * step, 2, c, &mask[2], k, r)


cdef void roll_three(const Job* job, Scratch* s, const Tile* t, const Strip* p, Py_ssize_t i, const Mask* mask,
                     Vec* k, const Folding* r) noexcept nogil:
    if p.inside:
        roll_down(job, s, t, p, True, i, mask, k, r)
    else:
        roll_down(job, s, t, p, False, i, mask, k, r)


cdef void roll_ring(const Job* job, Scratch* s, const Tile* t, const Strip* given, Py_ssize_t i, const Mask* mask,
                    Vec* all_, const Folding* r) noexcept nogil:
    """A strip of windows of more rows: they go round in a ring."""
    cdef Strip p = given[0]
    cdef Py_ssize_t d, h, j, taps = job.axis[1].kernel, last = taps - 1 - job.axis[1].padding, place
    cdef const char* plane
    cdef char* out
    cdef Vec y, nans = all_[NANS]
    cdef Vec ring[RING]
    cdef Vec k[KEPT]
    copy_constants(k, all_)
    for d in range(t.d0, t.d1):
        plane = plane_of(job, t, d)
        out = output_of(job, t, d, i, number_size(k))
        for j in range(taps - 1):
            level(&p, p.taps, plane, t.h0 + last - taps + 1 + j, &ring[j], mask, k, &nans, r)
        place = 0                                   # of the window's first row
        for h in range(t.h0, t.h1):
            j = place + taps - 1
            level(&p, p.taps, plane, h + last, &ring[j if j < taps else j - taps], mask, k, &nans, r)
            y = ring[place]
            for j in range(place + 1, taps):
                absorb(&y, &ring[j], r)
            for j in range(place):
                absorb(&y, &ring[j], r)
            put_block(&p, out, &y, p.count, k, r)
            place = place + 1 if place + 1 < taps else 0
            out += p.out_row
    all_[NANS] = nans


cdef bint one_apart(const Job* job, Scratch* s, const Tile* t, Vec* tag, const Folding* r) noexcept nogil:
    cdef Py_ssize_t width = lanes_of(tag), i = t.w0
    cdef Strip p = strip_of(job, s, t)
    cdef Mask mask[MOST_TAPS]
    cdef Vec k[KEPT]
    set_constants(job, k, r)
    p.limit = spill_limit(job, t)
    while i < t.w1:
        if i + width > t.w1 and t.w1 - t.w0 >= width:
            i = t.w1 - width                        # a block that overlaps the one before
        set_block(&p, i - job.axis[2].padding, min(width, t.w1 - i), i + width >= t.w1, mask, k)
        if p.taps == 3:
            roll_three(job, s, t, &p, i, mask, k, r)
        else:
            roll_ring(job, s, t, &p, i, mask, k, r)
        i += width
    return blameless(k, r)
