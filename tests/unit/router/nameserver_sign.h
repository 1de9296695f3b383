/* SPDX-License-Identifier: MIT */
#pragma once
/* Signatures of the test name server's zone: RFC 4034, with ECDSA P-256 (algorithm 13, RFC 6605), by OpenSSL. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rdata {
    size_t size;
    unsigned char bytes[600];
};

struct zone_key;

struct zone_key *zone_key_new(const char *zone);
void zone_key_free(struct zone_key *key);
/* The DNSKEY record's data. */
const struct rdata *zone_key_data(const struct zone_key *key);
/* The RRSIG record's data over a set, which is put into its canonical order. */
void zone_key_sign(const struct zone_key *key, const char *name, unsigned type, uint32_t ttl_s, struct rdata *set,
                   unsigned count, bool is_expired, struct rdata *out);

/* A name's wire form; nameserver.c has it. */
size_t wire_name(const char *text, unsigned char *out);
