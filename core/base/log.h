/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Log: one line an event, levels, structured key=value, never blocking the caller.
 *
 *   2026-11-22T17:40:01.123Z INFO shard=1 c2s.bound jid="user0@example.com/a" address=127.0.0.1
 *
 * log_event() formats into a bounded ring of the calling thread; one writer thread started by log_open() puts the
 * lines out. A full ring, or more than LOG_RATE lines a second of one event name in one thread, drops the line and
 * counts it; the count is printed with the next line of that kind ("suppressed=N"). Before log_open() lines go
 * straight to standard error (tools, tests), without a limit of the rate.
 *
 * The format is a printf format that spells key=value pairs; values that a peer chose go through log_quoted(), which
 * escapes control characters, quotes and backslashes. Secrets never go in. Whatever is printed, a line stays one line:
 * control characters that got there without quoting become '?'. A line longer than LOG_LINE_MAX ends with "...".
 *
 * Thread:  any; each thread gets its ring (64 KiB, touched as it is used) at its first call. log_open and log_close
 *          belong to one thread; a line that another thread logs during log_close may be kept for the next log_open.
 * Fails:   what the file refuses (disk full) is lost and counted by log_dropped(). errno is left as it was.
 */
#include "core/base/err.h"
#include "core/base/span.h"

#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

#define LOG_RATE     20u   /* lines a second of one event name in one thread */
#define LOG_LINE_MAX 2048u /* bytes of a line, its end included */

/* path NULL: standard error. Else appends to the file, which is made with mode 0640 if need be. */
bool log_open(const char *path, enum log_level level, struct err *err);
/* Reopens the path (log rotation); the writer does it before the next lines. If that fails the old file stays. */
void log_reopen(void);
/* Writes what is queued and stops the writer. Without log_open() it does nothing. */
void log_close(void);
void log_set_level(enum log_level level);
/* The field that names the calling thread in its lines, as it is printed: "shard=1". Up to 31 bytes are kept. */
void log_name_thread(const char *name);
void log_event(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

struct log_text {
    char text[200];
};
/* The bytes as a quoted, escaped, bounded string: log_quoted(span).text in a call's arguments. What does not fit is
 * cut, and the string then ends with ..." */
struct log_text log_quoted(struct span bytes);
/* Lines that were formatted or wanted, and never reached the file. */
uint64_t log_dropped(void);
