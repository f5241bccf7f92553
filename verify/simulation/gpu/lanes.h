/* A warp's lanes, written once for a GPU and for its emulation.

   V, I, U and M hold a number, an index, a word and a truth value of every lane. On a GPU they are what one thread
   has; elsewhere they are vectors of all 32 lanes, so that the C compiler of the host makes the same kernel, and every
   product, sum, shuffle and address of it can be run and tested without a GPU. Lanes branch nowhere: they select.

   memory is what a block's lanes share. WIDE = 0 (float) or 1 (double). NaN, infinities and zeros are as IEEE 754 and
   torch have them: relu and MAX hand NaN on, relu'(0) = 0. */

#define LANES 32

#if defined(__CUDACC_RTC__)

typedef unsigned char uint8_t;
typedef int int32_t;
typedef unsigned uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#if WIDE
typedef double REAL;
#else
typedef float REAL;
#endif
typedef REAL V;
typedef int I;
typedef unsigned U;
typedef bool M;
#define INLINE static __forceinline__
#define UNROLLED INLINE /* functions whose loops are unrolled: their arguments are constants */
#define APART static __noinline__
#define UNROLL _Pragma("unroll")

extern __shared__ __align__(16) REAL memory[];
INLINE I lanes_of_warp(void) { return (int)(threadIdx.x % LANES); }
INLINE int64_t block_number(void) { return blockIdx.x; }
#define FOR_EACH_WARP(warp) for (int warp = (int)(threadIdx.x / LANES), todo = 1; todo; todo = 0)
INLINE void barrier(void) {
    if (WARPS > 1) __syncthreads();
    else __syncwarp();
}
INLINE V broadcast(REAL value) { return value; }
INLINE I same(int value) { return value; }
INLINE V choose(M which, V a, V b) { return which ? a : b; }
INLINE I choose_index(M which, I a, I b) { return which ? a : b; }
INLINE V from_partner(V value, int distance) { return __shfl_xor_sync(0xffffffffu, value, distance); }
INLINE V read(I at) { return memory[at]; }
INLINE V read_own(int at) { return memory[at + lanes_of_warp()]; }
INLINE void write(M which, I at, V value) {
    if (which) memory[at] = value;
}
INLINE void write_own(int at, V value) { memory[at + lanes_of_warp()] = value; }
INLINE V fetch(const REAL *table, I at) { return __ldg(table + at); }
INLINE I fetch_index(const int32_t *table, I at) { return __ldg(table + at); }
INLINE V fetch_slab(const REAL *slab, I at) { return slab[at]; }
INLINE void store_slab(M which, REAL *slab, I at, V value) {
    if (which) slab[at] = value;
}
INLINE U low_word(const uint64_t *numbers, I at) { return (U)__ldg(numbers + at); }
INLINE U high_word(const uint64_t *numbers, I at) { return (U)(__ldg(numbers + at) >> 32); }
INLINE U word(uint32_t value) { return value; }
INLINE U high_of_product(uint32_t a, U b) { return __umulhi(a, b); }
INLINE U counter(int64_t first, I offset, I *rest) {
    const int64_t index = first + offset;
    *rest = (int)(index % 4);
    return (U)(index / 4);
}
INLINE U choose_word(M which, U a, U b) { return which ? a : b; }
INLINE I index_of(U value) { return (int)value; }
INLINE V SQRT(V a) { return sqrt(a); }
INLINE V ABS(V a) { return fabs(a); }
INLINE V where_active(V h, V a) { return h <= 0 ? (REAL)0 : a; }
#if WIDE || __CUDA_ARCH__ < 800
INLINE V relu(V z) { return where_active(z, z); }
#else
INLINE V relu(V z) {
    V positive; /* one instruction, unlike fmaxf a maximum that hands NaN on */
    asm("max.NaN.f32 %0, %1, 0f00000000;" : "=f"(positive) : "f"(z));
    return positive;
}
#endif

#else

#pragma GCC optimize("O0") /* an emulation runs for a moment, less than it takes to compile it better */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if WIDE
typedef double REAL;
typedef int64_t INT;
#else
typedef float REAL;
typedef int32_t INT;
#endif
typedef REAL V __attribute__((vector_size(LANES * sizeof(REAL))));
typedef INT I __attribute__((vector_size(LANES * sizeof(INT))));
typedef uint32_t U __attribute__((vector_size(LANES * sizeof(uint32_t))));
typedef I M;
#define INLINE static inline
#define APART static __attribute__((noinline))
#define UNROLLED APART /* which compiles in less time */
#define UNROLL
#define EVERY_LANE for (int lane = 0; lane < LANES; lane++)

static __thread REAL *memory;
static __thread int64_t block;
INLINE I lanes_of_warp(void) {
    I number;
    EVERY_LANE number[lane] = lane;
    return number;
}
INLINE int64_t block_number(void) { return block; }
#define FOR_EACH_WARP(warp) for (int warp = 0; warp < WARPS; warp++)
INLINE void barrier(void) {}
INLINE V broadcast(REAL value) { return value - (V){0}; }
INLINE I same(int value) { return value + (I){0}; }
INLINE V choose(M which, V a, V b) { return (V)(((I)a & which) | ((I)b & ~which)); }
INLINE I choose_index(M which, I a, I b) { return (a & which) | (b & ~which); }
INLINE V from_partner(V value, int distance) {
    V found;
    EVERY_LANE found[lane] = value[lane ^ distance];
    return found;
}
INLINE V fetch(const REAL *table, I at) {
    V found;
    EVERY_LANE found[lane] = table[at[lane]];
    return found;
}
INLINE V read(I at) { return fetch(memory, at); }
INLINE V read_own(int at) { return fetch(memory, at + lanes_of_warp()); }
INLINE void store_slab(M which, REAL *slab, I at, V value) {
    EVERY_LANE if (which[lane]) slab[at[lane]] = value[lane];
}
INLINE void write(M which, I at, V value) { store_slab(which, memory, at, value); }
INLINE void write_own(int at, V value) { EVERY_LANE memory[at + lane] = value[lane]; }
INLINE I fetch_index(const int32_t *table, I at) {
    I found;
    EVERY_LANE found[lane] = table[at[lane]];
    return found;
}
INLINE V fetch_slab(const REAL *slab, I at) { return fetch(slab, at); }
INLINE U low_word(const uint64_t *numbers, I at) {
    U found;
    EVERY_LANE found[lane] = (uint32_t)numbers[at[lane]];
    return found;
}
INLINE U high_word(const uint64_t *numbers, I at) {
    U found;
    EVERY_LANE found[lane] = (uint32_t)(numbers[at[lane]] >> 32);
    return found;
}
INLINE U word(uint32_t value) { return value + (U){0}; }
INLINE U high_of_product(uint32_t a, U b) {
    U high;
    EVERY_LANE high[lane] = (uint32_t)(((uint64_t)a * b[lane]) >> 32);
    return high;
}
INLINE U counter(int64_t first, I offset, I *rest) {
    U found;
    EVERY_LANE {
        const int64_t index = first + offset[lane];
        (*rest)[lane] = index % 4;
        found[lane] = (uint32_t)(index / 4);
    }
    return found;
}
INLINE U choose_word(M which, U a, U b) {
    U found;
    EVERY_LANE found[lane] = which[lane] ? a[lane] : b[lane];
    return found;
}
INLINE I index_of(U value) {
    I found;
    EVERY_LANE found[lane] = value[lane];
    return found;
}
INLINE V SQRT(V a) {
    V root;
    EVERY_LANE root[lane] = WIDE ? sqrt(a[lane]) : sqrtf(a[lane]);
    return root;
}
INLINE V ABS(V a) { return choose(a < 0, -a, a); }
INLINE V where_active(V h, V a) { return choose(h <= 0, broadcast(0), a); }
INLINE V relu(V z) { return where_active(z, z); }

#endif

/* --- what updates are written in --- */

INLINE V MAX(V a, V b) { return choose((a > b) | (a != a), a, b); }
INLINE V MIN(V a, V b) { return choose((a < b) | (a != a), a, b); }
INLINE V SIGN(V a) { return choose(a > 0, broadcast(1), choose(a < 0, broadcast(-1), a)); }
INLINE V SQUARE(V a) { return a * a; }
INLINE V QUOTIENT(V a, V b, int exact, M *odd) { return a / b; }
#define EVERY_COORDINATE(step, numbers, scalar_count) { /* of one */ \
    V now[numbers], broadcasts[scalar_count]; \
    M odd; \
    UNROLL for (int n = 0; n < scalar_count; n++) broadcasts[n] = broadcast(scalars[n]); \
    UNROLL for (int n = 0; n < numbers; n++) now[n] = slab[n]; \
    step(now, *gradient, broadcasts, slab, 0, &odd); \
}
