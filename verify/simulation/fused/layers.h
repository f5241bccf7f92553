/* Products of layers with the activations of TILE points, tiled in registers: UNITS x POINTS_AT_ONCE accumulators, each
   a vector of replicas.

   TILE = points at a time, a power of 2; WIDTH = width of hidden layers for which the products are also
   compiled with known sizes, or 0. Arrays: weights[i * n_in + k], h[k * TILE + t], d[i * TILE + t]. */

#define UNITS 4
#if TILE < POINTS_AT_ONCE
#define UT TILE
#else
#define UT POINTS_AT_ONCE
#endif

/* `units` and `across` are constants in every call, so that the accumulators are registers. */

/* out_i = b_i + sum_k W_ik h_k, through relu if asked to. */
INLINE void forward_units(const V *weight, const V *bias, const V *h, V *out, long n_in, int units, int rectify) {
    for (int t = 0; t < TILE; t += UT) {
        V sum[UNITS][UT];
        UNROLL for (int i = 0; i < units; i++) UNROLL for (int p = 0; p < UT; p++) sum[i][p] = bias[i];
        for (long k = 0; k < n_in; k++) {
            V in[UT];
            UNROLL for (int p = 0; p < UT; p++) in[p] = h[k * TILE + t + p];
            UNROLL for (int i = 0; i < units; i++) {
                V w = weight[i * n_in + k];
                UNROLL for (int p = 0; p < UT; p++) sum[i][p] += w * in[p];
            }
        }
        UNROLL for (int i = 0; i < units; i++) UNROLL for (int p = 0; p < UT; p++)
            out[i * TILE + t + p] = rectify ? relu(sum[i][p]) : sum[i][p];
    }
}

INLINE void forward_sized(const V *weight, const V *bias, const V *h, V *out, long n_in, long n_out, int rectify) {
    long i = 0;
    for (; i + UNITS <= n_out; i += UNITS)
        forward_units(weight + i * n_in, bias + i, h, out + i * TILE, n_in, UNITS, rectify);
    for (; i + 2 <= n_out; i += 2) forward_units(weight + i * n_in, bias + i, h, out + i * TILE, n_in, 2, rectify);
    for (; i < n_out; i++) forward_units(weight + i * n_in, bias + i, h, out + i * TILE, n_in, 1, rectify);
}

/* below_k = (sum_i W_ik d_i) where neuron k is active, else 0; `on` says where if it is given, h else. */
INLINE void backward_units(const V *weight, const V *d, const V *h, const M *on, V *below, long n_in, long n_out,
                           int units) {
    for (int t = 0; t < TILE; t += UT) {
        V sum[UNITS][UT];
        UNROLL for (int k = 0; k < units; k++) UNROLL for (int p = 0; p < UT; p++) sum[k][p] = broadcast(0);
        for (long i = 0; i < n_out; i++) {
            V in[UT];
            UNROLL for (int p = 0; p < UT; p++) in[p] = d[i * TILE + t + p];
            UNROLL for (int k = 0; k < units; k++) {
                V w = weight[i * n_in + k];
                UNROLL for (int p = 0; p < UT; p++) sum[k][p] += w * in[p];
            }
        }
        UNROLL for (int k = 0; k < units; k++) UNROLL for (int p = 0; p < UT; p++)
            below[k * TILE + t + p] = where(on ? on[k * TILE + t + p] : active(h[k * TILE + t + p]), sum[k][p]);
    }
}

INLINE void backward_sized(const V *weight, const V *d, const V *h, const M *on, V *below, long n_in, long n_out) {
#define FROM(k) weight + k, d, h + k * TILE, on ? on + k * TILE : 0, below + k * TILE, n_in, n_out
    long k = 0;
    for (; k + UNITS <= n_in; k += UNITS) backward_units(FROM(k), UNITS);
    for (; k + 2 <= n_in; k += 2) backward_units(FROM(k), 2);
    for (; k < n_in; k++) backward_units(FROM(k), 1);
#undef FROM
}

/* gradient_ik += sum_t d_i h_k */
INLINE void gather_units(const V *d, const V *h, V *gradient, long n_in, int units, int across) {
    V sum[UNITS][UNITS];
    UNROLL for (int i = 0; i < units; i++) UNROLL for (int k = 0; k < across; k++) sum[i][k] = gradient[i * n_in + k];
    for (int t = 0; t < TILE; t++) {
        V in[UNITS];
        UNROLL for (int k = 0; k < across; k++) in[k] = h[k * TILE + t];
        UNROLL for (int i = 0; i < units; i++) {
            V e = d[i * TILE + t];
            UNROLL for (int k = 0; k < across; k++) sum[i][k] += e * in[k];
        }
    }
    UNROLL for (int i = 0; i < units; i++) UNROLL for (int k = 0; k < across; k++) gradient[i * n_in + k] = sum[i][k];
}

INLINE void gather_row(const V *d, const V *h, V *gradient, long n_in, int units) {
    long k = 0;
    for (; k + UNITS <= n_in; k += UNITS) gather_units(d, h + k * TILE, gradient + k, n_in, units, UNITS);
    for (; k + 2 <= n_in; k += 2) gather_units(d, h + k * TILE, gradient + k, n_in, units, 2);
    for (; k < n_in; k++) gather_units(d, h + k * TILE, gradient + k, n_in, units, 1);
}

INLINE void gather_sized(const V *d, const V *h, V *gradient, long n_in, long n_out) {
    long i = 0;
    for (; i + UNITS <= n_out; i += UNITS) gather_row(d + i * TILE, h, gradient + i * n_in, n_in, UNITS);
    for (; i + 2 <= n_out; i += 2) gather_row(d + i * TILE, h, gradient + i * n_in, n_in, 2);
    for (; i < n_out; i++) gather_row(d + i * TILE, h, gradient + i * n_in, n_in, 1);
}

/* gradient_i += sum_t d_i, by halves, so that additions need not wait for each other */
INLINE void gather_biases(const V *d, V *gradient, long n_out) {
    for (long i = 0; i < n_out; i++) {
        V sum[TILE];
        UNROLL for (int t = 0; t < TILE; t++) sum[t] = d[i * TILE + t];
        UNROLL for (int half = TILE / 2; half >= 1; half /= 2)
            UNROLL for (int t = 0; t < half; t++) sum[t] += sum[t + half];
        gradient[i] += sum[0];
    }
}

/* --- the same, with known sizes where they are common --- */

INLINE void forward(const V *weight, const V *bias, const V *h, V *out, long n_in, long n_out, int rectify) {
    if (n_in == WIDTH && n_out == WIDTH) forward_sized(weight, bias, h, out, WIDTH, WIDTH, rectify);
    else forward_sized(weight, bias, h, out, n_in, n_out, rectify);
}

INLINE void backward(const V *weight, const V *d, const V *h, const M *on, V *below, long n_in, long n_out) {
    if (n_in == WIDTH && n_out == WIDTH) backward_sized(weight, d, h, on, below, WIDTH, WIDTH);
    else backward_sized(weight, d, h, on, below, n_in, n_out);
}

INLINE void gather(const V *d, const V *h, V *gradient, long n_in, long n_out) {
    if (n_in == WIDTH && n_out == WIDTH) gather_sized(d, h, gradient, WIDTH, WIDTH);
    else gather_sized(d, h, gradient, n_in, n_out);
}

/* One hidden layer, one output: gradient holds, for each neuron, the sums of the residual times each input and of the
   residual where it is active, and here gets what they mean: the outgoing weight v_i was taken out of the sums, and
   v_i's own is the sum of the residual times w_i x + b_i, which follows from them; 0 where no point is active. */
INLINE void finish_shallow(const V *theta, V *gradient, long n_in, long width) {
    const V *b = theta + n_in * width, *v = b + width;
    V *gb = gradient + n_in * width, *gv = gb + width;
    for (long i = 0; i < width; i++) {
        V own = b[i] * gb[i];
        for (long k = 0; k < n_in; k++) {
            const V sum = gradient[i * n_in + k];
            own += theta[i * n_in + k] * sum;
            gradient[i * n_in + k] = v[i] * sum;
        }
        gb[i] *= v[i], gv[i] = own;
    }
}
