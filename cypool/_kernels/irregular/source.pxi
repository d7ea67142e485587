# Where rows come from: an array of any storage, strides and byte order, seen as (outer, rows, features), read in blocks
# as float, double or int64; blocks that are these already are read where they are.

from cython.parallel cimport prange

from libc.math cimport INFINITY, NAN, ceil, floor
from libc.stdint cimport int8_t, int16_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cimport numpy as cnp

cnp.import_array()

cdef extern from *:
    """
    #ifdef __GNUC__
    #define cypool_fetch(place) __builtin_prefetch(place, 1)
    #else
    #define cypool_fetch(place) ((void) 0)
    #endif
    """
    void fetch "cypool_fetch"(const void* place) noexcept nogil

cdef enum:
    LINE = 16               # features that are worked on at once: a line of the cache, of float
    BLOCK = 1 << 12         # numbers of a block that is loaded

# Storage codes; `dispatch` holds the same table.
cdef enum:
    U8, I8, U16, I16, U32, I32, U64, I64, F16, BF16, F32, F64

ctypedef fused Number:      # what rows are read as: 16-bit floats as float, all integers as int64
    float
    double
    int64_t

ctypedef fused Real:
    float
    double

ctypedef fused Storage:
    uint8_t
    int8_t
    uint16_t
    int16_t
    uint32_t
    int32_t
    uint64_t
    int64_t
    float
    double


cdef struct Source:
    const char* data
    Py_ssize_t outer, rows, features
    Py_ssize_t outer_step, row_step, step       # bytes
    Py_ssize_t size         # bytes of a number
    int code
    bint swapped, direct
    bint plain              # numbers are what they are read as
    uint64_t flip           # bits of uint64 to turn over, so that numbers compare as int64


cdef void describe(Source* source, cnp.ndarray x, codes, bint flip, Number tag) except *:
    """x: (outer, rows, features), read as the type of `tag`; codes: its storage, and whether its bytes are swapped."""
    cdef int width = sizeof(Number)
    source.data = <const char*> cnp.PyArray_DATA(x)
    source.outer, source.rows, source.features = (cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), cnp.PyArray_DIM(x, 2))
    source.outer_step, source.row_step, source.step = (cnp.PyArray_STRIDE(x, 0), cnp.PyArray_STRIDE(x, 1),
                                                       cnp.PyArray_STRIDE(x, 2))
    source.size = cnp.PyArray_ITEMSIZE(x)
    source.code, source.swapped = codes
    source.flip = <uint64_t> 1 << 63 if flip and source.code == U64 else 0
    if Number is float:
        source.direct = source.code == F32
    elif Number is double:
        source.direct = source.code == F64
    else:
        source.direct = source.code == I64 or source.code == U64 and source.flip == 0
    source.plain = (source.direct and not source.swapped and <size_t> source.data % width == 0
                    and source.step % width == 0 and source.row_step % width == 0 and source.outer_step % width == 0)
    source.direct = source.plain and (source.step == width or source.features == 1)


cdef inline void copy_as(Number* y, const Storage* x, Py_ssize_t n, Py_ssize_t apart) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i * apart] = <Number> x[i]


cdef void convert(Number* y, const char* x, Py_ssize_t n, Py_ssize_t apart, int code, uint64_t flip) noexcept nogil:
    """y, so many numbers apart, = n stored numbers at x, side by side in native order."""
    cdef Py_ssize_t i
    if Number is int64_t:
        if code == I64 or code == U64:
            for i in range(n):
                y[i * apart] = <int64_t> ((<const uint64_t*> x)[i] ^ flip)
        elif code == I32:
            copy_as(y, <const int32_t*> x, n, apart)
        elif code == U32:
            copy_as(y, <const uint32_t*> x, n, apart)
        elif code == I16:
            copy_as(y, <const int16_t*> x, n, apart)
        elif code == U16:
            copy_as(y, <const uint16_t*> x, n, apart)
        elif code == I8:
            copy_as(y, <const int8_t*> x, n, apart)
        else:
            copy_as(y, <const uint8_t*> x, n, apart)
    elif Number is double:
        if code == F64:
            copy_as(y, <const double*> x, n, apart)
        elif code == F32:
            copy_as(y, <const float*> x, n, apart)
        else:
            for i in range(n):
                y[i * apart] = (half_to_float((<const uint16_t*> x)[i]) if code == F16 else
                                bfloat_to_float((<const uint16_t*> x)[i]))
    elif Number is float:
        if code == F32:
            copy_as(y, <const float*> x, n, apart)
            return
        i = 0
        if code == F16 and apart == 1:
            i = floats_of_halves(<float*> y, <const uint16_t*> x, n)
        while i < n:
            y[i * apart] = (half_to_float((<const uint16_t*> x)[i]) if code == F16 else
                            bfloat_to_float((<const uint16_t*> x)[i]))
            i += 1


cdef void load_run(const Source* source, Number* y, const char* x, Py_ssize_t n, Py_ssize_t step,
                   Py_ssize_t apart) noexcept nogil:
    """y, so many numbers apart, = n numbers at x, so many bytes apart."""
    cdef double[256] room           # for the alignment of any number
    cdef char* raw = <char*> room
    cdef Py_ssize_t i, b, some, size = source.size
    if step == size and not source.swapped and <size_t> x % size == 0:
        convert(y, x, n, apart, source.code, source.flip)
        return
    while n > 0:
        some = min(n, 2048 // size)
        for i in range(some):
            for b in range(size):
                raw[i * size + b] = x[i * step + (size - 1 - b if source.swapped else b)]
        convert(y, raw, some, apart, source.code, source.flip)
        x += some * step
        y += some * apart
        n -= some


cdef void turn(const Source* source, Number* y, const char* x, Py_ssize_t n, Py_ssize_t features) noexcept nogil:
    """y (n, features) of x, where the rows of each feature lie side by side: squares turned upright, and the rest."""
    cdef Py_ssize_t lanes = LANES_OF_A_SQUARE // sizeof(Number), i = 0, k
    while i < features:
        if i + lanes > features:
            load_run(source, y + i, x + i * source.step, n, source.row_step, features)
            i += 1
            continue
        k = 0
        while k + lanes <= n:
            turn_square(<char*> (y + k * features + i), x + i * source.step + k * sizeof(Number),
                        features * sizeof(Number), source.step, sizeof(Number))
            k += lanes
        for i in range(i, i + lanes):
            load_run(source, y + k * features + i, x + i * source.step + k * sizeof(Number), n - k, source.row_step,
                     features)
        i += 1


cdef const Number* block(const Source* source, Number* room, Py_ssize_t o, Py_ssize_t t, Py_ssize_t n, Py_ssize_t f,
                         Py_ssize_t features, Py_ssize_t* pitch) noexcept nogil:
    """Rows t to t + n, and of them some features from f on; pitch: numbers from one to the next."""
    cdef const char* x = source.data + o * source.outer_step + t * source.row_step + f * source.step
    cdef Py_ssize_t i
    if source.direct:
        pitch[0] = source.row_step / <Py_ssize_t> sizeof(Number)
        return <const Number*> x
    pitch[0] = features
    if source.plain and source.row_step == <Py_ssize_t> sizeof(Number) and features > 1:
        turn(source, room, x, n, features)
    elif features > 1 and source.step == source.size and source.row_step == features * source.size:
        load_run(source, room, x, n * features, source.step, 1)
    elif n > features or source.row_step == source.size:
        for i in range(features):
            load_run(source, room + i, x + i * source.step, n, source.row_step, features)
    else:
        for i in range(n):
            load_run(source, room + i * features, x + i * source.row_step, features, source.step, 1)
    return room
