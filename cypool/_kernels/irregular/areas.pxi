# Bins of which samples are taken between the elements (roi_align), and averages of bins each of which has a channel of
# its own (ps_roi_pool, ps_roi_align).
#
# What a bin reads is a product: rows with weights, and columns with weights, which are put down once for each box. So a
# row of bins first folds its rows into a line, then each bin its columns of that.

cdef enum:
    TAPS = 1 << 16          # taps that are put down at once, about
    BOXES = 1 << 10         # boxes, at most
    NUMBERS = 1 << 14       # of a line
    FEW = 8                 # samples of a bin that are all looked at, wherever they lie


cdef struct Taps:           # along one axis of a box: bin p has the taps first[p] to first[p + 1]
    const int64_t* first
    double count            # samples of a bin; 0: as many as it has taps
    bint missing            # whether some lie outside the map, where everything is 0


cdef struct Boxes:
    const double* edges     # of each box (y, height of a bin, x, width of a bin), or
    const int64_t* grid     # samples of a bin, (down, across)
    const int64_t* rows     # begin and end of each bin's rows, and columns
    const int64_t* columns
    bint apart              # samples stay apart, two taps each
    bint single             # edges are float32


cdef struct Table:          # the taps of some boxes
    Taps* taps              # of each box's rows, then columns
    int64_t* first
    int32_t* place
    double* weight
    Py_ssize_t room, used
    Py_ssize_t k, boxes     # from box k on


cdef inline Py_ssize_t most_taps(double height, double grid, Py_ssize_t size, Py_ssize_t bins) noexcept nogil:
    """Two of each sample that `sample` looks at, at most."""
    cdef double seen = grid
    if grid > FEW and height != 0:
        seen = min(grid, <double> (size + 1) / abs(height / grid) + 6)
    return bins * 2 * <Py_ssize_t> seen


cdef inline void put(Table* t, int64_t start, Py_ssize_t place, double weight) noexcept nogil:
    """One tap more, or more weight on one of the last two."""
    cdef Py_ssize_t n = t.used
    if n > start and t.place[n - 1] == place:
        t.weight[n - 1] += weight
    elif n > start + 1 and t.place[n - 2] == place:
        t.weight[n - 2] += weight
    else:
        t.place[n], t.weight[n] = <int32_t> place, weight
        t.used += 1


cdef void put_sample(Table* t, int64_t start, double at, Py_ssize_t size, bint apart) noexcept nogil:
    """The two elements that a sample lies between."""
    cdef Py_ssize_t low = min(<Py_ssize_t> max(at, 0.0), size - 1)
    cdef double behind = 0 if low == size - 1 else max(at, 0.0) - <double> low
    if apart:
        t.place[t.used], t.weight[t.used] = <int32_t> low, 1 - behind
        t.place[t.used + 1], t.weight[t.used + 1] = <int32_t> min(low + 1, size - 1), behind
        t.used += 2
        return
    put(t, start, low, 1 - behind)
    if low < size - 1:
        put(t, start, low + 1, behind)


cdef inline double place_of(double start, double height, double grid, Py_ssize_t p, double a,
                            bint single) noexcept nogil:
    """Where sample a of bin p is; of boxes in float32 as frameworks round it, for an edge of the map may be there."""
    cdef float each = <float> height, before = <float> start + <float> p * each
    if single:
        return before + (<float> a + <float> 0.5) * each / <float> grid
    return start + <double> p * height + (a + 0.5) * height / grid


cdef void sample(Table* t, Taps* taps, int64_t* first, double start, double height, double grid, Py_ssize_t size,
                 Py_ssize_t bins, bint apart, bint single) noexcept nogil:
    """The taps of bins in which samples are taken."""
    cdef Py_ssize_t p
    cdef double at, step = height / grid, a, low, high
    taps.first, taps.count, taps.missing = first, grid, False
    for p in range(bins):
        first[p] = t.used
        low, high = 0, grid
        if grid > FEW and step != 0:                  # those that lie far outside are not looked at
            at = (-1 - start - <double> p * height) / step
            a = (<double> size - start - <double> p * height) / step
            low, high = max(low, floor(min(at, a)) - 2), min(high, ceil(max(at, a)) + 2)
        taps.missing |= low > 0 or high < grid
        a = low
        while a < high:
            at = place_of(start, height, grid, p, a, single)
            if -1 <= at <= size:
                put_sample(t, first[p], at, size, apart)
            else:
                taps.missing = True
            a += 1
    first[bins] = t.used


cdef void take_all(Table* t, Taps* taps, int64_t* first, const int64_t* ends, Py_ssize_t bins) noexcept nogil:
    """The taps of bins of which every element counts."""
    cdef Py_ssize_t p, i
    taps.first, taps.count, taps.missing = first, 0, False
    for p in range(bins):
        first[p] = t.used
        for i in range(ends[2 * p], ends[2 * p + 1]):
            t.place[t.used], t.weight[t.used] = <int32_t> i, 1
            t.used += 1
    first[bins] = t.used


cdef bint grow(Table* t, Py_ssize_t taps) noexcept nogil:
    free(t.place)
    free(t.weight)
    t.room = taps
    t.place = <int32_t*> malloc(taps * sizeof(int32_t))
    t.weight = <double*> malloc(taps * sizeof(double))
    return t.place != NULL and t.weight != NULL


cdef bint put_down(Table* t, const Map* m, const Boxes* b, Py_ssize_t k, Py_ssize_t stop) noexcept nogil:
    """The taps of boxes from k on, as many as there is room for, one at least; false if there is no memory for it."""
    cdef Py_ssize_t most, bins = m.tall + m.broad + 2
    cdef Taps* taps
    cdef int64_t* first
    t.k, t.used, t.boxes = k, 0, 0
    while k < stop and t.boxes < BOXES:
        if b.edges != NULL:
            most = (most_taps(b.edges[4 * k + 1], <double> b.grid[2 * k], m.height, m.tall)
                    + most_taps(b.edges[4 * k + 3], <double> b.grid[2 * k + 1], m.width, m.broad))
        else:
            most = m.height * m.tall + m.width * m.broad
        if t.used + most > t.room:
            if t.boxes > 0:
                return True
            if not grow(t, most):
                return False
        taps, first = t.taps + 2 * t.boxes, t.first + bins * t.boxes
        if b.edges != NULL:
            sample(t, taps, first, b.edges[4 * k], b.edges[4 * k + 1], <double> b.grid[2 * k], m.height, m.tall,
                   b.apart, b.single)
            sample(t, taps + 1, first + m.tall + 1, b.edges[4 * k + 2], b.edges[4 * k + 3], <double> b.grid[2 * k + 1],
                   m.width, m.broad, b.apart, b.single)
        else:
            take_all(t, taps, first, b.rows + 2 * k * m.tall, m.tall)
            take_all(t, taps + 1, first + m.tall + 1, b.columns + 2 * k * m.broad, m.broad)
        t.boxes += 1
        k += 1
    return True


# ---------------------------------------------------------------------------- weighted rows and columns

cdef inline void weigh_some(Real* y, const Real* x, const int32_t* place, const double* weight, Py_ssize_t pitch,
                            Py_ssize_t n, Py_ssize_t rows, bint more) noexcept nogil:
    """y = the weighted sum of one to four rows, or as much more."""
    cdef Py_ssize_t i
    cdef const Real* x0 = x + place[0] * pitch
    cdef const Real* x1 = x + place[min(1, rows - 1)] * pitch
    cdef const Real* x2 = x + place[min(2, rows - 1)] * pitch
    cdef const Real* x3 = x + place[rows - 1] * pitch
    cdef Real w0 = <Real> weight[0], w1 = <Real> weight[min(1, rows - 1)], w2 = <Real> weight[min(2, rows - 1)]
    cdef Real w3 = <Real> weight[rows - 1], total
    for i in range(n):
        total = w0 * x0[i]
        if rows > 1:
            total = total + w1 * x1[i]
        if rows > 2:
            total = total + w2 * x2[i]
        if rows > 3:
            total = total + w3 * x3[i]
        y[i] = y[i] + total if more else total


cdef inline void weigh(Real* y, const Real* x, const int32_t* place, const double* weight, Py_ssize_t taps,
                       Py_ssize_t pitch, Py_ssize_t n) noexcept nogil:
    """y = the weighted sum of rows of x."""
    cdef Py_ssize_t t = 0, rows
    while t < taps:
        rows = min(<Py_ssize_t> 4, taps - t)
        if rows == 4 and t == 0:
            weigh_some(y, x, place, weight, pitch, n, 4, False)
        elif rows == 4:
            weigh_some(y, x, place + t, weight + t, pitch, n, 4, True)
        elif rows == 3 and t == 0:
            weigh_some(y, x, place, weight, pitch, n, 3, False)
        elif rows == 2 and t == 0:
            weigh_some(y, x, place, weight, pitch, n, 2, False)
        elif t == 0:
            weigh_some(y, x, place, weight, pitch, n, 1, False)
        else:
            rows = 1
            weigh_some(y, x, place + t, weight + t, pitch, n, 1, True)
        t += rows


cdef inline void one_nan(Real* y, Py_ssize_t n) noexcept nogil:
    """Of all NaN one: which bits come out of an operation on several is the compiler's choice."""
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = y[i] if y[i] == y[i] else <Real> NAN


cdef struct Line:           # the columns of a box that are folded: from `left` on, or those of the taps
    Py_ssize_t left, columns
    bint listed


cdef Line line_of(const Table* t, const Taps* across, Py_ssize_t bins, Py_ssize_t width, bint wide) noexcept nogil:
    cdef Line line
    cdef Py_ssize_t i, right = -1
    line.left, line.columns = <Py_ssize_t> 1 << 40, across.first[bins] - across.first[0]
    for i in range(across.first[0], across.first[bins]):
        line.left, right = min(line.left, <Py_ssize_t> t.place[i]), max(right, <Py_ssize_t> t.place[i])
    line.listed = right - line.left + 1 > (line.columns if wide else 4 * line.columns)
    if not line.listed:
        right += 1
        if not wide and line.left < right:
            whole_vectors(width, &line.left, &right)
        line.columns = max(<Py_ssize_t> 0, right - line.left)
    return line


cdef inline void fold_rows(const Table* t, const Map* m, const Taps* across, Real* line, Line folded, const Real* x,
                           Py_ssize_t first, Py_ssize_t taps, Py_ssize_t c0, Py_ssize_t c) noexcept nogil:
    """The line of some taps down: each of its columns the weighted sum of these rows, channels c0 to c0 + c."""
    cdef Py_ssize_t j, pitch = m.width * m.c
    if not folded.listed and c == m.c:              # pixels that lie side by side
        weigh(line, x + folded.left * c, t.place + first, t.weight + first, taps, pitch, folded.columns * c)
        return
    for j in range(folded.columns):
        weigh(line + j * c, x + (t.place[across.first[0] + j] if folded.listed else folded.left + j) * m.c + c0,
              t.place + first, t.weight + first, taps, pitch, c)


cdef inline Py_ssize_t column_of(const Table* t, const Taps* across, Line folded, Py_ssize_t tap) noexcept nogil:
    """Where in the line a tap across is."""
    return tap - across.first[0] if folded.listed else t.place[tap] - folded.left


cdef void align_box(const Table* t, const Map* m, Py_ssize_t box, const Real* x, Real* y, Real* line, Line folded,
                    Py_ssize_t c0, Py_ssize_t c) noexcept nogil:
    """The averages of the bins of a box on a plane, channels c0 to c0 + c."""
    cdef const Taps* down = t.taps + 2 * box
    cdef const Taps* across = down + 1
    cdef Py_ssize_t p, q, i, j, n, k
    cdef Real* to
    cdef Real weight, total, share = <Real> (1 / (down.count * across.count)) if down.count * across.count > 0 else 0
    for p in range(m.tall):
        n = down.first[p + 1] - down.first[p] if folded.columns > 0 else 0
        if n > 0:                                   # else samples of this row of bins are all beside the map
            fold_rows(t, m, across, line, folded, x, down.first[p], n, c0, c)
        for q in range(m.broad):
            to = y + (p * m.broad + q) * m.y_bin + c0
            if c == 1:
                total = 0
                for i in range(across.first[q], across.first[q + 1] if n > 0 else 0):
                    total += <Real> t.weight[i] * line[column_of(t, across, folded, i)]
                to[0] = total * share if total == total else <Real> NAN
                continue
            for j in range(c):
                to[j] = 0
            for i in range(across.first[q], across.first[q + 1] if n > 0 else 0):
                k = column_of(t, across, folded, i)
                weight = <Real> t.weight[i] * share
                for j in range(c):
                    to[j] += weight * line[k * c + j]
            one_nan(to, c)


cdef void spread_box(const Table* t, const Map* m, Py_ssize_t box, Real* x, const Real* grad, Real* line, Line folded,
                     Py_ssize_t c0, Py_ssize_t c, Py_ssize_t first, Py_ssize_t stop) noexcept nogil:
    """Its adjoint, added to rows first to stop of x."""
    cdef const Taps* down = t.taps + 2 * box
    cdef const Taps* across = down + 1
    cdef Py_ssize_t p, q, i, j, k
    cdef Real weight, share = <Real> (1 / (down.count * across.count)) if down.count * across.count > 0 else 0
    cdef const Real* from_
    cdef Real* row
    for p in range(m.tall):
        if down.first[p] == down.first[p + 1] or folded.columns == 0:
            continue
        memset(line, 0, folded.columns * c * sizeof(Real))
        for q in range(m.broad):
            from_ = grad + (p * m.broad + q) * m.y_bin + c0
            for i in range(across.first[q], across.first[q + 1]):
                k = column_of(t, across, folded, i)
                weight = <Real> t.weight[i] * share
                for j in range(c):
                    line[k * c + j] += weight * from_[j]
        for i in range(down.first[p], down.first[p + 1]):
            if not first <= t.place[i] < stop:
                continue
            weight = <Real> t.weight[i]
            row = x + t.place[i] * m.width * m.c
            if not folded.listed and c == m.c:
                row += folded.left * c
                for j in range(folded.columns * c):
                    row[j] += weight * line[j]
                continue
            for k in range(folded.columns):
                q = t.place[across.first[0] + k] if folded.listed else folded.left + k
                for j in range(c):
                    row[q * m.c + c0 + j] += weight * line[k * c + j]


# ---------------------------------------------------------------------------- samples one by one

cdef struct Best:
    double value
    Py_ssize_t i, j         # the sample: its first taps down and across
    Py_ssize_t corner       # of the four; all: -1
    bint any


cdef inline void offer(Best* best, double value, Py_ssize_t i, Py_ssize_t j, Py_ssize_t corner) noexcept nogil:
    if not best.any or value > best.value or value != value:
        best.value, best.i, best.j, best.corner, best.any = value, i, j, corner, True


cdef inline bint missing(const Taps* down, const Taps* across, Py_ssize_t p, Py_ssize_t q) noexcept nogil:
    """Whether some samples of a bin lie beside the map."""
    return ((down.missing and 2 * down.count > <double> (down.first[p + 1] - down.first[p]))
            or (across.missing and 2 * across.count > <double> (across.first[q + 1] - across.first[q])))


cdef Best most_of(const Table* t, const Taps* down, const Taps* across, Py_ssize_t p, Py_ssize_t q, const Real* x,
                  Py_ssize_t width, Py_ssize_t c, bint corners) noexcept nogil:
    """The largest sample of a bin, or the largest weighted corner of one. Samples outside the map are 0."""
    cdef Py_ssize_t i, j, k
    cdef Real[4] part
    cdef Best best
    best.value, best.i, best.j, best.corner, best.any = 0, -1, -1, -1, False
    i = down.first[p]
    while i < down.first[p + 1]:
        j = across.first[q]
        while j < across.first[q + 1]:
            for k in range(4):
                part[k] = (<Real> (t.weight[i + k // 2] * t.weight[j + k % 2])
                           * x[(t.place[i + k // 2] * width + t.place[j + k % 2]) * c])
            if corners:
                for k in range(4):
                    offer(&best, part[k], i, j, k)
            else:
                offer(&best, <double> (part[0] + part[1] + part[2] + part[3]), i, j, -1)
            j += 2
        i += 2
    if missing(down, across, p, q):
        offer(&best, 0, -1, -1, -1)
    return best


cdef inline void raise_to(Real* best, const Real* a, const Real* b, Real for_a, Real for_b, Py_ssize_t c, bint pair,
                          bint first) noexcept nogil:
    """best = what is larger, it or the weighted sum of a and b, or of a alone."""
    cdef Py_ssize_t i
    cdef Real value
    for i in range(c):
        value = for_a * a[i] + for_b * b[i] if pair else for_a * a[i]
        best[i] = value if first or value > best[i] or value != value else best[i]


cdef inline void raise_one(const Table* t, const Taps* across, Py_ssize_t q, Real* best, const Real* line, Line folded,
                           bint corners, bint first) noexcept nogil:
    """best = the largest of it and a bin's samples on a line of one channel, without branches."""
    cdef Py_ssize_t j = across.first[q]
    cdef Real most = best[0], value
    cdef bint nan = False
    if first:                                       # so that it is what the first one is compared with
        most = <Real> t.weight[j] * line[column_of(t, across, folded, j)]
        if not corners:
            most = most + <Real> t.weight[j + 1] * line[column_of(t, across, folded, j + 1)]
    if most != most:
        best[0] = <Real> NAN
        return
    while j < across.first[q + 1]:
        value = <Real> t.weight[j] * line[column_of(t, across, folded, j)]
        if not corners:
            value = value + <Real> t.weight[j + 1] * line[column_of(t, across, folded, j + 1)]
        most = value if value > most else most
        nan |= value != value
        j += 1 if corners else 2
    best[0] = <Real> NAN if nan else most


cdef inline void raise_rows(const Table* t, const Map* m, const Taps* across, Real* line, Line folded, const Real* x,
                            Py_ssize_t first, Py_ssize_t taps, Py_ssize_t c0, Py_ssize_t c) noexcept nogil:
    """The line of the largest weighted element of some taps down, in each of its columns."""
    cdef Py_ssize_t i, j, k
    cdef const Real* row
    cdef Real weight
    for i in range(taps):
        row, weight = x + t.place[first + i] * m.width * m.c, <Real> t.weight[first + i]
        if not folded.listed and c == m.c:
            row += folded.left * c
            raise_to(line, row, row, weight, <Real> 0, folded.columns * c, False, i == 0)
            continue
        for j in range(folded.columns):
            k = t.place[across.first[0] + j] if folded.listed else folded.left + j
            raise_to(line + j * c, row + k * m.c + c0, row, weight, <Real> 0, c, False, i == 0)


cdef inline bint all_finite(const Table* t, const Map* m, const Taps* across, Line folded, const Real* x,
                            Py_ssize_t first, Py_ssize_t taps, Py_ssize_t c0, Py_ssize_t c) noexcept nogil:
    """Whether the elements of some taps down are: an infinite one times a weight of 0 is NaN, whichever comes first."""
    cdef Py_ssize_t i, j, k, q, n
    cdef const Real* row
    cdef bint bad = False
    for i in range(taps):
        row = x + t.place[first + i] * m.width * m.c
        n = c if folded.listed or c != m.c else folded.columns * c
        for j in range(folded.columns if n == c else 1):
            k = t.place[across.first[0] + j] if folded.listed else folded.left + j
            for q in range(n):
                bad |= row[k * m.c + c0 + q] - row[k * m.c + c0 + q] != 0
    return not bad


cdef inline void raise_bins(const Table* t, const Map* m, const Taps* across, const Real* line, Line folded, Real* y,
                            Py_ssize_t p, Py_ssize_t c, bint corners, bint first) noexcept nogil:
    """The largest of a line for each bin of row p, of it and of what the bins hold before."""
    cdef Py_ssize_t q, j, k
    cdef Real* to
    for q in range(m.broad):
        to = y + (p * m.broad + q) * m.y_bin
        j = across.first[q]
        if c == 1 and j < across.first[q + 1]:
            raise_one(t, across, q, to, line, folded, corners, first)
            continue
        while j < across.first[q + 1]:
            k = column_of(t, across, folded, j)
            if corners:
                raise_to(to, line + k * c, line + k * c, <Real> t.weight[j], <Real> 0, c, False,
                         first and j == across.first[q])
                j += 1
            else:
                raise_to(to, line + k * c, line + column_of(t, across, folded, j + 1) * c, <Real> t.weight[j],
                         <Real> t.weight[j + 1], c, True, first and j == across.first[q])
                j += 2


cdef void most_box(const Table* t, const Map* m, Py_ssize_t box, const Real* x, Real* y, Real* line, Line folded,
                   Py_ssize_t c0, Py_ssize_t c, bint corners) noexcept nogil:
    """The largest sample of each bin of a box, whose rows are folded into a line for each sample down; or the largest
    weighted corner of one. Weights are not negative, so that those down may be taken first, all together, if all
    elements are finite."""
    cdef const Taps* down = t.taps + 2 * box
    cdef const Taps* across = down + 1
    cdef Py_ssize_t p, q, i, j
    cdef Real* to
    cdef bint nothing, together
    for p in range(m.tall):
        i = down.first[p]
        together = (corners and i < down.first[p + 1] and folded.columns > 0
                    and all_finite(t, m, across, folded, x, i, down.first[p + 1] - i, c0, c))
        if together:
            raise_rows(t, m, across, line, folded, x, i, down.first[p + 1] - i, c0, c)
            raise_bins(t, m, across, line, folded, y + c0, p, c, True, True)
        while not together and i < down.first[p + 1] and folded.columns > 0:
            fold_rows(t, m, across, line, folded, x, i, 1 if corners else 2, c0, c)
            raise_bins(t, m, across, line, folded, y + c0, p, c, corners, i == down.first[p])
            i += 1 if corners else 2
        for q in range(m.broad):
            to = y + (p * m.broad + q) * m.y_bin + c0
            nothing = down.first[p] == down.first[p + 1] or across.first[q] == across.first[q + 1]
            if nothing or missing(down, across, p, q):
                for j in range(c):
                    to[j] = 0 if nothing or 0 > to[j] else to[j]
            one_nan(to, c)


cdef void spread_most(const Table* t, const Map* m, Py_ssize_t box, const Real* x, Real* grad_x, const Real* grad,
                      bint corners, Py_ssize_t first, Py_ssize_t stop) noexcept nogil:
    """The gradient of what was largest, by its weights; to rows first to stop."""
    cdef Py_ssize_t p, q, i, k
    cdef Real g
    cdef Best best
    for p in range(m.tall):
        for q in range(m.broad):
            for i in range(m.c):
                best = most_of(t, t.taps + 2 * box, t.taps + 2 * box + 1, p, q, x + i, m.width, m.c, corners)
                if best.i < 0:
                    continue
                g = grad[(p * m.broad + q) * m.y_bin + i]
                for k in range(4):
                    if best.corner in (-1, k) and first <= t.place[best.i + k // 2] < stop:
                        grad_x[(t.place[best.i + k // 2] * m.width + t.place[best.j + k % 2]) * m.c + i] += (
                            <Real> (t.weight[best.i + k // 2] * t.weight[best.j + k % 2]) * g)


# ---------------------------------------------------------------------------- a channel for each bin

cdef inline double bin_sum(const Table* t, const Real* x, int64_t i0, int64_t i1, int64_t j0, int64_t j1,
                           Py_ssize_t pitch, Py_ssize_t step, bint weighted) noexcept nogil:
    """The sum of the taps i0 to i1 down and j0 to j1 across."""
    cdef int64_t i, j
    cdef double total = 0, line
    cdef const Real* row
    for i in range(i0, i1):
        line, row = 0, x + t.place[i] * pitch
        for j in range(j0, j1):
            if weighted:
                line += t.weight[j] * <double> row[t.place[j] * step]
            else:                                   # which lie side by side
                line += <double> row[(t.place[j0] + j - j0) * step]
        total += t.weight[i] * line if weighted else line
    return total


cdef inline void average_apart(const Table* t, const Taps* down, const Taps* across, const Real* x, Real* y,
                               Real* grad_x, Py_ssize_t pitch, Py_ssize_t step, Py_ssize_t p,
                               Py_ssize_t q) noexcept nogil:
    """The average of one bin on its own plane, whose elements are `step` numbers apart and rows `pitch`; with grad_x
    its adjoint."""
    cdef int64_t i, j, i0 = down.first[p], i1 = down.first[p + 1], j0 = across.first[q], j1 = across.first[q + 1]
    cdef double count = (down.count * across.count if down.count > 0 else <double> ((i1 - i0) * (j1 - j0)))
    cdef double part
    if grad_x == NULL:
        if down.count > 0:
            part = bin_sum(t, x, i0, i1, j0, j1, pitch, step, True)
        else:
            part = bin_sum(t, x, i0, i1, j0, j1, pitch, step, False)
        y[0] = <Real> (part / count) if count > 0 else <Real> 0
        one_nan(y, 1)
        return
    part = <double> y[0] / count if count > 0 else 0
    for i in range(i0, i1):
        for j in range(j0, j1):
            grad_x[t.place[i] * pitch + t.place[j] * step] += <Real> (part * t.weight[i] * t.weight[j])


# ---------------------------------------------------------------------------- shares

cdef enum Area:
    AVG, LARGEST, CORNERS, APART


cdef struct Areas:
    Map map
    Boxes boxes
    Area area
    Py_ssize_t step         # APART: numbers from one element of a plane to the next
    bint back


cdef void work_box(const Areas* a, const Table* t, Py_ssize_t box, Py_ssize_t g, const Real* x, Real* y, Real* grad_x,
                   Real* line, Py_ssize_t room, Py_ssize_t first, Py_ssize_t stop) noexcept nogil:
    """One box on one group of channels; x, grad_x: of its image, y: of the box."""
    cdef const Map* m = &a.map
    cdef Py_ssize_t c0 = 0, c, bins = m.tall * m.broad
    cdef Py_ssize_t plane = g if a.area == APART and a.step > 1 else g * m.height * m.width * m.c
    cdef Line folded
    if x != NULL:
        x += plane
    if a.back:
        grad_x += plane
    if a.area == APART:                             # group g is the channel of bin g % bins
        average_apart(t, t.taps + 2 * box, t.taps + 2 * box + 1, x, y + g // bins * m.y_group + g % bins * m.y_bin,
                      grad_x if a.back else NULL, m.width * a.step, a.step, g % bins // m.broad, g % m.broad)
    elif a.back and a.area != AVG:
        spread_most(t, m, box, x, grad_x, y + g * m.y_group, a.area == CORNERS, first, stop)
    else:
        folded = line_of(t, t.taps + 2 * box + 1, m.broad, m.width, m.c > 1)
        while c0 < m.c:
            c = min(m.c - c0, max(<Py_ssize_t> 1, room / max(<Py_ssize_t> 1, folded.columns)))
            if a.back:
                spread_box(t, m, box, grad_x, y + g * m.y_group, line, folded, c0, c, first, stop)
            elif a.area == AVG:
                align_box(t, m, box, x, y + g * m.y_group, line, folded, c0, c)
            else:
                most_box(t, m, box, x, y + g * m.y_group, line, folded, c0, c, a.area == CORNERS)
            c0 += c


cdef void drop(Table* t, char* line) noexcept nogil:
    free(t.taps)
    free(t.first)
    free(t.place)
    free(t.weight)
    free(line)


cdef bint work_share(const Areas* a, const Real* x, Real* y, Real* grad_x, Py_ssize_t image, Py_ssize_t g0,
                     Py_ssize_t g1, Py_ssize_t k0, Py_ssize_t k1, Py_ssize_t first, Py_ssize_t stop) noexcept nogil:
    """Boxes k0 to k1 on groups g0 to g1; of one image, whose gradient's rows first to stop are made, or of each box's.
    False if there is no memory."""
    cdef const Map* m = &a.map
    cdef Table t
    cdef Py_ssize_t g, box, k, bins = m.tall + m.broad + 2, room = 0, of, size = m.groups * m.height * m.width * m.c
    cdef Py_ssize_t most = max(<Py_ssize_t> 1, min(min(<Py_ssize_t> BOXES, k1 - k0), (<Py_ssize_t> 1 << 17) / bins))
    cdef Real* line = NULL
    cdef const Real* from_x = NULL
    cdef bint enough
    memset(&t, 0, sizeof(Table))
    t.taps = <Taps*> malloc(2 * most * sizeof(Taps))
    t.first = <int64_t*> malloc(most * bins * sizeof(int64_t))
    enough = t.taps != NULL and t.first != NULL and grow(&t, TAPS)
    while enough and k0 < k1:
        if not put_down(&t, m, &a.boxes, k0, min(k1, k0 + most)):
            enough = False
            break
        if room < max(max(<Py_ssize_t> NUMBERS, m.width), t.used):
            room = max(max(<Py_ssize_t> NUMBERS, m.width), t.used)
            free(line)
            line = <Real*> malloc(room * sizeof(Real))
            if line == NULL:
                enough = False
                break
        for g in range(g0, g1):                     # the boxes of a plane one after the other: it stays in the cache
            for box in range(t.boxes):
                k = k0 + box
                of = m.image[k]
                if a.back and of != image:
                    continue
                if x != NULL:
                    from_x = x + of * size
                work_box(a, &t, box, g, from_x, y + k * m.y_box, NULL if grad_x == NULL else grad_x + of * size, line,
                         room, first, stop)
        k0 += t.boxes
    drop(&t, <char*> line)
    return enough


cdef bint spread_share(const Areas* a, const Real* x, Real* y, Real* grad_x, Py_ssize_t image, Py_ssize_t g0,
                       Py_ssize_t g1, Py_ssize_t first, Py_ssize_t stop) noexcept nogil:
    cdef const Map* m = &a.map
    cdef Py_ssize_t g, plane = m.height * m.width * m.c, at, i
    for g in range(g0, g1):
        at = (image * m.groups + g) * plane
        if a.area == APART and a.step > 1:          # channels side by side
            for i in range(m.height * m.width):
                grad_x[image * m.groups * plane + i * a.step + g] = 0
        else:
            memset(grad_x + at + first * m.width * m.c, 0, (stop - first) * m.width * m.c * sizeof(Real))
    return work_share(a, x, y, grad_x, image, g0, g1, 0, m.boxes, first, stop)


def work_areas(x, Py_ssize_t width, const int64_t[::1] image, edges, grid, rows, columns,
               Py_ssize_t broad, str area, bint single, Real[:, :, :, :] y, Real[:, :, :, ::1] grad_x, int threads):
    """The bins of boxes, `broad` of them in a row, into y (boxes, groups, bins, c); with grad_x, from their gradient y
    that of x.

    x: (images, groups, H * W, c), None where the gradient needs none. edges, grid: of samples, see `Boxes`; or rows,
    columns: (boxes, bins, 2), begin and end of each bin. area: "avg", "max", "onnx_max", or "apart" where group g is
    the channel of bin g % bins, and y is (boxes, groups / bins, bins, 1).
    """
    cdef Areas a
    cdef Map* m = &a.map
    cdef const Real[:, :, :, ::1] given
    cdef const Real* from_x = NULL
    cdef Real* to_x = NULL
    cdef const double[:, ::1] all_edges
    cdef const int64_t[:, ::1] all_grid
    cdef const int64_t[:, :, ::1] ends
    cdef Py_ssize_t item, parts, cuts, bands = 1
    cdef bint enough = True
    memset(&a, 0, sizeof(Areas))
    given = grad_x if x is None else x
    describe_map(m, given.shape[0], given.shape[1], given.shape[2], given.shape[3], width, y, broad)
    m.image, a.boxes.single = &image[0], single
    a.area = {"avg": AVG, "max": LARGEST, "onnx_max": CORNERS, "apart": APART}[area]
    a.back, a.boxes.apart = grad_x is not None, a.area == LARGEST or a.area == CORNERS
    if x is not None:
        from_x = &given[0, 0, 0, 0]
    if a.back:
        to_x = &grad_x[0, 0, 0, 0]
    if edges is not None:
        all_edges, all_grid = edges, grid
        a.boxes.edges, a.boxes.grid = &all_edges[0, 0], &all_grid[0, 0]
    else:
        ends = rows
        a.boxes.rows = &ends[0, 0, 0]
        ends = columns
        a.boxes.columns = &ends[0, 0, 0]
    if a.area == APART:
        a.step, m.groups, m.c = m.c, m.groups * m.c, 1
    if not a.back:
        cuts = cuts_of(m, threads)
        parts = min(m.groups, <Py_ssize_t> 8 * threads)
        for item in prange(cuts * parts, nogil=True, schedule="dynamic", chunksize=1, num_threads=threads):
            enough &= work_share(&a, from_x, &y[0, 0, 0, 0], to_x, 0, m.groups * (item / cuts) / parts,
                                 m.groups * (item / cuts + 1) / parts, m.boxes * (item % cuts) / cuts,
                                 m.boxes * (item % cuts + 1) / cuts, 0, m.height)
    else:
        parts = max(<Py_ssize_t> 1, min(m.groups, <Py_ssize_t> 8 * threads / m.images))
        if a.area != APART and m.images * m.groups < 2 * threads:
            bands = min(m.height, <Py_ssize_t> threads)
        for item in prange(m.images * parts * bands, nogil=True, schedule="dynamic", chunksize=1, num_threads=threads):
            enough &= spread_share(&a, from_x, &y[0, 0, 0, 0], to_x, item / bands / parts,
                                   m.groups * (item / bands % parts) / parts,
                                   m.groups * (item / bands % parts + 1) / parts,
                                   m.height * (item % bands) / bands, m.height * (item % bands + 1) / bands)
    if not enough:
        raise MemoryError("no memory for taps to be had")
