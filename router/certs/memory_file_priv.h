/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Memory file: what the inspector knows, over a restart. A line that tells the version, then a record for each piece:
 * its kind, until when it is of use, the sizes of name and content, and these. Little-endian. Nothing in it is
 * believed: answers and lists are signed and judged again, and what the operator distrusts can only be added to.
 *
 * Thread:  the inspector's.
 */
#include "core/base/err.h"
#include "router/certs/inquiries_priv.h"

/* In a file beside it, then in its place: what is there is always whole. */
bool memory_file_write(const char *path, const struct inquiries *inquiries, struct err *err);
/* A file that is not there is an empty one. False: it cannot be read, or is something else. A file that was cut is read
 * as far as it goes. */
bool memory_file_read(const char *path, struct inquiries *inquiries, int64_t now, struct err *err);
