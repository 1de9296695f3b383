/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Store request: one request and, later, its reply: a single heap block that the client allocates at post, that goes to
 * the worker and back by pointer, and that the client frees after its reply function has returned.
 *
 * Because the reply travels in the request's own block, the link back needs room for STORE_REQUESTS pointers and no
 * more: the worker can always answer, so it never has to hold a client back.
 *
 * Owns:    the block belongs to the client before store_flush and after the reply, to the worker between.
 */
#include "router/store/store.h"

struct store_request {
    struct store_request *next; /* in a queue of store_mem */
    uint64_t tag;
    enum store_op op;
    enum store_bucket bucket;
    enum store_status status;
    uint32_t key_size;
    uint32_t value_size;
    uint32_t answer_key_size;
    uint32_t answer_value_size;
    char *answer; /* key and value of a record that was found, NULL otherwise */
    char bytes[]; /* key, then value */
};

/* NULL when memory is refused. Sizes beyond the bounds of store.h are a bug of the caller. */
struct store_request *store_request_new(enum store_op op, enum store_bucket bucket, uint64_t tag, struct span key,
                                        struct span value);
/* Wipes first: records hold SCRAM keys. */
void store_request_free(struct store_request *request);
struct span store_request_key(const struct store_request *request);
struct span store_request_value(const struct store_request *request);
bool store_request_is_write(const struct store_request *request);
/* The bytes that count against STORE_BYTES. */
uint32_t store_request_size(const struct store_request *request);
/* STORE_FOUND with a copy of the record; STORE_FAILED when memory for the copy is refused. */
void store_request_answer(struct store_request *request, struct span key, struct span value);
/* Forgets a status and an answer, for a request that is carried out anew. */
void store_request_reset(struct store_request *request);
void store_request_reply(const struct store_request *request, store_reply_fn reply, void *context);
