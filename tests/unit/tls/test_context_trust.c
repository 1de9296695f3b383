/* SPDX-License-Identifier: MIT */
/* Whether a chain that was judged before holds by other anchors. */
#include "core/base/table.h"
#include "tests/unit/tls/pair.h"
#include "tls/context_priv.h"
#include "tls/credential_pool_priv.h"
#include "tls/credential_priv.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define BUNDLE_SIZE 16384u

static struct anchors *anchors_of(const char *const *names, unsigned count)
{
    char path[] = "/tmp/sluice-anchors-XXXXXX", bytes[BUNDLE_SIZE];
    struct err err;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < count; i++) {
        FILE *file = fopen(cert_path(names[i]), "r");
        assert_non_null(file);
        size_t size = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        assert_int_equal(write(fd, bytes, size), size);
    }
    close(fd);
    struct anchors *anchors = anchors_new(path, &err);
    if (!anchors)
        fail_msg("%s", err.text);
    unlink(path);
    return anchors;
}

static struct context *context_of(const char *const *names, unsigned count)
{
    struct err err = {0};
    struct anchors *anchors = anchors_of(names, count);
    const struct context_config config = {.role = CONTEXT_CLIENT, .anchors = anchors, .version_min = 0x0303};
    struct context *context = context_new(&config, &err, NULL);
    if (!context)
        fail_msg("%s", err.text);
    anchors_unref(anchors);
    return context;
}

static struct span read_der(const char *name, char bytes[4096])
{
    FILE *file = fopen(cert_path(name), "r");
    assert_non_null(file);
    struct span der = span_of(bytes, fread(bytes, 1, 4096, file));
    fclose(file);
    return der;
}

static struct credential *judged(const struct span *sent, unsigned count, const struct context *by)
{
    struct credential *credential = credential_judge(by->anchors, sent, count, CREDENTIAL_SERVER, (int64_t)time(NULL));
    assert_int_equal(credential->verdict, CREDENTIAL_VALID);
    return credential;
}

/* Of a leaf in DER and who is above it, NULL: none, by these anchors. */
static struct credential *chain_of(const char *leaf, const char *above, const struct context *by)
{
    char bytes[2][4096];
    struct span sent[2] = {read_der(leaf, bytes[0])};
    if (above)
        sent[1] = read_der(above, bytes[1]);
    return judged(sent, above ? 2 : 1, by);
}

static struct credential *credential_of(const char *leaf, const struct context *by)
{
    return chain_of(leaf, NULL, by);
}

static void anchors__other_than_before__hold_what_they_vouch_for(void **state)
{
    static const struct {
        const char *names[2];
        unsigned count;
        bool holds;
    } rows[] = {
        {{"ca.pem"}, 1, true},
        {{"foreign.pem", "ca.pem"}, 2, true},
        {{"foreign.pem"}, 1, false},
        {{"ca_later.pem"}, 1, true},                    /* renewed: another path */
        {{"ca_namesake.pem"}, 1, false},                /* its name, and not its key */
        {{"ca_namesake.pem", "ca_later.pem"}, 2, true}, /* the one that signed it is found among namesakes */
        {{"ca_sooner.pem"}, 1, false},                  /* good, and over before the timers that run */
        {{"ca_sooner.pem", "ca_later.pem"}, 2, true},   /* the one that lasts is found among those that hold */
        {{"a.leaf"}, 1, true},                          /* pinned meanwhile */
        /* With its key, and forbidden to vouch for it. */
        {{"ca_none.pem"}, 1, false},
        {{"ca_mute.pem"}, 1, false},
        {{"ca_narrow.pem"}, 1, false},
        {{"ca_mail.pem"}, 1, false},
        {{"ca_strange.pem"}, 1, false},
        {{"ca_wide.pem"}, 1, true},
        {{"ca_short.pem"}, 1, true}, /* nobody is between */
        {{"ca_narrow.pem", "ca_wide.pem"}, 2, true},
    };
    static const char *const before[] = {"ca.pem"};
    (void)state;
    struct context *old = context_of(before, 1);
    struct credential *credential = credential_of("a.der", old);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct context *new = context_of(rows[i].names, rows[i].count);
        for (unsigned again = 0; again < 3; again++) { /* what is remembered is of one set of anchors */
            if (context_trusts(new, credential) != rows[i].holds)
                fail_msg("row %zu, time %u", i, again);
            assert_true(again == 1 || context_trusts(old, credential));
        }
        context_unref(new);
    }
    credential_free(credential);
    context_unref(old);
}

/* Who is in the middle may be an anchor now, and counts for what the one above allows. */
static void anchors__above_or_in_the_middle__hold_what_they_vouch_for(void **state)
{
    static const struct {
        const char *name;
        bool holds;
    } rows[] = {{"ca.pem", true},      {"middle.pem", true},    {"ca_later.pem", true},
                {"ca_long.pem", true}, {"ca_short.pem", false}, {"ca_narrow.pem", false},
                {"ca_wide.pem", true}, {"below.leaf", true},    {"second.pem", false}};
    static const char *const before[] = {"ca.pem"};
    (void)state;
    struct context *old = context_of(before, 1);
    struct credential *credential = chain_of("below.der", "middle.der", old);
    assert_int_equal(credential->count, 3);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct context *new = context_of(&rows[i].name, 1);
        if (context_trusts(new, credential) != rows[i].holds)
            fail_msg("%s", rows[i].name);
        context_unref(new);
    }
    credential_free(credential);
    context_unref(old);
}

static void pin__taken_away__holds_no_more(void **state)
{
    static const char *const pins[] = {"foreign.pem", "ca.pem"}, *const others[] = {"ca.pem"};
    (void)state;
    struct context *old = context_of(pins, 2), *new = context_of(others, 1);
    struct credential *credential = credential_of("a.der", old);
    assert_true(context_trusts(new, credential));
    credential_free(credential);
    context_unref(old);
    static const char *const leaf[] = {"a.leaf"};
    old = context_of(leaf, 1);
    credential = credential_of("a.der", old);
    assert_int_equal(credential->count, 1);
    static const char *const foreign[] = {"foreign.pem"};
    struct context *none = context_of(foreign, 1);
    assert_true(context_trusts(old, credential));
    assert_false(context_trusts(none, credential));
    credential_free(credential);
    context_unref(old);
    context_unref(new);
    context_unref(none);
}

static void content__the_same_in_another_order_or_file__is_the_same(void **state)
{
    static const char *const one[] = {"ca.pem", "foreign.pem"}, *const two[] = {"foreign.pem", "ca.pem"},
                             *const three[] = {"ca_later.pem", "foreign.pem"};
    (void)state;
    struct context *a = context_of(one, 2), *b = context_of(two, 2), *c = context_of(three, 2);
    assert_true(context_has_same_anchors(a, b));
    assert_false(context_has_same_anchors(a, c));
    assert_false(context_has_same_anchors(a, NULL));
    assert_true(context_has_same_anchors(NULL, NULL));
    context_unref(a);
    context_unref(b);
    context_unref(c);
}

/* Each that is shared is judged once: nothing but a look-up is left, which does not ask the anchors any more. */
static void review__of_all_that_are_shared__leaves_a_look_up(void **state)
{
    static const char *const before[] = {"ca.pem"}, *const after[] = {"ca_later.pem"};
    static const char *const leaves[] = {"a.der", "b.der", "c.der", "fresh.der"};
    struct credential *shared[4];
    (void)state;
    struct context *old = context_of(before, 1), *new = context_of(after, 1);
    for (unsigned i = 0; i < 4; i++)
        shared[i] = credential_pool_share(credential_of(leaves[i], old));
    context_review(new);
    uint64_t content = new->anchors->content;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(shared[i]->references, 1);
        assert_true(atomic_load(&shared[i]->held[CREDENTIAL_SERVER]) == (content | 1));
        assert_int_equal(atomic_load(&shared[i]->held[CREDENTIAL_USER]), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        credential_free(shared[i]);
    context_review(new); /* nobody */
    context_unref(old);
    context_unref(new);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static bool has_no_memory;

/* What the pool calls for its table. */
bool __real_table_add(struct table *table, void *object);
bool __wrap_table_add(struct table *table, void *object);
bool __wrap_table_add(struct table *table, void *object)
{
    return !has_no_memory && __real_table_add(table, object);
}

/* One that is not shared would be watched by nobody: revoked or not, its streams would go on. */
static void chain__without_memory_to_share_it__ends_the_handshake(void **state)
{
    static const char *const names[] = {"a", NULL}, *const anchors[] = {"ca.pem"};
    (void)state;
    struct context *client = context_of(anchors, 1), *server = server_context(names, NULL, 0x0303, 0, NULL);
    for (unsigned i = 0; i < 2; i++) {
        struct pair pair;
        has_no_memory = i == 0;
        pair_open(&pair, client, server, "a.example");
        assert_int_equal(engine_start(pair.client.engine, &pair.client.wire, &pair.pool), ENGINE_OK);
        pair_run(&pair);
        assert_int_equal(engine_is_ready(pair.client.engine), i);
        assert_true(i == 0 || engine_shared_credential(pair.client.engine));
        pair_close(&pair);
    }
    context_unref(client);
    context_unref(server);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

struct traffic {
    struct context *old, *later, *none;
    struct span leaves[3];
    atomic_bool is_over;
    atomic_uint wrong;
};

/* As the control thread does at every reload. */
static void *review_often(void *context)
{
    struct traffic *traffic = context;
    while (!atomic_load(&traffic->is_over)) {
        context_review(traffic->later);
        context_review(traffic->none);
    }
    return NULL;
}

/* As shards do: the last one that gives a chain up frees it, while others look it up or find it in the pool. */
static void *come_and_go(void *context)
{
    struct traffic *traffic = context;
    for (unsigned i = 0; i < 60; i++) {
        struct credential *one = credential_pool_share(judged(&traffic->leaves[i % 3], 1, traffic->old));
        credential_ref(one);
        bool is_right = context_trusts(traffic->later, one) && !context_trusts(traffic->none, one);
        credential_free(one);
        is_right = is_right && context_trusts(traffic->old, one) && one->path[0].der.ptr[0] == 0x30;
        credential_free(one);
        atomic_fetch_add(&traffic->wrong, !is_right);
    }
    return NULL;
}

static void review__while_others_come_and_go__lets_each_find_its_own(void **state)
{
    static const char *const names[][1] = {{"ca.pem"}, {"ca_later.pem"}, {"foreign.pem"}};
    struct traffic traffic = {context_of(names[0], 1), context_of(names[1], 1), context_of(names[2], 1)};
    static const char *const leaves[] = {"a.der", "b.der", "fresh.der"};
    char bytes[3][4096];
    pthread_t threads[4];
    struct credential **left;
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        traffic.leaves[i] = read_der(leaves[i], bytes[i]);
    assert_int_equal(pthread_create(&threads[0], NULL, review_often, &traffic), 0);
    for (unsigned i = 1; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &traffic), 0);
    for (unsigned i = 4; i-- > 0;) {
        if (i == 0)
            atomic_store(&traffic.is_over, true);
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(traffic.wrong, 0);
    assert_int_equal(credential_pool_list(&left), 0);
    free(left);
    context_unref(traffic.old);
    context_unref(traffic.later);
    context_unref(traffic.none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anchors__other_than_before__hold_what_they_vouch_for),
        cmocka_unit_test(anchors__above_or_in_the_middle__hold_what_they_vouch_for),
        cmocka_unit_test(pin__taken_away__holds_no_more),
        cmocka_unit_test(content__the_same_in_another_order_or_file__is_the_same),
        cmocka_unit_test(review__of_all_that_are_shared__leaves_a_look_up),
        cmocka_unit_test(chain__without_memory_to_share_it__ends_the_handshake),
        cmocka_unit_test(review__while_others_come_and_go__lets_each_find_its_own),
    };
    struct err err;
    if (!tls_start(&err))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_stop();
    return failed;
}
