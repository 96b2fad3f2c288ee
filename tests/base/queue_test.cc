#include <gtest/gtest.h>

#include <thread>

#include "base/bounded_queue.h"

namespace quell {
using namespace std::chrono_literals;

TEST(BoundedQueue, CountsWhatItDrops) {
  BoundedQueue<int> queue({.capacity = 2, .when_full = WhenFull::drop_and_count});
  EXPECT_TRUE(queue.push(1));
  EXPECT_TRUE(queue.push(2));
  EXPECT_FALSE(queue.push(3));
  EXPECT_EQ(queue.dropped(), 1u);
  EXPECT_EQ(queue.pop(0ns), 1);
}

TEST(BoundedQueue, WaitsForRoomAndDrainsAfterClose) {
  BoundedQueue<int> queue({.capacity = 1, .when_full = WhenFull::wait});
  EXPECT_TRUE(queue.push(1));
  std::thread producer([&] {
    EXPECT_TRUE(queue.push(2));
    queue.close();
  });
  EXPECT_EQ(queue.pop(10s), 1);
  EXPECT_EQ(queue.pop(10s), 2);
  producer.join();
  EXPECT_EQ(queue.pop(10s), std::nullopt);
  EXPECT_TRUE(queue.closed_and_empty());
  EXPECT_FALSE(queue.push(3));
}

}  // namespace quell
