/* SPDX-License-Identifier: MIT */
/*
 * The engine against an independent implementation, OpenSSL's libssl over memory BIOs: what both ends of our own could
 * get wrong alike, and what our own client never does (resumption, renegotiation, floods of KeyUpdate).
 */
#include "core/base/err.h"
#include "joint.h"
#include "tls/anchors.h"
#include "tls/credential.h"
#include "tls/ticket_keys_priv.h"

#include <openssl/x509v3.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

static const char *const names_all[] = {"a", "b", "wild", "idn", NULL};
static const char *const names_b[] = {"b", "a", NULL};

static void expect_plain(struct joint *joint, const char *expected)
{
    char *copy = chain_copy(&joint->side.plain);
    assert_string_equal(copy, expected);
    free(copy);
}

static void expect_echo(struct joint *joint)
{
    char out[64] = "";
    size_t size = 0;
    struct chain plain = {0};
    assert_int_equal(SSL_write(joint->ssl, "ping", 4), 4);
    chain_append(&plain, &joint->pool, SPAN("pong"));
    assert_int_equal(engine_write(joint->side.engine, &plain, 4, &joint->side.wire, &joint->pool), ENGINE_OK);
    joint_go_on(joint, out, &size);
    expect_plain(joint, "ping");
    assert_string_equal(out, "pong");
    chain_clear(&joint->side.plain, &joint->pool);
}

/* ---- handshakes and bindings ------------------------------------------------------------------------------------- */

static void read_file(const char *name, char *out, size_t size)
{
    FILE *file = fopen(cert_path(name), "rb");
    assert_non_null(file);
    assert_int_equal(fread(out, 1, size, file), size);
    fclose(file);
}

static void expect_bindings(struct joint *joint, int version, bool is_server, const char *hash_file, size_t hash_size)
{
    struct engine *engine = joint->side.engine;
    char ours[ENGINE_BINDING_MAX];
    char theirs[ENGINE_BINDING_MAX];
    static const char label[] = "EXPORTER-Channel-Binding";
    assert_int_equal(engine_binding(engine, BINDING_EXPORTER, ours), 32);
    assert_int_equal(
        SSL_export_keying_material(joint->ssl, (unsigned char *)theirs, 32, label, sizeof(label) - 1, NULL, 0, 0), 1);
    assert_memory_equal(ours, theirs, 32);

    size_t size = engine_binding(engine, BINDING_UNIQUE, ours);
    if (version == TLS1_2_VERSION) {
        bool is_peers = is_server == (SSL_session_reused(joint->ssl) != 0);
        assert_int_equal(size, 12);
        /* Whoever sends first: the client, in an abbreviated handshake the server. The peer is the server if so told.
         */
        assert_int_equal(
            is_peers ? SSL_get_finished(joint->ssl, theirs, 64) : SSL_get_peer_finished(joint->ssl, theirs, 64), 12);
        assert_memory_equal(ours, theirs, 12);
    } else {
        assert_int_equal(size, 0);
    }

    assert_int_equal(engine_binding(engine, BINDING_END_POINT, ours), hash_size);
    read_file(hash_file, theirs, hash_size);
    assert_memory_equal(ours, theirs, hash_size);
}

/* Holds 6120:5.4.3.1/1. */
static void handshake__openssl_client__bindings_agree(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const struct {
        const char *name;
        const char *hash_file;
        size_t hash_size;
    } rows[] = {{"a.example", "a.sha256", 32}, {"b.example", "b.sha384", 48}};
    struct context *context = server_context(names_all, NULL, 0x0303, 0, NULL);
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct joint joint;
        joint_open(&joint, context, false, versions[i / 2]);
        send_name(joint.ssl, rows[i % 2].name);
        joint_shake(&joint);
        assert_true(span_is(engine_server_name(joint.side.engine), rows[i % 2].name));
        assert_int_equal(SSL_get_verify_result(joint.ssl), X509_V_OK);
        expect_bindings(&joint, versions[i / 2], false, rows[i % 2].hash_file, rows[i % 2].hash_size);
        expect_echo(&joint);
        joint_close(&joint);
    }
    forget_session();
    context_unref(context);
}

static void handshake__openssl_server__bindings_agree(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct context *context = client_context(0x0303, 0, NULL);
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct joint joint;
        joint_open(&joint, context, true, versions[i]);
        joint_shake(&joint);
        expect_bindings(&joint, versions[i], true, "b.sha384", 48);
        expect_echo(&joint);
        joint_close(&joint);
    }
    context_unref(context);
}

static void handshake__without_extended_master_secret__has_no_exporter_and_no_unique(void **state)
{
    struct context *context = server_context(names_all, NULL, 0x0303, 0, NULL);
    struct context *client = client_context(0x0303, 0, NULL);
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct joint joint;
        char out[ENGINE_BINDING_MAX];
        joint_open(&joint, i == 0 ? context : client, i == 1, TLS1_2_VERSION);
        SSL_set_options(joint.ssl, SSL_OP_NO_EXTENDED_MASTER_SECRET);
        joint_shake(&joint);
        assert_int_equal(engine_binding(joint.side.engine, BINDING_EXPORTER, out), 0);
        assert_int_equal(engine_binding(joint.side.engine, BINDING_UNIQUE, out), 0);
        assert_true(engine_binding(joint.side.engine, BINDING_END_POINT, out) > 0);
        expect_echo(&joint);
        joint_close(&joint);
    }
    forget_session();
    context_unref(context);
    context_unref(client);
}

/* Holds 6120:13.9.5/1. */
static void handshake__old_versions_and_weak_ciphers__are_refused(void **state)
{
    static const struct {
        int version;
        const char *ciphers;
    } rows[] = {{TLS1_VERSION, "ALL:@SECLEVEL=0"},
                {TLS1_1_VERSION, "ALL:@SECLEVEL=0"},
                {TLS1_2_VERSION, "AES128-GCM-SHA256"},       /* no forward secrecy */
                {TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA256"}, /* no AEAD */
                {TLS1_2_VERSION, "DHE-RSA-AES128-GCM-SHA256"}};
    struct context *context = server_context(names_b, NULL, 0x0303, 0, NULL);
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct joint joint;
        joint_open(&joint, context, false, rows[i].version);
        assert_int_equal(SSL_set_cipher_list(joint.ssl, rows[i].ciphers), 1);
        joint_run(&joint, NULL, NULL);
        assert_false(engine_is_ready(joint.side.engine));
        assert_int_equal(joint.side.status, ENGINE_FAILED);
        assert_true(joint.is_broken); /* it got an alert */
        joint_close(&joint);
    }
    context_unref(context);
}

/* Holds 6120:5.4.3.1/1. */
static void handshake__every_cipher_and_group_of_ours__agrees(void **state)
{
    static const char *const ciphers[] = {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384",
                                          "ECDHE-RSA-CHACHA20-POLY1305"};
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};
    static const char *const groups[] = {"P-256", "X25519", "P-384"};
    struct context *context = server_context(names_b, NULL, 0x0303, 0, NULL);
    (void)state;
    for (unsigned i = 0; i < 18; i++) {
        struct joint joint;
        bool is_1_3 = i % 2 == 1;
        joint_open(&joint, context, false, is_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
        assert_int_equal(offer_groups(joint.ssl, groups[i / 6]), 1);
        if (is_1_3)
            assert_int_equal(SSL_set_ciphersuites(joint.ssl, suites[i / 2 % 3]), 1);
        else
            assert_int_equal(SSL_set_cipher_list(joint.ssl, ciphers[i / 2 % 3]), 1);
        joint_shake(&joint);
        expect_echo(&joint);
        joint_close(&joint);
    }
    forget_session();
    context_unref(context);
}

/* The library holds key shares of TLS 1.3 to the list only; in TLS 1.2 it serves P-521 too. */
static void handshake__only_a_group_that_is_not_served__is_refused(void **state)
{
    struct context *context = server_context(names_b, NULL, 0x0303, 0, NULL);
    struct joint joint;
    (void)state;
    joint_open(&joint, context, false, TLS1_3_VERSION);
    assert_int_equal(offer_groups(joint.ssl, "P-521"), 1);
    joint_run(&joint, NULL, NULL);
    print_message("P-521: %s\n", engine_error(joint.side.engine));
    assert_int_equal(joint.side.status, ENGINE_FAILED);
    assert_true(joint.is_broken);
    joint_close(&joint);
    context_unref(context);
}

/* The first key share is of a group that is not served: HelloRetryRequest (RFC 8446 s4.1.4). */
static void handshake__needs_a_retry__succeeds(void **state)
{
    struct context *context = server_context(names_all, NULL, 0x0303, 0, NULL);
    struct joint joint;
    (void)state;
    joint_open(&joint, context, false, TLS1_3_VERSION);
    assert_int_equal(offer_groups(joint.ssl, "P-521:P-256"), 1);
    send_name(joint.ssl, "b.example");
    joint_shake(&joint);
    assert_true(span_is(engine_server_name(joint.side.engine), "b.example"));
    expect_echo(&joint);
    joint_close(&joint);
    forget_session();
    context_unref(context);
}

/* ---- names and protocols -------------------------------------------------------------------------------------------
 */

static void sni__known_unknown_none__chooses_the_certificate(void **state)
{
    static const struct {
        const char *sent;
        const char *chosen;
    } rows[] = {
        {"b.example", "b.example"}, {"B.Example", "b.example"}, {"stranger.example", "a.example"}, {NULL, "a.example"}};
    struct context *context = server_context(names_all, NULL, 0x0303, 0, NULL);
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct joint joint;
        joint_open(&joint, context, false, i % 2 == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
        if (rows[i / 2].sent != NULL)
            send_name(joint.ssl, rows[i / 2].sent);
        joint_shake(&joint);
        assert_true(span_is(engine_server_name(joint.side.engine), rows[i / 2].chosen));
        X509 *leaf = SSL_get1_peer_certificate(joint.ssl);
        assert_int_equal(X509_check_host(leaf, rows[i / 2].chosen, 0, 0, NULL), 1);
        X509_free(leaf);
        joint_close(&joint);
    }
    forget_session();
    context_unref(context);
}

static void alpn__offered_lists__are_agreed_ignored_or_refused(void **state)
{
    static const char *const ours[] = {"xmpp-client", "xmpp-server", NULL};
    static const struct {
        struct span offered;
        const char *agreed; /* NULL: refused */
    } rows[] = {
        {{"", 0}, ""},
        {{"\013xmpp-client", 12}, "xmpp-client"},
        {{"\010http/1.1\013xmpp-server", 21}, "xmpp-server"},
        {{"\002h2\010http/1.1", 12}, NULL},
        {{"\012xmpp-clien", 11}, NULL},
    };
    struct context *context = server_context(names_all, NULL, 0x0303, 0, ours);
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        struct joint joint;
        struct span offered = rows[i / 2].offered;
        joint_open(&joint, context, false, i % 2 == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
        if (offered.size > 0)
            SSL_set_alpn_protos(joint.ssl, (const unsigned char *)offered.ptr, (unsigned)offered.size);
        if (rows[i / 2].agreed == NULL) {
            joint_run(&joint, NULL, NULL);
            assert_int_equal(joint.side.status, ENGINE_FAILED);
            assert_true(joint.is_broken);
        } else {
            const unsigned char *name = NULL;
            unsigned size = 0;
            joint_shake(&joint);
            SSL_get0_alpn_selected(joint.ssl, &name, &size);
            assert_true(span_is(span_of(name, size), rows[i / 2].agreed));
            assert_true(span_is(engine_alpn(joint.side.engine), rows[i / 2].agreed));
        }
        joint_close(&joint);
    }
    forget_session();
    context_unref(context);
}

/* ---- resumption
 * ------------------------------------------------------------------------------------------------------ */

/* A connection to name, with the session of the last one if there is one; own: a certificate that the client presents
 * when it is asked, NULL: none. What the server made of it is in *verdict, where it asked. */
static bool resumes_as(struct context *context, int version, const char *name, const char *own,
                       enum credential_verdict *verdict)
{
    struct joint joint;
    SSL_SESSION *session = last_session;
    last_session = NULL;
    joint_open(&joint, context, false, version);
    send_name(joint.ssl, name);
    if (own != NULL) {
        char path[600];
        snprintf(path, sizeof(path), "%s.pem", cert_path(own));
        assert_int_equal(SSL_use_certificate_chain_file(joint.ssl, path), 1);
        snprintf(path, sizeof(path), "%s.key", cert_path(own[0] == 'f' ? "a" : own));
        assert_int_equal(SSL_use_PrivateKey_file(joint.ssl, path, SSL_FILETYPE_PEM), 1);
    }
    if (session != NULL)
        SSL_set_session(joint.ssl, session);
    joint_shake(&joint);
    if (verdict != NULL)
        *verdict = engine_credential(joint.side.engine)->verdict;
    bool is_resumed = engine_is_resumed(joint.side.engine);
    assert_int_equal(is_resumed, SSL_session_reused(joint.ssl) != 0);
    if (version == TLS1_2_VERSION || !is_resumed)
        expect_bindings(&joint, version, false, name[0] == 'a' ? "a.sha256" : "b.sha384", name[0] == 'a' ? 32 : 48);
    expect_echo(&joint);
    SSL_shutdown(joint.ssl); /* else OpenSSL holds the session for broken */
    joint_close(&joint);
    /* Without a new ticket the old one stays good. */
    if (last_session == NULL)
        last_session = session;
    else
        SSL_SESSION_free(session);
    return is_resumed;
}

static bool resumes(struct context *context, int version, const char *name)
{
    return resumes_as(context, version, name, NULL, NULL);
}

/* Before 5.9 the library gives no new ticket of TLS 1.2 in place of one that it refused: the client makes full
 * handshakes until it forgets the old one. Nothing but speed is lost. */
static void expect_replaced(struct context *context, int version, const char *name)
{
    if (version == TLS1_2_VERSION && strncmp(tls_library(), "wolfSSL 5.9", 11) < 0)
        forget_session();
    else
        assert_true(resumes(context, version, name));
}

static void ticket__with_shared_keys__resumes_across_contexts(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct ticket_keys *keys = ticket_keys_new();
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct context *first = server_context(names_all, keys, 0x0303, 0, NULL);
        struct context *second = server_context(names_b, keys, 0x0303, 0, NULL);
        assert_false(resumes(first, versions[i], "a.example"));
        assert_non_null(last_session);
        assert_true(resumes(first, versions[i], "a.example"));
        assert_true(resumes(second, versions[i], "a.example")); /* the reloaded one, with another order */
        context_unref(first);
        context_unref(second);
        forget_session();
    }
    ticket_keys_free(keys);
}

static void ticket__of_another_era__is_refused(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct ticket_keys *keys = ticket_keys_new();
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct context *before = server_context(names_all, keys, 0x0303, 0, NULL);
        struct context *after = server_context(names_all, keys, 0x0303, 0, NULL);
        context_bind_tickets(i < 2 ? after : before, 7); /* nor is one that comes back to a shard which is late */
        assert_false(resumes(before, versions[i % 2], "a.example"));
        assert_false(resumes(after, versions[i % 2], "a.example"));
        expect_replaced(after, versions[i % 2], "a.example");
        context_unref(before);
        context_unref(after);
        forget_session();
    }
    ticket_keys_free(keys);
}

static void ticket__of_another_domain__is_refused(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct ticket_keys *keys = ticket_keys_new();
    struct context *context = server_context(names_all, keys, 0x0303, 0, NULL);
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_false(resumes(context, versions[i], "a.example"));
        assert_false(resumes(context, versions[i], "b.example"));
        expect_replaced(context, versions[i], "b.example");
        forget_session();
    }
    context_unref(context);
    ticket_keys_free(keys);
}

static void ticket__of_lost_or_old_keys__means_a_full_handshake(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct ticket_keys *lost = ticket_keys_new();
        struct ticket_keys *keys = ticket_keys_new();
        struct context *first = server_context(names_all, lost, 0x0303, 0, NULL);
        struct context *second = server_context(names_all, keys, 0x0303, 0, NULL);
        assert_false(resumes(first, versions[i], "a.example"));
        assert_false(resumes(second, versions[i], "a.example"));
        forget_session();
        assert_false(resumes(second, versions[i], "a.example"));
        ticket_keys_age(keys, TICKET_KEY_SEAL_S); /* another key seals, the old one opens */
        assert_true(resumes(second, versions[i], "a.example"));
        ticket_keys_age(keys, TICKET_KEY_LIFE_S);
        assert_false(resumes(second, versions[i], "a.example"));
        context_unref(first);
        context_unref(second);
        ticket_keys_free(lost);
        ticket_keys_free(keys);
        forget_session();
    }
}

/* In TLS 1.3 each resumption brings the ticket of the next one. */
static void ticket__in_a_long_chain__ends_with_a_full_handshake(void **state)
{
    struct ticket_keys *keys = ticket_keys_new();
    struct context *context = server_context(names_all, keys, 0x0304, 0, NULL);
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        bool is_full = i % (TICKET_GENERATION_MAX + 1) == 0;
        assert_int_equal(resumes(context, TLS1_3_VERSION, "a.example"), !is_full);
    }
    forget_session();
    context_unref(context);
    ticket_keys_free(keys);
}

/* A ticket of the server software that ran here before. */
static void make_foreign_session(int version)
{
    SSL_CTX *factory = SSL_CTX_new(TLS_server_method());
    struct joint joint; /* only its client half */
    struct context *unused = server_context(names_all, NULL, 0x0303, 0, NULL);
    assert_int_equal(SSL_CTX_use_certificate_chain_file(factory, cert_path("a.pem")), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(factory, cert_path("a.key"), SSL_FILETYPE_PEM), 1);
    joint_open(&joint, unused, false, version);
    send_name(joint.ssl, "a.example");
    SSL *other = SSL_new(factory);
    SSL_set_bio(other, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(other);
    for (unsigned turn = 0; turn < 8; turn++) {
        char *bytes = NULL;
        SSL *from = turn % 2 == 0 ? joint.ssl : other;
        SSL *to = turn % 2 == 0 ? other : joint.ssl;
        char none;
        (void)SSL_read(from, &none, 1);
        long size = BIO_get_mem_data(SSL_get_wbio(from), &bytes);
        if (size > 0)
            BIO_write(SSL_get_rbio(to), bytes, (int)size);
        (void)BIO_reset(SSL_get_wbio(from));
    }
    assert_non_null(last_session);
    SSL_shutdown(joint.ssl);
    SSL_free(other);
    SSL_CTX_free(factory);
    joint_close(&joint);
    context_unref(unused);
}

static void ticket__of_another_implementation__means_a_full_handshake(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct ticket_keys *keys = ticket_keys_new();
    struct context *context = server_context(names_all, keys, 0x0303, 0, NULL);
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        make_foreign_session(versions[i]);
        assert_false(resumes(context, versions[i], "a.example"));
        expect_replaced(context, versions[i], "a.example");
        forget_session();
    }
    context_unref(context);
    ticket_keys_free(keys);
}

static void ticket__without_keys__is_not_given(void **state)
{
    struct context *context = server_context(names_all, NULL, 0x0303, 0, NULL);
    (void)state;
    assert_false(resumes(context, TLS1_3_VERSION, "a.example"));
    assert_null(last_session);
    assert_false(resumes(context, TLS1_2_VERSION, "a.example"));
    assert_false(resumes(context, TLS1_2_VERSION, "a.example"));
    forget_session();
    context_unref(context);
}

/* ---- floods
 * ------------------------------------------------------------------------------------------------------------ */

/* A server that asks clients of users for a certificate, and gives tickets to who has none. */
static struct context *asking_context(struct ticket_keys *keys, struct anchors *anchors)
{
    struct err err = {""};
    const struct context_domain domain = {"a.example", cert_path("a.pem"), cert_path("a.key")};
    const struct context_config config = {.role = CONTEXT_SERVER,
                                          .domains = &domain,
                                          .domain_count = 1,
                                          .ticket_keys = keys,
                                          .anchors = anchors,
                                          .for_users = true,
                                          .version_min = 0x0303};
    struct context *context = context_new(&config, &err, NULL);
    if (context == NULL)
        fail_msg("%s", err.text);
    return context;
}

/* In TLS 1.3; in 1.2 a ticket would be promised before it is known what the client presents. */
static void client_ticket__without_a_certificate__resumes_as_nobody(void **state)
{
    struct anchors *anchors = anchors_new(cert_path("ca.pem"), &(struct err){""});
    struct ticket_keys *keys = ticket_keys_new();
    struct context *context = asking_context(keys, anchors);
    enum credential_verdict verdict;
    (void)state;
    assert_non_null(anchors);
    for (unsigned i = 0; i < 2; i++) {
        int version = i == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
        assert_false(resumes_as(context, version, "a.example", NULL, &verdict));
        assert_int_equal(verdict, CREDENTIAL_NONE);
        /* It has a certificate now, and is not asked: it is nobody still. */
        bool is_resumed = resumes_as(context, version, "a.example", "b", &verdict);
        assert_int_equal(is_resumed, i == 0);
        assert_int_equal(verdict, is_resumed ? CREDENTIAL_NONE : CREDENTIAL_VALID);
        forget_session();
    }
    context_unref(context);
    ticket_keys_free(keys);
    anchors_unref(anchors);
}

static void client_ticket__of_who_presented_one__is_not_given(void **state)
{
    static const struct {
        const char *own;
        enum credential_verdict verdict;
    } rows[] = {{"b", CREDENTIAL_VALID}, {"old", CREDENTIAL_EXPIRED}, {"foreign", CREDENTIAL_SELF_SIGNED}};
    struct anchors *anchors = anchors_new(cert_path("ca.pem"), &(struct err){""});
    struct ticket_keys *keys = ticket_keys_new();
    struct context *context = asking_context(keys, anchors);
    (void)state;
    assert_non_null(anchors);
    for (unsigned i = 0; i < 6; i++) {
        int version = i % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
        enum credential_verdict verdict;
        for (unsigned again = 0; again < 3; again++) {
            assert_false(resumes_as(context, version, "a.example", rows[i / 2].own, &verdict));
            assert_int_equal(verdict, rows[i / 2].verdict);
            assert_true(version == TLS1_2_VERSION || last_session == NULL);
        }
        forget_session();
    }
    context_unref(context);
    ticket_keys_free(keys);
    anchors_unref(anchors);
}

/* Before a reload clients were not asked: what they were given then proves nothing now. */
static void client_ticket__from_before__resumes_as_nobody(void **state)
{
    struct anchors *anchors = anchors_new(cert_path("ca.pem"), &(struct err){""});
    struct ticket_keys *keys = ticket_keys_new();
    struct context *before = server_context(names_all, keys, 0x0303, 0, NULL);
    struct context *after = asking_context(keys, anchors);
    enum credential_verdict verdict;
    (void)state;
    assert_non_null(anchors);
    assert_false(resumes_as(before, TLS1_3_VERSION, "a.example", "b", NULL));
    assert_non_null(last_session);
    assert_true(resumes_as(after, TLS1_3_VERSION, "a.example", "b", &verdict));
    assert_int_equal(verdict, CREDENTIAL_NONE);
    forget_session();
    context_unref(before);
    context_unref(after);
    ticket_keys_free(keys);
    anchors_unref(anchors);
}

static void key_update__now_and_then__is_followed(void **state)
{
    struct context *context = server_context(names_all, NULL, 0x0303, 0, NULL);
    struct joint joint;
    (void)state;
    joint_open(&joint, context, false, TLS1_3_VERSION);
    joint_shake(&joint);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(
            SSL_key_update(joint.ssl, i % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        expect_echo(&joint);
    }
    joint_close(&joint);
    context_unref(context);
}

static void key_update__flood__is_cut_off(void **state)
{
    struct context *context = server_context(names_all, NULL, 0x0303, 0, NULL);
    (void)state;
    for (unsigned at_once = 0; at_once < 2; at_once++) {
        struct joint joint;
        unsigned count = 0;
        joint_open(&joint, context, false, TLS1_3_VERSION);
        joint_shake(&joint);
        for (; count < 200 && joint.side.status == ENGINE_OK; count++) {
            assert_int_equal(SSL_key_update(joint.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
            assert_int_equal(SSL_do_handshake(joint.ssl), 1);
            if (at_once == 0)
                carry_to_engine(&joint);
        }
        carry_to_engine(&joint);
        assert_int_equal(joint.side.status, ENGINE_FAILED);
        assert_string_equal(engine_error(joint.side.engine), "too many records without data");
        if (at_once == 0)
            assert_in_range(count, 30, 40);
        joint_close(&joint);
    }
    context_unref(context);
}

/* Holds 6120:5.3.5/2. */
static void renegotiation__asked_by_the_client__is_refused(void **state)
{
    struct context *context = server_context(names_all, NULL, 0x0303, 0, NULL);
    struct joint joint;
    (void)state;
    joint_open(&joint, context, false, TLS1_2_VERSION);
    joint_shake(&joint);
    assert_int_equal(SSL_renegotiate(joint.ssl), 1);
    (void)SSL_do_handshake(joint.ssl);
    joint_go_on(&joint, NULL, NULL);
    /* Refused with a warning, or the connection ends: never a second handshake. */
    assert_true(joint.side.status == ENGINE_FAILED || joint.is_broken);
    print_message("renegotiation: engine %s (%s), peer %s\n", joint.side.status == ENGINE_FAILED ? "failed" : "goes on",
                  engine_error(joint.side.engine), joint.is_broken ? "got an alert" : "goes on");
    joint_close(&joint);
    forget_session();
    context_unref(context);
}

static void close_notify__both_ways__is_understood(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct context *context = server_context(names_all, NULL, 0x0303, 0, NULL);
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct joint joint;
        joint_open(&joint, context, false, versions[i % 2]);
        joint_shake(&joint);
        if (i < 2) {
            assert_int_equal(SSL_shutdown(joint.ssl), 0);
            carry_to_engine(&joint);
            assert_int_equal(joint.side.status, ENGINE_CLOSED);
        }
        engine_close(joint.side.engine, &joint.side.wire, &joint.pool);
        carry_to_peer(&joint);
        peer_turn(&joint, NULL, NULL);
        assert_true(SSL_get_shutdown(joint.ssl) & SSL_RECEIVED_SHUTDOWN);
        joint_close(&joint);
    }
    forget_session();
    context_unref(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake__openssl_client__bindings_agree),
        cmocka_unit_test(handshake__openssl_server__bindings_agree),
        cmocka_unit_test(handshake__without_extended_master_secret__has_no_exporter_and_no_unique),
        cmocka_unit_test(handshake__old_versions_and_weak_ciphers__are_refused),
        cmocka_unit_test(handshake__every_cipher_and_group_of_ours__agrees),
        cmocka_unit_test(handshake__only_a_group_that_is_not_served__is_refused),
        cmocka_unit_test(handshake__needs_a_retry__succeeds),
        cmocka_unit_test(sni__known_unknown_none__chooses_the_certificate),
        cmocka_unit_test(alpn__offered_lists__are_agreed_ignored_or_refused),
        cmocka_unit_test(ticket__with_shared_keys__resumes_across_contexts),
        cmocka_unit_test(ticket__of_another_era__is_refused),
        cmocka_unit_test(ticket__of_another_domain__is_refused),
        cmocka_unit_test(ticket__of_lost_or_old_keys__means_a_full_handshake),
        cmocka_unit_test(ticket__in_a_long_chain__ends_with_a_full_handshake),
        cmocka_unit_test(ticket__of_another_implementation__means_a_full_handshake),
        cmocka_unit_test(ticket__without_keys__is_not_given),
        cmocka_unit_test(client_ticket__without_a_certificate__resumes_as_nobody),
        cmocka_unit_test(client_ticket__of_who_presented_one__is_not_given),
        cmocka_unit_test(client_ticket__from_before__resumes_as_nobody),
        cmocka_unit_test(key_update__now_and_then__is_followed),
        cmocka_unit_test(key_update__flood__is_cut_off),
        cmocka_unit_test(renegotiation__asked_by_the_client__is_refused),
        cmocka_unit_test(close_notify__both_ways__is_understood),
    };
    struct err err;
    if (!tls_start(&err))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_stop();
    return failed;
}
