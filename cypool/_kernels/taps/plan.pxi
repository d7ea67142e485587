# What Python hands over.


cdef const int64_t* numbers(const int64_t[::1] x) noexcept:
    return <const int64_t*> NULL if x.shape[0] == 0 else <const int64_t*> &x[0]


cdef inline char* aligned(void* memory) noexcept nogil:
    """The first whole vector of memory that has room for one more."""
    return <char*> memory + (VECTOR - <size_t> memory % VECTOR) % VECTOR


cdef int prepare(Job* job, Py_ssize_t size, axes) except -1:
    """The job's memory, which `finish` frees; `axes`: for each (size, out, kernel, phases, step, before, behind, span,
    first, tap, offset, sources), see `Axis`."""
    cdef Axis* axis
    cdef Py_ssize_t taps
    cdef int i
    job.taps, job.window, job.extended = 1, 1, False
    for i in range(3):
        axis = &job.axis[i]
        (axis.size, axis.out, axis.kernel, axis.phases, axis.step, axis.before, axis.behind, axis.span) = axes[i][:8]
        axis.first, axis.tap = numbers(axes[i][8]), numbers(axes[i][9])
        axis.offset, axis.sources = numbers(axes[i][10]), numbers(axes[i][11])
        job.turns[i] = (axis.out + axis.phases - 1) / axis.phases
        job.extended = job.extended or axis.before > 0 or axis.behind > 0
        job.taps *= len(axes[i][9])
        job.window *= axis.kernel
    axis = &job.axis[1]
    job.row = (job.axis[2].before + job.axis[2].size + job.axis[2].behind) * job.c
    job.band, job.plane = job.turns[1], axis.size * job.row
    if job.extended:
        taps = job.axis[0].before + job.axis[0].size + job.axis[0].behind       # planes at once
        job.band = min(job.band, max(<Py_ssize_t> 1, (BAND / (taps * job.row) - axis.span) / axis.step + 1))
        job.plane = ((job.band - 1) * axis.step + axis.span) * job.row
    job.offset = <Py_ssize_t*> malloc((job.taps + 1) * sizeof(Py_ssize_t))
    job.first = <Py_ssize_t*> malloc((job.axis[2].phases + 1) * sizeof(Py_ssize_t))
    job.memory = <char*> malloc(job.taps * job.wide * size + VECTOR)
    job.weight = aligned(job.memory)
    if job.offset == NULL or job.first == NULL or job.memory == NULL:
        finish(job)
        raise MemoryError("no memory for taps to be had")
    return 0


cdef void finish(Job* job) noexcept nogil:
    free(job.offset)
    free(job.first)
    free(job.memory)


cdef Py_ssize_t room_for(const Job* job) noexcept nogil:
    """Elements of extended rows, and a vector more."""
    return (job.axis[0].before + job.axis[0].size + job.axis[0].behind) * job.plane * job.extended + VECTOR


def gather(const Real[:, :, :, :, ::1] x, const Real[:, :, ::1] weights, Real[:, :, :, :, ::1] y, axes):
    """The sums over x's windows, or their adjoint, into y; weights: (groups, taps, 1 or channels)."""
    cdef Job job
    cdef Real* room
    cdef Real* line
    job.planes, job.c = x.shape[0], x.shape[4]
    job.groups, job.wide = weights.shape[0], weights.shape[2]
    prepare(&job, sizeof(Real), axes)
    room = <Real*> malloc(room_for(&job) * sizeof(Real))
    line = <Real*> malloc((job.turns[2] * job.axis[2].phases + VECTOR) * sizeof(Real))
    try:
        if room == NULL or line == NULL:
            raise MemoryError("no memory for rows to be had")
        with nogil:
            sum_planes(&job, &x[0, 0, 0, 0, 0], &weights[0, 0, 0], &y[0, 0, 0, 0, 0],
                       <Real*> aligned(room), line)
    finally:
        free(line)
        free(room)
        finish(&job)


def sums(const Real[:, :, :, :, ::1] x, const Real[:, :, :, :, ::1] d, double[:, :, ::1] made, axes):
    """made += for each tap the sum over windows of d * x; made: (groups, taps, channels)."""
    cdef Job job
    cdef Real* room
    job.planes, job.c = x.shape[0], x.shape[4]
    job.groups, job.wide = made.shape[0], made.shape[2]
    prepare(&job, sizeof(Real), axes)
    room = <Real*> malloc(room_for(&job) * sizeof(Real))
    try:
        if room == NULL:
            raise MemoryError("no memory for rows to be had")
        with nogil:
            multiply_planes(&job, &x[0, 0, 0, 0, 0], &d[0, 0, 0, 0, 0], &made[0, 0, 0], <Real*> aligned(room))
    finally:
        free(room)
        finish(&job)
