# A row joins the sums, or the maxima and where they were. Floats are added up in double, integers modulo 2**64; of
# equal numbers the first stays, of several NaN the last.

cdef enum Which:
    SUM, MAX, MIN


cdef struct Rows:           # up to four
    const char* x[4]
    int64_t t[4]


cdef inline void add(char* total, const Rows* rows, Py_ssize_t first, Py_ssize_t n, int count,
                     Number tag) noexcept nogil:
    """Features first to first + n of one row, or of four, join the sums."""
    cdef Py_ssize_t i
    cdef const Number* a = <const Number*> rows.x[0]
    cdef const Number* b = <const Number*> rows.x[count // 4]
    cdef const Number* c = <const Number*> rows.x[count // 2]
    cdef const Number* d = <const Number*> rows.x[count - 1]
    cdef uint64_t* whole = <uint64_t*> total
    cdef double* real = <double*> total
    for i in range(first, first + n):
        if Number is int64_t:
            if count == 4:
                whole[i] += <uint64_t> a[i] + <uint64_t> b[i] + <uint64_t> c[i] + <uint64_t> d[i]
            else:
                whole[i] += <uint64_t> a[i]
        elif count == 4:
            real[i] = (((real[i] + <double> a[i]) + <double> b[i]) + <double> c[i]) + <double> d[i]
        else:
            real[i] = real[i] + <double> a[i]


cdef inline bint wins(Number x, Number best, int64_t place, bint least) noexcept nogil:
    cdef bint better = (x < best) if least else (x > best)
    if Number is not int64_t:
        better = better | (x != x)
    return better | (place < 0)


cdef inline void compare(char* state, char* at, const Rows* rows, Py_ssize_t first, Py_ssize_t n, int count, bint least,
                         Number tag) noexcept nogil:
    """The same for maxima and minima. Places are as wide as numbers, for the vectors' sake."""
    cdef Py_ssize_t i
    cdef Number* best = <Number*> state
    cdef const Number* a = <const Number*> rows.x[0]
    cdef const Number* b = <const Number*> rows.x[count // 4]
    cdef const Number* c = <const Number*> rows.x[count // 2]
    cdef const Number* d = <const Number*> rows.x[count - 1]
    cdef Number kept
    cdef bint better
    cdef int32_t place
    cdef int64_t wide
    cdef int32_t* places = <int32_t*> at
    cdef int64_t* wides = <int64_t*> at
    for i in range(first, first + n):
        kept = best[i]
        if Number is float:
            place = places[i]
            better = wins(a[i], kept, place, least)
            kept, place = (a[i] if better else kept), (<int32_t> rows.t[0] if better else place)
            if count == 4:
                better = wins(b[i], kept, place, least)
                kept, place = (b[i] if better else kept), (<int32_t> rows.t[1] if better else place)
                better = wins(c[i], kept, place, least)
                kept, place = (c[i] if better else kept), (<int32_t> rows.t[2] if better else place)
                better = wins(d[i], kept, place, least)
                kept, place = (d[i] if better else kept), (<int32_t> rows.t[3] if better else place)
            places[i] = place
        else:
            wide = wides[i]
            better = wins(a[i], kept, wide, least)
            kept, wide = (a[i] if better else kept), (rows.t[0] if better else wide)
            if count == 4:
                better = wins(b[i], kept, wide, least)
                kept, wide = (b[i] if better else kept), (rows.t[1] if better else wide)
                better = wins(c[i], kept, wide, least)
                kept, wide = (c[i] if better else kept), (rows.t[2] if better else wide)
                better = wins(d[i], kept, wide, least)
                kept, wide = (d[i] if better else kept), (rows.t[3] if better else wide)
            wides[i] = wide
        best[i] = kept


cdef inline void join_line(char* state, char* at, const Rows* rows, Py_ssize_t first, Py_ssize_t n, int count,
                           Which which, Number tag) noexcept nogil:
    if which == SUM:
        add(state, rows, first, n, count, tag)
    elif which == MAX:
        compare(state, at, rows, first, n, count, False, tag)
    else:
        compare(state, at, rows, first, n, count, True, tag)


cdef inline void join(char* state, char* at, const Rows* rows, Py_ssize_t n, int count, Which which,
                      Number tag) noexcept nogil:
    """Some rows into the state of so many features."""
    cdef Py_ssize_t i = 0
    while i + LINE <= n:
        join_line(state, at, rows, i, LINE, count, which, tag)
        i += LINE
    if i + LINE // 2 <= n:
        join_line(state, at, rows, i, LINE // 2, count, which, tag)
        i += LINE // 2
    if i < n:
        join_line(state, at, rows, i, n - i, count, which, tag)


cdef inline void join_row(char* state, char* at, const Number* x, int64_t t, Py_ssize_t n, Which which) noexcept nogil:
    cdef Rows rows
    rows.x[0], rows.t[0] = <const char*> x, t
    join(state, at, &rows, n, 1, which, <Number> 0)


cdef inline void join_number(char* state, char* at, Number x, int64_t t, Which which) noexcept nogil:
    """The same of one feature: what changes seldom is better left to a branch."""
    cdef Number best
    cdef int64_t before
    cdef bint better
    if which == SUM:
        join_row(state, at, &x, t, 1, SUM)
        return
    best = (<Number*> state)[0]
    before = (<int32_t*> at)[0] if Number is float else (<int64_t*> at)[0]
    better = (x < best if which == MIN else x > best) or before < 0
    if Number is not int64_t:
        better = better or x != x
    if better:
        (<Number*> state)[0] = x
        if Number is float:
            (<int32_t*> at)[0] = <int32_t> t
        else:
            (<int64_t*> at)[0] = t


cdef inline void clear(char* state, char* at, Py_ssize_t n, Number tag) noexcept nogil:
    """The state of nothing."""
    memset(state, 0, n * 8)
    memset(at, 0xFF, n * sizeof(Number))


cdef inline void finish(Number* y, int64_t* index, const char* state, const char* at, Py_ssize_t n, Which which,
                        const int64_t* count, Number empty) noexcept nogil:
    """The state as a result, divided by the count if there is one; where nothing came, `empty` and -1."""
    cdef Py_ssize_t i
    cdef int64_t place
    if which != SUM:
        for i in range(n):
            place = (<const int32_t*> at)[i] if Number is float else (<const int64_t*> at)[i]
            y[i] = (<const Number*> state)[i] if place >= 0 else empty
            if index != NULL:
                index[i] = place
    elif Number is int64_t:
        memcpy(y, state, n * 8)
    elif count == NULL:
        for i in range(n):
            y[i] = <Number> (<const double*> state)[i]
    else:
        for i in range(n):
            y[i] = <Number> ((<const double*> state)[i] / <double> count[0]) if count[0] > 0 else empty
    if Number is not int64_t:
        for i in range(n):                          # of all NaN one
            y[i] = y[i] if y[i] == y[i] else <Number> NAN
