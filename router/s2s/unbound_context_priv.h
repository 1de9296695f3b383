/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Unbound context: DNS questions by libunbound, which resolves in a thread of its own and tells through a descriptor
 * that answers are there. Nobody outside knows a word of libunbound's.
 *
 * A question that is forgotten goes on in libunbound until it ends there: its answer then fills libunbound's cache, and
 * until then it counts against the bound, so that dead name servers cannot heap up questions.
 *
 * Thread:  the worker's.
 * Bounds:  QUESTIONS_MAX questions in libunbound; more are refused.
 */
#include "router/s2s/lookup_priv.h"

struct unbound_context;

typedef void (*unbound_answer_fn)(void *context, struct question *question, const struct dns_answer *answer);

struct unbound_context *unbound_context_new(const struct resolver_settings *settings, unbound_answer_fn answer,
                                            void *context, struct err *err);
void unbound_context_free(struct unbound_context *unbound);
/* Readable when unbound_context_process() has something to do. */
int unbound_context_descriptor(const struct unbound_context *unbound);
/* False: libunbound's thread is gone; nothing more comes from it. */
bool unbound_context_process(struct unbound_context *unbound);
bool unbound_context_ask(struct unbound_context *unbound, struct question *question);
void unbound_context_forget(struct question *question);
