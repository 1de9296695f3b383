/* SPDX-License-Identifier: MIT */
#include "router/s2s/srv.h"

static uint16_t read_u16(const char *bytes)
{
    return (uint16_t)((unsigned char)bytes[0] << 8 | (unsigned char)bytes[1]);
}

bool srv_read(struct span data, struct srv *out)
{
    if (data.size < 7)
        return false;
    out->priority = read_u16(data.ptr);
    out->weight = read_u16(data.ptr + 2);
    out->port = read_u16(data.ptr + 4);
    out->target_status = dns_name_read(span_skip(data, 6), out->target);
    if (out->target_status == DNS_NAME_BAD)
        out->target[0] = '\0';
    return true;
}

uint64_t srv_dice(uint64_t *dice)
{
    uint64_t z = *dice += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Below sides, without the bias of a remainder. */
static uint64_t draw(uint64_t *dice, uint64_t sides)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % sides;
    uint64_t value = srv_dice(dice);
    while (value >= limit)
        value = srv_dice(dice);
    return value % sides;
}

static void swap(struct srv_rank *a, struct srv_rank *b)
{
    struct srv_rank held = *a;
    *a = *b;
    *b = held;
}

/* Moves one rank to an earlier place; those between keep their order. */
static void move_up(struct srv_rank *ranks, unsigned from, unsigned to)
{
    struct srv_rank moved = ranks[from];
    memmove(&ranks[to + 1], &ranks[to], (from - to) * sizeof ranks[0]);
    ranks[to] = moved;
}

/* Records of one priority. They come shuffled: "any order, except that all those with weight 0 are placed at the
 * beginning"; shuffling makes those of weight 0 equal among themselves. */
static void order_weights(struct srv_rank *ranks, unsigned count, uint64_t *dice)
{
    uint64_t sum = 0;
    unsigned zeros = 0;
    for (unsigned i = 0; i < count; i++) {
        sum += ranks[i].weight;
        if (ranks[i].weight == 0)
            move_up(ranks, i, zeros++);
    }
    for (unsigned place = 0; place < count; place++) {
        uint64_t number = draw(dice, sum + 1);
        uint64_t running = 0;
        unsigned chosen = place;
        while ((running += ranks[chosen].weight) < number)
            chosen++;
        sum -= ranks[chosen].weight;
        move_up(ranks, chosen, place);
    }
}

void srv_order(struct srv_rank *ranks, unsigned count, uint64_t *dice)
{
    for (unsigned i = count; i > 1; i--)
        swap(&ranks[i - 1], &ranks[draw(dice, i)]);
    for (unsigned i = 1; i < count; i++) {
        unsigned place = i;
        while (place > 0 && ranks[place - 1].priority > ranks[i].priority)
            place--;
        move_up(ranks, i, place);
    }
    for (unsigned begin = 0, end = 0; begin < count; begin = end) {
        while (end < count && ranks[end].priority == ranks[begin].priority)
            end++;
        order_weights(ranks + begin, end - begin, dice);
    }
}
