/* SPDX-License-Identifier: MIT */
#include "tls/certificate_priv.h"
#include "tls/digest.h"

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/hash.h>

#include <strings.h>

enum {
    DER_OCTET_STRING = 0x04,
    DER_OID = 0x06,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_SEQUENCE = 0x30,
    DER_VERSION = 0xa0,    /* [0] in TBSCertificate */
    DER_EXTENSIONS = 0xa3, /* [3] in TBSCertificate */
    DER_BOOLEAN = 0x01,
    DER_DNS_NAME = 0x82, /* [2] in GeneralName */
};

static unsigned byte_at(struct span s, size_t i)
{
    return (unsigned char)s.ptr[i];
}

/* Takes one element (tag, content) off the front (X.690 s8.1, definite lengths of up to three octets). */
static bool take(struct span *s, unsigned *tag, struct span *content)
{
    if (s->size < 2)
        return false;
    *tag = byte_at(*s, 0);
    size_t size = byte_at(*s, 1);
    size_t head = 2;
    if (size >= 0x80) {
        size_t count = size & 0x7f;
        if (count < 1 || count > 3 || s->size < 2 + count)
            return false;
        size = 0;
        for (size_t i = 0; i < count; i++)
            size = size << 8 | byte_at(*s, 2 + i);
        head += count;
    }
    if (s->size - head < size)
        return false;
    *content = span_of(s->ptr + head, size);
    *s = span_skip(*s, head + size);
    return true;
}

static bool take_tag(struct span *s, unsigned tag, struct span *content)
{
    unsigned found;
    return take(s, &found, content) && found == tag;
}

struct certificate_parts {
    struct span issuer;     /* content of Name */
    struct span validity;   /* content of Validity */
    struct span extensions; /* content of the SEQUENCE OF Extension; empty: none */
    struct span algorithm;  /* content of the outer signatureAlgorithm */
};

static bool read_parts(struct span der, struct certificate_parts *out)
{
    struct span certificate;
    struct span tbs;
    struct span skipped;
    unsigned tag;
    memset(out, 0, sizeof(*out));
    if (!take_tag(&der, DER_SEQUENCE, &certificate) || !take_tag(&certificate, DER_SEQUENCE, &tbs) ||
        !take_tag(&certificate, DER_SEQUENCE, &out->algorithm))
        return false;
    if (tbs.size > 0 && byte_at(tbs, 0) == DER_VERSION && !take(&tbs, &tag, &skipped))
        return false;
    /* serialNumber, signature, issuer; validity; subject, subjectPublicKeyInfo */
    if (!take(&tbs, &tag, &skipped) || !take(&tbs, &tag, &skipped) || !take(&tbs, &tag, &out->issuer) ||
        !take_tag(&tbs, DER_SEQUENCE, &out->validity) || !take(&tbs, &tag, &skipped) || !take(&tbs, &tag, &skipped))
        return false;
    while (tbs.size > 0) {
        struct span content;
        if (!take(&tbs, &tag, &content))
            return false;
        if (tag == DER_EXTENSIONS)
            return take_tag(&content, DER_SEQUENCE, &out->extensions);
    }
    return true;
}

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
    if (!take(validity, &tag, &s) || (tag != DER_UTC_TIME && tag != DER_GENERALIZED_TIME))
        return false;
    if (!digits(&s, tag == DER_UTC_TIME ? 2 : 4, &year) || !digits(&s, 2, &month) || !digits(&s, 2, &day) ||
        !digits(&s, 2, &hour) || !digits(&s, 2, &minute) || !digits(&s, 2, &second) || !span_is(s, "Z"))
        return false;
    if (tag == DER_UTC_TIME)
        year += year >= 50 ? 1900 : 2000;
    *out = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    return true;
}

bool certificate_times(struct span der, int64_t *not_before, int64_t *not_after)
{
    struct certificate_parts parts;
    return read_parts(der, &parts) && read_time(&parts.validity, not_before) && read_time(&parts.validity, not_after);
}

/* ---- names --------------------------------------------------------------------------------------------------- */

static bool is_same_name(struct span a, struct span b)
{
    return a.size == b.size && strncasecmp(a.ptr, b.ptr, a.size) == 0;
}

static bool is_match(struct span pattern, struct span domain)
{
    if (domain.size == 0)
        return false;
    if (pattern.size < 3 || memcmp(pattern.ptr, "*.", 2) != 0)
        return is_same_name(pattern, domain);
    const char *dot = memchr(domain.ptr, '.', domain.size);
    return dot != NULL && dot != domain.ptr &&
           is_same_name(span_skip(pattern, 1), span_skip(domain, (size_t)(dot - domain.ptr)));
}

/* The content of GeneralNames in subjectAltName; empty when there is none. False when the extensions make no sense. */
static bool find_names(struct certificate_parts *parts, struct span *names)
{
    static const struct span subject_alt_name = {"\x55\x1d\x11", 3}; /* id-ce 17 (RFC 5280 s4.2.1.6) */
    *names = SPAN("");
    while (parts->extensions.size > 0) {
        unsigned tag;
        struct span extension, oid, value;
        if (!take_tag(&parts->extensions, DER_SEQUENCE, &extension) || !take_tag(&extension, DER_OID, &oid))
            return false;
        if (!span_equal(oid, subject_alt_name))
            continue;
        if (extension.size > 0 && byte_at(extension, 0) == DER_BOOLEAN && !take(&extension, &tag, &value))
            return false;
        return take_tag(&extension, DER_OCTET_STRING, &value) && take_tag(&value, DER_SEQUENCE, names);
    }
    return true;
}

bool certificate_is_for(struct span der, struct span domain)
{
    struct certificate_parts parts;
    struct span names, name;
    unsigned tag;
    if (!read_parts(der, &parts) || !find_names(&parts, &names))
        return false;
    while (names.size > 0) {
        if (!take(&names, &tag, &name))
            return false;
        if (tag == DER_DNS_NAME && is_match(name, domain))
            return true;
    }
    return false;
}

bool certificate_identity(struct span der, uint8_t out[CERTIFICATE_IDENTITY_SIZE])
{
    struct certificate_parts parts;
    struct span names;
    uint8_t digests[2 * CERTIFICATE_IDENTITY_SIZE];
    if (!read_parts(der, &parts) || !find_names(&parts, &names))
        return false;
    digest_hash(DIGEST_SHA256, parts.issuer, digests);
    digest_hash(DIGEST_SHA256, names, digests + CERTIFICATE_IDENTITY_SIZE);
    digest_hash(DIGEST_SHA256, span_of(digests, sizeof(digests)), out);
    return true;
}

/* ---- the hash of tls-server-end-point -------------------------------------------------------------------------- */

struct hash_row {
    struct span oid;
    enum wc_HashType hash;
};

#define ROW(oid, hash)                                                                                                 \
    {                                                                                                                  \
        {oid, sizeof(oid) - 1}, hash                                                                                   \
    }

/* Signature algorithms with one hash function: PKCS #1 (RFC 8017 A.2.4), ECDSA (RFC 5758 s3.2, RFC 3279 s2.2.3).
 * MD5 and SHA-1 are answered with SHA-256. Ed25519 and Ed448 are left out: RFC 5929 s4.1 defines nothing for them. */
static const struct hash_row signature_rows[] = {
    ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", WC_HASH_TYPE_SHA256), /* md5WithRSAEncryption */
    ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", WC_HASH_TYPE_SHA256), /* sha1WithRSAEncryption */
    ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", WC_HASH_TYPE_SHA256), /* sha256WithRSAEncryption */
    ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", WC_HASH_TYPE_SHA384), /* sha384WithRSAEncryption */
    ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", WC_HASH_TYPE_SHA512), /* sha512WithRSAEncryption */
    ROW("\x2a\x86\x48\xce\x3d\x04\x01", WC_HASH_TYPE_SHA256),         /* ecdsa-with-SHA1 */
    ROW("\x2a\x86\x48\xce\x3d\x04\x03\x02", WC_HASH_TYPE_SHA256),     /* ecdsa-with-SHA256 */
    ROW("\x2a\x86\x48\xce\x3d\x04\x03\x03", WC_HASH_TYPE_SHA384),     /* ecdsa-with-SHA384 */
    ROW("\x2a\x86\x48\xce\x3d\x04\x03\x04", WC_HASH_TYPE_SHA512),     /* ecdsa-with-SHA512 */
};

/* Hash functions by their own names (RFC 4055 s2.1), for RSASSA-PSS. */
static const struct hash_row hash_rows[] = {
    ROW("\x2b\x0e\x03\x02\x1a", WC_HASH_TYPE_SHA256),                 /* id-sha1 */
    ROW("\x60\x86\x48\x01\x65\x03\x04\x02\x01", WC_HASH_TYPE_SHA256), /* id-sha256 */
    ROW("\x60\x86\x48\x01\x65\x03\x04\x02\x02", WC_HASH_TYPE_SHA384), /* id-sha384 */
    ROW("\x60\x86\x48\x01\x65\x03\x04\x02\x03", WC_HASH_TYPE_SHA512), /* id-sha512 */
};

static enum wc_HashType find_hash(const struct hash_row *rows, size_t count, struct span oid)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal(rows[i].oid, oid))
            return rows[i].hash;
    }
    return WC_HASH_TYPE_NONE;
}

/* RSASSA-PSS-params: [0] holds the hash's AlgorithmIdentifier; left out, it is SHA-1 (RFC 4055 s3.1). */
static enum wc_HashType pss_hash(struct span algorithm)
{
    struct span parameters, hash, oid;
    if (!take_tag(&algorithm, DER_SEQUENCE, &parameters))
        return WC_HASH_TYPE_NONE;
    if (parameters.size == 0 || byte_at(parameters, 0) != 0xa0)
        return WC_HASH_TYPE_SHA256;
    if (!take_tag(&parameters, 0xa0, &hash) || !take_tag(&hash, DER_SEQUENCE, &algorithm) ||
        !take_tag(&algorithm, DER_OID, &oid))
        return WC_HASH_TYPE_NONE;
    return find_hash(hash_rows, sizeof(hash_rows) / sizeof(hash_rows[0]), oid);
}

size_t certificate_hash(struct span der, uint8_t out[CERTIFICATE_HASH_MAX])
{
    static const struct span rsassa_pss = {"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", 9};
    struct certificate_parts parts;
    struct span oid;
    if (!read_parts(der, &parts) || !take_tag(&parts.algorithm, DER_OID, &oid))
        return 0;
    enum wc_HashType hash = span_equal(oid, rsassa_pss)
                                ? pss_hash(parts.algorithm)
                                : find_hash(signature_rows, sizeof(signature_rows) / sizeof(signature_rows[0]), oid);
    if (hash == WC_HASH_TYPE_NONE)
        return 0;
    int size = wc_HashGetDigestSize(hash);
    if (size <= 0 || wc_Hash(hash, (const byte *)der.ptr, (word32)der.size, out, (word32)size) != 0)
        return 0;
    return (size_t)size;
}
