# Reductions: each policy is a tag and its branch in three small inline functions.
#
# `Arg` policies carry, beside each value, the *ordinal* of its tap: its place in the window in row-major
# order. An ordinal is held in the element type, so that values and ordinals fill vectors of the same width.
# `Omit` policies take NaN as missing; the others let it win, but for `Blind` ones, for data that were looked through
# and hold none: without NaN a maximum is one instruction instead of three.


cdef struct Max:
    char tag
cdef struct Min:
    char tag
cdef struct Sum:
    char tag
cdef struct ArgMax:
    char tag
cdef struct ArgMin:
    char tag
cdef struct BlindMax:
    char tag
cdef struct BlindMin:
    char tag
cdef struct BlindArgMax:
    char tag
cdef struct BlindArgMin:
    char tag
cdef struct OmitMax:
    char tag
cdef struct OmitMin:
    char tag
cdef struct OmitArgMax:
    char tag
cdef struct OmitArgMin:
    char tag


ctypedef fused Reduction:
    Max
    Min
    Sum
    ArgMax
    ArgMin
    BlindMax
    BlindMin
    BlindArgMax
    BlindArgMin
    OmitMax
    OmitMin
    OmitArgMax
    OmitArgMin

ctypedef fused Arg:
    ArgMax
    ArgMin
    BlindArgMax
    BlindArgMin
    OmitArgMax
    OmitArgMin


cdef inline Element reduce(Element a, Element b, const Reduction* r) noexcept nogil:
    """The reduction of two values. Two plain selections compile to a maximum and a masked move, without branches; the
    question whether b is NaN can be answered while a is still being computed."""
    cdef Element m
    if Element is Wide:
        return wide_add(a, b)
    elif Reduction is Sum:
        return a + b
    elif Reduction is OmitMax:
        m = a if a > b else b
    elif Reduction is OmitMin:
        m = a if a < b else b
    elif Reduction is Max or Reduction is BlindMax:
        m = b if b > a else a
    elif Reduction is Min or Reduction is BlindMin:
        m = b if b < a else a
    else:                                           # Arg policies ask `beats`
        m = a
    if Reduction is BlindMax or Reduction is BlindMin:
        return m
    elif Reduction is OmitMax or Reduction is OmitMin:
        return a if b != b else m
    else:
        return b if b != b else m


cdef inline bint beats_in_order(Element b, Element a, const Reduction* r) noexcept nogil:
    """`beats` where b's ordinal is above a's."""
    if Element is Wide:
        return 0
    elif Reduction is ArgMax:
        return (b > a) | (b != b)
    elif Reduction is ArgMin:
        return (b < a) | (b != b)
    elif Reduction is OmitArgMax:
        return (b > a) | ((a != a) & (b == b))
    elif Reduction is OmitArgMin:
        return (b < a) | ((a != a) & (b == b))
    elif Reduction is BlindArgMax:
        return b > a
    elif Reduction is BlindArgMin:
        return b < a
    else:
        return 0


cdef inline bint beats(Element b, Element b_tap, Element a, Element a_tap, const Reduction* r) noexcept nogil:
    """Whether b is chosen over a: larger (smaller), or equal and earlier. Of two NaN the later one is
    chosen where NaN wins (as PyTorch does), the earlier one where it is missing."""
    if Element is Wide:
        return 0
    elif Reduction is ArgMax:
        return (b > a) | ((b == a) & (b_tap < a_tap)) | ((b != b) & ((a == a) | (b_tap > a_tap)))
    elif Reduction is ArgMin:
        return (b < a) | ((b == a) & (b_tap < a_tap)) | ((b != b) & ((a == a) | (b_tap > a_tap)))
    elif Reduction is BlindArgMax:
        return (b > a) | ((b >= a) & (b_tap < a_tap))
    elif Reduction is BlindArgMin:
        return (b < a) | ((b <= a) & (b_tap < a_tap))
    elif Reduction is OmitArgMax:
        return (b > a) | ((b == a) & (b_tap < a_tap)) | ((a != a) & ((b == b) | (b_tap < a_tap)))
    elif Reduction is OmitArgMin:
        return (b < a) | ((b == a) & (b_tap < a_tap)) | ((a != a) & ((b == b) | (b_tap < a_tap)))
    else:
        return 0


cdef inline Element identity(Element tag, const Reduction* r) noexcept nogil:
    """What padding holds: it never changes a reduction."""
    if Element is Wide:
        return wide(0)
    elif Reduction is Sum:
        return 0
    elif Reduction is OmitMax or Reduction is OmitMin or Reduction is OmitArgMax or Reduction is OmitArgMin:
        if Element is float or Element is double:
            return NAN
        else:
            return 0
    elif (Reduction is Max or Reduction is ArgMax or Reduction is BlindMax
            or Reduction is BlindArgMax):
        if Element is float or Element is double:
            return -INFINITY
        elif Element is int8_t:
            return INT8_MIN
        elif Element is int16_t:
            return INT16_MIN
        elif Element is int32_t:
            return INT32_MIN
        elif Element is int64_t:
            return INT64_MIN
        else:
            return 0
    else:
        if Element is float or Element is double:
            return INFINITY
        elif Element is int8_t:
            return INT8_MAX
        elif Element is int16_t:
            return INT16_MAX
        elif Element is int32_t:
            return INT32_MAX
        elif Element is int64_t:
            return INT64_MAX
        elif Element is uint8_t:
            return UINT8_MAX
        elif Element is uint16_t:
            return UINT16_MAX
        elif Element is uint32_t:
            return UINT32_MAX
        else:
            return UINT64_MAX


cdef inline Element padding_tap(Element tag) noexcept nogil:
    """The ordinal of a padded tap: above every ordinal of a window (`arguments` keeps windows below it),
    so that no tie with a real tap is won by padding."""
    if Element is Wide:
        return wide(0)
    elif Element is float:
        return 8388608.0
    elif Element is double:
        return 4503599627370496.0
    else:
        return <Element> ((<uint64_t> 1) << (8 * sizeof(Element) - 2))
