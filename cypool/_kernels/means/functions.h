/* Exponentials, logarithms and cube roots, by additions and multiplications alone, so that loops over them become
 * vectors and every build gives the same bits. Errors stay below one unit in the last place, and one and a half for
 * exponentials. The polynomials were fitted at Chebyshev nodes with forty digits. Nothing is chosen by a branch: where
 * divisions may trap, compilers do not make vectors of that. */

#include <stdint.h>
#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE uint32_t cypool_bits_f(float x) { uint32_t b; memcpy(&b, &x, 4); return b; }
ALWAYS_INLINE uint64_t cypool_bits_d(double x) { uint64_t b; memcpy(&b, &x, 8); return b; }
ALWAYS_INLINE float cypool_float_of(uint32_t b) { float x; memcpy(&x, &b, 4); return x; }
ALWAYS_INLINE double cypool_double_of(uint64_t b) { double x; memcpy(&x, &b, 8); return x; }

/* w = exp(x) = 2^k (1 + q) with 1 + q = exp(r), |r| <= log(2) / 2, and v = exp(x) - 1. k is found by adding a number so
 * large that its last bit is 1. What would be less than the normal numbers is 0; NaN stays. */

ALWAYS_INLINE void cypool_exp_f(float x, float *w, float *v) {
    const float large = 12582912.0f, low = -87.33f;
    float t = x < low ? low : x, n, r, p, scale;
    t = t > 89.0f ? 89.0f : t;
    n = t * 1.44269504f + large;
    scale = cypool_float_of((cypool_bits_f(n) + (127u - 0x4B400000u)) << 23);
    n = n - large;
    r = t - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    p = 0.00139269266f;
    p = p * r + 0.00836377387f;
    p = p * r + 0.0416665501f;
    p = p * r + 0.166665734f;
    p = p * r + 0.5f;
    p = p * (r * r) + r;
    *w = cypool_float_of(cypool_bits_f((p + 1.0f) * scale) & ((uint32_t) (x < low) - 1u));
    *v = p * scale + (scale - 1.0f);
}

ALWAYS_INLINE void cypool_exp_d(double x, double *w, double *v) {
    const double large = 6755399441055744.0, low = -708.39;
    double t = x < low ? low : x, n, r, p, scale;
    t = t > 710.0 ? 710.0 : t;
    n = t * 1.4426950408889634 + large;
    scale = cypool_double_of((cypool_bits_d(n) + (1023ull - 0x4338000000000000ull)) << 52);
    n = n - large;
    r = t - n * 0.693147180369123816490;
    r = r - n * 1.90821492927058770002e-10;
    p = 2.51013469283503402e-8;
    p = p * r + 2.76213386691429238e-7;
    p = p * r + 2.75572664186123037e-6;
    p = p * r + 2.48015186410413959e-5;
    p = p * r + 1.98412698643805133e-4;
    p = p * r + 1.38888889189391678e-3;
    p = p * r + 8.33333333332979350e-3;
    p = p * r + 4.16666666666206386e-2;
    p = p * r + 1.66666666666666675e-1;
    p = p * r + 0.5;
    p = p * (r * r) + r;
    *w = cypool_double_of(cypool_bits_d((p + 1.0) * scale) & ((uint64_t) (x < low) - 1ull));
    *v = p * scale + (scale - 1.0);
}

/* log(x) = k log(2) + log(1 + f), 1 + f between the roots of 1/2 and 2, for positive normal x alone; with
 * s = f / (2 + f) it is f - s (f - s^2 R(s^2)), so that nothing is lost near 1. `less` is x less 1, and taken for f
 * where k would be 0, if it is known better than x; else NaN. */

ALWAYS_INLINE float cypool_log_f(float x, float less) {
    const uint32_t shifted = cypool_bits_f(x) - 0x3F3504F3u;
    const uint32_t near = 0u - (uint32_t) ((less > -0.29f) & (less < 0.41f));
    const float k = cypool_float_of(cypool_bits_f((float) ((int32_t) shifted >> 23)) & ~near);
    const float rest = cypool_float_of((shifted & 0x7FFFFFu) + 0x3F3504F3u) - 1.0f;
    const float f = cypool_float_of((cypool_bits_f(less) & near) | (cypool_bits_f(rest) & ~near));
    const float s = f / (2.0f + f), z = s * s;
    float r = 0.295903174f;
    r = r * z + 0.399885510f;
    r = r * z + 0.666666856f;
    return k * 0.693359375f + (f - (s * (f - z * r) - k * -2.12194440e-4f));
}

ALWAYS_INLINE double cypool_log_d(double x, double less) {
    const uint64_t shifted = cypool_bits_d(x) - 0x3FE6A09E667F3BCDull;
    const uint64_t near = 0ull - (uint64_t) ((less > -0.29) & (less < 0.41));
    /* the exponent as a double, without the conversion that few machines have */
    const double exponent =
        cypool_double_of(((shifted + (1024ull << 52)) >> 52) | 0x4330000000000000ull) - 4503599627371520.0;
    const double k = cypool_double_of(cypool_bits_d(exponent) & ~near);
    const double rest = cypool_double_of((shifted & 0xFFFFFFFFFFFFFull) + 0x3FE6A09E667F3BCDull) - 1.0;
    const double f = cypool_double_of((cypool_bits_d(less) & near) | (cypool_bits_d(rest) & ~near));
    const double s = f / (2.0 + f), z = s * s;
    double r = 0.146300313641228605;
    r = r * z + 0.153306173067433049;
    r = r * z + 0.181829225135159416;
    r = r * z + 0.222222106742385152;
    r = r * z + 0.285714286288109956;
    r = r * z + 0.399999999998932218;
    r = r * z + 0.666666666666666991;
    return k * 0.693147180369123816490 + (f - (s * (f - z * r) - k * 1.90821492927058770002e-10));
}

/* The cube root of a normal number, not negative, or 0: a guess by its bits, then steps of Halley's. */

#define CYPOOL_HALLEY(y, cube, x) ((y) + (y) * ((x) - (cube)) / ((cube) + (cube) + (x)))

ALWAYS_INLINE float cypool_cbrt_f(float x) {
    float y = cypool_float_of(cypool_bits_f(x) / 3 + 709921077u);
    y = CYPOOL_HALLEY(y, y * y * y, x);
    y = CYPOOL_HALLEY(y, y * y * y, x);
    return cypool_float_of(cypool_bits_f(y) & (0u - (uint32_t) (x != 0.0f)));
}

ALWAYS_INLINE double cypool_cbrt_d(double x) {
    const uint32_t high = (uint32_t) (cypool_bits_d(x) >> 32) / 3 + 715094163u;
    double y = cypool_double_of((uint64_t) high << 32);
    y = CYPOOL_HALLEY(y, y * y * y, x);
    y = CYPOOL_HALLEY(y, y * y * y, x);
    y = CYPOOL_HALLEY(y, y * y * y, x);
    return cypool_double_of(cypool_bits_d(y) & (0ull - (uint64_t) (x != 0.0)));
}

/* v, and 0 where a and b are. */

ALWAYS_INLINE float cypool_unless_none_f(float v, float a, float b) {
    return cypool_float_of(cypool_bits_f(v) & (0u - (uint32_t) ((a != 0.0f) | (b != 0.0f))));
}

ALWAYS_INLINE double cypool_unless_none_d(double v, double a, double b) {
    return cypool_double_of(cypool_bits_d(v) & (0ull - (uint64_t) ((a != 0.0) | (b != 0.0))));
}
