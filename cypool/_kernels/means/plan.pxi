# What Python hands over of means.


cdef int storage_of(a):
    return {"f": F32, "d": F64, "e": F16}.get(a.dtype.char, BF16)


cdef int along(Plan plan, const Job* before, const Job* job, Array* array, a, bint read) except -1:
    """Describe an array that goes along with x (read) or with y: its axes are merged as the job's were."""
    cdef Job other = before[0]
    if a is None:
        return 0
    describe(&other.x if read else &other.y, a, plan.role, storage_of(a), not a.dtype.isnative)
    merge_axes(&other)
    if read and (other.axis[0].size != job.axis[0].size or other.axis[1].size != job.axis[1].size
                 or other.axis[2].size != job.axis[2].size):
        raise ValueError("arrays that are read must lie in memory like x")
    array[0] = other.x if read else other.y
    return 0


cdef int set_kinds(Mean* mean, Plan plan, kinds) except -1:
    memset(mean, 0, sizeof(Mean))
    (mean.weight, mean.value, mean.outcome, mean.slope, mean.power, mean.factor, mean.eps, mean.least, mean.most,
     mean.tiny) = kinds
    mean.code = plan.element
    if plan.element == F32:
        choose_mean(mean, <float*> NULL)
    elif plan.element == F64:
        choose_mean(mean, <double*> NULL)
    else:
        raise ValueError(f"means are of floats, not of element {plan.element}")
    return 0


def pool_mean(Plan plan, kinds, cnp.ndarray x, z, cnp.ndarray y, s, t, int threads):
    """The means of x's windows into y, and their sums into s and t unless these are None.

    plan: of the sums, with divisors where elements are counted; kinds: see `Mean`. z: logits, of x's layout, or None.
    False if some windows are off the scale.
    """
    cdef Job job = plan.job
    cdef Job before
    cdef Mean mean
    cdef char tag = 0
    cdef int off = 0
    set_kinds(&mean, plan, kinds)
    if cnp.PyArray_SIZE(y) == 0:
        return True
    job.policy, job.mean, mean.off = &tag, &mean, &off
    mean.pool = mean_tile
    mean.counted, mean.paired = job.divided, mean.value != NOTHING
    plan.describe_both(&job, x, y)
    before = job
    plan.choose_way(&job)
    along(plan, &before, &job, &mean.z, z, True)
    along(plan, &before, &job, &mean.s, s, False)
    along(plan, &before, &job, &mean.t, t, False)
    mean.x_direct = usable(&job, &job.x, plan.element, job.axis[2].size)
    mean.z_direct = z is not None and usable(&job, &mean.z, plan.element, job.axis[2].size)
    job.x.direct = job.y.direct = False
    choose_tiles(&job, threads)
    with nogil:
        run_job(&job, threads)
    return off == 0


def spread_mean(Plan plan, kinds, cnp.ndarray a, b, cnp.ndarray x, z, cnp.ndarray y, for_z, int threads):
    """The gradient of x into y, and that of logits into for_z.

    plan: of sums over the adjoint windows; a, b: what they are taken of, see `Slope`, of one layout; b is None where
    one will do. x, z: the forward's.
    """
    cdef Job job = plan.job
    cdef Job before
    cdef Mean mean
    cdef char tag = 0
    set_kinds(&mean, plan, kinds)
    if cnp.PyArray_SIZE(y) == 0:
        return
    job.policy, job.mean = &tag, &mean
    mean.pool = slope_tile
    mean.paired = b is not None
    plan.describe_both(&job, a, y)
    before = job
    plan.choose_way(&job)
    along(plan, &before, &job, &mean.z, b, True)
    along(plan, &before, &job, &mean.x, x, False)
    along(plan, &before, &job, &mean.logits, z, False)
    along(plan, &before, &job, &mean.for_z, for_z, False)
    job.x.direct = mean.z.direct = usable(&job, &job.x, plan.element, job.axis[2].size)
    mean.x_direct = usable(&job, &mean.x, plan.element, job.axis[2].out)
    mean.z_direct = z is not None and usable(&job, &mean.logits, plan.element, job.axis[2].out)
    mean.y_direct = usable(&job, &job.y, plan.element, job.axis[2].out)
    mean.for_z_direct = z is not None and usable(&job, &mean.for_z, plan.element, job.axis[2].out)
    job.y.direct = False
    choose_tiles(&job, threads)
    with nogil:
        run_job(&job, threads)
