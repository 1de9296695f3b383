/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Hello: what must be known of the peer's first handshake message before the library sees it.
 *
 * A server chooses the certificate by the ClientHello's server_name (RFC 6066 s3), so the library's state, 10 KiB while
 * a handshake runs, is made only when that message is complete: a connection that says nothing costs nothing. Either
 * side notes extended_master_secret (RFC 7627), which the library does not tell.
 *
 * Nothing is judged here: whatever this reader does not understand is HELLO_FOREIGN and goes to the library as it is,
 * whose alert is the answer.
 *
 * Thread:  any; no state.
 * Bounds:  HELLO_SIZE_MAX bytes, HELLO_RECORDS_MAX records.
 */
#include "core/base/span.h"

#include <stdint.h>

#define HELLO_SIZE_MAX    16384u
#define HELLO_RECORDS_MAX 16u

enum hello_status {
    HELLO_MORE,    /* a prefix of one: come again with more bytes */
    HELLO_READ,    /* complete */
    HELLO_FOREIGN, /* something else, or malformed, or too long */
};

struct hello {
    struct span server_name; /* as sent; empty: none. Lies in the wire bytes or in the scratch */
    bool has_alpn;
    bool has_extended_master_secret;
};

/* Wire is all that came so far. Scratch, of HELLO_SIZE_MAX bytes, is used when the message spans records. */
enum hello_status hello_read(struct span wire, char *scratch, struct hello *out);
