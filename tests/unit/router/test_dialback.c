/* SPDX-License-Identifier: MIT */
/* Dialback keys: the vectors of the specifications, and what each part of a key does. */
#include "router/s2s/dialback.h"

#include "core/jid/jid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

struct vector {
    const char *secret, *receiving, *originating, *id, *key;
};

static void key_of(const struct vector *vector, char out[DIALBACK_KEY_SIZE + 1])
{
    dialback_key(span_str(vector->secret), span_str(vector->receiving), span_str(vector->originating),
                 span_str(vector->id), out);
    out[DIALBACK_KEY_SIZE] = '\0';
}

/* XEP-0220 s2.1.1, example 1. XEP-0185 s2 has the same secret and id, for other domains. */
static void key__of_the_specification__as_printed_there(void **state)
{
    (void)state;
    static const struct vector vector = {"s3cr3tf0rd14lb4ck", "montague.example", "capulet.example", "D60000229F",
                                         "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3"};
    char key[DIALBACK_KEY_SIZE + 1];
    key_of(&vector, key);
    assert_string_equal(key, vector.key);
}

/* XEP-0220 s4.1: an originating domain must not be able to present a key of another stream, pair or secret. */
static void key__any_part_another__another_key(void **state)
{
    (void)state;
    static const struct vector vectors[] = {
        {"secret", "a.example", "b.example", "id", NULL}, {"secreT", "a.example", "b.example", "id", NULL},
        {"secret", "c.example", "b.example", "id", NULL}, {"secret", "a.example", "c.example", "id", NULL},
        {"secret", "a.example", "b.example", "ie", NULL}, {"secret", "b.example", "a.example", "id", NULL},
        {"secret", "a.exampleb", ".example", "id", NULL}, {"secret", "a.example", "b.examplei", "d", NULL},
        {"secret", "a.example", "b.example", "", NULL},   {"", "a.example", "b.example", "id", NULL},
    };
    char keys[sizeof vectors / sizeof vectors[0]][DIALBACK_KEY_SIZE + 1];
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        key_of(&vectors[i], keys[i]);
        assert_int_equal(strspn(keys[i], "0123456789abcdef"), DIALBACK_KEY_SIZE);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(keys[i], keys[j]);
    }
}

/* The longest names and id that the readers let through (ASan watches the buffer). */
static void key__of_the_longest_parts__every_byte_counts(void **state)
{
    (void)state;
    static char domain[2][JID_PART_MAX], id[DIALBACK_ID_MAX];
    char keys[4][DIALBACK_KEY_SIZE];
    memset(domain[0], 'a', sizeof domain[0]);
    memset(domain[1], 'b', sizeof domain[1]);
    memset(id, '1', sizeof id);
    char *const last[] = {NULL, &domain[0][JID_PART_MAX - 1], &domain[1][JID_PART_MAX - 1], &id[DIALBACK_ID_MAX - 1]};
    for (size_t i = 0; i < 4; i++) {
        char before = last[i] ? *last[i] : 0;
        if (last[i])
            *last[i] = 'x';
        dialback_key(SPAN("secret"), span_of(domain[0], sizeof domain[0]), span_of(domain[1], sizeof domain[1]),
                     span_of(id, sizeof id), keys[i]);
        if (last[i])
            *last[i] = before;
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(keys[i], keys[j], DIALBACK_KEY_SIZE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key__of_the_specification__as_printed_there),
        cmocka_unit_test(key__any_part_another__another_key),
        cmocka_unit_test(key__of_the_longest_parts__every_byte_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
