/* Tests of names in the real loop: literals, localhost, invalid names, cancelling, deadlines, and
 * the answers of a name server of our own on loopback, which is silent about names it does not
 * know. */
#include "loop/uv_test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/dns.h"

static tern_dns dns;
static unsigned done;
static int code;

static void on_done(tern_op *op, const tern_error *error)
{
    assert_ptr_equal(op, &dns.op);
    done++;
    code = error->code;
    if (code != 0) {
        assert_string_equal(error->layer, "dns");
        assert_true(error->text[0] != '\0');
    }
    tern_loop_stop(loop);
}

static int start(enum tern_dns_kind kind, const char *name, uint64_t deadline)
{
    done = 0;
    tern_op_init(&dns.op, loop, deadline, on_done);
    return tern_dns_start(&dns, kind, name);
}

static int look_up(enum tern_dns_kind kind, const char *name)
{
    assert_int_equal(start(kind, name, TERN_NEVER), 0);
    assert_int_equal(done, 0); /* never from inside the call */
    run();
    assert_int_equal(done, 1);
    return code;
}

static void literals_are_answered_at_once(void **state)
{
    (void)state;
    tern_endpoint expected;
    assert_int_equal(look_up(TERN_DNS_A, "192.0.2.7"), 0);
    tern_endpoint_parse_ip(&expected, "192.0.2.7");
    assert_int_equal(dns.addr_count, 1);
    assert_true(tern_endpoint_eq(&dns.addrs[0], &expected));
    assert_int_equal(look_up(TERN_DNS_AAAA, "2001:db8::7"), 0);
    assert_int_equal(dns.addrs[0].family, 6);
    assert_int_equal(look_up(TERN_DNS_AAAA, "192.0.2.7"), TERN_E_NOT_FOUND);
    assert_int_equal(look_up(TERN_DNS_A, "2001:db8::7"), TERN_E_NOT_FOUND);
    tern_dns_clear(&dns);
    assert_int_equal(dns.addr_count, 0);
}

static void localhost_is_this_machine(void **state)
{
    (void)state;
    assert_int_equal(look_up(TERN_DNS_A, "localhost"), 0);
    assert_true(dns.addr_count >= 1);
    assert_true(tern_endpoint_is_loopback(&dns.addrs[0]));
    assert_int_equal(dns.addrs[0].family, 4);
    assert_int_equal(dns.addrs[0].port, 0);
    tern_dns_clear(&dns);
}

static void invalid_names_are_the_callers_mistake(void **state)
{
    (void)state;
    static char longest[256];
    memset(longest, 'a', 254);
    for (size_t i = 50; i < 254; i += 50) {
        longest[i] = '.';
    }
    static const char *const names[] = {"",          ".",         ".com",    "a b",
                                        "tab\there", "new\nline", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(start(TERN_DNS_TXT, names[i], TERN_NEVER), TERN_E_INVALID);
        assert_false(tern_op_running(&dns.op));
    }
    assert_int_equal(start(TERN_DNS_A, longest, TERN_NEVER), TERN_E_INVALID);
    /* a label over 63 bytes passes here; c-ares finds it before it asks anybody */
    memset(longest, 'a', 70);
    longest[70] = '\0';
    assert_int_equal(look_up(TERN_DNS_TXT, longest), TERN_E_NOT_FOUND);
    assert_int_equal(look_up(TERN_DNS_TXT, "a..b"), TERN_E_NOT_FOUND);
}

static void cancelled_look_ups_are_silent(void **state)
{
    (void)state;
    static const enum tern_dns_kind kinds[] = {TERN_DNS_A, TERN_DNS_AAAA, TERN_DNS_TXT};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(start(kinds[i], "name.invalid", TERN_NEVER), 0);
        tern_op_cancel(&dns.op);
        memset(&dns, 0xa5, sizeof dns); /* ours again */
        tern_loop_run(loop);            /* and nothing keeps the loop */
        assert_int_equal(done, 0);
    }
    /* cancelled after the answer, before it was told */
    assert_int_equal(start(TERN_DNS_A, "192.0.2.7", TERN_NEVER), 0);
    tern_op_cancel(&dns.op);
    tern_loop_run(loop);
    assert_int_equal(done, 0);
}

static void one_cancelled_of_two_leaves_the_other(void **state)
{
    (void)state;
    static tern_dns other;
    tern_op_init(&other.op, loop, TERN_NEVER, on_done);
    assert_int_equal(tern_dns_start(&other, TERN_DNS_TXT, "name.invalid"), 0);
    assert_int_equal(start(TERN_DNS_A, "localhost", TERN_NEVER), 0);
    tern_op_cancel(&other.op);
    run();
    assert_int_equal(done, 1);
    assert_int_equal(code, 0);
    tern_dns_clear(&dns);
}

static void the_deadline_ends_a_look_up(void **state)
{
    (void)state;
    /* Without a server the answer is a failure, now or at the deadline; with one it is NOT_FOUND.
     */
    assert_int_equal(start(TERN_DNS_A, "name.invalid", tern_loop_now(loop)), 0);
    run();
    assert_int_equal(done, 1);
    assert_int_not_equal(code, 0);
}

static void closing_ends_look_ups_under_way(void **state)
{
    (void)state;
    assert_int_equal(start(TERN_DNS_TXT, "name.invalid", TERN_NEVER), 0);
    tern_loop_free(loop);
    loop = NULL;
}

static void without_memory_a_look_up_fails(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 2; n++) {
        tern_mem_fail_at(n, 0);
        assert_int_equal(start(TERN_DNS_A, "name.invalid", TERN_NEVER), TERN_E_NOMEM);
        tern_mem_fail_at(0, 0);
        assert_false(tern_op_running(&dns.op));
    }
}

/* --- a name server of our own --- */

/* Question's name -> answer records (type, class, TTL and length before each; names by pointer). */
typedef struct answer {
    const char *label;
    uint16_t type;
    unsigned count;
    const char *data;
    uint16_t len;
    uint8_t rcode;
} answer;

static const answer answers[] = {
    {"joined", 16, 1,
     "\x08"
     "dnsaddr="
     "\x0e"
     "/ip4/192.0.2.1"
     "\x00",
     25, 0},
    {"many", 16, 120, "\x01x", 2, 0},
    {"nul", 16, 1,
     "\x03"
     "a\0b",
     4, 0},
    {"four", 1, 3, "\xc0\x00\x02\x01", 4, 0},
    {"lots", 1, 60, "\xc0\x00\x02\x01", 4, 0},
    {"six", 28, 1, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16, 0},
    {"none", 0, 0, NULL, 0, 0},
    {"wrong", 0, 0, NULL, 0, 3},
    {"broken", 16, 1,
     "\x40"
     "a",
     2, 0}, /* a part longer than its record */
};

static int server = -1, tcp_server = -1;
static pthread_t server_thread;

/* Makes the answer to the query in buf[n] in place; 0 = stay silent. */
static size_t make_answer(uint8_t *buf, size_t n, size_t cap)
{
    const answer *found = NULL;
    size_t label = n > 12 ? buf[12] : 0;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        if (label == strlen(answers[i].label) && memcmp(buf + 13, answers[i].label, label) == 0) {
            found = &answers[i];
        }
    }
    if (found == NULL) {
        return 0;
    }
    size_t at = 12;
    while (at < n && buf[at] != 0) {
        at += 1u + buf[at];
    }
    at += 5; /* the root, type and class; what follows (EDNS) is cut */
    uint16_t type = tern_get16(buf + at - 4);
    unsigned count = type == found->type ? found->count : 0;
    tern_put16(buf + 2, (uint16_t)(0x8180 | found->rcode));
    tern_put16(buf + 6, (uint16_t)count);
    tern_put16(buf + 8, 0);
    tern_put16(buf + 10, 0);
    for (unsigned i = 0; i < count && at + 12 + found->len <= cap; i++) {
        tern_put16(buf + at, 0xc00c);
        tern_put16(buf + at + 2, found->type);
        tern_put16(buf + at + 4, 1);
        tern_put32(buf + at + 6, 60);
        tern_put16(buf + at + 10, found->len);
        memcpy(buf + at + 12, found->data, found->len);
        at += 12u + found->len;
    }
    return at;
}

/* One query by UDP; an answer too long for it says so, and the asker comes by TCP. An empty
 * datagram ends the thread. */
static bool serve_udp(void)
{
    uint8_t buf[4096];
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    ssize_t n = recvfrom(server, buf, sizeof buf, 0, (struct sockaddr *)&from, &size);
    if (n <= 0) {
        return false;
    }
    size_t k = make_answer(buf, (size_t)n, sizeof buf);
    if (k > 1232) {
        buf[2] |= 2;
        tern_put16(buf + 6, 0);
        k = 12 + (size_t)(strlen((char *)buf + 12) + 5);
    }
    if (k > 0) {
        sendto(server, buf, k, 0, (struct sockaddr *)&from, size);
    }
    return true;
}

static void serve_tcp(void)
{
    uint8_t buf[4096];
    int fd = accept(tcp_server, NULL, NULL);
    if (recv(fd, buf, 2, MSG_WAITALL) == 2) {
        size_t n = tern_get16(buf);
        if (n <= sizeof buf - 2 && recv(fd, buf + 2, n, MSG_WAITALL) == (ssize_t)n) {
            size_t k = make_answer(buf + 2, n, sizeof buf - 2);
            tern_put16(buf, (uint16_t)k);
            send(fd, buf, k + 2, MSG_NOSIGNAL);
        }
    }
    close(fd);
}

static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        struct pollfd fds[2] = {{.fd = server, .events = POLLIN},
                                {.fd = tcp_server, .events = POLLIN}};
        poll(fds, 2, -1);
        if (fds[0].revents != 0 && !serve_udp()) {
            return NULL;
        }
        if (fds[1].revents != 0) {
            serve_tcp();
        }
    }
}

/* Both sockets on one free port. */
static bool open_server(struct sockaddr_in *ret)
{
    struct sockaddr *any = (struct sockaddr *)ret;
    socklen_t size = sizeof *ret;
    *ret = (struct sockaddr_in){.sin_family = AF_INET};
    ret->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    tcp_server = socket(AF_INET, SOCK_STREAM, 0);
    server = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(tcp_server, any, size) == 0 && listen(tcp_server, 5) == 0 &&
        getsockname(tcp_server, any, &size) == 0 && bind(server, any, size) == 0) {
        return true;
    }
    close(tcp_server);
    close(server);
    return false;
}

static int server_setup(void **state)
{
    struct sockaddr_in address;
    int tries = 10; /* somebody else's UDP socket may be on the port we got */
    while (!open_server(&address)) {
        if (--tries == 0) {
            return -1;
        }
    }
    char list[32];
    snprintf(list, sizeof list, "127.0.0.1:%u", ntohs(address.sin_port));
    if (loop_setup(state) != 0 || tern_loop_set_name_servers(loop, list) != 0) {
        return -1;
    }
    return pthread_create(&server_thread, NULL, serve, NULL);
}

static int server_teardown(void **state)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    getsockname(server, (struct sockaddr *)&address, &size);
    sendto(server, "", 0, 0, (struct sockaddr *)&address, size); /* ends the thread */
    pthread_join(server_thread, NULL);
    close(server);
    close(tcp_server);
    return loop_teardown(state);
}

static void txt_parts_are_joined(void **state)
{
    (void)state;
    assert_int_equal(look_up(TERN_DNS_TXT, "joined.example."), 0);
    assert_int_equal(dns.txt_count, 1);
    assert_string_equal(dns.txt[0], "dnsaddr=/ip4/192.0.2.1");
    tern_dns_clear(&dns);
    assert_int_equal(look_up(TERN_DNS_TXT, "nul.example."), 0);
    assert_int_equal(dns.txt_count, 1);
    assert_string_equal(dns.txt[0], "");
    tern_dns_clear(&dns);
}

static void results_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(look_up(TERN_DNS_TXT, "many.example."), 0);
    assert_int_equal(dns.txt_count, TERN_DNS_TXT_MAX);
    tern_dns_clear(&dns);
    assert_int_equal(look_up(TERN_DNS_A, "lots.example."), 0);
    assert_int_equal(dns.addr_count, TERN_DNS_MAX);
    tern_dns_clear(&dns);
}

static void addresses_of_either_family(void **state)
{
    (void)state;
    tern_endpoint expected;
    assert_int_equal(look_up(TERN_DNS_A, "four.example."), 0);
    assert_int_equal(dns.addr_count, 3);
    tern_endpoint_parse_ip(&expected, "192.0.2.1");
    assert_true(tern_endpoint_eq(&dns.addrs[2], &expected));
    assert_int_equal(look_up(TERN_DNS_AAAA, "six.example."), 0);
    assert_int_equal(dns.addr_count, 1);
    tern_endpoint_parse_ip(&expected, "2001:db8::1");
    assert_true(tern_endpoint_eq(&dns.addrs[0], &expected));
}

static void failures_have_names(void **state)
{
    (void)state;
    assert_int_equal(look_up(TERN_DNS_A, "six.example."), TERN_E_NOT_FOUND);
    assert_int_equal(look_up(TERN_DNS_TXT, "none.example."), TERN_E_NOT_FOUND);
    assert_int_equal(look_up(TERN_DNS_TXT, "wrong.example."), TERN_E_NOT_FOUND);
    assert_int_equal(look_up(TERN_DNS_A, "wrong.example."), TERN_E_NOT_FOUND);
    assert_int_equal(look_up(TERN_DNS_TXT, "broken.example."), TERN_E_MALFORMED);
    assert_int_equal(start(TERN_DNS_TXT, "silent.example.", tern_loop_now(loop) + 20 * TERN_MS), 0);
    run();
    assert_int_equal(done, 1);
    assert_int_equal(code, TERN_E_TIMEOUT);
    tern_loop_run(loop); /* nothing is left to wait for */
    assert_int_equal(tern_loop_set_name_servers(loop, "not a server"), TERN_E_INVALID);
}

static void txt_without_memory_fails(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t n = 2; n < 5; n++) { /* the first allocation is the query's */
        assert_int_equal(start(TERN_DNS_TXT, "joined.example.", TERN_NEVER), 0);
        tern_mem_fail_at(n, 0);
        run();
        tern_mem_fail_at(0, 0);
        failed += code == TERN_E_NOMEM;
        assert_true(code == 0 || code == TERN_E_NOMEM);
        tern_dns_clear(&dns);
    }
    assert_true(failed > 0);
}

static void a_cancelled_look_up_leaves_the_next_alone(void **state)
{
    (void)state;
    assert_int_equal(start(TERN_DNS_TXT, "silent.example.", TERN_NEVER), 0);
    tern_op_cancel(&dns.op);
    assert_int_equal(look_up(TERN_DNS_TXT, "joined.example."), 0);
    tern_dns_clear(&dns);
}

#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, server_setup, server_teardown)
#define TEST(name)        cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(literals_are_answered_at_once),
        TEST(localhost_is_this_machine),
        TEST(invalid_names_are_the_callers_mistake),
        TEST(cancelled_look_ups_are_silent),
        TEST(one_cancelled_of_two_leaves_the_other),
        TEST(the_deadline_ends_a_look_up),
        TEST(closing_ends_look_ups_under_way),
        TEST(without_memory_a_look_up_fails),
        SERVER_TEST(txt_parts_are_joined),
        SERVER_TEST(results_are_bounded),
        SERVER_TEST(addresses_of_either_family),
        SERVER_TEST(failures_have_names),
        SERVER_TEST(txt_without_memory_fails),
        SERVER_TEST(a_cancelled_look_up_leaves_the_next_alone),
    };
    return TERN_TEST_MAIN(tests);
}
