#include "kernels/cpu/quant.h"

#include <cstring>

#include "base/check.h"

namespace pegainfer::cpu {
namespace {

uint16_t u16_at(const uint8_t* p) {
  uint16_t v = 0;
  std::memcpy(&v, p, sizeof v);
  return v;
}

uint8_t byte_of(unsigned v) { return static_cast<uint8_t>(v); }

// Columns 0..15 in the low nibbles of qs [16], 16..31 in the high ones.
void nibbles_32(const uint8_t* qs, uint8_t* codes) {
  for (int j = 0; j < 16; ++j) {
    codes[j] = byte_of(qs[j] & 15U);
    codes[j + 16] = byte_of(qs[j] >> 4U);
  }
}

// Adds bit j of qh [4] as bit 4 of code j.
void fifth_bits_32(const uint8_t* qh, uint8_t* codes) {
  uint32_t bits = 0;
  std::memcpy(&bits, qh, sizeof bits);
  for (unsigned j = 0; j < 32; ++j) codes[j] = byte_of(codes[j] | ((bits >> j) & 1U) << 4U);
}

// Two bits an element: 128 columns from 32 bytes, 32 columns for each shift.
void twobits_256(const uint8_t* qs, uint8_t* codes) {
  for (int half = 0; half < 2; ++half, qs += 32)
    for (unsigned shift = 0; shift < 8; shift += 2, codes += 32)
      for (int l = 0; l < 32; ++l) codes[l] = byte_of((qs[l] >> shift) & 3U);
}

// Four bits an element: 64 columns from 32 bytes, low nibbles first.
void nibbles_256(const uint8_t* qs, uint8_t* codes) {
  for (int quarter = 0; quarter < 4; ++quarter, qs += 32, codes += 64)
    for (int l = 0; l < 32; ++l) {
      codes[l] = byte_of(qs[l] & 15U);
      codes[l + 32] = byte_of(qs[l] >> 4U);
    }
}

// Eight 6-bit scales and minima in 12 bytes.
void scales_6bit_8(const uint8_t* p, uint8_t* scales, uint8_t* mins) {
  for (int j = 0; j < 4; ++j) {
    scales[j] = byte_of(p[j] & 63U);
    mins[j] = byte_of(p[j + 4] & 63U);
    scales[j + 4] = byte_of((p[j + 8] & 15U) | (static_cast<unsigned>(p[j]) >> 6U) << 4U);
    mins[j + 4] =
        byte_of((static_cast<unsigned>(p[j + 8]) >> 4U) | (static_cast<unsigned>(p[j + 4]) >> 6U) << 4U);
  }
}

void take_q2_k(const uint8_t* p, QuantBlock& out) {  // scales [16], qs [64], d, dmin
  std::memcpy(out.scales, p, 16);
  twobits_256(p + 16, out.codes);
  out.d = u16_at(p + 80);
  out.m = u16_at(p + 82);
}

void take_q3_k(const uint8_t* p, QuantBlock& out) {  // hmask [32], qs [64], scales [12], d
  twobits_256(p + 32, out.codes);
  for (unsigned part = 0; part < 8; ++part)
    for (unsigned l = 0; l < 32; ++l) {
      uint8_t& code = out.codes[part * 32 + l];
      code = byte_of(code | ((p[l] >> part) & 1U) << 2U);
    }
  const uint8_t* s = p + 96;
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned low = i < 8 ? s[i] & 15U : s[i - 8] >> 4U;
    const unsigned high = (s[8 + i % 4] >> (2 * (i / 4))) & 3U;
    out.scales[i] = byte_of((low | high << 4U) - 32U);
  }
  out.d = u16_at(p + 108);
}

void take_q4_k(const uint8_t* p, QuantBlock& out) {  // d, dmin, scales [12], qs [128]
  out.d = u16_at(p);
  out.m = u16_at(p + 2);
  scales_6bit_8(p + 4, out.scales, out.mins);
  nibbles_256(p + 16, out.codes);
}

void take_q5_k(const uint8_t* p, QuantBlock& out) {  // d, dmin, scales [12], qh [32], qs [128]
  out.d = u16_at(p);
  out.m = u16_at(p + 2);
  scales_6bit_8(p + 4, out.scales, out.mins);
  nibbles_256(p + 48, out.codes);
  for (unsigned part = 0; part < 8; ++part)
    for (unsigned l = 0; l < 32; ++l) {
      uint8_t& code = out.codes[part * 32 + l];
      code = byte_of(code | ((p[16 + l] >> part) & 1U) << 4U);
    }
}

void take_q6_k(const uint8_t* p, QuantBlock& out) {  // ql [128], qh [64], scales [16], d
  for (unsigned half = 0; half < 2; ++half) {
    const uint8_t* ql = p + half * 64;
    const uint8_t* qh = p + 128 + half * 32;
    uint8_t* codes = out.codes + half * 128;
    for (int l = 0; l < 32; ++l) {
      codes[l] = byte_of((ql[l] & 15U) | (qh[l] & 3U) << 4U);
      codes[l + 32] = byte_of((ql[l + 32] & 15U) | ((qh[l] >> 2U) & 3U) << 4U);
      codes[l + 64] = byte_of(static_cast<unsigned>(ql[l] >> 4U) | ((qh[l] >> 4U) & 3U) << 4U);
      codes[l + 96] =
          byte_of(static_cast<unsigned>(ql[l + 32] >> 4U) | static_cast<unsigned>(qh[l] >> 6U) << 4U);
    }
  }
  std::memcpy(out.scales, p + 192, 16);
  out.d = u16_at(p + 208);
}

}  // namespace

void take_apart(WeightFormat format, const uint8_t* p, QuantBlock& out) {
  switch (format) {
    case WeightFormat::kQ4_0:
    case WeightFormat::kIQ4_NL:  // d, qs [16]
      out.d = u16_at(p);
      nibbles_32(p + 2, out.codes);
      return;
    case WeightFormat::kQ4_1:  // d, m, qs [16]
      out.d = u16_at(p);
      out.m = u16_at(p + 2);
      nibbles_32(p + 4, out.codes);
      return;
    case WeightFormat::kQ5_0:  // d, qh [4], qs [16]
      out.d = u16_at(p);
      nibbles_32(p + 6, out.codes);
      fifth_bits_32(p + 2, out.codes);
      return;
    case WeightFormat::kQ5_1:  // d, m, qh [4], qs [16]
      out.d = u16_at(p);
      out.m = u16_at(p + 2);
      nibbles_32(p + 8, out.codes);
      fifth_bits_32(p + 4, out.codes);
      return;
    case WeightFormat::kQ8_0:  // d, qs [32]
      out.d = u16_at(p);
      std::memcpy(out.codes, p + 2, 32);
      return;
    case WeightFormat::kQ2_K: take_q2_k(p, out); return;
    case WeightFormat::kQ3_K: take_q3_k(p, out); return;
    case WeightFormat::kQ4_K: take_q4_k(p, out); return;
    case WeightFormat::kQ5_K: take_q5_k(p, out); return;
    case WeightFormat::kQ6_K: take_q6_k(p, out); return;
    case WeightFormat::kF32:
    case WeightFormat::kF16:
    case WeightFormat::kBF16: break;
  }
  CHECK(false, "{} has no blocks", info_of(format).name);
}

}  // namespace pegainfer::cpu
