/* The book: blobs in memory, and changes on their way to the file. See book.h.
 *
 * The file belongs to a writer that the book and the pool thread share: while a batch is out, only
 * its lock says who uses it. The book never waits for the lock but at its end. */
#include "store/book.h"

#include <pthread.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/map.h"
#include "base/mem.h"

#define COLLECT_TIME TERN_SEC
#define RETRY_MAX    6 /* after failures, changes are collected for up to 2^6 s */

enum { NAME_MAX_BYTES = 2 + TERN_STORE_PEER_MAX + TERN_STORE_KEY_MAX };

typedef struct blob {
    tern_list link; /* least recently used first */
    uint64_t until;
    size_t name_n, n;
    uint8_t bytes[]; /* name, value */
} blob;

typedef struct writer {
    tern_work work;
    tern_book *book; /* NULL once it is gone */
    pthread_mutex_t lock;
    tern_store_file *file; /* guarded by lock, with all below */
    tern_list batch;
    int64_t now;
    bool applied;
    int code;
    size_t purged;
    tern_error error;
} writer;

struct tern_book {
    tern_loop *loop;
    tern_counters *counters;
    tern_map blobs;
    tern_list recent;
    tern_map pending; /* name -> tern_store_change */
    tern_list changes;
    tern_timer timer;
    writer *writer; /* NULL without a file */
    bool busy;      /* a batch is out */
    bool resting;   /* what is pending waits for tern_book_free */
    bool troubled;  /* told already */
    unsigned failures;
    tern_book_trouble *trouble;
    void *arg;
};

static int64_t wall_seconds(const tern_book *book)
{
    return (int64_t)(tern_loop_wall(book->loop) / TERN_SEC);
}

static size_t make_name(uint8_t *out, uint8_t kind, const tern_peer_id *peer, const uint8_t *key,
                        size_t n)
{
    out[0] = kind;
    out[1] = peer->len;
    memcpy(out + 2, peer->bytes, peer->len);
    if (n > 0) {
        memcpy(out + 2 + peer->len, key, n);
    }
    return 2 + (size_t)peer->len + n;
}

int tern_book_new(tern_loop *loop, tern_counters *counters, tern_book **ret)
{
    tern_book *book = tern_calloc(1, sizeof *book);
    if (book == NULL) {
        return TERN_E_NOMEM;
    }
    book->loop = loop;
    book->counters = counters;
    tern_map_init(&book->blobs);
    tern_map_init(&book->pending);
    tern_list_init(&book->recent);
    tern_list_init(&book->changes);
    *ret = book;
    return 0;
}

/* ---- blobs ---- */

static void forget(tern_book *book, blob *b)
{
    tern_map_remove(&book->blobs, b->bytes, b->name_n);
    tern_list_remove(&b->link);
    tern_wipe(b->bytes + b->name_n, b->n);
    tern_free(b);
}

static int keep(tern_book *book, const uint8_t *name, size_t name_n, const void *value, size_t n,
                uint64_t until)
{
    blob *old = tern_map_get(&book->blobs, name, name_n);
    blob *b = tern_malloc(sizeof *b + name_n + n);
    if (old != NULL) {
        forget(book, old); /* also without memory: an old one in a new one's place would mislead */
    }
    if (b == NULL) {
        return TERN_E_NOMEM;
    }
    b->until = until;
    b->name_n = name_n;
    b->n = n;
    memcpy(b->bytes, name, name_n);
    memcpy(b->bytes + name_n, value, n);
    if (tern_map_len(&book->blobs) >= TERN_BOOK_BLOBS_MAX) {
        forget(book, TERN_CONTAINER(book->recent.next, blob, link));
    }
    if (tern_map_set(&book->blobs, b->bytes, name_n, b) != 0) {
        tern_wipe(b->bytes + name_n, n);
        tern_free(b);
        return TERN_E_NOMEM;
    }
    tern_list_init(&b->link);
    tern_list_push(&book->recent, &b->link);
    return 0;
}

const uint8_t *tern_book_recall(tern_book *book, const tern_peer_id *peer, uint8_t kind,
                                size_t *ret_n)
{
    uint8_t name[NAME_MAX_BYTES];
    blob *b = tern_map_get(&book->blobs, name, make_name(name, kind, peer, NULL, 0));
    if (b != NULL && b->until <= tern_loop_now(book->loop)) {
        forget(book, b); /* the file purges by itself */
        b = NULL;
    }
    *ret_n = b != NULL ? b->n : 0;
    if (b == NULL) {
        return NULL;
    }
    tern_list_remove(&b->link);
    tern_list_push(&book->recent, &b->link);
    return b->bytes + b->name_n;
}

/* ---- to the file ---- */

static void free_change(tern_store_change *c)
{
    tern_wipe(c->bytes + c->name_n, c->value_n);
    tern_free(c);
}

static size_t free_changes(tern_list *changes)
{
    size_t n = 0;
    tern_list *l;
    while ((l = tern_list_pop(changes)) != NULL) {
        free_change(TERN_CONTAINER(l, tern_store_change, link));
        n++;
    }
    return n;
}

/* With the lock held, or before any other thread knows the writer. */
static void apply(writer *w)
{
    if (!w->applied) {
        w->applied = true;
        w->purged = 0;
        w->code = tern_store_apply(w->file, &w->batch, w->now, &w->purged, &w->error);
    }
}

static void run_writer(tern_work *work)
{
    writer *w = TERN_CONTAINER(work, writer, work);
    pthread_mutex_lock(&w->lock);
    apply(w);
    pthread_mutex_unlock(&w->lock);
}

static void free_writer(writer *w)
{
    pthread_mutex_destroy(&w->lock);
    tern_free(w);
}

static void on_time(tern_timer *timer);

static void arm(tern_book *book)
{
    if (!book->busy && !book->resting && !tern_list_empty(&book->changes) &&
        !tern_timer_armed(&book->timer)) {
        tern_timer_start(book->loop, &book->timer,
                         tern_loop_now(book->loop) + (COLLECT_TIME << book->failures), on_time);
    }
}

/* What became of a batch. */
static void settle(tern_book *book, writer *w)
{
    size_t n = free_changes(&w->batch);
    if (w->code == 0) {
        book->counters->book_written += n;
        book->counters->book_purged += w->purged;
        book->failures = 0;
        book->troubled = false;
        return;
    }
    book->counters->book_failures++;
    book->counters->book_dropped += n;
    book->failures += book->failures < RETRY_MAX;
    if (!book->troubled && book->trouble != NULL) {
        book->trouble(book->arg, &w->error);
    }
    book->troubled = true;
}

static void writer_done(tern_work *work)
{
    writer *w = TERN_CONTAINER(work, writer, work);
    tern_book *book = w->book;
    if (book == NULL) {
        free_writer(w);
        return;
    }
    book->busy = false;
    settle(book, w);
    arm(book);
}

/* Everything that is pending becomes the writer's batch. */
static void fill_batch(tern_book *book, writer *w)
{
    tern_list *l;
    while ((l = tern_list_pop(&book->changes)) != NULL) {
        tern_list_push(&w->batch, l);
    }
    tern_map_free(&book->pending);
    tern_map_init(&book->pending);
    w->now = wall_seconds(book);
    w->applied = false;
}

static void on_time(tern_timer *timer)
{
    tern_book *book = TERN_CONTAINER(timer, tern_book, timer);
    writer *w = book->writer;
    fill_batch(book, w);
    w->work.run = run_writer;
    w->work.done = writer_done;
    book->busy = true;
    if (tern_loop_work(book->loop, &w->work) != 0) {
        book->busy = false;
        apply(w); /* no memory for a thread's job: the disk is waited for instead */
        settle(book, w);
    }
}

static void change(tern_book *book, const uint8_t *name, size_t name_n, const void *value,
                   size_t value_n, uint64_t seq, uint64_t until, bool gone)
{
    if (book->writer == NULL) {
        return;
    }
    tern_store_change *old = tern_map_get(&book->pending, name, name_n);
    if (old == NULL && tern_map_len(&book->pending) >= TERN_BOOK_PENDING_MAX) {
        book->counters->book_dropped++;
        return;
    }
    tern_store_change *c = tern_calloc(1, sizeof *c + name_n + value_n);
    if (c == NULL) {
        book->counters->book_dropped++;
        return;
    }
    uint64_t now = tern_loop_now(book->loop);
    uint64_t life = until > now ? (until - now) / TERN_SEC : 0;
    life = life < (uint64_t)TERN_STORE_LIFE_MAX ? life : (uint64_t)TERN_STORE_LIFE_MAX;
    c->seq = seq;
    c->until = wall_seconds(book) + (int64_t)life;
    c->gone = gone;
    c->name_n = name_n;
    c->value_n = value_n;
    memcpy(c->bytes, name, name_n);
    if (value_n > 0) {
        memcpy(c->bytes + name_n, value, value_n);
    }
    if (tern_map_set(&book->pending, name, name_n, c) != 0) {
        book->counters->book_dropped++;
        free_change(c);
        return;
    }
    if (old != NULL) {
        tern_list_remove(&old->link);
        free_change(old);
    }
    tern_list_init(&c->link);
    tern_list_push(&book->changes, &c->link);
    arm(book);
}

int tern_book_remember(tern_book *book, const tern_peer_id *peer, uint8_t kind, const void *value,
                       size_t n, uint64_t until)
{
    uint8_t name[NAME_MAX_BYTES];
    size_t name_n = make_name(name, kind, peer, NULL, 0);
    if (n > TERN_STORE_VALUE_MAX) {
        return TERN_E_TOO_LARGE;
    }
    if (n == 0) {
        blob *old = tern_map_get(&book->blobs, name, name_n);
        if (old != NULL) {
            forget(book, old);
        }
        change(book, name, name_n, NULL, 0, 0, 0, true);
        return 0;
    }
    int code = keep(book, name, name_n, value, n, until);
    change(book, name, name_n, value, n, 0, until, false);
    return code;
}

void tern_book_put_addr(tern_book *book, const tern_peer_id *peer, const uint8_t *addr, size_t n,
                        uint64_t seq, uint64_t until)
{
    uint8_t name[NAME_MAX_BYTES];
    if (n > 0 && n <= TERN_STORE_KEY_MAX) {
        change(book, name, make_name(name, TERN_BOOK_ADDRESS, peer, addr, n), NULL, 0, seq, until,
               false);
    }
}

void tern_book_drop_addr(tern_book *book, const tern_peer_id *peer, const uint8_t *addr, size_t n,
                         uint64_t seq)
{
    uint8_t name[NAME_MAX_BYTES];
    if (n > 0 && n <= TERN_STORE_KEY_MAX) {
        change(book, name, make_name(name, TERN_BOOK_ADDRESS, peer, addr, n), NULL, 0, seq, 0,
               true);
    }
}

/* ---- from the file ---- */

bool tern_book_read_row(tern_book *book, const tern_store_row *row, tern_book_visit *visit,
                        void *arg)
{
    tern_peer_id peer;
    int64_t now = wall_seconds(book);
    if (tern_peer_id_from_bytes(&peer, row->peer, row->peer_n) != 0 || row->until <= now) {
        return false;
    }
    int64_t life = row->until - now < TERN_STORE_LIFE_MAX ? row->until - now : TERN_STORE_LIFE_MAX;
    uint64_t until = tern_loop_now(book->loop) + (uint64_t)life * TERN_SEC;
    if (row->kind == TERN_BOOK_ADDRESS) {
        if (row->key_n == 0 || row->value_n != 0) {
            return false;
        }
        visit(arg, &peer, row->key, row->key_n, row->seq, until);
        return true;
    }
    uint8_t name[NAME_MAX_BYTES];
    if (row->key_n != 0 || row->value_n == 0 || row->value_n > TERN_STORE_VALUE_MAX) {
        return false;
    }
    /* Rows come longest-lived first: those that find no place are the least worth. */
    return tern_map_len(&book->blobs) >= TERN_BOOK_BLOBS_MAX ||
           keep(book, name, make_name(name, row->kind, &peer, NULL, 0), row->value, row->value_n,
                until) == 0;
}

typedef struct loading {
    tern_book *book;
    tern_book_visit *visit;
    void *arg;
} loading;

static void on_row(void *arg, const tern_store_row *row)
{
    loading *l = arg;
    if (tern_book_read_row(l->book, row, l->visit, l->arg)) {
        l->book->counters->book_loaded++;
    } else {
        l->book->counters->book_malformed++;
    }
}

int tern_book_open(tern_book *book, const char *folder, tern_book_visit *visit, void *arg,
                   tern_book_trouble *trouble, tern_error *reterr)
{
    loading l = {book, visit, arg};
    size_t bad = 0;
    writer *w = tern_calloc(1, sizeof *w);
    if (w == NULL) {
        book->counters->book_failures++;
        return tern_fail(reterr, TERN_E_NOMEM, "store", "out of memory");
    }
    int code = tern_store_open(folder, &w->file, reterr);
    if (code == 0) {
        code = tern_store_load(w->file, wall_seconds(book), on_row, &l, &bad, reterr);
    }
    book->counters->book_malformed += bad;
    if (code != 0) {
        book->counters->book_failures++;
        tern_store_close(w->file);
        tern_free(w);
        return code;
    }
    pthread_mutex_init(&w->lock, NULL);
    tern_list_init(&w->batch);
    w->book = book;
    book->writer = w;
    book->trouble = trouble;
    book->arg = arg;
    return 0;
}

static void close_writer(tern_book *book)
{
    writer *w = book->writer;
    pthread_mutex_lock(&w->lock); /* waits for a batch that is being written */
    if (book->busy) {
        apply(w); /* the pool has not come to it */
        settle(book, w);
    }
    if (!tern_list_empty(&book->changes)) {
        fill_batch(book, w);
        apply(w);
        settle(book, w);
    }
    w->applied = true;
    tern_store_close(w->file);
    w->file = NULL;
    pthread_mutex_unlock(&w->lock);
    w->book = NULL;
    if (!book->busy) {
        free_writer(w);
    }
}

void tern_book_rest(tern_book *book)
{
    book->resting = true;
    tern_timer_stop(&book->timer);
}

void tern_book_free(tern_book *book)
{
    if (book == NULL) {
        return;
    }
    tern_timer_stop(&book->timer);
    if (book->writer != NULL) {
        close_writer(book);
    }
    free_changes(&book->changes);
    tern_map_free(&book->pending);
    while (!tern_list_empty(&book->recent)) {
        forget(book, TERN_CONTAINER(book->recent.next, blob, link));
    }
    tern_map_free(&book->blobs);
    tern_free(book);
}
