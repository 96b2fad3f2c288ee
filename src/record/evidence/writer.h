#pragma once
// One object of evidence in the making: a file that nobody else opens, hashed as it is written.
#include <memory>
#include <string>

#include "base/sha256.h"
#include "model/evidence_store.h"

namespace quell::record {

class EvidenceFiles;

class EvidenceFileWriter final : public EvidenceWriter {
 public:
  static Result<std::unique_ptr<EvidenceWriter>> open(EvidenceFiles& files, const EvidenceRequest& request);
  ~EvidenceFileWriter() override;
  Result<void> write(std::span<const uint8_t> bytes) override;
  Result<uint64_t> copy_from(int fd, uint64_t limit) override;
  void note_error(std::string what) override;
  void note_skipped(std::string what) override;
  Result<EvidenceItem> finish() override;

 private:
  EvidenceFileWriter(EvidenceFiles& files, EvidenceItem item, std::string part, int fd);
  Error failed(Error error);

  EvidenceFiles& files_;
  EvidenceItem item_;
  const std::string part_;
  int fd_;
  Sha256 sum_;
  uint64_t reserved_ = 0;
  std::optional<Error> failed_;
};

}  // namespace quell::record
