/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Account: the record of one local user in STORE_ACCOUNTS, keyed by the prepared bare JID. Holds SCRAM keys, never a
 * password (RFC 5802 s3, RFC 7677).
 *
 * Text form for import and export, one line an account, tab-separated:
 *   user@domain  iterations  salt  sha1-stored  sha1-server  sha256-stored  sha256-server     (base64, '-' for absent)
 * with one field more, "disabled", if it is.
 */
#include "core/base/span.h"

#include <stdint.h>

#define ACCOUNT_SALT_MAX       32u
#define ACCOUNT_SALT_SIZE      16u /* of every account made here, and of account_fake */
#define ACCOUNT_RECORD_MAX     256u
#define ACCOUNT_JID_MAX        480u /* STORE_KEY_MAX */
#define ACCOUNT_LINE_MAX       1600u
#define ACCOUNT_ITERATIONS     10000u
#define ACCOUNT_ITERATIONS_MIN 4096u     /* RFC 7677 s4; clients refuse fewer */
#define ACCOUNT_ITERATIONS_MAX 10000000u /* a client computes some ten seconds for these; more is a mistake */

struct account {
    uint32_t iterations;
    uint8_t salt_size;
    uint8_t salt[ACCOUNT_SALT_MAX];
    bool is_disabled; /* keeps its record, but nobody logs in (RFC 6120 s6.5.2) */
    bool has_sha1, has_sha256;
    uint8_t sha1_stored[20], sha1_server[20];
    uint8_t sha256_stored[32], sha256_server[32];
};

/* password is already prepared (jid_prepare_password). salt: 1 to ACCOUNT_SALT_MAX random bytes. */
void account_derive(struct account *account, struct span password, struct span salt, uint32_t iterations);
/* Does this password (prepared) belong to the account? Constant time in its content. For tests alone: see below. */
bool account_verify(const struct account *account, struct span password);
/* The same in pieces, for a shard, which must not stop for the milliseconds that 10,000 iterations take: new (NULL when
 * memory is refused), run until it says true, result. */
struct account_check;
struct account_check *account_check_new(const struct account *account, struct span password);
bool account_check_run(struct account_check *check, uint32_t iterations_max);
bool account_check_result(const struct account_check *check);
void account_check_free(struct account_check *check); /* wipes */
size_t account_encode(const struct account *account, uint8_t out[ACCOUNT_RECORD_MAX]);
bool account_decode(struct span record, struct account *account) __attribute__((warn_unused_result));
/* jid is the bare JID, at most ACCOUNT_JID_MAX bytes. Returns the size, without newline or NUL. */
size_t account_to_line(struct span jid, const struct account *account, char out[ACCOUNT_LINE_MAX]);
/* jid points into line and is not prepared. *why names the field that is wrong. The numbers are those of the constants
 * above, and at least one of the two hashes must be there. */
bool account_from_line(struct span line, struct span *jid, struct account *account, const char **why);
/* The same plausible account for the same unknown name, every time in this process's life and across restarts with the
 * same secret: nobody can tell it by salt or iterations from one that was made here with as many (RFC 6120 s13.11). */
void account_fake(struct account *account, struct span jid, struct span secret);
