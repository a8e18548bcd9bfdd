/* Causes an event of every kind: a thread, a name, a session, a user, a group, a tracer, a failure and a crash. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void *work(void *unused)
{
    prctl(PR_SET_NAME, "worker");
    return unused;
}

static void run(void (*test)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        test();
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void thread(void)
{
    pthread_t worker;
    if (pthread_create(&worker, NULL, work, NULL) == 0)
        pthread_join(worker, NULL);
}

static void session(void)
{
    setsid();
}

static void user(void)
{
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(1);
}

static void trace(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    ptrace(PTRACE_ATTACH, pid, NULL, NULL);
    waitpid(pid, NULL, 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void failure(void)
{
    _exit(3);
}

static void crash(void)
{
    struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
    setrlimit(RLIMIT_CORE, &all);
    prctl(PR_SET_NAME, "crash");
    raise(SIGSEGV);
}

int main(void)
{
    void (*const tests[])(void) = { thread, session, user, trace, failure, crash };
    for (unsigned i = 0; i < sizeof(tests) / sizeof(*tests); i++)
        run(tests[i]);
    return 0;
}
