/* SPDX-License-Identifier: MIT */
#include "tests/unit/router/control_probe.h"

#include "core/base/clock.h"
#include "router/admin/socket_path.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define ANSWER_MAX (8u << 20)

struct probe control_probe;

static bool ask(void *context, struct control_ask *ask)
{
    struct probe *probe = context;
    if (atomic_load(&probe->asks_are_refused))
        return false;
    pthread_mutex_lock(&probe->lock);
    bool ok = probe->ask_count < 64;
    if (ok)
        probe->asks[probe->ask_count++] = ask;
    pthread_cond_signal(&probe->asked);
    pthread_mutex_unlock(&probe->lock);
    return ok;
}

static bool reload(void *context, struct err *notice, struct err *err)
{
    struct probe *probe = context;
    atomic_fetch_add(&probe->reloads, 1);
    if (atomic_load(&probe->reload_fails)) {
        err_set(err, "sluice.conf:7: shards: \"x\" is not a number");
        return false;
    }
    err_set(notice, "shards needs a restart");
    return true;
}

static void stop(void *context, bool drain)
{
    struct probe *probe = context;
    atomic_fetch_add(drain ? &probe->drains : &probe->stops, 1);
}

static void account_changed(void *context, struct span jid, enum control_account_change change)
{
    static const char *const names[] = {"added", "deleted", "password", "disabled", "enabled"};
    struct probe *probe = context;
    snprintf(probe->changed, sizeof(probe->changed), "%s %.*s", names[change], SPAN_ARG(jid));
    atomic_fetch_add(&probe->changes, 1); /* after the text: read by the test's thread behind the answer */
}

static const struct config *config(void *context)
{
    return ((struct probe *)context)->config;
}

static void answer_sessions(const struct probe *probe, struct control_ask *ask)
{
    unsigned looked = 0;
    while (ask->position < probe->sessions && looked < probe->scan) {
        char jid[64];
        unsigned number = (unsigned)ask->position;
        int size = snprintf(jid, sizeof(jid), "s%uu%05u@localhost/r \"%u\"", ask->shard, number, number);
        struct control_session session = {.jid = span_of(jid, (size_t)size),
                                          .address = "127.0.0.1",
                                          .tls = "TLSv1.3",
                                          .mechanism = "SCRAM-SHA-256-PLUS",
                                          .is_available = true,
                                          .priority = -1,
                                          .age_ms = 61000};
        if (!control_ask_session(ask, &session))
            return;
        ask->position++;
        looked++;
    }
    ask->is_done = ask->position == probe->sessions;
}

/* One stream on shard 0; on the other one, a pair that connects and one that rests. */
static void answer_s2s(struct control_ask *ask)
{
    static const struct control_s2s stream = {.theirs = {"there.example", 13},
                                              .ours = {"localhost", 9},
                                              .state = S2S_READY,
                                              .is_stream = true,
                                              .is_out = true,
                                              .is_bidi = true,
                                              .address = "192.0.2.1",
                                              .tls = "TLSv1.3",
                                              .cipher = "C",
                                              .proof = "pkix",
                                              .certificate = "valid",
                                              .expires = 1893456000,
                                              .stanzas_in = 3,
                                              .bytes_in = 300,
                                              .stanzas_out = 4,
                                              .bytes_out = 400,
                                              .pairs = 1,
                                              .queued = 7,
                                              .age_ms = 61999,
                                              .left_ms = -1};
    static const struct control_s2s pairs[] = {
        {.theirs = {"slow.example", 12}, .ours = {"localhost", 9}, .state = S2S_CONNECTING, .age_ms = -1, .left_ms = 1},
        {.theirs = {"down.example", 12},
         .ours = {"localhost", 9},
         .state = S2S_RESTING,
         .age_ms = -1,
         .error = "remote-server-timeout",
         .failures = 3,
         .left_ms = 8000},
    };
    const struct control_s2s *rows = ask->shard == 0 ? &stream : pairs;
    unsigned count = ask->shard == 0 ? 1 : 2;
    while (ask->position < count && control_ask_s2s(ask, &rows[ask->position]))
        ask->position++;
    ask->is_done = ask->position == count;
}

static void answer_ask(const struct probe *probe, struct control_ask *ask)
{
    switch (ask->kind) {
    case ASK_SESSIONS:
        answer_sessions(probe, ask);
        break;
    case ASK_S2S:
        answer_s2s(ask);
        break;
    case ASK_S2S_TEST:
        control_ask_step(ask, "resolve", true, "2 by SRV");
        ask->count = span_is(ask->domain, "there.example") && span_is(ask->ours, "localhost");
        control_ask_step(ask, "connect", ask->count, "192.0.2.1:5269");
        ask->is_done = true;
        break;
    case ASK_S2S_CLOSE:
        ask->count = span_is(ask->domain, "there.example") ? ask->shard + 1 : 0;
        ask->is_done = true;
        break;
    }
}

/* Two chains; the second is of nobody's domain. */
static void list_chains(void *context, struct span domain, control_chain_fn tell, void *listing)
{
    static const struct control_chain chains[] = {
        {.certificate = "aa00000000000000",
         .sha256 = "aa00",
         .serial = "0f",
         .names = {"there.example,..", 16},
         .streams = 5000,
         .expires = 1893456000,
         .source = "both",
         .url = {"http://ocsp.example/ x", 22},
         .standing = "unanswered",
         .answer = "stale answer",
         .checked = 1577836800,
         .next = 1577836830,
         .is_asking = true},
        {.certificate = "bb",
         .sha256 = "bb00",
         .serial = "00ff",
         .source = "file",
         .file = "/a list",
         .standing = "unchecked"},
    };
    (void)context;
    tell(listing, &chains[0]);
    if (domain.size == 0)
        tell(listing, &chains[1]);
}

static unsigned check_chains(void *context, struct span domain)
{
    (void)context;
    return span_is(domain, "there.example") ? 2 : 0;
}

static unsigned distrust_chains(void *context, struct span name)
{
    struct probe *probe = context;
    assert_true(name.size <= sizeof(probe->distrusted));
    memcpy(probe->distrusted, name.ptr, name.size);
    probe->distrusted_size = name.size;
    return 3;
}

static bool trust_name(void *context, struct span name)
{
    (void)distrust_chains(context, name);
    return name.size == 1;
}

static void list_distrusted(void *context, control_distrusted_fn tell, void *listing)
{
    (void)context;
    tell(listing, "00ff", false);
    tell(listing, "aabb", true);
}

static bool is_lasting(void *context)
{
    return ((struct probe *)context)->is_lasting;
}

static void list_own(void *context, control_own_fn tell, void *listing)
{
    static const struct control_own own[] = {
        {.domain = "localhost",
         .names = {"localhost", 9},
         .issuer = {"An authority", 12},
         .sha256 = "aa00",
         .serial = "0f",
         .expires = 1893456000,
         .days_left = -1,
         .chain_expires = 1577836830,
         .staple = {.state = "good",
                    .answer = "no answer",
                    .url = {"http://ocsp.example", 19},
                    .made = 1577836800,
                    .until = 1577836830,
                    .age = 12,
                    .failing = 1577836810,
                    .checked = 1577836810,
                    .next = 1577836820,
                    .demanded = "met"}},
        {.domain = "localhost",
         .depth = 1,
         .subject = {"An authority", 12},
         .issuer = {"Root", 4},
         .sha256 = "cc00",
         .serial = "01",
         .expires = 1577836830,
         .days_left = 3},
        {.domain = "broken.example",
         .use = "s2s",
         .sha256 = "bb00",
         .serial = "",
         .staple = {.state = "off", .demanded = "unmet"}},
    };
    (void)context;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        tell(listing, &own[i]);
}

static void daily(void *context)
{
    struct probe *probe = context;
    atomic_fetch_add(&probe->days, 1);
}

static void *shard_main(void *context)
{
    struct probe *probe = context;
    pthread_mutex_lock(&probe->lock);
    while (!probe->is_over) {
        if (probe->ask_count == 0 || probe->is_held) {
            pthread_cond_wait(&probe->asked, &probe->lock);
            continue;
        }
        struct control_ask *next = probe->asks[--probe->ask_count];
        pthread_mutex_unlock(&probe->lock);
        answer_ask(probe, next);
        control_answered(probe->control, next);
        pthread_mutex_lock(&probe->lock);
    }
    pthread_mutex_unlock(&probe->lock);
    return NULL;
}

static void *control_main(void *context)
{
    control_run(((struct probe *)context)->control);
    return NULL;
}

static void start(struct probe *probe)
{
    static const char *const overrides[] = {"sasl.iterations=4096"};
    static const struct control_fact facts[] = {{"version", "0.0-test"}, {"tls", "none at all"}};
    struct err err = {""};
    memset(probe, 0, sizeof(*probe));
    strcpy(probe->folder, "/tmp/sluice-control-XXXXXX");
    assert_non_null(mkdtemp(probe->folder));
    snprintf(probe->socket_path, sizeof(probe->socket_path), "%s/stats.sock", probe->folder);
    char path[128];
    snprintf(path, sizeof(path), "%s/sluice.conf", probe->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("tls.required = false\ndomain localhost {}\ndomain xn--bcher-kva.example {}\n", file);
    fclose(file);
    probe->config = config_load(path, overrides, 1, &err);
    if (probe->config == NULL)
        fail_msg("%s", err.text);
    unlink(path);
    probe->sessions = 3;
    probe->scan = 1000;
    for (unsigned i = 0; i < PROBE_SHARDS; i++) {
        probe->counters[i] = aligned_alloc(64, sizeof(struct counters));
        assert_non_null(probe->counters[i]);
        memset(probe->counters[i], 0, sizeof(struct counters));
        counter_set(probe->counters[i], COUNTER_ACCEPTED, 10 * (i + 1));
        counter_set(probe->counters[i], COUNTER_CONNECTIONS, i + 1);
    }
    probe->store = store_open(probe->folder, 1, &err);
    assert_non_null(probe->store);
    pthread_mutex_init(&probe->lock, NULL);
    pthread_cond_init(&probe->asked, NULL);
    const struct control_config control_config = {
        .socket_path = probe->socket_path,
        .socket_mode = 0600,
        .shard_count = PROBE_SHARDS,
        .counters = probe->counters,
        .store = probe->store,
        .facts = facts,
        .fact_count = 2,
        .certs = {probe, list_chains, check_chains, distrust_chains, trust_name, list_distrusted, is_lasting},
        .hooks = {.ask = ask,
                  .reload = reload,
                  .stop = stop,
                  .account_changed = account_changed,
                  .config = config,
                  .own = list_own,
                  .daily = daily},
        .context = probe,
    };
    probe->control = control_new(&control_config, &err);
    if (probe->control == NULL)
        fail_msg("%s", err.text);
    assert_int_equal(pthread_create(&probe->thread, NULL, control_main, probe), 0);
    assert_int_equal(pthread_create(&probe->shard, NULL, shard_main, probe), 0);
}

static void end(struct probe *probe)
{
    control_quit(probe->control);
    pthread_join(probe->thread, NULL);
    pthread_mutex_lock(&probe->lock);
    probe->is_over = true;
    pthread_cond_signal(&probe->asked);
    pthread_mutex_unlock(&probe->lock);
    pthread_join(probe->shard, NULL);
    control_free(probe->control);
    store_close(probe->store);
    config_unref(probe->config);
    for (unsigned i = 0; i < PROBE_SHARDS; i++)
        free(probe->counters[i]);
    pthread_mutex_destroy(&probe->lock);
    pthread_cond_destroy(&probe->asked);
    assert_int_not_equal(access(probe->socket_path, F_OK), 0); /* control took its file away */
    rmdir(probe->folder);
}

int probe_setup(void **state)
{
    (void)state;
    start(&control_probe);
    return 0;
}

int probe_teardown(void **state)
{
    (void)state;
    end(&control_probe);
    return 0;
}

int probe_connect(const struct probe *probe)
{
    struct socket_path path;
    struct err err;
    assert_true(socket_path_open(&path, probe->socket_path, &err));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&path.address, sizeof(path.address)), 0);
    socket_path_close(&path);
    return fd;
}

void probe_send(int fd, const char *text)
{
    size_t size = strlen(text);
    while (size > 0) {
        ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);
        assert_true(sent > 0);
        text += sent;
        size -= (size_t)sent;
    }
}

/* How many of the bytes still belong to the answer whose text ends in last. */
static size_t within_answer(char last, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; last = bytes[i++]) {
        if (bytes[i] == '\n' && last == '\n')
            return i + 1;
    }
    return size;
}

char *probe_answer(int fd)
{
    char *text = malloc(ANSWER_MAX);
    assert_non_null(text);
    size_t size = 0;
    uint64_t deadline_ms = clock_mono_ms() + 20000;
    while (size < 2 || memcmp(text + size - 2, "\n\n", 2) != 0) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        poll(&wait, 1, 1000);
        /* Looked at first: what follows belongs to the next answer. */
        ssize_t got = recv(fd, text + size, ANSWER_MAX - size - 1, MSG_DONTWAIT | MSG_PEEK);
        if (got == 0 || clock_mono_ms() > deadline_ms || size + 1 == ANSWER_MAX) {
            free(text);
            return NULL;
        }
        if (got < 0)
            continue;
        size_t taken = within_answer(size > 0 ? text[size - 1] : 0, text + size, (size_t)got);
        assert_int_equal(recv(fd, text + size, taken, MSG_DONTWAIT), taken);
        size += taken;
    }
    text[size] = 0;
    return text;
}

char *probe_ask(int fd, const char *line)
{
    probe_send(fd, line);
    probe_send(fd, "\n");
    return probe_answer(fd);
}

void probe_expect(const struct probe *probe, const char *line, const char *expected)
{
    int fd = probe_connect(probe);
    char *answer = probe_ask(fd, line);
    assert_non_null(answer);
    assert_string_equal(answer, expected);
    free(answer);
    close(fd);
}
