/* What is to be done, shared by both kernels and by the Python side (verify/simulation/fused/library.py), and the loop
   that shares it among threads: groups of LANES replicas are taken one after the other, and no thread waits. */

typedef void Update(int branch, long count, V *slab, const V *gradient, const REAL *scalars);

typedef struct {
    long layers;           /* L: affine maps */
    const long *widths;    /* l_0, ..., l_L */
    long parameters;       /* of one network; points.c: vectors of them, zeros at the end */
    long states;           /* of the rule, for each parameter */
    long groups;           /* of LANES replicas; points.c: replicas, LANES below standing for 1 */
    V *memory;             /* groups x (1 + states) x parameters */
    long rows;             /* of the data */
    const REAL *inputs;    /* rows x l_0 */
    const REAL *labels;    /* rows x l_L */
    long sign;             /* -1: the loss is maximized */
    long batch;            /* rows in a minibatch; 0: all rows */
    const int32_t *chosen; /* steps x groups x batch x LANES row numbers; null: drawn here */
    const uint64_t *numbers; /* groups x LANES replica numbers, for drawing */
    uint32_t key[2];       /* of the stream that is drawn from */
    long first;            /* number of steps done before */
    long steps;            /* to do now */
    long scalar_count;
    const REAL *scalars;   /* steps x scalar_count */
    const int32_t *branch; /* steps */
    Update *update;
    long next;             /* the next group that nobody has taken */
    const double *moments; /* exact1d: prefix sums of 1, x - centre, its square, y, y (x - centre); rows + 1 of each */
    double centre;
    const void *guesses;   /* exact1d: INT for each cell of [first input, last input], see `close` */
    long cells;
    double cells_per_unit;
    double cells_before;   /* exact1d: first input times cells_per_unit */
    I *pieces;             /* exact1d: of each group's networks in the last step */
    V *moved;              /* exact1d: where `regroup` puts what it moves, group after group as in memory */
    const int64_t *sources; /* exact1d: where each lane's network comes from: group * LANES + lane */
    long moving;           /* exact1d: groups */
} Work;
#define MOMENTS 5

INLINE long take(Work *work) { return __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED); }

INLINE V *reserve(long vectors) {
    size_t bytes = ((size_t)vectors * sizeof(V) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return aligned_alloc(ALIGNMENT, bytes ? bytes : ALIGNMENT);
}

/* One update of a group. Results below the normal range become 0: momenta of neurons that have died decay to such
   numbers, which x86 processors compute with a hundred times more slowly, and which move no parameter. */
INLINE void update_group(const Work *work, long step, V *slab, const V *gradient) {
    const REAL *scalars = work->scalars + step * work->scalar_count;
#if defined(__SSE2__)
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | _MM_FLUSH_ZERO_ON);
#endif
    work->update(work->branch[step], work->parameters, slab, gradient, scalars);
#if defined(__SSE2__)
    _mm_setcsr(before);
#endif
}

int lanes(void) { return LANES; }
