# Whole planes: one number for each.


cdef inline bint flat_plane(const Job* job) noexcept nogil:
    """Whether a plane's rows, and planes of rows, follow each other in memory."""
    cdef Py_ssize_t h = job.axis[2].size * job.x.w
    return (job.axis[1].size == 1 or job.x.h == h) and (job.axis[0].size == 1 or job.x.d == job.axis[1].size * h)


cdef void load_stretch(const Job* job, Scratch* s, const char* plane, Py_ssize_t flat, Py_ssize_t n,
                       bint one_row) noexcept nogil:
    """Elements flat..flat+n of a plane in row-major order, into the last buffer."""
    cdef Py_ssize_t columns = job.axis[2].size, row, column, run, done = 0
    if one_row:
        load_run(job, s, s.value[BUFFERS - 1], plane + flat * job.x.w, n, job.x.w)
        return
    while done < n:
        row = (flat + done) / columns
        column = (flat + done) % columns
        run = min(columns - column, n - done)
        load_run(job, s, s.value[BUFFERS - 1] + done * job.inner * job.rows.size,
                 plane + (row / job.axis[1].size) * job.x.d + (row % job.axis[1].size) * job.x.h + column * job.x.w,
                 run, job.x.w)
        done += run


cdef void merge_level(const Job* job, Scratch* s, int low, int high, bint first) noexcept nogil:
    if first:
        memcpy(s.value[high], s.value[low], job.inner * job.rows.size)
        if job.rows.taps:
            memcpy(s.tap[high], s.tap[low], job.inner * job.rows.size)
    else:
        job.rows.merge(s.value[high], s.tap[high], s.value[low], s.tap[low], job.inner, job.policy)


cdef int pool_plane(const Job* job, Scratch* s, const char* plane) noexcept nogil:
    """Reduce a plane to one number per channel; gives back the buffer that holds it.

    The plane is reduced in chunks as it is read, and chunks are merged in two levels: no copy of the plane, no long
    chain of additions. Chunks are the same whatever the strides, so that strides never change a result.
    """
    cdef Py_ssize_t n = job.axis[0].size * job.axis[1].size * job.axis[2].size
    cdef Py_ssize_t chunk = CHUNK if job.inner == 1 else CHAIN
    cdef Py_ssize_t flat = 0, count = 0, width
    cdef bint one_row = flat_plane(job)
    cdef bint in_place = job.x.direct and one_row and job.x.w == job.rows.size * job.inner
    cdef const char* x
    cdef Grid g
    cdef const Job* careful = job
    if job.blind != NULL:
        job = job.blind
    while flat < n:
        width = min(chunk, n - flat)
        if in_place:
            x = plane + flat * job.x.w
        else:
            load_stretch(job, s, plane, flat, width, one_row)
            x = s.value[BUFFERS - 1]
        if job != careful:
            g = line(width * job.inner)
            if job.rows.needs_care(x, job.turned, &g):          # begin again
                job = careful
                flat = count = 0
                continue
        if job.inner == 1:
            job.rows.total(s.value[0], s.tap[0], x, width, 1, 0, flat, job.policy)
        else:
            g = line(job.inner)
            job.rows.fold(s.value[0], s.tap[0], x, NULL, width, job.inner, 1, &g, flat, 1, job.policy)
        if width == n:
            return 0
        if count % 64 == 0 and count > 0:
            merge_level(job, s, 1, 2, count == 64)
        merge_level(job, s, 0, 1, count % 64 == 0)
        count += 1
        flat += width
    if count <= 64:
        return 1
    merge_level(job, s, 1, 2, False)
    return 2


cdef void pool_planes(const Job* job, Scratch* s, Py_ssize_t index) noexcept nogil:
    """A tile of the whole-plane form: job.tile_w neighbouring planes."""
    cdef Py_ssize_t plane, first = index * job.tile_w
    cdef Tile t
    cdef Block y
    t.d0 = t.h0 = t.w0 = 0
    t.d1 = t.h1 = t.w1 = 1
    y.plane = y.row = job.inner
    for plane in range(first, min(first + job.tile_w, job.a * job.b)):
        t.a = plane / job.b
        t.b = plane % job.b
        y.buffer = pool_plane(job, s, job.x.data + t.a * job.x.a + t.b * job.x.b)
        y.value, y.tap = s.value[y.buffer], s.tap[y.buffer]
        finish(job, s, &t, y)
