# Rows of windows, a vector at a time: networks, pairs, and what goes with them.
#
# Vectors of keys stand in local arrays that nothing else can point to, so the compiler keeps them in registers.

cdef inline void pull(Key* v, const Key* x) noexcept nogil:
    cdef Py_ssize_t k, lanes = VECTOR / sizeof(Key)
    for k in range(lanes):
        v[k] = x[k]


cdef inline void sort_two(Key* v, int i, int j) noexcept nogil:
    """The smaller ones into vector i, the larger ones into vector j."""
    cdef Py_ssize_t k, lanes = VECTOR / sizeof(Key)
    cdef Key* a = v + i * lanes
    cdef Key* b = v + j * lanes
    cdef Key low, high
    for k in range(lanes):
        low = a[k] if a[k] < b[k] else b[k]
        high = b[k] if a[k] < b[k] else a[k]
        a[k], b[k] = low, high


cdef inline void least(Key* v, int i, int j) noexcept nogil:
    """The smaller ones into vector i."""
    cdef Py_ssize_t k, lanes = VECTOR / sizeof(Key)
    cdef Key* a = v + i * lanes
    cdef Key* b = v + j * lanes
    for k in range(lanes):
        a[k] = a[k] if a[k] < b[k] else b[k]


cdef inline void most(Key* v, int i, int j) noexcept nogil:
    """The larger ones into vector i."""
    cdef Py_ssize_t k, lanes = VECTOR / sizeof(Key)
    cdef Key* a = v + i * lanes
    cdef Key* b = v + j * lanes
    for k in range(lanes):
        a[k] = b[k] if a[k] < b[k] else a[k]


cdef inline void exchange(const Key* a, const Key* b, Key* low, Key* high, Py_ssize_t n) noexcept nogil:
    """The smaller and the larger ones of two rows, in whole vectors. Both are read before either is written."""
    cdef Py_ssize_t i = 0, lanes = VECTOR / sizeof(Key)
    cdef Key v[2 * VECTOR]
    while i < n:
        pull(v, a + i)
        pull(v + lanes, b + i)
        sort_two(v, 0, 1)
        if low != NULL:
            pull(low + i, v)
        if high != NULL:
            pull(high + i, v + lanes)
        i += lanes


cdef inline void median_of_9(char** x, Key* y, Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    """Of three rows and columns, `step` keys apart: the columns are sorted, and then it is the median of the largest of
    the smallest, the median of the middle ones, and the smallest of the largest."""
    cdef Py_ssize_t i = 0, lanes = VECTOR / sizeof(Key)
    cdef int r, c
    cdef Key v[9 * VECTOR]
    while i < n:
        for r in range(3):
            for c in range(3):
                pull(v + (3 * r + c) * lanes, <const Key*> x[r] + i + c * step)
        for c in range(3):
            sort_two(v, c, 3 + c)
            sort_two(v, 3 + c, 6 + c)
            sort_two(v, c, 3 + c)
        most(v, 0, 1)
        most(v, 0, 2)
        sort_two(v, 3, 4)
        least(v, 4, 5)
        most(v, 3, 4)
        least(v, 6, 7)
        least(v, 6, 8)
        sort_two(v, 0, 3)
        least(v, 3, 6)
        most(v, 0, 3)
        pull(y + i, v)
        i += lanes


cdef inline void sort_columns(char** x, char** y, Py_ssize_t n, Key tag) noexcept nogil:
    """The columns of five rows, sorted."""
    cdef Py_ssize_t i = 0, lanes = VECTOR / sizeof(Key)
    cdef int r
    cdef Key v[5 * VECTOR]
    while i < n:
        for r in range(5):
            pull(v + r * lanes, <const Key*> x[r] + i)
        sort_two(v, 0, 3)
        sort_two(v, 1, 4)
        sort_two(v, 0, 2)
        sort_two(v, 1, 3)
        sort_two(v, 0, 1)
        sort_two(v, 2, 4)
        sort_two(v, 1, 2)
        sort_two(v, 3, 4)
        sort_two(v, 2, 3)
        for r in range(5):
            pull(<Key*> y[r] + i, v + r * lanes)
        i += lanes


cdef inline void merge_columns(char** column, char** y, Py_ssize_t n, Py_ssize_t step, Key tag) noexcept nogil:
    """Two sorted columns of five, `step` keys apart, as one of ten."""
    cdef Py_ssize_t i = 0, lanes = VECTOR / sizeof(Key)
    cdef int r
    cdef Key v[10 * VECTOR]
    while i < n:
        for r in range(5):
            pull(v + r * lanes, <const Key*> column[r] + i)
        for r in range(5):
            pull(v + (5 + r) * lanes, <const Key*> column[r] + i + step)
        sort_two(v, 0, 5)
        sort_two(v, 4, 9)
        sort_two(v, 4, 5)
        sort_two(v, 2, 7)
        sort_two(v, 2, 4)
        sort_two(v, 7, 5)
        sort_two(v, 1, 6)
        sort_two(v, 3, 8)
        sort_two(v, 3, 6)
        sort_two(v, 1, 2)
        sort_two(v, 3, 4)
        sort_two(v, 6, 7)
        sort_two(v, 8, 5)
        pull(<Key*> y[0] + i, v)
        pull(<Key*> y[1] + i, v + lanes)
        pull(<Key*> y[2] + i, v + 2 * lanes)
        pull(<Key*> y[3] + i, v + 3 * lanes)
        pull(<Key*> y[4] + i, v + 4 * lanes)
        pull(<Key*> y[5] + i, v + 6 * lanes)
        pull(<Key*> y[6] + i, v + 7 * lanes)
        pull(<Key*> y[7] + i, v + 8 * lanes)
        pull(<Key*> y[8] + i, v + 5 * lanes)
        pull(<Key*> y[9] + i, v + 9 * lanes)
        i += lanes


cdef inline void median_of_25(char** ten, char** five, Key* y, Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    """Of two sorted tens, `step` keys apart, and a sorted five behind them. Of the tens only the middle six of all
    twenty can be the median."""
    cdef Py_ssize_t i = 0, lanes = VECTOR / sizeof(Key)
    cdef int r
    cdef Key v[25 * VECTOR]
    while i < n:
        for r in range(5):                          # five turns are unrolled, ten are not, and go through memory
            pull(v + r * lanes, <const Key*> ten[r] + i)
        for r in range(5):
            pull(v + (5 + r) * lanes, <const Key*> ten[5 + r] + i)
        for r in range(5):
            pull(v + (10 + r) * lanes, <const Key*> ten[r] + i + step)
        for r in range(5):
            pull(v + (15 + r) * lanes, <const Key*> ten[5 + r] + i + step)
        most(v, 10, 0)
        least(v, 8, 18)
        sort_two(v, 8, 10)
        sort_two(v, 4, 14)
        most(v, 8, 4)
        least(v, 14, 10)
        most(v, 12, 2)
        least(v, 6, 16)
        sort_two(v, 6, 12)
        most(v, 8, 6)
        sort_two(v, 12, 14)
        most(v, 11, 1)
        least(v, 9, 19)
        sort_two(v, 9, 11)
        sort_two(v, 5, 15)
        most(v, 9, 5)
        least(v, 15, 11)
        most(v, 13, 3)
        least(v, 7, 17)
        sort_two(v, 7, 13)
        sort_two(v, 7, 9)
        least(v, 13, 15)
        sort_two(v, 7, 8)
        sort_two(v, 9, 12)
        sort_two(v, 13, 14)                         # the six: 7, 8, 9, 12, 13, 14
        for r in range(5):
            pull(v + (20 + r) * lanes, <const Key*> five[r] + i + 2 * step)
        most(v, 13, 20)
        most(v, 12, 21)
        most(v, 9, 22)
        most(v, 8, 23)
        most(v, 7, 24)
        least(v, 14, 13)
        least(v, 12, 9)
        least(v, 8, 7)
        least(v, 14, 12)
        least(v, 14, 8)
        pull(y + i, v + 14 * lanes)
        i += lanes


cdef void run_square(const Job* job, int square, char** row, Py_ssize_t n, Key tag) noexcept nogil:
    """The median of three or five rows and columns, for n windows: the rows are the inputs, then scratch."""
    cdef Py_ssize_t c = job.tile_c, step = job.across[3] * c        # from one column of taps to the next
    if square == 3:
        median_of_9(row, <Key*> row[3], n * c, step)
    else:
        sort_columns(row, row + 5, n * c + 4 * step, tag)
        merge_columns(row + 5, row + 10, n * c + 2 * step, step, tag)
        median_of_25(row + 10, row + 5, <Key*> row[20], n * c, 2 * step)


cdef inline void run_network(const Job* job, const Steps* net, char** row, Py_ssize_t n, Key tag) noexcept nogil:
    """The steps of a network, for n windows."""
    cdef const int32_t* step = net.step
    cdef Py_ssize_t i, c = job.tile_c, keys
    cdef const Key* a
    cdef const Key* b
    for i in range(net.steps):
        a = <const Key*> row[step[0]] + step[1] * c
        b = <const Key*> row[step[2]] + step[3] * c
        keys = (n + step[6]) * c
        if step[5] < 0:
            exchange(a, b, <Key*> row[step[4]], NULL, keys)
        elif step[4] < 0:
            exchange(a, b, NULL, <Key*> row[step[5]], keys)
        else:
            exchange(a, b, <Key*> row[step[4]], <Key*> row[step[5]], keys)
        step += STEP


cdef void mark_nan(const Job* job, char** row, Py_ssize_t rows, Key* mark, Py_ssize_t n) noexcept nogil:
    """Which of n keys belong to windows with NaN."""
    cdef Py_ssize_t r, j, i
    cdef Key nan = <Key> job.nan
    cdef const Key* x
    memset(mark, 0, n * sizeof(Key))
    for r in range(rows):
        for j in range(job.axis[2].kernel):
            x = <const Key*> row[r * job.sorts + job.across[2 * j]] + job.across[2 * j + 1] * job.tile_c
            for i in range(n):
                mark[i] |= <Key> (x[i] == nan)


cdef inline void pairs(const Job* job, char** tap, Py_ssize_t taps, Key* y, Py_ssize_t n) noexcept nogil:
    """The most frequent of each window's taps, the smallest of those as frequent; in whole vectors."""
    cdef Py_ssize_t at, part, i, j, k, lanes = VECTOR / sizeof(Key)
    cdef Key first[VECTOR]
    cdef Key value[VECTOR]
    cdef Key other[VECTOR]
    cdef Key count[VECTOR]
    cdef Key best[VECTOR]
    cdef Key most[VECTOR]
    cdef Key differ, ignored = <Key> job.ignored
    for part in range((n + lanes - 1) / lanes):
        at = part * lanes
        differ = 0
        for k in range(lanes):
            first[k] = (<const Key*> tap[0])[at + k]
            most[k] = 0
        for j in range(1, taps):
            for k in range(lanes):
                most[k] |= <Key> ((<const Key*> tap[j])[at + k] ^ first[k])
        for k in range(lanes):
            differ |= most[k]
        if differ == 0:                             # labels are large: mostly all taps are one
            for k in range(lanes):
                y[at + k] = first[k]
            continue
        for k in range(lanes):
            best[k] = ignored
            most[k] = 0
        for i in range(taps):
            for k in range(lanes):
                value[k] = (<const Key*> tap[i])[at + k]
                count[k] = 0
            for j in range(taps):
                for k in range(lanes):
                    other[k] = (<const Key*> tap[j])[at + k]
                for k in range(lanes):
                    count[k] += 1 if other[k] == value[k] else 0
            if job.ignoring:
                for k in range(lanes):
                    count[k] = 0 if value[k] == ignored else count[k]
            for k in range(lanes):
                other[k] = 1 if count[k] > most[k] else 0
            for k in range(lanes):
                other[k] = 1 if count[k] == most[k] and count[k] > 0 and value[k] < best[k] else other[k]
            for k in range(lanes):
                best[k] = value[k] if other[k] != 0 else best[k]
            for k in range(lanes):
                most[k] = count[k] if count[k] > most[k] else most[k]
        for k in range(lanes):
            y[at + k] = best[k]


cdef inline void put(const Job* job, char* y, Key* x, Py_ssize_t n, Py_ssize_t channels) noexcept nogil:
    """Write the keys of n windows beside each other; they are not needed any more."""
    cdef Py_ssize_t i, size = sizeof(Key), all = n * job.tile_c
    cdef Key flip = <Key> job.flip
    cdef bint at_once = (job.y.step[4] == job.tile_c * size and (job.tile_c == 1 or job.y.step[5] == size)
                         and channels == job.tile_c and <size_t> y % <size_t> size == 0)
    cdef Key* to = <Key*> y if at_once else x
    if job.floating:
        for i in range(all):
            to[i] = ordered(x[i])
    elif flip != 0 or at_once:
        for i in range(all):
            to[i] = <Key> (x[i] ^ flip)
    if at_once:
        return
    if job.tile_c == 1:
        scatter_run(y, x, n, job.y.step[4])
    else:
        for i in range(n):
            scatter_run(y + i * job.y.step[4], x + i * job.tile_c, channels, job.y.step[5])
