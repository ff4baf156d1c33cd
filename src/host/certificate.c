/* The node's certificate for the web, and the authorities it trusts, from files.
 *
 * Whoever renews a certificate writes new files in the place of the old ones, at a time of his own
 * and one after the other. So every LOOK_TIME both are looked at, on a worker thread; when they are
 * not what was read last they are tried. Files that are of no use (half written, a key that does
 * not fit yet) change nothing, and are tried again when they change again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/host.h"
#include "transport/web_tls.h"

#define LOOK_TIME (10 * TERN_SEC)

enum { FILE_MAX = 1 << 20 };

/* What tells one version of a file from another. */
typedef struct version {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed;
} version;

typedef struct file {
    const char *path;
    version read;   /* when it was read last */
    uint8_t *bytes; /* what was read, until it is taken over */
    size_t len;
    int error; /* an errno */
} file;

struct tern_certificate {
    tern_node *node; /* NULL: the node is gone, and the work's end frees this */
    tern_work work;
    tern_timer timer;
    bool working, changed;
    char *paths[2]; /* the node's may be gone before a worker is done */
    file chain, key;
};

static void forget(file *f)
{
    if (f->bytes != NULL) {
        tern_wipe(f->bytes, f->len);
        tern_free(f->bytes);
    }
    f->bytes = NULL;
    f->len = 0;
}

static int read_all(int fd, file *f, size_t size)
{
    f->bytes = tern_malloc(size + 1);
    if (f->bytes == NULL) {
        return ENOMEM;
    }
    while (f->len < size) {
        ssize_t n = read(fd, f->bytes + f->len, size - f->len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? errno : EIO; /* it became shorter meanwhile */
        }
        f->len += (size_t)n;
    }
    return 0;
}

/* Reads a file that is not what was read last; whether it is another. */
static bool look_at(file *f)
{
    struct stat st;
    forget(f);
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    f->error = fd < 0 || fstat(fd, &st) != 0 ? errno : 0;
    bool other = false;
    if (f->error == 0) {
        version now;
        memset(&now, 0, sizeof now);
        now.dev = st.st_dev;
        now.ino = st.st_ino;
        now.size = st.st_size;
        now.changed = st.st_mtim;
        other = memcmp(&now, &f->read, sizeof now) != 0;
        f->read = now;
        f->error = st.st_size > FILE_MAX ? EFBIG : read_all(fd, f, (size_t)st.st_size);
    }
    if (fd >= 0) {
        close(fd);
    }
    return other;
}

static tern_span span_of(const file *f)
{
    return (tern_span){f->bytes, f->len};
}

static int unreadable(const file *f, tern_error *reterr)
{
    return tern_fail(reterr, TERN_E_IO, "tls", "%s cannot be read: %s", f->path,
                     strerror(f->error));
}

/* Takes over what was read. */
static int apply(tern_certificate *c, tern_error *reterr)
{
    const file *bad = c->chain.error != 0 ? &c->chain : c->key.error != 0 ? &c->key : NULL;
    int code = bad != NULL ? unreadable(bad, reterr)
                           : tern_web_set_certificate(tern_node_net(c->node), span_of(&c->chain),
                                                      span_of(&c->key));
    if (code != 0 && bad == NULL) {
        tern_fail(reterr, code, "tls", "%s and %s are no certificate chain and its key, in PEM",
                  c->chain.path, c->key.path);
    }
    forget(&c->chain);
    forget(&c->key);
    return code;
}

/* ---- watching ---- */

static void on_time(tern_timer *timer);

static void watch(tern_certificate *c)
{
    tern_loop *loop = c->node->loop;
    tern_timer_start(loop, &c->timer, tern_loop_now(loop) + LOOK_TIME, on_time);
}

static void look(tern_work *work)
{
    tern_certificate *c = TERN_CONTAINER(work, tern_certificate, work);
    bool chain = look_at(&c->chain);
    bool key = look_at(&c->key);
    c->changed = chain || key;
}

static void free_certificate(tern_certificate *c)
{
    forget(&c->chain);
    forget(&c->key);
    tern_free(c->paths[0]);
    tern_free(c->paths[1]);
    tern_free(c);
}

static void looked(tern_work *work)
{
    tern_certificate *c = TERN_CONTAINER(work, tern_certificate, work);
    tern_error why;
    c->working = false;
    if (c->node == NULL) {
        free_certificate(c);
        return;
    }
    tern_counters *count = &tern_node_net(c->node)->counters;
    if (!c->changed) {
        forget(&c->chain);
        forget(&c->key);
    } else if (apply(c, &why) == 0) {
        count->certificate_reloads++;
        TERN_LOG(TERN_LOG_INFO, "tls", "the certificate in %s is new: in use now", c->chain.path);
    } else {
        count->certificate_failures++;
        TERN_LOG(TERN_LOG_WARN, "tls", "a new certificate is of no use, the old one stays: %s",
                 why.text);
    }
    watch(c);
}

static void on_time(tern_timer *timer)
{
    tern_certificate *c = TERN_CONTAINER(timer, tern_certificate, timer);
    c->work = (tern_work){.run = look, .done = looked};
    c->working = tern_loop_work(c->node->loop, &c->work) == 0;
    if (!c->working) {
        watch(c); /* memory was short */
    }
}

/* ---- beginning and end ---- */

static int load_pair(tern_node *node, tern_error *reterr)
{
    tern_certificate *c = node->certificate = tern_calloc(1, sizeof *c);
    if (c == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "tls", "out of memory");
    }
    c->node = node;
    c->paths[0] = tern_strdup(node->tls_cert);
    c->paths[1] = tern_strdup(node->tls_key);
    if (c->paths[0] == NULL || c->paths[1] == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "tls", "out of memory");
    }
    c->chain.path = c->paths[0];
    c->key.path = c->paths[1];
    look(&c->work);
    int code = apply(c, reterr);
    if (code == 0) {
        watch(c);
    }
    return code;
}

int tern_node_load_certificates(tern_node *node, tern_error *reterr)
{
    int code = 0;
    if ((node->tls_cert != NULL) != (node->tls_key != NULL)) {
        return tern_fail(reterr, TERN_E_INVALID, "tls",
                         "a certificate and its key go together: tls_cert and tls_key");
    }
    if (node->tls_ca != NULL) {
        file ca = {.path = node->tls_ca};
        look_at(&ca);
        if (ca.error != 0) {
            forget(&ca);
            return unreadable(&ca, reterr);
        }
        code = tern_web_set_authorities(tern_node_net(node), span_of(&ca));
        forget(&ca);
        if (code != 0) {
            return tern_fail(reterr, code, "tls", "%s holds no certificates in PEM", node->tls_ca);
        }
    }
    if (node->options.tls_trust_any) {
        code = tern_web_trust_any(tern_node_net(node));
    }
    if (code == 0 && node->options.tls_self_signed) {
        code = tern_web_self_sign(tern_node_net(node));
    }
    if (code != 0) {
        return tern_fail(reterr, code, "tls", "%s", tern_code_text(code));
    }
    return node->tls_cert != NULL ? load_pair(node, reterr) : 0;
}

void tern_node_free_certificates(tern_node *node)
{
    tern_certificate *c = node->certificate;
    tern_web_free(tern_node_net(node));
    node->certificate = NULL;
    if (c == NULL) {
        return;
    }
    tern_timer_stop(&c->timer);
    c->node = NULL;
    if (!c->working) {
        free_certificate(c);
    }
}

int tern_node_set_certificate(tern_node *node, const char *chain_pem, const char *key_pem,
                              tern_error *reterr)
{
    tern_span chain = {(const uint8_t *)chain_pem, strlen(chain_pem)};
    tern_span key = {(const uint8_t *)key_pem, strlen(key_pem)};
    int code = tern_web_set_certificate(tern_node_net(node), chain, key);
    return code == 0 ? 0
                     : tern_fail(reterr, code, "tls",
                                 "this is no certificate chain and its key, in PEM: %s",
                                 tern_code_text(code));
}
