/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Fetch: OCSP answers and CRLs over HTTP (RFC 6960 A.1, RFC 5280 s4.2.1.13), which is never protected: what comes is
 * signed. By libcurl: http alone, no proxy, no user, three redirects, header, body and time bounded, status 200 of
 * whatever type, nothing unpacked; and no connection to an address that the policy does not permit, whatever name leads
 * there.
 *
 * Thread:  the inspector's.
 */
#include "router/certs/inspector.h"

struct fetcher;

/* body.ptr NULL: it could not be had; error tells why. */
typedef void (*fetch_done_fn)(void *context, uint64_t number, struct span body, const char *error);

struct fetcher *fetcher_new(const struct inspector_settings *settings, fetch_done_fn done, void *context);
/* Fetches under way are given up and not answered. */
void fetcher_free(struct fetcher *fetcher);
/* POST of an OCSP request, or GET where it is empty. Always answered, by fetcher_wait(). */
void fetcher_begin(struct fetcher *fetcher, uint64_t number, const char *url, struct span request);
/* Waits until one of the two descriptors can be read or a fetch has moved on; answers what is over. */
void fetcher_wait(struct fetcher *fetcher, int bell, int timer);
