# The backward of operators that choose elements: every gradient goes to the element that was chosen.
#
# A plane's gradient is written by one thread, in the order of the outputs, so that it is the same at any thread count.


cdef struct Scatter:
    Job job                 # x: the outputs' gradient, y: the inputs'; axes: the windows that ordinals refer to
    Py_ssize_t d, h, w      # outputs of a plane
    Py_ssize_t in_d, in_h, in_w
    bint in_place           # the plane being written can itself hold the sums
    bint gathered           # and not scattered: see gather.pxi
    Gather gather


cdef inline bint add_row(Real* sums, const Real* grad, const int64_t* at, Py_ssize_t n, Py_ssize_t inner,
                         int64_t volume) noexcept nogil:
    """sums[at] += grad for n blocks of inner channels; false, and nothing done, if a position lies outside."""
    cdef Py_ssize_t i, c
    cdef int64_t outside = 0
    for i in range(n * inner):
        outside |= at[i] | (volume - 1 - at[i])     # either is negative: no branch
    if outside < 0:
        return False
    if inner == 1:
        for i in range(n):
            sums[at[i]] += grad[i]
    else:
        for i in range(n):
            for c in range(inner):
                sums[at[i * inner + c] * inner + c] += grad[i * inner + c]
    return True


cdef bint add_named(Real* sums, const Real* grad, const uint8_t* ordinal, const int64_t* offset, int64_t base,
                    Py_ssize_t step, Py_ssize_t n, int64_t volume) noexcept nogil:
    """The same for ordinals of windows that are `step` apart, the first of which begins at `base`."""
    cdef Py_ssize_t i
    cdef int64_t at_
    for i in range(n):
        at_ = base + offset[ordinal[i]]
        base += step
        if not 0 <= at_ < volume:
            return False
        sums[at_] += grad[i]
    return True


cdef void positions(const Scatter* scatter, int64_t* at, Py_ssize_t row, Py_ssize_t d, Py_ssize_t h) noexcept nogil:
    """The flat positions that one row of outputs chose, from whichever form they are kept in."""
    cdef const Job* job = &scatter.job
    cdef Py_ssize_t i, c, k, n = scatter.w * job.inner
    cdef int64_t tap, taps = job.axis[0].kernel * job.axis[1].kernel * job.axis[2].kernel
    cdef const char* index = job.index + row * n * job.index_width
    cdef int64_t base
    if job.index_width == 8:
        memcpy(at, index, n * 8)
        return
    for i in range(scatter.w):
        base = flat_origin(job, d, h, i)
        for c in range(job.inner):
            k = i * job.inner + c
            tap = (<const uint8_t*> index)[k] if job.index_width == 1 else (<const int32_t*> index)[k]
            at[k] = base + tap_offset(job, tap) if 0 <= tap < taps else -1


cdef bint scatter_plane(const Scatter* scatter, Scratch* s, int64_t* at, char* own_sums,
                        Py_ssize_t plane) noexcept nogil:
    """One plane's gradient; false if a position lies outside the plane."""
    cdef const Job* job = &scatter.job
    cdef Py_ssize_t a = plane / job.b, b = plane % job.b, d, h, row = plane * scatter.d * scatter.h
    cdef Py_ssize_t volume = scatter.in_d * scatter.in_h * scatter.in_w, n = scatter.in_w * job.inner
    cdef const char* grad = job.x.data + a * job.x.a + b * job.x.b
    cdef char* out = job.y.data + a * job.y.a + b * job.y.b
    cdef char* sums = out if scatter.in_place else own_sums
    cdef char* from_x
    cdef const uint8_t* ordinal
    cdef bint inside = True
    cdef bint named = (job.index_width == 1 and job.inner == 1 and job.offset != NULL
                       and job.axis[2].first == NULL)
    memset(sums, 0, volume * job.inner * job.rows.size)
    for d in range(scatter.d):
        for h in range(scatter.h):
            from_x = <char*> grad + d * job.x.d + h * job.x.h
            if not job.x.direct:
                load_run(job, s, s.value[0], from_x, scatter.w, job.x.w)
                from_x = s.value[0]
            ordinal = <const uint8_t*> job.index + row * scatter.w
            row += 1
            if named and job.rows.size == 4:
                inside &= add_named(<float*> sums, <float*> from_x, ordinal, job.offset, flat_origin(job, d, h, 0),
                                    job.axis[2].stride, scatter.w, volume)
                continue
            if named:
                inside &= add_named(<double*> sums, <double*> from_x, ordinal, job.offset, flat_origin(job, d, h, 0),
                                    job.axis[2].stride, scatter.w, volume)
                continue
            positions(scatter, at, row - 1, d, h)
            if job.rows.size == 4:
                inside &= add_row(<float*> sums, <float*> from_x, at, scatter.w, job.inner, volume)
            else:
                inside &= add_row(<double*> sums, <double*> from_x, at, scatter.w, job.inner, volume)
    if scatter.in_place:
        return inside
    for d in range(scatter.in_d):
        for h in range(scatter.in_h):
            job.rows.store(s.raw, sums + (d * scatter.in_h + h) * n * job.rows.size, NULL, 0, n, job.y.code)
            scatter_bytes(out + d * job.y.d + h * job.y.h, s.raw, scatter.in_w, job.y.w, job.inner, job.y.c, job.y.size)
    return inside


cdef bint scatter_share(const Scatter* scatter, char* memory, size_t each, Py_ssize_t share,
                        Py_ssize_t shares) noexcept nogil:
    cdef const Job* job = &scatter.job
    cdef Py_ssize_t planes = job.a * job.b, plane
    cdef Scratch scratch
    cdef char* at
    cdef bint inside = True
    memory += each * <size_t> cypool_thread()
    lay_out(&scratch, job, memory)
    at = memory + scratch_size(job)
    if scatter.gathered:
        return gather_share(&scatter.gather, job, &scratch, at, scatter.in_place, share, shares)
    for plane in range(planes * share / shares, planes * (share + 1) / shares):
        inside &= scatter_plane(scatter, &scratch, <int64_t*> at, at + rounded(scatter.w * job.inner * 8), plane)
    return inside


cdef int run_scatter(Scatter* scatter, int threads) except -1 nogil:
    """1 if every position was inside its plane, else 0."""
    cdef Job* job = &scatter.job
    cdef Py_ssize_t share, shares, longest = max(scatter.w, scatter.in_w) * job.inner
    cdef size_t each
    cdef char* memory
    cdef char* inside
    cdef int every = 1
    job.room = longest
    job.count_room = scatter.w * job.inner if job.divided else 1
    job.by_room = 1
    job.raw_room = longest * max(job.x.size, job.y.size)
    scatter.gathered = gathers(job)
    shares = job.a * job.b
    if scatter.gathered:
        plan_gather(&scatter.gather, job)
        shares *= scatter.in_d * ceil_div(scatter.in_h, scatter.gather.band)
    threads = <int> min(<Py_ssize_t> threads, shares)
    shares = min(shares, <Py_ssize_t> 8 * threads)
    each = scratch_size(job)
    if scatter.gathered:
        each += gather_size(&scatter.gather, job)
    else:
        each += rounded(scatter.w * job.inner * 8)
        if not scatter.in_place:
            each += rounded(scatter.in_d * scatter.in_h * scatter.in_w * job.inner * job.rows.size)
    memory = <char*> malloc(each * <size_t> threads + <size_t> shares)
    if memory == NULL:
        with gil:
            raise MemoryError(f"no {each * threads} bytes of scratch memory to be had")
    inside = memory + each * <size_t> threads
    if threads == 1:
        shares = 1
        inside[0] = scatter_share(scatter, memory, 0, 0, 1)
    else:
        for share in prange(shares, schedule="dynamic", chunksize=1, num_threads=threads):
            inside[share] = scatter_share(scatter, memory, each, share, shares)
    for share in range(shares):
        every &= inside[share]
    free(memory)
    return every


def scatter(Plan plan, cnp.ndarray grad, index, cnp.ndarray out, tuple roles, tuple codes, bint used, int threads):
    """Add each gradient to the element that was chosen, or, without an index, to every element of its window; False if
    an index lies outside its plane, or, without one, if windows are too many at an element.

    plan: the forward's, or None where the indices are flat positions. roles: which of (a, b, d, h, w, c) each axis
    is. codes: storage of grad, whether its bytes are swapped, storage of out, element. used: whether out's memory
    was in use before.
    """
    cdef Scatter work
    cdef Job* job = &work.job
    cdef Py_ssize_t dims[6]
    cdef Py_ssize_t in_dims[6]
    cdef int role[6]
    cdef int i
    cdef char tag = 0
    cdef Py_ssize_t size
    cdef bint every
    memset(&work, 0, sizeof(Scatter))
    if not choose_rows(&job.rows, codes[3], SUM) or not job.rows.floating:
        raise ValueError("gradients are floating")
    job.policy = &tag
    for i in range(6):
        dims[i] = in_dims[i] = 1
    for i in range(cnp.PyArray_NDIM(grad)):
        role[i] = roles[i]
        dims[role[i]] = cnp.PyArray_DIM(grad, i)
        in_dims[role[i]] = cnp.PyArray_DIM(out, i)
    job.a, job.b, job.inner = dims[0], dims[1], dims[5]
    work.d, work.h, work.w = dims[2], dims[3], dims[4]
    work.in_d, work.in_h, work.in_w = in_dims[2], in_dims[3], in_dims[4]
    describe(&job.x, grad, role, codes[0], codes[1])
    describe(&job.y, out, role, codes[2], False)
    if index is not None:
        job.index = <char*> cnp.PyArray_DATA(<cnp.ndarray> index)
        job.index_width = <int> cnp.PyArray_ITEMSIZE(<cnp.ndarray> index)
    if plan is not None:
        for i in range(3):
            job.axis[i], job.divisor[i] = plan.job.axis[i], plan.job.divisor[i]
        job.divided, job.fixed_divisor = plan.job.divided, plan.job.fixed_divisor
        job.plane_d, job.plane_h = plan.job.plane_d, plan.job.plane_h
        if plan.offsets is not None:
            job.offset = &plan.offsets[0]
    size = job.rows.size
    job.x.direct = usable(job, &job.x, codes[3], work.w)
    bounds(grad, &job.x_low, &job.x_high)
    work.in_place = (job.y.code == <int> codes[3] and <size_t> job.y.data % <size_t> size == 0
                     and (job.inner == 1 or job.y.c == size)
                     and (work.in_w == 1 or job.y.w == size * job.inner)
                     and (work.in_h == 1 or job.y.h == size * job.inner * work.in_w)
                     and (work.in_d == 1 or job.y.d == size * job.inner * work.in_w * work.in_h)
                     and job.y.a % size == 0 and job.y.b % size == 0)
    if job.a * job.b * job.inner == 0:
        return True
    if index is None and not gathers(job):
        return False
    job.y.streamed = work.in_place and past_caches(grad, out, used)
    with nogil:
        every = run_scatter(&work, threads)
    return every
