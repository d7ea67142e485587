# Reductions: each policy is a tag and its branch in a few small inline functions.
#
# `ArgMax` carries, beside each value, the *ordinal* of its tap: its place in the window in row-major order. An ordinal
# is held in the element type, so that values and ordinals fill vectors of the same width. `OmitArgMax` takes NaN
# as missing; for `ArgMax` it wins. `Max` carries nothing and takes one instruction, but must not meet a NaN, and of 0.0
# and -0.0 may return the later one: it is for data that were looked through. There is no Min: it is the
# maximum of what was turned over.


cdef struct Max:
    char tag
cdef struct Sum:
    char tag
cdef struct ArgMax:
    char tag
cdef struct OmitArgMax:
    char tag


ctypedef fused Reduction:
    Max
    Sum
    ArgMax
    OmitArgMax

ctypedef fused Arg:
    ArgMax
    OmitArgMax


cdef inline Element reduce(Element a, Element b, const Reduction* r) noexcept nogil:
    """The reduction of two values."""
    if Element is Wide:
        return wide_add(a, b)
    elif Reduction is Sum:
        return a + b
    elif Reduction is Max:
        return b if b > a else a
    else:                                           # Arg policies ask `beats`
        return a


cdef inline bint beats_in_order(Element b, Element a, const Reduction* r) noexcept nogil:
    """`beats` where b's ordinal is above a's."""
    if Element is Wide:
        return 0
    elif Reduction is ArgMax:
        return (b > a) | (b != b)
    elif Reduction is OmitArgMax:
        return (b > a) | ((a != a) & (b == b))
    else:
        return 0


cdef inline bint beats(Element b, Element b_tap, Element a, Element a_tap, const Reduction* r) noexcept nogil:
    """Whether b is chosen over a: larger, or equal and earlier. Of two NaN the later one is chosen where NaN wins (as
    PyTorch does), the earlier one where it is missing."""
    if Element is Wide:
        return 0
    elif Reduction is ArgMax:
        return (b > a) | ((b == a) & (b_tap < a_tap)) | ((b != b) & ((a == a) | (b_tap > a_tap)))
    elif Reduction is OmitArgMax:
        return (b > a) | ((b == a) & (b_tap < a_tap)) | ((a != a) & ((b == b) | (b_tap < a_tap)))
    else:
        return 0


cdef inline Element identity(Element tag, const Reduction* r) noexcept nogil:
    """What padding holds: it never changes a reduction."""
    if Element is Wide:
        return wide(0)
    elif Element is float or Element is double:
        if Reduction is Sum:
            return 0
        elif Reduction is OmitArgMax:
            return NAN
        else:
            return -INFINITY
    else:                                           # of maxima: unsigned
        return 0


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
