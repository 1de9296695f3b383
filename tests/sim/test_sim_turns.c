/* SPDX-License-Identifier: MIT */
/* What a turn does first, and how much of what is dear: logins wait behind letters and behind each other, more
 * connections wait in the system's queue, and what was held back is gone through in pieces. */
#include "router/stream/newcomer.h"
#include "router/stream/stream.h"
#include "router/route/session.h"
#include "tests/sim/caller.h"
#include "tls/context.h"
#include "tls/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define CROWD     40u
#define HELLO_MAX 2048u

/* ------------------------------------------------------------------------------------------------ hellos */

struct scene {
    struct rig *rig;
    char hello[HELLO_MAX]; /* one for all: a server does not mind */
    size_t hello_size;
    struct caller callers[CROWD];
    unsigned count;
};

static void make_hello(struct scene *scene)
{
    const struct context_config config = {.role = CONTEXT_CLIENT, .insecure = true, .version_min = 0x0304};
    struct err err;
    struct chunk_pool pool;
    struct chain wire = {0};
    chunk_pool_init(&pool, 4);
    struct context *context = context_new(&config, &err, NULL);
    struct engine *engine = engine_new(context, SPAN("example.com"));
    assert_int_equal(engine_start(engine, &wire, &pool), ENGINE_OK);
    struct span front = chain_front(&wire);
    assert_true(front.size == wire.size && front.size <= HELLO_MAX);
    memcpy(scene->hello, front.ptr, front.size);
    scene->hello_size = front.size;
    chain_clear(&wire, &pool);
    engine_free(engine);
    context_unref(context);
    chunk_pool_fini(&pool);
}

static void scene_open(struct scene *scene, const char *first, const char *second)
{
    const char *overrides[8] = {0};
    unsigned count = 0;
    for (const char *const *given = caller_tls_overrides(); *given; given++)
        overrides[count++] = *given;
    overrides[count++] = first;
    overrides[count] = second;
    memset(scene, 0, sizeof *scene);
    scene->rig = rig_new(5, 1, NULL, 4, overrides);
    scene->rig->shards[0].said = UINT64_MAX; /* as if a session had said something */
    make_hello(scene);
}

static void greet(struct scene *scene, unsigned index)
{
    caller_open_from(&scene->callers[index], scene->rig, 0, LISTEN_C2S_TLS, "192.0.2.1");
    peer_send(scene->callers[index].peer, span_of(scene->hello, scene->hello_size));
    scene->count = index + 1;
}

static void greet_all(struct scene *scene)
{
    for (unsigned i = 0; i < CROWD; i++)
        greet(scene, i);
}

static void scene_close(struct scene *scene)
{
    for (unsigned i = 0; i < scene->count; i++)
        caller_close(&scene->callers[i]);
    rig_run(scene->rig, 20000);
    rig_free(scene->rig);
}

static bool is_answered(const struct scene *scene, unsigned index)
{
    return peer_received(scene->callers[index].peer).size > 0;
}

/* ------------------------------------------------------------------------------------------------ handshakes */

/* Who came first is not served last, which under a storm would be never. */
static void handshakes__of_many_at_once__in_the_order_of_arrival(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "limits.handshakes_per_turn=1", NULL);
    greet_all(&scene);
    unsigned answered = 0;
    for (bool more = true; more;) {
        more = world_step(scene.rig->world);
        while (answered < CROWD && is_answered(&scene, answered))
            answered++;
        for (unsigned i = answered; i < CROWD; i++)
            assert_false(is_answered(&scene, i));
    }
    assert_int_equal(answered, CROWD);
    scene_close(&scene);
}

/* Else all logins of a storm would come in the end, all at once. */
static void handshakes__that_are_half_done__go_before_new_ones(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "limits.handshakes_per_turn=1", NULL);
    size_t half = scene.hello_size / 2;
    caller_open_from(&scene.callers[0], scene.rig, 0, LISTEN_C2S_TLS, "192.0.2.1");
    peer_send(scene.callers[0].peer, span_of(scene.hello, half));
    world_settle(scene.rig->world, 100);
    for (unsigned i = 1; i < CROWD; i++)
        greet(&scene, i);
    while (scene.rig->shards[0].newcomer_count < CROWD / 2)
        assert_true(world_step(scene.rig->world));
    peer_send(scene.callers[0].peer, span_of(scene.hello + half, scene.hello_size - half));
    while (!is_answered(&scene, 0))
        assert_true(world_step(scene.rig->world));
    assert_true(scene.rig->shards[0].newcomer_count > CROWD / 4);
    scene_close(&scene);
}

/* Several in a row only when nothing else wants the shard. */
static void handshakes__while_something_comes__one_a_turn(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "limits.handshakes_per_turn=8", NULL);
    struct shard *shard = &scene.rig->shards[0];
    greet_all(&scene);
    unsigned pressed = 0, free = 0;
    for (bool more = true; more;) {
        uint32_t before = shard->newcomer_count;
        unsigned connections = io_conn_count(shard->io);
        more = world_step(scene.rig->world);
        if (before == 0)
            continue;
        if (io_conn_count(shard->io) < CROWD && io_conn_count(shard->io) > connections) {
            assert_true(shard->newcomer_count + 1 >= before); /* others were still to be accepted: one */
            pressed++;
        }
        if (connections == CROWD && shard->newcomer_count + 8 == before)
            free++;
    }
    assert_true(pressed >= 2 && free >= 2);
    assert_int_equal(shard->newcomer_count, 0);
    scene_close(&scene);
}

/* ... unless nobody is there whom a long turn could keep waiting. */
static void handshakes__where_no_session_says_anything__many_a_turn(void **state)
{
    (void)state;
    for (unsigned is_quiet = 0; is_quiet < 2; is_quiet++) {
        struct scene scene;
        scene_open(&scene, "limits.handshakes_per_turn=8", NULL);
        struct shard *shard = &scene.rig->shards[0];
        if (is_quiet)
            world_advance(scene.rig->world, 1000);
        shard->said = is_quiet ? 0 : UINT64_MAX;
        greet_all(&scene);
        unsigned answered = 0, most = 0;
        while (io_conn_count(shard->io) < CROWD) { /* others are still to be accepted */
            assert_true(world_step(scene.rig->world));
            unsigned before = answered;
            while (answered < CROWD && is_answered(&scene, answered))
                answered++;
            most = answered - before > most ? answered - before : most;
        }
        assert_true(is_quiet ? most > 4 : most <= 1);
        rig_run(scene.rig, 20000);
        scene_close(&scene);
    }
}

static unsigned submits;
static struct stream *letter_for; /* NULL: nobody looks */
static bool was_letter_first;

/* In place of the simulated io's, which has nothing to do: looks at what the router has done by then. */
void __wrap_io_submit(struct io *io);
void __wrap_io_submit(struct io *io)
{
    (void)io;
    submits++;
    if (letter_for && letter_for->shard->newcomer_count)
        was_letter_first = !io_can_send(letter_for->conn) && chain_is_empty(&letter_for->out);
}

/* A letter that comes together with a hello does not wait for the handshake. */
static void letter__in_the_same_turn_as_a_hello__goes_out_before_it(void **state)
{
    (void)state;
    struct scene scene;
    struct caller from, to;
    struct caller *callers[] = {&from, &to};
    scene_open(&scene, NULL, NULL);
    for (unsigned i = 0; i < 2; i++) {
        caller_open_from(callers[i], scene.rig, 0, LISTEN_C2S_TLS, "192.0.2.1");
        assert_true(caller_start_tls(callers[i]));
        assert_true(caller_login(callers[i], i) && caller_bind(callers[i], "r"));
    }
    caller_open_from(&scene.callers[0], scene.rig, 0, LISTEN_C2S_TLS, "192.0.2.1");
    scene.count = 1;
    world_settle(scene.rig->world, 100);
    submits = 0;
    letter_for = scene.rig->shards[0].streams;
    while (letter_for->state != STREAM_BOUND || memcmp(letter_for->session->user->bare, "user1", 5) != 0)
        letter_for = letter_for->next;
    was_letter_first = false;
    peer_send(scene.callers[0].peer, span_of(scene.hello, scene.hello_size));
    caller_say_text(&from, "<message to='user1@example.com/r'><body>before</body></message>");
    caller_run(&to);
    letter_for = NULL;
    assert_true(caller_has_heard(&to, "before"));
    assert_true(is_answered(&scene, 0));
    assert_int_equal(submits, 1);
    assert_true(was_letter_first);
    caller_close(&from);
    caller_close(&to);
    scene_close(&scene);
}

/* A storm waits outside: what is accepted is bounded, and all are served in the end. */
static void connections__while_many_handshakes_wait__are_not_accepted(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "limits.handshakes_per_turn=1", "limits.logins_waiting=8");
    struct shard *shard = &scene.rig->shards[0];
    greet_all(&scene);
    uint32_t most = 0;
    for (bool more = true; more;) {
        more = world_step(scene.rig->world);
        most = shard->newcomer_count > most ? shard->newcomer_count : most;
    }
    assert_true(most >= 8 && most <= 8 + 2 * 8); /* those under way: 8 at a time, and their hellos a step later */
    for (unsigned i = 0; i < CROWD; i++)
        assert_true(is_answered(&scene, i));
    scene_close(&scene);
}

/* Who gives up while it waits costs nothing, and lets others in. */
static void connections__that_give_up_while_they_wait__make_room(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "limits.handshakes_per_turn=1", "limits.logins_waiting=8");
    struct shard *shard = &scene.rig->shards[0];
    greet_all(&scene);
    while (shard->newcomer_count < 8)
        assert_true(world_step(scene.rig->world));
    for (unsigned i = 0; i < CROWD / 2; i++)
        peer_reset(scene.callers[i].peer);
    world_settle(scene.rig->world, 10000);
    assert_int_equal(shard->newcomer_count, 0);
    for (unsigned i = CROWD / 2; i < CROWD; i++)
        assert_true(is_answered(&scene, i));
    scene_close(&scene);
}

/* ------------------------------------------------------------------------------------------------ around handshakes */

/* Headers, SASL, binding: three of their steps count as one of a handshake. */
static void headers__of_many_at_once__three_a_turn(void **state)
{
    (void)state;
    static const char *const settings[] = {"limits.handshakes_per_turn=1", NULL};
    struct rig *rig = rig_new(5, 1, NULL, 1, settings);
    static struct caller callers[CROWD];
    struct shard *shard = &rig->shards[0];
    for (unsigned i = 0; i < CROWD; i++)
        caller_open(&callers[i], rig, 0);
    world_settle(rig->world, 1000);
    for (unsigned i = 0; i < CROWD; i++)
        caller_say_text(&callers[i], CALLER_HEADER);
    uint32_t most = 0, turns = 0;
    for (bool more = true; more;) {
        uint32_t before = shard->newcomer_count;
        more = world_step(rig->world);
        uint32_t after = shard->newcomer_count;
        most = before > after && before - after > most ? before - after : most;
        turns += before > after;
    }
    assert_int_equal(most, 3);
    assert_true(turns >= CROWD / 3 - 1); /* the first may have come and gone in one step */
    for (unsigned i = 0; i < CROWD; i++) {
        caller_run(&callers[i]);
        assert_true(caller_has_heard(&callers[i], "<mechanisms"));
        caller_close(&callers[i]);
    }
    rig_run(rig, 20000);
    rig_free(rig);
}

/* The end of a connection is no way around the queue: what was said before it is judged first. */
static void fin__behind_a_broken_header__is_met_after_it(void **state)
{
    (void)state;
    struct rig *rig = rig_new(5, 1, NULL, 1, NULL);
    struct caller caller;
    caller_open(&caller, rig, 0);
    world_settle(rig->world, 1000);
    caller_say_text(&caller, "<stream:stream <");
    peer_end(caller.peer);
    caller_run(&caller);
    assert_true(caller_has_heard(&caller, "<not-well-formed"));
    caller_close(&caller);
    rig_run(rig, 20000);
    rig_free(rig);
}

/* A connection breaks while what it said waits for its turn: it came before the break, and is heard. */
static void break__of_a_stream_that_waits__comes_after_what_it_said(void **state)
{
    (void)state;
    struct rig *rig = rig_new(5, 1, NULL, 2, NULL);
    struct caller to, from;
    caller_open(&to, rig, 0);
    assert_true(caller_login(&to, 1) && caller_bind(&to, "r"));
    caller_open(&from, rig, 0);
    assert_true(caller_login(&from, 0));
    struct stream *stream = rig->shards[0].streams; /* the newest */
    assert_int_equal(stream->state, STREAM_BIND);
    stream_received(stream, SPAN("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
                                 "<message to='user1@example.com/r'><body>the last words</body></message>"));
    assert_true(newcomer_is_entered(stream));
    stream_abort(stream);
    caller_run(&to);
    assert_true(caller_has_heard(&to, "the last words"));
    caller_close(&from);
    caller_close(&to);
    rig_run(rig, 20000);
    rig_free(rig);
}

/* ------------------------------------------------------------------------------------------------ what was held */

#define LARGE   4000u
#define LETTERS 20u

/* The recipient reads again: what its sender had waiting comes in pieces, not all of it in one turn. */
static void held__a_lot__a_piece_a_turn(void **state)
{
    (void)state;
    static const char *const settings[] = {"limits.queue_soft=1MiB", "limits.queue_hard=2MiB", NULL};
    static char text[LETTERS * (LARGE + 100)];
    struct rig *rig = rig_new(3, 1, NULL, 2, settings);
    struct caller from, to;
    size_t size = 0;
    caller_open(&to, rig, 0);
    assert_true(caller_login(&to, 0) && caller_bind(&to, "r"));
    caller_open(&from, rig, 0);
    assert_true(caller_login(&from, 1) && caller_bind(&from, "r"));
    struct stream *sender = rig->shards[0].streams; /* the newest */
    stream_hold(sender);
    for (unsigned i = 0; i < LETTERS; i++) {
        int head = snprintf(text + size, sizeof text - size, "<message to='user0@example.com/r'><body>");
        memset(text + size + head, 'x', LARGE);
        strcpy(text + size + (size_t)head + LARGE, "</body></message>");
        size += strlen(text + size);
    }
    chain_append(&sender->held, rig->shards[0].pool, span_of(text, size)); /* as if it had been read */
    uint64_t accepted = rig_counter(rig, COUNTER_STANZAS_IN), last = accepted;
    stream_release(sender);
    io_notify(rig->shards[0].io);
    for (bool more = true; more;) {
        more = world_step(rig->world);
        uint64_t now = rig_counter(rig, COUNTER_STANZAS_IN);
        assert_true(now - last <= 6); /* 16 KiB, and what was begun */
        last = now;
    }
    assert_int_equal(last - accepted, LETTERS);
    caller_close(&from);
    caller_close(&to);
    rig_run(rig, 20000);
    rig_free(rig);
}

#define BIND_IQ "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
#define WORD    "<presence to='example.com'/>"

/* Behind its binding, in the same receive, comes more than a turn handles: it is not read until that is worked off. */
static void held__behind_the_binding__is_not_added_to(void **state)
{
    (void)state;
    static char words[100000];
    struct rig *rig = rig_new(3, 1, NULL, 1, NULL);
    struct caller caller;
    caller_open(&caller, rig, 0);
    assert_true(caller_login(&caller, 0));
    struct stream *stream = rig->shards[0].streams;
    size_t bind = sizeof BIND_IQ - 1, size = bind, word = sizeof WORD - 1, count = 0, most = 0;
    memcpy(words, BIND_IQ, bind);
    for (; size + word <= sizeof words; size += word, count++)
        memcpy(words + size, WORD, word);
    uint64_t accepted = rig_counter(rig, COUNTER_STANZAS_IN);
    stream_received(stream, span_of(words, size)); /* in pieces as large as the kernel hands them out */
    assert_true(newcomer_is_entered(stream) && !stream->is_paused);
    io_notify(rig->shards[0].io);
    for (unsigned receives = 1; world_step(rig->world) || receives < 10;) {
        most = stream->held.size > most ? stream->held.size : most;
        if (stream->is_paused || receives == 10)
            continue;
        stream_received(stream, span_of(words + bind, size - bind));
        io_notify(rig->shards[0].io);
        receives++;
    }
    assert_int_equal(rig_counter(rig, COUNTER_STANZAS_IN) - accepted, 10 * count);
    assert_true(most <= size);
    caller_close(&caller);
    rig_run(rig, 20000);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshakes__of_many_at_once__in_the_order_of_arrival),
        cmocka_unit_test(handshakes__that_are_half_done__go_before_new_ones),
        cmocka_unit_test(handshakes__while_something_comes__one_a_turn),
        cmocka_unit_test(handshakes__where_no_session_says_anything__many_a_turn),
        cmocka_unit_test(letter__in_the_same_turn_as_a_hello__goes_out_before_it),
        cmocka_unit_test(connections__while_many_handshakes_wait__are_not_accepted),
        cmocka_unit_test(connections__that_give_up_while_they_wait__make_room),
        cmocka_unit_test(headers__of_many_at_once__three_a_turn),
        cmocka_unit_test(fin__behind_a_broken_header__is_met_after_it),
        cmocka_unit_test(break__of_a_stream_that_waits__comes_after_what_it_said),
        cmocka_unit_test(held__a_lot__a_piece_a_turn),
        cmocka_unit_test(held__behind_the_binding__is_not_added_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
