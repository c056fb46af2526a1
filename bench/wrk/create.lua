-- Creates checkouts, each with a key of its own. Arguments: a prefix for the keys, and over how many merchants to spread.
require("report")

local prefix, merchants
local count = 0
local body = '{"merchantId":"m%d","amount":1000,"currency":"USD","idempotencyKey":"%s%d"}'

function init(arguments)
  prefix = arguments[1]
  merchants = tonumber(arguments[2])
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  count = count + 1
  return wrk.format("POST", "/checkouts", nil, body:format(count % merchants, prefix, count))
end
