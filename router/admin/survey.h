/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Survey: a shard's answers to the control thread's questions.
 *
 * Thread:  the shard's.
 */
#include "router/admin/control.h"

struct shard;

/* Answers the ask, or a bounded part of it; true: the caller gives it back with control_answered(). False: it takes its
 * time, and shard->answered() tells when. */
bool survey_answer(struct shard *shard, struct control_ask *ask);

void survey_sessions(struct shard *shard, struct control_ask *ask);
/* survey_s2s.c */
void survey_s2s(struct shard *shard, struct control_ask *ask);
/* False: later. */
bool survey_s2s_test(struct shard *shard, struct control_ask *ask);
void survey_s2s_close(struct shard *shard, struct control_ask *ask);
