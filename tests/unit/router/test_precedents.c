/* SPDX-License-Identifier: MIT */
/* By what certificate a peer came last: what of it has changed, and how many peers are remembered. */
#include "router/certs/precedents.h"

#include "tls/traits.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define DER_MAX 4096u

static const struct hash_key key = {1, 2};

static struct span load(const char *name, char *out)
{
    char path[600];
    const char *folder = getenv("SL_TEST_CERTS");
    assert_non_null(folder);
    snprintf(path, sizeof path, "%s/%s.der", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(out, 1, DER_MAX, file);
    fclose(file);
    assert_true(size > 0 && size < DER_MAX);
    return span_of(out, size);
}

/* What a valid chain of the two would have become; issuer NULL: the leaf is alone. */
static struct credential *credential_of(const char *leaf, const char *issuer)
{
    const char *const names[] = {leaf, issuer};
    struct credential *credential =
        calloc(1, sizeof *credential + 2 * sizeof credential->path[0] + 2 * (size_t)DER_MAX);
    assert_non_null(credential);
    char *bytes = (char *)(credential->path + 2);
    credential->verdict = CREDENTIAL_VALID;
    credential->count = issuer ? 2 : 1;
    credential->not_after = 1000;
    for (unsigned i = 0; i < credential->count; i++)
        credential->path[i].der = load(names[i], bytes + i * (size_t)DER_MAX);
    snprintf((char *)credential->path[0].sha256, CREDENTIAL_SHA256, "%s", leaf); /* different is all it has to be */
    snprintf((char *)credential->fingerprint, CREDENTIAL_SHA256, "%s", leaf);
    assert_true(identity_read(credential->path[0].der, &credential->identity));
    return credential;
}

static void drop(struct credential *credential)
{
    identity_free(&credential->identity);
    free(credential);
}

static struct precedent meet(struct precedents *precedents, const char *peer, const char *leaf, const char *issuer)
{
    struct credential *credential = credential_of(leaf, issuer);
    struct precedent before =
        precedents_exchange(precedents, PRECEDENT_SERVER, span_str(peer), credential, STANDING_GOOD);
    drop(credential);
    return before;
}

static void change__of_each_kind__is_told(void **state)
{
    (void)state;
    static const struct {
        const char *leaf, *issuer, *other, *other_issuer;
        uint8_t changed;
        bool is_renewed;
    } rows[] = {
        {"a", "ca", "a", "ca", 0, false},
        {"a", "ca", "renewed", "ca", 0, true},
        {"a", "ca", "fresh", "ca", CHANGED_KEY, false},
        {"a", "ca", "moved", "ca", CHANGED_NAMES, false},
        {"moved", "ca", "shuffled", "ca", 0, true}, /* names in another order and other case */
        {"a", "ca", "reissued", "second", CHANGED_ISSUER, false},
        {"a", "ca", "a", "second", CHANGED_ISSUER, false}, /* an authority of the same name with another key */
        {"fresh", "ca", "reissued", "second", CHANGED_KEY | CHANGED_ISSUER, false},
        {"moved", "ca", "reissued", "second", CHANGED_ISSUER | CHANGED_NAMES, false},
        {"moved", "ca", "fresh", "ca", CHANGED_KEY | CHANGED_NAMES, false},
        {"moved", "ca", "b", "second", CHANGED_KEY | CHANGED_ISSUER | CHANGED_NAMES, false},
        {"a", NULL, "renewed", NULL, 0, true}, /* pinned */
        {"a", NULL, "fresh", NULL, CHANGED_KEY, false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (unsigned back = 0; back < 2; back++) {
            struct precedents *precedents = precedents_new(&key, 4);
            assert_non_null(precedents);
            const char *first = back ? rows[i].other : rows[i].leaf, *then = back ? rows[i].leaf : rows[i].other;
            const char *by = back ? rows[i].other_issuer : rows[i].issuer,
                       *then_by = back ? rows[i].issuer : rows[i].other_issuer;
            assert_false(meet(precedents, "a.example", first, by).is_known);
            struct precedent before = meet(precedents, "a.example", then, then_by);
            assert_true(before.is_known);
            assert_int_equal(before.changed, rows[i].changed);
            assert_int_equal(before.is_renewed, rows[i].is_renewed);
            assert_int_equal(before.not_after, 1000);
            assert_int_equal(meet(precedents, "a.example", then, then_by).changed, 0); /* told once */
            precedents_free(precedents);
        }
}

static void kinds__of_one_name__are_apart(void **state)
{
    (void)state;
    struct precedents *precedents = precedents_new(&key, 4);
    struct credential *credential = credential_of("fresh", "ca");
    (void)meet(precedents, "a.example", "a", "ca");
    assert_false(
        precedents_exchange(precedents, PRECEDENT_CLIENT, SPAN("a.example"), credential, STANDING_GOOD).is_known);
    assert_int_equal(meet(precedents, "a.example", "a", "ca").changed, 0);
    assert_int_equal(precedents_count(precedents, PRECEDENT_SERVER), 1);
    assert_int_equal(precedents_count(precedents, PRECEDENT_CLIENT), 1);
    drop(credential);
    precedents_free(precedents);
}

static void learnt__of_that_chain_alone__is_told_later(void **state)
{
    (void)state;
    struct precedents *precedents = precedents_new(&key, 4);
    struct credential *credential = credential_of("a", "ca"), *other = credential_of("fresh", "ca");
    struct span peer = SPAN("a.example");
    (void)precedents_exchange(precedents, PRECEDENT_SERVER, peer, credential, STANDING_GOOD);
    precedents_learn(precedents, PRECEDENT_SERVER, peer, other->fingerprint, STANDING_REVOKED);
    precedents_learn(precedents, PRECEDENT_SERVER, SPAN("nobody"), credential->fingerprint, STANDING_REVOKED);
    assert_int_equal(precedents_count(precedents, PRECEDENT_SERVER), 1);
    struct precedent before = precedents_exchange(precedents, PRECEDENT_SERVER, peer, credential, STANDING_GOOD);
    assert_int_equal(before.standing, STANDING_GOOD);
    precedents_learn(precedents, PRECEDENT_SERVER, peer, credential->fingerprint, STANDING_REVOKED);
    before = precedents_exchange(precedents, PRECEDENT_SERVER, peer, other, STANDING_GOOD);
    assert_int_equal(before.standing, STANDING_REVOKED);
    assert_memory_equal(before.chain, credential->fingerprint, sizeof before.chain);
    drop(credential);
    drop(other);
    precedents_free(precedents);
}

#define PEERS 40u
#define ROOM  16u

/* Against a list that is kept by hand: the ROOM that came last are known, and nobody else. */
static void peers__more_than_fit__the_last_ones_are_known(void **state)
{
    (void)state;
    unsigned seed = 20261123, last[PEERS] = {0};
    printf("seed %u\n", seed);
    struct precedents *precedents = precedents_new(&key, ROOM);
    struct credential *credential = credential_of("a", "ca");
    for (unsigned turn = 1; turn <= 20000; turn++) {
        char name[16];
        unsigned peer = (unsigned)(rand_r(&seed) >> 4) % PEERS, newer = 0;
        snprintf(name, sizeof name, "p%u.example", peer);
        for (unsigned i = 0; i < PEERS; i++)
            newer += last[i] > last[peer];
        bool is_known = last[peer] && newer < ROOM;
        struct precedent before =
            precedents_exchange(precedents, PRECEDENT_SERVER, span_str(name), credential, STANDING_GOOD);
        assert_int_equal(before.is_known, is_known);
        last[peer] = turn;
        assert_true(precedents_count(precedents, PRECEDENT_SERVER) <= ROOM);
    }
    assert_int_equal(precedents_count(precedents, PRECEDENT_SERVER), ROOM);
    drop(credential);
    precedents_free(precedents);
}

#define THREADS 4u

static void *meet_many(void *context)
{
    struct precedents *precedents = context;
    unsigned seed = 20261123;
    struct credential *credential = credential_of("a", "ca");
    for (unsigned i = 0; i < 3000; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%u.example", (unsigned)(rand_r(&seed) >> 4) % PEERS);
        enum precedent_kind kind = i % 2 ? PRECEDENT_CLIENT : PRECEDENT_SERVER;
        (void)precedents_exchange(precedents, kind, span_str(name), credential, STANDING_GOOD);
        precedents_learn(precedents, kind, span_str(name), credential->fingerprint, STANDING_REVOKED);
    }
    drop(credential);
    return NULL;
}

static void threads__at_once__stay_within_the_bounds(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    struct precedents *precedents = precedents_new(&key, ROOM);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, meet_many, precedents), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(precedents_count(precedents, PRECEDENT_SERVER), ROOM);
    assert_int_equal(precedents_count(precedents, PRECEDENT_CLIENT), ROOM);
    precedents_free(precedents);
}

static void text__of_all__names_them(void **state)
{
    (void)state;
    assert_string_equal(precedents_text(0), "");
    assert_string_equal(precedents_text(CHANGED_KEY | CHANGED_NAMES), "key,names");
    assert_string_equal(precedents_text(CHANGED_KEY | CHANGED_ISSUER | CHANGED_NAMES), "key,issuer,names");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(change__of_each_kind__is_told),
        cmocka_unit_test(kinds__of_one_name__are_apart),
        cmocka_unit_test(learnt__of_that_chain_alone__is_told_later),
        cmocka_unit_test(peers__more_than_fit__the_last_ones_are_known),
        cmocka_unit_test(threads__at_once__stay_within_the_bounds),
        cmocka_unit_test(text__of_all__names_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
