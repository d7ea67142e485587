/* Vectors: the only file that knows an instruction set.

   A *block* is one AVX-512 register, one of AVX2, two of SSE2 or NEON. No result depends on how many numbers it holds.
   A block type is a struct, for _Generic to tell them apart.

   Each operation is written for one register (a *part*) and repeated for the parts of a block. */
#ifndef CYPOOL_VECTORS_H
#define CYPOOL_VECTORS_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define CYPOOL_X86 1
#else
#define CYPOOL_X86 0
#endif

#if defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#define VB 64                   /* bytes of a register */
#define N1 64                   /* numbers of one, two, four, eight bytes in it */
#define N2 32
#define N4 16
#define N8 8
#elif defined(__AVX2__)
#define VB 32
#define N1 32
#define N2 16
#define N4 8
#define N8 4
#else
#define VB 16
#define N1 16
#define N2 8
#define N4 4
#define N8 2
#endif
#define BLOCK (VB < 32 ? 32 : VB)   /* bytes of a block */
#define PARTS (BLOCK / VB)
#define SPELLED_OUT (VB >= 32)   /* whether common windows have loops of their own */
#define EACH_PART for (int part = 0; part < PARTS; part++)
#define INLINE static inline __attribute__((always_inline, unused))

/* ------------------------------------------------------------------ lists of lanes, and shuffles by them */

#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)
#define S1(i, d) (i)
#define S2(i, d) (i), (i) + (d)
#define S4(i, d) S2(i, d), S2((i) + 2 * (d), d)
#define S8(i, d) S4(i, d), S4((i) + 4 * (d), d)
#define S16(i, d) S8(i, d), S8((i) + 8 * (d), d)
#define S32(i, d) S16(i, d), S16((i) + 16 * (d), d)
#define S64(i, d) S32(i, d), S32((i) + 32 * (d), d)
#define Z1(i, n) (i), (i) + (n)
#define Z2(i, n) Z1(i, n), Z1((i) + 1, n)
#define Z4(i, n) Z2(i, n), Z2((i) + 2, n)
#define Z8(i, n) Z4(i, n), Z4((i) + 4, n)
#define Z16(i, n) Z8(i, n), Z8((i) + 8, n)
#define Z32(i, n) Z16(i, n), Z16((i) + 16, n)
#define HALF_2 1
#define HALF_4 2
#define HALF_8 4
#define HALF_16 8
#define HALF_32 16
#define HALF_64 32
#define TURNS(n, first) CAT(Z, CAT(HALF_, n))(first, n)         /* n lanes of two vectors in turn, from `first` on */
#define SERIES(n, first, step) CAT(S, n)(first, step)           /* n lanes from `first` on, `step` apart */


#if defined(__clang__)
#define SHUFFLE(a, b, index, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, index, ...) __builtin_shuffle(a, b, (index){__VA_ARGS__})
#endif

/* ------------------------------------------------------------------ masks of lanes */

/* 64 bytes of zeros, 64 of ones, 64 of zeros: a window into them is a mask that begins or ends at any lane. */
static const unsigned char cypool_edges[192] __attribute__((aligned(64), unused)) = {
#define ONES 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255
    [64] = ONES, ONES, ONES, ONES
#undef ONES
};

/* Which lanes of a block: bits where there are mask registers, else bytes. */
#if VB == 64
typedef struct { uint64_t bits; } Mask;
#else
typedef char cypool_chars __attribute__((vector_size(VB), may_alias));
typedef struct { cypool_chars v[PARTS]; } Mask;
#endif

/* ------------------------------------------------------------------ what every type has

   T: block; number: a lane; whole: the integer of its width; positive: the same without sign; n: lanes of a part. */

#define CYPOOL_TYPE(T, number, whole, positive, n) \
typedef number T##_part __attribute__((vector_size(VB), may_alias)); \
typedef whole T##_whole __attribute__((vector_size(VB), may_alias)); \
typedef positive T##_bits __attribute__((vector_size(VB), may_alias)); \
typedef T##_part T##_loose __attribute__((aligned(1))); \
typedef struct { T##_part v[PARTS]; } T; \
INLINE T##_part T##_choose(T##_whole mask, T##_part a, T##_part b) { \
    return (T##_part) ((mask & (T##_whole) a) | (~mask & (T##_whole) b)); } \
INLINE T##_whole T##_mask(int from, int to) {                   /* lanes from..to, which may lie beyond both ends */ \
    T##_whole a, b; \
    from = (from < 0 ? 0 : from > n ? n : from) * (int) sizeof(number); \
    to = (to < 0 ? 0 : to > n ? n : to) * (int) sizeof(number); \
    memcpy(&a, cypool_edges + 64 - from, VB); \
    memcpy(&b, cypool_edges + 128 - to, VB); \
    return a & b; } \
INLINE T##_part T##_evens(T##_part a, T##_part b) { return SHUFFLE(a, b, T##_whole, SERIES(n, 0, 2)); } \
INLINE T##_part T##_odds(T##_part a, T##_part b) { return SHUFFLE(a, b, T##_whole, SERIES(n, 1, 2)); } \
INLINE T##_part T##_after(T##_part a, T##_part b, int by) {     /* lanes `by`.. of a and b in a row */ \
    if (by == 1) return SHUFFLE(a, b, T##_whole, SERIES(n, 1, 1)); \
    if (by == 2) return SHUFFLE(a, b, T##_whole, SERIES(n, 2, 1)); \
    if (by == 3) return SHUFFLE(a, b, T##_whole, SERIES(n, 3, 1)); \
    T##_part both[3]; \
    both[0] = a, both[1] = b, both[2] = b; \
    memcpy(&a, (const char *) both + by * sizeof(number), VB); \
    return a; } \
INLINE void T##_halve(T *y, T *z, const T *a, const T *b) {     /* y, z = lanes 0, 2, ... and 1, 3, ... of a and b */ \
    T##_part all[2 * PARTS]; \
    EACH_PART { all[part] = a->v[part]; all[PARTS + part] = b->v[part]; } \
    EACH_PART { y->v[part] = T##_evens(all[2 * part], all[2 * part + 1]); \
                z->v[part] = T##_odds(all[2 * part], all[2 * part + 1]); } } \
INLINE void T##_zip(T *y, T *z, const T *a, const T *b) {       /* y, z in a row = a and b in turn */ \
    T##_part all[2 * PARTS]; \
    EACH_PART { all[2 * part] = SHUFFLE(a->v[part], b->v[part], T##_whole, TURNS(n, 0)); \
                all[2 * part + 1] = SHUFFLE(a->v[part], b->v[part], T##_whole, TURNS(n, n / 2)); } \
    EACH_PART { y->v[part] = all[part]; z->v[part] = all[PARTS + part]; } } \
INLINE void T##_shifted(T *y, const T *a, const T *b, int by) {  /* lanes `by`.. of a and b in a row */ \
    T##_part all[2 * PARTS]; \
    EACH_PART { all[part] = a->v[part]; all[PARTS + part] = b->v[part]; } \
    if (by < (n < 4 ? n : 4)) EACH_PART y->v[part] = T##_after(all[part], all[part + 1], by); \
    else memcpy(y, (const char *) all + by * sizeof(number), BLOCK); } \
INLINE void T##_set(T *y, number value) { EACH_PART y->v[part] = value - (T##_part) {0}; } \
INLINE void T##_add(T *y, const T *x) { EACH_PART y->v[part] = y->v[part] + x->v[part]; } \
INLINE void T##_scale(T *y, const T *x) { EACH_PART y->v[part] = y->v[part] * x->v[part]; } \
INLINE void T##_divide(T *y, const T *x) { EACH_PART y->v[part] = y->v[part] / x->v[part]; } \
INLINE void T##_turn(T *y, const T *x) { \
    EACH_PART y->v[part] = (T##_part) ((T##_whole) y->v[part] ^ (T##_whole) x->v[part]); } \
INLINE void T##_larger(T *y, const T *x) { EACH_PART y->v[part] = T##_max(x->v[part], y->v[part]); } \
INLINE void T##_note_least(T *y, const T *x) {                  /* the least of the bits, taken for signed integers */ \
    EACH_PART y->v[part] = (T##_part) T##_min_bits((T##_whole) y->v[part], (T##_whole) x->v[part]); } \
INLINE int T##_has_nan(const T *x) { \
    int found = 0; \
    number lane[BLOCK / sizeof(number)]; \
    memcpy(lane, x, BLOCK); \
    for (int i = 0; i < (int) (BLOCK / sizeof(number)); i++) found |= lane[i] != lane[i]; \
    return found; } \
INLINE int T##_has_negative_zero(const T *x) { \
    int found = 0; \
    positive lane[BLOCK / sizeof(number)]; \
    memcpy(lane, x, BLOCK); \
    for (int i = 0; i < (int) (BLOCK / sizeof(number)); i++) \
        found |= lane[i] == (positive) 1 << (8 * sizeof(number) - 1); \
    return found; }

#define CYPOOL_LOAD(T, n) \
INLINE T##_part T##_load_part(const char *p) { return *(const T##_loose *) p; } \
INLINE void T##_load(T *y, const char *p) { EACH_PART y->v[part] = T##_load_part(p + part * VB); } \
INLINE void T##_store(char *p, const T *x) { EACH_PART *(T##_loose *) (p + part * VB) = x->v[part]; }

/* The lanes of a mask (of lanes from..to) of what lies at p; `fill` in the others. Nothing outside [low, high) is read. */
#define CYPOOL_LOAD_SOME(T, n) \
INLINE Mask T##_mask_of(int from, int to) { \
    Mask m; \
    EACH_PART m.v[part] = (cypool_chars) T##_mask(from - part * n, to - part * n); \
    return m; } \
INLINE void T##_load_some(T *y, const char *p, const Mask *mask, const T *fill, const char *low, const char *high, \
                          int from, int to) { \
    char some[64]; \
    if (__builtin_expect(p < low || p + BLOCK > high, 0)) { \
        memset(some, 0, sizeof some); \
        if (from < to) memcpy(some + from * (VB / n), p + from * (VB / n), (to - from) * (VB / n)); \
        p = some; \
    } \
    EACH_PART y->v[part] = T##_choose((T##_whole) mask->v[part], T##_load_part(p + part * VB), \
                                      fill->v[part]); } \
INLINE void T##_store_first(char *p, const T *x, int count, const char *limit) { \
    char some[64]; \
    if (p + BLOCK <= limit) { T##_store(p, x); return; } \
    T##_store(some, x); \
    memcpy(p, some, count * (VB / n)); }

#if VB == 64
/* The same with AVX-512: masked lanes are not touched, wherever they lie. */
INLINE Mask cypool_mask_of(int from, int to) {
    Mask m = {from >= to ? 0 : (~(uint64_t) 0 >> (64 - to)) & (~(uint64_t) 0 << from)};
    return m;
}
#define CYPOOL_MASKED(T, n, kind, register_) \
INLINE Mask T##_mask_of(int from, int to) { return cypool_mask_of(from, to); } \
INLINE void T##_load_some(T *y, const char *p, const Mask *mask, const T *fill, const char *low, const char *high, \
                          int from, int to) { \
    y->v[0] = (T##_part) _mm512_mask_loadu_##kind((register_) fill->v[0], (__mmask##n) mask->bits, p); \
    (void) low, (void) high, (void) from, (void) to; } \
INLINE void T##_store_first(char *p, const T *x, int count, const char *limit) { \
    _mm512_mask_storeu_##kind(p, (__mmask##n) (~(uint64_t) 0 >> (64 - count)), (register_) x->v[0]); \
    (void) limit; }
#endif

/* The larger of two lanes: `old` unless `more` is above it, so that the first of equal ones stays and a NaN in `old`
   does too. */
#define CYPOOL_MAX(T) INLINE T##_part T##_max(T##_part more, T##_part old) { \
    return T##_choose((T##_whole) (more > old), more, old); }
#define CYPOOL_MAX_BY(T, type, function) INLINE T##_part T##_max(T##_part more, T##_part old) { \
    return (T##_part) function((type) more, (type) old); }
#define CYPOOL_MIN_BITS(T) INLINE T##_whole T##_min_bits(T##_whole a, T##_whole b) { \
    T##_whole below = (T##_whole) (b < a); return (below & b) | (~below & a); }
#define CYPOOL_MIN_BITS_BY(T, type, function) INLINE T##_whole T##_min_bits(T##_whole a, T##_whole b) { \
    return (T##_whole) function((type) a, (type) b); }

#define CYPOOL_HEAD(T, number, whole) \
typedef number T##_part __attribute__((vector_size(VB), may_alias)); \
typedef whole T##_whole __attribute__((vector_size(VB), may_alias)); \
INLINE T##_part T##_choose(T##_whole mask, T##_part a, T##_part b);
CYPOOL_HEAD(Floats, float, int32_t)
CYPOOL_HEAD(Doubles, double, int64_t)
CYPOOL_HEAD(Bytes, uint8_t, int8_t)
CYPOOL_HEAD(Shorts, uint16_t, int16_t)

#if VB == 64
CYPOOL_MAX_BY(Floats, __m512, _mm512_max_ps)
CYPOOL_MAX_BY(Doubles, __m512d, _mm512_max_pd)
CYPOOL_MAX_BY(Bytes, __m512i, _mm512_max_epu8)
CYPOOL_MAX_BY(Shorts, __m512i, _mm512_max_epu16)
CYPOOL_MIN_BITS_BY(Floats, __m512i, _mm512_min_epi32)
CYPOOL_MIN_BITS_BY(Doubles, __m512i, _mm512_min_epi64)
#elif VB == 32
CYPOOL_MAX_BY(Floats, __m256, _mm256_max_ps)
CYPOOL_MAX_BY(Doubles, __m256d, _mm256_max_pd)
CYPOOL_MAX_BY(Bytes, __m256i, _mm256_max_epu8)
CYPOOL_MAX_BY(Shorts, __m256i, _mm256_max_epu16)
CYPOOL_MIN_BITS_BY(Floats, __m256i, _mm256_min_epi32)
CYPOOL_MIN_BITS(Doubles)
#else
#if CYPOOL_X86
CYPOOL_MAX_BY(Floats, __m128, _mm_max_ps)
CYPOOL_MAX_BY(Doubles, __m128d, _mm_max_pd)
CYPOOL_MAX_BY(Bytes, __m128i, _mm_max_epu8)
#else
CYPOOL_MAX(Floats)
CYPOOL_MAX(Doubles)
CYPOOL_MAX(Bytes)
#endif
CYPOOL_MAX(Shorts)
CYPOOL_MIN_BITS(Floats)
CYPOOL_MIN_BITS(Doubles)
#endif
CYPOOL_MIN_BITS(Bytes)
CYPOOL_MIN_BITS(Shorts)

CYPOOL_TYPE(Floats, float, int32_t, uint32_t, N4)
CYPOOL_TYPE(Doubles, double, int64_t, uint64_t, N8)
CYPOOL_TYPE(Bytes, uint8_t, int8_t, uint8_t, N1)
CYPOOL_TYPE(Shorts, uint16_t, int16_t, uint16_t, N2)

CYPOOL_LOAD(Floats, N4)
CYPOOL_LOAD(Doubles, N8)
CYPOOL_LOAD(Bytes, N1)
CYPOOL_LOAD(Shorts, N2)

#if VB == 64
CYPOOL_MASKED(Floats, 16, ps, __m512)
CYPOOL_MASKED(Doubles, 8, pd, __m512d)
CYPOOL_MASKED(Bytes, 64, epi8, __m512i)
CYPOOL_MASKED(Shorts, 32, epi16, __m512i)
#else
CYPOOL_LOAD_SOME(Floats, N4)
CYPOOL_LOAD_SOME(Doubles, N8)
CYPOOL_LOAD_SOME(Bytes, N1)
CYPOOL_LOAD_SOME(Shorts, N2)
#endif

/* ------------------------------------------------------------------ gradients of what was chosen */

/* y += the numbers at p whose ordinals at o are `tap`. */
#if VB == 64
#define CYPOOL_ADD_CHOSEN(T, n, bytes, kind, register_) \
INLINE void T##_add_chosen(T *y, const char *p, const char *o, int tap) { \
    __mmask##n chosen = (__mmask##n) _mm_cmpeq_epi8_mask(bytes((const __m128i *) o), _mm_set1_epi8((char) tap)); \
    y->v[0] = (T##_part) _mm512_mask_add_##kind((register_) y->v[0], chosen, (register_) y->v[0], _mm512_loadu_##kind(p)); }
CYPOOL_ADD_CHOSEN(Floats, 16, _mm_loadu_si128, ps, __m512)
CYPOOL_ADD_CHOSEN(Doubles, 8, _mm_loadl_epi64, pd, __m512d)
#else
#define CYPOOL_ADD_CHOSEN(T, n) \
typedef uint8_t T##_ordinals __attribute__((vector_size(n), may_alias, aligned(1))); \
INLINE void T##_add_chosen(T *y, const char *p, const char *o, int tap) { \
    EACH_PART { \
        T##_whole named = __builtin_convertvector(*(const T##_ordinals *) (o + part * n), T##_whole) == tap; \
        y->v[part] += (T##_part) (named & (T##_whole) T##_load_part(p + part * VB)); } }
CYPOOL_ADD_CHOSEN(Floats, N4)
CYPOOL_ADD_CHOSEN(Doubles, N8)
#endif

/* ------------------------------------------------------------------ ordinals beside maxima, as integers in the lanes */

/* take: y and o become x and t where x is larger. store_ordinals: the first ones, as bytes. */
#if VB == 64
#define CYPOOL_TAKE(T, n, kind, whole_kind, register_) \
INLINE void T##_take(T *y, T *o, const T *x, const T *t) { \
    __mmask##n more = _mm512_cmp_##kind##_mask((register_) x->v[0], (register_) y->v[0], _CMP_GT_OQ); \
    y->v[0] = (T##_part) _mm512_max_##kind((register_) x->v[0], (register_) y->v[0]); \
    o->v[0] = (T##_part) _mm512_mask_mov_##whole_kind((__m512i) o->v[0], more, (__m512i) t->v[0]); } \
INLINE int T##_any_equal(const T *y, const T *x, int first) { \
    return _mm512_cmp_##kind##_mask((register_) y->v[0], (register_) x->v[0], _CMP_EQ_OQ) & ((1 << first) - 1); } \
INLINE void T##_store_ordinals(char *p, const T *o, int first) { \
    _mm512_mask_cvt##whole_kind##_storeu_epi8(p, (__mmask##n) ((1 << first) - 1), (__m512i) o->v[0]); }
CYPOOL_TAKE(Floats, 16, ps, epi32, __m512)
CYPOOL_TAKE(Doubles, 8, pd, epi64, __m512d)
#else
#define CYPOOL_TAKE(T, n) \
typedef uint8_t T##_bytes __attribute__((vector_size(n))); \
INLINE void T##_take(T *y, T *o, const T *x, const T *t) { \
    EACH_PART { \
        T##_whole more = (T##_whole) (x->v[part] > y->v[part]); \
        y->v[part] = T##_max(x->v[part], y->v[part]); \
        o->v[part] = T##_choose(more, t->v[part], o->v[part]); } } \
INLINE int T##_any_equal(const T *y, const T *x, int first) { \
    T##_whole found = {0}; \
    EACH_PART found |= (T##_whole) (y->v[part] == x->v[part]) & T##_mask(0, first - part * n); \
    for (int i = 1; i < n; i++) found[0] |= found[i]; \
    return found[0] != 0; } \
INLINE void T##_store_ordinals(char *p, const T *o, int first) { \
    char all[BLOCK]; \
    EACH_PART { T##_bytes narrow = __builtin_convertvector((T##_bits) o->v[part], T##_bytes); \
                memcpy(all + part * n, &narrow, n); } \
    memcpy(p, all, first); }
CYPOOL_TAKE(Floats, N4)
CYPOOL_TAKE(Doubles, N8)
#endif
#define CYPOOL_BITS(T) \
INLINE void T##_set_bits(T *y, int value) { EACH_PART y->v[part] = (T##_part) (value - (T##_whole) {0}); } \
INLINE void T##_add_bits(T *y, const T *x, int value) { \
    EACH_PART y->v[part] = (T##_part) ((T##_whole) x->v[part] + value); }
CYPOOL_BITS(Floats)
CYPOOL_BITS(Doubles)

/* ------------------------------------------------------------------ past the caches; into them */

/* Stores a block at an address that is a multiple of its size, past the caches. */
#if CYPOOL_X86 && VB == 64
#define CYPOOL_STREAM(p, v) _mm512_stream_si512((__m512i *) (p), (__m512i) (v))
#elif CYPOOL_X86 && VB == 32
#define CYPOOL_STREAM(p, v) _mm256_stream_si256((__m256i *) (p), (__m256i) (v))
#elif CYPOOL_X86
#define CYPOOL_STREAM(p, v) _mm_stream_si128((__m128i *) (p), (__m128i) (v))
#else
#define CYPOOL_STREAM(p, v) memcpy(p, &(v), VB)
#endif
#define cypool_stream_block(p, x) do { EACH_PART CYPOOL_STREAM((p) + part * VB, (x)->v[part]); } while (0)

/* ------------------------------------------------------------------ the operations by their names */

#define CYPOOL_OF(y, op) _Generic(*(y), Floats: Floats_##op, Doubles: Doubles_##op, \
                                  Bytes: Bytes_##op, Shorts: Shorts_##op)
#define v_load(y, p) CYPOOL_OF(y, load)(y, p)
#define v_set_mask(mask, tag, from, to) (*(mask) = CYPOOL_OF(tag, mask_of)((int) (from), (int) (to)))
#define v_load_some(y, p, mask, fill, low, high, from, to) \
    CYPOOL_OF(y, load_some)(y, p, mask, fill, low, high, (int) (from), (int) (to))
#define v_store(p, x) CYPOOL_OF(x, store)(p, x)
#define v_store_first(p, x, count, limit) CYPOOL_OF(x, store_first)(p, x, (int) (count), limit)
#define v_set(y, value) CYPOOL_OF(y, set)(y, value)
#define v_add(y, x) CYPOOL_OF(y, add)(y, x)
#define v_scale(y, x) CYPOOL_OF(y, scale)(y, x)
#define v_divide(y, x) CYPOOL_OF(y, divide)(y, x)
#define v_turn(y, x) CYPOOL_OF(y, turn)(y, x)
#define v_larger(y, x) CYPOOL_OF(y, larger)(y, x)
#define v_note_least(y, x) CYPOOL_OF(y, note_least)(y, x)
#define v_has_nan(y) CYPOOL_OF(y, has_nan)(y)
#define v_has_negative_zero(y) CYPOOL_OF(y, has_negative_zero)(y)
#define v_halve(y, z, a, b) CYPOOL_OF(y, halve)(y, z, a, b)
#define v_zip(y, z, a, b) CYPOOL_OF(y, zip)(y, z, a, b)
#define v_add_chosen(y, p, o, tap) CYPOOL_REAL(y, add_chosen)(y, p, o, tap)
#define CYPOOL_REAL(y, op) _Generic(*(y), Floats: Floats_##op, Doubles: Doubles_##op)
#define v_take(y, o, x, t) CYPOOL_REAL(y, take)(y, o, x, t)
#define v_equal(y, x, first) CYPOOL_REAL(y, any_equal)(y, x, (int) (first))
#define v_store_ordinals(p, o, first) CYPOOL_REAL(o, store_ordinals)(p, o, (int) (first))
#define v_set_bits(y, value) CYPOOL_REAL(y, set_bits)(y, (int) (value))
#define v_add_bits(y, x, value) CYPOOL_REAL(y, add_bits)(y, x, (int) (value))
#define v_shifted(y, a, b, by) CYPOOL_OF(y, shifted)(y, a, b, (int) (by))

#endif
