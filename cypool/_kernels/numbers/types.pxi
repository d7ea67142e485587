# Element types: what the loops compute in, and how stored numbers become elements and back.
#
# *Storage* is what an array holds (13 kinds, any byte order); an *element* is what a loop works on.
# Max and min compute in float, double or unsigned integers of the stored width, into which signed ones are turned; sums
# in float, double, 32- or 64-bit integers, or in Wide where a sum of 64-bit integers could overflow.

from libc.math cimport INFINITY, NAN, rint
from libc.stdint cimport (
    INT8_MAX, INT8_MIN, INT16_MAX, INT16_MIN, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN,
    UINT8_MAX, UINT16_MAX, UINT32_MAX, UINT64_MAX,
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef extern from "math.h" nogil:
    double fabs(double x)
    double frexp(double x, int* exponent)
    double ldexp(double x, int exponent)

# Storage codes; `arguments.STORAGE` in Python holds the same table.
cdef enum:
    U8, I8, U16, I16, U32, I32, U64, I64, F16, BF16, F32, F64


cdef struct Wide:           # a 128-bit two's complement integer
    uint64_t low
    int64_t high


ctypedef fused Element:
    uint8_t
    uint16_t
    uint32_t
    int32_t
    uint64_t
    int64_t
    float
    double
    Wide


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


ctypedef fused Real:
    float
    double


cdef inline int32_t bits_of(const void* value) noexcept nogil:
    cdef int32_t bits
    memcpy(&bits, value, 4)
    return bits


cdef inline int64_t wide_bits_of(const void* value) noexcept nogil:
    cdef int64_t bits
    memcpy(&bits, value, 8)
    return bits


# ---------------------------------------------------------------------------- wide integers

cdef inline Wide wide(int64_t value) noexcept nogil:
    cdef Wide w
    w.low = <uint64_t> value
    w.high = -1 if value < 0 else 0
    return w


cdef inline Wide wide_unsigned(uint64_t value) noexcept nogil:
    cdef Wide w
    w.low = value
    w.high = 0
    return w


cdef inline Wide wide_add(Wide a, Wide b) noexcept nogil:
    cdef Wide w
    w.low = a.low + b.low
    w.high = <int64_t> (<uint64_t> a.high + <uint64_t> b.high + <uint64_t> (w.low < a.low))
    return w


cdef inline Wide wide_negative(Wide a) noexcept nogil:
    cdef Wide w
    w.low = ~a.low + 1
    w.high = <int64_t> (~(<uint64_t> a.high) + <uint64_t> (w.low == 0))
    return w


cdef inline Wide wide_divide(Wide a, uint64_t by, uint64_t* rest) noexcept nogil:
    """Quotient and remainder of a non-negative number, by < 2**62."""
    cdef Wide q
    cdef uint64_t r = 0
    cdef int bit
    q.low = q.high = 0
    for bit in range(127, -1, -1):
        r = (r << 1) | ((<uint64_t> a.high >> (bit - 64)) & 1 if bit >= 64 else (a.low >> bit) & 1)
        q.high = <int64_t> ((<uint64_t> q.high << 1) | (q.low >> 63))
        q.low <<= 1
        if r >= by:
            r -= by
            q.low |= 1
    rest[0] = r
    return q


cdef Wide wide_round(Wide a, int64_t by) noexcept nogil:
    """a / by to the nearest integer, ties to even."""
    cdef bint negative = (a.high < 0) != (by < 0)
    cdef uint64_t rest, size = <uint64_t> (-by if by < 0 else by)
    cdef Wide q = wide_divide(wide_negative(a) if a.high < 0 else a, size, &rest)
    if 2 * rest > size or (2 * rest == size and q.low & 1):
        q = wide_add(q, wide(1))
    return wide_negative(q) if negative else q


cdef double wide_quotient(Wide a, int64_t by) noexcept nogil:
    """a / by, rounded once."""
    cdef bint negative = (a.high < 0) != (by < 0)
    cdef uint64_t rest, size = <uint64_t> (-by if by < 0 else by)
    cdef Wide q
    cdef int exponent = 0
    cdef double value
    cdef int64_t near = <int64_t> a.low
    if a.high == -(<int64_t> (a.low >> 63)) and near >= -9007199254740992LL and near <= 9007199254740992LL:
        return <double> near / <double> by
    q = wide_divide(wide_negative(a) if a.high < 0 else a, size, &rest)
    while q.high != 0:                              # keep 64 leading bits; the last one gathers what is cut off
        q.low = (q.low >> 1) | (<uint64_t> q.high << 63) | (q.low & 1)
        q.high = <int64_t> (<uint64_t> q.high >> 1)
        exponent += 1
    while q.low >> 63 == 0 and (q.low != 0 or rest != 0):
        rest <<= 1
        q.low <<= 1
        if rest >= size:
            rest -= size
            q.low |= 1
        exponent -= 1
    value = ldexp(<double> (q.low | (rest != 0)), exponent)
    return -value if negative else value


# ---------------------------------------------------------------------------- loading and storing runs

cdef inline void copy_as(Element* y, const Storage* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if Element is Wide:
            if Storage is uint64_t:
                y[i] = wide_unsigned(x[i])
            else:
                y[i] = wide(<int64_t> x[i])
        else:
            y[i] = <Element> x[i]


cdef void load(Element* y, const char* x, Py_ssize_t n, int code) noexcept nogil:
    """y = n stored numbers at x, side by side in native order. The plan pairs elements with storage that fits them."""
    cdef Py_ssize_t i, done = 0
    cdef const uint16_t* bits = <const uint16_t*> x
    if Element is float or Element is double:
        if code == F32:
            copy_as(y, <const float*> x, n)
        elif code == F64:
            copy_as(y, <const double*> x, n)
        elif code == F16:
            if Element is float:
                done = floats_of_halves(y, bits, n)
            for i in range(done, n):
                y[i] = half_to_float(bits[i])
        else:
            for i in range(n):
                y[i] = bfloat_to_float(bits[i])
    elif Element is not uint8_t and Element is not uint16_t:
        if code == I64:
            copy_as(y, <const int64_t*> x, n)
        elif code == U64:
            copy_as(y, <const uint64_t*> x, n)
        elif code == I32:
            copy_as(y, <const int32_t*> x, n)
        elif code == U32:
            copy_as(y, <const uint32_t*> x, n)
        elif code == I16:
            copy_as(y, <const int16_t*> x, n)
        elif code == U16:
            copy_as(y, <const uint16_t*> x, n)
        elif code == I8:
            copy_as(y, <const int8_t*> x, n)
        else:
            copy_as(y, <const uint8_t*> x, n)
    else:
        memcpy(y, x, n * sizeof(Element))


cdef inline Storage saturate(double value, Storage tag) noexcept nogil:
    """The nearest integer of a type, ties to even; NaN becomes 0."""
    value = rint(value)
    if value != value:
        return 0
    if Storage is uint8_t:
        return <uint8_t> (0 if value < 0 else 255 if value > 255 else value)
    elif Storage is int8_t:
        return <int8_t> (-128 if value < -128 else 127 if value > 127 else value)
    elif Storage is uint16_t:
        return <uint16_t> (0 if value < 0 else 65535 if value > 65535 else value)
    elif Storage is int16_t:
        return <int16_t> (-32768 if value < -32768 else 32767 if value > 32767 else value)
    elif Storage is uint32_t:
        return <uint32_t> (0 if value < 0 else UINT32_MAX if value > UINT32_MAX else value)
    elif Storage is int32_t:
        return <int32_t> (INT32_MIN if value < INT32_MIN else INT32_MAX if value > INT32_MAX else value)
    elif Storage is uint64_t:
        return 0 if value <= 0 else UINT64_MAX if value >= 18446744073709551616.0 else <uint64_t> value
    elif Storage is int64_t:
        if value <= -9223372036854775808.0:
            return INT64_MIN
        return INT64_MAX if value >= 9223372036854775808.0 else <int64_t> value
    else:
        return <Storage> value


cdef inline Storage rounded_to(double value, Storage tag) noexcept nogil:
    if Storage is float or Storage is double:
        return <Storage> value
    else:
        return saturate(value, tag)


cdef inline Storage saturate_wide(Wide value, Storage tag) noexcept nogil:
    """The nearest integer of a type."""
    if Storage is uint64_t:
        return 0 if value.high < 0 else UINT64_MAX if value.high > 0 else value.low
    elif Storage is float or Storage is double:
        return 0                                    # floats are divided, not rounded
    else:
        if value.high != -(<int64_t> (value.low >> 63)):            # beyond 64 bits
            value = wide(INT64_MIN if value.high < 0 else INT64_MAX)
        if Storage is int64_t:
            return <int64_t> value.low
        else:
            return saturate(<double> <int64_t> value.low, tag)


cdef inline void store_as(Storage* y, const Element* x, const double* counts, double factor,
                          Py_ssize_t n) noexcept nogil:
    """y = x; integers (floats are divided before) by the factor unless it is 0, or by factor * counts[i]."""
    cdef Py_ssize_t i
    cdef Storage tag = 0
    cdef Wide value
    cdef double by, least
    if Element is int32_t or Element is int64_t:
        # below 2**51 a rounded quotient is neither half of an integer nor equal to one by rounding
        least = 0
        if Element is int64_t:
            for i in range(n):
                least = max(least, <double> x[i] if x[i] >= 0 else -<double> x[i])
        if least < 2251799813685248.0 and not (factor == 0 and (Storage is int64_t or Storage is uint64_t)):
            by = 1 if factor == 0 else factor
            if counts == NULL:
                for i in range(n):
                    y[i] = rounded_to(<double> x[i] / by, tag)
            else:
                for i in range(n):
                    y[i] = rounded_to(<double> x[i] / (by * counts[i]), tag)
            return
    for i in range(n):
        if Element is float or Element is double:
            y[i] = rounded_to(<double> x[i], tag)
        elif Element is Wide or Element is int32_t or Element is int64_t:
            if Element is Wide:
                value = x[i]
            else:
                value = wide(x[i])
            by = 1 if factor == 0 else factor if counts == NULL else factor * counts[i]
            if Storage is float or Storage is double:
                y[i] = <Storage> wide_quotient(value, <int64_t> by)
            else:
                if by != 1:
                    value = wide_round(value, <int64_t> by)
                y[i] = saturate_wide(value, tag)
        else:
            y[i] = <Storage> x[i]


cdef void store(char* y, const Element* x, const double* counts, double factor, Py_ssize_t n,
                int code) noexcept nogil:
    """Write n elements at y, side by side in native order, as the storage of `code`."""
    cdef Py_ssize_t i
    if Element is not uint8_t and Element is not uint16_t:
        if code == F32:
            store_as(<float*> y, x, counts, factor, n)
        elif code == F64:
            store_as(<double*> y, x, counts, factor, n)
        elif code == U8:
            store_as(<uint8_t*> y, x, counts, factor, n)
        elif code == I8:
            store_as(<int8_t*> y, x, counts, factor, n)
        elif code == U16:
            store_as(<uint16_t*> y, x, counts, factor, n)
        elif code == I16:
            store_as(<int16_t*> y, x, counts, factor, n)
        elif code == U32:
            store_as(<uint32_t*> y, x, counts, factor, n)
        elif code == I32:
            store_as(<int32_t*> y, x, counts, factor, n)
        elif code == U64:
            store_as(<uint64_t*> y, x, counts, factor, n)
        elif code == I64:
            store_as(<int64_t*> y, x, counts, factor, n)
        else:
            store_short_float(<uint16_t*> y, x, counts, factor, n, code)
    else:
        memcpy(y, x, n * sizeof(Element))


cdef void store_short_float(uint16_t* y, const Element* x, const double* counts, double factor, Py_ssize_t n,
                            int code) noexcept nogil:
    cdef Py_ssize_t i, done = 0
    cdef float value
    if Element is float:
        if code == F16:
            done = halves_of_floats(y, x, n)
    for i in range(done, n):
        if Element is float or Element is double:
            value = <float> x[i]
        else:
            store_as(&value, x + i, NULL if counts == NULL else counts + i, factor, 1)
        y[i] = float_to_half(value) if code == F16 else float_to_bfloat(value)
