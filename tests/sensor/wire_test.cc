// The record layout as the C++ side sees it against the types in the compiled kernel object.
#include "bpf/wire.h"

#include <bpf/btf.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <map>
#include <string>

#include "model/event.h"

namespace quell {
namespace {

TEST(WireTest, ObjectAgrees) {
  btf* types = btf__parse(QUELL_SENSOR_OBJECT, nullptr);
  ASSERT_NE(types, nullptr) << QUELL_SENSOR_OBJECT;
  const int id = btf__find_by_name_kind(types, "quell_wire_record", BTF_KIND_STRUCT);
  ASSERT_GT(id, 0);
  const btf_type* record = btf__type_by_id(types, static_cast<uint32_t>(id));
  EXPECT_EQ(record->size, sizeof(quell_wire_record));
  std::map<std::string, size_t> offsets;
  const btf_member* member = btf_members(record);
  for (int i = 0; i < btf_vlen(record); ++i)
    offsets[btf__name_by_offset(types, member[i].name_off)] = member[i].offset / 8;
  const std::map<std::string, size_t> ours = {
      {"cpu", offsetof(quell_wire_record, cpu)},
      {"flags", offsetof(quell_wire_record, flags)},
      {"ts_ns", offsetof(quell_wire_record, ts_ns)},
      {"tid", offsetof(quell_wire_record, tid)},
      {"len", offsetof(quell_wire_record, len)},
      {"type", offsetof(quell_wire_record, type)},
      {"nparams_low", offsetof(quell_wire_record, nparams_low)},
      {"nparams_high", offsetof(quell_wire_record, nparams_high)},
  };
  EXPECT_EQ(offsets, ours);
  btf__free(types);
}

TEST(WireTest, TheEventStartsBehindThePrefix) {
  EXPECT_EQ(offsetof(quell_wire_record, ts_ns), kWirePrefix + offsetof(EventHeader, ts_ns));
  EXPECT_EQ(offsetof(quell_wire_record, tid), kWirePrefix + offsetof(EventHeader, tid));
  EXPECT_EQ(offsetof(quell_wire_record, len), kWirePrefix + offsetof(EventHeader, len));
  EXPECT_EQ(offsetof(quell_wire_record, type), kWirePrefix + offsetof(EventHeader, type));
  EXPECT_EQ(offsetof(quell_wire_record, nparams_low), kWirePrefix + offsetof(EventHeader, nparams));
  EXPECT_EQ(static_cast<size_t>(kWireLengths), kWirePrefix + sizeof(EventHeader));
  EXPECT_LE(kEventCodeCount, kMaxEventCodes);
}

}  // namespace
}  // namespace quell
