# The k largest keys of a row, in their order: a key is looked for that k of them reach, by halving the range between
# the least and the largest of the row; of keys equal to it the first ones are taken.
#
# If k is small, the row is first folded onto 64 lanes. What k lanes reach, k keys of the row reach as well: few more
# do, and among these alone the halving goes on.

cdef enum:
    LANES = 64
    CANDIDATES = 512
    GLANCE = 64             # keys that are looked at together
    LOOK = 8


cdef inline Py_ssize_t reaching(const Key* x, Py_ssize_t n, Key least) noexcept nogil:
    """How many keys are as large as this."""
    cdef Py_ssize_t i = 0, total = 0, g, m
    cdef int32_t some
    while i < n:
        g = min(<Py_ssize_t> 1 << 20, n - i)
        some = 0
        for m in range(g):
            some += x[i + m] >= least
        total += some
        i += g
    return total


cdef inline Key kth_largest(const Key* x, Py_ssize_t n, Py_ssize_t k) noexcept nogil:
    """A key that k of n keys are larger than, at most, and reach, at least; 1 <= k <= n."""
    cdef Py_ssize_t i, found
    cdef Key low = x[0], high = x[0], middle
    for i in range(n):
        low, high = min(low, x[i]), max(high, x[i])
    if k == n:
        return low
    if reaching(x, n, high) >= k:
        return high
    while <uint64_t> high - <uint64_t> low > 1:     # k reach the lower end, not the upper one
        middle = <Key> (low + <Key> ((<uint64_t> high - <uint64_t> low) / 2))
        found = reaching(x, n, middle)
        if found == k:
            return middle
        if found > k:
            low = middle
        else:
            high = middle
    return low


cdef inline Py_ssize_t candidates(const Key* x, Py_ssize_t n, Key least, int64_t* place) noexcept nogil:
    """Where the keys are that reach this one; how many, or more than there is room for."""
    cdef Py_ssize_t i = 0, j, m, g, h, found = 0
    cdef Key any_
    while i < n:
        g, any_ = min(<Py_ssize_t> GLANCE, n - i), 0
        for m in range(g):
            any_ |= <Key> (x[i + m] >= least)
        j = i if any_ else i + g
        while j < i + g:
            h, any_ = min(<Py_ssize_t> LOOK, i + g - j), 0
            for m in range(h):
                any_ |= <Key> (x[j + m] >= least)
            if any_:
                if found + h > CANDIDATES:
                    return CANDIDATES + 1
                for m in range(h):
                    place[found] = j + m
                    found += x[j + m] >= least
            j += h
        i += g
    return found


cdef Py_ssize_t candidates_of_row(const Key* x, Py_ssize_t n, Py_ssize_t k, int64_t* place) noexcept nogil:
    """Where keys are among which the k largest are; how many, or more than there is room for."""
    cdef Key[LANES] lane
    cdef Py_ssize_t i = LANES, m
    if k > LANES // 2 or n < 4 * LANES:
        return CANDIDATES + 1
    memcpy(lane, x, LANES * sizeof(Key))
    while i + LANES <= n:
        for m in range(LANES):
            lane[m] = max(lane[m], x[i + m])
        i += LANES
    return candidates(x, n, kth_largest(<const Key*> lane, LANES, k), place)


cdef void largest_of_row(const Key* x, Key* other, Py_ssize_t n, Py_ssize_t k, int64_t* place, const char* stored,
                         char* y, int64_t* index, Py_ssize_t index_step, const Job* job) noexcept nogil:
    """The k largest of n keys, of the numbers that are stored there."""
    cdef Py_ssize_t i, m = candidates_of_row(x, n, k, place), left = k, found = 0, at
    cdef Key least
    cdef bint few = m <= CANDIDATES
    if few:
        for i in range(m):
            other[i] = x[place[i]]
        x = other
    else:
        m = n
    least = kth_largest(x, m, k)
    left -= reaching(x, m, least)                   # less those equal to it
    for i in range(m):
        left += x[i] == least
    i = 0
    while found < k:
        if x[i] > least or x[i] == least and left > 0:
            left -= x[i] == least
            at = place[i] if few else i
            write(y + found * job.y.step[4], read(stored + at * job.x.step[4], job, least), job)
            if index != NULL:
                index[found * index_step] = at
            found += 1
        i += 1


cdef bint largest_share(const Job* job, Py_ssize_t n, Py_ssize_t k, int64_t* index, const Py_ssize_t* places,
                        Py_ssize_t first, Py_ssize_t stop, Key tag) noexcept nogil:
    """Rows first to stop, each of one channel; false if there is no memory. Channels that lie side by side are read so,
    some at a time."""
    cdef Py_ssize_t row = first, a, c, i, j, some, size = sizeof(Key), wide = 1, pitch
    cdef Key* keys
    cdef Key* column
    cdef const char* from_x
    cdef int64_t* place
    if job.x.step[5] == size and job.x.step[4] != size:
        wide = min(<Py_ssize_t> 16, job.c)
    pitch = (n * size + 127) // 64 * 64 // size     # an odd number of lines: columns do not get in each other's way
    pitch += (64 // size) * (1 - pitch * size // 64 % 2)
    keys = <Key*> malloc((wide + 1) * pitch * size + CANDIDATES * 8 + CANDIDATES * size)
    if keys == NULL:
        return False
    place = <int64_t*> keys
    keys += CANDIDATES * 8 // size
    column = keys + CANDIDATES
    while row < stop:
        a, c = row / job.c, row % job.c
        some = min(wide, min(job.c - c, stop - row))
        for i in range(n if wide > 1 else 0):
            for j in range(some):
                memcpy(column + j * pitch + i, job.x.data + a * job.x.step[0] + i * job.x.step[4] + (c + j) * size,
                       size)
        for j in range(some):
            from_x = job.x.data + a * job.x.step[0] + (c + j) * job.x.step[5]
            if wide == 1 and job.x.step[4] == size and <size_t> from_x % size == 0:
                make_keys(column, <const Key*> from_x, n, job)
            else:
                if wide == 1:
                    gather_run(column, from_x, n, job.x.step[4])
                make_keys(column + j * pitch, column + j * pitch, n, job)
            for i in range(n if job.floating else 0):
                column[j * pitch + i] += column[j * pitch + i] == -1        # -0.0 is as large as 0.0
            largest_of_row(column + j * pitch, keys, n, k, place,
                           from_x, job.y.data + a * job.y.step[0] + (c + j) * job.y.step[5],
                           NULL if index == NULL else index + a * places[0] + (c + j) * places[1], places[2], job)
        row += some
    free(place)
    return True


cdef bint largest_rows(const Job* job, Py_ssize_t n, Py_ssize_t k, int64_t* index, const Py_ssize_t* places,
                       Py_ssize_t first, Py_ssize_t stop) noexcept nogil:
    if job.size == 1:
        return largest_share(job, n, k, index, places, first, stop, <uint8_t> 0)
    if job.size == 2:
        return largest_share(job, n, k, index, places, first, stop, <int16_t> 0)
    if job.size == 4:
        return largest_share(job, n, k, index, places, first, stop, <int32_t> 0)
    return largest_share(job, n, k, index, places, first, stop, <int64_t> 0)


def k_largest(cnp.ndarray x, cnp.ndarray y, index, keys, int threads):
    """The largest of x's rows (a, c, n), as many as y (a, c, k) has place for, in their order; and where they are, into
    int64 index (a, c, k). keys: ``(swapped, floating, flip, infinity, nan)``, see `Job`. Nothing is empty."""
    cdef Job job
    cdef Py_ssize_t[3] places
    cdef int[3] role
    cdef int64_t* first = NULL
    cdef Py_ssize_t n = cnp.PyArray_DIM(x, 2), k = cnp.PyArray_DIM(y, 2), share, shares, rows
    cdef bint enough = True
    memset(&job, 0, sizeof(Job))
    role[0], role[1], role[2] = 0, 5, 4
    describe(&job.x, x, role)
    describe(&job.y, y, role)
    job.c, job.size = cnp.PyArray_DIM(x, 1), cnp.PyArray_ITEMSIZE(x)
    job.swapped, job.floating, job.flip, job.infinity, job.nan = keys
    if index is not None:
        first = <int64_t*> cnp.PyArray_DATA(<cnp.ndarray> index)
        for i in range(3):
            places[i] = cnp.PyArray_STRIDE(<cnp.ndarray> index, i) // 8
    else:
        memset(places, 0, sizeof(places))
    rows = cnp.PyArray_DIM(x, 0) * job.c
    shares = min((rows + 15) / 16, <Py_ssize_t> 8 * threads)
    for share in prange(shares, nogil=True, schedule="dynamic", chunksize=1, num_threads=threads):
        enough &= largest_rows(&job, n, k, first, places, rows * share / shares, rows * (share + 1) / shares)
    if not enough:
        raise MemoryError("no memory for rows to be had")
