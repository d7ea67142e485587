# Shuffles: vectors of every second number, of two in turn, and squares turned upright, spelled out for compilers that
# do not find them.

cdef extern from *:
    """
    /* Every second number of 128 bytes, from the first or the second on. Compilers find the shuffles for numbers of one
       and two bytes by themselves. */
    #if defined(__AVX512F__)
    #define CYPOOL_LANES 64
    #define CYPOOL_SQUARE_4(number, zip) CYPOOL_TURN_16(number, zip)
    #define CYPOOL_SQUARE_8(number, zip) CYPOOL_TURN_8(number, zip)
    #define CYPOOL_HALF_4(a, b, o) __builtin_shufflevector(a, b, o, 2 + o, 4 + o, 6 + o, 8 + o, 10 + o, 12 + o, \
        14 + o, 16 + o, 18 + o, 20 + o, 22 + o, 24 + o, 26 + o, 28 + o, 30 + o)
    #define CYPOOL_HALF_8(a, b, o) __builtin_shufflevector(a, b, o, 2 + o, 4 + o, 6 + o, 8 + o, 10 + o, 12 + o, 14 + o)
    #define CYPOOL_EVEN_4(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31)
    #define CYPOOL_EVEN_8(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 9, 11, 13, 15)
    #define CYPOOL_ZIP_4(a, b, o) __builtin_shufflevector(a, b, o, 16 + o, 1 + o, 17 + o, 2 + o, 18 + o, 3 + o, \
        19 + o, 4 + o, 20 + o, 5 + o, 21 + o, 6 + o, 22 + o, 7 + o, 23 + o)
    #define CYPOOL_ZIP_8(a, b, o) __builtin_shufflevector(a, b, o, 8 + o, 1 + o, 9 + o, 2 + o, 10 + o, 3 + o, 11 + o)
    #elif defined(__AVX2__)
    #define CYPOOL_LANES 32
    #define CYPOOL_SQUARE_4(number, zip) CYPOOL_TURN_8(number, zip)
    #define CYPOOL_SQUARE_8(number, zip) CYPOOL_TURN_4(number, zip)
    #define CYPOOL_HALF_4(a, b, o) __builtin_shufflevector(a, b, o, 2 + o, 4 + o, 6 + o, 8 + o, 10 + o, 12 + o, 14 + o)
    #define CYPOOL_HALF_8(a, b, o) __builtin_shufflevector(a, b, o, 2 + o, 4 + o, 6 + o)
    #define CYPOOL_EVEN_4(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 9, 11, 13, 15)
    #define CYPOOL_EVEN_8(a, b) __builtin_shufflevector(a, b, 0, 2, 5, 7)
    #define CYPOOL_ZIP_4(a, b, o) __builtin_shufflevector(a, b, o, 8 + o, 1 + o, 9 + o, 2 + o, 10 + o, 3 + o, 11 + o)
    #define CYPOOL_ZIP_8(a, b, o) __builtin_shufflevector(a, b, o, 4 + o, 1 + o, 5 + o)
    #else
    #define CYPOOL_LANES 16
    #define CYPOOL_SQUARE_4(number, zip) CYPOOL_TURN_4(number, zip)
    #define CYPOOL_SQUARE_8(number, zip) CYPOOL_TURN_2(number, zip)
    #define CYPOOL_HALF_4(a, b, o) __builtin_shufflevector(a, b, o, 2 + o, 4 + o, 6 + o)
    #define CYPOOL_HALF_8(a, b, o) __builtin_shufflevector(a, b, o, 2 + o)
    #define CYPOOL_EVEN_4(a, b) __builtin_shufflevector(a, b, 0, 2, 5, 7)
    #define CYPOOL_EVEN_8(a, b) __builtin_shufflevector(a, b, 0, 3)
    #define CYPOOL_ZIP_4(a, b, o) __builtin_shufflevector(a, b, o, 4 + o, 1 + o, 5 + o)
    #define CYPOOL_ZIP_8(a, b, o) __builtin_shufflevector(a, b, o, 2 + o)
    #endif
    #define CYPOOL_HALVE(number, shuffle) { \
        typedef number Lanes __attribute__((vector_size(CYPOOL_LANES))); \
        int i; \
        for (i = 0; i < 64; i += CYPOOL_LANES) { \
            Lanes a, b; \
            memcpy(&a, x + 2 * i, CYPOOL_LANES); \
            memcpy(&b, x + 2 * i + CYPOOL_LANES, CYPOOL_LANES); \
            a = odd ? shuffle(a, b, 1) : shuffle(a, b, 0); \
            memcpy(y + i, &a, CYPOOL_LANES); \
        } }
    #define CYPOOL_EVEN(number, shuffle) { \
        typedef number Lanes __attribute__((vector_size(CYPOOL_LANES))); \
        int i; \
        for (i = 0; i < 64; i += CYPOOL_LANES) { \
            Lanes a, b; \
            memcpy(&a, x + 2 * i, CYPOOL_LANES); \
            memcpy(&b, x + 2 * i + CYPOOL_LANES - sizeof(number), CYPOOL_LANES); \
            a = shuffle(a, b); \
            memcpy(y + i, &a, CYPOOL_LANES); \
        } }
    #define CYPOOL_ZIP(number, shuffle) { \
        typedef number Lanes __attribute__((vector_size(CYPOOL_LANES))); \
        int i; \
        for (i = 0; i < 64; i += CYPOOL_LANES) { \
            Lanes va, vb, low, high; \
            memcpy(&va, a + i, CYPOOL_LANES); \
            memcpy(&vb, b + i, CYPOOL_LANES); \
            low = shuffle(va, vb, 0); \
            high = shuffle(va, vb, CYPOOL_LANES / 2 / (int) sizeof(number)); \
            memcpy(y + 2 * i, &low, CYPOOL_LANES); \
            memcpy(y + 2 * i + CYPOOL_LANES, &high, CYPOOL_LANES); \
        } }
    /* A square turned upright: each time the rows of both halves take turns, number by number, which moves the bits of
       a number's place on by one. */
    #define CYPOOL_PAIR(zip, b, a, n, i) \
        b[2 * (i)] = zip(a[i], a[(i) + n / 2], 0); \
        b[2 * (i) + 1] = zip(a[i], a[(i) + n / 2], n / 2);
    #define CYPOOL_PAIRS_2(zip, b, a, n, i) CYPOOL_PAIR(zip, b, a, n, i)
    #define CYPOOL_PAIRS_4(zip, b, a, n, i) CYPOOL_PAIRS_2(zip, b, a, n, i) CYPOOL_PAIR(zip, b, a, n, i + 1)
    #define CYPOOL_PAIRS_8(zip, b, a, n, i) CYPOOL_PAIRS_4(zip, b, a, n, i) CYPOOL_PAIRS_4(zip, b, a, n, i + 2)
    #define CYPOOL_PAIRS_16(zip, b, a, n, i) CYPOOL_PAIRS_8(zip, b, a, n, i) CYPOOL_PAIRS_8(zip, b, a, n, i + 4)
    #define CYPOOL_IN(i) memcpy(&a[i], x + (i) * x_row, CYPOOL_LANES); __builtin_prefetch(x + (i) * x_row + 512);
    #define CYPOOL_OUT_A(i) memcpy(y + (i) * y_row, &a[i], CYPOOL_LANES);
    #define CYPOOL_OUT_B(i) memcpy(y + (i) * y_row, &b[i], CYPOOL_LANES);
    #define CYPOOL_ALL_2(what, i) what(i) what(i + 1)
    #define CYPOOL_ALL_4(what, i) CYPOOL_ALL_2(what, i) CYPOOL_ALL_2(what, i + 2)
    #define CYPOOL_ALL_8(what, i) CYPOOL_ALL_4(what, i) CYPOOL_ALL_4(what, i + 4)
    #define CYPOOL_ALL_16(what, i) CYPOOL_ALL_8(what, i) CYPOOL_ALL_8(what, i + 8)
    #define CYPOOL_TURN_BEGIN(number, n) \
        typedef number Lanes __attribute__((vector_size(CYPOOL_LANES))); \
        Lanes a[n], b[n]; \
        CYPOOL_ALL_##n(CYPOOL_IN, 0)
    #define CYPOOL_TURN_2(number, zip) { CYPOOL_TURN_BEGIN(number, 2) \
        CYPOOL_PAIRS_2(zip, b, a, 2, 0) CYPOOL_ALL_2(CYPOOL_OUT_B, 0) }
    #define CYPOOL_TURN_4(number, zip) { CYPOOL_TURN_BEGIN(number, 4) \
        CYPOOL_PAIRS_4(zip, b, a, 4, 0) CYPOOL_PAIRS_4(zip, a, b, 4, 0) CYPOOL_ALL_4(CYPOOL_OUT_A, 0) }
    #define CYPOOL_TURN_8(number, zip) { CYPOOL_TURN_BEGIN(number, 8) \
        CYPOOL_PAIRS_8(zip, b, a, 8, 0) CYPOOL_PAIRS_8(zip, a, b, 8, 0) CYPOOL_PAIRS_8(zip, b, a, 8, 0) \
        CYPOOL_ALL_8(CYPOOL_OUT_B, 0) }
    #define CYPOOL_TURN_16(number, zip) { CYPOOL_TURN_BEGIN(number, 16) \
        CYPOOL_PAIRS_16(zip, b, a, 16, 0) CYPOOL_PAIRS_16(zip, a, b, 16, 0) CYPOOL_PAIRS_16(zip, b, a, 16, 0) \
        CYPOOL_PAIRS_16(zip, a, b, 16, 0) CYPOOL_ALL_16(CYPOOL_OUT_A, 0) }
    #define CYPOOL_TURNS(number) { \
        int i; \
        for (i = 0; i < 64 / (int) sizeof(number); i++) { \
            memcpy(y + 2 * i * sizeof(number), a + i * sizeof(number), sizeof(number)); \
            memcpy(y + (2 * i + 1) * sizeof(number), b + i * sizeof(number), sizeof(number)); \
        } }
    #define CYPOOL_PICK(number) { \
        int i; \
        for (i = 0; i < 64 / (int) sizeof(number); i++) \
            memcpy(y + i * sizeof(number), x + (2 * i + odd) * sizeof(number), sizeof(number)); }
    #if defined(__clang__) || defined(__GNUC__) && __GNUC__ >= 12
    #define cypool_inline static inline __attribute__((always_inline))
    #else
    #define cypool_inline static inline
    #undef CYPOOL_HALVE
    #undef CYPOOL_EVEN
    #undef CYPOOL_ZIP
    #define CYPOOL_HALVE(number, shuffle) CYPOOL_PICK(number)
    #define CYPOOL_EVEN(number, shuffle) CYPOOL_PICK(number)
    #define CYPOOL_ZIP(number, shuffle) CYPOOL_TURNS(number)
    #undef CYPOOL_SQUARE_4
    #undef CYPOOL_SQUARE_8
    #define CYPOOL_ONE_BY_ONE(number) { \
        int i, k; \
        for (i = 0; i < CYPOOL_LANES / (int) sizeof(number); i++) \
            for (k = 0; k < CYPOOL_LANES / (int) sizeof(number); k++) \
                memcpy(y + k * y_row + i * sizeof(number), x + i * x_row + k * sizeof(number), sizeof(number)); }
    #define CYPOOL_SQUARE_4(number, zip) CYPOOL_ONE_BY_ONE(number)
    #define CYPOOL_SQUARE_8(number, zip) CYPOOL_ONE_BY_ONE(number)
    #endif
    cypool_inline void cypool_halve(char *y, const char *x, int odd, int size) {
        if (size == 4) CYPOOL_HALVE(unsigned int, CYPOOL_HALF_4)
        else if (size == 8) CYPOOL_HALVE(unsigned long long, CYPOOL_HALF_8)
        else if (size == 2) CYPOOL_PICK(unsigned short)
        else CYPOOL_PICK(unsigned char)
    }
    /* 64 bytes of every second float or double, reading nothing behind the last one. */
    cypool_inline void cypool_even(char *y, const char *x, int size) {
        const int odd = 0;
        if (size == 4) CYPOOL_EVEN(unsigned int, CYPOOL_EVEN_4)
        else CYPOOL_EVEN(unsigned long long, CYPOOL_EVEN_8)
        (void) odd;
    }
    /* 64 bytes of a and of b in turn. */
    cypool_inline void cypool_zip(char *y, const char *a, const char *b, int size) {
        if (size == 4) CYPOOL_ZIP(unsigned int, CYPOOL_ZIP_4)
        else if (size == 8) CYPOOL_ZIP(unsigned long long, CYPOOL_ZIP_8)
        else if (size == 2) CYPOOL_TURNS(unsigned short)
        else CYPOOL_TURNS(unsigned char)
    }
    /* A square of CYPOOL_LANES bytes of numbers of four or eight bytes; rows are so many bytes apart. */
    cypool_inline void cypool_turn(char *y, const char *x, Py_ssize_t y_row, Py_ssize_t x_row, int size) {
        if (size == 4) CYPOOL_SQUARE_4(unsigned int, CYPOOL_ZIP_4)
        else CYPOOL_SQUARE_8(unsigned long long, CYPOOL_ZIP_8)
    }
    """
    const int LANES_OF_A_SQUARE "CYPOOL_LANES"      # in bytes
    void halve "cypool_halve"(char* y, const char* x, int odd, int size) noexcept nogil
    void take_even "cypool_even"(char* y, const char* x, int size) noexcept nogil
    void zip_two "cypool_zip"(char* y, const char* a, const char* b, int size) noexcept nogil
    void turn_square "cypool_turn"(char* y, const char* x, Py_ssize_t y_row, Py_ssize_t x_row, int size) noexcept nogil
