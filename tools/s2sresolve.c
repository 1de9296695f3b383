/* SPDX-License-Identifier: MIT */
/*
 * s2sresolve: where the router would find the server of a domain, and every DNS answer on the way there. For whoever
 * sets up SRV and TLSA records, or wonders why a domain cannot be reached.
 */
#include "core/jid/jid.h"
#include "router/s2s/resolver.h"
#include "router/s2s/static_route.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

enum exit_code { EXIT_ALL_FOUND = 0, EXIT_SOME_NOT = 1, EXIT_USAGE = 2 };

#define LIST_MAX 32u /* of name servers, prefixes, routes */

static const char usage[] =
    "usage: s2sresolve [OPTION...] DOMAIN...\n"
    "Finds the servers of XMPP domains as the router does for server-to-server streams (RFC 6120 s3.2, XEP-0368), and\n"
    "prints each DNS answer and the hosts to connect to, in the order of attempts.\n"
    "\n"
    "  --nameserver ADDRESS[@PORT]  ask this one (may be repeated); else those of /etc/resolv.conf\n"
    "  --recursive                  ask no name server but begin at the root\n"
    "  --anchor FILE                validate (DNSSEC), trusting the DS and DNSKEY records in it\n"
    "  --allow-private              loopback, link-local, private and documentation ranges may be connected to\n"
    "  --allow PREFIX               the addresses of this range may be (may be repeated)\n"
    "  --route DOMAIN=HOST:PORT     a static route; HOST:PORT/tls for direct TLS (may be repeated)\n"
    "  --no-ipv4, --no-ipv6         leave out that family\n"
    "  --timeout MILLISECONDS       for each domain; 10000 if not given\n"
    "  --quiet                      print the outcome only\n"
    "  --help                       print this\n"
    "\n"
    "Exit status: 0 when all were found, 1 when one was not, 2 when the command line or a file is at fault.\n";

struct options {
    struct resolver_settings settings;
    const char *nameservers[LIST_MAX];
    struct address_prefix allowed[LIST_MAX];
    struct static_route routes[LIST_MAX];
    bool is_quiet;
};

/* Text of the DNS or of the command line: what is not plain ASCII could disturb a terminal. */
static void print_text(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7f)
            printf("\\x%02X", c);
        else
            putchar(c);
    }
}

/*
 * Steps.
 */

static void print_record(enum dns_type type, struct span data)
{
    const unsigned char *bytes = (const unsigned char *)data.ptr;
    char text[ADDRESS_TEXT_MAX];
    fputs("      ", stdout);
    if ((type == DNS_A && data.size == 4) || (type == DNS_AAAA && data.size == 16)) {
        union address address = type == DNS_A ? address_v4(data.ptr) : address_v6(data.ptr);
        address_print(&address, text);
        enum address_class class = address_class(&address);
        *strrchr(text, ':') = '\0'; /* there is no port yet */
        printf("%s%s%s\n", text, class == ADDRESS_PUBLIC ? "" : ": ",
               class == ADDRESS_PUBLIC ? "" : address_class_name(class));
        return;
    }
    char target[DNS_NAME_MAX + 1] = "";
    if (type == DNS_SRV && data.size >= 7) {
        enum dns_name_status status = dns_name_read(span_skip(data, 6), target);
        printf("%u %u %u %s\n", bytes[0] << 8 | bytes[1], bytes[2] << 8 | bytes[3], bytes[4] << 8 | bytes[5],
               status == DNS_NAME_ROOT  ? "."
               : status == DNS_NAME_BAD ? "(not a host name)"
                                        : target);
        return;
    }
    for (size_t i = 0; i < data.size; i++)
        printf(type == DNS_TLSA && i < 3 ? "%u " : "%02x", bytes[i]);
    putchar('\n');
}

/* On the resolver's thread; main prints only after the last of them. */
static void print_step(void *context, const struct resolver_step *step)
{
    (void)context;
    const struct dns_answer *answer = step->answer;
    printf("  %s %s: %s", step->name, dns_type_name(step->type), dns_result_name(answer->result));
    if (answer->result == DNS_DATA)
        printf(", %u", answer->count);
    if (answer->aliases > 0)
        printf(", by %u aliases", answer->aliases);
    if (answer->result <= DNS_NO_NAME)
        printf(", ttl %u, %s", answer->ttl_s, answer->is_secure ? "secure" : "not validated");
    printf(", %u ms\n", step->elapsed_ms);
    if (answer->reason != NULL) {
        fputs("      ", stdout);
        print_text(span_str(answer->reason));
        putchar('\n');
    }
    for (unsigned i = 0; answer->result == DNS_DATA && i < answer->count; i++)
        print_record(step->type, answer->data[i]);
}

/*
 * Outcome.
 */

static void print_candidate(unsigned number, const struct resolver_candidate *one)
{
    printf("  %u. %s port %u, %s%s\n", number, one->host, one->port, one->is_direct_tls ? "direct TLS" : "STARTTLS",
           one->is_secure       ? ", secure"
           : one->is_srv_secure ? ", SRV secure"
                                : "");
    for (unsigned i = 0; i < one->address_count; i++) {
        char text[ADDRESS_TEXT_MAX];
        address_print(&one->addresses[i], text);
        printf("       %s\n", text);
    }
    for (unsigned i = 0; i < one->tlsa_count; i++) {
        printf("       TLSA %u %u %u ", one->tlsa[i].usage, one->tlsa[i].selector, one->tlsa[i].matching);
        for (size_t j = 0; j < one->tlsa[i].data.size; j++)
            printf("%02x", (unsigned char)one->tlsa[i].data.ptr[j]);
        putchar('\n');
    }
}

static void print_answer(void *context, const struct resolver_answer *answer)
{
    static const char *const sources[] = {"by a static route", "as an address", "by SRV records",
                                          "without SRV records"};
    enum exit_code *code = context;
    print_text(answer->domain);
    if (answer->status != RESOLVER_FOUND) {
        printf(": %s: %s\n", resolver_status_name(answer->status), resolver_status_text(answer->status));
        *code = EXIT_SOME_NOT;
        return;
    }
    printf(": found %s, holds for %u s%s\n", sources[answer->source], answer->ttl_s,
           answer->is_partial ? ", some answers are missing" : "");
    for (unsigned i = 0; i < answer->count; i++)
        print_candidate(i + 1, &answer->candidates[i]);
}

/*
 * The command line.
 */

static bool has_room(unsigned count, struct err *err)
{
    if (count == LIST_MAX)
        err_set(err, "more than %u of them", LIST_MAX);
    return count < LIST_MAX;
}

static bool add_nameserver(struct options *options, const char *text, struct err *err)
{
    if (!has_room(options->settings.nameserver_count, err))
        return false;
    options->nameservers[options->settings.nameserver_count++] = text;
    return true;
}

static bool add_prefix(struct options *options, const char *text, struct err *err)
{
    unsigned *count = &options->settings.policy.allowed_count;
    if (!has_room(*count, err))
        return false;
    return address_prefix_parse(text, &options->allowed[(*count)++], err);
}

static bool add_route(struct options *options, const char *text, struct err *err)
{
    unsigned *count = &options->settings.route_count;
    if (!has_room(*count, err))
        return false;
    return static_route_parse(text, &options->routes[(*count)++], err);
}

static bool set_timeout(struct options *options, const char *text, struct err *err)
{
    char *end = NULL;
    unsigned long ms = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || ms == 0 || ms > 600000) {
        err_set(err, "\"%s\" is not a number of milliseconds up to 600000", text);
        return false;
    }
    options->settings.timeout_ms = (uint32_t)ms;
    return true;
}

/* Options without a value; false: it is none of them. */
static bool take_switch(struct options *options, const char *name)
{
    struct resolver_settings *settings = &options->settings;
    const struct {
        const char *name;
        bool *value;
    } switches[] = {{"--recursive", &settings->is_recursive},
                    {"--allow-private", &settings->policy.allow_private},
                    {"--no-ipv4", &settings->without_ipv4},
                    {"--no-ipv6", &settings->without_ipv6},
                    {"--quiet", &options->is_quiet}};
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++) {
        if (strcmp(name, switches[i].name) == 0) {
            *switches[i].value = true;
            return true;
        }
    }
    return false;
}

static bool set_anchor(struct options *options, const char *text, struct err *err)
{
    (void)err;
    options->settings.anchor_file = text;
    return true;
}

static bool take_value(struct options *options, const char *name, const char *value, struct err *err)
{
    static const struct {
        const char *name;
        bool (*take)(struct options *options, const char *text, struct err *err);
    } valued[] = {{"--nameserver", add_nameserver},
                  {"--allow", add_prefix},
                  {"--route", add_route},
                  {"--timeout", set_timeout},
                  {"--anchor", set_anchor}};
    for (size_t i = 0; i < sizeof valued / sizeof valued[0]; i++) {
        if (strcmp(name, valued[i].name) != 0)
            continue;
        if (value == NULL)
            err_set(err, "its value is missing");
        bool is_taken = value != NULL && valued[i].take(options, value, err);
        if (!is_taken)
            err_prefix(err, "%s", name);
        return is_taken;
    }
    err_set(err, "%s: unknown option; see --help", name);
    return false;
}

/* Returns the index of the first domain, or -1. */
static int options_read(struct options *options, int argc, char **argv, struct err *err)
{
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--") == 0)
            return i + 1;
        if (take_switch(options, argv[i]))
            continue;
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!take_value(options, argv[i], value, err))
            return -1;
        i++;
    }
    return i;
}

/*
 * Asking.
 */

static void wake(void *context)
{
    sem_post(context);
}

static enum exit_code resolve(struct resolver_client *client, sem_t *news, const char *text, bool is_quiet)
{
    char domain[JID_PART_MAX];
    size_t size = 0;
    enum exit_code code = EXIT_ALL_FOUND;
    enum jid_status status = jid_prepare_domain(span_str(text), domain, &size);
    if (status != JID_OK) {
        print_text(span_str(text));
        printf(": refused: %s\n", jid_status_text(status));
        return EXIT_SOME_NOT;
    }
    if (!is_quiet) {
        print_text(span_of(domain, size));
        putchar('\n');
    }
    if (!resolver_post(client, 0, span_of(domain, size))) {
        fputs("s2sresolve: no memory\n", stderr);
        return EXIT_USAGE;
    }
    resolver_flush(client, 0);
    while (resolver_pending(client) > 0) {
        while (sem_wait(news) != 0 && errno == EINTR)
            continue;
        (void)resolver_poll(client, 0, print_answer, &code);
    }
    return code;
}

int main(int argc, char **argv)
{
    static struct options options;
    struct err err = {""};
    options.settings = resolver_settings_default;
    options.settings.nameservers = options.nameservers;
    options.settings.routes = options.routes;
    options.settings.policy.allowed = options.allowed;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_ALL_FOUND;
    }
    int first = options_read(&options, argc, argv, &err);
    if (first < 0 || first >= argc) {
        fprintf(stderr, "s2sresolve: %s\n", first < 0 ? err.text : "no domain is given; see --help");
        return EXIT_USAGE;
    }
    if (!options.is_quiet)
        options.settings.trace = print_step;
    struct resolver *resolver = resolver_open(&options.settings, 1, &err);
    if (resolver == NULL) {
        fprintf(stderr, "s2sresolve: %s\n", err.text);
        return EXIT_USAGE;
    }
    sem_t news;
    sem_init(&news, 0, 0);
    struct resolver_client *client = resolver_client(resolver, 0, wake, &news);
    enum exit_code code = EXIT_ALL_FOUND;
    for (int i = first; i < argc; i++) {
        enum exit_code one = resolve(client, &news, argv[i], options.is_quiet);
        code = one > code ? one : code;
    }
    resolver_close(resolver);
    sem_destroy(&news);
    if (fflush(stdout) != 0) {
        perror("s2sresolve: cannot write standard output");
        return EXIT_USAGE;
    }
    return (int)code;
}
