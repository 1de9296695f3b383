/* SPDX-License-Identifier: MIT */
#include "bench/client.h"

#include "bench/login.h"
#include "bench/pace.h"
#include "bench/traffic.h"
#include "core/base/check.h"
#include "tls/engine.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RETRY_NS UINT64_C(1000000000) /* storm: between a login that broke and the next try */

/* Wide enough for what a router may send to a client, small enough for a thread's scratch. */
static const struct xml_limits limits = {
    .stanza_size_max = 1u << 20,
    .element_max = 4096,
    .depth_max = 64,
    .attribute_max = 256,
    .name_size_max = 1024,
    .namespace_max = 64,
};

const char *const client_state_names[CLIENT_STATE_COUNT] = {
    "off",     "dialling", "tls",   "greeting", "starttls", "login",  "proof",
    "restart", "binding",  "bound", "leaving",  "cut",      "failed",
};

const struct xml_limits *client_limits(void)
{
    return &limits;
}

unsigned client_user(const struct client *client)
{
    const struct load_options *options = client->fleet->options;
    if (client->fleet->load->seats)
        return client->fleet->load->seats[client->number / options->server_count];
    return options->first_user + client->number / options->server_count % options->users;
}

/* A loopback server gets connections from many addresses, so that 28,000 ports are no limit. */
static const struct sockaddr *source_address(const struct client *client, const struct sockaddr_storage *remote,
                                             struct sockaddr_in *out)
{
    const struct load_options *options = client->fleet->options;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)remote;
    if (remote->ss_family != AF_INET || ntohl(v4->sin_addr.s_addr) >> 24 != 127)
        return NULL;
    uint32_t choice = (client->number + client->dials) % options->source_count;
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(options->source + choice)};
    return (const struct sockaddr *)out;
}

void client_connect(struct client *client)
{
    struct fleet *fleet = client->fleet;
    const struct load_server *server = client_server(client);
    uint32_t place = client->number / fleet->options->server_count;
    const struct sockaddr_storage *remote = &server->addresses[place % server->address_count];
    struct sockaddr_in local;
    client->dialled_ns = io_now_fresh_ns(fleet->io);
    client->has_footer = false;
    client->conn = io_dial(fleet->io, source_address(client, remote, &local), (const struct sockaddr *)remote, client);
    SL_CHECK(client->conn); /* the io has a slot for each client */
    client->dials++;
    client->state = CLIENT_DIALLING;
    fleet_add(fleet, TALLY_OPEN, 1);
    xml_reader_init(&client->reader, &limits);
}

void client_dial(struct client *client)
{
    client_connect(client);
    client->login = login_new();
}

void client_touch(struct client *client)
{
    if (client->is_dirty)
        return;
    client->is_dirty = true;
    client->next_dirty = client->fleet->dirty;
    client->fleet->dirty = client;
}

void client_flush(struct client *client)
{
    struct fleet *fleet = client->fleet;
    if (!client->conn || client->state == CLIENT_FAILED || !io_can_send(client->conn))
        return; /* sent() comes here again */
    if (!client->tls)
        chain_splice(&client->wire, &client->out);
    else if (!chain_is_empty(&client->out) && engine_is_ready(client->tls) &&
             engine_write(client->tls, &client->out, SIZE_MAX, &client->wire, fleet->pool) == ENGINE_FAILED)
        client_fail(client, "TLS: %s", engine_error(client->tls));
    if (!chain_is_empty(&client->wire) && client->state != CLIENT_FAILED)
        io_send(fleet->io, client->conn, &client->wire);
}

void client_start_tls(struct client *client)
{
    struct fleet *fleet = client->fleet;
    client->tls = engine_new_client(fleet->load->tls, span_str(client_server(client)->domain),
                                    wallet_name(&fleet->load->wallet, client->number));
    SL_CHECK(client->tls);
    client->state = CLIENT_TLS;
    if (engine_start(client->tls, &client->wire, fleet->pool) == ENGINE_FAILED)
        client_fail(client, "TLS: %s", engine_error(client->tls));
    client_touch(client);
}

void client_leave(struct client *client)
{
    client->state = CLIENT_LEAVING;
    fleet_add(client->fleet, TALLY_BOUND, UINT64_MAX);
    if (client->fleet->options->is_relay) {
        io_close(client->fleet->io, client->conn);
        return;
    }
    chain_append(&client->out, client->fleet->pool, SPAN("</stream:stream>"));
    client_touch(client);
}

void client_cut(struct client *client)
{
    client->state = CLIENT_CUT;
    fleet_add(client->fleet, TALLY_BOUND, UINT64_MAX);
    fleet_add(client->fleet, TALLY_CUT, 1);
    io_close(client->fleet->io, client->conn);
}

/* In a storm who does not get in tries again. */
static bool comes_back(const struct client *client)
{
    return client->fleet->options->mode == MODE_STORM && client->fleet->phase == PHASE_RUN;
}

void client_fail(struct client *client, const char *format, ...)
{
    struct fleet *fleet = client->fleet;
    char text[200];
    va_list list;
    if (client->state == CLIENT_FAILED)
        return;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    fleet_note(fleet, "user%u, %s: %s", client_user(client), client_state_names[client->state], text);
    if (client->state == CLIENT_BOUND)
        fleet_add(fleet, TALLY_BOUND, UINT64_MAX);
    bool is_login = client->state < CLIENT_BOUND;
    enum tally failed = comes_back(client) ? TALLY_RETRIED : TALLY_FAILED;
    fleet_add(fleet, is_login ? failed : TALLY_BROKEN, 1);
    if (is_login)
        fleet_login_over(fleet);
    client->state = CLIENT_FAILED;
    io_reset(fleet->io, client->conn);
}

void client_clear(struct client *client)
{
    struct chunk_pool *pool = client->fleet->pool;
    if (client->state == CLIENT_OFF)
        return;
    client->state = CLIENT_OFF;
    client->conn = NULL;
    chain_clear(&client->out, pool);
    chain_clear(&client->wire, pool);
    xml_reader_fini(&client->reader);
    if (client->tls)
        engine_free(client->tls);
    client->tls = NULL;
    login_free(client->login);
    client->login = NULL;
    free(client->jid);
    client->jid = NULL;
    fleet_add(client->fleet, TALLY_OPEN, UINT64_MAX);
}

/* What was waited for: the stream ends in order, as if it were ours to end. */
static void reset(struct client *client)
{
    struct fleet *fleet = client->fleet;
    uint64_t now = io_now_fresh_ns(fleet->io);
    if (!fleet->first_reset_ns)
        fleet->first_reset_ns = now;
    fleet->last_reset_ns = now;
    if (fleet->record)
        fprintf(fleet->record, "reset %" PRIu64 " %u\n", now, client->number);
    fleet_add(fleet, TALLY_RESETS, 1);
    client_leave(client);
}

static void stanza(struct client *client, const struct xml_stanza *stanza)
{
    if (xml_is(stanza, 0, NS_STREAM, "error")) {
        uint32_t child = xml_child(stanza, 0);
        struct span name = child == XML_NOWHERE ? SPAN("?") : xml_name(stanza, child);
        if (client->state == CLIENT_BOUND && client->fleet->options->resets && span_is(name, "reset"))
            reset(client);
        else
            client_fail(client, "stream error <%.*s/>", SPAN_ARG(name));
    } else if (client->state == CLIENT_BOUND) {
        traffic_stanza(client, stanza);
    } else {
        login_element(client, stanza);
    }
}

/* --tap: a file a connection. Sessions are many, so none stays open. */
static void keep(const struct client *client, struct span bytes)
{
    char path[1024];
    int size = snprintf(path, sizeof path, "%s/load-%d-%u-%u.xml", client->fleet->options->tap, (int)getpid(),
                        client->number, client->dials);
    SL_CHECK(size > 0 && (size_t)size < sizeof path);
    FILE *file = fopen(path, "ab");
    SL_CHECK(file && fwrite(bytes.ptr, bytes.size, 1, file) == 1 && fclose(file) == 0);
}

/* XML of the stream, in order. */
static void consume(void *context, struct span bytes)
{
    struct client *client = context;
    struct xml_stanza found;
    if (client->fleet->options->tap && bytes.size)
        keep(client, bytes);
    while (bytes.size && client->state != CLIENT_FAILED) {
        switch (xml_reader_next(&client->reader, client->fleet->scratch, &bytes, &found)) {
        case XML_MORE:
        case XML_HEADER:
            break;
        case XML_STANZA:
            stanza(client, &found);
            break;
        case XML_FOOTER:
            client->has_footer = true;
            if (client->state != CLIENT_LEAVING)
                client_fail(client, "the server closed the stream");
            return;
        case XML_MISNAMED: /* its limits spare nothing */
        case XML_REFUSED:
            client_fail(client, "the server's XML: %s", xml_error_text((enum xml_error)client->reader.error));
            break;
        }
    }
}

static void received(void *context, struct io_conn *conn, struct span bytes)
{
    struct fleet *fleet = context;
    struct client *client = conn->owner;
    fleet->now_ns = io_now_fresh_ns(fleet->io);
    pace_received(client, bytes.size);
    if (!client->tls) {
        consume(client, bytes);
        return;
    }
    bool was_ready = engine_is_ready(client->tls);
    enum engine_status status = engine_feed(client->tls, bytes, &client->wire, fleet->pool, consume, client);
    if (status == ENGINE_FAILED) {
        client_fail(client, "TLS: %s", engine_error(client->tls));
        return;
    }
    if (!was_ready && engine_is_ready(client->tls))
        login_begin(client);
    if (!chain_is_empty(&client->wire))
        client_touch(client);
}

static void dialled(void *context, struct io_conn *conn, int error)
{
    struct client *client = conn->owner;
    (void)context;
    if (error)
        client_fail(client, "connect: %s", strerror(error));
    else if (client->fleet->options->tls == LOAD_TLS_DIRECT)
        client_start_tls(client);
    else
        login_begin(client);
}

static void ended(void *context, struct io_conn *conn)
{
    struct fleet *fleet = context;
    struct client *client = conn->owner;
    if (client->state == CLIENT_LEAVING && client->has_footer)
        io_close(fleet->io, conn);
    else
        client_fail(client, "the server ended the connection");
}

static void sent(void *context, struct io_conn *conn)
{
    struct client *client = conn->owner;
    (void)context;
    if (!chain_is_empty(&client->out) || !chain_is_empty(&client->wire))
        client_touch(client);
}

static void closed(void *context, struct io_conn *conn, int error)
{
    struct fleet *fleet = context;
    struct client *client = conn->owner;
    if (error && client->state != CLIENT_CUT)
        client_fail(client, "the connection broke: %s", strerror(error));
    bool has_left = client->state == CLIENT_LEAVING, was_cut = client->state == CLIENT_CUT;
    client_clear(client);
    if (comes_back(client)) {
        client->due_ns = was_cut ? 0 : io_now_fresh_ns(fleet->io) + RETRY_NS;
        fleet_enqueue(fleet, client);
    }
    if (has_left && fleet->phase == PHASE_RUN && fleet->options->mode == MODE_LOGIN)
        fleet_enqueue(fleet, client);
}

/* No listeners, no handoffs: those callbacks never come. */
const struct io_handler client_io_handler = {
    .dialled = dialled,
    .received = received,
    .ended = ended,
    .sent = sent,
    .closed = closed,
    .turn = fleet_turn,
};
