# Small windows 2 or 4 numbers apart along a row: rows are folded onto each other as they are loaded, lanes a stride
# apart become blocks of their own (shuffles), and taps are those, shifted by whole lanes. The last lanes of a block
# lack some of their taps: the next block begins with them.


cdef struct Part:               # a block of a row, or what there is of it
    Py_ssize_t place            # its first element
    Py_ssize_t begin, end       # lanes that are elements; none: an empty block
    bint whole


cdef inline Part vec_part(const Strip* p, Py_ssize_t place, Mask* mask, Vec* tag) noexcept nogil:
    cdef Part part
    part.place = place
    part.begin, part.end = max(-place, 0), min(p.columns - place, lanes_of(tag))
    part.whole = part.begin == 0 and part.end == lanes_of(tag)
    if not part.whole and part.begin < part.end:
        v_set_mask(mask, tag, part.begin, part.end)
    return part


cdef inline void load_part(const Strip* p, const Part* part, const char* row, Vec* y, const Mask* mask,
                           const Vec* k, const Folding* r) noexcept nogil:
    if part.whole:
        v_load(y, row)
    elif part.begin >= part.end:
        y[0] = k[FILL]
    else:
        v_load_some(y, row, mask, &k[FILL], p.low, p.high, part.begin, part.end)
    turn_block(y, k, r)


cdef inline void folded(const Strip* p, const WindowRows* rows, Py_ssize_t count, const Part* part, const Mask* mask,
                        Vec* y, const Vec* k, Vec* nans, Vec* least, const Folding* r) noexcept nogil:
    """A block of all rows, folded onto each other. count: of rows of one plane, a literal where it can be."""
    cdef Py_ssize_t j, m
    cdef Vec x, z, seen
    cdef const char* row = rows.first + part.place * number_size(y)
    if part.begin >= part.end:
        y[0] = k[FILL]
        turn_block(y, k, r)
        return
    for j in range(count):                          # planes first, then rows: the order of the passes' sums
        load_part(p, part, row + j * rows.row, &x, mask, k, r)
        if j == 0:
            seen = x
        else:
            note_nan(&seen, &x, r)
        for m in range(1, rows.planes):
            load_part(p, part, row + j * rows.row + m * rows.plane, &z, mask, k, r)
            note_nan(&seen, &z, r)
            absorb(&x, &z, r)
        if j == 0:
            y[0] = x
        else:
            if rows.planes > 1:                     # it comes before what lies on later planes
                note_zero(least, &x, k, r)
            absorb(y, &x, r)
    note_nan(nans, &seen, r)
    if rows.planes * count > 1:
        note_zero(least, y, k, r)


cdef inline void two_phases(const Strip* p, const WindowRows* rows, Py_ssize_t count, const Part* part,
                            const Mask* mask, Vec* y0, Vec* y1, const Vec* k, Vec* nans, Vec* least,
                            const Folding* r) noexcept nogil:
    """Every second number of two blocks, from the first and from the second on."""
    cdef Vec a, b
    folded(p, rows, count, &part[0], &mask[0], &a, k, nans, least, r)
    folded(p, rows, count, &part[1], &mask[1], &b, k, nans, least, r)
    v_halve(y0, y1, &a, &b)


cdef inline void absorb_shifted(Vec* y, const Vec* x, Py_ssize_t lanes, const Folding* r) noexcept nogil:
    """Take in x from a lane on."""
    cdef Vec z
    if lanes == 0:
        absorb(y, x, r)
    else:
        v_shifted(&z, x, x, lanes)
        absorb(y, &z, r)


cdef inline void phases_reduced(const Strip* p, const WindowRows* rows, Py_ssize_t count, Py_ssize_t stride,
                                Py_ssize_t taps, Py_ssize_t dilation, const Part* part, const Mask* mask, Vec* y,
                                const Vec* k, Vec* nans, Vec* least, const Folding* r) noexcept nogil:
    """A block of windows a stride apart: rows folded, lanes a stride apart side by side, taps one after the other."""
    cdef Py_ssize_t j, tap
    cdef Vec x0, x1, x2, x3, a, b, c, d
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


cdef void any_reduced(const Job* job, const Strip* p, const WindowRows* rows, Py_ssize_t i, Vec* y, Vec* all_,
                      const Folding* r) noexcept nogil:
    """The block of windows i with nothing literal: one copy serves all windows."""
    cdef Part part[4]
    cdef Mask mask[4]
    cdef Py_ssize_t j, stride = job.axis[2].stride, dilation = job.axis[2].dilation
    for j in range(stride):
        part[j] = vec_part(p, i * stride - job.axis[2].padding + j * lanes_of(y), &mask[j], y)
    if stride == 2:
        phases_reduced(p, rows, rows.rows, 2, p.taps, dilation, part, mask, y, all_, &all_[NANS], &all_[LEAST], r)
    else:
        phases_reduced(p, rows, rows.rows, 4, p.taps, dilation, part, mask, y, all_, &all_[NANS], &all_[LEAST], r)


cdef inline void stride_down(const Job* job, const Tile* t, const Strip* given, Py_ssize_t count, Py_ssize_t stride,
                             Py_ssize_t taps, bint flat, Py_ssize_t i, Vec* all_, const Folding* r) noexcept nogil:
    """A strip of windows through all planes of a tile. count: rows of a window that is not cut off; it and the others
    are literals, or 0: whatever the job says."""
    cdef Strip p = given[0]
    cdef Part part[4]
    cdef Mask mask[4]
    cdef Py_ssize_t d, h, j, end, bytes = p.columns * number_size(all_), ahead = AHEAD / bytes + 1
    cdef bint fetched = job.fetched and i == t.w0 and p.columns > 2 * lanes_of(all_)
    cdef char* out
    cdef WindowRows rows
    cdef Window depth
    cdef Vec y, apart, nans, least
    cdef Vec k[KEPT]
    copy_constants(k, all_)
    nans, least = k[NANS], k[LEAST]
    for j in range(stride):
        part[j] = vec_part(&p, i * stride - job.axis[2].padding + j * lanes_of(k), &mask[j], k)
    for d in range(t.d0, t.d1):
        depth = window(&job.axis[0], d)
        out = output_of(job, t, d, i, number_size(k))
        h = t.h0
        while h < t.h1:
            rows = clipped_rows(job, &p, t, count, &depth, h)
            if flat:
                rows.planes = 1
            if count and rows.rows == count:
                end = alike(&job.axis[1], h, t.h1)
                while h < end:
                    if fetched:
                        for j in range(rows.planes):
                            fetch(rows.first + j * rows.plane + ahead * p.row, job.axis[1].stride * bytes)
                    phases_reduced(&p, &rows, count, stride, taps, 1, part, mask, &y, k, &nans, &least, r)
                    set_divisor(job, &p, t, d, h, i, k, r)
                    put_block(&p, out, &y, p.count, k, r)
                    rows.first += job.axis[1].stride * p.row
                    out += p.out_row
                    h += 1
            else:                                   # what a function is given lies in memory: not what the others use
                any_reduced(job, &p, &rows, i, &apart, all_, r)
                set_divisor(job, &p, t, d, h, i, k, r)
                put_block(&p, out, &apart, p.count, k, r)
                out += p.out_row
                h += 1
    note_nan(&all_[NANS], &nans, r)
    keep_least(&all_[LEAST], &least, r)


cdef inline void blocks_across(const Job* job, const Tile* t, Strip* p, const WindowRows* rows, Py_ssize_t count,
                               Py_ssize_t stride, Py_ssize_t taps, Py_ssize_t dilation, Py_ssize_t d, Py_ssize_t h,
                               char* out, Vec* k, Vec* nans, Vec* least,
                               const Folding* r) noexcept nogil:
    """A row of windows."""
    cdef Part part[4]
    cdef Mask mask[4]
    cdef Py_ssize_t width = lanes_of(k), size = number_size(k), i = t.w0, j, n, place
    cdef Py_ssize_t usable = width - (taps - 1) * dilation / stride         # lanes whose taps are lanes of the block
    cdef Vec y
    n = usable
    if p.streamed and usable == width and <size_t> out % sizeof(Vec):       # from where a line begins
        n = (<Py_ssize_t> sizeof(Vec) - <Py_ssize_t> (<size_t> out % sizeof(Vec))) / size
    while i < t.w1:
        place = i * stride - job.axis[2].padding
        if place >= 0 and place + stride * width <= p.columns:
            for j in range(stride):
                part[j].place, part[j].begin, part[j].end, part[j].whole = place + j * width, 0, width, True
            phases_reduced(p, rows, count, stride, taps, dilation, part, mask, &y, k, nans, least, r)
        else:
            for j in range(stride):
                part[j] = vec_part(p, place + j * width, &mask[j], k)
            phases_reduced(p, rows, count, stride, taps, dilation, part, mask, &y, k, nans, least, r)
        p.plain = not p.streamed and i + width <= t.w1      # the next block writes over what is too much
        p.divided_for = -1
        set_divisor(job, p, t, d, h, i, k, r)
        put_block(p, out + (i - t.w0) * size, &y, min(n, t.w1 - i), k, r)
        i += n
        n = usable


cdef void any_across(const Job* job, const Tile* t, const Strip* given, const WindowRows* rows_, Py_ssize_t d,
                     Py_ssize_t h, char* out, Vec* all_, const Folding* r) noexcept nogil:
    """The same with nothing literal: one copy serves all windows."""
    cdef Strip p = given[0]
    cdef WindowRows rows = rows_[0]
    cdef Py_ssize_t dilation = job.axis[2].dilation
    cdef Vec nans = all_[NANS], least = all_[LEAST]
    cdef Vec k[KEPT]
    copy_constants(k, all_)
    if job.axis[2].stride == 2:
        blocks_across(job, t, &p, &rows, rows.rows, 2, p.taps, dilation, d, h, out, k, &nans, &least, r)
    else:
        blocks_across(job, t, &p, &rows, rows.rows, 4, p.taps, dilation, d, h, out, k, &nans, &least, r)
    all_[NANS], all_[LEAST] = nans, least


cdef inline void stride_across(const Job* job, const Tile* t, const Strip* given, Py_ssize_t count, Py_ssize_t stride,
                               Py_ssize_t taps, bint flat, Vec* all_, const Folding* r) noexcept nogil:
    """A tile in the order of memory; rows that come soon are asked for meanwhile."""
    cdef Strip p = given[0]
    cdef Py_ssize_t d, h, j, bytes = p.columns * number_size(all_), ahead = AHEAD / bytes + 1
    cdef char* out
    cdef WindowRows rows
    cdef Window depth
    cdef Vec nans, least
    cdef Vec k[KEPT]
    copy_constants(k, all_)
    nans, least = k[NANS], k[LEAST]
    for d in range(t.d0, t.d1):
        depth = window(&job.axis[0], d)
        out = output_of(job, t, d, t.w0, number_size(k))
        for h in range(t.h0, t.h1):
            rows = clipped_rows(job, &p, t, count, &depth, h)
            if flat:
                rows.planes = 1
            if job.fetched and bytes <= 2 * AHEAD:  # longer rows are fetched by themselves
                for j in range(rows.planes):
                    fetch(rows.first + j * rows.plane + ahead * p.row, job.axis[1].stride * bytes)
            if count and rows.rows == count:
                blocks_across(job, t, &p, &rows, count, stride, taps, 1, d, h, out, k, &nans, &least, r)
            else:
                any_across(job, t, &p, &rows, d, h, out, all_, r)
            out += p.out_row
    if count:
        note_nan(&all_[NANS], &nans, r)
        keep_least(&all_[LEAST], &least, r)


cdef inline void strided_by(const Job* job, const Tile* t, const Strip* given, Py_ssize_t count, Py_ssize_t stride,
                            Py_ssize_t taps, bint flat, Vec* k, const Folding* r) noexcept nogil:
    cdef Strip p = given[0]
    cdef Py_ssize_t width = lanes_of(k), i = t.w0
    cdef Py_ssize_t usable = width - (p.taps - 1) * job.axis[2].dilation / stride   # lanes whose taps are lanes
    if t.w1 - t.w0 > 2 * width:                     # one strip reads every line of a row, many read it in turns
        stride_across(job, t, &p, count, stride, taps, flat, k, r)
        return
    if t.w1 - t.w0 > usable:
        p.limit = NULL                              # the next row is there already when a second strip comes by
    while i < t.w1:
        p.count = min(usable, t.w1 - i)
        p.plain = not p.streamed and i + width <= t.w1
        stride_down(job, t, &p, count, stride, taps, flat, i, k, r)
        i += usable


cdef void two_by_twos(const Job* job, const Tile* t, const Strip* p, Vec* k, const Folding* r) noexcept nogil:
    strided_by(job, t, p, 2, 2, 2, True, k, r)


cdef void three_by_twos(const Job* job, const Tile* t, const Strip* p, Vec* k, const Folding* r) noexcept nogil:
    strided_by(job, t, p, 3, 2, 3, True, k, r)


cdef void cubes_by_twos(const Job* job, const Tile* t, const Strip* p, Vec* k, const Folding* r) noexcept nogil:
    strided_by(job, t, p, 2, 2, 2, False, k, r)


cdef void any_strided(const Job* job, const Tile* t, const Strip* p, Vec* k, const Folding* r) noexcept nogil:
    strided_by(job, t, p, 0, job.axis[2].stride, 0, False, k, r)


cdef bint strided(const Job* job, Scratch* s, const Tile* t, Vec* tag, const Folding* r) noexcept nogil:
    cdef bint square = job.axis[1].kernel == job.axis[2].kernel and job.axis[2].stride == 2 and (
        job.axis[1].dilation == 1 and job.axis[2].dilation == 1)
    cdef Strip p = strip_of(job, s, t)
    cdef Vec k[KEPT]
    set_constants(job, k, r)
    p.limit = spill_limit(job, t)
    if Vec is Floats or Vec is Bytes:
        if SPELLED_OUT and square and p.taps == 2 and job.axis[0].kernel == 1:
            two_by_twos(job, t, &p, k, r)
            return blameless(k, r)
    if Vec is Floats:
        if SPELLED_OUT and square and p.taps == 3 and job.axis[0].kernel == 1:
            three_by_twos(job, t, &p, k, r)
            return blameless(k, r)
        if SPELLED_OUT and square and p.taps == 2:
            cubes_by_twos(job, t, &p, k, r)
            return blameless(k, r)
    any_strided(job, t, &p, k, r)
    return blameless(k, r)
