# Wide windows, and rows turned upright for them.


cdef struct Rolling:        # windows of rows, whatever an axis calls a row
    Py_ssize_t kernel, stride
    Py_ssize_t begin, windows           # rows from the first that a window may begin with, padding included
    Py_ssize_t low, high                # the rows that there are: x is the first of them
    Py_ssize_t n                        # elements of a row
    Py_ssize_t x_pitch, y_pitch
    bint beyond                         # so narrow rows may be read a vector wide
    int64_t ordinal                     # from row to row


cdef inline void take_row(Element* y, Element* y_tap, const Element* x, const Element* x_tap, int64_t tap,
                          Py_ssize_t lanes, const Reduction* r) noexcept nogil:
    """In place: a few lanes in local variables take in a row, to whose ordinals (x_tap NULL: 0) `tap` is added."""
    cdef Py_ssize_t i
    cdef Element lane[VECTOR]
    cdef Element lane_tap[VECTOR]
    cdef Element more_tap
    cdef bint better
    if Reduction in Arg:
        if Element is not Wide:
            for i in range(lanes):
                more_tap = <Element> tap if x_tap == NULL else x_tap[i] + <Element> tap
                better = beats(x[i], more_tap, y[i], y_tap[i], r)
                lane[i] = x[i] if better else y[i]
                lane_tap[i] = more_tap if better else y_tap[i]
            for i in range(lanes):
                y[i] = lane[i]
                y_tap[i] = lane_tap[i]
    else:
        for i in range(lanes):
            y[i] = reduce(y[i], x[i], r)


cdef inline void clear(Element* y, Element* y_tap, Py_ssize_t lanes, const Reduction* r) noexcept nogil:
    """A few lanes of what padding holds."""
    cdef Py_ssize_t i
    cdef Element tag
    memset(&tag, 0, sizeof(Element))
    for i in range(lanes):
        y[i] = identity(tag, r)
        if Reduction in Arg:
            y_tap[i] = padding_tap(tag)


cdef inline void put(Element* y, Element* y_tap, const Element* x, const Element* x_tap, int64_t tap,
                     Py_ssize_t lanes, const Reduction* r) noexcept nogil:
    """A few lanes to memory, `tap` taken from their ordinals."""
    cdef Py_ssize_t i
    for i in range(lanes):
        y[i] = x[i]
    if Reduction in Arg:
        if Element is not Wide:
            for i in range(lanes):
                y_tap[i] = x_tap[i] - <Element> tap


cdef inline void roll_strip(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Element* rest,
                            Element* rest_tap, const Rolling* g, Py_ssize_t lanes, Py_ssize_t kept, bint two,
                            const Reduction* r) noexcept nogil:
    """As `roll`, for a vector of columns (two: two vectors side by side), of which so many are kept."""
    cdef Py_ssize_t i = 0, p = g.begin, q, at, block, end, first, stop, taken
    cdef Py_ssize_t width = VECTOR // sizeof(Element), pitch = 2 * width if two else lanes
    cdef Element left[VECTOR]
    cdef Element right[VECTOR]
    cdef Element left_out[VECTOR]
    cdef Element right_out[VECTOR]
    cdef Element tap[VECTOR]
    cdef Element tap_out[VECTOR]
    while i < g.windows:
        block = p // g.kernel * g.kernel            # blocks as long as a window: every window ends in the next one
        end = block + g.kernel
        first, stop = max(p, g.low), min(end, g.high)
        clear(left, tap, lanes, r)
        if two:
            clear(right, tap, lanes, r)
        q = stop
        while q > first:                            # from every row to the end of its block
            q -= 1
            at = (q - g.low) * g.x_pitch
            take_row(left, tap, x + at, x_tap if x_tap == NULL else x_tap + at, (q - block) * g.ordinal, lanes, r)
            put(rest + (q - first) * pitch, rest_tap if rest_tap == NULL else rest_tap + (q - first) * pitch, left, tap,
                0, lanes, r)
            if two:
                take_row(right, tap, x + at + width, <Element*> NULL, 0, lanes, r)
                put(rest + (q - first) * pitch + width, <Element*> NULL, right, tap, 0, lanes, r)
        clear(left, tap, lanes, r)
        if two:
            clear(right, tap, lanes, r)
        taken = max(end, g.low)
        while i < g.windows and p < end:            # and from the block's end to that of the window
            while taken < min(p + g.kernel, g.high):
                at = (taken - g.low) * g.x_pitch
                take_row(left, tap, x + at, x_tap if x_tap == NULL else x_tap + at, (taken - block) * g.ordinal, lanes,
                         r)
                if two:
                    take_row(right, tap, x + at + width, <Element*> NULL, 0, lanes, r)
                taken += 1
            put(left_out, tap_out, left, tap, 0, lanes, r)
            if two:
                put(right_out, tap_out, right, tap, 0, lanes, r)
            at = (max(p, g.low) - first) * pitch
            if max(p, g.low) < stop:
                take_row(left_out, tap_out, rest + at, rest_tap if rest_tap == NULL else rest_tap + at, 0, lanes, r)
                if two:
                    take_row(right_out, tap_out, rest + at + width, <Element*> NULL, 0, lanes, r)
            at = i * g.y_pitch
            put(y + at, y_tap if y_tap == NULL else y_tap + at, left_out, tap_out, (p - block) * g.ordinal, kept, r)
            if two:
                put(y + at + width, <Element*> NULL, right_out, tap_out, 0, lanes, r)
            i += 1
            p += g.stride


cdef void roll(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Element* rest, Element* rest_tap,
               const Rolling* g, const Reduction* r) noexcept nogil:
    """y[i] = reduction of the rows of window i, in three steps for each row, however wide the windows are.

    Rows are cut into blocks as long as a window, so that a window is the rest of one block and the beginning of the
    next; both are reduced as they grow. `rest` has room for as many pairs of vectors as a window has rows.
    """
    cdef Py_ssize_t i = 0, width = VECTOR // sizeof(Element)
    if Reduction not in Arg:
        while i + 2 * width <= g.n:
            roll_strip(y + i, <Element*> NULL, x + i, <Element*> NULL, rest, rest_tap, g, VECTOR // sizeof(Element),
                       VECTOR // sizeof(Element), True, r)
            i += 2 * width
    while i < g.n:
        if i + width > g.n and g.n >= width:
            i = g.n - width                         # a vector that overlaps the one before
        if i + width <= g.n:
            roll_strip(y + i, y_tap if y_tap == NULL else y_tap + i, x + i, x_tap if x_tap == NULL else x_tap + i,
                       rest, rest_tap, g, VECTOR // sizeof(Element), VECTOR // sizeof(Element), False, r)
        elif g.beyond:
            roll_strip(y, y_tap, x, x_tap, rest, rest_tap, g, VECTOR // sizeof(Element), g.n, False, r)
        else:
            roll_strip(y + i, y_tap if y_tap == NULL else y_tap + i, x + i, x_tap if x_tap == NULL else x_tap + i,
                       rest, rest_tap, g, 1, 1, False, r)
            i += 1
            continue
        i += width


cdef void turn(Element* y, const Element* x, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t x_row,
               Py_ssize_t y_row) noexcept nogil:
    """y[c * y_row + r] = x[r * x_row + c], of numbers of four or eight bytes: rows become columns."""
    cdef Py_ssize_t side = LANES_OF_A_SQUARE // sizeof(Element), i = 0, j, k, high, wide
    cdef Element square[SQUARE]
    if sizeof(Element) != 4 and sizeof(Element) != 8:
        return
    while i < rows:
        if i + side > rows and rows > side:
            i = rows - side                         # a square that overlaps the one before
        high = min(side, rows - i)
        j = 0
        while j < columns:
            if j + side > columns and columns > side:
                j = columns - side
            wide = min(side, columns - j)
            if high == side and wide == side:
                turn_square(<char*> (y + j * y_row + i), <const char*> (x + i * x_row + j), y_row * sizeof(Element),
                            x_row * sizeof(Element), sizeof(Element))
            else:
                for k in range(high):
                    memcpy(square + k * side, x + (i + k) * x_row + j, wide * sizeof(Element))
                turn_square(<char*> square, <const char*> square, LANES_OF_A_SQUARE, LANES_OF_A_SQUARE, sizeof(Element))
                for k in range(wide):
                    memcpy(y + (j + k) * y_row + i, square + k * side, high * sizeof(Element))
            j += side
        i += side
