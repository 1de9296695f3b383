/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * AVX2 scanner: 32 bytes at a time. Never reads outside low..end: the last block of a buffer is loaded so that it ends
 * at end, and the mask is shifted down.
 */
#include "core/xml/scan_generic_priv.h"

#include <immintrin.h>

#define BLOCK 32

static inline __m256i load_block(const char *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* A table of 16 bytes in both lanes. */
static inline __m256i both_lanes(char a0, char a1, char a2, char a3, char a4, char a5, char a6, char a7, char a8,
                                 char a9, char aa, char ab, char ac, char ad, char ae, char af)
{
    return _mm256_setr_epi8(a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, aa, ab, ac, ad, ae, af, a0, a1, a2, a3, a4, a5, a6,
                            a7, a8, a9, aa, ab, ac, ad, ae, af);
}

/* Bytes of a set whose low halves all differ: the table holds each at the index of its low half. */
static inline __m256i is_in(__m256i table, __m256i bytes)
{
    return _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, bytes), bytes);
}

/* Bit i: byte i is '<', '&', '>', a control other than white space, or above 0x7f. */
static inline __m256i text_stops(__m256i bytes)
{
    const __m256i stops = both_lanes(-1, 0, 0, 0, 0, 0, '&', 0, 0, 0, 0, 0, '<', 0, '>', 0);
    const __m256i spaces = both_lanes(-1, 0, 0, 0, 0, 0, 0, 0, 0, '\t', '\n', 0, 0, '\r', 0, 0);
    /* Signed: controls and everything above 0x7f are below 0x20 at once. */
    __m256i low = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), bytes);
    return _mm256_or_si256(is_in(stops, bytes), _mm256_andnot_si256(is_in(spaces, bytes), low));
}

static inline uint32_t text_mask(const char *p)
{
    return (uint32_t)_mm256_movemask_epi8(text_stops(load_block(p)));
}

static inline const char *scan_text(const char *low, const char *p, const char *end)
{
    while (end - p >= BLOCK) {
        uint32_t mask = text_mask(p);
        if (mask)
            return p + __builtin_ctz(mask);
        p += BLOCK;
    }
    if (end - low < BLOCK || p == end)
        return scan_text_bytes(p, end);
    uint32_t mask = text_mask(end - BLOCK) >> (BLOCK - (end - p));
    return mask ? p + __builtin_ctz(mask) : end;
}

static inline uint32_t value_mask(const char *p, __m256i stops)
{
    __m256i bytes = load_block(p);
    __m256i low = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), bytes);
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(is_in(stops, bytes), low));
}

static inline const char *scan_value(const char *low, const char *p, const char *end, char quote)
{
    const __m256i single = both_lanes(-1, 0, 0, 0, 0, 0, '&', '\'', 0, 0, 0, 0, '<', 0, 0, 0);
    const __m256i twofold = both_lanes(-1, 0, '"', 0, 0, 0, '&', 0, 0, 0, 0, 0, '<', 0, 0, 0);
    const __m256i stops = quote == '"' ? twofold : single;
    while (end - p >= BLOCK) {
        uint32_t mask = value_mask(p, stops);
        if (mask)
            return p + __builtin_ctz(mask);
        p += BLOCK;
    }
    if (end - low < BLOCK || p == end)
        return scan_value_bytes(p, end, quote);
    uint32_t mask = value_mask(end - BLOCK, stops) >> (BLOCK - (end - p));
    return mask ? p + __builtin_ctz(mask) : end;
}

/* Bit i: byte i is an ASCII name character. By halves: rows 2 (- .), 3 and 7 (0..9 :, p..z), 4 and 6 (letters),
 * 5 (P..Z _). */
static inline uint32_t name_mask(__m256i bytes)
{
    const __m256i columns = both_lanes(2 | 8, 2 | 4 | 8, 2 | 4 | 8, 2 | 4 | 8, 2 | 4 | 8, 2 | 4 | 8, 2 | 4 | 8,
                                       2 | 4 | 8, 2 | 4 | 8, 2 | 4 | 8, 2 | 4 | 8, 4, 4, 1 | 4, 1 | 4, 4 | 8);
    const __m256i rows = both_lanes(0, 0, 1, 2, 4, 8, 4, 2, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i row = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f));
    __m256i common = _mm256_and_si256(_mm256_shuffle_epi8(columns, bytes), _mm256_shuffle_epi8(rows, row));
    __m256i is_none = _mm256_cmpeq_epi8(common, _mm256_setzero_si256());
    return ~(uint32_t)_mm256_movemask_epi8(is_none);
}

static inline struct scan_name_result scan_name(const char *low, const char *p, const char *end)
{
    const char *from = p;
    unsigned shift = 0;
    if (__builtin_expect(end - p < BLOCK, 0)) {
        if (end - low < BLOCK || p == end)
            return scan_name_bytes(p, end);
        from = end - BLOCK;
        shift = (unsigned)(BLOCK - (end - p));
    }
    __m256i bytes = load_block(from);
    uint32_t colons = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(':'))) >> shift;
    /* The bits shifted in from above are 0: the run ends at end. */
    uint32_t rest = ~(name_mask(bytes) >> shift);
    uint32_t size = rest ? (uint32_t)__builtin_ctz(rest) : BLOCK;
    return (struct scan_name_result){size, size < BLOCK ? colons & ((1u << size) - 1) : colons};
}

static inline bool scan_is_equal(const char *a, const char *b, size_t n, const char *end)
{
    /* a is before b, so b decides whether both blocks are readable. */
    if (n > BLOCK || end - b < BLOCK)
        return memcmp(a, b, n) == 0;
    __m256i same = _mm256_cmpeq_epi8(load_block(a), load_block(b));
    uint64_t differ = ~(uint64_t)(uint32_t)_mm256_movemask_epi8(same);
    return (uint64_t)__builtin_ctzll(differ) >= n;
}
