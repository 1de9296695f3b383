/* SPDX-License-Identifier: MIT */
/*
 * Sluiced: the program: options, the topology (shards, links, listeners, store, control), start and end. hooks.c is
 * what happens to it in between.
 *
 *   main thread      options, start, then the control thread's loop, then the end
 *   shard threads    one reactor each
 *   store worker     inside router/store
 *   resolver         inside router/s2s, and libunbound's own; only if s2s.enabled at the start
 *   inspector        inside router/certs
 *   log writer       inside core/base/log
 */
#include "core/base/check.h"
#include "core/base/log.h"
#include "io/io.h"
#include "router/admin/config.h"
#include "router/admin/survey.h"
#include "router/admin/survey_certs.h"
#include "router/certs/crl_files.h"
#include "router/sluiced_priv.h"
#include "router/version.h"
#include "tls/context.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

static void usage(FILE *out)
{
    fputs("usage: sluiced --config FILE [--set KEY=VALUE]... [--check]\n"
          "       sluiced --version | --print-config-manual | --help\n"
          "\n"
          "  --config FILE          the configuration (docs/sluice.conf.example)\n"
          "  --set KEY=VALUE        overrides a key of it, as in --set log.level=debug\n"
          "  --check                reads everything, prints the effective configuration, and ends\n"
          "  --print-config-manual  every key with its default and meaning\n"
          "  --version              versions of the router and of its TLS library\n",
          out);
}

static int fail(const struct err *err)
{
    fprintf(stderr, "sluiced: %s\n", err->text);
    return EXIT_FAILURE;
}

/* Store worker to shard: there are replies. */
static void wake_shard(void *context)
{
    const struct worker *worker = context;
    io_notify(worker->io);
}

/* 64 bytes for the keyed hashes and the made-up salts of unknown users. The last 32 outlive the process, so that such a
 * salt is the same tomorrow (RFC 6120 s13.11). */
static bool load_seed(const char *store_path, uint8_t seed[64], struct err *err)
{
    char path[4096];
    if (getrandom(seed, 64, 0) != 64) {
        err_set(err, "no random bytes from the kernel");
        return false;
    }
    if ((size_t)snprintf(path, sizeof path, "%s/secret", store_path) >= sizeof path) {
        err_set(err, "store.path is too long");
        return false;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        bool is_written = fd >= 0 && write(fd, seed + 32, 32) == 32 && fsync(fd) == 0;
        if (!is_written)
            err_set(err, "cannot write %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return is_written;
    }
    ssize_t size = fd >= 0 ? read(fd, seed + 32, 32) : -1;
    bool is_read = size == 32;
    if (size < 0)
        err_set(err, "cannot read %s: %s", path, strerror(errno));
    else if (!is_read)
        err_set(err, "%s has less than 32 bytes: remove it and a new one is made", path);
    if (fd >= 0)
        close(fd);
    return is_read;
}

static void answer(struct shard *shard, void *question)
{
    struct worker *worker = (struct worker *)((char *)shard - offsetof(struct worker, shard));
    if (survey_answer(shard, question))
        control_answered(worker->sluice->control, question);
}

static void answered(struct shard *shard, void *question)
{
    struct worker *worker = (struct worker *)((char *)shard - offsetof(struct worker, shard));
    control_answered(worker->sluice->control, question);
}

static void sem_wait_always(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        continue; /* EINTR: a debugger */
}

/* The cores that the process may run on: a container or taskset may allow few of those that are there. */
static unsigned count_cores(cpu_set_t *allowed)
{
    CPU_ZERO(allowed);
    if (sched_getaffinity(0, sizeof *allowed, allowed) != 0)
        return 0;
    return (unsigned)CPU_COUNT(allowed);
}

/* One core for each shard, in order; none when there are more shards than cores. */
static int cpu_of(unsigned shard, unsigned shard_count)
{
    cpu_set_t allowed;
    if (shard_count > count_cores(&allowed))
        return -1;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && shard-- == 0)
            return (int)cpu;
    return -1;
}

static void *shard_main(void *argument)
{
    struct worker *worker = argument;
    struct sluice *sluice = worker->sluice;
    struct io_config config = sluice->io_config;
    struct err err;
    char name[16];
    unsigned index = worker->shard.index;
    snprintf(name, sizeof name, "shard-%u", index);
    pthread_setname_np(pthread_self(), name);
    snprintf(name, sizeof name, "shard=%u", index);
    log_name_thread(name);
    config.cpu = cpu_of(index, sluice->shard_count);
    worker->io = io_new(sluice->group, index, &config, &shard_io_handler, &worker->shard, &worker->counters, &err);
    worker->has_failed = !worker->io;
    if (!worker->io) {
        fprintf(stderr, "sluiced: %s\n", err.text);
        io_abandon(sluice->group);
        sem_post(&sluice->came_up);
        return NULL;
    }
    shard_start(&worker->shard, worker->io);
    worker->has_failed = !io_ready(worker->io);
    sem_post(&sluice->came_up);
    if (!worker->has_failed)
        io_run(worker->io);
    /* The last shard to end ends the program. */
    if (atomic_fetch_sub_explicit(&sluice->running, 1, memory_order_acq_rel) == 1 && sluice->control)
        control_quit(sluice->control);
    /* An io is freed on its own thread, but not before the other shards and control are done with it. */
    sem_wait_always(&sluice->may_free);
    shard_fini(&worker->shard);
    io_free(worker->io);
    return NULL;
}

static void fact(struct sluice *sluice, const char *name, const char *value)
{
    SL_CHECK(sluice->fact_count < FACTS_MAX);
    sluice->facts[sluice->fact_count++] = (struct control_fact){name, value};
}

/* Opens the listeners of one key; what they really got (port 0: any) becomes a fact and a log line. */
static bool listen_all(struct sluice *sluice, const char *name, const struct config_addresses *addresses,
                       enum listener_tag tag, struct err *err)
{
    char text[512] = "";
    for (unsigned i = 0; i < addresses->count; i++) {
        uint16_t port = addresses->items[i].port;
        if (!io_group_listen(sluice->group, addresses->items[i].host, &port, tag, err)) {
            err_prefix(err, "%s", name);
            return false;
        }
        size_t used = strlen(text);
        bool is_v6 = strchr(addresses->items[i].host, ':') != NULL;
        snprintf(text + used, sizeof text - used, is_v6 ? "%s[%s]:%u" : "%s%s:%u", i ? " " : "",
                 addresses->items[i].host, port);
    }
    if (!addresses->count)
        return true;
    char *copy = strdup(text);
    SL_CHECK(copy);
    fact(sluice, name, copy);
    log_event(LOG_INFO, "listen", "%s=\"%s\"", name, text);
    return true;
}

static unsigned count_shards(const struct config *config)
{
    cpu_set_t allowed;
    unsigned cores = count_cores(&allowed);
    if (config->shards)
        return config->shards;
    return cores < 1 ? 1 : cores > ROUTER_SHARDS_MAX ? ROUTER_SHARDS_MAX : cores;
}

static struct inspector *open_inspector(const struct config *config, unsigned shard_count, struct err *err)
{
    struct inspector_settings settings = inspector_settings_default;
    settings.interval_s = (int64_t)config->certs_interval_ms / 1000;
    settings.timeout_ms = (uint32_t)config->certs_fetch_timeout_ms;
    settings.addresses.allow_private = config->certs_allow_private;
    settings.cache_file = config->certs_cache_file[0] ? config->certs_cache_file : NULL;
    return inspector_open(&settings, shard_count, err);
}

static bool build(struct sluice *sluice, struct err *err)
{
    const struct config *config = sluice->policy->config;
    uint8_t seed[64];
    sluice->shard_count = count_shards(config);
    sluice->io_config = io_config_default;
    sluice->io_config.connection_max = config->limits_connections;
    /* The store first: a second router started by mistake ends here, before it takes a single connection. */
    if (!io_probe(err) || !(sluice->store = store_open(config->store_path, sluice->shard_count + 1, err)) ||
        !(sluice->group = io_group_new(sluice->shard_count, err)))
        return false;
    io_group_keepalive(sluice->group, (config->timeouts_keepalive_ms + 999) / 1000);
    if (!listen_all(sluice, "listen.c2s", &config->listen_c2s, LISTEN_C2S, err) ||
        !listen_all(sluice, "listen.c2s_tls", &config->listen_c2s_tls, LISTEN_C2S_TLS, err) ||
        !listen_all(sluice, "listen.s2s", &config->listen_s2s, LISTEN_S2S, err) ||
        !listen_all(sluice, "listen.s2s_tls", &config->listen_s2s_tls, LISTEN_S2S_TLS, err))
        return false;
    if (!load_seed(config->store_path, seed, err))
        return false;
    sluice->router = router_new(sluice->shard_count, config->limits_link_size, seed);
    if (config->s2s_enabled) {
        if (!resolver_config_init(&sluice->resolver_config, config, err))
            return false;
        sluice->resolver = resolver_open(&sluice->resolver_config.settings, sluice->shard_count, err);
        if (!sluice->resolver)
            return false;
    }
    if (!(sluice->inspector = open_inspector(config, sluice->shard_count, err)))
        return false;
    if (sluice->inspector)
        inspector_exchange_files(sluice->inspector, crl_files_ref(sluice->policy->crl_files));
    sluice->workers = aligned_alloc(64, sluice->shard_count * sizeof(struct worker));
    sluice->counters = calloc(sluice->shard_count, sizeof(struct counters *));
    SL_CHECK(sluice->workers && sluice->counters);
    memset(sluice->workers, 0, sluice->shard_count * sizeof(struct worker));
    for (unsigned i = 0; i < sluice->shard_count; i++) {
        struct worker *worker = &sluice->workers[i];
        struct store_client *client = store_client(sluice->store, i, wake_shard, worker);
        worker->sluice = sluice;
        sluice->counters[i] = &worker->counters;
        if (!shard_init(&worker->shard, i, sluice->router, sluice->policy, &worker->counters, client, err))
            return false;
        worker->shard.answer = answer;
        worker->shard.answered = answered;
        if (sluice->resolver)
            worker->shard.resolver = resolver_client(sluice->resolver, i, wake_shard, worker);
        worker->shard.inspector = inspector_client(sluice->inspector, i, wake_shard, worker);
    }
    hooks_own_certificates(sluice, sluice->policy);
    return true;
}

static bool start_control(struct sluice *sluice, struct err *err)
{
    const struct config *config = sluice->policy->config;
    struct control_config control = {
        .socket_path = config->admin_socket,
        .socket_mode = (mode_t)strtoul(config->admin_mode, NULL, 8),
        .shard_count = sluice->shard_count,
        .counters = sluice->counters,
        .store = sluice->store,
        .store_client = sluice->shard_count,
        .facts = sluice->facts,
        .fact_count = sluice->fact_count,
        .certs = survey_certs(sluice->inspector),
        .takes_signals = true,
        .hooks = hooks,
        .context = sluice,
    };
    sluice->control = control_new(&control, err);
    return sluice->control != NULL;
}

/* Before anybody may ask a shard something. */
static void wait_for_shards(struct sluice *sluice)
{
    for (unsigned i = 0; i < sluice->shard_count; i++)
        sem_wait_always(&sluice->came_up);
}

/* All shards run, or none. */
static bool start_shards(struct sluice *sluice, struct err *err)
{
    atomic_init(&sluice->running, sluice->shard_count);
    sem_init(&sluice->came_up, 0, 0);
    sem_init(&sluice->may_free, 0, 0);
    for (unsigned i = 0; i < sluice->shard_count; i++) {
        struct worker *worker = &sluice->workers[i];
        int error = pthread_create(&worker->thread, NULL, shard_main, worker);
        worker->is_started = error == 0;
        if (!error)
            continue;
        err_set(err, "cannot start thread %u of %u: %s", i, sluice->shard_count, strerror(error));
        io_abandon(sluice->group);
        return false;
    }
    wait_for_shards(sluice);
    return true;
}

static bool any_failed(const struct sluice *sluice)
{
    for (unsigned i = 0; i < sluice->shard_count; i++)
        if (sluice->workers[i].has_failed)
            return true;
    return false;
}

static bool join_shards(struct sluice *sluice)
{
    bool is_fine = true;
    for (unsigned i = 0; i < sluice->shard_count; i++)
        sem_post(&sluice->may_free);
    for (unsigned i = 0; i < sluice->shard_count; i++) {
        struct worker *worker = &sluice->workers[i];
        if (worker->is_started)
            pthread_join(worker->thread, NULL);
        is_fine &= !worker->has_failed;
    }
    return is_fine;
}

static void take_down(struct sluice *sluice)
{
    if (sluice->control)
        control_free(sluice->control);
    if (sluice->resolver)
        resolver_close(sluice->resolver);
    inspector_close(sluice->inspector);
    resolver_config_fini(&sluice->resolver_config);
    if (sluice->store)
        store_close(sluice->store);
    if (sluice->group)
        io_group_free(sluice->group);
    router_free(sluice->router);
    policy_unref(sluice->policy);
    if (sluice->tickets)
        ticket_keys_free(sluice->tickets);
    free(sluice->workers);
    free(sluice->counters);
    tls_stop();
    log_event(LOG_INFO, "stopped", "version=%s", SLUICE_VERSION);
    log_close();
}

static int run(struct sluice *sluice, struct err *err)
{
    fact(sluice, "version", SLUICE_VERSION);
    fact(sluice, "tls_library", tls_library());
    if (!build(sluice, err) || !start_control(sluice, err))
        return fail(err);
    if (!start_shards(sluice, err)) {
        join_shards(sluice);
        return fail(err);
    }
    if (any_failed(sluice)) {
        join_shards(sluice);
        return EXIT_FAILURE; /* the shard has said why */
    }
    log_event(LOG_INFO, "started", "version=%s shards=%u tls=\"%s\"", SLUICE_VERSION, sluice->shard_count,
              tls_library());
    inspector_rouse(sluice->inspector);
    control_run(sluice->control);
    inspector_hush(sluice->inspector); /* who is woken is about to go */
    return join_shards(sluice) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int check(struct sluice *sluice)
{
    config_print(sluice->policy->config, stdout);
    return EXIT_SUCCESS;
}

/* -1: go on and run; else the exit status. */
static int options(struct sluice *sluice, int argc, char **argv, bool *only_check)
{
    enum { OPT_CONFIG = 'c', OPT_SET = 's', OPT_CHECK = 'k', OPT_VERSION = 'v', OPT_MANUAL = 'm', OPT_HELP = 'h' };
    static const struct option longs[] = {
        {"config", required_argument, NULL, OPT_CONFIG},
        {"set", required_argument, NULL, OPT_SET},
        {"check", no_argument, NULL, OPT_CHECK},
        {"version", no_argument, NULL, OPT_VERSION},
        {"print-config-manual", no_argument, NULL, OPT_MANUAL},
        {"help", no_argument, NULL, OPT_HELP},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (option == OPT_CONFIG) {
            sluice->path = optarg;
        } else if (option == OPT_SET && sluice->override_count == OVERRIDES_MAX) {
            fprintf(stderr, "sluiced: more than %u --set: put them into the file\n", OVERRIDES_MAX);
            return EXIT_FAILURE;
        } else if (option == OPT_SET) {
            sluice->overrides[sluice->override_count++] = optarg;
        } else if (option == OPT_CHECK) {
            *only_check = true;
        } else if (option == OPT_VERSION) {
            printf("sluiced %s\n%s\n", SLUICE_VERSION, tls_library());
            return EXIT_SUCCESS;
        } else if (option == OPT_MANUAL) {
            config_print_manual(stdout);
            return EXIT_SUCCESS;
        } else {
            usage(option == OPT_HELP ? stdout : stderr);
            return option == OPT_HELP ? EXIT_SUCCESS : EXIT_FAILURE;
        }
    }
    if (sluice->path && optind == argc)
        return -1;
    usage(stderr);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static struct sluice sluice;
    struct err err = {0}, warning = {0};
    bool only_check = false;
    int status = options(&sluice, argc, argv, &only_check);
    if (status >= 0)
        return status;
    if (!tls_start(&err))
        return fail(&err);
    struct config *config = config_load(sluice.path, sluice.overrides, sluice.override_count, &err);
    if (!config || !resolver_config_check(config, &err))
        return fail(&err);
    const char *log_file = only_check || !config->log_file[0] ? NULL : config->log_file;
    control_block_signals();
    if (!log_open(log_file, (enum log_level)config->log_level, &err))
        return fail(&err);
    log_name_thread("thread=control");
    sluice.tickets = ticket_keys_new();
    sluice.policy = policy_new(config, sluice.tickets, &err, &warning);
    if (warning.text[0])
        log_event(LOG_WARN, "tls.certificate", "warning=%s", log_quoted(span_str(warning.text)).text);
    if (sluice.policy)
        status = only_check ? check(&sluice) : run(&sluice, &err);
    else
        status = fail(&err);
    take_down(&sluice);
    return status;
}
