/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Check: the assertion that stays on in release builds. A failed one is a bug of ours: it names itself on standard
 * error and ends the process. Never used on anything a peer, a file or the kernel may decide.
 */
#include <stddef.h>

void check_failed(const char *expression, const char *file, int line) __attribute__((noreturn, cold));

#define SL_CHECK(expression)                                                                                           \
    (__builtin_expect(!!(expression), 1) ? (void)0 : check_failed(#expression, __FILE__, __LINE__))

/* For the few allocations whose refusal has no answer (a chunk of 4 KiB, a thread's log ring): says so and ends the
 * process. What is large, or sized by a peer, answers NULL or false to its caller instead. */
void check_memory_refused(size_t size) __attribute__((noreturn, cold));
