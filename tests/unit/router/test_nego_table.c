/* SPDX-License-Identifier: MIT */
/* The negotiation table read as a graph, without running it: what can be reached, by which events, and that there is no
 * way around TLS and authentication. Nothing here knows more of a row than what stands in it. */
#include "router/s2s/s2s.h"
#include "router/stream/nego.h"

#include "router/admin/config.h"
#include "router/route/shard.h"
#include "tls/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

typedef bool (*row_fn)(const struct nego_row *row, const void *context);

static bool every_row(const struct nego_row *row, const void *context)
{
    (void)row;
    (void)context;
    return true;
}

/* The states that can be reached from start over rows that are allowed. */
static void reach(const struct nego_table *table, enum stream_state start, row_fn is_allowed, const void *context,
                  bool reached[STREAM_STATE_COUNT])
{
    memset(reached, 0, STREAM_STATE_COUNT * sizeof *reached);
    reached[start] = true;
    for (bool grew = true; grew;) {
        grew = false;
        for (unsigned i = 0; i < table->count; i++) {
            const struct nego_row *row = &table->rows[i];
            if (!reached[row->state] || reached[row->next] || !is_allowed(row, context))
                continue;
            reached[row->next] = grew = true;
        }
    }
}

static bool can_end_at(const struct nego_table *table, const struct nego_row *row, enum stream_state state)
{
    bool reached[STREAM_STATE_COUNT];
    reach(table, row->next, every_row, NULL, reached);
    return reached[state];
}

static void rows__each__are_in_range_and_name_their_source(void **state)
{
    const struct nego_table *table = *state;
    assert_true(table->count > 0);
    for (unsigned i = 0; i < table->count; i++) {
        const struct nego_row *row = &table->rows[i];
        assert_true(row->state < STREAM_STATE_COUNT && row->next < STREAM_STATE_COUNT);
        assert_true(row->event > EV_NONE && row->event < EV_CLOSED);
        assert_non_null(row->action);
        assert_non_null(row->spec);
        assert_true(strncmp(row->spec, "RFC", 3) == 0 || strncmp(row->spec, "XEP-0", 5) == 0);
        const char *section = strchr(row->spec, ' ');
        assert_non_null(section);
        assert_true(section[1] >= '1' && section[1] <= '9');
    }
}

static void states__all__are_reached_from_the_first(void **state)
{
    (void)state;
    const struct nego_table *const tables[] = {&nego_c2s_table, &s2s_in_table, &s2s_out_table};
    bool any[STREAM_STATE_COUNT] = {false}, reached[STREAM_STATE_COUNT];
    for (unsigned t = 0; t < 3; t++) {
        reach(tables[t], STREAM_HEADER, every_row, NULL, reached);
        for (unsigned i = 0; i < STREAM_STATE_COUNT; i++)
            any[i] |= reached[i];
    }
    for (unsigned i = 0; i < STREAM_STATE_COUNT; i++)
        if (!any[i])
            fail_msg("state %u cannot be reached", i);
}

static void rows__each__can_be_reached_and_leads_on(void **state)
{
    const struct nego_table *table = *state;
    bool reached[STREAM_STATE_COUNT];
    reach(table, STREAM_HEADER, every_row, NULL, reached);
    for (unsigned i = 0; i < table->count; i++) {
        if (!reached[table->rows[i].state])
            fail_msg("row %u cannot be reached", i);
        bool leads_on = table->rows[i].next == STREAM_CLOSING || can_end_at(table, &table->rows[i], STREAM_BOUND);
        if (!leads_on)
            fail_msg("row %u leads into a dead end", i);
    }
}

/* First matching row wins: one behind a row without a guard, or with the same guard, is never taken. */
static void rows__each__are_not_shadowed_by_an_earlier_one(void **state)
{
    const struct nego_table *table = *state;
    for (unsigned i = 0; i < table->count; i++) {
        for (unsigned j = 0; j < i; j++) {
            const struct nego_row *row = &table->rows[i], *before = &table->rows[j];
            bool is_same_place = row->state == before->state && row->event == before->event;
            if (is_same_place && (!before->guard || before->guard == row->guard))
                fail_msg("row %u stands in the shadow of row %u", i, j);
        }
    }
}

static void closing__once_reached__has_no_row(void **state)
{
    (void)state;
    for (unsigned i = 0; i < nego_c2s_table.count; i++)
        assert_int_not_equal(nego_c2s_table.rows[i].state, STREAM_CLOSING);
}

static bool is_not_event(const struct nego_row *row, const void *context)
{
    return row->event != *(const enum nego_event *)context;
}

/* Take an event out of the table, and BOUND is out of reach: every path goes over it. */
/* Holds 6120:4.3.6/2 6120:4.7.1/3 6120:4.7.2/5 6120:6.3.1/1 6120:7.1/2 6120:13.3/1 6120:feature/sasl-mtn. */
/* Holds 6120:feature/stream-negotiation-complete. */
static void bound__on_every_path__lies_behind_header_success_and_binding(void **state)
{
    (void)state;
    static const enum nego_event gates[] = {EV_HEADER, EV_AUTH, EV_SUCCESS, EV_IQ_BIND};
    bool reached[STREAM_STATE_COUNT];
    for (unsigned i = 0; i < sizeof gates / sizeof gates[0]; i++) {
        reach(&nego_c2s_table, STREAM_HEADER, is_not_event, &gates[i], reached);
        if (reached[STREAM_BOUND])
            fail_msg("a session without event %u", gates[i]);
    }
}

/* A new header between authentication and binding (RFC 6120 s6.4.6): from where EV_SUCCESS leads, without another
 * header there is no session. */
/* Holds 6120:5.3.2/1 6120:6.3.2/1 6120:feature/sasl-restart 6120:feature/stream-negotiation-restart. */
static void bound__behind_success__wants_a_new_header(void **state)
{
    (void)state;
    enum nego_event header = EV_HEADER;
    bool reached[STREAM_STATE_COUNT];
    unsigned count = 0;
    for (unsigned i = 0; i < nego_c2s_table.count; i++) {
        if (nego_c2s_table.rows[i].event != EV_SUCCESS)
            continue;
        reach(&nego_c2s_table, nego_c2s_table.rows[i].next, is_not_event, &header, reached);
        assert_false(reached[STREAM_BOUND]);
        count++;
    }
    assert_true(count > 0);
    /* And likewise behind TLS (s5.4.3.3). */
    reach(&nego_c2s_table, STREAM_TLS, is_not_event, &header, reached);
    assert_false(reached[STREAM_OPEN] || reached[STREAM_LOOKUP]);
}

/* Only what the peer may not forge leads on: outcomes of the router's own are not elements. */
/* Holds 6120:4.7.1/3 6120:4.7.2/5. */
static void identity__in_the_table__comes_from_sasl_alone(void **state)
{
    (void)state;
    for (unsigned i = 0; i < nego_c2s_table.count; i++) {
        const struct nego_row *row = &nego_c2s_table.rows[i];
        bool is_authenticated = row->next == STREAM_MOVE || row->next == STREAM_RESTART;
        bool was_authenticated = row->state == STREAM_MOVE;
        if (is_authenticated && !was_authenticated)
            assert_true(row->state == STREAM_LOOKUP && row->event == EV_SUCCESS);
    }
}

/* A stream in plain text under a policy that requires TLS, made up so that the guards can decide over the rows. The end
 * of a handshake is taken out of the table: what can still be reached is what goes around TLS. */
struct plain_world {
    struct config config;
    struct policy policy;
    struct router router;
    struct shard shard;
    struct nego nego;
    struct stream stream;
};

static struct plain_world *plain_world(bool tls_required)
{
    static struct plain_world world;
    memset(&world, 0, sizeof world);
    world.config.tls_required = tls_required;
    world.config.sasl_attempts_max = 5;
    world.config.bind_attempts_max = 10;
    world.policy.config = &world.config;
    world.policy.tls = (struct context *)&world; /* there is one: guards look no further */
    world.router.shard_count = 1;
    world.shard.policy = &world.policy;
    world.shard.router = &world.router;
    world.nego.jid = SPAN("user@example.com");
    world.stream.shard = &world.shard;
    world.stream.nego = &world.nego;
    return &world;
}

static bool is_open_in_plain(const struct nego_row *row, const void *context)
{
    const struct plain_world *world = context;
    return row->event != EV_TLS_READY && (!row->guard || row->guard(&world->stream));
}

/* Holds 6120:5.3.1/1 6120:5.3.4/1 6120:13.3/1 6120:feature/tls-mtn. */
static void session__while_tls_is_required__lies_behind_tls(void **state)
{
    (void)state;
    bool reached[STREAM_STATE_COUNT];
    reach(&nego_c2s_table, STREAM_HEADER, is_open_in_plain, plain_world(true), reached);
    for (unsigned i = 0; i < STREAM_STATE_COUNT; i++) {
        bool is_before_tls = i == STREAM_HEADER || i == STREAM_OPEN || i == STREAM_TLS;
        if (i != STREAM_CLOSING && reached[i] != is_before_tls)
            fail_msg("state %u", i);
    }
    /* The check can fail: without the requirement there is a way. */
    reach(&nego_c2s_table, STREAM_HEADER, is_open_in_plain, plain_world(false), reached);
    assert_true(reached[STREAM_BOUND]);
}

/* In plain text the only element that leads on is <starttls/>; those of SASL are answered where the stream is. */
/* Holds 6120:5.3.1/1. */
static void elements__while_tls_is_required__lead_nowhere_but_starttls(void **state)
{
    (void)state;
    const struct plain_world *world = plain_world(true);
    unsigned count = 0, answered = 0;
    for (unsigned i = 0; i < nego_c2s_table.count; i++) {
        const struct nego_row *row = &nego_c2s_table.rows[i];
        if (row->state != STREAM_OPEN || !is_open_in_plain(row, world))
            continue;
        if (row->event == EV_STARTTLS) {
            count++;
            continue;
        }
        assert_true(row->next == STREAM_OPEN || row->next == STREAM_CLOSING);
        bool is_sasl = row->event == EV_AUTH || row->event == EV_RESPONSE || row->event == EV_ABORT;
        assert_true(is_sasl || row->event == EV_FAILURE);
        answered += is_sasl;
    }
    assert_true(count > 0);
    assert_int_equal(answered, 3);
}

/* Behind TLS there is no second handshake: wherever <starttls/> has a row, it leads to the end (RFC 6120 s5.4.2.2). */
static void starttls__behind_tls__ends_the_stream(void **state)
{
    (void)state;
    struct plain_world *world = plain_world(true);
    unsigned count = 0;
    world->stream.tls = (struct engine *)world;
    for (unsigned i = 0; i < nego_c2s_table.count; i++) {
        const struct nego_row *row = &nego_c2s_table.rows[i];
        if (row->event != EV_STARTTLS || (row->guard && !row->guard(&world->stream)))
            continue;
        assert_int_equal(row->next, STREAM_CLOSING);
        count++;
    }
    assert_int_equal(count, 3); /* OPEN, SASL, BIND: where the peer may speak */
}

/* s6.4.6: what a right proof of somebody else leads to is the end, and nothing but that. */
static void other_from__always__ends_the_stream(void **state)
{
    (void)state;
    unsigned count = 0;
    for (unsigned i = 0; i < nego_c2s_table.count; i++) {
        if (nego_c2s_table.rows[i].event != EV_OTHER_FROM)
            continue;
        assert_int_equal(nego_c2s_table.rows[i].next, STREAM_CLOSING);
        assert_null(nego_c2s_table.rows[i].guard);
        count++;
    }
    assert_true(count > 0);
}

/* Failures of a login, or of binding, end somewhere: the guard that ends them stands before the row that goes on. */
static void failures__in_the_end__close_the_stream(void **state)
{
    (void)state;
    struct plain_world *world = plain_world(false);
    world->nego.attempts = UINT8_MAX;
    unsigned count = 0;
    for (unsigned i = 0; i < nego_c2s_table.count; i++) {
        const struct nego_row *row = &nego_c2s_table.rows[i];
        bool is_first = row->event == EV_FAILURE && (i == 0 || nego_c2s_table.rows[i - 1].event != EV_FAILURE ||
                                                     nego_c2s_table.rows[i - 1].state != row->state);
        if (!is_first)
            continue;
        assert_non_null(row->guard);
        assert_true(row->guard(&world->stream));
        assert_int_equal(row->next, STREAM_CLOSING);
        world->nego.attempts = 0;
        assert_false(row->guard(&world->stream));
        world->nego.attempts = UINT8_MAX;
        count++;
    }
    assert_int_equal(count, 3);
}

/* Wherever an identity may rest on a certificate, what its issuers say comes first (RFC 6120 s13.7.2.3). */
static void findings__in_each_table__stand_before_external(void **state)
{
    (void)state;
    static const struct nego_table *const tables[] = {&nego_c2s_table, &s2s_in_table, &s2s_out_table};
    for (unsigned t = 0; t < 3; t++) {
        unsigned count = 0;
        for (unsigned i = 0; i < tables[t]->count; i++) {
            const struct nego_row *row = &tables[t]->rows[i];
            if (row->event != EV_INSPECTED)
                continue;
            assert_true(row->state == STREAM_LOOKUP && row->next == STREAM_LOOKUP && !row->guard);
            count++;
        }
        assert_int_equal(count, 1);
    }
    for (unsigned i = 0; i < s2s_in_table.count; i++) {
        const struct nego_row *row = &s2s_in_table.rows[i];
        if (row->event == EV_AUTH)
            assert_int_equal(row->next, STREAM_LOOKUP);
        if (row->next == STREAM_RESTART)
            assert_true(row->state == STREAM_LOOKUP || row->state == STREAM_MOVE);
    }
    for (unsigned i = 0; i < s2s_out_table.count; i++) {
        if (s2s_out_table.rows[i].next != STREAM_SASL)
            continue;
        assert_int_equal(s2s_out_table.rows[i].state, STREAM_LOOKUP); /* the first one: later ones are not by PKIX */
        break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(rows__each__are_in_range_and_name_their_source, (void *)(uintptr_t)&nego_c2s_table),
        cmocka_unit_test_prestate(rows__each__are_in_range_and_name_their_source, (void *)(uintptr_t)&s2s_in_table),
        cmocka_unit_test_prestate(rows__each__are_in_range_and_name_their_source, (void *)(uintptr_t)&s2s_out_table),
        cmocka_unit_test(states__all__are_reached_from_the_first),
        cmocka_unit_test_prestate(rows__each__can_be_reached_and_leads_on, (void *)(uintptr_t)&nego_c2s_table),
        cmocka_unit_test_prestate(rows__each__can_be_reached_and_leads_on, (void *)(uintptr_t)&s2s_in_table),
        cmocka_unit_test_prestate(rows__each__can_be_reached_and_leads_on, (void *)(uintptr_t)&s2s_out_table),
        cmocka_unit_test_prestate(rows__each__are_not_shadowed_by_an_earlier_one, (void *)(uintptr_t)&nego_c2s_table),
        cmocka_unit_test_prestate(rows__each__are_not_shadowed_by_an_earlier_one, (void *)(uintptr_t)&s2s_in_table),
        cmocka_unit_test_prestate(rows__each__are_not_shadowed_by_an_earlier_one, (void *)(uintptr_t)&s2s_out_table),
        cmocka_unit_test(closing__once_reached__has_no_row),
        cmocka_unit_test(bound__on_every_path__lies_behind_header_success_and_binding),
        cmocka_unit_test(bound__behind_success__wants_a_new_header),
        cmocka_unit_test(identity__in_the_table__comes_from_sasl_alone),
        cmocka_unit_test(session__while_tls_is_required__lies_behind_tls),
        cmocka_unit_test(elements__while_tls_is_required__lead_nowhere_but_starttls),
        cmocka_unit_test(starttls__behind_tls__ends_the_stream),
        cmocka_unit_test(other_from__always__ends_the_stream),
        cmocka_unit_test(failures__in_the_end__close_the_stream),
        cmocka_unit_test(findings__in_each_table__stand_before_external),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
