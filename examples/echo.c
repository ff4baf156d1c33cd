/* `echo` serves; `echo ADDRESS TEXT` asks the server there. */
#include <stdio.h>
#include <string.h>
#include <tern/tern.h>

int main(int argc, char **argv)
{
    const char *id = "/echo/1.0.0";
    char buf[4096];
    tern_node *node;
    tern_pipe *pipe;
    tern_peer_id peer;
    tern_error error = {0};
    ssize_t n;

    if (tern_node_new(NULL, &node, &error) != 0 || tern_node_start(node) != 0) {
        return 1;
    }
    if (argc < 3 && tern_sync_serve(node, id, &error) == 0 &&
        tern_sync_listen(node, "/ip4/127.0.0.1/tcp/0", buf, sizeof buf, &error) == 0) {
        fprintf(stderr, "%s\n", buf); /* the address to ask at */
        while (tern_sync_accept(node, id, UINT32_MAX, &pipe, &error) == 0) {
            while ((n = tern_pipe_read(pipe, buf, sizeof buf, 5000)) > 0) {
                tern_pipe_write(pipe, buf, (size_t)n, 5000);
            }
            tern_pipe_end(pipe);
            tern_pipe_free(pipe);
        }
    } else if (argc == 3 && tern_sync_dial(node, argv[1], 5000, &peer, &error) == 0 &&
               tern_sync_open(node, &peer, id, &pipe, &error) == 0) {
        tern_pipe_write(pipe, argv[2], strlen(argv[2]), 5000);
        tern_pipe_end(pipe);
        while ((n = tern_pipe_read(pipe, buf, sizeof buf, 5000)) > 0) {
            fwrite(buf, 1, (size_t)n, stdout);
        }
        tern_pipe_free(pipe);
    }
    tern_node_free(node);
    return error.code != 0 ? fprintf(stderr, "%s\n", error.text), 1 : 0;
}
