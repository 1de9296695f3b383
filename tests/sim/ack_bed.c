/* SPDX-License-Identifier: MIT */
#include "tests/sim/ack_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct heard romeo_heard;

static void keep(struct actor *actor, const struct xml_stanza *stanza)
{
    struct heard *heard = actor->context;
    char room[64];
    int number = -1;
    uint32_t body = xml_child_named(stanza, 0, NS_CLIENT, "body");
    bool is_stamped = xml_child_named(stanza, 0, NS_DELAY, "delay") != XML_NOWHERE;
    if (actor_condition(stanza, heard->error)) {
        const struct xml_attribute *id = xml_attribute(stanza, 0, NS_NONE, "id");
        heard->errors++;
        if (id)
            sscanf(xml_value(stanza, id, room, sizeof room).ptr, "%d", &number);
        if (number >= 0 && number < MANY)
            heard->copies[number] += 1000;
        return;
    }
    if (body == XML_NOWHERE || sscanf(xml_text(stanza, body, room, sizeof room).ptr, "n %d", &number) != 1)
        return;
    heard->stamped += is_stamped;
    if (heard->copies[number]++ % 1000) {
        heard->unstamped_again += !is_stamped;
        return;
    }
    heard->is_jumbled |= number <= heard->last;
    heard->last = number;
}

unsigned raw_count(const struct peer *peer, const char *text)
{
    struct span got = peer_received(peer);
    unsigned count = 0;
    const char *at;
    while (got.size && (at = memmem(got.ptr, got.size, text, strlen(text)))) {
        count++;
        got = span_skip(got, (size_t)(at - got.ptr) + 1);
    }
    return count;
}

void forget(struct peer *peer)
{
    peer_take(peer, peer_received(peer).size);
}

void run(struct stage *stage, uint64_t ms)
{
    rig_run(stage->home, ms);
    actor_poll(&stage->romeo);
    if (stage->away)
        actor_poll(&stage->juliet);
}

void say(struct stage *stage, struct peer *peer, const char *bytes)
{
    peer_send(peer, span_str(bytes));
    run(stage, 20);
}

void expect(const struct peer *peer, const char *text)
{
    if (!peer_has(peer, text))
        fail_msg("%.*s lacks %s", SPAN_ARG(peer_received(peer)), text);
}

void refuse(const struct peer *peer, const char *text)
{
    if (peer_has(peer, text))
        fail_msg("%.*s has %s", SPAN_ARG(peer_received(peer)), text);
}

void join(struct actor *actor, struct rig *rig, struct heard *heard, const char *resource, unsigned shard)
{
    memset(heard, 0, sizeof *heard);
    heard->last = -1;
    actor_init(actor, rig, 0, keep, heard);
    actor_enter(actor, resource, shard);
}

void played_open(struct stage *stage, const char *const *more)
{
    const char *home[16] = {OPEN, "s2s.routes=example.net=127.0.0.3:6000", NULL};
    for (unsigned i = 3; more && *more; i++)
        home[i] = *more++;
    memset(stage, 0, sizeof *stage);
    stage->home = rig_new(1, 1, NULL, 1, home);
    world_set_far(stage->home->world, 6000, FAR_ACCEPTS);
    join(&stage->romeo, stage->home, &romeo_heard, "orchard", 0);
}

void drain(struct stage *stage)
{
    rig_drain(stage->home);
    if (stage->away)
        rig_drain(stage->away);
}

void stage_close(struct stage *stage)
{
    actor_leave(&stage->romeo);
    if (stage->away)
        actor_leave(&stage->juliet);
    run(stage, 1000);
    drain(stage);
    run(stage, 20000);
    actor_fini(&stage->romeo);
    if (stage->peer)
        peer_free(stage->peer);
    if (stage->away) {
        actor_fini(&stage->juliet);
        rig_free(stage->away);
    }
    rig_free(stage->home);
}

void say_numbers(struct stage *stage, int first, int last)
{
    for (int i = first; i < last; i++)
        actor_send(&stage->romeo,
                   "<message to='user0@example.net/balcony' type='chat' id='%d'><body>n %d</body></message>", i, i);
    run(stage, 5);
}

void let_in(struct stage *stage, const char *features)
{
    if (stage->peer)
        peer_free(stage->peer);
    run(stage, 50);
    stage->peer = world_accept(stage->home->world);
    assert_non_null(stage->peer);
    say(stage, stage->peer, NET_HEADER);
    say(stage, stage->peer, features);
    expect(stage->peer, "<db:result from='example.com' to='example.net'>");
    forget(stage->peer);
    say(stage, stage->peer, "<db:result from='example.net' to='example.com' type='valid'/>");
}

void five(struct stage *stage, const char *const *more)
{
    played_open(stage, more);
    say_numbers(stage, 0, 5);
    let_in(stage, NET_FEATURES);
    expect(stage->peer, "<enable" SM "/><message");
    expect(stage->peer, "n 4</body>");
    forget(stage->peer);
    say(stage, stage->peer, "<enabled" SM "/>");
}

uint64_t home_count(const struct stage *stage, enum counter counter)
{
    return rig_counter(stage->home, counter);
}
