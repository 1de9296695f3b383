/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What tools/adapt_wolfssl adds to wolfSSL: OCSP answers in handshakes are the caller's, in both roles. The library
 * neither fetches nor judges any while this is set, before the first connection, for all of them.
 */
struct WOLFSSL;

struct wolfssl_staple {
    /* Server: is there an answer for a client that asks? Otherwise it is as if it had not asked. */
    int (*has)(struct WOLFSSL *library);
    /* Server: the answer to show, by wolfSSL_Malloc, whose the library is from then on. 0, or an error of the library's
     * that ends the handshake. */
    int (*show)(struct WOLFSSL *library, unsigned char **bytes, unsigned *size);
    /* Client, TLS 1.2: what the server has shown (in TLS 1.3 it stands behind its certificate). 0, or an error. */
    int (*take)(struct WOLFSSL *library, const unsigned char *bytes, unsigned size);
};
extern struct wolfssl_staple wolfssl_staple;
