/* SPDX-License-Identifier: MIT */
#include "tests/sim/rig.h"

#include "core/base/check.h"
#include "core/base/log.h"
#include "router/store/account.h"
#include "tests/sim/tap.h"
#include "tests/sim/wiretap.h"

#include <stdlib.h>
#include <stdio.h>

static const char *const base_overrides[] = {
    "tls.required=false",
    "sasl.anonymous=true",
    "sasl.iterations=4096",
};

static void ignore(void *context, const struct store_reply *reply)
{
    (void)context;
    SL_CHECK(reply->status == STORE_DONE);
}

static void wake(void *context)
{
    const struct shard *shard = context;
    if (shard)
        io_notify(shard->io);
}

static void make_accounts(struct store_client *client, const char *domain, unsigned count)
{
    struct account account;
    uint8_t record[ACCOUNT_RECORD_MAX];
    char name[128];
    if (!count)
        return; /* to derive a key takes longer than all the rest */
    account_derive(&account, SPAN("secret"), SPAN("the one salt of all"), 4096);
    size_t size = account_encode(&account, record);
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "user%u@%s", i, domain);
        SL_CHECK(store_post(client, STORE_PUT, STORE_ACCOUNTS, i, span_str(name), span_of(record, size)));
        store_flush(client);
        store_poll(client, ignore, NULL);
    }
}

/* The further domains that "rig.also=NAME" names; up to 8, and a NULL. */
static void also_of(const char *const *overrides, const char *also[9])
{
    unsigned count = 0;
    for (; overrides && *overrides; overrides++)
        if (strncmp(*overrides, "rig.also=", 9) == 0) {
            SL_CHECK(count < 8);
            also[count++] = *overrides + 9;
        }
    also[count] = NULL;
}

static bool has_override(const char *const *overrides, const char *text)
{
    for (; overrides && *overrides; overrides++)
        if (strcmp(*overrides, text) == 0)
            return true;
    return false;
}

static struct config *load(const char *domain, const char *const *overrides)
{
    const char *all[64], *also[9];
    unsigned count = 0;
    also_of(overrides, also);
    struct err err;
    for (unsigned i = 0; i < sizeof base_overrides / sizeof base_overrides[0]; i++)
        all[count++] = base_overrides[i];
    const char *certificate = NULL;
    for (; overrides && *overrides; overrides++) {
        if (strncmp(*overrides, "rig.certificate=", 16) == 0)
            certificate = *overrides + 16;
        else if (strncmp(*overrides, "rig.domain=", 11) == 0)
            domain = *overrides + 11;
        else if (strncmp(*overrides, "rig.also=", 9) != 0 && strncmp(*overrides, "rig.inspector=", 14) != 0)
            all[count++] = *overrides;
    }
    char path[] = "/tmp/sluice-rig-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    SL_CHECK(file);
    if (certificate)
        fprintf(file, "domain \"%s\" { certificate = \"%s.pem\"; key = \"%s.key\"; }\n",
                domain ? domain : "example.com", certificate, certificate);
    else if (domain)
        fprintf(file, "domain \"%s\" { }\n", domain);
    else
        fputs("domain \"example.com\" { }\ndomain \"example.org\" { }\n", file);
    for (unsigned i = 0; also[i]; i++)
        fprintf(file, "domain \"%s\" { }\n", also[i]);
    fclose(file);
    struct config *config = config_load(path, all, count, &err);
    remove(path);
    if (!config)
        fprintf(stderr, "%s\n", err.text);
    SL_CHECK(config);
    return config;
}

static void listen_at(struct io_group *group, const char *address, uint16_t port, enum listener_tag tag)
{
    struct err err;
    SL_CHECK(io_group_listen(group, address, &port, tag, &err));
}

static void make_shards(struct rig *rig)
{
    struct err err;
    for (unsigned i = 0; i < rig->shard_count; i++) {
        struct store_client *client = store_client(rig->store, i, wake, &rig->shards[i]);
        SL_CHECK(shard_init(&rig->shards[i], i, rig->router, rig->policy, &rig->counters[i], client, &err));
        struct io *io =
            io_new(rig->group, i, &io_config_default, wiretap_handler(), &rig->shards[i], &rig->counters[i], &err);
        SL_CHECK(io);
        shard_start(&rig->shards[i], io);
        if (rig->resolver)
            rig->shards[i].resolver = resolver_client(rig->resolver, i, wake, &rig->shards[i]);
        if (!rig->is_inspected)
            continue;
        rig->shards[i].inspector = inspector_script_new();
        inspector_script_wake(rig->shards[i].inspector, wake, &rig->shards[i]);
    }
}

/* domain NULL: the two of a rig that is alone. */
static struct rig *rig_make(struct world *world, uint64_t seed, const char *domain, const char *address,
                            unsigned shard_count, unsigned accounts, const char *const *overrides)
{
    struct rig *rig = aligned_alloc(64, (sizeof *rig + 63) / 64 * 64);
    struct err err;
    uint8_t seeds[64];
    SL_CHECK(rig);
    memset(rig, 0, sizeof *rig);
    for (size_t i = 0; i < sizeof seeds; i++)
        seeds[i] = (uint8_t)(seed >> (8 * (i % 8))) ^ (uint8_t)i;
    rig->shard_count = shard_count;
    rig->tapped_before = tap_count() - wiretap_dialled();
    rig->world = world;
    rig->domain = domain ? domain : "example.com";
    log_set_level(getenv("SL_TRACE") ? LOG_DEBUG : LOG_WARN);
    rig->policy = policy_new(load(domain, overrides), NULL, &err, NULL);
    rig->router = router_new(shard_count, rig->policy->config->limits_link_size, seeds);
    rig->store = store_open("/nowhere", shard_count + 1, &err);
    SL_CHECK(rig->store && rig->policy);
    if (rig->policy->config->s2s_enabled) {
        SL_CHECK(resolver_config_init(&rig->resolver_config, rig->policy->config, &err));
        rig->resolver = resolver_open(&rig->resolver_config.settings, shard_count, &err);
        SL_CHECK(rig->resolver);
    }
    rig->group = world_group(rig->world, shard_count);
    listen_at(rig->group, address, 0, LISTEN_C2S);
    listen_at(rig->group, address, 0, LISTEN_C2S_TLS);
    listen_at(rig->group, address, 5269, LISTEN_S2S);
    listen_at(rig->group, address, 5270, LISTEN_S2S_TLS);
    rig->is_inspected = has_override(overrides, "rig.inspector=yes");
    make_shards(rig);
    struct store_client *client = store_client(rig->store, shard_count, wake, NULL);
    make_accounts(client, rig->domain, accounts);
    const char *also[9];
    also_of(overrides, also);
    for (unsigned i = 0; also[i]; i++)
        make_accounts(client, also[i], accounts);
    return rig;
}

struct rig *rig_new(uint64_t seed, unsigned shard_count, const struct world_chaos *chaos, unsigned accounts,
                    const char *const *overrides)
{
    const char *domain = NULL;
    for (const char *const *override = overrides; override && *override; override++)
        if (strncmp(*override, "rig.domain=", 11) == 0)
            domain = *override + 11;
    return rig_make(world_new(seed, chaos), seed, domain, "127.0.0.1", shard_count, accounts, overrides);
}

const char *rig_certs(char out[RIG_SETTING_SIZE], const char *key, const char *file)
{
    const char *folder = getenv("SL_TEST_CERTS");
    SL_CHECK(folder);
    int size = snprintf(out, RIG_SETTING_SIZE, "%s=%s/%s", key, folder, file);
    SL_CHECK(size > 0 && (unsigned)size < RIG_SETTING_SIZE);
    return out;
}

struct rig *rig_join(struct rig *host, const char *domain, const char *address, unsigned shard_count, unsigned accounts,
                     const char *const *overrides)
{
    struct rig *rig = rig_make(host->world, 4711, domain, address, shard_count, accounts, overrides);
    rig->host = host;
    return rig;
}

void rig_reload(struct rig *rig, const char *const *overrides)
{
    struct err err;
    struct policy *policy = policy_new(load(rig->host ? rig->domain : NULL, overrides), NULL, &err, NULL);
    SL_CHECK(policy);
    policy_succeed(policy, rig->policy);
    for (unsigned i = 0; i < rig->shard_count; i++) {
        shard_set_policy(&rig->shards[i], policy_ref(policy));
        io_notify(rig->shards[i].io); /* in the program this happens inside a turn */
    }
    policy_unref(rig->policy);
    rig->policy = policy;
}

void rig_find(struct rig *rig, const uint8_t *sha256, enum standing standing)
{
    for (unsigned i = 0; i < rig->shard_count; i++) {
        inspector_script_find(rig->shards[i].inspector, sha256, standing);
        io_notify(rig->shards[i].io);
    }
}

void rig_jump_wall(struct rig *rig, int64_t ms)
{
    world_jump_wall(rig->world, ms);
    for (unsigned i = 0; i < rig->shard_count; i++) {
        inspector_script_clock(rig->shards[i].inspector);
        io_notify(rig->shards[i].io);
    }
}

void rig_drain(struct rig *rig)
{
    for (unsigned i = 0; i < rig->shard_count; i++) {
        shard_drain(&rig->shards[i]);
        io_notify(rig->shards[i].io);
    }
}

uint64_t rig_counter(const struct rig *rig, enum counter counter)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < rig->shard_count; i++)
        sum += counter_read(&rig->counters[i], counter);
    return sum;
}

int64_t rig_balance(const struct rig *rig)
{
    uint64_t in = rig_counter(rig, COUNTER_STANZAS_IN) + rig_counter(rig, COUNTER_BORN);
    uint64_t out = rig_counter(rig, COUNTER_DELIVERED) + rig_counter(rig, COUNTER_ROUTED) +
                   rig_counter(rig, COUNTER_ANSWERED) + rig_counter(rig, COUNTER_REFUSED) +
                   rig_counter(rig, COUNTER_DROPPED) + rig_counter(rig, COUNTER_LOST) +
                   rig_counter(rig, COUNTER_S2S_WAITING);
    uint64_t under_way = rig_counter(rig, COUNTER_MAIL_OUT) - rig_counter(rig, COUNTER_MAIL_IN);
    return (int64_t)(in - out - under_way);
}

void rig_run(struct rig *rig, uint64_t ms)
{
    uint64_t end = world_now_ms(rig->world) + ms;
    while (world_now_ms(rig->world) < end) {
        world_settle(rig->world, 100000);
        uint64_t next = world_deadline_ms(rig->world);
        uint64_t now = world_now_ms(rig->world);
        if (next > end)
            next = end;
        world_advance(rig->world, next > now ? next - now : 1);
    }
    world_settle(rig->world, 100000);
}

void rig_free(struct rig *rig)
{
    SL_CHECK(rig_counter(rig, COUNTER_CONNECTIONS) == 0);
    SL_CHECK(rig_counter(rig, COUNTER_SESSIONS) == 0);
    SL_CHECK(rig_counter(rig, COUNTER_MAIL_OUT) == rig_counter(rig, COUNTER_MAIL_IN));
    SL_CHECK(rig_balance(rig) == 0);
    SL_CHECK(rig_counter(rig, COUNTER_S2S_WAITING) == 0);
    uint64_t accepted = rig_counter(rig, COUNTER_ACCEPTED) + rig->guests_accepted;
    SL_CHECK(accepted <= tap_count() - wiretap_dialled() - rig->tapped_before);
    if (rig->host)
        rig->host->guests_accepted += accepted;
    for (unsigned i = 0; i < rig->shard_count; i++) {
        SL_CHECK(!rig->shards[i].streams && rig->shards[i].users.count == 0 && mail_waiting(&rig->shards[i]) == 0);
        struct io *io = rig->shards[i].io;
        SL_CHECK(!rig->is_inspected || inspector_script_count(rig->shards[i].inspector) == 0);
        shard_fini(&rig->shards[i]);
        if (rig->is_inspected)
            inspector_script_free(rig->shards[i].inspector);
        io_free(io);
    }
    if (!rig->host)
        world_free(rig->world);
    if (rig->resolver)
        resolver_close(rig->resolver);
    resolver_config_fini(&rig->resolver_config);
    store_close(rig->store);
    router_free(rig->router);
    policy_unref(rig->policy);
    free(rig);
}
