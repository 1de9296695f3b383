/* SPDX-License-Identifier: MIT */
#include "tls/certificate_priv.h"
#include "tls/der_priv.h"
#include "tls/digest.h"
#include "tls/signature_priv.h"

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/hash.h>

/* ---- time ---------------------------------------------------------------------------------------------------- */

/* Days from 1970-01-01 by counting leap days in eras of 400 years that begin in March. */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool digits(struct span *s, size_t count, int64_t *out)
{
    int64_t number = 0;
    if (s->size < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (s->ptr[i] < '0' || s->ptr[i] > '9')
            return false;
        number = number * 10 + (s->ptr[i] - '0');
    }
    *s = span_skip(*s, count);
    *out = number;
    return true;
}

/* YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ, nothing else (RFC 5280 s4.1.2.5.1, s4.1.2.5.2). */
static bool read_time(struct span *validity, int64_t *out)
{
    unsigned tag;
    struct span s;
    int64_t year, month, day, hour, minute, second;
    if (!der_take(validity, &tag, &s) || (tag != DER_UTC_TIME && tag != DER_GENERALIZED_TIME))
        return false;
    if (!digits(&s, tag == DER_UTC_TIME ? 2 : 4, &year) || !digits(&s, 2, &month) || !digits(&s, 2, &day) ||
        !digits(&s, 2, &hour) || !digits(&s, 2, &minute) || !digits(&s, 2, &second) || !span_is(s, "Z"))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59)
        return false;
    if (tag == DER_UTC_TIME)
        year += year >= 50 ? 1900 : 2000;
    *out = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    return true;
}

/* ---- extensions ------------------------------------------------------------------------------------------------ */

static bool read_basic_constraints(struct span value, struct certificate *out)
{
    struct span s;
    if (!der_take_tag(&value, DER_SEQUENCE, &s) || value.size > 0)
        return false;
    if (der_peek(s) == DER_BOOLEAN && !der_take_boolean(&s, &out->is_authority))
        return false;
    if (der_peek(s) == DER_INTEGER && !der_take_number(&s, &out->path_length_max))
        return false;
    return s.size == 0;
}

/* Only the first octet is of use; the ninth bit, decipherOnly, is in the second. */
static bool read_key_usage(struct span value, struct certificate *out)
{
    struct span bits;
    if (!der_take_tag(&value, DER_BIT_STRING, &bits) || value.size > 0 || bits.size < 2 || bits.size > 3)
        return false;
    out->key_usage = (uint8_t)bits.ptr[1];
    out->has_key_usage = true;
    return true;
}

static bool read_purposes(struct span value, struct certificate *out)
{
    static const struct {
        struct span oid;
        uint8_t purpose;
    } rows[] = {
        {{"\x2b\x06\x01\x05\x05\x07\x03\x01", 8}, PURPOSE_SERVER}, /* id-kp-serverAuth */
        {{"\x2b\x06\x01\x05\x05\x07\x03\x02", 8}, PURPOSE_CLIENT}, /* id-kp-clientAuth */
        {{"\x55\x1d\x25\x00", 4}, PURPOSE_ANY},                    /* anyExtendedKeyUsage */
        {{"\x2b\x06\x01\x05\x05\x07\x08\x05", 8}, PURPOSE_XMPP},   /* id-on-xmppAddr */
    };
    struct span list, oid;
    if (!der_take_tag(&value, DER_SEQUENCE, &list) || value.size > 0 || list.size == 0)
        return false;
    out->has_purposes = true;
    while (list.size > 0) {
        if (!der_take_tag(&list, DER_OID, &oid))
            return false;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            if (span_equal(rows[i].oid, oid))
                out->purposes |= rows[i].purpose;
        }
    }
    return true;
}

static bool read_names(struct span value, struct certificate *out)
{
    return der_take_tag(&value, DER_SEQUENCE, &out->names) && value.size == 0 && out->names.size > 0;
}

static bool read_name_constraints(struct span value, struct certificate *out)
{
    return der_take_tag(&value, DER_SEQUENCE, &out->constraints) && value.size == 0 && out->constraints.size > 0;
}

/* certificatePolicies is understood in so far as no policy is asked for, so that none can be missing (RFC 5280 s6.1.1
 * (c), any-policy). The extensions that can ask for one (policyConstraints, inhibitAnyPolicy) are not. */
static bool read_policies(struct span value, struct certificate *out)
{
    (void)out;
    struct span list;
    return der_take_tag(&value, DER_SEQUENCE, &list) && value.size == 0;
}

/* Those that are understood, all of id-ce (2.5.29.x). */
static const struct {
    uint8_t number;
    bool (*read)(struct span value, struct certificate *out);
} extension_rows[] = {
    {19, read_basic_constraints}, {15, read_key_usage}, {37, read_purposes}, {17, read_names},
    {30, read_name_constraints},  {32, read_policies},
};
#define EXTENSION_COUNT (sizeof(extension_rows) / sizeof(extension_rows[0]))

static bool read_extension(struct span extension, unsigned *seen, struct certificate *out)
{
    struct span oid, value;
    bool is_critical = false;
    if (!der_take_tag(&extension, DER_OID, &oid) ||
        (der_peek(extension) == DER_BOOLEAN && !der_take_boolean(&extension, &is_critical)) ||
        !der_take_tag(&extension, DER_OCTET_STRING, &value) || extension.size > 0)
        return false;
    for (unsigned i = 0; i < EXTENSION_COUNT; i++) {
        if (oid.size != 3 || memcmp(oid.ptr, "\x55\x1d", 2) != 0 || (uint8_t)oid.ptr[2] != extension_rows[i].number)
            continue;
        /* "MUST NOT include more than one instance of a particular extension" (RFC 5280 s4.2). */
        if ((*seen & 1u << i) != 0)
            return false;
        *seen |= 1u << i;
        return extension_rows[i].read(value, out);
    }
    out->has_unknown_critical |= is_critical;
    return true;
}

/* Behind subjectPublicKeyInfo: issuerUniqueID [1], subjectUniqueID [2], extensions [3]. */
static bool read_rest(struct span tbs, struct certificate *out)
{
    struct span content, list;
    unsigned seen = 0;
    for (unsigned id = 1; id <= 2; id++) {
        if (der_peek(tbs) == DER_CONTEXT(id) && !der_skip(&tbs))
            return false;
    }
    if (tbs.size == 0)
        return true;
    if (!der_take_tag(&tbs, DER_CONTEXT_LIST(3), &content) || tbs.size > 0 || out->version != 3 ||
        !der_take_tag(&content, DER_SEQUENCE, &list) || content.size > 0 || list.size == 0)
        return false;
    while (list.size > 0) {
        struct span extension;
        if (!der_take_tag(&list, DER_SEQUENCE, &extension) || !read_extension(extension, &seen, out))
            return false;
    }
    return true;
}

/* ---- the certificate ------------------------------------------------------------------------------------------- */

static bool read_version(struct span *tbs, struct certificate *out)
{
    struct span content;
    uint32_t version = 0; /* v1, the default */
    if (der_peek(*tbs) == DER_CONTEXT_LIST(0) &&
        (!der_take_tag(tbs, DER_CONTEXT_LIST(0), &content) || !der_take_number(&content, &version) ||
         content.size > 0 || version < 1 || version > 2))
        return false;
    out->version = (uint8_t)(version + 1);
    return true;
}

static bool read_signed(struct span tbs, struct certificate *out)
{
    struct span serial, algorithm, validity, key;
    if (!read_version(&tbs, out) || !der_take_tag(&tbs, DER_INTEGER, &serial) ||
        !der_take_tag(&tbs, DER_SEQUENCE, &algorithm) || !der_take_tag(&tbs, DER_SEQUENCE, &out->issuer) ||
        !der_take_tag(&tbs, DER_SEQUENCE, &validity) || !der_take_tag(&tbs, DER_SEQUENCE, &out->subject) ||
        !der_take_whole(&tbs, DER_SEQUENCE, &out->key, &key))
        return false;
    /* "MUST contain the same algorithm identifier" (RFC 5280 s4.1.1.2). */
    return span_equal(algorithm, out->algorithm) && read_time(&validity, &out->not_before) &&
           read_time(&validity, &out->not_after) && validity.size == 0 && read_rest(tbs, out);
}

bool certificate_read(struct span der, struct certificate *out)
{
    struct span certificate, tbs;
    memset(out, 0, sizeof(*out));
    out->der = der;
    out->path_length_max = PATH_LENGTH_NONE;
    if (!der_take_tag(&der, DER_SEQUENCE, &certificate) || der.size > 0 ||
        !der_take_whole(&certificate, DER_SEQUENCE, &out->to_be_signed, &tbs) ||
        !der_take_tag(&certificate, DER_SEQUENCE, &out->algorithm) ||
        !der_take_tag(&certificate, DER_BIT_STRING, &out->signature) || certificate.size > 0)
        return false;
    /* A signature is whole octets: none of the last one's bits is unused. */
    if (out->signature.size < 2 || out->signature.ptr[0] != 0)
        return false;
    out->signature = span_skip(out->signature, 1);
    return read_signed(tbs, out);
}

bool certificate_identity(struct span der, uint8_t out[CERTIFICATE_IDENTITY_SIZE])
{
    struct certificate certificate;
    uint8_t digests[2 * CERTIFICATE_IDENTITY_SIZE];
    if (!certificate_read(der, &certificate))
        return false;
    digest_hash(DIGEST_SHA256, certificate.issuer, digests);
    digest_hash(DIGEST_SHA256, certificate.names, digests + CERTIFICATE_IDENTITY_SIZE);
    digest_hash(DIGEST_SHA256, span_of(digests, sizeof(digests)), out);
    return true;
}

size_t certificate_hash(struct span der, uint8_t out[CERTIFICATE_HASH_MAX])
{
    struct certificate certificate;
    if (!certificate_read(der, &certificate))
        return 0;
    enum wc_HashType hash = (enum wc_HashType)signature_hash(certificate.algorithm);
    /* MD5 and SHA-1 are answered with SHA-256. */
    if (hash == WC_HASH_TYPE_MD5 || hash == WC_HASH_TYPE_SHA)
        hash = WC_HASH_TYPE_SHA256;
    int size = hash == WC_HASH_TYPE_NONE ? 0 : wc_HashGetDigestSize(hash);
    if (size <= 0 || wc_Hash(hash, (const byte *)der.ptr, (word32)der.size, out, (word32)size) != 0)
        return 0;
    return (size_t)size;
}
