/* What a node remembers of peers beyond a connection, and beyond its own life when it has a data
 * folder: addresses (kept by the swarm, written through here), and small blobs a peer (resumption
 * tickets), kept here.
 *
 * In memory times are the loop's; on disk they are the wall clock's, so a clock that jumps costs at
 * most what was remembered. Changes are collected for a second and written by a pool thread in one
 * transaction. A file that cannot be used costs nothing but what it would have kept: the book goes
 * on in memory, says it once through on_trouble and counts it. */
#ifndef TERN_STORE_BOOK_H
#define TERN_STORE_BOOK_H

#include <tern/error.h>
#include <tern/peer_id.h>

#include "core/counters.h"
#include "loop/loop.h"
#include "store/file.h"

enum {
    TERN_BOOK_ADDRESS = 0,      /* the kind of addresses; blobs have 1 to 255 (core/net.h) */
    TERN_BOOK_BLOBS_MAX = 4096, /* in memory; the one not used for the longest time goes first */
    TERN_BOOK_PENDING_MAX = 4096,
};

typedef struct tern_book tern_book;

/* An address of the file that counts until `until`, loop time. */
typedef void tern_book_visit(void *arg, const tern_peer_id *peer, const uint8_t *addr, size_t n,
                             uint64_t seq, uint64_t until);
/* Something cannot be stored (once, until it can again). From the loop. */
typedef void tern_book_trouble(void *arg, const tern_error *error);

/* A book in memory. counters outlive it. TERN_E_NOMEM. */
int tern_book_new(tern_loop *loop, tern_counters *counters, tern_book **ret);
/* Joins the file of a folder, once: blobs are read into memory, addresses handed to visit. Blocks
 * for the reading of at most TERN_STORE_ROWS_MAX rows. On an error (tern_store_open's and
 * tern_store_load's) the book stays in memory. */
int tern_book_open(tern_book *book, const char *folder, tern_book_visit *visit, void *arg,
                   tern_book_trouble *trouble, tern_error *reterr);
/* No timer from here on: what is pending is written by free. */
void tern_book_rest(tern_book *book);
/* Writes what is pending, waiting for the disk, and frees. NULL is nothing. */
void tern_book_free(tern_book *book);

/* Writes an address of a peer through: until `until`, loop time; seq that of the signed record that
 * has it, 0 for none. Nothing to do without a file. What finds no memory is counted. */
void tern_book_put_addr(tern_book *book, const tern_peer_id *peer, const uint8_t *addr, size_t n,
                        uint64_t seq, uint64_t until);
/* The address is not the peer's any more, unless a record later than seq says so. */
void tern_book_drop_addr(tern_book *book, const tern_peer_id *peer, const uint8_t *addr, size_t n,
                         uint64_t seq);

/* Keeps a copy of a blob for a peer until `until`, loop time; n = 0 forgets it. kind 1 to 255. 0,
 * TERN_E_TOO_LARGE (TERN_STORE_VALUE_MAX), TERN_E_NOMEM. */
int tern_book_remember(tern_book *book, const tern_peer_id *peer, uint8_t kind, const void *blob,
                       size_t n, uint64_t until);
/* What is kept, valid until the next call with this book; NULL when there is none. */
const uint8_t *tern_book_recall(tern_book *book, const tern_peer_id *peer, uint8_t kind,
                                size_t *ret_n);

/* One row of a file, as tern_book_open judges it; for tests and the fuzzer. False: not believed. */
bool tern_book_read_row(tern_book *book, const tern_store_row *row, tern_book_visit *visit,
                        void *arg);

#endif
