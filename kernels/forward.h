// The forward pass: Procedure 1 (paper, section 3), T M-steps with an E-step between any two.
#pragma once

#include <algorithm>

#include "layer.h"
#include "votes.h"

namespace matcaps {

template <typename T, int L>
class Forward {
  typedef Vector<T, L> V;

 public:
  Forward(const Layer& layer, const ForwardTensors<T>& tensors)
      : g_(layer, tensors.weights),
        t_(tensors),
        chunk_(g_.chunk()),
        scores_(layer.iterations > 1 ? chunk_ * g_.P * g_.C * g_.width : 0),
        totals_(chunk_ * g_.S * g_.I * g_.contests()),
        kept_(tensors.gaussians ? 0 : chunk_ * g_.P * rows_of_a_gaussian * g_.width) {}

  void run() {
    const int threads = int(g_.layer.threads);
    const int64_t images = g_.layer.images;
    // With few parent sites, the threads share out the images as well.
    const int64_t group = g_.P * 2 >= threads * 4 ? chunk_ : (chunk_ + threads - 1) / threads;
#pragma omp parallel num_threads(threads)
    for (int64_t first = 0; first < images; first += chunk_) {
      const int64_t number = std::min(chunk_, images - first);
      const int64_t groups = (number + group - 1) / group;
      for (int64_t t = 0; t < g_.layer.iterations; ++t) {
        const bool last = t == g_.layer.iterations - 1;
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < g_.P * groups; ++task) {
          const int64_t p = task / groups, begin = task % groups * group, end = std::min(number, begin + group);
          for (int64_t block = 0; block < g_.blocks; ++block) {
            m_step(t, first, begin, end, p, block);
            if (!last) score(t, first, begin, end, p, block);
          }
          if (last && t == 0 && t_.assignments)
            for (int64_t b = begin; b < end; ++b) write_even_assignments(first + b, p);
        }
        if (last) break;
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < number * g_.S; ++task) total(task / g_.S, task % g_.S);
        if (t == g_.layer.iterations - 2 && t_.assignments) {
#pragma omp for schedule(dynamic)
          for (int64_t task = 0; task < number * g_.P; ++task) write_assignments(first, task / g_.P, task % g_.P);
        }
      }
    }
  }

 private:
  // [36][width] of a parent site in an iteration.
  T* gaussian(int64_t t, int64_t first, int64_t b, int64_t p) const {
    const int64_t size = rows_of_a_gaussian * g_.width;
    if (t_.gaussians) return t_.gaussians + ((t * g_.layer.images + first + b) * g_.P + p) * size;
    return kept_ + (b * g_.P + p) * size;
  }
  T* scores(int64_t b, int64_t p, int64_t c) const { return scores_ + ((b * g_.P + p) * g_.C + c) * g_.width; }
  // log Σ of a child's scores over the parents that compete for it.
  T* totals(int64_t b, int64_t site, int64_t i) const {
    return totals_ + ((b * g_.S + site) * g_.I + i) * g_.contests();
  }
  const T* poses(int64_t image, int64_t site, int64_t i) const {
    return t_.poses + ((image * g_.S + site) * g_.I + i) * 16;
  }
  T activation(int64_t image, int64_t site, int64_t i) const {
    return activation_of(t_.activations[(image * g_.S + site) * g_.I + i]);
  }

  // r_ij of a run of child types, divided by exp(unit).
  void masses(int64_t t, int64_t image, int64_t b, int64_t p, int64_t k, int64_t i, int64_t number, int64_t block,
              V unit, V* results) const {
    const int64_t site = g_.seen(p, k);
    if (t == 0) {
      const V scale = exp_of<T, L>(-unit) * g_.even_share(site);
      for (int64_t n = 0; n < number; ++n) results[n] = scale * activation(image, site, i + n);
      return;
    }
    const T* score = scores(b, p, k * g_.I + i) + block * L;
    for (int64_t n = 0; n < number; ++n) {
      const V total = g_.contest(totals(b, site, i + n), block);
      results[n] = exp_of<T, L>(load<T, L>(score + n * g_.width) - total - unit) * activation(image, site, i + n);
    }
  }

  // The largest log r_ij of each lane.
  V largest_log_mass(int64_t t, int64_t image, int64_t b, int64_t p, int64_t block) const {
    V largest = all<T, L>(T(-1e30));
    for (int64_t k = 0; k < g_.K; ++k) {
      const int64_t site = g_.seen(p, k);
      for (int64_t i = 0; i < g_.I; ++i) {
        V log_mass;
        if (t == 0)
          log_mass = all<T, L>(std::log(activation(image, site, i) * g_.even_share(site)));
        else
          log_mass = load<T, L>(scores(b, p, k * g_.I + i) + block * L) - g_.contest(totals(b, site, i), block) +
                     std::log(activation(image, site, i));
        largest = log_mass > largest ? log_mass : largest;
      }
    }
    return largest < T(-1e29) ? V{} : largest;  // an unused lane
  }

  void add_run(int64_t t, int64_t image, int64_t b, int64_t p, int64_t k, int64_t i, int64_t number, int64_t block,
               V unit, const V* centre, V* sums, bool keep) const {
    V r[children_at_once];
    masses(t, image, b, p, k, i, number, block, unit, r);
    if (keep && t > 0 && t_.weighings) {
      T* to = t_.weighings + (((t - 1) * g_.layer.images + image) * g_.P + p) * g_.C * g_.width;
      for (int64_t n = 0; n < number; ++n) store<T, L>(to + (k * g_.I + i + n) * g_.width + block * L, r[n]);
    }
    add_moments<T, L>(int(number), poses(image, g_.seen(p, k), i), g_.weights(k, block, i), g_.coordinates(k), r,
                      centre, sums);
  }

  void m_step(int64_t t, int64_t first, int64_t begin, int64_t end, int64_t p, int64_t block) const {
    V centre[images_at_once][16], sums[images_at_once][33] = {};
    // Sums are taken around an estimate of the mean: E[v²] − μ² would cancel where the mean is far from 0.
    for (int64_t b = begin; b < end; ++b) {
      if (t > 0) {
        const T* before = gaussian(t - 1, first, b, p) + block * L;
        for (int h = 0; h < 16; ++h) centre[b - begin][h] = load<T, L>(before + h * g_.width);
      } else {
        V some[33] = {}, origin[16] = {};
        const int64_t number = std::min<int64_t>(children_at_once, (g_.I + 7) / 8);
        for (int64_t k = 0; k < g_.K; ++k)
          add_run(t, first + b, b, p, k, 0, number, block, V{}, origin, some, false);
        for (int h = 0; h < 16; ++h) centre[b - begin][h] = some[1 + h] / at_least(some[0], all<T, L>(T(1e-30)));
      }
    }
    for (int64_t k = 0; k < g_.K; ++k)
      for (int64_t i = 0; i < g_.I; i += children_at_once) {
        const int64_t number = std::min<int64_t>(children_at_once, g_.I - i);
        for (int64_t b = begin; b < end; ++b)
          add_run(t, first + b, b, p, k, i, number, block, V{}, centre[b - begin], sums[b - begin], true);
      }
    for (int64_t b = begin; b < end; ++b) fit(t, first, b, p, block, centre[b - begin], sums[b - begin]);
  }

  // Mean, variance and activation of a block of parents from the sums around a centre.
  void fit(int64_t t, int64_t first, int64_t b, int64_t p, int64_t block, V* centre, V* sums) const {
    const int64_t image = first + b;
    const T smallest = T(Float<T>::vanishing);
    V unit{}, mean[16], variance[16], clamped[16];
    for (int attempt = 0;; ++attempt) {
      const V mass = at_least(sums[0], all<T, L>(smallest));
      bool vanished = false, cancelled = false;
      for (int lane = 0; lane < std::min<int64_t>(L, g_.J - block * L); ++lane)
        vanished |= attempt == 0 && sums[0][lane] < smallest;
      for (int h = 0; h < 16; ++h) {
        const V shift = sums[1 + h] / mass;
        mean[h] = centre[h] + shift;
        variance[h] = at_least(sums[17 + h] / mass - shift * shift, V{});
        clamped[h] = at_least(variance[h], all<T, L>(g_.floor));
        const auto far = shift * shift > 4 * clamped[h];
        for (int lane = 0; lane < std::min<int64_t>(L, g_.J - block * L); ++lane) cancelled |= far[lane] != 0;
      }
      // Rare: masses that underflowed are computed again in the parent's own unit. Sums around a centre too far from
      // the mean are computed again around that mean.
      if (attempt == 2 || !(vanished || cancelled)) break;
      if (vanished) unit = largest_log_mass(t, image, b, p, block);
      for (int h = 0; h < 16; ++h) centre[h] = vanished ? centre[h] : mean[h];
      std::fill(sums, sums + 33, V{});
      for (int64_t k = 0; k < g_.K; ++k)
        for (int64_t i = 0; i < g_.I; i += children_at_once)
          add_run(t, image, b, p, k, i, std::min<int64_t>(children_at_once, g_.I - i), block, unit, centre, sums, true);
    }
    const V in_unit = at_least(sums[0], all<T, L>(smallest)), scale = exp_of<T, L>(unit), mass = sums[0] * scale;
    const V log_deviation = half_log_of_product<T, L>(clamped);
    const T inverse_temperature = g_.inverse_temperature(t);
    V logit{};
    for (int lane = 0; lane < std::min<int64_t>(L, g_.J - block * L); ++lane) {
      const int64_t j = block * L + lane;
      const T cost = (16 * t_.beta_u[j] + log_deviation[lane]) * mass[lane] / g_.mass_unit;
      logit[lane] = inverse_temperature * (t_.beta_a[j] - cost);
    }
    T* to = gaussian(t, first, b, p) + block * L;
    for (int h = 0; h < 16; ++h) store<T, L>(to + (row_of_means + h) * g_.width, mean[h]);
    for (int h = 0; h < 16; ++h) store<T, L>(to + (row_of_variances + h) * g_.width, variance[h]);
    store<T, L>(to + row_of_mass * g_.width, mass);
    store<T, L>(to + row_of_reciprocal * g_.width, 1 / in_unit);
    store<T, L>(to + row_of_unit * g_.width, scale);
    store<T, L>(to + row_of_logit * g_.width, logit);
    if (t < g_.layer.iterations - 1) return;
    for (int lane = 0; lane < std::min<int64_t>(L, g_.J - block * L); ++lane) {
      const int64_t parent = (image * g_.P + p) * g_.J + block * L + lane;
      t_.logits[parent] = logit[lane];
      for (int h = 0; h < 16; ++h) t_.means[parent * 16 + h] = mean[h][lane];
    }
  }

  // E-step, first half: log (a_j N(v_ij; μ_j, σ²_j)), with the density's logarithm divided by its temperature.
  void score(int64_t t, int64_t first, int64_t begin, int64_t end, int64_t p, int64_t block) const {
    V centre[images_at_once][16], square[images_at_once][16], constant[images_at_once];
    for (int64_t b = begin; b < end; ++b) {
      const T* from = gaussian(t, first, b, p) + block * L;
      V clamped[16];
      for (int h = 0; h < 16; ++h) {
        centre[b - begin][h] = load<T, L>(from + (row_of_means + h) * g_.width);
        clamped[h] = at_least(load<T, L>(from + (row_of_variances + h) * g_.width), all<T, L>(g_.floor));
        square[b - begin][h] = T(-0.5) / (clamped[h] * g_.temperature);
      }
      const V logit = load<T, L>(from + row_of_logit * g_.width);
      constant[b - begin] = half_log_of_product<T, L>(clamped) / -g_.temperature;
      for (int lane = 0; lane < L; ++lane) {
        // log a_j = −softplus(−logit)
        const T softplus = std::max(-logit[lane], T(0)) + std::log1p(std::exp(-std::abs(logit[lane])));
        constant[b - begin][lane] =
            block * L + lane < g_.J ? constant[b - begin][lane] - softplus : T(-1e30);  // an unused lane gets no share
      }
    }
    for (int64_t k = 0; k < g_.K; ++k)
      for (int64_t i = 0; i < g_.I; i += children_at_once) {
        const int64_t number = std::min<int64_t>(children_at_once, g_.I - i);
        for (int64_t b = begin; b < end; ++b) {
          V results[children_at_once];
          std::fill(results, results + number, constant[b - begin]);
          add_quadratics<T, L, false>(int(number), poses(first + b, g_.seen(p, k), i), g_.weights(k, block, i),
                                      g_.coordinates(k), centre[b - begin], nullptr, square[b - begin], 1, results);
          T* to = scores(b, p, k * g_.I + i) + block * L;
          for (int64_t n = 0; n < number; ++n) store<T, L>(to + n * g_.width, results[n]);
        }
      }
  }

  // E-step, second half: the total of a child's scores over all parents that compete for it, in all windows that see
  // it. R_ij is exp(score − total).
  void total(int64_t b, int64_t site) const {
    if (g_.by_type()) return total_by_type(b, site);
    const int64_t windows = g_.layer.windows_of_child[site];
    const int64_t* slots = g_.layer.slots + site * g_.layer.windows_at_most;
    for (int64_t i = 0; windows && i < g_.I; ++i) {
      V largest = all<T, L>(T(-1e30));
      for (int64_t n = 0; n < windows; ++n) {
        const T* score = scores(b, slots[n] / g_.K, slots[n] % g_.K * g_.I + i);
        for (int64_t block = 0; block < g_.blocks; ++block) {
          const V found = load<T, L>(score + block * L);
          largest = found > largest ? found : largest;
        }
      }
      T top = largest[0];
      for (int lane = 1; lane < L; ++lane) top = std::max(top, largest[lane]);
      V sum{};
      for (int64_t n = 0; n < windows; ++n) {
        const T* score = scores(b, slots[n] / g_.K, slots[n] % g_.K * g_.I + i);
        for (int64_t block = 0; block < g_.blocks; ++block) sum += exp_of<T, L>(load<T, L>(score + block * L) - top);
      }
      *totals(b, site, i) = top + std::log(sum_of<T, L>(sum));
    }
  }

  void total_by_type(int64_t b, int64_t site) const {
    const int64_t windows = g_.layer.windows_of_child[site];
    const int64_t* slots = g_.layer.slots + site * g_.layer.windows_at_most;
    for (int64_t i = 0; windows && i < g_.I; ++i)
      for (int64_t block = 0; block < g_.blocks; ++block) {
        V top = all<T, L>(T(-1e29)), sum{};  // above an unused lane's scores, so that it gets no share
        for (int64_t n = 0; n < windows; ++n)
          top = at_least(load<T, L>(scores(b, slots[n] / g_.K, slots[n] % g_.K * g_.I + i) + block * L), top);
        for (int64_t n = 0; n < windows; ++n)
          sum += exp_of<T, L>(load<T, L>(scores(b, slots[n] / g_.K, slots[n] % g_.K * g_.I + i) + block * L) - top);
        store<T, L>(totals(b, site, i) + block * L, top + log_of<T, L>(at_least(sum, all<T, L>(T(1)))));
      }
  }

  void write_assignments(int64_t first, int64_t b, int64_t p) const {
    for (int64_t k = 0; k < g_.K; ++k)
      for (int64_t i = 0; i < g_.I; ++i) {
        const int64_t site = g_.seen(p, k), child = k * g_.I + i;
        const T* total = totals(b, site, i);
        T* to = t_.assignments + (((first + b) * g_.P + p) * g_.C + child) * g_.J;
        for (int64_t block = 0; block < g_.blocks; ++block) {
          const V share = exp_of<T, L>(load<T, L>(scores(b, p, child) + block * L) - g_.contest(total, block));
          for (int lane = 0; lane < std::min<int64_t>(L, g_.J - block * L); ++lane) to[block * L + lane] = share[lane];
        }
      }
  }

  void write_even_assignments(int64_t image, int64_t p) const {
    for (int64_t child = 0; child < g_.C; ++child)
      std::fill_n(t_.assignments + ((image * g_.P + p) * g_.C + child) * g_.J, g_.J,
                  g_.even_share(g_.seen(p, child / g_.I)));
  }

  const Geometry<T, L> g_;
  const ForwardTensors<T> t_;
  const int64_t chunk_;
  const Buffer<T> scores_, totals_, kept_;
};

}  // namespace matcaps
