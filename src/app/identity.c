/* Key files and the data folder. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"

enum { KEY_FILE_MAX = 32768, FOLDER_MAX = 2048 };

static void wipe(void *p, size_t n)
{
    volatile unsigned char *bytes = p;
    while (n-- > 0) {
        *bytes++ = 0;
    }
}

/* The whole file into buf; its length, or -1 after a line. */
static ssize_t read_whole(const char *path, unsigned char *buf, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        app_error("the key file %s cannot be read: %s", path, strerror(errno));
        return -1;
    }
    size_t len = 0;
    ssize_t n = 1;
    while (n > 0 && len < cap) {
        n = read(fd, buf + len, cap - len);
        len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    if (n < 0 || len == cap) {
        app_error("the key file %s cannot be read: %s", path,
                  n < 0 ? strerror(errno) : "too large for a key");
        return -1;
    }
    return (ssize_t)len;
}

int app_read_key(const char *path, tern_key **ret)
{
    unsigned char bytes[KEY_FILE_MAX];
    ssize_t n = read_whole(path, bytes, sizeof bytes);
    if (n < 0) {
        return APP_FAILED;
    }
    bool pem = memmem(bytes, (size_t)n, "-----BEGIN ", 11) != NULL;
    int code = pem ? tern_key_from_pem((const char *)bytes, (size_t)n, ret)
                   : tern_key_from_private(bytes, (size_t)n, ret);
    wipe(bytes, sizeof bytes);
    if (code != 0) {
        app_error("the key file %s holds no private key of libp2p's form or unencrypted PEM: %s",
                  path, tern_code_text(code));
        return APP_FAILED;
    }
    return APP_OK;
}

static int write_secret(const char *path, const unsigned char *bytes, ssize_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        app_error("the key file %s cannot be made: %s", path, strerror(errno));
        return APP_FAILED;
    }
    errno = ENOSPC; /* what a short write means */
    bool ok = n > 0 && write(fd, bytes, (size_t)n) == n && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    if (!ok) {
        app_error("the key file %s cannot be written: %s", path, strerror(errno));
        unlink(path); /* half a key would be in the way of the next attempt */
        return APP_FAILED;
    }
    return APP_OK;
}

int app_write_key(const char *path, const tern_key *key)
{
    unsigned char bytes[KEY_FILE_MAX];
    ssize_t n = tern_key_private(key, bytes, sizeof bytes);
    int status = write_secret(path, bytes, n);
    wipe(bytes, sizeof bytes);
    return status;
}

int app_write_psk(const char *path, const uint8_t psk[TERN_PSK])
{
    char text[TERN_PSK_TEXT];
    tern_psk_text(psk, text);
    int status = write_secret(path, (const unsigned char *)text, (ssize_t)strlen(text));
    wipe(text, sizeof text);
    return status;
}

int app_read_psk(app_options *o)
{
    unsigned char bytes[KEY_FILE_MAX];
    tern_error error;
    ssize_t n = read_whole(o->psk, bytes, sizeof bytes);
    if (n < 0) {
        return APP_FAILED;
    }
    int code = tern_psk_parse((const char *)bytes, (size_t)n, o->psk_key, &error);
    wipe(bytes, sizeof bytes);
    if (code != 0) {
        app_say_error(o->psk, &error);
    }
    return code == 0 ? APP_OK : APP_FAILED;
}

/* mkdir -p, new folders with mode 0700. */
static int make_folders(char *path)
{
    for (char *p = path + 1;; p++) {
        if (*p == '/' || *p == '\0') {
            char was = *p;
            *p = '\0';
            if (mkdir(path, 0700) != 0 && errno != EEXIST) {
                app_error("the data folder %s cannot be made: %s", path, strerror(errno));
                return APP_FAILED;
            }
            *p = was;
            if (was == '\0') {
                return APP_OK;
            }
        }
    }
}

static int data_folder(const app_options *o, char *out, size_t cap)
{
    const char *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int n;
    if (o->data != NULL) {
        n = snprintf(out, cap, "%s", o->data);
    } else if (xdg != NULL && xdg[0] == '/') {
        n = snprintf(out, cap, "%s/tern", xdg);
    } else {
        n = snprintf(out, cap, "%s/.local/share/tern", home != NULL ? home : ".");
    }
    if (n <= 0 || (size_t)n >= cap) {
        app_error("the data folder's name is too long");
        return APP_FAILED;
    }
    return make_folders(out);
}

const char *app_data(const app_options *o)
{
    static char folder[FOLDER_MAX];
    bool keeps = o->data != NULL || (strcmp(o->command, "run") == 0 && o->key == NULL);
    return keeps && data_folder(o, folder, sizeof folder) == APP_OK ? folder : NULL;
}

int app_identity_file(const app_options *o, char *out, size_t cap)
{
    char folder[FOLDER_MAX];
    if (data_folder(o, folder, sizeof folder) != APP_OK) {
        return APP_FAILED;
    }
    snprintf(out, cap, "%s/identity.key", folder);
    return APP_OK;
}

/* A key that others can read is no secret: said, and no reason to stop. */
static void warn_of_readers(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0) {
        app_error("warning: others may read or write the key file %s; try: chmod 600 %s", path,
                  path);
    }
}

int app_identity(const app_options *o, tern_key **ret)
{
    char file[FOLDER_MAX + 16];
    const char *path = o->key;
    bool keeps = path == NULL && (strcmp(o->command, "run") == 0 || o->data != NULL);
    if (keeps && app_identity_file(o, file, sizeof file) != APP_OK) {
        return APP_FAILED;
    }
    if (keeps && access(file, F_OK) == 0) {
        path = file;
    }
    if (path != NULL) {
        warn_of_readers(path);
        return app_read_key(path, ret);
    }
    int code = tern_key_generate(TERN_KEY_ED25519, ret);
    if (code != 0) {
        app_error("no key can be made: %s", tern_code_text(code));
        return APP_FAILED;
    }
    if (keeps && app_write_key(file, *ret) != APP_OK) {
        tern_key_unref(*ret);
        return APP_FAILED;
    }
    return APP_OK;
}
