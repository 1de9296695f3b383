/* SPDX-License-Identifier: MIT */
#include "router/stream/sasl_priv.h"

#include "io/io.h"
#include "router/route/shard.h"

static enum nego_event step_first(struct stream *stream, struct span message)
{
    struct sasl *sasl = stream->nego->sasl;
    char name[SCRAM_NAME_MAX], authzid[SCRAM_NAME_MAX];
    size_t name_size, authzid_size;
    struct span binding;
    switch (scram_first(&sasl->scram, message, name, &name_size, authzid, &authzid_size, &binding)) {
    case SCRAM_OK:
        break;
    case SCRAM_BAD_BINDING:
    case SCRAM_BAD_PROOF:
        return sasl_fail(stream, SASL_NOT_AUTHORIZED);
    case SCRAM_BAD_AUTHZID:
        return sasl_fail(stream, SASL_INVALID_AUTHZID);
    case SCRAM_MALFORMED:
    case SCRAM_BAD_NAME:
    case SCRAM_UNKNOWN_EXTENSION:
        return sasl_fail(stream, SASL_MALFORMED_REQUEST);
    case SCRAM_NO_MEMORY:
        return sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    }
    if (binding.size >= sizeof sasl->binding_name)
        return sasl_fail(stream, SASL_NOT_AUTHORIZED);
    memcpy(sasl->binding_name, binding.ptr ? binding.ptr : "", binding.size);
    if (!sasl_take_name(stream, span_of(name, name_size)))
        return sasl_fail(stream, SASL_NOT_AUTHORIZED);
    if (!sasl_authzid_is_own(sasl, span_of(authzid, authzid_size)))
        return sasl_fail(stream, SASL_INVALID_AUTHZID);
    return sasl_inspected(stream, NULL);
}

static enum nego_event step_final(struct stream *stream, struct span message)
{
    struct sasl *sasl = stream->nego->sasl;
    char binding[ENGINE_BINDING_MAX], out[SCRAM_MESSAGE_MAX];
    size_t out_size;
    size_t binding_size = mechanism_binding(stream, sasl->binding_name, binding);
    if (sasl->binding_name[0] && !binding_size)
        return sasl_fail(stream, SASL_NOT_AUTHORIZED);
    switch (scram_final(&sasl->scram, message, span_of(binding, binding_size), out, &out_size)) {
    case SCRAM_OK:
        break;
    case SCRAM_MALFORMED:
    case SCRAM_UNKNOWN_EXTENSION:
        return sasl_fail(stream, SASL_MALFORMED_REQUEST);
    case SCRAM_NO_MEMORY:
        return sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    case SCRAM_BAD_BINDING:
    case SCRAM_BAD_PROOF:
    case SCRAM_BAD_NAME:
    case SCRAM_BAD_AUTHZID:
        return sasl_fail(stream, SASL_NOT_AUTHORIZED);
    }
    if (sasl->is_unknown)
        return sasl_fail(stream, SASL_NOT_AUTHORIZED);
    return sasl_succeed(stream, span_of(out, out_size));
}

enum nego_event sasl_scram_step(struct stream *stream, struct span message)
{
    return stream->nego->sasl->bare.ptr ? step_final(stream, message) : step_first(stream, message);
}

enum nego_event sasl_scram_account(struct stream *stream)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct sasl *sasl = stream->nego->sasl;
    char nonce[SCRAM_NONCE_SIZE], out[SCRAM_MESSAGE_MAX], list[MECHANISM_LIST_MAX];
    io_random(stream->shard->io, nonce, sizeof nonce);
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = alphabet[(unsigned char)nonce[i] & 63];
    scram_offer(&sasl->scram, span_of(list, mechanism_list(stream, list)));
    size_t size = scram_challenge(&sasl->scram, &sasl->account, nonce, out);
    return sasl_challenge(stream, span_of(out, size));
}
