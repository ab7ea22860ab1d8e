// The library's two functions, for one width of vectors (MATCAPS_BYTES), in either type of numbers.
#include "backward.h"
#include "forward.h"

namespace {

// Vectors are as wide as the machine's, but no wider than the padded axis of parent types.
template <typename T, int L, typename Act>
void with_lanes(const matcaps::Layer& layer, const Act& act) {
  if constexpr (L * sizeof(T) > MATCAPS_BYTES)
    with_lanes<T, L / 2>(layer, act);
  else if (layer.lanes % L == 0 || L <= 4)
    act(std::integral_constant<int, L>());
  else if constexpr (L > 2)
    with_lanes<T, L / 2>(layer, act);
}

template <typename T>
void forward(const matcaps::Layer& layer, void* const* memory) {
  const auto at = [&](int n) { return static_cast<T*>(memory[n]); };
  with_lanes<T, 16>(layer, [&](auto lanes) {
    matcaps::Forward<T, lanes>(layer, {at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8), at(9)}).run();
  });
}

template <typename T>
void backward(const matcaps::Layer& layer, void* const* memory) {
  const auto at = [&](int n) { return static_cast<T*>(memory[n]); };
  with_lanes<T, 16>(layer, [&](auto lanes) {
    matcaps::Backward<T, lanes>(layer, {at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8), at(9), at(10),
                                       at(11), at(12), at(13), at(14)})
        .run();
  });
}

}  // namespace

extern "C" {

int matcaps_most_iterations() { return matcaps::Backward<float, 4>::most_iterations; }

// Both answer whether there was enough memory for what lies between the passes.
int matcaps_forward(const matcaps::Layer* layer, int doubles, void* const* memory) try {
  doubles ? forward<double>(*layer, memory) : forward<float>(*layer, memory);
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

int matcaps_backward(const matcaps::Layer* layer, int doubles, void* const* memory) try {
  doubles ? backward<double>(*layer, memory) : backward<float>(*layer, memory);
  return true;
} catch (const std::bad_alloc&) {
  return false;
}
}
