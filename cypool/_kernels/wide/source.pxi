# Source: the input rows of a tile, read in place or loaded as elements.


cdef extern from *:
    """
    #include <string.h>
    #if defined(__SSE2__) || defined(_M_X64)
    #include <emmintrin.h>
    /* Copy past the caches: lines that are written whole need not be read first. */
    static void cypool_stream(char *y, const char *x, size_t n) {
        size_t head = (64 - (size_t) y % 64) % 64;
        size_t i;
        if (head > n) head = n;
        memcpy(y, x, head);
        for (i = head; i + 64 <= n; i += 64) {
            __m128i a = _mm_loadu_si128((const __m128i *) (x + i));
            __m128i b = _mm_loadu_si128((const __m128i *) (x + i + 16));
            __m128i c = _mm_loadu_si128((const __m128i *) (x + i + 32));
            __m128i d = _mm_loadu_si128((const __m128i *) (x + i + 48));
            _mm_stream_si128((__m128i *) (y + i), a);
            _mm_stream_si128((__m128i *) (y + i + 16), b);
            _mm_stream_si128((__m128i *) (y + i + 32), c);
            _mm_stream_si128((__m128i *) (y + i + 48), d);
        }
        memcpy(y + i, x + i, n - i);
    }
    #define cypool_stream_end() _mm_sfence()
    #else
    #define cypool_stream(y, x, n) memcpy(y, x, n)
    #define cypool_stream_end() ((void) 0)
    #endif
    static inline __attribute__((always_inline)) void cypool_prefetch(const char *x, Py_ssize_t n) {
        Py_ssize_t i;
        for (i = 0; i < n; i += 64)
            __builtin_prefetch(x + i);
    }
    static inline __attribute__((always_inline)) void cypool_prefetch_far(const char *x, Py_ssize_t n) {
        Py_ssize_t i;
        for (i = 0; i < n; i += 64)
            __builtin_prefetch(x + i, 0, 2);
    }
    /* Read a byte of every line, from the first to the last: memory is faster in order than in rows that take turns. */
    static void cypool_touch(const char *x, size_t n) {
        size_t i;
        unsigned char sum = 0;
        volatile unsigned char kept;
        for (i = 0; i < n; i += 64)
            sum ^= (unsigned char) x[i];
        kept = sum;
        (void) kept;
    }
    """
    void fetch "cypool_prefetch"(const char* x, Py_ssize_t n) noexcept nogil
    void fetch_far "cypool_prefetch_far"(const char* x, Py_ssize_t n) noexcept nogil    # into the second cache
    void touch "cypool_touch"(const char* x, size_t n) noexcept nogil
    void stream "cypool_stream"(char* y, const char* x, size_t n) noexcept nogil
    void stream_end "cypool_stream_end"() noexcept nogil


cdef inline char* at(char* base, Py_ssize_t element, Py_ssize_t size) noexcept nogil:
    return NULL if base == NULL else base + element * size


cdef inline void copy_number(char* y, const char* x, Py_ssize_t size, bint swapped) noexcept nogil:
    cdef Py_ssize_t i
    if not swapped:
        if size == 4:
            memcpy(y, x, 4)
        elif size == 8:
            memcpy(y, x, 8)
        elif size == 2:
            memcpy(y, x, 2)
        else:
            y[0] = x[0]
    else:
        for i in range(size):
            y[i] = x[size - 1 - i]


cdef void gather_bytes(char* y, const char* x, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t inner,
                       Py_ssize_t inner_stride, Py_ssize_t size, bint swapped) noexcept nogil:
    """Stored numbers of any stride and byte order, side by side in native order."""
    cdef Py_ssize_t i, c
    for i in range(n):
        if inner_stride == size and inner > 1 and not swapped:
            memcpy(y + i * inner * size, x + i * stride, inner * size)
            continue
        for c in range(inner):
            copy_number(y + (i * inner + c) * size, x + i * stride + c * inner_stride, size, swapped)


cdef void scatter_bytes(char* y, const char* x, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t inner,
                        Py_ssize_t inner_stride, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i, c
    for i in range(n):
        if inner_stride == size and inner > 1:
            memcpy(y + i * stride, x + i * inner * size, inner * size)
            continue
        for c in range(inner):
            copy_number(y + i * stride + c * inner_stride, x + (i * inner + c) * size, size, False)


cdef void load_run(const Job* job, Scratch* s, char* y, const char* x, Py_ssize_t n, Py_ssize_t stride) noexcept nogil:
    """n columns of x as elements, NaN replaced and all divided by one number where that was asked for."""
    cdef const char* raw = x
    cdef Grid g
    cdef bint apart = (stride != job.x.size * job.inner and n > 1) or (job.x.c != job.x.size and job.inner > 1)
    if apart or job.x.swapped or <size_t> x % <size_t> job.x.size:
        gather_bytes(s.raw, x, n, stride, job.inner, job.x.c, job.x.size, job.x.swapped)
        raw = s.raw
    job.rows.load(y, raw, n * job.inner, job.x.code)
    if job.turned:
        job.rows.turn_over(y, job.as_signed, job.falling, n * job.inner)
    if job.nan:
        job.rows.replace_nan(y, job.nan == 2, n * job.inner)
    if job.divide_source and job.fixed_divisor != 0:
        g = line(n * job.inner)
        g.by = &job.fixed_divisor
        job.rows.divide(y, &g)


cdef void touch_rows(const Job* job, const Tile* t, Block x) noexcept nogil:
    """Bring rows that are used where they are into the caches, in order."""
    cdef Py_ssize_t d, h, rows = t.in_h1 - t.in_h, bytes = (t.in_w1 - t.in_w) * job.inner * job.rows.size
    for d in range(t.in_d1 - t.in_d):
        if x.row * job.rows.size == bytes:
            touch(at(x.value, d * x.plane, job.rows.size), rows * bytes)
        else:
            for h in range(rows):
                touch(at(x.value, d * x.plane + h * x.row, job.rows.size), bytes)


cdef Block source_block(const Job* job, Scratch* s, const Tile* t) noexcept nogil:
    cdef Block block
    cdef Py_ssize_t d, h, size = job.rows.size, rows = t.in_h1 - t.in_h
    cdef const char* x
    cdef char* y
    cdef Grid g
    block.tap = NULL
    if job.x.direct:
        block.value = (job.x.data + t.a * job.x.a + t.b * job.x.b + t.in_d * job.x.d + t.in_h * job.x.h
                       + t.in_w * job.x.w)
        block.plane = job.x.d / size
        block.row = job.x.h / size if job.axis[1].size > 1 else block.plane
        block.buffer = -1
        return block
    block.value = s.value[0]
    block.buffer = 0
    block.row = (t.in_w1 - t.in_w) * job.inner
    block.plane = rows * block.row
    if block.row == 0:
        return block
    for d in range(t.in_d, t.in_d1):
        x = job.x.data + t.a * job.x.a + t.b * job.x.b + d * job.x.d + t.in_h * job.x.h + t.in_w * job.x.w
        y = block.value + (d - t.in_d) * block.plane * size
        if block.row == job.axis[2].size * job.inner and job.x.h == job.axis[2].size * job.x.w:
            load_run(job, s, y, x, rows * job.axis[2].size, job.x.w)        # the rows of a plane follow each other
        else:
            for h in range(rows):
                load_run(job, s, y + h * block.row * size, x + h * job.x.h, t.in_w1 - t.in_w, job.x.w)
    if job.divide_source and job.fixed_divisor == 0:
        g = grid_of(block.row, rows, 0, block.row, t.in_d1 - t.in_d, 0, block.plane, 0, 0)
        set_divisors_of(job, s, t.in_d, t.in_d1, t.in_h, t.in_h1, &g)
        g.counts = count_row(job, s, t.in_w, t.in_w1)
        job.rows.divide(block.value, &g)
    return block
