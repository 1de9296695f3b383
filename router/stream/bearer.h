/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Bearer: whose account the certificate of a client is (RFC 6120 s13.7.2.2, XEP-0178 s2).
 *
 * A certificate is asked in this order, and the first that has an answer for the domain is the one that counts: the
 * XmppAddr in it (s13.7.1.4); the operator's map by its fingerprint (client_map.h); where tls.client_mail is on, the
 * mail addresses in it. What does not become a bare JID, or is of another domain than the stream's, is as if it were
 * not there (s13.7.2.2.1, sub-case 3): so of the several addresses of a certificate for several domains the 'to' of the
 * stream header has chosen (sub-case 2), and of several in one domain the client chooses, by an authorization identity.
 *
 * Only a valid chain counts at all, and only as long as its anchor is trusted and none of it has expired.
 *
 * Thread:  any for bearer_find; the stream's shard for the rest.
 */
#include "core/jid/jid.h"
#include "router/stream/client_map.h"

struct credential;
struct stream;

enum bearer {
    BEARER_FOUND,
    BEARER_NOBODY,  /* no account of the domain */
    BEARER_SEVERAL, /* more than one, and none was named */
    BEARER_OTHER,   /* one or more, and not the one that was named */
};

struct bearer_rules {
    const struct client_map *map; /* NULL: none */
    bool takes_mail;
};

/* The account of the domain that a valid credential stands for; wanted: a prepared bare JID, or empty. It is written to
 * out on BEARER_FOUND alone. */
enum bearer bearer_find(const struct credential *credential, const struct bearer_rules *rules, struct span domain,
                        struct span wanted, struct jid_buffer *out, struct span *account)
    __attribute__((warn_unused_result));

/* The same for a stream, by the policy in force: BEARER_NOBODY also when there is no credential that counts. */
enum bearer bearer_of(const struct stream *stream, struct span domain, struct span wanted, struct jid_buffer *out,
                      struct span *account) __attribute__((warn_unused_result));

/* What the client presented, if it counts now; NULL: it does not, or was forgotten. */
const struct credential *bearer_credential(const struct stream *stream);
/* The policy wants a certificate of every client, and this one has none that counts. */
bool bearer_is_missing(const struct stream *stream);

/* The handshake is over: counts what was presented, and logs why it is not valid. */
void bearer_seen(const struct stream *stream);
/* Somebody has authenticated by other means, and nothing needs the certificate any more: its memory, 1 to 2 KiB, is
 * freed. */
void bearer_forget(struct stream *stream);

/* The first 16 digits of the SHA-256 fingerprint, or "none". */
#define BEARER_TEXT_SIZE 17u /* CREDENTIAL_SHORT_SIZE */
const char *bearer_text(const struct stream *stream, char out[BEARER_TEXT_SIZE]);
