# Small windows 2 or 4 numbers apart along a row: rows are folded onto each other as they are loaded, lanes a stride
# apart become blocks of their own (shuffles), and taps are those, shifted by whole lanes. The last lanes of a block
# lack some of their taps: the next block begins with them.


cdef struct Part:               # a block of a row, or what there is of it
    Py_ssize_t place            # its first element
    Py_ssize_t begin, end       # lanes that are elements; none: an empty block
    bint whole


cdef inline Part block_part(const Strip* p, Py_ssize_t place, Mask* mask, Block64* tag) noexcept nogil:
    cdef Part part
    part.place = place
    part.begin, part.end = max(-place, 0), min(p.columns - place, lanes_of(tag))
    part.whole = part.begin == 0 and part.end == lanes_of(tag)
    if not part.whole and part.begin < part.end:
        v_set_mask(mask, tag, part.begin, part.end)
    return part


cdef inline void load_block_part(const Strip* p, const Part* part, const char* row, Block64* y, const Mask* mask,
                           const Block64* k, const Folding* r) noexcept nogil:
    if part.whole:
        v_load(y, row)
    else:
        v_load_some(y, row, mask, &k[FILL], p.low, p.high, part.begin, part.end)
    turn_block(y, k, r)


cdef inline void folded(const Strip* p, const WindowRows* rows, Py_ssize_t count, const Part* part, const Mask* mask,
                        Block64* y, const Block64* k, Block64* nans, Block64* least, const Folding* r) noexcept nogil:
    """A block of all rows, folded onto each other. count: of rows of one plane, a literal where it can be."""
    cdef Py_ssize_t j, m
    cdef Block64 x, z, seen
    cdef const char* row = rows.first + part.place * stored_size(y)
    if part.begin >= part.end:
        y[0] = k[FILL]
        turn_block(y, k, r)
        return
    for j in range(count):                          # planes first, then rows: the order of the passes' sums
        load_block_part(p, part, row + j * rows.row, &x, mask, k, r)
        if j == 0:
            seen = x
        else:
            note_nan(&seen, &x, r)
        for m in range(1, rows.planes):
            load_block_part(p, part, row + j * rows.row + m * rows.plane, &z, mask, k, r)
            note_nan(&seen, &z, r)
            absorb(&x, &z, r)
        if j == 0:
            y[0] = x
        else:
            absorb(y, &x, r)
    note_nan(nans, &seen, r)
    if rows.planes * count > 1:
        note_zero(least, y, k, r)


cdef inline void two_phases(const Strip* p, const WindowRows* rows, Py_ssize_t count, const Part* part,
                            const Mask* mask, Block64* y0, Block64* y1, const Block64* k, Block64* nans, Block64* least,
                            const Folding* r) noexcept nogil:
    """Every second number of two blocks, from the first and from the second on."""
    cdef Block64 a, b
    folded(p, rows, count, &part[0], &mask[0], &a, k, nans, least, r)
    folded(p, rows, count, &part[1], &mask[1], &b, k, nans, least, r)
    v_halve(y0, y1, &a, &b)


cdef inline void absorb_shifted(Block64* y, const Block64* x, Py_ssize_t lanes, const Folding* r) noexcept nogil:
    """Take in x from a lane on."""
    cdef Block64 z
    if lanes == 0:
        absorb(y, x, r)
    else:
        v_shifted(&z, x, x, lanes)
        absorb(y, &z, r)


cdef inline void phases_reduced(const Strip* p, const WindowRows* rows, Py_ssize_t count, Py_ssize_t stride,
                                Py_ssize_t taps, Py_ssize_t dilation, const Part* part, const Mask* mask, Block64* y,
                                const Block64* k, Block64* nans, Block64* least, const Folding* r) noexcept nogil:
    """A block of windows a stride apart: rows folded, lanes a stride apart side by side, taps one after the other."""
    cdef Py_ssize_t j, tap
    cdef Block64 x0, x1, x2, x3, a, b, c, d
    if stride == 2:
        two_phases(p, rows, count, part, mask, &x0, &x1, k, nans, least, r)
    else:
        two_phases(p, rows, count, part, mask, &a, &b, k, nans, least, r)
        two_phases(p, rows, count, part + 2, mask + 2, &c, &d, k, nans, least, r)
        v_halve(&x0, &x2, &a, &c)
        v_halve(&x1, &x3, &b, &d)
    y[0] = x0
    for j in range(1, taps):
        tap = j * dilation
        if tap % stride == 0:
            absorb_shifted(y, &x0, tap / stride, r)
        elif tap % stride == 1:
            absorb_shifted(y, &x1, tap / stride, r)
        elif stride == 4 and tap % stride == 2:
            absorb_shifted(y, &x2, tap / stride, r)
        elif stride == 4:
            absorb_shifted(y, &x3, tap / stride, r)


cdef inline void stride_down(const Job* job, Scratch* s, const Tile* t, const Strip* given, Py_ssize_t count,
                             Py_ssize_t stride, Py_ssize_t taps, Py_ssize_t dilation, bint flat, Py_ssize_t i,
                             Block64* all_, const Folding* r) noexcept nogil:
    """A strip of windows through all planes of a tile. count: rows of a window that is not cut off, or 0; it and the
    others are literals where they can be."""
    cdef Strip p = given[0]
    cdef Part part[4]
    cdef Mask mask[4]
    cdef Py_ssize_t d, h
    cdef char* out
    cdef WindowRows rows
    cdef Window depth
    cdef Block64 y, nans = all_[NANS], least = all_[LEAST]
    cdef Block64 k[KEPT]
    copy_constants(k, all_)
    for d in range(stride):
        part[d] = block_part(&p, i * stride - job.axis[2].padding + d * lanes_of(k), &mask[d], k)
    for d in range(t.d0, t.d1):
        depth = window(&job.axis[0], d)
        out = output_of(job, t, d, i, stored_size(k))
        for h in range(t.h0, t.h1):
            rows = clipped_rows(job, &p, t, count, &depth, h)
            if flat:
                rows.planes = 1
            if count and rows.rows == count:
                phases_reduced(&p, &rows, count, stride, taps, dilation, part, mask, &y, k, &nans, &least, r)
            else:
                phases_reduced(&p, &rows, rows.rows, stride, taps, dilation, part, mask, &y, k, &nans, &least, r)
            put_block(&p, out, &y, p.count, k, r)
            out += p.out_row
    all_[NANS], all_[LEAST] = nans, least


cdef inline void blocks_across(const Job* job, Scratch* s, const Tile* t, Strip* p, const WindowRows* rows,
                               Py_ssize_t count, Py_ssize_t stride, Py_ssize_t taps, Py_ssize_t dilation, Py_ssize_t d,
                               Py_ssize_t h, char* out, Block64* k, Block64* nans, Block64* least,
                               const Folding* r) noexcept nogil:
    cdef Part part[4]
    cdef Mask mask[4]
    cdef Py_ssize_t width = lanes_of(k), size = stored_size(k), i = t.w0, j, n, place
    cdef Py_ssize_t usable = width - (taps - 1) * dilation / stride         # lanes whose taps are lanes of the block
    cdef Block64 y
    n = usable
    if p.streamed and usable == width and <size_t> out % VECTOR:            # from where a line begins
        n = (VECTOR - <Py_ssize_t> (<size_t> out % VECTOR)) / size
    while i < t.w1:
        place = i * stride - job.axis[2].padding
        if place >= 0 and place + stride * width <= p.columns:
            for j in range(stride):
                part[j].place, part[j].begin, part[j].end, part[j].whole = place + j * width, 0, width, True
            phases_reduced(p, rows, count, stride, taps, dilation, part, mask, &y, k, nans, least, r)
        else:
            for j in range(stride):
                part[j] = block_part(p, place + j * width, &mask[j], k)
            phases_reduced(p, rows, count, stride, taps, dilation, part, mask, &y, k, nans, least, r)
        p.plain = not p.streamed and i + width <= t.w1      # the next block writes over what is too much
        put_block(p, out + (i - t.w0) * size, &y, min(n, t.w1 - i), k, r)
        i += n
        n = usable


cdef inline void stride_across(const Job* job, Scratch* s, const Tile* t, const Strip* given, Py_ssize_t count,
                               Py_ssize_t stride, Py_ssize_t taps, Py_ssize_t dilation, bint flat, Block64* all_,
                               const Folding* r) noexcept nogil:
    """The same along rows, which is the order of memory; rows that come soon are asked for meanwhile."""
    cdef Strip p = given[0]
    cdef Py_ssize_t d, h, j, bytes = p.columns * stored_size(all_), ahead = AHEAD / bytes + 1
    cdef char* out
    cdef WindowRows rows
    cdef Window depth
    cdef Block64 nans = all_[NANS], least = all_[LEAST]
    cdef Block64 k[KEPT]
    copy_constants(k, all_)
    for d in range(t.d0, t.d1):
        depth = window(&job.axis[0], d)
        out = output_of(job, t, d, t.w0, stored_size(k))
        for h in range(t.h0, t.h1):
            rows = clipped_rows(job, &p, t, count, &depth, h)
            if flat:
                rows.planes = 1
            if job.fetched:
                for j in range(rows.planes):
                    fetch(rows.first + j * rows.plane + ahead * p.row, job.axis[1].stride * bytes)
            if count and rows.rows == count:
                blocks_across(job, s, t, &p, &rows, count, stride, taps, dilation, d, h, out, k, &nans, &least, r)
            else:
                blocks_across(job, s, t, &p, &rows, rows.rows, stride, taps, dilation, d, h, out, k, &nans, &least, r)
            out += p.out_row
    all_[NANS], all_[LEAST] = nans, least


cdef inline void strided_by(const Job* job, Scratch* s, const Tile* t, const Strip* given, Py_ssize_t count,
                            Py_ssize_t stride, Py_ssize_t taps, Py_ssize_t dilation, bint flat, Block64* k,
                            const Folding* r) noexcept nogil:
    cdef Strip p = given[0]
    cdef Py_ssize_t width = lanes_of(k), i = t.w0, usable = width - (taps - 1) * dilation / stride
    if t.w1 - t.w0 > width:                         # one strip reads every line of a row, several read it in turns
        stride_across(job, s, t, &p, count, stride, taps, dilation, flat, k, r)
        return
    if t.w1 - t.w0 > usable:
        p.limit = NULL                              # the next row is there already when a second strip comes by
    while i < t.w1:
        p.count = min(usable, t.w1 - i)
        p.plain = not p.streamed and i + width <= t.w1
        stride_down(job, s, t, &p, count, stride, taps, dilation, flat, i, k, r)
        i += usable


cdef void two_by_twos(const Job* job, Scratch* s, const Tile* t, const Strip* p, Block64* k,
                      const Folding* r) noexcept nogil:
    strided_by(job, s, t, p, 2, 2, 2, 1, True, k, r)


cdef void three_by_twos(const Job* job, Scratch* s, const Tile* t, const Strip* p, Block64* k,
                        const Folding* r) noexcept nogil:
    strided_by(job, s, t, p, 3, 2, 3, 1, True, k, r)


cdef void cubes_by_twos(const Job* job, Scratch* s, const Tile* t, const Strip* p, Block64* k,
                        const Folding* r) noexcept nogil:
    strided_by(job, s, t, p, 2, 2, 2, 1, False, k, r)


cdef void any_by_twos(const Job* job, Scratch* s, const Tile* t, const Strip* p, Block64* k,
                      const Folding* r) noexcept nogil:
    strided_by(job, s, t, p, 0, 2, p.taps, job.axis[2].dilation, False, k, r)


cdef void any_by_fours(const Job* job, Scratch* s, const Tile* t, const Strip* p, Block64* k,
                       const Folding* r) noexcept nogil:
    strided_by(job, s, t, p, 0, 4, p.taps, job.axis[2].dilation, False, k, r)


cdef bint strided(const Job* job, Scratch* s, const Tile* t, Block64* tag, const Folding* r) noexcept nogil:
    cdef bint square = job.axis[1].kernel == job.axis[2].kernel and job.axis[2].stride == 2 and (
        job.axis[1].dilation == 1 and job.axis[2].dilation == 1)
    cdef Strip p = strip_of(job)
    cdef Block64 k[KEPT]
    set_constants(job, k, r)
    p.limit = spill_limit(job, t)
    if square and p.taps == 2 and job.axis[0].kernel == 1:
        two_by_twos(job, s, t, &p, k, r)
    elif square and p.taps == 3 and job.axis[0].kernel == 1:
        three_by_twos(job, s, t, &p, k, r)
    elif square and p.taps == 2:
        cubes_by_twos(job, s, t, &p, k, r)
    elif job.axis[2].stride == 2:
        any_by_twos(job, s, t, &p, k, r)
    else:
        any_by_fours(job, s, t, &p, k, r)
    return blameless(k, r)
