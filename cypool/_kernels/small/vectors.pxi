# Vectors as Cython sees them: blocks of 64 or 32 bytes, and a dozen operations on them (vectors.h).
#
# Results come first, as pointers. Operations are macros that choose by the type of the block, so that one text serves
# all of them; to Cython their arguments are anything.

cdef extern from "small/vectors.h" nogil:
    const bint SPELLED_OUT                          # whether common windows have loops of their own
    ctypedef struct Floats:                            # floats
        pass
    ctypedef struct Doubles:
        pass
    ctypedef struct Bytes:                             # unsigned integers, as keys: see `flip_bits`
        pass
    ctypedef struct Shorts:
        pass
    ctypedef struct Mask:                           # which lanes
        pass
    void v_load(...)                                # (y, p): a block at any address
    void v_set_mask(...)                            # (mask, tag, from, to): these lanes, of blocks like tag's
    void v_load_some(...)                           # (y, p, mask, fill, low, high, from, to): those, fill in the others
    void v_store(...)                               # (p, x)
    void v_store_first(...)                         # (p, x, count, limit): so many; up to limit all may be written
    void v_stream "cypool_stream_block"(...)        # (p, x): past the caches, at a multiple of a block's size
    void v_set(...)                                 # (y, value): every lane
    void v_add(...)                                 # (y, x): y += x
    void v_scale(...)                               # y *= x
    void v_divide(...)                              # y /= x
    void v_turn(...)                                # y ^= x
    void v_larger(...)                              # y = x where that is larger
    void v_note_least(...)                          # y = the least bits, as signed integers, of y and x
    void v_add_chosen(...)                          # (y, p, o, tap): y += what lies at p, where bytes at o are tap
    bint v_has_nan(...)                             # (x)
    bint v_has_negative_zero(...)
    void v_halve(...)                               # (y, z, a, b): lanes 0, 2, ... and 1, 3, ... of a and b in a row
    void v_zip(...)                                 # (y, z, a, b): y and z in a row are a and b in turn
    void v_take(...)                                # (y, o, x, t): y, o = x, t where x is larger
    bint v_equal(...)                               # (y, x, first): whether some of so many lanes are equal
    void v_store_ordinals(...)                      # (p, o, first): so many lanes, integers, as bytes
    void v_set_bits(...)                            # (o, value): every lane, an integer
    void v_add_bits(...)                            # (y, x, value): y = x + value, integers
    void v_shifted(...)                             # (y, a, b, by): a block of a and b in a row, from lane `by` on


ctypedef fused Vec:
    Floats
    Doubles
    Bytes
    Shorts


ctypedef fused RealVec:                             # of those, what ordinals and gradients are worked on in
    Floats
    Doubles


ctypedef fused Folding:                             # of the reductions, those of small windows
    Max
    Sum


cdef inline Py_ssize_t number_size(Vec* tag) noexcept nogil:
    """Bytes of a number."""
    if Vec is Doubles:
        return 8
    elif Vec is Floats:
        return 4
    elif Vec is Bytes:
        return 1
    else:
        return 2


cdef inline Py_ssize_t lanes_of(Vec* tag) noexcept nogil:
    return sizeof(Vec) // number_size(tag)
