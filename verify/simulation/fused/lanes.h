/* Vectors of replicas: one lane is one network, and no operation mixes lanes.

   REAL is float or double. V holds LANES replicas. Every operation treats NaN, infinities and zeros as IEEE 754 says
   and as torch does: relu and MAX hand NaN on, relu'(0) = 0. Contraction of a*b + c to one rounding is allowed. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define POINTS_AT_ONCE 4 /* 4 x 4 accumulators fit 32 registers */
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define POINTS_AT_ONCE 2 /* 4 x 2 accumulators fit 16 registers */
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define POINTS_AT_ONCE 4
#else
#define VECTOR_BYTES 16
#define POINTS_AT_ONCE 2
#endif

#define LANES ((int)(VECTOR_BYTES / sizeof(REAL)))
#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline))
#define ALIGNMENT 64

#if WIDE
typedef double REAL;
typedef int64_t INT;
#else
typedef float REAL;
typedef int32_t INT;
#endif
typedef REAL V __attribute__((vector_size(VECTOR_BYTES)));
typedef INT I __attribute__((vector_size(VECTOR_BYTES)));

INLINE V broadcast(REAL value) { return value - (V){0}; }

/* --- choosing between lanes: SELECT(mask, a, b) is a where the mask is set --- */

#define SELECT(mask, a, b) ((V)(((I)(a) & (mask)) | ((I)(b) & ~(mask))))

INLINE V MAX(V a, V b) { return SELECT((a > b) | (a != a), a, b); }
INLINE V MIN(V a, V b) { return SELECT((a < b) | (a != a), a, b); }
INLINE V ABS(V a) { return (V)((I)a & ~(I)(-broadcast(0))); }
INLINE V SIGN(V a) { return SELECT(a > 0, broadcast(1), SELECT(a < 0, broadcast(-1), a)); }
INLINE V SQUARE(V a) { return a * a; }
INLINE int any(I mask) {
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#else
    INT found = 0;
    for (int lane = 0; lane < LANES; lane++) found |= mask[lane];
    return found != 0;
#endif
}

/* table[index] of each lane */
INLINE V look_up(const REAL *table, I index) {
#if defined(__AVX512F__) && WIDE
    return (V)_mm512_i64gather_pd((__m512i)index, table, 8);
#elif defined(__AVX512F__)
    return (V)_mm512_i32gather_ps((__m512i)index, table, 4);
#else
    V found;
    for (int lane = 0; lane < LANES; lane++) found[lane] = table[index[lane]];
    return found;
#endif
}

/* 1/a within a factor 1 + 2^-13, for normal a; infinite for smaller ones. */
INLINE V rough_reciprocal(V a) {
#if defined(__AVX512F__) && WIDE
    return (V)_mm512_rcp14_pd((__m512d)a);
#elif defined(__AVX512F__)
    return (V)_mm512_rcp14_ps((__m512)a);
#else
    return 1 / a;
#endif
}

/* --- roots and quotients of optimizers ---

   The machine's own wait for one slow unit, and together take most of an update's time. Roots stay with it. Float
   quotients go beside it, by a Newton step from an estimate of the reciprocal: within 1.6 units in the last place of the
   exact quotient. Lanes in which the reciprocal is no normal number (divisors 0, infinite, NaN, subnormal, or above
   2^126) get the machine's quotient, and so do all in double. Which results are 0, infinite or NaN, IEEE 754 says. */

INLINE V SQRT(V a) {
#if defined(__AVX512F__) && WIDE
    return (V)_mm512_sqrt_pd((__m512d)a);
#elif defined(__AVX512F__)
    return (V)_mm512_sqrt_ps((__m512)a);
#else
    V root;
    for (int lane = 0; lane < LANES; lane++) root[lane] = WIDE ? sqrt(a[lane]) : sqrtf(a[lane]);
    return root;
#endif
}
#if defined(__AVX512DQ__) && !WIDE
#define NOT_NORMAL 0xbf /* of VFPCLASSPS: zeros, subnormal numbers, infinities and NaN */
INLINE V DIVIDE(V a, V b) {
    const V estimate = (V)_mm512_rcp14_ps((__m512)b);
    const V reciprocal = estimate + estimate * (1 - b * estimate);
    const V quotient = a * reciprocal;
    const __mmask16 other = _mm512_fpclass_ps_mask((__m512)reciprocal, NOT_NORMAL);
    if (__builtin_expect(other == 0, 1)) return quotient;
    return (V)_mm512_mask_div_ps((__m512)quotient, other, (__m512)a, (__m512)b);
}
#else
INLINE V DIVIDE(V a, V b) { return a / b; }
#endif

/* --- relu, and sums over the points where a neuron is active: where not h <= 0, which is how torch decides --- */

#if defined(__AVX512F__) && WIDE
typedef __mmask8 M;
INLINE V relu(V z) { return (V)_mm512_max_pd(_mm512_setzero_pd(), (__m512d)z); }
INLINE M active(V h) { return _mm512_cmp_pd_mask((__m512d)h, _mm512_setzero_pd(), _CMP_NLE_UQ); }
INLINE V where(M m, V a) { return (V)_mm512_maskz_mov_pd(m, (__m512d)a); }
INLINE V max_where(M m, V most, V a) { return (V)_mm512_mask_max_pd((__m512d)most, m, (__m512d)most, (__m512d)a); }
INLINE V min_where(M m, V least, V a) { return (V)_mm512_mask_min_pd((__m512d)least, m, (__m512d)least, (__m512d)a); }
INLINE M not_less(V a, V b) { return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_GE_OQ); }
INLINE V add_where(M m, V sum, V a) { return (V)_mm512_mask_add_pd((__m512d)sum, m, (__m512d)sum, (__m512d)a); }
INLINE V fma_where(M m, V sum, V a, V b) {
    return (V)_mm512_mask3_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)sum, m);
}
INLINE V fma_only(M m, V sum, V a, V b) { return (V)_mm512_maskz_fmadd_pd(m, (__m512d)a, (__m512d)b, (__m512d)sum); }
#elif defined(__AVX512F__)
typedef __mmask16 M;
INLINE V relu(V z) { return (V)_mm512_max_ps(_mm512_setzero_ps(), (__m512)z); }
INLINE M active(V h) { return _mm512_cmp_ps_mask((__m512)h, _mm512_setzero_ps(), _CMP_NLE_UQ); }
INLINE V where(M m, V a) { return (V)_mm512_maskz_mov_ps(m, (__m512)a); }
INLINE V max_where(M m, V most, V a) { return (V)_mm512_mask_max_ps((__m512)most, m, (__m512)most, (__m512)a); }
INLINE V min_where(M m, V least, V a) { return (V)_mm512_mask_min_ps((__m512)least, m, (__m512)least, (__m512)a); }
INLINE M not_less(V a, V b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GE_OQ); }
INLINE V add_where(M m, V sum, V a) { return (V)_mm512_mask_add_ps((__m512)sum, m, (__m512)sum, (__m512)a); }
INLINE V fma_where(M m, V sum, V a, V b) {
    return (V)_mm512_mask3_fmadd_ps((__m512)a, (__m512)b, (__m512)sum, m);
}
INLINE V fma_only(M m, V sum, V a, V b) { return (V)_mm512_maskz_fmadd_ps(m, (__m512)a, (__m512)b, (__m512)sum); }
#else
typedef I M;
INLINE M active(V h) { return ~(h <= 0); }
INLINE V where(M m, V a) { return (V)((I)a & m); }
INLINE V relu(V z) { return where(active(z), z); }
INLINE V max_where(M m, V most, V a) { return SELECT(m & (a > most), a, most); }
INLINE V min_where(M m, V least, V a) { return SELECT(m & (a < least), a, least); }
INLINE M not_less(V a, V b) { return a >= b; }
INLINE V add_where(M m, V sum, V a) { return sum + where(m, a); }
INLINE V fma_where(M m, V sum, V a, V b) { return SELECT(m, sum + a * b, sum); }
INLINE V fma_only(M m, V sum, V a, V b) { return where(m, sum + a * b); }
#endif
