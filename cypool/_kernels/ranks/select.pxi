# One window: its taps are gathered, then selected digit by digit, or sorted. No data makes this quadratic.


cdef inline void sort_few(Key* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef Key value
    for i in range(1, n):
        value, j = x[i], i
        while j > 0 and x[j - 1] > value:
            x[j] = x[j - 1]
            j -= 1
        x[j] = value


cdef inline uint64_t unsigned(Key k) noexcept nogil:
    """A key as a number from 0 on, in the same order."""
    if Key is int16_t:
        return <uint16_t> k ^ <uint16_t> 0x8000
    elif Key is int32_t:
        return <uint32_t> k ^ 0x80000000ULL
    elif Key is int64_t:
        return <uint64_t> k ^ 0x8000000000000000ULL
    else:
        return k


cdef inline Key key_from(uint64_t u, Key tag) noexcept nogil:
    if Key is int16_t:
        return <int16_t> <uint16_t> (u ^ 0x8000)
    elif Key is int32_t:
        return <int32_t> <uint32_t> (u ^ 0x80000000ULL)
    elif Key is int64_t:
        return <int64_t> (u ^ 0x8000000000000000ULL)
    else:
        return <uint8_t> u


cdef Key* sort_many(Key* x, Key* other, Py_ssize_t n, int64_t* digit) noexcept nogil:
    """Sort, digit by digit, the last one first, back and forth between two buffers; where the result is."""
    cdef Key* y = other
    cdef Key* was
    cdef Py_ssize_t i, place, count
    cdef int shift
    for shift in range(0, 8 * <int> sizeof(Key), 8):
        memset(digit, 0, 256 * sizeof(int64_t))
        for i in range(n):
            digit[(unsigned(x[i]) >> shift) & 255] += 1
        if digit[(unsigned(x[0]) >> shift) & 255] == n:
            continue                                # all alike
        place = 0
        for i in range(256):
            count = digit[i]
            digit[i] = place
            place += count
        for i in range(n):
            count = (unsigned(x[i]) >> shift) & 255
            y[digit[count]] = x[i]
            digit[count] += 1
        was = x
        x = y
        y = was
    return x


cdef inline Py_ssize_t digit_of(int64_t* digit, Py_ssize_t* rank) noexcept nogil:
    """The digit that holds a rank, which becomes that among the keys with this digit."""
    cdef Py_ssize_t i = 0
    while digit[i] <= rank[0]:
        rank[0] -= digit[i]
        i += 1
    return i


cdef Key select(Key* x, Py_ssize_t n, Py_ssize_t rank, int64_t* digit) noexcept nogil:
    """The key of a rank, found digit by digit, the first one first, among those that have the digits so far."""
    cdef Py_ssize_t i, kept
    cdef uint64_t found
    cdef int shift = 8 * <int> sizeof(Key)
    while n > FEW and shift > 0:
        shift -= 8
        memset(digit, 0, 256 * sizeof(int64_t))
        for i in range(n):
            digit[(unsigned(x[i]) >> shift) & 255] += 1
        found = digit_of(digit, &rank)
        if digit[found] == n:
            continue
        kept = 0
        for i in range(n):
            x[kept] = x[i]
            kept += ((unsigned(x[i]) >> shift) & 255) == found
        n = kept
    if n <= FEW:
        sort_few(x, n)
    return x[rank]                                  # of many, all are equal by now


cdef inline Py_ssize_t gather(const Job* job, Key* y, const char* x, Taps d, Taps h, Taps w) noexcept nogil:
    """The taps of a window that count, side by side: NaN and what is ignored may be left out. How many."""
    cdef Py_ssize_t i, j, k, n = 0
    cdef const char* row
    cdef Key value
    cdef bint leave = job.omit and job.floating or job.ignoring
    cdef Key out = <Key> (job.ignored if job.ignoring else job.nan)
    for i in range(d.count):
        for j in range(h.count):
            row = (x + (d.first + i * job.axis[0].dilation) * job.x.step[2]
                   + (h.first + j * job.axis[1].dilation) * job.x.step[3] + w.first * job.x.step[4])
            for k in range(w.count):
                value = read(row, job, out)
                row += job.axis[2].dilation * job.x.step[4]
                y[n] = value
                n += not (leave and value == out)
    return n


cdef Py_ssize_t count_digits(const Job* job, const char* x, Taps d, Taps h, Taps w, uint64_t found, int shift,
                             int64_t* digit, Key tag) noexcept nogil:
    """The next digit of every tap that has the digits found so far; shift: where those end. How many taps are NaN."""
    cdef Py_ssize_t i, j, k, nan = 0
    cdef const char* row
    cdef uint64_t u
    cdef Key value
    for i in range(d.count):
        for j in range(h.count):
            row = (x + (d.first + i * job.axis[0].dilation) * job.x.step[2]
                   + (h.first + j * job.axis[1].dilation) * job.x.step[3] + w.first * job.x.step[4])
            for k in range(w.count):
                value = read(row, job, tag)
                row += job.axis[2].dilation * job.x.step[4]
                u = unsigned(value)
                nan += job.floating and value == <Key> job.nan
                if shift >= 8 * <int> sizeof(Key) or (u >> shift) == found:
                    digit[(u >> (shift - 8)) & 255] += 1
    return nan


cdef Key select_in_place(const Job* job, const char* x, Taps d, Taps h, Taps w, int64_t* digit,
                         Key tag) noexcept nogil:
    """As `select`, of a window too large to be gathered."""
    cdef Py_ssize_t nan, rank = 0, taps = d.count * h.count * w.count
    cdef uint64_t found = 0
    cdef int shift = 8 * <int> sizeof(Key)
    while shift > 0:
        memset(digit, 0, 256 * sizeof(int64_t))
        nan = count_digits(job, x, d, h, w, found, shift, digit, tag)
        if shift == 8 * <int> sizeof(Key):
            if nan > 0 and (nan == taps or not job.omit):
                return <Key> job.nan
            rank = wanted(job, taps - nan)          # NaN comes last
        found = (found << 8) | <uint64_t> digit_of(digit, &rank)
        shift -= 8
    return key_from(found, tag)


cdef Key most_frequent(Key* x, Key* other, Py_ssize_t n, int64_t* digit) noexcept nogil:
    cdef Py_ssize_t i, start = 0, most = 0
    cdef Key best = x[0]
    if n <= FEW:
        sort_few(x, n)
    else:
        x = sort_many(x, other, n, digit)
    for i in range(1, n + 1):
        if i == n or x[i] != x[start]:
            if i - start > most:                    # of labels as frequent the first, the smallest, stays
                most, best = i - start, x[start]
            start = i
    return best


cdef Key singly(const Job* job, Scratch* s, const char* x, Taps d, Taps h, Taps w, Key tag) noexcept nogil:
    """The result for one window; x: its channel's first element."""
    cdef Key* keys = <Key*> s.keys
    cdef Py_ssize_t i, n, taps = d.count * h.count * w.count
    if taps > job.room:
        return select_in_place(job, x, d, h, w, s.digit, tag)
    n = gather(job, keys, x, d, h, w)
    if n == 0:
        return <Key> (job.ignored if job.mode else job.nan)
    if job.mode:
        return most_frequent(keys, <Key*> s.other, n, s.digit)
    if job.floating and not job.omit:
        for i in range(n):
            if keys[i] == <Key> job.nan:
                return <Key> job.nan
    return select(keys, n, wanted(job, n), s.digit)


cdef void singly_along(const Job* job, Scratch* s, const char* x, char* y, Taps d, Taps h, Py_ssize_t w0,
                       Py_ssize_t w1, Py_ssize_t c0, Py_ssize_t c1, Key tag) noexcept nogil:
    """The windows w0..w1 of a row, channels c0..c1; x, y: of column and channel 0."""
    cdef Py_ssize_t i, c
    cdef Taps w
    for i in range(w0, w1):
        w = valid(&job.axis[2], i)
        for c in range(c0, c1):
            write(y + i * job.y.step[4] + c * job.y.step[5],
                  singly(job, s, x + c * job.x.step[5], d, h, w, tag), job)
