/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Sluicectl, inside: the conversation with the admin socket (docs/ADMIN.md).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum ctl_status {
    CTL_OK,
    CTL_ERROR, /* the reason is in ctl->reason */
    CTL_MORE,  /* the command waits for lines */
    CTL_LOST,  /* the connection ended before the answer did */
};

struct ctl {
    FILE *in, *out; /* the two directions of the socket */
    char *line;     /* getline's */
    size_t line_room;
    char reason[600];
};

/* A body line, without its newline. */
typedef void (*ctl_line_fn)(void *context, const char *line);

bool ctl_send(struct ctl *ctl, const char *line);
/* Reads one answer, its body line by line. */
enum ctl_status ctl_answer(struct ctl *ctl, ctl_line_fn line, void *context);

/* Refreshes a table of counters; count 0: until the connection ends. Exit status. */
int top(struct ctl *ctl, unsigned seconds, unsigned count);
