/* The way to the backend: see igd.h. */
#include "loop/igd.h"

#include "loop/backend.h"

int tern_igd_start(tern_igd *igd)
{
    tern_loop *loop = igd->op.loop;
    return loop->ops->igd_start(igd);
}
