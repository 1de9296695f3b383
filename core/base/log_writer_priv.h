/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Log writer: the rings of the threads that log, and the thread that empties them into the file.
 *
 * Thread:  start and stop on one thread; reserve and commit on any, each into its own ring; the rest anywhere.
 */
#include "core/base/err.h"
#include "core/base/span.h"

#include <stdint.h>

bool log_writer_start(const char *path, struct err *err);
void log_writer_stop(void);
void log_writer_reopen(void);
bool log_writer_is_running(void);

/* Room for LOG_LINE_MAX bytes in the calling thread's ring, or NULL: full. */
char *log_writer_reserve(void);
void log_writer_commit(size_t size);

void log_writer_count_dropped(uint64_t lines);
uint64_t log_writer_dropped(void);

/* Writes all of the bytes, waiting for a slow descriptor; false if they were refused. */
bool log_writer_put(int fd, struct span bytes);
