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
#define ROLLED _Pragma("GCC unroll 1")
#define INLINE static inline __attribute__((always_inline))
#define APART static __attribute__((noinline))
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
INLINE I least(I a, I b) {
#if defined(__AVX512F__) && WIDE
    return (I)_mm512_min_epi64((__m512i)a, (__m512i)b);
#elif defined(__AVX512F__)
    return (I)_mm512_min_epi32((__m512i)a, (__m512i)b);
#else
    return (a & (a < b)) | (b & ~(a < b));
#endif
}
INLINE I most(I a, I b) { return ~least(~a, ~b); }
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

/* The lesser of two numbers, both not negative; the first if the second is negative or NaN. */
INLINE V least_positive(V a, V b) {
#if defined(__AVX512F__) && WIDE
    return (V)_mm512_min_epu64((__m512i)a, (__m512i)b);
#elif defined(__AVX512F__)
    return (V)_mm512_min_epu32((__m512i)a, (__m512i)b);
#else
    return SELECT((b < a) & (b >= 0), b, a);
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

/* --- relu, and sums over the points where a neuron is active: where not h <= 0, which is how torch decides --- */

#if defined(__AVX512F__)
#if WIDE
typedef __mmask8 M;
typedef __m512d Z;
#define MM(operation) _mm512_##operation##_pd
#define COMPARE(a, b, how) _mm512_cmp_pd_mask((Z)a, (Z)b, how)
#else
typedef __mmask16 M;
typedef __m512 Z;
#define MM(operation) _mm512_##operation##_ps
#define COMPARE(a, b, how) _mm512_cmp_ps_mask((Z)a, (Z)b, how)
#endif
INLINE V relu(V z) { return (V)MM(max)(MM(setzero)(), (Z)z); }
INLINE M active(V h) { return COMPARE(h, MM(setzero)(), _CMP_NLE_UQ); }
INLINE M negative(V a) { return COMPARE(a, MM(setzero)(), _CMP_LT_OQ); }
INLINE M not_less(V a, V b) { return COMPARE(a, b, _CMP_GE_OQ); }
INLINE int some(M m) { return m != 0; }
INLINE V where(M m, V a) { return (V)MM(maskz_mov)(m, (Z)a); }
INLINE V choose(M m, V a, V b) { return (V)MM(mask_mov)((Z)b, m, (Z)a); }
INLINE V negative_where(M m, V a) { return (V)MM(mask_sub)((Z)a, m, MM(setzero)(), (Z)a); }
INLINE V min_where(M m, V least, V a) { return (V)MM(mask_min)((Z)least, m, (Z)a, (Z)least); }
INLINE V add_where(M m, V sum, V a) { return (V)MM(mask_add)((Z)sum, m, (Z)sum, (Z)a); }
INLINE V fma_where(M m, V sum, V a, V b) { return (V)MM(mask3_fmadd)((Z)a, (Z)b, (Z)sum, m); }
INLINE V fma_only(M m, V sum, V a, V b) { return (V)MM(maskz_fmadd)(m, (Z)a, (Z)b, (Z)sum); }
#else
typedef I M;
INLINE M active(V h) { return ~(h <= 0); }
INLINE M negative(V a) { return a < 0; }
INLINE int some(M m) { return any(m); }
INLINE V choose(M m, V a, V b) { return SELECT(m, a, b); }
INLINE V negative_where(M m, V a) { return SELECT(m, -a, a); }
INLINE V where(M m, V a) { return (V)((I)a & m); }
INLINE V relu(V z) { return where(active(z), z); }
INLINE V min_where(M m, V least, V a) { return SELECT(m & (a < least), a, least); } /* a NaN is no minimum */
INLINE M not_less(V a, V b) { return a >= b; }
INLINE V add_where(M m, V sum, V a) { return sum + where(m, a); }
INLINE V fma_where(M m, V sum, V a, V b) { return SELECT(m, sum + a * b, sum); }
INLINE V fma_only(M m, V sum, V a, V b) { return where(m, sum + a * b); }
#endif

/* --- roots and quotients of optimizers ---

   The machine's own wait for one slow unit, and together take most of an update's time. Roots stay with it. Float
   quotients go beside it, by a Newton step from an estimate of the reciprocal: within 1.6 units in the last place of
   the exact quotient. Lanes in which the reciprocal is no normal number (divisors 0, infinite, NaN, subnormal, or above
   2^126) are marked as odd and get the machine's quotient, and so do all in double. Which results are 0, infinite or
   NaN, IEEE 754 says. */

INLINE V SQRT(V a) {
#if defined(__AVX512F__)
    return (V)MM(sqrt)((Z)a);
#else
    V root;
    for (int lane = 0; lane < LANES; lane++) root[lane] = WIDE ? sqrt(a[lane]) : sqrtf(a[lane]);
    return root;
#endif
}

#if defined(__AVX512DQ__) && !WIDE
#define NOT_NORMAL 0xbf /* of VFPCLASSPS: zeros, subnormal numbers, infinities and NaN */
INLINE V QUOTIENT(V a, V b, int exact, M *odd) {
    if (exact) return a / b;
    const V estimate = (V)_mm512_rcp14_ps((__m512)b);
    const V reciprocal = estimate + estimate * (1 - b * estimate);
    *odd |= _mm512_fpclass_ps_mask((__m512)reciprocal, NOT_NORMAL);
    return a * reciprocal;
}
#else
INLINE V QUOTIENT(V a, V b, int exact, M *odd) { return a / b; }
#endif
INLINE V DIVIDE(V a, V b) {
    M odd = (M){0};
    const V quotient = QUOTIENT(a, b, 0, &odd);
    return __builtin_expect(some(odd), 0) ? choose(odd, a / b, quotient) : quotient;
}

/* --- updates: a coordinate's parameter and states now and then, from the gradient and the step's scalars --- */

#define AT_ONCE 4 /* coordinates, so that one look at what is odd serves for all */
#define MOST_NUMBERS 8 /* a parameter and its states */
#define MOST_SCALARS 16
typedef void Step(const V *now, V g, const V *scalars, V *then, int exact, M *odd);

INLINE void step_some(Step *step, int numbers, int coordinates, long count, V *slab, const V *gradient,
                      const V *scalars) {
    V now[AT_ONCE][MOST_NUMBERS], then[AT_ONCE][MOST_NUMBERS];
    M odd[AT_ONCE], found = (M){0};
    UNROLL for (int c = 0; c < coordinates; c++) {
        UNROLL for (int n = 0; n < numbers; n++) now[c][n] = slab[n * count + c];
        odd[c] = (M){0};
        step(now[c], gradient[c], scalars, then[c], 0, &odd[c]);
        found |= odd[c];
    }
    if (__builtin_expect(some(found), 0)) UNROLL for (int c = 0; c < coordinates; c++) {
        V exact[MOST_NUMBERS];
        M ignored = (M){0};
        step(now[c], gradient[c], scalars, exact, 1, &ignored);
        UNROLL for (int n = 0; n < numbers; n++) then[c][n] = choose(odd[c], exact[n], then[c][n]);
    }
    UNROLL for (int c = 0; c < coordinates; c++)
        UNROLL for (int n = 0; n < numbers; n++) slab[n * count + c] = then[c][n];
}

#define EVERY_COORDINATE(step, numbers, scalar_count) { \
    V broadcasts[MOST_SCALARS]; \
    UNROLL for (int n = 0; n < scalar_count; n++) broadcasts[n] = broadcast(scalars[n]); \
    long i = 0; \
    for (; i + AT_ONCE <= count; i += AT_ONCE) \
        step_some(step, numbers, AT_ONCE, count, slab + i, gradient + i, broadcasts); \
    for (; i < count; i++) step_some(step, numbers, 1, count, slab + i, gradient + i, broadcasts); \
}

/* --- tables of two numbers for each lane, in which every lane has a place of its own --- */

typedef struct {
    V low, high;
} Pairs;

#if defined(__AVX512F__) && !WIDE
/* Both numbers of a lane lie side by side, so that they are looked up and stored as one: of every four lanes the first
   two in `low`, the others in `high`. */
INLINE Pairs in_pairs(V a, V b) {
    return (Pairs){(V)_mm512_unpacklo_ps((__m512)a, (__m512)b), (V)_mm512_unpackhi_ps((__m512)a, (__m512)b)};
}
INLINE V firsts(Pairs of) { return (V)_mm512_shuffle_ps((__m512)of.low, (__m512)of.high, 0x88); }
INLINE V seconds(Pairs of) { return (V)_mm512_shuffle_ps((__m512)of.low, (__m512)of.high, 0xdd); }
typedef struct {
    __m256i low, high; /* in numbers from the beginning of the table */
} Places;
INLINE Places places_of(I place) {
    const __m512i lanes = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 13, 12, 9, 8, 5, 4, 1, 0);
    const __m512i column = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i begin = (__m512i)(place * (2 * LANES));
    const __m512i low = _mm512_permutexvar_epi32(lanes, begin);
    const __m512i high = _mm512_permutexvar_epi32(_mm512_add_epi32(lanes, _mm512_set1_epi32(2)), begin);
    return (Places){_mm512_castsi512_si256(_mm512_add_epi32(low, column)),
                    _mm512_castsi512_si256(_mm512_add_epi32(high, _mm512_add_epi32(column, _mm512_set1_epi32(LANES))))};
}
INLINE Pairs look_up_pairs(const Pairs *table, I place) {
    const Places at = places_of(place);
    return (Pairs){(V)_mm512_i32gather_pd(at.low, table, 4), (V)_mm512_i32gather_pd(at.high, table, 4)};
}
INLINE void add_pairs(Pairs *table, I place, Pairs more) {
    const Places at = places_of(place);
    const Pairs found = look_up_pairs(table, place);
    _mm512_i32scatter_pd(table, at.low, (__m512d)(found.low + more.low), 4);
    _mm512_i32scatter_pd(table, at.high, (__m512d)(found.high + more.high), 4);
}
#else
INLINE Pairs in_pairs(V a, V b) { return (Pairs){a, b}; }
INLINE V firsts(Pairs of) { return of.low; }
INLINE V seconds(Pairs of) { return of.high; }
INLINE Pairs look_up_pairs(const Pairs *table, I place) {
    Pairs found;
    for (int lane = 0; lane < LANES; lane++) {
        found.low[lane] = table[place[lane]].low[lane];
        found.high[lane] = table[place[lane]].high[lane];
    }
    return found;
}
INLINE void add_pairs(Pairs *table, I place, Pairs more) {
    for (int lane = 0; lane < LANES; lane++) {
        table[place[lane]].low[lane] += more.low[lane];
        table[place[lane]].high[lane] += more.high[lane];
    }
}
#endif
