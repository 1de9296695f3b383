/* SPDX-License-Identifier: MIT */
/*
 * Load: sluice-load, the load generator: options, threads, the phases of a run, the result. load_options.c has the
 * usage; fleet.c a thread, client.c one simulated client, login.c its way in, traffic.c what it sends and checks.
 */
#include "bench/load_options.h"
#include "bench/report.h"
#include "bench/seats.h"
#include "bench/traffic.h"
#include "core/base/check.h"
#include "core/base/clock.h"
#include "tls/context.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS      2u
#define LEAVE_MS     10000u /* for the orderly ends */
#define WATCH_MS     50u    /* between two looks at whether all is well */
#define LINGER_MS    1000u  /* behind the last reset that is waited for: there should be no more */
#define RESULT_WRONG 1
#define RESULT_USAGE 2

/* SIGTERM or SIGINT: who only holds its sessions ends now, in order. */
static volatile sig_atomic_t is_over;
/* SIGUSR1: the storm begins. */
static volatile sig_atomic_t is_storm_asked;

static void end_early(int number)
{
    (void)number;
    is_over = 1;
}

static void begin_storm(int number)
{
    (void)number;
    is_storm_asked = 1;
}

static void sleep_ms(uint64_t ms)
{
    struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * 1000000)};
    nanosleep(&time, NULL);
}

static uint64_t sum(const struct load *load, enum tally tally)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < load->options.threads; i++)
        total += fleet_read(&load->fleets[i], tally);
    return total;
}

static void notify_all(struct load *load)
{
    for (unsigned i = 0; i < load->options.threads; i++)
        fleet_notify(&load->fleets[i]);
}

static void set_measuring(struct load *load, bool is_measuring)
{
    atomic_store_explicit(&load->is_measuring, is_measuring, memory_order_relaxed);
    notify_all(load);
}

/* All fleets have turned to the phase when this returns. */
static void set_phase(struct load *load, enum phase phase)
{
    atomic_store_explicit(&load->phase, phase, memory_order_release);
    notify_all(load);
    for (unsigned i = 0; i < load->options.threads; i++)
        while (fleet_read(&load->fleets[i], TALLY_PHASE) != phase)
            sleep_ms(1);
}

static void sample(uint32_t pid, struct proc_sample *into)
{
    struct err err;
    if (pid && !proc_read(into, (int)pid, &err))
        fprintf(stderr, "sluice-load: %s\n", err.text);
}

static void sample_servers(const struct load *load, enum moment moment, struct result *result)
{
    for (unsigned i = 0; i < load->options.server_count; i++)
        sample(load->options.servers[i].pid, &result->servers[i][moment]);
}

/* How much of what is waited for is there. */
typedef uint64_t (*progress_fn)(const struct load *load);

static uint64_t logins_over(const struct load *load)
{
    return sum(load, TALLY_BOUND) + sum(load, TALLY_FAILED) + sum(load, TALLY_BROKEN) + sum(load, TALLY_RESETS);
}

static uint64_t seen(const struct load *load)
{
    return sum(load, TALLY_SEEN);
}

static uint64_t settled(const struct load *load)
{
    return sum(load, TALLY_RECEIVED) + sum(load, TALLY_REFUSED);
}

static uint64_t all_back(const struct load *load)
{
    return sum(load, TALLY_CUT) ? sum(load, TALLY_BOUND) : 0;
}

static uint64_t without_connection(const struct load *load)
{
    return load->options.sessions - sum(load, TALLY_OPEN);
}

/* False: there was no progress for ms, or a session broke that was waited for. */
static bool wait_for(const struct load *load, progress_fn progress, uint64_t goal, uint64_t ms)
{
    uint64_t last = 0, since = clock_mono_ms();
    for (;;) {
        uint64_t now = progress(load);
        if (now >= goal)
            return true;
        if (now != last) {
            last = now;
            since = clock_mono_ms();
        }
        if (clock_mono_ms() - since > ms || (progress == settled && sum(load, TALLY_BROKEN)))
            return false;
        sleep_ms(POLL_MS);
    }
}

static uint64_t patience_ms(const struct load *load)
{
    return (uint64_t)(load->options.patience_s * 1000);
}

static uint64_t events(const struct load *load)
{
    return load->options.mode == MODE_LOGIN ? sum(load, TALLY_LOGINS)
                                            : sum(load, TALLY_RECEIVED) + sum(load, TALLY_ECHOED);
}

static void mark_begin(struct load *load, struct result *result)
{
    sample_servers(load, MOMENT_BEFORE, result);
    sample((uint32_t)getpid(), &result->own_before);
    result->events = 0 - events(load);
}

static void mark_end(struct load *load, struct result *result)
{
    result->events += events(load);
    sample((uint32_t)getpid(), &result->own_after);
    sample_servers(load, MOMENT_AFTER, result);
    result->seconds = (double)(result->own_after.wall_ns - result->own_before.wall_ns) / 1e9;
}

/* Sleeps through a part of the run. False: something broke meanwhile, going on makes no sense. */
static bool watch(const struct load *load, double seconds)
{
    uint64_t end = clock_mono_ms() + (uint64_t)(seconds * 1000);
    for (uint64_t now; (now = clock_mono_ms()) < end && !is_over;) {
        if (sum(load, TALLY_BROKEN) || sum(load, TALLY_OVERRUN) || sum(load, TALLY_FAILED))
            return false;
        if (load->options.resets && sum(load, TALLY_RESETS) >= load->options.resets)
            end = end < now + LINGER_MS ? end : now + LINGER_MS;
        sleep_ms(end - now < WATCH_MS ? end - now : WATCH_MS);
    }
    return true;
}

static const char *run_counted(struct load *load, struct result *result)
{
    const struct load_options *options = &load->options;
    uint64_t each = options->mode == MODE_PRESENCE ? options->sessions - options->users
                                                   : options->sessions / (options->is_one_way ? 2 : 1);
    uint64_t goal = each * options->count;
    set_measuring(load, true);
    mark_begin(load, result);
    set_phase(load, PHASE_RUN);
    bool is_done = wait_for(load, settled, goal, patience_ms(load));
    mark_end(load, result);
    return is_done ? NULL : "messages stopped arriving";
}

static const char *run_timed(struct load *load, struct result *result)
{
    set_phase(load, PHASE_RUN);
    bool is_fine = watch(load, load->options.warmup_s);
    set_measuring(load, true);
    mark_begin(load, result);
    is_fine = is_fine && watch(load, load->options.duration_s);
    mark_end(load, result);
    set_measuring(load, false);
    return is_fine ? NULL : "something broke under the load";
}

static const char *drain(struct load *load)
{
    set_phase(load, PHASE_DRAIN);
    return wait_for(load, settled, sum(load, TALLY_SENT), patience_ms(load)) ? NULL : "not all messages arrived";
}

static const char *log_in(struct load *load, struct result *result)
{
    uint64_t begin = clock_mono_ns();
    if (!wait_for(load, logins_over, load->options.sessions, patience_ms(load)))
        return "logins got stuck";
    result->login_seconds = (double)(clock_mono_ns() - begin) / 1e9;
    if (sum(load, TALLY_FAILED) || sum(load, TALLY_BROKEN))
        return "not everybody could log in";
    if (load->options.mode == MODE_PRESENCE &&
        !wait_for(load, seen, 2 * load->options.sessions - load->options.users, patience_ms(load)))
        return "not everybody was seen online";
    sleep_ms((uint64_t)(load->options.settle_s * 1000));
    sample_servers(load, MOMENT_SETTLED, result);
    return sum(load, TALLY_BROKEN) ? "sessions broke while idle" : NULL;
}

static const char *hold(struct load *load, struct result *result)
{
    const struct load_options *options = &load->options;
    mark_begin(load, result);
    bool is_fine = watch(load, options->duration_s);
    mark_end(load, result);
    if (!is_fine)
        return "sessions broke while idle";
    if (options->resets && sum(load, TALLY_RESETS) != options->resets)
        return "not as many streams were reset as should have been";
    return NULL;
}

/* Holds until it is asked for (or for the warm-up), cuts all, waits until all are back, and holds on. */
static const char *storm(struct load *load, struct result *result)
{
    const struct load_options *options = &load->options;
    uint64_t begin = clock_mono_ms(), rest = (uint64_t)(options->warmup_s * 1000);
    while (!is_storm_asked && !is_over && !(rest && clock_mono_ms() - begin >= rest)) {
        if (sum(load, TALLY_BROKEN))
            return "sessions broke while idle";
        sleep_ms(POLL_MS);
    }
    if (is_over)
        return "no storm was asked for";
    mark_begin(load, result);
    set_phase(load, PHASE_RUN);
    bool is_back = wait_for(load, all_back, options->sessions, patience_ms(load));
    mark_end(load, result);
    if (!is_back)
        return "not all came back";
    return watch(load, options->duration_s) ? NULL : "sessions broke after they had come back";
}

static const char *flood(struct load *load, struct result *result)
{
    mark_begin(load, result);
    set_phase(load, PHASE_RUN);
    (void)watch(load, load->options.duration_s);
    mark_end(load, result);
    return NULL;
}

/* The phases in order; the reason if they cannot be gone through to the end. */
static const char *conduct(struct load *load, struct result *result)
{
    const struct load_options *options = &load->options;
    const char *failure;
    sample_servers(load, MOMENT_FRESH, result);
    notify_all(load);
    if (options->mode == MODE_LOGIN)
        return run_timed(load, result);
    if (options->mode == MODE_FLOOD)
        return flood(load, result);
    if ((failure = log_in(load, result)) != NULL)
        return failure;
    if (options->mode == MODE_STORM)
        return storm(load, result);
    if (options->mode == MODE_IDLE)
        return hold(load, result);
    failure = options->count ? run_counted(load, result) : run_timed(load, result);
    return failure ? failure : drain(load);
}

static void collect(struct load *load, struct result *result)
{
    for (unsigned i = 0; i < load->options.threads; i++) {
        struct fleet *fleet = &load->fleets[i];
        fleet_join(fleet);
        histogram_merge(&result->latency, &fleet->latency);
        histogram_merge(&result->lag, &fleet->lag);
        histogram_merge(&result->login, &fleet->login);
        histogram_merge(&result->back, &fleet->back);
        if (fleet->cut_ns && (!result->cut_ns || fleet->cut_ns < result->cut_ns))
            result->cut_ns = fleet->cut_ns;
        if (fleet->back_ns > result->back_ns)
            result->back_ns = fleet->back_ns;
        if (fleet->first_reset_ns && (!result->first_reset_ns || fleet->first_reset_ns < result->first_reset_ns))
            result->first_reset_ns = fleet->first_reset_ns;
        if (fleet->last_reset_ns > result->last_reset_ns)
            result->last_reset_ns = fleet->last_reset_ns;
        if (!result->first_error[0])
            memcpy(result->first_error, fleet->first_error, sizeof result->first_error);
        for (unsigned tally = 0; tally < TALLY_COUNT; tally++)
            result->totals[tally] += fleet_read(fleet, (enum tally)tally);
    }
}

static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool prepare(struct load *load, struct err *err)
{
    const struct load_options *options = &load->options;
    static const char *const alpn[] = {"xmpp-client", NULL};
    raise_descriptors();
    if (!tls_start(err) || !io_probe(err))
        return false;
    if (options->seats && !(load->seats = seats_read(options->seats, options->sessions, err)))
        return false;
    if (options->wallet &&
        !wallet_open(&load->wallet, options->wallet, options->first_certificate, options->certificates, err))
        return false;
    const struct context_config config = {.role = CONTEXT_CLIENT,
                                          .alpn = alpn,
                                          .insecure = true,
                                          .version_min = 0x0303,
                                          .domains = load->wallet.domains,
                                          .domain_count = load->wallet.count};
    if (options->tls != LOAD_TLS_NONE && !(load->tls = context_new(&config, err, NULL)))
        return false;
    load->group = io_group_new(options->threads, err);
    if (!load->group)
        return false;
    load->padding = traffic_padding(options->body);
    load->fleets = aligned_alloc(64, options->threads * sizeof(struct fleet));
    SL_CHECK(load->fleets);
    memset(load->fleets, 0, options->threads * sizeof(struct fleet));
    for (unsigned i = 0; i < options->threads; i++)
        if (!fleet_start(&load->fleets[i], load, i, err))
            return false;
    return true;
}

static void take_down(struct load *load)
{
    io_group_free(load->group);
    if (load->tls)
        context_unref(load->tls);
    wallet_free(&load->wallet);
    free(load->seats);
    free(load->padding);
    free(load->fleets);
    tls_stop();
}

int main(int argc, char **argv)
{
    static struct load load;
    static struct result result;
    struct err err = {0};
    switch (load_options_parse(&load.options, argc, argv, &err)) {
    case LOAD_HELP:
        fputs(load_options_usage(), stdout);
        return EXIT_SUCCESS;
    case LOAD_WRONG:
        if (err.text[0])
            fprintf(stderr, "sluice-load: %s\n", err.text);
        return RESULT_USAGE;
    case LOAD_RUN:
        break;
    }
    if (!prepare(&load, &err)) {
        fprintf(stderr, "sluice-load: %s\n", err.text);
        return RESULT_WRONG;
    }
    signal(SIGTERM, end_early);
    signal(SIGINT, end_early);
    signal(SIGUSR1, begin_storm);
    result.failure = conduct(&load, &result);
    set_phase(&load, PHASE_LEAVE);
    if (!wait_for(&load, without_connection, load.options.sessions, LEAVE_MS) && !result.failure)
        result.failure = "not all streams ended in order";
    collect(&load, &result);
    report_print(&load.options, &result);
    take_down(&load);
    return report_is_fine(&result) ? EXIT_SUCCESS : RESULT_WRONG;
}
