/* SPDX-License-Identifier: MIT */
/* What store.h promises, held against both stores: this file is built once with each. */
#include "router/store/store.h"

#include "core/base/check.h"
#include "tests/unit/router/dice.h"
#include "tests/unit/router/store_rig.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct fixture {
    char path[256];
    struct store *store;
};

static void fixture_open(struct fixture *fixture, unsigned client_count)
{
    struct err err = {""};
    rig_folder_make(fixture->path);
    fixture->store = store_open(fixture->path, client_count, &err);
    assert_string_equal(err.text, "");
    assert_non_null(fixture->store);
}

static void fixture_close(struct fixture *fixture)
{
    store_close(fixture->store);
    rig_folder_remove(fixture->path);
}

static void ask__each_operation__answers_as_stated(void **state)
{
    (void)state;
    struct fixture f;
    struct rig rig;
    fixture_open(&f, 1);
    rig_init(&rig, f.store, 0);
    assert_int_equal(rig_status(&rig, STORE_GET, SPAN("a"), SPAN_NONE), STORE_MISSING);
    assert_int_equal(rig_status(&rig, STORE_UPDATE, SPAN("a"), SPAN("0")), STORE_MISSING);
    assert_int_equal(rig_status(&rig, STORE_DELETE, SPAN("a"), SPAN_NONE), STORE_MISSING);
    assert_int_equal(rig_status(&rig, STORE_GET, SPAN("a"), SPAN_NONE), STORE_MISSING);
    assert_int_equal(rig_status(&rig, STORE_LIST, SPAN_NONE, SPAN_NONE), STORE_MISSING);
    assert_int_equal(rig_status(&rig, STORE_CREATE, SPAN("a"), SPAN("1")), STORE_DONE);
    assert_int_equal(rig_status(&rig, STORE_CREATE, SPAN("a"), SPAN("2")), STORE_EXISTS);
    const struct rig_reply *reply = rig_ask(&rig, STORE_GET, SPAN("a"), SPAN_NONE);
    assert_int_equal(reply->status, STORE_FOUND);
    assert_true(span_is(reply->key, "a") && span_is(reply->value, "1"));
    assert_int_equal(rig_status(&rig, STORE_UPDATE, SPAN("a"), SPAN("22")), STORE_DONE);
    assert_int_equal(rig_status(&rig, STORE_PUT, SPAN("b"), SPAN("3")), STORE_DONE);
    assert_int_equal(rig_status(&rig, STORE_PUT, SPAN("b"), SPAN("33")), STORE_DONE);
    reply = rig_ask(&rig, STORE_LIST, SPAN_NONE, SPAN_NONE);
    assert_int_equal(reply->status, STORE_FOUND);
    assert_true(span_is(reply->key, "a") && span_is(reply->value, "22"));
    reply = rig_ask(&rig, STORE_LIST, SPAN("a"), SPAN_NONE);
    assert_true(span_is(reply->key, "b") && span_is(reply->value, "33"));
    assert_int_equal(rig_status(&rig, STORE_LIST, SPAN("b"), SPAN_NONE), STORE_MISSING);
    assert_int_equal(rig_status(&rig, STORE_DELETE, SPAN("a"), SPAN_NONE), STORE_DONE);
    assert_int_equal(rig_status(&rig, STORE_GET, SPAN("a"), SPAN_NONE), STORE_MISSING);
    reply = rig_ask(&rig, STORE_LIST, SPAN_NONE, SPAN_NONE);
    assert_true(span_is(reply->key, "b"));
    rig_fini(&rig);
    fixture_close(&f);
}

static void ask__smallest_and_largest__whole(void **state)
{
    (void)state;
    struct fixture f;
    struct rig rig;
    static char key[STORE_KEY_MAX], value[STORE_VALUE_MAX];
    memset(key, 0xff, sizeof key);
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (char)(i * 7);
    fixture_open(&f, 1);
    rig_init(&rig, f.store, 0);
    assert_int_equal(rig_status(&rig, STORE_PUT, span_of(key, sizeof key), span_of(value, sizeof value)), STORE_DONE);
    assert_int_equal(rig_status(&rig, STORE_PUT, SPAN("\0"), SPAN_NONE), STORE_DONE);
    const struct rig_reply *reply = rig_ask(&rig, STORE_GET, span_of(key, sizeof key), SPAN_NONE);
    assert_true(span_equal(reply->value, span_of(value, sizeof value)));
    reply = rig_ask(&rig, STORE_GET, SPAN("\0"), SPAN_NONE);
    assert_int_equal(reply->status, STORE_FOUND);
    assert_int_equal(reply->value.size, 0);
    reply = rig_ask(&rig, STORE_LIST, SPAN("\0"), SPAN_NONE);
    assert_true(span_equal(reply->key, span_of(key, sizeof key)));
    assert_int_equal(rig_status(&rig, STORE_LIST, span_of(key, sizeof key), SPAN_NONE), STORE_MISSING);
    rig_fini(&rig);
    fixture_close(&f);
}

/*
 * The model: a handful of keys, each with a number as its value or none.
 */

#define KEYS 12u

struct model {
    int values[KEYS]; /* -1: no record */
};

static struct span model_key(unsigned index, char out[16])
{
    /* Some keys are prefixes of others, and the order of bytes is not that of the index's digits. */
    return span_of(out, (size_t)snprintf(out, 16, "k%.*s%c", (int)(index / 3), "\x01\xfe\xfe\xfe", 'a' + index % 3));
}

static int model_value(struct span value)
{
    int number = -1;
    assert_true(value.size >= 4);
    memcpy(&number, value.ptr, sizeof number);
    /* The rest of the value repeats the number, so that pieces of two values are never taken for one. */
    for (size_t i = 4; i < value.size; i++)
        assert_int_equal((unsigned char)value.ptr[i], (unsigned char)number);
    return number;
}

/* The index of the next key after key in the order of bytes, or -1. */
static int model_next(const struct model *model, struct span after)
{
    int best = -1;
    char best_name[16], name[16];
    for (unsigned i = 0; i < KEYS; i++) {
        struct span key = model_key(i, name);
        size_t size = key.size < after.size ? key.size : after.size;
        int order = size == 0 ? 0 : memcmp(key.ptr, after.ptr, size);
        if (model->values[i] < 0 || order < 0 || (order == 0 && key.size <= after.size))
            continue;
        struct span other = best < 0 ? SPAN_NONE : model_key((unsigned)best, best_name);
        size = key.size < other.size ? key.size : other.size;
        order = best < 0 ? -1 : memcmp(key.ptr, other.ptr, size);
        if (order < 0 || (order == 0 && key.size < other.size))
            best = (int)i;
    }
    return best;
}

struct expected {
    uint64_t tag;
    enum store_op op;
    enum store_status status;
    int key, value; /* -1: the reply holds no record */
    unsigned asked;
};

static struct expected model_carry_out(struct model *model, enum store_op op, unsigned index, int value,
                                       bool is_from_start)
{
    char name[16];
    int *record = &model->values[index];
    struct expected expected = {.op = op, .key = -1, .value = -1, .asked = index};
    int next = model_next(model, is_from_start ? SPAN_NONE : model_key(index, name));
    bool has_record = *record >= 0;
    switch (op) {
    case STORE_GET:
        expected.status = has_record ? STORE_FOUND : STORE_MISSING;
        expected.key = (int)index;
        expected.value = *record;
        break;
    case STORE_LIST:
        expected.status = next >= 0 ? STORE_FOUND : STORE_MISSING;
        expected.key = next;
        expected.value = next >= 0 ? model->values[next] : -1;
        break;
    case STORE_CREATE:
        expected.status = has_record ? STORE_EXISTS : STORE_DONE;
        *record = has_record ? *record : value;
        break;
    case STORE_UPDATE:
        expected.status = has_record ? STORE_DONE : STORE_MISSING;
        *record = has_record ? value : *record;
        break;
    case STORE_PUT:
        expected.status = STORE_DONE;
        *record = value;
        break;
    case STORE_DELETE:
        expected.status = has_record ? STORE_DONE : STORE_MISSING;
        *record = -1;
        break;
    }
    return expected;
}

static void expect(const struct rig_reply *reply, const struct expected *expected)
{
    char name[16];
    assert_int_equal(reply->tag, expected->tag);
    assert_int_equal(reply->op, expected->op);
    assert_int_equal(reply->status, expected->status);
    if (reply->status != STORE_FOUND) {
        assert_int_equal(reply->value.size, 0);
        return;
    }
    assert_true(span_equal(reply->key, model_key((unsigned)expected->key, name)));
    assert_int_equal(model_value(reply->value), expected->value);
}

/* One burst of one client against the model: posted, answered, compared. */
static void burst(uint64_t *dice, struct rig *rig, struct model *model)
{
    struct expected expected[64];
    static char value[STORE_VALUE_MAX];
    unsigned count = 1 + dice_below(dice, 64);
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        enum store_op op = (enum store_op)dice_below(dice, STORE_LIST + 1);
        unsigned index = dice_below(dice, KEYS);
        int number = (int)dice_below(dice, 1000000);
        size_t size = dice_below(dice, 40) == 0 ? 4 + dice_below(dice, STORE_VALUE_MAX - 4) : 4 + dice_below(dice, 300);
        bool is_read = op == STORE_GET || op == STORE_LIST || op == STORE_DELETE;
        bool is_from_start = op == STORE_LIST && dice_below(dice, 4) == 0;
        memset(value, number & 0xff, size);
        memcpy(value, &number, sizeof number);
        expected[i] = model_carry_out(model, op, index, number, is_from_start);
        expected[i].tag = dice_next(dice);
        assert_true(store_post(rig->client, op, STORE_ACCOUNTS, expected[i].tag,
                               is_from_start ? SPAN_NONE : model_key(index, name),
                               is_read ? SPAN_NONE : span_of(value, size)));
        if (dice_below(dice, 8) == 0)
            store_flush(rig->client);
    }
    assert_int_equal(store_pending(rig->client), count);
    store_flush(rig->client);
    rig_drain(rig);
    assert_int_equal(rig->reply_count, count);
    for (unsigned i = 0; i < count; i++)
        expect(&rig->replies[i], &expected[i]);
    rig_forget(rig);
}

static void ask__random_operations__match_the_model(void **state)
{
    (void)state;
    uint64_t dice = dice_seed(__func__);
    struct fixture f;
    struct rig rigs[3];
    struct model model;
    fixture_open(&f, 3);
    for (unsigned i = 0; i < 3; i++)
        rig_init(&rigs[i], f.store, i);
    for (unsigned i = 0; i < KEYS; i++)
        model.values[i] = -1;
    for (unsigned i = 0; i < 120; i++)
        burst(&dice, &rigs[dice_below(&dice, 3)], &model);
    for (unsigned i = 0; i < 3; i++)
        rig_fini(&rigs[i]);
    fixture_close(&f);
}

/*
 * Clients in threads of their own: each has its keys, and a number that only grows.
 */

struct thread {
    pthread_t id;
    struct rig rig;
    unsigned index;
    uint64_t dice;
};

static void *thread_run(void *argument)
{
    struct thread *thread = argument;
    char key[32];
    int last = -1;
    for (int round = 0; round < 40; round++) {
        int expected[32];
        unsigned count = 1 + dice_below(&thread->dice, 32);
        for (unsigned i = 0; i < count; i++) {
            bool is_write = dice_below(&thread->dice, 3) == 0;
            int number = round * 100 + (int)i;
            struct span name = span_of(key, (size_t)snprintf(key, sizeof key, "thread-%u", thread->index));
            expected[i] = is_write ? -1 : last;
            SL_CHECK(store_post(thread->rig.client, is_write ? STORE_PUT : STORE_GET, STORE_ACCOUNTS, i, name,
                                is_write ? span_of(&number, sizeof number) : SPAN_NONE));
            last = is_write ? number : last;
        }
        store_flush(thread->rig.client);
        rig_drain(&thread->rig);
        SL_CHECK(thread->rig.reply_count == count);
        for (unsigned i = 0; i < count; i++) {
            const struct rig_reply *reply = &thread->rig.replies[i];
            SL_CHECK(reply->tag == i);
            if (reply->op == STORE_PUT)
                SL_CHECK(reply->status == STORE_DONE);
            else if (expected[i] < 0)
                SL_CHECK(reply->status == STORE_MISSING);
            else
                SL_CHECK(reply->status == STORE_FOUND && memcmp(reply->value.ptr, &expected[i], sizeof(int)) == 0);
        }
        rig_forget(&thread->rig);
    }
    return NULL;
}

static void ask__from_many_threads__each_sees_its_own_writes_in_order(void **state)
{
    (void)state;
    uint64_t dice = dice_seed(__func__);
    struct fixture f;
    struct thread threads[6];
    fixture_open(&f, 6);
    for (unsigned i = 0; i < 6; i++) {
        rig_init(&threads[i].rig, f.store, i);
        threads[i].index = i;
        threads[i].dice = dice_next(&dice);
    }
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i].id, NULL, thread_run, &threads[i]), 0);
    for (unsigned i = 0; i < 6; i++) {
        pthread_join(threads[i].id, NULL);
        rig_fini(&threads[i].rig);
    }
    fixture_close(&f);
}

static void post__beyond_the_bound__refused_and_nothing_lost(void **state)
{
    (void)state;
    struct fixture f;
    struct rig rig;
    fixture_open(&f, 1);
    rig_init(&rig, f.store, 0);
    for (unsigned round = 0; round < 3; round++) {
        uint32_t number = 0;
        while (store_post(rig.client, number % 2 == 0 ? STORE_PUT : STORE_GET, STORE_ACCOUNTS, number,
                          span_of(&number, sizeof number), number % 2 == 0 ? SPAN("x") : SPAN_NONE)) {
            number++;
            /* Flushed or not, answered or not: the bound counts until the reply is handed out. */
            if (number % 100 == 0)
                store_flush(rig.client);
        }
        assert_int_equal(number, STORE_REQUESTS);
        assert_int_equal(store_pending(rig.client), STORE_REQUESTS);
        store_flush(rig.client);
        rig_drain(&rig);
        assert_int_equal(rig.reply_count, STORE_REQUESTS);
        for (unsigned i = 0; i < rig.reply_count; i++)
            assert_int_equal(rig.replies[i].tag, i);
        rig_forget(&rig);
    }
    rig_fini(&rig);
    fixture_close(&f);
}

static void post__beyond_the_bytes__refused_until_answered(void **state)
{
    (void)state;
    struct fixture f;
    struct rig rig;
    static char value[STORE_VALUE_MAX];
    fixture_open(&f, 1);
    rig_init(&rig, f.store, 0);
    unsigned count = 0;
    while (store_post(rig.client, STORE_PUT, STORE_ACCOUNTS, count, SPAN("k"), span_of(value, sizeof value)))
        count++;
    assert_int_equal(count, STORE_BYTES / (STORE_VALUE_MAX + 1));
    assert_true(store_post(rig.client, STORE_GET, STORE_ACCOUNTS, count, SPAN("k"), SPAN_NONE));
    store_flush(rig.client);
    rig_drain(&rig);
    assert_int_equal(rig.reply_count, count + 1);
    assert_int_equal(rig.replies[count].value.size, STORE_VALUE_MAX);
    assert_int_equal(rig_status(&rig, STORE_PUT, SPAN("k"), span_of(value, sizeof value)), STORE_DONE);
    rig_fini(&rig);
    fixture_close(&f);
}

struct relay {
    struct store_client *client;
    unsigned left, seen;
};

static void relay_reply(void *context, const struct store_reply *reply)
{
    struct relay *relay = context;
    SL_CHECK(reply->tag == relay->seen++);
    if (relay->left == 0)
        return;
    relay->left--;
    SL_CHECK(store_post(relay->client, STORE_PUT, STORE_ACCOUNTS, relay->seen, SPAN("relay"), SPAN("x")));
    store_flush(relay->client);
}

static void poll__reply_function_asks_again__answered_later(void **state)
{
    (void)state;
    struct fixture f;
    struct rig rig;
    fixture_open(&f, 1);
    rig_init(&rig, f.store, 0);
    struct relay relay = {rig.client, 50, 0};
    assert_true(store_post(rig.client, STORE_GET, STORE_ACCOUNTS, 0, SPAN("relay"), SPAN_NONE));
    store_flush(rig.client);
    while (relay.seen < 51) {
        unsigned count = store_poll(rig.client, relay_reply, &relay);
        assert_true(count <= 1);
        if (count == 0)
            sem_wait(&rig.bell);
    }
    assert_int_equal(store_pending(rig.client), 0);
    rig_fini(&rig);
    fixture_close(&f);
}

static void count_reply(void *context, const struct store_reply *reply)
{
    SL_CHECK(reply->status == STORE_MISSING);
    ++*(unsigned *)context;
}

/* A client that never sleeps asks anew while the worker is on its way to bed: the moment in which a wake-up could be
 * missed. */
static void flush__while_the_worker_falls_asleep__is_heard(void **state)
{
    (void)state;
    uint64_t dice = dice_seed(__func__);
    struct fixture f;
    fixture_open(&f, 1);
    struct store_client *client = store_client(f.store, 0, NULL, NULL);
    unsigned answered = 0;
    for (unsigned asked = 1; asked <= 10000; asked++) {
        for (volatile unsigned spin = dice_below(&dice, 2000); spin > 0; spin--) {
        }
        assert_true(store_post(client, STORE_GET, STORE_ACCOUNTS, 0, SPAN("k"), SPAN_NONE));
        store_flush(client);
        time_t start = time(NULL);
        while (answered < asked) {
            if (store_poll(client, count_reply, &answered) == 0)
                sched_yield();
            assert_true(time(NULL) - start < 20);
        }
    }
    fixture_close(&f);
}

static void poll__before_flush__nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct rig rig;
    struct relay relay = {0};
    fixture_open(&f, 1);
    rig_init(&rig, f.store, 0);
    assert_int_equal(store_poll(rig.client, relay_reply, &relay), 0);
    store_flush(rig.client); /* nothing to publish, nothing to answer */
    assert_true(store_post(rig.client, STORE_GET, STORE_ACCOUNTS, 0, SPAN("k"), SPAN_NONE));
    assert_int_equal(store_poll(rig.client, relay_reply, &relay), 0);
    assert_int_equal(store_pending(rig.client), 1);
    store_flush(rig.client);
    rig_drain(&rig);
    assert_int_equal(rig.reply_count, 1);
    rig_fini(&rig);
    fixture_close(&f);
}

static void list__many_records__each_once_in_order(void **state)
{
    (void)state;
    uint64_t dice = dice_seed(__func__);
    struct fixture f;
    struct rig rig;
    enum { COUNT = 1500 };
    unsigned order[COUNT];
    fixture_open(&f, 1);
    rig_init(&rig, f.store, 0);
    for (unsigned i = 0; i < COUNT; i++)
        order[i] = i;
    for (unsigned i = COUNT - 1; i > 0; i--) {
        unsigned other = dice_below(&dice, i + 1), old = order[i];
        order[i] = order[other];
        order[other] = old;
    }
    for (unsigned i = 0; i < COUNT; i++) {
        char key[16];
        struct span name = span_of(key, (size_t)snprintf(key, sizeof key, "user%05u", order[i]));
        assert_true(store_post(rig.client, STORE_CREATE, STORE_ACCOUNTS, i, name, name));
    }
    store_flush(rig.client);
    rig_drain(&rig);
    char after[16] = "";
    for (unsigned i = 0; i <= COUNT; i++) {
        const struct rig_reply *reply = rig_ask(&rig, STORE_LIST, span_str(after), SPAN_NONE);
        assert_int_equal(reply->status, i < COUNT ? STORE_FOUND : STORE_MISSING);
        snprintf(after, sizeof after, "user%05u", i);
        if (i < COUNT)
            assert_true(span_is(reply->key, after) && span_is(reply->value, after));
    }
    rig_fini(&rig);
    fixture_close(&f);
}

static void close__with_open_requests_and_replies__releases_all(void **state)
{
    (void)state;
    struct fixture f;
    struct rig rig;
    fixture_open(&f, 4);
    rig_init(&rig, f.store, 2);
    assert_int_equal(rig_status(&rig, STORE_PUT, SPAN("k"), SPAN("v")), STORE_DONE);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(store_post(rig.client, i % 2 ? STORE_GET : STORE_PUT, STORE_ACCOUNTS, i, SPAN("k"), SPAN("w")));
        if (i == 50)
            store_flush(rig.client);
    }
    fixture_close(&f); /* the leak checker is the judge */
    rig_fini(&rig);
}

static void stats__after_work__add_up(void **state)
{
    (void)state;
    struct fixture f;
    struct rig rig;
    struct store_stats stats;
    fixture_open(&f, 1);
    rig_init(&rig, f.store, 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(rig_status(&rig, STORE_PUT, SPAN("k"), SPAN("v")), STORE_DONE);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(rig_status(&rig, STORE_GET, SPAN("k"), SPAN_NONE), STORE_FOUND);
    store_stats(f.store, &stats);
    assert_int_equal(stats.writes, 10);
    assert_int_equal(stats.reads, 7);
    assert_int_equal(stats.commits, 10);
    assert_int_equal(stats.full, 0);
    assert_false(stats.is_failed);
    rig_fini(&rig);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ask__each_operation__answers_as_stated),
        cmocka_unit_test(ask__smallest_and_largest__whole),
        cmocka_unit_test(ask__random_operations__match_the_model),
        cmocka_unit_test(ask__from_many_threads__each_sees_its_own_writes_in_order),
        cmocka_unit_test(post__beyond_the_bound__refused_and_nothing_lost),
        cmocka_unit_test(post__beyond_the_bytes__refused_until_answered),
        cmocka_unit_test(poll__reply_function_asks_again__answered_later),
        cmocka_unit_test(flush__while_the_worker_falls_asleep__is_heard),
        cmocka_unit_test(poll__before_flush__nothing),
        cmocka_unit_test(list__many_records__each_once_in_order),
        cmocka_unit_test(close__with_open_requests_and_replies__releases_all),
        cmocka_unit_test(stats__after_work__add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
