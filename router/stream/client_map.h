/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Client map: whose a client's certificate is, by the operator's word (tls.client_map). For certificates that do not
 * say it themselves. Immutable; part of the policy, read anew by a reload.
 *
 *   # a comment
 *   6A:5E:...:0F   juliet@example.com
 *
 * A line each: the SHA-256 fingerprint of the certificate, 64 hexadecimal digits with or without colons, blanks, and
 * the bare JID of an account of a domain that is served. A certificate may stand on several lines, for several
 * accounts.
 *
 * Thread:  any.
 * Bounds:  CLIENT_MAP_SIZE_MAX bytes of file; about 40 bytes of memory a line, and the address.
 */
#include "core/base/err.h"
#include "core/base/span.h"

#include <stdint.h>

#define CLIENT_MAP_SIZE_MAX (64u << 20)
#define CLIENT_MAP_KEY_SIZE 32u

struct client_map;
struct config;

/* NULL: nothing of the file is used; err names it, and the line. */
struct client_map *client_map_new(const char *path, const struct config *config, struct err *err);
void client_map_free(struct client_map *map);

/* The account of the index-th line for that certificate, counted from 0; SPAN_NONE: there are no more. map may be
 * NULL. */
struct span client_map_account(const struct client_map *map, const uint8_t sha256[CLIENT_MAP_KEY_SIZE], unsigned index);
