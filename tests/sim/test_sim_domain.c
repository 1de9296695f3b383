/* SPDX-License-Identifier: MIT */
/* Which of its domains a stream is for, on a router that has two: 'to' of the header (RFC 6120 s4.7.2), and what stands
 * in for it where a header of RFC 3920's time has none. */
#include "tests/sim/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define HEADER(to)                                                                                                     \
    "<stream:stream xmlns='jabber:client' version='1.0' xmlns:stream='http://etherx.jabber.org/streams'" to ">"
#define COM  HEADER(" to='example.com'")
#define ORG  HEADER(" to='example.org'")
#define NONE HEADER("")

static void tell(struct caller *caller, const char *text)
{
    caller_forget(caller);
    caller_say_text(caller, text);
    caller_run(caller);
}

static void log_in(struct caller *caller)
{
    caller_forget(caller);
    caller_auth(caller, 0);
    caller_run(caller);
    caller_prove(caller);
    caller_run(caller);
    assert_true(caller_has_heard(caller, "<success"));
}

static void finish(struct rig *rig)
{
    rig_run(rig, 200000);
    rig_free(rig);
}

/* Without TLS nothing but a header says which. */
static void first_header__without_to__is_host_unknown(void **state)
{
    (void)state;
    struct rig *rig = rig_new(1, 1, NULL, 1, NULL);
    struct caller caller;
    caller_open(&caller, rig, 0);
    tell(&caller, NONE);
    assert_true(caller_has_heard(&caller, "<host-unknown"));
    caller_close(&caller);
    finish(rig);
}

/* The stream behind SASL is the one that authenticated: whoever says nothing means the same domain, and no header leads
 * to another one. On three shards most streams are handed off in between. */
static void restart__without_to__is_of_the_domain_agreed(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 3; shards += 2) {
        struct rig *rig = rig_new(1, shards, NULL, 1, NULL);
        for (unsigned i = 0; i < shards; i++) {
            struct caller caller;
            caller_open(&caller, rig, i);
            tell(&caller, COM);
            log_in(&caller);
            tell(&caller, NONE);
            assert_true(caller_has_heard(&caller, "from='example.com'"));
            assert_true(caller_bind(&caller, "a"));
            assert_true(caller_has_heard(&caller, "<jid>user0@example.com/a<"));
            caller_close(&caller);
            caller_open(&caller, rig, i);
            tell(&caller, COM);
            log_in(&caller);
            tell(&caller, ORG);
            assert_true(caller_has_heard(&caller, "<not-authorized"));
            caller_close(&caller);
        }
        finish(rig);
    }
}

/* Under TLS the name that it gave stands in for the first header alone: what a header agreed on is newer. */
static void restart__without_to__is_not_of_the_name_that_tls_gave(void **state)
{
    (void)state;
    const char *const overrides[] = {caller_tls_overrides()[0], "rig.also=example.org", NULL};
    struct rig *rig = rig_new(1, 1, NULL, 1, overrides);
    static const char *const first[] = {ORG, NONE};
    static const char *const jids[] = {"<jid>user0@example.org/a<", "<jid>user0@example.com/a<"};
    for (unsigned i = 0; i < 2; i++) {
        struct caller caller;
        caller_open_from(&caller, rig, 0, LISTEN_C2S_TLS, "192.0.2.1");
        assert_true(caller_start_tls(&caller)); /* for example.com */
        tell(&caller, first[i]);
        log_in(&caller);
        tell(&caller, NONE);
        assert_true(caller_bind(&caller, "a"));
        assert_true(caller_has_heard(&caller, jids[i]));
        caller_close(&caller);
    }
    finish(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_header__without_to__is_host_unknown),
        cmocka_unit_test(restart__without_to__is_of_the_domain_agreed),
        cmocka_unit_test(restart__without_to__is_not_of_the_name_that_tls_gave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
