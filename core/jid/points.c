/* SPDX-License-Identifier: MIT */
#include "core/jid/points_priv.h"

#include "core/base/check.h"
#include "core/base/utf8.h"

#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>

enum part_result points_decode(struct span text, struct points *points)
{
    points->count = 0;
    if (text.size == 0)
        return PART_EMPTY;
    if (text.size > POINTS_INPUT_MAX)
        return PART_LONG;
    while (text.size > 0) {
        uint32_t code_point = 0;
        unsigned size = utf8_decode(text, &code_point);
        if (size == 0)
            return PART_BAD_UTF8;
        points->at[points->count++] = code_point;
        text = span_skip(text, size);
    }
    return PART_OK;
}

enum part_result points_encode(const uint32_t *at, size_t count, char *out, size_t out_size, size_t *size)
{
    *size = 0;
    for (size_t i = 0; i < count; i++) {
        char octets[4];
        unsigned n = utf8_encode(at[i], octets);
        SL_CHECK(n != 0);
        if (n > out_size - *size)
            return PART_LONG;
        memcpy(out + *size, octets, n);
        *size += n;
    }
    return PART_OK;
}

bool points_equal(const struct points *a, const struct points *b)
{
    return a->count == b->count && memcmp(a->at, b->at, a->count * sizeof a->at[0]) == 0;
}

void points_map_width(struct points *points)
{
    for (size_t i = 0; i < points->count; i++) {
        uint32_t mapping[UC_DECOMPOSITION_MAX_LENGTH];
        int tag = 0;
        int count = uc_decomposition(points->at[i], &tag, mapping);
        if (count < 0 || (tag != UC_DECOMP_WIDE && tag != UC_DECOMP_NARROW))
            continue;
        /* Every wide and narrow mapping of Unicode is a single code point. */
        SL_CHECK(count == 1);
        points->at[i] = mapping[0];
    }
}

/*
 * libunistring writes into the array it is given when that is large enough for its intermediate steps, else into one
 * that it allocates. It fails only when memory is out, which ends the process here as everywhere.
 */
static bool adopt(struct points *points, uint32_t *result, const struct points *target, size_t count)
{
    SL_CHECK(result != NULL);
    bool fits = count <= POINTS_MAX;
    if (fits) {
        memcpy(points->at, result, count * sizeof result[0]);
        points->count = count;
    }
    if (result != target->at)
        free(result);
    return fits;
}

bool points_map_lower(struct points *points)
{
    struct points target;
    size_t count = POINTS_MAX;
    uint32_t *result = u32_tolower(points->at, points->count, NULL, NULL, target.at, &count);
    return adopt(points, result, &target, count);
}

bool points_map_nfc(struct points *points)
{
    struct points target;
    size_t count = POINTS_MAX;
    uint32_t *result = u32_normalize(UNINORM_NFC, points->at, points->count, target.at, &count);
    return adopt(points, result, &target, count);
}

bool points_map_lower_each(struct points *points)
{
    for (size_t i = 0; i < points->count; i++) {
        if (points->at[i] != 0x0130) {
            points->at[i] = uc_tolower(points->at[i]);
            continue;
        }
        /* U+0130 is the one code point whose lower case in SpecialCasing.txt is unconditional and longer: i, U+0307. */
        if (points->count == POINTS_MAX)
            return false;
        memmove(&points->at[i + 1], &points->at[i], (points->count - i) * sizeof points->at[0]);
        points->at[i] = 'i';
        points->at[++i] = 0x0307;
        points->count++;
    }
    return true;
}
