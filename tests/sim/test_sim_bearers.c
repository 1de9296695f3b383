/* SPDX-License-Identifier: MIT */
/* Clients with a certificate: they wait for what its issuers say (router/certs/watch.h), by whatever they authenticate
 * where all need one; and their streams end when it does, however the wall clock goes. */
#include "router/route/shard.h"
#include "router/stream/stream.h"
#include "tests/sim/caller.h"
#include "tls/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define WAIT_MS 5000u /* certs.wait */

static unsigned watched(const struct rig *rig)
{
    unsigned count = 0;
    for (unsigned i = 0; i < rig->shard_count; i++)
        count += inspector_script_count(rig->shards[i].inspector);
    return count;
}

#define AUTH    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>"
#define REFUSED "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>"

static const char *person_path(const char *ending)
{
    static char paths[2][600];
    char *path = paths[ending[0] != '\0'];
    assert_non_null(getenv("SL_TEST_PEOPLE"));
    snprintf(path, sizeof paths[0], "%s/%s%s", getenv("SL_TEST_PEOPLE"), ending[0] ? "people" : "valid", ending);
    return path;
}

/* asked: tls.client_certificates */
static struct rig *rig_asking(unsigned shards, const char *revocation, const char *asked)
{
    char authority[700], certs[64], certificates[64];
    const char *const *usual = caller_tls_overrides();
    snprintf(authority, sizeof authority, "tls.client_ca_file=%s", person_path(".pem"));
    snprintf(certs, sizeof certs, "certs.revocation=%s", revocation);
    snprintf(certificates, sizeof certificates, "tls.client_certificates=%s", asked);
    const char *const all[] = {usual[0],
                               usual[1],
                               authority,
                               certificates,
                               "sasl.anonymous=true",
                               certs,
                               "rig.inspector=yes",
                               "timeouts.reset=0ms",
                               "limits.connections_per_address=0",

                               NULL};
    return rig_new(1, shards, NULL, 2, all);
}

static struct rig *rig_of_clients(unsigned shards, const char *revocation)
{
    return rig_asking(shards, revocation, "optional");
}

/* Up to the mechanisms. */
static void come(struct caller *caller, struct rig *rig, const char *address)
{
    caller_open_from(caller, rig, 0, LISTEN_C2S_TLS, address);
    caller->person = person_path("");
    assert_true(caller_start_tls(caller));
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
    assert_true(caller_has_heard(caller, "<mechanism>EXTERNAL<"));
    caller_forget(caller);
}

/* Up to the answer to EXTERNAL, which waits. */
static void ask(struct caller *caller, struct rig *rig, const char *address)
{
    come(caller, rig, address);
    caller_say_text(caller, AUTH);
    caller_run(caller);
}

static void leave(struct caller *caller)
{
    if (!caller_is_over(caller))
        caller_say_text(caller, "</stream:stream>");
    caller_run(caller);
    caller_notify(caller);
    caller_run(caller);
    caller_close(caller);
}

static void finish(struct rig *rig)
{
    rig_run(rig, 20000);
    rig_free(rig);
}

static bool goes_on_as(struct caller *caller, const char *resource)
{
    if (!caller_has_heard(caller, "<success"))
        return false;
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
    return caller_bind(caller, resource);
}

static bool goes_on(struct caller *caller)
{
    return goes_on_as(caller, "x");
}

/* Bound by certificates that are good, each from an address of its own. */
static void bind_all(struct caller *callers, unsigned count, struct rig *rig)
{
    rig_find(rig, NULL, STANDING_GOOD);
    for (unsigned n = 0; n < count; n++) {
        char address[32], resource[16];
        snprintf(address, sizeof address, "192.0.2.%u", n + 1);
        snprintf(resource, sizeof resource, "r%u", n);
        ask(&callers[n], rig, address);
        assert_true(goes_on_as(&callers[n], resource));
    }
}

static void client__each_finding__as_it_says(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct rig *rig = rig_of_clients(1 + i, "hard");
        struct caller caller;
        ask(&caller, rig, "192.0.2.1");
        caller_wait(&caller, 1000);
        assert_string_equal(caller.heard, "");
        if (i < 2)
            rig_find(rig, NULL, i == 0 ? STANDING_GOOD : STANDING_REVOKED);
        caller_wait(&caller, i < 2 ? 100 : WAIT_MS);
        if (i == 0) {
            assert_true(goes_on(&caller));
        } else { /* a password does still, and is not watched */
            assert_string_equal(caller.heard, REFUSED);
            assert_int_equal(watched(rig), 0);
            caller_forget(&caller);
            caller_auth(&caller, 1);
            caller_run(&caller);
            caller_prove(&caller);
            caller_run(&caller);
            assert_true(goes_on(&caller));
            assert_int_equal(watched(rig), 0);
        }
        leave(&caller);
        finish(rig);
    }
}

/* The first posts find no room, and no other stream comes: they are posted again. */
static void post__without_room__is_posted_later(void **state)
{
    (void)state;
    struct rig *rig = rig_of_clients(1, "hard");
    struct caller caller;
    inspector_script_refuse(rig->shards[0].inspector, 5);
    rig_find(rig, NULL, STANDING_GOOD);
    ask(&caller, rig, "192.0.2.1");
    assert_int_equal(watched(rig), 0);
    caller_wait(&caller, 200); /* far from certs.wait */
    assert_int_equal(watched(rig), 1);
    assert_true(goes_on(&caller));
    leave(&caller);
    finish(rig);
}

/* One that never finds room is as one that is never answered, and nothing is left of it. */
static void post__never_with_room__is_refused_when_the_wait_is_over(void **state)
{
    (void)state;
    struct rig *rig = rig_of_clients(1, "hard");
    struct caller caller;
    inspector_script_refuse(rig->shards[0].inspector, UINT32_MAX);
    rig_find(rig, NULL, STANDING_GOOD);
    ask(&caller, rig, "192.0.2.1");
    caller_wait(&caller, WAIT_MS - 100);
    assert_string_equal(caller.heard, "");
    caller_wait(&caller, 200);
    assert_string_equal(caller.heard, REFUSED);
    leave(&caller);
    finish(rig);
}

/* ------------------------------------------------------------------------------------------------ where all need one
 */

#define ANONYMOUS "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>"

/* By a password, or by nothing: neither is looked at before the certificate. */
static void say_auth(struct caller *caller, bool is_anonymous)
{
    if (is_anonymous)
        caller_say_text(caller, ANONYMOUS);
    else
        caller_auth(caller, 1);
    caller_run(caller);
}

static bool comes_in(struct caller *caller, bool is_anonymous)
{
    if (!is_anonymous) {
        if (!caller_has_heard(caller, "<challenge"))
            return false;
        caller_prove(caller);
        caller_run(caller);
    }
    return goes_on(caller);
}

static void required__login_by_something_else__waits_as_external_does(void **state)
{
    (void)state;
    static const enum standing standings[] = {STANDING_GOOD, STANDING_REVOKED, STANDING_DISTRUSTED, STANDING_PENDING};
    for (unsigned i = 0; i < 16; i++) {
        bool is_anonymous = i & 1, is_known = i & 2;
        enum standing standing = standings[i / 4];
        struct rig *rig = rig_asking(1 + i % 3, "hard", "required");
        struct caller caller;
        if (is_known && standing != STANDING_PENDING)
            rig_find(rig, NULL, standing);
        come(&caller, rig, "192.0.2.1");
        say_auth(&caller, is_anonymous);
        if (!is_known || standing == STANDING_PENDING) {
            caller_wait(&caller, 1000);
            assert_string_equal(caller.heard, "");
            assert_int_equal(watched(rig), 1);
            if (standing != STANDING_PENDING)
                rig_find(rig, NULL, standing);
            caller_wait(&caller, standing == STANDING_PENDING ? WAIT_MS : 100);
        }
        if (standing == STANDING_GOOD) {
            assert_true(comes_in(&caller, is_anonymous));
            assert_int_equal(watched(rig), 1);
        } else {
            assert_string_equal(caller.heard, REFUSED);
            assert_int_equal(watched(rig), 0);
        }
        assert_int_equal(rig_counter(rig, COUNTER_RESETS), 0);
        leave(&caller);
        finish(rig);
    }
}

/* And is watched from then on. */
static void required__revoked_later__ends_what_a_password_began(void **state)
{
    (void)state;
    struct rig *rig = rig_asking(2, "soft", "required");
    struct caller caller;
    rig_find(rig, NULL, STANDING_GOOD);
    come(&caller, rig, "192.0.2.1");
    say_auth(&caller, false);
    assert_true(comes_in(&caller, false));
    rig_find(rig, NULL, STANDING_REVOKED);
    caller_wait(&caller, 1010);
    assert_true(caller_has_heard(&caller, "<reset "));
    leave(&caller);
    finish(rig);
}

/* Where it is of no account a password waits for nothing. */
static void optional__login_by_a_password__does_not_wait(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct rig *rig = rig_of_clients(1, "hard");
        struct caller caller;
        come(&caller, rig, "192.0.2.1");
        say_auth(&caller, i);
        assert_true(comes_in(&caller, i));
        assert_int_equal(watched(rig), 0);
        leave(&caller);
        finish(rig);
    }
}

/* By its own end, by a reset, by its deadline. */
static void dies_while_it_waits__nothing_is_left(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct rig *rig = rig_of_clients(1, "hard");
        struct caller caller;
        ask(&caller, rig, "192.0.2.1");
        assert_int_equal(watched(rig), 1);
        if (i == 0)
            leave(&caller);
        else if (i == 1)
            peer_reset(caller.peer);
        else
            peer_end(caller.peer);
        rig_run(rig, 2 * WAIT_MS);
        if (i > 0)
            caller_close(&caller);
        rig_run(rig, 20000);
        assert_int_equal(watched(rig), 0);
        rig_find(rig, NULL, STANDING_GOOD);
        finish(rig);
    }
}

#define MANY 100u

static void many__of_one_chain__one_question_and_all_are_answered(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        static struct caller callers[MANY];
        struct rig *rig = rig_of_clients(1, "soft");
        for (unsigned n = 0; n < MANY; n++) {
            char address[32];
            snprintf(address, sizeof address, "192.0.2.%u", n + 1);
            ask(&callers[n], rig, address);
        }
        assert_int_equal(watched(rig), 1);
        rig_find(rig, NULL, i ? STANDING_REVOKED : STANDING_GOOD);
        for (unsigned n = 0; n < MANY; n++) {
            caller_run(&callers[n]);
            assert_true(caller_has_heard(&callers[n], i ? REFUSED : "<success"));
        }
        assert_int_equal(watched(rig), i ? 0 : 1);
        for (unsigned n = 0; n < MANY; n++)
            leave(&callers[n]);
        finish(rig);
    }
}

#define CROWD  20u /* bind.sessions_max */
#define WITHIN 1000u

/* One after the other over the second, so that others are never kept waiting by many at once. */
static void revoked__many_of_one_chain__end_at_even_distances(void **state)
{
    (void)state;
    static struct caller callers[CROWD];
    struct rig *rig = rig_of_clients(1, "soft");
    bind_all(callers, CROWD, rig);
    rig_find(rig, NULL, STANDING_REVOKED);
    for (unsigned n = 1; n <= CROWD; n++) {
        unsigned over = 0;
        caller_wait(&callers[0], WITHIN / CROWD);
        for (unsigned i = 0; i < CROWD; i++) {
            caller_run(&callers[i]);
            over += caller_has_heard(&callers[i], "<reset ");
        }
        assert_in_range(over, n - 1, n < CROWD ? n + 1 : n);
    }
    caller_wait(&callers[0], 5);
    assert_int_equal(rig_counter(rig, COUNTER_RESETS), CROWD);
    for (unsigned n = 0; n < CROWD; n++) {
        caller_run(&callers[n]);
        assert_true(caller_has_heard(&callers[n], "<reset "));
        leave(&callers[n]);
    }
    finish(rig);
}

/* The policy is exchanged while it waits. */
static void policy_off__while_it_waits__goes_on(void **state)
{
    (void)state;
    struct rig *rig = rig_of_clients(1, "hard");
    char authority[700];
    struct caller caller;
    const char *const *usual = caller_tls_overrides();
    ask(&caller, rig, "192.0.2.1");
    assert_string_equal(caller.heard, "");
    snprintf(authority, sizeof authority, "tls.client_ca_file=%s", person_path(".pem"));
    const char *const all[] = {
        usual[0], usual[1], authority, "tls.client_certificates=optional", "certs.revocation=off", "timeouts.reset=0ms",
        NULL};
    rig_reload(rig, all);
    caller_wait(&caller, 10);
    assert_true(caller_has_heard(&caller, "<success"));
    leave(&caller);
    finish(rig);
}

/* ------------------------------------------------------------------------------------------------ the wall clock */

#define HOUR INT64_C(3600000)
#define DAY  (24 * HOUR)

static int64_t left_ms(const struct rig *rig)
{
    const struct stream *stream = rig->shards[0].streams;
    return engine_credential(stream->tls)->not_after * 1000 - io_wall_ms(rig->shards[0].io);
}

/* A router and its client, bound by a certificate that is good. */
static struct rig *bound(struct caller *caller)
{
    struct rig *rig = rig_of_clients(1, "soft");
    rig_find(rig, NULL, STANDING_GOOD);
    ask(caller, rig, "192.0.2.1");
    caller_wait(caller, 10);
    assert_true(goes_on(caller));
    return rig;
}

/* ... and so many ms before notAfter by the wall clock. */
static struct rig *bound_before_the_end(struct caller *caller, int64_t ms, int64_t *not_after)
{
    struct rig *rig = bound(caller);
    rig_jump_wall(rig, left_ms(rig) - ms);
    caller_wait(caller, 0);
    *not_after = io_wall_ms(rig->shards[0].io) + left_ms(rig);
    return rig;
}

/* Whatever it was set to before, the end comes when the wall clock says so: within the second before notAfter, or at
 * once if it is over. */
static void clock__set_each_way__no_early_and_no_late_close(void **state)
{
    (void)state;
    static const int64_t jumps[] = {HOUR, -HOUR, DAY, -DAY, INT64_MIN, 1000};
    for (unsigned i = 0; i < sizeof jumps / sizeof jumps[0]; i++) {
        struct caller caller;
        struct rig *rig = bound(&caller);
        rig_jump_wall(rig, jumps[i] == INT64_MIN ? -io_wall_ms(rig->shards[0].io) : jumps[i]);
        caller_wait(&caller, 3000);
        assert_false(caller_is_over(&caller));
        rig_jump_wall(rig, left_ms(rig) - 10000);
        caller_wait(&caller, 8900);
        assert_false(caller_is_over(&caller));
        caller_wait(&caller,
                    1110); /* notAfter is a whole second, the last one in which it is valid (RFC 5280 s4.1.2.5) */
        assert_true(caller_has_heard(&caller, "<reset "));
        leave(&caller);
        finish(rig);
    }
    /* Beyond it: at once. */
    struct caller caller;
    struct rig *rig = bound(&caller);
    rig_jump_wall(rig, left_ms(rig) + HOUR);
    caller_wait(&caller, 10);
    assert_true(caller_has_heard(&caller, "<reset "));
    leave(&caller);
    finish(rig);
}

/* Goes on, a ms after the other, until it is reset; where the wall clock is then, from notAfter on, in ms. */
static int64_t end_of(struct caller *caller, struct rig *rig, int64_t not_after)
{
    while (!caller_has_heard(caller, "<reset ")) {
        assert_true(io_wall_ms(rig->shards[0].io) <= not_after);
        caller_wait(caller, 1);
    }
    return io_wall_ms(rig->shards[0].io) - not_after;
}

/* 23:59:59 comes twice, and notAfter is in it, before or behind it (a leap second, which CLOCK_REALTIME steps back for,
 * as it does for whoever sets it by one): whether the kernel tells of it or not, no stream ends before notAfter by the
 * wall clock, and none later. If the step comes behind the end, it has ended. */
static void clock__leap_second__ends_with_the_last_of_the_two(void **state)
{
    (void)state;
    static const int64_t before[] = {5000, 1500, 1001, 1000, 999, 500, 1};
    for (unsigned i = 0; i < 2 * sizeof before / sizeof before[0]; i++) {
        struct caller caller;
        int64_t not_after;
        struct rig *rig = bound_before_the_end(&caller, 8000, &not_after);
        caller_wait(&caller, (uint64_t)(8000 - before[i / 2]));
        assert_false(caller_has_heard(&caller, "<reset "));
        if (i % 2)
            rig_jump_wall(rig, -1000);
        else
            world_jump_wall(rig->world, -1000);
        uint64_t begin = world_now_ms(rig->world);
        assert_in_range(end_of(&caller, rig, not_after), 0, 1);
        assert_in_range(world_now_ms(rig->world) - begin, before[i / 2] + 1000, before[i / 2] + 1001);
        leave(&caller);
        finish(rig);
    }
}

/* The last second takes two, as where it is smeared: no end before it, none behind. */
static void clock__that_stands__ends_with_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct caller caller;
        int64_t not_after;
        struct rig *rig = bound_before_the_end(&caller, 1400, &not_after);
        for (unsigned step = 0; step < 20; step++) {
            caller_wait(&caller, 100);
            world_jump_wall(rig->world, i && step % 2 ? -100 : -50);
            assert_false(caller_has_heard(&caller, "<reset "));
        }
        assert_in_range(end_of(&caller, rig, not_after), 0, 1);
        leave(&caller);
        finish(rig);
    }
}

/* 23:59:59 is left out: at once what had ended in it. */
static void clock__second_left_out__ends_in_time(void **state)
{
    (void)state;
    static const int64_t before[] = {2500, 1500, 1001, 1000, 999, 500, 1};
    for (unsigned i = 0; i < sizeof before / sizeof before[0]; i++) {
        struct caller caller;
        int64_t not_after;
        struct rig *rig = bound_before_the_end(&caller, before[i], &not_after);
        rig_jump_wall(rig, 1000);
        uint64_t begin = world_now_ms(rig->world), left = before[i] > 1000 ? (uint64_t)before[i] - 1000 : 0;
        while (!caller_has_heard(&caller, "<reset ")) {
            caller_wait(&caller, 1);
            assert_true(world_now_ms(rig->world) - begin <= left + 2);
        }
        assert_true(io_wall_ms(rig->shards[0].io) >= not_after);
        leave(&caller);
        finish(rig);
    }
}

#define FEW 8u

/* Several go one after the other before the end; if the last second comes twice, all in one of the two. */
static void clock__leap_second_of_several__all_within_it(void **state)
{
    (void)state;
    static struct caller callers[FEW];
    struct rig *rig = rig_of_clients(1, "soft");
    bind_all(callers, FEW, rig);
    rig_jump_wall(rig, left_ms(rig) - 1100);
    caller_wait(&callers[0], 50);
    for (unsigned n = 0; n < FEW; n++)
        assert_false(caller_has_heard(&callers[n], "<reset "));
    int64_t not_after = io_wall_ms(rig->shards[0].io) + left_ms(rig);
    caller_wait(&callers[0], 1000);
    rig_jump_wall(rig, -1000);
    while (io_wall_ms(rig->shards[0].io) <= not_after)
        caller_wait(&callers[0], 1);
    for (unsigned n = 0; n < FEW; n++) {
        caller_run(&callers[n]);
        assert_true(caller_has_heard(&callers[n], "<reset "));
    }
    for (unsigned n = 0; n < FEW; n++)
        leave(&callers[n]);
    finish(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client__each_finding__as_it_says),
        cmocka_unit_test(post__without_room__is_posted_later),
        cmocka_unit_test(post__never_with_room__is_refused_when_the_wait_is_over),
        cmocka_unit_test(required__login_by_something_else__waits_as_external_does),
        cmocka_unit_test(required__revoked_later__ends_what_a_password_began),
        cmocka_unit_test(optional__login_by_a_password__does_not_wait),
        cmocka_unit_test(dies_while_it_waits__nothing_is_left),
        cmocka_unit_test(many__of_one_chain__one_question_and_all_are_answered),
        cmocka_unit_test(revoked__many_of_one_chain__end_at_even_distances),
        cmocka_unit_test(policy_off__while_it_waits__goes_on),
        cmocka_unit_test(clock__set_each_way__no_early_and_no_late_close),
        cmocka_unit_test(clock__leap_second__ends_with_the_last_of_the_two),
        cmocka_unit_test(clock__that_stands__ends_with_it),
        cmocka_unit_test(clock__second_left_out__ends_in_time),
        cmocka_unit_test(clock__leap_second_of_several__all_within_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
