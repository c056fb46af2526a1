-- Ends every run with one line of JSON: closed_loop.py reads it as a Report.
function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '\n{"requests":%d,"duration_us":%d,"status":%d,"socket":%d,"timeout":%d,"p50_us":%d,"p95_us":%d,"p99_us":%d}',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write, errors.timeout,
    latency:percentile(50), latency:percentile(95), latency:percentile(99)
  ))
end
