#pragma once
// The .scap container: block types, layouts' fixed sizes and the bounds that a reader and a writer of ours keep.
#include <cstddef>
#include <cstdint>

namespace quell::capture::scap {

/// Each block: u32 type, u32 total length, body, zero padding to 4, u32 total length again.
inline constexpr size_t kBlockHead = 8, kBlockTail = 4, kBlockFrame = kBlockHead + kBlockTail;

inline constexpr uint32_t kSectionHeader = 0x0A0D0D0A;
inline constexpr uint32_t kByteOrderMagic = 0x1A2B3C4D, kByteOrderSwapped = 0x4D3C2B1A;
inline constexpr uint16_t kMajorVersion = 1, kMinorVersion = 2;
inline constexpr size_t kSectionHeaderBody = 16;

inline constexpr uint32_t kMachineInfo = 0x201, kMachineInfoOld = 0x8002ABCD;
inline constexpr size_t kMachineInfoBody = 180, kHostNameBytes = 128;

inline constexpr uint32_t kProcessListV1 = 0x202, kProcessListV1Old = 0x8000ABCD;
inline constexpr uint32_t kProcessListV2 = 0x207, kProcessListV2Old = 0x8013ABCD;
inline constexpr uint32_t kProcessListV3 = 0x209, kProcessListV3Old = 0x8014ABCD;
inline constexpr uint32_t kProcessListV4 = 0x210, kProcessListV9 = 0x215;  // V4 to V9 are consecutive

inline constexpr uint32_t kFdListV1 = 0x203, kFdListV1Old = 0x8001ABCD, kFdListV2 = 0x218;
inline constexpr uint32_t kInterfaceListV1 = 0x205, kInterfaceListV1Old = 0x8011ABCD, kInterfaceListV2 = 0x219;
inline constexpr uint32_t kUserListV1 = 0x206, kUserListV1Old = 0x8012ABCD, kUserListV2 = 0x220;

inline constexpr uint32_t kEventV1 = 0x204, kEventV1Old = 0x8010ABCD, kEventFlagsV1 = 0x208;
inline constexpr uint32_t kEventV2 = 0x216, kEventFlagsV2 = 0x217;
inline constexpr uint32_t kEventV2Large = 0x221, kEventFlagsV2Large = 0x222;
inline constexpr uint32_t kEventFlagStateOnly = 1;  // bit 0 of the flags word of an "event with flags"
inline constexpr size_t kSmallBody = 65536;         // a bigger event body needs the large block types
inline constexpr size_t kEventHeaderV1 = 22;        // the event header without its number of parameters

/// Text limits of the tables; older readers refuse longer ones.
inline constexpr size_t kMaxPath = 1024, kMaxList = 4096, kMaxUserText = 255;

/// What one file may make us hold. Far above what a capture of a busy machine needs.
inline constexpr size_t kMaxTableBlock = 512u << 20;
inline constexpr size_t kMaxEventBlock = 64u << 20;
inline constexpr size_t kMaxThreads = 262144, kMaxFds = 2u << 20, kMaxUsers = 1u << 18, kMaxInterfaces = 4096;

inline constexpr size_t padded4(size_t size) { return (size + 3) & ~size_t{3}; }

}  // namespace quell::capture::scap
