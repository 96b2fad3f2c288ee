#include "enrich/container_json.h"

#include <gtest/gtest.h>

namespace quell::enrich {

TEST(ContainerJson, ReadsTheKeysOfContainerEvents) {
  const auto parsed = parse_container_json(
      R"({"container":{"type":0,"id":"3ad7b26ded6d","full_id":"3ad7","name":"web","image":"nginx:1.2",
    "imageid":"i","imagerepo":"nginx","imagetag":"1.2","imagedigest":"sha256:00","User":"www","ip":"172.17.0.2","cni_json":"{}",
    "env":["A=1","B=\"2\""],"labels":{"a":"b"},"pod_sandbox_labels":null,"privileged":true,"host_pid":true,"host_network":false,
    "created_time":1700000000,"port_mappings":[{"HostPort":80}],"Mounts":[{"Source":"/s","Destination":"/d","Mode":"z","RW":true,
    "Propagation":"rprivate"}],"unknown":[1,2]}})");
  ASSERT_TRUE(parsed) << parsed.error().str();
  EXPECT_EQ(parsed->type, ContainerType::docker);
  EXPECT_EQ(parsed->id, "3ad7b26ded6d");
  EXPECT_EQ(parsed->image_repository, "nginx");
  EXPECT_EQ(parsed->env, (std::vector<std::string>{"A=1", "B=\"2\""}));
  EXPECT_EQ(parsed->labels.at("a"), "b");
  EXPECT_TRUE(parsed->privileged);
  EXPECT_TRUE(parsed->host_pid);
  EXPECT_EQ(parsed->created_s, 1'700'000'000);
  ASSERT_EQ(parsed->mounts.size(), 1u);
  EXPECT_EQ(parsed->mounts[0].destination, "/d");
  EXPECT_TRUE(parsed->mounts[0].writable);
}

TEST(ContainerJson, RoundTrip) {
  Container c;
  c.type = ContainerType::cri;
  c.id = "abc";
  c.full_id = "abcdef";
  c.name = "quote \" backslash \\ newline \n";
  c.image = "r/x:1";
  c.image_id = "id";
  c.image_repository = "r/x";
  c.image_tag = "1";
  c.image_digest = "sha256:1";
  c.user = "u";
  c.ip = "10.0.0.1";
  c.cni_json = R"({"a":[1]})";
  c.labels = {{"k\"1", "v1"}, {"k2", ""}};
  c.env = {"A=1", "\xE2\x82\xAC=2"};
  c.mounts = {{"/a", "/b", "ro", "rprivate", false}, {"/c", "/d", "", "", true}};
  c.privileged = c.host_ipc = c.is_pod_sandbox = true;
  c.pod_sandbox_id = "sandbox";
  c.pod_labels = {{"app", "web"}};
  c.created_s = 12;
  c.started_at = "2024-01-01T00:00:00Z";
  c.runtime_namespace = "k8s.io";
  const std::string text = container_json(c);
  const auto back = parse_container_json(text);
  ASSERT_TRUE(back) << back.error().str() << text;
  EXPECT_EQ(container_json(*back), text);
  EXPECT_EQ(back->name, c.name);
  EXPECT_EQ(back->labels, c.labels);
  EXPECT_EQ(back->env, c.env);
  EXPECT_EQ(back->mounts[1].writable, true);
  EXPECT_EQ(back->runtime_namespace, "k8s.io");
}

TEST(ContainerJson, EmptyContainerIsValidAndATrailingNulIsAllowed) {
  EXPECT_TRUE(parse_container_json(std::string_view("{\"container\":{}}\0", 17)));
}

TEST(ContainerJson, RefusesWhatIsNotOne) {
  for (const std::string_view text :
       {"", "[]", "{", "{\"container\":1}", "{}", "null", "{\"container\":{\"id\":1}}",
        "{\"container\":{\"labels\":[]}}", "{\"container\":{\"labels\":{\"a\":1}}}", "{\"container\":{\"Mounts\":[1]}}",
        "{\"container\":{\"Mounts\":[{\"RW\":1}]}}", "{\"container\":{\"env\":[1]}}",
        "{\"container\":{\"privileged\":\"yes\"}}", "{\"container\":{}} x", "{\"container\":{\"id\":\"\xFF\"}}"}) {
    const auto parsed = parse_container_json(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Code::malformed);
  }
  EXPECT_FALSE(parse_container_json("{\"container\":" + std::string(5000, '[') + "}"));
}

}  // namespace quell::enrich
