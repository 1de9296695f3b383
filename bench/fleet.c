/* SPDX-License-Identifier: MIT */
#include "bench/fleet.h"

#include "bench/client.h"
#include "bench/flood.h"
#include "bench/pace.h"
#include "bench/traffic.h"
#include "core/base/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECTIONS_SPARE 64u /* a connection that closes and the next of the same client overlap */

void fleet_note(struct fleet *fleet, const char *format, ...)
{
    va_list list;
    if (fleet->first_error[0])
        return;
    va_start(list, format);
    vsnprintf(fleet->first_error, sizeof fleet->first_error, format, list);
    va_end(list);
}

void fleet_enqueue(struct fleet *fleet, struct client *client)
{
    client->next_idle = NULL;
    *fleet->idle_tail = client;
    fleet->idle_tail = &client->next_idle;
}

void fleet_login_over(struct fleet *fleet)
{
    SL_CHECK(fleet->logging_in > 0);
    fleet->logging_in--;
}

/* Begins logins as far as the rate and their number at once allow. Returns when to look again. */
static uint64_t start_logins(struct fleet *fleet)
{
    const struct load_options *options = fleet->options;
    double rate = options->login_rate / options->threads;
    /* A relay joins connections in the order in which it accepts them, so they are dialled one by one. */
    uint32_t at_once = options->is_relay             ? 1
                       : options->mode == MODE_FLOOD ? options->sessions
                                                     : options->logins_at_once;
    bool goes_on = options->mode == MODE_LOGIN || options->mode == MODE_STORM || options->mode == MODE_FLOOD;
    bool may_start = fleet->phase == PHASE_LOGIN || (fleet->phase == PHASE_RUN && goes_on);
    while (may_start && fleet->idle && fleet->logging_in < at_once) {
        uint64_t now = io_now_fresh_ns(fleet->io);
        if (fleet->idle->due_ns > now)
            return fleet->idle->due_ns / 1000000 + 1;
        if (options->login_rate > 0 && now < fleet->login_due_ns)
            return fleet->login_due_ns / 1000000 + 1;
        fleet->login_due_ns =
            (fleet->login_due_ns ? fleet->login_due_ns : now) + (options->login_rate > 0 ? (uint64_t)(1e9 / rate) : 0);
        struct client *client = fleet->idle;
        fleet->idle = client->next_idle;
        if (!fleet->idle)
            fleet->idle_tail = &fleet->idle;
        fleet->logging_in++;
        if (options->mode == MODE_FLOOD)
            flood_dial(client);
        else
            client_dial(client);
    }
    return UINT64_MAX;
}

static void cut_all(struct fleet *fleet)
{
    fleet->cut_ns = io_now_fresh_ns(fleet->io);
    for (uint32_t i = 0; i < fleet->client_count; i++)
        if (fleet->clients[i].state == CLIENT_BOUND)
            client_cut(&fleet->clients[i]);
}

static void follow_phase(struct fleet *fleet)
{
    enum phase phase = (enum phase)atomic_load_explicit(&fleet->load->phase, memory_order_acquire);
    fleet->is_measuring = atomic_load_explicit(&fleet->load->is_measuring, memory_order_relaxed);
    if (phase == fleet->phase)
        return;
    fleet->phase = phase;
    if (phase == PHASE_RUN)
        traffic_begin(fleet);
    if (phase == PHASE_RUN && fleet->options->mode == MODE_STORM)
        cut_all(fleet);
    if (phase == PHASE_LEAVE && fleet->options->mode == MODE_FLOOD)
        flood_end(fleet);
    for (uint32_t i = 0; i < fleet->client_count && phase == PHASE_LEAVE; i++)
        if (fleet->clients[i].state == CLIENT_BOUND)
            client_leave(&fleet->clients[i]);
    fleet_set(fleet, TALLY_PHASE, phase);
}

uint64_t fleet_turn(void *context)
{
    struct fleet *fleet = context;
    follow_phase(fleet);
    uint64_t login_ms = start_logins(fleet);
    uint64_t traffic_ms = traffic_turn(fleet), pace_ms = pace_turn(fleet);
    traffic_ms = pace_ms < traffic_ms ? pace_ms : traffic_ms;
    while (fleet->dirty) {
        struct client *client = fleet->dirty;
        fleet->dirty = client->next_dirty;
        client->is_dirty = false;
        client_flush(client);
    }
    return login_ms < traffic_ms ? login_ms : traffic_ms;
}

/* The run was given up: says where it hangs. */
static void note_stuck(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->client_count; i++) {
        const struct client *client = &fleet->clients[i];
        if (fleet->options->mode == MODE_FLOOD)
            return; /* which waits for nothing */
        if (client->state != CLIENT_OFF && client->state < CLIENT_BOUND)
            fleet_note(fleet, "user%u waits in the state %s, for one", client_user(client),
                       client_state_names[client->state]);
        else if (fleet->options->mode == MODE_PRESENCE && client->received < client->partner->sent)
            fleet_note(fleet, "session %u of user%u has heard %u changes of %u, for one", client->number,
                       client_user(client), client->received, client->partner->sent);
        else if (fleet->options->mode != MODE_PRESENCE && client->sent != client->partner->received)
            fleet_note(fleet, "user%u sent %u, and %u arrived at user%u, for one", client_user(client), client->sent,
                       client->partner->received, client_user(client->partner));
        else if (client->state == CLIENT_LEAVING)
            fleet_note(fleet, "user%u closed its stream and waits for the server to do so, for one",
                       client_user(client));
    }
}

static void *fleet_main(void *argument)
{
    struct fleet *fleet = argument;
    struct io_config config = io_config_default;
    struct err err;
    config.connection_max = fleet->client_count + CONNECTIONS_SPARE;
    fleet->io = io_new(fleet->load->group, fleet->index, &config,
                       fleet->options->mode == MODE_FLOOD ? &flood_io_handler : &client_io_handler, fleet,
                       &fleet->counters, &err);
    if (!fleet->io) {
        fleet_note(fleet, "%s", err.text);
        io_abandon(fleet->load->group);
        sem_post(&fleet->is_open);
        return NULL;
    }
    fleet->pool = io_pool(fleet->io);
    sem_post(&fleet->is_open);
    if (io_ready(fleet->io))
        io_run(fleet->io);
    note_stuck(fleet);
    for (uint32_t i = 0; i < fleet->client_count; i++)
        client_clear(&fleet->clients[i]);
    io_free(fleet->io);
    return NULL;
}

/* Pairs are dealt out to the fleets in turn, whole. */
static void make_clients(struct fleet *fleet)
{
    const struct load_options *options = fleet->options;
    uint32_t unit = options->mode == MODE_CHAT || options->mode == MODE_RATE ? 2 : 1;
    fleet->idle_tail = &fleet->idle;
    for (uint32_t n = fleet->index; n < options->sessions / unit; n += options->threads) {
        for (uint32_t i = 0; i < unit; i++) {
            struct client *client = &fleet->clients[fleet->client_count + i];
            client->fleet = fleet;
            client->number = n * unit + i;
            client->partner = &fleet->clients[fleet->client_count + (unit == 2 ? 1 - i : 0)];
            if (options->mode == MODE_PRESENCE)
                client->partner = &fleet->clients[client->number % options->users];
            client->partner->audience += client->partner != client;
            fleet_enqueue(fleet, client);
        }
        fleet->client_count += unit;
    }
}

bool fleet_start(struct fleet *fleet, struct load *load, unsigned index, struct err *err)
{
    fleet->load = load;
    fleet->options = &load->options;
    fleet->index = index;
    fleet->scratch = xml_scratch_new(client_limits());
    fleet->keys = calloc(FLEET_KEYS_MAX, sizeof *fleet->keys);
    fleet->clients = calloc(load->options.sessions / load->options.threads + 2, sizeof *fleet->clients);
    if (!fleet->scratch || !fleet->keys || !fleet->clients) {
        err_set(err, "no memory for %u clients", load->options.sessions);
        return false;
    }
    make_clients(fleet);
    if (load->options.record && !(fleet->record = fopen(load->options.record, "we"))) {
        err_set(err, "%s: %s", load->options.record, strerror(errno));
        return false;
    }
    sem_init(&fleet->is_open, 0, 0);
    int error = pthread_create(&fleet->thread, NULL, fleet_main, fleet);
    if (error) {
        err_set(err, "cannot start thread %u: %s", index, strerror(error));
        return false;
    }
    while (sem_wait(&fleet->is_open) != 0)
        ;
    if (!fleet->io)
        err_set(err, "%s", fleet->first_error);
    return fleet->io != NULL;
}

void fleet_notify(struct fleet *fleet)
{
    io_notify(fleet->io);
}

void fleet_join(struct fleet *fleet)
{
    io_stop(fleet->io);
    pthread_join(fleet->thread, NULL);
    if (fleet->record)
        fclose(fleet->record);
    xml_scratch_free(fleet->scratch);
    free(fleet->keys);
    free(fleet->clients);
    flood_free(fleet);
}
