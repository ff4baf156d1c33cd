/* The main of a fuzz target that is built without a fuzzer: feeds it every file under the files and
 * folders that are given, each in an allocation of exactly its size so that the sanitizers see a
 * byte too far. Exit status 0 when there was at least one and all were taken. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { INPUT_MAX = 16 << 20, PATH_ROOM = 4096 };

static size_t fed;

static int feed(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(size == 0 ? 1 : size);
    int status = -1;
    if (f != NULL && data != NULL && fread(data, 1, size, f) == size) {
        LLVMFuzzerTestOneInput(data, size);
        fed++;
        status = 0;
    } else {
        fprintf(stderr, "%s cannot be read\n", path);
    }
    free(data);
    if (f != NULL) {
        fclose(f);
    }
    return status;
}

static int walk(const char *path)
{
    struct stat about;
    int status = 0;
    if (stat(path, &about) != 0 || about.st_size > INPUT_MAX) {
        fprintf(stderr, "%s is not there, or too large\n", path);
        return -1;
    }
    if (!S_ISDIR(about.st_mode)) {
        return feed(path, (size_t)about.st_size);
    }
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder != NULL && status == 0 && (entry = readdir(folder)) != NULL) {
        char inner[PATH_ROOM];
        if (entry->d_name[0] != '.') {
            snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
            status = walk(inner);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return folder != NULL ? status : -1;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (walk(argv[i]) != 0) {
            return 1;
        }
    }
    printf("%zu inputs\n", fed);
    return fed > 0 ? 0 : 1;
}
