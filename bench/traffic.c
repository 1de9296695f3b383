/* SPDX-License-Identifier: MIT */
#include "bench/traffic.h"

#include "bench/client.h"
#include "core/base/check.h"
#include "core/xml/writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SEQUENCE_DIGITS 8u
#define TIME_DIGITS     16u
#define BURST_MAX       256u     /* messages written in one turn; more would delay what arrives meanwhile */
#define UNDER_WAY_MAX   1000000u /* of one fleet: an open loop against a server that has stopped must end */
#define UNDER_WAY_BYTES (UINT64_C(1) << 29)
#define SPIN_NS         2000000u /* timers are good to a millisecond: the last two are waited for awake */

_Static_assert(SEQUENCE_DIGITS + TIME_DIGITS == TRAFFIC_BODY_MIN, "what differs between bodies");

char *traffic_padding(uint32_t body)
{
    char *padding = malloc(body + 1);
    SL_CHECK(padding);
    for (uint32_t i = 0; i < body; i++)
        padding[i] = i % 6 == 5 ? ' ' : (char)('a' + i % 26);
    padding[body] = '\0';
    return padding;
}

static char *put(char *out, struct span bytes)
{
    memcpy(out, bytes.ptr, bytes.size);
    return out + bytes.size;
}

static char *put_hex(char *out, uint64_t value, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; value >>= 4)
        out[i] = "0123456789abcdef"[value & 15];
    return out + digits;
}

static bool get_hex(const char *text, unsigned digits, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < digits; i++) {
        char c = text[i];
        bool is_number = c >= '0' && c <= '9';
        if (!is_number && !(c >= 'a' && c <= 'f'))
            return false;
        *value = *value << 4 | (uint64_t)(is_number ? c - '0' : c - 'a' + 10);
    }
    return true;
}

static void send_message(struct client *client, uint64_t stamp_ns)
{
    struct fleet *fleet = client->fleet;
    const struct client *to = client->partner;
    char *start = chain_reserve(&client->out, fleet->pool, to->jid_size + 128u);
    char *at = put(start, SPAN("<message to='"));
    at = put(at, span_of(to->jid, to->jid_size));
    at = put(at, SPAN("' type='chat' id='"));
    at = put_hex(at, client->sent, SEQUENCE_DIGITS);
    at = put(at, SPAN("'><body>"));
    at = put_hex(at, client->sent, SEQUENCE_DIGITS);
    at = put_hex(at, stamp_ns, TIME_DIGITS);
    chain_commit(&client->out, (size_t)(at - start));
    chain_append(&client->out, fleet->pool, span_of(fleet->load->padding, fleet->options->body - TRAFFIC_BODY_MIN));
    chain_append(&client->out, fleet->pool, SPAN("</body></message>"));
}

static void send_ping(struct client *client, uint64_t stamp_ns)
{
    struct fleet *fleet = client->fleet;
    struct span domain = span_str(client_server(client)->domain);
    char *start = chain_reserve(&client->out, fleet->pool, domain.size + 128u);
    char *at = put(start, SPAN("<iq type='get' to='"));
    at = put(at, domain);
    at = put(at, SPAN("' id='"));
    at = put_hex(at, client->sent, SEQUENCE_DIGITS);
    at = put_hex(at, stamp_ns, TIME_DIGITS);
    at = put(at, SPAN("'><ping xmlns='urn:xmpp:ping'/></iq>"));
    chain_commit(&client->out, (size_t)(at - start));
}

static void send_change(struct client *client, uint64_t stamp_ns)
{
    struct fleet *fleet = client->fleet;
    char *start = chain_reserve(&client->out, fleet->pool, 128u);
    char *at = put(start, SPAN("<presence><status>"));
    at = put_hex(at, client->sent, SEQUENCE_DIGITS);
    at = put_hex(at, stamp_ns, TIME_DIGITS);
    chain_commit(&client->out, (size_t)(at - start));
    chain_append(&client->out, fleet->pool, span_of(fleet->load->padding, fleet->options->body - TRAFFIC_BODY_MIN));
    chain_append(&client->out, fleet->pool, SPAN("</status></presence>"));
}

static void send_one(struct client *client, uint64_t stamp_ns)
{
    enum load_mode mode = client->fleet->options->mode;
    if (mode == MODE_IQ)
        send_ping(client, stamp_ns);
    else if (mode == MODE_PRESENCE)
        send_change(client, stamp_ns);
    else
        send_message(client, stamp_ns);
    client->sent++;
    fleet_add(client->fleet, TALLY_SENT, mode == MODE_PRESENCE ? client->audience : 1);
    client_touch(client);
}

/* A change is made by the first session of an account, and the next when all but a window of them are known to all. */
static bool may_change(const struct client *client)
{
    uint64_t window = client->fleet->options->window, audience = client->audience;
    return client->partner == client && client->sent * audience <= client->told + (window - 1) * audience;
}

/* One of a session's messages has arrived (or has been refused): room for the next. */
static void send_next(struct client *client)
{
    struct fleet *fleet = client->fleet;
    if (fleet->phase != PHASE_RUN || fleet->options->mode == MODE_RATE || client->state != CLIENT_BOUND)
        return;
    if (fleet->options->count && client->sent == fleet->options->count)
        return;
    if (fleet->options->is_one_way && client->number % 2)
        return;
    if (fleet->options->mode == MODE_PRESENCE && !may_change(client))
        return;
    send_one(client, fleet->now_ns);
}

void traffic_begin(struct fleet *fleet)
{
    enum load_mode mode = fleet->options->mode;
    fleet->run_ns = fleet->now_ns = io_now_fresh_ns(fleet->io);
    fleet->due_count = 0;
    if (mode != MODE_CHAT && mode != MODE_IQ && mode != MODE_PRESENCE)
        return;
    for (uint32_t i = 0; i < fleet->client_count; i++)
        for (uint32_t n = 0; n < fleet->options->window && fleet->clients[i].partner->state == CLIENT_BOUND; n++)
            send_next(&fleet->clients[i]);
}

/* Number sequence of the sender has come to client. */
static void arrived(struct client *client, struct client *sender, uint64_t sequence, uint64_t stamp_ns)
{
    struct fleet *fleet = client->fleet;
    if (sequence < client->received) {
        fleet_add(fleet, TALLY_DUPLICATED, 1);
        fleet_note(fleet, "user%u: message %lu of user%u came again (expected %u)", client_user(client),
                   (unsigned long)sequence, client_user(sender), client->received);
        return;
    }
    if (sequence > client->received) {
        fleet_add(fleet, TALLY_REORDERED, 1);
        fleet_note(fleet, "user%u: message %lu of user%u came instead of %u", client_user(client),
                   (unsigned long)sequence, client_user(sender), client->received);
    }
    client->received = (uint32_t)sequence + 1;
    if (fleet->options->mode == MODE_PRESENCE && client == sender) {
        fleet_add(fleet, TALLY_ECHOED, 1);
        return;
    }
    sender->told++;
    fleet_add(fleet, TALLY_RECEIVED, 1);
    uint64_t latency_ns = fleet->now_ns > stamp_ns ? fleet->now_ns - stamp_ns : 0;
    if (fleet->is_measuring)
        histogram_record(&fleet->latency, latency_ns);
    if (fleet->is_measuring && fleet->record)
        fprintf(fleet->record, "message %" PRIu64 " %" PRIu64 "\n", fleet->now_ns, latency_ns);
    send_next(sender);
}

static bool is_from(const struct xml_stanza *stanza, struct span wanted)
{
    const struct xml_attribute *from = xml_attribute(stanza, 0, NS_NONE, "from");
    return from && span_equal(xml_raw_value(stanza, from), wanted);
}

static void corrupt(struct client *client, const struct xml_stanza *stanza)
{
    fleet_add(client->fleet, TALLY_CORRUPT, 1);
    fleet_note(client->fleet, "user%u: not what was sent: %.*s", client_user(client),
               (int)(stanza->size < 160 ? stanza->size : 160), stanza->bytes);
}

/* The text of a stanza's child: that of number sequence from the sender? */
static bool is_sent(const struct client *sender, const struct xml_stanza *stanza, uint32_t child, uint64_t *sequence,
                    uint64_t *stamp_ns)
{
    uint32_t size = sender->fleet->options->body;
    struct span text = child == XML_NOWHERE ? SPAN_NONE : xml_text(stanza, child, NULL, 0);
    return text.size == size && get_hex(text.ptr, SEQUENCE_DIGITS, sequence) &&
           get_hex(text.ptr + SEQUENCE_DIGITS, TIME_DIGITS, stamp_ns) && *sequence < sender->sent &&
           memcmp(text.ptr + TRAFFIC_BODY_MIN, sender->fleet->load->padding, size - TRAFFIC_BODY_MIN) == 0;
}

static void take_message(struct client *client, const struct xml_stanza *stanza)
{
    struct client *sender = client->partner;
    uint64_t sequence, stamp_ns;
    bool is_fine = is_sent(sender, stanza, xml_child_named(stanza, 0, NS_CLIENT, "body"), &sequence, &stamp_ns) &&
                   (client->fleet->options->is_relay || is_from(stanza, span_of(sender->jid, sender->jid_size)));
    if (is_fine)
        arrived(client, sender, sequence, stamp_ns);
    else
        corrupt(client, stanza);
}

/* The first of an account has seen another one of it come online. */
static bool sees(const struct client *client, struct client *other, const struct xml_stanza *stanza)
{
    if (other == client || other->partner != client || other->is_seen || !other->jid ||
        !is_from(stanza, span_of(other->jid, other->jid_size)))
        return false;
    other->is_seen = true;
    return true;
}

/* Presence without a change: somebody of the account has come online. Changes begin when the first has seen all others,
 * so that each is there to be told, and when as much has been heard by all as there was to hear. */
static void see(struct client *client, const struct xml_stanza *stanza)
{
    struct fleet *fleet = client->fleet;
    if (is_from(stanza, span_of(client->jid, client->jid_size)))
        return;
    if (++client->heard == client->partner->audience)
        fleet_add(fleet, TALLY_SEEN, 1);
    for (uint32_t i = 0; i < fleet->client_count && client->partner == client; i++)
        if (sees(client, &fleet->clients[i], stanza))
            fleet_add(fleet, TALLY_SEEN, 1);
}

/* A change, which only the first of the account makes; others' presence has no status, and their end no change. */
static void take_presence(struct client *client, const struct xml_stanza *stanza, struct span type)
{
    struct client *sender = client->partner;
    uint32_t status = xml_child_named(stanza, 0, NS_CLIENT, "status");
    uint64_t sequence, stamp_ns;
    if (client->fleet->options->mode != MODE_PRESENCE || span_is(type, "unavailable"))
        return;
    if (status == XML_NOWHERE)
        see(client, stanza);
    else if (is_sent(sender, stanza, status, &sequence, &stamp_ns) &&
             is_from(stanza, span_of(sender->jid, sender->jid_size)))
        arrived(client, sender, sequence, stamp_ns);
    else
        corrupt(client, stanza);
}

static void take_pong(struct client *client, const struct xml_stanza *stanza)
{
    const struct xml_attribute *id = xml_attribute(stanza, 0, NS_NONE, "id");
    struct span text = id ? xml_raw_value(stanza, id) : SPAN_NONE;
    uint64_t sequence, stamp_ns;
    bool is_fine = text.size == TRAFFIC_BODY_MIN && get_hex(text.ptr, SEQUENCE_DIGITS, &sequence) &&
                   get_hex(text.ptr + SEQUENCE_DIGITS, TIME_DIGITS, &stamp_ns) && sequence < client->sent &&
                   is_from(stanza, span_str(client_server(client)->domain));
    if (is_fine)
        arrived(client, client, sequence, stamp_ns);
    else
        corrupt(client, stanza);
}

static void refused(struct client *client, const struct xml_stanza *stanza)
{
    struct fleet *fleet = client->fleet;
    uint32_t error = xml_child_named(stanza, 0, NS_CLIENT, "error");
    uint32_t condition = error == XML_NOWHERE ? XML_NOWHERE : xml_child(stanza, error);
    struct span name = condition == XML_NOWHERE ? SPAN("?") : xml_name(stanza, condition);
    fleet_add(fleet, TALLY_REFUSED, 1);
    fleet_note(fleet, "user%u: refused with <%.*s/>", client_user(client), SPAN_ARG(name));
    send_next(client);
}

/* A server that has not heard of us for a while may ask (XEP-0199 s4.1), and ends who does not answer. */
static bool is_ping(const struct xml_stanza *stanza, struct span type)
{
    return xml_is(stanza, 0, NS_CLIENT, "iq") && span_is(type, "get") &&
           xml_child_named(stanza, 0, NS_PING, "ping") != XML_NOWHERE;
}

static void write_same(struct xml_writer *w, const char *name, const struct xml_stanza *stanza, const char *as)
{
    char room[3072];
    const struct xml_attribute *a = xml_attribute(stanza, 0, NS_NONE, as);
    struct span value = a ? xml_value(stanza, a, room, sizeof room) : SPAN_NONE;
    if (value.ptr)
        xml_write_attribute(w, name, value);
}

static void answer_ping(struct client *client, const struct xml_stanza *stanza)
{
    struct xml_writer w = xml_writer_on(&client->out, client->fleet->pool);
    xml_open(&w, "iq");
    xml_write_attribute(&w, "type", SPAN("result"));
    write_same(&w, "id", stanza, "id");
    write_same(&w, "to", stanza, "from");
    xml_close(&w);
    fleet_add(client->fleet, TALLY_PINGED, 1);
    client_touch(client);
}

void traffic_stanza(struct client *client, const struct xml_stanza *stanza)
{
    enum load_mode mode = client->fleet->options->mode;
    const struct xml_attribute *type = xml_attribute(stanza, 0, NS_NONE, "type");
    struct span kind = type ? xml_raw_value(stanza, type) : SPAN_NONE;
    if (xml_is(stanza, 0, NS_CLIENT, "presence") && !span_is(kind, "error"))
        take_presence(client, stanza, kind); /* its own, and those of the account's other sessions */
    else if (is_ping(stanza, kind))
        answer_ping(client, stanza);
    else if (span_is(kind, "error"))
        refused(client, stanza);
    else if (xml_is(stanza, 0, NS_CLIENT, "message") && (mode == MODE_CHAT || mode == MODE_RATE))
        take_message(client, stanza);
    else if (xml_is(stanza, 0, NS_CLIENT, "iq") && mode == MODE_IQ && span_is(kind, "result"))
        take_pong(client, stanza);
    else
        corrupt(client, stanza);
}

/* False: the server is so far behind that more would only fill our memory. */
static bool may_send(struct fleet *fleet)
{
    uint64_t settled = fleet_read(fleet, TALLY_RECEIVED) + fleet_read(fleet, TALLY_REFUSED);
    uint64_t under_way = fleet_read(fleet, TALLY_SENT) - settled;
    if (under_way < UNDER_WAY_MAX && under_way * fleet->options->body < UNDER_WAY_BYTES)
        return true;
    if (!fleet_read(fleet, TALLY_OVERRUN))
        fleet_note(fleet, "%lu messages are under way: the server does not keep up", (unsigned long)under_way);
    fleet_set(fleet, TALLY_OVERRUN, 1);
    return false;
}

/* Message number n of this fleet is due n / rate seconds after the load began, whatever has become of the others. */
static uint64_t due_ns(const struct fleet *fleet)
{
    double rate = fleet->options->rate / fleet->options->threads;
    return fleet->run_ns + (uint64_t)((double)fleet->due_count * 1e9 / rate);
}

uint64_t traffic_turn(struct fleet *fleet)
{
    if (fleet->options->mode != MODE_RATE || fleet->phase != PHASE_RUN)
        return UINT64_MAX;
    uint64_t now = io_now_fresh_ns(fleet->io), due = due_ns(fleet);
    unsigned step = fleet->options->is_one_way ? 2 : 1;
    for (uint32_t n = 0; n < BURST_MAX && due <= now && may_send(fleet); n++) {
        struct client *client = &fleet->clients[fleet->due_count * step % fleet->client_count];
        if (client->state == CLIENT_BOUND && client->partner->state == CLIENT_BOUND) {
            send_one(client, fleet->options->is_calm ? now : due);
            if (fleet->is_measuring)
                histogram_record(&fleet->lag, now - due);
        }
        fleet->due_count++;
        due = due_ns(fleet);
    }
    if (fleet_read(fleet, TALLY_OVERRUN))
        return UINT64_MAX;
    if (fleet->options->is_calm)
        return due / 1000000 + 1;
    return due < now + SPIN_NS ? 0 : due / 1000000 - 1;
}
