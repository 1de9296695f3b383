/* SPDX-License-Identifier: MIT */
#include "router/store/account.h"

#include "core/base/base64.h"
#include "core/base/check.h"
#include "tls/digest.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * The record: version (1 byte), flags (1), iterations (4, little endian), salt size (1), salt, then StoredKey and
 * ServerKey of each hash whose flag is set, SHA-1 first. 143 bytes at most with a salt of 32.
 */
#define RECORD_VERSION 1u
#define RECORD_HEAD    7u
#define HAS_SHA1       1u
#define HAS_SHA256     2u
#define IS_DISABLED    4u /* a router from before this flag refuses the record, and so the login */

/* RFC 5802 s3: SaltedPassword, ClientKey, StoredKey, ServerKey. */
static void keys_of_salted(enum digest digest, const uint8_t *salted, uint8_t *stored, uint8_t *server)
{
    uint8_t client[DIGEST_SIZE_MAX];
    size_t size = digest_size(digest);
    digest_hmac(digest, span_of(salted, size), SPAN("Client Key"), client);
    digest_hash(digest, span_of(client, size), stored);
    digest_hmac(digest, span_of(salted, size), SPAN("Server Key"), server);
    digest_wipe(client, sizeof client);
}

static void keys_derive(enum digest digest, struct span password, struct span salt, uint32_t iterations,
                        uint8_t *stored, uint8_t *server)
{
    uint8_t salted[DIGEST_SIZE_MAX];
    digest_pbkdf2(digest, password, salt, iterations, salted);
    keys_of_salted(digest, salted, stored, server);
    digest_wipe(salted, sizeof salted);
}

void account_derive(struct account *account, struct span password, struct span salt, uint32_t iterations)
{
    SL_CHECK(salt.size > 0 && salt.size <= ACCOUNT_SALT_MAX && iterations > 0);
    *account = (struct account){
        .iterations = iterations,
        .salt_size = (uint8_t)salt.size,
        .has_sha1 = true,
        .has_sha256 = true,
    };
    memcpy(account->salt, salt.ptr, salt.size);
    keys_derive(DIGEST_SHA1, password, salt, iterations, account->sha1_stored, account->sha1_server);
    keys_derive(DIGEST_SHA256, password, salt, iterations, account->sha256_stored, account->sha256_server);
}

struct account_check {
    enum digest digest;
    bool has_keys;
    uint8_t stored[DIGEST_SIZE_MAX]; /* what must come out */
    struct digest_pbkdf2 *pbkdf2;
};

struct account_check *account_check_new(const struct account *account, struct span password)
{
    struct account_check *check = calloc(1, sizeof *check);
    if (!check)
        return NULL;
    check->digest = account->has_sha256 ? DIGEST_SHA256 : DIGEST_SHA1;
    check->has_keys = account->has_sha256 || account->has_sha1;
    memcpy(check->stored, account->has_sha256 ? account->sha256_stored : account->sha1_stored,
           digest_size(check->digest));
    struct span salt = span_of(account->salt, account->salt_size);
    check->pbkdf2 = digest_pbkdf2_new(check->digest, password, salt, account->iterations);
    if (check->pbkdf2)
        return check;
    free(check);
    return NULL;
}

bool account_check_run(struct account_check *check, uint32_t iterations_max)
{
    return digest_pbkdf2_run(check->pbkdf2, iterations_max);
}

bool account_check_result(const struct account_check *check)
{
    uint8_t salted[DIGEST_SIZE_MAX], stored[DIGEST_SIZE_MAX], server[DIGEST_SIZE_MAX];
    digest_pbkdf2_result(check->pbkdf2, salted);
    keys_of_salted(check->digest, salted, stored, server);
    bool is_equal = digest_equal(stored, check->stored, digest_size(check->digest));
    digest_wipe(salted, sizeof salted);
    digest_wipe(stored, sizeof stored);
    digest_wipe(server, sizeof server);
    return is_equal && check->has_keys;
}

void account_check_free(struct account_check *check)
{
    if (!check)
        return;
    digest_pbkdf2_free(check->pbkdf2);
    digest_wipe(check, sizeof *check);
    free(check);
}

bool account_verify(const struct account *account, struct span password)
{
    struct account_check *check = account_check_new(account, password);
    SL_CHECK(check);
    account_check_run(check, UINT32_MAX);
    bool is_right = account_check_result(check);
    account_check_free(check);
    return is_right;
}

static size_t put(uint8_t *out, size_t at, const void *bytes, size_t size)
{
    memcpy(out + at, bytes, size);
    return at + size;
}

size_t account_encode(const struct account *account, uint8_t out[ACCOUNT_RECORD_MAX])
{
    SL_CHECK(account->salt_size > 0 && account->salt_size <= ACCOUNT_SALT_MAX);
    out[0] = RECORD_VERSION;
    out[1] = (uint8_t)((account->has_sha1 ? HAS_SHA1 : 0) | (account->has_sha256 ? HAS_SHA256 : 0) |
                       (account->is_disabled ? IS_DISABLED : 0));
    for (unsigned i = 0; i < 4; i++)
        out[2 + i] = (uint8_t)(account->iterations >> (8 * i));
    out[6] = account->salt_size;
    size_t size = put(out, RECORD_HEAD, account->salt, account->salt_size);
    if (account->has_sha1) {
        size = put(out, size, account->sha1_stored, sizeof account->sha1_stored);
        size = put(out, size, account->sha1_server, sizeof account->sha1_server);
    }
    if (account->has_sha256) {
        size = put(out, size, account->sha256_stored, sizeof account->sha256_stored);
        size = put(out, size, account->sha256_server, sizeof account->sha256_server);
    }
    return size;
}

static bool numbers_are_valid(const struct account *account)
{
    return account->iterations >= 1 && account->iterations <= ACCOUNT_ITERATIONS_MAX && account->salt_size >= 1 &&
           account->salt_size <= ACCOUNT_SALT_MAX && (account->has_sha1 || account->has_sha256);
}

static const uint8_t *get(const uint8_t *from, void *out, size_t size)
{
    memcpy(out, from, size);
    return from + size;
}

bool account_decode(struct span record, struct account *account)
{
    const uint8_t *bytes = (const uint8_t *)record.ptr;
    *account = (struct account){0};
    if (record.size < RECORD_HEAD || bytes[0] != RECORD_VERSION ||
        (bytes[1] & ~(HAS_SHA1 | HAS_SHA256 | IS_DISABLED)) != 0)
        return false;
    account->is_disabled = (bytes[1] & IS_DISABLED) != 0;
    account->has_sha1 = (bytes[1] & HAS_SHA1) != 0;
    account->has_sha256 = (bytes[1] & HAS_SHA256) != 0;
    for (unsigned i = 0; i < 4; i++)
        account->iterations |= (uint32_t)bytes[2 + i] << (8 * i);
    account->salt_size = bytes[6];
    size_t size = RECORD_HEAD + account->salt_size +
                  (account->has_sha1 ? sizeof account->sha1_stored + sizeof account->sha1_server : 0) +
                  (account->has_sha256 ? sizeof account->sha256_stored + sizeof account->sha256_server : 0);
    if (!numbers_are_valid(account) || record.size != size)
        return false;
    const uint8_t *from = get(bytes + RECORD_HEAD, account->salt, account->salt_size);
    if (account->has_sha1) {
        from = get(from, account->sha1_stored, sizeof account->sha1_stored);
        from = get(from, account->sha1_server, sizeof account->sha1_server);
    }
    if (account->has_sha256) {
        from = get(from, account->sha256_stored, sizeof account->sha256_stored);
        from = get(from, account->sha256_server, sizeof account->sha256_server);
    }
    return true;
}

static size_t field_put(char *out, size_t at, bool is_there, const void *bytes, size_t size)
{
    out[at++] = '\t';
    if (is_there)
        return at + base64_encode(span_of(bytes, size), out + at);
    out[at++] = '-';
    return at;
}

size_t account_to_line(struct span jid, const struct account *account, char out[ACCOUNT_LINE_MAX])
{
    SL_CHECK(jid.size > 0 && jid.size <= ACCOUNT_JID_MAX && account->salt_size <= ACCOUNT_SALT_MAX);
    memcpy(out, jid.ptr, jid.size);
    size_t at = jid.size;
    at += (size_t)snprintf(out + at, ACCOUNT_LINE_MAX - at, "\t%u", account->iterations);
    at = field_put(out, at, true, account->salt, account->salt_size);
    at = field_put(out, at, account->has_sha1, account->sha1_stored, sizeof account->sha1_stored);
    at = field_put(out, at, account->has_sha1, account->sha1_server, sizeof account->sha1_server);
    at = field_put(out, at, account->has_sha256, account->sha256_stored, sizeof account->sha256_stored);
    at = field_put(out, at, account->has_sha256, account->sha256_server, sizeof account->sha256_server);
    if (account->is_disabled) {
        memcpy(out + at, "\tdisabled", 9);
        at += 9;
    }
    return at;
}

/* Cuts the next field off; a line with too few of them yields empty ones, which no field may be. */
static struct span field_take(struct span *line)
{
    const char *tab = line->size == 0 ? NULL : memchr(line->ptr, '\t', line->size);
    size_t size = tab == NULL ? line->size : (size_t)(tab - line->ptr);
    struct span field = {line->ptr, size};
    *line = tab == NULL ? (struct span){line->ptr, 0} : span_skip(*line, size + 1);
    return field;
}

/* A number in plain decimal, without sign, space or leading zero. */
static bool iterations_read(struct span field, uint32_t *iterations)
{
    if (field.size == 0 || field.size > 8 || field.ptr[0] == '0')
        return false;
    uint32_t number = 0;
    for (size_t i = 0; i < field.size; i++) {
        if (field.ptr[i] < '0' || field.ptr[i] > '9')
            return false;
        number = number * 10 + (uint32_t)(field.ptr[i] - '0');
    }
    *iterations = number;
    return number >= ACCOUNT_ITERATIONS_MIN && number <= ACCOUNT_ITERATIONS_MAX;
}

/* Base64 of 1 to size_max bytes. */
static bool bytes_read(struct span field, uint8_t *out, size_t size_max, size_t *size)
{
    char bytes[64];
    if (field.size == 0 || field.size > BASE64_ENCODED_SIZE(size_max) || field.size / 4 * 3 > sizeof bytes)
        return false;
    if (!base64_decode(field, bytes, size) || *size == 0 || *size > size_max)
        return false;
    memcpy(out, bytes, *size);
    digest_wipe(bytes, sizeof bytes);
    return true;
}

/* A key of exactly size bytes, or '-' for none. */
static bool key_read(struct span field, uint8_t *out, size_t size, bool *is_there)
{
    size_t got = 0;
    *is_there = !span_is(field, "-");
    return !*is_there || (bytes_read(field, out, size, &got) && got == size);
}

/* What stands behind the last key: nothing, or "disabled". */
static bool state_read(struct span line, struct span key, bool *is_disabled)
{
    struct span behind = span_skip(line, key.size);
    *is_disabled = behind.size > 0;
    return !*is_disabled || span_is(span_skip(behind, 1), "disabled");
}

static const char *fields_read(struct span *rest, struct account *account)
{
    bool has_sha1_server = false;
    bool has_sha256_server = false;
    size_t salt_size = 0;
    if (!iterations_read(field_take(rest), &account->iterations))
        return "iterations";
    if (!bytes_read(field_take(rest), account->salt, ACCOUNT_SALT_MAX, &salt_size))
        return "salt";
    account->salt_size = (uint8_t)salt_size;
    if (!key_read(field_take(rest), account->sha1_stored, sizeof account->sha1_stored, &account->has_sha1))
        return "sha1-stored";
    if (!key_read(field_take(rest), account->sha1_server, sizeof account->sha1_server, &has_sha1_server) ||
        has_sha1_server != account->has_sha1)
        return "sha1-server";
    if (!key_read(field_take(rest), account->sha256_stored, sizeof account->sha256_stored, &account->has_sha256))
        return "sha256-stored";
    struct span last = *rest, key = field_take(rest);
    if (!key_read(key, account->sha256_server, sizeof account->sha256_server, &has_sha256_server) ||
        has_sha256_server != account->has_sha256)
        return "sha256-server";
    if (!state_read(last, key, &account->is_disabled))
        return "disabled";
    if (!account->has_sha1 && !account->has_sha256)
        return "sha256-stored";
    return NULL;
}

bool account_from_line(struct span line, struct span *jid, struct account *account, const char **why)
{
    *account = (struct account){0};
    *jid = field_take(&line);
    if (jid->size == 0 || jid->size > ACCOUNT_JID_MAX || memchr(jid->ptr, '\0', jid->size) != NULL)
        *why = "user@domain";
    else
        *why = fields_read(&line, account);
    return *why == NULL;
}

/* One output of the pseudo-random function for each thing that must not tell a fake from a real account. */
static void fake_bytes(struct span secret, char what, struct span jid, uint8_t *out, size_t size)
{
    uint8_t inner[32];
    uint8_t mac[32];
    /* HMAC of the hash, so that what and jid need no common buffer: HMAC(secret, what || SHA-256(jid)). */
    uint8_t message[33];
    digest_hash(DIGEST_SHA256, jid, inner);
    message[0] = (uint8_t)what;
    memcpy(message + 1, inner, sizeof inner);
    digest_hmac(DIGEST_SHA256, secret, span_of(message, sizeof message), mac);
    memcpy(out, mac, size);
    digest_wipe(mac, sizeof mac);
}

void account_fake(struct account *account, struct span jid, struct span secret)
{
    *account = (struct account){
        .iterations = ACCOUNT_ITERATIONS,
        .salt_size = ACCOUNT_SALT_SIZE,
        .has_sha1 = true,
        .has_sha256 = true,
    };
    fake_bytes(secret, 's', jid, account->salt, ACCOUNT_SALT_SIZE);
    fake_bytes(secret, '1', jid, account->sha1_stored, sizeof account->sha1_stored);
    fake_bytes(secret, '2', jid, account->sha1_server, sizeof account->sha1_server);
    fake_bytes(secret, '3', jid, account->sha256_stored, sizeof account->sha256_stored);
    fake_bytes(secret, '4', jid, account->sha256_server, sizeof account->sha256_server);
}
