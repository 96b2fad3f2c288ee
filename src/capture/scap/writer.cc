#include "capture/scap/writer.h"

#include <fmt/format.h>

#include "capture/scap/event_block.h"
#include "capture/scap/output.h"
#include "capture/scap/table_writer.h"
#include "model/event.h"

namespace quell::capture {
namespace {

using namespace scap;

class FileWriter final : public ScapWriter {
 public:
  explicit FileWriter(std::unique_ptr<Output> output) : output_(std::move(output)) {}

  Result<void> write_snapshot(const Snapshot& snapshot) {
    Result<void> settled;
    const bool whole = write_tables(snapshot, output_->pending(), [&] {
      settled = output_->settle();
      return settled.has_value();
    });
    return whole ? Result<void>{} : settled;
  }

  Result<void> append(std::span<const uint8_t> event, uint16_t cpu, bool state_only) override {
    Event located;
    if (auto parsed = Event::parse(event, located); !parsed)
      return Error{Code::invalid_argument, "not an event that a capture can hold: " + parsed.error().message, {}};
    if (located.bytes().size() != event.size())
      return Error{Code::invalid_argument, "the event's own length is not its size", {}};
    const size_t total = event_block_size(event.size(), state_only);
    if (total > kMaxEventBlock)
      return Error{Code::limit,
                   fmt::format("an event of {} bytes is more than a capture takes ({})", event.size(), kMaxEventBlock),
                   {}};

    std::vector<uint8_t>& out = output_->pending();
    const size_t start = out.size();
    out.resize(start + total);
    put_event_block(event, cpu, state_only, out.data() + start);
    ++event_count_;
    return output_->settle();
  }

  Result<void> flush() override { return output_->flush(); }
  Result<void> close() override { return output_->close(); }
  uint64_t file_bytes() const override { return output_->file_bytes(); }
  uint64_t event_count() const override { return event_count_; }

 private:
  std::unique_ptr<Output> output_;
  uint64_t event_count_ = 0;
};

}  // namespace

Result<std::unique_ptr<ScapWriter>> ScapWriter::create(const std::string& path, const Snapshot& snapshot,
                                                       Options options) {
  QUELL_TRY(auto output, Output::create(path, options.gzip));
  auto writer = std::make_unique<FileWriter>(std::move(output));
  QUELL_CHECK(writer->write_snapshot(snapshot));
  return std::unique_ptr<ScapWriter>(std::move(writer));
}

}  // namespace quell::capture
