/* SPDX-License-Identifier: MIT */
/*
 * The matrix of certificate chains (tests/chains): what becomes of each, as a server's and as a client's, asked of the
 * judge alone and in handshakes with OpenSSL, which presents whatever it is given; and whether OpenSSL's own
 * verification agrees. The contexts are the same for all rows, so that what one peer sends could help the next, if it
 * were kept.
 */
#include "joint.h"
#include "tls/credential_priv.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <setjmp.h>

#include <cmocka.h>

#define CHAIN_MAX 16

struct row {
    char name[64];
    char verdicts[2][32]; /* by enum credential_role */
    bool may_end[2];      /* the handshake, for the library does not parse the chain */
    char domain[64];
    char match[8];
    char openssl[8];
    char why[160];
};

struct chain_files {
    char pem[512];
    char key[512];
    unsigned count;
    struct span sent[CHAIN_MAX];
};

static struct anchors *anchors;
static struct context *contexts[2]; /* by the role that it judges */
static X509_STORE *store;
static unsigned failures;
static const char *const role_names[] = {"server", "client"};

static const char *chain_path(const char *name, const char *suffix)
{
    static char path[512];
    const char *folder = getenv("SL_TEST_CHAINS");
    assert_non_null(folder);
    snprintf(path, sizeof(path), "%s/%s%s", folder, name, suffix);
    return path;
}

static void complain(const struct row *row, const char *what, const char *expected, const char *found)
{
    print_error("%s, %s: expected %s, found %s\n", row->name, what, expected, found);
    failures++;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static bool read_row(FILE *table, struct row *row)
{
    char line[512];
    while (fgets(line, sizeof(line), table) != NULL) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        row->why[0] = '\0';
        int count = sscanf(line, "%63s %31s %31s %63s %7s %7s %159[^\n]", row->name, row->verdicts[0], row->verdicts[1],
                           row->domain, row->match, row->openssl, row->why);
        assert_true(count >= 6);
        for (unsigned role = 0; role < 2; role++) {
            char *mark = strchr(row->verdicts[role], '!');
            row->may_end[role] = mark != NULL;
            if (mark != NULL)
                *mark = '\0';
        }
        /* A difference is never without its reason. */
        assert_true((row->openssl[0] == '=') == (count == 6));
        return true;
    }
    return false;
}

/* "unknown-issuer@1", as the table has it. */
static const char *words_of(const struct credential *credential)
{
    static const char *const words[] = {
        [CREDENTIAL_NONE] = "none",
        [CREDENTIAL_VALID] = "valid",
        [CREDENTIAL_MALFORMED] = "malformed",
        [CREDENTIAL_SELF_SIGNED] = "self-signed",
        [CREDENTIAL_UNKNOWN_ISSUER] = "unknown-issuer",
        [CREDENTIAL_BAD_SIGNATURE] = "bad-signature",
        [CREDENTIAL_ALGORITHM] = "algorithm",
        [CREDENTIAL_EXPIRED] = "expired",
        [CREDENTIAL_NOT_YET_VALID] = "not-yet-valid",
        [CREDENTIAL_NOT_AN_AUTHORITY] = "not-an-authority",
        [CREDENTIAL_IS_AUTHORITY] = "is-authority",
        [CREDENTIAL_USAGE] = "usage",
        [CREDENTIAL_PATH_LENGTH] = "path-length",
        [CREDENTIAL_NAME_CONSTRAINTS] = "name-constraints",
        [CREDENTIAL_CRITICAL] = "critical",
        [CREDENTIAL_TANGLED] = "tangled",
        [CREDENTIAL_NO_MEMORY] = "memory",
    };
    static char text[64];
    snprintf(text, sizeof(text), "%s@%u", words[credential->verdict], credential->fault);
    return credential->verdict == CREDENTIAL_VALID ? words[CREDENTIAL_VALID] : text;
}

static bool load_files(const struct row *row, struct chain_files *out)
{
    snprintf(out->pem, sizeof(out->pem), "%s", chain_path(row->name, ".pem"));
    snprintf(out->key, sizeof(out->key), "%s", chain_path(row->name, ".key"));
    FILE *file = fopen(out->pem, "r");
    out->count = 0;
    if (file == NULL)
        return false;
    for (;;) {
        char *name, *header;
        unsigned char *der;
        long size;
        if (PEM_read(file, &name, &header, &der, &size) != 1)
            break;
        assert_true(out->count < CHAIN_MAX);
        out->sent[out->count++] = span_of(der, (size_t)size);
        OPENSSL_free(name);
        OPENSSL_free(header);
    }
    ERR_clear_error();
    fclose(file);
    return out->count > 0;
}

static void free_files(struct chain_files *files)
{
    for (unsigned i = 0; i < files->count; i++)
        OPENSSL_free((void *)(uintptr_t)files->sent[i].ptr);
}

/* ---- the judge alone -----------------------------------------------------------------------------------------------
 */

static void check_identity(const struct row *row, const struct credential *credential)
{
    if (credential->verdict != CREDENTIAL_VALID)
        return;
    bool is_match = identity_matches(&credential->identity, span_str(row->domain), "xmpp-server");
    if (is_match != (strcmp(row->match, "yes") == 0))
        complain(row, row->domain, row->match, is_match ? "yes" : "no");
}

/* The path leads from the leaf to an anchor, and its end is the earliest. */
static void check_path(const struct credential *credential, struct span leaf)
{
    if (credential->verdict != CREDENTIAL_VALID) {
        assert_int_equal(credential->count, 0);
        assert_int_equal(credential->identity.count, 0);
        return;
    }
    bool is_earliest = false;
    assert_in_range(credential->count, 1, CREDENTIAL_PATH_MAX);
    assert_true(span_equal(credential->path[0].der, leaf));
    for (unsigned i = 0; i < credential->count; i++) {
        assert_true(credential->not_after <= credential->path[i].not_after);
        is_earliest = is_earliest || credential->not_after == credential->path[i].not_after;
    }
    assert_true(is_earliest);
}

static void check_judge(const struct row *row, const struct chain_files *files, enum credential_role role)
{
    if (files->count > CREDENTIAL_SENT_MAX)
        return;
    struct credential *credential = credential_judge(anchors, files->sent, files->count, role, time(NULL));
    assert_non_null(credential);
    const char *expected = row->verdicts[role];
    if (strcmp(words_of(credential), expected) != 0)
        complain(row, role_names[role], expected, words_of(credential));
    check_identity(row, credential);
    check_path(credential, files->sent[0]);
    credential_free(credential);
}

/* ---- handshakes ----------------------------------------------------------------------------------------------------
 */

static SSL *present(const struct chain_files *files, enum credential_role role, int version)
{
    return peer_showing(files->pem, files->key, role == CREDENTIAL_SERVER, version);
}

static void check_handshake(const struct row *row, const struct chain_files *files, enum credential_role role,
                            int version)
{
    struct side side = {0};
    struct chunk_pool pool;
    SSL *ssl = present(files, role, version);
    const char *expected = row->verdicts[role];
    const char *found = "handshake";
    char what[64];
    if (ssl == NULL) { /* OpenSSL will not present what it cannot parse */
        assert_true(row->may_end[role]);
        return;
    }
    snprintf(what, sizeof(what), "handshake as %s, %s", role_names[role], SSL_get_version(ssl));
    chunk_pool_init(&pool, 16);
    side.engine = engine_new(contexts[role], SPAN("peer.example"));
    assert_non_null(side.engine);
    peer_shake(ssl, &side, &pool);
    const struct credential *credential = engine_credential(side.engine);
    if (credential != NULL) {
        found = words_of(credential);
        check_identity(row, credential);
        assert_false(engine_is_resumed(side.engine));
        assert_int_equal(SSL_SESSION_has_ticket(SSL_get0_session(ssl)), 0);
    } else {
        assert_int_equal(side.status, ENGINE_FAILED);
    }
    bool is_excused = credential == NULL && row->may_end[role];
    if (strcmp(found, expected) != 0 && !is_excused) {
        complain(row, what, expected, found);
        print_error("    %s\n", engine_error(side.engine));
    }
    engine_free(side.engine);
    chain_clear(&side.wire, &pool);
    chunk_pool_fini(&pool);
    SSL_free(ssl);
}

/* ---- OpenSSL's opinion
 * ------------------------------------------------------------------------------------------------ */

static bool is_accepted_by_openssl(const struct chain_files *files, enum credential_role role, const char **reason)
{
    STACK_OF(X509) *sent = sk_X509_new_null();
    X509_STORE_CTX *verifier = X509_STORE_CTX_new();
    bool is_accepted = false;
    *reason = "does not parse";
    for (unsigned i = 0; i < files->count; i++) {
        const unsigned char *bytes = (const unsigned char *)files->sent[i].ptr;
        X509 *certificate = d2i_X509(NULL, &bytes, (long)files->sent[i].size);
        if (certificate != NULL)
            sk_X509_push(sent, certificate);
        else if (i == 0)
            goto out;
    }
    X509_STORE_CTX_init(verifier, store, sk_X509_value(sent, 0), sent);
    X509_STORE_CTX_set_purpose(verifier, role == CREDENTIAL_SERVER ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT);
    is_accepted = X509_verify_cert(verifier) == 1;
    *reason = X509_verify_cert_error_string(X509_STORE_CTX_get_error(verifier));
out:
    X509_STORE_CTX_free(verifier);
    sk_X509_pop_free(sent, X509_free);
    ERR_clear_error();
    return is_accepted;
}

static void check_openssl(const struct row *row, const struct chain_files *files, enum credential_role role)
{
    const char *reason;
    bool is_ours = strcmp(row->verdicts[role], "valid") == 0;
    bool is_theirs = is_accepted_by_openssl(files, role, &reason);
    bool differs = strchr(row->openssl, "SC"[role]) != NULL;
    if ((is_ours != is_theirs) != differs)
        complain(row, role == CREDENTIAL_SERVER ? "OpenSSL, server" : "OpenSSL, client", row->openssl, reason);
}

/* ---- all rows -------------------------------------------------------------------------------------------------------
 */

static void check_row(const struct row *row, unsigned index)
{
    struct chain_files files;
    if (!load_files(row, &files)) {
        complain(row, "chain", "one", "none");
        return;
    }
    for (unsigned role = 0; role < 2; role++) {
        check_judge(row, &files, (enum credential_role)role);
        check_handshake(row, &files, (enum credential_role)role, TLS1_3_VERSION);
        if (index % 4 == role)
            check_handshake(row, &files, (enum credential_role)role, TLS1_2_VERSION);
        check_openssl(row, &files, (enum credential_role)role);
    }
    free_files(&files);
}

/* Holds 6120:13.7.2/1 6120:13.7.2/2 6120:feature/tls-certs. */
/* Holds 6120:13.7.1.1/2 6120:13.7.1.1/5 6120:13.7.1.1/7. */
static void chains__of_the_matrix__have_their_outcomes(void **state)
{
    struct row row;
    unsigned count = 0;
    unsigned made = 0;
    FILE *table = fopen(getenv("SL_TEST_MATRIX"), "r");
    FILE *names = fopen(chain_path("names", ""), "r");
    (void)state;
    assert_non_null(table);
    assert_non_null(names);
    for (int c = fgetc(names); c != EOF; c = fgetc(names))
        made += c == '\n';
    for (; read_row(table, &row); count++)
        check_row(&row, count);
    fclose(names);
    fclose(table);
    printf("%u chains\n", count);
    assert_in_range(count, 60, 1000);
    assert_int_equal(count, made); /* no chain without a row */
    assert_int_equal(failures, 0);
}

/* A key of which one half is the certificate's and the other is not: nothing notices until a signature is verified. */
static EVP_PKEY *forge_key(const char *public_file, const char *private_file)
{
    FILE *files[] = {fopen(public_file, "r"), fopen(private_file, "r")};
    EVP_PKEY *keys[2];
    unsigned char point[256];
    size_t size = 0;
    BIGNUM *number = NULL;
    EVP_PKEY *forged = NULL;
    for (unsigned i = 0; i < 2; i++) {
        assert_non_null(files[i]);
        keys[i] = PEM_read_PrivateKey(files[i], NULL, NULL, NULL);
        assert_non_null(keys[i]);
        fclose(files[i]);
    }
    assert_int_equal(EVP_PKEY_get_octet_string_param(keys[0], OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &size), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(keys[1], OSSL_PKEY_PARAM_PRIV_KEY, &number), 1);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, size);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, number);
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *factory = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    assert_int_equal(EVP_PKEY_fromdata_init(factory), 1);
    assert_int_equal(EVP_PKEY_fromdata(factory, &forged, EVP_PKEY_KEYPAIR, parameters), 1);
    EVP_PKEY_CTX_free(factory);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(build);
    BN_clear_free(number);
    EVP_PKEY_free(keys[0]);
    EVP_PKEY_free(keys[1]);
    return forged;
}

/* Whoever shows a certificate proves to have its key, or the handshake ends: the library's verification, switched off
 * while it looks at authorities, is on again by then. */
static void certificate__without_its_key__ends_the_handshake(void **state)
{
    static const char *const names[] = {"direct", "good", "chain_of_10", "unknown_root"};
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        enum credential_role role = (enum credential_role)(i % 2);
        struct chain_files files;
        struct row row;
        struct side side = {0};
        struct chunk_pool pool;
        snprintf(row.name, sizeof(row.name), "%s", names[i / 4]);
        assert_true(load_files(&row, &files));
        SSL *ssl = present(&files, role, i / 2 % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
        assert_non_null(ssl);
        char stolen[512];
        snprintf(stolen, sizeof(stolen), "%s", files.key);
        EVP_PKEY *forged = forge_key(stolen, chain_path("root_sent", ".key"));
        assert_int_equal(SSL_use_PrivateKey(ssl, forged), 1);
        EVP_PKEY_free(forged);
        chunk_pool_init(&pool, 16);
        side.engine = engine_new(contexts[role], SPAN("peer.example"));
        peer_shake(ssl, &side, &pool);
        assert_int_equal(side.status, ENGINE_FAILED);
        assert_null(strstr(engine_error(side.engine), "peer's alert")); /* it is we who end it */
        assert_false(engine_is_ready(side.engine));
        assert_null(engine_credential(side.engine));
        engine_free(side.engine);
        chain_clear(&side.wire, &pool);
        chunk_pool_fini(&pool);
        SSL_free(ssl);
        free_files(&files);
    }
}

static struct context *judging_context(enum context_role role)
{
    struct err err = {""};
    const struct context_domain domain = {"a.example", cert_path("a.pem"), cert_path("a.key")};
    const struct context_config config = {
        .role = role, .domains = &domain, .domain_count = 1, .anchors = anchors, .version_min = 0x0303};
    struct context *context = context_new(&config, &err, NULL);
    if (context == NULL)
        fail_msg("%s", err.text);
    return context;
}

static int open_all(void **state)
{
    struct err err = {""};
    (void)state;
    anchors = anchors_new(chain_path("roots", ".pem"), &err);
    if (anchors == NULL)
        fail_msg("%s", err.text);
    contexts[CREDENTIAL_SERVER] = judging_context(CONTEXT_CLIENT);
    contexts[CREDENTIAL_CLIENT] = judging_context(CONTEXT_SERVER);
    store = X509_STORE_new();
    assert_int_equal(X509_STORE_load_file(store, chain_path("roots", ".pem")), 1);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    context_unref(contexts[0]);
    context_unref(contexts[1]);
    anchors_unref(anchors);
    X509_STORE_free(store);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains__of_the_matrix__have_their_outcomes),
        cmocka_unit_test(certificate__without_its_key__ends_the_handshake),
    };
    if (!tls_start(&(struct err){""}))
        return 1;
    int failed = cmocka_run_group_tests(tests, open_all, close_all);
    tls_stop();
    return failed;
}
