#include "api/pages.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "api/served_api.h"

namespace aether::api {
namespace {

class ServedPages : public ServedApi {
 protected:
  void SetUp() override {
    char name[] = "/tmp/aether-pages-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  void TearDown() override {
    ServedApi::TearDown();
    std::filesystem::remove_all(directory_);
  }
  void put(const std::string& name, const std::string& text) {
    const std::filesystem::path path = directory_ + "/out/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  void serve_pages() {
    put("index.html", "<p>fleet</p>");
    put("index.html.gz", "zipped fleet");
    put("jobs.html", "<p>jobs</p>");
    put("404.html", "<p>nothing here</p>");
    put("jobs.txt", "flight");
    put("_next/static/chunks/a-1.js", "code");
    std::ofstream(directory_ + "/secret.txt") << "secret";
    Json files = Json::array();
    const auto add = [&](const std::string& name, const std::string& path, const std::string& type,
                         const std::string& cache) {
      Json file = {{"name", name}, {"path", path}, {"type", type}, {"cache", cache}, {"etag", "\"" + name + "-tag\""}};
      if (name == "index.html") file.update(Json{{"gz", "index.html.gz"}, {"gz_etag", "\"index.html-tag-gz\""}});
      files.push_back(file);
    };
    add("index.html", "/", "text/html; charset=utf-8", "revalidate");
    add("jobs.html", "/jobs", "text/html; charset=utf-8", "revalidate");
    add("404.html", "/404", "text/html; charset=utf-8", "revalidate");
    add("jobs.txt", "/jobs.txt", "text/plain; charset=utf-8", "revalidate");
    add("_next/static/chunks/a-1.js", "/_next/static/chunks/a-1.js", "text/javascript; charset=utf-8", "immutable");
    put("assets.json", Json{{"version", "1"}, {"files", files}}.dump());
    put("csp.json",
        Json{{"version", "1"},
             {"pages", {{"index.html", {"sha256-abc="}}, {"jobs.html", Json::array()}, {"404.html", Json::array()}}}}
            .dump());
    ApiOptions options;
    options.pages_directory = directory_ + "/out";
    serve(options);
  }
  std::string directory_;
};

TEST_F(ServedPages, AreFoundByTheirNames) {
  serve_pages();
  const Reply index = get("/");
  EXPECT_EQ(index.status, 200);
  EXPECT_EQ(index.body, "<p>fleet</p>");
  EXPECT_EQ(index.headers.at("cache-control"), "no-cache");
  EXPECT_EQ(index.headers.at("vary"), "Accept-Encoding");
  EXPECT_EQ(index.headers.at("content-security-policy"),
            "default-src 'none'; script-src 'self' 'sha256-abc='; style-src 'self'; font-src 'self'; img-src 'self' "
            "data:; connect-src 'self'; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
  EXPECT_EQ(get("/jobs?id=7").body, "<p>jobs</p>");
  EXPECT_EQ(get("/jobs.html").body, "<p>jobs</p>");
  EXPECT_EQ(get("/jobs.txt").headers.at("content-type"), "text/plain; charset=utf-8");
  EXPECT_EQ(get("/_next/static/chunks/a-1.js").headers.at("cache-control"), "public, max-age=31536000, immutable");
}

TEST_F(ServedPages, GoOutCompressedToThoseWhoTakeThat) {
  serve_pages();
  const Reply zipped = get("/", "Accept-Encoding: br, gzip;q=0.8\r\n");
  EXPECT_EQ(zipped.headers.at("content-encoding"), "gzip");
  EXPECT_EQ(zipped.headers.at("etag"), "\"index.html-tag-gz\"");
  EXPECT_EQ(zipped.body, "zipped fleet");
  EXPECT_EQ(get("/", "Accept-Encoding: gzip;q=0\r\n").body, "<p>fleet</p>");
  EXPECT_EQ(get("/jobs", "Accept-Encoding: gzip\r\n").body, "<p>jobs</p>");
}

TEST_F(ServedPages, AreNotSentAgainUnchanged) {
  serve_pages();
  const Reply same = get("/", "If-None-Match: \"index.html-tag\"\r\n");
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
  EXPECT_EQ(get("/", "If-None-Match: \"index.html-tag\"\r\nAccept-Encoding: gzip\r\n").status, 200);
  EXPECT_EQ(get("/", "If-None-Match: \"other\"\r\n").status, 200);
}

TEST_F(ServedPages, MoveFromATrailingSlash) {
  serve_pages();
  const Reply moved = get("/jobs/?id=7&q=a%20b");
  EXPECT_EQ(moved.status, 308);
  EXPECT_EQ(moved.headers.at("location"), "/jobs?id=7&q=a%20b");
  EXPECT_EQ(get("/unknown/").status, 404);
  EXPECT_EQ(get("//evil.example/").status, 404);
}

TEST_F(ServedPages, UnknownNamesGetThe404Page) {
  serve_pages();
  const Reply missing = get("/nothing");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.body, "<p>nothing here</p>");
  EXPECT_EQ(get("/api/v1/nothing").headers.at("content-type"), "application/problem+json");
  EXPECT_EQ(ask("POST", "/jobs").status, 405);
}

TEST_F(ServedPages, AreNeverAPathFromARequest) {
  serve_pages();
  for (const char* target :
       {"/../secret.txt", "/%2e%2e/secret.txt", "/%252e%252e/secret.txt", "/..%2fsecret.txt", "/..%5csecret.txt",
        "/..\\secret.txt", "//secret.txt", "/jobs%00.html", "/./index.html", "/assets.json", "/csp.json",
        "/index.html.gz", "/etc/passwd", "//etc/passwd", "/%2fetc%2fpasswd"}) {
    const Reply reply = get(target);
    EXPECT_TRUE(reply.status == 404 || reply.status == 400) << target << " gives " << reply.status;
    EXPECT_EQ(reply.body.find("secret"), reply.status == 400 ? reply.body.find("secret") : std::string::npos) << target;
  }
}

TEST_F(ServedPages, WithoutABuildTheAddressSaysHowToMakeOne) {
  ApiOptions options;
  options.pages_directory = directory_ + "/none";
  serve(options);
  const Reply reply = get("/");
  EXPECT_EQ(reply.status, 200);
  EXPECT_NE(reply.body.find("npm ci"), std::string::npos);
  EXPECT_EQ(get("/jobs").status, 404);
  EXPECT_EQ(get("/api/v1/version").status, 200);
}

TEST_F(ServedPages, ABrokenListOfFilesIsNoBuild) {
  put("assets.json", R"({"files":[{"name":"../secret.txt","path":"/","type":"text/plain","etag":"\"x\""}]})");
  put("csp.json", "{}");
  std::ofstream(directory_ + "/secret.txt") << "secret";
  EXPECT_FALSE(Pages(directory_ + "/out").is_built());
}

}  // namespace
}  // namespace aether::api
