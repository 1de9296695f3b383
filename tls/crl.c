/* SPDX-License-Identifier: MIT */
/* CRL: the judgement of a list of revoked certificates (RFC 5280 s5, s6.3.3), complete ones of the issuer itself. */
#include "tls/der_priv.h"
#include "tls/revocation_priv.h"
#include "tls/signature_priv.h"

struct list {
    struct signature signature;
    struct span issuer; /* content of Name */
    int64_t this_update;
    int64_t next_update; /* 0: none */
    struct span entries;
    struct span extensions;
};

static bool read_to_be_signed(struct span tbs, struct list *out)
{
    struct span algorithm, wrapped;
    uint32_t version;
    if (der_peek(tbs) == DER_INTEGER && (!der_take_number(&tbs, &version) || version != 1)) /* v2 */
        return false;
    if (!der_take_tag(&tbs, DER_SEQUENCE, &algorithm) || !span_equal(algorithm, out->signature.algorithm) ||
        !der_take_tag(&tbs, DER_SEQUENCE, &out->issuer) || !revocation_take_update(&tbs, &out->this_update))
        return false;
    unsigned tag = der_peek(tbs);
    if ((tag == DER_UTC_TIME || tag == DER_GENERALIZED_TIME) && !revocation_take_update(&tbs, &out->next_update))
        return false;
    if (der_peek(tbs) == DER_SEQUENCE && !der_take_tag(&tbs, DER_SEQUENCE, &out->entries))
        return false;
    if (der_peek(tbs) == DER_CONTEXT_LIST(0) &&
        (!der_take_tag(&tbs, DER_CONTEXT_LIST(0), &wrapped) || !der_take_tag(&wrapped, DER_SEQUENCE, &out->extensions)))
        return false;
    return tbs.size == 0;
}

static bool read_list(struct span crl, struct list *out)
{
    struct span content, tbs;
    if (!der_take_tag(&crl, DER_SEQUENCE, &content) || crl.size > 0 ||
        !der_take_whole(&content, DER_SEQUENCE, &out->signature.text, &tbs) ||
        !der_take_tag(&content, DER_SEQUENCE, &out->signature.algorithm) ||
        !der_take_tag(&content, DER_BIT_STRING, &out->signature.bits) || content.size > 0 ||
        out->signature.bits.size < 2 || out->signature.bits.ptr[0] != 0)
        return false;
    out->signature.bits = span_skip(out->signature.bits, 1);
    return read_to_be_signed(tbs, out);
}

/* ---- extensions -------------------------------------------------------------------------------------------------- */

static bool take_extension(struct span *list, struct span *oid, bool *is_critical, struct span *value)
{
    struct span extension;
    *is_critical = false;
    return der_take_tag(list, DER_SEQUENCE, &extension) && der_take_tag(&extension, DER_OID, oid) &&
           (der_peek(extension) != DER_BOOLEAN || der_take_boolean(&extension, is_critical)) &&
           der_take_tag(&extension, DER_OCTET_STRING, value) && extension.size == 0;
}

/* Is one of the names of the list's point one of the certificate's points (s6.3.3 (b) (2) (i))? All names are compared
 * by their bytes, wherever they stand in the points: no other element of them can be equal to one. */
static bool is_a_point_of(struct span point, const struct certificate *certificate)
{
    struct span names;
    if (certificate->crl_points.size == 0 || !der_take_tag(&point, DER_CONTEXT_LIST(0), &names)) /* fullName */
        return false;
    while (names.size > 0) {
        const char *start = names.ptr;
        if (!der_skip(&names))
            return false;
        size_t size = (size_t)(names.ptr - start);
        if (memmem(certificate->crl_points.ptr, certificate->crl_points.size, start, size) != NULL)
            return true;
    }
    return false;
}

/* IssuingDistributionPoint (s5.2.5): the list may be for a part of the certificates. Good: for ours. */
static enum revocation_status judge_scope(struct span value, const struct certificate *certificate)
{
    struct span scope, content;
    unsigned tag;
    if (!der_take_tag(&value, DER_SEQUENCE, &scope) || value.size > 0)
        return REVOCATION_MALFORMED;
    while (scope.size > 0) {
        if (!der_take(&scope, &tag, &content))
            return REVOCATION_MALFORMED;
        switch (tag) {
        case DER_CONTEXT_LIST(0): /* distributionPoint */
            if (!is_a_point_of(content, certificate))
                return REVOCATION_OTHER;
            break;
        case DER_CONTEXT(1): /* onlyContainsUserCerts */
            if (certificate->is_authority)
                return REVOCATION_OTHER;
            break;
        case DER_CONTEXT(2): /* onlyContainsCACerts */
            if (!certificate->is_authority)
                return REVOCATION_OTHER;
            break;
        default: /* onlySomeReasons, indirectCRL, onlyContainsAttributeCerts: not the whole truth */
            return REVOCATION_UNSUPPORTED;
        }
    }
    return REVOCATION_GOOD;
}

static enum revocation_status judge_extensions(struct span list, const struct certificate *certificate)
{
    struct span oid, value;
    bool is_critical;
    while (list.size > 0) {
        enum revocation_status status = REVOCATION_GOOD;
        if (!take_extension(&list, &oid, &is_critical, &value))
            return REVOCATION_MALFORMED;
        if (span_equal(oid, span_of("\x55\x1d\x1c", 3)))
            status = judge_scope(value, certificate);
        else if (is_critical) /* deltaCRLIndicator among them */
            status = REVOCATION_UNSUPPORTED;
        if (status != REVOCATION_GOOD)
            return status;
    }
    return REVOCATION_GOOD;
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

/* reasonCode (s5.3.1). An entry's critical extension that is not understood changes nothing: the certificate is in the
 * list (s5.3: then the list must not be used to call others good, which an indirect CRL alone would need). */
static uint8_t reason_of(struct span extensions)
{
    struct span list, oid, value, reason;
    bool is_critical;
    if (!der_take_tag(&extensions, DER_SEQUENCE, &list))
        return 0;
    while (list.size > 0 && take_extension(&list, &oid, &is_critical, &value)) {
        if (span_equal(oid, span_of("\x55\x1d\x15", 3)) && der_take_tag(&value, DER_ENUMERATED, &reason) &&
            reason.size == 1)
            return (uint8_t)reason.ptr[0];
    }
    return 0;
}

/* userCertificate, revocationDate, crlEntryExtensions. */
static bool find_entry(struct span entries, struct span serial, struct revocation_answer *answer)
{
    struct span entry, number;
    while (entries.size > 0) {
        if (!der_take_tag(&entries, DER_SEQUENCE, &entry) || !der_take_tag(&entry, DER_INTEGER, &number))
            return false;
        if (!span_equal(number, serial))
            continue;
        answer->status = REVOCATION_REVOKED;
        if (!der_take_time(&entry, &answer->revoked_at))
            return false;
        answer->reason = reason_of(entry);
        return true;
    }
    return true;
}

static enum revocation_status verify(const struct list *list, const struct certificate *issuer)
{
    if (!span_equal(list->issuer, issuer->subject))
        return REVOCATION_OTHER;
    if (issuer->has_key_usage && (issuer->key_usage & KEY_USAGE_CRL_SIGN) == 0) /* s6.3.3 (f) */
        return REVOCATION_UNAUTHORISED;
    switch (signature_verify(&list->signature, issuer->key)) {
    case SIGNATURE_GOOD:
        return REVOCATION_GOOD;
    case SIGNATURE_FOREIGN:
        return REVOCATION_UNSUPPORTED;
    case SIGNATURE_BAD:
        break;
    }
    return REVOCATION_FORGED;
}

/* entry NULL: neither its signature nor its entries have been looked at. */
static struct revocation_answer judge(struct span crl, const struct span *entry, struct span certificate,
                                      struct span issuer, int64_t now)
{
    struct revocation_case the_case;
    struct revocation_answer answer = {0};
    struct list list = {0};
    if (crl.size > REVOCATION_CRL_MAX || !read_list(crl, &list))
        return revocation_none(REVOCATION_MALFORMED);
    if (!revocation_case_read(certificate, issuer, now, &the_case))
        return revocation_none(REVOCATION_OTHER);
    enum revocation_status status = entry != NULL ? REVOCATION_GOOD : verify(&list, &the_case.issuer);
    if (status == REVOCATION_GOOD)
        status = judge_extensions(list.extensions, &the_case.certificate);
    if (status != REVOCATION_GOOD)
        return revocation_none(status);
    status = revocation_freshness(list.this_update, list.next_update, now, &answer);
    if (!find_entry(entry != NULL ? *entry : list.entries, the_case.certificate.serial, &answer))
        return revocation_none(REVOCATION_MALFORMED);
    if (status != REVOCATION_GOOD && !revocation_outlives(&answer, status))
        answer.status = status;
    return answer;
}

struct revocation_answer crl_judge(struct span crl, struct span certificate, struct span issuer, int64_t now)
{
    return judge(crl, NULL, certificate, issuer, now);
}

struct revocation_answer crl_look_up(struct span crl, struct span entry, struct span certificate, struct span issuer,
                                     int64_t now)
{
    return judge(crl, &entry, certificate, issuer, now);
}

bool crl_next_entry(struct span *entries, struct span *entry, struct span *serial)
{
    struct span rest = *entries, content;
    if (rest.size == 0 || !der_take_whole(&rest, DER_SEQUENCE, entry, &content) ||
        !der_take_tag(&content, DER_INTEGER, serial))
        return false;
    *entries = rest;
    return true;
}

bool crl_read(struct span crl, struct crl_facts *out)
{
    struct list list = {0};
    struct revocation_answer answer;
    if (crl.size > REVOCATION_CRL_MAX || !read_list(crl, &list))
        return false;
    (void)revocation_freshness(list.this_update, list.next_update, 0, &answer);
    *out = (struct crl_facts){list.issuer, certificate_name_text(list.issuer), answer.this_update, answer.next_update,
                              list.entries};
    return true;
}

enum revocation_status crl_vouch(struct span crl, struct span issuer)
{
    struct certificate read;
    struct list list = {0};
    if (crl.size > REVOCATION_CRL_MAX || !read_list(crl, &list))
        return REVOCATION_MALFORMED;
    return certificate_read(issuer, &read) ? verify(&list, &read) : REVOCATION_OTHER;
}
