/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Survey of certificates: what the inspector knows of those in use, and our own, as rows for the commands.
 *
 * Thread:  control's, unlike the other surveys: the inspector has a mutex for it.
 */
#include "router/admin/control.h"

struct context;
struct inspector;

/* NULL: nobody watches. */
struct control_certs survey_certs(struct inspector *inspector);

/* Where our own are. */
struct survey_own {
    const struct context *clients; /* what clients are shown; NULL: nothing */
    const struct context *servers; /* and what servers are; NULL: nothing */
    struct inspector *inspector;
    int64_t now; /* as before below in seconds since 1970 */
};
/* Of each domain the leaf and those behind it; what servers are shown only where it is another one. */
void survey_own(const struct survey_own *own, control_own_fn tell, void *listing);
/* Warns in the log of those that end within 30, 14, 7 or 1 days and have come below that bound since before, and of
 * each that demands a stapled answer and has none. */
void survey_own_warn(const struct survey_own *own, int64_t before);
