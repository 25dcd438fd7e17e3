#include "reports/zstd_file.h"

#include <zstd.h>

namespace verdict::reports {
namespace {

constexpr std::size_t kBlock = 64 * 1024;
constexpr int kLevel = 3;

}  // namespace

void ZstdWriter::Free::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }

ZstdWriter::ZstdWriter(const std::string& path)
    : path_(path), file_(path, std::ios::binary), context_(ZSTD_createCCtx()) {
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kLevel);
  out_.resize(ZSTD_CStreamOutSize());
}

ZstdWriter::~ZstdWriter() {
  if (!finished_) static_cast<void>(finish());
}

void ZstdWriter::write(std::string_view text) {
  pending_ += text;
  if (pending_.size() < kBlock) return;
  compress(pending_, ZSTD_e_flush);
  file_.flush();
  pending_.clear();
}

std::expected<void, std::string> ZstdWriter::finish() {
  finished_ = true;
  compress(pending_, ZSTD_e_end);
  pending_.clear();
  file_.close();
  if (!file_) return std::unexpected(path_ + ": can't be written");
  return {};
}

void ZstdWriter::compress(std::string_view text, int directive) {
  ZSTD_inBuffer in{text.data(), text.size(), 0};
  for (;;) {
    ZSTD_outBuffer out{out_.data(), out_.size(), 0};
    const std::size_t left = ZSTD_compressStream2(context_.get(), &out, &in, static_cast<ZSTD_EndDirective>(directive));
    if (ZSTD_isError(left)) {
      file_.setstate(std::ios::failbit);
      return;
    }
    file_.write(out_.data(), static_cast<std::streamsize>(out.pos));
    if (left == 0 && in.pos == in.size) return;
  }
}

std::expected<void, std::string> read_zstd_lines(const std::string& path,
                                                 const std::function<void(std::string_view)>& each) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::unexpected(path + ": can't be read");
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  std::string in_buffer(ZSTD_DStreamInSize(), '\0');
  std::string out_buffer(ZSTD_DStreamOutSize(), '\0');
  std::string rest;
  for (;;) {
    file.read(in_buffer.data(), static_cast<std::streamsize>(in_buffer.size()));
    if (file.gcount() == 0) return {};
    ZSTD_inBuffer in{in_buffer.data(), static_cast<std::size_t>(file.gcount()), 0};
    while (in.pos < in.size) {
      ZSTD_outBuffer out{out_buffer.data(), out_buffer.size(), 0};
      if (ZSTD_isError(ZSTD_decompressStream(context.get(), &out, &in)))
        return std::unexpected(path + ": is no zstd stream");
      rest.append(out_buffer, 0, out.pos);
      std::size_t begin = 0;
      for (std::size_t end; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
        each(std::string_view(rest).substr(begin, end - begin));
      }
      rest.erase(0, begin);
    }
  }
}

}  // namespace verdict::reports
