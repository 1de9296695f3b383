/* SPDX-License-Identifier: MIT */
/*
 * Both ends ask for certificates and judge them, as servers do. What each chain is worth is the matrix' affair.
 */
#include "pair.h"
#include "tls/credential.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

static const char *const alpn[] = {"xmpp-server", NULL};

static struct anchors *load_anchors(const char *path)
{
    struct err err = {""};
    struct anchors *anchors = anchors_new(path, &err);
    if (anchors == NULL)
        fail_msg("%s", err.text);
    return anchors;
}

static int64_t in_twenty_years(void)
{
    return (int64_t)time(NULL) + 20LL * 365 * 86400;
}

/* "ab": the domains a.example and b.example. Judges when there are anchors. */
static struct context *make_context(enum context_role role, const char *letters, struct anchors *anchors,
                                    uint16_t version, context_clock_fn clock)
{
    struct err err = {""};
    struct context_domain domains[4];
    char texts[4][3][32];
    unsigned count = 0;
    for (; letters[count] != '\0'; count++) {
        char(*text)[32] = texts[count];
        snprintf(text[0], 32, "%c.example", letters[count]);
        snprintf(text[1], 32, "%c.pem", letters[count]);
        snprintf(text[2], 32, "%c.key", letters[count]);
        domains[count] = (struct context_domain){text[0], cert_path(text[1]), cert_path(text[2])};
    }
    const struct context_config config = {
        .role = role,
        .domains = domains,
        .domain_count = count,
        .alpn = alpn,
        .anchors = anchors,
        .clock = clock,
        .insecure = anchors == NULL,
        .version_min = version,
        .version_max = version,
    };
    struct context *context = context_new(&config, &err, NULL);
    if (context == NULL)
        fail_msg("%s", err.text);
    return context;
}

struct meeting {
    struct pair pair;
    struct context *client;
    struct context *server;
};

static void meet(struct meeting *meeting, struct context *client, struct context *server, const char *own)
{
    struct pair *pair = &meeting->pair;
    meeting->client = client;
    meeting->server = server;
    memset(pair, 0, sizeof(*pair));
    chunk_pool_init(&pair->pool, 64);
    pair->client.engine = engine_new_client(client, SPAN("a.example"), span_str(own));
    pair->server.engine = engine_new(server, SPAN_NONE);
    assert_non_null(pair->client.engine);
    assert_non_null(pair->server.engine);
    assert_null(engine_credential(pair->client.engine));
    pair_shake(pair);
}

static void part(struct meeting *meeting)
{
    pair_close(&meeting->pair);
    context_unref(meeting->client);
    context_unref(meeting->server);
}

static bool is_for(const struct credential *credential, const char *domain)
{
    return credential->verdict == CREDENTIAL_VALID &&
           identity_matches(&credential->identity, span_str(domain), "xmpp-server");
}

/* Holds 6120:5.4.3.1/5. */
static void both__present_good_certificates__know_each_other(void **state)
{
    struct anchors *anchors = load_anchors(cert_path("ca.pem"));
    (void)state;
    for (uint16_t version = 0x0303; version <= 0x0304; version++) {
        struct meeting meeting;
        meet(&meeting, make_context(CONTEXT_CLIENT, "b", anchors, version, NULL),
             make_context(CONTEXT_SERVER, "a", anchors, version, NULL), "b.example");
        struct engine *client = meeting.pair.client.engine;
        struct engine *server = meeting.pair.server.engine;
        char bytes[2][ENGINE_BINDING_MAX];
        assert_true(is_for(engine_credential(client), "a.example"));
        assert_false(is_for(engine_credential(client), "b.example"));
        assert_true(is_for(engine_credential(server), "b.example"));
        assert_false(is_for(engine_credential(server), "a.example"));
        assert_true(span_is(engine_alpn(client), "xmpp-server"));
        assert_true(span_is(engine_server_name(server), "a.example"));
        /* The bindings are those of the connection and of the server's certificate, as without a client's. */
        for (unsigned kind = 0; kind < 3; kind++) {
            size_t size = engine_binding(client, (enum engine_binding)kind, bytes[0]);
            assert_int_equal(size, engine_binding(server, (enum engine_binding)kind, bytes[1]));
            assert_memory_equal(bytes[0], bytes[1], size);
            assert_true(size > 0 || (enum engine_binding)kind == BINDING_UNIQUE);
        }
        side_say(&meeting.pair, &meeting.pair.client, SPAN("ping"));
        pair_run(&meeting.pair);
        assert_int_equal(meeting.pair.server.plain.size, 4);
        part(&meeting);
    }
    anchors_unref(anchors);
}

static void client__of_two_domains__presents_the_one_it_calls_from(void **state)
{
    static const struct {
        const char *own;
        const char *presented;
    } rows[] = {{"a.example", "a.example"}, {"B.example", "b.example"}, {"", "a.example"}, {"x.example", "a.example"}};
    struct anchors *anchors = load_anchors(cert_path("ca.pem"));
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct meeting meeting;
        meet(&meeting, make_context(CONTEXT_CLIENT, "ab", anchors, 0x0304, NULL),
             make_context(CONTEXT_SERVER, "a", anchors, 0x0304, NULL), rows[i].own);
        assert_true(is_for(engine_credential(meeting.pair.server.engine), rows[i].presented));
        part(&meeting);
    }
    anchors_unref(anchors);
}

static void client__without_a_certificate__is_told_as_such(void **state)
{
    struct anchors *anchors = load_anchors(cert_path("ca.pem"));
    (void)state;
    for (uint16_t version = 0x0303; version <= 0x0304; version++) {
        struct meeting meeting;
        meet(&meeting, make_context(CONTEXT_CLIENT, "", anchors, version, NULL),
             make_context(CONTEXT_SERVER, "a", anchors, version, NULL), "");
        const struct credential *credential = engine_credential(meeting.pair.server.engine);
        assert_int_equal(credential->verdict, CREDENTIAL_NONE);
        assert_int_equal(credential->identity.count, 0);
        assert_null(engine_take_credential(meeting.pair.server.engine));
        assert_true(is_for(engine_credential(meeting.pair.client.engine), "a.example"));
        part(&meeting);
    }
    anchors_unref(anchors);
}

static void server__without_anchors__does_not_ask(void **state)
{
    struct anchors *anchors = load_anchors(cert_path("ca.pem"));
    struct meeting meeting;
    (void)state;
    meet(&meeting, make_context(CONTEXT_CLIENT, "b", anchors, 0x0304, NULL),
         make_context(CONTEXT_SERVER, "a", NULL, 0x0304, NULL), "b.example");
    assert_null(engine_credential(meeting.pair.server.engine));
    assert_null(engine_take_credential(meeting.pair.server.engine));
    assert_true(is_for(engine_credential(meeting.pair.client.engine), "a.example"));
    part(&meeting);
    anchors_unref(anchors);
}

static void judged__by_another_clock__are_expired(void **state)
{
    struct anchors *anchors = load_anchors(cert_path("ca.pem"));
    struct meeting meeting;
    (void)state;
    meet(&meeting, make_context(CONTEXT_CLIENT, "b", anchors, 0x0304, in_twenty_years),
         make_context(CONTEXT_SERVER, "a", anchors, 0x0304, in_twenty_years), "b.example");
    assert_int_equal(engine_credential(meeting.pair.client.engine)->verdict, CREDENTIAL_EXPIRED);
    assert_int_equal(engine_credential(meeting.pair.server.engine)->verdict, CREDENTIAL_EXPIRED);
    assert_string_equal(credential_text(CREDENTIAL_EXPIRED), "expired");
    part(&meeting);
    anchors_unref(anchors);
}

static void credential__taken__outlives_its_engine(void **state)
{
    struct anchors *anchors = load_anchors(cert_path("ca.pem"));
    struct meeting meeting;
    (void)state;
    meet(&meeting, make_context(CONTEXT_CLIENT, "b", anchors, 0x0304, NULL),
         make_context(CONTEXT_SERVER, "a", anchors, 0x0304, NULL), "b.example");
    struct credential *credential = engine_take_credential(meeting.pair.server.engine);
    assert_int_equal(engine_credential(meeting.pair.server.engine)->verdict, CREDENTIAL_NONE);
    assert_null(engine_take_credential(meeting.pair.server.engine));
    part(&meeting);
    anchors_unref(anchors);
    assert_true(is_for(credential, "b.example"));
    assert_int_equal(credential->count, 2); /* the leaf and its anchor */
    assert_int_equal(credential->not_after, credential->path[0].not_after < credential->path[1].not_after
                                                ? credential->path[0].not_after
                                                : credential->path[1].not_after);
    assert_memory_not_equal(credential->path[0].sha256, credential->path[1].sha256, CREDENTIAL_SHA256);
    credential_free(credential);
}

/* Two servers that show the same chain are known by one credential, also when they met at different times. */
static void credential__shown_twice__is_one(void **state)
{
    struct anchors *anchors = load_anchors(cert_path("ca.pem"));
    struct meeting first, second;
    (void)state;
    meet(&first, make_context(CONTEXT_CLIENT, "b", anchors, 0x0304, NULL),
         make_context(CONTEXT_SERVER, "a", anchors, 0x0304, NULL), "b.example");
    meet(&second, make_context(CONTEXT_CLIENT, "b", anchors, 0x0303, NULL),
         make_context(CONTEXT_SERVER, "a", anchors, 0x0303, NULL), "b.example");
    const struct credential *client = engine_credential(first.pair.server.engine);
    assert_ptr_equal(client, engine_credential(second.pair.server.engine));
    assert_int_equal(client->references, 2);
    assert_ptr_not_equal(client, engine_credential(first.pair.client.engine));
    assert_memory_not_equal(client->fingerprint, engine_credential(first.pair.client.engine)->fingerprint,
                            CREDENTIAL_SHA256);
    part(&first);
    assert_int_equal(engine_credential(second.pair.server.engine)->references, 1);
    struct credential *kept = engine_take_credential(second.pair.server.engine);
    credential_ref(kept);
    part(&second);
    credential_free(kept);
    assert_int_equal(kept->references, 1);
    credential_free(kept);
    anchors_unref(anchors);
}

/* Holds 6120:13.6/2. */
/* What one peer sent must not help the next: the authority is not kept. */
static void authority__sent_by_one_peer__is_not_there_for_the_next(void **state)
{
    struct anchors *trusted = load_anchors(cert_path("ca.pem"));
    struct anchors *others = load_anchors(cert_path("foreign.pem"));
    struct context *server = make_context(CONTEXT_SERVER, "a", others, 0x0304, NULL);
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct meeting meeting; /* its chain has the authority of the tests, which this server does not trust */
        meet(&meeting, make_context(CONTEXT_CLIENT, "b", trusted, 0x0304, NULL), context_ref(server), "b.example");
        assert_int_equal(engine_credential(meeting.pair.server.engine)->verdict, CREDENTIAL_UNKNOWN_ISSUER);
        part(&meeting);
    }
    context_unref(server);
    anchors_unref(others);
    anchors_unref(trusted);
}

/* ---- anchors ------------------------------------------------------------------------------------------------------
 */

static void anchors__bad_files__name_the_file_and_the_reason(void **state)
{
    static const struct {
        const char *file;
        const char *reason;
    } rows[] = {{"missing.pem", "No such file"},
                {"empty.pem", "no certificates"},
                {"garbage.pem", "no certificates"},
                {"a.key", "no certificates"}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err err = {""};
        assert_null(anchors_new(cert_path(rows[i].file), &err));
        assert_non_null(strstr(err.text, rows[i].file));
        assert_non_null(strstr(err.text, rows[i].reason));
    }
}

static void anchors__of_a_folder__are_read_once_each(void **state)
{
    char folder[] = "/tmp/anchors-XXXXXX";
    char path[128];
    const char *const files[] = {"one.pem", "same.0", "dangling"};
    (void)state;
    assert_non_null(mkdtemp(folder));
    struct err err = {""};
    assert_null(anchors_new(folder, &err)); /* empty */
    for (unsigned i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        assert_int_equal(symlink(i == 2 ? "/nonexistent" : cert_path("ca.pem"), path), 0);
    }
    struct anchors *anchors = load_anchors(folder);
    assert_int_equal(anchors_count(anchors), 1);
    anchors_unref(anchors);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void anchors__of_a_bundle__are_all_read(void **state)
{
    (void)state;
    /* A leaf and its authority. */
    struct anchors *anchors = load_anchors(cert_path("a.pem"));
    assert_int_equal(anchors_count(anchors), 2);
    anchors_unref(anchors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both__present_good_certificates__know_each_other),
        cmocka_unit_test(client__of_two_domains__presents_the_one_it_calls_from),
        cmocka_unit_test(client__without_a_certificate__is_told_as_such),
        cmocka_unit_test(server__without_anchors__does_not_ask),
        cmocka_unit_test(judged__by_another_clock__are_expired),
        cmocka_unit_test(credential__taken__outlives_its_engine),
        cmocka_unit_test(credential__shown_twice__is_one),
        cmocka_unit_test(authority__sent_by_one_peer__is_not_there_for_the_next),
        cmocka_unit_test(anchors__bad_files__name_the_file_and_the_reason),
        cmocka_unit_test(anchors__of_a_folder__are_read_once_each),
        cmocka_unit_test(anchors__of_a_bundle__are_all_read),
    };
    if (!tls_start(&(struct err){""}))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_stop();
    return failed;
}
