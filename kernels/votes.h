// The three loops that compute votes and use them in registers. Nearly all time is spent here.
//
// A block is L parent types, one in each lane. v = M W for a run of children at one position of a
// window: `poses` are their 4×4 matrices one after the other, `weights` 16 vectors for each, W's elements row by row.
// An offset is a vote minus a centre; `coordinates` (row, column, 0, 0) are added to a vote's right-hand column.
#pragma once

#include "vectors.h"

namespace matcaps {

#if defined(__AVX512VL__) || defined(__aarch64__)
constexpr int rows_at_once = 2;  // 32 registers
#else
constexpr int rows_at_once = 1;  // 16 registers
#endif

// The offsets of some rows of a vote. The vote is rounded before the centre is subtracted, the same in every pass. With
// variances at their floor the square of a rounding error matters, so it must not differ between passes.
template <typename T, int L, int rows>
inline __attribute__((always_inline)) void offsets_of(const T* pose, const T* weights, const T* coordinates,
                                                      const Vector<T, L>* centre, Vector<T, L>* offsets) {
#pragma GCC unroll 4
  for (int l = 0; l < 4; ++l)
#pragma GCC unroll 4
    for (int column = 0; column < 4; ++column) {
      const auto weight = load<T, L>(weights + (l * 4 + column) * L);
#pragma GCC unroll 4
      for (int row = 0; row < rows; ++row) {
        const auto product = weight * pose[row * 4 + l];
        offsets[row * 4 + column] = l ? offsets[row * 4 + column] + product : product;
      }
    }
#pragma GCC unroll 4
  for (int row = 0; row < rows; ++row) offsets[row * 4 + 3] += coordinates[row];
#pragma GCC unroll 16
  for (int h = 0; h < rows * 4; ++h) offsets[h] -= centre[h];
}

// sums[0] += Σ r, sums[1…16] += Σ r o, sums[17…32] += Σ r o².
template <typename T, int L>
inline void add_moments(int children, const T* poses, const T* weights, const T* coordinates,
                        const Vector<T, L>* masses, const Vector<T, L>* centre, Vector<T, L>* sums) {
  typedef Vector<T, L> V;
  constexpr int rows = rows_at_once;
  for (int row = 0; row < 4; row += rows) {
    V first[rows * 4] = {}, second[rows * 4] = {};
    for (int child = 0; child < children; ++child) {
      V offsets[rows * 4];
      offsets_of<T, L, rows>(poses + child * 16 + row * 4, weights + child * 16 * L, coordinates + row,
                             centre + row * 4, offsets);
      const V mass = masses[child];
#pragma GCC unroll 16
      for (int h = 0; h < rows * 4; ++h) {
        const V weighed = mass * offsets[h];
        first[h] += weighed;
        second[h] += weighed * offsets[h];
      }
    }
#pragma GCC unroll 16
    for (int h = 0; h < rows * 4; ++h) {
      sums[1 + row * 4 + h] += first[h];
      sums[17 + row * 4 + h] += second[h];
    }
  }
  V mass{};
  for (int child = 0; child < children; ++child) mass += masses[child];
  sums[0] += mass;
}

// results[child] += Σ_h o_h (linear_h + square_h o_h). Factors are `step` vectors apart.
// Without `with_linear` there is no linear part.
template <typename T, int L, bool with_linear>
inline void add_quadratics(int children, const T* poses, const T* weights, const T* coordinates,
                           const Vector<T, L>* centre, const Vector<T, L>* linear, const Vector<T, L>* square,
                           int64_t step, Vector<T, L>* results) {
  typedef Vector<T, L> V;
  constexpr int rows = rows_at_once;
  for (int row = 0; row < 4; row += rows)
    for (int child = 0; child < children; ++child) {
      V offsets[rows * 4];
      offsets_of<T, L, rows>(poses + child * 16 + row * 4, weights + child * 16 * L, coordinates + row,
                             centre + row * 4, offsets);
      V even{}, odd{};  // two sums: the additions of one would wait for each other
#pragma GCC unroll 16
      for (int h = 0; h < rows * 4; ++h) {
        V factor = square[(row * 4 + h) * step] * offsets[h];
        if constexpr (with_linear) factor += linear[(row * 4 + h) * step];
        (h % 2 ? odd : even) += offsets[h] * factor;
      }
      results[child] += even + odd;
    }
}

// With dv_h = Σ_n x_n (level_hn + slope_hn o_h), the gradients of one child's pose and of its weights:
// pose_gradient += Σ over lanes dv Wᵀ, weight_gradient += Mᵀ dv. `terms` is the number of n, or 0 if
// only `late_terms` has it.
template <typename T, int L, int terms>
inline void add_vote_gradients(int late_terms, const T* pose, const T* weights, const T* coordinates,
                               const Vector<T, L>* centre, const Vector<T, L>* factors, const Vector<T, L>* levels,
                               const Vector<T, L>* slopes,
                               T* pose_gradient, T* weight_gradient) {
  typedef Vector<T, L> V;
  const int number = terms ? terms : late_terms;
  V gradient[16];
  for (int row = 0; row < 4; row += rows_at_once) {
    V offsets[rows_at_once * 4];
    offsets_of<T, L, rows_at_once>(pose + row * 4, weights, coordinates + row, centre + row * 4, offsets);
#pragma GCC unroll 8
    for (int h = 0; h < rows_at_once * 4; ++h) {
      const V* level = levels + (row * 4 + h) * number;
      const V* slope = slopes + (row * 4 + h) * number;
      V constant = factors[0] * level[0], factor = factors[0] * slope[0];
#pragma GCC unroll 8
      for (int n = 1; n < number; ++n) {
        constant += factors[n] * level[n];
        factor += factors[n] * slope[n];
      }
      gradient[row * 4 + h] = constant + factor * offsets[h];
    }
  }
#pragma GCC unroll 4
  for (int l = 0; l < 4; ++l) {
    V sums[4];
#pragma GCC unroll 4
    for (int column = 0; column < 4; ++column) sums[column] = load<T, L>(weight_gradient + (l * 4 + column) * L);
#pragma GCC unroll 4
    for (int row = 0; row < 4; ++row)
#pragma GCC unroll 4
      for (int column = 0; column < 4; ++column) sums[column] += gradient[row * 4 + column] * pose[row * 4 + l];
#pragma GCC unroll 4
    for (int column = 0; column < 4; ++column) store<T, L>(weight_gradient + (l * 4 + column) * L, sums[column]);
  }
  V of_pose[16];
#pragma GCC unroll 4
  for (int l = 0; l < 4; ++l)
#pragma GCC unroll 4
    for (int row = 0; row < 4; ++row) {
      V sum = gradient[row * 4] * load<T, L>(weights + l * 4 * L);
#pragma GCC unroll 4
      for (int column = 1; column < 4; ++column)
        sum += gradient[row * 4 + column] * load<T, L>(weights + (l * 4 + column) * L);
      of_pose[row * 4 + l] = sum;
    }
  add_sums<T, L>(of_pose, pose_gradient);
}

}  // namespace matcaps
