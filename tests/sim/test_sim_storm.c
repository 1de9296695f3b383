/* SPDX-License-Identifier: MIT */
/*
 * Storm: many actors on several shards log in, chat with numbered messages, ask each other and the server, change their
 * presence, leave, are reset, stop reading, and come back, under every kind of chaos of the simulated io. The ledger:
 *
 *   order      numbers from one sender's connection arrive at one recipient's connection ascending, none twice
 *   answers    between actors that live through the run every message arrives or comes back as an error, and every iq
 *              to the server and to a steady actor gets one answer
 *   books      accepted + born = delivered + answered + refused + dropped at every look, and when all is over no
 *              connection, session, user, letter or buffer is left (rig_free)
 *
 * One seed, one run: SL_SEED=n repeats it, SL_SEEDS=n runs so many.
 */
#include "tests/sim/actor.h"

#include "core/base/check.h"

#include <stdio.h>
#include <stdlib.h>

#define ACTORS 12u
#define STEPS  1500u

struct pair {
    unsigned seen;     /* the last number that arrived, sent to the full or to the bare address */
    unsigned sent;     /* to the full address */
    unsigned arrived;  /* of these */
    unsigned returned; /* of these, as errors */
};

struct player {
    struct actor actor;
    unsigned index;
    bool is_steady;            /* never resets: what it sends to another steady one must be accounted for */
    bool is_slow;              /* does not read just now */
    unsigned asked, answered;  /* iqs to the server in this connection */
    unsigned iq_sent, iq_back; /* iqs to other actors */
    unsigned number;           /* of the last message: one count for all recipients */
};

struct storm {
    struct rig *rig;
    uint64_t dice;
    uint64_t seed;
    struct player players[ACTORS];
    struct pair pairs[ACTORS][ACTORS];
};

static uint64_t roll(struct storm *storm, uint64_t sides)
{
    /* xorshift64*: Vigna 2016. */
    storm->dice ^= storm->dice >> 12;
    storm->dice ^= storm->dice << 25;
    storm->dice ^= storm->dice >> 27;
    return (storm->dice * UINT64_C(2685821657736338717) >> 33) % sides;
}

static void broken(const struct storm *storm, const char *law, unsigned from, unsigned to, unsigned number)
{
    fprintf(stderr, "seed %llu: %s broken: %u to %u, number %u\n", (unsigned long long)storm->seed, law, from, to,
            number);
    abort();
}

/* "m-FROM-LOGIN-TO-LOGIN-NUMBER" as id; m for the full address, b for the bare one. */
static bool parse(struct span id, char *kind, unsigned field[5])
{
    char text[64];
    if (id.size >= sizeof text)
        return false;
    memcpy(text, id.ptr, id.size);
    text[id.size] = '\0';
    return sscanf(text, "%c-%u-%u-%u-%u-%u", kind, &field[0], &field[1], &field[2], &field[3], &field[4]) == 6;
}

static void heard_message(struct storm *storm, struct player *player, struct span id, bool is_error)
{
    unsigned field[5];
    char kind;
    if (!parse(id, &kind, field))
        return;
    bool is_full = kind == 'm';
    if (is_error) {
        if (is_full && field[0] == player->index && field[1] == player->actor.login)
            storm->pairs[field[0]][field[2]].returned++;
        return;
    }
    struct player *sender = &storm->players[field[0]];
    if (is_full ? field[2] != player->index : field[2] / 2 != player->index / 2)
        broken(storm, "address", field[0], player->index, field[4]);
    if (field[1] != sender->actor.login || (is_full && field[3] != player->actor.login))
        return; /* of an earlier connection of either: order is promised for one pair of connections */
    struct pair *pair = &storm->pairs[field[0]][player->index];
    if (field[4] <= pair->seen)
        broken(storm, "order", field[0], player->index, field[4]);
    pair->seen = field[4];
    pair->arrived += is_full;
}

static void heard(struct actor *actor, const struct xml_stanza *stanza)
{
    struct player *player = actor->context;
    struct storm *storm = (struct storm *)((char *)(player - player->index) - offsetof(struct storm, players));
    char id_room[128], type_room[32];
    const struct xml_attribute *id_attribute = xml_attribute(stanza, 0, NS_NONE, "id");
    const struct xml_attribute *type_attribute = xml_attribute(stanza, 0, NS_NONE, "type");
    struct span id = id_attribute ? xml_value(stanza, id_attribute, id_room, sizeof id_room) : SPAN("");
    struct span type = type_attribute ? xml_value(stanza, type_attribute, type_room, sizeof type_room) : SPAN("");
    if (xml_is(stanza, 0, NS_CLIENT, "message")) {
        heard_message(storm, player, id, span_is(type, "error"));
    } else if (xml_is(stanza, 0, NS_CLIENT, "iq")) {
        if (span_is(type, "get")) {
            char from[128];
            struct span asker = xml_value(stanza, xml_attribute(stanza, 0, NS_NONE, "from"), from, sizeof from);
            actor_send(actor, "<iq type='result' to='%.*s' id='%.*s'/>", SPAN_ARG(asker), SPAN_ARG(id));
        } else if (id.size && id.ptr[0] == 's') {
            player->answered++;
        } else if (id.size && id.ptr[0] == 'q') {
            player->iq_back++;
        }
    }
}

static void begin_connection(struct storm *storm, struct player *player)
{
    player->asked = player->answered = player->iq_sent = player->iq_back = player->number = 0;
    player->is_slow = false;
    for (unsigned i = 0; i < ACTORS; i++) {
        storm->pairs[player->index][i] = (struct pair){0};
        storm->pairs[i][player->index] = (struct pair){0};
    }
    actor_connect(&player->actor, (unsigned)roll(storm, storm->rig->shard_count));
}

static void say(struct storm *storm, struct player *from, struct player *to)
{
    struct pair *pair = &storm->pairs[from->index][to->index];
    static const char words[] = "the quick brown fox jumps over the lazy dog &amp; ";
    char body[2600];
    size_t size = roll(storm, 4) ? roll(storm, 100) : roll(storm, sizeof body - 1);
    for (size_t i = 0; i < size; i++)
        body[i] = words[(i + from->number) % 44];
    body[size] = '\0';
    from->number++;
    bool is_bare = roll(storm, 4) == 0;
    pair->sent += !is_bare;
    const char *slash = strchr(to->actor.jid, '/');
    int address = is_bare ? (int)(slash - to->actor.jid) : (int)strlen(to->actor.jid);
    actor_send(&from->actor, "<message to='%.*s' %s id='%c-%u-%u-%u-%u-%u'><body>%s</body></message>", address,
               to->actor.jid, is_bare ? "type='chat'" : "", is_bare ? 'b' : 'm', from->index, from->actor.login,
               to->index, to->actor.login, from->number, body);
}

/* One shard stands still while somebody writes much: the links to it fill. */
static void stall_and_flood(struct storm *storm, struct player *from, struct player *to)
{
    struct io *io = storm->rig->shards[roll(storm, storm->rig->shard_count)].io;
    world_set_stalled(io, true);
    for (unsigned i = 0; i < 150; i++) {
        say(storm, from, to);
        world_step(storm->rig->world);
    }
    world_set_stalled(io, false);
}

static void act(struct storm *storm, struct player *player)
{
    struct actor *actor = &player->actor;
    if (actor->state == ACTOR_OFF || actor->state == ACTOR_ENDED) {
        if (roll(storm, 4) == 0)
            begin_connection(storm, player);
        return;
    }
    uint64_t what = roll(storm, 100);
    if (!player->is_steady && what < 2) {
        actor_reset(actor);
        return;
    }
    if (actor->state != ACTOR_BOUND)
        return;
    struct player *other = &storm->players[roll(storm, ACTORS)];
    if (what < 60 && other->actor.state == ACTOR_BOUND) {
        say(storm, player, other);
    } else if (what < 70) {
        actor_send(actor, "<iq type='get' to='example.com' id='s%u'><ping xmlns='urn:xmpp:ping'/></iq>",
                   player->asked++);
    } else if (what < 80 && other->actor.state == ACTOR_BOUND && other != player && other->is_steady) {
        actor_send(actor, "<iq type='get' to='%s' id='q%u'><x xmlns='urn:example'/></iq>", other->actor.jid,
                   player->iq_sent++);
    } else if (what < 84) {
        actor_send(actor, roll(storm, 2) ? "<presence/>" : "<presence><priority>3</priority></presence>");
    } else if (what < 85 && other->actor.jid[0]) {
        actor_send(actor, "<presence to='%s'/>", other->actor.jid);
    } else if (what < 87) {
        player->is_slow = !player->is_slow;
        peer_set_window(actor->peer, player->is_slow ? 200 : 1 << 20);
    } else if (!player->is_steady && what < 88) {
        actor_leave(actor);
    } else if (what < 90) {
        actor_send(actor, " \n");
    } else if (what < 92 && other->actor.state == ACTOR_BOUND) {
        stall_and_flood(storm, player, other);
    }
}

static void poll_all(struct storm *storm)
{
    for (unsigned i = 0; i < ACTORS; i++)
        if (storm->players[i].actor.peer && !storm->players[i].is_slow)
            actor_poll(&storm->players[i].actor);
    if (rig_balance(storm->rig) != 0)
        broken(storm, "conservation", 0, 0, (unsigned)rig_balance(storm->rig));
}

static void calm_down(struct storm *storm)
{
    for (unsigned i = 0; i < ACTORS; i++) {
        struct player *player = &storm->players[i];
        player->is_slow = false;
        if (player->actor.peer)
            peer_set_window(player->actor.peer, 1 << 24);
    }
    for (unsigned round = 0; round < 60; round++) {
        rig_run(storm->rig, 20);
        poll_all(storm);
    }
}

static void settle_accounts(struct storm *storm)
{
    for (unsigned i = 0; i < ACTORS; i++) {
        struct player *from = &storm->players[i];
        if (!from->is_steady)
            continue;
        if (from->actor.state != ACTOR_BOUND)
            broken(storm, "steadiness", i, i, from->actor.state);
        if (from->asked != from->answered)
            broken(storm, "answers", i, i, from->answered);
        if (from->iq_sent != from->iq_back)
            broken(storm, "iq answers", i, i, from->iq_back);
        for (unsigned j = 0; j < ACTORS; j++) {
            struct pair *pair = &storm->pairs[i][j];
            if (storm->players[j].is_steady && pair->arrived + pair->returned != pair->sent)
                broken(storm, "nothing lost", i, j, pair->sent);
        }
    }
}

/* What the storms have met in all: a storm that met nothing proves nothing. */
static const enum counter seen[] = {COUNTER_STANZAS_IN, COUNTER_DELIVERED, COUNTER_REFUSED,   COUNTER_RETURNED,
                                    COUNTER_MAIL_OUT,   COUNTER_LINK_FULL, COUNTER_THROTTLED, COUNTER_DEPARTED};
static uint64_t totals[sizeof seen / sizeof seen[0]];

static void run(uint64_t seed, unsigned shards)
{
    struct storm *storm = calloc(1, sizeof *storm);
    static const char *const tight[] = {"limits.queue_soft=4KiB", "limits.queue_hard=64KiB", "limits.stanza_size=16KiB",
                                        "limits.link_size=64KiB", NULL};
    SL_CHECK(storm);
    storm->seed = seed;
    storm->dice = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    struct world_chaos chaos = {
        .cut_receives = roll(storm, 2),
        .cut_sends = roll(storm, 2),
        .delay = roll(storm, 2),
        .buffers_run_out = roll(storm, 2),
        .receive_max = roll(storm, 3) ? 0 : 32,
        .handoff_fail_one_in = roll(storm, 4) ? 0 : 50,
    };
    storm->rig = rig_new(seed, shards, &chaos, ACTORS, roll(storm, 2) ? tight : NULL);
    for (unsigned i = 0; i < ACTORS; i++) {
        struct player *player = &storm->players[i];
        player->index = i;
        player->is_steady = i < ACTORS / 2 && !chaos.handoff_fail_one_in;
        /* Two actors an account: resources of one user meet too. */
        actor_init(&player->actor, storm->rig, i / 2, heard, player);
        snprintf(player->actor.resource, sizeof player->actor.resource, "r%u", i);
        if (player->is_steady) {
            SL_CHECK(actor_bind(&player->actor, (unsigned)roll(storm, shards)));
            actor_send(&player->actor, "<presence/>");
        }
    }
    rig_run(storm->rig, 50);
    for (unsigned step = 0; step < STEPS; step++) {
        act(storm, &storm->players[roll(storm, ACTORS)]);
        for (uint64_t i = roll(storm, 4); i; i--)
            world_step(storm->rig->world);
        if (roll(storm, 10) == 0)
            world_advance(storm->rig->world, roll(storm, 5));
        poll_all(storm);
    }
    calm_down(storm);
    settle_accounts(storm);
    for (unsigned i = 0; i < ACTORS; i++)
        if (storm->players[i].actor.state == ACTOR_BOUND && roll(storm, 2))
            actor_leave(&storm->players[i].actor);
    calm_down(storm);
    for (unsigned i = 0; i < ACTORS; i++)
        actor_fini(&storm->players[i].actor);
    for (unsigned i = 0; i < sizeof seen / sizeof seen[0]; i++)
        totals[i] += rig_counter(storm->rig, seen[i]);
    rig_run(storm->rig, 40000); /* whoever was cut off in its login is gone by its deadline */
    rig_free(storm->rig);
    free(storm);
}

int main(void)
{
    static const unsigned shards[] = {1, 2, 3, 8};
    const char *one = getenv("SL_SEED"), *many = getenv("SL_SEEDS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t count = one ? 1 : many ? strtoull(many, NULL, 10) : 60;
    for (uint64_t seed = first; seed < first + count; seed++)
        run(seed, shards[seed % 4]);
    printf("%llu seeds from %llu: order, answers, nothing lost, books balanced\n", (unsigned long long)count,
           (unsigned long long)first);
    for (unsigned i = 0; i < sizeof seen / sizeof seen[0]; i++) {
        printf("  %s %llu\n", counter_infos[seen[i]].name, (unsigned long long)totals[i]);
        SL_CHECK(totals[i] || one);
    }
    return 0;
}
