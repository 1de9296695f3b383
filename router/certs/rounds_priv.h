/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Rounds: the asking. A round goes through the sources of one certificate until an answer counts; several certificates
 * that are on one list wait for one fetch of it. Who uses a certificate is none of its business: it says what changed.
 *
 * Thread:  the inspector's.
 * Bounds:  settings.fetches_max under way.
 */
#include "router/certs/crl_files.h"
#include "router/certs/evidence_priv.h"
#include "router/certs/inquiries_priv.h"
#include "router/certs/inquiry_priv.h"

struct list_fetch;

struct rounds {
    struct inspector_settings settings;
    struct inquiries_hooks hooks;
    void (*changed)(void *context, const struct inquiry *inquiry); /* its standing */
    void *changed_context;
    struct inquiry *all; /* owned by who enters them */
    struct list_fetch *lists;
    struct evidence evidence;
    struct crl_files *files; /* a reference; NULL: none yet */
    uint64_t last_number;
    uint32_t fetches;
};

void rounds_init(struct rounds *rounds, const struct inspector_settings *settings, const struct inquiries_hooks *hooks,
                 const struct hash_key *key);
void rounds_fini(struct rounds *rounds);

/* As inquiries_advance(), _due(), _fetched() and _clock(). */
void rounds_advance(struct rounds *rounds, int64_t now);
int64_t rounds_due(const struct rounds *rounds);
void rounds_fetched(struct rounds *rounds, uint64_t number, struct span body, int64_t now);
void rounds_clock(struct rounds *rounds, int64_t now);

/* Other lists of the operator's, of which a reference is taken over; all are judged by them. It is not said what
 * changed. */
void rounds_exchange_files(struct rounds *rounds, struct crl_files *files, int64_t now);
/* What they say of it is looked up; it counts with the next answer, or without one. */
void rounds_consult(struct rounds *rounds, struct inquiry *inquiry, int64_t now);

/* A new one: what is remembered about it will do. */
bool rounds_recall(struct rounds *rounds, struct inquiry *inquiry, int64_t now);
/* An OCSP answer from wherever. True: it counts. */
bool rounds_take_answer(struct rounds *rounds, struct inquiry *inquiry, struct span der, int64_t now);
/* The same of one that a peer has shown: bad ones, and those that tell nothing newer, change nothing. */
bool rounds_take_staple(struct rounds *rounds, struct inquiry *inquiry, struct span der, int64_t now);
/* Asks the first source, or settles without one. */
void rounds_begin(struct rounds *rounds, struct inquiry *inquiry, int64_t now);
