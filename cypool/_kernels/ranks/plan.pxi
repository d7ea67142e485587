# What Python hands over.


cdef void describe(Array* array, cnp.ndarray x, const int* roles) noexcept:
    cdef int i
    array.data = <char*> cnp.PyArray_DATA(x)
    memset(array.step, 0, sizeof(array.step))
    for i in range(cnp.PyArray_NDIM(x)):
        array.step[roles[i]] = cnp.PyArray_STRIDE(x, i)


cdef class Plan:
    """A call's windows and how their ranks are found.

    Parameters
    ----------
    axes : three sequences ``(size, out, kernel, stride, padding, dilation)`` for d, h, w
    roles : which of (a, b, d, h, w, c) each axis of an array is
    keys : ``(swapped, floating, flip, infinity, nan)``, see `Job`
    what : ``(mode, omit, rank, of, ignored)``; ignored may be None
    way : "network", "pairs", "columns", "histogram" or "singly"
    sorts : int64 array of rows ``(first column, most shift, place)``
    across : int64 array of rows ``(sort, shift)``, one for each tap along w
    networks : list of ``(steps, result row, result shift, square)`` or None, by the number of rows of taps
    smallest : int64 array, see `Job`, or an empty one
    sizes : ``(tile_h, tile_w, tile_c, pitch, tile_rows, block, line, lines, room, first and end of full windows)``
    """

    cdef Job job                            # without the arrays
    cdef int role[6]
    cdef object kept
    cdef Steps* network

    def __cinit__(self):
        self.network = NULL

    def __dealloc__(self):
        free(self.network)

    def __init__(self, axes, roles, keys, what, str way, const int64_t[:, ::1] sorts, const int64_t[:, ::1] across,
                 list networks, const int64_t[::1] smallest, sizes):
        cdef Job* job = &self.job
        cdef const int32_t[:, ::1] steps
        cdef int i
        memset(job, 0, sizeof(Job))
        for i in range(3):
            (job.axis[i].size, job.axis[i].out, job.axis[i].kernel, job.axis[i].stride, job.axis[i].padding,
             job.axis[i].dilation) = axes[i]
        for i, part in enumerate(roles):
            self.role[i] = part
        job.swapped, job.floating, job.flip, job.infinity, job.nan = keys
        job.mode, job.omit, job.rank, job.of = what[:4]
        job.ignoring = what[4] is not None
        job.ignored = what[4] if job.ignoring else 0
        job.way = {"network": NETWORK, "pairs": PAIRS, "columns": COLUMNS, "histogram": HISTOGRAM,
                   "singly": SINGLY}[way]
        (job.tile_h, job.tile_w, job.tile_c, job.pitch, job.tile_rows, job.block, job.line, job.lines, job.room,
         job.inner0, job.inner1) = sizes
        self.kept = sorts, across, networks, smallest
        if smallest.shape[0] > 0:
            job.smallest = &smallest[0]
        job.sorts = sorts.shape[0]
        if job.sorts > 0:
            job.sort, job.across = &sorts[0, 0], &across[0, 0]
        free(self.network)
        self.network = <Steps*> malloc((len(networks) + 1) * sizeof(Steps))
        if self.network == NULL:
            raise MemoryError("no memory for networks to be had")
        for i, network in enumerate(networks):
            memset(self.network + i, 0, sizeof(Steps))
            self.network[i].result = -1
            if network is not None:
                steps = network[0]
                self.network[i].steps = steps.shape[0]
                if steps.shape[0] > 0:
                    self.network[i].step = &steps[0, 0]
                self.network[i].result, self.network[i].shift, self.network[i].square = network[1:]
        job.network = self.network

    def run(self, cnp.ndarray x, cnp.ndarray y, int threads):
        """The ranks of x's windows into y."""
        cdef Job job = self.job
        cdef Py_ssize_t dims[6]
        cdef int i
        if cnp.PyArray_SIZE(y) == 0:
            return
        for i in range(6):
            dims[i] = 1
        for i in range(cnp.PyArray_NDIM(x)):
            dims[self.role[i]] = cnp.PyArray_DIM(x, i)
        job.a, job.b, job.c = dims[0], dims[1], dims[5]
        job.size = cnp.PyArray_ITEMSIZE(x)
        describe(&job.x, x, self.role)
        describe(&job.y, y, self.role)
        job.tiles_h = ceil_div(job.axis[1].out, job.tile_h)
        job.tiles_w = ceil_div(job.axis[2].out, job.tile_w)
        job.tiles_c = ceil_div(job.c, job.tile_c)
        job.tiles = job.a * job.b * job.axis[0].out * job.tiles_h * job.tiles_w * job.tiles_c
        with nogil:
            run_job(&job, threads)
