/* Full-batch or minibatch gradient of the mean squared error and one update, for whole trajectories.

   A thread takes a group of LANES replicas and carries it through all steps; the group's parameters, states and
   gradient and the activations of TILE points stay in the core's cache. For layers too wide for that see points.c.

   Compile with WIDE = 0 (float) or 1 (double), TILE and WIDTH (see layers.h), for narrow networks what narrow.h names,
   and for shallow ones what shallow.h does. */

#include "lanes.h"
#include "work.h"

#include "draws.h"
#include "layers.h"
#ifdef NEURONS
#include "narrow.h"
#endif
#ifdef SHALLOW
#include "shallow.h"
#endif

#if defined(NEURONS)
INLINE void rise(const V *theta, const V *h, V *out, int n_in, int n_out, int rectify) {
    UNROLL for (int i = 0; i < n_out; i++) {
        V sum[TILE];
        UNROLL for (int t = 0; t < TILE; t++) sum[t] = theta[n_in * n_out + i];
        UNROLL for (int k = 0; k < n_in; k++) {
            const V w = theta[i * n_in + k];
            UNROLL for (int t = 0; t < TILE; t++) sum[t] += w * h[k * TILE + t];
        }
        UNROLL for (int t = 0; t < TILE; t++) out[i * TILE + t] = rectify ? relu(sum[t]) : sum[t];
    }
}

INLINE void rise_all(const V *theta, V *h, int n_in, int n_out, int times, int rectify) {
    ROLLED for (int l = 0; l < times; l++, theta += n_out * (n_in + 1), h += n_in * TILE)
        rise(theta, h, h + n_in * TILE, n_in, n_out, rectify);
}

/* d: derivatives by the neurons above and then below; none below the inputs. */
INLINE void fall_all(const V *theta, V *gradient, const V *h, V *d, int n_in, int n_out, int times, int inputs) {
    ROLLED for (int l = times - 1; l >= 0; l--) {
        gain(gradient + l * n_out * (n_in + 1), h + l * n_in * TILE, d, 0, n_in, n_out, TILE);
        if (inputs && !l) break;
        fall(theta + l * n_out * (n_in + 1), h + l * n_in * TILE, 0, d, n_in, n_out, TILE);
    }
}

INLINE void tile(const V *theta, V *gradient, const V *x, const V *y, V scale, int points) {
    V h[NEURONS * TILE], d[WIDEST * TILE];
    UNROLL for (int k = 0; k < INPUTS; k++) UNROLL for (int t = 0; t < TILE; t++) h[k * TILE + t] = x[k * TILE + t];
#define RISE(place, below, n_in, n_out, times) \
    rise_all(theta + place, h + (below) * TILE, n_in, n_out, times, below + n_in < NEURONS - OUTPUTS);
    LAYERS(RISE)
    const V *out = h + (NEURONS - OUTPUTS) * TILE;
    UNROLL for (int i = 0; i < OUTPUTS; i++) UNROLL for (int t = 0; t < TILE; t++) {
        const int at = i * TILE + t;
        d[at] = t < points ? (out[at] - y[at]) * scale : broadcast(0);
    }
#define FALL(place, below, n_in, n_out, times) \
    fall_all(theta + place, gradient + place, h + (below) * TILE, d, n_in, n_out, times, below == 0);
    LAYERS_BACK(FALL)
}
#elif !defined(SHALLOW)
/* Any network; h has room for all layers, d for two. */
INLINE void tile(const Work *work, const V *theta, V *gradient, const V *y, V *h, V *d, V *e, V scale, int points) {
    const long *widths = work->widths, last = work->layers;
    const V *weight = theta;
    V *in = h;
    for (long layer = 1; layer <= last; layer++) {
        long n_in = widths[layer - 1], n_out = widths[layer];
        V *out = in + n_in * TILE;
        if (layer < last) forward(weight, weight + n_in * n_out, in, out, n_in, n_out, 1);
        else forward(weight, weight + n_in * n_out, in, out, n_in, n_out, 0);
        weight += n_out * (n_in + 1);
        in = out;
    }
    for (long i = 0; i < widths[last]; i++) UNROLL for (int t = 0; t < TILE; t++)
        d[i * TILE + t] = t < points ? (in[i * TILE + t] - y[i * TILE + t]) * scale : broadcast(0);
    gradient += work->parameters;
    for (long layer = last; layer >= 1; layer--) {
        long n_in = widths[layer - 1], n_out = widths[layer], size = n_out * (n_in + 1);
        weight -= size, gradient -= size, in -= n_in * TILE;
        gather(d, in, gradient, n_in, n_out);
        gather_biases(d, gradient + n_in * n_out, n_out);
        if (layer == 1) break;
        backward(weight, d, in, 0, e, n_in, n_out);
        V *spare = d;
        d = e, e = spare;
    }
}
#endif

/* --- rows of a tile --- */

/* Rows from the words `index` and after of each replica's stream, which are words of one counter. */
INLINE void draw(const Work *work, const uint64_t *numbers, long index, int32_t *chosen, int count) {
    uint32_t c[4][LANES];
    for (int lane = 0; lane < LANES; lane++) set_counter(c, lane, index / 4, numbers[lane]);
    philox(c, work->key[0], work->key[1]);
    for (int b = 0; b < count; b++)
        for (int lane = 0; lane < LANES; lane++) chosen[b * LANES + lane] = row_of(c[index % 4 + b][lane], work->rows);
}

/* The rows of a group's minibatch at a step (0, 1, ... from now on): batch x LANES. */
INLINE const int32_t *batch_of(const Work *work, long group, long step, int32_t *room) {
    if (work->chosen) return work->chosen + (step * work->groups + group) * work->batch * LANES;
    long index = (work->first + step) * work->batch;
    for (long b = 0; b < work->batch;) {
        int count = (int)(4 - (index + b) % 4);
        if (count > work->batch - b) count = (int)(work->batch - b);
        draw(work, work->numbers + group * LANES, index + b, room + b * LANES, count);
        b += count;
    }
    return room;
}

typedef int32_t Numbers __attribute__((vector_size(LANES * sizeof(int32_t)), aligned(4)));
INLINE I numbers_of(const int32_t *chosen) { return __builtin_convertvector(*(const Numbers *)chosen, I); }

/* The columns of TILE points: the same for all replicas, or each replica's own. Room that is left repeats the last
   point, where a network is finite if it is so at all points. */
INLINE void load(const REAL *table, long columns, const int32_t *chosen, long first, int points, V *into) {
    for (int t = 0; t < points; t++) {
        const I at = chosen ? numbers_of(chosen + (first + t) * LANES) * (INT)columns : (I){0};
        const REAL *row = chosen ? table : table + (first + t) * columns;
        for (long c = 0; c < columns; c++) into[c * TILE + t] = chosen ? look_up(row + c, at) : broadcast(row[c]);
    }
    for (int t = points; t < TILE; t++)
        for (long c = 0; c < columns; c++) into[c * TILE + t] = into[c * TILE + points - 1];
}

/* --- whole trajectories --- */

static void train_group(const Work *work, long group, V *gradient, V *h, V *d, V *e, V *y, int32_t *room) {
    V *slab = work->memory + group * (1 + work->states) * work->parameters;
    const long n_in = work->widths[0], n_out = work->widths[work->layers];
    const long points = work->batch ? work->batch : work->rows;
    const V scale = broadcast((REAL)work->sign * 2 / (REAL)points);
    for (long step = 0; step < work->steps; step++) {
        const int32_t *chosen = work->batch ? batch_of(work, group, step, room) : 0;
        memset(gradient, 0, (size_t)work->parameters * sizeof(V));
        for (long first = 0; first < points; first += TILE) {
            int here = points - first < TILE ? (int)(points - first) : TILE;
            load(work->inputs, n_in, chosen, first, here, h);
            load(work->labels, n_out, chosen, first, here, y);
#if defined(SHALLOW)
            tile_shallow(slab, gradient, work->widths[1], h, y, h + n_in * TILE, scale, here);
#elif defined(NEURONS)
            tile(slab, gradient, h, y, scale, here);
#else
            tile(work, slab, gradient, y, h, d, e, scale, here);
#endif
        }
#ifdef SHALLOW
        finish_shallow(slab, gradient, SHALLOW, work->widths[1]);
#endif
        update_group(work, step, slab, gradient);
    }
}

/* 0 when no group is left, 1 if memory is wanting. */
int train(Work *work) {
    long total = 0, widest = 1;
    for (long layer = 0; layer <= work->layers; layer++) {
        total += work->widths[layer];
        if (work->widths[layer] > widest) widest = work->widths[layer];
    }
    V *room = reserve(work->parameters + (total + 2 * widest + work->widths[work->layers]) * TILE + work->batch + 4);
    if (!room) return 1;
    V *h = room + work->parameters, *d = h + total * TILE, *e = d + widest * TILE, *y = e + widest * TILE;
    int32_t *rows = (int32_t *)(y + work->widths[work->layers] * TILE);
    for (long group; (group = take(work)) < work->groups;) train_group(work, group, room, h, d, e, y, rows);
    free(room);
    return 0;
}
