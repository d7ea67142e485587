# Padding, quotients, NaN, order turned over, phases taking turns, ordinals as integers.


cdef void fill(Element* y, Element* y_tap, const Grid* grid, const Reduction* r) noexcept nogil:
    """Padding: rows, or, where they are short, columns."""
    cdef Py_ssize_t p, q, i, yo
    cdef Element tag, value
    cdef Grid g = grid[0]
    cdef Py_ssize_t step = 1, apart = g.y_row
    memset(&tag, 0, sizeof(Element))
    value = identity(tag, r)
    if g.n < g.rows:
        g.n, g.rows = g.rows, g.n
        step, apart = g.y_row, 1
    for p in range(g.planes):
        for q in range(g.rows):
            yo = p * g.y_plane + q * apart
            if step == 1:
                for i in range(g.n):
                    y[yo + i] = value
            else:
                for i in range(g.n):
                    y[yo + i * step] = value
            if Reduction in Arg:
                for i in range(g.n):
                    y_tap[yo + i * step] = padding_tap(tag)


cdef void divide(Element* y, const Grid* grid) noexcept nogil:
    """In place, floats only: integers are divided as they are stored."""
    cdef Py_ssize_t p, q, i
    cdef Element by
    cdef Element* row
    cdef int exponent
    cdef Grid g = grid[0]
    put_in_order(&g)
    g.x_row, g.x_plane = g.y_row, g.y_plane
    join(&g, 1)
    if Element is float or Element is double:
        for p in range(g.planes):
            for q in range(g.rows):
                row = y + p * g.y_plane + q * g.y_row
                by = <Element> g.by[p * g.by_plane + q * g.by_row]
                if g.counts == NULL and fabs(frexp(by, &exponent)) == 0.5:      # a power of two: its inverse is exact
                    by = 1 / by
                    for i in range(g.n):
                        row[i] = row[i] * by
                elif g.counts == NULL:
                    divide_row(row, by, <const Element*> NULL, g.n)
                else:
                    divide_row(row, by, <const Element*> g.counts + p * g.counts_plane + q * g.counts_row, g.n)


cdef bint needs_care(const Element* x, bint turned, const Grid* grid) noexcept nogil:
    """Whether a grid of floats (turned over, or not) holds a NaN, or a -0.0, of which `Max` would not say whether it
    was before or after a 0.0."""
    cdef Py_ssize_t p, q, i
    cdef const Element* row
    cdef int32_t found = 0
    cdef int64_t found_wide = 0                     # as wide as the element: it shares the vectors
    cdef int32_t zero = 0 if turned else INT32_MIN
    cdef int64_t zero_wide = 0 if turned else INT64_MIN
    cdef Grid g = grid[0]
    g.y_row, g.y_plane = g.x_row, g.x_plane
    join(&g, 1)
    if Element is float or Element is double:
        for p in range(g.planes):
            for q in range(g.rows):
                row = x + p * g.x_plane + q * g.x_row
                for i in range(g.n):
                    if Element is float:
                        found |= (row[i] != row[i]) | (bits_of(row + i) == zero)
                    else:
                        found_wide |= (row[i] != row[i]) | (wide_bits_of(row + i) == zero_wide)
    return found != 0 or found_wide != 0


cdef void turn_over(Element* x, bint as_signed, bint falling, Py_ssize_t n) noexcept nogil:
    """In place: numbers become such as compare as unsigned integers (floats: as floats) do, or the other way round if
    `falling`; and back again."""
    cdef Py_ssize_t i
    cdef uint64_t flip = 0
    if falling:
        flip = UINT64_MAX
    if as_signed:
        flip ^= (<uint64_t> 1) << (8 * sizeof(Element) - 1)
    if Element is float or Element is double:
        for i in range(n):
            x[i] = -x[i]
    elif Element is not Wide:
        for i in range(n):
            x[i] = x[i] ^ <Element> flip


cdef void replace_nan(Element* x, bint flag, Py_ssize_t n) noexcept nogil:
    """In place, floats only: NaN becomes 0; or, with flag, NaN becomes 1 and all else 0."""
    cdef Py_ssize_t i
    if Element is float or Element is double:
        if flag:
            for i in range(n):
                x[i] = <Element> (x[i] != x[i])
        else:
            for i in range(n):
                x[i] = 0 if x[i] != x[i] else x[i]


cdef inline void zip_vectors(Element* y, const Element* const* x, Py_ssize_t phases, Py_ssize_t i) noexcept nogil:
    """As many vectors as there are phases: of two, or of four, elements from i on in turn."""
    cdef Py_ssize_t width = VECTOR // sizeof(Element)
    cdef Element even[2 * VECTOR]
    cdef Element odd[2 * VECTOR]
    if phases == 2:
        zip_two(<char*> y, <const char*> (x[0] + i), <const char*> (x[1] + i), sizeof(Element))
    else:
        zip_two(<char*> even, <const char*> (x[0] + i), <const char*> (x[2] + i), sizeof(Element))
        zip_two(<char*> odd, <const char*> (x[1] + i), <const char*> (x[3] + i), sizeof(Element))
        zip_two(<char*> y, <const char*> even, <const char*> odd, sizeof(Element))
        zip_two(<char*> (y + 2 * width), <const char*> (even + width), <const char*> (odd + width), sizeof(Element))


cdef void interleave(Element* y, const Element* first, const Element* second, Py_ssize_t firsts, Py_ssize_t phases,
                     Py_ssize_t skip, Py_ssize_t n) noexcept nogil:
    """n results of which each phase makes one in turn, without the first `skip`; `firsts` phases take theirs from one
    row, the others from a second, both to be read in whole vectors."""
    cdef Py_ssize_t i = 0, r, head, turns, width = VECTOR // sizeof(Element)
    cdef const Element* x[4]
    cdef const Element* row
    cdef Element last[4 * VECTOR]
    while i < n and (i + skip) % phases:
        y[i] = (first if (i + skip) % phases < firsts else second)[(i + skip) // phases]
        i += 1
    head = (i + skip) // phases
    turns = (n - i) // phases
    y += i
    n -= i
    i = 0
    if Element is not Wide and (phases == 2 or phases == 4):
        for r in range(phases):
            x[r] = (first if r < firsts else second) + head
        while i + width <= turns:
            zip_vectors(y + i * phases, x, phases, i)
            i += width
        if i < turns:
            zip_vectors(last, x, phases, i)
            memcpy(y + i * phases, last, (turns - i) * phases * sizeof(Element))
    else:
        for r in range(phases):
            row = (first if r < firsts else second) + head
            for i in range(turns):
                y[phases * i + r] = row[i]
    for i in range(turns * phases, n):
        y[i] = (first if i - turns * phases < firsts else second)[head + turns]


cdef void pick(Element* y, const Element* x, const Grid* g) noexcept nogil:
    """y[0] = x[0] in every row of the grid: a column."""
    cdef Py_ssize_t p, q
    for p in range(g.planes):
        for q in range(g.rows):
            y[p * g.y_plane + q * g.y_row] = x[p * g.x_plane + q * g.x_row]


cdef void ordinals(char* y, const Element* tap, Py_ssize_t n, int width) noexcept nogil:
    """Ordinals as integers of 1, 4 or 8 bytes."""
    cdef Py_ssize_t i
    if Element is not Wide:
        if width == 1:
            for i in range(n):
                (<uint8_t*> y)[i] = <uint8_t> tap[i]
        elif width == 4:
            for i in range(n):
                (<int32_t*> y)[i] = <int32_t> tap[i]
        else:
            for i in range(n):
                (<int64_t*> y)[i] = <int64_t> tap[i]
