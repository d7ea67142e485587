# Small windows, maxima with the ordinals of their taps: taps are met in order, and take over where they are
# larger. Ordinals are integers in lanes as wide as the numbers, and bytes in memory.
#
# Padding is never chosen. It is below every number but -inf: a block that holds one and met padding fails, and so does
# a tile with a NaN; the passes do it again.


cdef inline void meet_vec(const RealVec* x, Py_ssize_t tap, bint first, RealVec* y, RealVec* o) noexcept nogil:
    cdef RealVec t
    v_set_bits(&t, tap)
    if first:
        y[0], o[0] = x[0], t
    else:
        v_take(y, o, x, &t)


cdef inline void meet_row(const Strip* p, const char* row, Py_ssize_t taps, Py_ssize_t dilation,
                          Py_ssize_t tap, bint first, const Part* part, const Mask* mask, RealVec* y, RealVec* o,
                          const RealVec* k, RealVec* nans) noexcept nogil:
    """The taps of a row, of windows two apart. taps, dilation: literals where they can be."""
    cdef Py_ssize_t j
    cdef RealVec a, b, x0, x1, x
    load_part(p, &part[0], row + part[0].place * number_size(y), &a, &mask[0], k, <Max*> NULL)
    load_part(p, &part[1], row + part[1].place * number_size(y), &b, &mask[1], k, <Max*> NULL)
    note_nan(nans, &a, <Max*> NULL)
    note_nan(nans, &b, <Max*> NULL)
    v_halve(&x0, &x1, &a, &b)
    for j in range(taps):
        if j * dilation < 2:
            x = x0 if j * dilation == 0 else x1
        elif j * dilation % 2 == 0:
            v_shifted(&x, &x0, &x0, j * dilation / 2)
        else:
            v_shifted(&x, &x1, &x1, j * dilation / 2)
        meet_vec(&x, tap + j, first and j == 0, y, o)


cdef inline void meet_rows(const Job* job, const Strip* p, const WindowRows* rows, Py_ssize_t lead_d, Py_ssize_t lead_h,
                           Py_ssize_t taps, Py_ssize_t dilation, const Part* part, const Mask* mask,
                           RealVec* y, RealVec* o, const RealVec* k, RealVec* nans) noexcept nogil:
    cdef Py_ssize_t i, j
    if rows.planes == 0 or rows.rows == 0:
        y[0] = k[FILL]
        turn_block(y, k, <Max*> NULL)
        v_set_bits(o, 0)
    for i in range(rows.planes):
        for j in range(rows.rows):
            meet_row(p, rows.first + i * rows.plane + j * rows.row, taps, dilation,
                     ((lead_d + i) * job.axis[1].kernel + lead_h + j) * job.axis[2].kernel, i == 0 and j == 0, part,
                     mask, y, o, k, nans)


cdef inline char* index_of(const Job* job, const Tile* t, Py_ssize_t d, Py_ssize_t h, Py_ssize_t w) noexcept nogil:
    return job.index + ((((t.a * job.b + t.b) * job.axis[0].out + d) * job.axis[1].out + h) * job.axis[2].out
                        + w) * job.inner


cdef inline bint named_rows(const Job* job, Scratch* s, const Tile* t, Py_ssize_t taps, Py_ssize_t dilation,
                            Py_ssize_t w0, Py_ssize_t w1, RealVec* all_) noexcept nogil:
    """Columns w0..w1 of a tile, row by row; false if a window met nothing but padding and -inf. The literals: see
    `meet_row`."""
    cdef Strip p = strip_of(job, s, t)
    cdef Part part[2]
    cdef Mask mask[2]
    cdef Py_ssize_t width = lanes_of(all_), size = number_size(all_), usable = width - (taps - 1) * dilation / 2
    cdef Py_ssize_t d, h, i, j, count, placed = -1, bytes = p.columns * size, ahead = AHEAD / bytes + 1
    cdef char* out
    cdef char* index
    cdef WindowRows rows
    cdef Window depth, height
    cdef RealVec y, o, lowest, nans
    cdef RealVec k[KEPT]
    cdef bint met = False
    copy_constants(k, all_)
    lowest, nans = k[FILL], k[NANS]
    turn_block(&lowest, k, <Max*> NULL)
    p.plain, p.limit = False, NULL
    for d in range(t.d0, t.d1):
        depth = window(&job.axis[0], d)
        for h in range(t.h0, t.h1):
            height = window(&job.axis[1], h)
            rows = rows_of(job, job.x.data + t.a * job.x.a + t.b * job.x.b, &depth, &height)
            if job.fetched and bytes <= 2 * AHEAD:
                for j in range(rows.planes):
                    fetch(rows.first + j * rows.plane + ahead * p.row, job.axis[1].stride * bytes)
            out = output_of(job, t, d, w0, size) + (h - t.h0) * p.out_row
            index = index_of(job, t, d, h, w0)
            i = w0
            while i < w1:
                if i != placed:
                    for j in range(2):
                        part[j] = vec_part(&p, i * 2 - job.axis[2].padding + j * width, &mask[j], k)
                    placed = i
                meet_rows(job, &p, &rows, depth.lead, height.lead, taps, dilation, part, mask, &y, &o, k, &nans)
                count = min(usable, w1 - i)
                if not part[0].whole or not part[1].whole or rows.planes * rows.rows == 0:
                    met |= v_equal(&y, &lowest, count)
                put_block(&p, out + (i - w0) * size, &y, count, k, <Max*> NULL)
                v_store_ordinals(index + i - w0, &o, count)
                i += usable
    note_nan(&all_[NANS], &nans, <Max*> NULL)
    return not met


cdef inline bint named_strided(const Job* job, Scratch* s, const Tile* t, Py_ssize_t taps, Py_ssize_t dilation,
                               RealVec* k) noexcept nogil:
    """A tile of windows two apart: strip by strip where there are not more than two, else along rows."""
    cdef Py_ssize_t usable = lanes_of(k) - (taps - 1) * dilation / 2, i = t.w0
    cdef bint found = True
    if t.w1 - t.w0 > 2 * usable:
        return named_rows(job, s, t, taps, dilation, t.w0, t.w1, k)
    while i < t.w1:
        found &= named_rows(job, s, t, taps, dilation, i, min(i + usable, t.w1), k)
        i += usable
    return found


cdef inline void named_level(const Strip* p, Py_ssize_t taps, const char* plane, Py_ssize_t h, RealVec* y, RealVec* o,
                             const Mask* mask, const RealVec* k, RealVec* nans) noexcept nogil:
    """The taps of input row h, or padding. taps: a literal where it can be."""
    cdef RealVec x, best, named
    cdef Py_ssize_t j
    cdef const char* row = plane + h * p.row + p.first * number_size(y)
    best = k[FILL]
    turn_block(&best, k, <Max*> NULL)
    v_set_bits(&named, 0)
    if <size_t> h < <size_t> p.rows:
        for j in range(taps):
            load_tap(p, row + j * number_size(y), j, &x, &mask[j], k, <Max*> NULL)
            if j == 0 or p.unseen:
                note_nan(nans, &x, <Max*> NULL)
            meet_vec(&x, j, j == 0, &best, &named)
    y[0], o[0] = best, named


cdef inline bint named_down(const Job* job, Scratch* s, const Tile* t, const Strip* given, bint inside, Py_ssize_t i,
                            const Mask* mask, RealVec* all_) noexcept nogil:
    """A strip of windows of 3 x 3, one apart: the rows above stay in registers. inside: a literal."""
    cdef Strip p = given[0]
    cdef Py_ssize_t d, h, last = 2 - job.axis[1].padding
    cdef const char* plane
    cdef char* out
    cdef char* index
    cdef RealVec x, y, z, ox, oy, oz, best, named, later, lowest, nans = all_[NANS]
    cdef RealVec k[KEPT]
    cdef Mask own[3]
    cdef bint met = False
    copy_constants(k, all_)
    lowest = k[FILL]
    turn_block(&lowest, k, <Max*> NULL)
    p.inside = inside
    own[0], own[1], own[2] = mask[0], mask[1], mask[2]
    for d in range(t.d0, t.d1):
        plane = plane_of(job, t, d)
        out = output_of(job, t, d, i, number_size(k))
        index = index_of(job, t, d, t.h0, i)
        named_level(&p, 3, plane, t.h0 + last - 2, &y, &oy, own, k, &nans)
        named_level(&p, 3, plane, t.h0 + last - 1, &x, &ox, own, k, &nans)
        for h in range(t.h0, t.h1):                 # a window is y, x, z
            named_level(&p, 3, plane, h + last, &z, &oz, own, k, &nans)
            best, named = y, oy
            v_add_bits(&later, &ox, 3)
            v_take(&best, &named, &x, &later)
            v_add_bits(&later, &oz, 6)
            v_take(&best, &named, &z, &later)
            if not inside or h + last - 2 < 0 or h + last >= p.rows:
                met |= v_equal(&best, &lowest, p.count)
            put_block(&p, out, &best, p.count, k, <Max*> NULL)
            v_store_ordinals(index, &named, p.count)
            y, oy, x, ox = x, ox, z, oz
            out += p.out_row
            index += job.axis[2].out
    all_[NANS] = nans
    return not met


cdef bint named_ring(const Job* job, Scratch* s, const Tile* t, const Strip* given, Py_ssize_t i, const Mask* mask,
                     RealVec* all_) noexcept nogil:
    """A strip of windows of any number of rows, one apart: those above go round in a ring."""
    cdef Strip p = given[0]
    cdef Py_ssize_t d, h, j, at_, taps = job.axis[1].kernel, last = taps - 1 - job.axis[1].padding, place
    cdef const char* plane
    cdef char* out
    cdef char* index
    cdef RealVec best, named, later, lowest, nans = all_[NANS]
    cdef RealVec ring[RING]
    cdef RealVec ordinal[RING]
    cdef RealVec k[KEPT]
    cdef bint met = False
    copy_constants(k, all_)
    lowest = k[FILL]
    turn_block(&lowest, k, <Max*> NULL)
    for d in range(t.d0, t.d1):
        plane = plane_of(job, t, d)
        out = output_of(job, t, d, i, number_size(k))
        index = index_of(job, t, d, t.h0, i)
        for j in range(taps - 1):
            named_level(&p, p.taps, plane, t.h0 + last - taps + 1 + j, &ring[j], &ordinal[j], mask, k, &nans)
        place = 0                                   # of the window's first row
        for h in range(t.h0, t.h1):
            at_ = place + taps - 1 if place == 0 else place - 1
            named_level(&p, p.taps, plane, h + last, &ring[at_], &ordinal[at_], mask, k, &nans)
            best, named = ring[place], ordinal[place]
            at_ = place
            for j in range(1, taps):
                at_ = at_ + 1 if at_ + 1 < taps else 0
                v_add_bits(&later, &ordinal[at_], j * p.taps)
                v_take(&best, &named, &ring[at_], &later)
            met |= v_equal(&best, &lowest, p.count)
            put_block(&p, out, &best, p.count, k, <Max*> NULL)
            v_store_ordinals(index, &named, p.count)
            place = place + 1 if place + 1 < taps else 0
            out += p.out_row
            index += job.axis[2].out
    all_[NANS] = nans
    return not met


cdef bint named_apart(const Job* job, Scratch* s, const Tile* t, RealVec* k) noexcept nogil:
    cdef Py_ssize_t width = lanes_of(k), i = t.w0
    cdef Strip p = strip_of(job, s, t)
    cdef Mask mask[MOST_TAPS]
    cdef bint found = True
    p.limit = NULL
    while i < t.w1:
        if i + width > t.w1 and t.w1 - t.w0 >= width:
            i = t.w1 - width                        # a block that overlaps the one before
        set_block(&p, i - job.axis[2].padding, min(width, t.w1 - i), i + width >= t.w1, mask, k)
        p.plain = False
        if job.axis[1].kernel != 3 or p.taps != 3:
            found &= named_ring(job, s, t, &p, i, mask, k)
        elif p.inside:
            found &= named_down(job, s, t, &p, True, i, mask, k)
        else:
            found &= named_down(job, s, t, &p, False, i, mask, k)
        i += width
    return found


cdef inline bint named_channels(const Job* job, Scratch* s, const Tile* t, RealVec* all_) noexcept nogil:
    """Channels side by side: a vector of them takes tap after tap."""
    cdef Py_ssize_t width = lanes_of(all_), size = number_size(all_), pixel = job.inner * size, d, h, i, j, m, n, c, tap
    cdef const char* base
    cdef const char* at
    cdef char* out
    cdef char* index
    cdef WindowRows rows
    cdef Strip p = strip_of(job, s, t)
    cdef Window depth, height, along
    cdef RealVec x, y, o, nans
    cdef RealVec k[KEPT]
    copy_constants(k, all_)
    nans = k[NANS]
    p.plain = True
    for d in range(t.d0, t.d1):
        depth = window(&job.axis[0], d)
        for h in range(t.h0, t.h1):
            height = window(&job.axis[1], h)
            rows = rows_of(job, job.x.data + t.a * job.x.a + t.b * job.x.b, &depth, &height)
            out = output_of(job, t, d, t.w0 * job.inner, size) + (h - t.h0) * p.out_row
            index = index_of(job, t, d, h, t.w0)
            for i in range(t.w0, t.w1):
                along = window(&job.axis[2], i)
                if along.count == 0 or rows.rows == 0 or rows.planes == 0:
                    return False
                base = rows.first + along.first * pixel
                if job.fetched:                     # what the next row of windows needs there
                    for j in range(job.axis[1].stride):
                        fetch_far(base + (rows.rows + j) * p.row, job.axis[2].stride * pixel)
                c = 0
                while c < job.inner:
                    if c + width > job.inner:
                        c = job.inner - width       # a vector that overlaps the one before
                    for m in range(rows.planes):
                        for n in range(rows.rows):
                            at = base + m * rows.plane + n * rows.row + c * size
                            tap = (((depth.lead + m) * job.axis[1].kernel + height.lead + n) * job.axis[2].kernel
                                   + along.lead)
                            for j in range(along.count):
                                v_load(&x, at)
                                turn_block(&x, k, <Max*> NULL)
                                note_nan(&nans, &x, <Max*> NULL)
                                meet_vec(&x, tap + j, m + n + j == 0, &y, &o)
                                at += job.axis[2].dilation * pixel
                    put_block(&p, out + c * size, &y, width, k, <Max*> NULL)
                    v_store_ordinals(index + c, &o, width)
                    c += width
                out += pixel
                index += job.inner
    note_nan(&all_[NANS], &nans, <Max*> NULL)
    return True


cdef bint with_ordinals(const Job* job, Scratch* s, const Tile* t, RealVec* tag) noexcept nogil:
    cdef const Axis* axis = &job.axis[2]
    cdef RealVec k[KEPT]
    cdef bint found
    set_constants(job, k, <Max*> NULL)
    if job.inner > 1:
        found = named_channels(job, s, t, k)
    elif axis.stride == 1:
        found = named_apart(job, s, t, k)
    elif axis.kernel == 2 and axis.dilation == 1:
        found = named_strided(job, s, t, 2, 1, k)
    elif axis.kernel == 3 and axis.dilation == 1:
        found = named_strided(job, s, t, 3, 1, k)
    else:
        found = named_strided(job, s, t, axis.kernel, axis.dilation, k)
    return found and not v_has_nan(&k[NANS])
