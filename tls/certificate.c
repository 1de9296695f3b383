/* SPDX-License-Identifier: MIT */
#include "tls/certificate_priv.h"
#include "tls/der_priv.h"
#include "tls/digest.h"
#include "tls/signature_priv.h"

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/hash.h>

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
        {{"\x2b\x06\x01\x05\x05\x07\x03\x09", 8}, PURPOSE_OCSP},   /* id-kp-OCSPSigning */
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

static bool read_crl_points(struct span value, struct certificate *out)
{
    return der_take_tag(&value, DER_SEQUENCE, &out->crl_points) && value.size == 0;
}

static bool read_information(struct span value, struct certificate *out)
{
    return der_take_tag(&value, DER_SEQUENCE, &out->information) && value.size == 0;
}

/* RFC 7633 s4.1: a list of TLS extensions; 5 is status_request. */
static bool read_tls_features(struct span value, struct certificate *out)
{
    struct span list;
    uint32_t feature;
    if (!der_take_tag(&value, DER_SEQUENCE, &list) || value.size > 0)
        return false;
    while (list.size > 0) {
        if (!der_take_number(&list, &feature))
            return false;
        out->must_staple |= feature == 5;
    }
    return true;
}

/* Those that are understood: of id-ce (2.5.29) and of id-pe (1.3.6.1.5.5.7.1). */
static const struct {
    struct span oid;
    bool (*read)(struct span value, struct certificate *out);
} extension_rows[] = {
    {{"\x55\x1d\x13", 3}, read_basic_constraints},
    {{"\x55\x1d\x0f", 3}, read_key_usage},
    {{"\x55\x1d\x25", 3}, read_purposes},
    {{"\x55\x1d\x11", 3}, read_names},
    {{"\x55\x1d\x1e", 3}, read_name_constraints},
    {{"\x55\x1d\x20", 3}, read_policies},
    {{"\x55\x1d\x1f", 3}, read_crl_points},
    {{"\x2b\x06\x01\x05\x05\x07\x01\x01", 8}, read_information},
    {{"\x2b\x06\x01\x05\x05\x07\x01\x18", 8}, read_tls_features},
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
        if (!span_equal(oid, extension_rows[i].oid))
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
    struct span algorithm, validity, key;
    if (!read_version(&tbs, out) || !der_take_tag(&tbs, DER_INTEGER, &out->serial) ||
        !der_take_tag(&tbs, DER_SEQUENCE, &algorithm) || !der_take_tag(&tbs, DER_SEQUENCE, &out->issuer) ||
        !der_take_tag(&tbs, DER_SEQUENCE, &validity) ||
        !der_take_whole(&tbs, DER_SEQUENCE, &out->subject_whole, &out->subject) ||
        !der_take_whole(&tbs, DER_SEQUENCE, &out->key, &key))
        return false;
    /* "MUST contain the same algorithm identifier" (RFC 5280 s4.1.1.2). */
    return span_equal(algorithm, out->algorithm) && der_take_time(&validity, &out->not_before) &&
           der_take_time(&validity, &out->not_after) && validity.size == 0 && read_rest(tbs, out);
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

struct span certificate_next_pem(struct span *pem)
{
    static const char head[] = "-----BEGIN CERTIFICATE-----", foot[] = "-----END CERTIFICATE-----";
    const char *begin = pem->size ? memmem(pem->ptr, pem->size, head, sizeof(head) - 1) : NULL;
    if (begin == NULL)
        return SPAN_NONE;
    struct span rest = span_skip(*pem, (size_t)(begin - pem->ptr));
    const char *end = memmem(rest.ptr, rest.size, foot, sizeof(foot) - 1);
    if (end == NULL)
        return SPAN_NONE;
    size_t size = (size_t)(end - rest.ptr) + sizeof(foot) - 1;
    *pem = span_skip(rest, size);
    return span_of(rest.ptr, size);
}

/* RFC 5280 appendix A.1: id-at-commonName and id-at-organizationName. */
static const struct span common_name = {"\x55\x04\x03", 3}, organisation = {"\x55\x04\x0a", 3};

/* The first attribute of that type in a Name's content; SPAN_NONE: there is none. */
static struct span name_attribute(struct span name, struct span wanted)
{
    struct span set, attribute, type, value;
    unsigned tag;
    while (der_take_tag(&name, DER_SET, &set)) {
        bool is_read = der_take_tag(&set, DER_SEQUENCE, &attribute) && der_take_tag(&attribute, DER_OID, &type) &&
                       der_take(&attribute, &tag, &value);
        if (is_read && span_equal(type, wanted))
            return value;
    }
    return SPAN_NONE;
}

struct span certificate_name_text(struct span name)
{
    struct span text = name_attribute(name, common_name);
    return text.size ? text : name_attribute(name, organisation);
}

bool certificate_identity(struct span der, uint8_t out[CERTIFICATE_IDENTITY_SIZE])
{
    struct certificate certificate;
    uint8_t digests[2 * CERTIFICATE_IDENTITY_SIZE];
    if (!certificate_read(der, &certificate))
        return false;
    struct span authority = name_attribute(certificate.issuer, organisation);
    digest_hash(DIGEST_SHA256, authority.size ? authority : certificate.issuer, digests);
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
