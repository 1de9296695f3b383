/* SPDX-License-Identifier: MIT */
#include "core/base/hash.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

/* SipHash reads little-endian words; so do the machines this runs on. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "load64 reads the machine's own order");

static inline uint64_t load64(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint32_t load32(const char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

/* The last 0 to 7 bytes as a little-endian word, read without a loop: keys are short (a JID has 20 to 40 bytes), so
 * the tail is a large part of the cost. With 8 bytes or more before the end one overlapping load does it. */
static inline uint64_t load_tail(struct span bytes)
{
    size_t left = bytes.size & 7;
    if (left == 0)
        return 0;
    const char *end = bytes.ptr + bytes.size;
    if (bytes.size >= 8)
        return load64(end - 8) >> (64 - 8 * left);
    if (left >= 4)
        return (uint64_t)load32(end - 4) << (8 * (left - 4)) | load32(bytes.ptr);
    uint64_t first = (unsigned char)bytes.ptr[0];
    uint64_t middle = (unsigned char)bytes.ptr[left / 2];
    uint64_t last = (unsigned char)end[-1];
    return first | middle << (8 * (left / 2)) | last << (8 * (left - 1));
}

/* The round counts are constants at both calls, so the compiler makes two unrolled functions of this one. */
static inline __attribute__((always_inline)) uint64_t siphash(const struct hash_key *key, struct span bytes,
                                                              int compress_rounds, int finish_rounds)
{
    struct sip s = {
        .v0 = key->k0 ^ 0x736f6d6570736575,
        .v1 = key->k1 ^ 0x646f72616e646f6d,
        .v2 = key->k0 ^ 0x6c7967656e657261,
        .v3 = key->k1 ^ 0x7465646279746573,
    };
    size_t whole = bytes.size & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = load64(bytes.ptr + i);
        s.v3 ^= word;
        for (int round = 0; round < compress_rounds; round++)
            sip_round(&s);
        s.v0 ^= word;
    }
    uint64_t last = load_tail(bytes) | (uint64_t)bytes.size << 56;
    s.v3 ^= last;
    for (int round = 0; round < compress_rounds; round++)
        sip_round(&s);
    s.v0 ^= last;
    s.v2 ^= 0xff;
    for (int round = 0; round < finish_rounds; round++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t hash_siphash13(const struct hash_key *key, struct span bytes)
{
    return siphash(key, bytes, 1, 3);
}

uint64_t hash_siphash24(const struct hash_key *key, struct span bytes)
{
    return siphash(key, bytes, 2, 4);
}
