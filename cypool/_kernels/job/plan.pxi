# Plan: what Python hands over.


cdef class Plan:
    """A call's windows and what is done with them, ready for the loops.

    Parameters
    ----------
    axes : three sequences ``(size, out, kernel, stride, padding, dilation, phases, links, first, count)`` for d, h, w
        ``links`` is an int64 array of pairs; ``first`` and ``count`` are int64 arrays, or None where the rule holds.
    divisor : three sequences ``(size, kernel, stride, padding, after, dilation, padded, count)``, a number, or None
    divide_source : whether the divisor belongs to the input's elements (a gradient) instead of the windows
    whole : whether each window is a whole plane
    plane_steps : steps of the flat index along d and h
    roles : which of (a, b, d, h, w, c) each axis of an array is
    codes : storage of x, whether its bytes are swapped, storage of y, element
    reduction : see `choose_rows`
    falling : whether maxima are to be minima
    nan : see `Job`
    """

    cdef Job job                        # without the arrays
    cdef int role[6]
    cdef int from_code, to_code, element, reduction
    cdef bint swapped
    cdef object tables
    cdef const int64_t[::1] offsets

    def __init__(self, axes, divisor, bint divide_source, bint whole, plane_steps, roles, codes, int reduction,
                 bint falling, int nan):
        cdef Job* job = &self.job
        cdef int i
        cdef const int64_t[::1] first, count, offsets
        cdef const int64_t[:, ::1] links
        memset(job, 0, sizeof(Job))
        self.reduction = reduction
        self.from_code, self.swapped, self.to_code, self.element = codes
        if not choose_rows(&job.rows, self.element, reduction):
            raise ValueError(f"reduction {reduction} is not defined for element {self.element}")
        for i, part in enumerate(roles):
            self.role[i] = part
        self.tables = []
        for i in range(3):
            (job.axis[i].size, job.axis[i].out, job.axis[i].kernel, job.axis[i].stride, job.axis[i].padding,
             job.axis[i].dilation, job.axis[i].phases) = axes[i][:7]
            links = axes[i][7]
            job.axis[i].links = links.shape[0]
            if links.shape[0] > 0:
                self.tables.append(axes[i][7])
                job.axis[i].link = &links[0, 0]
            if axes[i][8] is not None:
                first, count = axes[i][8], axes[i][9]
                if first.shape[0] != job.axis[i].out or count.shape[0] != job.axis[i].out:
                    raise ValueError("window tables must have one entry per output")
                self.tables.append((axes[i][8], axes[i][9]))
                job.axis[i].first, job.axis[i].count = &first[0], &count[0]
        job.divided = divisor is not None and not divide_source
        job.divide_source = divisor is not None and divide_source
        if isinstance(divisor, (int, float)):
            job.fixed_divisor = divisor
        elif divisor is not None:
            for i in range(3):
                (job.divisor[i].size, job.divisor[i].kernel, job.divisor[i].stride, job.divisor[i].padding,
                 job.divisor[i].after, job.divisor[i].dilation, job.divisor[i].padded) = divisor[i][:7]
                if divisor[i][7] is not None:
                    count = divisor[i][7]
                    self.tables.append(divisor[i][7])
                    job.divisor[i].count = &count[0]
        job.whole, job.nan, job.falling = whole, nan, falling
        job.as_signed = self.from_code in (I8, I16, I32, I64) and reduction != SUM
        job.turned = falling or job.as_signed
        job.plane_d, job.plane_h = plane_steps
        self.offsets = None
        if not whole and job.axis[0].kernel * job.axis[1].kernel * job.axis[2].kernel <= 4096:
            # the flat offset of each tap of a window, from its first
            offsets = np.ascontiguousarray(np.add.outer(np.add.outer(
                np.arange(job.axis[0].kernel) * job.axis[0].dilation * job.plane_d,
                np.arange(job.axis[1].kernel) * job.axis[1].dilation * job.plane_h),
                np.arange(job.axis[2].kernel) * job.axis[2].dilation).reshape(-1), dtype=np.int64)
            # bytes are looked up unchecked: those that are no taps lie outside every plane
            self.offsets = np.append(offsets, np.full(max(0, 256 - offsets.shape[0]), -2**62))

    def run(self, cnp.ndarray x, cnp.ndarray y, index, bint used, int threads):
        """Pool x into y.

        index: None, or a C-contiguous array with y's elements, of one, four or eight bytes. used: whether y's memory
        was in use before; pages that are new come into the caches in any case.
        """
        cdef Job job = self.job
        cdef Job blind
        cdef char tag = 0
        if cnp.PyArray_SIZE(y) == 0:
            return
        job.policy = &tag
        self.describe_both(&job, x, y)
        if index is not None:
            job.index = <char*> cnp.PyArray_DATA(<cnp.ndarray> index)
            job.index_width = <int> cnp.PyArray_ITEMSIZE(<cnp.ndarray> index)
            if self.offsets is not None:
                job.offset = &self.offsets[0]
        self.choose_way(&job)
        job.x.direct = (usable(&job, &job.x, self.element, job.axis[2].size) and job.nan == 0
                        and not job.divide_source and not job.turned)
        job.y.direct = (usable(&job, &job.y, self.element, job.axis[2].out)
                        and (job.rows.floating or not job.divided) and not job.turned)
        if (past_caches(x, y, used) and job.y.direct and not job.whole and not job.index_width
                and job.axis[0].kernel * job.axis[1].kernel > 1):
            job.y.direct, job.y.streamed = False, True
        job.far = cnp.PyArray_NBYTES(x) >= STREAM and job.axis[0].kernel * job.axis[1].kernel > 1
        job.fetched = cnp.PyArray_NBYTES(x) >= FETCHED
        choose_tiles(&job, threads)
        if job.rows.floating and job.rows.taps and not job.index_width:
            blind = job
            choose_rows(&blind.rows, self.element, MAX)
            job.blind = &blind
        with nogil:
            run_job(&job, threads)

    cdef void describe_both(self, Job* job, cnp.ndarray x, cnp.ndarray y) noexcept:
        """Where the arrays are."""
        cdef Py_ssize_t dims[6]
        cdef int i
        for i in range(6):
            dims[i] = 1
        for i in range(cnp.PyArray_NDIM(x)):
            dims[self.role[i]] = cnp.PyArray_DIM(x, i)
        job.a, job.b, job.inner = dims[0], dims[1], dims[5]
        describe(&job.x, x, self.role, self.from_code, self.swapped)
        describe(&job.y, y, self.role, self.to_code, False)
        bounds(x, &job.x_low, &job.x_high)

    cdef void choose_way(self, Job* job) noexcept:
        """Which axes are one, and which loops there are for the windows."""
        cdef int i
        merge_axes(job)
        job.divided = job.divided and job.mean == NULL
        for i in range(3):
            job.axis[i].rolls = rolls(job, i)
        job.channels = job.inner
        choose_small(job, self.element, self.reduction == SUM)
        if job.mean != NULL:
            job.small_apart = True
        elif job.small == NULL:
            deal_out_channels(job)


cdef bint past_caches(cnp.ndarray x, cnp.ndarray y, bint used) noexcept:
    """Whether the output is better written past the caches: there is more than they hold, and its pages are not new."""
    return ((used or cnp.PyArray_NBYTES(y) < REUSED)
            and cnp.PyArray_NBYTES(x) + cnp.PyArray_NBYTES(y) >= STREAM)


cdef void describe(Array* array, cnp.ndarray x, const int* roles, int code, bint swapped) noexcept:
    """Spread an array's strides over (a, b, d, h, w, c); roles name the axes of x in order."""
    cdef Py_ssize_t steps[6]
    cdef int i
    memset(steps, 0, sizeof(steps))
    for i in range(cnp.PyArray_NDIM(x)):
        steps[roles[i]] = cnp.PyArray_STRIDE(x, i)
    array.data = <char*> cnp.PyArray_DATA(x)
    array.a, array.b, array.d, array.h, array.w, array.c = steps[0], steps[1], steps[2], steps[3], steps[4], steps[5]
    array.size = cnp.PyArray_ITEMSIZE(x)
    array.code, array.swapped, array.direct, array.streamed = code, swapped, False, False


cdef void bounds(cnp.ndarray x, const char** low, const char** high) noexcept:
    """The first byte of an array, and the one behind its last."""
    cdef Py_ssize_t reach
    cdef int i
    low[0] = high[0] = <char*> cnp.PyArray_DATA(x)
    for i in range(cnp.PyArray_NDIM(x)):
        reach = (cnp.PyArray_DIM(x, i) - 1) * cnp.PyArray_STRIDE(x, i)
        low[0] += min(reach, 0)
        high[0] += max(reach, 0)
    high[0] += cnp.PyArray_ITEMSIZE(x)


cdef bint usable(const Job* job, const Array* x, int element, Py_ssize_t columns) noexcept:
    """Whether the stored rows are elements as they stand: packed, aligned, in native order."""
    cdef Py_ssize_t size = job.rows.size
    return (x.code == element and not x.swapped
            and (x.w == size * job.inner or columns == 1) and (x.c == size or job.inner == 1)
            and <size_t> x.data % <size_t> size == 0
            and x.a % size == 0 and x.b % size == 0 and x.d % size == 0 and x.h % size == 0)


cdef void deal_out_channels(Job* job) noexcept:
    """Many channels times a wide window overflow the caches: work on some channels at a time."""
    cdef Py_ssize_t part = VECTOR / job.rows.size if shares(&job.axis[0]) else 64
    if job.inner <= part or job.b > 1 or job.whole or not (
            shares(&job.axis[0]) or shares(&job.axis[1]) or shares(&job.axis[2])):
        return
    while part > 8 and job.inner % part:
        part -= 1
    if job.inner % part == 0:
        job.b = job.inner / part
        job.inner = part
        job.x.b = part * job.x.c
        job.y.b = part * job.y.c


cdef inline void unused(Axis* axis) noexcept:
    memset(axis, 0, sizeof(Axis))
    axis.size = axis.out = axis.kernel = axis.stride = axis.dilation = axis.phases = 1


cdef void merge_covered(Job* job) noexcept:
    """An axis that every window covers continues the axis before it: windows of whole rows are one long window."""
    cdef Axis* h = &job.axis[1]
    cdef Axis* w = &job.axis[2]
    cdef Py_ssize_t columns
    cdef int i
    for i in range(2):
        columns = w.size
        if covered(h):
            h.stride, h.links = h.kernel, 0
        if not covered(w) or h.first != NULL or h.phases > 1 or columns > 1 and (
                h.dilation > 1 or h.kernel > 4 * h.stride) or h.size > 1 and (
                columns > 1 and job.x.h != columns * job.x.w or job.index_width == 8 and job.plane_h != columns):
            return
        if columns == 1:
            job.x.w = job.x.h
        w[0] = h[0]
        w.size *= columns
        w.kernel *= columns
        w.stride *= columns
        w.padding *= columns
        job.y.w = job.y.h
        h[0] = job.axis[0]
        job.x.h, job.y.h, job.plane_h = job.x.d, job.y.d, job.plane_d
        unused(&job.axis[0])
        job.x.d = job.y.d = job.plane_d = 0


cdef void merge_axes(Job* job) noexcept:
    """Merge what every window covers, and let the batch stand in for axes that this leaves unused: small whole planes
    become windows along the row that they lie in."""
    cdef Axis* axis = job.axis
    if job.inner > 1 or (job.divided or job.divide_source) and job.fixed_divisor == 0:
        return
    merge_covered(job)
    if (axis[0].size > 1 or axis[1].size > 1 or not single(&axis[0]) or not single(&axis[1])
            or job.whole and axis[2].size > CHUNK):
        return
    axis[0].size, axis[0].out, job.x.d, job.y.d = job.a, job.a, job.x.a, job.y.a
    axis[1].size, axis[1].out, job.x.h, job.y.h = job.b, job.b, job.x.b, job.y.b
    if axis[2].out == 1:
        axis[2].stride, axis[2].links = axis[2].kernel, 0
    job.plane_d = job.plane_h = 0
    job.a = job.b = 1
    job.whole = False
    merge_covered(job)
