// Runs a fuzz target without a fuzzer: over its seeds, over every cut of them and over mutations drawn from a fixed
// seed. Catches what an ordinary build can catch; the real fuzzer (preset "fuzz") looks further.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

// Each run gets memory of exactly its size, so that reading past the end is seen by sanitizers and valgrind.
void run(const Bytes& input) {
  auto* exact = new uint8_t[input.size()];
  std::copy(input.begin(), input.end(), exact);
  LLVMFuzzerTestOneInput(exact, input.size());
  delete[] exact;
}

Bytes mutated(Bytes bytes, std::mt19937& random) {
  for (unsigned change = 1 + random() % 4; change > 0 && !bytes.empty(); --change) {
    const size_t at = random() % bytes.size();
    switch (random() % 5) {
      case 0: bytes[at] ^= static_cast<uint8_t>(1u << (random() % 8)); break;
      case 1: bytes[at] = static_cast<uint8_t>(random()); break;
      case 2:
        std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(at), std::min<size_t>(4, bytes.size() - at),
                    random() % 2 ? 0xFF : 0);
        break;
      case 3: bytes.erase(bytes.begin() + static_cast<ptrdiff_t>(at)); break;
      default: bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(at), bytes[random() % bytes.size()]);
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
    return 2;
  }
  std::vector<Bytes> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    std::ifstream in(entry.path(), std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  if (seeds.empty()) {
    std::fprintf(stderr, "no seeds in %s\n", argv[1]);
    return 1;
  }
  std::mt19937 random(20240501);
  size_t runs = 0;
  for (const Bytes& seed : seeds) {
    const size_t step = std::max<size_t>(1, seed.size() / 512);
    for (size_t length = 0; length <= seed.size(); length += step, ++runs)
      run(Bytes(seed.begin(), seed.begin() + static_cast<ptrdiff_t>(length)));
    for (int i = 0; i < 400; ++i, ++runs) run(mutated(seed, random));
    run(seed);
  }
  std::printf("%zu seeds, %zu inputs\n", seeds.size(), runs);
  return 0;
}
