/* SPDX-License-Identifier: MIT */
/*
 * OCSP answers in handshakes, against OpenSSL in both roles and versions: what is shown arrives byte for byte, and
 * whatever it is the handshake goes on.
 */
#include "core/base/err.h"
#include "joint.h"
#include "tls/context_priv.h"
#include "tls/revocation.h"

#include <openssl/ocsp.h>
#include <openssl/pem.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <setjmp.h>

#include <cmocka.h>

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
#define VERSION_COUNT (sizeof(versions) / sizeof(versions[0]))

/* ---- answers ----------------------------------------------------------------------------------------------------- */

#define HOUR 3600L

static X509 *read_certificate(const char *name)
{
    FILE *file = fopen(cert_path(name), "r");
    assert_non_null(file);
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(certificate);
    return certificate;
}

static EVP_PKEY *read_key(const char *name)
{
    FILE *file = fopen(cert_path(name), "r");
    assert_non_null(file);
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(key);
    return key;
}

/* The authority's answer about a certificate, good until that many hours from now. To be freed by span_free(). */
static struct span answer_about(const char *leaf, int status, long until)
{
    X509 *authority = read_certificate("ca.pem"), *about = read_certificate(leaf);
    EVP_PKEY *key = read_key("ca.key");
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    time_t now = time(NULL);
    ASN1_TIME *begin = X509_time_adj_ex(NULL, -2, 0, &now), *end = X509_time_adj_ex(NULL, 0, until * HOUR, &now);
    ASN1_GENERALIZEDTIME *first = ASN1_TIME_to_generalizedtime(begin, NULL);
    ASN1_GENERALIZEDTIME *last = ASN1_TIME_to_generalizedtime(end, NULL);
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, about, authority);
    assert_non_null(OCSP_basic_add1_status(basic, id, status,
                                           status == V_OCSP_CERTSTATUS_REVOKED ? OCSP_REVOKED_STATUS_KEYCOMPROMISE : 0,
                                           first, first, last));
    assert_int_equal(OCSP_basic_sign(basic, authority, key, EVP_sha256(), NULL, OCSP_NOCERTS), 1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char *der = NULL;
    int size = i2d_OCSP_RESPONSE(response, &der);
    assert_true(size > 0);
    struct span copy = span_copy(span_of(der, (size_t)size));
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_GENERALIZEDTIME_free(first);
    ASN1_GENERALIZEDTIME_free(last);
    ASN1_TIME_free(begin);
    ASN1_TIME_free(end);
    EVP_PKEY_free(key);
    X509_free(about);
    X509_free(authority);
    return copy;
}

static struct span garbage(size_t size)
{
    char *bytes = malloc(size);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 7 + size);
    struct span copy = span_copy(span_of(bytes, size));
    free(bytes);
    return copy;
}

/* ---- contexts and peers ------------------------------------------------------------------------------------------ */

/* A client that judges, as servers do that call others. */
static struct context *judging_client(void)
{
    struct err err = {""};
    struct anchors *anchors = anchors_new(cert_path("ca.pem"), &err);
    const struct context_config config = {.role = CONTEXT_CLIENT, .anchors = anchors, .version_min = 0x0303};
    struct context *context = context_new(&config, &err, NULL);
    if (context == NULL)
        fail_msg("%s", err.text);
    anchors_unref(anchors);
    return context;
}

static int show_staple(SSL *ssl, void *argument)
{
    const struct span *staple = argument;
    if (staple->size == 0)
        return SSL_TLSEXT_ERR_NOACK;
    unsigned char *copy = OPENSSL_memdup(staple->ptr, staple->size);
    (void)SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP, (long)staple->size, copy);
    return SSL_TLSEXT_ERR_OK;
}

/* OpenSSL's server with a chain and a key of ours, which staples that. */
static void open_server(struct joint *joint, struct context *client, int version, const char *chain, const char *key,
                        struct span *staple)
{
    joint_open(joint, client, true, version);
    assert_int_equal(SSL_use_certificate_chain_file(joint->ssl, cert_path(chain)), 1);
    assert_int_equal(SSL_use_PrivateKey_file(joint->ssl, cert_path(key), SSL_FILETYPE_PEM), 1);
    SSL_CTX_set_tlsext_status_cb(joint->factory, show_staple);
    SSL_CTX_set_tlsext_status_arg(joint->factory, staple);
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

static void client__of_a_server_with_an_answer__has_it_whatever_it_is(void **state)
{
    static const char *const chains[] = {"a.pem", "a.leaf"}; /* with its authority, and alone */
    struct span rows[] = {
        SPAN_NONE,
        answer_about("a.leaf", V_OCSP_CERTSTATUS_GOOD, 1),
        answer_about("a.leaf", V_OCSP_CERTSTATUS_REVOKED, 1),
        answer_about("a.leaf", V_OCSP_CERTSTATUS_UNKNOWN, 1),
        answer_about("a.leaf", V_OCSP_CERTSTATUS_GOOD, -1),
        answer_about("b.leaf", V_OCSP_CERTSTATUS_GOOD, 1),
        garbage(1),
        garbage(100),
        garbage(15000),
    };
    struct context *context = judging_client();
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (unsigned k = 0; k < 2 * VERSION_COUNT; k++) {
            struct joint joint;
            open_server(&joint, context, versions[k / 2], chains[k % 2], "a.key", &rows[i]);
            assert_int_equal(engine_staple(joint.side.engine).size, 0);
            joint_shake(&joint);
            assert_int_equal(engine_credential(joint.side.engine)->verdict, CREDENTIAL_VALID);
            if (!span_equal(engine_staple(joint.side.engine), rows[i]))
                fail_msg("row %zu, %u: %zu bytes", i, k, engine_staple(joint.side.engine).size);
            assert_false(engine_is_unstapled(joint.side.engine));
            engine_drop_staple(joint.side.engine);
            assert_int_equal(engine_staple(joint.side.engine).size, 0);
            joint_close(&joint);
        }
        span_free(&rows[i]);
    }
    context_unref(context);
}

/* The library bounds a message of the handshake, as it does long chains: then it ends. What comes through is whole. */
static void client__of_a_server_with_a_huge_answer__has_it_or_fails(void **state)
{
    static const size_t sizes[] = {16000, 17000, 20000, 40000, 65000, 65535, 65536, 65537, 80000};
    struct context *context = judging_client();
    unsigned failed = 0, shown = 0;
    (void)state;
    for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct joint joint;
        struct span staple = garbage(sizes[i / 2]);
        open_server(&joint, context, versions[i % 2], "a.pem", "a.key", &staple);
        joint_run(&joint, NULL, NULL);
        bool is_ready = engine_is_ready(joint.side.engine);
        bool is_whole = span_equal(engine_staple(joint.side.engine), staple);
        assert_true(is_ready ? is_whole || staple.size > REVOCATION_OCSP_MAX
                             : joint.side.status == ENGINE_FAILED || joint.is_broken);
        failed += !is_ready;
        shown += is_ready && is_whole;
        joint_close(&joint);
        span_free(&staple);
    }
    assert_true(failed > 0 && shown > 0);
    context_unref(context);
}

/* Nobody would judge the answer: it is not asked for. */
static void client__without_anchors__does_not_ask(void **state)
{
    struct span staple = garbage(100);
    struct context *context = client_context(0x0303, 0, NULL);
    (void)state;
    for (unsigned i = 0; i < VERSION_COUNT; i++) {
        struct joint joint;
        open_server(&joint, context, versions[i], "a.pem", "a.key", &staple);
        joint_shake(&joint);
        assert_int_equal(SSL_get_tlsext_status_type(joint.ssl), -1);
        assert_int_equal(engine_staple(joint.side.engine).size, 0);
        joint_close(&joint);
    }
    span_free(&staple);
    context_unref(context);
}

static void client__of_a_certificate_that_must_be_stapled__tells_when_it_is_not(void **state)
{
    struct {
        const char *chain, *key;
        struct span staple;
        bool is_unstapled;
    } rows[] = {
        {"must.pem", "must.key", SPAN_NONE, true},
        {"must.leaf", "must.key", SPAN_NONE, true},
        {"must.pem", "must.key", answer_about("must.leaf", V_OCSP_CERTSTATUS_GOOD, 1), false},
        {"must.leaf", "must.key", answer_about("must.leaf", V_OCSP_CERTSTATUS_GOOD, 1), false},
        {"must.pem", "must.key", answer_about("must.leaf", V_OCSP_CERTSTATUS_REVOKED, 1), false},
        {"must.pem", "must.key", answer_about("must.leaf", V_OCSP_CERTSTATUS_UNKNOWN, 1), true},
        {"must.pem", "must.key", answer_about("must.leaf", V_OCSP_CERTSTATUS_GOOD, -1), true},
        {"must.pem", "must.key", answer_about("b.leaf", V_OCSP_CERTSTATUS_GOOD, 1), true},
        {"must.pem", "must.key", garbage(500), true},
        {"b.pem", "b.key", SPAN_NONE, false},
        {"b.pem", "b.key", garbage(500), false},
    };
    struct context *context = judging_client();
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (unsigned k = 0; k < VERSION_COUNT; k++) {
            struct joint joint;
            open_server(&joint, context, versions[k], rows[i].chain, rows[i].key, &rows[i].staple);
            joint_shake(&joint);
            engine_drop_staple(joint.side.engine); /* it is known already */
            if (engine_is_unstapled(joint.side.engine) != rows[i].is_unstapled)
                fail_msg("row %zu, version %u", i, k);
            joint_close(&joint);
        }
        span_free(&rows[i].staple);
    }
    context_unref(context);
}

/* Its hello comes twice too, and asks both times. */
static void client__that_is_asked_for_another_hello__has_it_all_the_same(void **state)
{
    struct span rows[] = {answer_about("must.leaf", V_OCSP_CERTSTATUS_GOOD, 1), SPAN_NONE};
    struct context *context = judging_client();
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct joint joint;
        open_server(&joint, context, TLS1_3_VERSION, "must.pem", "must.key", &rows[i]);
        assert_int_equal(offer_groups(joint.ssl, "P-384"), 1);
        joint_shake(&joint);
        assert_true(span_equal(engine_staple(joint.side.engine), rows[i]));
        assert_int_equal(engine_is_unstapled(joint.side.engine), rows[i].size == 0);
        joint_close(&joint);
        span_free(&rows[i]);
    }
    context_unref(context);
}

/* A server may ask for its client's too (RFC 8446 s4.3.2), which the library takes for a client's hello. */
static void client__asked_for_its_own__has_none(void **state)
{
    struct context *context = judging_client();
    struct engine *engine = engine_new(context, SPAN("a.example"));
    (void)state;
    assert_null(staple_shelf_get(engine_shelf(engine)));
    engine_free(engine);
    context_unref(context);
}

/* ---- servers ----------------------------------------------------------------------------------------------------- */

static const char *const names[] = {"a", "b", NULL};

static struct span seen_by(const struct joint *joint)
{
    unsigned char *bytes = NULL;
    long size = SSL_ctrl(joint->ssl, SSL_CTRL_GET_TLSEXT_STATUS_REQ_OCSP_RESP, 0, &bytes);
    return size > 0 ? span_of(bytes, (size_t)size) : SPAN_NONE;
}

static void expect_shown(struct context *context, int version, const char *name, bool is_asked, struct span expected)
{
    struct joint joint;
    joint_open(&joint, context, false, version);
    send_name(joint.ssl, name);
    if (is_asked)
        SSL_set_tlsext_status_type(joint.ssl, TLSEXT_STATUSTYPE_ocsp);
    joint_shake(&joint);
    assert_true(span_equal(seen_by(&joint), expected));
    assert_int_equal(engine_staple(joint.side.engine).size, 0);
    assert_false(engine_is_unstapled(joint.side.engine));
    joint_close(&joint);
    forget_session();
}

static void server__with_answers__shows_each_to_who_asks(void **state)
{
    struct span answers[] = {answer_about("a.leaf", V_OCSP_CERTSTATUS_GOOD, 1), garbage(CONTEXT_STAPLE_MAX)};
    struct context *context = server_context(names, NULL, 0x0303, 0, NULL);
    (void)state;
    for (unsigned i = 0; i < VERSION_COUNT; i++) {
        assert_true(context_set_staple(context, 0, SPAN_NONE));
        assert_true(context_set_staple(context, 1, SPAN_NONE));
        expect_shown(context, versions[i], "a.example", true, SPAN_NONE);
        assert_true(context_set_staple(context, 0, answers[0]));
        expect_shown(context, versions[i], "a.example", true, answers[0]);
        expect_shown(context, versions[i], "a.example", false, SPAN_NONE);
        expect_shown(context, versions[i], "b.example", true, SPAN_NONE);
        expect_shown(context, versions[i], "x.example", true, answers[0]); /* the first one's, like its certificate */
        assert_true(context_set_staple(context, 1, answers[1]));
        expect_shown(context, versions[i], "b.example", true, answers[1]);
        expect_shown(context, versions[i], "a.example", true, answers[0]);
        assert_true(context_set_staple(context, 0, answers[1])); /* a newer one */
        expect_shown(context, versions[i], "a.example", true, answers[1]);
    }
    span_free(&answers[0]);
    span_free(&answers[1]);
    context_unref(context);
}

/* The hello comes twice (RFC 8446 s4.1.4), and the answer once. */
static void server__that_asks_for_another_hello__shows_it_all_the_same(void **state)
{
    struct span answer = answer_about("a.leaf", V_OCSP_CERTSTATUS_GOOD, 1);
    struct context *context = server_context(names, NULL, 0x0303, 0, NULL);
    struct joint joint;
    (void)state;
    assert_true(context_set_staple(context, 0, answer));
    joint_open(&joint, context, false, TLS1_3_VERSION);
    assert_int_equal(offer_groups(joint.ssl, "X448:P-256"), 1);
    SSL_set_tlsext_status_type(joint.ssl, TLSEXT_STATUSTYPE_ocsp);
    joint_shake(&joint);
    assert_true(span_equal(seen_by(&joint), answer));
    joint_close(&joint);
    forget_session();
    span_free(&answer);
    context_unref(context);
}

/* A resumed handshake shows no certificate, and so no answer: one that lies ready does not disturb it. */
static void server__that_resumes__shows_none(void **state)
{
    struct span answer = answer_about("a.leaf", V_OCSP_CERTSTATUS_GOOD, 1);
    struct ticket_keys *keys = ticket_keys_new();
    struct context *context = server_context(names, keys, 0x0303, 0, NULL);
    (void)state;
    assert_true(context_set_staple(context, 0, answer));
    for (unsigned i = 0; i < 2 * VERSION_COUNT; i++) {
        struct joint joint;
        bool is_first = i % 2 == 0;
        joint_open(&joint, context, false, versions[i / 2]);
        send_name(joint.ssl, "a.example");
        SSL_set_tlsext_status_type(joint.ssl, TLSEXT_STATUSTYPE_ocsp);
        if (!is_first)
            SSL_set_session(joint.ssl, last_session);
        joint_shake(&joint);
        assert_int_equal(engine_is_resumed(joint.side.engine), !is_first);
        assert_true(span_equal(seen_by(&joint), is_first ? answer : SPAN_NONE));
        SSL_shutdown(joint.ssl);
        joint_close(&joint);
        if (!is_first)
            forget_session();
    }
    context_unref(context);
    ticket_keys_free(keys);
    span_free(&answer);
}

/* Both of them ours, as between two routers. */
static void both__of_ours__carry_it(void **state)
{
    struct span answer = answer_about("a.leaf", V_OCSP_CERTSTATUS_GOOD, 1);
    struct context *server = server_context(names, NULL, 0x0303, 0, NULL), *client = judging_client();
    struct pair pair;
    (void)state;
    assert_true(context_set_staple(server, 0, answer));
    pair_open(&pair, client, server, "a.example");
    pair_shake(&pair);
    struct span staple = engine_staple(pair.client.engine);
    assert_true(span_equal(staple, answer));
    const struct credential *credential = engine_credential(pair.client.engine);
    assert_int_equal(ocsp_judge(staple, credential->path[0].der, credential->path[1].der, (int64_t)time(NULL)).status,
                     REVOCATION_GOOD);
    pair_close(&pair);
    span_free(&answer);
    context_unref(server);
    context_unref(client);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

struct exchange {
    struct context *server, *client;
    atomic_bool is_over;
};

/* Each is of one byte again and again, so that a mixture would be seen. */
static void *exchange(void *context)
{
    struct exchange *exchange = context;
    char bytes[3000];
    for (unsigned i = 1; !atomic_load(&exchange->is_over); i++) {
        memset(bytes, (int)(i % 100 + 1), sizeof(bytes));
        assert_true(context_set_staple(exchange->server, 0, i % 5 == 0 ? SPAN_NONE : span_of(bytes, i % 2900 + 1)));
        struct span copy = context_staple(exchange->server, 0);
        assert_true(copy.ptr == NULL || copy.ptr[0] == copy.ptr[copy.size - 1]);
        span_free(&copy);
    }
    return NULL;
}

static void *shake_often(void *context)
{
    const struct exchange *exchange = context;
    for (unsigned i = 0; i < 40; i++) {
        struct pair pair;
        pair_open(&pair, exchange->client, exchange->server, "a.example");
        pair_shake(&pair);
        struct span staple = engine_staple(pair.client.engine);
        for (size_t k = 1; k < staple.size; k++)
            assert_int_equal(staple.ptr[k], staple.ptr[0]);
        pair_close(&pair);
    }
    return NULL;
}

static void answer__exchanged_while_handshakes_run__is_one_of_them(void **state)
{
    struct exchange shared = {server_context(names, NULL, 0x0303, 0, NULL), judging_client(), false};
    pthread_t threads[3];
    (void)state;
    assert_int_equal(pthread_create(&threads[0], NULL, exchange, &shared), 0);
    for (unsigned i = 1; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, shake_often, &shared), 0);
    for (unsigned i = 3; i-- > 0;) {
        if (i == 0)
            atomic_store(&shared.is_over, true);
        pthread_join(threads[i], NULL);
    }
    context_unref(shared.server);
    context_unref(shared.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client__of_a_server_with_an_answer__has_it_whatever_it_is),
        cmocka_unit_test(client__of_a_server_with_a_huge_answer__has_it_or_fails),
        cmocka_unit_test(client__without_anchors__does_not_ask),
        cmocka_unit_test(client__of_a_certificate_that_must_be_stapled__tells_when_it_is_not),
        cmocka_unit_test(client__that_is_asked_for_another_hello__has_it_all_the_same),
        cmocka_unit_test(client__asked_for_its_own__has_none),
        cmocka_unit_test(server__with_answers__shows_each_to_who_asks),
        cmocka_unit_test(server__that_asks_for_another_hello__shows_it_all_the_same),
        cmocka_unit_test(server__that_resumes__shows_none),
        cmocka_unit_test(both__of_ours__carry_it),
        cmocka_unit_test(answer__exchanged_while_handshakes_run__is_one_of_them),
    };
    struct err err;
    if (!tls_start(&err))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_stop();
    return failed;
}
