/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Trial: an operator's test of another domain: a contact like any other (contact.h), that says what it does and carries
 * no stanza. It asks for no bidi, so that a stream that is there for the same pair is left alone.
 *
 * Bounds:  that of a contact: the resolver's time, then s2s.dial_timeout for each address.
 * Thread:  the shard's.
 */
#include "core/base/span.h"

#include <stdbool.h>

struct contact;
struct s2s;
struct shard;
struct resolver_answer;
union address;
struct xml_stanza;

struct trial {
    struct span ours, theirs; /* prepared; the owner's, until over() */
    /* Something was done, or failed. */
    void (*step)(struct trial *trial, const char *what, bool is_good, const char *text);
    /* The last call: let in, or nobody is left to try. */
    void (*over)(struct trial *trial, bool is_good);
};

/* What follows does nothing without a trial. */
void trial_say(struct trial *trial, const char *what, bool is_good, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void trial_resolved(struct trial *trial, const struct resolver_answer *answer);
/* what has become of the connection to an address. */
void trial_address(struct trial *trial, const char *what, bool is_good, const union address *address, const char *text);
/* What TLS is worth, once it is there: by authorities, and by TLSA records. */
void trial_secured(struct trial *trial, const struct s2s *s2s);
void trial_offered(struct trial *trial, const struct s2s *s2s);
