/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Survey of certificates: what the inspector knows of those in use, as rows for the commands.
 *
 * Thread:  control's, unlike the other surveys: the inspector has a mutex for it.
 */
#include "router/admin/control.h"

struct inspector;

/* NULL: nobody watches. */
struct control_certs survey_certs(struct inspector *inspector);
