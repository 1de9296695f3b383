/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * SRV: a record's fields, and the order in which records are tried (RFC 2782). Records of _xmpps-server and
 * _xmpp-server are put into one list and ordered as if they were of one service (XEP-0368 s3).
 *
 * Thread:  any; the dice are the caller's.
 */
#include "router/s2s/dns.h"

struct srv {
    uint16_t priority;
    uint16_t weight;
    uint16_t port;
    char target[DNS_NAME_MAX + 1]; /* empty when the name is "." or bad */
    enum dns_name_status target_status;
};

/* False when the data is not an SRV record's. */
bool srv_read(struct span data, struct srv *out) __attribute__((warn_unused_result));

/* What decides the order, and whose place it is. */
struct srv_rank {
    uint16_t priority;
    uint16_t weight;
    uint32_t index;
};

/* A random number and the next state (SplitMix64): fair enough to spread load, no secret. */
uint64_t srv_dice(uint64_t *dice);
/* By priority; within one, each next record is drawn with a chance proportional to its weight ("Weight" in RFC 2782).
 */
void srv_order(struct srv_rank *ranks, unsigned count, uint64_t *dice);
