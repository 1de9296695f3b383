/* SPDX-License-Identifier: MIT */
#include "core/jid/ascii_priv.h"

#include "core/jid/jid.h"

/* The distance between the cases: `octet | CASE_BIT` is lower case when the octet is a letter. */
#define CASE_BIT 0x20u

static bool is_mark(char octet)
{
    return octet == '-' || octet == '.';
}

static char lower_of(char octet)
{
    return octet >= 'A' && octet <= 'Z' ? (char)(octet | (char)CASE_BIT) : octet;
}

static bool is_lower_alphanumeric(char octet)
{
    return (octet >= 'a' && octet <= 'z') || (octet >= '0' && octet <= '9');
}

/* RFC 5891 s4.2.3.1: neither first nor last, nor third and fourth. */
static bool hyphens_are_allowed(const char *label, size_t size)
{
    return label[0] != '-' && label[size - 1] != '-' && !(size >= 4 && label[2] == '-' && label[3] == '-');
}

bool ascii_is_host_label(struct span label)
{
    if (label.size == 0 || label.size > ASCII_LABEL_MAX || !hyphens_are_allowed(label.ptr, label.size))
        return false;
    for (size_t i = 0; i < label.size; i++) {
        if (!is_lower_alphanumeric(label.ptr[i]) && label.ptr[i] != '-')
            return false;
    }
    return true;
}

/* Label by label: for names longer than a label, and for those with a mark beside a mark. */
static bool prepare_labels(struct span text, char *out)
{
    size_t start = 0;
    for (size_t i = 0; i <= text.size; i++) {
        if (i < text.size && text.ptr[i] != '.') {
            out[i] = lower_of(text.ptr[i]);
            continue;
        }
        if (!ascii_is_host_label(span_of(out + start, i - start)))
            return false;
        if (i < text.size)
            out[i] = '.';
        start = i + 1;
    }
    return true;
}

/*
 * Sixteen octets at once, in GCC's and Clang's vector notation, which needs no flag and no instruction set by name. A
 * text of fewer is spread over the sixteen, some octets of it twice: what holds of each octet of the chunk then holds
 * of each octet of the text and the reverse, and nothing beyond the text is read. A JID of mixed traffic (39 octets on
 * average) takes 42 ns so, and took 66 with a table look-up for each octet.
 */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the words of a chunk are put together for little endian");

#define CHUNK 16u

struct chunk {
    uint8_t octets __attribute__((vector_size(CHUNK)));
};

static inline struct chunk chunk_of_words(uint64_t low, uint64_t high)
{
    struct chunk chunk;
    memcpy(&chunk, &low, sizeof low);
    memcpy((char *)&chunk + sizeof low, &high, sizeof high);
    return chunk;
}

static inline struct chunk chunk_load_few(const char *from, size_t size)
{
    uint64_t low = 0, high = 0;
    if (size >= 8) {
        memcpy(&low, from, 8);
        memcpy(&high, from + size - 8, 8);
        return chunk_of_words(low, high);
    }
    if (size >= 4) {
        uint32_t first = 0, last = 0;
        memcpy(&first, from, 4);
        memcpy(&last, from + size - 4, 4);
        low = (uint64_t)last << 32 | first;
        return chunk_of_words(low, low);
    }
    uint64_t first = (unsigned char)from[0], middle = (unsigned char)from[size / 2],
             last = (unsigned char)from[size - 1];
    low = first * 0x0101010101000001u | middle << 8 | last << 16;
    return chunk_of_words(low, low);
}

static inline void chunk_store_few(struct chunk chunk, char *to, size_t size)
{
    const char *octets = (const char *)&chunk;
    if (size >= 8) {
        memcpy(to, octets, 8);
        memcpy(to + size - 8, octets + 8, 8);
    } else if (size >= 4) {
        memcpy(to, octets, 4);
        memcpy(to + size - 4, octets + 4, 4);
    } else {
        to[0] = octets[0];
        to[size / 2] = octets[1];
        to[size - 1] = octets[2];
    }
}

/* Where the chunk begins that holds octet `at`, a multiple of CHUNK: the last one is drawn back to end with the text.
 */
static inline size_t chunk_start(size_t at, size_t size)
{
    return at + CHUNK <= size ? at : size - CHUNK;
}

static inline struct chunk chunk_load(const char *from, size_t at, size_t size)
{
    struct chunk chunk;
    if (size < CHUNK)
        return chunk_load_few(from, size);
    memcpy(&chunk, from + chunk_start(at, size), CHUNK);
    return chunk;
}

static inline void chunk_store(struct chunk chunk, char *to, size_t at, size_t size)
{
    if (size < CHUNK)
        chunk_store_few(chunk, to, size);
    else
        memcpy(to + chunk_start(at, size), &chunk, CHUNK);
}

static inline bool chunk_is_zero(struct chunk chunk)
{
    uint64_t words[2];
    memcpy(words, &chunk, sizeof words);
    return (words[0] | words[1]) == 0;
}

static inline struct chunk chunk_lower(struct chunk chunk)
{
    chunk.octets |= (uint8_t)CASE_BIT & (__typeof__(chunk.octets))((chunk.octets - (uint8_t)'A') < 26);
    return chunk;
}

bool ascii_prepare_local(struct span text, char *out)
{
    if (text.size == 0 || text.size > JID_PART_MAX)
        return false;
    struct chunk bad = {0};
    for (size_t at = 0; at < text.size; at += CHUNK) {
        struct chunk chunk = chunk_load(text.ptr, at, text.size);
        /* 0x22 and 0x26 differ in bit 2, '<' and '>' in bit 1. */
        bad.octets |= (__typeof__(bad.octets))(((chunk.octets - 0x21) > 0x5D) | ((chunk.octets | 4) == '&') |
                                               (chunk.octets == '\'') | (chunk.octets == '/') | (chunk.octets == ':') |
                                               ((chunk.octets | 2) == '>') | (chunk.octets == '@'));
        chunk_store(chunk_lower(chunk), out, at, text.size);
    }
    return chunk_is_zero(bad);
}

bool ascii_prepare_opaque(struct span text, size_t size_max, char *out)
{
    if (text.size == 0 || text.size > size_max)
        return false;
    struct chunk bad = {0};
    for (size_t at = 0; at < text.size; at += CHUNK) {
        struct chunk chunk = chunk_load(text.ptr, at, text.size);
        bad.octets |= (__typeof__(bad.octets))((chunk.octets - 0x20) > 0x5E);
        chunk_store(chunk, out, at, text.size);
    }
    return chunk_is_zero(bad);
}

/* All ones where a dot or hyphen stands: 0x2D and 0x2E. */
static inline struct chunk chunk_marks(struct chunk chunk)
{
    chunk.octets = (__typeof__(chunk.octets))((chunk.octets - (uint8_t)'-') < 2);
    return chunk;
}

static bool has_adjacent_marks(const char *text, size_t size)
{
    struct chunk both = {0};
    for (size_t at = 0; at + 1 < size; at += CHUNK) {
        struct chunk left = chunk_marks(chunk_load(text, at, size - 1));
        struct chunk right = chunk_marks(chunk_load(text + 1, at, size - 1));
        both.octets |= left.octets & right.octets;
    }
    return !chunk_is_zero(both);
}

/*
 * A name no longer than a label, of letters, digits and marks, with no mark beside a mark nor at either end, breaks
 * none of the rules about labels. That is nearly every name; the rest is looked at label by label.
 */
bool ascii_prepare_domain(struct span text, char *out)
{
    if (text.size == 0 || text.size > ASCII_DOMAIN_MAX)
        return false;
    if (text.size > ASCII_LABEL_MAX || is_mark(text.ptr[0]) || is_mark(text.ptr[text.size - 1]) ||
        has_adjacent_marks(text.ptr, text.size))
        return prepare_labels(text, out);
    struct chunk good = {0};
    good.octets |= 0xFF;
    for (size_t at = 0; at < text.size; at += CHUNK) {
        struct chunk chunk = chunk_lower(chunk_load(text.ptr, at, text.size));
        good.octets &= chunk_marks(chunk).octets | (__typeof__(good.octets))(((chunk.octets - (uint8_t)'a') < 26) |
                                                                             ((chunk.octets - (uint8_t)'0') < 10));
        chunk_store(chunk, out, at, text.size);
    }
    good.octets = ~good.octets;
    return chunk_is_zero(good);
}
