/* SPDX-License-Identifier: MIT */
#include "core/base/wheel.h"
#include "tests/unit/core/dice.h"
#include "tests/unit/core/suite.h"

enum { TIMER_COUNT = 120 };

/* What the wheel should hold: one row a timer, searched as a whole each time. */
struct row {
    struct timer timer;
    uint64_t due_ms;
    bool is_set;
    bool is_late; /* set from inside this advance with a due time that has passed: not to fire before the next one */
};

struct model {
    struct wheel *wheel;
    struct dice dice;
    uint64_t now_ms;
    bool is_advancing;
    uint64_t fired_ms; /* due time of the last that fired in this advance */
    uint32_t fired;
    struct row rows[TIMER_COUNT];
};

static uint64_t model_min(const struct model *model)
{
    uint64_t min = UINT64_MAX;
    for (int i = 0; i < TIMER_COUNT; i++) {
        if (model->rows[i].is_set && model->rows[i].due_ms < min)
            min = model->rows[i].due_ms;
    }
    return min;
}

static uint64_t random_distance(struct dice *dice)
{
    static const uint32_t scales[] = {1, 3, 64, 65, 1000, 4096, 60000, 262144, 3600000, 100000000};
    return dice_below(dice, scales[dice_below(dice, sizeof scales / sizeof *scales)]);
}

static void fired(void *context, struct timer *timer);

static void model_set(struct model *model, struct row *row)
{
    uint64_t distance = random_distance(&model->dice);
    uint64_t due_ms = model->now_ms + distance;
    if (dice_below(&model->dice, 8) == 0)
        due_ms = model->now_ms > distance ? model->now_ms - distance : 0;
    row->timer.fire = fired;
    wheel_set(model->wheel, &row->timer, due_ms);
    row->is_late = model->is_advancing && due_ms <= model->now_ms;
    row->due_ms = due_ms > model->now_ms ? due_ms : model->now_ms;
    row->is_set = true;
    assert_int_equal(row->timer.due_ms, row->due_ms);
}

static void model_cancel(struct model *model, struct row *row)
{
    wheel_cancel(model->wheel, &row->timer);
    row->is_set = false;
}

static void model_touch(struct model *model)
{
    struct row *row = &model->rows[dice_below(&model->dice, TIMER_COUNT)];
    if (dice_below(&model->dice, 3) == 0)
        model_cancel(model, row);
    else
        model_set(model, row);
    assert_int_equal(timer_is_set(&row->timer), row->is_set);
}

static void fired(void *context, struct timer *timer)
{
    struct model *model = context;
    struct row *row = (struct row *)timer;
    assert_true(row->is_set && !row->is_late && !timer_is_set(timer));
    assert_true(row->due_ms <= model->now_ms);
    assert_true(row->due_ms >= model->fired_ms);
    assert_int_equal(model_min(model), row->due_ms);
    assert_true(wheel_next_ms(model->wheel) >= row->due_ms);
    model->fired_ms = row->due_ms;
    row->is_set = false;
    model->fired++;
    if (dice_below(&model->dice, 3) == 0)
        model_set(model, row); /* itself again */
    while (dice_below(&model->dice, 3) == 0)
        model_touch(model);
}

static void model_check_next(const struct model *model)
{
    uint64_t min = model_min(model);
    uint64_t next = wheel_next_ms(model->wheel);
    if (min == UINT64_MAX)
        assert_int_equal(next, UINT64_MAX);
    assert_true(next <= min);
    /* No busy loop: with nothing due the bound lies ahead. */
    assert_true(next > model->now_ms || min <= model->now_ms);
}

static void model_advance(struct model *model, uint64_t now_ms)
{
    model->now_ms = now_ms;
    model->fired_ms = 0;
    model->is_advancing = true;
    wheel_advance(model->wheel, now_ms, model);
    model->is_advancing = false;
    for (int i = 0; i < TIMER_COUNT; i++) {
        struct row *row = &model->rows[i];
        if (row->is_set && row->due_ms <= now_ms)
            assert_true(row->is_late);
        assert_int_equal(timer_is_set(&row->timer), row->is_set);
        row->is_late = false;
    }
}

static void wheel__random_operations__as_the_model(void **state)
{
    (void)state;
    static const uint64_t starts[] = {0, 63, 262139, 1763800000000, ((uint64_t)1 << 60) - 3, ((uint64_t)1 << 62) + 5};
    struct dice dice = dice_seeded("wheel", 1122);
    uint32_t fired_count = 0;
    for (size_t s = 0; s < sizeof starts / sizeof *starts; s++) {
        static struct model model;
        model = (struct model){.wheel = wheel_new(starts[s]), .now_ms = starts[s], .dice = dice};
        for (int i = 0; i < 8000; i++) {
            if (dice_below(&model.dice, 3) != 0)
                model_touch(&model);
            else if (dice_below(&model.dice, 3) == 0 && wheel_next_ms(model.wheel) != UINT64_MAX)
                model_advance(&model,
                              wheel_next_ms(model.wheel) > model.now_ms ? wheel_next_ms(model.wheel) : model.now_ms);
            else
                model_advance(&model, model.now_ms + random_distance(&model.dice) % 20000000);
            model_check_next(&model);
        }
        fired_count += model.fired;
        dice = model.dice;
        for (int i = 0; i < TIMER_COUNT; i++)
            model_cancel(&model, &model.rows[i]);
        assert_int_equal(wheel_next_ms(model.wheel), UINT64_MAX);
        wheel_free(model.wheel);
    }
    assert_true(fired_count > 10000);
}

static void count(void *context, struct timer *timer)
{
    (void)timer;
    ++*(int *)context;
}

static void wheel_advance__around_the_due_time__exact(void **state)
{
    (void)state;
    for (uint64_t distance = 1; distance < (uint64_t)1 << 40; distance = distance * 3 + 1) {
        int fires = 0;
        struct wheel *wheel = wheel_new(1000);
        struct timer timer = {.fire = count};
        wheel_set(wheel, &timer, 1000 + distance);
        wheel_advance(wheel, 1000 + distance - 1, &fires);
        assert_int_equal(fires, 0);
        assert_int_equal(wheel_next_ms(wheel), 1000 + distance);
        wheel_advance(wheel, 1000 + distance, &fires);
        assert_int_equal(fires, 1);
        assert_false(timer_is_set(&timer));
        wheel_advance(wheel, UINT64_MAX, &fires);
        assert_int_equal(fires, 1);
        wheel_free(wheel);
    }
}

/* Sleeping until the bound, again and again, reaches any timer within ten early wake-ups. */
static void wheel_next_ms__followed__reaches_the_timer(void **state)
{
    (void)state;
    struct dice dice = dice_seeded("wheel next", 3);
    for (int i = 0; i < 2000; i++) {
        int fires = 0, steps = 0;
        uint64_t now = dice_throw(&dice) >> dice_below(&dice, 64);
        uint64_t due = now + (dice_throw(&dice) >> dice_below(&dice, 64));
        if (due < now)
            due = UINT64_MAX;
        struct wheel *wheel = wheel_new(now);
        struct timer timer = {.fire = count};
        wheel_set(wheel, &timer, due);
        while (fires == 0) {
            assert_true(wheel_next_ms(wheel) <= due);
            wheel_advance(wheel, wheel_next_ms(wheel), &fires);
            steps++;
        }
        assert_true(steps <= 11);
        if (due - now < 60000)
            assert_true(steps <= 4);
        wheel_free(wheel);
    }
}

static void wheel_set__due_time_passed__next_advance(void **state)
{
    (void)state;
    int fires = 0;
    struct wheel *wheel = wheel_new(5000);
    struct timer timer = {.fire = count};
    wheel_set(wheel, &timer, 10);
    assert_int_equal(timer.due_ms, 5000);
    assert_int_equal(wheel_next_ms(wheel), 5000);
    wheel_advance(wheel, 4999, &fires); /* time never goes back; nothing happens */
    assert_int_equal(fires, 0);
    wheel_set(wheel, &timer, 4998);
    assert_int_equal(timer.due_ms, 5000);
    wheel_advance(wheel, 5000, &fires);
    assert_int_equal(fires, 1);
    wheel_set(wheel, &timer, 5000);
    wheel_advance(wheel, 5000, &fires);
    assert_int_equal(fires, 2);
    wheel_free(wheel);
}

static void wheel_cancel__not_set__nothing(void **state)
{
    (void)state;
    int fires = 0;
    struct wheel *wheel = wheel_new(0);
    struct timer timer = {.fire = count}, other = {.fire = count};
    wheel_cancel(wheel, &timer);
    wheel_set(wheel, &timer, 100);
    wheel_set(wheel, &other, 100);
    wheel_cancel(wheel, &timer);
    wheel_cancel(wheel, &timer);
    assert_false(timer_is_set(&timer));
    assert_true(timer_is_set(&other));
    wheel_cancel(wheel, &other);
    assert_int_equal(wheel_next_ms(wheel), UINT64_MAX);
    wheel_advance(wheel, 100000, &fires);
    assert_int_equal(fires, 0);
    wheel_free(wheel);
}

struct again {
    struct timer timer;
    struct wheel *wheel;
    int fires;
};

static void set_again_now(void *context, struct timer *timer)
{
    (void)context;
    struct again *again = (struct again *)timer;
    again->fires++;
    wheel_set(again->wheel, timer, 0);
}

static void wheel_advance__timer_sets_itself_at_once__one_fire_an_advance(void **state)
{
    (void)state;
    struct again again = {.timer = {.fire = set_again_now}, .wheel = wheel_new(0)};
    wheel_set(again.wheel, &again.timer, 50);
    for (int i = 1; i <= 5; i++) {
        wheel_advance(again.wheel, (uint64_t)i * 1000, NULL);
        assert_int_equal(again.fires, i);
        assert_int_equal(wheel_next_ms(again.wheel), i * 1000);
    }
    wheel_cancel(again.wheel, &again.timer);
    wheel_free(again.wheel);
}

static void cancel_other(void *context, struct timer *timer)
{
    struct timer *pair = context;
    wheel_cancel((struct wheel *)(uintptr_t)pair[2].due_ms, timer == &pair[0] ? &pair[1] : &pair[0]);
    pair[2].next = timer;
}

/* Two timers of the same millisecond, the first to fire cancels the second: the list under way is a list like any. */
static void wheel_cancel__from_a_timer_of_the_same_slot__does_not_fire(void **state)
{
    (void)state;
    struct wheel *wheel = wheel_new(0);
    struct timer pair[3] = {{.fire = cancel_other}, {.fire = cancel_other}, {.due_ms = (uint64_t)(uintptr_t)wheel}};
    wheel_set(wheel, &pair[0], 70);
    wheel_set(wheel, &pair[1], 70);
    wheel_advance(wheel, 70, pair);
    assert_non_null(pair[2].next);
    assert_false(timer_is_set(&pair[0]) || timer_is_set(&pair[1]));
    assert_int_equal(wheel_next_ms(wheel), UINT64_MAX);
    wheel_free(wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wheel__random_operations__as_the_model),
        cmocka_unit_test(wheel_advance__around_the_due_time__exact),
        cmocka_unit_test(wheel_next_ms__followed__reaches_the_timer),
        cmocka_unit_test(wheel_set__due_time_passed__next_advance),
        cmocka_unit_test(wheel_cancel__not_set__nothing),
        cmocka_unit_test(wheel_advance__timer_sets_itself_at_once__one_fire_an_advance),
        cmocka_unit_test(wheel_cancel__from_a_timer_of_the_same_slot__does_not_fire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
