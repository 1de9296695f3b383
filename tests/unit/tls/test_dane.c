/* SPDX-License-Identifier: MIT */
/*
 * What TLSA records make of the chains of tests/chains: the judge alone, with OpenSSL's own DANE as a second opinion,
 * and in handshakes with OpenSSL. The records are made by OpenSSL from the certificates.
 */
#include "joint.h"
#include "tls/dane_priv.h"
#include "tls/credential_priv.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <setjmp.h>

#include <cmocka.h>

#define DOMAIN "peer.example"
#define HOST   "host.example"

/*
 * records: "3 1 1 0, 2 0 1 unknown_root_sent:1": usage, selector, matching type, and whose: a certificate of the row's
 * own chain counted from the leaf, of another chain, or of roots.pem ("roots:0"); behind a "/" what is done to the
 * data: "cut" (the last byte is missing), "cert" (of the certificate, whatever the selector says), "key".
 */
struct row {
    const char *chain;
    const char *records;
    enum dane_verdict verdict;
    unsigned record;
    enum credential_verdict path; /* of INVALID */
    const char *openssl;          /* why it differs; NULL: it does not */
};

static const struct row rows[] = {
    /* DANE-EE: RFC 7671 s5.1 */
    {"good", "3 1 1 0", DANE_MATCHED, 0, 0, NULL},
    {"good", "3 0 1 0", DANE_MATCHED, 0, 0, NULL},
    {"good", "3 1 2 0", DANE_MATCHED, 0, 0, NULL},
    {"good", "3 0 2 0", DANE_MATCHED, 0, 0, NULL},
    {"good", "3 1 0 0", DANE_MATCHED, 0, 0, NULL},
    {"good", "3 0 0 0", DANE_MATCHED, 0, 0, NULL},
    {"self_signed", "3 1 1 0", DANE_MATCHED, 0, 0, NULL},
    {"unknown_root", "3 1 1 0", DANE_MATCHED, 0, 0, NULL},
    {"leaf_expired", "3 1 1 0", DANE_MATCHED, 0, 0, NULL},
    {"leaf_not_yet_valid", "3 0 1 0", DANE_MATCHED, 0, 0, NULL},
    {"intermediate_expired", "3 0 1 0", DANE_MATCHED, 0, 0, NULL},
    {"purpose_code", "3 1 1 0", DANE_MATCHED, 0, 0, NULL},
    {"leaf_is_authority", "3 1 1 0", DANE_MATCHED, 0, 0, NULL},
    {"extension_unknown_critical", "3 1 1 0", DANE_MATCHED, 0, 0, NULL},
    {"cn_only", "3 1 1 0", DANE_MATCHED, 0, 0, NULL},
    {"host_srv", "3 1 1 0", DANE_MATCHED, 0, 0, NULL},
    {"leaf_changed", "3 1 1 0", DANE_MATCHED, 0, 0, NULL}, /* nobody's signature, but the key is the record's */
    {"leaf_changed", "3 0 1 good:0", DANE_MISMATCH, 0, 0, NULL},
    {"weak_rsa_1024", "3 1 1 0", DANE_INVALID, 0, CREDENTIAL_ALGORITHM, "has no opinion at security level 0"},
    {"good", "3 1 1 1", DANE_MISMATCH, 0, 0, NULL}, /* the record of the authority */
    {"good", "3 1 1 direct:0", DANE_MISMATCH, 0, 0, NULL},
    {"good", "3 0 1 0/key", DANE_MISMATCH, 0, 0, NULL}, /* wrong selector */
    {"good", "3 1 1 0/cert", DANE_MISMATCH, 0, 0, NULL},
    {"good", "3 1 1 direct:0, 3 1 1 0", DANE_MATCHED, 1, 0, NULL},
    {"good", "3 1 1 direct:0, 3 0 1 1", DANE_MISMATCH, 0, 0, NULL},
    /* unusable: RFC 6698 s4.1 */
    {"good", "4 1 1 0", DANE_UNUSABLE, 0, 0, NULL},
    {"good", "255 1 1 0", DANE_UNUSABLE, 0, 0, NULL},
    {"good", "3 2 1 0", DANE_UNUSABLE, 0, 0, NULL},
    {"good", "3 1 3 0", DANE_UNUSABLE, 0, 0, NULL},
    {"good", "3 1 1 0/cut", DANE_UNUSABLE, 0, 0, NULL},
    {"good", "3 1 2 0/cut", DANE_UNUSABLE, 0, 0, NULL},
    {"good", "3 0 0 0/cut", DANE_UNUSABLE, 0, 0, NULL},
    {"good", "3 1 0 0/cert", DANE_UNUSABLE, 0, 0, NULL}, /* no key */
    {"good", "3 0 0 0/key", DANE_UNUSABLE, 0, 0, NULL},  /* no certificate */
    {"good", "3 1 0 0/cut", DANE_UNUSABLE, 0, 0, NULL},
    {"self_signed", "4 1 1 0, 3 2 1 0, 3 1 9 0", DANE_UNUSABLE, 0, 0, NULL},
    {"self_signed", "4 1 1 0, 3 1 1 0", DANE_MATCHED, 1, 0, NULL},
    {"good", "4 1 1 0, 3 1 1 direct:0", DANE_MISMATCH, 0, 0, NULL},
    {"good", "", DANE_UNUSABLE, 0, 0, NULL},
    /* the strongest hash: RFC 7671 s9 */
    {"good", "3 1 1 0, 3 1 2 direct:0", DANE_MISMATCH, 0, 0, NULL},
    {"good", "3 1 1 direct:0, 3 1 2 0", DANE_MATCHED, 1, 0, NULL},
    {"good", "3 1 0 0, 3 1 2 direct:0", DANE_MATCHED, 0, 0, NULL},
    {"good", "3 0 1 0, 3 1 2 direct:0", DANE_MATCHED, 0, 0, NULL},
    {"good", "3 1 1 0, 3 1 2 direct:0/cut", DANE_MATCHED, 0, 0, NULL},
    {"good", "1 1 1 0, 3 1 2 direct:0", DANE_MATCHED, 0, 0, NULL},
    /* DANE-TA: RFC 7671 s5.2 */
    {"unknown_root_sent", "2 0 1 1", DANE_MATCHED, 0, 0, NULL},
    {"unknown_root_sent", "2 1 1 1", DANE_MATCHED, 0, 0, NULL},
    {"unknown_root_sent", "2 1 2 1", DANE_MATCHED, 0, 0, NULL},
    {"unknown_root_sent", "2 0 0 1", DANE_MATCHED, 0, 0, NULL},
    {"unknown_root_sent", "2 1 0 1", DANE_MATCHED, 0, 0, NULL},
    {"unknown_chain_sent", "2 0 1 2", DANE_MATCHED, 0, 0, NULL},
    {"unknown_chain_sent", "2 0 1 1", DANE_MATCHED, 0, 0, NULL},
    {"unknown_chain_sent", "2 1 1 1", DANE_MATCHED, 0, 0, NULL},
    {"unknown_root", "2 0 0 unknown_root_sent:1", DANE_MATCHED, 0, 0, NULL},
    {"unknown_root", "2 1 0 unknown_root_sent:1", DANE_MATCHED, 0, 0, NULL},
    {"unknown_chain_cut", "2 0 0 unknown_chain_sent:2", DANE_MATCHED, 0, 0, NULL},
    {"unknown_chain_cut", "2 1 0 unknown_chain_sent:2", DANE_MATCHED, 0, 0, NULL},
    {"unknown_chain_cut", "2 0 1 1", DANE_MATCHED, 0, 0, NULL},
    {"unknown_root", "2 0 1 unknown_root_sent:1", DANE_MISMATCH, 0, 0, NULL}, /* it has to be sent */
    {"unknown_root", "2 1 1 unknown_root_sent:1", DANE_MISMATCH, 0, 0, NULL},
    {"unknown_root", "2 0 0 good:1", DANE_MISMATCH, 0, 0, NULL},
    {"unknown_root", "2 1 0 good:1", DANE_MISMATCH, 0, 0, NULL},
    {"good", "2 0 1 1", DANE_MATCHED, 0, 0, NULL},
    {"good", "2 0 1 roots:0", DANE_MISMATCH, 0, 0, NULL},
    {"good", "2 0 1 0", DANE_MISMATCH, 0, 0, NULL}, /* the leaf is no authority */
    {"self_signed", "2 0 1 0", DANE_MISMATCH, 0, 0, NULL},
    {"self_signed", "2 0 0 0", DANE_MISMATCH, 0, 0, NULL},
    {"leaf_expired", "2 0 1 1", DANE_INVALID, 0, CREDENTIAL_EXPIRED, NULL},
    {"leaf_not_yet_valid", "2 0 1 1", DANE_INVALID, 0, CREDENTIAL_NOT_YET_VALID, NULL},
    {"intermediate_expired", "2 0 1 1", DANE_INVALID, 0, CREDENTIAL_EXPIRED, "does not look at its dates"},
    {"purpose_code", "2 0 1 1", DANE_INVALID, 0, CREDENTIAL_USAGE, NULL},
    {"path_length_0_broken", "2 0 1 2", DANE_INVALID, 0, CREDENTIAL_PATH_LENGTH, NULL},
    {"path_length_0_broken", "2 0 1 1", DANE_MATCHED, 0, 0, NULL},
    {"intermediate_no_ca_flag", "2 0 1 1", DANE_INVALID, 0, CREDENTIAL_NOT_AN_AUTHORITY, NULL},
    {"impostor_intermediate", "2 0 1 1", DANE_INVALID, 0, CREDENTIAL_BAD_SIGNATURE, NULL},
    {"leaf_changed", "2 0 1 1", DANE_INVALID, 0, CREDENTIAL_BAD_SIGNATURE, NULL},
    {"beside_the_point", "2 0 1 1", DANE_INVALID, 0, CREDENTIAL_UNKNOWN_ISSUER,
     NULL}, /* a stranger's that was sent too */
    {"constraint_not_permitted", "2 0 1 1", DANE_INVALID, 0, CREDENTIAL_NAME_CONSTRAINTS, NULL},
    {"cn_only", "2 0 1 1", DANE_WRONG_NAME, 0, 0, NULL},
    {"cn_and_other_dns", "2 0 1 1", DANE_WRONG_NAME, 0, 0, NULL},
    {"host_dns", "2 0 1 1", DANE_MATCHED, 0, 0, NULL}, /* RFC 7673 s4: the SRV record's host will do */
    {"host_srv", "2 0 1 1", DANE_WRONG_NAME, 0, 0, NULL},
    {"srv_server", "2 0 1 1", DANE_MATCHED, 0, 0, "does not know SRV-ID"},
    {"xmpp_addr", "2 0 1 1", DANE_MATCHED, 0, 0, "does not know XmppAddr"},
    {"srv_client", "2 0 1 1", DANE_WRONG_NAME, 0, 0, NULL},
    {"cn_and_other_dns", "2 0 1 1, 3 1 1 0", DANE_MATCHED, 1, 0, NULL},
    /* PKIX-EE: RFC 7671 s5.3 */
    {"good", "1 1 1 0", DANE_MATCHED, 0, 0, NULL},
    {"good", "1 0 0 0", DANE_MATCHED, 0, 0, NULL},
    {"good", "1 1 1 1", DANE_MISMATCH, 0, 0, NULL},
    {"good", "1 1 1 direct:0", DANE_MISMATCH, 0, 0, NULL},
    {"self_signed", "1 1 1 0", DANE_INVALID, 0, CREDENTIAL_SELF_SIGNED, NULL},
    {"unknown_root_sent", "1 1 1 0", DANE_INVALID, 0, CREDENTIAL_UNKNOWN_ISSUER, NULL},
    {"leaf_expired", "1 1 1 0", DANE_INVALID, 0, CREDENTIAL_EXPIRED, NULL},
    {"cn_and_other_dns", "1 1 1 0", DANE_WRONG_NAME, 0, 0, NULL},
    {"host_dns", "1 1 1 0", DANE_MATCHED, 0, 0, NULL},
    {"self_signed", "1 1 1 0, 3 1 1 0", DANE_MATCHED, 1, 0, NULL},
    /* PKIX-TA: RFC 7671 s5.4 */
    {"good", "0 0 1 1", DANE_MATCHED, 0, 0, NULL},
    {"good", "0 1 1 1", DANE_MATCHED, 0, 0, NULL},
    {"good", "0 0 1 roots:0", DANE_MATCHED, 0, 0, NULL}, /* of the store, not sent */
    {"good", "0 1 0 roots:0", DANE_MATCHED, 0, 0, NULL},
    {"good", "0 0 1 0", DANE_MISMATCH, 0, 0, NULL}, /* the leaf is no authority */
    {"good", "0 0 1 unknown_root_sent:1", DANE_MISMATCH, 0, 0, NULL},
    {"beside_the_point", "0 0 1 1", DANE_MISMATCH, 0, 0, NULL}, /* a stranger's that was sent too */
    {"unknown_root_sent", "0 0 1 1", DANE_INVALID, 0, CREDENTIAL_UNKNOWN_ISSUER, NULL},
    {"unknown_root", "0 0 1 unknown_root_sent:1", DANE_MISMATCH, 0, 0, NULL},
    {"leaf_expired", "0 0 1 1", DANE_INVALID, 0, CREDENTIAL_EXPIRED, NULL},
    {"cn_and_other_dns", "0 0 1 1", DANE_WRONG_NAME, 0, 0, NULL},
    {"host_dns", "0 0 1 1", DANE_MATCHED, 0, 0, NULL},
    {"two_roots", "0 0 1 1", DANE_MATCHED, 0, 0, NULL}, /* each of two paths that hold */
    {"two_roots", "0 0 1 2", DANE_MATCHED, 0, 0, "tries one path only"},
    {"two_roots", "0 0 1 1, 0 0 1 2", DANE_MATCHED, 0, 0, NULL},
    {"root_and_step_trusted", "0 0 1 roots:0", DANE_MATCHED, 0, 0, NULL}, /* beyond a trusted intermediate */
    {"chain_of_10", "0 0 1 5", DANE_MATCHED, 0, 0, NULL},
    {"chain_of_10", "0 1 2 roots:0", DANE_MATCHED, 0, 0, NULL},
};

static struct anchors *anchors;
static X509_STORE *store;
static SSL_CTX *dane_factory;
static unsigned failures;

/* ---- certificates and records ---------------------------------------------------------------------------------------
 */

static STACK_OF(X509) * read_chain(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.pem", getenv("SL_TEST_CHAINS"), name);
    FILE *file = fopen(path, "r");
    STACK_OF(X509) *chain = sk_X509_new_null();
    assert_non_null(file);
    for (X509 *one = PEM_read_X509(file, NULL, NULL, NULL); one != NULL; one = PEM_read_X509(file, NULL, NULL, NULL))
        sk_X509_push(chain, one);
    ERR_clear_error();
    fclose(file);
    assert_in_range(sk_X509_num(chain), 1, 400);
    return chain;
}

static struct span der_of(X509 *certificate, bool is_key)
{
    unsigned char *der = NULL;
    int size = is_key ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der) : i2d_X509(certificate, &der);
    assert_true(size > 0);
    return span_of((char *)der, (size_t)size);
}

struct made {
    unsigned count;
    struct dane_record records[DANE_RECORDS_MAX];
};

static void make_data(struct dane_record *record, X509 *certificate, const char *change)
{
    bool is_key = strcmp(change, "key") == 0 || (record->selector == DANE_KEY && strcmp(change, "cert") != 0);
    struct span der = der_of(certificate, is_key);
    const EVP_MD *hash = record->matching == 1 ? EVP_sha256() : record->matching == 2 ? EVP_sha512() : NULL;
    char *data = malloc(der.size + EVP_MAX_MD_SIZE);
    unsigned size = (unsigned)der.size;
    if (hash != NULL)
        assert_int_equal(EVP_Digest(der.ptr, der.size, (unsigned char *)data, &size, hash, NULL), 1);
    else
        memcpy(data, der.ptr, der.size);
    OPENSSL_free((void *)(uintptr_t)der.ptr);
    record->data = span_of(data, size - (strcmp(change, "cut") == 0));
}

/* One of the row's, in place: "2 0 1 unknown_root_sent:1/cut". */
static void make_record(struct dane_record *record, STACK_OF(X509) * own, char *text)
{
    unsigned usage, selector, matching;
    char whose[64], *change = strchr(text, '/');
    if (change != NULL)
        *change++ = '\0';
    assert_int_equal(sscanf(text, "%u %u %u %63s", &usage, &selector, &matching, whose), 4);
    *record = (struct dane_record){(uint8_t)usage, (uint8_t)selector, (uint8_t)matching, SPAN_NONE};
    char *colon = strchr(whose, ':');
    int index = atoi(colon == NULL ? whose : colon + 1);
    if (colon != NULL)
        *colon = '\0';
    STACK_OF(X509) *chain = colon == NULL ? own : read_chain(whose);
    assert_true(index < sk_X509_num(chain));
    make_data(record, sk_X509_value(chain, index), change == NULL ? "" : change);
    if (colon != NULL)
        sk_X509_pop_free(chain, X509_free);
}

static void make_records(struct made *made, STACK_OF(X509) * own, const char *text)
{
    char copy[256], *rest = NULL;
    snprintf(copy, sizeof copy, "%s", text);
    made->count = 0;
    for (char *one = strtok_r(copy, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest))
        make_record(&made->records[made->count++], own, one);
}

static void free_records(struct made *made)
{
    for (unsigned i = 0; i < made->count; i++)
        free((void *)(uintptr_t)made->records[i].data.ptr);
}

/* ---- the judge alone ------------------------------------------------------------------------------------------------
 */

static void complain(const struct row *row, const char *what, const struct dane_finding *found)
{
    print_error("%s, \"%s\", %s: %s, record %u, %s\n", row->chain, row->records, what, dane_text(found->verdict),
                found->record, credential_text(found->path));
    failures++;
}

static void check_finding(const struct row *row, const char *what, const struct dane_finding *found)
{
    bool is_good = found->verdict == row->verdict;
    if (row->verdict != DANE_UNUSABLE && row->verdict != DANE_MISMATCH)
        is_good = is_good && found->record == row->record;
    if (row->verdict == DANE_INVALID)
        is_good = is_good && found->path == row->path;
    if (!is_good)
        complain(row, what, found);
}

static void check_judge(const struct row *row, STACK_OF(X509) * chain, const struct dane *dane)
{
    struct span sent[CREDENTIAL_SENT_MAX];
    unsigned count = (unsigned)sk_X509_num(chain);
    assert_in_range(count, 1, CREDENTIAL_SENT_MAX);
    for (unsigned i = 0; i < count; i++)
        sent[i] = der_of(sk_X509_value(chain, (int)i), false);
    struct credential *credential = credential_judge(anchors, sent, count, CREDENTIAL_SERVER, time(NULL));
    assert_non_null(credential);
    struct dane_finding found = dane_judge(dane, anchors, credential, sent, count, time(NULL));
    check_finding(row, "the judge", &found);
    credential_free(credential);
    for (unsigned i = 0; i < count; i++)
        OPENSSL_free((void *)(uintptr_t)sent[i].ptr);
}

/* ---- OpenSSL's opinion ----------------------------------------------------------------------------------------------
 */

static bool is_accepted_by_openssl(STACK_OF(X509) * chain, const struct made *made)
{
    SSL *ssl = SSL_new(dane_factory);
    X509_STORE_CTX *verifier = X509_STORE_CTX_new();
    assert_int_equal(SSL_dane_enable(ssl, DOMAIN), 1);
    SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    assert_int_equal(SSL_add1_host(ssl, HOST), 1);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    for (unsigned i = 0; i < made->count; i++)
        (void)SSL_dane_tlsa_add(ssl, made->records[i].usage, made->records[i].selector, made->records[i].matching,
                                (const unsigned char *)made->records[i].data.ptr, made->records[i].data.size);
    assert_int_equal(X509_STORE_CTX_init(verifier, store, sk_X509_value(chain, 0), chain), 1);
    X509_STORE_CTX_set0_dane(verifier, SSL_get0_dane(ssl));
    X509_STORE_CTX_set_default(verifier, "ssl_server");
    X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(verifier), SSL_get0_param(ssl));
    bool is_accepted = X509_verify_cert(verifier) == 1;
    X509_STORE_CTX_free(verifier);
    SSL_free(ssl);
    ERR_clear_error();
    return is_accepted;
}

/* Of unusable records OpenSSL says what it thinks of the chain without them. */
static void check_openssl(const struct row *row, STACK_OF(X509) * chain, const struct made *made)
{
    static const struct dane_finding none;
    if (row->verdict == DANE_UNUSABLE)
        return;
    bool is_theirs = is_accepted_by_openssl(chain, made);
    if ((is_theirs == (row->verdict == DANE_MATCHED)) != (row->openssl == NULL))
        complain(row, is_theirs ? "OpenSSL accepts" : "OpenSSL refuses", &none);
}

/* RFC 7671 s5.1 to s5.4, s9; RFC 6698 s4.1; RFC 7673 s4. */
static void records__of_every_usage__have_their_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        struct made made;
        STACK_OF(X509) *chain = read_chain(row->chain);
        make_records(&made, chain, row->records);
        struct dane *dane = dane_new(made.records, made.count, SPAN(DOMAIN), SPAN(HOST));
        struct dane *copy = dane_copy(dane);
        assert_int_equal(dane_is_usable(dane), row->verdict != DANE_UNUSABLE);
        dane_free(dane);
        check_judge(row, chain, copy);
        check_openssl(row, chain, &made);
        dane_free(copy);
        free_records(&made);
        sk_X509_pop_free(chain, X509_free);
    }
    printf("%zu rows\n", sizeof rows / sizeof rows[0]);
    assert_int_equal(failures, 0);
}

/* Without the SRV record's host its name is worth nothing; the domain's is, and DANE-EE asks for none. */
static void host__not_given__is_no_name(void **state)
{
    (void)state;
    static const struct row without[] = {
        {"host_dns", "2 0 1 1", DANE_WRONG_NAME, 0, 0, NULL},
        {"host_dns", "1 1 1 0", DANE_WRONG_NAME, 0, 0, NULL},
        {"host_dns", "3 1 1 0", DANE_MATCHED, 0, 0, NULL},
        {"good", "2 0 1 1", DANE_MATCHED, 0, 0, NULL},
    };
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        struct made made;
        STACK_OF(X509) *chain = read_chain(without[i].chain);
        make_records(&made, chain, without[i].records);
        struct dane *dane = dane_new(made.records, made.count, SPAN(DOMAIN), SPAN(""));
        check_judge(&without[i], chain, dane);
        dane_free(dane);
        free_records(&made);
        sk_X509_pop_free(chain, X509_free);
    }
    assert_int_equal(failures, 0);
}

/* ---- handshakes
 * ------------------------------------------------------------------------------------------------------- */

static SSL *present(const char *name, int version)
{
    char pem[512], key[512];
    snprintf(pem, sizeof pem, "%s/%s.pem", getenv("SL_TEST_CHAINS"), name);
    snprintf(key, sizeof key, "%s/%s.key", getenv("SL_TEST_CHAINS"), name);
    SSL *ssl = peer_showing(pem, key, true, version);
    assert_non_null(ssl);
    return ssl;
}

static void check_handshake(struct context *context, const struct row *row, int version)
{
    struct side side = {0};
    struct chunk_pool pool;
    struct made made;
    STACK_OF(X509) *chain = read_chain(row->chain);
    make_records(&made, chain, row->records);
    chunk_pool_init(&pool, 16);
    SSL *ssl = present(row->chain, version);
    side.engine = engine_new(context, SPAN(DOMAIN));
    assert_non_null(side.engine);
    engine_expect(side.engine, dane_new(made.records, made.count, SPAN(DOMAIN), SPAN(HOST)));
    assert_null(engine_finding(side.engine));
    peer_shake(ssl, &side, &pool);
    assert_int_equal(side.status, ENGINE_OK); /* whatever comes of it */
    assert_non_null(engine_finding(side.engine));
    check_finding(row, SSL_get_version(ssl), engine_finding(side.engine));
    engine_free(side.engine);
    chain_clear(&side.wire, &pool);
    chunk_pool_fini(&pool);
    SSL_free(ssl);
    free_records(&made);
    sk_X509_pop_free(chain, X509_free);
}

static void handshake__with_records__ends_in_their_verdict(void **state)
{
    (void)state;
    struct err err;
    struct context_config config = {
        .role = CONTEXT_CLIENT, .anchors = anchors, .version_min = 0x0303, .version_max = 0x0304};
    struct context *context = context_new(&config, &err, NULL);
    assert_non_null(context);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i += 5)
        if (strcmp(rows[i].chain, "leaf_changed") != 0)
            check_handshake(context, &rows[i], i % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
    context_unref(context);
    assert_int_equal(failures, 0);
}

static void engine__without_records__has_no_finding(void **state)
{
    (void)state;
    struct err err;
    struct side side = {0};
    struct chunk_pool pool;
    struct context_config config = {.role = CONTEXT_CLIENT, .anchors = anchors, .version_min = 0x0303};
    struct context *context = context_new(&config, &err, NULL);
    SSL *ssl = present("good", TLS1_3_VERSION);
    chunk_pool_init(&pool, 16);
    side.engine = engine_new(context, SPAN(DOMAIN));
    peer_shake(ssl, &side, &pool);
    assert_true(engine_is_ready(side.engine));
    assert_null(engine_finding(side.engine));
    assert_null(engine_expected(side.engine));
    engine_free(side.engine);
    chain_clear(&side.wire, &pool);
    chunk_pool_fini(&pool);
    SSL_free(ssl);
    context_unref(context);
}

static int set_up(void **state)
{
    (void)state;
    char path[512];
    struct err err;
    snprintf(path, sizeof path, "%s/roots.pem", getenv("SL_TEST_CHAINS"));
    assert_true(tls_start(&err));
    anchors = anchors_new(path, &err);
    store = X509_STORE_new();
    dane_factory = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_dane_enable(dane_factory), 1);
    assert_int_equal(SSL_CTX_dane_mtype_set(dane_factory, EVP_sha512(), DANE_SHA512, 2), 1);
    return anchors == NULL || X509_STORE_load_file(store, path) != 1;
}

static int tear_down(void **state)
{
    (void)state;
    SSL_CTX_free(dane_factory);
    X509_STORE_free(store);
    anchors_unref(anchors);
    tls_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records__of_every_usage__have_their_verdicts),
        cmocka_unit_test(host__not_given__is_no_name),
        cmocka_unit_test(handshake__with_records__ends_in_their_verdict),
        cmocka_unit_test(engine__without_records__has_no_finding),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
