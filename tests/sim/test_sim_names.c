/* SPDX-License-Identifier: MIT */
/*
 * What SCRAM says of a name to whoever asks, before any proof (RFC 5802 s5.1, RFC 6120 s13.11): the salt and the work
 * are those of one account whatever the hash, and a stream asks for a few names, not for as many as its time allows.
 */
#include "core/base/base64.h"
#include "core/base/check.h"
#include "router/store/account.h"
#include "tests/sim/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SASL_NS    "urn:ietf:params:xml:ns:xmpp-sasl"
#define SALT       "a salt of elsewhere"
#define ITERATIONS 5000u

static void done(void *context, const struct store_reply *reply)
{
    (void)context;
    SL_CHECK(reply->status == STORE_DONE);
}

static void wake(void *context)
{
    (void)context;
}

/* As `sluicectl account import` takes it from another server, with '-' for the keys that are not there. */
static void import(struct rig *rig, const char *jid, bool has_sha1, bool has_sha256)
{
    struct store_client *client = store_client(rig->store, rig->shard_count, wake, NULL);
    struct account account;
    uint8_t record[ACCOUNT_RECORD_MAX];
    account_derive(&account, SPAN("secret"), SPAN(SALT), ITERATIONS);
    account.has_sha1 = has_sha1;
    account.has_sha256 = has_sha256;
    size_t size = account_encode(&account, record);
    SL_CHECK(store_post(client, STORE_PUT, STORE_ACCOUNTS, 0, span_str(jid), span_of(record, size)));
    store_flush(client);
    store_poll(client, done, NULL);
}

static void meet(struct caller *caller, struct rig *rig)
{
    caller_open(caller, rig, 0);
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
    caller_forget(caller);
}

/* The challenge decoded, as text; empty: something else was heard. */
static void ask(struct caller *caller, enum digest digest, const char *name, char out[SCRAM_CLIENT_MESSAGE_MAX])
{
    char text[1024], encoded[512];
    size_t size = 0;
    struct span first = scram_client_first(&caller->scram, digest, span_str(name), SPAN("a-nonce-of-a-caller"), NULL);
    int length = (int)base64_encode(first, encoded);
    snprintf(text, sizeof text, "<auth xmlns='" SASL_NS "' mechanism='SCRAM-SHA-%s'>%.*s</auth>",
             digest == DIGEST_SHA1 ? "1" : "256", length, encoded);
    caller_forget(caller);
    caller_say_text(caller, text);
    caller_run(caller);
    const char *challenge = strstr(caller->heard, "<challenge");
    if (challenge) {
        const char *begin = strchr(challenge, '>') + 1;
        SL_CHECK(base64_decode(span_of(begin, strcspn(begin, "<")), out, &size));
    }
    out[size] = '\0';
}

/* "s=...,i=..." of a challenge for that name. */
static void salt_of(struct rig *rig, enum digest digest, const char *name, char out[SCRAM_CLIENT_MESSAGE_MAX])
{
    struct caller caller;
    char challenge[SCRAM_CLIENT_MESSAGE_MAX];
    meet(&caller, rig);
    ask(&caller, digest, name, challenge);
    const char *salt = strstr(challenge, "s=");
    assert_non_null(salt);
    const char *work = strstr(salt, ",i=");
    assert_non_null(work);
    snprintf(out, SCRAM_CLIENT_MESSAGE_MAX, "%.*s", (int)((size_t)(work - salt) + 1 + strcspn(work + 1, ",")), salt);
    caller_close(&caller);
}

static void finish(struct rig *rig)
{
    rig_run(rig, 200000);
    rig_free(rig);
}

static void salt__of_any_name__is_one_under_both_hashes(void **state)
{
    (void)state;
    static const char *const names[] = {"user0", "nobody", "both", "modern", "old"};
    struct rig *rig = rig_new(1, 1, NULL, 1, NULL);
    char sha1[SCRAM_CLIENT_MESSAGE_MAX], sha256[SCRAM_CLIENT_MESSAGE_MAX], own[96], salt[64];
    import(rig, "both@example.com", true, true);
    import(rig, "modern@example.com", false, true);
    import(rig, "old@example.com", true, false);
    salt[base64_encode(SPAN(SALT), salt)] = '\0';
    snprintf(own, sizeof own, "s=%s,i=%u", salt, ITERATIONS);
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        salt_of(rig, DIGEST_SHA1, names[i], sha1);
        salt_of(rig, DIGEST_SHA256, names[i], sha256);
        assert_string_equal(sha1, sha256);
        assert_int_equal(strcmp(sha1, own) == 0, i >= 2);
    }
    finish(rig);
}

/* The keys that are made up fit nothing, the right password least of all; the stream goes on for the other hash. */
static void keys__that_an_account_lacks__let_nobody_in(void **state)
{
    (void)state;
    struct rig *rig = rig_new(1, 1, NULL, 1, NULL);
    for (unsigned i = 0; i < 2; i++) {
        enum digest lacks = i ? DIGEST_SHA256 : DIGEST_SHA1, has = i ? DIGEST_SHA1 : DIGEST_SHA256;
        struct caller caller;
        import(rig, "half@example.com", i, !i);
        meet(&caller, rig);
        for (unsigned round = 0; round < 2; round++) {
            struct scram_keys keys = {0};
            char challenge[SCRAM_CLIENT_MESSAGE_MAX], out[SCRAM_CLIENT_MESSAGE_MAX], encoded[1500], text[2000];
            ask(&caller, round ? has : lacks, "half", challenge);
            struct span final =
                scram_client_final(&caller.scram, &keys, SPAN("secret"), span_str(challenge), SPAN(""), out);
            snprintf(text, sizeof text, "<response xmlns='" SASL_NS "'>%.*s</response>",
                     (int)base64_encode(final, encoded), encoded);
            caller_forget(&caller);
            caller_say_text(&caller, text);
            caller_run(&caller);
            assert_true(caller_has_heard(&caller, round ? "<success" : "<not-authorized"));
        }
        caller_close(&caller);
    }
    finish(rig);
}

/* A handshake that another <auth/> discards is a failed attempt: as many names as passwords (s6.4.2, s6.4.5). */
static void names__one_after_another__are_attempts(void **state)
{
    (void)state;
    static const char *const names[] = {"user0", "nobody", "somebody"};
    struct rig *rig = rig_new(1, 1, NULL, 1, NULL);
    unsigned max = rig->policy->config->sasl_attempts_max;
    for (unsigned aborted = 0; aborted < 3; aborted++) {
        struct caller caller;
        char challenge[SCRAM_CLIENT_MESSAGE_MAX];
        meet(&caller, rig);
        for (unsigned i = 0; i < aborted; i++) {
            caller_say_text(&caller, "<abort xmlns='" SASL_NS "'/>");
            caller_run(&caller);
        }
        for (unsigned i = 0; i < max - aborted; i++) {
            ask(&caller, DIGEST_SHA256, names[i % 3], challenge);
            assert_true(challenge[0] && !caller_is_over(&caller));
        }
        ask(&caller, DIGEST_SHA256, names[0], challenge);
        assert_true(!challenge[0] && caller_has_heard(&caller, "<policy-violation"));
        assert_true(caller_is_over(&caller));
        caller_close(&caller);
    }
    finish(rig);
}

/* The last that is left may be the right one; what was spent on the way to it does not count against binding. */
static void names__behind_the_last_but_one__still_log_in(void **state)
{
    (void)state;
    struct rig *rig = rig_new(1, 1, NULL, 1, NULL);
    struct caller caller;
    meet(&caller, rig);
    for (unsigned i = 0; i < rig->policy->config->sasl_attempts_max; i++) {
        caller_forget(&caller);
        caller_auth(&caller, 0);
        caller_run(&caller);
    }
    caller_prove(&caller);
    caller_run(&caller);
    assert_true(caller_has_heard(&caller, "<success"));
    caller_say_text(&caller, CALLER_HEADER);
    caller_run(&caller);
    assert_true(caller_bind(&caller, "a"));
    caller_close(&caller);
    finish(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(salt__of_any_name__is_one_under_both_hashes),
        cmocka_unit_test(keys__that_an_account_lacks__let_nobody_in),
        cmocka_unit_test(names__one_after_another__are_attempts),
        cmocka_unit_test(names__behind_the_last_but_one__still_log_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
