/* Whole trajectories on a GPU: gradient of the mean squared error and one update, step after step, in one launch.

   A *team* of TEAM lanes carries one replica; a lane takes POINTS_AT_ONCE points at a time. Up to 32 lanes, a warp holds
   32/TEAM replicas and no warp waits for another; larger teams are blocks of WARPS warps, which meet twice a step.
   A block's memory holds, for each of its replicas, parameters, states and gradient (STRIDE numbers) for the whole
   trajectory. The sums over points are taken over a team by exchanges that halve what each lane carries, so that every
   lane ends with other totals; their order is fixed, so that equal runs have equal bits.

   IN_REGISTERS = 1: activations are in registers, and all loops over neurons are unrolled; 0: they are in the block's
   memory, each lane's in a bank of its own.

   ROWS says which points a step takes: ALL, those DRAWN here for a replica, or those GIVEN.

   Generated with each kernel (verify/simulation/gpu/layout.py): ROWS, WIDE, TEAM, WARPS, RESIDENT (blocks that a
   multiprocessor holds at once), POINTS_AT_ONCE, IN_REGISTERS, ONE_CHUNK (a team takes all points at once), PARAMETERS,
   STATES, STRIDE, ACTIVATIONS, INPUTS, OUTPUTS, FORWARD(LAYER) and BACKWARD(LAYER), which call LAYER(in, out, n_in,
   n_out, weight, first, last) for every layer: where its inputs and outputs are among the activations, their numbers,
   where its parameters begin, and whether it is the first or the last layer. */

#define HERE (TEAM < LANES ? TEAM : LANES) /* lanes of a team in one warp */
#define REPLICAS (LANES / HERE)            /* of a block */
#define SIZE ((1 + STATES) * PARAMETERS)
#define PRIVATE (REPLICAS * STRIDE)        /* where the activations begin, if they are in memory */
#define COORDINATES (PARAMETERS > 2 * TEAM ? 4 : PARAMETERS > TEAM ? 2 : 1)
#define UNITS 4
#define ALL 0
#define DRAWN 1
#define GIVEN 2
#define TILE 32

typedef struct {
    REAL *slab;              /* replicas x (1 + STATES) x PARAMETERS */
    const REAL *inputs;      /* rows x INPUTS */
    const REAL *labels;      /* rows x OUTPUTS */
    const REAL *scalars;     /* steps x scalar_count */
    const int32_t *branch;   /* steps */
    const int32_t *chosen;   /* steps x replicas x points row numbers, if ROWS == GIVEN */
    const uint64_t *numbers; /* replica numbers, if ROWS == DRAWN */
    int64_t replicas;
    int64_t rows;
    int64_t points;          /* of a step: rows, or those of a minibatch */
    int64_t first;           /* number of steps done before */
    int64_t steps;           /* to do now */
    int64_t scalar_count;
    double scale;            /* 2/points; its negative if the loss is maximized */
    uint32_t key[2];         /* of the stream that is drawn from */
} Work;

/* --- activations: number n of this lane --- */

#if IN_REGISTERS
#define LAYER_LOOP UNROLL
#define LAYER_FUNCTION UNROLLED
typedef V *Activations;
#define AT(a, n) ((a) + (n))
#define GET(a, n) ((a)[n])
#define PUT(a, n, value) ((a)[n] = (value))
#else
#define LAYER_LOOP
#define LAYER_FUNCTION APART
typedef int Activations;
#define AT(a, n) ((a) + (n) * LANES)
#define GET(a, n) read_own((a) + (n) * LANES)
#define PUT(a, n, value) write_own((a) + (n) * LANES, value)
#endif
#define P POINTS_AT_ONCE

/* --- layers; W_ik is at weight + i n_in + k of each replica's parameters, b_i follows --- */

/* out_i = b_i + sum_k W_ik h_k, through relu unless it is the last layer; `units` is a constant in every call. */
INLINE void forward_units(I weight, I bias, Activations h, Activations out, int n_in, int units, int last) {
    V sum[UNITS * P];
    UNROLL for (int i = 0; i < units; i++) {
        const V b = read(bias + i);
        UNROLL for (int p = 0; p < P; p++) sum[i * P + p] = b;
    }
    LAYER_LOOP for (int k = 0; k < n_in; k++) {
        V in[P];
        UNROLL for (int p = 0; p < P; p++) in[p] = GET(h, k * P + p);
        UNROLL for (int i = 0; i < units; i++) {
            const V w = read(weight + (i * n_in + k));
            UNROLL for (int p = 0; p < P; p++) sum[i * P + p] += w * in[p];
        }
    }
    UNROLL for (int j = 0; j < units * P; j++) PUT(out, j, last ? sum[j] : relu(sum[j]));
}

LAYER_FUNCTION void forward(I weight, Activations h, Activations out, int n_in, int n_out, int last) {
    const int tiled = n_out / UNITS * UNITS;
    LAYER_LOOP for (int i = 0; i < tiled; i += UNITS)
        forward_units(weight + i * n_in, weight + (n_out * n_in + i), h, AT(out, i * P), n_in, UNITS, last);
    LAYER_LOOP for (int i = tiled; i < n_out; i++)
        forward_units(weight + i * n_in, weight + (n_out * n_in + i), h, AT(out, i * P), n_in, 1, last);
}

/* In place of the activation h_k: (sum_i W_ik d_i) where neuron k is active, else 0. */
INLINE void backward_units(I weight, Activations d, Activations h, int n_in, int n_out, int units) {
    V sum[UNITS * P];
    UNROLL for (int j = 0; j < units * P; j++) sum[j] = broadcast(0);
    LAYER_LOOP for (int i = 0; i < n_out; i++) {
        V in[P];
        UNROLL for (int p = 0; p < P; p++) in[p] = GET(d, i * P + p);
        UNROLL for (int k = 0; k < units; k++) {
            const V w = read(weight + (i * n_in + k));
            UNROLL for (int p = 0; p < P; p++) sum[k * P + p] += w * in[p];
        }
    }
    UNROLL for (int j = 0; j < units * P; j++) PUT(h, j, where_active(GET(h, j), sum[j]));
}

LAYER_FUNCTION void backward(I weight, Activations d, Activations h, int n_in, int n_out) {
    const int tiled = n_in / UNITS * UNITS;
    LAYER_LOOP for (int k = 0; k < tiled; k += UNITS) backward_units(weight + k, d, AT(h, k * P), n_in, n_out, UNITS);
    LAYER_LOOP for (int k = tiled; k < n_in; k++) backward_units(weight + k, d, AT(h, k * P), n_in, n_out, 1);
}

/* --- sums over the lanes of a team --- */

/* One level of a reduction: the lanes at this distance exchange halves of what they carry, or add the one that is
   left. `count` numbers come in, a power of 2; so many go out as are returned. */
INLINE int exchange(V *carried, int count, int distance) {
    if (distance >= HERE) return count;
    if (count == 1) {
        carried[0] += from_partner(carried[0], distance);
        return 1;
    }
    const M upper = (lanes_of_warp() & distance) != 0;
    const int half = count / 2;
    UNROLL for (int j = 0; j < half; j++) {
        const V sent = choose(upper, carried[j], carried[j + half]);
        carried[j] = choose(upper, carried[j + half], carried[j]) + from_partner(sent, distance);
    }
    return half;
}

/* The totals of `count` numbers over a team, count a power of 2 and at most HERE: lane j HERE/count has the j-th. */
INLINE V total(V *carried, int count) {
    int left = exchange(carried, count, 16);
    left = exchange(carried, left, 8);
    left = exchange(carried, left, 4);
    left = exchange(carried, left, 2);
    exchange(carried, left, 1);
    return carried[0];
}

/* Totals to a replica's gradient, or added to it. */
INLINE void collect(M which, I at, V value, int fresh) { write(which, at, fresh ? value : value + read(at)); }

/* --- gradient_ik = sum over points of d_i h_k, and that of b_i of d_i --- */

#if IN_REGISTERS

INLINE V product(Activations d, Activations h, int n_in, int n_out, int e) {
    V sum = broadcast(0);
    if (e < n_out * n_in) UNROLL for (int p = 0; p < P; p++) sum += d[e / n_in * P + p] * h[e % n_in * P + p];
    else UNROLL for (int p = 0; p < P; p++) sum += d[(e - n_out * n_in) * P + p];
    return sum;
}

/* Entries e, ..., e + count - 1 of a layer's parameters. */
INLINE void gather_some(I gradient, Activations d, Activations h, int n_in, int n_out, int e, int count, int fresh) {
    const I place = lanes_of_warp() & (HERE - 1);
    V carried[HERE];
    UNROLL for (int j = 0; j < count; j++) carried[j] = product(d, h, n_in, n_out, e + j);
    collect((place & (HERE / count - 1)) == 0, gradient + (e + place / (HERE / count)), total(carried, count), fresh);
}

INLINE void gather(I gradient, Activations d, Activations h, int n_in, int n_out, int fresh) {
    const int size = n_out * (n_in + 1), whole = size / HERE * HERE;
    UNROLL for (int e = 0; e < whole; e += HERE) gather_some(gradient, d, h, n_in, n_out, e, HERE, fresh);
#define GATHER_REST(count) /* the binary digits of what is left */ \
    if (count < HERE && size & count) \
        gather_some(gradient, d, h, n_in, n_out, size - (size & (2 * count - 1)), count, fresh);
    GATHER_REST(16)
    GATHER_REST(8)
    GATHER_REST(4)
    GATHER_REST(2)
    GATHER_REST(1)
#undef GATHER_REST
}

#else

/* Tiles of rows x columns = TILE weights; `rows` and `columns` are constants in every call. */
INLINE void gather_tiles(I gradient, Activations d, Activations h, int n_in, int n_out, int rows, int columns,
                         int fresh) {
    for (int i = 0; i < n_out; i += rows)
        for (int k = 0; k < n_in; k += columns) {
            V carried[TILE];
            UNROLL for (int j = 0; j < TILE; j++) carried[j] = broadcast(0);
            UNROLL for (int p = 0; p < P; p++) {
                V across[TILE];
                UNROLL for (int c = 0; c < columns; c++)
                    across[c] = h < 0 ? broadcast(1) : GET(h, (k + c < n_in ? k + c : k) * P + p);
                UNROLL for (int r = 0; r < rows; r++) {
                    const V down = GET(d, (i + r < n_out ? i + r : i) * P + p);
                    UNROLL for (int c = 0; c < columns; c++) carried[r * columns + c] += down * across[c];
                }
            }
            const I row = i + lanes_of_warp() / columns, column = k + (lanes_of_warp() & (columns - 1));
            collect((row < n_out) & (column < n_in), gradient + (row * n_in + column), total(carried, TILE), fresh);
        }
}

APART void gather(I gradient, Activations d, Activations h, int n_in, int n_out, int fresh) {
    if (n_in == 1) gather_tiles(gradient, d, h, n_in, n_out, TILE, 1, fresh);
    else if (n_out == 1) gather_tiles(gradient, d, h, n_in, n_out, 1, TILE, fresh);
    else gather_tiles(gradient, d, h, n_in, n_out, 4, TILE / 4, fresh);
    gather_tiles(gradient + n_out * n_in, d, -1, 1, n_out, TILE, 1, fresh); /* biases: as if from a neuron that is 1 */
}

#endif

/* --- points --- */

/* Philox4x32-10: the word `first + offset` of each replica's stream with purpose 1 (verify/simulation/streams.py), as
   one of so many rows. */
#if ROWS == DRAWN
INLINE I drawn(const Work *work, I replica, int64_t first, I offset) {
    I rest = same(0);
    U c0 = counter(first, offset, &rest), c1 = low_word(work->numbers, replica);
    U c2 = high_word(work->numbers, replica), c3 = word(1);
    uint32_t k0 = work->key[0], k1 = work->key[1];
    for (int round = 0; round < 10; round++) {
        const U n0 = high_of_product(0xCD9E8D57u, c2) ^ c1 ^ k0, n2 = high_of_product(0xD2511F53u, c0) ^ c3 ^ k1;
        c1 = 0xCD9E8D57u * c2, c3 = 0xD2511F53u * c0;
        c0 = n0, c2 = n2;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    const U found = choose_word(rest < 2, choose_word(rest == 0, c0, c1), choose_word(rest == 2, c2, c3));
    return index_of(high_of_product((uint32_t)work->rows, found));
}
#endif

/* The rows of a team's points at a step. */
INLINE I rows_of(const Work *work, int64_t step, I replica, I point) {
#if ROWS == DRAWN
    return drawn(work, replica, (work->first + step) * work->points, point);
#elif ROWS == GIVEN
    const int points = (int)work->points;
    return fetch_index(work->chosen + step * work->replicas * points, replica * points + point);
#else
    return point;
#endif
}

/* Gradient of P points of each lane: those of this warp in this chunk. */
INLINE void gradient_of(const Work *work, int64_t step, I replica, I parameters, int warp, int chunk) {
    const I place = lanes_of_warp() & (HERE - 1);
    const I gradient = parameters + (SIZE + warp * PARAMETERS);
    const int fresh = ONE_CHUNK || chunk == 0;
    I row[P];
    M inside[P];
#if IN_REGISTERS
    V h[ACTIVATIONS * P];
#else
    const int h = PRIVATE + warp * (ACTIVATIONS * P * LANES);
#endif
    UNROLL for (int p = 0; p < P; p++) {
        const I point = ((chunk * P + p) * WARPS + warp) * HERE + place;
        inside[p] = point < (int)work->points;
        row[p] = rows_of(work, step, replica, choose_index(inside[p], point, same(0)));
        UNROLL for (int c = 0; c < INPUTS; c++) PUT(h, c * P + p, fetch(work->inputs, row[p] * INPUTS + c));
    }
#define LAYER(in, out, n_in, n_out, weight, first, last) \
    forward(parameters + weight, AT(h, (in) * P), AT(h, (out) * P), n_in, n_out, last);
    FORWARD(LAYER)
#undef LAYER
    UNROLL for (int i = 0; i < OUTPUTS; i++) UNROLL for (int p = 0; p < P; p++) {
        const int n = (ACTIVATIONS - OUTPUTS + i) * P + p;
        const V residual = GET(h, n) - fetch(work->labels, row[p] * OUTPUTS + i);
        PUT(h, n, choose(inside[p], residual * (REAL)work->scale, broadcast(0)));
    }
#define LAYER(in, out, n_in, n_out, weight, first, last) \
    gather(gradient + weight, AT(h, (out) * P), AT(h, (in) * P), n_in, n_out, fresh); \
    if (!(first)) backward(parameters + weight, AT(h, (out) * P), AT(h, (in) * P), n_in, n_out);
    BACKWARD(LAYER)
#undef LAYER
}

/* --- whole trajectories --- */

/* One update; a lane of a team takes every TEAM-th coordinate, several at once so that none waits for another. */
INLINE void update_warp(const Work *work, int64_t step, I parameters, int warp) {
    const REAL *scalars = work->scalars + step * work->scalar_count;
    const int branch = work->branch[step];
    const I place = warp * LANES + (lanes_of_warp() & (HERE - 1));
    for (int i = 0; i < PARAMETERS; i += COORDINATES * TEAM) {
        V cell[COORDINATES * (1 + STATES)], slope[COORDINATES];
        I at[COORDINATES];
        M inside[COORDINATES];
        UNROLL for (int c = 0; c < COORDINATES; c++) {
            const I coordinate = place + (i + c * TEAM);
            inside[c] = coordinate < PARAMETERS;
            at[c] = parameters + choose_index(inside[c], coordinate, same(0));
            slope[c] = read(at[c] + SIZE);
            UNROLL for (int w = 1; w < WARPS; w++) slope[c] += read(at[c] + (SIZE + w * PARAMETERS));
            UNROLL for (int s = 0; s <= STATES; s++) cell[c * (1 + STATES) + s] = read(at[c] + s * PARAMETERS);
        }
        UNROLL for (int c = 0; c < COORDINATES; c++) update(branch, 1, cell + c * (1 + STATES), slope + c, scalars);
        UNROLL for (int c = 0; c < COORDINATES; c++)
            UNROLL for (int s = 0; s <= STATES; s++)
                write(inside[c], at[c] + s * PARAMETERS, cell[c * (1 + STATES) + s]);
    }
}

/* Between a replica's slab and the block's memory. */
INLINE void copy(const Work *work, I team, I parameters, int warp, int back) {
    REAL *slab = work->slab + block_number() * REPLICAS * SIZE;
    const I place = warp * LANES + (lanes_of_warp() & (HERE - 1));
    const M present = team < (int)(work->replicas - block_number() * REPLICAS);
    for (int i = 0; i < SIZE; i += TEAM) {
        const M inside = (i + place < SIZE) & present;
        const I from = choose_index(inside, team * SIZE + (i + place), same(0));
        if (back) store_slab(inside, slab, from, read(parameters + choose_index(inside, i + place, same(0))));
        else write(i + place < SIZE, parameters + (i + place), fetch_slab(slab, from));
    }
}

INLINE void train_block(const Work *work) {
    const I team = lanes_of_warp() / HERE, parameters = team * STRIDE;
    const int64_t before = block_number() * REPLICAS;
    /* teams without a replica take rows of the block's first, and nothing of theirs is stored */
    const I replica = (int)before + choose_index(team < (int)(work->replicas - before), team, same(0));
    const int chunks = ONE_CHUNK ? 1 : (int)((work->points + TEAM * P - 1) / (TEAM * P));
    FOR_EACH_WARP(warp) copy(work, team, parameters, warp, 0);
    barrier();
    for (int64_t step = 0; step < work->steps; step++) {
        FOR_EACH_WARP(warp) for (int chunk = 0; chunk < chunks; chunk++)
            gradient_of(work, step, replica, parameters, warp, chunk);
        barrier();
        FOR_EACH_WARP(warp) update_warp(work, step, parameters, warp);
        barrier();
    }
    FOR_EACH_WARP(warp) copy(work, team, parameters, warp, 1);
}

#if defined(__CUDACC_RTC__)
extern "C" __global__ void __launch_bounds__(WARPS * LANES, RESIDENT) train(const Work work) { train_block(&work); }
#else
/* The same on the host, block after block; 1 if memory is wanting. */
int train(const Work *work, long room, long blocks) {
    memory = calloc((size_t)room, 1);
    if (!memory) return 1;
    for (block = 0; block < blocks; block++) train_block(work);
    free(memory);
    return 0;
}
#endif
