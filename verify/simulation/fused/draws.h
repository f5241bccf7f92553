/* Rows of minibatches, drawn as verify/simulation/streams.py draws them: Philox4x32-10, purpose 1. */

/* One lane's counter: four words of a replica's stream. */
INLINE void set_counter(uint32_t c[4][LANES], int lane, long counter, uint64_t replica) {
    c[0][lane] = (uint32_t)counter, c[1][lane] = (uint32_t)replica;
    c[2][lane] = (uint32_t)(replica >> 32), c[3][lane] = 1;
}

/* All lanes' counters become the words. */
INLINE void philox(uint32_t c[4][LANES], uint32_t k0, uint32_t k1) {
    for (int round = 0; round < 10; round++) {
        for (int lane = 0; lane < LANES; lane++) {
            uint64_t p0 = (uint64_t)0xD2511F53 * c[0][lane], p1 = (uint64_t)0xCD9E8D57 * c[2][lane];
            uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1][lane] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c[3][lane] ^ k1;
            c[0][lane] = n0, c[1][lane] = (uint32_t)p1, c[2][lane] = n2, c[3][lane] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9, k1 += 0xBB67AE85;
    }
}

/* A word as a row number: the upper half of its product with the number of rows. */
INLINE int32_t row_of(uint32_t word, long rows) { return (int32_t)(((uint64_t)word * (uint32_t)rows) >> 32); }
