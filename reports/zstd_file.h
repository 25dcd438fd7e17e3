#pragma once

#include <cstddef>
#include <expected>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

struct ZSTD_CCtx_s;

namespace verdict::reports {

// Writes one zstd stream, a block at a time: what a process that dies leaves behind can be read up to its last block.
class ZstdWriter {
 public:
  explicit ZstdWriter(const std::string& path);
  ~ZstdWriter();
  ZstdWriter(const ZstdWriter&) = delete;
  ZstdWriter& operator=(const ZstdWriter&) = delete;

  void write(std::string_view text);
  // Ends the stream. The error names the file; no write after it.
  std::expected<void, std::string> finish();

 private:
  void compress(std::string_view text, int directive);

  struct Free {
    void operator()(ZSTD_CCtx_s* context) const;
  };
  std::string path_;
  std::ofstream file_;
  std::unique_ptr<ZSTD_CCtx_s, Free> context_;
  std::string pending_;
  std::string out_;
  bool finished_ = false;
};

// Calls `each` with every whole line, without its newline. A torn end (of a process that died) is dropped.
std::expected<void, std::string> read_zstd_lines(const std::string& path,
                                                 const std::function<void(std::string_view)>& each);

}  // namespace verdict::reports
