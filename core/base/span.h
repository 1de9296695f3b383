/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Span: borrowed bytes, (pointer, size). Passed by value; not NUL-terminated; owns nothing, but where a comment says
 * so (span_copy).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct span {
    const char *ptr;
    size_t size;
};

/* A span over a string literal. */
#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})
#define SPAN_NONE     ((struct span){NULL, 0})
/* For printf's "%.*s". */
#define SPAN_ARG(s) (int)(s).size, (s).ptr

static inline struct span span_of(const void *ptr, size_t size)
{
    return (struct span){(const char *)ptr, size};
}

static inline struct span span_str(const char *string)
{
    return (struct span){string, strlen(string)};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.ptr, b.ptr, a.size) == 0);
}

static inline bool span_is(struct span a, const char *string)
{
    return span_equal(a, span_str(string));
}

/* The bytes behind the first n; n must not exceed the size. */
static inline struct span span_skip(struct span s, size_t n)
{
    return (struct span){s.ptr + n, s.size - n};
}

/* An allocated copy with a NUL behind it, also of nothing; the caller's, for span_free(). SPAN_NONE without memory. */
static inline struct span span_copy(struct span s)
{
    char *copy = (char *)malloc(s.size + 1);
    if (!copy)
        return SPAN_NONE;
    if (s.size)
        memcpy(copy, s.ptr, s.size);
    copy[s.size] = '\0';
    return span_of(copy, s.size);
}

/* Of span_copy() only. The span is SPAN_NONE then. */
static inline void span_free(struct span *s)
{
    free((void *)(uintptr_t)s->ptr);
    *s = SPAN_NONE;
}
