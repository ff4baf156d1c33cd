#include <stdio.h>
#include <string.h>
#include <tern/tern.h>

int main(void)
{
    tern_node *node;
    tern_error error;
    char bound[256];
    int code = tern_node_new(NULL, &node, &error);
    code = code == 0 ? tern_node_listen(node, "/ip4/127.0.0.1/tcp/0", bound, sizeof bound, &error)
                     : code;
    printf("tern %s: %s\n", tern_version(), code == 0 ? bound : error.text);
    tern_node_free(node);
    return code == 0 && strncmp(bound, "/ip4/127.0.0.1/tcp/", 19) == 0 ? 0 : 1;
}
