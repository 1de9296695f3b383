/* SPDX-License-Identifier: MIT */
/*
 * Logins from the first byte to the last: direct TLS with a full handshake, SCRAM-SHA-256, bind, both ends of the
 * stream. Also what the instructions of a login are counted with (bench/budget): SL_ROUNDS says how many.
 */
#include "tests/sim/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define USERS 4u

static void log_in_and_out(struct rig *rig, unsigned number)
{
    struct caller caller;
    char address[32];
    snprintf(address, sizeof address, "192.0.2.%u", number % 250 + 1);
    caller_open_from(&caller, rig, 0, LISTEN_C2S_TLS, address);
    assert_true(caller_start_tls(&caller));
    assert_true(caller_login(&caller, number % USERS));
    assert_true(caller_bind(&caller, "r"));
    caller_forget(&caller);
    caller_say_text(&caller, "</stream:stream>");
    caller_run(&caller);
    assert_string_equal(caller.heard, "</stream:stream>");
    assert_true(caller.was_notified);
    assert_true(peer_is_ended(caller.peer));
    peer_end(caller.peer);
    caller_run(&caller);
    assert_true(peer_is_closed(caller.peer));
    caller_close(&caller);
}

static void login__over_tls__begins_and_ends_in_order(void **state)
{
    (void)state;
    const char *rounds = getenv("SL_ROUNDS");
    unsigned count = rounds ? (unsigned)strtoul(rounds, NULL, 10) : 8;
    struct rig *rig = rig_new(7, 1, NULL, USERS, caller_tls_overrides());
    for (unsigned i = 0; i < count; i++)
        log_in_and_out(rig, i);
    assert_int_equal(rig_counter(rig, COUNTER_LOGINS), count);
    assert_int_equal(rig_counter(rig, COUNTER_TLS_FULL), count);
    assert_int_equal(rig_counter(rig, COUNTER_SESSIONS), 0);
    assert_int_equal(rig_balance(rig), 0);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(login__over_tls__begins_and_ends_in_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
