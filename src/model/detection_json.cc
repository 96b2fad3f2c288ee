#include "model/detection_json.h"

#include <fmt/format.h>

#include <cstring>
#include <ctime>

#include "base/moment.h"
#include "base/text.h"

namespace quell {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

void write_value(JsonWriter& out, const OutputValue& value) {
  struct Visitor {
    JsonWriter& out;
    void operator()(std::monostate) const { out.null(); }
    void operator()(int64_t number) const { out.number(number); }
    void operator()(uint64_t number) const { out.number(number); }
    void operator()(double number) const { out.number(number); }
    void operator()(bool flag) const { out.boolean(flag); }
    void operator()(const std::string& text) const { out.string(text); }
    void operator()(const std::vector<std::string>& texts) const {
      out.begin_array();
      for (const std::string& text : texts) out.string(text);
      out.end_array();
    }
  };
  std::visit(Visitor{out}, value);
}

Result<OutputValue> read_value(const std::string& name, const Json& json) {
  struct Visitor {
    const std::string& name;
    Result<OutputValue> operator()(std::monostate) const { return OutputValue(); }
    Result<OutputValue> operator()(bool flag) const { return OutputValue(flag); }
    Result<OutputValue> operator()(int64_t number) const { return OutputValue(number); }
    Result<OutputValue> operator()(uint64_t number) const { return OutputValue(number); }
    Result<OutputValue> operator()(double number) const { return OutputValue(number); }
    Result<OutputValue> operator()(const std::string& text) const { return OutputValue(text); }
    Result<OutputValue> operator()(const Json::Array& values) const {
      std::vector<std::string> texts;
      for (const Json& value : values) {
        const auto* text = std::get_if<std::string>(&value.value());
        if (text == nullptr)
          return Error{
              Code::malformed, fmt::format("output_fields.{} holds a list of something else than texts", name), {}};
        texts.push_back(*text);
      }
      return OutputValue(std::move(texts));
    }
    Result<OutputValue> operator()(const Json::Object&) const {
      return Error{Code::malformed, fmt::format("output_fields.{} is an object, which no field is", name), {}};
    }
  };
  return std::visit(Visitor{name}, json.value());
}

void write_output_fields(JsonWriter& out, const Detection& detection, bool iso8601_time) {
  const std::string_view time = iso8601_time ? "evt.time.iso8601" : "evt.time";
  bool time_written = false;
  out.key("output_fields").begin_object();
  for (const auto& [name, value] : detection.output_fields) {
    if (!time_written && name >= time) {
      if (name != time) out.integer(time, detection.kernel_ns);
      time_written = true;
    }
    out.key(name);
    write_value(out, value);
  }
  if (!time_written) out.integer(time, detection.kernel_ns);
  out.end_object();
}

/// What a line has in front of the message and behind it.
class LineFrame {
 public:
  LineFrame(const Detection& detection, const DetectionStyle& style) {
    if (style.iso8601_time) {
      write_iso8601_utc(detection.kernel_ns, before_);
      before_size_ = kIso8601Length - 1;  // Falco writes the zone as a number
      put("+0000: ");
    } else {
      write_clock(detection.kernel_ns, before_);
      before_[8] = '.';
      write_digits(static_cast<uint32_t>(detection.kernel_ns % kSecond), 9, before_ + 9);
      before_size_ = 18;
      put(": ");
    }
    put(to_string(detection.priority));
    put(" ");
    if (detection.folded.count == 0) return;
    char clock[8];
    write_clock(detection.folded.last_ns, clock);
    behind_ = fmt::format(" | folded: {} more until {}", detection.folded.count, std::string_view(clock, sizeof clock));
  }
  std::string_view before() const { return {before_, before_size_}; }
  std::string_view behind() const { return behind_; }

 private:
  /// Local time, "HH:MM:SS".
  static void write_clock(uint64_t ns, char* out) {
    const tm parts = local_time(static_cast<time_t>(ns / kSecond));
    write_digits(static_cast<uint32_t>(parts.tm_hour), 2, out);
    out[2] = ':';
    write_digits(static_cast<uint32_t>(parts.tm_min), 2, out + 3);
    out[5] = ':';
    write_digits(static_cast<uint32_t>(parts.tm_sec), 2, out + 6);
  }
  void put(std::string_view text) {
    std::memcpy(before_ + before_size_, text.data(), text.size());
    before_size_ += text.size();
  }
  char before_[64];  // enough for either time and the longest priority
  size_t before_size_ = 0;
  std::string behind_;
};

/// A part of several strings that is escaped once.
class Repeated {
 public:
  Repeated(JsonWriter& out, std::string_view text) : out_(out), text_(text) {}
  void write() {
    if (end_ != 0) {
      out_.repeat(begin_, end_);
      return;
    }
    begin_ = out_.size();
    out_.part(text_);
    end_ = out_.size();
  }

 private:
  JsonWriter& out_;
  const std::string_view text_;
  size_t begin_ = 0, end_ = 0;  // where it stands
};

void write_labels(JsonWriter& out, std::string_view name, const std::map<std::string, std::string>& labels) {
  out.key(name).begin_object();
  for (const auto& [key, value] : labels) out.text(key, value);
  out.end_object();
}

std::map<std::string, std::string> read_labels(const Json& json) {
  std::map<std::string, std::string> labels;
  if (const Json::Object* members = json.object())
    for (const auto& [key, value] : *members) labels.emplace(key, value.str());
  return labels;
}

ContainerType parse_container_type(std::string_view text) {
  // Only the types that have a name: the others all print as nothing.
  for (const ContainerType type :
       {ContainerType::docker, ContainerType::lxc, ContainerType::libvirt_lxc, ContainerType::cri,
        ContainerType::containerd, ContainerType::crio, ContainerType::bpm, ContainerType::podman, ContainerType::host})
    if (to_string(type) == text) return type;
  return ContainerType::unknown;
}

void write_losses(JsonWriter& out, const LossWindow& losses) {
  if (!losses.is_known) {
    out.null();
    return;
  }
  out.begin_object();
  out.integer("count", losses.count).integer("from_ns", losses.from_ns);
  out.flag("in_window", losses.count > 0).integer("last_ns", losses.last_ns);
  out.end_object();
}

LossWindow read_losses(const Json& json) {
  if (json.object() == nullptr) return {};
  return {true, json.at("from_ns").u64(), json.at("count").u64(), json.at("last_ns").u64()};
}

}  // namespace

std::string text_line(const Detection& detection, const DetectionStyle& style) {
  const LineFrame frame(detection, style);
  std::string line;
  line.reserve(frame.before().size() + detection.message.size() + frame.behind().size());
  line += frame.before();
  line += detection.message;
  line += frame.behind();
  return line;
}

void write_container(JsonWriter& out, const Container& container) {
  out.begin_object();
  out.integer("created_s", container.created_s).text("full_id", container.full_id);
  out.flag("host_ipc", container.host_ipc)
      .flag("host_network", container.host_network)
      .flag("host_pid", container.host_pid);
  out.text("id", container.id).text("image", container.image).text("image_digest", container.image_digest);
  out.text("image_id", container.image_id).text("image_repository", container.image_repository);
  out.text("image_tag", container.image_tag).text("ip", container.ip).flag("is_pod_sandbox", container.is_pod_sandbox);
  write_labels(out, "labels", container.labels);
  out.key("mounts").begin_array();
  for (const Mount& mount : container.mounts) {
    out.begin_object();
    out.text("destination", mount.destination).text("mode", mount.mode).text("propagation", mount.propagation);
    out.text("source", mount.source).flag("writable", mount.writable);
    out.end_object();
  }
  out.end_array();
  out.text("name", container.name);
  write_labels(out, "pod_labels", container.pod_labels);
  out.text("pod_sandbox_id", container.pod_sandbox_id).flag("privileged", container.privileged);
  out.text("runtime_namespace", container.runtime_namespace).text("started_at", container.started_at);
  out.text("type", to_string(container.type)).text("user", container.user);
  out.end_object();
}

Container read_container(const Json& json) {
  Container container;
  container.created_s = json.at("created_s").i64();
  container.full_id = json.at("full_id").str();
  container.host_ipc = json.at("host_ipc").boolean();
  container.host_network = json.at("host_network").boolean();
  container.host_pid = json.at("host_pid").boolean();
  container.id = json.at("id").str();
  container.image = json.at("image").str();
  container.image_digest = json.at("image_digest").str();
  container.image_id = json.at("image_id").str();
  container.image_repository = json.at("image_repository").str();
  container.image_tag = json.at("image_tag").str();
  container.ip = json.at("ip").str();
  container.is_pod_sandbox = json.at("is_pod_sandbox").boolean();
  container.labels = read_labels(json.at("labels"));
  if (const Json::Array* mounts = json.at("mounts").array())
    for (const Json& mount : *mounts)
      container.mounts.push_back({mount.at("source").str(), mount.at("destination").str(), mount.at("mode").str(),
                                  mount.at("propagation").str(), mount.at("writable").boolean()});
  container.name = json.at("name").str();
  container.pod_labels = read_labels(json.at("pod_labels"));
  container.pod_sandbox_id = json.at("pod_sandbox_id").str();
  container.privileged = json.at("privileged").boolean();
  container.runtime_namespace = json.at("runtime_namespace").str();
  container.started_at = json.at("started_at").str();
  container.type = parse_container_type(json.at("type").str());
  container.user = json.at("user").str();
  return container;
}

std::string detection_to_json(const Detection& detection) {
  JsonWriter out;
  write_detection(out, detection);
  return out.take();
}

void write_detection(JsonWriter& out, const Detection& detection, const DetectionStyle& style) {
  // The message and the time come several times.
  Repeated message(out, detection.message);
  char time_text[kIso8601Length];
  write_iso8601_utc(detection.kernel_ns, time_text);
  const std::string_view time(time_text, sizeof time_text);

  out.begin_object();
  out.text("hostname", detection.hostname);
  if (style.has_message) {
    out.key("message").begin_string();
    message.write();
    out.end_string();
  }
  if (style.has_output) {
    const LineFrame frame(detection, style);
    out.key("output").begin_string().part(frame.before());
    message.write();
    out.part(frame.behind()).end_string();
  }
  if (style.has_output_fields) write_output_fields(out, detection, style.iso8601_time);
  out.text("priority", to_string(detection.priority));

  out.key("quell").begin_object();
  out.key("ancestors").begin_array();
  for (const ProcessSummary& ancestor : detection.ancestors) {
    out.begin_object();
    out.text("cmdline", ancestor.cmdline).text("exepath", ancestor.exepath).text("name", ancestor.name);
    out.integer("pid", ancestor.id.pid).integer("start_ticks", ancestor.id.start_ticks);
    out.end_object();
  }
  out.end_array();
  out.key("capture");
  if (detection.capture != nullptr)
    write_capture_ref(out, *detection.capture);
  else
    out.null();
  out.integer("completed_ns", detection.completed_ns);
  out.key("container");
  if (detection.container != nullptr)
    write_container(out, *detection.container);
  else
    out.null();
  out.text("container_full_id", detection.container_full_id).text("container_id", detection.container_id);
  out.text("container_missing_detail", detection.container_missing_detail);
  out.text("container_missing_reason", to_string(detection.container_missing));
  out.integer("detect_ns", detection.detect_ns).key("detect_time");
  if (detection.detect_ns != 0)
    out.string(iso8601_utc(detection.detect_ns));
  else
    out.null();
  out.integer("event_number", detection.event_number).text("evidence", detection.evidence_ref).text("id", detection.id);
  out.integer("folded", detection.folded.count);
  if (detection.folded.count > 0) {
    out.text("folded_first_time", iso8601_utc(detection.folded.first_ns))
        .text("folded_last_evidence", detection.folded.last_evidence_ref)
        .text("folded_last_time", iso8601_utc(detection.folded.last_ns));
  }
  out.integer("kernel_ns", detection.kernel_ns).text("kernel_time", time);
  out.key("losses");
  write_losses(out, detection.losses);
  out.key("message").begin_string();
  message.write();
  out.end_string();
  out.key("process").begin_object();
  out.text("boot_id", detection.process.boot_id).text("cmdline", detection.cmdline).text("exepath", detection.exepath);
  out.text("name", detection.process_name).integer("pid", detection.process.pid);
  out.integer("start_ticks", detection.process.start_ticks)
      .integer("tid", detection.tid)
      .text("user", detection.user_name);
  out.end_object();
  out.key("rules").begin_object();
  out.integer("generation", detection.rules_generation).text("hash", detection.rules_hash);
  out.end_object();
  out.text("severity", to_string(detection.severity()));
  out.end_object();

  out.text("rule", detection.rule).text("source", detection.source);
  if (style.has_tags) out.texts("tags", detection.tags);
  out.text("time", time);
  out.end_object();
}

Result<Detection> detection_from_json(std::string_view text) {
  QUELL_TRY(const Json json, Json::parse(text));
  const Json& ours = json.at("quell");
  if (ours.object() == nullptr || ours.at("id").str().empty())
    return Error{Code::malformed, "not a detection of Quell: there is no quell.id", {}};
  const auto priority = parse_priority(json.at("priority").str());
  if (!priority) return Error{Code::malformed, fmt::format("detection {}: unknown priority", ours.at("id").str()), {}};

  Detection out;
  out.id = ours.at("id").str();
  out.rule = json.at("rule").str();
  out.priority = *priority;
  out.source = json.at("source").str();
  out.tags = json.at("tags").texts();
  out.message = ours.at("message").str();
  out.hostname = json.at("hostname").str();
  if (const Json::Object* fields = json.at("output_fields").object()) {
    for (const auto& [name, field] : *fields) {
      QUELL_TRY(OutputValue value, read_value(name, field));
      out.output_fields.emplace_back(name, std::move(value));
    }
  }
  out.event_number = ours.at("event_number").u64();
  out.kernel_ns = ours.at("kernel_ns").u64();
  out.detect_ns = ours.at("detect_ns").u64();

  const Json& process = ours.at("process");
  out.process = {process.at("boot_id").str(), process.at("pid").i64(), process.at("start_ticks").u64()};
  out.tid = process.at("tid").i64();
  out.process_name = process.at("name").str();
  out.exepath = process.at("exepath").str();
  out.cmdline = process.at("cmdline").str();
  out.user_name = process.at("user").str();
  if (const Json::Array* ancestors = ours.at("ancestors").array())
    for (const Json& ancestor : *ancestors)
      out.ancestors.push_back({{out.process.boot_id, ancestor.at("pid").i64(), ancestor.at("start_ticks").u64()},
                               ancestor.at("name").str(),
                               ancestor.at("exepath").str(),
                               ancestor.at("cmdline").str()});
  out.container_id = ours.at("container_id").str();
  out.container_full_id = ours.at("container_full_id").str();
  if (ours.at("container").object() != nullptr)
    out.container = std::make_shared<const Container>(read_container(ours.at("container")));
  out.container_missing = parse_container_missing(ours.at("container_missing_reason").str());
  out.container_missing_detail = ours.at("container_missing_detail").str();
  out.completed_ns = ours.at("completed_ns").u64();
  out.losses = read_losses(ours.at("losses"));
  out.folded.count = ours.at("folded").u64();
  if (out.folded.count > 0) {
    out.folded.first_ns = parse_iso8601_utc(ours.at("folded_first_time").str()).value_or(0);
    out.folded.last_ns = parse_iso8601_utc(ours.at("folded_last_time").str()).value_or(0);
    out.folded.last_evidence_ref = ours.at("folded_last_evidence").str();
  }
  out.rules_generation = ours.at("rules").at("generation").u64();
  out.rules_hash = ours.at("rules").at("hash").str();
  if (ours.at("capture").object() != nullptr) {
    QUELL_TRY(CaptureRef capture, read_capture_ref(ours.at("capture")));
    out.capture = std::make_shared<const CaptureRef>(std::move(capture));
  }
  out.evidence_ref = ours.at("evidence").str();
  return out;
}

}  // namespace quell
