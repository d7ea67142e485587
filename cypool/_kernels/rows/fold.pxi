# Row loops: the only loops that touch every element. Each is written once, for every element and reduction.
#
# y, x: values; y_tap, x_tap: their ordinals under an Arg policy (x_tap may be NULL: no taps met yet), else NULL.
# Whoever calls a loop sees to it that y overlaps no input, except where a comment says "in place".


cdef enum:
    VECTOR = 64             # bytes: short rows are worked in whole vectors of so many
    CHAIN = 64              # taps added one after the other before a partial sum is set aside
    LANES = 32              # elements from which on a run is reduced in lanes
    LANE_ROOM = 512         # lanes of all runs that are reduced at once
    SQUARE = 256            # numbers of four bytes in as many vectors as one holds


cdef struct Grid:           # planes of rows of n elements, and the elements from one to the next
    Py_ssize_t planes, rows, n
    Py_ssize_t x_plane, x_row, y_plane, y_row
    # So many elements behind the last row may be read (x) or written (y). As long as they stay before that, rows are
    # rounded up to whole vectors: the next row is written over what was too much. NO_SPILL: y must not be.
    Py_ssize_t x_spare, y_spare
    # Of sums, floats only: what to divide them by, each row's number in `by` times each column's in `counts`, which
    # may be read in whole vectors. No `by`: not at all; no `counts`: all columns alike.
    const double* by
    Py_ssize_t by_plane, by_row
    const void* counts
    Py_ssize_t counts_plane, counts_row


cdef extern from *:
    """
    #define CYPOOL_NO_SPILL (PY_SSIZE_T_MIN / 4)
    """
    const Py_ssize_t NO_SPILL "CYPOOL_NO_SPILL"
    const Py_ssize_t PY_SSIZE_T_MAX


cdef inline Grid line(Py_ssize_t n) noexcept nogil:
    """A grid of one row."""
    cdef Grid g
    memset(&g, 0, sizeof(Grid))
    g.planes = g.rows = 1
    g.n = n
    return g


cdef inline void swap(Py_ssize_t* a, Py_ssize_t* b) noexcept nogil:
    cdef Py_ssize_t was = a[0]
    a[0], b[0] = b[0], was


cdef inline void put_in_order(Grid* g) noexcept nogil:
    """Rows before planes, as they lie in memory: rounding up needs it."""
    if g.planes > 1 and g.y_row > g.y_plane:
        swap(&g.planes, &g.rows)
        swap(&g.x_plane, &g.x_row)
        swap(&g.y_plane, &g.y_row)
        swap(&g.by_plane, &g.by_row)
        swap(&g.counts_plane, &g.counts_row)


cdef inline void join(Grid* g, Py_ssize_t stride) noexcept nogil:
    """Rows that touch in memory become one, whose windows are `stride` apart."""
    cdef int i
    if g.counts != NULL:
        return
    for i in range(2):
        if g.rows > 1 and (g.x_row != g.n * stride or g.y_row != g.n):
            return
        g.n *= g.rows
        g.rows, g.x_row, g.y_row = g.planes, g.x_plane, g.y_plane
        g.planes = 1


cdef inline void take(Element* y, const Element* x, Py_ssize_t stride, Py_ssize_t lanes) noexcept nogil:
    """y[i] = x[i * stride] for a few lanes. Strides 2 and 4 read up to the next element that would be taken."""
    cdef Py_ssize_t i
    cdef Element half[2 * VECTOR]
    if Element is not Wide and lanes == VECTOR // sizeof(Element) and stride == 2:
        halve(<char*> y, <const char*> x, 0, sizeof(Element))
    elif Element is not Wide and lanes == VECTOR // sizeof(Element) and stride == 4:
        halve(<char*> half, <const char*> x, 0, sizeof(Element))
        halve(<char*> (half + lanes), <const char*> (x + 2 * lanes), 0, sizeof(Element))
        halve(<char*> y, <const char*> half, 0, sizeof(Element))
    else:
        for i in range(lanes):
            y[i] = x[i * stride]


cdef inline void fold_lanes(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t taps,
                            Py_ssize_t step, Py_ssize_t stride, Py_ssize_t lanes, int64_t tap, int64_t tap_step,
                            const Reduction* r) noexcept nogil:
    """y[i] = reduction over j < taps of x[i * stride + j * step] for a few lanes, in local variables, which nothing
    else can point to: with a literal number of lanes they stay in a vector register."""
    cdef Py_ssize_t i, j
    cdef Element lane[VECTOR]
    cdef Element lane_tap[VECTOR]
    cdef Element more[VECTOR]
    cdef Element more_tap[VECTOR]
    cdef Element best[VECTOR]
    cdef Element best_tap[VECTOR]
    cdef Element shift
    cdef bint better
    take(lane, x, stride, lanes)
    if Reduction in Arg:
        if Element is not Wide:
            shift = <Element> tap
            if x_tap == NULL:
                for i in range(lanes):
                    lane_tap[i] = shift
            else:
                take(lane_tap, x_tap, stride, lanes)
                for i in range(lanes):
                    lane_tap[i] += shift
            for j in range(1, taps):
                take(more, x + j * step, stride, lanes)
                shift = <Element> (tap + j * tap_step)
                if x_tap == NULL:
                    for i in range(lanes):
                        more_tap[i] = shift
                else:
                    take(more_tap, x_tap + j * step, stride, lanes)
                    for i in range(lanes):
                        more_tap[i] += shift
                for i in range(lanes):              # not in place: compilers would store those alone that are better
                    if x_tap == NULL:
                        better = beats_in_order(more[i], lane[i], r)
                    else:
                        better = beats(more[i], more_tap[i], lane[i], lane_tap[i], r)
                    best[i] = more[i] if better else lane[i]
                    best_tap[i] = more_tap[i] if better else lane_tap[i]
                for i in range(lanes):
                    lane[i] = best[i]
                    lane_tap[i] = best_tap[i]
            for i in range(lanes):
                y_tap[i] = lane_tap[i]
    else:
        for j in range(1, taps):
            if stride == 1:
                for i in range(lanes):
                    lane[i] = reduce(lane[i], x[i + j * step], r)
            else:
                if Element is not Wide and stride == 2 and step == 1 and j == 1 and lanes > 1:
                    halve(<char*> more, <const char*> x, 1, sizeof(Element))    # beside those taken before
                else:
                    take(more, x + j * step, stride, lanes)
                for i in range(lanes):
                    lane[i] = reduce(lane[i], more[i], r)
    for i in range(lanes):
        y[i] = lane[i]


cdef inline void fold_two_vectors(Element* y, const Element* x, Py_ssize_t taps, Py_ssize_t step,
                                  const Reduction* r) noexcept nogil:
    """As fold_lanes for two vectors side by side: neither waits for the other."""
    cdef Py_ssize_t i, j
    cdef Element left[VECTOR]
    cdef Element right[VECTOR]
    for i in range(VECTOR // sizeof(Element)):
        left[i] = x[i]
    for i in range(VECTOR // sizeof(Element)):
        right[i] = x[i + VECTOR // sizeof(Element)]
    for j in range(1, taps):
        x += step
        for i in range(VECTOR // sizeof(Element)):
            left[i] = reduce(left[i], x[i], r)
        for i in range(VECTOR // sizeof(Element)):
            right[i] = reduce(right[i], x[i + VECTOR // sizeof(Element)], r)
    for i in range(VECTOR // sizeof(Element)):
        y[i] = left[i]
    for i in range(VECTOR // sizeof(Element)):
        y[i + VECTOR // sizeof(Element)] = right[i]


cdef inline void fold_vector(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t taps,
                             Py_ssize_t step, Py_ssize_t stride, Py_ssize_t lanes, int64_t tap, int64_t tap_step,
                             const Reduction* r) noexcept nogil:
    """As fold_lanes; long sums go through partial sums: the error grows slower."""
    cdef Py_ssize_t i, part, done = min(taps, <Py_ssize_t> CHAIN) if Reduction is Sum else taps
    cdef Element more[VECTOR]
    fold_lanes(y, y_tap, x, x_tap, done, step, stride, lanes, tap, tap_step, r)
    if Reduction is Sum:
        while done < taps:
            part = min(taps - done, <Py_ssize_t> CHAIN)
            fold_lanes(more, <Element*> NULL, x + done * step, <Element*> NULL, part, step, stride, lanes, 0, 0, r)
            for i in range(lanes):
                y[i] = reduce(y[i], more[i], r)
            done += part


cdef enum Divided:
    WHOLE                   # sums stay as they are
    ALIKE                   # all are divided by one number
    APART                   # each row and column has its own


cdef inline void divide_lanes(Element* y, Element by, const Element* counts, Divided divided,
                              Py_ssize_t lanes) noexcept nogil:
    """In place, floats only."""
    cdef Py_ssize_t i
    if Element is float or Element is double:
        if divided == ALIKE:
            for i in range(lanes):
                y[i] = y[i] / by
        elif divided == APART:
            for i in range(lanes):
                y[i] = y[i] / (by * counts[i])


cdef void divide_row(Element* y, Element by, const Element* counts, Py_ssize_t n) noexcept nogil:
    if counts == NULL:
        divide_lanes(y, by, counts, ALIKE, n)
    else:
        divide_lanes(y, by, counts, APART, n)


cdef void fold_rest(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t taps,
                    Py_ssize_t step, Py_ssize_t stride, Py_ssize_t n, bint beyond, int64_t tap, int64_t tap_step,
                    const Reduction* r) noexcept nogil:
    """What is left of a row behind its last whole vector: as a vector, if that may be read, but not written as one."""
    cdef Py_ssize_t i
    cdef Element last[VECTOR]
    cdef Element last_tap[VECTOR]
    if beyond:
        fold_vector(last, last_tap, x, x_tap, taps, step, stride, VECTOR // sizeof(Element), tap, tap_step, r)
        for i in range(n):
            y[i] = last[i]
        if Reduction in Arg:
            for i in range(n):
                y_tap[i] = last_tap[i]
        return
    for i in range(n):
        fold_vector(y + i, y_tap if y_tap == NULL else y_tap + i, x + i * stride,
                    x_tap if x_tap == NULL else x_tap + i * stride, taps, step, 1, 1, tap, tap_step, r)


cdef inline void fold_vectors(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t taps,
                              Py_ssize_t step, Py_ssize_t stride, bint by_twos, Divided divided, const Grid* g,
                              int64_t tap, int64_t tap_step, const Reduction* r) noexcept nogil:
    """Rows of windows in whole vectors, rounded up where that does no harm; sums may be divided on the way."""
    cdef Py_ssize_t width = VECTOR // sizeof(Element)
    cdef Py_ssize_t up = (g.n + width - 1) // width * width, p, q, i, n, rounded_up, end
    cdef Py_ssize_t x_end = ((g.planes - 1) * g.x_plane + (g.rows - 1) * g.x_row + (g.n - 1) * stride + 1
                             - up * stride + g.x_spare)
    cdef Py_ssize_t y_end = (g.planes - 1) * g.y_plane + (g.rows - 1) * g.y_row + g.n + g.y_spare - up
    cdef Element by
    cdef const Element* counts = NULL
    cdef const Element* from_x
    cdef const Element* from_tap
    cdef Element* to_y
    cdef Element* to_tap
    if up == g.n:
        y_end = PY_SSIZE_T_MAX
    memset(&by, 0, sizeof(Element))
    if Element is float or Element is double:
        if divided == ALIKE:
            by = <Element> g.by[0]
    for p in range(g.planes):
        from_x = x + p * g.x_plane
        from_tap = x_tap if x_tap == NULL else x_tap + p * g.x_plane
        to_y = y + p * g.y_plane
        to_tap = y_tap if y_tap == NULL else y_tap + p * g.y_plane
        rounded_up = g.rows if p * g.x_plane <= x_end and p * g.y_plane <= y_end else 0
        while rounded_up > 0 and (p * g.x_plane + (rounded_up - 1) * g.x_row > x_end
                                  or p * g.y_plane + (rounded_up - 1) * g.y_row > y_end):
            rounded_up -= 1
        for q in range(g.rows):
            n = up if q < rounded_up else (g.n - 1) // width * width
            if Element is float or Element is double:
                if divided == APART:
                    by = <Element> g.by[p * g.by_plane + q * g.by_row]
                    counts = <const Element*> g.counts + p * g.counts_plane + q * g.counts_row
            i = 0
            if by_twos and Reduction not in Arg:
                while i + 2 * width <= n:
                    fold_two_vectors(to_y + i, from_x + i, taps, step, r)
                    divide_lanes(to_y + i, by, counts + i, divided, VECTOR // sizeof(Element))
                    divide_lanes(to_y + i + width, by, counts + i + width, divided, VECTOR // sizeof(Element))
                    i += 2 * (VECTOR // sizeof(Element))
            while i < n:
                fold_vector(to_y + i, to_tap if to_tap == NULL else to_tap + i, from_x + i * stride,
                            from_tap if from_tap == NULL else from_tap + i * stride, taps, step, stride,
                            VECTOR // sizeof(Element), tap, tap_step, r)
                divide_lanes(to_y + i, by, counts + i, divided, VECTOR // sizeof(Element))
                i += VECTOR // sizeof(Element)
            if n < g.n:
                end = p * g.x_plane + q * g.x_row
                fold_rest(to_y + n, to_tap if to_tap == NULL else to_tap + n, from_x + n * stride,
                          from_tap if from_tap == NULL else from_tap + n * stride, taps, step, stride, g.n - n,
                          end <= x_end, tap, tap_step, r)
                if divided != WHOLE:
                    divide_row(to_y + n, by, counts + n if divided == APART else counts, g.n - n)
            from_x += g.x_row
            to_y += g.y_row
            if to_tap != NULL:
                to_tap += g.y_row
            if from_tap != NULL:
                from_tap += g.x_row


# One function for each literal stride, and none inlined into `fold`: in one great function gcc runs out of registers.

cdef void fold_many(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t taps,
                    Py_ssize_t step, Py_ssize_t stride, const Grid* g, int64_t tap, int64_t tap_step,
                    const Reduction* r) noexcept nogil:
    fold_vectors(y, y_tap, x, x_tap, taps, step, 1, taps <= CHAIN or Reduction is not Sum, WHOLE, g, tap, tap_step, r)


cdef void fold_by_two(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t taps,
                      Py_ssize_t step, Py_ssize_t stride, const Grid* g, int64_t tap, int64_t tap_step,
                      const Reduction* r) noexcept nogil:
    fold_vectors(y, y_tap, x, x_tap, taps, step, 2, False, WHOLE, g, tap, tap_step, r)


cdef void fold_by_any(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t taps,
                      Py_ssize_t step, Py_ssize_t stride, const Grid* g, int64_t tap, int64_t tap_step,
                      const Reduction* r) noexcept nogil:
    fold_vectors(y, y_tap, x, x_tap, taps, step, stride, False, WHOLE, g, tap, tap_step, r)


cdef void divided_many(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t taps,
                       Py_ssize_t step, Py_ssize_t stride, const Grid* g, int64_t tap, int64_t tap_step,
                       const Reduction* r) noexcept nogil:
    fold_vectors(y, y_tap, x, x_tap, taps, step, 1, taps <= CHAIN, ALIKE, g, tap, tap_step, r)


cdef void apart_many(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t taps,
                     Py_ssize_t step, Py_ssize_t stride, const Grid* g, int64_t tap, int64_t tap_step,
                     const Reduction* r) noexcept nogil:
    fold_vectors(y, y_tap, x, x_tap, taps, step, 1, taps <= CHAIN, APART, g, tap, tap_step, r)


cdef void fold(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t taps,
               Py_ssize_t step, Py_ssize_t stride, const Grid* grid, int64_t tap, int64_t tap_step,
               const Reduction* r) noexcept nogil:
    """y[i] = reduction over j < taps of x[i * stride + j * step], i < n, for every row of the grid."""
    cdef Grid g = grid[0]
    put_in_order(&g)
    join(&g, stride)
    if Reduction is Sum and (Element is float or Element is double):
        if g.by != NULL:                            # dividing takes as long as a few sums, and can go beside them
            if stride == 1 and g.counts == NULL:
                divided_many(y, y_tap, x, x_tap, taps, step, stride, &g, tap, tap_step, r)
            elif stride == 1:
                apart_many(y, y_tap, x, x_tap, taps, step, stride, &g, tap, tap_step, r)
            else:
                g.by = NULL
                fold(y, y_tap, x, x_tap, taps, step, stride, &g, tap, tap_step, r)
                divide(y, grid)
            return
    if stride == 1:
        fold_many(y, y_tap, x, x_tap, taps, step, stride, &g, tap, tap_step, r)
    elif stride == 2 and (Element is float or Element is double):
        fold_by_two(y, y_tap, x, x_tap, taps, step, stride, &g, tap, tap_step, r)
    else:
        fold_by_any(y, y_tap, x, x_tap, taps, step, stride, &g, tap, tap_step, r)


cdef void merge(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t n,
                const Reduction* r) noexcept nogil:
    """In place: y takes in x."""
    cdef Py_ssize_t i
    cdef bint better
    if Reduction in Arg:
        for i in range(n):
            better = beats(x[i], x_tap[i], y[i], y_tap[i], r)
            y[i] = x[i] if better else y[i]
            y_tap[i] = x_tap[i] if better else y_tap[i]
    else:
        for i in range(n):
            y[i] = reduce(y[i], x[i], r)


cdef inline void take_lanes(Element* y, Element* y_tap, const Element* x, Py_ssize_t skip, int64_t tap,
                            const Reduction* r) noexcept nogil:
    """In place: one vector takes in another, of ordinal `tap`; a sum does without the first `skip` lanes."""
    cdef Py_ssize_t i
    cdef Element lane[VECTOR]
    cdef Element lane_tap[VECTOR]
    cdef Element b_tap
    cdef bint better
    for i in range(VECTOR // sizeof(Element)):
        if Reduction in Arg:
            if Element is not Wide:
                b_tap = <Element> tap
                better = beats(x[i], b_tap, y[i], y_tap[i], r)
                lane[i] = x[i] if better else y[i]
                lane_tap[i] = b_tap if better else y_tap[i]
        elif Reduction is Sum:
            lane[i] = y[i] if i < skip else reduce(y[i], x[i], r)
        else:
            lane[i] = reduce(y[i], x[i], r)
    for i in range(VECTOR // sizeof(Element)):
        y[i] = lane[i]
    if Reduction in Arg:
        for i in range(VECTOR // sizeof(Element)):
            y_tap[i] = lane_tap[i]


cdef inline void fold_run(Element* y, Element* y_tap, const Element* x, Py_ssize_t n, int64_t tap,
                          const Reduction* r) noexcept nogil:
    """A run of n elements, folded into one vector; lane i has still to be added to its ordinals."""
    cdef Py_ssize_t width = VECTOR // sizeof(Element), taps = n // width
    fold_vector(y, y_tap, x, <Element*> NULL, taps, width, 1, VECTOR // sizeof(Element), tap, width, r)
    if n > taps * width:                            # the last elements: a vector that overlaps the one before
        take_lanes(y, y_tap, x + n - width, (taps + 1) * width - n, tap + n - width, r)


cdef void total(Element* y, Element* y_tap, const Element* x, Py_ssize_t n, Py_ssize_t runs, Py_ssize_t pitch,
                int64_t tap, const Reduction* r) noexcept nogil:
    """y[k] = reduction of n elements from x[k * pitch] on, for k < runs.

    Each run is folded into the lanes of one vector; then neighbouring lanes of all runs are folded, again and again.
    """
    cdef Py_ssize_t width = VECTOR // sizeof(Element), k, most, half, step
    cdef Element lane[2][LANE_ROOM + VECTOR]
    cdef Element lane_tap[2][LANE_ROOM + VECTOR]
    cdef int now
    if n < LANES or n < width:
        for k in range(runs):
            fold_rest(y + k, y_tap if y_tap == NULL else y_tap + k, x + k * pitch, <Element*> NULL, n, 1, 1, 1, False,
                      tap, 1, r)
        return
    while runs > 0:
        most = min(runs, LANE_ROOM // width)
        for k in range(most):
            fold_run(lane[0] + k * width, lane_tap[0] + k * width, x + k * pitch, n, tap, r)
        now = 0
        step = 1
        while step < width:                         # in whole vectors: what is too much is never looked at
            half = (most * width // (2 * step) + width - 1) // width * width
            half = min(half, <Py_ssize_t> LANE_ROOM // 2)
            for k in range(half // (VECTOR // sizeof(Element))):
                fold_lanes(lane[1 - now] + k * width, lane_tap[1 - now] + k * width, lane[now] + 2 * k * width,
                           lane_tap[now] + 2 * k * width, 2, 1, 2, VECTOR // sizeof(Element), 0, step, r)
            now = 1 - now
            step *= 2
        for k in range(most):
            y[k] = lane[now][k]
            if Reduction in Arg:
                y_tap[k] = lane_tap[now][k]
        runs -= most
        x += most * pitch
        y += most
        if y_tap != NULL:
            y_tap += most
