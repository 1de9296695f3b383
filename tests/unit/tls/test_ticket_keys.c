/* SPDX-License-Identifier: MIT */
#include "tls/ticket_keys_priv.h"

#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <setjmp.h>

#include <cmocka.h>

struct ticket {
    uint8_t name[TICKET_KEY_NAME_SIZE];
    uint8_t iv[TICKET_KEY_IV_SIZE];
    uint8_t tag[TICKET_KEY_TAG_SIZE];
    uint8_t generation;
    uint8_t bytes[100];
};

static struct ticket_frame frame_of(struct ticket *ticket)
{
    return (struct ticket_frame){ticket->name, ticket->iv, ticket->tag, &ticket->generation};
}

static void seal(struct ticket_keys *keys, struct span domain, struct ticket *ticket)
{
    ticket->generation = 7;
    memset(ticket->bytes, 'x', sizeof(ticket->bytes));
    assert_int_equal(ticket_keys_seal(keys, domain, frame_of(ticket), ticket->bytes, sizeof(ticket->bytes)), TICKET_OK);
}

static enum ticket_status open_copy(struct ticket_keys *keys, struct span domain, const struct ticket *ticket)
{
    struct ticket copy = *ticket;
    enum ticket_status status = ticket_keys_open(keys, domain, frame_of(&copy), copy.bytes, sizeof(copy.bytes));
    if (status == TICKET_OK) {
        for (size_t i = 0; i < sizeof(copy.bytes); i++)
            assert_int_equal(copy.bytes[i], 'x');
    }
    return status;
}

static void open__changed_in_any_byte__is_refused(void **state)
{
    struct ticket_keys *keys = ticket_keys_new();
    struct ticket ticket;
    (void)state;
    seal(keys, SPAN("a.example"), &ticket);
    assert_int_equal(open_copy(keys, SPAN("a.example"), &ticket), TICKET_OK);
    for (size_t i = 0; i < sizeof(ticket); i++) {
        ((uint8_t *)&ticket)[i] ^= 0x10;
        assert_int_equal(open_copy(keys, SPAN("a.example"), &ticket), TICKET_REFUSED);
        ((uint8_t *)&ticket)[i] ^= 0x10;
    }
    assert_int_equal(open_copy(keys, SPAN("a.example"), &ticket), TICKET_OK);
    ticket_keys_free(keys);
}

static void open__after_too_many_resumptions__is_refused(void **state)
{
    struct ticket_keys *keys = ticket_keys_new();
    (void)state;
    for (unsigned generation = 0; generation < 256; generation++) {
        struct ticket ticket = {.generation = (uint8_t)generation};
        memset(ticket.bytes, 'x', sizeof(ticket.bytes));
        assert_int_equal(
            ticket_keys_seal(keys, SPAN("a.example"), frame_of(&ticket), ticket.bytes, sizeof(ticket.bytes)),
            TICKET_OK);
        assert_int_equal(open_copy(keys, SPAN("a.example"), &ticket),
                         generation < TICKET_GENERATION_MAX ? TICKET_OK : TICKET_REFUSED);
    }
    ticket_keys_free(keys);
}

static void open__for_another_domain_or_by_other_keys__is_refused(void **state)
{
    struct ticket_keys *keys = ticket_keys_new();
    struct ticket_keys *others = ticket_keys_new();
    struct ticket ticket;
    (void)state;
    seal(keys, SPAN("a.example"), &ticket);
    assert_int_equal(open_copy(keys, SPAN("b.example"), &ticket), TICKET_REFUSED);
    assert_int_equal(open_copy(keys, SPAN("a.exampl"), &ticket), TICKET_REFUSED);
    assert_int_equal(open_copy(keys, SPAN(""), &ticket), TICKET_REFUSED);
    assert_int_equal(open_copy(others, SPAN("a.example"), &ticket), TICKET_REFUSED);
    ticket_keys_free(keys);
    ticket_keys_free(others);
}

static void open__of_another_era__is_refused(void **state)
{
    (void)state;
    struct ticket ticket;
    struct ticket_keys *keys = ticket_keys_new();
    seal(keys, SPAN("a.example"), &ticket);
    for (uint32_t era = 0; era < 3; era++) {
        struct ticket copy = ticket;
        struct ticket_frame frame = frame_of(&copy);
        frame.era = era << 16;
        assert_int_equal(ticket_keys_open(keys, SPAN("a.example"), frame, copy.bytes, sizeof copy.bytes),
                         era ? TICKET_REFUSED : TICKET_OK);
    }
    ticket_keys_free(keys);
}

static void forget__any_ticket__is_refused(void **state)
{
    (void)state;
    struct ticket ticket;
    struct ticket_keys *keys = ticket_keys_new();
    seal(keys, SPAN("a.example"), &ticket);
    assert_int_equal(open_copy(keys, SPAN("a.example"), &ticket), TICKET_OK);
    ticket_keys_forget(keys);
    assert_int_equal(open_copy(keys, SPAN("a.example"), &ticket), TICKET_REFUSED);
    seal(keys, SPAN("a.example"), &ticket);
    assert_int_equal(open_copy(keys, SPAN("a.example"), &ticket), TICKET_OK);
    ticket_keys_free(keys);
}

static void seal__twice__never_looks_alike(void **state)
{
    struct ticket_keys *keys = ticket_keys_new();
    struct ticket first;
    struct ticket second;
    (void)state;
    seal(keys, SPAN("a.example"), &first);
    seal(keys, SPAN("a.example"), &second);
    assert_memory_equal(first.name, second.name, sizeof(first.name));
    assert_memory_not_equal(first.iv, second.iv, sizeof(first.iv));
    assert_memory_not_equal(first.bytes, second.bytes, sizeof(first.bytes));
    ticket_keys_free(keys);
}

static void keys__by_age__change_and_end(void **state)
{
    struct ticket_keys *keys = ticket_keys_new();
    struct ticket first;
    struct ticket second;
    (void)state;
    seal(keys, SPAN("a.example"), &first);
    ticket_keys_age(keys, TICKET_KEY_SEAL_S);
    seal(keys, SPAN("a.example"), &second);
    assert_memory_not_equal(first.name, second.name, sizeof(first.name));
    assert_int_equal(open_copy(keys, SPAN("a.example"), &first), TICKET_OK);
    ticket_keys_age(keys, TICKET_KEY_LIFE_S - TICKET_KEY_SEAL_S);
    assert_int_equal(open_copy(keys, SPAN("a.example"), &first), TICKET_REFUSED);
    assert_int_equal(open_copy(keys, SPAN("a.example"), &second), TICKET_OK);
    ticket_keys_age(keys, TICKET_KEY_SEAL_S);
    assert_int_equal(open_copy(keys, SPAN("a.example"), &second), TICKET_REFUSED);
    /* Around the ring of keys more than once. */
    for (unsigned i = 0; i < 3 * TICKET_KEY_COUNT; i++) {
        ticket_keys_age(keys, TICKET_KEY_SEAL_S);
        seal(keys, SPAN("a.example"), &second);
        assert_int_equal(open_copy(keys, SPAN("a.example"), &second), TICKET_OK);
    }
    ticket_keys_free(keys);
}

static void *seal_and_open(void *context)
{
    struct ticket_keys *keys = context;
    for (unsigned i = 0; i < 500; i++) {
        struct ticket ticket;
        seal(keys, SPAN("a.example"), &ticket);
        if (i % 50 == 0)
            ticket_keys_age(keys, TICKET_KEY_SEAL_S / 4);
        if (open_copy(keys, SPAN("a.example"), &ticket) == TICKET_ERROR)
            return keys;
    }
    return NULL;
}

static void keys__of_four_threads__are_shared(void **state)
{
    struct ticket_keys *keys = ticket_keys_new();
    pthread_t threads[4];
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, seal_and_open, keys), 0);
    for (unsigned i = 0; i < 4; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
    ticket_keys_free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open__changed_in_any_byte__is_refused),
        cmocka_unit_test(open__after_too_many_resumptions__is_refused),
        cmocka_unit_test(open__for_another_domain_or_by_other_keys__is_refused),
        cmocka_unit_test(open__of_another_era__is_refused),
        cmocka_unit_test(forget__any_ticket__is_refused),
        cmocka_unit_test(seal__twice__never_looks_alike),
        cmocka_unit_test(keys__by_age__change_and_end),
        cmocka_unit_test(keys__of_four_threads__are_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
