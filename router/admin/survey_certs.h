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

/* Our own, of what clients are shown; tls NULL: none. now, before: seconds since 1970. */
void survey_own(const struct context *tls, int64_t now, control_own_fn tell, void *listing);
/* Warns in the log of those that end within 30, 14, 7 or 1 days and have come below that bound since before. */
void survey_own_warn(const struct context *tls, int64_t now, int64_t before);
