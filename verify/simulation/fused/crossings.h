/* One hidden layer, and not many more points than neurons: every neuron crosses 0 between two neighbouring points.
   There its outgoing weight enters or leaves the network's slope; one way over the points adds up slopes, values and
   residuals, and each neuron reads its own two sums at its crossing. The cost does not depend on where kinks lie.

   Before its crossing a rising neuron (not w < 0) is off and a falling one on, after it the other way round. Which side
   a point is on is decided by w x + b as the brute-force kernel computes it, which is monotone in x after rounding,
   too. */

#define POINTS_A_NEURON 8 /* at most */
#define STEPS_BESIDE 6 /* before a crossing is looked for among all points */

/* Of one group; all but the crossings is made anew in each step. */
typedef struct {
    I *crossing;       /* of each neuron, the first point after it: 0, ..., rows */
    V *before, *after; /* the points beside it; beyond the ends -inf and inf */
    Pairs *table;      /* value and slope that enter at each point, then sums of the residual, and of the residual times
                          x, over the points before it; between steps 0 */
} Crossings;

/* Where that is faster than marching over the pieces. */
INLINE int few_points(const Work *work) { return work->layers == 2 && work->rows <= POINTS_A_NEURON * work->widths[1]; }
INLINE long crossings_room(const Work *work) { return 3 * work->widths[1] + 2 * (work->rows + 1); }

/* In `room`, with every crossing before all points. */
static Crossings crossings_in(V *room, const Work *work) {
    const long width = work->widths[1], rows = work->rows;
    Crossings at = {(I *)room, room + width, room + 2 * width, (Pairs *)(room + 3 * width)};
    memset(at.table, 0, (size_t)(rows + 1) * sizeof(Pairs));
    for (long i = 0; i < width; i++) {
        at.crossing[i] = (I){0};
        at.before[i] = broadcast(work->inputs[-1]), at.after[i] = broadcast(work->inputs[0]);
    }
    return at;
}

/* Whether every lane's crossing lies where it is kept. */
INLINE int in_place(V w, V b, V before, V after) {
    const M falling = negative(w);
    return !some((active(b + w * before) ^ falling) | ~(active(b + w * after) ^ falling));
}

/* -1 or 1 in lanes whose crossing lies further down, or further up. */
INLINE I misplaced(V w, V b, V before, V after, I crossing, INT rows) {
    const I falling = w < 0;
    const I down = (~(b + w * before <= 0) ^ falling) & (crossing > 0);
    const I up = ~(~(b + w * after <= 0) ^ falling) & (crossing < rows);
    return down - up;
}

/* The crossings of a neuron, looked for by halving. */
static I cross_anywhere(const REAL *points, INT rows, V w, V b) {
    I crossing = {0};
    INT top = 1;
    while (2 * top <= rows) top *= 2;
    for (; top; top /= 2) {
        const I next = crossing + top, inside = next <= rows;
        const V x = look_up(points, (next & inside) | (rows & ~inside));
        crossing += top & inside & ~(~(b + w * x <= 0) ^ (w < 0));
    }
    return crossing;
}

/* Move a neuron's crossings to where they now are, mostly a point or two further. */
APART void cross_again(const Work *work, const Crossings *at, long i, V w, V b) {
    const REAL *points = work->inputs - 1;
    const INT rows = (INT)work->rows;
    I crossing = at->crossing[i], move = misplaced(w, b, at->before[i], at->after[i], crossing, rows);
    for (int step = 0; any(move); step++) {
        const int beside = step < STEPS_BESIDE;
        crossing = beside ? crossing + move : cross_anywhere(points, rows, w, b);
        at->before[i] = look_up(points, crossing), at->after[i] = look_up(points, crossing + 1);
        if (!beside) break;
        move = misplaced(w, b, at->before[i], at->after[i], crossing, rows);
    }
    at->crossing[i] = crossing;
}

INLINE void cross(const Work *work, const V *theta, V *gradient, const Crossings *at, REAL scale) {
    const long width = work->widths[1], rows = work->rows;
    const V *w = theta, *b = theta + width, *v = theta + 2 * width;
    const REAL *x = work->inputs, *y = work->labels;
    V value = theta[3 * width], slope = broadcast(0);
    for (long i = 0; i < width; i++) {
        if (!in_place(w[i], b[i], at->before[i], at->after[i])) cross_again(work, at, i, w[i], b[i]);
        const M falling = negative(w[i]);
        const V first = b[i] + w[i] * x[0], here = b[i] + w[i] * at->after[i];
        const M on = falling & active(first);
        value = fma_where(on, value, v[i], first), slope = fma_where(on, slope, v[i], w[i]);
        const V enters = negative_where(on, where(on | ~falling, v[i]));
        add_pairs(at->table, at->crossing[i], in_pairs(enters * here, enters * w[i]));
    }
    V sum = broadcast(0), times = broadcast(0);
    Pairs here = at->table[0];
    value += firsts(here);
    for (long j = 0; j < rows; j++) {
        const V r = (value - y[j]) * scale;
        at->table[j] = in_pairs(sum, times);
        sum += r, times += r * x[j];
        slope += seconds(here), here = at->table[j + 1];
        value += slope * (x[j + 1] - x[j]) + firsts(here);
    }
    at->table[rows] = in_pairs(sum, times);
    for (long i = 0; i < width; i++) {
        const Pairs until = look_up_pairs(at->table, at->crossing[i]);
        const V r = firsts(until), rx = seconds(until);
        const M falling = negative(w[i]);
        const M dead = ~falling & not_less(at->after[i], broadcast((REAL)INFINITY)); /* else NaN - NaN would be NaN */
        const V sw = where(~dead, choose(falling, rx, times - rx)), sb = where(~dead, choose(falling, r, sum - r));
        gradient[i] = v[i] * sw, gradient[width + i] = v[i] * sb;
        gradient[2 * width + i] = w[i] * sw + b[i] * sb;
    }
    gradient[3 * width] = sum;
    memset(at->table, 0, (size_t)(rows + 1) * sizeof(Pairs));
}
