/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Check: the assertion that stays on in release builds. A failed one is a bug of ours: it names itself on standard
 * error and ends the process. Never used on anything a peer, a file or the kernel may decide.
 */
void check_failed(const char *expression, const char *file, int line) __attribute__((noreturn, cold));

#define SL_CHECK(expression)                                                                                           \
    (__builtin_expect(!!(expression), 1) ? (void)0 : check_failed(#expression, __FILE__, __LINE__))
