/* SPDX-License-Identifier: MIT */
/*
 * The store in memory: for tests and the simulation. Nothing survives store_close(); path is not used.
 *
 * A request is carried out by store_flush() on the client's own thread, so a simulated world stays deterministic. Its
 * reply waits for the next store_poll(), as with the real store: no caller can come to rely on an answer inside
 * store_post(). The wake function is called by store_flush(), after the replies are there.
 *
 * Records of a bucket lie in a skip list (Pugh, 1990), ordered by key for STORE_LIST. The heights come from a counter,
 * not from entropy, for the same determinism.
 */
#include "router/store/store.h"

#include "core/base/check.h"
#include "router/store/store_request_priv.h"

#include <pthread.h>
#include <stdlib.h>

#define HEIGHT_MAX 16u /* enough for 4^16 records at a branching of 4 */

struct record {
    char *bytes; /* key, then value */
    uint32_t key_size;
    uint32_t value_size;
    struct record *next[]; /* one for each level it is in */
};

struct bucket {
    struct record *first[HEIGHT_MAX];
    uint64_t born; /* counts records ever made; its bits are the dice */
};

struct queue {
    struct store_request *first;
    struct store_request **last;
    uint32_t count;
};

struct store_client {
    struct store *store;
    store_wake_fn wake;
    void *wake_context;
    struct queue posted;
    struct queue replies;
    uint32_t pending;
    uint32_t bytes;
};

struct store {
    /* Shards of a test may be threads; the simulation's are not, and then it is never contended. */
    pthread_mutex_t lock;
    struct bucket buckets[STORE_BUCKET_COUNT];
    struct store_stats stats;
    unsigned client_count;
    struct store_client clients[];
};

static void queue_init(struct queue *queue)
{
    *queue = (struct queue){.last = &queue->first};
}

static void queue_put(struct queue *queue, struct store_request *request)
{
    request->next = NULL;
    *queue->last = request;
    queue->last = &request->next;
    queue->count++;
}

static struct store_request *queue_take(struct queue *queue)
{
    struct store_request *request = queue->first;
    if (request == NULL)
        return NULL;
    queue->first = request->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    queue->count--;
    return request;
}

static struct span record_key(const struct record *record)
{
    return span_of(record->bytes, record->key_size);
}

static struct span record_value(const struct record *record)
{
    return span_of(record->bytes + record->key_size, record->value_size);
}

static int key_compare(struct span a, struct span b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size == 0 ? 0 : memcmp(a.ptr, b.ptr, size);
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

/* Fills, for each level, the pointer that leads to the first record with a key not smaller than key (or greater than
 * key, for is_after); returns that record or NULL. */
static struct record *bucket_seek(struct bucket *bucket, struct span key, bool is_after,
                                  struct record **links[HEIGHT_MAX])
{
    struct record **next = bucket->first;
    for (unsigned level = HEIGHT_MAX; level-- > 0;) {
        while (next[level] != NULL) {
            int order = key_compare(record_key(next[level]), key);
            if (order > 0 || (order == 0 && !is_after))
                break;
            next = next[level]->next;
        }
        links[level] = &next[level];
    }
    return *links[0];
}

/* Each level holds a quarter of the records of the one below: 2 bits of a mixed counter decide. */
static unsigned bucket_height(struct bucket *bucket)
{
    uint64_t dice = ++bucket->born * 0x9e3779b97f4a7c15u;
    dice = (dice ^ (dice >> 32)) * 0xd6e8feb86659fd93u;
    dice ^= dice >> 32;
    unsigned height = 1;
    while (height < HEIGHT_MAX && (dice & 3u) == 0) {
        height++;
        dice >>= 2;
    }
    return height;
}

static char *bytes_join(struct span key, struct span value)
{
    char *bytes = malloc(key.size + value.size);
    if (bytes == NULL)
        return NULL;
    memcpy(bytes, key.ptr, key.size);
    if (value.size > 0)
        memcpy(bytes + key.size, value.ptr, value.size);
    return bytes;
}

static void record_free(struct record *record)
{
    explicit_bzero(record->bytes, record->key_size + record->value_size);
    free(record->bytes);
    free(record);
}

static enum store_status bucket_insert(struct bucket *bucket, struct record **links[HEIGHT_MAX], struct span key,
                                       struct span value)
{
    unsigned height = bucket_height(bucket);
    struct record *record = malloc(sizeof *record + height * sizeof record->next[0]);
    char *bytes = bytes_join(key, value);
    if (record == NULL || bytes == NULL) {
        free(record);
        free(bytes);
        return STORE_FULL;
    }
    record->bytes = bytes;
    record->key_size = (uint32_t)key.size;
    record->value_size = (uint32_t)value.size;
    for (unsigned level = 0; level < height; level++) {
        record->next[level] = *links[level];
        *links[level] = record;
    }
    return STORE_DONE;
}

static enum store_status bucket_replace(struct record *record, struct span value)
{
    char *bytes = bytes_join(record_key(record), value);
    if (bytes == NULL)
        return STORE_FULL;
    explicit_bzero(record->bytes, record->key_size + record->value_size);
    free(record->bytes);
    record->bytes = bytes;
    record->value_size = (uint32_t)value.size;
    return STORE_DONE;
}

static enum store_status bucket_delete(struct record **links[HEIGHT_MAX], struct record *record)
{
    for (unsigned level = 0; level < HEIGHT_MAX && *links[level] == record; level++)
        *links[level] = record->next[level];
    record_free(record);
    return STORE_DONE;
}

static void bucket_find(struct record *record, struct store_request *request)
{
    if (record == NULL)
        request->status = STORE_MISSING;
    else
        store_request_answer(request, record_key(record), record_value(record));
}

static void carry_out(struct store *store, struct store_request *request)
{
    struct bucket *bucket = &store->buckets[request->bucket];
    struct span key = store_request_key(request);
    struct span value = store_request_value(request);
    struct record **links[HEIGHT_MAX];
    struct record *record = bucket_seek(bucket, key, request->op == STORE_LIST, links);
    if (record != NULL && request->op != STORE_LIST && !span_equal(record_key(record), key))
        record = NULL;
    switch (request->op) {
    case STORE_GET:
    case STORE_LIST:
        bucket_find(record, request);
        break;
    case STORE_CREATE:
        request->status = record != NULL ? STORE_EXISTS : bucket_insert(bucket, links, key, value);
        break;
    case STORE_UPDATE:
        request->status = record == NULL ? STORE_MISSING : bucket_replace(record, value);
        break;
    case STORE_PUT:
        request->status = record != NULL ? bucket_replace(record, value) : bucket_insert(bucket, links, key, value);
        break;
    case STORE_DELETE:
        request->status = record == NULL ? STORE_MISSING : bucket_delete(links, record);
        break;
    }
}

static void count(struct store_stats *stats, const struct store_request *request)
{
    if (store_request_is_write(request))
        stats->writes++;
    else
        stats->reads++;
    if (request->status == STORE_FULL)
        stats->full++;
}

struct store *store_open(const char *path, unsigned client_count, struct err *err)
{
    (void)path;
    struct store *store = calloc(1, sizeof *store + client_count * sizeof store->clients[0]);
    if (store == NULL) {
        err_set(err, "no memory for a store with %u clients", client_count);
        return NULL;
    }
    SL_CHECK(pthread_mutex_init(&store->lock, NULL) == 0);
    store->client_count = client_count;
    for (unsigned i = 0; i < client_count; i++) {
        store->clients[i].store = store;
        queue_init(&store->clients[i].posted);
        queue_init(&store->clients[i].replies);
    }
    return store;
}

static void queue_fini(struct queue *queue)
{
    for (struct store_request *request = queue_take(queue); request != NULL; request = queue_take(queue))
        store_request_free(request);
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    for (unsigned i = 0; i < store->client_count; i++) {
        queue_fini(&store->clients[i].posted);
        queue_fini(&store->clients[i].replies);
    }
    for (unsigned i = 0; i < STORE_BUCKET_COUNT; i++) {
        for (struct record *record = store->buckets[i].first[0], *next = NULL; record != NULL; record = next) {
            next = record->next[0];
            record_free(record);
        }
    }
    pthread_mutex_destroy(&store->lock);
    free(store);
}

struct store_client *store_client(struct store *store, unsigned index, store_wake_fn wake, void *wake_context)
{
    SL_CHECK(index < store->client_count);
    struct store_client *client = &store->clients[index];
    client->wake = wake;
    client->wake_context = wake_context;
    return client;
}

bool store_post(struct store_client *client, enum store_op op, enum store_bucket bucket, uint64_t tag, struct span key,
                struct span value)
{
    uint32_t size = (uint32_t)(key.size + value.size);
    if (client->pending == STORE_REQUESTS || client->bytes + size > STORE_BYTES)
        return false;
    struct store_request *request = store_request_new(op, bucket, tag, key, value);
    if (request == NULL)
        return false;
    queue_put(&client->posted, request);
    client->pending++;
    client->bytes += size;
    return true;
}

void store_flush(struct store_client *client)
{
    if (client->posted.count == 0)
        return;
    struct store *store = client->store;
    bool has_written = false;
    pthread_mutex_lock(&store->lock);
    for (struct store_request *request = queue_take(&client->posted); request != NULL;
         request = queue_take(&client->posted)) {
        carry_out(store, request);
        count(&store->stats, request);
        has_written |= store_request_is_write(request);
        queue_put(&client->replies, request);
    }
    store->stats.commits += has_written;
    pthread_mutex_unlock(&store->lock);
    if (client->wake != NULL)
        client->wake(client->wake_context);
}

unsigned store_poll(struct store_client *client, store_reply_fn reply, void *context)
{
    /* Only what is there now: the reply function may flush and so add more. */
    uint32_t reply_count = client->replies.count;
    for (uint32_t i = 0; i < reply_count; i++) {
        struct store_request *request = queue_take(&client->replies);
        SL_CHECK(request != NULL && client->pending > 0);
        client->pending--;
        client->bytes -= store_request_size(request);
        store_request_reply(request, reply, context);
        store_request_free(request);
    }
    return reply_count;
}

uint32_t store_pending(const struct store_client *client)
{
    return client->pending;
}

void store_stats(struct store *store, struct store_stats *stats)
{
    pthread_mutex_lock(&store->lock);
    *stats = store->stats;
    pthread_mutex_unlock(&store->lock);
}
