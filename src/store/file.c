/* The file of a data folder in SQLite: see file.h. */
#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/error.h"
#include "base/mem.h"

#define APPLICATION 0x7465726e /* "tern" */
#define BUSY_MS     250        /* another process writes: as long as that is waited for */
#define PAGES_MAX   "32768"    /* 128 MiB */
#define NAME        "book.sqlite"

struct tern_store_file {
    sqlite3 *db;
    char path[PATH_MAX];
};

static const char schema[] =
    "CREATE TABLE kept (kind INTEGER NOT NULL, peer BLOB NOT NULL, key BLOB NOT NULL,"
    " value BLOB NOT NULL, seq INTEGER NOT NULL, until INTEGER NOT NULL,"
    " PRIMARY KEY (kind, peer, key)) WITHOUT ROWID;"
    "CREATE INDEX kept_until ON kept (until);"
    "PRAGMA application_id = 1952805486;"
    "PRAGMA user_version = 1;";

/* What SQLite said, as one of our codes with what to try. */
static int fail(const tern_store_file *file, int code, tern_error *reterr)
{
    static const struct {
        int sqlite, code;
        const char *text;
    } known[] = {
        {SQLITE_NOTADB, TERN_E_MALFORMED, "is no address book; move it away to start anew"},
        {SQLITE_CORRUPT, TERN_E_MALFORMED, "is damaged; move it away to start anew"},
        {SQLITE_BUSY, TERN_E_STATE, "is locked by another process"},
        {SQLITE_LOCKED, TERN_E_STATE, "is locked by another process"},
        {SQLITE_READONLY, TERN_E_ACCESS, "cannot be written"},
        {SQLITE_CANTOPEN, TERN_E_ACCESS, "cannot be opened; see its folder's permissions"},
        {SQLITE_PERM, TERN_E_ACCESS, "cannot be opened; see its permissions"},
        {SQLITE_FULL, TERN_E_LIMIT, "cannot grow: the disk is full"},
        {SQLITE_NOMEM, TERN_E_NOMEM, "finds no memory"},
        {SQLITE_ERROR, TERN_E_MALFORMED, "has another table than ours; move it away to start anew"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if ((code & 0xff) == known[i].sqlite) {
            return tern_fail(reterr, known[i].code, "store", "%.80s %s", file->path, known[i].text);
        }
    }
    return tern_fail(reterr, TERN_E_IO, "store", "%.80s: %s", file->path, sqlite3_errstr(code));
}

static int run(tern_store_file *file, const char *sql)
{
    return sqlite3_exec(file->db, sql, NULL, NULL, NULL);
}

/* SQLite makes its files with the umask's mode; ours exists before, with 0600, and its companions
 * inherit that. */
static int make_private(tern_store_file *file, tern_error *reterr)
{
    struct stat st;
    int fd = open(file->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    if (errno != EEXIST || lstat(file->path, &st) != 0) {
        return tern_fail(reterr, errno == ENOSPC ? TERN_E_LIMIT : TERN_E_ACCESS, "store",
                         "%.80s cannot be made: %s", file->path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return tern_fail(reterr, TERN_E_ACCESS, "store", "%.80s is no regular file", file->path);
    }
    if ((st.st_mode & 077) != 0 && chmod(file->path, 0600) != 0) {
        return tern_fail(reterr, TERN_E_ACCESS, "store",
                         "%.80s can be read by others, and that cannot be changed: %s", file->path,
                         strerror(errno));
    }
    return 0;
}

static int first_number(tern_store_file *file, const char *sql, int *ret)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(file->db, sql, -1, &stmt, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(stmt);
    }
    if (code == SQLITE_ROW) {
        *ret = sqlite3_column_int(stmt, 0);
        code = SQLITE_OK;
    }
    sqlite3_finalize(stmt);
    return code == SQLITE_DONE ? SQLITE_CORRUPT : code;
}

/* The file may have been written by somebody else: nothing in it is code. */
static void distrust(sqlite3 *db)
{
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1 << 20);
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
}

static int make_schema(tern_store_file *file)
{
    int tables = 0;
    int code = run(file, "BEGIN IMMEDIATE");
    if (code != SQLITE_OK) {
        return code;
    }
    code = first_number(file, "SELECT count(*) FROM sqlite_schema", &tables);
    if (code == SQLITE_OK && tables == 0) { /* else another process was faster */
        code = run(file, schema);
    }
    if (code == SQLITE_OK) {
        code = run(file, "COMMIT");
    }
    if (code != SQLITE_OK) {
        run(file, "ROLLBACK");
    }
    return code;
}

static int prepare_file(tern_store_file *file, tern_error *reterr)
{
    int version = 0, application = 0;
    int code = sqlite3_open_v2(file->path, &file->db, SQLITE_OPEN_READWRITE, NULL);
    if (code != SQLITE_OK) {
        return fail(file, code, reterr);
    }
    sqlite3_busy_timeout(file->db, BUSY_MS);
    distrust(file->db);
    code = run(file, "PRAGMA cell_size_check = ON; PRAGMA journal_mode = WAL;"
                     "PRAGMA synchronous = NORMAL; PRAGMA max_page_count = " PAGES_MAX ";"
                     "PRAGMA cache_size = -512; PRAGMA secure_delete = ON;");
    if (code == SQLITE_OK) {
        code = first_number(file, "PRAGMA user_version", &version);
    }
    if (code == SQLITE_OK && version == 0) {
        code = make_schema(file);
    }
    if (code == SQLITE_OK) {
        code = first_number(file, "PRAGMA user_version", &version);
    }
    if (code == SQLITE_OK) {
        code = first_number(file, "PRAGMA application_id", &application);
    }
    if (code != SQLITE_OK) {
        return fail(file, code, reterr);
    }
    if (application != APPLICATION) {
        return fail(file, SQLITE_NOTADB, reterr);
    }
    if (version != TERN_STORE_SCHEMA) {
        return tern_fail(reterr, TERN_E_UNSUPPORTED, "store",
                         "%.80s has version %d, this tern knows %d; use a newer tern", file->path,
                         version, TERN_STORE_SCHEMA);
    }
    return 0;
}

int tern_store_open(const char *folder, tern_store_file **ret, tern_error *reterr)
{
    tern_store_file *file = tern_calloc(1, sizeof *file);
    if (file == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "store", "out of memory");
    }
    int n = snprintf(file->path, sizeof file->path, "%s/" NAME, folder);
    if (n < 0 || (size_t)n >= sizeof file->path) {
        tern_free(file);
        return tern_fail(reterr, TERN_E_ACCESS, "store", "the data folder's name is too long");
    }
    int code = make_private(file, reterr);
    if (code == 0) {
        code = prepare_file(file, reterr);
    }
    if (code != 0) {
        tern_store_close(file);
        return code;
    }
    *ret = file;
    return 0;
}

void tern_store_close(tern_store_file *file)
{
    if (file != NULL) {
        sqlite3_close(file->db);
        tern_free(file);
    }
}

/* ---- reading ---- */

static bool read_blob(sqlite3_stmt *stmt, int column, size_t max, const uint8_t **ret,
                      size_t *ret_n)
{
    static const uint8_t none[1];
    if (sqlite3_column_type(stmt, column) != SQLITE_BLOB) {
        return false;
    }
    const void *bytes = sqlite3_column_blob(stmt, column);
    *ret_n = (size_t)sqlite3_column_bytes(stmt, column);
    *ret = bytes != NULL ? bytes : none;
    return *ret_n <= max && (bytes != NULL || *ret_n == 0);
}

static bool read_row(sqlite3_stmt *stmt, tern_store_row *row)
{
    int64_t kind = sqlite3_column_int64(stmt, 0), seq = sqlite3_column_int64(stmt, 4);
    if (kind < 0 || kind > UINT8_MAX || seq < 0) {
        return false;
    }
    row->kind = (uint8_t)kind;
    row->seq = (uint64_t)seq;
    row->until = sqlite3_column_int64(stmt, 5);
    return read_blob(stmt, 1, TERN_STORE_PEER_MAX, &row->peer, &row->peer_n) &&
           read_blob(stmt, 2, TERN_STORE_KEY_MAX, &row->key, &row->key_n) &&
           read_blob(stmt, 3, TERN_STORE_VALUE_MAX, &row->value, &row->value_n);
}

int tern_store_load(tern_store_file *file, int64_t now,
                    void (*fn)(void *arg, const tern_store_row *row), void *arg, size_t *bad,
                    tern_error *reterr)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(file->db,
                                  "SELECT kind, peer, key, value, seq, until FROM kept"
                                  " WHERE until > ?1 ORDER BY until DESC LIMIT ?2",
                                  -1, &stmt, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_int64(stmt, 1, now);
        sqlite3_bind_int64(stmt, 2, TERN_STORE_ROWS_MAX);
        while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
            tern_store_row row;
            if (read_row(stmt, &row)) {
                row.until =
                    row.until > now + TERN_STORE_LIFE_MAX ? now + TERN_STORE_LIFE_MAX : row.until;
                fn(arg, &row);
            } else if (bad != NULL) {
                (*bad)++;
            }
        }
    }
    sqlite3_finalize(stmt);
    return code == SQLITE_DONE ? 0 : fail(file, code, reterr);
}

/* ---- writing ---- */

static int write_change(sqlite3_stmt *put, sqlite3_stmt *drop, const tern_store_change *c)
{
    sqlite3_stmt *stmt = c->gone ? drop : put;
    size_t peer_n = c->bytes[1];
    const uint8_t *key = c->bytes + 2 + peer_n;
    uint64_t seq = c->seq < INT64_MAX ? c->seq : INT64_MAX;
    sqlite3_bind_int(stmt, 1, c->bytes[0]);
    sqlite3_bind_blob(stmt, 2, c->bytes + 2, (int)peer_n, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 3, key, (int)(c->name_n - 2 - peer_n), SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 4, (int64_t)seq);
    if (!c->gone) {
        sqlite3_bind_blob(stmt, 5, c->bytes + c->name_n, (int)c->value_n, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 6, c->until);
    }
    int code = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int write_all(tern_store_file *file, tern_list *changes)
{
    sqlite3_stmt *put = NULL, *drop = NULL;
    int code = sqlite3_prepare_v2(
        file->db,
        "INSERT INTO kept (kind, peer, key, seq, value, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
        " ON CONFLICT (kind, peer, key) DO UPDATE SET value = excluded.value, seq = excluded.seq,"
        " until = excluded.until WHERE excluded.seq >= kept.seq",
        -1, &put, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_prepare_v2(
            file->db, "DELETE FROM kept WHERE kind = ?1 AND peer = ?2 AND key = ?3 AND seq <= ?4",
            -1, &drop, NULL);
    }
    for (tern_list *l = changes->next; code == SQLITE_OK && l != changes; l = l->next) {
        code = write_change(put, drop, TERN_CONTAINER(l, tern_store_change, link));
    }
    sqlite3_finalize(put);
    sqlite3_finalize(drop);
    return code;
}

static int purge(tern_store_file *file, int64_t now, size_t *ret_purged)
{
    static const char *const statements[] = {
        "DELETE FROM kept WHERE until <= ?1",
        ("DELETE FROM kept WHERE (kind, peer, key) IN (SELECT kind, peer, key FROM kept"
         " ORDER BY until DESC LIMIT -1 OFFSET ?1)"),
        "UPDATE kept SET until = ?1 WHERE until > ?1",
    };
    const int64_t bounds[] = {now, TERN_STORE_ROWS_MAX, now + TERN_STORE_LIFE_MAX};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        sqlite3_stmt *stmt = NULL;
        int code = sqlite3_prepare_v2(file->db, statements[i], -1, &stmt, NULL);
        if (code == SQLITE_OK) {
            sqlite3_bind_int64(stmt, 1, bounds[i]);
            code = sqlite3_step(stmt);
        }
        sqlite3_finalize(stmt);
        if (code != SQLITE_DONE) {
            return code;
        }
        if (i < 2 && ret_purged != NULL) {
            *ret_purged += (size_t)sqlite3_changes(file->db);
        }
    }
    return SQLITE_OK;
}

int tern_store_apply(tern_store_file *file, tern_list *changes, int64_t now, size_t *ret_purged,
                     tern_error *reterr)
{
    int code = run(file, "BEGIN IMMEDIATE");
    if (code != SQLITE_OK) {
        return fail(file, code, reterr);
    }
    code = write_all(file, changes);
    if (code == SQLITE_OK) {
        code = purge(file, now, ret_purged);
    }
    if (code == SQLITE_OK) {
        code = run(file, "COMMIT");
    }
    if (code != SQLITE_OK) {
        run(file, "ROLLBACK");
        return fail(file, code, reterr);
    }
    return 0;
}
