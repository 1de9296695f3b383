/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Inspector, scripted: a client of which the test says what is found; nothing is fetched. inspector_open() of
 * the real one has no counterpart: a test makes its clients by hand.
 */
#include "router/certs/inspector.h"

struct inspector_client *inspector_script_new(void);
void inspector_script_free(struct inspector_client *client);
/* Called by inspector_flush() when what was found before is told about a new watch, as the real one wakes a shard. */
void inspector_script_wake(struct inspector_client *client, inspector_wake_fn wake, void *wake_context);
/* So many watches find no room. */
void inspector_script_refuse(struct inspector_client *client, unsigned count);
/* What is watched now. */
unsigned inspector_script_count(const struct inspector_client *client);
/* Found about the credential with this leaf (SHA-256), or about all when it is NULL; handed out by the next poll. Also
 * for those that will be watched later. */
void inspector_script_find(struct inspector_client *client, const uint8_t *sha256, enum standing standing);
/* The wall clock was set. */
void inspector_script_clock(struct inspector_client *client);
