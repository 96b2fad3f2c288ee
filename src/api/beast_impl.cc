// The compiled half of Boost.Asio and Boost.Beast, in a file of its own because it takes a gigabyte to compile and
// never changes.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
