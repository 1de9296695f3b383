/* SPDX-License-Identifier: MIT */
#include "router/admin/survey_certs.h"

#include "core/base/hex.h"
#include "router/certs/inspector.h"

#define NAMES_SIZE 256u
#define SERIAL_MAX 32u /* octets; 20 are allowed (RFC 5280 s4.1.2.2), and more have been seen */

struct listing {
    control_chain_fn tell;
    void *context;
};

/* Names apart by commas, as many as fit; ".." stands for the others. */
static struct span join_names(const struct identity *identity, char out[NAMES_SIZE])
{
    size_t size = 0;
    for (uint32_t i = 0; i < identity->count; i++) {
        struct span name = identity->identifiers[i].name;
        bool is_cut = size + name.size + sizeof(",,..") > NAMES_SIZE;
        if (is_cut)
            name = SPAN("..");
        if (size)
            out[size++] = ',';
        memcpy(out + size, name.ptr, name.size);
        size += name.size;
        if (is_cut)
            break;
    }
    return span_of(out, size);
}

static const char *source_text(const struct inspector_chain *chain)
{
    if (chain->has_ocsp)
        return chain->has_crl ? "both" : "ocsp";
    return chain->has_crl ? "crl" : "none";
}

static void tell(void *context, const struct inspector_chain *chain)
{
    const struct listing *listing = context;
    const struct credential *credential = chain->credential;
    char hash[2 * CREDENTIAL_SHA256 + 1], beginning[17], names[NAMES_SIZE], serial[2 * SERIAL_MAX + 1];
    size_t octets = chain->serial.size < SERIAL_MAX ? chain->serial.size : SERIAL_MAX;
    hex_encode(span_of(credential->path[0].sha256, CREDENTIAL_SHA256), hash);
    hash[2 * CREDENTIAL_SHA256] = '\0';
    memcpy(beginning, hash, 16);
    beginning[16] = '\0';
    hex_encode(span_of(chain->serial.ptr, octets), serial);
    serial[2 * octets] = '\0';
    bool is_answered = chain->standing != STANDING_PENDING && chain->standing != STANDING_DISTRUSTED &&
                       chain->standing != STANDING_UNCHECKED;
    const struct control_chain row = {
        .certificate = beginning,
        .sha256 = hash,
        .serial = serial,
        .names = join_names(&credential->identity, names),
        .streams = chain->streams,
        .expires = credential->not_after,
        .source = source_text(chain),
        .url = chain->source,
        .standing = standing_text(chain->standing),
        .answer = is_answered ? revocation_text(chain->status) : NULL,
        .checked = chain->checked,
        .next = chain->due,
        .is_asking = chain->is_asking,
    };
    listing->tell(listing->context, &row);
}

static void list(void *context, struct span domain, control_chain_fn fn, void *listing)
{
    struct listing to = {fn, listing};
    inspector_list(context, domain, tell, &to);
}

static unsigned check(void *context, struct span domain)
{
    return inspector_check(context, domain);
}

static unsigned distrust(void *context, struct span name)
{
    return inspector_distrust(context, name);
}

struct control_certs survey_certs(struct inspector *inspector)
{
    if (!inspector)
        return (struct control_certs){0};
    return (struct control_certs){inspector, list, check, distrust};
}
