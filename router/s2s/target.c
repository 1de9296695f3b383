/* SPDX-License-Identifier: MIT */
#include "router/s2s/target.h"

#include "core/base/hex.h"
#include "router/s2s/resolver.h"
#include "tls/engine.h"

#include <stdio.h>
#include <stdlib.h>

_Static_assert(RESOLVER_TLSA_MAX <= DANE_RECORDS_MAX, "all records of a target are judged");

static bool take_records(struct target *target, const struct resolver_candidate *found, struct span domain)
{
    struct dane_record records[DANE_RECORDS_MAX];
    if (found->tlsa_count == 0)
        return true;
    for (unsigned i = 0; i < found->tlsa_count; i++) {
        const struct resolver_tlsa *one = &found->tlsa[i];
        records[i] = (struct dane_record){one->usage, one->selector, one->matching, one->data};
    }
    target->dane = dane_new(records, found->tlsa_count, domain, span_str(found->host));
    return target->dane != NULL;
}

struct target *target_new(const struct resolver_candidate *found, struct span domain)
{
    size_t size = strlen(found->host) + 1;
    struct target *target = calloc(1, sizeof *target + size);
    if (!target)
        return NULL;
    memcpy(target->host, found->host, size);
    target->is_srv_secure = found->is_srv_secure;
    if (take_records(target, found, domain))
        return target;
    free(target);
    return NULL;
}

void target_free_all(struct target *first)
{
    while (first) {
        struct target *target = first;
        first = target->next;
        dane_free(target->dane);
        free(target);
    }
}

bool target_expect(const struct target *target, struct engine *engine)
{
    if (!target->dane)
        return true;
    struct dane *copy = dane_copy(target->dane);
    if (copy)
        engine_expect(engine, copy);
    return copy != NULL;
}

static bool is_certain(const struct target *target, const struct credential *credential, struct span domain)
{
    if (!credential || credential->verdict != CREDENTIAL_VALID)
        return false;
    return identity_matches(&credential->identity, domain, "xmpp-server") ||
           (target->is_srv_secure && identity_matches_host(&credential->identity, span_str(target->host)));
}

unsigned target_evidence(const struct target *target, const struct engine *engine, struct span domain)
{
    const struct dane_finding *finding = engine_finding(engine);
    unsigned evidence = is_certain(target, engine_credential(engine), domain) ? EVIDENCE_PKIX : 0;
    if (finding && finding->verdict == DANE_MATCHED)
        evidence |= EVIDENCE_DANE;
    else if (finding && finding->verdict != DANE_UNUSABLE)
        evidence |= EVIDENCE_REFUTED;
    return evidence;
}

#define SHOWN 8u /* bytes of the data */

const char *target_record_text(const struct dane_record *record, char out[TARGET_RECORD_TEXT])
{
    char digits[2 * SHOWN];
    size_t shown = record->data.size < SHOWN ? record->data.size : SHOWN;
    hex_encode(span_of(record->data.ptr, shown), digits);
    snprintf(out, TARGET_RECORD_TEXT, "%u %u %u %.*s%s", record->usage, record->selector, record->matching,
             (int)(2 * shown), digits, record->data.size > shown ? ".." : "");
    return out;
}
