/* SPDX-License-Identifier: MIT */
/*
 * Kill -9 at random moments: a child writes numbered records and tells each acknowledged one through a pipe, the parent
 * kills it, opens the store, and looks for every one that was told. SL_STORE_KILLS sets the rounds for long runs.
 *
 * A killed process leaves the kernel's cache intact, so this shows that the file is never seen half-changed and that
 * no reply overtakes its commit; a power cut needs a machine that can be cut.
 */
#include "core/base/check.h"
#include "router/store/store.h"
#include "tests/unit/router/dice.h"
#include "tests/unit/router/store_rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define WINDOW    64u         /* requests the child keeps in flight */
#define DELETED   0x80000000u /* in a message of the child: this number was deleted */
#define BYTES_MAX 3000u

static struct span number_key(uint32_t number, char out[32])
{
    return span_of(out, (size_t)snprintf(out, 32, "user%u@example.com", number));
}

/* Some values are larger than a page, and each tells its number in every byte. */
static struct span number_value(uint32_t number, char out[BYTES_MAX])
{
    size_t size = number % 16 == 0 ? BYTES_MAX : 40 + number % 100;
    for (size_t i = 0; i < size; i++)
        out[i] = (char)(number * 31 + i);
    return span_of(out, size);
}

/*
 * The child.
 */

struct writer {
    int pipe;
    uint32_t next;
};

static void writer_reply(void *context, const struct store_reply *reply)
{
    struct writer *writer = context;
    uint32_t message = (uint32_t)reply->tag;
    SL_CHECK(reply->status == STORE_DONE);
    SL_CHECK(write(writer->pipe, &message, sizeof message) == sizeof message);
}

static void writer_post(struct store_client *client, struct writer *writer)
{
    char key[32], value[BYTES_MAX];
    uint32_t number = writer->next++;
    SL_CHECK(
        store_post(client, STORE_CREATE, STORE_ACCOUNTS, number, number_key(number, key), number_value(number, value)));
    /* Every fifth is deleted again, right behind its creation. */
    if (number % 5 == 0)
        SL_CHECK(
            store_post(client, STORE_DELETE, STORE_ACCOUNTS, number | DELETED, number_key(number, key), SPAN_NONE));
}

static void child_run(const char *path, int pipe, uint32_t first)
{
    struct err err = {""};
    struct store *store = store_open(path, 1, &err);
    if (store == NULL)
        fprintf(stderr, "child: %s\n", err.text);
    SL_CHECK(store != NULL);
    struct store_client *client = store_client(store, 0, NULL, NULL);
    struct writer writer = {pipe, first};
    for (;;) {
        while (store_pending(client) < WINDOW)
            writer_post(client, &writer);
        store_flush(client);
        if (store_poll(client, writer_reply, &writer) == 0)
            usleep(50);
    }
}

/*
 * The parent.
 */

static void sleep_us(unsigned us)
{
    struct timespec time = {0, (long)us * 1000};
    nanosleep(&time, NULL);
}

/* Starts a child, kills it, and returns how many messages it told, in *told. */
static unsigned round_run(const char *path, uint32_t first, unsigned delay_us, uint32_t **told)
{
    int ends[2];
    unsigned count = 0, room = 4096;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        child_run(path, ends[1], first);
        _exit(1);
    }
    close(ends[1]);
    /* The pipe holds 16,384 messages: more than a child tells in its time, or it waits, which is no harm. */
    sleep_us(delay_us);
    assert_int_equal(kill(pid, SIGKILL), 0);
    *told = malloc(room * sizeof **told);
    for (;;) {
        if (count == room)
            *told = realloc(*told, (room *= 2) * sizeof **told);
        assert_non_null(*told);
        if (read(ends[0], *told + count, sizeof **told) != sizeof **told)
            break;
        count++;
    }
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return count;
}

static void number_check(struct rig *rig, uint32_t told)
{
    char key[32], value[BYTES_MAX];
    uint32_t number = told & ~DELETED;
    const struct rig_reply *reply = rig_ask(rig, STORE_GET, number_key(number, key), SPAN_NONE);
    bool is_deleted = (told & DELETED) != 0;
    /* The creation was told, the deletion may have been carried out without our hearing of it. */
    if (!is_deleted && number % 5 == 0 && reply->status == STORE_MISSING)
        return;
    if (reply->status != (is_deleted ? STORE_MISSING : STORE_FOUND))
        printf("number %u %s: status %d\n", number, is_deleted ? "deleted" : "created", reply->status);
    assert_int_equal(reply->status, is_deleted ? STORE_MISSING : STORE_FOUND);
    if (!is_deleted)
        assert_true(span_equal(reply->value, number_value(number, value)));
}

/* The last message about a number is what must hold. */
static void round_check(struct rig *rig, const uint32_t *told, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        bool is_last = i + 1 == count || (told[i + 1] & ~DELETED) != told[i];
        if (is_last)
            number_check(rig, told[i]);
    }
}

/* Every record that is there, told or not, is whole. */
static unsigned all_check(struct rig *rig)
{
    char after[32] = "", value[BYTES_MAX];
    for (unsigned count = 0;; count++) {
        const struct rig_reply *reply = rig_ask(rig, STORE_LIST, span_str(after), SPAN_NONE);
        if (reply->status == STORE_MISSING)
            return count;
        assert_int_equal(reply->status, STORE_FOUND);
        snprintf(after, sizeof after, "%.*s", SPAN_ARG(reply->key));
        uint32_t number = (uint32_t)strtoul(after + 4, NULL, 10);
        assert_true(span_equal(reply->value, number_value(number, value)));
    }
}

static void kill__at_any_moment__nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    uint64_t dice = dice_seed(__func__);
    const char *text = getenv("SL_STORE_KILLS");
    unsigned rounds = text != NULL ? (unsigned)strtoul(text, NULL, 10) : 40;
    unsigned long total = 0;
    unsigned whole = 0;
    uint32_t first = 1;
    char path[256];
    rig_folder_make(path);
    for (unsigned i = 0; i < rounds; i++) {
        uint32_t *told = NULL;
        struct err err = {""};
        unsigned count = round_run(path, first, 3000 + dice_below(&dice, 25000), &told);
        struct store *store = store_open(path, 1, &err);
        assert_string_equal(err.text, "");
        assert_non_null(store);
        struct rig rig;
        rig_init(&rig, store, 0);
        round_check(&rig, told, count);
        if (i % 16 == 15 || i + 1 == rounds)
            whole = all_check(&rig);
        total += count;
        /* Beyond anything the child may have written without telling. */
        first = (count > 0 ? told[count - 1] & ~DELETED : first) + 2 * WINDOW;
        rig_fini(&rig);
        store_close(store);
        free(told);
    }
    printf("%u kills, %lu acknowledged changes, %u records at the end\n", rounds, total, whole);
    assert_true(total > rounds);
    rig_folder_remove(path);
}

static void kill__while_the_store_is_made__next_start_opens(void **state)
{
    (void)state;
    uint64_t dice = dice_seed(__func__);
    for (unsigned i = 0; i < 25; i++) {
        char path[256];
        uint32_t *told = NULL;
        struct err err = {""};
        rig_folder_make(path);
        unsigned count = round_run(path, 1, dice_below(&dice, 4000), &told);
        struct store *store = store_open(path, 1, &err);
        assert_string_equal(err.text, "");
        assert_non_null(store);
        struct rig rig;
        rig_init(&rig, store, 0);
        round_check(&rig, told, count);
        assert_int_equal(rig_status(&rig, STORE_PUT, SPAN("k"), SPAN("v")), STORE_DONE);
        rig_fini(&rig);
        store_close(store);
        free(told);
        rig_folder_remove(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill__at_any_moment__nothing_acknowledged_is_lost),
        cmocka_unit_test(kill__while_the_store_is_made__next_start_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
