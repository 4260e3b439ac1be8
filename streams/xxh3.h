/* XXH3, 64 and 128 bits, seed 0: the hashes that the state log holds.
 *
 * The same numbers as xxhash.xxh3_64 and xxh3_128 of Python, for texts of any length (64 bits) and
 * of up to 240 bytes (128 bits). After the reference implementation by its author, published
 * under the BSD 2-Clause licence at https://github.com/Cyan4973/xxHash.
 */
#ifndef DRIFTLINE_XXH3_H
#define DRIFTLINE_XXH3_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define XXH3_LONGEST_128 240

typedef struct {
    uint64_t low, high;
} hash128;

static const uint64_t P64_1 = 0x9E3779B185EBCA87ULL, P64_2 = 0xC2B2AE3D27D4EB4FULL,
                      P64_3 = 0x165667B19E3779F9ULL, P64_4 = 0x85EBCA77C2B2AE63ULL,
                      P64_5 = 0x27D4EB2F165667C5ULL;
static const uint64_t P32_1 = 0x9E3779B1U, P32_2 = 0x85EBCA77U, P32_3 = 0xC2B2AE3DU;
static const uint64_t MX_1 = 0x165667919E3779F9ULL, MX_2 = 0x9FB21C651E98DF25ULL;

enum { SECRET_SIZE = 192, SECRET_LEAST = 136, STRIPE = 64, STRIPES_A_BLOCK = 16 };

static const uint8_t SECRET[SECRET_SIZE] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

static inline uint64_t read64(const uint8_t *at) {
    uint64_t found;
    memcpy(&found, at, sizeof found);
    return found;
}

static inline uint32_t read32(const uint8_t *at) {
    uint32_t found;
    memcpy(&found, at, sizeof found);
    return found;
}

static inline hash128 multiply(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (hash128){(uint64_t)product, (uint64_t)(product >> 64)};
}

static inline uint64_t folded(uint64_t a, uint64_t b) {
    hash128 product = multiply(a, b);
    return product.low ^ product.high;
}

static inline uint64_t rotated(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }

static inline uint64_t avalanche(uint64_t x) {
    x = (x ^ (x >> 37)) * MX_1;
    return x ^ (x >> 32);
}

static inline uint64_t avalanche_64(uint64_t x) {
    x = (x ^ (x >> 33)) * P64_2;
    x = (x ^ (x >> 29)) * P64_3;
    return x ^ (x >> 32);
}

static inline uint64_t mix_16(const uint8_t *in, const uint8_t *secret) {
    return folded(read64(in) ^ read64(secret), read64(in + 8) ^ read64(secret + 8));
}

static inline uint32_t few_bytes(const uint8_t *in, size_t size) {
    return ((uint32_t)in[0] << 16) | ((uint32_t)in[size >> 1] << 24) | in[size - 1]
           | ((uint32_t)size << 8);
}

/* --- 64 bits */

static uint64_t short_64(const uint8_t *in, size_t size) {
    if (size > 8) {
        uint64_t low = read64(in) ^ read64(SECRET + 24) ^ read64(SECRET + 32);
        uint64_t high = read64(in + size - 8) ^ read64(SECRET + 40) ^ read64(SECRET + 48);
        return avalanche(size + __builtin_bswap64(low) + high + folded(low, high));
    }
    if (size >= 4) {
        uint64_t x = read32(in + size - 4) + ((uint64_t)read32(in) << 32);
        x ^= read64(SECRET + 8) ^ read64(SECRET + 16);
        x ^= rotated(x, 49) ^ rotated(x, 24);
        x *= MX_2;
        x ^= (x >> 35) + size;
        x *= MX_2;
        return x ^ (x >> 28);
    }
    if (size)
        return avalanche_64(few_bytes(in, size) ^ (uint64_t)(read32(SECRET) ^ read32(SECRET + 4)));
    return avalanche_64(read64(SECRET + 56) ^ read64(SECRET + 64));
}

static uint64_t middle_64(const uint8_t *in, size_t size) {
    uint64_t sum = size * P64_1;
    if (size <= 128) {
        for (int i = (int)((size - 1) / 32); i >= 0; i--) {
            sum += mix_16(in + 16 * i, SECRET + 32 * i);
            sum += mix_16(in + size - 16 * (i + 1), SECRET + 32 * i + 16);
        }
        return avalanche(sum);
    }
    for (int i = 0; i < 8; i++)
        sum += mix_16(in + 16 * i, SECRET + 16 * i);
    sum = avalanche(sum);
    for (int i = 8; i < (int)(size / 16); i++)
        sum += mix_16(in + 16 * i, SECRET + 16 * (i - 8) + 3);
    sum += mix_16(in + size - 16, SECRET + SECRET_LEAST - 17);
    return avalanche(sum);
}

static inline void take_stripe(uint64_t *sums, const uint8_t *in, const uint8_t *secret) {
    for (int lane = 0; lane < 8; lane++) {
        uint64_t value = read64(in + 8 * lane), keyed = value ^ read64(secret + 8 * lane);
        sums[lane ^ 1] += value;
        sums[lane] += (keyed & 0xFFFFFFFF) * (keyed >> 32);
    }
}

static uint64_t long_64(const uint8_t *in, size_t size) {
    uint64_t sums[8] = {P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1};
    const size_t block = STRIPE * STRIPES_A_BLOCK, blocks = (size - 1) / block;
    for (size_t n = 0; n < blocks; n++) {
        for (size_t i = 0; i < STRIPES_A_BLOCK; i++)
            take_stripe(sums, in + n * block + i * STRIPE, SECRET + 8 * i);
        for (int lane = 0; lane < 8; lane++) {
            uint64_t x = sums[lane];
            x = (x ^ (x >> 47)) ^ read64(SECRET + SECRET_SIZE - STRIPE + 8 * lane);
            sums[lane] = x * P32_1;
        }
    }
    const uint8_t *rest = in + blocks * block;
    for (size_t i = 0; i < (size - 1 - blocks * block) / STRIPE; i++)
        take_stripe(sums, rest + i * STRIPE, SECRET + 8 * i);
    take_stripe(sums, in + size - STRIPE, SECRET + SECRET_SIZE - STRIPE - 7);
    uint64_t found = size * P64_1;
    for (int i = 0; i < 4; i++)
        found += folded(sums[2 * i] ^ read64(SECRET + 11 + 16 * i),
                        sums[2 * i + 1] ^ read64(SECRET + 19 + 16 * i));
    return avalanche(found);
}

static inline uint64_t xxh3_64(const uint8_t *in, size_t size) {
    return size <= 16 ? short_64(in, size) : size <= 240 ? middle_64(in, size) : long_64(in, size);
}

/* --- 128 bits */

static hash128 short_128(const uint8_t *in, size_t size) {
    if (size > 8) {
        uint64_t low = read64(in), high = read64(in + size - 8);
        hash128 m = multiply(low ^ high ^ read64(SECRET + 32) ^ read64(SECRET + 40), P64_1);
        m.low += (uint64_t)(size - 1) << 54;
        high ^= read64(SECRET + 48) ^ read64(SECRET + 56);
        m.high += high + (high & 0xFFFFFFFF) * (P32_2 - 1);
        m.low ^= __builtin_bswap64(m.high);
        hash128 found = multiply(m.low, P64_2);
        found.high += m.high * P64_2;
        return (hash128){avalanche(found.low), avalanche(found.high)};
    }
    if (size >= 4) {
        uint64_t x = read32(in) + ((uint64_t)read32(in + size - 4) << 32);
        hash128 m = multiply(x ^ read64(SECRET + 16) ^ read64(SECRET + 24), P64_1 + (size << 2));
        m.high += m.low << 1;
        m.low ^= m.high >> 3;
        m.low = (m.low ^ (m.low >> 35)) * MX_2;
        m.low ^= m.low >> 28;
        return (hash128){m.low, avalanche(m.high)};
    }
    if (size) {
        uint32_t low = few_bytes(in, size), high = __builtin_bswap32(low);
        high = (high << 13) | (high >> 19);
        return (hash128){
            avalanche_64(low ^ (uint64_t)(read32(SECRET) ^ read32(SECRET + 4))),
            avalanche_64(high ^ (uint64_t)(read32(SECRET + 8) ^ read32(SECRET + 12))),
        };
    }
    return (hash128){avalanche_64(read64(SECRET + 64) ^ read64(SECRET + 72)),
                     avalanche_64(read64(SECRET + 80) ^ read64(SECRET + 88))};
}

static inline void mix_32(hash128 *sum, const uint8_t *a, const uint8_t *b, const uint8_t *secret,
                          uint64_t seed) {
    uint64_t of_a = folded(read64(a) ^ (read64(secret) + seed),
                           read64(a + 8) ^ (read64(secret + 8) - seed));
    uint64_t of_b = folded(read64(b) ^ (read64(secret + 16) + seed),
                           read64(b + 8) ^ (read64(secret + 24) - seed));
    sum->low = (sum->low + of_a) ^ (read64(b) + read64(b + 8));
    sum->high = (sum->high + of_b) ^ (read64(a) + read64(a + 8));
}

static hash128 middle_128(const uint8_t *in, size_t size) {
    hash128 sum = {size * P64_1, 0};
    if (size <= 128) {
        for (int i = (int)((size - 1) / 32); i >= 0; i--)
            mix_32(&sum, in + 16 * i, in + size - 16 * (i + 1), SECRET + 32 * i, 0);
    } else {
        for (size_t i = 32; i < 160; i += 32)
            mix_32(&sum, in + i - 32, in + i - 16, SECRET + i - 32, 0);
        sum = (hash128){avalanche(sum.low), avalanche(sum.high)};
        for (size_t i = 160; i <= size; i += 32)
            mix_32(&sum, in + i - 32, in + i - 16, SECRET + 3 + i - 160, 0);
        mix_32(&sum, in + size - 16, in + size - 32, SECRET + SECRET_LEAST - 17 - 16, 0);
    }
    uint64_t high = sum.low * P64_1 + sum.high * P64_4 + size * P64_2;
    return (hash128){avalanche(sum.low + sum.high), 0 - avalanche(high)};
}

/* Of at most XXH3_LONGEST_128 bytes. */
static inline hash128 xxh3_128(const uint8_t *in, size_t size) {
    return size <= 16 ? short_128(in, size) : middle_128(in, size);
}

#endif
