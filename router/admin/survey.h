/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Survey: a shard's answers to the control thread's questions.
 *
 * Thread:  the shard's.
 */
#include "router/admin/control.h"

struct shard;

/* Fills the ask with the shard's next sessions, a bounded number; the caller gives it back with control_answered(). */
void survey_sessions(struct shard *shard, struct control_ask *ask);
