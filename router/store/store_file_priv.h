/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Store file: the LMDB file of a store and the folder it lies in: opening it safely, carrying out one request in the
 * open transaction, commit, growth. Knows nothing of clients and threads.
 *
 * The map is never larger than what the file system has allocated for the file, so a full disk is noticed when the file
 * grows and not in the middle of a commit.
 *
 * Thread:  opened on the main thread, then the worker's.
 */
#include "router/store/store_request_priv.h"

struct store_file;

enum file_status {
    FILE_OK,
    FILE_NEEDS_ROOM, /* the map is full: abort, store_file_grow(), and do everything again */
    FILE_FULL,       /* the disk is full, or memory was refused */
    FILE_BROKEN,     /* an I/O error, or damage in the tree of pages */
};

/* The folder is made if missing; its parent must be there. */
struct store_file *store_file_open(const char *path, struct err *err);
void store_file_close(struct store_file *file);

/* One transaction at a time. */
enum file_status store_file_begin_read(struct store_file *file);
void store_file_end_read(struct store_file *file);
/* is_deletion: nothing but deletions and reads will follow, which may use the last pages of a full disk. */
enum file_status store_file_begin_write(struct store_file *file, bool is_deletion);
/* Durable when it returns FILE_OK; else nothing was changed. The transaction is over in any case. */
enum file_status store_file_commit(struct store_file *file);
void store_file_abort(struct store_file *file);
/* Carries out the request in the transaction that is open and sets its status. Anything but FILE_OK means that the
 * transaction must be aborted; a read never does. */
enum file_status store_file_carry_out(struct store_file *file, struct store_request *request);
/* Between transactions only. */
enum file_status store_file_grow(struct store_file *file, bool is_deletion);
uint64_t store_file_size(const struct store_file *file);
/* The last failure in the system's or LMDB's words. */
const char *store_file_reason(const struct store_file *file);
