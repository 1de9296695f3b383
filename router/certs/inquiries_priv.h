/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Inquiries: what the inspector knows and is about to ask, without threads, sockets and clocks: they are the hooks'.
 *
 *   watch (a shard's) ── dossier (a credential) ── inquiries (a certificate and its issuer each) ── lists (CRLs by URL)
 *
 * Each is there once, however many of the left ones need it. What was answered is remembered by certificate until it is
 * stale, and judged anew by whoever needs it, so that nothing that is read back has to be trusted.
 *
 * Thread:  the inspector's.
 * Times:   seconds since 1970 by the wall clock, which may jump: see inquiries_clock().
 */
#include "router/certs/inspector.h"

struct evidence;
struct inquiries;

struct inquiries_hooks {
    void *context;
    /* POST of body as an OCSP request, or GET where it is empty; answered by inquiries_fetched() with the number, not
     * before this returns. */
    void (*fetch)(void *context, uint64_t number, const char *url, struct span body);
    void (*tell)(void *context, unsigned client, const struct inspector_finding *finding);
    uint32_t (*dice)(void *context);
};

struct inquiries *inquiries_new(const struct inspector_settings *settings, const struct inquiries_hooks *hooks);
void inquiries_free(struct inquiries *inquiries);

/* Takes the reference to the credential, whatever comes of it. */
void inquiries_watch(struct inquiries *inquiries, unsigned client, uint64_t tag, struct credential *credential,
                     struct span staple, int64_t now);
/* Came with a later handshake. */
void inquiries_staple(struct inquiries *inquiries, unsigned client, uint64_t tag, struct span staple, int64_t now);
void inquiries_unwatch(struct inquiries *inquiries, unsigned client, uint64_t tag);
/* body.ptr NULL: it could not be fetched. */
void inquiries_fetched(struct inquiries *inquiries, uint64_t number, struct span body, int64_t now);
/* Begins what is due, as far as fetches_max goes. */
void inquiries_advance(struct inquiries *inquiries, int64_t now);
/* When to advance again; INT64_MAX: not before something else happens. */
int64_t inquiries_due(const struct inquiries *inquiries);
/* The wall clock was set: what is due in a past that will come again, or later than an interval, is due within one. */
void inquiries_clock(struct inquiries *inquiries, int64_t now);
/* A serial number (as in the certificate) or a SHA-256 of a certificate, for good. Returns how many watches are hit. */
unsigned inquiries_distrust(struct inquiries *inquiries, struct span name);
/* No longer distrusted by that name, and asked for anew; false: it was not. */
bool inquiries_trust(struct inquiries *inquiries, struct span name, int64_t now);
void inquiries_list_distrusted(const struct inquiries *inquiries, inspector_name_fn fn, void *context);
/* Other lists of the operator's (certs.crl_files), of which a reference is taken over: all in use are judged by them at
 * once, and what rested on the old ones is asked for. */
void inquiries_exchange_files(struct inquiries *inquiries, struct crl_files *files, int64_t now);
/* All certificates of credentials with this leaf identity are asked for at once; how many. */
unsigned inquiries_check(struct inquiries *inquiries, struct span domain, int64_t now);

/* As inspector_list(). */
void inquiries_list(const struct inquiries *inquiries, struct span domain, inspector_chain_fn fn, void *context);

/* What is remembered, for the file: one answer or list after the other; *position begins at 0. kind 'a': name is the
 * inquiry's key; 'l': a URL; 'd': what is distrusted, without content. */
struct inquiries_memory {
    char kind;
    struct span name;
    struct span content;
    int64_t until; /* of no use after that */
};
bool inquiries_next_memory(const struct inquiries *inquiries, uint32_t *position, struct inquiries_memory *out);
void inquiries_remember(struct inquiries *inquiries, const struct inquiries_memory *memory, int64_t now);
/* Rises with everything that is remembered anew. */
uint64_t inquiries_version(const struct inquiries *inquiries);

/* Where answers are remembered, for others who learn some. */
struct evidence *inquiries_evidence(struct inquiries *inquiries);

struct inquiries_count {
    uint32_t watches, dossiers, inquiries, memories, fetches;
};
struct inquiries_count inquiries_count(const struct inquiries *inquiries);
