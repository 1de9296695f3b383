/* SPDX-License-Identifier: MIT */
#include "router/certs/fetch_priv.h"

#include "core/base/check.h"
#include "core/base/log.h"

#include <curl/curl.h>
#include <limits.h>
#include <stdlib.h>

#define REDIRECTS_MAX 3L
#define HEADERS_MAX   65536u /* bytes of all header fields of a fetch; libcurl keeps them until it is over */
#define HTTP_OK       200L
#define BODY_FIRST    4096u
#define WAIT_MS       INT_MAX /* nothing is polled for: the descriptors and libcurl's own timers end a wait */

struct fetch {
    struct fetch *next, *previous;
    struct fetcher *fetcher;
    CURL *easy;
    uint64_t number;
    size_t headers_size;
    size_t size_max;
    size_t size;
    size_t room;
    char *body;
    const char *fault; /* why we ended it; NULL: we did not */
    char request[OCSP_REQUEST_MAX];
};

struct fetcher {
    CURLM *multi;
    struct curl_slist *ocsp_headers;
    struct fetch *fetches;
    struct address_policy addresses;
    uint32_t timeout_ms;
    fetch_done_fn done;
    void *context;
};

struct fetcher *fetcher_new(const struct inspector_settings *settings, fetch_done_fn done, void *context)
{
    struct fetcher *fetcher = calloc(1, sizeof *fetcher);
    if (!fetcher)
        return NULL;
    *fetcher = (struct fetcher){.multi = curl_multi_init(),
                                .ocsp_headers = curl_slist_append(NULL, "Content-Type: application/ocsp-request"),
                                .addresses = settings->addresses,
                                .timeout_ms = settings->timeout_ms,
                                .done = done,
                                .context = context};
    if (fetcher->multi && fetcher->ocsp_headers)
        return fetcher;
    fetcher_free(fetcher);
    return NULL;
}

static void fetch_free(struct fetch *fetch)
{
    struct fetcher *fetcher = fetch->fetcher;
    if (fetch->next)
        fetch->next->previous = fetch->previous;
    if (fetch->previous)
        fetch->previous->next = fetch->next;
    else if (fetcher->fetches == fetch)
        fetcher->fetches = fetch->next;
    if (fetch->easy) {
        curl_multi_remove_handle(fetcher->multi, fetch->easy);
        curl_easy_cleanup(fetch->easy);
    }
    free(fetch->body);
    free(fetch);
}

void fetcher_free(struct fetcher *fetcher)
{
    if (!fetcher)
        return;
    while (fetcher->fetches)
        fetch_free(fetcher->fetches);
    curl_slist_free_all(fetcher->ocsp_headers);
    if (fetcher->multi)
        curl_multi_cleanup(fetcher->multi);
    free(fetcher);
}

/* libcurl takes any other number than size for an end. */
static size_t take_header(char *bytes, size_t one, size_t size, void *context)
{
    struct fetch *fetch = context;
    (void)bytes;
    SL_CHECK(one == 1);
    if (size <= HEADERS_MAX - fetch->headers_size) {
        fetch->headers_size += size;
        return size;
    }
    fetch->fault = "its header is too large";
    return 0;
}

/* Grows by doubling up to the bound. */
static size_t take_bytes(char *bytes, size_t one, size_t size, void *context)
{
    struct fetch *fetch = context;
    SL_CHECK(one == 1);
    if (size > fetch->size_max - fetch->size) {
        fetch->fault = "the answer is too large";
        return 0;
    }
    if (size > fetch->room - fetch->size) {
        size_t room = fetch->room ? fetch->room * 2 : BODY_FIRST;
        while (room < fetch->size + size)
            room *= 2;
        char *body = realloc(fetch->body, room);
        if (!body)
            return 0;
        fetch->body = body;
        fetch->room = room;
    }
    memcpy(fetch->body + fetch->size, bytes, size);
    fetch->size += size;
    return size;
}

/* After the name was resolved, so that no name leads where it may not. Of several addresses those that may be are
 * tried. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct fetch *fetch = context;
    union address address = {0};
    (void)purpose;
    if (to->addrlen <= sizeof address)
        memcpy(&address, &to->addr, to->addrlen);
    if (to->addrlen > sizeof address || !address_is_permitted(&fetch->fetcher->addresses, &address)) {
        fetch->fault = "its address is not one that may be connected to";
        return CURL_SOCKET_BAD;
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* What is the same for all: nothing of the environment or of an earlier fetch has a say, and a connection ends with its
 * fetch: the next one to the same responder is hours away. */
static bool set_bounds(CURL *easy, uint32_t timeout_ms)
{
    static const struct {
        CURLoption option;
        long value;
    } numbers[] = {
        {CURLOPT_FOLLOWLOCATION, 1},
        {CURLOPT_MAXREDIRS, REDIRECTS_MAX},
        {CURLOPT_POSTREDIR, CURL_REDIR_POST_301 | CURL_REDIR_POST_302}, /* a GET would ask for something else */
        {CURLOPT_FAILONERROR, 1},
        {CURLOPT_HTTP09_ALLOWED, 0},
        {CURLOPT_DISALLOW_USERNAME_IN_URL, 1},
        {CURLOPT_NETRC, CURL_NETRC_IGNORED},
        {CURLOPT_FORBID_REUSE, 1},
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_QUICK_EXIT, 1}, /* one that ends does not wait for a name server that is silent */
    };
    bool is_set = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http") == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms) == CURLE_OK;
    for (size_t i = 0; is_set && i < sizeof numbers / sizeof numbers[0]; i++)
        is_set = curl_easy_setopt(easy, numbers[i].option, numbers[i].value) == CURLE_OK;
    return is_set;
}

static bool set_up(struct fetch *fetch, const char *url, size_t request_size)
{
    CURL *easy = fetch->easy;
    bool is_set = set_bounds(easy, fetch->fetcher->timeout_ms) &&
                  curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_HEADERDATA, fetch) == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes) == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch) == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, fetch) == CURLE_OK &&
                  curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch) == CURLE_OK;
    if (!is_set || !request_size)
        return is_set;
    return curl_easy_setopt(easy, CURLOPT_POSTFIELDS, fetch->request) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)request_size) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fetch->fetcher->ocsp_headers) == CURLE_OK;
}

/* A fetch that could not even begin is over in the next wait: without a handle. */
void fetcher_begin(struct fetcher *fetcher, uint64_t number, const char *url, struct span request)
{
    struct fetch *fetch = calloc(1, sizeof *fetch);
    SL_CHECK(fetch && request.size <= sizeof fetch->request);
    *fetch = (struct fetch){.next = fetcher->fetches,
                            .fetcher = fetcher,
                            .number = number,
                            .size_max = request.size ? REVOCATION_OCSP_MAX : REVOCATION_CRL_MAX};
    memcpy(fetch->request, request.ptr, request.size);
    if (fetcher->fetches)
        fetcher->fetches->previous = fetch;
    fetcher->fetches = fetch;
    fetch->easy = curl_easy_init();
    if (fetch->easy && set_up(fetch, url, request.size) &&
        curl_multi_add_handle(fetcher->multi, fetch->easy) == CURLM_OK)
        return;
    if (fetch->easy)
        curl_easy_cleanup(fetch->easy);
    fetch->easy = NULL;
}

/* Of what type it says that it is does not matter: the bytes are signed (RFC 6960 A.2, RFC 5280 s4.2.1.13 name one).
 * But a redirect to nowhere, or nothing at all, is no answer. */
static const char *fault_of(const struct fetch *fetch, CURLcode code)
{
    long status = 0;
    if (code != CURLE_OK)
        return fetch->fault ? fetch->fault : curl_easy_strerror(code);
    if (curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status != HTTP_OK)
        return "the status of the answer is another one than 200";
    return NULL;
}

static void end(struct fetch *fetch, CURLcode code)
{
    struct fetcher *fetcher = fetch->fetcher;
    const char *error = fault_of(fetch, code), *url = NULL;
    long status = 0; /* of HTTP; 0: there was none */
    if (error && fetch->easy) {
        (void)curl_easy_getinfo(fetch->easy, CURLINFO_EFFECTIVE_URL, &url); /* where the last redirect led */
        (void)curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    }
    if (error)
        log_event(LOG_INFO, "certs.fetch_failed", "url=%s status=%ld reason=%s",
                  log_quoted(span_str(url ? url : "")).text, status, log_quoted(span_str(error)).text);
    struct span body = error ? SPAN_NONE : span_of(fetch->body ? fetch->body : "", fetch->size);
    fetcher->done(fetcher->context, fetch->number, body, error);
    fetch_free(fetch);
}

static bool end_those_without_handle(struct fetcher *fetcher)
{
    for (struct fetch *fetch = fetcher->fetches; fetch; fetch = fetch->next) {
        if (fetch->easy)
            continue;
        end(fetch, CURLE_OUT_OF_MEMORY);
        return true;
    }
    return false;
}

void fetcher_wait(struct fetcher *fetcher, int bell, int timer)
{
    struct curl_waitfd waits[] = {{bell, CURL_WAIT_POLLIN, 0}, {timer, CURL_WAIT_POLLIN, 0}};
    int running, left;
    while (end_those_without_handle(fetcher)) {
    }
    /* Begins what was added; then the wait knows their descriptors. */
    curl_multi_perform(fetcher->multi, &running);
    const CURLMsg *message = curl_multi_info_read(fetcher->multi, &left);
    if (!message) {
        curl_multi_poll(fetcher->multi, waits, 2, WAIT_MS, NULL);
        curl_multi_perform(fetcher->multi, &running);
        message = curl_multi_info_read(fetcher->multi, &left);
    }
    for (; message; message = curl_multi_info_read(fetcher->multi, &left)) {
        char *private = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; /* the message is gone with its handle */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        end((struct fetch *)(void *)private, code);
    }
}
