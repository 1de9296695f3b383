/* SPDX-License-Identifier: MIT */
#include "router/stream/scram.h"

#include "core/base/base64.h"
#include "core/base/check.h"
#include "core/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

/* "," server-first behind client-first: ",r=" nonce ",s=" base64(salt) ",i=" iterations ",h=" base64(hash), and a NUL
 * of snprintf. */
#define SERVER_FIRST_ROOM                                                                                              \
    (SCRAM_CLIENT_NONCE_MAX + SCRAM_NONCE_MAX + BASE64_ENCODED_SIZE(ACCOUNT_SALT_MAX) +                                \
     BASE64_ENCODED_SIZE(DIGEST_SIZE_MAX) + sizeof ",r=,s=,i=4294967295,h=")
#define TEXT_ROOM (SCRAM_MESSAGE_MAX + SERVER_FIRST_ROOM)

_Static_assert(SERVER_FIRST_ROOM <= SCRAM_MESSAGE_MAX, "server-first fits the caller's buffer");

/* The types of RFC 5929 and RFC 9266. */
static const char *const binding_names[] = {"tls-exporter", "tls-unique", "tls-server-end-point"};

void scram_init(struct scram *scram, enum digest digest, bool is_plus, bool binding_was_offered)
{
    SL_CHECK(digest == DIGEST_SHA1 || digest == DIGEST_SHA256);
    SL_CHECK(binding_was_offered || !is_plus);
    *scram = (struct scram){.digest = digest, .is_plus = is_plus, .binding_was_offered = binding_was_offered};
}

void scram_fini(struct scram *scram)
{
    if (scram->text != NULL) {
        digest_wipe(scram->text, TEXT_ROOM);
        free(scram->text);
    }
    digest_wipe(scram, sizeof *scram);
    scram->step = SCRAM_ENDED;
}

/*
 * Syntax. A cursor is what is left of the message; each *_take() cuts a piece off its front or leaves it alone.
 */

static bool is_alpha(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool literal_take(struct span *cursor, const char *literal)
{
    size_t size = strlen(literal);
    if (cursor->size < size || memcmp(cursor->ptr, literal, size) != 0)
        return false;
    *cursor = span_skip(*cursor, size);
    return true;
}

/* Everything up to the next comma or the end. */
static struct span value_take(struct span *cursor)
{
    const char *comma = cursor->size == 0 ? NULL : memchr(cursor->ptr, ',', cursor->size);
    struct span value = {cursor->ptr, comma == NULL ? cursor->size : (size_t)(comma - cursor->ptr)};
    *cursor = span_skip(*cursor, value.size);
    return value;
}

/* Both messages are UTF-8 without NUL in every production that allows more than ASCII, so it is checked once. */
static bool message_is_text(struct span message)
{
    return message.size > 0 && message.size <= SCRAM_MESSAGE_MAX && memchr(message.ptr, '\0', message.size) == NULL &&
           utf8_is_valid(message);
}

/* cb-name = 1*(ALPHA / DIGIT / "." / "-") */
static bool binding_name_is_valid(struct span name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.ptr[i];
        if (!is_alpha(c) && !(c >= '0' && c <= '9') && c != '.' && c != '-')
            return false;
    }
    return name.size > 0;
}

static bool binding_name_is_known(struct span name)
{
    for (size_t i = 0; i < sizeof binding_names / sizeof binding_names[0]; i++) {
        if (span_is(name, binding_names[i]))
            return true;
    }
    return false;
}

/* printable = %x21-2B / %x2D-7E; the comma ended the value already. */
static bool nonce_is_valid(struct span nonce)
{
    for (size_t i = 0; i < nonce.size; i++) {
        if (nonce.ptr[i] < 0x21 || nonce.ptr[i] > 0x7e || nonce.ptr[i] == ',')
            return false;
    }
    return nonce.size > 0;
}

/* saslname = 1*(value-safe-char / "=2C" / "=3D"), decoded. */
static enum scram_status name_decode(struct span name, char out[SCRAM_NAME_MAX], size_t *out_size)
{
    size_t size = 0;
    if (name.size == 0)
        return SCRAM_MALFORMED;
    while (name.size > 0) {
        char c = name.ptr[0];
        size_t taken = 1;
        if (c == '=') {
            if (name.size < 3)
                return SCRAM_MALFORMED;
            struct span escape = {name.ptr, 3};
            if (!span_is(escape, "=2C") && !span_is(escape, "=3D"))
                return SCRAM_MALFORMED;
            c = escape.ptr[1] == '2' ? ',' : '=';
            taken = 3;
        }
        if (size == SCRAM_NAME_MAX)
            return SCRAM_BAD_NAME;
        out[size++] = c;
        name = span_skip(name, taken);
    }
    *out_size = size;
    return SCRAM_OK;
}

/* attr-val of an extension: an unassigned letter, "=", and at least one character. */
static enum scram_status extension_check(struct span extension)
{
    if (extension.size < 3 || !is_alpha(extension.ptr[0]) || extension.ptr[1] != '=')
        return SCRAM_MALFORMED;
    if (extension.ptr[0] == 'm')
        return SCRAM_UNKNOWN_EXTENSION;
    return memchr("anrcsipve", extension.ptr[0], 9) != NULL ? SCRAM_MALFORMED : SCRAM_OK;
}

/* gs2-cbind-flag and the rules of RFC 5802 s6 on it. */
static enum scram_status flag_take(const struct scram *scram, struct span *cursor, struct span *binding_name)
{
    if (literal_take(cursor, "p=")) {
        *binding_name = value_take(cursor);
        if (!binding_name_is_valid(*binding_name) || !scram->is_plus)
            return SCRAM_MALFORMED;
        return binding_name_is_known(*binding_name) ? SCRAM_OK : SCRAM_BAD_BINDING;
    }
    /* The client saw no -PLUS, we offered one: somebody between us took it out of the list. */
    if (literal_take(cursor, "y"))
        return scram->binding_was_offered ? SCRAM_BAD_BINDING : SCRAM_OK;
    if (literal_take(cursor, "n"))
        return scram->is_plus ? SCRAM_MALFORMED : SCRAM_OK;
    return SCRAM_MALFORMED;
}

/* gs2-header = gs2-cbind-flag "," [ authzid ] "," */
static enum scram_status gs2_take(const struct scram *scram, struct span *cursor, char authzid[SCRAM_NAME_MAX],
                                  size_t *authzid_size, struct span *binding_name)
{
    enum scram_status status = flag_take(scram, cursor, binding_name);
    if (status != SCRAM_OK)
        return status;
    if (!literal_take(cursor, ","))
        return SCRAM_MALFORMED;
    if (literal_take(cursor, "a=")) {
        status = name_decode(value_take(cursor), authzid, authzid_size);
        if (status != SCRAM_OK)
            return status == SCRAM_BAD_NAME ? SCRAM_BAD_AUTHZID : status;
    }
    return literal_take(cursor, ",") ? SCRAM_OK : SCRAM_MALFORMED;
}

/* client-first-message-bare = [reserved-mext ","] username "," nonce ["," extensions] */
static enum scram_status bare_take(struct span *cursor, char username[SCRAM_NAME_MAX], size_t *username_size,
                                   struct span *nonce)
{
    if (literal_take(cursor, "m="))
        return SCRAM_UNKNOWN_EXTENSION;
    if (!literal_take(cursor, "n="))
        return SCRAM_MALFORMED;
    enum scram_status status = name_decode(value_take(cursor), username, username_size);
    if (status != SCRAM_OK)
        return status;
    if (!literal_take(cursor, ",r="))
        return SCRAM_MALFORMED;
    *nonce = value_take(cursor);
    if (!nonce_is_valid(*nonce) || nonce->size > SCRAM_CLIENT_NONCE_MAX)
        return SCRAM_MALFORMED;
    while (status == SCRAM_OK && literal_take(cursor, ","))
        status = extension_check(value_take(cursor));
    return status;
}

enum scram_status scram_first(struct scram *scram, struct span message, char username[SCRAM_NAME_MAX],
                              size_t *username_size, char authzid[SCRAM_NAME_MAX], size_t *authzid_size,
                              struct span *binding_name)
{
    SL_CHECK(scram->step == SCRAM_WANT_FIRST);
    scram->step = SCRAM_ENDED;
    *username_size = 0;
    *authzid_size = 0;
    *binding_name = SPAN_NONE;
    if (!message_is_text(message))
        return SCRAM_MALFORMED;
    struct span cursor = message;
    struct span nonce = SPAN_NONE;
    enum scram_status status = gs2_take(scram, &cursor, authzid, authzid_size, binding_name);
    if (status != SCRAM_OK)
        return status;
    size_t gs2_size = message.size - cursor.size;
    status = bare_take(&cursor, username, username_size, &nonce);
    if (status != SCRAM_OK)
        return status;
    scram->text = malloc(TEXT_ROOM);
    if (scram->text == NULL)
        return SCRAM_NO_MEMORY;
    memcpy(scram->text, message.ptr, message.size);
    scram->gs2_size = gs2_size;
    scram->first_size = message.size;
    scram->text_size = message.size;
    scram->nonce_offset = (size_t)(nonce.ptr - message.ptr);
    scram->nonce_size = nonce.size;
    scram->step = SCRAM_WANT_ACCOUNT;
    return SCRAM_OK;
}

static void text_append(struct scram *scram, struct span bytes)
{
    SL_CHECK(bytes.size <= TEXT_ROOM - scram->text_size);
    memcpy(scram->text + scram->text_size, bytes.ptr, bytes.size);
    scram->text_size += bytes.size;
}

void scram_offer(struct scram *scram, struct span offered)
{
    digest_hash(scram->digest, offered, scram->offer);
    scram->has_offer = true;
}

size_t scram_challenge(struct scram *scram, const struct account *account, const char nonce[SCRAM_NONCE_SIZE],
                       char out[SCRAM_MESSAGE_MAX])
{
    return scram_challenge_with(scram, account, span_of(nonce, SCRAM_NONCE_SIZE), out);
}

size_t scram_challenge_with(struct scram *scram, const struct account *account, struct span nonce,
                            char out[SCRAM_MESSAGE_MAX])
{
    SL_CHECK(scram->step == SCRAM_WANT_ACCOUNT);
    SL_CHECK(account->salt_size > 0 && account->salt_size <= ACCOUNT_SALT_MAX && account->iterations > 0);
    SL_CHECK(nonce.size <= SCRAM_NONCE_MAX && nonce_is_valid(nonce));
    scram->account = *account;
    text_append(scram, SPAN(",r="));
    size_t nonce_offset = scram->text_size;
    text_append(scram, span_of(scram->text + scram->nonce_offset, scram->nonce_size));
    text_append(scram, nonce);
    scram->nonce_offset = nonce_offset;
    scram->nonce_size += nonce.size;

    char salt[BASE64_ENCODED_SIZE(ACCOUNT_SALT_MAX)];
    size_t salt_size = base64_encode(span_of(account->salt, account->salt_size), salt);
    char iterations[sizeof ",i=4294967295"];
    int iterations_size = snprintf(iterations, sizeof iterations, ",i=%u", account->iterations);
    text_append(scram, SPAN(",s="));
    text_append(scram, span_of(salt, salt_size));
    text_append(scram, span_of(iterations, (size_t)iterations_size));
    if (scram->has_offer) {
        char hash[BASE64_ENCODED_SIZE(DIGEST_SIZE_MAX)];
        text_append(scram, SPAN(",h="));
        text_append(scram, span_of(hash, base64_encode(span_of(scram->offer, digest_size(scram->digest)), hash)));
    }

    /* Without the comma that joins it to client-first in AuthMessage. */
    size_t size = scram->text_size - scram->first_size - 1;
    memcpy(out, scram->text + scram->first_size + 1, size);
    scram->step = SCRAM_WANT_FINAL;
    return size;
}

/* c= must be the GS2 header as it came, then the binding data if and only if the flag was p (RFC 5802 s6, s7). */
static enum scram_status binding_check(const struct scram *scram, struct span text, struct span binding)
{
    char bytes[SCRAM_MESSAGE_MAX];
    size_t size = 0;
    if (text.size == 0 || !base64_decode(text, bytes, &size))
        return SCRAM_MALFORMED;
    if (!scram->is_plus)
        binding = SPAN_NONE;
    else if (binding.size == 0)
        return SCRAM_BAD_BINDING;
    if (size != scram->gs2_size + binding.size || !digest_equal(bytes, scram->text, scram->gs2_size))
        return SCRAM_BAD_BINDING;
    if (binding.size > 0 && !digest_equal(bytes + scram->gs2_size, binding.ptr, binding.size))
        return SCRAM_BAD_BINDING;
    return SCRAM_OK;
}

/* proof = "p=" base64, and the last attribute; *without_proof is everything before its comma. */
static enum scram_status proof_take(struct span *cursor, size_t size, uint8_t proof[DIGEST_SIZE_MAX])
{
    char bytes[BASE64_ENCODED_SIZE(DIGEST_SIZE_MAX)];
    size_t got = 0;
    struct span text = value_take(cursor);
    if (cursor->size != 0 || text.size != BASE64_ENCODED_SIZE(size) || !base64_decode(text, bytes, &got) || got != size)
        return SCRAM_MALFORMED;
    memcpy(proof, bytes, size);
    return SCRAM_OK;
}

/* The attributes of client-final in their order; *signed_size is that of client-final-message-without-proof. */
static enum scram_status final_parse(const struct scram *scram, struct span message, struct span binding,
                                     uint8_t proof[DIGEST_SIZE_MAX], size_t *signed_size)
{
    struct span cursor = message;
    if (literal_take(&cursor, "m="))
        return SCRAM_UNKNOWN_EXTENSION;
    if (!literal_take(&cursor, "c="))
        return SCRAM_MALFORMED;
    struct span channel = value_take(&cursor);
    if (!literal_take(&cursor, ",r="))
        return SCRAM_MALFORMED;
    struct span nonce = value_take(&cursor);
    enum scram_status status = SCRAM_OK;
    *signed_size = message.size - cursor.size;
    while (status == SCRAM_OK && !literal_take(&cursor, ",p=")) {
        if (!literal_take(&cursor, ","))
            return SCRAM_MALFORMED;
        status = extension_check(value_take(&cursor));
        *signed_size = message.size - cursor.size;
    }
    if (status == SCRAM_OK)
        status = proof_take(&cursor, digest_size(scram->digest), proof);
    if (status == SCRAM_OK)
        status = binding_check(scram, channel, binding);
    if (status != SCRAM_OK)
        return status;
    bool is_ours = nonce.size == scram->nonce_size &&
                   digest_equal(nonce.ptr, scram->text + scram->nonce_offset, scram->nonce_size);
    return is_ours ? SCRAM_OK : SCRAM_BAD_PROOF;
}

/* RFC 5802 s3. Both signatures are computed before the proof is judged, so a wrong one costs the same. */
static bool proof_check(const struct scram *scram, struct span auth_message, uint8_t proof[DIGEST_SIZE_MAX],
                        uint8_t server_signature[DIGEST_SIZE_MAX])
{
    const struct account *account = &scram->account;
    bool is_sha1 = scram->digest == DIGEST_SHA1;
    size_t size = digest_size(scram->digest);
    const uint8_t *stored = is_sha1 ? account->sha1_stored : account->sha256_stored;
    const uint8_t *server = is_sha1 ? account->sha1_server : account->sha256_server;
    uint8_t client_signature[DIGEST_SIZE_MAX];
    uint8_t computed[DIGEST_SIZE_MAX];
    digest_hmac(scram->digest, span_of(stored, size), auth_message, client_signature);
    digest_hmac(scram->digest, span_of(server, size), auth_message, server_signature);
    for (size_t i = 0; i < size; i++)
        proof[i] ^= client_signature[i]; /* now ClientKey, if the proof is right */
    digest_hash(scram->digest, span_of(proof, size), computed);
    bool is_equal = digest_equal(computed, stored, size);
    digest_wipe(client_signature, sizeof client_signature);
    digest_wipe(computed, sizeof computed);
    /* An account without keys for this hash has zeros there, for which nobody can find a proof; said all the same. */
    return is_equal && (is_sha1 ? account->has_sha1 : account->has_sha256);
}

enum scram_status scram_final(struct scram *scram, struct span message, struct span binding,
                              char out[SCRAM_MESSAGE_MAX], size_t *out_size)
{
    SL_CHECK(scram->step == SCRAM_WANT_FINAL);
    scram->step = SCRAM_ENDED;
    *out_size = 0;
    uint8_t proof[DIGEST_SIZE_MAX];
    size_t signed_size = 0;
    if (!message_is_text(message))
        return SCRAM_MALFORMED;
    enum scram_status status = final_parse(scram, message, binding, proof, &signed_size);
    if (status != SCRAM_OK)
        return status;

    /* AuthMessage = client-first-bare "," server-first "," client-final-without-proof: at most 5 KB, on the stack. */
    char auth_message[TEXT_ROOM + 1 + SCRAM_MESSAGE_MAX];
    size_t auth_size = scram->text_size - scram->gs2_size;
    memcpy(auth_message, scram->text + scram->gs2_size, auth_size);
    auth_message[auth_size++] = ',';
    memcpy(auth_message + auth_size, message.ptr, signed_size);
    auth_size += signed_size;

    uint8_t signature[DIGEST_SIZE_MAX];
    bool is_right = proof_check(scram, span_of(auth_message, auth_size), proof, signature);
    if (is_right) {
        memcpy(out, "v=", 2);
        *out_size = 2 + base64_encode(span_of(signature, digest_size(scram->digest)), out + 2);
    }
    digest_wipe(proof, sizeof proof);
    digest_wipe(signature, sizeof signature);
    digest_wipe(auth_message, sizeof auth_message);
    return is_right ? SCRAM_OK : SCRAM_BAD_PROOF;
}
