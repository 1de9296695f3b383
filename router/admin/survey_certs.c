/* SPDX-License-Identifier: MIT */
#include "router/admin/survey_certs.h"

#include "core/base/hex.h"
#include "core/base/log.h"
#include "router/certs/inspector.h"
#include "tls/context.h"
#include "tls/digest.h"

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
    return chain->has_crl ? "crl" : chain->file ? "file" : "none";
}

/* As many octets as fit. */
static const char *spell_serial(struct span serial, char out[2 * SERIAL_MAX + 1])
{
    size_t octets = serial.size < SERIAL_MAX ? serial.size : SERIAL_MAX;
    hex_encode(span_of(serial.ptr, octets), out);
    out[2 * octets] = '\0';
    return out;
}

static void tell(void *context, const struct inspector_chain *chain)
{
    const struct listing *listing = context;
    const struct credential *credential = chain->credential;
    char hash[2 * CREDENTIAL_SHA256 + 1], beginning[17], names[NAMES_SIZE], serial[2 * SERIAL_MAX + 1];
    hex_encode(span_of(credential->path[0].sha256, CREDENTIAL_SHA256), hash);
    hash[2 * CREDENTIAL_SHA256] = '\0';
    memcpy(beginning, hash, 16);
    beginning[16] = '\0';
    bool is_answered = chain->standing != STANDING_PENDING && chain->standing != STANDING_DISTRUSTED &&
                       chain->standing != STANDING_UNCHECKED;
    const struct control_chain row = {
        .certificate = beginning,
        .sha256 = hash,
        .serial = spell_serial(chain->serial, serial),
        .names = join_names(&credential->identity, names),
        .streams = chain->streams,
        .expires = credential->not_after,
        .source = source_text(chain),
        .file = chain->file,
        .url = chain->source,
        .standing = standing_text(chain->standing),
        .answer = is_answered ? revocation_text(chain->status) : NULL,
        .is_stapled = chain->is_stapled,
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

static bool trust(void *context, struct span name)
{
    return inspector_trust(context, name);
}

struct naming {
    control_distrusted_fn tell;
    void *context;
};

static void tell_name(void *context, struct span name)
{
    const struct naming *naming = context;
    char hex[2 * CREDENTIAL_SHA256 + 1];
    size_t octets = name.size < CREDENTIAL_SHA256 ? name.size : CREDENTIAL_SHA256;
    hex_encode(span_of(name.ptr, octets), hex);
    hex[2 * octets] = '\0';
    naming->tell(naming->context, hex, name.size == CREDENTIAL_SHA256);
}

static void distrusted(void *context, control_distrusted_fn fn, void *listing)
{
    struct naming to = {fn, listing};
    inspector_list_distrusted(context, tell_name, &to);
}

static bool is_lasting(void *context)
{
    return inspector_is_lasting(context);
}

struct control_certs survey_certs(struct inspector *inspector)
{
    if (!inspector)
        return (struct control_certs){0};
    return (struct control_certs){inspector, list, check, distrust, trust, distrusted, is_lasting};
}

/* ---- ours -------------------------------------------------------------------------------------------------------- */

#define DAY_S 86400

/* Whole days, rounded down. */
static int64_t days_left(int64_t not_after, int64_t now)
{
    int64_t left = not_after - now;
    return left >= 0 ? left / DAY_S : -((-left + DAY_S - 1) / DAY_S);
}

struct own_listing {
    const struct survey_own *own;
    const char *use;
    control_own_fn tell;
    void *context;
};

static void describe_staple(const struct survey_own *own, const uint8_t sha256[CREDENTIAL_SHA256], bool is_demanded,
                            struct control_staple *out)
{
    struct inspector_staple staple = {0};
    bool is_asked = inspector_staple(own->inspector, sha256, &staple);
    *out = (struct control_staple){.state = is_asked ? staple_text(staple.state) : "off",
                                   .answer = staple.failing ? revocation_text(staple.status) : NULL,
                                   .url = staple.url,
                                   .made = staple.made,
                                   .until = staple.until,
                                   .age = staple.made ? own->now - staple.made : 0,
                                   .failing = staple.failing,
                                   .revoked = staple.revoked,
                                   .checked = staple.checked,
                                   .next = staple.due};
    if (is_demanded)
        out->demanded = staple.until ? "met" : "unmet";
}

static int64_t chain_end(const struct context *tls, unsigned index, int64_t end)
{
    struct context_certificate above;
    for (unsigned i = 0; context_certificate_above(tls, index, i, &above); i++)
        if (above.not_after && (!end || above.not_after < end))
            end = above.not_after;
    return end;
}

static void tell_own(const struct own_listing *listing, const struct context_certificate *one, struct control_own *row)
{
    char hash[2 * CREDENTIAL_SHA256 + 1], names[NAMES_SIZE], serial[2 * SERIAL_MAX + 1];
    uint8_t sha256[CREDENTIAL_SHA256];
    struct identity identity = {0};
    digest_hash(DIGEST_SHA256, one->der, sha256);
    hex_encode(span_of(sha256, sizeof sha256), hash);
    hash[2 * CREDENTIAL_SHA256] = '\0';
    row->domain = one->domain;
    row->use = listing->use;
    row->issuer = one->issuer;
    row->sha256 = hash;
    row->serial = spell_serial(one->serial, serial);
    row->expires = one->not_after;
    row->days_left = days_left(one->not_after, listing->own->now);
    if (row->depth == 0) {
        (void)identity_read(one->der, &identity);
        row->names = join_names(&identity, names);
        describe_staple(listing->own, sha256, one->must_staple, &row->staple);
    } else {
        row->subject = one->subject;
    }
    listing->tell(listing->context, row);
    identity_free(&identity);
}

static void tell_chain(const struct own_listing *listing, const struct context *tls, unsigned index)
{
    struct context_certificate one;
    if (!context_certificate(tls, index, &one) || !one.der.ptr)
        return;
    struct control_own leaf = {.chain_expires = chain_end(tls, index, one.not_after)};
    tell_own(listing, &one, &leaf);
    for (unsigned i = 0; context_certificate_above(tls, index, i, &one); i++) {
        struct control_own above = {.depth = i + 1};
        tell_own(listing, &one, &above);
    }
}

/* Do servers see another certificate of the domain than clients? Both contexts are of one configuration, so the index
 * is the same. */
static bool servers_differ(const struct survey_own *own, const struct context_certificate *leaf, unsigned index)
{
    struct context_certificate other;
    return own->servers && context_certificate(own->servers, index, &other) && !span_equal(other.der, leaf->der);
}

void survey_own(const struct survey_own *own, control_own_fn fn, void *listing)
{
    struct context_certificate leaf;
    for (unsigned i = 0; own->clients && context_certificate(own->clients, i, &leaf); i++) {
        bool differ = servers_differ(own, &leaf, i);
        struct own_listing to = {own, differ ? "c2s" : NULL, fn, listing};
        tell_chain(&to, own->clients, i);
        to.use = "s2s";
        if (differ)
            tell_chain(&to, own->servers, i);
    }
}

/* How many of the bounds it has come below. */
static unsigned bounds_passed(int64_t left_s)
{
    static const int64_t days[] = {30, 14, 7, 1, 0};
    unsigned passed = 0;
    while (passed < sizeof days / sizeof days[0] && left_s <= days[passed] * DAY_S)
        passed++;
    return passed;
}

static bool is_ending(int64_t not_after, int64_t now, int64_t before)
{
    unsigned was = before ? bounds_passed(not_after - before) : 0;
    return not_after && bounds_passed(not_after - now) > was;
}

static void warn_of_staple(const struct survey_own *own, const struct context_certificate *leaf)
{
    struct inspector_staple staple = {0};
    uint8_t sha256[CREDENTIAL_SHA256];
    if (!leaf->must_staple)
        return;
    digest_hash(DIGEST_SHA256, leaf->der, sha256);
    bool is_asked = inspector_staple(own->inspector, sha256, &staple);
    if (!staple.until && (!is_asked || staple.state != STAPLE_PENDING))
        log_event(LOG_WARN, "certs.must_staple",
                  "domain=%s staple=%s: the certificate demands one, and clients refuse it", leaf->domain,
                  is_asked ? staple_text(staple.state) : "off");
}

static void warn_of_chain(const struct survey_own *own, const struct context *tls, unsigned index, int64_t before)
{
    struct context_certificate one;
    if (!context_certificate(tls, index, &one))
        return;
    if (is_ending(one.not_after, own->now, before))
        log_event(LOG_WARN, "certs.own_ends", "domain=%s days=%lld", one.domain,
                  (long long)days_left(one.not_after, own->now));
    warn_of_staple(own, &one);
    for (unsigned i = 0; context_certificate_above(tls, index, i, &one); i++)
        if (is_ending(one.not_after, own->now, before))
            log_event(LOG_WARN, "certs.own_ends", "domain=%s days=%lld authority=%s", one.domain,
                      (long long)days_left(one.not_after, own->now), log_quoted(one.subject).text);
}

void survey_own_warn(const struct survey_own *own, int64_t before)
{
    struct context_certificate leaf;
    for (unsigned i = 0; own->clients && context_certificate(own->clients, i, &leaf); i++) {
        warn_of_chain(own, own->clients, i, before);
        if (servers_differ(own, &leaf, i))
            warn_of_chain(own, own->servers, i, before);
    }
}
