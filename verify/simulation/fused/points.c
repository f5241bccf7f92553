/* As kernel.c, for layers so wide that the parameters of many replicas do not fit the cache: one replica at a time, and
   points in the vector lanes.

   A tile is TILE vectors of points, in panels of ACROSS vectors. A panel goes forward and back while it is in the first
   cache; then the weights' gradients of the whole tile are summed, a block of LANES of them at a time, and folded over
   the lanes once a tile.

   Compile with WIDE = 0 (float) or 1 (double) and TILE, a power of 2. */

#include "lanes.h"
#include "work.h"
#include "draws.h"

#if defined(__AVX512F__)
#define ROWS 6 /* ROWS x ACROSS accumulators fit the registers */
#define PANEL 4
#elif defined(__aarch64__)
#define ROWS 4
#define PANEL 4
#else
#define ROWS 4
#define PANEL 2
#endif
#if TILE < PANEL
#define ACROSS TILE
#else
#define ACROSS PANEL
#endif
#define PANELS (TILE / ACROSS)
#define SIDE 4    /* SIDE x SIDE gradients at a time */
#define RESIDENT 24 /* neurons of a tile that stay in the first cache */

/* --- products of one panel: h[k * ACROSS + p], d[i * ACROSS + p]; `rows` is a constant in every call --- */

/* out_i = b_i + sum_k W_ik h_k, through relu if asked to. */
INLINE void forward_rows(const REAL *weight, const REAL *bias, const V *h, V *out, long n_in, int rows, int rectify) {
    V sum[ROWS][ACROSS];
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int p = 0; p < ACROSS; p++) sum[i][p] = broadcast(bias[i]);
    for (long k = 0; k < n_in; k++) {
        V in[ACROSS];
        UNROLL for (int p = 0; p < ACROSS; p++) in[p] = h[k * ACROSS + p];
        UNROLL for (int i = 0; i < rows; i++) {
            const V w = broadcast(weight[i * n_in + k]);
            UNROLL for (int p = 0; p < ACROSS; p++) sum[i][p] += w * in[p];
        }
    }
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int p = 0; p < ACROSS; p++)
        out[i * ACROSS + p] = rectify ? relu(sum[i][p]) : sum[i][p];
}

INLINE void forward(const REAL *weight, const REAL *bias, const V *h, V *out, long n_in, long n_out, int rectify) {
    long i = 0;
    for (; i + ROWS <= n_out; i += ROWS)
        forward_rows(weight + i * n_in, bias + i, h, out + i * ACROSS, n_in, ROWS, rectify);
    for (; i + 2 <= n_out; i += 2) forward_rows(weight + i * n_in, bias + i, h, out + i * ACROSS, n_in, 2, rectify);
    for (; i < n_out; i++) forward_rows(weight + i * n_in, bias + i, h, out + i * ACROSS, n_in, 1, rectify);
}

/* below_k = (sum_i W_ik d_i) where neuron k is active, else 0. */
INLINE void backward_rows(const REAL *weight, const V *d, const V *h, V *below, long n_in, long n_out, int rows) {
    V sum[ROWS][ACROSS];
    UNROLL for (int k = 0; k < rows; k++) UNROLL for (int p = 0; p < ACROSS; p++) sum[k][p] = broadcast(0);
    for (long i = 0; i < n_out; i++) {
        V in[ACROSS];
        UNROLL for (int p = 0; p < ACROSS; p++) in[p] = d[i * ACROSS + p];
        UNROLL for (int k = 0; k < rows; k++) {
            const V w = broadcast(weight[i * n_in + k]);
            UNROLL for (int p = 0; p < ACROSS; p++) sum[k][p] += w * in[p];
        }
    }
    UNROLL for (int k = 0; k < rows; k++) UNROLL for (int p = 0; p < ACROSS; p++)
        below[k * ACROSS + p] = where(active(h[k * ACROSS + p]), sum[k][p]);
}

INLINE void backward(const REAL *weight, const V *d, const V *h, V *below, long n_in, long n_out) {
    long k = 0;
    for (; k + ROWS <= n_in; k += ROWS)
        backward_rows(weight + k, d, h + k * ACROSS, below + k * ACROSS, n_in, n_out, ROWS);
    for (; k + 2 <= n_in; k += 2)
        backward_rows(weight + k, d, h + k * ACROSS, below + k * ACROSS, n_in, n_out, 2);
    for (; k < n_in; k++) backward_rows(weight + k, d, h + k * ACROSS, below + k * ACROSS, n_in, n_out, 1);
}

/* --- sums over the points of a tile: its panels lie `step` vectors apart --- */

/* Lane l of the result is the sum over the lanes of part[l]; part is overwritten. Of two parts each is folded once and
   both become one vector; which two are taken when follows from where the shuffles put them. */
#if defined(__AVX512F__)
#if WIDE
#define HALVES(j, k) TWO(_mm512_shuffle_f64x2, __m512d, j, k, 0x44, 0xee)
#define QUARTERS(j, k) TWO(_mm512_shuffle_f64x2, __m512d, j, k, 0x88, 0xdd)
#define LAST(j, k) TWO(_mm512_shuffle_pd, __m512d, j, k, 0x00, 0xff)
#else
#define HALVES(j, k) TWO(_mm512_shuffle_f32x4, __m512, j, k, 0x44, 0xee)
#define QUARTERS(j, k) TWO(_mm512_shuffle_f32x4, __m512, j, k, 0x88, 0xdd)
#define EIGHTHS(j, k) TWO(_mm512_shuffle_ps, __m512, j, k, 0x44, 0xee)
#define LAST(j, k) TWO(_mm512_shuffle_ps, __m512, j, k, 0x88, 0xdd)
#endif
#define TWO(shuffle, type, j, k, low, high) \
    part[j] = (V)shuffle((type)part[j], (type)part[k], low) + (V)shuffle((type)part[j], (type)part[k], high);
INLINE V fold(V *part) {
#if WIDE
    HALVES(0, 2) HALVES(1, 3) HALVES(4, 6) HALVES(5, 7)
    QUARTERS(0, 4) QUARTERS(1, 5)
    LAST(0, 1)
#else
    HALVES(0, 4) HALVES(1, 5) HALVES(2, 6) HALVES(3, 7) HALVES(8, 12) HALVES(9, 13) HALVES(10, 14) HALVES(11, 15)
    QUARTERS(0, 8) QUARTERS(1, 9) QUARTERS(2, 10) QUARTERS(3, 11)
    EIGHTHS(0, 1) EIGHTHS(2, 3)
    LAST(0, 2)
#endif
    return part[0];
}
#else
INLINE V fold(V *part) {
    UNROLL for (int half = LANES / 2; half >= 1; half /= 2) UNROLL for (int j = 0; j < half; j++) {
        V low, high;
        UNROLL for (int lane = 0; lane < LANES; lane++) {
            low[lane] = part[lane & half ? j + half : j][lane & ~half];
            high[lane] = part[lane & half ? j + half : j][lane | half];
        }
        part[j] = low + high;
    }
    return part[0];
}
#endif

/* gradient_ik += sum of d_i h_k for `rows` x `columns` of them */
INLINE void gather_block(const V *d, const V *h, REAL *gradient, long n_in, long step, int panels, int rows,
                         int columns) {
    V sum[SIDE * SIDE];
    UNROLL for (int j = 0; j < SIDE * SIDE; j++) sum[j] = broadcast(0);
    for (int panel = 0; panel < panels; panel++, d += step, h += step) {
        UNROLL for (int p = 0; p < ACROSS; p++) {
            V in[SIDE];
            UNROLL for (int k = 0; k < columns; k++) in[k] = h[k * ACROSS + p];
            UNROLL for (int i = 0; i < rows; i++) {
                const V e = d[i * ACROSS + p];
                UNROLL for (int k = 0; k < columns; k++) sum[i * SIDE + k] += e * in[k];
            }
        }
    }
    REAL total[SIDE * SIDE];
    for (int j = 0; j < SIDE * SIDE; j += LANES) {
        const V folded = fold(sum + j);
        memcpy(total + j, &folded, sizeof folded);
    }
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < columns; k++) gradient[i * n_in + k] += total[i * SIDE + k];
}

INLINE void gather_rows(const V *d, const V *h, REAL *gradient, long n_in, long wide, long step, int panels, int rows) {
    long k = 0;
    for (; k + SIDE <= wide; k += SIDE)
        gather_block(d, h + k * ACROSS, gradient + k, n_in, step, panels, rows, SIDE);
    for (; k < wide; k++) gather_block(d, h + k * ACROSS, gradient + k, n_in, step, panels, rows, 1);
}

INLINE void gather(const V *d, const V *h, REAL *gradient, long n_in, long n_out, long step, int panels) {
    for (long k = 0; k < n_in; k += RESIDENT) {
        const long wide = n_in - k < RESIDENT ? n_in - k : RESIDENT;
        long i = 0;
        for (; i + SIDE <= n_out; i += SIDE)
            gather_rows(d + i * ACROSS, h + k * ACROSS, gradient + i * n_in + k, n_in, wide, step, panels, SIDE);
        for (; i < n_out; i++)
            gather_rows(d + i * ACROSS, h + k * ACROSS, gradient + i * n_in + k, n_in, wide, step, panels, 1);
    }
}

/* gradient_i += sum of d_i */
INLINE void gather_biases(const V *d, REAL *gradient, long n_out, long step, int panels) {
    for (long first = 0; first < n_out; first += LANES) {
        const int count = n_out - first < LANES ? (int)(n_out - first) : LANES;
        V sum[LANES];
        for (int i = 0; i < LANES; i++) sum[i] = broadcast(0);
        for (int panel = 0; panel < panels; panel++)
            for (int i = 0; i < count; i++) UNROLL for (int p = 0; p < ACROSS; p++)
                sum[i] += d[panel * step + (first + i) * ACROSS + p];
        const V folded = fold(sum);
        for (int i = 0; i < count; i++) gradient[first + i] += folded[i];
    }
}

/* --- rows of a panel --- */

/* The rows of a replica's minibatch at a step (0, 1, ... from now on). */
INLINE const int32_t *batch_of(const Work *work, long replica, long step, int32_t *room) {
    if (work->chosen) return work->chosen + (step * work->groups + replica) * work->batch;
    const long begin = (work->first + step) * work->batch, end = begin + work->batch;
    for (long counter = begin / 4; 4 * counter < end; counter += LANES) {
        uint32_t c[4][LANES];
        for (int lane = 0; lane < LANES; lane++) set_counter(c, lane, counter + lane, work->numbers[replica]);
        philox(c, work->key[0], work->key[1]);
        for (int j = 0; j < 4 * LANES; j++) {
            const long at = 4 * counter + j;
            if (at >= begin && at < end) room[at - begin] = row_of(c[j % 4][j / 4], work->rows);
        }
    }
    return room;
}

/* Inputs and labels of a panel of points from `first` on. Room that is left repeats the last of the `points` points,
   where a network is finite if it is so at all points. */
INLINE void load(const Work *work, const int32_t *chosen, long first, long points, V *into) {
    const long n_in = work->widths[0], n_out = work->widths[work->layers];
    for (long j = 0; j < ACROSS * LANES; j++) {
        const long at = first + j < points ? first + j : points - 1, row = chosen ? chosen[at] : at;
        REAL *to = (REAL *)into + j;
        for (long c = 0; c < n_in; c++) to[c * ACROSS * LANES] = work->inputs[row * n_in + c];
        for (long c = 0; c < n_out; c++) to[(n_in + c) * ACROSS * LANES] = work->labels[row * n_out + c];
    }
}

/* --- whole trajectories --- */

/* Activations and derivatives by pre-activations of all layers, panel after panel, each `total` x ACROSS; and the
   inputs and labels of a panel, or of all panels if every step takes all rows. */
typedef struct {
    V *h, *d, *columns;
    long total; /* l_0 + ... + l_L */
    int32_t *rows;
} Room;

/* One panel forward and back, of which so many points count. */
INLINE void carry(const Work *work, const REAL *weight, const V *y, V *h, V *d, V scale, long points) {
    const long *widths = work->widths, last = work->layers;
    long below = 0;
    for (long layer = 1; layer <= last; layer++) {
        const long n_in = widths[layer - 1], n_out = widths[layer];
        const REAL *bias = weight + n_in * n_out;
        forward(weight, bias, h + below * ACROSS, h + (below + n_in) * ACROSS, n_in, n_out, layer < last);
        weight += n_out * (n_in + 1), below += n_in;
    }
    I number;
    UNROLL for (int lane = 0; lane < LANES; lane++) number[lane] = lane;
    for (long i = 0; i < widths[last]; i++) UNROLL for (int p = 0; p < ACROSS; p++) {
        const V residual = (h[(below + i) * ACROSS + p] - y[i * ACROSS + p]) * scale;
        d[(below + i) * ACROSS + p] = SELECT(number + p * LANES < (INT)points, residual, broadcast(0));
    }
    for (long layer = last; layer >= 2; layer--) {
        const long n_in = widths[layer - 1], n_out = widths[layer];
        weight -= n_out * (n_in + 1), below -= n_in;
        backward(weight, d + (below + n_in) * ACROSS, h + below * ACROSS, d + below * ACROSS, n_in, n_out);
    }
}

static void train_replica(const Work *work, long replica, V *gradient, const Room *room) {
    V *slab = work->memory + replica * (1 + work->states) * work->parameters;
    const long *widths = work->widths, n_in = widths[0], n_out = widths[work->layers];
    const long points = work->batch ? work->batch : work->rows, share = ACROSS * LANES, panel = room->total * ACROSS;
    const V scale = broadcast((REAL)work->sign * 2 / (REAL)points);
    for (long step = 0; step < work->steps; step++) {
        const int32_t *chosen = work->batch ? batch_of(work, replica, step, room->rows) : 0;
        memset(gradient, 0, (size_t)work->parameters * sizeof(V));
        for (long first = 0; first < points; first += TILE * LANES) {
            int panels = 0;
            for (long at = first; panels < PANELS && at < points; panels++, at += share) {
                V *h = room->h + panels * panel, *d = room->d + panels * panel, *columns = room->columns;
                if (chosen) load(work, chosen, at, points, columns);
                else columns += at / share * (n_in + n_out) * ACROSS;
                memcpy(h, columns, (size_t)(n_in * ACROSS) * sizeof(V));
                carry(work, (const REAL *)slab, columns + n_in * ACROSS, h, d, scale, points - at);
            }
            REAL *weight = (REAL *)gradient;
            const V *h = room->h, *d = room->d;
            for (long layer = 1; layer <= work->layers; layer++) {
                const long in = widths[layer - 1], out = widths[layer];
                d += in * ACROSS;
                gather(d, h, weight, in, out, panel, panels);
                gather_biases(d, weight + in * out, out, panel, panels);
                weight += out * (in + 1), h += in * ACROSS;
            }
        }
        update_group(work, step, slab, gradient);
    }
}

/* 0 when no replica is left, 1 if memory is wanting. */
int train(Work *work) {
    const long share = ACROSS * LANES, panels = work->batch ? 1 : (work->rows + share - 1) / share;
    const long each = (work->widths[0] + work->widths[work->layers]) * ACROSS;
    long total = 0;
    for (long layer = 0; layer <= work->layers; layer++) total += work->widths[layer];
    V *memory = reserve(work->parameters + 2 * total * TILE + panels * each + work->batch / LANES + 1);
    if (!memory) return 1;
    V *h = memory + work->parameters, *d = h + total * TILE, *columns = d + total * TILE;
    const Room room = {h, d, columns, total, (int32_t *)(columns + panels * each)};
    if (!work->batch)
        for (long panel = 0; panel < panels; panel++) load(work, 0, panel * share, work->rows, columns + panel * each);
    for (long replica; (replica = take(work)) < work->groups;) train_replica(work, replica, memory, &room);
    free(memory);
    return 0;
}
