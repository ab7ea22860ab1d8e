// The library's functions, compiled for one width of vectors (MATCAPS_BYTES), for float and double.
#include "backward.h"
#include "forward.h"

namespace {

// Calls `act` with the number of lanes: as many as fit the processor's vectors and divide the padded parent types.
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
void forward(const matcaps::Layer& layer, const void* tensors) {
  with_lanes<T, 16>(layer, [&](auto lanes) {
    matcaps::Forward<T, lanes>(layer, *static_cast<const matcaps::ForwardTensors<T>*>(tensors)).run();
  });
}

template <typename T>
void backward(const matcaps::Layer& layer, const void* tensors) {
  with_lanes<T, 16>(layer, [&](auto lanes) {
    matcaps::Backward<T, lanes>(layer, *static_cast<const matcaps::BackwardTensors<T>*>(tensors)).run();
  });
}

}  // namespace

extern "C" {

int matcaps_most_iterations() { return matcaps::Backward<float, 4>::most_iterations; }

// `tensors` is a ForwardTensors or a BackwardTensors of float, or of double if `doubles`.
// Both return whether there was enough memory for the tables between the passes.
int matcaps_forward(const matcaps::Layer* layer, const void* tensors, int doubles) try {
  doubles ? forward<double>(*layer, tensors) : forward<float>(*layer, tensors);
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

int matcaps_backward(const matcaps::Layer* layer, const void* tensors, int doubles) try {
  doubles ? backward<double>(*layer, tensors) : backward<float>(*layer, tensors);
  return true;
} catch (const std::bad_alloc&) {
  return false;
}
}
