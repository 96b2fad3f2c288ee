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
