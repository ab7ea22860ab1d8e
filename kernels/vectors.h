// Vectors of L numbers (the compiler's extension), and functions that the extension does not have.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

namespace matcaps {

template <typename T, int L>
struct VectorOf {
  typedef T type __attribute__((vector_size(L * sizeof(T))));
  typedef T unaligned __attribute__((vector_size(L * sizeof(T)), aligned(alignof(T)), may_alias));
};
template <typename T, int L>
using Vector = typename VectorOf<T, L>::type;

template <typename T>
struct Float;
template <>
struct Float<float> {
  typedef int32_t Bits;
  static constexpr int mantissa = 23, bias = 127, degree = 7, log_terms = 5;
  static constexpr Bits root_of_half = 0x3f3504f3;  // the bits of √½
  static constexpr float rounder = 12582912.0f;  // 1.5 · 2^23: adding it leaves an integer in the low bits
  static constexpr float lowest = -87.33f;       // below this, exp is not a normal number
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float vanishing = 1e-28f;  // in a smaller mass, children may have underflowed
};
template <>
struct Float<double> {
  typedef int64_t Bits;
  static constexpr int mantissa = 52, bias = 1023, degree = 13, log_terms = 10;
  static constexpr Bits root_of_half = 0x3fe6a09e667f3bcd;
  static constexpr double rounder = 6755399441055744.0;
  static constexpr double lowest = -708.39;
  static constexpr double ln2_high = 6.93145751953125e-1, ln2_low = 1.42860682030941723212e-6;
  static constexpr double vanishing = 1e-280;
};

template <typename T, int L>
inline Vector<T, L> load(const T* from) {
  return *reinterpret_cast<const typename VectorOf<T, L>::unaligned*>(from);
}

template <typename T, int L>
inline void store(T* to, Vector<T, L> value) {
  *reinterpret_cast<typename VectorOf<T, L>::unaligned*>(to) = value;
}

template <typename T, int L>
inline Vector<T, L> all(T value) {
  return Vector<T, L>{} + value;
}

// The larger one of both; a NaN in `value` stays a NaN.
template <typename V>
inline V at_least(V value, V bound) {
  return value < bound ? bound : value;
}

// Σ over the lanes, half by half, always in the same order.
template <typename T, int L>
inline T sum_of(Vector<T, L> value) {
  T lanes[L];
  std::memcpy(lanes, &value, sizeof lanes);
#pragma GCC unroll 8
  for (int half = L / 2; half > 0; half /= 2)
#pragma GCC unroll 16
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

// exp with an error of about one ulp, for values up to 88; 0 where the result would not be a normal number.
template <typename T, int L>
inline Vector<T, L> exp_of(Vector<T, L> value) {
  typedef typename Float<T>::Bits Bits;
  typedef Vector<Bits, L> Integers;
  typedef Float<T> F;
  const auto shifted = value * T(1.44269504088896340736) + F::rounder;
  const auto whole = shifted - F::rounder;
  auto rest = value - whole * F::ln2_high;
  rest -= whole * F::ln2_low;
  T factorial = 1;  // folded by the compiler
  for (int n = 2; n <= F::degree; ++n) factorial *= n;
  auto series = all<T, L>(1 / factorial);
#pragma GCC unroll 16
  for (int n = F::degree; n > 0; --n) {
    factorial /= n;
    series = series * rest + 1 / factorial;
  }
  Integers bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  typedef Vector<typename std::make_unsigned<Bits>::type, L> Unsigned;
  const Integers power = (Integers)(((Unsigned)bits + F::bias) << F::mantissa);
  Vector<T, L> scale;
  std::memcpy(&scale, &power, sizeof scale);
  return value < F::lowest ? Vector<T, L>{} : series * scale;
}

// log of positive normal numbers with an error of about one ulp: log (2^n m) = n log 2 + 2 artanh s, √½ ≤ m < √2,
// s = (m − 1) / (m + 1).
template <typename T, int L>
inline Vector<T, L> log_of(Vector<T, L> value) {
  typedef typename Float<T>::Bits Bits;
  typedef Vector<Bits, L> Integers;
  typedef Float<T> F;
  Integers bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits += (Bits(F::bias) << F::mantissa) - F::root_of_half;
  const Integers power = (bits >> F::mantissa) - F::bias;
  bits = (bits & ((Bits(1) << F::mantissa) - 1)) + F::root_of_half;
  Vector<T, L> m;
  std::memcpy(&m, &bits, sizeof m);
  const auto s = (m - 1) / (m + 1), square = s * s;
  auto series = Vector<T, L>{};
#pragma GCC unroll 16
  for (int n = F::log_terms - 1; n >= 0; --n) series = series * square + T(2) / T(2 * n + 1);
  return series * s + __builtin_convertvector(power, Vector<T, L>) * T(0.69314718055994530942);
}

// ½ Σ log of 16 positive normal numbers. Mantissas are multiplied and exponents added, so one log is enough.
template <typename T, int L>
inline Vector<T, L> half_log_of_product(const Vector<T, L>* values) {
  typedef typename Float<T>::Bits Bits;
  typedef Vector<Bits, L> Integers;
  typedef Float<T> F;
  auto product = all<T, L>(1);
  auto poison = Vector<T, L>{};  // makes the result NaN if a value is NaN or infinite
  Integers exponents{};
  for (int h = 0; h < 16; ++h) {
    Integers bits;
    std::memcpy(&bits, &values[h], sizeof bits);
    exponents += (bits >> F::mantissa) - F::bias;
    bits = (bits & ((Bits(1) << F::mantissa) - 1)) | (Bits(F::bias) << F::mantissa);
    Vector<T, L> mantissa;
    std::memcpy(&mantissa, &bits, sizeof mantissa);
    product *= mantissa;
    poison += values[h] * T(0);
  }
  Vector<T, L> result;
  for (int lane = 0; lane < L; ++lane)
    result[lane] = T(0.5) * (std::log(product[lane]) + T(exponents[lane]) * T(0.69314718055994530942));
  return result + poison;
}

template <typename T, int L, int half, int... lane>
inline Vector<T, L> fold_pair(Vector<T, L> one, Vector<T, L> other, std::integer_sequence<int, lane...>) {
  // Of each group of 2·half lanes: the first halves of both, plus the second halves of both.
  const auto low = __builtin_shufflevector(
      one, other, (lane / (2 * half) * (2 * half) + lane % half + (lane % (2 * half) < half ? 0 : L))...);
  const auto high = __builtin_shufflevector(
      one, other, (lane / (2 * half) * (2 * half) + lane % half + half + (lane % (2 * half) < half ? 0 : L))...);
  return low + high;
}

template <typename T, int L, int half, int number>
inline void fold(Vector<T, L>* values) {
#pragma GCC unroll 8
  for (int n = 0; n < number / 2; ++n)
    values[n] = fold_pair<T, L, half>(values[n], values[n + number / 2], std::make_integer_sequence<int, L>());
  if constexpr (half > 1) fold<T, L, half / 2, number / 2>(values);
}

// sums[h] += Σ over the lanes of values[h], for 16 vectors at once. `values` is overwritten.
template <typename T, int L>
inline void add_sums(Vector<T, L>* values, T* sums) {
  fold<T, L, L / 2, 16>(values);
#pragma GCC unroll 8
  for (int n = 0; n < 16 / L; ++n)
#pragma GCC unroll 16
    for (int lane = 0; lane < L; ++lane) sums[lane * (16 / L) + n] += values[n][lane];
}

}  // namespace matcaps
