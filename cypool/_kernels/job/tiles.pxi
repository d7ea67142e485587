# Tiles: how a job is cut up, the scratch memory of each thread, and the threads.


cdef enum:
    TILE = 8192             # elements a tile aims at: its buffers stay in the first cache
    LARGE = 65536           # and what a tile may take where neighbouring windows share much: the second cache


cdef inline Py_ssize_t reached(const Axis* axis, Py_ssize_t windows) noexcept nogil:
    """Positions that so many neighbouring windows reach at most, padding included."""
    if axis.phases > 1:
        return min(axis.size, (windows + axis.kernel) / axis.phases + 2)
    return span(axis, windows) if axis.first == NULL else axis.size


cdef inline size_t rounded(size_t bytes) noexcept nogil:
    """Up to whole vectors."""
    return (bytes + VECTOR - 1) & ~(<size_t> VECTOR - 1)


cdef Py_ssize_t elements(const Job* job, Py_ssize_t d, Py_ssize_t h, Py_ssize_t w) noexcept nogil:
    """The largest block of a tile of d x h x w outputs."""
    cdef Py_ssize_t columns = reached(&job.axis[2], w)
    cdef Py_ssize_t in_h = min(reached(&job.axis[1], h), job.axis[1].size)
    cdef Py_ssize_t in_d = min(reached(&job.axis[0], d), job.axis[0].size)
    cdef Py_ssize_t most, i
    if job.way == GROUPED or job.way == PICKED or job.way == ROLLED:
        columns = min(columns, job.axis[2].size)    # else windows are at most a few times the input
    elif job.way == PHASED:
        columns += job.axis[2].kernel / job.axis[2].phases
    if job.mean != NULL and w == job.axis[2].out:
        columns = max(columns, job.axis[2].size)
    columns = rounded(max(columns, w) * job.inner * job.rows.size) / job.rows.size + job.axis[2].stride + job.inner
    if job.way == PHASED:
        columns *= 2                                # of both sorts
    most = max(d * h, d * in_h) * columns
    if chained(&job.axis[0]):
        most = max(most, span(&job.axis[0], d) * in_h * columns)
    if chained(&job.axis[1]):
        most = max(most, d * span(&job.axis[1], h) * columns)
    for i in range(3):
        if job.axis[i].rolls:                       # what is left of a block, and rows that were turned
            most = max(most, (job.axis[i].kernel + (max(columns, w) if i == 2 else 0)) * turned(job))
    if not job.x.direct:
        most = max(most, in_d * in_h * columns)
    return most


cdef bint rolls(const Job* job, int i) noexcept nogil:
    """Whether an axis has windows wide enough to roll. Ordinals are counted over two windows then, and stay below that
    of padding."""
    cdef const Axis* axis = &job.axis[i]
    cdef Py_ssize_t least = 3
    if job.inner > 1 and job.axis[0].kernel > 1:    # channels of volumes are copied, some at a time
        least = 8
    elif i == 2 and job.inner > 1:
        least = 4
    elif i == 2:                            # turning costs some twenty taps; most taps of short rows are padding
        least = 20 if axis.out >= LONG else 8
    return (axis.first == NULL and axis.phases == 1 and axis.dilation == 1 and axis.out > 1
            and least + 4 * axis.stride <= axis.kernel <= WIDEST
            and (not job.rows.taps or job.axis[0].kernel * job.axis[1].kernel * job.axis[2].kernel < 1 << 20))


cdef inline bint shares(const Axis* axis) noexcept nogil:
    """Whether neighbouring windows share much that is worth computing once."""
    return axis.links > 0 or axis.rolls


cdef inline Py_ssize_t part_of(const Axis* axis) noexcept nogil:
    """Half as many outputs as lie under a window."""
    return min(axis.out, (axis.kernel - 1) * axis.dilation / (2 * axis.stride) + 1)


cdef void choose_tiles(Job* job, int threads) noexcept nogil:
    """Tiles are whole planes while those are small, then bands of rows, then parts of rows. No result depends on it."""
    cdef const Axis* axis = job.axis
    cdef Py_ssize_t d = 1, h = 1, w = axis[2].out, wanted = 4 * threads if threads > 1 else 1
    cdef Py_ssize_t limit = 4 * LARGE
    cdef bint cube = shares(&axis[0])
    job.way = choose_way(job)
    if job.whole:
        job.tile_d = job.tile_h = 1
        job.tile_w = max(<Py_ssize_t> 1, min(job.a * job.b / wanted, <Py_ssize_t> 64))
        job.tiles = ceil_div(job.a * job.b, job.tile_w)
        job.room = max(<Py_ssize_t> CHUNK, CHAIN * job.inner)
        job.raw_room = job.room * max(job.x.size, job.y.size)
        job.count_room, job.by_room = job.inner, 1
        return
    if shares(&axis[1]) or not job.x.direct or axis[0].kernel > 1 or axis[0].first != NULL:
        # enough rows that what neighbouring windows share is worth computing once
        h = min((axis[1].kernel - 1) * axis[1].dilation + 1, axis[1].size)
        h = min(axis[1].out, max(<Py_ssize_t> 1, 4 * h / axis[1].stride))
    if job.small != NULL and axis[1].stride < axis[1].kernel:
        h = min(axis[1].out, <Py_ssize_t> 16)
    if cube:
        d = min(axis[0].out, 2 * axis[0].kernel / axis[0].stride + 1)
    if job.way == ROLLED and job.inner == 1:        # rows that are turned upright together
        h = max(h, min(axis[1].out, turned(job)))
        d = max(d, min(axis[0].out, ceil_div(turned(job), h)))
    while elements(job, d, h, w) > LARGE and w * job.inner > 256 and w > (
            4 * axis[2].kernel if shares(&axis[2]) else 1):
        w = (w + 1) / 2
    if cube:            # what neighbours share is most in a cube, not much below a window; each thread needs the room
        limit *= 4 if job.inner == 1 else max(<Py_ssize_t> 4, 20 / threads)
        while elements(job, d, h, w) > limit and max(d, h, w) > 1 and (
                d > part_of(&axis[0]) or h > part_of(&axis[1]) or w > part_of(&axis[2])
                or elements(job, d, h, w) > 256 * LARGE / threads):
            if w > h and w > d:
                w = (w + 1) / 2
            elif h > d:
                h = (h + 1) / 2
            else:
                d = (d + 1) / 2
    else:
        while elements(job, d, h, w) > limit and h > 1:
            h = (h + 1) / 2
    while h < axis[1].out and elements(job, d, min(2 * h, axis[1].out), w) <= TILE:
        h = min(2 * h, axis[1].out)
    while h == axis[1].out and d < axis[0].out and elements(job, min(2 * d, axis[0].out), h, w) <= TILE:
        d = min(2 * d, axis[0].out)
    # enough tiles for every thread
    while d > 1 and job.a * job.b * ceil_div(axis[0].out, d) < wanted:
        d = (d + 1) / 2
    while h > 8 and job.a * job.b * ceil_div(axis[0].out, d) * ceil_div(axis[1].out, h) < wanted:
        h = (h + 1) / 2
    while w * job.inner > 1024 and w > 1 and (job.a * job.b * ceil_div(axis[0].out, d) * ceil_div(axis[1].out, h)
                                             * ceil_div(axis[2].out, w) < wanted):
        w = (w + 1) / 2
    job.tile_d, job.tile_h, job.tile_w = d, h, w
    job.tiles_d = ceil_div(axis[0].out, d)
    job.tiles_h = ceil_div(axis[1].out, h)
    job.tiles_w = ceil_div(axis[2].out, w)
    job.tiles = job.a * job.b * job.tiles_d * job.tiles_h * job.tiles_w
    job.room = elements(job, d, h, w)
    job.count_room = (max(w, min(reached(&axis[2], w), axis[2].size)) + 1) * job.inner
    if job.small != NULL:
        job.count_room = max(job.count_room, axis[2].out * job.inner + VECTOR)
    job.by_room = max(d, min(reached(&axis[0], d), axis[0].size)) * max(h, min(reached(&axis[1], h), axis[1].size))
    job.raw_room = job.count_room * max(job.x.size, job.y.size)
    if job.mean != NULL:
        job.raw_room = max(job.raw_room, job.room * <Py_ssize_t> sizeof(double))
    if not job.x.direct:                            # the rows of a plane may be loaded at once
        job.raw_room = max(job.raw_room,
                           job.x.size * job.inner * axis[2].size * min(reached(&axis[1], h), axis[1].size))


cdef inline int buffers(const Job* job) noexcept nogil:
    return BUFFERS + MORE_BUFFERS if job.mean != NULL else BUFFERS


cdef size_t scratch_size(const Job* job) noexcept nogil:
    return (buffers(job) * (2 if job.rows.taps else 1) * rounded(job.room * job.rows.size + SPARE)
            + rounded(job.raw_room) + rounded((job.count_room + VECTOR) * sizeof(double))
            + rounded(job.by_room * sizeof(double)) + VECTOR)


cdef void lay_out(Scratch* s, const Job* job, char* memory) noexcept nogil:
    cdef int i
    cdef size_t bytes = rounded(job.room * job.rows.size + SPARE)
    memory = <char*> rounded(<size_t> memory)
    for i in range(buffers(job)):
        s.value[i] = memory
        memory += bytes
        s.tap[i] = NULL
        if job.rows.taps:
            s.tap[i] = memory
            memory += bytes
    s.raw = memory
    s.counts = <double*> (memory + rounded(job.raw_room))
    s.counts_first = s.counts_last = -1
    s.by = <double*> (<char*> s.counts + rounded((job.count_room + VECTOR) * sizeof(double)))


cdef void reduce_tile(const Job* job, Scratch* s, const Tile* t, Block block) noexcept nogil:
    """A tile whose elements are in a block."""
    cdef Py_ssize_t columns = t.in_w1 - t.in_w
    cdef Grid g
    if job.small != NULL and job.small_apart and pool_apart(job, s, t, block):
        return
    if block.buffer < 0 and (job.far or job.blind == NULL and (job.axis[0].rolls or job.axis[1].rolls)):
        touch_rows(job, t, block)
    if job.blind != NULL:
        g = grid_of(columns * job.inner, t.in_h1 - t.in_h, block.row, 0, t.in_d1 - t.in_d, block.plane, 0, 0, 0)
        if not job.rows.needs_care(block.value, job.turned, &g):
            job = job.blind
    block = reduce_depth(job, s, t, block)
    block = reduce_height(job, s, t, block)
    if job.way == GROUPED:
        reduce_grouped(job, s, t, block)
    elif job.way == PICKED:
        reduce_picked(job, s, t, block)
    elif job.way == PHASED:
        reduce_phased(job, s, t, block)
    elif job.way == ROLLED:
        reduce_rolled(job, s, t, block)
    elif job.way == SLIDE:
        slide_rows(job, s, t, block)
    else:
        reduce_padded(job, s, t, block)


cdef void pool_tile(const Job* job, Scratch* s, Py_ssize_t index) noexcept nogil:
    cdef Tile t
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t origin, columns, whole, rest = index
    t.w0 = (rest % job.tiles_w) * job.tile_w
    rest /= job.tiles_w
    t.h0 = (rest % job.tiles_h) * job.tile_h
    rest /= job.tiles_h
    t.d0 = (rest % job.tiles_d) * job.tile_d
    rest /= job.tiles_d
    t.b = rest % job.b
    t.a = rest / job.b
    t.w1 = min(t.w0 + job.tile_w, axis.out)
    t.h1 = min(t.h0 + job.tile_h, job.axis[1].out)
    t.d1 = min(t.d0 + job.tile_d, job.axis[0].out)
    if job.small != NULL and not job.small_apart and job.small(job, s, &t, NULL, NULL):
        return
    reach(&job.axis[0], t.d0, t.d1, &t.in_d, &t.in_d1)
    reach(&job.axis[1], t.h0, t.h1, &t.in_h, &t.in_h1)
    reach(axis, t.w0, t.w1, &t.in_w, &t.in_w1)
    t.pitch = columns = t.in_w1 - t.in_w
    if job.way == PHASED and job.inner == 1:
        origin = first_turn(axis, t.w0) - ceil_div(axis.kernel, axis.phases) + 1
        t.pitch = end_turn(axis, t.w1) - origin
    elif job.way == PADDED or job.way == SLIDE:
        origin = t.w0 * axis.stride - axis.padding
        t.pitch = span(axis, t.w1 - t.w0)
    else:
        origin = t.in_w
    t.left = t.in_w - origin if columns > 0 else 0
    t.pitch = max(t.pitch, t.left + columns)
    t.right = t.pitch - t.left - columns
    # rows of the height pass may be written in whole vectors, if they are in order or have the room for it
    whole = ceil_div(rounded(columns * job.inner * job.rows.size) / job.rows.size, job.inner)
    t.spill = job.axis[1].phases == 1 and alike(&job.axis[1], t.h0, t.h1) == t.h1
    if not t.spill and job.way != SLIDE:
        t.pitch = max(t.pitch, whole)
        t.spill = True
    if (job.inner == 1 and job.way == PADDED and (t.h1 - t.h0) * (t.d1 - t.d0) > 1
            and t.pitch != (t.w1 - t.w0) * axis.stride):                # those that join are one long row
        t.pitch = rounded(t.pitch * job.rows.size) / job.rows.size
    if job.mean != NULL:
        job.mean.pool(job, s, &t)
        return
    reduce_tile(job, s, &t, source_block(job, s, &t))


cdef void pool_share(const Job* job, char* memory, size_t each, Py_ssize_t share, Py_ssize_t shares) noexcept nogil:
    """One of the equal shares that the tiles are dealt out in, in the running thread's scratch memory."""
    cdef Scratch scratch
    cdef Py_ssize_t tile
    lay_out(&scratch, job, memory + each * <size_t> cypool_thread())
    if divided_on_the_way(job) and (job.way == PADDED or job.way == SLIDE):
        # what lies behind short rows is divided too: denormals take long
        memset(scratch.value[0], 0, scratch_size(job) - VECTOR)
    for tile in range(job.tiles * share / shares, job.tiles * (share + 1) / shares):
        if job.whole:
            pool_planes(job, &scratch, tile)
        else:
            pool_tile(job, &scratch, tile)
    if job.y.streamed:
        stream_end()


cdef int run_job(Job* job, int threads) except -1 nogil:
    """Work off the tiles."""
    cdef Py_ssize_t share, shares
    cdef size_t each
    cdef char* memory
    threads = <int> min(<Py_ssize_t> threads, job.tiles)
    each = scratch_size(job)
    memory = <char*> malloc(each * <size_t> threads)
    if memory == NULL:
        with gil:
            raise MemoryError(f"no {each * threads} bytes of scratch memory to be had")
    if threads == 1:
        pool_share(job, memory, 0, 0, 1)
    else:
        shares = min(job.tiles, <Py_ssize_t> 8 * threads)
        for share in prange(shares, schedule="dynamic", chunksize=1, num_threads=threads):
            pool_share(job, memory, each, share, shares)
    free(memory)
    return 0
