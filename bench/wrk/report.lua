-- Ends every run with one line of JSON: load.py reads it as a Report.
function done(summary)
  local errors = summary.errors
  print(string.format(
    '\n{"requests":%d,"duration_us":%d,"status":%d,"socket":%d,"timeout":%d}',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write, errors.timeout
  ))
end
