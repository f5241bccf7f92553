/* Exact full-batch gradients for scalar inputs and outputs: between kinks a network is affine, so that the sums over
   the points of a linear piece follow from its value and slope there and from five moments of the data.

   The inputs are sorted. Each lane marches from linear piece to linear piece: at the first point x_0 of a piece it
   computes value and slope of every neuron afresh (no sum is carried from piece to piece, so that a pre-activation that
   is 0 is exactly 0), finds the next kink, and closes the piece before the first point that may lie beyond it. One
   vector a piece goes back. A neuron is active on a piece if and only if it is at x_0, where its pre-activation is
   computed as the brute-force kernel computes it; a kink is estimated from below, so that points near one begin pieces
   of their own. One hidden layer and few points have a way of their own (crossings.h).

   Compile with WIDE = 0 (float) or 1 (double), TILE = pieces at a time on the way back, and WIDTH (see layers.h), and
   for narrow networks what narrow.h names. */

#include "lanes.h"
#include "work.h"
#include "layers.h"

#ifdef NEURONS
#include "narrow.h"
#define ALL UNROLL /* all sizes are constant */
#else
#define ALL
#endif
#define RISING 8 /* neurons at once, two accumulators each */
#define CHAINS 4 /* independent minima and sums, so that one need not wait for the other */
#define ULP ((REAL)(WIDE ? 0x1p-52 : 0x1p-23))

typedef double D __attribute__((vector_size(LANES * sizeof(double))));

/* A piece of one group: where it begins and how far the next kink of any neuron lies ahead. */
typedef struct {
    I begin, end; /* numbers of points */
    V x0;
    V limit; /* points before this lie before every kink */
    V r0, r1; /* sums of the residual, and of the residual times x - x_0, over the points of the piece */
} Piece;

/* --- forward: value and slope of every neuron --- */

/* relu, and how far its kink lies ahead: -z/p, where that is >= 0; `ahead` keeps the least. Added to 0, so that z = 0
   gives 0 and not -0: then the piece ends early, which is right also where p < 0 and no kink lies ahead. Slopes below
   the normal range count as 0. */
INLINE M rectify(V *ahead, V *z, V *p) {
    *ahead = least_positive(*ahead, 0 - *z * rough_reciprocal(*p));
    const M on = active(*z);
    *z = where(on, *z), *p = where(on, *p);
    return on;
}

/* `units` neurons above n_in neurons with values h and slopes s; ahead null: no relu, else `on` says which are active.
   */
INLINE void rise_units(const V *weight, const V *bias, const V *h, const V *s, V *value, V *slope, long n_in, int units,
                       V *ahead, M *on) {
    V z[RISING], p[RISING];
    UNROLL for (int i = 0; i < units; i++) z[i] = bias[i], p[i] = broadcast(0);
    ALL for (long k = 0; k < n_in; k++) {
        UNROLL for (int i = 0; i < units; i++) {
            V w = weight[i * n_in + k];
            z[i] += w * h[k];
            p[i] += w * s[k];
        }
    }
    UNROLL for (int i = 0; i < units; i++) {
        if (ahead) on[i * TILE] = rectify(ahead + i % CHAINS, z + i, p + i);
        value[i] = z[i], slope[i] = p[i];
    }
}

INLINE void rise_sized(const V *weight, const V *bias, const V *h, const V *s, V *value, V *slope, long n_in,
                       long n_out, V *ahead, M *on) {
    long i = 0;
    for (; i + RISING <= n_out; i += RISING)
        rise_units(weight + i * n_in, bias + i, h, s, value + i, slope + i, n_in, RISING, ahead, on + i * TILE);
    for (; i + 4 <= n_out; i += 4)
        rise_units(weight + i * n_in, bias + i, h, s, value + i, slope + i, n_in, 4, ahead, on + i * TILE);
    for (; i < n_out; i++)
        rise_units(weight + i * n_in, bias + i, h, s, value + i, slope + i, n_in, 1, ahead, on + i * TILE);
}

#ifdef NEURONS
/* value and slope: of the neurons below and then above, which also go to h and s, layer after layer. */
INLINE void rise_all(const V *theta, V *value, V *slope, V *h, V *s, int n_in, int n_out, int times, V *ahead, M *on) {
    ROLLED for (int l = 0; l < times; l++, theta += n_out * (n_in + 1), h += n_in, s += n_in, on += n_in * TILE) {
        rise_units(theta, theta + n_in * n_out, value, slope, h, s, n_in, n_out, ahead, on);
        UNROLL for (int i = 0; i < n_out; i++) value[i] = h[i], slope[i] = s[i];
    }
}
#endif

INLINE void rise(const V *weight, const V *bias, const V *h, const V *s, V *value, V *slope, long n_in, long n_out,
                 V *ahead, M *on) {
    if (n_in == WIDTH && n_out == WIDTH) rise_sized(weight, bias, h, s, value, slope, WIDTH, WIDTH, ahead, on);
    else rise_sized(weight, bias, h, s, value, slope, n_in, n_out, ahead, on);
}

/* --- the points of a piece --- */

/* The cell of x; monotone in x, also after rounding. NaN lies in the last cell. */
INLINE I cell_of(const Work *work, V x) {
    const V last = broadcast((REAL)(work->cells - 1));
    const V cell = x * (REAL)work->cells_per_unit - (REAL)work->cells_before;
    return most(__builtin_convertvector(SELECT(cell < last, cell, last), I), (I){0});
}

/* For each cell the last point that lies in an earlier one, or 0. */
void guess(const Work *work, INT *guesses) {
    INT point = 0;
    for (long cell = 0; cell < work->cells; cell++) {
        while (point + 1 < work->rows && cell_of(work, broadcast(work->inputs[point + 1]))[0] < cell) point++;
        guesses[cell] = point;
    }
}

/* Close the piece before the first point after `begin` that does not lie before the limit, and find the next one's x_0:
   from the last point of an earlier cell a step or two ahead, or by halving where a cell has many points. */
INLINE void close(const Work *work, Piece *piece, V *next, long top) {
    const V limit = piece->limit, last = broadcast(work->inputs[work->rows - 1]);
    const INT rows = (INT)work->rows;
    I at = (I)look_up(work->guesses, cell_of(work, limit)); /* INT and REAL are equally long */
    for (int step = 0;; step++) {
        at = least(most(at, piece->begin), (rows - 1) - (I){0});
        const V x = look_up(work->inputs + 1, at), further = look_up(work->inputs + 2, at);
        const I ahead = x < limit, far = further < limit;
        at -= ahead;
        *next = SELECT(ahead, further, x);
        if (!any(far)) break;
        at -= far;
        if (step < 2) continue;
        for (INT many = (INT)top; many; many >>= 1) {
            const I after = at + many, inside = after < rows;
            at += many & inside & (look_up(work->inputs, (after & inside) | (rows & ~inside)) < limit);
        }
    }
    *next = SELECT(*next < last, *next, last);
    piece->end = at + 1;
}

INLINE D moment(const Work *work, int which, I number) {
    if (which == 0) return __builtin_convertvector(number, D);
    D found;
    const double *table = work->moments + which * (work->rows + 1);
#if defined(__AVX512F__) && WIDE
    found = (D)_mm512_i64gather_pd((__m512i)number, table, 8);
#elif defined(__AVX512F__)
    __m256i low = _mm512_castsi512_si256((__m512i)number), high = _mm512_extracti64x4_epi64((__m512i)number, 1);
    __m512d a = _mm512_i32gather_pd(low, table, 8), b = _mm512_i32gather_pd(high, table, 8);
    memcpy(&found, &a, sizeof a);
    memcpy((char *)&found + sizeof a, &b, sizeof b);
#else
    for (int lane = 0; lane < LANES; lane++) found[lane] = table[number[lane]];
#endif
    return found;
}

/* Sums over the piece, in double: they cancel. before: the moments at `begin`, then those at `end`. */
INLINE void residuals(const Work *work, Piece *piece, D *before, V value, V slope, REAL scale) {
    D x[MOMENTS];
    for (int which = 0; which < MOMENTS; which++) {
        D now = moment(work, which, piece->end);
        x[which] = now - before[which];
        before[which] = now;
    }
    const D start = __builtin_convertvector(piece->x0, D) - work->centre;
    const D b = __builtin_convertvector(value, D), a = __builtin_convertvector(slope, D);
    const D x1 = x[1] - start * x[0], x2 = x[2] - start * (x[1] + x1);
    const D y1 = x[4] - start * x[3];
    piece->r0 = __builtin_convertvector(a * x1 + b * x[0] - x[3], V) * scale;
    piece->r1 = __builtin_convertvector(a * x2 + b * x1 - y1, V) * scale;
}

/* --- one hidden layer: kinks are known once for a step, and outgoing weights are taken out of the sums --- */

/* Where the kinks may lie: w x + b changes sign between `early` and `late`. */
INLINE void kinks(const V *theta, V *early, V *late, long width) {
    for (long i = 0; i < width; i++) {
        V kink = DIVIDE(-theta[width + i], theta[i]), margin = ABS(kink) * (8 * ULP);
        early[i] = kink - margin, late[i] = kink + margin;
    }
}

INLINE void march_shallow(const Work *work, const V *theta, V *gradient, Piece *piece, D *moments, const V *early,
                          const V *late, V *next, REAL scale, long top) {
    const long width = work->widths[1];
    const V *w = theta, *b = theta + width, *v = theta + 2 * width, x0 = piece->x0;
    V value[CHAINS], slope[CHAINS], limit[CHAINS];
    UNROLL for (int c = 0; c < CHAINS; c++) {
        value[c] = slope[c] = broadcast(0);
        limit[c] = broadcast((REAL)INFINITY);
    }
    for (long first = 0; first < width; first += CHAINS) {
        UNROLL for (int c = 0; c < CHAINS; c++) {
            const long i = first + c;
            if (i >= width) break;
            const V z = b[i] + w[i] * x0;
            const M on = active(z);
            value[c] = fma_where(on, value[c], v[i], z);
            slope[c] = fma_where(on, slope[c], v[i], w[i]);
            limit[c] = min_where(not_less(late[i], x0), limit[c], early[i]);
        }
    }
    UNROLL for (int c = 1; c < CHAINS; c++) {
        value[0] += value[c], slope[0] += slope[c];
        limit[0] = SELECT(limit[c] < limit[0], limit[c], limit[0]);
    }
    piece->limit = limit[0];
    close(work, piece, next, top);
    residuals(work, piece, moments, value[0] + theta[3 * width], slope[0], scale);
    const V r0 = piece->r0, rx = x0 * r0 + piece->r1;
    V *gw = gradient, *gb = gradient + width;
    gradient[3 * width] += r0;
    for (long i = 0; i < width; i++) {
        const M on = active(b[i] + w[i] * x0);
        gw[i] = add_where(on, gw[i], rx);
        gb[i] = add_where(on, gb[i], r0);
    }
}

#include "crossings.h"

/* --- one piece, and whole trajectories --- */

/* TILE pieces that wait for the way back. For every neuron, neurons outside and pieces inside: whether it is active,
   and sum over the piece of residual times activation; and each piece's sum of the residual. */
typedef struct {
    M *on;
    V *sums, *residuals, *d, *below;
    int count;
} Waiting;

/* Forward through one piece, which then waits. h, s: values and slopes of all neurons; narrow networks hold them in
   registers and need no room. */
INLINE void march(const Work *work, const V *theta, Piece *piece, D *moments, Waiting *waiting, V *h_room,
                  V *s_room, V *next, REAL scale, REAL margin, long top) {
    const int t = waiting->count++;
    M *on = waiting->on + t;
    V ahead[CHAINS];
    UNROLL for (int c = 0; c < CHAINS; c++) ahead[c] = broadcast((REAL)INFINITY);
#ifdef NEURONS
    V h[NEURONS], s[NEURONS], value[WIDEST], slope[WIDEST]; /* of all layers, and of the one below */
    const long below = NEURONS - 1;
    h[0] = value[0] = piece->x0, s[0] = slope[0] = broadcast(1);
#define RISE(place, below, n_in, n_out, times) \
    rise_all(theta + place, value, slope, h + (below + n_in), s + (below + n_in), n_in, n_out, times, \
             below + n_in < NEURONS - 1 ? ahead : 0, on + (below + n_in) * TILE);
    LAYERS(RISE)
#else
    V *h = h_room, *s = s_room;
    const long *widths = work->widths, last = work->layers;
    const V *weight = theta;
    long below = 0;
    h[0] = piece->x0, s[0] = broadcast(1);
    for (long layer = 1; layer <= last; layer++) {
        long n_in = widths[layer - 1], n_out = widths[layer], here = below + n_in;
        const V *bias = weight + n_in * n_out;
        M *active_here = on + here * TILE;
        if (layer < last) rise(weight, bias, h + below, s + below, h + here, s + here, n_in, n_out, ahead, active_here);
        else rise_sized(weight, bias, h + below, s + below, h + here, s + here, n_in, n_out, 0, 0);
        below = here, weight += n_out * (n_in + 1);
    }
#endif
    UNROLL for (int c = 1; c < CHAINS; c++) ahead[0] = least_positive(ahead[0], ahead[c]);
    /* from below: the reciprocals are rough, and x_0 and the limit are rounded */
    piece->limit = (piece->x0 - margin) + ahead[0] * (REAL)(1 - 0x1p-12);
    close(work, piece, next, top);
    residuals(work, piece, moments, h[below], s[below], scale);
    waiting->residuals[t] = piece->r0;
    ALL for (long k = 0; k < below; k++) waiting->sums[k * TILE + t] = h[k] * piece->r0 + s[k] * piece->r1;
}

/* The way back of all that wait; d_i is the derivative of the output by the pre-activation of neuron i. */
#ifdef NEURONS
/* d: of the neurons above and then below; none of the input. */
INLINE void fall_all(const V *theta, V *gradient, const Waiting *waiting, int below, V *d, int n_in, int n_out,
                     int times, int points) {
    ROLLED for (int l = times - 1; l >= 0; l--) {
        const int here = (below + l * n_in) * TILE;
        gain(gradient + l * n_out * (n_in + 1), waiting->sums + here, d, waiting->residuals, n_in, n_out, points);
        if (!below && !l) break;
        fall(theta + l * n_out * (n_in + 1), 0, waiting->on + here, d, n_in, n_out, points);
    }
}

INLINE void fall_back(const V *theta, V *gradient, const Waiting *waiting, int points) {
    V d[WIDEST * TILE];
    UNROLL for (int t = 0; t < points; t++) d[t] = broadcast(1);
#define FALL(place, below, n_in, n_out, times) \
    fall_all(theta + place, gradient + place, waiting, below, d, n_in, n_out, times, points);
    LAYERS_BACK(FALL)
}

#if TILE != 4
#error narrow networks are compiled for 4 pieces at a time
#endif
APART void carry_back(const Work *work, const V *theta, V *gradient, Waiting *waiting) {
    if (waiting->count == 1) fall_back(theta, gradient, waiting, 1);
    else if (waiting->count == 2) fall_back(theta, gradient, waiting, 2);
    else if (waiting->count == 3) fall_back(theta, gradient, waiting, 3);
    else fall_back(theta, gradient, waiting, TILE);
    waiting->count = 0;
}
#else
INLINE void carry_back(const Work *work, const V *theta, V *gradient, Waiting *waiting) {
    const long *widths = work->widths;
    V *d = waiting->d, *next = waiting->below, *r0 = waiting->residuals;
    long above = 0;
    for (long layer = 0; layer < work->layers; layer++) above += widths[layer];
    UNROLL for (int t = 0; t < TILE; t++) {
        d[t] = broadcast(1);
        if (t < waiting->count) continue;
        r0[t] = broadcast(0);
        for (long k = 0; k < above; k++) waiting->on[k * TILE + t] = (M){0}, waiting->sums[k * TILE + t] = broadcast(0);
    }
    const V *weight = theta + work->parameters;
    gradient += work->parameters;
    for (long layer = work->layers; layer >= 1; layer--) {
        long n_in = widths[layer - 1], n_out = widths[layer], size = n_out * (n_in + 1);
        weight -= size, gradient -= size, above -= n_in;
        gather(d, waiting->sums + above * TILE, gradient, n_in, n_out);
        for (long i = 0; i < n_out; i++) {
            V sum = gradient[n_in * n_out + i];
            UNROLL for (int t = 0; t < TILE; t++) sum += d[i * TILE + t] * r0[t];
            gradient[n_in * n_out + i] = sum;
        }
        if (layer == 1) break;
        backward(weight, d, 0, waiting->on + above * TILE, next, n_in, n_out);
        V *spare = d;
        d = next, next = spare;
    }
    waiting->count = 0;
}
#endif

static void train_group(const Work *work, long group, V *gradient, V *h, V *s, Waiting *waiting, V *rest) {
    V *slab = work->memory + group * (1 + work->states) * work->parameters;
    const REAL scale = (REAL)(work->sign * 2) / (REAL)work->rows;
    const INT rows = (INT)work->rows;
    const long width = work->widths[1];
    const int shallow = work->layers == 2;
    const Crossings crossings = few_points(work) ? crossings_in(rest, work) : (Crossings){0};
    const REAL low = -work->inputs[0], high = work->inputs[rows - 1];
    const REAL margin = (low > high ? low : high) * (4 * ULP);
    long top = 1;
    while (2 * top < work->rows) top *= 2;
    for (long step = 0; step < work->steps; step++) {
        if (crossings.table) {
            cross(work, slab, gradient, &crossings, scale);
            update_group(work, step, slab, gradient);
            continue;
        }
        memset(gradient, 0, (size_t)work->parameters * sizeof(V));
        Piece piece = {.begin = (I){0}, .x0 = broadcast(work->inputs[0])};
        D moments[MOMENTS];
        for (int which = 0; which < MOMENTS; which++) moments[which] = (D){0};
        if (shallow) kinks(slab, h, s, width);
        I pieces = {0};
        V next;
        for (I inside; any(inside = piece.begin < rows); piece.begin = piece.end, piece.x0 = next) {
            pieces -= inside;
            if (shallow) {
                march_shallow(work, slab, gradient, &piece, moments, h, s, &next, scale, top);
                continue;
            }
            march(work, slab, &piece, moments, waiting, h, s, &next, scale, margin, top);
            if (waiting->count == TILE) carry_back(work, slab, gradient, waiting);
        }
        if (waiting->count) carry_back(work, slab, gradient, waiting);
        if (shallow) finish_shallow(slab, gradient, 1, width);
        update_group(work, step, slab, gradient);
        if (step == work->steps - 1) work->pieces[group] = pieces;
    }
}

/* 0 when no group is left, 1 if memory is wanting. */
int train(Work *work) {
    long total = 0, widest = 1;
    for (long layer = 0; layer <= work->layers; layer++) {
        total += work->widths[layer];
        if (work->widths[layer] > widest) widest = work->widths[layer];
    }
    const long crossings = few_points(work) ? crossings_room(work) : 0;
    const long masks = (total * TILE * (long)sizeof(M) + (long)sizeof(V) - 1) / (long)sizeof(V);
    V *room = reserve(work->parameters + 2 * total + (total + 1 + 2 * widest) * TILE + masks + crossings);
    if (!room) return 1;
    V *h = room + work->parameters, *s = h + total, *sums = s + total, *residuals = sums + total * TILE;
    V *d = residuals + TILE, *below = d + widest * TILE, *on = below + widest * TILE, *rest = on + masks;
    Waiting waiting = {(M *)on, sums, residuals, d, below, 0};
    for (long group; (group = take(work)) < work->groups;) train_group(work, group, room, h, s, &waiting, rest);
    free(room);
    return 0;
}

/* Gather networks into groups of other lanes, which threads share as in `train`. Lanes go one by one where
   the memory has too many numbers for INT. */
int regroup(Work *work) {
    const long rows = (1 + work->states) * work->parameters, numbers = rows * LANES;
    const int whole = sizeof(INT) == sizeof(int64_t) || work->groups * numbers <= INT32_MAX;
    const REAL *memory = (const REAL *)work->memory;
    for (long group; (group = take(work)) < work->moving;) {
        const int64_t *sources = work->sources + group * LANES;
        V *to = work->moved + group * rows;
        if (whole) {
            I from;
            for (int lane = 0; lane < LANES; lane++)
                from[lane] = (INT)(sources[lane] / LANES * numbers + sources[lane] % LANES);
            for (long row = 0; row < rows; row++) to[row] = look_up(memory + row * LANES, from);
            continue;
        }
        for (int lane = 0; lane < LANES; lane++) {
            const REAL *from = memory + sources[lane] / LANES * numbers + sources[lane] % LANES;
            for (long row = 0; row < rows; row++) to[row][lane] = from[row * LANES];
        }
    }
    return 0;
}
