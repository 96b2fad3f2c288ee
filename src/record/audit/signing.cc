#include "record/audit/signing.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <optional>
#include <vector>

#include "base/assert.h"
#include "base/text.h"
#include "model/audit_json.h"
#include "record/audit/small_file.h"

namespace quell::record {
namespace {

constexpr size_t kKeyBytes = 32, kSignatureBytes = 64;

std::string signed_text(const AuditHead& head) {
  return fmt::format("quell-audit-head-1\n{}\n{}\n{}\n", head.seq, head.at_ns, head.hash);
}

std::optional<std::vector<uint8_t>> unhex(std::string_view text, size_t bytes) {
  if (text.size() != 2 * bytes) return std::nullopt;
  std::vector<uint8_t> out;
  for (size_t i = 0; i < text.size(); i += 2) {
    uint64_t value = 0;
    if (!parse_u64(text.substr(i, 2), value, 16)) return std::nullopt;
    out.push_back(static_cast<uint8_t>(value));
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<AuditKey> AuditKey::open_or_make(const std::string& folder) {
  const std::string path = folder + "/" + std::string(kAuditKeyFile);
  if (const auto text = read_small_file(path); !text && text.error().code == Code::not_found) {
    std::array<uint8_t, kKeyBytes> seed{};
    if (RAND_bytes(seed.data(), seed.size()) != 1)
      return Error{Code::io, "the system gives no random bytes for the key of the audit log", path};
    QUELL_CHECK(replace_file(path, hex(seed.data(), seed.size()) + "\n", 0600));
  }
  QUELL_TRY(AuditKey key, open(folder));
  const std::string public_path = folder + "/" + std::string(kAuditPublicKeyFile);
  const auto before = read_small_file(public_path);
  if (!before || trimmed(*before) != key.public_key_)
    QUELL_CHECK(replace_file(public_path, key.public_key_ + "\n", 0600));
  return key;
}

Result<AuditKey> AuditKey::open(const std::string& folder) {
  const std::string path = folder + "/" + std::string(kAuditKeyFile);
  QUELL_TRY(const std::string text, read_small_file(path));
  const auto seed = unhex(trimmed(text), kKeyBytes);
  if (!seed)
    return Error{Code::malformed,
                 "this is no key of an audit log (64 hex digits); put the right one in its place, or remove it for a "
                 "new one: what the old one signed can then no longer be checked",
                 path};
  AuditKey key;
  EVP_PKEY* handle = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed->data(), seed->size());
  std::array<uint8_t, kKeyBytes> public_bytes{};
  size_t length = public_bytes.size();
  if (handle == nullptr || EVP_PKEY_get_raw_public_key(handle, public_bytes.data(), &length) != 1)
    return Error{Code::unsupported, "the cryptographic library cannot do Ed25519", path};
  key.handle_ = std::shared_ptr<void>(handle, [](void* old) { EVP_PKEY_free(static_cast<EVP_PKEY*>(old)); });
  key.public_key_ = hex(public_bytes.data(), length);
  return key;
}

SignedAuditHead AuditKey::sign(const AuditHead& head) const {
  const std::string text = signed_text(head);
  std::array<uint8_t, kSignatureBytes> signature{};
  size_t length = signature.size();
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  const bool is_signed =
      context != nullptr &&
      EVP_DigestSignInit(context, nullptr, nullptr, nullptr, static_cast<EVP_PKEY*>(handle_.get())) == 1 &&
      EVP_DigestSign(context, signature.data(), &length, reinterpret_cast<const uint8_t*>(text.data()), text.size()) ==
          1;
  EVP_MD_CTX_free(context);
  QUELL_ASSERT(is_signed);
  return {head, public_key_, hex(signature.data(), length)};
}

Result<std::string> read_audit_public_key(const std::string& folder) {
  const std::string path = folder + "/" + std::string(kAuditPublicKeyFile);
  QUELL_TRY(const std::string text, read_small_file(path));
  if (!unhex(trimmed(text), kKeyBytes))
    return Error{Code::malformed, "this is no public key of an audit log (64 hex digits)", path};
  return std::string(trimmed(text));
}

bool is_signature_good(const SignedAuditHead& head) {
  const auto key = unhex(head.public_key, kKeyBytes);
  const auto signature = unhex(head.signature, kSignatureBytes);
  if (!key || !signature) return false;
  EVP_PKEY* handle = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key->data(), key->size());
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  const std::string text = signed_text(head.head);
  const bool is_good = handle != nullptr && context != nullptr &&
                       EVP_DigestVerifyInit(context, nullptr, nullptr, nullptr, handle) == 1 &&
                       EVP_DigestVerify(context, signature->data(), signature->size(),
                                        reinterpret_cast<const uint8_t*>(text.data()), text.size()) == 1;
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(handle);
  return is_good;
}

}  // namespace quell::record
