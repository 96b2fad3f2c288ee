#include "capture/scap/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>

#include "base/assert.h"

namespace quell::capture::scap {

class Deflater {
 public:
  Deflater() {
    // +16: the gzip wrapper. The fastest level: a recorder must not cost more than what it records.
    QUELL_ASSERT(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  }
  ~Deflater() { deflateEnd(&stream); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  z_stream stream{};
};

Result<std::unique_ptr<Output>> Output::create(const std::string& path, bool gzip) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return errno_error(errno, "cannot create the capture", path);
  return std::unique_ptr<Output>(new Output(fd, path, gzip));
}

Output::Output(int fd, std::string path, bool gzip) : fd_(fd), path_(std::move(path)) {
  if (gzip) {
    deflater_ = std::make_unique<Deflater>();
    compressed_.resize(kSettleBytes);
  }
}

Output::~Output() { static_cast<void>(close()); }

Result<void> Output::drain() {
  if (failure_) return *failure_;
  Result<void> done = deflater_ ? deflate_pending(Z_NO_FLUSH) : write_all(pending_.data(), pending_.size());
  pending_.clear();
  return done;
}

Result<void> Output::flush() {
  if (failure_) return *failure_;
  if (!deflater_) return drain();
  Result<void> done = deflate_pending(Z_SYNC_FLUSH);
  pending_.clear();
  return done;
}

Result<void> Output::close() {
  if (fd_ < 0) return {};
  Result<void> done;
  if (failure_)
    done = *failure_;
  else
    done = deflater_ ? deflate_pending(Z_FINISH) : write_all(pending_.data(), pending_.size());
  pending_.clear();
  if (::close(fd_) != 0 && done) done = errno_error(errno, "cannot finish the capture", path_);
  fd_ = -1;
  return done;
}

Result<void> Output::deflate_pending(int mode) {
  z_stream& stream = deflater_->stream;
  stream.next_in = pending_.data();
  stream.avail_in = static_cast<uInt>(pending_.size());
  for (;;) {
    stream.next_out = compressed_.data();
    stream.avail_out = static_cast<uInt>(compressed_.size());
    const int status = ::deflate(&stream, mode);
    QUELL_ASSERT(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR);
    QUELL_CHECK(write_all(compressed_.data(), compressed_.size() - stream.avail_out));
    // Room left over means that deflate had nothing more to say.
    if (status == Z_STREAM_END || (mode != Z_FINISH && stream.avail_out > 0)) return {};
  }
}

Result<void> Output::write_all(const uint8_t* bytes, size_t count) {
  while (count > 0) {
    const ssize_t put = ::write(fd_, bytes, count);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      const int number = errno;
      const char* remedy = number == ENOSPC || number == EDQUOT
                               ? "; free space or record to another disk. What was written so far is readable"
                               : "";
      failure_ = Error{Code::io, fmt::format("cannot write the capture: {}{}", std::strerror(number), remedy), path_};
      return *failure_;
    }
    bytes += put;
    count -= static_cast<size_t>(put);
    file_bytes_ += static_cast<uint64_t>(put);
  }
  return {};
}

}  // namespace quell::capture::scap
