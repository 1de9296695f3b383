/* SPDX-License-Identifier: MIT */
#include "tests/unit/router/nameserver.h"

#include "core/base/base64.h"
#include "core/base/check.h"
#include "core/base/clock.h"
#include "tests/unit/router/nameserver_sign.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_MAX 65535u
#define UDP_MAX     1232u
#define TTL_S       300u
#define LATE_MAX    512u

enum {
    TYPE_A = 1,
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_AAAA = 28,
    TYPE_SRV = 33,
    TYPE_OPT = 41,
    TYPE_RRSIG = 46,
    TYPE_NSEC = 47,
    TYPE_DNSKEY = 48,
    TYPE_TLSA = 52,
    TYPE_ANY = 255
};

struct entry {
    struct entry *next;
    char name[256];
    unsigned type;
    enum nameserver_mode mode;
    unsigned delay_ms;
    struct rdata data;
    bool has_data;
};

struct late {
    uint64_t due_ms;
    struct sockaddr_in to;
    size_t size;
    unsigned char *bytes;
};

struct heard {
    struct heard *next;
    char name[256];
};

struct nameserver {
    struct entry *entries;
    char zone[256];
    struct zone_key *key;
    char anchor[512];
    char address[64];
    int udp, tcp, quit[2];
    pthread_t thread;
    struct late late[LATE_MAX];
    unsigned late_count;
    pthread_mutex_t lock;
    struct heard *heard; /* under the lock */
};

struct query {
    unsigned id, type;
    bool has_edns, is_do, is_tcp;
    char name[256];
    unsigned char question[300];
    size_t question_size;
};

struct reply {
    unsigned char bytes[MESSAGE_MAX];
    size_t size;
    unsigned answers, authorities;
};

/*
 * The zone.
 */

static unsigned type_of(const char *word)
{
    static const struct {
        const char *word;
        unsigned type;
    } types[] = {{"A", TYPE_A},       {"AAAA", TYPE_AAAA},   {"SRV", TYPE_SRV},
                 {"TLSA", TYPE_TLSA}, {"CNAME", TYPE_CNAME}, {"*", TYPE_ANY}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(word, types[i].word) == 0)
            return types[i].type;
    }
    check_failed("a type the test name server knows", word, 0);
}

size_t wire_name(const char *text, unsigned char *out)
{
    size_t size = 0;
    while (*text != '\0' && strcmp(text, ".") != 0) {
        size_t label = strcspn(text, ".");
        out[size++] = (unsigned char)label;
        memcpy(out + size, text, label);
        size += label;
        text += label + (text[label] == '.');
    }
    out[size++] = 0;
    return size;
}

static void make_data(unsigned type, const char *text, struct rdata *out)
{
    unsigned a = 0, b = 0, c = 0;
    char word[512] = "";
    if (type == TYPE_A || type == TYPE_AAAA) {
        SL_CHECK(inet_pton(type == TYPE_A ? AF_INET : AF_INET6, text, out->bytes) == 1);
        out->size = type == TYPE_A ? 4 : 16;
    } else if (type == TYPE_CNAME) {
        out->size = wire_name(text, out->bytes);
    } else if (type == TYPE_SRV) {
        SL_CHECK(sscanf(text, "%u %u %u %500s", &a, &b, &c, word) == 4);
        const unsigned char head[6] = {(unsigned char)(a >> 8), (unsigned char)a,        (unsigned char)(b >> 8),
                                       (unsigned char)b,        (unsigned char)(c >> 8), (unsigned char)c};
        memcpy(out->bytes, head, 6);
        out->size = 6 + wire_name(word, out->bytes + 6);
    } else {
        SL_CHECK(type == TYPE_TLSA && sscanf(text, "%u %u %u %500s", &a, &b, &c, word) == 4);
        out->bytes[0] = (unsigned char)a;
        out->bytes[1] = (unsigned char)b;
        out->bytes[2] = (unsigned char)c;
        out->size = 3;
        for (const char *hex = word; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
            SL_CHECK(sscanf(hex, "%2x", &a) == 1);
            out->bytes[out->size++] = (unsigned char)a;
        }
    }
}

void nameserver_add(struct nameserver *server, const char *name, const char *type, const char *text,
                    enum nameserver_mode mode, unsigned delay_ms)
{
    struct entry *entry = calloc(1, sizeof *entry);
    SL_CHECK(entry != NULL && strlen(name) < sizeof entry->name);
    memcpy(entry->name, name, strlen(name) + 1);
    entry->type = type_of(type);
    entry->mode = mode;
    entry->delay_ms = delay_ms;
    entry->has_data = text != NULL;
    if (text != NULL)
        make_data(entry->type, text, &entry->data);
    struct entry **end = &server->entries;
    while (*end != NULL)
        end = &(*end)->next;
    *end = entry;
}

static bool is_signed(const struct nameserver *server, const char *name)
{
    size_t size = strlen(name), zone = strlen(server->zone);
    return server->key != NULL && size >= zone && strcmp(name + size - zone, server->zone) == 0;
}

/*
 * Making a reply.
 */

static void put(struct reply *reply, const void *bytes, size_t size)
{
    SL_CHECK(reply->size + size <= MESSAGE_MAX);
    memcpy(reply->bytes + reply->size, bytes, size);
    reply->size += size;
}

static void put_u16(struct reply *reply, unsigned value)
{
    const unsigned char bytes[2] = {(unsigned char)(value >> 8), (unsigned char)value};
    put(reply, bytes, 2);
}

static void put_record(struct reply *reply, const char *name, unsigned type, const struct rdata *data)
{
    unsigned char wire[256];
    put(reply, wire, wire_name(name, wire));
    put_u16(reply, type);
    put_u16(reply, 1);
    put_u16(reply, 0);
    put_u16(reply, TTL_S);
    put_u16(reply, (unsigned)data->size);
    put(reply, data->bytes, data->size);
}

/* The records of one name and type, signed if they are to be; returns how many records that makes. */
static unsigned put_set(const struct nameserver *server, struct reply *reply, const char *name, unsigned type,
                        struct rdata *set, unsigned count, const struct query *query, enum nameserver_mode mode)
{
    for (unsigned i = 0; i < count; i++)
        put_record(reply, name, type, &set[i]);
    if (!is_signed(server, name) || !query->is_do || mode == NS_STRIPPED)
        return count;
    struct rdata signature;
    zone_key_sign(server->key, name, type, TTL_S, set, count, mode == NS_EXPIRED, &signature);
    if (mode == NS_BAD_SIGNATURE)
        signature.bytes[signature.size - 1] ^= 1;
    put_record(reply, name, TYPE_RRSIG, &signature);
    return count + 1;
}

static const struct entry *find(const struct nameserver *server, const char *name, unsigned type)
{
    for (const struct entry *one = server->entries; one != NULL; one = one->next) {
        if (strcmp(one->name, name) == 0 && (one->type == type || one->type == TYPE_ANY))
            return one;
    }
    return NULL;
}

static bool exists(const struct nameserver *server, const char *name)
{
    for (const struct entry *one = server->entries; one != NULL; one = one->next) {
        if (strcmp(one->name, name) == 0 && one->type != TYPE_ANY)
            return true;
    }
    return strcmp(name, server->zone) == 0;
}

/* RFC 4470, and further: the name itself is said to exist, without the type asked for. */
static void put_absence(const struct nameserver *server, struct reply *reply, const struct query *query,
                        const char *name, enum nameserver_mode mode)
{
    struct rdata soa = {0};
    const char *zone = is_signed(server, name) ? server->zone : "example";
    soa.size = wire_name("ns.example", soa.bytes);
    soa.size += wire_name("root.example", soa.bytes + soa.size);
    const unsigned char numbers[20] = {0, 0, 0, 1, 0, 0, 14, 16, 0, 0, 14, 16, 0, 9, 58, 128, 0, 0, 1, 44};
    memcpy(soa.bytes + soa.size, numbers, sizeof numbers);
    soa.size += sizeof numbers;
    reply->authorities += put_set(server, reply, zone, TYPE_SOA, &soa, 1, query, mode);
    if (!is_signed(server, name) || !query->is_do)
        return;
    struct rdata nsec = {.bytes = {1, 0}, .size = 2};
    nsec.size += wire_name(name, nsec.bytes + 2);
    unsigned char bitmap[8] = {0, 6, 0, 0, 0, 0, 0, 3}; /* RRSIG and NSEC */
    for (const struct entry *one = server->entries; one != NULL; one = one->next) {
        if (strcmp(one->name, name) == 0 && one->type < 48 && one->type != query->type)
            bitmap[2 + one->type / 8] |= (unsigned char)(0x80 >> one->type % 8);
    }
    memcpy(nsec.bytes + nsec.size, bitmap, sizeof bitmap);
    nsec.size += sizeof bitmap;
    reply->authorities += put_set(server, reply, name, TYPE_NSEC, &nsec, 1, query, mode);
}

/* Follows aliases; puts what is there, or that nothing is. Returns the RCODE. */
static unsigned put_answer(const struct nameserver *server, struct reply *reply, const struct query *query,
                           enum nameserver_mode mode)
{
    struct rdata *set = calloc(4096, sizeof *set);
    SL_CHECK(set != NULL);
    const char *name = query->name;
    unsigned rcode = 0;
    for (unsigned hops = 0; hops < 20; hops++) {
        unsigned count = 0;
        const struct entry *alias = find(server, name, TYPE_CNAME);
        unsigned type = alias != NULL && alias->type == TYPE_CNAME ? TYPE_CNAME : query->type;
        for (const struct entry *one = server->entries; one != NULL; one = one->next) {
            if (one->type == type && one->has_data && strcmp(one->name, name) == 0)
                set[count++] = one->data;
        }
        if (type == TYPE_DNSKEY && server->key != NULL && strcmp(name, server->zone) == 0)
            set[count++] = *zone_key_data(server->key);
        if (count == 0) {
            put_absence(server, reply, query, name, mode);
            rcode = exists(server, name) || is_signed(server, name) ? 0 : 3;
            break;
        }
        reply->answers += put_set(server, reply, name, type, set, count, query, mode);
        if (type != TYPE_CNAME)
            break;
        static _Thread_local char target[256];
        size_t size = 0;
        for (const unsigned char *label = set[0].bytes; *label != 0; label += 1 + *label) {
            memcpy(target + size, label + 1, *label);
            size += *label;
            target[size++] = '.';
        }
        target[size - 1] = '\0';
        name = target;
    }
    free(set);
    return rcode;
}

static void make_reply(const struct nameserver *server, const struct query *query, enum nameserver_mode mode,
                       struct reply *reply)
{
    *reply = (struct reply){.size = 12};
    put(reply, query->question, query->question_size);
    size_t question_end = reply->size;
    unsigned rcode = mode == NS_SERVFAIL ? 2 : mode == NS_NXDOMAIN ? 3 : 0;
    if (rcode == 0)
        rcode = put_answer(server, reply, query, mode);
    else if (rcode == 3)
        put_absence(server, reply, query, query->name, mode);
    bool is_cut = !query->is_tcp && (mode == NS_TRUNCATED || reply->size > UDP_MAX);
    if (is_cut) {
        reply->size = question_end;
        reply->answers = reply->authorities = 0;
    }
    if (query->has_edns) {
        const unsigned char opt[11] = {0, 0, TYPE_OPT, UDP_MAX >> 8, UDP_MAX & 255, 0, 0, query->is_do ? 0x80 : 0,
                                       0, 0, 0};
        put(reply, opt, sizeof opt);
    }
    const unsigned char head[12] = {
        (unsigned char)(query->id >> 8),
        (unsigned char)query->id,
        (unsigned char)(0x81 | (is_cut ? 0x02 : 0)),
        (unsigned char)(0x80 | rcode),
        0,
        1,
        (unsigned char)(reply->answers >> 8),
        (unsigned char)reply->answers,
        0,
        (unsigned char)reply->authorities,
        0,
        query->has_edns,
    };
    memcpy(reply->bytes, head, sizeof head);
}

/*
 * The wire.
 */

static bool read_query(const unsigned char *bytes, size_t size, struct query *out)
{
    *out = (struct query){0};
    if (size < 17 || bytes[5] != 1)
        return false;
    out->id = (unsigned)bytes[0] << 8 | bytes[1];
    size_t at = 12, text = 0;
    while (at < size && bytes[at] != 0 && bytes[at] < 64 && text + bytes[at] + 1 < sizeof out->name) {
        for (unsigned i = 1; i <= bytes[at] && at + i < size; i++) {
            unsigned char c = bytes[at + i];
            out->name[text++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
        out->name[text++] = '.';
        at += 1u + bytes[at];
    }
    if (at + 5 > size)
        return false;
    out->name[text > 0 ? text - 1 : 0] = '\0';
    out->type = (unsigned)bytes[at + 1] << 8 | bytes[at + 2];
    out->question_size = at + 5 - 12;
    memcpy(out->question, bytes + 12, out->question_size);
    /* The one further record can only be OPT: its flags are in the TTL. */
    out->has_edns = bytes[11] == 1 && size >= at + 5 + 11;
    out->is_do = out->has_edns && (bytes[at + 5 + 7] & 0x80) != 0;
    return true;
}

static void send_late(struct nameserver *server, const struct sockaddr_in *to, const struct reply *reply,
                      unsigned delay_ms)
{
    if (server->late_count == LATE_MAX)
        return;
    struct late *late = &server->late[server->late_count++];
    *late = (struct late){clock_mono_ms() + delay_ms, *to, reply->size, malloc(reply->size)};
    SL_CHECK(late->bytes != NULL);
    memcpy(late->bytes, reply->bytes, reply->size);
}

static void hear(struct nameserver *server, const char *name)
{
    struct heard *heard = calloc(1, sizeof *heard);
    SL_CHECK(heard != NULL);
    memcpy(heard->name, name, strlen(name) + 1);
    pthread_mutex_lock(&server->lock);
    heard->next = server->heard;
    server->heard = heard;
    pthread_mutex_unlock(&server->lock);
}

/* An answer that would send the asker to 6.6.6.6, for those who take it. */
static void send_lie(struct nameserver *server, const struct query *query, enum nameserver_mode mode,
                     const struct sockaddr_in *to)
{
    struct query lie = *query;
    struct reply *reply = calloc(1, sizeof *reply);
    SL_CHECK(reply != NULL);
    lie.id ^= mode == NS_FORGED_ID ? 1 : 0;
    if (mode == NS_FORGED_NAME)
        lie.question[1] ^= 1;
    *reply = (struct reply){.size = 12};
    put(reply, lie.question, lie.question_size);
    struct rdata data = {.size = 4, .bytes = {6, 6, 6, 6}};
    put_record(reply, query->name, TYPE_A, &data);
    const unsigned char head[12] = {(unsigned char)(lie.id >> 8), (unsigned char)lie.id, 0x81, 0x80, 0, 1, 0, 1};
    memcpy(reply->bytes, head, sizeof head);
    (void)!sendto(server->udp, reply->bytes, reply->size, 0, (const struct sockaddr *)to, sizeof *to);
    free(reply);
}

static void serve_udp(struct nameserver *server)
{
    unsigned char bytes[4096];
    struct sockaddr_in from;
    socklen_t from_size = sizeof from;
    ssize_t size = recvfrom(server->udp, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &from_size);
    struct query query;
    if (size <= 0 || !read_query(bytes, (size_t)size, &query))
        return;
    hear(server, query.name);
    const struct entry *entry = find(server, query.name, query.type);
    enum nameserver_mode mode = entry != NULL ? entry->mode : NS_HONEST;
    if (mode == NS_SILENT)
        return;
    unsigned delay_ms = entry != NULL ? entry->delay_ms : 0;
    if (mode == NS_FORGED_ID || mode == NS_FORGED_NAME) {
        send_lie(server, &query, mode, &from);
        delay_ms += 30;
    }
    struct reply *reply = calloc(1, sizeof *reply);
    SL_CHECK(reply != NULL);
    make_reply(server, &query, mode, reply);
    if (delay_ms > 0)
        send_late(server, &from, reply, delay_ms);
    else
        (void)!sendto(server->udp, reply->bytes, reply->size, 0, (struct sockaddr *)&from, from_size);
    free(reply);
}

/* One question a connection, and nobody else is served meanwhile: the tests have no second one. */
static void serve_tcp(struct nameserver *server)
{
    unsigned char bytes[4096];
    int fd = accept(server->tcp, NULL, NULL);
    if (fd < 0)
        return;
    struct timeval limit = {.tv_sec = 2};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    struct query query;
    if (recv(fd, bytes, 2, MSG_WAITALL) == 2) {
        size_t size = (size_t)bytes[0] << 8 | bytes[1];
        if (size <= sizeof bytes && recv(fd, bytes, size, MSG_WAITALL) == (ssize_t)size &&
            read_query(bytes, size, &query)) {
            const struct entry *entry = find(server, query.name, query.type);
            struct reply *reply = calloc(1, sizeof *reply);
            SL_CHECK(reply != NULL);
            query.is_tcp = true;
            make_reply(server, &query, entry != NULL ? entry->mode : NS_HONEST, reply);
            const unsigned char head[2] = {(unsigned char)(reply->size >> 8), (unsigned char)reply->size};
            (void)!send(fd, head, 2, MSG_NOSIGNAL | MSG_MORE);
            (void)!send(fd, reply->bytes, reply->size, MSG_NOSIGNAL);
            free(reply);
        }
    }
    close(fd);
}

static int late_run(struct nameserver *server)
{
    uint64_t now_ms = clock_mono_ms();
    int wait_ms = -1;
    for (unsigned i = 0; i < server->late_count;) {
        struct late *late = &server->late[i];
        if (late->due_ms <= now_ms) {
            (void)!sendto(server->udp, late->bytes, late->size, 0, (struct sockaddr *)&late->to, sizeof late->to);
            free(late->bytes);
            *late = server->late[--server->late_count];
            continue;
        }
        int left = (int)(late->due_ms - now_ms);
        wait_ms = wait_ms < 0 || left < wait_ms ? left : wait_ms;
        i++;
    }
    return wait_ms;
}

static void *serve(void *argument)
{
    struct nameserver *server = argument;
    for (;;) {
        struct pollfd waits[3] = {{server->udp, POLLIN, 0}, {server->tcp, POLLIN, 0}, {server->quit[0], POLLIN, 0}};
        (void)poll(waits, 3, late_run(server));
        if (waits[2].revents != 0)
            return NULL;
        if (waits[0].revents != 0)
            serve_udp(server);
        if (waits[1].revents != 0)
            serve_tcp(server);
    }
}

/*
 * Begin and end.
 */

struct nameserver *nameserver_new(void)
{
    struct nameserver *server = calloc(1, sizeof *server);
    SL_CHECK(server != NULL && pthread_mutex_init(&server->lock, NULL) == 0);
    return server;
}

void nameserver_sign(struct nameserver *server, const char *zone)
{
    char key[256];
    memcpy(server->zone, zone, strlen(zone) + 1);
    server->key = zone_key_new(zone);
    const struct rdata *data = zone_key_data(server->key);
    key[base64_encode(span_of(data->bytes + 4, data->size - 4), key)] = '\0';
    snprintf(server->anchor, sizeof server->anchor, "%s. IN DNSKEY 257 3 13 %s\n", zone, key);
}

const char *nameserver_anchor(const struct nameserver *server)
{
    return server->anchor;
}

const char *nameserver_start(struct nameserver *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    /* The port that UDP got may be taken for TCP: another one then. */
    for (unsigned tries = 0;; tries++) {
        SL_CHECK(tries < 100);
        address.sin_port = 0;
        server->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        server->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        SL_CHECK(server->udp >= 0 && server->tcp >= 0);
        SL_CHECK(bind(server->udp, (struct sockaddr *)&address, size) == 0);
        SL_CHECK(getsockname(server->udp, (struct sockaddr *)&address, &size) == 0);
        if (bind(server->tcp, (struct sockaddr *)&address, size) == 0 && listen(server->tcp, 16) == 0)
            break;
        close(server->udp);
        close(server->tcp);
    }
    snprintf(server->address, sizeof server->address, "127.0.0.1@%u", ntohs(address.sin_port));
    SL_CHECK(pipe(server->quit) == 0);
    SL_CHECK(pthread_create(&server->thread, NULL, serve, server) == 0);
    return server->address;
}

unsigned nameserver_heard(struct nameserver *server, const char *name)
{
    unsigned count = 0;
    pthread_mutex_lock(&server->lock);
    for (const struct heard *one = server->heard; one != NULL; one = one->next)
        count += name == NULL || strcmp(one->name, name) == 0;
    pthread_mutex_unlock(&server->lock);
    return count;
}

void nameserver_stop(struct nameserver *server)
{
    (void)!write(server->quit[1], "", 1);
    pthread_join(server->thread, NULL);
    close(server->udp);
    close(server->tcp);
    close(server->quit[0]);
    close(server->quit[1]);
    for (unsigned i = 0; i < server->late_count; i++)
        free(server->late[i].bytes);
    for (struct entry *one = server->entries, *next = NULL; one != NULL; one = next) {
        next = one->next;
        free(one);
    }
    for (struct heard *one = server->heard, *next = NULL; one != NULL; one = next) {
        next = one->next;
        free(one);
    }
    if (server->key != NULL)
        zone_key_free(server->key);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
