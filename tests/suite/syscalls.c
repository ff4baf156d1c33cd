/* System calls that fail when a test says so: see syscalls.h. */
#include "suite/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

const char *const sys_names[SYS_CALLS] = {
    "socket",      "bind",    "listen",    "accept4",  "connect",  "getsockopt", "setsockopt",
    "getsockname", "sendmsg", "recv",      "recvmmsg", "shutdown", "open",       "fstat",
    "read",        "poll",    "addresses", "work",     "clock"};

static unsigned counts[SYS_CALLS];
static enum sys_call victim;
static unsigned victim_nth; /* 0 = none */
static int victim_error;
static bool failed, inside;

static uint64_t passed;   /* nanoseconds added to the monotonic clock */
static int64_t wall_jump; /* seconds added to the wall clock */
static struct {
    uv_timer_t *timer;
    uv_timer_cb cb;
    uint64_t due; /* milliseconds of the clock that tern sees */
} armed;

void sys_watch(void)
{
    memset(counts, 0, sizeof counts);
    victim_nth = 0;
    failed = inside = false;
    passed = 0;
    wall_jump = 0;
    armed.timer = NULL;
}

void sys_fail(enum sys_call call, unsigned nth, int error)
{
    memset(counts, 0, sizeof counts);
    victim = call;
    victim_nth = nth;
    victim_error = error;
    failed = false;
}

bool sys_failed(void)
{
    return failed;
}

unsigned sys_count(enum sys_call call)
{
    return counts[call];
}

void sys_enter(void)
{
    inside = true;
}

void sys_leave(void)
{
    inside = false;
}

/* The error that this call is to have, 0 = none. */
static int chosen(enum sys_call call)
{
    if (!inside || ++counts[call] != victim_nth || call != victim) {
        return 0;
    }
    failed = true;
    return victim_error;
}

static int with_errno(int error)
{
    errno = error;
    return -1;
}

/* ---- sockets ---- */

int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol)
{
    int error = chosen(SYS_SOCKET);
    return error != 0 ? with_errno(error) : __real_socket(domain, type, protocol);
}

int __real_bind(int fd, const struct sockaddr *address, socklen_t n);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t n);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t n)
{
    int error = chosen(SYS_BIND);
    return error != 0 ? with_errno(error) : __real_bind(fd, address, n);
}

int __real_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog)
{
    int error = chosen(SYS_LISTEN);
    return error != 0 ? with_errno(error) : __real_listen(fd, backlog);
}

/* ECONNABORTED takes the connection away, as it does in the kernel. */
int __real_accept4(int fd, struct sockaddr *address, socklen_t *n, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *n, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *n, int flags)
{
    int error = chosen(SYS_ACCEPT);
    if (error == ECONNABORTED) {
        int s = __real_accept4(fd, NULL, NULL, flags);
        if (s >= 0) {
            close(s);
        }
    }
    return error != 0 ? with_errno(error) : __real_accept4(fd, address, n, flags);
}

/* EINTR leaves the connection on its way. */
int __real_connect(int fd, const struct sockaddr *address, socklen_t n);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t n);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t n)
{
    int error = chosen(SYS_CONNECT);
    if (error == 0 || error == EINTR) {
        int rc = __real_connect(fd, address, n);
        return error == EINTR && (rc == 0 || errno == EINPROGRESS) ? with_errno(EINTR) : rc;
    }
    return with_errno(error);
}

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *n);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *n);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
    int error = chosen(SYS_GETSOCKOPT);
    if (error > SYS_PENDING) {
        error -= SYS_PENDING;
        memcpy(value, &error, sizeof error);
        return 0;
    }
    return error != 0 ? with_errno(error) : __real_getsockopt(fd, level, name, value, n);
}

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t n);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t n);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
    int error = chosen(SYS_SETSOCKOPT);
    return error != 0 ? with_errno(error) : __real_setsockopt(fd, level, name, value, n);
}

int __real_getsockname(int fd, struct sockaddr *address, socklen_t *n);
int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *n);
int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *n)
{
    int error = chosen(SYS_GETSOCKNAME);
    return error != 0 ? with_errno(error) : __real_getsockname(fd, address, n);
}

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    int error = chosen(SYS_SENDMSG);
    if (error == SYS_SHORT && msg->msg_iovlen > 0 && msg->msg_iov[0].iov_len > 0) {
        struct iovec one = {.iov_base = msg->msg_iov[0].iov_base, .iov_len = 1};
        struct msghdr part = {.msg_iov = &one, .msg_iovlen = 1};
        return __real_sendmsg(fd, &part, flags);
    }
    return error != 0 && error != SYS_SHORT ? with_errno(error) : __real_sendmsg(fd, msg, flags);
}

ssize_t __real_recv(int fd, void *out, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *out, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *out, size_t n, int flags)
{
    int error = chosen(SYS_RECV);
    if (error == SYS_SHORT) {
        return __real_recv(fd, out, 1, flags);
    }
    return error != 0 ? with_errno(error) : __real_recv(fd, out, n, flags);
}

int __real_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *time);
int __wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *time);
int __wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *time)
{
    int error = chosen(SYS_RECVMMSG);
    if (error == SYS_SHORT) {
        return __real_recvmmsg(fd, msgs, 1, flags, time);
    }
    return error != 0 ? with_errno(error) : __real_recvmmsg(fd, msgs, n, flags, time);
}

int __real_shutdown(int fd, int how);
int __wrap_shutdown(int fd, int how);
int __wrap_shutdown(int fd, int how)
{
    int error = chosen(SYS_SHUTDOWN);
    return error != 0 ? with_errno(error) : __real_shutdown(fd, how);
}

/* ---- files ---- */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    int error = chosen(SYS_OPEN);
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return error != 0 ? with_errno(error) : __real_open(path, flags, mode);
}

int __real_fstat(int fd, struct stat *ret);
int __wrap_fstat(int fd, struct stat *ret);
int __wrap_fstat(int fd, struct stat *ret)
{
    int error = chosen(SYS_FSTAT);
    return error != 0 ? with_errno(error) : __real_fstat(fd, ret);
}

ssize_t __real_read(int fd, void *out, size_t n);
ssize_t __wrap_read(int fd, void *out, size_t n);
ssize_t __wrap_read(int fd, void *out, size_t n)
{
    int error = chosen(SYS_READ);
    if (error == SYS_SHORT) {
        return __real_read(fd, out, n > 0 ? 1 : 0);
    }
    return error != 0 ? with_errno(error) : __real_read(fd, out, n);
}

/* ---- libuv ---- */

int __real_uv_poll_init(uv_loop_t *loop, uv_poll_t *poll, int fd);
int __wrap_uv_poll_init(uv_loop_t *loop, uv_poll_t *poll, int fd);
int __wrap_uv_poll_init(uv_loop_t *loop, uv_poll_t *poll, int fd)
{
    int error = chosen(SYS_POLL_INIT);
    return error != 0 ? uv_translate_sys_error(error) : __real_uv_poll_init(loop, poll, fd);
}

int __real_uv_interface_addresses(uv_interface_address_t **ret, int *ret_n);
int __wrap_uv_interface_addresses(uv_interface_address_t **ret, int *ret_n);
int __wrap_uv_interface_addresses(uv_interface_address_t **ret, int *ret_n)
{
    int error = chosen(SYS_ADDRESSES);
    return error != 0 ? uv_translate_sys_error(error) : __real_uv_interface_addresses(ret, ret_n);
}

int __real_uv_queue_work(uv_loop_t *loop, uv_work_t *req, uv_work_cb work, uv_after_work_cb done);
int __wrap_uv_queue_work(uv_loop_t *loop, uv_work_t *req, uv_work_cb work, uv_after_work_cb done);
int __wrap_uv_queue_work(uv_loop_t *loop, uv_work_t *req, uv_work_cb work, uv_after_work_cb done)
{
    int error = chosen(SYS_WORK);
    return error != 0 ? uv_translate_sys_error(error) : __real_uv_queue_work(loop, req, work, done);
}

/* ---- time ---- */

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (clock == CLOCK_REALTIME) {
        wall_jump += chosen(SYS_CLOCK);
    }
    int rc = __real_clock_gettime(clock, ret);
    ret->tv_sec += clock == CLOCK_REALTIME ? (time_t)wall_jump : 0;
    return rc;
}

uint64_t __real_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void)
{
    return __real_uv_hrtime() + passed;
}

uint64_t __real_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
    return __real_uv_now(loop) + passed / 1000000;
}

int __real_uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t ms, uint64_t repeat);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t ms, uint64_t repeat);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t ms, uint64_t repeat)
{
    if (inside) {
        armed.timer = timer;
        armed.cb = cb;
        armed.due = __wrap_uv_now(timer->loop) + ms;
    }
    return __real_uv_timer_start(timer, cb, ms, repeat);
}

void sys_pass(uint64_t ns)
{
    passed += ns / 1000000 * 1000000;
    if (armed.timer != NULL && uv_is_active((uv_handle_t *)armed.timer)) {
        uint64_t now = __wrap_uv_now(armed.timer->loop);
        __real_uv_timer_start(armed.timer, armed.cb, armed.due > now ? armed.due - now : 0, 0);
    }
}
