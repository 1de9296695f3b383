/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Stream: one XMPP stream over one connection, from accept to close (RFC 6120 s4).
 *
 * Bytes come in through the shard's io handler, pass the TLS engine if there is one, and the reader; headers and
 * elements go to the negotiation (nego.h) until a resource is bound, then to intake.h. What a stream sends is plain XML
 * appended to its out chain; stream_flush() encrypts and gives it to the io, one send at a time, so stanzas of one turn
 * share records and system calls, and what the peer does not read stays here as whole stanzas.
 *
 * Holds:   a held stream is not read and not parsed; bytes that still come wait in order. Reasons are counted (a store
 *          lookup, the move to another shard, a slow recipient, a full link).
 * Moves:   when SASL succeeds the stream goes to the shard that owns the account (io_handoff); the struct travels.
 * Memory:  this struct, its TLS engine, its session; the negotiation's part is freed when a resource is bound.
 * Thread:  the shard's where the connection is.
 */
#include "core/base/chain.h"
#include "core/base/wheel.h"
#include "core/xml/reader.h"
#include "core/xml/writer.h"
#include "router/route/mail.h"
#include "router/route/router.h"

struct io_conn;
struct engine;
struct neighbours;
struct nego;
struct session;
struct shard;
struct sockaddr;

enum stream_state {
    STREAM_HEADER,   /* waits for the peer's first stream header */
    STREAM_OPEN,     /* features sent, nothing authenticated */
    STREAM_TLS,      /* TLS handshake */
    STREAM_LOOKUP,   /* the account is being fetched, or the issuers are asked about the certificate; held */
    STREAM_SASL,     /* a challenge is out */
    STREAM_MOVE,     /* authenticated: on its way to its owner shard; held */
    STREAM_RESTART,  /* waits for the header behind authentication */
    STREAM_BIND,     /* waits for resource binding */
    STREAM_BOUND,    /* a session */
    STREAM_PROCEED,  /* s2s out: <starttls/> is sent */
    STREAM_DIALBACK, /* s2s out: a dialback key or question is sent */
    STREAM_CLOSING,  /* our end tag is out: of what the peer still sends a session's last messages count */
    STREAM_STATE_COUNT
};

enum stream_error {
#define STREAM_ERROR(symbol, condition) STREAM_##symbol##_ERROR,
#include "router/stream/stream_errors.def"
#undef STREAM_ERROR
    STREAM_ERROR_COUNT,
    STREAM_NO_ERROR = STREAM_ERROR_COUNT /* an orderly end */
};

struct throttled;

struct stream {
    struct shard *shard;
    struct io_conn *conn;
    struct engine *tls;      /* NULL: plain */
    struct nego *nego;       /* until bound */
    struct session *session; /* once bound */
    struct xml_reader reader;
    struct chain out;  /* plain XML to send: whole elements, oldest first */
    struct chain wire; /* to send as it is: handshake messages, alerts, what is sealed; otherwise empty between two turns */
    struct chain held; /* received while it waits: plain XML, or bytes of a TLS handshake */
    struct timer timer;
    struct stream *next_dirty;
    struct stream *next_runnable;
    struct stream *next, *previous; /* all streams of the shard */
    struct neighbours *neighbours;  /* the connections of its address prefix, if they are counted: crowd.h */
    struct throttled *throttled;    /* senders that wait for this stream to be read by its peer: throttle.h */
    uint64_t behind;                /* bytes of the same receive behind the element being handled */
    uint16_t holds;
    uint8_t state;
    bool is_dirty : 1;
    bool is_runnable : 1;
    bool is_running : 1;      /* inside consume(): bytes that come meanwhile wait in held */
    bool is_paused : 1;       /* the io does not read it */
    bool is_moving : 1;       /* leaves for move_to as soon as out is sent */
    bool has_sent_header : 1; /* our header is out on this (re)start */
    bool has_footer : 1;      /* the peer closed its stream */
    bool has_ended : 1;       /* the peer sent FIN, or TLS close_notify */
    bool has_notified : 1;    /* our TLS close_notify is out */
    bool is_shut : 1;         /* our FIN is out */
    bool is_gone : 1;         /* the io has closed it: nothing more is asked of it */
    bool is_s2s : 1;          /* the head of a struct s2s: router/s2s/s2s.h */
    bool is_acked : 1;        /* s2s: what is sent is kept until it is acknowledged: router/s2s/ack.h */
    bool awaits_finding : 1;  /* held until something is known about its certificate */
    bool is_watched : 1;      /* by its certificate: router/certs/watch.h */
    bool was_bound : 1;       /* what is unsent at the end are stanzas: they go back to their senders */
    uint16_t move_to;
    uint8_t mechanism;   /* that authenticated it: mechanism_name() */
    uint8_t address[16]; /* of the peer; IPv4 mapped (RFC 4291 s2.5.5.2) */
    uint8_t ending;      /* enum stream_error + 1 when the deadline will end the stream with it, whatever comes */
    uint32_t epoch;      /* of the policy under which the features were offered */
    const char *ending_text;
    uint64_t accepted_ms;
    uint64_t received_ms; /* the last time the peer sent anything, or SILENCE_ASKED: silence.h */
};

/* Frees a stream whose io has ended: nothing is sent, nobody is told. */
void stream_drop(struct stream *stream);
void stream_keep_address(struct stream *stream, const struct sockaddr *peer);
/* The peer's address as text. */
#define STREAM_ADDRESS_SIZE 46u
const char *stream_address(const struct stream *stream, char out[STREAM_ADDRESS_SIZE]);

/* A connection was accepted; the stream lives until its connection has closed. */
void stream_accept(struct shard *shard, struct io_conn *conn, enum listener_tag listener, const struct sockaddr *peer);
/* A connection of ours to another server: s2s_dialled() makes more of it. size: of the struct that stream heads. */
struct stream *stream_dialled(struct shard *shard, struct io_conn *conn, size_t size);
/* Called by the shard's io handler. */
void stream_received(struct stream *stream, struct span wire);
void stream_ended(struct stream *stream);
/* Reads no more until stream_run() has gone through what waits; idempotent. */
void stream_pause(struct stream *stream);
/* Goes on with what waited (held), where it lies: bytes of a TLS handshake, or plain XML. */
void stream_run(struct stream *stream);
void stream_sent(struct stream *stream);
void stream_closed(struct stream *stream, int error);

/* Sends what is in out, if no send is in flight. */
void stream_flush(struct stream *stream);
/* What was said so far goes out whatever comes: it is the negotiation's. From then on out holds what may be taken back
 * when the stream ends (unsent.h). */
void stream_seal(struct stream *stream);
/* Notes that out has something new: it is flushed at the end of the turn. */
void stream_touch(struct stream *stream);

/* Of one that is closing: the peer's last words count, a session's, or those of a server whose stream ends in order. */
bool stream_is_heard(const struct stream *stream);
/* A stream that ends at once, by a break or by stream_abort(): what was read from it and waits (held) is handled now,
 * whoever is slow. It was accepted when its last byte was read; what its recipients have no room for comes back. */
void stream_hear_out(struct stream *stream);

/* Holds count; the last release puts the stream on the shard's runnable list, and the turn goes on with it. */
void stream_hold(struct stream *stream);
void stream_release(struct stream *stream);
/* The turn's part: streams whose holds are gone, streams that have something to send. True: there is more to do now. */
bool stream_run_all(struct shard *shard);
void stream_flush_all(struct shard *shard);

/* Ends the stream (RFC 6120 s4.4, s4.9): the error if there is one, inside a stream in any case (s4.9.1.2), the end
 * tag, TLS close_notify, FIN; the rest waits for the peer's end, but not long. Idempotent. text may be NULL. */
void stream_close(struct stream *stream, enum stream_error error, const char *text);
/* The same after ms milliseconds; other deadlines give way. text stays the caller's, for good. */
void stream_end_later(struct stream *stream, enum stream_error error, const char *text, uint64_t ms);
/* Without a word: the connection is of no further use. */
void stream_abort(struct stream *stream);

/* The reader refused: the exact stream error for it. */
enum stream_error stream_error_of(enum xml_error error);

/* TLS begins on this stream (behind <proceed/>, or at once on a direct TLS port). */
bool stream_start_tls(struct stream *stream);
/* Starts the move to another shard once out is sent; stream_arrived() is called there. */
void stream_move(struct stream *stream, unsigned shard);
void stream_departing(struct stream *stream);
void stream_arrived(struct shard *shard, struct io_conn *conn, struct stream *stream);
void stream_set_deadline(struct stream *stream, uint64_t ms); /* from now; 0: none */

/* Books a stanza that the router wrote into out itself: born and delivered. */
void stream_wrote_stanza(struct stream *stream);

static inline struct xml_writer stream_writer(struct stream *stream, struct chunk_pool *pool)
{
    return xml_writer_on(&stream->out, pool);
}
struct stream_ref stream_ref(const struct stream *stream);
struct stream *stream_find(struct shard *shard, struct stream_ref ref);
