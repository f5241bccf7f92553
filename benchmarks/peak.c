/* Fused multiply-adds in registers alone: what no kernel can pass. */

#include "lanes.h"

double peak(long rounds) {
    V sum[16], a = broadcast((REAL)0.999), b = broadcast((REAL)0.001);
    for (int i = 0; i < 16; i++) sum[i] = broadcast((REAL)i);
    for (long round = 0; round < rounds; round++) {
        UNROLL for (int i = 0; i < 16; i++) sum[i] = sum[i] * a + b;
    }
    double total = 0;
    for (int i = 0; i < 16; i++)
        for (int lane = 0; lane < LANES; lane++) total += sum[i][lane];
    return total;
}

int lanes(void) { return LANES; }
