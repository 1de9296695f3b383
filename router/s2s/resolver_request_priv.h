/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Resolver request: a domain asked for and, later, its answer: one heap block that goes to the worker and back by
 * pointer, with an arena for what the answer points to. Because the answer travels in the request's own block, a link
 * back of RESOLVER_PENDING_MAX pointers always has room.
 *
 * Owns:    the block belongs to the client before resolver_flush and after the answer, to the worker between.
 */
#include "core/base/arena.h"
#include "router/s2s/resolver.h"

struct resolver_request {
    struct resolver_request *next; /* in a queue */
    unsigned client;
    struct arena arena;
    struct resolver_answer answer; /* answer.domain is bytes[] */
    char bytes[];
};

struct request_queue {
    struct resolver_request *first;
    struct resolver_request **last;
};

/* NULL when memory is refused. A domain of no octets or more than a prepared one has is a bug of the caller. */
struct resolver_request *resolver_request_new(unsigned client, uint64_t tag, struct span domain);
void resolver_request_free(struct resolver_request *request);

void request_queue_init(struct request_queue *queue);
void request_queue_fini(struct request_queue *queue);
void request_queue_put(struct request_queue *queue, struct resolver_request *request);
/* NULL when empty. */
struct resolver_request *request_queue_take(struct request_queue *queue);
