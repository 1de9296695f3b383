/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * AVX2 scanner: 32 bytes at a time. Where fewer than reach bytes are left, the last block is loaded so that it ends at
 * end, and the mask is shifted down. With reach 0 the bytes are followed by a block of zeros, at which every run stops.
 */
#include "core/xml/scan_generic_priv.h"
#include "core/xml/scan_priv.h"

#include <immintrin.h>

#define BLOCK ((int)BLOCK_SIZE)

static inline __m256i load_block(const char *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline uint32_t mask_of(__m256i bytes)
{
    return (uint32_t)_mm256_movemask_epi8(bytes);
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

/* Bit i: byte i is '<', '&', the quote in force, a control, or above 0x7f. */
static inline __m256i value_stops(__m256i bytes, __m256i stops)
{
    __m256i low = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), bytes);
    return _mm256_or_si256(is_in(stops, bytes), low);
}

/* --- UTF-8 ----------------------------------------------------------------------------------------------------------
 */

/* The bytes n places before, where those of last are in front. */
#define BEFORE(last, bytes, n) _mm256_alignr_epi8(bytes, _mm256_permute2x128_si256(last, bytes, 0x21), 16 - (n))

/* Nonzero where a byte breaks UTF-8, by three table look-ups on the halves of two neighbours (Keiser and Lemire,
 * "Validating UTF-8 in less than one instruction per byte", 2021). */
static inline __m256i utf8_errors(__m256i last, __m256i bytes)
{
    enum {
        SHORT = 1,       /* a first byte, then no continuation */
        LONG = 2,        /* ASCII, then a continuation */
        OVERLONG_3 = 4,  /* e0 80..9f */
        BEYOND = 8,      /* f4 90.. */
        SURROGATE = 16,  /* ed a0..bf */
        OVERLONG_2 = 32, /* c0, c1 */
        BEYOND_ALL = 64, /* f5..; also f0 80..8f, overlong */
        TWO = 128,       /* two continuations: right behind e0.. or f0.. only */
        CARRY = SHORT | LONG | TWO,
    };
    const __m256i high_1 =
        both_lanes(LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG, (char)TWO, (char)TWO, (char)TWO, (char)TWO,
                   SHORT | OVERLONG_2, SHORT, SHORT | OVERLONG_3 | SURROGATE, SHORT | BEYOND | BEYOND_ALL);
    const __m256i low_1 = both_lanes(
        (char)(CARRY | OVERLONG_3 | OVERLONG_2 | BEYOND_ALL), (char)(CARRY | OVERLONG_2), (char)CARRY, (char)CARRY,
        (char)(CARRY | BEYOND), (char)(CARRY | BEYOND | BEYOND_ALL), (char)(CARRY | BEYOND | BEYOND_ALL),
        (char)(CARRY | BEYOND | BEYOND_ALL), (char)(CARRY | BEYOND | BEYOND_ALL), (char)(CARRY | BEYOND | BEYOND_ALL),
        (char)(CARRY | BEYOND | BEYOND_ALL), (char)(CARRY | BEYOND | BEYOND_ALL), (char)(CARRY | BEYOND | BEYOND_ALL),
        (char)(CARRY | BEYOND | BEYOND_ALL | SURROGATE), (char)(CARRY | BEYOND | BEYOND_ALL),
        (char)(CARRY | BEYOND | BEYOND_ALL));
    const __m256i high_2 = both_lanes(SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT,
                                      (char)(LONG | OVERLONG_2 | TWO | OVERLONG_3 | BEYOND_ALL),
                                      (char)(LONG | OVERLONG_2 | TWO | OVERLONG_3 | BEYOND),
                                      (char)(LONG | OVERLONG_2 | TWO | SURROGATE | BEYOND),
                                      (char)(LONG | OVERLONG_2 | TWO | SURROGATE | BEYOND), SHORT, SHORT, SHORT, SHORT);
    const __m256i half = _mm256_set1_epi8(0x0f);
    __m256i before = BEFORE(last, bytes, 1);
    __m256i by_high_1 = _mm256_shuffle_epi8(high_1, _mm256_and_si256(_mm256_srli_epi16(before, 4), half));
    __m256i by_low_1 = _mm256_shuffle_epi8(low_1, _mm256_and_si256(before, half));
    __m256i by_high_2 = _mm256_shuffle_epi8(high_2, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half));
    __m256i special = _mm256_and_si256(_mm256_and_si256(by_high_1, by_low_1), by_high_2);
    /* Where a third or fourth byte must stand, TWO is right and its lack is wrong. */
    __m256i third = _mm256_subs_epu8(BEFORE(last, bytes, 2), _mm256_set1_epi8((char)(0xe0 - 0x80)));
    __m256i fourth = _mm256_subs_epu8(BEFORE(last, bytes, 3), _mm256_set1_epi8((char)(0xf0 - 0x80)));
    __m256i must = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
    return _mm256_xor_si256(must, special);
}

/* What is looked at of text at once, from a character's first byte. */
struct text_window {
    __m256i low, high;
};

static inline uint64_t masks_of(__m256i low, __m256i high)
{
    return mask_of(low) | (uint64_t)mask_of(high) << BLOCK;
}

/* Bit i: byte i is at least the given one. */
static inline uint64_t reach_of(const struct text_window *w, uint8_t least)
{
    __m256i bound = _mm256_set1_epi8((char)least);
    return masks_of(_mm256_cmpeq_epi8(_mm256_max_epu8(w->low, bound), w->low),
                    _mm256_cmpeq_epi8(_mm256_max_epu8(w->high, bound), w->high));
}

static inline uint64_t same_as(const struct text_window *w, uint8_t byte)
{
    __m256i wanted = _mm256_set1_epi8((char)byte);
    return masks_of(_mm256_cmpeq_epi8(w->low, wanted), _mm256_cmpeq_epi8(w->high, wanted));
}

/* Bit i: with byte i a character is seen to be none that XML allows. */
static inline uint64_t character_errors(const struct text_window *w)
{
    const __m256i zero = _mm256_setzero_si256();
    uint64_t errors = ~masks_of(_mm256_cmpeq_epi8(utf8_errors(zero, w->low), zero),
                                _mm256_cmpeq_epi8(utf8_errors(w->low, w->high), zero));
    uint64_t ef = same_as(w, 0xef);
    if (ef) { /* U+FFFE and U+FFFF are ef bf be and ef bf bf */
        uint64_t bf = same_as(w, 0xbf);
        errors |= ef << 2 & bf << 1 & (bf | same_as(w, 0xbe));
    }
    return errors;
}

/* A window has bytes above 0x7f before its byte stop, which ends the run, or WINDOW_SIZE. Returns how many bytes are
 * whole valid characters: stop; less by what the window's end cuts off; or to one that the careful way has to look at.
 */
static inline unsigned character_run(const struct text_window *w, unsigned stop)
{
    uint64_t errors = character_errors(w);
    unsigned error = errors ? (unsigned)__builtin_ctzll(errors) : WINDOW_SIZE;
    uint64_t first = reach_of(w, 0xc0);
    if (error < WINDOW_SIZE && error <= stop) {
        /* A character cut by the stop is an error at the stop: back to its first byte. */
        uint64_t before = first & ((1ull << error) - 1);
        unsigned start = before ? 63u - (unsigned)__builtin_clzll(before) : error;
        return error - start <= 3 ? start : error;
    }
    if (stop < WINDOW_SIZE)
        return stop;
    uint64_t cut = (first & 1ull << 63) | (reach_of(w, 0xe0) & 1ull << 62) | (reach_of(w, 0xf0) & 1ull << 61);
    return cut ? (unsigned)__builtin_ctzll(cut) : WINDOW_SIZE;
}

/* --- runs -----------------------------------------------------------------------------------------------------------
 */

/* The first of the stops behind p that is no reference's '&'; WINDOW_SIZE: none. A reference holds no other stop, so it
 * is passed by its bit alone, whether it ends in this window or the next. */
static inline unsigned pass_references(const char *p, const char *end, uint64_t stops, bool *refers)
{
    for (; stops; stops &= stops - 1) {
        unsigned at = (unsigned)__builtin_ctzll(stops);
        if (p[at] != '&' || scan_reference(p + at, end) == 0)
            return at;
        *refers = true;
    }
    return WINDOW_SIZE;
}

/* The last bytes before end, fewer than a window. */
static inline const char *scan_text_tail(const char *low, const char *p, const char *end, bool *refers)
{
    if (end - low < (ptrdiff_t)WINDOW_SIZE || p == end)
        return scan_text_bytes(p, end, refers);
    struct text_window w = {load_block(end - 2 * BLOCK), load_block(end - BLOCK)};
    uint64_t stops = masks_of(text_stops(w.low), text_stops(w.high)) >> (WINDOW_SIZE - (uint64_t)(end - p));
    unsigned at = pass_references(p, end, stops, refers);
    return at < WINDOW_SIZE ? p + at : end;
}

static inline const char *scan_text(const char *low, ptrdiff_t reach, const char *p, const char *end, bool *refers)
{
    while (end - p >= 2 * reach) {
        struct text_window w = {load_block(p), load_block(p + BLOCK)};
        __m256i low_stops = text_stops(w.low);
        __m256i high_stops = text_stops(w.high);
        __m256i either = _mm256_or_si256(low_stops, high_stops);
        if (_mm256_testz_si256(either, either)) {
            p += WINDOW_SIZE;
            continue;
        }
        uint64_t stops = masks_of(low_stops, high_stops);
        const char *stop = p + __builtin_ctzll(stops);
        if (*stop == '<') /* plain ASCII up to the next tag: most runs end so */
            return stop;
        uint64_t wide = masks_of(w.low, w.high);
        unsigned at = pass_references(p, end, stops & ~wide, refers);
        bool is_ascii = at < WINDOW_SIZE ? (wide & ((1ull << at) - 1)) == 0 : wide == 0;
        unsigned run = is_ascii ? at : character_run(&w, at);
        p += run;
        /* A character cut by the window's end, at most three bytes, begins the next one. */
        if (at < WINDOW_SIZE || run < WINDOW_SIZE - 3)
            return p;
    }
    return scan_text_tail(low, p, end, refers);
}

static inline const char *scan_value(const char *low, ptrdiff_t reach, const char *p, const char *end, char quote)
{
    const __m256i single = both_lanes(-1, 0, 0, 0, 0, 0, '&', '\'', 0, 0, 0, 0, '<', 0, 0, 0);
    const __m256i twofold = both_lanes(-1, 0, '"', 0, 0, 0, '&', 0, 0, 0, 0, 0, '<', 0, 0, 0);
    const __m256i stops = quote == '"' ? twofold : single;
    while (end - p >= reach) {
        uint32_t mask = mask_of(value_stops(load_block(p), stops));
        if (mask)
            return p + __builtin_ctz(mask);
        p += BLOCK;
    }
    if (end - low < BLOCK || p == end)
        return scan_value_bytes(p, end, quote);
    uint32_t mask = mask_of(value_stops(load_block(end - BLOCK), stops)) >> (BLOCK - (end - p));
    return mask ? p + __builtin_ctz(mask) : end;
}

/* Bit i: byte i is an ASCII name character other than ':'. By halves: row 2 (- .), 3 (0..9), 4 and 6 (letters),
 * 5 (P..Z _), 7 (p..z). */
static inline uint32_t name_mask(__m256i bytes)
{
    const __m256i columns = both_lanes(2 | 8 | 16, 31 - 1, 31 - 1, 31 - 1, 31 - 1, 31 - 1, 31 - 1, 31 - 1, 31 - 1,
                                       31 - 1, 4 | 8 | 16, 4, 4, 1 | 4, 1 | 4, 4 | 8);
    const __m256i rows = both_lanes(0, 0, 1, 2, 4, 8, 4, 16, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i row = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f));
    __m256i common = _mm256_and_si256(_mm256_shuffle_epi8(columns, bytes), _mm256_shuffle_epi8(rows, row));
    return ~mask_of(_mm256_cmpeq_epi8(common, _mm256_setzero_si256()));
}

static inline uint32_t scan_name(const char *low, ptrdiff_t reach, const char *p, const char *end)
{
    if (__builtin_expect(end - p >= reach, 1)) {
        uint32_t rest = ~name_mask(load_block(p));
        return rest ? (uint32_t)__builtin_ctz(rest) : SCAN_NAME_MAX;
    }
    if (end - low < BLOCK || p == end)
        return scan_name_bytes(p, end);
    /* The bits shifted in from above are 0: the run ends at end. */
    unsigned shift = (unsigned)(BLOCK - (end - p));
    return (uint32_t)__builtin_ctz(~(name_mask(load_block(end - BLOCK)) >> shift));
}

/* --- tags -----------------------------------------------------------------------------------------------------------
 */

/* The classes of 64 bytes as bits. Loading and sorting a block takes some twenty cycles from address to answer, and in
 * a tag every answer is the next address; so one window is sorted for several names and values, which then cost two
 * shifts each. */
struct scan_window {
    const char *base; /* NULL: none */
    uint64_t names;   /* ASCII name characters other than ':' */
    uint64_t stops;   /* what no plain value holds, and both quotes */
};

static inline void window_load(struct scan_window *w, const char *p)
{
    const __m256i stops = both_lanes(-1, 0, '"', 0, 0, 0, '&', '\'', 0, 0, 0, 0, '<', 0, 0, 0);
    __m256i low = load_block(p);
    __m256i high = load_block(p + BLOCK);
    w->base = p;
    w->names = name_mask(low) | (uint64_t)name_mask(high) << BLOCK;
    w->stops = mask_of(value_stops(low, stops)) | (uint64_t)mask_of(value_stops(high, stops)) << BLOCK;
}

static inline uint32_t scan_name_in(struct scan_window *w, const char *low, ptrdiff_t reach, const char *p,
                                    const char *end)
{
    size_t at = (uintptr_t)p - (uintptr_t)w->base;
    if (at > WINDOW_SIZE - SCAN_NAME_MAX) {
        if (__builtin_expect(end - p < 2 * reach, 0))
            return scan_name(low, reach, p, end);
        window_load(w, p);
        at = 0;
    }
    uint64_t rest = ~(w->names >> at);
    return rest ? (uint32_t)__builtin_ctzll(rest) : SCAN_NAME_MAX;
}

/* p is at the value's first byte. */
static inline const char *scan_value_in(const struct scan_window *w, const char *low, ptrdiff_t reach, const char *p,
                                        const char *end, char quote)
{
    size_t at = (uintptr_t)p - (uintptr_t)w->base;
    if (at < WINDOW_SIZE) {
        uint64_t stops = w->stops >> at;
        const char *stop = stops ? p + __builtin_ctzll(stops) : w->base + WINDOW_SIZE;
        /* The other quote stops no value. */
        if (stops && *stop != (quote ^ '\'' ^ '"'))
            return stop;
        p = stop;
    }
    return scan_value(low, reach, p, end, quote);
}

static inline bool scan_is_equal(ptrdiff_t reach, const char *a, const char *b, size_t n, const char *end)
{
    /* a is before b, so b decides whether both blocks are readable. */
    if (n > BLOCK_SIZE || end - b < reach)
        return memcmp(a, b, n) == 0;
    __m256i same = _mm256_cmpeq_epi8(load_block(a), load_block(b));
    uint64_t differ = ~(uint64_t)(uint32_t)_mm256_movemask_epi8(same);
    return (uint64_t)__builtin_ctzll(differ) >= n;
}
