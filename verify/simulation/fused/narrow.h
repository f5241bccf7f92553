/* A narrow network, whose layers have constant sizes, so that what goes from layer to layer stays in registers.

   INPUTS, OUTPUTS; NEURONS = in all layers, inputs and outputs among them; WIDEST = most in one layer. LAYERS(DO) is
   DO(place, below, n_in, n_out, times) for every run of equal layers, `times` of them, from the first on: the run's
   parameters begin at `place`, and `below` neurons lie under its inputs. The last layer is a run of its own, as it has
   no relu. LAYERS_BACK(DO) is the same from the last on. A run is a loop: code that repeats itself for every layer does
   not fit where the processor keeps decoded instructions. Arrays have TILE points for each neuron, of which the first
   `points` are used, a constant in every call. */

/* gradient += sum over the points of d_i h_k, and for the biases of d_i, or d_i r where r is given */
INLINE void gain(V *gradient, const V *h, const V *d, const V *r, int n_in, int n_out, int points) {
    UNROLL for (int i = 0; i < n_out; i++) {
        UNROLL for (int k = 0; k < n_in; k++) {
            V sum = gradient[i * n_in + k];
            UNROLL for (int t = 0; t < points; t++) sum += d[i * TILE + t] * h[k * TILE + t];
            gradient[i * n_in + k] = sum;
        }
        V sum = r ? gradient[n_in * n_out + i] : d[i * TILE];
        UNROLL for (int t = 0; t < points; t++) if (r) sum += d[i * TILE + t] * r[t];
        UNROLL for (int t = 1; t < points; t++) if (!r) sum += d[i * TILE + t];
        gradient[n_in * n_out + i] = r ? sum : gradient[n_in * n_out + i] + sum;
    }
}

/* d_k = sum_i W_ik d_i where neuron k below is active, else 0; `on` says where if it is given, h else */
INLINE void fall(const V *theta, const V *h, const M *on, V *d, int n_in, int n_out, int points) {
    V below[WIDEST * TILE];
    UNROLL for (int k = 0; k < n_in; k++) {
        V sum[TILE];
        UNROLL for (int t = 0; t < points; t++) sum[t] = theta[k] * d[t];
        UNROLL for (int i = 1; i < n_out - 1; i++) {
            const V w = theta[i * n_in + k];
            UNROLL for (int t = 0; t < points; t++) sum[t] += w * d[i * TILE + t];
        }
        UNROLL for (int t = 0; t < points; t++) {
            const M here = on ? on[k * TILE + t] : active(h[k * TILE + t]);
            if (n_out == 1) below[k * TILE + t] = where(here, sum[t]);
            else below[k * TILE + t] = fma_only(here, sum[t], theta[(n_out - 1) * n_in + k], d[(n_out - 1) * TILE + t]);
        }
    }
    UNROLL for (int k = 0; k < n_in; k++)
        UNROLL for (int t = 0; t < points; t++) d[k * TILE + t] = below[k * TILE + t];
}
