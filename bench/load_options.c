/* SPDX-License-Identifier: MIT */
#include "bench/load_options.h"

#include "bench/traffic.h"
#include "bench/wallet.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

const char *const load_mode_names[] = {"login", "idle", "chat", "rate", "iq", "presence", "storm", "flood", NULL};
const char *const load_flood_names[] = {"tcp", "hello", "tls", NULL};
const char *const load_tls_names[] = {"direct", "starttls", "none", NULL};
const char *const load_mechanism_names[] = {"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS",
                                            "PLAIN",         "EXTERNAL",           NULL};

const char *load_options_usage(void)
{
    return "usage: sluice-load MODE --connect ADDR:PORT[,ADDR:PORT...] [option...]\n"
           "\n"
           "  login   log in, log out, and again: --sessions at once for --duration\n"
           "  idle    log in and hold, until SIGTERM or --duration; with --pid the server's memory per session\n"
           "  chat    pairs of sessions write to each other, --window messages under way of each\n"
           "  rate    the same at a fixed --rate, latency counted from when a message was due\n"
           "  iq      pings to the server, --window under way of each session\n"
           "  presence  --users accounts (1) with all the sessions: the first of each changes its presence, the others "
           "are\n"
           "          told; --window changes under way of each\n"
           "  storm   log in and hold; at SIGUSR1 (or after --warmup, if it is given) all connections are cut, and all "
           "come back\n"
           "          at once, until they are there; then hold as idle does\n"
           "  flood   connections that never log in, --login-rate a second, --sessions at a time, until the server "
           "ends "
           "them\n"
           "\n"
           "  --connect LIST        servers, used in turn; IPv6 as [::1]:5223\n"
           "  --tls HOW             direct (default), starttls or none\n"
           "  --domain D            localhost\n"
           "  --peer-connect LIST   another server: the second session of each pair logs in there\n"
           "  --peer-domain D       the domain there\n"
           "  --one-way             only the first session of each pair writes\n"
           "  --users N             accounts user0, user1, ... (as many as sessions at one server)\n"
           "  --first-user K        the first account's number (0)\n"
           "  --seats FILE          instead: the numbers of the accounts, one for each session in order\n"
           "  --password W          of all of them (secret)\n"
           "  --mechanism M         SCRAM-SHA-256 (default), SCRAM-SHA-1, these with -PLUS, PLAIN or EXTERNAL\n"
           "  --certificates FOLDER what clients present there: 0.pem and 0.key, 1.pem and 1.key, ... (TLS)\n"
           "  --certificate-count N so many of them, dealt out to the sessions in turn (1)\n"
           "  --first-certificate K the first one's number (0)\n"
           "  --sessions N          100\n"
           "  --pairs P             the same as --sessions 2P\n"
           "  --threads T           1\n"
           "  --window W            1\n"
           "  --body B              bytes of a message's body, or of a presence's status, at least 24 (100)\n"
           "  --count N             chat, iq, presence: end after N messages of each session instead of a time\n"
           "  --rate R              rate: messages per second in all (1000)\n"
           "  --calm                rate: sleeps between milliseconds, and latency counts from when a message was "
           "written\n"
           "  --duration S          of the measurement (5)\n"
           "  --warmup S            of the same load before it (1)\n"
           "  --resets N            idle: the server ends N streams with <reset/>, and then it is over\n"
           "  --settle S            between the last login and what follows (0; idle: 2)\n"
           "  --patience S          without progress for so long the run has failed (30)\n"
           "  --login-rate R        logins begun per second in all (as fast as they go)\n"
           "  --logins-at-once N    under way in each thread (64)\n"
           "  --pipeline            log in with fewer round trips: what is known to be offered is not waited for\n"
           "  --flood-kind K        tcp (default): says nothing; hello: a TLS hello and nothing more; tls: handshake, "
           "no "
           "stream\n"
           "  --source A            the first IPv4 address that connections to loopback come from (127.0.0.2)\n"
           "  --source-count N      so many of them in turn (250)\n"
           "  --read-rate B         chat: the second of each pair reads B bytes a second while the load lasts; 0: "
           "nothing\n"
           "  --presence            send available presence after binding\n"
           "  --relay               the other end is bench/relay: no XMPP, connections joined by twos\n"
           "  --pid PID             of the server: its CPU time and memory are read from /proc\n"
           "  --peer-pid PID        of the other server\n"
           "  --tap FOLDER          keeps what clients hear there, a file a connection: for tests, slow\n"
           "  --record FILE         of one thread: \"message NS LATENCY_NS\" and \"reset NS SESSION\", by "
           "CLOCK_MONOTONIC\n"
           "  --json                one line of JSON\n"
           "\n"
           "Exit status: 0 all went well; 1 something was lost, duplicated, out of order or failed; 2 wrong usage.\n";
}

enum { OPTION_FIRST = 256 };
enum option_id {
    OPT_CONNECT = OPTION_FIRST,
    OPT_TLS,
    OPT_DOMAIN,
    OPT_PEER_CONNECT,
    OPT_PEER_DOMAIN,
    OPT_ONE_WAY,
    OPT_USERS,
    OPT_FIRST_USER,
    OPT_PASSWORD,
    OPT_MECHANISM,
    OPT_SESSIONS,
    OPT_PAIRS,
    OPT_THREADS,
    OPT_WINDOW,
    OPT_BODY,
    OPT_COUNT,
    OPT_RATE,
    OPT_CALM,
    OPT_DURATION,
    OPT_WARMUP,
    OPT_SETTLE,
    OPT_PATIENCE,
    OPT_LOGIN_RATE,
    OPT_LOGINS_AT_ONCE,
    OPT_PIPELINE,
    OPT_PRESENCE,
    OPT_RELAY,
    OPT_PID,
    OPT_PEER_PID,
    OPT_TAP,
    OPT_CERTIFICATES,
    OPT_CERTIFICATE_COUNT,
    OPT_FIRST_CERTIFICATE,
    OPT_RESETS,
    OPT_RECORD,
    OPT_SEATS,
    OPT_FLOOD_KIND,
    OPT_SOURCE,
    OPT_SOURCE_COUNT,
    OPT_READ_RATE,
    OPT_JSON,
    OPT_HELP,
};

static const struct option longs[] = {
    {"connect", required_argument, NULL, OPT_CONNECT},
    {"tls", required_argument, NULL, OPT_TLS},
    {"domain", required_argument, NULL, OPT_DOMAIN},
    {"peer-connect", required_argument, NULL, OPT_PEER_CONNECT},
    {"peer-domain", required_argument, NULL, OPT_PEER_DOMAIN},
    {"one-way", no_argument, NULL, OPT_ONE_WAY},
    {"users", required_argument, NULL, OPT_USERS},
    {"first-user", required_argument, NULL, OPT_FIRST_USER},
    {"password", required_argument, NULL, OPT_PASSWORD},
    {"mechanism", required_argument, NULL, OPT_MECHANISM},
    {"sessions", required_argument, NULL, OPT_SESSIONS},
    {"pairs", required_argument, NULL, OPT_PAIRS},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"window", required_argument, NULL, OPT_WINDOW},
    {"body", required_argument, NULL, OPT_BODY},
    {"count", required_argument, NULL, OPT_COUNT},
    {"rate", required_argument, NULL, OPT_RATE},
    {"calm", no_argument, NULL, OPT_CALM},
    {"duration", required_argument, NULL, OPT_DURATION},
    {"warmup", required_argument, NULL, OPT_WARMUP},
    {"settle", required_argument, NULL, OPT_SETTLE},
    {"patience", required_argument, NULL, OPT_PATIENCE},
    {"login-rate", required_argument, NULL, OPT_LOGIN_RATE},
    {"logins-at-once", required_argument, NULL, OPT_LOGINS_AT_ONCE},
    {"pipeline", no_argument, NULL, OPT_PIPELINE},
    {"presence", no_argument, NULL, OPT_PRESENCE},
    {"relay", no_argument, NULL, OPT_RELAY},
    {"pid", required_argument, NULL, OPT_PID},
    {"peer-pid", required_argument, NULL, OPT_PEER_PID},
    {"tap", required_argument, NULL, OPT_TAP},
    {"certificates", required_argument, NULL, OPT_CERTIFICATES},
    {"certificate-count", required_argument, NULL, OPT_CERTIFICATE_COUNT},
    {"first-certificate", required_argument, NULL, OPT_FIRST_CERTIFICATE},
    {"resets", required_argument, NULL, OPT_RESETS},
    {"record", required_argument, NULL, OPT_RECORD},
    {"seats", required_argument, NULL, OPT_SEATS},
    {"flood-kind", required_argument, NULL, OPT_FLOOD_KIND},
    {"source", required_argument, NULL, OPT_SOURCE},
    {"source-count", required_argument, NULL, OPT_SOURCE_COUNT},
    {"read-rate", required_argument, NULL, OPT_READ_RATE},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

enum number_kind { NUMBER_WHOLE, NUMBER_REAL }; /* uint32_t, double */

struct number_rule {
    enum option_id id;
    enum number_kind kind;
    size_t field;
    double min, max;
};

#define FIELD(name) offsetof(struct load_options, name)

static const struct number_rule number_rules[] = {
    {OPT_USERS, NUMBER_WHOLE, FIELD(users), 1, 100e6},
    {OPT_FIRST_USER, NUMBER_WHOLE, FIELD(first_user), 0, 1e9},
    {OPT_CERTIFICATE_COUNT, NUMBER_WHOLE, FIELD(certificates), 1, WALLET_MAX},
    {OPT_FIRST_CERTIFICATE, NUMBER_WHOLE, FIELD(first_certificate), 0, 1e9},
    {OPT_RESETS, NUMBER_WHOLE, FIELD(resets), 1, 10e6},
    {OPT_SESSIONS, NUMBER_WHOLE, FIELD(sessions), 1, 10e6},
    {OPT_PAIRS, NUMBER_WHOLE, FIELD(pairs), 1, 5e6},
    {OPT_THREADS, NUMBER_WHOLE, FIELD(threads), 1, 64},
    {OPT_WINDOW, NUMBER_WHOLE, FIELD(window), 1, 10000},
    {OPT_BODY, NUMBER_WHOLE, FIELD(body), TRAFFIC_BODY_MIN, TRAFFIC_BODY_MAX},
    {OPT_COUNT, NUMBER_WHOLE, FIELD(count), 1, 1e9},
    {OPT_LOGINS_AT_ONCE, NUMBER_WHOLE, FIELD(logins_at_once), 1, 100000},
    {OPT_PID, NUMBER_WHOLE, FIELD(servers[0].pid), 1, 1 << 30},
    {OPT_PEER_PID, NUMBER_WHOLE, FIELD(servers[1].pid), 1, 1 << 30},
    {OPT_RATE, NUMBER_REAL, FIELD(rate), 1, 100e6},
    {OPT_DURATION, NUMBER_REAL, FIELD(duration_s), 0.01, 1e6},
    {OPT_WARMUP, NUMBER_REAL, FIELD(warmup_s), 0, 1e6},
    {OPT_SETTLE, NUMBER_REAL, FIELD(settle_s), 0, 1e6},
    {OPT_PATIENCE, NUMBER_REAL, FIELD(patience_s), 1, 1e6},
    {OPT_SOURCE_COUNT, NUMBER_WHOLE, FIELD(source_count), 1, 1 << 16},
    {OPT_READ_RATE, NUMBER_REAL, FIELD(read_rate), 0, 1e12},
    {OPT_LOGIN_RATE, NUMBER_REAL, FIELD(login_rate), 0.1, 1e6},
};

static bool is_number(int id)
{
    for (size_t i = 0; i < sizeof number_rules / sizeof *number_rules; i++)
        if ((int)number_rules[i].id == id)
            return true;
    return false;
}

static bool set_number(struct load_options *options, enum option_id id, struct err *err)
{
    const struct number_rule *rule = number_rules;
    while (rule->id != id)
        rule++;
    char *end;
    double number = strtod(optarg, &end);
    bool is_whole = rule->kind == NUMBER_WHOLE;
    bool is_fine = end != optarg && *end == '\0' && number >= rule->min && number <= rule->max &&
                   (!is_whole || number == (double)(uint64_t)number);
    if (!is_fine) {
        err_set(err, "--%s %s: a %snumber from %g to %g is wanted", longs[id - OPTION_FIRST].name, optarg,
                is_whole ? "whole " : "", rule->min, rule->max);
        return false;
    }
    char *field = (char *)options + rule->field;
    uint32_t whole = (uint32_t)number;
    if (is_whole)
        memcpy(field, &whole, sizeof whole);
    else
        memcpy(field, &number, sizeof number);
    return true;
}

static bool choose(const char *const *names, const char *name, const char *what, unsigned *index, struct err *err)
{
    for (*index = 0; names[*index]; (*index)++)
        if (strcmp(names[*index], name) == 0)
            return true;
    err_set(err, "%s: no such %s; see --help", name, what);
    return false;
}

static bool parse_address(const char *text, size_t size, struct sockaddr_storage *out)
{
    char host[64];
    const char *colon = memrchr(text, ':', size);
    if (!colon || (size_t)(colon - text) >= sizeof host)
        return false;
    size_t host_size = (size_t)(colon - text);
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (end != text + size || end == colon + 1 || port == 0 || port > 65535)
        return false;
    bool is_v6 = host_size > 2 && text[0] == '[' && text[host_size - 1] == ']';
    size_t skip = is_v6 ? 1 : 0;
    memcpy(host, text + skip, host_size - 2 * skip);
    host[host_size - 2 * skip] = '\0';
    memset(out, 0, sizeof *out);
    if (is_v6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

static bool parse_addresses(struct load_server *server, const char *list, struct err *err)
{
    for (const char *text = list; text;) {
        const char *comma = strchr(text, ',');
        size_t size = comma ? (size_t)(comma - text) : strlen(text);
        if (server->address_count == LOAD_ADDRESSES_MAX ||
            !parse_address(text, size, &server->addresses[server->address_count])) {
            err_set(err, "%s: numeric ADDR:PORT is wanted, %u at most", list, LOAD_ADDRESSES_MAX);
            return false;
        }
        server->address_count++;
        text = comma ? comma + 1 : NULL;
    }
    return true;
}

static bool parse_source(struct load_options *options, const char *text, struct err *err)
{
    struct in_addr address;
    if (inet_pton(AF_INET, text, &address) == 1) {
        options->source = ntohl(address.s_addr);
        return true;
    }
    err_set(err, "%s: no IPv4 address", text);
    return false;
}

static bool set_word(struct load_options *options, enum option_id id, struct err *err)
{
    unsigned index;
    if (id == OPT_CONNECT)
        return parse_addresses(&options->servers[0], optarg, err);
    if (id == OPT_PEER_CONNECT)
        return parse_addresses(&options->servers[1], optarg, err);
    if (id == OPT_TLS) {
        if (!choose(load_tls_names, optarg, "kind of TLS", &index, err))
            return false;
        options->tls = (enum load_tls)index;
    } else if (id == OPT_MECHANISM) {
        if (!choose(load_mechanism_names, optarg, "mechanism", &index, err))
            return false;
        options->mechanism = (enum load_mechanism)index;
    } else if (id == OPT_FLOOD_KIND) {
        if (!choose(load_flood_names, optarg, "kind of flood", &index, err))
            return false;
        options->flood = (enum load_flood)index;
    } else if (id == OPT_SOURCE) {
        return parse_source(options, optarg, err);
    } else if (id == OPT_DOMAIN) {
        options->servers[0].domain = optarg;
    } else if (id == OPT_PEER_DOMAIN) {
        options->servers[1].domain = optarg;
    } else if (id == OPT_PASSWORD) {
        options->password = optarg;
    } else if (id == OPT_TAP) {
        options->tap = optarg;
    } else if (id == OPT_CERTIFICATES) {
        options->wallet = optarg;
    } else if (id == OPT_RECORD) {
        options->record = optarg;
    } else if (id == OPT_SEATS) {
        options->seats = optarg;
    }
    return true;
}

static bool is_paired(const struct load_options *options)
{
    return options->mode == MODE_CHAT || options->mode == MODE_RATE;
}

/* A second server is there with its domain, or not at all. */
static const char *peer_misfit(const struct load_options *options)
{
    const struct load_server *peer = &options->servers[1];
    if (!is_paired(options) && (peer->address_count || options->is_one_way))
        return "--peer-connect and --one-way go with chat and rate";
    if (!peer->address_count != !peer->domain)
        return "--peer-connect and --peer-domain go together";
    if (!peer->address_count && peer->pid)
        return "--peer-pid goes with --peer-connect";
    if (options->is_relay && peer->address_count)
        return "--relay goes with one server";
    return NULL;
}

static const char *wallet_misfit(const struct load_options *options)
{
    if (options->wallet && options->tls == LOAD_TLS_NONE)
        return "--certificates needs TLS";
    if (!options->wallet && options->mechanism == MECHANISM_EXTERNAL)
        return "EXTERNAL needs --certificates";
    if (!options->wallet && (options->certificates || options->first_certificate))
        return "--certificate-count and --first-certificate go with --certificates";
    return NULL;
}

/* An account's sessions are in one thread, and each change is for others than who makes it. */
static const char *presence_misfit(const struct load_options *options)
{
    if (options->mode != MODE_PRESENCE)
        return NULL;
    if (options->threads > 1)
        return "presence goes with one thread";
    if (options->seats)
        return "--seats goes with other modes than presence";
    return options->sessions < 2 * options->users ? "presence wants two sessions of each account" : NULL;
}

/* Who sends waits for what arrives. */
static bool is_closed(enum load_mode mode)
{
    return mode == MODE_CHAT || mode == MODE_IQ || mode == MODE_PRESENCE;
}

/* What does not fit together; NULL: all does. */
static const char *misfit(const struct load_options *options)
{
    bool is_plus = options->mechanism == MECHANISM_SHA256_PLUS || options->mechanism == MECHANISM_SHA1_PLUS;
    if (!options->servers[0].address_count)
        return "--connect is needed";
    if (is_paired(options) && options->sessions % 2)
        return "an even number of sessions is needed: they chat in pairs";
    if (options->is_relay && !is_paired(options))
        return "--relay goes with chat and rate";
    if (options->is_relay && options->threads > 1)
        return "--relay goes with one thread: connections are joined in their order";
    if (options->count && !is_closed(options->mode))
        return "--count goes with chat, iq and presence";
    if (options->tls == LOAD_TLS_NONE && is_plus)
        return "-PLUS needs TLS";
    if (options->resets && (options->mode != MODE_IDLE || options->resets > options->sessions))
        return "--resets goes with idle, and is no more than its sessions";
    if (options->is_calm && options->mode != MODE_RATE)
        return "--calm goes with rate";
    if (options->mode == MODE_FLOOD && options->tls == LOAD_TLS_NONE && options->flood != FLOOD_TCP)
        return "only a flood of kind tcp goes without TLS";
    if (options->read_rate >= 0 && options->mode != MODE_CHAT)
        return "--read-rate goes with chat";
    if (options->flood != FLOOD_TCP && options->mode != MODE_FLOOD)
        return "--flood-kind goes with flood";
    if (options->record && options->threads > 1)
        return "--record goes with one thread";
    const char *wrong = wallet_misfit(options);
    wrong = wrong ? wrong : presence_misfit(options);
    return wrong ? wrong : peer_misfit(options);
}

/* The defaults that depend on others. */
static bool complete(struct load_options *options, struct err *err)
{
    if (options->pairs)
        options->sessions = 2 * options->pairs;
    if (options->mode == MODE_PRESENCE) {
        options->has_presence = true;
        options->users = options->users ? options->users : 1;
    }
    const char *wrong = misfit(options);
    if (wrong) {
        err_set(err, "%s", wrong);
        return false;
    }
    options->server_count = options->servers[1].address_count ? 2 : 1;
    if (options->is_relay && options->tls == LOAD_TLS_STARTTLS)
        options->tls = LOAD_TLS_NONE;
    if (!options->users)
        options->users = options->sessions / options->server_count;
    if (options->wallet && !options->certificates)
        options->certificates = 1;
    if (options->settle_s < 0)
        options->settle_s = options->mode == MODE_IDLE ? 2 : 0;
    if (options->warmup_s < 0)
        options->warmup_s = options->mode == MODE_STORM ? 0 : 1;
    uint32_t units = is_paired(options) ? options->sessions / 2 : options->sessions;
    if (options->threads > units)
        options->threads = units;
    return true;
}

enum load_parsed load_options_parse(struct load_options *options, int argc, char **argv, struct err *err)
{
    *options = (struct load_options){
        .servers = {{.domain = "localhost"}},
        .password = "secret",
        .sessions = 100,
        .threads = 1,
        .window = 1,
        .body = 100,
        .rate = 1000,
        .duration_s = 5,
        .warmup_s = -1,
        .settle_s = -1,
        .patience_s = 30,
        .logins_at_once = 64,
        .source = 0x7f000002u, /* 127.0.0.2 to 127.0.0.251: 28,000 ports each by default */
        .source_count = 250,
        .read_rate = -1,
    };
    for (int id; (id = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        bool is_fine = true;
        if (id == '?')
            return LOAD_WRONG;
        if (id == OPT_HELP)
            return LOAD_HELP;
        if (id == OPT_PIPELINE)
            options->is_pipelined = true;
        else if (id == OPT_PRESENCE)
            options->has_presence = true;
        else if (id == OPT_RELAY)
            options->is_relay = true;
        else if (id == OPT_JSON)
            options->is_json = true;
        else if (id == OPT_ONE_WAY)
            options->is_one_way = true;
        else if (id == OPT_CALM)
            options->is_calm = true;
        else if (is_number(id))
            is_fine = set_number(options, (enum option_id)id, err);
        else
            is_fine = set_word(options, (enum option_id)id, err);
        if (!is_fine)
            return LOAD_WRONG;
    }
    unsigned mode;
    if (optind + 1 != argc) {
        err_set(err, "one mode is wanted; see --help");
        return LOAD_WRONG;
    }
    if (!choose(load_mode_names, argv[optind], "mode", &mode, err))
        return LOAD_WRONG;
    options->mode = (enum load_mode)mode;
    return complete(options, err) ? LOAD_RUN : LOAD_WRONG;
}
