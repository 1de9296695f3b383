/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Client: one simulated XMPP client: a connection, TLS, a stream (RFC 6120), from dialling to the orderly end.
 *
 *   client_dial -> (TLS) -> login.h negotiates -> bound: traffic.h sends and checks -> client_leave -> closed
 *
 * What a client sends is appended to out and goes out at the end of the turn (client_touch). Whatever it does not
 * expect (a stream error, an end it did not ask for) fails it: counted, noted, connection reset.
 *
 * Thread:  its fleet's.
 */
#include "bench/fleet.h"

struct engine;
struct login;

enum client_state {
    CLIENT_OFF, /* no connection */
    CLIENT_DIALLING,
    CLIENT_TLS,      /* handshake */
    CLIENT_GREETING, /* header sent, features awaited */
    CLIENT_STARTTLS, /* asked, proceed awaited */
    CLIENT_LOGIN,    /* auth sent */
    CLIENT_PROOF,    /* response sent */
    CLIENT_RESTART,  /* header sent again, features awaited */
    CLIENT_BINDING,
    CLIENT_BOUND,
    CLIENT_LEAVING, /* end tag sent */
    CLIENT_CUT,     /* storm: closed without a word */
    CLIENT_FAILED,  /* only closed is awaited */
    CLIENT_STATE_COUNT
};

extern const char *const client_state_names[CLIENT_STATE_COUNT];

struct client {
    struct fleet *fleet;
    struct client *partner; /* of its pair; presence: the first of its account; itself when there are none */
    struct io_conn *conn;   /* NULL: none */
    struct engine *tls;
    struct login *login; /* until bound */
    char *jid;           /* bound full JID */
    struct xml_reader reader;
    struct chain out;  /* plain XML to send */
    struct chain wire; /* TLS records, or out itself, on their way to the io */
    struct client *next_dirty;
    struct client *next_idle;
    uint64_t dialled_ns;
    uint64_t due_ns;   /* idle: not before that */
    uint64_t paid_ns;  /* with a rate of reading: what was read is paid for until then */
    uint32_t number;   /* of the session, counted over all fleets */
    uint32_t dials;    /* so far: chooses the source address */
    uint32_t sent;     /* next sequence number to the partner */
    uint32_t received; /* next one expected from it */
    uint32_t jid_size;
    uint32_t audience; /* presence: sessions that it tells */
    uint32_t heard;    /* presence: of others' coming online */
    uint64_t told;     /* presence: of its changes, arrived, at all of them */
    uint8_t state;     /* enum client_state */
    bool is_dirty : 1;
    bool is_paused : 1;  /* not read, by a rate of reading */
    bool has_footer : 1; /* the server closed its stream */
    bool is_seen : 1;    /* presence: it has come online before the eyes of its partner */
};

/* Where it logs in: the second one of a pair at the second server, if there is one. */
static inline const struct load_server *client_server(const struct client *client)
{
    const struct load_options *options = client->fleet->options;
    return &options->servers[client->number % options->server_count];
}

/* For the scratch of a fleet. */
const struct xml_limits *client_limits(void);
/* The account: that of its seat, else user<first_user + number % users>; with two servers partners have the same, each
 * at its own. */
unsigned client_user(const struct client *client);
/* The connection alone, from the next of its addresses. */
void client_connect(struct client *client);
/* The same, to log in. */
void client_dial(struct client *client);
/* Something is in out, or may go on. */
void client_touch(struct client *client);
/* Sends what waits, unless a send is in flight. */
void client_flush(struct client *client);
/* TLS begins: at once, or behind <proceed/>. */
void client_start_tls(struct client *client);
void client_leave(struct client *client);
/* Ends the connection without a word, to come back. */
void client_cut(struct client *client);
void client_fail(struct client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Forgets the connection: it has closed, or the io has ended. */
void client_clear(struct client *client);

extern const struct io_handler client_io_handler; /* context: the fleet; owner of a connection: its client */

/* The reactor's end-of-turn call, in fleet.c. */
uint64_t fleet_turn(void *fleet);
