# Tiles and threads.


cdef inline Py_ssize_t first_row(const Job* job, const Tile* t) noexcept nogil:
    """No window of the tile reads a row before this one."""
    return max(<Py_ssize_t> 0, t.h0 * job.axis[1].stride - job.axis[1].padding)


cdef inline Key smallest(Key tag) noexcept nogil:
    return 0 if Key is uint8_t else <Key> ~magnitude(tag)


cdef void pad(const Job* job, Key* y, Py_ssize_t n, Py_ssize_t column, Py_ssize_t row) noexcept nogil:
    """Columns before or behind the input; row: its number among the rows that a window may hold."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t i, c, missing
    cdef Key value
    for i in range(n):
        missing = ceil_div(-column if column < 0 else column - axis.size + 1, axis.dilation)
        value = 0
        if job.smallest != NULL and missing < axis.kernel:
            value = smallest(value) if row < job.smallest[missing] else <Key> ~smallest(value)
        for c in range(job.tile_c):
            y[i * job.tile_c + c] = value
        column += axis.stride


cdef void load_row(const Job* job, Scratch* s, Key* y, const char* x, const Tile* t, Py_ssize_t row) noexcept nogil:
    """One row of the input as keys, sorted by what taps of neighbouring windows have in common; x: of column 0."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t i, k, low, high, length, n, channels = t.c1 - t.c0, size = sizeof(Key)
    cdef bint at_once                           # numbers stand side by side, aligned
    cdef const char* from_
    cdef Key* to
    for i in range(job.sorts):
        to = y + job.sort[3 * i + 2]
        length = t.w1 - t.w0 + job.sort[3 * i + 1]
        # position u holds column (w0 + u) * stride + first
        low = min(max(<Py_ssize_t> 0, ceil_div(-job.sort[3 * i], axis.stride) - t.w0), length)
        high = max(low, min(length, ceil_div(axis.size - job.sort[3 * i], axis.stride) - t.w0))
        n = high - low
        pad(job, to, low, t.w0 * axis.stride + job.sort[3 * i], row)
        pad(job, to + high * job.tile_c, length - high, (t.w0 + high) * axis.stride + job.sort[3 * i], row)
        memset(to + length * job.tile_c, 0, VECTOR)
        if n == 0:
            continue
        to += low * job.tile_c
        from_ = x + ((t.w0 + low) * axis.stride + job.sort[3 * i]) * job.x.step[4]
        at_once = (axis.stride * job.x.step[4] == job.tile_c * size and (job.tile_c == 1 or job.x.step[5] == size)
                   and channels == job.tile_c and <size_t> from_ % <size_t> size == 0)
        if not at_once and job.tile_c == 1:
            gather_run(to, from_, n, axis.stride * job.x.step[4])
        elif not at_once:
            for k in range(n):
                gather_run(to + k * job.tile_c, from_ + k * axis.stride * job.x.step[4], channels, job.x.step[5])
                memset(to + k * job.tile_c + channels, 0, (job.tile_c - channels) * size)
        if at_once:                                 # the next row is fetched meanwhile
            for k in range(n * job.tile_c * size / VECTOR):
                fetch(from_ + job.x.step[3] + k * VECTOR, 0)
        if make_keys(to, <const Key*> from_ if at_once else to, n * job.tile_c, job):
            s.nan = True


cdef void load_rows(const Job* job, Scratch* s, const Tile* t, Py_ssize_t o, Key tag) noexcept nogil:
    """The rows that the tile's windows o along h read, unless they are there."""
    cdef const Axis* axis = &job.axis[1]
    cdef Taps d = valid(&job.axis[0], t.d), h = valid(axis, o)
    cdef Py_ssize_t i, j, row, plane, place, first = first_row(job, t)
    for j in range(h.count):
        row = h.first + j * axis.dilation
        place = j if job.tile_h == 1 else row - first
        if s.known[place]:
            continue
        s.known[place] = 1
        for i in range(d.count):
            plane = d.first + i * job.axis[0].dilation
            load_row(job, s, <Key*> s.tile + (i * job.tile_rows + place) * job.pitch,
                     t.x + plane * job.x.step[2] + row * job.x.step[3] + t.c0 * job.x.step[5], t,
                     plane / job.axis[0].dilation % job.axis[0].kernel * axis.kernel
                     + row / axis.dilation % axis.kernel)


cdef void row_of_windows(const Job* job, Scratch* s, const Tile* t, Py_ssize_t o, Key tag) noexcept nogil:
    """The tile's windows o along h, by the network for so many rows of taps, or by pairs."""
    cdef Taps d = valid(&job.axis[0], t.d), h = valid(&job.axis[1], o)
    cdef Py_ssize_t first = first_row(job, t)
    cdef Py_ssize_t rows = d.count * h.count, inputs = rows * job.sorts, kernel = job.axis[2].kernel
    cdef bint padded = job.smallest != NULL and rows == job.axis[0].kernel * job.axis[1].kernel
    cdef Py_ssize_t low = t.w0 if padded else min(max(t.w0, job.inner0), t.w1)
    cdef Py_ssize_t high = t.w1 if padded else max(low, min(t.w1, job.inner1))
    cdef Py_ssize_t i, j, k, at, n, place
    cdef const Steps* net = NULL
    cdef char* y = t.y + t.d * job.y.step[2] + o * job.y.step[3]
    cdef Key* result = <Key*> s.out
    cdef Key* base
    if job.way == NETWORK:
        net = job.network + rows
        if net.result < 0:
            low = high = t.w1
    singly_along(job, s, t.x, y, d, h, t.w0, low, t.c0, t.c1, tag)
    singly_along(job, s, t.x, y, d, h, high, t.w1, t.c0, t.c1, tag)
    for i in range(job.lines):
        s.row[inputs + i] = s.lines + i * job.line * sizeof(Key)
    at = low
    while at < high:
        n = min(job.block, high - at)
        for i in range(d.count):
            for j in range(h.count):
                place = j if job.tile_h == 1 else h.first + j * job.axis[1].dilation - first
                base = <Key*> s.tile + (i * job.tile_rows + place) * job.pitch + (at - t.w0) * job.tile_c
                if net == NULL:
                    for k in range(kernel):
                        s.row[(i * h.count + j) * kernel + k] = <char*> (
                            base + job.sort[3 * job.across[2 * k] + 2] + job.across[2 * k + 1] * job.tile_c)
                else:
                    for k in range(job.sorts):
                        s.row[(i * h.count + j) * job.sorts + k] = <char*> (base + job.sort[3 * k + 2])
        if net == NULL:
            pairs(job, s.row, rows * kernel, result, n * job.tile_c)
        else:
            if net.square > 0:
                run_square(job, net.square, s.row, n, tag)
            else:
                run_network(job, net, s.row, n, tag)
            result = <Key*> s.row[net.result] + net.shift * job.tile_c
            if net.result < inputs:                 # windows of one tap: others need it as it is
                memcpy(s.out, result, n * job.tile_c * sizeof(Key))
                result = <Key*> s.out
            if s.nan:
                mark_nan(job, s.row, rows, <Key*> s.mark, n * job.tile_c)
                for i in range(n * job.tile_c):
                    result[i] = <Key> job.nan if (<Key*> s.mark)[i] else result[i]
        put(job, y + at * job.y.step[4] + t.c0 * job.y.step[5], result, n, t.c1 - t.c0)
        if s.nan and job.omit:
            for i in range(n):
                for k in range(t.c1 - t.c0):
                    if (<Key*> s.mark)[i * job.tile_c + k]:
                        singly_along(job, s, t.x, y, d, h, at + i, at + i + 1, t.c0 + k, t.c0 + k + 1, tag)
        at += n


cdef void run_tile(const Job* job, Scratch* s, Py_ssize_t index, Key tag) noexcept nogil:
    cdef Tile t
    cdef Py_ssize_t o, c
    cdef Taps d, h
    t.c0 = index % job.tiles_c * job.tile_c
    index /= job.tiles_c
    t.w0 = index % job.tiles_w * job.tile_w
    index /= job.tiles_w
    t.h0 = index % job.tiles_h * job.tile_h
    index /= job.tiles_h
    t.d = index % job.axis[0].out
    index /= job.axis[0].out
    t.b = index % job.b
    t.a = index / job.b
    t.c1, t.w1 = min(t.c0 + job.tile_c, job.c), min(t.w0 + job.tile_w, job.axis[2].out)
    t.h1 = min(t.h0 + job.tile_h, job.axis[1].out)
    t.x = job.x.data + t.a * job.x.step[0] + t.b * job.x.step[1]
    t.y = job.y.data + t.a * job.y.step[0] + t.b * job.y.step[1]
    if job.way == NETWORK or job.way == PAIRS:
        s.nan = False
        memset(s.known, 0, job.tile_rows)
        for o in range(t.h0, t.h1):
            load_rows(job, s, &t, o, tag)
            row_of_windows(job, s, &t, o, tag)
        return
    if job.way == COLUMNS:
        for c in range(t.c0, t.c1):
            columns_tile(job, s, &t, c)
        return
    d = valid(&job.axis[0], t.d)
    for o in range(t.h0, t.h1):
        h = valid(&job.axis[1], o)
        if job.way == SINGLY:
            singly_along(job, s, t.x, t.y + t.d * job.y.step[2] + o * job.y.step[3], d, h, t.w0, t.w1, t.c0, t.c1, tag)
        else:
            for c in range(t.c0, t.c1):
                histogram_along(job, s, t.x + c * job.x.step[5],
                                t.y + t.d * job.y.step[2] + o * job.y.step[3] + c * job.y.step[5], d, h, tag)


# ---------------------------------------------------------------------------- threads

cdef inline size_t rounded(size_t bytes) noexcept nogil:
    """Up to whole vectors."""
    return (bytes + VECTOR - 1) & ~(<size_t> VECTOR - 1)


cdef size_t lay_out(Scratch* s, const Job* job, char* memory) noexcept nogil:
    """Deal out a thread's scratch memory; how much there has to be."""
    cdef char* start = memory
    cdef size_t line = rounded(job.block * job.tile_c * job.size) + VECTOR
    cdef Py_ssize_t rows = job.axis[0].kernel * job.axis[1].kernel
    s.tile = s.lines = s.out = s.mark = s.known = NULL
    s.row = NULL
    if job.way == NETWORK or job.way == PAIRS:
        s.tile = memory
        memory += rounded(job.axis[0].kernel * job.tile_rows * job.pitch * job.size) + VECTOR
        s.lines = memory
        memory += rounded(job.lines * job.line * job.size)
        s.out = memory
        s.mark = memory + line
        memory += 2 * line
        s.row = <char**> memory
        memory += rounded((rows * max(job.sorts, job.axis[2].kernel) + job.lines) * sizeof(char*))
        s.known = memory
        memory += rounded(job.tile_rows)
    s.keys = memory
    memory += rounded((job.room + 1) * job.size)
    s.other = memory
    if job.mode:
        memory += rounded((job.room + 1) * job.size)
    s.digit = <int64_t*> memory
    memory += 256 * sizeof(int64_t)
    s.columns = memory
    if job.way == COLUMNS:
        memory += 256 * (job.pitch + 2)
    s.fine = <uint32_t*> memory
    s.coarse = s.fine
    if job.way == HISTOGRAM:
        s.coarse = s.fine + (1 << (8 * job.size))
        memory += (257 << (8 * (job.size - 1))) * sizeof(uint32_t)
        memory = start + rounded(memory - start)
    return memory - start


cdef void run_share(const Job* job, char* memory, size_t each, Py_ssize_t share, Py_ssize_t shares) noexcept nogil:
    """One of the shares that the tiles are dealt out in, in the running thread's scratch memory."""
    cdef Scratch s
    cdef Py_ssize_t tile
    lay_out(&s, job, <char*> rounded(<size_t> memory) + each * <size_t> cypool_thread())
    if job.way == HISTOGRAM:
        memset(s.fine, 0, (257 << (8 * (job.size - 1))) * sizeof(uint32_t))
    for tile in range(job.tiles * share / shares, job.tiles * (share + 1) / shares):
        if job.size == 1:
            run_tile(job, &s, tile, <uint8_t> 0)
        elif job.size == 2:
            run_tile(job, &s, tile, <int16_t> 0)
        elif job.size == 4:
            run_tile(job, &s, tile, <int32_t> 0)
        else:
            run_tile(job, &s, tile, <int64_t> 0)


cdef int run_job(const Job* job, int threads) except -1 nogil:
    """Work off the tiles."""
    cdef Py_ssize_t share, shares
    cdef Scratch s
    cdef size_t each = lay_out(&s, job, NULL)
    cdef char* memory
    threads = <int> min(<Py_ssize_t> threads, job.tiles)
    memory = <char*> malloc(each * <size_t> threads + VECTOR)
    if memory == NULL:
        with gil:
            raise MemoryError(f"no {each * threads} bytes of scratch memory to be had")
    if threads == 1:
        run_share(job, memory, each, 0, 1)
    else:
        shares = min(job.tiles, <Py_ssize_t> 8 * threads)
        for share in prange(shares, schedule="dynamic", chunksize=1, num_threads=threads):
            run_share(job, memory, each, share, shares)
    free(memory)
    return 0
