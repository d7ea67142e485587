# Weights, results and slopes of means, a row at a time: what a window's elements weigh, what its sums come to, and what
# an element's gradient is. `cypool/means.py` has the formulas and the names of their kinds.

cdef extern from "means/functions.h" nogil:
    void exp_of "cypool_exp_f"(float x, float* w, float* v)             # exp(x), and that less 1
    void exp_of_double "cypool_exp_d"(double x, double* w, double* v)
    float log_of "cypool_log_f"(float x, float less)                  # less: x - 1, or NaN
    double log_of_double "cypool_log_d"(double x, double less)
    float cube_root "cypool_cbrt_f"(float x)
    double cube_root_of_double "cypool_cbrt_d"(double x)
    float unless_none "cypool_unless_none_f"(float v, float a, float b)
    double unless_none_double "cypool_unless_none_d"(double v, double a, double b)

cdef extern from "math.h" nogil:
    float fabsf(float x)
    float sqrtf(float x)
    double sqrt(double x)
    float copysignf(float x, float y)
    double copysign(double x, double y)


# `means.py` holds the same tables.
cdef enum Weight:
    SIZES                   # |x| ** power
    CLAMPED                 # max(x, eps) ** power
    EXPONENTIALS            # exp(factor * x)
    OF_LOGITS               # exp(z)

cdef enum Value:            # what a second sum multiplies by the weights
    NOTHING                 # there is none
    ELEMENTS                # x
    LOGARITHMS              # log(max(x, eps))
    LESS_ONE                # exponentials less 1, not multiplied

cdef enum Outcome:
    RATIO                   # t / s
    ROOT                    # (s / count) ** (1 / power)
    LOGARITHM               # log(s / count) / factor; near 1 by the sum of exponentials less 1, if that is t

cdef enum Slope:            # of each element, for the sums a of d / s and b of d * y / s over its windows
    OF_POWERS               # sign(x) |x| ** (power - 1) * b; there is no a
    OF_CLAMPED              # max(x, eps) ** (power - 1) * b, and 0 below eps; there is no a
    OF_WEIGHTS              # exp(factor * x) * a
    OF_SOFT                 # exp(x) * ((1 + x) * a - b)
    OF_ATTENTION            # exp(z) * a, and for z exp(z) * (x * a - b)
    OF_SQUARES              # 2 * x * a - b


ctypedef bint (*Weigh)(char*, char*, const char*, const char*, Py_ssize_t, const Mean*) noexcept nogil
ctypedef bint (*Conclude)(char*, char*, double, const void*, bint, Py_ssize_t, const Mean*) noexcept nogil
ctypedef void (*PoolTile)(const Job*, Scratch*, const Tile*) noexcept nogil
ctypedef void (*Incline)(char*, char*, const char*, const char*, Py_ssize_t, const Mean*) noexcept nogil


cdef struct Mean:
    PoolTile pool
    int code                            # of the elements
    Weight weight
    Value value
    Outcome outcome
    Slope slope
    int power
    double factor, eps
    double least, most, tiny            # sums on scale; sizes below which products may be lost
    bint counted                        # sums are divided by the number of elements
    bint paired                         # there is a second sum
    Weigh weigh
    Conclude conclude
    Incline incline
    Array z                             # logits, or the second array of sums for gradients; may be missing
    Array s, t                          # where sums go, or missing
    Array x, logits, for_z              # of gradients: the forward's arrays, and where those of the logits go
    bint x_direct, z_direct, y_direct, for_z_direct         # rows are elements as they stand
    int* off                            # set where a window is off its scale


cdef inline Real size_of(Real x) noexcept nogil:
    if Real is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef inline Real with_sign(Real size, Real x) noexcept nogil:
    if Real is float:
        return copysignf(size, x)
    else:
        return copysign(size, x)


cdef inline void exponential(Real x, Real* w, Real* v) noexcept nogil:
    if Real is float:
        exp_of(x, w, v)
    else:
        exp_of_double(x, w, v)


cdef inline Real logarithm(Real x, Real less) noexcept nogil:
    if Real is float:
        return log_of(x, less)
    else:
        return log_of_double(x, less)


cdef inline Real if_any(Real v, Real a, Real b) noexcept nogil:
    """v, and 0 where a and b are."""
    if Real is float:
        return unless_none(v, a, b)
    else:
        return unless_none_double(v, a, b)


cdef inline void raise_to(Real* u, int power, Py_ssize_t n) noexcept nogil:
    """u ** power in place."""
    cdef Py_ssize_t i
    if power == 2:
        for i in range(n):
            u[i] = u[i] * u[i]
    elif power == 3:
        for i in range(n):
            u[i] = u[i] * u[i] * u[i]
    elif power == 4:
        for i in range(n):
            u[i] = (u[i] * u[i]) * (u[i] * u[i])
    elif power == 0:
        for i in range(n):
            u[i] = 1


cdef inline void divide_by(Real* s, Real by, const Real* counts, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    if counts != NULL:
        for i in range(n):
            s[i] = s[i] / (by * counts[i])
    elif by != 1:
        for i in range(n):
            s[i] = s[i] / by


cdef inline void take_root(Real* m, int power, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    if power == 2 or power == 4:
        for i in range(n):
            m[i] = sqrtf(m[i]) if Real is float else sqrt(m[i])
    if power == 4:
        for i in range(n):
            m[i] = sqrtf(m[i]) if Real is float else sqrt(m[i])
    elif power == 3:
        for i in range(n):
            m[i] = cube_root(m[i]) if Real is float else cube_root_of_double(m[i])


cdef inline void exponentials(Real* w, Real* v, const Real* x, Real factor, bint both, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef Real one, other
    if both:
        for i in range(n):
            exponential(x[i] * factor, &one, &other)
            w[i] = one
            v[i] = other
    else:
        for i in range(n):
            exponential(x[i] * factor, &one, &other)
            w[i] = one


cdef inline void clamp(Real* u, const Real* x, Real eps, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        u[i] = eps if x[i] < eps else x[i]


cdef inline void sizes(Real* u, const Real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        u[i] = size_of(x[i])


cdef inline bint powers_of_sizes(Real* w, const Real* x, int power, Real tiny, Py_ssize_t n) noexcept nogil:
    """|x| ** power; whether some are below `tiny`, and not 0."""
    cdef Py_ssize_t i
    cdef Real u
    cdef int32_t found = 0
    for i in range(n):
        u = size_of(x[i])
        found |= (u < tiny) & (u != 0)
        w[i] = u if power == 1 else u * u if power == 2 else u * u * u if power == 3 else (u * u) * (u * u)
    return found != 0


cdef inline bint some_tiny(const Real* x, Real tiny, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int32_t found = 0
    for i in range(n):
        found |= (size_of(x[i]) < tiny) & (x[i] != 0)
    return found != 0


cdef bint weigh(Real* w, Real* v, const Real* x, const Real* z, Py_ssize_t n, const Mean* mean) noexcept nogil:
    """The weights of n elements and their values times weights; whether some are so small that products may be
    lost."""
    cdef Py_ssize_t i
    cdef Real tiny = <Real> mean.tiny
    cdef bint found = False
    if mean.weight == SIZES:
        if mean.power == 1:
            found = powers_of_sizes(w, x, 1, tiny, n)
        elif mean.power == 2:
            found = powers_of_sizes(w, x, 2, tiny, n)
        elif mean.power == 3:
            found = powers_of_sizes(w, x, 3, tiny, n)
        else:
            found = powers_of_sizes(w, x, 4, tiny, n)
    elif tiny > 0:
        found = some_tiny(x, tiny, n)
    if mean.weight == EXPONENTIALS:
        exponentials(w, v, x, <Real> mean.factor, mean.value == LESS_ONE, n)
    elif mean.weight == OF_LOGITS:
        exponentials(w, v, z, <Real> 1, False, n)
    elif mean.weight == CLAMPED:
        clamp(w, x, <Real> mean.eps, n)
        if mean.value == LOGARITHMS:
            for i in range(n):
                v[i] = logarithm(w[i], <Real> NAN)
        raise_to(w, mean.power, n)
    if mean.value == ELEMENTS:
        for i in range(n):
            v[i] = w[i] * x[i]
    elif mean.value == LOGARITHMS:
        for i in range(n):
            v[i] = v[i] * w[i]
    return found


cdef bint conclude(Real* s, Real* t, double by, const Real* counts, bint tiny, Py_ssize_t n,
                   const Mean* mean) noexcept nogil:
    """The results of n windows, in place of their sums; whether some are off their scale. They have by elements, times
    counts if there are any; tiny: see `weigh`."""
    cdef Py_ssize_t i
    cdef int32_t off = 0
    cdef Real least = <Real> mean.least, most = <Real> mean.most, count = <Real> by
    cdef Real factor = <Real> (1 / mean.factor)
    cdef bint lenient = mean.weight == SIZES and not tiny       # a sum of 0 is one of zeros
    for i in range(n):
        off |= not (s[i] <= most)
    if lenient:
        for i in range(n):
            off |= (s[i] < least) & (s[i] != 0)
    else:
        for i in range(n):
            off |= s[i] < least
    if mean.value == ELEMENTS or mean.value == LOGARITHMS:
        for i in range(n):
            off |= not (size_of(t[i]) <= most)
        if tiny:
            for i in range(n):
                off |= size_of(t[i]) < least
    if mean.outcome == RATIO and lenient:
        for i in range(n):
            s[i] = t[i] / (1 if s[i] == 0 else s[i])
    elif mean.outcome == RATIO:
        for i in range(n):
            s[i] = t[i] / s[i]
    else:
        divide_by(s, count, counts, n)
    if mean.outcome == ROOT:
        take_root(s, mean.power, n)
    elif mean.outcome == LOGARITHM:
        if mean.value == LESS_ONE:
            divide_by(t, count, counts, n)
            for i in range(n):
                s[i] = logarithm(s[i], t[i]) * factor
        else:
            for i in range(n):
                s[i] = logarithm(s[i], <Real> NAN) * factor
    return off != 0


cdef void incline(Real* a, Real* b, const Real* x, const Real* z, Py_ssize_t n, const Mean* mean) noexcept nogil:
    """The gradients of n elements in place of a, and those of their logits in place of b; powers have b for their a.
    What is in no window has none, whatever it is."""
    cdef Py_ssize_t i
    cdef Real one, other, eps = <Real> mean.eps, factor = <Real> mean.factor
    cdef Real room[CHUNK]
    cdef Py_ssize_t begin = 0, part
    if mean.slope == OF_WEIGHTS:
        for i in range(n):
            exponential(x[i] * factor, &one, &other)
            a[i] = if_any(one * a[i], a[i], a[i])
    elif mean.slope == OF_SOFT:
        for i in range(n):
            exponential(x[i], &one, &other)
            a[i] = if_any(one * ((1 + x[i]) * a[i] - b[i]), a[i], b[i])
    elif mean.slope == OF_ATTENTION:
        for i in range(n):
            exponential(z[i], &one, &other)
            b[i] = if_any(one * (x[i] * a[i] - b[i]), a[i], b[i])
            a[i] = if_any(one * a[i], a[i], a[i])
    elif mean.slope == OF_SQUARES:
        for i in range(n):
            a[i] = if_any(2 * x[i] * a[i] - b[i], a[i], b[i])
    else:
        while begin < n:
            part = min(n - begin, <Py_ssize_t> CHUNK)
            if mean.slope == OF_CLAMPED:
                clamp(room, x + begin, eps, part)
            else:
                sizes(room, x + begin, part)
            raise_to(room, mean.power - 1, part)
            if mean.slope == OF_CLAMPED:
                for i in range(part):
                    room[i] = 0 if x[begin + i] < eps else room[i]
            else:
                for i in range(part):
                    room[i] = 0 if x[begin + i] == 0 else with_sign(room[i], x[begin + i])
            for i in range(part):
                a[begin + i] = if_any(room[i] * a[begin + i], a[begin + i], a[begin + i])
            begin += part


cdef inline void choose_mean(Mean* mean, Real* tag) noexcept nogil:
    mean.weigh = <Weigh> weigh[Real]
    mean.conclude = <Conclude> conclude[Real]
    mean.incline = <Incline> incline[Real]
