/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Login: a client's way from the first stream header to a bound resource (RFC 6120 s5 to s7), one step per element of
 * the server. Everything strictly in turn, nothing pipelined, as most clients do.
 */
#include "core/xml/tape.h"

struct client;
struct login;

struct login *login_new(void);
void login_free(struct login *login);
/* The connection (or its TLS) is ready: sends the stream header. */
void login_begin(struct client *client);
/* An element from the server before the session is bound. */
void login_element(struct client *client, const struct xml_stanza *stanza);
