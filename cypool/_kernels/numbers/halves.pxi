# 16-bit floats as float and back: one by one, and in runs.

from libc.stdint cimport int32_t, uint16_t, uint32_t
from libc.string cimport memcpy


cdef inline float half_to_float(uint16_t h) noexcept nogil:
    """float16 bits as a float; no step depends on how the process treats denormals."""
    cdef uint32_t rest = h & 0x7FFF
    cdef uint32_t bits = (rest << 13) + (<uint32_t> 0x70000000 if rest >= 0x7C00 else <uint32_t> 0x38000000)
    cdef float tiny = <float> (<int32_t> rest) * <float> 5.9604644775390625e-08       # rest * 2**-24
    cdef uint32_t tiny_bits
    cdef float value
    memcpy(&tiny_bits, &tiny, 4)
    bits = (tiny_bits if rest < 0x400 else bits) | (<uint32_t> (h & 0x8000) << 16)
    memcpy(&value, &bits, 4)
    return value


cdef inline uint16_t float_to_half(float value) noexcept nogil:
    """Round to nearest, ties to even."""
    cdef uint32_t bits, sign, rest, tiny
    cdef float shifted
    memcpy(&bits, &value, 4)
    sign = (bits >> 16) & 0x8000
    bits &= 0x7FFFFFFF
    memcpy(&shifted, &bits, 4)
    shifted = shifted + <float> 0.5                 # aligns the last bit of a subnormal half
    memcpy(&tiny, &shifted, 4)
    rest = (bits + <uint32_t> 0xC8000FFF + ((bits >> 13) & 1)) >> 13
    rest = (tiny - <uint32_t> 0x3F000000) if bits < 0x38800000 else rest
    rest = <uint32_t> 0x7C00 if bits >= 0x477FF000 else rest
    rest = <uint32_t> 0x7E00 if bits > 0x7F800000 else rest
    return <uint16_t> (sign | rest)


cdef extern from *:
    """
    #ifdef __F16C__
    #include <immintrin.h>
    /* The same conversions eight at a time; they give back how many they did. */
    static Py_ssize_t cypool_floats_of_halves(float *y, const unsigned short *x, Py_ssize_t n) {
        Py_ssize_t i;
        for (i = 0; i + 8 <= n; i += 8)
            _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (x + i))));
        return i;
    }
    static Py_ssize_t cypool_halves_of_floats(unsigned short *y, const float *x, Py_ssize_t n) {
        const __m256 sign = _mm256_set1_ps(-0.0f), nan = _mm256_set1_ps(__builtin_nanf(""));
        Py_ssize_t i;
        for (i = 0; i + 8 <= n; i += 8) {
            __m256 v = _mm256_loadu_ps(x + i);
            __m256 plain = _mm256_or_ps(_mm256_and_ps(v, sign), nan);      /* NaN without its payload */
            v = _mm256_blendv_ps(v, plain, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
            _mm_storeu_si128((__m128i *) (y + i), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
        }
        return i;
    }
    #else
    #define cypool_floats_of_halves(y, x, n) 0
    #define cypool_halves_of_floats(y, x, n) 0
    #endif
    """
    Py_ssize_t floats_of_halves "cypool_floats_of_halves"(float* y, const uint16_t* x, Py_ssize_t n) noexcept nogil
    Py_ssize_t halves_of_floats "cypool_halves_of_floats"(uint16_t* y, const float* x, Py_ssize_t n) noexcept nogil


cdef inline float bfloat_to_float(uint16_t b) noexcept nogil:
    cdef uint32_t bits = <uint32_t> b << 16
    cdef float value
    memcpy(&value, &bits, 4)
    return value


cdef inline uint16_t float_to_bfloat(float value) noexcept nogil:
    """Round to nearest, ties to even."""
    cdef uint32_t bits, rounded
    memcpy(&bits, &value, 4)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return <uint16_t> (((bits >> 16) | 0x40) if (bits & 0x7FFFFFFF) > 0x7F800000 else rounded)
