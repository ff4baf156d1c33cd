/* tern features: the table of what this build supports. */
#include "app/app.h"

int app_show_features(app_options *o)
{
    const tern_feature *f;
    size_t n = tern_features(&f);
    if (o->args.count > 0) {
        return app_usage_error("features", "takes no argument '%s'", o->args.items[0]);
    }
    for (size_t i = 0; i < n; i++) {
        if (o->json) {
            app_emit(json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "event", "feature", "kind",
                               f[i].kind, "name", f[i].name, "id", f[i].id, "dial", f[i].dial,
                               "listen", f[i].listen));
        } else {
            app_say("%-10s %-14s %-6s %-6s %s", f[i].kind, f[i].name, f[i].dial ? "dial" : "-",
                    f[i].listen ? "listen" : "-", f[i].id);
        }
    }
    return APP_OK;
}
