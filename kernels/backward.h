// The backward pass: the gradient of Procedure 1, from the last iteration to the first.
//
// g is a gradient, q the gradient of log r_ij, e the gradient of a log-density over its temperature:
//   M-step   q = w (Σ_h o_h (gμ_h + gσ²_h o_h) − Σ_h gσ²_h σ²_h + S gS),   w = r / S,  o = v − μ
//   E-step   e = (q − R Σ q) / temperature, Σ over competing parents;
//            Σ e, Σ e o and Σ e o² give the gradients of logit, μ, σ²
//   votes    gv = Σ_t w_t (gμ_t + 2 gσ²_t o_t) − Σ_t e_t o_(t−1) / σ²_(t−1), for all iterations in one pass
#pragma once

#include <algorithm>
#include <cstring>

#include "layer.h"
#include "votes.h"

namespace matcaps {

template <typename T, int L>
class Backward {
  typedef Vector<T, L> V;

 public:
  Backward(const Layer& layer, const BackwardTensors<T>& tensors)
      : g_(layer, tensors.weights),
        t_(tensors),
        iterations_(layer.iterations),
        terms_(2 * layer.iterations - 1),
        chunk_(g_.chunk()),
        run_(std::clamp<int64_t>((g_.I + 1) / 2, 1, 16)),
        errors_((iterations_ - 1) * chunk_ * g_.P * g_.C * g_.width),
        coefficients_(iterations_ * chunk_ * g_.P * 33 * g_.width),
        betas_(chunk_ * g_.P * 2 * g_.width),
        slot_sums_(chunk_ * g_.P * g_.C),
        assigned_sums_(tensors.assignments_gradient ? chunk_ * g_.P * g_.C : 0),
        child_sums_(chunk_ * g_.S * g_.I * g_.contests()),
        activation_sums_(chunk_ * g_.S * g_.I),
        slot_poses_(chunk_ * g_.P * g_.C * 16),
        packed_gradient_(g_.sets() * g_.blocks * g_.I * 16 * L) {}

  void run() {
    const int threads = int(g_.layer.threads);
    const int64_t images = g_.layer.images;
    const int64_t group = g_.P * 2 >= threads * 4 ? chunk_ : (chunk_ + threads - 1) / threads;
    const int64_t runs = (g_.I + run_ - 1) / run_;
    std::fill_n(static_cast<T*>(packed_gradient_), g_.sets() * g_.blocks * g_.I * 16 * L, T(0));
    std::fill_n(t_.beta_u_gradient, g_.J, T(0));
    std::fill_n(t_.beta_a_gradient, g_.J, T(0));
#pragma omp parallel num_threads(threads)
    for (int64_t first = 0; first < images; first += chunk_) {
      const int64_t number = std::min(chunk_, images - first);
      const int64_t groups = (number + group - 1) / group;
      for (int64_t t = iterations_ - 1; t >= 0; --t) {
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < g_.P * groups; ++task) {
          const int64_t p = task / groups, begin = task % groups * group, end = std::min(number, begin + group);
          clear_sums(t, begin, end, p);
          for (int64_t block = 0; block < g_.blocks; ++block) {
            for (int64_t b = begin; b < end; ++b)
              if (t == iterations_ - 1) start(first, b, p, block);
            differentiate_masses(t, first, begin, end, p, block);
          }
        }
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < number * g_.S; ++task)
          sum_by_child(t, task / g_.S, task % g_.S);
        if (t == 0) break;
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < g_.P * groups; ++task) {
          const int64_t p = task / groups, begin = task % groups * group, end = std::min(number, begin + group);
          for (int64_t block = 0; block < g_.blocks; ++block)
            differentiate_scores(t, first, begin, end, p, block);
        }
      }
#pragma omp for schedule(dynamic)
      for (int64_t task = 0; task < g_.sets() * runs; ++task) {
        const int64_t i = task % runs * run_, children = std::min(run_, g_.I - i);
        const int64_t begin = g_.layer.shared ? 0 : task / runs, end = g_.layer.shared ? g_.K : begin + 1;
        for (int64_t b = 0; b < number; ++b)
          for (int64_t p = 0; p < g_.P; ++p) differentiate_votes(first, b, p, begin, end, i, children);
      }
#pragma omp for schedule(dynamic)
      for (int64_t task = 0; task < number * g_.S; ++task) finish_children(first, task / g_.S, task % g_.S);
#pragma omp single
      for (int64_t row = 0; row < number * g_.P; ++row)
        for (int64_t j = 0; j < g_.J; ++j) {
          t_.beta_u_gradient[j] += betas_[row * 2 * g_.width + j];
          t_.beta_a_gradient[j] += betas_[(row * 2 + 1) * g_.width + j];
        }
    }
    unpack();
  }

 private:
  const T* gaussian(int64_t t, int64_t image, int64_t p) const {
    return t_.gaussians + ((t * g_.layer.images + image) * g_.P + p) * rows_of_a_gaussian * g_.width;
  }
  const T* weighing(int64_t t, int64_t image, int64_t p, int64_t c) const {
    return t_.weighings + ((((t - 1) * g_.layer.images + image) * g_.P + p) * g_.C + c) * g_.width;
  }
  // q; overwritten by e when the sums of q are known.
  T* error(int64_t t, int64_t b, int64_t p, int64_t c) const {
    return errors_ + ((((t - 1) * chunk_ + b) * g_.P + p) * g_.C + c) * g_.width;
  }
  // [33][width]: gμ, gσ² and the constant of q.
  T* coefficients(int64_t t, int64_t b, int64_t p) const {
    return coefficients_ + ((t * chunk_ + b) * g_.P + p) * 33 * g_.width;
  }
  // Σ q of a child over the parents that compete for it.
  T* child_sums(int64_t b, int64_t site, int64_t i) const {
    return child_sums_ + ((b * g_.S + site) * g_.I + i) * g_.contests();
  }
  const T* poses(int64_t image, int64_t site, int64_t i) const {
    return t_.poses + ((image * g_.S + site) * g_.I + i) * 16;
  }
  T activation(int64_t image, int64_t site, int64_t i) const {
    return activation_of(t_.activations[(image * g_.S + site) * g_.I + i]);
  }

  void clear_sums(int64_t t, int64_t begin, int64_t end, int64_t p) const {
    for (int64_t b = begin; b < end; ++b) {
      std::fill_n(slot_sums_ + (b * g_.P + p) * g_.C, g_.C, T(0));
      if (t_.assignments_gradient) std::fill_n(assigned_sums_ + (b * g_.P + p) * g_.C, g_.C, T(0));
      if (t == iterations_ - 1) std::fill_n(betas_ + (b * g_.P + p) * 2 * g_.width, 2 * g_.width, T(0));
    }
  }

  // The last iteration's gradients are those of the results.
  void start(int64_t first, int64_t b, int64_t p, int64_t block) const {
    V of_logit{}, of_mean[16] = {}, of_variance[16] = {};
    for (int lane = 0; lane < std::min<int64_t>(L, g_.J - block * L); ++lane) {
      const int64_t parent = ((first + b) * g_.P + p) * g_.J + block * L + lane;
      of_logit[lane] = t_.logits_gradient[parent];
      for (int h = 0; h < 16; ++h) of_mean[h][lane] = t_.means_gradient[parent * 16 + h];
    }
    differentiate_fit(iterations_ - 1, first, b, p, block, of_logit, V{}, of_mean, of_variance);
  }

  // From the gradients of logit, ½ Σ log σ², μ and σ²: the coefficients of q, and the gradients of the betas.
  void differentiate_fit(int64_t t, int64_t first, int64_t b, int64_t p, int64_t block, V of_logit, V of_log_deviation,
                         const V* of_mean, const V* of_variance) const {
    const T* from = gaussian(t, first + b, p) + block * L;
    V variance[16], clamped[16], beta_u{};
    for (int h = 0; h < 16; ++h) {
      variance[h] = load<T, L>(from + (row_of_variances + h) * g_.width);
      clamped[h] = at_least(variance[h], all<T, L>(g_.floor));
    }
    for (int lane = 0; lane < std::min<int64_t>(L, g_.J - block * L); ++lane)
      beta_u[lane] = t_.beta_u[block * L + lane];
    const V mass = load<T, L>(from + row_of_mass * g_.width);
    const V of_beta_a = g_.inverse_temperature(t) * of_logit;
    const V of_cost = -of_beta_a;
    const V in_units = mass / g_.mass_unit;
    of_log_deviation += in_units * of_cost;
    V constant = mass * ((16 * beta_u + half_log_of_product<T, L>(clamped)) * of_cost / g_.mass_unit);
    T* to = coefficients(t, b, p) + block * L;
    for (int h = 0; h < 16; ++h) {
      V gradient = of_variance[h] + T(0.5) * of_log_deviation / clamped[h];
      gradient = variance[h] < g_.floor ? V{} : gradient;
      constant -= gradient * variance[h];
      store<T, L>(to + h * g_.width, of_mean[h]);
      store<T, L>(to + (16 + h) * g_.width, gradient);
    }
    store<T, L>(to + 32 * g_.width, constant);
    T* betas = betas_ + (b * g_.P + p) * 2 * g_.width + block * L;
    store<T, L>(betas, load<T, L>(betas) + 16 * in_units * of_cost);
    store<T, L>(betas + g_.width, load<T, L>(betas + g_.width) + of_beta_a);
  }

  static const V* as_vectors(const T* memory) { return reinterpret_cast<const V*>(memory); }

  // w = r / S of a child, for a block of parents.
  V weighing_of(int64_t t, int64_t first, int64_t b, int64_t p, int64_t site, int64_t c, int64_t block,
                const T* gaussian) const {
    if (t > 0)
      return load<T, L>(weighing(t, first + b, p, c) + block * L) *
             load<T, L>(gaussian + row_of_reciprocal * g_.width);
    const V unit = load<T, L>(gaussian + row_of_unit * g_.width);
    return g_.even_share(site) * activation(first + b, site, c % g_.I) / unit *
           load<T, L>(gaussian + row_of_reciprocal * g_.width);
  }

  // q of every child and a block of parents, and its sums over the parents.
  void differentiate_masses(int64_t t, int64_t first, int64_t begin, int64_t end, int64_t p, int64_t block) const {
    for (int64_t k = 0; k < g_.K; ++k)
      for (int64_t i = 0; i < g_.I; i += children_at_once) {
        const int64_t number = std::min<int64_t>(children_at_once, g_.I - i), c = k * g_.I + i;
        const int64_t site = g_.seen(p, k);
        for (int64_t b = begin; b < end; ++b) {
          const T* from = gaussian(t, first + b, p) + block * L;
          const T* factors = coefficients(t, b, p) + block * L;
          V centre[16], results[children_at_once];
          for (int h = 0; h < 16; ++h) centre[h] = load<T, L>(from + h * g_.width);
          std::fill(results, results + number, load<T, L>(factors + 32 * g_.width));
          add_quadratics<T, L, true>(int(number), poses(first + b, site, i), g_.weights(k, block, i),
                                     g_.coordinates(k), centre, as_vectors(factors),
                                     as_vectors(factors + 16 * g_.width), g_.blocks, results);
          T* sums = slot_sums_ + (b * g_.P + p) * g_.C + c;
          for (int64_t n = 0; n < number; ++n) {
            V q = weighing_of(t, first, b, p, site, c + n, block, from) * results[n];
            sums[n] += sum_of<T, L>(q);
            if (t == iterations_ - 1 && t > 0 && t_.assignments_gradient)
              q += add_assigned(first, b, p, site, c + n, block, from);
            if (t > 0) store<T, L>(error(t, b, p, c + n) + block * L, q);
          }
        }
      }
  }

  // R gR of a child, for a block of parents, if the loss depends on assignments.
  V add_assigned(int64_t first, int64_t b, int64_t p, int64_t site, int64_t c, int64_t block, const T* gaussian) const {
    V gradient{};
    const T* from = t_.assignments_gradient + (((first + b) * g_.P + p) * g_.C + c) * g_.J + block * L;
    for (int lane = 0; lane < std::min<int64_t>(L, g_.J - block * L); ++lane) gradient[lane] = from[lane];
    const V share = load<T, L>(weighing(iterations_ - 1, first + b, p, c) + block * L) *
                    load<T, L>(gaussian + row_of_unit * g_.width) / activation(first + b, site, c % g_.I);
    const V result = share * gradient;
    assigned_sums_[(b * g_.P + p) * g_.C + c] += sum_of<T, L>(result);
    return result;
  }

  // Σ q over all parents of each child of a site; over all iterations it is the gradient of log a. If the parents of
  // each type compete by themselves, also Σ q of each type.
  void sum_by_child(int64_t t, int64_t b, int64_t site) const {
    const int64_t windows = g_.layer.windows_of_child[site];
    const int64_t* slots = g_.layer.slots + site * g_.layer.windows_at_most;
    const bool assigned = t == iterations_ - 1 && t_.assignments_gradient;
    for (int64_t i = 0; i < g_.I; ++i) {
      T sum = 0, assigned_sum = 0;
      for (int64_t n = 0; n < windows; ++n) {
        const int64_t at = (b * g_.P + slots[n] / g_.K) * g_.C + slots[n] % g_.K * g_.I + i;
        sum += slot_sums_[at];
        if (assigned) assigned_sum += assigned_sums_[at];
      }
      const int64_t at = (b * g_.S + site) * g_.I + i;
      activation_sums_[at] = t == iterations_ - 1 ? sum : activation_sums_[at] + sum;
      if (!g_.by_type()) *child_sums(b, site, i) = sum + assigned_sum;
      for (int64_t block = 0; g_.by_type() && t > 0 && block < g_.blocks; ++block) {
        V of_type{};
        for (int64_t n = 0; n < windows; ++n)
          of_type += load<T, L>(error(t, b, slots[n] / g_.K, slots[n] % g_.K * g_.I + i) + block * L);
        store<T, L>(child_sums(b, site, i) + block * L, of_type);
      }
    }
  }

  // e of every child and a block of parents; its moments give the gradients of the Gaussians of iteration t − 1.
  void differentiate_scores(int64_t t, int64_t first, int64_t begin, int64_t end, int64_t p, int64_t block) const {
    V sums[images_at_once][33] = {};
    for (int64_t k = 0; k < g_.K; ++k)
      for (int64_t i = 0; i < g_.I; i += children_at_once) {
        const int64_t number = std::min<int64_t>(children_at_once, g_.I - i), c = k * g_.I + i;
        const int64_t site = g_.seen(p, k);
        for (int64_t b = begin; b < end; ++b) {
          const V unit = load<T, L>(gaussian(t, first + b, p) + row_of_unit * g_.width + block * L);
          V errors[children_at_once], centre[16];
          for (int64_t n = 0; n < number; ++n) {
            T* to = error(t, b, p, c + n) + block * L;
            const V share = load<T, L>(weighing(t, first + b, p, c + n) + block * L) * unit *
                            (1 / activation(first + b, site, i + n));
            const V sum = g_.contest(child_sums(b, site, i + n), block);
            errors[n] = (load<T, L>(to) - share * sum) * (1 / g_.temperature);
            store<T, L>(to, errors[n]);
          }
          const T* before = gaussian(t - 1, first + b, p) + block * L;
          for (int h = 0; h < 16; ++h) centre[h] = load<T, L>(before + h * g_.width);
          add_moments<T, L>(int(number), poses(first + b, site, i), g_.weights(k, block, i), g_.coordinates(k), errors,
                            centre, sums[b - begin]);
        }
      }
    for (int64_t b = begin; b < end; ++b) {
      const T* before = gaussian(t - 1, first + b, p) + block * L;
      const V* sum = sums[b - begin];
      V of_mean[16], of_variance[16], of_logit;
      for (int h = 0; h < 16; ++h) {
        const V precision =
            1 / at_least(load<T, L>(before + (row_of_variances + h) * g_.width), all<T, L>(g_.floor));
        of_mean[h] = sum[1 + h] * precision;
        of_variance[h] = T(0.5) * sum[17 + h] * precision * precision;
      }
      const V logit = load<T, L>(before + row_of_logit * g_.width);
      for (int lane = 0; lane < L; ++lane)
        of_logit[lane] = g_.temperature * sum[0][lane] / (1 + std::exp(std::min(logit[lane], T(80))));
      differentiate_fit(t - 1, first, b, p, block, of_logit, -sum[0], of_mean, of_variance);
    }
  }

  // Gradients of poses and weights of a run of child types, for one parent site and some positions of its window.
  void differentiate_votes(int64_t first, int64_t b, int64_t p, int64_t begin, int64_t end, int64_t i,
                           int64_t children) const {
    for (int64_t k = begin; k < end; ++k)
      std::fill_n(slot_poses_ + ((b * g_.P + p) * g_.C + k * g_.I + i) * 16, children * 16, T(0));
    for (int64_t block = 0; block < g_.blocks; ++block) {
      V levels[16 * most_terms], slopes[16 * most_terms], centre[16], factors[most_terms];
      V per_mass[most_iterations];  // 1 / S, in the unit that r is kept in
      for (int64_t t = 0; t < iterations_; ++t) {
        const T* from = gaussian(t, first + b, p) + block * L;
        per_mass[t] = load<T, L>(from + row_of_reciprocal * g_.width);
        if (t == 0) per_mass[t] /= load<T, L>(from + row_of_unit * g_.width);
      }
      const T* last = gaussian(iterations_ - 1, first + b, p) + block * L;
      for (int h = 0; h < 16; ++h) {
        centre[h] = load<T, L>(last + h * g_.width);
        for (int64_t t = 0; t < iterations_; ++t) {
          const T* from = gaussian(t, first + b, p) + block * L;
          const T* factor = coefficients(t, b, p) + block * L;
          const V apart = centre[h] - load<T, L>(from + h * g_.width);
          const V slope = 2 * load<T, L>(factor + (16 + h) * g_.width);
          slopes[h * terms_ + t] = per_mass[t] * slope;
          levels[h * terms_ + t] = per_mass[t] * (load<T, L>(factor + h * g_.width) + slope * apart);
          if (t == iterations_ - 1) continue;
          const V precision =
              1 / at_least(load<T, L>(from + (row_of_variances + h) * g_.width), all<T, L>(g_.floor));
          slopes[h * terms_ + iterations_ + t] = -precision;
          levels[h * terms_ + iterations_ + t] = -precision * apart;
        }
      }
      for (int64_t k = begin; k < end; ++k) {
        const int64_t site = g_.seen(p, k);
        for (int64_t n = i; n < i + children; ++n) {
          const int64_t c = k * g_.I + n;
          factors[0] = all<T, L>(g_.even_share(site) * activation(first + b, site, n));
          for (int64_t t = 1; t < iterations_; ++t) {
            factors[t] = load<T, L>(weighing(t, first + b, p, c) + block * L);
            factors[iterations_ + t - 1] = load<T, L>(error(t, b, p, c) + block * L);
          }
          const T* pose = poses(first + b, site, n);
          const T* weights = g_.weights(k, block, n);
          T* pose_gradient = slot_poses_ + ((b * g_.P + p) * g_.C + c) * 16;
          T* weight_gradient = packed_gradient_ + ((g_.set_of(k) * g_.blocks + block) * g_.I + n) * 16 * L;
          const auto add = iterations_ == 3   ? add_vote_gradients<T, L, 5>
                           : iterations_ == 2 ? add_vote_gradients<T, L, 3>
                           : iterations_ == 1 ? add_vote_gradients<T, L, 1>
                                              : add_vote_gradients<T, L, 0>;
          add(int(terms_), pose, weights, g_.coordinates(k), centre, factors, levels, slopes, pose_gradient,
              weight_gradient);
        }
      }
    }
  }

  // Adds up the gradients from all windows that see a site's children, in a fixed order. A child in no window has zero.
  void finish_children(int64_t first, int64_t b, int64_t site) const {
    const int64_t windows = g_.layer.windows_of_child[site];
    const int64_t* slots = g_.layer.slots + site * g_.layer.windows_at_most;
    for (int64_t i = 0; i < g_.I; ++i) {
      const int64_t child = ((first + b) * g_.S + site) * g_.I + i;
      T sums[16] = {};
      for (int64_t n = 0; n < windows; ++n) {
        const T* from = slot_poses_ + ((b * g_.P + slots[n] / g_.K) * g_.C + slots[n] % g_.K * g_.I + i) * 16;
        for (int h = 0; h < 16; ++h) sums[h] += from[h];
      }
      std::memcpy(t_.poses_gradient + child * 16, sums, sizeof sums);
      const T value = t_.activations[child];
      t_.activations_gradient[child] =
          value < T(1e-20) ? T(0) : activation_sums_[(b * g_.S + site) * g_.I + i] / value;
    }
  }

  void unpack() const {
    for (int64_t set = 0; set < g_.sets(); ++set)
      for (int64_t i = 0; i < g_.I; ++i)
        for (int64_t j = 0; j < g_.J; ++j) {
          const T* from = packed_gradient_ + ((set * g_.blocks + j / L) * g_.I + i) * 16 * L + j % L;
          for (int h = 0; h < 16; ++h) t_.weights_gradient[((set * g_.I + i) * g_.J + j) * 16 + h] = from[h * L];
        }
  }

 public:
  static constexpr int most_iterations = 8, most_terms = 2 * most_iterations - 1;

 private:
  const Geometry<T, L> g_;
  const BackwardTensors<T> t_;
  const int64_t iterations_, terms_, chunk_, run_;
  const Buffer<T> errors_, coefficients_, betas_, slot_sums_, assigned_sums_, child_sums_, activation_sums_,
      slot_poses_, packed_gradient_;
};

}  // namespace matcaps
