-- For wrk: post a file of bytes, and end with one line of JSON that benchmarks/serving/wrk.py reads.
-- Arguments after wrk's own: the file of the body, then name and value of each header.

function init(args)
   local file = assert(io.open(args[1], "rb"))
   wrk.method = "POST"
   wrk.body = file:read("*all")
   file:close()
   for place = 2, #args, 2 do
      wrk.headers[args[place]] = args[place + 1]
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "largest_us": %d, "refused": %d, "broken": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
      errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
