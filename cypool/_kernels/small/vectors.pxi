# Vectors as Cython sees them: blocks of 64 bytes, and a dozen operations on them (vectors.h).
#
# Results come first, as pointers. Operations are macros that choose by the type of the block, so that one text serves
# all of them; to Cython their arguments are anything.

cdef extern from "small/vectors.h" nogil:
    ctypedef struct Floats:                            # 16 floats
        pass
    ctypedef struct Halves:                            # 16 floats that are float16 in memory
        pass
    ctypedef struct Brains:                            # ... bfloat16
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
    void v_stream "cypool_stream_block"(...)        # (p, x): past the caches, at a multiple of 64
    void v_set(...)                                 # (y, value): every lane
    void v_add(...)                                 # (y, x): y += x
    void v_scale(...)                               # y *= x
    void v_divide(...)                              # y /= x
    void v_turn(...)                                # y ^= x
    void v_larger(...)                              # y = x where that is larger
    void v_note_least(...)                          # y = the least bits, as signed integers, of y and x
    bint v_has_nan(...)                             # (x)
    bint v_has_negative_zero(...)
    void v_halve(...)                               # (y, z, a, b): lanes 0, 2, ... and 1, 3, ... of a and b in a row
    void v_shifted(...)                             # (y, a, b, by): a block of a and b in a row, from lane `by` on


ctypedef fused Block64:
    Floats
    Halves
    Brains
    Doubles
    Bytes
    Shorts


ctypedef fused Folding:                             # of the reductions, those of small windows
    Max
    Sum


cdef inline Py_ssize_t stored_size(Block64* tag) noexcept nogil:
    """Bytes of a number in memory."""
    if Block64 is Doubles:
        return 8
    elif Block64 is Floats:
        return 4
    elif Block64 is Bytes:
        return 1
    else:
        return 2


cdef inline Py_ssize_t lanes_of(Block64* tag) noexcept nogil:
    if Block64 is Doubles:
        return 8
    elif Block64 is Bytes:
        return 64
    elif Block64 is Shorts:
        return 32
    else:
        return 16
