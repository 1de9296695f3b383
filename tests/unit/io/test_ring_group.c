/* SPDX-License-Identifier: MIT */
/* Listening, steering, start-up that fails, and what the probe says. */
#include "ring_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void listen__no_address__refused(void **state)
{
    (void)state;
    struct err err = {{0}};
    struct io_group *group = io_group_new(1, &err);
    uint16_t port = 0;
    assert_false(io_group_listen(group, "localhost", &port, 0, &err));
    assert_non_null(strstr(err.text, "localhost"));
    assert_false(io_group_listen(group, "1.2.3.4.5", &port, 0, &err));
    assert_false(io_group_listen(group, "192.0.2.1", &port, 0, &err)); /* RFC 5737: not ours */
    io_group_free(group);
}

static void listen__port_in_use__refused_and_named(void **state)
{
    (void)state;
    struct err err = {{0}};
    unsigned fds = rig_count_fds();
    struct io_group *first = io_group_new(2, &err), *second = io_group_new(2, &err);
    uint16_t port = 0;
    assert_true(io_group_listen(first, "127.0.0.1", &port, 0, &err));
    assert_true(port != 0);
    assert_false(io_group_listen(second, "127.0.0.1", &port, 0, &err));
    assert_non_null(strstr(err.text, "another process"));
    io_group_free(first);
    assert_true(io_group_listen(second, "127.0.0.1", &port, 0, &err));
    io_group_free(second);
    assert_int_equal(rig_count_fds(), fds);
}

static void listen__both_families_one_port__side_by_side(void **state)
{
    (void)state;
    struct err err = {{0}};
    struct io_group *group = io_group_new(2, &err);
    uint16_t port = 0;
    assert_true(io_group_listen(group, "0.0.0.0", &port, 0, &err));
    assert_true(io_group_listen(group, "::", &port, 0, &err));
    io_group_free(group);
}

static void group__no_or_too_many_shards__refused(void **state)
{
    (void)state;
    struct err err = {{0}};
    assert_null(io_group_new(0, &err));
    assert_null(io_group_new(100000, &err));
    assert_non_null(strstr(err.text, "100000"));
}

static void steer__more_shards_than_cpus__each_gets_some(void **state)
{
    (void)state;
    enum { CLIENTS = 200 };
    struct rig rig;
    if (sysconf(_SC_NPROCESSORS_ONLN) >= 4)
        skip();
    rig_init(&rig, 4);
    rig_start(&rig);
    int fds[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++)
        fds[i] = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, CLIENTS);
    for (unsigned i = 0; i < 4; i++) /* 50 expected, deviation 6 */
        assert_in_range(counter_read(&rig.shards[i].counters, COUNTER_ACCEPTED), 10, 100);
    for (unsigned i = 0; i < CLIENTS; i++)
        close(fds[i]);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

static void steer__shard_per_cpu__shard_of_the_cpu(void **state)
{
    (void)state;
    struct rig rig;
    cpu_set_t before, one;
    sched_getaffinity(0, sizeof before, &before);
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2 || !CPU_ISSET(0, &before) || !CPU_ISSET(1, &before))
        skip();
    rig_init(&rig, 2);
    rig_start(&rig);
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
        for (unsigned i = 0; i < 20; i++) /* loopback delivers on the sender's CPU */
            close(rig_connect(&rig));
        rig_await(&rig, COUNTER_ACCEPTED, 20 * (cpu + 1));
        assert_in_range(counter_read(&rig.shards[cpu].counters, COUNTER_ACCEPTED), 18, 22);
    }
    sched_setaffinity(0, sizeof before, &before);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

static const cpu_set_t *claimed; /* NULL: what is true */

int __real_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
    if (claimed == NULL)
        return __real_sched_getaffinity(pid, size, set);
    *set = *claimed;
    return 0;
}

/* Numbers of CPUs with gaps: the shards have those CPUs in order, and a CPU that is nobody's serves all of them. */
static void steer__cpus_with_gaps__shard_of_the_cpu_or_any(void **state)
{
    (void)state;
    struct rig rig;
    cpu_set_t before, one, gaps;
    sched_getaffinity(0, sizeof before, &before);
    if (!CPU_ISSET(0, &before) || !CPU_ISSET(1, &before))
        skip();
    CPU_ZERO(&gaps);
    CPU_SET(1, &gaps);
    CPU_SET(3, &gaps);
    claimed = &gaps;
    rig_init(&rig, 2);
    rig_start(&rig);
    claimed = NULL;
    for (int cpu = 1; cpu >= 0; cpu--) {
        CPU_ZERO(&one);
        CPU_SET((unsigned)cpu, &one);
        assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
        for (unsigned i = 0; i < 100; i++)
            close(rig_connect(&rig));
        rig_await(&rig, COUNTER_ACCEPTED, cpu == 1 ? 100 : 200);
        uint64_t first = counter_read(&rig.shards[0].counters, COUNTER_ACCEPTED);
        assert_in_range(first, cpu == 1 ? 95 : 120, cpu == 1 ? 100 : 180); /* of 100 at random 50, deviation 5 */
    }
    sched_setaffinity(0, sizeof before, &before);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

static void unlisten_shard(struct io *io, void *argument)
{
    (void)argument;
    io_unlisten(io);
    io_unlisten(io);
}

static void unlisten__connections_live_on_and_new_ones_are_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_start(&rig);
    int fd = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, 1);
    rig_call(&rig, 0, unlisten_shard, NULL);
    rig_sleep_ms(20);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(rig.port)};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(other, (struct sockaddr *)&to, sizeof to), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(other);
    char byte = 'x';
    rig_send_all(fd, &byte, 1);
    rig_recv_all(fd, &byte, 1);
    close(fd);
    rig_await(&rig, COUNTER_CLOSED, 1);
    rig_stop(&rig);
}

static void new__bad_configuration__refused_and_named(void **state)
{
    (void)state;
    struct err err = {{0}};
    struct counters counters;
    memset(&counters, 0, sizeof counters);
    struct io_group *group = io_group_new(1, &err);
    static const struct io_handler none;
    struct io_config config = io_config_default;
    config.entries = 1000;
    assert_null(io_new(group, 0, &config, &none, NULL, &counters, &err));
    assert_non_null(strstr(err.text, "power"));
    config = io_config_default;
    config.cpu = 1000;
    assert_null(io_new(group, 0, &config, &none, NULL, &counters, &err));
    assert_non_null(strstr(err.text, "CPU 1000"));
    config = io_config_default;
    config.entries = 1u << 20; /* the kernel takes 32,768 */
    assert_null(io_new(group, 0, &config, &none, NULL, &counters, &err));
    assert_non_null(strstr(err.text, "1048576"));
    io_group_free(group);
}

struct starter {
    struct io_group *group;
    bool is_ready;
};

static void *start_and_wait(void *argument)
{
    static const struct io_handler none;
    struct starter *starter = argument;
    struct counters counters;
    memset(&counters, 0, sizeof counters);
    struct err err;
    struct io *io = io_new(starter->group, 0, &io_config_default, &none, NULL, &counters, &err);
    if (io == NULL)
        return NULL;
    starter->is_ready = io_ready(io);
    io_free(io);
    return NULL;
}

static void abandon__one_shard_fails__the_other_is_told(void **state)
{
    (void)state;
    struct err err = {{0}};
    unsigned fds = rig_count_fds();
    struct starter starter = {.group = io_group_new(2, &err), .is_ready = true};
    pthread_t thread;
    pthread_create(&thread, NULL, start_and_wait, &starter);
    rig_sleep_ms(20);
    io_abandon(starter.group);
    pthread_join(thread, NULL);
    assert_false(starter.is_ready);
    io_group_free(starter.group);
    assert_int_equal(rig_count_fds(), fds);
}

static void probe__this_kernel__has_everything(void **state)
{
    (void)state;
    unsigned fds = rig_count_fds();
    struct err err = {{0}};
    if (!io_probe(&err))
        fail_msg("%s", err.text);
    assert_int_equal(rig_count_fds(), fds);
}

#define ANY_ARGUMENT UINT32_MAX

/* In a child of its own a seccomp filter refuses one system call (with that second argument); its probe must fail with
 * a text that has word in it. */
static void expect_probe_to_say(unsigned call, uint32_t argument, int error, const char *word)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
            BPF_JUMP(BPF_JMP | (argument == ANY_ARGUMENT ? BPF_JGE : BPF_JEQ) | BPF_K,
                     argument == ANY_ARGUMENT ? 0 : argument, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
        struct err err = {{0}};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
            _exit(2);
        if (io_probe(&err))
            _exit(3);
        if (strstr(err.text, word) == NULL) {
            fprintf(stderr, "'%s' does not say '%s'\n", err.text, word);
            _exit(4);
        }
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void probe__something_refused__names_it(void **state)
{
    (void)state;
    expect_probe_to_say(SYS_io_uring_setup, ANY_ARGUMENT, EPERM, "seccomp");
    expect_probe_to_say(SYS_io_uring_setup, ANY_ARGUMENT, ENOSYS, "no io_uring");
    expect_probe_to_say(SYS_io_uring_setup, ANY_ARGUMENT, EINVAL, "IORING_SETUP_DEFER_TASKRUN");
    expect_probe_to_say(SYS_io_uring_setup, ANY_ARGUMENT, ENOMEM, "RLIMIT_MEMLOCK");
    expect_probe_to_say(SYS_io_uring_register, 13, EINVAL, "IORING_REGISTER_FILES2"); /* its number */
    expect_probe_to_say(SYS_io_uring_register, 22, EINVAL, "IORING_REGISTER_PBUF_RING");
    expect_probe_to_say(SYS_io_uring_register, 22, EINVAL, "Linux 6.1.16");
}

static uint64_t turn_nothing(void *shard)
{
    (void)shard;
    return UINT64_MAX;
}

/* In a child: io_uring_enter() says that completions were lost, which seccomp can say for the kernel. */
static void run_with_lost_completions(void)
{
    static const struct io_handler handler = {.turn = turn_nothing};
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EBADR),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    static struct counters counters;
    struct err err;
    struct io_group *group = io_group_new(1, &err);
    struct io *io = io_new(group, 0, &io_config_default, &handler, NULL, &counters, &err);
    if (io == NULL || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(2);
    io_run(io);
    _exit(3);
}

static void run__completions_lost__ends_the_process_and_says_why(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        run_with_lost_completions();
    }
    close(ends[1]);
    char text[4096] = {0};
    for (size_t size = 0; size < sizeof text - 1;) {
        ssize_t part = read(ends[0], text + size, sizeof text - 1 - size);
        if (part <= 0)
            break;
        size += (size_t)part;
    }
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_non_null(strstr(text, "io.lost"));
    assert_non_null(strstr(text, "the state of every connection is unknown"));
}

static void limit__fewer_open_files_than_connections__clamped(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = 100, .rlim_max = 100};
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            _exit(2);
        struct err err = {{0}};
        struct io_group *group = io_group_new(1, &err);
        struct starter starter = {.group = group};
        start_and_wait(&starter); /* 16,384 slots are wanted */
        io_group_free(group);
        _exit(starter.is_ready ? 0 : 3);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listen__no_address__refused),
        cmocka_unit_test(listen__port_in_use__refused_and_named),
        cmocka_unit_test(listen__both_families_one_port__side_by_side),
        cmocka_unit_test(group__no_or_too_many_shards__refused),
        cmocka_unit_test(steer__more_shards_than_cpus__each_gets_some),
        cmocka_unit_test(steer__shard_per_cpu__shard_of_the_cpu),
        cmocka_unit_test(steer__cpus_with_gaps__shard_of_the_cpu_or_any),
        cmocka_unit_test(unlisten__connections_live_on_and_new_ones_are_refused),
        cmocka_unit_test(new__bad_configuration__refused_and_named),
        cmocka_unit_test(abandon__one_shard_fails__the_other_is_told),
        cmocka_unit_test(probe__this_kernel__has_everything),
        cmocka_unit_test(probe__something_refused__names_it),
        cmocka_unit_test(run__completions_lost__ends_the_process_and_says_why),
        cmocka_unit_test(limit__fewer_open_files_than_connections__clamped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
