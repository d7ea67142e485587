# The table of row loops that the engine calls through: nothing else knows types.


ctypedef void (*Load)(char*, const char*, Py_ssize_t, int) noexcept nogil
ctypedef void (*Store)(char*, const char*, const double*, double, Py_ssize_t, int) noexcept nogil
ctypedef void (*Fold)(char*, char*, const char*, const char*, Py_ssize_t, Py_ssize_t, Py_ssize_t, const Grid*,
                      int64_t, int64_t, const void*) noexcept nogil
ctypedef void (*Merge)(char*, char*, const char*, const char*, Py_ssize_t, const void*) noexcept nogil
ctypedef void (*Total)(char*, char*, const char*, Py_ssize_t, Py_ssize_t, Py_ssize_t, int64_t,
                       const void*) noexcept nogil
ctypedef void (*Fill)(char*, char*, const Grid*, const void*) noexcept nogil
ctypedef void (*Divide)(char*, const Grid*) noexcept nogil
ctypedef bint (*NeedsCare)(const char*, bint, const Grid*) noexcept nogil
ctypedef void (*TurnOver)(char*, bint, bint, Py_ssize_t) noexcept nogil
ctypedef void (*ReplaceNaN)(char*, bint, Py_ssize_t) noexcept nogil
ctypedef void (*Interleave)(char*, const char*, const char*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                           Py_ssize_t) noexcept nogil
ctypedef void (*Pick)(char*, const char*, const Grid*) noexcept nogil
ctypedef void (*Roll)(char*, char*, const char*, const char*, char*, char*, const Rolling*,
                      const void*) noexcept nogil
ctypedef void (*Turn)(char*, const char*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
ctypedef void (*Ordinals)(char*, const char*, Py_ssize_t, int) noexcept nogil


cdef struct Rows:           # the row loops of one element under one reduction
    Py_ssize_t size         # bytes of an element
    bint floating
    bint taps               # whether ordinals are carried
    Load load
    Store store
    Fold fold
    Merge merge
    Total total
    Roll roll
    Turn turn
    Fill fill
    Divide divide
    NeedsCare needs_care
    TurnOver turn_over
    ReplaceNaN replace_nan
    Interleave interleave
    Pick pick
    Ordinals ordinals


cdef inline void specialise(Rows* rows, Element* e, Reduction* r) noexcept nogil:
    rows.size = sizeof(Element)
    rows.floating = Element is float or Element is double
    rows.taps = Reduction in Arg
    rows.load = <Load> load[Element]
    rows.store = <Store> store[Element]
    rows.fold = <Fold> fold[Element, Reduction]
    rows.merge = <Merge> merge[Element, Reduction]
    rows.total = <Total> total[Element, Reduction]
    rows.roll = <Roll> roll[Element, Reduction]
    rows.turn = <Turn> turn[Element]
    rows.fill = <Fill> fill[Element, Reduction]
    rows.divide = <Divide> divide[Element]
    rows.needs_care = <NeedsCare> needs_care[Element]
    rows.turn_over = <TurnOver> turn_over[Element]
    rows.replace_nan = <ReplaceNaN> replace_nan[Element]
    rows.pick = <Pick> pick[Element]
    rows.interleave = <Interleave> interleave[Element]
    rows.ordinals = <Ordinals> ordinals[Element]


# `dispatch.POLICIES` and the numbers above it in Python hold the same tables.
cdef enum:
    MAX, SUM, ARG_MAX, OMIT_ARG_MAX

cdef enum:
    WIDE = 12               # the element beyond the storage codes


cdef inline bint specialise_order(Rows* rows, Element* e, int reduction) noexcept nogil:
    if reduction == MAX:
        specialise(rows, e, <Max*> NULL)
    elif Element is uint8_t or Element is uint16_t or Element is uint32_t:
        return 0                                    # ordinals of integers are as wide as can be: see `dispatch`
    elif reduction == ARG_MAX:
        specialise(rows, e, <ArgMax*> NULL)
    elif Element is float or Element is double:
        specialise(rows, e, <OmitArgMax*> NULL)
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
    if element == U16:
        return specialise_order(rows, <uint16_t*> NULL, reduction)
    if element == U32:
        return specialise_order(rows, <uint32_t*> NULL, reduction)
    if element == U64:
        return specialise_order(rows, <uint64_t*> NULL, reduction)
    return 0
