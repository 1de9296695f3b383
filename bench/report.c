/* SPDX-License-Identifier: MIT */
#include "bench/report.h"

#include <inttypes.h>
#include <stdio.h>

#define BUSY         0.95    /* of a core */
#define STARVED      0.10    /* of the time the generator was ready and others had the CPU */
#define LAG_HARMLESS 100000u /* ns; more than that and more than half of the latency: the generator's own */

static uint64_t lost(const struct result *result)
{
    uint64_t settled = result->totals[TALLY_RECEIVED] + result->totals[TALLY_REFUSED];
    return result->totals[TALLY_SENT] > settled ? result->totals[TALLY_SENT] - settled : 0;
}

bool report_is_fine(const struct result *result)
{
    static const enum tally wrongs[] = {TALLY_REFUSED, TALLY_DUPLICATED, TALLY_REORDERED, TALLY_CORRUPT,
                                        TALLY_FAILED,  TALLY_BROKEN,     TALLY_OVERRUN};
    for (unsigned i = 0; i < sizeof wrongs / sizeof *wrongs; i++)
        if (result->totals[wrongs[i]])
            return false;
    return !result->failure && !lost(result);
}

static double share(uint64_t ns, const struct result *result)
{
    return result->seconds > 0 ? (double)ns / 1e9 / result->seconds : 0;
}

static bool is_late(const struct result *result, double at)
{
    uint64_t lag = histogram_at(&result->lag, at);
    return lag > LAG_HARMLESS && lag * 2 > histogram_at(&result->latency, at);
}

static struct proc_use use_of(const struct result *result, unsigned server)
{
    return proc_use(&result->servers[server][MOMENT_BEFORE], &result->servers[server][MOMENT_AFTER]);
}

/* Of the busiest thread of all servers. */
static double busiest_share(const struct load_options *options, const struct result *result)
{
    double most = 0;
    for (unsigned i = 0; i < options->server_count; i++) {
        double one = share(use_of(result, i).busiest_cpu_ns, result);
        most = one > most ? one : most;
    }
    return most;
}

/* An open loop waits awake, so only being late counts, unless it is calm; a closed one is busy. When the server is as
 * busy, the rate is the server's all the same. */
bool report_is_saturated(const struct load_options *options, const struct result *result)
{
    if (options->mode == MODE_IDLE || options->mode == MODE_STORM || options->mode == MODE_FLOOD)
        return false;
    if (options->mode == MODE_RATE && !options->is_calm)
        return is_late(result, 0.5) || is_late(result, 0.99) || is_late(result, 0.999);
    struct proc_use own = proc_use(&result->own_before, &result->own_after);
    if (share(own.wait_ns, result) > STARVED)
        return true;
    return share(own.busiest_cpu_ns, result) >= BUSY && busiest_share(options, result) < BUSY;
}

static double per_event_us(const struct proc_use *use, const struct result *result)
{
    return result->events ? (double)use->cpu_ns / 1e3 / (double)result->events : 0;
}

/* What a message costs both servers together; known only if both are. */
static double per_event_both_us(const struct load_options *options, const struct result *result)
{
    double sum = 0;
    for (unsigned i = 0; i < options->server_count; i++) {
        struct proc_use use = use_of(result, i);
        sum += per_event_us(&use, result);
    }
    return sum;
}

static bool has_both(const struct load_options *options)
{
    return options->server_count == 2 && options->servers[0].pid && options->servers[1].pid;
}

/* Growth from the first sample to the second, for each session of that server, in bytes; negative when it shrank. */
static double per_session(uint64_t before, uint64_t after, const struct load_options *options)
{
    return ((double)after - (double)before) * options->server_count / options->sessions;
}

static const char *event_name(enum load_mode mode)
{
    return mode == MODE_LOGIN ? "login" : mode == MODE_IQ ? "answer" : mode == MODE_PRESENCE ? "presence" : "message";
}

static void print_histogram(const char *name, const struct histogram *histogram)
{
    printf("%-11s p50 %.3f  p90 %.3f  p99 %.3f  p99.9 %.3f  max %.3f ms\n", name,
           (double)histogram_at(histogram, 0.5) / 1e6, (double)histogram_at(histogram, 0.9) / 1e6,
           (double)histogram_at(histogram, 0.99) / 1e6, (double)histogram_at(histogram, 0.999) / 1e6,
           (double)histogram->max / 1e6);
}

static void print_head(const struct load_options *options, const struct result *result)
{
    printf("%s: %u sessions, %s %s", load_mode_names[options->mode], options->sessions,
           options->is_relay ? "relay, TLS" : "TLS", load_tls_names[options->tls]);
    if (options->mode == MODE_CHAT || options->mode == MODE_RATE)
        printf(", bodies of %u B", options->body);
    if (options->mode == MODE_PRESENCE)
        printf(", %u account(s), status of %u B", options->users, options->body);
    if (options->mode == MODE_CHAT || options->mode == MODE_IQ || options->mode == MODE_PRESENCE)
        printf(", window %u", options->window);
    if (options->mode == MODE_RATE)
        printf(", %.0f messages/s", options->rate);
    if (options->server_count == 2)
        printf(", %s to %s%s", options->servers[0].domain, options->servers[1].domain,
               options->is_one_way ? "" : " and back");
    printf(", %.2f s\n", result->seconds);
}

static void print_memory(const struct load_options *options, const struct result *result)
{
    const struct proc_sample *fresh = &result->servers[0][MOMENT_FRESH], *settled = &result->servers[0][MOMENT_SETTLED];
    printf("%-11s %.0f B of the server's memory per session (resident %.1f -> %.1f MB)\n", "memory",
           per_session(fresh->rss, settled->rss, options), (double)fresh->rss / 1e6, (double)settled->rss / 1e6);
    printf(
        "%-11s %.0f B of kernel objects per session, both ends and all of this machine; TCP queues %.1f -> %.1f MB\n",
        "", per_session(fresh->slab, settled->slab, options), (double)fresh->tcp_memory / 1e6,
        (double)settled->tcp_memory / 1e6);
}

static void print_server(const char *who, const char *event, const struct result *result, unsigned server)
{
    struct proc_use use = use_of(result, server);
    printf(
        "%-11s %.3f us CPU per %s; %.0f %% of a core, the busiest thread %.0f %%; waited for a CPU %.0f %%; resident "
        "%.1f MB\n",
        who, per_event_us(&use, result), event, 100 * share(use.cpu_ns, result),
        100 * share(use.busiest_cpu_ns, result), 100 * share(use.wait_ns, result),
        (double)result->servers[server][MOMENT_AFTER].rss / 1e6);
}

static void print_load(const struct load_options *options, const struct result *result)
{
    const char *name = event_name(options->mode);
    bool is_saturated = report_is_saturated(options, result);
    if (is_saturated)
        printf("SATURATED   the generator itself was busy or had no CPU: no rate and no latency of the server can be "
               "told\n");
    else
        printf("%-11s %.0f /s (%" PRIu64 " in all)\n", name, (double)result->events / result->seconds, result->events);
    if (!is_saturated && options->mode != MODE_LOGIN)
        print_histogram("latency", &result->latency);
    if (options->mode == MODE_RATE)
        print_histogram("own lag", &result->lag);
    struct proc_use own = proc_use(&result->own_before, &result->own_after);
    printf("%-11s %u thread(s), the busiest %.0f %% of a core; waited for a CPU %.0f %%\n", "generator",
           options->threads, 100 * share(own.busiest_cpu_ns, result), 100 * share(own.wait_ns, result));
    for (unsigned i = 0; i < options->server_count; i++)
        if (options->servers[i].pid)
            print_server(i ? "peer" : "server", name, result, i);
    if (has_both(options))
        printf("%-11s %.3f us CPU per %s, both servers together\n", "sum", per_event_both_us(options, result), name);
}

static void print_storm(const struct result *result)
{
    const uint64_t *totals = result->totals;
    double seconds = (double)(result->back_ns - result->cut_ns) / 1e9;
    printf("%-11s %" PRIu64 " cut and back within %.3f s, %.0f logins/s; %" PRIu64 " tries broke and were made again\n",
           "storm", totals[TALLY_CUT], seconds, (double)result->back.count / seconds, totals[TALLY_RETRIED]);
    print_histogram("", &result->back);
}

static void print_flood(const struct load_options *options, const struct result *result)
{
    const uint64_t *totals = result->totals;
    printf("%-11s %s: %" PRIu64 " begun, %" PRIu64 " handshakes done, %" PRIu64 " ended at once, %" PRIu64
           " when their time was up\n",
           "flood", load_flood_names[options->flood], totals[TALLY_BEGUN], totals[TALLY_SHAKEN], totals[TALLY_DENIED],
           totals[TALLY_EXPIRED]);
    print_histogram("", &result->back);
}

static void print_text(const struct load_options *options, const struct result *result)
{
    const uint64_t *totals = result->totals;
    print_head(options, result);
    if (options->mode == MODE_IDLE && options->servers[0].pid)
        print_memory(options, result);
    bool is_load = options->mode != MODE_IDLE && options->mode != MODE_STORM && options->mode != MODE_FLOOD;
    if (is_load && !result->failure)
        print_load(options, result);
    if (options->mode == MODE_STORM && result->back.count)
        print_storm(result);
    if (options->mode == MODE_FLOOD)
        print_flood(options, result);
    if (result->login.count) {
        printf("%-11s %" PRIu64, "logins", totals[TALLY_LOGINS]);
        if (result->login_seconds > 0)
            printf(" in %.2f s", result->login_seconds);
        printf("\n");
        print_histogram("", &result->login);
    }
    printf("%-11s %" PRIu64 " sent, %" PRIu64 " received, %" PRIu64 " lost, %" PRIu64 " duplicated, %" PRIu64
           " out of order, %" PRIu64 " corrupt, %" PRIu64 " refused, %" PRIu64 " logins failed, %" PRIu64 " broken\n",
           "checked", totals[TALLY_SENT], totals[TALLY_RECEIVED], lost(result), totals[TALLY_DUPLICATED],
           totals[TALLY_REORDERED], totals[TALLY_CORRUPT], totals[TALLY_REFUSED], totals[TALLY_FAILED],
           totals[TALLY_BROKEN]);
    if (totals[TALLY_RESETS])
        printf("%-11s %" PRIu64 " streams within %.3f s\n", "reset", totals[TALLY_RESETS],
               (double)(result->last_reset_ns - result->first_reset_ns) / 1e9);
    if (totals[TALLY_ECHOED])
        printf("%-11s %" PRIu64 " to who made the change\n", "echoed", totals[TALLY_ECHOED]);
    if (totals[TALLY_PINGED])
        printf("%-11s %" PRIu64 " answered\n", "pings", totals[TALLY_PINGED]);
    if (result->failure)
        printf("%-11s %s\n", "GIVEN UP", result->failure);
    if (!report_is_fine(result))
        printf("%-11s %s\n", "FAILED", result->first_error[0] ? result->first_error : "no more is known");
}

static void json_histogram(const char *name, const struct histogram *histogram, bool is_known)
{
    if (!is_known || !histogram->count) {
        printf(",\"%s\":null", name);
        return;
    }
    printf(",\"%s\":{\"count\":%" PRIu64 ",\"mean\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p90\":%" PRIu64
           ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64 "}",
           name, histogram->count, histogram->sum / histogram->count, histogram_at(histogram, 0.5),
           histogram_at(histogram, 0.9), histogram_at(histogram, 0.99), histogram_at(histogram, 0.999), histogram->max);
}

static void json_string(const char *name, const char *text)
{
    printf(",\"%s\":\"", name);
    for (; *text; text++) {
        if ((unsigned char)*text < ' ')
            printf("\\u%04x", (unsigned char)*text);
        else
            printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    }
    printf("\"");
}

static void json_server(const char *name, const struct load_options *options, const struct result *result,
                        unsigned server)
{
    struct proc_use use = use_of(result, server);
    const struct proc_sample *samples = result->servers[server];
    const struct proc_sample *fresh = &samples[MOMENT_FRESH], *settled = &samples[MOMENT_SETTLED];
    printf(",\"%s\":{\"cpu_us_per_event\":%.4f,\"cpu_share\":%.4f,\"busiest_share\":%.4f,\"wait_share\":%.4f,"
           "\"rss\":%" PRIu64 ",\"rss_fresh\":%" PRIu64 ",\"rss_settled\":%" PRIu64
           ",\"memory_per_session\":%.0f,\"slab_per_session\":%.0f}",
           name, per_event_us(&use, result), share(use.cpu_ns, result), share(use.busiest_cpu_ns, result),
           share(use.wait_ns, result), samples[MOMENT_AFTER].rss, fresh->rss, settled->rss,
           per_session(fresh->rss, settled->rss, options), per_session(fresh->slab, settled->slab, options));
}

static void print_json(const struct load_options *options, const struct result *result)
{
    static const struct {
        enum tally tally;
        const char *name;
    } rows[] = {
        {TALLY_LOGINS, "logins"},
        {TALLY_SENT, "sent"},
        {TALLY_RECEIVED, "received"},
        {TALLY_REFUSED, "refused"},
        {TALLY_DUPLICATED, "duplicated"},
        {TALLY_REORDERED, "reordered"},
        {TALLY_CORRUPT, "corrupt"},
        {TALLY_FAILED, "logins_failed"},
        {TALLY_BROKEN, "broken"},
        {TALLY_PINGED, "pinged"},
        {TALLY_RESETS, "resets"},
        {TALLY_ECHOED, "echoed"},
        {TALLY_CUT, "cut"},
        {TALLY_RETRIED, "retried"},
        {TALLY_BEGUN, "begun"},
        {TALLY_SHAKEN, "shaken"},
        {TALLY_DENIED, "denied"},
        {TALLY_EXPIRED, "expired"},
    };
    bool is_saturated = report_is_saturated(options, result);
    printf("{\"mode\":\"%s\",\"tls\":\"%s\",\"relay\":%s,\"sessions\":%u,\"threads\":%u,\"window\":%u,\"body\":%u",
           load_mode_names[options->mode], load_tls_names[options->tls], options->is_relay ? "true" : "false",
           options->sessions, options->threads, options->window, options->body);
    printf(",\"ok\":%s,\"saturated\":%s,\"seconds\":%.4f,\"login_seconds\":%.4f,\"events\":%" PRIu64,
           report_is_fine(result) ? "true" : "false", is_saturated ? "true" : "false", result->seconds,
           result->login_seconds, result->events);
    if (is_saturated || result->seconds <= 0)
        printf(",\"events_per_second\":null");
    else
        printf(",\"events_per_second\":%.1f", (double)result->events / result->seconds);
    json_histogram("latency_ns", &result->latency, !is_saturated);
    json_histogram("lag_ns", &result->lag, true);
    json_histogram("login_ns", &result->login, true);
    json_histogram("back_ns", &result->back, true);
    struct proc_use own = proc_use(&result->own_before, &result->own_after);
    printf(",\"generator\":{\"cpu_share\":%.4f,\"busiest_share\":%.4f,\"wait_share\":%.4f}", share(own.cpu_ns, result),
           share(own.busiest_cpu_ns, result), share(own.wait_ns, result));
    for (unsigned i = 0; i < options->server_count; i++)
        if (options->servers[i].pid)
            json_server(i ? "peer" : "server", options, result, i);
    if (has_both(options))
        printf(",\"sum_cpu_us_per_event\":%.4f", per_event_both_us(options, result));
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        printf(",\"%s\":%" PRIu64, rows[i].name, result->totals[rows[i].tally]);
    printf(",\"lost\":%" PRIu64 ",\"first_reset_ns\":%" PRIu64 ",\"last_reset_ns\":%" PRIu64 ",\"cut_ns\":%" PRIu64
           ",\"last_back_ns\":%" PRIu64,
           lost(result), result->first_reset_ns, result->last_reset_ns, result->cut_ns, result->back_ns);
    json_string("failure", result->failure ? result->failure : "");
    json_string("first_error", result->first_error);
    printf("}\n");
}

void report_print(const struct load_options *options, const struct result *result)
{
    if (options->is_json)
        print_json(options, result);
    else
        print_text(options, result);
    fflush(stdout);
}
