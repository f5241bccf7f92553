/* Fused multiply-adds in registers alone, on a GPU: what no kernel there can pass. */

typedef struct {
    float *found; /* one for each thread, so that nothing is left out */
    long long rounds;
} Work;

extern "C" __global__ void train(const Work work) {
    float sum[16];
    const float a = 0.999f, b = 0.001f * threadIdx.x;
    _Pragma("unroll") for (int i = 0; i < 16; i++) sum[i] = (float)i;
    for (long long round = 0; round < work.rounds; round++) {
        _Pragma("unroll") for (int i = 0; i < 16; i++) sum[i] = sum[i] * a + b;
    }
    float total = 0;
    _Pragma("unroll") for (int i = 0; i < 16; i++) total += sum[i];
    work.found[blockIdx.x * blockDim.x + threadIdx.x] = total;
}
