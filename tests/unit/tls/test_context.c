/* SPDX-License-Identifier: MIT */
#include "core/base/err.h"
#include "pair.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <setjmp.h>

#include <cmocka.h>

static struct context *load(const char *name, const char *certificate, const char *key, struct err *err,
                            struct err *warning)
{
    const struct context_domain domain = {name, cert_path(certificate), cert_path(key)};
    const struct context_config config = {
        .role = CONTEXT_SERVER, .domains = &domain, .domain_count = 1, .version_min = 0x0303};
    return context_new(&config, err, warning);
}

static void load__bad_files__names_the_file_and_the_reason(void **state)
{
    static const struct {
        const char *certificate;
        const char *key;
        const char *culprit;
        const char *reason;
    } rows[] = {
        {"missing.pem", "a.key", "missing.pem", "No such file"},
        {"a.pem", "missing.key", "missing.key", "No such file"},
        {"empty.pem", "a.key", "empty.pem", "empty"},
        {"a.pem", "empty.pem", "empty.pem", "empty"},
        {"garbage.pem", "a.key", "garbage.pem", "not a certificate in PEM"},
        {"a.key", "a.key", "a.key", "not a certificate in PEM"},
        {"a.pem", "garbage.pem", "garbage.pem", "not a private key in PEM"},
        {"a.pem", "a.pem", "a.pem", "not a private key in PEM"},
        {"a.pem", "b.key", "b.key", "does not match"},
        {"a.pem", "idn.key", "idn.key", "does not match"},
        {"b.pem", "rsa.key", "rsa.key", "does not match"},
        {".", "a.key", ".", "directory"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err err = {""};
        struct err warning = {""};
        assert_null(load("a.example", rows[i].certificate, rows[i].key, &err, &warning));
        if (strstr(err.text, rows[i].culprit) == NULL || strstr(err.text, rows[i].reason) == NULL ||
            strstr(err.text, "a.example") == NULL)
            fail_msg("row %zu: %s", i, err.text);
    }
}

static void load__good_files__warns_of_what_the_caller_may_judge(void **state)
{
    static const struct {
        const char *domain;
        const char *files;
        const char *warning; /* NULL: none */
    } rows[] = {
        {"a.example", "a", NULL},
        {"A.example", "a", NULL},
        {"b.example", "b", NULL},
        {"c.example", "c", NULL},
        {"chat.wild.example", "wild", NULL},
        {"m\xc3\xbcller.example", "idn", NULL},
        {"xn--mller-kva.example", "idn", NULL},
        {"b.example", "a", "not for b.example"},
        {"wild.example", "wild", "not for wild.example"},
        {"a.b.wild.example", "wild", "not for a.b.wild.example"},
        {"xa.example", "a", "not for"},
        {"a.example", "old", "expired 1 days ago"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err err = {""};
        struct err warning = {"stale"};
        char certificate[32];
        char key[32];
        snprintf(certificate, sizeof(certificate), "%s.pem", rows[i].files);
        snprintf(key, sizeof(key), "%s.key", rows[i].files);
        struct context *context = load(rows[i].domain, certificate, key, &err, &warning);
        if (context == NULL)
            fail_msg("row %zu: %s", i, err.text);
        if (rows[i].warning == NULL)
            assert_string_equal(warning.text, "");
        else if (strstr(warning.text, rows[i].warning) == NULL || strstr(warning.text, certificate) == NULL)
            fail_msg("row %zu: %s", i, warning.text);
        context_unref(context);
        context_unref(load(rows[i].domain, certificate, key, &err, NULL));
    }
}

static void client__bad_trust_anchors__names_the_file(void **state)
{
    static const char *const files[] = {"missing.pem", "garbage.pem", "empty.pem"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct err err = {""};
        const struct context_config config = {
            .role = CONTEXT_CLIENT, .ca_file = cert_path(files[i]), .version_min = 0x0303};
        assert_null(context_new(&config, &err, NULL));
        assert_non_null(strstr(err.text, files[i]));
    }
    struct err err = {""};
    const struct context_config config = {.role = CONTEXT_CLIENT, .version_min = 0x0303};
    assert_null(context_new(&config, &err, NULL));
    assert_non_null(strstr(err.text, "trust anchors"));
}

static void name__of_client_and_fallback__chooses_the_domain(void **state)
{
    static const char *const names[] = {"a", "b", "c", "wild", NULL};
    static const struct {
        const char *sent;
        const char *fallback;
        const char *chosen;
    } rows[] = {
        {"b.example", "", "b.example"},          {"c.example", "b.example", "c.example"},
        {"", "b.example", "b.example"},          {"", "", "a.example"},
        {"", "stranger.example", "a.example"},   {"stranger.example", "b.example", "b.example"},
        {"192.0.2.1", "b.example", "b.example"},
    };
    struct context *server = server_context(names, NULL, 0x0303, 0, NULL);
    struct context *client = client_context(0x0303, 0, NULL);
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pair pair;
        pair_open(&pair, client, server, rows[i].sent);
        engine_free(pair.server.engine);
        pair.server.engine = engine_new(server, span_str(rows[i].fallback));
        pair_shake(&pair);
        struct span chosen = engine_server_name(pair.server.engine);
        if (!span_is(chosen, rows[i].chosen))
            fail_msg("row %zu: %.*s", i, SPAN_ARG(chosen));
        pair_close(&pair);
    }
    context_unref(server);
    context_unref(client);
}

static void name__in_unicode__meets_its_a_label(void **state)
{
    const struct context_domain domains[] = {
        {"a.example", cert_path("a.pem"), cert_path("a.key")},
        {"m\xc3\xbcller.example", cert_path("idn.pem"), cert_path("idn.key")},
    };
    const struct context_config config = {
        .role = CONTEXT_SERVER, .domains = domains, .domain_count = 2, .version_min = 0x0303};
    static const char *const sent[] = {"m\xc3\xbcller.example", "xn--mller-kva.example", "XN--MLLER-KVA.example"};
    struct err err = {""};
    struct context *server = context_new(&config, &err, NULL);
    struct context *client = client_context(0x0303, 0, NULL);
    (void)state;
    assert_non_null(server);
    for (size_t i = 0; i < 3; i++) {
        struct pair pair;
        pair_open(&pair, client, server, sent[i]);
        pair_shake(&pair);
        assert_true(span_is(engine_server_name(pair.server.engine), "m\xc3\xbcller.example"));
        pair_close(&pair);
    }
    context_unref(server);
    context_unref(client);
}

static void alpn__lists__are_agreed_or_refused(void **state)
{
    static const char *const names[] = {"a", NULL};
    static const char *const c2s[] = {"xmpp-client", NULL};
    static const char *const web[] = {"h2", NULL};
    static const char *const both[] = {"xmpp-server", "xmpp-client", NULL};
    static const struct {
        const char *const *client;
        const char *const *server;
        const char *agreed; /* NULL: refused */
    } rows[] = {
        {NULL, NULL, ""},           {c2s, NULL, ""},   {NULL, c2s, ""}, {c2s, c2s, "xmpp-client"},
        {c2s, both, "xmpp-client"}, {web, both, NULL},
    };
    (void)state;
    for (unsigned i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        uint16_t version = i % 2 == 0 ? 0x0303 : 0x0304;
        struct context *server = server_context(names, NULL, 0x0303, 0, rows[i / 2].server);
        struct context *client = client_context(version, version, rows[i / 2].client);
        struct pair pair;
        pair_open(&pair, client, server, "a.example");
        if (rows[i / 2].agreed != NULL) {
            pair_shake(&pair);
            assert_true(span_is(engine_alpn(pair.server.engine), rows[i / 2].agreed));
            assert_true(span_is(engine_alpn(pair.client.engine), rows[i / 2].agreed));
        } else {
            assert_int_equal(engine_start(pair.client.engine, &pair.client.wire, &pair.pool), ENGINE_OK);
            pair_run(&pair);
            assert_int_equal(pair.server.status, ENGINE_FAILED);
            assert_string_equal(engine_error(pair.client.engine), "the peer's alert: no_application_protocol");
        }
        pair_close(&pair);
        context_unref(server);
        context_unref(client);
    }
}

static void reload__while_engines_live__leaves_them_alone(void **state)
{
    static const char *const old_names[] = {"a", NULL};
    static const char *const new_names[] = {"b", NULL};
    struct context *client = client_context(0x0303, 0, NULL);
    struct context *server = server_context(old_names, NULL, 0x0303, 0, NULL);
    struct pair ready;
    struct pair half;
    (void)state;
    pair_open(&ready, client, server, "a.example");
    pair_shake(&ready);
    pair_open(&half, client, server, "a.example");
    context_unref(server);
    server = server_context(new_names, NULL, 0x0303, 0, NULL);
    pair_shake(&half);
    assert_true(span_is(engine_server_name(half.server.engine), "a.example"));
    side_say(&ready, &ready.client, SPAN("still here"));
    pair_run(&ready);
    assert_int_equal(ready.server.plain.size, 10);
    pair_close(&ready);
    pair_close(&half);
    pair_open(&ready, client, server, "a.example");
    pair_shake(&ready);
    assert_true(span_is(engine_server_name(ready.server.engine), "b.example"));
    pair_close(&ready);
    context_unref(server);
    context_unref(client);
}

static void library__version__is_told(void **state)
{
    (void)state;
    print_message("%s\n", tls_library());
    assert_int_equal(strncmp(tls_library(), "wolfSSL 5.", 10), 0);
    assert_non_null(strchr(tls_library(), '('));
}

/* A renewal has the same issuer, or another one of its organisation, and the same names; its key and dates are its own.
 */
static void is_renewal__of_certificates__by_issuer_and_names(void **state)
{
    static const struct {
        const char *before, *after; /* files */
        const char *key_before, *key_after;
        bool is_renewal;
    } rows[] = {
        {"a.pem", "a.pem", "a.key", "a.key", true},          {"old.pem", "a.pem", "a.key", "a.key", true},
        {"a.pem", "fresh.pem", "a.key", "fresh.key", true},  {"a.pem", "foreign.pem", "a.key", "a.key", false},
        {"a.pem", "b.pem", "a.key", "b.key", false},         {"by_e5.pem", "by_e6.pem", "a.key", "a.key", true},
        {"by_e6.pem", "by_e7.pem", "a.key", "a.key", false}, {"a.pem", "by_e5.pem", "a.key", "a.key", false},
        {"by_e5.pem", "a.pem", "a.key", "a.key", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err err;
        struct context *before = load("a.example", rows[i].before, rows[i].key_before, &err, NULL);
        struct context *after = load("a.example", rows[i].after, rows[i].key_after, &err, NULL);
        assert_non_null(before);
        assert_non_null(after);
        assert_int_equal(context_is_renewal(before, after, SPAN("a.example")), rows[i].is_renewal);
        assert_false(context_is_renewal(before, NULL, SPAN("a.example")));
        assert_true(context_is_renewal(before, after, SPAN("elsewhere.example")));
        context_unref(before);
        context_unref(after);
    }
    assert_true(context_is_renewal(NULL, NULL, SPAN("a.example")));
}

static void certificate__of_a_domain__tells_its_facts(void **state)
{
    struct err err;
    struct context_certificate own;
    struct context *context = load("a.example", "a.pem", "a.key", &err, NULL);
    (void)state;
    assert_non_null(context);
    assert_true(context_certificate(context, 0, &own));
    assert_string_equal(own.domain, "a.example");
    assert_true(span_is(own.issuer, "Sluice test authority"));
    assert_true(own.serial.size > 0 && own.der.size > own.serial.size);
    assert_true(own.not_after > (int64_t)time(NULL));
    assert_false(context_certificate(context, 1, &own));
    context_unref(context);
    context = load("a.example", "old.pem", "a.key", &err, NULL);
    assert_non_null(context);
    assert_true(context_certificate(context, 0, &own));
    assert_true(own.not_after > 0 && own.not_after < (int64_t)time(NULL));
    context_unref(context);
}

static void staple__set_and_taken_away__is_a_copy_of_its_own(void **state)
{
    static char large[CONTEXT_STAPLE_MAX + 1];
    char text[] = "an answer";
    struct err err = {""};
    (void)state;
    struct context *context = load("a.example", "a.pem", "a.key", &err, NULL);
    assert_non_null(context);
    assert_null(context_staple(context, 0).ptr);
    assert_true(context_set_staple(context, 0, span_str(text)));
    text[0] = 'X';
    struct span staple = context_staple(context, 0);
    assert_true(span_is(staple, "an answer"));
    assert_false(context_set_staple(context, 1, SPAN("of nobody")));
    assert_false(context_set_staple(context, 0, span_of(large, sizeof(large))));
    assert_true(context_set_staple(context, 0, SPAN("another")));
    assert_true(span_is(staple, "an answer"));
    span_free(&staple);
    staple = context_staple(context, 0);
    assert_true(span_is(staple, "another"));
    span_free(&staple);
    assert_true(context_set_staple(context, 0, SPAN_NONE));
    assert_null(context_staple(context, 0).ptr);
    context_unref(context);
    context = client_context(0x0304, 0, NULL);
    assert_false(context_set_staple(context, 0, SPAN("of a client")));
    assert_null(context_staple(context, 0).ptr);
    context_unref(context);
}

static void certificate__above_a_leaf__is_what_the_file_has(void **state)
{
    struct err err;
    struct context_certificate leaf, above;
    struct context *context = load("a.example", "a.pem", "a.key", &err, NULL);
    (void)state;
    assert_non_null(context);
    assert_true(context_certificate(context, 0, &leaf));
    assert_true(span_is(leaf.subject, "a"));
    assert_false(leaf.must_staple);
    assert_true(context_certificate_above(context, 0, 0, &above));
    assert_true(span_is(above.subject, "Sluice test authority"));
    assert_true(span_is(above.issuer, "Sluice test authority"));
    assert_true(above.not_after > (int64_t)time(NULL));
    assert_false(context_certificate_above(context, 0, 1, &above));
    assert_false(context_certificate_above(context, 1, 0, &above));
    assert_true(span_equal(context_certificate_issuer(context, 0, NULL), above.der));
    assert_true(context_certificate_issuer(context, 1, NULL).ptr == NULL);
    context_unref(context);
}

static void issuer__that_the_file_lacks__is_an_anchor(void **state)
{
    struct err err;
    struct context_certificate above;
    struct context *context = load("a.example", "a.leaf", "a.key", &err, NULL);
    struct anchors *others = anchors_new(cert_path("ca.pem"), &err),
                   *foreign = anchors_new(cert_path("foreign.pem"), &err);
    (void)state;
    assert_true(context && others && foreign);
    assert_false(context_certificate_above(context, 0, 0, &above));
    assert_true(context_certificate_issuer(context, 0, NULL).ptr == NULL);
    assert_true(context_certificate_issuer(context, 0, foreign).ptr == NULL);
    assert_true(context_certificate_issuer(context, 0, others).size > 0);
    anchors_unref(others);
    anchors_unref(foreign);
    context_unref(context);
    /* One that has signed itself is not asked for. */
    context = load("a.example", "foreign.pem", "a.key", &err, NULL);
    assert_non_null(context);
    assert_true(context_certificate_issuer(context, 0, NULL).ptr == NULL);
    context_unref(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(load__bad_files__names_the_file_and_the_reason),
        cmocka_unit_test(load__good_files__warns_of_what_the_caller_may_judge),
        cmocka_unit_test(client__bad_trust_anchors__names_the_file),
        cmocka_unit_test(name__of_client_and_fallback__chooses_the_domain),
        cmocka_unit_test(name__in_unicode__meets_its_a_label),
        cmocka_unit_test(alpn__lists__are_agreed_or_refused),
        cmocka_unit_test(reload__while_engines_live__leaves_them_alone),
        cmocka_unit_test(is_renewal__of_certificates__by_issuer_and_names),
        cmocka_unit_test(certificate__of_a_domain__tells_its_facts),
        cmocka_unit_test(staple__set_and_taken_away__is_a_copy_of_its_own),
        cmocka_unit_test(certificate__above_a_leaf__is_what_the_file_has),
        cmocka_unit_test(issuer__that_the_file_lacks__is_an_anchor),
        cmocka_unit_test(library__version__is_told),
    };
    struct err err;
    if (!tls_start(&err))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_stop();
    return failed;
}
