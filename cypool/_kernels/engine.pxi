# The engine: one call is cut into tiles of output, and each tile is reduced axis by axis.
#
#   source        the tile's input rows: read in place, or loaded into scratch as elements
#   depth         rows of planes folded onto each other
#   height        rows of one plane folded onto each other, and padded for what follows
#   width         the row slides along itself
#   finish        divide, convert, write
#
# An array is seen as (a, b, d, h, w, c): a and b are batch axes, c the channels of channels-last data. A batch axis
# may also stand in for a missing d or h: then its windows are single elements, and small planes share a tile.
# Nothing here knows what is reduced: `Rows` does. Nothing here knows padding modes or ceil mode: `Axis` holds what
# they come to.

from cython.parallel cimport prange

cimport numpy as cnp

import numpy as np

cnp.import_array()

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define cypool_thread() omp_get_thread_num()
    #else
    #define cypool_thread() 0
    #endif
    """
    int cypool_thread() nogil


cdef struct Axis:
    # Window i reads i * stride - padding + j * dilation for j < kernel, wherever that lies in [0, size) ...
    Py_ssize_t size, out, kernel, stride, padding, dilation
    # ... or, from a table, count[i] taps from first[i] on, dilation apart.
    const int64_t* first
    const int64_t* count
    Py_ssize_t expand       # the input's elements stand this far apart, with zeros between
    bint slide              # a wide window: doubling instead of folding tap by tap


cdef struct Window:
    Py_ssize_t first, count, lead       # lead: taps cut off before the first


cdef struct Divisor:
    Py_ssize_t size, kernel, stride, padding, after, dilation
    bint padded             # padding counts


cdef struct Array:
    char* data
    Py_ssize_t a, b, d, h, w, c         # strides in bytes
    int code                # storage
    Py_ssize_t size         # bytes of a stored number
    bint swapped            # the other byte order
    bint direct             # rows can be used in place, as elements


cdef struct Job:
    Rows rows
    const void* policy
    Axis axis[3]            # d, h, w
    Divisor divisor[3]
    bint divided, divide_source
    double fixed_divisor    # or 0
    int nan                 # 0, or 1: NaN becomes 0, 2: NaN becomes 1 and all else 0
    bint whole              # every window is the whole plane
    Py_ssize_t a, b, inner
    Py_ssize_t channels     # of the caller's array: more than inner where they are dealt out over b
    Py_ssize_t plane_d, plane_h         # steps of the flat index along d and h
    Array x, y
    char* index             # C-contiguous, in y's layout
    int index_width         # 0 none, 1 or 4 bytes: ordinals, 8: flat positions
    const int64_t* offset   # flat offset of each tap of a full window, or NULL: computed
    Py_ssize_t tile_d, tile_h, tile_w   # outputs of a tile
    Py_ssize_t tiles_d, tiles_h, tiles_w, tiles
    Py_ssize_t room         # elements in each scratch buffer
    Py_ssize_t raw_room     # bytes of the row that is gathered before it is loaded
    Py_ssize_t divisor_room


cdef enum Way:              # how the windows along a row are reduced
    BY_WINDOWS              # one by one
    PADDED                  # tap by tap over rows with padding between them
    MENDED                  # tap by tap over rows without padding; the ends are done again
    SLIDE                   # by doubling


cdef enum:
    BUFFERS = 4
    LONG = 192              # elements from which on a row is better done on its own


cdef struct Scratch:
    char* value[BUFFERS]
    char* tap[BUFFERS]
    char* raw
    double* divisor         # of one row, as last computed for (row product, first, last)
    int64_t row_product
    Py_ssize_t row_first, row_last
    bint row_uniform


cdef struct Tile:
    Py_ssize_t a, b
    Py_ssize_t d0, d1, h0, h1, w0, w1   # outputs
    Py_ssize_t in_d, in_d1, in_h, in_h1, in_w, in_w1        # the inputs they reach
    Py_ssize_t left         # padded columns before them


cdef struct Block:          # rows of elements: in a scratch buffer, or (buffer -1) in the caller's array
    char* value
    char* tap               # or NULL: no taps met yet
    Py_ssize_t plane, row   # elements from plane to plane, from row to row
    int buffer


# ---------------------------------------------------------------------------- windows

cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a / b if a <= 0 else (a - 1) / b + 1


cdef inline Window window(const Axis* axis, Py_ssize_t i) noexcept nogil:
    cdef Window w
    cdef Py_ssize_t origin, end
    if axis.first != NULL:
        w.first = axis.first[i]
        w.count = axis.count[i]
        w.lead = 0
        return w
    origin = i * axis.stride - axis.padding
    if axis.dilation == 1:
        w.lead = -origin if origin < 0 else 0
        end = min(axis.kernel, axis.size - origin)
    else:
        w.lead = ceil_div(-origin, axis.dilation) if origin < 0 else 0
        end = min(axis.kernel, ceil_div(axis.size - origin, axis.dilation))
    w.first = origin + w.lead * axis.dilation
    w.count = max(end - w.lead, 0)
    return w


cdef inline bint single(const Axis* axis) noexcept nogil:
    """Whether the windows are the single elements, in order."""
    return axis.first == NULL and axis.kernel == 1 and axis.stride == 1 and axis.size == axis.out


cdef inline Py_ssize_t origin_of(const Axis* axis, Py_ssize_t i) noexcept nogil:
    """Where tap 0 of window i lies (or would lie)."""
    return axis.first[i] if axis.first != NULL else i * axis.stride - axis.padding


cdef inline Py_ssize_t span(const Axis* axis, Py_ssize_t windows) noexcept nogil:
    """Positions that neighbouring windows reach, padding included."""
    return (windows - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1


cdef void reach(const Axis* axis, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t* lo, Py_ssize_t* hi) noexcept nogil:
    """The inputs [lo, hi) that the windows [i0, i1) read; none, where a gradient reached nothing."""
    cdef Py_ssize_t i
    if axis.first == NULL:
        lo[0] = i0 * axis.stride - axis.padding
        hi[0] = min(axis.size, lo[0] + span(axis, i1 - i0))
        lo[0] = max(lo[0], 0)
    else:
        lo[0] = axis.size
        hi[0] = 0
        for i in range(i0, i1):
            if axis.count[i] > 0:
                lo[0] = min(lo[0], axis.first[i])
                hi[0] = max(hi[0], axis.first[i] + (axis.count[i] - 1) * axis.dilation + 1)
    lo[0] = min(lo[0], axis.size)
    hi[0] = max(lo[0], hi[0])


cdef inline int64_t taps_counted(const Divisor* along, Py_ssize_t i) noexcept nogil:
    """How many taps of window i an average counts along one axis."""
    cdef Py_ssize_t origin = i * along.stride - along.padding
    cdef Py_ssize_t end = along.size + along.after if along.padded else along.size
    cdef Py_ssize_t lead = 0
    if not along.padded and origin < 0:
        lead = ceil_div(-origin, along.dilation)
    return max(min(along.kernel, ceil_div(end - origin, along.dilation)) - lead, 0)


cdef void divisor_row(const Job* job, Scratch* s, Py_ssize_t d, Py_ssize_t h, Py_ssize_t w0,
                      Py_ssize_t w1) noexcept nogil:
    """Put the divisors of the windows (d, h, w0..w1) into the scratch row, unless they are there."""
    cdef Py_ssize_t i, c, inner = job.inner
    cdef int64_t product
    cdef double value
    if job.fixed_divisor != 0:
        s.divisor[0] = job.fixed_divisor
        s.row_uniform = True
        if job.rows.floating or s.row_last == w1 - w0:
            return
        for i in range((w1 - w0) * inner):
            s.divisor[i] = job.fixed_divisor
        s.row_last = w1 - w0
        return
    product = taps_counted(&job.divisor[0], d) * taps_counted(&job.divisor[1], h)
    if product == s.row_product and w0 == s.row_first and w1 == s.row_last:
        return
    s.row_uniform = True
    for i in range(w0, w1):
        value = <double> (product * taps_counted(&job.divisor[2], i))
        if value == 0:                              # a window of nothing: its sum is zero
            value = 1
        for c in range(inner):
            s.divisor[(i - w0) * inner + c] = value
        if value != s.divisor[0]:
            s.row_uniform = False
    s.row_product, s.row_first, s.row_last = product, w0, w1


# ---------------------------------------------------------------------------- source

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
    """n columns of x as elements, NaN replaced where that was asked for."""
    cdef const char* raw = x
    if job.x.swapped or (stride != job.x.size * job.inner and n > 1) or (job.x.c != job.x.size and job.inner > 1):
        gather_bytes(s.raw, x, n, stride, job.inner, job.x.c, job.x.size, job.x.swapped)
        raw = s.raw
    job.rows.load(y, raw, n * job.inner, job.x.code)
    if job.nan:
        job.rows.replace_nan(y, job.nan == 2, n * job.inner)


cdef void load_row(const Job* job, Scratch* s, const Tile* t, char* y, Py_ssize_t d, Py_ssize_t h) noexcept nogil:
    """The tile's columns of one input row, divided and spread out where the job says so."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t size = job.rows.size
    cdef Py_ssize_t i0 = ceil_div(t.in_w, axis.expand)
    cdef Py_ssize_t i1 = ceil_div(t.in_w1, axis.expand)
    cdef const char* x = (job.x.data + t.a * job.x.a + t.b * job.x.b + d * job.x.d + h * job.x.h + i0 * job.x.w)
    cdef char* run = y if axis.expand == 1 else s.value[BUFFERS - 1]
    if i1 > i0:
        load_run(job, s, run, x, i1 - i0, job.x.w)
        if job.divide_source:
            divisor_row(job, s, d, h, i0, i1)
            job.rows.divide(run, s.divisor, s.row_uniform, (i1 - i0) * job.inner)
    if axis.expand > 1:
        memset(y, 0, (t.in_w1 - t.in_w) * job.inner * size)
        if i1 > i0:
            job.rows.spread(y + (i0 * axis.expand - t.in_w) * job.inner * size, run, axis.expand, job.inner, i1 - i0)


cdef Block source_block(const Job* job, Scratch* s, const Tile* t) noexcept nogil:
    cdef Block block
    cdef Py_ssize_t d, h, size = job.rows.size
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
    block.plane = (t.in_h1 - t.in_h) * block.row
    for d in range(t.in_d, t.in_d1):
        for h in range(t.in_h, t.in_h1):
            load_row(job, s, t, block.value + ((d - t.in_d) * block.plane + (h - t.in_h) * block.row) * size, d, h)
    return block


# ---------------------------------------------------------------------------- reducing one axis

cdef inline Block fresh_block(const Job* job, Scratch* s, int used, int used_too, int used_still) noexcept nogil:
    """A block in a buffer that is none of three."""
    cdef Block block
    cdef int i = 0
    while i == used or i == used_too or i == used_still:
        i += 1
    block.buffer = i
    block.value = s.value[i]
    block.tap = s.tap[i] if job.rows.taps else NULL
    block.plane = block.row = 0
    return block


cdef inline char* at(char* base, Py_ssize_t element, Py_ssize_t size) noexcept nogil:
    return NULL if base == NULL else base + element * size


cdef void fold_axis(const Job* job, const Axis* axis, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t in0,
                    Block x, Py_ssize_t x_pitch, Block y, Py_ssize_t y_pitch,
                    Py_ssize_t lines, Py_ssize_t x_line, Py_ssize_t y_line, Py_ssize_t n,
                    int64_t ordinal) noexcept nogil:
    """Windows i0..i1 of `lines` parallel lines of vectors of n elements, tap by tap.

    Vectors lie x_pitch and y_pitch apart along the axis, lines x_line and y_line apart. Where neighbours touch in
    memory, one long run replaces many short ones.
    """
    cdef Py_ssize_t i, line, run, size = job.rows.size
    cdef Window w, v
    cdef Py_ssize_t xi, yi
    if lines > 1 and x_line == n and y_line == n:
        n *= lines
        lines = 1
    for line in range(lines):
        i = i0
        while i < i1:
            w = window(axis, i)
            run = 1
            if x_pitch == n and y_pitch == n and axis.stride == 1 and axis.first == NULL:
                while i + run < i1:
                    v = window(axis, i + run)
                    if v.first != w.first + run or v.count != w.count or v.lead != w.lead:
                        break
                    run += 1
            xi = line * x_line + (w.first - in0) * x_pitch
            yi = line * y_line + (i - i0) * y_pitch
            if w.count > 0:
                job.rows.fold(at(y.value, yi, size), at(y.tap, yi, size), at(x.value, xi, size), at(x.tap, xi, size),
                              w.count, axis.dilation * x_pitch, 1, n * run, w.lead * ordinal, ordinal, job.policy)
            else:
                job.rows.fill(at(y.value, yi, size), at(y.tap, yi, size), n * run, job.policy)
            i += run


cdef Block slide(const Job* job, Scratch* s, Block x, Py_ssize_t n, Py_ssize_t kernel, Py_ssize_t step,
                 int64_t ordinal) noexcept nogil:
    """y[i] = reduction over j < kernel of x[i + j * step], for every i that stays within n: by doubling.

    After a pass of width w, element i holds w taps. Max and min end with one overlapping pass; sums join the widths
    that make up the kernel in binary, so each tap is added once, pairwise.
    """
    cdef Py_ssize_t size = job.rows.size, width = 1, done = 0, left = n - (kernel - 1) * step
    cdef Block m = x, joined, y
    joined.buffer = -1
    while True:
        if not job.rows.doubles and kernel & width:
            if done == 0 and kernel == width:
                return m
            if done == 0:
                joined = fresh_block(job, s, m.buffer, x.buffer, -1)
                job.rows.fold(joined.value, joined.tap, m.value, m.tap, 1, 0, 1, left, 0, 0, job.policy)
            else:
                job.rows.merge(joined.value, joined.tap, at(m.value, done * step, size), at(m.tap, done * step, size),
                               left, job.policy)
            done += width
            if done == kernel:
                return joined
        if 2 * width > kernel:
            break
        y = fresh_block(job, s, m.buffer, joined.buffer, x.buffer)
        job.rows.fold(y.value, y.tap, m.value, m.tap, 2, width * step, 1, n - (2 * width - 1) * step,
                      0, width * ordinal, job.policy)
        m = y
        width *= 2
    if width < kernel:
        y = fresh_block(job, s, m.buffer, x.buffer, -1)
        job.rows.fold(y.value, y.tap, m.value, m.tap, 2, (kernel - width) * step, 1, left,
                      0, (kernel - width) * ordinal, job.policy)
        m = y
    return m


cdef Block padded_block(const Job* job, Scratch* s, const Axis* axis, Py_ssize_t i0, Py_ssize_t i1,
                        Py_ssize_t in0, Py_ssize_t in1, Block x, Py_ssize_t x_pitch, Py_ssize_t y_pitch,
                        Py_ssize_t lines, Py_ssize_t x_line, Py_ssize_t y_line, Py_ssize_t offset,
                        Py_ssize_t n, Py_ssize_t room) noexcept nogil:
    """Every vector that windows i0..i1 reach, padding included, evenly laid out for `slide`."""
    cdef Block y = fresh_block(job, s, x.buffer, -1, -1)
    cdef Py_ssize_t i, line, xi, yi, size = job.rows.size
    cdef Py_ssize_t origin = origin_of(axis, i0)
    job.rows.fill(y.value, y.tap, room, job.policy)
    for line in range(lines):
        for i in range(in0, in1):
            xi = line * x_line + (i - in0) * x_pitch
            yi = line * y_line + (i - origin) * y_pitch + offset
            job.rows.fold(at(y.value, yi, size), at(y.tap, yi, size), at(x.value, xi, size), at(x.tap, xi, size),
                          1, 0, 1, n, 0, 0, job.policy)
    return y


cdef Block reduce_depth(const Job* job, Scratch* s, const Tile* t, Block x) noexcept nogil:
    cdef const Axis* axis = &job.axis[0]
    cdef Py_ssize_t columns = (t.in_w1 - t.in_w) * job.inner
    cdef Py_ssize_t rows = t.in_h1 - t.in_h
    cdef int64_t ordinal = job.axis[1].kernel * job.axis[2].kernel
    cdef Block y
    if single(axis):
        return x
    if axis.slide:
        y = padded_block(job, s, axis, t.d0, t.d1, t.in_d, t.in_d1, x, x.plane, rows * columns, rows, x.row, columns,
                         0, columns, span(axis, t.d1 - t.d0) * rows * columns)
        y = slide(job, s, y, span(axis, t.d1 - t.d0) * rows * columns, axis.kernel,
                  axis.dilation * rows * columns, ordinal)
        y.row = columns
        y.plane = axis.stride * rows * columns
        return y
    y = fresh_block(job, s, x.buffer, -1, -1)
    y.row = columns
    y.plane = rows * columns
    fold_axis(job, axis, t.d0, t.d1, t.in_d, x, x.plane, y, y.plane, rows, x.row, y.row, columns, ordinal)
    return y


cdef Block reduce_height(const Job* job, Scratch* s, const Tile* t, Block x, Py_ssize_t pitch) noexcept nogil:
    """Rows of pitch columns: t.left padded ones, the tile's, then padded ones again."""
    cdef const Axis* axis = &job.axis[1]
    cdef Py_ssize_t size = job.rows.size, planes = t.d1 - t.d0, rows = t.h1 - t.h0
    cdef Py_ssize_t columns = (t.in_w1 - t.in_w) * job.inner
    cdef Py_ssize_t left = t.left * job.inner, right, length, i
    cdef int64_t ordinal = job.axis[2].kernel
    cdef Block y, z
    pitch *= job.inner
    if single(axis) and pitch == columns:
        return x
    if axis.slide:
        length = span(axis, rows) * pitch
        y = padded_block(job, s, axis, t.h0, t.h1, t.in_h, t.in_h1, x, x.row, pitch, planes, x.plane, length,
                         left, columns, planes * length)
        y = slide(job, s, y, planes * length, axis.kernel, axis.dilation * pitch, ordinal)
        y.row = axis.stride * pitch
        y.plane = length
        return y
    y = fresh_block(job, s, x.buffer, -1, -1)
    y.row = pitch
    y.plane = rows * pitch
    if pitch > columns:
        right = pitch - columns - left
        job.rows.fill(y.value, y.tap, left, job.policy)
        for i in range(planes * rows):              # the padding right of a row and left of the next one
            job.rows.fill(at(y.value, i * pitch + left + columns, size), at(y.tap, i * pitch + left + columns, size),
                          right + (left if i + 1 < planes * rows else 0), job.policy)
    z = y
    z.value = at(y.value, left, size)
    z.tap = at(y.tap, left, size)
    fold_axis(job, axis, t.h0, t.h1, t.in_h, x, x.row, z, y.row, planes, x.plane, y.plane, columns, ordinal)
    return y


# ---------------------------------------------------------------------------- width, and finish

cdef inline char* output(const Job* job, const Tile* t, Py_ssize_t d, Py_ssize_t h) noexcept nogil:
    return (job.y.data + t.a * job.y.a + t.b * job.y.b + d * job.y.d + h * job.y.h + t.w0 * job.y.w)


cdef inline int64_t tap_offset(const Job* job, int64_t tap) noexcept nogil:
    """How far a tap of a window lies from its first one, as a flat position."""
    cdef int64_t w, h
    if job.offset != NULL:
        return job.offset[tap]
    w = tap % job.axis[2].kernel
    tap /= job.axis[2].kernel
    h = tap % job.axis[1].kernel
    tap /= job.axis[1].kernel
    return (tap * job.axis[0].dilation * job.plane_d + h * job.axis[1].dilation * job.plane_h
            + w * job.axis[2].dilation)


cdef void write_index(const Job* job, const Tile* t, Py_ssize_t d, Py_ssize_t h, const char* tap) noexcept nogil:
    """Ordinals become what the caller asked for."""
    cdef Py_ssize_t i, c, plane = t.a if job.channels > job.inner else t.a * job.b + t.b
    cdef Py_ssize_t row = ((plane * job.axis[0].out + d) * job.axis[1].out + h) * job.axis[2].out + t.w0
    cdef char* out = job.index + row * job.channels * job.index_width
    cdef int64_t* flat
    cdef int64_t base
    if job.channels == job.inner:
        job.rows.ordinals(out, tap, (t.w1 - t.w0) * job.inner, job.index_width)
    else:
        out += t.b * job.inner * job.index_width
        for i in range(t.w1 - t.w0):
            job.rows.ordinals(out + i * job.channels * job.index_width, tap + i * job.inner * job.rows.size, job.inner,
                              job.index_width)
    if job.index_width == 8:
        for i in range(t.w1 - t.w0):
            flat = <int64_t*> out + i * job.channels
            base = (origin_of(&job.axis[0], d) * job.plane_d + origin_of(&job.axis[1], h) * job.plane_h
                    + origin_of(&job.axis[2], t.w0 + i))
            for c in range(job.inner):
                flat[c] = base + tap_offset(job, flat[c])


cdef inline bint packed_output(const Job* job, Py_ssize_t columns) noexcept nogil:
    return (job.y.w == job.y.size * job.inner or columns == 1) and (job.y.c == job.y.size or job.inner == 1)


cdef void finish_row(const Job* job, Scratch* s, const Tile* t, Py_ssize_t d, Py_ssize_t h, char* value,
                     const char* tap, bint divided) noexcept nogil:
    """Divide, convert and write one row of reduced windows; value may be the output itself."""
    cdef Py_ssize_t columns = t.w1 - t.w0
    cdef Py_ssize_t n = columns * job.inner
    cdef char* out = output(job, t, d, h)
    cdef double* divisor = NULL
    if job.divided and not divided:
        divisor_row(job, s, d, h, t.w0, t.w1)
        divisor = s.divisor
        if job.rows.floating:
            job.rows.divide(value, divisor, s.row_uniform, n)
    if value != out:
        if packed_output(job, columns):
            job.rows.store(out, value, divisor, n, job.y.code)
        else:
            job.rows.store(s.raw, value, divisor, n, job.y.code)
            scatter_bytes(out, s.raw, columns, job.y.w, job.inner, job.y.c, job.y.size)
    if job.index_width:
        write_index(job, t, d, h, tap)


cdef void finish_rows(const Job* job, Scratch* s, const Tile* t, Py_ssize_t row, Py_ssize_t n, Block y,
                      Py_ssize_t thin, Block x) noexcept nogil:
    """Rows row..row+n of the tile, y.row elements apart; only every thin-th window of a row was asked for."""
    cdef Py_ssize_t rows = t.h1 - t.h0, out = t.w1 - t.w0, i, d, h, size = job.rows.size
    cdef bint divided = False
    cdef char* value
    cdef char* tap
    cdef int buffer
    if job.fixed_divisor != 0 and job.divided and job.rows.floating:
        job.rows.divide(y.value, &job.fixed_divisor, True, (n - 1) * y.row + ((out - 1) * thin + 1) * job.inner)
        divided = True
    if y.buffer < 0 and not job.index_width and (divided or not job.divided):
        return                                      # everything stands where it belongs
    for i in range(n):
        d = t.d0 + (row + i) / rows
        h = t.h0 + (row + i) % rows
        value = at(y.value, i * y.row, size)
        tap = at(y.tap, i * y.row, size)
        if thin > 1:
            buffer = fresh_block(job, s, y.buffer, x.buffer, -1).buffer
            job.rows.gather(s.value[buffer], value, thin, job.inner, out)
            value = s.value[buffer]
            if tap != NULL:
                job.rows.gather(s.tap[buffer], tap, thin, job.inner, out)
                tap = s.tap[buffer]
        finish_row(job, s, t, d, h, value, tap, divided)


cdef inline Block rows_from(const Job* job, Block x, Py_ssize_t row, Py_ssize_t rows) noexcept nogil:
    """The block from some row on, of planes of so many rows."""
    cdef Py_ssize_t i = (row / rows) * x.plane + (row % rows) * x.row
    x.value = at(x.value, i, job.rows.size)
    x.tap = at(x.tap, i, job.rows.size)
    return x


cdef void reduce_by_windows(const Job* job, Scratch* s, const Tile* t, Block x) noexcept nogil:
    """Width, window by window: no padding needed."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t size = job.rows.size, inner = job.inner, rows = t.h1 - t.h0, out = t.w1 - t.w0, row, i, xi
    cdef Block y = fresh_block(job, s, x.buffer, -1, -1)
    cdef Block z
    cdef Window w
    y.row = out * inner
    for row in range((t.d1 - t.d0) * rows):
        z = rows_from(job, x, row, rows)
        if job.y.direct:
            y.value = output(job, t, t.d0 + row / rows, t.h0 + row % rows)
            y.buffer = -1
        for i in range(out):
            w = window(axis, t.w0 + i)
            xi = (w.first - t.in_w) * inner
            if inner == 1 and w.count >= LANES and axis.dilation == 1:
                job.rows.total(at(y.value, i, size), at(y.tap, i, size), at(z.value, xi, size), at(z.tap, xi, size),
                               w.count, 1, 0, w.lead, job.policy)
            elif w.count > 0:
                job.rows.fold(at(y.value, i * inner, size), at(y.tap, i * inner, size), at(z.value, xi, size),
                              at(z.tap, xi, size), w.count, axis.dilation * inner, 1, inner, w.lead, 1, job.policy)
            else:
                job.rows.fill(at(y.value, i * inner, size), at(y.tap, i * inner, size), inner, job.policy)
        finish_rows(job, s, t, row, 1, y, 1, x)


cdef void fold_mended(const Job* job, const Tile* t, Block x, Block y, Py_ssize_t rows) noexcept nogil:
    """Rows of a plane as one long run, no padding between them. Windows that reach over a row's ends, into its
    neighbours, are done again, a column at a time."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t size = job.rows.size, reach_over = (axis.kernel - 1) * axis.dilation, i
    cdef Window w
    job.rows.fold(at(y.value, axis.padding, size), at(y.tap, axis.padding, size), x.value, x.tap, axis.kernel,
                  axis.dilation, 1, rows * axis.size - reach_over, 0, 1, job.policy)
    for i in range(reach_over):
        if i >= axis.padding:                       # columns at the far end
            i += axis.size - reach_over
        w = window(axis, i)
        job.rows.mend(at(y.value, i, size), at(y.tap, i, size), at(x.value, w.first, size), at(x.tap, w.first, size),
                      w.count, axis.dilation, axis.size, rows, w.lead, job.policy)


cdef void reduce_flat(const Job* job, Scratch* s, const Tile* t, Block x, Py_ssize_t pitch, Way way) noexcept nogil:
    """Width, all windows of all rows in flat passes; those that wrap from one row into the next are never written."""
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t inner = job.inner, out = t.w1 - t.w0, rows = t.h1 - t.h0, planes = t.d1 - t.d0
    cdef Py_ssize_t stride = axis.stride if inner == 1 and way != SLIDE else 1
    cdef Py_ssize_t thin = axis.stride / stride         # outputs still to be thinned out
    cdef Py_ssize_t n = planes * rows                   # rows of one pass
    cdef Py_ssize_t y_h = job.y.h if job.axis[1].out > 1 else job.y.d
    cdef Py_ssize_t row, y_row = x.row / stride
    cdef bint in_place
    cdef Block y, z
    if out * inner >= LONG or x.row % stride or x.row != pitch * inner:
        n = 1
    elif x.plane != rows * x.row:
        n = rows
    in_place = job.y.direct and thin == 1 and (n == 1 or (
        y_row == out * inner and y_row * job.rows.size == y_h and (n == rows or job.y.d == rows * y_h)))
    row = 0
    while row < planes * rows:
        z = rows_from(job, x, row, rows)
        if way == SLIDE:
            y = slide(job, s, z, (n - 1) * x.row + span(axis, out) * inner, axis.kernel, axis.dilation * inner, 1)
        else:
            y = fresh_block(job, s, x.buffer, -1, -1)
            if in_place:
                y.value = output(job, t, t.d0 + row / rows, t.h0 + row % rows)
                y.buffer = -1
            if way == MENDED:
                fold_mended(job, t, z, y, n)
            else:
                job.rows.fold(y.value, y.tap, z.value, z.tap, axis.kernel, axis.dilation * inner, stride,
                              (n - 1) * y_row + ((out - 1) * thin + 1) * inner, 0, 1, job.policy)
        y.row = y_row
        finish_rows(job, s, t, row, n, y, thin, x)
        row += n


cdef Way choose_way(const Job* job) noexcept nogil:
    """How the windows along a row are reduced. It follows from the windows alone: no result depends on tiles."""
    cdef const Axis* axis = &job.axis[2]
    if axis.first != NULL:
        return BY_WINDOWS                           # irregular
    if job.inner > 1 and axis.stride > 1 and job.inner >= 8 and not axis.slide:
        return BY_WINDOWS                           # every window spans whole channel vectors
    if job.inner == 1 and axis.kernel >= 2 * LANES and axis.dilation == 1 and axis.stride * 8 >= axis.kernel:
        return BY_WINDOWS                           # long, and shares little with its neighbours
    if axis.kernel * axis.dilation > 4 * axis.size + 64:
        return BY_WINDOWS                           # mostly padding
    if axis.slide:
        return SLIDE
    if job.inner == 1 and axis.stride == 1 and axis.out == axis.size and 2 <= axis.kernel <= 7 and axis.size < LONG \
            and axis.size > (axis.kernel - 1) * axis.dilation:
        return MENDED
    return PADDED


cdef void pool_tile(const Job* job, Scratch* s, Py_ssize_t index) noexcept nogil:
    cdef Tile t
    cdef Block block
    cdef const Axis* axis = &job.axis[2]
    cdef Py_ssize_t origin, pitch, rest = index
    cdef Way way = choose_way(job)
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
    reach(&job.axis[0], t.d0, t.d1, &t.in_d, &t.in_d1)
    reach(&job.axis[1], t.h0, t.h1, &t.in_h, &t.in_h1)
    reach(axis, t.w0, t.w1, &t.in_w, &t.in_w1)
    t.left = 0
    pitch = t.in_w1 - t.in_w
    if way == SLIDE or way == PADDED:
        origin = t.w0 * axis.stride - axis.padding
        t.left = t.in_w - origin if t.in_w1 > t.in_w else 0
        pitch = max(span(axis, t.w1 - t.w0), t.left + pitch)
        if job.inner == 1 and way == PADDED and (t.h1 - t.h0) * (t.d1 - t.d0) > 1:
            pitch = ceil_div(pitch, axis.stride) * axis.stride
    block = source_block(job, s, &t)
    block = reduce_depth(job, s, &t, block)
    block = reduce_height(job, s, &t, block, pitch)
    if way == BY_WINDOWS:
        reduce_by_windows(job, s, &t, block)
    else:
        reduce_flat(job, s, &t, block, pitch, way)


# ---------------------------------------------------------------------------- whole planes

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
    cdef Py_ssize_t chunk = 2048 if job.inner == 1 else CHAIN
    cdef Py_ssize_t flat = 0, count = 0, width
    cdef bint one_row = flat_plane(job)
    cdef bint in_place = job.x.direct and one_row and job.x.w == job.rows.size * job.inner
    cdef const char* x
    while flat < n:
        width = min(chunk, n - flat)
        if in_place:
            x = plane + flat * job.x.w
        else:
            load_stretch(job, s, plane, flat, width, one_row)
            x = s.value[BUFFERS - 1]
        if job.inner == 1:
            job.rows.total(s.value[0], s.tap[0], x, NULL, width, 1, 0, flat, job.policy)
        else:
            job.rows.fold(s.value[0], s.tap[0], x, NULL, width, job.inner, 1, job.inner, flat, 1, job.policy)
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
    cdef Py_ssize_t plane, first = index * job.tile_w, size = job.rows.size
    cdef Py_ssize_t n = job.axis[0].size * job.axis[1].size * job.axis[2].size
    cdef Py_ssize_t planes = min(job.tile_w, job.a * job.b - first)
    cdef char* y
    cdef Tile t
    cdef int buffer
    if (job.inner == 1 and n <= 2048 and job.x.direct and job.y.direct and not job.index_width and flat_plane(job)
            and job.x.w == size and (not job.divided or job.fixed_divisor != 0)
            and (job.a == 1 or job.x.a == job.b * job.x.b) and (job.b == 1 or job.y.b == size)
            and (job.a == 1 or job.y.a == job.b * size)):
        # small planes in a row, results in a row: one loop
        y = job.y.data + first * size
        job.rows.total(y, NULL, job.x.data + first * (job.x.b if job.b > 1 else job.x.a), NULL, n, planes,
                       (job.x.b if job.b > 1 else job.x.a) / size, 0, job.policy)
        if job.divided:
            job.rows.divide(y, &job.fixed_divisor, True, planes)
        return
    t.d0 = t.h0 = t.w0 = 0
    t.w1 = 1
    for plane in range(first, first + planes):
        t.a = plane / job.b
        t.b = plane % job.b
        buffer = pool_plane(job, s, job.x.data + t.a * job.x.a + t.b * job.x.b)
        finish_row(job, s, &t, 0, 0, s.value[buffer], s.tap[buffer], False)


# ---------------------------------------------------------------------------- tiles and scratch

cdef enum:
    TILE = 8192             # elements a tile aims at: its buffers stay in the first cache
    LARGE = 65536           # and what a tile may take where neighbouring windows share much: the second cache


cdef inline Py_ssize_t reached(const Axis* axis, Py_ssize_t windows) noexcept nogil:
    """Positions that so many neighbouring windows reach at most, padding included."""
    return span(axis, windows) if axis.first == NULL else axis.size


cdef Py_ssize_t elements(const Job* job, Py_ssize_t d, Py_ssize_t h, Py_ssize_t w) noexcept nogil:
    """The largest block of a tile of d x h x w outputs."""
    cdef bint unpadded = choose_way(job) == BY_WINDOWS      # else windows are at most a few times the input
    cdef Py_ssize_t columns = job.inner * (
        min(reached(&job.axis[2], w), job.axis[2].size) if unpadded else reached(&job.axis[2], w) + job.axis[2].stride)
    cdef Py_ssize_t in_h = min(reached(&job.axis[1], h), job.axis[1].size)
    cdef Py_ssize_t in_d = min(reached(&job.axis[0], d), job.axis[0].size)
    cdef Py_ssize_t most = max(d * h, d * in_h) * max(columns, w * job.inner)
    if job.axis[0].slide:
        most = max(most, span(&job.axis[0], d) * in_h * columns)
    if job.axis[1].slide:
        most = max(most, d * span(&job.axis[1], h) * columns)
    if not job.x.direct:
        most = max(most, in_d * in_h * columns)
    return most


cdef void choose_tiles(Job* job, int threads) noexcept nogil:
    """Tiles are whole planes while those are small, then bands of rows, then parts of rows. No result depends on it."""
    cdef const Axis* axis = job.axis
    cdef Py_ssize_t d = 1, h = 1, w = axis[2].out, wanted = 4 * threads if threads > 1 else 1
    if job.whole:
        job.tile_d = job.tile_h = 1
        job.tile_w = max(<Py_ssize_t> 1, min(job.a * job.b / wanted, <Py_ssize_t> 64))
        job.tiles = ceil_div(job.a * job.b, job.tile_w)
        job.room = max(<Py_ssize_t> 2048, CHAIN * job.inner)
        job.raw_room = job.room * max(job.x.size, job.y.size)
        job.divisor_room = job.inner
        return
    if axis[1].slide or not job.x.direct or axis[0].kernel > 1 or axis[0].first != NULL:
        # enough rows that what neighbouring windows share is worth computing once
        h = min((axis[1].kernel - 1) * axis[1].dilation + 1, axis[1].size)
        h = min(axis[1].out, max(<Py_ssize_t> 1, 4 * h / axis[1].stride))
    if axis[0].slide:
        d = min(axis[0].out, 2 * axis[0].kernel / axis[0].stride + 1)
    while elements(job, d, h, w) > LARGE and w * job.inner > 256 and w > 1:
        w = (w + 1) / 2
    while elements(job, d, h, w) > 4 * LARGE and (h > 1 or d > 1):
        if h > 1:
            h = (h + 1) / 2
        else:
            d = (d + 1) / 2
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
    job.divisor_room = (max(w, min(reached(&axis[2], w), axis[2].size)) + 1) * job.inner
    job.raw_room = job.divisor_room * max(job.x.size, job.y.size)


cdef inline size_t rounded(size_t bytes) noexcept nogil:
    return (bytes + 63) & ~(<size_t> 63)


cdef size_t scratch_size(const Job* job) noexcept nogil:
    return (BUFFERS * (2 if job.rows.taps else 1) * rounded(job.room * job.rows.size)
            + rounded(job.raw_room) + rounded(job.divisor_room * sizeof(double)) + 64)


cdef void lay_out(Scratch* s, const Job* job, char* memory) noexcept nogil:
    cdef int i
    cdef size_t bytes = rounded(job.room * job.rows.size)
    memory = <char*> rounded(<size_t> memory)
    for i in range(BUFFERS):
        s.value[i] = memory
        memory += bytes
        s.tap[i] = NULL
        if job.rows.taps:
            s.tap[i] = memory
            memory += bytes
    s.raw = memory
    s.divisor = <double*> (memory + rounded(job.raw_room))
    s.row_product = s.row_first = s.row_last = -1
    s.row_uniform = True


cdef void pool_share(const Job* job, char* memory, size_t each, Py_ssize_t share, Py_ssize_t shares) noexcept nogil:
    """One of the equal shares that the tiles are dealt out in, in the running thread's scratch memory."""
    cdef Scratch scratch
    cdef Py_ssize_t tile
    lay_out(&scratch, job, memory + each * <size_t> cypool_thread())
    for tile in range(job.tiles * share / shares, job.tiles * (share + 1) / shares):
        if job.whole:
            pool_planes(job, &scratch, tile)
        else:
            pool_tile(job, &scratch, tile)


cdef int run_job(Job* job, int threads) except -1 nogil:
    """Cut the job into tiles and work them off."""
    cdef Py_ssize_t share, shares
    cdef size_t each
    cdef char* memory
    if job.a * job.b * job.axis[0].out * job.axis[1].out * job.axis[2].out * job.inner == 0:
        return 0
    choose_tiles(job, threads)
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


# ---------------------------------------------------------------------------- from Python

cdef class Plan:
    """The windows of a call, ready for the loops.

    Parameters
    ----------
    axes : three sequences ``(size, out, kernel, stride, padding, dilation, expand, slide, first, count)`` for d, h, w
        ``first`` and ``count`` are int64 arrays, or None where the rule holds.
    divisor : three sequences ``(size, kernel, stride, padding, after, dilation, padded)``, a number, or None
    divide_source : whether the divisor belongs to the input's elements (a gradient) instead of the windows
    whole : whether each window is a whole plane
    plane_steps : steps of the flat index along d and h
    """

    cdef Axis axis[3]
    cdef Divisor divisor[3]
    cdef bint divided, divide_source, whole
    cdef double fixed_divisor
    cdef Py_ssize_t plane_d, plane_h
    cdef object tables
    cdef const int64_t[::1] offsets

    def __init__(self, axes, divisor, bint divide_source, bint whole, plane_steps):
        cdef int i
        cdef const int64_t[::1] first, count, offsets
        self.tables = []
        for i in range(3):
            (self.axis[i].size, self.axis[i].out, self.axis[i].kernel, self.axis[i].stride, self.axis[i].padding,
             self.axis[i].dilation, self.axis[i].expand, self.axis[i].slide) = axes[i][:8]
            self.axis[i].first = self.axis[i].count = NULL
            if axes[i][8] is not None:
                first, count = axes[i][8], axes[i][9]
                if first.shape[0] != self.axis[i].out or count.shape[0] != self.axis[i].out:
                    raise ValueError("window tables must have one entry per output")
                self.tables.append((axes[i][8], axes[i][9]))
                self.axis[i].first, self.axis[i].count = &first[0], &count[0]
        self.divided = divisor is not None
        self.fixed_divisor = 0
        if isinstance(divisor, (int, float)):
            self.fixed_divisor = divisor
        elif divisor is not None:
            for i in range(3):
                (self.divisor[i].size, self.divisor[i].kernel, self.divisor[i].stride, self.divisor[i].padding,
                 self.divisor[i].after, self.divisor[i].dilation, self.divisor[i].padded) = divisor[i]
        self.divide_source, self.whole = divide_source, whole
        self.plane_d, self.plane_h = plane_steps
        self.offsets = None
        if not whole and self.axis[0].kernel * self.axis[1].kernel * self.axis[2].kernel <= 4096:
            # the flat offset of each tap of a window, from its first
            offsets = np.ascontiguousarray(np.add.outer(np.add.outer(
                np.arange(self.axis[0].kernel) * self.axis[0].dilation * self.plane_d,
                np.arange(self.axis[1].kernel) * self.axis[1].dilation * self.plane_h),
                np.arange(self.axis[2].kernel) * self.axis[2].dilation).reshape(-1), dtype=np.int64)
            self.offsets = offsets


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
    array.code, array.swapped, array.direct = code, swapped, False


cdef bint usable(const Job* job, const Array* x, int element, Py_ssize_t columns) noexcept:
    """Whether the stored rows are elements as they stand: packed, aligned, in native order."""
    cdef Py_ssize_t size = job.rows.size
    return (x.code == element and not x.swapped
            and (x.w == size * job.inner or columns == 1) and (x.c == size or job.inner == 1)
            and <size_t> x.data % <size_t> size == 0
            and x.a % size == 0 and x.b % size == 0 and x.d % size == 0 and x.h % size == 0)


cdef void deal_out_channels(Job* job) noexcept:
    """Many channels times a wide window overflow the caches: work on some channels at a time."""
    cdef Py_ssize_t part = 64
    job.channels = job.inner
    if job.inner <= part or job.b > 1 or job.whole or not (
            job.axis[0].slide or job.axis[1].slide or job.axis[2].slide):
        return
    while part > 8 and job.inner % part:
        part -= 1
    if job.inner % part == 0:
        job.b = job.inner / part
        job.inner = part
        job.x.b = part * job.x.c
        job.y.b = part * job.y.c


def pool(Plan plan, cnp.ndarray x, cnp.ndarray y, index, tuple roles, tuple codes, int reduction, int nan, int threads):
    """Run a plan.

    roles: which of (a, b, d, h, w, c) each axis of x and y is. codes: storage of x, whether its bytes are swapped,
    storage of y, element. index: None, or a C-contiguous array shaped like y, of one, four or eight bytes.
    """
    cdef Job job
    cdef Py_ssize_t dims[6]
    cdef int role[6]
    cdef int i, element = codes[3]
    cdef char tag = 0
    if not choose_rows(&job.rows, element, reduction):
        raise ValueError(f"reduction {reduction} is not defined for element {element}")
    job.policy = &tag
    for i in range(3):
        job.axis[i] = plan.axis[i]
        job.divisor[i] = plan.divisor[i]
    job.divided = plan.divided and not plan.divide_source
    job.divide_source = plan.divided and plan.divide_source
    job.fixed_divisor, job.whole, job.nan = plan.fixed_divisor, plan.whole, nan
    job.plane_d, job.plane_h = plan.plane_d, plan.plane_h
    for i in range(6):
        dims[i] = 1
    for i in range(cnp.PyArray_NDIM(x)):
        role[i] = roles[i]
        dims[role[i]] = cnp.PyArray_DIM(x, i)
    job.a, job.b, job.inner = dims[0], dims[1], dims[5]
    describe(&job.x, x, role, codes[0], codes[1])
    describe(&job.y, y, role, codes[2], False)
    deal_out_channels(&job)
    job.x.direct = (usable(&job, &job.x, element, job.axis[2].size) and nan == 0 and not job.divide_source
                    and job.axis[2].expand == 1)
    job.y.direct = usable(&job, &job.y, element, job.axis[2].out) and (job.rows.floating or not job.divided)
    job.index, job.index_width, job.offset = NULL, 0, NULL
    if index is not None:
        job.index = <char*> cnp.PyArray_DATA(<cnp.ndarray> index)
        job.index_width = <int> cnp.PyArray_ITEMSIZE(<cnp.ndarray> index)
        if plan.offsets is not None:
            job.offset = &plan.offsets[0]
    with nogil:
        run_job(&job, threads)
