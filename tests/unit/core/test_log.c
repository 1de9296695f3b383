/* SPDX-License-Identifier: MIT */
#include "core/base/log.h"
#include "tests/unit/core/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char folder[64];
static char path[80];
static char text[1 << 20];

static int folder_make(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/sluice-test-log-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* A path of its own for each test. */
static void path_make(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
}

static void file_read(const char *from)
{
    int fd = open(from, O_RDONLY);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    text[size > 0 ? size : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

static uint32_t count_of(const char *what)
{
    uint32_t count = 0;
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
        count++;
    return count;
}

static void open_log(const char *name, enum log_level level)
{
    struct err err = {.text = ""};
    path_make(name);
    if (!log_open(path, level, &err))
        fail_msg("%s", err.text);
}

static void close_and_read(void)
{
    log_close();
    file_read(path);
    unlink(path);
}

/* Rates count within whole seconds: begins a fresh one, with time enough in it for a test. */
static void second_begin(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct timespec rest = {.tv_nsec = 999999999 - now.tv_nsec};
    nanosleep(&rest, NULL);
    struct timespec bit = {.tv_nsec = 5000000};
    nanosleep(&bit, NULL);
}

static void log_event__line__has_its_parts(void **state)
{
    (void)state;
    open_log("parts", LOG_INFO);
    log_name_thread("shard=1");
    errno = ENOENT;
    log_event(LOG_INFO, "c2s.bound", "jid=%s address=%s", log_quoted(SPAN("user0@example.com/a")).text, "127.0.0.1");
    assert_int_equal(errno, ENOENT);
    log_name_thread("");
    log_event(LOG_ERROR, "bare", "%s", "");
    close_and_read();
    int year, month, day, hour, minute, second, ms, at = 0;
    assert_int_equal(
        sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour, &minute, &second, &ms, &at), 7);
    assert_int_equal(at, 24);
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    time_t distance = time(NULL) - timegm(&tm);
    assert_true(distance >= -1 && distance < 20);
    assert_memory_equal(text + at, " INFO shard=1 c2s.bound jid=\"user0@example.com/a\" address=127.0.0.1\n", 68);
    assert_int_equal(count_of("Z ERROR bare \n"), 1);
}

static void log_event__below_the_level__nothing(void **state)
{
    (void)state;
    open_log("levels", LOG_WARN);
    log_event(LOG_ERROR, "e1", "n=%d", 1);
    log_event(LOG_WARN, "w1", "n=%d", 1);
    log_event(LOG_INFO, "i1", "n=%d", 1);
    log_event(LOG_DEBUG, "d1", "n=%d", 1);
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "d2", "n=%d", 2);
    log_set_level(LOG_ERROR);
    log_event(LOG_WARN, "w2", "n=%d", 2);
    close_and_read();
    assert_int_equal(count_of("\n"), 3);
    assert_int_equal(count_of("ERROR e1"), 1);
    assert_int_equal(count_of("WARN w1"), 1);
    assert_int_equal(count_of("DEBUG d2"), 1);
}

static void log_event__more_than_the_rate__suppressed_and_counted(void **state)
{
    (void)state;
    open_log("rate", LOG_INFO);
    uint64_t dropped = log_dropped();
    second_begin();
    for (int i = 0; i < 50; i++)
        log_event(LOG_INFO, "flood", "i=%d", i);
    log_event(LOG_INFO, "other", "i=%d", 0);
    assert_int_equal(log_dropped() - dropped, 50 - LOG_RATE);
    second_begin();
    log_event(LOG_INFO, "flood", "i=%d", 50);
    log_event(LOG_INFO, "flood", "i=%d", 51);
    close_and_read();
    assert_int_equal(count_of(" flood "), LOG_RATE + 2);
    assert_int_equal(count_of(" other i=0\n"), 1);
    assert_int_equal(count_of(" flood i=50 suppressed=30\n"), 1);
    assert_int_equal(count_of("suppressed"), 1);
}

static void log_event__control_characters_or_too_long__one_line(void **state)
{
    (void)state;
    char big[4000];
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\0';
    open_log("lines", LOG_INFO);
    log_event(LOG_INFO, "forged", "reason=%s", "a\n2026-11-22T00:00:00.000Z ERROR x\r\x1b[2J\x7f");
    log_event(LOG_INFO, "long", "big=%s", big);
    close_and_read();
    assert_int_equal(count_of("\n"), 2);
    assert_int_equal(count_of("reason=a?2026-11-22T00:00:00.000Z ERROR x??[2J?\n"), 1);
    assert_int_equal(count_of("xxx...\n"), 1);
    assert_true(strlen(text) < 2 * LOG_LINE_MAX);
}

static void log_quoted__hostile_bytes__escaped(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        const char *quoted;
    } cases[] = {
        {{"", 0}, "\"\""},
        {{"plain", 5}, "\"plain\""},
        {{"a\"b\\c", 5}, "\"a\\\"b\\\\c\""},
        {{"a\nb\r\0\x1b\x7f", 7}, "\"a\\x0ab\\x0d\\x00\\x1b\\x7f\""},
        {{"gr\xc3\xbc\xc3\x9f", 6}, "\"gr\xc3\xbc\xc3\x9f\""},
        {{"\xc3(\xff", 3}, "\"\\xc3(\\xff\""},
        {{"\xc2\x9b", 2}, "\"\\u009b\""},
        {{"\xe2\x80\xae", 3}, "\"\\u202e\""},
        {{"\xed\xa0\x80", 3}, "\"\\xed\\xa0\\x80\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(log_quoted(cases[i].bytes).text, cases[i].quoted);
}

/* Cut at every length around the bound: never inside of a character or an escape, always closed. */
static void log_quoted__longer_than_the_room__cut_and_closed(void **state)
{
    (void)state;
    char bytes[600];
    for (size_t size = 0; size < sizeof bytes; size++) {
        memset(bytes, 'a', size);
        struct log_text plain = log_quoted(span_of(bytes, size));
        assert_int_equal(strlen(plain.text), size <= 194 ? size + 2 : 199);
        memset(bytes, '\n', size);
        struct log_text escapes = log_quoted(span_of(bytes, size));
        size_t length = strlen(escapes.text);
        assert_true(length < sizeof escapes.text && escapes.text[0] == '"' && escapes.text[length - 1] == '"');
        assert_int_equal((length - 2 - (size > 48 ? 3 : 0)) % 4, 0);
    }
}

static void log_open__folder_that_is_not_there__says_so(void **state)
{
    (void)state;
    struct err err;
    assert_false(log_open("/nonexistent-folder/sluice.log", LOG_INFO, &err));
    assert_non_null(strstr(err.text, "/nonexistent-folder/sluice.log"));
    assert_non_null(strstr(err.text, "No such file"));
    log_close(); /* without log_open() it does nothing */
}

static void log_reopen__file_was_renamed__new_file(void **state)
{
    (void)state;
    char old[96];
    open_log("rotated", LOG_INFO);
    snprintf(old, sizeof old, "%s.1", path);
    log_event(LOG_INFO, "before", "n=%d", 1);
    /* The line is in the file before it is renamed. */
    for (int i = 0; i < 2000 && count_of("before") == 0; i++) {
        usleep(1000);
        file_read(path);
    }
    assert_int_equal(rename(path, old), 0);
    log_reopen();
    log_event(LOG_INFO, "after", "n=%d", 2);
    close_and_read();
    assert_int_equal(count_of("after"), 1);
    assert_int_equal(count_of("before"), 0);
    file_read(old);
    assert_int_equal(count_of("before"), 1);
    assert_int_equal(count_of("after"), 0);
    unlink(old);
}

static void log_reopen__impossible__old_file_stays(void **state)
{
    (void)state;
    char old[96];
    open_log("kept", LOG_INFO);
    snprintf(old, sizeof old, "%s.1", path);
    assert_int_equal(rename(path, old), 0);
    assert_int_equal(mkdir(path, 0700), 0); /* a folder cannot be opened for writing */
    log_reopen();
    log_event(LOG_INFO, "kept", "n=%d", 1);
    log_close();
    assert_int_equal(rmdir(path), 0);
    file_read(old);
    assert_int_equal(count_of("INFO kept n=1"), 1);
    assert_int_equal(count_of("ERROR log.reopen_failed"), 1);
    unlink(old);
}

enum { FLOOD_EVENTS = 200, FLOOD_LINES = 2000, FLOOD_THREADS = 4 };

static void *flood(void *argument)
{
    (void)argument;
    char filler[1500], name[16];
    memset(filler, 'f', sizeof filler);
    filler[sizeof filler - 1] = '\0';
    for (int i = 0; i < FLOOD_LINES; i++) {
        snprintf(name, sizeof name, "pipe%d", i % FLOOD_EVENTS);
        log_event(LOG_INFO, name, "filler=%s", filler);
    }
    return NULL;
}

/* The file is a pipe that nobody reads: the writer hangs, the callers do not; what was lost is counted. The callers end
 * while their rings are full; what is in them comes out nevertheless, over several batches. */
static void log_event__file_takes_nothing__drops_and_returns(void **state)
{
    (void)state;
    path_make("pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    struct err err;
    assert_true(log_open(path, LOG_INFO, &err));
    uint64_t dropped = log_dropped();
    for (int i = 0; i < FLOOD_THREADS; i++) {
        pthread_t caller;
        assert_int_equal(pthread_create(&caller, NULL, flood, NULL), 0);
        pthread_join(caller, NULL);
    }
    dropped = log_dropped() - dropped;
    assert_true(dropped > 4000); /* 12 MB were wanted; each ring, the batch and the pipe hold 64 KiB */
    assert_true(dropped < FLOOD_THREADS * FLOOD_LINES);

    /* Now somebody reads, until the writer has put all out and closed. */
    pthread_t closer;
    assert_int_equal(pthread_create(&closer, NULL, (void *(*)(void *))(void (*)(void))log_close, NULL), 0);
    fcntl(reader, F_SETFL, 0);
    uint64_t lines = 0;
    ssize_t size;
    while ((size = read(reader, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < size; i++)
            lines += text[i] == '\n' ? 1 : 0;
    }
    pthread_join(closer, NULL);
    assert_int_equal(lines + dropped, FLOOD_THREADS * FLOOD_LINES);
    close(reader);
    unlink(path);
}

enum { THREADS = 4, ROUNDS = 300 };

static void *log_much(void *argument)
{
    char name[16], event[16];
    snprintf(name, sizeof name, "thread=%d", (int)(intptr_t)argument);
    log_name_thread(name);
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(event, sizeof event, "much%d", i / 15);
        log_event(LOG_INFO, event, "i=%d.", i);
    }
    return NULL;
}

/* Threads come, log and go: every line is there, each thread's in order, also those of threads that ended before the
 * writer looked. */
static void log_event__many_threads__all_lines_in_order(void **state)
{
    (void)state;
    open_log("threads", LOG_INFO);
    uint64_t dropped = log_dropped();
    for (int wave = 0; wave < 3; wave++) {
        pthread_t threads[THREADS];
        for (intptr_t i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, log_much, (void *)(wave * THREADS + i)), 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    }
    assert_int_equal(log_dropped(), dropped);
    close_and_read();
    assert_int_equal(count_of("\n"), 3 * THREADS * ROUNDS);
    for (int thread = 0; thread < 3 * THREADS; thread++) {
        const char *at = text;
        for (int i = 0; i < ROUNDS; i++) {
            char wanted[48];
            snprintf(wanted, sizeof wanted, " thread=%d much%d i=%d.\n", thread, i / 15, i);
            at = strstr(at, wanted);
            if (at == NULL)
                fail_msg("no \"%s\" where it should be", wanted);
        }
    }
}

static void log_event__no_log_open__standard_error(void **state)
{
    (void)state;
    path_make("stderr");
    int saved = dup(2);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd, 2);
    log_set_level(LOG_INFO);
    for (int i = 0; i < 30; i++)
        log_event(LOG_INFO, "direct", "i=%d", i); /* tools and tests: no limit */
    dup2(saved, 2);
    close(saved);
    close(fd);
    file_read(path);
    assert_int_equal(count_of(" INFO direct i="), 30);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_event__no_log_open__standard_error),
        cmocka_unit_test(log_event__line__has_its_parts),
        cmocka_unit_test(log_event__below_the_level__nothing),
        cmocka_unit_test(log_event__more_than_the_rate__suppressed_and_counted),
        cmocka_unit_test(log_event__control_characters_or_too_long__one_line),
        cmocka_unit_test(log_quoted__hostile_bytes__escaped),
        cmocka_unit_test(log_quoted__longer_than_the_room__cut_and_closed),
        cmocka_unit_test(log_open__folder_that_is_not_there__says_so),
        cmocka_unit_test(log_reopen__file_was_renamed__new_file),
        cmocka_unit_test(log_reopen__impossible__old_file_stays),
        cmocka_unit_test(log_event__file_takes_nothing__drops_and_returns),
        cmocka_unit_test(log_event__many_threads__all_lines_in_order),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
