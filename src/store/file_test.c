/* Tests of the file: what is written is read again, bounds, purges, every way in which a file can
 * be unusable, and an operating system that fails at each call in turn. */
#include "store/file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "base/test.h"

#define NOW INT64_C(1000000)

static char folder[64], path[128];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/tern-book-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/book.sqlite", folder);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"book.sqlite", "book.sqlite-wal", "book.sqlite-shm",
                                        "book.sqlite-journal", "other"};
    char name[160];
    (void)state;
    chmod(folder, 0700);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        unlink(name);
    }
    return rmdir(folder);
}

static void add(tern_list *changes, uint8_t key, uint64_t seq, int64_t until, bool gone)
{
    const uint8_t bytes[] = {3, 4, 'p', 'e', 'e', 'r', key, 'v', (uint8_t)(until & 0x7f)};
    tern_store_change *c = tern_calloc(1, sizeof *c + sizeof bytes);
    assert_non_null(c);
    c->seq = seq;
    c->until = until;
    c->gone = gone;
    c->name_n = 7;
    c->value_n = 2;
    memcpy(c->bytes, bytes, sizeof bytes);
    tern_list_init(&c->link);
    tern_list_push(changes, &c->link);
}

static void clear(tern_list *changes)
{
    tern_list *l;
    while ((l = tern_list_pop(changes)) != NULL) {
        tern_free(TERN_CONTAINER(l, tern_store_change, link));
    }
}

typedef struct seen {
    size_t count, bad;
    uint8_t keys[8], values[8];
    uint64_t seqs[8];
    int64_t untils[8];
} seen;

static void on_row(void *arg, const tern_store_row *row)
{
    seen *s = arg;
    if (s->count < 8 && row->key_n == 1 && row->value_n == 2) {
        assert_int_equal(row->kind, 3);
        assert_memory_equal(row->peer, "peer", 4);
        s->keys[s->count] = row->key[0];
        s->values[s->count] = row->value[1];
        s->seqs[s->count] = row->seq;
        s->untils[s->count] = row->until;
    }
    s->count++;
}

static seen load(int64_t now)
{
    tern_store_file *file = NULL;
    tern_error error;
    seen s = {0};
    assert_int_equal(tern_store_open(folder, &file, &error), 0);
    assert_int_equal(tern_store_load(file, now, on_row, &s, &s.bad, &error), 0);
    tern_store_close(file);
    return s;
}

static size_t apply(tern_list *changes, int64_t now)
{
    tern_store_file *file = NULL;
    tern_error error;
    size_t purged = 0;
    assert_int_equal(tern_store_open(folder, &file, &error), 0);
    assert_int_equal(tern_store_apply(file, changes, now, &purged, &error), 0);
    tern_store_close(file);
    clear(changes);
    return purged;
}

static void test_rows_survive(void **state)
{
    tern_list changes;
    struct stat st;
    (void)state;
    tern_list_init(&changes);
    add(&changes, 'a', 5, NOW + 10, false);
    add(&changes, 'b', 0, NOW + 20, false);
    add(&changes, 'c', 0, NOW + 30, false);
    assert_int_equal(apply(&changes, NOW), 0);
    seen s = load(NOW);
    assert_int_equal(s.count, 3);
    assert_memory_equal(s.keys, "cba", 3);
    assert_int_equal(s.seqs[2], 5);
    assert_int_equal(s.untils[0], NOW + 30);
    assert_int_equal(load(NOW + 10).count, 2); /* expired, though not purged */
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    add(&changes, 'a', 4, NOW + 40, false); /* of an older record: not believed */
    add(&changes, 'b', 1, NOW + 41, false);
    add(&changes, 'c', 0, 0, true);
    apply(&changes, NOW);
    s = load(NOW);
    assert_int_equal(s.count, 2);
    assert_memory_equal(s.keys, "ba", 2);
    assert_int_equal(s.untils[1], NOW + 10);
    assert_int_equal(s.values[0], (NOW + 41) & 0x7f);
    add(&changes, 'a', 4, 0, true);
    assert_int_equal(apply(&changes, NOW + 41), 2); /* nothing is dropped, two expired */
    assert_int_equal(load(0).count, 0);
}

static void test_clocks_and_bounds(void **state)
{
    tern_list changes;
    (void)state;
    tern_list_init(&changes);
    add(&changes, 'a', UINT64_MAX, INT64_MAX, false);
    apply(&changes, NOW);
    seen s = load(NOW - 50); /* the clock went back */
    assert_int_equal(s.untils[0], NOW - 50 + TERN_STORE_LIFE_MAX);
    assert_int_equal(s.seqs[0], INT64_MAX);
    assert_int_equal(load(NOW + TERN_STORE_LIFE_MAX - 1).count, 1);
    assert_int_equal(load(NOW + TERN_STORE_LIFE_MAX).count, 0); /* and ahead */

    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(
            db,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 17000)"
            " INSERT INTO kept SELECT 3, x'70', CAST(i AS BLOB), x'', 0, 1000100 + i FROM n;"
            "INSERT INTO kept VALUES (300, x'70', x'', x'', 0, 9000000);"
            "INSERT INTO kept VALUES (3, 'text', x'', x'', 0, 9000000);"
            "INSERT INTO kept VALUES (3, zeroblob(48), x'', x'', 0, 9000000);"
            "INSERT INTO kept VALUES (3, x'70', zeroblob(1025), x'', 0, 9000000);"
            "INSERT INTO kept VALUES (3, x'70', x'00', zeroblob(16385), 0, 9000000);"
            "INSERT INTO kept VALUES (3, x'70', x'01', x'', -1, 9000000);",
            NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    s = load(NOW);
    assert_int_equal(s.bad, 6);
    assert_int_equal(s.count + s.bad, TERN_STORE_ROWS_MAX);
    assert_int_equal(apply(&changes, NOW), 17007 - TERN_STORE_ROWS_MAX);
}

static void put_file(const char *name, const char *bytes, size_t n)
{
    char full[160];
    snprintf(full, sizeof full, "%s/%s", folder, name);
    int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

static void refused(int code, const char *text)
{
    tern_store_file *file = NULL;
    tern_error error = {0};
    assert_int_equal(tern_store_open(folder, &file, &error), code);
    assert_null(file);
    assert_non_null(strstr(error.text, text));
    assert_string_equal(error.layer, "store");
}

static void change_file(const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_no_book(void **state)
{
    char junk[8192];
    tern_list none;
    (void)state;
    tern_list_init(&none);
    memset(junk, 'x', sizeof junk);
    put_file("book.sqlite", junk, sizeof junk);
    refused(TERN_E_MALFORMED, "move it away");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600); /* others could read it: not any more */
    unlink(path);
    change_file("CREATE TABLE kept (a)"); /* somebody else's database */
    refused(TERN_E_MALFORMED, "is no address book");
    unlink(path);
    assert_int_equal(symlink("other", path), 0);
    put_file("other", "", 0);
    refused(TERN_E_ACCESS, "is no regular file");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    refused(TERN_E_ACCESS, "is no regular file");
    rmdir(path);
    apply(&none, NOW);
    change_file("PRAGMA user_version = 2");
    refused(TERN_E_UNSUPPORTED, "use a newer tern");
    change_file("PRAGMA user_version = 1; DROP TABLE kept; CREATE TABLE kept (a)");
    tern_store_file *file = NULL;
    tern_error error;
    seen s = {0};
    assert_int_equal(tern_store_open(folder, &file, NULL), 0);
    assert_int_equal(tern_store_load(file, NOW, on_row, &s, NULL, &error), TERN_E_MALFORMED);
    assert_int_equal(tern_store_apply(file, &none, NOW, NULL, &error), TERN_E_MALFORMED);
    tern_store_close(file);
    char lost[] = "/nowhere/at/all";
    assert_int_equal(tern_store_open(lost, &file, &error), TERN_E_ACCESS);
    char *longer = malloc(PATH_MAX + 1);
    memset(longer, 'x', PATH_MAX);
    longer[PATH_MAX] = '\0';
    assert_int_equal(tern_store_open(longer, &file, &error), TERN_E_ACCESS);
    free(longer);
}

static void test_damage(void **state)
{
    tern_list changes;
    char bytes[256];
    (void)state;
    tern_list_init(&changes);
    for (uint8_t i = 1; i < 200; i++) {
        add(&changes, i, 0, NOW + 100, false);
    }
    apply(&changes, NOW);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    memset(bytes, 0xa5, sizeof bytes);
    for (off_t at = 16; at < st.st_size; at += 509) { /* each as a book of its own would be */
        tern_store_file *file = NULL;
        seen s = {0};
        int fd = open(path, O_RDWR);
        char was[16];
        assert_int_equal(pread(fd, was, sizeof was, at), sizeof was);
        assert_int_equal(pwrite(fd, bytes, sizeof was, at), sizeof was);
        if (tern_store_open(folder, &file, NULL) == 0) {
            tern_store_load(file, NOW, on_row, &s, &s.bad, NULL);
            tern_store_close(file);
        }
        assert_int_equal(pwrite(fd, was, sizeof was, at), sizeof was);
        close(fd);
    }
    assert_int_equal(load(NOW).count, 199);
    assert_int_equal(truncate(path, 4096), 0);
    tern_store_file *file = NULL;
    tern_error error;
    int code = tern_store_open(folder, &file, &error);
    if (code == 0) {
        code = tern_store_load(file, NOW, on_row, &(seen){0}, NULL, &error);
        tern_store_close(file);
    }
    assert_int_equal(code, TERN_E_MALFORMED);
}

static void test_two_processes(void **state)
{
    tern_store_file *one = NULL, *two = NULL;
    tern_list changes;
    tern_error error;
    sqlite3 *db;
    (void)state;
    tern_list_init(&changes);
    assert_int_equal(tern_store_open(folder, &one, &error), 0);
    assert_int_equal(tern_store_open(folder, &two, &error), 0);
    add(&changes, 'a', 1, NOW + 10, false);
    assert_int_equal(tern_store_apply(one, &changes, NOW, NULL, &error), 0);
    clear(&changes);
    add(&changes, 'b', 1, NOW + 10, false);
    assert_int_equal(tern_store_apply(two, &changes, NOW, NULL, &error), 0);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(tern_store_apply(one, &changes, NOW, NULL, &error), TERN_E_STATE);
    assert_non_null(strstr(error.text, "locked"));
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    assert_int_equal(tern_store_apply(one, &changes, NOW, NULL, &error), 0);
    sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE", NULL, NULL, NULL);
    sqlite3_close(db);
    clear(&changes);
    tern_store_close(one);
    tern_store_close(two);
    assert_int_equal(load(NOW).count, 2);
}

static void test_foreign_triggers_do_not_run(void **state)
{
    tern_list changes;
    (void)state;
    tern_list_init(&changes);
    apply(&changes, NOW);
    change_file("CREATE TRIGGER t AFTER INSERT ON kept BEGIN DELETE FROM kept; END");
    add(&changes, 'a', 1, NOW + 10, false);
    apply(&changes, NOW);
    assert_int_equal(load(NOW).count, 1);
}

/* ---- a system that fails ---- */

static sqlite3_vfs failing;
static sqlite3_vfs *real;
static int fail_at, calls, fail_with;

typedef struct shim {
    sqlite3_file base;
    sqlite3_file *file; /* behind it in memory */
} shim;

static bool fails(void)
{
    calls++;
    return fail_at > 0 && calls >= fail_at;
}

#define FILE_OF(f) (((shim *)(f))->file)

static int shim_close(sqlite3_file *f)
{
    return FILE_OF(f)->pMethods->xClose(FILE_OF(f));
}
static int shim_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return fails() ? SQLITE_IOERR_READ : FILE_OF(f)->pMethods->xRead(FILE_OF(f), p, n, at);
}
static int shim_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    return fails() ? fail_with : FILE_OF(f)->pMethods->xWrite(FILE_OF(f), p, n, at);
}
static int shim_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    return fails() ? SQLITE_IOERR_TRUNCATE : FILE_OF(f)->pMethods->xTruncate(FILE_OF(f), n);
}
static int shim_sync(sqlite3_file *f, int flags)
{
    return fails() ? SQLITE_IOERR_FSYNC : FILE_OF(f)->pMethods->xSync(FILE_OF(f), flags);
}
static int shim_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return fails() ? SQLITE_IOERR_FSTAT : FILE_OF(f)->pMethods->xFileSize(FILE_OF(f), n);
}
static int shim_lock(sqlite3_file *f, int how)
{
    return fails() ? SQLITE_IOERR_LOCK : FILE_OF(f)->pMethods->xLock(FILE_OF(f), how);
}
static int shim_unlock(sqlite3_file *f, int how)
{
    return FILE_OF(f)->pMethods->xUnlock(FILE_OF(f), how);
}
static int shim_reserved(sqlite3_file *f, int *ret)
{
    return FILE_OF(f)->pMethods->xCheckReservedLock(FILE_OF(f), ret);
}
static int shim_control(sqlite3_file *f, int op, void *arg)
{
    return FILE_OF(f)->pMethods->xFileControl(FILE_OF(f), op, arg);
}
static int shim_sector(sqlite3_file *f)
{
    return FILE_OF(f)->pMethods->xSectorSize(FILE_OF(f));
}
static int shim_traits(sqlite3_file *f)
{
    return FILE_OF(f)->pMethods->xDeviceCharacteristics(FILE_OF(f));
}
static int shim_map(sqlite3_file *f, int page, int n, int extend, void volatile **ret)
{
    return fails() ? SQLITE_IOERR_SHMMAP
                   : FILE_OF(f)->pMethods->xShmMap(FILE_OF(f), page, n, extend, ret);
}
static int shim_map_lock(sqlite3_file *f, int at, int n, int flags)
{
    return FILE_OF(f)->pMethods->xShmLock(FILE_OF(f), at, n, flags);
}
static void shim_barrier(sqlite3_file *f)
{
    FILE_OF(f)->pMethods->xShmBarrier(FILE_OF(f));
}
static int shim_unmap(sqlite3_file *f, int drop)
{
    return FILE_OF(f)->pMethods->xShmUnmap(FILE_OF(f), drop);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_reserved,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector,
    .xDeviceCharacteristics = shim_traits,
    .xShmMap = shim_map,
    .xShmLock = shim_map_lock,
    .xShmBarrier = shim_barrier,
    .xShmUnmap = shim_unmap,
};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret)
{
    shim *s = (shim *)f;
    (void)vfs;
    s->base.pMethods = NULL;
    s->file = (sqlite3_file *)(void *)(s + 1);
    if (fails()) {
        return SQLITE_CANTOPEN;
    }
    int code = real->xOpen(real, name, s->file, flags, ret);
    s->base.pMethods = code == SQLITE_OK ? &methods : NULL;
    return code;
}

static int store_once(tern_list *changes, tern_error *error)
{
    tern_store_file *file = NULL;
    seen s = {0};
    int code = tern_store_open(folder, &file, error);
    if (code == 0) {
        code = tern_store_load(file, NOW, on_row, &s, NULL, error);
    }
    if (code == 0) {
        code = tern_store_apply(file, changes, NOW, NULL, error);
    }
    tern_store_close(file);
    return code;
}

/* From each call on, everything fails; afterwards the file is as it was, or as it should be. */
static void test_a_failing_system(void **state)
{
    static const int kinds[] = {SQLITE_IOERR_WRITE, SQLITE_FULL};
    tern_list changes;
    tern_error error;
    (void)state;
    real = sqlite3_vfs_find(NULL);
    failing = *real;
    failing.zName = "failing";
    failing.szOsFile = (int)sizeof(shim) + real->szOsFile;
    failing.xOpen = shim_open;
    sqlite3_vfs_register(&failing, 1);
    tern_list_init(&changes);
    add(&changes, 'a', 1, NOW + 10, false);
    for (size_t k = 0; k < 2; k++) {
        unsigned failures = 0, told_full = 0;
        fail_with = kinds[k];
        for (fail_at = 1;; fail_at++) {
            calls = 0;
            int at = fail_at;
            int code = store_once(&changes, &error);
            bool reached = calls >= at;
            fail_at = 0;
            assert_int_equal(load(NOW).bad, 0);
            if (code == 0) {
                assert_int_equal(load(NOW).count, 1);
            } else {
                failures++;
                told_full += code == TERN_E_LIMIT;
                assert_string_equal(error.layer, "store");
            }
            fail_at = at;
            unlink(path);
            if (!reached) {
                break;
            }
        }
        assert_true(failures > 10);
        assert_true(k == 0 || told_full > 0);
    }
    fail_at = 0;
    clear(&changes);
    sqlite3_vfs_unregister(&failing);
    sqlite3_vfs_register(real, 1);
}

static void test_no_memory(void **state)
{
    tern_store_file *file = NULL;
    tern_error error;
    (void)state;
    tern_mem_fail_at(1, 0);
    assert_int_equal(tern_store_open(folder, &file, &error), TERN_E_NOMEM);
    tern_mem_fail_at(0, 0);
    tern_store_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows_survive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clocks_and_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_book, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_processes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign_triggers_do_not_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_failing_system, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
