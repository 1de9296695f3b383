/* SPDX-License-Identifier: MIT */
#include "tests/unit/io/sim_echo.h"

#include "tests/unit/io/sim_cmocka.h"

#include <stdlib.h>

static struct echo_shard *enter(void *context)
{
    struct echo_shard *shard = context;
    assert_false(shard->is_calling);
    shard->is_calling = true;
    return shard;
}

static void leave(struct echo_shard *shard)
{
    shard->is_calling = false;
}

static void flush(struct echo_session *session)
{
    struct io *io = session->shard->io;
    if (session->is_closing)
        return;
    if (session->is_moving) {
        if (session->shard->echo->sends_while_moving && !chain_is_empty(&session->out) && io_can_send(session->conn))
            io_send(io, session->conn, &session->out);
        return;
    }
    if (session->is_paused && session->out.size < ECHO_BACKLOG) {
        session->is_paused = false;
        io_resume(io, session->conn);
    }
    if (!io_can_send(session->conn))
        return;
    if (!chain_is_empty(&session->out)) {
        io_send(io, session->conn, &session->out);
        assert_true(chain_is_empty(&session->out));
        assert_false(io_can_send(session->conn));
        return;
    }
    if (!session->is_ended)
        return;
    if (session->shard->echo->answers_fin) {
        if (!session->is_shut)
            io_shutdown(io, session->conn);
        session->is_shut = true;
        return;
    }
    session->is_closing = true;
    io_close(io, session->conn);
}

static void session_link(struct echo_shard *shard, struct echo_session *session)
{
    session->shard = shard;
    session->next = shard->sessions;
    shard->sessions = session;
}

static void session_unlink(struct echo_session *session)
{
    struct echo_session **link = &session->shard->sessions;
    while (*link != session)
        link = &(*link)->next;
    *link = session->next;
}

static void session_open(struct echo_shard *shard, struct io_conn *conn)
{
    struct echo_session *session = calloc(1, sizeof *session);
    assert_non_null(session);
    session->conn = conn;
    session->until_move = shard->echo->move_every;
    conn->owner = session;
    session_link(shard, session);
    shard->echo->opened++;
}

static void on_accepted(void *context, struct io_conn *conn, unsigned tag, const struct sockaddr *peer)
{
    struct echo_shard *shard = enter(context);
    assert_int_equal(tag, ECHO_TAG);
    assert_int_equal(peer->sa_family, AF_INET);
    assert_null(conn->owner);
    session_open(shard, conn);
    leave(shard);
}

static void on_dialled(void *context, struct io_conn *conn, int error)
{
    (void)context;
    (void)conn;
    (void)error;
    fail_msg("an echo never dials");
}

static void on_received(void *context, struct io_conn *conn, struct span bytes)
{
    struct echo_shard *shard = enter(context);
    struct echo_session *session = conn->owner;
    assert_ptr_equal(session->shard, shard);
    assert_false(session->is_closing || session->is_ended);
    assert_true(bytes.size > 0);
    chain_append(&session->out, io_pool(shard->io), bytes);
    if (session->out.size >= ECHO_BACKLOG && !session->is_paused && !session->is_moving) {
        session->is_paused = true;
        io_pause(shard->io, conn);
    }
    flush(session);
    if (session->until_move > 0 && !session->is_moving) {
        session->until_move -= bytes.size < session->until_move ? bytes.size : session->until_move;
        if (session->until_move == 0) {
            session->is_moving = true;
            io_handoff(shard->io, conn, (io_shard(shard->io) + 1) % shard->echo->shard_count, session);
        }
    }
    leave(shard);
}

static void on_ended(void *context, struct io_conn *conn)
{
    struct echo_shard *shard = enter(context);
    struct echo_session *session = conn->owner;
    assert_false(session->is_ended || session->is_closing);
    session->is_ended = true;
    flush(session);
    leave(shard);
}

static void on_sent(void *context, struct io_conn *conn)
{
    struct echo_shard *shard = enter(context);
    struct echo_session *session = conn->owner;
    assert_false(session->is_closing);
    assert_true(io_can_send(conn));
    flush(session);
    leave(shard);
}

static void on_closed(void *context, struct io_conn *conn, int error)
{
    struct echo_shard *shard = enter(context);
    struct echo_session *session = conn->owner;
    assert_ptr_equal(session->shard, shard);
    assert_true(session->is_closing || error > 0);
    assert_null(io_find(shard->io, io_ref(conn)));
    chain_clear(&session->out, io_pool(shard->io));
    session_unlink(session);
    free(session);
    shard->echo->closed++;
    shard->echo->closed_with_error += error != 0;
    shard->echo->last_error = error;
    leave(shard);
}

static void on_departing(void *context, struct io_conn *conn)
{
    struct echo_shard *shard = enter(context);
    struct echo_session *session = conn->owner;
    assert_true(session->is_moving && !session->is_closing);
    chain_release(&session->out, io_pool(shard->io));
    session_unlink(session);
    leave(shard);
}

static void take_over(struct echo_shard *shard, struct io_conn *conn, struct echo_session *session)
{
    assert_null(conn->owner);
    assert_true(session->is_moving);
    chain_adopt(&session->out, io_pool(shard->io));
    session->is_moving = false;
    session->is_paused = true;
    session->conn = conn;
    conn->owner = session;
    session->until_move = shard->echo->move_every;
    session_link(shard, session);
}

static void on_handoff_failed(void *context, struct io_conn *conn, void *parcel, int error)
{
    struct echo_shard *shard = enter(context);
    struct echo_session *session = parcel;
    assert_true(error > 0);
    take_over(shard, conn, session);
    shard->echo->moves_failed++;
    session->is_closing = true;
    io_close(shard->io, conn);
    leave(shard);
}

static void on_arrived(void *context, struct io_conn *conn, void *parcel)
{
    struct echo_shard *shard = enter(context);
    struct echo_session *session = parcel;
    take_over(shard, conn, session);
    shard->echo->moves++;
    flush(session);
    leave(shard);
}

static uint64_t on_turn(void *context)
{
    struct echo_shard *shard = enter(context);
    shard->turns++;
    leave(shard);
    return shard->deadline;
}

static const struct io_handler handler = {
    .accepted = on_accepted,
    .dialled = on_dialled,
    .received = on_received,
    .ended = on_ended,
    .sent = on_sent,
    .closed = on_closed,
    .departing = on_departing,
    .handoff_failed = on_handoff_failed,
    .arrived = on_arrived,
    .turn = on_turn,
};

void echo_init(struct echo *echo, uint64_t seed, const struct world_chaos *chaos, unsigned shard_count,
               const struct io_config *config)
{
    struct err err;
    memset(echo, 0, sizeof *echo);
    assert_true(shard_count <= ECHO_SHARDS);
    echo->world = world_new(seed, chaos);
    echo->group = world_group(echo->world, shard_count);
    echo->shard_count = shard_count;
    assert_true(io_group_listen(echo->group, "*", &echo->port, ECHO_TAG, &err));
    assert_int_not_equal(echo->port, 0);
    for (unsigned i = 0; i < shard_count; i++) {
        struct echo_shard *shard = &echo->shards[i];
        shard->echo = echo;
        shard->deadline = UINT64_MAX;
        shard->io = io_new(echo->group, i, config != NULL ? config : &io_config_default, &handler, shard,
                           &shard->counters, &err);
        assert_non_null(shard->io);
        assert_int_equal(io_shard(shard->io), i);
    }
}

void echo_settle(struct echo *echo)
{
    assert_true(world_settle(echo->world, 2000000));
}

void echo_fini(struct echo *echo)
{
    for (unsigned i = 0; i < echo->shard_count; i++)
        for (struct echo_session *session = echo->shards[i].sessions; session != NULL; session = session->next)
            if (!session->is_closing) {
                session->is_closing = true;
                io_close(echo->shards[i].io, session->conn);
            }
    echo_settle(echo);
    assert_int_equal(echo->opened, echo->closed);
    assert_int_equal(world_open_count(echo->world), 0);
    for (unsigned i = 0; i < echo->shard_count; i++) {
        assert_null(echo->shards[i].sessions);
        assert_int_equal(io_pool(echo->shards[i].io)->live, 0);
        assert_int_equal(counter_read(&echo->shards[i].counters, COUNTER_CONNECTIONS), 0);
        io_free(echo->shards[i].io);
    }
    world_free(echo->world);
}
