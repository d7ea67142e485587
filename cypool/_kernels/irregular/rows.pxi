# A row joins the sums, or the maxima and where they were. Floats are added up in double, integers modulo 2**64; of
# equal numbers the first stays, of several NaN the last.

cdef enum Which:
    SUM, MAX, MIN


cdef inline void add(char* total, const Number* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if Number is int64_t:
            (<uint64_t*> total)[i] += <uint64_t> x[i]
        else:
            (<double*> total)[i] += <double> x[i]


cdef inline void compare(Number* best, char* at, const Number* x, int64_t t, Py_ssize_t n, bint least) noexcept nogil:
    cdef Py_ssize_t i
    cdef bint better
    for i in range(n):
        better = (x[i] < best[i]) if least else (x[i] > best[i])
        if Number is not int64_t:
            better = better | (x[i] != x[i])
        if Number is float:                         # as wide as the numbers, for the vectors' sake
            better = better | ((<int32_t*> at)[i] < 0)
            (<int32_t*> at)[i] = <int32_t> t if better else (<int32_t*> at)[i]
        else:
            better = better | ((<int64_t*> at)[i] < 0)
            (<int64_t*> at)[i] = t if better else (<int64_t*> at)[i]
        best[i] = x[i] if better else best[i]


cdef inline void join_line(char* state, char* at, const Number* x, int64_t t, Py_ssize_t n, Which which) noexcept nogil:
    if which == SUM:
        add(state, x, n)
    elif which == MAX:
        compare(<Number*> state, at, x, t, n, False)
    else:
        compare(<Number*> state, at, x, t, n, True)


cdef inline void join_row(char* state, char* at, const Number* x, int64_t t, Py_ssize_t n, Which which) noexcept nogil:
    """Row t into the state of so many features."""
    cdef Py_ssize_t i = 0, width = 8 if which == SUM or sizeof(Number) == 8 else 4
    while i + LINE <= n:
        join_line(state + i * width, at + i * sizeof(Number), x + i, t, LINE, which)
        i += LINE
    if i < n:
        join_line(state + i * width, at + i * sizeof(Number), x + i, t, n - i, which)


cdef inline void clear(char* state, char* at, Py_ssize_t n, Number tag) noexcept nogil:
    """The state of nothing."""
    memset(state, 0, n * 8)
    memset(at, 0xFF, n * sizeof(Number))


cdef inline void join_number(char* state, char* at, Number x, int64_t t, Which which) noexcept nogil:
    """The same of one feature: what changes seldom is better left to a branch."""
    cdef Number best
    cdef int64_t before
    cdef bint better
    if which == SUM:
        add(state, &x, 1)
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
