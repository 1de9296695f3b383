/* SPDX-License-Identifier: MIT */
#include "tls/hello_priv.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

static char scratch[HELLO_SIZE_MAX];

/* A ClientHello with server_name "a.example", ALPN and extended_master_secret, written by hand (RFC 8446 s4.1.2). */
static size_t make_hello(char *out)
{
    static const char message[] = "\x03\x03"
                                  "0123456789abcdef0123456789abcdef"     /* random */
                                  "\x00"                                 /* session id */
                                  "\x00\x02\x13\x01"                     /* cipher suites */
                                  "\x01\x00"                             /* compression */
                                  "\x00\x22"                             /* extensions */
                                  "\x00\x00\x00\x0e\x00\x0c\x00\x00\x09" /* server_name */
                                  "a.example"
                                  "\x00\x17\x00\x00"                      /* extended_master_secret */
                                  "\x00\x10\x00\x08\x00\x06\x02h2\x02h3"; /* ALPN */
    size_t size = sizeof(message) - 1;
    const char head[] = {22, 3, 1, 0, (char)(size + 4), 1, 0, 0, (char)size};
    memcpy(out, head, sizeof(head));
    memcpy(out + sizeof(head), message, size);
    return sizeof(head) + size;
}

static void expect_read(struct span wire)
{
    struct hello hello;
    assert_int_equal(hello_read(wire, scratch, &hello), HELLO_READ);
    assert_true(span_is(hello.server_name, "a.example"));
    assert_true(hello.has_alpn);
    assert_true(hello.has_extended_master_secret);
}

static void read__at_every_cut__wants_more_until_it_is_complete(void **state)
{
    char wire[256];
    size_t size = make_hello(wire);
    (void)state;
    for (size_t cut = 0; cut < size; cut++) {
        struct hello hello;
        /* Copied to its exact size, so that the sanitizer sees any byte read behind the end. */
        char *copy = malloc(cut + 1);
        memcpy(copy, wire, cut);
        assert_int_equal(hello_read(span_of(copy, cut), scratch, &hello), HELLO_MORE);
        free(copy);
    }
    expect_read(span_of(wire, size));
    expect_read(span_of(wire, size + 50)); /* what follows is not looked at */
}

static void read__split_into_records__is_joined(void **state)
{
    char wire[256];
    size_t size = make_hello(wire);
    (void)state;
    for (size_t piece = 7; piece < size; piece++) {
        char split[1024];
        size_t out = 0;
        struct hello hello;
        for (size_t i = 5; i < size; i += piece) {
            size_t step = size - i < piece ? size - i : piece;
            const char head[] = {22, 3, 3, 0, (char)step};
            memcpy(split + out, head, 5);
            memcpy(split + out + 5, wire + i, step);
            out += 5 + step;
        }
        expect_read(span_of(split, out));
        for (size_t cut = 0; cut < out; cut += 3)
            assert_int_equal(hello_read(span_of(split, cut), scratch, &hello), HELLO_MORE);
    }
}

static void read__in_too_many_records__is_foreign(void **state)
{
    char wire[256];
    char split[1024];
    size_t size = make_hello(wire);
    size_t out = 0;
    struct hello hello;
    (void)state;
    for (size_t i = 5; i < size; i += 5) {
        const char head[] = {22, 3, 3, 0, 5};
        memcpy(split + out, head, 5);
        memcpy(split + out + 5, wire + i, 5);
        out += 10;
    }
    assert_int_equal(hello_read(span_of(split, out), scratch, &hello), HELLO_FOREIGN);
}

/* Holds 6120:13.9.5/1. */
static void read__other_protocols_and_records__are_foreign(void **state)
{
    static const struct span rows[] = {{"<?xml version='1.0'?>", 21},
                                       {"GET / HTTP/1.1\r\n", 16},
                                       {"\x15\x03\x01\x00\x02\x02\x28", 7},
                                       {"\x17\x03\x03\x00\x01x", 6},
                                       {"\x16\x02\x01\x00\x05", 5},
                                       {"\x16\x03\x01\x00\x00", 5},
                                       {"\x16\x03\x01\xff\xff", 5},
                                       {"\x80", 1},
                                       {"\x16\x03\x01\x00\x04\x0b\x00\x00\x00", 9},
                                       {"\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hello hello;
        assert_int_equal(hello_read(rows[i], scratch, &hello), HELLO_FOREIGN);
        assert_int_equal(hello.server_name.size, 0);
    }
}

/* Every byte of the message set to every value: any answer is right that stays within the bytes. */
static void read__changed_at_every_byte__stays_within(void **state)
{
    char wire[256];
    size_t size = make_hello(wire);
    (void)state;
    for (size_t i = 0; i < size; i++) {
        for (unsigned value = 0; value < 256; value++) {
            struct hello hello;
            char *copy = malloc(size);
            memcpy(copy, wire, size);
            copy[i] = (char)value;
            enum hello_status status = hello_read(span_of(copy, size), scratch, &hello);
            if (status == HELLO_READ && hello.server_name.size > 0)
                assert_in_range(hello.server_name.ptr - copy, 9, size - hello.server_name.size);
            free(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read__at_every_cut__wants_more_until_it_is_complete),
        cmocka_unit_test(read__split_into_records__is_joined),
        cmocka_unit_test(read__in_too_many_records__is_foreign),
        cmocka_unit_test(read__other_protocols_and_records__are_foreign),
        cmocka_unit_test(read__changed_at_every_byte__stays_within),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
