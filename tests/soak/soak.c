/* A soak over real sockets: two nodes in this process, each on a thread of its own, connect, ping,
 * echo, measure and part over loopback, on every road, for so many seconds. At rest between rounds
 * the descriptors and the resident memory are counted; a line through them must not rise.
 *
 *     soak [SECONDS]      120 by default
 *
 * Prints one TAP line; exit status 0 when no act failed, the slope of descriptors is 0 and that of
 * memory at most 256 KiB a minute. The first quarter is left out of the lines: caches fill then. */
#include <dirent.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tern/tern.h>

#define ECHO_ID "/soak/echo/1.0.0"

enum { SAMPLES_MAX = 100000, BYTES = 100000, LONG = 20000, KIB_A_MINUTE = 256 };

typedef struct road {
    const char *listen, *security, *muxer;
} road;

static const road roads[] = {
    {"/ip4/127.0.0.1/tcp/0", "noise", "yamux"},
    {"/ip4/127.0.0.1/tcp/0", "tls", "yamux"},
    {"/ip4/127.0.0.1/tcp/0", "noise", "mplex"},
    {"/ip4/127.0.0.1/tcp/0/ws", "noise", "yamux"},
    {"/ip6/::1/tcp/0", NULL, NULL},
    {"/ip4/127.0.0.1/tcp/0/ws", "tls", "mplex"},
};
enum { ROADS = sizeof roads / sizeof *roads };

typedef struct sample {
    double at; /* seconds */
    double fds, kib;
} sample;

static sample samples[SAMPLES_MAX];
static size_t sample_count;
static uint8_t bytes[BYTES];
static sem_t parted; /* once for each side of a connection that is over */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    double n = -1; /* its own */
    while (d != NULL && readdir(d) != NULL) {
        n++;
    }
    if (d != NULL) {
        closedir(d);
    }
    return n - 2; /* . and .. */
}

static double resident_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1) {
        pages = 0;
    }
    if (f != NULL) {
        fclose(f);
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

/* Least squares, a second, over what came after `from`. */
static double slope(size_t from, size_t member)
{
    double n = 0, x = 0, y = 0, xx = 0, xy = 0;
    for (size_t i = from; i < sample_count; i++) {
        double at = samples[i].at, value;
        memcpy(&value, (const char *)&samples[i] + member, sizeof value);
        n++;
        x += at;
        y += value;
        xx += at * at;
        xy += at * value;
    }
    double below = n * xx - x * x;
    return below > 0 ? (n * xy - x * y) / below : 0;
}

/* The fewest descriptors in these samples: a socket may be closed just after its connection's end
 * was told, a leak raises the fewest too. */
static double fewest(size_t from, size_t to)
{
    double least = samples[from].fds;
    for (size_t i = from; i < to; i++) {
        least = samples[i].fds < least ? samples[i].fds : least;
    }
    return least;
}

static int failed(const char *what, const tern_error *error)
{
    printf("# %s: %s: %s\n", what, error->layer, error->text);
    return 1;
}

static void on_disconnected(void *owner, tern_node *node, tern_conn *conn, const tern_error *why)
{
    (void)owner;
    (void)node;
    (void)conn;
    (void)why;
    sem_post(&parted);
}

static int both_parted(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LONG / 1000;
    for (int sides = 0; sides < 2; sides++) {
        if (sem_timedwait(&parted, &until) != 0) {
            printf("# parted: %d of 2 sides said so in time\n", sides);
            return 1;
        }
    }
    return 0;
}

static tern_node *start(const road *r, tern_error *error)
{
    static const tern_node_events events = {.on_disconnected = on_disconnected};
    tern_options o;
    tern_node *node;
    tern_options_init(&o);
    o.security = r->security;
    o.muxer = r->muxer;
    o.events = &events;
    if (tern_node_new(&o, &node, error) != 0) {
        return NULL;
    }
    return tern_node_start(node) == 0 ? node : NULL;
}

/* All the bytes there and back; the answering side by hand. */
static int echo(tern_node *a, tern_node *b, const tern_peer_id *peer, tern_error *error)
{
    static uint8_t got[BYTES];
    tern_pipe *here, *there;
    if (tern_sync_open(a, peer, ECHO_ID, &here, error) != 0) {
        return failed("open", error);
    }
    tern_pipe_write(here, bytes, 1000, LONG);
    if (tern_sync_accept(b, ECHO_ID, LONG, &there, error) != 0) {
        tern_pipe_free(here);
        return failed("accept", error);
    }
    tern_pipe_write(here, bytes + 1000, BYTES - 1000, LONG);
    tern_pipe_end(here);
    size_t n = 0;
    ssize_t k;
    while ((k = tern_pipe_read(there, got, sizeof got, LONG)) > 0) {
        tern_pipe_write(there, got, (size_t)k, LONG);
    }
    tern_pipe_end(there);
    while (n < BYTES && (k = tern_pipe_read(here, got + n, BYTES - n, LONG)) > 0) {
        n += (size_t)k;
    }
    tern_pipe_free(there);
    tern_pipe_free(here);
    if (n != BYTES || memcmp(got, bytes, BYTES) != 0) {
        printf("# echo: %zu bytes of %d came back, or others\n", n, BYTES);
        return 1;
    }
    return 0;
}

static void part(void *arg)
{
    void **both = arg;
    tern_node_disconnect(both[0], both[1]);
}

/* One connection's life. */
static int act(tern_node *a, tern_node *b, const char *addr)
{
    static tern_peer_id peer; /* what is posted outlives an act that failed */
    static void *both[2];
    tern_error error;
    int bad = 0;
    if (tern_sync_dial(a, addr, LONG, &peer, &error) != 0) {
        return failed("dial", &error);
    }
    for (int i = 0; i < 3 && !bad; i++) {
        bad = tern_sync_ping(a, &peer, NULL, &error) != 0 && failed("ping", &error);
    }
    bad = bad || echo(a, b, &peer, &error);
    both[0] = a;
    both[1] = &peer;
    tern_node_post(a, part, both);
    return both_parted() != 0 || bad;
}

int main(int argc, char **argv)
{
    double time = argc > 1 ? atof(argv[1]) : 120, from = seconds(), warm = time / 4;
    tern_node *a[ROADS], *b[ROADS];
    char addr[ROADS][256];
    tern_error error;
    unsigned acts = 0, bad = 0;
    size_t first = 0;
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 999);
    }
    sem_init(&parted, 0, 0);
    for (size_t i = 0; i < ROADS; i++) {
        a[i] = start(&roads[i], &error);
        b[i] = start(&roads[i], &error);
        if (a[i] == NULL || b[i] == NULL ||
            tern_sync_listen(b[i], roads[i].listen, addr[i], sizeof addr[i], &error) != 0 ||
            tern_sync_serve(b[i], ECHO_ID, &error) != 0) {
            printf("1..1\nnot ok 1 - soak # no node: %s\n", error.text);
            return 1;
        }
    }
    while (seconds() - from < time && bad < 10 && sample_count < SAMPLES_MAX) {
        for (size_t i = 0; i < ROADS; i++) {
            bad += act(a[i], b[i], addr[i]) != 0;
            acts++;
        }
        sample *s = &samples[sample_count++];
        *s = (sample){seconds() - from, count_fds(), resident_kib()};
        first = s->at < warm ? sample_count : first;
    }
    double fds = slope(first, offsetof(sample, fds)) * 60;
    double kib = slope(first, offsetof(sample, kib)) * 60;
    first = first < sample_count ? first : 0;
    size_t middle = first + (sample_count - first) / 2;
    double before = fewest(first, middle), after = fewest(middle, sample_count);
    printf("# %u connections in %.0f s, %u failures; descriptors %.0f to %.0f (%.2f a minute), "
           "resident %.0f to %.0f KiB (%.0f a minute)\n",
           acts, time, bad, before, after, fds, samples[first].kib, samples[sample_count - 1].kib,
           kib);
    for (size_t i = 0; i < ROADS; i++) {
        tern_node_free(a[i]);
        tern_node_free(b[i]);
    }
    bool ok = bad == 0 && after <= before && fds < 0.5 && kib <= KIB_A_MINUTE;
    printf("1..1\n%sok 1 - soak\n", ok ? "" : "not ");
    return ok ? 0 : 1;
}
