// The bucket bounds of vLLM's histograms, so that its dashboards and alert rules fit.
#pragma once

#include <vector>

namespace pegainfer::metrics {

std::vector<double> first_token_buckets();      // seconds: time_to_first_token
std::vector<double> inter_token_buckets();      // seconds: inter_token_latency, time per output token
std::vector<double> request_time_buckets();     // seconds: a request's intervals
std::vector<double> iteration_token_buckets();  // tokens of a step
std::vector<double> num_choices_buckets();      // n
std::vector<double> http_time_buckets();        // seconds: an HTTP exchange
std::vector<double> fine_http_time_buckets();   // the same, as the instrumentator of vLLM's server has them
// 1, 2, 5, 10, 20, 50, ... up to `max`.
std::vector<double> one_two_five_buckets(int max);

}  // namespace pegainfer::metrics
