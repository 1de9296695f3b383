/* SPDX-License-Identifier: MIT */
/*
 * Load within one router: users write to each other, in plain and over TLS, and all arrives in order. Also what the
 * instructions of a message are counted with (bench/budget): SL_ROUNDS, SL_WINDOW, SL_BODY, SL_TLS, SL_SHARDS run one
 * load as they say; with SL_PRESENCE it is one session's presence, told to all sessions of its account.
 */
#include "tests/sim/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define USERS      20u
#define BODY_MAX   16384u
#define WINDOW_MAX 16u
#define MARK       8u /* each body begins with its number */

struct load {
    unsigned rounds, window, body, shards;
    bool is_tls;
};

struct crowd {
    struct rig *rig;
    struct caller callers[USERS];
    unsigned sent[USERS];
    char padding[BODY_MAX + 1];
    char text[WINDOW_MAX * (BODY_MAX + 200)];
};

static void open_crowd(struct crowd *crowd, const struct load *load)
{
    crowd->rig = rig_new(7, load->shards, NULL, USERS, load->is_tls ? caller_tls_overrides() : NULL);
    memset(crowd->padding, 'x', BODY_MAX);
    for (unsigned i = 0; i < USERS; i++) {
        struct caller *caller = &crowd->callers[i];
        caller_open(caller, crowd->rig, i % load->shards);
        if (load->is_tls) {
            caller_say_text(caller, CALLER_HEADER "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            caller_run(caller);
            assert_true(caller_start_tls(caller));
        }
        assert_true(caller_login(caller, i));
        assert_true(caller_bind(caller, "r"));
        caller_forget(caller);
    }
}

/* Writes to its partner: 0 to 1, 1 to 0, 2 to 3 and so on. */
static void write_window(struct crowd *crowd, unsigned user, const struct load *load)
{
    size_t size = 0;
    for (unsigned n = 0; n < load->window; n++)
        size += (size_t)snprintf(
            crowd->text + size, sizeof crowd->text - size,
            "<message to='user%u@example.com/r' type='chat' id='%08x'><body>%08x%.*s</body></message>", user ^ 1,
            crowd->sent[user] + n, crowd->sent[user] + n, (int)(load->body - MARK), crowd->padding);
    crowd->sent[user] += load->window;
    caller_say(&crowd->callers[user], span_of(crowd->text, size));
}

static void check_window(struct crowd *crowd, unsigned user, const struct load *load, const char *tag)
{
    struct caller *caller = &crowd->callers[user];
    const char *at = caller->heard;
    for (unsigned n = crowd->sent[user ^ 1] - load->window; n < crowd->sent[user ^ 1]; n++) {
        char wanted[64];
        int size = snprintf(wanted, sizeof wanted, "%s%08x", tag, n);
        at = strstr(at, tag);
        assert_non_null(at);
        assert_int_equal(strncmp(at, wanted, (size_t)size), 0);
        at += size;
        assert_true(strspn(at, "x") == load->body - MARK);
    }
    assert_null(strstr(at, tag));
    caller_forget(caller);
}

/* Nothing was lost on the way; all log out. */
static void close_crowd(struct crowd *crowd)
{
    assert_int_equal(rig_balance(crowd->rig), 0);
    for (unsigned i = 0; i < USERS; i++)
        caller_close(&crowd->callers[i]);
    rig_run(crowd->rig, 20000);
    rig_free(crowd->rig);
    free(crowd);
}

static void run_load(const struct load *load)
{
    assert_true(load->body >= MARK && load->body <= BODY_MAX && load->window <= WINDOW_MAX && load->shards > 0);
    struct crowd *crowd = calloc(1, sizeof *crowd);
    assert_non_null(crowd);
    open_crowd(crowd, load);
    for (unsigned n = 0; n < load->rounds; n++) {
        for (unsigned i = n % 2; i < USERS; i += 2)
            write_window(crowd, i, load);
        caller_run(&crowd->callers[0]);
        for (unsigned i = 0; i < USERS; i++)
            caller_run(&crowd->callers[i]);
        for (unsigned i = n % 2; i < USERS; i += 2)
            check_window(crowd, i ^ 1, load, "<body>");
    }
    close_crowd(crowd);
}

/* All are sessions of one account, and online; the first changes its presence, and all hear of it, itself too. */
static void run_presence(const struct load *load)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    assert_non_null(crowd);
    crowd->rig = rig_new(7, load->shards, NULL, USERS, NULL);
    memset(crowd->padding, 'x', BODY_MAX);
    for (unsigned i = 0; i < USERS; i++) {
        char resource[16];
        snprintf(resource, sizeof resource, "r%u", i);
        caller_open(&crowd->callers[i], crowd->rig, i % load->shards);
        assert_true(caller_login(&crowd->callers[i], 0));
        assert_true(caller_bind(&crowd->callers[i], resource));
        caller_say_text(&crowd->callers[i], "<presence/>");
        caller_run(&crowd->callers[i]);
    }
    for (unsigned n = 0; n < load->rounds; n++) {
        size_t size = 0;
        for (unsigned i = 0; i < USERS; i++)
            caller_forget(&crowd->callers[i]);
        for (unsigned i = 0; i < load->window; i++)
            size += (size_t)snprintf(crowd->text + size, sizeof crowd->text - size,
                                     "<presence><status>%08x%.*s</status></presence>", crowd->sent[0]++,
                                     (int)(load->body - MARK), crowd->padding);
        caller_say(&crowd->callers[0], span_of(crowd->text, size));
        for (unsigned i = 0; i < USERS; i++)
            caller_run(&crowd->callers[i]);
        for (unsigned i = 0; i < USERS; i++) {
            crowd->sent[i ^ 1] = crowd->sent[0];
            check_window(crowd, i, load, "<status>");
        }
    }
    close_crowd(crowd);
}

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void chat__in_plain__all_in_order(void **state)
{
    (void)state;
    run_load(&(struct load){.rounds = 4, .window = 16, .body = 100, .shards = 1});
    run_load(&(struct load){.rounds = 4, .window = 1, .body = 16384, .shards = 1});
}

static void chat__over_tls__all_in_order(void **state)
{
    (void)state;
    run_load(&(struct load){.rounds = 4, .window = 16, .body = 4096, .shards = 1, .is_tls = true});
}

static void chat__between_shards__all_in_order(void **state)
{
    (void)state;
    run_load(&(struct load){.rounds = 4, .window = 16, .body = 4096, .shards = 2});
}

static void presence__to_all_of_an_account__all_in_order(void **state)
{
    (void)state;
    run_presence(&(struct load){.rounds = 4, .window = 16, .body = 100, .shards = 2});
}

static void chat__as_the_environment_says__all_in_order(void **state)
{
    (void)state;
    const struct load load = {.rounds = setting("SL_ROUNDS", 4),
                              .window = setting("SL_WINDOW", 1),
                              .body = setting("SL_BODY", 100),
                              .shards = setting("SL_SHARDS", 1),
                              .is_tls = setting("SL_TLS", 0)};
    if (setting("SL_PRESENCE", 0))
        run_presence(&load);
    else
        run_load(&load);
}

int main(void)
{
    const struct CMUnitTest given[] = {cmocka_unit_test(chat__as_the_environment_says__all_in_order)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat__in_plain__all_in_order),
        cmocka_unit_test(chat__over_tls__all_in_order),
        cmocka_unit_test(chat__between_shards__all_in_order),
        cmocka_unit_test(presence__to_all_of_an_account__all_in_order),
    };
    return getenv("SL_ROUNDS") ? cmocka_run_group_tests(given, NULL, NULL) : cmocka_run_group_tests(tests, NULL, NULL);
}
