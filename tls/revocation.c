/* SPDX-License-Identifier: MIT */
#include "tls/revocation_priv.h"

#include "tls/der_priv.h"
#include "tls/general_name_priv.h"

#include <strings.h>

static const char *const texts[] = {
    [REVOCATION_GOOD] = "good",
    [REVOCATION_REVOKED] = "revoked",
    [REVOCATION_UNKNOWN] = "unknown to the responder",
    [REVOCATION_REFUSED] = "the responder has no answer",
    [REVOCATION_MALFORMED] = "malformed answer",
    [REVOCATION_OTHER] = "answer about another certificate",
    [REVOCATION_UNAUTHORISED] = "answer by somebody who may not",
    [REVOCATION_FORGED] = "answer with a wrong signature",
    [REVOCATION_EARLY] = "answer from the future",
    [REVOCATION_STALE] = "stale answer",
    [REVOCATION_UNSUPPORTED] = "answer of a kind that is not understood",
    [REVOCATION_SILENCE] = "no answer",
};

const char *revocation_text(enum revocation_status status)
{
    return texts[status];
}

bool revocation_case_read(struct span certificate, struct span issuer, int64_t now, struct revocation_case *out)
{
    out->now = now;
    return certificate_read(certificate, &out->certificate) && certificate_read(issuer, &out->issuer) &&
           span_equal(out->certificate.issuer, out->issuer.subject);
}

bool revocation_take_update(struct span *s, int64_t *out)
{
    return der_take_time(s, out) && *out > 0;
}

enum revocation_status revocation_freshness(int64_t this_update, int64_t next_update, int64_t now,
                                            struct revocation_answer *answer)
{
    answer->this_update = this_update;
    answer->next_update = next_update != 0 ? next_update : this_update + REVOCATION_FRESH_S;
    if (this_update > now + REVOCATION_SKEW_S)
        return REVOCATION_EARLY;
    return answer->next_update > now ? REVOCATION_GOOD : REVOCATION_STALE;
}

/* What a URI is made of (RFC 3986 s2): who fetches it, logs it or prints it finds no NUL, blank or line end in it. */
static bool is_http(struct span address)
{
    static const char scheme[] = "http://"; /* in any case (s3.1) */
    if (address.size < sizeof scheme || strncasecmp(address.ptr, scheme, sizeof scheme - 1) != 0)
        return false;
    for (size_t i = 0; i < address.size; i++)
        if (address.ptr[i] <= ' ' || address.ptr[i] >= 0x7f)
            return false;
    return true;
}

static void add_address(struct span *addresses, unsigned *count, const struct general_name *name)
{
    bool is_address = name->tag == DER_CONTEXT(6);
    if (is_address && is_http(name->value) && *count < REVOCATION_SOURCES_MAX)
        addresses[(*count)++] = name->value;
}

/* AccessDescription: accessMethod, accessLocation (RFC 5280 s4.2.2.1). */
static void read_information(struct span list, struct revocation_sources *out)
{
    struct span description, method;
    struct general_name name;
    while (list.size > 0) {
        if (!der_take_tag(&list, DER_SEQUENCE, &description) || !der_take_tag(&description, DER_OID, &method) ||
            !general_name_take(&description, &name))
            return;
        if (span_equal(method, span_of("\x2b\x06\x01\x05\x05\x07\x30\x01", 8))) /* id-ad-ocsp */
            add_address(out->ocsp, &out->ocsp_count, &name);
    }
}

/* DistributionPoint: [0] { [0] fullName }, [1] reasons, [2] cRLIssuer (s4.2.1.13). One that is for some reasons only,
 * or for a list of somebody else, is of no use. */
static void read_points(struct span list, struct revocation_sources *out)
{
    struct span point, wrapped, names;
    struct general_name name;
    while (list.size > 0) {
        if (!der_take_tag(&list, DER_SEQUENCE, &point))
            return;
        if (!der_take_tag(&point, DER_CONTEXT_LIST(0), &wrapped) || point.size > 0 ||
            !der_take_tag(&wrapped, DER_CONTEXT_LIST(0), &names))
            continue;
        while (names.size > 0 && general_name_take(&names, &name))
            add_address(out->crl, &out->crl_count, &name);
    }
}

bool revocation_sources(struct span certificate, struct revocation_sources *out)
{
    struct certificate read;
    memset(out, 0, sizeof(*out));
    if (!certificate_read(certificate, &read))
        return false;
    out->must_staple = read.must_staple;
    read_information(read.information, out);
    read_points(read.crl_points, out);
    return true;
}

struct span revocation_serial(struct span certificate)
{
    struct certificate read;
    return certificate_read(certificate, &read) ? read.serial : SPAN_NONE;
}

struct span revocation_issuer(struct span certificate)
{
    struct certificate read;
    return certificate_read(certificate, &read) ? read.issuer : SPAN_NONE;
}
