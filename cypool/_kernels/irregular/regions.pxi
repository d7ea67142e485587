# Regions: bins of boxes on feature maps, their maxima (roi_pool), and what all region operators share.
#
# A map is seen as (images, groups, H * W, c), C-contiguous: groups are channels and c is 1, or there is one group of c
# channels side by side. Results are (boxes, groups, bins, c).

cdef struct Map:
    Py_ssize_t images, groups, height, width, c
    Py_ssize_t boxes, tall, broad           # boxes of so many bins
    const int64_t* image                    # of each box
    Py_ssize_t y_box, y_group, y_bin        # numbers from one to the next of the results
    Py_ssize_t index_box, index_group, index_bin
    const int64_t* order                    # boxes, image by image
    const int64_t* begin                    # where those of each image begin, and the last ones end


cdef void describe_map(Map* m, Py_ssize_t images, Py_ssize_t groups, Py_ssize_t volume, Py_ssize_t c, Py_ssize_t width,
                       Number[:, :, :, :] y, Py_ssize_t broad) noexcept:
    memset(m, 0, sizeof(Map))
    m.images, m.groups, m.c, m.width = images, groups, c, width
    m.height = volume / width
    m.boxes, m.broad = y.shape[0], broad
    m.tall = y.shape[2] / broad
    m.y_box, m.y_group, m.y_bin = (y.strides[0] / <Py_ssize_t> sizeof(Number),
                                   y.strides[1] / <Py_ssize_t> sizeof(Number),
                                   y.strides[2] / <Py_ssize_t> sizeof(Number))


cdef inline int32_t turned(int32_t bits) noexcept nogil:
    """A float's bits as an integer that compares as it does, and back."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


cdef inline int64_t turned_wide(int64_t bits) noexcept nogil:
    return bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFFLL)


cdef inline void make_keys(Number* line, Py_ssize_t n) noexcept nogil:
    """Numbers become integers that compare as they do, of which NaN is the largest and both zeros are one: which of two
    is larger takes no branch."""
    cdef Py_ssize_t i
    cdef int32_t bits
    cdef int64_t wide
    if Number is float:
        for i in range(n):
            bits = (<int32_t*> line)[i]
            bits = 0 if (bits & 0x7FFFFFFF) == 0 else turned(bits)
            (<int32_t*> line)[i] = 0x7FFFFFFF if line[i] != line[i] else bits
    elif Number is double:
        for i in range(n):
            wide = (<int64_t*> line)[i]
            wide = 0 if (wide & 0x7FFFFFFFFFFFFFFFLL) == 0 else turned_wide(wide)
            (<int64_t*> line)[i] = 0x7FFFFFFFFFFFFFFFLL if line[i] != line[i] else wide


cdef inline Number largest_key(const Number* line, Py_ssize_t n) noexcept nogil:
    """The number of the largest of n keys, at least one."""
    cdef Py_ssize_t i
    cdef int32_t key
    cdef int64_t wide
    cdef Number value
    if Number is float:
        key = (<const int32_t*> line)[0]
        for i in range(1, n):
            key = max(key, (<const int32_t*> line)[i])
        if key == 0x7FFFFFFF:
            return <Number> NAN
        key = turned(key)
        memcpy(&value, &key, 4)
        return value
    wide = (<const int64_t*> line)[0]
    for i in range(1, n):
        wide = max(wide, (<const int64_t*> line)[i])
    if Number is double:
        if wide == 0x7FFFFFFFFFFFFFFFLL:
            return <Number> NAN
        wide = turned_wide(wide)
    memcpy(&value, &wide, 8)
    return value


cdef inline void whole_vectors(Py_ssize_t width, Py_ssize_t* left, Py_ssize_t* right) noexcept nogil:
    """Some columns more, where a row has them: what is over at the end takes as long as a vector, or longer."""
    cdef Py_ssize_t span = min(width, (right[0] - left[0] + LINE - 1) / LINE * LINE)
    left[0] = min(left[0], width - span)
    right[0] = left[0] + span


cdef inline void fold(Number* y, const Number* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef bint better
    for i in range(n):
        better = (x[i] > y[i]) | (x[i] != x[i])
        y[i] = x[i] if better else y[i]


cdef inline int64_t where_is(const Number* x, Number value, Py_ssize_t width, Py_ssize_t c, const int64_t* rows,
                             const int64_t* columns) noexcept nogil:
    """The first position of a value in a bin, or the last NaN."""
    cdef Py_ssize_t i, j
    cdef int64_t found = -1
    for i in range(rows[0], rows[1]):
        for j in range(columns[0], columns[1]):
            if x[(i * width + j) * c] == value:
                return i * width + j
            if Number is not int64_t:
                if x[(i * width + j) * c] != x[(i * width + j) * c] and value != value:
                    found = i * width + j
    return found


cdef void pool_box(const Map* m, const Number* x, Number* y, int64_t* index, Number* line, const int64_t* rows,
                   const int64_t* columns, Py_ssize_t c0, Py_ssize_t c) noexcept nogil:
    """The bins of one box on one plane, channels c0 to c0 + c; rows and columns: of the bins, each (begin, end)."""
    cdef Py_ssize_t p, q, i, j, left = m.width, right = 0, step = m.c
    cdef Number* to
    for q in range(m.broad):
        if columns[2 * q] < columns[2 * q + 1]:
            left, right = min(left, columns[2 * q]), max(right, columns[2 * q + 1])
    if left < right and c == 1:
        whole_vectors(m.width, &left, &right)
    for p in range(m.tall):
        for i in range(rows[2 * p], rows[2 * p + 1] if left < right else 0):
            if c == step:                           # rows of pixels that lie side by side
                if i == rows[2 * p]:
                    memcpy(line, x + (i * m.width + left) * c, (right - left) * c * sizeof(Number))
                else:
                    fold(line, x + (i * m.width + left) * c, (right - left) * c)
                continue
            for j in range(left, right):
                if i == rows[2 * p]:
                    memcpy(line + (j - left) * c, x + (i * m.width + j) * step + c0, c * sizeof(Number))
                else:
                    fold(line + (j - left) * c, x + (i * m.width + j) * step + c0, c)
        if c == 1 and rows[2 * p] < rows[2 * p + 1] and left < right:
            make_keys(line, right - left)
        for q in range(m.broad):
            to = y + (p * m.broad + q) * m.y_bin + c0
            if rows[2 * p] >= rows[2 * p + 1] or columns[2 * q] >= columns[2 * q + 1]:
                memset(to, 0, c * sizeof(Number))
            elif c == 1:
                to[0] = largest_key(line + columns[2 * q] - left, columns[2 * q + 1] - columns[2 * q])
            else:
                memcpy(to, line + (columns[2 * q] - left) * c, c * sizeof(Number))
                for j in range(columns[2 * q] + 1, columns[2 * q + 1]):
                    fold(to, line + (j - left) * c, c)
            for i in range(c if index != NULL else 0):
                index[(p * m.broad + q) * m.index_bin + c0 + i] = where_is(
                    x + c0 + i, to[i], m.width, step, rows + 2 * p, columns + 2 * q)
            if Number is not int64_t:
                for i in range(c):
                    to[i] = to[i] if to[i] == to[i] else <Number> NAN       # of all NaN one
                    if to[i] == 0:                  # the first of several zeros, whatever their signs
                        j = where_is(x + c0 + i, to[i], m.width, step, rows + 2 * p, columns + 2 * q)
                        to[i] = x[j * step + c0 + i] if j >= 0 else <Number> 0


cdef bint pool_share(const Map* m, const Number* x, Number* y, int64_t* index, const int64_t* rows,
                     const int64_t* columns, Py_ssize_t g0, Py_ssize_t g1, Py_ssize_t k0, Py_ssize_t k1) noexcept nogil:
    """Boxes k0 to k1 on groups g0 to g1; false if there is no memory."""
    cdef Py_ssize_t g, k, c0, wide = min(m.c, max(<Py_ssize_t> LINE, (<Py_ssize_t> 1 << 14) / m.width))
    cdef Number* line = <Number*> malloc(m.width * wide * sizeof(Number))
    if line == NULL:
        return False
    for g in range(g0, g1):                         # the boxes of a plane one after the other: it stays in the cache
        for k in range(k0, k1):
            c0 = 0
            while c0 < m.c:
                pool_box(m, x + (m.image[k] * m.groups + g) * m.height * m.width * m.c,
                         y + k * m.y_box + g * m.y_group,
                         NULL if index == NULL else index + k * m.index_box + g * m.index_group, line,
                         rows + 2 * k * m.tall, columns + 2 * k * m.broad, c0, min(wide, m.c - c0))
                c0 += wide
    free(line)
    return True


cdef inline Py_ssize_t cuts_of(const Map* m, int threads) noexcept nogil:
    """How many parts the boxes are cut into, so that there is work for all threads: none, if groups are enough."""
    return 1 if threads == 1 or m.groups >= 4 * threads else min(m.boxes, <Py_ssize_t> 4 * threads)


def pool_regions(const Number[:, :, :, ::1] x, Py_ssize_t width, const int64_t[::1] image,
                 const int64_t[:, :, ::1] rows, const int64_t[:, :, ::1] columns, Number[:, :, :, :] y, index,
                 int threads):
    """The maxima of bins into y (boxes, groups, bins, c), and where they are on their planes into index; of an empty
    bin 0 and -1. x: (images, groups, H * W, c); rows, columns: (boxes, bins, 2), begin and end of each bin."""
    cdef Map m
    cdef Py_ssize_t item, cuts, parts
    cdef int64_t[:, :, :, :] places
    cdef int64_t* first = NULL
    cdef bint enough = True
    describe_map(&m, x.shape[0], x.shape[1], x.shape[2], x.shape[3], width, y, columns.shape[1])
    m.image = &image[0]
    if index is not None:
        places = index
        first = &places[0, 0, 0, 0]
        m.index_box, m.index_group, m.index_bin = places.strides[0] / 8, places.strides[1] / 8, places.strides[2] / 8
    cuts = cuts_of(&m, threads)
    parts = min(m.groups, <Py_ssize_t> 8 * threads)
    for item in prange(cuts * parts, nogil=True, schedule="dynamic", chunksize=1, num_threads=threads):
        enough &= pool_share(&m, &x[0, 0, 0, 0], &y[0, 0, 0, 0], first, &rows[0, 0, 0], &columns[0, 0, 0],
                             m.groups * (item / cuts) / parts, m.groups * (item / cuts + 1) / parts,
                             m.boxes * (item % cuts) / cuts, m.boxes * (item % cuts + 1) / cuts)
    if not enough:
        raise MemoryError("no memory for rows to be had")


# ---------------------------------------------------------------------------- gradients of what was chosen

cdef bint spread_chosen(const Map* m, Real* x, const Real* grad, const int64_t* index, Py_ssize_t plane,
                        Py_ssize_t first, Py_ssize_t stop) noexcept nogil:
    """Add each gradient to the element of a plane that was chosen, if it is one of first to stop, box by box; false if
    an index is outside."""
    cdef Py_ssize_t image = plane / m.groups, g = plane % m.groups, k, bin, i, next
    cdef Py_ssize_t bins = m.tall * m.broad
    cdef int64_t at, volume = m.height * m.width
    x += plane * volume * m.c
    memset(x + first * m.c, 0, (stop - first) * m.c * sizeof(Real))
    for next in range(m.begin[image], m.begin[image + 1]):
        k = m.order[next]
        for bin in range(bins):
            for i in range(m.c):
                at = index[k * m.index_box + g * m.index_group + bin * m.index_bin + i]
                if not -1 <= at < volume:
                    return False
                if first <= at < stop:
                    x[at * m.c + i] += grad[k * m.y_box + g * m.y_group + bin * m.y_bin + i]
    return True


def spread_regions(Real[:, :, :, ::1] x, const int64_t[::1] order, const int64_t[::1] begin,
                   const Real[:, :, :, :] grad, const int64_t[:, :, :, :] index, int threads):
    """x = the sum of what `grad` (boxes, groups, bins, c) brings to the positions in index, of which -1 is none; False
    if one is outside. Boxes order[begin[i]] to order[begin[i + 1]] are of image i."""
    cdef Map m
    cdef Py_ssize_t item, planes, cuts, volume = x.shape[2]
    cdef bint inside = True
    memset(&m, 0, sizeof(Map))
    m.images, m.groups, m.height, m.width, m.c = x.shape[0], x.shape[1], 1, volume, x.shape[3]
    m.boxes, m.tall, m.broad, m.order, m.begin = grad.shape[0], 1, grad.shape[2], &order[0], &begin[0]
    m.y_box, m.y_group, m.y_bin = (grad.strides[0] / <Py_ssize_t> sizeof(Real),
                                   grad.strides[1] / <Py_ssize_t> sizeof(Real),
                                   grad.strides[2] / <Py_ssize_t> sizeof(Real))
    m.index_box, m.index_group, m.index_bin = index.strides[0] / 8, index.strides[1] / 8, index.strides[2] / 8
    planes = m.images * m.groups
    cuts = 1 if planes >= 2 * threads else min(<Py_ssize_t> threads, volume)
    for item in prange(planes * cuts, nogil=True, schedule="dynamic", chunksize=1, num_threads=threads):
        inside &= spread_chosen(&m, &x[0, 0, 0, 0], &grad[0, 0, 0, 0], &index[0, 0, 0, 0], item / cuts,
                                volume * (item % cuts) / cuts, volume * (item % cuts + 1) / cuts)
    return inside
