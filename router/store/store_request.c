/* SPDX-License-Identifier: MIT */
#include "router/store/store_request_priv.h"

#include "core/base/check.h"

#include <stdlib.h>

struct store_request *store_request_new(enum store_op op, enum store_bucket bucket, uint64_t tag, struct span key,
                                        struct span value)
{
    SL_CHECK((unsigned)bucket < STORE_BUCKET_COUNT);
    SL_CHECK(key.size <= STORE_KEY_MAX && (key.size > 0 || op == STORE_LIST));
    SL_CHECK(value.size <= STORE_VALUE_MAX);
    struct store_request *request = malloc(sizeof *request + key.size + value.size);
    if (request == NULL)
        return NULL;
    *request = (struct store_request){
        .tag = tag,
        .op = op,
        .bucket = bucket,
        .status = STORE_FAILED,
        .key_size = (uint32_t)key.size,
        .value_size = (uint32_t)value.size,
    };
    if (key.size > 0)
        memcpy(request->bytes, key.ptr, key.size);
    if (value.size > 0)
        memcpy(request->bytes + key.size, value.ptr, value.size);
    return request;
}

void store_request_free(struct store_request *request)
{
    store_request_reset(request);
    explicit_bzero(request->bytes, request->key_size + request->value_size);
    free(request);
}

struct span store_request_key(const struct store_request *request)
{
    return span_of(request->bytes, request->key_size);
}

struct span store_request_value(const struct store_request *request)
{
    return span_of(request->bytes + request->key_size, request->value_size);
}

bool store_request_is_write(const struct store_request *request)
{
    return request->op != STORE_GET && request->op != STORE_LIST;
}

uint32_t store_request_size(const struct store_request *request)
{
    return request->key_size + request->value_size;
}

void store_request_answer(struct store_request *request, struct span key, struct span value)
{
    SL_CHECK(request->answer == NULL);
    /* One byte more, since malloc(0) may answer NULL. */
    request->answer = malloc(key.size + value.size + 1);
    if (request->answer == NULL) {
        request->status = STORE_FAILED;
        return;
    }
    memcpy(request->answer, key.ptr, key.size);
    if (value.size > 0)
        memcpy(request->answer + key.size, value.ptr, value.size);
    request->answer_key_size = (uint32_t)key.size;
    request->answer_value_size = (uint32_t)value.size;
    request->status = STORE_FOUND;
}

void store_request_reset(struct store_request *request)
{
    if (request->answer != NULL) {
        explicit_bzero(request->answer, request->answer_key_size + request->answer_value_size);
        free(request->answer);
    }
    request->answer = NULL;
    request->answer_key_size = 0;
    request->answer_value_size = 0;
    request->status = STORE_FAILED;
}

void store_request_reply(const struct store_request *request, store_reply_fn reply, void *context)
{
    struct store_reply out = {
        .tag = request->tag,
        .op = request->op,
        .status = request->status,
        .key = store_request_key(request),
        .value = SPAN_NONE,
    };
    if (request->answer != NULL) {
        out.key = span_of(request->answer, request->answer_key_size);
        out.value = span_of(request->answer + request->answer_key_size, request->answer_value_size);
    }
    reply(context, &out);
}
