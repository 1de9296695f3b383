/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Answer: what a command says, once for both forms.
 *
 *   one record:   name: value            {"name":value,...}
 *   rows:         first name=value ...   [{"name":value,...},...]
 *
 * A value in text stands bare if it is printable without blanks and quotes, else quoted and escaped as in JSON, so no
 * answer has an empty line or a control character in it, whatever a peer chose as its address.
 *
 * Thread:  any; one at a time.
 * Bounds:  room_max bytes; what does not fit sets is_full and leaves the text as it was before the call.
 */
#include "core/base/span.h"

#include <stdarg.h>
#include <stdint.h>

struct answer {
    char *bytes;
    size_t size, room, room_max;
    bool is_json;
    bool is_full;
    bool is_rows;   /* inside answer_rows() */
    bool has_row;   /* a row, or the record, was begun */
    bool has_field; /* in the row */
};

void answer_init(struct answer *answer, size_t room_max, bool is_json);
void answer_fini(struct answer *answer);

/* Raw bytes, for lines of another format. */
void answer_append(struct answer *answer, struct span bytes);
void answer_format(struct answer *answer, const char *format, ...) __attribute__((format(printf, 2, 3)));

void answer_record(struct answer *answer);
void answer_record_end(struct answer *answer);
void answer_rows(struct answer *answer);
void answer_row(struct answer *answer);
void answer_row_end(struct answer *answer);
void answer_rows_end(struct answer *answer);

void answer_text(struct answer *answer, const char *name, struct span value);
void answer_string(struct answer *answer, const char *name, const char *value);
void answer_number(struct answer *answer, const char *name, uint64_t value);
void answer_integer(struct answer *answer, const char *name, int64_t value);
void answer_bool(struct answer *answer, const char *name, bool value);
/* Seconds since 1970 as "2030-01-01T00:00:00Z"; nothing when they are 0. */
void answer_date(struct answer *answer, const char *name, int64_t seconds);
/* A value that is already spelled (valid JSON). */
void answer_verbatim(struct answer *answer, const char *name, struct span value);
