// Boost.JSON, compiled once for the tests that read vectors.
#include <boost/json/src.hpp>
