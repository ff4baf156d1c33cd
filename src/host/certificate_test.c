/* A node's certificate from files, in a simulated world: read at the start, read again when the
 * files change, kept when what they hold is of no use. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim/nodes.h"
#include "suite/web_cert.h"

static char folder[] = "tern_cert_XXXXXX"; /* where the test runs */
static char chain_path[64], key_path[64], ca_path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(chain_path, sizeof chain_path, "%s/chain.pem", folder);
    snprintf(key_path, sizeof key_path, "%s/key.pem", folder);
    snprintf(ca_path, sizeof ca_path, "%s/ca.pem", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(chain_path);
    unlink(key_path);
    unlink(ca_path);
    rmdir(folder);
    return tern_mem_alive() == 0 ? 0 : tern_test_leak();
}

static void write_file(const char *path, const char *text)
{
    char other[80];
    snprintf(other, sizeof other, "%s.new", path);
    FILE *f = fopen(other, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(other, path), 0); /* another file, whatever the clock's grain */
}

typedef struct world {
    sim_nodes w;
    sim_node *server;
    char addr[256];
} world;

static void open_world(world *x, const web_cert *cert)
{
    tern_options options;
    tern_error error;
    write_file(chain_path, cert->chain);
    write_file(key_path, cert->key);
    sim_nodes_init(&x->w, 50 * TERN_MS);
    tern_options_init(&options);
    options.tls_cert = chain_path;
    options.tls_key = key_path;
    x->server = sim_nodes_add(&x->w, "10.0.0.2", &options);
    if (tern_node_listen(x->server->node, "/ip4/10.0.0.2/tcp/4001/tls/ws", x->addr, sizeof x->addr,
                         &error) != 0) {
        fail_msg("%s", error.text);
    }
}

/* Whether a fresh client that trusts `ca` gets through; round trips until the first ping answer. */
static bool reaches(world *x, const char *ip, const web_cert *ca, unsigned *ret_round_trips)
{
    tern_options options;
    sim_dial d;
    write_file(ca_path, ca->chain);
    tern_options_init(&options);
    options.tls_ca = ca_path;
    sim_node *client = sim_nodes_add(&x->w, ip, &options);
    uint64_t start = sim_nodes_now(&x->w);
    sim_nodes_dial_one(client, x->addr, &d);
    bool ok = d.conn != NULL;
    if (ok && ret_round_trips != NULL) {
        sim_ping p;
        assert_string_equal(tern_conn_get_facts(d.conn)->transport, "wss");
        sim_nodes_ping(client, d.conn, &p);
        assert_int_equal(p.error.code, 0);
        *ret_round_trips = (unsigned)((p.at - start) / (100 * TERN_MS));
    }
    sim_node_end(client);
    return ok;
}

static void five_round_trips(void **state)
{
    world x;
    web_cert cert;
    unsigned trips = 0;
    (void)state;
    web_cert_make(&cert, "IP:10.0.0.2", 0, 0);
    open_world(&x, &cert);
    assert_true(reaches(&x, "10.0.0.1", &cert, &trips));
    assert_int_equal(trips, 5);
    sim_nodes_clear(&x.w);
    web_cert_clear(&cert);
}

static void changed_files_are_taken_over(void **state)
{
    world x;
    web_cert old, new;
    (void)state;
    web_cert_make(&old, "IP:10.0.0.2", 0, 0);
    web_cert_make(&new, "IP:10.0.0.2", 0, 0);
    open_world(&x, &old);
    const tern_counters *count = sim_counters(x.server);
    sim_nodes_run(&x.w, 30 * TERN_SEC);
    assert_int_equal(count->certificate_reloads + count->certificate_failures, 0);

    write_file(chain_path, new.chain); /* the key does not fit yet */
    sim_nodes_run(&x.w, 30 * TERN_SEC);
    assert_int_equal(count->certificate_failures, 1);
    assert_true(reaches(&x, "10.0.0.11", &old, NULL));

    write_file(key_path, new.key);
    sim_nodes_run(&x.w, 30 * TERN_SEC);
    assert_int_equal(count->certificate_reloads, 1);
    assert_int_equal(count->certificate_failures, 1);
    assert_false(reaches(&x, "10.0.0.12", &old, NULL));
    assert_true(reaches(&x, "10.0.0.13", &new, NULL));

    write_file(chain_path, "half a cert");
    write_file(key_path, "");
    sim_nodes_run(&x.w, 30 * TERN_SEC);
    assert_int_equal(count->certificate_failures, 2);
    unlink(chain_path);
    sim_nodes_run(&x.w, 30 * TERN_SEC);
    assert_true(reaches(&x, "10.0.0.14", &new, NULL));
    sim_nodes_clear(&x.w);
    web_cert_clear(&old);
    web_cert_clear(&new);
}

static void a_certificate_may_be_given(void **state)
{
    world x;
    web_cert old, new;
    tern_error error;
    (void)state;
    web_cert_make(&old, "IP:10.0.0.2", 0, 0);
    web_cert_make(&new, "IP:10.0.0.2", 0, 0);
    open_world(&x, &old);
    assert_int_equal(tern_node_set_certificate(x.server->node, new.chain, old.key, &error),
                     TERN_E_INVALID);
    assert_true(reaches(&x, "10.0.0.11", &old, NULL));
    assert_int_equal(tern_node_set_certificate(x.server->node, new.chain, new.key, &error), 0);
    assert_true(reaches(&x, "10.0.0.12", &new, NULL));
    sim_nodes_clear(&x.w);
    web_cert_clear(&old);
    web_cert_clear(&new);
}

static void files_that_do_not_do(void **state)
{
    tern_sim *sim;
    tern_loop *loop;
    web_cert a, b;
    (void)state;
    web_cert_make(&a, "IP:10.0.0.2", 0, 0);
    web_cert_make(&b, "IP:10.0.0.2", 0, 0);
    assert_int_equal(tern_sim_new(1, &sim), 0);
    assert_int_equal(tern_sim_host(sim, "10.0.0.1", &loop), 0);
    const struct {
        const char *chain, *key,
            *ca; /* what the files hold; NULL = no such file, "-" = not given */
        int code;
        const char *about;
    } rows[] = {
        {NULL, a.key, "-", TERN_E_IO, "chain.pem"},
        {a.chain, NULL, "-", TERN_E_IO, "key.pem"},
        {a.chain, b.key, "-", TERN_E_INVALID, "key"},
        {"x", a.key, "-", TERN_E_INVALID, "chain"},
        {a.chain, "-", "-", TERN_E_INVALID, "go together"},
        {"-", "-", NULL, TERN_E_IO, "ca.pem"},
        {"-", "-", "no", TERN_E_INVALID, "ca.pem"},
        {"-", "-", a.key, TERN_E_INVALID, "ca.pem"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *texts[] = {rows[i].chain, rows[i].key, rows[i].ca};
        const char *paths[] = {chain_path, key_path, ca_path};
        tern_options options;
        tern_node *node = NULL;
        tern_error error = {0};
        tern_options_init(&options);
        const char **fields[] = {&options.tls_cert, &options.tls_key, &options.tls_ca};
        for (size_t k = 0; k < 3; k++) {
            unlink(paths[k]);
            if (texts[k] == NULL || strcmp(texts[k], "-") != 0) {
                *fields[k] = paths[k];
            }
            if (*fields[k] != NULL && texts[k] != NULL) {
                write_file(paths[k], texts[k]);
            }
        }
        assert_int_equal(tern_node_new_on(loop, &options, &node, &error), rows[i].code);
        assert_non_null(strstr(error.text, rows[i].about));
        tern_sim_run(sim, tern_sim_now(sim) + TERN_SEC, NULL, NULL);
    }
    tern_sim_free(sim);
    web_cert_clear(&a);
    web_cert_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_round_trips),
        cmocka_unit_test(changed_files_are_taken_over),
        cmocka_unit_test(a_certificate_may_be_given),
        cmocka_unit_test(files_that_do_not_do),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
