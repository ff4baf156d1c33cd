/* System calls that fail when a test says so. Executables that are linked with --wrap for the calls
 * below (CMakeLists.txt, TERN_WRAPPED) come here instead of to the C library and libuv, from tern's
 * own code alone; everything else, and every other build, is untouched.
 *
 *     sys_watch();                        counts from here on
 *     ... sys_count(SYS_RECV) ...
 *     sys_fail(SYS_RECV, 3, ECONNRESET);  the third recv from here on fails so, once
 *
 * Nothing is counted and nothing fails outside of sys_enter and sys_leave, so that what the test
 * itself does is not hit. */
#ifndef TERN_TESTS_SYSCALLS_H
#define TERN_TESTS_SYSCALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sys_call {
    SYS_SOCKET,
    SYS_BIND,
    SYS_LISTEN,
    SYS_ACCEPT,
    SYS_CONNECT,
    SYS_GETSOCKOPT, /* SO_ERROR: the call fails; with SYS_PENDING + an errno it tells that one */
    SYS_SETSOCKOPT,
    SYS_GETSOCKNAME,
    SYS_SENDMSG,
    SYS_RECV,
    SYS_RECVMMSG,
    SYS_SHUTDOWN,
    SYS_OPEN,
    SYS_FSTAT,
    SYS_READ,
    SYS_POLL_INIT, /* libuv's, which makes epoll's calls */
    SYS_ADDRESSES,
    SYS_WORK,
    SYS_CLOCK, /* the wall clock: it jumps by as many seconds as the error says, for good */
    SYS_CALLS
};

enum {
    SYS_SHORT = 100000,   /* instead of an error: one byte of what was wanted */
    SYS_PENDING = 200000, /* see SYS_GETSOCKOPT */
};

extern const char *const sys_names[SYS_CALLS];

void sys_watch(void);
void sys_fail(enum sys_call call, unsigned nth, int error);
/* Whether it came to that. */
bool sys_failed(void);
unsigned sys_count(enum sys_call call);
void sys_enter(void);
void sys_leave(void);

/* Moves the monotonic clock that tern sees, and its timer, on by so much; sys_watch moves it back
 * to the system's. */
void sys_pass(uint64_t ns);

#endif
