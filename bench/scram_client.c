/* SPDX-License-Identifier: MIT */
#include "bench/scram_client.h"

#include "core/base/base64.h"

#include <stdio.h>

struct span scram_client_first(struct scram_client *client, enum digest digest, struct span username, struct span nonce,
                               const char *binding_name)
{
    client->digest = digest;
    int header = binding_name ? snprintf(client->first, sizeof client->first, "p=%s,,", binding_name)
                              : snprintf(client->first, sizeof client->first, "n,,");
    client->header_size = (size_t)header;
    int bare = snprintf(client->first + header, sizeof client->first - (size_t)header, "n=%.*s,r=%.*s",
                        SPAN_ARG(username), SPAN_ARG(nonce));
    client->first_size = (size_t)(header + bare);
    return span_of(client->first, client->first_size);
}

/* The value of "x=" in a comma-separated message. */
static struct span field(struct span message, char name)
{
    for (size_t i = 0; i + 2 <= message.size; i++) {
        bool starts = i == 0 || message.ptr[i - 1] == ',';
        if (!starts || message.ptr[i] != name || message.ptr[i + 1] != '=')
            continue;
        const char *value = message.ptr + i + 2;
        const char *end = memchr(value, ',', message.size - i - 2);
        return span_of(value, end ? (size_t)(end - value) : message.size - i - 2);
    }
    return SPAN_NONE;
}

/* Digits up to the end of the field: the message has no NUL behind it, and whatever follows may be a digit. */
static uint32_t number(struct span digits)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.size && digits.ptr[i] >= '0' && digits.ptr[i] <= '9' && value <= UINT32_MAX; i++)
        value = value * 10 + (uint64_t)(digits.ptr[i] - '0');
    return value <= UINT32_MAX ? (uint32_t)value : 0;
}

static void derive(struct scram_keys *keys, enum digest digest, struct span password, struct span salt,
                   uint32_t iterations)
{
    uint8_t salted[DIGEST_SIZE_MAX];
    size_t size = digest_size(digest);
    if (keys->digest == digest && keys->iterations == iterations &&
        span_equal(salt, span_of(keys->salt, keys->salt_size)))
        return;
    keys->digest = digest;
    keys->iterations = iterations;
    keys->salt_size = salt.size;
    memcpy(keys->salt, salt.ptr, salt.size);
    digest_pbkdf2(digest, password, salt, iterations, salted);
    digest_hmac(digest, span_of(salted, size), SPAN("Client Key"), keys->client_key);
    digest_hmac(digest, span_of(salted, size), SPAN("Server Key"), keys->server_key);
    digest_hash(digest, span_of(keys->client_key, size), keys->stored_key);
}

/* c=: base64 of the GS2 header and the channel binding data (RFC 5802 s7, cbind-input). */
static size_t binding_field(const struct scram_client *client, struct span binding, char *out)
{
    char input[256];
    memcpy(input, client->first, client->header_size);
    if (binding.size)
        memcpy(input + client->header_size, binding.ptr, binding.size);
    return base64_encode(span_of(input, client->header_size + binding.size), out);
}

struct span scram_client_final(struct scram_client *client, struct scram_keys *keys, struct span password,
                               struct span server_first, struct span binding, char out[SCRAM_CLIENT_MESSAGE_MAX])
{
    char salt[64], encoded[400], message[2 * SCRAM_CLIENT_MESSAGE_MAX];
    size_t salt_size;
    uint8_t signature[DIGEST_SIZE_MAX], proof[DIGEST_SIZE_MAX];
    struct span nonce = field(server_first, 'r'), salt64 = field(server_first, 's'), rounds = field(server_first, 'i');
    uint32_t iterations = number(rounds);
    if (!nonce.size || nonce.size > 200 || !iterations || salt64.size > 80 || server_first.size > 700 ||
        !base64_decode(salt64, salt, &salt_size))
        return SPAN("");
    derive(keys, client->digest, password, span_of(salt, salt_size), iterations);
    size_t encoded_size = binding_field(client, binding, encoded);
    int without = snprintf(out, SCRAM_CLIENT_MESSAGE_MAX, "c=%.*s,r=%.*s", (int)encoded_size, encoded, SPAN_ARG(nonce));
    int size = snprintf(message, sizeof message, "%.*s,%.*s,%.*s", (int)(client->first_size - client->header_size),
                        client->first + client->header_size, SPAN_ARG(server_first), without, out);
    size_t digest = digest_size(client->digest);
    digest_hmac(client->digest, span_of(keys->stored_key, digest), span_of(message, (size_t)size), signature);
    for (size_t i = 0; i < digest; i++)
        proof[i] = signature[i] ^ keys->client_key[i];
    digest_hmac(client->digest, span_of(keys->server_key, digest), span_of(message, (size_t)size), signature);
    client->signature[base64_encode(span_of(signature, digest), client->signature)] = '\0';
    memcpy(out + without, ",p=", 3);
    return span_of(out, (size_t)without + 3 + base64_encode(span_of(proof, digest), out + without + 3));
}

bool scram_client_verify(const struct scram_client *client, struct span server_final)
{
    return span_is(field(server_final, 'v'), client->signature);
}
