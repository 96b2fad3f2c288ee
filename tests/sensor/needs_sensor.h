#pragma once
// First line of every test that loads the sensor.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "sandbox.h"

#define NEEDS_SENSOR()                                                           \
  if (const std::string why = ::quell::capture::test::why_not(); !why.empty()) { \
    printf("SKIPPED: %s\n", why.c_str());                                        \
    GTEST_SKIP() << why;                                                         \
  }

// As NEEDS_SENSOR, for tests that count what a process does, to the last thread and call: TSan gives it a thread and
// calls of its own.
#if defined(__SANITIZE_THREAD__)
#define NEEDS_UNCHANGED_PROCESSES() GTEST_SKIP() << "TSan adds threads and calls to the processes that are watched"
#else
#define NEEDS_UNCHANGED_PROCESSES() NEEDS_SENSOR()
#endif
