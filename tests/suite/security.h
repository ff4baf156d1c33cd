/* The conformance suite of the security contract (core/secure.h). A new security layer is one line
 * in security_test.c. */
#ifndef TERN_TESTS_SECURITY_H
#define TERN_TESTS_SECURITY_H

#include "core/secure.h"

/* Runs it as a cmocka group; how many tests failed. */
int tern_suite_security(const tern_secure *secure);

#endif
