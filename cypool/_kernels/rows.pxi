# Row loops: the only loops that touch every element. Each is written once, for every element and reduction.
#
# y, x: values; y_tap, x_tap: their ordinals under an Arg policy (x_tap may be NULL: no taps met yet), else NULL.
# Reductions of several taps nest to the right: gcc does not vectorise a reduction whose first operand is another one.
# Whoever calls a loop sees to it that y overlaps no input, except where a comment says "in place".

cdef enum:
    CHAIN = 64              # taps added one after the other before a partial sum is set aside
    BLOCK = 256             # columns of such a partial sum
    LANES = 32              # partial results of a run; more than gcc peels off, which would keep it from vectorising


cdef inline void pair(Element* y, const Element* a, const Element* b, Py_ssize_t stride, Py_ssize_t n,
                      const Reduction* r) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = reduce(a[i * stride], b[i * stride], r)


cdef inline void triple(Element* y, const Element* x, Py_ssize_t step, Py_ssize_t stride, Py_ssize_t n,
                        const Reduction* r) noexcept nogil:
    cdef Py_ssize_t i
    cdef const Element* b = x + step
    cdef const Element* c = b + step
    for i in range(n):
        y[i] = reduce(x[i * stride], reduce(b[i * stride], c[i * stride], r), r)


cdef inline void quadruple(Element* y, const Element* x, Py_ssize_t step, Py_ssize_t stride, Py_ssize_t n,
                           const Reduction* r) noexcept nogil:
    cdef Py_ssize_t i
    cdef const Element* b = x + step
    cdef const Element* c = b + step
    cdef const Element* d = c + step
    for i in range(n):
        y[i] = reduce(x[i * stride], reduce(b[i * stride], reduce(c[i * stride], d[i * stride], r), r), r)


cdef inline void append(Element* y, const Element* x, Py_ssize_t step, int taps, Py_ssize_t stride, Py_ssize_t n,
                        const Reduction* r) noexcept nogil:
    """In place: y takes in one or two more taps."""
    cdef Py_ssize_t i
    if taps == 1:
        for i in range(n):
            y[i] = reduce(y[i], x[i * stride], r)
    else:
        for i in range(n):
            y[i] = reduce(y[i], reduce(x[i * stride], x[i * stride + step], r), r)


cdef inline void chain(Element* y, const Element* x, Py_ssize_t taps, Py_ssize_t step, Py_ssize_t stride,
                       Py_ssize_t n, const Reduction* r) noexcept nogil:
    """y[i] = reduction over j < taps of x[i * stride + j * step]."""
    cdef Py_ssize_t i, j
    if taps == 1:
        for i in range(n):
            y[i] = x[i * stride]
        return
    if taps == 2:
        pair(y, x, x + step, stride, n, r)
        return
    if taps == 3:
        triple(y, x, step, stride, n, r)
        return
    quadruple(y, x, step, stride, n, r)
    j = 4
    while j + 2 <= taps:
        append(y, x + j * step, step, 2, stride, n, r)
        j += 2
    if j < taps:
        append(y, x + j * step, step, 1, stride, n, r)


cdef inline void chain_taps(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t taps,
                            Py_ssize_t step, Py_ssize_t stride, Py_ssize_t n, int64_t tap, int64_t tap_step,
                            const Reduction* r) noexcept nogil:
    """As chain, ordinals too: tap j counts as x_tap + tap + j * tap_step."""
    cdef Py_ssize_t i, j
    cdef Element a, b, a_tap, b_tap, shift
    cdef bint better
    if Element is Wide:
        return
    else:
        for j in range(taps):
            shift = <Element> (tap + j * tap_step)
            if j == 0:
                for i in range(n):
                    y[i] = x[i * stride]
                if x_tap == NULL:
                    for i in range(n):
                        y_tap[i] = shift
                else:
                    for i in range(n):
                        y_tap[i] = <Element> (x_tap[i * stride] + shift)
            elif x_tap == NULL:
                for i in range(n):
                    a = y[i]
                    a_tap = y_tap[i]
                    b = x[i * stride]
                    better = beats(b, shift, a, a_tap, r)
                    y[i] = b if better else a
                    y_tap[i] = shift if better else a_tap
            else:
                for i in range(n):
                    a = y[i]
                    a_tap = y_tap[i]
                    b = x[i * stride]
                    b_tap = <Element> (x_tap[i * stride] + shift)
                    better = beats(b, b_tap, a, a_tap, r)
                    y[i] = b if better else a
                    y_tap[i] = b_tap if better else a_tap
            x += step
            if x_tap != NULL:
                x_tap += step


cdef inline void fold_stride(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t taps,
                             Py_ssize_t step, Py_ssize_t stride, Py_ssize_t n, int64_t tap, int64_t tap_step,
                             const Reduction* r) noexcept nogil:
    cdef Py_ssize_t start, m, j
    cdef Element partial[BLOCK]
    if Reduction is ArgMax or Reduction is ArgMin or Reduction is OmitArgMax or Reduction is OmitArgMin:
        chain_taps(y, y_tap, x, x_tap, taps, step, stride, n, tap, tap_step, r)
    elif Reduction is Sum:
        if taps <= CHAIN:
            chain(y, x, taps, step, stride, n, r)
            return
        start = 0
        while start < n:                            # long sums go through partial sums: the error grows slower
            m = min(<Py_ssize_t> BLOCK, n - start)
            chain(y + start, x + start * stride, CHAIN, step, stride, m, r)
            j = CHAIN
            while j < taps:
                chain(partial, x + start * stride + j * step, min(<Py_ssize_t> CHAIN, taps - j), step, stride, m, r)
                append(y + start, partial, 0, 1, 1, m, r)
                j += CHAIN
            start += BLOCK
    else:
        chain(y, x, taps, step, stride, n, r)


cdef void fold(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t taps,
               Py_ssize_t step, Py_ssize_t stride, Py_ssize_t n, int64_t tap, int64_t tap_step,
               const Reduction* r) noexcept nogil:
    """y[i] = reduction over j < taps of x[i * stride + j * step], i < n. Literal strides let compilers shuffle."""
    if stride == 1:
        fold_stride(y, y_tap, x, x_tap, taps, step, 1, n, tap, tap_step, r)
    elif stride == 2:
        fold_stride(y, y_tap, x, x_tap, taps, step, 2, n, tap, tap_step, r)
    elif stride == 4:
        fold_stride(y, y_tap, x, x_tap, taps, step, 4, n, tap, tap_step, r)
    else:
        fold_stride(y, y_tap, x, x_tap, taps, step, stride, n, tap, tap_step, r)


cdef void mend(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t taps, Py_ssize_t step,
               Py_ssize_t stride, Py_ssize_t n, int64_t tap, const Reduction* r) noexcept nogil:
    """y[i * stride] = reduction over j < taps of x[i * stride + j * step]: a column of a plane."""
    cdef Py_ssize_t i, j
    cdef Element value, b, b_tap, value_tap
    cdef bint better
    for i in range(n):
        value = x[i * stride]
        if Reduction is ArgMax or Reduction is ArgMin or Reduction is OmitArgMax or Reduction is OmitArgMin:
            if Element is not Wide:
                value_tap = <Element> (tap + (0 if x_tap == NULL else <int64_t> x_tap[i * stride]))
                for j in range(1, taps):
                    b = x[i * stride + j * step]
                    b_tap = <Element> (tap + j + (0 if x_tap == NULL else <int64_t> x_tap[i * stride + j * step]))
                    better = beats(b, b_tap, value, value_tap, r)
                    value = b if better else value
                    value_tap = b_tap if better else value_tap
                y_tap[i * stride] = value_tap
        else:
            for j in range(1, taps):
                value = reduce(value, x[i * stride + j * step], r)
        y[i * stride] = value


cdef void merge(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t n,
                const Reduction* r) noexcept nogil:
    """In place: y takes in x."""
    cdef Py_ssize_t i
    cdef bint better
    if Reduction is ArgMax or Reduction is ArgMin or Reduction is OmitArgMax or Reduction is OmitArgMin:
        for i in range(n):
            better = beats(x[i], x_tap[i], y[i], y_tap[i], r)
            y[i] = x[i] if better else y[i]
            y_tap[i] = x_tap[i] if better else y_tap[i]
    else:
        append(y, x, 0, 1, 1, n, r)


cdef inline void halve(Element* lane, Py_ssize_t n, const Reduction* r) noexcept nogil:
    """In place: the upper n lanes onto the lower n."""
    cdef Py_ssize_t i
    for i in range(n):
        lane[i] = reduce(lane[i], lane[i + n], r)


cdef inline Element total_value(const Element* x, Py_ssize_t n, const Reduction* r) noexcept nogil:
    """Reduction of a run: lane l takes the elements l, l + LANES, ..., then the lanes are merged pairwise."""
    cdef Element lane[LANES]
    cdef Element value
    cdef Py_ssize_t i, j
    if n < LANES:
        value = x[0]
        for i in range(1, n):
            value = reduce(value, x[i], r)
        return value
    for i in range(32):
        lane[i] = x[i]
    j = LANES
    while j + LANES <= n:
        for i in range(32):
            lane[i] = reduce(lane[i], x[j + i], r)
        j += LANES
    for i in range(n - j):
        lane[i] = reduce(lane[i], x[j + i], r)
    halve(lane, 16, r)
    halve(lane, 8, r)
    halve(lane, 4, r)
    halve(lane, 2, r)
    return reduce(lane[0], lane[1], r)


cdef void total(Element* y, Element* y_tap, const Element* x, const Element* x_tap, Py_ssize_t n, Py_ssize_t runs,
                Py_ssize_t pitch, int64_t tap, const Reduction* r) noexcept nogil:
    """y[k] = reduction of n elements from x[k * pitch] on, for k < runs."""
    cdef Element value, value_tap, b_tap
    cdef Py_ssize_t i, k
    cdef bint better
    for k in range(runs):
        if Reduction is ArgMax or Reduction is ArgMin or Reduction is OmitArgMax or Reduction is OmitArgMin:
            if Element is not Wide:
                value = x[0]
                value_tap = <Element> (tap + (0 if x_tap == NULL else <int64_t> x_tap[0]))
                for i in range(1, n):
                    b_tap = <Element> (tap + i + (0 if x_tap == NULL else <int64_t> x_tap[i]))
                    better = beats(x[i], b_tap, value, value_tap, r)
                    value = x[i] if better else value
                    value_tap = b_tap if better else value_tap
                y[k] = value
                y_tap[k] = value_tap
        else:
            y[k] = total_value(x, n, r)
        x += pitch
        if x_tap != NULL:
            x_tap += pitch


cdef void fill(Element* y, Element* y_tap, Py_ssize_t n, const Reduction* r) noexcept nogil:
    """Padding."""
    cdef Py_ssize_t i
    cdef Element tag, value
    memset(&tag, 0, sizeof(Element))
    value = identity(tag, r)
    for i in range(n):
        y[i] = value
    if y_tap != NULL:
        value = padding_tap(tag)
        for i in range(n):
            y_tap[i] = value


cdef void divide(Element* x, const double* divisor, bint uniform, Py_ssize_t n) noexcept nogil:
    """In place, floats only: integers are divided as they are stored."""
    cdef Py_ssize_t i
    cdef Element by
    cdef int exponent
    if Element is float or Element is double:
        if uniform and fabs(frexp(divisor[0], &exponent)) == 0.5:   # a power of two: its inverse is exact
            by = <Element> (1 / divisor[0])
            for i in range(n):
                x[i] = x[i] * by
        elif uniform:
            by = <Element> divisor[0]
            for i in range(n):
                x[i] = x[i] / by
        else:
            for i in range(n):
                x[i] = x[i] / <Element> divisor[i]


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


cdef void spread(Element* y, const Element* x, Py_ssize_t stride, Py_ssize_t inner, Py_ssize_t n) noexcept nogil:
    """y[i * stride] = x[i] for n blocks of inner elements."""
    cdef Py_ssize_t i
    if inner == 1:
        for i in range(n):
            y[i * stride] = x[i]
    else:
        for i in range(n):
            memcpy(y + i * stride * inner, x + i * inner, inner * sizeof(Element))


cdef void gather(Element* y, const Element* x, Py_ssize_t stride, Py_ssize_t inner, Py_ssize_t n) noexcept nogil:
    """y[i] = x[i * stride] for n blocks of inner elements."""
    cdef Py_ssize_t i
    if inner == 1:
        for i in range(n):
            y[i] = x[i * stride]
    else:
        for i in range(n):
            memcpy(y + i * inner, x + i * stride * inner, inner * sizeof(Element))


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


# ---------------------------------------------------------------------------- the table the engine calls through

ctypedef void (*Load)(char*, const char*, Py_ssize_t, int) noexcept nogil
ctypedef void (*Store)(char*, const char*, const double*, Py_ssize_t, int) noexcept nogil
ctypedef void (*Fold)(char*, char*, const char*, const char*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                      int64_t, int64_t, const void*) noexcept nogil
ctypedef void (*Mend)(char*, char*, const char*, const char*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                      int64_t, const void*) noexcept nogil
ctypedef void (*Merge)(char*, char*, const char*, const char*, Py_ssize_t, const void*) noexcept nogil
ctypedef void (*Total)(char*, char*, const char*, const char*, Py_ssize_t, Py_ssize_t, Py_ssize_t, int64_t,
                       const void*) noexcept nogil
ctypedef void (*Fill)(char*, char*, Py_ssize_t, const void*) noexcept nogil
ctypedef void (*Divide)(char*, const double*, bint, Py_ssize_t) noexcept nogil
ctypedef void (*ReplaceNaN)(char*, bint, Py_ssize_t) noexcept nogil
ctypedef void (*Move)(char*, const char*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
ctypedef void (*Ordinals)(char*, const char*, Py_ssize_t, int) noexcept nogil


cdef struct Rows:           # the row loops of one element under one reduction
    Py_ssize_t size         # bytes of an element
    bint floating
    bint doubles            # whether repeating a tap is harmless: max(a, a) = a, but a + a is not a
    bint taps               # whether ordinals are carried
    Load load
    Store store
    Fold fold
    Mend mend
    Merge merge
    Total total
    Fill fill
    Divide divide
    ReplaceNaN replace_nan
    Move spread
    Move gather
    Ordinals ordinals


cdef inline void specialise(Rows* rows, Element* e, Reduction* r) noexcept nogil:
    rows.size = sizeof(Element)
    rows.floating = Element is float or Element is double
    rows.doubles = Reduction is not Sum
    rows.taps = (Reduction is ArgMax or Reduction is ArgMin or Reduction is OmitArgMax
                 or Reduction is OmitArgMin)
    rows.load = <Load> load[Element]
    rows.store = <Store> store[Element]
    rows.fold = <Fold> fold[Element, Reduction]
    rows.mend = <Mend> mend[Element, Reduction]
    rows.merge = <Merge> merge[Element, Reduction]
    rows.total = <Total> total[Element, Reduction]
    rows.fill = <Fill> fill[Element, Reduction]
    rows.divide = <Divide> divide[Element]
    rows.replace_nan = <ReplaceNaN> replace_nan[Element]
    rows.spread = <Move> spread[Element]
    rows.gather = <Move> gather[Element]
    rows.ordinals = <Ordinals> ordinals[Element]


# `dispatch.REDUCTIONS` and `dispatch.ELEMENTS` in Python hold the same tables.
cdef enum:
    MAX, MIN, SUM, ARG_MAX, ARG_MIN, OMIT_MAX, OMIT_MIN, OMIT_ARG_MAX, OMIT_ARG_MIN

cdef enum:
    WIDE = 12               # the element beyond the storage codes


cdef inline bint specialise_order(Rows* rows, Element* e, int reduction) noexcept nogil:
    if reduction == MAX:
        specialise(rows, e, <Max*> NULL)
    elif reduction == MIN:
        specialise(rows, e, <Min*> NULL)
    elif reduction == ARG_MAX:
        specialise(rows, e, <ArgMax*> NULL)
    elif reduction == ARG_MIN:
        specialise(rows, e, <ArgMin*> NULL)
    elif Element is float or Element is double:
        if reduction == OMIT_MAX:
            specialise(rows, e, <OmitMax*> NULL)
        elif reduction == OMIT_MIN:
            specialise(rows, e, <OmitMin*> NULL)
        elif reduction == OMIT_ARG_MAX:
            specialise(rows, e, <OmitArgMax*> NULL)
        elif reduction == OMIT_ARG_MIN:
            specialise(rows, e, <OmitArgMin*> NULL)
        else:
            return 0
    else:
        return 0
    return 1


cdef bint choose_rows(Rows* rows, int element, int reduction) noexcept nogil:
    """Fill in the row loops of an element and a reduction; false if they do not go together."""
    if reduction == SUM:
        if element == F32:
            specialise(rows, <float*> NULL, <Sum*> NULL)
        elif element == F64:
            specialise(rows, <double*> NULL, <Sum*> NULL)
        elif element == I32:
            specialise(rows, <int32_t*> NULL, <Sum*> NULL)
        elif element == I64:
            specialise(rows, <int64_t*> NULL, <Sum*> NULL)
        elif element == WIDE:
            specialise(rows, <Wide*> NULL, <Sum*> NULL)
        else:
            return 0
        return 1
    if element == F32:
        return specialise_order(rows, <float*> NULL, reduction)
    if element == F64:
        return specialise_order(rows, <double*> NULL, reduction)
    if element == U8:
        return specialise_order(rows, <uint8_t*> NULL, reduction)
    if element == I8:
        return specialise_order(rows, <int8_t*> NULL, reduction)
    if element == U16:
        return specialise_order(rows, <uint16_t*> NULL, reduction)
    if element == I16:
        return specialise_order(rows, <int16_t*> NULL, reduction)
    if element == U32:
        return specialise_order(rows, <uint32_t*> NULL, reduction)
    if element == I32:
        return specialise_order(rows, <int32_t*> NULL, reduction)
    if element == U64:
        return specialise_order(rows, <uint64_t*> NULL, reduction)
    if element == I64:
        return specialise_order(rows, <int64_t*> NULL, reduction)
    return 0
