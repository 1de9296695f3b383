/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Store folder: the folder a store lies in, and the lock by which one router has it.
 *
 * The folder holds:
 *   store.mdb       one LMDB file: the sub-database "meta" (key "schema") and one for each bucket
 *   store.mdb-lock  LMDB's own table of readers: mdb_copy and mdb_dump may read a live store
 *   router.lock     flock()ed while a router uses the folder, since LMDB itself would let two of them share it
 *
 * Thread:  main.
 * Fails:   with words for a person in err.
 */
#include "core/base/err.h"

#include <limits.h>
#include <stdbool.h>

/* Makes the folder, mode 0700, if it is missing. */
bool store_folder_make(const char *path, struct err *err);
/* The lock's descriptor, or -1. Closing it, or the end of the process in any way, gives the folder back. */
int store_folder_lock(const char *path, struct err *err);
bool store_folder_name(char out[PATH_MAX], const char *path, const char *name, struct err *err);
/* Makes names in the folder durable. */
bool store_folder_sync(const char *path, struct err *err);
