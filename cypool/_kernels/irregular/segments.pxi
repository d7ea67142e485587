# Sums and maxima of segments: of runs of rows, which may be masked, or of rows that each say which segment they are of.

cdef enum:
    IDS = 512               # ids of a block
    AHEAD = 12              # rows that are fetched ahead
    WIDE = 256              # features from which on four rows at a time are no gain


cdef struct Work:
    Source x
    Which which
    const int64_t* begin    # of each run's rows, and their end
    const int64_t* end
    const uint8_t* mask     # which rows count, (outer, rows); none: all
    bint outer_runs         # run i is of outer i
    Py_ssize_t segments, features
    char* out               # (segments, features) of Number
    int64_t* index          # as many, or none
    int64_t* count          # of rows, for each segment, that sums are divided by, or none
    Py_ssize_t wide         # features that are worked on at once
    Source id               # unsorted: the segment of each row
    Py_ssize_t share        # segments of a share


cdef inline size_t whole_lines(size_t size) noexcept nogil:
    return (size + 63) & ~(<size_t> 63)


cdef inline int64_t join_column(char* state, char* at, const Number* x, Py_ssize_t pitch, const uint8_t* mask,
                                int64_t t, Py_ssize_t n, Which which) noexcept nogil:
    """Rows of one feature, from row t on; how many counted."""
    cdef char[8] best
    cdef char[8] place
    cdef Py_ssize_t i
    cdef int64_t count = 0
    memcpy(best, state, 8)
    memcpy(place, at, sizeof(Number))
    for i in range(n):
        if mask == NULL or mask[i]:
            join_number(best, place, x[i * pitch], t + i, which)
            count += 1
    memcpy(state, best, 8)
    memcpy(at, place, sizeof(Number))
    return count


cdef inline int64_t join_rows(char* state, char* at, const Number* x, Py_ssize_t pitch, const uint8_t* mask, int64_t t,
                              Py_ssize_t n, Py_ssize_t features, Which which) noexcept nogil:
    """n rows from t on, four at a time; how many counted."""
    cdef Rows rows
    cdef Py_ssize_t i, k = 0
    cdef int64_t count = 0
    if features == 1:
        return join_column(state, at, x, pitch, mask, t, n, which)
    if features > WIDE:
        for i in range(n):
            if mask == NULL or mask[i]:
                join_row(state, at, x + i * pitch, t + i, features, which)
                count += 1
        return count
    for i in range(n):
        if mask == NULL or mask[i]:
            rows.x[k], rows.t[k] = <const char*> (x + i * pitch), t + i
            k += 1
            if k == 4:
                join(state, at, &rows, features, 4, which, <Number> 0)
                count += 4
                k = 0
    for i in range(k):
        join_row(state, at, <const Number*> rows.x[i], rows.t[i], features, which)
    return count + k


cdef void reduce_run(const Work* w, char* memory, Py_ssize_t s, Py_ssize_t f, Py_ssize_t features,
                     Number empty) noexcept nogil:
    """Some features of one run."""
    cdef char* at = memory + w.wide * 8
    cdef Number* room = <Number*> (at + w.wide * sizeof(Number))
    cdef Py_ssize_t o = s if w.outer_runs else 0, t = w.begin[s], pitch = 0, n, step = 1024
    cdef const Number* x
    cdef const uint8_t* mask = NULL
    cdef int64_t count = 0
    clear(memory, at, features, empty)
    if not w.x.direct:
        step = max(<Py_ssize_t> 1, BLOCK / features)
    while t < w.end[s]:
        n = min(step, w.end[s] - t)
        x = block(&w.x, room, o, t, n, f, features, &pitch)
        if w.mask != NULL:
            mask = w.mask + o * w.x.rows + t
        if w.which == SUM:
            count += join_rows(memory, at, x, pitch, mask, t, n, features, SUM)
        elif w.which == MAX:
            count += join_rows(memory, at, x, pitch, mask, t, n, features, MAX)
        else:
            count += join_rows(memory, at, x, pitch, mask, t, n, features, MIN)
        t += n
    if w.count != NULL:
        w.count[s] = count
    finish(<Number*> w.out + s * w.features + f, NULL if w.index == NULL else w.index + s * w.features + f, memory, at,
           features, w.which, NULL if w.count == NULL else &count, empty)


cdef bint reduce_group(const Work* w, Py_ssize_t s0, Py_ssize_t s1, Py_ssize_t f, Number empty) noexcept nogil:
    """Some features of runs s0 to s1; false if there is no memory."""
    cdef Py_ssize_t s, features = min(w.wide, w.features - f)
    cdef char* memory = <char*> malloc(w.wide * (8 + sizeof(Number)) + (BLOCK + w.wide) * sizeof(Number))
    if memory == NULL:
        return False
    for s in range(s0, s1):
        reduce_run(w, memory, s, f, features, empty)
    free(memory)
    return True


cdef void describe_rows(Work* w, cnp.ndarray x, codes, which, Number[:, ::1] out, index, count) except *:
    cdef int64_t[:, ::1] places
    cdef int64_t[::1] counts
    memset(w, 0, sizeof(Work))
    w.which = {"sum": SUM, "max": MAX, "min": MIN}[which]
    describe(&w.x, x, codes, w.which != SUM, <Number> 0)
    w.segments, w.features = out.shape[0], out.shape[1]
    w.out = <char*> &out[0, 0]
    if count is not None:
        counts = count
        w.count = &counts[0]
    if index is not None:
        places = index
        w.index = &places[0, 0]


def reduce_runs(cnp.ndarray x, codes, const int64_t[::1] begin, const int64_t[::1] end, mask, which, Number[:, ::1] out,
                index, count, Number empty, int threads):
    """Sums, or maxima and their rows, of x's rows begin[i] to end[i] into out[i]. With a count, which becomes how many
    rows there were, sums of floats are divided by it.

    x: (1, rows, features), or (runs, rows, features) for a run each, of which `mask` (runs, rows) says what counts.
    codes: storage of x and whether its bytes are swapped. out and index: (runs, features), not empty.
    """
    cdef Work w
    cdef const uint8_t[:, ::1] masked
    cdef Py_ssize_t group, groups, blocks, item
    cdef bint enough = True
    describe_rows(&w, x, codes, which, out, index, count)
    w.begin, w.end, w.outer_runs = &begin[0], &end[0], w.x.outer > 1
    if mask is not None:
        masked = mask
        w.mask, w.outer_runs = &masked[0, 0], True
    w.wide = min(w.features, 1024 if w.x.direct else 64)
    if w.segments * ((w.features + w.wide - 1) / w.wide) < 4 * threads:
        w.wide = min(w.wide, (w.features / (4 * threads) + LINE - 1) / LINE * LINE + LINE * (w.features < 4 * threads))
    blocks = (w.features + w.wide - 1) / w.wide
    groups = min(w.segments, <Py_ssize_t> 64 * threads)
    if threads == 1:
        with nogil:
            for item in range(groups * blocks):
                group = item / blocks
                enough &= reduce_group(&w, w.segments * group / groups, w.segments * (group + 1) / groups,
                                       item % blocks * w.wide, empty)
    else:
        for item in prange(groups * blocks, nogil=True, schedule="dynamic", chunksize=1, num_threads=threads):
            enough &= reduce_group(&w, w.segments * (item / blocks) / groups,
                                   w.segments * (item / blocks + 1) / groups, item % blocks * w.wide, empty)
    if not enough:
        raise MemoryError("no memory for rows to be had")


# ---------------------------------------------------------------------------- unsorted

cdef inline void join_listed(char* state, char* at, int64_t* count, const int64_t* row,
                             const int64_t* segment, Py_ssize_t n, const Number* x, int64_t t, Py_ssize_t pitch,
                             Py_ssize_t features, Which which) noexcept nogil:
    """Those rows of a block that are listed, each into its segment of the share."""
    cdef Py_ssize_t i, k, s, width = features * (8 if which == SUM or sizeof(Number) == 8 else 4)
    cdef Py_ssize_t place = features * sizeof(Number), next
    cdef Rows rows
    if count != NULL:
        for i in range(n):
            count[segment[i]] += 1
    if features == 1:
        for i in range(n):
            s = segment[i]
            join_number(state + s * width, at + s * place, x[row[i] * pitch], t + row[i], which)
        return
    i = 0
    while i < n:
        if i + AHEAD < n:
            next = segment[i + AHEAD]
            fetch(x + row[i + AHEAD] * pitch)
            fetch(state + next * width)
            if which != SUM:
                fetch(at + next * place)
            elif width > 64:
                fetch(state + next * width + 64)
        s = segment[i]
        if i + 3 < n and segment[i + 1] == s and segment[i + 2] == s and segment[i + 3] == s:
            for k in range(4):                      # as where ids rise
                rows.x[k], rows.t[k] = <const char*> (x + row[i + k] * pitch), t + row[i + k]
            join(state + s * width, at + s * place, &rows, features, 4, which, <Number> 0)
            i += 4
            continue
        join_row(state + s * width, at + s * place, x + row[i] * pitch, t + row[i], features, which)
        i += 1


cdef inline bint scattered(const int64_t* segment, Py_ssize_t n) noexcept nogil:
    """Whether neighbouring rows seem to be of different segments."""
    return n > 2 and (segment[0] != segment[1] and segment[n / 2] != segment[n / 2 + 1]
                      and segment[n - 2] != segment[n - 1])


cdef inline void sum_column(double* state, const int64_t* segment, Py_ssize_t n, const Number* x,
                            Py_ssize_t pitch) noexcept nogil:
    """n rows of one feature, each into its segment's sum. Where rows of a segment follow each other their sum is kept
    at hand: through memory each would wait for the one before."""
    cdef Py_ssize_t i
    cdef int64_t s, at = segment[0]
    cdef double total
    if scattered(segment, n):
        for i in range(n):
            state[segment[i]] += <double> x[i * pitch]
        return
    total = state[at]
    for i in range(n):
        s = segment[i]
        if s != at:
            state[at] = total
            total, at = state[s], s
        total += <double> x[i * pitch]
    state[at] = total


cdef inline bint top_column(Number* state, char* places, const int64_t* segment, Py_ssize_t n, const Number* x,
                            Py_ssize_t pitch, bint least) noexcept nogil:
    """The same for maxima or minima whose rows nobody asks for, if there is no NaN."""
    cdef Py_ssize_t i
    cdef int64_t s
    cdef Number best, value
    cdef bint nan = False, first
    if Number is not int64_t:
        for i in range(n):
            nan |= x[i * pitch] != x[i * pitch]
    if nan:
        return False
    for i in range(n):                              # what is there first must not be compared with nothing
        s = segment[i]
        value = x[i * pitch]
        if Number is float:
            first = (<int32_t*> places)[s] < 0
        else:
            first = (<int64_t*> places)[s] < 0
        best = value if first else state[s]
        state[s] = (value if value < best else best) if least else (value if value > best else best)
        if Number is float:
            (<int32_t*> places)[s] = 0
        else:
            (<int64_t*> places)[s] = 0
    return True


cdef int reduce_share(const Work* w, Py_ssize_t share, Py_ssize_t f, Number empty) noexcept nogil:
    """All rows of the segments of one share, some features from f on. 1, or 0 if an id is outside; -1 if there is no
    memory."""
    cdef Py_ssize_t features = min(w.wide, w.features - f)
    cdef Py_ssize_t s0 = share * w.share, segments = min(w.share, w.segments - s0), t = 0, n, i, found, pitch = 0
    cdef Py_ssize_t step = min(<Py_ssize_t> IDS, max(<Py_ssize_t> 1, BLOCK / features)), id_pitch = 0
    cdef Py_ssize_t width = features * (8 if w.which == SUM or sizeof(Number) == 8 else 4)
    cdef size_t states = whole_lines(segments * width)
    cdef size_t places = 64 if w.which == SUM else whole_lines(segments * features * sizeof(Number))
    cdef size_t counts = 0 if w.count == NULL else whole_lines(segments * 8)
    cdef char* memory = <char*> malloc(states + places + counts + (step * features + features) * sizeof(Number) + 192)
    cdef char* state = <char*> whole_lines(<size_t> memory)
    cdef char* at = state + states
    cdef int64_t* count = NULL if w.count == NULL else <int64_t*> (at + places)
    cdef Number* room = <Number*> (at + places + counts)
    cdef int64_t[IDS] ids
    cdef int64_t[IDS] row
    cdef int64_t[IDS] segment
    cdef const int64_t* id
    cdef const Number* x
    cdef int64_t outside = 0, most = w.segments - 1
    cdef bint whole = segments == w.segments
    if memory == NULL:
        return -1
    memset(state, 0, states)
    memset(at, 0xFF, places)
    memset(at + places, 0, counts)
    while t < w.x.rows:
        n = min(step, w.x.rows - t)
        id = block(&w.id, <int64_t*> ids, 0, t, n, 0, 1, &id_pitch)
        found = 0
        for i in range(n):
            outside |= id[i * id_pitch] | (most - id[i * id_pitch])         # either is negative
        if outside < 0:
            break
        x = block(&w.x, room, 0, t, n, f, features, &pitch)
        if whole and features == 1 and w.which == SUM and Number is not int64_t and id_pitch == 1 and count == NULL:
            sum_column(<double*> state, id, n, x, pitch)
            t += n
            continue
        if (whole and features == 1 and w.which != SUM and w.index == NULL and id_pitch == 1
                and top_column(<Number*> state, at, id, n, x, pitch, w.which == MIN)):
            t += n
            continue
        for i in range(n):
            row[found], segment[found] = i, id[i * id_pitch] - s0
            found += whole or <size_t> segment[found] < <size_t> segments
        if w.which == SUM:
            join_listed(state, at, count, row, segment, found, x, t, pitch, features, SUM)
        elif w.which == MAX:
            join_listed(state, at, count, row, segment, found, x, t, pitch, features, MAX)
        else:
            join_listed(state, at, count, row, segment, found, x, t, pitch, features, MIN)
        t += n
    for i in range(segments if outside >= 0 else 0):
        finish(<Number*> w.out + (s0 + i) * w.features + f,
               NULL if w.index == NULL else w.index + (s0 + i) * w.features + f, state + i * width,
               at + i * features * sizeof(Number) * (w.which != SUM), features, w.which,
               NULL if count == NULL else count + i, empty)
    if count != NULL and f == 0:
        memcpy(w.count + s0, count, segments * 8)
    free(memory)
    return outside >= 0


def reduce_listed(cnp.ndarray x, codes, cnp.ndarray ids, id_codes, which, Number[:, ::1] out, index, count,
                  Number empty, Py_ssize_t share, Py_ssize_t wide, int threads):
    """As `reduce_runs` of x (1, rows, features), whose row t is of segment ids[0, t, 0]; False if an id is not in
    [0, len(out)).

    Each of several shares, so many segments and features of them, goes through all ids; rows join in their order.
    """
    cdef Work w
    cdef Py_ssize_t i, shares, blocks
    cdef int done = 1
    describe_rows(&w, x, codes, which, out, index, count)
    describe(&w.id, ids, id_codes, False, <int64_t> 0)
    w.share, shares = share, (w.segments + share - 1) / share
    w.wide, blocks = wide, (w.features + wide - 1) / wide
    if threads == 1:
        with nogil:
            for i in range(shares * blocks):
                done = min(done, reduce_share(&w, i / blocks, i % blocks * wide, empty))
    else:
        done = listed_together(&w, shares, blocks, empty, threads)
    if done < 0:
        raise MemoryError("no memory for segments to be had")
    return done == 1


cdef int listed_together(const Work* w, Py_ssize_t shares, Py_ssize_t blocks, Number empty, int threads) noexcept:
    cdef Py_ssize_t i
    cdef int outside = 0, lacking = 0, done
    for i in prange(shares * blocks, nogil=True, schedule="dynamic", chunksize=1, num_threads=threads):
        done = reduce_share(w, i / blocks, i % blocks * w.wide, empty)
        outside |= done == 0
        lacking |= done < 0
    return -1 if lacking else not outside


# ---------------------------------------------------------------------------- ids

cdef struct Ids:
    Source source
    int64_t* begin
    int64_t segments


cdef struct Found:          # in some ids
    int64_t least, most, falls


cdef Found examine_share(const Ids* ids, Py_ssize_t t, Py_ssize_t stop) noexcept nogil:
    """Look at ids t to stop. As long as none is less than the one before or outside, put down where segments begin."""
    cdef int64_t[IDS + 1] room
    cdef int64_t* id = room + 1
    cdef const int64_t* given
    cdef Py_ssize_t n, i, pitch = 0
    cdef int64_t s, outside = 0
    cdef Found found
    given = block(&ids.source, id, 0, t, 1, 0, 1, &pitch)
    found.least = found.most = given[0]
    found.falls = 0
    room[0] = -1
    if t > 0:
        room[0] = block(&ids.source, id, 0, t - 1, 1, 0, 1, &pitch)[0]
        outside = room[0] < 0 or room[0] >= ids.segments
    while t < stop:
        n = min(<Py_ssize_t> IDS, stop - t)
        given = block(&ids.source, id, 0, t, n, 0, 1, &pitch)
        if given != id:
            for i in range(n):
                id[i] = given[i * pitch]
        for i in range(n):
            found.least, found.most = min(found.least, id[i]), max(found.most, id[i])
        for i in range(n):
            found.falls |= id[i] < room[i]          # the one before
        outside |= found.least < 0 or found.most >= ids.segments
        if ids.begin != NULL and not found.falls and not outside and room[0] < id[n - 1]:
            s = room[0]
            for i in range(n):
                while s < id[i]:
                    s += 1
                    ids.begin[s] = t + i
        room[0] = id[n - 1]
        t += n
    return found


def examine(cnp.ndarray integers, codes, begin, int threads):
    """The least and the largest of (1, n, 1) integers, at least one, and whether none is less than the one before.

    If so, and if they are in [0, len(begin) - 1), begin[s] becomes how many are less than s.
    """
    cdef Ids ids
    cdef int64_t[::1] begins
    cdef Found[64] found
    cdef Py_ssize_t share, shares, n, s
    describe(&ids.source, integers, codes, False, <int64_t> 0)
    ids.begin, ids.segments, n = NULL, 0, ids.source.rows
    if begin is not None:
        begins = begin
        ids.begin, ids.segments = &begins[0], begins.shape[0] - 1
    shares = max(<Py_ssize_t> 1, min(<Py_ssize_t> min(threads, 64), n / IDS))
    if shares == 1:
        with nogil:
            found[0] = examine_share(&ids, 0, n)
    else:
        for share in prange(shares, nogil=True, schedule="static", num_threads=threads):
            found[share] = examine_share(&ids, n * share / shares, n * (share + 1) / shares)
    for share in range(1, shares):
        found[0].least = min(found[0].least, found[share].least)
        found[0].most = max(found[0].most, found[share].most)
        found[0].falls |= found[share].falls
    if ids.begin != NULL and not found[0].falls and found[0].least >= 0 and found[0].most < ids.segments:
        for s in range(found[0].most + 1, ids.segments + 1):
            ids.begin[s] = n
    return found[0].least, found[0].most, not found[0].falls
