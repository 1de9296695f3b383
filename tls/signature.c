/* SPDX-License-Identifier: MIT */
#include "tls/signature_priv.h"

#include "tls/der_priv.h"

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/signature.h>

#define RSA_BITS_MIN 2048u
/* The library's own bound; above it a signature costs more than it protects. */
#define RSA_BITS_MAX  4096u
#define RSA_BYTES_MAX (RSA_BITS_MAX / 8)

enum key_kind { KEY_FOREIGN, KEY_RSA, KEY_RSA_PSS, KEY_EC, KEY_ED25519 };

struct method_row {
    struct span oid;
    enum key_kind kind;
    enum wc_HashType hash;
};

#define ROW(oid, kind, hash)                                                                                           \
    {                                                                                                                  \
        {oid, sizeof(oid) - 1}, kind, hash                                                                             \
    }

/* Signature algorithms: PKCS #1 (RFC 8017 A.2.4), ECDSA (RFC 5758 s3.2, RFC 3279 s2.2.3), Ed25519 (RFC 8410 s3). */
static const struct method_row signature_rows[] = {
    ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", KEY_RSA, WC_HASH_TYPE_MD5),    /* md5WithRSAEncryption */
    ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", KEY_RSA, WC_HASH_TYPE_SHA),    /* sha1WithRSAEncryption */
    ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", KEY_RSA, WC_HASH_TYPE_SHA256), /* sha256WithRSAEncryption */
    ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", KEY_RSA, WC_HASH_TYPE_SHA384), /* sha384WithRSAEncryption */
    ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", KEY_RSA, WC_HASH_TYPE_SHA512), /* sha512WithRSAEncryption */
    ROW("\x2a\x86\x48\xce\x3d\x04\x01", KEY_EC, WC_HASH_TYPE_SHA),             /* ecdsa-with-SHA1 */
    ROW("\x2a\x86\x48\xce\x3d\x04\x03\x02", KEY_EC, WC_HASH_TYPE_SHA256),      /* ecdsa-with-SHA256 */
    ROW("\x2a\x86\x48\xce\x3d\x04\x03\x03", KEY_EC, WC_HASH_TYPE_SHA384),      /* ecdsa-with-SHA384 */
    ROW("\x2a\x86\x48\xce\x3d\x04\x03\x04", KEY_EC, WC_HASH_TYPE_SHA512),      /* ecdsa-with-SHA512 */
    ROW("\x2b\x65\x70", KEY_ED25519, WC_HASH_TYPE_NONE),                       /* id-Ed25519 */
};

/* Hash functions by their own names (RFC 4055 s2.1), for RSASSA-PSS. */
static const struct method_row hash_rows[] = {
    ROW("\x2b\x0e\x03\x02\x1a", KEY_RSA_PSS, WC_HASH_TYPE_SHA),                    /* id-sha1 */
    ROW("\x60\x86\x48\x01\x65\x03\x04\x02\x01", KEY_RSA_PSS, WC_HASH_TYPE_SHA256), /* id-sha256 */
    ROW("\x60\x86\x48\x01\x65\x03\x04\x02\x02", KEY_RSA_PSS, WC_HASH_TYPE_SHA384), /* id-sha384 */
    ROW("\x60\x86\x48\x01\x65\x03\x04\x02\x03", KEY_RSA_PSS, WC_HASH_TYPE_SHA512), /* id-sha512 */
};

static const struct method_row foreign_row = {{NULL, 0}, KEY_FOREIGN, WC_HASH_TYPE_NONE};

static struct method_row find_row(const struct method_row *rows, size_t count, struct span oid)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal(rows[i].oid, oid))
            return rows[i];
    }
    return foreign_row;
}

/* The hash in an AlgorithmIdentifier that is wrapped in a context tag: [0] of the parameters, or MGF1's parameter. */
static struct method_row hash_of(struct span algorithm)
{
    struct span oid;
    if (!der_take_tag(&algorithm, DER_OID, &oid))
        return foreign_row;
    return find_row(hash_rows, sizeof(hash_rows) / sizeof(hash_rows[0]), oid);
}

/* RSASSA-PSS-params: [0] holds the hash's AlgorithmIdentifier; left out, it is SHA-1 (RFC 4055 s3.1). */
static struct method_row pss_hash(struct span *parameters)
{
    struct span wrapped, hash;
    const struct method_row sha1 = {{NULL, 0}, KEY_RSA_PSS, WC_HASH_TYPE_SHA};
    if (der_peek(*parameters) != DER_CONTEXT_LIST(0))
        return sha1;
    if (!der_take_tag(parameters, DER_CONTEXT_LIST(0), &wrapped) || !der_take_tag(&wrapped, DER_SEQUENCE, &hash))
        return foreign_row;
    return hash_of(hash);
}

/* [1] MGF1 with the same hash, [2] a salt of its size; [3], the trailer, has one value only and so is left out. */
static bool is_usual_pss(struct span parameters, enum wc_HashType hash)
{
    static const struct span mgf1 = {"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08", 9};
    struct span wrapped, algorithm, oid, inner;
    uint32_t salt;
    return der_take_tag(&parameters, DER_CONTEXT_LIST(1), &wrapped) &&
           der_take_tag(&wrapped, DER_SEQUENCE, &algorithm) && der_take_tag(&algorithm, DER_OID, &oid) &&
           span_equal(oid, mgf1) && der_take_tag(&algorithm, DER_SEQUENCE, &inner) && hash_of(inner).hash == hash &&
           der_take_tag(&parameters, DER_CONTEXT_LIST(2), &wrapped) && der_take_number(&wrapped, &salt) &&
           (int)salt == wc_HashGetDigestSize(hash) && parameters.size == 0;
}

/* is_usual tells whether the parameters are those that we verify. */
static struct method_row method_of(struct span algorithm, bool *is_usual)
{
    static const struct span rsassa_pss = {"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", 9};
    struct span oid, parameters;
    *is_usual = true;
    if (!der_take_tag(&algorithm, DER_OID, &oid))
        return foreign_row;
    if (!span_equal(oid, rsassa_pss))
        return find_row(signature_rows, sizeof(signature_rows) / sizeof(signature_rows[0]), oid);
    if (!der_take_tag(&algorithm, DER_SEQUENCE, &parameters))
        return foreign_row;
    struct method_row method = pss_hash(&parameters);
    *is_usual = is_usual_pss(parameters, method.hash);
    return method;
}

int signature_hash(struct span algorithm)
{
    bool is_usual;
    return (int)method_of(algorithm, &is_usual).hash;
}

/* ---- keys ------------------------------------------------------------------------------------------------------ */

static bool is_rsa_size_accepted(struct span bits)
{
    struct span key, modulus;
    if (!der_take_tag(&bits, DER_SEQUENCE, &key) || !der_take_tag(&key, DER_INTEGER, &modulus) || modulus.size < 2)
        return false;
    if (modulus.ptr[0] == 0)
        modulus = span_skip(modulus, 1);
    size_t count = modulus.size * 8;
    for (unsigned top = (unsigned char)modulus.ptr[0]; top != 0 && top < 0x80; top <<= 1)
        count--;
    return count >= RSA_BITS_MIN && count <= RSA_BITS_MAX;
}

static bool is_curve_accepted(struct span curve)
{
    return span_equal(curve, SPAN("\x2a\x86\x48\xce\x3d\x03\x01\x07")) || /* secp256r1 */
           span_equal(curve, SPAN("\x2b\x81\x04\x00\x22")) ||             /* secp384r1 */
           span_equal(curve, SPAN("\x2b\x81\x04\x00\x23"));               /* secp521r1 */
}

/* KEY_FOREIGN when it is not accepted. */
static enum key_kind kind_of(struct span key)
{
    struct span content, algorithm, oid, curve, bits;
    if (!der_take_tag(&key, DER_SEQUENCE, &content) || !der_take_tag(&content, DER_SEQUENCE, &algorithm) ||
        !der_take_tag(&algorithm, DER_OID, &oid) || !der_take_tag(&content, DER_BIT_STRING, &bits) || bits.size < 2 ||
        bits.ptr[0] != 0)
        return KEY_FOREIGN;
    bits = span_skip(bits, 1);
    if (span_equal(oid, SPAN("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")))
        return is_rsa_size_accepted(bits) ? KEY_RSA : KEY_FOREIGN;
    if (span_equal(oid, SPAN("\x2a\x86\x48\xce\x3d\x02\x01")))
        return der_take_tag(&algorithm, DER_OID, &curve) && is_curve_accepted(curve) ? KEY_EC : KEY_FOREIGN;
    return span_equal(oid, SPAN("\x2b\x65\x70")) ? KEY_ED25519 : KEY_FOREIGN;
}

bool signature_is_key_accepted(struct span key)
{
    return kind_of(key) != KEY_FOREIGN;
}

/* ---- verifying --------------------------------------------------------------------------------------------------- */

static const byte *bytes_of(struct span s)
{
    return (const byte *)s.ptr;
}

static int mask_of(enum wc_HashType hash)
{
    if (hash == WC_HASH_TYPE_SHA256)
        return WC_MGF1SHA256;
    return hash == WC_HASH_TYPE_SHA384 ? WC_MGF1SHA384 : WC_MGF1SHA512;
}

static bool verify_rsa(const struct signature *signature, struct span key_bytes, struct method_row method)
{
    RsaKey key;
    word32 index = 0;
    byte digest[WC_MAX_DIGEST_SIZE];
    byte out[RSA_BYTES_MAX];
    word32 size = (word32)wc_HashGetDigestSize(method.hash);
    struct span text = signature->text;
    struct span bits = signature->bits;
    if (wc_InitRsaKey(&key, NULL) != 0)
        return false;
    bool is_good = wc_RsaPublicKeyDecode(bytes_of(key_bytes), &index, &key, (word32)key_bytes.size) == 0;
    if (is_good && method.kind == KEY_RSA)
        is_good = wc_SignatureVerify(method.hash, WC_SIGNATURE_TYPE_RSA_W_ENC, bytes_of(text), (word32)text.size,
                                     bytes_of(bits), (word32)bits.size, &key, sizeof(key)) == 0;
    else if (is_good)
        is_good = wc_Hash(method.hash, bytes_of(text), (word32)text.size, digest, size) == 0 &&
                  wc_RsaPSS_VerifyCheck(bytes_of(bits), (word32)bits.size, out, sizeof(out), digest, size, method.hash,
                                        mask_of(method.hash), &key) > 0;
    wc_FreeRsaKey(&key);
    return is_good;
}

static bool verify_ec(const struct signature *signature, struct span key_bytes, struct method_row method)
{
    ecc_key key;
    word32 index = 0;
    int is_verified = 0;
    byte digest[WC_MAX_DIGEST_SIZE];
    word32 size = (word32)wc_HashGetDigestSize(method.hash);
    struct span text = signature->text;
    struct span bits = signature->bits;
    if (wc_ecc_init(&key) != 0)
        return false;
    bool is_good = wc_EccPublicKeyDecode(bytes_of(key_bytes), &index, &key, (word32)key_bytes.size) == 0 &&
                   wc_Hash(method.hash, bytes_of(text), (word32)text.size, digest, size) == 0 &&
                   wc_ecc_verify_hash(bytes_of(bits), (word32)bits.size, digest, size, &is_verified, &key) == 0 &&
                   is_verified == 1;
    wc_ecc_free(&key);
    return is_good;
}

static bool verify_ed25519(const struct signature *signature, struct span key_bytes)
{
    ed25519_key key;
    word32 index = 0;
    int is_verified = 0;
    struct span text = signature->text;
    struct span bits = signature->bits;
    if (wc_ed25519_init(&key) != 0)
        return false;
    bool is_good = wc_Ed25519PublicKeyDecode(bytes_of(key_bytes), &index, &key, (word32)key_bytes.size) == 0 &&
                   wc_ed25519_verify_msg(bytes_of(bits), (word32)bits.size, bytes_of(text), (word32)text.size,
                                         &is_verified, &key) == 0 &&
                   is_verified == 1;
    wc_ed25519_free(&key);
    return is_good;
}

enum signature_status signature_verify(const struct signature *signature, struct span key)
{
    bool is_usual;
    struct method_row method = method_of(signature->algorithm, &is_usual);
    enum key_kind kind = kind_of(key);
    bool is_good = false;
    if (method.kind == KEY_FOREIGN || !is_usual || kind == KEY_FOREIGN || method.hash == WC_HASH_TYPE_MD5 ||
        method.hash == WC_HASH_TYPE_SHA)
        return SIGNATURE_FOREIGN;
    /* A key verifies only what is of its own kind. */
    if (kind != (method.kind == KEY_RSA_PSS ? KEY_RSA : method.kind))
        return SIGNATURE_BAD;
    switch (method.kind) {
    case KEY_RSA:
    case KEY_RSA_PSS:
        is_good = verify_rsa(signature, key, method);
        break;
    case KEY_EC:
        is_good = verify_ec(signature, key, method);
        break;
    case KEY_ED25519:
        is_good = verify_ed25519(signature, key);
        break;
    case KEY_FOREIGN:
        break;
    }
    return is_good ? SIGNATURE_GOOD : SIGNATURE_BAD;
}
