// The interface between Python and the kernels: geometry, constants and the tensors' memory. Symbols as in model/kernels/layer.py.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "vectors.h"

namespace matcaps {

// library.py repeats these three structs field by field.
struct Layer {
  int64_t images, child_sites, parent_sites, positions, child_types, parent_types, lanes;
  int64_t shared;           // whether one weight serves all positions
  int64_t windows_at_most;  // columns of `slots`
  int64_t iterations, threads;
  const int64_t *seen, *slots, *windows_of_child;
  const void* coordinates;  // [K, 2], or null
  double final_inverse_temperature, mass_unit, density_temperature, variance_floor;
  int64_t competing_types;  // all parent types, or 1 if each type competes by itself
};

// Shapes: see model/kernels/layer.py.
template <typename T>
struct ForwardTensors {
  const T *poses, *activations, *weights, *beta_u, *beta_a;
  T *logits, *means, *assignments, *weighings, *gaussians;  // the last three may be null
};

template <typename T>
struct BackwardTensors {
  const T *poses, *activations, *weights, *beta_u, *weighings, *gaussians;
  const T *logits_gradient, *means_gradient, *assignments_gradient;  // the last may be null
  T *poses_gradient, *activations_gradient, *weights_gradient, *beta_u_gradient, *beta_a_gradient;
};

// Rows of a parent's Gaussian: see model/kernels/layer.py.
constexpr int row_of_means = 0, row_of_variances = 16, row_of_mass = 32, row_of_reciprocal = 33, row_of_unit = 34,
              row_of_logit = 35, rows_of_a_gaussian = 36;

constexpr int images_at_once = 8;    // at most: their scores have to stay in the cache between two passes
constexpr int children_at_once = 8;  // their weights stay in the nearest cache for all images

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

// Memory aligned for the widest vectors; not initialised.
template <typename T>
class Buffer {
 public:
  explicit Buffer(int64_t size)
      : memory_(static_cast<T*>(std::aligned_alloc(64, (size * sizeof(T) / 64 + 1) * 64))) {
    if (!memory_) throw std::bad_alloc();
  }
  operator T*() const { return memory_.get(); }

 private:
  std::unique_ptr<T, Free> memory_;
};

// Sizes, and constants of type T. Weights are packed as [K or 1][block][I][16][L]: for a block of parent types, a run
// of child types is one run of memory.
template <typename T, int L>
struct Geometry {
  const Layer& layer;
  const int64_t S, P, K, I, J, C, width, blocks;
  const T temperature, floor, mass_unit;
  const Buffer<T> packed, coordinates_;

  Geometry(const Layer& layer, const T* weights)
      : layer(layer),
        S(layer.child_sites),
        P(layer.parent_sites),
        K(layer.positions),
        I(layer.child_types),
        J(layer.parent_types),
        C(K * I),
        width(layer.lanes),
        blocks(layer.lanes / L),
        temperature(T(layer.density_temperature)),
        floor(T(layer.variance_floor)),
        mass_unit(T(layer.mass_unit)),
        packed(sets() * blocks * I * 16 * L),
        coordinates_(K * 4) {
    const T* given = static_cast<const T*>(layer.coordinates);
    for (int64_t k = 0; k < K; ++k)
      for (int64_t row = 0; row < 4; ++row) coordinates_[k * 4 + row] = given && row < 2 ? given[k * 2 + row] : T(0);
    for (int64_t set = 0; set < sets(); ++set)
      for (int64_t block = 0; block < blocks; ++block)
        for (int64_t i = 0; i < I; ++i) {
          T* to = packed + ((set * blocks + block) * I + i) * 16 * L;
          for (int lane = 0; lane < L; ++lane) {
            const int64_t j = block * L + lane;
            const T* from = weights + ((set * I + i) * J + j) * 16;
            for (int h = 0; h < 16; ++h) to[h * L + lane] = j < J ? from[h] : T(0);
          }
        }
  }

  // Number of images that are routed together: as few as keep the threads busy. Results do not depend on it.
  int64_t chunk() const {
    return std::min({layer.images, std::max<int64_t>(2, layer.threads), int64_t(images_at_once)});
  }
  int64_t sets() const { return layer.shared ? 1 : K; }
  int64_t set_of(int64_t k) const { return layer.shared ? 0 : k; }
  const T* weights(int64_t k, int64_t block, int64_t i) const {
    return packed + ((set_of(k) * blocks + block) * I + i) * 16 * L;
  }
  const T* coordinates(int64_t k) const { return coordinates_ + k * 4; }
  int64_t seen(int64_t p, int64_t k) const { return layer.seen[p * K + k]; }
  // Whether the parents of each type compete by themselves, for a share of every child.
  bool by_type() const { return layer.competing_types < J; }
  // Numbers of a child's row in a table of what its parents compete for: one for all, or one for each lane.
  int64_t contests() const { return by_type() ? width : 1; }
  // Those of a block of parents.
  Vector<T, L> contest(const T* row, int64_t block) const {
    return by_type() ? load<T, L>(row + block * L) : all<T, L>(row[0]);
  }
  // Before the first E-step a child is shared evenly by all parents that compete for it.
  T even_share(int64_t site) const { return T(1) / T(layer.windows_of_child[site] * layer.competing_types); }
  T inverse_temperature(int64_t iteration) const {
    double power = 1;
    for (int64_t t = 0; t <= iteration; ++t) power *= 0.95;
    return T(layer.final_inverse_temperature * (1 - power));
  }
};

template <typename T>
inline T activation_of(T activation) {
  return activation < T(1e-20) ? T(1e-20) : activation;  // keeps the logarithm of an inactive child finite
}

}  // namespace matcaps
