/* SPDX-License-Identifier: MIT */
/*
 * Storms between servers: two and three routers in one world, accounts on several domains that write to each other, and
 * all that goes wrong at once: wires cut at any moment of any negotiation, reloads, `s2s close`, sessions that end,
 * recipients and shards that stand still, bytes in pieces, late completions, hand-overs that fail. The ledger:
 *
 *   once       no stanza arrives twice, is answered twice, or arrives and comes back
 *   order      what one session says to another arrives ascending, whichever streams carried it
 *   lost       of two sessions that live through the storm every message arrives or comes back as an error, and every
 *              iq is answered: unless it, or its answer, was given to a wire that the storm cut, and not read from it
 *   books      in every router accepted + born = delivered + answered + refused + dropped at every look; when all is
 *              over no connection, session, pair, contact, letter or buffer is left
 *
 * s2s.acks is off here: is_excused() is the whole list of what may be lost without XEP-0198 between servers. With it
 * "once" gives way: what was not acknowledged comes again.
 *
 * One seed, one run: SL_SEED=n repeats it, SL_SEEDS=n runs so many.
 */
#include "core/base/check.h"
#include "router/admin/control_priv.h"
#include "router/admin/survey.h"
#include "router/s2s/s2s.h"
#include "tests/sim/actor.h"
#include "tests/sim/witness.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUTERS_MAX 3u
#define PER_ROUTER  4u /* actors: two steady ones, on two domains if there are, and two that come and go */
#define ACTORS_MAX  (ROUTERS_MAX * PER_ROUTER)
#define ITEMS_MAX   4000u
#define STEPS       500u

enum kind { MESSAGE, IQ, PRESENCE };

/* A stanza on its way there (0) or its answer on its way back (1). */
struct leg {
    unsigned said, read;
    uint64_t wire; /* the last one that it was given to */
};

struct item {
    enum kind kind;
    unsigned from, to;             /* players */
    unsigned from_login, to_login; /* their connections when it was said */
    unsigned arrived, back;
    struct leg legs[2];
};

struct player {
    struct storm *storm;
    struct actor actor;
    unsigned index, router;
    bool is_steady, is_slow;
    bool was_cut; /* its connection was reset in the current login, or the last */
};

struct storm {
    uint64_t seed, dice;
    unsigned router_count, player_count, item_count;
    bool is_secure, hands_fail;
    struct rig *rigs[ROUTERS_MAX];
    struct player players[ACTORS_MAX];
    unsigned last[ACTORS_MAX][ACTORS_MAX]; /* 1 more than the number of what arrived last */
    struct item items[ITEMS_MAX];
    char overrides[ROUTERS_MAX][16][640];
};

static uint64_t roll(struct storm *storm, uint64_t sides)
{
    /* xorshift64*: Vigna 2016. */
    storm->dice ^= storm->dice >> 12;
    storm->dice ^= storm->dice << 25;
    storm->dice ^= storm->dice >> 27;
    return (storm->dice * UINT64_C(2685821657736338717) >> 33) % sides;
}

static void broken(const struct storm *storm, const char *law, unsigned number)
{
    const struct item *item = &storm->items[number < ITEMS_MAX ? number : 0];
    fprintf(stderr, "seed %llu: %s broken: number %u, kind %d, %u to %u, arrived %u, back %u\n",
            (unsigned long long)storm->seed, law, number, (int)item->kind, item->from, item->to, item->arrived,
            item->back);
    for (unsigned i = 0; i < 2; i++)
        fprintf(stderr, "  leg %u: said %u, read %u, wire %llu%s\n", i, item->legs[i].said, item->legs[i].read,
                (unsigned long long)item->legs[i].wire, witness_is_cut(item->legs[i].wire) ? " (cut)" : "");
    abort();
}

/* ------------------------------------------------------------------------------------------------ the ledger */

static void passed(void *context, const struct router *router, uint64_t wire, unsigned number, bool is_read)
{
    struct storm *storm = context;
    SL_CHECK(number < storm->item_count);
    if (getenv("SL_TRACE"))
        fprintf(stderr, "wire %llu: number %u %s by router %s\n", (unsigned long long)wire, number,
                is_read ? "read" : "said", router == storm->rigs[0]->router ? "0" : "1 or 2");
    struct item *item = &storm->items[number];
    bool is_senders = storm->rigs[storm->players[item->from].router]->router == router;
    struct leg *leg = &item->legs[is_senders == is_read];
    if (is_read) {
        leg->read++;
        return;
    }
    if (leg->said) /* without XEP-0198 nothing is said again */
        broken(storm, "once (on the wires)", number);
    leg->said++;
    leg->wire = wire;
}

/* What a wire that was cut has swallowed. */
static bool is_swallowed(const struct leg *leg)
{
    return leg->said && !leg->read && witness_is_cut(leg->wire);
}

/* Without XEP-0198 between servers: what was given to the io of a connection that broke, and did not come out of the io
 * at its other end. With it: nothing, but for a router that ends meanwhile. */
static bool is_excused(const struct item *item)
{
    return is_swallowed(&item->legs[0]) || is_swallowed(&item->legs[1]);
}

static bool parse(const struct xml_stanza *stanza, unsigned *number)
{
    char room[64], text[64];
    const struct xml_attribute *id = xml_attribute(stanza, 0, NS_NONE, "id");
    struct span value = id ? xml_value(stanza, id, room, sizeof room) : SPAN("");
    snprintf(text, sizeof text, "%.*s", SPAN_ARG(value));
    return sscanf(text, "#%u#", number) == 1;
}

static void arrived(struct player *player, unsigned number)
{
    struct storm *storm = player->storm;
    struct item *item = &storm->items[number];
    if (item->to != player->index)
        broken(storm, "address", number);
    if (item->arrived++)
        broken(storm, "once (arrives twice)", number);
    unsigned *last = &storm->last[item->from][item->to];
    if (number + 1 <= *last)
        broken(storm, "order", number);
    *last = number + 1;
}

static void heard(struct actor *actor, const struct xml_stanza *stanza)
{
    struct player *player = actor->context;
    struct storm *storm = player->storm;
    char type_room[32], from_room[128];
    unsigned number;
    const struct xml_attribute *attribute = xml_attribute(stanza, 0, NS_NONE, "type");
    struct span type = attribute ? xml_value(stanza, attribute, type_room, sizeof type_room) : SPAN("");
    if (!parse(stanza, &number))
        return;
    if (span_is(type, "error") || span_is(type, "result")) {
        if (storm->items[number].from != player->index)
            broken(storm, "address of an answer", number);
        if (storm->items[number].back++)
            broken(storm, "once (answered twice)", number);
        return;
    }
    arrived(player, number);
    if (!span_is(type, "get"))
        return;
    struct span asker = xml_value(stanza, xml_attribute(stanza, 0, NS_NONE, "from"), from_room, sizeof from_room);
    actor_send(actor, "<iq type='result' to='%.*s' id='" WITNESS_TOKEN "'/>", SPAN_ARG(asker), number);
}

/* An answer that finds no stream is dropped by rule: nothing answers an answer (RFC 6120 s8.3.1). */
static bool is_unheard(const struct item *item)
{
    return item->kind == IQ && item->arrived && !item->back && !item->legs[1].said;
}

/* A steady one may still have been sent away for not reading. */
static bool lives(const struct player *player)
{
    return player->is_steady && player->actor.state == ACTOR_BOUND;
}

static void audit_item(const struct storm *storm, unsigned number)
{
    const struct item *item = &storm->items[number];
    const struct player *from = &storm->players[item->from], *to = &storm->players[item->to];
    bool is_iq = item->kind == IQ;
    if (!is_iq && item->arrived && item->back)
        broken(storm, "once (arrives and comes back)", number);
    if (!lives(from) || !lives(to) || is_excused(item))
        return;
    if (item->kind == MESSAGE && !item->arrived && !item->back)
        broken(storm, "lost", number);
    if (is_iq && !item->back && !is_unheard(item))
        broken(storm, "lost (an answer)", number);
    if (item->kind == PRESENCE && !item->arrived && item->legs[0].read)
        broken(storm, "lost (presence)", number);
}

static uint64_t unheard_total;

static void audit(const struct storm *storm)
{
    for (unsigned i = 0; i < storm->item_count; i++)
        audit_item(storm, i);
    for (unsigned router = 0; router < storm->router_count; router++) {
        uint64_t unheard = 0;
        for (unsigned i = 0; i < storm->item_count; i++)
            unheard += is_unheard(&storm->items[i]) && lives(&storm->players[storm->items[i].to]) &&
                       storm->players[storm->items[i].to].router == router;
        if (unheard >
            rig_counter(storm->rigs[router], COUNTER_DROPPED) + rig_counter(storm->rigs[router], COUNTER_LOST))
            broken(storm, "lost (answers that no router has counted)", 0);
        unheard_total += unheard;
    }
}

/* ------------------------------------------------------------------------------------------------ the routers */

static const char *const plain_domains[ROUTERS_MAX][2] = {
    {"example.com", "chat.example.com"}, {"example.net", "example.edu"}, {"example.org", "an.example"}};
static const char *const secure_domains[ROUTERS_MAX] = {"a.example", "b.example", "c.example"};

static const char *domain_of(const struct storm *storm, unsigned router, unsigned which)
{
    return storm->is_secure ? secure_domains[router] : plain_domains[router][which % 2];
}

/* The text of all settings of one router, for the start and for reloads. */
static void settings(struct storm *storm, unsigned router, const char *out[17], bool is_other, bool is_tight)
{
    char(*text)[640] = storm->overrides[router];
    const char *certs = getenv("SL_TEST_CERTS");
    unsigned n = 0;
    size_t size = (size_t)snprintf(text[n], 640, "s2s.routes=");
    for (unsigned i = 0; i < storm->router_count; i++)
        for (unsigned j = 0; j < (storm->is_secure ? 1u : 2u); j++)
            size += (size_t)snprintf(text[n] + size, 640 - size, "%s=127.0.0.%u:5269 ", domain_of(storm, i, j), i + 1);
    snprintf(text[++n], 640, "rig.domain=%s", domain_of(storm, router, 0));
    snprintf(text[++n], 640, "s2s.enabled=true");
    snprintf(text[++n], 640, "s2s.timeout=4s");
    snprintf(text[++n], 640, "s2s.acks=false");
    snprintf(text[++n], 640, "s2s.dials_per_user=100000");
    snprintf(text[++n], 640, "s2s.rest_min=100ms");
    snprintf(text[++n], 640, "s2s.rest_max=1s");
    if (storm->is_secure) {
        SL_CHECK(certs);
        snprintf(text[++n], 640, "rig.certificate=%s/%c", certs, "abc"[router]);
        snprintf(text[++n], 640, "s2s.ca=%s/ca.pem", certs);
        snprintf(text[++n], 640, "s2s.policy=%s", is_other ? "pkix-or-dialback" : "pkix");
    } else {
        snprintf(text[++n], 640, "s2s.tls_required=false");
        snprintf(text[++n], 640, "rig.also=%s", domain_of(storm, router, 1));
        snprintf(text[++n], 640, is_other ? "rig.also=spare%u.example" : "s2s.idle=20s", router);
    }
    snprintf(text[++n], 640, "%s", is_tight ? "limits.queue_soft=4KiB" : "limits.queue_soft=64KiB");
    snprintf(text[++n], 640, "timeouts.slow_reader=3s");
    SL_CHECK(n < 16);
    for (unsigned i = 0; i <= n; i++)
        out[i] = text[i];
    out[n + 1] = NULL;
}

static bool is_tight(const struct storm *storm)
{
    return storm->seed % 3 == 0;
}

static void open_routers(struct storm *storm, unsigned shards)
{
    struct world_chaos chaos = {
        .cut_receives = roll(storm, 2),
        .cut_sends = roll(storm, 2),
        .delay = roll(storm, 4) != 0,
        .buffers_run_out = roll(storm, 3) == 0,
        .handoff_fail_one_in = roll(storm, 4) ? 0 : 30,
    };
    storm->hands_fail = chaos.handoff_fail_one_in != 0;
    for (unsigned i = 0; i < storm->router_count; i++) {
        const char *out[17];
        char address[16];
        snprintf(address, sizeof address, "127.0.0.%u", i + 1);
        settings(storm, i, out, false, is_tight(storm));
        storm->rigs[i] = i ? rig_join(storm->rigs[0], domain_of(storm, i, 0), address, shards, PER_ROUTER, out)
                           : rig_new(storm->seed, shards, &chaos, PER_ROUTER, out);
    }
}

static void open_players(struct storm *storm)
{
    storm->player_count = storm->router_count * PER_ROUTER;
    for (unsigned i = 0; i < storm->player_count; i++) {
        struct player *player = &storm->players[i];
        unsigned place = i / storm->router_count;
        player->storm = storm;
        player->index = i;
        player->router = i % storm->router_count;
        player->is_steady = place < 2;
        struct rig *rig = storm->rigs[player->router];
        actor_init(&player->actor, rig, place, heard, player);
        player->actor.domain = domain_of(storm, player->router, place);
        snprintf(player->actor.resource, sizeof player->actor.resource, "r");
        bool is_bound = false; /* a hand-over that fails ends the connection */
        for (unsigned again = 0; again < 100 && !is_bound; again++)
            is_bound = actor_bind(&player->actor, (unsigned)roll(storm, rig->shard_count));
        SL_CHECK(is_bound);
        actor_send(&player->actor, "<presence/>");
    }
}

/* ------------------------------------------------------------------------------------------------ the weather */

static unsigned cuts_in[STREAM_STATE_COUNT]; /* of all storms, by the state of the stream that was cut */
static unsigned cuts_loaded;                 /* with bytes in flight or waiting */

static void say(struct storm *storm, struct player *from, struct player *to)
{
    static const char words[] = "the quick brown fox jumps over the lazy dog &amp; ";
    char body[2600], address[128];
    if (storm->item_count == ITEMS_MAX || from->actor.state != ACTOR_BOUND)
        return;
    unsigned number = storm->item_count++;
    struct item *item = &storm->items[number];
    uint64_t kind = roll(storm, 10);
    item->kind = kind < 6 ? MESSAGE : kind < 9 ? IQ : PRESENCE;
    item->from = from->index;
    item->to = to->index;
    item->from_login = from->actor.login;
    item->to_login = to->actor.login;
    snprintf(address, sizeof address, "user%u@%s/r", to->actor.number, to->actor.domain);
    size_t size = roll(storm, 4) ? roll(storm, 60) : roll(storm, sizeof body - 1);
    for (size_t i = 0; i < size; i++)
        body[i] = words[(i + number) % 44];
    body[size] = '\0';
    if (item->kind == MESSAGE)
        actor_send(&from->actor, "<message to='%s' type='chat' id='" WITNESS_TOKEN "'><body>%s</body></message>",
                   address, number, body);
    else if (item->kind == IQ)
        actor_send(&from->actor, "<iq to='%s' type='get' id='" WITNESS_TOKEN "'><x xmlns='urn:example'/></iq>", address,
                   number);
    else
        actor_send(&from->actor, "<presence to='%s' id='" WITNESS_TOKEN "'><status>%.60s</status></presence>", address,
                   number, "here");
}

static struct player *other_than(struct storm *storm, const struct player *player)
{
    for (;;) {
        struct player *other = &storm->players[roll(storm, storm->player_count)];
        if (other->router != player->router)
            return other;
    }
}

/* Any connection of any router with another one, in whatever state it is. */
static void cut_one(struct storm *storm)
{
    struct s2s *chosen = NULL;
    unsigned seen = 0;
    for (unsigned i = 0; i < storm->router_count; i++)
        for (unsigned j = 0; j < storm->rigs[i]->shard_count; j++)
            for (struct s2s *s2s = storm->rigs[i]->shards[j].servers; s2s; s2s = s2s->next)
                if (roll(storm, ++seen) == 0)
                    chosen = s2s;
    if (!chosen)
        return;
    struct stream *stream = &chosen->stream;
    bool is_loaded = !chain_is_empty(&stream->out) || !io_can_send(stream->conn) || !chain_is_empty(&stream->held);
    if (!world_break(stream->conn))
        return;
    witness_note_cut(world_wire(stream->conn));
    cuts_in[stream->state]++;
    cuts_loaded += is_loaded;
}

static void reload_one(struct storm *storm)
{
    const char *out[17];
    unsigned router = (unsigned)roll(storm, storm->router_count);
    settings(storm, router, out, roll(storm, 2), roll(storm, 2));
    rig_reload(storm->rigs[router], out);
}

/* `s2s close DOMAIN` of an operator. */
static void close_one(struct storm *storm)
{
    struct rig *rig = storm->rigs[roll(storm, storm->router_count)];
    const char *domain = domain_of(storm, (unsigned)roll(storm, storm->router_count), (unsigned)roll(storm, 2));
    for (unsigned i = 0; i < rig->shard_count; i++) {
        struct control_ask ask = {.kind = ASK_S2S_CLOSE, .shard = i, .domain = span_str(domain)};
        survey_s2s_close(&rig->shards[i], &ask);
        io_notify(rig->shards[i].io);
    }
}

static void come_or_go(struct storm *storm, struct player *player)
{
    struct actor *actor = &player->actor;
    if (player->is_steady)
        return;
    if (actor->state == ACTOR_ENDED) {
        player->is_slow = false;
        actor_connect(actor, (unsigned)roll(storm, actor->rig->shard_count));
    } else if (actor->state == ACTOR_BOUND && roll(storm, 2)) {
        actor_leave(actor);
    } else if (actor->state == ACTOR_BOUND) {
        actor_reset(actor);
    }
}

static void slow_down(struct storm *storm, struct player *player)
{
    if (player->actor.state != ACTOR_BOUND)
        return;
    player->is_slow = !player->is_slow;
    peer_set_window(player->actor.peer, player->is_slow ? 200 + roll(storm, 2000) : 1 << 24);
}

/* A reactor stuck in a handler while somebody writes to its users. */
static void stall_and_flood(struct storm *storm, struct player *from, struct player *to)
{
    struct rig *rig = to->actor.rig;
    struct io *io = rig->shards[roll(storm, rig->shard_count)].io;
    world_set_stalled(io, true);
    for (unsigned i = 0; i < 40; i++) {
        say(storm, from, to);
        world_step(rig->world);
    }
    world_set_stalled(io, false);
}

static void act(struct storm *storm)
{
    struct player *player = &storm->players[roll(storm, storm->player_count)], *other = other_than(storm, player);
    uint64_t what = roll(storm, 100);
    if (what < 50) {
        say(storm, player, other);
    } else if (what < 60) {
        for (uint64_t i = roll(storm, 12); i; i--)
            say(storm, player, other);
    } else if (what < 64) {
        cut_one(storm);
    } else if (what < 66) {
        reload_one(storm);
    } else if (what < 69) {
        close_one(storm);
    } else if (what < 77) {
        come_or_go(storm, player);
    } else if (what < 80) {
        slow_down(storm, player);
    } else if (what < 81) {
        stall_and_flood(storm, player, other);
    }
}

static void poll_all(struct storm *storm)
{
    for (unsigned i = 0; i < storm->player_count; i++)
        if (storm->players[i].actor.peer && !storm->players[i].is_slow)
            actor_poll(&storm->players[i].actor);
    for (unsigned i = 0; i < storm->router_count; i++)
        if (rig_balance(storm->rigs[i]) != 0) {
            fprintf(stderr, "seed %llu: the books of router %u differ by %lld\n", (unsigned long long)storm->seed, i,
                    (long long)rig_balance(storm->rigs[i]));
            abort();
        }
}

static void run(struct storm *storm, unsigned rounds, uint64_t ms)
{
    for (unsigned i = 0; i < rounds; i++) {
        rig_run(storm->rigs[0], ms);
        poll_all(storm);
    }
}

static void calm_down(struct storm *storm)
{
    for (unsigned i = 0; i < storm->player_count; i++) {
        struct player *player = &storm->players[i];
        player->is_slow = false;
        if (player->actor.peer)
            peer_set_window(player->actor.peer, 1 << 24);
    }
    run(storm, 40, 20);
    run(storm, 30, 1000);
}

static void blow(struct storm *storm)
{
    for (unsigned step = 0; step < STEPS; step++) {
        act(storm);
        for (uint64_t i = roll(storm, 6); i; i--)
            world_step(storm->rigs[0]->world);
        if (roll(storm, 3) == 0)
            world_advance(storm->rigs[0]->world, roll(storm, 10) ? roll(storm, 8) : roll(storm, 1500));
        poll_all(storm);
    }
}

/* When all is calm again everything arrives. */
static void sunshine(struct storm *storm)
{
    unsigned first = storm->item_count;
    for (unsigned i = 0; i < storm->player_count; i++)
        for (unsigned j = 0; j < storm->player_count; j++)
            if (storm->players[i].router != storm->players[j].router && lives(&storm->players[i]) &&
                lives(&storm->players[j]))
                say(storm, &storm->players[i], &storm->players[j]);
    run(storm, 60, 100);
    for (unsigned i = first; i < storm->item_count; i++) {
        const struct item *item = &storm->items[i];
        /* A hand-over that fails ends a connection in calm too; presence then goes without a word. */
        bool may_fail = storm->hands_fail && (item->back || item->kind == PRESENCE);
        if (!item->arrived && !may_fail)
            broken(storm, "calm", i);
    }
}

static void close_all(struct storm *storm)
{
    for (unsigned i = 0; i < storm->router_count; i++)
        rig_drain(storm->rigs[i]);
    run(storm, 25, 1000);
    for (unsigned i = 0; i < storm->player_count; i++)
        actor_fini(&storm->players[i].actor);
    for (unsigned i = storm->router_count; i > 0; i--)
        rig_free(storm->rigs[i - 1]);
}

/* What the storms have met in all: a storm that met nothing proves nothing. */
static const enum counter seen[] = {COUNTER_STANZAS_IN,   COUNTER_DELIVERED,     COUNTER_REFUSED, COUNTER_RETURNED,
                                    COUNTER_MAIL_OUT,     COUNTER_THROTTLED,     COUNTER_RESETS,  COUNTER_S2S_DIALLED,
                                    COUNTER_S2S_ACCEPTED, COUNTER_S2S_FAILED_TLS};
static uint64_t totals[sizeof seen / sizeof seen[0]], said_total, read_total, items_total, excused_total;

static void weather(uint64_t seed)
{
    static const unsigned shards[] = {1, 2, 3};
    struct storm *storm = calloc(1, sizeof *storm);
    SL_CHECK(storm);
    storm->seed = seed;
    storm->dice = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    storm->router_count = 2 + (unsigned)(seed % 2);
    storm->is_secure = seed % 4 >= 2;
    witness_begin(passed, storm);
    open_routers(storm, shards[seed % 3]);
    open_players(storm);
    run(storm, 5, 20);
    blow(storm);
    calm_down(storm);
    audit(storm);
    sunshine(storm);
    for (unsigned i = 0; i < storm->router_count; i++)
        for (unsigned j = 0; j < sizeof seen / sizeof seen[0]; j++)
            totals[j] += rig_counter(storm->rigs[i], seen[j]);
    for (unsigned i = 0; i < storm->item_count; i++)
        excused_total += is_excused(&storm->items[i]);
    said_total += witness_said();
    read_total += witness_read();
    items_total += storm->item_count;
    close_all(storm);
    witness_end();
    free(storm);
}

int main(void)
{
    const char *one = getenv("SL_SEED"), *many = getenv("SL_SEEDS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t count = one ? 1 : many ? strtoull(many, NULL, 10) : 24;
    for (uint64_t seed = first; seed < first + count; seed++)
        weather(seed);
    printf("%llu seeds from %llu: once, in order, nothing lost but on cut wires, books balanced\n",
           (unsigned long long)count, (unsigned long long)first);
    printf("  stanzas %llu, given to wires %llu, read from them %llu, swallowed by cuts %llu, answers dropped %llu\n",
           (unsigned long long)items_total, (unsigned long long)said_total, (unsigned long long)read_total,
           (unsigned long long)excused_total, (unsigned long long)unheard_total);
    for (unsigned i = 0; i < sizeof seen / sizeof seen[0]; i++) {
        printf("  %s %llu\n", counter_infos[seen[i]].name, (unsigned long long)totals[i]);
        SL_CHECK(totals[i] || one);
    }
    printf("  cuts by state:");
    for (unsigned i = 0; i < STREAM_STATE_COUNT; i++)
        printf(" %u", cuts_in[i]);
    printf(", loaded %u\n", cuts_loaded);
    return 0;
}
