/* SPDX-License-Identifier: MIT */
/* The shards of one simulated process and the addresses they listen on. */
#include "core/base/check.h"
#include "io/sim/sim_priv.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* The first port given out when a listener asks for any. */
#define PORT_FIRST 20000u

struct io_group *io_group_new(unsigned shard_count, struct err *err)
{
    (void)shard_count;
    err_set(err, "This program is linked with the simulated io: its group comes from world_group().");
    return NULL;
}

void io_group_free(struct io_group *group)
{
    if (group == NULL)
        return;
    struct io_group **link = &group->world->groups;
    while (*link != group)
        link = &(*link)->next;
    *link = group->next;
    for (unsigned i = 0; i < group->shard_count; i++)
        SL_CHECK(group->ios[i] == NULL);
    free(group->ios);
    free(group->listeners);
    free(group);
}

/* Nobody vanishes unseen in this world. */
void io_group_keepalive(struct io_group *group, uint32_t idle_s)
{
    SL_CHECK(idle_s <= IO_KEEPALIVE_MAX && group->shard_count > 0);
}

struct io_group *world_group(struct world *world, unsigned shard_count)
{
    SL_CHECK(shard_count > 0 && !world->stepping);
    struct io_group *group = calloc(1, sizeof *group);
    SL_CHECK(group != NULL);
    group->world = world;
    group->shard_count = shard_count;
    group->ios = calloc(shard_count, sizeof *group->ios);
    SL_CHECK(group->ios != NULL);
    /* At the end: the first group is the one that peer_connect() means. */
    struct io_group **end = &world->groups;
    while (*end != NULL)
        end = &(*end)->next;
    *end = group;
    world->order_count += shard_count;
    world->order = realloc(world->order, world->order_count * sizeof(struct io *));
    SL_CHECK(world->order != NULL);
    return group;
}

void sim_address_copy(struct sockaddr_storage *to, const struct sockaddr *from)
{
    SL_CHECK(from->sa_family == AF_INET || from->sa_family == AF_INET6);
    memset(to, 0, sizeof *to);
    memcpy(to, from, from->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
}

static uint16_t port_of(const struct sockaddr *address)
{
    return ntohs(address->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)address)->sin6_port
                                                : ((const struct sockaddr_in *)(const void *)address)->sin_port);
}

static bool is_same_host(const struct sockaddr_storage *a, const struct sockaddr *b)
{
    if (a->ss_family != b->sa_family)
        return false;
    if (a->ss_family == AF_INET6)
        return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                      &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
    return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
           ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
}

/* "*", "0.0.0.0" and "::" are any address, of both families. */
static bool parse_address(const char *text, struct sockaddr_storage *address)
{
    memset(address, 0, sizeof *address);
    struct in6_addr six;
    struct in_addr four;
    if (strcmp(text, "*") == 0 || strcmp(text, "0.0.0.0") == 0 || strcmp(text, "::") == 0)
        return true;
    if (inet_pton(AF_INET, text, &four) == 1) {
        address->ss_family = AF_INET;
        ((struct sockaddr_in *)address)->sin_addr = four;
        return true;
    }
    if (inet_pton(AF_INET6, text, &six) == 1) {
        address->ss_family = AF_INET6;
        ((struct sockaddr_in6 *)address)->sin6_addr = six;
        return true;
    }
    return false;
}

const struct listener *sim_listener_at(struct world *world, const struct sockaddr *address, struct io_group **group)
{
    for (*group = world->groups; *group != NULL; *group = (*group)->next) {
        for (size_t i = 0; i < (*group)->listener_count; i++) {
            const struct listener *listener = &(*group)->listeners[i];
            bool is_any = listener->address.ss_family == AF_UNSPEC;
            if (listener->port == port_of(address) && (is_any || is_same_host(&listener->address, address)))
                return listener;
        }
    }
    return NULL;
}

const struct listener *sim_listener_tagged(const struct io_group *group, unsigned tag)
{
    for (size_t i = 0; i < group->listener_count; i++)
        if (group->listeners[i].tag == tag)
            return &group->listeners[i];
    return NULL;
}

static bool is_taken(const struct world *world, const struct listener *wanted)
{
    for (const struct io_group *group = world->groups; group != NULL; group = group->next) {
        for (size_t i = 0; i < group->listener_count; i++) {
            const struct listener *other = &group->listeners[i];
            bool is_any = other->address.ss_family == AF_UNSPEC || wanted->address.ss_family == AF_UNSPEC;
            if (other->port == wanted->port &&
                (is_any || is_same_host(&other->address, (const struct sockaddr *)&wanted->address)))
                return true;
        }
    }
    return false;
}

bool io_group_listen(struct io_group *group, const char *address, uint16_t *port, unsigned tag, struct err *err)
{
    SL_CHECK(!group->started);
    struct listener listener = {.port = *port, .tag = tag};
    if (!parse_address(address, &listener.address)) {
        err_set(err, "Cannot listen on \"%s\": not an IPv4 or IPv6 address.", address);
        return false;
    }
    if (listener.port == 0)
        listener.port = (uint16_t)(PORT_FIRST + group->world->port_next++);
    if (is_taken(group->world, &listener)) {
        err_set(err, "Cannot listen on %s port %u: the address is in use.", address, listener.port);
        return false;
    }
    group->listeners = realloc(group->listeners, (group->listener_count + 1) * sizeof listener);
    SL_CHECK(group->listeners != NULL);
    group->listeners[group->listener_count++] = listener;
    *port = listener.port;
    return true;
}

/* The entry of that very address is stronger than that of its port, and that one than the one of all ports. */
struct far sim_far(const struct world *world, const struct sockaddr *address)
{
    struct far found = {.does = FAR_REFUSES};
    unsigned rank = 0;
    for (size_t i = 0; i < world->far_count; i++) {
        const struct far *far = &world->fars[i];
        bool is_host = far->address.ss_family != AF_UNSPEC;
        unsigned far_rank = is_host ? 3 : far->port ? 2 : 1;
        bool fits = (!far->port || far->port == port_of(address)) && (!is_host || is_same_host(&far->address, address));
        if (!fits || far_rank <= rank)
            continue;
        found = *far;
        rank = far_rank;
    }
    return found;
}

static void far_set(struct world *world, const struct far *wanted)
{
    for (size_t i = 0; i < world->far_count; i++) {
        struct far *far = &world->fars[i];
        if (far->port == wanted->port && memcmp(&far->address, &wanted->address, sizeof far->address) == 0) {
            *far = *wanted;
            return;
        }
    }
    world->fars = realloc(world->fars, (world->far_count + 1) * sizeof *world->fars);
    SL_CHECK(world->fars != NULL);
    world->fars[world->far_count++] = *wanted;
}

void world_set_far(struct world *world, uint16_t port, enum world_far does)
{
    far_set(world, &(struct far){.port = port, .does = does});
}

void world_set_far_at(struct world *world, const char *host, uint16_t port, enum world_far does, uint64_t delay_ms)
{
    struct far far = {.port = port, .does = does, .delay_ms = delay_ms};
    SL_CHECK(port != 0 && parse_address(host, &far.address) && far.address.ss_family != AF_UNSPEC);
    far_set(world, &far);
}
