# The adjoint of windows 2 numbers apart along a row: results take turns, those of one phase being sums of a number or
# two more than those of the other. Both are added up side by side, and zipped as they are stored.


cdef inline Window turned_window(const Axis* axis, Py_ssize_t i) noexcept nogil:
    """The elements that result i is the sum of, along an axis with two phases or one."""
    cdef Window w
    cdef Py_ssize_t q = (i + axis.padding) >> 1, r = (i + axis.padding) & 1
    if axis.phases == 1:
        return window(axis, i)
    w.lead = 0
    w.first = max(q + 1 - ((axis.kernel + 1 - r) >> 1), 0)
    w.count = max(min(q + 1, axis.size) - w.first, 0)
    return w


cdef enum:
    MOST_PLACES = 5         # numbers of a row that a pair of results is made of


cdef struct Pair:               # two results side by side: of the numbers from `low` on, which each of them sums
    Py_ssize_t low, places
    Py_ssize_t first, ones      # of the one: from the first on, so many
    Py_ssize_t second, others   # of the other


cdef inline Pair pair_at(const Axis* axis, Py_ssize_t i) noexcept nogil:
    cdef Pair pair
    cdef Py_ssize_t phase = (i + axis.padding) % 2, q = (i + axis.padding) / 2
    pair.ones, pair.others = (axis.kernel + 1 - phase) / 2, (axis.kernel + phase) / 2
    pair.first, pair.second = q + 1 - pair.ones, q + phase + 1 - pair.others
    pair.low = min(pair.first, pair.second)
    pair.places = q + phase + 1 - pair.low
    pair.first -= pair.low
    pair.second -= pair.low
    return pair


cdef inline void spread_block(const Strip* p, const WindowRows* rows, Py_ssize_t count, const Pair* pair,
                              const Part* part, const Mask* mask, Vec* y, Vec* z, const Vec* k,
                              const Folding* r) noexcept nogil:
    """Two blocks of results. count: of rows, a literal where it can be."""
    cdef Py_ssize_t j
    cdef Vec x, one, other, nans, least
    nans, least, one, other = k[NANS], k[LEAST], k[FILL], k[FILL]
    for j in range(pair.places):
        folded(p, rows, count, part + j, mask + j, &x, k, &nans, &least, r)
        if j == pair.first:
            one = x
        elif pair.first < j < pair.first + pair.ones:
            absorb(&one, &x, r)
        if j == pair.second:
            other = x
        elif pair.second < j < pair.second + pair.others:
            absorb(&other, &x, r)
    v_zip(y, z, &one, &other)


cdef inline void spread_some(const Job* job, const Tile* t, const Strip* given, const Pair* of, bint flat,
                             bint alone, Py_ssize_t low, Py_ssize_t i0, Py_ssize_t i1, const Vec* all_,
                             const Folding* r) noexcept nogil:
    """Results i0 to i1 of every row of a tile, two blocks at a time, the first pair's numbers from `low` on. of:
    literals; flat: no plane has more than one to sum; alone: there is nothing but these blocks. All literals."""
    cdef Strip p = given[0]
    cdef Part part[MOST_PLACES]
    cdef Mask mask[MOST_PLACES]
    cdef Py_ssize_t d, h, j, i, place, count, width = lanes_of(all_)
    cdef Window depth, height
    cdef WindowRows rows
    cdef char* out
    cdef char* row
    cdef Vec y, z
    cdef Vec k[KEPT]
    copy_constants(k, all_)
    for j in range(of.places):
        part[j] = vec_part(&p, low + j, &mask[j], k)
    for d in range(t.d0, t.d1):
        depth = turned_window(&job.axis[0], d)
        row = output_of(job, t, d, i0, number_size(k))
        for h in range(t.h0, t.h1):
            height = turned_window(&job.axis[1], h)
            rows = rows_of(job, job.x.data + t.a * job.x.a + t.b * job.x.b, &depth, &height)
            if flat:
                rows.planes = min(rows.planes, <Py_ssize_t> 1)
            place, i, out = low, i0, row
            while i < i1:
                if not alone and place >= 0 and place + of.places - 1 + width <= p.columns:
                    for j in range(of.places):
                        part[j].place, part[j].begin, part[j].end, part[j].whole = place + j, 0, width, True
                elif not alone:
                    for j in range(of.places):
                        part[j] = vec_part(&p, place + j, &mask[j], k)
                if rows.planes == 0 or rows.rows == 0:
                    y, z = k[FILL], k[FILL]
                elif flat and rows.rows == 1:
                    rows.planes = 1
                    spread_block(&p, &rows, 1, of, part, mask, &y, &z, k, r)
                elif flat and rows.rows == 2:
                    rows.planes = 1
                    spread_block(&p, &rows, 2, of, part, mask, &y, &z, k, r)
                else:
                    spread_block(&p, &rows, rows.rows, of, part, mask, &y, &z, k, r)
                count = i1 - i
                put_block(&p, out, &y, min(count, width), k, r)
                if count > width:
                    put_block(&p, out + sizeof(Vec), &z, min(count - width, width), k, r)
                if alone:
                    break
                out += 2 * sizeof(Vec)
                place += width
                i += 2 * width
            row += p.out_row


cdef inline void spread_wide(const Job* job, const Tile* t, const Strip* p, const Pair* of, bint flat,
                             Py_ssize_t low, Py_ssize_t i0, Py_ssize_t i1, const Vec* k,
                             const Folding* r) noexcept nogil:
    if i1 - i0 <= 2 * lanes_of(k):
        spread_some(job, t, p, of, flat, True, low, i0, i1, k, r)
    else:
        spread_some(job, t, p, of, flat, False, low, i0, i1, k, r)


cdef inline Pair literal_pair(Py_ssize_t places, Py_ssize_t first, Py_ssize_t ones, Py_ssize_t second,
                              Py_ssize_t others) noexcept nogil:
    cdef Pair pair
    pair.low, pair.places, pair.first, pair.ones, pair.second, pair.others = 0, places, first, ones, second, others
    return pair


cdef void spread_of_twos(const Job* job, const Tile* t, const Strip* p, Py_ssize_t low, Py_ssize_t i0, Py_ssize_t i1,
                         const Vec* k, const Folding* r) noexcept nogil:
    cdef Pair pair = literal_pair(1, 0, 1, 0, 1)
    spread_wide(job, t, p, &pair, True, low, i0, i1, k, r)


cdef void spread_of_threes(const Job* job, const Tile* t, const Strip* p, Py_ssize_t low, Py_ssize_t i0, Py_ssize_t i1,
                           const Vec* k, const Folding* r) noexcept nogil:
    cdef Pair pair = literal_pair(2, 0, 2, 1, 1)
    spread_wide(job, t, p, &pair, True, low, i0, i1, k, r)


cdef void spread_of_padded_threes(const Job* job, const Tile* t, const Strip* p, Py_ssize_t low, Py_ssize_t i0,
                                  Py_ssize_t i1, const Vec* k, const Folding* r) noexcept nogil:
    cdef Pair pair = literal_pair(2, 0, 1, 0, 2)
    spread_wide(job, t, p, &pair, True, low, i0, i1, k, r)


cdef void any_spread(const Job* job, const Tile* t, const Strip* p, const Pair* of, Py_ssize_t i0, Py_ssize_t i1,
                     const Vec* k, const Folding* r) noexcept nogil:
    cdef Pair pair = of[0]
    spread_wide(job, t, p, &pair, False, pair.low, i0, i1, k, r)


cdef bint spread_pairs(const Job* job, Scratch* s, const Tile* t, Vec* tag, const Folding* r) noexcept nogil:
    cdef Strip p = strip_of(job, s, t)
    cdef Pair pair = pair_at(&job.axis[2], t.w0)
    cdef Py_ssize_t i = t.w0, end, width = lanes_of(tag)
    cdef Py_ssize_t step = 2 * width if t.w1 - t.w0 <= 4 * width else t.w1 - t.w0  # long rows in order
    cdef bint flat = job.axis[0].kernel <= job.axis[0].phases
    cdef Vec k[KEPT]
    set_constants(job, k, r)
    v_set(&k[FILL], 0)
    p.limit = NULL
    p.plain = False
    while i < t.w1:
        end = min(i + step, t.w1)
        if flat and pair.places == 1 and pair.ones == 1 and pair.others == 1:
            spread_of_twos(job, t, &p, pair.low, i, end, k, r)
        elif flat and pair.places == 2 and pair.ones == 2 and pair.others == 1:
            spread_of_threes(job, t, &p, pair.low, i, end, k, r)
        elif flat and pair.places == 2 and pair.ones == 1 and pair.others == 2:
            spread_of_padded_threes(job, t, &p, pair.low, i, end, k, r)
        else:
            any_spread(job, t, &p, &pair, i, end, k, r)
        pair.low += step / 2
        i += step
    return True
