# The backward of small windows of channels that lie side by side: every pixel gathers from the few windows that reach
# it, so that the gradient is written once, in order. Of maxima a window counts where its ordinal names the pixel; of
# sums always. (Single numbers are too few to a row for this: they are scattered.)
#
# Pixels with the same place between two windows are a *phase*: they ask windows at the same distances. Rows of the
# outputs' gradient and of ordinals are copied with gaps between them that name nothing, so that no pixel is special.
# The order of additions is that of the windows, as `scatter` has it.


cdef enum:
    MOST_GATHERED = 12      # windows that reach an element
    MOST_PHASES = 64
    NO_TAP = 255            # an ordinal beyond those of windows that are gathered from
    BAND = 1 << 14          # bytes of copied rows


cdef struct Asked:          # a window that an element asks
    Py_ssize_t at           # how far its gradient lies behind that of the first window
    int tap                 # the ordinal that names the element


cdef struct Gather:
    Py_ssize_t reach[3]     # windows that reach an element along each axis at most, less one
    Py_ssize_t pitch        # elements from one copied row to the next
    Py_ssize_t rows         # of windows, copied for each of their planes, at most
    Py_ssize_t band         # rows of elements that those serve
    Asked asked[256]        # phase by phase
    int begin[MOST_PHASES + 1]


cdef bint gathers(const Job* job) noexcept nogil:
    """Whether windows are few enough at a pixel."""
    cdef const Axis* axis = job.axis
    cdef Py_ssize_t most = 1, taps = 1, phases = 1
    cdef int i
    for i in range(3):
        if axis[i].first != NULL or axis[i].phases > 1 or axis[i].kernel == 0:
            return False
        most *= min(axis[i].kernel, reach_of(&axis[i]) + 1)
        taps *= axis[i].kernel
        phases *= min(axis[i].stride, MOST_PHASES + 1)
        if most > MOST_GATHERED or taps >= NO_TAP or phases > MOST_PHASES:
            return False
    if job.inner == 1:
        return False
    return job.index_width == 1 or job.index == NULL and phases > 1     # else adjoint windows are faster


cdef inline Py_ssize_t reach_of(const Axis* axis) noexcept nogil:
    return (axis.kernel - 1) * axis.dilation / axis.stride


cdef void plan_gather(Gather* g, const Job* job) noexcept nogil:
    """Sizes of what is copied, and which windows each phase asks."""
    cdef const Axis* axis = job.axis
    cdef Py_ssize_t phase, i, j, k, row, count = 0
    cdef Py_ssize_t place[3]
    for i in range(3):
        g.reach[i] = reach_of(&axis[i])
    row = (axis[2].size - 1 + axis[2].padding) / axis[2].stride + 1         # windows that begin before its end
    g.pitch = (g.reach[2] + max(axis[2].out, row)) * job.inner
    row = g.pitch * (job.rows.size + 1) * (g.reach[0] + 1)
    g.band = min(max((BAND / row - g.reach[1] - 1) * axis[1].stride, 1), axis[1].size)
    g.rows = g.band / axis[1].stride + 2 + g.reach[1]
    for phase in range(axis[0].stride * axis[1].stride * axis[2].stride):
        g.begin[phase] = count
        place[2] = phase % axis[2].stride
        place[1] = phase / axis[2].stride % axis[1].stride
        place[0] = phase / axis[2].stride / axis[1].stride
        for i in range(axis[0].kernel - 1, -1, -1):
            for j in range(axis[1].kernel - 1, -1, -1):
                for k in range(axis[2].kernel - 1, -1, -1):
                    if (i * axis[0].dilation % axis[0].stride == place[0]
                            and j * axis[1].dilation % axis[1].stride == place[1]
                            and k * axis[2].dilation % axis[2].stride == place[2]):
                        g.asked[count].at = (
                            ((g.reach[0] - i * axis[0].dilation / axis[0].stride) * g.rows
                             + g.reach[1] - j * axis[1].dilation / axis[1].stride) * g.pitch
                            + (g.reach[2] - k * axis[2].dilation / axis[2].stride) * job.inner)
                        g.asked[count].tap = <int> ((i * axis[1].kernel + j) * axis[2].kernel + k)
                        count += 1
    g.begin[phase + 1] = count


cdef inline size_t copied_size(const Gather* g, Py_ssize_t size) noexcept nogil:
    return rounded((g.reach[0] + 1) * g.rows * g.pitch * size + SPARE)


cdef size_t gather_size(const Gather* g, const Job* job) noexcept nogil:
    """Bytes of scratch memory beside that of `lay_out`."""
    return (copied_size(g, job.rows.size) + copied_size(g, 1)
            + rounded(g.band * job.axis[2].size * job.inner * job.rows.size + SPARE))


cdef inline void ask(RealVec* y, const char* grad, const char* ordinal, const Asked* asked) noexcept nogil:
    cdef RealVec x
    if ordinal == NULL:
        v_load(&x, grad + asked.at * number_size(y))
        v_add(y, &x)
    else:
        v_add_chosen(y, grad + asked.at * number_size(y), ordinal + asked.at, asked.tap)


cdef inline void put_some(char* y, const RealVec* v, Py_ssize_t n, const char* limit) noexcept nogil:
    """What is left of a row."""
    if n >= lanes_of(<RealVec*> v):
        v_store(y, v)
    elif n > 0:
        v_store_first(y, v, n, limit)


cdef inline void gather_some(char* y, const char* grad, const char* ordinal, const Asked* asked, Py_ssize_t count,
                             Py_ssize_t n, const char* limit, RealVec* tag) noexcept nogil:
    """Two vectors at a time, so that neither waits for the other."""
    cdef Py_ssize_t i = 0, j, width = lanes_of(tag)
    cdef const char* row
    cdef RealVec a, b
    while i < n:
        row = ordinal if ordinal == NULL else ordinal + i
        v_set(&a, 0)
        v_set(&b, 0)
        for j in range(count):
            ask(&a, grad + i * number_size(tag), row, &asked[j])
            ask(&b, grad + (i + width) * number_size(tag), row if row == NULL else row + width, &asked[j])
        put_some(y + i * number_size(tag), &a, n - i, limit)
        put_some(y + (i + width) * number_size(tag), &b, n - i - width, limit)
        i += 2 * width


cdef void gather_run(char* y, const char* grad, const char* ordinal, const Asked* asked, Py_ssize_t count,
                     Py_ssize_t n, const char* limit, RealVec* tag) noexcept nogil:
    """A run of elements of one phase. Up to the limit what is written too much does no harm."""
    if ordinal == NULL:
        gather_some(y, grad, NULL, asked, count, n, limit, tag)
    else:
        gather_some(y, grad, ordinal, asked, count, n, limit, tag)


ctypedef fused CopiedVec:
    Floats
    Doubles
    Bytes


cdef void copy_run(char* y, const char* x, Py_ssize_t n, const char* low, const char* high, double beyond,
                   CopiedVec* tag) noexcept nogil:
    """n numbers, and more of those beyond: the next run is written over them."""
    cdef Py_ssize_t i = 0, width = lanes_of(tag), size = number_size(tag)
    cdef CopiedVec v, fill
    cdef Mask mask
    while i + width <= n:
        v_load(&v, x + i * size)
        v_store(y + i * size, &v)
        i += width
    v_set(&fill, beyond)
    v_set_mask(&mask, tag, 0, n - i)
    v_load_some(&v, x + i * size, &mask, &fill, low, high, 0, n - i)
    v_store(y + i * size, &v)


cdef void copy_rows(const Gather* g, const Job* job, Scratch* s, char* grad, char* ordinal, Py_ssize_t plane,
                    Py_ssize_t d, Py_ssize_t h, Py_ssize_t rows) noexcept nogil:
    """Rows of windows, from (d, h) on, which may lie outside, in the order of memory."""
    cdef Py_ssize_t i, j, n = job.axis[2].out * job.inner, place, out_d = job.axis[0].out, out_h = job.axis[1].out
    cdef Py_ssize_t volume = job.a * job.b * out_d * out_h * n, size = job.rows.size
    cdef const char* x = job.x.data + plane / job.b * job.x.a + plane % job.b * job.x.b
    cdef Grid divided
    for i in range(d, d + g.reach[0] + 1):
        for j in range(h, h + rows):
            place = ((i - d) * g.rows + j - h) * g.pitch + g.reach[2] * job.inner
            if not 0 <= i < out_d or not 0 <= j < out_h:
                memset(grad + place * size, 0, n * size)
                if job.index != NULL:
                    memset(ordinal + place, NO_TAP, n)
                continue
            if not job.x.direct:
                load_run(job, s, grad + place * size, x + i * job.x.d + j * job.x.h, job.axis[2].out, job.x.w)
                memset(grad + (place + n) * size, 0, g.reach[2] * job.inner * size)
            elif size == 4:
                copy_run(grad + place * 4, x + i * job.x.d + j * job.x.h, n, job.x_low, job.x_high, 0, <Floats*> NULL)
            else:
                copy_run(grad + place * 8, x + i * job.x.d + j * job.x.h, n, job.x_low, job.x_high, 0, <Doubles*> NULL)
            if job.divided:
                divided = line(n)
                set_divisors_of(job, s, i, i + 1, j, j + 1, &divided)
                divided.counts = count_row(job, s, 0, job.axis[2].out)
                job.rows.divide(grad + place * size, &divided)
            if job.index != NULL:
                copy_run(ordinal + place, job.index + ((plane * out_d + i) * out_h + j) * n, n, job.index,
                         job.index + volume, NO_TAP, <Bytes*> NULL)


cdef bint all_named(const Job* job, Py_ssize_t plane) noexcept nogil:
    """Whether a plane's ordinals are those of taps."""
    cdef Py_ssize_t i, n = job.axis[0].out * job.axis[1].out * job.axis[2].out * job.inner
    cdef const uint8_t* index = <const uint8_t*> job.index + plane * n
    cdef uint8_t most = 0
    for i in range(n):
        most = max(most, index[i])
    return most < job.axis[0].kernel * job.axis[1].kernel * job.axis[2].kernel


cdef void gather_rows(const Gather* g, const Job* job, char* memory, bint named, Py_ssize_t h0, Py_ssize_t h1,
                      Py_ssize_t from_d, char* out, Py_ssize_t out_row, const char* limit, RealVec* tag) noexcept nogil:
    """Rows of the gradient, of copied rows of windows."""
    cdef const Axis* axis = job.axis
    cdef Py_ssize_t size = number_size(tag), by_h = axis[1].stride, by_w = axis[2].stride
    cdef Py_ssize_t from_h = h0 + axis[1].padding, h, i, q, r, phase, first
    cdef const char* ordinal = memory + copied_size(g, size)
    if not named:
        ordinal = NULL
    for h in range(h0, h1):
        q = h + axis[1].padding
        phase = (from_d % axis[0].stride * by_h + q % by_h) * by_w
        q = (q / by_h - from_h / by_h) * g.pitch + axis[2].padding / by_w * job.inner
        if by_w == 1:                               # all pixels of a row ask the same
            gather_run(out, memory + q * size, ordinal if ordinal == NULL else ordinal + q, &g.asked[g.begin[phase]],
                       g.begin[phase + 1] - g.begin[phase], axis[2].size * job.inner, limit, tag)
        else:
            r = axis[2].padding % by_w
            for i in range(axis[2].size):
                first = g.begin[phase + r]
                gather_run(out + i * job.inner * size, memory + q * size, ordinal if ordinal == NULL else ordinal + q,
                           &g.asked[first], g.begin[phase + r + 1] - first, job.inner, limit, tag)
                r += 1
                if r == by_w:
                    r, q = 0, q + job.inner
        out += out_row


cdef void gather_band(const Gather* g, const Job* job, Scratch* s, char* memory, bint in_place, Py_ssize_t plane,
                      Py_ssize_t d, Py_ssize_t h0, Py_ssize_t h1) noexcept nogil:
    """The gradient of some rows of a plane."""
    cdef const Axis* axis = job.axis
    cdef Py_ssize_t size = job.rows.size, n = axis[2].size * job.inner
    cdef Py_ssize_t from_d = d + axis[0].padding, from_h = h0 + axis[1].padding, by_h = axis[1].stride
    cdef char* out = job.y.data + plane / job.b * job.y.a + plane % job.b * job.y.b + d * job.y.d + h0 * job.y.h
    cdef char* rows = memory + gather_size(g, job) - rounded(g.band * n * size + SPARE)
    cdef Py_ssize_t h
    cdef bint through = in_place and not job.y.streamed
    copy_rows(g, job, s, memory, memory + copied_size(g, size), plane, from_d / axis[0].stride - g.reach[0],
              from_h / by_h - g.reach[1], (h1 - 1 + axis[1].padding) / by_h - from_h / by_h + g.reach[1] + 1)
    if size == 4:
        gather_rows(g, job, memory, job.index != NULL, h0, h1, from_d, out if through else rows,
                    job.y.h if through else n * 4, (out + (h1 - h0 - 1) * job.y.h if through
                                                    else rows + (h1 - h0 - 1) * n * 4) + n * 4, <Floats*> NULL)
    else:
        gather_rows(g, job, memory, job.index != NULL, h0, h1, from_d, out if through else rows,
                    job.y.h if through else n * 8, (out + (h1 - h0 - 1) * job.y.h if through
                                                    else rows + (h1 - h0 - 1) * n * 8) + n * 8, <Doubles*> NULL)
    for h in range(0 if through else h1 - h0):
        if job.y.streamed:
            stream(out + h * job.y.h, rows + h * n * size, n * size)
        else:
            job.rows.store(s.raw, rows + h * n * size, NULL, 0, n, job.y.code)
            scatter_bytes(out + h * job.y.h, s.raw, axis[2].size, job.y.w, job.inner, job.y.c, job.y.size)


cdef bint gather_share(const Gather* g, const Job* job, Scratch* s, char* memory, bint in_place, Py_ssize_t share,
                       Py_ssize_t shares) noexcept nogil:
    """Some of all bands of all planes; false if an ordinal is none."""
    cdef Py_ssize_t bands = ceil_div(job.axis[1].size, g.band), each = job.axis[0].size * bands, i, h
    cdef Py_ssize_t all_ = job.a * job.b * each
    cdef bint named = True
    memset(memory, 0, copied_size(g, job.rows.size))
    memset(memory + copied_size(g, job.rows.size), NO_TAP, copied_size(g, 1))
    for i in range(all_ * share / shares, all_ * (share + 1) / shares):
        if i % each == 0 and job.index != NULL:
            named &= all_named(job, i / each)
        h = i % bands * g.band
        gather_band(g, job, s, memory, in_place, i / each, i % each / bands, h, min(h + g.band, job.axis[1].size))
    if job.y.streamed:
        stream_end()
    return named
