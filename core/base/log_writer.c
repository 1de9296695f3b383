/* SPDX-License-Identifier: MIT */
#include "core/base/log_writer_priv.h"

#include "core/base/check.h"
#include "core/base/link.h"
#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { RING_CAPACITY = 65536, BATCH_SIZE = 65536 };

/* A line fits into a ring's record, and a record into an empty batch. */
_Static_assert(LOG_LINE_MAX <= RING_CAPACITY / 4 && LOG_LINE_MAX <= BATCH_SIZE, "a line fits everywhere");

struct log_ring {
    struct log_ring *next; /* under the mutex */
    bool is_orphan;        /* under the mutex: its thread ended, the writer frees it when it is empty */
    struct link *link;     /* producer: the thread; consumer: the writer, or who starts or stops it */
};

/* The mutex guards the list of rings, which changes when a thread logs for the first time and when it ends. The
 * writer holds it while it copies lines into its batch, never while it writes. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct log_ring *rings;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* its destructor tells that a thread ended */
static _Thread_local struct log_ring *own_ring;

static _Atomic bool is_running;
static _Atomic bool must_stop;
static _Atomic bool must_reopen;
static _Atomic bool wants_wake;
static _Atomic uint64_t dropped;

static pthread_t thread;
static sem_t wake;
static char *file_path;
static int file_fd = -1;
static char batch[BATCH_SIZE];

/* ------------------------------------------------------------------------------------------- any thread */

/*
 * A wake-up is neither lost nor repeated: both sides exchange wants_wake, and exchanges of one variable have one
 * order. If ours comes first, the writer's acquires what we published and its next look at the rings sees it; if the
 * writer's came first, ours reads true and posts.
 */
static void writer_wake(void)
{
    if (atomic_exchange_explicit(&wants_wake, false, memory_order_acq_rel))
        sem_post(&wake);
}

static void ring_free(struct log_ring *ring)
{
    link_free(ring->link);
    free(ring);
}

static void ring_unlink(struct log_ring *ring)
{
    struct log_ring **at = &rings;
    while (*at != ring)
        at = &(*at)->next;
    *at = ring->next;
}

static void thread_ended(void *argument)
{
    struct log_ring *ring = argument;
    own_ring = NULL;
    pthread_mutex_lock(&mutex);
    ring->is_orphan = true;
    pthread_mutex_unlock(&mutex);
    writer_wake();
}

static void once_init(void)
{
    SL_CHECK(pthread_key_create(&key, thread_ended) == 0);
    SL_CHECK(sem_init(&wake, 0, 0) == 0);
}

static struct log_ring *ring_get(void)
{
    if (own_ring != NULL)
        return own_ring;
    pthread_once(&once, once_init);
    struct log_ring *ring = calloc(1, sizeof *ring);
    if (ring == NULL)
        check_memory_refused(sizeof *ring);
    ring->link = link_new(RING_CAPACITY);
    pthread_setspecific(key, ring);
    pthread_mutex_lock(&mutex);
    ring->next = rings;
    rings = ring;
    pthread_mutex_unlock(&mutex);
    own_ring = ring;
    return ring;
}

bool log_writer_is_running(void)
{
    return atomic_load_explicit(&is_running, memory_order_acquire);
}

char *log_writer_reserve(void)
{
    return link_reserve(ring_get()->link, LOG_LINE_MAX);
}

void log_writer_commit(size_t size)
{
    link_commit(own_ring->link, (uint32_t)size);
    link_publish(own_ring->link);
    writer_wake();
}

void log_writer_count_dropped(uint64_t lines)
{
    atomic_fetch_add_explicit(&dropped, lines, memory_order_relaxed);
}

uint64_t log_writer_dropped(void)
{
    return atomic_load_explicit(&dropped, memory_order_relaxed);
}

bool log_writer_put(int fd, struct span bytes)
{
    while (bytes.size > 0) {
        ssize_t written = write(fd, bytes.ptr, bytes.size);
        if (written >= 0) {
            bytes = span_skip(bytes, (size_t)written);
            continue;
        }
        if (errno == EINTR)
            continue;
        /* A descriptor that somebody made non-blocking, as a terminal shared with another program may be. One that
         * takes nothing for a second is given up for these bytes. */
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        if (errno != EAGAIN || poll(&ready, 1, 1000) <= 0)
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------- the writer */

/* Copies lines from all rings until the batch has no room for one more; the bytes in it. Frees the empty rings of
 * threads that ended. */
static size_t batch_fill(uint64_t *line_count)
{
    size_t size = 0;
    *line_count = 0;
    pthread_mutex_lock(&mutex);
    struct log_ring *next;
    for (struct log_ring *ring = rings; ring != NULL; ring = next) {
        next = ring->next;
        bool is_empty = false;
        while (!is_empty && size + LOG_LINE_MAX <= sizeof batch) {
            struct span line = link_take(ring->link);
            is_empty = line.ptr == NULL;
            if (!is_empty) {
                memcpy(batch + size, line.ptr, line.size);
                size += line.size;
                *line_count += 1;
            }
        }
        link_release(ring->link);
        if (is_empty && ring->is_orphan) {
            ring_unlink(ring);
            ring_free(ring);
        }
    }
    pthread_mutex_unlock(&mutex);
    return size;
}

/* Writes everything that is queued now. */
static void writer_flush(void)
{
    for (;;) {
        uint64_t line_count;
        size_t size = batch_fill(&line_count);
        if (size == 0)
            return;
        if (!log_writer_put(file_fd, span_of(batch, size)))
            log_writer_count_dropped(line_count);
    }
}

static int file_open(const char *path)
{
    return path == NULL ? STDERR_FILENO : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

static void file_close(void)
{
    if (file_path != NULL)
        close(file_fd);
    free(file_path);
    file_path = NULL;
    file_fd = -1;
}

static void file_reopen(void)
{
    if (file_path == NULL)
        return;
    int fd = file_open(file_path);
    if (fd < 0) {
        log_event(LOG_ERROR, "log.reopen_failed", "path=%s reason=\"%s\"", log_quoted(span_str(file_path)).text,
                  strerrordesc_np(errno));
        return;
    }
    close(file_fd);
    file_fd = fd;
}

static void *writer_run(void *argument)
{
    (void)argument;
    for (;;) {
        /* Announced before the look, see writer_wake(): what comes after it posts, so the wait returns at once. */
        atomic_exchange_explicit(&wants_wake, true, memory_order_acq_rel);
        bool is_last = atomic_load_explicit(&must_stop, memory_order_acquire);
        if (atomic_exchange_explicit(&must_reopen, false, memory_order_acq_rel))
            file_reopen();
        writer_flush();
        if (is_last)
            return NULL;
        while (sem_wait(&wake) != 0)
            SL_CHECK(errno == EINTR);
    }
}

/* ------------------------------------------------------------------------------------------- start and stop */

static int thread_start(void)
{
    /* Signals are for the threads that ask for them. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&thread, NULL, writer_run, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}

bool log_writer_start(const char *path, struct err *err)
{
    SL_CHECK(!log_writer_is_running());
    pthread_once(&once, once_init);
    int fd = file_open(path);
    if (fd < 0) {
        err_set(err, "cannot open the log file %s: %s", path, strerrordesc_np(errno));
        return false;
    }
    file_fd = fd;
    if (path != NULL && (file_path = strdup(path)) == NULL)
        check_memory_refused(strlen(path));
    atomic_store_explicit(&must_stop, false, memory_order_relaxed);
    atomic_store_explicit(&must_reopen, false, memory_order_relaxed);
    int error = thread_start();
    if (error != 0) {
        err_set(err, "cannot start the log's thread: %s", strerrordesc_np(error));
        file_close();
        return false;
    }
    atomic_store_explicit(&is_running, true, memory_order_release);
    return true;
}

void log_writer_stop(void)
{
    if (!log_writer_is_running())
        return;
    atomic_store_explicit(&must_stop, true, memory_order_release);
    writer_wake();
    pthread_join(thread, NULL);
    atomic_store_explicit(&is_running, false, memory_order_release);
    /* We are the rings' consumer now: lines that came after the writer's last look. */
    writer_flush();
    file_close();
}

void log_writer_reopen(void)
{
    atomic_store_explicit(&must_reopen, true, memory_order_release);
    writer_wake();
}
