/* One hidden layer and one output: the outgoing weights v_i are taken out of the sums over the points, so that the way
   back asks of each neuron and point no more than whether it is active, and gradient holds the sums until
   `finish_shallow` (layers.h) multiplies them.

   SHALLOW = number of inputs. Arrays: x[k * TILE + t], on[i * TILE + t], and room for TILE vectors a neuron and TILE
   more. */

#if SHALLOW == 1
/* Scalar inputs: activations are kept in h, from which what is active follows sooner than masks come back. */
INLINE void tile_shallow(const V *theta, V *gradient, long width, const V *x, const V *y, V *h, V scale, int points) {
    const V *w = theta, *b = theta + width, *v = theta + 2 * width;
    V *gw = gradient, *gb = gradient + width;
    V r[TILE], in[TILE];
    UNROLL for (int t = 0; t < TILE; t++) {
        r[t] = theta[3 * width];
        in[t] = x[t];
    }
    for (long i = 0; i < width; i++) {
        V wi = w[i], bi = b[i], vi = v[i];
        UNROLL for (int t = 0; t < TILE; t++) {
            V a = relu(bi + wi * in[t]);
            h[i * TILE + t] = a;
            r[t] += vi * a;
        }
    }
    V out = gradient[3 * width];
    UNROLL for (int t = 0; t < TILE; t++) {
        r[t] = t < points ? (r[t] - y[t]) * scale : broadcast(0);
        out += r[t];
    }
    gradient[3 * width] = out;
    for (long i = 0; i < width; i++) {
        V sw = gw[i], sb = gb[i];
        UNROLL for (int t = 0; t < TILE; t++) {
            const M on = active(h[i * TILE + t]);
            sb = add_where(on, sb, r[t]);
            sw = fma_where(on, sw, r[t], in[t]);
        }
        gw[i] = sw, gb[i] = sb;
    }
}
#else
#define FORWARD 4 /* neurons at once on the way there, */
#define BACK 2    /* and on the way back, for MOST_INPUTS inputs */
#define MOST_INPUTS (VECTOR_BYTES == 64 ? 12 : 4)

/* r_t += sum of v_i max(z_i, 0) over `units` neurons */
INLINE void rise_shallow(const V *w, const V *b, const V *v, const V *x, V *r, M *on, int units) {
    for (int t = 0; t < TILE; t += UT) {
        V z[FORWARD][UT];
        UNROLL for (int i = 0; i < units; i++) UNROLL for (int p = 0; p < UT; p++) z[i][p] = b[i];
        UNROLL for (int k = 0; k < SHALLOW; k++) {
            V in[UT];
            UNROLL for (int p = 0; p < UT; p++) in[p] = x[k * TILE + t + p];
            UNROLL for (int i = 0; i < units; i++) {
                const V weight = w[i * SHALLOW + k];
                UNROLL for (int p = 0; p < UT; p++) z[i][p] += weight * in[p];
            }
        }
        UNROLL for (int p = 0; p < UT; p++) {
            V sum = r[t + p];
            UNROLL for (int i = 0; i < units; i++) {
                const M here = on[i * TILE + t + p] = active(z[i][p]);
                sum = fma_where(here, sum, v[i], z[i][p]);
            }
            r[t + p] = sum;
        }
    }
}

/* Sums of r_t x_kt, for `across` inputs from `first` on, over the points where neuron i is active, and with the last
   inputs those of r_t. */
INLINE void fall_shallow(const V *r, const M *on, const V *x, V *gw, V *gb, int units, int first, int across) {
    const int last = first + across == SHALLOW;
    V sum[BACK][MOST_INPUTS], bias[BACK];
    UNROLL for (int i = 0; i < units; i++) {
        UNROLL for (int k = 0; k < across; k++) sum[i][k] = gw[i * SHALLOW + first + k];
        bias[i] = gb[i];
    }
    for (int t = 0; t < TILE; t++) UNROLL for (int i = 0; i < units; i++) {
        const V here = where(on[i * TILE + t], r[t]);
        UNROLL for (int k = 0; k < across; k++) sum[i][k] += here * x[(first + k) * TILE + t];
        if (last) bias[i] += here;
    }
    UNROLL for (int i = 0; i < units; i++) {
        UNROLL for (int k = 0; k < across; k++) gw[i * SHALLOW + first + k] = sum[i][k];
        if (last) gb[i] = bias[i];
    }
}

INLINE void fall_shallow_row(const V *r, const M *on, const V *x, V *gw, V *gb, int units) {
    const int left = SHALLOW % MOST_INPUTS;
    UNROLL for (int first = 0; first < SHALLOW - left; first += MOST_INPUTS)
        fall_shallow(r, on, x, gw, gb, units, first, MOST_INPUTS);
    if (left) fall_shallow(r, on, x, gw, gb, units, SHALLOW - left, left);
}

INLINE void tile_shallow(const V *theta, V *gradient, long width, const V *x, const V *y, V *room, V scale,
                         int points) {
    V *r = room;
    M *on = (M *)(room + TILE);
    const V *w = theta, *b = w + width * SHALLOW, *v = b + width, *c = v + width;
    V *gw = gradient, *gb = gw + width * SHALLOW, *gc = gb + 2 * width;
    for (int t = 0; t < TILE; t++) r[t] = *c;
    long i = 0;
    for (; i + FORWARD <= width; i += FORWARD)
        rise_shallow(w + i * SHALLOW, b + i, v + i, x, r, on + i * TILE, FORWARD);
    for (; i < width; i++) rise_shallow(w + i * SHALLOW, b + i, v + i, x, r, on + i * TILE, 1);
    V sum = *gc;
    for (int t = 0; t < TILE; t++) {
        r[t] = t < points ? (r[t] - y[t]) * scale : broadcast(0);
        sum += r[t];
    }
    *gc = sum;
    for (i = 0; i + BACK <= width; i += BACK)
        fall_shallow_row(r, on + i * TILE, x, gw + i * SHALLOW, gb + i, BACK);
    if (i < width) fall_shallow_row(r, on + i * TILE, x, gw + i * SHALLOW, gb + i, 1);
}
#endif
