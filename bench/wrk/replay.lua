-- Sends one and the same create again and again. Argument: its key.
require("report")

local same

function init(arguments)
  wrk.headers["Content-Type"] = "application/json"
  local body = '{"merchantId":"m0","amount":1000,"currency":"USD","idempotencyKey":"%s"}'
  same = wrk.format("POST", "/checkouts", nil, body:format(arguments[1]))
end

function request()
  return same
end
