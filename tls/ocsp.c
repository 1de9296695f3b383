/* SPDX-License-Identifier: MIT */
/* OCSP: the question, and the judgement of an answer (RFC 6960 s4). */
#include "core/base/check.h"
#include "tls/der_priv.h"
#include "tls/digest.h"
#include "tls/revocation_priv.h"
#include "tls/signature_priv.h"

/* ---- CertID ------------------------------------------------------------------------------------------------------ */

static const struct {
    struct span oid;
    enum digest digest;
} hash_rows[] = {
    {{"\x2b\x0e\x03\x02\x1a", 5}, DIGEST_SHA1},
    {{"\x60\x86\x48\x01\x65\x03\x04\x02\x01", 9}, DIGEST_SHA256},
    {{"\x60\x86\x48\x01\x65\x03\x04\x02\x03", 9}, DIGEST_SHA512},
};

/* subjectPublicKey, the bits alone: what a key is named by (RFC 6960 s4.1.1). */
static struct span key_bits(const struct certificate *certificate)
{
    struct span key = certificate->key, content, algorithm, bits;
    if (!der_take_tag(&key, DER_SEQUENCE, &content) || !der_take_tag(&content, DER_SEQUENCE, &algorithm) ||
        !der_take_tag(&content, DER_BIT_STRING, &bits) || bits.size < 1)
        return SPAN_NONE;
    return span_skip(bits, 1);
}

static bool is_hash_of(struct span hash, enum digest digest, struct span bytes)
{
    uint8_t expected[DIGEST_SIZE_MAX];
    digest_hash(digest, bytes, expected);
    return span_equal(hash, span_of(expected, digest_size(digest)));
}

/* CertID: hashAlgorithm, issuerNameHash, issuerKeyHash, serialNumber. The serial is compared whole. */
static enum revocation_status compare_id(struct span id, const struct revocation_case *the_case)
{
    struct span algorithm, oid, name, key, serial;
    if (!der_take_tag(&id, DER_SEQUENCE, &algorithm) || !der_take_tag(&algorithm, DER_OID, &oid) ||
        !der_take_tag(&id, DER_OCTET_STRING, &name) || !der_take_tag(&id, DER_OCTET_STRING, &key) ||
        !der_take_tag(&id, DER_INTEGER, &serial) || id.size > 0)
        return REVOCATION_MALFORMED;
    for (size_t i = 0; i < sizeof(hash_rows) / sizeof(hash_rows[0]); i++) {
        if (!span_equal(oid, hash_rows[i].oid))
            continue;
        enum digest digest = hash_rows[i].digest;
        bool is_about = span_equal(serial, the_case->certificate.serial) &&
                        is_hash_of(name, digest, the_case->issuer.subject_whole) &&
                        is_hash_of(key, digest, key_bits(&the_case->issuer));
        return is_about ? REVOCATION_GOOD : REVOCATION_OTHER;
    }
    return REVOCATION_UNSUPPORTED;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

struct basic {
    struct signature signature;
    struct span certificates; /* that came with it, content of the list */
    unsigned responder_tag;   /* byName or byKey */
    struct span responder;    /* the Name's content; the hash of the key */
    struct span responses;
};

/* RevokedInfo: revocationTime, [0] revocationReason. */
static bool read_revoked(struct span info, struct revocation_answer *answer)
{
    struct span wrapped, reason;
    if (!der_take_time(&info, &answer->revoked_at))
        return false;
    if (info.size == 0)
        return true;
    if (!der_take_tag(&info, DER_CONTEXT_LIST(0), &wrapped) || info.size > 0 ||
        !der_take_tag(&wrapped, DER_ENUMERATED, &reason) || reason.size != 1)
        return false;
    answer->reason = (uint8_t)reason.ptr[0];
    return true;
}

static bool read_status(struct span *response, struct revocation_answer *answer)
{
    unsigned tag;
    struct span content;
    if (!der_take(response, &tag, &content))
        return false;
    switch (tag) {
    case DER_CONTEXT(0):
        answer->status = REVOCATION_GOOD;
        return content.size == 0;
    case DER_CONTEXT_LIST(1):
        answer->status = REVOCATION_REVOKED;
        return read_revoked(content, answer);
    case DER_CONTEXT(2):
        answer->status = REVOCATION_UNKNOWN;
        return content.size == 0;
    default:
        return false;
    }
}

/* SingleResponse behind its certID: certStatus, thisUpdate, [0] nextUpdate, [1] singleExtensions. */
static struct revocation_answer read_single(struct span response, int64_t now)
{
    struct revocation_answer answer = {0};
    struct span wrapped;
    int64_t this_update, next_update = 0;
    if (!read_status(&response, &answer) || !revocation_take_update(&response, &this_update))
        return revocation_none(REVOCATION_MALFORMED);
    if (der_peek(response) == DER_CONTEXT_LIST(0) &&
        (!der_take_tag(&response, DER_CONTEXT_LIST(0), &wrapped) || !revocation_take_update(&wrapped, &next_update)))
        return revocation_none(REVOCATION_MALFORMED);
    enum revocation_status freshness = revocation_freshness(this_update, next_update, now, &answer);
    if (freshness != REVOCATION_GOOD && !revocation_outlives(&answer, freshness))
        answer.status = freshness;
    return answer;
}

/* The one about our certificate; others may stand beside it. False: there is none, and the status tells why. */
static bool find_single(struct span responses, const struct revocation_case *the_case, struct revocation_answer *out)
{
    *out = revocation_none(REVOCATION_OTHER);
    while (responses.size > 0) {
        struct span response, id;
        if (!der_take_tag(&responses, DER_SEQUENCE, &response) || !der_take_tag(&response, DER_SEQUENCE, &id)) {
            out->status = REVOCATION_MALFORMED;
            return false;
        }
        enum revocation_status match = compare_id(id, the_case);
        if (match == REVOCATION_GOOD) {
            *out = read_single(response, the_case->now);
            return out->status != REVOCATION_MALFORMED;
        }
        if (match != REVOCATION_OTHER)
            out->status = match;
    }
    return false;
}

/* ---- who says so ------------------------------------------------------------------------------------------------- */

static bool is_responder(const struct basic *basic, const struct certificate *certificate)
{
    if (basic->responder_tag == DER_CONTEXT_LIST(1))
        return span_equal(basic->responder, certificate->subject);
    return is_hash_of(basic->responder, DIGEST_SHA1, key_bits(certificate));
}

/* Signed by the issuer's own key for this purpose, and in force. */
static bool is_delegate(const struct certificate *certificate, const struct revocation_case *the_case)
{
    const struct signature signature = signature_of(certificate);
    bool may_sign = !certificate->has_key_usage || (certificate->key_usage & KEY_USAGE_DIGITAL_SIGNATURE) != 0;
    return may_sign && (certificate->purposes & PURPOSE_OCSP) != 0 && !certificate->has_unknown_critical &&
           span_equal(certificate->issuer, the_case->issuer.subject) && the_case->now >= certificate->not_before &&
           the_case->now <= certificate->not_after &&
           signature_verify(&signature, the_case->issuer.key) == SIGNATURE_GOOD;
}

static enum revocation_status verify_by(const struct basic *basic, const struct certificate *signer)
{
    switch (signature_verify(&basic->signature, signer->key)) {
    case SIGNATURE_GOOD:
        return REVOCATION_GOOD;
    case SIGNATURE_FOREIGN:
        return REVOCATION_UNSUPPORTED;
    case SIGNATURE_BAD:
        break;
    }
    return REVOCATION_FORGED;
}

static enum revocation_status verify(const struct basic *basic, const struct revocation_case *the_case)
{
    struct span list = basic->certificates;
    if (is_responder(basic, &the_case->issuer))
        return verify_by(basic, &the_case->issuer);
    for (unsigned i = 0; i < REVOCATION_DELEGATES_MAX && list.size > 0; i++) {
        struct span whole, content;
        struct certificate certificate;
        if (!der_take_whole(&list, DER_SEQUENCE, &whole, &content) || !certificate_read(whole, &certificate))
            return REVOCATION_MALFORMED;
        if (is_responder(basic, &certificate) && is_delegate(&certificate, the_case))
            return verify_by(basic, &certificate);
    }
    return REVOCATION_UNAUTHORISED;
}

/* ---- the syntax -------------------------------------------------------------------------------------------------- */

/* ResponseData: [0] version, responderID, producedAt, responses, [1] extensions. */
static bool read_data(struct span data, struct basic *out)
{
    struct span wrapped;
    int64_t produced_at;
    uint32_t version = 0;
    if (der_peek(data) == DER_CONTEXT_LIST(0) &&
        (!der_take_tag(&data, DER_CONTEXT_LIST(0), &wrapped) || !der_take_number(&wrapped, &version) || version != 0))
        return false;
    if (!der_take(&data, &out->responder_tag, &wrapped))
        return false;
    unsigned inner = out->responder_tag == DER_CONTEXT_LIST(1) ? DER_SEQUENCE : DER_OCTET_STRING;
    if (inner == DER_OCTET_STRING && out->responder_tag != DER_CONTEXT_LIST(2))
        return false;
    return der_take_tag(&wrapped, inner, &out->responder) && wrapped.size == 0 && der_take_time(&data, &produced_at) &&
           der_take_tag(&data, DER_SEQUENCE, &out->responses);
}

static bool read_basic(struct span response, struct basic *out)
{
    struct span basic, data, wrapped;
    if (!der_take_tag(&response, DER_SEQUENCE, &basic) || response.size > 0 ||
        !der_take_whole(&basic, DER_SEQUENCE, &out->signature.text, &data) ||
        !der_take_tag(&basic, DER_SEQUENCE, &out->signature.algorithm) ||
        !der_take_tag(&basic, DER_BIT_STRING, &out->signature.bits) || out->signature.bits.size < 2 ||
        out->signature.bits.ptr[0] != 0)
        return false;
    out->signature.bits = span_skip(out->signature.bits, 1);
    if (basic.size > 0 && (!der_take_tag(&basic, DER_CONTEXT_LIST(0), &wrapped) || basic.size > 0 ||
                           !der_take_tag(&wrapped, DER_SEQUENCE, &out->certificates)))
        return false;
    return read_data(data, out);
}

/* OCSPResponse: responseStatus, [0] { responseType, response }. */
static enum revocation_status read_response(struct span response, struct basic *out)
{
    struct span content, status, wrapped, bytes, type, basic;
    if (!der_take_tag(&response, DER_SEQUENCE, &content) || response.size > 0 ||
        !der_take_tag(&content, DER_ENUMERATED, &status) || status.size != 1)
        return REVOCATION_MALFORMED;
    if (status.ptr[0] != 0) /* successful */
        return REVOCATION_REFUSED;
    if (!der_take_tag(&content, DER_CONTEXT_LIST(0), &wrapped) || !der_take_tag(&wrapped, DER_SEQUENCE, &bytes) ||
        !der_take_tag(&bytes, DER_OID, &type) || !der_take_tag(&bytes, DER_OCTET_STRING, &basic))
        return REVOCATION_MALFORMED;
    if (!span_equal(type, span_of("\x2b\x06\x01\x05\x05\x07\x30\x01\x01", 9))) /* id-pkix-ocsp-basic */
        return REVOCATION_UNSUPPORTED;
    return read_basic(basic, out) ? REVOCATION_GOOD : REVOCATION_MALFORMED;
}

struct revocation_answer ocsp_judge(struct span response, struct span certificate, struct span issuer, int64_t now)
{
    struct revocation_case the_case;
    struct basic basic = {0};
    if (response.size > REVOCATION_OCSP_MAX)
        return revocation_none(REVOCATION_MALFORMED);
    if (!revocation_case_read(certificate, issuer, now, &the_case))
        return revocation_none(REVOCATION_OTHER);
    enum revocation_status status = read_response(response, &basic);
    if (status != REVOCATION_GOOD)
        return revocation_none(status);
    struct revocation_answer answer;
    if (!find_single(basic.responses, &the_case, &answer)) /* so whoever signed it is of no interest */
        return answer;
    status = verify(&basic, &the_case);
    return status == REVOCATION_GOOD ? answer : revocation_none(status);
}

/* ---- the question ------------------------------------------------------------------------------------------------ */

/* Elements are written from the last to the first: each is then complete when its head is written. */
struct question {
    uint8_t bytes[OCSP_REQUEST_MAX];
    size_t start;
};

static void put(struct question *question, unsigned tag, struct span content)
{
    size_t need = content.size + 2;
    SL_CHECK(content.size < 0x80 && need <= question->start);
    question->start -= need;
    question->bytes[question->start] = (uint8_t)tag;
    question->bytes[question->start + 1] = (uint8_t)content.size;
    memcpy(question->bytes + question->start + 2, content.ptr, content.size);
}

/* A head for all that is written. */
static void wrap(struct question *question)
{
    size_t size = sizeof(question->bytes) - question->start;
    SL_CHECK(size < 0x80 && question->start >= 2);
    question->start -= 2;
    question->bytes[question->start] = DER_SEQUENCE;
    question->bytes[question->start + 1] = (uint8_t)size;
}

size_t ocsp_request(struct span certificate, struct span issuer, uint8_t out[OCSP_REQUEST_MAX])
{
    struct revocation_case the_case;
    struct question question = {.start = sizeof(question.bytes)};
    uint8_t hash[DIGEST_SIZE_MAX];
    if (!revocation_case_read(certificate, issuer, 0, &the_case) || the_case.certificate.serial.size > 20)
        return 0; /* RFC 5280 s4.1.2.2: conforming ones have 20 octets at most */
    put(&question, DER_INTEGER, the_case.certificate.serial);
    digest_hash(DIGEST_SHA1, key_bits(&the_case.issuer), hash);
    put(&question, DER_OCTET_STRING, span_of(hash, digest_size(DIGEST_SHA1)));
    digest_hash(DIGEST_SHA1, the_case.issuer.subject_whole, hash);
    put(&question, DER_OCTET_STRING, span_of(hash, digest_size(DIGEST_SHA1)));
    put(&question, DER_SEQUENCE, span_of("\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00", 9)); /* SHA-1, NULL */
    for (unsigned depth = 0; depth < 5; depth++) /* CertID, Request, requestList, TBSRequest, OCSPRequest */
        wrap(&question);
    size_t size = sizeof(question.bytes) - question.start;
    memcpy(out, question.bytes + question.start, size);
    return size;
}
