/* SPDX-License-Identifier: MIT */
#include "core/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void err_set(struct err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
}

void err_prefix(struct err *err, const char *format, ...)
{
    /* An argument may be the text itself, so the prefix is made aside and the old text is moved, not printed. */
    char prefix[sizeof err->text];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix - 2, format, args);
    va_end(args);
    strcat(prefix, ": ");

    size_t prefix_size = strlen(prefix);
    size_t text_size = strlen(err->text);
    size_t room = sizeof err->text - 1 - prefix_size;
    if (text_size > room)
        text_size = room;
    memmove(err->text + prefix_size, err->text, text_size);
    memcpy(err->text, prefix, prefix_size);
    err->text[prefix_size + text_size] = '\0';
}
