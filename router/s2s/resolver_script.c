/* SPDX-License-Identifier: MIT */
/*
 * The scripted resolver: for tests and the simulation. DNS answers come from a script at the virtual times it says, on
 * the clients' own thread, inside resolver_flush() and resolver_poll(); nothing here depends on anything but these
 * calls, the script and the seed.
 */
#include "router/s2s/resolver_script.h"

#include "core/base/check.h"
#include "router/s2s/finder_priv.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define DNS_CNAME   5u /* RFC 1035 s3.2.2 */
#define DNS_ANY     0u /* here: every type */
#define TTL_S       300u
#define RECORD_SIZE 1024u /* bytes of a record's data */
#define ANSWER_MAX  2048u /* records of one answer */

struct script_record {
    struct script_record *next;
    char name[DNS_NAME_MAX + 1];
    unsigned type;
    enum dns_result result;
    bool is_silent;
    bool is_secure;
    uint32_t ttl_s;
    uint32_t delay_ms;
    uint32_t size;
    char data[]; /* as on the wire; of a CNAME its text */
};

/* An answer under way. */
struct script_event {
    struct script_event *next;
    uint64_t due_ms;
    struct question *question; /* NULL: forgotten */
};

struct script_count {
    struct script_count *next;
    unsigned type;
    unsigned count;
    char name[DNS_NAME_MAX + 1];
};

struct resolver_client {
    struct resolver *resolver;
    resolver_wake_fn wake;
    void *wake_context;
    struct request_queue posted;
    struct request_queue replies;
    bool has_news;
    unsigned index;
    uint32_t pending;
};

struct resolver {
    struct finder *finder;
    struct script_record *records;
    struct script_event *events; /* by due time, then by order of asking */
    struct script_count *counts;
    uint64_t now_ms;
    unsigned client_count;
    struct resolver_settings settings;
    struct resolver_client clients[];
};

/*
 * Reading a script.
 */

static unsigned char hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned char)(c - '0');
    return (unsigned char)((c | 0x20) - 'a' + 10);
}

static size_t write_name(const char *text, char *out)
{
    size_t size = 0;
    while (*text != '\0' && strcmp(text, ".") != 0) {
        size_t label = strcspn(text, ".");
        out[size++] = (char)label;
        memcpy(out + size, text, label);
        size += label;
        text += label + (text[label] == '.');
    }
    out[size++] = '\0';
    return size;
}

static char *write_u16(char *out, unsigned long value)
{
    *out++ = (char)(value >> 8);
    *out++ = (char)value;
    return out;
}

static size_t write_srv(char *const *words, char *out)
{
    char *end = out;
    for (unsigned i = 0; i < 3; i++)
        end = write_u16(end, strtoul(words[i], NULL, 10));
    return (size_t)(end - out) + write_name(words[3], end);
}

static size_t write_tlsa(char *const *words, char *out)
{
    for (unsigned i = 0; i < 3; i++)
        out[i] = (char)strtoul(words[i], NULL, 10);
    size_t size = 3;
    for (const char *hex = words[3]; hex[0] != '\0' && hex[1] != '\0'; hex += 2)
        out[size++] = (char)(hex_value(hex[0]) << 4 | hex_value(hex[1]));
    return size;
}

/* Returns how many words the data took; 0: they are not that type's. */
static unsigned write_data(unsigned type, char *const *words, unsigned count, char *out, size_t *size)
{
    if (type == DNS_SRV && count >= 4) {
        *size = write_srv(words, out);
        return 4;
    }
    if (type == DNS_TLSA && count >= 4 && strlen(words[3]) < RECORD_SIZE) {
        *size = write_tlsa(words, out);
        return 4;
    }
    if (type == DNS_CNAME && count >= 1) {
        *size = strlen(words[0]) + 1;
        memcpy(out, words[0], *size);
        return 1;
    }
    *size = type == DNS_A ? 4 : 16;
    bool is_address = (type == DNS_A && count >= 1 && inet_pton(AF_INET, words[0], out) == 1) ||
                      (type == DNS_AAAA && count >= 1 && inet_pton(AF_INET6, words[0], out) == 1);
    return is_address ? 1 : 0;
}

static bool read_type(const char *word, unsigned *out)
{
    static const struct {
        const char *word;
        unsigned type;
    } types[] = {{"A", DNS_A},       {"AAAA", DNS_AAAA},   {"SRV", DNS_SRV},
                 {"TLSA", DNS_TLSA}, {"CNAME", DNS_CNAME}, {"*", DNS_ANY}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(word, types[i].word) == 0) {
            *out = types[i].type;
            return true;
        }
    }
    return false;
}

/* "nodata" and the like. */
static bool read_outcome(const char *word, struct script_record *record)
{
    static const struct {
        const char *word;
        enum dns_result result;
        bool is_silent;
    } outcomes[] = {{"nodata", DNS_NO_DATA, false},
                    {"nxdomain", DNS_NO_NAME, false},
                    {"fail", DNS_FAILED, false},
                    {"bogus", DNS_BOGUS, false},
                    {"silent", DNS_TIMEOUT, true}};
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        if (strcmp(word, outcomes[i].word) == 0) {
            record->result = outcomes[i].result;
            record->is_silent = outcomes[i].is_silent;
            return true;
        }
    }
    return false;
}

static bool read_option(const char *word, struct script_record *record)
{
    if (strcmp(word, "secure") == 0)
        record->is_secure = true;
    else if (strncmp(word, "ttl=", 4) == 0)
        record->ttl_s = (uint32_t)strtoul(word + 4, NULL, 10);
    else if (strncmp(word, "delay=", 6) == 0)
        record->delay_ms = (uint32_t)strtoul(word + 6, NULL, 10);
    else
        return false;
    return true;
}

static bool add_record(struct resolver *resolver, char *const *words, unsigned count, struct err *err)
{
    struct script_record *record = calloc(1, sizeof *record + RECORD_SIZE);
    SL_CHECK(record != NULL);
    record->ttl_s = TTL_S;
    bool is_read = count >= 3 && strlen(words[0]) <= DNS_NAME_MAX && read_type(words[1], &record->type);
    unsigned used = 2;
    if (is_read && read_outcome(words[2], record)) {
        used = 3;
    } else if (is_read) {
        size_t size = 0;
        unsigned taken = write_data(record->type, words + 2, count - 2, record->data, &size);
        record->size = (uint32_t)size;
        is_read = taken > 0;
        used += taken;
    }
    for (; is_read && used < count; used++)
        is_read = read_option(words[used], record);
    if (!is_read) {
        err_set(err, "the script's line for \"%s\" cannot be read", words[0]);
        free(record);
        return false;
    }
    memcpy(record->name, words[0], strlen(words[0]) + 1);
    struct script_record **end = &resolver->records;
    while (*end != NULL)
        end = &(*end)->next;
    *end = record;
    return true;
}

static bool add_line(struct resolver *resolver, char *line, struct err *err)
{
    char *words[12];
    char *rest = NULL;
    unsigned count = 0;
    line[strcspn(line, "#")] = '\0';
    for (char *word = strtok_r(line, " \t", &rest); word != NULL && count < 12; word = strtok_r(NULL, " \t", &rest))
        words[count++] = word;
    return count == 0 || add_record(resolver, words, count, err);
}

bool resolver_script_add(struct resolver *resolver, const char *lines, struct err *err)
{
    char *copy = strdup(lines);
    SL_CHECK(copy != NULL);
    char *rest = NULL;
    bool is_read = true;
    for (char *line = strtok_r(copy, "\n", &rest); line != NULL && is_read; line = strtok_r(NULL, "\n", &rest))
        is_read = add_line(resolver, line, err);
    free(copy);
    return is_read;
}

void resolver_script_clear(struct resolver *resolver)
{
    for (struct script_record *record = resolver->records, *next = NULL; record != NULL; record = next) {
        next = record->next;
        free(record);
    }
    resolver->records = NULL;
}

/*
 * Answering.
 */

static unsigned collect(const struct resolver *resolver, const char *name, unsigned type,
                        const struct script_record *found[ANSWER_MAX], bool *is_known)
{
    unsigned count = 0;
    for (const struct script_record *one = resolver->records; one != NULL; one = one->next) {
        if (strcmp(one->name, name) != 0)
            continue;
        *is_known = true;
        if ((one->type == type || one->type == DNS_ANY || one->type == DNS_CNAME) && count < ANSWER_MAX)
            found[count++] = one;
    }
    return count;
}

struct script_answer {
    struct dns_answer dns;
    struct span data[ANSWER_MAX];
    uint32_t delay_ms;
    bool is_silent;
};

static void add_found(struct script_answer *answer, const struct script_record *record)
{
    answer->dns.result = record->result;
    answer->dns.is_secure = answer->dns.is_secure && record->is_secure;
    answer->is_silent |= record->is_silent;
    if (record->ttl_s < answer->dns.ttl_s)
        answer->dns.ttl_s = record->ttl_s;
    if (record->delay_ms > answer->delay_ms)
        answer->delay_ms = record->delay_ms;
    if (record->type != DNS_CNAME && record->size > 0)
        answer->data[answer->dns.count++] = span_of(record->data, record->size);
}

/* Follows aliases as a resolver does, farther than a lookup lets it. */
static void make_answer(const struct resolver *resolver, const struct question *question, struct script_answer *answer)
{
    const char *name = question->name;
    memset(answer, 0, sizeof *answer);
    answer->dns = (struct dns_answer){.is_secure = true, .ttl_s = UINT32_MAX, .data = answer->data};
    for (;;) {
        const struct script_record *found[ANSWER_MAX];
        bool is_known = false;
        unsigned count = collect(resolver, name, question->type, found, &is_known);
        for (unsigned i = 0; i < count; i++)
            add_found(answer, found[i]);
        if (count == 0) {
            answer->dns.result = is_known ? DNS_NO_DATA : DNS_NO_NAME;
            answer->dns.is_secure = false;
            answer->dns.ttl_s = TTL_S < answer->dns.ttl_s ? TTL_S : answer->dns.ttl_s;
            return;
        }
        if (found[0]->type != DNS_CNAME || found[0]->result != DNS_DATA)
            return;
        if (++answer->dns.aliases > 2 * RESOLVER_ALIASES_MAX) {
            answer->dns.result = DNS_FAILED;
            return;
        }
        name = found[0]->data;
    }
}

static void count_question(struct resolver *resolver, const struct question *question)
{
    struct script_count **link = &resolver->counts;
    while (*link != NULL && ((*link)->type != question->type || strcmp((*link)->name, question->name) != 0))
        link = &(*link)->next;
    if (*link == NULL) {
        *link = calloc(1, sizeof **link);
        SL_CHECK(*link != NULL);
        (*link)->type = question->type;
        memcpy((*link)->name, question->name, strlen(question->name) + 1);
    }
    (*link)->count++;
}

unsigned resolver_script_asked(const struct resolver *resolver, const char *name, enum dns_type type)
{
    unsigned count = 0;
    for (const struct script_count *one = resolver->counts; one != NULL; one = one->next) {
        if (strcmp(one->name, name) == 0 && ((unsigned)type == DNS_ANY || one->type == type))
            count += one->count;
    }
    return count;
}

static bool script_ask(void *context, struct question *question)
{
    struct resolver *resolver = context;
    struct script_answer *answer = malloc(sizeof *answer);
    struct script_event *event = calloc(1, sizeof *event);
    SL_CHECK(answer != NULL && event != NULL);
    count_question(resolver, question);
    make_answer(resolver, question, answer);
    *event = (struct script_event){.question = question, .due_ms = resolver->now_ms + answer->delay_ms};
    if (answer->is_silent)
        event->due_ms = UINT64_MAX;
    free(answer);
    question->handle = event;
    struct script_event **link = &resolver->events;
    while (*link != NULL && (*link)->due_ms <= event->due_ms)
        link = &(*link)->next;
    event->next = *link;
    *link = event;
    return true;
}

static void script_forget(void *context, struct question *question)
{
    struct resolver *resolver = context;
    struct script_event **link = &resolver->events;
    while (*link != question->handle)
        link = &(*link)->next;
    struct script_event *event = *link;
    *link = event->next;
    free(event);
}

static void script_reply(void *context, struct resolver_request *request)
{
    struct resolver *resolver = context;
    struct resolver_client *client = &resolver->clients[request->client];
    request_queue_put(&client->replies, request);
    client->has_news = true;
}

static void event_run(struct resolver *resolver)
{
    struct script_event *event = resolver->events;
    struct script_answer *answer = malloc(sizeof *answer);
    SL_CHECK(answer != NULL);
    resolver->events = event->next;
    make_answer(resolver, event->question, answer);
    finder_answered(resolver->finder, event->question, &answer->dns, resolver->now_ms);
    free(answer);
    free(event);
}

static uint64_t deadline_ms(const struct resolver *resolver)
{
    uint64_t finder_ms = finder_deadline_ms(resolver->finder);
    uint64_t event_ms = resolver->events != NULL ? resolver->events->due_ms : UINT64_MAX;
    return event_ms < finder_ms ? event_ms : finder_ms;
}

/* All that happens up to now, each thing at its own time, answers before deadlines. */
static void run(struct resolver *resolver, uint64_t now_ms)
{
    for (uint64_t due_ms = deadline_ms(resolver); due_ms <= now_ms; due_ms = deadline_ms(resolver)) {
        if (due_ms > resolver->now_ms)
            resolver->now_ms = due_ms;
        if (resolver->events != NULL && resolver->events->due_ms <= resolver->now_ms)
            event_run(resolver);
        else
            finder_advance(resolver->finder, resolver->now_ms);
    }
    if (now_ms > resolver->now_ms)
        resolver->now_ms = now_ms;
    for (unsigned i = 0; i < resolver->client_count; i++) {
        struct resolver_client *client = &resolver->clients[i];
        bool has_news = client->has_news;
        client->has_news = false;
        if (has_news && client->wake != NULL)
            client->wake(client->wake_context);
    }
}

/*
 * The contract.
 */

struct resolver *resolver_open(const struct resolver_settings *settings, unsigned client_count, struct err *err)
{
    SL_CHECK(client_count > 0);
    struct resolver *resolver = calloc(1, sizeof *resolver + client_count * sizeof resolver->clients[0]);
    if (resolver == NULL) {
        err_set(err, "no memory for a resolver with %u clients", client_count);
        return NULL;
    }
    resolver->settings = *settings;
    struct finder_hooks hooks = {resolver, script_ask, script_forget, script_reply};
    resolver->finder = finder_new(&resolver->settings, &hooks, 0);
    if (resolver->finder == NULL) {
        err_set(err, "no memory for a resolver with %u clients", client_count);
        free(resolver);
        return NULL;
    }
    resolver->client_count = client_count;
    for (unsigned i = 0; i < client_count; i++) {
        resolver->clients[i].resolver = resolver;
        resolver->clients[i].index = i;
        request_queue_init(&resolver->clients[i].posted);
        request_queue_init(&resolver->clients[i].replies);
    }
    return resolver;
}

void resolver_close(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    finder_free(resolver->finder);
    SL_CHECK(resolver->events == NULL);
    for (unsigned i = 0; i < resolver->client_count; i++) {
        request_queue_fini(&resolver->clients[i].posted);
        request_queue_fini(&resolver->clients[i].replies);
    }
    resolver_script_clear(resolver);
    for (struct script_count *one = resolver->counts, *next = NULL; one != NULL; one = next) {
        next = one->next;
        free(one);
    }
    free(resolver);
}

struct resolver_client *resolver_client(struct resolver *resolver, unsigned index, resolver_wake_fn wake,
                                        void *wake_context)
{
    SL_CHECK(index < resolver->client_count);
    struct resolver_client *client = &resolver->clients[index];
    client->wake = wake;
    client->wake_context = wake_context;
    return client;
}

bool resolver_post(struct resolver_client *client, uint64_t tag, struct span domain)
{
    if (client->pending == RESOLVER_PENDING_MAX)
        return false;
    struct resolver_request *request = resolver_request_new(client->index, tag, domain);
    if (request == NULL)
        return false;
    request_queue_put(&client->posted, request);
    client->pending++;
    return true;
}

void resolver_flush(struct resolver_client *client, uint64_t now_ms)
{
    struct resolver *resolver = client->resolver;
    run(resolver, now_ms);
    for (struct resolver_request *one = request_queue_take(&client->posted); one != NULL;
         one = request_queue_take(&client->posted))
        finder_request(resolver->finder, one, resolver->now_ms);
    run(resolver, now_ms);
}

unsigned resolver_poll(struct resolver_client *client, uint64_t now_ms, resolver_answer_fn answer, void *context)
{
    run(client->resolver, now_ms);
    /* Only what is there now: the answer function may flush and so add more. */
    struct request_queue ready = client->replies;
    if (ready.first == NULL)
        return 0;
    request_queue_init(&client->replies);
    unsigned count = 0;
    for (struct resolver_request *one = request_queue_take(&ready); one != NULL; one = request_queue_take(&ready)) {
        client->pending--;
        count++;
        answer(context, &one->answer);
        resolver_request_free(one);
    }
    return count;
}

uint64_t resolver_deadline_ms(const struct resolver_client *client)
{
    if (client->replies.first != NULL)
        return 0;
    return client->pending > 0 ? deadline_ms(client->resolver) : UINT64_MAX;
}

uint32_t resolver_pending(const struct resolver_client *client)
{
    return client->pending;
}

void resolver_stats(struct resolver *resolver, struct resolver_stats *stats)
{
    finder_stats(resolver->finder, stats);
}
