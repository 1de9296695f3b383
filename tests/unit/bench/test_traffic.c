/* SPDX-License-Identifier: MIT */
/* The check of a checker: every way in which a router may go wrong is done to the bytes, and must be seen. */
#include "bench/traffic.h"

#include "bench/client.h"
#include "core/base/check.h"
#include "tests/unit/core/suite.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define HEADER "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"

/* The rest of a client and its fleet, as far as traffic.c needs it. */
static uint64_t now_ns = 1000000000;

uint64_t io_now_fresh_ns(const struct io *io)
{
    (void)io;
    return now_ns;
}

void client_touch(struct client *client)
{
    client->is_dirty = true;
}

unsigned client_user(const struct client *client)
{
    return client->number;
}

void fleet_note(struct fleet *fleet, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(fleet->first_error, sizeof fleet->first_error, format, list);
    va_end(list);
}

static struct load load;
static struct fleet fleet;
static struct client clients[3];
static struct chunk_pool pool;
static char jids[3][24];

static void make(enum load_mode mode, uint32_t window)
{
    memset(&load, 0, sizeof load);
    memset(&fleet, 0, sizeof fleet);
    memset(clients, 0, sizeof clients);
    load.options = (struct load_options){.mode = mode,
                                         .servers = {{.domain = "localhost"}},
                                         .server_count = 1,
                                         .window = window,
                                         .body = 40,
                                         .threads = 1,
                                         .rate = 1000};
    load.padding = traffic_padding(40);
    chunk_pool_init(&pool, 8);
    fleet = (struct fleet){.load = &load,
                           .options = &load.options,
                           .pool = &pool,
                           .clients = clients,
                           .client_count = mode == MODE_PRESENCE ? 3 : 2,
                           .phase = PHASE_RUN,
                           .is_measuring = true};
    fleet.scratch = xml_scratch_new(&xml_limits_default);
    for (unsigned i = 0; i < fleet.client_count; i++) {
        int size = snprintf(jids[i], sizeof jids[i], "user%u@localhost/r", i);
        clients[i].fleet = &fleet;
        clients[i].number = i;
        clients[i].partner = mode == MODE_IQ ? &clients[i] : mode == MODE_PRESENCE ? &clients[0] : &clients[1 - i];
        clients[i].jid = jids[i];
        clients[i].jid_size = (uint32_t)size;
        clients[i].state = CLIENT_BOUND;
    }
    clients[0].audience = mode == MODE_PRESENCE ? 2 : 0;
    traffic_begin(&fleet);
}

static void forget(void)
{
    for (unsigned i = 0; i < 3; i++)
        chain_clear(&clients[i].out, &pool);
    chunk_pool_fini(&pool);
    xml_scratch_free(fleet.scratch);
    free(load.padding);
}

/* What a client wrote, up to number whole stanzas of the same size each; the chain is emptied. */
static size_t take_out(struct client *client, char *text, size_t room)
{
    size_t size = 0;
    for (struct span front; (front = chain_front(&client->out)).size;) {
        SL_CHECK(size + front.size < room);
        memcpy(text + size, front.ptr, front.size);
        size += front.size;
        chain_consume(&client->out, &pool, front.size);
    }
    text[size] = '\0';
    return size;
}

static void deliver(struct client *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void deliver(struct client *to, const char *format, ...)
{
    char text[4096];
    struct xml_reader reader;
    struct xml_stanza stanza;
    struct span header = SPAN(HEADER);
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    SL_CHECK(size > 0 && (size_t)size < sizeof text);
    struct span in = span_of(text, (size_t)size);
    xml_reader_init(&reader, &xml_limits_default);
    assert_int_equal(xml_reader_next(&reader, fleet.scratch, &header, &stanza), XML_HEADER);
    while (xml_reader_next(&reader, fleet.scratch, &in, &stanza) == XML_STANZA)
        traffic_stanza(to, &stanza);
    assert_int_equal(in.size, 0);
    assert_int_equal(reader.error, XML_OK);
    xml_reader_fini(&reader);
}

static const char padding[] = "abcde ghijk mnop";

static void deliver_message(unsigned sequence)
{
    deliver(&clients[1],
            "<message from='user0@localhost/r' to='user1@localhost/r' type='chat' id='%08x'><body>%08x%016lx%s"
            "</body></message>",
            sequence, sequence, (unsigned long)(now_ns - 5000), padding);
}

static uint64_t tally(enum tally which)
{
    return fleet_read(&fleet, which);
}

static void expect(uint64_t received, uint64_t duplicated, uint64_t reordered, uint64_t corrupt, uint64_t refused)
{
    assert_int_equal(tally(TALLY_RECEIVED), received);
    assert_int_equal(tally(TALLY_DUPLICATED), duplicated);
    assert_int_equal(tally(TALLY_REORDERED), reordered);
    assert_int_equal(tally(TALLY_CORRUPT), corrupt);
    assert_int_equal(tally(TALLY_REFUSED), refused);
}

static void traffic__own_messages_stamped_and_delivered__all_fine(void **state)
{
    (void)state;
    char text[4096];
    make(MODE_CHAT, 4);
    fleet.now_ns = now_ns;
    assert_int_equal(tally(TALLY_SENT), 8);
    take_out(&clients[0], text, sizeof text);
    size_t stamped = 0;
    for (char *at = text, *next; at && *at; at = next) { /* as a router stamps them */
        next = strstr(at, "</message>") + strlen("</message>");
        deliver(&clients[1], "<message from='user0@localhost/r'%.*s", (int)(next - at) - 8, at + 8);
        stamped++;
    }
    assert_int_equal(stamped, 4);
    expect(4, 0, 0, 0, 0);
    assert_int_equal(tally(TALLY_SENT), 12); /* four more by the first */
    assert_int_equal(clients[0].sent, 8);
    assert_int_equal(fleet.latency.count, 4);
    forget();
}

static void traffic__message_twice__duplicated(void **state)
{
    (void)state;
    make(MODE_CHAT, 4);
    deliver_message(0);
    deliver_message(0);
    expect(1, 1, 0, 0, 0);
    forget();
}

static void traffic__messages_swapped__out_of_order_and_short(void **state)
{
    (void)state;
    make(MODE_CHAT, 4);
    deliver_message(1);
    deliver_message(0);
    expect(1, 1, 1, 0, 0); /* and one of those sent never counts as received: lost at the end */
    forget();
}

static void traffic__message_lost__seen_with_the_next(void **state)
{
    (void)state;
    make(MODE_CHAT, 4);
    deliver_message(0);
    deliver_message(2);
    expect(2, 0, 1, 0, 0);
    forget();
}

static void traffic__other_than_sent__corrupt(void **state)
{
    (void)state;
    static const char *const wrongs[] = {
        /* another sender, none, cut, changed, no body, not a number, never sent, no message at all */
        "<message from='user7@localhost/r'><body>000000000000000000000001abcde ghijk mnop</body></message>",
        "<message><body>000000000000000000000001abcde ghijk mnop</body></message>",
        "<message from='user0@localhost/r'><body>000000000000000000000001abcde ghijk mno</body></message>",
        "<message from='user0@localhost/r'><body>000000000000000000000001abcde ghijK mnop</body></message>",
        "<message from='user0@localhost/r'><subject>x</subject></message>",
        "<message from='user0@localhost/r'><body>0000000g0000000000000001abcde ghijk mnop</body></message>",
        "<message from='user0@localhost/r'><body>000000040000000000000001abcde ghijk mnop</body></message>",
        "<iq from='user0@localhost/r' type='result' id='1'/>",
    };
    make(MODE_CHAT, 4);
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        deliver(&clients[1], "%s", wrongs[i]);
        expect(0, 0, 0, i + 1, 0);
    }
    forget();
}

static void traffic__one_way__the_other_is_silent(void **state)
{
    (void)state;
    make(MODE_CHAT, 1);
    assert_int_equal(tally(TALLY_SENT), 2);
    load.options.is_one_way = true;
    traffic_begin(&fleet);
    assert_int_equal(tally(TALLY_SENT), 3);
    assert_int_equal(clients[0].sent, 2);
    assert_int_equal(clients[1].sent, 1);
    load.options.mode = MODE_RATE;
    now_ns += 10000000;
    fleet.run_ns = now_ns - 5500000; /* six are due */
    traffic_turn(&fleet);
    assert_int_equal(clients[0].sent, 8);
    assert_int_equal(clients[1].sent, 1);
    now_ns -= 10000000;
    forget();
}

static void traffic__asked_whether_it_is_there__answers(void **state)
{
    (void)state;
    char text[4096];
    make(MODE_CHAT, 1);
    take_out(&clients[0], text, sizeof text);
    deliver(&clients[0], "<iq from='localhost' to='user0@localhost/r' type='get' id='silence-&lt;7'>"
                         "<ping xmlns='urn:xmpp:ping'/></iq><iq type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq>");
    take_out(&clients[0], text, sizeof text);
    assert_string_equal(text, "<iq type='result' id='silence-&lt;7' to='localhost'/><iq type='result' id='2'/>");
    assert_int_equal(tally(TALLY_PINGED), 2);
    expect(0, 0, 0, 0, 0);
    deliver(&clients[0], "<iq from='localhost' type='get' id='1'><ping xmlns='urn:xmpp:pong'/></iq>"
                         "<iq from='localhost' type='set' id='1'><ping xmlns='urn:xmpp:ping'/></iq>");
    expect(0, 0, 0, 2, 0);
    assert_int_equal(tally(TALLY_PINGED), 2);
    forget();
}

static void traffic__error_answer__refused_and_named(void **state)
{
    (void)state;
    make(MODE_CHAT, 1);
    deliver(&clients[0], "<message from='user1@localhost/r' type='error'><error type='cancel'><service-unavailable "
                         "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>");
    expect(0, 0, 0, 0, 1);
    assert_non_null(strstr(fleet.first_error, "service-unavailable"));
    forget();
}

static void traffic__count_reached__no_more_is_sent(void **state)
{
    (void)state;
    make(MODE_CHAT, 1);
    load.options.count = 2;
    deliver_message(0);
    deliver_message(1);
    assert_int_equal(clients[0].sent, 2);
    forget();
}

static void traffic__draining__no_more_is_sent(void **state)
{
    (void)state;
    make(MODE_CHAT, 1);
    fleet.phase = PHASE_DRAIN;
    deliver_message(0);
    expect(1, 0, 0, 0, 0);
    assert_int_equal(clients[0].sent, 1);
    forget();
}

static void traffic__pongs__checked(void **state)
{
    (void)state;
    char text[512];
    make(MODE_IQ, 1);
    take_out(&clients[0], text, sizeof text);
    char *id = strstr(text, "id='") + 4;
    deliver(&clients[0], "<iq from='localhost' type='result' id='%.24s'/>", id);
    expect(1, 0, 0, 0, 0);
    deliver(&clients[0], "<iq from='localhost' type='result' id='%.24s'/>", id);
    expect(1, 1, 0, 0, 0);
    deliver(&clients[0], "<iq from='elsewhere' type='result' id='%.24s'/>", id);
    deliver(&clients[0], "<iq from='localhost' type='result' id='7'/>");
    expect(1, 1, 0, 2, 0);
    forget();
}

static void tell(unsigned to, unsigned sequence)
{
    deliver(&clients[to], "<presence from='user0@localhost/r'><status>%08x%016lx%s</status></presence>", sequence,
            (unsigned long)(now_ns - 5000), padding);
}

static void traffic__change_of_presence__next_when_all_are_told(void **state)
{
    (void)state;
    char text[4096];
    make(MODE_PRESENCE, 1);
    fleet.now_ns = now_ns;
    size_t size = take_out(&clients[0], text, sizeof text);
    assert_int_equal(strncmp(text, "<presence><status>00000000", 26), 0);
    assert_string_equal(text + size - 20, "</status></presence>");
    assert_true(chain_is_empty(&clients[1].out) && chain_is_empty(&clients[2].out));
    assert_int_equal(tally(TALLY_SENT), 2);
    tell(1, 0);
    tell(0, 0); /* its own, which counts apart */
    assert_int_equal(clients[0].sent, 1);
    tell(2, 0);
    assert_int_equal(clients[0].sent, 2);
    assert_int_equal(tally(TALLY_SENT), 4);
    assert_int_equal(tally(TALLY_ECHOED), 1);
    expect(2, 0, 0, 0, 0);
    forget();
    make(MODE_PRESENCE, 3);
    assert_int_equal(clients[0].sent, 3);
    tell(1, 0);
    assert_int_equal(clients[0].sent, 3);
    tell(1, 1);
    assert_int_equal(clients[0].sent, 4);
    forget();
}

static void traffic__presence_wrong__told_apart(void **state)
{
    (void)state;
    make(MODE_PRESENCE, 2);
    tell(1, 1); /* before 0 */
    expect(1, 0, 1, 0, 0);
    tell(1, 1);
    expect(1, 1, 1, 0, 0);
    tell(1, 7); /* never made */
    deliver(&clients[1], "<presence from='user2@localhost/r'><status>00000000%016x%s</status></presence>", 1, padding);
    deliver(&clients[1], "<presence from='user0@localhost/r'><status>away</status></presence>");
    expect(1, 1, 1, 3, 0);
    deliver(&clients[1], "<presence from='user0@localhost/r' type='error'><error type='wait'><resource-constraint "
                         "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>");
    expect(1, 1, 1, 3, 1);
    deliver(&clients[1], "<presence from='user2@localhost/r' type='unavailable'/>");
    expect(1, 1, 1, 3, 1);
    forget();
}

static void traffic__coming_online__each_is_seen_once(void **state)
{
    (void)state;
    make(MODE_PRESENCE, 1);
    deliver(&clients[0], "<presence from='user1@localhost/r'/><presence from='user1@localhost/r'/>");
    assert_int_equal(tally(TALLY_SEEN), 2); /* one seen, and two heard of */
    deliver(&clients[0], "<presence from='user0@localhost/r'/><presence from='user9@localhost/r'/>");
    assert_int_equal(tally(TALLY_SEEN), 2);
    deliver(&clients[1], "<presence from='user0@localhost/r'/><presence from='user1@localhost/r'/>");
    assert_int_equal(tally(TALLY_SEEN), 2);
    deliver(&clients[1], "<presence from='user2@localhost/r'/>");
    assert_int_equal(tally(TALLY_SEEN), 3);
    deliver(&clients[0], "<presence from='user2@localhost/r'/>");
    assert_int_equal(tally(TALLY_SEEN), 4);
    expect(0, 0, 0, 0, 0);
    forget();
}

/* An open loop sends what is due, however late, and stamps it with when it was due. */
static void traffic__rate__what_is_due_at_once_with_its_own_time(void **state)
{
    (void)state;
    char text[4096];
    make(MODE_RATE, 1);
    uint64_t begin = now_ns;
    assert_int_equal(traffic_turn(&fleet), 0); /* the next is due within 2 ms: no sleep */
    assert_int_equal(tally(TALLY_SENT), 1);
    now_ns = begin + 3500000;
    traffic_turn(&fleet);
    assert_int_equal(tally(TALLY_SENT), 4);
    assert_int_equal(fleet.lag.count, 4);
    assert_int_equal(fleet.lag.max, 2500000);
    take_out(&clients[1], text, sizeof text);
    char wanted[40];
    snprintf(wanted, sizeof wanted, "<body>00000000%016lx", (unsigned long)(begin + 1000000));
    assert_non_null(strstr(text, wanted));
    now_ns = begin;
    forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traffic__own_messages_stamped_and_delivered__all_fine),
        cmocka_unit_test(traffic__message_twice__duplicated),
        cmocka_unit_test(traffic__messages_swapped__out_of_order_and_short),
        cmocka_unit_test(traffic__message_lost__seen_with_the_next),
        cmocka_unit_test(traffic__other_than_sent__corrupt),
        cmocka_unit_test(traffic__one_way__the_other_is_silent),
        cmocka_unit_test(traffic__asked_whether_it_is_there__answers),
        cmocka_unit_test(traffic__error_answer__refused_and_named),
        cmocka_unit_test(traffic__count_reached__no_more_is_sent),
        cmocka_unit_test(traffic__draining__no_more_is_sent),
        cmocka_unit_test(traffic__pongs__checked),
        cmocka_unit_test(traffic__change_of_presence__next_when_all_are_told),
        cmocka_unit_test(traffic__presence_wrong__told_apart),
        cmocka_unit_test(traffic__coming_online__each_is_seen_once),
        cmocka_unit_test(traffic__rate__what_is_due_at_once_with_its_own_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
