/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Load options: what sluice-load was asked to do, from its command line.
 */
#include "core/base/err.h"
#include "core/base/span.h"

#include <stdint.h>
#include <sys/socket.h>

#define LOAD_ADDRESSES_MAX 16u
#define LOAD_SERVERS_MAX   2u

enum load_mode { MODE_LOGIN, MODE_IDLE, MODE_CHAT, MODE_RATE, MODE_IQ, MODE_PRESENCE, MODE_STORM, MODE_FLOOD };
enum load_flood { FLOOD_TCP, FLOOD_HELLO, FLOOD_TLS }; /* how far a connection of a flood goes */
enum load_tls { LOAD_TLS_DIRECT, LOAD_TLS_STARTTLS, LOAD_TLS_NONE };
enum load_mechanism {
    MECHANISM_SHA256,
    MECHANISM_SHA256_PLUS,
    MECHANISM_SHA1,
    MECHANISM_SHA1_PLUS,
    MECHANISM_PLAIN,
    MECHANISM_EXTERNAL
};

/* Where sessions log in. */
struct load_server {
    struct sockaddr_storage addresses[LOAD_ADDRESSES_MAX];
    uint32_t address_count;
    uint32_t pid; /* 0: unknown */
    const char *domain;
};

struct load_options {
    enum load_mode mode;
    enum load_tls tls;
    enum load_mechanism mechanism;
    enum load_flood flood;
    struct load_server servers[LOAD_SERVERS_MAX]; /* the second one: of the second session of each pair */
    uint32_t server_count;
    const char *password;
    const char *tap;    /* folder for what clients hear, a file a connection; NULL: none */
    const char *wallet; /* folder of the certificates that clients present; NULL: none */
    const char *record; /* file for what happens when, a line each; NULL: none */
    const char *seats;  /* file with the number of each session's account, in order; NULL: they go round */
    uint32_t first_certificate;
    uint32_t certificates; /* dealt out to the sessions in turn */
    uint32_t resets;       /* idle: so many streams are ended with <reset/>, and then it is over */
    uint32_t sessions;
    uint32_t pairs; /* 0: see sessions, which is complete after parsing */
    uint32_t users;
    uint32_t first_user;
    uint32_t threads;
    uint32_t window;         /* messages or requests under way of one session */
    uint32_t body;           /* bytes of a message's body */
    uint32_t count;          /* messages of each session; 0: by time */
    double rate;             /* messages per second in all */
    double duration_s;       /* of the measurement */
    double warmup_s;         /* of the same load before it */
    double settle_s;         /* rest between the last login and the measurement of memory */
    double patience_s;       /* without any progress for this long the run has failed */
    double login_rate;       /* logins begun per second in all; 0: as fast as they go */
    uint32_t logins_at_once; /* under way in each thread */
    uint32_t source;         /* IPv4, host order: the first address that connections to loopback come from */
    uint32_t source_count;
    double read_rate; /* chat: bytes a second that the second of each pair reads; below 0: as they come */
    bool has_presence;
    bool is_pipelined; /* logs in without waiting for what it knows will come */
    bool is_calm;      /* rate: sleeps until what is due within a millisecond can go together */
    bool is_one_way;   /* only the first of each pair writes */
    bool is_relay;     /* no XMPP at the other end: connections 2k and 2k + 1 are joined */
    bool is_json;
};

extern const char *const load_mode_names[];
extern const char *const load_tls_names[];
extern const char *const load_mechanism_names[];
extern const char *const load_flood_names[];

enum load_parsed { LOAD_RUN, LOAD_HELP, LOAD_WRONG };

/* Strings point into argv. */
enum load_parsed load_options_parse(struct load_options *options, int argc, char **argv, struct err *err);
const char *load_options_usage(void);
