/* SPDX-License-Identifier: MIT */
#include "core/jid/part_priv.h"

#include "core/jid/idna_priv.h"
#include "core/jid/precis_priv.h"

/* RFC 7622 s3.3.1. Asked after the mappings: U+FF20 is '@' by then. */
static bool is_excluded_from_local(uint32_t code_point)
{
    return code_point < 0x80 && memchr("\"&'/:<>@", (int)code_point, 8) != NULL;
}

enum part_result part_prepare_local(struct span text, char *out, size_t *size, struct jid_reason *reason)
{
    struct points points;
    enum part_result result = points_decode(text, &points);
    if (result == PART_OK)
        result = precis_username(&points, reason);
    if (result != PART_OK)
        return result;
    for (size_t i = 0; i < points.count; i++) {
        if (is_excluded_from_local(points.at[i]))
            return part_forbidden(reason, points.at[i], "is excluded from localparts (RFC 7622 s3.3.1)");
    }
    return points_encode(points.at, points.count, out, JID_PART_MAX, size);
}

enum part_result part_prepare_opaque(struct span text, char *out, size_t out_size, size_t *size,
                                     struct jid_reason *reason)
{
    struct points points;
    enum part_result result = points_decode(text, &points);
    if (result == PART_OK)
        result = precis_opaque(&points, reason);
    return result == PART_OK ? points_encode(points.at, points.count, out, out_size, size) : result;
}

enum part_result part_prepare_domain(struct span text, char *out, size_t *size, struct jid_reason *reason)
{
    return idna_prepare(text, out, size, reason);
}

void part_blame_original(struct span text, struct jid_reason *reason)
{
    struct points given, mapped;
    if (reason->code_point == JID_NO_CODE_POINT || points_decode(text, &given) != PART_OK)
        return;
    for (size_t i = 0; i < given.count; i++) {
        mapped.count = 1;
        mapped.at[0] = given.at[i];
        points_map_width(&mapped);
        if (!points_map_lower_each(&mapped) || mapped.count != 1 || mapped.at[0] != reason->code_point)
            continue;
        reason->code_point = given.at[i];
        return;
    }
}
