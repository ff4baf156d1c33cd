/* The one embedded file of a node's data folder, DIR/book.sqlite: rows that outlive the process.
 * SQLite, and nothing else, is behind this header.
 *
 * A row is a kind, a peer id, a key within both, a value, a sequence number, and the second of the
 * wall clock until which it counts. Everything blocks: store/book calls it on a pool thread, and on
 * the loop only when the node is born and when it ends. The file may come from elsewhere, so what
 * is read is bounded here and judged by whoever reads it; triggers, views and functions of a
 * foreign schema never run. Not for two threads at once. */
#ifndef TERN_STORE_FILE_H
#define TERN_STORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/error.h>

#include "base/list.h"

enum {
    TERN_STORE_ROWS_MAX = 16384, /* beyond it go those that expire first */
    TERN_STORE_PEER_MAX = 47,
    TERN_STORE_KEY_MAX = 1024,
    TERN_STORE_VALUE_MAX = 16384,
    TERN_STORE_SCHEMA = 1,
};

#define TERN_STORE_LIFE_MAX (INT64_C(90) * 24 * 3600) /* seconds: no row counts for longer */

typedef struct tern_store_file tern_store_file;

/* One row, or the wish that it be gone. name is what makes it unique: the kind, the length of the
 * peer id, the peer id, the key. */
typedef struct tern_store_change {
    tern_list link;
    uint64_t seq;  /* a row with a higher one is not replaced */
    int64_t until; /* seconds since 1970 */
    bool gone;
    size_t name_n, value_n;
    uint8_t bytes[]; /* the name, then the value */
} tern_store_change;

/* A row as read: lengths are within the limits above, nothing else is promised. */
typedef struct tern_store_row {
    uint8_t kind;
    const uint8_t *peer, *key, *value;
    size_t peer_n, key_n, value_n;
    uint64_t seq;
    int64_t until;
} tern_store_row;

/* Opens or makes the file, mode 0600, in a folder that exists. With *reterr saying what to try:
 * ACCESS (read-only, no folder, a symbolic link), MALFORMED (no book, or damaged), UNSUPPORTED (of
 * a newer tern), STATE (locked by another process), LIMIT (disk full), NOMEM, IO. */
int tern_store_open(const char *folder, tern_store_file **ret, tern_error *reterr);
/* Calls fn with each row that counts at `now` (seconds since 1970), the longest-lived first. *bad
 * (may be NULL) counts the rows beyond the limits. Errors as above. */
int tern_store_load(tern_store_file *file, int64_t now,
                    void (*fn)(void *arg, const tern_store_row *row), void *arg, size_t *bad,
                    tern_error *reterr);
/* Writes a list of tern_store_change in one transaction, all or nothing; purges what expired, what
 * claims to last longer than anything may, and what is too much. The list stays the caller's.
 * *ret_purged (may be NULL): how many rows went. Errors as above. */
int tern_store_apply(tern_store_file *file, tern_list *changes, int64_t now, size_t *ret_purged,
                     tern_error *reterr);
void tern_store_close(tern_store_file *file); /* NULL is nothing */

#endif
