#include "capture/scap/input.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/assert.h"

namespace quell::capture::scap {
namespace {

constexpr size_t kWindow = 512 << 10;
constexpr size_t kRawChunk = 256 << 10;

class RawFile final : public RawBytes {
 public:
  RawFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~RawFile() override { ::close(fd_); }
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  Result<size_t> read(uint8_t* into, size_t room) override {
    for (;;) {
      const ssize_t got = ::read(fd_, into, room);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) return errno_error(errno, "cannot read the capture", path_);
    }
  }

 private:
  int fd_;
  std::string path_;
};

class RawMemory final : public RawBytes {
 public:
  explicit RawMemory(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  Result<size_t> read(uint8_t* into, size_t room) override {
    const size_t count = std::min(room, bytes_.size());
    if (count > 0) std::memcpy(into, bytes_.data(), count);
    bytes_ = bytes_.subspan(count);
    return count;
  }

 private:
  std::span<const uint8_t> bytes_;
};

}  // namespace

class Inflater {
 public:
  Inflater() {
    // 15 bits of window, +16: expect the gzip wrapper.
    QUELL_ASSERT(inflateInit2(&stream, 15 + 16) == Z_OK);
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  z_stream stream{};
};

Result<std::unique_ptr<RawBytes>> open_raw_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno_error(errno, "cannot open the capture", path);
  return std::unique_ptr<RawBytes>(std::make_unique<RawFile>(fd, path));
}

std::unique_ptr<RawBytes> raw_memory(std::span<const uint8_t> bytes) { return std::make_unique<RawMemory>(bytes); }

Input::Input(std::unique_ptr<RawBytes> raw) : raw_(std::move(raw)), raw_buffer_(kRawChunk), window_(kWindow) {}
Input::~Input() = default;

bool Input::refill(size_t count) {
  // The window grows only as bytes really arrive, so that a lying length field costs nothing.
  while (end_ - at_ < count) {
    if (at_ > 0 && (at_ == end_ || end_ == window_.size())) {
      std::memmove(window_.data(), window_.data() + at_, end_ - at_);
      base_ += at_;
      end_ -= at_;
      at_ = 0;
    }
    if (end_ == window_.size()) window_.resize(window_.size() * 2);
    const size_t got = pull(window_.data() + end_, window_.size() - end_);
    if (got == 0) return false;
    end_ += got;
  }
  return true;
}

bool Input::more_raw() {
  if (failure_) return false;
  if (raw_at_ == raw_end_) raw_at_ = raw_end_ = 0;
  if (raw_at_ > 0) {
    std::memmove(raw_buffer_.data(), raw_buffer_.data() + raw_at_, raw_end_ - raw_at_);
    raw_end_ -= raw_at_;
    raw_at_ = 0;
  }
  auto got = raw_->read(raw_buffer_.data() + raw_end_, raw_buffer_.size() - raw_end_);
  if (!got) {
    failure_ = std::move(got).error();
    return false;
  }
  raw_end_ += *got;
  return *got > 0;
}

size_t Input::pull(uint8_t* into, size_t room) {
  if (mode_ == Mode::undecided && !next_member()) mode_ = Mode::ended;
  // A loop, not recursion: a hostile file may hold thousands of empty gzip members in a row.
  while (mode_ == Mode::gzip)
    if (const size_t got = pull_gzip(into, room); got > 0) return got;
  if (mode_ == Mode::ended) return 0;
  if (raw_at_ < raw_end_) {
    const size_t count = std::min(room, raw_end_ - raw_at_);
    std::memcpy(into, raw_buffer_.data() + raw_at_, count);
    raw_at_ += count;
    return count;
  }
  auto got = raw_->read(into, room);
  if (got && *got > 0) return *got;
  if (!got) failure_ = std::move(got).error();
  mode_ = Mode::ended;
  return 0;
}

// Decides what the bytes at the raw position are: another gzip member, or plain bytes (captures may be joined with cat,
// one compressed and one not). Zeros behind a gzip member are padding of a tape or a block device.
bool Input::next_member() {
  const bool first = mode_ == Mode::undecided;
  for (;;) {
    if (!first)
      while (raw_at_ < raw_end_ && raw_buffer_[raw_at_] == 0) ++raw_at_;
    if (raw_end_ - raw_at_ >= 2) break;
    if (!more_raw()) break;
  }
  if (raw_at_ == raw_end_) return false;
  const uint8_t* head = raw_buffer_.data() + raw_at_;
  if (raw_end_ - raw_at_ < 2 || head[0] != 0x1f || head[1] != 0x8b) {
    mode_ = Mode::plain;
    return true;
  }
  mode_ = Mode::gzip;
  if (inflater_ == nullptr)
    inflater_ = std::make_unique<Inflater>();
  else
    inflateReset(&inflater_->stream);
  return true;
}

size_t Input::pull_gzip(uint8_t* into, size_t room) {
  z_stream& stream = inflater_->stream;
  stream.next_out = into;
  stream.avail_out = static_cast<uInt>(std::min<size_t>(room, 1u << 30));
  const uInt wanted = stream.avail_out;
  while (stream.avail_out == wanted) {
    if (raw_at_ == raw_end_ && !more_raw()) {
      if (!failure_) failure_ = Error{Code::truncated, "the gzip stream of the capture ends before its end mark", {}};
      mode_ = Mode::ended;
      return 0;
    }
    stream.next_in = raw_buffer_.data() + raw_at_;
    stream.avail_in = static_cast<uInt>(raw_end_ - raw_at_);
    const int status = inflate(&stream, Z_NO_FLUSH);
    raw_at_ = raw_end_ - stream.avail_in;
    const size_t got = wanted - stream.avail_out;
    if (status == Z_STREAM_END) {
      if (!next_member()) mode_ = Mode::ended;
      return got;
    }
    if (status != Z_OK && status != Z_BUF_ERROR) {
      const char* why = stream.msg != nullptr ? stream.msg : "unknown reason";
      failure_ = Error{Code::malformed, std::string("the gzip stream of the capture is damaged: ") + why, {}};
      mode_ = Mode::ended;
      return got;
    }
  }
  return wanted - stream.avail_out;
}

}  // namespace quell::capture::scap
