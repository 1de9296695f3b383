/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Jsonl: flat JSON objects, one a line, as the case files of tests/data have them: string values and arrays of strings.
 */
#include <stdbool.h>
#include <stddef.h>

#define JSONL_FIELDS_MAX 32

struct jsonl_field {
    char *name;
    char *value; /* decoded, with a NUL behind; of an array: one field for each string */
    size_t size;
};

struct jsonl_line {
    struct jsonl_field fields[JSONL_FIELDS_MAX];
    unsigned count;
};

struct jsonl_file {
    char *bytes;
    char *next;
};

/* name is relative to the folder named by SL_TEST_DATA; fails the test when it cannot be read. */
struct jsonl_file jsonl_open(const char *name);
/* false at the end of the file; what is no such object fails the test. Values live until the next call. */
bool jsonl_next(struct jsonl_file *file, struct jsonl_line *line);
void jsonl_close(struct jsonl_file *file);
/* The first field of that name, or NULL. */
const struct jsonl_field *jsonl_get(const struct jsonl_line *line, const char *name);
/* Whether some field of that name has that value. */
bool jsonl_has(const struct jsonl_line *line, const char *name, const char *value);
/* Decodes name as text, or name_b64 as base64. The caller frees it. */
char *jsonl_bytes(const struct jsonl_line *line, const char *name, const char *name_b64, size_t *size);
