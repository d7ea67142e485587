# cython: language_level=3
"""What this processor and this build can do."""

cdef extern from *:
    """
    #if (defined(__x86_64__) || defined(_M_X64)) && (defined(__GNUC__) || defined(__clang__))
    /* "x86-64-v4" as a name needs gcc 12 or clang 16, so the features are named one by one. The compiler's check
       asks the operating system too, which must save the wide registers. */
    static int cypool_avx2(void) {
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi")
            && __builtin_cpu_supports("bmi2");
    }
    static int cypool_avx512(void) {
        return cypool_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512vl");
    }
    #elif defined(_M_X64)
    #include <immintrin.h>
    #include <intrin.h>
    static int cypool_avx2(void) {
        int r[4];
        __cpuid(r, 0);
        if (r[0] < 7) return 0;
        __cpuid(r, 1);
        if (!(r[2] & (1 << 27)) || !(r[2] & (1 << 12)) || (_xgetbv(0) & 6) != 6) return 0;
        __cpuidex(r, 7, 0);
        return (r[1] & (1 << 5)) && (r[1] & (1 << 3)) && (r[1] & (1 << 8));
    }
    static int cypool_avx512(void) {
        int r[4];
        if (!cypool_avx2() || (_xgetbv(0) & 0xe6) != 0xe6) return 0;
        __cpuidex(r, 7, 0);
        return (r[1] & (1 << 16)) && (r[1] & (1 << 17)) && (r[1] & (1 << 28)) && (r[1] & (1 << 30))
            && ((unsigned) r[1] >> 31);
    }
    #else
    static int cypool_avx2(void) { return 0; }
    static int cypool_avx512(void) { return 0; }
    #endif

    #ifdef _OPENMP
    #include <omp.h>
    #define cypool_openmp _OPENMP
    #define cypool_max_threads() omp_get_max_threads()
    #else
    #define cypool_openmp 0
    #define cypool_max_threads() 1
    #endif

    #if defined(__clang__)
    #define cypool_compiler "clang " __clang_version__
    #elif defined(__GNUC__)
    #define cypool_compiler "gcc " __VERSION__
    #elif defined(_MSC_VER)
    #define cypool_compiler "MSVC"
    #else
    #define cypool_compiler "unknown"
    #endif
    """
    int cypool_avx2()
    int cypool_avx512()
    int cypool_openmp
    int cypool_max_threads()
    const char* cypool_compiler


def features() -> dict[str, bool]:
    """The instruction sets beyond the baseline that processor and operating system support."""
    return {"avx2": bool(cypool_avx2()), "avx512": bool(cypool_avx512())}


def openmp() -> int:
    """The version of OpenMP (its year and month), or 0 where the build has none."""
    return cypool_openmp


def max_threads() -> int:
    """How many threads OpenMP would use now: OMP_NUM_THREADS, affinity and threadpoolctl have their say."""
    return cypool_max_threads()


def compiler() -> str:
    """The compiler of this build."""
    return cypool_compiler.decode()
