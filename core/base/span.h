/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Span: borrowed bytes, (pointer, size). Passed by value; never owns; not NUL-terminated.
 */
#include <stdbool.h>
#include <stddef.h>
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
